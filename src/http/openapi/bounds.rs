//! The bounds of request fields, from the constants that the code checks.
//!
//! Bounds that the derived schemas cannot express are listed here, by schema and field. What no schema can express (a
//! template that must parse, a label that must exist) is documented with the status of its error.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::api::limits::{
    ARCHIVE_KEEP_MAX, ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, BATCH_REFERENCES_MAX, EXPIRES_DAYS_MAX, IMPORT_CHANGES_MAX,
    LABELS_MAX, MOVES_MAX, OVERLAP_S_MAX, RETENTION_FLOOR_DAYS, REVIEWERS_MAX, SIGN_IN_LINK_LIFE_S_MAX,
    TOKEN_LIFE_S_MAX, UNUSED_DAYS_MAX, VIEWS_MAX, WHOLE_MAX,
};
use crate::api::promote::FINGERPRINT_CHARACTERS_MAX;
use crate::api::telemetry::SCORE_CATEGORIES_MAX;
use crate::governance::label_policy::MESSAGE_PATTERN_BYTES_MAX;
use crate::governance::webhook::{FILTER_BYTES_MAX, FILTERS_MAX};
use crate::model::about::{DESCRIPTION_CHARACTERS_MAX, FEEDS_MAX, TAG_BYTES_MAX, TAGS_MAX};
use crate::model::alert::{MIN_CALLS_MAX, PERIOD_S_MAX, PERIOD_S_MIN, THRESHOLD_USD_MAX};
use crate::model::commit_message::CommitMessage;
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::content::{MESSAGES_MAX, VARIABLE_BYTES_MAX, VARIABLES_MAX};
use crate::model::content_id::ContentId;
use crate::model::handle::Handle;
use crate::model::policy::{APPROVALS_MAX, POLICY_LIST_MAX};
use crate::model::principal::GRANTS_MAX;
use crate::model::serving::{ARMS_MAX, RULE_ATTRIBUTES_MAX, RULES_MAX, SERVING_TEXT_BYTES_MAX};
use crate::model::suite::{
    CASE_NAME_CHARACTERS_MAX, CASE_TAGS_MAX, CASES_MAX, Check, CheckKind, REPEATS_MAX, SCORERS_MAX, SUITE_MODELS_MAX,
    WEIGHT_MAX,
};
use crate::replication::connected_replicas::ID_BYTES_MAX;
use crate::telemetry::price::{HOURS_PER_TIER_MAX, MODELS_MAX, NAMES_PER_MODEL_MAX, PRICE_MAX, TIERS_PER_MODEL_MAX};

/// Adds the bounds to the document.
pub(super) fn document(document: &mut Value) {
    for (schema, field, bound) in fields() {
        merge(&mut document["components"]["schemas"][schema]["properties"][field], bound);
    }
    for (schema, rule) in wholes() {
        merge(&mut document["components"]["schemas"][schema], rule);
    }
    let publish = &mut document["paths"]["/v1/prompts/{name}/versions"]["post"]["parameters"];
    for parameter in publish.as_array_mut().into_iter().flatten().filter(|one| one["name"] == "message") {
        merge(&mut parameter["schema"], like::<CommitMessage>());
    }
    for form in document["components"]["schemas"]["Freeze"]["anyOf"].as_array_mut().into_iter().flatten() {
        form["additionalProperties"] = false.into();
    }
}

fn merge(schema: &mut Value, bound: Value) {
    let Value::Object(bound) = bound else { return };
    for (word, value) in bound {
        match value {
            Value::Null => drop(schema.as_object_mut().and_then(|schema| schema.remove(&word))),
            value @ Value::Object(_) if schema[&word].is_object() => merge(&mut schema[word], value),
            value => schema[word] = value,
        }
    }
}

/// Schema keywords that bound a type.
fn like<T: PartialSchema + ToSchema>() -> Value {
    let RefOr::T(Schema::Object(object)) = T::schema() else { return json!({}) };
    let whole = serde_json::to_value(object).unwrap_or_default();
    let words = ["minLength", "maxLength", "pattern"].into_iter().filter(|word| !whole[*word].is_null());
    words.map(|word| (word.to_owned(), whole[word].clone())).collect()
}

/// A list with a maximum length and bounded strings.
fn list(max: usize, item: &Value) -> Value {
    json!({"maxItems": max, "items": item})
}

/// Bounds of fields, by schema; `null` removes a keyword.
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "one table")]
fn fields() -> Vec<(&'static str, &'static str, Value)> {
    let (handle, message) = (like::<Handle>(), like::<CommitMessage>());
    let price = json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": PRICE_MAX});
    let version = || json!({"minimum": 1});
    let at_most = |max: usize| json!({"maxItems": max});
    let characters = |max: usize| json!({"maxLength": max});
    let attributes = || json!({"maxProperties": ATTRIBUTES_MAX, "propertyNames": {"type": "string", "maxLength": ATTRIBUTE_BYTES_MAX}, "additionalProperties": {"maxLength": ATTRIBUTE_BYTES_MAX}});
    let seconds = |max: u64| json!({"maximum": max});
    let replica = || json!({"minLength": 1, "maxLength": ID_BYTES_MAX, "pattern": NO_CONTROLS, "format": "short-text"});
    vec![
        // Access: principals, roles and tokens.
        ("PrincipalRequest", "name", handle.clone()),
        ("PrincipalRequest", "grants", at_most(GRANTS_MAX)),
        ("GrantsRequest", "grants", at_most(GRANTS_MAX)),
        ("Grant", "role", handle.clone()),
        ("RoleRequest", "permissions", json!({"uniqueItems": null})),
        ("TokenRequest", "name", handle.clone()),
        ("TokenRequest", "principal", handle.clone()),
        ("TokenRequest", "role", handle.clone()),
        ("TokenRequest", "expires_s", seconds(TOKEN_LIFE_S_MAX)),
        ("TokenRequest", "views", list(VIEWS_MAX, &handle)),
        ("SignInLinkRequest", "expires_s", json!({"minimum": 1, "maximum": SIGN_IN_LINK_LIFE_S_MAX})),
        ("RotationRequest", "overlap_s", seconds(TOKEN_LIFE_S_MAX)),
        ("RotationRequest", "expires_s", seconds(TOKEN_LIFE_S_MAX)),
        // Publishing and deploying.
        ("PublishRequest", "message", message.clone()),
        ("PublishRequest", "labels", at_most(LABELS_MAX)),
        ("DeployRequest", "message", message.clone()),
        ("DeployRequest", "moves", json!({"minItems": 1, "maxItems": MOVES_MAX})),
        ("PromoteRequest", "message", message.clone()),
        ("PromoteRequest", "to", json!({"not": {"const": "latest"}})),
        ("PromoteRequest", "expected", characters(FINGERPRINT_CHARACTERS_MAX)),
        ("ServingRequest", "version", version()),
        ("ServingRequest", "rules", at_most(RULES_MAX)),
        ("RuleRequest", "version", version()),
        ("RuleRequest", "when", json!({
            "minProperties": 1, "maxProperties": RULE_ATTRIBUTES_MAX,
            "propertyNames": {"type": "string", "minLength": 1, "maxLength": SERVING_TEXT_BYTES_MAX},
            "additionalProperties": {"maxLength": SERVING_TEXT_BYTES_MAX},
        })),
        ("SplitRequest", "weights", json!({
            "minProperties": 1, "maxProperties": ARMS_MAX,
            "propertyNames": {"pattern": "^[1-9][0-9]{0,15}$"}, "additionalProperties": {"format": "int64", "minimum": 1, "maximum": u32::MAX},
        })),
        ("SplitRequest", "salt", json!({"minLength": 1, "maxLength": SERVING_TEXT_BYTES_MAX, "pattern": "^[A-Za-z0-9_-]+$"})),
        ("RollbackRequest", "message", message.clone()),
        ("RollbackRequest", "to", version()),
        ("MessageRequest", "message", message.clone()),
        ("RemoveRequest", "message", message.clone()),
        ("ImportRequest", "changes", at_most(IMPORT_CHANGES_MAX)),
        // Contents.
        ("Content", "variables", at_most(VARIABLES_MAX)),
        ("Content", "messages", at_most(MESSAGES_MAX)),
        ("Variable", "name", json!({"minLength": 1, "maxLength": VARIABLE_BYTES_MAX})),
        ("About", "owner", handle.clone()),
        ("About", "tags", json!({"uniqueItems": null, "maxItems": TAGS_MAX, "items": {"minLength": 1, "maxLength": TAG_BYTES_MAX, "pattern": "^[a-z0-9._-]+$"}})),
        ("About", "description", characters(DESCRIPTION_CHARACTERS_MAX)),
        ("About", "feeds", json!({"uniqueItems": null, "maxItems": FEEDS_MAX})),
        // Change requests and drafts.
        ("ProposeRequest", "message", message.clone()),
        ("ProposeRequest", "moves", at_most(MOVES_MAX)),
        ("ProposeRequest", "reviewers", list(REVIEWERS_MAX, &handle)),
        ("ProposeRequest", "expires_days", json!({"minimum": 1, "maximum": EXPIRES_DAYS_MAX})),
        ("ProposedVersion", "labels", at_most(MOVES_MAX)),
        ("AmendRequest", "message", message.clone()),
        ("AmendRequest", "moves", at_most(MOVES_MAX)),
        ("ReviewRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        ("ApplyRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        ("PublishDraftRequest", "message", message.clone()),
        ("PublishDraftRequest", "labels", at_most(LABELS_MAX)),
        // Governance.
        ("Policy", "name", handle.clone()),
        ("Policy", "deployers", list(POLICY_LIST_MAX, &handle)),
        ("Policy", "approvals", json!({"maximum": APPROVALS_MAX})),
        ("Policy", "approvers", list(POLICY_LIST_MAX, &handle)),
        ("Policy", "freeze", at_most(POLICY_LIST_MAX)),
        ("Policy", "message", json!({"maxLength": MESSAGE_PATTERN_BYTES_MAX, "format": "regex"})),
        ("Policy", "gates", list(POLICY_LIST_MAX, &handle)),
        ("RiskRule", "approvers", list(POLICY_LIST_MAX, &handle)),
        ("ArchiveRequest", "unused_days", json!({"minimum": RETENTION_FLOOR_DAYS, "maximum": UNUSED_DAYS_MAX})),
        ("ArchiveRequest", "keep", list(ARCHIVE_KEEP_MAX, &like::<ContentId>())),
        ("ArchiveRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        // Webhooks.
        ("WebhookRequest", "url", json!({"format": "uri"})),
        ("WebhookRequest", "events", json!({
            "minItems": 1, "maxItems": FILTERS_MAX,
            "items": {"maxLength": FILTER_BYTES_MAX, "pattern": r"^(\*|[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*(\.\*)?)$"},
        })),
        ("WebhookRotation", "overlap_s", seconds(OVERLAP_S_MAX)),
        ("SuspensionRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        // Alerts.
        ("AlertRule", "threshold", json!({"exclusiveMinimum": 0, "maximum": THRESHOLD_USD_MAX})),
        ("AlertRule", "per_s", json!({"minimum": PERIOD_S_MIN, "maximum": PERIOD_S_MAX})),
        ("AlertRule", "min_calls", json!({"minimum": 1, "maximum": MIN_CALLS_MAX})),
        // Prices.
        ("PriceTableBody", "schema", json!({"minimum": 1, "maximum": 1})),
        ("PriceTableBody", "updated", json!({"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "format": "date"})),
        ("PriceTableBody", "currency", json!({"enum": ["USD"]})),
        ("PriceTableBody", "unit", json!({"enum": ["pico_usd_per_token"]})),
        ("PriceTableBody", "models", at_most(MODELS_MAX)),
        ("ModelPriceBody", "id", json!({"minLength": 1, "maxLength": 200})),
        ("ModelPriceBody", "match", at_most(NAMES_PER_MODEL_MAX)),
        ("ModelPriceBody", "match_glob", at_most(NAMES_PER_MODEL_MAX)),
        ("ModelPriceBody", "tiers", json!({"minItems": 1, "maxItems": TIERS_PER_MODEL_MAX})),
        ("PriceTierBody", "rate", json!({
            "required": ["input"], "maxProperties": 6, "properties": {"input": price},
            "propertyNames": {"enum": ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"]},
            "additionalProperties": price,
        })),
        ("PriceWhenBody", "input_tokens_gt", json!({"maximum": PRICE_MAX})),
        ("PriceWhenBody", "utc", at_most(HOURS_PER_TIER_MAX)),
        ("PriceHoursBody", "days", json!({"minItems": 1, "maxItems": 7, "items": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 7}})),
        ("RecostRequest", "cursor", json!({"maximum": WHOLE_MAX})),
        ("ReportedScore", "categories", json!({"maxItems": SCORE_CATEGORIES_MAX})),
        ("ReportedResponse", "version", json!({"type": ["string", "integer", "null"], "minimum": 0})),
        // Resolving.
        ("Assignment", "bucket", json!({"maximum": u16::MAX})),
        ("BatchRequest", "references", at_most(BATCH_REFERENCES_MAX)),
        ("BatchRequest", "subject", characters(ATTRIBUTE_BYTES_MAX)),
        ("BatchRequest", "attributes", attributes()),
        ("RenderRequest", "subject", characters(ATTRIBUTE_BYTES_MAX)),
        ("RenderRequest", "attributes", attributes()),
        ("RenderRequest", "messages", json!({"additionalProperties": {"type": "array", "items": {}}})),
        // Evaluations.
        ("PushSuiteRequest", "message", message.clone()),
        ("StartRunRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        ("StartRunRequest", "suite", handle.clone()),
        ("StartRunRequest", "models", at_most(SUITE_MODELS_MAX)),
        ("StartRunRequest", "repeats", json!({"minimum": 1, "maximum": REPEATS_MAX})),
        ("ImportRunRequest", "message", characters(MESSAGE_CHARACTERS_MAX)),
        ("ImportRunRequest", "suite", handle.clone()),
        ("WhenPassed", "message", message.clone()),
        ("Suite", "models", at_most(SUITE_MODELS_MAX)),
        ("Suite", "repeats", json!({"minimum": 1, "maximum": REPEATS_MAX})),
        ("Suite", "scorers", at_most(SCORERS_MAX)),
        ("Suite", "threshold", json!({"minimum": 0, "maximum": 1})),
        ("Suite", "cases", json!({"minItems": 1, "maxItems": CASES_MAX})),
        ("Case", "name", json!({"minLength": 1, "maxLength": CASE_NAME_CHARACTERS_MAX, "pattern": NO_CONTROLS})),
        ("Case", "tags", json!({"uniqueItems": null, "maxItems": CASE_TAGS_MAX})),
        ("Case", "placeholders", json!({"additionalProperties": {"type": "array", "items": {}}})),
        ("Case", "weight", json!({"minimum": 0, "maximum": WEIGHT_MAX})),
        ("Case", "scorers", at_most(SCORERS_MAX)),
        ("Case", "threshold", json!({"minimum": 0, "maximum": 1})),
        ("Scorer", "type", json!({"enum": checks()})),
        ("Scorer", "weight", json!({"minimum": 0, "maximum": WEIGHT_MAX})),
        ("Scorer", "scorers", at_most(SCORERS_MAX)),
        ("GateRule", "pass_rate", json!({"minimum": 0, "maximum": 1})),
        ("GateRule", "margin", json!({"minimum": 0, "maximum": 1})),
        ("GateRule", "consistency", json!({"minimum": 0, "maximum": 1})),
        ("GateRule", "metrics", json!({"additionalProperties": {"type": "number", "format": "double", "minimum": 0, "maximum": 1}})),
        // Replicas.
        ("ReplicaReport", "replica", replica()),
        ("ReplicaReport", "version", replica()),
        ("VersionUse", "hour", json!({"maximum": WHOLE_MAX})),
    ]
}

/// The names of all scorers, and of their opposites.
fn checks() -> Vec<String> {
    let named = |not: bool| CheckKind::ALL.iter().map(move |kind| Check { kind: *kind, not }.to_string());
    named(false).chain(named(true)).collect()
}

/// A text without control characters.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// Rules on whole objects. They use `if`, which client generators ignore and validators follow.
fn wholes() -> Vec<(&'static str, Value)> {
    let message = json!({"required": ["message"], "properties": {"message": like::<CommitMessage>()}});
    let is = |field: &str, word: &str| json!({"required": [field], "properties": {field: {"const": word}}});
    let text = |field: &str| json!({"required": [field], "properties": {field: {"type": "string"}}});
    let object = |field: &str| json!({"required": [field], "properties": {field: {"type": "object"}}});
    // Fields of a message other than its role, name and tool call ID, which count as content.
    let says_nothing = json!({
        "properties": {"role": {}, "type": {}, "name": {}, "tool_call_id": {}, "content": {"type": "null"}},
        "additionalProperties": {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]},
    });
    let address = json!({"anyOf": [
        {"required": ["image_url"], "properties": {"image_url": {"type": "string"}}},
        {"required": ["image_url"], "properties": {"image_url": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}}}},
    ]});
    vec![
        ("Content", one_of_two(("text", "string"), ("messages", "array"))),
        ("ServingRequest", one_of_two(("version", "integer"), ("split", "object"))),
        ("RuleRequest", one_of_two(("version", "integer"), ("split", "object"))),
        ("TokenRequest", one_of_two(("principal", "string"), ("role", "string"))),
        (
            "Message",
            json!({
                "if": is("type", "placeholder"),
                "then": {"required": ["name"], "properties": {"name": {"type": "string"}}, "maxProperties": 2},
                "else": {"required": ["role"], "properties": {"role": {}, "type": {"const": "message"}}, "not": says_nothing},
            }),
        ),
        (
            "Part",
            json!({
                "if": {"properties": {"type": {"enum": ["text", "input_text", "output_text"]}}},
                "then": text("text"),
                "else": {
                    "if": is("type", "image"),
                    "then": {"anyOf": [text("url"), object("source")]},
                    "else": {"if": is("type", "image_url"), "then": address},
                },
            }),
        ),
        ("ReviewRequest", json!({"if": is("kind", "approve"), "else": message})),
        (
            "ArchiveRequest",
            json!({"if": {"required": ["dry_run"], "properties": {"dry_run": {"const": false}}}, "then": message}),
        ),
    ]
}

/// Exactly one of two fields; `null` counts as absent.
fn one_of_two((one, kind): (&str, &str), (other, other_kind): (&str, &str)) -> Value {
    json!({
        "if": {"required": [one], "properties": {one: {"type": kind}}},
        "then": {"properties": {other: {"type": "null"}}},
        "else": {"required": [other], "properties": {other: {"type": other_kind}}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_of_a_field_that_is_in_the_document() {
        let document = super::super::document();
        let schemas = &document["components"]["schemas"];
        for (schema, field, bound) in fields() {
            let found = &schemas[schema]["properties"][field];
            assert!(!found["description"].is_null() || !found["type"].is_null(), "{schema}.{field} is no field");
            let known: Vec<&String> = bound.as_object().expect("words").keys().collect();
            assert!(!known.is_empty(), "{schema}.{field}");
        }
        for (schema, _) in wholes() {
            assert_eq!(schemas[schema]["type"], "object", "{schema}");
        }
        assert_eq!(schemas["DeployRequest"]["properties"]["message"]["maxLength"], 2_000);
        assert_eq!(schemas["RollbackRequest"]["properties"]["to"]["minimum"], 1);
        assert_eq!(schemas["TokenRequest"]["properties"]["role"]["type"], json!(["string", "null"]));
    }
}
