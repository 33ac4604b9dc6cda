//! Finding prompts among many: by folder, by words, by label, owner, tag and risk.
//!
//! One look passes over every name, so that it can say how many there are and which folders they lie in; only the
//! rows of one page are read whole. Looking for words ends after a fixed amount of text, and says so.

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

/// Bytes that one search for words looks into: a second of work on a small machine.
const TEXTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that reading a version counts for, beside its words.
const VERSION_BYTES: usize = 256;
/// Newest deployments of a label that a row shows.
const RECENT_MAX: usize = 12;

/// What is looked for; an empty one finds everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// What names begin with.
    pub folder: String,
    /// Words, each of which has to be in the name, what is said about the prompt, the text of its newest version or of
    /// one that a label serves, the message or author of any version, or a change request for it.
    pub words: Vec<String>,
    /// Whether a word may as well be in the text of any older version.
    pub history: bool,
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
    /// Where each word that was looked for was found first.
    pub hits: Vec<Hit>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
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
    /// Whether there was more text than is looked into.
    pub cut: bool,
}

impl CatalogueView {
    /// Finds prompts that are not removed and can be read. Once `stop` is due, no more words are looked
    /// for.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
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
        found.rows = page.into_iter().map(|(prompt, hits)| whole(txn, prompt, hits)).collect::<Result<_, _>>()?;
        Ok(found)
    }
}

/// What lets prompts through: what is looked for, and what was read once to tell.
struct SearchFilter<'s> {
    txn: &'s ReadTxn,
    search: &'s Search,
    words: Vec<Word>,
    stop: &'s Cancellation,
    /// Names with the owner and the tag that are looked for.
    described: Option<HashSet<String>>,
    /// Names with a finding in any of their versions.
    found: Option<HashSet<String>>,
    /// Words that are not in a prompt itself but beside it, by name: in what is said about it and in change requests.
    beside: HashMap<String, WordMatches>,
    /// Bytes that may still be looked into.
    bytes_left: usize,
}

impl<'s> SearchFilter<'s> {
    /// Reads only what is asked for: what is said about prompts, change requests that may be seen, and findings.
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

    /// Looks through change requests, newest first; through those alone of which every prompt may be seen.
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

    /// Where the words are, if a prompt is what is looked for; asks what costs most last.
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

    /// Looks for what is missing in the versions of a prompt, newest first; takes what it reads from what is left.
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
                // A damaged content is noted and passed over, so that the rest is found; nothing of it is shown.
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

/// Takes these bytes from what may still be looked into; nothing is left once `stop` is due. Whether anything was left.
fn pay(bytes_left: &mut usize, bytes: usize, stop: &Cancellation) -> bool {
    if stop.is_due() {
        *bytes_left = 0;
    }
    let any = *bytes_left > 0;
    *bytes_left = bytes_left.saturating_sub(bytes);
    any
}

/// Which words were found, by their places among those that are looked for, and where each was first.
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

/// The gravest finding in the newest version of a prompt and in what production serves.
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

fn whole(txn: &ReadTxn, prompt: Prompt, hits: Vec<Hit>) -> Result<FoundPrompt, StoreError> {
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
    Ok(FoundPrompt { prompt, labels, recent, about, risk, hits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_more_is_looked_into_when_all_is_paid_or_the_work_is_to_stop() {
        let (mut left, stop) = (10, Cancellation::never());
        let paid: Vec<bool> = (0..4).map(|_| pay(&mut left, 4, &stop)).collect();
        assert_eq!((paid, left), (vec![true, true, true, false], 0));
        let mut left = 10;
        stop.abandon();
        assert!(!pay(&mut left, 1, &stop) && left == 0);
    }

    #[test]
    fn the_first_place_of_each_word_counts() {
        let words = [Word::new("a"), Word::new("b")];
        let mut looked = WordMatches::default();
        looked.look(&words, Place::Name, "A");
        assert!(!looked.has_all(&words));
        looked.look(&words, Place::Text(2), "a b");
        let places: Vec<Place> = looked.0.into_values().map(|hit| hit.place).collect();
        assert_eq!(places, [Place::Name, Place::Text(2)]);
    }
}
