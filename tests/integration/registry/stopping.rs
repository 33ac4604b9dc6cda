//! What was stopped stays stopped, and an approval is spent with its move: every way to stop × every way around it.

use std::pin::Pin;

use bookholder::api::govern::{AmendRequest, ApplyRequest, ArchiveRequest, ProposeRequest, ReviewRequest};
use bookholder::api::write::{
    DeployRequest, Deployed, ImportChange, ImportRequest, PublishRequest, RollbackRequest, ServingRequest,
};
use bookholder::model::change_request::{ChangeRequest, EventKind, RequestState};
use bookholder::model::content::Syntax;
use bookholder::model::verdict::RequirementKind;
use bookholder::registry::RegistryError;

use super::governing::{policy, team};
use crate::support::primary::{Primary, fixed, label, moving, name, person, request, version_refs, weighted, why};

const AGENT: &str = "support/agent";
const OTHER: &str = "support/other";
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

type Done<'p, T> = Pin<Box<dyn Future<Output = T> + 'p>>;
type Step = (&'static str, fn(&Primary) -> Done<'_, ()>);
/// Something that rob tries alone, with a change request that was approved before.
type Try = (&'static str, for<'p> fn(&'p Primary, &'p ChangeRequest) -> Done<'p, Result<Deployed, RegistryError>>);

async fn publish(primary: &Primary, text: &str) -> u64 {
    let published = primary.registry.publish(&person("ann"), name(AGENT), request(text)).await.expect("hers");
    published.version.number
}

async fn deploy(primary: &Primary, serving: ServingRequest) -> Result<Deployed, RegistryError> {
    let moves = vec![moving(AGENT, "production", serving)];
    let request = DeployRequest { moves, message: "now".to_owned(), ..DeployRequest::default() };
    primary.registry.deploy(&person("rob"), request).await
}

async fn rollback(primary: &Primary, to: Option<u64>) -> Result<Deployed, RegistryError> {
    let request = RollbackRequest { message: "harm".to_owned(), to, ..RollbackRequest::default() };
    primary.registry.rollback(&person("rob"), name(AGENT), label("production"), request).await
}

async fn propose(primary: &Primary, serving: ServingRequest, with_other: bool) -> ChangeRequest {
    let mut moves = vec![moving(AGENT, "production", serving)];
    if with_other {
        moves.push(moving(OTHER, "production", fixed(1)));
    }
    let asked = ProposeRequest { message: "m".to_owned(), moves, expires_days: Some(365), ..ProposeRequest::default() };
    primary.registry.propose(&person("ann"), asked).await.expect("a proposal")
}

async fn approve(primary: &Primary, asked: &ChangeRequest) {
    let fingerprints = asked.moves.iter().map(|one| one.fingerprint.clone()).collect();
    let approval = ReviewRequest { kind: EventKind::Approve, message: String::new(), fingerprints };
    primary.registry.review(&person("cy"), asked.id, approval).await.expect("cy may");
}

/// Deploys something with an approval of its own.
async fn deploy_approved(primary: &Primary, version: u64) {
    approve(primary, &propose(primary, fixed(version), false).await).await;
    deploy(primary, fixed(version)).await.expect("approved");
}

/// Versions 1 and then 2 are live, each with an approval of its own; a request for 2 and more is open and approved.
async fn world() -> (Primary, ChangeRequest) {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    primary.publish(OTHER, "other").await;
    for version in [publish(&primary, "one").await, publish(&primary, "two").await] {
        deploy_approved(&primary, version).await;
    }
    let asked = propose(&primary, fixed(2), true).await;
    approve(&primary, &asked).await;
    (primary, asked)
}

/// How version 2 is stopped.
const STOPS: &[Step] = &[
    ("unlabel", |primary| {
        Box::pin(async move {
            let (rob, why) = (person("rob"), why());
            primary.registry.unlabel(&rob, name(AGENT), label("production"), why).await.expect("the stop button");
        })
    }),
    ("rollback", |primary| {
        Box::pin(async move {
            rollback(primary, None).await.expect("free");
        })
    }),
    ("rollback to a version", |primary| {
        Box::pin(async move {
            rollback(primary, Some(1)).await.expect("free");
        })
    }),
    ("remove", |primary| {
        Box::pin(async move {
            primary.registry.remove(&primary.admin, name(AGENT), why().into()).await.expect("an admin");
            publish(primary, "back again").await;
        })
    }),
    ("remove by an import, and an import", |primary| {
        Box::pin(async move {
            for (id, text) in [("1", None), ("2", Some("back again".to_owned()))] {
                let change = ImportChange {
                    id: id.to_owned(),
                    at: primary.now(),
                    author: "somebody".to_owned(),
                    message: "m".to_owned(),
                    name: name(AGENT),
                    text,
                    original: None,
                };
                let import = ImportRequest { changes: vec![change], syntax: Syntax::Mustache, label: label("staging") };
                let outcome = primary.registry.import(&primary.admin, import).await.expect("an import");
                assert!(outcome.refused.is_empty());
            }
        })
    }),
];

/// What happens between.
const MEANWHILE: &[Step] = &[
    ("nothing", |_| Box::pin(async move {})),
    ("another version is approved and deployed", |primary| {
        Box::pin(async move {
            let version = publish(primary, "three").await;
            deploy_approved(primary, version).await;
        })
    }),
    ("another version is deployed against the policy", |primary| {
        Box::pin(async move {
            let version = publish(primary, "three").await;
            let glass = DeployRequest {
                moves: vec![moving(AGENT, "production", fixed(version))],
                message: "m".to_owned(),
                break_glass: Some("a fire".to_owned()),
                allow_major: false,
            };
            primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
        })
    }),
    ("the policy is kept anew", |primary| {
        Box::pin(async move {
            primary.registry.remove_policy(&primary.admin, "production".to_owned()).await.expect("there");
            policy(primary, r#","approvals":1,"deployers":["releaser"]"#).await;
        })
    }),
    ("another label is copied from it", |primary| {
        Box::pin(async move {
            let moves = vec![moving(AGENT, "copy", fixed(2))];
            let copy = DeployRequest { moves, message: "m".to_owned(), ..DeployRequest::default() };
            primary.registry.deploy(&person("rob"), copy).await.expect("a label without a policy");
        })
    }),
];

/// Rob's attempts to deploy version 2 again, one after another: none changes anything except the rollbacks.
const TRIES: &[Try] = &[
    ("deploy", |primary, _| Box::pin(deploy(primary, fixed(2)))),
    ("a canary", |primary, _| Box::pin(deploy(primary, weighted(&[(1, 99), (2, 1)])))),
    ("a rule", |primary, _| {
        let rule = r#"{"rules":[{"when":{"a":"*"},"version":2}],"version":1}"#;
        Box::pin(deploy(primary, serde_json::from_str(rule).expect("a serving")))
    }),
    ("the request that was approved before", |primary, asked| {
        Box::pin(async move { primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await })
    }),
    ("the request, amended and amended back", |primary, asked| {
        Box::pin(async move {
            for moves in [
                vec![moving(AGENT, "production", fixed(1))],
                vec![moving(AGENT, "production", fixed(2)), moving(OTHER, "production", fixed(1))],
            ] {
                let amend = AmendRequest { message: "m".to_owned(), publish: None, moves };
                primary.registry.amend(&person("ann"), asked.id, amend).await.expect("hers");
            }
            primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await
        })
    }),
    ("publishing the same again with the label", |primary, _| {
        Box::pin(async move {
            let labelled = PublishRequest { labels: vec![label("production")], ..request("two") };
            let published = primary.registry.publish(&person("rob"), name(AGENT), labelled).await;
            published.map(|_| Deployed::default())
        })
    }),
    ("rollback to it", |primary, _| Box::pin(rollback(primary, Some(2)))),
    ("rollback", |primary, _| Box::pin(rollback(primary, None))),
    ("two rollbacks", |primary, _| {
        Box::pin(async move {
            let _first = rollback(primary, None).await;
            rollback(primary, None).await
        })
    }),
];

#[tokio::test]
async fn stopped_version_is_not_served_again_without_a_new_approval() {
    for (stop, do_stop) in STOPS {
        for (meanwhile, do_meanwhile) in MEANWHILE {
            let (primary, asked) = world().await;
            do_stop(&primary).await;
            do_meanwhile(&primary).await;
            for (way, attempt) in TRIES {
                let done = attempt(&primary, &asked).await;
                let served = primary.view().label(&name(AGENT), &label("production"));
                let versions = served.map(|state| state.serving.versions()).unwrap_or_default();
                let says = primary.text(AGENT).unwrap_or_default();
                assert!(!versions.contains(&2) && says != "two", "{stop}, {meanwhile}, {way}: {done:?}");
            }
        }
        // With an approval that was given since, it is.
        let (primary, asked) = world().await;
        do_stop(&primary).await;
        approve(&primary, &asked).await;
        deploy(&primary, fixed(2)).await.expect(stop);
        assert_eq!(primary.text(AGENT).expect("live"), "two", "{stop}");
    }
}

#[tokio::test]
async fn approval_is_used_up_by_its_deployment() {
    let leave: &[Step] = &[
        STOPS[0],
        STOPS[1],
        STOPS[3],
        ("deploy another", |primary| {
            Box::pin(async move {
                deploy_approved(primary, 1).await;
            })
        }),
    ];
    for (way, leave) in leave {
        let (primary, _) = world().await;
        let three = publish(&primary, "three").await;
        let asked = propose(&primary, fixed(three), true).await;
        approve(&primary, &asked).await;
        // One of its two moves is made by hand, so the request stays open.
        deploy(&primary, fixed(three)).await.expect("approved");
        leave(&primary).await;
        for again in [
            deploy(&primary, fixed(three)).await,
            primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await,
        ] {
            match again {
                Err(RegistryError::PolicyNotMet { missing, .. }) => {
                    assert_eq!(missing[0].kind, RequirementKind::Approvals, "{way}");
                }
                other => panic!("{way}: {other:?}"),
            }
        }
        approve(&primary, &asked).await;
        primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await.expect(way);
    }
}

#[tokio::test]
async fn approval_of_a_whole_version_is_spent_when_its_canary_was_stopped() {
    let (primary, _) = world().await;
    let three = publish(&primary, "three").await;
    let whole = propose(&primary, fixed(three), false).await;
    let canary = propose(&primary, weighted(&[(2, 99), (three, 1)]), false).await;
    approve(&primary, &whole).await;
    approve(&primary, &canary).await;
    primary.registry.apply(&person("rob"), canary.id, ApplyRequest::default()).await.expect("approved");
    rollback(&primary, None).await.expect("free");
    let again = primary.registry.apply(&person("rob"), whole.id, ApplyRequest::default()).await;
    assert!(matches!(again, Err(RegistryError::PolicyNotMet { .. })), "{again:?}");
}

#[tokio::test]
async fn automatic_request_does_not_redeploy_what_was_stopped() {
    let primary = team().await;
    primary.publish(OTHER, "other").await;
    publish(&primary, "one").await;
    primary.deploy(AGENT, 1, "production").await;
    policy(&primary, r#","after":{"label":"staging","for_s":3600}"#).await;
    let two = primary.registry.publish(&person("rob"), name(AGENT), request("two")).await.expect("his").version.number;
    primary.deploy(AGENT, two, "staging").await;
    primary.wait(HOUR_MS);
    let moves = vec![moving(AGENT, "production", fixed(two)), moving(OTHER, "production", fixed(1))];
    let asked = ProposeRequest { message: "m".to_owned(), moves, automatic: true, ..ProposeRequest::default() };
    let asked = primary.registry.propose(&person("rob"), asked).await.expect("his");
    deploy(&primary, fixed(two)).await.expect("it was on staging");
    rollback(&primary, None).await.expect("free");
    primary.deploy(OTHER, 1, "staging").await;
    primary.wait(HOUR_MS).registry.tend_change_requests().await.expect("tended");
    let state = || primary.registry.change_request(&primary.view(), asked.id).expect("it").request.state;
    assert_eq!((state(), primary.text(AGENT).expect("live")), (RequestState::Open, "one".to_owned()));
    // The override was given explicitly since.
    let moves = vec![moving(AGENT, "production", fixed(two)), moving(OTHER, "production", fixed(1))];
    let amend = AmendRequest { message: "all the same".to_owned(), publish: None, moves };
    primary.registry.amend(&person("rob"), asked.id, amend).await.expect("his");
    primary.registry.tend_change_requests().await.expect("tended");
    assert_eq!((state(), primary.text(AGENT).expect("live")), (RequestState::Applied, "two".to_owned()));
}

#[tokio::test]
async fn version_that_was_stopped_on_staging_has_not_been_tried() {
    let staging = async |primary: &Primary, version: u64| {
        primary.deploy(AGENT, version, "staging").await;
        primary.wait(2 * HOUR_MS);
    };
    for stop in ["rollback", "unlabel", "rule"] {
        let primary = team().await;
        publish(&primary, "one").await;
        publish(&primary, "two").await;
        policy(&primary, r#","after":{"label":"staging","for_s":3600}"#).await;
        staging(&primary, 1).await;
        match stop {
            "rollback" => {
                staging(&primary, 2).await;
                primary.rollback(AGENT, "staging", None).await.expect("staging is free");
            }
            "unlabel" => {
                staging(&primary, 2).await;
                primary.unlabel(AGENT, "staging").await.expect("there");
            }
            _ => {
                // A rule that matches everyone leaves no subjects to the default.
                let rule = r#"{"rules":[{"when":{"tenant":"*"},"version":1}],"version":2}"#;
                let serving = serde_json::from_str(rule).expect("a serving");
                primary.try_deploy(vec![moving(AGENT, "staging", serving)]).await.expect("staging is free");
                primary.wait(2 * HOUR_MS);
            }
        }
        match deploy(&primary, fixed(2)).await {
            Err(RegistryError::PolicyNotMet { missing, .. }) => assert_eq!(missing[0].kind, RequirementKind::After),
            other => panic!("{stop}: {other:?}"),
        }
        staging(&primary, 2).await;
        deploy(&primary, fixed(2)).await.expect(stop);
    }
}

#[tokio::test]
async fn free_rollback_records_the_skipped_requirements() {
    let (primary, _) = world().await;
    rollback(&primary, None).await.expect("free");
    let entry = primary.last_entry();
    assert!(
        entry.reason.contains(
            "policy production requires nothing for stopping a deployment (not required: 1 approval of this exact change (0 so far))"
        ),
        "{}",
        entry.reason
    );
    assert!(!entry.reason.contains("is met") && entry.approved_by.is_empty(), "{entry:?}");
    policy(&primary, r#","approvals":1,"deployers":["releaser"]"#).await;
    primary.registry.unlabel(&person("rob"), name(AGENT), label("production"), why()).await.expect("free");
    let reason = primary.last_entry().reason;
    assert!(reason.contains("policy production requires only its deployers for stopping a deployment"), "{reason}");
}

#[tokio::test]
async fn version_that_a_rollback_needs_is_neither_retired_nor_archived() {
    let (primary, _) = world().await;
    let retire = async |version| primary.registry.retire(&person("rob"), name(AGENT), version, why()).await;
    let refused = retire(1).await.expect_err("a rollback needs it");
    assert_eq!(
        refused.to_string(),
        "a rollback of the label `production` would deploy version 1 of `support/agent`; deploy another version \
            there first"
    );
    publish(&primary, "three").await;
    publish(&primary, "four").await;
    primary.wait(400 * DAY_MS);
    primary.registry.tend_change_requests().await.expect("tended");
    let archive = ArchiveRequest {
        prompts: AGENT.parse().expect("a pattern"),
        unused_days: 184,
        keep: Vec::new(),
        dry_run: false,
        message: "old".to_owned(),
    };
    let archived = primary.registry.archive(&primary.admin, archive).await.expect("an admin");
    assert_eq!(archived.versions, version_refs(["support/agent@3"]));
    assert_eq!(archived.kept.get("a rollback would deploy it"), Some(&1), "{archived:?}");
    rollback(&primary, None).await.expect("free, and there");
    assert_eq!(primary.text(AGENT).expect("live"), "one");
    // What was stopped cannot be restored by a free rollback.
    retire(2).await.expect("it was stopped");
}

#[tokio::test]
async fn denied_second_rollback_is_reported_as_a_rollback() {
    let (primary, _) = world().await;
    let three = publish(&primary, "three").await;
    for serving in [weighted(&[(2, 99), (three, 1)]), fixed(three)] {
        let asked = propose(&primary, serving, false).await;
        approve(&primary, &asked).await;
        primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await.expect("approved");
    }
    rollback(&primary, None).await.expect("directly back");
    let again = rollback(&primary, None).await;
    assert!(matches!(again, Err(RegistryError::PolicyNotMet { rollback: true, .. })), "{again:?}");
    let forth = deploy(&primary, fixed(three)).await;
    assert!(matches!(forth, Err(RegistryError::PolicyNotMet { rollback: false, .. })), "{forth:?}");
}
