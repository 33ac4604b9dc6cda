//! How verbs write series over time, and tables for spreadsheets.

use super::error::CliError;
use super::output::Output;
use crate::governance::report::csv::write_row;

/// The blocks of a sparkline, by height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Most characters of a sparkline; more points are combined.
const SPARKLINE_WIDTH: usize = 24;
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
    fn sparkline_shows_heights_and_gaps() {
        let line = sparkline([(0.0, 1.0), (0.5, 8.0), (0.51, 8.0), (0.999, 8.0), (1.0, 0.0)]);
        assert_eq!(line.chars().count(), SPARKLINE_WIDTH);
        assert_eq!(line.trim_end(), "▁           █          ▅");
        assert_eq!(sparkline([]).trim(), "");
    }
}
