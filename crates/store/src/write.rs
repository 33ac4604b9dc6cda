//! Changes the state: the one place where entries, their index and their hash change together.
//!
//! The state hash is derived from what the map held before and after each change, never from what a message claims. A
//! [`WriteTxn`] lives on the writer thread; nothing is visible or durable before the whole group is committed.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, Table, WriteTransaction};

use super::cell::{self, Cell, CellValue};
use super::codec;
use super::entry::{EntryKey, Kind, Parts};
use super::error::StoreError;
use super::meta;
use super::query::Queries;
use super::read::{self, Entries, Entry, Head, NamespaceState, ViewState, namespace_row, view_state};
use super::record::{
    DeploymentV1, LabelV1, PromptV1, VersionV1, decode_audit, decode_link, decode_version, encode_audit,
};
use super::tables;
use super::touched::Touched;
use crate::api::status::NodeRole;
use crate::crypto::lattice::Leaf;
use crate::model::audit::AuditEntry;
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::position::Position;
use crate::model::prompt::{LabelState, Prompt};
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::trust::root::RootKeyId;

/// A change of an entry of a known kind.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "one variant a kind of entry")]
pub enum Change {
    Prompt(Prompt),
    Version(PromptName, Version),
    Content(String, ContentId, Vec<u8>),
    Label(PromptName, LabelState),
    Unlabel(PromptName, crate::model::name::Label),
    /// Removes the bytes of a content from a namespace.
    Forget(String, ContentId),
    Deployment(Deployment),
}

/// One group of commits in progress.
pub struct WriteTxn<'t> {
    entries: Table<'t, &'static [u8], (u64, &'static [u8])>,
    changes: Table<'t, (u64, &'static [u8]), bool>,
    tombstones: Table<'t, &'static [u8], (u64, i64)>,
    lattices: Table<'t, &'static str, (u64, u64, &'static [u8])>,
    content_homes: Table<'t, ([u8; 32], &'static str), ()>,
    dependents: Table<'t, (&'static str, &'static str, u64), u64>,
    audit: Table<'t, u64, &'static [u8]>,
    imports: Table<'t, &'static str, u64>,
    documents: Table<'t, &'static [u8], &'static [u8]>,
    roots: Table<'t, u64, &'static [u8]>,
    epochs: Table<'t, u64, &'static [u8]>,
    meta: Table<'t, &'static str, &'static [u8]>,
    head: Head,
    namespaces: BTreeMap<String, NamespaceState>,
    dirty_namespaces: BTreeSet<String>,
    touched: Touched,
    mutations: u64,
    /// The cached hash of the latest audit entry.
    audit_head: Option<String>,
}

impl<'t> WriteTxn<'t> {
    /// Begins a group; `namespaces` is what the previous group returned, or `None` to read it.
    pub(super) fn begin(
        txn: &'t WriteTransaction,
        namespaces: Option<BTreeMap<String, NamespaceState>>,
    ) -> Result<Self, StoreError> {
        let meta = txn.open_table(tables::META)?;
        let head = meta.get(meta::HEAD.name())?.map(|value| cell::decode(&meta::HEAD, value.value())).transpose()?;
        let head = head.unwrap_or_default();
        let lattices = txn.open_table(tables::LATTICES)?;
        let read = || {
            lattices
                .iter()?
                .map(|item| item.map_err(StoreError::from).and_then(|(k, v)| namespace_row(k.value(), v.value())))
                .collect()
        };
        let namespaces = namespaces.map_or_else(read, Ok)?;
        Ok(Self {
            entries: txn.open_table(tables::ENTRIES)?,
            changes: txn.open_table(tables::CHANGES)?,
            tombstones: txn.open_table(tables::TOMBSTONES)?,
            lattices,
            content_homes: txn.open_table(tables::CONTENT_HOMES)?,
            dependents: txn.open_table(tables::DEPENDENTS)?,
            audit: txn.open_table(tables::AUDIT)?,
            imports: txn.open_table(tables::IMPORTS)?,
            documents: txn.open_table(tables::DOCUMENTS)?,
            roots: txn.open_table(tables::ROOTS)?,
            epochs: txn.open_table(tables::EPOCHS)?,
            meta,
            head,
            namespaces,
            dirty_namespaces: BTreeSet::new(),
            touched: Touched::default(),
            mutations: 0,
            audit_head: None,
        })
    }

    /// The position of the registry, including the commits of this group.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The state of all namespaces, including the commits of this group.
    pub fn view_state(&self) -> ViewState {
        view_state(self.namespaces.iter().map(|(name, state)| (name.as_str(), state)))
    }

    /// The number of the next commit.
    pub const fn next_seq(&self) -> u64 {
        self.head.position.seq.saturating_add(1)
    }

    /// Makes one commit: the changes and the audit entry, with the next number. Format, number, time and chain fields
    /// of the entry are set here, whatever the draft contains.
    ///
    /// # Errors
    /// Newer state was published than this directory contains, or the database fails; then the whole group is aborted.
    pub fn commit(&mut self, at: Timestamp, changes: Vec<Change>, audit: AuditEntry) -> Result<u64, StoreError> {
        self.check_newest()?;
        let seq = self.next_seq();
        self.mutations += 1;
        self.head.position.seq = seq;
        for change in changes {
            self.change(seq, at, change)?;
        }
        self.append_audit(seq, at, audit)?;
        Ok(seq)
    }

    fn change(&mut self, seq: u64, at: Timestamp, change: Change) -> Result<(), StoreError> {
        let (key, value) = match change {
            Change::Prompt(prompt) => (EntryKey::prompt(&prompt.name), codec::encode(&PromptV1::new(&prompt))?),
            Change::Version(name, version) => {
                (EntryKey::version(&name, version.number), codec::encode(&VersionV1::new(&version))?)
            }
            Change::Content(namespace, id, bytes) => {
                let key = EntryKey::content(&namespace, &id);
                let held = self.entries.get(key.as_bytes())?.map(|held| {
                    let (mod_seq, value) = held.value();
                    (mod_seq, ContentId::of(value) == id)
                });
                match held {
                    None => (key, bytes),
                    Some((_, true)) => return Ok(()),
                    Some((mod_seq, false)) => {
                        // Restores damaged bytes of a content, which changes nothing that was signed.
                        self.entries.insert(key.as_bytes(), (mod_seq, bytes.as_slice()))?;
                        return Ok(());
                    }
                }
            }
            Change::Label(name, state) => (EntryKey::label(&name, &state.label), codec::encode(&LabelV1::new(&state))?),
            Change::Unlabel(name, label) => return self.delete_entry(&EntryKey::label(&name, &label), seq, at),
            Change::Forget(namespace, id) => {
                // What is removed from the state hash must be what was added.
                let _fits = self.content_in(&namespace, &id)?;
                return self.delete_entry(&EntryKey::content(&namespace, &id), seq, at);
            }
            Change::Deployment(deployment) => (
                EntryKey::deployment(&deployment.name, &deployment.label, deployment.id),
                codec::encode(&DeploymentV1::new(&deployment))?,
            ),
        };
        self.put_entry(&key, seq, &value)
    }

    /// Puts an entry, whatever its previous value.
    pub(super) fn put_entry(&mut self, key: &EntryKey, mod_seq: u64, value: &[u8]) -> Result<(), StoreError> {
        self.mutations += 1;
        let parts = parts(key)?;
        let old = self.entries.insert(key.as_bytes(), (mod_seq, value))?.map(|old| {
            let (mod_seq, value) = old.value();
            (mod_seq, Leaf::new(parts.kind, parts.namespace.as_bytes(), parts.key, mod_seq, value), value.len())
        });
        let size = |value: usize| (parts.namespace.len() + parts.key.len() + value) as u64;
        let state = namespace(&mut self.namespaces, parts.namespace);
        match &old {
            Some((_, leaf, length)) => {
                state.lattice.subtract(leaf);
                state.bytes = state.bytes.saturating_sub(size(*length));
            }
            None => state.entries += 1,
        }
        state.lattice.add(&Leaf::new(parts.kind, parts.namespace.as_bytes(), parts.key, mod_seq, value));
        state.bytes += size(value.len());
        match old {
            Some((old_seq, ..)) => {
                self.changes.remove((old_seq, key.as_bytes()))?;
            }
            None => self.forget_tombstone(key)?,
        }
        self.changes.insert((mod_seq, key.as_bytes()), false)?;
        self.derive(&parts, value)?;
        self.touch(&parts, mod_seq);
        Ok(())
    }

    /// Deletes an entry and records the deletion; deleting an absent one changes nothing.
    pub(super) fn delete_entry(&mut self, key: &EntryKey, seq: u64, at: Timestamp) -> Result<(), StoreError> {
        self.mutations += 1;
        let parts = parts(key)?;
        let Some((old_seq, leaf, length)) = self.entries.remove(key.as_bytes())?.map(|old| {
            let (mod_seq, value) = old.value();
            (mod_seq, Leaf::new(parts.kind, parts.namespace.as_bytes(), parts.key, mod_seq, value), value.len())
        }) else {
            return Ok(());
        };
        let state = namespace(&mut self.namespaces, parts.namespace);
        state.lattice.subtract(&leaf);
        state.entries = state.entries.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub((parts.namespace.len() + parts.key.len() + length) as u64);
        self.changes.remove((old_seq, key.as_bytes()))?;
        self.changes.insert((seq, key.as_bytes()), true)?;
        self.tombstones.insert(key.as_bytes(), (seq, at.ms()))?;
        self.head.tombstones += 1;
        if parts.kind == Kind::Content as u8
            && let Ok(hash) = <[u8; 32]>::try_from(parts.key)
        {
            self.content_homes.remove((hash, parts.namespace))?;
        }
        self.touch(&parts, seq);
        Ok(())
    }

    /// Drops records of deletions before a time, which raises the floor for deltas.
    pub fn purge_tombstones(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let mut old = Vec::new();
        for item in self.tombstones.iter()? {
            let (key, value) = item?;
            let (seq, at) = value.value();
            if at < before.ms() {
                old.push((key.value().to_vec(), seq));
            }
        }
        for (key, seq) in &old {
            self.tombstones.remove(key.as_slice())?;
            self.changes.remove((*seq, key.as_slice()))?;
            self.head.floor = self.head.floor.max(*seq);
        }
        let count = old.len() as u64;
        self.head.tombstones = self.head.tombstones.saturating_sub(count);
        self.mutations += count;
        Ok(count)
    }

    /// Clears the state, before a whole one replaces it in the same transaction.
    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        self.mutations += 1;
        self.entries.retain(|_, _| false)?;
        self.changes.retain(|_, _| false)?;
        self.tombstones.retain(|_, _| false)?;
        self.lattices.retain(|_, _| false)?;
        self.content_homes.retain(|_, ()| false)?;
        self.dependents.retain(|_, _| false)?;
        self.namespaces.clear();
        self.dirty_namespaces.clear();
        self.head.tombstones = 0;
        self.touched = Touched::Everything;
        Ok(())
    }

    /// Removes every entry of a namespace.
    pub(super) fn drop_namespace(&mut self, namespace: &str, seq: u64, at: Timestamp) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        let mut from = namespace.as_bytes().to_vec();
        from.push(0);
        let mut to = namespace.as_bytes().to_vec();
        to.push(1);
        self.visit(&from, &to, false, &mut |key, _, _| {
            keys.push(key.to_vec());
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        for key in keys {
            let parts = Parts::of(&key);
            if let Some(key) = parts.and_then(|parts| EntryKey::from_parts(parts.namespace, parts.kind, parts.key)) {
                self.delete_entry(&key, seq, at)?;
            }
        }
        Ok(())
    }

    /// Sets the position of a replica after a delta.
    pub(super) fn set_head(&mut self, head: Head) {
        self.mutations += 1;
        self.head = Head { tombstones: self.head.tombstones, ..head };
    }

    /// Sets the commit of a replica, if the commits in between changed nothing.
    pub fn set_position(&mut self, position: Position) {
        self.mutations += 1;
        self.head.position = position;
    }

    /// Starts another epoch at the current position of the registry.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.mutations += 1;
        self.head.position.epoch = epoch;
    }

    /// Updates the tables that are derived from an entry's value.
    fn derive(&mut self, parts: &Parts<'_>, value: &[u8]) -> Result<(), StoreError> {
        match Kind::from_number(parts.kind) {
            Some(Kind::Content) => {
                let hash = <[u8; 32]>::try_from(parts.key)
                    .map_err(|_| StoreError::Record { kind: "content", reason: "its key is not a hash".to_owned() })?;
                self.content_homes.insert((hash, parts.namespace), ())?;
            }
            Some(Kind::Version) => {
                let refuse = || StoreError::Record { kind: "version", reason: "its key is truncated".to_owned() };
                let (name, number) = parts.name().zip(parts.number()).ok_or_else(refuse)?;
                let version = decode_version(value, number)?;
                for include in &version.includes {
                    self.dependents.insert((include.name.as_str(), name, number), include.version)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn forget_tombstone(&mut self, key: &EntryKey) -> Result<(), StoreError> {
        let seq = self.tombstones.remove(key.as_bytes())?.map(|old| old.value().0);
        if let Some(seq) = seq {
            self.changes.remove((seq, key.as_bytes()))?;
            self.head.tombstones = self.head.tombstones.saturating_sub(1);
        }
        Ok(())
    }

    fn touch(&mut self, parts: &Parts<'_>, seq: u64) {
        if !self.dirty_namespaces.contains(parts.namespace) {
            self.dirty_namespaces.insert(parts.namespace.to_owned());
        }
        self.head.changed = self.head.changed.max(seq);
        if let Some(name) = parts.name() {
            self.touched.add(name);
        }
    }

    fn append_audit(&mut self, seq: u64, at: Timestamp, draft: AuditEntry) -> Result<(), StoreError> {
        let previous = self.audit_head()?;
        let mut entry = AuditEntry { seq, at, previous, hash: String::new(), ..draft };
        entry.hash = entry.digest();
        self.audit.insert(seq, encode_audit(&entry)?.as_slice())?;
        self.audit_head = Some(entry.hash);
        Ok(())
    }

    /// The hash of the newest audit entry, as hex.
    pub fn audit_head(&mut self) -> Result<String, StoreError> {
        if let Some(head) = &self.audit_head {
            return Ok(head.clone());
        }
        let head = match self.audit.last()? {
            Some((_, value)) => decode_link(value.value())?.hash,
            None => AuditEntry::genesis(),
        };
        self.audit_head = Some(head.clone());
        Ok(head)
    }

    /// One entry of the audit log, including those of this group.
    pub(super) fn audit_at(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        self.audit.get(seq)?.map(|value| decode_audit(value.value(), seq)).transpose()
    }

    pub(super) const fn documents_table(&self) -> &Table<'t, &'static [u8], &'static [u8]> {
        &self.documents
    }

    /// Taking this marks the transaction as changed.
    pub(super) const fn documents_table_mut(&mut self) -> &mut Table<'t, &'static [u8], &'static [u8]> {
        self.mutations += 1;
        &mut self.documents
    }

    /// The commit that imported a change, if any.
    pub fn imported(&self, id: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.imports.get(id)?.map(|seq| seq.value()))
    }

    /// Records which commit imported a change.
    pub fn remember_import(&mut self, id: &str, seq: u64) -> Result<(), StoreError> {
        self.mutations += 1;
        self.imports.insert(id, seq)?;
        Ok(())
    }

    /// Stores a signed root document under its number.
    pub fn put_root(&mut self, number: u64, note: &[u8]) -> Result<(), StoreError> {
        self.mutations += 1;
        self.roots.insert(number, note)?;
        Ok(())
    }

    /// Stores a signed epoch record under its number.
    pub fn put_epoch(&mut self, number: u64, note: &[u8]) -> Result<(), StoreError> {
        self.mutations += 1;
        self.epochs.insert(number, note)?;
        Ok(())
    }

    /// Makes this the directory of a replica with this trusted root key.
    pub fn follow(&mut self, root_key: &RootKeyId) -> Result<(), StoreError> {
        self.put_meta(&meta::ROLE, &NodeRole::Replica)?;
        self.put_meta(&meta::TRUSTED_ROOT, root_key)
    }

    /// Stores a value in a cell.
    pub fn put_meta<T: CellValue>(&mut self, cell: &Cell<T>, value: &T) -> Result<(), StoreError> {
        self.mutations += 1;
        self.meta.insert(cell.name(), value.encode()?.as_slice())?;
        Ok(())
    }

    /// The value of a cell.
    ///
    /// # Errors
    /// The database fails, or the value is invalid.
    pub fn meta<T: CellValue>(&self, cell: &Cell<T>) -> Result<Option<T>, StoreError> {
        self.meta.get(cell.name())?.map(|value| cell::decode(cell, value.value())).transpose()
    }

    /// The number of changes so far; a job that fails must not have raised it.
    pub(super) const fn mutations(&self) -> u64 {
        self.mutations
    }

    /// Returns the namespaces if nothing was changed.
    pub(super) fn into_namespaces(self) -> BTreeMap<String, NamespaceState> {
        self.namespaces
    }

    /// Writes the collected changes; returns the names of the changed prompts.
    pub(super) fn finish(mut self) -> Result<GroupResult, StoreError> {
        for name in &self.dirty_namespaces {
            match self.namespaces.get(name) {
                Some(state) if state.entries > 0 => {
                    let row = (state.entries, state.bytes, state.lattice.to_bytes());
                    self.lattices.insert(name.as_str(), (row.0, row.1, row.2.as_slice()))?;
                }
                _ => {
                    self.lattices.remove(name.as_str())?;
                }
            }
        }
        self.meta.insert(meta::HEAD.name(), self.head.encode()?.as_slice())?;
        let state = self.view_state();
        Ok(GroupResult { head: self.head, state, touched: self.touched, namespaces: self.namespaces })
    }
}

/// What observers learn about a group of commits.
pub(super) struct GroupResult {
    pub(super) head: Head,
    pub(super) state: ViewState,
    pub(super) touched: Touched,
    pub(super) namespaces: BTreeMap<String, NamespaceState>,
}

/// The state of a namespace, for a change.
fn namespace<'a>(namespaces: &'a mut BTreeMap<String, NamespaceState>, name: &str) -> &'a mut NamespaceState {
    let state = namespaces.entry(name.to_owned()).or_default();
    state.digest.take();
    state
}

impl Entries for WriteTxn<'_> {
    fn entry(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries.get(key)?.map(|value| {
            let (mod_seq, bytes) = value.value();
            Entry { mod_seq, value: bytes.to_vec() }
        }))
    }

    fn visit(
        &self,
        from: &[u8],
        to: &[u8],
        backwards: bool,
        visitor: &mut read::Visitor<'_>,
    ) -> Result<(), StoreError> {
        read::visit(&self.entries, (from, to), backwards, visitor)
    }

    fn dependents(&self, name: &str) -> Result<Vec<read::Dependent>, StoreError> {
        read::dependents(&self.dependents, name)
    }
}

fn parts(key: &EntryKey) -> Result<Parts<'_>, StoreError> {
    Parts::of(key.as_bytes()).ok_or_else(|| StoreError::Record { kind: "key", reason: "it is truncated".to_owned() })
}
