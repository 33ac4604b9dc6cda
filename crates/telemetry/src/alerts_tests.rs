use super::*;
use crate::event::{Attributed, AttributedBy, Attribution, Cost, CostSource, Event, Response, Unattributed};
use crate::model::content_id::ContentId;
use crate::model::pattern::Pattern;
use crate::store::{Recorded, Role};

/// Noon of a day.
const NOON: i64 = 1_790_078_400_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn rule(metric: AlertMetric, threshold: f64) -> AlertRule {
    AlertRule { metric, threshold, prompts: Pattern::everything(), each_prompt: false, per_s: 86_400, min_calls: 4 }
}

/// A call of a prompt, or of none that is known.
fn call(prompt: Option<&str>, ended_ms: i64, cents: Option<u64>, latency_ms: u64, failed: bool) -> Recorded {
    let attribution = match prompt {
        Some(prompt) => Attribution::Version(Attributed {
            prompt: prompt.parse().expect("a name"),
            version: 1,
            content_id: ContentId::of(b"x"),
            label: None,
            arm: None,
            by: AttributedBy::Version,
        }),
        None => Attribution::Unattributed(Unattributed::NoPrompt),
    };
    let response = Response {
        ended_ms,
        latency_us: Some(latency_ms * 1_000),
        cost: cents.map(|cents| Cost { pico_usd: cents * 10_000_000_000, source: CostSource::Reported }),
        error: failed.then(|| "timeout".to_owned()),
        attribution,
        ..Response::default()
    };
    Recorded { event: Event::Response(Box::new(response)), repeat: None }
}

fn store_of(calls: Vec<Recorded>) -> (tempfile::TempDir, TelemetryStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.record(calls, NOON)).expect("recorded");
    (directory, store)
}

/// The value, to the thousandth, or why there is none; and the prompt.
fn value(store: &TelemetryStore, rule: &AlertRule) -> (Result<f64, String>, Option<String>) {
    let reading = read(store, &[rule], Retention::default(), NOON).expect("readings").remove(0);
    let value = reading.value.map(|value| (value * 1_000.0).round() / 1_000.0);
    (value.ok_or_else(|| reading.why.expect("a reason")), reading.prompt.map(|prompt| prompt.to_string()))
}

#[test]
fn each_metric_is_of_the_calls_of_its_prompts_in_its_period() {
    let mut calls: Vec<_> =
        (0..8).map(|n| call(Some("support/agent"), NOON - 1 - n * HOUR, Some(25), 1_000, n < 2)).collect();
    calls.extend((0..2).map(|n| call(Some("sales/offer"), NOON - 1 - n, Some(300), 5_000, false)));
    calls.push(call(None, NOON - 1, None, 10, true));
    calls.push(call(Some("support/agent"), NOON - 2 * DAY, Some(10_000), 60_000, true));
    let (_directory, store) = store_of(calls);
    let support = |rule: AlertRule| AlertRule { prompts: "support/**".parse().expect("a pattern"), ..rule };
    let each = |rule: AlertRule| AlertRule { each_prompt: true, ..rule };
    let check = |rule: AlertRule, expected: Result<f64, &str>, prompt: Option<&str>| {
        let (found, of) = value(&store, &rule);
        match (&found, expected) {
            (Ok(found), Ok(expected)) => {
                assert!((found - expected).abs() <= 0.01 * expected.abs(), "{rule:?}: {found}");
            }
            (Err(why), Err(part)) => assert!(why.contains(part), "{rule:?}: {why}"),
            other => panic!("{rule:?}: {other:?}"),
        }
        assert_eq!(of.as_deref(), prompt, "{rule:?}");
    };
    check(rule(AlertMetric::Spend, 1.0), Ok(8.0), None);
    check(support(rule(AlertMetric::Spend, 1.0)), Ok(2.0), None);
    check(AlertRule { per_s: 3_600, ..support(rule(AlertMetric::Spend, 1.0)) }, Ok(0.25), None);
    check(each(rule(AlertMetric::Spend, 1.0)), Ok(6.0), Some("sales/offer"));
    check(rule(AlertMetric::ErrorRate, 0.1), Ok(3.0 / 11.0), None);
    check(each(rule(AlertMetric::ErrorRate, 0.1)), Ok(0.25), Some("support/agent"));
    check(AlertRule { min_calls: 12, ..rule(AlertMetric::ErrorRate, 0.1) }, Err("11 calls, of the 12"), None);
    check(rule(AlertMetric::UnattributedShare, 0.1), Ok(1.0 / 11.0), None);
    check(support(rule(AlertMetric::LatencyP95, 3_000.0)), Ok(1_000.0), None);
    check(rule(AlertMetric::LatencyP95, 3_000.0), Ok(5_000.0), None);
    check(AlertRule { prompts: "none".parse().expect("a pattern"), ..rule(AlertMetric::Spend, 1.0) }, Ok(0.0), None);
    let reading =
        read(&store, &[&rule(AlertMetric::Spend, 1.0)], Retention::default(), NOON).expect("readings").remove(0);
    assert_eq!((reading.calls, reading.priced_calls), (11, 10), "the unknown cost is told");
}

#[test]
fn growth_compares_a_day_with_the_average_day_of_the_week_before() {
    let growth = rule(AlertMetric::SpendGrowth, 0.5);
    // A dollar in each of seven days, and three in the last one.
    let mut calls: Vec<_> = (1..=7).map(|day| call(Some("a"), NOON - day * DAY - HOUR, Some(100), 1, false)).collect();
    calls.push(call(Some("a"), NOON - HOUR, Some(300), 1, false));
    let (_directory, store) = store_of(calls.clone());
    assert_eq!(value(&store, &growth).0, Ok(2.0));
    calls.remove(6);
    let (_directory, store) = store_of(calls);
    let (found, _) = value(&store, &growth);
    assert!(found.as_ref().is_err_and(|why| why.contains("a whole week")), "{found:?}");
}

#[test]
fn alerts_with_different_periods_are_read_in_their_order() {
    let (_directory, store) = store_of(vec![call(Some("a"), NOON - 2 * HOUR, Some(100), 1, false)]);
    let day = rule(AlertMetric::Spend, 1.0);
    let hour = AlertRule { per_s: 3_600, ..day.clone() };
    let found = read(&store, &[&day, &hour, &day], Retention::default(), NOON).expect("readings");
    assert_eq!(found.iter().map(|one| one.value).collect::<Vec<_>>(), [Some(1.0), Some(0.0), Some(1.0)]);
}
