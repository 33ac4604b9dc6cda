//! What a replica trusts: signed root documents, epochs and checkpoints, and the decision to accept one.
//!
//! Pure rules over untrusted bytes. No files, no network, no clock and no keys: time is an argument, and what has to be
//! stored is returned to the caller.
//!
//! Invariant: a document is trusted only through [`root_chain::RootChain`], which starts at the key ID that an operator
//! entered; and no text has two accepted spellings.

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
pub mod state_rank;
pub mod time;

pub use lines::SyntaxError;
pub use names::signer_name;

#[cfg(test)]
mod tests;
