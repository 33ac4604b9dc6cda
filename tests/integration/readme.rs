//! README as a reader types it: its shell blocks run unchanged and in order, in an empty folder and a separate network,
//! and quoted output must match.
//!
//! The word after `sh` says how a block runs: `terminal` in a terminal of its own, `no_run` elsewhere (its syntax is
//! checked). A `console` block has commands after `$ `, each followed by its output.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::support::command::{bookholder, program};

const README: &str = include_str!("../../README.md");
const PROMPT_FILES: &str = include_str!("../../docs/reference/prompt-files.md");
/// Ports that README names.
const PORTS: [u16; 4] = [7070, 7071, 7072, 7073];
/// A network and processes of its own, which end with it.
const ALONE: [&str; 6] = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"];

/// What every run begins with.
const PROLOGUE: &str = r#"set -eu -o pipefail
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
ready() {
    for _ in $(seq 600); do
        curl -sf -o /dev/null "http://127.0.0.1:$1/readyz" && return 0
        sleep 0.1
    done
    echo "nothing is ready on port $1:" && cat "$2" && return 1
} >&2
"#;

/// A fenced block: the info string, and the text.
struct Block {
    info: &'static str,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in README.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some(Block { info, text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "every fence is closed");
    blocks
}

/// The lines of a block that a shell reads as commands: all but those of here-documents.
fn command_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut end: Option<&str> = None;
    for line in text.lines() {
        match end {
            Some(word) if line == word => end = None,
            Some(_) => {}
            None => {
                end = line.split_once("<<").map(|(_, word)| word.trim().trim_matches('\''));
                lines.push(line);
            }
        }
    }
    lines
}

/// The commands of a `console` block, each with its expected output.
fn quotes(text: &str) -> Vec<(String, String)> {
    let mut quotes: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), quotes.last_mut()) {
            (Some(command), _) => quotes.push((command.to_owned(), String::new())),
            (None, Some((_, says))) => says.extend([line, "\n"]),
            (None, None) => panic!("a console block begins with a command: {line}"),
        }
    }
    quotes
}

/// All of README as one script, and what each quoted command should print.
fn script() -> (String, Vec<String>) {
    let mut script = PROLOGUE.to_owned();
    let mut quoted = Vec::new();
    for (number, Block { info, text }) in blocks().into_iter().enumerate() {
        let _in_memory = match info {
            "sh" => write!(script, "{text}"),
            "sh terminal" => {
                let port = PORTS.iter().find(|port| text.contains(&format!("--listen 127.0.0.1:{port}")));
                let port = port.unwrap_or(&PORTS[0]);
                write!(script, "(\n{text}) > ../terminal-{number} 2>&1 &\nready {port} ../terminal-{number}\n")
            }
            "console" => {
                for (command, says) in quotes(&text) {
                    let file = quoted.len();
                    let _in_memory = writeln!(script, "{{ {command}\n}} > ../quote-{file} 2>&1 || true");
                    quoted.push(says);
                }
                Ok(())
            }
            "sh no_run" => {
                let checked = Command::new("bash").args(["-n", "-c", &text]).output().expect("bash");
                assert!(checked.status.success(), "{text}{}", String::from_utf8_lossy(&checked.stderr));
                Ok(())
            }
            "" => Ok(()),
            other => panic!("what is a block of `{other}`?"),
        };
    }
    // The request of the other document, asked of the same node; an answer without messages fails.
    let (_, request) = PROMPT_FILES.split_once("\n```\ncurl ").expect("a request");
    let (request, _) = request.split_once("\n```").expect("its end");
    let _in_memory = writeln!(script, "curl {request} | jq -e '.messages[-1].content == \"Hi\"'");
    // The freeze of the example is over, whenever this runs.
    (script.replace("2026-12-20T", "2025-12-20T").replace("2027-01-02T", "2026-01-02T"), quoted)
}

/// What differs each time: moments, hashes, keys, tokens, and how long something has been served.
fn without_chance(text: &str) -> String {
    let pattern = r"\d{4}-\d\d-\d\d[T ][0-9:.]+Z?|\b[0-9a-f]{12,64}\b|\bbk1-\S+|\bbh_\S+|\(\d+ s so far\)";
    Regex::new(pattern).expect("a pattern").replace_all(text, "#").into_owned()
}

/// Whether a network of its own can be had here.
fn can_be_alone() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(ALONE).args(["ip", "link", "set", "lo", "up"]);
    probe.output().is_ok_and(|probed| probed.status.success())
}

/// The shell that runs a script, in a network of its own; else with ports that are free here.
fn shell(script: &str, path: &Path) -> Command {
    if can_be_alone() {
        std::fs::write(path, format!("ip link set lo up\n{script}")).expect("a script");
        let mut command = Command::new("unshare");
        command.args(ALONE).arg("bash");
        return command;
    }
    let sockets = PORTS.map(|port| (port, std::net::TcpListener::bind("127.0.0.1:0").expect("a free port")));
    let free = sockets.each_ref().map(|(port, socket)| (*port, socket.local_addr().expect("an address").port()));
    drop(sockets);
    let script =
        free.iter().fold(script.to_owned(), |text, (port, free)| text.replace(&port.to_string(), &free.to_string()));
    std::fs::write(path, script).expect("a script");
    let mut command = Command::new("bash");
    let primary = free[0].1;
    command.env("BOOKHOLDER_LISTEN", format!("127.0.0.1:{primary}"));
    command.env("BOOKHOLDER_SERVER", format!("http://127.0.0.1:{primary}"));
    command
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
fn readme_runs_as_typed_in_an_empty_folder_and_quotes_what_the_program_says() {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|said| said.status.success());
    if let Some(missing) = ["bash", "curl", "jq"].iter().find(|tool| !has(tool)) {
        println!("SKIPPED: README needs {missing}");
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let (bin, empty, file) = (home.path().join("bin"), home.path().join("empty"), home.path().join("script"));
    for folder in [&bin, &empty] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::os::unix::fs::symlink(program(None).get_program(), bin.join("bookholder")).expect("a link");
    let (script, quoted) = script();
    let mut command = shell(&script, &file);
    let removed =
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("BOOKHOLDER_"));
    for name in removed {
        command.env_remove(name);
    }
    let before = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&before));
    command.env("PATH", std::env::join_paths(paths).expect("paths")).env("HOME", &empty);
    let run = command.arg(&file).current_dir(&empty).output().expect("a shell");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}\n{}\n{}", run.status, said(&run.stdout), said(&run.stderr));
    for (number, says) in quoted.iter().enumerate() {
        let printed = std::fs::read_to_string(home.path().join(format!("quote-{number}"))).expect("what it printed");
        assert_eq!(without_chance(&printed), without_chance(says), "README quotes something else");
    }
    assert!(quoted.iter().filter(|says| !says.is_empty()).count() >= 2, "README quotes the refusal and the reasons");
}

#[test]
fn commands_have_no_comments_because_zsh_takes_them_for_arguments() {
    let commented = |line: &&str| line.starts_with('#') || line.contains(" #");
    for Block { info, text } in blocks().iter().filter(|block| block.info.starts_with("sh")) {
        let found: Vec<&str> = command_lines(text).into_iter().filter(commented).collect();
        assert!(found.is_empty(), "in a block of `{info}`: {found:#?}");
    }
    let here = "cat > f <<'END'\na = 1  # in the file\nEND\nls  # not in it\n";
    assert_eq!(command_lines(here).into_iter().filter(commented).collect::<Vec<_>>(), ["ls  # not in it"]);
}

#[test]
fn every_verb_and_flag_of_blocks_for_other_machines_exists() {
    let blocks: Vec<Block> = blocks().into_iter().filter(|block| block.info == "sh no_run").collect();
    let text: String = blocks.iter().map(|block| block.text.replace("\\\n", "")).collect();
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("bookholder ")).collect();
    assert!(commands.len() >= 5, "{commands:#?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let verbs = words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).take(2);
        let verbs: Vec<&str> = verbs.copied().collect();
        let help = bookholder(verbs.iter().chain(&["--help"])).ok().stdout;
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{command}: `{flag}` is not in {help}");
        }
    }
}
