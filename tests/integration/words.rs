//! The words of the program: the help of every command, and the texts in its source, in plain technical English.
//!
//! It reads texts that people meet, so comments and tests are not read.

use std::path::{Path, PathBuf};

use crate::support::command::bookholder;

/// Words and phrases that no text uses, each with a replacement. A space marks the edge of a word.
const FORBIDDEN: [(&str, &str); 38] = [
    (" is no ", "is not a, not a valid"),
    (" are no ", "are not"),
    (" nobody ", "no one, or the thing that acts"),
    (" somebody ", "someone"),
    (" everybody ", "everyone"),
    (" anybody ", "anyone"),
    (" whoever ", "people who, anyone who"),
    (" whom ", "who, or the name of the role"),
    (" shall ", "must, will, or the imperative"),
    (" anew ", "again"),
    (" lately ", "recently"),
    (" for ever ", "never expires, no expiry"),
    (" meanwhile ", "since then"),
    (" worthless ", "revoked"),
    (" mend ", "fix"),
    (" mends ", "fixes"),
    (" stands in ", "is in"),
    (" lies in ", "is in"),
    (" lies on ", "is on"),
    (" stands nowhere", "is not"),
    (" makes it last ", "use"),
    (" take back ", "remove, withdraw, revoke"),
    (" is said ", "is recorded"),
    (" what became of ", "the result of"),
    (" at most so many ", "maximum number of"),
    (" is kept anew ", "is replaced"),
    (" breaks the glass ", "overrides"),
    (" break the glass ", "override"),
    (" all the same ", "anyway"),
    (" in force already ", "already installed"),
    (" as it shall ", "as expected"),
    (" say why ", "give a message"),
    (" whose word ", "which"),
    (" signs nobody ", "is not valid"),
    (" may not: ", "permission denied"),
    (" hears of ", "receives"),
    (" thereby ", "leave it out"),
    (" wherein ", "in which"),
];

/// The forbidden phrases of a text.
fn forbidden(text: &str) -> Vec<String> {
    let letters = |c: char| if c.is_alphanumeric() || c == ':' { c } else { ' ' };
    let words: String = text.to_lowercase().chars().map(letters).collect();
    let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
    let plain = ["there is no ", "there are no ", "is no longer ", "are no longer "];
    let words = plain.iter().fold(words, |words, phrase| words.replace(phrase, ""));
    let found = FORBIDDEN.iter().filter(|(phrase, _)| words.contains(phrase));
    found.map(|(phrase, instead)| format!("`{}` (write: {instead})", phrase.trim())).collect()
}

/// String literals of Rust source with the lines that they begin at; comments and unit tests are left out.
fn literals(source: &str) -> Vec<(usize, String)> {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '\'', '/', 'r']) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        let line = source[..source.len() - rest.len()].matches('\n').count() + 1;
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = text.find(|c| {
                let end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                end
            });
            let end = end.unwrap_or(text.len());
            found.push((line, text[..end].replace("\\n", "\n")));
            rest = text.get(end + 1..).unwrap_or_default();
        } else if rest.starts_with('r') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
            if let Some(text) = rest[1 + hashes..].strip_prefix('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let end = text.find(&close).unwrap_or(text.len());
                found.push((line, text[..end].to_owned()));
                rest = text.get(end + close.len()..).unwrap_or_default();
            } else {
                rest = &rest[1..];
            }
        } else if let Some(text) = rest.strip_prefix('\'') {
            // A character literal, possibly a quote; anything else is a lifetime.
            let mut inside = text.chars();
            let width = match (inside.next(), inside.next(), inside.next()) {
                (Some('\\'), Some(escaped), Some('\'')) => 2 + escaped.len_utf8(),
                (Some(c), Some('\''), _) => c.len_utf8() + 1,
                _ => 0,
            };
            rest = &text[width..];
        } else {
            rest = &rest[1..];
        }
    }
    found
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The help of a command and of all below it, as a terminal of 80 columns shows it.
fn helps(command: &[String]) -> Vec<(Vec<String>, String)> {
    let help = bookholder(command.iter().map(String::as_str).chain(["--help"])).env("COLUMNS", "80").ok().stdout;
    let mut all = vec![(command.to_vec(), help.clone())];
    let lists = help.lines().take_while(|line| !line.starts_with("Options:") && !line.starts_with("Arguments:"));
    for line in lists {
        let name = line.strip_prefix("  ").and_then(|line| line.split_once("  ")).map(|(name, _)| name);
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if let Some(name) = name.filter(|name| is_name(name) && *name != "help") {
            all.extend(helps(&[command, &[name.to_owned()]].concat()));
        }
    }
    all
}

#[test]
fn help_of_every_command_fits_80_columns_and_uses_plain_words() {
    let helps = helps(&[]);
    assert!(helps.len() > 80, "{} commands were found", helps.len());
    let mut wrong = Vec::new();
    for (command, help) in helps {
        let command = command.join(" ");
        wrong.extend(forbidden(&help).into_iter().map(|word| format!("help of `{command}`: {word}")));
        // Usage lines are the only ones that clap does not wrap.
        let long = help.lines().filter(|line| line.chars().count() > 80 && !line.starts_with("Usage: "));
        wrong.extend(long.map(|line| format!("help of `{command}`: longer than 80 columns: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_of_the_source_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let members = std::fs::read_dir(root.join("crates")).expect("crates").map(|member| member.expect("a crate").path());
    let sources: Vec<PathBuf> = members.chain([root.to_owned()]).map(|member| member.join("src")).collect();
    assert!(sources.len() > 5, "{sources:?}");
    for file in sources.iter().flat_map(|source| rust_files(source)) {
        let name = file.strip_prefix(root).expect("below the root").display().to_string();
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        for (line, text) in literals(&std::fs::read_to_string(&file).expect("a source file")) {
            wrong.extend(forbidden(&text).into_iter().map(|word| format!("{name}:{line}: {word} in {text:?}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn literals_are_read_without_comments_lifetimes_and_tests() {
    let source =
        "// \"a\"\nfn f<'a>() { g(\"b \\\" c\", '\"', r#\"d \" e\"#, 'x'); }\n#[cfg(test)]\nmod tests { \"f\" }";
    assert_eq!(literals(source), [(2, "b \\\" c".to_owned()), (2, "d \" e".to_owned())]);
}

#[test]
fn forbidden_words_are_found_in_any_case_and_across_punctuation() {
    assert_eq!(forbidden("Nobody signs; `x` is no label").len(), 2);
    assert!(forbidden("a label, an anewish shallot").is_empty());
}
