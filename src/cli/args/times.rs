//! Times on the command line, in the time zone of this machine unless they name one.

use std::sync::LazyLock;

use jiff::tz::TimeZone;

use crate::clock::{Clock, SystemClock};
use crate::model::as_of::AsOf;
use crate::model::since::Since;
use crate::model::time::Timestamp;

/// The zone of this machine: `TZ` or `/etc/localtime`; UTC if neither is known. Unit tests have UTC.
static ZONE: LazyLock<TimeZone> = LazyLock::new(|| if cfg!(test) { TimeZone::UTC } else { TimeZone::system() });

/// The current time.
pub fn now() -> Timestamp {
    Timestamp::from_ms(SystemClock::new().now_ms())
}

/// The zone of this machine.
pub fn zone() -> &'static TimeZone {
    &ZONE
}

/// Reads a time in the past, for clap.
pub fn time(text: &str) -> Result<AsOf, String> {
    AsOf::read(text, now(), zone()).map_err(|error| error.to_string())
}

/// Reads the start of a period, for clap.
pub fn since(text: &str) -> Result<Since, String> {
    period(text, AsOf::first)
}

/// Reads the end of a period, for clap: a date is part of it.
pub fn until(text: &str) -> Result<Since, String> {
    period(text, AsOf::end)
}

/// A length of time is sent as it is, so that the answer shows the period as it was asked for.
fn period(text: &str, side: fn(AsOf) -> Timestamp) -> Result<Since, String> {
    match text.parse::<Since>() {
        Ok(ago @ Since::Ago(_)) => Ok(ago),
        _ => time(text).map(|at| Since::At(side(at))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn period_is_sent_as_a_length_or_as_its_ends() {
        let shown = |read: fn(&str) -> Result<Since, String>, text| read(text).expect(text).to_string();
        assert_eq!((shown(since, "7d"), shown(until, "24h")), ("7d".to_owned(), "1d".to_owned()));
        assert_eq!(shown(since, "2026-03-20"), "2026-03-20T00:00:00Z");
        assert_eq!(shown(until, "2026-03-20"), "2026-03-21T00:00:00Z");
        assert_eq!(shown(until, "2026-03-20 15:00"), "2026-03-20T15:00:00Z");
        let yesterday = since("yesterday").expect("a day").start(now()).ms();
        assert!((86_400_000..=2 * 86_400_000).contains(&(now().ms() - yesterday)));
        assert!(since("someday").expect_err("no time").contains("write 2026-03-20"));
    }
}
