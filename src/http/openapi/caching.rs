//! Which answers have an entity tag, by the table of `http/caching.rs`.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use serde_json::{Value, json};

use super::super::caching::is_revalidated;
use super::super::route::Route;
use super::super::router::ROUTES;
use super::headers::reference;

/// Documents on every answer that can be revalidated how a client does that.
pub(super) fn document(document: &mut Value) {
    for Route { method, path: route, .. } in ROUTES.iter().filter(|route| is_revalidated(route.method, route.path)) {
        let operation = &mut document["paths"][route.replace("{*", "{")][method.to_ascii_lowercase()];
        let responses = &mut operation["responses"];
        if responses["304"].is_null() {
            responses["304"] = json!({"description": "The client's copy is current."});
        }
        responses["200"]["headers"]["ETag"] = reference("ETag");
        if operation["parameters"].is_null() {
            operation["parameters"] = json!([]);
        }
        let known = |parameters: &Vec<Value>| parameters.iter().any(|one| one["name"] == "If-None-Match");
        if let Some(parameters) = operation["parameters"].as_array_mut().filter(|parameters| !known(parameters)) {
            parameters.push(json!({
                "name": "If-None-Match", "in": "header", "required": false, "schema": {"type": "string"},
                "description": "The ETag of the client's copy.",
            }));
        }
    }
}
