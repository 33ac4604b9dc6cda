//! A page of the documentation: its blocks of commands, and remarks for tests.
//!
//! The word after `sh` says how a block runs: `terminal` in a terminal of its own, `no_run` elsewhere (its syntax and
//! flags are checked). A `console` block has commands after `$ `, each followed by its output. An HTML comment that
//! begins with `test:` is an instruction for the test, which readers do not see:
//!
//! - `test: after PAGE`: the commands of another page come first
//! - `test: others need no more`: pages that come after this one go on from here
//! - `test: until COMMAND`: waits until it succeeds
//! - `test: stop PORT`: what a reader does with Ctrl-C in the terminal of the node on this port
//! - `test: run COMMAND`: what a reader does by other means, such as an editor

use std::path::{Path, PathBuf};

/// A part of a page, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A fenced block: the words after the fence, and the text.
    Block { info: String, text: String },
    /// What a test does that a reader does not type.
    Test { verb: String, rest: String },
}

/// A page.
pub struct Page {
    /// Its path in the repository, with slashes.
    pub path: String,
    pub text: String,
    pub parts: Vec<Part>,
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder of the repository that are wanted, without those that are built or fetched.
pub fn files(folder: &str, wanted: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let skipped =
        |name: &str| name.starts_with('.') || ["target", "node_modules", "corpus", "artifacts"].contains(&name);
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if entry.file_type().expect("a type").is_dir() {
                if !skipped(&name) {
                    folders.push(path);
                }
            } else if wanted(&path) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

/// The Markdown files below a folder.
pub fn markdown_files(folder: &str) -> Vec<String> {
    files(folder, &|path| path.extension().is_some_and(|extension| extension == "md"))
}

/// README and the pages of `docs/`.
pub fn pages() -> Vec<Page> {
    std::iter::once("README.md".to_owned()).chain(markdown_files("docs")).map(|path| Page::read(&path)).collect()
}

impl Page {
    /// Reads a page of the repository.
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), parts: parts(path, &text), text }
    }

    /// The texts of blocks of one kind.
    pub fn blocks<'a>(&'a self, kind: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.parts.iter().filter_map(move |part| match part {
            Part::Block { info, text } if kind(info) => Some((info.as_str(), text.as_str())),
            _ => None,
        })
    }

    /// The pages whose commands come before those of this one.
    pub fn before(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Test { verb, rest } if verb == "after" => Some(rest.as_str()),
            _ => None,
        })
    }

    /// The text without fenced blocks, as lines with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                lines.push((number + 1, line));
            }
        }
        lines
    }
}

fn parts(path: &str, text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => parts.extend(open.take().map(|(info, text)| Part::Block { info, text })),
            (None, Some((_, text))) => text.extend([line, "\n"]),
            (None, None) => {
                let comment = line.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
                assert!(
                    comment.is_some() || !line.contains("<!-- test"),
                    "{path}: a comment for tests is a line: {line}"
                );
                if let Some((verb, rest)) = comment.and_then(|comment| comment.split_once(' ')) {
                    parts.push(Part::Test { verb: verb.to_owned(), rest: rest.to_owned() });
                }
            }
        }
    }
    assert!(open.is_none(), "{path}: a fence is not closed");
    parts
}
