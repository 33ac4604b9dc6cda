//! The read path: resolves references to versions and their content.
//!
//! [`Resolver`] is what applications call, in process or over HTTP: a plain function that answers from memory if
//! possible, and from the database otherwise. [`Catalogue`] answers all other queries about prompts, for a
//! [`ReadScope`] and from one snapshot. Neither waits for a writer or the network.

pub mod answer;
pub mod catalogue;
mod change_clock;
pub mod error;
pub mod finder;
pub mod freshness;
pub mod matching;
pub mod report;
pub mod resolver;
pub mod scope;
pub mod texts;
#[cfg(test)]
mod texts_tests;
pub mod usage;
mod version_text;

pub use answer::{Answer, SharedAnswer};
pub use catalogue::{Catalogue, CatalogueView};
pub use error::ResolveError;
pub use resolver::{Query, Resolver};
pub use scope::ReadScope;
