//! Number, mean, variance and extremes of scores, exactly.
//!
//! Scores are kept in millionths, and their sums as whole numbers, so that what a set of scores adds up to does not
//! depend on the order or the machine. Sketches cannot answer with an exact mean or variance; tests of hypotheses need
//! both.
//!
//! Invariant: the sums fit. A score is at most [`SCORE_MAX`], so 10^15 millionths, and a square 10^30; of 2^64 scores
//! the sum takes 115 bits and the sum of squares 164, and they have 128 and 192.

use serde::{Deserialize, Serialize};

/// Millionths in one.
const MILLION: f64 = 1e6;
/// The largest number of a score, either way: millionths of it fit into 64 bits, and so do a million of them.
pub const SCORE_MAX: f64 = 1e9;
/// [`SCORE_MAX`] in millionths.
const MILLIONTHS_MAX: i64 = 1_000_000_000_000_000;

/// A score in millionths: at most [`SCORE_MAX`] either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Millionths(i64);

/// The number is no score.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("invalid score {0}: use a number from -1e9 to 1e9")]
pub struct MillionthsError(f64);

impl Millionths {
    /// 1.
    pub const ONE: Self = Self(1_000_000);

    /// The score, as a number of ones.
    #[must_use]
    pub fn number(self) -> f64 {
        float(self.0.into()) / MILLION
    }

    /// The score in millionths.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<f64> for Millionths {
    type Error = MillionthsError;

    /// The nearest millionth.
    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if !(-SCORE_MAX..=SCORE_MAX).contains(&number) {
            return Err(MillionthsError(number));
        }
        #[allow(clippy::cast_possible_truncation, reason = "at most 10^15 either way, and whole")]
        let millionths = (number * MILLION).round() as i64;
        Ok(Self(millionths))
    }
}

impl TryFrom<i64> for Millionths {
    type Error = MillionthsError;

    fn try_from(millionths: i64) -> Result<Self, Self::Error> {
        if (-MILLIONTHS_MAX..=MILLIONTHS_MAX).contains(&millionths) {
            Ok(Self(millionths))
        } else {
            Err(MillionthsError(float(millionths.into()) / MILLION))
        }
    }
}

impl From<Millionths> for i64 {
    fn from(millionths: Millionths) -> Self {
        millionths.0
    }
}

/// What a set of scores adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Sums", into = "Sums")]
pub struct Moments {
    n: u64,
    sum: i128,
    squares: Wide,
    /// Of no scores: zero.
    min: Millionths,
    /// Of no scores: zero.
    max: Millionths,
}

/// [`Moments`] as they are stored, before it is known that they can be.
#[derive(Serialize, Deserialize)]
struct Sums {
    n: u64,
    sum: i128,
    squares: Wide,
    min: Millionths,
    max: Millionths,
}

/// The sums cannot be those of any scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these sums are not those of any scores")]
pub struct MomentsError;

impl Moments {
    /// The moments of no scores.
    #[must_use]
    pub const fn new() -> Self {
        Self { n: 0, sum: 0, squares: Wide::ZERO, min: Millionths(0), max: Millionths(0) }
    }

    /// Takes one score in.
    pub fn add(&mut self, score: Millionths) {
        let squares = Wide::square(score.0.unsigned_abs());
        self.merge(&Self { n: 1, sum: score.0.into(), squares, min: score, max: score });
    }

    /// Takes all scores in that another set has; the number stays at `u64::MAX` once it is there.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        self.n = self.n.saturating_add(other.n);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.plus(other.squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many scores there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.n
    }

    /// The lowest score; none without scores.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.n > 0).then(|| self.min.number())
    }

    /// The highest score; none without scores.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.n > 0).then(|| self.max.number())
    }

    /// The sum of the scores.
    #[must_use]
    pub fn sum(&self) -> f64 {
        float(self.sum) / MILLION
    }

    /// The mean; none without scores.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| float(self.sum) / float(self.n.into()) / MILLION)
    }

    /// The number and the mean of the scores besides those that were `true` or `false` and count as 1 or 0.
    #[must_use]
    pub fn besides_flags(&self, passed: u64, failed: u64) -> (u64, Option<f64>) {
        let n = self.n.saturating_sub(passed.saturating_add(failed));
        let sum = self.sum.saturating_sub(i128::from(passed).saturating_mul(Millionths::ONE.0.into()));
        (n, (n > 0).then(|| float(sum) / float(n.into()) / MILLION))
    }

    /// The variance of a population that the scores are a sample of: divided by one less than their number.
    ///
    /// None with fewer than two scores.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let squares = self.squared_deviations()?;
        (self.n > 1).then(|| squares / float((self.n - 1).into()) / (MILLION * MILLION))
    }

    /// The sum of the squares of all differences from the mean, in squared millionths; none where the sums cannot be
    /// those of any scores.
    fn squared_deviations(&self) -> Option<f64> {
        // From the whole number below the mean first, exactly, so that scores close to each other and far from zero
        // lose nothing: with sum = n m + rest, the sum of (x - m)^2 is squares - n m^2 - 2 m rest.
        let n = i128::from(self.n.max(1));
        let (m, rest) = (self.sum.div_euclid(n), self.sum.rem_euclid(n));
        let m_size = u64::try_from(m.unsigned_abs()).ok()?;
        let rest = u64::try_from(rest).ok()?;
        let twice = Wide::product(u128::from(m_size) * u128::from(rest), 2);
        let n_squares = Wide::product(u128::from(m_size) * u128::from(m_size), self.n);
        let from_m = if m < 0 {
            self.squares.plus(twice).minus(n_squares)?
        } else {
            self.squares.minus(n_squares.plus(twice))?
        };
        let rest = float(rest.into());
        Some((from_m.float() - rest * (rest / float(n))).max(0.0))
    }
}

impl From<Moments> for Sums {
    fn from(Moments { n, sum, squares, min, max }: Moments) -> Self {
        Self { n, sum, squares, min, max }
    }
}

impl TryFrom<Sums> for Moments {
    type Error = MomentsError;

    fn try_from(Sums { n, sum, squares, min, max }: Sums) -> Result<Self, Self::Error> {
        let moments = Self { n, sum, squares, min, max };
        if n == 0 {
            return if moments == Self::new() { Ok(moments) } else { Err(MomentsError) };
        }
        let bound = |score: Millionths| i128::from(n).checked_mul(score.0.into());
        let within = bound(min).is_some_and(|low| low <= sum) && bound(max).is_some_and(|high| sum <= high);
        let farthest = min.0.unsigned_abs().max(max.0.unsigned_abs());
        let squares_max = Wide::product(u128::from(farthest) * u128::from(farthest), n);
        if within && squares <= squares_max && moments.squared_deviations().is_some() {
            Ok(moments)
        } else {
            Err(MomentsError)
        }
    }
}

/// A whole number of 192 bits, which stays at the largest one once it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wide {
    high: u64,
    low: u128,
}

impl Wide {
    const ZERO: Self = Self { high: 0, low: 0 };
    const MAX: Self = Self { high: u64::MAX, low: u128::MAX };

    fn square(number: u64) -> Self {
        Self { high: 0, low: u128::from(number) * u128::from(number) }
    }

    /// A number of 128 bits times one of 64, which are 192 at most.
    fn product(number: u128, times: u64) -> Self {
        let low = (number & u128::from(u64::MAX)) * u128::from(times);
        let high = (number >> 64) * u128::from(times) + (low >> 64);
        let parts = Self { high: 0, low: low & u128::from(u64::MAX) };
        let shifted = Self { high: u64::try_from(high >> 64).unwrap_or(u64::MAX), low: high << 64 };
        parts.plus(shifted)
    }

    fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        let high = self.high.checked_add(other.high).and_then(|high| high.checked_add(carry.into()));
        high.map_or(Self::MAX, |high| Self { high, low })
    }

    fn minus(self, other: Self) -> Option<Self> {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        let high = self.high.checked_sub(other.high)?.checked_sub(borrow.into())?;
        Some(Self { high, low })
    }

    #[allow(clippy::cast_precision_loss, reason = "the answer is a floating point number")]
    fn float(self) -> f64 {
        self.high as f64 * 2_f64.powi(128) + self.low as f64
    }
}

#[allow(clippy::cast_precision_loss, reason = "the answer is a floating point number")]
const fn float(value: i128) -> f64 {
    value as f64
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
