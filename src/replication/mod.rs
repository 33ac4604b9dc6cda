//! Replicates state from a primary to replicas, over HTTP or files.
//!
//! [`engine`] decides, without I/O: events in, actions out. [`follower`] runs it on a replica, [`publisher`] answers it
//! on a primary, and [`bundle`] is the same data in a directory. Nothing in between is trusted: only what a verified
//! checkpoint signs is applied.

mod applying;
pub mod bundle;
pub mod connected_replicas;
pub mod engine;
pub mod exchange;
mod fetching;
pub mod follower;
mod forwarding;
pub mod health;
mod importing;
mod inbox;
mod pace;
pub mod publish_error;
pub mod publisher;
pub mod reasons;
pub mod replica_state;
mod reporting;
pub mod sign_off;
mod spools;
pub mod telemetry_file;
mod transport;
mod watermark;
pub mod witness;
