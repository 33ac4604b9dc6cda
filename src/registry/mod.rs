//! The write path of a primary: one function per command.
//!
//! Every entry point (HTTP, command line, folder watch, import) comes through here, and each command follows the same
//! steps: authorize, validate, plan against the state inside the writer's transaction, commit once with one audit
//! entry. A denied command changes nothing but the audit log, which records it.

mod about;
pub mod access;
mod admins;
mod alerts;
mod approvals;
mod archive;
mod auth_method;
pub mod bootstrap;
mod chains;
mod change_requests;
mod clearance;
mod command;
mod commit;
mod contributors;
mod deploy;
pub mod directory;
mod downstream;
mod draft_usage;
mod drafts;
pub mod epochs;
pub mod error;
mod gates;
mod human_labels;
mod import;
mod label_move;
mod move_policy;
pub mod new_epoch;
pub mod outbox;
mod policies;
mod preview;
mod prices;
mod principals;
mod promote;
mod publish;
mod remove;
pub mod repair_dates;
mod retire;
mod rollback;
mod rule_sets;
mod sessions;
mod sign_in_links;
mod sources;
mod stored_requests;
mod suites;
mod tokens;
mod uses;
mod webhook_settings;
mod webhooks;
pub mod why;
mod write_quota;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::sync::watch;

pub use access::{Actor, AuthContext};
pub use auth_method::AuthMethod;
pub use chains::Basis;
pub use error::RegistryError;
pub use sessions::{SessionHash, SignedInBy, WebSession};
pub use sources::FileOutcome;

use self::access::{AuthState, PreparedClassifier};
use self::command::Refusals;
use self::write_quota::WriteQuota;
use crate::clock::Clock;
use crate::model::alert::AlertReading;
use crate::model::audit::{AuditEntry, Command};
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::handle::{HANDLE_BYTES_MAX, is_handle};
use crate::model::name::PromptName;
use crate::model::prompt::Prompt;
use crate::model::public_url::PublicUrl;
use crate::model::time::Timestamp;
use crate::resolve::usage::Usage;
use crate::signing::primary_clock::PrimaryClock;
use crate::store::meta;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;
use crate::store::{Store, StoreError};

/// How long deletions are kept for replicas, in milliseconds: 30 days. A replica that was away for longer downloads the
/// whole state.
const TOMBSTONE_RETENTION_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// The governed write path; clones share it.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<PrimaryClock>,
    known: ArcSwap<AuthState>,
    /// Compiled in advance for the next change of the rule sets.
    prepared: Mutex<Option<PreparedClassifier>>,
    /// Notified whenever `known` changed.
    changed: watch::Sender<u64>,
    refusals: Refusals,
    written: Arc<WriteQuota>,
    usage: Usage,
    /// Networks that webhooks can reach besides public addresses.
    webhook_networks: OnceLock<Vec<IpNet>>,
    /// The URL of the pages, if the settings name one.
    public_url: OnceLock<PublicUrl>,
    /// Set where this node deploys no change request by itself.
    automation_held: OnceLock<()>,
    /// The newest values of alerts, by name.
    readings: Mutex<BTreeMap<String, AlertReading>>,
}

impl Registry {
    /// Opens the write path over a store that [`bootstrap`] has prepared.
    pub fn open(store: Store, clock: Arc<PrimaryClock>) -> Result<Self, StoreError> {
        let known = ArcSwap::from_pointee(AuthState::read(&store, None, None)?);
        let (refusals, usage) = (Refusals::default(), Usage::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let (prepared, changed) = (Mutex::new(None), watch::channel(0).0);
        let (webhook_networks, written) =
            (OnceLock::new(), Arc::new(WriteQuota::new(Arc::clone(&clock) as Arc<dyn Clock>)));
        let inner = Inner {
            store,
            clock,
            known,
            prepared,
            changed,
            refusals,
            written,
            usage,
            webhook_networks,
            public_url: OnceLock::new(),
            automation_held: OnceLock::new(),
            readings: Mutex::default(),
        };
        let registry = Self(Arc::new(inner));
        let learner = Arc::downgrade(&registry.0);
        registry.0.store.observe(Box::new(move |_| {
            if let Some(inner) = learner.upgrade() {
                Self(inner).reload_auth();
            }
        }));
        Ok(registry)
    }

    /// Drops deletions that every replica has had time to learn.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn forget_old_deletions(&self) -> Result<u64, RegistryError> {
        let before = Timestamp::from_ms(self.commit_time()?.ms() - TOMBSTONE_RETENTION_MS);
        Ok(self.0.store.write(move |txn| txn.purge_tombstones(before)).await?)
    }

    /// Stores the latest time if the stored one is old: a registry may be idle, and its clock is compared with it.
    pub async fn keep_latest_time(&self) -> Result<(), StoreError> {
        if self.0.clock.is_kept_long_ago(&self.0.store)?
            && let Some(latest_ms) = self.0.clock.latest_ms()
        {
            self.0.store.write(move |txn| txn.put_meta(&meta::LATEST_TIME_MS, &latest_ms)).await?;
        }
        Ok(())
    }

    /// Makes a commit without changes if signatures went back with the clock: replicas recognize a new signature for
    /// one position by its later time, so those of an idle registry would look like replays until the clock caught up.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn record_set_back_clock(&self) -> Result<(), RegistryError> {
        if !self.0.clock.is_set_back() {
            return Ok(());
        }
        let (now, latest) = (self.commit_time()?, self.0.clock.latest());
        let message = format!("the clock of this machine was set back from {latest} to {now}");
        let entry = AuditEntry { message, ..epochs::by_itself(Command::ClockSetBack, "clock") };
        self.0.store.write(move |txn| txn.commit(now, Vec::new(), entry)).await?;
        self.0.clock.set_back_is_committed();
        Ok(())
    }

    /// The time for a commit that begins now.
    fn commit_time(&self) -> Result<Timestamp, RegistryError> {
        Ok(Timestamp::from_ms(self.0.clock.commit_ms()?))
    }
}

/// How far the time of a change may be before the last change of its prompt and still be moved up to it, in
/// milliseconds: requests that arrive together can be committed out of order.
const ORDER_SLACK_MS: i64 = 1_000;

/// The time of a change to a prompt that last changed at `last`. After a larger step back of the clock it is the
/// current time anyway: a change dated in the future would not be found by a query about now.
fn time_of_change(now: Timestamp, last: Timestamp) -> Timestamp {
    if last.ms().saturating_sub(now.ms()) <= ORDER_SLACK_MS { now.max(last) } else { now }
}

/// Refuses a name of what is not a prompt, if it is not valid.
fn check_handle(what: &'static str, name: &str) -> Result<(), RegistryError> {
    if is_handle(name) {
        return Ok(());
    }
    Err(RegistryError::Handle { what, name: name.chars().take(HANDLE_BYTES_MAX).collect() })
}

/// Validates the message of a command, and returns it trimmed.
fn check_message(message: &str) -> Result<String, RegistryError> {
    let message = message.trim();
    let characters = message.chars().count();
    match characters {
        0 => Err(RegistryError::MessageMissing),
        _ if characters > MESSAGE_CHARACTERS_MAX => Err(RegistryError::MessageTooLong { characters }),
        _ => Ok(message.to_owned()),
    }
}

/// The prompt, which must exist and not be removed.
fn live_prompt(txn: &WriteTxn<'_>, name: &PromptName) -> Result<Prompt, RegistryError> {
    let prompt = txn.prompt(name)?.ok_or_else(|| RegistryError::PromptNotFound { name: name.clone() })?;
    match prompt.removed {
        Some(at) => Err(RegistryError::PromptRemoved { name: name.clone(), at }),
        None => Ok(prompt),
    }
}
