//! A whole primary in one process, for the targets that need one.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use bookholder::http::peer::Via;
use bookholder::http::{AppState, Door, HttpService, Peer, testing};
use bookholder::replication::publisher::Publisher;
use bookholder::store::Store;
use http_body_util::BodyExt;
use hyper::service::Service;
use tokio::runtime::Runtime;

const PERSON: HeaderName = HeaderName::from_static("x-person");
/// Deadline of an answer; anything slower counts as a hang.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A primary with three prompts.
pub struct Node {
    face: HttpService,
    runtime: Runtime,
    /// Its time passes while nothing happens.
    paused: Runtime,
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
        let store = testing::store(&directory);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (face, publisher) = {
            let _inside = runtime.enter();
            let door = Door { sign_in_header: Some(PERSON), ..Door::default() };
            let state = AppState { door, ..testing::state(&store, true) };
            let publisher = state.publisher.clone().expect("a primary has one");
            (HttpService::new(state), publisher)
        };
        let paused = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let paused = paused.expect("a runtime");
        let mut node = Self { face, runtime, paused, store, directory, publisher, form: String::new() };
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

    /// What a connection answers with the fast path and without it, and whether it was closed: over the Unix socket,
    /// over loopback or from elsewhere, as the last bits of `peer` say.
    pub fn converse(&self, peer: u8, pieces: &[&[u8]]) -> [(Vec<String>, bool); 2] {
        let peer = Peer { local: peer & 3 != 0, socket: peer & 3 == 1, ..Peer::default() };
        [self.face.clone(), self.face.without_fast_path()].map(|face| {
            let (answers, closed) = self.paused.block_on(testing::converse(&face, peer, pieces));
            (testing::comparable(&answers), closed)
        })
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
        let mut default = |name: HeaderName, value: &str| {
            let value = HeaderValue::from_str(value).expect("ASCII");
            request.headers_mut().entry(name).or_insert(value);
        };
        default(header::HOST, "localhost");
        if page {
            default(PERSON, "ada");
            default(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        } else {
            default(header::AUTHORIZATION, &format!("Bearer {}", testing::ADMIN));
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
