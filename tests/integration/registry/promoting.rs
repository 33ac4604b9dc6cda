//! Promoting: what one label serves goes to another for many prompts, as planned, all at once or not at all.

use bookholder::api::govern::PrincipalRequest;
use bookholder::api::promote::{PromoteRequest, Promotion, PromotionPlan};
use bookholder::api::write::{DeployRequest, Deployed};
use bookholder::model::principal::{Grant, PrincipalKind};
use bookholder::registry::{Actor, RegistryError};
use bookholder::resolve::{Query, ReadScope};

use crate::support::primary::{Primary, fixed, label, moving, name, person};

/// Prompts whose version 2 is at staging, and whose version 1 is live.
async fn staged(names: &[&str]) -> Primary {
    let primary = Primary::found();
    for name in names {
        for (version, at) in [(1, "production"), (2, "staging")] {
            primary.publish(name, &format!("text {version} of {name}")).await;
            primary.deploy(name, version, at).await;
        }
    }
    primary
}

fn promotion(pattern: &str) -> Promotion {
    Promotion { pattern: pattern.parse().expect(pattern), from: label("staging"), to: label("production") }
}

fn plan(primary: &Primary, actor: &Actor, pattern: &str) -> PromotionPlan {
    primary.registry.plan_promotion(&primary.view(), actor, &promotion(pattern), "").expect("a plan")
}

fn request(pattern: &str, expected: Option<&str>) -> PromoteRequest {
    let Promotion { pattern, from, to } = promotion(pattern);
    let (message, expected) = ("because".to_owned(), expected.map(str::to_owned));
    PromoteRequest { pattern, from, to, message, expected, allow_major: false, break_glass: None }
}

async fn promote(primary: &Primary, pattern: &str, expected: Option<&str>) -> Result<Deployed, RegistryError> {
    primary.registry.promote(&primary.admin, request(pattern, expected)).await
}

fn live(primary: &Primary, name: &str) -> u64 {
    primary.resolver.resolve(name, &Query::default()).expect("served").version
}

#[tokio::test]
async fn everything_that_differs_is_deployed_under_one_commit() {
    let primary = staged(&["support/agent", "support/tone", "sales/agent"]).await;
    primary.publish("support/new", "only at staging").await;
    primary.deploy("support/new", 1, "staging").await;
    primary.publish("support/unstaged", "nowhere").await;
    primary.publish("support/same", "at both").await;
    for at in ["staging", "production"] {
        primary.deploy("support/same", 1, at).await;
    }
    primary.publish("support/removed", "gone").await;
    primary.deploy("support/removed", 1, "staging").await;
    primary.remove("support/removed").await.expect("a prompt");
    let planned = plan(&primary, &primary.admin, "support/**");
    let rows: Vec<_> = planned.prompts.iter().map(|one| (one.name.as_str(), one.unchanged)).collect();
    let expected = [("support/agent", false), ("support/new", false), ("support/same", true), ("support/tone", false)];
    assert_eq!(rows, expected);
    let before = primary.state().0;
    assert_eq!(planned.position, before, "planning changes nothing");
    let deployed = promote(&primary, "support/**", Some(&planned.fingerprint)).await.expect("as planned").deployments;
    assert_eq!(deployed.len(), 3);
    assert!(deployed.iter().all(|one| one.id == before.seq + 1 && one.label == label("production")));
    assert_eq!((live(&primary, "support/agent"), live(&primary, "support/new")), (2, 1));
    assert_eq!(live(&primary, "sales/agent"), 1, "it does not match");
    let entry = primary.last_entry();
    assert_eq!((entry.command.as_str(), entry.changes.len(), entry.subjects.len()), ("deploy", 3, 3));
    let again = promote(&primary, "support/**", None).await.expect("nothing to do");
    assert!(again.deployments.is_empty() && primary.state().0.seq == before.seq + 1);
}

#[tokio::test]
async fn split_is_promoted_with_its_slots_so_that_subjects_keep_their_version() {
    let primary = staged(&["a/b"]).await;
    primary.split("a/b", "staging", &[(1, 30), (2, 70)]).await;
    promote(&primary, "a/b", None).await.expect("good");
    let serving = |at: &str| primary.view().label(&name("a/b"), &label(at)).expect("a label").serving;
    assert_eq!(serving("production"), serving("staging"));
}

#[tokio::test]
async fn promotion_is_refused_if_the_plan_changed_and_only_then() {
    let primary = staged(&["a/1", "a/2"]).await;
    primary.publish("b", "elsewhere").await;
    let planned = plan(&primary, &primary.admin, "a/*");
    primary.deploy("b", 1, "staging").await;
    assert_eq!(plan(&primary, &primary.admin, "a/*").fingerprint, planned.fingerprint, "other prompts do not matter");
    for change in ["source", "target", "another prompt"] {
        let planned = plan(&primary, &primary.admin, "a/*");
        match change {
            "source" => {
                primary.publish("a/1", "three").await;
                primary.deploy("a/1", 3, "staging").await;
            }
            "target" => {
                primary.deploy("a/2", 2, "production").await;
                primary.deploy("a/2", 1, "production").await;
            }
            _ => {
                primary.publish("a/3", "new").await;
                primary.deploy("a/3", 1, "staging").await;
            }
        }
        let before = primary.state();
        let refused = promote(&primary, "a/*", Some(&planned.fingerprint)).await.expect_err(change);
        assert!(matches!(refused, RegistryError::PlanOutdated { .. }), "{change}: {refused}");
        assert_eq!(primary.state(), before, "{change}");
    }
    let planned = plan(&primary, &primary.admin, "a/*");
    assert_eq!(promote(&primary, "a/*", Some(&planned.fingerprint)).await.expect("as planned").deployments.len(), 3);
}

#[tokio::test]
async fn one_refused_prompt_refuses_all() {
    let primary = staged(&["a/1", "a/2", "b/1"]).await;
    let policy = r#"{"name":"two","prompts":"a/2","labels":"production","approvals":1}"#;
    primary.registry.put_policy(&primary.admin, serde_json::from_str(policy).expect("a policy")).await.expect("kept");
    let planned = plan(&primary, &primary.admin, "a/*");
    let unmet: Vec<_> = planned.prompts.iter().map(|one| one.unmet.len()).collect();
    assert_eq!(unmet, [0, 1], "{planned:?}");
    assert!(planned.prompts[1].unmet[0].starts_with("policy two requires 1 approval"), "{planned:?}");
    let refused = promote(&primary, "a/*", None).await.expect_err("no approval");
    assert!(matches!(refused, RegistryError::PolicyNotMet { .. }), "{refused}");
    assert_eq!((live(&primary, "a/1"), live(&primary, "a/2")), (1, 1));

    primary.publish("b/1", "{{who}} is needed now").await;
    let moves = vec![moving("b/1", "staging", fixed(3))];
    let staging = DeployRequest { moves, message: "why".to_owned(), allow_major: true, ..DeployRequest::default() };
    primary.registry.deploy(&primary.admin, staging).await.expect("callers are ready");
    let planned = plan(&primary, &primary.admin, "b/*");
    assert!(planned.prompts[0].breaks[0].contains("`who`"), "{planned:?}");
    assert!(matches!(promote(&primary, "b/*", None).await, Err(RegistryError::BreaksCallers { .. })));
    let allowed = PromoteRequest { allow_major: true, ..request("b/*", Some(&planned.fingerprint)) };
    primary.registry.promote(&primary.admin, allowed).await.expect("callers are ready");
    assert_eq!(live(&primary, "b/1"), 3);
}

#[tokio::test]
async fn grants_decide_what_is_seen_and_what_is_deployed() {
    let primary = staged(&["open/1", "secret/1", "shown/1"]).await;
    let grant =
        |role: &str, prompts: &str| Grant { prompts: prompts.parse().expect("a pattern"), ..Grant::everywhere(role) };
    let grants = vec![grant("releaser", "open/*"), grant("reader", "shown/*")];
    let ann = PrincipalRequest { name: "ann".to_owned(), kind: PrincipalKind::Person, grants };
    primary.registry.create_principal(&primary.admin, ann).await.expect("a free name");
    let ann = person("ann");
    let patterns = ["open/*", "shown/*"].map(|text| text.parse().expect("a pattern")).to_vec();
    let scope = ReadScope::of("ann", patterns, None, false);
    let view = primary.catalogue.as_reader(&scope).expect("a state");
    let planned = primary.registry.plan_promotion(&view, &ann, &promotion("**"), "").expect("a plan");
    let rows: Vec<_> = planned.prompts.iter().map(|one| (one.name.as_str(), one.unmet.is_empty())).collect();
    assert_eq!(rows, [("open/1", true), ("shown/1", false)]);
    let refused =
        primary.registry.promote(&ann, request("**", Some(&planned.fingerprint))).await.expect_err("no grant");
    assert_eq!(refused.to_string(), "permission denied: `ann` is not granted `deploy` on shown/1@production");
    assert_eq!(live(&primary, "open/1"), 1);
    let done = primary.registry.promote(&ann, request("open/**", None)).await.expect("granted").deployments;
    assert_eq!(done.len(), 1);
    let nothing = primary.registry.promote(&ann, request("secret/**", None)).await.expect_err("hidden");
    let absent = primary.registry.promote(&ann, request("secrex/**", None)).await.expect_err("absent");
    assert_eq!(nothing.to_string().replace("secret", "secrex"), absent.to_string());
}

#[tokio::test]
async fn labels_must_differ_and_latest_serves_by_itself() {
    let primary = staged(&["a"]).await;
    let wanted = |from: &str, to: &str| PromoteRequest { from: label(from), to: label(to), ..request("a", None) };
    let try_it = async |from: &str, to: &str| primary.registry.promote(&primary.admin, wanted(from, to)).await;
    assert!(matches!(try_it("staging", "latest").await, Err(RegistryError::LatestIsAutomatic)));
    assert!(matches!(try_it("staging", "staging").await, Err(RegistryError::Unfit(_))));
    assert!(matches!(try_it("trial", "production").await, Err(RegistryError::NothingToPromote { .. })));
    assert_eq!(try_it("latest", "trial").await.expect("version 2").deployments.len(), 1);
}
