//! The real history of a real prompt library, imported twice and asked about at every moment.

use std::collections::BTreeMap;

use bookholder::api::write::{ImportChange, ImportRequest};
use bookholder::files::mapping::NameMapper;
use bookholder::model::content::Syntax;
use bookholder::model::name::PromptName;
use bookholder::model::time::Timestamp;
use serde::Deserialize;

use crate::support::primary::{Primary, label};

/// Changes that one request carries.
const BATCH: usize = 200;
/// The prompt that was edited back and forth between four texts, and removed three times.
const EDIT_WAR: &str = "Code Review Assistant";

#[derive(Deserialize)]
struct Line {
    at: String,
    author: String,
    message: String,
    name: String,
    text: Option<String>,
}

/// The history, under the names that an import gives it.
pub fn read() -> Vec<ImportChange> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/history/prompts-chat.jsonl.zst");
    let file = std::fs::File::open(path).expect("the history of the fixtures");
    let text = String::from_utf8(zstd::decode_all(file).expect("a zstd frame")).expect("utf-8");
    let mut mapper = NameMapper::new();
    let change = |(number, line): (usize, &str)| {
        let line: Line = serde_json::from_str(line).expect("a change");
        ImportChange {
            id: format!("line-{number}"),
            at: line.at.parse().expect("a time"),
            author: line.author,
            message: line.message,
            name: mapper.map(&line.name).name,
            text: line.text,
            original: None,
        }
    };
    text.lines().enumerate().map(change).collect()
}

async fn import(primary: &Primary, changes: &[ImportChange]) -> (u64, u64, u64, Vec<String>) {
    let (mut published, mut removed, mut known, mut refused) = (0, 0, 0, Vec::new());
    for batch in changes.chunks(BATCH) {
        let request = ImportRequest { changes: batch.to_vec(), syntax: Syntax::Plain, label: label("production") };
        let outcome = primary.registry.import(&primary.admin, request).await.expect("an import");
        published += outcome.imported.published;
        removed += outcome.imported.removed;
        known += outcome.imported.known;
        refused.extend(outcome.refused.into_iter().map(|(id, error)| format!("{id}: {error}")));
    }
    (published, removed, known, refused)
}

/// The content of a prompt after each of its changes; absent if it was removed.
type Oracle<'a> = BTreeMap<&'a PromptName, Vec<(Timestamp, Option<&'a str>)>>;

fn said_at<'a>(line: &[(Timestamp, Option<&'a str>)], at: Timestamp) -> Option<&'a str> {
    line.iter().rev().find(|(from, _)| *from <= at).and_then(|(_, text)| *text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_years_of_a_real_library_answer_at_every_moment_as_they_did() {
    let changes = read();
    let primary = Primary::found();
    let (published, removed, known, refused) = import(&primary, &changes).await;
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(published + removed + known, changes.len() as u64);
    let before = primary.state();
    assert_eq!(import(&primary, &changes).await, (0, 0, changes.len() as u64, Vec::new()));
    assert_eq!(primary.state(), before, "the second import changes nothing");

    let mut oracle: Oracle<'_> = BTreeMap::new();
    for change in &changes {
        oracle.entry(&change.name).or_default().push((change.at, change.text.as_deref()));
    }
    let mut longest: Vec<&PromptName> = oracle.keys().copied().collect();
    longest.sort_by_key(|name| std::cmp::Reverse(oracle[name].len()));
    let war = NameMapper::new().map(EDIT_WAR).name;
    assert_eq!(oracle[&war].len(), 246 + 3, "the edit war is all there");
    for name in longest.into_iter().take(31) {
        check(&primary, name, &oracle[name]);
    }
    for (name, line) in &oracle {
        let now = primary.text(name.as_str()).ok();
        assert_eq!(now.as_deref(), line.last().and_then(|(_, text)| *text), "{name} now");
    }
    let gone = oracle.values().filter(|line| line.last().is_some_and(|(_, text)| text.is_none())).count();
    assert_eq!((oracle.len(), gone), (1_724, 211));
    primary.verify();
    let verdict = primary.view().verify_audit().expect("a log");
    assert_eq!((verdict.whole, verdict.entries), (true, 1 + published + removed));
}

/// Asks at each change, one millisecond before it, and half-way to the next.
fn check(primary: &Primary, name: &PromptName, line: &[(Timestamp, Option<&str>)]) {
    let reference = format!("{name}@production");
    let latest = format!("{name}@latest");
    for (index, (at, _)) in line.iter().enumerate() {
        let next = line.get(index + 1).map_or(at.ms() + 1_000_000, |(next, _)| next.ms());
        for ms in [at.ms(), at.ms() - 1, at.ms() + (next - at.ms()) / 2] {
            let moment = Timestamp::from_ms(ms);
            let expected = said_at(line, moment);
            assert_eq!(primary.text_at(&reference, moment).ok().as_deref(), expected, "{reference} at {moment}");
            assert_eq!(primary.text_at(&latest, moment).ok().as_deref(), expected, "{latest} at {moment}");
        }
    }
    let mut numbers = Vec::new();
    let mut cursor = None;
    loop {
        let page = primary.view().versions(name, cursor.as_deref(), 100).expect("a page");
        numbers.extend(page.items.iter().map(|version| version.number));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (1..=numbers.len() as u64).rev().collect();
    assert_eq!(numbers, expected, "{name} counts on, whatever was removed meanwhile");
}
