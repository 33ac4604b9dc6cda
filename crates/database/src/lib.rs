//! Files of redb: opened, checked for their schema, and guarded against damaged pages, on which redb panics.
//!
//! It knows no tables but the one that every file has, `meta`, and nothing of what the others hold.

#![forbid(unsafe_code)]

mod guard;
mod open;

pub use guard::guarded;
pub use open::{FileError, FileForm, META, open};
