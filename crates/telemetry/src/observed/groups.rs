//! The groups of a file, in memory: where a text belongs, and what changed since it was last written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::merge::merge;
use super::signature::Signature;
use super::tokens::tokens;
use super::{OBSERVED_BYTES_MAX, OBSERVED_MAX, OTHER, ObservedCounts, ObservedPrompt};
use crate::event::Response;
use crate::system_text::SentText;
use crate::text_pattern::{TextPattern, weight};

/// Numbers of two signatures, of 32, that must be equal for two texts to be compared.
const ALIKE_MIN: usize = 4;
/// Groups that a text is compared with to make one template of both, and how many tokens of it in all: a comparison takes
/// time in proportion to them.
const MERGED_MAX: usize = 8;
const MERGED_TOKENS_MAX: usize = 20_000;

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    /// Groups.
    pub groups: usize,
    /// Bytes of their texts.
    pub bytes: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self { groups: OBSERVED_MAX, bytes: OBSERVED_BYTES_MAX }
    }
}

/// The groups of a file.
#[derive(Debug, Default)]
pub struct Groups {
    limits: GroupLimits,
    by_id: BTreeMap<u64, Group>,
    /// Groups of one text, by its hash.
    exact: HashMap<[u8; 32], u64>,
    other: ObservedCounts,
    bytes: usize,
    changed: Changes,
}

#[derive(Debug)]
struct Group {
    pattern: TextPattern,
    /// The weight of the text that it began with.
    first_weight: usize,
    signature: Signature,
    counts: ObservedCounts,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Changes {
    /// Groups whose counts changed.
    pub counts: BTreeSet<u64>,
    /// Those whose text changed too.
    pub texts: BTreeSet<u64>,
}

impl Group {
    fn new(pattern: TextPattern, first_weight: usize, counts: ObservedCounts) -> Self {
        let signature = signature_of(&pattern);
        Self { pattern, first_weight, signature, counts }
    }
}

impl Groups {
    /// No groups yet.
    #[must_use]
    pub fn new(limits: GroupLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Adds a group as it was written; `first_weight` is that of the text that it began with.
    pub fn restore(&mut self, prompt: ObservedPrompt, first_weight: usize) {
        let ObservedPrompt { id, pattern, counts } = prompt;
        if id == OTHER {
            self.other = counts;
            return;
        }
        self.insert(id, Group::new(pattern, first_weight, counts));
    }

    /// Counts a call; the number of its group.
    pub fn add(&mut self, text: &SentText, response: &Response) -> u64 {
        let id = text.text().map_or(OTHER, |text| self.place(text));
        self.changed.counts.insert(id);
        self.by_id.get_mut(&id).map_or(&mut self.other, |group| &mut group.counts).add(response);
        id
    }

    /// All groups, and what exceeds the limits as [`OTHER`].
    pub fn iter(&self) -> impl Iterator<Item = (u64, &ObservedCounts)> {
        self.by_id.iter().map(|(id, group)| (*id, &group.counts)).chain([(OTHER, &self.other)])
    }

    /// What was counted of a group.
    #[must_use]
    pub fn counts(&self, id: u64) -> Option<&ObservedCounts> {
        if id == OTHER { Some(&self.other) } else { self.by_id.get(&id).map(|group| &group.counts) }
    }

    /// The text of a group, and the weight of the one that it began with.
    #[must_use]
    pub fn pattern(&self, id: u64) -> Option<(&TextPattern, usize)> {
        self.by_id.get(&id).map(|group| (&group.pattern, group.first_weight))
    }

    /// What is to be written; from now on, nothing is.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changed)
    }

    /// The group of a text.
    fn place(&mut self, text: &str) -> u64 {
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        if let Some(id) = self.exact.get(&hash) {
            return *id;
        }
        let tokens = tokens(text);
        let compared = (MERGED_TOKENS_MAX / tokens.len().max(1)).clamp(1, MERGED_MAX);
        let signature = Signature::of([tokens]);
        let alike = self.by_id.iter().map(|(id, group)| (group.signature.alike(&signature), *id));
        let mut alike: Vec<(usize, u64)> = alike.filter(|(alike, _)| *alike >= ALIKE_MIN).collect();
        alike.sort_unstable_by_key(|(alike, id)| (usize::MAX - alike, *id));
        let of = |id: u64| self.by_id.get(&id);
        let fits =
            alike.iter().filter_map(|(_, id)| Some((*id, of(*id)?))).filter(|(_, one)| one.pattern.matches(text));
        if let Some((id, _)) = fits.min_by_key(|(id, one)| (usize::MAX - one.pattern.weight(), *id)) {
            return id;
        }
        let merged = alike.iter().take(compared).filter_map(|(_, id)| {
            let group = of(*id)?;
            Some((*id, merge(&group.pattern, group.first_weight, text)?))
        });
        if let Some((id, pattern)) = merged.min_by_key(|(id, pattern)| (usize::MAX - pattern.weight(), *id)) {
            self.generalize(id, pattern);
            return id;
        }
        self.begin(hash, text, signature)
    }

    /// Begins a group with a text, if there is room.
    fn begin(&mut self, hash: [u8; 32], text: &str, signature: Signature) -> u64 {
        if self.by_id.len() >= self.limits.groups || self.bytes.saturating_add(text.len()) > self.limits.bytes {
            return OTHER;
        }
        let mut id = hash.first_chunk().copied().map_or(OTHER, u64::from_be_bytes);
        while id == OTHER || self.by_id.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        let (pattern, counts) = (TextPattern::exact(text.to_owned()), ObservedCounts::default());
        self.insert(id, Group { pattern, first_weight: weight(text), signature, counts });
        self.changed.texts.insert(id);
        id
    }

    /// Gives a group a more general text.
    fn generalize(&mut self, id: u64, pattern: TextPattern) {
        let Some(group) = self.by_id.remove(&id) else { return };
        self.bytes = self.bytes.saturating_sub(group.pattern.bytes());
        if let [text] = group.pattern.literals() {
            self.exact.remove(blake3::hash(text.as_bytes()).as_bytes());
        }
        self.insert(id, Group::new(pattern, group.first_weight, group.counts));
        self.changed.texts.insert(id);
    }

    fn insert(&mut self, id: u64, group: Group) {
        self.bytes = self.bytes.saturating_add(group.pattern.bytes());
        if let [text] = group.pattern.literals() {
            self.exact.insert(*blake3::hash(text.as_bytes()).as_bytes(), id);
        }
        self.by_id.insert(id, group);
    }
}

fn signature_of(pattern: &TextPattern) -> Signature {
    Signature::of(pattern.literals().iter().map(|literal| tokens(literal)))
}
