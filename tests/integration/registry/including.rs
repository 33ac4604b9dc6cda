//! Includes: pinned when published, flat when served, never in a circle, and a reason not to remove.

use bookholder::registry::RegistryError;

use crate::support::primary::{Primary, name, version_refs};
use crate::support::upstream::PATIENCE;

async fn refused(primary: &Primary, prompt: &str, text: &str, part: &str) {
    let before = primary.state();
    let error = primary.try_publish(prompt, text).await.expect_err(text);
    assert!(error.to_string().contains(part), "{text}: {error}");
    assert_eq!(primary.state(), before, "{text}");
}

#[tokio::test]
async fn include_is_pinned_and_newer_version_lists_outdated_dependents() {
    let primary = Primary::found();
    primary.publish("shared/tone", "Be kind to {{who}}.").await;
    let agent = primary.publish("support/agent", "{{> shared/tone@latest}} Answer.").await;
    assert_eq!(agent.version.includes.len(), 1);
    assert_eq!((agent.version.includes[0].name.clone(), agent.version.includes[0].version), (name("shared/tone"), 1));
    primary.deploy("support/agent", 1, "production").await;
    assert_eq!(primary.text("support/agent").expect("flat"), "Be kind to {{who}}. Answer.");

    let newer = primary.publish("shared/tone", "Be brief, {{who}}.").await;
    assert_eq!(newer.dependents, version_refs(["support/agent@1"]));
    assert_eq!(primary.text("support/agent").expect("pinned"), "Be kind to {{who}}. Answer.");
    assert_eq!(primary.view().prompt(&name("shared/tone")).expect("it").dependents, version_refs(["support/agent@1"]));

    let again = primary.publish("support/agent", "{{> shared/tone@latest}} Answer.").await;
    assert!(again.created, "the same source says something else now");
    assert_eq!(primary.text("support/agent@2").expect("flat"), "Be brief, {{who}}. Answer.");
    primary.verify();
}

#[tokio::test]
async fn include_by_label_number_or_content_is_pinned() {
    let primary = Primary::found();
    let one = primary.publish("tone", "one").await;
    primary.publish("tone", "two").await;
    primary.deploy("tone", 1, "production").await;
    for (index, (reference, text)) in [
        ("tone", "one"),
        ("tone@2", "two"),
        ("tone@latest", "two"),
        (&*format!("tone@{}", one.version.content_id), "one"),
    ]
    .into_iter()
    .enumerate()
    {
        let prompt = format!("p{index}");
        primary.publish(&prompt, &format!("{{{{> {reference}}}}}!")).await;
        assert_eq!(primary.text(&format!("{prompt}@1")).expect(reference), format!("{text}!"));
    }
}

#[tokio::test]
async fn includes_that_cannot_be_pinned_are_refused_with_the_reason() {
    let primary = Primary::found();
    primary.publish("tone", "one").await;
    primary.publish("tone", "two").await;
    primary.split("tone", "both", &[(1, 1), (2, 1)]).await;
    primary.publish("gone", "gone").await;
    primary.remove("gone").await.expect("no prompt includes it");
    for (text, part) in [
        ("{{> nobody@1}}", "there is no prompt `nobody`"),
        ("{{> gone@1}}", "there is no prompt `gone`"),
        ("{{> tone}}", "`tone` has no label `production`; write a version, such as `tone@2`"),
        ("{{> tone@both}}", "serves several versions"),
        ("{{> tone@9}}", "no version 9; its latest is 2"),
        ("{{> tone@0}}", "versions count from 1"),
        ("{{> tone@b3:00000000}}", "no version b3:00000000"),
        ("{{> a/../b@1}}", "`..`"),
    ] {
        refused(&primary, "agent", text, part).await;
    }
}

#[tokio::test]
async fn include_cycle_is_rejected_with_its_path() {
    let primary = Primary::found();
    primary.publish("a", "a").await;
    refused(&primary, "a", "{{> a@1}} and more", "a prompt cannot include itself").await;
    primary.publish("b", "{{> a@1}} b").await;
    primary.publish("c", "{{> b@1}} c").await;
    refused(&primary, "a", "{{> c@1}}", "it includes `a` again: c@1 → b@1 → a@1").await;
}

#[tokio::test]
async fn includes_go_five_deep_and_no_deeper() {
    let primary = Primary::found();
    primary.publish("p0", "base").await;
    for depth in 1..=5 {
        primary.publish(&format!("p{depth}"), &format!("{{{{> p{}@1}}}}.", depth - 1)).await;
    }
    assert_eq!(primary.text("p5@1").expect("flat"), "base.....");
    refused(&primary, "p6", "{{> p5@1}}", "includes are limited to 5 levels").await;
}

/// Forty ways at each of four levels are two and a half million, for each prompt, and must not be walked one by one.
#[tokio::test]
async fn include_depth_visits_each_version_once() {
    const WAYS: usize = 40;
    let primary = Primary::found();
    let web = async {
        primary.publish("w0", "").await;
        for level in 1..=4 {
            let include = |arm: usize| match level {
                1 => "{{> w0@1}}".to_owned(),
                _ => format!("{{{{> w{}-{arm}@1}}}}", level - 1),
            };
            let text: String = (0..WAYS).map(include).collect();
            for arm in 0..WAYS {
                primary.publish(&format!("w{level}-{arm}"), &text).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, web).await.expect("a publication takes its time, not its ways' time");
}

#[tokio::test]
async fn included_prompt_cannot_be_removed() {
    let primary = Primary::found();
    primary.publish("tone", "kind").await;
    primary.publish("agent", "{{> tone@1}}!").await;
    let before = primary.state();
    let error = primary.remove("tone").await.expect_err("it is included");
    assert!(matches!(error, RegistryError::StillIncluded { .. }));
    assert_eq!(error.to_string(), "`tone` is included by agent@1; change those first");
    assert_eq!(primary.state(), before);

    primary.deploy("agent", 1, "production").await;
    primary.publish("agent", "nothing included").await;
    assert!(primary.remove("tone").await.is_err(), "a label still serves the version that includes it");
    primary.deploy("agent", 2, "production").await;
    primary.remove("tone").await.expect("only history includes it");
    assert_eq!(primary.text("agent@1").expect("flat for ever"), "kind!");
    primary.verify();
}
