//! The rules of alerts: which ones are valid, when their state changes, and what is said about it.
//!
//! An event is sent when an alert begins to fire, and when it no longer does. Too few calls in between send none: an
//! alert that fired is resolved by calls that are as they must be, not by the absence of calls.

use crate::model::alert::{
    Alert, AlertMetric, AlertReading, AlertRule, AlertState, GROWTH_PERIOD_S_MAX, MIN_CALLS_MAX, PERIOD_S_MAX,
    PERIOD_S_MIN,
};
use crate::model::count::count;
use crate::model::time::Timestamp;

/// The shortest time between two events of one alert, in milliseconds: a value that wavers around its threshold neither
/// floods webhooks nor the audit log.
pub const EVENT_PAUSE_MS: i64 = 5 * 60 * 1_000;

/// Why an alert is invalid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum AlertError {
    #[error("invalid threshold {0} of an alert: use a number above 0 and up to {1}")]
    Threshold(f64, f64),
    #[error("invalid threshold {0} of an alert: use a share below 1, such as 0.05 for 5%")]
    Whole(f64),
    #[error("invalid period of {0} s of an alert: use {PERIOD_S_MIN} to {PERIOD_S_MAX}")]
    Period(u64),
    #[error(
        "invalid period of {0} s of an alert: one that is compared with the week before is at most {GROWTH_PERIOD_S_MAX}"
    )]
    GrowthPeriod(u64),
    #[error("invalid number of calls {0} of an alert: use 1 to {MIN_CALLS_MAX}")]
    MinCalls(u64),
    #[error("calls that belong to no known version have no prompt: leave out `prompts` and `each_prompt`")]
    Unattributed,
}

/// Checks what an alert watches.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_rule(rule: &AlertRule) -> Result<(), AlertError> {
    let max = rule.metric.threshold_max();
    let share = matches!(rule.metric, AlertMetric::ErrorRate | AlertMetric::UnattributedShare);
    if share && rule.threshold >= max {
        return Err(AlertError::Whole(rule.threshold));
    }
    if !(rule.threshold > 0.0 && rule.threshold <= max) {
        return Err(AlertError::Threshold(rule.threshold, max));
    }
    if !(PERIOD_S_MIN..=PERIOD_S_MAX).contains(&rule.per_s) {
        return Err(AlertError::Period(rule.per_s));
    }
    if rule.metric == AlertMetric::SpendGrowth && rule.per_s > GROWTH_PERIOD_S_MAX {
        return Err(AlertError::GrowthPeriod(rule.per_s));
    }
    if !(1..=MIN_CALLS_MAX).contains(&rule.min_calls) {
        return Err(AlertError::MinCalls(rule.min_calls));
    }
    if rule.metric == AlertMetric::UnattributedShare && (rule.each_prompt || !rule.prompts.is_everything()) {
        return Err(AlertError::Unattributed);
    }
    Ok(())
}

/// What a change of state is told as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertEvent {
    /// It fires now.
    Firing,
    /// It no longer fires.
    Resolved,
}

/// The alert after a reading, and the event of that; none if nothing changes.
pub fn after_reading(alert: &Alert, reading: &AlertReading, now: Timestamp) -> Option<(Alert, Option<AlertEvent>)> {
    let state = reading.state(alert.rule.threshold);
    if state == alert.state {
        return None;
    }
    let event = match (state, alert.firing_since) {
        (AlertState::Firing, None) => Some(AlertEvent::Firing),
        (AlertState::Ok, Some(_)) => Some(AlertEvent::Resolved),
        _ => None,
    };
    let paused = |told: Timestamp| now.ms().saturating_sub(told.ms()).abs() < EVENT_PAUSE_MS;
    if event.is_some() && alert.told.is_some_and(paused) {
        return None;
    }
    let mut after = Alert { state, since: now, ..alert.clone() };
    match event {
        Some(AlertEvent::Firing) => (after.firing_since, after.told) = (Some(now), Some(now)),
        Some(AlertEvent::Resolved) => (after.firing_since, after.told) = (None, Some(now)),
        None => {}
    }
    Some((after, event))
}

/// An alert and its value in a sentence without its full stop, for example `spend of support/** in 1 day: $23.40 (limit
/// $20.00; cost known for 90 of 100 calls)`.
pub fn summary(rule: &AlertRule, reading: Option<&AlertReading>) -> String {
    let unit = rule.metric.unit();
    let of = match reading.and_then(|reading| reading.prompt.as_ref()) {
        Some(prompt) => format!(" of {prompt}"),
        None if rule.metric == AlertMetric::UnattributedShare => String::new(),
        None if rule.each_prompt && rule.prompts.is_everything() => " of each prompt".to_owned(),
        None if rule.each_prompt => format!(" of each of {}", rule.prompts),
        None if rule.prompts.is_everything() => " of all prompts".to_owned(),
        None => format!(" of {}", rule.prompts),
    };
    let value = reading.and_then(|reading| reading.value).map_or("unknown".to_owned(), |value| unit.text(value));
    let mut notes = vec![format!("limit {}", unit.text(rule.threshold))];
    if let Some(reading) = reading {
        notes.extend(reading.why.clone());
        let costs = matches!(rule.metric, AlertMetric::Spend | AlertMetric::SpendGrowth);
        if costs && reading.priced_calls < reading.calls {
            notes.push(format!("cost known for {} of {}", reading.priced_calls, count(reading.calls, "call")));
        }
    }
    format!("{}{of} in {}: {value} ({})", rule.metric.words(), period(rule.per_s), notes.join("; "))
}

/// A length of time in the largest unit that divides it.
pub fn period(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit_s, unit) = units.into_iter().find(|(unit_s, _)| seconds.is_multiple_of(*unit_s)).unwrap_or((1, "second"));
    count(seconds / unit_s, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(metric: AlertMetric, threshold: f64) -> AlertRule {
        let prompts = crate::model::pattern::Pattern::everything();
        AlertRule { metric, threshold, prompts, each_prompt: false, per_s: 86_400, min_calls: 20 }
    }

    fn alert() -> Alert {
        let (created, rule) = (Timestamp::from_ms(0), rule(AlertMetric::ErrorRate, 0.05));
        Alert {
            name: "errors".to_owned(),
            rule,
            created,
            state: AlertState::Unknown,
            since: created,
            firing_since: None,
            told: None,
        }
    }

    fn reading(value: Option<f64>) -> AlertReading {
        AlertReading { value, calls: 100, priced_calls: 90, ..AlertReading::default() }
    }

    #[test]
    fn event_is_sent_once_for_each_time_that_an_alert_fires() {
        let mut alert = alert();
        let mut sent = Vec::new();
        // Minutes, the error rate, the state afterwards, and the event.
        for (minute, value, state, event) in [
            (0, None, AlertState::Unknown, None),
            (1, Some(0.01), AlertState::Ok, None),
            (2, Some(0.10), AlertState::Firing, Some(AlertEvent::Firing)),
            (3, Some(0.20), AlertState::Firing, None),
            (4, Some(0.01), AlertState::Firing, None), // Too soon after the last event.
            (5, None, AlertState::Unknown, None),
            (6, Some(0.30), AlertState::Firing, None), // Still the same.
            (7, Some(0.01), AlertState::Ok, Some(AlertEvent::Resolved)),
            (8, Some(0.50), AlertState::Ok, None), // Too soon.
            (12, Some(0.50), AlertState::Firing, Some(AlertEvent::Firing)),
        ] {
            let told = match after_reading(&alert, &reading(value), Timestamp::from_ms(minute * 60_000)) {
                Some((after, event)) => {
                    alert = after;
                    event
                }
                None => None,
            };
            assert_eq!((alert.state, told), (state, event), "minute {minute}");
            sent.extend(told);
        }
        assert_eq!(alert.firing_since, Some(Timestamp::from_ms(12 * 60_000)));
        assert_eq!(sent.len(), 3);
    }

    #[test]
    fn rules_without_meaning_are_refused_with_what_to_write() {
        let check = |change: &dyn Fn(&mut AlertRule), expected: Option<&str>| {
            let mut changed = rule(AlertMetric::Spend, 20.0);
            change(&mut changed);
            let found = check_rule(&changed).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(()), "{changed:?}"),
                Some(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?} {part}"),
            }
        };
        check(&|_| {}, None);
        check(&|rule| rule.threshold = 0.0, Some("above 0"));
        check(&|rule| rule.threshold = -1.0, Some("above 0"));
        check(&|rule| rule.threshold = 2e9, Some("up to 1000000000"));
        check(&|rule| rule.per_s = 60, Some("use 300 to 2678400"));
        check(&|rule| rule.min_calls = 0, Some("use 1 to 1000000"));
        check(&|rule| (rule.metric, rule.threshold) = (AlertMetric::ErrorRate, 5.0), Some("0.05 for 5%"));
        check(&|rule| (rule.metric, rule.per_s) = (AlertMetric::SpendGrowth, 8 * 86_400), Some("at most 604800"));
        check(
            &|it| *it = AlertRule { each_prompt: true, ..rule(AlertMetric::UnattributedShare, 0.1) },
            Some("leave out"),
        );
        check(&|it| *it = rule(AlertMetric::UnattributedShare, 0.1), None);
    }

    #[test]
    fn summary_says_the_value_the_limit_and_what_is_unknown() {
        let mut spend = rule(AlertMetric::Spend, 20.0);
        assert_eq!(
            summary(&spend, Some(&reading(Some(23.4)))),
            "spend of all prompts in 1 day: $23.40 (limit $20.00; cost known for 90 of 100 calls)"
        );
        spend.prompts = "support/**".parse().expect("a pattern");
        assert_eq!(summary(&spend, None), "spend of support/** in 1 day: unknown (limit $20.00)");
        let few = AlertReading { why: Some("3 calls, of the 20 that it needs".to_owned()), ..reading(None) };
        let mut rate = rule(AlertMetric::ErrorRate, 0.05);
        (rate.per_s, rate.each_prompt) = (5_400, true);
        assert_eq!(
            summary(&rate, Some(&few)),
            "error rate of each prompt in 90 minutes: unknown (limit 5%; 3 calls, of the 20 that it needs)"
        );
        let worst = AlertReading { prompt: Some("support/agent".parse().expect("a name")), ..reading(Some(0.5)) };
        assert_eq!(summary(&rate, Some(&worst)), "error rate of support/agent in 90 minutes: 50% (limit 5%)");
    }
}
