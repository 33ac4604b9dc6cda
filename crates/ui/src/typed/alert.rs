//! What an alert watches, as typed: its limit in dollars, percent or milliseconds, and its period as `1h` or `1d`.

use std::fmt::Display;
use std::str::FromStr;

use crate::form::FormValues;
use crate::model::alert::{AlertRule, AlertUnit, MIN_CALLS_DEFAULT};
use crate::model::pattern::Pattern;
use crate::model::since::Since;

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// Its label.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads what an alert watches; whether it is valid is checked where it is stored.
///
/// # Errors
/// The first field that cannot be read.
pub fn rule(typed: &FormValues) -> Result<AlertRule, WrongField> {
    let metric = parse(typed.get("metric"), "Value")?;
    Ok(AlertRule {
        metric,
        threshold: threshold(typed.get("limit"), metric.unit())?,
        prompts: optional(typed.get("prompts"), "Prompts")?.unwrap_or_else(Pattern::everything),
        each_prompt: typed.ticked("each"),
        per_s: seconds(typed.get("per"))?,
        min_calls: optional(typed.get("min_calls"), "Minimum calls")?.unwrap_or(MIN_CALLS_DEFAULT),
    })
}

/// What an alert watches, as the fields of its form: an unedited form gives the same again.
#[must_use]
pub fn fields(rule: &AlertRule) -> FormValues {
    let mut typed = FormValues::default();
    let unit = rule.metric.unit();
    typed.put("metric", rule.metric.as_str());
    typed.put("limit", if unit == AlertUnit::Share { per_cent(rule.threshold) } else { rule.threshold.to_string() });
    typed.put("per", period(rule.per_s));
    if !rule.prompts.is_everything() {
        typed.put("prompts", rule.prompts.as_str());
    }
    if rule.each_prompt {
        typed.put("each", "yes");
    }
    typed.put("min_calls", rule.min_calls.to_string());
    typed
}

/// A length of time as it is typed, such as `1d`.
fn period(seconds: u64) -> String {
    Since::Ago(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)).to_string()
}

/// A share as a percentage with the same digits.
fn per_cent(share: f64) -> String {
    let text = share.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = format!("{part:0<2}");
    let (two, rest) = part.split_at(2);
    let digits = format!("{whole}{two}");
    let digits = digits.trim_start_matches('0');
    let whole = if digits.is_empty() { "0" } else { digits };
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

fn threshold(text: &str, unit: AlertUnit) -> Result<f64, WrongField> {
    let text = text.trim();
    let number = match unit {
        AlertUnit::Usd => text.strip_prefix('$').unwrap_or(text).trim().to_owned(),
        // As decimal digits, so that a share is the one that was written.
        AlertUnit::Share => format!("{}e-2", text.strip_suffix('%').unwrap_or(text).trim()),
        AlertUnit::Ms => text.strip_suffix("ms").unwrap_or(text).trim().to_owned(),
    };
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| {
        let such = match unit {
            AlertUnit::Usd => "US dollars, such as 20",
            AlertUnit::Share => "percent, such as 5",
            AlertUnit::Ms => "milliseconds, such as 3000",
        };
        WrongField { field: "Limit", reason: format!("use {such}") }
    })
}

fn seconds(text: &str) -> Result<u64, WrongField> {
    match text.parse::<Since>() {
        Ok(Since::Ago(ms)) => Ok(u64::try_from(ms / 1_000).unwrap_or_default()),
        _ => Err(WrongField { field: "Period", reason: "use a duration, such as 1h or 7d".to_owned() }),
    }
}

fn optional<T: FromStr<Err: Display>>(text: &str, field: &'static str) -> Result<Option<T>, WrongField> {
    if text.trim().is_empty() { Ok(None) } else { parse(text, field).map(Some) }
}

fn parse<T: FromStr<Err: Display>>(text: &str, field: &'static str) -> Result<T, WrongField> {
    text.trim().parse().map_err(|error: T::Err| WrongField { field, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::AlertMetric;

    fn typed(fields: &[(&str, &str)]) -> FormValues {
        let mut typed = FormValues::default();
        for (name, value) in fields {
            typed.put(*name, *value);
        }
        typed
    }

    #[test]
    fn unedited_form_gives_the_same_alert_again() {
        for (metric, threshold) in [
            (AlertMetric::Spend, 20.0),
            (AlertMetric::Spend, 0.012_345_678_9),
            (AlertMetric::SpendGrowth, 1.5),
            (AlertMetric::ErrorRate, 0.07),
            (AlertMetric::ErrorRate, 0.1 + 0.2),
            (AlertMetric::UnattributedShare, 1e-9),
            (AlertMetric::LatencyP95, 3_000.5),
        ] {
            for (per_s, prompts, each_prompt) in
                [(3_600, "**", false), (604_800, "support/**", true), (307, "a", false)]
            {
                let prompts = prompts.parse().expect("a pattern");
                let asked = AlertRule { metric, threshold, prompts, each_prompt, per_s, min_calls: 7 };
                assert_eq!(rule(&fields(&asked)), Ok(asked));
            }
        }
        assert_eq!([0.05, 0.07, 1.5, 0.5, 1e-9, 0.123].map(per_cent), ["5", "7", "150", "50", "0.0000001", "12.3"]);
        assert_eq!([period(86_400), period(604_800), period(5_400)], ["1d", "7d", "90m"]);
    }

    #[test]
    fn limits_are_read_in_the_unit_of_their_metric() {
        for (metric, limit, threshold) in [
            ("spend", " $0.5 ", Ok(0.5)),
            ("error_rate", "5 %", Ok(0.05)),
            ("latency_p95", "800ms", Ok(800.0)),
            ("spend", "much", Err("such as 20")),
            ("error_rate", "NaN", Err("such as 5")),
            ("latency_p95", "", Err("such as 3000")),
            ("heat", "1", Err("spend_growth")),
        ] {
            let found = rule(&typed(&[("metric", metric), ("limit", limit), ("per", "1h")]));
            match (found, threshold) {
                (Ok(found), Ok(threshold)) => assert_eq!((found.threshold, found.min_calls), (threshold, 20)),
                (Err(wrong), Err(part)) => assert!(wrong.reason.contains(part), "{wrong:?}"),
                other => panic!("{metric} {limit}: {other:?}"),
            }
        }
        for (field, value) in [("per", "1"), ("per", "2026-01-01"), ("min_calls", "-1")] {
            let found = rule(&typed(&[("metric", "spend"), ("limit", "1"), ("per", "1h"), (field, value)]));
            assert!(found.is_err(), "{field} {value}: {found:?}");
        }
    }
}
