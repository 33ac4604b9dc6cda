//! Tests of the shares of access tokens and addresses.

use super::*;
use crate::http::shares::ShareHolder;

async fn token(node: &Node, name: &str, role: &str) -> String {
    let (status, made) = node.change("POST", "/v1/tokens", &json!({"name": name, "role": role})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    format!("Bearer {}", made["token"].as_str().expect("a token"))
}

fn ask(path: &str, bearer: &str) -> Request<Body> {
    let request = Request::get(path).header(header::HOST, "localhost").header(header::AUTHORIZATION, bearer);
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn unsent_answers_of_one_token_do_not_block_another_at_the_same_address() {
    let node = Node::start(true);
    let (reader, other) = (token(&node, "a", "reader").await, token(&node, "b", "reader").await);
    assert_eq!(node.publish("a", &"x".repeat(900_000)).await.0, StatusCode::CREATED);
    let connection = node.face.connection(REMOTE);
    let send = async |bearer: &str| connection.call(ask("/v1/resolve/a?subject=s", bearer)).await.expect("infallible");
    let mut held = Vec::new();
    let refused = loop {
        let answer = send(&reader).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        held.push(answer);
        assert!(held.len() < 64, "its share is bounded");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(held.len() >= 36, "room for two of the largest answers: {}", held.len());
    assert_eq!(send(&other).await.status(), StatusCode::OK, "another at the same address");
    held.pop();
    assert_eq!(send(&reader).await.status(), StatusCode::OK, "what was sent is given back");
}

#[tokio::test]
async fn compressed_answer_counts_uncompressed_until_it_is_sent() {
    let node = Node::start(true);
    let reader = token(&node, "a", "reader").await;
    assert_eq!(node.publish("a", &"x".repeat(900_000)).await.0, StatusCode::CREATED);
    let connection = node.face.connection(REMOTE);
    let send = async || {
        let mut request = ask("/v1/prompts/a/versions/1", &reader);
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        connection.call(request).await.expect("infallible")
    };
    let mut held = Vec::new();
    let refused = loop {
        let answer = send().await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "gzip");
        held.push(answer);
        assert!(held.len() < 64, "its share is bounded");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let sent = held.pop().expect("one").into_body().collect().await.expect("a body").to_bytes();
    assert!(sent.len() < 9_000, "{}", sent.len());
    assert_eq!(send().await.status(), StatusCode::OK, "what was sent is given back");
}

#[tokio::test]
async fn long_polls_of_one_access_token_leave_room_for_another() {
    let node = Node::start(true);
    let (edge, other) = (token(&node, "edge", "replica").await, token(&node, "other", "replica").await);
    let next = "/replication/v1/view/all/next/0.0";
    let taken = node.face.app.polls.take_many(ShareHolder::Token("edge".to_owned()), 11_000).expect("its share");
    let (status, headers, _) = node.send(REMOTE, ask(next, &edge)).await;
    assert_eq!((status, headers.contains_key(header::RETRY_AFTER)), (StatusCode::TOO_MANY_REQUESTS, true));
    assert_eq!(node.send(REMOTE, ask(next, &other)).await.0, StatusCode::OK);
    drop(taken);
    assert_eq!(node.send(REMOTE, ask(next, &edge)).await.0, StatusCode::OK, "what ended is given back");
}

/// Requests that start heavy work.
const HEAVY: [(&str, &str, &str); 13] = [
    ("POST", "/v1/resolve", r#"{"references":["a"]}"#),
    ("POST", "/v1/render/a", r#"{"variables":{}}"#),
    ("GET", "/v1/prompts/a/diff?from=1&to=2", ""),
    ("GET", "/v1/prompts/a/drafts/d/merge", ""),
    ("GET", "/v1/requests/1", ""),
    ("GET", "/v1/audit/verify", ""),
    ("GET", "/ui/", ""),
    ("GET", "/ui/?q=word&texts=on", ""),
    ("GET", "/ui/prompts/a", ""),
    ("GET", "/ui/diff/a?from=1&to=2", ""),
    ("GET", "/ui/review", ""),
    ("GET", "/ui/review/1", ""),
    ("GET", "/ui/?folder=a/", ""),
];

/// Requests that never wait for heavy work: what applications and replicas read, and what stops harm.
const LIGHT: [(&str, &str, &str); 14] = [
    ("GET", "/v1/resolve/a", ""),
    ("GET", "/v1/resolve/a@1?subject=s", ""),
    ("GET", "/v1/prompts", ""),
    ("GET", "/v1/prompts/a", ""),
    ("GET", "/v1/prompts/a/versions/1", ""),
    ("GET", "/v1/deployments", ""),
    ("GET", "/v1/status", ""),
    ("GET", "/v1/requests", ""),
    ("GET", "/healthz", ""),
    ("GET", "/replication/v1/view/all/next/0.0", ""),
    ("POST", "/v1/prompts/a/versions", r#"{"content":{"syntax":"plain","text":"three"},"message":"m"}"#),
    (
        "POST",
        "/v1/deployments",
        r#"{"moves":[{"name":"a","label":"live","serving":{"version":2}}],"message":"m","allow_major":true}"#,
    ),
    ("POST", "/v1/prompts/a/labels/live/rollback", r#"{"message":"m"}"#),
    ("DELETE", "/v1/prompts/a/labels/live", r#"{"message":"m"}"#),
];

#[tokio::test]
async fn heavy_requests_get_503_while_busy_and_light_requests_succeed() {
    let node = Node::start(true);
    let send = async |(method, path, body): (&str, &str, &str)| {
        let peer = if path.starts_with("/ui") { LOCAL } else { REMOTE };
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request =
            if peer.local { request } else { request.header(header::AUTHORIZATION, format!("Bearer {ADMIN}")) };
        let (status, headers, body) =
            node.send(peer, request.body(Body::from(body.to_owned())).expect("a request")).await;
        (status, headers.contains_key(header::RETRY_AFTER), String::from_utf8_lossy(&body).into_owned())
    };
    for text in ["one", "two"] {
        assert_eq!(node.publish("a", text).await.0, StatusCode::CREATED);
    }
    let serve = r#"{"moves":[{"name":"a","label":"live","serving":{"version":1}}],"message":"m"}"#;
    let propose = r#"{"moves":[{"name":"a","label":"live","serving":{"version":2}}],"message":"m"}"#;
    let draft = r#"{"content":{"syntax":"plain","text":"draft"}}"#;
    for done in [
        ("POST", "/v1/deployments", serve),
        ("POST", "/v1/requests", propose),
        ("PUT", "/v1/prompts/a/drafts/d", draft),
    ] {
        let (status, _, said) = send(done).await;
        assert!(status.is_success(), "{done:?}: {said}");
    }
    for door in HEAVY {
        let (status, _, said) = send(door).await;
        assert_eq!(status, StatusCode::OK, "{door:?}: {said}");
    }
    let full = node.face.app.work.fill();
    for door in HEAVY {
        let (status, says_when, _) = send(door).await;
        assert_eq!((status, says_when), (StatusCode::SERVICE_UNAVAILABLE, true), "{door:?}");
    }
    for door in LIGHT {
        let (status, _, said) = send(door).await;
        assert!(status.is_success(), "{door:?}: {status} {said}");
    }
    drop(full);
    assert_eq!(send(HEAVY[0]).await.0, StatusCode::OK);
}
