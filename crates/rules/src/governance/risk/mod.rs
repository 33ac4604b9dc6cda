//! Risk classification: what in a content is a secret, personal data, regulated advice, or made to turn or leak.
//!
//! Rules look at the words alone. They know English phrases and the shapes of credentials and numbers; they miss
//! paraphrase, other languages and anything that is encoded, and a text without findings is not thereby harmless.
//! What a finding means for a change (a note, a block, a second pair of eyes) is the business of the caller.
//!
//! Invariants: no finding and no error holds matched text; every search takes time linear in the text for each match,
//! and rules of one's own share one budget of it, after which a last finding says that they were not done; a regex is compiled when one of its rule's keywords is first met, not before.

mod builtin;
mod detectors;
mod gitleaks;
mod negation;
mod places;
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

/// The gravest severity among findings, none without findings.
#[must_use]
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}
