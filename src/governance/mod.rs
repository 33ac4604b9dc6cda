//! Governance: who may change what, what a label demands, what a change means for callers, and what
//! exactly changed.
//!
//! Pure rules over values. The registry gathers the facts, asks, and records what was decided.

pub mod diff;
pub mod interface;
pub mod label_policy;
pub mod merge;
pub mod risk;
pub mod rulebook;
pub mod webhook;
