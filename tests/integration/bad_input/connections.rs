//! Connections that are slow, endless, or carry too much before the request begins.

use std::io::{BufReader, Write};
use std::time::Instant;

use super::Target;
use crate::support::answer::Answer;
use crate::support::node::{ADMIN, PATIENCE};

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
    let status = target.0.raw(long.as_bytes()).map(|answer| answer.status);
    assert!(matches!(status, None | Some(414 | 431 | 400)), "{status:?}");
    target.is_well();
}

#[test]
fn a_head_that_does_not_arrive_is_not_waited_for() {
    let mut target = Target::start();
    let began = Instant::now();
    let mut slow = target.0.connect();
    slow.write_all(b"GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\nx-slow").expect("written");
    let silent = target.0.connect();
    target.is_well();
    let answer = Answer::read(BufReader::new(slow)).expect("an answer");
    let detail = answer.problem(408, "timeout");
    assert!(detail.contains("did not arrive in 10 s"), "{detail}");
    assert!(Answer::read(BufReader::new(silent)).is_none(), "who says nothing is told nothing");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    target.is_well();
}

#[test]
fn many_idle_and_broken_connections_keep_nobody_else_from_being_answered() {
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
