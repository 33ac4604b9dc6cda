//! Bookholder stores every version of every prompt of an AI application and serves the live one next to the
//! application, in microseconds, online or offline.
//!
//! [`server`] starts a primary or a replica; [`resolve::Resolver`] answers in process what a node
//! answers over HTTP. The modules are the layers of ARCHITECTURE.md, and import only from below.

#![forbid(unsafe_code)]
pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod experiment;
pub mod files;
pub mod governance;
pub mod http;
pub mod json;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod registry;
pub mod replication;
pub mod resolve;
pub mod server;
pub mod store;
pub mod template;
pub mod trust;
pub mod watch;
pub mod web;
pub mod webhooks;
