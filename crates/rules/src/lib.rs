//! The rules of a registry: templates, governance and splits. No I/O, no clocks, no unseeded randomness.

#![forbid(unsafe_code)]
pub mod experiment;
pub mod governance;
pub mod template;

use bookholder_model::{clock, json, model};
