//! Resolving all prompts that match a pattern: one state for all pages, and what single references answer.

use std::collections::BTreeMap;

use bookholder::clock::Cancellation;
use bookholder::model::position::Position;
use bookholder::resolve::matching::{Matching, MatchingPage};
use bookholder::resolve::{Query, ReadScope, ResolveError};
use serde_json::{Value, json};

use crate::support::node::Node;
use crate::support::primary::{Primary, fixed, label, moving};

/// What a label serves in the prompts that match.
fn wanted(at: &str, pattern: &str) -> Matching {
    Matching { label: label(at), pattern: pattern.parse().expect(pattern), query: Query::default() }
}

fn page(primary: &Primary, wanted: &Matching, cursor: Option<&str>, limit: usize) -> MatchingPage {
    primary.view().matching(wanted, cursor, limit, &Cancellation::never()).expect("a page")
}

/// The names and versions of a page.
fn versions(page: &MatchingPage) -> Vec<(String, u64)> {
    let served = page.answers.iter().map(|(name, answer)| (name.to_string(), answer.as_ref().expect("served").version));
    served.collect()
}

/// The names of a page.
fn names(page: &MatchingPage) -> Vec<String> {
    page.answers.iter().map(|(name, _)| name.to_string()).collect()
}

async fn published(names: &[&str]) -> Primary {
    let primary = Primary::found();
    for name in names {
        primary.publish(name, &format!("text of {name}")).await;
        primary.deploy(name, 1, "production").await;
    }
    primary
}

#[tokio::test]
async fn names_match_by_pattern_and_come_by_namespace_and_name() {
    let primary =
        published(&["plain", "support/agent", "support/de/agent", "support/tone", "supporter/agent", "a/agent"]).await;
    primary.publish("support/unlabelled", "x").await;
    primary.publish("support/removed", "x").await;
    primary.deploy("support/removed", 1, "production").await;
    primary.remove("support/removed").await.expect("a prompt");
    for (at, pattern, expected) in [
        ("production", "support/**", &["support/agent", "support/de/agent", "support/tone"][..]),
        ("production", "support/*", &["support/agent", "support/tone"]),
        ("production", "support/agent", &["support/agent"]),
        ("production", "sup*/agent", &["support/agent", "supporter/agent"]),
        ("production", "**/agent", &["a/agent", "support/agent", "support/de/agent", "supporter/agent"]),
        ("production", "p*", &["plain"]),
        ("production", "s", &[]),
        ("latest", "support/*", &["support/agent", "support/tone", "support/unlabelled"]),
        ("staging", "**", &[]),
    ] {
        assert_eq!(names(&page(&primary, &wanted(at, pattern), None, 100)), expected, "{pattern}");
    }
    let everything = page(&primary, &wanted("production", "**"), None, 100);
    assert_eq!(everything.answers.len(), 6);
    assert_eq!((everything.position, everything.next), (primary.state().0, None));
}

#[tokio::test]
async fn readers_see_only_what_they_can_read_on_every_page() {
    let primary = published(&["secret/a", "support/agent", "support/plan", "support/tone"]).await;
    let scope = ReadScope::of(
        "ann",
        vec!["support/**".parse().expect("a pattern")],
        Some("*/*n*".parse().expect("a pattern")),
        false,
    );
    let view = primary.catalogue.as_reader(&scope).expect("a state");
    let page = |cursor: Option<&str>| {
        view.matching(&wanted("production", "**"), cursor, 2, &Cancellation::never()).expect("a page")
    };
    let first = page(None);
    assert_eq!(names(&first), ["support/agent", "support/plan"]);
    let second = page(first.next.as_deref());
    assert_eq!((names(&second), second.next), (vec!["support/tone".to_owned()], None));
}

#[tokio::test]
async fn pages_are_of_the_state_of_the_first() {
    let primary = published(&["a/1", "a/2", "a/3", "b/1", "c"]).await;
    primary.publish("a/2", "second").await;
    for at in ["production", "latest"] {
        let wanted = wanted(at, "**");
        let whole = page(&primary, &wanted, None, 100);
        let first = page(&primary, &wanted, None, 1);
        primary.publish("a/2", "another text").await;
        let newest = primary.view().prompt(&"a/2".parse().expect("a name")).expect("a prompt").prompt.latest;
        primary.deploy("a/2", newest, "production").await;
        primary.remove("a/3").await.expect("a prompt");
        primary.unlabel("b/1", "production").await.expect("a label");
        primary.publish("b/2", &format!("new at {at}")).await;
        primary.deploy("b/2", 1, "production").await;
        let (mut found, mut next) = (versions(&first), first.next);
        while let Some(cursor) = next {
            let page = page(&primary, &wanted, Some(&cursor), 1);
            assert_eq!(page.position, whole.position, "every page says which state it is of");
            found.extend(versions(&page));
            next = page.next;
        }
        assert_eq!(found, versions(&whole), "{at}");
        assert_ne!(versions(&page(&primary, &wanted, None, 100)), versions(&whole), "and the state of now is another");
        primary.publish("a/3", "back").await;
        primary.deploy("a/3", 1, "production").await;
        primary.deploy("b/1", 1, "production").await;
    }
}

#[tokio::test]
async fn every_state_of_a_history_is_read_as_single_references_answered_then() {
    const NAMES: [&str; 3] = ["m/a", "m/b", "m/c"];
    const LABELS: [&str; 3] = ["production", "staging", "latest"];
    let primary = Primary::found();
    let truth = |primary: &Primary| {
        let served = LABELS.iter().flat_map(|label| NAMES.iter().map(move |name| (*label, *name)));
        let version = |label: &str, name: &str| {
            primary.resolver.resolve(&format!("{name}@{label}"), &Query::default()).ok().map(|answer| answer.version)
        };
        let served = served.filter_map(|(label, name)| Some(((label, name.to_owned()), version(label, name)?)));
        served.collect::<BTreeMap<_, _>>()
    };
    let mut states: Vec<(Position, BTreeMap<_, _>)> = Vec::new();
    let mut random = 7_u64;
    let mut latest = BTreeMap::<&str, u64>::new();
    for step in 0..160 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = usize::try_from(random >> 33).expect("31 bits");
        let (name, at) = (NAMES[choice % 3], LABELS[(choice / 3) % 2]);
        let number = latest.get(name).map_or(0, |latest| 1 + (choice as u64 / 60) % latest);
        primary.wait(choice as u64 % 2);
        match (choice / 6) % 10 {
            0..=2 => {
                let published = primary.publish(name, &format!("text {step}")).await;
                latest.insert(name, published.version.number);
            }
            // What cannot be done here changes nothing.
            3..=5 if number > 0 => drop(primary.try_deploy(vec![moving(name, at, fixed(number))]).await),
            6 => drop(primary.rollback(name, at, None).await),
            7 => drop(primary.unlabel(name, at).await),
            8 => drop(primary.remove(name).await),
            _ => continue,
        }
        states.push((primary.state().0, truth(&primary)));
    }
    let mut served = 0;
    for (position, expected) in &states {
        for at in LABELS {
            let page = page(&primary, &wanted(at, "m/*"), Some(&format!("{position}:m/0")), 100);
            let found: BTreeMap<_, _> =
                versions(&page).into_iter().map(|(name, version)| ((at, name), version)).collect();
            let expected: BTreeMap<_, _> = expected
                .iter()
                .filter(|((label, _), _)| *label == at)
                .map(|(key, version)| (key.clone(), *version))
                .collect();
            assert_eq!(found, expected, "{at} at {position}");
            served += found.len();
        }
    }
    assert!(states.len() > 100 && served > 300, "{} states, {served} answers", states.len());
}

#[tokio::test]
async fn state_that_is_not_here_is_refused_and_a_foreign_cursor_too() {
    let primary = published(&["a/1", "a/2"]).await;
    let wanted = wanted("production", "a/*");
    let here = primary.state().0;
    let ask = |cursor: &str| primary.view().matching(&wanted, Some(cursor), 1, &Cancellation::never());
    let ahead = Position { seq: here.seq + 1, ..here };
    let refused = ask(&format!("{ahead}:a/1")).expect_err("a state of the future");
    assert_eq!(
        refused.to_string(),
        format!("cannot continue a list of the state {ahead} at {here}, the state of this node")
    );
    assert!(matches!(ask("a/1"), Err(ResolveError::Cursor(_))));
    let cursor = page(&primary, &wanted, None, 1).next.expect("another page");
    let second = ask(&cursor).expect("the second page");
    assert_eq!((names(&second), second.next), (vec!["a/2".to_owned()], None));
    primary.begin_epoch();
    assert!(matches!(ask(&cursor), Err(ResolveError::CursorExpired { position, .. }) if position == here));
}

#[tokio::test]
async fn subject_attributes_and_time_decide_as_for_a_single_reference() {
    let primary = published(&["a/1", "a/2"]).await;
    let before = primary.now();
    primary.wait(1_000).publish("a/1", "second").await;
    primary.split("a/1", "production", &[(1, 50), (2, 50)]).await;
    for subject in (0..20).map(|number| format!("user-{number}")) {
        let query = Query { subject: Some(subject), ..Query::default() };
        let found = page(&primary, &Matching { query: query.clone(), ..wanted("production", "a/*") }, None, 100);
        for (name, answer) in found.answers {
            let single = primary.resolver.resolve(&format!("{name}@production"), &query).expect("served");
            assert_eq!(answer.expect("served").body(), single.body());
        }
    }
    let query = Query { at: Some(before), ..Query::default() };
    let past = page(&primary, &Matching { query, ..wanted("production", "a/*") }, None, 100);
    assert_eq!(versions(&past), [("a/1".to_owned(), 1), ("a/2".to_owned(), 1)]);
    let long = Query { subject: Some("s".repeat(1_025)), ..Query::default() };
    let refused = primary.view().matching(
        &Matching { query: long, ..wanted("production", "**") },
        None,
        1,
        &Cancellation::never(),
    );
    assert!(matches!(refused, Err(ResolveError::Limit { .. })));
}

#[tokio::test]
async fn page_ends_at_16_mib_or_when_its_time_is_over_and_the_next_continues() {
    let primary = Primary::found();
    for number in 0..20 {
        let name = format!("large/{number:02}");
        primary.publish(&name, &format!("{number:02}{}", "x".repeat(900_000))).await;
        primary.deploy(&name, 1, "production").await;
    }
    let wanted = wanted("production", "large/*");
    let first = page(&primary, &wanted, None, 1_000);
    assert_eq!(first.answers.len(), 18, "18 of 900 kB are less than 16 MiB");
    let second = page(&primary, &wanted, first.next.as_deref(), 1_000);
    assert_eq!((names(&second), &second.next), (vec!["large/18".to_owned(), "large/19".to_owned()], &None));
    let over = Cancellation::never();
    over.abandon();
    let short = primary.view().matching(&wanted, None, 1_000, &over).expect("a page");
    assert_eq!(names(&short), ["large/00"], "it makes progress");
    assert_eq!(short.next, Some(format!("{}:large/00", short.position)));
}

#[test]
fn pages_over_http_are_those_of_primary_and_replica() {
    let node = Node::primary();
    for name in ["support/agent", "support/tone", "sales/agent"] {
        node.publish(name, &format!("text of {name}"));
    }
    let replica = Node::replica(&node);
    replica.until("the state of the primary", || {
        (replica.status()["position"] == node.status()["position"]).then_some(())
    });
    for node in [&node, &replica] {
        let answer = node.get("/v1/resolve?label=production&pattern=support/**").ok();
        assert_eq!(answer["position"], node.status()["position"]);
        let expected = ["support/agent@production", "support/tone@production"].map(
            |reference| json!({"reference": reference, "resolved": node.get(&format!("/v1/resolve/{reference}")).ok()}),
        );
        assert_eq!(answer["answers"], json!(expected));
        assert_eq!(answer["next"], Value::Null, "this is all");
        let everything = node.get("/v1/resolve").ok();
        assert_eq!(everything["answers"].as_array().map(Vec::len), Some(3), "all prompts at production by default");
        let first = node.get("/v1/resolve?limit=2").ok();
        let next = first["next"].as_str().expect("another page");
        let second = node.get(&format!("/v1/resolve?limit=2&cursor={next}")).ok();
        assert_eq!(second["answers"][0]["reference"], "support/tone@production");
        assert_eq!(second["position"], first["position"]);
        let ahead = node.get("/v1/resolve?cursor=1.999999:a").problem(410, "cursor_expired");
        assert!(ahead.contains("start again without `cursor`"), "{ahead}");
        let _said = node.get("/v1/resolve?cursor=a").problem(422, "invalid_request");
        let _said = node.get("/v1/resolve?pattern=").problem(400, "invalid_field");
        let _said = node.get("/v1/resolve?label=No").problem(400, "invalid_field");
        let _said = node.get("/v1/resolve?prefix=a").problem(400, "bad_request");
    }
}

#[test]
fn unchanged_answers_are_not_sent_again() {
    let node = Node::primary();
    node.publish("support/agent", "one");
    node.publish("sales/agent", "one");
    let path = "/v1/resolve?pattern=support/**";
    let ask = |path: &str, tag: &str| node.send("GET", path, &[("if-none-match", tag)], b"");
    let tag = node.get(path).header("etag").expect("an entity tag").to_owned();
    node.publish("sales/agent", "two");
    let known = ask(path, &tag);
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(tag.as_str())));
    assert_eq!(known.header("bookholder-position").map(Value::from), Some(node.status()["position"].clone()));
    node.publish("support/agent", "two");
    let changed = ask(path, &tag);
    assert_eq!((changed.status, changed.json()["answers"][0]["resolved"]["version"].clone()), (200, json!(2)));
    // A page with a next one continues in its own state, so any commit changes it.
    let tag = node.get("/v1/resolve?limit=1").header("etag").expect("an entity tag").to_owned();
    assert_eq!(ask("/v1/resolve?limit=1", &tag).status, 304);
    node.publish("support/agent", "three");
    assert_eq!(ask("/v1/resolve?limit=1", &tag).status, 200, "the next page is not that of the copy");
}
