//! The OpenAPI document is accurate: every operation is called once, with the document's examples if it has some, and
//! every answer is checked against it ([`crate::support::contract`]), as in all other tests.

use std::collections::BTreeSet;

use bookholder::crypto::key::SigningKey;
use bookholder::telemetry::store::Batch;
use bookholder_evaluation::provider::testing::TestServer;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::contract;
use crate::support::node::{Launch, Node};
use crate::support::wire::frame;

/// Sends the example of the document.
const EXAMPLE: &str = "example";

/// What is asked one after the other: method, path, body. `{CONTENT}` is a content id, `{SEQ}` the test of a webhook.
#[rustfmt::skip]
const STORY: &[(&str, &str, &str)] = &[
    ("POST",   "/v1/prompts/support%2Fagent/versions", r#"{"content":{"syntax":"mustache","text":"Hello."},"message":"First","labels":["production"]}"#),
    ("POST",   "/v1/prompts/support%2Fagent/versions", EXAMPLE),
    ("POST",   "/v1/prompts/support%2Ftone/versions", r#"{"content":{"syntax":"mustache","messages":[{"role":"system","content":"Be kind."},{"type":"placeholder","name":"history"}]},"message":"Tone"}"#),
    ("GET",    "/v1/prompts", ""),
    ("GET",    "/v1/prompts/support%2Fagent", ""),
    ("GET",    "/v1/prompts/support%2Fagent/versions", ""),
    ("GET",    "/v1/prompts/support%2Fagent/versions/1", ""),
    ("GET",    "/v1/prompts/support%2Fagent/versions/1/findings", ""),
    ("GET",    "/v1/prompts/support%2Fagent/diff?from=1&to=2", ""),
    ("GET",    "/v1/prompts/support%2Fagent/labels", ""),
    ("GET",    "/v1/prompts/support%2Fagent/labels/production", ""),
    ("PUT",    "/v1/prompts/support%2Fagent/about", EXAMPLE),
    ("GET",    "/v1/prompts/support%2Fagent/about", ""),
    ("GET",    "/v1/resolve/support/agent", ""),
    ("GET",    "/v1/resolve?pattern=support/**&subject=user-17", ""),
    ("POST",   "/v1/resolve", r#"{"references":["support/agent","support/tone@1","support/none"],"subject":"user-17"}"#),
    ("POST",   "/v1/render/support/agent@staging", EXAMPLE),
    ("GET",    "/v1/contents/{CONTENT}", ""),
    ("POST",   "/v1/deployments", r#"{"moves":[{"name":"support/agent","label":"production","serving":{"split":{"weights":{"1":90,"2":10}}}}],"message":"A tenth","allow_major":true}"#),
    ("GET",    "/v1/deployments", ""),
    ("GET",    "/v1/promotions?pattern=support/**&from=latest&to=trial", ""),
    ("POST",   "/v1/promotions", r#"{"pattern":"support/tone","from":"latest","to":"trial","message":"Try it"}"#),
    ("POST",   "/v1/prompts/support%2Fagent/labels/production/rollback", EXAMPLE),
    ("DELETE", "/v1/prompts/support%2Fagent/labels/staging", EXAMPLE),
    ("POST",   "/v1/prompts/support%2Fagent/versions/2/retirement", EXAMPLE),
    ("DELETE", "/v1/prompts/support%2Fagent/versions/2/retirement", EXAMPLE),
    ("POST",   "/v1/import", r#"{"label":"staging","changes":[{"id":"c1","at":"2026-03-20T15:00:00Z","author":"ada","message":"First text","name":"support/old","text":"Hello."}]}"#),
    // Drafts.
    ("PUT",    "/v1/prompts/support%2Fagent/drafts/d", r#"{"content":{"syntax":"mustache","text":"Hello {{customer}}!"},"expected_revision":0}"#),
    ("PUT",    "/v1/prompts/support%2Fagent/drafts/d", r#"{"content":{"syntax":"mustache","text":"Hi {{customer}}!"}}"#),
    ("GET",    "/v1/prompts/support%2Fagent/drafts", ""),
    ("GET",    "/v1/prompts/support%2Fagent/drafts/d", ""),
    ("GET",    "/v1/prompts/support%2Fagent/drafts/d/saves", ""),
    ("GET",    "/v1/prompts/support%2Fagent/drafts/d/saves/1", ""),
    ("GET",    "/v1/prompts/support%2Fagent/drafts/d/merge", ""),
    ("POST",   "/v1/prompts/support%2Fagent/drafts/d/publication", EXAMPLE),
    ("PUT",    "/v1/prompts/support%2Fagent/drafts/e", r#"{"content":{"syntax":"plain","text":"x"}}"#),
    ("DELETE", "/v1/prompts/support%2Fagent/drafts/e", ""),
    // Governing.
    ("GET",    "/v1/whoami", ""),
    ("PUT",    "/v1/roles/nurse", EXAMPLE),
    ("GET",    "/v1/roles", ""),
    ("POST",   "/v1/principals", EXAMPLE),
    ("PUT",    "/v1/principals/ada/grants", EXAMPLE),
    ("POST",   "/v1/principals/ada/suspension", ""),
    ("DELETE", "/v1/principals/ada/suspension", ""),
    ("POST",   "/v1/principals/ada/sign-in-link", EXAMPLE),
    ("GET",    "/v1/principals", ""),
    ("GET",    "/v1/can?who=ada&permission=deploy&prompt=support/agent&label=staging", ""),
    ("POST",   "/v1/tokens", EXAMPLE),
    ("POST",   "/v1/tokens/replica-plant-7/rotation", EXAMPLE),
    ("GET",    "/v1/tokens", ""),
    ("DELETE", "/v1/tokens/replica-plant-7", ""),
    ("DELETE", "/v1/roles/nurse", ""),
    ("PUT",    "/v1/rules/house", EXAMPLE),
    ("GET",    "/v1/rules", ""),
    ("GET",    "/v1/rules/house", ""),
    ("POST",   "/v1/classify", EXAMPLE),
    ("DELETE", "/v1/rules/house", ""),
    ("PUT",    "/v1/policies/production", EXAMPLE),
    ("GET",    "/v1/policies", ""),
    ("POST",   "/v1/requests", r#"{"message":"Greet by name","publish":{"name":"support/agent","content":{"syntax":"mustache","text":"Good day, {{customer}}."},"labels":["production"]}}"#),
    ("POST",   "/v1/requests/1/amendments", r#"{"message":"Version 2 instead","moves":[{"name":"support/agent","label":"production","serving":{"rules":[{"when":{"locale":"de-*"},"version":2}],"version":1}}]}"#),
    ("POST",   "/v1/requests/1/reviews", r#"{"kind":"comment","message":"Does not mention loans"}"#),
    ("GET",    "/v1/requests", ""),
    ("GET",    "/v1/requests/1", ""),
    ("DELETE", "/v1/policies/production", ""),
    ("POST",   "/v1/requests/1/application", r#"{"message":"No other reviewer is available","allow_major":true}"#),
    ("POST",   "/v1/archive", EXAMPLE),
    // Webhooks.
    ("PUT",    "/v1/webhooks/bot", r#"{"url":"https://127.0.0.1:1/bookholder","events":["*"]}"#),
    ("PUT",    "/v1/webhooks/bot", r#"{"url":"https://127.0.0.1:1/books","format":"slack"}"#),
    ("POST",   "/v1/webhooks/bot/suspension", EXAMPLE),
    ("DELETE", "/v1/webhooks/bot/suspension", ""),
    ("GET",    "/v1/webhooks", ""),
    ("POST",   "/v1/webhooks/bot/rotation", EXAMPLE),
    ("POST",   "/v1/webhooks/bot/test", ""),
    ("GET",    "/v1/webhooks/bot/deliveries", ""),
    ("POST",   "/v1/webhooks/bot/deliveries/2/redelivery", ""),
    ("DELETE", "/v1/webhooks/bot", ""),
    // Alerts.
    ("PUT",    "/v1/alerts/support-spend", EXAMPLE),
    ("PUT",    "/v1/alerts/support-spend", r#"{"metric":"latency_p95","threshold":3000,"prompts":"support/agent","per_s":3600,"min_calls":5}"#),
    ("GET",    "/v1/alerts", ""),
    ("DELETE", "/v1/alerts/support-spend", ""),
    // Evaluations.
    ("PUT",    "/v1/suites/regress", EXAMPLE),
    ("PUT",    "/v1/suites/regress", r#"{"suite":{"models":["local:hangs"],"scorers":[{"type":"equals","metric":"accuracy"}],"gate":{"pass_rate":0.9,"margin":0.1},"cases":[{"name":"greeting","expected":"Hello.","tags":["short"]}]},"message":"One case"}"#),
    ("GET",    "/v1/suites", ""),
    ("GET",    "/v1/suites/regress", ""),
    ("GET",    "/v1/suites/regress/versions", ""),
    ("POST",   "/v1/runs", r#"{"prompt":"support/agent","at":"@1","suite":"regress"}"#),
    ("POST",   "/v1/runs/1/cancellation", ""),
    ("POST",   "/v1/runs", r#"{"prompt":"support/agent","at":"@1","suite":"regress","models":["local:echo"],"against":"@2"}"#),
    ("POST",   "/v1/runs/import", r#"{"prompt":"support/agent","at":"@1","suite":"regress","tool":"promptfoo","results":[{"case":"greeting","model":"local:hangs","repeat":0,"verdict":"passed","score":1,"answer":{"text":"Hello.","model":"hangs-1","latency_ms":8,"usage":{"input_tokens":3}},"scorers":[{"scorer":"equals","weight":1,"verdict":"passed","score":1,"reason":"it is equal"},{"scorer":"llm-rubric","weight":1,"verdict":"passed","score":1,"reason":"it is kind"}]}]}"#),
    ("PUT",    "/v1/runs/3/results/0/label", EXAMPLE),
    ("PUT",    "/v1/runs/3/results/0/label", r#"{"passed":true,"scorer":1}"#),
    ("GET",    "/v1/suites/regress/calibration", ""),
    ("GET",    "/v1/runs", ""),
    ("GET",    "/v1/runs/3", ""),
    ("GET",    "/v1/runs/3/results", ""),
    ("GET",    "/v1/prompts/support%2Fagent/versions/1/gates", ""),
    ("GET",    "/v1/providers", ""),
    ("DELETE", "/v1/suites/regress", ""),
    // Prices.
    ("GET",    "/v1/prices", ""),
    ("PUT",    "/v1/prices/overrides", EXAMPLE),
    ("GET",    "/v1/prices/overrides", ""),
    ("GET",    "/v1/prices?model=our-model", ""),
    ("POST",   "/v1/prices/recost", r#"{"dry_run":true}"#),
    ("POST",   "/v1/prices/recost", EXAMPLE),
    ("DELETE", "/v1/prices/overrides", ""),
    // Operating.
    ("GET",    "/v1/status", ""),
    ("GET",    "/v1/audit", ""),
    ("GET",    "/v1/audit/verify", ""),
    ("GET",    "/v1/report?from=2026-01-01T00:00:00Z", ""),
    ("GET",    "/v1/backup", ""),
    ("POST",   "/v1/bundle", ""),
    ("GET",    "/healthz", ""),
    ("GET",    "/readyz", ""),
    ("GET",    "/metrics", ""),
    ("GET",    "/openapi.json", ""),
    ("GET",    "/docs", ""),
    ("GET",    "/docs/style.css", ""),
    ("GET",    "/", ""),
    // Following.
    ("GET",    "/replication/v1/root/1", ""),
    ("GET",    "/replication/v1/epoch/1", ""),
    ("GET",    "/replication/v1/view/all/checkpoint", ""),
    ("POST",   "/replication/v1/view/all/checkpoint", "{CHECKPOINT}"),
    ("GET",    "/replication/v1/view/all/next/0.0", ""),
    ("POST",   "/v1/responses", EXAMPLE),
    ("POST",   "/v1/scores", EXAMPLE),
    ("GET",    "/v1/stats?since=30d&limit=10", ""),
    ("GET",    "/v1/prompts/support%2Fagent/stats?by=model&since=24h", ""),
    ("POST",   "/v1/traces", r#"{"resourceSpans":[]}"#),
    ("POST",   "/otlp/v1/logs", r#"{"resourceLogs":[]}"#),
    ("POST",   "/v1/metrics", r#"{"resourceMetrics":[]}"#),
    ("GET",    "/v1/responses/chatcmpl-9x", ""),
    ("POST",   "/v1/responses", r#"{"responses":[{"id":"r-3","model":"gpt-5","input":[{"role":"system","content":"Nobody published this text."}]}]}"#),
    ("GET",    "/v1/observed?limit=10", ""),
    ("GET",    "/v1/observed/{OBSERVED}", ""),
    ("POST",   "/v1/observed/{OBSERVED}/adopt", EXAMPLE),
    ("POST",   "/v1/responses", r#"{"responses":[{"id":"r-2","session":"chat-1","prompt":"support/tone","model":"gpt-5","input_tokens":9,"output_tokens":1}]}"#),
    ("GET",    "/v1/sessions/chat-1", ""),
    ("POST",   "/replication/v1/telemetry?spool=000102030405060708090a0b0c0d0e0f.0123456789abcdef&first=1&number=1", "{BATCH}"),
    ("PUT",    "/v1/telemetry/keys/000102030405060708090a0b0c0d0e0f", EXAMPLE),
    ("GET",    "/v1/telemetry/spools/000102030405060708090a0b0c0d0e0f", ""),
    ("POST",   "/v1/telemetry/batches?spool=000102030405060708090a0b0c0d0e0f.0123456789abcdef&number=1&replica=plant-7&signature={SIGNATURE}", "{BATCH}"),
    ("DELETE", "/v1/telemetry/replicas/plant-7", ""),
    ("POST",   "/v1/telemetry/erasures", EXAMPLE),
    ("GET",    "/v1/telemetry/export", ""),
    ("POST",   "/replication/v1/report", r#"{"replica":"plant-7","position":"1.2","freshness":"fresh","version":"0.1.0"}"#),
    ("DELETE", "/v1/prompts/support%2Ftone", EXAMPLE),
];

/// The body that the document shows for an operation.
fn example(document: &Value, id: &str) -> String {
    let items = document["paths"].as_object().expect("paths").values();
    let mut operations = items.flat_map(|item| item.as_object().expect("operations").values());
    let operation = operations.find(|operation| operation["operationId"] == id).expect("an operation");
    let example = &operation["requestBody"]["content"]["application/json"]["example"];
    assert!(example.is_object(), "{id} has no example");
    example.to_string()
}

#[test]
fn every_operation_matches_the_openapi_document() {
    let models = TestServer::start();
    let launch = Launch::primary().args(["--webhook-allow", "127.0.0.0/8", "--record-content"]);
    let file = launch.data.with_file_name("bookholder.toml");
    let providers = format!("[providers.local]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n", models.url());
    std::fs::write(&file, providers).expect("written");
    let node = launch.args(["--config".into(), file.into_os_string()]).start();
    let document = node.get("/openapi.json").ok();
    let mut done = BTreeSet::from(["stream_events"]);
    let batch = Batch { at_ms: 0, events: Vec::new() }.encode().expect("bytes");
    let signature = signature_of(&batch);
    for (method, path, body) in STORY {
        let id = contract::operation(method, path.split('?').next().unwrap_or(path)).expect("an operation");
        let content =
            || node.get("/v1/prompts/support%2Fagent/versions/1").ok()["content_id"].as_str().map(str::to_owned);
        let path = if path.contains("{OBSERVED}") {
            let observed = node.send("GET", "/v1/observed", &[], b"").ok();
            path.replace("{OBSERVED}", observed["prompts"][0]["id"].as_str().expect("an observed prompt"))
        } else if path.contains("{CONTENT}") {
            path.replace("{CONTENT}", &content().expect("a content id"))
        } else {
            (*path).to_owned()
        };
        let path = path.replace("{SIGNATURE}", &signature);
        let (body, kind) = match *body {
            EXAMPLE => (example(&document, id).into_bytes(), "application/json"),
            "{CHECKPOINT}" => {
                let note = |path: &str| node.get(path).body;
                let (checkpoint, epoch) =
                    (note("/replication/v1/view/all/checkpoint"), note("/replication/v1/epoch/1"));
                (frame(&checkpoint, &frame(&epoch, b"")), "application/octet-stream")
            }
            "{BATCH}" => (batch.clone(), "application/octet-stream"),
            body => (body.as_bytes().to_vec(), "application/json"),
        };
        let kind = if body.is_empty() { "" } else { kind };
        let anonymous = node.send(method, &path, &[("authorization", ""), ("content-type", kind)], &body);
        assert_eq!(anonymous.status == 401, !contract::is_open(id), "{id} without an access token: {}", anonymous.head);
        let answer = node.send(method, &path, &[("content-type", kind)], &body);
        assert!((200..400).contains(&answer.status), "{method} {path}: {}{}", answer.head, answer.text());
        done.insert(id);
        if let Some(etag) = answer.header("etag").filter(|_| *method == "GET") {
            let unchanged = node.send("GET", &path, &[("if-none-match", etag)], b"");
            assert_eq!(unchanged.status, 304, "{path}");
            assert_eq!(unchanged.header("vary"), answer.header("vary"), "caches file both under the same key: {path}");
        }
    }
    let all: BTreeSet<&str> = contract::operations().collect();
    let missing: Vec<_> = all.difference(&done).collect();
    assert!(missing.is_empty(), "the story does not do {missing:?}");
}

/// The signature of batch 1 of a spool, by the key of the example of the document.
fn signature_of(batch: &[u8]) -> String {
    let mut signed = b"bookholder telemetry batch v1\n".to_vec();
    signed.extend(0..16);
    signed.extend([1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    signed.extend(1_u64.to_be_bytes());
    signed.extend(blake3::hash(b"plant-7").as_bytes());
    signed.extend(blake3::hash(batch).as_bytes());
    SigningKey::from_seed([7; 32]).sign(&signed).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer as a node might give it.
fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Answer { status, head: format!("HTTP/1.1 {status} X\r\n{lines}\r\n"), body: body.into() }
}

#[test]
fn undocumented_answer_is_detected() {
    let node = Node::primary();
    node.publish("a", "text");
    let labels = node.get("/v1/prompts/a/labels");
    let problem = node.get("/v1/prompts/none/labels");
    let (good, bad) = (labels.text(), problem.text());
    let id = labels.header("bookholder-request").expect("an id");
    let etag = labels.header("etag").expect("a tag");
    let json = [("content-type", "application/json"), ("bookholder-request", id), ("etag", etag)];
    let refused = [("content-type", "application/problem+json"), ("bookholder-request", id)];
    let more = [json[0], json[1], json[2], ("bookholder-mood", "calm")];
    let get = "GET /v1/prompts/a/labels HTTP/1.1\r\n\r\n";
    let check = |request: &str, answer: &Answer| contract::fault(request.as_bytes(), answer);

    assert_eq!(check(get, &answer(200, &json, &good)), None);
    assert_eq!(check(get, &answer(404, &refused, &bad)), None);
    assert_eq!(check("GET /v1/nothing HTTP/1.1\r\n\r\n", &answer(404, &refused, &bad)), None);
    for (what, request, answer, part) in [
        ("status", get, answer(201, &json, &good), "answers 201"),
        ("content type", get, answer(200, &[("content-type", "text/plain"), json[1], json[2]], &good), "text/plain"),
        ("no header", get, answer(200, &json[..2], &good), "the header etag is missing"),
        ("another header", get, answer(200, &more, &good), "bookholder-mood"),
        ("another form", get, answer(200, &json, "{}"), "array"),
        ("missing field", get, answer(200, &json, &good.replace("\"label\"", "\"lable\"")), "label"),
        ("another field", get, answer(200, &json, &good.replacen('{', "{\"mood\":1,", 1)), "mood"),
        ("no time", get, answer(200, &json, &good.replace("\"since\":\"", "\"since\":\"yesterday ")), "date-time"),
        ("another code", get, answer(404, &refused, &bad.replace("prompt_not_found", "content_not_found")), "the code"),
        ("unknown code", get, answer(404, &refused, &bad.replace("prompt_not_found", "lost")), "code"),
        ("open", "GET /v1/tokens HTTP/1.1\r\n\r\n", answer(200, &json[..2], "[]"), "without an access token"),
        ("no route", "GET /v1/nothing HTTP/1.1\r\n\r\n", answer(200, &json, "{}"), "no such operation"),
    ] {
        let fault = check(request, &answer).unwrap_or_else(|| panic!("{what} passes"));
        assert!(fault.contains(part), "{what}: {fault}");
    }
}

#[test]
fn paths_match_operations_as_in_the_router() {
    for (method, path, expected) in [
        ("GET", "/v1/prompts/a/b", Some("get_prompt")),
        ("GET", "/v1/prompts/a/b/versions/3", Some("get_version")),
        ("GET", "/v1/prompts/a%2Fversions", Some("get_prompt")),
        ("GET", "/v1/resolve/a/b@production", Some("resolve")),
        ("HEAD", "/v1/status", Some("get_status")),
        ("GET", "/", Some("get_home")),
        ("PATCH", "/v1/status", None),
        ("GET", "/v1/resolve/", None),
    ] {
        assert_eq!(contract::operation(method, path), expected, "{method} {path}");
    }
}
