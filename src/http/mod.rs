//! The HTTP interface.
//!
//! It defines paths, status codes, headers and limits of requests. `registry` decides what is allowed, and `resolve`
//! what is answered. [`service::Face`] answers one request; [`listen::serve`] accepts connections for it.

mod about;
mod admin;
pub mod auth;
mod caching;
mod change_requests;
mod code;
mod compress;
mod denied_log;
mod door;
mod drafts;
pub mod error;
mod events;
mod extract;
mod forwarded;
mod freshness_headers;
mod govern;
mod hosts;
mod library;
pub mod listen;
mod measure;
mod names;
pub mod openapi;
mod operate;
mod place;
mod read;
mod replicate;
mod report;
mod request;
pub mod router;
mod rule_sets;
pub mod service;
mod shares;
pub mod state;
#[cfg(test)]
mod tests;
mod timeouts;
mod ui;
mod webhooks;
mod work;
mod write;

pub use auth::Peer;
pub use axum::http::HeaderName;
pub use door::Door;
pub use forwarded::Proxies;
pub use hosts::Hosts;
pub use listen::{KEEP_ALIVE_S_DEFAULT, Listener, serve};
pub use service::HttpService;
pub use state::{About, AppState};
