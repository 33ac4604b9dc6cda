//! Governance: who may change what, what a label demands, what a change means for callers, and what
//! exactly changed.
//!
//! Pure rules over values. The registry gathers the facts, asks, and records what was decided.

pub mod announcement;
pub mod audit_copy;
pub mod diff;
pub mod event;
pub mod interface;
pub mod label_policy;
pub mod merge;
pub mod policy_words;
pub mod reach;
pub mod report;
pub mod risk;
pub mod rulebook;
pub mod slack;
pub mod webhook;
