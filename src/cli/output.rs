//! The output of verbs: tables, lines, texts and JSON.
//!
//! Colour goes through `anstream`, which removes it if the output is not a terminal or colour is disabled. It does not
//! decide what is printed. Invariant: text from others reaches a terminal without control characters.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Table as Layout, Width, presets};
use serde::Serialize;

use super::args::times;
use super::error::{CliError, Kind};
use super::pager;
use crate::model::time::Timestamp;

/// Bold, for names and headings.
pub const STRONG: Style = Style::new().bold();
/// For secondary text.
pub const DIM: Style = Style::new().dimmed();
/// For what is new, live or right.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// For what is removed, retired or wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// For warnings.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// For what can be copied: names, references.
pub const ACCENT: Style = AnsiColor::Cyan.on_default();

/// Blanks behind each column.
const PADDING: u16 = 2;
/// Least width of a column whose words can break.
const COLUMN_MIN: u16 = 10;

/// The output of a verb.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether to print JSON only.
    pub json: bool,
    /// Whether it is a terminal.
    pub terminal: bool,
    /// Whether tables have headings.
    pub headings: bool,
}

impl Output {
    /// The standard output of this process.
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal(), headings: true }
    }

    /// Prints a value as JSON, for programs.
    pub fn json<T: Serialize>(self, value: &T) -> Result<(), CliError> {
        let json = serde_json::to_string_pretty(value).map_err(|error| CliError::no(error.to_string()))?;
        self.exactly(&format!("{json}\n"))
    }

    /// Prints a value as JSON if that was asked for, or else what `text` prints.
    pub fn show<T: Serialize>(self, value: &T, text: impl FnOnce() -> Result<(), CliError>) -> Result<(), CliError> {
        if self.json { self.json(value) } else { text() }
    }

    /// Prints a list as JSON if that was asked for, in the form that all lists have, or else what `text` prints.
    pub fn list<T: Serialize>(self, items: &[T], text: impl FnOnce() -> Result<(), CliError>) -> Result<(), CliError> {
        self.show(&serde_json::json!({ "items": items }), text)
    }

    /// Prints one line, with optional colours.
    pub fn line(self, text: impl Display) -> Result<(), CliError> {
        Ok(writeln!(anstream::stdout(), "{text}")?)
    }

    /// Prints a table, or `empty` on a terminal if it has no rows.
    pub fn table(self, table: &Table, empty: &str) -> Result<(), CliError> {
        if table.rows.is_empty() {
            return if self.terminal { self.line(paint(DIM, empty)) } else { Ok(()) };
        }
        let bare;
        let table = if self.headings {
            table
        } else {
            bare = Table { headings: Vec::new(), rows: table.rows.clone() };
            &bare
        };
        Ok(write!(anstream::stdout(), "{}", table.render(self.terminal, pager::width()))?)
    }

    /// Prints user text: byte for byte to a program; on a terminal, without control characters and with a final line
    /// break.
    pub fn text(self, text: &str) -> Result<(), CliError> {
        if self.terminal {
            self.exactly(&format!("{}\n", harmless(text).trim_end_matches('\n')))
        } else {
            self.exactly(text)
        }
    }

    /// Prints exactly this text.
    pub fn exactly(self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints a note on standard error.
    pub fn note(self, text: impl Display) {
        if !self.json {
            // A closed standard error does not affect the verb.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Prints an error on standard error.
    pub fn error(self, error: &CliError) {
        if error.kind == Kind::Closed || error.logged {
            return;
        }
        let text = if self.json {
            serde_json::to_string_pretty(&serde_json::json!({ "error": error })).unwrap_or_default()
        } else {
            explain(error)
        };
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}

/// An error as text.
fn explain(error: &CliError) -> String {
    let mut text = format!("{}: {}", paint(BAD.bold(), "error"), harmless(&error.message));
    for detail in &error.details {
        text.extend(["\n", &format!("  {} {}", paint(BAD, "•"), harmless(detail))]);
    }
    if let Some(hint) = &error.hint {
        text.extend(["\n", &format!("{}: {}", paint(ACCENT.bold(), "hint"), harmless(hint))]);
    }
    text
}

/// Rows under headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// One cell: a text and its style.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell with this style.
    pub fn new(style: Style, text: impl Display) -> Self {
        Self { text: one_line(&text.to_string()), style }
    }

    /// A cell that keeps its line breaks.
    #[must_use]
    pub fn lines(style: Style, text: &str) -> Self {
        Self { text: harmless(text).replace('\t', "    "), style }
    }
}

impl<T: Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Style::new(), text)
    }
}

impl Table {
    /// A table without rows. `ZONE` in a heading becomes the time zone of this machine, in which [`moment`] prints.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let headings = headings.iter().map(|heading| heading.replace("ZONE", zone_name())).collect();
        Self { headings, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.push(cells.into());
    }

    /// Adds a row whose columns depend on the output.
    pub fn push(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The length of the longest word of each column.
    fn words(&self) -> Vec<u16> {
        let longest = |text: &str| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or_default();
        let column = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.as_str());
            let words = cells.chain(self.headings.get(at).map(String::as_str)).map(longest);
            u16::try_from(words.max().unwrap_or_default()).unwrap_or(u16::MAX / 64)
        };
        (0..self.rows.first().map_or(0, Vec::len)).map(column).collect()
    }

    /// Formats the table: coloured and wrapped to the width on a terminal, plain and aligned for a program.
    pub fn render(&self, terminal: bool, width: Option<u16>) -> String {
        let mut layout = Layout::new();
        layout.load_preset(presets::NOTHING);
        if terminal {
            layout.set_content_arrangement(ContentArrangement::Dynamic).enforce_styling();
            if let Some(width) = width {
                layout.set_width(width);
            }
            // A terminal of unknown width reports 0.
            if layout.width() == Some(0) {
                layout.set_content_arrangement(ContentArrangement::Disabled);
            }
        } else {
            layout.set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
        }
        let coloured = terminal || is_colour_forced();
        if coloured {
            layout.enforce_styling();
        }
        if !self.headings.is_empty() {
            let heading = |text: &String| if coloured { styled(text, DIM) } else { text.into() };
            layout.set_header(self.headings.iter().map(heading));
        }
        for row in &self.rows {
            let cells = row.iter();
            if coloured {
                layout.add_row(cells.map(|cell| styled(&cell.text, cell.style)));
            } else {
                layout.add_row(cells.map(|cell| &cell.text));
            }
        }
        let words = self.words();
        let whole = layout.width().filter(|_| terminal).map(|width| whole_words(&words, width)).unwrap_or_default();
        for (at, column) in layout.column_iter_mut().enumerate() {
            column.set_padding((0, PADDING));
            if let (Some(true), Some(word)) = (whole.get(at), words.get(at)) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word + PADDING)));
            }
        }
        layout.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect()
    }
}

/// Which columns keep their words whole: those with short words first, as long as something is left for the others.
fn whole_words(words: &[u16], width: u16) -> Vec<bool> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|at| words.get(*at));
    let mut whole = vec![false; words.len()];
    let mut left = width;
    for (placed, at) in order.iter().enumerate() {
        let needs = words.get(*at).copied().unwrap_or_default().saturating_add(PADDING);
        let others = u16::try_from(words.len() - placed - 1).unwrap_or(u16::MAX).saturating_mul(COLUMN_MIN);
        if needs.saturating_add(others) > left {
            break;
        }
        left -= needs;
        if let Some(is_whole) = whole.get_mut(*at) {
            *is_whole = true;
        }
    }
    whole
}

/// Whether colours are wanted although the output is no terminal.
fn is_colour_forced() -> bool {
    !cfg!(test) && std::env::var_os("CLICOLOR_FORCE").is_some_and(|force| force != "0")
}

fn styled(text: &str, style: Style) -> comfy_table::Cell {
    let mut cell = comfy_table::Cell::new(text);
    let effects = style.get_effects();
    if effects.contains(anstyle::Effects::BOLD) {
        cell = cell.add_attribute(Attribute::Bold);
    }
    if effects.contains(anstyle::Effects::DIMMED) {
        cell = cell.add_attribute(Attribute::Dim);
    }
    match style.get_fg_color() {
        Some(anstyle::Color::Ansi(AnsiColor::Green)) => cell.fg(Color::DarkGreen),
        Some(anstyle::Color::Ansi(AnsiColor::Red)) => cell.fg(Color::DarkRed),
        Some(anstyle::Color::Ansi(AnsiColor::Yellow)) => cell.fg(Color::DarkYellow),
        Some(anstyle::Color::Ansi(AnsiColor::Cyan)) => cell.fg(Color::DarkCyan),
        _ => cell,
    }
}

/// A text in a style.
pub fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A text without control characters other than line breaks and tabs, and without direction marks.
pub fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c);
    text.replace("\r\n", "\n").chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The same on one line.
pub fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// Values on one line, separated by commas.
pub fn listed(values: &[impl Display]) -> String {
    one_line(&values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// A time for display, in the zone of this machine.
pub fn moment(at: Timestamp) -> String {
    printed(at, "%Y-%m-%d %H:%M:%S")
}

/// The same with the zone, such as `2026-03-20 15:00:00 UTC`.
pub fn zoned(at: Timestamp) -> String {
    printed(at, "%Y-%m-%d %H:%M:%S %Z")
}

fn printed(at: Timestamp, format: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(at.ms()).unwrap_or_default();
    at.to_zoned(times::zone().clone()).strftime(format).to_string()
}

/// The name of the zone of this machine, for headings.
fn zone_name() -> &'static str {
    match times::zone().iana_name() {
        None | Some("Etc/UTC" | "Etc/Unknown" | "Etc/UCT" | "UCT" | "Zulu" | "Etc/Zulu") => "UTC",
        Some(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "LATEST", "LABELS"]);
        table.row([Cell::new(ACCENT, "support/agent"), 7.into(), Cell::new(GOOD, "production → 6")]);
        table.row(["还是维持".into(), 12.into(), "a\nb\u{1b}[31m".into()]);
        table
    }

    #[test]
    fn table_without_headings_has_only_its_rows() {
        let bare = Table { headings: Vec::new(), ..table() };
        let expected = "support/agent  7   production → 6\n还是维持       12  a b\u{fffd}[31m\n";
        assert_eq!(bare.render(false, None), expected);
    }

    #[test]
    fn table_for_programs_has_plain_aligned_columns() {
        let expected = "\
NAME           LATEST  LABELS
support/agent  7       production → 6
还是维持       12      a b\u{fffd}[31m
";
        assert_eq!(table().render(false, None), expected);
    }

    #[test]
    fn table_for_terminals_has_colour_within_the_width() {
        let text = table().render(true, Some(32));
        assert!(text.contains("\u{1b}["), "{text:?}");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.lines().all(|line| line.chars().count() <= 32), "{plain}");
        assert!(plain.lines().count() > 3, "it is folded: {plain}");
        assert!(!text.contains("\u{1b}[31m "), "what others wrote colours nothing");
    }

    #[test]
    fn words_break_in_the_columns_with_the_longest_ones_only() {
        assert_eq!(whole_words(&[5, 10, 5], 80), [true, true, true]);
        assert_eq!(whole_words(&[5, 60, 5, 20], 60), [true, false, true, true]);
        assert_eq!(whole_words(&[50, 60, 5], 20), [false, false, false]);
        assert_eq!(whole_words(&[], 20), Vec::<bool>::new());
        let mut table = Table::new(&["NAME", "WHY"]);
        table.row(["support/agent@production".into(), "a text of many words that does not fit".into()]);
        let plain = anstream::adapter::strip_str(&table.render(true, Some(50))).to_string();
        assert!(plain.contains("support/agent@production"), "{plain}");
    }

    #[test]
    fn error_shows_message_details_and_hint() {
        let error = CliError::no("two files\u{1b} are wrong").details(vec!["a".to_owned()]).hint("fix them");
        let plain = anstream::adapter::strip_str(&explain(&error)).to_string();
        assert_eq!(plain, "error: two files\u{fffd} are wrong\n  • a\nhint: fix them");
    }

    #[test]
    fn moments_are_short() {
        assert_eq!(moment("2026-03-20T15:00:00.125Z".parse().expect("a time")), "2026-03-20 15:00:00");
    }
}
