//! Which prompts a group of commits changed, within a limit.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Most names that one group of commits reports; beyond that, everything counts as changed.
const TOUCHED_NAMES_MAX: usize = 10_000;

/// Which prompts a group of commits changed.
#[derive(Clone, Debug)]
pub enum Touched {
    /// These, sorted.
    Names(Arc<BTreeSet<String>>),
    /// All, or too many to list.
    Everything,
}

impl Default for Touched {
    fn default() -> Self {
        Self::Names(Arc::default())
    }
}

impl Touched {
    /// Adds a prompt.
    pub(super) fn add(&mut self, name: &str) {
        let Self::Names(names) = self else { return };
        if names.contains(name) {
            return;
        }
        if names.len() < TOUCHED_NAMES_MAX {
            Arc::make_mut(names).insert(name.to_owned());
        } else {
            *self = Self::Everything;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_names_become_everything() {
        let mut touched = Touched::default();
        for number in 0..TOUCHED_NAMES_MAX {
            touched.add(&number.to_string());
        }
        touched.add("0");
        assert!(matches!(&touched, Touched::Names(names) if names.len() == TOUCHED_NAMES_MAX));
        touched.add("one more");
        touched.add("0");
        assert!(matches!(touched, Touched::Everything));
    }
}
