//! The form that starts a run.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{Params, blocking};
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::edit::sign_in_first;
use super::html;
use super::suites::models_of;
use super::visitor::{SubmittedForm, Visitor, redirect};
use crate::api::evaluations::{StartRunRequest, WhenPassed};
use crate::model::name::{Label, PromptName};
use crate::model::suite::ModelName;
use crate::web::form::{FormError, FormValues};
use crate::web::layout::query;
use crate::web::pages::gates::{NEW_RUN, run_path};
use crate::web::pages::new_run::{FIELDS, NewRun, page};

/// Shows the form, with what the address says.
pub(super) async fn form(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let mut typed = FormValues::default();
    for name in FIELDS {
        typed.put(name, params.text(name).unwrap_or_default());
    }
    params.finish(&FIELDS)?;
    if visitor.signed().is_none() {
        let pairs: Vec<(&str, &str)> = FIELDS.iter().map(|name| (*name, typed.get(name))).collect();
        return Ok(sign_in_first(&format!("{NEW_RUN}{}", query(&pairs))));
    }
    Ok(html(blocking(move || show(&app, &visitor, &typed, None)).await??))
}

fn show(app: &Shared, visitor: &Visitor, typed: &FormValues, refused: Option<&FormError>) -> Result<String, Failure> {
    let evaluations = evaluations(app)?;
    let view = visitor.view(app)?;
    // Who cannot list suites can still run one whose name they know.
    let sees_suites = view.scope().reads_everything();
    let suites = if sees_suites { evaluations.registry().suites()? } else { Vec::new() };
    let suites: Vec<String> = suites.into_iter().map(|suite| suite.name).collect();
    let models = models_of(&evaluations);
    let has_providers = !evaluations.providers().is_empty();
    let form = NewRun { suites: &suites, models: &models, has_providers, typed, refused };
    Ok(page(&visitor.frame(app, &view), &form))
}

/// Starts a run.
pub(super) async fn start(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let typed = sent.typed();
    let (_, actor) = sent.writer(&app)?;
    let visitor = sent.visitor();
    let started = async {
        let (evaluations, scope) = (evaluations(&app)?, sent.seat.scope());
        let request = request(&app, &visitor, &typed).await?;
        let (of, read) = (evaluations.clone(), scope.clone());
        let mut started = Vec::new();
        for one in blocking(move || of.each_version(&read, request)).await?? {
            started.push(evaluations.start(&actor, scope, one).await?.id);
        }
        Ok::<_, Failure>(started)
    };
    let failure = match started.await {
        Ok(started) => {
            let page = match started.as_slice() {
                [run] => format!("{}{}", run_path(*run), query(&[("done", "started")])),
                // One for each version of a split.
                _ => "/ui/evaluations".to_owned(),
            };
            return Ok(redirect(&page));
        }
        Err(failure) => failure,
    };
    let Some((_, refused)) = failure.refusal() else { return Err(failure) };
    Ok(html(blocking(move || show(&app, &visitor, &typed, Some(&refused))).await??))
}

async fn request(app: &App, visitor: &Visitor, typed: &FormValues) -> Result<StartRunRequest, Failure> {
    let text = |name: &str| Some(typed.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    let wrong = |field, reason: String| Failure::from(RequestError::FormValue { field, reason });
    let reference = text("prompt").unwrap_or_default();
    let (name, at) = match reference.split_once('@') {
        Some((name, at)) => (name.to_owned(), Some(format!("@{at}"))),
        None => (reference, None),
    };
    let prompt: PromptName = name.parse()?;
    let draft = text("draft");
    if let (Some(_), Some(at)) = (&draft, &at) {
        return Err(wrong("Draft", format!("name either a draft or {at}, not both")));
    }
    let content = match draft {
        Some(draft) => {
            let (app, visitor, prompt) = (app.clone(), visitor.clone(), prompt.clone());
            let read = move || {
                let actor = visitor.actor().ok_or(RequestError::TokenMissing)?;
                let view = visitor.view(&app)?;
                let registry = evaluations(&app)?.registry().clone();
                Ok::<_, Failure>(registry.draft(&view, actor, &prompt, &draft)?.content)
            };
            Some(blocking(read).await??)
        }
        None => None,
    };
    let models = typed.get("models").split_whitespace().map(str::parse::<ModelName>);
    let models = models.collect::<Result<Vec<_>, _>>().map_err(|error| wrong("Models", error.to_string()))?;
    let message = text("message").unwrap_or_default();
    let deploy = text("label").map(|label| label.parse::<Label>()).transpose()?;
    let when_passed = match deploy {
        Some(_) if message.is_empty() => {
            return Err(wrong("Why this change?", "give a message: why the version should be deployed".to_owned()));
        }
        deploy => deploy.map(|deploy| WhenPassed { deploy, message: message.clone() }),
    };
    Ok(StartRunRequest {
        prompt,
        at,
        content,
        suite: text("suite").unwrap_or_default(),
        suite_version: None,
        against: text("against"),
        models,
        tags: typed.get("tags").split_whitespace().map(str::to_owned).collect(),
        repeats: None,
        budget: None,
        no_cache: typed.ticked("no_cache"),
        when_passed,
        message,
    })
}
