//! Bytes on a connection, cut wherever 0xFF is: the answers are those of hyper, whether it serves the connection alone or
//! takes it over from the fast path.
#![no_main]

use std::sync::LazyLock;

use bookholder_fuzz::Node;
use libfuzzer_sys::fuzz_target;

/// What waits for other threads, and other paths than those to resolve: their answers differ from one time to the next.
const LEFT_OUT: [&[u8]; 9] =
    [b"POST", b"/v1/", b"/ui", b"/otlp", b"/api", b"/replication", b"/metrics", b"/docs", b"/openapi"];
const RESOLVE: &[u8] = b"/v1/resolve";

static NODE: LazyLock<Node> = LazyLock::new(Node::new);

fuzz_target!(|input: &[u8]| {
    let Some((peer, bytes)) = input.split_first() else { return };
    let is_left_out = (0..bytes.len()).any(|at| {
        let rest = &bytes[at..];
        rest.first() == Some(&b'%') || !rest.starts_with(RESOLVE) && LEFT_OUT.iter().any(|path| rest.starts_with(path))
    });
    if is_left_out {
        return;
    }
    let pieces: Vec<&[u8]> = bytes.split(|byte| *byte == 0xff).collect();
    let [fast, slow] = NODE.converse(*peer, &pieces);
    assert!(fast == slow, "with the fast path:\n{fast:#?}\nwithout it:\n{slow:#?}");
});
