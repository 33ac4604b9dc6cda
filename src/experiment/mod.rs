//! Experiments: which version a subject gets.
//!
//! Pure functions of what is given: the same subject gets the same version on every node. Keeps no assignments
//! and measures nothing.

pub mod assignment;
