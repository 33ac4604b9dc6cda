//! Cryptography: the lattice hash of a state, keys, signed notes, access tokens, webhook secrets, requests to S3.
//!
//! Nothing here knows domain terms, reads files or reads the time. Randomness is drawn in exactly three places,
//! [`key::SigningKey::generate`], [`secret::AccessToken::generate`] and [`webhook::WebhookSecret::generate`].
//!
//! Invariant: every value has exactly one accepted text or byte form, so equal values are equal byte for byte.

pub mod key;
pub mod lattice;
pub mod note;
pub mod secret;
pub mod sigv4;
pub mod tls;
pub mod webhook;
