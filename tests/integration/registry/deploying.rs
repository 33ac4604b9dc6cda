//! Labels: deployed all at once or not at all, split with few movements, and rolled back.

use std::collections::BTreeMap;

use bookholder::api::write::{Move, RuleRequest, ServingRequest, SplitRequest};
use bookholder::experiment::assignment::bucket;
use bookholder::model::serving::{Split, Target};
use bookholder::registry::RegistryError;
use bookholder::resolve::Query;

use crate::support::primary::{Primary, fixed, label, moving, name, text_of, weighted, why};

async fn with_versions(prompt: &str, versions: u64) -> Primary {
    let primary = Primary::found();
    for version in 1..=versions {
        primary.publish(prompt, &format!("v{version}")).await;
    }
    primary
}

async fn refused(primary: &Primary, moves: Vec<Move>, message: &str) {
    let before = primary.state();
    let error = primary.try_deploy(moves).await.expect_err(message);
    assert_eq!(error.to_string(), message);
    assert_eq!(primary.state(), before, "{message}");
}

fn split_of(primary: &Primary, prompt: &str, of: &str) -> Split {
    match primary.view().label(&name(prompt), &label(of)).expect("a label").serving.default {
        Target::Split(split) => split,
        Target::Version(version) => panic!("version {version} is no split"),
    }
}

#[tokio::test]
async fn one_deployment_moves_several_prompts_under_one_commit() {
    let primary = with_versions("a", 2).await;
    primary.publish("b", "b1").await;
    let (before, _) = primary.state();
    let moves =
        vec![moving("b", "production", fixed(1)), moving("a", "production", fixed(2)), moving("a", "x", fixed(1))];
    let deployed = primary.try_deploy(moves).await.expect("all good");
    assert_eq!(deployed.deployments.len(), 3);
    assert!(deployed.deployments.iter().all(|deployment| deployment.id == before.seq + 1));
    assert_eq!(primary.state().0.seq, before.seq + 1);
    assert_eq!((primary.text("a").expect("a"), primary.text("b").expect("b")), ("v2".to_owned(), "b1".to_owned()));
    primary.verify();
}

#[tokio::test]
async fn one_invalid_move_rejects_all() {
    let primary = with_versions("a", 2).await;
    primary.publish("b", "b1").await;
    primary.publish("gone", "x").await;
    primary.remove("gone").await.expect("no prompt includes it");
    let good = || moving("a", "production", fixed(2));
    let with = |bad: Move| vec![good(), bad];
    for (bad, message) in [
        (moving("b", "production", fixed(2)), "the prompt `b` has no version 2; its latest is 1".to_owned()),
        (moving("b", "production", fixed(3)), "the prompt `b` has no version 3; its latest is 1".to_owned()),
        (
            moving("b", "production", fixed(u64::MAX)),
            format!("the prompt `b` has no version {}; its latest is 1", u64::MAX),
        ),
        (moving("nobody", "production", fixed(1)), "there is no prompt `nobody`".to_owned()),
        (
            moving("gone", "production", fixed(1)),
            "the prompt `gone` was removed at 2026-03-20T15:00:00Z; publish a version to bring it back".to_owned(),
        ),
        (
            moving("b", "latest", fixed(1)),
            "the label `latest` always serves the latest version and cannot be \
            deployed to"
                .to_owned(),
        ),
        (
            moving("a", "production", fixed(1)),
            "the label `production` of `a` appears twice in one deployment; list it once".to_owned(),
        ),
        (
            moving("b", "production", fixed(0)),
            "invalid deployment for `b@production`: versions count from 1".to_owned(),
        ),
        (
            moving("b", "x", ServingRequest::default()),
            "invalid deployment for `b@x`: it has neither `version` nor `split`".to_owned(),
        ),
        (
            moving("b", "x", ServingRequest { version: Some(1), ..weighted(&[(1, 1)]) }),
            "invalid deployment for `b@x`: it has both `version` and `split`".to_owned(),
        ),
        (moving("b", "x", weighted(&[(1, 1), (2, 1)])), "the prompt `b` has no version 2; its latest is 1".to_owned()),
        (moving("b", "x", weighted(&[])), "a split needs at least one version with a weight".to_owned()),
        (
            moving("b", "x", weighted(&[(1, 0)])),
            "the weight of version 1 is 0; leave the version out, or use a weight of at least 1".to_owned(),
        ),
    ] {
        refused(&primary, with(bad), &message).await;
        assert!(primary.text("a").is_err(), "{message}");
    }
    refused(&primary, Vec::new(), "a deployment needs at least one label").await;
    refused(&primary, vec![good(); 1_001], "there are 1001 moves; the limit is 1000").await;
}

#[tokio::test]
async fn missing_version_cannot_be_deployed() {
    let primary = with_versions("a", 1).await;
    refused(&primary, vec![moving("a", "production", fixed(2))], "the prompt `a` has no version 2; its latest is 1")
        .await;
    let rollback = primary.rollback("a", "production", Some(2)).await.expect_err("no such version");
    assert_eq!(rollback.to_string(), "the prompt `a` has no version 2; its latest is 1");
}

#[tokio::test]
async fn deploying_the_current_serving_makes_no_commit() {
    let primary = with_versions("a", 1).await;
    primary.deploy("a", 1, "production").await;
    let before = primary.state();
    assert!(primary.deploy("a", 1, "production").await.deployments.is_empty());
    assert_eq!(primary.state(), before);
}

#[tokio::test]
async fn changing_weights_keeps_the_salt_and_moves_few_slots() {
    let primary = with_versions("a", 3).await;
    primary.split("a", "production", &[(1, 90), (2, 10)]).await;
    let before = split_of(&primary, "a", "production");
    primary.split("a", "production", &[(1, 80), (2, 20)]).await;
    let after = split_of(&primary, "a", "production");
    assert_eq!(after.salt, before.salt);
    let moved = (0..10_000).filter(|slot| before.at(*slot) != after.at(*slot)).count();
    assert_eq!(moved, 1_000, "ten percent of the slots change hands, and no other");
    assert!(
        (0..10_000).all(|slot| before.at(slot) != Some(2) || after.at(slot) == Some(2)),
        "a growing arm loses nobody"
    );
    assert_eq!(after.weights(), BTreeMap::from([(1, 8_000), (2, 2_000)]));

    primary.split("a", "production", &[(1, 80), (3, 20)]).await;
    let third = split_of(&primary, "a", "production");
    assert!((0..10_000).all(|slot| after.at(slot) != Some(1) || third.at(slot) == Some(1)));
    for subject in (0..200).map(|number| format!("user-{number}")) {
        let query = Query { subject: Some(subject.clone()), ..Query::default() };
        let served = text_of(&primary.resolver, "a", &query).expect("an arm");
        let slot = bucket(&third.salt, &subject);
        assert_eq!(Some(served), third.at(slot).map(|version| format!("v{version}")));
    }
}

#[tokio::test]
async fn rule_split_keeps_its_salt_when_weights_change() {
    let primary = with_versions("a", 2).await;
    let serving = |weights: &[(u64, u32)]| {
        let split = Some(SplitRequest { weights: weights.iter().copied().collect(), salt: None });
        let when = BTreeMap::from([("locale".to_owned(), "de*".to_owned())]);
        ServingRequest { rules: vec![RuleRequest { when, split, version: None }], ..fixed(1) }
    };
    let rule_split = |primary: &Primary| {
        let serving = primary.view().label(&name("a"), &label("production")).expect("a label").serving;
        match serving.rules[0].target.clone() {
            Target::Split(split) => split,
            Target::Version(_) => panic!("a split was deployed"),
        }
    };
    primary.try_deploy(vec![moving("a", "production", serving(&[(1, 1), (2, 1)]))]).await.expect("good");
    let before = rule_split(&primary);
    primary.try_deploy(vec![moving("a", "production", serving(&[(1, 1), (2, 3)]))]).await.expect("good");
    let after = rule_split(&primary);
    assert_eq!(before.salt, after.salt);
    assert_eq!((0..10_000).filter(|slot| before.at(*slot) != after.at(*slot)).count(), 2_500);
}

#[tokio::test]
async fn servings_over_their_limits_are_refused() {
    let primary = with_versions("a", 1).await;
    let rule = |when: &[(&str, &str)]| RuleRequest {
        when: when.iter().map(|(name, pattern)| ((*name).to_owned(), (*pattern).to_owned())).collect(),
        version: Some(1),
        split: None,
    };
    let attributes: Vec<String> = (0..17).map(|number| format!("a{number}")).collect();
    let seventeen: Vec<(&str, &str)> = attributes.iter().map(|name| (name.as_str(), "x")).collect();
    let rules = |rules| vec![moving("a", "x", ServingRequest { rules, ..fixed(1) })];
    let no_serving = |reason: &str| format!("invalid deployment for `a@x`: {reason}");
    let long = "an attribute's name is empty, or it or its pattern is longer than 200 bytes";
    for (bad, message) in [
        (vec![rule(&[("l", "d")]); 65], "there are 65 rules; the limit is 64".to_owned()),
        (vec![rule(&seventeen)], "there are 17 attributes in a rule; the limit is 16".to_owned()),
        (vec![rule(&[])], no_serving("a rule without attributes always matches; make it the default")),
        (vec![rule(&[("", "x")])], no_serving(long)),
        (vec![rule(&[("l", &"x".repeat(201))])], no_serving(long)),
    ] {
        refused(&primary, rules(bad), &message).await;
    }
    let salted = |salt: &str| {
        let split = SplitRequest { weights: BTreeMap::from([(1, 1)]), salt: Some(salt.to_owned()) };
        vec![moving("a", "x", ServingRequest { split: Some(split), ..ServingRequest::default() })]
    };
    for salt in ["", "a.b", "ü", &"s".repeat(201)] {
        refused(&primary, salted(salt), &no_serving("a salt is 1 to 200 of A-Z a-z 0-9 _ -")).await;
    }
    let many: Vec<(u64, u32)> = (1..=33).map(|version| (version, 1)).collect();
    refused(
        &primary,
        vec![moving("a", "x", weighted(&many))],
        "a split must have at most 32 versions; this one has 33",
    )
    .await;
}

#[tokio::test]
async fn rollback_restores_what_was_served_before_and_a_second_one_goes_further_back() {
    let primary = with_versions("a", 3).await;
    let nothing = primary.rollback("a", "production", None).await.expect_err("it never served anything");
    assert_eq!(nothing.to_string(), "`a@production` has no earlier deployment to roll back to");
    primary.deploy("a", 1, "production").await;
    assert!(primary.rollback("a", "production", None).await.is_err(), "it never served anything else");
    primary.split("a", "production", &[(1, 1), (2, 1)]).await;
    let split = primary.view().label(&name("a"), &label("production")).expect("a label").serving;
    primary.deploy("a", 3, "production").await;
    primary.rollback("a", "production", None).await.expect("the split was before");
    assert_eq!(primary.view().label(&name("a"), &label("production")).expect("a label").serving, split);
    primary.rollback("a", "production", None).await.expect("and version 1 before that, not version 3 again");
    assert_eq!(primary.text("a").expect("v1"), "v1");
    assert!(primary.rollback("a", "production", None).await.is_err(), "nothing was before it");
    primary.rollback("a", "production", Some(3)).await.expect("version 3 is there");
    primary.rollback("a", "production", Some(1)).await.expect("version 1 is there");
    assert_eq!(primary.text("a").expect("v1"), "v1");
    primary.unlabel("a", "production").await.expect("a label");
    primary.rollback("a", "production", None).await.expect("a label that is gone comes back");
    assert_eq!(primary.text("a").expect("v1"), "v1");
    primary.verify();
}

#[tokio::test]
async fn retired_version_is_neither_deployed_nor_rolled_back_to() {
    let primary = with_versions("a", 2).await;
    primary.deploy("a", 1, "production").await;
    let served = primary.registry.retire(&primary.admin, name("a"), 1, why()).await.expect_err("it is served");
    assert_eq!(served.to_string(), "version 1 of `a` is deployed to `production`; deploy another version there first");
    primary.deploy("a", 2, "production").await;
    let retired = primary.registry.retire(&primary.admin, name("a"), 1, why()).await.expect("nobody serves it");
    assert!(retired.retired.is_some());
    let before = primary.state();
    let message = "version 1 of `a` was retired by admin: because";
    for refused in [
        primary.rollback("a", "production", None).await,
        primary.rollback("a", "production", Some(1)).await,
        primary.try_deploy(vec![moving("a", "x", fixed(1))]).await,
        primary.try_deploy(vec![moving("a", "x", weighted(&[(1, 1), (2, 1)]))]).await,
    ] {
        assert_eq!(refused.expect_err(message).to_string(), message);
    }
    primary.registry.retire(&primary.admin, name("a"), 1, why()).await.expect("retired already");
    assert_eq!(primary.state(), before);
    let missing = primary.registry.retire(&primary.admin, name("a"), 9, why()).await.expect_err("no such version");
    assert!(matches!(missing, RegistryError::VersionNotFound { number: 9, latest: 2, .. }));
    primary.registry.reinstate(&primary.admin, name("a"), 1, why()).await.expect("it may come back");
    primary.rollback("a", "production", None).await.expect("it is no longer retired");
    assert_eq!(primary.text("a").expect("v1"), "v1");
}

#[tokio::test]
async fn removed_label_serves_nothing() {
    let primary = with_versions("a", 1).await;
    let absent = primary.unlabel("a", "production").await.expect_err("no such label");
    assert_eq!(absent.to_string(), "the prompt `a` has no label `production`");
    primary.deploy("a", 1, "production").await;
    let gone = primary.unlabel("a", "production").await.expect("a label");
    assert_eq!(gone.deployments[0].to, None);
    let error = primary.text("a").expect_err("nothing is served");
    assert_eq!(error.to_string(), "the prompt `a` has no label `production`");
    assert_eq!(primary.text("a@latest").expect("it moves by itself"), "v1");
    primary.verify();
}
