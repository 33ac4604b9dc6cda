//! Finds versions by what they say: the system text that an application sent, if it names no prompt.
//!
//! The index is in memory. Nothing is read before somebody looks for a text; from then on, [`VersionTexts::refresh`]
//! reads what was committed since. A version is found by its whole text, if it has no variables, or else by its literal
//! parts. Where several versions fit, the one with the most literal text is meant; then one that `production` serves,
//! one that another label serves, the newest, and the first by name.
//!
//! Limits: the newest versions of a prompt are known by their whole text, and fewer of them by their parts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::version_text::{VersionText, text_of};
use crate::model::content_id::ContentId;
use crate::model::name::{PRODUCTION, PromptName};
use crate::model::time::Timestamp;
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::{Committed, Store, StoreError, Touched};
use crate::telemetry::system_text::SYSTEM_TEXT_BYTES_MAX;
use crate::telemetry::text_pattern::{TextPattern, WEIGHT_MIN};

/// Versions of a prompt that are known by their whole text: the newest, and all that labels serve.
const TEXTS_PER_PROMPT_MAX: usize = 200;
/// Versions of a prompt that are known by their literal parts: the newest, and all that labels serve.
const PATTERNS_PER_PROMPT_MAX: usize = 8;
/// Versions that are known, of all prompts: some 50 MB. Those of further prompts are not found by their text.
const VERSIONS_MAX: usize = 250_000;
/// Bytes of literal parts that are known, of all prompts; further ones are not found by their parts.
const PATTERN_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Patterns that are compared with a text for each of its beginnings.
const COMPARED_MAX: usize = 64;
/// Beginnings of a text that patterns are looked up by.
const BEGINNINGS_MAX: usize = 64;
/// Changed prompts that are read one by one; if there are more, all are read.
const CHANGED_MAX: usize = 10_000;

/// A version that says a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextVersion {
    /// The prompt.
    pub name: PromptName,
    /// The version.
    pub version: u64,
    /// Its content.
    pub content_id: ContentId,
}

/// Finds versions by their system text; clones share one index.
#[derive(Clone)]
pub struct VersionTexts(Arc<Inner>);

struct Inner {
    store: Store,
    /// What was committed since the index was last read; set when it is first used.
    changed: OnceLock<Mutex<Changed>>,
    /// Held while the index is read.
    refreshing: Mutex<()>,
    index: RwLock<Index>,
}

/// Which prompts are to be read.
enum Changed {
    Names(BTreeSet<String>),
    Everything,
}

impl Changed {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    fn add(&mut self, touched: &Touched) {
        let Self::Names(names) = self else { return };
        match touched {
            Touched::Names(more) if names.len().saturating_add(more.len()) <= CHANGED_MAX => {
                names.extend(more.iter().cloned());
            }
            Touched::Names(_) | Touched::Everything => *self = Self::Everything,
        }
    }
}

impl VersionTexts {
    /// An index of a store, which is empty until it is first refreshed.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let (changed, refreshing, index) = (OnceLock::new(), Mutex::new(()), RwLock::default());
        Self(Arc::new(Inner { store, changed, refreshing, index }))
    }

    /// Reads what was committed since the last time, at first everything. Blocks.
    ///
    /// # Errors
    /// The store fails; it is read again the next time.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::replace(&mut *lock(self.changed()), Changed::Names(BTreeSet::new()));
        if changed.is_empty() {
            return Ok(());
        }
        let read = self.0.store.view(|txn| read(txn, &changed));
        match read {
            Ok(read) => {
                let mut index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
                if matches!(changed, Changed::Everything) {
                    *index = Index::default();
                }
                for (name, versions) in read {
                    index.replace(name, versions);
                }
                Ok(())
            }
            Err(error) => {
                *lock(self.changed()) = Changed::Everything;
                Err(error)
            }
        }
    }

    /// The version with exactly this text, by its hash.
    pub fn with_hash(&self, hash: &[u8; 32]) -> Option<TextVersion> {
        let index = self.0.index.read().unwrap_or_else(PoisonError::into_inner);
        index.exact.get(hash)?.first().map(Known::found)
    }

    /// The version whose text with something in the place of its variables is this one.
    pub fn filled_in(&self, text: &str) -> Option<TextVersion> {
        if text.len() > SYSTEM_TEXT_BYTES_MAX {
            return None;
        }
        self.0.index.read().unwrap_or_else(PoisonError::into_inner).filled_in(text).map(Known::found)
    }

    /// What was committed and not read yet; from the first call on, nothing is missed.
    fn changed(&self) -> &Mutex<Changed> {
        let mut is_first = false;
        let changed = self.0.changed.get_or_init(|| {
            is_first = true;
            Mutex::new(Changed::Everything)
        });
        if is_first {
            let inner = Arc::downgrade(&self.0);
            self.0.store.observe(Box::new(move |committed: &Committed| {
                if let Some(changed) = inner.upgrade().as_ref().and_then(|inner| inner.changed.get()) {
                    lock(changed).add(&committed.touched);
                }
            }));
        }
        changed
    }
}

fn lock(changed: &Mutex<Changed>) -> std::sync::MutexGuard<'_, Changed> {
    changed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A version of a prompt, as it is read from the store.
pub(super) struct ReadVersion {
    pub(super) known: Known,
    pub(super) text: VersionText,
}

/// A version that can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: Arc<PromptName>,
    pub(super) version: u64,
    pub(super) content_id: ContentId,
    pub(super) rank: Rank,
}

/// Which of several versions is meant; the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) served: Served,
    pub(super) newest: Reverse<Timestamp>,
}

/// Where a version is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Served {
    Production,
    OtherLabel,
    Nowhere,
}

impl Known {
    fn found(&self) -> TextVersion {
        TextVersion { name: (*self.name).clone(), version: self.version, content_id: self.content_id }
    }

    /// What they are ordered by: the version that is meant first.
    fn order(&self) -> (Rank, &PromptName, Reverse<u64>) {
        (self.rank, &self.name, Reverse(self.version))
    }
}

/// A version with variables.
#[derive(Debug)]
pub(super) struct Patterned {
    known: Known,
    pattern: TextPattern,
    weight: usize,
}

impl Patterned {
    fn order(&self) -> (Reverse<usize>, (Rank, &PromptName, Reverse<u64>)) {
        (Reverse(self.weight), self.known.order())
    }
}

/// What is known of all prompts.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Versions without variables, by the hash of their text; the one that is meant first.
    pub(super) exact: HashMap<[u8; 32], Vec<Known>>,
    /// Versions with variables, by what their text begins with; the one with the most literal text first.
    pub(super) patterns: BTreeMap<String, Vec<Patterned>>,
    /// Where the versions of a prompt are.
    pub(super) places: HashMap<Arc<PromptName>, Places>,
    pub(super) versions: usize,
    pub(super) pattern_bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Places {
    hashes: BTreeSet<[u8; 32]>,
    beginnings: BTreeSet<String>,
}

impl Index {
    /// Forgets what is known of a prompt, and learns its versions.
    pub(super) fn replace(&mut self, name: PromptName, versions: Vec<ReadVersion>) {
        let name = Arc::new(name);
        self.forget(&name);
        let mut places = Places::default();
        for ReadVersion { known, text } in versions {
            if self.versions >= VERSIONS_MAX {
                break;
            }
            let known = Known { name: Arc::clone(&name), ..known };
            match text {
                VersionText::Whole(hash) => {
                    let list = self.exact.entry(hash).or_default();
                    let at = list.partition_point(|other| other.order() < known.order());
                    list.insert(at, known);
                    places.hashes.insert(hash);
                }
                VersionText::Parts(pattern) => {
                    let (weight, bytes) = (pattern.weight(), pattern.bytes());
                    if weight < WEIGHT_MIN || self.pattern_bytes.saturating_add(bytes) > PATTERN_BYTES_MAX {
                        continue;
                    }
                    self.pattern_bytes += bytes;
                    let beginning = pattern.literals().first().cloned().unwrap_or_default();
                    let list = self.patterns.entry(beginning.clone()).or_default();
                    let patterned = Patterned { known, pattern, weight };
                    let at = list.partition_point(|other| other.order() < patterned.order());
                    list.insert(at, patterned);
                    places.beginnings.insert(beginning);
                }
            }
            self.versions += 1;
        }
        if !places.hashes.is_empty() || !places.beginnings.is_empty() {
            self.places.insert(name, places);
        }
    }

    fn forget(&mut self, name: &PromptName) {
        let Some(Places { hashes, beginnings }) = self.places.remove(name) else { return };
        for hash in hashes {
            let Some(list) = self.exact.get_mut(&hash) else { continue };
            let before = list.len();
            list.retain(|known| *known.name != *name);
            self.versions = self.versions.saturating_sub(before - list.len());
            if list.is_empty() {
                self.exact.remove(&hash);
            }
        }
        for beginning in beginnings {
            let Some(list) = self.patterns.get_mut(&beginning) else { continue };
            list.retain(|patterned| {
                let stays = *patterned.known.name != *name;
                if !stays {
                    self.versions = self.versions.saturating_sub(1);
                    self.pattern_bytes = self.pattern_bytes.saturating_sub(patterned.pattern.bytes());
                }
                stays
            });
            if list.is_empty() {
                self.patterns.remove(&beginning);
            }
        }
    }

    pub(super) fn filled_in(&self, text: &str) -> Option<&Known> {
        let mut found: Option<&Patterned> = None;
        let mut upto = text;
        for _ in 0..BEGINNINGS_MAX {
            // The last entry that is not behind the text: it is a beginning of the text, or shares a shorter one.
            let range = (Bound::Unbounded, Bound::Included(upto));
            let Some((beginning, list)) = self.patterns.range::<str, _>(range).next_back() else { break };
            let shared = shared_bytes(beginning, text);
            let shorter = if shared == beginning.len() {
                let fits = list.iter().take(COMPARED_MAX).find(|one| one.pattern.matches(text));
                found = found.into_iter().chain(fits).min_by(|a, b| a.order().cmp(&b.order()));
                let Some(last) = beginning.char_indices().next_back() else { break };
                last.0
            } else {
                shared
            };
            upto = text.get(..shorter).unwrap_or_default();
        }
        found.map(|patterned| &patterned.known)
    }
}

/// How many bytes two texts begin with alike, in whole characters.
fn shared_bytes(a: &str, b: &str) -> usize {
    let alike = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    alike.map(|(character, _)| character.len_utf8()).sum()
}

/// The texts of changed prompts.
fn read(txn: &ReadTxn, changed: &Changed) -> Result<Vec<(PromptName, Vec<ReadVersion>)>, StoreError> {
    let mut found = Vec::new();
    match changed {
        Changed::Names(names) => {
            for name in names.iter().filter_map(|name| name.parse::<PromptName>().ok()) {
                let versions = read_prompt(txn, &name)?;
                found.push((name, versions));
            }
        }
        Changed::Everything => {
            let mut left = VERSIONS_MAX;
            for namespace in txn.namespace_names()? {
                let mut names = Vec::new();
                txn.visit_prompts(&namespace, "", &mut |prompt| {
                    names.push(prompt.name);
                    Ok(ControlFlow::Continue(()))
                })?;
                for name in names {
                    let versions = read_prompt(txn, &name)?;
                    left = left.saturating_sub(versions.len());
                    found.push((name, versions));
                    if left == 0 {
                        return Ok(found);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The texts of the versions of a prompt: of those that labels serve, and of the newest; none if it was removed.
fn read_prompt(txn: &ReadTxn, name: &PromptName) -> Result<Vec<ReadVersion>, StoreError> {
    let Some(prompt) = txn.prompt(name)?.filter(|prompt| prompt.removed.is_none()) else { return Ok(Vec::new()) };
    let mut served: BTreeMap<u64, Served> = BTreeMap::new();
    for state in txn.labels(&prompt.name)? {
        let place = if state.label.as_str() == PRODUCTION { Served::Production } else { Served::OtherLabel };
        for version in state.serving.versions() {
            let known = served.entry(version).or_insert(place);
            *known = place.min(*known);
        }
    }
    let mut versions = Vec::new();
    txn.visit_versions(name, u64::MAX, &mut |version| {
        versions.push(version);
        let enough = versions.len() >= TEXTS_PER_PROMPT_MAX;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let oldest = versions.last().map_or(0, |version| version.number);
    for number in served.keys().filter(|number| **number < oldest) {
        versions.extend(txn.version(name, *number)?);
    }
    let shared = Arc::new(name.clone());
    let mut found = Vec::new();
    let mut patterns = 0;
    for version in versions {
        let place = served.get(&version.number).copied().unwrap_or(Served::Nowhere);
        // The content of an archived version is gone.
        let Some(entry) = txn.content_in(name.namespace(), &version.content_id)? else { continue };
        let Some(text) = text_of(&entry.value) else { continue };
        if matches!(text, VersionText::Parts(_)) {
            if patterns >= PATTERNS_PER_PROMPT_MAX && place == Served::Nowhere {
                continue;
            }
            patterns += 1;
        }
        let rank = Rank { served: place, newest: Reverse(version.created) };
        let name = Arc::clone(&shared);
        let known = Known { name, version: version.number, content_id: version.content_id, rank };
        found.push(ReadVersion { known, text });
    }
    Ok(found)
}
