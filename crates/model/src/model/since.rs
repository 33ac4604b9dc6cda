//! A time as people write it in a question about a period: how long ago, or when.

use std::fmt;
use std::str::FromStr;

use super::as_of::AsOf;
use super::schema::{built_schema, format, text};
use super::time::Timestamp;

const DAY_MS: i64 = 86_400_000;
/// Units of a length of time, in milliseconds.
const UNITS_MS: [(char, i64); 5] = [('w', 7 * DAY_MS), ('d', DAY_MS), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];

/// Length of a date such as `2026-03-20`.
const DATE_CHARACTERS: usize = 10;

/// A moment: so many milliseconds ago, a time, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This many milliseconds ago.
    Ago(i64),
    /// At this time.
    At(Timestamp),
    /// On the day with this first moment, in UTC.
    Day(Timestamp),
}

built_schema!(
    Since = text("How long ago, such as `7d` or `24h`, or when, such as `2026-03-20` or `2026-03-20T15:00:00Z`.", "7d")
        .format(format("time-or-period"))
        .min_length(Some(1))
);

/// The text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time; write how long ago, such as 7d or 24h, or when, such as 2026-03-20 or 2026-03-20T15:00:00Z"
)]
pub struct SinceError(String);

impl Since {
    /// So many days ago.
    pub const fn days(days: i64) -> Self {
        Self::Ago(days.saturating_mul(DAY_MS))
    }

    /// The start of a period, at a time.
    pub const fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ms) => Timestamp::from_ms(now.ms().saturating_sub(ms)),
            Self::At(at) | Self::Day(at) => at,
        }
    }

    /// The end of a period (exclusive), at a time: a day is part of it.
    pub const fn end(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Day(at) => Timestamp::from_ms(at.ms().saturating_add(DAY_MS)),
            Self::Ago(_) | Self::At(_) => self.start(now),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => at.fmt(f),
            Self::Day(at) => f.write_str(at.to_string().get(..DATE_CHARACTERS).unwrap_or_default()),
            Self::Ago(ms) => {
                // The largest unit that divides it; weeks are written as days.
                let unit = UNITS_MS.iter().skip(1).find(|(_, unit_ms)| ms % unit_ms == 0).unwrap_or(&('s', 1_000));
                write!(f, "{}{}", ms / unit.1, unit.0)
            }
        }
    }
}

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = || SinceError(text.chars().take(64).collect());
        let unit = UNITS_MS.into_iter().find_map(|(unit, unit_ms)| Some((text.strip_suffix(unit)?, unit_ms)));
        match unit.filter(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((number, unit_ms)) => {
                let ms = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ms));
                ms.filter(|ms| *ms > 0).map(Self::Ago).ok_or_else(wrong)
            }
            None => match AsOf::absolute(text) {
                Ok(at) if at.is_date() => Ok(Self::Day(at.first())),
                Ok(at) => Ok(Self::At(at.first())),
                Err(_) => Err(wrong()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_after_a_day_and_exactly_at_a_time() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("2026-03-31", "2026-04-01T00:00:00Z"),
            ("2026-03-31 15:00", "2026-03-31T15:00:00Z"),
            ("2026-03-31T15:00:07Z", "2026-03-31T15:00:07Z"),
            ("1d", "2026-11-27T12:00:00Z"),
        ] {
            let since: Since = text.parse().expect(text);
            assert_eq!(since.end(now).to_string(), expected, "{text}");
            assert_eq!(since.to_string().parse(), Ok(since), "{text}: a client sends it as it was written");
        }
    }

    #[test]
    fn periods_begin_so_long_ago_or_at_the_start_of_the_given_unit() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        for (text, expected, shown) in [
            ("7d", "2026-11-21T12:00:00Z", "7d"),
            ("24h", "2026-11-27T12:00:00Z", "1d"),
            ("90m", "2026-11-28T10:30:00Z", "90m"),
            ("2w", "2026-11-14T12:00:00Z", "14d"),
            (" 30s ", "2026-11-28T11:59:30Z", "30s"),
            ("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-20"),
            ("2026-11-20 15:00", "2026-11-20T15:00:00Z", "2026-11-20T15:00:00Z"),
            ("2026-11-20T15:00:00.5Z", "2026-11-20T15:00:00.5Z", "2026-11-20T15:00:00.5Z"),
        ] {
            let since: Since = text.parse().expect(text);
            assert_eq!(
                (since.start(now).to_string().as_str(), since.to_string().as_str()),
                (expected, shown),
                "{text}"
            );
        }
        for text in ["", "d", "0d", "-7d", "1.5h", "7", "7y", "yesterday", "99999999999999999999d", "9999999999999999d"]
        {
            let wrong = text.parse::<Since>().expect_err(text).to_string();
            assert!(wrong.contains("7d"), "{wrong}");
        }
    }
}
