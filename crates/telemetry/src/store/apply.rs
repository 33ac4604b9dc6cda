//! Events into tables: recognized, placed, indexed, counted. One [`Changes`] is one transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::cardinality::{CountedApart, RECENT_DAYS};
use super::codec::{
    decode, decode_rollup, decode_series, decode_total, encode, encode_rollup, encode_series, encode_spend,
    encode_total, pack, split_bodies,
};
use super::marks::Marks;
use super::observed::{self, Observed};
use super::tables::{
    BLOCK_ENDS, BLOCKS, BODIES, INDEX, INDEX_KEY_BYTES, Kind, LEVEL_MS, META, Place, ROLLUPS, RollupKey, SERIES,
    SERIES_TOTALS, SPEND, TOTAL_OF_ALL, TOTALS, WAITING, bucket, day, hash, index_bytes, index_key, index_range,
    series_key, series_prefix, span_hash, total_prefix,
};
use super::{Level, Outcome, Recorded, TelemetryError};
use crate::event::{Event, Response, Score, ScoreTarget};
use crate::rollup::{Rollup, Series, SeriesOf, Total};
use crate::tally::{FreshCalls, PromptLabel};

/// Events of one block: few enough that one is read in a fraction of a millisecond, and that a byte is their index.
const BLOCK_EVENTS: usize = 256;
/// Most series of the file; above it, a version that has none yet gets one for everything.
const SERIES_MAX: u64 = if cfg!(test) { 1_000 } else { 100_000 };
/// Most versions whose values are remembered between transactions.
const VERSIONS_REMEMBERED_MAX: usize = 1_000;
/// Most series that are remembered between transactions.
const SERIES_REMEMBERED_MAX: usize = 20_000;
/// Most responses of a trace or a conversation that one score is counted for.
const SCORED_MAX: usize = 1_000;
/// Most scores that wait for their response.
const WAITING_MAX: u64 = 100_000;
/// How many days back a response is looked for that a score is about.
pub(super) const LOOK_BACK_DAYS: u16 = 32;

/// What is remembered between transactions, as long as none fails.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Numbers of series that were used before.
    numbers: HashMap<Series, u32>,
    /// What is counted apart, by version.
    apart: HashMap<SeriesOf, CountedApart>,
    /// Numbers of the totals of series, by the numbers of those.
    totals: HashMap<u32, u32>,
    /// Groups of texts that belong to no version.
    pub(super) observed: Observed,
}

/// The numbers about the file, inside a transaction.
pub(super) struct Meta<'t>(Table<'t, &'static str, u64>);

impl Meta<'_> {
    /// A number; 0 if it was never set.
    pub(super) fn get(&self, name: &str) -> Result<u64, TelemetryError> {
        Ok(self.0.get(name)?.map_or(0, |value| value.value()))
    }

    pub(super) fn set(&mut self, name: &str, number: u64) -> Result<(), TelemetryError> {
        self.0.insert(name, number)?;
        Ok(())
    }

    /// The next of a sequence, from 1.
    pub(super) fn next(&mut self, name: &str) -> Result<u64, TelemetryError> {
        let next = self.get(name)?.saturating_add(1);
        self.set(name, next)?;
        Ok(next)
    }
}

/// The tables of one transaction, and what is to be written at its end.
pub(super) struct Changes<'t> {
    meta: Meta<'t>,
    blocks: Table<'t, u64, &'static [u8]>,
    block_ends: Table<'t, u64, i64>,
    bodies: Table<'t, (u64, u8), &'static [u8]>,
    index: Table<'t, &'static [u8; INDEX_KEY_BYTES], u32>,
    series: Table<'t, &'static [u8], &'static [u8]>,
    waiting: Table<'t, (&'static [u8; 16], u64), &'static [u8]>,
    marks: Marks<'t>,
    txn: &'t WriteTransaction,
    remembered: &'t mut Remembered,
    block: u64,
    events: Vec<Event>,
    rollups: BTreeMap<RollupKey, Rollup>,
    /// Tallies of the calls; none if nothing reads them.
    calls: Option<FreshCalls>,
    now_ms: i64,
    /// Events from before it are not recorded.
    oldest_ms: i64,
}

impl<'t> Changes<'t> {
    pub(super) fn begin(
        txn: &'t WriteTransaction,
        remembered: &'t mut Remembered,
        now_ms: i64,
    ) -> Result<Self, TelemetryError> {
        let meta = Meta(txn.open_table(META)?);
        let block = meta.get("block")?;
        if remembered.numbers.len() > SERIES_REMEMBERED_MAX {
            remembered.numbers.clear();
        }
        if remembered.totals.len() > SERIES_REMEMBERED_MAX {
            remembered.totals.clear();
        }
        Ok(Self {
            meta,
            blocks: txn.open_table(BLOCKS)?,
            block_ends: txn.open_table(BLOCK_ENDS)?,
            bodies: txn.open_table(BODIES)?,
            index: txn.open_table(INDEX)?,
            series: txn.open_table(SERIES)?,
            waiting: txn.open_table(WAITING)?,
            marks: Marks::open(txn)?,
            txn,
            remembered,
            block,
            events: Vec::new(),
            rollups: BTreeMap::new(),
            calls: None,
            now_ms,
            oldest_ms: i64::MIN,
        })
    }

    /// Tallies calls as well, for [`Self::finish`] to return.
    pub(super) fn tally_calls(&mut self) {
        self.calls = Some(FreshCalls::new());
    }

    /// With what follows arriving at this time.
    pub(super) fn at(&mut self, now_ms: i64) -> &mut Self {
        self.now_ms = now_ms;
        self
    }

    /// With what follows being too old if it happened before this time.
    pub(super) fn since(&mut self, oldest_ms: i64) -> &mut Self {
        self.oldest_ms = oldest_ms;
        self
    }

    /// The transaction, for tables that are not of events, and the numbers.
    pub(super) fn parts(&mut self) -> (&'t WriteTransaction, &mut Meta<'t>) {
        (self.txn, &mut self.meta)
    }

    /// Records events; each one counts once, however often it comes.
    pub(super) fn record(&mut self, events: Vec<Recorded>) -> Result<Outcome, TelemetryError> {
        let mut outcome = Outcome::default();
        for Recorded { event, repeat } in events {
            if time_of(&event) < self.oldest_ms {
                outcome.too_old = outcome.too_old.saturating_add(1);
                continue;
            }
            let new = match event {
                Event::Response(response) => self.response(response, repeat)?,
                Event::Score(score) => self.score(score, repeat)?,
            };
            if new {
                outcome.recorded = outcome.recorded.saturating_add(1);
            } else {
                outcome.duplicates = outcome.duplicates.saturating_add(1);
            }
        }
        Ok(outcome)
    }

    fn response(&mut self, mut response: Box<Response>, repeat: Option<[u8; 16]>) -> Result<bool, TelemetryError> {
        self.marks.response(&mut response)?;
        let day = day(response.ended_ms);
        let id = response.id.as_deref().map(|id| hash(&[id.as_bytes()]));
        let span = response.span.as_ref().map(span_hash);
        let unique = [
            span.map(|hash| (Kind::Span, hash)),
            id.filter(|_| span.is_none()).map(|hash| (Kind::Response, hash)),
            repeat.map(|hash| (Kind::Repeat, hash)),
        ];
        for (kind, hash) in unique.into_iter().flatten() {
            if self.first(day, kind, &hash)?.is_some() {
                return Ok(false);
            }
        }
        let series = Series::of(&response);
        let number = self.number(&series)?;
        let place = self.place();
        let text = |text: &Option<String>| text.as_deref().map(|text| hash(&[text.as_bytes()]));
        let keys = [
            span.map(|hash| (Kind::Span, hash)),
            id.map(|hash| (Kind::Response, hash)),
            response.span.map(|span| (Kind::Trace, hash(&[&span.trace]))),
            text(&response.session).map(|hash| (Kind::Session, hash)),
            text(&response.user).map(|hash| (Kind::User, hash)),
            repeat.map(|hash| (Kind::Repeat, hash)),
        ];
        for (kind, hash) in keys.into_iter().flatten() {
            self.index.insert(&index_key(day, kind, &hash, place), number)?;
        }
        let targets = targets_of(&response);
        let ended_ms = response.ended_ms;
        observed::count(&mut self.remembered.observed, self.txn, &mut response)?;
        if let Some(calls) = &mut self.calls {
            calls.entry(PromptLabel::of(series)).or_default().add(&response);
        }
        let event = Event::Response(response);
        self.count(number, ended_ms, &event);
        self.push(event)?;
        if self.waiting_scores()? > 0 {
            for target in targets {
                self.settle_waiting(&target_hash(&target), number)?;
            }
        }
        Ok(true)
    }

    fn score(&mut self, score: Score, repeat: Option<[u8; 16]>) -> Result<bool, TelemetryError> {
        let repeat = match (&score.id, repeat) {
            (Some(id), _) => hash(&[b"score", id.as_bytes()]),
            (None, Some(repeat)) => repeat,
            (None, None) => hash(&[b"score", &encode(&score)?]),
        };
        let day = day(score.at_ms);
        if self.first(day, Kind::Repeat, &repeat)?.is_some() {
            return Ok(false);
        }
        let place = self.place();
        self.index.insert(&index_key(day, Kind::Repeat, &repeat, place), 0)?;
        let series = self.scored(&score.target)?;
        if series.is_empty() {
            let waiting = self.waiting_scores()?;
            if waiting < WAITING_MAX {
                let number = self.meta.next("waiting_number")?;
                self.waiting.insert((&target_hash(&score.target), number), encode(&score)?.as_slice())?;
                self.meta.set("waiting", waiting.saturating_add(1))?;
            }
            return Ok(true);
        }
        self.keep_score(score, &series)?;
        Ok(true)
    }

    /// Counts a score for series, and keeps it.
    fn keep_score(&mut self, mut score: Score, series: &[u32]) -> Result<(), TelemetryError> {
        let place = self.place();
        let key = index_key(day(score.at_ms), Kind::Target, &target_hash(&score.target), place);
        self.index.insert(&key, 0)?;
        self.marks.score(&mut score)?;
        let at_ms = score.at_ms;
        let event = Event::Score(score);
        for number in series {
            self.count(*number, at_ms, &event);
        }
        self.push(event)
    }

    /// Counts the scores that waited for a response.
    fn settle_waiting(&mut self, target: &[u8; 16], series: u32) -> Result<(), TelemetryError> {
        let mut found = Vec::new();
        for entry in self.waiting.range((target, 0)..=(target, u64::MAX))? {
            let (key, value) = entry?;
            found.push((key.value().1, decode::<Score>(value.value())?));
        }
        for (number, score) in found {
            self.waiting.remove((target, number))?;
            let waiting = self.waiting_scores()?;
            self.meta.set("waiting", waiting.saturating_sub(1))?;
            self.keep_score(score, &[series])?;
        }
        Ok(())
    }

    fn waiting_scores(&self) -> Result<u64, TelemetryError> {
        self.meta.get("waiting")
    }

    /// The series of what a score is about; none if it is not there yet.
    fn scored(&mut self, target: &ScoreTarget) -> Result<Vec<u32>, TelemetryError> {
        let (kind, hash) = match target {
            ScoreTarget::Response(id) => (Kind::Response, hash(&[id.as_bytes()])),
            ScoreTarget::Span(span) => (Kind::Span, span_hash(span)),
            ScoreTarget::Trace(trace) => (Kind::Trace, hash(&[trace])),
            ScoreTarget::Session(id) => (Kind::Session, hash(&[id.as_bytes()])),
            ScoreTarget::Version { prompt, version } => {
                let of = SeriesOf::Version { prompt: prompt.clone(), version: *version };
                let unsaid = String::new;
                let series = Series { of, model: unsaid(), environment: unsaid(), label: unsaid(), rule: None };
                return Ok(vec![self.number(&series)?]);
            }
        };
        let today = day(self.now_ms).saturating_add(1);
        let mut series = Vec::new();
        let totals = self.txn.open_table(SERIES_TOTALS)?;
        for day in (today.saturating_sub(LOOK_BACK_DAYS)..=today).rev() {
            let keys = index_range(day, kind, &hash);
            for entry in self.index.range::<&[u8; INDEX_KEY_BYTES]>(keys.start()..=keys.end())?.take(SCORED_MAX) {
                let number = entry?.1.value();
                // One whose counts have expired is no longer there.
                if !series.contains(&number) && totals.get(number)?.is_some() {
                    series.push(number);
                }
            }
            if !series.is_empty() {
                break;
            }
        }
        series.sort_unstable();
        Ok(series)
    }

    /// The first place of a hash.
    fn first(&self, day: u16, kind: Kind, hash: &[u8; 16]) -> Result<Option<u32>, TelemetryError> {
        let keys = index_range(day, kind, hash);
        let first = self.index.range::<&[u8; INDEX_KEY_BYTES]>(keys.start()..=keys.end())?.next().transpose()?;
        Ok(first.map(|(_, series)| series.value()))
    }

    /// The number of a series; a new one gets the next, or joins what exceeds the limits.
    fn number(&mut self, series: &Series) -> Result<u32, TelemetryError> {
        if let Some(number) = self.remembered.numbers.get(series) {
            return Ok(*number);
        }
        let series = match self.known(series)? {
            Some(_) => series.clone(),
            None => self.place_of_new(series)?,
        };
        if let Some(number) = self.remembered.numbers.get(&series) {
            return Ok(*number);
        }
        let number = match self.known(&series)? {
            Some(number) => number,
            None => self.new_series(&series)?,
        };
        self.remembered.numbers.insert(series, number);
        Ok(number)
    }

    /// The series that one which is not there yet is counted in.
    fn place_of_new(&mut self, series: &Series) -> Result<Series, TelemetryError> {
        let day = day(self.now_ms);
        if self.remembered.apart.get(&series.of).is_none_or(|apart| apart.day() != day) {
            let apart = self.counted_apart(&series.of, day)?;
            if self.remembered.apart.len() >= VERSIONS_REMEMBERED_MAX {
                self.remembered.apart.clear();
            }
            self.remembered.apart.insert(series.of.clone(), apart);
        }
        let Some(apart) = self.remembered.apart.get(&series.of) else { return Ok(series.other()) };
        let placed = apart.place(series);
        if self.known(&placed)?.is_some() {
            return Ok(placed);
        }
        if self.series.len()? >= SERIES_MAX {
            return Ok(series.other());
        }
        if let Some(apart) = self.remembered.apart.get_mut(&series.of) {
            apart.add(&placed);
        }
        Ok(placed)
    }

    /// What is counted apart for a version, and had calls in the days before this one.
    fn counted_apart(&self, of: &SeriesOf, day: u16) -> Result<CountedApart, TelemetryError> {
        const BY_DAY: usize = Level::Day as usize;
        let [_, _, by_day] = ROLLUPS;
        let (by_day, since) = (self.txn.open_table(by_day)?, u32::from(day.saturating_sub(RECENT_DAYS)));
        let mut apart = CountedApart::on(day);
        let prefix = series_prefix(of);
        for entry in self.series.range(prefix.as_slice()..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            let (number, series) = decode_series(value.value())?;
            let now = self.rollups.range(RollupKey { level: BY_DAY, series: number, bucket: since }..).next();
            let is_counted_now = now.is_some_and(|(key, _)| key.level == BY_DAY && key.series == number);
            if is_counted_now || by_day.range((number, since)..=(number, u32::MAX))?.next().is_some() {
                apart.add(&series);
            }
        }
        Ok(apart)
    }

    fn known(&self, series: &Series) -> Result<Option<u32>, TelemetryError> {
        match self.series.get(series_key(series).as_slice())? {
            Some(stored) => Ok(Some(decode_series(stored.value())?.0)),
            None => Ok(None),
        }
    }

    fn new_series(&mut self, series: &Series) -> Result<u32, TelemetryError> {
        let number = u32::try_from(self.meta.next("series")?).unwrap_or(u32::MAX);
        self.series.insert(series_key(series).as_slice(), encode_series(number, series)?.as_slice())?;
        let total = Total::of(&series.of);
        let key = total_prefix(&total);
        let mut totals = self.txn.open_table(TOTALS)?;
        let stored = totals.get(key.as_slice())?.map(|stored| decode_total(stored.value())).transpose()?;
        let of_total = if let Some((of_total, _)) = stored {
            of_total
        } else {
            let of_total = u32::try_from(self.meta.next("series")?).unwrap_or(u32::MAX);
            totals.insert(key.as_slice(), encode_total(of_total, &total)?.as_slice())?;
            of_total
        };
        self.txn.open_table(SERIES_TOTALS)?.insert(number, of_total)?;
        Ok(number)
    }

    /// What is counted in series, in the totals of these.
    fn totals(&mut self, rollups: &BTreeMap<RollupKey, Rollup>) -> Result<BTreeMap<RollupKey, Rollup>, TelemetryError> {
        let of_series = self.txn.open_table(SERIES_TOTALS)?;
        let mut totals: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
        for (key, rollup) in rollups {
            let total = if let Some(total) = self.remembered.totals.get(&key.series) {
                *total
            } else {
                let total = total_of(&of_series, key.series)?;
                self.remembered.totals.insert(key.series, total);
                total
            };
            for series in [TOTAL_OF_ALL, total] {
                totals.entry(RollupKey { series, ..*key }).or_default().merge(rollup);
            }
        }
        Ok(totals)
    }

    /// Where the next event goes.
    fn place(&self) -> Place {
        Place { block: self.block, index: u8::try_from(self.events.len()).unwrap_or(u8::MAX) }
    }

    fn push(&mut self, event: Event) -> Result<(), TelemetryError> {
        self.events.push(event);
        if self.events.len() >= BLOCK_EVENTS { self.write_block() } else { Ok(()) }
    }

    fn count(&mut self, series: u32, at_ms: i64, event: &Event) {
        for level in 0..LEVEL_MS.len() {
            let key = RollupKey { level, series, bucket: bucket(at_ms, level) };
            self.rollups.entry(key).or_default().add(event);
        }
    }

    fn write_block(&mut self) -> Result<(), TelemetryError> {
        let mut events = std::mem::take(&mut self.events);
        let Some(end) = events.iter().map(time_of).max() else { return Ok(()) };
        let mut bytes = 0;
        for (index, body) in split_bodies(&mut events) {
            let packed = pack(&body)?;
            bytes += packed.len();
            self.bodies.insert((self.block, index), packed.as_slice())?;
        }
        let packed = pack(&events)?;
        bytes += packed.len();
        self.blocks.insert(self.block, packed.as_slice())?;
        self.block_ends.insert(self.block, end)?;
        let all = self.meta.get("bytes")?;
        self.meta.set("bytes", all.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)))?;
        self.block = self.block.saturating_add(1);
        self.meta.set("block", self.block)?;
        Ok(())
    }

    /// Writes the last block and the rollups.
    pub(super) fn finish(mut self) -> Result<Finished, TelemetryError> {
        self.write_block()?;
        observed::write(&mut self.remembered.observed, self.txn)?;
        let rollups = std::mem::take(&mut self.rollups);
        let totals = self.totals(&rollups)?;
        for (level, (of_level, spend)) in ROLLUPS.into_iter().zip(SPEND).enumerate() {
            let (mut table, mut spend) = (self.txn.open_table(of_level)?, self.txn.open_table(spend)?);
            for (key, rollup) in rollups.iter().filter(|(key, _)| key.level == level) {
                let merged = merged(&table, key, rollup)?;
                table.insert((key.series, key.bucket), encode_rollup(&merged)?.as_slice())?;
            }
            for (key, rollup) in totals.iter().filter(|(key, _)| key.level == level) {
                let merged = merged(&table, key, rollup)?;
                table.insert((key.series, key.bucket), encode_rollup(&merged)?.as_slice())?;
                spend.insert((key.bucket, key.series), encode_spend(&merged)?.as_slice())?;
            }
        }
        let bytes = self.meta.get("bytes")?.saturating_add(index_bytes(self.index.len()?));
        Ok(Finished { calls: self.calls.unwrap_or_default(), bytes })
    }
}

/// What a transaction wrote.
pub(super) struct Finished {
    /// Tallies of the calls, to be counted once they are durable.
    pub(super) calls: FreshCalls,
    /// What single events take in the file now, in bytes.
    pub(super) bytes: u64,
}

/// What is stored in a bucket, and what comes to it.
fn merged<'r>(
    table: &impl ReadableTable<(u32, u32), &'static [u8]>,
    key: &RollupKey,
    more: &'r Rollup,
) -> Result<Cow<'r, Rollup>, TelemetryError> {
    let Some(stored) = table.get((key.series, key.bucket))? else { return Ok(Cow::Borrowed(more)) };
    let mut merged = decode_rollup(stored.value())?;
    merged.merge(more);
    Ok(Cow::Owned(merged))
}

/// The number of the total that a series is part of.
pub(super) fn total_of(totals: &impl ReadableTable<u32, u32>, series: u32) -> Result<u32, TelemetryError> {
    let total = totals.get(series)?.map(|total| total.value());
    total.ok_or_else(|| TelemetryError::Encoding(format!("series {series} is part of no total")))
}

/// What a score can be about that this response is.
pub(super) fn targets_of(response: &Response) -> Vec<ScoreTarget> {
    let mut targets = Vec::new();
    targets.extend(response.id.clone().map(ScoreTarget::Response));
    if let Some(span) = response.span {
        targets.extend([ScoreTarget::Span(span), ScoreTarget::Trace(span.trace)]);
    }
    targets.extend(response.session.clone().map(ScoreTarget::Session));
    targets
}

/// The hash of what a score is about.
pub(super) fn target_hash(target: &ScoreTarget) -> [u8; 16] {
    match target {
        ScoreTarget::Response(id) => hash(&[b"response", id.as_bytes()]),
        ScoreTarget::Span(span) => hash(&[b"span", &span.trace, &span.span]),
        ScoreTarget::Trace(trace) => hash(&[b"trace", trace]),
        ScoreTarget::Session(id) => hash(&[b"session", id.as_bytes()]),
        ScoreTarget::Version { prompt, version } => {
            hash(&[b"version", prompt.as_str().as_bytes(), &version.to_be_bytes()])
        }
    }
}

/// When an event happened.
pub(super) fn time_of(event: &Event) -> i64 {
    match event {
        Event::Response(response) => response.ended_ms,
        Event::Score(score) => score.at_ms,
    }
}
