//! Whoever stands between a primary and a replica lies in every way we know of; the replica refuses by name, and goes
//! on answering what it had.

mod deltas;
mod disk;
mod lineage;
mod live;
mod notes;
