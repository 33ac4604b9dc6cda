//! What is recorded, as files of Parquet by day.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bookholder::clock::{Clock, SystemClock};
use bookholder::model::time::Timestamp;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::json;

use super::{JSON, call, export, traces};
use crate::support::node::{Launch, Node};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// How often each response is in the files of a day.
fn responses(day: &Path) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for path in files(day).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "parquet")) {
        let reader = SerializedFileReader::new(File::open(path).expect("a file")).expect("Parquet");
        for row in reader.get_row_iter(None).expect("rows") {
            let row = row.expect("a row");
            let id = row.get_column_iter().find(|(name, _)| *name == "id").map(|(_, id)| id.clone());
            let Some(Field::Str(id)) = id else { panic!("{row}") };
            *found.entry(id).or_default() += 1;
        }
    }
    found
}

/// A moment some days ago, and its day; the response that a score is about must not be much older than a month.
fn ago(days: i64) -> (String, String) {
    let at = Timestamp::from_ms(SystemClock::new().now_ms() - days * 86_400_000).to_string();
    let day = format!("day={}", at.split('T').next().expect("a date"));
    (at, day)
}

fn sent(node: &Node, ids: &[u64]) {
    let (ended, _) = ago(3);
    for id in ids {
        let response = json!({"responses": [{"id": format!("r-{id}"), "prompt": "support/agent", "cost_usd": 0.01,
            "ended": ended}]});
        let _reported = node.change("POST", "/v1/responses", &response).ok();
    }
}

#[test]
fn each_event_is_once_in_the_files_of_its_day_after_crashes_too() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("lake");
    let folder = out.to_str().expect("UTF-8").to_owned();
    let launch = Launch::primary().args(["--parquet", &folder, "--parquet-every-s", "1"]);
    let mut node = launch.start();
    node.publish("support/agent", "text");
    let day = out.join("responses").join(ago(3).1);
    let (scored, day_of_score) = ago(2);
    sent(&node, &[1, 2]);
    let _today = export(&node, "/v1/traces", JSON, &traces(&[call(1, 1, 0, "support/agent")])).ok();
    let score = json!({"scores": [{"response": "r-1", "name": "helpful", "value": true, "at": scored}]});
    let _scored = node.change("POST", "/v1/scores", &score).ok();
    let whole = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), 1)).collect::<BTreeMap<_, _>>();
    node.until("files are written", || {
        let scored = !files(&out.join("scores").join(&day_of_score)).is_empty();
        (scored && responses(&day) == whole(&["r-1", "r-2"])).then_some(())
    });
    assert!(files(&out).len() >= 3, "another day has a folder of its own: {:?}", files(&out));
    for id in 3..=6 {
        sent(&node, &[id]);
        node.kill9();
        node.restart();
    }
    node.until("the rest is written", || {
        (responses(&day) == whole(&["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"])).then_some(())
    });
}

#[test]
fn folder_that_cannot_be_written_costs_the_files_alone_and_is_caught_up_with() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("lake");
    fs::write(&out, "a file is in the way").expect("a file");
    let folder = out.to_str().expect("UTF-8").to_owned();
    let node = Launch::primary().args(["--parquet", &folder, "--parquet-every-s", "1"]).start();
    node.publish("support/agent", "text");
    sent(&node, &[1]);
    node.until_logged("telemetry was not sent on");
    assert_eq!(node.text("support/agent"), "text");
    fs::remove_file(&out).expect("removed");
    node.until("it is caught up with", || (responses(&out.join("responses").join(ago(3).1)).len() == 1).then_some(()));
}
