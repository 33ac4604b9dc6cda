//! The domain types of a registry, and the requests and answers of its API.
//!
//! Nothing here does I/O: [`clock`] alone asks the time, for those who are handed it.

#![forbid(unsafe_code)]
pub mod api;
pub mod clock;
pub mod json;
pub mod model;
