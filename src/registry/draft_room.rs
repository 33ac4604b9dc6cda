//! How many drafts there are and how much room they take: of each principal, and of the registry.
//!
//! A draft counts for who began it; its bytes, and those of each of its saves, for who saved them. Invariant: every draft
//! and every save is written and removed here, so that the counts fit what is kept.

use serde::{Deserialize, Serialize};

use super::RegistryError;
use super::command::clip;
use crate::model::draft::{
    DRAFTS_BYTES_MAX, DRAFTS_OF_ALL_MAX, DRAFTS_OF_ONE_BYTES_MAX, DRAFTS_OF_ONE_MAX, Draft, DraftSummary,
};
use crate::model::principal::HANDLE_BYTES_MAX;
use crate::store::StoreError;
use crate::store::document::{Documents, Shelf, read};
use crate::store::write::WriteTxn;

/// The key of what all drafts together take; no principal is called that.
const EVERYBODY: &str = "*";

/// What drafts take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Room {
    drafts: u64,
    bytes: u64,
}

/// Refuses a save, before anything of it is written, for which its author or the registry has no room.
pub(super) fn check(txn: &WriteTxn<'_>, saved: &Draft, is_new: bool) -> Result<(), RegistryError> {
    // Kept twice: as the draft, and among its saves.
    let bytes = 2 * length(saved)?;
    let drafts = u64::from(is_new);
    for (who, drafts_max, bytes_max) in [
        (saved.saved_by.as_str(), DRAFTS_OF_ONE_MAX, DRAFTS_OF_ONE_BYTES_MAX),
        (EVERYBODY, DRAFTS_OF_ALL_MAX, DRAFTS_BYTES_MAX),
    ] {
        let room = room(txn, who)?;
        let whose = || if who == EVERYBODY { "all".to_owned() } else { format!("`{}`'s", clip(who, HANDLE_BYTES_MAX)) };
        for (found, max, unit) in
            [(room.drafts + drafts, drafts_max, "places"), (room.bytes.saturating_add(bytes), bytes_max, "bytes")]
        {
            if found > max {
                return Err(RegistryError::DraftRoom { whose: whose(), found, max, unit });
            }
        }
    }
    Ok(())
}

/// Writes a draft or a save.
pub(super) fn put(txn: &mut WriteTxn<'_>, shelf: Shelf, key: &str, draft: &Draft) -> Result<(), StoreError> {
    remove(txn, shelf, key)?;
    txn.put_document(shelf, key, draft)?;
    let bytes = txn.raw_document(shelf, key)?.map_or(0, |bytes| bytes.len() as u64);
    change(txn, &draft.saved_by, |room| room.bytes = room.bytes.saturating_add(bytes))?;
    if shelf == Shelf::Draft {
        change(txn, &draft.author, |room| room.drafts += 1)?;
    }
    Ok(())
}

/// Removes a draft or a save, where there is one.
pub(super) fn remove(txn: &mut WriteTxn<'_>, shelf: Shelf, key: &str) -> Result<(), StoreError> {
    let Some(before) = txn.raw_document(shelf, key)? else { return Ok(()) };
    let DraftSummary { author, saved_by, .. } = read(&before)?;
    txn.remove_document(shelf, key)?;
    change(txn, &saved_by, |room| room.bytes = room.bytes.saturating_sub(before.len() as u64))?;
    if shelf == Shelf::Draft {
        change(txn, &author, |room| room.drafts = room.drafts.saturating_sub(1))?;
    }
    Ok(())
}

fn length(draft: &Draft) -> Result<u64, RegistryError> {
    let bytes = serde_json::to_vec(draft).map_err(|error| RegistryError::Unfit(error.to_string()))?;
    Ok(bytes.len() as u64)
}

fn room(txn: &WriteTxn<'_>, who: &str) -> Result<Room, StoreError> {
    Ok(txn.document(Shelf::DraftRoom, who)?.unwrap_or_default())
}

fn change(txn: &mut WriteTxn<'_>, who: &str, by: impl Fn(&mut Room)) -> Result<(), StoreError> {
    for who in [who, EVERYBODY] {
        let mut changed = room(txn, who)?;
        by(&mut changed);
        if changed == Room::default() {
            txn.remove_document(Shelf::DraftRoom, who)?;
        } else {
            txn.put_document(Shelf::DraftRoom, who, &changed)?;
        }
    }
    Ok(())
}
