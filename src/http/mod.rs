//! The HTTP API.
//!
//! It defines paths, status codes, headers and limits of requests. `registry` decides what is allowed, and `resolve`
//! what is answered. [`service::HttpService`] answers one request; [`listen::serve`] accepts connections for it.

mod about;
mod admin;
mod alerts;
pub mod auth;
mod batches;
mod browser_paths;
mod caching;
mod change_requests;
mod code;
mod compress;
mod cross_site;
mod denied_log;
mod door;
mod download;
mod drafts;
pub mod error;
mod etag;
mod evaluations;
mod events;
mod exporter;
mod extract;
mod fast_path;
mod forwarded;
mod freshness_headers;
mod govern;
mod hosts;
mod library;
pub mod listen;
mod measure;
mod names;
mod observed;
pub mod openapi;
mod operate;
mod otlp;
pub mod peer;
mod place;
mod prices;
mod promotions;
mod publication;
mod read;
mod replicate;
mod report;
mod request;
mod request_id;
mod responses;
mod route;
pub mod router;
mod rule_sets;
pub mod service;
mod sessions;
mod shares;
pub mod state;
mod stats;
mod telemetry;
mod telemetry_files;
#[cfg(any(test, fuzzing))]
pub mod testing;
#[cfg(test)]
mod tests;
mod timeouts;
mod ui;
mod webhooks;
mod work;
mod write;

pub use axum::http::{HeaderName, HeaderValue};
pub use door::{Door, KEEP_ALIVE_S_DEFAULT};
pub use forwarded::Proxies;
pub use hosts::Hosts;
pub use listen::{Listener, serve};
pub use peer::Peer;
pub use service::HttpService;
pub use state::{About, AppState};
