//! Number and size of drafts, per principal and in total.
//!
//! A draft counts for its creator; its bytes, and those of each saved revision, for the person who saved them.
//! Invariant: every draft and revision is written and removed here, so that the counts match what is stored.

use super::RegistryError;
use super::command::clip;
use crate::model::draft::{
    DRAFTS_BYTES_MAX, DRAFTS_OF_ALL_MAX, DRAFTS_OF_ONE_BYTES_MAX, DRAFTS_OF_ONE_MAX, Draft, DraftSummary,
};
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::model::name::PromptName;
use crate::store::StoreError;
use crate::store::documents::{Document, Documents, DraftSave, DraftSaveKey, DraftUsage, Excerpt, save_key};
use crate::store::write::WriteTxn;

/// The key of the total of all drafts; not a valid name of a principal.
const EVERYBODY: &str = "*";

/// Refuses a save that exceeds the quota of its author or the registry, before anything is written.
pub(super) fn check(txn: &WriteTxn<'_>, saved: &Draft, is_new: bool) -> Result<(), RegistryError> {
    // Stored twice: as the draft, and as a revision.
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
                return Err(RegistryError::DraftLimit { whose: whose(), found, max, unit });
            }
        }
    }
    Ok(())
}

/// Writes a draft, and stores it as a revision.
pub(super) fn put(txn: &mut WriteTxn<'_>, draft: Draft) -> Result<(), StoreError> {
    let key = (&draft.prompt, draft.name.as_str());
    remove_draft(txn, &draft.prompt, &draft.name)?;
    txn.put(key, &draft)?;
    take(txn, &size::<Draft>(txn, key)?)?;
    change(txn, &draft.author, |room| room.drafts += 1)?;
    let save = DraftSave(draft);
    let key = save_key(&save.0);
    remove_save(txn, key)?;
    txn.put(key, &save)?;
    take(txn, &size::<DraftSave>(txn, key)?)
}

/// Removes a draft, if it exists; its revisions remain.
pub(super) fn remove_draft(txn: &mut WriteTxn<'_>, prompt: &PromptName, draft: &str) -> Result<(), StoreError> {
    let before = size::<Draft>(txn, (prompt, draft))?;
    txn.remove::<Draft>((prompt, draft))?;
    give_back(txn, &before)?;
    let Some((summary, _)) = before else { return Ok(()) };
    change(txn, &summary.author, |room| room.drafts = room.drafts.saturating_sub(1))
}

/// Removes a revision, if it exists.
pub(super) fn remove_save(txn: &mut WriteTxn<'_>, key: DraftSaveKey<'_>) -> Result<(), StoreError> {
    let before = size::<DraftSave>(txn, key)?;
    txn.remove::<DraftSave>(key)?;
    give_back(txn, &before)
}

/// What is stored of a draft or a revision, without its content, and its size in bytes.
type Size = Option<(DraftSummary, u64)>;

fn size<D: Document>(txn: &WriteTxn<'_>, key: D::Key<'_>) -> Result<Size, StoreError>
where
    DraftSummary: Excerpt<D>,
{
    txn.inspect::<D, _>(key, |found| Ok((found.excerpt()?, found.json().len() as u64)))
}

fn take(txn: &mut WriteTxn<'_>, stored: &Size) -> Result<(), StoreError> {
    let Some((draft, bytes)) = stored else { return Ok(()) };
    change(txn, &draft.saved_by, |room| room.bytes = room.bytes.saturating_add(*bytes))
}

fn give_back(txn: &mut WriteTxn<'_>, stored: &Size) -> Result<(), StoreError> {
    let Some((draft, bytes)) = stored else { return Ok(()) };
    change(txn, &draft.saved_by, |room| room.bytes = room.bytes.saturating_sub(*bytes))
}

fn length(draft: &Draft) -> Result<u64, RegistryError> {
    let bytes = serde_json::to_vec(draft).map_err(|error| RegistryError::Unfit(error.to_string()))?;
    Ok(bytes.len() as u64)
}

fn room(txn: &WriteTxn<'_>, who: &str) -> Result<DraftUsage, StoreError> {
    Ok(txn.get(who)?.unwrap_or_default())
}

fn change(txn: &mut WriteTxn<'_>, who: &str, by: impl Fn(&mut DraftUsage)) -> Result<(), StoreError> {
    for who in [who, EVERYBODY] {
        let mut changed = room(txn, who)?;
        by(&mut changed);
        if changed == DraftUsage::default() {
            txn.remove::<DraftUsage>(who)?;
        } else {
            txn.put(who, &changed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    fn draft(saved_by: &str) -> Draft {
        let draft = serde_json::json!({
            "prompt": "a", "name": "d", "parent": 0, "revision": 1, "content": {"syntax": "plain", "text": "x"},
            "author": saved_by, "saved_by": saved_by, "saved": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(draft).expect("a draft")
    }

    /// The error of a save by `ann` if drafts take this much already.
    fn refused(who: &'static str, drafts: u64, bytes: u64, is_new: bool) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Options { directory: folder.path().to_owned(), create: true }).expect("a store");
        let checked = store.write_blocking(move |txn| -> Result<_, RegistryError> {
            txn.put(who, &DraftUsage { drafts, bytes })?;
            Ok(check(txn, &draft("ann"), is_new).err().map(|error| error.to_string()))
        });
        checked.expect("written")
    }

    #[test]
    fn drafts_of_one_and_of_all_are_bounded_in_number_and_bytes_to_the_last_one() {
        let bytes = 2 * length(&draft("ann")).expect("a length");
        for (who, whose, drafts_max, bytes_max) in [
            ("ann", "`ann`'s", DRAFTS_OF_ONE_MAX, DRAFTS_OF_ONE_BYTES_MAX),
            (EVERYBODY, "all", DRAFTS_OF_ALL_MAX, DRAFTS_BYTES_MAX),
        ] {
            assert_eq!(refused(who, drafts_max - 1, bytes_max - bytes, true), None, "{whose}: the last one");
            let number = refused(who, drafts_max, 0, true).expect("too many");
            assert!(number.starts_with(&format!("{whose} drafts")) && number.contains("places"), "{number}");
            assert_eq!(refused(who, drafts_max, 0, false), None, "{whose}: a save of a draft that is there");
            for is_new in [true, false] {
                let long = refused(who, 1, bytes_max - bytes + 1, is_new).expect("too long");
                assert!(long.starts_with(&format!("{whose} drafts")) && long.contains("bytes"), "{long}");
            }
        }
        assert_eq!(refused("bob", DRAFTS_OF_ONE_MAX, DRAFTS_OF_ONE_BYTES_MAX, true), None, "what others take");
    }
}
