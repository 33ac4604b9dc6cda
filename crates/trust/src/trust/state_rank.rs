//! The order of signed states.

use std::fmt;

use crate::model::position::Position;

/// A position with the version of its root document. Shown as `2/1.4529`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateRank {
    /// The version of the root document.
    pub root: u64,
    /// The commit.
    pub position: Position,
}

impl fmt::Display for StateRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.position)
    }
}
