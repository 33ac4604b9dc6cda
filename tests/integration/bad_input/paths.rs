//! Paths that try to be something else.

use super::Target;

#[test]
fn malicious_paths_are_refused_with_a_problem() {
    let mut target = Target::start();
    let long = format!("/v1/resolve/{}", "n".repeat(201));
    let cases: &[(&str, u16, &str, &str)] = &[
        ("/v1/resolve/%2e%2e/secret", 400, "invalid_name", "`..`"),
        ("/v1/resolve/a/%2E%2E/b", 400, "invalid_name", "`..`"),
        ("/v1/resolve/a/../../etc/passwd", 400, "invalid_name", "`..`"),
        ("/v1/resolve/a%00b", 400, "invalid_name", "character"),
        ("/v1/resolve/a%0d%0aset-cookie:x", 400, "invalid_name", "character"),
        ("/v1/resolve/a%5Cb", 400, "invalid_name", "\\"),
        ("/v1/resolve/a%7Cb", 400, "invalid_name", "|"),
        ("/v1/resolve/%252e%252e", 404, "prompt_not_found", "%2e%2e"),
        ("/v1/resolve/a%", 400, "bad_request", "two hex digits"),
        ("/v1/resolve/a%zz", 400, "bad_request", "two hex digits"),
        ("/v1/resolve/%ff", 400, "bad_request", "not UTF-8"),
        ("/v1/resolve/%c0%ae%c0%ae", 400, "bad_request", "not UTF-8"),
        ("/v1/resolve/a//b", 400, "invalid_name", "empty"),
        ("/v1/resolve/%20a", 400, "invalid_name", "space"),
        ("/v1/resolve/@production", 400, "invalid_name", "empty"),
        ("/v1/resolve/a@", 400, "invalid_name", "empty"),
        ("/v1/resolve/a@b@c", 400, "invalid_name", "label"),
        ("/v1/resolve/a@nobody", 404, "label_not_found", "no label `nobody`"),
        ("/v1/resolve/a@Production", 400, "invalid_name", "label"),
        ("/v1/resolve/a@0", 400, "invalid_name", "versions count from 1"),
        ("/v1/resolve/a@18446744073709551616", 400, "invalid_name", "versions count from 1"),
        ("/v1/resolve/a@9007199254740992", 400, "invalid_name", "versions count from 1"),
        ("/v1/resolve/a@9007199254740991", 404, "version_not_found", "its latest is 1"),
        ("/v1/resolve/a@-1", 400, "invalid_name", "label"),
        ("/v1/resolve/a@b3:zz", 400, "invalid_name", "hex digits"),
        (&long, 400, "invalid_name", "the limit is 200 bytes"),
        ("/v1/resolve/", 404, "not_found", "/docs"),
        ("/v1/prompts/%2e%2e", 400, "invalid_name", "`..`"),
        ("/v1/prompts/a/versions/0", 400, "invalid_name", "versions count from 1"),
        ("/v1/prompts/a/versions/18446744073709551616", 400, "invalid_name", "versions count from 1"),
        ("/v1/contents/..%2f..%2fetc", 400, "bad_request", "invalid content id"),
        ("/replication/v1/root/0", 404, "record_not_found", "root document 0"),
        ("/replication/v1/root/99999999999999999999", 400, "bad_request", "is not a whole number"),
        ("/replication/v1/root/..%2f1", 400, "bad_request", "is not a whole number"),
        ("/replication/v1/view/nobody/checkpoint", 404, "record_not_found", "view `nobody`"),
        ("/replication/v1/view/all/next/x", 400, "bad_request", "position"),
        ("/docs/../etc/passwd", 404, "not_found", "/docs"),
        ("/docs/%2e%2e/%2e%2e/etc/passwd", 404, "not_found", "/docs"),
        ("/nowhere", 404, "not_found", "/docs"),
    ];
    for (path, status, code, part) in cases {
        let detail = target.0.get(path).problem(*status, code);
        assert!(detail.contains(part), "{path}: {detail}");
        assert!(!detail.chars().any(char::is_control), "{path}: {detail:?}");
    }
    target.is_well();
}

#[test]
fn invalid_bytes_close_only_their_own_connection() {
    let mut target = Target::start();
    for bytes in [
        b"GET /v1/resolve/\xff\xfe HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".as_slice(),
        b"GET /v1/resolve/a\0b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        b"GET /v1/resolve/a b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello on a plain port\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\nconnection: close\r\n\r\n",
        b"GET /v1/resolve/a HTTP/1.1\r\nno colon here\r\n\r\n",
        b"POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = target.0.raw(bytes);
        let shown = String::from_utf8_lossy(bytes).into_owned();
        if let Some(answer) = answer {
            assert!((400..500).contains(&answer.status), "{shown:?}: {}{}", answer.head, answer.text());
        }
        target.is_well();
    }
}
