//! The catalogue: every table of `registry.redb`, its key and its value.
//!
//! Integers inside keys of entries are big-endian, so that byte order is number order. A table's
//! name ends in the version of its layout. `entries` is the state; `changes`, `tombstones`,
//! `lattices`, `content_homes` and `dependents` follow from it and are checked against it by
//! `bookholder verify`; the others belong to this node alone.

use redb::TableDefinition;

/// Version of the file's schema; a file with a higher one is rejected.
pub(super) const SCHEMA: u64 = 1;

/// `namespace 0x00 kind key` → `(mod_seq, value)`; see [`super::entry`].
pub(super) const ENTRIES: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("entries/v1");
/// `(mod_seq, entry key)` → whether the entry was deleted then. Each key is listed once, at its last change.
pub(super) const CHANGES: TableDefinition<'_, (u64, &[u8]), bool> = TableDefinition::new("changes/v1");
/// `entry key` → `(seq of the deletion, unix ms)`.
pub(super) const TOMBSTONES: TableDefinition<'_, &[u8], (u64, i64)> = TableDefinition::new("tombstones/v1");
/// `namespace` → `(entries, bytes, lattice of 2,048 bytes)`.
pub(super) const LATTICES: TableDefinition<'_, &str, (u64, u64, &[u8])> = TableDefinition::new("lattices/v1");
/// `(content hash, namespace)`: where a content is stored.
pub(super) const CONTENT_HOMES: TableDefinition<'_, ([u8; 32], &str), ()> = TableDefinition::new("content_homes/v1");
/// `(included prompt, including prompt, its version)` → the included version.
pub(super) const DEPENDENTS: TableDefinition<'_, (&str, &str, u64), u64> = TableDefinition::new("dependents/v1");
/// `seq` → audit entry record.
pub(super) const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit/v1");
/// `ID of an imported change` → the commit that imported it.
pub(super) const IMPORTS: TableDefinition<'_, &str, u64> = TableDefinition::new("imports/v1");
/// `kind key` → JSON of the document; see [`super::documents`].
pub(super) const DOCUMENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("documents/v1");
/// `number` → signed root document.
pub(super) const ROOTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("roots/v1");
/// `epoch` → signed epoch record.
pub(super) const EPOCHS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("epochs/v1");
/// `name` → its value; see [`super::meta`].
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta/v1");
