//! Documents: what governance keeps on a primary beside the replicated map.
//!
//! Principals, policies, change requests and their like are small, few, written by people, and grow
//! new optional fields as features come. They are kept as the JSON of their nouns under
//! `shelf key`, where records of the replicated map are frozen structs. No replica ever gets one.

use std::ops::{Bound, ControlFlow};

use redb::ReadableTable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::read::ReadTxn;
use super::tables;
use super::write::WriteTxn;
use crate::model::audit::AuditEntry;

/// Longest key of a document, in bytes: a prompt's name, a handle and a number.
pub const DOCUMENT_KEY_BYTES_MAX: usize = 512;

/// What kind of document it is; the number is stored and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is named after the noun it holds")]
pub enum Shelf {
    /// By name.
    Principal = 1,
    /// By name.
    Token = 2,
    /// By name.
    Role = 3,
    /// By name.
    Policy = 4,
    /// By number.
    ChangeRequest = 5,
    /// By number: the ones that are open.
    OpenRequest = 6,
    /// By prompt and name.
    Draft = 7,
    /// By prompt, name and revision.
    DraftSave = 8,
    /// By name: the TOML of a rule set.
    RuleSet = 9,
    /// By prompt and version.
    Findings = 10,
    /// By name.
    Webhook = 11,
    /// By webhook and number of the audit entry.
    Delivery = 12,
    /// By prompt, version and who used it.
    Use = 13,
    /// By access token: when it was used last.
    TokenUse = 14,
    /// By webhook, due time and number of the audit entry.
    DueDelivery = 16,
    /// By name of the webhook.
    WebhookSecret = 17,
    /// By prompt and version: who else than its author made it.
    Makers = 18,
    /// By prompt and version: under which rules its findings were found.
    Scanned = 19,
    /// By prompt: what people say about it.
    About = 20,
    /// By prompt: the values that it is tried with.
    Samples = 21,
    /// By principal: how many drafts they have, and how much room those take.
    DraftRoom = 22,
    /// By place and prompt: what was last done from there.
    Source = 23,
    /// By the hash of its id: a session of the pages.
    WebSession = 24,
}

/// A number as a part of a key, so that keys sort as their numbers do.
#[must_use]
pub fn number_key(number: u64) -> String {
    format!("{number:020}")
}

/// Parts of a key, none of which holds a control character.
#[must_use]
pub fn joined_key(parts: &[&str]) -> String {
    parts.join("\0")
}

/// Looks at a document: its key and its JSON.
type Visitor<'a> = dyn FnMut(&str, &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// Questions about documents. Every method fails only when the database or a document does.
#[allow(clippy::missing_errors_doc, reason = "said above, once")]
pub trait Documents {
    /// The JSON of one document.
    fn raw_document(&self, shelf: Shelf, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the documents of a shelf whose keys begin with `prefix`, from `from` (included) on, or from the end down
    /// to it.
    fn visit_documents(
        &self,
        shelf: Shelf,
        prefix: &str,
        from: &str,
        backwards: bool,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError>;

    /// One entry of the audit log.
    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError>;

    /// One document.
    fn document<T: DeserializeOwned>(&self, shelf: Shelf, key: &str) -> Result<Option<T>, StoreError> {
        self.raw_document(shelf, key)?.map(|bytes| read(&bytes)).transpose()
    }

    /// Every document of a shelf whose key begins with `prefix`, with its key, in order.
    fn documents<T: DeserializeOwned>(&self, shelf: Shelf, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let mut found = Vec::new();
        self.visit_documents(shelf, prefix, "", false, &mut |key, bytes| {
            found.push((key.to_owned(), read(bytes)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

/// Reads the JSON of a document.
///
/// # Errors
/// It is not what the shelf holds.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Record { kind: "document", reason: error.to_string() })
}

fn encoded(shelf: Shelf, key: &str) -> Vec<u8> {
    let mut bytes = vec![shelf as u8];
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn visit(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    (shelf, prefix, from): (Shelf, &str, &str),
    backwards: bool,
    visitor: &mut Visitor<'_>,
) -> Result<(), StoreError> {
    let begin = encoded(shelf, if from > prefix { from } else { prefix });
    // Keys are UTF-8, in which no byte is 0xff.
    let mut end = encoded(shelf, prefix);
    end.push(0xff);
    if begin >= end {
        return Ok(());
    }
    let mut range = table.range::<&[u8]>((Bound::Included(begin.as_slice()), Bound::Excluded(end.as_slice())))?;
    while let Some(item) = if backwards { range.next_back() } else { range.next() } {
        let (key, value) = item?;
        let key = key.value().get(1..).and_then(|key| std::str::from_utf8(key).ok());
        let key =
            key.ok_or_else(|| StoreError::Record { kind: "document", reason: "its key is no text".to_owned() })?;
        if visitor(key, value.value())?.is_break() {
            break;
        }
    }
    Ok(())
}

impl Documents for ReadTxn {
    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        Ok(self.audit_from(seq, 1)?.pop().filter(|entry| entry.seq == seq))
    }

    fn raw_document(&self, shelf: Shelf, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.raw().open_table(tables::DOCUMENTS)?;
        Ok(table.get(encoded(shelf, key).as_slice())?.map(|value| value.value().to_vec()))
    }

    fn visit_documents(
        &self,
        shelf: Shelf,
        prefix: &str,
        from: &str,
        backwards: bool,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        visit(&self.raw().open_table(tables::DOCUMENTS)?, (shelf, prefix, from), backwards, visitor)
    }
}

impl Documents for WriteTxn<'_> {
    fn audit_entry(&self, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        self.audit_at(seq)
    }

    fn raw_document(&self, shelf: Shelf, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.documents_table().get(encoded(shelf, key).as_slice())?.map(|value| value.value().to_vec()))
    }

    fn visit_documents(
        &self,
        shelf: Shelf,
        prefix: &str,
        from: &str,
        backwards: bool,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        visit(self.documents_table(), (shelf, prefix, from), backwards, visitor)
    }
}

impl WriteTxn<'_> {
    /// Keeps a document, whatever stood there before.
    ///
    /// # Errors
    /// The database fails.
    pub fn put_document<T: Serialize>(&mut self, shelf: Shelf, key: &str, document: &T) -> Result<(), StoreError> {
        let fault = |reason: String| StoreError::Record { kind: "document", reason };
        if key.len() > DOCUMENT_KEY_BYTES_MAX {
            return Err(fault(format!("its key is {} bytes long", key.len())));
        }
        let bytes = serde_json::to_vec(document).map_err(|error| fault(error.to_string()))?;
        self.documents_table_mut().insert(encoded(shelf, key).as_slice(), bytes.as_slice())?;
        Ok(())
    }

    /// Takes a document away; whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub fn remove_document(&mut self, shelf: Shelf, key: &str) -> Result<bool, StoreError> {
        // An absent one is no change, so that a command which finds nothing has changed nothing.
        let key = encoded(shelf, key);
        if self.documents_table().get(key.as_slice())?.is_none() {
            return Ok(false);
        }
        Ok(self.documents_table_mut().remove(key.as_slice())?.is_some())
    }
}
