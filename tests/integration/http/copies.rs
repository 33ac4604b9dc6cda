//! Backups take as much room as the registry: only two are made and sent at once.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::node::{ADMIN, Node};

/// Texts that together are more than the sockets between both sides hold.
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
fn a_third_backup_at_once_is_asked_to_come_again_and_served_once_another_ends() {
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
