//! Maps names of other libraries to names of prompts.
//!
//! A valid name for a new prompt is unchanged. Any other is converted to the characters of new names
//! ([`PromptName::portable`]), truncated if necessary, and ends in `-` and 12 hex digits of the BLAKE3 of the original.
//!
//! The suffix is always added, so that the result depends on the name alone, and not on other names in the same or an
//! earlier import: `pay|ment` never becomes an original `pay-ment`, and that one is never renamed; `Test` beside `test`
//! becomes another file on every system. Invariant: equal originals map to equal names, different originals of one
//! `NameMapper` to different names, and all are valid for new prompts.

use std::collections::HashMap;

use crate::model::name::{NAME_BYTES_MAX, PromptName};

/// The rule as text, to explain changed names.
pub const RULE: &str = "A name of a-z, 0-9, . _ and - between / is kept. Any other is changed to lower case without \
    accents, every run of other
characters becomes -, and - and 12 hex digits of the BLAKE3 of the original are \
    appended to make it unique; its description is the original name.";

/// Number of hex digits of the suffix; more only to tell two names apart.
const ENDING_DIGITS: [usize; 4] = [12, 24, 48, 64];

/// Maps the names of one import.
#[derive(Debug, Default)]
pub struct NameMapper {
    by_original: HashMap<String, PromptName>,
    taken: HashMap<PromptName, String>,
}

/// The mapped name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedName {
    /// A name of a prompt.
    pub name: PromptName,
    /// Whether it differs from the original.
    pub changed: bool,
}

impl NameMapper {
    /// An empty mapper.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Maps one name.
    pub fn map(&mut self, original: &str) -> MappedName {
        let name = if let Some(known) = self.by_original.get(original) {
            known.clone()
        } else {
            let name = self.free_name(original);
            self.by_original.insert(original.to_owned(), name.clone());
            self.taken.insert(name.clone(), original.to_owned());
            name
        };
        MappedName { changed: name.as_str() != original, name }
    }

    fn free_name(&self, original: &str) -> PromptName {
        let plain = original.parse::<PromptName>().ok().filter(|plain| plain.check_new().is_ok());
        if let Some(plain) = plain {
            return plain;
        }
        let portable = PromptName::portable(original);
        let free = |name: &PromptName| !self.taken.contains_key(name);
        let mut ended = ENDING_DIGITS.iter().filter_map(|digits| ended(&portable, original, *digits));
        ended.find(free).expect("64 hex digits of BLAKE3 tell any two originals apart")
    }
}

fn ended(portable: &str, original: &str, digits: usize) -> Option<PromptName> {
    let hex = blake3::hash(original.as_bytes()).to_hex();
    let kept = portable.get(..NAME_BYTES_MAX - 1 - digits).unwrap_or(portable).trim_end_matches(['/', '.', '-']);
    format!("{kept}-{}", hex.get(..digits)?).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ending(original: &str) -> String {
        format!("-{}", &blake3::hash(original.as_bytes()).to_hex()[..12])
    }

    #[test]
    fn names_are_mapped_by_the_rule() {
        for (original, name) in [
            ("support/agent", "support/agent"),
            ("Harry Potter / Marauder’s Map", "harry-potter/marauder-s-map"),
            ("GPT-5 | EXPERT", "gpt-5-expert"),
            ("a\nb\\c@d", "a-b-c-d"),
            (" a ", "a"),
            ("", "_"),
            ("a//b", "a/_/b"),
            ("../x/.", "_/x/_"),
            ("\t", "_"),
            ("con", "_con"),
            ("Test", "test"),
            ("cafe\u{301}", "cafe"),
            ("a\u{200b}b\u{202e}", "a-b"),
        ] {
            let mapped = NameMapper::new().map(original);
            let expected = if name == original { name.to_owned() } else { name.to_owned() + &ending(original) };
            assert_eq!((mapped.name.as_str(), mapped.changed), (expected.as_str(), name != original));
        }
        for long in ["é".repeat(250), "a/".repeat(150), "a".repeat(201)] {
            let mapped = NameMapper::new().map(&long);
            assert!(mapped.changed && mapped.name.as_str().len() <= NAME_BYTES_MAX, "{}", mapped.name);
            assert!(mapped.name.as_str().ends_with(&ending(&long)), "{}", mapped.name);
        }
    }

    #[test]
    fn mapped_names_are_unique_and_independent_of_order() {
        for originals in [["pay|ment", "pay-ment"], ["pay-ment", "pay|ment"]] {
            let mut mapper = NameMapper::new();
            for original in originals.iter().chain(&originals) {
                let name = mapper.map(original).name;
                assert_eq!(name, NameMapper::new().map(original).name, "no other name matters");
                assert_eq!(name.as_str() == *original, *original == "pay-ment");
            }
        }
    }

    #[test]
    fn names_that_differ_in_case_map_to_different_files() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/history/prompts-chat.jsonl.zst");
        let file = std::fs::read(path).expect("the history of the fixtures");
        let history = String::from_utf8(zstd::decode_all(file.as_slice()).expect("zstd")).expect("UTF-8");
        let mut mapper = NameMapper::new();
        let mut changed = std::collections::BTreeMap::new();
        let mut names = std::collections::BTreeSet::new();
        for line in history.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let original = value["name"].as_str().expect("a name").to_owned();
            let mapped = mapper.map(&original);
            names.insert(mapped.name.to_string());
            if mapped.changed {
                changed.insert(original, mapped.name);
            }
        }
        let files: std::collections::BTreeSet<_> = names.iter().map(|name| name.as_str().to_lowercase()).collect();
        assert_eq!((names.len(), files.len()), (1_724, 1_724));
        assert!(names.contains("test") && changed["Test"].as_str().starts_with("test-"), "{changed:#?}");
    }

    proptest! {
        #[test]
        fn different_originals_have_different_names(originals in prop::collection::vec("[abA./|@ \n-]{0,5}|\\PC{190,210}|[aé./-]{190,210}", 0..40)) {
            let mut mapper = NameMapper::new();
            let names: HashMap<_, _> = originals.iter().map(|o| (mapper.map(o).name, o.clone())).collect();
            let distinct: std::collections::HashSet<_> = originals.iter().collect();
            prop_assert_eq!(names.len(), distinct.len());
            prop_assert!(names.keys().all(|name| name.check_new().is_ok()));
            for original in &originals {
                prop_assert_eq!(&names[&mapper.map(original).name], original);
            }
        }
    }
}
