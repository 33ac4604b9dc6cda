//! Known ways around governance, all closed.

use bookholder::api::govern::{
    AmendRequest, DraftRequest, ProposeRequest, ProposedVersion, PublishDraftRequest, ReviewRequest, RotationRequest,
    RuleSetRequest, TokenRequest, VersionUse,
};
use bookholder::api::write::{DeployRequest, ImportChange, ImportRequest, PublishRequest, RollbackRequest};
use bookholder::crypto::secret::AccessToken;
use bookholder::model::change_request::{ChangeRequest, EventKind, RequestState};
use bookholder::model::content::Syntax;
use bookholder::model::principal::{Grant, Permission};
use bookholder::model::time::Timestamp;
use bookholder::model::verdict::RequirementKind;
use bookholder::registry::bootstrap::{BootstrapOptions, bootstrap};
use bookholder::registry::{Registry, RegistryError};
use futures_util::FutureExt;

use super::governing::{policy, team};
use crate::support::primary::{
    Primary, fixed, label, moving, name, open_store, outside, person, request, weighted, why,
};

const AGENT: &str = "support/agent";
const HOUR_MS: u64 = 3_600_000;

fn deploy(serving: bookholder::api::write::ServingRequest, to: &str) -> DeployRequest {
    DeployRequest { moves: vec![moving(AGENT, to, serving)], message: "now".to_owned(), ..DeployRequest::default() }
}

fn propose(version: u64, automatic: bool) -> ProposeRequest {
    let moves = vec![moving(AGENT, "production", fixed(version))];
    ProposeRequest { message: "please".to_owned(), moves, automatic, ..ProposeRequest::default() }
}

async fn approve(primary: &Primary, who: &str, asked: &ChangeRequest) -> Result<ChangeRequest, RegistryError> {
    let fingerprints = asked.moves.iter().map(|one| one.fingerprint.clone()).collect();
    let approval = ReviewRequest { kind: EventKind::Approve, message: String::new(), fingerprints };
    primary.registry.review(&person(who), asked.id, approval).await
}

fn lacks(refused: Result<bookholder::api::write::Deployed, RegistryError>) -> Vec<RequirementKind> {
    match refused {
        Err(RegistryError::PolicyNotMet { missing, .. }) => missing.into_iter().map(|demand| demand.kind).collect(),
        other => panic!("{other:?}"),
    }
}

fn change(primary: &Primary, id: &str, text: Option<&str>) -> ImportChange {
    ImportChange {
        id: id.to_owned(),
        at: primary.now(),
        author: "somebody".to_owned(),
        message: "m".to_owned(),
        name: name(AGENT),
        text: text.map(str::to_owned),
        original: None,
    }
}

fn import(change: ImportChange, to: &str) -> ImportRequest {
    ImportRequest { changes: vec![change], syntax: Syntax::Plain, label: label(to) }
}

#[tokio::test]
async fn refusal_of_any_size_is_recorded_within_limits() {
    let primary = team().await;
    let long = ImportChange { message: "M".repeat(5_000_000), ..change(&primary, "q", Some("t")) };
    let outcome = primary.registry.import(&person("ann"), import(long, "production")).await.expect("an answer");
    assert_eq!(outcome.refused.len(), 1);
    let token = TokenRequest { name: "t".repeat(1_000_000), role: Some("admin".to_owned()), ..TokenRequest::default() };
    assert!(primary.registry.create_token(&person("ann"), token).await.is_err());
    let principal = bookholder::api::govern::PrincipalRequest {
        name: "p".repeat(1_000_000),
        kind: bookholder::model::principal::PrincipalKind::Person,
        grants: Vec::new(),
    };
    assert!(primary.registry.create_principal(&person("ann"), principal).await.is_err());
    let labels = (0..25_000).map(|number| label(&format!("l{number}"))).collect();
    let many = PublishRequest { labels, ..request("one") };
    assert!(primary.registry.publish(&person("ann"), name(AGENT), many).await.is_err());
    primary.publish(AGENT, "the registry goes on").await;
    assert!(primary.view().verify_audit().expect("a log").whole);
}

#[tokio::test]
async fn deployment_needs_authority_for_exactly_that_change() {
    let primary = team().await;
    let good =
        primary.registry.publish(&person("rob"), name(AGENT), request("good")).await.expect("his").version.number;
    policy(&primary, r#","after":{"label":"staging"}"#).await;
    let asked = primary.registry.propose(&person("rob"), propose(good, true)).await.expect("his");
    let evil = ProposedVersion {
        name: name(AGENT),
        content: request("evil").content,
        bump: None,
        expected_parent: None,
        labels: vec![label("other")],
    };
    let amend = AmendRequest { message: "x".to_owned(), publish: Some(evil), moves: Vec::new() };
    let amended = primary.registry.amend(&person("ann"), asked.id, amend).await.expect("an author may propose");
    primary.registry.tend_change_requests().await.expect("tended");
    let state = primary.registry.change_request(&primary.view(), amended.id).expect("it").request.state;
    assert_eq!(state, RequestState::Open, "rob wanted something else");
    assert!(primary.text("support/agent@other").is_err());
}

#[tokio::test]
async fn amending_a_request_counts_as_authorship() {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    for text in ["one", "two"] {
        primary.registry.publish(&person("ann"), name(AGENT), request(text)).await.expect("hers");
    }
    let asked = primary.registry.propose(&person("ann"), propose(1, false)).await.expect("hers");
    let amend = AmendRequest {
        message: "better".to_owned(),
        publish: None,
        moves: vec![moving(AGENT, "production", fixed(2))],
    };
    let amended = primary.registry.amend(&person("rob"), asked.id, amend).await.expect("he may publish");
    let refused = approve(&primary, "rob", &amended).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
    approve(&primary, "ivy", &amended).await.expect("somebody else");
}

#[tokio::test]
async fn author_of_part_of_a_version_cannot_approve_it() {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    // Rob saves a draft that ann publishes.
    let draft = DraftRequest { content: request("rob's words").content, parent: None, expected_revision: None };
    primary.registry.save_draft(&person("rob"), name(AGENT), "d".to_owned(), draft).await.expect("saved");
    let publish = PublishDraftRequest { message: "m".to_owned(), ..PublishDraftRequest::default() };
    primary.registry.publish_draft(&person("ann"), name(AGENT), "d".to_owned(), publish).await.expect("published");
    let asked = primary.registry.propose(&person("ann"), propose(1, false)).await.expect("hers");
    assert!(approve(&primary, "rob", &asked).await.is_err(), "the draft was his");
    // That much is served; ann includes what ivy wrote.
    let glass = DeployRequest { break_glass: Some("a test".to_owned()), ..deploy(fixed(1), "production") };
    primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
    primary.registry.publish(&person("ivy"), name("support/part"), request("ivy's words")).await.expect("hers");
    let included = request("{{> support/part@1}} and mine");
    primary.registry.publish(&person("ann"), name(AGENT), included).await.expect("hers");
    let asked = primary.registry.propose(&person("ann"), propose(2, false)).await.expect("hers");
    assert!(approve(&primary, "ivy", &asked).await.is_err(), "a part was hers");
    approve(&primary, "rob", &asked).await.expect("nothing of it is his");
    primary.registry.deploy(&person("rob"), deploy(fixed(2), "production")).await.expect("approved");
    // A canary of rob's version was approved by someone else; the full deployment needs an approval, too.
    primary.registry.publish(&person("rob"), name(AGENT), request("rob's own")).await.expect("his");
    let glass = DeployRequest {
        break_glass: Some("a canary".to_owned()),
        ..deploy(weighted(&[(2, 99), (3, 1)]), "production")
    };
    primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
    let asked = primary.registry.propose(&person("ann"), propose(3, false)).await.expect("hers");
    assert!(approve(&primary, "rob", &asked).await.is_err(), "it grows from 1 % to all, and is his");
}

#[tokio::test]
async fn rule_without_matching_subjects_does_not_count_as_tried() {
    let primary = team().await;
    policy(&primary, r#","after":{"label":"staging","for_s":3600},"approvals":1"#).await;
    for text in ["one", "two"] {
        primary.registry.publish(&person("ann"), name(AGENT), request(text)).await.expect("hers");
    }
    let hidden = || bookholder::api::write::ServingRequest {
        rules: vec![bookholder::api::write::RuleRequest {
            when: [("tester".to_owned(), "no-such".to_owned())].into(),
            version: Some(2),
            split: None,
        }],
        ..fixed(1)
    };
    primary.registry.deploy(&person("rob"), deploy(hidden(), "staging")).await.expect("staging is free");
    primary.wait(2 * HOUR_MS);
    let missing = lacks(primary.registry.deploy(&person("rob"), deploy(fixed(2), "production")).await);
    assert_eq!(missing, [RequirementKind::Approvals, RequirementKind::After]);
    let glass = DeployRequest { break_glass: Some("a rule".to_owned()), ..deploy(hidden(), "production") };
    primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
    let missing = lacks(primary.registry.deploy(&person("rob"), deploy(fixed(2), "production")).await);
    assert_eq!(missing, [RequirementKind::Approvals, RequirementKind::After], "from a rule to everybody");
}

#[tokio::test]
async fn include_of_an_unreadable_prompt_reveals_nothing() {
    let primary = team().await;
    primary.publish("secret/plan", "TOP SECRET").await;
    let leak = |reference: &str| {
        let included = request(&format!("{{{{> {reference}}}}}"));
        let (registry, ann) = (primary.registry.clone(), person("ann"));
        async move { registry.publish(&ann, name("support/leak"), included).await.expect_err("hers to read?").to_string() }
    };
    let there = leak("secret/plan@latest").await.replace("secret/plan", "X");
    let absent = leak("secret/none@latest").await.replace("secret/none", "X");
    assert_eq!(there, absent, "not even that it is there");
}

#[tokio::test]
async fn revocation_takes_effect_even_if_the_client_disconnects() {
    let primary = team().await;
    let token = TokenRequest { name: "z".to_owned(), role: Some("reader".to_owned()), ..TokenRequest::default() };
    let made = primary.registry.create_token(&primary.admin, token).await.expect("a token");
    let token = AccessToken::parse(&made.token.expect("shown once")).expect("a token");
    assert!(primary.registry.authenticate(&token).is_some());
    // Asked for, and gone before the answer.
    assert!(primary.registry.revoke_token(&primary.admin, "z".to_owned()).now_or_never().is_none());
    primary.publish(AGENT, "the next write comes after it").await;
    assert!(primary.registry.authenticate(&token).is_none());
}

#[tokio::test]
async fn rotated_out_token_cannot_rotate() {
    let primary = team().await;
    let ci = TokenRequest { name: "ci".to_owned(), role: Some("reader".to_owned()), ..TokenRequest::default() };
    let made = primary.registry.create_token(&primary.admin, ci).await.expect("a token");
    let old = AccessToken::parse(&made.token.expect("shown once")).expect("a token");
    let rotate = RotationRequest { overlap_s: 60, expires_s: None };
    primary.registry.rotate_token(&primary.admin, "ci".to_owned(), rotate.clone()).await.expect("rotated");
    let thief = primary.registry.authenticate(&old).expect("good for the overlap").actor().clone();
    let refused = primary.registry.rotate_token(&thief, "ci".to_owned(), rotate).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
}

#[tokio::test]
async fn failed_lookup_does_not_abort_other_writes_in_the_group() {
    let primary = team().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (registry, admin) = (primary.registry.clone(), primary.admin.clone());
        tasks.spawn(async move {
            let published = registry.publish(&admin, name(&format!("p/{number}")), request("x")).await;
            assert!(published.is_ok(), "{published:?}");
        });
        let (registry, admin) = (primary.registry.clone(), primary.admin.clone());
        tasks.spawn(async move {
            assert!(registry.remove_rule_set(&admin, "nope".to_owned()).await.is_err());
        });
        let registry = primary.registry.clone();
        tasks.spawn(async move {
            let one = |by: String| VersionUse { name: name("p/0"), version: 1, by, hour: 1 };
            registry.keep_uses(vec![one("a".to_owned()), one("\u{1f600}".repeat(200))]).await.expect("kept or not");
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn usage_of_future_hours_and_unknown_versions_is_ignored() {
    let primary = team().await;
    policy(&primary, "").await;
    primary.publish(AGENT, "{{a}}").await;
    primary.deploy(AGENT, 1, "production").await;
    let forged = |version, hour| VersionUse { name: name(AGENT), version, by: "payroll".to_owned(), hour };
    primary.registry.keep_uses(vec![forged(1, u64::MAX), forged(9, 1)]).await.expect("looked at");
    primary.publish(AGENT, "{{b}}").await;
    match primary.registry.deploy(&person("rob"), deploy(fixed(2), "production")).await {
        Err(RegistryError::BreaksCallers { by, .. }) => assert!(by.is_empty(), "{by:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rejected_request_cannot_be_approved_by_comments() {
    let primary = team().await;
    primary.publish(AGENT, "one").await;
    let asked = primary.registry.propose(&person("ann"), propose(1, false)).await.expect("hers");
    let say = |kind| ReviewRequest { kind, message: "m".to_owned(), fingerprints: Vec::new() };
    let mut said = 0;
    while primary.registry.review(&person("ann"), asked.id, say(EventKind::Comment)).await.is_ok() {
        said += 1;
        assert!(said < 1_000, "comments end");
    }
    approve(&primary, "cy", &asked).await.expect("there is room for an approval");
    primary.registry.review(&person("cy"), asked.id, say(EventKind::Reject)).await.expect("and for an end");
    for number in 0.. {
        match primary.registry.propose(&person("ann"), propose(1, false)).await {
            Ok(_) => assert!(number < 1_000, "one author's requests end"),
            Err(_) => break,
        }
    }
    primary.registry.propose(&person("rob"), propose(1, false)).await.expect("others still can");
}

#[tokio::test]
async fn deployment_classifies_with_current_rules() {
    let primary = team().await;
    policy(&primary, r#","risk":{"from":"high"}"#).await;
    primary.registry.publish(&person("ann"), name(AGENT), request("Mention Bluebird")).await.expect("hers");
    let toml = "[[rule]]\nid = \"house.codename\"\nversion = 1\ndescription = \"A codename\"\ncategory = \"exfiltration\"\nseverity = \"high\"\nkeywords = [\"bluebird\"]\nregex = \"(?i)bluebird\"\ntest_pos = [\"Bluebird\"]\ntest_neg = [\"bird\"]\n";
    let rules = RuleSetRequest { toml: toml.to_owned(), gitleaks: false };
    primary.registry.put_rule_set(&primary.admin, "house".to_owned(), rules).await.expect("rules");
    let missing = lacks(primary.registry.deploy(&person("rob"), deploy(fixed(1), "production")).await);
    assert_eq!(missing, [RequirementKind::RiskApproval]);
}

#[tokio::test]
async fn rollback_to_an_overridden_deployment_needs_its_policies() {
    let primary = team().await;
    for text in ["one", "two", "three"] {
        primary.registry.publish(&person("ann"), name(AGENT), request(text)).await.expect("hers");
    }
    primary.deploy(AGENT, 1, "production").await;
    policy(&primary, r#","approvals":1"#).await;
    for version in [2, 3] {
        let glass = DeployRequest { break_glass: Some("a fire".to_owned()), ..deploy(fixed(version), "production") };
        primary.registry.deploy(&primary.admin, glass).await.expect("an admin");
    }
    let back = RollbackRequest { message: "m".to_owned(), ..RollbackRequest::default() };
    let refused = primary.registry.rollback(&person("rob"), name(AGENT), label("production"), back).await;
    assert_eq!(lacks(refused), [RequirementKind::Approvals]);
}

#[tokio::test]
async fn import_is_limited_to_the_permissions_of_its_importer() {
    let primary = team().await;
    primary.publish(AGENT, "one").await;
    let grants = ["importer", "releaser"];
    let role = bookholder::api::govern::RoleRequest {
        permissions: [Permission::Import, Permission::Publish].into(),
        description: String::new(),
    };
    primary.registry.put_role(&primary.admin, "importer".to_owned(), role).await.expect("a role");
    let grants = bookholder::api::govern::GrantsRequest { grants: grants.map(Grant::everywhere).to_vec() };
    primary.registry.set_grants(&primary.admin, "rob".to_owned(), grants).await.expect("rob");
    let refused = async |request| {
        let mut outcome = primary.registry.import(&person("rob"), request).await.expect("an answer");
        outcome.refused.pop().map(|(_, error)| error)
    };
    let removal = refused(import(change(&primary, "1", None), "production")).await;
    assert!(matches!(removal, Some(RegistryError::Forbidden { .. })), "{removal:?}");
    let tomorrow = Timestamp::from_ms(primary.now().ms() + 24 * 3_600_000);
    let ahead = ImportChange { at: tomorrow, ..change(&primary, "2", Some("two")) };
    let ahead = refused(import(ahead, "production")).await;
    assert!(matches!(ahead, Some(RegistryError::FromTheFuture { .. })), "{ahead:?}");

    // Imported history does not count as deployed here, and the importer is a contributor, too.
    policy(&primary, r#","after":{"label":"staging","for_s":60},"approvals":1"#).await;
    let old = ImportChange {
        name: name("support/old"),
        at: Timestamp::from_ms(primary.now().ms() - 365 * 24 * 3_600_000),
        ..change(&primary, "3", Some("old"))
    };
    assert!(refused(import(old, "staging")).await.is_none());
    let moves = vec![moving("support/old", "production", fixed(1))];
    let now = DeployRequest { moves: moves.clone(), message: "m".to_owned(), ..DeployRequest::default() };
    let missing = lacks(primary.registry.deploy(&person("rob"), now).await);
    assert_eq!(missing, [RequirementKind::Approvals, RequirementKind::After]);
    let asked = ProposeRequest { message: "m".to_owned(), moves, ..ProposeRequest::default() };
    let asked = primary.registry.propose(&person("ann"), asked).await.expect("hers");
    assert!(approve(&primary, "rob", &asked).await.is_err(), "he imported it");
    approve(&primary, "ivy", &asked).await.expect("she did not");
}

#[tokio::test]
async fn truncated_audit_log_is_not_continued() {
    const AUDIT: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("audit/v1");
    let primary = team().await;
    primary.publish(AGENT, "one").await;
    let (directory, seq) = (primary.directory(), primary.state().0.seq);
    primary.store.close().await;
    drop(primary);
    let database = redb::Database::open(directory.path().join("registry.redb")).expect("a database");
    let txn = database.begin_write().expect("a transaction");
    for cut in [seq, seq - 1] {
        txn.open_table(AUDIT).expect("the log").remove(cut).expect("it was there");
    }
    txn.commit().expect("a commit");
    drop(database);
    let store = open_store(directory.path());
    let verdict = store.read().expect("a state").verify_audit().expect("a log");
    assert_eq!((verdict.whole, verdict.anchored), (false, Some(false)));
    let clock = std::sync::Arc::new(bookholder::clock::ManualClock::at(crate::support::primary::BEGIN_MS));
    let clock = clock as std::sync::Arc<dyn bookholder::clock::Clock>;
    let refused =
        outside(move || bootstrap(&store, &BootstrapOptions::default(), &clock).err().map(|error| error.to_string()));
    assert!(refused.as_deref().is_some_and(|said| said.contains("removed or replaced")), "{refused:?}");
}

#[tokio::test]
async fn break_glass_needs_a_reason() {
    let primary = team().await;
    primary.publish(AGENT, "one").await;
    policy(&primary, r#","approvals":1"#).await;
    let glass = DeployRequest { break_glass: Some("  ".to_owned()), ..deploy(fixed(1), "production") };
    let refused = primary.registry.deploy(&primary.admin, glass).await;
    assert!(matches!(refused, Err(RegistryError::MessageMissing)), "{refused:?}");
    let _still_opens: Registry = primary.registry.clone();
    assert!(primary.registry.unlabel(&primary.admin, name(AGENT), label("production"), why()).await.is_err());
}
