//! What is wrong with the settings, and where it stands.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::public_url::PublicUrlError;

/// Why a node does not start with these settings.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ConfigError {
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the settings file {} is wrong: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("the environment variable {name} is wrong: {reason}")]
    Variable { name: String, reason: String },
    #[error("the environment variable {name} is not a setting of bookholder; is it misspelt?")]
    UnknownVariable { name: String },
    #[error(
        "{listen} can be reached from other machines, and there is no TLS: give --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure"
    )]
    Insecure { listen: SocketAddr },
    #[error(
        "a replica that can be reached from other machines ({listen}) needs BOOKHOLDER_READ_TOKEN, so that not everybody reads its prompts; or say --insecure"
    )]
    OpenReplica { listen: SocketAddr },
    #[error("TLS needs both a certificate and its key; {missing} is missing")]
    HalfTls { missing: &'static str },
    #[error("the TLS files cannot be used: {0}")]
    Tls(String),
    #[error("{name} is no access token: {reason}")]
    Token { name: &'static str, reason: String },
    #[error("`{given}` is no root key: {reason}; `bookholder keys show` on the primary prints it")]
    RootKey { given: String, reason: String },
    #[error("`{url}` is no address of an upstream: it begins with http:// or https://")]
    Upstream { url: String },
    #[error("{what} {} is no directory", path.display())]
    NoDirectory { what: &'static str, path: PathBuf },
    #[error("keep_alive_s is {given}; it may be 1 to 86,400 s")]
    KeepAlive { given: u64 },
    #[error("cache_mib is {given}; it may be 1 to 65,536")]
    Cache { given: u64 },
    #[error("`{given}` in webhook_allow is no network; write it as 10.0.0.0/8 or fd00::/8")]
    Network { given: String },
    #[error("`{given}` in allowed_hosts is no host; write it as prompts.example.com or 10.0.0.7, or * for every host")]
    Host { given: String },
    #[error(
        "`{given}` in trusted_proxies is no network; write it as 10.0.0.0/8, 127.0.0.1 or fd00::/8, or unix for the socket"
    )]
    Proxy { given: String },
    #[error("invalid sign_in_header `{given}`: write the name of a header, such as X-Forwarded-Email")]
    SignInHeader { given: String },
    #[error(
        "sign_in_header is set, but trusted_proxies is empty: add the address of the proxy that signs people in, for example trusted_proxies = \"127.0.0.1\""
    )]
    SignInWithoutProxy,
    #[error("sign_in_header is a setting of a primary: a replica knows no principals; remove it")]
    SignInOnReplica,
    #[error("invalid public_url `{given}`: {reason}")]
    PublicUrl { given: String, reason: PublicUrlError },
    #[error("archive_unused_days is {days}; what was served is kept for at least 184 days")]
    Retention { days: u32 },
    #[error("`{name}` is no name for a registry: use 1 to 64 of a-z 0-9 . -")]
    Registry { name: String },
}
