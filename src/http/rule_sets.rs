//! Risk rules, their findings, and archiving.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Segments, blocking};
use super::request::RequestError;
use super::state::{App, Shared};
use super::write::version;
use crate::api::govern::{ArchiveRequest, Archived, Classified, ClassifyRequest, RuleSetRequest, RuleSetView};
use crate::model::finding::Finding;
use crate::model::handle::Handle;
use crate::model::name::PromptName;
use crate::model::reference::VersionRef;
use crate::registry::{Actor, Registry, RegistryError};

/// Largest body with a rule set, in bytes: common rule sets are a tenth of it.
const RULES_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Number of contents that are classified at once: each can take a CPU core for seconds.
static CLASSIFYING: Semaphore = Semaphore::const_new(2);
/// Number of rule sets that are compiled at once, rule by rule.
static READING: Semaphore = Semaphore::const_new(1);
/// Number of rule sets that are compiled or waiting; each is held in memory.
static WAITING: Semaphore = Semaphore::const_new(8);
/// `Retry-After` beyond these limits, in seconds.
const RETRY_AFTER_S: u64 = 2;
/// Largest body of an archive request, in bytes: for the maximum number of content IDs.
const ARCHIVE_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Lists rule sets, without the rules themselves; built-in ones first.
#[utoipa::path(get, path = "/v1/rules", operation_id = "list_rule_sets", tag = "governance", responses((status = 200, body = Vec<RuleSetView>)))]
pub(super) async fn rule_sets(writer: Writer, _: NoParams) -> Result<Said<Vec<RuleSetView>>, Failure> {
    Ok(Said(blocking(move || writer.registry.rule_sets()).await??))
}

/// Returns one custom rule set with its rules.
#[utoipa::path(
    get, path = "/v1/rules/{name}", operation_id = "get_rule_set", tag = "governance",
    params(("name" = Handle, Path, description = "The rule set.", example = "house-rules")),
    responses((status = 200, body = RuleSetView)),
)]
pub(super) async fn rule_set(writer: Writer, segments: Segments, _: NoParams) -> Result<Said<RuleSetView>, Failure> {
    Ok(Said(blocking(move || writer.registry.rule_set(segments.text("name"))).await??))
}

/// Creates or replaces a rule set; later versions are classified by it.
#[utoipa::path(
    put, path = "/v1/rules/{name}", operation_id = "put_rule_set", tag = "governance",
    params(("name" = Handle, Path, description = "The rule set.", example = "house-rules")),
    request_body(content = RuleSetRequest, example = json!({"toml": "[[rule]]\nid = \"house.loan\"\nversion = 1\ndescription = \"Offers a loan.\"\ncategory = \"financial\"\nseverity = \"high\"\nkeywords = [\"loan\"]\nregex = '(?i)\\bloan\\b'\ntest_pos = [\"Take a loan today\"]\ntest_neg = [\"We are alone\"]\n"})),
    responses((status = 200, body = RuleSetView)),
)]
pub(super) async fn put_rule_set(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RuleSetRequest, RULES_BODY_BYTES_MAX>,
) -> Result<Said<RuleSetView>, Failure> {
    let Writer { registry, actor, .. } = writer;
    Ok(Said(put_patiently(registry, actor, segments.text("name").to_owned(), request).await?))
}

/// Stores a rule set when it is its turn: large rule sets are compiled one at a time.
pub(super) async fn put_patiently(
    registry: Registry,
    actor: Actor,
    name: String,
    request: RuleSetRequest,
) -> Result<RuleSetView, Failure> {
    let place = claim(&WAITING, "too many rule sets")?;
    // The work continues if the client disconnects, and keeps its slot.
    let work = async move {
        let _place = place;
        let _turn = READING.acquire().await;
        registry.put_rule_set(&actor, name, request).await
    };
    run_heavy_command(work).await
}

/// Removes a rule set; its findings remain.
#[utoipa::path(
    delete, path = "/v1/rules/{name}", operation_id = "delete_rule_set", tag = "governance",
    params(("name" = Handle, Path, description = "The rule set.", example = "house-rules")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_rule_set(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_rule_set(&writer.actor, segments.text("name").to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs the risk rules on an unpublished content; nothing is stored.
#[utoipa::path(
    post, path = "/v1/classify", operation_id = "classify_content", tag = "governance", security((), ("token" = [])),
    request_body(content = ClassifyRequest, example = json!({"content": {"syntax": "plain", "text": "Take 400 mg of ibuprofen twice a day."}})),
    responses((status = 200, body = Classified)),
)]
pub(super) async fn classify(
    State(app): State<App>,
    _: Reader,
    _: NoParams,
    Json(request): Json<ClassifyRequest>,
) -> Result<Said<Classified>, Failure> {
    let registry = primary(&app, "classifying")?;
    let turn = claim(&CLASSIFYING, "too many contents to classify")?;
    let classified = blocking(move || {
        let _turn = turn;
        // An invalid content is not classified.
        request.content.to_canonical()?;
        Ok::<_, RegistryError>(registry.classify(&request.content))
    });
    Ok(Said(classified.await??))
}

/// Returns the findings of the risk rules in a version when it was published.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/versions/{version}/findings", operation_id = "list_findings", tag = "prompts", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("version" = u64, Path, description = "The number.", minimum = 1, example = 7),
    ),
    responses((status = 200, body = Vec<Finding>)),
)]
pub(super) async fn findings(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<Finding>>, Failure> {
    let VersionRef { name, version: number } = version(&segments)?;
    let registry = primary(&app, "showing findings")?;
    let found = move || registry.findings(&app.catalogue.as_reader(&reader.scope())?, &name, number);
    Ok(Said(blocking(found).await??))
}

/// Archives versions that are no longer needed: their contents are deleted, their ids and everything else remain. A dry
/// run by default.
#[utoipa::path(
    post, path = "/v1/archive", operation_id = "archive_versions", tag = "governance",
    request_body(content = ArchiveRequest, example = json!({"prompts": "support/**", "unused_days": 365, "dry_run": true})),
    responses((status = 200, body = Archived)),
)]
pub(super) async fn archive(
    writer: Writer,
    _: NoParams,
    Json(request): Json<ArchiveRequest, ARCHIVE_BODY_BYTES_MAX>,
) -> Result<Said<Archived>, Failure> {
    let Writer { registry, actor, .. } = writer;
    Ok(Said(run_heavy_command(async move { registry.archive(&actor, request).await }).await?))
}

/// The write path, which replicas do not have.
pub(super) fn primary(app: &Shared, what: &'static str) -> Result<Registry, Failure> {
    let replica = || RequestError::Replica { what, upstream: app.upstream.clone() }.into();
    app.registry.clone().ok_or_else(replica)
}

/// A slot of a limited number.
pub(super) fn claim(of: &'static Semaphore, what: &'static str) -> Result<SemaphorePermit<'static>, Failure> {
    Ok(of.try_acquire().map_err(|_| RequestError::Busy { what, retry_after_s: RETRY_AFTER_S })?)
}

/// Runs a command that compiles or reads a lot before it writes, on a thread that can block.
pub(super) async fn run_heavy_command<T: Send + 'static>(
    command: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Handle::current();
    Ok(blocking(move || runtime.block_on(command)).await??)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn too_many_concurrent_rule_tests_get_busy() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let (first, _second) =
            (claim(&TWO, "too many tests").expect("room"), claim(&TWO, "too many tests").expect("room"));
        let refused = claim(&TWO, "too many tests").map(drop).expect_err("full");
        assert_eq!(refused.to_string(), "too many tests are already waiting; try again");
        assert_eq!(refused.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(claim(&TWO, "too many tests").is_ok());
    }
}
