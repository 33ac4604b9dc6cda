//! One layer of settings: flags, the environment, or the file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;
use crate::json::plain_reason;
use crate::model::position::Position;

/// The prefix of every setting's environment variable.
const PREFIX: &str = "BOOKHOLDER_";
/// Variables that are read elsewhere: by client verbs, and for secrets.
const ELSEWHERE: [&str; 6] = ["SERVER", "TOKEN", "CA_FILE", "ADMIN_TOKEN", "UPSTREAM_TOKEN", "READ_TOKEN"];

/// Protocols of a Kubernetes Service, as its variables name them.
const SERVICE_PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings, all optional.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The data directory.
    pub data: Option<PathBuf>,
    /// The listening address: an address and a port, or only a port of this machine.
    #[serde(default, deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// A Unix socket to listen on as well.
    pub socket: Option<PathBuf>,
    /// The certificate chain, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether to listen beyond this machine without TLS or without access tokens.
    pub insecure: Option<bool>,
    /// The format of log lines.
    pub log_format: Option<LogFormat>,
    /// Whether callers on this machine can read without an access token.
    pub open_reads: Option<bool>,
    /// Own host names besides those of this machine; a list, or a text with commas.
    #[serde(default, deserialize_with = "words")]
    pub allowed_hosts: Option<Vec<String>>,
    /// Trusted proxies; a list, or a text with commas.
    #[serde(default, deserialize_with = "words")]
    pub trusted_proxies: Option<Vec<String>>,
    /// The header in which trusted proxies name the signed-in person.
    pub sign_in_header: Option<String>,
    /// The URL of the pages.
    pub public_url: Option<String>,
    /// Whether each request is logged.
    pub access_log: Option<bool>,
    /// Idle timeout of a connection between two requests, in seconds.
    pub keep_alive_s: Option<u64>,
    /// Whether plain requests to resolve are answered before the HTTP library sees them.
    pub fast_path: Option<bool>,
    /// Memory for cached answers, in MiB.
    pub cache_mib: Option<u64>,
    /// Maximum age for readiness, in seconds since the last verified contact.
    pub ready_max_age_s: Option<u64>,
    /// A folder of prompt files to publish from.
    pub watch: Option<PathBuf>,
    /// How long a file of that folder must be unchanged before it is published, in milliseconds.
    pub watch_quiet_ms: Option<u64>,
    /// The name of a new registry.
    pub registry: Option<String>,
    /// The node to follow.
    pub upstream: Option<String>,
    /// The trusted root.
    pub root_key: Option<String>,
    /// The inbox for bundles.
    pub inbox: Option<PathBuf>,
    /// Certificates to trust for the upstream, as PEM.
    pub upstream_ca: Option<PathBuf>,
    /// Whether an expired checkpoint is accepted as the first state.
    pub accept_expired: Option<bool>,
    /// The position whose history is given up for another signed one.
    pub accept_fork: Option<Position>,
    /// Whether to skip the comparison of the first checkpoint with the clock of this machine.
    pub ignore_clock: Option<bool>,
    /// Whether the operator confirms the clock of a primary.
    pub trust_clock: Option<bool>,
    /// Whether to stay at the position of the data.
    pub hold: Option<bool>,
    /// A position not to go beyond.
    pub pin: Option<Position>,
    /// The ID of this replica in reports.
    pub replica_name: Option<String>,
    /// Networks that webhooks can reach although they are not public; a list, or a text with commas.
    #[serde(default, deserialize_with = "words")]
    pub webhook_allow: Option<Vec<String>>,
    /// Days without use after which old versions are archived, once a day; never if absent.
    pub archive_unused_days: Option<u32>,
    /// Whether a primary does nothing by itself: no automatic deployments, webhooks, expiry, archiving or folder watch.
    pub hold_automation: Option<bool>,
    /// A price table that overrides the embedded one, as JSON.
    pub prices: Option<PathBuf>,
    /// Whether what is sent to models and what they answer is recorded.
    pub record_content: Option<bool>,
    /// The part of calls whose inputs and outputs are recorded, from 0.001 to 1; all by default.
    pub record_content_sample: Option<f64>,
    /// How long single responses and scores are kept, in days.
    pub telemetry_events_days: Option<u16>,
    /// How long recorded inputs and outputs are kept, in days.
    pub telemetry_content_days: Option<u16>,
    /// How long counts by minute are kept, in days.
    pub telemetry_minutes_days: Option<u16>,
    /// How long counts by hour are kept, in days.
    pub telemetry_hours_days: Option<u16>,
    /// How long counts by day are kept, in days.
    pub telemetry_days_days: Option<u16>,
    /// Most space of single responses and scores with inputs and outputs, in MiB.
    pub telemetry_events_mib: Option<u64>,
    /// Most space of what a replica keeps for its primary, in MiB.
    pub telemetry_spool_mib: Option<u64>,
    /// Most prompts and labels with metrics of their own; none for 0.
    pub prompt_metrics_max: Option<usize>,
    /// A folder, or a bucket (`s3://BUCKET/PREFIX`), for recorded telemetry as Parquet files.
    pub parquet: Option<PathBuf>,
    /// How long events wait for others to be in a Parquet file with, in seconds.
    pub parquet_every_s: Option<u64>,
    /// The collector of OpenTelemetry that recorded telemetry is sent to.
    pub forward_otlp: Option<String>,
    /// Headers of these requests, as `NAME=VALUE`; a list, or a text with commas.
    #[serde(default, deserialize_with = "words")]
    pub forward_otlp_headers: Option<Vec<String>>,
    /// Certificates to trust for the collector, as PEM.
    pub forward_otlp_ca: Option<PathBuf>,
    /// Providers of models that evaluations can ask, by name; only in the settings file.
    pub providers: Option<ProviderTables>,
    /// Most US dollars that a person can spend in the playground on a day, 1 by default.
    pub playground_usd_per_day: Option<String>,
    /// How long the results of evaluations are kept, in days.
    pub evaluation_days: Option<u16>,
    /// Most space of results of evaluations and of answers that are used again, in MiB.
    pub evaluation_mib: Option<u64>,
    /// The provider of the system, with contact; for reports.
    pub provider: Option<String>,
    /// The intended purpose of the system; for reports.
    pub intended_purpose: Option<String>,
}

/// Providers of models, by name.
pub type ProviderTables = BTreeMap<String, ProviderTable>;

/// A provider of models, in a table `[providers.NAME]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ProviderTable {
    /// The models that versions and pages mean by their names; patterns such as `gpt-*` are possible.
    #[serde(default)]
    pub models: Vec<String>,
    /// Where it is, and how it is asked.
    #[serde(flatten)]
    pub settings: toml::Table,
}

macro_rules! over {
    ($upper:ident, $lower:ident: $($field:ident),* $(,)?) => {
        Layer { $($field: $upper.$field.or($lower.$field)),* }
    };
}

impl Layer {
    /// Merges this layer over another: its own values win.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        over!(self, lower: data, listen, socket, tls_cert, tls_key, insecure, log_format, open_reads, allowed_hosts,
            trusted_proxies, sign_in_header, public_url, access_log, keep_alive_s, fast_path, cache_mib, ready_max_age_s, watch, watch_quiet_ms,
            registry, upstream, root_key, inbox,
            upstream_ca, accept_expired, accept_fork, ignore_clock, trust_clock, hold, pin, replica_name, webhook_allow,
            archive_unused_days, hold_automation, prices, record_content, record_content_sample,
            telemetry_events_days, telemetry_content_days, telemetry_minutes_days, telemetry_hours_days,
            telemetry_days_days, telemetry_events_mib, telemetry_spool_mib, prompt_metrics_max, parquet, parquet_every_s,
            forward_otlp, forward_otlp_headers, forward_otlp_ca, providers, playground_usd_per_day, evaluation_days, evaluation_mib, provider, intended_purpose)
    }

    /// Parses a settings file.
    ///
    /// # Errors
    /// It is not TOML, or has an unknown key.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            reason: plain_reason(&error.to_string(), "a table"),
        })
    }

    /// Parses environment variables: `BOOKHOLDER_CACHE_MIB=64` is `cache_mib = 64`.
    ///
    /// # Errors
    /// A variable is unknown or its value is invalid.
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut layer = Self::default();
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(PREFIX).filter(|key| !ELSEWHERE.contains(key)) else { continue };
            let key = key.to_lowercase();
            // A value from a file or a mounted secret often ends with a line break.
            let value =
                value.strip_suffix('\n').map_or(value.as_str(), |value| value.strip_suffix('\r').unwrap_or(value));
            if describes_a_service(&key, value) {
                continue;
            }
            // A value as in a TOML file: bare if it is a number or boolean, else a string.
            let quoted = toml::Value::String(value.to_owned()).to_string();
            let parse = |value: &str| toml::from_str::<Self>(&format!("{key} = {value}"));
            let known = match parse(value).or_else(|_| parse(&quoted)) {
                Ok(one) => one,
                Err(error) if error.message().contains("unknown field") => {
                    return Err(ConfigError::UnknownVariable { name: name.clone() });
                }
                Err(error) => {
                    return Err(ConfigError::Variable {
                        name: name.clone(),
                        reason: plain_reason(error.message(), "a table"),
                    });
                }
            };
            layer = known.or(layer);
        }
        Ok(layer)
    }
}

/// Whether a variable describes a Kubernetes Service whose name begins with `bookholder`, as set in every container of
/// its namespace: `bookholder_port=tcp://10.0.0.1:7070`. The value is checked as well, so that an invented setting
/// (`BOOKHOLDER_PORT=7070`) is still rejected.
fn describes_a_service(key: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_url = |text: &str| text.split_once("://").is_some_and(|(scheme, _)| SERVICE_PROTOCOLS.contains(&scheme));
    // The name of the Service precedes these words; it is empty for the name `bookholder`.
    let after = |words: &str| {
        key.strip_prefix(words).or_else(|| key.rsplit_once(&format!("_{words}")).map(|(_service, rest)| rest))
    };
    let is_host = after("service_host") == Some("") && value.parse::<IpAddr>().is_ok();
    let is_number_of_port = after("service_port").is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    // `port_7070_tcp`, optionally followed by `_addr`, `_port` or `_proto`.
    let names_port = |key: &str| {
        let mut words = key.rsplit('_');
        let protocol = words.next().is_some_and(|word| SERVICE_PROTOCOLS.contains(&word));
        protocol && words.next().is_some_and(is_number) && words.next() == Some("port")
    };
    let is_part = ["_addr", "_port", "_proto"].iter().filter_map(|part| key.strip_suffix(part)).any(names_port);
    let is_address = (names_port(key) || key == "port" || key.ends_with("_port")) && is_url(value);
    is_host || (is_number_of_port && is_number(value)) || is_part || is_address
}

/// Parses a listening address: `10.0.0.7:7070`, `[::]:7070`, or on this machine `localhost:7070`, `:7070`, `7070`.
///
/// # Errors
/// It is not valid.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    let local = |port: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let whole = || text.parse::<SocketAddr>();
    let way = "use 127.0.0.1:7070, [::1]:7070, localhost:7070 or 7070";
    port.parse::<u16>().map(local).or_else(|_| whole()).map_err(|_| format!("invalid address `{text}`: {way}"))
}

/// Parses a listening address, which can be a number.
fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Port(u64),
        Text(String),
    }
    let text = match Said::deserialize(deserializer)? {
        Said::Port(port) => port.to_string(),
        Said::Text(text) => text,
    };
    listen_address(&text).map(Some).map_err(serde::de::Error::custom)
}

/// Parses a list of words, or a text with commas, as in an environment variable.
fn words<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of strings, or one string with commas")]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    Ok(Some(match Form::deserialize(deserializer)? {
        Form::List(list) => list,
        Form::Text(text) => text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn newline_after_an_environment_value_is_ignored() {
        for end in ["", "\n", "\r\n"] {
            let pairs =
                [("LISTEN", "127.0.0.1:0"), ("CACHE_MIB", "64"), ("TLS_CERT", "/etc/cert.pem"), ("REGISTRY", "mine")];
            let said = |pairs: &[(&str, &str)], end| {
                let pairs = pairs.iter().map(|(key, value)| (format!("BOOKHOLDER_{key}"), format!("{value}{end}")));
                Layer::from_environment(&pairs.collect()).expect("settings")
            };
            assert_eq!(said(&pairs, end), said(&pairs, ""), "{end:?}");
        }
    }

    #[test]
    fn every_file_setting_has_an_environment_variable() {
        let layer = Layer::from_environment(&environment(&[
            ("BOOKHOLDER_LISTEN", "127.0.0.1:0"),
            ("BOOKHOLDER_CACHE_MIB", "64"),
            ("BOOKHOLDER_INSECURE", "true"),
            ("BOOKHOLDER_DATA", "/var/lib/bookholder"),
            ("BOOKHOLDER_WEBHOOK_ALLOW", "10.0.0.0/8, fd00::/8"),
            ("BOOKHOLDER_ALLOWED_HOSTS", "prompts.example.com,10.0.0.7"),
            ("BOOKHOLDER_TRUSTED_PROXIES", "127.0.0.1"),
            ("BOOKHOLDER_ACCESS_LOG", "true"),
            ("BOOKHOLDER_KEEP_ALIVE_S", "75"),
            ("BOOKHOLDER_TOKEN", "not-a-setting-here"),
            ("HOME", "/root"),
        ]))
        .expect("known variables");
        let file = "listen = '127.0.0.1:0'\ncache_mib = 64\ninsecure = true\ndata = '/var/lib/bookholder'\n\
                    webhook_allow = ['10.0.0.0/8', 'fd00::/8']\nallowed_hosts = ['prompts.example.com', '10.0.0.7']\n\
                    trusted_proxies = ['127.0.0.1']\naccess_log = true\nkeep_alive_s = 75\n";
        assert_eq!(layer, Layer::from_toml(file, Path::new("bookholder.toml")).expect("known keys"));
    }

    #[test]
    fn kubernetes_service_variables_are_not_settings() {
        let pod = environment(&[
            ("BOOKHOLDER_SERVICE_HOST", "10.0.0.1"),
            ("BOOKHOLDER_SERVICE_PORT", "7070"),
            ("BOOKHOLDER_SERVICE_PORT_HTTP", "7070"),
            ("BOOKHOLDER_PORT", "tcp://10.0.0.1:7070"),
            ("BOOKHOLDER_PORT_7070_TCP", "tcp://10.0.0.1:7070"),
            ("BOOKHOLDER_PORT_7070_TCP_ADDR", "10.0.0.1"),
            ("BOOKHOLDER_PORT_7070_TCP_PORT", "7070"),
            ("BOOKHOLDER_PORT_7070_TCP_PROTO", "tcp"),
            ("BOOKHOLDER_SERVICE_SERVICE_HOST", "10.0.0.1"),
            ("BOOKHOLDER_SERVICE_PORT_53_UDP", "udp://10.0.0.1:53"),
            ("BOOKHOLDER_PRIMARY_SERVICE_HOST", "fd00::1"),
            ("BOOKHOLDER_PRIMARY_SERVICE_PORT_METRICS", "9090"),
            ("BOOKHOLDER_PRIMARY_PORT", "udp://[fd00::1]:53"),
            ("BOOKHOLDER_PRIMARY_PORT_53_UDP_ADDR", "fd00::1"),
            ("BOOKHOLDER_CACHE_MIB", "64"),
        ]);
        let layer = Layer::from_environment(&pod).expect("nothing is misspelt");
        assert_eq!(layer, Layer { cache_mib: Some(64), ..Layer::default() });
    }

    #[test]
    fn misspelt_settings_are_refused_although_they_resemble_variables_of_a_service() {
        for (name, value) in [
            ("BOOKHOLDER_PORT", "7070"),
            ("BOOKHOLDER_LISTEN_PORT", "7070"),
            ("BOOKHOLDER_SERVICE_HOST", "prompts.example.com"),
            ("BOOKHOLDER_SERVICE_HOSTS", "10.0.0.1"),
            ("BOOKHOLDER_SERVICE_PORTS", "7070"),
            ("BOOKHOLDER_PORT_TCP", "tcp://10.0.0.1:7070"),
            ("BOOKHOLDER_PORT_7070_TCP_NAME", "x"),
            ("BOOKHOLDER_SERVICE", "10.0.0.1"),
        ] {
            let error = Layer::from_environment(&environment(&[(name, value)])).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("misspelt"), "{error}");
        }
    }

    #[test]
    fn port_without_a_host_listens_on_loopback() {
        for (text, expected) in [
            ("7071", "127.0.0.1:7071"),
            (":7071", "127.0.0.1:7071"),
            ("localhost:7071", "127.0.0.1:7071"),
            ("0", "127.0.0.1:0"),
            ("0.0.0.0:7071", "0.0.0.0:7071"),
            ("[::]:7071", "[::]:7071"),
        ] {
            assert_eq!(listen_address(text).map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
            let file = Layer::from_toml(&format!("listen = '{text}'"), Path::new("t")).expect(text);
            let said = environment(&[("BOOKHOLDER_LISTEN", text)]);
            assert_eq!(Layer::from_environment(&said).expect(text), file, "{text}");
        }
        assert_eq!(
            Layer::from_toml("listen = 7071", Path::new("t")).expect("a number").listen,
            "127.0.0.1:7071".parse().ok()
        );
        for text in ["", ":", "localhost", "127.0.0.1", "70710", "host.example:7071", "::1:7071", "7071x", "-1"] {
            let said = listen_address(text).expect_err(text);
            assert!(said.contains(&format!("`{text}`")) && said.contains("localhost:7070"), "{said}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_by_name() {
        let check = |result: Result<Layer, ConfigError>, parts: &[&str]| {
            let message = result.expect_err("refused").to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        };
        check(Layer::from_toml("colour = 1", Path::new("b.toml")), &["b.toml", "colour"]);
        check(Layer::from_environment(&environment(&[("BOOKHOLDER_LISTN", "x")])), &["BOOKHOLDER_LISTN", "misspelt"]);
        check(Layer::from_environment(&environment(&[("BOOKHOLDER_CACHE_MIB", "much")])), &["BOOKHOLDER_CACHE_MIB"]);
        check(
            Layer::from_environment(&environment(&[("BOOKHOLDER_LISTEN", "70700")])),
            &["BOOKHOLDER_LISTEN", "`70700`"],
        );
    }
}
