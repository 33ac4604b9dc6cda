//! Pages as a reader types them: their blocks run unchanged and in order, in an empty folder and a separate network,
//! and quoted output must match.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use regex::Regex;

use super::page::{Page, Part, pages};
use crate::support::command::program;

/// A network and processes of its own, which end with it.
const ALONE: [&str; 6] = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"];
/// How many pages run at the same time.
const WORKERS: usize = 3;

/// What every run begins with. Each job has its own process group, so that it can be stopped with its children.
const PROLOGUE: &str = r#"set -eu -o pipefail
set -m
trap 'for job in $(jobs -p); do kill -- "-$job" 2> /dev/null || true; done' EXIT
until_true() {
    for _ in $(seq 300); do
        eval "$1" > ../until 2>&1 && return 0
        sleep 0.1
    done
    echo "this did not become true: $1" && cat ../until && return 1
} >&2
ready() {
    until_true "curl -sf -o /dev/null http://127.0.0.1:$1/readyz" || { cat "$2"; return 1; }
} >&2
"#;

/// A script and what its quoted commands should print, each with the page that quotes it.
#[derive(Default)]
struct Session {
    script: String,
    quoted: Vec<(String, String)>,
    terminals: usize,
}

impl Session {
    /// A page, after those that it builds on.
    fn of(page: &Page) -> Self {
        let mut session = Self { script: PROLOGUE.to_owned(), ..Self::default() };
        session.add(page, 0);
        // The freeze of the example is over, whenever this runs.
        session.script = session.script.replace("2026-12-20T", "2025-12-20T").replace("2027-01-02T", "2026-01-02T");
        session
    }

    fn add(&mut self, page: &Page, depth: usize) {
        assert!(depth < 5, "{} comes after itself", page.path);
        for before in page.before() {
            self.add(&Page::read(before), depth + 1);
        }
        for part in &page.parts {
            match part {
                Part::Block { info, text } => self.block(&page.path, info, text),
                Part::Test { verb, .. } if verb == "others" && depth > 0 => break,
                Part::Test { verb, rest } => self.test(&page.path, verb, rest),
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.script.write_fmt(line).and_then(|()| self.script.write_char('\n')).expect("in memory");
    }

    fn block(&mut self, page: &str, info: &str, text: &str) {
        match info {
            "sh" => self.script.push_str(text),
            "sh terminal" => {
                let output = format!("../terminal-{}", self.terminals);
                self.terminals += 1;
                self.line(format_args!("(\n{text}) > {output} 2>&1 &"));
                if ["bookholder serve", "bookholder replica"].iter().any(|verb| text.contains(verb)) {
                    let listen = Regex::new(r"--listen (?:127\.0\.0\.1:)?(\d+)").expect("a pattern");
                    let port = listen.captures(text).map_or("7070".to_owned(), |found| found[1].to_owned());
                    self.line(format_args!("pid_{port}=$!\nready {port} {output}"));
                }
            }
            "console" => {
                for (command, says) in quotes(text) {
                    let file = self.quoted.len();
                    self.line(format_args!("{{ {command}\n}} > ../quote-{file} 2>&1 || true"));
                    self.quoted.push((format!("{page}: {command}"), says));
                }
            }
            _ => {}
        }
    }

    fn test(&mut self, page: &str, verb: &str, rest: &str) {
        match verb {
            "after" | "others" => {}
            "until" => self.line(format_args!("until_true {}", quote(rest))),
            "stop" => self.line(format_args!(
                "kill -- \"-$pid_{rest}\"\nuntil_true '! curl -s -o /dev/null http://127.0.0.1:{rest}/healthz'"
            )),
            "run" => self.line(format_args!("{rest}")),
            other => panic!("{page}: what should a test do by `{other}`?"),
        }
    }
}

/// A word of the shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The commands of a `console` block, each with its expected output.
fn quotes(text: &str) -> Vec<(String, String)> {
    let mut quotes: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), quotes.last_mut()) {
            (Some(command), _) => quotes.push((command.to_owned(), String::new())),
            (None, Some((command, _))) if command.ends_with('\\') => command.extend(["\n", line]),
            (None, Some((_, says))) => says.extend([line, "\n"]),
            (None, None) => panic!("a console block begins with a command: {line}"),
        }
    }
    quotes
}

/// What differs each time: moments, hashes, keys, tokens, and how long something has been so. The hash in a stamp stays:
/// the same content always has the same.
fn without_chance(text: &str) -> String {
    let pattern = r"\d{4}-\d\d-\d\d[T ][0-9:.]+Z?|\+?\b[0-9a-f]{12,64}\b|\bbk1-\S+|\bbh_\S+|\b\d+ s (?:so far|ago)";
    let pattern = Regex::new(pattern).expect("a pattern");
    let masked =
        |found: &regex::Captures<'_>| if found[0].starts_with('+') { found[0].to_owned() } else { "#".to_owned() };
    pattern.replace_all(text, masked).into_owned()
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
    let named = Regex::new(r"\b70[67]\d\b").expect("a pattern");
    let mut ports: BTreeSet<&str> = named.find_iter(script).map(|port| port.as_str()).collect();
    ports.insert("7070");
    let sockets =
        ports.into_iter().map(|port| (port, std::net::TcpListener::bind("127.0.0.1:0").expect("a free port")));
    let sockets: Vec<(&str, std::net::TcpListener)> = sockets.collect();
    let free = |port: &str| {
        let found = sockets.iter().find(|(named, _)| *named == port).and_then(|(_, socket)| socket.local_addr().ok());
        found.expect("a socket").port().to_string()
    };
    let moved = named.replace_all(script, |port: &regex::Captures<'_>| free(&port[0])).into_owned();
    let primary = free("7070");
    drop(sockets);
    std::fs::write(path, moved).expect("a script");
    let mut command = Command::new("bash");
    command.env("BOOKHOLDER_LISTEN", format!("127.0.0.1:{primary}"));
    command.env("BOOKHOLDER_SERVER", format!("http://127.0.0.1:{primary}"));
    command
}

/// What went wrong when a page was typed.
fn run(page: &Page) -> Result<usize, String> {
    let home = tempfile::tempdir().expect("a folder");
    let (bin, empty, file) = (home.path().join("bin"), home.path().join("empty"), home.path().join("script"));
    for folder in [&bin, &empty] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::os::unix::fs::symlink(program(None).get_program(), bin.join("bookholder")).expect("a link");
    let session = Session::of(page);
    let mut command = shell(&session.script, &file);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKHOLDER_")) {
        command.env_remove(name);
    }
    let before = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&before));
    command.env("PATH", std::env::join_paths(paths).expect("paths")).env("HOME", &empty);
    // Nor the contexts of the person who runs the tests.
    command.env_remove("XDG_CONFIG_HOME");
    let run = command.arg(&file).current_dir(&empty).output().expect("a shell");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !run.status.success() {
        return Err(format!("{}: {}\n{}\n{}", page.path, run.status, said(&run.stdout), said(&run.stderr)));
    }
    for (number, (source, says)) in session.quoted.iter().enumerate() {
        let printed = std::fs::read_to_string(home.path().join(format!("quote-{number}"))).expect("what it printed");
        if without_chance(&printed) != without_chance(says) {
            return Err(format!("{source}\nprints:\n{printed}\nand not, as quoted:\n{says}"));
        }
    }
    Ok(session.quoted.len())
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
fn every_page_runs_as_typed_in_an_empty_folder_and_quotes_what_the_program_says() {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|said| said.status.success());
    if let Some(missing) = ["bash", "curl", "jq"].iter().find(|tool| !has(tool)) {
        println!("SKIPPED: the pages need {missing}");
        return;
    }
    // One page alone: `DOCUMENT=docs/start.md cargo test --test integration every_page_runs`.
    let wanted = std::env::var("DOCUMENT").ok();
    let runs = |page: &Page| page.blocks(|info| ["sh", "sh terminal", "console"].contains(&info)).next().is_some();
    let pages: Vec<Page> = pages()
        .into_iter()
        .filter(runs)
        .filter(|page| wanted.as_ref().is_none_or(|wanted| *wanted == page.path))
        .collect();
    let (next, results) = (Mutex::new(pages.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(page) = { next.lock().expect("the pages").next() } {
                    let result = run(page);
                    results.lock().expect("the results").push(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("the results");
    let failed: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{}", failed.iter().map(|failed| format!("{failed}\n")).collect::<String>());
    let quoted: usize = results.iter().filter_map(|result| result.as_ref().ok()).sum();
    assert!(wanted.is_some() || (results.len() >= 10 && quoted >= 15), "{} pages, {quoted} quotes", results.len());
}

#[test]
fn commands_of_a_console_block_may_continue_on_the_next_line() {
    let found = quotes("$ a \\\n    b\nsays\n$ c\n");
    let expected = [("a \\\n    b".to_owned(), "says\n".to_owned()), ("c".to_owned(), String::new())];
    assert_eq!(found, expected);
}

#[test]
fn readme_quotes_and_runs_something() {
    let page = Page::read("README.md");
    assert!(page.blocks(|info| info.starts_with("sh")).count() >= 3, "README shows how to begin");
}
