//! The id of a request.

use std::fmt;

/// Identifies a request in the log and in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId {
    start: u32,
    number: u64,
}

impl RequestId {
    /// The id of a request by its number since the start of the process, which `start` distinguishes from others.
    pub(super) const fn new(start: u32, number: u64) -> Self {
        Self { start, number }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.start, self.number)
    }
}
