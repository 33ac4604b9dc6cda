//! `serve`: runs a primary.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Verdict;
use super::args::node::{ListenArgs, ServeArgs};
use super::error::CliError;
use super::output::{ACCENT, DIM, Output, STRONG, WARN, paint};
use crate::clock::SystemClock;
use crate::config::{self, Layer};
use crate::logging;
use crate::server::{EndSignals, NewRegistry, PAGES, StartError, run_until_told, start_primary_announcing};

/// How long threads can take to end.
const STUCK_MAX: Duration = Duration::from_secs(2);

/// Runs a primary until it is told to stop.
pub fn run(args: ServeArgs, output: Output) -> Result<Verdict, CliError> {
    let (layer, file) = layer(args.listen);
    let webhook_allow = given(args.webhook_allow);
    let flags = Layer {
        watch: args.watch,
        parquet: args.parquet,
        parquet_every_s: args.parquet_every_s,
        forward_otlp: args.forward_otlp,
        forward_otlp_ca: args.forward_otlp_ca,
        watch_quiet_ms: args.watch_quiet_ms,
        registry: args.registry,
        webhook_allow,
        archive_unused_days: args.archive_unused_days,
        hold_automation: args.hold_automation.then_some(true),
        trust_clock: args.trust_clock.then_some(true),
        ..layer
    };
    let settings = settings(flags, file.as_deref(), config::primary)?;
    let json = settings.node.log_format == config::LogFormat::Json;
    run_node(json, async move {
        let signals = EndSignals::take()?;
        let for_people = !json && std::io::stderr().is_terminal();
        let announce =
            move |new: &NewRegistry<'_>| if for_people { print_first_start(output, new) } else { report(new) };
        let node = start_primary_announcing(settings, Arc::new(SystemClock::new()), announce).await?;
        run_until_told(node, signals).await;
        Ok(Verdict::Done)
    })
}

/// Shows on a terminal what is needed for a new registry: besides its file, the only place with the token.
fn print_first_start(output: Output, new: &NewRegistry<'_>) {
    let file = std::path::absolute(new.token_file).unwrap_or_else(|_| new.token_file.to_owned());
    let file = file.display();
    output.note(format!("\n{}", paint(STRONG, "Created a new registry.")));
    let never = paint(DIM, "never expires; replace it with `bookholder token rotate admin`");
    output.note(format!("  admin token   {}   {never}", paint(ACCENT, new.token.reveal())));
    output.note(format!(
        "  saved in      {file}   {}",
        paint(WARN, "delete this file after saving the token in a safe place")
    ));
    output.note(format!("  root key      {}", paint(ACCENT, new.root_key)));
    output.note(format!("  pages         {}", paint(ACCENT, format!("{}{PAGES}", new.url))));
    let export = format!("export BOOKHOLDER_SERVER={} BOOKHOLDER_TOKEN=\"$(cat {file})\"", new.url);
    let first = "echo 'Hello {{name}}' | bookholder publish hello --file - -m 'First version' --label production";
    output.note(paint(DIM, format!("\n  In another terminal:\n  {export}\n  {first}\n")));
}

/// Logs where the admin token of a new registry is, without the token, because others read logs.
fn report(new: &NewRegistry<'_>) {
    tracing::info!(
        admin_token_file = %new.token_file.display(),
        root_key = %new.root_key,
        "created a new registry; its admin token is in a file only its owner can read; delete the file after saving the token in a safe place"
    );
}

/// The flags of every node, and the settings file.
pub(super) fn layer(args: ListenArgs) -> (Layer, Option<PathBuf>) {
    let layer = Layer {
        data: args.data,
        listen: args.listen,
        socket: args.socket,
        tls_cert: args.tls_cert,
        tls_key: args.tls_key,
        insecure: args.insecure.then_some(true),
        allowed_hosts: given(args.allowed_hosts),
        trusted_proxies: given(args.trusted_proxies),
        public_url: args.public_url,
        log_format: args.log_format,
        prices: args.prices,
        record_content: args.record_content.then_some(true),
        record_content_sample: args.record_content_sample,
        ..Layer::default()
    };
    (layer, args.config)
}

/// A list from a flag, if it was given.
fn given(words: Vec<String>) -> Option<Vec<String>> {
    (!words.is_empty()).then_some(words)
}

/// The environment variables that are valid Unicode.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Runs a node. With JSON logs, a failed start is a log line too.
pub(super) fn run_node(json: bool, work: impl Future<Output = Result<Verdict, CliError>>) -> Result<Verdict, CliError> {
    logging::start(json);
    run_to_end(work).map_err(|error| failed(json, error))
}

/// Reads the settings of a node. With JSON logs, errors in the settings are log lines too, if the format is known by
/// then.
pub(super) fn settings<T>(
    flags: Layer,
    file: Option<&Path>,
    of: impl FnOnce(Layer, &BTreeMap<String, String>) -> Result<T, config::ConfigError>,
) -> Result<T, CliError> {
    let environment = environment();
    let is_json = |layer: &Layer| layer.log_format == Some(config::LogFormat::Json);
    let mut json = is_json(&flags) || environment.get("BOOKHOLDER_LOG_FORMAT").is_some_and(|format| format == "json");
    let merged = config::merge(flags, file, &environment).and_then(|layer| {
        json = is_json(&layer);
        of(layer, &environment)
    });
    merged.map_err(|error| {
        if json {
            logging::start(true);
        }
        failed(json, error.into())
    })
}

/// Why a node did not start: logged if logs are JSON, otherwise returned to the command line.
fn failed(json: bool, error: CliError) -> CliError {
    if !json {
        return error;
    }
    let details = (!error.details.is_empty()).then(|| error.details.join("; "));
    tracing::error!(details, hint = error.hint, "{}", error.message);
    CliError { logged: true, ..error }
}

/// Runs on its own runtime. A thread that is stuck in a hanging file system delays the exit by at most [`STUCK_MAX`].
pub(super) fn run_to_end<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(STUCK_MAX);
    done
}

/// The runtime of a node: one thread per CPU core.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("bookholder").build()?)
}

impl From<config::ConfigError> for CliError {
    fn from(error: config::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let message = error.to_string();
        // A cause that the message already quotes is not repeated.
        let unsaid = causes.map(ToString::to_string).filter(|cause| !message.contains(cause.as_str()));
        let details = unsaid.collect();
        Self::usage(message).details(details)
    }
}
