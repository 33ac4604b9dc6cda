//! Small files next to the database, replaced atomically and durably.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The database's file in the data directory.
pub const REGISTRY_FILE: &str = "registry.redb";
/// The file in which a replica stores the highest rank that it ever accepted.
pub const WATERMARK_FILE: &str = "watermark";

/// Replaces a file: temporary file, fsync, rename, fsync of the directory. `mode` is its permissions.
///
/// # Errors
/// The file system fails; then the old file is unchanged.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _best_effort = std::fs::remove_file(&temporary);
    }
    written
}

/// Makes renames and new files in a directory durable.
///
/// # Errors
/// The file system fails.
pub fn sync_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

/// Removes leftovers of processes that were killed while they replaced a file.
pub fn sweep(directory: &Path) {
    let of_another = |name: &str| {
        let process =
            name.strip_prefix('.').and_then(|name| name.rsplit_once('.')).and_then(|(_, id)| id.parse::<u32>().ok());
        process.is_some_and(|process| process != std::process::id())
    };
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.file_name().to_str().is_some_and(of_another) {
            let _best_effort = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leftovers_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = format!(".watermark.{}", std::process::id());
        let names = ["registry.redb", ".hidden", ".watermark.12x", own.as_str(), ".watermark.1", ".root.key.4194304"];
        for name in names {
            std::fs::write(folder.path().join(name), "text").expect("a file");
        }
        std::fs::create_dir(folder.path().join(".folder.1")).expect("a folder");
        sweep(folder.path());
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        left.sort();
        let mut kept = vec![".folder.1", ".hidden", ".watermark.12x", own.as_str(), "registry.redb"];
        kept.sort_unstable();
        assert_eq!(left, kept);
    }
}
