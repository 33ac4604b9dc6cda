//! A folder of prompt files.
//!
//! It only reads; `push`, `pull` and `import` act. Invariant: each prompt has one file, and `files` can parse every
//! file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::disk;
use super::error::CliError;
use super::output::{Output, WARN, one_line, paint};
use crate::files::compare::{FileIds, ParsedFile, read as read_prompt};
use crate::files::lockfile::{LOCKFILE_BYTES_MAX, LOCKFILE_NAME, Lockfile};
use crate::files::path::name_of;
use crate::files::prompt::{PROMPT_FILE_BYTES_MAX, PromptFile};
use crate::model::count::count;
use crate::model::name::PromptName;
use crate::watch::tree;

/// One prompt file.
#[derive(Clone, Debug)]
pub struct FolderFile {
    /// Its path, relative to the folder.
    pub path: PathBuf,
    /// Its content and labels.
    pub file: PromptFile,
    /// The IDs under which a registry may have its content.
    pub ids: FileIds,
}

/// Reads a prompt file and computes the IDs of its content.
pub fn read_file(path: &Path) -> Result<ParsedFile, CliError> {
    let wrong = |error: String| CliError::usage(format!("{}: {error}", path.display()));
    read_prompt(&disk::read_text(path, PROMPT_FILE_BYTES_MAX)?).map_err(wrong)
}

/// Reads every prompt file below a folder, as `serve --watch` does; skipped files are reported as warnings.
///
/// # Errors
/// Every unreadable file is reported, not only the first.
pub fn read(folder: &Path, output: Output) -> Result<BTreeMap<PromptName, FolderFile>, CliError> {
    let found = tree::find(folder).map_err(|error| CliError::file("read", folder, &error))?;
    for (path, reason) in &found.skipped {
        let path = one_line(&path.display().to_string());
        output.note(format!("{}: skipped {path}: {reason}", paint(WARN.bold(), "warning")));
    }
    let mut files = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in found.files.into_keys() {
        let name = match name_of(&path) {
            Ok(name) => name,
            Err(error) => {
                wrong.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        match read_file(&folder.join(&path)) {
            Ok(ParsedFile { file, ids }) => {
                if let Some(other) = files.insert(name, FolderFile { path: path.clone(), file, ids }) {
                    wrong.push(format!("{} is the same prompt as {}", path.display(), other.path.display()));
                }
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        return Ok(files);
    }
    let are = if wrong.len() == 1 { "is" } else { "are" };
    let message = format!("{} {are} invalid; nothing was changed", count(wrong.len(), "prompt file"));
    Err(CliError::usage(message).details(wrong))
}

/// Reads the lock file of a folder, if there is one.
pub fn read_lockfile(out: &Path) -> Result<Option<Lockfile>, CliError> {
    let path = out.join(LOCKFILE_NAME);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = disk::read_text(&path, LOCKFILE_BYTES_MAX)?;
    Lockfile::parse(&text).map(Some).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_read_and_every_invalid_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |path: &str, text: &str| disk::write(&folder.path().join(path), text.as_bytes()).expect(path);
        put("support/agent.prompt", "Hi\n");
        put("b.prompt", "{{role \"user\"}}\nHi\n");
        put(".hidden/x.prompt", "---\n");
        put("README.md", "---\n");
        let output = Output::stdout(true);
        let files = read(folder.path(), output).expect("two files");
        let names: Vec<_> = files.keys().map(PromptName::as_str).collect();
        assert_eq!(names, ["b", "support/agent"]);
        put("bad.prompt", "---\n");
        put("wor@se.prompt", "");
        put("b%20.prompt", "");
        put("%62.prompt", "");
        let error = read(folder.path(), output).expect_err("four are wrong");
        assert_eq!(error.details.len(), 4, "{error:?}");
        assert!(error.details.iter().any(|detail| detail.contains("same prompt as")), "{error:?}");
    }
}
