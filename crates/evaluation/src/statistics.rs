//! The statistics of gates: intervals and tests on few cases, where each case is one unit whatever its repeats.
//!
//! Everything is deterministic: the bootstrap draws from a fixed stream, so a gate that is decided again decides the
//! same.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

/// Number of resamples of a bootstrap.
const RESAMPLES: usize = 10_000;
/// BLAKE3 derive-key context of the stream that a bootstrap draws from.
const BOOTSTRAP_CONTEXT: &str = "bookholder evaluation bootstrap v1";

/// The share of cases that passed, and its Wilson score interval at a confidence, for example 0.95. Of no cases it is
/// everything from 0 to 1.
#[must_use]
pub fn wilson(passed: u64, cases: u64, confidence: f64) -> (f64, f64) {
    let (Ok(normal), true) = (Normal::new(0.0, 1.0), cases > 0) else { return (0.0, 1.0) };
    let z = normal.inverse_cdf(f64::midpoint(1.0, confidence));
    let (n, share) = (float(cases), float(passed.min(cases)) / float(cases));
    let z2 = z * z;
    let middle = share + z2 / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// The two-sided p-value of the exact McNemar test: `worse` cases changed from passed to failed, `better` ones the
/// other way.
#[must_use]
pub fn mcnemar_exact(worse: u64, better: u64) -> f64 {
    let changed = worse.saturating_add(better);
    let Ok(binomial) = Binomial::new(0.5, changed) else { return 1.0 };
    if changed == 0 { 1.0 } else { (2.0 * binomial.cdf(worse.min(better))).min(1.0) }
}

/// The mean of paired differences by their weights, which are above 0, and the lower end of its one-sided bootstrap
/// interval at a confidence: with this confidence the mean is not lower. `None` of no differences.
#[must_use]
pub fn bootstrap_lower_bound(differences: &[(f64, f64)], confidence: f64) -> Option<(f64, f64)> {
    fn mean_of(drawn: impl Iterator<Item = (f64, f64)>) -> f64 {
        let (sum, weights) =
            drawn.fold((0.0, 0.0), |(sum, weights), (one, weight)| (sum + one * weight, weights + weight));
        sum / weights
    }
    let count = u32::try_from(differences.len()).ok().filter(|count| *count > 0)?;
    let mean = mean_of(differences.iter().copied());
    let mut stream = blake3::Hasher::new_derive_key(BOOTSTRAP_CONTEXT).finalize_xof();
    let mut draws = vec![0_u8; differences.len() * 4];
    let mut means: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        stream.fill(&mut draws);
        let drawn = draws.as_chunks::<4>().0.iter().map(|bytes| {
            // A share of the range as wide as each other's, but for one part in 2^32 / count.
            let index = (u64::from(u32::from_le_bytes(*bytes)) * u64::from(count)) >> 32;
            usize::try_from(index).ok().and_then(|index| differences.get(index)).copied().unwrap_or_default()
        });
        means.push(mean_of(drawn));
    }
    means.sort_by(f64::total_cmp);
    Some((mean, quantile(&means, 1.0 - confidence)?))
}

/// A quantile of sorted values, between two of them by their distance.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = u32::try_from(sorted.len().checked_sub(1)?).ok()?;
    let place = f64::from(last) * share.clamp(0.0, 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to `last`")]
    let below = place.floor() as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some((place - place.floor()).mul_add(high - low, low))
}

/// How often a judge and a person agree, and Cohen's kappa: the same beyond what chance would give. `None` of no
/// labels, or if both always give the same label.
#[must_use]
pub fn kappa(labels: &[(bool, bool)]) -> Option<(f64, f64)> {
    if labels.is_empty() {
        return None;
    }
    let share = |fits: &dyn Fn(&(bool, bool)) -> bool| {
        let count = labels.iter().filter(|label| fits(label)).count();
        float(u64::try_from(count).unwrap_or(u64::MAX)) / float(u64::try_from(labels.len()).unwrap_or(u64::MAX))
    };
    let agreement = share(&|(judge, person)| judge == person);
    let (judge, person) = (share(&|(judge, _)| *judge), share(&|(_, person)| *person));
    let chance = judge.mul_add(person, (1.0 - judge) * (1.0 - person));
    let kappa = if chance < 1.0 { (agreement - chance) / (1.0 - chance) } else { return None };
    Some((agreement, kappa))
}

#[allow(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn wilson_interval_is_the_one_of_statsmodels() {
        let (low, high) = wilson(450, 500, 0.95);
        close(low, 0.870_578_090_4, 1e-9);
        close(high, 0.923_322_437_3, 1e-9);
        assert_eq!(wilson(0, 0, 0.95), (0.0, 1.0));
        assert!(wilson(3, 3, 0.95).0 < 0.5, "three of three say little");
    }

    #[test]
    fn mcnemar_test_is_the_one_of_statsmodels() {
        close(mcnemar_exact(5, 15), 0.041_389_465_332_031_25, 1e-12);
        close(mcnemar_exact(15, 5), 0.041_389_465_332_031_25, 1e-12);
        close(mcnemar_exact(0, 0), 1.0, 0.0);
        close(mcnemar_exact(4, 4), 1.0, 0.0);
    }

    #[test]
    fn bootstrap_gives_the_same_bound_each_time_and_near_the_normal_one() {
        let differences: Vec<(f64, f64)> = (0..200).map(|n| (f64::from(n % 5) / 10.0 - 0.2, 1.0)).collect();
        let (mean, bound) = bootstrap_lower_bound(&differences, 0.95).expect("differences");
        assert_eq!(bootstrap_lower_bound(&differences, 0.95), Some((mean, bound)));
        close(mean, 0.0, 1e-12);
        // The standard error of this mean is sqrt(0.02 / 200) = 0.01, and 1.645 of them are below.
        close(bound, -0.016_45, 0.001);
        assert_eq!(bootstrap_lower_bound(&[], 0.95), None);
        assert_eq!(bootstrap_lower_bound(&[(0.0, 1.0); 10], 0.95), Some((0.0, 0.0)));
        let weighted = [(1.0, 3.0), (0.0, 1.0)].repeat(50);
        let (mean, bound) = bootstrap_lower_bound(&weighted, 0.95).expect("differences");
        close(mean, 0.75, 1e-12);
        // As 100 draws with a weight of 3 or 1 would spread: a standard error of about 0.0375.
        close(bound, 0.75 - 1.645 * 0.0375, 0.01);
    }

    #[test]
    fn kappa_is_agreement_beyond_chance() {
        let labels = [(true, true), (true, true), (false, false), (true, false), (false, true), (false, false)];
        let (agreement, kappa) = kappa(&labels).expect("labels");
        close(agreement, 4.0 / 6.0, 1e-12);
        close(kappa, 1.0 / 3.0, 1e-12);
        assert_eq!(super::kappa(&[(true, true)]), None);
    }

    #[test]
    fn quantiles_are_between_the_values() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&sorted, 0.5), Some(2.5));
        assert_eq!(quantile(&sorted, 1.0), Some(4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
