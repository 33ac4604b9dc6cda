//! Automations: what a node does by itself, within grants of its own.

use bookholder::api::govern::{PrincipalRequest, SignInLinkRequest, TokenRequest};
use bookholder::api::write::RollbackRequest;
use bookholder::model::audit::{Command, Decision};
use bookholder::model::principal::{Grant, PrincipalKind};
use bookholder::registry::{Actor, RegistryError};

use crate::support::primary::{Primary, label, name, person};

const AGENT: &str = "support/agent";
const MONITOR: &str = "refusal-monitor";

fn monitor() -> Actor {
    Actor::automation(MONITOR, "monitor: refusals above 5 %")
}

/// A registry with two versions on two labels, and a monitor that is granted `production` alone.
async fn monitored() -> Primary {
    let primary = Primary::found();
    let grant = Grant { labels: "production".parse().expect("a pattern"), ..Grant::everywhere("releaser") };
    let principal = PrincipalRequest { name: MONITOR.to_owned(), kind: PrincipalKind::Automation, grants: vec![grant] };
    primary.registry.create_principal(&primary.admin, principal).await.expect("a principal");
    for text in ["one", "two"] {
        let version = primary.publish(AGENT, text).await.version.number;
        for label in ["production", "staging"] {
            primary.deploy(AGENT, version, label).await;
        }
    }
    primary
}

async fn roll_back(primary: &Primary, actor: &Actor, place: &str) -> Result<(), RegistryError> {
    let request = RollbackRequest { message: "too many refusals".to_owned(), ..RollbackRequest::default() };
    primary.registry.rollback(actor, name(AGENT), label(place), request).await.map(|_| ())
}

#[tokio::test]
async fn automation_acts_with_its_own_grants_and_is_named_in_the_audit_log() {
    let primary = monitored().await;
    roll_back(&primary, &monitor(), "production").await.expect("granted");
    let entry = primary.last_entry();
    assert_eq!((entry.command, entry.actor.as_str()), (Command::Rollback, MONITOR));
    assert_eq!(entry.actor_kind, Some(PrincipalKind::Automation));
    assert_eq!(entry.method, "monitor: refusals above 5 %");
    assert!(entry.reason.contains("grant releaser on ** for labels production"), "{}", entry.reason);

    let denied = roll_back(&primary, &monitor(), "staging").await.expect_err("not granted");
    assert!(denied.to_string().contains("`refusal-monitor` is not granted"), "{denied}");
    let entry = primary.last_entry();
    assert_eq!((entry.decision, entry.actor_kind), (Decision::Denied, Some(PrincipalKind::Automation)));
}

#[tokio::test]
async fn automation_cannot_sign_in_and_nothing_else_acts_as_one() {
    let primary = monitored().await;
    let token = TokenRequest { name: "t".to_owned(), principal: Some(MONITOR.to_owned()), ..TokenRequest::default() };
    let refused = primary.registry.create_token(&primary.admin, token).await.expect_err("an automation");
    assert_eq!(
        refused.to_string(),
        "`refusal-monitor` is an automation, which has no access tokens; create a service for it"
    );
    let link = SignInLinkRequest { expires_s: None };
    let refused = primary.registry.create_sign_in_link(&primary.admin, MONITOR.to_owned(), link).await;
    assert!(refused.expect_err("an automation").to_string().contains("it is an automation"));
    assert!(primary.registry.seat_of_single_sign_on(MONITOR).is_none());
    let denied = roll_back(&primary, &person(MONITOR), "production").await.expect_err("not a person");
    assert!(denied.to_string().contains("there is no principal `refusal-monitor`"), "{denied}");
    let denied = roll_back(&primary, &Actor::automation("admin", "a test"), "production").await.expect_err("a person");
    assert!(denied.to_string().contains("there is no automation `admin`"), "{denied}");
}

#[tokio::test]
async fn disabled_automation_of_the_node_archives_nothing() {
    let primary = monitored().await;
    let principals = primary.registry.principals(&primary.admin).expect("the admin");
    let itself = principals.iter().find(|one| one.name == "bookholder").expect("created at the first start");
    assert_eq!(
        (itself.kind, itself.grants.as_slice()),
        (PrincipalKind::Automation, &[Grant::everywhere("archiver")][..])
    );
    primary.registry.archive_by_settings(400).await.expect("granted");
    primary.registry.disable_principal(&primary.admin, "bookholder".to_owned(), true).await.expect("the admin");
    let denied = primary.registry.archive_by_settings(400).await.expect_err("disabled");
    assert!(denied.to_string().contains("`bookholder` is disabled"), "{denied}");
}
