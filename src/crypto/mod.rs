//! Cryptography that the house stands on: the lattice hash of a state, keys, signed texts, access tokens.
//!
//! Nothing here knows a domain word, reads a file or asks for the time. Randomness is drawn in exactly three places,
//! [`key::SigningKey::generate`], [`secret::AccessToken::generate`] and [`webhook::WebhookSecret::generate`].
//!
//! Invariant: whatever arrives as text or bytes has one accepted spelling, so equal things are equal byte for byte.

pub mod key;
pub mod lattice;
pub mod note;
pub mod secret;
pub mod tls;
pub mod webhook;
