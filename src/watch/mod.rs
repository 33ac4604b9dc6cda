//! Watched folders: prompt files to publish, and an inbox for bundles.
//!
//! Events only say that something happened; a scan finds out what. So lost, duplicated and reordered events, and
//! editors that save by renaming, make no difference.

mod changes;
pub mod folder;
pub mod inbox;
pub mod tree;
