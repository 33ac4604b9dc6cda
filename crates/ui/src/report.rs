//! The report as an HTML page: who changed what, when and why, who approved it, and what was live when.
//!
//! One file without scripts that loads nothing, supports light and dark mode, and can be printed. Text from others is
//! escaped, and invisible characters are shown by their code points.
//!
//! Invariant: every decision and period of the report is on the page, even if the chart leaves some out.

mod timeline;

use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::timeline::Timeline;
use super::format::{Escaped, between, grouped, length, moment};
use crate::governance::report::{
    Contents, Report, ReportHeader, ReportRow, ReportScope, ReportedVersion, ServingChange, Source, Span, SystemInfo,
    Tally, Totals,
};
use crate::model::audit::Decision;
use crate::model::deployment::Action;
use crate::model::finding::Severity;
use crate::model::name::{Label, PromptName};
use crate::model::version::Bump;

/// The inlined stylesheet.
const STYLE: &str = include_str!("report.css");
/// Most versions and labels that are listed for one decision; other formats list all.
const SHOWN_MAX: usize = 20;
/// A marker in the template for parts that are written row by row; it cannot occur in escaped text.
const HERE: &str = "<!---->";
/// The text for an empty table.
const NONE: &str = "–";

/// The result of the first pass, for the top of the page.
#[derive(Default)]
struct Overview {
    totals: Totals,
    contents: Contents,
    /// The highest risk of a decision.
    worst: Option<Severity>,
}

/// Writes the report page; returns its totals. The report is read twice, because the top of the page needs the totals.
pub fn write_page<S: Source>(
    report: &Report<'_, S>,
    system: &SystemInfo,
    out: &mut dyn Write,
) -> Result<Contents, S::Error> {
    let (overview, timeline) = read(report)?;
    let title = format!("Changes to prompts of {}", report.heading.registry);
    let top = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (Escaped(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(&report.heading, &report.question, system, &title))
                (figures(&overview))
                h2 { "Deployment history" }
                (PreEscaped(HERE))
                h2.page { "Decisions" }
                (PreEscaped(HERE))
                (appendix(&overview.contents, system))
            }
        }
    }
    .into_string();
    let mut parts = top.splitn(3, HERE);
    let mut next = || parts.next().unwrap_or_default().as_bytes();
    out.write_all(next())?;
    timeline.write(report, out)?;
    if overview.contents.deployments > 0 {
        write_live(report, out)?;
    }
    out.write_all(next())?;
    write_decisions(report, overview.contents.rows > 0, out)?;
    out.write_all(next())?;
    Ok(overview.contents)
}

fn read<S: Source>(report: &Report<'_, S>) -> Result<(Overview, Timeline), S::Error> {
    let (mut tally, mut timeline, mut worst) = (Tally::default(), Timeline::default(), None);
    let contents = report.rows(&mut |row| {
        tally.add(row, &report.question);
        timeline.row(row, &report.question);
        worst = worst.max(row.risk);
        Ok(())
    })?;
    let deployments = report.spans(&mut |span| {
        timeline.span(span);
        Ok(())
    })?;
    Ok((Overview { totals: tally.totals(), contents: Contents { deployments, ..contents }, worst }, timeline))
}

fn head(heading: &ReportHeader, question: &ReportScope, system: &SystemInfo, title: &str) -> Markup {
    html! {
        header {
            h1 { (Escaped(title)) }
            p.range { (moment(question.from)) " to " (moment(question.to)) " UTC" }
            dl.facts {
                dt { "Prompts" }
                dd { code { (Escaped(question.prompts.as_str())) } @if question.prompts.is_everything() { " (all)" } }
                dt { "Created" }
                dd { (moment(heading.generated_at)) " UTC by " (Escaped(&heading.generated_by)) }
                dt { "Software" }
                dd { (system.software) " " (system.software_version) }
                @if let Some(provider) = &system.provider { dt { "Provider" } dd { (Escaped(provider)) } }
                @if let Some(purpose) = &system.intended_purpose { dt { "Intended purpose" } dd { (Escaped(purpose)) } }
            }
            p {
                "A " b { "decision" } " is one requested action, allowed or denied. A " b { "label" }
                " such as production is what applications request; the chart and the first table show what each "
                "served, and since when. Decisions are listed in the order they were recorded. A change marked "
                b { "substantial" }
                " can break existing callers. All times are UTC, from the registry's clock. "
                "The label latest, which follows every new version, is left out."
            }
        }
    }
}

fn figures(overview: &Overview) -> Markup {
    let (totals, worst) = (&overview.totals, overview.worst);
    let refused = totals.denied.saturating_add(totals.unrecorded);
    let figure = |count: u64, one: &'static str, many: &'static str, alarm: bool| {
        html! { li.alarm[alarm && count > 0] { b { (grouped(count)) } (if count == 1 { one } else { many }) } }
    };
    html! {
        ul.figures {
            (figure(totals.granted, "change", "changes", false))
            (figure(totals.prompts, "prompt", "prompts", false))
            (figure(totals.versions, "new version", "new versions", false))
            (figure(totals.substantial, "substantial", "substantial", false))
            (figure(totals.moves, "deployment", "deployments", false))
            (figure(totals.rollbacks, "rollback", "rollbacks", false))
            (figure(totals.approved, "with an approval", "with approvals", false))
            (figure(refused, "denied attempt", "denied attempts", true))
            (figure(totals.overrode, "override", "overrides", true))
            (figure(totals.actors, "person or service", "people and services", false))
            @if let Some(worst) = worst {
                li.alarm[worst >= Severity::High] { b { (worst) } "highest risk" }
            }
        }
    }
}

/// Writes what each label served, one table body per label.
fn write_live<S: Source>(report: &Report<'_, S>, out: &mut dyn Write) -> Result<(), S::Error> {
    let heads = ["From", "Until", "For", "Served", "Content", "Risk", "By", "Approved by", "Why", "Commit"];
    out.write_all(b"<div class=\"wide\"><table class=\"live\">")?;
    put(out, &html! { thead { tr { @for head in heads { th { (head) } } } } })?;
    let mut lane: Option<(PromptName, Label)> = None;
    report.spans(&mut |span| {
        if lane.as_ref().is_none_or(|(name, label)| (name, label) != (&span.name, &span.label)) {
            out.write_all(if lane.is_some() { b"</tbody><tbody>" } else { b"<tbody>" })?;
            let named = html! {
                tr.lane {
                    th colspan="10" scope="rowgroup" {
                        (Escaped(span.name.as_str()))
                        span.quiet { "@" (Escaped(span.label.as_str())) }
                    }
                }
            };
            put(out, &named)?;
            lane = Some((span.name.clone(), span.label.clone()));
        }
        Ok(put(out, &served(span, report.has(span.deployment)?))?)
    })?;
    Ok(out.write_all(b"</tbody></table></div>")?)
}

fn put(out: &mut dyn Write, markup: &Markup) -> io::Result<()> {
    out.write_all(markup.0.as_bytes())
}

fn served(span: &Span, linked: bool) -> Markup {
    let lasted = span.until.map(|until| length(until.ms().saturating_sub(span.from.ms())));
    let content = |version: &ReportedVersion| html! { span.id { (version.content_id.short()) } };
    html! {
        tr {
            td { (moment(span.from)) }
            td {
                @match (span.until, span.ended_by) {
                    (Some(until), Some(Action::Unlabel | Action::Remove)) => {
                        (moment(until)) br; span.bad { "removed" }
                    }
                    (Some(until), _) => (moment(until)),
                    (None, _) => span.good { "still" },
                }
            }
            td { (lasted.as_deref().unwrap_or(NONE)) }
            td {
                b { (Escaped(&span.serving.to_string())) }
                @if span.action == Action::Rollback { br; span.warn { "rollback" } }
            }
            td { (between(span.versions.iter().take(SHOWN_MAX).map(content), "<br>")) }
            td { (risk(span.risk)) }
            td { (Escaped(&span.by)) }
            td { (approvals(&span.approved_by, span.change_request)) }
            td { (Escaped(&span.message)) }
            td {
                @if linked { a href={ "#c" (span.deployment) } { (span.deployment) } } @else { (span.deployment) }
            }
        }
    }
}

/// Writes every decision, in the order of the audit log.
fn write_decisions<S: Source>(report: &Report<'_, S>, any: bool, out: &mut dyn Write) -> Result<(), S::Error> {
    if !any {
        return Ok(put(out, &html! { p.quiet { "No activity in this period." } })?);
    }
    let heads = ["When", "Who", "What", "Decision", "Why", "Approved by", "Risk", "Commit"];
    out.write_all(b"<div class=\"wide\"><table class=\"decisions\">")?;
    put(out, &html! { thead { tr { @for head in heads { th { (head) } } } } })?;
    out.write_all(b"<tbody>")?;
    report.rows(&mut |row| Ok(put(out, &decision(row))?))?;
    Ok(out.write_all(b"</tbody></table></div>")?)
}

fn decision(row: &ReportRow) -> Markup {
    let entry = &row.entry;
    let denied = entry.decision == Decision::Denied;
    let (many_versions, many_moves) =
        (row.versions.len().saturating_sub(SHOWN_MAX), row.moves.len().saturating_sub(SHOWN_MAX));
    html! {
        tr.denied[denied] id={ "c" (entry.seq) } {
            td {
                (moment(row.occurred_at))
                @if row.occurred_at != entry.at { br; span.quiet { "recorded " (moment(entry.at)) } }
            }
            td {
                @match &entry.on_behalf_of {
                    Some(author) => { (Escaped(author)) ", imported by " (Escaped(&entry.actor)) }
                    None => (Escaped(&entry.actor)),
                }
                @if !entry.method.is_empty() { br; span.quiet { (Escaped(&entry.method)) } }
            }
            td {
                b { (entry.command) }
                @if row.versions.is_empty() && row.moves.is_empty() {
                    @for subject in entry.subjects.iter().take(SHOWN_MAX) { " " (Escaped(&subject.to_string())) }
                }
                @for version in row.versions.iter().take(SHOWN_MAX) { br; (described(version)) }
                @for moved in row.moves.iter().take(SHOWN_MAX) { br; (movement(moved)) }
                @if many_versions + many_moves > 0 {
                    br; span.quiet { "and " (many_versions + many_moves) " more" }
                }
            }
            td {
                @if denied { span.bad { "denied" } } @else { "done" }
                @if !entry.reason.is_empty() { br; span.quiet { (Escaped(&entry.reason)) } }
                @for overrode in &entry.overrode { br; span.warn { "overrode " (Escaped(overrode)) } }
                @if entry.unrecorded > 0 {
                    br; span.quiet { (grouped(entry.unrecorded)) " earlier denials, not recorded individually" }
                }
            }
            td { (Escaped(&entry.message)) }
            td { (approvals(&entry.approved_by, entry.change_request)) }
            td { (risk(row.risk)) }
            td { (entry.seq) }
        }
    }
}

fn described(version: &ReportedVersion) -> Markup {
    html! {
        (Escaped(version.name.as_str())) "@" (version.number) " "
        span.quiet {
            (version.semver)
            @if let Some(bump) = version.bump.filter(|bump| *bump != Bump::Major) { " " (bump) }
            @if version.is_substantial() { " " span.warn { "substantial" } }
            " " span.id title=(version.content_id) { (version.content_id.short()) }
        }
    }
}

fn movement(moved: &ServingChange) -> Markup {
    let asked = if moved.done { "" } else { "asked for " };
    html! {
        (asked) (Escaped(&moved.prompt)) "@" (Escaped(&moved.label)) ": "
        @if let Some(from) = &moved.from { (Escaped(&from.to_string())) " " }
        "→ " (Escaped(&moved.to.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)))
    }
}

fn approvals(approved_by: &[String], change_request: Option<u64>) -> Markup {
    html! {
        @for (index, name) in approved_by.iter().enumerate() { @if index > 0 { ", " } (Escaped(name)) }
        @if let Some(number) = change_request {
            @if !approved_by.is_empty() { br; }
            span.quiet { "change request " (number) }
        }
    }
}

fn risk(risk: Option<Severity>) -> Markup {
    html! { @if let Some(risk) = risk { span class={ "risk " (risk) } { (risk) } } }
}

fn appendix(contents: &Contents, system: &SystemInfo) -> Markup {
    let entry = |what: &str, seq: u64, hash: &str| {
        html! { dt { (what) } dd { "commit " (seq) ", " code { (hash) } } }
    };
    html! {
        footer {
            h2 { "How to verify" }
            p {
                "This file came with a manifest, a second file whose name ends in .manifest.json. The manifest holds "
                "the hash of this file, signed by the registry"
                @if let Some(key) = &system.signing_key { " (" code { (key) } ")" }
                ", and everything needed to check the signature except the root key. Ask the registry's operator, not "
                "the sender of this file, for "
                "that key, and run on any machine, without a network:"
            }
            pre { code { "bookholder report verify FILE --root-key bk1-…" } }
            p {
                "The decisions are entries of an audit log in which each entry holds the hash of the one before. The "
                "same report as jsonl holds the entries themselves, and their chain can be checked from it alone."
            }
            dl.facts {
                @if let Some((first, last)) = &contents.ends {
                    (entry("First decision", first.0, &first.1))
                    (entry("Last decision", last.0, &last.1))
                }
                @if let Some((seq, hash)) = &contents.head { (entry("Newest entry of the audit log", *seq, hash)) }
            }
            p {
                "This report supports record keeping under Articles 12, 19 and 26(6) of Regulation (EU) 2024/1689. It "
                "does not determine whether an obligation is met; that remains with the obliged party."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::report::samples::{self, Sample};
    use crate::model::audit::Subject;

    fn page(report: &Report<'_, Sample>, system: &SystemInfo) -> String {
        let mut page = Vec::new();
        write_page(report, system, &mut page).expect("in memory");
        String::from_utf8(page).expect("text")
    }

    fn system() -> SystemInfo {
        SystemInfo {
            software: "bookholder".to_owned(),
            software_version: "0.1.0".to_owned(),
            registry: "prompts.example.org".to_owned(),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn report_page_shows_decisions_approvers_and_what_was_live() {
        let page = page(&samples::incident().report(), &system());
        for part in [
            "<h1>Changes to prompts of prompts.example.org</h1>",
            "2026-03-19 00:00:00 to 2026-03-22 00:00:00 UTC",
            "<b>5</b>changes",
            "<li class=\"alarm\"><b>1</b>denied attempt</li>",
            "<li class=\"alarm\"><b>high</b>highest risk</li>",
            "<tr class=\"denied\" id=\"c3\">",
            "<span class=\"bad\">denied</span><br><span class=\"quiet\">`bo` may not deploy</span>",
            "support/agent@production: 1 → 2",
            "eve<br><span class=\"quiet\">change request 3</span>",
            "<td>2026-03-20 14:00:00</td><td>2026-03-20 15:00:00</td><td>1 h</td>",
            "<span class=\"good\">still</span>",
            "<span class=\"warn\">substantial</span>",
            "2026-03-19 06:00:00<br><span class=\"quiet\">recorded 2026-03-20 16:00:00</span>",
            "<td>cy, imported by ada<br>",
            "supports record keeping under Articles 12, 19 and 26(6)",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn report_page_is_one_file_without_scripts() {
        let page = page(&samples::incident().report(), &system());
        for part in ["<script", " src=", "<link", "url(", "@import", "compliant", "compliance"] {
            assert!(!page.to_lowercase().contains(part), "{part}");
        }
        assert_eq!(page.matches("</style>").count(), 1);
    }

    #[test]
    fn text_of_others_is_escaped() {
        let hostile = "</td><script>alert(1)</script>\u{202e}\u{200b}\u{1b}&\"'";
        let mut sample = samples::incident();
        for entry in &mut sample.log {
            if entry.decision == Decision::Denied {
                let (prompt, label) = (hostile.to_owned(), hostile.to_owned());
                entry.subjects.push(Subject::Label { prompt, label, to: None });
            }
            for text in [&mut entry.actor, &mut entry.message, &mut entry.reason, &mut entry.method] {
                hostile.clone_into(text);
            }
            entry.on_behalf_of = Some(hostile.to_owned());
            entry.approved_by = vec![hostile.to_owned()];
            entry.overrode = vec![hostile.to_owned()];
        }
        for deployment in sample.prompts.values_mut().flat_map(|history| &mut history.deployments) {
            (deployment.actor, deployment.message) = (hostile.to_owned(), hostile.to_owned());
        }
        let mut report = sample.report();
        report.heading.generated_by = hostile.to_owned();
        report.heading.registry = hostile.to_owned();
        let system = SystemInfo { provider: Some(hostile.to_owned()), ..system() };
        let page = page(&report, &system);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        for hidden in ['\u{202e}', '\u{200b}', '\u{1b}'] {
            assert!(!page.contains(hidden), "{hidden:?}");
        }
        assert!(page.contains("<span class=\"odd\">U+202E</span>"));
    }

    #[test]
    fn empty_report_renders() {
        let sample = samples::incident();
        let page = page(&sample.report_of("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "sales/**"), &system());
        assert!(page.contains("No activity in this period."));
    }

    #[test]
    fn thousands_of_changes_stay_within_five_megabytes() {
        let sample = samples::many(4_529);
        let page = page(&sample.whole_report(), &system());
        assert!(page.len() < 5 * 1_024 * 1_024, "{} bytes", page.len());
        assert_eq!(page.matches(" id=\"c").count(), 4_529, "every decision is there");
    }
    #[test]
    fn every_change_that_a_label_serves_links_to_its_decision() {
        let sample = samples::incident();
        let page = page(&sample.report_of("2026-03-20T14:30:00Z", "2026-03-22T00:00:00Z", "support/**"), &system());
        // Commit 5 is before the period, and still served in it.
        assert!(page.contains("<td>5</td>") && page.contains("<a href=\"#c6\">6</a>"), "{page}");
        assert_eq!(page.matches("<tbody>").count(), 2, "{page}");
        assert_eq!(page.matches("</tbody>").count(), 2, "{page}");
    }
}
