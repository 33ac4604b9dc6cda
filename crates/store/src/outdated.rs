//! Detects that a primary signed more than its data directory contains.
//!
//! A directory that was set back, copied, or restored without a new epoch would sign a second history with the numbers
//! of the first. Once that is known it is recorded here, and [`WriteTxn::commit`] fails until a new epoch begins.

use super::error::StoreError;
use super::meta;
pub use super::meta::Outdated;
use super::read::ReadTxn;
use super::write::WriteTxn;
use crate::model::position::Position;

impl Outdated {
    /// The stored evidence, unless an epoch began since.
    fn since(stored: Option<Self>, head: Position) -> Option<Self> {
        stored.filter(|stored| stored.published.epoch >= head.epoch)
    }
}

impl ReadTxn {
    /// Whether newer state was published than this directory contains.
    pub fn outdated(&self) -> Result<Option<Outdated>, StoreError> {
        Ok(Outdated::since(self.meta(&meta::OUTDATED)?, self.head()?.position))
    }
}

impl WriteTxn<'_> {
    /// Records a signed checkpoint that this directory does not contain.
    pub fn set_outdated(&mut self, outdated: Outdated, note: &[u8]) -> Result<(), StoreError> {
        if !note.is_empty() {
            self.put_meta(&meta::OUTDATED_NOTE, &note.to_vec())?;
        }
        self.put_meta(&meta::OUTDATED, &outdated)
    }

    /// Rejects commits to a directory that is older than the published state.
    pub(super) fn check_newest(&self) -> Result<(), StoreError> {
        let held = self.head().position;
        match Outdated::since(self.meta(&meta::OUTDATED)?, held) {
            Some(Outdated { published, .. }) => Err(StoreError::Outdated { published, held }),
            None => Ok(()),
        }
    }
}
