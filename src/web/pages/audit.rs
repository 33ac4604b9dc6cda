//! The audit log: what was decided, who asked and why, newest first; and the report of it.

use maud::{Markup, html};

use crate::model::audit::{AuditChange, AuditEntry, AuditVerdict, Decision, Subject};
use crate::web::layout::{Frame, Page, Part, empty, prompt_path, query, request_path};
use crate::web::words::{Visible, grouped, moment, plain, when};

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct AuditMatter {
    /// Whose commands; empty for everybody's.
    pub who: String,
    /// About which prompt; empty for all.
    pub prompt: String,
    /// Only what was refused.
    pub refused: bool,
    /// One page of entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where older entries go on.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub continued: bool,
    /// Whether the chain holds, where that was asked.
    pub verdict: Option<AuditVerdict>,
}

/// Writes the page.
#[must_use]
pub fn page(frame: &Frame, matter: &AuditMatter) -> String {
    let main = html! {
        div.head { h1 { "Audit" } p.quiet { "Every command that was decided, each bound to the one before" } }
        (filters(matter))
        @match &matter.verdict {
            Some(verdict) => (verified(verdict)),
            None => p { a.button href="/ui/audit?verify=yes" { "Verify the chain" } },
        }
        @if let Some(form) = frame.form() { (report(frame, matter, form)) }
        @if !matter.entries.is_empty() { (table(frame, matter)) }
        @else if matter.next.is_some() { (empty("Nothing in the newest entries", "Older ones may fit: look further.")) }
        @else { (empty("Nothing found", "No entry of the log fits.")) }
        @if matter.continued || matter.next.is_some() {
            nav.pages aria-label="Pages" {
                @if matter.continued { a href=(address(matter, &matter.who, &matter.prompt, "")) { "Newest" } }
                @if let Some(next) = &matter.next {
                    a.button rel="next" href=(address(matter, &matter.who, &matter.prompt, next)) { "Older entries" }
                }
            }
        }
    };
    frame.page_of(Part::Audit, &Page { title: "Audit", above: &[], done: None, search: "", main })
}

/// Whether every entry fits itself and the one before, up to what was signed.
fn verified(verdict: &AuditVerdict) -> Markup {
    let count = grouped(verdict.entries);
    html! {
        div.note.bad[!verdict.whole] role="status" {
            @if verdict.whole {
                p { b { "The chain is whole." } " " (count) " entries were checked, each against itself and the one before"
                    @if verdict.anchored == Some(true) { ", and the newest is the one that the signed checkpoint names" } "." }
            } @else {
                p {
                    b { "The chain is broken" @if let Some(at) = verdict.broken_at { " at entry " (at) } "." } " " (count) " entries were checked. "
                    @if verdict.anchored == Some(false) { "The newest is not the one that the signed checkpoint names. " }
                    "Somebody changed the log outside this program: keep this data directory as it is, and compare it with a backup."
                }
            }
            p { "The newest has the hash " code.id { (verdict.head) } }
        }
    }
}

fn address(matter: &AuditMatter, who: &str, prompt: &str, cursor: &str) -> String {
    let refused = if matter.refused { "yes" } else { "" };
    format!("/ui/audit{}", query(&[("who", who), ("prompt", prompt), ("refused", refused), ("cursor", cursor)]))
}

fn filters(matter: &AuditMatter) -> Markup {
    html! {
        form.filters action="/ui/audit" {
            label { span { "Who" } input type="search" name="who" value=(plain(&matter.who)) maxlength="64" spellcheck="false"; }
            label { span { "Prompt" } input type="search" name="prompt" value=(plain(&matter.prompt)) maxlength="200" spellcheck="false"; }
            label.check { input type="checkbox" name="refused" value="yes" checked[matter.refused]; span { "Only what was refused" } }
            button type="submit" { "Filter" }
            @if matter.refused || !matter.who.is_empty() || !matter.prompt.is_empty() { a.clear href="/ui/audit" { "Clear" } }
        }
    }
}

/// The form for the report; it is itself a command that the log keeps.
fn report(frame: &Frame, matter: &AuditMatter, form: &str) -> Markup {
    let month: String = frame.now.to_string().chars().take(7).collect();
    html! {
        details.act {
            summary { "Download a signed report" }
            form.filters method="post" action="/ui/report" {
                input type="hidden" name="form" value=(form);
                label { span { "From (UTC)" } input type="datetime-local" name="from" value={ (month) "-01T00:00" } required; }
                label { span { "To (now when empty)" } input type="datetime-local" name="to"; }
                label { span { "Prompts, for example support/**" } input name="prompt" value=(plain(&matter.prompt)) maxlength="200" spellcheck="false"; }
                label { span { "Format" } select name="format" { @for format in ["html", "csv", "jsonl"] { option value=(format) { (format) } } } }
                button type="submit" { "Download" }
            }
        }
    }
}

fn table(frame: &Frame, matter: &AuditMatter) -> Markup {
    html! {
        table.list.cards {
            thead { tr {
                th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" }
                th scope="col" { "Why" } th scope="col" { "Before and after" }
            } }
            tbody { @for entry in &matter.entries { (row(frame, matter, entry)) } }
        }
    }
}

fn row(frame: &Frame, matter: &AuditMatter, entry: &AuditEntry) -> Markup {
    let denied = entry.decision == Decision::Denied;
    html! {
        tr {
            td data-label="When" { (when(entry.at, frame.now)) br; span.quiet { "entry " (entry.seq) @if let Some(at) = entry.occurred { ", happened " (moment(at)) " UTC" } } }
            td data-label="Who" {
                a href=(address(matter, &entry.actor, &matter.prompt, "")) { (Visible(&entry.actor)) }
                @if let Some(other) = &entry.on_behalf_of { " " span.quiet { "for " (Visible(other)) } }
                @if !entry.method.is_empty() { br; span.quiet { (Visible(&entry.method)) } }
            }
            td data-label="What" {
                b { (entry.command) } " " @if denied { span.tag.high { "refused" } }
                ul.logged { @for one in &entry.subjects { li { (subject(one)) } } }
                @if let Some(id) = entry.change_request { a href=(request_path(id)) { "request " (id) } }
            }
            td.words data-label="Why" {
                @if !entry.message.is_empty() { q { (Visible(&entry.message)) } br; }
                @if !entry.reason.is_empty() { span.quiet { (Visible(&entry.reason)) } }
                @if !entry.approved_by.is_empty() { br; span.quiet { "approved by " (Visible(&entry.approved_by.join(", "))) } }
                @for one in &entry.overrode { br; span.tag.critical { "overrode" } " " (Visible(one)) }
                @if let Some(risk) = entry.risk { " " span.tag.(risk.as_str()) { (risk) } }
                @if entry.unrecorded > 0 { br; span.quiet { "and " (entry.unrecorded) " refusals before it that were not recorded one by one" } }
            }
            td data-label="Before and after" {
                @if !entry.changes.is_empty() {
                    ul.logged {
                        @for change in &entry.changes {
                            li { (changed(change)) }
                        }
                    }
                }
            }
        }
    }
}

/// What a command was about, with a link where it is a prompt.
fn subject(subject: &Subject) -> Markup {
    let text = subject.to_string();
    html! {
        @match subject.prompt().and_then(|prompt| Some((prompt, text.strip_prefix(prompt)?))) {
            Some((prompt, rest)) => { a href=(prompt_path(prompt)) { (Visible(prompt)) } (Visible(rest)) }
            None => (Visible(&text)),
        }
    }
}

/// What something was, and what it is.
fn changed(change: &AuditChange) -> Markup {
    let (before, after) = change.sides();
    html! {
        (Visible(&change.subject().to_string())) ": "
        @match &before { Some(before) => del { (Visible(before)) }, None => span.quiet { "nothing" } }
        " → "
        @match &after { Some(after) => ins { (Visible(after)) }, None => span.quiet { "nothing" } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::web::layout::{Who, sample};

    #[test]
    fn an_entry_says_who_what_why_and_whether_it_was_refused() {
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
        let matter =
            AuditMatter { entries: vec![entry], next: Some("7".to_owned()), refused: true, ..AuditMatter::default() };
        let shown = page(&sample(Who::Local), &matter);
        for part in [
            "ann&lt;b&gt;",
            "href=\"/ui/audit?who=ann%3Cb%3E&amp;refused=yes\"",
            "<span class=\"tag high\">refused</span>",
            "href=\"/ui/prompts/support/agent\"",
            "href=\"/ui/review/4\"",
            "<del>&quot;&lt;6&gt;&quot;</del>",
            "approved by cy",
            "prod: &lt;x&gt;",
            "why<span class=\"odd\">U+202E</span>",
            "cursor=7",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("/ui/report"), "forms are for who is signed in");
        for (whole, broken_at, expected) in
            [(true, None, "The chain is whole."), (false, Some(4), "The chain is broken at entry 4.")]
        {
            let verdict =
                AuditVerdict { whole, entries: 1_234, head: "<h>".to_owned(), broken_at, anchored: Some(whole) };
            let shown = page(&sample(Who::Local), &AuditMatter { verdict: Some(verdict), ..AuditMatter::default() });
            assert!(shown.contains(expected) && shown.contains("&lt;h&gt;"), "{expected} in {shown}");
        }
        let none = page(&sample(Who::Local), &AuditMatter::default());
        assert!(none.contains("Nothing found") && !none.contains("<table"), "{none}");
    }
}
