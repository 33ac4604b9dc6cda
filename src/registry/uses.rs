//! Usage of versions by callers: a coarse record, written off the hot path.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{Registry, RegistryError};
use crate::api::govern::VersionUse;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::resolve::CatalogueView;
use crate::resolve::usage::Usage;
use crate::store::StoreError;
use crate::store::documents::{Documents, LastUse, Scan, UseKey, is_key};
use crate::store::query::Queries;

/// Resolution of the record: an hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// How far back recent use reaches, in hours: the last day, and the hour in which it began.
const LATELY_HOURS: u64 = 25;

/// Number of callers of one version that are stored by name, and the name of all others: names also come from replicas,
/// which can report any number of them.
const USERS_MAX: usize = 200;
const OTHERS: &str = "others";

impl Registry {
    /// Where this node buffers uses.
    pub fn usage(&self) -> Usage {
        self.0.usage.clone()
    }

    /// Callers of a version in the last day: sorted names of access tokens.
    ///
    /// # Errors
    /// The prompt cannot be read, or the store fails.
    pub fn used_by(
        &self,
        view: &CatalogueView,
        name: &PromptName,
        version: u64,
    ) -> Result<BTreeSet<String>, RegistryError> {
        view.scope().check(name.as_str())?;
        Ok(used_lately(view.txn(), name, version, Timestamp::from_ms(self.0.clock.now_ms()))?)
    }

    /// Writes the uses that are buffered in memory; they stay there until they are durable.
    pub async fn keep_noted_uses(&self) -> Result<(), StoreError> {
        let pending = self.0.usage.pending();
        self.keep_uses(pending.clone()).await?;
        self.0.usage.forget(&pending);
        Ok(())
    }

    /// Stores the uses that were noted while serving.
    pub async fn keep_uses(&self, uses: Vec<VersionUse>) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let latest = hour(Timestamp::from_ms(self.0.clock.now_ms()));
        self.0
            .store
            .write(move |txn| {
                for one in uses {
                    let mut key = UseKey { prompt: one.name.as_str(), version: one.version, by: &one.by };
                    // Reports of others are validated: no use of a version that does not exist, or in the future.
                    let known = is_key(key) && txn.version(&one.name, one.version)?.is_some();
                    if !known || one.hour > latest {
                        continue;
                    }
                    if !txn.has::<LastUse>(key)? {
                        let mut users = 0;
                        visit(txn, &one.name, one.version, &mut |_, _| users += 1)?;
                        if users >= USERS_MAX {
                            key.by = OTHERS;
                        }
                    }
                    if txn.get::<LastUse>(key)?.is_none_or(|LastUse(hour)| hour < one.hour) {
                        txn.put(key, &LastUse(one.hour))?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Callers of a version in the last day.
pub(super) fn used_lately(
    txn: &impl Documents,
    name: &PromptName,
    version: u64,
    now: Timestamp,
) -> Result<BTreeSet<String>, StoreError> {
    let since = hour(now).saturating_sub(LATELY_HOURS);
    let mut by = BTreeSet::new();
    visit(txn, name, version, &mut |who, hour| {
        if hour > since {
            by.insert(who.to_owned());
        }
    })?;
    Ok(by)
}

/// The last hour in which a version was used.
pub(super) fn last_use(txn: &impl Documents, name: &PromptName, version: u64) -> Result<Option<u64>, StoreError> {
    let mut last = None;
    visit(txn, name, version, &mut |_, hour| last = last.max(Some(hour)))?;
    Ok(last)
}

fn visit(
    txn: &impl Documents,
    name: &PromptName,
    version: u64,
    visitor: &mut dyn FnMut(&str, u64),
) -> Result<(), StoreError> {
    txn.visit_documents(&Scan::<LastUse>::under((name.as_str(), version)), &mut |found| {
        let LastUse(hour) = found.read()?;
        visitor(found.key()?.by, hour);
        Ok(ControlFlow::Continue(()))
    })
}

/// Hours since 1970.
pub(super) fn hour(now: Timestamp) -> u64 {
    u64::try_from(now.ms().div_euclid(HOUR_MS)).unwrap_or_default()
}
