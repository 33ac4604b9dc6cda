//! One prompt.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments};
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::prompts::pending;
use super::usage::in_use;
use super::visitor::Visitor;
use super::{html, said, times};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{PromptView, VersionView};
use crate::clock::Cancellation;
use crate::ingest::stats::PERIOD_DEFAULT;
use crate::model::as_of::AsOfError;
use crate::model::content_id::ContentId;
use crate::model::deployment::{Deployment, rollback_target};
use crate::model::evaluation::GateResult;
use crate::model::name::{Label, PRODUCTION, PromptName};
use crate::model::policy::Policy;
use crate::model::position::Position;
use crate::model::principal::Permission;
use crate::model::reference::Selector;
use crate::model::since::Since;
use crate::model::time::Timestamp;
use crate::replication::connected_replicas::Propagation;
use crate::resolve::{CatalogueView, ResolveError};
use crate::web::pages::prompt::{At, PromptPageData, Rollout, ShownBecause, page};

/// Versions per page.
const VERSIONS: usize = 30;
/// Number of deployments in the timeline, newest first.
const DEPLOYMENTS_MAX: usize = 10 * PAGE_ROWS_MAX;
/// How long the arrival of a deployment is shown: a minute, in milliseconds.
const ARRIVING_MS: i64 = 60_000;
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 12] = [
    ("adopted", "Adopted. Calls with this text belong to this version from now on."),
    ("retired", "Retired. This version can no longer be deployed."),
    ("reinstated", "Reinstated. This version can be deployed again."),
    ("removed", "Removed. Its labels no longer serve anything."),
    ("described", "Details saved."),
    ("rollback", "Rolled back. Connected replicas update within seconds."),
    ("deployed", "Deployed. Connected replicas update within seconds."),
    ("already", "No change: this is already deployed."),
    ("published", "Published, but not deployed to any label yet. Deploy it or request a review."),
    ("same", "Not published: identical to the latest version."),
    ("unasked", "Published, but the review request failed. Open Deploy to request it again."),
    ("moved", "Not deployed: someone else deployed to this label since you opened the page. Refresh and try again."),
];

/// The parameters of the page.
struct PromptQuery {
    version: Option<u64>,
    at: Option<Timestamp>,
    label: Option<Label>,
    older: Option<String>,
    back: Option<Label>,
    since: Since,
    done: Option<&'static str>,
}

/// Shows a prompt.
pub(super) async fn prompt(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let done = params.text("done");
    let asked = PromptQuery {
        version: params.get("version")?,
        at: match params.text("at").filter(|at| !at.is_empty()) {
            Some(at) => as_of(&app, &at)?,
            None => None,
        },
        label: params.get("label")?,
        older: params.text("older"),
        back: params.get("back")?,
        since: params.get("since")?.unwrap_or(PERIOD_DEFAULT),
        done: said(done, &DONE),
    };
    params.finish(&["version", "at", "label", "older", "back", "since", "done"])?;
    let held = app.clone();
    let page = held.work.heavy(move |stop| show(&app, &visitor, &name, &asked, stop)).await??;
    Ok(html(page))
}

/// A past time; absent if that is now.
fn as_of(app: &Shared, text: &str) -> Result<Option<Timestamp>, Failure> {
    let wrong = |error: AsOfError| RequestError::Parameter { name: "at", reason: error.to_string() };
    Ok(times::time(app, "at", text)?.moment(times::now(app)).map_err(wrong)?)
}

fn show(
    app: &Shared,
    visitor: &Visitor,
    name: &PromptName,
    asked: &PromptQuery,
    stop: &Cancellation,
) -> Result<String, Failure> {
    let state = visitor.view(app)?;
    let view = state.prompt(name)?;
    let deployments = deployments(&state, name)?;
    let at = asked.at.map(|at| served_at(&deployments, at));
    let arriving = arriving(app, &deployments);
    let (number, why) = chosen(&view, asked, at.as_ref());
    let shown = shown(&state, name, number)?;
    let versions = state.versions(name, asked.older.as_deref(), VERSIONS)?;
    let numbers: BTreeSet<u64> = versions.items.iter().map(|version| version.number).chain([number]).collect();
    let mut findings = BTreeMap::new();
    if let Some(registry) = &app.registry {
        for number in numbers {
            // A version that does not exist has no findings.
            findings.insert(number, registry.findings(&state, name, number).unwrap_or_default());
        }
    }
    let used_by = app.registry.as_ref().map(|registry| registry.used_by(&state, name, number)).transpose()?;
    let (gates, demanded) =
        gates(app, visitor, (&state, &view), shown.as_ref().ok().map(|shown| &shown.version.content_id))?;
    let matter = PromptPageData {
        gates,
        demanded,
        runs: app.evaluations.is_some() && may(app, visitor, Permission::Run, name),
        shown,
        why,
        at,
        deployments,
        versions: versions.items,
        older: versions.next,
        findings,
        used_by: used_by.map(|by| by.into_iter().collect()),
        in_use: in_use(app, &state, name, asked.since, stop)?,
        pending: pending(app, &state)?.remove(name.as_str()).unwrap_or_default(),
        publishes: publishes(app, visitor, name),
        deploys: deploys(app, visitor, &view),
        retires: may(app, visitor, Permission::Retire, name),
        removes: may(app, visitor, Permission::Remove, name),
        policies: policies(app, visitor, &view),
        protects: visitor.holds(app, Permission::Policy),
        arriving,
        back: asked.back.as_ref().map(ToString::to_string),
        done: asked.done,
        view,
    };
    Ok(page(&visitor.frame(app, &state), &matter))
}

/// Whether a visitor can write a version of it, or request its deployment: signed in, with the permission to publish.
fn publishes(app: &Shared, visitor: &Visitor, name: &PromptName) -> bool {
    may(app, visitor, Permission::Publish, name)
}

/// Whether a signed-in visitor has a permission for a prompt.
fn may(app: &Shared, visitor: &Visitor, permission: Permission, name: &PromptName) -> bool {
    let signed = app.registry.as_ref().zip(visitor.signed());
    signed.is_some_and(|(registry, actor)| registry.may(actor, permission, name, None))
}

/// The policies of each of its labels, as far as a visitor can see them.
fn policies(app: &Shared, visitor: &Visitor, view: &PromptView) -> BTreeMap<String, Vec<String>> {
    let Some((registry, actor)) = app.registry.as_ref().zip(visitor.actor()) else { return BTreeMap::new() };
    let all = registry.policies_for(actor);
    let name = view.prompt.name.as_str();
    let of = |label: &Label| {
        let fit = all.iter().filter(|one| one.prompts.matches(name) && one.labels.matches(label.as_str()));
        (label.to_string(), fit.map(|one| one.name.clone()).collect())
    };
    view.labels.iter().map(|state| of(&state.label)).collect()
}

/// What runs decided about a content, and the suites that the policies of its labels demand.
fn gates(
    app: &Shared,
    visitor: &Visitor,
    (state, view): (&CatalogueView, &PromptView),
    content: Option<&ContentId>,
) -> Result<(Vec<GateResult>, Vec<String>), Failure> {
    let Some((registry, content)) = app.registry.as_ref().zip(content) else { return Ok(Default::default()) };
    let name = view.prompt.name.as_str();
    let production = Label::production();
    let labels = || view.labels.iter().map(|state| &state.label).chain([&production]);
    let policies = visitor.actor().map(|actor| registry.policies_for(actor)).unwrap_or_default();
    let fits =
        |policy: &&Policy| policy.prompts.matches(name) && labels().any(|label| policy.labels.matches(label.as_str()));
    let demanded: BTreeSet<String> =
        policies.iter().filter(fits).flat_map(|policy| policy.gates.iter().cloned()).collect();
    Ok((registry.gates_seen(state, content)?, demanded.into_iter().collect()))
}

/// The progress of the newest deployment, while it is recent.
fn arriving(app: &Shared, deployments: &[Deployment]) -> Option<Rollout> {
    let now_ms = app.clock.now_ms();
    let newest = deployments.iter().filter(|one| !one.label.is_latest()).max_by_key(|one| one.id)?;
    let young = now_ms.saturating_sub(newest.at.ms()) < ARRIVING_MS;
    let publisher = app.publisher.as_ref().filter(|_| young && app.registry.is_some())?;
    let epoch = app.committed.borrow().head.position.epoch;
    let Propagation { holding, known, missing } = publisher.arrival(Position { epoch, seq: newest.id });
    (known > 0).then_some(Rollout { holding, known, missing })
}

/// Its labels that a visitor can deploy to.
fn deploys(app: &Shared, visitor: &Visitor, view: &PromptView) -> BTreeSet<String> {
    let Some((registry, actor)) = app.registry.as_ref().zip(visitor.signed()) else { return BTreeSet::new() };
    let may = |label: &&Label| registry.may(actor, Permission::Deploy, &view.prompt.name, Some(label));
    let production = Label::production();
    let labels = view.labels.iter().map(|state| &state.label).chain([&production]);
    labels.filter(may).map(ToString::to_string).collect()
}

/// The labels that a visitor can roll back.
pub(super) fn backs(
    app: &Shared,
    visitor: &Visitor,
    state: &CatalogueView,
    view: &PromptView,
) -> Result<BTreeSet<String>, Failure> {
    /// Number of deployments of a label that are searched for what a rollback returns to, newest first.
    const LOOKED_AT: usize = 20;
    let mut backs = deploys(app, visitor, view);
    backs.retain(|label| view.labels.iter().any(|served| served.label.as_str() == label));
    for served in &view.labels {
        let newest = state.deployments(&view.prompt.name, Some(&served.label), None, LOOKED_AT)?;
        if rollback_target(newest.items.iter().rev()).is_none() {
            backs.remove(served.label.as_str());
        }
    }
    Ok(backs)
}

fn deployments(state: &CatalogueView, name: &PromptName) -> Result<Vec<Deployment>, ResolveError> {
    let mut all = Vec::new();
    let mut cursor = None;
    while all.len() < DEPLOYMENTS_MAX {
        let page = state.deployments(name, None, cursor.as_deref(), PAGE_ROWS_MAX)?;
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

/// What each label served at a time: the last deployment of each, newest first.
fn served_at(deployments: &[Deployment], at: Timestamp) -> At {
    let mut last: BTreeMap<&Label, &Deployment> = BTreeMap::new();
    for one in deployments.iter().filter(|one| one.at <= at && !one.label.is_latest()) {
        let found = last.entry(&one.label).or_insert(one);
        if found.id < one.id {
            *found = one;
        }
    }
    At { at, served: last.into_values().filter(|one| one.to.is_some()).cloned().collect() }
}

/// The shown version, and why: the requested one, what was served at the requested time, what is live, or the latest.
fn chosen(view: &PromptView, asked: &PromptQuery, at: Option<&At>) -> (u64, ShownBecause) {
    if let Some(number) = asked.version {
        return (number, ShownBecause::Asked);
    }
    let wanted = asked.label.as_ref().map_or(PRODUCTION, Label::as_str);
    if let Some(at) = at {
        let of_label = at.served.iter().find(|one| one.label.as_str() == wanted).or_else(|| at.served.first());
        let number = of_label.and_then(|one| one.to.as_ref()?.versions().first().copied());
        return number.map_or((view.prompt.latest, ShownBecause::Newest), |number| (number, ShownBecause::Asked));
    }
    let live = view.labels.iter().find(|state| state.label.as_str() == wanted);
    let live = live.and_then(|state| Some((state.serving.fixed()?, ShownBecause::Served(state.label.to_string()))));
    live.unwrap_or((view.prompt.latest, ShownBecause::Newest))
}

/// A version, or why it cannot be read; a version that never existed fails the whole page.
fn shown(state: &CatalogueView, name: &PromptName, number: u64) -> Result<Result<Box<VersionView>, String>, Failure> {
    match state.version(name, &Selector::Version(number)) {
        Ok(view) => Ok(Ok(Box::new(view))),
        Err(archived @ ResolveError::VersionArchived { .. }) => Ok(Err(format!("{archived}."))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(id: u64, label: &str, at: &str, to: Option<u64>) -> Deployment {
        let to = to.map(|number| json!({ "version": number }));
        let one = json!({"id": id, "name": "a", "label": label, "at": at, "actor": "x", "message": "y",
            "action": "deploy", "from": null, "to": to});
        serde_json::from_value(one).expect("a deployment")
    }

    #[test]
    fn past_servings_are_the_last_deployments_before_the_time() {
        let all = [
            deployment(6, "staging", "2026-03-03T00:00:00Z", None),
            deployment(5, "production", "2026-03-02T00:00:00Z", Some(2)),
            deployment(4, "staging", "2026-03-01T12:00:00Z", Some(2)),
            deployment(3, "production", "2026-03-01T00:00:00Z", Some(1)),
        ];
        for (at, expected) in [
            ("2026-02-28T00:00:00Z", vec![]),
            ("2026-03-01T00:00:00Z", vec![3]),
            ("2026-03-01T13:00:00Z", vec![3, 4]),
            ("2026-03-02T00:00:00Z", vec![5, 4]),
            ("2026-03-04T00:00:00Z", vec![5]),
        ] {
            let served = served_at(&all, at.parse().expect("a time")).served;
            assert_eq!(served.iter().map(|one| one.id).collect::<Vec<_>>(), expected, "{at}");
        }
    }
}
