//! Without permission, no sequence of commands changes an entry.

use bookholder::api::govern::{
    ApplyRequest, ArchiveRequest, DraftRequest, GrantsRequest, PrincipalRequest, ProposeRequest, ReviewRequest,
    RoleRequest, RotationRequest, RuleSetRequest, TokenRequest,
};
use bookholder::api::prices::KeptTable;
use bookholder::api::promote::PromoteRequest;
use bookholder::api::write::{DeployRequest, ImportChange, ImportRequest, PublishRequest, RollbackRequest};
use bookholder::model::about::About;
use bookholder::model::change_request::EventKind;
use bookholder::model::content::Syntax;
use bookholder::model::pattern::Pattern;
use bookholder::model::principal::{Grant, Permission, PrincipalKind};
use proptest::prelude::*;

use crate::support::primary::{Primary, fixed, label, moving, name, person, request, why};

/// Who has no permission to change anything.
const POWERLESS: [&str; 6] = ["reader", "replica", "reporter", "elsewhere", "disabled", "nobody"];
const COMMANDS: u8 = 30;
const ALERT: &str = r#"{"metric":"spend","threshold":5.0,"per_s":86400}"#;
const PRICES: &str = r#"{"schema":1,"updated":"2026-11-20","currency":"USD","unit":"pico_usd_per_token",
    "models":[{"id":"made-up","tiers":[{"when":{},"rate":{"input":7,"output":9}}]}]}"#;

async fn world() -> Primary {
    let primary = Primary::found();
    primary.publish("support/agent", "one").await;
    primary.publish("support/agent", "two").await;
    primary.deploy("support/agent", 1, "production").await;
    primary.deploy("support/agent", 2, "production").await;
    for who in POWERLESS {
        let grants = match who {
            "nobody" => continue,
            "elsewhere" => {
                vec![Grant { prompts: "sales/**".parse().expect("a pattern"), ..Grant::everywhere("admin") }]
            }
            "disabled" => vec![Grant::everywhere("admin")],
            role => vec![Grant::everywhere(role)],
        };
        let request = PrincipalRequest { name: who.to_owned(), kind: PrincipalKind::Person, grants };
        primary.registry.create_principal(&primary.admin, request).await.expect("a free name");
    }
    primary.registry.disable_principal(&primary.admin, "disabled".to_owned(), true).await.expect("there");
    // A request that waits for one approval, and would then be applied by itself.
    let policy = r#"{"name":"production","labels":"production","approvals":1}"#;
    primary.registry.put_policy(&primary.admin, serde_json::from_str(policy).expect("a policy")).await.expect("kept");
    let draft = DraftRequest { content: request("draft").content, parent: None, expected_revision: None };
    primary.registry.save_draft(&primary.admin, name("support/agent"), "d".to_owned(), draft).await.expect("saved");
    let asked = ProposeRequest {
        message: "m".to_owned(),
        moves: vec![moving("support/agent", "production", fixed(1))],
        automatic: true,
        ..ProposeRequest::default()
    };
    primary.registry.propose(&primary.admin, asked).await.expect("a proposal");
    let alert = serde_json::from_str(ALERT).expect("an alert");
    let _new = primary.registry.put_alert(&primary.admin, "spend".to_owned(), alert).await.expect("kept");
    let prices = PRICES.into();
    primary.registry.put_price_table(&primary.admin, KeptTable::Overrides, prices).await.expect("kept");
    primary
}

/// Tries one command as a principal; returns whether it was done.
async fn attempt(primary: &Primary, who: &str, command: u8) -> bool {
    let (registry, actor, agent) = (&primary.registry, person(who), name("support/agent"));
    let production = label("production");
    let token = TokenRequest { name: "t".to_owned(), role: Some("admin".to_owned()), ..TokenRequest::default() };
    let deploy = DeployRequest {
        moves: vec![moving("support/agent", "production", fixed(1))],
        message: "m".to_owned(),
        allow_major: true,
        break_glass: Some("because".to_owned()),
    };
    let everywhere = || GrantsRequest { grants: vec![Grant::everywhere("admin")] };
    let policy = || serde_json::from_str(r#"{"name":"p","labels":"*"}"#).expect("a policy");
    let change = ImportChange {
        id: "i".to_owned(),
        at: primary.now(),
        author: "x".to_owned(),
        message: "m".to_owned(),
        name: agent.clone(),
        text: Some("imported".to_owned()),
        original: None,
    };
    let draft = || DraftRequest { content: request("mine").content, parent: None, expected_revision: None };
    let review = |kind| ReviewRequest { kind, message: "m".to_owned(), fingerprints: Vec::new() };
    let propose = ProposeRequest {
        message: "m".to_owned(),
        moves: vec![moving("support/agent", "staging", fixed(1))],
        automatic: true,
        ..ProposeRequest::default()
    };
    let promote = PromoteRequest {
        pattern: Pattern::everything(),
        from: label("latest"),
        to: label("trial"),
        message: "m".to_owned(),
        expected: None,
        allow_major: true,
        break_glass: Some("because".to_owned()),
    };
    let archive = ArchiveRequest {
        prompts: Pattern::everything(),
        unused_days: 184,
        keep: Vec::new(),
        dry_run: false,
        message: "m".to_owned(),
    };
    let about = About { owner: Some("mallory".to_owned()), ..About::default() };
    let rules = RuleSetRequest { toml: String::new(), gitleaks: false };
    let role = RoleRequest { permissions: [Permission::Access].into(), description: String::new() };
    let alert = serde_json::from_str(ALERT).expect("an alert");
    let principal = || PrincipalRequest { name: "p".to_owned(), kind: PrincipalKind::Service, grants: Vec::new() };
    let publish = PublishRequest { labels: vec![production.clone()], ..request("three") };
    match command {
        0 => registry.publish(&actor, agent, request("three")).await.is_ok(),
        1 => registry.publish(&actor, agent, publish).await.is_ok(),
        2 => registry.deploy(&actor, deploy).await.is_ok(),
        3 => {
            let back = RollbackRequest { message: "m".to_owned(), ..RollbackRequest::default() };
            registry.rollback(&actor, agent, production, back).await.is_ok()
        }
        4 => registry.unlabel(&actor, agent, production, why()).await.is_ok(),
        5 => registry.remove(&actor, agent, why().into()).await.is_ok(),
        6 => registry.retire(&actor, agent, 1, why()).await.is_ok(),
        7 => registry.reinstate(&actor, agent, 1, why()).await.is_ok(),
        8 => {
            let import = ImportRequest { changes: vec![change], syntax: Syntax::Plain, label: production };
            registry.import(&actor, import).await.is_ok_and(|outcome| outcome.refused.is_empty())
        }
        9 => registry.create_token(&actor, token).await.is_ok(),
        10 => registry.revoke_token(&actor, "admin".to_owned()).await.is_ok(),
        11 => registry.rotate_token(&actor, "admin".to_owned(), RotationRequest::default()).await.is_ok(),
        12 => registry.create_principal(&actor, principal()).await.is_ok(),
        13 => registry.set_grants(&actor, who.to_owned(), everywhere()).await.is_ok(),
        14 => registry.disable_principal(&actor, "admin".to_owned(), true).await.is_ok(),
        15 => registry.put_role(&actor, "king".to_owned(), role).await.is_ok(),
        16 => registry.put_policy(&actor, policy()).await.is_ok(),
        17 => registry.put_rule_set(&actor, "r".to_owned(), rules).await.is_ok(),
        18 => registry.propose(&actor, propose).await.is_ok(),
        19 => registry.review(&actor, 1, review(EventKind::Approve)).await.is_ok(),
        20 => registry.review(&actor, 1, review(EventKind::Withdraw)).await.is_ok(),
        21 => registry.apply(&actor, 1, ApplyRequest::default()).await.is_ok(),
        22 => registry.save_draft(&actor, agent, "d".to_owned(), draft()).await.is_ok(),
        23 => registry.describe(&actor, agent, about).await.is_ok(),
        24 => registry.archive(&actor, archive).await.is_ok(),
        25 => registry.put_alert(&actor, "costs".to_owned(), alert).await.is_ok(),
        26 => registry.remove_alert(&actor, "spend".to_owned()).await.is_ok(),
        27 => registry.put_price_table(&actor, KeptTable::Imported, PRICES.into()).await.is_ok(),
        28 => registry.promote(&actor, promote).await.is_ok(),
        _ => registry.remove_price_table(&actor, KeptTable::Overrides).await.is_ok(),
    }
}

#[test]
fn no_sequence_of_commands_without_permission_changes_anything() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let primary = runtime.block_on(world());
    let documents = |primary: &Primary| {
        (
            primary.state().1,
            primary.registry.principals(&primary.admin).expect("an admin"),
            primary.registry.policies(),
            primary.registry.roles(),
            primary.view().prompt(&name("support/agent")).expect("it").about,
            primary.registry.draft(&primary.view(), &primary.admin, &name("support/agent"), "d").expect("it"),
            primary.registry.change_request(&primary.view(), 1).expect("it").request,
            primary.registry.tokens(&primary.admin).expect("an admin").len(),
            primary.registry.stored_alerts().expect("alerts"),
            primary.registry.price_tables().expect("prices"),
        )
    };
    let before = documents(&primary);
    let sequence = prop::collection::vec((0..POWERLESS.len(), 0..COMMANDS), 1..40);
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sequence in sequence)| {
        for (who, command) in sequence {
            let who = POWERLESS[who];
            let done = runtime.block_on(attempt(&primary, who, command));
            prop_assert!(!done, "{} did command {}", who, command);
        }
        runtime.block_on(primary.registry.tend_change_requests()).expect("tended");
        prop_assert_eq!(&documents(&primary), &before);
    });
    assert!(primary.view().verify_audit().expect("a log").whole);
    // The same commands with permission: the rejections above are due to missing grants only.
    for command in [0, 2, 3, 7, 12, 15, 16, 18, 22, 23, 25, 26, 27, 28, 29] {
        assert!(runtime.block_on(attempt(&primary, "admin", command)), "an admin's command {command}");
    }
}
