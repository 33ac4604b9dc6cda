//! The tree is consistent, and every verb has help.

use clap::Parser;

use super::*;
use crate::api::stats::StatsBy;
use crate::model::change_request::RequestState;
use crate::model::principal::Permission;
use crate::model::version::Bump;

#[test]
fn command_tree_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_has_examples_and_a_description() {
    for verb in Cli::command().get_subcommands() {
        let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Examples:\n  bookholder "), "{} has no examples", verb.get_name());
        assert!(verb.get_about().is_some(), "{} has no description", verb.get_name());
        assert!(after.contains(&format!("bookholder {}", verb.get_name())), "{}", verb.get_name());
    }
}

#[test]
fn examples_of_every_command_fit_80_columns() {
    fn check(command: &clap::Command) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn help_lists_each_command_in_one_group() {
    let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    let tree = Cli::command();
    let mut all: Vec<_> = tree.get_subcommands().map(clap::Command::get_name).collect();
    grouped.sort_unstable();
    all.sort_unstable();
    assert_eq!(grouped, all);
}

#[test]
fn help_examples_parse() {
    for line in [
        "bookholder publish support/agent --file agent.prompt -m why --label staging --bump minor --expect 6",
        "bookholder deploy support/agent@7=99 support/agent@8=1 --to production -m why --rule locale=de*:8",
        "bookholder get support/agent@staging --var who=Ada --var n:=3 --at 2026-03-20T15:00:00Z --json",
        "bookholder rollback support/agent --label production --to 5 -m why",
        "bookholder retire support/agent@7 --undo -m why",
        "bookholder diff support/agent 6 7",
        "bookholder pull --label production --out prompts --check",
        "bookholder push prompts -m why --prune --dry-run",
        "bookholder import history.jsonl.zst --label production --syntax plain",
        "bookholder deploy support/agent@7 --to production -m why --allow-major --break-glass down",
        "bookholder publish support/agent --file - -m why --break-glass down",
        "bookholder rollback support/agent --label production -m why --allow-major",
        "bookholder whoami --json",
        "bookholder login https://prompts.example.com --context prod --token-file -",
        "bookholder login unix:/run/b.sock --no-token",
        "bookholder logout --context prod",
        "bookholder context list --json",
        "bookholder context remove prod --yes",
        "bookholder list --context prod",
        "bookholder edit support/agent@production --label staging --bump minor",
        "bookholder get support/agent@7 --file",
        "bookholder log support/agent --no-pager",
        "bookholder man --out man",
        "bookholder can ann deploy support/agent@7 --to production",
        "bookholder can me publish support/agent",
        "bookholder can access",
        "bookholder principal add ann --grant author --grant releaser:support/**:staging",
        "bookholder principal add nightly --service",
        "bookholder principal grant ann releaser --prompts support/** --labels production",
        "bookholder principal revoke ann releaser",
        "bookholder principal disable ann",
        "bookholder role set on-call read deploy --description nights",
        "bookholder token create ci --role admin",
        "bookholder token create ann-laptop --for ann --expires 90d --prompts shop/** --view eu --view us",
        "bookholder token rotate ci --overlap 24h --expires 90d",
        "bookholder policy set -",
        "bookholder rules add leaks .gitleaks.toml --gitleaks",
        "bookholder rules check support/agent@7",
        "bookholder request propose support/agent@7=90 support/agent@8=10 --to production --to eu -m why",
        "bookholder request propose support/agent --file f --to production -m why --auto --expires-days 7",
        "bookholder request propose support/agent@8 --to production -m why --request 12",
        "bookholder request list --state open",
        "bookholder request approve 12",
        "bookholder request apply 12 --allow-major --break-glass down",
        "bookholder draft save support/agent warmer --file f --parent 7 --expect 2",
        "bookholder draft merge support/agent warmer --save",
        "bookholder draft publish support/agent warmer -m why --label staging",
        "bookholder archive --unused-days 365 --keep-lockfile a --keep-lockfile b --prompts trial/** --apply -m why",
        "bookholder audit verify --data d",
        "bookholder webhook add bot https://a.example/b --event prompt.* --event approve.granted --prompts support/** --slack",
        "bookholder webhook deliveries bot --failed --limit 5",
        "bookholder webhook rotate bot --overlap-hours 24",
        "bookholder serve --webhook-allow 10.0.0.0/8,fd00::/8",
        "bookholder bundle export out --lifetime-days 30",
        "bookholder bundle import in --data d",
        "bookholder serve --data d --listen 127.0.0.1:0 --insecure --log-format json",
        "bookholder replica --upstream http://127.0.0.1:7070 --root-key k --hold",
        "bookholder keys show --data d",
        "bookholder completions bash",
    ] {
        if let Err(error) = Cli::try_parse_from(line.split(' ')) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn help_lists_every_word_of_a_closed_set() {
    for (line, words) in [
        ("bookholder role set --help", Permission::ALL.map(Permission::as_str).to_vec()),
        ("bookholder request list --help", RequestState::ALL.map(RequestState::as_str).to_vec()),
        ("bookholder stats --help", StatsBy::ALL.map(StatsBy::as_str).to_vec()),
        ("bookholder publish --help", Bump::ALL.map(Bump::as_str).to_vec()),
        ("bookholder import --help", vec!["plain", "mustache", "jinja"]),
        ("bookholder webhook add --help", vec!["prompt.label.moved", "propose"]),
    ] {
        let help = Cli::try_parse_from(line.split(' ')).expect_err(line).to_string();
        for word in words {
            assert!(help.contains(word), "{line}: {word} in {help}");
        }
    }
}

#[test]
fn invalid_values_are_rejected_with_the_reason() {
    for (line, part) in [
        ("bookholder publish a@b --file x -m why", "`@`"),
        ("bookholder deploy a@7 --to Production -m why", "invalid label"),
        ("bookholder get a --at someday", "write 2026-03-20"),
        ("bookholder status --token secret", "--token"),
        ("bookholder status --server http://a --context b", "cannot be used with"),
        ("bookholder login https://a --no-token --token-file f", "cannot be used with"),
        ("bookholder get a --file --json", "cannot be used with"),
        ("bookholder edit a@", "a@"),
        ("bookholder token create ci", "--role"),
        ("bookholder token create ci --role admin --for ann", "cannot be used with"),
        ("bookholder token create ci --role admin --expires 90", "e.g. 90d"),
        ("bookholder token create ci --role admin --expires 0d", "greater than zero"),
        ("bookholder token create ci --role replica --view EU", "a-z 0-9"),
        ("bookholder principal add Ann", "a-z 0-9"),
        ("bookholder principal add ann --grant author:", "invalid pattern"),
        ("bookholder role set x fly", "possible values: read, follow, publish"),
        ("bookholder role set x", "PERMISSION"),
        ("bookholder request list --state closed", "possible values: open, applied"),
        ("bookholder request propose a@7 -m why", "--to"),
        ("bookholder request propose a@7 --to p -m why --request 1 --auto", "cannot be used with"),
        ("bookholder request propose a@7 --to p -m why --expires-days 0", "0"),
        ("bookholder request propose a --to p -m why --bump major", "--file"),
        ("bookholder request approve x", "invalid"),
        ("bookholder draft save a Warm --file f", "a-z 0-9"),
        ("bookholder archive --unused-days 365 --apply", "--message"),
        ("bookholder archive --unused-days 365 -m why", "--apply"),
        ("bookholder archive", "--unused-days"),
        ("bookholder can", "WHO"),
    ] {
        let message = Cli::try_parse_from(line.split(' ')).expect_err(line).to_string();
        assert!(message.contains(part), "{line}: {message}");
    }
    assert!(Cli::try_parse_from(["bookholder", "publish", "a", "--file", "x", "-m", ""]).is_err(), "an empty why");
}
