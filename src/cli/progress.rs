//! The progress of a long transfer.
//!
//! Nothing is shown without a terminal on standard error, or for JSON output.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;

const BYTES: &str = "{spinner:.cyan} {msg} {bytes:>10} {bar:30.cyan/dim} {total_bytes} {binary_bytes_per_sec}";
const BYTES_UNKNOWN: &str = "{spinner:.cyan} {msg} {bytes:>10} {binary_bytes_per_sec}";

const PARTS: &str = "{spinner:.cyan} {msg} {bar:30.cyan/dim} {percent:>3}%";

/// Refresh interval while nothing arrives.
const TICK: Duration = Duration::from_millis(120);

/// A progress bar in bytes; without a total it only counts.
pub fn bytes(output: Output, message: &'static str, total: Option<u64>) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && !output.json;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    if shown {
        // A bar fills its line: after other text, such as a prompt, it would wrap, and only its last line be cleared.
        let _unwritten = std::io::stderr().write_all(b"\r");
    }
    let bar = ProgressBar::with_draw_target(total, target).with_message(message);
    style(&bar);
    if shown && total.is_none() {
        // The server sends nothing while it prepares the data.
        bar.enable_steady_tick(TICK);
    }
    bar
}

/// A progress bar in parts of a whole.
pub fn parts(output: Output, message: &'static str) -> ProgressBar {
    let shown = std::io::stderr().is_terminal() && !output.json;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(1), target).with_message(message);
    if let Ok(style) = ProgressStyle::with_template(PARTS) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// Sets the progress.
pub fn set(bar: &ProgressBar, so_far: u64, total: Option<u64>) {
    if total != bar.length() {
        if let Some(total) = total {
            bar.set_length(total);
        }
        style(bar);
    }
    bar.set_position(so_far);
}

fn style(bar: &ProgressBar) {
    let template = if bar.length().is_some() { BYTES } else { BYTES_UNKNOWN };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

/// A number of bytes for display.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
