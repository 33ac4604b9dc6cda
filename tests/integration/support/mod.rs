//! What the stories are told with.

pub mod primary;
pub mod replica;
pub mod upstream;
