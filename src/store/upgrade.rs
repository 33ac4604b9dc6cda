//! From the layout of one schema to that of the next, in the transaction that opens a database.

use redb::ReadableTable;

use super::codec;
use super::error::StoreError;
use super::record::AccessV1;
use super::tables;
use super::write::WriteTxn;
use crate::model::principal::{Grant, Principal, PrincipalKind, RESERVED, TokenRecord};
use crate::model::time::Timestamp;

/// From schema 1: each access token becomes a service of the same name, with the same token and the role it had.
pub(super) fn from_1(txn: &redb::WriteTransaction, writer: &mut WriteTxn<'_>) -> Result<(), StoreError> {
    let table = txn.open_table(tables::ACCESS_1)?;
    for item in table.iter()? {
        let (name, value) = item?;
        let AccessV1 { hash, role, created } = codec::decode(value.value())?;
        let role = match role {
            1 => "admin",
            2 => "reader",
            3 => "replica",
            // Nobody could have used it.
            _ => continue,
        };
        let (name, created) = (name.value().to_owned(), Timestamp::from_ms(created));
        // Names that now mean the machine itself were once anybody's.
        let who = if RESERVED.contains(&name.as_str()) { format!("{name}-service") } else { name.clone() };
        let principal = Principal {
            name: who.clone(),
            kind: PrincipalKind::Service,
            created,
            grants: vec![Grant::everywhere(role)],
            disabled: None,
        };
        let token = TokenRecord {
            name: name.clone(),
            principal: who.clone(),
            hash: blake3::Hash::from(hash).to_hex().to_string(),
            created,
            expires: None,
            previous: None,
            prompts: None,
            views: Vec::new(),
        };
        writer.put::<Principal>(&who, &principal)?;
        writer.put::<TokenRecord>(&name, &token)?;
    }
    drop(table);
    txn.delete_table(tables::ACCESS_1)?;
    Ok(())
}
