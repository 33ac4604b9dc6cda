//! Prices recorded calls again, after prices changed or became known.
//!
//! Each step reads some blocks, replaces the costs in them and corrects the rollups by the difference, all in one
//! transaction: after a crash each call counts at its old cost or at its new one, in its record and in all counts, and
//! the next run does the rest. Costs that applications reported stay as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{Database, Durability, ReadableTable, WriteTransaction};

use super::TelemetryError;
use super::codec::{decode_rollup, decode_series, encode_rollup, encode_spend, pack, unpack};
use super::tables::{
    BLOCK_ENDS, BLOCKS, INDEX, INDEX_KEY_BYTES, Kind, LEVEL_MS, META, OBSERVED, Place, ROLLUPS, RollupKey, SERIES,
    SERIES_TOTALS, SPEND, TOTAL_OF_ALL, bucket, day, hash, index_key, series_key, span_hash,
};
use crate::event::{Attribution, Cost, Event, Response};
use crate::model::name::PromptName;
use crate::observed::ObservedCounts;
use crate::price::PriceBook;
use crate::rollup::Series;

/// Blocks of one step: few enough that recording waits for some hundredths of a second.
const BLOCKS_PER_STEP: usize = 32;
/// Blocks that one step passes over because they are too old.
const BLOCKS_PASSED_MAX: usize = 4_096;

/// What to price again.
#[derive(Clone, Debug)]
pub struct Recost {
    /// The prices.
    pub book: Arc<PriceBook>,
    /// The block to begin with.
    pub from_block: u64,
    /// Only calls that ended at this time or later.
    pub since_ms: Option<i64>,
    /// Only calls of this prompt.
    pub prompt: Option<PromptName>,
    /// Whether to change nothing.
    pub dry_run: bool,
}

/// Calls and their cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls.
    pub calls: u64,
    /// Calls with a known cost.
    pub priced: u64,
    /// The cost of these, in pico-dollars.
    pub pico_usd: u128,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recosted {
    /// Calls whose cost changed.
    pub changed: u64,
    /// The calls that were looked at, at their costs before.
    pub before: Spent,
    /// And after.
    pub after: Spent,
    /// Blocks until the end of this step, from the first that is kept.
    pub done: u64,
    /// Blocks that are kept.
    pub all: u64,
    /// The block to go on with.
    pub next: Option<u64>,
}

/// By how much a rollup changes.
#[derive(Clone, Copy, Debug, Default)]
struct Difference {
    priced: i64,
    pico_usd: i128,
}

/// By how much counts change.
#[derive(Default)]
struct Differences {
    rollups: BTreeMap<RollupKey, Difference>,
    /// Of observed prompts, by number.
    observed: BTreeMap<u64, Difference>,
}

impl Spent {
    fn add(&mut self, cost: Option<Cost>) {
        self.calls = self.calls.saturating_add(1);
        if let Some(cost) = cost {
            self.priced = self.priced.saturating_add(1);
            self.pico_usd = self.pico_usd.saturating_add(cost.pico_usd.into());
        }
    }
}

impl Difference {
    fn add(&mut self, before: Option<Cost>, after: Option<Cost>) {
        let known = |cost: Option<Cost>| i64::from(cost.is_some());
        let pico = |cost: Option<Cost>| cost.map_or(0, |cost| i128::from(cost.pico_usd));
        self.priced = self.priced.saturating_add(known(after) - known(before));
        self.pico_usd = self.pico_usd.saturating_add(pico(after) - pico(before));
    }
}

impl Difference {
    fn apply(self, priced: &mut u64, pico_usd: &mut u128) {
        *priced = priced.saturating_add_signed(self.priced);
        *pico_usd = pico_usd.saturating_add_signed(self.pico_usd);
    }
}

/// Does one step.
pub(super) fn recost(database: &Database, task: &Recost) -> Result<Recosted, TelemetryError> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    let mut done = Recosted::default();
    let blocks = choose_blocks(&txn, task, &mut done)?;
    let differences = rewrite(&txn, task, &blocks, &mut done)?;
    if task.dry_run || done.changed == 0 {
        txn.abort()?;
        return Ok(done);
    }
    apply(&txn, differences)?;
    txn.commit()?;
    Ok(done)
}

/// The blocks of this step, and how far it goes.
fn choose_blocks(txn: &WriteTransaction, task: &Recost, done: &mut Recosted) -> Result<Vec<u64>, TelemetryError> {
    let ends = txn.open_table(BLOCK_ENDS)?;
    let (Some((first, _)), Some((last, _))) = (ends.first()?, ends.last()?) else { return Ok(Vec::new()) };
    let (first, last) = (first.value(), last.value());
    let mut blocks = Vec::new();
    let mut reached = last;
    for (passed, entry) in ends.range(task.from_block..)?.enumerate() {
        let (block, end) = entry?;
        if task.since_ms.is_none_or(|since_ms| end.value() >= since_ms) {
            blocks.push(block.value());
        }
        if blocks.len() >= BLOCKS_PER_STEP || passed >= BLOCKS_PASSED_MAX {
            reached = block.value();
            break;
        }
    }
    done.next = (reached < last).then(|| reached.saturating_add(1));
    done.done = reached.saturating_sub(first).saturating_add(1);
    done.all = last.saturating_sub(first).saturating_add(1);
    Ok(blocks)
}

/// Replaces the costs in blocks; by how much that changes the rollups.
fn rewrite(
    txn: &WriteTransaction,
    task: &Recost,
    blocks: &[u64],
    done: &mut Recosted,
) -> Result<Differences, TelemetryError> {
    let series = txn.open_table(SERIES)?;
    let totals = txn.open_table(SERIES_TOTALS)?;
    let mut stored = txn.open_table(BLOCKS)?;
    let mut meta = txn.open_table(META)?;
    let mut bytes = meta.get("bytes")?.map_or(0, |value| value.value());
    let index = txn.open_table(INDEX)?;
    let mut differences = Differences::default();
    for block in blocks {
        let Some(packed) = stored.get(*block)?.map(|packed| packed.value().to_vec()) else { continue };
        let mut events: Vec<Event> = unpack(&packed)?;
        let mut is_changed = false;
        for (at, event) in events.iter_mut().enumerate() {
            let Event::Response(response) = event else { continue };
            if !is_meant(task, response) {
                continue;
            }
            let (before, after) = (response.cost, task.book.cost(response));
            done.before.add(before);
            let pico = |cost: Option<Cost>| cost.map(|cost| cost.pico_usd);
            if pico(before) == pico(after) {
                done.after.add(before);
                continue;
            }
            let place = Place { block: *block, index: u8::try_from(at).unwrap_or(u8::MAX) };
            let number = number_of(&index, &series, response, place)?;
            let total = number.map(|number| totals.get(number)).transpose()?.flatten().map(|total| total.value());
            // What is counted nowhere is not corrected anywhere.
            let (Some(number), Some(total)) = (number, total) else {
                done.after.add(before);
                continue;
            };
            for series in [number, total, TOTAL_OF_ALL] {
                for level in 0..LEVEL_MS.len() {
                    let key = RollupKey { level, series, bucket: bucket(response.ended_ms, level) };
                    differences.rollups.entry(key).or_default().add(before, after);
                }
            }
            if let Some(id) = response.observed {
                differences.observed.entry(id).or_default().add(before, after);
            }
            response.cost = after;
            done.after.add(after);
            done.changed = done.changed.saturating_add(1);
            is_changed = true;
        }
        if is_changed {
            let repacked = pack(&events)?;
            let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            bytes = bytes.saturating_add(length(&repacked)).saturating_sub(length(&packed));
            stored.insert(*block, repacked.as_slice())?;
        }
    }
    meta.insert("bytes", bytes)?;
    Ok(differences)
}

fn is_meant(task: &Recost, response: &Response) -> bool {
    let of_prompt = |prompt: &PromptName| match &response.attribution {
        Attribution::Version(attributed) => attributed.prompt == *prompt,
        Attribution::Pending | Attribution::Unattributed(_) => false,
    };
    task.since_ms.is_none_or(|since_ms| response.ended_ms >= since_ms) && task.prompt.as_ref().is_none_or(of_prompt)
}

/// The number of the series that a response was counted in, as the index has it; one that the index does not have was
/// counted in a series with its values, or with some of them as others.
fn number_of(
    index: &impl ReadableTable<&'static [u8; INDEX_KEY_BYTES], u32>,
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    response: &Response,
    place: Place,
) -> Result<Option<u32>, TelemetryError> {
    let text = |text: &Option<String>| text.as_deref().map(|text| hash(&[text.as_bytes()]));
    let keys = [
        response.span.as_ref().map(|span| (Kind::Span, span_hash(span))),
        text(&response.id).map(|hash| (Kind::Response, hash)),
        text(&response.session).map(|hash| (Kind::Session, hash)),
        text(&response.user).map(|hash| (Kind::User, hash)),
    ];
    for (kind, hash) in keys.into_iter().flatten() {
        if let Some(number) = index.get(&index_key(day(response.ended_ms), kind, &hash, place))? {
            return Ok(Some(number.value()));
        }
    }
    let own = Series::of(response);
    let other = own.other();
    for others in 0_u8..16 {
        let is_other = |bit: u8| others & bit != 0;
        let series = Series {
            of: own.of.clone(),
            model: if is_other(1) { other.model.clone() } else { own.model.clone() },
            label: if is_other(2) { other.label.clone() } else { own.label.clone() },
            environment: if is_other(4) { other.environment.clone() } else { own.environment.clone() },
            rule: if is_other(8) { other.rule } else { own.rule },
        };
        if let Some(stored) = table.get(series_key(&series).as_slice())? {
            return Ok(Some(decode_series(stored.value())?.0));
        }
    }
    Ok(None)
}

/// Corrects the counts that are still kept.
fn apply(txn: &WriteTransaction, differences: Differences) -> Result<(), TelemetryError> {
    let mut observed = txn.open_table(OBSERVED)?;
    for (id, difference) in differences.observed {
        let Some(packed) = observed.get(id)?.map(|packed| packed.value().to_vec()) else { continue };
        let mut counts: ObservedCounts = unpack(&packed)?;
        difference.apply(&mut counts.priced, &mut counts.cost_pico_usd);
        observed.insert(id, pack(&counts)?.as_slice())?;
    }
    for (level, (of_level, spend)) in ROLLUPS.into_iter().zip(SPEND).enumerate() {
        let (mut table, mut spend) = (txn.open_table(of_level)?, txn.open_table(spend)?);
        for (key, difference) in differences.rollups.iter().filter(|(key, _)| key.level == level) {
            let RollupKey { series, bucket, .. } = *key;
            let stored = table.get((series, bucket))?.map(|stored| decode_rollup(stored.value())).transpose()?;
            let Some(mut rollup) = stored else { continue };
            difference.apply(&mut rollup.priced, &mut rollup.cost_pico_usd);
            table.insert((series, bucket), encode_rollup(&rollup)?.as_slice())?;
            // Totals alone have it.
            if spend.get((bucket, series))?.is_some() {
                spend.insert((bucket, series), encode_spend(&rollup)?.as_slice())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "recost_tests.rs"]
mod tests;
