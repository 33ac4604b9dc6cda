//! What a primary signs, when and with which keys, and the signed records that it keeps as files.
//!
//! It decides nothing about prompts: [`signer`] signs the state that the store committed, at a time of [`primary_clock`].

pub mod key_files;
pub mod primary_clock;
pub mod signer;
pub mod trust_files;
