//! Points in time, as the registry records and prints them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use super::schema::{built_schema, text};

/// The first time that can be printed, in milliseconds since 1970.
const MS_MIN: i64 = -377_705_023_201_000;
/// The last time that can be printed, in milliseconds since 1970.
const MS_MAX: i64 = 253_402_207_200_000;

/// A time in UTC, in milliseconds since 1970; printed as RFC 3339, which parses back to the same value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

built_schema!(
    Timestamp = text("A moment, as RFC 3339, to the millisecond.", "2026-03-20T15:00:00Z")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
);

/// The text is not a time that the registry can record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid time `{0}`: use RFC 3339, for example 2026-03-20T15:00:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// The time this many milliseconds after the start of 1970, UTC, clamped to what can be printed.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        if ms < MS_MIN {
            Self(MS_MIN)
        } else if ms > MS_MAX {
            Self(MS_MAX)
        } else {
            Self(ms)
        }
    }

    /// The time this many seconds after the start of 1970, UTC, clamped in the same way.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_ms(seconds.saturating_mul(1_000))
    }

    /// Milliseconds since the start of 1970, UTC.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the start of 1970, UTC.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", jiff::Timestamp::from_millisecond(self.0).unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()))
            .map_err(|_| TimestampError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_reads_back_as_printed() {
        for text in ["2022-12-14T00:44:50Z", "2026-03-20T03:50:42.125Z", "1969-12-31T23:59:59Z"] {
            let moment: Timestamp = text.parse().expect("an RFC 3339 text");
            assert_eq!(moment.to_string(), text);
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn time_out_of_range_is_clamped() {
        for (ms, expected) in [(i64::MIN, MS_MIN), (MS_MIN - 1, MS_MIN), (MS_MAX + 1, MS_MAX), (i64::MAX, MS_MAX)] {
            let moment = Timestamp::from_ms(ms);
            assert_eq!(moment.ms(), expected);
            assert_eq!(moment.to_string().parse(), Ok(moment));
        }
        assert_eq!(Timestamp::from_ms(0).to_string(), "1970-01-01T00:00:00Z");
    }
}
