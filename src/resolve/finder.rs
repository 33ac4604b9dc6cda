//! Finding prompts among many: by folder, by words of their names and texts, by label, owner, tag and risk.
//!
//! One look passes over every name, so that it can say how many there are and which folders they lie in; only the
//! rows of one page are read whole. Looking into texts ends after a fixed amount of them, and says so.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::catalogue::{Catalogue, about};
use super::error::ResolveError;
use crate::clock::Stop;
use crate::model::about::About;
use crate::model::content::Content;
use crate::model::deployment::Deployment;
use crate::model::finding::{Finding, Severity};
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::store::StoreError;
use crate::store::document::{Documents, Shelf, joined_key, number_key, read};
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
    /// Who has to answer for it; only a primary knows.
    pub owner: Option<String>,
    /// A tag that it has to have; only a primary knows.
    pub tag: Option<String>,
    /// How grave a finding in its newest version or in what production serves has to be at least; only a primary knows.
    pub risk: Option<Severity>,
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
    /// What people say about it.
    pub about: About,
    /// The gravest finding in its newest version and in what production serves.
    pub risk: Option<Severity>,
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
    /// Finds prompts that are not removed and that `reads` lets through. Once `stop` is due, no more texts are looked
    /// into.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn find(
        &self,
        search: &Search,
        reads: &dyn Fn(&str) -> bool,
        cursor: Option<&str>,
        limit: usize,
        stop: &Stop,
    ) -> Result<Found, ResolveError> {
        let txn = self.store().read()?;
        let wrong = |_| ResolveError::Cursor(cursor.unwrap_or_default().chars().take(64).collect());
        let after: Option<PromptName> = cursor.map(str::parse).transpose().map_err(wrong)?;
        let order = |name: &PromptName| (name.namespace().to_owned(), name.as_str().to_owned());
        let after = after.as_ref().map(order);
        let (mut found, mut page) = (Found::default(), Vec::new());
        let mut sieve = Sieve::new(&txn, search, stop)?;
        for namespace in txn.namespace_names()? {
            txn.visit_prompts(&namespace, "", &mut |prompt| {
                let name = prompt.name.as_str();
                if prompt.removed.is_some() || !reads(name) {
                    return Ok(ControlFlow::Continue(()));
                }
                found.any = true;
                let Some(inside) = name.strip_prefix(&search.folder) else { return Ok(ControlFlow::Continue(())) };
                if !sieve.passes(&prompt)? {
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
        found.cut = sieve.bytes_left == 0;
        if page.len() > limit {
            page.truncate(limit);
            found.next = page.last().map(|prompt| prompt.name.to_string());
        }
        found.rows = page.into_iter().map(|prompt| whole(&txn, prompt)).collect::<Result<_, _>>()?;
        Ok(found)
    }
}

/// What lets prompts through: what is looked for, and what was read once to tell.
struct Sieve<'s> {
    txn: &'s ReadTxn,
    search: &'s Search,
    stop: &'s Stop,
    /// Names with the owner and the tag that are looked for.
    described: Option<HashSet<String>>,
    /// Names with a finding in any of their versions.
    found: Option<HashSet<String>>,
    /// Bytes of contents that may still be looked into.
    bytes_left: usize,
}

impl<'s> Sieve<'s> {
    /// Reads what is said about prompts only where an owner or a tag is looked for, and likewise what was found in them.
    fn new(txn: &'s ReadTxn, search: &'s Search, stop: &'s Stop) -> Result<Self, StoreError> {
        let wanted = |about: &About| {
            (search.owner.is_none() || search.owner == about.owner)
                && search.tag.as_ref().is_none_or(|tag| about.tags.contains(tag))
        };
        let mut described = (search.owner.is_some() || search.tag.is_some()).then(HashSet::new);
        if let Some(names) = &mut described {
            txn.visit_documents(Shelf::About, "", "", false, &mut |name, bytes| {
                if wanted(&read(bytes)?) {
                    names.insert(name.to_owned());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let mut found = search.risk.map(|_| HashSet::new());
        if let Some(names) = &mut found {
            txn.visit_documents(Shelf::Findings, "", "", false, &mut |key, _| {
                let name = key.split('\0').next().unwrap_or_default();
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(Self { txn, search, stop, described, found, bytes_left: TEXTS_BYTES_MAX })
    }

    /// Whether a prompt is what is looked for; asks what costs most last.
    fn passes(&mut self, prompt: &Prompt) -> Result<bool, StoreError> {
        let in_set = |set: &Option<HashSet<String>>| set.as_ref().is_none_or(|set| set.contains(prompt.name.as_str()));
        if !in_set(&self.described) || !in_set(&self.found) {
            return Ok(false);
        }
        let name = prompt.name.as_str().to_lowercase();
        let missing: Vec<&String> = self.search.words.iter().filter(|word| !name.contains(word.as_str())).collect();
        if !missing.is_empty() && !self.search.in_texts {
            return Ok(false);
        }
        if let Some(label) = self.search.label.as_ref().filter(|label| !label.is_latest())
            && self.txn.label(&prompt.name, label)?.is_none()
        {
            return Ok(false);
        }
        if let Some(least) = self.search.risk {
            let live = self.txn.label(&prompt.name, &Label::production())?;
            if risk(self.txn, prompt, live.as_ref())?.is_none_or(|risk| risk < least) {
                return Ok(false);
            }
        }
        Ok(missing.is_empty() || self.in_texts(prompt, &missing)?)
    }

    /// Whether the text of the newest version has these words; takes what it read from what is left.
    fn in_texts(&mut self, prompt: &Prompt, words: &[&String]) -> Result<bool, StoreError> {
        if self.stop.is_due() {
            self.bytes_left = 0;
        }
        if self.bytes_left == 0 {
            return Ok(false);
        }
        let version = self.txn.version(&prompt.name, prompt.latest)?;
        let Some(version) = version.filter(|version| version.archived.is_none()) else { return Ok(false) };
        let bytes = self.txn.content_of(&prompt.name, &version.content_id)?;
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        let Ok(content) = Content::from_json(&bytes) else { return Ok(false) };
        let texts: Vec<String> = content.texts().map(str::to_lowercase).collect();
        Ok(words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str()))))
    }
}

/// The gravest finding in the newest version of a prompt and in what production serves.
fn risk(txn: &ReadTxn, prompt: &Prompt, live: Option<&LabelState>) -> Result<Option<Severity>, StoreError> {
    let mut numbers = live.map(|state| state.serving.versions()).unwrap_or_default();
    numbers.push(prompt.latest);
    numbers.sort_unstable();
    numbers.dedup();
    let mut worst = None;
    for number in numbers {
        let key = joined_key(&[prompt.name.as_str(), &number_key(number)]);
        let findings: Vec<Finding> = txn.document(Shelf::Findings, &key)?.unwrap_or_default();
        worst = worst.max(findings.iter().map(|one| one.severity).max());
    }
    Ok(worst)
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
    let live = labels.iter().find(|state| state.label == Label::production());
    let (about, risk) = (about(txn, &prompt.name)?.unwrap_or_default(), risk(txn, &prompt, live)?);
    Ok(FoundPrompt { prompt, labels, recent, about, risk })
}
