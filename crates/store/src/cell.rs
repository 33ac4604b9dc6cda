//! Single values of a node, each with its own type and layout.

use std::marker::PhantomData;

use super::error::StoreError;
use crate::api::status::NodeRole;
use crate::trust::root::RootKeyId;

/// One value of the table `meta`.
#[derive(Debug)]
pub struct Cell<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Cell<T> {
    pub(super) const fn new(name: &'static str) -> Self {
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
