//! The same bytes on a connection, with the fast path and without it: whatever is sent, and wherever it is cut, the
//! answers are the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{LOCAL, Node, REMOTE};
use crate::http::testing::{ADMIN, comparable, converse};
use crate::http::{HttpService, Peer};

const PLAIN: &str = "GET /v1/resolve/a@production HTTP/1.1\r\nhost: localhost\r\n\r\n";

const METHODS: [&str; 10] = ["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "get", "OPTIONS"];
const TARGETS: [&str; 22] = [
    "/v1/resolve/a",
    "/v1/resolve/a@production",
    "/v1/resolve/a@1",
    "/v1/resolve/team/b@latest",
    "/v1/resolve/team/large",
    "/v1/resolve/team/b",
    "/v1/resolve/a",
    "/v1/resolve/a@9",
    "/v1/resolve/none",
    "/v1/resolve/a?subject=u",
    "/v1/resolve/a?",
    "/v1/resolve/%61",
    "/v1/resolve/",
    "/v1/resolve//a",
    "/v1/resolve/a#x",
    "/v1/resolve/../resolve/a",
    "/v1/resolve/A",
    "http://localhost/v1/resolve/a",
    "*",
    "/nowhere",
    "/v1/resolve/a\u{e4}",
    "/v1/resolve/a b",
];
const VERSIONS: [&str; 8] =
    ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"];
const HOSTS: [&str; 8] = [
    "host: localhost",
    "host: localhost",
    "host: localhost",
    "host: localhost",
    "Host:  localhost ",
    "host: evil.example",
    "x: y",
    "host: localhost\r\nhost: localhost",
];
const HEADERS: [&str; 36] = [
    "user-agent: tests",
    "accept: */*",
    "Accept-Encoding: gzip",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "connection: keep-alive",
    "Connection: Keep-Alive",
    "connection: close",
    "connection: keep-alive, close",
    "connection: upgrade\r\nupgrade: h2c",
    "authorization: Bearer ADMIN",
    "authorization: Bearer ADMIN",
    "authorization: Basic eDphbi1hZG1pbi10b2tlbi1mb3ItdGVzdHM=",
    "authorization: Bearer an-unknown-token-for-tests",
    "authorization: ADMIN",
    "if-none-match: *",
    "if-none-match: \"1-ETAG\"",
    "if-none-match: \"0-0\"",
    "content-length: 0",
    "content-length: 5",
    "content-length: 5, 5",
    "content-length: +5",
    "content-length : 5",
    "transfer-encoding: chunked",
    "transfer-encoding : chunked",
    "transfer-encoding: identity",
    "expect: 100-continue",
    "x-forwarded-for: 10.0.0.1",
    "forwarded: for=10.0.0.1",
    "origin: https://evil.example",
    "sec-fetch-site: cross-site",
    "te: trailers",
    " folded",
    "a name: with a space",
    "x: \u{1}",
    ": no name",
    "cookie: a=b",
];
const BODIES: [&str; 8] = [
    "",
    "",
    "",
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "\r\n",
];
/// From the Unix socket, over loopback, and from elsewhere.
const PEERS: [Peer; 3] = [LOCAL, Peer { socket: false, ..LOCAL }, REMOTE];

/// A node with three prompts, of which one is larger than what is gathered before it is sent.
async fn node() -> Node {
    let node = Node::start(true);
    for (name, text) in [("a", "Hi".to_owned()), ("team%2Fb", "Hello".to_owned()), ("team%2Flarge", "x".repeat(40_000))]
    {
        assert!(node.publish(name, &text).await.0.is_success(), "{name}");
    }
    node
}

/// The answers of both ways.
async fn both(fast: &HttpService, peer: Peer, pieces: &[&[u8]]) -> [(Vec<String>, bool); 2] {
    let slow = fast.without_fast_path();
    let (answered, closed) = converse(fast, peer, pieces).await;
    let (expected, is_closed) = converse(&slow, peer, pieces).await;
    [(comparable(&answered), closed), (comparable(&expected), is_closed)]
}

fn request() -> impl Strategy<Value = String> {
    let line = (select(&METHODS[..]), select(&TARGETS[..]), select(&VERSIONS[..]));
    let more = vec(select(&HEADERS[..]), 0..4);
    let mixed = (line, select(&HOSTS[..]), more, select(&BODIES[..]), prop::bool::weighted(0.9)).prop_map(
        |((method, target, version), host, more, body, crlf)| {
            let end = if crlf { "\r\n" } else { "\n" };
            let more: String = more.iter().map(|line| format!("{line}{end}")).collect();
            format!("{method} {target} {version}{end}{host}{end}{more}{end}{body}")
        },
    );
    let plain = Just(PLAIN.to_owned());
    let noise = "[ -~\r\n]{0,40}";
    prop_oneof![6 => mixed, 4 => plain, 1 => noise]
}

/// The bytes of some requests, and where they are cut.
fn conversation() -> impl Strategy<Value = (String, Vec<prop::sample::Index>, Peer)> {
    let requests = vec(request(), 1..6).prop_map(|requests| requests.concat());
    (requests, vec(any::<prop::sample::Index>(), 0..5), select(&PEERS[..]))
}

#[test]
fn any_bytes_are_answered_as_without_the_fast_path() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let node = runtime.block_on(node());
    let etag = runtime.block_on(node.get("/v1/resolve/a")).1["content_id"].as_str().expect("an ID")[3..15].to_owned();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 1_500, ..ProptestConfig::default() });
    let outcome = runner.run(&conversation(), |(text, cuts, peer)| {
        let bytes = text.replace("ADMIN", ADMIN).replace("ETAG", &etag).into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let [fast, slow] = runtime.block_on(both(&node.face, peer, &pieces));
        prop_assert_eq!(fast, slow);
        Ok(())
    });
    outcome.expect("equal answers");
}

#[tokio::test(start_paused = true)]
async fn head_that_comes_in_parts_is_read_once_it_is_complete() {
    let node = node().await;
    for pieces in
        [&[&b"G"[..], b"/"][..], &[b"GET /v1/resolve/a", b" b HTTP/1.1\r\n"], &[b"GET /v1/resolve/a b HTTP/1.1\r\n"]]
    {
        let [fast, slow] = both(&node.face, LOCAL, pieces).await;
        assert_eq!(fast, slow, "{pieces:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_came_together_are_answered_in_order_before_hyper_takes_the_rest() {
    let node = node().await;
    let other = "GET /v1/resolve/none HTTP/1.1\r\nhost: localhost\r\nx-other: 1\r\n\r\n";
    let large = PLAIN.replace("/a@production", "/team/large");
    let together = format!("{}{large}{PLAIN}{other}{PLAIN}", PLAIN.repeat(300));
    let [fast, slow] = both(&node.face, LOCAL, &[together.as_bytes()]).await;
    assert_eq!(fast.0.iter().filter(|line| *line == "HTTP/1.1 200 OK").count(), 303);
    assert!(fast == slow);
}

#[tokio::test]
async fn revoked_token_is_refused_on_a_connection_that_used_it() {
    let node = node().await;
    let (status, made) = node.change("POST", "/v1/tokens", &json!({"name": "app", "role": "reader"})).await;
    assert!(status.is_success(), "{made}");
    let secret = made["token"].as_str().expect("a token");
    let request = format!("GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n\r\n");
    let (address, _serving) = node.listen().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut ask = async || {
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        let mut answer = vec![0; 16 * 1_024];
        let read = stream.read(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned()
    };
    for _ in 0..2 {
        let answer = ask().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(node.change("DELETE", "/v1/tokens/app", &Value::Null).await.0.is_success());
    let answer = ask().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
