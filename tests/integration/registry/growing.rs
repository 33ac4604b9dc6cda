//! The policy of a label protects every subject that newly gets a version, whatever change of the serving causes it.

use bookholder::api::govern::{ProposeRequest, ReviewRequest};
use bookholder::api::write::{DeployRequest, Deployed, ServingRequest};
use bookholder::model::change_request::EventKind;
use bookholder::model::verdict::RequirementKind;
use bookholder::registry::RegistryError;

use super::governing::{policy, team};
use crate::support::primary::{Primary, moving, name, person, request};

const AGENT: &str = "support/agent";
const RISKY: &str = "Advise the customer which loan to take.";

/// Changes that give version 2 to new subjects: name, old serving, new serving.
const WAYS: [(&str, &str, &str); 12] = [
    ("the default changes", r#"{"version":1}"#, r#"{"version":2}"#),
    ("a rule is added", r#"{"version":1}"#, r#"{"rules":[{"when":{"a":"x"},"version":2}],"version":1}"#),
    (
        "a rule before it goes",
        r#"{"rules":[{"when":{"plan":"*"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"country":"DE"},"version":2}],"version":1}"#,
    ),
    (
        "a rule before it is narrowed",
        r#"{"rules":[{"when":{"plan":"*"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"plan":"pro"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
    ),
    (
        "a rule before it looks at one attribute more",
        r#"{"rules":[{"when":{"plan":"*"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"plan":"*","x":"y"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
    ),
    (
        "a rule before it moves behind it",
        r#"{"rules":[{"when":{"plan":"*"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"country":"DE"},"version":2},{"when":{"plan":"*"},"version":1}],"version":1}"#,
    ),
    (
        "its own rule is widened",
        r#"{"rules":[{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"country":"D*"},"version":2}],"version":1}"#,
    ),
    (
        "a rule that catches everybody goes",
        r#"{"rules":[{"when":{"plan":"*"},"version":1}],"version":2}"#,
        r#"{"version":2}"#,
    ),
    (
        "its weight grows",
        r#"{"split":{"weights":{"1":99,"2":1},"salt":"a"}}"#,
        r#"{"split":{"weights":{"1":98,"2":2},"salt":"a"}}"#,
    ),
    (
        "the salt changes",
        r#"{"split":{"weights":{"1":99,"2":1},"salt":"a"}}"#,
        r#"{"split":{"weights":{"1":99,"2":1},"salt":"b"}}"#,
    ),
    (
        "its weight shrinks under another salt",
        r#"{"split":{"weights":{"1":98,"2":2},"salt":"a"}}"#,
        r#"{"split":{"weights":{"1":99,"2":1},"salt":"b"}}"#,
    ),
    (
        "a rule gets the split of the default",
        r#"{"rules":[{"when":{"a":"x"},"version":1}],"split":{"weights":{"1":99,"2":1},"salt":"a"}}"#,
        r#"{"rules":[{"when":{"a":"x"},"split":{"weights":{"1":99,"2":1},"salt":"a"}}],"split":{"weights":{"1":99,"2":1},"salt":"a"}}"#,
    ),
];

/// Changes that give version 2 to no new subjects.
const NO_WAYS: [(&str, &str, &str); 4] = [
    (
        "a rule takes subjects away from it",
        r#"{"rules":[{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"tester":"yes"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
    ),
    (
        "its rule is narrowed",
        r#"{"rules":[{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"country":"DE","plan":"pro"},"version":2}],"version":1}"#,
    ),
    (
        "its weight shrinks",
        r#"{"split":{"weights":{"1":98,"2":2},"salt":"a"}}"#,
        r#"{"split":{"weights":{"1":99,"2":1},"salt":"a"}}"#,
    ),
    (
        "rules for different subjects change places",
        r#"{"rules":[{"when":{"country":"FR"},"version":1},{"when":{"country":"DE"},"version":2}],"version":1}"#,
        r#"{"rules":[{"when":{"country":"DE"},"version":2},{"when":{"country":"FR"},"version":1}],"version":1}"#,
    ),
];

fn serving(json: &str) -> ServingRequest {
    serde_json::from_str(json).expect(json)
}

/// Two versions, the second written by ivy, and what production serves at first.
async fn world(rest: &str, served: &str) -> Primary {
    let primary = team().await;
    primary.registry.publish(&person("ann"), name(AGENT), request("Be kind.")).await.expect("hers");
    primary.registry.publish(&person("ivy"), name(AGENT), request(RISKY)).await.expect("hers");
    primary.try_deploy(vec![moving(AGENT, "production", serving(served))]).await.expect("no policy yet");
    policy(&primary, rest).await;
    primary
}

async fn deploy(primary: &Primary, to: &str) -> Result<Deployed, RegistryError> {
    let moves = vec![moving(AGENT, "production", serving(to))];
    let request = DeployRequest { moves, message: "now".to_owned(), ..DeployRequest::default() };
    primary.registry.deploy(&person("rob"), request).await
}

#[tokio::test]
async fn high_risk_version_needs_compliance_for_any_new_subjects() {
    for (way, from, to) in WAYS {
        let primary = world(r#","risk":{"from":"high"}"#, from).await;
        match deploy(&primary, to).await {
            Err(RegistryError::PolicyNotMet { missing, .. }) => {
                assert_eq!(missing[0].kind, RequirementKind::RiskApproval, "{way}");
            }
            other => panic!("{way}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn author_of_a_version_does_not_approve_its_growth_however_it_grows() {
    for (way, from, to) in WAYS {
        let primary = world(r#","approvals":1"#, from).await;
        let moves = vec![moving(AGENT, "production", serving(to))];
        let asked = ProposeRequest { message: "m".to_owned(), moves, ..ProposeRequest::default() };
        let asked = primary.registry.propose(&person("ann"), asked).await.expect("a proposal");
        let approval = || ReviewRequest {
            kind: EventKind::Approve,
            message: String::new(),
            fingerprints: vec![asked.moves[0].fingerprint.clone()],
        };
        let own = primary.registry.review(&person("ivy"), asked.id, approval()).await;
        assert!(matches!(own, Err(RegistryError::Forbidden { .. })), "{way}: {own:?}");
        primary.registry.review(&person("cy"), asked.id, approval()).await.expect(way);
        deploy(&primary, to).await.expect(way);
    }
}

#[tokio::test]
async fn version_without_new_subjects_needs_no_compliance_approval() {
    for (way, from, to) in NO_WAYS {
        let primary = world(r#","risk":{"from":"high"}"#, from).await;
        deploy(&primary, to).await.expect(way);
    }
}
