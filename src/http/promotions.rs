//! Promoting what one label serves to another.

use std::sync::Arc;

use axum::Json as Said;
use axum::extract::State;

use super::auth::Writer;
use super::error::Failure;
use super::extract::{Json, NoParams, Params, SerializedAnswer};
use super::rule_sets::run_heavy_command;
use super::state::App;
use crate::api::promote::{PromoteRequest, Promotion, PromotionPlan};
use crate::api::write::Deployed;
use crate::clock::Cancellation;
use crate::model::name::Label;
use crate::model::pattern::Pattern;

/// Returns what a promotion would do now: what each prompt would serve, and what is not met. Nothing is changed.
#[utoipa::path(
    get, path = "/v1/promotions", operation_id = "plan_promotion", tag = "deployments",
    params(
        ("pattern" = Pattern, Query, description = "The prompts; those without the label `from` are left out.", example = "support/**"),
        ("from" = Label, Query, description = "The label whose versions would be deployed.", example = "staging"),
        ("to" = Label, Query, description = "The label to deploy to.", example = "production"),
        ("message" = Option<String>, Query, description = "The reason, for policies that check it."),
    ),
    responses((status = 200, body = PromotionPlan)),
)]
pub(super) async fn plan(
    State(app): State<App>,
    writer: Writer,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let wanted =
        Promotion { pattern: params.require("pattern")?, from: params.require("from")?, to: params.require("to")? };
    let message = params.text("message").unwrap_or_default();
    params.finish(&["pattern", "from", "to", "message"])?;
    let held = Arc::clone(&app);
    let plan = move |_: &Cancellation| {
        writer.registry.plan_promotion(&app.catalogue.as_reader(&writer.scope())?, &writer.actor, &wanted, &message)
    };
    held.work.heavy_json(plan).await
}

/// Deploys what one label serves to another, for every matching prompt: in one deployment, or not at all.
///
/// Splits and rules are deployed as they are, so that every subject gets the same version at both labels. With
/// `expected`, the `fingerprint` of a plan, the promotion is rejected if it would differ from that plan.
#[utoipa::path(
    post, path = "/v1/promotions", operation_id = "promote", tag = "deployments",
    request_body(content = PromoteRequest, example = json!({"pattern": "support/**", "from": "staging", "to": "production", "message": "Staging was fine for a week"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn promote(
    writer: Writer,
    _: NoParams,
    Json(request): Json<PromoteRequest>,
) -> Result<Said<Deployed>, Failure> {
    let Writer { registry, actor, .. } = writer;
    Ok(Said(run_heavy_command(async move { registry.promote(&actor, request).await }).await?))
}
