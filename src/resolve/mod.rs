//! The read path: resolves references to versions and their content.
//!
//! [`Resolver`] is what applications call, in process or over HTTP: a plain function that answers
//! from memory what it answered before, and from the database otherwise. [`Catalogue`] answers
//! everything else about prompts, to a [`ReadScope`] and from one state. Neither waits for a writer, nor for a network.

pub mod answer;
pub mod catalogue;
mod change_clock;
pub mod error;
pub mod finder;
pub mod freshness;
pub mod report;
pub mod resolver;
pub mod scope;
pub mod usage;

pub use answer::Answer;
pub use catalogue::{Catalogue, CatalogueView};
pub use error::ResolveError;
pub use resolver::{Query, Resolver};
pub use scope::ReadScope;
