//! Positions in the history of a registry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::{built_schema, text};

/// A point in the history of a registry: the commit `seq` in the epoch `epoch`.
///
/// Written `epoch.seq`, for example `1.4529`. Ordered by epoch first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// The epoch; 1 for a registry that never failed over.
    pub epoch: u64,
    /// The number of the commit, registry-wide; continues across epochs.
    pub seq: u64,
}

built_schema!(
    Position = text("A point in the registry's history, as `epoch.commit`.", "1.4529")
        .max_length(Some(41))
        .pattern(Some(r"^(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})$"))
);

/// The text is not `epoch.seq`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid position `{0}`: use epoch.seq, for example 1.4529")]
pub struct PositionError(String);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| {
            let canonical = part == "0" || !part.starts_with(['0', '+']);
            if canonical { part.parse::<u64>().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(epoch, seq)| Some(Self { epoch: parse(epoch)?, seq: parse(seq)? }))
            .ok_or_else(|| PositionError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Position {
    type Error = PositionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_reads_back_and_other_spellings_are_refused() {
        let position = Position { epoch: 3, seq: 184_467 };
        assert_eq!("3.184467".parse(), Ok(position));
        for bad in ["", "3", "3.", ".4", "03.4", "3.+4", "3.4.5", "3.18446744073709551616", "-1.2"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
