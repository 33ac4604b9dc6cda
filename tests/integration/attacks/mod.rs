//! An attacker between a primary and a replica tries all known attacks; the replica rejects each with its reason, and
//! keeps answering.

mod clocks;
mod deltas;
mod disk;
mod forks;
mod lineage;
mod live;
mod notes;
mod pauses;
mod unchanged;
