//! Reads one consistent state.
//!
//! A [`ReadTxn`] is a snapshot of one commit for as long as it lives, whatever is written in the meantime. `query` interprets
//! entries.

use std::ops::Bound;

use bookholder_database::guarded;
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable};

use super::cell::{self, Cell, CellValue};
use super::condition::Condition;
use super::error::StoreError;
pub use super::head::Head;
use super::meta;
use super::tables;
use crate::api::status::NodeRole;
use crate::crypto::lattice::Lattice;
use crate::model::reference::VersionRef;

/// A stored value and the commit that last changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The commit that last changed it.
    pub mod_seq: u64,
    /// The bytes.
    pub value: Vec<u8>,
}

/// What a visitor of a range returns after each entry.
pub type Visit = Result<std::ops::ControlFlow<()>, StoreError>;

/// Visits an entry: its encoded key, the commit that last changed it, and its value.
pub type Visitor<'a> = dyn FnMut(&[u8], u64, &[u8]) -> Visit + 'a;

/// The map of entries, for readers and writers.
pub trait Entries {
    /// The entry with this encoded key.
    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// Visits the entries from `from` (inclusive) to `to` (exclusive) in order, or from the end.
    ///
    /// # Errors
    /// The database fails, or the visitor does.
    fn visit(&self, from: &[u8], to: &[u8], backwards: bool, visitor: &mut Visitor<'_>) -> Result<(), StoreError>;

    /// Records that stored data is damaged.
    fn notice_damage(&self, _damage: &StoreError) {}

    /// The versions that include the prompt `name`.
    fn dependents(&self, name: &str) -> Result<Vec<Dependent>, StoreError>;
}

/// A version that includes another prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The version with the include.
    pub by: VersionRef,
    /// The version that it includes.
    pub included: u64,
}

/// A changed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedKey {
    /// The commit of its last change.
    pub mod_seq: u64,
    /// The key of the entry.
    pub key: Vec<u8>,
    /// Whether the entry was deleted.
    pub deleted: bool,
}

/// Scans a table of entries; [`Entries::visit`] for every kind of transaction.
pub(super) fn visit(
    table: &impl ReadableTable<&'static [u8], (u64, &'static [u8])>,
    (from, to): (&[u8], &[u8]),
    backwards: bool,
    visitor: &mut Visitor<'_>,
) -> Result<(), StoreError> {
    if from >= to {
        return Ok(());
    }
    let mut range = table.range::<&[u8]>((Bound::Included(from), Bound::Excluded(to)))?;
    while let Some(item) = if backwards { range.next_back() } else { range.next() } {
        let (key, value) = item?;
        let (mod_seq, bytes) = value.value();
        if visitor(key.value(), mod_seq, bytes)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads the dependents of a prompt from any kind of transaction.
pub(super) fn dependents(
    table: &impl ReadableTable<(&'static str, &'static str, u64), u64>,
    name: &str,
) -> Result<Vec<Dependent>, StoreError> {
    let mut found = Vec::new();
    for item in table.range((name, "", 0)..)? {
        let (key, included) = item?;
        let (target, dependent, version) = key.value();
        if target != name {
            break;
        }
        let by = VersionRef { name: super::record::parse(dependent)?, version };
        found.push(Dependent { by, included: included.value() });
    }
    Ok(found)
}

/// The size and hash of a namespace.
#[derive(Clone, Debug, Default)]
pub struct NamespaceState {
    /// Number of entries.
    pub entries: u64,
    /// Bytes of their namespaces, keys and values.
    pub bytes: u64,
    /// Sum of their leaves.
    pub lattice: Lattice,
    /// The cached hash of the lattice; cleared when the lattice changes.
    pub(super) digest: std::cell::OnceCell<[u8; 32]>,
}

impl NamespaceState {
    fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| self.lattice.digest())
    }
}

/// A snapshot for reading.
pub struct ReadTxn {
    txn: ReadTransaction,
    entries: ReadOnlyTable<&'static [u8], (u64, &'static [u8])>,
    condition: Condition,
}

impl ReadTxn {
    pub(super) fn begin(database: &redb::Database) -> Result<Self, StoreError> {
        let txn = database.begin_read()?;
        let entries = txn.open_table(tables::ENTRIES)?;
        Ok(Self { txn, entries, condition: Condition::default() })
    }

    /// Where it reports damage.
    pub(super) fn noticing(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }

    /// The position of this state.
    pub fn head(&self) -> Result<Head, StoreError> {
        Ok(self.meta(&meta::HEAD)?.unwrap_or_default())
    }

    /// The role of the node of this directory; absent until it is decided.
    pub fn role(&self) -> Result<Option<NodeRole>, StoreError> {
        self.meta(&meta::ROLE)
    }

    /// The value of a cell.
    ///
    /// # Errors
    /// The database fails, or the value is invalid.
    pub fn meta<T: CellValue>(&self, cell: &Cell<T>) -> Result<Option<T>, StoreError> {
        let table = self.txn.open_table(tables::META)?;
        table.get(cell.name())?.map(|value| cell::decode(cell, value.value())).transpose()
    }

    /// The state of each namespace that has entries, sorted by name.
    pub fn namespaces(&self) -> Result<Vec<(String, NamespaceState)>, StoreError> {
        let table = self.txn.open_table(tables::LATTICES)?;
        table
            .iter()?
            .map(|item| {
                item.map_err(StoreError::from).and_then(|(key, value)| namespace_row(key.value(), value.value()))
            })
            .collect()
    }

    /// Count, size and hash of all entries, as stored.
    pub fn view_state(&self) -> Result<ViewState, StoreError> {
        let namespaces = self.namespaces()?;
        Ok(view_state(namespaces.iter().map(|(name, state)| (name.as_str(), state))))
    }

    /// Names of the namespaces that have entries, sorted.
    pub fn namespace_names(&self) -> Result<Vec<String>, StoreError> {
        let table = self.txn.open_table(tables::LATTICES)?;
        table.iter()?.map(|item| Ok(item?.0.value().to_owned())).collect()
    }

    /// A namespace that contains the content with this hash.
    pub fn content_home(&self, hash: &[u8; 32]) -> Result<Option<String>, StoreError> {
        let table = self.txn.open_table(tables::CONTENT_HOMES)?;
        let Some(item) = table.range((*hash, "")..)?.next() else { return Ok(None) };
        let (key, _) = item?;
        let (found, namespace) = key.value();
        Ok((found == *hash).then(|| namespace.to_owned()))
    }

    /// Keys that changed after `seq`, in order of change; at most `limit`.
    pub fn changes_after(&self, seq: u64, limit: usize) -> Result<Vec<ChangedKey>, StoreError> {
        let table = self.txn.open_table(tables::CHANGES)?;
        let from: (u64, &[u8]) = (seq.saturating_add(1), &[]);
        table
            .range(from..)?
            .take(limit)
            .map(|item| {
                let (key, deleted) = item?;
                let (mod_seq, entry) = key.value();
                Ok(ChangedKey { mod_seq, key: entry.to_vec(), deleted: deleted.value() })
            })
            .collect()
    }

    /// Visits the keys that changed at or before `seq`, newest first, with whether each was deleted.
    ///
    /// # Errors
    /// The database fails, or the visitor does.
    pub fn visit_changes_back(
        &self,
        seq: u64,
        visitor: &mut dyn FnMut(u64, &[u8], bool) -> Visit,
    ) -> Result<(), StoreError> {
        let table = self.txn.open_table(tables::CHANGES)?;
        let to: (u64, &[u8]) = (seq.saturating_add(1), &[]);
        for item in table.range(..to)?.rev() {
            let (key, deleted) = item?;
            let (mod_seq, entry) = key.value();
            if visitor(mod_seq, entry, deleted.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The signed root document with this number.
    pub fn root(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.txn.open_table(tables::ROOTS)?.get(number)?.map(|value| value.value().to_vec()))
    }

    /// The signed record of this epoch.
    pub fn epoch(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.txn.open_table(tables::EPOCHS)?.get(number)?.map(|value| value.value().to_vec()))
    }

    /// All signed root documents and all epoch records, each in order.
    #[allow(clippy::type_complexity, reason = "two lists of signed notes")]
    pub fn trust(&self) -> Result<(Vec<Vec<u8>>, Vec<Vec<u8>>), StoreError> {
        let all = |table: ReadOnlyTable<u64, &'static [u8]>| {
            table.iter()?.map(|item| Ok(item?.1.value().to_vec())).collect::<Result<Vec<_>, StoreError>>()
        };
        Ok((all(self.txn.open_table(tables::ROOTS)?)?, all(self.txn.open_table(tables::EPOCHS)?)?))
    }

    /// Reads data that may be on a torn page, on which redb panics.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(work).unwrap_or_else(|panic| {
            tracing::error!(panic, "reading the database panicked");
            self.notice_damage(&StoreError::Torn);
            Err(StoreError::Torn)
        })
    }

    pub(super) fn raw(&self) -> &ReadTransaction {
        &self.txn
    }

    pub(super) fn entries_table(&self) -> &ReadOnlyTable<&'static [u8], (u64, &'static [u8])> {
        &self.entries
    }
}

impl Entries for ReadTxn {
    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.guarded(|| {
            Ok(self.entries.get(key)?.map(|value| {
                let (mod_seq, bytes) = value.value();
                Entry { mod_seq, value: bytes.to_vec() }
            }))
        })
    }

    fn visit(&self, from: &[u8], to: &[u8], backwards: bool, visitor: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.guarded(|| visit(&self.entries, (from, to), backwards, visitor))
    }

    fn notice_damage(&self, damage: &StoreError) {
        self.condition.notice_damage(damage.to_string(), matches!(damage, StoreError::Content { .. }));
    }

    fn dependents(&self, name: &str) -> Result<Vec<Dependent>, StoreError> {
        self.guarded(|| dependents(&self.txn.open_table(tables::DEPENDENTS)?, name))
    }
}

/// Reads one row of the `lattices` table.
pub(super) fn namespace_row(
    name: &str,
    (entries, bytes, lattice): (u64, u64, &[u8]),
) -> Result<(String, NamespaceState), StoreError> {
    let lattice: &[u8; 2048] = lattice
        .try_into()
        .map_err(|_| StoreError::Record { kind: "lattice", reason: format!("it has {} bytes", lattice.len()) })?;
    Ok((
        name.to_owned(),
        NamespaceState { entries, bytes, lattice: Lattice::from_bytes(lattice), ..NamespaceState::default() },
    ))
}

/// BLAKE3 derive-key context of the hash of a view's state.
const VIEW_CONTEXT: &str = "bookholder view state v1";

/// The state of a view: a hash over its namespaces, sorted, each with its count and its lattice.
pub fn view_state<'a>(namespaces: impl IntoIterator<Item = (&'a str, &'a NamespaceState)>) -> ViewState {
    let mut hasher = blake3::Hasher::new_derive_key(VIEW_CONTEXT);
    let mut state = ViewState::default();
    for (name, namespace) in namespaces {
        if namespace.entries == 0 {
            continue;
        }
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&namespace.entries.to_le_bytes());
        hasher.update(namespace.digest());
        state.entries += namespace.entries;
        state.bytes += namespace.bytes;
    }
    state.hash = *hasher.finalize().as_bytes();
    state
}

/// The description of a view's entries in a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewState {
    /// Number of entries.
    pub entries: u64,
    /// Bytes of their namespaces, keys and values.
    pub bytes: u64,
    /// Hash over all of them.
    pub hash: [u8; 32],
}
