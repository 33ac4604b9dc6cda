//! The built-in rules.
//!
//! A unit test checks their regexes and tests, not the start: nothing is compiled until a keyword matches.

use std::sync::OnceLock;

use super::set::RuleSet;

/// The rule files by name.
pub(super) const FILES: [(&str, &str); 6] = [
    ("secrets.toml", include_str!("rules/secrets.toml")),
    ("personal_data.toml", include_str!("rules/personal_data.toml")),
    ("injection.toml", include_str!("rules/injection.toml")),
    ("exfiltration.toml", include_str!("rules/exfiltration.toml")),
    ("regulated.toml", include_str!("rules/regulated.toml")),
    ("characters.toml", include_str!("rules/characters.toml")),
];

static BUILTIN: OnceLock<RuleSet> = OnceLock::new();

impl RuleSet {
    /// The built-in rules, of all files as one set.
    pub fn builtin() -> &'static Self {
        BUILTIN.get_or_init(|| {
            let mut all = RuleSet::default();
            for (_, file) in FILES {
                // The unit test below catches an invalid file; it cannot differ at run time.
                if let Ok(set) = RuleSet::read_builtin(file) {
                    all.rules.extend(set.rules);
                }
            }
            all
        })
    }

    /// The built-in rules as they are written, file after file.
    #[must_use]
    pub fn builtin_toml() -> String {
        FILES.map(|(name, file)| format!("# {name}\n\n{file}")).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Classifier;
    use super::super::rule::Reading;
    use super::super::set::SetForm;
    use super::*;

    #[test]
    fn every_builtin_rule_compiles_and_passes_its_tests() {
        let mut ids = BTreeSet::new();
        let mut faults = Vec::new();
        for (name, file) in FILES {
            let form = SetForm::read(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            for rule in &form.rule {
                assert!(ids.insert(rule.id.clone()), "{name}: {} is used twice", rule.id);
                let one = SetForm { rule: vec![rule.clone()], ..form.clone() };
                if let Err(error) = RuleSet::checked(&one, Reading { ascii: form.ascii, built_in: true }) {
                    faults.push(format!("{name}: {error}"));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert_eq!(RuleSet::builtin().rules.len(), ids.len());
    }

    #[test]
    fn builtin_regex_is_compiled_when_its_first_keyword_matches() {
        let (_, file) = FILES[0];
        let set = RuleSet::read_builtin(file).expect("rules");
        let classifier = Classifier::new(false, std::slice::from_ref(&set)).expect("a classifier");
        let compiled =
            || -> Vec<_> { set.rules.iter().filter(|rule| rule.is_compiled()).map(|rule| &*rule.id).collect() };
        assert!(classifier.classify_text("text", "nothing to see", &[0; 32]).is_empty());
        assert_eq!(compiled(), [""; 0]);
        assert!(classifier.classify_text("text", "a GLPAT-like word", &[0; 32]).is_empty());
        assert_eq!(compiled(), ["secrets.gitlab-token"]);
    }
}
