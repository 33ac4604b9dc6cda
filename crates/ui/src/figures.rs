//! How pages and the command line write figures: shares, durations, scores and large numbers.

use crate::api::stats::VersionChange;

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

/// How the newest version changed the cost per call, such as `v7 +12.5%`.
pub fn version_change(
    VersionChange { version, cost_per_call_usd, cost_per_call_before_usd, .. }: VersionChange,
) -> String {
    format!("v{version} {}", change(cost_per_call_before_usd.dollars(), cost_per_call_usd.dollars()))
}

/// A duration in milliseconds.
pub fn duration(ms: Option<f64>) -> String {
    match ms {
        None => UNKNOWN.to_owned(),
        Some(0.0) => "0 ms".to_owned(),
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
    let float = float(number);
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", trimmed(&format!("{:.1}", float / 1e3))),
        1_000_000..1_000_000_000 => format!("{}M", trimmed(&format!("{:.1}", float / 1e6))),
        _ => format!("{}G", trimmed(&format!("{:.1}", float / 1e9))),
    }
}

/// A number for display.
#[allow(clippy::cast_precision_loss, reason = "for display, where 53 bits are enough")]
pub const fn float(number: u64) -> f64 {
    number as f64
}

/// Why calls belong to no known version, in a sentence without its full stop.
pub fn unattributed_reason(word: &str) -> &str {
    match word {
        "no_prompt" => "the application names no prompt",
        "unknown_prompt" => "there is no prompt of the reported name",
        "unknown_version" => "the prompt has no such version, label or content",
        "ambiguous_split" => "the label serves several versions and no stamp or subject was reported",
        other => other,
    }
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
}
