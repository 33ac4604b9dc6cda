//! Checks whether a new state continues the current history.
//!
//! Every entry carries the commit that last changed it. So a state that continues from commit `n` has exactly the same
//! entries that were last changed up to `n`; and versions and deployments, which never change, are still there. A state
//! that violates this belongs to another history, regardless of its signature.

use std::ops::ControlFlow;

use super::entry::{EntryKey, Kind, Parts};
use super::error::StoreError;
use super::read::{Entries, ReadTxn};
use super::record::{decode_deployment, decode_version, parse};
use super::verify::verify;
use super::write::WriteTxn;
use crate::model::deployment::Deployment;
use crate::model::time::Timestamp;

/// The current history of a node, compared entry by entry with a new state.
pub(super) struct History<'a> {
    held: &'a ReadTxn,
    /// Its last commit.
    seq: u64,
    /// The first commit that differs, so far.
    parted: Option<u64>,
}

impl<'a> History<'a> {
    pub(super) const fn new(held: &'a ReadTxn, seq: u64) -> Self {
        Self { held, seq, parted: None }
    }

    /// Compares an entry of the new state.
    pub(super) fn put(&mut self, key: &EntryKey, mod_seq: u64, value: &[u8]) -> Result<(), StoreError> {
        let settled = mod_seq <= self.seq;
        let Some(parts) = Parts::of(key.as_bytes()) else { return Ok(()) };
        if !settled && !matches!(Kind::from_number(parts.kind), Some(Kind::Version | Kind::Deployment)) {
            return Ok(());
        }
        match self.held.entry(key.as_bytes())? {
            Some(held) if settled && held.mod_seq == mod_seq && held.value == value => {}
            Some(held) if !settled && is_same(&parts, &held.value, value) => {}
            Some(held) => self.part(held.mod_seq.min(mod_seq)),
            None if settled => self.part(mod_seq),
            None => {}
        }
        Ok(())
    }

    /// Checks that a new state contains everything current that is never deleted.
    pub(super) fn kept(&mut self, new: &WriteTxn<'_>) -> Result<(), StoreError> {
        let held = self.held;
        held.visit(&[], &[0xff; 4], false, &mut |key, mod_seq, _| {
            let kind = Parts::of(key).and_then(|parts| Kind::from_number(parts.kind));
            let stays = matches!(kind, Some(Kind::Prompt | Kind::Version | Kind::Deployment));
            if stays && new.entry(key)?.is_none() {
                self.part(mod_seq);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn part(&mut self, seq: u64) {
        self.parted = Some(self.parted.map_or(seq, |first| first.min(seq)));
    }

    /// The first commit that differs; absent if they agree, or if the current state is damaged and proves nothing.
    pub(super) fn first_difference(&self) -> Result<Option<u64>, StoreError> {
        let Some(seq) = self.parted else { return Ok(None) };
        let report = verify(self.held, &mut |_| {})?;
        Ok((report.more == 0 && report.differences.is_empty()).then_some(seq))
    }
}

/// Whether a rewritten version or deployment is still the same one. A version may have been retired or archived since,
/// and dates may have been repaired.
fn is_same(parts: &Parts<'_>, held: &[u8], new: &[u8]) -> bool {
    match Kind::from_number(parts.kind) {
        _ if held == new => true,
        Some(Kind::Version) => {
            let version = |bytes| {
                let version = decode_version(bytes, parts.number()?).ok()?;
                Some((version.content_id, version.source_id, version.commit, version.author))
            };
            version(held).is_some_and(|held| version(new) == Some(held))
        }
        Some(Kind::Deployment) => {
            let deployment = |bytes| {
                let (name, label) = (parse(parts.name()?).ok()?, parse(parts.label()?).ok()?);
                let deployment = decode_deployment(bytes, name, label, parts.number()?).ok()?;
                Some(Deployment { at: Timestamp::from_ms(0), ..deployment })
            };
            deployment(held).is_some_and(|held| deployment(new) == Some(held))
        }
        _ => false,
    }
}
