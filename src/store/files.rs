//! Small files beside the database: written whole or not at all, and durable when written.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file in which a replica keeps the highest rank that it ever accepted.
pub const WATERMARK_FILE: &str = "watermark";

/// Replaces a file: temporary file, fsync, rename, fsync of the directory. `mode` is its permissions.
///
/// # Errors
/// The file system refuses; then the old file is as it was.
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

/// Makes renames and new names in a directory durable.
///
/// # Errors
/// The file system refuses.
pub fn sync_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}
