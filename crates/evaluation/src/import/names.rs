//! Names of cases: as the file has them, valid and unique.

use std::collections::{HashMap, HashSet};

use crate::model::suite::CASE_NAME_CHARACTERS_MAX;

/// Room for the number that makes a name unique.
const SUFFIX_CHARACTERS: usize = 10;

/// The names so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// How often each name was asked for.
    asked: HashMap<String, usize>,
    count: usize,
}

impl Names {
    /// The name of the next case: the given one, `case N` if it is empty, and with a number if it is taken.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        self.count += 1;
        let clean: String = wanted.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let short: String = clean.trim().chars().take(CASE_NAME_CHARACTERS_MAX - SUFFIX_CHARACTERS).collect();
        let base = if short.is_empty() { format!("case {}", self.count) } else { short.trim_end().to_owned() };
        let mut name = base.clone();
        while !self.taken.insert(name.clone()) {
            let asked = self.asked.entry(base.clone()).or_insert(1);
            *asked += 1;
            name = format!("{base} ({asked})");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_unique() {
        let mut names = Names::default();
        let long = "é".repeat(500);
        let taken = ["a", "", "a", "a (2)", " a\n", "\t", &long, &long].map(|name| names.take(name));
        assert_eq!(taken.first().expect("a name"), "a");
        assert_eq!(taken[1..6], ["case 2", "a (2)", "a (2) (2)", "a (3)", "case 6"]);
        assert_eq!(taken[7].chars().count(), 194);
        assert_ne!(taken[6], taken[7]);
    }
}
