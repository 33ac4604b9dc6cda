//! Templates: parsing, checking and rendering the texts of a content.
//!
//! Three syntaxes (`mustache`, `jinja`, `plain`), the variables that a text uses, includes, rendering, and warnings.
//! Fetches nothing: the caller resolves includes. Every function here ends, in bounded memory, for any input.

#[cfg(test)]
mod bombs;
mod budget;
mod calls;
#[cfg(test)]
mod calls_tests;
mod engine_error;
pub mod error;
pub mod extract;
mod guards;
pub mod include;
mod jinja;
#[cfg(test)]
mod jinja_tests;
pub mod lint;
mod listed;
pub mod marks;
mod methods;
mod mustache;
mod python;
pub mod render;
#[cfg(test)]
mod render_vectors;
#[cfg(any(test, fuzzing))]
pub mod same_tokens;
mod sandbox;
mod scan;
mod uses;
pub mod variables;
