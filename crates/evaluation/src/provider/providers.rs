//! The providers of a node, and the course of one call: limits, tries, pauses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bookholder_trust::crypto::tls::use_ring;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::fault::{Fault, Texts};
use super::http::{ANTHROPIC, OPENAI, Post, Reader, Timeouts, Try, USER_AGENT};
use super::limits::{Limits, Outcome};
use super::settings::{Checked, PROVIDERS_MAX, ProviderError, ProviderKind, ProviderSettings, check};
use super::{CallError, ChatRequest, Embeddings, anthropic, guarded, openai, retry};
use crate::model::evaluation::{Answer, AnswerUsage};
use crate::model::suite::ModelName;
use crate::rules::governance::webhook_url::check_url;

/// Time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence within an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit of one call of an endpoint that scores.
const SCORER_TIMEOUT: Duration = Duration::from_secs(30);
/// Tokens that are expected to be written, if the version sets no limit.
const OUTPUT_TOKENS_EXPECTED: u64 = 1_024;
/// Most texts of one call for embeddings.
const TEXTS_MAX: usize = 256;

/// Waits for a time; in tests it does not.
pub(super) type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// The providers that a node can ask. It is shared: limits hold for all who ask.
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
    scorer_networks: Arc<[IpNet]>,
    clients: OnceLock<Clients>,
    sleep: Sleep,
}

/// Created at the first call: loading root certificates takes memory.
struct Clients {
    /// For other machines; it follows `HTTPS_PROXY` and the like.
    remote: Client,
    /// For this machine.
    local: Client,
    scorer: Client,
    /// Without TLS, to allowed networks only.
    scorer_plain: Client,
}

/// The tries of one call so far.
#[derive(Default)]
struct Tries {
    count: u32,
    /// Whether one of them may be charged.
    may_cost: bool,
}

struct Provider {
    kind: ProviderKind,
    base: Url,
    /// The environment variable that should have its key; without the key it is not asked.
    missing_key: Option<String>,
    is_loopback: bool,
    texts: Texts,
    timeouts: Timeouts,
    limits: Limits,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").field("names", &self.names().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Providers {
    /// Checks the settings and reads the keys. Nothing is sent yet. A provider whose key the environment does not have is
    /// there, and asked nothing ([`Self::missing_key`]).
    ///
    /// # Errors
    /// Settings are invalid, or what the environment has is not a key.
    pub fn new(
        settings: Vec<ProviderSettings>,
        read_env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ProviderError> {
        if settings.len() > PROVIDERS_MAX {
            return Err(ProviderError::TooMany { count: settings.len() });
        }
        let mut providers = BTreeMap::new();
        for settings in settings {
            let Checked { base, key, missing_key, is_loopback } = check(&settings, &read_env)?;
            let provider = Provider {
                kind: settings.kind,
                base,
                missing_key,
                is_loopback,
                texts: Texts { name: settings.name.clone(), key },
                timeouts: Timeouts { total: Duration::from_secs(settings.timeout_s), idle: IDLE_TIMEOUT },
                limits: Limits::new(settings.requests_per_minute, settings.tokens_per_minute, settings.concurrency_max),
            };
            if providers.insert(settings.name.clone(), provider).is_some() {
                return Err(ProviderError::Twice(settings.name));
            }
        }
        let sleep: Sleep = Arc::new(|duration| Box::pin(tokio::time::sleep(duration)));
        Ok(Self { by_name: providers, scorer_networks: Arc::new([]), clients: OnceLock::new(), sleep })
    }

    /// Allows endpoints that score to be in these networks, besides public addresses with TLS.
    #[must_use]
    pub fn with_scorer_networks(mut self, networks: Vec<IpNet>) -> Self {
        self.scorer_networks = networks.into();
        self
    }

    /// Whether a provider is asked without a key, so that it cannot charge anybody.
    #[must_use]
    pub fn is_free(&self, provider: &str) -> bool {
        let is_free = |provider: &Provider| provider.texts.key.is_none() && provider.missing_key.is_none();
        self.by_name.get(provider).is_some_and(is_free)
    }

    /// The most calls at the same time that a provider takes.
    #[must_use]
    pub fn concurrency_max(&self, provider: &str) -> usize {
        self.by_name.get(provider).map_or(1, |provider| provider.limits.max())
    }

    /// The environment variable that should have the key of a provider, if it is not set.
    #[must_use]
    pub fn missing_key(&self, provider: &str) -> Option<&str> {
        self.by_name.get(provider)?.missing_key.as_deref()
    }

    /// The names of the providers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Where the calls of a model go: the API and the base URL. Empty if there is no such provider.
    #[must_use]
    pub fn endpoint(&self, model: &ModelName) -> String {
        let provider = self.by_name.get(&model.provider);
        provider.map_or_else(String::new, |provider| format!("{:?} {}", provider.kind, provider.base))
    }

    /// Asks a model. The same key means the same call, sent again; it goes out as `Idempotency-Key`.
    ///
    /// # Errors
    /// The provider is unknown, refuses, cannot be reached, or answers something that cannot be used.
    pub async fn chat(
        &self,
        model: &ModelName,
        request: &ChatRequest,
        idempotency_key: &str,
    ) -> Result<Answer, CallError> {
        self.chat_stream(model, request, idempotency_key, |_| {}).await
    }

    /// Asks a model, and passes on each part of the text as soon as it is there.
    ///
    /// # Errors
    /// As for [`Providers::chat`]; parts that came before are not valid then.
    pub async fn chat_stream(
        &self,
        model: &ModelName,
        request: &ChatRequest,
        idempotency_key: &str,
        mut on_text: impl FnMut(&str) + Send,
    ) -> Result<Answer, CallError> {
        let provider = self.provider(model)?;
        let (path, body, reader): (_, _, Reader) = match provider.kind {
            ProviderKind::Openai => ("chat/completions", openai::body(&model.model, request), OPENAI),
            ProviderKind::Anthropic => ("v1/messages", anthropic::body(&model.model, request), ANTHROPIC),
        };
        let post = provider.post(path, &body, Some(idempotency_key))?;
        let client = self.client(provider)?;
        let estimate = estimate(&post.body, &body);
        let mut tries = Tries::default();
        loop {
            let permit = provider.limits.permit(estimate).await;
            let attempt = Try::new(&provider.texts, provider.timeouts);
            match attempt.chat(client, post.clone(), reader, &mut on_text).await {
                Ok(answer) => {
                    permit.end(Outcome::Answered, used(&answer.usage));
                    return Ok(answer);
                }
                Err(fault) => {
                    permit.end(fault.outcome(), None);
                    self.pause(&provider.texts, fault, &mut tries).await?;
                }
            }
        }
    }

    /// Computes the embedding of each text, in their order, and says what that used.
    ///
    /// # Errors
    /// As for [`Providers::chat`]; and Anthropic has no embeddings.
    pub async fn embed(&self, model: &ModelName, texts: &[String]) -> Result<Embeddings, CallError> {
        let provider = self.provider(model)?;
        if provider.kind == ProviderKind::Anthropic {
            let reason = "this API has no embeddings; name a model of a provider that speaks the OpenAI API";
            return Err(CallError::Unpaid(provider.texts.fails(reason)));
        }
        if texts.is_empty() || texts.len() > TEXTS_MAX {
            let reason = format!("{} texts in one call for embeddings; use 1 to {TEXTS_MAX}", texts.len());
            return Err(CallError::Unpaid(provider.texts.fails(&reason)));
        }
        let body = json!({ "model": model.model, "input": texts, "encoding_format": "float" });
        let post = provider.post("embeddings", &body, None)?;
        let client = self.client(provider)?;
        let estimate = u64::try_from(post.body.len() / 4).unwrap_or(u64::MAX);
        let mut tries = Tries::default();
        loop {
            let permit = provider.limits.permit(estimate).await;
            let answered = Try::new(&provider.texts, provider.timeouts).json(client, post.clone()).await;
            let read = answered.and_then(|value| {
                let read = openai::read_embeddings(&value, texts.len());
                read.map_err(|reason| Fault::lasting(provider.texts.fails(&reason)))
            });
            match read {
                Ok(embeddings) => {
                    permit.end(Outcome::Answered, used(&embeddings.usage));
                    return Ok(embeddings);
                }
                Err(fault) => {
                    permit.end(fault.outcome(), None);
                    self.pause(&provider.texts, fault, &mut tries).await?;
                }
            }
        }
    }

    /// Posts a JSON body to an endpoint that scores, and returns its JSON answer.
    ///
    /// Whoever can publish a suite names the URL, so it is held to the rules of webhooks: TLS and a public address, or
    /// an address in a network that the operator allowed ([`Providers::with_scorer_networks`]), whatever DNS says.
    /// Redirects are not followed, no key is sent, and errors do not show the path, which may be a credential.
    ///
    /// # Errors
    /// The URL is not allowed, or the endpoint does not answer with JSON in time.
    pub async fn post(&self, url: &str, body: &Value) -> Result<Value, CallError> {
        let url = check_url(url, &self.scorer_networks).map_err(|error| CallError::Unpaid(error.to_string()))?;
        let texts = Texts { name: url.host_str().unwrap_or_default().to_owned(), key: None };
        let clients = self.clients()?;
        let client = if url.scheme() == "https" { &clients.scorer } else { &clients.scorer_plain };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let post = Post { url, headers, body: body.to_string().into_bytes() };
        let timeouts = Timeouts { total: SCORER_TIMEOUT, idle: IDLE_TIMEOUT };
        let mut tries = Tries::default();
        loop {
            match Try::new(&texts, timeouts).json(client, post.clone()).await {
                Ok(value) => return Ok(value),
                Err(fault) => self.pause(&texts, fault, &mut tries).await?,
            }
        }
    }

    /// Waits for the next try, or returns why there is none.
    async fn pause(&self, texts: &Texts, fault: Fault, tries: &mut Tries) -> Result<(), CallError> {
        tries.count += 1;
        let tries_so_far = tries.count;
        let (reason, asked) = match fault {
            // What was charged for an earlier try is not lost when the last one was refused.
            Fault::Lasting(error) if tries.may_cost && !error.may_cost() => {
                return Err(CallError::Failed(error.to_string()));
            }
            Fault::Lasting(error) => return Err(error),
            Fault::Temporary { reason, pause, may_cost, .. } => {
                tries.may_cost |= may_cost;
                (reason, pause)
            }
        };
        let failed = if tries.may_cost { CallError::Failed } else { CallError::Unpaid };
        if tries_so_far >= retry::TRIES_MAX {
            return Err(failed(format!("{reason} (after {tries_so_far} tries)")));
        }
        if let Some(asked) = asked.filter(|asked| *asked > retry::RETRY_AFTER_MAX) {
            return Err(failed(format!("{reason} (it asks to wait for {} s)", asked.as_secs())));
        }
        let pause = asked.unwrap_or_else(|| retry::pause(tries_so_far, retry::random()));
        tracing::debug!(
            provider = texts.name,
            tries = tries_so_far,
            pause_ms = pause.as_millis(),
            reason,
            "call is tried again"
        );
        (self.sleep)(pause).await;
        Ok(())
    }

    fn provider(&self, model: &ModelName) -> Result<&Provider, CallError> {
        let provider = self.by_name.get(&model.provider).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none is set".to_owned() } else { format!("set are: {known}") };
            CallError::Unpaid(format!("unknown provider `{}`; {known}", model.provider))
        })?;
        match &provider.missing_key {
            Some(variable) => {
                Err(CallError::Unpaid(provider.texts.fails(&format!("{variable} with its key is not set"))))
            }
            None => Ok(provider),
        }
    }

    fn client(&self, provider: &Provider) -> Result<&Client, CallError> {
        let clients = self.clients()?;
        Ok(if provider.is_loopback { &clients.local } else { &clients.remote })
    }

    fn clients(&self) -> Result<&Clients, CallError> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        use_ring();
        let builder = || {
            Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
        };
        let build = || {
            Ok(Clients {
                remote: builder().build()?,
                local: builder().no_proxy().build()?,
                scorer: guarded(builder(), &self.scorer_networks, true).build()?,
                scorer_plain: guarded(builder(), &self.scorer_networks, false).build()?,
            })
        };
        let clients = build().map_err(|error: reqwest::Error| {
            CallError::Unpaid(format!("cannot prepare requests: {}", super::fault::cause(&error)))
        })?;
        Ok(self.clients.get_or_init(|| clients))
    }

    /// The same with other time limits and pauses, for tests.
    #[cfg(test)]
    pub(super) fn with_times(mut self, timeouts: Timeouts, sleep: Sleep) -> Self {
        for provider in self.by_name.values_mut() {
            provider.timeouts = timeouts;
        }
        self.sleep = sleep;
        self
    }
}

impl Provider {
    fn post(&self, path: &str, body: &Value, idempotency_key: Option<&str>) -> Result<Post, CallError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = idempotency_key {
            let value = HeaderValue::try_from(key)
                .map_err(|_| CallError::Unpaid("the idempotency key has characters that cannot be sent".to_owned()))?;
            headers.insert(HeaderName::from_static("idempotency-key"), value);
        }
        let (name, prefix) = match self.kind {
            ProviderKind::Openai => (AUTHORIZATION, "Bearer "),
            ProviderKind::Anthropic => (HeaderName::from_static("x-api-key"), ""),
        };
        if self.kind == ProviderKind::Anthropic {
            let version = HeaderValue::from_static(anthropic::VERSION);
            headers.insert(HeaderName::from_static("anthropic-version"), version);
        }
        if let Some(value) = self.texts.key.as_ref().and_then(|key| key.header(prefix)) {
            headers.insert(name, value);
        }
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        Ok(Post { url, headers, body: body.to_string().into_bytes() })
    }
}

/// About how many tokens a request uses: four bytes each, and what may be written.
fn estimate(bytes: &[u8], body: &Value) -> u64 {
    let limit = ["max_tokens", "max_completion_tokens"].iter().find_map(|name| body.get(*name)?.as_u64());
    let read = u64::try_from(bytes.len() / 4).unwrap_or(u64::MAX);
    read.saturating_add(limit.unwrap_or(OUTPUT_TOKENS_EXPECTED))
}

fn used(usage: &AnswerUsage) -> Option<u64> {
    Some(usage.input_tokens?.saturating_add(usage.output_tokens.unwrap_or(0)))
}
