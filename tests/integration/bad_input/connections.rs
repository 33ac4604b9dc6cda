//! Connections that are slow, endless, or carry too much before the request begins.

use std::io::{BufReader, Write};
use std::time::Instant;

use super::Target;
use crate::support::answer::Answer;
use crate::support::node::{ADMIN, Launch, PATIENCE};

#[test]
fn ten_thousand_headers_are_too_many() {
    let mut target = Target::start();
    for headers in [
        (0..10_000).map(|number| ["x-", &number.to_string(), ": y\r\n"].concat()).collect::<String>(),
        format!("x: {}\r\n", "y".repeat(1024 * 1024)),
    ] {
        let answer = target.0.raw(format!("GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes());
        assert_eq!(answer.expect("an answer").status, 431);
    }
    let long = format!("GET /v1/resolve/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "n".repeat(200_000));
    let answer = target.0.raw(long.as_bytes()).expect("an answer");
    assert!(matches!(answer.status, 414 | 431), "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.head);
    target.is_well();
}

#[test]
fn connection_without_a_head_is_closed() {
    let mut target = Target::start();
    let began = Instant::now();
    let mut slow = target.0.connect();
    slow.write_all(b"GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\nx-slow").expect("written");
    target.is_well();
    let answer = Answer::read(BufReader::new(slow)).expect("an answer");
    let detail = answer.problem(408, "timeout");
    assert!(detail.contains("did not arrive in 10 s"), "{detail}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    target.is_well();
}

#[test]
fn idle_and_broken_connections_do_not_block_others() {
    let mut target = Target::start();
    let idle: Vec<_> = (0..200).map(|_| target.0.connect()).collect();
    for number in 0..200 {
        let mut broken = target.0.connect();
        let half = format!(
            "POST /v1/prompts/b/versions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"n\": {number}"
        );
        broken.write_all(half.as_bytes()).expect("written");
    }
    target.is_well();
    drop(idle);
    let _detail = target.0.get("/v1/prompts/b").problem(404, "prompt_not_found");
    target.is_well();
}

#[test]
fn invalid_http_head_gets_a_problem() {
    let mut target = Target::start();
    let long = "n".repeat(200_000);
    for (sent, status, code) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/9.9\r\nhost: localhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n".to_owned(), 400, "bad_request"),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"), 431, "too_large"),
    ] {
        let answer = target.0.raw(sent.as_bytes()).expect("an answer");
        let about: String = sent.chars().take(40).collect();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{about}: {}", answer.head);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{about}");
        let _detail = answer.problem(status, code);
    }
    target.is_well();
}

/// Reads the head and body of one answer on a connection that goes on.
fn answer_of(stream: &std::net::TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let head = crate::support::answer::head(&mut reader).expect("a head");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    std::io::Read::read_exact(&mut reader, &mut body).expect("a body");
    head
}

#[test]
fn idle_connection_outlives_the_head_timeout_and_ends_after_its_own() {
    let long = Target::start();
    let short = Launch::primary().env("BOOKHOLDER_KEEP_ALIVE_S", "1").start();
    let (kept, ended) = (long.0.connect(), short.connect());
    let silent = short.connect();
    for stream in [&kept, &ended] {
        (&mut &*stream).write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("written");
        assert!(answer_of(stream).starts_with("HTTP/1.1 200"));
    }
    let began = Instant::now();
    for stream in [&ended, &silent] {
        assert!(Answer::read(BufReader::new(stream)).is_none(), "who says nothing is told nothing");
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // Longer than the deadline of a head.
    let mut slow = long.0.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nx-slow").expect("written");
    let _detail = Answer::read(BufReader::new(slow)).expect("an answer").problem(408, "timeout");
    (&mut &kept).write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("written");
    assert!(answer_of(&kept).starts_with("HTTP/1.1 200"), "still there");
}

#[test]
fn last_answer_of_a_stopping_node_closes_its_connection() {
    let node = Launch::primary().start();
    let mut stream = node.connect();
    let body = b"{\"references\": [\"a\"]}";
    let head = format!(
        "POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("written");
    node.terminate();
    node.until("no more connections", || std::net::TcpStream::connect(node.address()).err());
    stream.write_all(body).expect("written");
    let head = answer_of(&stream);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close"), "{head}");
}
