#![forbid(unsafe_code)]
pub mod api;
pub mod clock;
pub mod crypto;
pub mod experiment;
pub mod governance;
pub mod metrics;
pub mod model;
pub mod registry;
pub mod replication;
pub mod resolve;
pub mod store;
pub mod template;
pub mod trust;
