//! TOML: rule files, those of gitleaks, and lock files.
#![no_main]

use bookholder::files::lockfile::Lockfile;
use bookholder::governance::risk::{Classifier, RuleSet, import_gitleaks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(lockfile) = Lockfile::parse(text) {
        let written = lockfile.write().expect("TOML");
        assert_eq!(Lockfile::parse(&written).expect("its own form"), lockfile);
    }
    if let Ok((imported, _)) = import_gitleaks(text) {
        RuleSet::parse(&imported).expect("rules that were imported are rules");
    }
    if let Ok(rules) = RuleSet::parse(text) {
        assert_eq!(rules.len(), RuleSet::count(text).expect("rules"));
        let scanner = Classifier::new(false, &[rules]).expect("rules that were read");
        let _ = scanner.classify_text("text", text, &[0; 32]);
    }
});
