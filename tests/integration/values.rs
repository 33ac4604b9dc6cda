//! Values arrive as they left: through publishing, files, replicas and back, and the vectors of the encoding.

use std::fs;

use bookholder::json;
use bookholder::model::content::Content;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::command::bookholder;
use crate::support::node::Node;

/// Contents whose values lose something in many programs, in stored order and form.
const CONTENTS: [&str; 3] = [
    r#"{"syntax":"mustache","text":"x","model":{"name":"m","parameters":{"top_p":1.0,"seed":1,"b":{"z":0.5,"a":-0.0}}},"tools":[{"type":"function","function":{"name":"f","parameters":{"zeta":{},"alpha":{"yes":"no","010":"1_000"}}}}],"response_schema":{"type":"object","properties":{"reasoning":{"type":"string"},"answer":{"type":"string"}},"required":["reasoning","answer"]},"config":{"z":1,"a":[{"y":1,"x":2}],"n":9007199254740991,"t":"12:30"}}"#,
    r#"{"syntax":"plain","messages":[{"role":"system","content":"Be kind"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"42","tool_call_id":"c"},{"role":"assistant","tool_calls":[{"id":"d"}],"refusal":null}]}"#,
    r#"{"syntax":"plain","messages":[{"role":"developer","content":"a"},{"role":"user","content":[{"text":"b","type":"text","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"u","detail":"low"}},{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"document","source":{"z":1,"a":2}}]},{"role":"model","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t","name":"n","input":{"b":1,"a":2.0}}]},{"role":"function","content":"1","name":"f"}]}"#,
];

/// Publishes JSON as it is written.
fn publish(node: &Node, name: &str, content: &str) -> Answer {
    let body = format!(r#"{{"content":{content},"message":"why","labels":["production"]}}"#);
    send(node, &format!("/v1/prompts/{}/versions", name.replace('/', "%2F")), &body)
}

fn send(node: &Node, path: &str, body: &str) -> Answer {
    node.send("POST", path, &[("content-type", "application/json")], body.as_bytes())
}

#[test]
fn contents_are_served_replicated_pulled_and_pushed_back_to_the_letter() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let names: Vec<String> = (0..CONTENTS.len()).map(|number| format!("values/c{number}")).collect();
    for (name, content) in names.iter().zip(CONTENTS) {
        let published = publish(&node, name, content).json();
        let id = format!("b3:{}", blake3::hash(content.as_bytes()).to_hex());
        assert_eq!(published["version"]["content_id"], id.as_str(), "{content} {published}");
    }
    let replica = Node::replica(&node);
    for (name, content) in names.iter().zip(CONTENTS) {
        let served = format!("\"content\":{content}");
        let resolved = |node: &Node| node.get(&format!("/v1/resolve/{name}")).text();
        assert!(resolved(&node).contains(&served), "{}", resolved(&node));
        let _text = replica.until(name, || Some(resolved(&replica)).filter(|text| text.contains(&served)));
    }
    let rendered = send(&node, "/v1/render/values%2Fc1", "{}").text();
    assert!(rendered.contains(r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"#), "{rendered}");
    let out = folder.path().join("pulled");
    let _said = bookholder(["pull", "--label", "production", "--out"]).arg(&out).server(&node).ok();
    let file = fs::read_to_string(out.join("values/c0.prompt")).expect("a file");
    let at = |part: &str| file.find(part).unwrap_or_else(|| panic!("{part} in {file}"));
    assert!(at("reasoning:") < at("answer:") && at("zeta:") < at("alpha:"), "{file}");
    assert!(at("top_p: 1.0") < at("seed: 1\n"), "{file}");
    // Copied files have no lock file beside them, and the same content.
    let copied = folder.path().join("copied/values");
    fs::create_dir_all(&copied).expect("a folder");
    for number in 0..CONTENTS.len() {
        let file = format!("c{number}.prompt");
        let _bytes = fs::copy(out.join("values").join(&file), copied.join(&file)).expect("a copy");
    }
    let pushed = bookholder(["push", "-m", "back"]).arg(folder.path().join("copied")).server(&node);
    let _said = pushed.ok().says("3 unchanged");
}

#[test]
fn key_order_change_is_a_new_version_and_reported_as_such() {
    let node = Node::primary();
    let schema = |first: &str, second: &str| {
        format!(r#"{{"text":"x","response_schema":{{"properties":{{"{first}":{{}},"{second}":{{}}}}}}}}"#)
    };
    let _first = publish(&node, "a", &schema("reasoning", "answer"));
    let second = publish(&node, "a", &schema("answer", "reasoning")).json();
    assert_eq!((&second["created"], &second["version"]["number"]), (&json!(true), &json!(2)), "{second}");
    let diff = bookholder(["diff", "a", "1", "2"]).server(&node).run();
    let _said = diff.1.says("response schema (key order changed)");
    let diff = node.get("/v1/prompts/a/diff?from=1&to=2").text();
    assert!(diff.contains("\"order_only\":true"), "{diff}");
}

#[test]
fn value_that_would_change_is_rejected_at_every_entry_point() {
    let node = Node::primary();
    let _published = publish(&node, "a", r#"{"text":"{{n}}"}"#);
    for (value, part) in [
        (r#"{"k":{"b":1,"b":2}}"#, "appears twice"),
        ("123456789012345678901234567890", "beyond 2^53 - 1"),
        ("9007199254740993", "beyond 2^53 - 1"),
        ("0.1000000000000000055511151231257827", "would become 0.1"),
        ("1e400", "beyond the range"),
    ] {
        let content = format!(r#"{{"text":"x","config":{{"c":{value}}}}}"#);
        let detail = publish(&node, "b", &content).problem(400, "bad_request");
        assert!(detail.contains(part) && detail.contains("content.config.c"), "{value}: {detail}");
        let render = format!(r#"{{"variables":{{"n":{value}}}}}"#);
        let detail = send(&node, "/v1/render/a", &render).problem(400, "bad_request");
        assert!(detail.contains(part) && detail.contains("variables.n"), "{value}: {detail}");
        let messages = format!(r#"{{"messages":{{"h":[{{"role":"user","content":"x","m":{value}}}]}}}}"#);
        let detail = send(&node, "/v1/render/a", &messages).problem(400, "bad_request");
        assert!(detail.contains(part) && detail.contains("messages.h[0].m"), "{value}: {detail}");
        let _said = bookholder(["get", "a", "--var", &format!("n:={value}")]).server(&node).fails(2).says(part);
        let file = format!("---\nconfig:\n  c: {value}\n---\nx\n");
        let published = bookholder(["publish", "b", "--file", "-", "-m", "why"]).input(file).server(&node);
        let _said = published.fails(2).says(part).says("line 3: ").says("`config.c");
        let line = format!(
            r#"{{"at":"2022-12-14T00:44:50Z","author":"a","message":"m","name":"n","text":"x","extra":{value}}}"#
        );
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("history.jsonl");
        fs::write(&history, line).expect("a file");
        let imported = bookholder(["import"]).arg(&history).server(&node).run();
        assert_ne!(imported.0, Some(0), "{value}");
        let _said = imported.1.says(part).says("`extra");
    }
    assert_eq!(node.get("/v1/prompts").ok()["items"].as_array().map(Vec::len), Some(1), "nothing was published");
}

#[test]
fn encoding_matches_test_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/content/vectors.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON");
    let text = |vector: &Value, key: &str| vector[key].as_str().expect(key).to_owned();
    let contents = vectors["contents"].as_array().expect("contents");
    assert!(contents.len() >= 15, "{}", contents.len());
    for vector in contents {
        let written = text(vector, "content");
        let content: Content = json::read(written.as_bytes()).expect(&written);
        let encoded = content.to_canonical().expect(&written);
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text(vector, "encoded_hex"), "{}", String::from_utf8_lossy(&encoded));
        assert_eq!(format!("b3:{}", blake3::hash(&encoded).to_hex()), text(vector, "id"), "{written}");
        assert_eq!(content.id().map(|id| id.to_string()), Ok(text(vector, "id")), "{written}");
        let again = Content::from_json(&encoded).expect("what was encoded");
        assert_eq!(again.to_canonical().as_ref(), Ok(&encoded), "{written}");
    }
    for vector in vectors["refused"].as_array().expect("refusals") {
        let error = json::read::<Value>(text(vector, "content").as_bytes()).expect_err("refused").to_string();
        assert!(error.contains(&text(vector, "reason")), "{vector}: {error}");
    }
}
