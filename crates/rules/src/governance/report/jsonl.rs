//! The report as JSON Lines: decisions in the order of the audit log, then what was live when.
//!
//! A decision contains its chained audit entry, so that the lines alone prove that nothing between consecutive ones is
//! missing or altered: see [`crate::governance::audit_copy`].

use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Contents, Report, ReportHeader, ReportRow, ReportedVersion, Source, Span, SystemInfo, retain_until};
use crate::model::audit::{AuditEntry, Command, Decision};
use crate::model::finding::Severity;
use crate::model::principal::PrincipalKind;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;

/// The format version of a line; added fields do not change it.
pub const SCHEMA_VERSION: u8 = 1;
/// `record` of a line with an audit entry.
pub const EVENT: &str = "event";
/// `record` of a line about what a label served.
pub const SERVED: &str = "served";
/// The source of times.
const TIME_SOURCE: &str = "system clock";

/// Writes a report line by line; returns its totals.
pub fn write_jsonl<S: Source>(
    report: &Report<'_, S>,
    system: &SystemInfo,
    out: &mut dyn Write,
) -> Result<Contents, S::Error> {
    let heading = &report.heading;
    let contents = report.rows(&mut |row| Ok(write_line(out, &event(heading, system, row)?)?))?;
    let deployments = report.spans(&mut |span| Ok(write_line(out, &served(heading, system, span))?))?;
    Ok(Contents { deployments, ..contents })
}

fn write_line<T: Serialize>(out: &mut dyn Write, line: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Decided<'a> {
    schema_version: u8,
    record: &'static str,
    seq: u64,
    event_id: String,
    event_type: String,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    node: &'a str,
    time_source: &'static str,
    prev_hash: &'a str,
    hash: &'a str,
    system: &'a SystemInfo,
    actor: Who<'a>,
    change: Vec<AffectedItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oversight: Option<Oversight<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    retention: Retention,
    entry: Box<RawValue>,
}

#[derive(Serialize)]
struct Served<'a> {
    schema_version: u8,
    record: &'static str,
    event_id: String,
    event_type: &'static str,
    period_start: Timestamp,
    period_end: Option<Timestamp>,
    node: &'a str,
    time_source: &'static str,
    system: &'a SystemInfo,
    deployment: u64,
    action: String,
    ended_by: Option<String>,
    actor: ServedBy<'a>,
    change: Vec<AffectedItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
}

#[derive(Serialize)]
struct Who<'a> {
    actor_type: Option<PrincipalKind>,
    actor_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'a str>,
    auth_method: &'a str,
    reason: &'a str,
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ServedBy<'a> {
    actor_id: &'a str,
    reason: &'a str,
}

/// A version, or what a label served.
#[derive(Default, Serialize)]
struct AffectedItem<'a> {
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    semver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    substantial_modification: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Serving>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a Serving>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    approvals: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    change_request: Option<u64>,
}

/// Measures of human oversight.
#[derive(Serialize)]
struct Oversight<'a> {
    kind: &'static str,
    outcome: String,
    evidence: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    overrode: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_act_ms: Option<i64>,
}

#[derive(Serialize)]
struct Risk {
    severity: Severity,
}

#[derive(Serialize)]
struct Retention {
    created: Timestamp,
    retain_until: Timestamp,
}

fn event<'a>(heading: &'a ReportHeader, system: &'a SystemInfo, row: &'a ReportRow) -> io::Result<Decided<'a>> {
    let entry = &row.entry;
    let raw = String::from_utf8(entry.to_canonical()).map_err(io::Error::other)?;
    let versions = row.versions.iter().map(of_version);
    let moves = row.moves.iter().map(|moved| AffectedItem {
        prompt: &moved.prompt,
        label: Some(&moved.label),
        from: moved.from.as_ref(),
        to: moved.to.as_ref(),
        approvals: &entry.approved_by,
        change_request: entry.change_request,
        ..AffectedItem::default()
    });
    Ok(Decided {
        schema_version: SCHEMA_VERSION,
        record: EVENT,
        seq: entry.seq,
        event_id: format!("{}/{}", heading.registry, entry.seq),
        event_type: entry.event_type(),
        occurred_at: row.occurred_at,
        recorded_at: entry.at,
        node: &heading.registry,
        time_source: TIME_SOURCE,
        prev_hash: &entry.previous,
        hash: &entry.hash,
        system,
        actor: Who {
            actor_type: entry.actor_kind,
            actor_id: &entry.actor,
            on_behalf_of: entry.on_behalf_of.as_deref(),
            auth_method: &entry.method,
            reason: &entry.message,
            request_id: entry.request_id.as_deref(),
        },
        change: versions.chain(moves).collect(),
        oversight: oversight(row),
        risk: row.risk.map(|severity| Risk { severity }),
        retention: Retention { created: entry.at, retain_until: retain_until(entry.at) },
        entry: RawValue::from_string(raw)?,
    })
}

fn served<'a>(heading: &'a ReportHeader, system: &'a SystemInfo, span: &'a Span) -> Served<'a> {
    let label = AffectedItem {
        prompt: span.name.as_str(),
        label: Some(span.label.as_str()),
        to: Some(&span.serving),
        approvals: &span.approved_by,
        change_request: span.change_request,
        ..AffectedItem::default()
    };
    Served {
        schema_version: SCHEMA_VERSION,
        record: SERVED,
        event_id: format!("{}/{}/{}@{}", heading.registry, span.deployment, span.name, span.label),
        event_type: "prompt.label.served",
        period_start: span.from,
        period_end: span.until,
        node: &heading.registry,
        time_source: TIME_SOURCE,
        system,
        deployment: span.deployment,
        action: span.action.to_string(),
        ended_by: span.ended_by.map(|action| action.to_string()),
        actor: ServedBy { actor_id: &span.by, reason: &span.message },
        change: std::iter::once(label).chain(span.versions.iter().map(of_version)).collect(),
        risk: span.risk.map(|severity| Risk { severity }),
    }
}

fn of_version(version: &ReportedVersion) -> AffectedItem<'_> {
    AffectedItem {
        prompt: version.name.as_str(),
        version: Some(version.number),
        content_id: Some(version.content_id.to_string()),
        author: Some(&version.author),
        parent_version: version.parent,
        semver: Some(version.semver.to_string()),
        substantial_modification: Some(version.is_substantial()),
        ..AffectedItem::default()
    }
}

/// The measure of human oversight of a decision; absent for everyday work.
fn oversight(row: &ReportRow) -> Option<Oversight<'_>> {
    let entry: &AuditEntry = &row.entry;
    let kind = match entry.command {
        _ if !entry.overrode.is_empty() => "override",
        Command::Rollback => "rollback",
        Command::Unlabel | Command::Remove | Command::Retire => "stop",
        _ if entry.decision == Decision::Denied => "refusal",
        _ if !entry.approved_by.is_empty() => "approval",
        _ => return None,
    };
    let acted = entry.decision == Decision::Granted && matches!(kind, "rollback" | "stop");
    let time_to_act_ms = row.moves.iter().filter_map(|moved| moved.served_ms).min().filter(|_| acted);
    let (outcome, evidence) = (entry.decision.to_string(), entry.reason.as_str());
    Some(Oversight { kind, outcome, evidence, overrode: &entry.overrode, time_to_act_ms })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{self, Sample};
    use super::*;

    fn lines(sample: &Sample) -> Vec<Value> {
        let system = SystemInfo { software: "bookholder".to_owned(), ..SystemInfo::default() };
        let mut bytes = Vec::new();
        write_jsonl(&sample.report(), &system, &mut bytes).unwrap();
        bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    }

    #[test]
    fn jsonl_line_is_one_decision_with_groups_and_entry() {
        let lines = lines(&samples::incident());
        let rollback = lines.iter().find(|line| line["event_type"] == "prompt.rollback.executed").unwrap();
        assert_eq!(rollback["event_id"], "prompts.example.org/6");
        assert_eq!(rollback["oversight"]["kind"], "rollback");
        assert_eq!(rollback["oversight"]["time_to_act_ms"], json!(3_600_000));
        assert_eq!(rollback["entry"]["hash"], rollback["hash"]);
        assert_eq!(rollback["retention"]["retain_until"], "2026-09-20T15:00:00Z");
        let denied = lines.iter().find(|line| line["event_type"] == "prompt.label.blocked").unwrap();
        assert_eq!(denied["risk"]["severity"], "high");
        assert_eq!(denied["actor"]["actor_type"], "person");
        assert_eq!(denied["change"][0]["substantial_modification"], true);
        assert_eq!(denied["actor"].get("on_behalf_of"), None);
        let imported = lines.iter().find(|line| line["seq"] == 7).unwrap();
        assert_eq!((&imported["actor"]["actor_id"], &imported["actor"]["on_behalf_of"]), (&json!("ada"), &json!("cy")));
        let served = lines.iter().filter(|line| line["record"] == SERVED).count();
        assert_eq!((lines.len(), served), (9, 3));
    }
}
