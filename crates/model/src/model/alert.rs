//! Alerts: a limit on what is counted of calls, and whether it is exceeded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::PromptName;
use super::pattern::Pattern;
use super::time::Timestamp;

/// Most alerts of a registry: the counts of each are read at short intervals.
pub const ALERTS_MAX: usize = 100;
/// Shortest period of an alert, in seconds: a few of the shortest intervals that are counted.
pub const PERIOD_S_MIN: u64 = 300;
/// Longest period of an alert, in seconds: 31 days.
pub const PERIOD_S_MAX: u64 = 31 * 86_400;
/// Longest period that is compared with the week before it, in seconds.
pub const GROWTH_PERIOD_S_MAX: u64 = 7 * 86_400;
/// Calls below which a share or a quantile says nothing, unless an alert says otherwise.
pub const MIN_CALLS_DEFAULT: u64 = 20;
/// Most calls that an alert can wait for.
pub const MIN_CALLS_MAX: u64 = 1_000_000;
/// Highest threshold in dollars.
pub const THRESHOLD_USD_MAX: f64 = 1e9;
/// Highest threshold of growth: a hundred times as much.
pub const THRESHOLD_GROWTH_MAX: f64 = 100.0;
/// Highest threshold of a duration, in milliseconds: a day.
pub const THRESHOLD_MS_MAX: f64 = 86_400_000.0;

/// What an alert watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertMetric {
    /// The known cost of the calls in the period.
    Spend,
    /// How much more the calls in the period cost than in a period of the same length in the week before, on average.
    SpendGrowth,
    /// The share of calls that failed.
    ErrorRate,
    /// The 95th percentile of how long calls took.
    LatencyP95,
    /// The share of calls that belong to no known version.
    UnattributedShare,
}

/// The unit of a threshold and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertUnit {
    /// US dollars.
    Usd,
    /// A part of a whole: 0.05 is 5%.
    Share,
    /// Milliseconds.
    Ms,
}

/// The text is not the name of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use spend, spend_growth, error_rate, latency_p95 or unattributed_share")]
pub struct AlertMetricError;

impl AlertMetric {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Spend, Self::SpendGrowth, Self::ErrorRate, Self::LatencyP95, Self::UnattributedShare];

    /// Its name in JSON, for example `error_rate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::SpendGrowth => "spend_growth",
            Self::ErrorRate => "error_rate",
            Self::LatencyP95 => "latency_p95",
            Self::UnattributedShare => "unattributed_share",
        }
    }

    /// What it is called in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::SpendGrowth => "growth in spend",
            Self::ErrorRate => "error rate",
            Self::LatencyP95 => "95th percentile of latency",
            Self::UnattributedShare => "unattributed share",
        }
    }

    /// The unit of its values.
    pub const fn unit(self) -> AlertUnit {
        match self {
            Self::Spend => AlertUnit::Usd,
            Self::LatencyP95 => AlertUnit::Ms,
            Self::SpendGrowth | Self::ErrorRate | Self::UnattributedShare => AlertUnit::Share,
        }
    }

    /// The highest threshold that can be exceeded.
    pub const fn threshold_max(self) -> f64 {
        match self {
            Self::Spend => THRESHOLD_USD_MAX,
            Self::SpendGrowth => THRESHOLD_GROWTH_MAX,
            Self::LatencyP95 => THRESHOLD_MS_MAX,
            Self::ErrorRate | Self::UnattributedShare => 1.0,
        }
    }
}

impl fmt::Display for AlertMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AlertMetric {
    type Err = AlertMetricError;

    fn from_str(text: &str) -> Result<Self, AlertMetricError> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == text).ok_or(AlertMetricError)
    }
}

impl AlertUnit {
    /// A value of it, for people.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Usd if value < 1.0 => format!("${value:.4}"),
            Self::Usd => format!("${value:.2}"),
            Self::Share => format!("{}%", trimmed(value * 100.0)),
            Self::Ms if value < 1_000.0 => format!("{value:.0} ms"),
            Self::Ms => format!("{} s", trimmed(value / 1_000.0)),
        }
    }
}

/// A number with at most two decimal places.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What an alert watches, and its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// What is watched.
    pub metric: AlertMetric,
    /// The alert fires while the value is higher: dollars for `spend`, milliseconds for `latency_p95`, and a part of a
    /// whole for the others (0.05 is 5%).
    pub threshold: f64,
    /// The prompts whose calls count; all prompts include calls that belong to no known version.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// Whether each prompt is compared with the threshold by itself, instead of all together.
    #[serde(default)]
    pub each_prompt: bool,
    /// The length of the period that ends now, in seconds. It begins at a full minute if it is up to 3 hours long, at a
    /// full hour up to 8 days, and else at a full day.
    #[serde(deserialize_with = "crate::json::whole")]
    pub per_s: u64,
    /// The number of calls below which the state is `unknown`; without meaning for `spend`.
    #[serde(default = "min_calls", deserialize_with = "crate::json::whole")]
    pub min_calls: u64,
}

const fn min_calls() -> u64 {
    MIN_CALLS_DEFAULT
}

/// Whether an alert's limit is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// There are too few calls to say, or nothing was counted yet.
    #[default]
    Unknown,
    /// It is not exceeded.
    Ok,
    /// It is.
    Firing,
}

impl AlertState {
    /// Its name in JSON, for example `firing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Firing => "firing",
        }
    }
}

/// What an alert's value was at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertReading {
    /// When it was read.
    pub at: Timestamp,
    /// The value; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The prompt with the highest value, where each is compared by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptName>,
    /// Calls in the period.
    pub calls: u64,
    /// Calls with a known cost; the cost of the others is unknown, and in no sum.
    pub priced_calls: u64,
    /// Why the value is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl AlertReading {
    /// Whether a value exceeds a threshold.
    pub fn state(&self, threshold: f64) -> AlertState {
        match self.value {
            None => AlertState::Unknown,
            Some(value) if value > threshold => AlertState::Firing,
            Some(_) => AlertState::Ok,
        }
    }
}

/// An alert, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Unique; 1 to 64 characters from a-z 0-9 . _ - @.
    pub name: String,
    /// What it watches.
    pub rule: AlertRule,
    /// When it was created.
    pub created: Timestamp,
    /// Its state.
    #[serde(default)]
    pub state: AlertState,
    /// Since when it has that state.
    pub since: Timestamp,
    /// Since when it fires, as far as webhooks were told: until `alert.resolved` is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing_since: Option<Timestamp>,
    /// When the last event was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_the_unit_of_their_metric() {
        for (metric, value, expected) in [
            (AlertMetric::Spend, 20.0, "$20.00"),
            (AlertMetric::Spend, 0.0123, "$0.0123"),
            (AlertMetric::ErrorRate, 0.05, "5%"),
            (AlertMetric::SpendGrowth, 0.505, "50.5%"),
            (AlertMetric::LatencyP95, 3_000.0, "3 s"),
            (AlertMetric::LatencyP95, 850.4, "850 ms"),
        ] {
            assert_eq!(metric.unit().text(value), expected, "{metric}");
        }
    }

    #[test]
    fn value_fires_above_its_threshold_and_not_at_it() {
        let reading = |value| AlertReading { value, ..AlertReading::default() };
        for (value, expected) in
            [(None, AlertState::Unknown), (Some(5.0), AlertState::Ok), (Some(5.1), AlertState::Firing)]
        {
            assert_eq!(reading(value).state(5.0), expected, "{value:?}");
        }
    }

    #[test]
    fn metric_is_read_by_its_name() {
        for metric in AlertMetric::ALL {
            assert_eq!(metric.as_str().parse(), Ok(metric));
            assert_eq!(serde_json::to_value(metric).expect("a word"), metric.as_str());
        }
        assert!("latency".parse::<AlertMetric>().is_err());
    }
}
