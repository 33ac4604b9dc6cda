//! Whether a primary signed more than its data directory knows of.
//!
//! A directory that was set back, copied, or restored without a new epoch would sign a second history under the numbers
//! of the first. Once that is known it is kept here, and [`WriteTxn::commit`] refuses until a new epoch begins.

use super::error::StoreError;
use super::read::ReadTxn;
use super::write::WriteTxn;
use crate::model::position::Position;
use crate::model::time::Timestamp;

/// Where it is kept: epoch, number and time (8 bytes each, little-endian), then the signed note.
const OUTDATED: &str = "outdated";

/// That a checkpoint is signed which a data directory does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// What the checkpoint describes.
    pub published: Position,
    /// When it was shown.
    pub since: Timestamp,
}

impl Outdated {
    /// What is kept, unless an epoch began since.
    fn read(kept: Option<Vec<u8>>, head: Position) -> Result<Option<Self>, StoreError> {
        let Some(kept) = kept else { return Ok(None) };
        let number = |at: usize| kept.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let read = || {
            let published = Position { epoch: u64::from_le_bytes(number(0)?), seq: u64::from_le_bytes(number(8)?) };
            Some(Self { published, since: Timestamp::from_ms(i64::from_le_bytes(number(16)?)) })
        };
        let cut = || StoreError::Record { kind: OUTDATED, reason: "it is cut short".to_owned() };
        let outdated = read().ok_or_else(cut)?;
        Ok((outdated.published.epoch >= head.epoch).then_some(outdated))
    }
}

impl ReadTxn {
    /// Whether more was published than this directory knows of.
    ///
    /// # Errors
    /// The database fails.
    pub fn outdated(&self) -> Result<Option<Outdated>, StoreError> {
        Outdated::read(self.meta(OUTDATED)?, self.head()?.position)
    }
}

impl WriteTxn<'_> {
    /// Keeps that a checkpoint is signed which this directory does not know.
    ///
    /// # Errors
    /// The database fails.
    pub fn set_outdated(&mut self, outdated: Outdated, note: &[u8]) -> Result<(), StoreError> {
        let Outdated { published, since } = outdated;
        let mut kept = Vec::with_capacity(24 + note.len());
        kept.extend_from_slice(&published.epoch.to_le_bytes());
        kept.extend_from_slice(&published.seq.to_le_bytes());
        kept.extend_from_slice(&since.ms().to_le_bytes());
        kept.extend_from_slice(note);
        self.put_meta(OUTDATED, &kept)
    }

    /// Refuses a commit to a directory that more was published than it knows of.
    pub(super) fn check_newest(&self) -> Result<(), StoreError> {
        let held = self.head().position;
        match Outdated::read(self.meta(OUTDATED)?, held)? {
            Some(Outdated { published, .. }) => Err(StoreError::Outdated { published, held }),
            None => Ok(()),
        }
    }
}
