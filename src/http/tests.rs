//! Tests of the HTTP API on real lower layers, in process and over loopback.

mod fast_path;
mod govern;
mod proxied;
mod sharing;
mod states;
mod travelling;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::service::Service;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::peer::Via;
use super::state::AppState;
use super::testing::{ADMIN, state, store};
use super::{Door, HttpService, Listener, Peer, serve};

const LOCAL: Peer =
    Peer { local: true, encrypted: false, address: None, socket: true, reached: None, via: Via::Nobody };
const REMOTE: Peer = Peer { local: false, socket: false, ..LOCAL };

/// A node over an empty registry.
struct Node {
    face: HttpService,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Node {
    fn start(primary: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&store(directory.path()), primary);
        Self { stop: state.stop.clone(), face: HttpService::new(state), _directory: directory }
    }

    async fn send(&self, peer: Peer, mut request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
        let response: Response<_> = self.face.connection(peer).call(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.expect("a body").to_bytes())
    }

    /// A local request without a token; returns the answer as JSON.
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (status, _, body) = self.send(LOCAL, request).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// An admin's request.
    async fn change(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let (status, _, body) = self.send(REMOTE, request).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn publish(&self, name: &str, text: &str) -> (StatusCode, Value) {
        let body = json!({"content": {"syntax": "plain", "text": text}, "message": "why", "labels": ["production"]});
        self.change("POST", &format!("/v1/prompts/{name}/versions"), &body).await
    }

    /// Serves on a free port until the node is told to stop.
    async fn listen(&self) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = serve(Listener::Tcp(listener), None, self.face.clone(), self.stop.clone());
        (address, tokio::spawn(serving))
    }
}

#[tokio::test]
async fn published_prompt_is_resolved_and_rolled_back() {
    let node = Node::start(true);
    let (status, published) = node.publish("support%2Fagent", "one").await;
    assert_eq!((status, &published["version"]["number"]), (StatusCode::CREATED, &json!(1)), "{published}");
    assert_eq!(node.publish("support%2Fagent", "one").await.0, StatusCode::OK);
    node.publish("support%2Fagent", "two").await;
    let (status, answer) = node.get("/v1/resolve/support/agent@production").await;
    assert_eq!((status, &answer["version"], &answer["content"]["text"]), (StatusCode::OK, &json!(2), &json!("two")));
    let rollback = json!({"message": "two was wrong"});
    let (status, rolled) =
        node.change("POST", "/v1/prompts/support%2Fagent/labels/production/rollback", &rollback).await;
    assert_eq!((status, &rolled["deployments"][0]["action"]), (StatusCode::OK, &json!("rollback")), "{rolled}");
    assert_eq!(node.get("/v1/resolve/support/agent").await.1["version"], 1);
    assert_eq!(node.get("/v1/prompts/support%2Fagent").await.1["latest"], 2);
    assert_eq!(node.get("/v1/prompts/support%2Fagent/diff?from=1&to=2").await.0, StatusCode::OK);
    assert_eq!(node.get("/v1/deployments?name=support/agent").await.1["items"].as_array().map(Vec::len), Some(3));
    let id = answer["content_id"].as_str().expect("a content id");
    let request = Request::get(format!("/v1/contents/{id}")).body(Body::empty()).expect("a request");
    let (_, headers, bytes) = node.send(LOCAL, request).await;
    assert_eq!(format!("b3:{}", blake3::hash(&bytes).to_hex()), id);
    assert!(headers[header::CACHE_CONTROL].to_str().expect("ascii").contains("immutable"));
}

#[tokio::test]
async fn cached_and_routed_answers_are_equal() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let ask = |method: &'static str, uri: &'static str, etag: Option<String>| {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        request.body(Body::empty()).expect("a request")
    };
    let (_, mut routed, body) = node.send(LOCAL, ask("GET", "/v1/resolve/%61@production", None)).await;
    let (status, cached, again) = node.send(LOCAL, ask("GET", "/v1/resolve/a@production", None)).await;
    assert!(routed.remove("bookholder-request").is_some() && !cached.contains_key("bookholder-request"));
    // hyper writes the content length of an answer from memory.
    routed.remove(header::CONTENT_LENGTH);
    assert_eq!((status, &again), (StatusCode::OK, &body));
    assert_eq!(routed, cached);
    assert_eq!(cached["bookholder-version"], "1");
    assert_eq!(
        (&cached["bookholder-age"], &cached["bookholder-stale"]),
        (&"0".parse().unwrap(), &"false".parse().unwrap())
    );
    let etag = cached[header::ETAG].to_str().expect("ascii").to_owned();
    let (status, known, empty) = node.send(LOCAL, ask("GET", "/v1/resolve/a@production", Some(etag))).await;
    assert_eq!((status, empty.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(known["bookholder-version"], "1");
    let (status, headers, _) = node.send(LOCAL, ask("HEAD", "/v1/resolve/a@production", None)).await;
    assert_eq!((status, headers), (StatusCode::OK, cached));
}

#[tokio::test]
async fn malformed_requests_are_answered_by_problems() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    for (path, status, code, part) in [
        ("/v1/resolve/nobody", 404, "prompt_not_found", "nobody"),
        ("/v1/resolve/a@nowhere", 404, "label_not_found", "nowhere"),
        ("/v1/resolve/a@0", 400, "invalid_name", "count from 1"),
        ("/v1/resolve/a@18446744073709551616", 400, "invalid_name", "count from 1"),
        ("/v1/resolve/a@9", 404, "version_not_found", "latest is 1"),
        ("/v1/resolve/%2e%2e/a", 400, "invalid_name", "`..`"),
        ("/v1/resolve/a%00", 400, "invalid_name", "U+0000"),
        ("/v1/resolve/a%252fb", 404, "prompt_not_found", "a%2fb"),
        ("/v1/resolve/a%ff", 400, "bad_request", "not UTF-8"),
        ("/v1/resolve/a%zz", 400, "bad_request", "two hex digits"),
        ("/v1/resolve/a?lable=x", 400, "bad_request", "`lable`"),
        ("/v1/resolve/a?at=yesterday", 400, "invalid_field", "`yesterday`"),
        ("/v1/prompts/%2e%2e", 400, "invalid_name", "`..`"),
        ("/v1/prompts/a/versions/0", 400, "invalid_name", "count from 1"),
        ("/v1/prompts?limit=0", 400, "bad_request", "use 1 to 1000"),
        ("/v1/prompts?cursor=%7C", 422, "invalid_request", "cursor"),
        ("/v1/deployments?label=production", 422, "invalid_request", "`name`"),
        ("/v1/contents/b3:12", 400, "bad_request", "64 lower-case"),
        ("/v1/nothing", 404, "not_found", "/docs"),
        ("/replication/v1/view/some/checkpoint", 404, "record_not_found", "view `some`"),
        ("/replication/v1/view/all/next/1.x", 400, "bad_request", "epoch.seq"),
        ("/replication/v1/root/99", 404, "record_not_found", "root document 99"),
        ("/readyz?max_age=-1", 400, "invalid_field", "`-1`"),
    ] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (found, headers, body) = node.send(LOCAL, request).await;
        let problem: Value = serde_json::from_slice(&body).expect(path);
        assert_eq!((found.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path}: {problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(part), "{path}: {problem}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
    }
}

#[tokio::test]
async fn malformed_bodies_are_answered_by_problems() {
    let node = Node::start(true);
    let path = "/v1/prompts/a/versions";
    let deep = format!("{{\"content\":{{\"config\":{{\"a\":{}", "[".repeat(100_000));
    for (content_type, body, status, part) in [
        ("application/json", "{\"content\":", 400, "line 1 column 11"),
        ("application/json", "{\"content\":{\"text\":\"x\"},\"message\":\"w\",\"x\":1}", 400, "unknown field `x`"),
        ("application/json", "\"\u{0}\"", 400, "line 1"),
        ("application/json", deep.as_str(), 400, "recursion limit"),
        ("text/plain", "{}", 415, "`text/plain`"),
        ("application/json", "\u{feff}{\"content\":{\"text\":1},\"message\":\"w\"}", 400, "`content.text`"),
    ] {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let (found, _, answer) = node.send(LOCAL, request).await;
        let problem: Value = serde_json::from_slice(&answer).expect("a problem");
        assert_eq!(found.as_u16(), status, "{problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(part), "{problem}");
    }
    let (status, problem) = node.change("POST", path, &json!({"content": "x".repeat(5_000_000), "message": ""})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(problem["detail"].as_str().expect("a detail").contains("4194304 bytes"), "{problem}");
}

#[tokio::test]
async fn prompt_file_is_published_with_the_rest_in_the_query() {
    let node = Node::start(true);
    let post = async |query: &str, media: &str, file: &[u8]| {
        let request = Request::post(format!("/v1/prompts/a/versions{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, media)
            .body(Body::from(file.to_vec()))
            .expect("a request");
        let (status, _, body) = node.send(LOCAL, request).await;
        (status.as_u16(), serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let file = b"---\nlabels: [staging]\n---\nHello {{customer}}.\n".as_slice();
    let media = "Text/vnd.bookholder.prompt; charset=utf-8";
    let (status, answer) =
        post("?message=Greet+by+name&label=production&bump=major&expected_parent=0", media, file).await;
    assert_eq!(
        (status, &answer["created"], &answer["version"]["message"]),
        (201, &json!(true), &json!("Greet by name"))
    );
    let (_, labels) = node.get("/v1/prompts/a/labels").await;
    let labels: Vec<&str> = labels.as_array().expect("labels").iter().filter_map(|one| one["label"].as_str()).collect();
    assert_eq!(labels, ["production", "staging"]);
    let (status, answer) = post("?message=Again", media, file).await;
    assert_eq!((status, &answer["created"]), (200, &json!(false)));

    let too_long = vec![b'x'; 2 * 1024 * 1024 + 1];
    for (query, media, file, status, code, part) in [
        ("", media, file, 422, "invalid_request", "`message` is missing"),
        ("?message=", media, file, 400, "invalid_message", "message"),
        ("?message=w&expected_parent=7", media, b"Bye.".as_slice(), 409, "parent_moved", "7"),
        ("?message=w&bump=huge", media, file, 400, "invalid_field", "`huge`: use major, minor or patch"),
        ("?message=w&labels=a", media, file, 400, "bad_request", "unknown query parameters: `labels`"),
        ("?message=w", media, b"---\nmodle: x\n---\n".as_slice(), 422, "invalid_content", "unknown field `modle`"),
        ("?message=w", media, b"\xff".as_slice(), 422, "invalid_content", "not UTF-8"),
        ("?message=w", media, too_long.as_slice(), 413, "too_large", "2097152 bytes"),
        ("?message=w", "text/plain", file, 415, "unsupported_media_type", "text/vnd.bookholder.prompt"),
        ("?message=w", "application/json", b"{}".as_slice(), 422, "invalid_request", "for prompt files"),
        ("?messages=w", "application/json", b"{}".as_slice(), 400, "bad_request", "`messages`"),
    ] {
        let (found, problem) = post(query, media, file).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{query}: {problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(part), "{query}: {problem}");
    }
}

#[tokio::test]
async fn wrong_method_is_answered_with_allow() {
    let node = Node::start(true);
    for (path, allowed) in [("/v1/resolve/a", "GET,HEAD"), ("/v1/prompts/a", "GET,HEAD,DELETE")] {
        let request = Request::put(path).body(Body::empty()).expect("a request");
        let (status, headers, body) = node.send(LOCAL, request).await;
        assert_eq!(
            (status, &headers[header::ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &allowed.parse().expect("a header"))
        );
        assert!(String::from_utf8_lossy(&body).contains("method_not_allowed"));
    }
}

#[tokio::test]
async fn only_public_paths_are_open_without_a_token() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let reader = node.change("POST", "/v1/tokens", &json!({"name": "r", "role": "reader"})).await.1;
    let reader = reader["token"].as_str().expect("a token").to_owned();
    for (peer, path, token, status) in [
        (LOCAL, "/v1/resolve/a", None, 200),
        (REMOTE, "/v1/resolve/a", None, 401),
        (REMOTE, "/v1/resolve/a", Some(reader.as_str()), 200),
        (REMOTE, "/v1/resolve/a", Some(ADMIN), 200),
        (LOCAL, "/v1/resolve/a", Some("a-token-that-nobody-made"), 401),
        (LOCAL, "/v1/resolve/a", Some("short"), 401),
        (LOCAL, "/v1/audit", None, 401),
        (LOCAL, "/v1/audit", Some(reader.as_str()), 403),
        (LOCAL, "/v1/audit", Some(ADMIN), 200),
        (LOCAL, "/v1/tokens", Some(reader.as_str()), 403),
        (LOCAL, "/v1/backup", None, 401),
        (LOCAL, "/replication/v1/root/1", None, 200),
        (REMOTE, "/replication/v1/root/1", None, 401),
        (REMOTE, "/replication/v1/root/1", Some(reader.as_str()), 403),
        (REMOTE, "/replication/v1/root/1", Some(ADMIN), 200),
        (REMOTE, "/healthz", None, 200),
        (LOCAL, "/metrics", None, 200),
        (REMOTE, "/metrics", None, 401),
        (REMOTE, "/metrics", Some(reader.as_str()), 200),
        (REMOTE, "/docs", None, 200),
        (REMOTE, "/v1/status", None, 401),
    ] {
        // Twice, so that the second is answered from memory.
        for _ in 0..2 {
            let mut request = Request::get(path);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let (found, headers, body) = node.send(peer, request.body(Body::empty()).expect("a request")).await;
            assert_eq!(found.as_u16(), status, "{peer:?} {path} {token:?}: {}", String::from_utf8_lossy(&body));
            assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == 401, "{path}");
        }
    }
    let unsigned = Request::delete("/v1/prompts/a").body(Body::empty()).expect("a request");
    assert_eq!(node.send(LOCAL, unsigned).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn replica_sends_changes_to_its_primary() {
    let node = Node::start(false);
    let (status, problem) = node.publish("a", "text").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("primary_only")));
    assert!(problem["detail"].as_str().expect("a detail").contains("http://primary:1"), "{problem}");
}

#[tokio::test]
async fn batch_answers_each_reference() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let (status, answer) = node.change("POST", "/v1/resolve", &json!({"references": ["a", "b"]})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["answers"][0]["resolved"]["version"], 1);
    assert_eq!(answer["answers"][1]["problem"]["code"], "prompt_not_found");
    let too_many = json!({"references": vec!["a"; 1_001]});
    assert_eq!(node.change("POST", "/v1/resolve", &too_many).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, rendered) = node.change("POST", "/v1/render/a", &json!({"variables": {}})).await;
    assert_eq!((status, &rendered["text"]), (StatusCode::OK, &json!("text")), "{rendered}");
    let (status, rendered) = node.change("POST", "/v1/render/a", &json!({"variables": {"x": 1}})).await;
    assert_eq!((status, &rendered["text"]), (StatusCode::OK, &json!("text")), "{rendered}");
    assert_eq!(rendered["remarks"][0]["names"], json!(["x"]), "{rendered}");
    let strict = json!({"variables": {"x": 1}, "strict": true});
    let (status, problem) = node.change("POST", "/v1/render/a", &strict).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_variables")));
    assert_eq!(problem["detail"], "unknown variables: `x`", "{problem}");
}

#[tokio::test]
async fn error_names_the_wrong_field_with_its_value_and_rule() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    for (path, body, field, value) in [
        (
            "/v1/prompts/a/versions",
            json!({"content": {"text": "x"}, "message": "m", "labels": ["staging", "Production"]}),
            "invalid `labels[1]` in the body",
            "invalid label `Production`",
        ),
        (
            "/v1/deployments",
            json!({"moves": [{"name": "a", "label": "9", "serving": {"version": 1}}], "message": "m"}),
            "invalid `moves[0].label` in the body",
            "use 1 to 36 characters from a-z",
        ),
        (
            "/v1/deployments",
            json!({"moves": [{"name": "a//b", "label": "x", "serving": {"version": 1}}], "message": "m"}),
            "invalid `moves[0].name` in the body",
            "`a//b`",
        ),
        ("/v1/render/a", json!({"at": "yesterday"}), "invalid `at` in the body", "invalid time `yesterday`"),
        ("/v1/render/a", json!({"messages": {"h": 3}}), "invalid `messages.h` in the body", "invalid type"),
    ] {
        let (status, problem) = node.change("POST", path, &body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_field")), "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(field) && detail.contains(value) && !detail.contains("column"), "{detail}");
    }
}

#[tokio::test]
async fn event_streams_report_changes_and_resume() {
    let node = Node::start(true);
    let request = Request::get("/v1/events?prefix=a").body(Body::empty()).expect("a request");
    let mut stream = node.face.connection(LOCAL).call(request).await.expect("infallible").into_body();
    let mut piece = async || {
        let frame = stream.frame().await.expect("a piece").expect("no error");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    };
    let hello = piece().await;
    assert!(hello.starts_with("retry: 2000\nid: "), "{hello}");
    node.publish("b", "text").await;
    node.publish("a", "text").await;
    let event = piece().await;
    assert!(event.contains("event: change\ndata: {") && event.contains("\"names\":[\"a\"]"), "{event}");
    let id = hello.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    let request = Request::get("/v1/events").header("last-event-id", id).body(Body::empty()).expect("a request");
    let mut stream = node.face.connection(LOCAL).call(request).await.expect("infallible").into_body();
    stream.frame().await.expect("a piece").expect("no error");
    let frame = stream.frame().await.expect("a piece").expect("no error").into_data().expect("data");
    assert!(String::from_utf8_lossy(&frame).contains("\"names\":[\"a\",\"b\"]"));
    node.stop.cancel();
    assert!(stream.frame().await.is_none(), "the stream ends when the node stops");
}

#[tokio::test]
async fn documents_are_served() {
    let node = Node::start(true);
    assert_eq!(node.get("/openapi.json").await.1["openapi"], "3.1.0");
    let request = Request::get("/docs").body(Body::empty()).expect("a request");
    let (_, headers, page) = node.send(REMOTE, request).await;
    let page = String::from_utf8_lossy(&page).into_owned();
    for super::route::Route { path, .. } in super::router::ROUTES {
        assert!(page.contains(&path.replace("{*", "{")), "{path}");
    }
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ascii").contains("style-src 'self'"));
    let request = Request::get("/v1/backup").header(header::AUTHORIZATION, format!("Bearer {ADMIN}"));
    let (status, headers, bytes) = node.send(REMOTE, request.body(Body::empty()).expect("a request")).await;
    assert_eq!((status, &headers[header::CONTENT_LENGTH]), (StatusCode::OK, &bytes.len().into()));
}

/// Sends bytes, reads until the server closes.
async fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn socket_enforces_limits_and_drains_on_stop() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let (address, serving) = node.listen().await;
    let answer = raw(address, b"GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("content-length: "), "{answer}");
    let headers: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let answer = raw(address, format!("GET /healthz HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = raw(address, b"GET /v1/resolve/a\0 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let huge = 100 * 1024 * 1024;
    let head = format!(
        "POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {huge}\r\n\r\n"
    );
    let answer = raw(address, &[head.into_bytes(), vec![b' '; huge]].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too_large"), "{answer}");
    let idle = TcpStream::connect(address).await.expect("a connection");
    node.stop.cancel();
    serving.await.expect("it stops although a connection is open");
    drop(idle);
}
