//! Work on a stopped primary, for operators who are locked out or whose clock was wrong.

use std::path::Path;
use std::sync::Arc;

use super::offline::OfflineError;
use crate::api::govern::{TokenRequest, TokenView};
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::registry::bootstrap::{BootstrapOptions, reopen};
use crate::registry::repair_dates::{self, DateChange};
use crate::registry::{Actor, Registry};
use crate::signing::primary_clock::{ClockError, EARLIEST_MS};
use crate::store::{Options, Store};

/// The method in audit entries for work on this machine.
const METHOD: &str = "this machine";

/// Creates an access token in the registry of a data directory.
///
/// # Errors
/// A node runs on it, it has no registry, the request is rejected, or writing fails.
pub async fn create_token(
    data: &Path,
    request: TokenRequest,
    clock: Arc<dyn Clock>,
) -> Result<TokenView, OfflineError> {
    let data = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || -> Result<_, OfflineError> {
        let store = Store::open(&Options { directory: data, create: false })?;
        let signer = reopen(&store, &BootstrapOptions::default(), &clock)?.signer;
        Ok((Registry::open(store.clone(), Arc::clone(&signer.clock))?, store))
    });
    let (registry, store) = opened.await.map_err(std::io::Error::other)??;
    let made = registry.create_token(&Actor::operator(METHOD), request).await;
    store.close().await;
    Ok(made?)
}

/// Corrects dates from a wrong clock to match the order of their commits, in the registry of a data directory; a dry
/// run only lists them. The clock has to be right now.
///
/// # Errors
/// A node runs on it, it has no registry, the clock is implausible, or writing fails.
pub fn repair_dates(
    data: &Path,
    message: &str,
    dry_run: bool,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<DateChange>, OfflineError> {
    let now = Timestamp::from_ms(clock.now_ms());
    if now.ms() < EARLIEST_MS {
        return Err(crate::registry::epochs::BootstrapError::from(ClockError::Unset { now }).into());
    }
    let store = Store::open(&Options { directory: data.to_owned(), create: false })?;
    let founded = reopen(&store, &BootstrapOptions { trust_clock: true, ..BootstrapOptions::default() }, clock)?;
    let redated = if dry_run {
        repair_dates::plan(&store, now)?
    } else {
        repair_dates::apply(&store, &founded.signer.clock, message)?
    };
    store.close_blocking();
    Ok(redated)
}
