//! Checks the data directory of a primary before anything is opened: whether a registry can be created there.
//!
//! A registry is created only in an empty directory. Keys, public records or an empty database file are the remains of
//! a registry that lost its database: a new one under the old keys would make every replica drop its state.

use std::path::{Path, PathBuf};

use crate::signing::key_files::KEYS_FOLDER;
use crate::signing::trust_files::TRUST_FOLDER;
use crate::store::REGISTRY_FILE;
use crate::store::create::has_database;
use crate::store::files::WATERMARK_FILE;

/// The folder in which a first start works. While it exists and the database does not, the keys beside it are not used
/// yet.
pub const FIRST_START_FOLDER: &str = ".first-start";
/// The file with the admin token that the first start generated; safe to delete.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// The folder in which a restore works.
pub const RESTORE_FOLDER: &str = ".restore";

/// The contents of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryContents {
    /// A database.
    Database,
    /// No registry, or the leftovers of an interrupted first start.
    Nothing,
}

/// Why nothing can be created in a directory.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum DirectoryError {
    #[error(
        "{path} held a registry ({found}), and its database {REGISTRY_FILE} is {state}: put the file back, or restore a backup with `bookholder restore FILE --data {path}`; to start a new registry, which replicas of the old one will not follow, choose an empty directory",
        path = path.display()
    )]
    DatabaseLost { path: PathBuf, found: String, state: &'static str },
    #[error(
        "a restore into {path} was interrupted: run `bookholder restore FILE --data {path}` again",
        path = path.display()
    )]
    RestoreCutShort { path: PathBuf },
    #[error(
        "{} belongs to a primary (it holds {found}); use a different --data for the replica",
        path.display()
    )]
    IsPrimary { path: PathBuf, found: String },
}

/// Inspects the directory of a primary.
///
/// # Errors
/// It held a registry whose database is missing or empty, or a restore was interrupted.
pub fn look(directory: &Path) -> Result<DirectoryContents, DirectoryError> {
    if has_database(directory) {
        return Ok(DirectoryContents::Database);
    }
    let path = directory.to_owned();
    if directory.join(RESTORE_FOLDER).exists() {
        return Err(DirectoryError::RestoreCutShort { path });
    }
    let began = directory.join(FIRST_START_FOLDER).exists();
    let empty = directory.join(REGISTRY_FILE).exists();
    let mut found = remains(directory);
    if began {
        found.retain(|name| *name != KEYS_FOLDER);
    }
    if directory.join(WATERMARK_FILE).exists() {
        found.push(WATERMARK_FILE);
    }
    if empty {
        found.push(REGISTRY_FILE);
    }
    if found.is_empty() {
        return Ok(DirectoryContents::Nothing);
    }
    let state = if empty { "empty" } else { "missing" };
    Err(DirectoryError::DatabaseLost { path, found: found.join(", "), state })
}

/// Checks that a replica can be created in a directory. The remains of a replica itself are fine: it keeps the highest
/// position that it accepted, and downloads the rest again.
///
/// # Errors
/// It held a primary, whose database is missing.
pub fn check_for_replica(directory: &Path) -> Result<(), DirectoryError> {
    let path = directory.to_owned();
    if has_database(directory) {
        return Ok(());
    }
    if directory.join(RESTORE_FOLDER).exists() {
        return Err(DirectoryError::RestoreCutShort { path });
    }
    let found = remains(directory);
    if found.is_empty() { Ok(()) } else { Err(DirectoryError::IsPrimary { path, found: found.join(", ") }) }
}

/// The folders of a primary that are not empty.
fn remains(directory: &Path) -> Vec<&'static str> {
    let holds = |name: &&str| std::fs::read_dir(directory.join(name)).is_ok_and(|mut files| files.next().is_some());
    [KEYS_FOLDER, TRUST_FOLDER].into_iter().filter(holds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, each with one byte unless its name ends in `=`.
    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = directory.path().join(file.trim_end_matches(['=', '/']));
            if file.ends_with('/') {
                std::fs::create_dir_all(path).expect("a folder");
                continue;
            }
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, if file.ends_with('=') { "" } else { "x" }).expect("a file");
        }
        directory
    }

    #[test]
    fn registry_is_created_only_in_a_directory_without_one() {
        for (files, expected) in [
            (&[][..], "nothing"),
            (&["lost+found/", "bookholder.toml"], "nothing"),
            (&["keys/", "trust/"], "nothing"),
            (&["keys/root.key", ".first-start/"], "nothing"),
            (&["keys/root.key", ".first-start/registry.redb"], "nothing"),
            (&["registry.redb"], "database"),
            (&["registry.redb", "keys/root.key", "trust/root-1", ".restore/registry.redb"], "database"),
            (&["keys/root.key"], "(keys), and its database registry.redb is missing"),
            (&["trust/root-1"], "(trust), and its database registry.redb is missing"),
            (&["keys/root.key", "trust/root-1"], "(keys, trust), and"),
            (&["keys/root.key", "trust/root-1", ".first-start/"], "(trust), and"),
            (&["watermark"], "(watermark), and"),
            (&["registry.redb="], "(registry.redb), and its database registry.redb is empty"),
            (&["registry.redb=", "keys/root.key"], "(keys, registry.redb), and its database registry.redb is empty"),
            (&[".restore/registry.redb"], "was interrupted"),
            (&[".restore/", "keys/root.key"], "was interrupted"),
        ] {
            let directory = directory(files);
            let found = match look(directory.path()) {
                Ok(DirectoryContents::Nothing) => "nothing".to_owned(),
                Ok(DirectoryContents::Database) => "database".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expected), "{files:?}: {found}");
        }
    }

    #[test]
    fn replica_is_created_only_where_no_primary_was() {
        for (files, allowed) in [
            (&[][..], true),
            (&["watermark"], true),
            (&["registry.redb=", "watermark"], true),
            (&["registry.redb", "keys/root.key"], true),
            (&["keys/checkpoint.key"], false),
            (&["trust/root-1", "watermark"], false),
            (&[".restore/"], false),
        ] {
            assert_eq!(check_for_replica(directory(files).path()).is_ok(), allowed, "{files:?}");
        }
    }
}
