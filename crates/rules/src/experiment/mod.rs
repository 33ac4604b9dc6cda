//! Experiments: which version a subject gets.
//!
//! Pure functions: the same subject gets the same version on every node. It stores no assignments and measures nothing.

pub mod assignment;
