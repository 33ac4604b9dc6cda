//! Risk classification: secrets, personal data, regulated advice, injection and exfiltration in a content.
//!
//! Rules only match text. They know English phrases and the formats of credentials and numbers; they miss paraphrase,
//! other languages and encoded text, so a text without findings is not proven harmless. The caller decides what a
//! finding means for a change (a note, a block, a second review).
//!
//! Invariants: no finding and no error contains matched text; every search takes linear time per match, and custom
//! rules share one work budget, after which a last finding reports that they were not finished; a regex is compiled
//! when a keyword of its rule first matches.

mod builtin;
mod detectors;
mod gitleaks;
mod negation;
mod places;
mod redact;
mod rule;
mod scan;
mod set;
mod validators;
mod work;

#[cfg(test)]
mod tests;

pub use gitleaks::{Skipped, import_gitleaks};
pub use rule::RuleError;
pub use scan::{Classifier, FINDINGS_MAX, MORE_RULE, RULE_FINDINGS_MAX};
pub use set::{RuleSet, RuleSummary};

use crate::model::finding::{Finding, Severity};

/// The highest severity among findings, if any.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}
