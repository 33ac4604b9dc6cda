//! Quantiles of whole numbers in little room: a `DDSketch` whose answers are within one percent.
//!
//! Values are counted in bins, each of which ends `101/99` times as high as the one before, so a bin's middle is within
//! one percent of everything in it. The ends of the bins are a table of whole numbers that the compiler computes
//! without floating point, and a value's bin is found by comparing whole numbers: every machine chooses the same bin.
//!
//! Nothing is ever merged into a neighbouring bin: all of `u64` needs no more than [`BINS_MAX`] bins. So a sketch
//! depends on what was added and on nothing else, not on the order of additions and merges.
//!
//! Invariant: equal contents have equal bytes, and what [`Sketch::encode`] writes, [`Sketch::decode`] reads back.

use serde::{Deserialize, Serialize};

/// The farthest that a quantile is from a value at its rank, as a share of that value.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Most bins of a sketch: as many as there are keys that a whole number can have.
pub const BINS_MAX: usize = count_bins();
/// Most bytes of an encoded sketch.
pub const BYTES_MAX: usize = 1 + 3 * VARINT_BYTES_MAX + 2 + BINS_MAX * (2 + VARINT_BYTES_MAX);

/// The first byte of an encoded sketch: these bins, this layout.
const FORM: u8 = 1;
/// Bytes of the longest varint: 64 bits, seven at a time.
const VARINT_BYTES_MAX: usize = 10;
/// Bits behind the point where the ends of bins are computed.
const FRACTION_BITS: u32 = 56;
/// Number of keys, of which the lowest have no whole number.
const KEYS: usize = count_keys();
/// The highest whole number of each key.
static HIGHEST: [u64; KEYS] = highest();

/// The end of the next bin, with [`FRACTION_BITS`] bits behind the point.
const fn next_end(end: u128) -> u128 {
    // Less than 2^64 before the point, so 101 times it is less than 2^127.
    end * 101 / 99
}

const fn count_keys() -> usize {
    let (mut end, mut keys) = (1_u128 << FRACTION_BITS, 1);
    while end >> FRACTION_BITS <= u64::MAX as u128 {
        end = next_end(end);
        keys += 1;
    }
    keys
}

/// Keys whose end is a higher whole number than the end before.
const fn count_bins() -> usize {
    let (mut end, mut bins) = (1_u128 << FRACTION_BITS, 1);
    while end >> FRACTION_BITS <= u64::MAX as u128 {
        let next = next_end(end);
        if next >> FRACTION_BITS > end >> FRACTION_BITS {
            bins += 1;
        }
        end = next;
    }
    bins
}

#[allow(clippy::indexing_slicing, reason = "runs in the compiler alone, which refuses an index out of bounds")]
#[allow(clippy::cast_possible_truncation, reason = "the last key alone is above `u64::MAX`, and is cut there")]
#[allow(clippy::large_stack_arrays, reason = "runs in the compiler alone")]
const fn highest() -> [u64; KEYS] {
    let (mut end, mut key, mut highest) = (1_u128 << FRACTION_BITS, 0, [u64::MAX; KEYS]);
    while key + 1 < KEYS {
        highest[key] = (end >> FRACTION_BITS) as u64;
        end = next_end(end);
        key += 1;
    }
    highest
}

/// Why bytes are not an encoded sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum SketchError {
    #[error("unknown form {0} of a sketch: this version reads form {FORM}")]
    Form(u8),
    #[error("the sketch ends early")]
    Short,
    #[error("the sketch goes on after its last bin")]
    Long,
    #[error("the sketch has a number that is not written the shortest way, or is over 64 bits")]
    Number,
    #[error("the sketch has a bin that cannot be, or that is empty")]
    Bin,
}

/// How often whole numbers were seen, to within one percent of their value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Sketch {
    zeros: u64,
    /// The lowest and the highest value above zero; 0 without one.
    low: u64,
    high: u64,
    /// Ascending by key, none empty.
    bins: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bin {
    key: u16,
    count: u64,
}

impl Bin {
    /// The lowest and highest whole number of a key; none if it has none.
    fn range(key: u16) -> Option<(u64, u64)> {
        let highest = *HIGHEST.get(usize::from(key))?;
        let below = key.checked_sub(1).and_then(|key| HIGHEST.get(usize::from(key))).copied().unwrap_or(0);
        (below < highest).then_some((below + 1, highest))
    }

    /// The number that is nearest to all numbers of a key, by their ratio.
    fn middle(key: u16) -> f64 {
        let (low, high) = Self::range(key).unwrap_or_default();
        let (low, high) = (float(low), float(high));
        2.0 * low * (high / (low + high))
    }
}

impl Sketch {
    /// A sketch without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { zeros: 0, low: 0, high: 0, bins: Vec::new() }
    }

    /// Counts a value once.
    pub fn add(&mut self, value: u64) {
        self.add_n(value, 1);
    }

    /// Counts a value `n` times; counts stay at `u64::MAX` once they are there.
    pub fn add_n(&mut self, value: u64, n: u64) {
        if value == 0 {
            self.zeros = self.zeros.saturating_add(n);
        } else if n > 0 {
            let key = HIGHEST.partition_point(|highest| *highest < value);
            self.widen(value, value);
            self.add_bin(Bin { key: u16::try_from(key).unwrap_or(u16::MAX), count: n });
        }
    }

    fn widen(&mut self, low: u64, high: u64) {
        self.low = if self.bins.is_empty() { low } else { self.low.min(low) };
        self.high = self.high.max(high);
    }

    fn add_bin(&mut self, bin: Bin) {
        match self.bins.binary_search_by_key(&bin.key, |bin| bin.key) {
            Ok(at) => {
                if let Some(found) = self.bins.get_mut(at) {
                    found.count = found.count.saturating_add(bin.count);
                }
            }
            Err(at) => self.bins.insert(at, bin),
        }
    }

    /// Counts everything that another sketch counted.
    pub fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        if !other.bins.is_empty() {
            self.widen(other.low, other.high);
        }
        for bin in &other.bins {
            self.add_bin(*bin);
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.iter().fold(self.zeros, |count, bin| count.saturating_add(bin.count))
    }

    /// Number of bins in use, without that of zeros.
    #[must_use]
    pub const fn bins(&self) -> usize {
        self.bins.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.zeros == 0 && self.bins.is_empty()
    }

    /// The lowest value that a share `q` of all values does not exceed (the nearest rank), within [`RELATIVE_ERROR`];
    /// exact up to 50, and never beyond the lowest or the highest value. So the 99th percentile of fewer than 100 values
    /// is the highest; `sketches-ddsketch` may answer with the value before it, of the next lower rank.
    ///
    /// None without values, and where `q` is not between 0 and 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.is_empty() || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let last = self.count() - 1;
        let rank = whole((q * float(self.count())).ceil()).saturating_sub(1);
        if rank >= last {
            return Some(float(self.high));
        }
        let mut below = self.zeros;
        if rank < below {
            return Some(0.0);
        }
        if rank == 0 {
            return Some(float(self.low));
        }
        for bin in &self.bins {
            below = below.saturating_add(bin.count);
            if rank < below {
                return Some(Bin::middle(bin.key).clamp(float(self.low), float(self.high)));
            }
        }
        Some(float(self.high))
    }

    /// Appends the sketch, in at most [`BYTES_MAX`] bytes.
    ///
    /// A byte for the form, then varints (LEB128): the zeros, the number of bins, and for each bin how many keys lie
    /// between it and the one before, and its count; with bins, how far the lowest value is above the start of the first
    /// one, and the highest below the end of the last one.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(FORM);
        put_varint(bytes, self.zeros);
        put_varint(bytes, u64::try_from(self.bins.len()).unwrap_or(u64::MAX));
        let mut next = 0;
        for bin in &self.bins {
            put_varint(bytes, u64::from(bin.key.saturating_sub(next)));
            put_varint(bytes, bin.count);
            next = bin.key.saturating_add(1);
        }
        if let (Some(first), Some(last)) = (self.bins.first(), self.bins.last()) {
            let ends = (Bin::range(first.key).unwrap_or_default().0, Bin::range(last.key).unwrap_or_default().1);
            put_varint(bytes, self.low.saturating_sub(ends.0));
            put_varint(bytes, ends.1.saturating_sub(self.high));
        }
    }

    /// Reads what [`Self::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// The bytes are not the one encoding of a sketch.
    pub fn decode(bytes: &[u8]) -> Result<Self, SketchError> {
        let (form, mut rest) = bytes.split_first().ok_or(SketchError::Short)?;
        if *form != FORM {
            return Err(SketchError::Form(*form));
        }
        let zeros = take_varint(&mut rest)?;
        let len = take_varint(&mut rest)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= BINS_MAX).ok_or(SketchError::Bin)?;
        let mut bins = Vec::with_capacity(len);
        let mut next = 0_u64;
        for _ in 0..len {
            let key = next.checked_add(take_varint(&mut rest)?).ok_or(SketchError::Bin)?;
            let count = take_varint(&mut rest)?;
            let short = u16::try_from(key).map_err(|_| SketchError::Bin)?;
            if count == 0 || Bin::range(short).is_none() {
                return Err(SketchError::Bin);
            }
            bins.push(Bin { key: short, count });
            next = key + 1;
        }
        let (mut low, mut high) = (0, 0);
        if let (Some(first), Some(last)) = (bins.first(), bins.last()) {
            let (first, last) =
                (Bin::range(first.key).ok_or(SketchError::Bin)?, Bin::range(last.key).ok_or(SketchError::Bin)?);
            low = first.0.checked_add(take_varint(&mut rest)?).filter(|low| *low <= first.1).ok_or(SketchError::Bin)?;
            high = last
                .1
                .checked_sub(take_varint(&mut rest)?)
                .filter(|high| *high >= last.0.max(low))
                .ok_or(SketchError::Bin)?;
        }
        if rest.is_empty() { Ok(Self { zeros, low, high, bins }) } else { Err(SketchError::Long) }
    }
}

impl From<Sketch> for Vec<u8> {
    fn from(sketch: Sketch) -> Self {
        let mut bytes = Self::new();
        sketch.encode(&mut bytes);
        bytes
    }
}

impl TryFrom<Vec<u8>> for Sketch {
    type Error = SketchError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::decode(&bytes)
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, SketchError> {
    let mut value = 0_u64;
    for shift in (0..).step_by(7).take(VARINT_BYTES_MAX) {
        let (byte, after) = rest.split_first().ok_or(SketchError::Short)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits || (*byte == 0 && shift > 0) {
            return Err(SketchError::Number);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(SketchError::Number)
}

#[allow(clippy::cast_precision_loss, reason = "an answer within one percent needs no more than 53 bits")]
const fn float(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank: not negative, cut at the last one")]
const fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
