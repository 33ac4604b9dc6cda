//! Governance: what a change means for callers, and what exactly changed.
//!
//! Pure comparisons of contents. Who may do what is the registry's business.

pub mod diff;
pub mod interface;
