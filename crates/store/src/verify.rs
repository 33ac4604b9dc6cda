//! Verifies the database: recomputes everything that is derived from the entries, and compares.
//!
//! Nothing is trusted: not the stored counts, the index or content IDs. The caller compares [`Report::state`] with the
//! signed state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use redb::ReadableTableMetadata;

use super::codec;
use super::entry::{EntryKey, Kind, Parts};
use super::error::StoreError;
use super::query::Queries;
use super::read::{Entries, Head, NamespaceState, ReadTxn, ViewState, view_state};
use super::record::{LabelV1, PromptV1, decode_deployment, decode_version};
use super::tables;
use crate::crypto::lattice::Leaf;
use crate::model::content_id::ContentId;
use crate::model::name::PromptName;

/// Number of differences that a report lists; more are only counted.
const DIFFERENCES_MAX: usize = 100;

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The position of the state.
    pub head: Head,
    /// Count, size and hash of the entries, recomputed.
    pub state: ViewState,
    /// Number of entries of each kind, by number of the kind.
    pub kinds: BTreeMap<u8, u64>,
    /// The differences, as text; empty if there are none.
    pub differences: Vec<String>,
    /// Number of differences that are not listed.
    pub more: u64,
}

impl Report {
    /// Records a difference.
    pub fn differ(&mut self, what: impl Into<String>) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(what.into());
        } else {
            self.more += 1;
        }
    }
}

/// Checks the whole state that a transaction sees. `progress` is called with the number of checked entries.
///
/// # Errors
/// The database cannot be read at all; wrong data is in the report.
pub fn verify(txn: &ReadTxn, progress: &mut dyn FnMut(u64)) -> Result<Report, StoreError> {
    txn.guarded(|| look(txn, progress))
}

fn look(txn: &ReadTxn, progress: &mut dyn FnMut(u64)) -> Result<Report, StoreError> {
    let mut report = Report { head: txn.head()?, ..Report::default() };
    let mut namespaces: BTreeMap<String, NamespaceState> = BTreeMap::new();
    let mut homes = BTreeSet::new();
    let mut dependents = BTreeSet::new();
    let mut done = 0_u64;
    let changes = txn.raw().open_table(tables::CHANGES)?;
    super::read::visit(txn.entries_table(), (&[], &[0xff; 4]), false, &mut |key, mod_seq, value| {
        done += 1;
        if done.is_multiple_of(1_000) {
            progress(done);
        }
        let Some(parts) = Parts::of(key) else {
            report.differ("an entry has an invalid key");
            return Ok(ControlFlow::Continue(()));
        };
        *report.kinds.entry(parts.kind).or_default() += 1;
        let state = namespaces.entry(parts.namespace.to_owned()).or_default();
        state.entries += 1;
        state.bytes += (parts.namespace.len() + parts.key.len() + value.len()) as u64;
        state.lattice.add(&Leaf::new(parts.kind, parts.namespace.as_bytes(), parts.key, mod_seq, value));
        if mod_seq > report.head.changed {
            report.differ(format!("{} changed at commit {mod_seq}, after the latest one", describe(&parts)));
        }
        if changes.get((mod_seq, key))?.is_none_or(|deleted| deleted.value()) {
            report.differ(format!("{} is missing from the change index", describe(&parts)));
        }
        match check_entry(txn, &parts, value, &mut homes, &mut dependents) {
            Err(StoreError::Content { id, found }) => report.differ(changed_text(txn, parts.namespace, &id, &found)?),
            Err(error) => report.differ(format!("{}: {error}", describe(&parts))),
            Ok(()) => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    report.state = view_state(namespaces.iter().map(|(name, state)| (name.as_str(), state)));
    check_lattices(txn, &namespaces, &mut report)?;
    check_derived(txn, &homes, &dependents, &mut report)?;
    check_documents(txn, &mut report)?;
    let tombstones = check_tombstones(txn, &mut report)?;
    if changes.len()? != report.state.entries + tombstones {
        report.differ(format!(
            "the change index has {} rows for {} entries and {tombstones} deletions",
            changes.len()?,
            report.state.entries
        ));
    }
    Ok(report)
}

/// Checks the value of one entry by itself.
fn check_entry(
    txn: &ReadTxn,
    parts: &Parts<'_>,
    value: &[u8],
    homes: &mut BTreeSet<([u8; 32], String)>,
    dependents: &mut BTreeSet<(String, String, u64, u64)>,
) -> Result<(), StoreError> {
    let fault = |reason: String| StoreError::Record { kind: "entry", reason };
    let name = || -> Result<PromptName, StoreError> { super::record::parse(parts.name().unwrap_or_default()) };
    match Kind::from_number(parts.kind) {
        Some(Kind::Prompt) => {
            codec::decode::<PromptV1>(value)?.into_model(name()?);
        }
        Some(Kind::Version) => {
            let number = parts.number().ok_or_else(|| fault("its key is truncated".to_owned()))?;
            let version = decode_version(value, number)?;
            let name = name()?;
            for id in std::iter::once(&version.content_id).chain(&version.source_id) {
                if version.archived.is_none()
                    && txn.entry(EntryKey::content(name.namespace(), id).as_bytes())?.is_none()
                {
                    return Err(fault(format!("its content {id} is missing")));
                }
            }
            for include in version.includes {
                dependents.insert((include.name.into(), name.to_string(), number, include.version));
            }
        }
        Some(Kind::Content) => {
            let found = ContentId::of(value);
            let key = <[u8; 32]>::try_from(parts.key).map_err(|_| fault("its key is not a hash".to_owned()))?;
            let id = ContentId::from_hash(key);
            if id != found {
                return Err(StoreError::Content { id, found });
            }
            homes.insert((*id.as_hash(), parts.namespace.to_owned()));
        }
        Some(Kind::Label) => {
            let label = super::record::parse(parts.label().unwrap_or_default())?;
            let state = codec::decode::<LabelV1>(value)?.into_model(label);
            for number in state.serving.versions() {
                if txn.version(&name()?, number)?.is_none() {
                    return Err(fault(format!("it serves version {number}, which is missing")));
                }
            }
        }
        Some(Kind::Deployment) => {
            let label = super::record::parse(parts.label().unwrap_or_default())?;
            decode_deployment(value, name()?, label, parts.number().unwrap_or_default())?;
        }
        None => {}
    }
    Ok(())
}

/// Names the versions whose content was changed outside of the program.
fn changed_text(txn: &ReadTxn, namespace: &str, id: &ContentId, found: &ContentId) -> Result<String, StoreError> {
    let mut of = Vec::new();
    let versions = EntryKey::all(namespace, Kind::Version);
    txn.visit(versions.as_bytes(), &versions.after(), false, &mut |key, _, value| {
        let parts = Parts::of(key);
        if let Some((name, number)) = parts.and_then(|parts| parts.name().zip(parts.number()))
            && let Ok(version) = decode_version(value, number)
            && (version.content_id == *id || version.source_id == Some(*id))
        {
            of.push(format!("{name}@{number}"));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let of = if of.is_empty() { format!("a content of `{namespace}`") } else { of.join(", ") };
    Ok(format!("the text of {of} was changed: its id is {id}, but its bytes have the hash {found}"))
}

fn check_lattices(
    txn: &ReadTxn,
    namespaces: &BTreeMap<String, NamespaceState>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let stored: BTreeMap<_, _> = txn.namespaces()?.into_iter().collect();
    for name in namespaces.keys().chain(stored.keys()).collect::<BTreeSet<_>>() {
        let summary =
            |state: Option<&NamespaceState>| state.map(|state| (state.entries, state.bytes, state.lattice.digest()));
        if summary(namespaces.get(name)) != summary(stored.get(name)) {
            report.differ(format!("the stored counts of the namespace `{name}` do not match its entries"));
        }
    }
    Ok(())
}

fn check_derived(
    txn: &ReadTxn,
    homes: &BTreeSet<([u8; 32], String)>,
    dependents: &BTreeSet<(String, String, u64, u64)>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut stored = BTreeSet::new();
    for item in redb::ReadableTable::iter(&txn.raw().open_table(tables::CONTENT_HOMES)?)? {
        let (key, ()) = item.map(|(key, value)| (key, value.value()))?;
        let (hash, namespace) = key.value();
        stored.insert((hash, namespace.to_owned()));
    }
    if stored != *homes {
        report.differ("the content index does not match the entries");
    }
    let mut stored = BTreeSet::new();
    for item in redb::ReadableTable::iter(&txn.raw().open_table(tables::DEPENDENTS)?)? {
        let (key, included) = item?;
        let (name, dependent, version) = key.value();
        stored.insert((name.to_owned(), dependent.to_owned(), version, included.value()));
    }
    if stored != *dependents {
        report.differ("the include index does not match the entries");
    }
    Ok(())
}

/// Documents are covered by no hash; besides the page checksums, it can only be checked that they can be read.
fn check_documents(txn: &ReadTxn, report: &mut Report) -> Result<(), StoreError> {
    for item in redb::ReadableTable::iter(&txn.raw().open_table(tables::DOCUMENTS)?)? {
        let (_, value) = item?;
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(value.value()) {
            report.differ(format!("cannot read a governance document: {error}"));
        }
    }
    for item in redb::ReadableTable::iter(&txn.raw().open_table(tables::IMPORTS)?)? {
        let _readable = item?;
    }
    Ok(())
}

fn check_tombstones(txn: &ReadTxn, report: &mut Report) -> Result<u64, StoreError> {
    let table = txn.raw().open_table(tables::TOMBSTONES)?;
    let changes = txn.raw().open_table(tables::CHANGES)?;
    let mut count = 0;
    for item in redb::ReadableTable::iter(&table)? {
        let (key, value) = item?;
        count += 1;
        let indexed = changes.get((value.value().0, key.value()))?.map(|deleted| deleted.value());
        if indexed != Some(true) || txn.entry(key.value())?.is_some() {
            report.differ("a stored deletion contradicts the entries");
        }
    }
    if count != report.head.tombstones {
        report.differ(format!("{count} deletions are stored, but {} are counted", report.head.tombstones));
    }
    Ok(count)
}

fn describe(parts: &Parts<'_>) -> String {
    let name = parts.name().map_or_else(|| format!("a content of `{}`", parts.namespace), str::to_owned);
    match (Kind::from_number(parts.kind), parts.number(), parts.label()) {
        (Some(Kind::Version), Some(number), _) => format!("version {name}@{number}"),
        (Some(Kind::Label), _, Some(label)) => format!("label {name}@{label}"),
        (Some(Kind::Deployment), Some(id), Some(label)) => format!("deployment {id} of {name}@{label}"),
        (Some(Kind::Prompt), ..) => format!("prompt {name}"),
        _ => name,
    }
}
