//! `replica`: runs a replica.

use std::sync::Arc;

use super::Verdict;
use super::args::node::ReplicaArgs;
use super::error::CliError;
use super::serve::{layer, run_node, settings};
use crate::clock::SystemClock;
use crate::config::{self, Layer};
use crate::server::{EndSignals, run_until_told, start_replica};

/// Runs a replica until it is told to stop.
pub fn run(args: ReplicaArgs) -> Result<Verdict, CliError> {
    let (layer, file) = layer(args.listen);
    let flags = Layer {
        upstream: args.upstream,
        root_key: args.root_key,
        inbox: args.inbox,
        upstream_ca: args.upstream_ca,
        accept_expired: args.accept_expired.then_some(true),
        accept_fork: args.accept_fork,
        ignore_clock: args.ignore_clock.then_some(true),
        hold: args.hold.then_some(true),
        ..layer
    };
    let settings = settings(flags, file.as_deref(), config::replica)?;
    run_node(settings.node.log_format == config::LogFormat::Json, async move {
        let signals = EndSignals::take()?;
        run_until_told(start_replica(settings, Arc::new(SystemClock::new())).await?, signals).await;
        Ok(Verdict::Done)
    })
}
