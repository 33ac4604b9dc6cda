//! What readers copy from a page works in their shell, also where a test cannot run it.

use std::collections::BTreeMap;
use std::process::Command;

use regex::Regex;

use super::page::pages;
use crate::support::command::bookholder;

/// Languages of blocks that are not commands.
const LANGUAGES: [&str; 15] = [
    "",
    "rust",
    "caddyfile",
    "ini",
    "json",
    "mermaid",
    "nginx",
    "prompt",
    "python",
    "sql",
    "text",
    "toml",
    "ts",
    "typescript",
    "yaml",
];

/// Made from the sources of the clients, whose tests run what is in them.
const OF_CLIENTS: [&str; 2] = ["docs/reference/python.md", "docs/reference/typescript.md"];
/// The help of every command.
const CLI_REFERENCE: &str = "docs/reference/cli.md";

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

/// The help of commands that was asked for already, by their verbs; none where there is no such command.
#[derive(Default)]
struct Helps(BTreeMap<String, Option<String>>);

impl Helps {
    fn of(&mut self, verbs: &[&str]) -> Option<&str> {
        let help = || {
            let (code, said) = bookholder(verbs.iter().chain(&["--help"])).run();
            (code == Some(0)).then_some(said.stdout)
        };
        self.0.entry(verbs.join(" ")).or_insert_with(help).as_deref()
    }

    /// Fails unless the help of the command has every flag that it is given here.
    fn check(&mut self, page: &str, command: &str) {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let is_verb = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let verbs = words.iter().take_while(|word| !word.starts_with('-')).take(2).filter(is_verb);
        let verbs: Vec<&str> = verbs.copied().collect();
        // The second word is a verb of its own, or an argument.
        let count = if self.of(&verbs).is_some() { verbs.len() } else { 1 };
        let known = verbs.get(..count).and_then(|verbs| self.of(verbs));
        let help = known.unwrap_or_else(|| panic!("{page}: `{command}`: there is no such command"));
        let help = help.to_owned();
        let global = self.of(&[]).expect("the help of all commands");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or(flag).trim_end_matches([',', '…']);
            assert!(help.contains(flag) || global.contains(flag), "{page}: `{command}`: `{flag}` is not in {help}");
        }
    }
}

#[test]
fn commands_are_in_blocks_that_a_test_runs_or_checks() {
    let typed = Regex::new(r"(?m)^ *(\$ |bookholder |curl )").expect("a pattern");
    // The help of commands has examples, which are for other machines.
    for page in pages().into_iter().filter(|page| page.path != CLI_REFERENCE) {
        for (info, text) in page.blocks(|info| !["sh", "sh terminal", "sh no_run", "console"].contains(&info)) {
            let language = info.split(' ').next().unwrap_or_default();
            assert!(LANGUAGES.contains(&language), "{}: what is a block of `{info}`?", page.path);
            assert!(!typed.is_match(text), "{}: these commands belong in a block of `sh`:\n{text}", page.path);
        }
        for (number, line) in page.prose() {
            let is_indented = line.starts_with("    ") && typed.is_match(line);
            assert!(!is_indented, "{}:{number}: this command belongs in a block of `sh`: {line}", page.path);
        }
    }
}

#[test]
fn commands_have_no_comments_because_zsh_takes_them_for_arguments() {
    let commented = |line: &&str| line.starts_with('#') || line.contains(" #");
    for page in pages() {
        for (info, text) in page.blocks(|info| info.starts_with("sh")) {
            let found: Vec<&str> = command_lines(text).into_iter().filter(commented).collect();
            assert!(found.is_empty(), "{}, in a block of `{info}`: {found:#?}", page.path);
        }
    }
    let here = "cat > f <<'END'\na = 1  # in the file\nEND\nls  # not in it\n";
    assert_eq!(command_lines(here).into_iter().filter(commented).collect::<Vec<_>>(), ["ls  # not in it"]);
}

#[test]
fn blocks_for_other_machines_are_correct_shell_with_verbs_and_flags_that_exist() {
    let (mut helps, mut count) = (Helps::default(), 0);
    for page in pages() {
        for (_, text) in page.blocks(|info| info == "sh no_run") {
            let checked = Command::new("bash").args(["-n", "-c", text]).output().expect("bash");
            assert!(checked.status.success(), "{}: {text}{}", page.path, String::from_utf8_lossy(&checked.stderr));
            let joined = text.replace("\\\n", "");
            for command in command_lines(&joined).into_iter().filter(|line| line.starts_with("bookholder ")) {
                helps.check(&page.path, command);
                count += 1;
            }
        }
    }
    assert!(count >= 10, "{count} commands");
}

#[test]
fn commands_within_sentences_have_verbs_and_flags_that_exist() {
    let quoted = Regex::new("`(bookholder [a-z][^`]*)`").expect("a pattern");
    let (mut helps, mut count) = (Helps::default(), 0);
    // The help itself, and names of hash contexts.
    let others = [CLI_REFERENCE, "docs/architecture/"].into_iter().chain(OF_CLIENTS);
    for page in pages().into_iter().filter(|page| !others.clone().any(|other| page.path.starts_with(other))) {
        let text: String = page.prose().into_iter().flat_map(|(_, line)| [line, "\n"]).collect();
        for found in quoted.captures_iter(&text) {
            helps.check(&page.path, &found[1].replace('\n', " "));
            count += 1;
        }
    }
    assert!(count >= 20, "{count} commands");
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
fn python_examples_are_python() {
    let read = "import ast, sys; ast.parse(sys.argv[1])";
    if !Command::new("python3").args(["-c", read, "1"]).output().is_ok_and(|probed| probed.status.success()) {
        println!("SKIPPED: there is no python3");
        return;
    }
    let mut count = 0;
    for page in pages().into_iter().filter(|page| !OF_CLIENTS.contains(&page.path.as_str())) {
        for (_, text) in page.blocks(|info| info == "python") {
            let parsed = Command::new("python3").args(["-c", read, text]).output().expect("python3");
            assert!(parsed.status.success(), "{}: {text}{}", page.path, String::from_utf8_lossy(&parsed.stderr));
            count += 1;
        }
    }
    assert!(count >= 5, "{count} examples");
}
