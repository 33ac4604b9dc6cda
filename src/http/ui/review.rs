//! Change requests: the queue, the detail page, and its forms.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::{App, Shared};
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use super::{html, said};
use crate::api::govern::{ApplyRequest, CanAnswer, MoveReview, RequestView, ReviewRequest};
use crate::clock::Cancellation;
use crate::model::change_request::{ChangeRequest, EventKind, ProposedMove, RequestState};
use crate::model::content::Content;
use crate::model::principal::Permission;
use crate::model::reference::Selector;
use crate::model::time::Timestamp;
use crate::model::verdict::{Requirement, RequirementKind};
use crate::registry::why::AccessQuestion;
use crate::registry::{Actor, Registry, RegistryError};
use crate::resolve::CatalogueView;
use crate::web::layout::{query, request_path};
use crate::web::pages::queue::{Queue, QueueRow};
use crate::web::pages::review::{AllowedActions, ReviewPageData};
use crate::web::pages::{queue as queue_page, review as review_page};

/// Rows per page of the queue: each is evaluated fully.
const ROWS: usize = 25;
/// The hint on a replica, which cannot do this.
const KEEPING: &str = "keeping change requests";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 10] = [
    ("propose", "Review requested. Approvers will see it under Review."),
    ("approve", "Approved."),
    ("reject", "Rejected."),
    ("comment", "Said."),
    ("withdraw", "Withdrawn."),
    ("apply", "Deployed. Connected replicas update within seconds."),
    ("moved", "Not done: the request was amended since you opened the page. Review it again."),
    ("closed", "Not done: the request was closed in the meantime."),
    ("missing", "Not deployed: some requirements are not met."),
    ("breaks", "Not deployed: this breaks callers. Tick the box to deploy anyway."),
];

/// Lists change requests in one state.
pub(super) async fn queue(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let state = params.get::<RequestState>("state")?.unwrap_or(RequestState::Open);
    let cursor = params.text("cursor");
    params.finish(&["state", "cursor"])?;
    let registry = primary(&app, KEEPING)?;
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let view = visitor.view(&app)?;
        let page = registry.change_requests(&view, Some(state), cursor.as_deref(), ROWS)?;
        let row = |request| queue_row(&app, &registry, &visitor, &view, request);
        let mut rows = page.items.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
        // What the visitor can review comes first, starting with requests that name them.
        rows.sort_by_key(|row| (!row.asked, !row.waits));
        Ok::<_, Failure>(queue_page::page(&visitor.frame(&app, &view), &Queue { state, rows, next: page.next }))
    };
    Ok(html(held.work.heavy(work).await??))
}

fn queue_row(
    app: &Shared,
    registry: &Registry,
    visitor: &Visitor,
    state: &CatalogueView,
    request: ChangeRequest,
) -> Result<QueueRow, RegistryError> {
    let mine = visitor.actor().is_some_and(|actor| actor.name == request.author);
    if !is_open(app, &request) {
        return Ok(QueueRow { request, from: Vec::new(), missing: None, mine, asked: false, waits: false });
    }
    let view = registry.change_request(state, request.id)?;
    let missing = view.moves.iter().flat_map(|one| &one.requirements).filter(|demand| !demand.met).count();
    let waits = match visitor.actor() {
        Some(actor) if missing > 0 && !approves(&view, actor) => {
            registry.approval_barred(state, actor, &view.request)?.is_none()
        }
        _ => false,
    };
    let from = view.moves.iter().map(|one| one.from.clone()).collect();
    let named = |actor: &Actor| view.request.reviewers.contains(&actor.name) && !approves(&view, actor);
    let asked = visitor.actor().is_some_and(named);
    Ok(QueueRow { request: view.request, from, missing: Some(missing), mine, asked, waits })
}

fn is_open(app: &Shared, request: &ChangeRequest) -> bool {
    request.state == RequestState::Open && request.expires > Timestamp::from_ms(app.clock.now_ms())
}

/// Whether a principal approves all of it as it is now.
fn approves(view: &RequestView, who: &Actor) -> bool {
    view.moves.iter().all(|one| one.approved_by.contains(&who.name))
}

/// Shows a change request.
pub(super) async fn request(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let id = segments.number("id")?;
    let done = params.text("done");
    params.finish(&["done"])?;
    let done = said(done, &DONE);
    let registry = primary(&app, KEEPING)?;
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let state = visitor.view(&app)?;
        let view = registry.change_request(&state, id)?;
        let contents =
            view.request.moves.iter().zip(&view.moves).map(|(one, review)| alone(&state, one, review)).collect();
        let actor = visitor.signed().filter(|_| is_open(&app, &view.request));
        let may = actor.map(|actor| may(&registry, &state, actor, &view)).transpose()?;
        let matter = ReviewPageData { view, contents, may, done };
        Ok::<_, Failure>(review_page::page(&visitor.frame(&app, &state), &matter))
    };
    Ok(html(held.work.heavy(work).await??))
}

/// The content of a move that there is nothing to compare with; absent if it cannot be read.
fn alone(state: &CatalogueView, one: &ProposedMove, review: &MoveReview) -> Option<Content> {
    let number = one.serving.fixed().filter(|_| review.from.is_none())?;
    state.version(&one.name, &Selector::Version(number)).ok().map(|view| view.content)
}

fn may(
    registry: &Registry,
    state: &CatalogueView,
    actor: &Actor,
    view: &RequestView,
) -> Result<AllowedActions, RegistryError> {
    let ask = |permission| first_lack(registry, state, actor, (&view.request, permission));
    let barred = registry.approval_barred(state, actor, &view.request)?;
    Ok(AllowedActions {
        approve: barred.map_or(Ok(()), Err),
        reject: ask(Permission::Review)?,
        apply: ask(Permission::Deploy)?,
        withdraw: view.request.author == actor.name,
        overrides: ask(Permission::Override)?.is_ok(),
        approves: approves(view, actor),
    })
}

/// Why the visitor cannot do something for every move; absent if they can.
fn first_lack(
    registry: &Registry,
    state: &CatalogueView,
    actor: &Actor,
    (request, permission): (&ChangeRequest, Permission),
) -> Result<Result<(), String>, RegistryError> {
    for one in &request.moves {
        let question = AccessQuestion {
            who: actor.name.clone(),
            permission,
            prompt: Some(one.name.clone()),
            label: Some(one.label.clone()),
            version: None,
        };
        let answer = registry.can(state, actor, &question)?;
        let CanAnswer { permission: verdict, requirements, .. } = answer;
        if !verdict.allowed {
            return Ok(Err(verdict.lacks()));
        }
        let role = |demand: &&Requirement| demand.kind == RequirementKind::Deployers && !demand.met;
        if let Some(demand) = requirements.iter().find(role) {
            return Ok(Err(format!("policy {} requires {}", demand.policy, demand.says)));
        }
    }
    Ok(Ok(()))
}

fn back(id: u64, done: &str) -> Response {
    redirect(&format!("{}{}", request_path(id), query(&[("done", done)])))
}

/// The action of a form.
#[derive(Clone, Copy)]
enum ReviewAction {
    Say(EventKind),
    Apply,
}

impl ReviewAction {
    fn of(word: &str) -> Result<Self, Failure> {
        Ok(match word {
            "approve" => Self::Say(EventKind::Approve),
            "reject" => Self::Say(EventKind::Reject),
            "comment" => Self::Say(EventKind::Comment),
            "withdraw" => Self::Say(EventKind::Withdraw),
            "apply" => Self::Apply,
            _ => return Err(RequestError::FormField { field: "kind" }.into()),
        })
    }
}

/// Reviews, withdraws or applies a change request as it was shown.
pub(super) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let id = segments.number("id")?;
    let (registry, actor) = sent.writer(&app)?;
    let (visitor, word) = (sent.visitor(), field(&mut sent.form, "kind")?);
    let deed = ReviewAction::of(&word)?;
    let message = sent.form.text("message").unwrap_or_default();
    let looked = sent.form.text("fingerprints").unwrap_or_default();
    let fingerprints: Vec<String> = looked.split_whitespace().map(str::to_owned).collect();
    let allow_major = sent.form.text("allow_major").is_some();
    let break_glass = sent.form.text("break_glass").filter(|reason| !reason.trim().is_empty());
    sent.form.finish(&["form", "kind", "message", "fingerprints", "allow_major", "break_glass"])?;
    let done = match deed {
        ReviewAction::Say(kind) => {
            // Comments and withdrawals apply to the request, whatever it proposes.
            registry.review(&actor, id, ReviewRequest { kind, message, fingerprints }).await.map(|_| ())
        }
        ReviewAction::Apply => {
            let (reader, visitor, held) = (registry.clone(), visitor, app.clone());
            let shown = app.work.heavy(move |_| reader.change_request(&visitor.view(&held)?, id)).await??;
            let same = shown.request.moves.iter().map(|one| &one.fingerprint).eq(&fingerprints);
            if same {
                registry.apply(&actor, id, ApplyRequest { message, allow_major, break_glass }).await.map(|_| ())
            } else {
                Err(RegistryError::RequestMoved { id })
            }
        }
    };
    let word = match done {
        Ok(()) => word.as_str(),
        Err(RegistryError::RequestMoved { .. }) => "moved",
        Err(RegistryError::RequestClosed { .. }) => "closed",
        Err(RegistryError::PolicyNotMet { .. }) => "missing",
        Err(RegistryError::BreaksCallers { .. }) => "breaks",
        Err(error) => return Err(error.into()),
    };
    Ok(back(id, word))
}
