//! Bodies that are not JSON, the wrong JSON, or too large.

use std::io::{BufReader, Write};

use serde_json::{Value, json};

use super::Target;
use crate::support::answer::Answer;
use crate::support::node::ADMIN;

const PUBLISH: &str = "/v1/prompts/b/versions";

#[test]
fn malformed_json_is_refused_with_the_reason() {
    let mut target = Target::start();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let nested = format!(
        r#"{{"content": {{"syntax": "plain", "text": "x", "config": {{"x": {}}}}}, "message": "why"}}"#,
        deep(500)
    );
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"text\"",
        "{\"content\": 7}",
        r#"{"content": {"syntax": "plain", "text": "x"}, "message": "why", "colour": 1}"#,
        r#"{"content": {"syntax": "cobol", "text": "x"}, "message": "why"}"#,
        r#"{"content": {"syntax": "plain", "text": "x"}, "message": "why", "message": "twice"}"#,
        r#"{"content": {"syntax": "plain", "text": "\ud800"}, "message": "why"}"#,
        r#"{"content": {"syntax": "plain", "text": "x"}, "message": "why", "expected_parent": 18446744073709551616}"#,
        r#"{"content": {"syntax": "plain", "text": "x"}, "message": "why", "expected_parent": -1}"#,
        &nested,
        &deep(100_000),
    ] {
        let answer = target.0.send("POST", PUBLISH, &[("content-type", "application/json")], body.as_bytes());
        let code = if answer.text().contains("invalid `") { "invalid_field" } else { "bad_request" };
        let detail = answer.problem(400, code);
        let said = ["does not match the schema of this path: ", "` in the body: "];
        assert!(said.iter().any(|said| detail.contains(said)) && detail.len() < 1_000, "{detail}");
        assert!(!detail.contains("struct"), "{detail}");
    }
    let latin = target.0.send("POST", PUBLISH, &[("content-type", "application/json")], b"{\"message\": \"caf\xe9\"}");
    let _detail = latin.problem(400, "bad_request");
    target.is_well();
}

/// Every value with one of its parts, at any depth, replaced by each of some others.
fn with_one_part_replaced(value: &Value, others: &[Value]) -> Vec<Value> {
    let mut changed = others.to_vec();
    let within = |part: &Value| with_one_part_replaced(part, others);
    match value {
        Value::Object(fields) => {
            for (key, part) in fields {
                changed.extend(within(part).into_iter().map(|part| {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), part);
                    Value::Object(fields)
                }));
            }
        }
        Value::Array(list) => {
            for (index, part) in list.iter().enumerate() {
                changed.extend(within(part).into_iter().map(|part| {
                    let mut list = list.clone();
                    list[index] = part;
                    Value::Array(list)
                }));
            }
        }
        _ => {}
    }
    changed
}

#[test]
fn body_of_a_wrong_shape_is_refused_without_naming_a_type_of_the_program() {
    let mut target = Target::start();
    let document = target.0.get("/openapi.json").ok();
    let others = [json!(true), json!("x"), json!(7), json!([]), json!([1]), json!({}), json!({"x": 1}), Value::Null];
    let named = regex::Regex::new(r"(struct|enum|variant|tuple) [A-Z]|::[A-Z]").expect("a pattern");
    let whole = r#"{"content": {"syntax": "jinja", "messages": [{"role": "user", "content": "x"}],
        "variables": [{"name": "a", "type": "string", "required": true}], "model": {"name": "m", "parameters": {}},
        "tools": [{"type": "function"}], "response_schema": {}, "config": {}}, "message": "m", "labels": ["a"]}"#;
    let whole: Value = serde_json::from_str(whole).expect("a publication");
    let mut bodies = vec![("post".to_owned(), PUBLISH.to_owned(), whole)];
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            if example.is_object() {
                let path = path.replace(['{', '}'], "").replace("/id/", "/1/").replace("/version/", "/1/");
                bodies.push((method.clone(), path, example.clone()));
            }
        }
    }
    assert!(bodies.len() > 20, "{} bodies", bodies.len());
    let mut refused = 0;
    for (method, path, body) in &bodies {
        for wrong in with_one_part_replaced(body, &others) {
            let kind = [("content-type", "application/json")];
            let answer = target.0.send(&method.to_uppercase(), path, &kind, wrong.to_string().as_bytes());
            assert!(answer.status < 500, "{method} {path} {wrong}: {}", answer.text());
            if answer.status >= 400 {
                refused += 1;
                assert!(!named.is_match(&answer.text()), "{method} {path} {wrong}: {}", answer.text());
            }
        }
    }
    assert!(refused > 500, "{refused} bodies were refused");
    target.is_well();
}

#[test]
fn another_content_type_is_refused_by_name() {
    let mut target = Target::start();
    for (kind, part) in [
        ("", "is missing"),
        ("text/plain", "`text/plain`"),
        ("application/x-www-form-urlencoded", "urlencoded"),
        ("application/jsonp", "jsonp"),
    ] {
        let answer = target.0.send("POST", PUBLISH, &[("content-type", kind)], b"{}");
        let detail = answer.problem(415, "unsupported_media_type");
        assert!(detail.contains(part) && detail.contains("application/json"), "{detail}");
    }
    let body = json!({"content": {"syntax": "plain", "text": "x"}, "message": "why"}).to_string();
    let answer =
        target.0.send("POST", PUBLISH, &[("content-type", "Application/JSON; charset=utf-8")], body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    target.is_well();
}

#[test]
fn body_of_100_mib_is_rejected_without_buffering() {
    let mut target = Target::start();
    let head = |length: &str| {
        format!(
            "POST {PUBLISH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        )
    };
    let piece = vec![b' '; 1024 * 1024];
    for chunked in [false, true] {
        let mut stream = target.0.connect();
        let length = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", 100 * piece.len())
        };
        stream.write_all(head(&length).as_bytes()).expect("written");
        let mut writer = stream.try_clone().expect("a socket");
        let answer = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for _ in 0..100 {
                    let framed =
                        if chunked { [b"100000\r\n", piece.as_slice(), b"\r\n"].concat() } else { piece.clone() };
                    // The node may have rejected the request and closed by now.
                    if writer.write_all(&framed).is_err() {
                        return;
                    }
                }
                let _end = chunked.then(|| writer.write_all(b"0\r\n\r\n"));
            });
            let answer = Answer::read(BufReader::new(&stream));
            sending.join().expect("sent");
            answer
        });
        let detail = answer.expect("an answer").problem(413, "too_large");
        assert!(detail.contains("the limit of 4194304 bytes"), "{detail}");
        target.is_well();
    }
}

#[test]
fn limits_of_contents_servings_and_batches_are_in_errors() {
    let mut target = Target::start();
    let publish = |content: Value| target.0.change("POST", PUBLISH, &json!({"content": content, "message": "why"}));
    let text = |bytes: usize| json!({"syntax": "plain", "text": "x".repeat(bytes)});
    let frame = text(0).to_string().len();
    assert!(publish(text(1024 * 1024 + 1 - frame)).problem(413, "too_large").contains("the limit is 1048576 bytes"));
    assert_eq!(publish(text(1024 * 1024 - frame)).status, 201, "a content at its limit is taken");
    let messages = vec![json!({"role": "user", "content": "x"}); 1_001];
    assert!(
        publish(json!({"syntax": "plain", "messages": messages}))
            .problem(422, "invalid_content")
            .contains("1001 messages")
    );
    let variables = (0..257).map(|number| ["{{v", &number.to_string(), "}}"].concat()).collect::<String>();
    assert!(publish(json!({"syntax": "mustache", "text": variables})).problem(422, "invalid_content").contains("257"));
    assert!(
        publish(json!({"syntax": "plain", "text": "x", "config": {"n": 9_007_199_254_740_993_u64}}))
            .problem(400, "bad_request")
            .contains("2^53")
    );
    for (message, part) in [
        (String::new(), "a message is required"),
        ("x".repeat(2_001), "the limit is 2,000"),
        (" \n".to_owned(), "a message is required"),
    ] {
        let answer = target.0.change("POST", PUBLISH, &json!({"content": text(1), "message": message}));
        assert!(answer.problem(400, "invalid_message").contains(part));
    }

    let moves: Vec<Value> =
        (0..1_001).map(|n| json!({"name": "a", "label": format!("l{n}"), "serving": {"version": 1}})).collect();
    let deploy = |moves: Value| target.0.change("POST", "/v1/deployments", &json!({"moves": moves, "message": "why"}));
    let _detail = deploy(json!(moves)).problem(413, "too_large");
    let serving = |serving: Value| deploy(json!([{"name": "a", "label": "l", "serving": serving}]));
    let _detail = serving(json!({"version": 1, "rules": vec![json!({"when": {"x": "y"}, "version": 1}); 65]}))
        .problem(413, "too_large");
    let _detail = serving(json!({"split": {"weights": {"1": 0}}})).problem(422, "invalid_serving");
    let _detail = serving(json!({})).problem(422, "invalid_serving");
    let _detail = serving(json!({"version": 1, "split": {"weights": {"1": 1}}})).problem(422, "invalid_serving");
    let _detail = serving(json!({"version": 0})).problem(422, "invalid_serving");
    let _detail = serving(json!({"version": 9_007_199_254_740_991_u64})).problem(404, "version_not_found");
    let _detail = deploy(json!([])).problem(422, "invalid_request");
    let twice = json!([{"name": "a", "label": "l", "serving": {"version": 1}}, {"name": "a", "label": "l", "serving": {"version": 1}}]);
    assert!(deploy(twice).problem(422, "invalid_request").contains("appears twice"));

    let attributes: Value = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let batch = |body: Value| target.0.change("POST", "/v1/resolve", &body);
    let _detail = batch(json!({"references": ["a"], "attributes": attributes})).problem(413, "too_large");
    let _detail = batch(json!({"references": ["a"], "subject": "x".repeat(1_025)})).problem(413, "too_large");
    let _detail = batch(json!({"references": vec!["a"; 1_001]})).problem(413, "too_large");
    let change =
        json!({"id": "1", "at": "2024-01-01T00:00:00Z", "author": "a", "message": "m", "name": "c", "text": "t"});
    let import = target.0.change("POST", "/v1/import", &json!({"changes": vec![change; 1_001]}));
    let _detail = import.problem(413, "too_large");
    target.is_well();
}
