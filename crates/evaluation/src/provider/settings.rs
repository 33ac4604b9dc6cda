//! Which providers there are: where they answer, by which API, with which key, and how much they may be asked.
//!
//! Invariant: a key is read from the environment once, when the node starts; no `Debug`, error or log line has it.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::model::handle::is_handle;

/// Most providers of a node.
pub const PROVIDERS_MAX: usize = 100;
/// Longest base URL, in bytes.
pub const BASE_URL_BYTES_MAX: usize = 2_048;
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 4_096;
/// Calls of one provider at the same time at most, unless its settings say otherwise.
pub const CONCURRENCY_DEFAULT: u32 = 16;
/// Highest `concurrency_max`.
const CONCURRENCY_MAX: u32 = 1_000;
/// Time limit of one call in seconds, unless the settings say otherwise.
pub const TIMEOUT_S_DEFAULT: u64 = 120;
/// Longest time limit of one call, in seconds.
const TIMEOUT_S_MAX: u64 = 3_600;

/// Which API a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Chat completions of OpenAI, as vLLM, Ollama, llama.cpp, LiteLLM and OpenRouter speak them too.
    Openai,
    /// Messages of Anthropic.
    Anthropic,
}

/// The settings of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its name, the part of `PROVIDER:MODEL` before the colon.
    pub name: String,
    /// The API that it speaks.
    pub kind: ProviderKind,
    /// Where it answers: for OpenAI with the version, as `https://api.openai.com/v1`; for Anthropic without, as
    /// `https://api.anthropic.com`. `http://` is allowed without a key, and with one to loopback and private addresses
    /// and to names of a local network: those without a dot or below `.local`, `.internal` or `.localhost`.
    pub base_url: String,
    /// The environment variable with the key; without it, none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Most requests in a minute; not limited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Most tokens in a minute, read and written, estimated before a call; not limited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Most calls at the same time, 16 by default. Fewer are made until the provider shows that it answers them.
    #[serde(default = "concurrency_default")]
    pub concurrency_max: u32,
    /// Time limit of one call in seconds, 120 by default.
    #[serde(default = "timeout_default")]
    pub timeout_s: u64,
}

const fn concurrency_default() -> u32 {
    CONCURRENCY_DEFAULT
}

const fn timeout_default() -> u64 {
    TIMEOUT_S_DEFAULT
}

/// Why providers cannot be used as they are set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ProviderError {
    #[error("invalid name `{0}` of a provider: use 1 to 64 characters from a-z, 0-9, `.`, `_`, `-` and `@`")]
    Name(String),
    #[error("the provider `{0}` is set twice; names of providers are unique")]
    Twice(String),
    #[error("{count} providers are set; the limit is {PROVIDERS_MAX}")]
    TooMany { count: usize },
    #[error("the provider `{provider}` has an invalid base_url: {reason}")]
    BaseUrl { provider: String, reason: &'static str },
    #[error("the provider `{provider}` has an invalid key_env `{variable}`: use the name of an environment variable")]
    Variable { provider: String, variable: String },
    #[error(
        "the environment variable {variable} of the provider `{provider}` is not a key: use up to {KEY_BYTES_MAX} visible \
         ASCII characters"
    )]
    Key { provider: String, variable: String },
    #[error("the provider `{provider}` has {what} {value}; use a number from 1 to {max}")]
    Number { provider: String, what: &'static str, value: u64, max: u64 },
}

/// A key, which is only ever sent.
#[derive(Clone)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// A header that has the key after a prefix.
    pub(super) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text without the key.
    pub(super) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// What settings mean when they are valid.
pub(super) struct Checked {
    pub(super) base: Url,
    pub(super) key: Option<Key>,
    /// The variable that should have the key, if the environment does not have it.
    pub(super) missing_key: Option<String>,
    pub(super) is_loopback: bool,
}

/// Checks the settings of a provider and reads its key.
pub(super) fn check(
    settings: &ProviderSettings,
    read_env: &impl Fn(&str) -> Option<String>,
) -> Result<Checked, ProviderError> {
    let provider = || settings.name.clone();
    if !is_handle(&settings.name) {
        return Err(ProviderError::Name(settings.name.chars().take(64).collect()));
    }
    let numbers = [
        ("concurrency_max", Some(settings.concurrency_max.into()), CONCURRENCY_MAX.into()),
        ("timeout_s", Some(settings.timeout_s), TIMEOUT_S_MAX),
        ("requests_per_minute", settings.requests_per_minute.map(u64::from), 1_000_000),
        ("tokens_per_minute", settings.tokens_per_minute, 10_000_000_000),
    ];
    for (what, value, max) in numbers {
        if let Some(value) = value.filter(|value| !(1..=max).contains(value)) {
            return Err(ProviderError::Number { provider: provider(), what, value, max });
        }
    }
    let base = base_url(&settings.base_url, settings.key_env.is_some())
        .map_err(|reason| ProviderError::BaseUrl { provider: provider(), reason })?;
    let mut missing_key = None;
    let key = match &settings.key_env {
        None => None,
        Some(variable) => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if variable.is_empty() || variable.len() > 200 || !variable.bytes().all(allowed) {
                // What does not look like the name of a variable may be the key itself.
                let shown = variable.chars().take(4).filter(char::is_ascii_graphic).collect::<String>();
                return Err(ProviderError::Variable { provider: provider(), variable: format!("{shown}…") });
            }
            match read_env(variable).filter(|text| !text.trim().is_empty()).map(|text| Key::new(&text)) {
                Some(Some(key)) => Some(key),
                Some(None) => {
                    return Err(ProviderError::Key { provider: provider(), variable: variable.clone() });
                }
                None => {
                    missing_key = Some(variable.clone());
                    None
                }
            }
        }
    };
    let is_loopback = is_loopback(&base);
    Ok(Checked { base, key, missing_key, is_loopback })
}

fn base_url(text: &str, has_key: bool) -> Result<Url, &'static str> {
    if text.len() > BASE_URL_BYTES_MAX {
        return Err("it is longer than 2,048 bytes");
    }
    let mut url: Url = text.parse().map_err(|_| "it is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("it must start with https:// or http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it contains a user or password; put the key into an environment variable and name it in key_env");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query; remove everything from the ? or # on");
    }
    if url.scheme() == "http" && has_key && !is_local(&url) {
        return Err("it would send the key without TLS to another network; use https://");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn address(url: &Url) -> Option<IpAddr> {
    Some(url.host_str()?.trim_matches(['[', ']']).parse::<IpAddr>().ok()?.to_canonical())
}

fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || address(url).is_some_and(|address| address.is_loopback())
}

/// Whether a host is this machine or in a local network.
fn is_local(url: &Url) -> bool {
    match address(url) {
        Some(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Some(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        None => {
            let host = url.host_str().unwrap_or_default().trim_end_matches('.');
            !host.contains('.') || [".local", ".internal", ".localhost"].iter().any(|end| host.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> ProviderSettings {
        serde_json::from_str(json).expect(json)
    }

    fn checked(base_url: &str, key: Option<&str>) -> Result<Checked, ProviderError> {
        let json = serde_json::json!({ "name": "p", "kind": "openai", "base_url": base_url });
        let mut settings = settings(&json.to_string());
        settings.key_env = key.map(|_| "P_KEY".to_owned());
        check(&settings, &|name: &str| key.filter(|_| name == "P_KEY").map(str::to_owned))
    }

    #[test]
    fn settings_have_defaults_and_refuse_unknown_fields() {
        let read = settings(r#"{"name":"local","kind":"anthropic","base_url":"http://localhost:1"}"#);
        assert_eq!((read.concurrency_max, read.timeout_s, read.key_env), (16, 120, None));
        let unknown = r#"{"name":"a","kind":"openai","base_url":"http://localhost:1","key":"sk-1"}"#;
        assert!(serde_json::from_str::<ProviderSettings>(unknown).is_err());
    }

    #[test]
    fn base_urls_are_plain_and_keys_stay_in_the_local_network_without_tls() {
        for (url, key, fits) in [
            ("https://api.openai.com/v1/", Some("sk-1"), true),
            ("http://api.openai.com/v1", Some("sk-1"), false),
            ("http://api.openai.com/v1", None, true),
            ("http://127.0.0.1:8080", Some("sk-1"), true),
            ("http://[::1]:8080", Some("sk-1"), true),
            ("http://192.168.1.2/v1", Some("sk-1"), true),
            ("http://8.8.8.8/v1", Some("sk-1"), false),
            ("http://litellm:4000/v1", Some("sk-1"), true),
            ("http://gateway.internal/v1", Some("sk-1"), true),
            ("https://user:sk-1@host/v1", None, false),
            ("https://host/v1?key=sk-1", None, false),
            ("https://host/v1#a", None, false),
            ("ftp://host", None, false),
            ("host", None, false),
        ] {
            let result = checked(url, key);
            assert_eq!(result.is_ok(), fits, "{url}");
            if let Err(error) = result {
                assert!(!error.to_string().contains("sk-1"), "{error}");
            }
        }
        assert_eq!(checked("https://host/v1/", None).expect("a URL").base.as_str(), "https://host/v1");
    }

    #[test]
    fn keys_are_read_from_the_environment_and_never_shown() {
        let read = checked("https://host", Some("sk-secret\n")).expect("a key").key.expect("a key");
        assert_eq!(format!("{read:?}"), "Key(redacted)");
        assert_eq!(read.removed_from("no sk-secret here"), "no [key] here");
        let header = read.header("Bearer ").expect("a header");
        assert!(!format!("{header:?}").contains("secret"));
        let Err(error) = checked("https://host", Some("two words")) else { panic!("not a key") };
        assert!(!error.to_string().contains("two words"), "{error}");
        let absent = checked("https://host", Some(" ")).expect("the node starts without it");
        assert_eq!((absent.key.is_none(), absent.missing_key.as_deref()), (true, Some("P_KEY")));
        let mut pasted = settings(r#"{"name":"p","kind":"openai","base_url":"https://host"}"#);
        pasted.key_env = Some("sk-proj-0123456789".to_owned());
        let Err(error) = check(&pasted, &|_: &str| None) else { panic!("not a variable") };
        assert!(!error.to_string().contains("proj"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let mut set = settings(r#"{"name":"p","kind":"openai","base_url":"https://host"}"#);
        set.timeout_s = 0;
        let Err(error) = check(&set, &|_: &str| None) else { panic!("0 seconds") };
        assert_eq!(error.to_string(), "the provider `p` has timeout_s 0; use a number from 1 to 3600");
    }
}
