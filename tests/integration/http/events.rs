//! Server-sent events: changes while connected, and changes in between.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::answer::head;
use crate::support::contract;
use crate::support::node::Node;

/// One open stream of events.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn open(node: &Node, query: &str, last: Option<&str>) -> Self {
        let mut stream = BufReader::new(node.connect());
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("written");
        let head = head(&mut stream).expect("a head");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        Self(stream)
    }

    /// The value of the next line with this field; `None` when the stream ends.
    fn next(&mut self, field: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("readable") == 0 {
                return None;
            }
            if let Some(value) = line.trim_end().strip_prefix(field) {
                return Some(value.to_owned());
            }
        }
    }

    /// The next event: its id and its data.
    fn event(&mut self) -> (String, Value) {
        loop {
            let id = self.next("id: ").expect("an id");
            let mut next = String::new();
            self.0.read_line(&mut next).expect("readable");
            if next.trim_end() == "event: change" {
                let data = serde_json::from_str(&self.next("data: ").expect("data")).expect("JSON");
                contract::check_event(&data);
                return (id, data);
            }
        }
    }
}

#[test]
fn event_streams_send_new_and_missed_changes() {
    let mut node = Node::primary();
    node.publish("a/one", "text");
    let mut all = Listener::open(&node, "", None);
    let mut some = Listener::open(&node, "?prefix=b/", None);
    let start = all.next("id: ").expect("where the stream begins");
    assert_eq!(start, node.status()["position"].as_str().expect("a position"));
    node.publish("a/two", "text");
    let (first, data) = all.event();
    assert_eq!(data, json!({"position": first, "names": ["a/two"]}));
    node.publish("b/three", "text");
    assert_eq!(some.event().1["names"], json!(["b/three"]), "only what begins so");
    assert_eq!(all.event().1["names"], json!(["b/three"]));
    drop(all);

    let _removed = node.change("DELETE", "/v1/prompts/a%2Fone", &json!({"message": "gone"})).ok();
    let mut resumed = Listener::open(&node, "", Some(&first));
    let (id, data) = resumed.event();
    assert_eq!(
        (&data["names"], id.as_str()),
        (&json!(["a/one", "b/three"]), node.status()["position"].as_str().expect("a position"))
    );
    let wrong = node.send("GET", "/v1/events", &[("last-event-id", "yesterday")], b"");
    assert!(wrong.problem(400, "bad_request").contains("Last-Event-ID"));
    let mut rewound = Listener::open(&node, "", Some("9.9"));
    assert_eq!(rewound.event().1["names"], json!([]), "any prompt may have changed");
    node.terminate();
    assert!(rewound.next("data: ").is_none(), "streams end when the node stops");
    node.stop();
}

#[test]
fn replica_streams_events_too() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let replica = Node::replica(&primary);
    let mut listener = Listener::open(&replica, "", None);
    let _greeting = listener.next("id: ");
    primary.publish("b", "text");
    assert_eq!(listener.event().1["names"], json!(["b"]));
    assert_eq!(replica.text("b"), "text", "whoever is told can ask");
}
