//! Finds the prompt files of a folder, in subfolders and behind links.
//!
//! A link is followed if it leads to something inside the folder, as in Kubernetes volumes, whose files are links
//! through `..data`. Hidden names and files that do not end in `.prompt` are skipped silently; everything else that is
//! skipped is reported. Invariant: nothing outside the folder is read, and circular links end.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::prompt::PROMPT_FILE_EXTENSION;

/// Most prompt files of one folder.
pub const FILES_MAX: usize = 100_000;
/// Maximum depth of folders: a name has at most this many segments.
const DEPTH_MAX: usize = 100;
/// Most skipped files that are reported.
const SKIPPED_MAX: usize = 1_000;

/// The contents of a folder.
#[derive(Debug, Default)]
pub struct Tree {
    /// Prompt files by their path in the folder, with the metadata of the link's target.
    pub files: BTreeMap<PathBuf, Metadata>,
    /// Skipped files, with reasons.
    pub skipped: BTreeMap<PathBuf, String>,
}

/// Scans a folder.
///
/// # Errors
/// The folder itself cannot be read.
pub fn find(root: &Path) -> io::Result<Tree> {
    let mut walk = Walk { inside: root.canonicalize()?, tree: Tree::default(), above: Vec::new() };
    let metadata = fs::metadata(root)?;
    walk.folder(root, Path::new(""), &metadata)?;
    Ok(walk.tree)
}

struct Walk {
    /// The real path of the folder.
    inside: PathBuf,
    tree: Tree,
    /// The parent folders of the current one, by device and inode.
    above: Vec<(u64, u64)>,
}

impl Walk {
    fn folder(&mut self, path: &Path, below: &Path, metadata: &Metadata) -> io::Result<()> {
        let id = (metadata.dev(), metadata.ino());
        if self.above.contains(&id) {
            self.skip(below, "the link points to a folder above it");
            return Ok(());
        }
        if self.above.len() > DEPTH_MAX {
            self.skip(below, "it is nested too deeply for a prompt name");
            return Ok(());
        }
        let entries = fs::read_dir(path)?;
        self.above.push(id);
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.entry(&entry.path(), &below.join(entry.file_name()));
            }
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, path: &Path, below: &Path) {
        let extension = path.extension().unwrap_or_default();
        let named = extension == PROMPT_FILE_EXTENSION;
        let link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(_) if link && named => return self.skip(below, "the link is broken"),
            Err(error) if named => return self.skip(below, &format!("cannot read it: {error}")),
            Err(_) => return,
        };
        if link && (named || metadata.is_dir()) {
            let outside = |target: io::Result<PathBuf>| !target.is_ok_and(|target| target.starts_with(&self.inside));
            if outside(path.canonicalize()) {
                return self.skip(below, "the link points outside the folder; copy the file, or move it inside");
            }
        }
        if metadata.is_dir() {
            if let Err(error) = self.folder(path, below, &metadata) {
                self.skip(below, &format!("cannot read the folder: {error}"));
            }
        } else if !named {
            if extension.eq_ignore_ascii_case(PROMPT_FILE_EXTENSION) {
                self.skip(below, "it does not end in lower-case .prompt; rename it");
            }
        } else if !metadata.is_file() {
            self.skip(below, "it is not a regular file");
        } else if self.tree.files.len() >= FILES_MAX {
            self.skip(below, &format!("the folder has more than {FILES_MAX} prompt files"));
        } else {
            self.tree.files.insert(below.to_owned(), metadata);
        }
    }

    fn skip(&mut self, below: &Path, reason: &str) {
        if self.tree.skipped.len() < SKIPPED_MAX {
            self.tree.skipped.insert(below.to_owned(), reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_inside_the_folder_are_followed_and_other_entries_are_reported() {
        let temporary = tempfile::tempdir().expect("a folder");
        let (root, outside) = (temporary.path().join("mount"), temporary.path().join("outside"));
        fs::create_dir_all(root.join("..2026_11_28/support")).expect("folders");
        fs::create_dir_all(&outside).expect("a folder");
        fs::write(root.join("..2026_11_28/a.prompt"), "a").expect("a file");
        fs::write(root.join("..2026_11_28/support/b.prompt"), "b").expect("a file");
        fs::write(outside.join("c.prompt"), "c").expect("a file");
        for (link, target) in [
            ("..data", Path::new("..2026_11_28")),
            ("a.prompt", Path::new("..data/a.prompt")),
            ("support", Path::new("..data/support")),
            ("gone.prompt", Path::new("..data/gone.prompt")),
            ("circle", Path::new(".")),
            ("c.prompt", &outside.join("c.prompt")),
            ("elsewhere", outside.as_path()),
            ("passwd", Path::new("/etc/passwd")),
        ] {
            symlink(target, root.join(link)).expect(link);
        }
        fs::write(root.join("LOUD.PROMPT"), "x").expect("a file");
        fs::write(root.join("README.md"), "x").expect("a file");
        fs::create_dir(root.join("folder.prompt")).expect("a folder");
        let found = find(&root).expect("a folder");
        let files: Vec<_> = found.files.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(files, ["a.prompt", "support/b.prompt"]);
        let skipped: Vec<_> = found.skipped.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(skipped, ["LOUD.PROMPT", "c.prompt", "circle", "elsewhere", "gone.prompt"]);
        assert!(find(&root.join("nowhere")).is_err());
    }
}
