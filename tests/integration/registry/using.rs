//! Uses that are noted in memory: every command that depends on them sees them.

use bookholder::api::govern::{ApplyRequest, ArchiveRequest, ProposeRequest};
use bookholder::api::write::{DeployRequest, ImportChange, ImportRequest, PublishRequest, RollbackRequest};
use bookholder::files;
use bookholder::model::content::Syntax;
use bookholder::registry::{Actor, RegistryError};
use bookholder::resolve::Query;

use super::governing::{policy, team};
use crate::support::primary::{Primary, fixed, label, moving, name, person, request, version_refs};

const AGENT: &str = "support/agent";
const DAY_MS: u64 = 24 * 3_600_000;

/// Resolves the label as `who`; the use is noted, and nothing else happens to it.
fn use_it(primary: &Primary, reference: &str, who: &str) {
    let answer = primary.resolver.resolve(reference, &Query::default()).expect(reference);
    primary.registry.usage().note(&answer, who);
}

fn callers(error: Option<RegistryError>, door: &str) -> Vec<String> {
    match error {
        Some(RegistryError::BreaksCallers { by, .. }) => by,
        other => panic!("{door}: {other:?}"),
    }
}

/// A prompt whose label serves version 1, and whose version 2 would break what calls it.
async fn served() -> Primary {
    let primary = team().await;
    policy(&primary, "").await;
    let labelled = PublishRequest { labels: vec![label("production")], ..request("Hello {{customer}}") };
    primary.registry.publish(&primary.admin, name(AGENT), labelled).await.expect("a version");
    primary.publish(AGENT, "Hello {{customer}}, order {{order}}").await;
    primary
}

#[tokio::test]
async fn breaking_change_error_includes_buffered_uses() {
    let primary = served().await;
    let (registry, rob) = (&primary.registry, person("rob"));
    let moves = || vec![moving(AGENT, "production", fixed(2))];
    let three = || PublishRequest { labels: vec![label("production")], ..request("Order {{order}}") };

    use_it(&primary, AGENT, "by deploy");
    let request = DeployRequest { moves: moves(), message: "why".to_owned(), ..DeployRequest::default() };
    assert_eq!(callers(registry.deploy(&rob, request).await.err(), "deploy"), ["by deploy"]);

    use_it(&primary, AGENT, "by publish");
    let by = callers(registry.publish(&primary.admin, name(AGENT), three()).await.err(), "publish");
    assert!(by.contains(&"by publish".to_owned()), "{by:?}");

    use_it(&primary, AGENT, "by folder");
    let file = files::compare::read("---\nlabels: [production]\n---\nOrder {{order}}").expect("a file");
    let operator = Actor::operator("folder watch");
    let refused = registry.publish_file(&operator, Some("watch x"), name(AGENT), file, "why").await;
    let by = callers(refused.err(), "a watched folder");
    assert!(by.contains(&"by folder".to_owned()), "{by:?}");

    use_it(&primary, AGENT, "by import");
    let change = ImportChange {
        id: "c1".to_owned(),
        at: primary.now(),
        author: "ada".to_owned(),
        message: "why".to_owned(),
        name: name(AGENT),
        text: Some("Order {{order}}".to_owned()),
        original: None,
    };
    let request = ImportRequest { changes: vec![change], syntax: Syntax::Mustache, label: label("production") };
    let outcome = registry.import(&primary.admin, request).await.expect("an import");
    let by = callers(outcome.refused.into_iter().next().map(|(_, error)| error), "import");
    assert!(by.contains(&"by import".to_owned()), "{by:?}");

    use_it(&primary, AGENT, "by request");
    let request = ProposeRequest { message: "why".to_owned(), moves: moves(), ..ProposeRequest::default() };
    let asked = registry.propose(&person("ann"), request).await.expect("a proposal").id;
    let apply = ApplyRequest { message: "why".to_owned(), ..ApplyRequest::default() };
    let by = callers(registry.apply(&rob, asked, apply).await.err(), "a change request");
    assert!(by.contains(&"by request".to_owned()), "{by:?}");

    use_it(&primary, AGENT, "by rollback");
    let back = RollbackRequest { message: "why".to_owned(), to: Some(2), ..RollbackRequest::default() };
    let by = callers(registry.rollback(&rob, name(AGENT), label("production"), back).await.err(), "rollback");
    assert!(by.contains(&"by rollback".to_owned()), "{by:?}");
}

#[tokio::test]
async fn version_with_a_buffered_use_is_not_archived() {
    let primary = Primary::found();
    for text in ["one", "two", "three"] {
        primary.publish("a", text).await;
    }
    primary.wait(400 * DAY_MS);
    use_it(&primary, "a@2", "nightly-job");
    let archive = async |dry_run| {
        let request = ArchiveRequest {
            prompts: "**".parse().expect("a pattern"),
            unused_days: 184,
            keep: Vec::new(),
            dry_run,
            message: "old".to_owned(),
        };
        primary.registry.archive(&primary.admin, request).await.expect("an admin").versions
    };
    assert_eq!(archive(true).await, version_refs(["a@1"]));
    assert_eq!(archive(false).await, version_refs(["a@1"]));
}

#[tokio::test]
async fn uses_stay_noted_until_they_are_written() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    use_it(&primary, "a@1", "nightly-job");
    let usage = primary.registry.usage();
    assert_eq!(usage.pending().len(), 1);
    primary.registry.keep_noted_uses().await.expect("written");
    assert!(usage.pending().is_empty());
    assert!(primary.registry.used_by(&primary.view(), &name("a"), 1).expect("a version").contains("nightly-job"));
}
