//! Health, metrics, and the description of the interface.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::node::{Launch, Node};

#[test]
fn health_and_readiness_are_separate() {
    let primary = Node::primary();
    assert_eq!((primary.get("/healthz").text().as_str(), primary.get("/readyz").text().as_str()), ("ok\n", "ready\n"));
    let root_key = primary.root_key();
    let mut empty = Launch::replica().args(["--root-key", &root_key]).start();
    assert_eq!(empty.get("/healthz").status, 200);
    let detail = empty.get("/readyz").problem(503, "not_ready");
    assert!(detail.contains("no verified state yet") && detail.contains("/v1/status"), "{detail}");
    assert!(empty.get("/v1/resolve/a").problem(503, "not_ready").contains("no verified state yet"));
    let url = primary.url();
    empty.restart_as(|launch| launch.args(["--upstream", &url]));
    empty.until("it becomes ready", || (empty.get("/readyz").status == 200).then_some(()));
    assert_eq!(empty.get("/readyz?max_age=3600").status, 200);
}

#[test]
fn metrics_count_events() {
    let node = Node::primary();
    node.publish("a", "text");
    for _ in 0..3 {
        let _text = node.text("a");
    }
    let plain = node.get("/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept = ("accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let answer = node.send("GET", "/metrics", &[accept], b"");
    assert!(answer.header("content-type").is_some_and(|kind| kind.contains("openmetrics-text")), "{}", answer.head);
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let value = |start: &str| {
        let line =
            text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} is not in {text}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    assert!(value("bookholder_commits_total") >= 1.0 && value("bookholder_position_seq") >= 2.0);
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("# TYPE ")) {
        assert!(
            text.lines().nth(at.wrapping_sub(1)).is_some_and(|help| help.starts_with("# HELP ")),
            "no help: {line}"
        );
    }
}

/// A path with something in each of its variable places.
fn filled(path: &str) -> String {
    [("{name}", "a"), ("{version}", "1"), ("{label}", "production"), ("{reference}", "a@production"), ("{view}", "all")]
        .iter()
        .chain(&[
            ("{position}", "0.0"),
            ("{n}", "1"),
            ("{place}", "1"),
            ("{e}", "1"),
            ("{draft}", "d"),
            ("{id}", "1"),
            ("{seq}", "1"),
        ])
        .chain(&[
            ("{revision}", "1"),
            ("{table}", "overrides"),
            ("{replica}", "plant-7"),
            ("{node}", "000102030405060708090a0b0c0d0e0f"),
        ])
        .fold(path.to_owned(), |path, (place, value)| path.replace(place, value))
}

#[test]
fn every_operation_of_the_openapi_document_answers() {
    let node = Node::primary();
    let id = node.publish("a", "text");
    let answer = node.get("/openapi.json");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.ok();
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1."), "{}", document["openapi"]);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    references_lead_somewhere(&document, &document);

    let (mut operations, mut ids) = (0, BTreeSet::new());
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            operations += 1;
            assert!(ids.insert(operation["operationId"].to_string()), "twice: {}", operation["operationId"]);
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
            parameters_stand_in_the_path(path, operation);
            if path == "/v1/events" {
                continue;
            }
            let path = filled(path).replace("{content_id}", &id);
            assert!(!path.contains('{'), "{path}");
            let answer = node.change(&method.to_uppercase(), &path, &json!({}));
            assert!(answer.status < 500 && answer.status != 405, "{method} {path}: {}", answer.text());
            assert!(answer.status != 404 || answer.json()["code"] != "not_found", "{method} {path}: {}", answer.text());
        }
    }
    assert!(operations >= 40, "{operations}");
    let page = node.get("/docs");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{}", page.head);
    assert!(page.text().contains("/v1/resolve/{reference}") && page.text().starts_with("<!DOCTYPE html>"));
    assert_eq!(node.get("/docs/style.css").status, 200);
    let home = node.get("/");
    assert_eq!((home.status, home.header("location")), (302, Some("/docs")));
}

fn parameters_stand_in_the_path(path: &str, operation: &Value) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let declared: BTreeSet<String> = parameters
        .iter()
        .filter(|one| one["in"] == "path")
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    let written: BTreeSet<String> =
        path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect();
    assert_eq!(declared, written, "{path}");
    assert!(parameters.iter().filter(|one| one["in"] == "path").all(|one| one["required"] == true), "{path}");
}

fn references_lead_somewhere(document: &Value, value: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').expect("a local reference");
                assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            }
            fields.values().for_each(|field| references_lead_somewhere(document, field));
        }
        Value::Array(items) => items.iter().for_each(|item| references_lead_somewhere(document, item)),
        _ => {}
    }
}
