//! A server on a loopback port that speaks the APIs of OpenAI and Anthropic and answers by rule, for tests.
//!
//! The name of the model says how it answers (see [`rules`]). It counts what it is asked by idempotency key, so a test
//! can tell whether a call was paid for twice.

pub mod rules;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{ProviderKind, ProviderSettings};

/// One request that the server got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path, for example `/v1/chat/completions`.
    pub path: String,
    /// Its headers, with lower-case names.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Vec<Asked>,
    paid: BTreeMap<String, u64>,
}

/// A running server, which stops when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Starts a server on a free port, on a thread of its own, so that tests with or without a runtime can use it.
    ///
    /// # Panics
    /// No port or thread is free.
    #[must_use]
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Seen>>::default();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                let serving = axum::serve(listener, router);
                tokio::select! {
                    served = async { serving.await } => served.expect("a server"),
                    _ = stopped => {}
                }
            });
            // Answers that never end are dropped with the runtime.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("test-models".to_owned()).spawn(serve).expect("a thread");
        Self { address, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it answers, for example `http://127.0.0.1:41234`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Settings of a provider that asks this server.
    #[must_use]
    pub fn settings(&self, name: &str, kind: ProviderKind) -> ProviderSettings {
        let base_url = match kind {
            ProviderKind::Openai => format!("{}/v1", self.url()),
            ProviderKind::Anthropic => self.url(),
        };
        ProviderSettings {
            name: name.to_owned(),
            kind,
            base_url,
            key_env: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            concurrency_max: 16,
            timeout_s: 20,
        }
    }

    /// Every request so far, in the order of their arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// How often each call was answered with something to pay for, by its idempotency key.
    #[must_use]
    pub fn paid(&self) -> BTreeMap<String, u64> {
        self.lock().paid.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let key = header("idempotency-key");
    let given = if header("x-api-key").is_empty() { header("authorization") } else { header("x-api-key") };
    let path = uri.path().to_owned();
    let tries = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
        };
        seen.asked.push(Asked { path: path.clone(), headers: headers.iter().map(text).collect(), body: body.clone() });
        let model = body.get("model");
        let same = |asked: &&Asked| {
            asked.body.get("model") == model && asked.headers.get("idempotency-key").is_none_or(|other| *other == key)
        };
        seen.asked.iter().filter(same).count()
    };
    let (wire, reply) = match path.as_str() {
        "/v1/chat/completions" => (wire::Wire::Openai, rules::reply(&body, tries, &given)),
        "/v1/messages" => (wire::Wire::Anthropic, rules::reply(&body, tries, &given)),
        "/v1/embeddings" => return wire::json(StatusCode::OK, &rules::embeddings(&body)),
        "/score" => return wire::json(StatusCode::OK, &rules::score(&body)),
        _ => return wire::json(StatusCode::NOT_FOUND, &json!({ "error": { "message": "no such path" } })),
    };
    if reply.is_paid() {
        *seen.lock().unwrap_or_else(PoisonError::into_inner).paid.entry(key).or_default() += 1;
    }
    wire::respond(wire, reply, &body).await
}
