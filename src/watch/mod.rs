//! Watched folders: prompt files to publish, and an inbox for bundles.
//!
//! Events only say that something happened; what happened is found by looking. So lost, doubled and
//! reordered events, and editors that save by renaming, all come to the same.

mod changes;
pub mod folder;
pub mod inbox;
pub mod tree;
