//! Sends webhooks: one POST to a URL that a user chose.
//!
//! It does not sign, retry or decide anything. Invariants: nothing is sent to an internal address unless the operator
//! allowed its network, whatever the URL, DNS or the response says; a call ends within its time limit; messages never
//! contain the path or query of the URL, which is a credential for many receivers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ipnet::IpNet;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url};

use crate::client::{CONNECT_TIMEOUT, ClientError, USER_AGENT};
use crate::crypto::tls::use_ring;

/// Deadline of a delivery: the standard recommends 15 to 30 s.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest URL of a webhook, in bytes; longer ones do not pass every proxy.
pub const URL_BYTES_MAX: usize = 2_048;
/// How much of an answer is read before the connection is closed, in bytes; it is discarded.
const ANSWER_BYTES_READ: usize = 4 * 1024;
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Why a URL is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum UrlError {
    #[error("invalid webhook URL: use https://host/path")]
    Parse,
    #[error("the webhook URL contains `…`, which stands for the rest of an example; write the whole URL")]
    Placeholder,
    #[error("the webhook URL is {bytes} bytes long; the limit is {URL_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a webhook URL must start with https://, not {scheme}:")]
    Scheme { scheme: String },
    #[error("a webhook URL cannot contain a user or password; remove everything before the @")]
    UserInfo,
    #[error(
        "`{host}` is outside the networks that webhooks can use without TLS; use https://, or allow its network (webhook_allow)"
    )]
    Plain { host: String },
    #[error("`{host}` is at {address}, which is {class}; use a public address, or allow its network (webhook_allow)")]
    Address { host: String, address: IpAddr, class: &'static str },
    #[error("`{host}` does not resolve to an address; check the name")]
    Nowhere { host: String },
}

/// The result of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The status of the receiver; absent if it could not be reached or was not contacted.
    pub status: Option<u16>,
    /// The error, for people; absent for a 2xx answer.
    pub error: Option<String>,
    /// The pause that the receiver asks for, in seconds. A date is relative to the answer's own `date`.
    pub retry_after_s: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

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
            reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(self.timeout)
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would resolve the name itself, unchecked.
                .no_proxy()
                .https_only(tls)
                .http1_only()
                .pool_max_idle_per_host(0)
                .dns_resolver(Arc::new(AddressGuard { tls, allow: Arc::clone(&self.allow) }))
                .build()
        };
        let clients = Clients { secure: client(true)?, plain: client(false)? };
        Ok(self.clients.get_or_init(|| clients))
    }

    /// Posts the body once. `headers` have its type and signatures.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Delivery {
        let started = Instant::now();
        let mut delivery = match check_url(url, &self.allow) {
            Ok(url) => self.send(url, headers, body).await,
            Err(error) => Delivery::failed(error.to_string()),
        };
        delivery.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        delivery
    }

    async fn send(&self, url: Url, headers: HeaderMap, body: Bytes) -> Delivery {
        let host = url.host_str().unwrap_or_default().to_owned();
        let clients = match self.clients() {
            Ok(clients) => clients,
            Err(error) => return Delivery::failed(format!("cannot set up TLS: {error}")),
        };
        let client = if url.scheme() == "https" { &clients.secure } else { &clients.plain };
        let mut response = match client.post(url).headers(headers).body(body).send().await {
            Ok(response) => response,
            Err(error) => return Delivery::failed(ClientError::sending(&host, error).to_string()),
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
        Delivery { status: Some(status.as_u16()), error, retry_after_s, took_ms: 0 }
    }
}

impl Delivery {
    const fn failed(error: String) -> Self {
        Self { status: None, error: Some(error), retry_after_s: None, took_ms: 0 }
    }
}

/// Checks a URL without DNS, for when a webhook is created: resolved addresses are checked at each delivery.
///
/// # Errors
/// The URL is not valid for a webhook, or its host is an address that `allow` does not include.
pub fn check_url(url: &str, allow: &[IpNet]) -> Result<Url, UrlError> {
    if url.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong { bytes: url.len() });
    }
    if url.contains('…') {
        return Err(UrlError::Placeholder);
    }
    let url: Url = url.parse().map_err(|_| UrlError::Parse)?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        scheme => return Err(UrlError::Scheme { scheme: scheme.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::UserInfo);
    }
    // The parser has already normalized unusual spellings of an address, such as `0x7f.1`.
    let host = url.host_str().ok_or(UrlError::Parse)?;
    let name = host.trim_end_matches('.');
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        check_address(host, address, tls, allow)?;
    } else if name == "localhost" || name.ends_with(".localhost") {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        check_address(host, loopback, tls, allow)
            .or_else(|error| check_address(host, Ipv6Addr::LOCALHOST.into(), tls, allow).map_err(|_| error))?;
    } else if !tls && allow.is_empty() {
        return Err(UrlError::Plain { host: host.to_owned() });
    }
    Ok(url)
}

/// Whether this address of `host` is allowed.
fn check_address(host: &str, address: IpAddr, tls: bool, allow: &[IpNet]) -> Result<(), UrlError> {
    let address = address.to_canonical();
    if allow.iter().any(|network| network.contains(&address)) {
        return Ok(());
    }
    let class = match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    };
    match class {
        Some(class) => Err(UrlError::Address { host: host.to_owned(), address, class }),
        None if tls => Ok(()),
        None => Err(UrlError::Plain { host: host.to_owned() }),
    }
}

/// The class of an address that is not public, from the registry of special addresses (RFC 6890).
const fn class_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [100, 64..=127, ..] => Some("shared by a provider's customers"),
        // The second is a server of Azure's hosts.
        [169, 254, ..] | [168, 63, 129, 16] => Some("link-local (cloud metadata services)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("reserved for documentation"),
        [198, 18..=19, ..] => Some("reserved for benchmarks"),
        [224..=239, ..] => Some("multicast"),
        [255, 255, 255, 255] => Some("broadcast"),
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// As [`class_v4`]. An address that embeds an IPv4 address has its class.
fn class_v6(address: Ipv6Addr) -> Option<&'static str> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        class_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4-compatible, which is no longer routed.
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low).or(Some("reserved")),
        // IPv4-mapped, NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("reserved for documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("reserved"),
        [0x2000..=0x3fff, ..] => None,
        // Only 2000::/3 is allocated.
        _ => Some("reserved"),
    }
}

/// Resolves a name and passes only allowed addresses to the connection: the checked addresses are the ones connected
/// to, so changing the DNS record afterwards has no effect.
struct AddressGuard {
    tls: bool,
    allow: Arc<[IpNet]>,
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let (tls, allow) = (self.tls, Arc::clone(&self.allow));
        Box::pin(async move {
            // Port 0 means that of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.take(ADDRESSES_MAX);
            let addresses = choose(name.as_str(), found, tls, &allow)?;
            Ok::<Addrs, _>(Box::new(addresses.into_iter()))
        })
    }
}

/// The allowed addresses; the reason if there are none.
fn choose(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    tls: bool,
    allow: &[IpNet],
) -> Result<Vec<SocketAddr>, UrlError> {
    let mut chosen = Vec::new();
    let mut refusal = None;
    for address in found {
        match check_address(host, address.ip(), tls, allow) {
            Ok(()) => chosen.push(address),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    if chosen.is_empty() {
        return Err(refusal.unwrap_or_else(|| UrlError::Nowhere { host: host.to_owned() }));
    }
    Ok(chosen)
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
