//! A folder of prompt files.
//!
//! It reads; `push`, `pull` and `import` decide what that means. Invariant: each prompt has one file, and every file
//! is one that `files` can read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk;
use super::error::CliError;
use crate::files::path::name_of;
use crate::files::prompt::{PROMPT_FILE_BYTES_MAX, PROMPT_FILE_EXTENSION, PromptFile, parse};
use crate::model::content_id::ContentId;
use crate::model::name::PromptName;

/// Most prompt files of one folder.
pub const FILES_MAX: usize = 100_000;
/// How deep folders may lie in each other: a name has at most this many segments.
const DEPTH_MAX: usize = 100;

/// One prompt file.
#[derive(Clone, Debug)]
pub struct FolderFile {
    /// Where it lies, relative to the folder.
    pub path: PathBuf,
    /// What it says.
    pub file: PromptFile,
    /// The id of its content, as it is written.
    pub content_id: ContentId,
}

/// Reads a prompt file and the id of what it says.
pub fn read_file(path: &Path) -> Result<(PromptFile, ContentId), CliError> {
    let wrong = |error: String| CliError::usage(format!("{}: {error}", path.display()));
    let file = parse(&disk::read_text(path, PROMPT_FILE_BYTES_MAX)?).map_err(|error| wrong(error.to_string()))?;
    let content_id = file.content.id().map_err(|error| wrong(error.to_string()))?;
    Ok((file, content_id))
}

/// Reads every prompt file below a folder; hidden files and links are left alone.
///
/// # Errors
/// Every file that cannot be read is named, not only the first.
pub fn read(folder: &Path) -> Result<BTreeMap<PromptName, FolderFile>, CliError> {
    let mut paths = Vec::new();
    walk(folder, Path::new(""), 0, &mut paths)?;
    paths.sort();
    let mut files = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in paths {
        let name = match name_of(&path) {
            Ok(name) => name,
            Err(error) => {
                wrong.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        match read_file(&folder.join(&path)) {
            Ok((file, content_id)) => {
                if let Some(other) = files.insert(name, FolderFile { path: path.clone(), file, content_id }) {
                    wrong.push(format!("{} is the same prompt as {}", path.display(), other.path.display()));
                }
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        return Ok(files);
    }
    let message = format!("{} cannot be used; nothing was changed", super::output::count(wrong.len(), "prompt file"));
    Err(CliError::usage(message).details(wrong))
}

fn walk(root: &Path, below: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let folder = root.join(below);
    let fail = |error: std::io::Error| CliError::file("read", &folder, &error);
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() {
            if depth >= DEPTH_MAX {
                return Err(CliError::usage(format!("{} lies too deep; no name has so many folders", path.display())));
            }
            walk(root, &path, depth + 1, paths)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == PROMPT_FILE_EXTENSION) {
            if paths.len() >= FILES_MAX {
                return Err(CliError::usage(format!("{} holds more than {FILES_MAX} prompt files", root.display())));
            }
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_and_every_wrong_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |path: &str, text: &str| disk::write(&folder.path().join(path), text.as_bytes()).expect(path);
        put("support/agent.prompt", "Hi\n");
        put("b.prompt", "{{role \"user\"}}\nHi\n");
        put(".hidden/x.prompt", "---\n");
        put("README.md", "---\n");
        let files = read(folder.path()).expect("two files");
        let names: Vec<_> = files.keys().map(PromptName::as_str).collect();
        assert_eq!(names, ["b", "support/agent"]);
        put("bad.prompt", "---\n");
        put("wor@se.prompt", "");
        put("b%20.prompt", "");
        put("%62.prompt", "");
        let error = read(folder.path()).expect_err("four are wrong");
        assert_eq!(error.details.len(), 4, "{error:?}");
        assert!(error.details.iter().any(|detail| detail.contains("same prompt as")), "{error:?}");
    }
}
