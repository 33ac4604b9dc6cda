//! One change request: its changes, unmet requirements, discussion, and the visitor's actions.

use maud::{Markup, html};

use super::conversation::conversation;
use super::queue::state_tag;
use super::{diff, impact, serving};
use crate::api::govern::{MoveReview, RequestView};
use crate::form::{hidden, session};
use crate::format::{Escaped, start_of, when, with_code};
use crate::layout::{Frame, Page, Part, back_path, prompt_path, request_path};
use crate::model::change_request::{ChangeRequest, EventKind, ProposedMove, RequestEvent, RequestState};
use crate::model::content::Content;
use crate::model::version::Bump;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct ReviewPageData {
    /// The change request with everything a reviewer needs.
    pub view: RequestView,
    /// The new content of each move that there is nothing to compare with, in order.
    pub contents: Vec<Option<Content>>,
    /// The visitor's actions; absent if they cannot send forms, or it is closed.
    pub may: Option<AllowedActions>,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// The visitor's actions on a change request; or why they are not allowed.
#[derive(Clone, Debug)]
pub struct AllowedActions {
    /// Approve it.
    pub approve: Result<(), String>,
    /// Reject it.
    pub reject: Result<(), String>,
    /// Deploy it.
    pub apply: Result<(), String>,
    /// Withdraw it: the visitor opened it.
    pub withdraw: bool,
    /// Override unmet requirements.
    pub overrides: bool,
    /// Whether they have approved it as it is now.
    pub approves: bool,
}

/// Longest page title, in characters; a longer one is shown below it.
const TITLE_CHARACTERS: usize = 100;

/// Renders the page.
pub fn page(frame: &Frame, matter: &ReviewPageData) -> String {
    let request = &matter.view.request;
    let heading = start_of(&request.message, TITLE_CHARACTERS);
    let title = format!("Change request {}: {heading}", request.id);
    // The basis of an approval: if the proposal has changed since, the page says so and stays unchanged.
    let seen: Vec<&str> = request.moves.iter().map(|one| one.fingerprint.as_str()).collect();
    let seen = seen.join(" ");
    let forms = matter.may.as_ref().zip(frame.form());
    let main = html! {
        div.stack #head data-live {
            h1 { (Escaped(&heading)) " " span.quiet { "#" (request.id) } }
            div.inline { (state_tag(request.state)) p { (summary(matter)) } }
            p.quiet { (facts(frame, request)) }
            @if heading != request.message { div.text { (Escaped(&request.message)) } }
        }
        div.columns {
            div.stack {
                div.stack #moves data-live data-seen=(seen) {
                    @for (index, (one, review)) in request.moves.iter().zip(&matter.view.moves).enumerate() {
                        (proposal(request.state, one, review, matter.contents.get(index).and_then(Option::as_ref)))
                    }
                }
                section aria-labelledby="discussion-head" {
                    h2 #discussion-head { "Discussion" }
                    div #discussion data-live { (discussion(frame, &request.events)) }
                    @if let Some((_, form)) = forms {
                        (commenting(&request_path(request.id), &begin(form, "comment", &seen)))
                    }
                }
            }
            aside.decision #decision aria-label="Decision" {
                div.box {
                    div #standing data-live { (standing(frame, matter)) }
                    div #desk data-live data-seen=(seen) {
                        @if let Some((may, form)) = forms { (desk(matter, may, form, &seen)) }
                    }
                }
            }
        }
        @if request.state == RequestState::Open { a.jump href="#decision" { (left(matter)) " · Review" } }
    };
    let above = [("Review", "/ui/review".to_owned())];
    frame.page_of(Part::Review, &Page { title: &title, above: &above, done: matter.done, searches: false, main })
}

/// The author, the change and the label, in one sentence.
fn summary(matter: &ReviewPageData) -> Markup {
    let request = &matter.view.request;
    let verb = if request.state == RequestState::Open { " wants to deploy " } else { " asked to deploy " };
    html! {
        b { (Escaped(&request.author)) } (verb)
        @for (index, one) in request.moves.iter().enumerate() {
            @if index > 0 { ", " }
            (Escaped(one.name.as_str())) " "
            @let from = matter.view.moves.get(index).and_then(|review| review.from.as_ref());
            @if let Some(from) = from.filter(|from| **from != one.serving) {
                (serving::brief(from)) " → "
            }
            (serving::brief(&one.serving)) " to " b { (Escaped(one.label.as_str())) }
        }
    }
}

fn facts(frame: &Frame, request: &ChangeRequest) -> Markup {
    html! {
        "Opened " (when(request.created, frame.now))
        @if request.state == RequestState::Open {
            " · expires " (when(request.expires, frame.now))
            @if !request.reviewers.is_empty() {
                " · review requested from " b { (Escaped(&request.reviewers.join(", "))) }
            }
            @if request.automatic { " · deploys automatically once all requirements are met" }
        }
    }
}

fn proposal(state: RequestState, one: &ProposedMove, review: &MoveReview, content: Option<&Content>) -> Markup {
    let path = prompt_path(one.name.as_str());
    let version = |number: u64| format!("{path}?version={number}");
    let digits = one.fingerprint.get(..12).unwrap_or(&one.fingerprint);
    let before = if state == RequestState::Open { "Now" } else { "Before" };
    html! {
        section.proposal {
            h2 { a href=(path) { (Escaped(one.name.as_str())) } " on " (Escaped(one.label.as_str())) }
            div.sides {
                div.side {
                    h3 { (before) }
                    @match &review.from {
                        Some(from) => (serving::drawn(from, &version)),
                        None => p.quiet { "Nothing." },
                    }
                }
                div.side { h3 { "Proposed" } (serving::drawn(&one.serving, &version)) }
            }
            (around(review))
            @if let Some(changed) = &review.diff { (diff::changes(changed, |name| html! { h3 { (name) } })) }
            @else if let Some(content) = content {
                h3 { "Proposed content" }
                (conversation(content))
            } @else if review.from.as_ref().is_some_and(|from| *from != one.serving) {
                p.quiet { "More than one version is involved. Open each version above to read it." }
            }
            p.quiet { "Fingerprint " code title=(one.fingerprint) { (digits) } }
        }
    }
}

/// The impact of a move: callers, findings, users and dependents.
fn around(review: &MoveReview) -> Markup {
    html! {
        @if let Some(change) = &review.interface { (impact::interface(change.bump, &change.reasons)) }
        (impact::findings(&review.findings))
        (impact::used_by(&review.used_by))
        (impact::downstream(&review.downstream))
        @if !review.dependents.is_empty() {
            p.inline { "Included by" @for one in &review.dependents { (impact::version_link(one)) } }
        }
    }
}

/// Number of unmet requirements.
fn missing(matter: &ReviewPageData) -> usize {
    matter.view.moves.iter().flat_map(|one| &one.requirements).filter(|one| !one.met).count()
}

/// A short summary of an open request.
fn left(matter: &ReviewPageData) -> String {
    match missing(matter) {
        _ if matter.view.complete => "Ready to deploy".to_owned(),
        1 => "1 requirement not met".to_owned(),
        many => format!("{many} requirements not met"),
    }
}

/// Its state in one sentence, and its requirements.
fn standing(frame: &Frame, matter: &ReviewPageData) -> Markup {
    let request = &matter.view.request;
    html! {
        @match request.state {
            RequestState::Open if request.expires <= frame.now => h2 { "Expired." },
            RequestState::Open => h2.ready[matter.view.complete] { (left(matter)) "." },
            RequestState::Applied => {
                h2 { "Deployed" @if let Some(id) = request.deployment { " as commit " (id) } "." }
                @if frame.form().is_some() {
                    p { @for one in &request.moves {
                        a.back href=(back_path(one.name.as_str(), one.label.as_str())) {
                            "Roll back " (Escaped(one.name.as_str())) "@" (Escaped(one.label.as_str()))
                        } " "
                    } }
                }
            },
            RequestState::Rejected => h2 { "Rejected." },
            RequestState::Withdrawn => h2 { "Withdrawn by its author." },
            RequestState::Expired => h2 { "Expired before it was deployed." },
        }
        @if request.state == RequestState::Open {
            @for one in &matter.view.moves {
                (impact::requirements(one.label.as_str(), &one.requirements, &one.reviewers, false))
            }
        }
    }
}

/// The hidden fields of each form: its name, and what was shown.
fn begin(form: &str, kind: &str, seen: &str) -> Markup {
    html! { (session(form)) (hidden("kind", kind)) (hidden("fingerprints", seen)) }
}

fn commenting(path: &str, begin: &Markup) -> Markup {
    html! {
        form.stack #commenting method="post" action=(path) {
            (begin)
            label for="comment-text" { "Comment" }
            textarea #comment-text name="message" required maxlength="2000" {}
            button type="submit" { "Comment" }
        }
    }
}

/// The forms; disallowed actions are shown with the reason.
fn desk(matter: &ReviewPageData, may: &AllowedActions, form: &str, seen: &str) -> Markup {
    let request = &matter.view.request;
    let path = request_path(request.id);
    let begin = |kind: &str| begin(form, kind, seen);
    html! {
        div.stack {
            @match &may.approve {
                Ok(()) => form.stack method="post" action=(path) {
                    (begin("approve"))
                    @if may.approves { p.quiet { "You approved the current proposal." } }
                    label for="approve-why" { "Note " span.quiet { "(optional)" } }
                    input #approve-why name="message" maxlength="2000" autocomplete="off";
                    button.primary type="submit" { (if may.approves { "Approve again" } else { "Approve" }) }
                },
                Err(why) => (barred("Approve", why)),
            }
            (deploying(matter, may, &path, &begin("apply")))
            @if may.reject.is_ok() {
                details.act {
                    summary { "Reject" }
                    form.stack method="post" action=(path) {
                        (begin("reject"))
                        label for="reject-why" { "Reason" }
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
                        label for="withdraw-why" { "Reason" }
                        input #withdraw-why name="message" required maxlength="2000" autocomplete="off";
                        button.danger type="submit" { "Withdraw" }
                    }
                }
            }
        }
    }
}

/// A disabled button, with the reason.
fn barred(what: &str, why: &str) -> Markup {
    html! { div.stack { button type="button" disabled { (what) } p.quiet { "Not allowed: " (with_code(why)) "." } } }
}

fn deploying(matter: &ReviewPageData, may: &AllowedActions, path: &str, begin: &Markup) -> Markup {
    let breaks = |one: &MoveReview| one.interface.as_ref().is_some_and(|change| change.bump == Bump::Major);
    let breaks = matter.view.moves.iter().any(breaks);
    let complete = matter.view.complete;
    match &may.apply {
        Err(why) => barred("Deploy", why),
        Ok(()) if !complete && !may.overrides => barred("Deploy", "some requirements are not met"),
        Ok(()) => html! {
            form.stack method="post" action=(path) {
                (begin)
                label for="apply-why" { "Message " span.quiet { "(optional; defaults to the request title)" } }
                input #apply-why name="message" maxlength="2000" autocomplete="off";
                @if breaks {
                    label.check {
                        input type="checkbox" name="allow_major" value="yes";
                        span { "Deploy even though callers may break" }
                    }
                }
                @if !complete {
                    label for="break-glass" { "Why is this override needed?" }
                    input #break-glass name="break_glass" required maxlength="2000" autocomplete="off";
                    p.quiet { "The override and your reason are recorded in the audit log." }
                }
                button.primary[complete].danger[!complete] type="submit" {
                    (if complete { "Deploy" } else { "Override and deploy" })
                }
            }
        },
    }
}

fn discussion(frame: &Frame, events: &[RequestEvent]) -> Markup {
    html! {
        @if events.is_empty() { p.quiet { "No comments yet." } } @else {
            ol.thread {
                @for event in events {
                    li {
                        p {
                            b { (Escaped(&event.by)) } " "
                            @if !event.roles.is_empty() { span.quiet { "(" (Escaped(&event.roles.join(", "))) ") " } }
                            (did(event.kind)) " "
                            @if let Some(command) = event.directly { "directly with " code { (command) } " " }
                            span.quiet { (when(event.at, frame.now)) }
                        }
                        @for overridden in &event.overrode { p.quiet { "Override: " (Escaped(overridden)) } }
                        @if !event.message.is_empty() { div.text { (Escaped(&event.message)) } }
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
        EventKind::Comment => "commented",
        EventKind::Amend => "amended the proposal",
        EventKind::Withdraw => "withdrew it",
        EventKind::Apply => "deployed it",
        EventKind::Expire => "closed it: expired",
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
