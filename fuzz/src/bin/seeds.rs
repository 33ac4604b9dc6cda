//! Writes the seeds that only the program itself can make, from a registry with three prompts: `fuzz/run 0 seeds`.
//!
//! Those in text are written by hand. Run it again when a format changes, and commit what it wrote.
#![no_main]

use std::fs;
use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bookholder::model::position::Position;
use bookholder::model::time::Timestamp;
use bookholder::replication::telemetry_file::FileSigner;
use bookholder::store::delta::{self, Scope};
use bookholder::store::entry::Parts;
use bookholder::store::read::Entries;
use bookholder::telemetry::event::{Body, Claim, Event, Response, Score, ScoreTarget, ScoreValue, SpanContext, Tokens};
use bookholder::telemetry::store::{Recorded, Role, TelemetryStore};
use bookholder_fuzz::Node;
use libfuzzer_sys::fuzz_target;

/// The commit of which the target `delta` takes a state.
const COMMIT: u64 = 9;

fuzz_target!(|_bytes: &[u8]| write());

fn write() {
    let node = Node::new();
    let head = |node: &Node| node.store.read().expect("a reader").head().expect("a head").position;
    while head(&node).seq < COMMIT {
        node.publish("c", &format!("version {}", head(&node).seq));
    }
    assert_eq!(head(&node), Position { epoch: 1, seq: COMMIT });

    let signed = |name: &str, note: &[u8]| {
        put("note", name, note);
        let text = String::from_utf8(note.to_vec()).expect("UTF-8");
        put("trust", name, format!("{}\n", text.split_once("\n\n").expect("a note").0).as_bytes());
    };
    let root = node.publisher.root(1).expect("the disk").expect("a root document");
    let epoch = node.publisher.epoch(1).expect("the disk").expect("an epoch record");
    signed("root", &root);
    signed("epoch", &epoch);
    signed("checkpoint", &node.publisher.checkpoint("all").expect("signed").expect("there"));
    put("trust", "chain", &[root.as_slice(), b"\0", epoch.as_slice()].concat());

    let reader = node.store.read().expect("a reader");
    let mut visit = |key: &[u8], _: u64, value: &[u8]| {
        let kind = Parts::of(key).expect("a key").kind;
        put("record", &format!("kind-{kind}"), value);
        Ok(ControlFlow::Continue(()))
    };
    reader.visit(&[], &[0xff; 4], false, &mut visit).expect("entries");

    let scope = Scope { registry: "test".to_owned(), view: "all".to_owned(), view_generation: 1 };
    let mut packed = Vec::new();
    delta::write(&reader, &scope, Position::default(), &mut packed).expect("written");
    let plain = zstd::decode_all(packed.as_slice()).expect("packed");
    put("delta", "packed", &[b"\0", packed.as_slice()].concat());
    put("delta", "plain", &[b"\x01", plain.as_slice()].concat());

    telemetry(&node);

    let mut bundle = Vec::new();
    let mut file = node.wait(node.publisher.bundle(30, Vec::new())).expect("a bundle");
    file.rewind().expect("the disk");
    file.read_to_end(&mut bundle).expect("the disk");
    put("bundle", "bundle", &bundle);
}

/// A telemetry file with a batch of calls and scores, and that batch by itself.
fn telemetry(node: &Node) {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = TelemetryStore::open(folder.path(), Role::Spool { bytes_max: 1 << 20 }).expect("a spool");
    let text = |text: &str| Some(text.to_owned());
    let response = Response {
        id: text("chatcmpl-9x"),
        span: Some(SpanContext { trace: [1; 16], span: [2; 8] }),
        ended_ms: 1_790_000_000_000,
        model_used: text("gpt-5-mini"),
        tokens: Tokens { input: Some(812), output: Some(95), ..Tokens::default() },
        latency_us: Some(1_240_500),
        session: text("chat-1"),
        claim: Claim { stamp: text("support/agent@7+3f9a1c2b7d41"), ..Claim::default() },
        body: Some(Box::new(Body { input: text("[\"hi\"]"), output: None })),
        ..Response::default()
    };
    let score = Score {
        target: ScoreTarget::Response("chatcmpl-9x".to_owned()),
        name: "helpful".to_owned(),
        value: ScoreValue::Boolean(true),
        evaluator: text("ann"),
        explanation: None,
        at_ms: 1_790_000_001_000,
        id: None,
    };
    let events = [Event::Response(Box::new(response)), Event::Score(score)];
    let events = events.into_iter().map(|event| Recorded { event, repeat: None }).collect();
    node.wait(spool.record(events, 1_790_000_002_000)).expect("recorded");
    node.wait(spool.mark_spool(1_790_000_003_000)).expect("marked");
    let batch = spool.spooled().expect("batches").remove(0).batch;
    put("telemetry", "batch", &[b"\x01", zstd::decode_all(batch.as_slice()).expect("packed").as_slice()].concat());
    let signer = FileSigner::open(folder.path(), Some("edge-7")).expect("a key");
    let mut file = b"\0".to_vec();
    let exported = Timestamp::from_ms(1_790_000_003_000);
    signer.write(2, spool.read_spool().expect("a spool"), exported, &mut file, &mut |_| {}).expect("written");
    put("telemetry", "file", &file);
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a file");
}
