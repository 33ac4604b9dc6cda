//! The parameters of the journeys.

pub mod answer;
pub mod command;
pub mod contract;
pub mod filler;
pub mod form;
pub mod node;
pub mod primary;
pub mod replica;
pub mod team;
pub mod upstream;
pub mod wire;
