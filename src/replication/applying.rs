//! Applies what a replica accepted (data, or a note for its current state) to its store, then to its reported health.
//!
//! Data, note, position and contact are written in one transaction; resolving never waits for it.

use std::io::Read;
use std::time::Duration;

use super::engine::{Rejection, RequiredHistory, Source, Step};
use super::follower::Follower;
use super::health::DAMAGED;
use super::transport::ReceivedData;
use super::watermark;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::delta::{self, Counts, DeltaTarget, HeldHistory};
use crate::store::meta;
use crate::store::write::WriteTxn;
use crate::trust::accept::StateRank;

impl Follower {
    /// Stores a note for the current state and its position, in one small transaction.
    pub(super) async fn keep_note(&self, step: Step) -> Result<(), StoreError> {
        let rank = step.accepted.held().rank;
        let moves = self.store.committed().borrow().head.position != rank.position;
        let (note, contact_ms) = (step.note, step.contact.then(|| self.clock.now_ms()));
        let keep = move |txn: &mut WriteTxn<'_>| {
            if moves {
                txn.set_position(rank.position);
            }
            txn.put_meta(&meta::NOTE, &note)?;
            contact_ms.map_or(Ok(()), |now_ms| txn.put_meta(&meta::CONTACT_MS, &now_ms))
        };
        self.health.applied(&step.accepted, 0);
        self.store.write(keep).await?;
        if moves {
            self.mark(rank).await;
        }
        Ok(())
    }

    /// Raises the watermark, which the note in the database also contains.
    async fn mark(&self, rank: StateRank) {
        let directory = self.scratch.clone();
        let written = tokio::task::spawn_blocking(move || watermark::write(&directory, rank)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not write the watermark");
        }
    }

    /// Applies data that came from the upstream.
    pub(super) async fn apply_spool(&mut self, step: &Step, spool: ReceivedData) -> Result<(), Rejection> {
        self.metrics.received("delta", spool.bytes());
        self.apply(step, spool.into_reader()).await
    }

    /// Applies data to the store, with its note, in one transaction.
    pub(super) async fn apply(&mut self, step: &Step, data: Box<dyn Read + Send>) -> Result<(), Rejection> {
        let checkpoint = step.accepted.checkpoint.clone();
        let (now_ms, began_ms) = (self.clock.now_ms(), self.clock.monotonic_ms());
        let target = DeltaTarget::of(&checkpoint, Timestamp::from_ms(now_ms));
        let live = step.source == Source::Live;
        let (note, contact, registry) = (step.note.clone(), step.contact, checkpoint.registry.clone());
        let failed = |error: StoreError| Rejection { reason: "store", detail: error.to_string() };
        // A damaged database is not modified or compared: a new one replaces it, with all records that a replica keeps
        // beside the state.
        let rebuilt = self.damaged.then(|| (self.following.settings.root_key, self.engine.trusted()));
        let before = match step.settled {
            Some(RequiredHistory { seq, given_up }) if rebuilt.is_none() => {
                let store = self.store.clone();
                let read = tokio::task::spawn_blocking(move || store.read()).await;
                let state = read.unwrap_or(Err(StoreError::Aborted)).map_err(failed)?;
                Some(HeldHistory { state, seq, given_up })
            }
            _ => None,
        };
        let job = move |txn: &mut WriteTxn<'_>| -> Result<Counts, StoreError> {
            let counts = delta::apply(txn, data, &target, before.as_ref())?;
            if let Some((root_key, trusted)) = rebuilt {
                txn.follow(&root_key)?;
                for (number, note) in trusted.roots {
                    txn.put_root(number, &note)?;
                }
                for (number, note) in trusted.epochs {
                    txn.put_epoch(number, &note)?;
                }
            }
            txn.put_meta(&meta::NOTE, &note)?;
            txn.put_meta(&meta::REGISTRY, &registry)?;
            if contact {
                txn.put_meta(&meta::CONTACT_MS, &now_ms)?;
            }
            Ok(counts)
        };
        let result = if self.damaged { self.store.write_rebuilding(job).await } else { self.store.write(job).await };
        let counts = match result {
            Ok(counts) => counts,
            Err(error) if error.is_damage() => {
                self.damaged = true;
                return Err(Rejection { reason: DAMAGED, detail: error.to_string() });
            }
            Err(StoreError::Delta(error)) => {
                return Err(Rejection { reason: error.reason(), detail: error.to_string() });
            }
            Err(error) => return Err(failed(error)),
        };
        if self.damaged {
            self.damaged = false;
            self.healed(step);
        }
        // Readiness becomes visible together with freshness.
        self.health.applied(&step.accepted, counts.given_up);
        self.resolver.set_ready(true);
        self.mark(step.accepted.held().rank).await;
        let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        self.metrics.caught_up(match (live, counts.whole) {
            (false, _) => "bundle",
            (true, true) => "snapshot",
            (true, false) => "delta",
        });
        self.metrics.apply_seconds.observe(seconds(self.clock.monotonic_ms().saturating_sub(began_ms)));
        self.metrics
            .apply_operations
            .observe(f64::from(u32::try_from(counts.puts + counts.deletes).unwrap_or(u32::MAX)));
        let age_ms = u64::try_from(self.clock.now_ms() - checkpoint.issued * 1_000).unwrap_or(0);
        if live {
            self.metrics.propagation_seconds.observe(seconds(age_ms));
        }
        let lost_commits = step.accepted.lost_commits.saturating_add(counts.given_up);
        if lost_commits > 0 {
            tracing::error!(
                lost_commits,
                "the registry was restored to an earlier state; later commits held by this \
                replica were dropped"
            );
        }
        tracing::debug!(position = %checkpoint.position(), puts = counts.puts, deletes = counts.deletes, "applied a delta");
        Ok(())
    }

    /// Reports that a damaged database was replaced, and whether the new state differs.
    fn healed(&self, step: &Step) {
        let (held, taken) = (self.position(), step.accepted.checkpoint.position());
        let source = match step.source {
            Source::Live => "upstream",
            Source::Bundle => "bundle",
        };
        self.metrics.heals.inc();
        tracing::info!(position = %taken, source, "this replica has recovered: its damaged database was replaced");
        // At the same position the old state was signed; another history that a root key began may differ.
        let Some(held) = held.filter(|held| *held != taken && step.settled.is_some()) else { return };
        self.metrics.heals_uncompared.inc();
        tracing::warn!(
            %held,
            %taken,
            "the damaged database was replaced by a newer state; its history could not be compared with the previous \
                one"
        );
    }
}
