//! Four eyes: contributors to a move cannot approve it, whoever published the last version.

use std::pin::Pin;

use bookholder::api::govern::{DraftRequest, ProposeRequest, PublishDraftRequest, ReviewRequest};
use bookholder::api::write::{DeployRequest, ImportChange, ImportRequest, ServingRequest};
use bookholder::model::change_request::{ChangeRequest, EventKind};
use bookholder::model::content::Syntax;
use bookholder::registry::RegistryError;

use super::governing::{policy, team};
use crate::support::primary::{Primary, fixed, label, moving, name, person, request, weighted, why};

const AGENT: &str = "support/agent";
const PART: &str = "support/part";

type Story<'p> = Pin<Box<dyn Future<Output = u64> + 'p>>;
/// Ways in which rob's text gets into a version that someone else publishes; returns the number of that version.
type Way = (&'static str, fn(&Primary) -> Story<'_>);

async fn publish(primary: &Primary, who: &str, prompt: &str, text: &str) -> u64 {
    let published = primary.registry.publish(&person(who), name(prompt), request(text)).await.expect("theirs");
    published.version.number
}

/// Lets production serve something, by the admin and before there is a policy.
async fn serve(primary: &Primary, serving: ServingRequest) {
    let glass = DeployRequest {
        moves: vec![moving(AGENT, "production", serving)],
        message: "m".to_owned(),
        break_glass: Some("a test".to_owned()),
        allow_major: false,
    };
    primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
}

const WAYS: &[Way] = &[
    ("the version before it", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("three versions before it", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            publish(primary, "ann", AGENT, "rob's words.").await;
            publish(primary, "ann", AGENT, "rob's words!").await;
            publish(primary, "ann", AGENT, "rob's words?").await
        })
    }),
    ("the parent of a draft", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            let content = request("rob's words.").content;
            let draft = DraftRequest { content, parent: Some(2), expected_revision: None };
            primary.registry.save_draft(&person("ann"), name(AGENT), "d".to_owned(), draft).await.expect("saved");
            let message = PublishDraftRequest { message: "m".to_owned(), ..PublishDraftRequest::default() };
            let published = primary.registry.publish_draft(&person("ann"), name(AGENT), "d".to_owned(), message).await;
            published.expect("published").version.number
        })
    }),
    ("the version before an import", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            let change = ImportChange {
                id: "i".to_owned(),
                at: primary.now(),
                author: "somebody".to_owned(),
                message: "m".to_owned(),
                name: name(AGENT),
                text: Some("rob's words.".to_owned()),
                original: None,
            };
            let import = ImportRequest { changes: vec![change], syntax: Syntax::Mustache, label: label("staging") };
            let outcome = primary.registry.import(&primary.admin, import).await.expect("an import");
            assert!(outcome.refused.is_empty());
            3
        })
    }),
    ("an older version of what it includes", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", PART, "rob's words").await;
            publish(primary, "ann", PART, "rob's words.").await;
            publish(primary, "ann", AGENT, "{{> support/part@2}}").await
        })
    }),
    ("what came between two versions of what it includes", |primary| {
        Box::pin(async move {
            publish(primary, "ann", PART, "zero").await;
            publish(primary, "ann", AGENT, "{{> support/part@1}}").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", PART, "rob's words").await;
            publish(primary, "ann", PART, "rob's words.").await;
            publish(primary, "ann", AGENT, "{{> support/part@3}}").await
        })
    }),
    ("what the version before it included", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", PART, "rob's words").await;
            publish(primary, "ann", AGENT, "{{> support/part@1}}").await;
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("a version before it, where a newer one is served", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            let number = publish(primary, "ann", AGENT, "rob's words.").await;
            publish(primary, "ann", AGENT, "something else").await;
            serve(primary, fixed(4)).await;
            number
        })
    }),
    ("the version before it, where nothing was ever served", |primary| {
        Box::pin(async move {
            publish(primary, "rob", AGENT, "rob's words").await;
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("the version before it, which somebody stopped", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            serve(primary, fixed(2)).await;
            primary.unlabel(AGENT, "production").await.expect("there");
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("a canary of the version before it", |primary| {
        Box::pin(async move {
            publish(primary, "ann", AGENT, "zero").await;
            serve(primary, fixed(1)).await;
            publish(primary, "rob", AGENT, "rob's words").await;
            serve(primary, weighted(&[(1, 99), (2, 1)])).await;
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("a removed prompt that came back", |primary| {
        Box::pin(async move {
            publish(primary, "rob", AGENT, "rob's words").await;
            primary.registry.remove(&primary.admin, name(AGENT), why().into()).await.expect("removed");
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
];

const NO_WAYS: &[Way] = &[
    ("the version that is served", |primary| {
        Box::pin(async move {
            publish(primary, "rob", AGENT, "rob's words").await;
            serve(primary, fixed(1)).await;
            publish(primary, "ann", AGENT, "rob's words.").await
        })
    }),
    ("what the served version includes too", |primary| {
        Box::pin(async move {
            publish(primary, "rob", PART, "rob's words").await;
            publish(primary, "ann", AGENT, "{{> support/part@1}} one").await;
            serve(primary, fixed(1)).await;
            publish(primary, "ann", PART, "ann's words").await;
            publish(primary, "ann", AGENT, "{{> support/part@2}} two").await
        })
    }),
    ("a version before one that was served until it was replaced", |primary| {
        Box::pin(async move {
            publish(primary, "rob", AGENT, "rob's words").await;
            publish(primary, "ann", AGENT, "rob's words.").await;
            serve(primary, fixed(2)).await;
            publish(primary, "ann", AGENT, "something else").await;
            serve(primary, fixed(3)).await;
            2
        })
    }),
    ("a version that was replaced long before the label was taken away", |primary| {
        Box::pin(async move {
            publish(primary, "rob", AGENT, "rob's words").await;
            serve(primary, fixed(1)).await;
            publish(primary, "ann", AGENT, "ann's words").await;
            serve(primary, fixed(2)).await;
            primary.unlabel(AGENT, "production").await.expect("there");
            publish(primary, "ann", AGENT, "ann's words.").await
        })
    }),
];

async fn asked(primary: &Primary, version: u64) -> ChangeRequest {
    let moves = vec![moving(AGENT, "production", fixed(version))];
    let asked = ProposeRequest { message: "m".to_owned(), moves, ..ProposeRequest::default() };
    primary.registry.propose(&person("ann"), asked).await.expect("a proposal")
}

async fn approve(primary: &Primary, who: &str, asked: &ChangeRequest) -> Result<ChangeRequest, RegistryError> {
    let fingerprints = vec![asked.moves[0].fingerprint.clone()];
    let approval = ReviewRequest { kind: EventKind::Approve, message: String::new(), fingerprints };
    primary.registry.review(&person(who), asked.id, approval).await
}

#[tokio::test]
async fn author_of_any_part_since_the_served_version_may_not_approve() {
    for (way, story) in WAYS {
        let primary = team().await;
        let version = story(&primary).await;
        policy(&primary, r#","approvals":1"#).await;
        let asked = asked(&primary, version).await;
        let refused = approve(&primary, "rob", &asked).await;
        assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{way}: {refused:?}");
        approve(&primary, "ivy", &asked).await.expect(way);
    }
}

#[tokio::test]
async fn author_of_old_versions_only_can_approve() {
    for (way, story) in NO_WAYS {
        let primary = team().await;
        let version = story(&primary).await;
        policy(&primary, r#","approvals":1"#).await;
        approve(&primary, "rob", &asked(&primary, version).await).await.expect(way);
    }
}

#[tokio::test]
async fn approval_by_a_later_contributor_does_not_count() {
    let primary = team().await;
    publish(&primary, "ann", AGENT, "zero").await;
    publish(&primary, "ivy", AGENT, "one").await;
    publish(&primary, "ann", AGENT, "two").await;
    serve(&primary, fixed(2)).await;
    policy(&primary, r#","approvals":1"#).await;
    let asked = asked(&primary, 3).await;
    approve(&primary, "ivy", &asked).await.expect("her version is served");
    approve(&primary, "cy", &asked).await.expect("hers is none of it");
    // Back to the version before hers: now hers is part of what is new.
    serve(&primary, fixed(1)).await;
    let publishing = DeployRequest {
        moves: vec![moving(AGENT, "production", fixed(3))],
        message: "m".to_owned(),
        ..DeployRequest::default()
    };
    let deployed = primary.registry.deploy(&person("rob"), publishing).await.expect("cy's approval is enough");
    assert_eq!(deployed.deployments[0].approved_by, ["cy"]);
}
