//! The report as one table for spreadsheets (RFC 4180): decisions, then what was live when.
//!
//! Invariant: no cell is a formula. A spreadsheet evaluates cells that begin with one of [`FORMULA_STARTS`], and the
//! texts are from other people; such a start gets a `'` in front, which marks text. Some programs also split quoted
//! cells at other characters than the comma, so the text after those is treated as a start, too.

use std::io::{self, Write};

use super::jsonl::{EVENT, SERVED};
use super::{Contents, Report, ReportHeader, ReportRow, ReportedVersion, Source, Span, SystemInfo, retain_until};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;

/// Characters that start a formula, including full-width forms.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// Characters at which some programs split a cell.
const SPLITS: [char; 4] = [';', '\t', '\n', '\r'];
/// Characters that are ignored before the start of a cell.
const FILL: [char; 2] = [' ', '"'];
/// The separator of several values in one cell.
const BETWEEN: &str = "; ";
/// The columns.
const COLUMNS: [&str; 36] = [
    "record",
    "seq",
    "event_type",
    "decision",
    "occurred_at",
    "recorded_at",
    "served_until",
    "actor_type",
    "actor_id",
    "on_behalf_of",
    "auth_method",
    "request_id",
    "command",
    "subjects",
    "message",
    "reason",
    "approved_by",
    "change_request",
    "overrode",
    "unrecorded",
    "risk",
    "prompts",
    "labels",
    "from",
    "to",
    "versions",
    "content_ids",
    "authors",
    "parent_versions",
    "semver",
    "substantial_modification",
    "prev_hash",
    "hash",
    "retain_until",
    "registry",
    "software",
];

/// Writes a report as a table with a heading; returns its totals.
pub fn write_csv<S: Source>(
    report: &Report<'_, S>,
    system: &SystemInfo,
    out: &mut dyn Write,
) -> Result<Contents, S::Error> {
    let heading = &report.heading;
    write_row(out, &COLUMNS.map(str::to_owned))?;
    let contents = report.rows(&mut |row| Ok(write_row(out, &decision(heading, system, row))?))?;
    let deployments = report.spans(&mut |span| Ok(write_row(out, &served(heading, system, span))?))?;
    Ok(Contents { deployments, ..contents })
}

/// Writes one row of a table for spreadsheets; no cell becomes a formula.
pub fn write_row(out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        write_cell(out, cell)?;
    }
    out.write_all(b"\r\n")
}

fn write_cell(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let text = guarded(text);
    if text.contains(['"', ',', '\n', '\r']) {
        return write!(out, "\"{}\"", text.replace('"', "\"\""));
    }
    write!(out, "{text}")
}

/// The text with a `'` before everything that could start a formula.
fn guarded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    if text.starts_with(SPLITS) {
        safe.push('\'');
    }
    let mut begins = true;
    for character in text.chars() {
        if begins && FORMULA_STARTS.contains(&character) {
            safe.push('\'');
        }
        begins = SPLITS.contains(&character) || (begins && FILL.contains(&character));
        safe.push(character);
    }
    safe
}

fn decision(heading: &ReportHeader, system: &SystemInfo, row: &ReportRow) -> [String; COLUMNS.len()] {
    let entry = &row.entry;
    let of_moves = |part: &dyn Fn(&super::ServingChange) -> String| joined(row.moves.iter().map(part));
    let prompts = row.versions.iter().map(|version| version.name.to_string());
    [
        EVENT.to_owned(),
        entry.seq.to_string(),
        entry.event_type(),
        entry.decision.to_string(),
        row.occurred_at.to_string(),
        entry.at.to_string(),
        String::new(),
        entry.actor_kind.map(|kind| kind.to_string()).unwrap_or_default(),
        entry.actor.clone(),
        entry.on_behalf_of.clone().unwrap_or_default(),
        entry.method.clone(),
        entry.request_id.clone().unwrap_or_default(),
        entry.command.to_string(),
        entry.subject_texts().join(BETWEEN),
        entry.message.clone(),
        entry.reason.clone(),
        entry.approved_by.join(BETWEEN),
        number(entry.change_request),
        entry.overrode.join(BETWEEN),
        number(Some(entry.unrecorded).filter(|count| *count > 0)),
        row.risk.map(|risk| risk.to_string()).unwrap_or_default(),
        joined_once(prompts.chain(row.moves.iter().map(|moved| moved.prompt.clone()))),
        of_moves(&|moved| moved.label.clone()),
        of_moves(&|moved| moved.from.as_ref().map(Serving::to_string).unwrap_or_default()),
        of_moves(&|moved| moved.to.as_ref().map(Serving::to_string).unwrap_or_default()),
        of_versions(&row.versions, |version| version.number.to_string()),
        of_versions(&row.versions, |version| version.content_id.to_string()),
        of_versions(&row.versions, |version| version.author.clone()),
        of_versions(&row.versions, |version| number(version.parent)),
        of_versions(&row.versions, |version| version.semver.to_string()),
        of_versions(&row.versions, |version| version.is_substantial().to_string()),
        entry.previous.clone(),
        entry.hash.clone(),
        retain_until(entry.at).to_string(),
        heading.registry.clone(),
        software(system),
    ]
}

fn served(heading: &ReportHeader, system: &SystemInfo, span: &Span) -> [String; COLUMNS.len()] {
    let none = String::new;
    [
        SERVED.to_owned(),
        span.deployment.to_string(),
        "prompt.label.served".to_owned(),
        none(),
        span.from.to_string(),
        none(),
        span.until.map(|until: Timestamp| until.to_string()).unwrap_or_default(),
        none(),
        span.by.clone(),
        none(),
        none(),
        none(),
        span.action.to_string(),
        format!("{}@{}", span.name, span.label),
        span.message.clone(),
        none(),
        span.approved_by.join(BETWEEN),
        number(span.change_request),
        none(),
        none(),
        span.risk.map(|risk| risk.to_string()).unwrap_or_default(),
        span.name.to_string(),
        span.label.to_string(),
        none(),
        Serving::to_string(&span.serving),
        of_versions(&span.versions, |version| version.number.to_string()),
        of_versions(&span.versions, |version| version.content_id.to_string()),
        of_versions(&span.versions, |version| version.author.clone()),
        of_versions(&span.versions, |version| number(version.parent)),
        of_versions(&span.versions, |version| version.semver.to_string()),
        of_versions(&span.versions, |version| version.is_substantial().to_string()),
        none(),
        none(),
        none(),
        heading.registry.clone(),
        software(system),
    ]
}

fn of_versions(versions: &[ReportedVersion], part: impl Fn(&ReportedVersion) -> String) -> String {
    joined(versions.iter().map(part))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(BETWEEN)
}

fn joined_once(parts: impl Iterator<Item = String>) -> String {
    joined(parts.collect::<std::collections::BTreeSet<_>>().into_iter())
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn software(system: &SystemInfo) -> String {
    format!("{} {}", system.software, system.software_version)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn csv_cells_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=HYPERLINK(\"a\",\"b\")", "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\""),
            ("a=b", "a=b"),
            ("x;=1+1", "x;'=1+1"),
            ("a; -2; b", "a; '-2; b"),
            (";=1", "';'=1"),
            ("x\t@A", "x\t'@A"),
            ("a\r\n=cmd|'/c calc'!A0", "\"a\r\n'=cmd|'/c calc'!A0\""),
            ("a\n\n+1", "\"a\n\n'+1\""),
            (" =1", " '=1"),
            ("x;\"=1", "\"x;\"\"'=1\""),
            ("＝1", "'＝1"),
            ("x;＠A", "x;'＠A"),
            ("＋1－1", "'＋1－1"),
            ("a;b-c", "a;b-c"),
        ] {
            let mut bytes = Vec::new();
            write_cell(&mut bytes, text).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn every_row_has_every_column() {
        let mut bytes = Vec::new();
        write_csv(&samples::incident().report(), &SystemInfo::default(), &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let rows: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(rows.len(), 1 + 6 + 3);
        for row in &rows {
            assert_eq!(row.split(',').count(), COLUMNS.len(), "{row}");
        }
        assert!(rows[2].starts_with("event,2,prompt.version.created,granted,2026-03-20T12:00:00Z,"), "{}", rows[2]);
        assert!(rows[6].contains(",person,ada,cy,access token ada,"), "{}", rows[6]);
        assert!(rows[7].starts_with("served,1,prompt.label.served,,2026-03-19T12:00:00Z,,2026-03-20T14:00:00Z,"));
    }
}
