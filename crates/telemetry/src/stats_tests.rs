//! Periods and groups.

use super::*;
use crate::rollup::ScoreRollup;

const HOUR_MS: i64 = 3_600_000;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a time").ms()
}

fn series(version: u64, model: &str) -> Series {
    Series {
        of: SeriesOf::Version { prompt: "a".parse().expect("a name"), version },
        model: model.to_owned(),
        environment: String::new(),
        label: String::new(),
        rule: (version == 8).then_some(0),
    }
}

fn rollup(calls: u64) -> Rollup {
    let mut rollup = Rollup { calls, priced: calls, cost_pico_usd: u128::from(calls) * 5, ..Rollup::default() };
    rollup.latency_us.add_n(2_000_000, calls);
    rollup.scores.insert("tone".to_owned(), ScoreRollup::default());
    rollup
}

#[test]
fn periods_are_covered_once_by_the_finest_buckets_that_are_kept() {
    let now = ms("2026-11-29T10:20:30Z");
    for (from, to, bucket, start, stretches) in [
        (now - HOUR_MS, now, Level::Minute, "2026-11-29T09:20:00Z", 1),
        (now - 24 * HOUR_MS, now, Level::Hour, "2026-11-28T10:00:00Z", 1),
        (now - 30 * DAY_MS, now, Level::Day, "2026-10-30T10:00:00Z", 3),
        // Minutes of last week, and hours of last year, are not kept.
        (now - 7 * DAY_MS, now - 7 * DAY_MS + HOUR_MS, Level::Hour, "2026-11-22T10:00:00Z", 1),
        (now - 365 * DAY_MS, now, Level::Day, "2025-11-29T00:00:00Z", 2),
        (ms("2026-11-01T00:00:00Z"), ms("2026-11-21T00:00:00Z"), Level::Day, "2026-11-01T00:00:00Z", 1),
    ] {
        let plan = Plan::new(from, to, Retention::default(), now);
        assert_eq!((plan.bucket, plan.from_ms, plan.stretches.len()), (bucket, ms(start), stretches), "{plan:?}");
        let ends = plan.stretches.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms);
        assert!(ends && plan.stretches.last().map(|last| last.to_ms) == Some(to), "{plan:?}");
        let previous = plan.previous(now);
        assert_eq!(previous.to_ms, plan.from_ms);
        let slack = (plan.from_ms - previous.from_ms) - (plan.to_ms - plan.from_ms);
        assert!((0..DAY_MS).contains(&slack), "{slack}");
    }
}

#[test]
fn sums_take_whole_days_where_points_are_hours_and_cover_the_same_period() {
    let now = ms("2026-11-29T10:20:30Z");
    for (from, to, levels) in [
        (now - 7 * DAY_MS, now, &[Level::Hour, Level::Day, Level::Hour] as &[Level]),
        (ms("2026-11-27T00:00:00Z"), ms("2026-11-29T00:00:00Z"), &[Level::Day]),
        (ms("2026-11-28T22:00:00Z"), ms("2026-11-29T09:00:00Z"), &[Level::Hour]),
        (now - 5 * HOUR_MS, now, &[Level::Hour]),
        (now - HOUR_MS, now, &[Level::Minute]),
        (now - 30 * DAY_MS, now, &[Level::Hour, Level::Day, Level::Hour]),
    ] {
        let plan = Plan::new(from, to, Retention::default(), now);
        let summed = plan.summed();
        assert_eq!(summed.iter().map(|stretch| stretch.level).collect::<Vec<_>>(), levels, "{summed:?}");
        let ends = summed.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms);
        let (first, last) = (summed.first().expect("one"), summed.last().expect("one"));
        assert!(ends && first.from_ms == plan.from_ms && last.to_ms == to, "{summed:?}");
    }
}

#[test]
fn periods_are_read_from_what_is_kept_here_not_from_what_is_kept_by_default() {
    let now = ms("2026-11-29T10:20:30Z");
    let short = Retention { minutes_days: 1, hours_days: 3, ..Retention::default() };
    let level = |days: i64, kept| Plan::new(now - days * DAY_MS, now - days * DAY_MS + HOUR_MS, kept, now).bucket;
    assert_eq!((level(2, short), level(2, Retention::default())), (Level::Hour, Level::Minute));
    assert_eq!((level(5, short), level(5, Retention::default())), (Level::Day, Level::Hour));
    let before = Plan::new(now - 2 * DAY_MS, now, short, now).previous(now);
    assert_eq!(before.bucket, Level::Day, "also the period before");
}

#[test]
fn hours_at_the_ends_of_a_period_are_points_of_their_days() {
    let now = ms("2026-11-29T10:20:30Z");
    let plan = Plan::new(now - 30 * DAY_MS, now, Retention::default(), now);
    let mut folded = Folded::default();
    for at in ["2026-10-30T22:00:00Z", "2026-10-30T23:00:00Z", "2026-11-05T00:00:00Z", "2026-11-29T09:00:00Z"] {
        folded.add(&plan, ms(at), &rollup(2));
    }
    let points: Vec<_> = folded.series().into_iter().map(|point| (point.at.to_string(), point.calls)).collect();
    let expected = [("2026-10-30T00:00:00Z", 4), ("2026-11-05T00:00:00Z", 2), ("2026-11-29T00:00:00Z", 2)];
    assert_eq!(points, expected.map(|(at, calls)| (at.to_owned(), calls)));
    assert_eq!((folded.total.calls, plan.bucket_s()), (8, 86_400));
}

#[test]
fn groups_are_versions_from_the_newest_and_models_by_calls() {
    let plan = Plan::new(0, HOUR_MS, Retention::default(), HOUR_MS);
    let groups = |by| {
        let mut groups = Groups::new(by);
        for (version, model, calls) in [(7, "small", 5), (8, "small", 1), (10, "large", 2), (9, "", 1)] {
            groups.add(&plan, &series(version, model), 0, &rollup(calls));
        }
        assert_eq!(groups.total().calls, 9);
        let keys = groups.into_groups().into_iter().map(|group| group.key.unwrap_or_default());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(groups(StatsBy::Version), ["10", "9", "8", "7"]);
    assert_eq!(groups(StatsBy::Model), ["small", "large", ""]);
    assert_eq!(groups(StatsBy::Arm), ["default: v7", "default: v10", "default: v9", "rule 0: v8"]);
    assert_eq!(groups(StatsBy::Label), [""]);
}

#[test]
fn groups_beyond_the_limit_are_counted_together_at_the_end() {
    let plan = Plan::new(0, HOUR_MS, Retention::default(), HOUR_MS);
    let all: Vec<u64> = (1..=200).collect();
    let calls = all.iter().map(|version| (Some(version.to_string()), *version)).collect();
    let mut groups = Groups::new(StatsBy::Version).with_largest(&calls);
    for version in &all {
        groups.add(&plan, &series(*version, "m"), 0, &rollup(*version));
    }
    let total = groups.total().calls;
    let found = groups.into_groups();
    assert_eq!((found.len(), found[0].key.as_deref(), found[49].key.as_deref()), (50, Some("200"), Some("_other")));
    assert_eq!(total, found.iter().map(|group| group.counts.calls).sum::<u64>());
}

#[test]
fn statistics_have_units_and_say_what_is_unknown() {
    let mut one = rollup(4);
    one.calls = 6;
    let found = counts(&one);
    assert_eq!((found.calls, found.priced_calls, found.cost_usd.to_string().as_str()), (6, 4, "0.00000000002"));
    let latency = found.latency_ms.expect("quantiles");
    assert!((latency.p50 - 2_000.0).abs() < 20.0 && latency.n == 4, "{latency:?}");
    assert_eq!((found.first_token_ms, found.scores[0].n, found.scores[0].mean), (None, 0, None));
    assert!(point(0, &one).scores.is_empty());
}
