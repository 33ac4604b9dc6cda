//! Observed prompts, and the form that adopts one.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{NoParams, Segments, blocking};
use super::super::observed::{absent, observing, publish};
use super::super::state::App;
use super::html;
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use crate::api::observed::OBSERVED_ROWS_DEFAULT;
use crate::model::name::PromptName;
use crate::web::layout::{prompt_path, query};
use crate::web::pages::observed as pages;

/// Lists observed prompts.
pub(super) async fn list(State(app): State<App>, visitor: Visitor, _: NoParams) -> Result<Response, Failure> {
    let recorder = observing(&app)?;
    if visitor.seat().is_none() {
        return Ok(sign_in("/ui/observed"));
    }
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let observed = recorder.observed(view.scope(), OBSERVED_ROWS_DEFAULT)?;
        Ok(pages::list(&visitor.frame(&app, &view), &observed))
    };
    Ok(html(blocking(work).await??))
}

/// Shows one observed prompt.
pub(super) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    let (recorder, id) = (observing(&app)?, segments.text("id").to_owned());
    if visitor.seat().is_none() {
        return Ok(sign_in("/ui/observed"));
    }
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let prompt = recorder.observed_prompt(view.scope(), &id)?.ok_or_else(|| absent(&id))?;
        Ok(pages::one(&visitor.frame(&app, &view), &prompt))
    };
    Ok(html(blocking(work).await??))
}

/// Adopts an observed prompt.
pub(super) async fn adopt(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let name: PromptName = field(&mut sent.form, "name")?.trim().parse()?;
    sent.form.finish(&["form", "name"])?;
    let (recorder, scope) = (observing(&app)?, sent.seat.scope().clone());
    let published = publish(&recorder, scope, (&registry, &actor), segments.text("id"), name).await?;
    let version = published.version.number.to_string();
    let said = query(&[("version", &version), ("done", "adopted")]);
    Ok(redirect(&format!("{}{said}", prompt_path(published.name.as_str()))))
}

/// Recorded content is for visitors with an access token.
fn sign_in(next: &str) -> Response {
    redirect(&format!("/ui/sign-in{}", query(&[("next", next)])))
}
