//! Tests of the exact lines of checkpoints and root documents.

use super::*;
use crate::trust::SyntaxError;
use crate::trust::checkpoint::CheckpointError;
use crate::trust::root::RootError;

fn page() -> Checkpoint {
    Checkpoint { seq: 184_467, changed: 184_460, floor: 120_000, manifest: Some(([3; 32], 2_913)), ..checkpoint(1, 0) }
}

const PAGE: &str = "prompts.example.org/view/all
bookholder/checkpoint/v1
root 1
epoch 1
seq 184467
changed 184460
floor 120000
state BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=
entries 12873
tombstones 311
bytes 9120344
view_definition 1 tbLSXveIOcAsT8qYVYJ3WY/ZyLz3Z+9nS8hVkQ3ze90=
manifest AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM= 2913
previous AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
audit BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=
issued 1795169531
expires 1795173131
min_reader 1
";

#[test]
fn checkpoint_text_is_pinned() {
    assert_eq!(page().to_text(), PAGE);
    assert_eq!(Checkpoint::parse(PAGE), Ok(page()));
    let bare = Checkpoint { manifest: None, ..page() };
    assert_eq!(Checkpoint::parse(&bare.to_text()), Ok(bare));
    let size = signed(&page()).len();
    assert!(size < 800, "a signed checkpoint takes {size} bytes");
}

#[test]
fn checkpoint_with_missing_doubled_or_swapped_lines_is_refused() {
    let lines: Vec<&str> = PAGE.lines().collect();
    let refused = |lines: &[&str]| Checkpoint::parse(&(lines.join("\n") + "\n")).is_err();
    assert!(!refused(&lines));
    for at in 0..lines.len() {
        let mut without = lines.clone();
        let line = without.remove(at);
        assert!(refused(&without), "without line {at}");
        let mut doubled = lines.clone();
        doubled.insert(at, line);
        assert!(refused(&doubled), "line {at} twice");
        let mut swapped = lines.clone();
        swapped.swap(at, (at + 1) % lines.len());
        assert!(refused(&swapped), "line {at} and the next swapped");
    }
}

#[test]
fn checkpoint_in_another_spelling_is_refused() {
    let line = |line, expected| SyntaxError::Line { line, expected };
    for (from, to, expected) in [
        ("root 1\n", "root 01\n", SyntaxError::Spelling),
        ("root 1\n", "root +1\n", SyntaxError::Spelling),
        ("root 1\n", "root 1 \n", line(3, "root <number>")),
        ("root 1\n", "root  1\n", line(3, "root <number>")),
        ("seq 184467", "seq 18446744073709551616", line(5, "seq <number>")),
        ("BwcHBwc=\n", "BwcHBwd=\n", line(8, "state <base64>")),
        ("BwcHBwc=\n", "BwcHBwc\n", line(8, "state <base64>")),
        ("2913\n", "02913\n", SyntaxError::Spelling),
        ("/view/all", "/view/a/b", line(1, "<registry>/view/<view>")),
        ("prompts.", "Prompts.", line(1, "<registry>/view/<view>")),
        ("/v1\n", "/v2\n", line(2, "bookholder/checkpoint/v1")),
        ("audit BQ", "audit ", line(15, "audit <base64>")),
        ("min_reader 1\n", "min_reader 1\nextra 1\n", SyntaxError::Surplus { line: 19 }),
        ("min_reader 1\n", "min_reader 1", line(18, "min_reader <number>")),
        ("issued 1795169531", "issued -1", line(16, "issued <unix seconds>")),
        ("floor 120000", "floor 184468", SyntaxError::Contradiction { rule: "deltas do not start after `seq`" }),
        ("changed 184460", "changed 184468", SyntaxError::Contradiction { rule: "a view does not change after `seq`" }),
        (
            "expires 1795173131",
            "expires 1795169530",
            SyntaxError::Contradiction { rule: "a checkpoint expires after it was issued" },
        ),
        ("epoch 1", "epoch 0", SyntaxError::Contradiction { rule: "roots and epochs start at 1" }),
    ] {
        assert!(PAGE.contains(from), "{from}");
        assert_eq!(Checkpoint::parse(&PAGE.replacen(from, to, 1)), Err(expected), "{to}");
    }
    assert_eq!(
        line(5, "seq <number>").to_string(),
        "line 5 of the signed text must be `seq <number>`; copy the file unchanged, or upgrade bookholder if it is newer"
    );
}

#[test]
fn invalid_checkpoint_is_not_signed() {
    for broken in [
        Checkpoint { registry: "Upper Case".to_owned(), ..page() },
        Checkpoint { view: "a\nseq 9".to_owned(), ..page() },
        Checkpoint { changed: u64::MAX, ..page() },
        Checkpoint { issued: -1, ..page() },
    ] {
        let refused = broken.sign("checkpoint-2026a", &checkpoint_key());
        assert!(matches!(refused, Err(CheckpointError::Syntax(_))), "{refused:?}");
    }
    let refused = page().sign("a b", &checkpoint_key()).unwrap_err();
    assert_eq!(refused.to_string(), "invalid checkpoint key name `a b`: use 1 to 64 characters from a-z 0-9 -");
}

#[test]
fn root_document_text_is_pinned() {
    let document = RootDocument { reset: Some(at(2, 100)), ..root_document() };
    let text = document.to_text();
    assert_eq!(
        text,
        "prompts.example.org/root\nbookholder/root/v1\nversion 1\nthreshold 1\n\
         root_key iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n\
         checkpoint_key checkpoint-2026a gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=\n\
         failover_key failover-a 7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=\n\
         max_lifetime 7776000\nreset 2.100\nissued 1794169531\n"
    );
    assert_eq!(RootDocument::parse(&text), Ok(document));
    for (from, to) in
        [("version 1", "version 01"), ("reset 2.", "reset 02."), ("reset 2.100\n", ""), ("issued", "extra 1\nissued")]
    {
        let near = RootDocument::parse(&text.replace(from, to)).unwrap_err();
        assert!(matches!(near, RootError::Syntax(_)), "{to}: {near}");
    }
}

#[test]
fn invalid_root_document_is_neither_signed_nor_read() {
    let named = |names: &[&str]| {
        let keys = (30..).map(|seed| key(seed).verifying_key());
        names.iter().map(|name| (*name).to_owned()).zip(keys).collect::<Vec<_>>()
    };
    let seventeen: Vec<String> = (0..17).map(|n| format!("k-{n:02}")).collect();
    let seventeen: Vec<&str> = seventeen.iter().map(String::as_str).collect();
    let mut unsorted = vec![key(1).verifying_key(), key(2).verifying_key()];
    unsorted.sort_unstable_by(|a, b| b.cmp(a));
    let shared = vec![("a".to_owned(), key(1).verifying_key()), ("b".to_owned(), key(1).verifying_key())];
    let sound = root_document;
    for (document, rule) in [
        (RootDocument { registry: String::new(), ..sound() }, "registry"),
        (RootDocument { version: 0, ..sound() }, "versions"),
        (RootDocument { threshold: 0, ..sound() }, "threshold"),
        (RootDocument { threshold: 2, ..sound() }, "threshold"),
        (RootDocument { root_keys: Vec::new(), ..sound() }, "1 to 16 root keys"),
        (RootDocument { root_keys: unsorted, ..sound() }, "sorted"),
        (RootDocument { checkpoint_keys: named(&["b", "a"]), ..sound() }, "checkpoint keys"),
        (RootDocument { checkpoint_keys: named(&["a", "a"]), ..sound() }, "checkpoint keys"),
        (RootDocument { checkpoint_keys: named(&["A"]), ..sound() }, "checkpoint keys"),
        (RootDocument { checkpoint_keys: named(&seventeen), ..sound() }, "checkpoint keys"),
        (RootDocument { failover_keys: shared, ..sound() }, "failover keys"),
        (RootDocument { max_lifetime_s: 0, ..sound() }, "lifetime"),
    ] {
        let Err(RootError::Unsound { rule: found }) = sign_root(&document, &[&root_key()]) else {
            panic!("{rule}: {document:?} was signed");
        };
        assert!(found.contains(rule), "{found} does not speak of {rule}");
        assert!(RootDocument::parse(&document.to_text()).is_err(), "{rule}");
    }
}
