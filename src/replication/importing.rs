//! Importing bundles into a replica: from a watched inbox, or manually.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;

use super::bundle::{Bundle, BundleError, Merged};
use super::engine::{Action, Event, Rejection, Step};
use super::follower::Follower;
use super::inbox::{BundleRead, Candidate, Claims};
use crate::model::time::Timestamp;
use crate::telemetry::store::{TelemetryError, TelemetryStore};

/// Deadline of scanning an inbox, or of reading a bundle without its data.
const READ_DEADLINE: Duration = Duration::from_secs(60);
/// Deadline of verifying the data of a bundle: 4 GB on a very slow USB stick.
const DATA_DEADLINE: Duration = Duration::from_secs(15 * 60);

impl Follower {
    /// Starts to scan an inbox.
    pub(super) fn look(&self, inbox: PathBuf, reading: &mut JoinSet<BundleRead>) {
        let (medium, judged, held) = (self.medium.clone(), self.inbox.clone(), self.claims());
        let now_ms = self.clock.monotonic_ms();
        reading.spawn(async move {
            let look = move || {
                let unreadable = |error| Rejection {
                    reason: "inbox",
                    detail: format!("cannot read {}: {error}; trying again every minute", inbox.display()),
                };
                judged.list(&inbox, held, now_ms).map_err(unreadable)
            };
            BundleRead::Looked(medium.read(READ_DEADLINE, look).await.flatten())
        });
    }

    /// Handles a result, and starts the next read.
    pub(super) async fn read(&mut self, read: BundleRead, reading: &mut JoinSet<BundleRead>) {
        match read {
            BundleRead::Looked(Err(rejection)) => self.inbox_trouble(&rejection),
            BundleRead::Looked(Ok(listing)) => {
                if listing.left_out > 0 {
                    let left_out = listing.left_out;
                    tracing::warn!(
                        left_out,
                        "the inbox has more bundles than are checked at once; the oldest have \
                        to wait"
                    );
                }
                self.listing = listing;
                self.next_bundle(reading);
            }
            BundleRead::Offered(candidate, offered) => {
                let judged = match offered {
                    Ok(event) => self.judge_with_telemetry(event, &candidate.directory).await,
                    Err(rejection) => Err(rejection),
                };
                match judged {
                    Ok(Some(step)) => {
                        let (medium, held) = (self.medium.clone(), self.position());
                        reading.spawn(async move {
                            let (directory, signed) = (candidate.directory.clone(), step.accepted.checkpoint.clone());
                            let open = move || open(&directory, |bundle| bundle.snapshot(&signed));
                            let file = medium.read(DATA_DEADLINE, open).await.flatten();
                            BundleRead::Opened(candidate, step, held, file)
                        });
                    }
                    Ok(None) => self.conclude(&candidate, Ok(()), reading),
                    Err(rejection) => self.conclude(&candidate, Err(rejection), reading),
                }
            }
            BundleRead::Opened(candidate, _, held, Ok(_)) if held != self.position() => {
                // Newer data may have been verified in the meantime.
                self.listing.candidates.push_front(candidate);
                self.next_bundle(reading);
            }
            BundleRead::Opened(candidate, step, _, file) => {
                let result = self.finish(step, file).await;
                self.conclude(&candidate, result, reading);
            }
        }
    }

    /// Starts to read the newest waiting bundle, if it could still be useful.
    fn next_bundle(&mut self, reading: &mut JoinSet<BundleRead>) {
        let held = self.claims();
        while let Some(candidate) = self.listing.candidates.pop_front() {
            if candidate.concerns(held.as_ref()) {
                let medium = self.medium.clone();
                reading.spawn(async move {
                    let directory = candidate.directory.clone();
                    let offer = move || open(&directory, Bundle::offer);
                    let offered = medium.read(READ_DEADLINE, offer).await.flatten();
                    BundleRead::Offered(candidate, offered)
                });
                return;
            }
        }
        if self.listing.is_well(held.as_ref()) {
            self.health.inbox_well();
        }
    }

    /// Records the evaluation of a bundle, and continues with the next.
    fn conclude(&mut self, candidate: &Candidate, result: Result<(), Rejection>, reading: &mut JoinSet<BundleRead>) {
        // Failures of the disk or medium are retried in the next scan.
        let tried_again = matches!(&result, Err(Rejection { reason: "store" | "slow_medium", .. }));
        if !tried_again {
            self.inbox.record_verdict(candidate, result.is_err(), self.clock.monotonic_ms());
        }
        if let Err(Rejection { reason, detail }) = result {
            self.listing.refused.push(candidate.claims);
            let detail = format!("{}: {detail}", candidate.directory.display());
            self.inbox_trouble(&Rejection { reason, detail });
        }
        self.next_bundle(reading);
    }

    fn inbox_trouble(&self, rejection: &Rejection) {
        self.count(rejection.reason);
        if self.health.inbox_trouble(&*self.clock, rejection) {
            tracing::warn!(
                reason = rejection.reason,
                detail = rejection.detail,
                "cannot import a bundle from the inbox"
            );
        }
    }

    /// Imports the bundle in a folder, in the same way as a live answer.
    ///
    /// # Errors
    /// It does not exist, is incomplete, or is rejected; then nothing has changed.
    pub async fn import(&mut self, directory: &Path) -> Result<(), Rejection> {
        let (medium, directory) = (self.medium.clone(), directory.to_owned());
        let folder = directory.clone();
        let event = medium.read(READ_DEADLINE, move || open(&folder, Bundle::offer)).await.flatten()?;
        let Some(step) = self.judge_with_telemetry(event, &directory).await? else { return Ok(()) };
        let signed = step.accepted.checkpoint.clone();
        let open = move || open(&directory, |bundle| bundle.snapshot(&signed));
        let file = medium.read(DATA_DEADLINE, open).await.flatten();
        self.finish(step, file).await
    }

    /// Judges a bundle, and forgets the telemetry that the primary has according to it, if it is not rejected.
    async fn judge_with_telemetry(&mut self, event: Event, directory: &Path) -> Result<Option<Box<Step>>, Rejection> {
        let step = self.judge(event).await?;
        // A bundle with a newer signature of the state that is here already has nothing to apply.
        let signed = match &step {
            Some(step) => Some(step.accepted.checkpoint.clone()),
            None => self.health.view(&*self.clock).checkpoint,
        };
        let Some(signed) = signed else { return Ok(step) };
        let directory = directory.to_owned();
        let read = move || {
            open(
                &directory,
                |bundle| {
                    if bundle.has_manifest_of(&signed) { bundle.merged(&signed) } else { Ok(Vec::new()) }
                },
            )
        };
        // It is read, and with that verified, also where this node has no telemetry.
        let merged = self.medium.read(READ_DEADLINE, read).await.flatten()?;
        let Some(telemetry) = self.following.telemetry.clone() else { return Ok(step) };
        if let Err(error) = forget_merged(&telemetry, &merged).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "sent telemetry stays in the spool");
        }
        Ok(step)
    }

    /// Passes a bundle to the engine; returns what to apply, if anything.
    async fn judge(&mut self, event: Event) -> Result<Option<Box<Step>>, Rejection> {
        let mut step = None;
        let mut refused = Ok(());
        for action in self.decide(event) {
            match action {
                Action::Apply(verified) => step = Some(verified),
                Action::Trouble { reason, detail } => refused = refused.and(Err(Rejection { reason, detail })),
                other => self.keep(other).await,
            }
        }
        refused.map(|()| step)
    }

    /// Applies the data of a bundle, and reports the result to the engine.
    async fn finish(&mut self, step: Box<Step>, file: Result<File, Rejection>) -> Result<(), Rejection> {
        let result = match file {
            Ok(file) => self.apply(&step, Box::new(BufReader::new(file))).await,
            Err(rejection) => Err(rejection),
        };
        if result.is_ok() {
            let checkpoint = &step.accepted.checkpoint;
            let signed = Timestamp::from_ms(checkpoint.issued.saturating_mul(1_000));
            tracing::info!(position = %checkpoint.position(), %signed, "applied a bundle");
        }
        let told = self.judge(Event::Applied(step, result.clone())).await;
        result.and(told.map(|_| ()))
    }

    /// The current state in terms of bundles; absent if it is damaged.
    fn claims(&self) -> Option<Claims> {
        if self.damaged {
            return None;
        }
        self.health.view(&*self.clock).checkpoint.as_ref().map(Claims::of)
    }
}

/// Forgets what a primary has of this replica's telemetry.
async fn forget_merged(telemetry: &TelemetryStore, merged: &[Merged]) -> Result<(), TelemetryError> {
    let Some(spool) = telemetry.spool()?.filter(|spool| spool.batches > 0) else { return Ok(()) };
    let own = merged.iter().filter(|(of, _)| of.node == spool.id.node);
    let own: Vec<(u64, u64)> = own.map(|(of, through)| (of.epoch, *through)).collect();
    if own.is_empty() {
        return Ok(());
    }
    telemetry.forget_spooled(own).await?;
    let left = telemetry.spool()?.map_or(0, |spool| spool.batches);
    tracing::info!(left, "removed telemetry that the primary has, according to a bundle");
    Ok(())
}

fn open<T>(directory: &Path, read: impl FnOnce(&Bundle) -> Result<T, BundleError>) -> Result<T, Rejection> {
    let missing =
        || Rejection { reason: "missing", detail: format!("{} does not contain a bundle", directory.display()) };
    let bundle = Bundle::find(directory).ok_or_else(missing)?;
    read(&bundle).map_err(|error| Rejection { reason: error.reason(), detail: chain(&error) })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
