//! The view of a change request for reviewers.

use super::super::diff::changes;
use super::super::error::CliError;
use super::super::output::{
    ACCENT, BAD, Cell, DIM, GOOD, Output, STRONG, Table, WARN, harmless, listed, moment, one_line, paint, zoned,
};
use super::super::{findings, requirements};
use crate::api::govern::{MoveReview, RequestView};
use crate::model::change_request::{ChangeRequest, EventKind, ProposedMove, RequestEvent, RequestState};
use crate::model::serving::Serving;

/// One row per change request.
pub fn table(requests: &[ChangeRequest]) -> Table {
    let mut table = Table::new(&["ID", "STATE", "WHEN (ZONE)", "WHO", "WHAT", "WHY"]);
    for request in requests {
        let what = |one: &ProposedMove| format!("{}@{}: {}", one.name, one.label, one.serving);
        table.row([
            Cell::new(ACCENT, request.id),
            Cell::new(style(request.state), request.state),
            Cell::new(DIM, moment(request.created)),
            Cell::from(&request.author),
            Cell::from(request.moves.iter().map(what).collect::<Vec<_>>().join(" · ")),
            Cell::from(&request.message),
        ]);
    }
    table
}

/// A move on one line: `support/agent production: 6 → 7`.
pub fn movement(one: &ProposedMove, review: &MoveReview) -> String {
    let to = one.serving.to_string();
    // Rules contain arrows themselves.
    let rules = |serving: &Serving| !serving.rules.is_empty();
    let arrow = if rules(&one.serving) || review.from.as_ref().is_some_and(rules) { "⇒" } else { "→" };
    // Another command may have deployed it.
    let from = review.from.as_ref().filter(|from| **from != one.serving);
    let from = from.map(|from| format!("{from} {arrow} ")).unwrap_or_default();
    format!("{} {}: {}", paint(ACCENT, &one.name), one.label, one_line(&format!("{from}{to}")))
}

/// Number of displayed digits of a fingerprint: enough to rule out a chance collision.
pub const FINGERPRINT_DIGITS: usize = 12;

/// A prefix of the fingerprint that an approval binds to.
pub fn fingerprint(one: &ProposedMove) -> String {
    let start = one.fingerprint.get(..FINGERPRINT_DIGITS).unwrap_or(&one.fingerprint);
    paint(DIM, format!("fingerprint {}", one_line(start)))
}

/// Prints a change request with everything a reviewer needs.
pub fn print(output: Output, view: &RequestView) -> Result<(), CliError> {
    print_proposal(output, view, true)?;
    let RequestView { request, complete, waits_for, .. } = view;
    match next_step(request, *complete, waits_for.as_deref()) {
        Some(next) => output.line(format!("\n{next}")),
        None => Ok(()),
    }
}

/// Prints the proposal and discussion of a change request; with requirements if `demands`.
pub fn print_proposal(output: Output, view: &RequestView, demands: bool) -> Result<(), CliError> {
    output.line(head(&view.request))?;
    for (one, review) in view.request.moves.iter().zip(&view.moves) {
        output.line(format!("\n{}\n{}", movement(one, review), fingerprint(one)))?;
        if let Some(diff) = &review.diff {
            output.line(changes(diff).trim_end())?;
        }
        output.line("")?;
        if let Some(line) = review.interface.as_ref().and_then(findings::interface) {
            output.line(line)?;
        }
        output.table(&findings::table(&review.findings), "no findings")?;
        let around = around(review, demands && view.request.state == RequestState::Open);
        if !around.is_empty() {
            output.line(around.trim_end())?;
        }
    }
    if !view.request.events.is_empty() {
        output.line(format!("\n{}", paint(STRONG, "discussion")))?;
        view.request.events.iter().try_for_each(|event| output.line(event_text(event)))?;
    }
    Ok(())
}

/// What an open change request needs next; absent if it is closed.
pub fn next_step(request: &ChangeRequest, complete: bool, waits_for: Option<&str>) -> Option<String> {
    let (id, done, waits) = (request.id, paint(GOOD, "✓"), paint(WARN, "…"));
    if request.state != RequestState::Open {
        return None;
    }
    Some(match waits_for {
        Some(waits_for) => format!("{waits} all requirements are met, but {}", one_line(waits_for)),
        None if complete && request.automatic => {
            format!("{done} all requirements are met: it will be deployed within seconds")
        }
        None if complete => {
            format!("{done} all requirements are met: deploy it with `bookholder request apply {id}`")
        }
        None => format!("{waits} some requirements are not met (marked ✗ above)"),
    })
}

fn head(request: &ChangeRequest) -> String {
    let state = paint(style(request.state), request.state);
    let mut shown = format!("{} {state}\n", paint(STRONG, format!("change request {}", request.id)));
    let mut dates = format!("{} {}", one_line(&request.author), zoned(request.created));
    if request.state == RequestState::Open {
        dates.extend([" · open until ", &zoned(request.expires)]);
    }
    if request.automatic {
        dates.push_str(" · deployed as soon as all requirements are met");
    }
    if !request.reviewers.is_empty() {
        dates.extend([" · reviewers: ", &one_line(&request.reviewers.join(", "))]);
    }
    shown.push_str(&paint(DIM, dates));
    shown + "\n" + &harmless(&request.message)
}

/// The context of a move: requirements while it is open, callers of the current version, and dependents.
fn around(review: &MoveReview, open: bool) -> String {
    let mut shown = if !open {
        String::new()
    } else if review.requirements.is_empty() {
        format!("{}\n", paint(DIM, "no policy applies; the deploy permission is enough"))
    } else {
        requirements::lines(&review.requirements, Some(&review.reviewers))
    } + &requirements::downstream(&review.downstream);
    let rows = [("used in the last 24 hours by", listed(&review.used_by)), ("included by", listed(&review.dependents))];
    for (what, names) in rows.into_iter().filter(|(_, names)| !names.is_empty()) {
        shown.extend([&paint(DIM, what), " ", &names, "\n"]);
    }
    shown
}

fn event_text(event: &RequestEvent) -> String {
    let roles = if event.roles.is_empty() { String::new() } else { format!(" ({})", event.roles.join(", ")) };
    let kind = match event.kind {
        EventKind::Approve => paint(GOOD, "approves"),
        EventKind::Reject => paint(BAD, "rejects"),
        EventKind::Comment => "says".to_owned(),
        EventKind::Amend => paint(WARN, "amends it"),
        EventKind::Withdraw => paint(BAD, "withdraws it"),
        EventKind::Apply => paint(GOOD, "deploys it"),
        EventKind::Expire => paint(BAD, "closes it: expired"),
    };
    let kind = match event.directly {
        Some(command) => format!("{} directly with `{command}`", paint(GOOD, "deploys it")),
        None => kind,
    };
    let message = if event.message.is_empty() { String::new() } else { format!(": {}", one_line(&event.message)) };
    let mut shown = format!("{} {}{roles} {kind}{message}", paint(DIM, moment(event.at)), one_line(&event.by));
    for overridden in &event.overrode {
        shown.extend(["\n  ", &paint(WARN, "override"), " ", &one_line(overridden)]);
    }
    shown
}

const fn style(state: RequestState) -> anstyle::Style {
    match state {
        RequestState::Open => WARN,
        RequestState::Applied => GOOD,
        RequestState::Rejected | RequestState::Withdrawn => BAD,
        RequestState::Expired => DIM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> RequestView {
        let json = r#"{"request":{"id":12,"message":"Warmer\ngreetings","author":"ann","created":"2026-03-20T15:00:00Z",
            "expires":"2026-04-19T15:00:00Z","state":"open","automatic":true,"moves":[{"name":"support/agent",
            "label":"production","serving":{"version":7},"contents":{},"fingerprint":"f"}],
            "events":[{"at":"2026-03-20T16:00:00Z","by":"cy","roles":["compliance"],"kind":"approve","message":"Fine\u001b[1m"}]},
            "moves":[{"name":"support/agent","label":"production","from":{"version":6},"findings":[],
            "requirements":[{"policy":"prod","kind":"approvals","met":false,"says":"2 approvals (1 so far)"}],
            "reviewers":[{"name":"bo","roles":["releaser"]}],"dependents":["support/router@3"],"used_by":["shop"]}],
            "complete":false}"#;
        serde_json::from_str(json).expect("a change request")
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn request_view_shows_moves_unmet_requirements_and_discussion() {
        let view = view();
        let expected = "change request 12 open\nann 2026-03-20 15:00:00 UTC · open until 2026-04-19 15:00:00 UTC · \
                        deployed as soon as all requirements are met\nWarmer\ngreetings";
        assert_eq!(plain(&head(&view.request)), expected);
        assert_eq!(plain(&movement(&view.request.moves[0], &view.moves[0])), "support/agent production: 6 → 7");
        assert_eq!(plain(&fingerprint(&view.request.moves[0])), "fingerprint f");
        let long = ProposedMove { fingerprint: "0123456789abcdef".to_owned(), ..view.request.moves[0].clone() };
        assert_eq!(plain(&fingerprint(&long)), "fingerprint 0123456789ab");
        let expected = "✗ policy prod: 2 approvals (1 so far)
  can be met by: bo (releaser)
used in the last 24 hours by shop
included by support/router@3
";
        assert_eq!(plain(&around(&view.moves[0], true)), expected);
        let event = event_text(&view.request.events[0]);
        assert_eq!(plain(&event), "2026-03-20 16:00:00 cy (compliance) approves: Fine\u{fffd}[1m");
        let free = MoveReview { requirements: Vec::new(), ..view.moves[0].clone() };
        assert!(plain(&around(&free, true)).contains("no policy applies"));
        assert!(!plain(&around(&free, false)).contains("no policy"), "a closed request is asked nothing any more");
        let applied = MoveReview { from: Some(Serving::version(7)), ..view.moves[0].clone() };
        assert_eq!(plain(&movement(&view.request.moves[0], &applied)), "support/agent production: 7");
    }

    #[test]
    fn direct_deployment_shows_its_command_and_override() {
        let json = r#"{"at":"2026-03-20T16:00:00Z","by":"ada","kind":"apply","message":"OPS-18 outage","directly":"deploy",
            "overrode":["prod: 2 approvals (0 so far) — overridden because Checkout is down"]}"#;
        let event: RequestEvent = serde_json::from_str(json).expect("an event");
        let expected = "2026-03-20 16:00:00 ada deploys it directly with `deploy`: OPS-18 outage\n  \
            override prod: 2 approvals (0 so far) — overridden because Checkout is down";
        assert_eq!(plain(&event_text(&event)), expected);
    }

    #[test]
    fn change_request_is_shown_as_one_row() {
        let expected = "\
ID  STATE  WHEN (UTC)           WHO  WHAT                         WHY
12  open   2026-03-20 15:00:00  ann  support/agent@production: 7  Warmer greetings
";
        assert_eq!(table(&[view().request]).render(false, None), expected);
    }
}
