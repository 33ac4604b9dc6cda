//! Sends webhooks from a primary.
//!
//! The registry's outbox stores events, receivers and results; this module signs and sends.

mod deliver;
mod dispatcher;

pub use deliver::Deliverer;
pub use dispatcher::run;
