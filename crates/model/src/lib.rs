//! The domain types of a registry, and the requests and answers of its API.
//!
//! No I/O; [`clock`] alone reads the time, and callers receive it as an argument.

#![forbid(unsafe_code)]
pub mod api;
pub mod clock;
pub mod json;
pub mod model;
pub mod yaml;
