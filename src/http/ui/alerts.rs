//! Alerts: their states and values.

use axum::extract::State;
use axum::response::Response;

use super::super::alerts::seen;
use super::super::error::Failure;
use super::super::extract::{NoParams, blocking};
use super::super::state::App;
use super::html;
use super::visitor::Visitor;
use crate::web::pages::alerts::page;

/// Shows the alerts that the visitor can see.
pub(super) async fn alerts(State(app): State<App>, visitor: Visitor, _: NoParams) -> Result<Response, Failure> {
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let alerts = seen(&app, view.scope())?;
        Ok(page(&visitor.frame(&app, &view), &alerts))
    };
    Ok(html(blocking(work).await??))
}
