//! The impact of a change, shown the same way on every page: for callers, findings, dependents, and requirements.

use maud::{Markup, html};

use crate::api::evaluations::DownstreamSuite;
use crate::api::govern::Reviewer;
use crate::form::DESPITE_FINDINGS;
use crate::format::{Escaped, with_code};
use crate::layout::{prompt_path, query};
use crate::model::finding::Finding;
use crate::model::reference::VersionRef;
use crate::model::verdict::{Requirement, RequirementKind};
use crate::model::version::Bump;

/// The effect of a change on callers.
pub(super) fn interface(bump: Bump, reasons: &[String]) -> Markup {
    let says = match bump {
        Bump::Patch => "Patch: wording only.",
        Bump::Minor => "Minor: adds something; existing callers keep working.",
        Bump::Major => "Major: may break existing callers.",
    };
    html! {
        @if reasons.is_empty() && bump != Bump::Major { p.quiet { (says) } } @else {
            div.note[bump == Bump::Major].bad[bump == Bump::Major].card[bump != Bump::Major] {
                p { b { (says) } }
                ul { @for reason in reasons { li { (with_code(reason)) } } }
            }
        }
    }
}

/// A finding with its severity, and its place unless it is shown beside it.
pub(super) fn finding(one: &Finding, with_place: bool) -> Markup {
    html! {
        span.tag.(one.severity.as_str()) { (one.severity) } " " (Escaped(&one.message))
        @if with_place { " " span.quiet { (Escaped(&one.target)) ", line " (one.line) } }
    }
}

/// Findings, each with its place.
pub(super) fn findings(found: &[Finding]) -> Markup {
    html! {
        @if found.is_empty() { p.quiet { "No findings." } } @else {
            h3 { "Findings" }
            ul.findings.card { @for one in found { li { (finding(one, true)) } } }
        }
    }
}

/// The checkbox that confirms deploying findings with a high risk or above.
pub(super) fn despite_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Markup {
    html! {
        @if findings.into_iter().any(Finding::is_grave) {
            label.check {
                input #despite-findings type="checkbox" name=(DESPITE_FINDINGS) value="yes";
                span { "Deploy despite findings of severity high or critical" }
            }
        }
    }
}

/// The callers of the current version; empty if there are none.
pub(super) fn used_by(callers: &[String]) -> Markup {
    html! {
        @if !callers.is_empty() {
            p.inline { "Used in the last 24 hours by" @for one in callers { span.tag { (Escaped(one)) } } }
        }
    }
}

/// The suites of the prompts that it feeds, and whether they passed with it; empty if there are none.
pub(super) fn downstream(suites: &[DownstreamSuite]) -> Markup {
    html! {
        @if !suites.is_empty() {
            h3 { "Feeds" }
            ul.demands {
                @for DownstreamSuite { prompt, label, suite, passed, missing } in suites {
                    li {
                        (mark(Some(*passed), ["Passed: ", "Not passed: "]))
                        div {
                            a href=(prompt_path(prompt.as_str())) { (Escaped(prompt.as_str())) }
                            "@" (Escaped(label.as_str())) ": suite "
                            a href={ "/ui/suites/" (suite) } { (Escaped(suite)) }
                            @if !missing.is_empty() { " " span.quiet { "(" (Escaped(missing)) ")" } }
                        }
                    }
                }
            }
        }
    }
}

/// A link to a version of another prompt.
pub(super) fn version_link(VersionRef { name, version }: &VersionRef) -> Markup {
    let path = prompt_path(name.as_str()) + &query(&[("version", &version.to_string())]);
    html! { a href=(path) { (Escaped(name.as_str())) } " v" (version) }
}

/// A label's requirements, met or not, and who can meet them. The message is checked `later` if it is typed on the same
/// page.
pub(super) fn requirements(label: &str, all: &[Requirement], reviewers: &[Reviewer], later: bool) -> Markup {
    html! {
        h3 { "Requirements for " (Escaped(label)) }
        @if all.is_empty() { p.quiet { "No policy applies. Anyone with deploy permission can deploy." } } @else {
            ul.demands {
                @for one in all {
                    @let met = (!later || one.kind != RequirementKind::Message).then_some(one.met);
                    li {
                        (mark(met, ["Met: ", "Not met: "]))
                        div {
                            (with_code(&one.says)) " " span.quiet { "policy " (Escaped(&one.policy)) }
                            @if met.is_none() { " " span.quiet { "(checked when you deploy)" } }
                            @if met == Some(false) && let Some(who) = who_can(one, reviewers) {
                                p.quiet { "Can be met by: " (Escaped(&who)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Met, not met, or not known yet: as a symbol, and as text for screen readers.
pub(super) fn mark(met: Option<bool>, [yes, no]: [&str; 2]) -> Markup {
    let (class, sign, word) = match met {
        Some(true) => ("met", "✓", yes),
        Some(false) => ("unmet", "✕", no),
        None => ("later", "○", "Later: "),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } span.hidden { (word) } } }
}

/// Who can meet a requirement: people if known, otherwise roles.
fn who_can(requirement: &Requirement, reviewers: &[Reviewer]) -> Option<String> {
    let by_review = matches!(requirement.kind, RequirementKind::Approvals | RequirementKind::RiskApproval);
    let roles = &requirement.roles;
    let fits = |one: &&Reviewer| roles.is_empty() || one.roles.iter().any(|role| roles.contains(role));
    let people = reviewers.iter().filter(|_| by_review).filter(fits);
    let mut who: Vec<String> = people.map(|one| format!("{} ({})", one.name, one.roles.join(", "))).collect();
    if who.is_empty() {
        who.extend(roles.iter().map(|role| format!("the role {role}")));
    }
    (!who.is_empty()).then(|| who.join(", "))
}
