//! Telemetry in a file, for a replica that cannot reach its primary: the batches of its spool as it would send them.
//!
//! A line that names the form, a header, and each batch with its signature by the key of the node. The key is made
//! beside the data of a replica and readable by its owner alone; a primary accepts batches of keys that an operator
//! trusts. It signs each batch with its place, so that the primary merges one after the other, needs no room for the
//! file, and goes on where an import ended; the file stays valid until then because nothing leaves the spool before the
//! primary has it.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::api::telemetry::TELEMETRY_BATCH_BYTES_MAX;
use crate::crypto::key::{KeyError, SigningKey, VerifyingKey};
use crate::crypto::secret::AccessToken;
use crate::model::time::Timestamp;
use crate::store::files::replace;
use crate::telemetry::store::{SpoolId, SpoolReading, Spooled, TelemetryError};

/// The file of the key in the data directory.
pub const FILE_KEY: &str = "telemetry.key";
/// First line of a file.
const FORM: &[u8] = b"bookholder/telemetry/v1\n";
/// What the signature of a batch begins with.
const SIGNATURE_CONTEXT: &[u8] = b"bookholder telemetry batch v1\n";
/// Largest header, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Domain of the access token that the owner of a data directory asks its running node with.
const TOKEN_CONTEXT: &str = "bookholder telemetry export token v1";

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHeader {
    /// The ID of the replica.
    pub replica: String,
    /// Its spool: 32 hex digits.
    pub node: String,
    /// The key that signed the batches.
    pub key: String,
    /// When the file was written.
    pub exported: Timestamp,
    /// Number of batches.
    pub batches: u64,
}

/// A batch in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileBatch {
    /// Whose it is.
    pub spool: SpoolId,
    /// Its number.
    pub number: u64,
    /// The signature.
    pub signature: [u8; 64],
    /// Its bytes.
    pub batch: Vec<u8>,
}

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum TelemetryFileError {
    #[error("cannot read or write the telemetry file: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("this is not a telemetry file of `bookholder telemetry export`, or a newer program wrote it")]
    Form,
    #[error("the file ends after batch {found} of {expected}; copy it again, or export it again")]
    Short { found: u64, expected: u64 },
    #[error("batch {0} of the file was changed on the way: its signature is invalid; copy it again")]
    Signature(u64),
    #[error("invalid key file {}: {source}", path.display())]
    Key { path: PathBuf, source: KeyError },
}

/// The key of a replica, and its ID.
pub struct FileSigner {
    key: SigningKey,
    replica: String,
}

impl FileSigner {
    /// Reads the key of a data directory, or makes one. With an ID, the file is made to name that.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not a key.
    pub fn open(directory: &Path, replica: Option<&str>) -> Result<Self, TelemetryFileError> {
        let path = directory.join(FILE_KEY);
        let known = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let (key, name) = text.split_once('\n').unwrap_or((&text, ""));
                let key = SigningKey::from_key_file(key);
                Some((
                    key.map_err(|source| TelemetryFileError::Key { path: path.clone(), source })?,
                    name.trim().to_owned(),
                ))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some((key, name)) = &known
            && replica.is_none_or(|replica| replica == name)
        {
            return Ok(Self { key: key.clone(), replica: name.clone() });
        }
        let key = match known {
            Some((key, _)) => key,
            None => SigningKey::generate().map_err(|source| TelemetryFileError::Key { path: path.clone(), source })?,
        };
        let signer = Self { key, replica: replica.unwrap_or("replica").to_owned() };
        replace(&path, format!("{}\n{}\n", signer.key.to_key_file(), signer.replica).as_bytes(), 0o600)?;
        Ok(signer)
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// The access token by which a running node recognizes the owner of its data directory.
    #[must_use]
    pub fn token(&self) -> Option<AccessToken> {
        let secret = blake3::derive_key(TOKEN_CONTEXT, self.key.to_key_file().as_bytes());
        AccessToken::parse(&format!("bh_{}", blake3::Hash::from_bytes(secret).to_hex())).ok()
    }

    /// Writes what waits in a spool into a file.
    ///
    /// # Errors
    /// The spool cannot be read, or the file not written.
    pub fn write(
        &self,
        batches: u64,
        mut spool: SpoolReading,
        exported: Timestamp,
        out: &mut impl Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<FileHeader, TelemetryFileError> {
        let header = FileHeader {
            replica: self.replica.clone(),
            node: format!("{:032x}", u128::from_be_bytes(spool.node())),
            key: self.key().to_string(),
            exported,
            batches,
        };
        let json = serde_json::to_vec(&header).map_err(io::Error::other)?;
        out.write_all(FORM)?;
        out.write_all(&length(&json)?)?;
        out.write_all(&json)?;
        let mut written = 0_u64;
        loop {
            let next = spool.next_batches()?;
            if next.is_empty() {
                out.flush()?;
                return Ok(header);
            }
            for Spooled { id, number, batch, .. } in next {
                let signed = signed_bytes(id, number, &self.replica, &batch);
                out.write_all(&id.epoch.to_be_bytes())?;
                out.write_all(&number.to_be_bytes())?;
                out.write_all(&self.key.sign(&signed))?;
                out.write_all(&length(&batch)?)?;
                out.write_all(&batch)?;
                written = written.saturating_add(1);
                progress(written);
            }
        }
    }
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    Ok(u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes())
}

/// What is signed of a batch: its place, the ID of the replica, and its bytes.
fn signed_bytes(spool: SpoolId, number: u64, replica: &str, batch: &[u8]) -> Vec<u8> {
    let mut signed = SIGNATURE_CONTEXT.to_vec();
    signed.extend_from_slice(&spool.node);
    signed.extend_from_slice(&spool.epoch.to_be_bytes());
    signed.extend_from_slice(&number.to_be_bytes());
    signed.extend_from_slice(blake3::hash(replica.as_bytes()).as_bytes());
    signed.extend_from_slice(blake3::hash(batch).as_bytes());
    signed
}

/// Whether a key signed a batch.
#[must_use]
pub fn is_signed(key: &VerifyingKey, replica: &str, batch: &FileBatch) -> bool {
    let signed = signed_bytes(batch.spool, batch.number, replica, &batch.batch);
    key.verifies(&signed, &batch.signature)
}

/// A file that is read from its start to its end.
pub struct TelemetryFile<R> {
    /// What it says about itself.
    pub header: FileHeader,
    key: VerifyingKey,
    node: [u8; 16],
    read: u64,
    from: R,
}

impl<R: Read> TelemetryFile<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// It is not a telemetry file, or cannot be read.
    pub fn open(mut from: R) -> Result<Self, TelemetryFileError> {
        let mut form = [0; FORM.len()];
        from.read_exact(&mut form).map_err(|_| TelemetryFileError::Form)?;
        if form != *FORM {
            return Err(TelemetryFileError::Form);
        }
        let json = bytes(&mut from, HEADER_BYTES_MAX)?.ok_or(TelemetryFileError::Form)?;
        let header: FileHeader = serde_json::from_slice(&json).map_err(|_| TelemetryFileError::Form)?;
        let key = header.key.parse().map_err(|_| TelemetryFileError::Form)?;
        let spool: SpoolId = format!("{}.{:016x}", header.node, 0).parse().map_err(|_| TelemetryFileError::Form)?;
        Ok(Self { header, key, node: spool.node, read: 0, from })
    }

    /// The next batch, with a valid signature; none at the end.
    ///
    /// # Errors
    /// It is damaged, or the file ends too early.
    pub fn next_batch(&mut self) -> Result<Option<FileBatch>, TelemetryFileError> {
        let expected = self.header.batches;
        if self.read >= expected {
            return Ok(None);
        }
        let short = TelemetryFileError::Short { found: self.read, expected };
        let mut head = [0; 80];
        if self.from.read_exact(&mut head).is_err() {
            return Err(short);
        }
        let (numbers, signature) = head.split_at(16);
        let (epoch, number) = numbers.split_at(8);
        let number_of = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let spool = SpoolId { node: self.node, epoch: number_of(epoch) };
        let signature = signature.try_into().map_err(|_| TelemetryFileError::Form)?;
        self.read = self.read.saturating_add(1);
        let Some(batch) = bytes(&mut self.from, TELEMETRY_BATCH_BYTES_MAX)? else { return Err(short) };
        let batch = FileBatch { spool, number: number_of(number), signature, batch };
        if !is_signed(&self.key, &self.header.replica, &batch) {
            return Err(TelemetryFileError::Signature(self.read));
        }
        Ok(Some(batch))
    }
}

/// Bytes after their length; none if they end too early or are too many.
fn bytes(from: &mut impl Read, bytes_max: usize) -> Result<Option<Vec<u8>>, TelemetryFileError> {
    let mut length = [0; 4];
    if from.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(TelemetryFileError::Form);
    }
    let mut bytes = Vec::new();
    let read = from.take(length as u64).read_to_end(&mut bytes)?;
    Ok((read == length).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::{Event, Response};
    use crate::telemetry::store::{Recorded, Role, TelemetryStore};

    /// A file with three batches.
    async fn file(directory: &Path) -> (FileSigner, Vec<u8>) {
        let spool = TelemetryStore::open(directory, Role::Spool { bytes_max: 1 << 20 }).expect("a spool");
        for id in ["a", "b"] {
            let response = Response { id: Some(id.to_owned()), ..Response::default() };
            let event = Recorded { event: Event::Response(Box::new(response)), repeat: None };
            spool.record(vec![event], 1_000).await.expect("recorded");
        }
        spool.mark_spool(5_000).await.expect("marked");
        let signer = FileSigner::open(directory, Some("edge-7")).expect("a key");
        let mut out = Vec::new();
        let at = Timestamp::from_ms(5_000);
        signer.write(3, spool.read_spool().expect("a spool"), at, &mut out, &mut |_| {}).expect("written");
        (signer, out)
    }

    fn read(bytes: &[u8]) -> Result<Vec<FileBatch>, TelemetryFileError> {
        let mut file = TelemetryFile::open(bytes)?;
        let mut found = Vec::new();
        while let Some(batch) = file.next_batch()? {
            found.push(batch);
        }
        Ok(found)
    }

    #[tokio::test]
    async fn file_has_every_batch_of_the_spool_with_a_signature() {
        let directory = tempfile::tempdir().expect("a folder");
        let (signer, bytes) = file(directory.path()).await;
        let header = TelemetryFile::open(bytes.as_slice()).expect("a file").header;
        assert_eq!((header.replica.as_str(), header.batches, header.key), ("edge-7", 3, signer.key().to_string()));
        let batches = read(&bytes).expect("whole");
        assert_eq!(batches.iter().map(|batch| batch.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(is_signed(&signer.key(), "edge-7", &batches[1]));
        let moved = FileBatch { number: 3, ..batches[1].clone() };
        assert!(!is_signed(&signer.key(), "edge-7", &moved), "it is signed with its place");
        assert!(!is_signed(&signer.key(), "edge-8", &batches[1]), "and for its replica");
    }

    #[tokio::test]
    async fn cut_or_changed_file_is_refused_and_says_where() {
        let directory = tempfile::tempdir().expect("a folder");
        let (_, whole) = file(directory.path()).await;
        assert!(matches!(read(b"a letter"), Err(TelemetryFileError::Form)));
        for cut in 0..whole.len() {
            let refused = read(&whole[..cut]).expect_err("cut");
            let is_named = matches!(refused, TelemetryFileError::Form | TelemetryFileError::Short { expected: 3, .. });
            assert!(is_named, "{cut}: {refused}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            // A changed time or number of batches in the header is not signed, and decides nothing.
            let header_ends =
                FORM.len() + 4 + usize::from(whole[FORM.len() + 3]) + 256 * usize::from(whole[FORM.len() + 2]);
            if at >= header_ends {
                assert!(read(&changed).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn key_is_made_once_and_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a folder");
        let made = FileSigner::open(directory.path(), Some("edge-7")).expect("a key");
        let named = FileSigner::open(directory.path(), Some("edge-8")).expect("a key");
        let again = FileSigner::open(directory.path(), None).expect("a key");
        assert_eq!((again.replica.as_str(), again.key()), ("edge-8", made.key()));
        assert_eq!(again.token().map(|token| token.hash()), named.token().map(|token| token.hash()));
        let mode = std::fs::metadata(directory.path().join(FILE_KEY)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(directory.path().join(FILE_KEY), "not a key").expect("written");
        assert!(matches!(FileSigner::open(directory.path(), None), Err(TelemetryFileError::Key { .. })));
    }
}
