//! Whether a replica accepts a checkpoint, and whether it is newer.
//!
//! A pure function of the bytes and of the replica's state. It fetches, stores and applies nothing: an accepted
//! checkpoint defines what the state must be, and the bytes of the state are checked against it elsewhere.
//!
//! Three invariants. An accepted checkpoint was signed by the key bound to its epoch, which the newest known root
//! document still lists. Positions only rise, in root version and in (epoch, seq) alike; they fall only as far as a
//! `reset` in a root document allows, never because a lower one was signed under a newer root. And no clock keeps a
//! replica on an older state: once it has a state, only checkpoints from the future are rejected because of their time.

use std::cmp::Ordering;

use super::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, note_hash};
use super::epoch::{EpochRecord, VerifiedEpoch};
use super::names::signer_name;
use super::root_chain::RootChain;
use crate::crypto::note::{Note, Signed};
use crate::model::position::Position;

pub use super::refusal::{ForkEvidence, Refusal};
pub use super::state_rank::StateRank;
pub use super::time::TrustedTime;

/// The accepted checkpoint whose state a replica has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCheckpoint {
    /// Its position.
    pub rank: StateRank,
    /// The state of the view.
    pub state: [u8; 32],
    /// The last commit that changed the view.
    pub changed: u64,
    /// Hash of the newest audit entry.
    pub audit: [u8; 32],
    /// [`note_hash`] of its bytes.
    pub note_hash: [u8; 32],
    /// Its `issued`, in unix seconds.
    pub issued: i64,
}

/// The state of a replica and its settings when a checkpoint arrives.
#[derive(Debug, Clone, Copy)]
pub struct AcceptanceContext<'a> {
    /// The registry that it follows.
    pub registry: &'a str,
    /// The view that it follows.
    pub view: &'a str,
    /// Generation and hash of the view's definition.
    pub definition: (u64, [u8; 32]),
    /// The root documents known so far.
    pub chain: &'a RootChain,
    /// The epoch records known so far, in any order.
    pub epochs: &'a [VerifiedEpoch],
    /// Its state, if any.
    pub held: Option<&'a HeldCheckpoint>,
    /// The highest rank ever accepted for this view. It survives the loss of the data.
    pub watermark: Option<StateRank>,
    /// The newest format that this program reads.
    pub reader_version: u32,
    /// The time of the decision.
    pub now: TrustedTime,
}

/// What an accepted checkpoint means for a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new position: download and apply, then store it.
    Newer,
    /// Another position with the same state, because the commits in between did not change this view: store the note
    /// and the position; there is nothing to download.
    Unchanged,
    /// The same position and state, signed later: store the note, keep the data.
    Same,
    /// The same position and state, not signed later: nothing to do. Caches send these.
    Known,
}

/// An accepted checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its contents.
    pub checkpoint: Checkpoint,
    /// What it means for this replica.
    pub verdict: Verdict,
    /// [`note_hash`] of its bytes.
    pub note_hash: [u8; 32],
    /// Commits of this replica that the registry gave up in a failover or reset: report them.
    pub lost_commits: u64,
}

impl Accepted {
    /// What to store once the state is applied.
    pub fn held(&self) -> HeldCheckpoint {
        HeldCheckpoint {
            rank: rank_of(&self.checkpoint),
            state: self.checkpoint.state,
            changed: self.checkpoint.changed,
            audit: self.checkpoint.audit,
            note_hash: self.note_hash,
            issued: self.checkpoint.issued,
        }
    }
}

/// Decides on the bytes of a signed checkpoint.
///
/// Before the signature is verified, nothing in the note is trusted; `UnknownRoot` and `UnknownEpoch` merely say what
/// to fetch, each of which is verified by itself. All other refusals about contents come after the signature.
///
/// # Errors
///
/// The first [`Refusal`] that applies. A fork, a rollback or a fenced primary is reported as such even if the note has
/// also expired.
pub fn accept(note_bytes: &[u8], expected: &AcceptanceContext<'_>) -> Result<Accepted, Refusal> {
    let note = Note::parse(note_bytes, CHECKPOINT_BYTES_MAX)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    check_scope(&checkpoint, expected)?;
    let epoch = check_signature(&note, &checkpoint, expected)?;
    check_format(&checkpoint, expected)?;
    check_issue(&checkpoint, expected)?;
    let note_hash = note_hash(note_bytes);
    check_order(&checkpoint, epoch, note_hash, expected)?;
    check_expiry(&checkpoint, expected)?;
    Ok(Accepted {
        verdict: verdict(&checkpoint, expected.held),
        lost_commits: lost_commits(&checkpoint, expected),
        checkpoint,
        note_hash,
    })
}

fn rank_of(checkpoint: &Checkpoint) -> StateRank {
    StateRank { root: checkpoint.root, position: checkpoint.position() }
}

fn check_scope(checkpoint: &Checkpoint, expected: &AcceptanceContext<'_>) -> Result<(), Refusal> {
    if checkpoint.registry != expected.registry {
        return Err(Refusal::WrongRegistry {
            expected: expected.registry.to_owned(),
            found: checkpoint.registry.clone(),
        });
    }
    if checkpoint.view != expected.view {
        return Err(Refusal::WrongView { expected: expected.view.to_owned(), found: checkpoint.view.clone() });
    }
    Ok(())
}

/// The key is the one that the epoch's root document bound to it, and the newest root document still lists that key: a
/// name that was reassigned or removed since does not sign any more.
fn check_signature<'a>(
    note: &Note,
    checkpoint: &Checkpoint,
    expected: &AcceptanceContext<'a>,
) -> Result<&'a EpochRecord, Refusal> {
    let chain = expected.chain;
    if chain.get(checkpoint.root).is_none() {
        return Err(Refusal::UnknownRoot { needs: checkpoint.root });
    }
    let epoch = expected
        .epochs
        .iter()
        .map(VerifiedEpoch::record)
        .find(|record| record.epoch == checkpoint.epoch)
        .ok_or(Refusal::UnknownEpoch { needs: checkpoint.epoch })?;
    let name = &epoch.checkpoint_key;
    let wrong_key = || Refusal::WrongKey { key: name.clone() };
    let bound = chain.get(epoch.root).and_then(|root| root.document().checkpoint_key(name)).ok_or_else(wrong_key)?;
    if chain.current().checkpoint_key(name) != Some(bound) {
        return Err(wrong_key());
    }
    match note.verify(&signer_name(expected.registry, name), bound)? {
        Signed::Yes => Ok(epoch),
        Signed::No => Err(wrong_key()),
    }
}

fn check_format(checkpoint: &Checkpoint, expected: &AcceptanceContext<'_>) -> Result<(), Refusal> {
    if checkpoint.min_reader > expected.reader_version {
        return Err(Refusal::MinReader { needs: checkpoint.min_reader, has: expected.reader_version });
    }
    if checkpoint.view_definition != expected.definition {
        return Err(Refusal::WrongDefinition { expected: expected.definition.0, found: checkpoint.view_definition.0 });
    }
    Ok(())
}

fn check_issue(checkpoint: &Checkpoint, expected: &AcceptanceContext<'_>) -> Result<(), Refusal> {
    if expected.now.is_future(checkpoint.issued) {
        return Err(Refusal::Future {
            issued: checkpoint.issued,
            ahead_s: checkpoint.issued.saturating_sub(expected.now.now_s),
        });
    }
    let lifetime_s = checkpoint.expires.abs_diff(checkpoint.issued);
    let allowed_s = expected.chain.current().max_lifetime_s;
    if lifetime_s > allowed_s {
        return Err(Refusal::Lifetime { lifetime_s, allowed_s });
    }
    Ok(())
}

fn check_order(
    checkpoint: &Checkpoint,
    epoch: &EpochRecord,
    note_hash: [u8; 32],
    expected: &AcceptanceContext<'_>,
) -> Result<(), Refusal> {
    let offered = rank_of(checkpoint);
    let held = expected.held.map(|held| held.rank);
    let start = epoch.base.map(|base| StateRank {
        root: epoch.root.min(offered.root),
        position: Position { epoch: epoch.epoch, seq: base.position.seq },
    });
    if let Some(held) = expected.held.filter(|held| is_fork(checkpoint, held, expected.chain)) {
        return Err(Refusal::Fork(Box::new(ForkEvidence {
            held: held.rank.position,
            held_state: held.state,
            held_note: held.note_hash,
            offered: offered.position,
            offered_state: checkpoint.state,
            offered_note: note_hash,
        })));
    }
    [held, expected.watermark, start]
        .into_iter()
        .flatten()
        .try_for_each(|reached| not_below(offered, reached, expected.chain))
}

fn not_below(offered: StateRank, reached: StateRank, chain: &RootChain) -> Result<(), Refusal> {
    let lowest = StateRank {
        root: reached.root,
        position: chain.reset_between(reached.root, offered.root).unwrap_or(reached.position),
    };
    if offered.root >= lowest.root && offered.position >= lowest.position {
        return Ok(());
    }
    let earlier_reign = offered.position.epoch < lowest.position.epoch;
    if earlier_reign && offered.position.seq > lowest.position.seq {
        return Err(Refusal::Fenced { lowest, offered });
    }
    Err(Refusal::Rollback { lowest, offered })
}

/// Whether a signed checkpoint and the current one cannot belong to one history.
///
/// Two at one position must agree in state and audit log. Of two at different positions, `changed` in the later one is
/// the last commit that changed the view: if it is not after the earlier one, both must agree in it and in the state.
/// After a reset, and in another epoch, positions can be reached a second time.
fn is_fork(checkpoint: &Checkpoint, held: &HeldCheckpoint, chain: &RootChain) -> bool {
    let older = held.rank.root.min(checkpoint.root);
    let newer = held.rank.root.max(checkpoint.root);
    if checkpoint.epoch != held.rank.position.epoch || chain.reset_between(older, newer).is_some() {
        return false;
    }
    let held_seq = held.rank.position.seq;
    match checkpoint.seq.cmp(&held_seq) {
        Ordering::Equal => (checkpoint.state, checkpoint.audit) != (held.state, held.audit),
        Ordering::Greater => checkpoint.changed <= held_seq && !is_unchanged(checkpoint, held),
        Ordering::Less => held.changed <= checkpoint.seq && !is_unchanged(checkpoint, held),
    }
}

fn is_unchanged(checkpoint: &Checkpoint, held: &HeldCheckpoint) -> bool {
    checkpoint.state == held.state && checkpoint.changed == held.changed
}

/// Prevents an old state from being the first one. After the first, nothing is rejected for its age: that would leave a
/// replica on an even older one. A replica with an expired checkpoint says so in every answer.
fn check_expiry(checkpoint: &Checkpoint, expected: &AcceptanceContext<'_>) -> Result<(), Refusal> {
    if expected.held.is_some() || checkpoint.expires >= expected.now.now_s {
        return Ok(());
    }
    Err(Refusal::Expired { expires: checkpoint.expires, now_s: expected.now.now_s })
}

fn verdict(checkpoint: &Checkpoint, held: Option<&HeldCheckpoint>) -> Verdict {
    let Some(held) = held.filter(|held| is_unchanged(checkpoint, held)) else {
        return Verdict::Newer;
    };
    let later = (checkpoint.root, checkpoint.issued) > (held.rank.root, held.issued);
    match checkpoint.position() == held.rank.position {
        false => Verdict::Unchanged,
        true if later => Verdict::Same,
        true => Verdict::Known,
    }
}

/// How far the current position is beyond the point up to which its commits were kept.
fn lost_commits(checkpoint: &Checkpoint, expected: &AcceptanceContext<'_>) -> u64 {
    let Some(held) = expected.held.map(|held| held.rank) else {
        return 0;
    };
    let since = held.position.epoch.saturating_add(1)..=checkpoint.epoch;
    let bases = expected
        .epochs
        .iter()
        .map(VerifiedEpoch::record)
        .filter(|record| since.contains(&record.epoch))
        .map(|record| record.base.map_or(0, |base| base.position.seq));
    let reset = expected.chain.reset_between(held.root, checkpoint.root);
    let kept = bases.chain(reset.map(|position| position.seq)).min();
    kept.map_or(0, |seq| held.position.seq.saturating_sub(seq))
}
