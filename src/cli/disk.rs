//! Local files: read within a size limit, replaced atomically.
//!
//! Invariant: a file that is written here has either its old or its new content, also after a crash.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::CliError;

/// Reads a file of at most `bytes_max` bytes; `-` is standard input.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CliError> {
    let fail = |error: std::io::Error| CliError::file("read", path, &error);
    let mut bytes = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        File::open(path).map_err(fail)?.take(limit).read_to_end(&mut bytes).map_err(fail)?;
    }
    if bytes.len() > bytes_max {
        return Err(CliError::usage(format!("{} is too large; the limit is {bytes_max} bytes", path.display())));
    }
    Ok(bytes)
}

/// The same, as text.
pub fn read_text(path: &Path, bytes_max: usize) -> Result<String, CliError> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|_| CliError::usage(format!("{} is not UTF-8 text; save it as UTF-8", path.display())))
}

/// A temporary file beside the one that it will replace.
pub struct Replacement {
    file: NamedTempFile,
    target: PathBuf,
}

impl Replacement {
    /// Creates a file; only its owner can read it if it is `private`.
    pub fn of(target: &Path, private: bool) -> Result<Self, CliError> {
        let folder = parent(target);
        fs::create_dir_all(folder).map_err(|error| CliError::file("make", folder, &error))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".bookholder-");
        let permissions = mode(if private { 0o600 } else { 0o666 });
        if let Some(permissions) = permissions {
            builder.permissions(permissions);
        }
        let file = builder.tempfile_in(folder).map_err(|error| CliError::file("write into", folder, &error))?;
        Ok(Self { file, target: target.to_owned() })
    }

    /// The writer.
    pub fn writer(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Makes the file durable and renames it to its final path.
    pub fn commit(self) -> Result<(), CliError> {
        let fail = |error: std::io::Error| CliError::file("write", &self.target, &error);
        self.file.as_file().sync_all().map_err(fail)?;
        self.file.persist(&self.target).map_err(|error| fail(error.error))?;
        sync_folder(parent(&self.target));
        Ok(())
    }
}

/// Writes a whole file; an existing one is replaced.
pub fn write(target: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_as(target, bytes, false)
}

/// The same, for a file that only its owner can read.
pub fn write_private(target: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_as(target, bytes, true)
}

fn write_as(target: &Path, bytes: &[u8], private: bool) -> Result<(), CliError> {
    let mut replacement = Replacement::of(target, private)?;
    replacement.writer().write_all(bytes).map_err(|error| CliError::file("write", target, &error))?;
    replacement.commit()
}

/// A new temporary folder beside `target`.
pub fn folder_beside(target: &Path) -> Result<tempfile::TempDir, CliError> {
    let folder = parent(target);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bookholder-");
    if let Some(permissions) = mode(0o777) {
        builder.permissions(permissions);
    }
    builder.tempdir_in(folder).map_err(|error| CliError::file("write into", folder, &error))
}

/// Makes the entries of a folder durable, if the system supports that.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        // Some file systems do not; the files themselves are synced.
        let _ = folder.sync_all();
    }
}

/// Rejects a path whose parent folder does not exist: an unmounted disk, or a typo.
pub fn check_folder(path: &Path) -> Result<(), CliError> {
    let folder = parent(path);
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("the folder {} does not exist", folder.display());
    Err(CliError::usage(message).hint("create it with mkdir, or mount its disk"))
}

/// The parent folder of a path.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no modes")]
fn mode(mode: u32) -> Option<fs::Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn mode(_: u32) -> Option<fs::Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_atomically() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b.txt");
        write(&path, b"one").expect("written");
        let mut replacement = Replacement::of(&path, true).expect("begun");
        replacement.writer().write_all(b"tw").expect("half of it");
        drop(replacement);
        assert_eq!(read_text(&path, 3).expect("read"), "one");
        assert_eq!(fs::read_dir(folder.path().join("a")).expect("a folder").count(), 1, "nothing is left behind");
        let error = read(&path, 2).expect_err("over the limit");
        assert!(error.to_string().contains("the limit is 2 bytes"), "{error}");
    }
}
