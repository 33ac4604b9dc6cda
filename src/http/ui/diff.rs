//! What differs between two versions.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments, blocking};
use super::super::state::App;
use super::html;
use super::visitor::Visitor;
use crate::model::name::PromptName;
use crate::model::reference::Selector;
use crate::web::pages::diff::page;

/// Shows the difference.
pub(super) async fn diff(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    visitor.check(name.as_str())?;
    let (from, to) = (params.require::<Selector>("from")?, params.require::<Selector>("to")?);
    params.finish(&["from", "to"])?;
    let work = move || {
        let latest = app.catalogue.prompt(&name)?.prompt.latest;
        let answer = app.catalogue.diff(&name, &from, &to)?;
        Ok::<_, Failure>(page(&visitor.frame(&app), &answer, latest))
    };
    Ok(html(blocking(work).await??))
}
