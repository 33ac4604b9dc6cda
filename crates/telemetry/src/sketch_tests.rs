#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "test values")]

use proptest::prelude::*;
use sketches_ddsketch::{Config, DDSketch};

use super::*;

/// Values that spread like latencies: a sum of twelve even ones is nearly normal, and its power is nearly log-normal.
fn latencies(count: u64) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut even = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut normal = || (0..12).map(|_| even()).sum::<f64>() - 6.0;
    (0..count).map(|_| (13.4 + 0.6 * normal()).exp() as u64).collect()
}

fn sketch(values: &[u64]) -> Sketch {
    let mut sketch = Sketch::new();
    for value in values {
        sketch.add(*value);
    }
    sketch
}

fn bytes(sketch: &Sketch) -> Vec<u8> {
    sketch.clone().into()
}

fn close(one: f64, other: f64, share: f64) -> bool {
    (one - other).abs() <= share * other.abs()
}

#[test]
fn bins_cover_u64_and_end_at_exact_powers() {
    assert_eq!(HIGHEST.first(), Some(&1));
    assert_eq!(HIGHEST.last(), Some(&u64::MAX));
    assert!(HIGHEST.is_sorted());
    // floor((101/99)^k), computed with whole numbers of any length.
    for (key, highest) in [(35, 2), (116, 10), (231, 101), (346, 1_012), (691, 1_004_962), (1_382, 1_009_949_442_519)] {
        assert_eq!(HIGHEST[key], highest, "key {key}");
    }
    assert_eq!(KEYS, 2_219);
    assert_eq!(BINS_MAX, 2_072);
}

#[test]
fn every_quantile_is_within_one_per_cent_of_the_sorted_values_and_of_the_reference() {
    let mut values = latencies(200_000);
    let ours = sketch(&values);
    let mut reference = DDSketch::new(Config::new(0.01, 4_096, 1.0e-9));
    for value in &values {
        reference.add(*value as f64);
    }
    values.sort_unstable();
    for q in [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999] {
        let exact = values[(q * (values.len() - 1) as f64) as usize] as f64;
        let answer = ours.quantile(q).expect("values");
        assert!(close(answer, exact, RELATIVE_ERROR + 1e-9), "q {q}: {answer} is not {exact}");
        let other = reference.quantile(q).expect("a share").expect("values");
        assert!(close(answer, other, 1e-4), "q {q}: {answer} is not the reference's {other}");
    }
    assert_eq!(ours.count(), 200_000);
}

#[test]
fn sketches_are_as_small_as_the_study_found() {
    let length = |count| bytes(&sketch(&latencies(count))).len();
    assert!(length(50) <= 90, "{} bytes for 50", length(50));
    assert!(length(5_000) <= 550, "{} bytes for 5,000", length(5_000));
    assert!(length(1_000_000) <= 950, "{} bytes for 1,000,000", length(1_000_000));
}

#[test]
fn small_values_and_zeros_are_exact() {
    for value in 0..=50 {
        assert_eq!(sketch(&[value]).quantile(0.5), Some(value as f64));
    }
    let costs = sketch(&[0, 0, 0, 7]);
    assert_eq!(costs.quantile(0.5), Some(0.0));
    assert_eq!(costs.quantile(1.0), Some(7.0));
    assert_eq!(costs.count(), 4);
}

#[test]
fn quantile_of_few_values_is_that_of_the_nearest_rank() {
    for (values, q, expected) in [
        (&[10, 40][..], 0.5, 10.0),
        (&[10, 40], 0.51, 40.0),
        (&[10, 40], 0.9, 40.0),
        (&[10, 40], 0.99, 40.0),
        (&[10, 20, 40], 0.5, 20.0),
        (&[0, 40], 0.5, 0.0),
        (&[0, 40], 0.95, 40.0),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9, 9.0),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.99, 10.0),
    ] {
        assert_eq!(sketch(values).quantile(q), Some(expected), "{q} of {values:?}");
    }
}

#[test]
fn quantile_of_no_values_or_an_invalid_share_is_absent() {
    assert_eq!(Sketch::new().quantile(0.5), None);
    for q in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(sketch(&[1]).quantile(q), None, "q {q}");
    }
}

#[test]
fn largest_values_and_counts_saturate() {
    let mut full = Sketch::new();
    full.add_n(u64::MAX, u64::MAX);
    full.add_n(0, u64::MAX);
    full.add(u64::MAX);
    let mut twice = full.clone();
    twice.merge(&full);
    assert_eq!(twice, full);
    assert_eq!(full.count(), u64::MAX);
    assert!(close(full.quantile(1.0).expect("values"), u64::MAX as f64, RELATIVE_ERROR));
    assert_eq!(Sketch::decode(&bytes(&full)), Ok(full));
    let mut nothing = Sketch::new();
    nothing.add_n(5, 0);
    assert!(nothing.is_empty());
}

#[test]
fn sketch_with_every_bin_fits_its_limit() {
    let mut full = Sketch::new();
    for highest in HIGHEST {
        full.add_n(highest, u64::MAX);
    }
    assert_eq!(full.bins(), BINS_MAX);
    assert!(bytes(&full).len() <= BYTES_MAX);
    assert_eq!(Sketch::decode(&bytes(&full)), Ok(full));
}

#[test]
fn bytes_that_are_not_the_one_encoding_are_refused_by_reason() {
    for (bytes, error) in [
        (&[][..], SketchError::Short),
        (&[2, 0, 0], SketchError::Form(2)),
        (&[1, 0], SketchError::Short),
        (&[1, 0, 1, 0], SketchError::Short),
        (&[1, 0, 0, 0], SketchError::Long),
        (&[1, 0x80, 0x00, 0], SketchError::Number),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0], SketchError::Number),
        (&[1, 0, 1, 0, 0], SketchError::Bin),
        (&[1, 0, 1, 1, 1], SketchError::Bin),
        (&[1, 0, 1, 0xff, 0x7f, 1], SketchError::Bin),
        (&[1, 0, 0xff, 0x7f], SketchError::Bin),
        (&[1, 0, 1, 0xe6, 0x02, 1, 0xff, 0x7f, 0], SketchError::Bin),
        (&[1, 0, 1, 0xe6, 0x02, 1, 1, 0xff, 0x7f], SketchError::Bin),
    ] {
        assert_eq!(Sketch::decode(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn serde_reads_back_what_it_wrote_and_refuses_other_bytes() {
    let kept = sketch(&latencies(100));
    let json = serde_json::to_string(&kept).expect("JSON");
    assert_eq!(serde_json::from_str::<Sketch>(&json).expect("a sketch"), kept);
    let error = serde_json::from_str::<Sketch>("[9]").expect_err("no sketch");
    assert!(error.to_string().contains("unknown form 9"), "{error}");
}

fn some_values() -> impl Strategy<Value = Vec<u64>> {
    let value = prop_oneof![0..60_u64, 0..5_000_000_u64, any::<u64>()];
    prop::collection::vec(value, 0..200)
}

proptest! {
    #[test]
    fn merging_in_any_order_and_grouping_gives_the_same_bytes(a in some_values(), b in some_values(), c in some_values()) {
        let all = sketch(&[a.clone(), b.clone(), c.clone()].concat());
        let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
        let merged = |one: &Sketch, other: &Sketch| { let mut one = one.clone(); one.merge(other); one };
        prop_assert_eq!(bytes(&merged(&merged(&a, &b), &c)), bytes(&all));
        prop_assert_eq!(bytes(&merged(&a, &merged(&b, &c))), bytes(&all));
        prop_assert_eq!(bytes(&merged(&c, &merged(&b, &a))), bytes(&all));
        prop_assert_eq!(Sketch::decode(&bytes(&all)), Ok(all));
    }

    #[test]
    fn lowest_and_highest_value_are_exact(one: u64, other: u64) {
        let both = sketch(&[one, other]);
        prop_assert_eq!(both.quantile(0.0), Some(one.min(other) as f64));
        prop_assert_eq!(both.quantile(1.0), Some(one.max(other) as f64));
        prop_assert_eq!(sketch(&[one]).quantile(0.5), Some(one as f64));
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_they_would_be_written(given in prop::collection::vec(any::<u8>(), 0..64)) {
        let form = [&[FORM][..], &given].concat();
        for given in [given, form] {
            if let Ok(read) = Sketch::decode(&given) {
                prop_assert_eq!(bytes(&read), given);
            }
        }
    }
}
