//! The catalogue of single values that a node stores, each with its own type.
//!
//! A cell's name and the layout of its value are on disk; numbers are little-endian. Invariant: no other file uses the
//! name of a cell.

use super::cell::{Cell, CellValue};
use super::error::StoreError;
use super::head::Head;
use crate::api::status::NodeRole;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::trust::root::RootKeyId;

/// The schema of the file.
pub(super) const SCHEMA: Cell<u64> = Cell::new("schema");
/// The position of the registry.
pub(super) const HEAD: Cell<Head> = Cell::new("head");
/// The role of the node; use [`ReadTxn::role`].
pub const ROLE: Cell<NodeRole> = Cell::new("role");
/// The name of the registry.
pub const REGISTRY: Cell<String> = Cell::new("registry");
/// The signed note of the newest checkpoint.
pub const NOTE: Cell<Vec<u8>> = Cell::new("note");
/// On a primary: the hash of the note of the previous commit.
pub const PREVIOUS: Cell<[u8; 32]> = Cell::new("previous");
/// On a primary: the latest time that was signed or committed, in milliseconds since 1970.
pub const LATEST_TIME_MS: Cell<i64> = Cell::new("latest_time");
/// On a primary: how often the rules, principals or access tokens were changed.
pub const RULES_GENERATION: Cell<u64> = Cell::new("rules");
/// On a primary: the key of the hashes of matched text in findings.
pub const FINDING_KEY: Cell<[u8; 32]> = Cell::new("finding_key");
/// On a primary: the number of the newest change request.
pub const CHANGE_REQUESTS: Cell<u64> = Cell::new("change_requests");
/// On a primary: that newer state was published than this directory has.
pub(super) const OUTDATED: Cell<Outdated> = Cell::new("outdated");
/// On a primary: the note of that state.
pub(super) const OUTDATED_NOTE: Cell<Vec<u8>> = Cell::new("outdated_note");
/// On a replica: the root key that it trusts.
pub const TRUSTED_ROOT: Cell<RootKeyId> = Cell::new("trusted_root");
/// On a replica: when a verified note last arrived, in milliseconds since 1970.
pub const CONTACT_MS: Cell<i64> = Cell::new("contact");
/// On a replica: the note of another history than its own.
pub const FORK: Cell<Vec<u8>> = Cell::new("fork");
/// On a replica: its own note when it saw [`FORK`].
pub const FORK_HELD: Cell<Vec<u8>> = Cell::new("fork_held");

/// Evidence of a signed checkpoint that a data directory does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// The position of the checkpoint.
    pub published: Position,
    /// When it was received.
    pub since: Timestamp,
}

/// Epoch, number and time.
impl CellValue for Outdated {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let Self { published, since } = self;
        Ok([published.epoch.to_le_bytes(), published.seq.to_le_bytes(), since.ms().to_le_bytes()].concat())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let &[epoch, seq, since] = numbers else { return None };
        let published = Position { epoch: u64::from_le_bytes(epoch), seq: u64::from_le_bytes(seq) };
        rest.is_empty().then_some(Self { published, since: Timestamp::from_ms(i64::from_le_bytes(since)) })
    }
}
