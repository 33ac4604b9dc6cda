//! Publishing: versions count without gaps, the same content is not published twice, and the effect on callers is
//! reported.

use std::collections::BTreeSet;

use bookholder::api::write::PublishRequest;
use bookholder::model::audit::{AuditEntry, Command};
use bookholder::model::content::{Content, Syntax};
use bookholder::model::prompt::Prompt;
use bookholder::model::version::{Bump, Version};
use bookholder::registry::RegistryError;
use bookholder::store::StoreError;
use bookholder::store::write::Change;
use semver::Version as Semver;
use serde_json::json;

use crate::support::primary::{Primary, content, label, name, request};

#[tokio::test]
async fn publishing_the_same_text_returns_the_existing_version() {
    let primary = Primary::found();
    let first = primary.publish("support/agent", "Hi {{who}}").await;
    assert!(first.created);
    let before = primary.state();
    let again = primary.publish("support/agent", "Hi {{who}}").await;
    assert!(!again.created);
    assert_eq!((again.version, again.stamp), (first.version, first.stamp));
    assert_eq!(primary.state(), before);
    // An older version's text is a change again, because the latest differs.
    primary.publish("support/agent", "Hello {{who}}").await;
    assert_eq!(primary.publish("support/agent", "Hi {{who}}").await.version.number, 3);
    primary.verify();
}

#[tokio::test]
async fn publishing_the_latest_content_again_still_deploys() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let request = PublishRequest { labels: vec![label("staging")], ..request("one") };
    let published = primary.registry.publish(&primary.admin, name("a"), request).await.expect("no refusal");
    assert!(!published.created && published.deployment.is_some());
    assert_eq!(primary.text("a@staging").expect("a deployed version"), "one");
}

#[tokio::test]
async fn version_is_published_and_deployed_in_one_commit() {
    let primary = Primary::found();
    let (before, _) = primary.state();
    let request = PublishRequest { labels: vec![label("production"), label("staging")], ..request("one") };
    let published = primary.registry.publish(&primary.admin, name("a"), request).await.expect("no refusal");
    assert_eq!(primary.state().0.seq, before.seq + 1);
    assert_eq!(published.deployment, Some(before.seq + 1));
    assert_eq!(published.version.commit, before.seq + 1);
    assert_eq!(primary.text("a").expect("production"), primary.text("a@staging").expect("staging"));
}

#[tokio::test]
async fn outdated_expected_parent_is_rejected() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.publish("a", "two").await;
    let before = primary.state();
    let publish = |expected, text: &str| {
        let request = PublishRequest { expected_parent: Some(expected), ..request(text) };
        primary.registry.publish(&primary.admin, name("a"), request)
    };
    for expected in [0, 1, 3, u64::MAX] {
        let refused = publish(expected, "three").await.expect_err("a parent that moved");
        assert!(matches!(refused, RegistryError::ParentMoved { found: 2, .. }), "{refused}");
        assert_eq!(
            refused.to_string(),
            format!("the prompt `a` is now at version 2, not {expected}: someone else published")
        );
        assert_eq!(primary.state(), before);
    }
    assert_eq!(publish(2, "three").await.expect("the right parent").version.number, 3);
    let none_yet = PublishRequest { expected_parent: Some(0), ..request("one") };
    assert!(primary.registry.publish(&primary.admin, name("b"), none_yet).await.expect("a first version").created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_get_distinct_versions() {
    const PUBLISHERS: u64 = 16;
    const EACH: u64 = 8;
    let primary = Primary::found();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (registry, admin) = (primary.registry.clone(), primary.admin.clone());
        tasks.spawn(async move {
            let mut numbers = Vec::new();
            for round in 0..EACH {
                let request = request(&format!("{publisher} says {round}"));
                numbers.push(registry.publish(&admin, name("a"), request).await.expect("no refusal").version.number);
            }
            numbers
        });
    }
    let numbers: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(numbers.iter().copied().collect::<BTreeSet<_>>(), (1..=PUBLISHERS * EACH).collect());
    let texts: BTreeSet<String> =
        numbers.iter().map(|number| primary.text(&format!("a@{number}")).expect("it")).collect();
    assert_eq!(texts.len(), numbers.len(), "no text was lost");
    let verdict = primary.view().verify_audit().expect("a log");
    assert!(verdict.whole);
    assert_eq!(verdict.entries, 1 + PUBLISHERS * EACH, "one entry a command, and the founding");
    primary.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_publishers_with_the_same_parent_succeeds() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..12 {
        let (registry, admin) = (primary.registry.clone(), primary.admin.clone());
        let request = PublishRequest { expected_parent: Some(1), ..request(&format!("by {publisher}")) };
        tasks.spawn(async move { registry.publish(&admin, name("a"), request).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(
        outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|error| matches!(error, RegistryError::ParentMoved { expected: 1, found: 2, .. }))
    );
}

#[tokio::test]
async fn semantic_version_follows_the_effect_on_callers() {
    let primary = Primary::found();
    let schema = |schema| Content { response_schema: Some(schema), ..Content::text(Syntax::Mustache, "{{a}} {{b}}") };
    let steps: [(Content, Option<Bump>, &str); 8] = [
        (Content::text(Syntax::Mustache, "{{a}}"), None, "1.0.0"),
        (Content::text(Syntax::Mustache, "Hi {{a}}"), None, "1.0.1"),
        (Content::text(Syntax::Mustache, "Hello {{a}}"), Some(Bump::Minor), "1.1.0"),
        (Content::text(Syntax::Mustache, "{{a}} {{b}}"), None, "2.0.0"),
        (schema(json!({"type": "object"})), None, "2.1.0"),
        (schema(json!({"type": "string"})), None, "3.0.0"),
        (Content::text(Syntax::Mustache, "{{b}}"), Some(Bump::Major), "4.0.0"),
        (Content::text(Syntax::Mustache, "B: {{b}}"), Some(Bump::Patch), "4.0.1"),
    ];
    for (step, bump, expected) in steps {
        let request = PublishRequest { bump, ..content(step) };
        let published = primary.registry.publish(&primary.admin, name("a"), request).await.expect(expected);
        assert_eq!(published.version.semver, Semver::parse(expected).expect("a version"), "{expected}");
    }
}

#[tokio::test]
async fn too_small_declared_bump_is_rejected_with_reasons() {
    let primary = Primary::found();
    primary.publish("a", "{{a}}").await;
    let before = primary.state();
    for (text, bump, part, needed) in [
        ("{{b}}", Bump::Patch, "declared as patch, but this is a major change", "declare major"),
        ("{{a}} {{b}}", Bump::Minor, "declared as minor, but this is a major change", "declare major"),
        ("nothing", Bump::Patch, "`a`", "declare minor"),
    ] {
        let request = PublishRequest { bump: Some(bump), ..request(text) };
        let refused = primary.registry.publish(&primary.admin, name("a"), request).await.expect_err(text).to_string();
        assert!(refused.contains(part) && refused.ends_with(needed), "{refused}");
        assert_eq!(primary.state(), before);
    }
}

#[tokio::test]
async fn existing_prompt_keeps_a_name_invalid_for_new_ones() {
    let primary = Primary::found();
    let first = primary.publish("agent", "one").await.version;
    let bytes = Content::text(Syntax::Mustache, "one").to_canonical().expect("a content");
    let (old, now) = (["Agent", "con", "a b/Über."].map(name), primary.now());
    let names = old.clone();
    let written = primary.store.write(move |txn| {
        let mut changes = Vec::new();
        for name in names {
            let version = Version { commit: txn.next_seq(), ..first.clone() };
            changes.push(Change::Content(name.namespace().to_owned(), version.content_id, bytes.clone()));
            changes.push(Change::Version(name.clone(), version));
            changes.push(Change::Prompt(Prompt { name, created: now, changed: now, latest: 1, removed: None }));
        }
        txn.commit(now, changes, AuditEntry::of(Command::Publish))
    });
    let _seq: Result<u64, StoreError> = Ok(written.await.expect("a commit"));
    for name in old.iter().map(bookholder::model::name::PromptName::as_str) {
        assert_eq!(primary.publish(name, "two").await.version.number, 2, "{name}");
        primary.deploy(name, 2, "production").await;
        primary.remove(name).await.expect("removed");
        assert_eq!(primary.publish(name, "three").await.version.number, 3, "{name} comes back");
        assert_eq!(primary.text(&format!("{name}@latest")).expect("a text"), "three");
    }
    for (new, part) in [("AGENT", "example `agent`"), ("aux", "a device"), ("a b/c", "U+0020"), ("Agent/x", "`A`")] {
        let refused = primary.try_publish(new, "one").await.expect_err(new).to_string();
        assert!(refused.contains(part), "{refused}");
    }
    primary.verify();
}
