//! The wire contract: what requests and answers look like as JSON.
//!
//! Server, command line and replicas share these types, so they cannot drift apart. Which status
//! code an error has is `http`'s business; whether a request may be done is `registry`'s.

pub mod govern;
pub mod limits;
pub mod problem;
pub mod read;
pub mod status;
pub mod webhooks;
pub mod write;
