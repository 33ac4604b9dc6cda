//! What is wrong with the settings, and where.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ingest::exports::bucket::BucketError;
use crate::model::public_url::PublicUrlError;
use crate::telemetry::price::PriceError;

/// Why a node does not start with these settings.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ConfigError {
    #[error("cannot read the settings file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("invalid settings file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error(
        "{} is not read: settings are in bookholder.toml in the folder where the node is started; move it there, or pass \
         --config {}",
        path.display(), path.display()
    )]
    MisplacedFile { path: PathBuf },
    #[error("invalid environment variable {name}: {reason}")]
    Variable { name: String, reason: String },
    #[error("the environment variable {name} is not a setting of bookholder; is it misspelt?")]
    UnknownVariable { name: String },
    #[error(
        "{listen} is reachable from other machines without TLS: set --tls-cert and --tls-key, listen on 127.0.0.1, or pass --insecure"
    )]
    Insecure { listen: SocketAddr },
    #[error(
        "a replica reachable from other machines ({listen}) needs BOOKHOLDER_READ_TOKEN to protect its prompts; or pass --insecure"
    )]
    OpenReplica { listen: SocketAddr },
    #[error("TLS needs both a certificate and its key; {missing} is missing")]
    HalfTls { missing: &'static str },
    #[error("cannot use the TLS files: {0}")]
    Tls(String),
    #[error("invalid access token in {name}: {reason}")]
    Token { name: &'static str, reason: String },
    #[error("invalid root key `{given}`: {reason}; `bookholder keys show` on the primary prints it")]
    RootKey { given: String, reason: String },
    #[error("invalid upstream `{url}`: it must start with http:// or https://")]
    Upstream { url: String },
    #[error("cannot write Parquet files to a bucket: {0}")]
    Bucket(#[from] BucketError),
    #[error("invalid parquet_every_s {given}: use 1 to 86,400")]
    ParquetEvery { given: u64 },
    #[error("invalid playground_usd_per_day `{given}`: use US dollars in quotes, for example \"1.50\"")]
    Playground { given: String },
    #[error("invalid provider `{name}`: {reason}")]
    Provider { name: String, reason: String },
    #[error("invalid prompt_metrics_max {given}: use 0 (off) to 10,000")]
    PromptMetrics { given: usize },
    #[error("invalid forward_otlp `{url}`: it must start with http:// or https://")]
    ForwardOtlp { url: String },
    #[error("invalid forward_otlp_headers: write NAME=VALUE, separated by commas")]
    ForwardHeaders,
    #[error("cannot read the certificates {}: {source}", path.display())]
    ReadCertificates { path: PathBuf, source: std::io::Error },
    #[error("{what} {} is not a directory", path.display())]
    NoDirectory { what: &'static str, path: PathBuf },
    #[error("invalid keep_alive_s {given}: use 1 to 86,400")]
    KeepAlive { given: u64 },
    #[error("invalid cache_mib {given}: use 1 to 65,536")]
    Cache { given: u64 },
    #[error("invalid network `{given}` in webhook_allow: use 10.0.0.0/8 or fd00::/8")]
    Network { given: String },
    #[error(
        "invalid host `{given}` in allowed_hosts: use a host name or address (such as prompts.example.com or 10.0.0.7), or * for every host"
    )]
    Host { given: String },
    #[error(
        "invalid network `{given}` in trusted_proxies: use 10.0.0.0/8, 127.0.0.1 or fd00::/8, or unix for the socket"
    )]
    Proxy { given: String },
    #[error("invalid sign_in_header `{given}`: write the name of a header, such as X-Forwarded-Email")]
    SignInHeader { given: String },
    #[error(
        "sign_in_header is set, but trusted_proxies is empty: add the address of the proxy that signs people in, for example trusted_proxies = \"127.0.0.1\""
    )]
    SignInWithoutProxy,
    #[error("sign_in_header only works on a primary, as a replica has no principals; remove it")]
    SignInOnReplica,
    #[error("invalid public_url `{given}`: {reason}")]
    PublicUrl { given: String, reason: PublicUrlError },
    #[error("invalid archive_unused_days {days}: deployed content is kept for at least 184 days")]
    Retention { days: u32 },
    #[error("invalid price table {}: {reason}", path.display())]
    Prices { path: PathBuf, reason: PriceError },
    #[error("cannot read the price table {}: {source}", path.display())]
    ReadPrices { path: PathBuf, source: std::io::Error },
    #[error("invalid {name} {given}: use 1 to 36,500 days")]
    TelemetryDays { name: &'static str, given: u16 },
    #[error("invalid {name} {given}: use 1 to 16,777,216 MiB")]
    TelemetryMib { name: &'static str, given: u64 },
    #[error("invalid record_content_sample {given}: use 0.001 to 1, such as 0.1 for a tenth of calls")]
    ContentSample { given: f64 },
    #[error("invalid registry name `{name}`: use 1 to 64 characters from a-z 0-9 . -")]
    Registry { name: String },
}
