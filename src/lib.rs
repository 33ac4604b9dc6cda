#![forbid(unsafe_code)]
pub mod api;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod experiment;
pub mod files;
pub mod governance;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod registry;
pub mod replication;
pub mod resolve;
pub mod store;
pub mod template;
pub mod trust;
pub mod watch;
