//! Access tokens: who may do what, and never nobody.

use bookholder::api::write::{Role, TokenRequest};
use bookholder::crypto::secret::AccessToken;
use bookholder::registry::{Actor, RegistryError};

use crate::support::primary::Primary;

async fn make(primary: &Primary, token: &str, role: Role) -> Result<AccessToken, RegistryError> {
    let view = primary.registry.create_token(&primary.admin, TokenRequest { name: token.to_owned(), role }).await?;
    Ok(AccessToken::parse(&view.token.expect("shown once")).expect("a token"))
}

#[tokio::test]
async fn a_token_works_from_its_making_to_its_revocation() {
    let primary = Primary::found();
    let token = make(&primary, "replica-plant-7", Role::Replica).await.expect("a free name");
    let actor = primary.registry.authenticate(&token).expect("it is known");
    assert_eq!(actor, Actor { name: "replica-plant-7".to_owned(), role: Role::Replica });
    let listed = primary.registry.tokens(&primary.admin).expect("an admin asks");
    assert_eq!(listed.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["admin", "replica-plant-7"]);
    assert!(listed.iter().all(|view| view.token.is_none()), "a token is shown once");
    primary.registry.revoke_token(&primary.admin, "replica-plant-7".to_owned()).await.expect("it is there");
    assert_eq!(primary.registry.authenticate(&token), None);
    assert!(primary.catalogue.verify_audit().expect("a log").whole);
}

#[tokio::test]
async fn tokens_with_bad_or_taken_names_are_refused_and_the_last_admin_stays() {
    let primary = Primary::found();
    let check = async |token: &str, message: &str| {
        let error = make(&primary, token, Role::Reader).await.expect_err(message);
        assert_eq!(error.to_string(), message);
    };
    check("", "`` is no name for an access token; use 1 to 64 of a-z 0-9 . _ -").await;
    check("Ümläut", "`Ümläut` is no name for an access token; use 1 to 64 of a-z 0-9 . _ -").await;
    check("admin", "there is an access token `admin` already; revoke it first, or choose another name").await;
    let revoke = async |token: &str| primary.registry.revoke_token(&primary.admin, token.to_owned()).await;
    assert_eq!(
        revoke("admin").await.expect_err("the last").to_string(),
        "`admin` is the last access token that may change anything; create another first"
    );
    assert_eq!(revoke("nobody").await.expect_err("none").to_string(), "there is no access token `nobody`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admins_who_revoke_each_other_at_once_leave_one() {
    let primary = Primary::found();
    for round in 0..20 {
        let other = format!("other-{round}");
        make(&primary, &other, Role::Admin).await.expect("a free name");
        // All admins but one may go; all at once must not.
        let admins: Vec<String> =
            primary.registry.tokens(&primary.admin).expect("a list").into_iter().map(|t| t.name).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for admin in admins {
            let (registry, actor) = (primary.registry.clone(), primary.admin.clone());
            tasks.spawn(async move { registry.revoke_token(&actor, admin).await });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1, "round {round}");
        assert_eq!(primary.registry.tokens(&primary.admin).expect("a list").len(), 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_made_at_once_all_work_at_once() {
    let primary = Primary::found();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (registry, actor) = (primary.registry.clone(), primary.admin.clone());
        tasks.spawn(async move {
            let request = TokenRequest { name: format!("t{number}"), role: Role::Reader };
            registry.create_token(&actor, request).await.expect("a free name").token.expect("shown once")
        });
    }
    for token in tasks.join_all().await {
        assert!(primary.registry.authenticate(&AccessToken::parse(&token).expect("a token")).is_some());
    }
}

#[tokio::test]
async fn roles_that_may_not_write_change_nothing() {
    use crate::support::primary::{fixed, label, moving, name, request, why};
    use bookholder::api::write::{DeployRequest, ImportRequest, RollbackRequest};
    use bookholder::model::content::Syntax;

    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.deploy("a", 1, "production").await;
    let before = primary.state();
    let audit = primary.catalogue.verify_audit().expect("a log");
    for role in [Role::Reader, Role::Replica] {
        let bob = Actor { name: "bob".to_owned(), role };
        let registry = &primary.registry;
        let deploy = DeployRequest { moves: vec![moving("a", "x", fixed(1))], message: "m".to_owned() };
        let rollback = RollbackRequest { message: "m".to_owned(), to: Some(1) };
        let import = ImportRequest { changes: Vec::new(), syntax: Syntax::Plain, label: label("production") };
        let token = TokenRequest { name: "t".to_owned(), role: Role::Admin };
        for (command, outcome) in [
            ("publish", registry.publish(&bob, name("a"), request("two")).await.err()),
            ("deploy", registry.deploy(&bob, deploy).await.err()),
            ("roll back", registry.rollback(&bob, name("a"), label("production"), rollback).await.err()),
            ("remove labels", registry.unlabel(&bob, name("a"), label("production"), why()).await.err()),
            ("remove prompts", registry.remove(&bob, name("a"), why()).await.err()),
            ("retire", registry.retire(&bob, name("a"), 1, why()).await.err()),
            ("reinstate", registry.reinstate(&bob, name("a"), 1, why()).await.err()),
            ("import", registry.import(&bob, import).await.err()),
            ("create access tokens", registry.create_token(&bob, token).await.err()),
            ("revoke access tokens", registry.revoke_token(&bob, "admin".to_owned()).await.err()),
            ("list access tokens", registry.tokens(&bob).err()),
        ] {
            let message = outcome.expect(command).to_string();
            assert_eq!(message, format!("`bob` may not {command}: that takes the role admin"));
        }
    }
    assert_eq!(primary.state(), before);
    assert_eq!(primary.catalogue.verify_audit().expect("a log"), audit);
}
