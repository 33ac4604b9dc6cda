//! Values that mean nothing to a registry, for tests of the store beneath it.

use bookholder::store::StoreError;
use bookholder::store::documents::{Documents, ScannedUnder};
use bookholder::store::write::WriteTxn;

use super::primary::name;

/// Stores a text under a key, which is spelled as the name of a prompt.
pub fn put(txn: &mut WriteTxn<'_>, key: &str, text: &str) -> Result<(), StoreError> {
    txn.put((&name(key), 1), &ScannedUnder(text.to_owned()))
}

/// The text of a key.
pub fn get(txn: &impl Documents, key: &str) -> Result<Option<String>, StoreError> {
    Ok(txn.get((&name(key), 1))?.map(|ScannedUnder(text)| text))
}
