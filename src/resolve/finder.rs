//! Searches prompts: by folder, words, label, owner, tag and risk.
//!
//! A search visits every name, so that it can count prompts and list folders; only the rows of one page are read in
//! full. Searching for words ends after a fixed amount of text, and reports that.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use super::catalogue::{CatalogueView, about};
use super::error::ResolveError;
use super::scope::ReadScope;
use crate::clock::Cancellation;
use crate::model::about::About;
use crate::model::change_request::ChangeRequest;
use crate::model::content::Content;
use crate::model::deployment::Deployment;
use crate::model::finding::Severity;
use crate::model::hit::{Hit, Place, Word};
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::store::StoreError;
use crate::store::documents::{Documents, Findings, Scan};
use crate::store::entry::EntryKey;
use crate::store::query::Queries;
use crate::store::read::{Entries, ReadTxn};

/// Most bytes that a search for words reads: a second of work on a small machine.
const TEXTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Cost of reading a version, in bytes, besides its text.
const VERSION_BYTES: usize = 256;
/// Number of newest deployments of a label in a row.
const RECENT_MAX: usize = 12;

/// The criteria; an empty query matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// A prefix of names.
    pub folder: String,
    /// Words, each of which must be in the name, the details, the text of the latest or a served version, the message
    /// or author of any version, or a change request for it.
    pub words: Vec<String>,
    /// Whether to search the text of older versions, too.
    pub history: bool,
    /// A label that must exist.
    pub label: Option<Label>,
    /// The owner; only on a primary.
    pub owner: Option<String>,
    /// A tag; only on a primary.
    pub tag: Option<String>,
    /// Minimum risk of a finding in the latest version or in the one that production serves; only on a primary.
    pub risk: Option<Severity>,
}

/// One prompt in the result.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// What its labels serve now.
    pub labels: Vec<LabelState>,
    /// Its newest deployments, newest first; at least the last one of each label.
    pub recent: Vec<Deployment>,
    /// Its details.
    pub about: About,
    /// The highest risk in its latest version and in the one that production serves.
    pub risk: Option<Severity>,
    /// Where each word was found first.
    pub hits: Vec<Hit>,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    /// One page of it, by namespace and then by name.
    pub rows: Vec<FoundPrompt>,
    /// The subfolders of the searched folder, with a trailing `/`, and the number of prompts in each.
    pub folders: BTreeMap<String, usize>,
    /// The total on all pages.
    pub total: usize,
    /// Whether any readable prompt exists, matching or not.
    pub any: bool,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Whether the limit of searched text was reached.
    pub cut: bool,
}

impl CatalogueView {
    /// Finds readable prompts that are not removed. Once `stop` is due, words are no longer searched.
    ///
    /// # Errors
    /// The cursor is not of this list, or the store fails.
    pub fn find(
        &self,
        search: &Search,
        cursor: Option<&str>,
        limit: usize,
        stop: &Cancellation,
    ) -> Result<SearchResult, ResolveError> {
        let (txn, scope) = (self.txn(), self.scope());
        let wrong = |_| ResolveError::Cursor(cursor.unwrap_or_default().chars().take(64).collect());
        let after: Option<PromptName> = cursor.map(str::parse).transpose().map_err(wrong)?;
        let order = |name: &PromptName| (name.namespace().to_owned(), name.as_str().to_owned());
        let after = after.as_ref().map(order);
        let (mut found, mut page) = (SearchResult::default(), Vec::new());
        let mut sieve = SearchFilter::new(txn, search, scope, stop)?;
        for namespace in txn.namespace_names()? {
            txn.visit_prompts(&namespace, "", &mut |prompt| {
                let name = prompt.name.as_str();
                if prompt.removed.is_some() || !scope.reads(name) {
                    return Ok(ControlFlow::Continue(()));
                }
                found.any = true;
                let Some(inside) = name.strip_prefix(&search.folder) else { return Ok(ControlFlow::Continue(())) };
                let Some(hits) = sieve.passes(&prompt)? else { return Ok(ControlFlow::Continue(())) };
                found.total += 1;
                if let Some((folder, _)) = inside.split_once('/') {
                    *found.folders.entry(format!("{}{folder}/", search.folder)).or_default() += 1;
                }
                if page.len() <= limit && after.as_ref().is_none_or(|after| order(&prompt.name) > *after) {
                    page.push((prompt, hits));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        found.cut = sieve.bytes_left == 0;
        if page.len() > limit {
            page.truncate(limit);
            found.next = page.last().map(|(prompt, _)| prompt.name.to_string());
        }
        found.rows =
            page.into_iter().map(|(prompt, hits)| whole(txn, scope, prompt, hits)).collect::<Result<_, _>>()?;
        Ok(found)
    }
}

/// The filter: the criteria, and data that was read once for all prompts.
struct SearchFilter<'s> {
    txn: &'s ReadTxn,
    search: &'s Search,
    words: Vec<Word>,
    stop: &'s Cancellation,
    /// Names with the requested owner and tag.
    described: Option<HashSet<String>>,
    /// Names with a finding in any of their versions.
    found: Option<HashSet<String>>,
    /// Matches outside of the prompt itself, by name: in its details and in change requests.
    beside: HashMap<String, WordMatches>,
    /// Remaining bytes of the search limit.
    bytes_left: usize,
}

impl<'s> SearchFilter<'s> {
    /// Reads only what is needed: details, readable change requests, and findings.
    fn new(
        txn: &'s ReadTxn,
        search: &'s Search,
        scope: &ReadScope,
        stop: &'s Cancellation,
    ) -> Result<Self, StoreError> {
        let words: Vec<Word> = search.words.iter().map(|word| Word::new(word)).collect();
        let mut sieve = Self {
            txn,
            search,
            words,
            stop,
            described: (search.owner.is_some() || search.tag.is_some()).then(HashSet::new),
            found: search.risk.map(|_| HashSet::new()),
            beside: HashMap::new(),
            bytes_left: TEXTS_BYTES_MAX,
        };
        if sieve.described.is_some() || !sieve.words.is_empty() {
            sieve.read_about(scope)?;
        }
        if !sieve.words.is_empty() {
            sieve.read_requests(scope)?;
        }
        if let Some(names) = &mut sieve.found {
            txn.visit_documents(&Scan::<Findings>::all(), &mut |found| {
                let (name, _) = found.key()?;
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(sieve)
    }

    fn read_about(&mut self, scope: &ReadScope) -> Result<(), StoreError> {
        let Self { txn, search, words, described, beside, .. } = self;
        txn.visit_documents(&Scan::<About>::all(), &mut |found| {
            let name = found.key()?;
            if !scope.reads(name) {
                return Ok(ControlFlow::Continue(()));
            }
            let about = found.read()?;
            if let Some(names) = described
                && (search.owner.is_none() || search.owner == about.owner)
                && search.tag.as_ref().is_none_or(|tag| about.tags.contains(tag))
            {
                names.insert(name.to_owned());
            }
            let mut looked = WordMatches::default();
            looked.look(words, Place::Owner, about.owner.as_deref().unwrap_or_default());
            for tag in &about.tags {
                looked.look(words, Place::Tag, tag);
            }
            looked.look(words, Place::Description, &about.description);
            if !looked.0.is_empty() {
                beside.insert(name.to_owned(), looked);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Searches change requests, newest first, if all their prompts are readable.
    fn read_requests(&mut self, scope: &ReadScope) -> Result<(), StoreError> {
        let Self { txn, words, stop, beside, bytes_left, .. } = self;
        txn.visit_documents(&Scan::<ChangeRequest>::all().backwards(), &mut |found| {
            let bytes = found.json();
            if !pay(bytes_left, bytes.len(), stop) {
                return Ok(ControlFlow::Break(()));
            }
            if !words.iter().any(|word| word.may_be_in(bytes)) {
                return Ok(ControlFlow::Continue(()));
            }
            let request = found.read()?;
            if !request.moves.iter().all(|one| scope.reads(one.name.as_str())) {
                return Ok(ControlFlow::Continue(()));
            }
            let said = request.events.iter().flat_map(|event| [&event.message, &event.by]);
            let texts: Vec<&String> = [&request.message, &request.author].into_iter().chain(said).collect();
            let names: BTreeSet<&str> = request.moves.iter().map(|one| one.name.as_str()).collect();
            let mut looked = WordMatches::default();
            for text in texts {
                looked.look(words, Place::Request(request.id), text);
            }
            for name in names.into_iter().filter(|_| !looked.0.is_empty()) {
                beside.entry(name.to_owned()).or_default().add(&looked);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Where the words are in a prompt; tries the most expensive places last.
    fn passes(&mut self, prompt: &Prompt) -> Result<Option<Vec<Hit>>, StoreError> {
        let in_set = |set: &Option<HashSet<String>>| set.as_ref().is_none_or(|set| set.contains(prompt.name.as_str()));
        if !in_set(&self.described) || !in_set(&self.found) {
            return Ok(None);
        }
        if let Some(label) = self.search.label.as_ref().filter(|label| !label.is_latest())
            && self.txn.label(&prompt.name, label)?.is_none()
        {
            return Ok(None);
        }
        if let Some(least) = self.search.risk {
            let live = self.txn.label(&prompt.name, &Label::production())?;
            if risk(self.txn, prompt, live.as_ref())?.is_none_or(|risk| risk < least) {
                return Ok(None);
            }
        }
        let mut looked = WordMatches::default();
        looked.look(&self.words, Place::Name, prompt.name.as_str());
        if let Some(beside) = self.beside.get(prompt.name.as_str()) {
            looked.add(beside);
        }
        if !looked.has_all(&self.words) {
            self.look_into_versions(prompt, &mut looked)?;
        }
        Ok(looked.has_all(&self.words).then(|| looked.0.into_values().collect()))
    }

    /// Searches the versions of a prompt for the missing words, newest first; deducts what it reads from the limit.
    fn look_into_versions(&mut self, prompt: &Prompt, looked: &mut WordMatches) -> Result<(), StoreError> {
        let Self { txn, search, words, stop, bytes_left, .. } = self;
        let mut texts_of = BTreeSet::from([prompt.latest]);
        if prompt.latest > 1 && !search.history && *bytes_left > 0 {
            texts_of.extend(txn.labels(&prompt.name)?.iter().flat_map(|state| state.serving.versions()));
        }
        txn.visit_versions(&prompt.name, u64::MAX, &mut |version| {
            let number = version.number;
            if !pay(bytes_left, VERSION_BYTES + version.message.len() + version.author.len(), stop) {
                return Ok(ControlFlow::Break(()));
            }
            if version.archived.is_none() && (search.history || texts_of.contains(&number)) {
                let key = EntryKey::content(prompt.name.namespace(), &version.content_id);
                let bytes = txn.entry(key.as_bytes())?.map(|entry| entry.value).unwrap_or_default();
                pay(bytes_left, bytes.len(), stop);
                // A damaged content is recorded and skipped, so that the search continues.
                if words.iter().any(|word| word.may_be_in(&bytes))
                    && txn.check_content(&version.content_id, &bytes).is_ok()
                    && let Ok(content) = Content::from_json(&bytes)
                {
                    for text in content.texts() {
                        looked.look(words, Place::Text(number), text);
                    }
                }
            }
            looked.look(words, Place::Message(number), &version.message);
            looked.look(words, Place::Author(number), &version.author);
            Ok(if looked.has_all(words) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }
}

/// Deducts bytes from the search limit; nothing is left once `stop` is due. Returns whether anything was left.
fn pay(bytes_left: &mut usize, bytes: usize, stop: &Cancellation) -> bool {
    if stop.is_due() {
        *bytes_left = 0;
    }
    let any = *bytes_left > 0;
    *bytes_left = bytes_left.saturating_sub(bytes);
    any
}

/// Which words were found, by index, and where each was first.
#[derive(Default)]
struct WordMatches(BTreeMap<usize, Hit>);

impl WordMatches {
    fn look(&mut self, words: &[Word], place: Place, text: &str) {
        for (at, word) in words.iter().enumerate() {
            if !self.0.contains_key(&at)
                && let Some(hit) = word.hit(place, text)
            {
                self.0.insert(at, hit);
            }
        }
    }

    fn add(&mut self, other: &Self) {
        for (at, hit) in &other.0 {
            self.0.entry(*at).or_insert_with(|| hit.clone());
        }
    }

    fn has_all(&self, words: &[Word]) -> bool {
        self.0.len() == words.len()
    }
}

/// The highest risk of the findings in the latest version of a prompt and in the one that production serves.
fn risk(txn: &ReadTxn, prompt: &Prompt, live: Option<&LabelState>) -> Result<Option<Severity>, StoreError> {
    let mut numbers = live.map(|state| state.serving.versions()).unwrap_or_default();
    numbers.push(prompt.latest);
    numbers.sort_unstable();
    numbers.dedup();
    let mut worst = None;
    for number in numbers {
        let Findings(findings) = txn.get((&prompt.name, number))?.unwrap_or_default();
        worst = worst.max(findings.iter().map(|one| one.severity).max());
    }
    Ok(worst)
}

fn whole(txn: &ReadTxn, scope: &ReadScope, prompt: Prompt, hits: Vec<Hit>) -> Result<FoundPrompt, StoreError> {
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
    let (about, risk) = (about(txn, scope, &prompt.name)?.unwrap_or_default(), risk(txn, &prompt, live)?);
    Ok(FoundPrompt { prompt, labels, recent, about, risk, hits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_stops_at_its_limit_or_when_cancelled() {
        let (mut left, stop) = (10, Cancellation::never());
        let paid: Vec<bool> = (0..4).map(|_| pay(&mut left, 4, &stop)).collect();
        assert_eq!((paid, left), (vec![true, true, true, false], 0));
        let mut left = 10;
        stop.abandon();
        assert!(!pay(&mut left, 1, &stop) && left == 0);
    }

    #[test]
    fn search_reports_the_first_place_of_each_word() {
        let words = [Word::new("a"), Word::new("b")];
        let mut looked = WordMatches::default();
        looked.look(&words, Place::Name, "A");
        assert!(!looked.has_all(&words));
        looked.look(&words, Place::Text(2), "a b");
        let places: Vec<Place> = looked.0.into_values().map(|hit| hit.place).collect();
        assert_eq!(places, [Place::Name, Place::Text(2)]);
    }
}
