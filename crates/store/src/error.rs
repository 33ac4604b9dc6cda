//! Errors of the data directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::content_id::ContentId;
use crate::model::position::Position;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum StoreError {
    #[error("another process is using {}; stop it, or use a different directory with --data", path.display())]
    InUse { path: PathBuf },
    #[error("{} cannot be written to; check its owner and permissions, and that its file system is not read-only", path.display())]
    NotWritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} does not contain a registry; start one with `bookholder serve --data {}`", path.display(), path.display())]
    Absent { path: PathBuf },
    #[error("{} was written by a newer bookholder (schema {found}, this one reads up to {known}); upgrade this program", path.display())]
    Newer { path: PathBuf, found: u64, known: u64 },
    #[error("{} is damaged: {reason}; restore a backup, or let a replica fetch it again", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the disk is full: {free_bytes} bytes are free, {needed_bytes} are needed; nothing was written, reads continue"
    )]
    Full { free_bytes: u64, needed_bytes: u64 },
    #[error("cannot read a record of kind {kind}: {reason}; run `bookholder verify`")]
    Record { kind: &'static str, reason: String },
    #[error("entry {seq} of the audit log says what this program does not know ({reason}); upgrade it")]
    AuditEntry { seq: u64, reason: String },
    #[error("a record of kind {kind} has version {version}, which this program does not know; upgrade it")]
    RecordVersion { kind: &'static str, version: u8 },
    #[error(
        "this data directory is older than the published state: it is at {held}, but the registry has already signed {published}; nothing is written or signed here until a new epoch begins: restore the latest backup with `bookholder restore`"
    )]
    Outdated { published: Position, held: Position },
    #[error("the writer has stopped; see the log for the cause")]
    Stopped,
    #[error("too many writes are already waiting; try again")]
    Busy,
    #[error("another write in the same group failed; nothing was written, try again")]
    Aborted,
    #[error("invalid delta: {0}")]
    Delta(#[from] super::delta_error::DeltaError),
    #[error("the disk failed: {reason}")]
    Disk { reason: String },
    #[error("the database is closed after a disk error: {reason}")]
    Closed { reason: String },
    #[error("the database was reopened after a disk error during the read; try again")]
    Interrupted,
    #[error(
        "the stored bytes of the content {id} have the hash {found}: they are damaged and not served; run `bookholder verify`"
    )]
    Content { id: ContentId, found: ContentId },
    #[error("the database is damaged: its structure is inconsistent; run `bookholder verify`")]
    Torn,
    #[error("the database failed")]
    Database(#[source] Box<redb::Error>),
    #[error("{}", if is_full(_0) { FULL.to_owned() } else { format!("reading or writing a file failed: {_0}") })]
    Io(#[from] io::Error),
}

impl StoreError {
    /// Whether the cause is a full disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io(error) => is_full(error),
            _ => false,
        }
    }

    /// Whether stored data is damaged.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Content { .. } | Self::Record { .. } | Self::Torn => true,
            Self::Database(error) => matches!(&**error, redb::Error::Corrupted(_)),
            _ => false,
        }
    }

    /// Whether a database that cannot be opened for writing may still be readable.
    pub(super) const fn may_be_read(&self) -> bool {
        matches!(self, Self::NotWritable { .. } | Self::Disk { .. } | Self::Interrupted | Self::Io(_))
    }

    /// The failed operation with the error of the operating system, in one line.
    pub(super) fn with_cause(&self) -> String {
        match self {
            Self::Disk { reason } => reason.clone(),
            Self::NotWritable { source, .. } => format!("{self} ({source})"),
            Self::Damaged { reason, .. } => format!("the database is damaged: {reason}"),
            Self::Database(source) => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }

    /// A copy of the error for another job of the same group.
    pub(super) fn for_another(&self) -> Self {
        match self {
            Self::Full { free_bytes, needed_bytes } => {
                Self::Full { free_bytes: *free_bytes, needed_bytes: *needed_bytes }
            }
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), error.to_string())),
            Self::Disk { reason } => Self::Disk { reason: reason.clone() },
            Self::Closed { reason } => Self::Closed { reason: reason.clone() },
            Self::Torn => Self::Torn,
            _ => Self::Aborted,
        }
    }
}

/// Why a discarded database no longer reaches its bytes. A query of it can be asked again of the database after it.
#[derive(Debug, thiserror::Error)]
#[error("the database was closed after a failure")]
pub(super) struct CutOff;

/// The message if the disk reports that it is full.
const FULL: &str = "the disk is full; nothing was written, reads continue";

pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge)
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) if is_full(&error) => Self::Io(error),
            redb::Error::Io(error) if matches!(error.get_ref(), Some(cause) if cause.is::<CutOff>()) => {
                Self::Interrupted
            }
            redb::Error::Io(error) => Self::Disk { reason: error.to_string() },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Interrupted,
            error => Self::Database(Box::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(TransactionError, TableError, StorageError, CommitError, DatabaseError, SetDurabilityError);

pub(super) fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}

/// Maps an error of the operating system to one of the database.
pub(super) fn refusal(path: &Path, error: io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::InvalidData | Kind::UnexpectedEof | Kind::InvalidInput => damaged(path, &error.to_string()),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => StoreError::Io(error),
        Kind::PermissionDenied
        | Kind::ReadOnlyFilesystem
        | Kind::NotFound
        | Kind::IsADirectory
        | Kind::NotADirectory => StoreError::NotWritable { path: path.to_owned(), source: error },
        _ => {
            StoreError::Disk { reason: format!("{}: {error}", path.file_name().unwrap_or_default().to_string_lossy()) }
        }
    }
}
