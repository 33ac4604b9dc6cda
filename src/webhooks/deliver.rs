//! Sends webhooks: one POST to a URL that a user chose.
//!
//! It does not sign, retry or decide anything. Invariants: nothing is sent to an internal address unless the operator
//! allowed its network, whatever the URL, DNS or the response says; a call ends within its time limit; messages never
//! contain the path or query of the URL, which is a credential for many receivers.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipnet::IpNet;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url};

use crate::client::{CONNECT_TIMEOUT, ClientError, USER_AGENT};
use crate::crypto::tls::use_ring;
use crate::evaluation::provider::guarded;
use crate::governance::webhook_url::check_url;
use crate::registry::outbox::ReceiverAnswer;

/// Deadline of a delivery: the standard recommends 15 to 30 s.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// How much of an answer is read before the connection is closed, in bytes; it is discarded.
const ANSWER_BYTES_READ: usize = 4 * 1024;

/// Sends webhooks. Connections are not reused, so that every delivery checks its address.
#[derive(Clone, Debug)]
pub struct Deliverer {
    /// Created at the first delivery: most nodes have no webhooks, and loading root certificates takes memory.
    clients: Arc<OnceLock<Clients>>,
    allow: Arc<[IpNet]>,
    timeout: Duration,
}

#[derive(Clone, Debug)]
struct Clients {
    secure: reqwest::Client,
    /// Without TLS, to allowed networks only.
    plain: reqwest::Client,
}

impl Deliverer {
    /// Prepares to send to public addresses, and to the networks in `allow`.
    #[must_use]
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self::within(allow, DELIVERY_TIMEOUT)
    }

    fn within(allow: Vec<IpNet>, timeout: Duration) -> Self {
        Self { clients: Arc::default(), allow: allow.into(), timeout }
    }

    fn clients(&self) -> Result<&Clients, reqwest::Error> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        use_ring();
        let client = |tls: bool| {
            let client = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(self.timeout)
                .http1_only();
            guarded(client, &self.allow, tls).build()
        };
        let clients = Clients { secure: client(true)?, plain: client(false)? };
        Ok(self.clients.get_or_init(|| clients))
    }

    /// Posts the body once. `headers` have its type and signatures.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> ReceiverAnswer {
        let started = Instant::now();
        let mut delivery = match check_url(url, &self.allow) {
            Ok(url) => self.send(url, headers, body).await,
            Err(error) => failed(error.to_string()),
        };
        delivery.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        delivery
    }

    async fn send(&self, url: Url, headers: HeaderMap, body: Bytes) -> ReceiverAnswer {
        let host = url.host_str().unwrap_or_default().to_owned();
        let clients = match self.clients() {
            Ok(clients) => clients,
            Err(error) => return failed(format!("cannot set up TLS: {error}")),
        };
        let client = if url.scheme() == "https" { &clients.secure } else { &clients.plain };
        let mut response = match client.post(url).headers(headers).body(body).send().await {
            Ok(response) => response,
            Err(error) => return failed(ClientError::sending(&host, error).to_string()),
        };
        let status = response.status();
        let retry_after_s = retry_after_s(response.headers());
        read_some(&mut response).await;
        let error = if status.is_success() {
            None
        } else if status.is_redirection() {
            Some(format!("{host} answered {status}; redirects are not followed, so use the address it points to"))
        } else {
            Some(format!("{host} answered {status}"))
        };
        ReceiverAnswer { status: Some(status.as_u16()), error, retry_after_s, took_ms: 0 }
    }
}

/// What became of a delivery that reached no receiver.
const fn failed(error: String) -> ReceiverAnswer {
    ReceiverAnswer { status: None, error: Some(error), retry_after_s: None, took_ms: 0 }
}

/// Reads a little of the answer, so that a receiver with a short answer is not cut off; the rest is ignored, and so are
/// errors.
async fn read_some(response: &mut Response) {
    let mut read = 0;
    while read < ANSWER_BYTES_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
    }
}

fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u64::MAX));
    }
    let seconds = |date: &str| Some(DateTimeParser::new().parse_timestamp(date).ok()?.as_second());
    let wait_s = seconds(value)?.saturating_sub(seconds(text(DATE)?)?);
    Some(u64::try_from(wait_s).unwrap_or(0))
}

#[cfg(test)]
mod tests;
