//! The catalogue of single values that a node stores, each with its own type.
//!
//! A cell's name and the layout of its value are on disk; numbers are little-endian. Invariant: no other file uses the
//! name of a cell.

use std::marker::PhantomData;

use super::codec;
use super::error::StoreError;
use super::outdated::Outdated;
use super::read::{Head, ReadTxn};
use super::record::HeadV1;
use super::write::WriteTxn;
use crate::api::status::NodeRole;
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

/// One value of the table `meta`.
#[derive(Debug)]
pub struct Cell<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Cell<T> {
    const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }
}

/// A type that a cell can store.
pub trait CellValue: Sized {
    /// Its bytes.
    ///
    /// # Errors
    /// It cannot be stored.
    fn encode(&self) -> Result<Vec<u8>, StoreError>;

    /// Parses it; `None` if the bytes are not valid.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Reads the value of a cell.
pub(super) fn decode<T: CellValue>(cell: &Cell<T>, bytes: &[u8]) -> Result<T, StoreError> {
    let reason = || format!("the value `{}` of this node is not one that this program writes", cell.name);
    T::decode(bytes).ok_or_else(|| StoreError::Record { kind: "meta", reason: reason() })
}

impl CellValue for u64 {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.to_le_bytes().to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl CellValue for i64 {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.to_le_bytes().to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl CellValue for [u8; 32] {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl CellValue for Vec<u8> {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.clone())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl CellValue for String {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.as_bytes().to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

impl CellValue for RootKeyId {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        self.to_string().encode()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

impl CellValue for NodeRole {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let name: &[u8] = match self {
            Self::Primary => b"primary",
            Self::Replica => b"replica",
        };
        Ok(name.to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"primary" => Some(Self::Primary),
            b"replica" => Some(Self::Replica),
            _ => None,
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

impl ReadTxn {
    /// The role of the node of this directory; absent until it is decided.
    ///
    /// # Errors
    /// The database fails.
    pub fn role(&self) -> Result<Option<NodeRole>, StoreError> {
        self.meta(&ROLE)
    }
}

impl WriteTxn<'_> {
    /// Makes this the directory of a replica with this trusted root key.
    ///
    /// # Errors
    /// The database fails.
    pub fn follow(&mut self, root_key: &RootKeyId) -> Result<(), StoreError> {
        self.put_meta(&ROLE, &NodeRole::Replica)?;
        self.put_meta(&TRUSTED_ROOT, root_key)
    }
}
