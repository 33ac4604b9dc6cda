//! The stored audit log, a hash chain of entries.

use std::ops::ControlFlow;

use redb::ReadableTable;

use super::error::StoreError;
use super::meta;
use super::read::ReadTxn;
use super::record::{decode_audit, decode_link};
use super::tables;
use crate::api::status::NodeRole;
use crate::crypto::note::Note;
use crate::model::audit::{AuditEntry, AuditVerdict};
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};

impl ReadTxn {
    /// Audit entries from the commit `from` (inclusive), oldest first; at most `limit`.
    pub fn audit_from(&self, from: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let table = self.raw().open_table(tables::AUDIT)?;
        table
            .range(from..)?
            .take(limit)
            .map(|item| {
                let (seq, value) = item?;
                decode_audit(value.value(), seq.value())
            })
            .collect()
    }

    /// Calls `visitor` with audit entries before the commit `before`, newest first, until it stops.
    pub fn visit_audit_before(
        &self,
        before: u64,
        visitor: &mut dyn FnMut(AuditEntry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let table = self.raw().open_table(tables::AUDIT)?;
        for item in table.range(..before)?.rev() {
            let (seq, value) = item?;
            if visitor(decode_audit(value.value(), seq.value())?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The hash of the newest audit entry, as hex.
    pub fn audit_head(&self) -> Result<String, StoreError> {
        match self.raw().open_table(tables::AUDIT)?.last()? {
            Some((_, value)) => Ok(decode_link(value.value())?.hash),
            None => Ok(AuditEntry::genesis()),
        }
    }

    /// Whether the newest checkpoint names this audit entry as the last; absent on a replica, which has no log.
    pub fn anchored(&self, head: &str) -> Result<Option<bool>, StoreError> {
        if self.role()? == Some(NodeRole::Replica) || head == AuditEntry::genesis() {
            return Ok(None);
        }
        let note = self.meta(&meta::NOTE)?.and_then(|note| Note::parse(&note, CHECKPOINT_BYTES_MAX).ok());
        let Some(checkpoint) = note.and_then(|note| Checkpoint::parse(note.text()).ok()) else {
            return Ok(Some(false));
        };
        Ok(Some(*blake3::Hash::from(checkpoint.audit).to_hex() == *head))
    }

    /// Verifies that each audit entry's hash matches the entry and the previous one.
    ///
    /// # Errors
    /// The database fails, or an entry cannot be read.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.guarded(|| self.look_through_audit())
    }

    fn look_through_audit(&self) -> Result<AuditVerdict, StoreError> {
        let table = self.raw().open_table(tables::AUDIT)?;
        let mut verdict =
            AuditVerdict { whole: true, entries: 0, head: AuditEntry::genesis(), broken_at: None, anchored: None };
        for item in table.iter()? {
            let (seq, value) = item?;
            // Entries of newer programs are verified like all others, although they cannot be shown.
            let (seq, link) = (seq.value(), decode_link(value.value())?);
            verdict.entries += 1;
            // Each commit has one entry, from the first on: a gap means that entries were removed.
            let placed = seq == verdict.entries && link.seq == seq;
            if !placed || link.previous != verdict.head || !link.holds {
                verdict.whole = false;
                verdict.broken_at.get_or_insert(seq);
            }
            verdict.head = link.hash;
        }
        verdict.anchored = self.anchored(&verdict.head)?;
        verdict.whole &= verdict.anchored != Some(false);
        Ok(verdict)
    }
}
