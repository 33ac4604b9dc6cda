//! Backups take as much room as the registry: only two are made and sent at once.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::node::{ADMIN, Node};

/// Texts that exceed the socket buffers of both sides.
const TEXTS: usize = 24;
const TEXT_BYTES: usize = 900_000;

/// Asks for a backup, and reads nothing of it but its first bytes.
fn slow_backup(node: &Node) -> TcpStream {
    let mut stream = node.connect();
    let request = format!("GET /v1/backup HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    stream
}

/// A text that cannot be compressed.
fn noise(number: usize) -> String {
    let mut bytes = vec![0; TEXT_BYTES];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

#[test]
fn third_concurrent_backup_is_busy_until_another_ends() {
    let node = Node::primary();
    for number in 0..TEXTS {
        node.publish(&format!("p{number}"), &noise(number));
    }
    let (first, _second) = (slow_backup(&node), slow_backup(&node));
    let backup = || node.send("GET", "/v1/backup", &[], b"");
    let third = backup();
    assert_eq!(third.header("retry-after"), Some("5"), "{}", third.head);
    let message = third.problem(503, "busy");
    assert!(message.contains("too many backups and bundles"), "{message}");
    assert_eq!(node.send("POST", "/v1/bundle", &[], b"").status, 503, "a bundle is as large");
    drop(first);
    node.until("a backup has ended", || (backup().status == 200).then_some(()));
}

/// A figure of the process in KiB, such as its greatest memory so far.
#[cfg(target_os = "linux")]
fn memory_kib(node: &Node, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect(figure);
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn report_of_thousands_of_changes_takes_a_few_mib_of_memory() {
    const REQUESTS: usize = 6;
    const CHANGES: usize = 500;
    const GROWTH_KIB_MAX: u64 = 8 * 1024;
    let node = Node::primary();
    let message = "why ".repeat(200);
    for request in 0..REQUESTS {
        let change = |number: usize| {
            json!({"id": format!("{request}-{number}"), "at": format!("2026-01-0{}T00:00:00Z", request + 1),
                "author": "ann", "message": message, "name": format!("p/{}", number % 100),
                "text": format!("text {request} {number}")})
        };
        let changes: Vec<Value> = (0..CHANGES).map(change).collect();
        assert_eq!(node.change("POST", "/v1/import", &json!({"changes": changes})).ok()["published"], CHANGES);
    }
    let report = |format: &str| {
        let path = format!("/v1/report?from=2026-01-01T00:00:00Z&to=2999-01-01T00:00:00Z&format={format}");
        let answer = node.send("GET", &path, &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.body.len()
    };
    // What the first request caches stays there.
    let all_texts = report("jsonl");
    assert!(all_texts > REQUESTS * CHANGES * message.len(), "{all_texts}");
    std::fs::write(format!("/proc/{}/clear_refs", node.pid()), "5").expect("the greatest memory is forgotten");
    let before = memory_kib(&node, "VmRSS:");
    for format in ["html", "csv", "jsonl"] {
        let _bytes = report(format);
    }
    let peak = memory_kib(&node, "VmHWM:");
    assert!(peak.saturating_sub(before) < GROWTH_KIB_MAX, "{before} KiB before, {peak} KiB at most");
}
