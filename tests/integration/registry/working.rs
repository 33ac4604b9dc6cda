//! Shared drafts, and unused old versions.

use bookholder::api::govern::{ArchiveRequest, DraftRequest, PublishDraftRequest, VersionUse};
use bookholder::model::draft::Draft;
use bookholder::model::pattern::Pattern;
use bookholder::registry::RegistryError;
use bookholder::resolve::{Query, ResolveError};

use super::governing::team;
use crate::support::primary::{Primary, name, person, request, text_of, version_refs};

const DAY_MS: u64 = 24 * 3_600_000;

async fn save(
    primary: &Primary,
    text: &str,
    expected: Option<u64>,
    parent: Option<u64>,
) -> Result<Draft, RegistryError> {
    let request = DraftRequest { content: request(text).content, parent, expected_revision: expected };
    primary.registry.save_draft(&person("ann"), name("support/a"), "kinder".to_owned(), request).await
}

fn why() -> PublishDraftRequest {
    PublishDraftRequest { message: "kinder".to_owned(), ..PublishDraftRequest::default() }
}

#[tokio::test]
async fn draft_save_rejects_an_outdated_revision() {
    let primary = team().await;
    let recorded = primary.view().verify_audit().expect("a log").entries;
    assert_eq!(save(&primary, "one", Some(0), None).await.expect("the first").revision, 1);
    assert_eq!(save(&primary, "two", Some(1), None).await.expect("the second").revision, 2);
    assert_eq!(save(&primary, "two", Some(2), None).await.expect("the same").revision, 2, "nothing new");
    let refused = save(&primary, "three", Some(1), None).await;
    assert!(matches!(refused, Err(RegistryError::DraftMoved { expected: 1, found: 2, .. })), "{refused:?}");
    let saves =
        primary.registry.draft_saves(&primary.view(), &person("ann"), &name("support/a"), "kinder").expect("saves");
    assert_eq!(saves.iter().map(|save| save.revision).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(primary.view().verify_audit().expect("a log").entries, recorded, "typing is no decision");
    let reviewer = person("cy");
    let cy = primary.registry.save_draft(
        &reviewer,
        name("support/a"),
        "mine".to_owned(),
        DraftRequest { content: request("x").content, parent: None, expected_revision: None },
    );
    assert!(matches!(cy.await, Err(RegistryError::Forbidden { .. })), "compliance writes nothing");
    let published = primary.registry.publish_draft(&person("ann"), name("support/a"), "kinder".to_owned(), why()).await;
    assert_eq!(published.expect("its parent is there").version.number, 1);
    assert!(primary.registry.drafts(&primary.view(), &person("ann"), &name("support/a")).expect("a list").is_empty());
    assert!(
        primary
            .registry
            .draft_saves(&primary.view(), &person("ann"), &name("support/a"), "kinder")
            .expect("saves")
            .is_empty()
    );
}

#[tokio::test]
async fn draft_with_an_outdated_base_must_be_merged() {
    let primary = team().await;
    primary.publish("support/a", "Be kind.\nAnswer.\nSay goodbye.\n").await;
    save(&primary, "Be very kind.\nAnswer.\nSay goodbye.\n", None, None).await.expect("saved");
    primary.publish("support/a", "Be kind.\nAnswer.\nSay goodbye, {{customer}}.\n").await;
    let publish =
        async || primary.registry.publish_draft(&person("ann"), name("support/a"), "kinder".to_owned(), why()).await;
    let refused = publish().await;
    assert!(matches!(refused, Err(RegistryError::ParentMoved { expected: 1, found: 2, .. })), "{refused:?}");
    let merged =
        primary.registry.merge_draft(&primary.view(), &person("ann"), &name("support/a"), "kinder").expect("a merge");
    assert_eq!((merged.base, merged.parent, merged.merge.conflicts.len()), (1, 2, 0), "{merged:?}");
    let request = DraftRequest { content: merged.merge.content, parent: Some(2), expected_revision: Some(1) };
    let saved = primary.registry.save_draft(&person("ann"), name("support/a"), "kinder".to_owned(), request).await;
    assert_eq!(saved.expect("saved").parent, 2);
    assert_eq!(publish().await.expect("on the newest").version.number, 3);
    let text = text_of(&primary.resolver, "support/a@latest", &Query::default()).expect("it");
    assert_eq!(text, "Be very kind.\nAnswer.\nSay goodbye, {{customer}}.\n");

    // Both change the same line: shown, and never guessed.
    save(&primary, "Be brief.\nAnswer.\nSay goodbye, {{customer}}.\n", None, None).await.expect("saved");
    primary.publish("support/a", "Be funny.\nAnswer.\nSay goodbye, {{customer}}.\n").await;
    let merged =
        primary.registry.merge_draft(&primary.view(), &person("ann"), &name("support/a"), "kinder").expect("a merge");
    let conflict = merged.merge.conflicts.first().expect("a conflict");
    assert!(conflict.ours.as_deref().is_some_and(|ours| ours.contains("brief")), "{conflict:?}");
    assert!(conflict.theirs.as_deref().is_some_and(|theirs| theirs.contains("funny")), "{conflict:?}");
}

#[tokio::test]
async fn unused_old_versions_are_archived() {
    let primary = team().await;
    for (day, text) in [(0, "one"), (1, "two"), (1, "three"), (1, "four"), (1, "five")] {
        primary.wait(day * DAY_MS).publish("support/a", text).await;
    }
    primary.deploy("support/a", 2, "production").await;
    primary.publish("support/b", "three").await;
    primary.publish("support/c", "{{> support/a@4}}").await;
    let archive = async |days, dry_run| {
        let request = ArchiveRequest {
            prompts: Pattern::everything(),
            unused_days: days,
            keep: Vec::new(),
            dry_run,
            message: "old".to_owned(),
        };
        primary.registry.archive(&primary.admin, request).await
    };
    let below = archive(183, true).await;
    assert!(below.expect_err("the floor").to_string().contains("at least 184 days"));
    assert!(archive(184, true).await.expect("nothing is old").versions.is_empty());
    primary.wait(185 * DAY_MS);
    let before = primary.state().1;
    let dry = archive(184, true).await.expect("a look");
    assert_eq!(dry.versions, version_refs(["support/a@3", "support/a@1"]));
    assert_eq!(primary.state().1, before, "a dry run");
    let releaser = person("rob");
    let rob = primary.registry.archive(
        &releaser,
        ArchiveRequest {
            prompts: Pattern::everything(),
            unused_days: 184,
            keep: Vec::new(),
            dry_run: false,
            message: "x".to_owned(),
        },
    );
    assert!(matches!(rob.await, Err(RegistryError::Forbidden { .. })));
    let done = archive(184, false).await.expect("archived");
    assert_eq!((done.versions, done.dry_run), (dry.versions, false));
    assert!(archive(184, false).await.expect("again").versions.is_empty());
    let text = |reference: &str| text_of(&primary.resolver, reference, &Query::default());
    assert!(matches!(text("support/a@1"), Err(ResolveError::VersionArchived { number: 1, .. })));
    assert_eq!(text("support/a@3").expect("support/b says the same"), "three");
    assert_eq!(text("support/a").expect("live"), "two");
    assert_eq!(text("support/c@latest").expect("flat"), "four");
    let view = primary.view().versions(&name("support/a"), None, 10).expect("a page").items;
    assert_eq!(view.iter().filter(|version| version.archived.is_some()).count(), 2);
    assert_eq!(primary.verify().differences, Vec::<String>::new());
    let refused = primary
        .try_deploy(vec![crate::support::primary::moving("support/a", "staging", crate::support::primary::fixed(1))])
        .await;
    assert!(matches!(refused, Err(RegistryError::VersionArchived { .. })), "{refused:?}");
}

#[tokio::test]
async fn reported_callers_are_limited_to_200_per_version() {
    let primary = team().await;
    primary.publish("support/a", "one").await;
    let hour = u64::try_from(primary.now().ms() / 3_600_000).expect("after 1970");
    let uses = |from: usize, to: usize| {
        let one = |number| VersionUse { name: name("support/a"), version: 1, by: format!("u{number:03}"), hour };
        (from..to).map(one).collect::<Vec<_>>()
    };
    primary.registry.keep_uses(uses(0, 300)).await.expect("kept");
    let used_by = primary.registry.used_by(&primary.view(), &name("support/a"), 1).expect("names");
    assert_eq!((used_by.len(), used_by.contains("others"), used_by.contains("u199")), (201, true, true));
    assert!(!used_by.contains("u200"));
    primary.registry.keep_uses(uses(0, 300)).await.expect("kept");
    assert_eq!(
        primary.registry.used_by(&primary.view(), &name("support/a"), 1).expect("names").len(),
        201,
        "known principals stay"
    );
}
