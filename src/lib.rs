//! Bookholder stores every version of every prompt of an AI application and serves the live one next to the
//! application, in microseconds, online or offline.
//!
//! [`server`] starts a primary or a replica; [`resolve::Resolver`] answers in process what a node
//! answers over HTTP. The modules are the layers of ARCHITECTURE.md, and import only from below.

#![forbid(unsafe_code)]
pub mod cli;
pub mod config;
pub mod evaluate;
pub mod files;
pub mod http;
pub mod ingest;
pub mod logging;
pub mod metrics;
pub mod registry;
pub mod replication;
pub mod report;
pub mod resolve;
pub mod server;
pub mod signing;
pub mod watch;
pub mod webhooks;

pub use bookholder_client as client;
pub use bookholder_evaluation as evaluation;
pub use bookholder_model::{api, clock, json, model, yaml};
pub use bookholder_rules::{experiment, governance, template};
pub use bookholder_store as store;
pub use bookholder_telemetry as telemetry;
pub use bookholder_trust::{crypto, trust};
pub use bookholder_ui as web;
