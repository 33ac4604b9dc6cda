//! Calls over real sockets, to a server that answers by rule: both APIs, and everything that can go wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::http::Timeouts;
use super::testing::TestServer;
use super::*;

const KEY: &str = "sk-test-0123456789";
const KINDS: [ProviderKind; 2] = [ProviderKind::Openai, ProviderKind::Anthropic];

/// Providers that ask a server, and the pauses that they would have made.
struct Fixture {
    server: TestServer,
    providers: Providers,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

fn settings(server: &TestServer, kind: ProviderKind) -> ProviderSettings {
    let name = format!("{kind:?}").to_lowercase();
    ProviderSettings { key_env: Some("TEST_KEY".to_owned()), ..server.settings(&name, kind) }
}

/// Time limits that only what hangs reaches.
const LONG: Timeouts = Timeouts { total: Duration::from_secs(60), idle: Duration::from_secs(60) };

fn fixture(timeouts: Timeouts) -> Fixture {
    let server = TestServer::start();
    let settings = KINDS.map(|kind| settings(&server, kind)).to_vec();
    let pauses = Arc::<Mutex<Vec<Duration>>>::default();
    let noted = Arc::clone(&pauses);
    let sleep: providers::Sleep = Arc::new(move |pause| {
        noted.lock().expect("a lock").push(pause);
        Box::pin(std::future::ready(()))
    });
    let read = |name: &str| (name == "TEST_KEY").then(|| KEY.to_owned());
    let providers = Providers::new(settings, read).expect("providers").with_times(timeouts, sleep);
    Fixture { server, providers, pauses }
}

fn model(kind: ProviderKind, name: &str) -> ModelName {
    format!("{kind:?}:{name}").to_lowercase().parse().expect("a model")
}

fn says(text: &str) -> ChatRequest {
    ChatRequest { messages: vec![json!({ "role": "user", "content": text })], ..ChatRequest::default() }
}

impl Fixture {
    async fn ask(&self, kind: ProviderKind, name: &str) -> Result<Answer, CallError> {
        self.providers.chat(&model(kind, name), &says("hello there, model"), "key-1").await
    }

    /// The error of a model, which never has the key.
    async fn error(&self, kind: ProviderKind, name: &str) -> String {
        let error = self.ask(kind, name).await.expect_err(name);
        let text = error.to_string();
        assert!(!format!("{error:?} {text}").contains("0123456789"), "{text}");
        assert!(text.starts_with(&format!("{kind:?}").to_lowercase()), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
        text
    }

    fn pauses(&self) -> Vec<u64> {
        let pauses = self.pauses.lock().expect("a lock");
        pauses.iter().map(|pause| u64::try_from(pause.as_millis()).expect("short")).collect()
    }
}

#[tokio::test]
async fn both_apis_answer_in_parts_with_usage_and_the_snapshot() {
    let fixture = fixture(LONG);
    for kind in KINDS {
        let mut parts = Vec::new();
        let asked = model(kind, "upper");
        let streamed =
            fixture.providers.chat_stream(&asked, &says("one two"), "k", |part| parts.push(part.to_owned())).await;
        let answer = streamed.expect("an answer");
        assert_eq!((answer.text.as_str(), parts), ("ONE TWO", vec!["ONE ".to_owned(), "TWO".to_owned()]));
        assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
        assert_eq!(answer.model.as_deref(), Some("upper-2026-11-01"));
        assert!(answer.first_token_ms.is_some_and(|first| first <= answer.latency_ms));
        assert!(!answer.cached && !answer.refused);
        let usage = answer.usage;
        assert_eq!((usage.output_tokens, usage.cache_read_tokens, usage.cost), (Some(2), Some(2), None));
        let whole = fixture.ask(kind, "whole").await.expect("an answer");
        assert_eq!((whole.text.as_str(), whole.first_token_ms), ("hello there, model", None));
        match kind {
            ProviderKind::Openai => assert_eq!(usage.reasoning_tokens, Some(1)),
            // What is cached is a part of what is read.
            ProviderKind::Anthropic => {
                assert_eq!(usage.cache_write_tokens, Some(3));
                assert_eq!(usage.input_tokens, whole.usage.input_tokens.map(|_| 10 + 5));
            }
        }
    }
}

#[tokio::test]
async fn key_version_and_idempotency_key_are_sent_as_each_api_wants_them() {
    let fixture = fixture(LONG);
    for kind in KINDS {
        fixture.ask(kind, "echo").await.expect("an answer");
    }
    let asked = fixture.server.asked();
    let header = |place: usize, name: &str| asked[place].headers.get(name).map(String::as_str);
    assert_eq!(asked[0].path, "/v1/chat/completions");
    assert_eq!(header(0, "authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((header(0, "x-api-key"), header(0, "idempotency-key")), (None, Some("key-1")));
    assert_eq!(asked[0].body["stream_options"], json!({ "include_usage": true }));
    assert_eq!(asked[1].path, "/v1/messages");
    assert_eq!((header(1, "x-api-key"), header(1, "authorization")), (Some(KEY), None));
    assert_eq!((header(1, "anthropic-version"), header(1, "idempotency-key")), (Some("2023-06-01"), Some("key-1")));
    assert_eq!(asked[1].body["max_tokens"], 4096);
    assert!(!format!("{:?}", fixture.providers).contains("0123456789"));
    assert_eq!(
        fixture.providers.endpoint(&model(ProviderKind::Openai, "x")),
        format!("Openai {}/v1", fixture.server.url())
    );
}

#[tokio::test]
async fn tool_calls_and_refusals_have_the_same_shape_from_both() {
    let fixture = fixture(LONG);
    for kind in KINDS {
        let tool = json!({ "type": "function", "function": { "name": "weather", "parameters": { "type": "object" } } });
        let request = ChatRequest { tools: vec![tool], ..says("Paris") };
        let answer = fixture.providers.chat(&model(kind, "tool"), &request, "k").await.expect("an answer");
        let function = json!({ "name": "weather", "arguments": r#"{"city":"Paris"}"# });
        assert_eq!(answer.tool_calls, [json!({ "id": "call_1", "type": "function", "function": function })]);
        assert_eq!((answer.finish_reason.as_deref(), answer.text.as_str()), (Some("tool_calls"), ""));
        let refused = fixture.ask(kind, "refuses").await.expect("an answer");
        assert!(refused.refused, "{kind:?}");
    }
}

#[tokio::test]
async fn temporary_failures_are_tried_again_and_what_the_provider_asks_is_waited_for() {
    for kind in KINDS {
        let fixture = fixture(LONG);
        assert_eq!(fixture.ask(kind, "fails-429-then-ok").await.expect("an answer").text, "hello there, model");
        assert_eq!(fixture.ask(kind, "waits-7").await.expect("an answer").text, "hello there, model");
        assert_eq!(fixture.pauses(), [1, 7_000]);
        assert_eq!(fixture.server.paid().get("key-1"), Some(&2), "once for each model");
        assert_eq!(fixture.ask(kind, "overloaded").await.expect("an answer").text, "hello there, model");
        let error = fixture.error(kind, "fails-503").await;
        assert!(error.ends_with("answered 503 Service Unavailable: as asked: 503 (after 4 tries)"), "{error}");
        assert_eq!(fixture.pauses().len(), 2 + 1 + 3);
        assert!(fixture.error(kind, "waits-3600").await.ends_with("slow down (it asks to wait for 3600 s)"));
    }
}

#[tokio::test]
async fn lasting_failures_are_not_tried_again_and_say_why() {
    let long = fixture(LONG);
    for kind in KINDS {
        for (name, expected) in [
            ("fails-400", "answered 400 Bad Request: as asked: 400"),
            ("fails-401", "answered 401 Unauthorized: as asked: 401"),
            ("fails-403", "answered 403 Forbidden: as asked: 403"),
            ("fails-404", "answered 404 Not Found: as asked: 404"),
            ("no-money", "answered 429 Too Many Requests: You exceeded your quota"),
            ("shows-key", "answered 401 Unauthorized: the key "),
            ("overloaded-late", "answered 529: Overloaded"),
            ("html", ": the answer is not JSON; it begins with: <!doctype html>\\n<title>Sign in\\u{7}</title>"),
            ("nonsense", ": the answer is not JSON; it begins with: {\"choices\": ["),
            ("empty", ": the answer is empty"),
            ("redirects", "answered 307 Temporary Redirect; redirects are not followed"),
            ("cut", ": the connection was closed in the middle of the answer"),
            ("endless", ": the text of the answer is longer than 1 MiB"),
            ("huge", ": the answer is longer than 8 MiB"),
        ] {
            let before = long.server.asked().len();
            let error = long.error(kind, name).await;
            assert!(error.contains(expected), "{name}: {error}");
            assert_eq!(long.server.asked().len(), before + 1, "{name}");
        }
    }
    assert_eq!(long.pauses(), [0; 0]);
    let refused = long.ask(ProviderKind::Openai, "fails-404").await.expect_err("refused");
    assert!(matches!(refused, CallError::Refused { status: 404, .. }));
    for (name, may_cost) in [("fails-503", false), ("html", true), ("cut", true), ("overloaded-late", true)] {
        let error = long.ask(ProviderKind::Openai, name).await.expect_err(name);
        assert_eq!(error.may_cost(), may_cost, "{name}: {error}");
    }
}

#[tokio::test]
async fn endpoint_that_hangs_ends_at_the_time_limit() {
    let short = fixture(Timeouts { total: Duration::from_millis(100), ..LONG });
    let idle = fixture(Timeouts { idle: Duration::from_millis(50), ..LONG });
    for kind in KINDS {
        assert!(short.error(kind, "hangs").await.ends_with("no complete answer within 0.1 s"));
        assert!(short.error(kind, "hangs-late").await.ends_with("no complete answer within 0.1 s"));
        assert!(idle.error(kind, "hangs-late").await.ends_with("the answer stopped for 0.05 s"));
    }
    assert_eq!(short.server.asked().len(), 4, "nothing that may have been paid for is tried again");
}

#[tokio::test]
async fn control_characters_of_an_answer_stay_in_its_text() {
    let fixture = fixture(LONG);
    for kind in KINDS {
        let answer = fixture.ask(kind, "control").await.expect("an answer");
        assert_eq!(answer.text, "a\u{0}b\u{1b}[31mc\r\nd\u{202e}e");
    }
}

#[tokio::test]
async fn connection_that_closes_before_an_answer_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let serve = async {
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let _read = socket.read(&mut buffer).await;
        }
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let _read = socket.read(&mut buffer).await;
        // Without `[DONE]`, an empty line at the end or a length: the reason says that the answer is whole.
        let body = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"length\"}]}\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        socket.write_all(format!("{head}{body}").as_bytes()).await.expect("an answer");
    };
    let base = fixture(LONG);
    let settings = ProviderSettings { base_url: url, ..base.server.settings("local", ProviderKind::Openai) };
    let sleep: providers::Sleep = Arc::new(|_| Box::pin(std::future::ready(())));
    let providers = Providers::new(vec![settings], |_| None).expect("providers").with_times(LONG, sleep);
    let local: ModelName = "local:tiny".parse().expect("a model");
    let request = says("hi");
    let (answer, ()) = tokio::join!(providers.chat(&local, &request, "k"), serve);
    let answer = answer.expect("an answer");
    assert_eq!((answer.text.as_str(), answer.finish_reason.as_deref()), ("hi", Some("length")));
    drop(listener);
    let error = providers.chat(&local, &request, "k").await.expect_err("closed");
    assert!(matches!(error, CallError::Unpaid(_)), "{error:?}");
    let error = error.to_string();
    assert!(error.starts_with("local: cannot connect: ") && error.ends_with("(after 4 tries)"), "{error}");
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_the_texts() {
    let fixture = fixture(LONG);
    let texts = ["aab".to_owned(), "zz".to_owned()];
    let asked = model(ProviderKind::Openai, "embed");
    let found = fixture.providers.embed(&asked, &texts).await.expect("embeddings");
    assert_eq!((found.vectors[0][0], found.vectors[0][1], found.vectors[1][25]), (2.0, 1.0, 2.0));
    assert_eq!((found.usage.input_tokens, found.model.as_deref()), (Some(3), Some("embed")));
    let error = fixture.providers.embed(&model(ProviderKind::Anthropic, "embed"), &texts).await.expect_err("none");
    assert!(error.to_string().contains("has no embeddings"));
    assert!(fixture.providers.embed(&asked, &[]).await.is_err());
}

#[tokio::test]
async fn endpoint_that_scores_is_asked_only_where_the_operator_allows_it() {
    let fixture = fixture(LONG);
    let url = format!("{}/score?token=secret", fixture.server.url());
    let body = json!({ "output": "a", "expected": "b" });
    let refused = fixture.providers.post(&url, &body).await.expect_err("loopback").to_string();
    assert!(refused.contains("webhook_allow") && !refused.contains("secret"), "{refused}");
    for url in ["http://example.com/", "file:///etc/passwd", "https://user:pass@example.com/", "https://[::1]/", "x"] {
        assert!(fixture.providers.post(url, &body).await.is_err(), "{url}");
    }
    assert_eq!(fixture.server.asked().len(), 0);
    let networks = vec!["127.0.0.0/8".parse().expect("a network")];
    let providers = fixture.providers.with_scorer_networks(networks);
    let scored = providers.post(&url, &body).await.expect("an answer");
    assert_eq!(scored["pass"], false);
    assert!(!fixture.server.asked()[0].headers.contains_key("authorization"));
    let missing = providers.post(&url.replace("/score", "/other"), &body).await.expect_err("404").to_string();
    assert_eq!(missing, "127.0.0.1 answered 404 Not Found: no such path");
}

#[tokio::test]
async fn unknown_provider_and_a_name_twice_are_refused() {
    let fixture = fixture(LONG);
    let model: ModelName = "other:x".parse().expect("a model");
    let error = fixture.providers.chat(&model, &says("hi"), "k").await.expect_err("unknown").to_string();
    assert_eq!(error, "unknown provider `other`; set are: anthropic, openai");
    assert_eq!(fixture.providers.endpoint(&model), "");
    let twice = vec![fixture.server.settings("a", KINDS[0]), fixture.server.settings("a", KINDS[1])];
    assert_eq!(Providers::new(twice, |_| None).expect_err("twice"), ProviderError::Twice("a".to_owned()));
}

#[tokio::test]
async fn provider_without_its_key_is_there_and_asked_nothing() {
    let server = TestServer::start();
    let with_key = |name: &str| ProviderSettings {
        key_env: Some("ABSENT_KEY".to_owned()),
        ..server.settings(name, ProviderKind::Openai)
    };
    let settings = vec![with_key("openai"), server.settings("local", ProviderKind::Openai)];
    let providers = Providers::new(settings, |_| None).expect("providers");
    assert_eq!((providers.missing_key("openai"), providers.missing_key("local")), (Some("ABSENT_KEY"), None));
    assert!(!providers.is_free("openai") && providers.is_free("local"));
    let error = providers.chat(&"openai:x".parse().expect("a model"), &says("hi"), "k").await.expect_err("no key");
    assert_eq!(error, CallError::Unpaid("openai: ABSENT_KEY with its key is not set".to_owned()));
    assert!(providers.chat(&"local:echo".parse().expect("a model"), &says("hi"), "k").await.is_ok());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn openai_body_has_the_parameters_tools_and_schema_of_the_version() {
    let schema = json!({
        "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false,
    });
    let request: ChatRequest = ChatRequest {
        messages: vec![
            json!({ "role": "model", "content": "hi" }),
            json!({ "role": "user", "content": [{ "type": "input_text", "text": "a" }, { "type": "input_image", "image_url": "https://x/y.png" }] }),
        ],
        parameters: json!({ "temperature": 0, "model": "other", "tool_choice": "required" })
            .as_object()
            .cloned()
            .expect("fields"),
        tools: vec![json!({ "name": "f", "description": "d", "input_schema": { "type": "object" } })],
        response_schema: Some(schema.clone()),
    };
    assert_eq!(
        openai::body("gpt", &request),
        json!({
            "temperature": 0, "model": "gpt", "tool_choice": "required",
            "messages": [
                { "role": "assistant", "content": "hi" },
                { "role": "user", "content": [
                    { "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "https://x/y.png" } },
                ] },
            ],
            "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" } } }],
            "response_format": {
                "type": "json_schema", "json_schema": { "name": "response", "schema": schema, "strict": true },
            },
            "stream": true, "stream_options": { "include_usage": true },
        })
    );
    let loose = ChatRequest { response_schema: Some(json!({ "type": "object" })), ..says("a") };
    assert_eq!(openai::body("gpt", &loose)["response_format"]["json_schema"].get("strict"), None);
    let mut own = says("a");
    own.parameters = json!({ "stream": false }).as_object().cloned().expect("fields");
    assert_eq!(openai::body("gpt", &own).get("stream_options"), None);
}

#[test]
fn anthropic_body_is_translated_from_the_shape_of_openai() {
    let call = json!({ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } });
    let request = ChatRequest {
        messages: vec![
            json!({ "role": "system", "content": "one" }),
            json!({ "role": "developer", "content": "two" }),
            json!({ "role": "user", "content": [
                { "type": "text", "text": "look" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                { "type": "image_url", "image_url": { "url": "https://x/y.png" } },
            ] }),
            json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
            json!({ "role": "tool", "tool_call_id": "c1", "content": "42" }),
            json!({ "role": "user", "content": "so?" }),
        ],
        parameters: json!({
            "max_completion_tokens": 50, "stop": "END", "temperature": 0.5, "parallel_tool_calls": false,
            "tool_choice": { "type": "function", "function": { "name": "f" } }, "stream_options": {},
        })
        .as_object()
        .cloned()
        .expect("fields"),
        tools: vec![
            json!({ "type": "function", "function": { "name": "f", "strict": true, "parameters": { "type": "object" } } }),
        ],
        response_schema: Some(json!({ "type": "object" })),
    };
    assert_eq!(
        anthropic::body("claude", &request),
        json!({
            "model": "claude", "max_tokens": 50, "stop_sequences": ["END"], "temperature": 0.5, "stream": true,
            "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
            "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } },
            "tools": [{ "name": "f", "input_schema": { "type": "object" } }],
            "system": "one\n\ntwo",
            "messages": [
                { "role": "user", "content": [
                    { "type": "text", "text": "look" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                    { "type": "image", "source": { "type": "url", "url": "https://x/y.png" } },
                ] },
                { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "f", "input": { "a": 1 } }] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c1", "content": "42" }, { "type": "text", "text": "so?" },
                ] },
            ],
        })
    );
    let word = |choice: Value| {
        let mut request = says("a");
        request.parameters.insert("tool_choice".to_owned(), choice);
        anthropic::body("claude", &request)["tool_choice"].clone()
    };
    assert_eq!(word("required".into()), json!({ "type": "any" }));
    assert_eq!(word("none".into()), json!({ "type": "none" }));
    assert_eq!(word(json!({ "type": "any" })), json!({ "type": "any" }));
    assert_eq!(word(Value::Null), Value::Null);
}

#[test]
fn openai_answer_in_one_object_has_logprobs_parts_and_refusal() {
    let mut ignore = |_: &str| {};
    let mut draft = draft::Draft::new(false, tokio::time::Instant::now(), &mut ignore);
    let value = json!({
        "model": "gpt-2026", "choices": [{
            "index": 0, "finish_reason": "content_filter",
            "message": {
                "content": [{ "type": "thinking", "text": "hm" }, { "type": "text", "text": "hi" }],
                "tool_calls": [{ "id": "1", "function": { "name": "f", "arguments": { "a": 1 } } }],
            },
            "logprobs": { "content": [{ "token": "hi", "logprob": -0.5 }] },
        }],
    });
    openai::read_whole(&value, &mut draft).expect("an answer");
    let answer = draft.end().expect("an answer");
    assert_eq!((answer.text.as_str(), answer.logprobs.as_slice(), answer.refused), ("hi", [-0.5].as_slice(), true));
    assert_eq!(answer.tool_calls[0]["function"]["arguments"], r#"{"a":1}"#);
}

#[test]
fn stream_that_only_says_done_is_whole_if_anything_came() {
    let mut ignore = |_: &str| {};
    let mut draft = draft::Draft::new(true, tokio::time::Instant::now(), &mut ignore);
    openai::read_event(&json!({ "choices": [{ "delta": { "content": "hi" } }] }), &mut draft).expect("a part");
    draft.done();
    assert_eq!(draft.end().expect("an answer").finish_reason.as_deref(), Some("stop"));
    let mut draft = draft::Draft::new(true, tokio::time::Instant::now(), &mut ignore);
    draft.done();
    assert_eq!(draft.end(), Err(draft::DraftError::Cut));
}
