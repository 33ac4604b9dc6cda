//! Finding prompts among many: by folder, by words of their names and texts, by label.
//!
//! One look passes over every name, so that it can say how many there are and which folders they lie in; only the
//! rows of one page are read whole. Looking into texts ends after a fixed amount of them, and says so.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::catalogue::Catalogue;
use super::error::ResolveError;
use crate::model::content::Content;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::store::StoreError;
use crate::store::query::Queries;
use crate::store::read::ReadTxn;

/// Bytes of contents that one search for words looks into: a second of work on a small machine.
const TEXTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Newest deployments of a label that a row shows.
const RECENT_MAX: usize = 12;

/// What is looked for; an empty one finds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// What names begin with.
    pub folder: String,
    /// Words that all have to be in the name, in small letters.
    pub words: Vec<String>,
    /// Whether a word may as well be in the text of the newest version.
    pub in_texts: bool,
    /// A label that has to be there.
    pub label: Option<Label>,
}

/// One prompt that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// What its labels serve now.
    pub labels: Vec<LabelState>,
    /// Its newest deployments, newest first; at least the last one of each label.
    pub recent: Vec<Deployment>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// One page of it, by namespace and then by name.
    pub rows: Vec<FoundPrompt>,
    /// The folders below the one that was looked into, with a `/` at their ends, and how many prompts each holds.
    pub folders: BTreeMap<String, usize>,
    /// How many there are on all pages.
    pub total: usize,
    /// Whether there is any prompt at all that may be seen, found or not.
    pub any: bool,
    /// Where the next page goes on.
    pub next: Option<String>,
    /// Whether there were more texts than are looked into.
    pub cut: bool,
}

impl Catalogue {
    /// Finds prompts that are not removed and that `reads` lets through.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn find(
        &self,
        search: &Search,
        reads: &dyn Fn(&str) -> bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Found, ResolveError> {
        let txn = self.store().read()?;
        let wrong = |_| ResolveError::Cursor(cursor.unwrap_or_default().chars().take(64).collect());
        let after: Option<PromptName> = cursor.map(str::parse).transpose().map_err(wrong)?;
        let order = |name: &PromptName| (name.namespace().to_owned(), name.as_str().to_owned());
        let after = after.as_ref().map(order);
        let (mut found, mut page, mut left) = (Found::default(), Vec::new(), TEXTS_BYTES_MAX);
        for namespace in txn.namespace_names()? {
            txn.visit_prompts(&namespace, "", &mut |prompt| {
                let name = prompt.name.as_str();
                if prompt.removed.is_some() || !reads(name) {
                    return Ok(ControlFlow::Continue(()));
                }
                found.any = true;
                let Some(inside) = name.strip_prefix(&search.folder) else { return Ok(ControlFlow::Continue(())) };
                if !fits(&txn, search, &prompt, &mut left)? {
                    return Ok(ControlFlow::Continue(()));
                }
                found.total += 1;
                if let Some((folder, _)) = inside.split_once('/') {
                    *found.folders.entry(format!("{}{folder}/", search.folder)).or_default() += 1;
                }
                if page.len() <= limit && after.as_ref().is_none_or(|after| order(&prompt.name) > *after) {
                    page.push(prompt);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        found.cut = left == 0;
        if page.len() > limit {
            page.truncate(limit);
            found.next = page.last().map(|prompt| prompt.name.to_string());
        }
        found.rows = page.into_iter().map(|prompt| whole(&txn, prompt)).collect::<Result<_, _>>()?;
        Ok(found)
    }
}

/// Whether a prompt is what is looked for; takes what it read of texts from what is left.
fn fits(txn: &ReadTxn, search: &Search, prompt: &Prompt, left: &mut usize) -> Result<bool, StoreError> {
    if let Some(label) = search.label.as_ref().filter(|label| !label.is_latest())
        && txn.label(&prompt.name, label)?.is_none()
    {
        return Ok(false);
    }
    let name = prompt.name.as_str().to_lowercase();
    let missing: Vec<&String> = search.words.iter().filter(|word| !name.contains(word.as_str())).collect();
    if missing.is_empty() || !search.in_texts || *left == 0 {
        return Ok(missing.is_empty());
    }
    let Some(version) = txn.version(&prompt.name, prompt.latest)?.filter(|version| version.archived.is_none()) else {
        return Ok(false);
    };
    let bytes = txn.content_of(&prompt.name, &version.content_id)?;
    *left = left.saturating_sub(bytes.len());
    let Ok(content) = Content::from_json(&bytes) else { return Ok(false) };
    let texts: Vec<String> = content.texts().map(str::to_lowercase).collect();
    Ok(missing.into_iter().all(|word| texts.iter().any(|text| text.contains(word.as_str()))))
}

fn whole(txn: &ReadTxn, prompt: Prompt) -> Result<FoundPrompt, StoreError> {
    let labels = txn.labels(&prompt.name)?;
    let mut recent = Vec::new();
    for state in &labels {
        let before = recent.len();
        txn.visit_deployments(&prompt.name, &state.label, u64::MAX, &mut |deployment| {
            recent.push(deployment);
            let enough = recent.len() - before >= RECENT_MAX;
            Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    recent.sort_by_key(|one: &Deployment| std::cmp::Reverse(one.id));
    Ok(FoundPrompt { prompt, labels, recent })
}
