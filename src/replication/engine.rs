//! How a replica follows: a state machine without I/O, time or randomness of its own.
//!
//! Events go in, actions come out. No decision depends on a status code or a header, except how
//! long to wait: what to do next follows from verified notes. Whatever goes wrong, the replica keeps
//! what it has and tries again later.

use crate::model::position::Position;
use crate::registry::seal::{MIN_READER, VIEW_ALL};
use crate::trust::accept::{Accepted, Expectation, Held, Rank, Refusal, TrustedTime, Verdict, accept};
use crate::trust::checkpoint::{Checkpoint, all_view_definition};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::RootChain;

/// Shortest and longest pause after a failure, in milliseconds.
const BACKOFF_MS: (u64, u64) = (250, 60_000);
/// Pause after an upstream denied access, in milliseconds: somebody has to change something first.
const DENIED_MS: u64 = 300_000;
/// Pause after an upstream does not know the view, in milliseconds.
const UNKNOWN_VIEW_MS: u64 = 60_000;
/// An answer without progress that comes sooner than this is suspicious, in milliseconds.
const FAST_ANSWER_MS: u64 = 1_000;
/// So many of them in a row mean a broken cache on the way.
const FAST_ANSWERS_MAX: u32 = 3;

/// The moment of an event, and a random number for it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Seconds since 1970, as the local clock believes.
    pub wall_s: i64,
    /// Milliseconds of a clock that never steps.
    pub monotonic_ms: u64,
    /// Anything; spreads replicas apart.
    pub random: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The wait is over.
    Due,
    /// A root document arrived.
    Root(u64, Vec<u8>),
    /// An epoch record arrived.
    Epoch(u64, Vec<u8>),
    /// An upstream answered a poll.
    Answer {
        /// The signed note.
        note: Vec<u8>,
        /// Whether a delta follows it.
        delta: bool,
        /// How long the upstream asks to stay away, in milliseconds.
        reconnect_ms: Option<u64>,
    },
    /// A bundle was found: trust, and a note with a manifest.
    Offered {
        /// Root documents with their numbers, ascending.
        roots: Vec<(u64, Vec<u8>)>,
        /// Epoch records with their numbers, ascending.
        epochs: Vec<(u64, Vec<u8>)>,
        /// The signed note.
        note: Vec<u8>,
    },
    /// A fetch failed.
    Failed(Failure, String),
    /// What was to be applied is applied and durable, or was refused.
    Applied(Result<(), Rejection>),
}

/// Why a fetch failed; decides only how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Failure {
    Unreachable,
    Denied,
    UnknownView,
    Busy { retry_after_s: u64 },
    Slow,
    Malformed,
}

impl Failure {
    /// A stable word for metrics and status.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::UnknownView => "unknown_view",
            Self::Busy { .. } => "busy",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
        }
    }
}

/// Why data was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable word for metrics and status.
    pub reason: &'static str,
    /// What exactly.
    pub detail: String,
}

impl Rejection {
    /// Whether the data was at fault, and not the way that it came or the disk that it should go to:
    /// those will fail for the whole state, too, and cost more.
    fn blames_data(&self) -> bool {
        !matches!(self.reason, "store" | "unreachable" | "slow")
    }
}

/// Where data comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An upstream that is asked again and again.
    Live,
    /// A bundle.
    Bundle,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Fetch the root document with this number.
    FetchRoot(u64),
    /// Fetch the record of this epoch.
    FetchEpoch(u64),
    /// Poll for what comes after this position.
    FetchNext {
        /// The last change that is held; `0.0` asks for everything.
        after: Position,
        /// Makes the request unlike others, when a cache on the way is broken.
        bust: Option<u64>,
    },
    /// Keep a verified root document.
    KeepRoot(u64, Vec<u8>),
    /// Keep a verified epoch record.
    KeepEpoch(u64, Vec<u8>),
    /// Keep a note that was signed later for the state that is held.
    KeepNote {
        /// The signed note.
        note: Vec<u8>,
        /// The highest time that a verified signature named, in seconds since 1970.
        time_floor_s: i64,
    },
    /// Keep a note that proves that two states were signed for one position.
    KeepEvidence(Vec<u8>),
    /// Apply the data that belongs to a verified note, then say how it went.
    Apply(Box<Step>),
    /// The upstream is there: it showed something verified.
    Contact,
    /// Say what is wrong.
    Trouble {
        /// A stable word.
        reason: &'static str,
        /// What happened.
        detail: String,
    },
    /// Come back after so many milliseconds with [`Event::Due`].
    Wait(u64),
}

/// A verified state to move to.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was verified.
    pub accepted: Accepted,
    /// The signed note itself.
    pub note: Vec<u8>,
    /// Where the data comes from.
    pub source: Source,
    /// The highest time that a verified signature named, in seconds since 1970.
    pub time_floor_s: i64,
}

/// What a replica is set up to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The root that is trusted.
    pub root_key: RootKeyId,
    /// Do not go beyond this position.
    pub hold_at: Option<Position>,
    /// Take an expired checkpoint for a new state; for a first start from old media.
    pub accept_expired: bool,
}

/// What a replica remembered when it was started.
#[derive(Debug, Default)]
pub struct Memory {
    /// Root documents, verified against the pinned root.
    pub chain: Option<RootChain>,
    /// Epoch records, verified.
    pub epochs: Vec<VerifiedEpoch>,
    /// The state that is held.
    pub held: Option<Accepted>,
    /// The highest rank ever accepted.
    pub watermark: Option<Rank>,
    /// The highest time that a verified signature named, in seconds since 1970.
    pub time_floor_s: i64,
}

/// The state machine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    chain: Option<RootChain>,
    epochs: Vec<VerifiedEpoch>,
    held: Option<Held>,
    /// The last commit of the held state that changed something; what polls ask after.
    changed: Position,
    watermark: Option<Rank>,
    time_floor_s: i64,
    clock_trusted: bool,
    pending: Option<Pending>,
    applying: Option<Box<Step>>,
    whole: bool,
    backoff_ms: u64,
    asked_ms: u64,
    fast_answers: u32,
    bust: Option<u64>,
}

#[derive(Debug)]
struct Pending {
    note: Vec<u8>,
    delta: bool,
    source: Source,
    reconnect_ms: Option<u64>,
}

impl Engine {
    /// A replica that remembers this.
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
            time_floor_s: memory.time_floor_s,
            clock_trusted: true,
            pending: None,
            applying: None,
            whole: false,
            backoff_ms: 0,
            asked_ms: 0,
            fast_answers: 0,
            bust: None,
        }
    }

    /// Whether the local clock lies far below the times of verified signatures.
    #[must_use]
    pub const fn clock_untrusted(&self) -> bool {
        !self.clock_trusted
    }

    /// The position that is held, if any state is.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.held.as_ref().map(|held| held.rank.position)
    }

    /// Takes an event, and says what to do, in order.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        match event {
            Event::Due if self.chain.is_none() => vec![Action::FetchRoot(1)],
            Event::Due => vec![self.poll(now)],
            Event::Root(number, note) => self.root(now, number, note),
            Event::Epoch(number, note) => self.epoch(now, number, note),
            Event::Answer { note, delta, reconnect_ms } => {
                self.judge(now, Pending { note, delta, source: Source::Live, reconnect_ms })
            }
            Event::Offered { roots, epochs, note } => self.offered(now, roots, epochs, note),
            Event::Failed(failure, detail) => {
                self.pending = None;
                vec![trouble(failure.reason(), detail), Action::Wait(self.pause(now, failure))]
            }
            Event::Applied(result) => self.applied(now, result),
        }
    }

    fn poll(&mut self, now: Now) -> Action {
        self.asked_ms = now.monotonic_ms;
        let after = if self.whole || self.held.is_none() { Position::default() } else { self.changed };
        Action::FetchNext { after, bust: self.bust }
    }

    fn root(&mut self, now: Now, number: u64, note: Vec<u8>) -> Vec<Action> {
        let learned = self.learn_root(number, &note);
        self.learned(now, "root", learned, Action::KeepRoot(number, note))
    }

    /// Goes on with what waited for a piece of trust, once it is learned; or backs off.
    fn learned(&mut self, now: Now, what: &'static str, learned: Result<(), String>, keep: Action) -> Vec<Action> {
        if let Err(detail) = learned {
            self.pending = None;
            return vec![trouble(what, detail), Action::Wait(self.back_off(now))];
        }
        let mut actions = vec![keep];
        match self.pending.take() {
            Some(pending) => actions.extend(self.judge(now, pending)),
            None => actions.push(self.poll(now)),
        }
        actions
    }

    /// Takes the next root document; one that is known already changes nothing.
    fn learn_root(&mut self, number: u64, note: &[u8]) -> Result<(), String> {
        let reset = match &mut self.chain {
            None => {
                self.chain = Some(RootChain::begin(&self.settings.root_key, note).map_err(|error| error.to_string())?);
                None
            }
            Some(chain) if chain.get(number).is_some() => {
                let same = chain.get(number).is_some_and(|known| known.note() == note);
                return if same { Ok(()) } else { Err(format!("root document {number} is not the one that is known")) };
            }
            Some(chain) => chain.extend(note).map_err(|error| error.to_string())?.reset,
        };
        if reset.is_some() {
            // Times that a stolen key signed must not keep the rightful ones out.
            self.time_floor_s = 0;
        }
        Ok(())
    }

    fn epoch(&mut self, now: Now, number: u64, note: Vec<u8>) -> Vec<Action> {
        let learned = self.learn_epoch(number, &note);
        self.learned(now, "epoch", learned, Action::KeepEpoch(number, note))
    }

    /// Takes the record of an epoch; one that is known already changes nothing.
    fn learn_epoch(&mut self, number: u64, note: &[u8]) -> Result<(), String> {
        let chain = self.chain.as_ref().ok_or("no root document is known yet")?;
        let epoch = VerifiedEpoch::verify(note, chain).map_err(|error| error.to_string())?;
        if epoch.record().epoch != number {
            return Err(format!(
                "where the record of epoch {number} should be is that of epoch {}",
                epoch.record().epoch
            ));
        }
        match self.epochs.iter().find(|known| known.record().epoch == epoch.record().epoch) {
            Some(known) if known.note() != note => {
                Err(format!("another record of epoch {} is known", epoch.record().epoch))
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
        actions.extend(self.judge(now, Pending { note, delta: true, source: Source::Bundle, reconnect_ms: None }));
        actions
    }

    /// Decides what a note means.
    fn judge(&mut self, now: Now, pending: Pending) -> Vec<Action> {
        let live = pending.source == Source::Live;
        let Some(chain) = &self.chain else {
            self.pending = live.then_some(pending);
            return if live {
                vec![Action::FetchRoot(1)]
            } else {
                vec![trouble("root", "the bundle holds no root document")]
            };
        };
        let time = TrustedTime::at(now.wall_s, self.time_floor_s);
        self.clock_trusted = time.clock_trusted;
        let verdict = self.accept(chain, &pending.note, time);
        match verdict {
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
                if matches!(refusal, Refusal::Fork(_)) {
                    actions.push(Action::KeepEvidence(pending.note));
                }
                actions.extend(live.then(|| Action::Wait(self.back_off(now))));
                actions
            }
            Ok(accepted) => self.accepted(now, time, pending, accepted),
        }
    }

    fn accept(&self, chain: &RootChain, note: &[u8], now: TrustedTime) -> Result<Accepted, Refusal> {
        let expectation = |now| Expectation {
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
            Err(Refusal::Expired { .. }) if self.settings.accept_expired && self.held.is_none() => {
                accept(note, &expectation(TrustedTime { now_s: i64::MIN, clock_trusted: false, ..now }))
            }
            verdict => verdict,
        }
    }

    fn accepted(&mut self, now: Now, time: TrustedTime, pending: Pending, accepted: Accepted) -> Vec<Action> {
        let live = pending.source == Source::Live;
        let mut actions = Vec::new();
        // A note that is known already proves nothing about now: anybody can keep sending it.
        if live && accepted.verdict != Verdict::Known {
            actions.push(Action::Contact);
        }
        self.time_floor_s = time.raised_floor(accepted.checkpoint.issued);
        let beyond = self.settings.hold_at.is_some_and(|hold_at| accepted.checkpoint.position() > hold_at);
        match accepted.verdict {
            Verdict::Newer if beyond => actions.extend(live.then_some(Action::Wait(BACKOFF_MS.1))),
            Verdict::Newer if pending.delta => {
                let step =
                    Step { accepted, note: pending.note, source: pending.source, time_floor_s: self.time_floor_s };
                self.applying = Some(Box::new(step.clone()));
                actions.push(Action::Apply(Box::new(step)));
            }
            Verdict::Newer if self.whole => {
                actions.push(trouble("no_delta", "the upstream sends a newer checkpoint, and no data for it"));
                actions.push(Action::Wait(self.back_off(now)));
            }
            Verdict::Newer => {
                self.whole = true;
                actions.push(self.poll(now));
            }
            Verdict::Same => {
                self.held = Some(accepted.held());
                actions.push(Action::KeepNote { note: pending.note, time_floor_s: self.time_floor_s });
                actions.extend(live.then(|| self.again(now, pending.reconnect_ms)));
            }
            Verdict::Known => actions.extend(live.then(|| self.again(now, pending.reconnect_ms))),
        }
        actions
    }

    /// Polls again after an answer without progress: at once after a full wait, later when such
    /// answers come too fast.
    fn again(&mut self, now: Now, reconnect_ms: Option<u64>) -> Action {
        let fast = now.monotonic_ms.saturating_sub(self.asked_ms) < FAST_ANSWER_MS;
        self.fast_answers = if fast { self.fast_answers.saturating_add(1) } else { 0 };
        if let Some(reconnect_ms) = reconnect_ms {
            return Action::Wait(reconnect_ms.min(BACKOFF_MS.1));
        }
        if self.fast_answers >= FAST_ANSWERS_MAX {
            self.bust = Some(now.random);
            return Action::Wait(self.back_off(now));
        }
        self.bust = None;
        self.backoff_ms = 0;
        self.poll(now)
    }

    fn applied(&mut self, now: Now, result: Result<(), Rejection>) -> Vec<Action> {
        let Some(step) = self.applying.take() else { return Vec::new() };
        let live = step.source == Source::Live;
        match result {
            Ok(()) => {
                let held = step.accepted.held();
                self.watermark = self.watermark.max(Some(held.rank));
                self.changed = changed(&step.accepted.checkpoint);
                self.held = Some(held);
                self.whole = false;
                self.backoff_ms = 0;
                self.fast_answers = 0;
                self.bust = None;
                if live { vec![self.poll(now)] } else { Vec::new() }
            }
            Err(rejection) => {
                // A delta that does not fit may be the sender's fault or ours: ask for everything.
                self.whole |= live && rejection.blames_data();
                let mut actions = vec![Action::Trouble { reason: rejection.reason, detail: rejection.detail }];
                actions.extend(live.then(|| Action::Wait(self.back_off(now))));
                actions
            }
        }
    }

    fn pause(&mut self, now: Now, failure: Failure) -> u64 {
        let spread = |ms: u64| ms + now.random % (ms / 10).max(1);
        match failure {
            Failure::Denied => spread(DENIED_MS),
            Failure::UnknownView => spread(UNKNOWN_VIEW_MS),
            Failure::Busy { retry_after_s } => {
                let ms = retry_after_s.clamp(1, 60) * 1_000;
                ms + now.random % ms
            }
            Failure::Unreachable | Failure::Slow | Failure::Malformed => self.back_off(now),
        }
    }

    /// Decorrelated jitter: between the shortest pause and three times the last one.
    fn back_off(&mut self, now: Now) -> u64 {
        let (shortest, longest) = BACKOFF_MS;
        let up_to = self.backoff_ms.max(shortest).saturating_mul(3);
        self.backoff_ms = (shortest + now.random % (up_to - shortest)).min(longest);
        self.backoff_ms
    }
}

fn changed(checkpoint: &Checkpoint) -> Position {
    Position { epoch: checkpoint.epoch, seq: checkpoint.changed }
}

fn trouble(reason: &'static str, detail: impl Into<String>) -> Action {
    Action::Trouble { reason, detail: detail.into() }
}
