//! A whole primary in one process, for the targets that need one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use bookholder::api::status::{Freshness, NodeRole, Status};
use bookholder::clock::{Clock, ManualClock};
use bookholder::crypto::secret::AccessToken;
use bookholder::http::peer::Via;
use bookholder::http::{About, AppState, Door, HttpService, Peer};
use bookholder::metrics::{Metrics, Role};
use bookholder::model::time::Timestamp;
use bookholder::registry::Registry;
use bookholder::registry::bootstrap::{BootstrapOptions, found};
use bookholder::replication::publisher::Publisher;
use bookholder::resolve::freshness::FreshnessCell;
use bookholder::resolve::{Catalogue, Resolver};
use bookholder::store::{Options, Store};
use http_body_util::BodyExt;
use hyper::service::Service;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const ADMIN: &str = "an-admin-token-for-tests";
const PERSON: HeaderName = HeaderName::from_static("x-person");
/// Deadline of an answer; anything slower counts as a hang.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A primary with three prompts.
pub struct Node {
    face: HttpService,
    runtime: Runtime,
    /// Its data.
    pub store: Store,
    /// Where they lie.
    pub directory: PathBuf,
    /// Its replication endpoints.
    pub publisher: Publisher,
    /// What a form of the person who is signed in carries.
    pub form: String,
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// A new one, in a folder of its own.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder").keep();
        let store = Store::open(&Options { directory: directory.clone(), create: true }).expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (face, publisher) = {
            let _inside = runtime.enter();
            let state = state(&store);
            let publisher = state.publisher.clone().expect("a primary has one");
            (HttpService::new(state), publisher)
        };
        let mut node = Self { face, runtime, store, directory, publisher, form: String::new() };
        for (name, text) in [("a", "plain"), ("a/b", "Hi {{who}}"), ("c", "{% if x %}{{ y }}{% endif %}")] {
            node.publish(name, text);
        }
        let person = br#"{"name": "ada", "kind": "person", "grants": [{"role": "admin"}]}"#;
        let (created, _) = node.send("POST", "/v1/principals", &[], person).expect("a request");
        assert!(created.is_success(), "{created}");
        let (_, page) = node.send("GET", "/ui/edit/a", &[], b"").expect("a page");
        let page = String::from_utf8(page.to_vec()).expect("UTF-8");
        let form = page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        node.form = form.unwrap_or_else(|| panic!("no form in `{page}`")).to_owned();
        node
    }

    /// Publishes a version that its label then serves.
    pub fn publish(&self, name: &str, text: &str) {
        let body = format!(r#"{{"content": {{"text": "{text}"}}, "message": "why", "labels": ["production"]}}"#);
        let published = self.send("POST", &format!("/v1/prompts/{name}/versions"), &[], body.as_bytes());
        assert!(published.is_some_and(|(status, _)| status.is_success()), "{name}");
    }

    /// Waits for what a node does.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a request as the operator; nothing if it is invalid.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(StatusCode, Bytes)> {
        let page = target.starts_with("/ui");
        let mut request = Request::builder().method(method).uri(target).body(Body::from(body.to_vec())).ok()?;
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
                request.headers_mut().append(name, value);
            }
        }
        let mut default = |name: HeaderName, value: &'static str| {
            request.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        };
        default(header::HOST, "localhost");
        if page {
            default(PERSON, "ada");
            default(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        } else {
            default(header::AUTHORIZATION, "Bearer an-admin-token-for-tests");
            default(header::CONTENT_TYPE, "application/json");
        }
        let via = if page { Via::Trusted } else { Via::Nobody };
        let peer = Peer { local: true, address: Some([127, 0, 0, 1].into()), via, ..Peer::default() };
        let answering = async {
            let response = self.face.connection(peer).call(request).await.expect("infallible");
            let (parts, body) = response.into_parts();
            (parts.status, body.collect().await.map(|body| body.to_bytes()).unwrap_or_default())
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(ANSWER_MAX, answering).await });
        Some(answered.unwrap_or_else(|_| panic!("{method} {target} is not answered")))
    }
}

fn state(store: &Store) -> AppState {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_800_000_000_000));
    let admin_token = Some(AccessToken::parse(ADMIN).expect("a token"));
    let founding = BootstrapOptions { registry: Some("test".to_owned()), admin_token, trust_clock: false };
    // Bootstrap waits for the disk, which a thread of the runtime must not.
    let founded = std::thread::scope(|scope| scope.spawn(|| found(store, &founding, &clock)).join());
    let founded = founded.expect("no panic").expect("a registry");
    let position = store.committed().borrow().head.position;
    let status = Status {
        role: NodeRole::Primary,
        registry: "test".to_owned(),
        version: "0".to_owned(),
        position,
        state: String::new(),
        entries: 0,
        freshness: Freshness::Fresh,
        stale: false,
        since: Timestamp::from_ms(0),
        age_s: 0,
        issued: None,
        expires: None,
        clock_untrusted: false,
        held: false,
        automation_held: false,
        trouble: None,
        storage: None,
        inbox: None,
        watch: None,
        alerts: Vec::new(),
        replicas: Vec::new(),
    };
    let registry = Registry::open(store.clone(), Arc::clone(&founded.signer.clock)).expect("a registry");
    let metrics = Metrics::new(Role::Primary);
    AppState {
        usage: registry.usage(),
        resolver: Resolver::new(store.clone(), 1024 * 1024),
        catalogue: Catalogue::new(store.clone()),
        registry: Some(registry),
        about: About::default(),
        publisher: Some(Publisher::new(store.clone(), founded.signer, Arc::clone(&clock), metrics.clone())),
        freshness: FreshnessCell::primary(position, Arc::clone(&clock)),
        status: Arc::new(move || status.clone()),
        upstream: None,
        committed: store.committed(),
        metrics,
        open_reads: true,
        open_to_all: false,
        door: Door { sign_in_header: Some(PERSON), ..Door::default() },
        read_token: None,
        recorder: None,
        ready_max_age_s: None,
        clock,
        stop: CancellationToken::new(),
    }
}
