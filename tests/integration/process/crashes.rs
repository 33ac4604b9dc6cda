//! The primary is killed while it imports, again and again: what was acknowledged is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::command::bookholder;
use crate::support::node::{ADMIN, Node, eventually};

/// Kills; more with `BOOKHOLDER_CRASH_ROUNDS`.
const ROUNDS: u64 = 10;
/// Changes of one request.
const BATCH: u64 = 8;
/// Prompts that the changes go around.
const PROMPTS: u64 = 20;

/// The change with this number; its content depends on the number alone.
fn change(number: u64) -> Value {
    let at = bookholder::model::time::Timestamp::from_ms(1_700_000_000_000 + i64::try_from(number).expect("small"));
    let (name, text) = (format!("crash/{:02}", number % PROMPTS), format!("text of change {number}"));
    json!({"id": format!("{number:08}"), "at": at, "author": "ada", "message": "why", "name": name, "text": text})
}

/// Imports batch after batch until the node stops; `acknowledged` counts acknowledged changes.
fn import(address: std::net::SocketAddr, from: u64, acknowledged: &AtomicU64) {
    for batch in from.. {
        let changes: Vec<Value> = (batch * BATCH..(batch + 1) * BATCH).map(change).collect();
        let body = json!({"changes": changes}).to_string();
        let request = format!(
            "POST /v1/import HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {ADMIN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(stream) = std::net::TcpStream::connect(address) else { return };
        let Some(answer) = Answer::ask(stream, request.as_bytes()) else { return };
        let imported = answer.ok();
        assert_eq!(imported["refused"], json!([]), "{imported}");
        assert_eq!(
            imported["published"].as_u64().zip(imported["known"].as_u64()).map(|(new, known)| new + known),
            Some(BATCH)
        );
        acknowledged.store(batch + 1, Ordering::SeqCst);
    }
}

#[test]
fn whatever_was_acknowledged_survives_kill_9_during_an_import() {
    let rounds = std::env::var("BOOKHOLDER_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut node = Node::primary();
    let acknowledged = AtomicU64::new(0);
    for round in 0..rounds {
        let (address, from) = (node.address(), acknowledged.load(Ordering::SeqCst));
        std::thread::scope(|scope| {
            let importing = scope.spawn(|| import(address, from, &acknowledged));
            // Some batches are acknowledged, and then it dies at a moment of which the import knows nothing.
            let wanted = from + 1 + round % 3;
            let got_there = eventually(crate::support::node::PATIENCE, || {
                (acknowledged.load(Ordering::SeqCst) >= wanted || importing.is_finished()).then_some(())
            });
            got_there.expect("the import goes on");
            std::thread::sleep(Duration::from_micros(round * 7_919 % 20_000));
            node.kill9();
        });
        let known = acknowledged.load(Ordering::SeqCst);
        let proof = bookholder(["verify", "--json", "--data"]).arg(node.data()).ok().json();
        assert_eq!(proof["proved"], true, "{proof}");
        node.restart();
        everything_acknowledged_is_there(&node, known * BATCH);
        assert_eq!(node.send("GET", "/v1/audit/verify", &[], b"").ok()["whole"], true);
    }
    // Repeating the last batch finds it or imports it; then nothing is missing or duplicated.
    let last = acknowledged.load(Ordering::SeqCst) + 1;
    let changes: Vec<Value> = (0..last * BATCH).map(change).collect();
    for part in changes.chunks(1_000) {
        assert_eq!(node.change("POST", "/v1/import", &json!({"changes": part})).ok()["refused"], json!([]));
    }
    let versions: u64 = latest(&node).values().sum();
    assert_eq!(versions, last * BATCH);
    assert_eq!(bookholder(["audit", "verify", "--json"]).server(&node).ok().json()["whole"], true);
}

/// Prompt to the number of its newest version.
fn latest(node: &Node) -> BTreeMap<String, u64> {
    let page = node.get("/v1/prompts?prefix=crash/&limit=1000").ok();
    let prompts = page["items"].as_array().expect("prompts").iter();
    prompts
        .map(|prompt| {
            (prompt["name"].as_str().expect("a name").to_owned(), prompt["latest"].as_u64().expect("a number"))
        })
        .collect()
}

fn everything_acknowledged_is_there(node: &Node, changes: u64) {
    let latest = latest(node);
    for number in changes.saturating_sub(PROMPTS)..changes {
        let (name, version) = (format!("crash/{:02}", number % PROMPTS), number / PROMPTS + 1);
        assert!(
            latest.get(&name).is_some_and(|latest| *latest >= version),
            "{name} lost version {version}: {latest:?}"
        );
        let text = node.text(&format!("{name}@{version}"));
        assert_eq!(text, format!("text of change {number}"));
    }
}
