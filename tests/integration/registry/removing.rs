//! Removing: labels stop serving, history stays, and a prompt that returns goes on counting.

use bookholder::model::deployment::Action;
use bookholder::model::serving::Serving;

use crate::support::primary::{Primary, label, name};

#[tokio::test]
async fn removed_prompt_is_not_served_and_republishing_continues_numbers() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.publish("a", "two").await;
    primary.deploy("a", 2, "production").await;
    let served = primary.now();
    let removed_at = { primary.wait(1_000).now() };
    let removed = primary.remove("a").await.expect("no prompt includes it");
    let labels: Vec<&str> = removed.deployments.iter().map(|deployment| deployment.label.as_str()).collect();
    assert_eq!(labels, ["latest", "production"]);
    assert!(
        removed.deployments.iter().all(|deployment| deployment.action == Action::Remove && deployment.to.is_none())
    );
    for reference in ["a", "a@latest", "a@1", "a@2"] {
        let error = primary.text(reference).expect_err(reference);
        assert_eq!(error.to_string(), "the prompt `a` was removed at 2026-03-20T15:00:01Z", "{reference}");
    }
    primary.wait(1_000);
    let back = primary.publish("a", "two").await;
    assert!(back.created, "what the removed prompt said last is news again");
    assert_eq!(back.version.number, 3);
    assert_eq!(primary.text("a@latest").expect("it is back"), "two");
    assert!(primary.text("a").is_err(), "its labels do not come back by themselves");
    assert_eq!(primary.text("a@1").expect("its history is"), "one");

    assert_eq!(primary.text_at("a", served).expect("served then"), "two");
    for reference in ["a", "a@latest", "a@1", "a@2"] {
        let error = primary.text_at(reference, removed_at).expect_err(reference);
        assert_eq!(error.to_string(), "the prompt `a` was removed at 2026-03-20T15:00:01Z", "{reference}");
    }
    assert_eq!(primary.text_at("a@1", primary.now()).expect("it is back"), "one");
    primary.rollback("a", "production", None).await.expect("it served something before it was removed");
    assert_eq!(primary.text("a").expect("version 2"), "two");
    primary.verify();
}

#[tokio::test]
async fn removing_an_absent_prompt_is_rejected() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    assert_eq!(primary.remove("b").await.expect_err("none").to_string(), "there is no prompt `b`");
    primary.remove("a").await.expect("it is there");
    let before = primary.state();
    let twice = primary.remove("a").await.expect_err("it is gone").to_string();
    assert_eq!(twice, "the prompt `a` was removed at 2026-03-20T15:00:00Z; publish a version to bring it back");
    for outcome in [primary.unlabel("a", "x").await, primary.rollback("a", "x", None).await] {
        assert_eq!(outcome.expect_err("it is gone").to_string(), twice);
    }
    assert_eq!(primary.state(), before);
}

#[tokio::test]
async fn lists_omit_removed_prompts_by_default_and_paginate() {
    let primary = Primary::found();
    for prompt in ["b", "a", "team/x", "team/y", "teams/z", "us/all"] {
        primary.publish(prompt, "text").await;
    }
    primary.remove("team/x").await.expect("it is there");
    let list = |prefix: &str, removed, limit| {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = primary.view().prompts(prefix, removed, cursor.as_deref(), limit).expect("a page");
            assert!(page.items.len() <= limit);
            names.extend(page.items.into_iter().map(|view| String::from(view.prompt.name)));
            cursor = page.next;
            if cursor.is_none() {
                return names;
            }
        }
    };
    for limit in [1, 2, 100] {
        assert_eq!(list("", false, limit), ["a", "b", "team/y", "teams/z", "us/all"], "{limit}");
        assert_eq!(list("team/", true, limit), ["team/x", "team/y"], "{limit}");
        assert_eq!(list("team", false, limit), ["team/y", "teams/z"], "{limit}");
        assert_eq!(list("us", false, limit), ["us/all"], "{limit}");
        assert_eq!(list("nothing", true, limit), Vec::<String>::new(), "{limit}");
    }
    let error = primary.view().prompts("", false, Some("a@b"), 1).expect_err("no cursor");
    assert_eq!(error.to_string(), "the cursor `a@b` is not from this list");
}

#[tokio::test]
async fn history_and_log_page_from_the_newest_back() {
    let primary = Primary::found();
    for version in 1..=5 {
        primary.publish("a", &format!("v{version}")).await;
        primary.wait(10).deploy("a", version, "production").await;
    }
    let (mut numbers, mut cursor) = (Vec::new(), None);
    loop {
        let page = primary.view().versions(&name("a"), cursor.as_deref(), 2).expect("a page");
        numbers.extend(page.items.iter().map(|version| version.number));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    for of in [None, Some(label("production"))] {
        let (mut served, mut cursor) = (Vec::new(), None);
        loop {
            let page = primary.view().deployments(&name("a"), of.as_ref(), cursor.as_deref(), 2).expect("a page");
            served.extend(page.items.iter().map(|deployment| deployment.to.as_ref().and_then(Serving::fixed)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(served, [Some(5), Some(4), Some(3), Some(2), Some(1)], "{of:?}");
    }
    assert_eq!(primary.view().all_deployments(None, 3).expect("a page").items.len(), 3);
}
