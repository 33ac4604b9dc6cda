//! The time axis: where to put marks, and their labels.

use jiff::civil::Date;
use jiff::tz::TimeZone;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The maximum number of steps of an axis, exclusive.
const MARKS_MAX: i64 = 10;
/// Common steps of less than a month, in milliseconds.
const STEPS_MS: [i64; 16] = [
    SECOND_MS,
    5 * SECOND_MS,
    15 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
];
/// Steps of a month and more, in months.
const STEPS_MONTHS: [i64; 8] = [1, 3, 6, 12, 24, 60, 120, 1_200];
/// A thousand years: longer periods do not occur in reports.
const STEP_MONTHS_MAX: i64 = 12_000;
/// The shortest month, in milliseconds.
const MONTH_MS: i64 = 28 * DAY_MS;
/// The first Monday after the start of 1970, in milliseconds: the start of a week.
const MONDAY_MS: i64 = 4 * DAY_MS;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A mark: a time in milliseconds since 1970, and its label.
pub(super) type Mark = (i64, String);

/// The position of a time between two others on an axis of this width; times outside are clamped.
pub(super) fn offset(at_ms: i64, (from_ms, to_ms): (i64, i64), width: i64) -> i64 {
    let length = i128::from(to_ms) - i128::from(from_ms);
    let passed = i128::from(at_ms.clamp(from_ms, to_ms)) - i128::from(from_ms);
    i64::try_from(passed * i128::from(width) / length.max(1)).unwrap_or_default()
}

/// Marks between two times, both in milliseconds since 1970; about ten, none outside.
pub(super) fn marks(from_ms: i64, to_ms: i64) -> Vec<Mark> {
    let span_ms = to_ms.saturating_sub(from_ms).max(1);
    if let Some(step_ms) = STEPS_MS.into_iter().find(|step| span_ms / step < MARKS_MAX) {
        return by_step(from_ms, to_ms, step_ms);
    }
    let months = STEPS_MONTHS.into_iter().find(|months| span_ms / (months * MONTH_MS) < MARKS_MAX);
    by_months(from_ms, to_ms, months.unwrap_or(STEP_MONTHS_MAX))
}

fn by_step(from_ms: i64, to_ms: i64, step_ms: i64) -> Vec<Mark> {
    let phase_ms = if step_ms >= 7 * DAY_MS { MONDAY_MS } else { 0 };
    let behind = from_ms.saturating_sub(phase_ms).rem_euclid(step_ms);
    let first = if behind == 0 { from_ms } else { from_ms.saturating_add(step_ms - behind) };
    let mut marks = Vec::new();
    let mut next = Some(first);
    while let Some(at) = next.filter(|at| *at <= to_ms) {
        marks.extend(label(at, step_ms, at == first).map(|label| (at, label)));
        next = at.checked_add(step_ms);
    }
    marks
}

/// The time of day, or the date at the start of a day; the first mark has both, and the year.
fn label(at_ms: i64, step_ms: i64, first: bool) -> Option<String> {
    let moment = jiff::Timestamp::from_millisecond(at_ms).ok()?.to_zoned(TimeZone::UTC);
    let month = MONTHS.get(usize::try_from(moment.month() - 1).ok()?)?;
    let day = if first || (moment.month() == 1 && moment.day() == 1) {
        format!("{} {month} {}", moment.day(), moment.year())
    } else {
        format!("{} {month}", moment.day())
    };
    let midnight = at_ms.rem_euclid(DAY_MS) == 0;
    let time = if step_ms < MINUTE_MS {
        format!("{:02}:{:02}:{:02}", moment.hour(), moment.minute(), moment.second())
    } else {
        format!("{:02}:{:02}", moment.hour(), moment.minute())
    };
    Some(match (midnight, first) {
        (true, _) => day,
        (false, true) => format!("{} {month} {time}", moment.day()),
        (false, false) => time,
    })
}

fn by_months(from_ms: i64, to_ms: i64, step: i64) -> Vec<Mark> {
    let Ok(begin) = jiff::Timestamp::from_millisecond(from_ms) else { return Vec::new() };
    let begin = begin.to_zoned(TimeZone::UTC);
    let mut month = i64::from(begin.year()) * 12 + i64::from(begin.month()) - 1;
    month -= month.rem_euclid(step);
    let mut marks = Vec::new();
    while let Some((at, label)) = month_mark(month, step).filter(|(at, _)| *at <= to_ms) {
        if at >= from_ms {
            marks.push((at, label));
        }
        month += step;
    }
    marks
}

/// The start of a month, counted from the year 0.
fn month_mark(month: i64, step: i64) -> Option<Mark> {
    let (year, index) = (month.div_euclid(12), month.rem_euclid(12));
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(index + 1).ok()?, 1).ok()?;
    let at = first.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    let name = MONTHS.get(usize::try_from(index).ok()?)?;
    Some((at, if step >= 12 { year.to_string() } else { format!("{name} {year}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn axis_marks_are_at_round_times() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            let found: Vec<String> = marks(ms(from), ms(to)).into_iter().map(|(_, label)| label).collect();
            assert_eq!(found, expected, "{from} {to}");
        };
        check(
            "2026-03-20T14:59:58Z",
            "2026-03-20T15:00:02Z",
            &["20 Mar 14:59:58", "14:59:59", "15:00:00", "15:00:01", "15:00:02"],
        );
        check(
            "2026-03-20T21:30:00Z",
            "2026-03-21T01:10:00Z",
            &["20 Mar 21:30", "22:00", "22:30", "23:00", "23:30", "21 Mar", "00:30", "01:00"],
        );
        check(
            "2025-12-30T00:00:00Z",
            "2026-01-03T00:00:00Z",
            &["30 Dec 2025", "12:00", "31 Dec", "12:00", "1 Jan 2026", "12:00", "2 Jan", "12:00", "3 Jan"],
        );
        check("2026-03-01T12:00:00Z", "2026-04-05T00:00:00Z", &["2 Mar 2026", "9 Mar", "16 Mar", "23 Mar", "30 Mar"]);
        check(
            "2025-11-15T00:00:00Z",
            "2026-06-02T00:00:00Z",
            &["Dec 2025", "Jan 2026", "Feb 2026", "Mar 2026", "Apr 2026", "May 2026", "Jun 2026"],
        );
        check(
            "2022-05-01T00:00:00Z",
            "2026-05-01T00:00:00Z",
            &["Jul 2022", "Jan 2023", "Jul 2023", "Jan 2024", "Jul 2024", "Jan 2025", "Jul 2025", "Jan 2026"],
        );
    }

    #[test]
    fn axis_marks_are_bounded_for_any_range() {
        for (from, to) in [(0, 0), (0, 1), (0, i64::MAX), (i64::MIN, i64::MAX), (5, -5), (0, 4_000_000_000_000)] {
            let marks = marks(from, to);
            assert!(marks.len() <= 12, "{from} {to}: {}", marks.len());
        }
    }
}
