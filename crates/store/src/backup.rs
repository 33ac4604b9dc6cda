//! Makes a consistent copy of the database while it serves.

use std::fs::File;
use std::path::Path;

use redb::{Builder, Key, ReadTransaction, ReadableTable, TableDefinition, TableError, Value, WriteTransaction};

use super::error::StoreError;
use super::read::ReadTxn;
use super::tables;

/// Memory that the copy may use for pages, in bytes.
const COPY_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Copies everything that a transaction sees into a new, compact database file.
///
/// # Errors
/// The file exists, or the disk or database fails.
pub fn copy(txn: &ReadTxn, path: &Path) -> Result<(), StoreError> {
    copy_into(txn, File::options().read(true).write(true).create_new(true).open(path)?)
}

/// The same into an open, empty file.
///
/// # Errors
/// The disk or database fails.
pub fn copy_into(txn: &ReadTxn, file: File) -> Result<(), StoreError> {
    let mut target = Builder::new().set_cache_size(COPY_CACHE_BYTES).create_file(file)?;
    let mut out = target.begin_write()?;
    out.set_quick_repair(true);
    let from = txn.raw();
    table(from, &out, tables::ENTRIES)?;
    table(from, &out, tables::CHANGES)?;
    table(from, &out, tables::TOMBSTONES)?;
    table(from, &out, tables::LATTICES)?;
    table(from, &out, tables::CONTENT_HOMES)?;
    table(from, &out, tables::DEPENDENTS)?;
    table(from, &out, tables::AUDIT)?;
    table(from, &out, tables::IMPORTS)?;
    table(from, &out, tables::DOCUMENTS)?;
    table(from, &out, tables::ROOTS)?;
    table(from, &out, tables::EPOCHS)?;
    table(from, &out, tables::META)?;
    out.commit()?;
    // Writing in one transaction would leave pages half full and large texts scattered.
    target.compact().map_err(|error| match error {
        redb::CompactionError::Storage(error) => error.into(),
        error => StoreError::Io(std::io::Error::other(error)),
    })?;
    Ok(())
}

fn table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'static, K, V>,
) -> Result<(), StoreError> {
    let source = match from.open_table(definition) {
        Ok(source) => source,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut target = to.open_table(definition)?;
    for item in source.iter()? {
        let (key, value) = item?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}
