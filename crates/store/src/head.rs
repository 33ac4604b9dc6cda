//! The position of a node, as stored.

use super::cell::CellValue;
use super::codec;
use super::error::StoreError;
use super::record::HeadV1;
use crate::model::position::Position;

/// The position of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last commit.
    pub position: Position,
    /// The last commit that altered entries.
    pub changed: u64,
    /// The oldest position that deltas can start from.
    pub floor: u64,
    /// Remembered deletions.
    pub tombstones: u64,
}

impl From<HeadV1> for Head {
    fn from(head: HeadV1) -> Self {
        Self {
            position: Position { epoch: head.epoch, seq: head.seq },
            changed: head.changed,
            floor: head.floor,
            tombstones: head.tombstones,
        }
    }
}

impl From<Head> for HeadV1 {
    fn from(head: Head) -> Self {
        Self {
            epoch: head.position.epoch,
            seq: head.position.seq,
            changed: head.changed,
            floor: head.floor,
            tombstones: head.tombstones,
        }
    }
}

impl CellValue for Head {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        codec::encode(&HeadV1::from(*self))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        codec::decode::<HeadV1>(bytes).ok().map(Self::from)
    }
}
