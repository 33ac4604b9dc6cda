//! Resolving, rendering and reading contents: fields, headers, names, errors.

use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{Launch, Node, segment};

/// The keys of a JSON object.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn answer_has_exactly_its_fields_and_freshness() {
    let node = Node::primary();
    let id = node.publish("support/agent", "Hello {{who}}");
    let answer = node.get("/v1/resolve/support/agent@production");
    let body = answer.ok();
    assert_eq!(keys(&body), ["assignment", "content", "content_id", "label", "name", "stamp", "telemetry", "version"]);
    assert_eq!(body["assignment"], Value::Null, "nothing was chosen");
    let stamp = format!("support/agent@1+{}", &id[3..15]);
    let expected = [("name", "support/agent"), ("content_id", &id), ("label", "production"), ("stamp", &stamp)];
    for (field, value) in expected {
        assert_eq!(body[field], value);
    }
    assert_eq!((&body["version"], &body["content"]["text"]), (&json!(1), &json!("Hello {{who}}")));
    for (header, value) in [
        ("content-type", "application/json"),
        ("bookholder-version", "1"),
        ("bookholder-position", "1.2"),
        ("bookholder-age", "0"),
        ("bookholder-stale", "false"),
    ] {
        assert_eq!(answer.header(header), Some(value), "{header}");
    }

    let etag = answer.header("etag").expect("an entity tag").to_owned();
    for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        // From memory, and through the router.
        for path in ["/v1/resolve/support/agent@production", "/v1/resolve/support%2Fagent@production"] {
            let known = node.send("GET", path, &[("authorization", ""), ("if-none-match", &tag)], b"");
            assert_eq!(
                (known.status, known.body.len(), known.header("etag")),
                (304, 0, Some(etag.as_str())),
                "{path} {tag}"
            );
            assert_eq!(known.header("bookholder-version"), Some("1"));
        }
    }
    node.publish("support/agent", "Hi {{who}}");
    let changed = node.send("GET", "/v1/resolve/support/agent", &[("if-none-match", &etag)], b"");
    assert_eq!((changed.status, changed.header("bookholder-version")), (200, Some("2")));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[test]
fn names_with_slashes_work_encoded_or_raw() {
    let node = Node::primary();
    for name in ["a b/c d", "还是维持/ünïcode", "100%/what?#&=+", "a:b;c,d'e\"f<g>h", "~tilde/.dot/-dash"] {
        let folders = name.split('/').map(segment).collect::<Vec<_>>().join("/");
        for path in [segment(name), folders.clone(), format!("{}@1", segment(name))] {
            let said = node.get(&format!("/v1/resolve/{path}")).problem(404, "prompt_not_found");
            assert!(said.contains(&format!("`{name}`")), "{path}: {said}");
        }
    }
    for name in ["a", "a/b", "a/b-c/d_e.f", "_a/0/2026.11"] {
        node.publish(name, &format!("text of {name}"));
        let folders = name.split('/').map(segment).collect::<Vec<_>>().join("/");
        for path in
            [segment(name), folders.clone(), format!("{}%40production", segment(name)), format!("{}@1", segment(name))]
        {
            let answer = node.get(&format!("/v1/resolve/{path}")).ok();
            assert_eq!(
                (&answer["name"], &answer["content"]["text"]),
                (&json!(name), &json!(format!("text of {name}"))),
                "{path}"
            );
        }
        for path in [segment(name), folders] {
            assert_eq!(node.get(&format!("/v1/prompts/{path}")).ok()["name"], name);
            assert_eq!(node.get(&format!("/v1/prompts/{path}/versions/1")).ok()["number"], 1);
        }
        let rendered = node.change("POST", &format!("/v1/render/{}", segment(name)), &json!({})).ok();
        assert_eq!(rendered["text"], format!("text of {name}"));
    }
    let nowhere = node.get("/v1/prompt/a%20b").text();
    assert!(nowhere.contains("not_found") && nowhere.contains("%2F"), "{nowhere}");
}

#[test]
fn contents_are_served_by_id_and_cacheable_forever() {
    let node = Node::primary();
    let id = node.publish("a", "bytes");
    let answer = node.get(&format!("/v1/contents/{id}"));
    assert_eq!(format!("b3:{}", blake3::hash(&answer.body).to_hex()), id);
    assert_eq!(answer.body, br#"{"syntax":"mustache","text":"bytes"}"#, "canonical JSON");
    assert!(answer.header("cache-control").is_some_and(|cache| cache.contains("immutable")), "{}", answer.head);
    let etag = answer.header("etag").expect("an entity tag").to_owned();
    assert_eq!(node.send("GET", &format!("/v1/contents/{id}"), &[("if-none-match", &etag)], b"").status, 304);
    let absent = format!("b3:{}", "0".repeat(64));
    assert!(node.get(&format!("/v1/contents/{absent}")).problem(404, "content_not_found").contains(&absent));
    assert!(node.get("/v1/contents/b3:xyz").problem(400, "bad_request").contains("invalid content id"));
}

#[test]
fn batch_is_one_state_with_an_answer_or_problem_for_each_reference() {
    let node = Node::primary();
    node.publish("a", "one");
    node.publish("b", "two");
    let _removed = node.change("DELETE", "/v1/prompts/b", &json!({"message": "gone"})).ok();
    let references = ["a", "a@1", "nobody", "b", "a@staging", "a@9", "a@0", "../x"];
    let answer = node.change("POST", "/v1/resolve", &json!({"references": references, "subject": "user-1"})).ok();
    assert_eq!(answer["position"], node.status()["position"]);
    let codes: Vec<Value> =
        answer["answers"].as_array().expect("answers").iter().map(|item| item["problem"]["code"].clone()).collect();
    let expected = json!([
        null,
        null,
        "prompt_not_found",
        "prompt_removed",
        "label_not_found",
        "version_not_found",
        "invalid_name",
        "invalid_name"
    ]);
    assert_eq!(json!(codes), expected, "{answer}");
    assert_eq!(answer["answers"][1]["resolved"]["version"], 1);
    let too_many = json!({"references": vec!["a"; 1_001]});
    assert!(node.change("POST", "/v1/resolve", &too_many).problem(413, "too_large").contains("limit of 1000"));
    node.publish("large", &"é".repeat(450_000));
    let large = |number: usize| {
        let references = [vec!["a"], vec!["large@1"; number]].concat();
        node.change("POST", "/v1/resolve", &json!({"references": references}))
    };
    let answer = large(18).ok();
    let one = node.get("/v1/resolve/large@1").ok();
    assert!(answer["answers"].as_array().expect("answers")[1..].iter().all(|item| item["resolved"] == one));
    assert!(large(19).problem(413, "too_large").contains("at `large@1`"));
}

#[test]
fn failed_rendering_lists_every_problem() {
    let node = Node::primary();
    let content = json!({"syntax": "mustache", "messages": [
        {"role": "system", "content": "You help {{shop}} {{count}}."}, {"type": "placeholder", "name": "history"}],
        "variables": [{"name": "count", "type": "number", "required": true}]});
    node.publish_content("chat", &content, &["production"]);
    let render = |body: Value| node.change("POST", "/v1/render/chat@production", &body);
    let given = json!({"variables": {"count": "three", "shopp": "Globe"}, "messages": {"histroy": []}, "strict": true});
    let wrong = render(given);
    let _detail = wrong.problem(422, "invalid_variables");
    let errors = wrong.json()["errors"].clone();
    for name in ["`shop`", "`shopp`", "`count`", "`history`", "`histroy`"] {
        let found = errors
            .as_array()
            .expect("errors")
            .iter()
            .filter(|error| error.as_str().is_some_and(|error| error.contains(name)));
        assert_eq!(found.count(), 1, "{name}: {errors}");
    }
    let history = json!([{"role": "user", "content": "Hi {{shop}}"}]);
    let right =
        render(json!({"variables": {"count": 3, "shop": "Globe {{count}}"}, "messages": {"history": history}})).ok();
    assert_eq!(
        right["messages"],
        json!([
        {"role": "system", "content": "You help Globe {{count}} 3."}, {"role": "user", "content": "Hi {{shop}}"}]),
        "values are no templates"
    );
    assert_eq!((&right["version"], &right["label"]), (&json!(1), &json!("production")));
}

#[test]
fn every_query_is_understood_or_refused() {
    let node = Node::primary();
    node.publish("a", "one");
    for (path, part) in [
        ("/v1/resolve/a?lable=x", "unknown query parameters: `lable`"),
        ("/v1/resolve/a?at=yesterday", "invalid_field: invalid query parameter `at`: invalid time `yesterday`"),
        ("/v1/resolve/a?subject=%ff", "not UTF-8"),
        ("/v1/prompts?limit=many", "invalid_field: invalid query parameter `limit`: `many`"),
        ("/v1/prompts/a/diff?from=1", "`to`: it is missing"),
        ("/v1/status?x=1", "this path accepts none"),
        ("/readyz?max_age=soon", "`max_age`: `soon`"),
    ] {
        let problem = node.get(path).json();
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let detail = format!("{}: {}", text("code"), text("detail"));
        assert!(detail.contains(part), "{path}: {detail}");
    }
    assert!(node.get("/v1/prompts?limit=1001").problem(400, "bad_request").contains("1 to 1000"));
    let answer = node.change("POST", "/v1/resolve/a", &json!({}));
    assert!(answer.problem(405, "method_not_allowed").contains("POST is not allowed"));
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{}", answer.head);
}

#[test]
fn lists_are_paged_without_loss_or_repetition() {
    let node = Node::primary();
    for number in 0..7 {
        node.publish(&format!("p/{number}"), &format!("text {number}"));
    }
    node.publish("q", "elsewhere");
    let (mut names, mut cursor) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = node.get(&format!("/v1/prompts?prefix=p/&limit=3{cursor}")).ok();
        names.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|item| item["name"].as_str().expect("a name").to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={}", segment(next));
    }
    assert_eq!(names, (0..7).map(|number| format!("p/{number}")).collect::<Vec<_>>());
}

#[test]
fn unix_socket_answers_like_the_port_and_is_removed_on_stop() {
    let launch = Launch::primary();
    let socket = launch.data.with_file_name("socket");
    let mut node = launch.args(["--socket".into(), socket.clone().into_os_string()]).start();
    node.publish("a", "by socket");
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        Answer::ask(UnixStream::connect(&socket).expect("a socket"), request.as_bytes()).expect("an answer")
    };
    assert_eq!(ask("/v1/resolve/a").ok()["content"]["text"], "by socket");
    assert_eq!(ask("/v1/status").ok()["role"], "primary");
    let unsigned = "DELETE /v1/prompts/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let refused = Answer::ask(UnixStream::connect(&socket).expect("a socket"), unsigned.as_bytes()).expect("an answer");
    let _detail = refused.problem(401, "unauthorized");
    let server = format!("unix:{}", socket.display());
    let get = || crate::support::command::bookholder(["get", "a", "--server", &server]);
    assert_eq!(get().ok().stdout, "by socket");
    // What a killed process leaves behind is taken over.
    node.kill9();
    assert!(socket.exists());
    node.restart();
    assert_eq!(get().ok().stdout, "by socket");
    node.stop();
    assert!(!socket.exists());
    let _said = get().fails(3).says("cannot reach");
}
