//! The deploy page: choosing what a label serves, and deploying it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments, blocking};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::App;
use super::edit::{check_findings, sign_in_first};
use super::html;
use super::visitor::{SubmittedForm, Visitor, redirect};
use crate::api::govern::{MovePreview, ProposeRequest};
use crate::api::write::{DeployRequest, Deployed, Move};
use crate::clock::Cancellation;
use crate::experiment::assignment::{Choice, choose};
use crate::model::evaluation::GateResult;
use crate::model::name::{Label, PRODUCTION, PromptName};
use crate::model::principal::Permission;
use crate::model::reference::Selector;
use crate::model::serving::Serving;
use crate::registry::{Actor, Registry, RegistryError};
use crate::resolve::CatalogueView;
use crate::web::layout::{prompt_path, query, request_path, whole_query};
use crate::web::pages::deploy::{AllowedActions, DeployPageData, REVIEWER, TriedSubject, deploy_path, page};
use crate::web::typed::Fields;
use crate::web::typed::serving::{TypedServing, attributes};

/// Number of versions to choose from; older ones have a link on the prompt's page.
const VERSIONS: usize = 100;
/// The hint on a replica, which cannot do this.
const DEPLOYING: &str = "deploying";

/// The current selection.
struct DeployForm {
    name: PromptName,
    label: String,
    typed: TypedServing,
    subject: String,
    attributes: String,
    message: String,
}

impl DeployForm {
    /// Reads the fields of a form or query; missing fields default to the current state.
    fn of(state: &CatalogueView, name: PromptName, fields: &Fields) -> Result<Self, Failure> {
        let view = state.prompt(&name)?;
        let said = |field: &str| fields.get(field).map(|text| text.trim().to_owned()).unwrap_or_default();
        let has = |label: &str| view.labels.iter().any(|state| state.label.as_str() == label);
        let label = match said("label") {
            label if !label.is_empty() => label,
            _ if has(PRODUCTION) || view.labels.is_empty() => PRODUCTION.to_owned(),
            _ => view.labels.first().map(|state| state.label.to_string()).unwrap_or_default(),
        };
        let newest = state.versions(&name, None, VERSIONS)?.items;
        let newest = newest.iter().find(|one| one.retired.is_none() && one.archived.is_none()).map(|one| one.number);
        let typed =
            TypedServing::sent(fields).or_else(|| fields.get("version")?.parse().ok().map(TypedServing::version));
        let typed = typed.unwrap_or_else(|| {
            let state = view.labels.iter().find(|state| state.label.as_str() == label);
            match (state.map(|state| &state.serving), newest) {
                // A visitor of this page wants to deploy: by default, the latest version.
                (Some(now), Some(newest)) if now.versions().iter().all(|one| *one < newest) && is_plain(now) => {
                    TypedServing::version(newest)
                }
                (Some(now), _) => TypedServing::of(now),
                (None, newest) => TypedServing::version(newest.unwrap_or(view.prompt.latest)),
            }
        });
        // A subject is used literally, including spaces around it.
        let subject = fields.get("subject").cloned().unwrap_or_default();
        let (attributes, message) = (said("attributes"), said("message"));
        Ok(Self { name, label, typed, subject, attributes, message })
    }

    /// The requested move, or what is wrong with it.
    fn wanted(&self) -> Result<Move, String> {
        let label: Label = self.label.parse().map_err(|error: <Label as std::str::FromStr>::Err| error.to_string())?;
        Ok(Move { name: self.name.clone(), label, serving: self.typed.request()?, expected_deployment: None })
    }

    /// The URL of the same selection.
    fn address(&self) -> String {
        let mut fields = vec![("label".to_owned(), self.label.clone())];
        fields.extend(self.typed.fields());
        fields
            .extend([("subject".to_owned(), self.subject.clone()), ("attributes".to_owned(), self.attributes.clone())]);
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        format!("{}{}", deploy_path(self.name.as_str(), ""), whole_query(&pairs))
    }

    fn matter(self, state: &CatalogueView, registry: &Registry, actor: &Actor) -> Result<DeployPageData, Failure> {
        let preview = match self.wanted().map(|wanted| registry.preview_move(state, actor, wanted, &self.message)) {
            Ok(Ok(preview)) => Ok(Box::new(preview)),
            Ok(Err(RegistryError::Store(error))) => return Err(error.into()),
            Ok(Err(refused)) => Err(refused.to_string()),
            Err(wrong) => Err(wrong),
        };
        let view = state.prompt(&self.name)?;
        let label = self.label.parse::<Label>().ok();
        let may = |permission, label: Option<&Label>| registry.may(actor, permission, &self.name, label);
        let may = AllowedActions {
            propose: may(Permission::Publish, None),
            overrides: may(Permission::Override, label.as_ref()),
        };
        let gates = match &preview {
            Ok(preview) => gates(state, registry, &self.name, preview)?,
            Err(_) => Vec::new(),
        };
        Ok(DeployPageData {
            gates,
            runs: registry.may_run(actor, &self.name).is_ok(),
            serving: view.labels.iter().map(|state| (state.label.to_string(), state.serving.versions())).collect(),
            versions: state.versions(&self.name, None, VERSIONS)?.items,
            tried: tried(&self.subject, &self.attributes, preview.as_deref().ok()),
            name: self.name.to_string(),
            label: self.label,
            typed: self.typed,
            preview,
            may,
            refused: None,
            message: self.message,
        })
    }
}

/// What runs decided about the versions that a move would newly serve.
fn gates(
    state: &CatalogueView,
    registry: &Registry,
    name: &PromptName,
    preview: &MovePreview,
) -> Result<Vec<(u64, Vec<GateResult>)>, Failure> {
    let now = preview.from.as_ref().map(Serving::versions).unwrap_or_default();
    let new = preview.to.versions().into_iter().filter(|number| !now.contains(number));
    new.map(|number| {
        let version = state.version(name, &Selector::Version(number))?.version;
        Ok((number, registry.gates_seen(state, &version.content_id)?))
    })
    .collect()
}

/// Whether a label serves one version to everyone.
fn is_plain(serving: &Serving) -> bool {
    let typed = TypedServing::of(serving);
    typed.rules.is_empty() && typed.default.rows.len() == 1
}

/// What a subject gets now, and would get.
fn tried(subject: &str, typed: &str, preview: Option<&MovePreview>) -> TriedSubject {
    let mut tried = TriedSubject { subject: subject.to_owned(), attributes: typed.to_owned(), gets: None };
    let Some(preview) = preview.filter(|_| !(subject.is_empty() && typed.is_empty())) else { return tried };
    let given = attributes(typed);
    let subject = (!subject.is_empty()).then_some(subject);
    let gets = given
        .map_err(|word| format!("`{word}` is not a valid attribute; write name=value, e.g. locale=de"))
        .map(|given| {
            let random = getrandom::u64().unwrap_or_default();
            let get = |serving| -> Choice { choose(serving, subject, &given, random) };
            (preview.from.as_ref().map(get), get(&preview.to))
        });
    tried.gets = Some(gets);
    tried
}

/// Shows the selection and its effect.
pub(super) async fn look(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    RawQuery(asked): RawQuery,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let mut fields = Params::form(asked.as_deref().unwrap_or_default())?.into_fields();
    let registry = primary(&app, DEPLOYING)?;
    let Some(actor) = visitor.signed().cloned() else {
        return Ok(sign_in_first(&deploy_path(name.as_str(), fields.get("label").map_or("", String::as_str))));
    };
    let action = fields.remove("do");
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let state = visitor.view(&app)?;
        let mut chosen = DeployForm::of(&state, name, &fields)?;
        if let Some(action) = action {
            // The button works once, however often the page is loaded.
            chosen.typed.act(&action);
            return Ok(redirect(&chosen.address()));
        }
        Ok::<_, Failure>(html(page(&visitor.frame(&app, &state), &chosen.matter(&state, &registry, &actor)?)))
    };
    held.work.heavy(work).await?
}

/// Deploys what was shown, or opens a change request for it.
pub(super) async fn act(State(app): State<App>, segments: Segments, sent: SubmittedForm) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let (registry, actor) = sent.writer(&app)?;
    let visitor = sent.visitor();
    let mut fields = sent.form.into_fields();
    let action = fields.remove("do").unwrap_or_default();
    let chosen = {
        let (app, fields, visitor) = (app.clone(), fields.clone(), visitor.clone());
        blocking(move || DeployForm::of(&visitor.view(&app)?, name, &fields)).await??
    };
    match work(&app, &visitor, (&registry, &actor), &chosen, &action, &fields).await {
        Ok(path) => Ok(redirect(&path)),
        Err(failure) => {
            let Some((_, refusal)) = failure.refusal() else { return Err(failure) };
            let held = app.clone();
            let work = move |_: &Cancellation| {
                let state = visitor.view(&app)?;
                let matter = DeployPageData { refused: Some(refusal), ..chosen.matter(&state, &registry, &actor)? };
                Ok::<_, Failure>(html(page(&visitor.frame(&app, &state), &matter)))
            };
            held.work.heavy(work).await?
        }
    }
}

/// Runs the action of a button; returns the path to continue with.
async fn work(
    app: &App,
    visitor: &Visitor,
    (registry, actor): (&Registry, &Actor),
    chosen: &DeployForm,
    action: &str,
    fields: &Fields,
) -> Result<String, Failure> {
    let refuse = |reason| RequestError::Parameter { name: "serving", reason };
    let wanted = chosen.wanted().map_err(refuse)?;
    let message = fields.get("message").cloned().unwrap_or_default();
    // An empty field means that the label served nothing.
    let expected = fields.get("serves").map_or("", String::as_str);
    let wanted = Move { expected_deployment: Some(expected.parse().unwrap_or_default()), ..wanted };
    if action == "propose" {
        let automatic = fields.contains_key("automatic");
        let reviewers = fields.keys().filter_map(|field| field.strip_prefix(REVIEWER).map(str::to_owned)).collect();
        let request =
            ProposeRequest { message, publish: None, moves: vec![wanted], automatic, expires_days: None, reviewers };
        let made = registry.propose(actor, request).await?;
        return Ok(format!("{}?done=propose", request_path(made.id)));
    }
    let break_glass = fields.get("break_glass").filter(|_| action == "override").cloned();
    let allow_major = fields.contains_key("allow_major");
    if action == "deploy" {
        let (registry, actor, wanted, message) = (registry.clone(), actor.clone(), wanted.clone(), message.clone());
        let (app, visitor) = (Arc::clone(app), visitor.clone());
        let preview = move || registry.preview_move(&visitor.view(&app)?, &actor, wanted, &message);
        let preview = blocking(preview).await?;
        // What cannot be shown is rejected below, with its reason.
        check_findings(&preview.map(|preview| preview.review.findings).unwrap_or_default(), fields)?;
    }
    let request = DeployRequest { moves: vec![wanted], message, allow_major, break_glass };
    let Deployed { deployments, .. } = registry.deploy(actor, request).await?;
    let done = if deployments.is_empty() { "already" } else { "deployed" };
    Ok(format!("{}{}", prompt_path(chosen.name.as_str()), query(&[("done", done)])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::verdict::Verdict;

    #[test]
    fn preview_subject_gets_the_version_of_the_serving() {
        let preview = |to: serde_json::Value| -> MovePreview {
            let review = json!({"name": "a", "label": "production", "findings": [], "requirements": [],
                "reviewers": [], "dependents": [], "used_by": []});
            MovePreview {
                from: Some(Serving::version(6)),
                deployment: Some(3),
                to: serde_json::from_value(to).expect("a serving"),
                deploys: Verdict { allowed: true, reason: String::new(), roles: Vec::new() },
                breaks: Vec::new(),
                review: serde_json::from_value(review).expect("a review"),
            }
        };
        let ruled = preview(json!({"version": 7, "rules": [{"when": {"locale": "de*"}, "version": 8}]}));
        let gets = |subject: &str, attributes: &str| tried(subject, attributes, Some(&ruled)).gets;
        let (now, then) = gets("42", "locale=de-AT").expect("asked").expect("attributes");
        assert_eq!((now.map(|now| now.version), then.version, then.rule), (Some(6), 8, Some(0)));
        assert_eq!(gets("42", "").expect("asked").expect("attributes").1.version, 7);
        assert_eq!(gets("", ""), None);
        assert!(gets("", "german").expect("asked").expect_err("no attribute").contains("`german`"));
    }
}
