//! Reading what was recorded: single responses with their scores, and counts over time.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::apply::{target_hash, targets_of};
use super::codec::{decode_rollup, decode_series, decode_spend, decode_total, decode_volume, unpack};
use super::tables::{
    BLOCK_ENDS, BLOCKS, BODIES, INDEX, INDEX_KEY_BYTES, Kind, LEVEL_MS, META, Place, ROLLUPS, SERIES, SPEND,
    TOTAL_OF_ALL, TOTALS, bucket, hash, index_bytes, index_range, indexed_days, place_of, prompt_prefix, span_hash,
};
use super::{TelemetryError, TelemetryStore};
use crate::event::{Event, Response, Score, SpanContext};
use crate::model::name::PromptName;
use crate::rollup::{Rollup, Series, SeriesOf, Spend, Total, Volume};

/// Most responses of one trace or conversation: the newest. One more is read, which says that there are older ones.
pub const RESPONSES_MAX: usize = 1_000;
/// Most scores of one response.
const SCORES_MAX: usize = 100;

/// A recorded response, and what was said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The response.
    pub response: Response,
    /// Its scores, and those of its trace and conversation.
    pub scores: Vec<Score>,
}

/// How finely counts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// By minute.
    Minute = 0,
    /// By hour.
    Hour = 1,
    /// By day, in UTC.
    Day = 2,
}

/// What was counted in one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// When it began.
    pub from_ms: i64,
    /// What was counted.
    pub rollup: Rollup,
}

/// A stretch of time on one level: buckets that begin in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// How finely.
    pub level: Level,
    /// Its start.
    pub from_ms: i64,
    /// Its end; a bucket that it divides is part of it.
    pub to_ms: i64,
}

/// What was counted of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesBuckets {
    /// The series.
    pub series: Series,
    /// Its buckets that are not empty, in order.
    pub buckets: Vec<Bucket>,
}

/// How much a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Events, their index, inputs and outputs, in bytes.
    pub bytes: u64,
    /// Series that are counted.
    pub series: u64,
    /// Scores that wait for their response.
    pub waiting_scores: u64,
    /// Scores whose response never came.
    pub orphan_scores: u64,
}

/// Whose counts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'w> {
    /// Those of everything, with what could not be attributed.
    All,
    /// Those of one prompt.
    Prompt(&'w str),
}

impl Level {
    /// The finest level that has at most some hundred buckets in this many milliseconds, and is kept as long.
    #[must_use]
    pub fn for_range(ms: i64) -> Self {
        const HOURS: i64 = 3_600_000;
        if ms <= 3 * HOURS {
            Self::Minute
        } else if ms <= 8 * 24 * HOURS {
            Self::Hour
        } else {
            Self::Day
        }
    }

    /// How long a bucket is, in milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        LEVEL_MS.get(self as usize).copied().unwrap_or(86_400_000)
    }
}

impl TelemetryStore {
    /// The response with an id; the newest, if there are several.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn response(&self, id: &str) -> Result<Option<Found>, TelemetryError> {
        self.read(|txn| {
            let reading = Reading::new(txn)?;
            let found = reading.responses(Kind::Response, &hash(&[id.as_bytes()]), 1)?;
            found.into_iter().next_back().map(|response| reading.scored(response)).transpose()
        })
    }

    /// The response of a span.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn span(&self, span: &SpanContext) -> Result<Option<Found>, TelemetryError> {
        self.read(|txn| {
            let reading = Reading::new(txn)?;
            let found = reading.responses(Kind::Span, &span_hash(span), 1)?;
            found.into_iter().next().map(|response| reading.scored(response)).transpose()
        })
    }

    /// The responses of a trace, in order: the newest, and one more than [`RESPONSES_MAX`] if there are older ones.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn trace(&self, trace: &[u8; 16]) -> Result<Vec<Found>, TelemetryError> {
        self.read(|txn| {
            let reading = Reading::new(txn)?;
            let found = reading.responses(Kind::Trace, &hash(&[trace]), RESPONSES_MAX + 1)?;
            found.into_iter().map(|response| reading.scored(response)).collect()
        })
    }

    /// The same for a conversation.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn session(&self, id: &str) -> Result<Vec<Found>, TelemetryError> {
        self.read(|txn| {
            let reading = Reading::new(txn)?;
            let found = reading.responses(Kind::Session, &hash(&[id.as_bytes()]), RESPONSES_MAX + 1)?;
            found.into_iter().map(|response| reading.scored(response)).collect()
        })
    }

    /// The newest responses before a moment that a test takes, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest(
        &self,
        before_ms: i64,
        most: usize,
        mut wanted: impl FnMut(&Response) -> bool,
    ) -> Result<Vec<Response>, TelemetryError> {
        /// Blocks that are looked at.
        const BLOCKS_MAX: usize = 400;
        self.read(|txn| {
            let reading = Reading::new(txn)?;
            let blocks = reading.txn.open_table(BLOCKS)?;
            let mut found = Vec::new();
            for entry in blocks.iter()?.rev().take(BLOCKS_MAX) {
                let (block, packed) = entry?;
                let events: Vec<Event> = unpack(packed.value())?;
                for (index, event) in events.into_iter().enumerate().rev() {
                    let Event::Response(mut response) = event else { continue };
                    if response.ended_ms >= before_ms || !wanted(&response) {
                        continue;
                    }
                    response.body =
                        reading.body(Place { block: block.value(), index: u8::try_from(index).unwrap_or(u8::MAX) })?;
                    found.push(*response);
                }
                if found.len() >= most {
                    break;
                }
            }
            found.sort_by_key(|response| std::cmp::Reverse(response.ended_ms));
            found.truncate(most);
            Ok(found)
        })
    }

    /// What was counted between two moments: buckets that begin in `from_ms..to_ms`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn counts(
        &self,
        which: Which<'_>,
        level: Level,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<SeriesBuckets>, TelemetryError> {
        let mut found: Vec<SeriesBuckets> = Vec::new();
        let all = |_: &Series| true;
        let _ended =
            self.visit_counts(which, &[Stretch { level, from_ms, to_ms }], all, |series, from_ms, rollup| {
                let bucket = Bucket { from_ms, rollup };
                match found.last_mut().filter(|last| last.series == *series) {
                    Some(last) => last.buckets.push(bucket),
                    None => found.push(SeriesBuckets { series: series.clone(), buckets: vec![bucket] }),
                }
                ControlFlow::Continue(())
            })?;
        Ok(found)
    }

    /// Visits what was counted in stretches of time for the series that are wanted, one after the other: nothing is
    /// collected, so that a year of all prompts takes no more memory than a minute of one. Answers `Break` if the
    /// visitor ended it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn visit_counts(
        &self,
        which: Which<'_>,
        stretches: &[Stretch],
        mut wanted: impl FnMut(&Series) -> bool,
        mut visit: impl FnMut(&Series, i64, Rollup) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TelemetryError> {
        self.read(|txn| {
            let prefix = match which {
                Which::All => Vec::new(),
                Which::Prompt(name) => prompt_prefix(name),
            };
            let stretches = OpenStretches::open(txn, stretches)?;
            for entry in txn.open_table(SERIES)?.range(prefix.as_slice()..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                let (number, series) = decode_series(value.value())?;
                if !wanted(&series) {
                    continue;
                }
                if stretches.visit(number, decode_rollup, |at_ms, counted| visit(&series, at_ms, counted))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Visits calls, cost and tokens of the newest versions of a prompt that have calls in stretches of time, at most so
    /// many versions, the newest first. What this costs does not grow with the number of older versions. Answers `Break`
    /// if the visitor ended it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn visit_newest_versions(
        &self,
        prompt: &PromptName,
        versions_max: usize,
        stretches: &[Stretch],
        mut visit: impl FnMut(u64, &str, Volume) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TelemetryError> {
        /// Series after which no further version is looked at.
        const SERIES_MAX: usize = 512;
        self.read(|txn| {
            let stretches = OpenStretches::open(txn, stretches)?;
            let (mut current, mut has_calls, mut with_calls) = (None, false, 0);
            let prefix = prompt_prefix(prompt.as_str());
            let end = [prefix.as_slice(), &[u8::MAX; 9]].concat();
            let series = txn.open_table(SERIES)?;
            for (looked, entry) in series.range(prefix.as_slice()..end.as_slice())?.rev().enumerate() {
                let (number, series) = decode_series(entry?.1.value())?;
                let SeriesOf::Version { version, .. } = series.of else { continue };
                if current != Some(version) {
                    with_calls += usize::from(std::mem::take(&mut has_calls));
                    if with_calls >= versions_max || looked >= SERIES_MAX {
                        break;
                    }
                    current = Some(version);
                }
                let visited = stretches.visit(number, decode_volume, |_, volume| {
                    has_calls |= volume.spend.calls > 0;
                    visit(version, &series.model, volume)
                })?;
                if visited.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Visits what was counted in stretches of time in the totals that are wanted: what this costs grows with their
    /// number, and not with that of versions, models, labels and environments. Answers `Break` if the visitor ended it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn visit_totals(
        &self,
        stretches: &[Stretch],
        wanted: impl FnMut(&Total) -> bool,
        visit: impl FnMut(&Total, i64, Rollup) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TelemetryError> {
        self.read(|txn| {
            let (wanted, _) = wanted_totals(txn, wanted)?;
            visit_each(&OpenStretches::open(txn, stretches)?, &wanted, decode_rollup, visit)
        })
    }

    /// The same for calls and their cost alone, in any order, which takes a fraction of the time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn visit_spend(
        &self,
        stretches: &[Stretch],
        wanted: impl FnMut(&Total) -> bool,
        mut visit: impl FnMut(&Total, i64, Spend) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TelemetryError> {
        /// One in so many totals is still looked up by itself, instead of reading past the others.
        const FEW: usize = 8;
        self.read(|txn| {
            let (wanted, all) = wanted_totals(txn, wanted)?;
            if wanted.len() <= all / FEW {
                let stretches = OpenStretches::open(txn, stretches)?;
                return visit_each(&stretches, &wanted, decode_spend, visit);
            }
            let wanted: HashMap<u32, Total> = wanted.into_iter().collect();
            for Stretch { level, from_ms, to_ms } in stretches {
                let Some(table) = SPEND.get(*level as usize) else { continue };
                let buckets = buckets_of(*level, *from_ms, *to_ms);
                for entry in txn.open_table(*table)?.range((buckets.start, 0)..(buckets.end, 0))? {
                    let (key, value) = entry?;
                    let (bucket, number) = key.value();
                    let Some(total) = wanted.get(&number) else { continue };
                    let at_ms = i64::from(bucket).saturating_mul(level.ms());
                    if visit(total, at_ms, decode_spend(value.value())?).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The series of a prompt, or of everything; those without counts included.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn series(&self, which: Which<'_>) -> Result<Vec<Series>, TelemetryError> {
        self.read(|txn| {
            let prefix = match which {
                Which::All => Vec::new(),
                Which::Prompt(name) => prompt_prefix(name),
            };
            let mut found = Vec::new();
            for entry in txn.open_table(SERIES)?.range(prefix.as_slice()..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                found.push(decode_series(value.value())?.1);
            }
            Ok(found)
        })
    }

    /// The time of the newest report; none without reports. Only the blocks that were written last are looked at,
    /// because reports arrive roughly in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest_report_ms(&self) -> Result<Option<i64>, TelemetryError> {
        /// Blocks that are looked at.
        const BLOCKS_MAX: usize = 64;
        self.read(|txn| {
            let mut newest = None;
            for entry in txn.open_table(BLOCK_ENDS)?.iter()?.rev().take(BLOCKS_MAX) {
                newest = newest.max(Some(entry?.1.value()));
            }
            Ok(newest)
        })
    }

    /// How much the file holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn holdings(&self) -> Result<Holdings, TelemetryError> {
        self.read(|txn| {
            let meta = txn.open_table(META)?;
            let number = |name: &str| Ok::<_, TelemetryError>(meta.get(name)?.map_or(0, |value| value.value()));
            Ok(Holdings {
                bytes: number("bytes")?.saturating_add(index_bytes(txn.open_table(INDEX)?.len()?)),
                series: txn.open_table(SERIES)?.len()?,
                waiting_scores: number("waiting")?,
                orphan_scores: number("orphan_scores")?,
            })
        })
    }
}

/// The totals that are wanted, with their numbers; and how many there are.
fn wanted_totals(
    txn: &ReadTransaction,
    mut wanted: impl FnMut(&Total) -> bool,
) -> Result<(Vec<(u32, Total)>, usize), TelemetryError> {
    let (mut found, mut all) = (Vec::new(), 0_usize);
    let totals = txn.open_table(TOTALS)?;
    let stored = totals.iter()?.map(|entry| decode_total(entry?.1.value()));
    for total in std::iter::once(Ok((TOTAL_OF_ALL, Total::All))).chain(stored) {
        all = all.saturating_add(1);
        found.extend(Some(total?).filter(|(_, total)| wanted(total)));
    }
    Ok((found, all))
}

/// Visits the buckets of totals, one total after the other; answers `Break` if the visitor ended it.
fn visit_each<T>(
    stretches: &OpenStretches,
    totals: &[(u32, Total)],
    decode: fn(&[u8]) -> Result<T, TelemetryError>,
    mut visit: impl FnMut(&Total, i64, T) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, TelemetryError> {
    for (number, total) in totals {
        if stretches.visit(*number, decode, |at_ms, counted| visit(total, at_ms, counted))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The numbers of the buckets of a level that begin between two moments.
fn buckets_of(level: Level, from_ms: i64, to_ms: i64) -> Range<u32> {
    bucket(from_ms, level as usize)..bucket(to_ms.saturating_add(level.ms() - 1), level as usize)
}

/// Stretches of time, and the tables with their buckets.
struct OpenStretches(Vec<(Stretch, Rollups)>);

/// A table of rollups.
type Rollups = ReadOnlyTable<(u32, u32), &'static [u8]>;

impl OpenStretches {
    fn open(txn: &ReadTransaction, stretches: &[Stretch]) -> Result<Self, TelemetryError> {
        let mut opened = Vec::new();
        for stretch in stretches {
            let Some(table) = ROLLUPS.get(stretch.level as usize) else { continue };
            opened.push((*stretch, txn.open_table(*table)?));
        }
        Ok(Self(opened))
    }

    /// Visits the buckets with a number; answers `Break` if the visitor ended it.
    fn visit<T>(
        &self,
        number: u32,
        decode: fn(&[u8]) -> Result<T, TelemetryError>,
        mut visit: impl FnMut(i64, T) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TelemetryError> {
        for (Stretch { level, from_ms, to_ms }, rollups) in &self.0 {
            let buckets = buckets_of(*level, *from_ms, *to_ms);
            for entry in rollups.range((number, buckets.start)..(number, buckets.end))? {
                let (key, value) = entry?;
                let at_ms = i64::from(key.value().1).saturating_mul(level.ms());
                if visit(at_ms, decode(value.value())?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// One state of the file.
struct Reading<'t> {
    txn: &'t ReadTransaction,
    /// The days that have entries in the index.
    days: Vec<u16>,
}

impl<'t> Reading<'t> {
    fn new(txn: &'t ReadTransaction) -> Result<Self, TelemetryError> {
        Ok(Self { txn, days: indexed_days(&txn.open_table(INDEX)?)? })
    }

    /// The places of a hash, from the newest, until there are enough.
    fn places(&self, kind: Kind, hash: &[u8; 16], most: usize) -> Result<Vec<Place>, TelemetryError> {
        let index = self.txn.open_table(INDEX)?;
        let mut places = Vec::new();
        for day in self.days.iter().rev() {
            let keys = index_range(*day, kind, hash);
            let entries = index.range::<&[u8; INDEX_KEY_BYTES]>(keys.start()..=keys.end())?;
            for entry in entries.rev().take(most.saturating_sub(places.len())) {
                places.push(place_of(entry?.0.value()));
            }
            if places.len() >= most {
                break;
            }
        }
        places.sort_unstable();
        Ok(places)
    }

    fn events(&self, places: &[Place]) -> Result<Vec<Event>, TelemetryError> {
        let blocks = self.txn.open_table(BLOCKS)?;
        let mut read: Option<(u64, Vec<Event>)> = None;
        let mut found = Vec::new();
        for place in places {
            if read.as_ref().is_none_or(|(block, _)| *block != place.block) {
                // Its events were older than they are kept for, and the index is not cleared yet.
                let Some(packed) = blocks.get(place.block)? else { continue };
                read = Some((place.block, unpack(packed.value())?));
            }
            let event = read.as_ref().and_then(|(_, events)| events.get(usize::from(place.index)));
            if let Some(event) = event {
                let mut event = event.clone();
                if let Event::Response(response) = &mut event {
                    response.body = self.body(*place)?;
                }
                found.push(event);
            }
        }
        Ok(found)
    }

    fn body(&self, place: Place) -> Result<Option<Box<crate::event::Body>>, TelemetryError> {
        let bodies = self.txn.open_table(BODIES)?;
        bodies.get((place.block, place.index))?.map(|packed| unpack(packed.value())).transpose()
    }

    fn responses(&self, kind: Kind, hash: &[u8; 16], most: usize) -> Result<Vec<Response>, TelemetryError> {
        let events = self.events(&self.places(kind, hash, most)?)?;
        let responses = events.into_iter().filter_map(|event| match event {
            Event::Response(response) => Some(*response),
            Event::Score(_) => None,
        });
        let mut responses: Vec<Response> = responses.collect();
        responses.sort_by_key(|response| response.ended_ms);
        Ok(responses)
    }

    fn scored(&self, response: Response) -> Result<Found, TelemetryError> {
        let mut scores = Vec::new();
        for target in targets_of(&response) {
            for event in self.events(&self.places(Kind::Target, &target_hash(&target), SCORES_MAX)?)? {
                if let Event::Score(score) = event {
                    scores.push(score);
                }
            }
        }
        scores.sort_by_key(|score| score.at_ms);
        scores.truncate(SCORES_MAX);
        Ok(Found { response, scores })
    }
}
