//! The audit log and the access tokens: what this node keeps for itself.

use redb::ReadableTable;

use super::codec;
use super::error::StoreError;
use super::read::ReadTxn;
use super::record::{AccessV1, AuditV1};
use super::tables;
use crate::model::audit::{AuditEntry, AuditVerdict};
use crate::model::time::Timestamp;

/// What is kept of an access token: never the token.
#[derive(Clone, Debug)]
pub struct Access {
    /// Hash of the token.
    pub hash: [u8; 32],
    /// Number of its role.
    pub role: u8,
    /// Since when it exists.
    pub created: Timestamp,
}

impl ReadTxn {
    /// Audit entries from the commit `from` (included) on, oldest first; at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub fn audit_from(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let table = self.raw().open_table(tables::AUDIT)?;
        table
            .range(from..)?
            .take(limit)
            .map(|item| {
                let (seq, value) = item?;
                Ok(codec::decode::<AuditV1>(value.value())?.into_model(seq.value()))
            })
            .collect()
    }

    /// Checks that each audit entry's hash fits itself and the entry before.
    ///
    /// # Errors
    /// The database fails, or an entry cannot be read at all.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let table = self.raw().open_table(tables::AUDIT)?;
        let mut verdict = AuditVerdict { whole: true, entries: 0, head: AuditEntry::genesis(), broken_at: None };
        for item in table.iter()? {
            let (seq, value) = item?;
            let entry = codec::decode::<AuditV1>(value.value())?.into_model(seq.value());
            verdict.entries += 1;
            if entry.previous != verdict.head || entry.digest() != entry.hash {
                verdict.whole = false;
                verdict.broken_at.get_or_insert(entry.seq);
            }
            verdict.head = entry.hash;
        }
        Ok(verdict)
    }

    /// Every access token, by name.
    ///
    /// # Errors
    /// The database fails.
    pub fn access(&self) -> Result<Vec<(String, Access)>, StoreError> {
        access(&self.raw().open_table(tables::ACCESS)?)
    }
}

/// Reads every access token from any kind of transaction.
pub(super) fn access(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<(String, Access)>, StoreError> {
    table
        .iter()?
        .map(|item| {
            let (name, value) = item?;
            let record = codec::decode::<AccessV1>(value.value())?;
            let created = Timestamp::from_ms(record.created);
            Ok((name.value().to_owned(), Access { hash: record.hash, role: record.role, created }))
        })
        .collect()
}
