//! Which errors each operation answers.
//!
//! The list is complete: integration tests check every answer against the document.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::code::{status, title};
use super::headers;
#[allow(clippy::enum_glob_use, reason = "a table of these names and nothing else")]
use crate::api::problem::ErrorCode::{self, *};
use crate::api::problem::PROBLEM_JSON;

/// Errors of any request, before it is handled.
const ANY: &[ErrorCode] = &[BadRequest, InvalidField, WrongHost, Unauthorized, Forbidden, Internal];
/// Errors of requests with a body.
const BODY: &[ErrorCode] = &[UnsupportedMediaType, TooLarge, Timeout, Busy];
/// Errors of database reads.
const LOOKS: &[ErrorCode] = &[InvalidRequest, Busy, DiskFailed, DataDamaged];
/// Errors of resolving references.
const RESOLVES: &[ErrorCode] =
    &[InvalidName, PromptNotFound, PromptRemoved, VersionNotFound, LabelNotFound, VersionArchived, NotReady, TooLarge];
/// Errors of changes, and of questions about permissions.
const CHANGES: &[ErrorCode] = &[
    PrimaryOnly,
    InvalidMessage,
    RateLimited,
    TooLarge,
    Busy,
    StorageFull,
    DiskFailed,
    DataDamaged,
    OutdatedPrimary,
    ClockUntrusted,
];
/// Errors of creating a version.
const PUBLISHES: &[ErrorCode] =
    &[InvalidContent, InvalidServing, HoldsSecrets, BumpTooSmall, ParentMoved, VersionArchived, VersionNotFound];
/// Errors of deployments.
const MOVES: &[ErrorCode] = &[
    InvalidServing,
    PolicyNotMet,
    BreaksCallers,
    LabelMoved,
    VersionRetired,
    VersionArchived,
    VersionNotFound,
    HoldsSecrets,
];

/// Errors of one operation besides those of its kind.
#[rustfmt::skip]
#[allow(clippy::match_same_arms, reason = "a line for each operation, in the order of the document")]
fn own(operation: &str) -> &'static [&'static [ErrorCode]] {
    match operation {
        "resolve" | "resolve_batch" => &[RESOLVES],
        "resolve_matching" => &[&[InvalidName, CursorExpired, NotReady, TooLarge]],
        "render" => &[RESOLVES, &[InvalidVariables, RenderFailed]],
        "stream_events" => &[&[RateLimited, NotReady, Busy]],
        "list_prompts" => &[&[NotReady]],
        "get_stats" => &[&[PrimaryOnly, TelemetryOff, NotReady]],
        "get_prompt_stats" => &[&[PrimaryOnly, TelemetryOff, InvalidName, PromptNotFound, NotReady]],
        "get_prompt" | "list_versions" | "list_labels" => &[&[InvalidName, PromptNotFound, NotReady]],
        "remove_prompt" => &[&[InvalidName, PromptNotFound, PromptRemoved, StillIncluded]],
        "publish_version" => &[&[InvalidName, PromptNotFound, LabelNotFound], PUBLISHES, MOVES],
        "get_version" | "diff_versions" => &[&[InvalidName, PromptNotFound, PromptRemoved, VersionNotFound, LabelNotFound, VersionArchived, NotReady, TooLarge]],
        "retire_version" | "reinstate_version" => &[&[InvalidName, PromptNotFound, PromptRemoved, VersionNotFound, VersionServed]],
        "get_about" => &[&[InvalidName, PromptNotFound, PrimaryOnly, NotReady]],
        "put_about" => &[&[InvalidName, PromptNotFound, PromptRemoved]],
        "get_label" => &[&[InvalidName, PromptNotFound, PromptRemoved, LabelNotFound, NotReady]],
        "remove_label" => &[&[InvalidName, PromptNotFound, PromptRemoved, LabelNotFound, PolicyNotMet]],
        "roll_back_label" => &[&[InvalidName, PromptNotFound, PromptRemoved, LabelNotFound, NothingToRollBack], MOVES],
        "deploy" => &[&[InvalidName, PromptNotFound, PromptRemoved, LabelNotFound], MOVES],
        "plan_promotion" => &[&[InvalidName, TooLarge, Busy]],
        "promote" => &[&[InvalidName, LabelNotFound, PromptNotFound, PromptRemoved], MOVES],
        "import_history" => &[&[InvalidName, InvalidContent, HistoryOrder, ParentMoved]],
        "list_drafts" => &[&[InvalidName]],
        "get_draft" | "list_draft_saves" | "get_draft_save" | "discard_draft" => &[&[InvalidName, RecordNotFound]],
        "save_draft" => &[&[InvalidName, InvalidContent, DraftMoved, VersionNotFound, PromptNotFound, Exists]],
        "merge_draft" => &[&[InvalidName, RecordNotFound, PromptNotFound, PromptRemoved, VersionNotFound, VersionArchived, InvalidContent, TooLarge]],
        "publish_draft" => &[&[InvalidName, RecordNotFound, DraftMoved, PromptNotFound, LabelNotFound], PUBLISHES, MOVES],
        "list_change_requests" => &[&[PrimaryOnly]],
        "get_change_request" => &[&[PrimaryOnly, RecordNotFound, VersionArchived]],
        "propose_change_request" => &[&[InvalidName, RecordNotFound, PromptNotFound, PromptRemoved, LabelNotFound], PUBLISHES, MOVES],
        "amend_change_request" => &[&[InvalidName, RecordNotFound, RequestClosed, PromptNotFound, PromptRemoved, LabelNotFound], PUBLISHES, MOVES],
        "review_change_request" => &[&[RecordNotFound, RequestClosed, RequestMoved]],
        "apply_change_request" => &[&[RecordNotFound, RequestClosed, RequestMoved, PromptNotFound, PromptRemoved, LabelNotFound], MOVES],
        "put_policy" => &[&[InvalidName, InvalidPolicy]],
        "delete_policy" | "delete_rule_set" => &[&[RecordNotFound]],
        "get_rule_set" => &[&[PrimaryOnly, RecordNotFound]],
        "put_rule_set" => &[&[InvalidName, InvalidRules, InUse]],
        "classify_content" => &[&[PrimaryOnly, InvalidContent]],
        "list_findings" => &[&[PrimaryOnly, InvalidName, PromptNotFound, VersionNotFound]],
        "archive_versions" => &[&[InvalidContent]],
        "check_permission" => &[&[InvalidName, RecordNotFound, PromptNotFound, PromptRemoved, VersionNotFound]],
        "create_principal" => &[&[InvalidName, Exists, RecordNotFound]],
        "set_grants" => &[&[RecordNotFound, LastAdmin, InUse]],
        "suspend_principal" => &[&[RecordNotFound, LastAdmin, InUse]],
        "resume_principal" => &[&[RecordNotFound, InUse]],
        "create_sign_in_link" => &[&[RecordNotFound]],
        "put_role" => &[&[InvalidName, InUse, LastAdmin]],
        "delete_role" => &[&[RecordNotFound, InUse]],
        "create_token" => &[&[InvalidName, Exists, RecordNotFound]],
        "revoke_token" | "rotate_token" => &[&[RecordNotFound, LastAdmin]],
        "get_content" => &[&[ContentNotFound, NotReady]],
        "list_deployments" => &[&[InvalidName, PromptNotFound, NotReady]],
        "put_webhook" => &[&[InvalidName]],
        "delete_webhook" | "rotate_webhook_secret" | "suspend_webhook" | "resume_webhook" | "list_webhook_deliveries" => &[&[RecordNotFound]],
        "test_webhook" | "redeliver_webhook" => &[&[RecordNotFound, InUse]],
        "list_observed_prompts" => &[&[PrimaryOnly, TelemetryOff]],
        "get_observed_prompt" => &[&[PrimaryOnly, RecordNotFound, TelemetryOff]],
        "adopt_observed_prompt" => &[&[RecordNotFound, TelemetryOff, TelemetryPaused, InvalidName, PromptNotFound], PUBLISHES],
        "list_alerts" => &[&[PrimaryOnly]],
        "put_alert" => &[&[InvalidName]],
        "delete_alert" => &[&[RecordNotFound]],
        "list_prices" => &[&[PrimaryOnly, TelemetryOff]],
        "get_price_table" | "delete_price_table" => &[&[RecordNotFound]],
        "recost" => &[&[TelemetryOff, TelemetryPaused]],
        "list_suites" | "list_runs" | "list_providers" => &[&[PrimaryOnly, NotReady, InvalidName]],
        "get_suite" | "list_suite_versions" | "get_calibration" | "get_run" | "list_run_results" => &[&[PrimaryOnly, RecordNotFound, NotReady]],
        "push_suite" => &[&[InvalidName, NotReady]],
        "delete_suite" => &[&[RecordNotFound]],
        "start_run" => &[&[InvalidName, RecordNotFound, PromptNotFound, PromptRemoved, VersionNotFound, LabelNotFound, VersionArchived, InvalidContent, NotReady], MOVES],
        "import_run" => &[&[InvalidName, RecordNotFound, PromptNotFound, PromptRemoved, VersionNotFound, LabelNotFound, VersionArchived, NotReady]],
        "cancel_run" | "label_result" => &[&[RecordNotFound, NotReady]],
        "list_gates" => &[&[PrimaryOnly, InvalidName, PromptNotFound, VersionNotFound, VersionArchived, NotReady]],
        "get_readiness" => &[&[NotReady, OutdatedPrimary, DataDamaged, DiskFailed]],
        "get_root" | "get_epoch" | "get_checkpoint" => &[&[PrimaryOnly, RecordNotFound, NotReady]],
        "submit_checkpoint" => &[&[PrimaryOnly, RecordNotFound, OutdatedPrimary, TooLarge, Timeout, Busy, StorageFull]],
        "poll_view" => &[&[PrimaryOnly, RecordNotFound, RateLimited, OutdatedPrimary, NotReady]],
        "report_responses" | "report_scores" => &[&[TelemetryOff, TelemetryPaused, DiskFailed, IdempotencyKeyReused]],
        "export_traces" | "export_logs" | "export_metrics" => &[&[TelemetryOff, TelemetryPaused, DiskFailed]],
        "get_response" | "get_session" => &[&[PrimaryOnly, RecordNotFound, TelemetryOff]],
        "export_telemetry" => &[&[TelemetryOff, TelemetryPaused, Busy, StorageFull]],
        "trust_telemetry_key" | "erase_telemetry" => &[&[TelemetryOff, TelemetryPaused]],
        "forget_telemetry_replica" => &[&[TelemetryOff, TelemetryPaused, RecordNotFound]],
        "get_telemetry_progress" => &[&[PrimaryOnly, TelemetryOff]],
        "import_telemetry" => &[&[PrimaryOnly, TelemetryOff, TelemetryPaused, BatchOutOfTurn, TooLarge, Timeout, UnsupportedMediaType]],
        "merge_telemetry" => &[&[PrimaryOnly, TelemetryOff, TelemetryPaused, BatchOutOfTurn, TooLarge, Timeout, UnsupportedMediaType]],
        "report_replica" => &[&[PrimaryOnly, StorageFull, OutdatedPrimary]],
        _ => &[],
    }
}

/// Documents the errors of every operation, by status and code. Equal errors are shared.
pub(super) fn document(document: &mut Value) {
    let mut all = document["paths"].take();
    let mut shared = Shared::default();
    for (path, item) in all.as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let codes = codes(method, path, operation);
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                describe(&document["components"]["schemas"], response);
                headers::add(&id, status, response);
            }
            for (status, codes) in by_status(&codes) {
                operation["responses"][status.to_string()] = shared.refusal(status, &codes, &body(&id));
            }
            if operation["parameters"].as_array().into_iter().flatten().any(|one| one["in"] == "query") {
                operation["responses"]["414"] = shared.named("TooLongTarget", &too_long());
            }
            if let Some(responses) = operation["responses"].as_object_mut() {
                responses.sort_keys();
            }
        }
    }
    document["paths"] = all;
    document["components"]["responses"] = shared.0.into();
    document["components"]["headers"] = headers::components();
}

/// Shared errors by name, in the document's order.
#[derive(Default)]
struct Shared(Map<String, Value>);

impl Shared {
    /// A reference to a shared error.
    fn refusal(&mut self, status: u16, codes: &[ErrorCode], body: &Value) -> Value {
        let refusal = refusal(status, codes, body);
        let known = self.0.iter().find(|(_, known)| **known == refusal).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| {
            let before = self.0.keys().filter(|name| name.starts_with(&format!("Refused{status}"))).count();
            let name = if before == 0 { format!("Refused{status}") } else { format!("Refused{status}_{}", before + 1) };
            self.0.insert(name.clone(), refusal);
            name
        });
        json!({"$ref": format!("#/components/responses/{name}")})
    }

    /// A reference to a shared answer.
    fn named(&mut self, name: &str, answer: &Value) -> Value {
        self.0.entry(name).or_insert_with(|| answer.clone());
        json!({"$ref": format!("#/components/responses/{name}")})
    }
}

/// The answer to a request target that is too long or malformed.
fn too_long() -> Value {
    json!({
        "description": format!("`{}`: Path and query are longer than 65,534 bytes.", TooLarge.as_str()),
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

/// The codes of an operation, without duplicates.
pub(super) fn codes(method: &str, path: &str, operation: &Value) -> Vec<ErrorCode> {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let api = path.starts_with("/v1/") || path.starts_with("/replication/");
    let must = operation["security"].is_null();
    let mut sets: Vec<&[ErrorCode]> = vec![ANY];
    if api {
        sets.push(LOOKS);
    }
    if operation["requestBody"]["content"]["application/json"].is_object() {
        sets.push(BODY);
    }
    if must && (method != "get" || api) {
        sets.push(if method == "get" { &[PrimaryOnly, RateLimited, TooLarge] } else { CHANGES });
    }
    sets.extend(own(id));
    let mut codes: Vec<ErrorCode> = Vec::new();
    for code in sets.into_iter().flatten() {
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    codes
}

fn by_status(codes: &[ErrorCode]) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut by = BTreeMap::<u16, Vec<ErrorCode>>::new();
    for code in codes {
        by.entry(status(*code).as_u16()).or_default().push(*code);
    }
    by
}

/// The body of an operation's errors: exporters of OpenTelemetry are answered in their own way.
fn body(operation: &str) -> Value {
    match operation {
        "export_traces" | "export_logs" | "export_metrics" => json!({
            "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/RpcStatus"}},
        }),
        _ => json!({PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}),
    }
}

fn refusal(status: u16, codes: &[ErrorCode], body: &Value) -> Value {
    let said: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), title(*code))).collect();
    let mut response = json!({
        "description": said.join(" "),
        "content": body,
    });
    headers::add("", &status.to_string(), &mut response);
    response
}

/// Describes answers whose handlers do not: by their schema.
fn describe(schemas: &Value, response: &mut Value) {
    if response["description"].as_str().is_some_and(|said| !said.is_empty()) {
        return;
    }
    let contents = response["content"].as_object().into_iter().flatten();
    let said = contents.map(|(_, content)| {
        let schema = &content["schema"];
        let list = super::shapes::reference(&schema["items"]).map(|name| format!("A list of `{name}`."));
        let one = super::shapes::reference(schema).and_then(|name| schemas[name]["description"].as_str());
        list.or_else(|| one.map(str::to_owned)).unwrap_or_default()
    });
    let said: Vec<String> = said.collect();
    response["description"] = said.join(" ").into();
}

/// The codes that this program knows, as documented: later versions may add others.
pub(super) fn describe_codes(document: &mut Value) {
    let schema = &mut document["components"]["schemas"]["ErrorCode"];
    let words: Vec<ErrorCode> = schema["x-extensible-enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| serde_json::from_value(word.clone()).ok())
        .filter(|code| *code != Unknown)
        .collect();
    let lines =
        words.iter().map(|code| format!("- `{}` ({}): {}", code.as_str(), status(*code).as_u16(), title(*code)));
    let lines: Vec<String> = lines.collect();
    let head = "The stable code of an error; each has one status. New codes may be added: handle unknown ones by \
        their status.";
    let words: Vec<String> = words.iter().map(|code| code.as_str()).collect();
    *schema =
        json!({"type": "string", "description": format!("{head}\n\n{}", lines.join("\n")), "x-extensible-enum": words});
}
