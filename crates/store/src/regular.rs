//! Opens regular files that others put there, and nothing that a reader could block on forever.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading. A named pipe, socket or device is rejected at once, where `File::open` would wait
/// for a writer.
///
/// # Errors
/// It does not exist, is not readable, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_pipe_and_folder_are_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
            let error = open_regular(path).expect_err("not a regular file");
            assert!(error.to_string().contains("not a regular file"), "{}: {error}", path.display());
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "text").expect("a file");
        assert_eq!(open_regular(&file).expect("a file").metadata().expect("its length").len(), 4);
    }
}
