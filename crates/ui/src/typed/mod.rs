//! Conversion between form fields and values.

pub mod alert;
pub mod content;
pub mod serving;
pub mod suite;

use std::collections::BTreeMap;

/// Fields of a form, by name.
pub type Fields = BTreeMap<String, String>;
