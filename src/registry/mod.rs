//! The write path of a primary: one function a command.
//!
//! Every door — HTTP, command line, folder watch, import — comes through here, and each command
//! takes the same way: authorise, validate, plan against the state inside the writer's transaction,
//! commit once with one audit entry. A command that is refused has changed nothing.

pub mod access;
mod deploy;
pub mod error;
pub mod founding;
mod import;
mod publish;
mod remove;
mod retire;
pub mod seal;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

pub use access::Actor;
pub use error::RegistryError;

use self::access::Known;
use crate::clock::Clock;
use crate::model::name::PromptName;
use crate::model::prompt::Prompt;
use crate::model::time::Timestamp;
use crate::model::version::MESSAGE_CHARACTERS_MAX;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;
use crate::store::{Store, StoreError};

/// How long a deletion is remembered, in milliseconds: 30 days. A replica that was away for longer
/// fetches the whole state.
const TOMBSTONE_RETENTION_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// The governed write path; clones share it.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    known: ArcSwap<Known>,
    /// Held by whoever reads `known` anew.
    learning: Mutex<()>,
}

impl Registry {
    /// Opens the write path over a store that [`founding`] has prepared.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(store: Store, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let known = Known::read(&store)?;
        Ok(Self(Arc::new(Inner { store, clock, known: ArcSwap::from_pointee(known), learning: Mutex::new(()) })))
    }

    /// Forgets deletions that every replica has had time to learn of.
    ///
    /// # Errors
    /// The store fails.
    pub async fn forget_old_deletions(&self) -> Result<u64, StoreError> {
        let before = Timestamp::from_ms(self.0.clock.now_ms() - TOMBSTONE_RETENTION_MS);
        self.0.store.write(move |txn| txn.purge_tombstones(before)).await
    }

    /// Runs one command on the writer thread, with the time it happens at.
    async fn command<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut WriteTxn<'_>, Timestamp) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        self.0.store.write(move |txn| plan(txn, now)).await
    }
}

/// Checks the why of a command, and returns it without the space around it.
fn check_message(message: &str) -> Result<String, RegistryError> {
    let message = message.trim();
    let characters = message.chars().count();
    match characters {
        0 => Err(RegistryError::MessageMissing),
        _ if characters > MESSAGE_CHARACTERS_MAX => Err(RegistryError::MessageTooLong { characters }),
        _ => Ok(message.to_owned()),
    }
}

/// The prompt, which must be there and not removed.
fn live_prompt(txn: &WriteTxn<'_>, name: &PromptName) -> Result<Prompt, RegistryError> {
    let prompt = txn.prompt(name)?.ok_or_else(|| RegistryError::PromptNotFound { name: name.clone() })?;
    match prompt.removed {
        Some(at) => Err(RegistryError::PromptRemoved { name: name.clone(), at }),
        None => Ok(prompt),
    }
}
