//! Closed change requests: what they show, however the label was moved since.

use bookholder::api::govern::{ApplyRequest, MoveReview};
use bookholder::api::write::RollbackRequest;
use bookholder::model::change_request::{ChangeRequest, EventKind, RequestState};
use bookholder::model::serving::Serving;

use super::governing::{deploy_as, propose, publish_as, review, team};
use crate::support::primary::{Primary, label, name, person};

const AGENT: &str = "support/agent";
const LOAN_ADVICE: &str = "Advise the customer which loan to take.";

/// The one move of a change request, as it is shown now.
fn shown(primary: &Primary, request: &ChangeRequest, state: RequestState) -> MoveReview {
    let view = primary.registry.change_request(&primary.view(), request.id).expect("a request");
    assert_eq!(view.request.state, state);
    view.moves.into_iter().next().expect("a move")
}

/// A registry that serves version 1, and has a risky version 2.
async fn risky() -> Primary {
    let primary = team().await;
    let one = publish_as(&primary, "ann", "Be kind.").await;
    deploy_as(&primary, "rob", one).await.expect("deployed");
    publish_as(&primary, "ann", LOAN_ADVICE).await;
    primary
}

fn check(closed: &MoveReview, open: &MoveReview) {
    assert_eq!(closed.from, Some(Serving::version(1)));
    assert!(!closed.findings.is_empty() && closed.diff.is_some(), "{closed:?}");
    assert_eq!((&closed.findings, &closed.diff, &closed.interface), (&open.findings, &open.diff, &open.interface));
}

#[tokio::test]
async fn deployed_request_still_shows_the_findings_and_diff_that_were_approved() {
    let primary = risky().await;
    let asked = propose(&primary, "ann", 2, false).await;
    let open = shown(&primary, &asked, RequestState::Open);
    primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await.expect("deployed");
    check(&shown(&primary, &asked, RequestState::Applied), &open);

    let back = RollbackRequest { message: "OPS-2 back".to_owned(), ..RollbackRequest::default() };
    primary.registry.rollback(&person("rob"), name(AGENT), label("production"), back).await.expect("rolled back");
    let three = publish_as(&primary, "ann", "Be kinder.").await;
    deploy_as(&primary, "rob", three).await.expect("deployed");
    check(&shown(&primary, &asked, RequestState::Applied), &open);
}

#[tokio::test]
async fn request_that_another_command_fulfilled_shows_what_the_label_served_before() {
    let primary = risky().await;
    let asked = propose(&primary, "ann", 2, false).await;
    let open = shown(&primary, &asked, RequestState::Open);
    deploy_as(&primary, "rob", 2).await.expect("deployed directly");
    check(&shown(&primary, &asked, RequestState::Applied), &open);
}

#[tokio::test]
async fn rejected_and_withdrawn_requests_show_what_the_label_served_when_they_were_closed() {
    for (who, kind, state) in
        [("ivy", EventKind::Reject, RequestState::Rejected), ("ann", EventKind::Withdraw, RequestState::Withdrawn)]
    {
        let primary = risky().await;
        let asked = propose(&primary, "ann", 2, false).await;
        let open = shown(&primary, &asked, RequestState::Open);
        review(&primary, who, asked.id, kind).await.expect("closed");
        deploy_as(&primary, "rob", 2).await.expect("deployed later, without the request");
        check(&shown(&primary, &asked, state), &open);
    }
}
