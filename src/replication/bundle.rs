//! A bundle: the replication data in a directory, for transport without a network.
//!
//! `replication/v1/root/<n>`, `epoch/<e>`, `view/all/checkpoint`, `view/all/manifest/<hash>`,
//! `view/all/snapshot/<hash>`, `view/all/telemetry/<hash>`. The checkpoint signs the manifest by hash and length, and
//! the manifest names the snapshot by hash and length, and likewise what the primary has of the telemetry of replicas:
//! nothing is decompressed or parsed before it is authenticated.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::engine::Event;
use super::publish_error::PublishError;
use crate::signing::signer::Signer;
use crate::store::delta::{self, Scope};
use crate::store::read::ReadTxn;
use crate::store::regular::open_regular;
use crate::telemetry::store::SpoolId;
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::trust::root::ROOT_BYTES_MAX;
use crate::trust::root_chain::ROOT_DOCUMENTS_MAX;

/// The root of the tree in a bundle.
const TREE: &str = "replication/v1";
/// The newest checkpoint, relative to the root.
pub(super) const CHECKPOINT: &str = "view/all/checkpoint";
/// First line of a manifest.
const MANIFEST_CONTEXT: &str = "bookholder/manifest/v1";
/// The word of the manifest for the list of merged telemetry.
const MERGED: &str = "telemetry";
/// Largest manifest, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Largest list of merged telemetry, in bytes.
const MERGED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most epoch records of a bundle.
const EPOCHS_MAX: usize = 4_096;

/// Why a bundle is rejected.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum BundleError {
    #[error("{} is missing from the bundle, or unreadable", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is over its limit of {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: u64 },
    #[error("{} does not match the signed checkpoint; copy the bundle again", path.display())]
    Hash { path: PathBuf },
    #[error("cannot read the manifest; it is not a bundle, or a newer program wrote it")]
    Manifest,
    #[error("the checkpoint of this bundle signs no manifest")]
    NoManifest,
}

impl BundleError {
    /// A stable code for metrics and status.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "missing",
            Self::TooLarge { .. } => "size",
            Self::Hash { .. } => "hash",
            Self::Manifest | Self::NoManifest => "parse",
        }
    }
}

/// Telemetry of a replica that the primary has: of a spool, the batches through a number.
pub type Merged = (SpoolId, u64);

/// What a bundle is made of.
pub(super) struct Contents<'c> {
    pub(super) txn: &'c ReadTxn,
    pub(super) signer: &'c Signer,
    pub(super) scope: &'c Scope,
    pub(super) lifetime_s: i64,
    /// What replicas no longer have to keep.
    pub(super) merged: &'c [Merged],
}

/// Writes a bundle as a tar archive.
pub(super) fn export(contents: &Contents<'_>, out: &File, scratch: &Path) -> Result<(), PublishError> {
    let Contents { txn, signer, scope, lifetime_s, merged } = *contents;
    let mut snapshot = tempfile::tempfile_in(scratch)?;
    delta::write(txn, scope, crate::model::position::Position::default(), std::io::BufWriter::new(&snapshot))?;
    snapshot.rewind()?;
    let (hash, length) = hash_of(&mut snapshot)?;
    snapshot.rewind()?;
    let merged: String = merged.iter().map(|(spool, through)| format!("{spool} {through}\n")).collect();
    let merged_hash = blake3::hash(merged.as_bytes()).to_hex();
    let manifest = format!(
        "{MANIFEST_CONTEXT}\nat {}\nsnapshot {} {length}\n{MERGED} {merged_hash} {}\n",
        txn.head()?.position,
        hash.to_hex(),
        merged.len()
    );
    let manifest_hash = blake3::hash(manifest.as_bytes());
    let note = signer.sign_again(txn, lifetime_s, |checkpoint| {
        checkpoint.manifest = Some((*manifest_hash.as_bytes(), manifest.len() as u64));
    })?;
    let (roots, epochs) = txn.trust()?;
    let mut archive = tar::Builder::new(std::io::BufWriter::new(out));
    for (folder, documents) in [("root", &roots), ("epoch", &epochs)] {
        for (index, document) in documents.iter().enumerate() {
            append(&mut archive, &format!("{folder}/{}", index + 1), document.len() as u64, document.as_slice())?;
        }
    }
    append(&mut archive, &format!("view/all/snapshot/{}", hash.to_hex()), length, &mut snapshot)?;
    append(&mut archive, &format!("view/all/telemetry/{merged_hash}"), merged.len() as u64, merged.as_bytes())?;
    append(
        &mut archive,
        &format!("view/all/manifest/{}", manifest_hash.to_hex()),
        manifest.len() as u64,
        manifest.as_bytes(),
    )?;
    append(&mut archive, CHECKPOINT, note.len() as u64, note.as_slice())?;
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, length: u64, data: impl Read) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, format!("{TREE}/{path}"), data)
}

/// A bundle in a directory, for reading.
pub struct Bundle {
    tree: PathBuf,
}

impl Bundle {
    /// The bundle in this directory, if there is one.
    pub fn find(directory: &Path) -> Option<Self> {
        let tree = directory.join(TREE);
        tree.join(CHECKPOINT).is_file().then_some(Self { tree })
    }

    /// The directory of its files.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Reads everything except the data, for the engine to evaluate.
    ///
    /// # Errors
    /// A file is missing or over its limit.
    pub fn offer(&self) -> Result<Event, BundleError> {
        let numbered = |folder: &str, most: usize| {
            let mut documents = Vec::new();
            for number in 1..=most as u64 {
                let path = self.tree.join(folder).join(number.to_string());
                if !path.exists() {
                    break;
                }
                documents.push((number, read(&path, ROOT_BYTES_MAX as u64)?));
            }
            Ok::<_, BundleError>(documents)
        };
        Ok(Event::Offered {
            roots: numbered("root", ROOT_DOCUMENTS_MAX)?,
            epochs: numbered("epoch", EPOCHS_MAX)?,
            note: read(&self.tree.join(CHECKPOINT), CHECKPOINT_BYTES_MAX as u64)?,
        })
    }

    /// Opens the snapshot that a verified checkpoint signs, after verifying every byte of it.
    ///
    /// # Errors
    /// A file is missing, over its limit, or does not match its signature.
    pub fn snapshot(&self, checkpoint: &Checkpoint) -> Result<File, BundleError> {
        let (hash, length) = self.manifest(checkpoint)?.snapshot;
        let path = self.tree.join("view/all/snapshot").join(hash.to_hex().as_str());
        let io = |source| BundleError::Read { path: path.clone(), source };
        let mut file = open_regular(&path).map_err(io)?;
        if file.metadata().map_err(io)?.len() != length || hash_of(&mut file).map_err(io)?.0 != hash {
            return Err(BundleError::Hash { path });
        }
        file.rewind().map_err(io)?;
        Ok(file)
    }

    /// What the primary has of the telemetry of replicas, if a verified checkpoint signs it.
    ///
    /// # Errors
    /// A file is missing, over its limit, or does not match its signature.
    pub fn merged(&self, checkpoint: &Checkpoint) -> Result<Vec<Merged>, BundleError> {
        let Some((hash, length)) = self.manifest(checkpoint)?.merged else { return Ok(Vec::new()) };
        let path = self.tree.join("view/all/telemetry").join(hash.to_hex().as_str());
        let list = read(&path, MERGED_BYTES_MAX)?;
        if list.len() as u64 != length || blake3::hash(&list) != hash {
            return Err(BundleError::Hash { path });
        }
        let list = std::str::from_utf8(&list).map_err(|_| BundleError::Manifest)?;
        let line = |line: &str| {
            let (spool, through) = line.split_once(' ')?;
            Some((spool.parse().ok()?, through.parse().ok()?))
        };
        list.lines().map(line).collect::<Option<_>>().ok_or(BundleError::Manifest)
    }

    /// Whether the manifest that a checkpoint signs is in this bundle.
    pub(super) fn has_manifest_of(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.manifest.is_some_and(|(hash, _)| self.manifest_path(hash).is_file())
    }

    fn manifest_path(&self, hash: [u8; 32]) -> PathBuf {
        self.tree.join("view/all/manifest").join(blake3::Hash::from_bytes(hash).to_hex().as_str())
    }

    fn manifest(&self, checkpoint: &Checkpoint) -> Result<Manifest, BundleError> {
        let (hash, length) = checkpoint.manifest.ok_or(BundleError::NoManifest)?;
        let path = self.manifest_path(hash);
        let manifest = read(&path, MANIFEST_BYTES_MAX)?;
        if manifest.len() as u64 != length || *blake3::hash(&manifest).as_bytes() != hash {
            return Err(BundleError::Hash { path });
        }
        Manifest::parse(&manifest).ok_or(BundleError::Manifest)
    }
}

/// Hash and length of the files of a bundle.
struct Manifest {
    snapshot: (blake3::Hash, u64),
    merged: Option<(blake3::Hash, u64)>,
}

impl Manifest {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != MANIFEST_CONTEXT {
            return None;
        }
        lines.next()?.strip_prefix("at ")?;
        let file = |text: &str| {
            let (hash, length) = text.split_once(' ')?;
            Some((blake3::Hash::from_hex(hash).ok()?, length.parse().ok()?))
        };
        let snapshot = file(lines.next()?.strip_prefix("snapshot ")?)?;
        let merged = lines.find_map(|line| line.strip_prefix(MERGED)?.strip_prefix(' '));
        Some(Self { snapshot, merged: merged.map(file).map_or(Some(None), |file| file.map(Some))? })
    }
}

fn hash_of(file: &mut File) -> std::io::Result<(blake3::Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let length = std::io::copy(file, &mut hasher)?;
    Ok((hasher.finalize(), length))
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
    let io = |source| BundleError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    open_regular(path).map_err(io)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(BundleError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}
