//! One change request: what it changes, what is missing, what was said, and what whoever looks can do about it.

use maud::{Markup, html};

use super::conversation::conversation;
use super::queue::state_tag;
use super::{diff, serving};
use crate::api::govern::{InterfaceChange, MoveReview, RequestView, Reviewer};
use crate::governance::label_policy::{Requirement, RequirementKind};
use crate::model::change_request::{EventKind, ProposedMove, RequestEvent, RequestState};
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::serving::Serving;
use crate::model::version::Bump;
use crate::web::form::DESPITE_FINDINGS;
use crate::web::layout::{Frame, Page, Part, back_path, prompt_path, query, request_path};
use crate::web::words::{Visible, when};

/// What the page shows.
#[derive(Clone, Debug)]
pub struct ReviewMatter {
    /// The change request, looked at from all sides.
    pub view: RequestView,
    /// What stands beside each move, in their order.
    pub sides: Vec<Side>,
    /// What whoever looks can do; none where they can send no forms, or it is closed.
    pub may: Option<May>,
    /// Something that was just done.
    pub done: Option<&'static str>,
}

/// What stands beside a move.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What the label serves now.
    pub now: Option<Serving>,
    /// What it shall say, where there is nothing to compare it with.
    pub content: Option<Content>,
}

/// What somebody can do about a change request; else why they cannot.
#[derive(Clone, Debug)]
pub struct May {
    /// Approve it.
    pub approve: Result<(), String>,
    /// Reject it.
    pub reject: Result<(), String>,
    /// Deploy what it proposes.
    pub apply: Result<(), String>,
    /// Take it back: they asked for it.
    pub withdraw: bool,
    /// Override what is missing.
    pub overrides: bool,
    /// Whether they approve it already, as it is now.
    pub approves: bool,
}

/// Writes the page.
#[must_use]
pub fn page(frame: &Frame, matter: &ReviewMatter) -> String {
    let request = &matter.view.request;
    let title = format!("Change request {}", request.id);
    // Somebody approves what they saw: where something else is proposed meanwhile, their page says so and changes nothing.
    let seen: Vec<&str> = request.moves.iter().map(|one| one.fingerprint.as_str()).collect();
    let seen = seen.join(" ");
    let main = html! {
        div.head #head data-live { h1 { (title) } (state_tag(request.state)) }
        p.lead { (Visible(&request.message)) }
        p.quiet {
            "Asked by " b { (Visible(&request.author)) } " " (when(request.created, frame.now))
            @if request.state == RequestState::Open {
                ", open until " (when(request.expires, frame.now))
                @if !request.reviewers.is_empty() { ", asked of " b { (Visible(&request.reviewers.join(", "))) } }
                @if request.automatic { ", deployed as soon as nothing is missing" }
            }
        }
        div.columns {
            div.stack #moves data-live data-seen=(seen) {
                @for (index, (one, review)) in request.moves.iter().zip(&matter.view.moves).enumerate() {
                    (proposal(request.state, one, review, matter.sides.get(index)))
                }
            }
            aside aria-label="Review" {
                div #standing data-live { (standing(frame, matter)) }
                div #desk data-live data-seen=(seen) {
                    @if let (Some(may), Some(form)) = (&matter.may, frame.form()) { (desk(matter, may, form, &seen)) }
                }
                h2 { "Discussion" }
                div #discussion data-live { (discussion(frame, &request.events)) }
            }
        }
    };
    let above = [("Review", "/ui/review".to_owned())];
    frame.page_of(Part::Review, &Page { title: &title, above: &above, done: matter.done, search: "", main })
}

fn proposal(state: RequestState, one: &ProposedMove, review: &MoveReview, side: Option<&Side>) -> Markup {
    let path = prompt_path(one.name.as_str());
    let version = |number: u64| format!("{path}?version={number}");
    let digits = one.fingerprint.get(..12).unwrap_or(&one.fingerprint);
    let now = side.and_then(|side| side.now.as_ref());
    html! {
        section.proposal {
            div.head {
                h2 { a href=(path) { (Visible(one.name.as_str())) } " on " (Visible(one.label.as_str())) }
                p.quiet { "fingerprint " code title=(one.fingerprint) { (digits) } }
            }
            div.sides {
                div.side {
                    h3 { "Served now" }
                    @match now { Some(now) => (serving::drawn(now, &version)), None => p.quiet { "Nothing." } }
                }
                div.side { h3 { "Proposed" } (serving::drawn(&one.serving, &version)) }
            }
            @if state == RequestState::Open { (around(one, review)) }
            @if let Some(changed) = &review.diff { (diff::changes(changed, |name| html! { h3 { (name) } })) }
            @else if let Some(content) = side.and_then(|side| side.content.as_ref()) {
                h3 { "What it would say" }
                (conversation(content))
            } @else if state == RequestState::Open && now.is_some_and(|now| *now != one.serving) {
                p.quiet { "More than one version is involved; each number above leads to what it says." }
            }
        }
    }
}

/// What a move means for others: for callers, by the risk rules, for who uses it and what includes it.
fn around(one: &ProposedMove, review: &MoveReview) -> Markup {
    html! {
        @if let Some(change) = &review.interface { (interface(change)) }
        @if review.findings.is_empty() { p.quiet { "The risk rules find nothing." } } @else {
            div.note.warn {
                p { b { "The risk rules find" } }
                ul.findings {
                    @for found in &review.findings {
                        li {
                            span.tag.(found.severity.as_str()) { (found.severity) } " " (Visible(&found.message)) " "
                            span.quiet { (Visible(&found.target)) ", line " (found.line) }
                        }
                    }
                }
            }
        }
        @if !review.used_by.is_empty() {
            p { "In the last day, what is served now was used by " @for who in &review.used_by { span.tag { (Visible(who)) } " " } }
        }
        @if !review.dependents.is_empty() {
            p { "Included by "
                @for reference in &review.dependents {
                    @let (name, number) = reference.rsplit_once('@').unwrap_or((reference, ""));
                    a href={ (prompt_path(name)) (query(&[("version", number)])) } { (Visible(name)) } " "
                }
            }
        }
        (demands(one.label.as_str(), &review.requirements, &review.reviewers))
    }
}

/// The box that whoever deploys has to tick where the risk rules find something high or worse.
pub(super) fn despite_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Markup {
    html! {
        @if findings.into_iter().any(Finding::is_grave) {
            label.check { input #despite-findings type="checkbox" name=(DESPITE_FINDINGS) value="yes"; span { "Deploy despite findings of severity high or critical" } }
        }
    }
}

/// What a change means for callers.
pub(super) fn interface(change: &InterfaceChange) -> Markup {
    let says = match change.bump {
        Bump::Patch => "Callers see no difference but the words.",
        Bump::Minor => "Callers may use what is new.",
        Bump::Major => "Callers may break.",
    };
    html! {
        @if change.bump == Bump::Major || !change.reasons.is_empty() {
            div.note.bad[change.bump == Bump::Major] {
                p { b { (says) } }
                ul { @for reason in &change.reasons { li { (Visible(reason)) } } }
            }
        } @else { p.quiet { (says) } }
    }
}

/// What a label demands, met or not, and who could give what is missing.
pub(super) fn demands(label: &str, requirements: &[Requirement], reviewers: &[Reviewer]) -> Markup {
    html! {
        h3 { "What " (Visible(label)) " demands" }
        @if requirements.is_empty() { p.quiet { "No policy demands anything; the right to deploy is enough." } } @else {
            ul.demands {
                @for demand in requirements {
                    li {
                        @if demand.met { span.met aria-hidden="true" { "✓" } } @else { span.unmet aria-hidden="true" { "✗" } }
                        div {
                            span.hidden { (if demand.met { "Given: " } else { "Missing: " }) }
                            (Visible(&demand.says)) " " span.quiet { "policy " (Visible(&demand.policy)) }
                            @if !demand.met && let Some(who) = who_could(demand, reviewers) { p.quiet { "Could be given by " (Visible(&who)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Who could give what is missing: people where they are known, else roles.
fn who_could(demand: &Requirement, reviewers: &[Reviewer]) -> Option<String> {
    let by_review = matches!(demand.kind, RequirementKind::Approvals | RequirementKind::RiskApproval);
    let fits = |one: &&Reviewer| demand.roles.is_empty() || one.roles.iter().any(|role| demand.roles.contains(role));
    let people = reviewers.iter().filter(|_| by_review).filter(fits);
    let mut who: Vec<String> = people.map(|one| format!("{} ({})", one.name, one.roles.join(", "))).collect();
    if who.is_empty() {
        who.extend(demand.roles.iter().map(|role| format!("the role {role}")));
    }
    (!who.is_empty()).then(|| who.join(", "))
}

/// Where it stands, in one sentence.
fn standing(frame: &Frame, matter: &ReviewMatter) -> Markup {
    let request = &matter.view.request;
    let missing = matter.view.moves.iter().flat_map(|one| &one.requirements).filter(|demand| !demand.met).count();
    html! {
        h2 { "Standing" }
        @match request.state {
            RequestState::Open if matter.view.complete => p.note { "Nothing is missing but somebody who deploys it." },
            RequestState::Open if request.expires > frame.now => p.note.warn { (missing) (if missing == 1 { " demand is" } else { " demands are" }) " not met, marked ✗." },
            RequestState::Open => p.note.warn { "Its time is over." },
            RequestState::Applied => {
                p.note { "It was deployed" @if let Some(id) = request.deployment { ", as commit " (id) } "." }
                @if frame.form().is_some() {
                    p { @for one in &request.moves { a.back href=(back_path(one.name.as_str(), one.label.as_str())) { "Roll back " (Visible(one.name.as_str())) "@" (Visible(one.label.as_str())) } " " } }
                }
            },
            RequestState::Rejected => p.note.bad { "It was rejected." },
            RequestState::Withdrawn => p.note { "Its author took it back." },
            RequestState::Expired => p.note { "Nobody finished it in time." },
        }
    }
}

/// The forms; what somebody cannot do stands there with why.
fn desk(matter: &ReviewMatter, may: &May, form: &str, seen: &str) -> Markup {
    let request = &matter.view.request;
    let path = request_path(request.id);
    let begin = |kind: &str| {
        html! {
            input type="hidden" name="form" value=(form);
            input type="hidden" name="kind" value=(kind);
            input type="hidden" name="fingerprints" value=(seen);
        }
    };
    html! {
        div.desk {
            @match &may.approve {
                Ok(()) => form.stack method="post" action=(path) {
                    (begin("approve"))
                    @if may.approves { p.quiet { "You approve it as it is." } }
                    label for="approve-why" { "Note " span.quiet { "(optional)" } }
                    input #approve-why name="message" maxlength="2000" autocomplete="off";
                    button.primary type="submit" { (if may.approves { "Approve again" } else { "Approve" }) }
                },
                Err(why) => (barred("Approve", why)),
            }
            (deploying(matter, may, &path, &begin("apply")))
            form.stack method="post" action=(path) {
                (begin("comment"))
                label for="comment-text" { "Comment" }
                textarea #comment-text name="message" required maxlength="2000" {}
                button type="submit" { "Comment" }
            }
            @if may.reject.is_ok() {
                details.act {
                    summary { "Reject" }
                    form.stack method="post" action=(path) {
                        (begin("reject"))
                        label for="reject-why" { "Why?" }
                        textarea #reject-why name="message" required maxlength="2000" {}
                        button.danger type="submit" { "Reject" }
                    }
                }
            }
            @if may.withdraw {
                details.act {
                    summary { "Withdraw" }
                    form.stack method="post" action=(path) {
                        (begin("withdraw"))
                        label for="withdraw-why" { "Why?" }
                        input #withdraw-why name="message" required maxlength="2000" autocomplete="off";
                        button.danger type="submit" { "Withdraw" }
                    }
                }
            }
        }
    }
}

/// A button that cannot be used, and why.
fn barred(what: &str, why: &str) -> Markup {
    html! { div.stack { button type="button" disabled { (what) } p.quiet { "You cannot: " (Visible(why)) "." } } }
}

fn deploying(matter: &ReviewMatter, may: &May, path: &str, begin: &Markup) -> Markup {
    let breaks = |one: &MoveReview| one.interface.as_ref().is_some_and(|change| change.bump == Bump::Major);
    let breaks = matter.view.moves.iter().any(breaks);
    let complete = matter.view.complete;
    match &may.apply {
        Err(why) => barred("Deploy", why),
        Ok(()) if !complete && !may.overrides => barred("Deploy", "something is missing, marked ✗"),
        Ok(()) => html! {
            form.stack method="post" action=(path) {
                (begin)
                label for="apply-why" { "Why now? " span.quiet { "(the request's own words when empty)" } }
                input #apply-why name="message" maxlength="2000" autocomplete="off";
                @if breaks {
                    label.check { input type="checkbox" name="allow_major" value="yes"; span { "Deploy although callers may break" } }
                }
                @if !complete {
                    label for="break-glass" { "Break glass: why must it be without what is missing?" }
                    input #break-glass name="break_glass" required maxlength="2000" autocomplete="off";
                    p.quiet { "The audit log keeps what you override, and this reason." }
                }
                button.primary[complete].danger[!complete] type="submit" { (if complete { "Deploy" } else { "Deploy all the same" }) }
            }
        },
    }
}

fn discussion(frame: &Frame, events: &[RequestEvent]) -> Markup {
    html! {
        @if events.is_empty() { p.quiet { "Nobody has said anything yet." } } @else {
            ol.thread {
                @for event in events {
                    li {
                        p {
                            b { (Visible(&event.by)) } " "
                            @if !event.roles.is_empty() { span.quiet { "(" (Visible(&event.roles.join(", "))) ") " } }
                            (did(event.kind)) " " span.quiet { (when(event.at, frame.now)) }
                        }
                        @if !event.message.is_empty() { div.text { (Visible(&event.message)) } }
                    }
                }
            }
        }
    }
}

const fn did(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Approve => "approved",
        EventKind::Reject => "rejected",
        EventKind::Comment => "said",
        EventKind::Amend => "proposed something else",
        EventKind::Withdraw => "withdrew it",
        EventKind::Apply => "deployed it",
        EventKind::Expire => "closed it, because its time was over",
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
