//! Sends webhooks from a primary.
//!
//! The registry's outbox stores events, receivers and results; this module signs and sends.

mod dispatcher;

pub use dispatcher::run;
