//! The signed root documents and epoch records of a registry as files in its data directory. They can be read while a
//! node runs, and survive the loss of the database: a restore takes from them what is newer than its backup.

use std::collections::BTreeMap;
use std::io::{Error, Read, Result};
use std::path::Path;

use crate::crypto::note::{NOTE_BYTES_MAX, Note};
use crate::store::files::replace;
use crate::trust::epoch::EpochRecord;
use crate::trust::root::ROOT_BYTES_MAX;

/// The folder of public records in the data directory.
pub const TRUST_FOLDER: &str = "trust";

/// Signed root documents and epoch records, each in numerical order.
#[derive(Clone, Debug, Default)]
pub struct TrustFiles {
    /// The root documents from the first on.
    pub roots: Vec<Vec<u8>>,
    /// The epoch records; numbers can be missing.
    pub epochs: Vec<Vec<u8>>,
}

/// Writes the files that are missing or differ.
///
/// # Errors
/// An epoch record cannot be read, or a file cannot be written.
pub fn publish(directory: &Path, roots: &[Vec<u8>], epochs: &[Vec<u8>]) -> Result<()> {
    let folder = directory.join(TRUST_FOLDER);
    std::fs::create_dir_all(&folder)?;
    let roots = (1_u64..).zip(roots).map(|(version, note)| Ok::<_, Error>((format!("root-{version}"), note)));
    let epochs = epochs.iter().map(|note| Ok((format!("epoch-{}", epoch_number(note)?), note)));
    for file in roots.chain(epochs) {
        let (name, note) = file?;
        let path = folder.join(name);
        // A start does not write files that are already right: the file system may be read-only.
        if !std::fs::read(&path).is_ok_and(|there| there == *note) {
            replace(&path, note, 0o644)?;
        }
    }
    Ok(())
}

/// Reads the files, if there are any. Their contents are not verified here.
pub fn published(directory: &Path) -> Result<TrustFiles> {
    let (mut roots, mut epochs) = (BTreeMap::new(), BTreeMap::new());
    let folder = directory.join(TRUST_FOLDER);
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(TrustFiles::default()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (files, number, bytes_max) = match name.split_once('-') {
            Some(("root", number)) => (&mut roots, number, ROOT_BYTES_MAX),
            Some(("epoch", number)) => (&mut epochs, number, NOTE_BYTES_MAX),
            _ => continue,
        };
        let Ok(number) = number.parse::<u64>() else { continue };
        let mut note = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(&path)?.take(limit).read_to_end(&mut note)?;
        files.insert(number, note);
    }
    Ok(TrustFiles { roots: roots.into_values().collect(), epochs: epochs.into_values().collect() })
}

fn epoch_number(note: &[u8]) -> Result<u64> {
    let note = Note::parse(note, NOTE_BYTES_MAX).map_err(Error::other)?;
    Ok(EpochRecord::parse(note.text()).map_err(Error::other)?.epoch)
}
