//! The headers of answers: their meaning, and which answers have them.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use serde_json::{Value, json};

use crate::api::limits::WHOLE_MAX;

/// How fresh the node is that answers.
const FRESH: [&str; 3] = ["Bookholder-Position", "Bookholder-Age", "Bookholder-Stale"];

/// The headers of an operation's answer with a status.
fn of(operation: &str, status: &str) -> Vec<&'static str> {
    let mut names = match (operation, status) {
        ("resolve", "200" | "304") => vec!["Bookholder-Version", "ETag"],
        ("get_content" | "get_checkpoint", "200") | (_, "304") => vec!["ETag"],
        ("get_home", "302") => vec!["Location"],
        ("poll_view", "200") => vec!["Bookholder-Reconnect-Ms"],
        (_, "401") => vec!["WWW-Authenticate"],
        (_, "429" | "503") => vec!["Retry-After"],
        _ => Vec::new(),
    };
    if matches!(
        (operation, status),
        ("resolve" | "resolve_matching", "200" | "304") | ("resolve_batch" | "render", "200")
    ) {
        names.extend(FRESH);
    }
    names.push("Bookholder-Request");
    names
}

/// Adds headers to an answer.
pub(super) fn add(operation: &str, status: &str, response: &mut Value) {
    for name in of(operation, status) {
        response["headers"][name] = reference(name);
    }
    if operation == "resolve" && matches!(status, "200" | "304") {
        // Answers from memory have no ID, because they are never logged.
        response["headers"]["Bookholder-Request"] = request(false);
    }
}

/// Refers to a header.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

fn header(required: bool, description: &str, schema: &Value) -> Value {
    json!({"description": description, "required": required, "schema": schema})
}

fn text(example: &str) -> Value {
    json!({"type": "string", "example": example})
}

/// The request ID.
fn request(required: bool) -> Value {
    header(required, "The id of the request in the log of this node.", &text("17c0a9d2-4529"))
}

/// What each header means.
pub(super) fn components() -> Value {
    let whole = |example: u64| json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": WHOLE_MAX, "example": example});
    json!({
        "Bookholder-Request": request(true),
        "Bookholder-Version": header(true, "The version number.", &whole(7)),
        "Bookholder-Position": header(true, "The position of this node, as `epoch.seq`.", &json!({"$ref": "#/components/schemas/Position"})),
        "Bookholder-Age": header(true, "Seconds since this node's last verified contact with its upstream.", &whole(0)),
        "Bookholder-Stale": header(true, "Whether this node is not fresh: out of contact with its primary, expired or empty.", &json!({"type": "boolean"})),
        "Bookholder-Reconnect-Ms": header(false, "From a node that is shutting down: milliseconds to wait before \
            reconnecting.", &whole(500)),
        "ETag": header(true, "Changes whenever the response does.", &text("\"3f9a1c2b7d41\"")),
        "Location": header(true, "The URL.", &text("/docs")),
        "WWW-Authenticate": header(true, "How to authenticate.", &text("Bearer realm=\"bookholder\"")),
        "Retry-After": header(false, "Seconds to wait before trying again.", &whole(1)),
    })
}
