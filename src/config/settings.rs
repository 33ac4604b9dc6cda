//! From layers to the settings of a primary or a replica.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::layer::{ProviderTable, ProviderTables};
use super::{ConfigError, Layer, LogFormat};
use crate::api::limits::RETENTION_FLOOR_DAYS;
use crate::crypto::secret::{AccessToken, TokenHash};
use crate::evaluate::{RESULTS_BYTES_DEFAULT, RESULTS_DAYS_DEFAULT, Spending};
use crate::evaluation::provider::{ProviderSettings, Providers};
use crate::http::{Door, HeaderName, HeaderValue, Hosts, KEEP_ALIVE_S_DEFAULT, Proxies};
use crate::ingest::ContentSample;
use crate::ingest::exports::bucket::{self, BucketOptions};
use crate::ingest::exports::collector::CollectorOptions;
use crate::json::plain_reason;
use crate::model::position::Position;
use crate::model::public_url::PublicUrl;
use crate::telemetry::price::{PriceTable, TABLE_BYTES_MAX};
use crate::telemetry::store::Retention;
use crate::trust::root::RootKeyId;

/// Default data directory.
const DATA_DEFAULT: &str = "bookholder-data";
/// Default address.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7070);
/// The settings file that is read if it exists.
const FILE_DEFAULT: &str = "bookholder.toml";
/// Default memory for cached answers: for 10,000 prompts of 2 KiB.
const CACHE_MIB_DEFAULT: u64 = 32;

/// Bytes of a MiB.
const MIB: u64 = 1_024 * 1_024;
/// Default size of a replica's spool, in MiB.
const SPOOL_MIB_DEFAULT: u64 = 1_024;
/// Default number of prompts and labels with metrics of their own: some 2,600 time series.
const PROMPT_METRICS_DEFAULT: usize = 100;
/// Most that can be set: an answer of some 25 MB.
const PROMPT_METRICS_MAX: usize = 10_000;
/// Most space for telemetry, in MiB: 16 TiB.
const TELEMETRY_MIB_MAX: u64 = 16 * 1_024 * 1_024;
/// Longest time that telemetry is kept, in days: a hundred years.
const TELEMETRY_DAYS_MAX: u16 = 36_500;

/// Longest idle time of a connection: a day.
const KEEP_ALIVE_S: std::ops::RangeInclusive<u64> = 1..=86_400;

/// Settings of every node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// A Unix socket to listen on as well.
    pub socket: Option<PathBuf>,
    /// The certificate, if TLS is used.
    pub tls: Option<TlsFiles>,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// Whether callers on this machine can read without an access token.
    pub open_reads: bool,
    /// Whether all callers can.
    pub open_to_all: bool,
    /// Which requests count as local, and the client of other requests.
    pub door: Door,
    /// The URL of the pages, if it differs from the listening address.
    pub public_url: Option<PublicUrl>,
    /// Memory for cached answers, in bytes.
    pub cache_bytes: u64,
    /// Maximum age for readiness, in seconds since the last verified contact.
    pub ready_max_age_s: Option<u64>,
    /// Prices that override the embedded ones.
    pub prices: Option<PriceTable>,
    /// Of which calls what is sent to models and what they answer is recorded.
    pub content: ContentSample,
    /// How long telemetry is kept, on a primary.
    pub retention: Retention,
    /// How large the spool of a replica may grow, in bytes.
    pub spool_bytes_max: u64,
    /// Most prompts and labels with metrics of their own, on a primary; none for 0.
    pub prompt_metrics_max: usize,
}

/// Default time for which a watched file must be unchanged before it is published: writers pause.
const WATCH_QUIET_MS: u64 = 2_000;
/// Longest such time: an hour.
const WATCH_QUIET_MS_MAX: u64 = 3_600_000;

/// Default time between two Parquet files: an hour.
const PARQUET_EVERY_S: u64 = 3_600;
/// What can be set: to a day.
const PARQUET_S: std::ops::RangeInclusive<u64> = 1..=86_400;

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the two files")]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Where Parquet files go, and when.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// Where they go.
    pub into: ParquetPlace,
    /// How long events wait for others to be in a file with.
    pub every: Duration,
}

/// Where Parquet files go.
#[derive(Clone, Debug)]
pub enum ParquetPlace {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(BucketOptions),
}

/// Providers of models, and the models of each.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// The providers.
    pub settings: Vec<ProviderSettings>,
    /// Names and patterns of models, by provider.
    pub models: BTreeMap<String, Vec<String>>,
    /// What a person may spend in the playground.
    pub spending: Spending,
    /// How long the results of runs are kept, in days.
    pub results_days: u16,
    /// Most space of results and of answers that are used again, in bytes.
    pub results_bytes: u64,
}

/// Settings of a primary.
#[derive(Clone, Debug)]
pub struct PrimarySettings {
    /// Settings of every node.
    pub node: Settings,
    /// A folder of prompt files to publish from.
    pub watch: Option<PathBuf>,
    /// How long a file of that folder must be unchanged before it is published.
    pub watch_quiet: Duration,
    /// The name of a new registry.
    pub registry: Option<String>,
    /// The first access token, if the operator set it.
    pub admin_token: Option<AccessToken>,
    /// Networks that webhooks can reach although they are not public.
    pub webhook_allow: Vec<IpNet>,
    /// Days without use after which old versions are archived, once a day; never if absent.
    pub archive_unused_days: Option<u32>,
    /// Whether it does nothing by itself: no automatic deployments, webhooks, expiry, archiving or folder watch.
    pub hold_automation: bool,
    /// Where recorded telemetry goes as Parquet files.
    pub parquet: Option<ParquetOptions>,
    /// The collector that recorded telemetry is sent to.
    pub collector: Option<CollectorOptions>,
    /// Providers of models that evaluations can ask.
    pub providers: ProviderOptions,
    /// The provider of the system, with contact; for reports.
    pub provider: Option<String>,
    /// The intended purpose of the system; for reports.
    pub intended_purpose: Option<String>,
    /// Whether the operator confirms the clock.
    pub trust_clock: bool,
}

/// Settings of a replica.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Settings of every node.
    pub node: Settings,
    /// The node to follow; absent for a replica that only takes bundles.
    pub upstream: Option<String>,
    /// The access token for the upstream.
    pub upstream_token: Option<AccessToken>,
    /// Certificates to trust for the upstream, as PEM.
    pub upstream_ca: Option<PathBuf>,
    /// The trusted root; absent after the first start.
    pub root_key: Option<RootKeyId>,
    /// The inbox for bundles.
    pub inbox: Option<PathBuf>,
    /// Whether an expired checkpoint is accepted as the first state.
    pub accept_expired: bool,
    /// The position whose history is given up for another signed one.
    pub accept_fork: Option<Position>,
    /// Whether to skip the comparison of the first checkpoint with the clock of this machine.
    pub ignore_clock: bool,
    /// Whether to stay at the position of the data.
    pub hold: bool,
    /// A position not to go beyond.
    pub pin: Option<Position>,
    /// The access token for readers on other machines.
    pub read_token: Option<TokenHash>,
    /// The ID of this replica in reports.
    pub name: Option<String>,
}

/// Reads the settings file and the environment, with lower precedence than flags.
///
/// # Errors
/// The named file does not exist, or a layer has an unknown key or an invalid value, or there is a settings file in the
/// data directory alone, where it is not read.
pub fn merge(flags: Layer, file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Layer, ConfigError> {
    let path = file.unwrap_or(Path::new(FILE_DEFAULT));
    let flags = flags.or(Layer::from_environment(environment)?);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(flags.or(Layer::from_toml(&text, path)?)),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            let data = flags.data.as_deref().unwrap_or(Path::new(DATA_DEFAULT));
            let misplaced = data.join(FILE_DEFAULT);
            if misplaced.exists() { Err(ConfigError::MisplacedFile { path: misplaced }) } else { Ok(flags) }
        }
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

/// The settings of a primary.
///
/// # Errors
/// The settings are inconsistent; the message says what to do.
pub fn primary(layer: Layer, environment: &BTreeMap<String, String>) -> Result<PrimarySettings, ConfigError> {
    let node = node(&layer)?;
    if let Some(watch) = layer.watch.as_ref().filter(|watch| !watch.is_dir()) {
        return Err(ConfigError::NoDirectory { what: "the folder to watch", path: watch.clone() });
    }
    let named = |name: &&String| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        !((1..=64).contains(&name.len()) && name.bytes().all(allowed))
    };
    if let Some(name) = layer.registry.as_ref().filter(named) {
        return Err(ConfigError::Registry { name: name.clone() });
    }
    let admin_token = token(environment, &["BOOKHOLDER_ADMIN_TOKEN"])?;
    let collector = collector(&layer)?;
    let parquet = parquet(&layer, environment)?;
    let mut providers = providers(layer.providers.clone().unwrap_or_default())?;
    if let Some(given) = &layer.playground_usd_per_day {
        let per_day = given.parse().map_err(|_| ConfigError::Playground { given: given.clone() })?;
        providers.spending = Spending { per_day };
    }
    if let Some(days) = layer.evaluation_days {
        if !(1..=TELEMETRY_DAYS_MAX).contains(&days) {
            return Err(ConfigError::TelemetryDays { name: "evaluation_days", given: days });
        }
        providers.results_days = days;
    }
    providers.results_bytes = mib("evaluation_mib", layer.evaluation_mib, providers.results_bytes / MIB)?;
    let network = |given: String| given.parse::<IpNet>().map_err(|_| ConfigError::Network { given });
    let webhook_allow = layer.webhook_allow.unwrap_or_default().into_iter().map(network).collect::<Result<_, _>>()?;
    if let Some(days) = layer.archive_unused_days.filter(|days| *days < RETENTION_FLOOR_DAYS) {
        return Err(ConfigError::Retention { days });
    }
    Ok(PrimarySettings {
        parquet,
        collector,
        node,
        watch: layer.watch,
        watch_quiet: Duration::from_millis(layer.watch_quiet_ms.unwrap_or(WATCH_QUIET_MS).min(WATCH_QUIET_MS_MAX)),
        registry: layer.registry,
        admin_token,
        webhook_allow,
        archive_unused_days: layer.archive_unused_days,
        hold_automation: layer.hold_automation.unwrap_or(false),
        providers,
        provider: layer.provider,
        intended_purpose: layer.intended_purpose,
        trust_clock: layer.trust_clock.unwrap_or(false),
    })
}

/// The settings of a replica.
///
/// # Errors
/// The settings are inconsistent; the message says what to do.
pub fn replica(layer: Layer, environment: &BTreeMap<String, String>) -> Result<ReplicaSettings, ConfigError> {
    let mut node = node(&layer)?;
    if node.door.sign_in_header.is_some() {
        return Err(ConfigError::SignInOnReplica);
    }
    let read_token = token(environment, &["BOOKHOLDER_READ_TOKEN"])?.map(|token| token.hash());
    if !node.listen.ip().is_loopback() && read_token.is_none() {
        if !layer.insecure.unwrap_or(false) {
            return Err(ConfigError::OpenReplica { listen: node.listen });
        }
        node.open_to_all = true;
    }
    if let Some(url) = layer.upstream.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return Err(ConfigError::Upstream { url: url.clone() });
    }
    let root_key = layer.root_key.map(|given| {
        given
            .trim()
            .parse::<RootKeyId>()
            .map_err(|error| ConfigError::RootKey { given: given.clone(), reason: error.to_string() })
    });
    Ok(ReplicaSettings {
        node,
        upstream: layer.upstream,
        upstream_token: token(environment, &["BOOKHOLDER_UPSTREAM_TOKEN", "BOOKHOLDER_TOKEN"])?,
        upstream_ca: layer.upstream_ca,
        root_key: root_key.transpose()?,
        inbox: layer.inbox,
        accept_expired: layer.accept_expired.unwrap_or(false),
        accept_fork: layer.accept_fork,
        ignore_clock: layer.ignore_clock.unwrap_or(false),
        hold: layer.hold.unwrap_or(false),
        pin: layer.pin,
        read_token,
        name: layer.replica_name,
    })
}

fn node(layer: &Layer) -> Result<Settings, ConfigError> {
    let tls = match (&layer.tls_cert, &layer.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::HalfTls { missing: "--tls-key" }),
        (None, Some(_)) => return Err(ConfigError::HalfTls { missing: "--tls-cert" }),
    };
    let listen = layer.listen.unwrap_or(LISTEN_DEFAULT);
    if !listen.ip().is_loopback() && tls.is_none() && !layer.insecure.unwrap_or(false) {
        return Err(ConfigError::Insecure { listen });
    }
    let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let public = |given: &String| {
        given.parse::<PublicUrl>().map_err(|reason| ConfigError::PublicUrl { given: given.clone(), reason })
    };
    let public_url = layer.public_url.as_ref().map(public).transpose()?;
    let hosts = words(&layer.allowed_hosts).into_iter().chain(public_url.as_ref().map(PublicUrl::authority));
    let header = |given: &String| {
        HeaderName::from_bytes(given.as_bytes()).map_err(|_| ConfigError::SignInHeader { given: given.clone() })
    };
    let sign_in_header = layer.sign_in_header.as_ref().map(header).transpose()?;
    if sign_in_header.is_some() && words(&layer.trusted_proxies).is_empty() {
        return Err(ConfigError::SignInWithoutProxy);
    }
    let door = Door {
        sign_in_header,
        hosts: Hosts::parse(hosts).map_err(|given| ConfigError::Host { given })?,
        proxies: Proxies::parse(words(&layer.trusted_proxies)).map_err(|given| ConfigError::Proxy { given })?,
        access_log: layer.access_log.unwrap_or(false),
        keep_alive_s: layer.keep_alive_s.unwrap_or(KEEP_ALIVE_S_DEFAULT),
        fast_path: layer.fast_path.unwrap_or(true),
        public_url: public_url.clone(),
    };
    if !KEEP_ALIVE_S.contains(&door.keep_alive_s) {
        return Err(ConfigError::KeepAlive { given: door.keep_alive_s });
    }
    let cache_mib = layer.cache_mib.unwrap_or(CACHE_MIB_DEFAULT);
    if !(1..=65_536).contains(&cache_mib) {
        return Err(ConfigError::Cache { given: cache_mib });
    }
    Ok(Settings {
        data: layer.data.clone().unwrap_or_else(|| DATA_DEFAULT.into()),
        listen,
        socket: layer.socket.clone(),
        tls,
        log_format: layer.log_format.unwrap_or_default(),
        open_reads: layer.open_reads.unwrap_or(true),
        open_to_all: false,
        door,
        public_url,
        cache_bytes: cache_mib * 1_024 * 1_024,
        ready_max_age_s: layer.ready_max_age_s,
        prices: layer.prices.as_deref().map(price_table).transpose()?,
        content: content_sample(layer)?,
        retention: retention(layer)?,
        prompt_metrics_max: match layer.prompt_metrics_max.unwrap_or(PROMPT_METRICS_DEFAULT) {
            most @ 0..=PROMPT_METRICS_MAX => most,
            given => return Err(ConfigError::PromptMetrics { given }),
        },
        spool_bytes_max: mib("telemetry_spool_mib", layer.telemetry_spool_mib, SPOOL_MIB_DEFAULT)?,
    })
}

/// Of which calls inputs and outputs are recorded.
fn content_sample(layer: &Layer) -> Result<ContentSample, ConfigError> {
    let per_mille = match layer.record_content_sample {
        None => ContentSample::ALL.per_mille(),
        Some(part) if (0.001..=1.0).contains(&part) => {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 1,000")]
            let per_mille = (part * 1_000.0).round() as u16;
            per_mille
        }
        Some(given) => return Err(ConfigError::ContentSample { given }),
    };
    let is_on = layer.record_content.unwrap_or(false);
    Ok(if is_on { ContentSample::of_per_mille(per_mille) } else { ContentSample::NONE })
}

fn retention(layer: &Layer) -> Result<Retention, ConfigError> {
    let default = Retention::default();
    let days = |name: &'static str, given: Option<u16>, default: u16| match given {
        None => Ok(default),
        Some(days) if (1..=TELEMETRY_DAYS_MAX).contains(&days) => Ok(days),
        Some(days) => Err(ConfigError::TelemetryDays { name, given: days }),
    };
    let events_mib = default.events_bytes / MIB;
    Ok(Retention {
        events_days: days("telemetry_events_days", layer.telemetry_events_days, default.events_days)?,
        bodies_days: days("telemetry_content_days", layer.telemetry_content_days, default.bodies_days)?,
        minutes_days: days("telemetry_minutes_days", layer.telemetry_minutes_days, default.minutes_days)?,
        hours_days: days("telemetry_hours_days", layer.telemetry_hours_days, default.hours_days)?,
        days_days: days("telemetry_days_days", layer.telemetry_days_days, default.days_days)?,
        events_bytes: mib("telemetry_events_mib", layer.telemetry_events_mib, events_mib)?,
    })
}

fn mib(name: &'static str, given: Option<u64>, default: u64) -> Result<u64, ConfigError> {
    match given.unwrap_or(default) {
        mib @ 1..=TELEMETRY_MIB_MAX => Ok(mib * MIB),
        given => Err(ConfigError::TelemetryMib { name, given }),
    }
}

/// Where to write telemetry as Parquet files.
fn parquet(layer: &Layer, environment: &BTreeMap<String, String>) -> Result<Option<ParquetOptions>, ConfigError> {
    let every_s = layer.parquet_every_s.unwrap_or(PARQUET_EVERY_S);
    if !PARQUET_S.contains(&every_s) {
        return Err(ConfigError::ParquetEvery { given: every_s });
    }
    let Some(given) = &layer.parquet else { return Ok(None) };
    let into = match given.to_str().filter(|url| url.starts_with(bucket::SCHEME)) {
        Some(url) => ParquetPlace::Bucket(BucketOptions::new(url, environment)?),
        None => ParquetPlace::Folder(given.clone()),
    };
    Ok(Some(ParquetOptions { into, every: Duration::from_secs(every_s) }))
}

/// Where to send telemetry on.
fn collector(layer: &Layer) -> Result<Option<CollectorOptions>, ConfigError> {
    let Some(url) = layer.forward_otlp.clone() else { return Ok(None) };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(ConfigError::ForwardOtlp { url });
    }
    let header = |given: &String| {
        let (name, value) = given.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let given = layer.forward_otlp_headers.iter().flatten();
    let headers = given.map(header).collect::<Option<_>>().ok_or(ConfigError::ForwardHeaders)?;
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| ConfigError::ReadCertificates { path: path.clone(), source })
    };
    Ok(Some(CollectorOptions { url, headers, trusted: layer.forward_otlp_ca.as_ref().map(read).transpose()? }))
}

/// Providers of models. Their keys are read when the node starts.
fn providers(tables: ProviderTables) -> Result<ProviderOptions, ConfigError> {
    let mut options = ProviderOptions {
        settings: Vec::new(),
        models: BTreeMap::new(),
        spending: Spending::default(),
        results_days: RESULTS_DAYS_DEFAULT,
        results_bytes: RESULTS_BYTES_DEFAULT,
    };
    for (name, ProviderTable { models, settings }) in tables {
        let wrong = |reason: String| ConfigError::Provider { name: name.clone(), reason };
        let mut table = settings;
        table.insert("name".to_owned(), name.clone().into());
        let settings: ProviderSettings =
            table.try_into().map_err(|error: toml::de::Error| wrong(plain_reason(error.message(), "a table")))?;
        // Everything but the key, which only the node needs.
        Providers::new(vec![settings.clone()], |_| Some("key".to_owned())).map_err(|error| wrong(error.to_string()))?;
        options.settings.push(settings);
        options.models.insert(name, models);
    }
    Ok(options)
}

/// Reads a file of prices.
fn price_table(path: &Path) -> Result<PriceTable, ConfigError> {
    let unreadable = |source| ConfigError::ReadPrices { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut json = Vec::new();
    // One byte more than a table may have, so that a longer file is refused as such.
    let limit = u64::try_from(TABLE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut json).map_err(unreadable)?;
    PriceTable::read(&json).map_err(|reason| ConfigError::Prices { path: path.to_owned(), reason })
}

/// The first of these variables that is set, as an access token.
fn token(environment: &BTreeMap<String, String>, names: &[&'static str]) -> Result<Option<AccessToken>, ConfigError> {
    let found = names
        .iter()
        .find_map(|name| environment.get(*name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value)));
    found
        .map(|(name, value)| {
            AccessToken::parse(value).map_err(|error| ConfigError::Token { name, reason: error.to_string() })
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: Result<impl std::fmt::Debug, ConfigError>, part: &str) {
        let message = settings.expect_err(part).to_string();
        assert!(message.contains(part), "{message}");
    }

    fn layer(text: &str) -> Layer {
        Layer::from_toml(text, Path::new("t")).expect(text)
    }

    #[test]
    fn defaults_are_safe_and_complete() {
        let settings = primary(Layer::default(), &BTreeMap::new()).expect("defaults fit");
        assert!(settings.node.listen.ip().is_loopback());
        assert!(settings.node.open_reads && !settings.node.open_to_all);
    }

    #[test]
    fn unsafe_settings_are_refused_without_insecure() {
        let none = BTreeMap::new();
        check(primary(layer("listen = '0.0.0.0:7070'"), &none), "--insecure");
        assert!(primary(layer("listen = '0.0.0.0:7070'\ninsecure = true"), &none).is_ok());
        check(primary(layer("tls_cert = 'a'"), &none), "--tls-key");
        check(replica(layer("listen = '0.0.0.0:7070'\ntls_cert = 'a'\ntls_key = 'b'"), &none), "BOOKHOLDER_READ_TOKEN");
        check(replica(layer("upstream = 'ftp://x'"), &none), "http://");
        check(replica(layer("root_key = 'nonsense'"), &none), "keys show");
        check(primary(layer("cache_mib = 0"), &none), "cache_mib");
        check(primary(layer("prompt_metrics_max = 10001"), &none), "invalid prompt_metrics_max 10001");
        check(primary(layer("keep_alive_s = 0"), &none), "invalid keep_alive_s 0");
        check(primary(layer("keep_alive_s = 86_401"), &none), "invalid keep_alive_s 86401");
        check(primary(layer("registry = 'Mine'"), &none), "invalid registry name");
        check(
            primary(layer("webhook_allow = ['10.0.0.1', 'inside']"), &none),
            "invalid network `10.0.0.1` in webhook_allow",
        );
        check(primary(layer("allowed_hosts = ['a.example', 'http://b']"), &none), "`http://b` in allowed_hosts");
        check(replica(layer("trusted_proxies = 'nginx'"), &none), "`nginx` in trusted_proxies");
        assert!(primary(layer("allowed_hosts = '*'\ntrusted_proxies = ['unix', '::1', '10.0.0.0/8']"), &none).is_ok());
        let proxied = |header: &str| layer(&format!("sign_in_header = '{header}'\ntrusted_proxies = '127.0.0.1'"));
        check(primary(proxied("X Email"), &none), "invalid sign_in_header `X Email`");
        check(primary(layer("sign_in_header = 'X-Forwarded-Email'"), &none), "trusted_proxies is empty");
        check(replica(proxied("X-Forwarded-Email"), &none), "only works on a primary");
        assert!(primary(proxied("X-Forwarded-Email"), &none).is_ok());
        check(primary(layer("public_url = 'prompts.example.com'"), &none), "invalid public_url `prompts.example.com`");
        check(primary(layer("telemetry_events_days = 0"), &none), "invalid telemetry_events_days 0");
        check(primary(layer("telemetry_events_mib = 0"), &none), "invalid telemetry_events_mib 0");
        check(primary(layer("evaluation_mib = 0"), &none), "invalid evaluation_mib 0");
        check(primary(layer("record_content_sample = 2.0"), &none), "invalid record_content_sample 2");
        check(primary(layer("archive_unused_days = 183"), &none), "invalid archive_unused_days 183");
        assert!(primary(layer("archive_unused_days = 184"), &none).is_ok());
        assert!(primary(layer("webhook_allow = '10.0.0.0/8,::1/128'"), &none).is_ok());
        check(primary(layer("watch = '/nowhere/at/all'"), &none), "not a directory");
        let short = BTreeMap::from([("BOOKHOLDER_ADMIN_TOKEN".to_owned(), "short".to_owned())]);
        check(primary(Layer::default(), &short), "BOOKHOLDER_ADMIN_TOKEN");
    }

    #[test]
    fn trailing_newline_of_a_token_is_ignored_in_every_variable() {
        for end in ["", "\n", "\r\n"] {
            let said = |name: &str| BTreeMap::from([(name.to_owned(), format!("bh_0123456789abcdef{end}"))]);
            let admin = primary(Layer::default(), &said("BOOKHOLDER_ADMIN_TOKEN")).expect("a token").admin_token;
            let upstream = |name| replica(Layer::default(), &said(name)).expect("a token").upstream_token;
            for token in [admin, upstream("BOOKHOLDER_UPSTREAM_TOKEN"), upstream("BOOKHOLDER_TOKEN")] {
                assert_eq!(token.expect("one").reveal(), "bh_0123456789abcdef", "{end:?}");
            }
            let read = replica(Layer::default(), &said("BOOKHOLDER_READ_TOKEN")).expect("a token").read_token;
            assert_eq!(read, Some(AccessToken::parse("bh_0123456789abcdef").expect("a token").hash()), "{end:?}");
        }
        for wrong in ["\n\n", " ", "\t", "\nbh_0123456789abcdef"] {
            let said = BTreeMap::from([("BOOKHOLDER_ADMIN_TOKEN".to_owned(), format!("bh_0123456789abcdef{wrong}"))]);
            check(primary(Layer::default(), &said), "BOOKHOLDER_ADMIN_TOKEN");
        }
    }

    #[test]
    fn telemetry_settings_say_what_is_kept_and_recorded() {
        let read = |text: &str| primary(layer(text), &BTreeMap::new()).expect(text).node;
        assert_eq!(read("").retention, Retention::default());
        assert_eq!(read("record_content_sample = 0.1").content, ContentSample::NONE, "recording is off");
        assert_eq!(read("record_content = true").content, ContentSample::ALL);
        let node = read(
            "record_content = true\nrecord_content_sample = 0.1\ntelemetry_hours_days = 7\ntelemetry_spool_mib = 2",
        );
        assert_eq!(node.content, ContentSample::of_per_mille(100));
        assert_eq!((node.retention.hours_days, node.retention.events_days, node.spool_bytes_max), (7, 30, 2 * MIB));
        let environment = BTreeMap::from([("BOOKHOLDER_RECORD_CONTENT_SAMPLE".to_owned(), "1".to_owned())]);
        let merged = merge(Layer::default(), Some(Path::new("/dev/null")), &environment).expect("fits");
        assert_eq!(merged.record_content_sample, Some(1.0));
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let environment = BTreeMap::from([("BOOKHOLDER_CACHE_MIB".to_owned(), "2".to_owned())]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "cache_mib = 3\nopen_reads = false\n").expect("written");
        let merged = merge(Layer::default(), Some(file.path()), &environment).expect("fits");
        assert_eq!((merged.cache_mib, merged.open_reads), (Some(2), Some(false)));
        let flags = Layer { cache_mib: Some(1), ..Layer::default() };
        let merged = merge(flags, Some(file.path()), &environment).expect("fits");
        assert_eq!(merged.cache_mib, Some(1));
        check(merge(Layer::default(), Some(Path::new("/nowhere.toml")), &environment), "/nowhere.toml");
    }
}
