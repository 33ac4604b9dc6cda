//! The list of change requests, open or closed.

use maud::{Markup, html};

use super::serving;
use crate::format::{Escaped, when};
use crate::layout::{Frame, Page, Part, empty, prompt_path, query, request_path};
use crate::model::change_request::{ChangeRequest, RequestState};
use crate::model::count::count;
use crate::model::serving::Serving;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Their state.
    pub state: RequestState,
    /// One page of them, newest first.
    pub rows: Vec<QueueRow>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// One change request of the queue.
#[derive(Clone, Debug)]
pub struct QueueRow {
    /// The change request.
    pub request: ChangeRequest,
    /// What each label serves now.
    pub from: Vec<Option<Serving>>,
    /// The unmet requirements; absent if it is closed.
    pub missing: Option<usize>,
    /// Whether the visitor opened it.
    pub mine: bool,
    /// Whether the visitor was asked to review it, and has not approved it.
    pub asked: bool,
    /// Whether the visitor could approve it and has not.
    pub waits: bool,
}

/// Renders the page.
pub fn page(frame: &Frame, queue: &Queue) -> String {
    let main = html! {
        div.head { h1 { "Review" } p.quiet { "Proposed deployments and their reviews" } }
        nav.tabs aria-label="State" {
            @for state in RequestState::ALL {
                a href=(address(state, "")) aria-current=[(state == queue.state).then_some("true")] { (title(state)) }
            }
        }
        div #queue data-live {
            @if queue.rows.is_empty() { (nothing(queue.state)) } @else {
                @let (yours, others): (Vec<_>, Vec<_>) = queue.rows.iter().partition(|row| row.asked || row.waits);
                @if !yours.is_empty() { h2 { "Needs your review" } (table(frame, &yours)) }
                @if !yours.is_empty() && !others.is_empty() { h2 { "Other requests" } }
                @if !others.is_empty() { (table(frame, &others)) }
                @if let Some(next) = &queue.next {
                    nav.pages aria-label="Pages" {
                        a.button rel="next" href=(address(queue.state, next)) { "Older requests" }
                    }
                }
            }
        }
    };
    frame.page_of(Part::Review, &Page { title: "Review", above: &[], done: None, searches: false, main })
}

fn address(state: RequestState, cursor: &str) -> String {
    let state = if state == RequestState::Open { String::new() } else { state.to_string() };
    format!("/ui/review{}", query(&[("state", &state), ("cursor", cursor)]))
}

const fn title(state: RequestState) -> &'static str {
    match state {
        RequestState::Open => "Open",
        RequestState::Applied => "Applied",
        RequestState::Rejected => "Rejected",
        RequestState::Withdrawn => "Withdrawn",
        RequestState::Expired => "Expired",
    }
}

fn nothing(state: RequestState) -> Markup {
    match state {
        RequestState::Open => empty(
            "No open requests",
            "To open a change request, deploy a version of a prompt and choose “Request review”.",
        ),
        _ => empty("No requests", &format!("No change request is {state}.")),
    }
}

/// The style of a state.
pub(super) fn state_tag(state: RequestState) -> Markup {
    let class = match state {
        RequestState::Open => "wait",
        RequestState::Applied => "live",
        RequestState::Rejected => "high",
        RequestState::Withdrawn | RequestState::Expired => "over",
    };
    html! { span.tag.(class) { (state) } }
}

fn table(frame: &Frame, rows: &[&QueueRow]) -> Markup {
    html! {
        table.list.cards {
            thead { tr {
                th scope="col" { "Request" } th scope="col" { "Change" } th scope="col" { "Opened by" }
                th scope="col" { "Opened" } th scope="col" { "Status" }
            } }
            tbody { @for row in rows { (request_row(frame, row)) } }
        }
    }
}

fn request_row(frame: &Frame, row: &QueueRow) -> Markup {
    let request = &row.request;
    html! {
        tr {
            th.words scope="row" {
                a.name href=(request_path(request.id)) { span.quiet { (request.id) } " " (Escaped(&request.message)) }
            }
            td data-label="Change" {
                ul.moves {
                    @for (index, one) in request.moves.iter().enumerate() {
                        li {
                            a href=(prompt_path(one.name.as_str())) { (Escaped(one.name.as_str())) } " "
                            span.tag { (Escaped(one.label.as_str())) } " "
                            @let from = row.from.get(index).and_then(Option::as_ref);
                            @if let Some(from) = from.filter(|from| **from != one.serving) {
                                (serving::brief(from)) " → "
                            }
                            (serving::brief(&one.serving))
                        }
                    }
                }
            }
            td data-label="Opened by" { (Escaped(&request.author)) }
            td data-label="Opened" { (when(request.created, frame.now)) }
            td data-label="Status" {
                div.inline {
                    @match row.missing {
                        Some(0) => span.tag.live { "ready" },
                        Some(missing) => {
                            span.tag.wait {
                                (missing) (if missing == 1 { " requirement left" } else { " requirements left" })
                            }
                        },
                        None => (state_tag(request.state)),
                    }
                    @let approvals = approvals(request);
                    @if approvals > 0 {
                        span.tag { (count(approvals, "approval")) }
                    }
                    @if row.mine { span.tag { "yours" } }
                    @if row.asked {
                        span.tag.critical { "your review requested" }
                    } @else if row.waits {
                        span.tag.critical { "needs your review" }
                    }
                }
            }
        }
    }
}

/// Number of approvers of all of it as it is now.
pub(super) fn approvals(request: &ChangeRequest) -> usize {
    request.moves.iter().map(|one| request.approvals_of(&one.fingerprint).count()).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    fn row() -> QueueRow {
        let json = r#"{"id":12,"message":"Warmer <b>\u202e","author":"ann<i>","created":"2026-03-20T14:00:00Z",
            "expires":"2026-04-19T15:00:00Z","state":"open","automatic":true,"moves":[{"name":"support/agent",
            "label":"production","serving":{"version":7},"contents":{},"fingerprint":"f"}],
            "events":[{"at":"2026-03-20T16:00:00Z","by":"cy","kind":"approve","fingerprints":["f"]}]}"#;
        let request = serde_json::from_str(json).expect("a change request");
        QueueRow {
            request,
            from: vec![Some(Serving::version(6))],
            missing: Some(2),
            mine: true,
            asked: false,
            waits: false,
        }
    }

    #[test]
    fn queue_row_shows_the_move_and_its_state() {
        let queue = |rows| Queue { state: RequestState::Open, rows, next: Some("12".to_owned()) };
        let shown = page(&sample(Who::Local), &queue(vec![row()]));
        for part in [
            "href=\"/ui/review/12\"",
            "Warmer &lt;b&gt;<span class=\"odd\">U+202E</span>",
            "ann&lt;i&gt;",
            "v6</b> → ",
            "2 requirements left",
            "1 approval<",
            "yours",
            "href=\"/ui/review?cursor=12\"",
            "href=\"/ui/review?state=applied\"",
            "aria-current=\"true\">Review <span class=\"count\">3",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("needs your review"), "{shown}");
        let waiting = QueueRow { missing: None, mine: false, waits: true, ..row() };
        assert!(page(&sample(Who::Local), &queue(vec![waiting])).contains("needs your review"));
        let asked = QueueRow { asked: true, ..row() };
        assert!(page(&sample(Who::Local), &queue(vec![asked])).contains("your review requested"));
        let none = page(&sample(Who::Local), &queue(Vec::new()));
        assert!(none.contains("No open requests") && !none.contains("<table"), "{none}");
    }
}
