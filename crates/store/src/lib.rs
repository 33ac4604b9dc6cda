//! The data directory: everything a node stores, in one redb file.
//!
//! The replicated state is one ordered map of entries; [`write::WriteTxn`] is the only code that changes it, and it
//! derives the state hash from each change, so that a primary's commit and a replica's delta use the same code. What is
//! written is decided above: by `registry` on a primary, by `replication` on a replica. One thread writes; everything
//! here is synchronous except [`Store::write`], whose answer means durable.

pub mod audit;
pub mod backup;
mod cell;
mod codec;
mod committed;
pub mod condition;
pub mod create;
pub mod delta;
mod delta_error;
pub mod disk;
pub mod documents;
pub mod entry;
pub mod error;
pub mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod history;
pub mod inspect;
pub mod meta;
mod opening;
pub mod outdated;
mod priority;
pub mod query;
pub mod read;
mod record;
pub mod regular;
mod shared;
mod tables;
mod touched;
pub mod verify;
pub mod volume;
pub mod write;
mod writer;
mod writing;

use bookholder_model::{api, model};
use bookholder_trust::{crypto, trust};

pub use committed::{Committed, Seal};
pub use error::StoreError;
pub use files::REGISTRY_FILE;
pub use touched::Touched;
pub use writer::{Options, Store};
