//! What is counted apart, and what together, when there are too many values.

use super::*;
use crate::event::Arm;
use crate::rollup::{OTHER, OTHER_RULE, Series};
use crate::store::cardinality::{LABELS_MAX, MODELS_MAX, RECENT_DAYS};

/// A call of a version, as it says of itself.
fn call(id: &str, version: u64, ms: i64, model: &str, environment: &str, label: &str) -> Recorded {
    let mut response = Response {
        model_used: Some(model.to_owned()),
        environment: Some(environment.to_owned()),
        ..response(id, version, ms)
    };
    if let Attribution::Version(version) = &mut response.attribution {
        version.label = label.parse().ok();
    }
    recorded(response)
}

fn record_at(store: &TelemetryStore, events: &[Recorded], ms: i64) {
    for events in events.chunks(EVENTS_MAX) {
        block_on(store.record(events.to_vec(), ms)).expect("recorded");
    }
}

/// The series of a version, with their calls.
fn series_of(store: &TelemetryStore, of_version: u64) -> Vec<(Series, u64)> {
    let found = store.counts(Which::Prompt("support/agent"), Level::Day, 0, NOON * 2).expect("counts");
    let is_of = |series: &Series| matches!(series.of, SeriesOf::Version { version, .. } if version == of_version);
    let calls = |one: &SeriesBuckets| one.buckets.iter().map(|bucket| bucket.rollup.calls).sum();
    found.iter().filter(|one| is_of(&one.series)).map(|one| (one.series.clone(), calls(one))).collect()
}

fn made_up(from: u32, to: u32, ms: i64) -> Vec<Recorded> {
    let one = |n: u32| call(&format!("made up {n}"), 1, ms, &format!("model-{n}"), "production", "production");
    (from..to).map(one).collect()
}

#[test]
fn each_dimension_is_limited_by_itself() {
    let (_directory, store) = keep();
    let mut events = Vec::new();
    for (model, environment, label) in (0..80).map(|n| (n % 5, n / 5 % 4, n / 20)) {
        let id = format!("{model} {environment} {label}");
        let [model, environment, label] =
            [("m", model), ("e", environment), ("l", label)].map(|(a, n)| format!("{a}{n}"));
        events.push(call(&id, 1, NOON, &model, &environment, &label));
    }
    record(&store, events);
    assert_eq!(series_of(&store, 1).len(), 80, "all of them apart");
    // A flood of models takes nothing from the other dimensions, nor from models that are known.
    record_at(&store, &made_up(0, 3_000, NOON), NOON);
    let series = series_of(&store, 1);
    let models: std::collections::BTreeSet<_> = series.iter().map(|(series, _)| series.model.as_str()).collect();
    assert_eq!(models.len(), MODELS_MAX + 1, "{models:?}");
    let (other, rest) = series.iter().find(|(series, _)| series.model == OTHER).expect("the rest");
    assert_eq!((other.environment.as_str(), other.label.as_str()), ("production", "production"));
    assert_eq!(*rest, 3_000 - (MODELS_MAX as u64 - 5));
    record(&store, vec![call("later", 1, NOON, "m0", "new", "l0")]);
    assert!(
        series_of(&store, 1)
            .iter()
            .any(|(series, _)| (series.model.as_str(), series.environment.as_str()) == ("m0", "new"))
    );
    // Labels above the limit are others, and not as if none had been named.
    let labels = (0..40).map(|n| call(&format!("label {n}"), 2, NOON, "m0", "production", &format!("label-{n}")));
    record(&store, labels.collect());
    let series = series_of(&store, 2);
    let of_others: u64 = series.iter().filter(|(series, _)| series.label == OTHER).map(|(_, calls)| calls).sum();
    assert_eq!((series.len(), of_others), (LABELS_MAX + 1, 40 - LABELS_MAX as u64));
    let rules = (0..40).map(|n| {
        let mut call = call(&format!("rule {n}"), 3, NOON, "m0", "production", "production");
        if let Event::Response(response) = &mut call.event
            && let Attribution::Version(version) = &mut response.attribution
        {
            version.arm = Arm::new(Some(n), None);
        }
        call
    });
    record(&store, rules.collect());
    let series = series_of(&store, 3);
    assert_eq!(
        series.iter().filter(|(series, _)| series.rule == Some(OTHER_RULE)).map(|(_, calls)| calls).sum::<u64>(),
        24
    );
    counts(&store);
}

#[test]
fn places_of_a_flood_are_free_some_days_later_and_recost_corrects_where_a_call_was_counted() {
    let (_directory, store) = keep();
    record_at(&store, &made_up(0, 200, NOON), NOON);
    let model_of =
        |model: &str| series_of(&store, 1).iter().find(|(series, _)| series.model == model).map(|(_, calls)| *calls);
    assert_eq!((model_of("model-150"), model_of(OTHER)), (None, Some(200 - MODELS_MAX as u64)));
    let later = NOON + (i64::from(RECENT_DAYS) + 1) * DAY_MS;
    let again = call("after", 1, later, "model-150", "production", "production");
    record_at(&store, &[again], later);
    assert_eq!((model_of("model-150"), model_of(OTHER)), (Some(1), Some(200 - MODELS_MAX as u64)));
    counts(&store);
}

#[test]
fn version_has_statistics_of_its_own_above_the_limit_of_series_and_empty_series_go() {
    let (_directory, store) = keep();
    for version in 1..=60 {
        let calls =
            (0..20).map(|n| call(&format!("{version} {n}"), version, NOON, &format!("m{n}"), "e", "production"));
        record(&store, calls.collect());
    }
    record(
        &store,
        vec![call("new", 99, NOON, "m0", "e", "production"), call("new 2", 99, NOON, "m1", "e", "production")],
    );
    let series = series_of(&store, 99);
    assert_eq!(series.iter().map(|(series, calls)| (series.model.as_str(), *calls)).collect::<Vec<_>>(), [(OTHER, 2)]);
    assert!(store.holdings().expect("holdings").series >= 1_000);
    counts(&store);
    // Counts are kept for a shorter time than events here, which a score may be about.
    let retention = Retention { days_days: 10, hours_days: 10, ..Retention::default() };
    let later = NOON + 20 * DAY_MS;
    block_on(store.expire(retention, later)).expect("expired");
    assert_eq!(store.holdings().expect("holdings").series, 0);
    let judged = recorded(score(ScoreTarget::Response("new".to_owned()), 0.5, later));
    block_on(store.record(vec![judged], later)).expect("recorded");
    assert_eq!(store.holdings().expect("holdings").waiting_scores, 1);
    record_at(&store, &[call("newest", 99, later, "m0", "e", "production")], later);
    assert_eq!(series_of(&store, 99).iter().map(|(series, _)| series.model.as_str()).collect::<Vec<_>>(), ["m0"]);
    counts(&store);
}
