//! At least one principal with an access token must be able to manage access.

use super::RegistryError;
use crate::governance::rulebook::{AccessQuery, Rulebook};
use crate::model::principal::{Permission, TokenRecord};
use crate::model::time::Timestamp;
use crate::store::documents::Documents;
use crate::store::write::WriteTxn;

/// Whether another principal with permission to manage access has an access token.
pub(super) fn admins_with_tokens(
    txn: &WriteTxn<'_>,
    book: &Rulebook,
    now: Timestamp,
    without: Option<&str>,
) -> Result<bool, RegistryError> {
    let tokens = txn.list::<TokenRecord>()?;
    Ok(tokens.iter().any(|record| {
        let ask = AccessQuery {
            who: &record.principal,
            kind: None,
            bound: record.prompts.as_ref(),
            permission: Permission::Access,
            prompt: None,
            label: None,
        };
        without != Some(record.name.as_str())
            && record.expires.is_none_or(|expires| expires > now)
            && book.decide(&ask).allowed
    }))
}

/// At least one principal with an access token must be able to manage access.
pub(super) fn keep_an_admin(
    txn: &WriteTxn<'_>,
    book: &Rulebook,
    now: Timestamp,
    name: &str,
) -> Result<(), RegistryError> {
    if admins_with_tokens(txn, book, now, None)? {
        Ok(())
    } else {
        Err(RegistryError::LastAdmin { name: name.to_owned() })
    }
}
