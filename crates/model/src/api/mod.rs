//! The wire contract: requests and responses as JSON.
//!
//! Server, command line and replicas share these types, so they cannot drift apart. `http` maps errors to status codes;
//! `registry` decides whether a request is allowed.

pub mod alerts;
pub mod completeness;
pub mod erasure;
pub mod evaluations;
pub mod govern;
pub mod limits;
pub mod observed;
pub mod prices;
pub mod problem;
pub mod promote;
pub mod read;
pub mod stats;
pub mod status;
pub mod telemetry;
pub mod telemetry_files;
pub mod webhooks;
pub mod write;
