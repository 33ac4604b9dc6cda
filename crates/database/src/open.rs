//! Opens or creates a file beside the registry, and checks that this program knows its schema.

use std::io::ErrorKind;
use std::path::Path;

use redb::WriteTransaction;
use redb::{Builder, Database, DatabaseError, ReadableTable, StorageBackend, StorageError, TableDefinition};

use super::guard::guarded;

/// Numbers about a file, by name; `schema` is one of them.
pub const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// What is known of a file on whose pages redb panics.
const INCONSISTENT: &str = "its structure is inconsistent";

/// What a file must be.
#[derive(Clone, Copy, Debug)]
pub struct FileForm {
    /// The number of the tables and their keys; a file with a higher one is left alone.
    pub schema: u64,
    /// Memory for pages of the database, in bytes.
    pub cache_bytes: usize,
    /// Creates the tables.
    pub create: fn(&WriteTransaction) -> Result<(), redb::Error>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum FileError {
    #[error(
        "{path} was written by a newer program (schema {found}; this one knows {known}); upgrade, or move the file away"
    )]
    Newer { path: String, found: u64, known: u64 },
    #[error(
        "{path} is damaged: {reason}; stop the node, then restore the file from a backup or move it away to begin a new \
         one: the registry does not need it"
    )]
    Damaged { path: String, reason: String },
    #[error("{0}")]
    Database(Box<redb::Error>),
}

impl FileError {
    /// Whether another process, or a thread that is about to end, has the file open.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(**error, redb::Error::DatabaseAlreadyOpen))
    }

    /// A file on a page of which redb panicked.
    #[must_use]
    pub fn inconsistent(path: &Path) -> Self {
        Self::Damaged { path: path.display().to_string(), reason: INCONSISTENT.to_owned() }
    }
}

impl<E: Into<redb::Error>> From<E> for FileError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Opens what a backend of storage holds, or begins it. The path is for messages alone.
///
/// # Errors
/// It is damaged, of a newer program, or in use; or the disk fails.
pub fn open(path: &Path, backend: impl StorageBackend, form: FileForm) -> Result<Database, FileError> {
    let damaged = |reason: String| FileError::Damaged { path: path.display().to_string(), reason };
    let panicked = |_| FileError::inconsistent(path);
    let opened = guarded(|| Builder::new().set_cache_size(form.cache_bytes).create_with_backend(backend));
    let database = match opened.map_err(panicked)? {
        Ok(database) => database,
        Err(DatabaseError::Storage(StorageError::Corrupted(reason))) => return Err(damaged(reason)),
        Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() == ErrorKind::InvalidData => {
            return Err(damaged(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let prepared = guarded(|| prepare(&database, path, form)).map_err(panicked).flatten();
    match prepared {
        Ok(()) => Ok(database),
        Err(error) => {
            // Closing commits once more, which may panic, too.
            let _closed = guarded(|| drop(database));
            Err(error)
        }
    }
}

fn prepare(database: &Database, path: &Path, form: FileForm) -> Result<(), FileError> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let found = meta.get("schema")?.map(|value| value.value());
        match found {
            None => drop(meta.insert("schema", form.schema)?),
            Some(found) if found > form.schema => {
                return Err(FileError::Newer { path: path.display().to_string(), found, known: form.schema });
            }
            Some(_) => {}
        }
        (form.create)(&write)?;
    }
    write.commit()?;
    Ok(())
}
