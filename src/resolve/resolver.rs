//! From a reference to an answer: the hot path.
//!
//! What a reference serves is computed on first use and cached, with a limit in bytes. An entry is valid while the
//! [change clock](super::change_clock) of its prompt stays the same, so a commit costs only what it changed, and a
//! start scans nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::answer::{Answer, ResolvedContent, SharedAnswer};
use super::change_clock::{ChangeClocks, Reading};
use super::error::ResolveError;
use super::texts::VersionTexts;
use crate::api::limits::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, BATCH_BYTES_MAX, BATCH_REFERENCES_MAX};
use crate::api::read::Assignment;
use crate::experiment::assignment::choose;
use crate::model::content_id::ContentId;
use crate::model::deployment::Action;
use crate::model::name::{Label, PromptName};
use crate::model::position::Position;
use crate::model::prompt::Prompt;
use crate::model::reference::{Reference, Selector};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::store::condition::Condition;
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::{Committed, Store, StoreError};

/// Initial capacity of the cache, in references; it grows up to its limit in bytes.
const CACHE_ITEMS: usize = 1_024;

/// The subject and the time of a request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The subject, which always gets the same arm of a split.
    pub subject: Option<String>,
    /// The attributes for rules.
    pub attributes: BTreeMap<String, String>,
    /// The time to read; now if absent.
    pub at: Option<Timestamp>,
}

impl Query {
    pub(super) fn check(&self) -> Result<(), ResolveError> {
        let limit = |what, number: usize, max: usize| {
            if number > max { Err(ResolveError::Limit { what, number, max }) } else { Ok(()) }
        };
        limit("the number of attributes", self.attributes.len(), ATTRIBUTES_MAX)?;
        let texts = self.attributes.iter().flat_map(|(name, value)| [name.len(), value.len()]);
        let longest = texts.chain(self.subject.as_ref().map(String::len)).max().unwrap_or(0);
        limit("the length of a subject or attribute,", longest, ATTRIBUTE_BYTES_MAX)
    }
}

/// Answers references; clones share one cache.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bookholder::resolve::{Query, Resolver};
/// use bookholder::store::{Options, Store};
///
/// let directory = tempfile::tempdir()?;
/// let store = Store::open(&Options { directory: directory.path().to_owned(), create: true })?;
/// let resolver = Resolver::new(store, 1024 * 1024);
/// let nothing_yet = resolver.resolve("support/agent@production", &Query::default());
/// assert_eq!(nothing_yet.unwrap_err().to_string(), "there is no prompt `support/agent`");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    store: Store,
    clocks: ChangeClocks,
    cache: Cache<Box<str>, Arc<Cached>, ByBytes>,
    ready: AtomicBool,
}

/// What a reference serves, and how long that is valid.
struct Cached {
    reading: Reading,
    served: ResolvedTarget,
}

/// What a reference serves.
pub(super) enum ResolvedTarget {
    /// The same answer for all subjects.
    Fixed(SharedAnswer),
    /// One of several versions, depending on the subject.
    Chosen { serving: Serving, versions: BTreeMap<u64, ResolvedContent> },
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Cached>> for ByBytes {
    fn weight(&self, reference: &Box<str>, cached: &Arc<Cached>) -> u64 {
        let served = match &cached.served {
            ResolvedTarget::Fixed(answer) => answer.weight(),
            ResolvedTarget::Chosen { versions, .. } => versions.values().map(ResolvedContent::weight).sum(),
        };
        served + reference.len() as u64 + size_of::<Cached>() as u64
    }
}

impl Resolver {
    /// Answers from a store, with at most `cache_bytes` of cached answers.
    #[must_use]
    pub fn new(store: Store, cache_bytes: u64) -> Self {
        let resolver = Self(Arc::new(Inner {
            clocks: ChangeClocks::new(),
            cache: Cache::with_weighter(CACHE_ITEMS, cache_bytes, ByBytes),
            ready: AtomicBool::new(true),
            store,
        }));
        let observer = Arc::downgrade(&resolver.0);
        resolver.0.store.observe(Box::new(move |committed: &Committed| {
            if let Some(inner) = observer.upgrade() {
                inner.clocks.advance(&committed.touched);
            }
        }));
        resolver
    }

    /// Whether there is a state; a replica that never synced has none.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Release);
    }

    /// Whether there is a state.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    /// The condition of the disk and the data.
    pub fn condition(&self) -> &Condition {
        self.0.store.condition()
    }

    /// What finds versions by their system text. It reads nothing before it is asked.
    pub fn texts(&self) -> VersionTexts {
        VersionTexts::new(self.0.store.clone())
    }

    /// Answers a reference, such as `support/agent@production`.
    ///
    /// # Errors
    /// The reference is invalid, or nothing is served for it.
    pub fn resolve(&self, reference: &str, query: &Query) -> Result<SharedAnswer, ResolveError> {
        if query.at.is_none()
            && let Some(cached) = self.0.cache.get(reference)
            && self.0.clocks.is_current(cached.reading)
        {
            query.check()?;
            return match &cached.served {
                ResolvedTarget::Fixed(answer) => Ok(Arc::clone(answer)),
                ResolvedTarget::Chosen { .. } => cached.served.answer(query),
            };
        }
        self.look_up(reference, query)
    }

    /// The answer for all subjects, if it is in memory: no allocation and no database access.
    pub fn cached(&self, reference: &str) -> Option<SharedAnswer> {
        let cached = self.0.cache.get(reference).filter(|cached| self.0.clocks.is_current(cached.reading))?;
        match &cached.served {
            ResolvedTarget::Fixed(answer) => Some(Arc::clone(answer)),
            ResolvedTarget::Chosen { .. } => None,
        }
    }

    /// Answers many references from one snapshot; equal references share one answer.
    ///
    /// # Errors
    /// There are too many, their answers are too large together, or there is no state. A reference without an answer
    /// fails alone.
    #[allow(clippy::type_complexity, reason = "a position and a list of answers")]
    pub fn batch<'a>(
        &self,
        references: &'a [String],
        query: &Query,
    ) -> Result<(Position, Vec<(&'a str, Result<SharedAnswer, ResolveError>)>), ResolveError> {
        let (what, number, max) = ("the number of references", references.len(), BATCH_REFERENCES_MAX);
        if number > max {
            return Err(ResolveError::Limit { what, number, max });
        }
        query.check()?;
        self.check_ready()?;
        self.0.store.view(|txn| {
            let mut composed: HashMap<&str, SharedAnswer> = HashMap::new();
            let mut answers = Vec::with_capacity(references.len());
            let mut bytes = 0_usize;
            for text in references {
                let compose = || {
                    let reference: Reference = text.parse()?;
                    serve(txn, &reference, query.at)?.answer(query)
                };
                let answer = composed.get(text.as_str()).map_or_else(compose, |known| Ok(Arc::clone(known)));
                match &answer {
                    Ok(answer) => {
                        bytes = bytes.saturating_add(answer.body().len());
                        if bytes > BATCH_BYTES_MAX {
                            return Err(ResolveError::BatchTooLarge {
                                reference: text.clone(),
                                bytes_max: BATCH_BYTES_MAX,
                            });
                        }
                        composed.insert(text, Arc::clone(answer));
                    }
                    Err(ResolveError::Store(StoreError::Interrupted)) => {
                        return Err(StoreError::Interrupted.into());
                    }
                    Err(_) => {}
                }
                answers.push((text.as_str(), answer));
            }
            Ok((txn.head()?.position, answers))
        })
    }

    fn look_up(&self, text: &str, query: &Query) -> Result<SharedAnswer, ResolveError> {
        let reference: Reference = text.parse()?;
        query.check()?;
        self.check_ready()?;
        let reading = self.0.clocks.read(reference.name.as_str());
        let served = self.0.store.view(|txn| serve(txn, &reference, query.at))?;
        let answer = served.answer(query)?;
        if query.at.is_none() {
            self.0.cache.insert(text.into(), Arc::new(Cached { reading, served }));
        }
        Ok(answer)
    }

    /// Since when the label of a reference serves what it serves now; none if it serves nothing, or the reference names a
    /// version.
    ///
    /// # Errors
    /// The reference is invalid, or the store fails.
    pub fn served_since(&self, reference: &str) -> Result<Option<Timestamp>, ResolveError> {
        let Reference { name, selector } = reference.parse()?;
        let Selector::Label(label) = selector else { return Ok(None) };
        self.0.store.view(|txn| {
            if !label.is_latest() {
                return Ok(txn.label(&name, &label)?.map(|state| state.since));
            }
            let newest = match txn.prompt(&name)? {
                Some(prompt) if prompt.removed.is_none() => txn.version(&name, prompt.latest)?,
                _ => None,
            };
            Ok(newest.map(|version| version.created))
        })
    }

    fn check_ready(&self) -> Result<(), ResolveError> {
        if self.is_ready() { Ok(()) } else { Err(ResolveError::NotReady) }
    }
}

impl ResolvedTarget {
    /// The answer for a subject.
    pub(super) fn answer(&self, query: &Query) -> Result<SharedAnswer, ResolveError> {
        match self {
            Self::Fixed(answer) => Ok(Arc::clone(answer)),
            Self::Chosen { serving, versions } => {
                let random = getrandom::u64().unwrap_or_default();
                let choice = choose(serving, query.subject.as_deref(), &query.attributes, random);
                let said = versions.get(&choice.version).ok_or(StoreError::Record {
                    kind: "label",
                    reason: format!("it serves version {}, which is missing", choice.version),
                })?;
                let assignment = Assignment { rule: choice.rule, bucket: choice.bucket, sticky: choice.sticky };
                Ok(Arc::new(Answer::compose(said, Some(assignment))))
            }
        }
    }
}

/// Finds what a reference serves, now or at a time.
fn serve(txn: &ReadTxn, reference: &Reference, at: Option<Timestamp>) -> Result<ResolvedTarget, ResolveError> {
    let name = &reference.name;
    let prompt = txn.prompt(name)?.ok_or_else(|| ResolveError::PromptNotFound { name: name.clone() })?;
    if let (None, Some(removed)) = (at, prompt.removed) {
        return Err(ResolveError::PromptRemoved { name: name.clone(), at: removed });
    }
    if let (Selector::Version(_) | Selector::Content(_), Some(at)) = (&reference.selector, at)
        && let Some(removed) = removed_at(txn, &prompt, at)?
    {
        return Err(ResolveError::PromptRemoved { name: name.clone(), at: removed });
    }
    let version = match (&reference.selector, at) {
        (Selector::Label(label), None) if label.is_latest() => txn.version(name, prompt.latest)?,
        (Selector::Label(label), Some(at)) if label.is_latest() => Some(latest_at(txn, &prompt, at)?),
        (Selector::Label(label), _) => {
            let serving = serving_of(txn, name, label, at)?;
            return serve_label(txn, name, label, serving);
        }
        (Selector::Version(number), _) => txn.version(name, *number)?,
        (Selector::Content(hex), _) => txn.version_with_content(name, hex)?,
    };
    let version = version.filter(|version| at.is_none_or(|at| version.created <= at));
    let version = version.ok_or_else(|| ResolveError::VersionNotFound {
        name: name.clone(),
        selector: reference.selector.clone(),
        latest: prompt.latest,
    })?;
    let said = resolve_content(txn, name, &version, reference.label())?;
    Ok(ResolvedTarget::Fixed(Arc::new(Answer::compose(&said, None))))
}

/// What a label answers that serves this.
pub(super) fn serve_label(
    txn: &ReadTxn,
    name: &PromptName,
    label: &Label,
    serving: Serving,
) -> Result<ResolvedTarget, ResolveError> {
    let mut versions = BTreeMap::new();
    for number in serving.versions() {
        if let Some(version) = txn.version(name, number)? {
            versions.insert(number, resolve_content(txn, name, &version, Some(label))?);
        }
    }
    match serving.fixed().and_then(|number| versions.get(&number)) {
        Some(said) => Ok(ResolvedTarget::Fixed(Arc::new(Answer::compose(said, None)))),
        None => Ok(ResolvedTarget::Chosen { serving, versions }),
    }
}

/// The bytes of a version's content, which may be archived.
pub(super) fn content_bytes(
    txn: &ReadTxn,
    name: &PromptName,
    version: &Version,
    id: &ContentId,
) -> Result<Vec<u8>, ResolveError> {
    match (txn.content_in(name.namespace(), id)?, version.archived) {
        (Some(entry), _) => Ok(entry.value),
        (None, Some(at)) => Err(ResolveError::VersionArchived { name: name.clone(), number: version.number, at }),
        (None, None) => Ok(txn.content_of(name, id)?),
    }
}

fn resolve_content(
    txn: &ReadTxn,
    name: &PromptName,
    version: &Version,
    label: Option<&Label>,
) -> Result<ResolvedContent, ResolveError> {
    let content = Bytes::from(content_bytes(txn, name, version, &version.content_id)?);
    Ok(ResolvedContent::new(name, version.number, version.content_id, label, content))
}

/// What a label serves now, or served at a time.
fn serving_of(txn: &ReadTxn, name: &PromptName, label: &Label, at: Option<Timestamp>) -> Result<Serving, ResolveError> {
    let absent = || ResolveError::LabelNotFound { name: name.clone(), label: label.clone(), at };
    let Some(moment) = at else {
        return txn.label(name, label)?.map(|state| state.serving).ok_or_else(absent);
    };
    let deployment = txn.deployment_at(name, label, moment)?.ok_or_else(absent)?;
    match (deployment.to, deployment.action) {
        (Some(serving), _) => Ok(serving),
        (None, Action::Remove) => Err(ResolveError::PromptRemoved { name: name.clone(), at: deployment.at }),
        (None, _) => Err(absent()),
    }
}

/// The newest version at a time, unless the prompt was removed by then.
fn latest_at(txn: &ReadTxn, prompt: &Prompt, at: Timestamp) -> Result<Version, ResolveError> {
    let (name, label) = (&prompt.name, Label::latest());
    let version = txn.version_at(name, at)?.ok_or_else(|| ResolveError::LabelNotFound {
        name: name.clone(),
        label: label.clone(),
        at: Some(at),
    })?;
    match removed_at(txn, prompt, at)? {
        Some(at) => Err(ResolveError::PromptRemoved { name: name.clone(), at }),
        None => Ok(version),
    }
}

/// Since when a prompt was removed, as of a time; absent if it was not, or had no version yet.
fn removed_at(txn: &ReadTxn, prompt: &Prompt, at: Timestamp) -> Result<Option<Timestamp>, ResolveError> {
    let Some(removal) = txn.deployment_at(&prompt.name, &Label::latest(), at)? else { return Ok(None) };
    let newest = txn.version_at(&prompt.name, at)?;
    Ok(newest.filter(|version| removal.id > version.commit).map(|_| removal.at))
}
