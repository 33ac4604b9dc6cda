//! A past time as people write it, with a precision from a day to a millisecond.

use std::str::FromStr;

use super::time::Timestamp;

const SECOND_MS: i64 = 1_000;

/// A time in a question about the past: parts that are left out are zero, so a date means its first moment.
///
/// A time to the second means all of that second: times are printed without milliseconds, and a printed one finds what
/// happened then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    first: Timestamp,
    last: Timestamp,
    is_date: bool,
}

/// Why a text is not a valid past time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsOfError {
    /// It is not a time.
    #[error(
        "`{0}` is not a time; write 2026-03-20, 2026-03-20 15:00 or 2026-03-20T15:00:00Z, in UTC where you name no zone"
    )]
    Form(String),
    /// It is in the future.
    #[error("{0} is in the future; leave the time out for what is served now")]
    Future(Timestamp),
}

impl AsOf {
    /// The first moment that it can mean.
    pub const fn first(self) -> Timestamp {
        self.first
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

impl FromStr for AsOf {
    type Err = AsOfError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AsOfError::Form(text.chars().take(64).collect());
        let whole = text.trim().replacen(' ', "T", 1);
        let (date, rest) = whole.split_once('T').unwrap_or((&whole, ""));
        let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (time, zone) = rest.split_at_checked(zone_at).ok_or_else(wrong)?;
        let is_date = rest.is_empty() && !whole.ends_with('T');
        let (time, more_ms) = match time.len() {
            0 if is_date => ("00:00:00".to_owned(), 0),
            5 => (format!("{time}:00"), 0),
            8 => (time.to_owned(), SECOND_MS - 1),
            9.. => (time.to_owned(), 0),
            _ => return Err(wrong()),
        };
        let zone = if zone.is_empty() { "Z" } else { zone };
        let first: Timestamp = format!("{date}T{time}{zone}").parse().map_err(|_| wrong())?;
        let last = Timestamp::from_ms(first.ms().saturating_add(more_ms));
        Ok(Self { first, last, is_date })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_and_minute_mean_their_start_and_a_second_means_all_of_it() {
        let now: Timestamp = "2026-11-28T12:00:00.500Z".parse().expect("a time");
        for (text, expected) in [
            ("2026-03-20", Some("2026-03-20T00:00:00Z")),
            ("2026-03-20 15:00", Some("2026-03-20T15:00:00Z")),
            ("2026-03-20T15:00", Some("2026-03-20T15:00:00Z")),
            ("2026-03-20 15:00:07", Some("2026-03-20T15:00:07.999Z")),
            ("2026-03-20T15:00:07Z", Some("2026-03-20T15:00:07.999Z")),
            ("2026-03-20T15:00:07+02:00", Some("2026-03-20T13:00:07.999Z")),
            ("2026-03-20T15:00:07.125Z", Some("2026-03-20T15:00:07.125Z")),
            ("2026-11-28T12:00:00Z", None),
            ("2026-11-28", Some("2026-11-28T00:00:00Z")),
        ] {
            let as_of: AsOf = text.parse().expect(text);
            let moment = as_of.moment(now).expect(text);
            assert_eq!(moment.map(|moment| moment.to_string()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn future_time_and_no_time_are_refused_with_the_text() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        let future = "2026-11-28 12:01".parse::<AsOf>().expect("a time").moment(now).expect_err("the future");
        assert!(future.to_string().starts_with("2026-11-28T12:01:00Z is in the future"), "{future}");
        for text in ["", "yesterday", "2026-13-01", "2026-03-20T", "2026-03-20 15", "2026-03-20T15:00:00X", "é 15:00"]
        {
            let wrong = text.parse::<AsOf>().expect_err(text).to_string();
            assert!(wrong.contains(&format!("`{text}`")) && wrong.contains("2026-03-20 15:00"), "{wrong}");
        }
    }
}
