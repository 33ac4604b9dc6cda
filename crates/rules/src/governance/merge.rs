//! The three-way merge of two authors' changes to one content.
//!
//! It never guesses. What one side did not change comes from the other; if both changed the same thing, or adjacent
//! lines, it is a conflict: it is listed, and the merged content has our side, without markers. It does not check
//! limits or templates; publishing does.
//!
//! Invariants: swapping the sides gives the same conflicts and, without conflicts, the same content; any three contents
//! are merged within a fixed amount of work.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};
use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::json;
use crate::model::comparison::{Conflict, Merge};
use crate::model::content::{Body, Content, Message, MessageContent, Model, Part, RoleMessage, Variable};

/// Most listed conflicts: more are not practical to resolve by hand.
pub const CONFLICTS_MAX: usize = 1_000;
/// Depth of objects in `config` and the model's parameters that are merged key by key, below the outermost.
const OBJECT_LEVELS: u8 = 1;
/// Work limit of comparing one side with the base, in steps, a few hundredths of a second. Myers' algorithm is
/// quadratic in the worst case, and a time limit would make the result depend on the machine.
const WORK_STEPS_MAX: usize = 32_000_000;

/// Merges the changes of `ours` and `theirs` to `base`.
///
/// The result of three valid contents may itself exceed a limit: check it before it is stored.
pub fn merge(base: &Content, ours: &Content, theirs: &Content) -> Merge {
    merge_with(base, ours, theirs, &BTreeSet::new())
}

/// The same, with decisions: in the conflicts with these indexes (from 0) the merged content has their side.
pub fn merge_with(base: &Content, ours: &Content, theirs: &Content, take_theirs: &BTreeSet<usize>) -> Merge {
    let three = ThreeWay { base, ours, theirs };
    if let Some(side) = three.settled() {
        return Merge { content: three.pick(side).clone(), conflicts: Vec::new() };
    }
    let mut merging = Merger {
        take_theirs,
        conflicts: Vec::new(),
        ours_steps_left: WORK_STEPS_MAX,
        theirs_steps_left: WORK_STEPS_MAX,
    };
    let content = Content {
        syntax: merging.whole("syntax", three.map(|content| &content.syntax)),
        body: merging.body(three.map(|content| &content.body)),
        variables: merging.variables(three.map(|content| content.variables.as_slice())),
        model: merging.model(three.map(|content| content.model.as_ref())),
        tools: merging.whole("tools", three.map(|content| &content.tools)),
        response_schema: merging.maybe("response_schema", three.map(|content| content.response_schema.as_ref())),
        config: merging.fields("config", three.map(|content| &content.config), OBJECT_LEVELS),
    };
    Merge { content, conflicts: merging.conflicts }
}

/// The same thing in the base, in ours and in theirs.
#[derive(Clone, Copy)]
struct ThreeWay<T> {
    base: T,
    ours: T,
    theirs: T,
}

#[derive(Clone, Copy)]
enum MergeSide {
    Ours,
    Theirs,
}

impl<T> ThreeWay<T> {
    fn map<U>(self, mut change: impl FnMut(T) -> U) -> ThreeWay<U> {
        ThreeWay { base: change(self.base), ours: change(self.ours), theirs: change(self.theirs) }
    }

    fn as_ref(&self) -> ThreeWay<&T> {
        ThreeWay { base: &self.base, ours: &self.ours, theirs: &self.theirs }
    }

    fn zip<U>(self, other: ThreeWay<U>) -> ThreeWay<(T, U)> {
        ThreeWay { base: (self.base, other.base), ours: (self.ours, other.ours), theirs: (self.theirs, other.theirs) }
    }

    fn pick(self, side: MergeSide) -> T {
        match side {
            MergeSide::Ours => self.ours,
            MergeSide::Theirs => self.theirs,
        }
    }

    fn all(&self, mut is: impl FnMut(&T) -> bool) -> bool {
        is(&self.base) && is(&self.ours) && is(&self.theirs)
    }
}

impl<T: PartialEq> ThreeWay<T> {
    /// The side to take if at most one of them changed something, or both made the same change.
    fn settled(&self) -> Option<MergeSide> {
        if self.ours == self.theirs || self.theirs == self.base {
            Some(MergeSide::Ours)
        } else {
            (self.ours == self.base).then_some(MergeSide::Theirs)
        }
    }
}

impl<'a, T> ThreeWay<&'a [T]> {
    fn cut(self, ranges: &ThreeWay<Range<usize>>) -> Self {
        self.zip(ranges.as_ref()).map(|(items, range)| items.get(range.clone()).unwrap_or_default())
    }

    /// The items of all three at one place, if they exist.
    fn rows(self) -> impl Iterator<Item = ThreeWay<&'a T>> {
        let rows = self.base.iter().zip(self.ours).zip(self.theirs);
        rows.map(|((base, ours), theirs)| ThreeWay { base, ours, theirs })
    }
}

struct Merger<'a> {
    take_theirs: &'a BTreeSet<usize>,
    conflicts: Vec<Conflict>,
    /// Each side has its own limit, so that swapping them changes nothing.
    ours_steps_left: usize,
    theirs_steps_left: usize,
}

impl Merger<'_> {
    /// Records a conflict and returns the side to take: ours, unless decided otherwise.
    fn conflict(&mut self, place: &str, values: ThreeWay<Option<String>>) -> MergeSide {
        let number = self.conflicts.len();
        if self.conflicts.len() < CONFLICTS_MAX {
            let ThreeWay { base, ours, theirs } = values;
            self.conflicts.push(Conflict { place: place.to_owned(), base, ours, theirs });
            if self.take_theirs.contains(&number) {
                return MergeSide::Theirs;
            }
        }
        MergeSide::Ours
    }

    /// The side of a value; ours, and a conflict, if both changed it.
    fn side(&mut self, place: &str, values: ThreeWay<Option<Value>>) -> MergeSide {
        if let Some(side) = values.as_ref().map(|value| ExactValue(value.as_ref())).settled() {
            return side;
        }
        self.conflict(place, values.map(|value| value.map(|value| value.to_string())))
    }

    fn whole<T: Clone + Serialize>(&mut self, place: &str, three: ThreeWay<&T>) -> T {
        let side = self.side(place, three.map(json));
        three.pick(side).clone()
    }

    fn maybe<T: Clone + Serialize>(&mut self, place: &str, three: ThreeWay<Option<&T>>) -> Option<T> {
        let side = self.side(place, three.map(|value| value.and_then(json)));
        three.pick(side).cloned()
    }

    fn variables(&mut self, three: ThreeWay<&[Variable]>) -> Vec<Variable> {
        let by_name =
            three.map(|list| list.iter().map(|variable| (&variable.name, variable)).collect::<BTreeMap<_, _>>());
        let by_name = by_name.as_ref();
        let names: BTreeSet<&String> =
            by_name.base.keys().chain(by_name.ours.keys()).chain(by_name.theirs.keys()).copied().collect();
        let merged = names.into_iter().filter_map(|name| {
            self.maybe(&format!("variables.{name}"), by_name.map(|variables| variables.get(name).copied()))
        });
        merged.collect()
    }

    fn model(&mut self, three: ThreeWay<Option<&Model>>) -> Option<Model> {
        let ThreeWay { base: Some(base), ours: Some(ours), theirs: Some(theirs) } = three else {
            return self.maybe("model", three);
        };
        let three = ThreeWay { base, ours, theirs };
        let name = self.whole("model", three.map(|model| &model.name));
        let parameters = self.fields("model.parameters", three.map(|model| &model.parameters), OBJECT_LEVELS);
        Some(Model { name, parameters })
    }

    fn fields(&mut self, place: &str, three: ThreeWay<&Map<String, Value>>, levels: u8) -> Map<String, Value> {
        let order = self.key_order(place, three);
        let merged = order.into_iter().filter_map(|key| {
            let place = format!("{place}.{key}");
            let values = three.map(|fields| fields.get(key));
            let value = match values.map(|value| value.and_then(Value::as_object)) {
                ThreeWay { base: Some(base), ours: Some(ours), theirs: Some(theirs) } if levels > 0 => {
                    Some(Value::Object(self.fields(&place, ThreeWay { base, ours, theirs }, levels.saturating_sub(1))))
                }
                _ => self.maybe(&place, values),
            };
            value.map(|value| (key.clone(), value))
        });
        merged.collect()
    }

    /// The keys of both sides in the order of the merged object. Common keys have the order of the side that moved some
    /// (a conflict if both did, differently); a key of one side follows its predecessor there.
    fn key_order<'m>(&mut self, place: &str, three: ThreeWay<&'m Map<String, Value>>) -> Vec<&'m String> {
        let is_shared = |key: &&String| three.ours.contains_key(*key) && three.theirs.contains_key(*key);
        let orders = three.map(|fields| fields.keys().filter(is_shared).collect::<Vec<&String>>());
        let side = orders.as_ref().settled().unwrap_or_else(|| {
            let shown = |keys: &Vec<&String>| Some(keys.iter().map(|key| key.as_str()).collect::<Value>().to_string());
            self.conflict(&format!("{place} (key order)"), orders.as_ref().map(shown))
        });
        let behind = |fields: &'m Map<String, Value>| {
            let mut groups: BTreeMap<Option<&String>, Vec<&String>> = BTreeMap::new();
            let mut before = None;
            for key in fields.keys() {
                if is_shared(&key) {
                    before = Some(key);
                } else {
                    groups.entry(before).or_default().push(key);
                }
            }
            groups
        };
        let (mut ours, mut theirs) = (behind(three.ours), behind(three.theirs));
        let mut order = Vec::with_capacity(three.ours.len());
        for shared in std::iter::once(None).chain(orders.pick(side).into_iter().map(Some)) {
            order.extend(shared);
            // The result must not depend on which side is ours.
            let mut added = [ours.remove(&shared).unwrap_or_default(), theirs.remove(&shared).unwrap_or_default()];
            added.sort();
            order.extend(added.into_iter().flatten());
        }
        order
    }

    fn body(&mut self, three: ThreeWay<&Body>) -> Body {
        if let Some(side) = three.settled() {
            return three.pick(side).clone();
        }
        match (three.base, three.ours, three.theirs) {
            (Body::Text(base), Body::Text(ours), Body::Text(theirs)) => {
                Body::Text(self.text("text", ThreeWay { base, ours, theirs }))
            }
            (Body::Messages(base), Body::Messages(ours), Body::Messages(theirs)) => {
                Body::Messages(self.messages(ThreeWay { base, ours, theirs }))
            }
            _ => {
                let shown = three.map(|body| match body {
                    Body::Text(text) => Some(text.clone()),
                    Body::Messages(messages) => json(messages).map(|messages| messages.to_string()),
                });
                let side = self.conflict("body", shown);
                three.pick(side).clone()
            }
        }
    }

    /// A text by lines. The text between line breaks is a line, so that a text without a final line break can still
    /// grow.
    fn text(&mut self, place: &str, three: ThreeWay<&str>) -> String {
        if let Some(side) = three.settled() {
            return three.pick(side).to_owned();
        }
        let lines = three.map(|text| text.split('\n').collect::<Vec<&str>>());
        let lines = lines.as_ref().map(Vec::as_slice);
        let chunks = chunks(&self.matches(lines), lines.map(<[&str]>::len));
        let mut merged: Vec<&str> = Vec::with_capacity(lines.ours.len());
        let mut done = 0;
        for chunk in chunks {
            merged.extend(lines.ours.get(done..chunk.ours.start).unwrap_or_default());
            done = chunk.ours.end;
            let changed = lines.cut(&chunk);
            let side = changed.settled().unwrap_or_else(|| {
                let shown = changed.map(|lines| (!lines.is_empty()).then(|| lines.join("\n")));
                self.conflict(&format!("{place} line {}", chunk.ours.start.saturating_add(1)), shown)
            });
            merged.extend(changed.pick(side));
        }
        merged.extend(lines.ours.get(done..).unwrap_or_default());
        merged.join("\n")
    }

    fn messages(&mut self, three: ThreeWay<&Vec<Message>>) -> Vec<Message> {
        let three = three.map(Vec::as_slice);
        // A message is compared by its serialized form.
        let keys = three.map(|messages| messages.iter().map(|message| json(message).unwrap_or_default().to_string()));
        let keys = keys.map(Iterator::collect::<Vec<String>>);
        let keys = keys.as_ref().map(Vec::as_slice);
        let matches = self.matches(keys);
        let mut merged: Vec<Message> = Vec::with_capacity(three.ours.len());
        let mut done = 0;
        for chunk in chunks(&matches, three.map(<[Message]>::len)) {
            merged.extend_from_slice(three.ours.get(done..chunk.ours.start).unwrap_or_default());
            done = chunk.ours.end;
            let changed = three.cut(&chunk);
            if let Some(side) = keys.cut(&chunk).settled() {
                merged.extend_from_slice(changed.pick(side));
            } else if stayed_in_place(changed, &chunk, &matches) {
                for (index, row) in chunk.ours.zip(changed.rows()) {
                    merged.push(self.message(&format!("messages[{index}]"), row));
                }
            } else {
                let place = match chunk.ours.len() {
                    0 | 1 => format!("messages[{}]", chunk.ours.start),
                    _ => format!("messages[{}..{}]", chunk.ours.start, chunk.ours.end),
                };
                let shown = changed.map(|list| (!list.is_empty()).then(|| json(list)).flatten());
                let side = self.conflict(&place, shown.map(|list| list.map(|list| list.to_string())));
                merged.extend_from_slice(changed.pick(side));
            }
        }
        merged.extend_from_slice(three.ours.get(done..).unwrap_or_default());
        merged
    }

    fn message(&mut self, place: &str, three: ThreeWay<&Message>) -> Message {
        let (Message::Said(base), Message::Said(ours), Message::Said(theirs)) = (three.base, three.ours, three.theirs)
        else {
            return self.whole(place, three);
        };
        let said = ThreeWay { base, ours, theirs };
        Message::Said(RoleMessage {
            role: ours.role,
            content: self.message_content(place, said.map(|said| &said.content)),
            fields: self.fields(place, said.map(|said| &said.fields), 0),
        })
    }

    fn message_content(&mut self, place: &str, three: ThreeWay<&MessageContent>) -> MessageContent {
        match (three.base, three.ours, three.theirs) {
            (MessageContent::Text(base), MessageContent::Text(ours), MessageContent::Text(theirs)) => {
                MessageContent::Text(self.text(place, ThreeWay { base, ours, theirs }))
            }
            (MessageContent::Parts(base), MessageContent::Parts(ours), MessageContent::Parts(theirs))
                if [ours, theirs].iter().all(|side| base.iter().map(Part::kind).eq(side.iter().map(Part::kind))) =>
            {
                let rows = ThreeWay { base, ours, theirs }.map(Vec::as_slice).rows().enumerate();
                let parts = rows.map(|(index, row)| self.part(&format!("{place}.content[{index}]"), row));
                MessageContent::Parts(parts.collect())
            }
            _ => {
                let place = format!("{place}.content");
                let said =
                    |content: &MessageContent| if *content == MessageContent::Absent { None } else { json(content) };
                let side = self.side(&place, three.map(said));
                three.pick(side).clone()
            }
        }
    }

    fn part(&mut self, place: &str, three: ThreeWay<&Part>) -> Part {
        match three.map(Part::only_text) {
            ThreeWay { base: Some(base), ours: Some(ours), theirs: Some(theirs) } => {
                Part::text(self.text(place, ThreeWay { base, ours, theirs }))
            }
            _ => self.whole(place, three),
        }
    }

    /// For each side, which item matches each item of the base.
    fn matches<T: Ord>(&mut self, three: ThreeWay<&[T]>) -> Matches {
        let mut numbers: BTreeMap<&T, usize> = BTreeMap::new();
        let ThreeWay { base, ours, theirs } = three.map(|items| {
            let number = |item| {
                let next = numbers.len();
                *numbers.entry(item).or_insert(next)
            };
            items.iter().map(number).collect::<Vec<usize>>()
        });
        Matches {
            ours: ItemMatcher::of(&base, &ours, &mut self.ours_steps_left),
            theirs: ItemMatcher::of(&base, &theirs, &mut self.theirs_steps_left),
        }
    }
}

/// For each item of the base, its index on each side.
struct Matches {
    ours: Vec<Option<usize>>,
    theirs: Vec<Option<usize>>,
}

/// The ranges between items that all three have, in order; everything outside of them is the same in all three.
fn chunks(matches: &Matches, lengths: ThreeWay<usize>) -> Vec<ThreeWay<Range<usize>>> {
    let mut found = Vec::new();
    let mut done = ThreeWay { base: 0, ours: 0, theirs: 0 };
    let mut close = |done: ThreeWay<usize>, at: ThreeWay<usize>| {
        let chunk = done.zip(at).map(|(from, to)| from..to);
        if !chunk.all(Range::is_empty) {
            found.push(chunk);
        }
    };
    for (base, (ours, theirs)) in matches.ours.iter().zip(&matches.theirs).enumerate() {
        if let (&Some(ours), &Some(theirs)) = (ours, theirs) {
            let at = ThreeWay { base, ours, theirs };
            close(done, at);
            done = at.map(|index| index.saturating_add(1));
        }
    }
    close(done, lengths);
    found
}

/// Whether a chunk has the same number of messages on all three sides, with the same roles, and none that is known to
/// have moved: then messages correspond by index. Anything else would be a guess.
fn stayed_in_place(messages: ThreeWay<&[Message]>, chunk: &ThreeWay<Range<usize>>, matches: &Matches) -> bool {
    let speaker = |message: &Message| match message {
        Message::Said(said) => Some(said.role),
        Message::Placeholder { .. } => None,
    };
    let stays = |side: &[Option<usize>], start: usize| {
        side.get(chunk.base.clone())
            .unwrap_or_default()
            .iter()
            .enumerate()
            .all(|(offset, found)| found.is_none_or(|index| index == start.saturating_add(offset)))
    };
    messages.all(|side| side.iter().map(speaker).eq(messages.base.iter().map(speaker)))
        && stays(&matches.ours, chunk.ours.start)
        && stays(&matches.theirs, chunk.theirs.start)
}

/// Matches items of the base in another list: first those that are unique in both, then the rest between them.
struct ItemMatcher<'a> {
    base: &'a [usize],
    other: &'a [usize],
    found: Vec<Option<usize>>,
    steps_left: &'a mut usize,
}

impl<'a> ItemMatcher<'a> {
    fn of(base: &'a [usize], other: &'a [usize], steps_left: &'a mut usize) -> Vec<Option<usize>> {
        let mut matching = Self { base, other, found: vec![None; base.len()], steps_left };
        let (mut in_base, mut in_other) = matching.trim(0..base.len(), 0..other.len());
        let (base_end, other_end) = (in_base.end, in_other.end);
        for (index, at) in matching.anchors(in_base.clone(), in_other.clone()) {
            matching.rest(in_base.start..index, in_other.start..at);
            matching.put(index, at);
            (in_base, in_other) = (index.saturating_add(1)..base_end, at.saturating_add(1)..other_end);
        }
        matching.rest(in_base, in_other);
        matching.found
    }

    fn put(&mut self, index: usize, at: usize) {
        if let Some(slot) = self.found.get_mut(index) {
            *slot = Some(at);
        }
    }

    /// Matches the common start and end of both ranges, and returns the rest.
    fn trim(&mut self, mut base: Range<usize>, mut other: Range<usize>) -> (Range<usize>, Range<usize>) {
        let same = |matching: &Self, index: usize, at: usize| matching.base.get(index) == matching.other.get(at);
        while !base.is_empty() && !other.is_empty() && same(self, base.start, other.start) {
            self.put(base.start, other.start);
            (base.start, other.start) = (base.start.saturating_add(1), other.start.saturating_add(1));
        }
        while !base.is_empty() && !other.is_empty() && same(self, base.end - 1, other.end - 1) {
            (base.end, other.end) = (base.end - 1, other.end - 1);
            self.put(base.end, other.end);
        }
        (base, other)
    }

    /// The longest list of items that are unique in both ranges and in the same order.
    fn anchors(&self, base: Range<usize>, other: Range<usize>) -> Vec<(usize, usize)> {
        let once = |items: &[usize], range: Range<usize>| {
            let mut places: BTreeMap<usize, Option<usize>> = BTreeMap::new();
            for (index, &item) in range.clone().zip(items.get(range).unwrap_or_default()) {
                places.entry(item).and_modify(|place| *place = None).or_insert(Some(index));
            }
            places
        };
        let theirs = once(self.other, other);
        let mut pairs: Vec<(usize, usize)> = once(self.base, base)
            .into_iter()
            .filter_map(|(item, index)| Some((index?, theirs.get(&item).copied().flatten()?)))
            .collect();
        pairs.sort_unstable();
        ascending(&pairs)
    }

    /// Matches the items between anchors; none if that could exceed the work limit.
    fn rest(&mut self, base: Range<usize>, other: Range<usize>) {
        let (base, other) = self.trim(base, other);
        if base.is_empty() || other.is_empty() {
            return;
        }
        let items = base.len().saturating_add(other.len());
        let Some(left) = self.steps_left.checked_sub(items.saturating_mul(items)) else { return };
        *self.steps_left = left;
        let old = self.base.get(base.clone()).unwrap_or_default();
        let new = self.other.get(other.clone()).unwrap_or_default();
        for operation in capture_diff_slices(Algorithm::Myers, old, new) {
            let (tag, old, new) = operation.as_tag_tuple();
            if tag == DiffTag::Equal {
                for (index, at) in old.zip(new) {
                    self.put(base.start.saturating_add(index), other.start.saturating_add(at));
                }
            }
        }
    }
}

/// The longest increasing subsequence of pairs by second number, for pairs sorted by the first.
fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For each length, the pair with the smallest end; for each pair, its predecessor.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, &(_, at)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs.get(end).is_some_and(|pair| pair.1 < at));
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        run.extend(pairs.get(index));
        next = before.get(index).copied().flatten();
    }
    run.reverse();
    run
}

fn json<T: Serialize + ?Sized>(value: &T) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// A value that equals another only if the order of keys and the form of numbers do, too.
struct ExactValue<'a>(Option<&'a Value>);

impl PartialEq for ExactValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        json::same_option(self.0, other.0)
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
