//! Rolling a label back.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::state::App;
use super::visitor::{SubmittedForm, field, redirect};
use crate::api::write::RollbackRequest;
use crate::model::name::{Label, PromptName};
use crate::registry::RegistryError;
use crate::web::layout::{prompt_path, query};

/// Rolls a label back, unless it has moved since the page was made.
pub(super) async fn rollback(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let name: PromptName = field(&mut sent.form, "name")?.parse()?;
    let label: Label = field(&mut sent.form, "label")?.parse()?;
    let serves = field(&mut sent.form, "serves")?;
    let message = field(&mut sent.form, "message")?;
    sent.form.finish(&["form", "name", "label", "serves", "message"])?;
    let back = |done| redirect(&format!("{}{}", prompt_path(name.as_str()), query(&[("done", done)])));
    let expected_deployment = Some(serves.parse().unwrap_or_default());
    let request = RollbackRequest { message, expected_deployment, ..RollbackRequest::default() };
    match registry.rollback(&actor, name.clone(), label, request).await {
        Ok(_) => Ok(back("rollback")),
        Err(RegistryError::LabelMoved { .. }) => Ok(back("moved")),
        Err(error) => Err(error.into()),
    }
}
