//! References that are made from the code, between `<!-- generated: NAME -->` and `<!-- end -->` in a page written by
//! hand. `UPDATE_FIXTURES=1 cargo test --test integration documentation::reference` writes them again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use bookholder::cli::args::Cli;
use bookholder::config::{self, Layer};
use clap::CommandFactory;
use regex::Regex;
use serde_json::Value;

use super::page::{pages, root};
use crate::support::command::program;

/// Compares a generated part of a page, or writes it.
fn compare(path: &str, name: &str, made: &str) {
    let file = root().join(path);
    let page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let begin = format!("<!-- generated: {name} -->\n");
    let (head, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{path} has no part {name}"));
    let (found, tail) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{path}: {name} has no end"));
    let made = format!("\n{}\n\n", made.trim_end());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&file, format!("{head}{begin}{made}<!-- end -->{tail}")).expect("a page");
        return;
    }
    let differs = found.lines().zip(made.lines()).find(|(found, made)| found != made);
    assert!(
        found == made,
        "{path} differs from the code: {differs:?}. If that is meant, run UPDATE_FIXTURES=1 cargo test --test \
         integration documentation::reference, and commit it"
    );
}

/// The help of a command, as at a terminal of 80 columns.
fn help(verbs: &[&str]) -> String {
    let said = program(None).args(verbs).arg("-h").env("COLUMNS", "80").output().expect("the program");
    assert!(said.status.success(), "{verbs:?}");
    String::from_utf8(said.stdout).expect("UTF-8")
}

/// The options that every command has, as they are in its help.
const EVERYWHERE: &str = "Global options:\n";
/// Where the help of a command says that they are.
const ELSEWHERE: &str = "\n\nGlobal options are in `bookholder --help`.";

/// The options of every command.
fn everywhere(help: &str) -> &str {
    let rest = help.split_once(EVERYWHERE).unwrap_or_else(|| panic!("no options of every command in {help}")).1;
    rest.split_once("\n\n").map_or(rest, |(options, _)| options)
}

fn command(page: &mut String, verbs: &[&str], command: &clap::Command, level: usize) {
    let said = help(verbs);
    assert!(!said.contains("--token-file <FILE>"), "options of every command are listed once: {said}");
    let own = said.replace(ELSEWHERE, "");
    writeln!(page, "{} bookholder {}\n\n```text\n{}\n```\n", "#".repeat(level), verbs.join(" "), own.trim_end())
        .expect("in memory");
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        let verbs: Vec<&str> = verbs.iter().copied().chain([inner.get_name()]).collect();
        self::command(page, &verbs, inner, level + 1);
    }
}

#[test]
fn reference_of_the_command_line_is_its_help() {
    let whole = help(&[]);
    let tree = Cli::command();
    let mut page = String::new();
    writeln!(page, "## Options of every command\n\n```text\n{}\n```\n", everywhere(&whole)).expect("in memory");
    let mut count = 0;
    for line in whole.lines() {
        let group = line.strip_suffix(':').filter(|_| !line.starts_with(' '));
        let verb =
            line.strip_prefix("  ").and_then(|rest| rest.split(' ').next()).and_then(|verb| tree.find_subcommand(verb));
        if group.is_some_and(|group| ["Global options", "Options", "Examples", "Usage"].contains(&group)) {
            break;
        }
        if let Some(group) = group {
            writeln!(page, "## {group}\n").expect("in memory");
        } else if let Some(verb) = verb {
            command(&mut page, &[verb.get_name()], verb, 3);
            count += 1;
        }
    }
    assert_eq!(count, tree.get_subcommands().count(), "the help lists every command");
    compare("docs/reference/cli.md", "commands", &page);
}

/// A setting as `Layer` declares it.
struct Setting {
    name: String,
    kind: &'static str,
    about: String,
}

/// The fields of `Layer`, with their comments.
fn settings() -> Vec<Setting> {
    let source = include_str!("../../../src/config/layer.rs");
    let fields = source.split_once("pub struct Layer {").expect("the struct").1;
    let fields = fields.split_once("\n}\n").expect("its end").0;
    let field =
        Regex::new(r"(?m)^    /// (.+)\n(?:    #\[.*\]\n)?    pub (\w+): Option<([\w<>]+)>,$").expect("a pattern");
    let settings = field.captures_iter(fields).map(|found| Setting {
        name: found[2].to_owned(),
        kind: match &found[3] {
            "PathBuf" => "path",
            "SocketAddr" => "address",
            "bool" => "boolean",
            "Vec<String>" => "list",
            "u16" | "u32" | "u64" | "usize" => "whole number",
            "f64" => "number",
            "LogFormat" => "`text`, `json`",
            "Position" => "position",
            "ProviderTables" => "tables",
            "String" => "text",
            other => panic!("what is a setting of type {other}?"),
        },
        about: found[1].to_owned(),
    });
    let settings: Vec<Setting> = settings.collect();
    assert_eq!(settings.len(), fields.matches("    pub ").count(), "each field has one line of comment");
    settings
}

/// The node that a setting without a flag belongs to.
fn role(name: &str) -> &'static str {
    match name {
        "open_reads" | "access_log" | "keep_alive_s" | "fast_path" | "cache_mib" | "ready_max_age_s" => "both",
        "pin" | "replica_name" | "telemetry_spool_mib" => "replica",
        "sign_in_header"
        | "forward_otlp_headers"
        | "provider"
        | "intended_purpose"
        | "telemetry_events_days"
        | "telemetry_content_days"
        | "telemetry_minutes_days"
        | "telemetry_hours_days"
        | "telemetry_days_days"
        | "telemetry_events_mib"
        | "prompt_metrics_max"
        | "providers"
        | "playground_usd_per_day"
        | "evaluation_days"
        | "evaluation_mib" => "primary",
        other => panic!("{other} has no flag: say here whether it is a setting of a primary, a replica or both"),
    }
}

/// The defaults of numbers and booleans, from the settings of nodes that were given none.
fn defaults() -> BTreeMap<&'static str, String> {
    let none = BTreeMap::new();
    let primary = config::primary(Layer::default(), &none).expect("defaults are settings of a primary");
    let replica = config::replica(Layer::default(), &none).expect("defaults are settings of a replica");
    let (node, kept) = (&primary.node, &primary.node.retention);
    let mib = |bytes: u64| (bytes / 1_024 / 1_024).to_string();
    BTreeMap::from([
        ("data", node.data.display().to_string()),
        ("listen", node.listen.to_string()),
        ("log_format", format!("{:?}", node.log_format).to_lowercase()),
        ("open_reads", node.open_reads.to_string()),
        ("access_log", node.door.access_log.to_string()),
        ("keep_alive_s", node.door.keep_alive_s.to_string()),
        ("fast_path", node.door.fast_path.to_string()),
        ("cache_mib", mib(node.cache_bytes)),
        ("watch_quiet_ms", primary.watch_quiet.as_millis().to_string()),
        ("hold_automation", primary.hold_automation.to_string()),
        ("telemetry_events_days", kept.events_days.to_string()),
        ("telemetry_content_days", kept.bodies_days.to_string()),
        ("telemetry_minutes_days", kept.minutes_days.to_string()),
        ("telemetry_hours_days", kept.hours_days.to_string()),
        ("telemetry_days_days", kept.days_days.to_string()),
        ("telemetry_events_mib", mib(kept.events_bytes)),
        ("telemetry_spool_mib", mib(replica.node.spool_bytes_max)),
        ("prompt_metrics_max", node.prompt_metrics_max.to_string()),
        ("playground_usd_per_day", primary.providers.spending.per_day.to_string()),
        ("evaluation_days", primary.providers.results_days.to_string()),
        ("evaluation_mib", mib(primary.providers.results_bytes)),
        ("hold", replica.hold.to_string()),
    ])
}

#[test]
fn reference_of_the_settings_is_that_of_the_code() {
    let tree = Cli::command();
    let flag = |verb: &str, name: &str| {
        let mut arguments = tree.find_subcommand(verb).expect("a verb").get_arguments();
        let found = arguments.find(|argument| argument.get_long() == Some(&name.replace('_', "-")));
        found.map(|argument| argument.get_help().map(ToString::to_string).unwrap_or_default())
    };
    let defaults = defaults();
    let mut rows = "| setting | node | type | default | meaning |\n|---|---|---|---|---|\n".to_owned();
    for Setting { name, kind, about } in settings() {
        let (serve, replica) = (flag("serve", &name), flag("replica", &name));
        let role = match (&serve, &replica) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "primary",
            (None, Some(_)) => "replica",
            (None, None) => role(&name),
        };
        let mark = if serve.is_some() || replica.is_some() { "" } else { "\\*" };
        let about = serve.or(replica).unwrap_or(about);
        let (about, said) = about.split_once(" [default: ").unwrap_or((about.trim_end_matches('.'), ""));
        let default = match (defaults.get(name.as_str()), said.trim_end_matches(']'), kind) {
            (Some(default), _, _) => format!("`{default}`"),
            (None, "", "boolean") => "`false`".to_owned(),
            (None, said, _) if said.chars().all(char::is_alphabetic) => said.to_owned(),
            (None, said, _) => format!("`{said}`"),
        };
        writeln!(rows, "| `{name}`{mark} | {role} | {kind} | {default} | {about} |").expect("in memory");
    }
    compare("docs/reference/settings.md", "settings", &rows);
}

#[test]
fn settings_files_that_pages_show_are_accepted() {
    let mut count = 0;
    for page in pages() {
        for (_, text) in page.blocks(|info| info == "toml bookholder.toml") {
            let layer = Layer::from_toml(text, Path::new(&page.path)).unwrap_or_else(|error| panic!("{error}"));
            let accepted = config::primary(layer, &BTreeMap::new());
            assert!(accepted.is_ok(), "{}: {text}{:?}", page.path, accepted.err());
            count += 1;
        }
    }
    assert!(count >= 3, "{count} settings files");
}

/// What a client does about an error.
fn advice(status: u64, code: &str) -> &'static str {
    match status {
        _ if code == "primary_only" => "send it to the primary",
        _ if code == "breaks_callers" => "change the callers first, or set `allow_major`",
        400 | 405 | 413 | 415 | 422 => "fix the request; do not repeat it",
        // What a node that refuses the application says is nothing about the prompt.
        401 => "the last good answer, reported as an error; fix the access token",
        _ if code == "forbidden" => "the last good answer, reported as an error; ask for permission",
        _ if code == "not_found" => "the last good answer, reported as an error; fix the address",
        403 => "ask for permission, or do what `detail` lists",
        404 | 410 => "fix the name; an answer, not an outage",
        409 => "read again, then decide",
        421 => "the last good answer, reported as an error; use an own host name of the node, or an access token",
        408 => "repeat; until then the last good answer",
        429 => "repeat after `Retry-After`; until then the last good answer",
        500..=599 => "the last good answer; repeat with increasing pauses",
        other => panic!("what should a client do about {other}?"),
    }
}

#[test]
fn reference_of_errors_is_that_of_the_code() {
    let document: Value = serde_json::from_str(include_str!("../../../fixtures/openapi.json")).expect("JSON");
    let schema = &document["components"]["schemas"]["ErrorCode"];
    let lines = schema["description"].as_str().expect("a description");
    let line = Regex::new(r"(?m)^- `(\w+)` \((\d+)\): ").expect("a pattern");
    let source = include_str!("../../../crates/model/src/api/problem.rs");
    let variant = Regex::new(r"(?m)^    /// (.+)\n    (\w+),$").expect("a pattern");
    let snake = |name: &str| {
        let parts =
            name.chars().flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] });
        parts.skip(1).collect::<String>()
    };
    let meanings: BTreeMap<String, String> =
        variant.captures_iter(source).map(|found| (snake(&found[2]), found[1].to_owned())).collect();
    let mut errors: Vec<(u64, &str)> = Vec::new();
    for found in line.captures_iter(lines) {
        let (_, [code, status]) = found.extract();
        errors.push((status.parse().expect("a status"), code));
    }
    assert_eq!(errors.len(), schema["x-extensible-enum"].as_array().expect("codes").len(), "every code has a line");
    errors.sort_by_key(|(status, _)| *status);
    let mut rows = "| status | code | meaning | what a client does |\n|---|---|---|---|\n".to_owned();
    for (status, code) in errors {
        let meaning = meanings.get(code).unwrap_or_else(|| panic!("{code} has no comment"));
        let meaning = meaning.trim_end_matches('.');
        writeln!(rows, "| {status} | `{code}` | {meaning} | {} |", advice(status, code)).expect("in memory");
    }
    compare("docs/reference/errors.md", "errors", &rows);
}

#[test]
fn reference_of_splits_has_the_vectors() {
    let fixture: Value = serde_json::from_str(include_str!("../../../fixtures/buckets.json")).expect("JSON");
    let mut rows = "| salt | subject | bucket | version |\n|---|---|---|---|\n".to_owned();
    for vector in fixture["vectors"].as_array().expect("vectors").iter().take(10) {
        let text = |name: &str| vector[name].as_str().expect("a text");
        let subject = if text("subject").is_empty() { "(empty)".to_owned() } else { format!("`{}`", text("subject")) };
        let (bucket, version) = (&vector["bucket"], &vector["version"]);
        writeln!(rows, "| `{}` | {subject} | {bucket} | {version} |", text("salt")).expect("in memory");
    }
    compare("docs/reference/splits.md", "vectors", &rows);
}
