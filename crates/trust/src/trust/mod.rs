//! What a replica trusts: signed root documents, epochs and checkpoints, and the decision to accept one.
//!
//! Pure rules over untrusted bytes. No files, no network, no clock and no keys of its own: time comes in as an
//! argument, and what is to be remembered is returned to the caller as a value.
//!
//! Invariant: a document is believed only through [`root_chain::RootChain`], which starts at the key id that an operator
//! typed; and no text has two spellings that are both accepted.

pub mod accept;
pub mod checkpoint;
pub mod epoch;
mod lines;
pub mod manifest;
pub mod names;
pub mod records;
pub mod refusal;
pub mod root;
pub mod root_chain;
pub mod time;

pub use lines::SyntaxError;
pub use names::signer_name;

#[cfg(test)]
mod tests;
