//! A replica whose download never ends: it reports the age of its state, and everything else continues.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bookholder::clock::{Clock, ManualClock};
use bookholder::config::{self, Layer};
use bookholder::server::{Running, start_replica};
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::primary::Primary;
use crate::support::replica::share_trust;
use crate::support::upstream::{PATIENCE, Reply, Upstream};

const READY_MAX_AGE_S: u64 = 60;

/// A replica in this process with a real port, a clock that the test moves, and an inbox.
struct Slow {
    clock: ManualClock,
    node: Running,
    inbox: tempfile::TempDir,
    _data: tempfile::TempDir,
}

impl Slow {
    async fn follow(primary: &Primary, upstream: &Upstream) -> Self {
        // Another test may have set it first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let (data, inbox) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let layer = Layer {
            data: Some(data.path().to_owned()),
            listen: Some("127.0.0.1:0".parse().expect("an address")),
            upstream: Some(format!("http://{}", upstream.address)),
            root_key: Some(primary.root_key.to_string()),
            inbox: Some(inbox.path().to_owned()),
            ready_max_age_s: Some(READY_MAX_AGE_S),
            ..Layer::default()
        };
        let settings = config::replica(layer, &std::collections::BTreeMap::new()).expect("settings");
        let clock = ManualClock::at(primary.clock.now_ms());
        let node = start_replica(settings, Arc::new(clock.clone())).await.expect("a replica");
        Self { clock, node, inbox, _data: data }
    }

    async fn get(&self, path: &str) -> Answer {
        let (address, path): (SocketAddr, String) = (self.node.address, path.to_owned());
        let ask = move || {
            let stream = TcpStream::connect(address).expect("a node that listens");
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            Answer::ask(stream, request.as_bytes()).expect("an answer")
        };
        tokio::task::spawn_blocking(ask).await.expect("no panic")
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let looking = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await.is_ok();
        assert!(seen, "{what}: {}", self.get("/v1/status").await.text());
    }

    /// Waits until the replica answers a reference with a text.
    async fn says(&self, reference: &str, text: &str) {
        let says = async || {
            let answer = self.get(&format!("/v1/resolve/{reference}@latest")).await;
            answer.status == 200 && answer.json()["content"]["text"] == text
        };
        self.until(text, says).await;
    }

    /// The age of the state by header, metric, status and batch, which must all agree; and whether it is stale.
    async fn age(&self) -> (u64, bool) {
        let status = self.get("/v1/status").await.ok();
        let said = (status["age_s"].as_u64().expect("an age"), status["stale"] == json!(true));
        for path in ["/v1/resolve/a@latest", "/v1/resolve/a@latest?attr=plan=pro"] {
            let answer = self.get(path).await;
            let header = |name| answer.header(name).expect("a header of freshness").to_owned();
            let headers = (header("bookholder-age"), header("bookholder-stale"));
            assert_eq!(headers, (said.0.to_string(), said.1.to_string()), "{path}");
        }
        let metrics = self.get("/metrics").await.text();
        let gauge = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("bookholder_{name} ")));
            line.expect(name).parse::<f64>().expect("a number")
        };
        assert!((gauge("last_verified_contact_age_seconds") - Duration::from_secs(said.0).as_secs_f64()).abs() < 0.5);
        assert!((gauge("stale") - f64::from(u8::from(said.1))).abs() < 0.5);
        let ready = self.get("/readyz").await.status == 200;
        assert_eq!(ready, said.0 <= READY_MAX_AGE_S, "{status}");
        said
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_download_shows_its_age_and_does_not_stop_bundles_or_reports() {
    let primary = Primary::found();
    primary.publish("a", "first").await;
    let mut upstream = Upstream::start().await;
    share_trust(&primary, &upstream);
    let replica = Slow::follow(&primary, &upstream).await;
    let poll = upstream.poll().await;
    poll.answer(Reply::Bytes(primary.answer(bookholder::model::position::Position::default()).await));
    replica.says("a", "first").await;
    let fresh = async || replica.get("/v1/status").await.json()["freshness"] == "fresh";
    replica.until("the replica says that it is fresh", fresh).await;

    // The next change begins to arrive, and then hardly goes on.
    primary.publish("a", "slow").await;
    replica.clock.advance(5_000);
    assert_eq!(replica.age().await, (5, false));
    let poll = upstream.poll().await;
    let asked = poll.after.parse().expect("a position");
    let answer = primary.answer(asked).await;
    let drip = poll.drip(answer);
    let verified = async || replica.get("/v1/status").await.json()["age_s"] == 0;
    replica.until("the note of the slow answer is verified", verified).await;
    let reported = async || upstream.reports().iter().any(|report| report["freshness"] == "fresh");
    replica.until("the replica reports that it has caught up", reported).await;
    let mut seen = Vec::new();
    for _ in 0..9 {
        seen.push(replica.age().await);
        drip.byte().await;
        replica.clock.advance(10_000);
    }
    let ages = [0, 10, 20, 30, 40, 50, 60, 70, 80].map(|age_s| (age_s, age_s >= 40));
    assert_eq!(seen, ages);

    // A bundle is imported meanwhile, and the pending download is cancelled for what follows the bundle.
    primary.publish("a", "by hand").await;
    let bundle = primary.bundle().await;
    std::fs::rename(bundle.path().join("replication"), replica.inbox.path().join("replication")).expect("moved");
    replica.says("a", "by hand").await;
    let next = upstream.poll().await;
    assert_eq!(next.after, primary.state().0.to_string());
    primary.publish("a", "quick again").await;
    next.answer(Reply::Bytes(primary.answer(primary.state().0).await));
    replica.node.stop().await;
}
