//! Parses YAML as JSON values, or rejects it; and writes such values.
//!
//! YAML has several ways to write a value, and its versions disagree about some. [`read`] accepts forms with one meaning
//! for every parser: strings in every style, `null` and `~`, `true` and `false`, numbers in JSON syntax, lists and
//! maps. Forms that could mean something else are rejected with line and path: duplicate keys and keys that are not
//! strings, anchors, aliases and merge keys, tags, multiple documents, and words that some parsers take for a number or
//! boolean and others for a string (`010`, `0x1F`, `0o17`, `1_000`, `12:30`, `.inf`, `.nan`, `+1`; `yes`, `no`, `on`,
//! `off`, which are strings as keys). Dates are strings. The output of [`write`] quotes everything ambiguous.
//!
//! [`read_any`] reads files that other programs define, as YAML 1.2 says: with anchors, merge keys and its core schema.

mod any;
mod read;
mod words;
mod write;

pub use any::read_any;
pub use read::{Read, read};
pub use write::write;

/// Maximum nesting depth; JSON parsers stop there, too.
const LEVELS_MAX: usize = 100;

#[cfg(test)]
mod tests;
