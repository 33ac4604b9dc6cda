//! Databases of every released schema open with their contents, and accept writes.
//!
//! `UPDATE_FIXTURES=1 cargo test --test integration upgrade` writes the files of the present schema. Once a
//! schema was released, its files never change.

use std::path::PathBuf;
use std::sync::Arc;

use bookholder::api::govern::{
    ArchiveRequest, DraftRequest, PrincipalRequest, ProposeRequest, ReviewRequest, RoleRequest, RuleSetRequest,
    TokenRequest,
};
use bookholder::api::webhooks::WebhookRequest;
use bookholder::api::write::DeployRequest;
use bookholder::clock::ManualClock;
use bookholder::model::audit::Decision;
use bookholder::model::change_request::{EventKind, RequestState};
use bookholder::model::pattern::Pattern;
use bookholder::model::principal::{Grant, Permission, PrincipalKind};
use bookholder::model::webhook::WebhookFormat;
use bookholder::registry::Registry;
use bookholder::registry::bootstrap::{BootstrapOptions, bootstrap};
use bookholder::resolve::{Catalogue, Query, ReadScope, Resolver};
use bookholder::signing::primary_clock::PrimaryClock;
use bookholder::store::{Options, Store};

use crate::support::primary::{
    BEGIN_MS, CACHE_BYTES, Primary, fixed, moving, name, outside, person, request, state_of, text_of, verify_store,
    version_refs,
};

/// A database of a schema: `redb` is the file, `state` the hash of its state.
fn fixture(schema: u64, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/store/schema-{schema}.{extension}"))
}

/// Three prompts with labels, a split, an include, and a removal.
async fn story() -> Primary {
    let primary = Primary::found();
    primary.publish("shared/tone", "Be kind.").await;
    primary.publish("support/agent", "{{> shared/tone@1}} Hi {{who}}").await;
    primary.wait(1_000).publish("support/agent", "{{> shared/tone@1}} Hello {{who}}").await;
    primary.deploy("support/agent", 1, "production").await;
    primary.split("support/agent", "staging", &[(1, 1), (2, 3)]).await;
    primary.publish("about/us", "gone").await;
    primary.deploy("about/us", 1, "production").await;
    primary.wait(1_000).remove("about/us").await.expect("no prompt includes it");
    primary
}

/// Every noun of governance beside them.
async fn governed_story() -> Primary {
    let primary = story().await;
    let (registry, admin) = (&primary.registry, &primary.admin);
    let ann = PrincipalRequest {
        name: "ann".to_owned(),
        kind: PrincipalKind::Person,
        grants: vec![Grant::everywhere("author"), Grant::everywhere("tester")],
    };
    let tester = RoleRequest { permissions: [Permission::Read].into(), description: "tries".to_owned() };
    registry.put_role(admin, "tester".to_owned(), tester).await.expect("a role");
    registry.create_principal(admin, ann).await.expect("a principal");
    // Contributors cannot approve.
    let bob = PrincipalRequest {
        name: "bob".to_owned(),
        kind: PrincipalKind::Person,
        grants: vec![Grant::everywhere("releaser")],
    };
    registry.create_principal(admin, bob).await.expect("a principal");
    let token = TokenRequest {
        name: "ann-laptop".to_owned(),
        principal: Some("ann".to_owned()),
        expires_s: Some(3_600),
        prompts: Some("support/**".parse().expect("a pattern")),
        ..TokenRequest::default()
    };
    registry.create_token(admin, token).await.expect("a token");
    let policy = r#"{"name":"production","labels":"production","approvals":1,"message":"OPS","risk":{"from":"high"}}"#;
    registry.put_policy(admin, serde_json::from_str(policy).expect("a policy")).await.expect("kept");
    let rules = "[[rule]]\nid = \"house.codename\"\nversion = 1\ndescription = \"A codename\"\ncategory = \"exfiltration\"\nseverity = \"high\"\nkeywords = [\"bluebird\"]\nregex = \"(?i)bluebird\"\ntest_pos = [\"Bluebird\"]\ntest_neg = [\"bird\"]\n";
    let rules = RuleSetRequest { toml: rules.to_owned(), gitleaks: false };
    registry.put_rule_set(admin, "house".to_owned(), rules).await.expect("rules");
    let published = registry.publish(&person("ann"), name("support/agent"), request("Say Bluebird to {{who}}")).await;
    let number = published.expect("hers").version.number;
    let moves = vec![moving("support/agent", "production", fixed(number))];
    let asked = ProposeRequest { message: "OPS 1".to_owned(), moves: moves.clone(), ..ProposeRequest::default() };
    let asked = registry.propose(&person("ann"), asked).await.expect("a proposal");
    let (asked, seen) = (asked.id, asked.moves.into_iter().map(|one| one.fingerprint).collect());
    let approve = ReviewRequest { kind: EventKind::Approve, message: "good".to_owned(), fingerprints: seen };
    registry.review(&person("bob"), asked, approve).await.expect("approved");
    let deploy = DeployRequest {
        moves,
        message: "OPS 1".to_owned(),
        break_glass: Some("no compliance".to_owned()),
        allow_major: true,
    };
    assert!(registry.deploy(&person("ann"), deploy.clone()).await.is_err(), "an author");
    registry.deploy(admin, deploy).await.expect("an admin");
    let draft = DraftRequest { content: request("a draft").content, parent: None, expected_revision: None };
    registry.save_draft(&person("ann"), name("support/agent"), "kinder".to_owned(), draft).await.expect("saved");
    let hook = WebhookRequest {
        url: "https://hooks.example.com/ops".to_owned(),
        events: vec!["prompt.*".to_owned()],
        prompts: Pattern::everything(),
        format: WebhookFormat::default(),
    };
    registry.put_webhook(admin, "ops".to_owned(), hook).await.expect("a webhook");
    let archive = ArchiveRequest {
        prompts: Pattern::everything(),
        unused_days: 184,
        keep: Vec::new(),
        dry_run: false,
        message: "old".to_owned(),
    };
    primary.publish("old/one", "first").await;
    primary.publish("old/one", "second").await;
    let archived = primary.wait(185 * 24 * 3_600_000).registry.archive(admin, archive).await.expect("archived");
    assert_eq!(archived.versions, version_refs(["old/one@1"]));
    primary
}

/// Writes the files of a schema.
fn write(schema: u64, primary: &Primary) {
    let path = fixture(schema, "redb");
    let _old = std::fs::remove_file(&path);
    let txn = primary.store.read().expect("a state");
    outside(move || bookholder::store::backup::copy(&txn, &path).expect("a copy"));
    let state = blake3::Hash::from(primary.state().1.hash);
    std::fs::write(fixture(schema, "state"), format!("{state}\n")).expect("written");
}

fn open(schema: u64) -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(fixture(schema, "redb"), directory.path().join("registry.redb")).expect("the fixture");
    let store = Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("a store");
    (store, directory)
}

#[tokio::test]
async fn database_of_schema_1_opens_with_all_data() {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        write(1, &governed_story().await);
    }
    let (store, _directory) = open(1);
    let state = std::fs::read_to_string(fixture(1, "state")).expect("its state");
    assert_eq!(blake3::Hash::from(state_of(&store).1.hash).to_string(), state.trim_end());
    let report = verify_store(&store);
    assert_eq!((report.differences, report.state), (Vec::<String>::new(), state_of(&store).1));
    let verdict = store.read().expect("a state").verify_audit().expect("a log");
    assert_eq!((verdict.whole, verdict.anchored), (true, Some(true)));
    let clock = Arc::new(ManualClock::at(BEGIN_MS)) as Arc<dyn bookholder::clock::Clock>;
    let clock = Arc::new(PrimaryClock::open(&store, clock, false).expect("a clock"));
    let registry = Registry::open(store.clone(), clock).expect("a registry");
    let admin = person("admin");
    let names: Vec<String> = registry.principals(&admin).expect("an admin").into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["admin", "ann", "bob"]);
    assert_eq!(registry.tokens(&admin).expect("an admin").len(), 2);
    assert_eq!(registry.policies()[0].name, "production");
    assert_eq!(registry.rule_set("house").expect("rules").rules, 1);
    assert_eq!(registry.webhooks(&admin).expect("an admin")[0].name, "ops");
    assert!(registry.roles().iter().any(|role| role.name == "tester"));
    let view = Catalogue::new(store.clone()).as_reader(&ReadScope::node()).expect("a state");
    let asked = registry.change_request(&view, 1).expect("it").request;
    assert_eq!(asked.state, RequestState::Applied);
    assert_eq!(registry.draft(&view, &admin, &name("support/agent"), "kinder").expect("it").revision, 1);
    assert_eq!(registry.findings(&view, &name("support/agent"), 3).expect("findings")[0].rule, "house.codename");
    let deployment = &view.deployments(&name("support/agent"), None, None, 1).expect("a page").items[0];
    assert_eq!((deployment.approved_by.as_slice(), deployment.change_request), (&["bob".to_owned()][..], Some(1)));
    let versions = view.versions(&name("old/one"), None, 10).expect("a page").items;
    assert!(versions[1].archived.is_some());
    let entries = view.audit(None, 1_000).expect("a page").items;
    assert!(entries.iter().any(|entry| entry.decision == Decision::Denied && entry.actor == "ann"));

    drop(registry);
    let resolver = Resolver::new(store.clone(), CACHE_BYTES);
    let text = |reference| text_of(&resolver, reference, &Query::default()).map_err(|error| error.to_string());
    assert_eq!(text("support/agent"), Ok("Say Bluebird to {{who}}".to_owned()));
    assert_eq!(text("support/agent@2"), Ok("Be kind. Hello {{who}}".to_owned()));
    assert_eq!(text("about/us"), Err("the prompt `about/us` was removed at 2026-03-20T15:00:02Z".to_owned()));
    assert!(text("support/agent@staging").is_ok());
    assert_eq!(
        view.prompt(&name("shared/tone")).expect("it").dependents,
        version_refs(["support/agent@1", "support/agent@2"])
    );
    assert_eq!(view.all_deployments(None, 100).expect("a page").items.len(), 6);

    // Its keys stayed where it was made: it is read, and refuses to be a primary without them.
    let clock = Arc::new(ManualClock::at(BEGIN_MS)) as Arc<dyn bookholder::clock::Clock>;
    let refused =
        outside(move || bootstrap(&store, &BootstrapOptions::default(), &clock).err().expect("no keys").to_string());
    assert!(refused.contains("keys/checkpoint.key; restore the key from your safe copy"), "{refused}");
}
