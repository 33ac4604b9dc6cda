//! Whole nodes with wrong clocks: what they report, and what still works.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bookholder::api::problem::ErrorCode;
use bookholder::api::status::Freshness;
use bookholder::client::{Client, ClientError, ClientOptions};
use bookholder::clock::{Clock, ManualClock, SystemClock};
use bookholder::config::{self, Layer};
use bookholder::crypto::secret::AccessToken;
use bookholder::resolve::Query;
use bookholder::server::{Running, start_primary, start_replica};

use crate::support::node::{ADMIN, PATIENCE, eventually};
use crate::support::primary::{name, request};

const MINUTE_MS: i64 = 60_000;
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

fn layer(directory: &Path) -> Layer {
    let listen = Some("127.0.0.1:0".parse().expect("an address"));
    Layer { data: Some(directory.to_owned()), listen, ..Layer::default() }
}

async fn primary(directory: &Path, clock: &ManualClock, trust_clock: bool) -> (Running, Client) {
    // Another test may have set it first.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let environment = BTreeMap::from([("BOOKHOLDER_ADMIN_TOKEN".to_owned(), ADMIN.to_owned())]);
    let layer = Layer { trust_clock: Some(trust_clock), ..layer(directory) };
    let settings = config::primary(layer, &environment).expect("settings");
    let node = start_primary(settings, Arc::new(clock.clone())).await.expect("a primary");
    let token = Some(AccessToken::parse(ADMIN).expect("a token"));
    let client = Client::new(&ClientOptions { server: node.url(), token, ca_pem: None }).expect("a client");
    (node, client)
}

async fn replica(directory: &Path, clock: &ManualClock, of: &Running, ignore_clock: bool) -> (Running, Client) {
    let layer = Layer {
        upstream: Some(of.url()),
        root_key: Some(of.root_key.to_string()),
        ignore_clock: Some(ignore_clock),
        ..layer(directory)
    };
    let environment = BTreeMap::from([("BOOKHOLDER_UPSTREAM_TOKEN".to_owned(), ADMIN.to_owned())]);
    let settings = config::replica(layer, &environment).expect("settings");
    let node = start_replica(settings, Arc::new(clock.clone())).await.expect("a replica");
    let client = Client::new(&ClientOptions { server: node.url(), token: None, ca_pem: None }).expect("a client");
    (node, client)
}

/// Waits on a thread of its own, so that the nodes of this process go on.
async fn until<T: Send + 'static>(look: impl FnMut() -> Option<T> + Send + 'static) -> T {
    let found = tokio::task::spawn_blocking(move || eventually(PATIENCE, look)).await.expect("no panic");
    found.expect("it happens in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn implausible_clock_is_reported_and_trust_clock_allows_commits() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::at(SystemClock::new().now_ms());
    let (node, client) = primary(directory.path(), &clock, false).await;
    client.publish(&name("a"), &request("one")).await.expect("published");
    assert!(!client.status().await.expect("a status").clock_untrusted);

    clock.set(clock.now_ms() + 12 * YEAR_MS);
    let refused = client.publish(&name("a"), &request("two")).await.expect_err("refused");
    let ClientError::Problem(problem) = refused else { panic!("{refused}") };
    assert_eq!((problem.status, problem.code), (503, ErrorCode::ClockUntrusted));
    assert!(problem.detail.contains("4380 days after the last commit"), "{problem:?}");
    assert!(problem.hint.as_ref().is_some_and(|hint| hint.contains("--trust-clock")), "{problem:?}");
    assert!(client.status().await.expect("a status").clock_untrusted);
    node.stop().await;

    let (node, client) = primary(directory.path(), &clock, false).await;
    assert!(client.status().await.expect("a status").clock_untrusted, "also after a restart");
    let text = reqwest::get(format!("{}/metrics", node.url())).await.expect("an answer").text().await.expect("a text");
    assert!(text.contains("bookholder_clock_untrusted 1"), "{text}");
    node.stop().await;

    let (node, client) = primary(directory.path(), &clock, true).await;
    client.publish(&name("a"), &request("two")).await.expect("published");
    assert!(!client.status().await.expect("a status").clock_untrusted);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_without_a_clock_starts_with_ignore_clock() {
    let directory = tempfile::tempdir().expect("a directory");
    let now_ms = SystemClock::new().now_ms();
    let (node, client) = primary(&directory.path().join("primary"), &ManualClock::at(now_ms), false).await;
    client.publish(&name("a"), &request("one")).await.expect("published");
    for (number, wrong_ms) in [0, now_ms - 20 * MINUTE_MS, now_ms + 120 * MINUTE_MS].into_iter().enumerate() {
        let data = directory.path().join(format!("replica-{number}"));
        let clock = ManualClock::at(wrong_ms);
        let (strict, asked) = replica(&data, &clock, &node, false).await;
        let runtime = tokio::runtime::Handle::current();
        let trouble = until(move || runtime.block_on(asked.status()).expect("a status").trouble).await;
        assert!(["future", "expired"].contains(&trouble.reason.as_str()), "{trouble:?}");
        strict.stop().await;

        let (told, asked) = replica(&data, &clock, &node, true).await;
        let resolver = told.resolver.clone();
        let text = until(move || resolver.resolve("a@latest", &Query::default()).ok()).await;
        assert_eq!(text.version, 1);
        let runtime = tokio::runtime::Handle::current();
        let freshness = move || runtime.block_on(asked.status()).expect("a status").freshness;
        let _not_empty = until(move || Some(freshness()).filter(|freshness| *freshness != Freshness::Empty)).await;
        told.stop().await;
        let (again, _) = replica(&data, &clock, &node, false).await;
        assert!(again.resolver.resolve("a@latest", &Query::default()).is_ok(), "once is enough");
        again.stop().await;
    }
    node.stop().await;
}
