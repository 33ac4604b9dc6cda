//! `serve`: runs a primary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Verdict;
use super::args::node::{ListenArgs, ServeArgs};
use super::error::CliError;
use super::output::{ACCENT, DIM, Output, STRONG, WARN, paint};
use crate::clock::SystemClock;
use crate::config::{self, Layer};
use crate::logging;
use crate::server::{EndSignals, NewRegistry, StartError, run_until_told, start_primary_announcing};

/// How long threads may take to end when all is done.
const STUCK_MAX: Duration = Duration::from_secs(2);

/// Runs a primary until it is told to stop.
pub fn run(args: ServeArgs, output: Output) -> Result<Verdict, CliError> {
    let (layer, file) = layer(args.listen);
    let webhook_allow = given(args.webhook_allow);
    let flags = Layer {
        watch: args.watch,
        registry: args.registry,
        webhook_allow,
        archive_unused_days: args.archive_unused_days,
        trust_clock: args.trust_clock.then_some(true),
        ..layer
    };
    let environment = environment();
    let settings =
        config::merge(flags, file.as_deref(), &environment).and_then(|layer| config::primary(layer, &environment))?;
    logging::start(settings.node.log_format == config::LogFormat::Json);
    run_to_end(async move {
        let signals = EndSignals::take()?;
        let announce = move |new: &NewRegistry<'_>| greet(output, new);
        let node = start_primary_announcing(settings, Arc::new(SystemClock::new()), announce).await?;
        run_until_told(node, signals).await;
        Ok(Verdict::Done)
    })
}

/// Shows a new registry's access token, once, and what a replica needs.
fn greet(output: Output, new: &NewRegistry<'_>) {
    output.note(format!("\n{}", paint(STRONG, "A new registry.")));
    output.note(format!(
        "  access token  {}   {}",
        paint(ACCENT, new.token.reveal()),
        paint(WARN, "shown only now: keep it")
    ));
    output.note(format!("  root key      {}", paint(ACCENT, new.root_key)));
    output.note(paint(
        DIM,
        format!("\n  export BOOKHOLDER_SERVER={} BOOKHOLDER_TOKEN=…\n  bookholder publish hello --file hello.prompt -m 'first words' --label production\n", new.url),
    ));
}

/// What the flags of every node say, and which file to read besides.
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
        log_format: args.log_format,
        ..Layer::default()
    };
    (layer, args.config)
}

/// A list that a flag gave, unless it gave none.
fn given(words: Vec<String>) -> Option<Vec<String>> {
    (!words.is_empty()).then_some(words)
}

/// The environment, as far as it is Unicode.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Runs to the end on a runtime of its own. A thread that is stuck in a file system that does not answer keeps the
/// process no longer than [`STUCK_MAX`].
pub(super) fn run_to_end<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(STUCK_MAX);
    done
}

/// The runtime of a node: a thread a core.
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
        Self::usage(error.to_string()).details(causes.map(ToString::to_string).collect())
    }
}
