//! Requests to a whole primary: paths, queries, headers, JSON bodies and forms, over every route.
//!
//! The input is a request as HTTP/1.1 writes it, but for its version: `METHOD target`, headers, an empty line, the body.
//! `TOKEN` in a body is what the forms of pages carry. No request is answered 500, and a reference is answered the same
//! by the memory of the hot path and by the router.
#![no_main]

use std::sync::LazyLock;

use axum::http::StatusCode;
use bookholder_fuzz::Node;
use libfuzzer_sys::fuzz_target;

/// What does not end by itself, or writes the whole database.
const LEFT_OUT: [&str; 5] = ["/v1/events", "/ui/live", "/next/", "/v1/backup", "/v1/bundle"];

static NODE: LazyLock<Node> = LazyLock::new(Node::new);

fuzz_target!(|input: &str| {
    let (head, body) = input.split_once("\n\n").unwrap_or((input, ""));
    let mut lines = head.lines();
    let Some((method, target)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    if LEFT_OUT.iter().any(|path| target.contains(path)) || target.contains("%") && target.contains("next") {
        return;
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let body = body.replace("TOKEN", &NODE.form);
    let Some((status, answer)) = NODE.send(method, target, &headers, body.as_bytes()) else { return };
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{}", String::from_utf8_lossy(&answer));
    if let Some(reference) = target.strip_prefix("/v1/resolve/").filter(|_| method == "GET" && headers.is_empty())
        && let Some(first) = reference.bytes().next().filter(u8::is_ascii_alphanumeric)
        && !reference.contains(['?', '%', '#'])
    {
        let encoded = format!("/v1/resolve/%{first:02x}{}", &reference[1..]);
        // Asked for again, it comes from memory.
        let again = NODE.send("GET", target, &[], b"").expect("a request");
        let routed = NODE.send("GET", &encoded, &[], b"").expect("a request");
        assert_eq!((again.0, routed.0), (status, status));
        if status.is_success() {
            assert!(again.1 == routed.1);
        }
    }
});
