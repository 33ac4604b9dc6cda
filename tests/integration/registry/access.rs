//! Principals, grants and access tokens: permissions, expiry, and that one admin always remains.

use bookholder::api::govern::{GrantsRequest, PrincipalRequest, RotationRequest, TokenRequest};
use bookholder::api::write::{DeployRequest, ImportRequest, RollbackRequest};
use bookholder::crypto::secret::AccessToken;
use bookholder::model::audit::Decision;
use bookholder::model::content::Syntax;
use bookholder::model::principal::{Grant, Permission, PrincipalKind};
use bookholder::registry::RegistryError;
use bookholder::registry::why::AccessQuestion;

use crate::support::primary::{Primary, fixed, label, moving, name, person, request, why};

fn token(view: &bookholder::api::govern::TokenView) -> AccessToken {
    AccessToken::parse(view.token.as_deref().expect("shown once")).expect("a token")
}

async fn make(primary: &Primary, name: &str, role: &str) -> Result<AccessToken, RegistryError> {
    let request = TokenRequest { name: name.to_owned(), role: Some(role.to_owned()), ..TokenRequest::default() };
    primary.registry.create_token(&primary.admin, request).await.map(|view| token(&view))
}

fn grant(role: &str, prompts: &str, labels: &str) -> Grant {
    Grant {
        role: role.to_owned(),
        prompts: prompts.parse().expect("a pattern"),
        labels: labels.parse().expect("a pattern"),
    }
}

#[tokio::test]
async fn token_works_until_it_is_revoked() {
    let primary = Primary::found();
    let token = make(&primary, "replica-plant-7", "replica").await.expect("a free name");
    let seat = primary.registry.authenticate(&token).expect("it is known");
    assert_eq!((seat.actor().name.as_str(), seat.actor().kind), ("replica-plant-7", PrincipalKind::Service));
    assert_eq!(seat.actor().method.to_string(), "access token replica-plant-7");
    assert!(seat.follows("all") && seat.scope().reads("support/agent"));
    let listed = primary.registry.tokens(&primary.admin).expect("an admin asks");
    assert_eq!(listed.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["admin", "replica-plant-7"]);
    assert!(listed.iter().all(|view| view.token.is_none()), "a token is shown once");
    assert_eq!(listed[1].last_used, Some(primary.now()), "it was just shown");
    primary.registry.revoke_token(&primary.admin, "replica-plant-7".to_owned()).await.expect("it is there");
    assert!(primary.registry.authenticate(&token).is_none());
    assert!(!primary.registry.still_seated(&token, &seat), "whoever is connected is told");
    assert!(primary.view().verify_audit().expect("a log").whole);
}

#[tokio::test]
async fn token_expires_and_a_rotated_one_is_valid_for_the_overlap() {
    let primary = Primary::found();
    let ci = TokenRequest {
        name: "ci".to_owned(),
        role: Some("author".to_owned()),
        expires_s: Some(100),
        ..TokenRequest::default()
    };
    let first = token(&primary.registry.create_token(&primary.admin, ci).await.expect("a free name"));
    let known = |token: &AccessToken| primary.registry.authenticate(token).is_some();
    let rotate = async |overlap_s, expires_s| {
        let request = RotationRequest { overlap_s, expires_s };
        let rotated = primary.registry.rotate_token(&primary.admin, "ci".to_owned(), request).await;
        token(&rotated.expect("it is there"))
    };
    primary.wait(50_000);
    let second = rotate(10, Some(1_000)).await;
    assert!(known(&first) && known(&second));
    primary.wait(9_999);
    assert!(known(&first) && known(&second));
    primary.wait(1);
    assert!(!known(&first) && known(&second), "the overlap is over");
    let third = rotate(0, None).await;
    assert!(!known(&second) && known(&third), "no overlap");
    primary.wait(989_999);
    assert!(known(&third), "until the end that was given last");
    primary.wait(1);
    assert!(!known(&third));
}

#[tokio::test]
async fn rotating_ones_own_token_does_not_extend_it() {
    let primary = Primary::found();
    let ci = TokenRequest {
        name: "ci".to_owned(),
        role: Some("reader".to_owned()),
        expires_s: Some(100),
        ..TokenRequest::default()
    };
    let first = token(&primary.registry.create_token(&primary.admin, ci).await.expect("a free name"));
    let me = primary.registry.authenticate(&first).expect("known").actor().clone();
    let request = RotationRequest { overlap_s: 1_000, expires_s: Some(100_000) };
    let second = token(&primary.registry.rotate_token(&me, "ci".to_owned(), request.clone()).await.expect("her own"));
    primary.wait(100_000);
    assert!(primary.registry.authenticate(&first).is_none() && primary.registry.authenticate(&second).is_none());
    let other = primary.registry.rotate_token(&me, "admin".to_owned(), request).await;
    assert!(matches!(other, Err(RegistryError::Forbidden { .. })), "{other:?}");
}

#[tokio::test]
async fn last_use_of_a_token_survives_a_restart() {
    let primary = Primary::found();
    let ci = make(&primary, "ci", "reader").await.expect("a free name");
    assert!(primary.wait(120_000).registry.authenticate(&ci).is_some());
    let used = primary.now();
    primary.registry.keep_token_uses().await.expect("kept");
    let primary = primary.restart().await;
    let listed = primary.registry.tokens(&primary.admin).expect("an admin asks");
    assert_eq!(listed.iter().find(|view| view.name == "ci").and_then(|view| view.last_used), Some(used));
}

#[tokio::test]
async fn invalid_or_taken_token_names_and_removing_the_last_admin_are_rejected() {
    let primary = Primary::found();
    let check = async |token: &str, message: &str| {
        let error = make(&primary, token, "reader").await.expect_err(message);
        assert_eq!(error.to_string(), message);
    };
    check("", "invalid name `` for an access token: use 1 to 64 characters from a-z 0-9 . _ - @").await;
    check("Ümläut", "invalid name `Ümläut` for an access token: use 1 to 64 characters from a-z 0-9 . _ - @").await;
    check("admin", "an access token `admin` already exists; choose another name").await;
    check("operator", "a principal `operator` already exists; choose another name").await;
    let revoke = async |token: &str| primary.registry.revoke_token(&primary.admin, token.to_owned()).await;
    let last = "`admin` is the only one who can manage access; grant the permission `access` to someone else first";
    assert_eq!(revoke("admin").await.expect_err("the last").to_string(), last);
    assert_eq!(revoke("nobody").await.expect_err("none").to_string(), "there is no access token `nobody`");
    let disabled = primary.registry.disable_principal(&primary.admin, "admin".to_owned(), true).await;
    assert_eq!(disabled.expect_err("the last").to_string(), last);
    let none = GrantsRequest { grants: Vec::new() };
    let stripped = primary.registry.set_grants(&primary.admin, "admin".to_owned(), none).await;
    assert_eq!(stripped.expect_err("the last").to_string(), last);
    assert_eq!(make(&primary, "x", "king").await.expect_err("none").to_string(), "there is no role `king`");
}

#[tokio::test]
async fn disabled_principal_is_refused_until_enabled_again() {
    let primary = Primary::found();
    let ann = PrincipalRequest {
        name: "ann".to_owned(),
        kind: PrincipalKind::Person,
        grants: vec![grant("author", "support/**", "**")],
    };
    primary.registry.create_principal(&primary.admin, ann).await.expect("a free name");
    let request = TokenRequest {
        name: "ann-laptop".to_owned(),
        principal: Some("ann".to_owned()),
        prompts: Some("support/de/**".parse().expect("a pattern")),
        ..TokenRequest::default()
    };
    let token = token(&primary.registry.create_token(&primary.admin, request).await.expect("a free name"));
    let seat = primary.registry.authenticate(&token).expect("known");
    assert!(
        seat.scope().reads("support/de/agent")
            && !seat.scope().reads("support/agent")
            && !seat.scope().reads("sales/agent")
    );
    let publish = async |prompt| primary.registry.publish(seat.actor(), name(prompt), request_of("x")).await;
    publish("support/de/agent").await.expect("hers");
    let refused = publish("support/agent").await.expect_err("the token is limited").to_string();
    assert_eq!(
        refused,
        "permission denied: this access token is limited to support/de/** and does not cover `publish` on support/agent"
    );
    let set = async |disabled| {
        primary.registry.disable_principal(&primary.admin, "ann".to_owned(), disabled).await.expect("she is there")
    };
    set(true).await;
    assert!(primary.registry.authenticate(&token).is_none());
    assert!(publish("support/de/agent").await.is_err(), "also with an actor from before");
    set(false).await;
    assert!(primary.registry.authenticate(&token).is_some());
}

fn request_of(text: &str) -> bookholder::api::write::PublishRequest {
    request(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admins_revoking_each_other_leave_one() {
    let primary = Primary::found();
    for round in 0..20 {
        let other = format!("other-{round}");
        make(&primary, &other, "admin").await.expect("a free name");
        // All admins but one can be removed; the last cannot.
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
async fn concurrently_created_tokens_all_work() {
    let primary = Primary::found();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (registry, actor) = (primary.registry.clone(), primary.admin.clone());
        tasks.spawn(async move {
            let role = Some("reader".to_owned());
            let request = TokenRequest { name: format!("t{number}"), role, ..TokenRequest::default() };
            registry.create_token(&actor, request).await.expect("a free name").token.expect("shown once")
        });
    }
    for token in tasks.join_all().await {
        assert!(primary.registry.authenticate(&AccessToken::parse(&token).expect("a token")).is_some());
    }
}

#[tokio::test]
async fn read_only_roles_change_nothing_and_denials_are_recorded() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.deploy("a", 1, "production").await;
    for role in ["reader", "replica", "reporter"] {
        make(&primary, role, role).await.expect("a free name");
        let before = primary.state();
        let recorded = primary.view().verify_audit().expect("a log").entries;
        let bob = person(role);
        let registry = &primary.registry;
        let deploy = DeployRequest {
            moves: vec![moving("a", "x", fixed(1))],
            message: "m".to_owned(),
            ..DeployRequest::default()
        };
        let rollback = RollbackRequest { message: "m".to_owned(), to: Some(1), ..RollbackRequest::default() };
        let token = TokenRequest { name: "t".to_owned(), role: Some("admin".to_owned()), ..TokenRequest::default() };
        let grants = GrantsRequest { grants: vec![Grant::everywhere("admin")] };
        let outcomes = [
            ("publish", registry.publish(&bob, name("a"), request("two")).await.err()),
            ("deploy", registry.deploy(&bob, deploy).await.err()),
            ("deploy", registry.rollback(&bob, name("a"), label("production"), rollback).await.err()),
            ("deploy", registry.unlabel(&bob, name("a"), label("production"), why()).await.err()),
            ("remove", registry.remove(&bob, name("a"), why().into()).await.err()),
            ("retire", registry.retire(&bob, name("a"), 1, why()).await.err()),
            ("retire", registry.reinstate(&bob, name("a"), 1, why()).await.err()),
            ("access", registry.create_token(&bob, token).await.err()),
            ("access", registry.revoke_token(&bob, "admin".to_owned()).await.err()),
            ("access", registry.set_grants(&bob, role.to_owned(), grants).await.err()),
        ];
        let refused = outcomes.len() as u64;
        for (permission, outcome) in outcomes {
            let message = outcome.expect(permission).to_string();
            let expected = format!("permission denied: `{role}` is not granted `{permission}`");
            assert!(message.starts_with(&expected), "{message}");
        }
        assert!(matches!(registry.tokens(&bob), Err(RegistryError::Forbidden { .. })));
        assert_eq!(primary.state().1, before.1, "no entry changed");
        let verdict = primary.view().verify_audit().expect("a log");
        assert_eq!((verdict.whole, verdict.entries), (true, recorded + refused));
        let last = primary.view().audit(Some(&verdict.entries.to_string()), 10).expect("a page");
        assert!(last.items.iter().all(|entry| entry.decision == Decision::Denied && entry.actor == role), "{last:?}");
    }
}

#[tokio::test]
async fn import_decides_each_change() {
    let primary = Primary::found();
    make(&primary, "bob", "author").await.expect("a free name");
    let change = bookholder::api::write::ImportChange {
        id: "1".to_owned(),
        at: primary.now(),
        author: "somebody".to_owned(),
        message: "m".to_owned(),
        name: name("a"),
        text: Some("one".to_owned()),
        original: None,
    };
    let import = ImportRequest { changes: vec![change], syntax: Syntax::Plain, label: label("production") };
    let before = primary.state().1;
    let outcome = primary.registry.import(&person("bob"), import).await.expect("an answer for each change");
    let (id, refused) = outcome.refused.first().expect("one");
    assert_eq!(id, "1");
    assert_eq!(refused.to_string(), "permission denied: `bob` is not granted `import` on a");
    assert_eq!(primary.state().1, before);
}

#[tokio::test]
async fn principal_can_query_its_denial() {
    let primary = Primary::found();
    let ann = PrincipalRequest {
        name: "ann".to_owned(),
        kind: PrincipalKind::Person,
        grants: vec![grant("releaser", "support/**", "staging")],
    };
    primary.registry.create_principal(&primary.admin, ann).await.expect("a free name");
    primary.publish("support/agent", "one").await;
    let can = |who: &str, label: &str| {
        let question = AccessQuestion {
            who: "ann".to_owned(),
            permission: Permission::Deploy,
            prompt: Some(name("support/agent")),
            label: Some(self::label(label)),
            version: Some(1),
        };
        let asked = primary.registry.can(&primary.view(), &person(who), &question);
        asked.map(|answer| (answer.allowed, answer.permission.reason))
    };
    let granted = "grant releaser on support/** for labels staging".to_owned();
    assert_eq!(can("admin", "staging").expect("an admin asks"), (true, granted.clone()));
    assert_eq!(can("ann", "staging").expect("she asks for herself"), (true, granted));
    let refused = "`ann` is not granted `deploy` on support/agent@production".to_owned();
    assert_eq!(can("ann", "production").expect("she asks for herself"), (false, refused));
    make(&primary, "bob", "reader").await.expect("a free name");
    assert!(can("bob", "staging").is_err(), "about somebody else");
}
