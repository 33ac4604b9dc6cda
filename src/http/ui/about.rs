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
    let feeds = field(&mut sent.form, "feeds")?;
    sent.form.finish(&["form", "name", "owner", "tags", "description", "feeds"])?;
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let owner = Some(owner.trim().to_owned()).filter(|owner| !owner.is_empty());
    let feeds = words(&feeds).iter().map(|name| name.parse::<PromptName>()).collect::<Result<_, _>>()?;
    let about = About { owner, tags: words(&tags).into_iter().collect(), description, feeds };
    registry.describe(&actor, name.clone(), about).await?;
    Ok(redirect(&format!("{}{}", prompt_path(name.as_str()), query(&[("done", "described")]))))
}
