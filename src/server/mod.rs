//! The composition root: opens, wires, starts and stops a node. Rules and parsing are elsewhere.

pub mod ceremony;
mod decisions;
mod evaluations;
mod jobs;
pub mod offline;
mod opening;
mod primary;
pub mod repair;
mod replica;
pub mod restore;
mod running;
mod self_audit;
mod supervisor;
mod telemetry;
pub mod telemetry_export;
mod tls;
mod transitions;

pub use primary::{NewRegistry, start_primary, start_primary_announcing};
pub use replica::start_replica;
pub use running::{PAGES, Running, StartError};
pub use supervisor::{EndSignals, run_until_told};

/// A replica inside an application, without a separate process.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
///
/// use bookholder::clock::SystemClock;
/// use bookholder::config::{self, Layer};
/// use bookholder::resolve::Query;
/// use bookholder::server::start_replica;
///
/// let layer = Layer {
///     data: Some("replica-data".into()),
///     listen: Some("127.0.0.1:0".parse()?),
///     upstream: Some("http://127.0.0.1:7070".to_owned()),
///     root_key: Some("bk1-…".to_owned()),
///     ..Layer::default()
/// };
/// let settings = config::replica(layer, &BTreeMap::new())?;
/// let replica = start_replica(settings, Arc::new(SystemClock::new())).await?;
///
/// // Microseconds, with or without a network:
/// let answer = replica.resolver.resolve("support/agent@production", &Query::default())?;
/// println!("{}", answer.stamp);
///
/// replica.stop().await;
/// # Ok(())
/// # }
/// ```
#[cfg(doc)]
pub mod in_process {}
