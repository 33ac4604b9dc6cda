//! Governance: permissions, label policies, the effect of changes on callers, and differences between contents.
//!
//! Pure rules over values. The registry collects the facts, requests the decision, and records it.

pub mod alert;
pub mod announcement;
pub mod audit_copy;
pub mod diff;
pub mod event;
pub mod interface;
pub mod label_policy;
pub mod merge;
pub mod policy_words;
pub mod report;
pub mod risk;
pub mod rollout;
pub mod rulebook;
pub mod slack;
pub mod webhook;
pub mod webhook_url;
