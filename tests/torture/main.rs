//! The program under torture: nodes are killed, their network, disk and clock are made to fail, and their power is cut;
//! what must never be wrong is looked up afterwards.
//!
//! Everything here runs real processes of the built program on loopback. A test is one scenario; it takes
//! `TORTURE_SECONDS` (short by default, so that the whole run fits into CI) and prints the seed of its plan, which
//! `TORTURE_SEED` repeats. CONTRIBUTING.md says how to run all of it for long.

#![allow(
    clippy::indexing_slicing,
    reason = "clippy spares test functions and not their helpers; a wrong index fails the test"
)]

mod begin;
mod client;
mod clocks;
mod crowd;
mod disk;
mod evaluation;
mod faults;
mod kills;
mod network;
mod power;
mod proxy;
mod replay;
mod run;
mod telemetry;
mod writers;

/// The parts of the integration tests' support that start processes and speak HTTP.
#[allow(dead_code, reason = "what only the integration tests need")]
#[path = "../integration/support"]
mod support {
    pub mod answer;
    pub mod command;
    pub mod contract;
    pub mod node;
}
