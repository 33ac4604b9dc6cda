//! Webhooks: events on their way out of a primary.
//!
//! What happened, who hears of it and what became of it is kept by the registry's outbox; here it is signed and sent.

mod dispatcher;

pub use dispatcher::run;
