//! Prices of models over HTTP: what is in force, the tables that the registry keeps, and pricing recorded calls again.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{IMPORT_BODY_BYTES_MAX, Json, NoParams, Params, Segments, SerializedAnswer, blocking};
use super::request::RequestError;
use super::state::{App, Shared};
use super::telemetry::recorder;
use crate::api::prices::{KeptTable, KeptTableError, PriceTableBody, PricesInForce, RecostAnswer, RecostRequest};
use crate::model::audit::{Command, Subject};
use crate::model::principal::Permission;
use crate::registry::{Registry, RegistryError};

/// Longest text that prices are looked for by, in bytes.
const MODEL_BYTES_MAX: usize = 200;

/// Returns the prices that count now, with the table that each comes from. Of tables that have the same model, the last
/// one counts: `embedded`, `imported`, `file`, `overrides`.
#[utoipa::path(
    get, path = "/v1/prices", operation_id = "list_prices", tag = "telemetry", security((), ("token" = [])),
    params(("model" = Option<String>, Query, description = "Only models whose ID or names contain this text.", example = "gpt-5", max_length = 200)),
    responses((status = 200, body = PricesInForce)),
)]
pub(super) async fn prices(State(app): State<App>, _: Reader, mut params: Params) -> Result<SerializedAnswer, Failure> {
    let model = params.text("model").unwrap_or_default();
    params.finish(&["model"])?;
    if model.len() > MODEL_BYTES_MAX {
        let reason = format!("use at most {MODEL_BYTES_MAX} bytes");
        return Err(RequestError::Parameter { name: "model", reason }.into());
    }
    if app.registry.is_none() {
        return Err(RequestError::Replica { what: "reading prices", upstream: app.upstream.clone() }.into());
    }
    let recorder = recorder(&app)?.clone();
    app.work.heavy_json(move |_| Ok::<_, Failure>(recorder.prices_in_force(&model))).await
}

/// Returns a table of prices that the registry keeps.
#[utoipa::path(
    get, path = "/v1/prices/{table}", operation_id = "get_price_table", tag = "telemetry",
    params(("table" = KeptTable, Path, description = "The table: `imported`, or `overrides`, which override all others.", example = "overrides")),
    responses((status = 200, body = PriceTableBody)),
)]
pub(super) async fn price_table(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<SerializedAnswer, Failure> {
    let table: KeptTable = segments.get("table")?;
    writer.holds(Permission::Operate)?;
    app.work.heavy_json(move |_| Ok::<_, Failure>(writer.registry.price_table(table)?)).await
}

/// Stores a table of prices in the place of the one before. It counts for calls that are recorded from now on;
/// `POST /v1/prices/recost` prices recorded ones again.
#[utoipa::path(
    put, path = "/v1/prices/{table}", operation_id = "put_price_table", tag = "telemetry",
    params(("table" = KeptTable, Path, description = "The table: `imported`, or `overrides`, which override all others.", example = "overrides")),
    request_body(content = PriceTableBody, example = json!({"schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token", "models": [{"id": "our-model", "tiers": [{"when": {}, "rate": {"input": 1_250_000, "output": 10_000_000}}]}]})),
    responses((status = 204, description = "It was stored and is in force.")),
)]
pub(super) async fn put_price_table(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(body): Json<PriceTableBody, IMPORT_BODY_BYTES_MAX>,
) -> Result<StatusCode, Failure> {
    let table: KeptTable = segments.get("table")?;
    let json = serde_json::to_vec(&body).map_err(|error| RequestError::Unfit { reason: error.to_string() })?;
    writer.registry.put_price_table(&writer.actor, table, json).await?;
    put_in_force(&app, &writer.registry).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a table of prices; those of the other tables count from now on.
#[utoipa::path(
    delete, path = "/v1/prices/{table}", operation_id = "delete_price_table", tag = "telemetry",
    params(("table" = KeptTable, Path, description = "The table: `imported` or `overrides`.", example = "overrides")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_price_table(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<StatusCode, Failure> {
    let table: KeptTable = segments.get("table")?;
    writer.registry.remove_price_table(&writer.actor, table).await?;
    put_in_force(&app, &writer.registry).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Prices some recorded calls again, at the prices in force for the time when they ended, and corrects all counts. Calls
/// whose cost was reported keep it. Repeat with `next` as `cursor` until it is absent; a run that ended early can be
/// begun again.
#[utoipa::path(
    post, path = "/v1/prices/recost", operation_id = "recost", tag = "telemetry",
    request_body(content = RecostRequest, example = json!({"since": "2026-01-01T00:00:00Z", "prompt": "support/agent"})),
    responses((status = 200, body = RecostAnswer)),
)]
pub(super) async fn recost(
    State(app): State<App>,
    writer: Writer,
    _: NoParams,
    Json(request): Json<RecostRequest>,
) -> Result<Said<RecostAnswer>, Failure> {
    let recorder = recorder(&app)?.clone();
    if request.cursor.is_some() || request.dry_run {
        writer.holds(Permission::Operate)?;
    } else {
        let pattern = request.prompt.as_ref().map_or("**", |prompt| prompt.as_str()).to_owned();
        writer.registry.permit(&writer.actor, Command::Recost, Some(Subject::Prompts { pattern })).await?;
    }
    Ok(Said(recorder.recost(request).await?))
}

impl From<KeptTableError> for Failure {
    fn from(error: KeptTableError) -> Self {
        RequestError::Parameter { name: "table", reason: error.to_string() }.into()
    }
}

/// Puts the tables of the registry in force, where telemetry is recorded.
async fn put_in_force(app: &Shared, registry: &Registry) -> Result<(), Failure> {
    let Some(recorder) = app.recorder.clone() else { return Ok(()) };
    let registry = registry.clone();
    let put = move || recorder.put_prices_in_force(|| registry.price_tables());
    Ok::<_, RegistryError>(blocking(put).await??).map_err(Failure::from)
}
