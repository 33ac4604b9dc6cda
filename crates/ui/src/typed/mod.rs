//! What people type into the forms of pages, and what is meant by it.

pub mod content;
pub mod serving;

use std::collections::BTreeMap;

/// Fields of a form, by name.
pub type Fields = BTreeMap<String, String>;
