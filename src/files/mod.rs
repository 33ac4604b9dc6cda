//! Files from people and other libraries: prompt files, lock files, histories, and the names in them.
//!
//! Everything here converts between text and values. Nothing here opens a file, reads the time or talks to a server;
//! `cli` and `watch` do. Invariant: `parse` of a written file gives the same value.

pub mod batches;
pub mod compare;
mod error;
pub mod folder;
mod front_matter;
pub mod history;
pub mod lockfile;
pub mod mapping;
mod markers;
pub mod path;
pub mod prompt;
#[cfg(test)]
mod prompt_tests;
pub mod types;
