//! Whoever stands between a primary and a replica lies in every way we know of; the replica refuses by name, and goes
//! on answering what it had.

mod clocks;
mod deltas;
mod disk;
mod forks;
mod lineage;
mod live;
mod notes;
mod pauses;
mod unchanged;
