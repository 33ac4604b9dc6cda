//! Files that people and other libraries hand in: prompt files, lock files, histories, and the names in them.
//!
//! Everything here turns text into values and back. Nothing here opens a file, asks the time or talks to a server;
//! `cli` and `watch` do. Invariant: what is written here reads back as the same value.

pub mod batches;
pub mod compare;
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
mod yaml;
