//! The highest accepted position in a small file, so that a replica that lost its database does not accept an older
//! state.

use std::path::Path;

use crate::model::position::Position;
use crate::store::files::{WATERMARK_FILE, replace};
use crate::trust::accept::StateRank;

/// Reads the watermark, `root epoch.seq` and a line break; `None` if the file is missing or unreadable.
pub(super) fn read(directory: &Path) -> Option<StateRank> {
    let text = std::fs::read_to_string(directory.join(WATERMARK_FILE)).ok()?;
    let (root, position) = text.trim_end().split_once(' ')?;
    Some(StateRank { root: root.parse().ok()?, position: position.parse::<Position>().ok()? })
}

/// Writes the watermark, durably.
pub(super) fn write(directory: &Path, rank: StateRank) -> std::io::Result<()> {
    replace(&directory.join(WATERMARK_FILE), format!("{} {}\n", rank.root, rank.position).as_bytes(), 0o600)
}
