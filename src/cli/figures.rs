//! How verbs write figures: shares, durations, large numbers, series over time, and tables for spreadsheets.

use super::error::CliError;
use super::output::Output;
use crate::governance::report::csv::write_row;

/// The blocks of a sparkline, by height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Most characters of a sparkline; more points are combined.
const SPARKLINE_WIDTH: usize = 24;
/// What stands for a figure that is not known.
pub const UNKNOWN: &str = "—";

/// A share of a whole as a percentage.
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => UNKNOWN.to_owned(),
        Some(share) if share > 0.0 && share < 0.001 => "<0.1%".to_owned(),
        Some(share) if share > 0.999 && share < 1.0 => ">99.9%".to_owned(),
        Some(share) if share == 0.0 || share >= 0.1 => format!("{:.0}%", share * 100.0),
        Some(share) => format!("{:.1}%", share * 100.0),
    }
}

/// A change against what was before, with its sign.
pub fn change(before: f64, after: f64) -> String {
    if before == 0.0 {
        return if after == 0.0 { "0%" } else { "new" }.to_owned();
    }
    let change = (after - before) / before * 100.0;
    if change.abs() < 0.05 { "0%".to_owned() } else { format!("{change:+.1}%") }
}

/// A duration in milliseconds.
pub fn duration(ms: Option<f64>) -> String {
    match ms {
        None => UNKNOWN.to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) if ms < 100_000.0 => format!("{:.2} s", ms / 1_000.0),
        Some(ms) => format!("{:.0} s", ms / 1_000.0),
    }
}

/// A score, or a mean of scores.
pub fn score(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| trimmed(&format!("{value:.3}")))
}

/// A number without zeros behind its decimal point.
fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// A large number in three digits, such as `12.3k`.
pub fn compact(number: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let float = number as f64;
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", trimmed(&format!("{:.1}", float / 1e3))),
        1_000_000..1_000_000_000 => format!("{}M", trimmed(&format!("{:.1}", float / 1e6))),
        _ => format!("{}G", trimmed(&format!("{:.1}", float / 1e9))),
    }
}

/// A series over time as Unicode blocks: places of a period from 0 to 1, with values. Points that fall on one block are
/// added.
pub fn sparkline(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut sums = [0.0_f64; SPARKLINE_WIDTH];
    for (place, value) in points {
        if let Some(sum) = sums.get_mut(slot(place, SPARKLINE_WIDTH)) {
            *sum += value;
        }
    }
    let highest = sums.iter().copied().fold(0.0, f64::max);
    let block = |sum: f64| {
        if sum <= 0.0 {
            return ' ';
        }
        BLOCKS.get(slot(sum / highest, BLOCKS.len())).copied().unwrap_or('█')
    };
    sums.into_iter().map(block).collect()
}

/// Which of so many equal parts a place from 0 to 1 is in.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped first"
)]
fn slot(place: f64, parts: usize) -> usize {
    ((place.clamp(0.0, 1.0) * parts as f64) as usize).min(parts.saturating_sub(1))
}

/// Prints rows for spreadsheets; no cell can become a formula.
pub fn csv(output: Output, rows: &[Vec<String>]) -> Result<(), CliError> {
    let mut bytes = Vec::new();
    for row in rows {
        write_row(&mut bytes, row)?;
    }
    output.exactly(&String::from_utf8_lossy(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        for (share, text) in [
            (None, "—"),
            (Some(0.0), "0%"),
            (Some(0.000_4), "<0.1%"),
            (Some(0.023), "2.3%"),
            (Some(0.5), "50%"),
            (Some(0.999_9), ">99.9%"),
            (Some(1.0), "100%"),
        ] {
            assert_eq!(percent(share), text, "{share:?}");
        }
        for (before, after, text) in [(0.0, 0.0, "0%"), (0.0, 2.0, "new"), (2.0, 3.0, "+50.0%"), (2.0, 1.0, "-50.0%")] {
            assert_eq!(change(before, after), text);
        }
        for (ms, text) in [(1.25, "1.2 ms"), (250.4, "250 ms"), (1_240.0, "1.24 s"), (3_600_000.0, "3600 s")] {
            assert_eq!(duration(Some(ms)), text);
        }
        assert_eq!((score(Some(0.8)), score(None)), ("0.8".to_owned(), "—".to_owned()));
        assert_eq!([9_999, 12_345, 2_000_000].map(compact), ["9999", "12.3k", "2M"]);
    }

    #[test]
    fn sparkline_shows_heights_and_gaps() {
        let line = sparkline([(0.0, 1.0), (0.5, 8.0), (0.51, 8.0), (0.999, 8.0), (1.0, 0.0)]);
        assert_eq!(line.chars().count(), SPARKLINE_WIDTH);
        assert_eq!(line.trim_end(), "▁           █          ▅");
        assert_eq!(sparkline([]).trim(), "");
    }
}
