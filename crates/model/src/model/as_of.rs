//! A past time as people write it: absolute or relative, with a precision from a day to a millisecond.
//!
//! | written | means |
//! |---|---|
//! | `2026-03-20`, `today`, `yesterday`, `tuesday`, `tue` | the start of that day |
//! | `2026-03-20 15:00`, `yesterday 15:00:07`, `tuesday 15:00` | that time of that day |
//! | `15:00` | that time, today or yesterday |
//! | `2h`, `2h ago`, `3 days ago`, `1h30m` | so long ago; units are `s`, `m`, `h`, `d`, `w` and their names |
//! | `now` | now |
//! | `2026-03-20T15:00:00Z`, `2026-03-20 15:00+02:00`, `tuesday 15:00 UTC` | the same in a zone that is named |
//!
//! Without a zone, a time is in the zone of the caller. A weekday or a time of day alone is the last one that is not in
//! the future. A time that clocks skip is taken as if they had not, and of one that they repeat the first.

use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Zoned};

use super::time::Timestamp;

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;
/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 64;
/// Units of a length of time with their names, in milliseconds.
const UNITS: [(&[&str], i64); 5] = [
    (&["s", "sec", "secs", "second", "seconds"], SECOND_MS),
    (&["m", "min", "mins", "minute", "minutes"], 60 * SECOND_MS),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * SECOND_MS),
    (&["d", "day", "days"], DAY_MS),
    (&["w", "week", "weeks"], 7 * DAY_MS),
];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// A time in a question about the past: parts that are left out are zero, so a date means its first moment.
///
/// A time to the second means all of that second: times are printed without milliseconds, and a printed one finds what
/// happened then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    first: Timestamp,
    last: Timestamp,
    /// The first moment after it, as the end of a period.
    end: Timestamp,
    is_date: bool,
}

/// Why a text is not a valid past time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsOfError {
    /// It is not a time.
    #[error(
        "`{0}` is not a time; write 2026-03-20, 2026-03-20 15:00, 2h, yesterday, tuesday 15:00 or 2026-03-20T15:00:00Z"
    )]
    Form(String),
    /// It is in the future.
    #[error("{0} is in the future; leave the time out for what is served now")]
    Future(Timestamp),
}

impl AsOf {
    /// Exactly this moment.
    pub const fn at(at: Timestamp) -> Self {
        Self { first: at, last: at, end: at, is_date: false }
    }

    /// Reads a time, given the current one and the zone of the caller.
    ///
    /// # Errors
    /// [`AsOfError::Form`]; a time in the future is no error here.
    pub fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Self, AsOfError> {
        let lower = text.trim().to_ascii_lowercase();
        let found = if lower.len() > TEXT_BYTES_MAX {
            None
        } else if lower == "now" {
            Some(Self::at(now))
        } else {
            match ago(&lower) {
                Some(ms) => Some(Self::at(Timestamp::from_ms(now.ms().saturating_sub(ms)))),
                None => written(&lower, Some(now), zone),
            }
        };
        found.ok_or_else(|| AsOfError::Form(text.trim().chars().take(TEXT_BYTES_MAX).collect()))
    }

    /// The same for a caller in UTC.
    ///
    /// # Errors
    /// [`AsOfError::Form`].
    pub fn in_utc(text: &str, now: Timestamp) -> Result<Self, AsOfError> {
        Self::read(text, now, &TimeZone::UTC)
    }

    /// Reads a time that does not depend on the current one; in UTC if it names no zone.
    ///
    /// # Errors
    /// [`AsOfError::Form`].
    pub fn absolute(text: &str) -> Result<Self, AsOfError> {
        let lower = text.trim().to_ascii_lowercase();
        let found = if lower.len() > TEXT_BYTES_MAX { None } else { written(&lower, None, &TimeZone::UTC) };
        found.ok_or_else(|| AsOfError::Form(text.trim().chars().take(TEXT_BYTES_MAX).collect()))
    }

    /// The first moment that it can mean.
    pub const fn first(self) -> Timestamp {
        self.first
    }

    /// The end of a period (exclusive): a date is part of it.
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// Whether it is a date alone.
    pub const fn is_date(self) -> bool {
        self.is_date
    }

    /// The time to query; absent if that is now.
    ///
    /// # Errors
    /// It is in the future.
    pub fn moment(self, now: Timestamp) -> Result<Option<Timestamp>, AsOfError> {
        if self.first > now {
            return Err(AsOfError::Future(self.first));
        }
        Ok((self.last < now).then_some(self.last))
    }
}

/// `2h`, `1h30m`, `3 days ago`: how many milliseconds; absent if it is not a length of time, or zero.
fn ago(text: &str) -> Option<i64> {
    let mut rest = text.strip_suffix("ago").unwrap_or(text).trim_end();
    let mut ms: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at_checked(letters)?;
        let (_, unit_ms) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        ms = number.parse::<i64>().ok()?.checked_mul(*unit_ms).and_then(|more| ms.checked_add(more))?;
        rest = after.trim_start();
    }
    (ms > 0).then_some(ms)
}

/// A day, a time of day, or both. Without the current time, the day is a date.
fn written(text: &str, now: Option<Timestamp>, zone: &TimeZone) -> Option<AsOf> {
    // The `t` of RFC 3339, behind a date.
    let parted = match text.split_at_checked(10) {
        Some((date, rest)) if rest.starts_with('t') && date.parse::<Date>().is_ok() => {
            let time = rest.strip_prefix('t').filter(|time| !time.is_empty())?;
            format!("{date} {time}")
        }
        _ => text.to_owned(),
    };
    let mut words: Vec<&str> = parted.split_whitespace().collect();
    let zone = match words.last() {
        Some(&("utc" | "gmt" | "z")) if words.len() > 1 => {
            words.pop();
            TimeZone::UTC
        }
        _ => zone.clone(),
    };
    let (clock, zone) = match words.last().copied().filter(|word| word.get(2..3) == Some(":")) {
        Some(word) => {
            words.pop();
            let (clock, named) = Clock::read(word)?;
            (Some(clock), named.unwrap_or(zone))
        }
        None => (None, zone),
    };
    let today = || {
        let now = jiff::Timestamp::from_millisecond(now?.ms()).ok()?;
        Some(now.to_zoned(zone.clone()).date())
    };
    let (date, days_before) = match words.as_slice() {
        ["today"] => (today()?, None),
        ["yesterday"] => (today()?.yesterday().ok()?, None),
        ["last", day] | [day] if weekday(day).is_some() => {
            let since = i64::from(today()?.weekday().since(weekday(day)?));
            (today()?.checked_sub(Span::new().days(since)).ok()?, Some(7))
        }
        [] if clock.is_some() => (today()?, Some(1)),
        [date] if is_date(date) => (date.parse().ok()?, None),
        _ => return None,
    };
    let found = on(date, clock, &zone)?;
    match (days_before, now) {
        (Some(days), Some(now)) if found.first > now => {
            on(date.checked_sub(Span::new().days(days)).ok()?, clock, &zone)
        }
        _ => Some(found),
    }
}

/// A time on a day.
fn on(date: Date, clock: Option<Clock>, zone: &TimeZone) -> Option<AsOf> {
    let at = |date: Date, time: Time| {
        let zoned: Zoned = DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?;
        Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
    };
    let Some(Clock { time, is_second }) = clock else {
        let first = at(date, Time::midnight())?;
        return Some(AsOf { first, last: first, end: at(date.tomorrow().ok()?, Time::midnight())?, is_date: true });
    };
    let first = at(date, time)?;
    let more_ms = if is_second { SECOND_MS - 1 } else { 0 };
    let last = Timestamp::from_ms(first.ms().saturating_add(more_ms));
    Some(AsOf { first, last, end: first, is_date: false })
}

/// A time of day.
#[derive(Clone, Copy, Debug)]
struct Clock {
    time: Time,
    /// Whether it was given to the second.
    is_second: bool,
}

impl Clock {
    /// Reads `15:00`, `15:00:07` or `15:00:07.125`, with `Z` or an offset such as `+02:00` if one follows.
    fn read(text: &str) -> Option<(Self, Option<TimeZone>)> {
        let at = text.find(['z', '+', '-']).unwrap_or(text.len());
        let (time, named) = text.split_at_checked(at)?;
        let plain = time.len() == 5 || time.get(5..6) == Some(":") && (time.len() == 8 || time.get(8..9) == Some("."));
        let time_of_day = Time::from_str(time).ok().filter(|_| plain)?;
        let named = match named {
            "" => None,
            "z" => Some(TimeZone::UTC),
            offset => Some(offset_zone(offset)?),
        };
        Some((Self { time: time_of_day, is_second: time.len() == 8 }, named))
    }
}

/// `+02:00`, `-0330` or `+02`.
fn offset_zone(text: &str) -> Option<TimeZone> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = match digits.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => [hours, minutes].concat(),
        Some(_) => return None,
        None => digits.to_owned(),
    };
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse::<i32>().ok());
    let (hours, minutes) = (part(0..2)?, part(2..4)?);
    let seconds = hours * 3_600 + minutes * 60;
    let seconds = if sign == "-" { -seconds } else { seconds };
    (hours < 24 && minutes < 60).then(|| Offset::from_seconds(seconds).ok().map(TimeZone::fixed)).flatten()
}

/// A weekday by its name or the first three letters of it.
fn weekday(text: &str) -> Option<Weekday> {
    let named = |(name, _): &&(&str, Weekday)| *name == text || name.get(..3) == Some(text);
    WEEKDAYS.iter().find(named).map(|(_, day)| *day)
}

/// Whether it has the form `2026-03-20`.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(
            |(at, byte)| {
                if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
            },
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Clocks as in Vienna, without a database of time zones.
    fn vienna() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn date_and_minute_mean_their_start_and_a_second_means_all_of_it() {
        let now = time("2026-11-28T12:00:00.500Z");
        for (text, expected) in [
            ("2026-03-20", Some("2026-03-20T00:00:00Z")),
            ("2026-03-20 15:00", Some("2026-03-20T15:00:00Z")),
            ("2026-03-20T15:00", Some("2026-03-20T15:00:00Z")),
            ("2026-03-20 15:00:07", Some("2026-03-20T15:00:07.999Z")),
            ("2026-03-20T15:00:07Z", Some("2026-03-20T15:00:07.999Z")),
            ("2026-03-20t15:00:07z", Some("2026-03-20T15:00:07.999Z")),
            ("2026-03-20T15:00:07+02:00", Some("2026-03-20T13:00:07.999Z")),
            ("2026-03-20 15:00-0330", Some("2026-03-20T18:30:00Z")),
            ("2026-03-20T15:00:07.125Z", Some("2026-03-20T15:00:07.125Z")),
            ("2026-11-28T12:00:00Z", None),
            ("2026-11-28", Some("2026-11-28T00:00:00Z")),
        ] {
            let as_of = AsOf::read(text, now, &TimeZone::UTC).expect(text);
            let moment = as_of.moment(now).expect(text);
            assert_eq!(moment.map(|moment| moment.to_string()), expected.map(str::to_owned), "{text}");
            assert_eq!(AsOf::absolute(text), Ok(as_of), "{text}");
        }
    }

    #[test]
    fn words_and_times_without_a_zone_are_in_the_zone_of_the_caller() {
        // A Saturday, 13:00 in Vienna.
        let now = time("2026-11-28T12:00:00Z");
        for (text, expected) in [
            ("2026-03-20", "2026-03-19T23:00:00Z"),
            ("2026-07-20 15:00", "2026-07-20T13:00:00Z"),
            ("2026-07-20 15:00Z", "2026-07-20T15:00:00Z"),
            ("2026-07-20 15:00 UTC", "2026-07-20T15:00:00Z"),
            ("today", "2026-11-27T23:00:00Z"),
            ("Yesterday", "2026-11-26T23:00:00Z"),
            ("yesterday 15:00", "2026-11-27T14:00:00Z"),
            ("tuesday 15:00", "2026-11-24T14:00:00Z"),
            ("last Tue 15:00", "2026-11-24T14:00:00Z"),
            ("saturday", "2026-11-27T23:00:00Z"),
            ("saturday 12:59", "2026-11-28T11:59:00Z"),
            ("saturday 13:01", "2026-11-21T12:01:00Z"),
            ("12:00", "2026-11-28T11:00:00Z"),
            ("13:01", "2026-11-27T12:01:00Z"),
            ("13:01 UTC", "2026-11-27T13:01:00Z"),
            ("now", "2026-11-28T12:00:00Z"),
            ("2h", "2026-11-28T10:00:00Z"),
            ("2h ago", "2026-11-28T10:00:00Z"),
            ("2 hours ago", "2026-11-28T10:00:00Z"),
            ("1h30m", "2026-11-28T10:30:00Z"),
            ("1 day 2 hours ago", "2026-11-27T10:00:00Z"),
            ("2w", "2026-11-14T12:00:00Z"),
            // Clocks skip 02:30 and repeat it.
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(AsOf::read(text, now, &vienna()).expect(text).first().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_period_ends_after_a_day_of_the_zone_and_exactly_at_a_time() {
        let now = time("2026-11-28T12:00:00Z");
        for (text, expected) in [
            ("2026-03-29", "2026-03-29T22:00:00Z"),
            ("yesterday", "2026-11-27T23:00:00Z"),
            ("2026-03-29 15:00", "2026-03-29T13:00:00Z"),
            ("2h", "2026-11-28T10:00:00Z"),
        ] {
            assert_eq!(AsOf::read(text, now, &vienna()).expect(text).end().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn future_time_and_no_time_are_refused_with_the_text() {
        let now = time("2026-11-28T12:00:00Z");
        let read = |text: &str| AsOf::read(text, now, &TimeZone::UTC);
        let future = read("2026-11-28 12:01").expect("a time").moment(now).expect_err("the future");
        assert!(future.to_string().starts_with("2026-11-28T12:01:00Z is in the future"), "{future}");
        assert!(read("today 12:01").expect("a time").moment(now).is_err());
        for text in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-03-20T",
            "2026-03-20 15",
            "2026-03-20T15:00:00X",
            "é 15:00",
            "2",
            "h",
            "0h",
            "2y",
            "2h later",
            "-2h",
            "2 h 3",
            "ago",
            "last",
            "last year",
            "tues",
            "2026-03-20 25:00",
            "utc",
            "15:00 +99:00",
            "15:00+24:00",
            "15:00+1:00",
            "15:0",
            "15:00:7",
            "tuesday tuesday",
            "99999999999999999999s",
            "20260320",
            "2026-3-20",
            "15:00 15:00",
        ] {
            let wrong = read(text).expect_err(text).to_string();
            assert!(wrong.contains(&format!("`{text}`")) && wrong.contains("2026-03-20 15:00"), "{wrong}");
        }
        for text in ["yesterday", "15:00", "tuesday", "2h", "now"] {
            assert!(AsOf::absolute(text).is_err(), "{text} depends on the current time");
        }
        let long = read(&"9".repeat(10_000)).expect_err("too long").to_string();
        assert!(long.len() < 300, "{long}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}", ms in -1_000_000_000_000_i64..4_000_000_000_000) {
            let now = Timestamp::from_ms(ms);
            let read = AsOf::read(&text, now, &vienna());
            if let Ok(at) = read {
                prop_assert!(at.first() <= at.end() && at.moment(now).map_or(true, |at| at <= Some(now)));
            }
        }

        /// A printed time means the moment that it was printed for, in the zone that it was printed in.
        #[test]
        fn printed_time_reads_back(seconds in 0_i64..4_000_000_000, minutes in -840_i32..840) {
            let at = Timestamp::from_seconds(seconds);
            let now = Timestamp::from_seconds(5_000_000_000);
            let zone = TimeZone::fixed(Offset::from_seconds(minutes * 60).expect("an offset"));
            let zoned = jiff::Timestamp::from_second(seconds).expect("a time").to_zoned(zone.clone());
            for format in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%d %H:%M:%S%z"] {
                let printed = zoned.strftime(format).to_string();
                let read = AsOf::read(&printed, now, &zone).expect("a time");
                prop_assert_eq!(read.first(), at, "{}", &printed);
                prop_assert_eq!(read.moment(now).expect("past").expect("a moment").seconds(), seconds);
            }
            prop_assert_eq!(AsOf::read(&at.to_string(), now, &zone).expect("a time").first(), at);
        }

        /// Relative times are in the past, in the week before, at the time of day that was asked for.
        #[test]
        fn weekday_is_the_last_one_that_is_not_in_the_future(
            seconds in 0_i64..4_000_000_000, day in 0_usize..7, hour in 4_i8..24, minute in 0_i8..60,
        ) {
            let (now, zone) = (Timestamp::from_seconds(seconds), vienna());
            let (name, weekday) = WEEKDAYS[day];
            let text = format!("{name} {hour:02}:{minute:02}");
            let at = AsOf::read(&text, now, &zone).expect("a time").first();
            let zoned = jiff::Timestamp::from_millisecond(at.ms()).expect("a time").to_zoned(zone);
            prop_assert_eq!((zoned.weekday(), zoned.hour(), zoned.minute()), (weekday, hour, minute));
            let age_ms = now.ms() - at.ms();
            prop_assert!((0..=7 * DAY_MS + 3_600_000).contains(&age_ms), "{} at {} is {} ms ago", text, now, age_ms);
        }

        /// A length of time can be written in parts, and counts back from now.
        #[test]
        fn lengths_of_time_add_up(days in 0_i64..10_000, hours in 0_i64..100, seconds in 1_i64..100) {
            let now = Timestamp::from_ms(2_000_000_000_123);
            let ms = days * DAY_MS + hours * 3_600_000 + seconds * 1_000;
            for text in [format!("{days}d{hours}h{seconds}s"), format!("{days} days {hours} hours {seconds} seconds ago")] {
                prop_assert_eq!(AsOf::read(&text, now, &vienna()).expect("a time").first().ms(), now.ms() - ms);
            }
        }
    }
}
