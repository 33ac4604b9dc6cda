//! Documents: the governance records of a primary, stored beside the replicated map.
//!
//! Principals, policies, change requests and similar records are few and small, written by people, and grow optional
//! fields as features are added. They are stored as the JSON of their types under `kind key`, whereas records of the
//! replicated map are frozen structs. Documents are never replicated. Invariant: a kind of document is read and written
//! as one type, with one form of key; [`catalogue`] lists them.

mod catalogue;
mod key;

use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};

use redb::ReadableTable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::catalogue::DocumentKind;
pub use self::catalogue::{
    Contributors, DraftSave, DraftUsage, DueDelivery, Findings, KeptPrices, LastUse, OpenRequest, OpenSignInLink,
    RuleSetToml, Samples, ScannedUnder, SuiteJson, TokenUse, WebSessionRecord, WebhookSecrets, delivery_key, due_key,
    is_key, save_key,
};
use self::key::{CompoundKey, DocumentKey};
pub use self::key::{DeliveryKey, DraftSaveKey, DueDeliveryKey, HumanLabelKey, UseKey};
use super::error::StoreError;
use super::read::ReadTxn;
use super::tables;
use super::write::WriteTxn;
use crate::model::audit::AuditEntry;

/// A type that is stored as a document.
pub trait Document: Serialize + DeserializeOwned {
    /// Its kind, which precedes its key.
    const KIND: DocumentKind;
    /// Its key.
    type Key<'a>: DocumentKey;
}

/// A part of a document that can be read alone.
pub trait Excerpt<D: Document>: DeserializeOwned {}

/// A stored document that is not parsed yet.
pub struct Found<'k, D> {
    key: &'k str,
    json: &'k [u8],
    document: PhantomData<D>,
}

impl<'k, D: Document> Found<'k, D> {
    /// Its key.
    ///
    /// # Errors
    /// It is not a key of such a document.
    pub fn key(&self) -> Result<<D::Key<'static> as DocumentKey>::Read<'k>, StoreError> {
        <D::Key<'static> as DocumentKey>::read(self.key)
            .ok_or_else(|| fault(format!("{:?} is not a key of a {:?}", self.key, D::KIND)))
    }

    /// The document.
    ///
    /// # Errors
    /// It is not a document of this kind.
    pub fn read(&self) -> Result<D, StoreError> {
        self.parse()
    }

    /// A part of the document.
    ///
    /// # Errors
    /// It has no such part.
    pub fn excerpt<E: Excerpt<D>>(&self) -> Result<E, StoreError> {
        self.parse()
    }

    /// Its JSON.
    pub const fn json(&self) -> &'k [u8] {
        self.json
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_slice(self.json).map_err(|error| fault(format!("{:?}: {error}", D::KIND)))
    }
}

/// Which documents of a kind to visit, in which order.
pub struct Scan<D> {
    prefix: Option<String>,
    backwards: bool,
    document: PhantomData<D>,
}

impl<D: Document> Scan<D> {
    /// All of them, ordered by key.
    #[must_use]
    pub const fn all() -> Self {
        Self { prefix: Some(String::new()), backwards: false, document: PhantomData }
    }

    /// Those whose keys begin with these parts, ordered by key.
    #[must_use]
    pub fn under<'a>(parts: <D::Key<'a> as CompoundKey>::Prefix) -> Self
    where
        D::Key<'a>: CompoundKey,
    {
        let prefix = parts.text().map(|text| text + "\0");
        Self { prefix, ..Self::all() }
    }

    /// The same, in reverse order.
    #[must_use]
    pub fn backwards(self) -> Self {
        Self { backwards: true, ..self }
    }
}

/// Visits a document; returns whether to continue.
pub type Visitor<'a, D> = dyn FnMut(Found<'_, D>) -> Result<ControlFlow<()>, StoreError> + 'a;

/// Queries on documents. Methods fail only if the database or a document does.
#[allow(clippy::missing_errors_doc, reason = "said above, once")]
pub trait Documents {
    /// Visits one document, if it exists.
    fn inspect<D: Document, T>(
        &self,
        key: D::Key<'_>,
        look: impl FnOnce(Found<'_, D>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError>;

    /// Visits documents, until the visitor stops.
    fn visit_documents<D: Document>(&self, scan: &Scan<D>, visitor: &mut Visitor<'_, D>) -> Result<(), StoreError>;

    /// One entry of the audit log.
    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError>;

    /// One document.
    fn get<D: Document>(&self, key: D::Key<'_>) -> Result<Option<D>, StoreError> {
        self.inspect::<D, D>(key, |found| found.read())
    }

    /// Whether a document exists.
    fn has<D: Document>(&self, key: D::Key<'_>) -> Result<bool, StoreError> {
        Ok(self.inspect::<D, ()>(key, |_| Ok(()))?.is_some())
    }

    /// Every document of a kind, by key.
    fn list<D: Document>(&self) -> Result<Vec<D>, StoreError> {
        self.list_of(&Scan::all())
    }

    /// The documents of a scan.
    fn list_of<D: Document>(&self, scan: &Scan<D>) -> Result<Vec<D>, StoreError> {
        let mut documents = Vec::new();
        self.visit_documents(scan, &mut |found| {
            documents.push(found.read()?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(documents)
    }
}

fn fault(reason: String) -> StoreError {
    StoreError::Record { kind: "document", reason }
}

fn encoded(kind: DocumentKind, key: &str) -> Vec<u8> {
    let mut bytes = vec![kind as u8];
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn inspect<D: Document, T>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: D::Key<'_>,
    look: impl FnOnce(Found<'_, D>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let Some(key) = key.text() else { return Ok(None) };
    let Some(value) = table.get(encoded(D::KIND, &key).as_slice())? else { return Ok(None) };
    look(Found { key: &key, json: value.value(), document: PhantomData }).map(Some)
}

fn visit<D: Document>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    scan: &Scan<D>,
    visitor: &mut Visitor<'_, D>,
) -> Result<(), StoreError> {
    let Some(prefix) = &scan.prefix else { return Ok(()) };
    let begin = encoded(D::KIND, prefix);
    // Keys are UTF-8, which never contains the byte 0xff.
    let end = [begin.as_slice(), &[0xff]].concat();
    let mut range = table.range::<&[u8]>((Bound::Included(begin.as_slice()), Bound::Excluded(end.as_slice())))?;
    while let Some(item) = if scan.backwards { range.next_back() } else { range.next() } {
        let (key, value) = item?;
        let key = key.value().get(1..).and_then(|key| std::str::from_utf8(key).ok());
        let key = key.ok_or_else(|| fault("its key is not text".to_owned()))?;
        if visitor(Found { key, json: value.value(), document: PhantomData })?.is_break() {
            break;
        }
    }
    Ok(())
}

impl Documents for ReadTxn {
    fn inspect<D: Document, T>(
        &self,
        key: D::Key<'_>,
        look: impl FnOnce(Found<'_, D>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        inspect(&self.raw().open_table(tables::DOCUMENTS)?, key, look)
    }

    fn visit_documents<D: Document>(&self, scan: &Scan<D>, visitor: &mut Visitor<'_, D>) -> Result<(), StoreError> {
        visit(&self.raw().open_table(tables::DOCUMENTS)?, scan, visitor)
    }

    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        Ok(self.audit_from(seq, 1)?.pop().filter(|entry| entry.seq == seq))
    }
}

impl Documents for WriteTxn<'_> {
    fn inspect<D: Document, T>(
        &self,
        key: D::Key<'_>,
        look: impl FnOnce(Found<'_, D>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        inspect(self.documents_table(), key, look)
    }

    fn visit_documents<D: Document>(&self, scan: &Scan<D>, visitor: &mut Visitor<'_, D>) -> Result<(), StoreError> {
        visit(self.documents_table(), scan, visitor)
    }

    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        self.audit_at(seq)
    }
}

impl WriteTxn<'_> {
    /// Stores a document, and replaces one with the same key.
    ///
    /// # Errors
    /// The key is invalid, or the database fails.
    pub fn put<D: Document>(&mut self, key: D::Key<'_>, document: &D) -> Result<(), StoreError> {
        let key = key.text().ok_or_else(|| fault(format!("the key of a {:?} is too long or not text", D::KIND)))?;
        let json = serde_json::to_vec(document).map_err(|error| fault(error.to_string()))?;
        self.documents_table_mut().insert(encoded(D::KIND, &key).as_slice(), json.as_slice())?;
        Ok(())
    }

    /// Removes a document; returns whether it existed.
    pub fn remove<D: Document>(&mut self, key: D::Key<'_>) -> Result<bool, StoreError> {
        // Removing an absent one is no change, so that a command that finds nothing changes nothing.
        let Some(key) = key.text().map(|key| encoded(D::KIND, &key)) else { return Ok(false) };
        if self.documents_table().get(key.as_slice())?.is_none() {
            return Ok(false);
        }
        Ok(self.documents_table_mut().remove(key.as_slice())?.is_some())
    }
}
