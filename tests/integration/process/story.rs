//! A library with its years of history is imported, a replica follows, and both are killed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bookholder::files::mapping::NameMapper;
use serde_json::{Value, json};

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node, segment};

/// The history of a real library.
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/history/prompts-chat.jsonl.zst");
/// The prompt that changes most often in it.
const BUSIEST: &str = "Code Review Assistant";

/// One change of a history: its time, and the content from then on; absent if the prompt was removed.
struct Change {
    at: String,
    name: String,
    text: Option<String>,
}

/// A history file and its contents.
pub struct History {
    pub file: PathBuf,
    changes: Vec<Change>,
    names: usize,
}

impl History {
    /// Reads it.
    pub fn read() -> Self {
        let file = PathBuf::from(REAL);
        let packed = std::fs::read(&file).expect("the history of the fixtures");
        let text = String::from_utf8(zstd::decode_all(packed.as_slice()).expect("zstd")).expect("UTF-8");
        let mut mapper = NameMapper::new();
        let change = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let field = |key: &str| line[key].as_str().map(str::to_owned);
            let name = mapper.map(&field("name").expect("a name")).name.to_string();
            Change { at: field("at").expect("a time"), name, text: field("text") }
        };
        let changes: Vec<Change> = text.lines().map(change).collect();
        let names = changes.iter().map(|change| &change.name).collect::<std::collections::BTreeSet<_>>().len();
        Self { file, changes, names }
    }

    /// The final content of each prompt; absent if it was removed.
    fn end(&self) -> BTreeMap<&str, Option<&str>> {
        self.changes.iter().map(|change| (change.name.as_str(), change.text.as_deref())).collect()
    }
}

#[test]
fn replica_answers_after_both_nodes_were_killed_and_the_network_is_gone() {
    let mut primary = Node::primary();
    let history = History::read();
    let mut replica = Launch::replica_of(&primary).start();

    let first = bookholder(["import", "--json"]).arg(&history.file).server(&primary).ok().json();
    let brought = first["published"].as_u64().expect("a count") + first["removed"].as_u64().expect("a count");
    assert_eq!((brought, &first["refused"]), (history.changes.len() as u64, &json!([])));
    let before = primary.status();
    let second = bookholder(["import", "--json"]).arg(&history.file).server(&primary).ok().json();
    assert_eq!((&second["published"], &second["removed"], &second["known"]), (&json!(0), &json!(0), &json!(brought)));
    assert_eq!(primary.status()["state"], before["state"], "a repeated import changes nothing");
    assert_eq!(primary.status()["position"], before["position"]);

    replica.follow(&primary);
    contents_are_what_their_ids_say(&[&primary, &replica]);
    everything_is_answered(&primary, &history);
    let here = replica.status();
    assert_eq!((&here["stale"], &here["freshness"]), (&json!(false), &json!("fresh")));

    primary.kill9();
    replica.kill9();
    replica.restart();
    everything_is_answered(&replica, &history);
    past_times_are_answered(&replica, &history);
    let status = replica.status();
    assert_eq!((&status["role"], &status["stale"]), (&json!("replica"), &json!(true)));
    assert_eq!((&status["state"], &status["position"]), (&before["state"], &before["position"]));
    let since = status["since"].as_str().expect("since when");
    assert!(since >= here["since"].as_str().expect("since when") && since.ends_with('Z'), "{since}");
    let terminal = NameMapper::new().map("Linux Terminal").name;
    let answer = replica.get(&format!("/v1/resolve/{terminal}"));
    assert!(answer.header("bookholder-age").is_some_and(|age| age.parse::<u64>().is_ok()), "{}", answer.head);

    replica.stop();
    for node in [&replica, &primary] {
        let proof = bookholder(["verify", "--json", "--data"]).arg(node.data()).ok().json();
        assert_eq!((&proof["proved"], &proof["state"]), (&json!(true), &before["state"]));
    }
    let _said = bookholder(["verify", "--data"])
        .arg(replica.data())
        .ok()
        .says("verified: every entry matches what the primary");
    let _said = bookholder(["audit", "verify", "--data"]).arg(primary.data()).ok().says("entries verified");
}

/// Every name answers with its last text, or as removed.
fn everything_is_answered(node: &Node, history: &History) {
    let end: Vec<_> = history.end().into_iter().collect();
    assert_eq!(end.len(), history.names);
    for part in end.chunks(1_000) {
        let references: Vec<&str> = part.iter().map(|(name, _)| *name).collect();
        let batch = node.change("POST", "/v1/resolve", &json!({"references": references})).ok();
        for ((name, text), item) in part.iter().zip(batch["answers"].as_array().expect("answers")) {
            match text {
                Some(text) => assert_eq!(item["resolved"]["content"]["text"], **text, "{name}"),
                None => assert_eq!(item["problem"]["code"], "prompt_removed", "{name}: {item}"),
            }
        }
    }
    let (name, _) = end.iter().find(|(_, text)| text.is_none()).expect("a removed prompt");
    let detail = node.get(&format!("/v1/resolve/{}", segment(name))).problem(410, "prompt_removed");
    assert!(detail.contains(name) && detail.contains("was removed at"), "{detail}");
}

/// At every time, the busiest prompt has the content of the history.
fn past_times_are_answered(node: &Node, history: &History) {
    let busiest = NameMapper::new().map(BUSIEST).name;
    let changes: Vec<_> = history.changes.iter().filter(|change| change.name == busiest.as_str()).collect();
    assert!(changes.len() > 100, "{}", changes.len());
    let last_of = |at: &str| changes.iter().rev().find(|change| change.at == at).expect("itself");
    for change in changes.iter().map(|change| last_of(&change.at)) {
        let answer = node.get(&format!("/v1/resolve/{busiest}?at={}", change.at));
        match &change.text {
            Some(text) => assert_eq!(answer.ok()["content"]["text"], **text, "{}", change.at),
            None => assert!(answer.problem(410, "prompt_removed").contains(busiest.as_str())),
        }
    }
}

/// The bytes of contents hash to their ids, and are the same on every node.
fn contents_are_what_their_ids_say(nodes: &[&Node]) {
    let page = nodes.first().expect("a node").get("/v1/prompts?limit=25").ok();
    for prompt in page["items"].as_array().expect("prompts") {
        let name = segment(prompt["name"].as_str().expect("a name"));
        for node in nodes {
            let id = node.get(&format!("/v1/resolve/{name}")).ok()["content_id"].as_str().expect("an id").to_owned();
            let answer = node.get(&format!("/v1/contents/{id}"));
            assert_eq!(format!("b3:{}", blake3::hash(&answer.body).to_hex()), id);
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
}

#[test]
fn demo_succeeds_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = bookholder(["demo"]).env("TMPDIR", folder.path()).ok();
    for part in [
        "Start a primary",
        "back on version 1",
        "stale since",
        "match what the primary signed",
        "never stopped answering",
    ] {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn stopping_node_finishes_open_requests() {
    use std::io::{BufReader, Write};

    use crate::support::answer::{Answer, head};
    use crate::support::node::ADMIN;

    let mut node = Node::primary();
    let body = json!({"content": {"syntax": "plain", "text": "in time"}, "message": "why"}).to_string();
    let mut stream = node.connect();
    let request = format!(
        "POST /v1/prompts/a/versions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    assert!(
        head(&mut reader).expect("an interim answer").starts_with("HTTP/1.1 100"),
        "the handler waits for the body"
    );
    let mut events = BufReader::new(node.connect());
    events.get_mut().write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("written");
    assert!(head(&mut events).expect("a head").starts_with("HTTP/1.1 200"));

    node.terminate();
    node.until_logged("stopping: finishing open requests");
    stream.write_all(body.as_bytes()).expect("written");
    let answer = Answer::read(reader).expect("an answer");
    assert_eq!((answer.status, &answer.ok()["created"]), (201, &json!(true)));
    node.stop();
    node.restart();
    assert_eq!(node.get("/v1/resolve/a@latest").ok()["content"]["text"], "in time");
}
