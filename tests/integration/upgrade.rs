//! Databases of every released schema open, say what they said, and go on.
//!
//! `BOOKHOLDER_WRITE_FIXTURES=1 cargo test --test integration upgrade` writes the file of the present schema anew: only
//! for a new schema, under a new number. The file of a schema never changes once it was released.

use std::path::PathBuf;
use std::sync::Arc;

use bookholder::clock::ManualClock;
use bookholder::registry::founding::{Founding, found};
use bookholder::resolve::{Catalogue, Query, Resolver};
use bookholder::store::{Options, Store};

use crate::support::primary::{BEGIN_MS, CACHE_BYTES, Primary, name, outside, state_of, text_of, verify_store};

/// The hash of the state in `schema-1.redb`.
const SCHEMA_1_STATE: &str = "c3cfc8b9072a420514c4e21fc683ae2dc05646124ef45a548cb75fba8c255d37";

fn fixture(schema: u64) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/store/schema-{schema}.redb"))
}

/// Three prompts with labels, a split, an include, and a removal.
async fn story() -> Primary {
    let primary = Primary::found();
    primary.publish("shared/tone", "Be kind.").await;
    primary.publish("support/agent", "{{> shared/tone@1}} Hi {{who}}").await;
    primary.wait(1_000).publish("support/agent", "{{> shared/tone@1}} Hello {{who}}").await;
    primary.deploy("support/agent", 1, "production").await;
    primary.split("support/agent", "staging", &[(1, 1), (2, 3)]).await;
    primary.publish("Über uns", "gone").await;
    primary.deploy("Über uns", 1, "production").await;
    primary.wait(1_000).remove("Über uns").await.expect("nobody includes it");
    primary
}

#[tokio::test]
async fn the_first_schema_opens_and_goes_on() {
    if std::env::var_os("BOOKHOLDER_WRITE_FIXTURES").is_some() {
        let (primary, path) = (story().await, fixture(1));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let _old = std::fs::remove_file(&path);
        let state = primary.state().1.hash;
        let txn = primary.store.read().expect("a state");
        let to = path.clone();
        outside(move || bookholder::store::backup::copy(&txn, &to).expect("a copy"));
        println!("wrote {} with the state {}", path.display(), blake3::Hash::from(state));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(fixture(1), directory.path().join("registry.redb")).expect("the fixture");
    let store = Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("a store");
    assert_eq!(blake3::Hash::from(state_of(&store).1.hash).to_string(), SCHEMA_1_STATE);
    let report = verify_store(&store);
    assert_eq!((report.differences, report.state), (Vec::<String>::new(), state_of(&store).1));
    let verdict = store.read().expect("a state").verify_audit().expect("a log");
    assert_eq!((verdict.whole, verdict.entries), (true, 9));

    let resolver = Resolver::new(store.clone(), CACHE_BYTES);
    let text = |reference| text_of(&resolver, reference, &Query::default()).map_err(|error| error.to_string());
    assert_eq!(text("support/agent"), Ok("Be kind. Hi {{who}}".to_owned()));
    assert_eq!(text("support/agent@latest"), Ok("Be kind. Hello {{who}}".to_owned()));
    assert_eq!(text("Über uns"), Err("the prompt `Über uns` was removed at 2026-03-20T15:00:02Z".to_owned()));
    assert!(text("support/agent@staging").is_ok());
    let catalogue = Catalogue::new(store.clone());
    assert_eq!(catalogue.prompt(&name("shared/tone")).expect("it").dependents, ["support/agent@1", "support/agent@2"]);
    assert_eq!(catalogue.all_deployments(None, 100).expect("a page").items.len(), 5);

    // Its keys stayed where it was made: it is read, and refuses to be a primary without them.
    let clock = Arc::new(ManualClock::at(BEGIN_MS)) as Arc<dyn bookholder::clock::Clock>;
    let refused = outside(move || found(&store, Founding::default(), &clock).err().expect("no keys").to_string());
    assert!(refused.contains("keys/checkpoint.key cannot be read; put the key back from your safe copy"), "{refused}");
}
