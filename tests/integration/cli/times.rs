//! Times as people write them, in their time zone.

use super::{line, publish};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

/// Clocks that are five and a half hours ahead of UTC, without a database of time zones.
const ZONE: &str = "XST-5:30";

fn at(node: &Node, time: &str) -> Bookholder {
    bookholder(["get", "a", "--at", time]).env("TZ", ZONE).server(node)
}

#[test]
fn printed_times_are_local_and_can_be_pasted() {
    let node = Node::primary();
    publish(&node, "a", "one", &["--label", "production"]);
    publish(&node, "a", "two", &["--label", "production"]);
    let history = line(&node, "history a").env("TZ", ZONE).ok().stdout;
    let newest = history.lines().nth(1).and_then(|row| row.get(..19)).expect("a row with a time").to_owned();
    assert_eq!(at(&node, &newest).ok().stdout, "two", "{history}");
    assert_eq!(at(&node, "now").ok().stdout, "two");
    let utc = line(&node, "history a --json").ok().json()["items"][0]["at"].as_str().expect("a time").to_owned();
    assert_eq!(at(&node, &utc).ok().stdout, "two");
    assert!(!utc.starts_with(&newest.replace(' ', "T")), "{utc} is not {newest}");
}

#[test]
fn relative_times_ask_what_was_served_then() {
    let node = Node::primary();
    let lines: String = [("2026-01-05T10:00:00Z", "old"), ("2026-01-06T10:00:00Z", "new")]
        .map(|(at, text)| {
            let change = serde_json::json!({"at": at, "author": "ada", "message": "m", "name": "a", "text": text});
            format!("{change}\n")
        })
        .concat();
    let file = node.home().join("history.jsonl");
    std::fs::write(&file, lines).expect("a file");
    let import = bookholder(["import", &file.display().to_string(), "--label", "production"]).server(&node);
    let _said = import.ok();
    for (time, text) in [
        ("2026-01-06", "old"),
        ("2026-01-06 15:29", "old"),
        ("2026-01-06 15:30", "new"),
        ("2026-01-06 10:00 UTC", "new"),
        ("2026-01-06T09:59:59Z", "old"),
        ("1h", "new"),
        ("2 days ago", "new"),
        ("yesterday 15:00", "new"),
        ("tuesday 15:00", "new"),
    ] {
        assert_eq!(at(&node, time).ok().stdout, text, "{time}");
    }
    let _said = at(&node, "tomorrow").fails(2).says("tuesday 15:00");
    let _said = at(&node, "2h later").fails(2).says("is not a time");
    // Pages read the same, in UTC.
    for (time, shown) in [
        ("2026-01-06+09:59", "At <b>2026-01-06 09:59:00 UTC</b>"),
        ("2026-01-06", "At <b>2026-01-06 00:00:00 UTC</b>"),
        ("tuesday+15:00", " 15:00:00 UTC</b>"),
    ] {
        let page = node.get(&format!("/ui/prompts/a?at={time}"));
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains(shown), "{time}: {}", page.text());
    }
    assert_eq!(node.get("/ui/prompts/a?at=someday").status, 400);
}
