//! Writes the seeds that only the program itself can make, from a registry with three prompts: `fuzz/run 0 seeds`.
//!
//! Those in text are written by hand. Run it again when a format changes, and commit what it wrote.
#![no_main]

use std::fs;
use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bookholder::model::position::Position;
use bookholder::store::delta::{self, Scope};
use bookholder::store::entry::Parts;
use bookholder::store::read::Entries;
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

    let mut bundle = Vec::new();
    let mut file = node.wait(node.publisher.bundle(30, Vec::new())).expect("a bundle");
    file.rewind().expect("the disk");
    file.read_to_end(&mut bundle).expect("the disk");
    put("bundle", "bundle", &bundle);
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a file");
}
