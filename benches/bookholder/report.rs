//! What is printed: a heading a section, a row a figure, and at the end the same as JSON.
//!
//! Rows appear as soon as they are known. Figures and tables go to standard output, progress to standard error.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use serde_json::{Value, json};

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// Samples of one thing.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The middle one.
    pub median: f64,
    min: f64,
    max: f64,
    samples: usize,
    unit: &'static str,
}

impl Figure {
    /// Sums up samples, at least one.
    pub fn of(samples: &[f64], unit: &'static str) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (sorted.first().copied(), sorted.last().copied());
        let ends = (min.expect("a sample"), max.expect("a sample"));
        Self { median: percentile(&sorted, 0.5), min: ends.0, max: ends.1, samples: sorted.len(), unit }
    }

    /// One number that was not sampled.
    pub fn one(value: f64, unit: &'static str) -> Self {
        Self::of(&[value], unit)
    }
}

/// A quantile of sorted samples.
pub fn percentile<T: Copy + Default>(sorted: &[T], part: f64) -> T {
    let rank = (sorted.len() as f64 * part).ceil().max(1.0) as usize - 1;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Collects rows, and prints them.
pub struct Report {
    quiet: bool,
    section: &'static str,
    rows: Vec<Value>,
    missed: usize,
}

impl Report {
    /// A report; a quiet one prints nothing but [`Report::finish`]'s JSON.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, section: "", rows: Vec::new(), missed: 0 }
    }

    /// Begins a section.
    pub fn section(&mut self, name: &'static str, title: &str) {
        self.section = name;
        let heads =
            [pad(title, 50), right("median", 12), right("min – max", 21), pad("  beside it", 44), "target".into()];
        self.say(&format!("\n{}", heads.join(" ")));
    }

    /// Adds a row.
    pub fn row(&mut self, what: &str, figure: &Figure, beside: &str, target: Option<Target>) {
        let met = target.map(|target| match target {
            Target::AtMost(bound) => figure.median <= bound,
            Target::AtLeast(bound) => figure.median >= bound,
        });
        self.missed += usize::from(met == Some(false));
        let (sign, bound) = match target {
            None => ("", None),
            Some(Target::AtMost(bound)) => ("≤", Some(bound)),
            Some(Target::AtLeast(bound)) => ("≥", Some(bound)),
        };
        let verdict = match (bound, met) {
            (Some(bound), Some(true)) => format!("{sign} {} met", with_unit(bound, figure.unit)),
            (Some(bound), _) => format!("{sign} {} MISSED", with_unit(bound, figure.unit)),
            (None, _) => String::new(),
        };
        let spread =
            if figure.samples > 1 { format!("{} – {}", short(figure.min), short(figure.max)) } else { String::new() };
        let cells = [
            pad(&format!("  {what}"), 50),
            right(&with_unit(figure.median, figure.unit), 12),
            right(&spread, 21),
            pad(&format!("  {beside}"), 44),
            verdict,
        ];
        self.say(cells.join(" ").trim_end());
        let Figure { median, min, max, samples, unit } = figure;
        let sign = if sign.is_empty() { None } else { Some(sign) };
        self.rows.push(json!({
            "section": self.section, "what": what, "unit": unit, "median": median, "min": min, "max": max,
            "samples": samples, "beside": beside, "bound": sign, "target": bound, "met": met,
        }));
    }

    /// Reports that a figure is missing.
    pub fn note(&self, text: &str) {
        self.say(&format!("  {text}"));
    }

    /// Prints a line, unless only JSON is wanted.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _nobody_reads = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// Prints the sum, or everything as JSON.
    pub fn finish(self, machine: &Value, seconds: f64) {
        let judged = self.rows.iter().filter(|row| row.get("met").is_some_and(Value::is_boolean)).count();
        self.say(&format!("\n{} of {judged} targets met, in {seconds:.0} s", judged - self.missed));
        if self.quiet {
            let all = json!({"machine": machine, "seconds": seconds, "rows": self.rows});
            let _nobody_reads = writeln!(std::io::stdout(), "{all:#}");
        }
    }
}

/// Says on standard error what is being done, and how far it is.
pub struct Progress {
    what: String,
    began: Instant,
}

impl Progress {
    /// Begins something that takes longer than a moment.
    pub fn begin(what: impl Into<String>) -> Self {
        let progress = Self { what: what.into(), began: Instant::now() };
        progress.show("");
        progress
    }

    /// Says how far it is.
    pub fn show(&self, how_far: &str) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let _nobody_reads = write!(out, "\r\x1b[K… {} {how_far}", self.what);
        } else if how_far.is_empty() {
            let _nobody_reads = writeln!(out, "… {}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut out = std::io::stderr();
        let seconds = self.began.elapsed().as_secs_f64();
        let _nobody_reads = if out.is_terminal() {
            write!(out, "\r\x1b[K")
        } else {
            writeln!(out, "  {} took {seconds:.1} s", self.what)
        };
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { short(value) } else { format!("{} {unit}", short(value)) }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => count(value as usize),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A number with its thousands apart.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn right(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}
