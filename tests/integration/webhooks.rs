//! Webhooks: a primary that sends, and scripted receivers.

mod alerting;
mod delivering;
mod keeping;
mod outbox;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use bookholder::api::webhooks::{WebhookRequest, WebhookView};
use bookholder::api::write::PublishRequest;
use bookholder::client::{Client, ClientError, ClientOptions};
use bookholder::clock::{Clock, ManualClock, SystemClock};
use bookholder::config::{Layer, primary};
use bookholder::crypto::secret::AccessToken;
use bookholder::model::pattern::Pattern;
use bookholder::model::webhook::{Delivery, WebhookFormat};
use bookholder::server::{Running, start_primary};
use futures_util::TryStreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::node::{ADMIN, PATIENCE};
use crate::support::primary::{name, request};

/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(5);

/// A webhook that hears of everything.
fn to(url: &str) -> WebhookRequest {
    WebhookRequest {
        url: url.to_owned(),
        events: vec!["*".to_owned()],
        prompts: Pattern::everything(),
        format: WebhookFormat::Standard,
    }
}

/// A primary in this process, which can be started again on the same directory.
struct Sender {
    node: Option<Running>,
    client: Client,
    clock: ManualClock,
    directory: TempDir,
    allow: &'static str,
    hold_automation: bool,
}

impl Sender {
    /// A new primary whose webhooks can reach this network.
    async fn start(allow: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Receivers compare the time of a message with their own.
        let clock = ManualClock::at(SystemClock::new().now_ms());
        let (node, client) = Self::run(&directory, &clock, allow, false).await;
        Self { node: Some(node), client, clock, directory, allow, hold_automation: false }
    }

    async fn run(directory: &TempDir, clock: &ManualClock, allow: &str, hold: bool) -> (Running, Client) {
        let layer = Layer {
            data: Some(directory.path().join("data")),
            listen: Some("127.0.0.1:0".parse().expect("an address")),
            public_url: Some("https://prompts.example.com/books".to_owned()),
            webhook_allow: Some(allow.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()),
            hold_automation: Some(hold),
            ..Layer::default()
        };
        let environment = [("BOOKHOLDER_ADMIN_TOKEN".to_owned(), ADMIN.to_owned())].into();
        let settings = primary(layer, &environment).expect("settings");
        let node = start_primary(settings, Arc::new(clock.clone())).await.expect("a primary");
        let token = Some(AccessToken::parse(ADMIN).expect("a token"));
        let client = Client::new(&ClientOptions { server: node.url(), token, ca_pem: None }).expect("a client");
        (node, client)
    }

    /// Stops and starts again.
    async fn restart(&mut self) {
        self.stop().await;
        let (node, client) = Self::run(&self.directory, &self.clock, self.allow, self.hold_automation).await;
        (self.node, self.client) = (Some(node), client);
    }

    async fn stop(&mut self) {
        self.node.take().expect("a running node").stop().await;
    }

    /// Keeps a webhook; its secret.
    async fn add(&self, name: &str, request: &WebhookRequest) -> String {
        let kept = self.client.put_webhook(name, request).await.expect(name);
        kept.secret.expect("the secret of a new webhook")
    }

    /// Publishes a text; the audit entry of that.
    async fn publish(&self, prompt: &str, text: &str) -> u64 {
        let request: PublishRequest = request(text);
        self.client.publish(&name(prompt), &request).await.expect(prompt);
        self.client.status().await.expect("a status").position.seq
    }

    async fn deliveries(&self, webhook: &str) -> Vec<Delivery> {
        self.client.deliveries(webhook, 100).try_collect().await.expect(webhook)
    }

    async fn webhook(&self, name: &str) -> WebhookView {
        let mut webhooks = self.client.webhooks().await.expect("a list").into_iter();
        webhooks.find(|webhook| webhook.name == name).expect(name)
    }

    /// Waits until the newest delivery of a webhook is as expected.
    async fn until(&self, webhook: &str, what: &str, fits: impl Fn(&Delivery) -> bool) -> Delivery {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let newest = self.deliveries(webhook).await.into_iter().next();
            if let Some(delivery) = newest.clone().filter(|delivery| fits(delivery)) {
                return delivery;
            }
            assert!(tokio::time::Instant::now() < deadline, "never {what}: {newest:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The problem of a rejected call: its status and text.
fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (u16, String) {
    match result.expect_err("refused") {
        ClientError::Problem(problem) => (problem.status, problem.detail),
        other => panic!("{other}"),
    }
}

/// What arrived at a receiver.
pub struct Arrived {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).expect(name)
    }

    fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// When it was sent, in seconds since 1970.
    fn time_s(&self) -> i64 {
        self.header("webhook-timestamp").parse().expect("a number")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The number of its audit entry.
    fn seq(&self) -> u64 {
        self.json()["data"]["seq"].as_u64().expect("a number")
    }
}

/// A server on loopback that takes events.
pub struct Receiver {
    pub url: String,
    arrived: UnboundedReceiver<Arrived>,
}

/// A status, and for how long to leave the receiver alone.
pub type Answered = (u16, Option<&'static str>);

impl Receiver {
    /// Answers with these, one after the other, and then with 204.
    pub async fn start(answers: &[Answered]) -> Self {
        let (sender, arrived) = unbounded_channel();
        let said = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let answer = move |headers: HeaderMap, body: axum::body::Bytes| {
            let _test_over = sender.send(Arrived { headers, body: body.to_vec() });
            let (status, wait) = said.lock().expect("no panic").pop_front().unwrap_or((204, None));
            let status = StatusCode::from_u16(status).expect("a status");
            let wait: HeaderMap = wait
                .map(|wait| (axum::http::header::RETRY_AFTER, wait.parse().expect("a header")))
                .into_iter()
                .collect();
            async move { (status, wait).into_response() }
        };
        let router = axum::Router::new().route("/hook", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, arrived }
    }

    /// Waits for the next event.
    pub async fn next(&mut self) -> Arrived {
        let arrived = tokio::time::timeout(PATIENCE, self.arrived.recv()).await;
        arrived.expect("an event arrives").expect("a receiver")
    }

    /// Nothing more has arrived.
    fn nothing(&mut self) {
        if let Ok(arrived) = self.arrived.try_recv() {
            panic!("arrived: {}", arrived.json());
        }
    }
}
