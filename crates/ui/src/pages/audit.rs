//! The audit log: decisions with actor and reason, newest first; and the form for a report.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::form::{TIME_HINT, session, time_field};
use crate::format::{Escaped, counted, moment, plain, start_of, with_code};
use crate::layout::{Frame, Page, Part, empty, prompt_path, query, request_path};
use crate::model::audit::{AuditChange, AuditEntry, AuditVerdict, Decision, Subject};
use crate::model::principal::PrincipalKind;

/// The result of a command, for display.
const RESULTS: [(Decision, &str); 2] = [(Decision::Granted, "allowed"), (Decision::Denied, "denied")];
/// Longest displayed value of a change.
const VALUE_CHARACTERS: usize = 60;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct AuditPageData {
    /// The actor; empty for all.
    pub who: String,
    /// The prompt; empty for all.
    pub prompt: String,
    /// The command; empty for all.
    pub action: String,
    /// The decision; absent for both.
    pub result: Option<Decision>,
    /// The first and last day, as typed; empty for no limit.
    pub days: (String, String),
    /// One page of entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// The cursor of older entries.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub continued: bool,
    /// The verification of the chain, if requested.
    pub verdict: Option<AuditVerdict>,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &AuditPageData) -> String {
    let main = html! {
        div.head {
            h1 { "Audit" }
            p.quiet { "Every action, allowed or denied, in a tamper-evident log" }
            a.button.end href="/ui/audit?verify=yes" { "Verify log" }
        }
        @if let Some(verdict) = &matter.verdict { (verified(verdict)) }
        @if let Some(form) = frame.form() { (report(frame, matter, form)) }
        (filters(matter))
        @if !matter.entries.is_empty() { (table(matter)) }
        @else if matter.next.is_some() { (empty("No matches in recent entries", "Older entries may match.")) }
        @else { (empty("No entries match", "Clear the filters, or choose other dates.")) }
        @if matter.continued || matter.next.is_some() {
            nav.pages aria-label="Pages" {
                @if matter.continued { a href=(address(matter, &matter.who, "")) { "Latest" } }
                @if let Some(next) = &matter.next {
                    a.button rel="next" href=(address(matter, &matter.who, next)) { "Older entries" }
                }
            }
        }
    };
    frame.page_of(Part::Audit, &Page { title: "Audit", above: &[], done: None, searches: false, main })
}

/// Whether every entry matches its hash and the previous entry, up to the signed one.
fn verified(verdict: &AuditVerdict) -> Markup {
    let count = counted(verdict.entries, "entry");
    html! {
        div.note.bad[!verdict.whole] role="status" {
            @if verdict.whole {
                p {
                    b { "Log verified." } " " (count) " intact"
                    @if verdict.anchored == Some(true) { "; they match the signed checkpoint" } "."
                }
            } @else {
                p {
                    b { "The log was modified" @if let Some(at) = verdict.broken_at { " at entry " (at) } "." } " "
                    (count) " checked. "
                    @if verdict.anchored == Some(false) {
                        "The latest entry is not the one in the signed checkpoint. "
                    }
                    "The log was modified outside Bookholder. Leave the data directory untouched and compare it with a "
                    "backup."
                }
            }
            p { "Hash of the latest entry: " code.id { (verdict.head) } }
        }
    }
}

/// The URL of the same list with another actor and position.
fn address(matter: &AuditPageData, who: &str, cursor: &str) -> String {
    let result = matter.result.map(|result| result.to_string()).unwrap_or_default();
    let (from, to) = &matter.days;
    let all = [
        ("who", who),
        ("prompt", &matter.prompt),
        ("action", &matter.action),
        ("result", &result),
        ("from", from),
        ("to", to),
        ("cursor", cursor),
    ];
    format!("/ui/audit{}", query(&all))
}

fn filters(matter: &AuditPageData) -> Markup {
    let actions: BTreeSet<String> = matter.entries.iter().map(|entry| entry.command.to_string()).collect();
    let (from, to) = &matter.days;
    html! {
        form.filters action="/ui/audit" {
            label {
                span { "Actor" }
                input.short type="search" name="who" value=(plain(&matter.who)) maxlength="64" spellcheck="false";
            }
            label {
                span { "Prompt" }
                input type="search" name="prompt" value=(plain(&matter.prompt)) maxlength="200" spellcheck="false";
            }
            label {
                span { "Action" }
                input.short name="action" list="actions" value=(plain(&matter.action)) maxlength="64"
                    spellcheck="false";
            }
            datalist #actions { @for action in actions { option value=(action) {} } }
            label {
                span { "Result" }
                select name="result" {
                    option value="" { "any" }
                    @for (result, says) in RESULTS {
                        option value=(result) selected[matter.result == Some(result)] { (says) }
                    }
                }
            }
            label { span { "From (UTC)" } (time_field("from", from)) }
            label { span { "To (UTC)" } (time_field("to", to)) }
            button type="submit" { "Filter" }
            @if address(matter, &matter.who, "") != "/ui/audit" { a.clear href="/ui/audit" { "Clear filters" } }
        }
    }
}

/// The form for a report, which is an audited command itself.
fn report(frame: &Frame, matter: &AuditPageData, form: &str) -> Markup {
    let month: String = frame.now.to_string().chars().take(7).collect();
    html! {
        details.act {
            summary { "Download a signed report" }
            form.filters method="post" action="/ui/report" {
                (session(form))
                label {
                    span { "From (UTC)" }
                    input name="from" value={ (month) "-01" } required maxlength="64" autocomplete="off"
                        spellcheck="false" title=(TIME_HINT);
                }
                label { span { "To (now when empty)" } (time_field("to", "")) }
                label {
                    span { "Prompts, for example support/**" }
                    input name="prompt" value=(plain(&matter.prompt)) maxlength="200" spellcheck="false";
                }
                label {
                    span { "Format" }
                    select name="format" {
                        @for format in ["html", "csv", "jsonl"] { option value=(format) { (format) } }
                    }
                }
                button type="submit" { "Download" }
            }
        }
    }
}

fn table(matter: &AuditPageData) -> Markup {
    html! {
        table.list.cards.audit {
            thead {
                tr {
                    th scope="col" { "When (UTC)" } th scope="col" { "Actor" } th scope="col" { "Action" }
                    th scope="col" { "Target" } th scope="col" { "Message" } th scope="col" { "Result" }
                    th scope="col" { span.hidden { "Details" } }
                }
            }
            tbody { @for entry in &matter.entries { (row(matter, entry)) } }
        }
    }
}

/// One entry on one line; details are collapsed.
fn row(matter: &AuditPageData, entry: &AuditEntry) -> Markup {
    html! {
        tr {
            td { (moment(entry.at)) }
            td {
                a href=(address(matter, &entry.actor, "")) { (Escaped(&entry.actor)) }
                @if entry.actor_kind == Some(PrincipalKind::Automation) { " " span.tag { "automation" } }
            }
            td { b { (entry.command) } }
            td.words {
                @if let Some(first) = entry.subjects.first() { (subject(first)) }
                @if entry.subjects.len() > 1 { span.quiet { " +" (entry.subjects.len() - 1) } }
            }
            td.words { (Escaped(&entry.message)) }
            td {
                @if entry.decision == Decision::Denied { span.tag.high { "denied" } } @else { span.quiet { "allowed" } }
            }
            td.folded {
                details {
                    summary { "Details" span.hidden { " of entry " (entry.seq) } }
                    dl.pairs { (details(entry)) }
                }
            }
        }
    }
}

fn details(entry: &AuditEntry) -> Markup {
    html! {
        dt { "Entry" } dd { (entry.seq) @if let Some(at) = entry.occurred { ", happened " (moment(at)) " UTC" } }
        @if let Some(other) = &entry.on_behalf_of { dt { "On behalf of" } dd { (Escaped(other)) } }
        @if !entry.method.is_empty() { dt { "Authenticated by" } dd { (Escaped(&entry.method)) } }
        @if entry.subjects.len() > 1 {
            dt { "Targets" }
            dd { ul.logged { @for one in &entry.subjects { li { (subject(one)) } } } }
        }
        @if !entry.reason.is_empty() { dt { "Decided by" } dd { (with_code(&entry.reason)) } }
        @if let Some(id) = entry.change_request {
            dt { "Change request" } dd { a href=(request_path(id)) { "request " (id) } }
        }
        @if !entry.approved_by.is_empty() { dt { "Approved by" } dd { (Escaped(&entry.approved_by.join(", "))) } }
        @if let Some(risk) = entry.risk { dt { "Risk" } dd { span.tag.(risk.as_str()) { (risk) } } }
        @for one in &entry.overrode { dt { span.tag.critical { "overrode" } } dd { (Escaped(one)) } }
        @if entry.unrecorded > 0 {
            dt { "Before it" } dd { (entry.unrecorded) " earlier denials, not recorded individually" }
        }
        @if !entry.changes.is_empty() {
            dt { "Changes" }
            dd { ul.logged { @for change in &entry.changes { li { (changed(change)) } } } }
        }
        dt { "Hash" } dd { code title=(entry.hash) { (entry.hash.get(..12).unwrap_or(&entry.hash)) } }
    }
}

/// The subjects of a command, with links to prompts.
fn subject(subject: &Subject) -> Markup {
    let text = subject.to_string();
    html! {
        @match subject.prompt().and_then(|prompt| Some((prompt, text.strip_prefix(prompt)?))) {
            Some((prompt, rest)) => { a href=(prompt_path(prompt)) { (Escaped(prompt)) } (Escaped(rest)) }
            None => (Escaped(&text)),
        }
    }
}

/// The old and new value; long values are cut, with the full text in the tooltip.
fn changed(change: &AuditChange) -> Markup {
    let (before, after) = change.sides();
    let short = |value: &str| html! { span title=(plain(value)) { (Escaped(&start_of(value, VALUE_CHARACTERS))) } };
    html! {
        (Escaped(&change.subject().to_string())) ": "
        @match &before { Some(before) => del { (short(before)) }, None => span.quiet { "nothing" } }
        " → "
        @match &after { Some(after) => ins { (short(after)) }, None => span.quiet { "nothing" } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn audit_row_shows_actor_subject_message_and_decision() {
        let entry: AuditEntry = serde_json::from_value(json!({
            "format": 1, "seq": 7, "at": "2026-03-20T14:00:00Z", "actor": "ann<b>", "method": "access token <i>", "command": "deploy",
            "decision": "denied", "reason": "no grant", "message": "why\u{202e}",
            "subjects": [
                {"kind": "label", "prompt": "support/agent", "label": "production", "to": {"version": 7}},
                {"kind": "token", "name": "<s>"},
            ],
            "changes": [{"kind": "settings", "subject": {"kind": "token", "name": "<s>"}, "before": "<6>"}], "change_request": 4,
            "approved_by": ["cy"], "overrode": ["prod: <x>"], "unrecorded": 2, "previous": "",
        }))
        .expect("an entry");
        let result = Some(Decision::Denied);
        let matter =
            AuditPageData { entries: vec![entry], next: Some("7".to_owned()), result, ..AuditPageData::default() };
        let shown = page(&sample(Who::Local), &matter);
        for part in [
            "ann&lt;b&gt;",
            "href=\"/ui/audit?who=ann%3Cb%3E&amp;result=denied\"",
            "<span class=\"tag high\">denied</span>",
            "href=\"/ui/prompts/support/agent\"",
            "href=\"/ui/review/4\"",
            "&quot;&lt;6&gt;&quot;</span></del>",
            "Approved by</dt><dd>cy",
            "prod: &lt;x&gt;",
            "why<span class=\"odd\">U+202E</span>",
            "cursor=7",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("/ui/report"), "forms are for who is signed in");
        for (whole, broken_at, expected) in
            [(true, None, "Log verified."), (false, Some(4), "The log was modified at entry 4.")]
        {
            let verdict =
                AuditVerdict { whole, entries: 1_234, head: "<h>".to_owned(), broken_at, anchored: Some(whole) };
            let shown =
                page(&sample(Who::Local), &AuditPageData { verdict: Some(verdict), ..AuditPageData::default() });
            assert!(shown.contains(expected) && shown.contains("&lt;h&gt;"), "{expected} in {shown}");
        }
        let none = page(&sample(Who::Local), &AuditPageData::default());
        assert!(none.contains("No entries match") && !none.contains("<table"), "{none}");
    }
}
