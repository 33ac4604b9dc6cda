#![allow(clippy::cast_precision_loss, reason = "test values")]

use proptest::prelude::*;

use super::*;

fn score(number: f64) -> Millionths {
    Millionths::try_from(number).expect("a score")
}

fn moments(numbers: &[f64]) -> Moments {
    let mut moments = Moments::new();
    for number in numbers {
        moments.add(score(*number));
    }
    moments
}

fn close(one: Option<f64>, other: f64) -> bool {
    one.is_some_and(|one| (one - other).abs() <= 1e-9 * other.abs())
}

#[test]
fn mean_variance_and_extremes_are_those_of_the_textbook() {
    let kept = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    assert_eq!((kept.count(), kept.min(), kept.max()), (8, Some(2.0), Some(9.0)));
    assert_eq!((kept.sum(), kept.mean()), (40.0, Some(5.0)));
    assert!(close(kept.variance(), 32.0 / 7.0), "{:?}", kept.variance());
    let negative = moments(&[-2.0, -4.0, -4.0, -4.0, -5.0, -5.0, -7.0, -9.0]);
    assert_eq!(negative.mean(), Some(-5.0));
    assert!(close(negative.variance(), 32.0 / 7.0), "{:?}", negative.variance());
}

#[test]
fn few_scores_have_no_mean_or_variance() {
    let none = Moments::new();
    assert_eq!((none.mean(), none.variance(), none.min(), none.max()), (None, None, None, None));
    let one = moments(&[0.25]);
    assert_eq!((one.mean(), one.variance()), (Some(0.25), None));
}

#[test]
fn scores_close_to_each_other_and_far_from_zero_keep_their_variance() {
    // Sums of squares in floating point would answer 0, or less.
    let kept = moments(&[1e9 - 0.000_002, 1e9 - 0.000_001, 1e9]);
    assert!(close(kept.variance(), 1e-12), "{:?}", kept.variance());
    assert_eq!(moments(&[0.1; 1_000]).variance(), Some(0.0));
}

#[test]
fn two_to_the_forty_of_the_largest_scores_do_not_overflow() {
    let mut high = moments(&[SCORE_MAX]);
    let mut low = moments(&[-SCORE_MAX]);
    for _ in 0..40 {
        high.merge(&high.clone());
        low.merge(&low.clone());
    }
    assert_eq!(high.count(), 1 << 40);
    assert_eq!((high.mean(), high.variance()), (Some(SCORE_MAX), Some(0.0)));
    let mut both = high;
    both.merge(&low);
    assert_eq!(both.mean(), Some(0.0));
    assert!(close(both.variance(), SCORE_MAX * SCORE_MAX), "{:?}", both.variance());
}

#[test]
fn numbers_that_are_no_scores_are_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e9 + 1.0, -1e10] {
        let error = Millionths::try_from(number).expect_err("no score").to_string();
        assert_eq!(error, format!("invalid score {number}: use a number from -1e9 to 1e9"));
    }
    assert_eq!(score(0.000_000_4).get(), 0);
    assert_eq!(score(-0.000_000_6).get(), -1);
    assert_eq!(score(SCORE_MAX).get(), MILLIONTHS_MAX);
    assert!(Millionths::try_from(MILLIONTHS_MAX + 1).is_err());
}

#[test]
fn stored_sums_of_no_scores_are_refused() {
    let kept = moments(&[0.5, 1.0]);
    let json = serde_json::to_value(kept).expect("JSON");
    assert_eq!(serde_json::from_value::<Moments>(json.clone()).expect("moments"), kept);
    let changes: [(&str, serde_json::Value); 6] = [
        ("n", 0.into()),
        ("n", 4.into()),
        ("sum", (-1).into()),
        ("min", 2_000_000.into()),
        ("max", i64::MAX.into()),
        ("squares", serde_json::json!({ "high": 1, "low": 0 })),
    ];
    for (field, value) in changes {
        let mut json = json.clone();
        json[field] = value;
        assert!(serde_json::from_value::<Moments>(json.clone()).is_err(), "{json}");
    }
}

#[test]
fn wide_numbers_multiply_past_128_bits() {
    assert_eq!(
        Wide::product(u128::MAX, u64::MAX),
        Wide { high: u64::MAX - 1, low: u128::MAX - u128::from(u64::MAX - 1) }
    );
    assert_eq!(Wide::product(3, 5), Wide { high: 0, low: 15 });
    assert_eq!(Wide::MAX.plus(Wide::product(1, 1)), Wide::MAX);
    assert_eq!(Wide::ZERO.minus(Wide::product(1, 1)), None);
}

fn some_scores() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![0.0..1.0, -SCORE_MAX..SCORE_MAX, (0..6_i32).prop_map(f64::from)], 0..50)
}

proptest! {
    #[test]
    fn merging_in_any_order_and_grouping_gives_the_same_sums(a in some_scores(), b in some_scores(), c in some_scores()) {
        let all = moments(&[c.clone(), a.clone(), b.clone()].concat());
        let (a, b, c) = (moments(&a), moments(&b), moments(&c));
        let merged = |one: &Moments, other: &Moments| { let mut one = *one; one.merge(other); one };
        prop_assert_eq!(merged(&merged(&a, &b), &c), all);
        prop_assert_eq!(merged(&a, &merged(&b, &c)), all);
        prop_assert_eq!(merged(&c, &merged(&b, &a)), all);
        let json = serde_json::to_string(&all).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Moments>(&json).expect("moments"), all);
    }

    #[test]
    fn variance_is_that_of_two_passes(scores in prop::collection::vec(-1e6..1e6, 2..60)) {
        let kept = moments(&scores);
        let n = scores.len() as f64;
        let rounded: Vec<f64> = scores.iter().map(|number| score(*number).number()).collect();
        let mean = rounded.iter().sum::<f64>() / n;
        let variance = rounded.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / (n - 1.0);
        prop_assert!((kept.variance().expect("two") - variance).abs() <= 1e-6 * (1.0 + variance));
    }
}
