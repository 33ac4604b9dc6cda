//! The logic of a replica: a state machine without I/O, time or randomness of its own.
//!
//! Events go in, actions come out. No decision depends on a status code or a header, except how long to wait
//! ([`pace`](super::pace)): verified notes decide what to do next. Whatever goes wrong, the replica keeps its state and
//! tries again later.
//!
//! Invariant: the current history is never replaced by another, however high its number, unless a root document, an
//! epoch record or the operator allows it.

use super::pace::{NextPoll, PollPacing};
use crate::model::position::Position;
use crate::trust::accept::{
    AcceptanceContext, Accepted, HeldCheckpoint, Refusal, StateRank, TrustedTime, Verdict, accept,
};
use crate::trust::checkpoint::{Checkpoint, all_view_definition};
use crate::trust::checkpoint::{MIN_READER, VIEW_ALL};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::root_chain::RootChain;

pub use super::exchange::{
    Action, Event, FetchFailure, Memory, Now, Rejection, RequiredHistory, Settings, Source, Step,
};

/// How often an upstream that is behind is shown this replica's checkpoint, in milliseconds.
const SHOW_EVERY_MS: u64 = 60_000;
/// How often the whole state of another history is downloaded and compared again, in milliseconds.
const COMPARE_EVERY_MS: u64 = 600_000;
/// Why data that would replace the current history is not applied.
pub const FORK: &str = "fork";

/// Signed records with their numbers, to be stored in a new database.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: Vec<(u64, Vec<u8>)>,
    pub(super) epochs: Vec<(u64, Vec<u8>)>,
}

/// The state machine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    chain: Option<RootChain>,
    epochs: Vec<VerifiedEpoch>,
    held: Option<HeldCheckpoint>,
    /// The last commit of the current state that changed something; polls ask for what follows.
    changed: Position,
    watermark: Option<StateRank>,
    pending: Option<Pending>,
    /// Whether to request the whole state.
    whole: bool,
    /// Whether the last poll requested the whole state.
    asked_whole: bool,
    /// Whether the stored state must be replaced, whatever its position.
    damaged: bool,
    fork: Option<Fork>,
    pace: PollPacing,
    shown_ms: Option<u64>,
}

/// Another history, offered by an upstream.
#[derive(Debug)]
struct Fork {
    /// Its newest checkpoint: position and state.
    offered: (Position, [u8; 32]),
    detail: String,
    /// When its whole state was last compared with the current one.
    compared_ms: u64,
}

#[derive(Debug)]
struct Pending {
    note: Vec<u8>,
    delta: bool,
    source: Source,
    reconnect_ms: Option<u64>,
}

impl Engine {
    /// A replica with this stored state.
    #[must_use]
    pub fn new(settings: Settings, memory: Memory) -> Self {
        let held = memory.held.as_ref();
        Self {
            settings,
            chain: memory.chain,
            epochs: memory.epochs,
            changed: held.map_or(Position::default(), |held| changed(&held.checkpoint)),
            watermark: memory.watermark.max(held.map(|held| held.held().rank)),
            held: held.map(Accepted::held),
            pending: None,
            whole: false,
            asked_whole: false,
            damaged: false,
            fork: None,
            pace: PollPacing::default(),
            shown_ms: None,
        }
    }

    /// The lower bound of the time for decisions, in seconds since 1970; 0 while nothing was verified. Times signed by
    /// a stolen key do not survive a reset by the root keys.
    pub fn time_floor_s(&self) -> i64 {
        let counts = |held: &&HeldCheckpoint| {
            let since = |chain: &RootChain| chain.reset_between(held.rank.root, chain.current().version);
            self.chain.as_ref().and_then(since).is_none()
        };
        self.held.as_ref().filter(counts).map_or(0, |held| held.issued)
    }

    /// The time for decisions.
    fn time(&self, wall_s: i64) -> TrustedTime {
        TrustedTime::at(wall_s, self.time_floor_s())
    }

    /// The current position, if there is a state.
    pub fn position(&self) -> Option<Position> {
        self.held.as_ref().map(|held| held.rank.position)
    }

    /// The root documents and epoch records that it trusts, each with its number.
    pub(super) fn trusted(&self) -> Trusted {
        let roots = self.chain.iter().flat_map(|chain| {
            (1..=chain.current().version).filter_map(|number| Some((number, chain.get(number)?.note().to_vec())))
        });
        let epochs = self.epochs.iter().map(|epoch| (epoch.record().epoch, epoch.note().to_vec()));
        Trusted { roots: roots.collect(), epochs: epochs.collect() }
    }

    /// Handles an event; returns the actions, in order.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        match event {
            Event::Due if self.chain.is_none() => vec![Action::FetchRoot(1)],
            Event::Due => vec![self.poll(now)],
            Event::Root(number, note) => self.root(now, number, note),
            Event::Epoch(number, note) => self.epoch(now, number, note),
            Event::Answer { note, delta, reconnect_ms } => {
                self.decide(now, Pending { note, delta, source: Source::Live, reconnect_ms })
            }
            Event::Offered { roots, epochs, note } => self.offered(now, roots, epochs, note),
            Event::Failed(failure, detail) => {
                self.pending = None;
                vec![trouble(failure.reason(), detail), Action::Wait(self.pace.failed(now, failure))]
            }
            Event::Applied(step, result) => self.applied(now, *step, result),
            Event::Damaged => {
                self.damaged = true;
                Vec::new()
            }
        }
    }

    fn poll(&mut self, now: Now) -> Action {
        self.asked_whole = self.whole || self.damaged || self.held.is_none();
        let after = if self.asked_whole { Position::default() } else { self.changed };
        Action::FetchNext { after, bust: self.pace.ask(now) }
    }

    fn root(&mut self, now: Now, number: u64, note: Vec<u8>) -> Vec<Action> {
        let learned = self.learn_root(number, &note);
        self.continue_with_trust(now, "root", learned, Action::KeepRoot(number, note))
    }

    /// Resumes a step that waited for a signed record, once it arrived; otherwise backs off.
    fn continue_with_trust(
        &mut self,
        now: Now,
        what: &'static str,
        learned: Result<(), String>,
        keep: Action,
    ) -> Vec<Action> {
        if let Err(detail) = learned {
            self.pending = None;
            return vec![trouble(what, detail), Action::Wait(self.pace.back_off(now))];
        }
        let mut actions = vec![keep];
        match self.pending.take() {
            Some(pending) => actions.extend(self.decide(now, pending)),
            None => actions.push(self.poll(now)),
        }
        actions
    }

    /// Adds the next root document; a known one changes nothing.
    fn learn_root(&mut self, number: u64, note: &[u8]) -> Result<(), String> {
        match &mut self.chain {
            None => {
                self.chain = Some(RootChain::begin(&self.settings.root_key, note).map_err(|error| error.to_string())?);
            }
            Some(chain) if chain.get(number).is_some() => {
                let same = chain.get(number).is_some_and(|known| known.note() == note);
                return if same { Ok(()) } else { Err(format!("root document {number} differs from the known one")) };
            }
            Some(chain) => drop(chain.extend(note).map_err(|error| error.to_string())?),
        }
        Ok(())
    }

    fn epoch(&mut self, now: Now, number: u64, note: Vec<u8>) -> Vec<Action> {
        let learned = self.learn_epoch(number, &note);
        self.continue_with_trust(now, "epoch", learned, Action::KeepEpoch(number, note))
    }

    /// Adds an epoch record; a known one changes nothing.
    fn learn_epoch(&mut self, number: u64, note: &[u8]) -> Result<(), String> {
        let chain = self.chain.as_ref().ok_or("no root document is known yet")?;
        let epoch = VerifiedEpoch::verify(note, chain).map_err(|error| error.to_string())?;
        if epoch.record().epoch != number {
            return Err(format!(
                "expected the record of epoch {number}, but got that of epoch {}",
                epoch.record().epoch
            ));
        }
        match self.epochs.iter().find(|known| known.record().epoch == epoch.record().epoch) {
            Some(known) if known.note() != note => {
                Err(format!("the record of epoch {} differs from the known one", epoch.record().epoch))
            }
            Some(_) => Ok(()),
            None => {
                self.epochs.push(epoch);
                Ok(())
            }
        }
    }

    fn offered(
        &mut self,
        now: Now,
        roots: Vec<(u64, Vec<u8>)>,
        epochs: Vec<(u64, Vec<u8>)>,
        note: Vec<u8>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for (number, root) in roots {
            if let Err(detail) = self.learn_root(number, &root) {
                return vec![trouble("root", detail)];
            }
            actions.push(Action::KeepRoot(number, root));
        }
        for (number, epoch) in epochs {
            if let Err(detail) = self.learn_epoch(number, &epoch) {
                return vec![trouble("epoch", detail)];
            }
            actions.push(Action::KeepEpoch(number, epoch));
        }
        actions.extend(self.decide(now, Pending { note, delta: true, source: Source::Bundle, reconnect_ms: None }));
        actions
    }

    /// Decides what a note means.
    fn decide(&mut self, now: Now, pending: Pending) -> Vec<Action> {
        let live = pending.source == Source::Live;
        let Some(chain) = &self.chain else {
            self.pending = live.then_some(pending);
            return if live {
                vec![Action::FetchRoot(1)]
            } else {
                vec![trouble("root", "the bundle has no root document")]
            };
        };
        match self.accept(chain, &pending.note, self.time(now.wall_s)) {
            Err(Refusal::UnknownRoot { .. }) if live => {
                let next = chain.current().version.saturating_add(1);
                self.pending = Some(pending);
                vec![Action::FetchRoot(next)]
            }
            Err(Refusal::UnknownEpoch { needs, .. }) if live => {
                self.pending = Some(pending);
                vec![Action::FetchEpoch(needs)]
            }
            Err(refusal) => {
                let mut actions = vec![trouble(refusal.reason(), refusal.to_string())];
                match &refusal {
                    Refusal::Fork(evidence) => {
                        let offered = (evidence.offered, evidence.offered_state);
                        actions.extend(self.forked(now, offered, refusal.to_string(), pending.note));
                        actions.extend(live.then(|| self.show(now)).flatten());
                    }
                    // A primary that was set back to before a change of keys signs with outdated keys.
                    Refusal::Rollback { .. } | Refusal::Fenced { .. } | Refusal::WrongKey { .. } => {
                        actions.extend(live.then(|| self.show(now)).flatten());
                    }
                    _ => {}
                }
                actions.extend(live.then(|| Action::Wait(self.pace.back_off(now))));
                actions
            }
            Ok(accepted) => self.accepted(now, pending, accepted),
        }
    }

    /// Records that another history is offered; its note is stored once, and again when it advances.
    fn forked(&mut self, now: Now, offered: (Position, [u8; 32]), detail: String, note: Vec<u8>) -> Option<Action> {
        self.whole = false;
        let known = self.fork.as_ref().is_some_and(|fork| fork.offered == offered);
        self.fork = Some(Fork { offered, detail, compared_ms: now.monotonic_ms });
        (!known).then_some(Action::KeepEvidence(note))
    }

    /// Shows the upstream the current note, at intervals.
    fn show(&mut self, now: Now) -> Option<Action> {
        let recently = self.shown_ms.is_some_and(|shown| now.monotonic_ms.saturating_sub(shown) < SHOW_EVERY_MS);
        if recently || self.held.is_none() {
            return None;
        }
        self.shown_ms = Some(now.monotonic_ms);
        Some(Action::ShowHeld)
    }

    fn accept(&self, chain: &RootChain, note: &[u8], now: TrustedTime) -> Result<Accepted, Refusal> {
        let expectation = |now| AcceptanceContext {
            registry: &chain.current().registry,
            view: VIEW_ALL,
            definition: all_view_definition(),
            chain,
            epochs: &self.epochs,
            held: self.held.as_ref(),
            watermark: self.watermark,
            reader_version: MIN_READER,
            now,
        };
        match accept(note, &expectation(now)) {
            Err(refusal) if self.held.is_none() && self.settings.takes_in_spite_of(&refusal) => {
                accept(note, &expectation(TrustedTime { now_s: i64::MIN, clock_trusted: false, ..now }))
            }
            // The watermark still limits how far back it can go.
            Err(Refusal::Fork(evidence)) if self.settings.accept_fork == Some(evidence.held) => {
                accept(note, &AcceptanceContext { held: None, ..expectation(now) })
            }
            verdict => verdict,
        }
    }

    /// The history that a replacement of the current state must contain.
    fn settled(&self, checkpoint: &Checkpoint) -> Option<RequiredHistory> {
        let (held, chain) = (self.held.as_ref()?.rank, self.chain.as_ref()?);
        let same_reign =
            held.position.epoch == checkpoint.epoch && chain.reset_between(held.root, checkpoint.root).is_none();
        let given_up = self.settings.accept_fork == Some(held.position);
        same_reign.then_some(RequiredHistory { seq: held.position.seq, given_up })
    }

    fn accepted(&mut self, now: Now, pending: Pending, accepted: Accepted) -> Vec<Action> {
        let live = pending.source == Source::Live;
        let expired = accepted.checkpoint.expires < now.wall_s;
        // A known or expired note proves nothing about now: it may be replayed. So a primary signs later times, or
        // makes a commit, also when its clock is set back.
        let contact = live && !expired && accepted.verdict != Verdict::Known;
        let beyond = self.settings.hold_at.is_some_and(|hold_at| accepted.checkpoint.position() > hold_at);
        let mut actions = Vec::new();
        if self.damaged && beyond {
            actions.push(self.cannot_heal(&accepted.checkpoint));
        } else if contact {
            actions.push(Action::Contact);
        } else if live && expired {
            let refusal = Refusal::Expired { expires: accepted.checkpoint.expires, now_s: now.wall_s };
            actions.push(trouble(refusal.reason(), refusal.to_string()));
        }
        let verdict = match accepted.verdict {
            // The stored state is unreliable: download all of it, although nothing else has changed.
            _ if self.damaged && pending.delta => Verdict::Newer,
            verdict => verdict,
        };
        match verdict {
            Verdict::Newer if beyond => actions.extend(live.then(|| Action::Wait(PollPacing::held(now)))),
            Verdict::Newer if pending.delta => {
                let settled = self.settled(&accepted.checkpoint);
                if self.damaged && live && self.position() != Some(accepted.checkpoint.position()) {
                    // Histories cannot be compared here: the upstream compares the replica's note with its own.
                    actions.extend(self.show(now));
                }
                let step = Step { accepted, note: pending.note, source: pending.source, contact, settled };
                actions.push(Action::Apply(Box::new(step)));
            }
            Verdict::Newer if self.whole => {
                actions.push(trouble("no_delta", "the upstream sent a newer checkpoint without its data"));
                actions.push(Action::Wait(self.pace.back_off(now)));
            }
            Verdict::Newer => {
                self.whole = true;
                actions.push(self.poll(now));
            }
            Verdict::Unchanged if beyond => {
                if live {
                    actions.extend(self.again(now, true, pending.reconnect_ms));
                }
            }
            Verdict::Unchanged | Verdict::Same => {
                self.hold(&accepted);
                let step = Step { accepted, note: pending.note, source: pending.source, contact, settled: None };
                actions.push(Action::KeepNote(Box::new(step)));
                if live {
                    actions.extend(self.again(now, true, pending.reconnect_ms));
                }
            }
            Verdict::Known => {
                if live {
                    actions.extend(self.again(now, false, pending.reconnect_ms));
                }
            }
        }
        actions
    }

    /// Reports that a damaged replica, which an operator pinned to a position, cannot download that position again.
    fn cannot_heal(&self, offered: &Checkpoint) -> Action {
        let (held, offered) = (self.settings.hold_at.unwrap_or_default(), offered.position());
        let detail = format!(
            "the data of this replica is damaged and cannot be fetched again: it is held at {held}, but the upstream \
                offers {offered}; import a bundle of {held}, or start it without --hold and --pin"
        );
        trouble("held_damaged", detail)
    }

    /// Adopts a checkpoint, whose history is the right one.
    fn hold(&mut self, accepted: &Accepted) {
        let held = accepted.held();
        self.watermark = self.watermark.max(Some(held.rank));
        self.changed = changed(&accepted.checkpoint);
        self.held = Some(held);
        self.whole = false;
        self.fork = None;
    }

    /// Polls again after an answer that needed no data.
    fn again(&mut self, now: Now, news: bool, reconnect_ms: Option<u64>) -> Vec<Action> {
        match self.pace.answered(now, news, reconnect_ms) {
            NextPoll::Now => vec![self.poll(now)],
            NextPoll::After(ms) => vec![Action::Wait(ms)],
            NextPoll::Repeated(ms) => {
                let detail = "the upstream repeats signatures that were already received; check for a cache between \
                    this replica and its upstream, and the clock of the primary";
                vec![trouble("stale_answer", detail), Action::Wait(ms)]
            }
        }
    }

    fn applied(&mut self, now: Now, step: Step, result: Result<(), Rejection>) -> Vec<Action> {
        let live = step.source == Source::Live;
        let Err(rejection) = result else {
            self.hold(&step.accepted);
            self.damaged &= live && !self.asked_whole;
            self.pace.progress();
            return if live { vec![self.poll(now)] } else { Vec::new() };
        };
        let mut actions = Vec::new();
        if rejection.reason == FORK {
            let checkpoint = &step.accepted.checkpoint;
            let offered = (checkpoint.position(), checkpoint.state);
            actions.push(trouble(FORK, &rejection.detail));
            actions.extend(self.forked(now, offered, rejection.detail, step.note));
            actions.extend(live.then(|| self.show(now)).flatten());
        } else if let Some(fork) = self.fork.as_ref().filter(|_| live && step.guarded() && rejection.blames_data()) {
            // A mismatch means another history; it is compared again only at intervals.
            self.whole = now.monotonic_ms.saturating_sub(fork.compared_ms) >= COMPARE_EVERY_MS;
            actions.push(trouble(FORK, &fork.detail));
        } else {
            actions.push(Action::Trouble { reason: rejection.reason, detail: rejection.detail.clone() });
            // A delta that does not fit may be the sender's fault or ours: request the whole state. A failing disk or
            // network would fail for that, too, at a higher cost.
            if live {
                self.whole = rejection.blames_data();
            }
        }
        actions.extend(live.then(|| Action::Wait(self.pace.back_off(now))));
        actions
    }
}

fn changed(checkpoint: &Checkpoint) -> Position {
    Position { epoch: checkpoint.epoch, seq: checkpoint.changed }
}

fn trouble(reason: &'static str, detail: impl Into<String>) -> Action {
    Action::Trouble { reason, detail: detail.into() }
}
