//! The tree holds together, and every verb explains itself.

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn the_tree_holds_together() {
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
fn what_the_help_shows_can_be_said() {
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
        "bookholder token create ci --role admin",
        "bookholder audit verify --data d",
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
fn what_cannot_be_meant_is_refused_with_the_reason() {
    for (line, part) in [
        ("bookholder publish a@b --file x -m why", "`@`"),
        ("bookholder publish a --file x", "--message"),
        ("bookholder deploy a --to production -m why", "which version"),
        ("bookholder deploy a@7 --to Production -m why", "no label"),
        ("bookholder get a --at yesterday", "RFC 3339"),
        ("bookholder status --token secret", "--token"),
    ] {
        let message = Cli::try_parse_from(line.split(' ')).expect_err(line).to_string();
        assert!(message.contains(part), "{line}: {message}");
    }
    assert!(Cli::try_parse_from(["bookholder", "publish", "a", "--file", "x", "-m", ""]).is_err(), "an empty why");
}
