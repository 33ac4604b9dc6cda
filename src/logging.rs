//! Log lines: a sentence and fields, on standard error.
//!
//! Never logged: access tokens, keys, prompt texts, rendered messages, request bodies. Requests are counted by
//! `metrics`, not logged; `error` means that an operator must act.

use tracing_subscriber::EnvFilter;

/// The level when `RUST_LOG` does not say.
const LEVEL_DEFAULT: &str = "info";

/// Starts logging for this process, for people or as one JSON object a line; a second call changes nothing.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LEVEL_DEFAULT));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A line that cannot be written (the log's disk is full, its reader is gone) is lost. The default, reporting that
    // on standard error, would panic for the same reason and stop the node.
    let lines = lines.log_internal_errors(false);
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let started = if json { lines.json().flatten_event(true).try_init() } else { lines.with_ansi(colour).try_init() };
    if let Err(already_started) = started {
        tracing::debug!(%already_started, "the log level is unchanged");
    } else if json {
        // A panic must not break the stream of JSON lines.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let payload = panic.payload();
            let said = payload.downcast_ref::<&str>().copied();
            let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            tracing::error!(place, "panicked: {}", said.unwrap_or("no message"));
        }));
    }
}
