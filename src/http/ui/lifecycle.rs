//! Retiring and restoring a version, and removing a prompt.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::request::RequestError;
use super::super::state::App;
use super::visitor::{SubmittedForm, field, redirect};
use crate::api::write::{MessageRequest, RemoveRequest};
use crate::model::name::PromptName;
use crate::web::layout::{prompt_path, query};

/// Retires a version, or allows it to be deployed again.
pub(super) async fn retire(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let name: PromptName = field(&mut sent.form, "name")?.parse()?;
    let wrong = |_| RequestError::FormField { field: "version" };
    let version = field(&mut sent.form, "version")?.parse::<u64>().map_err(wrong)?;
    let (word, message) = (field(&mut sent.form, "do")?, field(&mut sent.form, "message")?);
    sent.form.finish(&["form", "name", "version", "do", "message"])?;
    let done = match word.as_str() {
        "retire" => {
            registry.retire(&actor, name.clone(), version, MessageRequest { message }).await.map(|_| "retired")?
        }
        "reinstate" => {
            registry.reinstate(&actor, name.clone(), version, MessageRequest { message }).await.map(|_| "reinstated")?
        }
        _ => return Err(RequestError::FormField { field: "do" }.into()),
    };
    let said = query(&[("version", &version.to_string()), ("done", done)]);
    Ok(redirect(&format!("{}{said}", prompt_path(name.as_str()))))
}

/// Removes a prompt whose name was typed as confirmation.
pub(super) async fn remove(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let name: PromptName = field(&mut sent.form, "name")?.parse()?;
    let (confirm, message) = (field(&mut sent.form, "confirm")?, field(&mut sent.form, "message")?);
    sent.form.finish(&["form", "name", "confirm", "message"])?;
    if confirm.trim() != name.as_str() {
        let reason = "type the whole name of the prompt to remove it".to_owned();
        return Err(RequestError::FormValue { field: "Name", reason }.into());
    }
    registry.remove(&actor, name.clone(), RemoveRequest { message, break_glass: None }).await?;
    Ok(redirect(&format!("{}?done=removed", prompt_path(name.as_str()))))
}
