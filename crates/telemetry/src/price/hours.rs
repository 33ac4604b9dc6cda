//! Times of the week, for prices that change with them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds in a day, without leap seconds.
const DAY_MS: i64 = 86_400_000;
/// Minutes in a day.
const DAY_MINUTES: u16 = 1_440;
/// The day of the week on which 1970 began: Thursday.
const FIRST_DAY: i64 = 4;

/// The same hours of some days of every week, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Days of the week, from 1 for Monday to 7 for Sunday.
    pub days: Vec<u8>,
    /// When they begin, for example `04:00`.
    pub from: TimeOfDay,
    /// When they have ended: later on the same day, at most `24:00`.
    pub to: TimeOfDay,
}

impl Hours {
    /// Whether a moment is in them, in milliseconds since 1970.
    #[must_use]
    pub fn contain(&self, ms: i64) -> bool {
        let day = (ms.div_euclid(DAY_MS) + FIRST_DAY - 1).rem_euclid(7) + 1;
        let minute = ms.rem_euclid(DAY_MS) / 60_000;
        let today = self.days.iter().any(|known| i64::from(*known) == day);
        today && i64::from(self.from.0) <= minute && minute < i64::from(self.to.0)
    }

    /// Whether there is a day, all days are days, and they begin before they end.
    pub(super) fn are_valid(&self) -> bool {
        (1..=7).contains(&self.days.len()) && self.days.iter().all(|day| (1..=7).contains(day)) && self.from < self.to
    }
}

/// A time of day to the minute, from `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// The text is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid time of day \"{0}\": use 00:00 to 24:00")]
pub struct TimeOfDayError(String);

impl TimeOfDay {
    /// The first minute of a day.
    pub(super) const START: Self = Self(0);
    /// The end of a day.
    pub(super) const END: Self = Self(DAY_MINUTES);
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = TimeOfDayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits)
        };
        let minutes = text.split_once(':').and_then(|(hours, minutes)| {
            let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
            Some(number(hours)? * 60 + minutes)
        });
        let time = minutes.filter(|minutes| *minutes <= DAY_MINUTES).map(Self);
        time.ok_or_else(|| TimeOfDayError(text.chars().take(16).collect()))
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = TimeOfDayError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn contain(hours: &Hours, at: &str) -> bool {
        hours.contain(at.parse::<Timestamp>().expect("a time").ms())
    }

    #[test]
    fn hours_hold_from_their_first_minute_to_before_their_last_on_their_days() {
        let hours: Hours =
            serde_json::from_str(r#"{ "days": [1, 7], "from": "04:00", "to": "24:00" }"#).expect("hours");
        // 2026-11-16 was a Monday.
        for (at, within) in [
            ("2026-11-16T03:59:59.999Z", false),
            ("2026-11-16T04:00:00Z", true),
            ("2026-11-16T23:59:59.999Z", true),
            ("2026-11-17T12:00:00Z", false),
            ("2026-11-22T12:00:00Z", true),
            ("1969-12-29T12:00:00Z", true),
            ("1970-01-01T12:00:00Z", false),
        ] {
            assert_eq!(contain(&hours, at), within, "{at}");
        }
        assert_eq!(serde_json::to_string(&hours).expect("JSON"), r#"{"days":[1,7],"from":"04:00","to":"24:00"}"#);
    }

    #[test]
    fn texts_that_are_no_time_of_day_are_refused() {
        for text in ["", "4:00", "04:60", "24:01", "+4:00", "04:00:00", "é:00", "12"] {
            let message = format!("invalid time of day \"{text}\": use 00:00 to 24:00");
            assert_eq!(text.parse::<TimeOfDay>().expect_err("no time").to_string(), message);
        }
    }
}
