//! Tests of trust, named by attack, and their setup: one registry, its keys, one replica.

mod attacks;
mod epochs;
mod order;
mod roots;
mod texts;

use super::accept::{AcceptanceContext, Accepted, HeldCheckpoint, Refusal, StateRank, TrustedTime, accept};
use super::checkpoint::{Checkpoint, NO_PREVIOUS, all_view_definition, note_hash};
use super::epoch::{EpochBase, EpochRecord, VerifiedEpoch};
use super::root::{RootDocument, sign_root};
use super::root_chain::RootChain;
use crate::crypto::key::SigningKey;
use crate::model::position::Position;

/// 2026-11-20, as in the example of the protocol.
const NOW_S: i64 = 1_795_169_531;
const REGISTRY: &str = "prompts.example.org";
const HOUR_S: i64 = 3_600;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// The keys of the registry by purpose; others belong to an attacker.
fn root_key() -> SigningKey {
    key(1)
}
fn checkpoint_key() -> SigningKey {
    key(2)
}
fn failover_key() -> SigningKey {
    key(3)
}
/// The key of the primary that takes over.
fn second_key() -> SigningKey {
    key(4)
}

fn at(epoch: u64, seq: u64) -> Position {
    Position { epoch, seq }
}

fn root_document() -> RootDocument {
    RootDocument {
        registry: REGISTRY.to_owned(),
        version: 1,
        threshold: 1,
        root_keys: vec![root_key().verifying_key()],
        checkpoint_keys: vec![("checkpoint-2026a".to_owned(), checkpoint_key().verifying_key())],
        failover_keys: vec![("failover-a".to_owned(), failover_key().verifying_key())],
        max_lifetime_s: 7_776_000,
        reset: None,
        issued: NOW_S - 1_000_000,
    }
}

fn chain_of(document: &RootDocument) -> RootChain {
    let note = sign_root(document, &[&root_key()]).unwrap();
    RootChain::begin(&document.key_id(), &note).unwrap()
}

fn epoch_record(epoch: u64, key_name: &str, root: u64) -> EpochRecord {
    EpochRecord {
        registry: REGISTRY.to_owned(),
        epoch,
        base: None,
        checkpoint_key: key_name.to_owned(),
        root,
        issued: NOW_S - 1_000_000,
    }
}

fn checkpoint(epoch: u64, seq: u64) -> Checkpoint {
    Checkpoint {
        registry: REGISTRY.to_owned(),
        view: "all".to_owned(),
        root: 1,
        epoch,
        seq,
        changed: seq,
        floor: 0,
        state: [7; 32],
        entries: 12_873,
        tombstones: 311,
        bytes: 9_120_344,
        view_definition: all_view_definition(),
        manifest: None,
        previous: NO_PREVIOUS,
        issued: NOW_S,
        expires: NOW_S + HOUR_S,
        min_reader: 1,
        audit: [5; 32],
    }
}

/// A checkpoint as the first primary signs it.
fn signed(checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.sign("checkpoint-2026a", &checkpoint_key()).unwrap()
}

/// The state of one replica.
#[derive(Clone)]
struct Replica {
    chain: RootChain,
    epochs: Vec<VerifiedEpoch>,
    held: Option<HeldCheckpoint>,
    watermark: Option<StateRank>,
    now: TrustedTime,
}

impl Replica {
    /// Newly set up: root 1 and epoch 1, no data.
    fn fresh() -> Self {
        let mut replica = Self {
            chain: chain_of(&root_document()),
            epochs: Vec::new(),
            held: None,
            watermark: None,
            now: TrustedTime::at(NOW_S, NOW_S - HOUR_S),
        };
        replica.learn_epoch(&epoch_record(1, "checkpoint-2026a", 1));
        replica
    }

    /// Has the state of [`checkpoint`] at a position of epoch 1.
    fn holding(seq: u64) -> Self {
        let mut replica = Self::fresh();
        let accepted = replica.offer(&signed(&checkpoint(1, seq))).unwrap();
        replica.apply(&accepted);
        replica
    }

    fn learn_epoch(&mut self, record: &EpochRecord) {
        let note = record.sign_by_roots(&[&root_key()]).unwrap();
        let verified = VerifiedEpoch::verify(&note, &self.chain).unwrap();
        self.epochs.push(verified);
    }

    /// A second primary takes over at `base`, with its own key under root 2 and epoch 2.
    fn learn_failover(&mut self, base: Position) {
        self.walk(|root| {
            let second = ("checkpoint-2026b".to_owned(), second_key().verifying_key());
            root.checkpoint_keys.push(second);
        });
        let base = Some(EpochBase { position: base, state: [7; 32] });
        let record = epoch_record(2, "checkpoint-2026b", 2);
        self.learn_epoch(&EpochRecord { base, ..record });
    }

    /// Adds the next root document: the current one after `change`.
    fn walk(&mut self, change: impl FnOnce(&mut RootDocument)) {
        let mut next = self.chain.current().clone();
        next.version += 1;
        next.reset = None;
        change(&mut next);
        let note = sign_root(&next, &[&root_key()]).unwrap();
        self.chain.extend(&note).unwrap();
    }

    fn expectation(&self) -> AcceptanceContext<'_> {
        AcceptanceContext {
            registry: REGISTRY,
            view: "all",
            definition: all_view_definition(),
            chain: &self.chain,
            epochs: &self.epochs,
            held: self.held.as_ref(),
            watermark: self.watermark,
            reader_version: 1,
            now: self.now,
        }
    }

    fn offer(&self, note: &[u8]) -> Result<Accepted, Refusal> {
        accept(note, &self.expectation())
    }

    fn apply(&mut self, accepted: &Accepted) {
        let held = accepted.held();
        self.watermark = self.watermark.max(Some(held.rank));
        self.held = Some(held);
    }

    /// The reason for which this checkpoint is rejected, after parsing the message.
    fn refuses(&self, note: &[u8]) -> &'static str {
        match self.offer(note) {
            Ok(accepted) => panic!("accepted as {:?}", accepted.verdict),
            Err(refusal) => {
                let message = refusal.to_string();
                assert!(message.starts_with(|c: char| c.is_ascii_lowercase()), "{message}");
                refusal.reason()
            }
        }
    }
}
