//! The page for editing the details of a prompt.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::state::App;
use super::visitor::{SubmittedForm, field, redirect};
use crate::model::about::About;
use crate::model::name::PromptName;
use crate::web::layout::{prompt_path, query};

/// Saves the form.
pub(super) async fn describe(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let name: PromptName = field(&mut sent.form, "name")?.parse()?;
    let owner = field(&mut sent.form, "owner")?;
    let tags = field(&mut sent.form, "tags")?;
    // Browsers send CRLF line breaks in forms.
    let description = field(&mut sent.form, "description")?.replace("\r\n", "\n");
    sent.form.finish(&["form", "name", "owner", "tags", "description"])?;
    let words = tags.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let owner = Some(owner.trim().to_owned()).filter(|owner| !owner.is_empty());
    let about = About { owner, tags: words.map(str::to_owned).collect(), description };
    registry.describe(&actor, name.clone(), about).await?;
    Ok(redirect(&format!("{}{}", prompt_path(name.as_str()), query(&[("done", "described")]))))
}
