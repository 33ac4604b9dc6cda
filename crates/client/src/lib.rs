//! The HTTP client: one typed call for each route of `api`, over TCP, TLS or a Unix socket.
//!
//! It does not retry, cache, decide or print anything. Invariant: whatever a server sends, a call ends within its time
//! and size limits with a value or a [`ClientError`]; messages and logs never contain the access token.
//!
//! ```no_run
//! use bookholder_client::{Client, ClientOptions};
//! use bookholder_model::api::read::Subject;
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let server = "unix:/run/bookholder/replica.sock".to_owned();
//! let client = Client::new(&ClientOptions { server, ..ClientOptions::default() })?;
//! let prompt = client.resolve(&"support/agent".parse()?, &Subject::default(), None).await?;
//! println!("{} has {} variables", prompt.stamp, prompt.content.variables.len());
//! # Ok(())
//! # }
//! ```

mod alerts;
mod error;
mod evaluations;
mod govern;
mod lists;
mod observed;
mod paths;
mod prices;
mod promotions;
mod proposals;
mod responses;
mod stats;
mod telemetry;
mod transfer;
mod webhooks;

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::ClientError;
pub use lists::{DeploymentFilter, PromptFilter};

use crate::api::govern::{TokenRequest, TokenView};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::{PROBLEM_JSON, Problem};
use crate::api::read::{
    BatchAnswer, BatchRequest, DiffAnswer, MatchingAnswer, MatchingRequest, PromptView, RenderAnswer, RenderRequest,
    Resolved, Subject, VersionView,
};
use crate::api::status::Status;
use crate::api::write::{
    DeployRequest, Deployed, ImportRequest, Imported, MessageRequest, PublishRequest, Published, RemoveRequest,
    RollbackRequest,
};
use crate::crypto::secret::AccessToken;
use crate::crypto::tls::{trusting, use_ring};
use crate::model::audit::AuditVerdict;
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::reference::{Reference, Selector};
use crate::model::time::Timestamp;

/// Connection timeout.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a call, and of a stalled stream.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of a question about readiness: probes ask often, and a node that does not answer is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer with a suite or a page of results, in bytes.
const LARGE_ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest answer to it, in bytes: a line.
const READY_BYTES_MAX: usize = 1_024;
/// How long a node can take to create a backup, a bundle or a report before it sends data.
const MAKING_TIMEOUT: Duration = Duration::from_secs(1_800);
/// Largest answer to a call, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest answer to a batch, in bytes: 1,000 contents, few of them at their limit.
pub const BATCH_ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The prefix of a Unix socket address.
const SOCKET_SCHEME: &str = "unix:";
/// The user agent.
pub const USER_AGENT: &str = concat!("bookholder/", env!("CARGO_PKG_VERSION"));

/// The server and the access token.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `http://…`, `https://…` or `unix:/path/of/socket`.
    pub server: String,
    /// The access token, if any.
    pub token: Option<AccessToken>,
    /// Additional trusted certificates, as PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// A connection pool to one server. Clones share it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a trailing `/`.
    base: String,
    /// The name of the server in messages.
    server: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// The address or a certificate is invalid.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        use_ring();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(MAKING_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let address = |reason: &str| ClientError::Address { server: shown(&options.server), reason: reason.to_owned() };
        let base = if let Some(path) = options.server.strip_prefix(SOCKET_SCHEME) {
            if path.is_empty() {
                return Err(address("it has no socket path"));
            }
            builder = with_socket(builder, path).ok_or_else(|| address("this system does not support unix sockets"))?;
            "http://localhost".to_owned()
        } else {
            let url: Url = options.server.parse().map_err(|_| address("it is not a URL"))?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(address("it must start with http://, https:// or unix:"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(address("it contains a password; use an access token instead"));
            }
            if url.query().is_some() || url.fragment().is_some() {
                return Err(address("it has a query; remove everything from the ? or # on"));
            }
            if is_loopback(&url) {
                builder = builder.no_proxy();
            }
            url.as_str().trim_end_matches('/').to_owned()
        };
        if let Some(token) = &options.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
                .map_err(|_| address("its access token contains characters that a header cannot have"))?;
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        if let Some(pem) = &options.ca_pem {
            builder = builder.use_preconfigured_tls(trusting(pem)?);
        }
        let http = builder.build().map_err(|error| address(&error.to_string()))?;
        Ok(Self { http, base, server: shown(&options.server) })
    }

    /// The name of the server in messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Resolves a reference, now or at a time.
    pub async fn resolve(
        &self,
        reference: &Reference,
        who: &Subject,
        at: Option<Timestamp>,
    ) -> Result<Resolved, ClientError> {
        let request = self.request(Method::GET, &paths::resolve(reference)).query(&caller_query(who, at));
        self.call(request).await
    }

    /// Many references in one consistent read.
    pub async fn batch(&self, batch: &BatchRequest) -> Result<BatchAnswer, ClientError> {
        let request = self.request(Method::POST, "/v1/resolve").json(batch);
        self.call_limited(request, BATCH_ANSWER_BYTES_MAX).await
    }

    /// One page of what a label serves in the prompts that match a pattern.
    pub async fn matching_page(
        &self,
        wanted: &MatchingRequest,
        cursor: Option<&str>,
    ) -> Result<MatchingAnswer, ClientError> {
        let mut query = caller_query(&wanted.caller, wanted.at);
        query.push(("label", wanted.label.to_string()));
        query.push(("pattern", wanted.pattern.to_string()));
        query.push(("limit", PAGE_ROWS_MAX.to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        let request = self.request(Method::GET, "/v1/resolve").query(&query);
        self.call_limited(request, BATCH_ANSWER_BYTES_MAX).await
    }

    /// What a label serves in all prompts that match a pattern, from one state.
    ///
    /// # Errors
    /// See [`ClientError`]; `cursor_expired` if the state was lost between two pages: start again.
    pub async fn matching(&self, wanted: &MatchingRequest) -> Result<BatchAnswer, ClientError> {
        let MatchingAnswer { position, mut answers, mut next } = self.matching_page(wanted, None).await?;
        while let Some(cursor) = next {
            let page = self.matching_page(wanted, Some(&cursor)).await?;
            if page.position != position || page.next.as_ref() == Some(&cursor) {
                return Err(self.answer("its pages are not of one state, or do not end"));
            }
            answers.extend(page.answers);
            next = page.next;
        }
        Ok(BatchAnswer { position, answers })
    }

    /// Renders a version with variables.
    pub async fn render(&self, reference: &Reference, what: &RenderRequest) -> Result<RenderAnswer, ClientError> {
        self.post(&paths::render(reference), what).await
    }

    /// The content with this ID, verified against it.
    ///
    /// # Errors
    /// See [`ClientError`]; also when the bytes have another hash.
    pub async fn content(&self, id: &ContentId) -> Result<Content, ClientError> {
        let request = self.request(Method::GET, &paths::content(id)).timeout(REQUEST_TIMEOUT);
        let response = self.send(request).await?;
        let bytes = self.read(response, ANSWER_BYTES_MAX).await?;
        if ContentId::of(&bytes) != *id {
            return Err(self.answer("the content does not match the requested hash"));
        }
        Content::from_json(&bytes).map_err(|error| self.answer(&error.to_string()))
    }

    /// A prompt and what its labels serve.
    pub async fn prompt(&self, name: &PromptName) -> Result<PromptView, ClientError> {
        self.call(self.request(Method::GET, &paths::prompt(name))).await
    }

    /// One version with its content.
    pub async fn version(&self, name: &PromptName, number: u64) -> Result<VersionView, ClientError> {
        self.call(self.request(Method::GET, &paths::version(name, number))).await
    }

    /// The diff between two versions.
    pub async fn diff(&self, name: &PromptName, from: &Selector, to: &Selector) -> Result<DiffAnswer, ClientError> {
        let query = [("from", from.to_string()), ("to", to.to_string())];
        self.call(self.request(Method::GET, &paths::diff(name)).query(&query)).await
    }

    /// Publishes a version.
    pub async fn publish(&self, name: &PromptName, what: &PublishRequest) -> Result<Published, ClientError> {
        self.post(&paths::versions(name), what).await
    }

    /// Moves labels.
    pub async fn deploy(&self, what: &DeployRequest) -> Result<Deployed, ClientError> {
        self.post("/v1/deployments", what).await
    }

    /// Rolls a label back to an earlier deployment.
    pub async fn rollback(
        &self,
        name: &PromptName,
        label: &Label,
        what: &RollbackRequest,
    ) -> Result<Deployed, ClientError> {
        self.post(&paths::rollback(name, label), what).await
    }

    /// Removes a label.
    pub async fn unlabel(
        &self,
        name: &PromptName,
        label: &Label,
        why: &MessageRequest,
    ) -> Result<Deployed, ClientError> {
        self.call(self.request(Method::DELETE, &paths::label(name, label)).json(why)).await
    }

    /// Removes a prompt; its history is kept.
    pub async fn remove(&self, name: &PromptName, why: &RemoveRequest) -> Result<Deployed, ClientError> {
        self.call(self.request(Method::DELETE, &paths::prompt(name)).json(why)).await
    }

    /// Retires a version, so it can no longer be deployed.
    pub async fn retire(&self, name: &PromptName, number: u64, why: &MessageRequest) -> Result<(), ClientError> {
        self.done(self.request(Method::POST, &paths::retirement(name, number)).json(why)).await
    }

    /// Un-retires a version.
    pub async fn reinstate(&self, name: &PromptName, number: u64, why: &MessageRequest) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::retirement(name, number)).json(why)).await
    }

    /// Imports changes of another library.
    pub async fn import(&self, what: &ImportRequest) -> Result<Imported, ClientError> {
        self.post("/v1/import", what).await
    }

    /// Creates an access token; only the answer contains it.
    pub async fn create_token(&self, what: &TokenRequest) -> Result<TokenView, ClientError> {
        self.post("/v1/tokens", what).await
    }

    /// Every access token, without the tokens themselves.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, ClientError> {
        self.call(self.request(Method::GET, "/v1/tokens")).await
    }

    /// Revokes an access token immediately.
    pub async fn revoke_token(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::token(name))).await
    }

    /// The status of the node.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call(self.request(Method::GET, "/v1/status")).await
    }

    /// Whether the node is ready for requests: what it says of that. It needs no access token.
    ///
    /// # Errors
    /// See [`ClientError`]; a [`Problem`] if it is not ready, which says why.
    pub async fn ready(&self, max_age_s: Option<u64>) -> Result<String, ClientError> {
        let query = max_age_s.map(|age| ("max_age", age));
        let request = self.request(Method::GET, "/readyz").query(query.as_slice());
        let response = self.send(request.timeout(READY_TIMEOUT)).await?;
        let said = self.read(response, READY_BYTES_MAX).await?;
        String::from_utf8(said).map_err(|_| self.answer("its readiness is not text"))
    }

    /// Verifies the audit log.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, ClientError> {
        self.call(self.request(Method::GET, "/v1/audit/verify")).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.call(self.request(Method::POST, path).json(body)).await
    }

    async fn put<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.call(self.request(Method::PUT, path).json(body)).await
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.call_limited(request, ANSWER_BYTES_MAX).await
    }

    async fn call_limited<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<T, ClientError> {
        let response = self.send(request.timeout(REQUEST_TIMEOUT)).await?;
        let bytes = self.read(response, bytes_max).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.answer(&format!("unexpected response body: {error}")))
    }

    /// A call whose answer can be as long as a suite, or a page of results.
    async fn call_large<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        self.call_limited(request, LARGE_ANSWER_BYTES_MAX).await
    }

    /// A call without a result.
    async fn done(&self, request: RequestBuilder) -> Result<(), ClientError> {
        let response = self.send(request.timeout(REQUEST_TIMEOUT)).await?;
        self.read(response, ANSWER_BYTES_MAX).await.map(drop)
    }

    /// Sends a request; an error status becomes the problem in the answer.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::sending(&self.server, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with(PROBLEM_JSON));
        let bytes = self.read(response, ANSWER_BYTES_MAX).await?;
        match error::problem(&bytes).filter(|_| is_problem) {
            Some(problem) => Err(ClientError::Problem(Box::new(problem))),
            None => Err(self.answer(&format!("it answered {status} without an explanation"))),
        }
    }

    async fn read(&self, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::sending(&self.server, error))? {
            if bytes.len().saturating_add(chunk.len()) > bytes_max {
                return Err(self.answer(&format!("its response is longer than {bytes_max} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn answer(&self, reason: &str) -> ClientError {
        ClientError::Answer { server: self.server.clone(), reason: reason.to_owned() }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// The query parameters that describe the caller and the time.
fn caller_query(who: &Subject, at: Option<Timestamp>) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(who.subject.iter().map(|subject| ("subject", subject.clone())));
    query.extend(who.attributes.iter().map(|(name, value)| ("attr", format!("{name}={value}"))));
    query.extend(at.map(|at| ("at", at.to_string())));
    query
}

/// The address without a password, if it contains one.
fn shown(server: &str) -> String {
    match server.parse::<Url>() {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            let hidden = url.set_password(None).and_then(|()| url.set_username(""));
            if hidden.is_ok() { url.to_string() } else { "the server".to_owned() }
        }
        _ => server.chars().take(200).collect(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "the other systems have none")]
fn with_socket(builder: reqwest::ClientBuilder, path: &str) -> Option<reqwest::ClientBuilder> {
    Some(builder.unix_socket(std::path::Path::new(path)))
}

#[cfg(not(unix))]
fn with_socket(_: reqwest::ClientBuilder, _: &str) -> Option<reqwest::ClientBuilder> {
    None
}

#[cfg(test)]
mod tests;

use bookholder_model::{api, model};
use bookholder_trust::crypto;
