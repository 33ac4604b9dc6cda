//! A rule set: parsed from TOML, validated and tested before it is used.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::rule::{
    Exemptions, FILE_BYTES_MAX, RULES_MAX, Reading, Rule, RuleError, RuleForm, SET_KIB_MAX, UNFILTERED_MAX,
};
use super::work::Work;
use crate::json::plain_reason;
use crate::model::finding::{Category, Severity};

/// A set of rules. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Arc<Rule>>,
}

/// A rule in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSummary<'s> {
    /// Its id.
    pub id: &'s str,
    /// Its version.
    pub version: u32,
    /// Its description.
    pub description: &'s str,
    /// Its category.
    pub category: Category,
    /// Its severity.
    pub severity: Severity,
}

/// A rule file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetForm {
    /// The source of imported rules, which need no tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Source>,
    /// Classes such as `\w` and `\b` mean ASCII.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ascii: bool,
    /// Exceptions for all rules of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Words for exceptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopwords: Vec<String>,
    #[serde(default)]
    pub rule: Vec<RuleForm>,
}

/// A rule file, parsed only to count its rules.
#[derive(Deserialize)]
struct CountForm {
    #[serde(default)]
    rule: Vec<IgnoredAny>,
}

/// A program whose rules can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// The secret scanner gitleaks.
    Gitleaks,
}

impl RuleSet {
    /// Parses a rule file: checks its format and limits, compiles every regex once, and runs every test.
    ///
    /// In tests the character `⟂` is removed before they run: put it inside the sample of a credential, so that secret
    /// scanners ignore the rule file. A rule has at least one test that must match and one that must not, unless the
    /// header of the file has `imported = "gitleaks"`.
    ///
    /// # Errors
    /// The first error, with its rule and test.
    pub fn parse(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        let reading = Reading { ascii: form.ascii, built_in: false };
        Self::checked(&form, reading)
    }

    /// Parses a rule file that [`RuleSet::parse`] accepted before: checks its format, but compiles and tests nothing.
    ///
    /// # Errors
    /// It is not a rule file.
    pub fn read(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        Self::unchecked(&form, Reading { ascii: form.ascii, built_in: false })
    }

    /// Number of rules in such a file.
    ///
    /// # Errors
    /// It is not a rule file.
    pub fn count(toml: &str) -> Result<usize, RuleError> {
        Ok(read_toml::<CountForm>(toml)?.rule.len())
    }

    /// The rules, in order.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().map(|rule| RuleSummary {
            id: &rule.id,
            version: rule.version,
            description: &rule.description,
            category: rule.category,
            severity: rule.severity,
        })
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Parses a built-in file without compiling or testing anything.
    pub(super) fn read_builtin(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        Self::unchecked(&form, Reading { ascii: form.ascii, built_in: true })
    }

    /// Creates the rules after all checks and tests.
    pub(super) fn checked(form: &SetForm, reading: Reading) -> Result<Self, RuleError> {
        let set = Self::unchecked(form, reading)?;
        let head = Exemptions::new(form.allow.clone(), form.stopwords.clone(), reading);
        let (mut kib, mut work) = (head.check("(head of the file)")?, Work::whole());
        // The compiled regexes of a rule are dropped before the next one.
        for (rule, rule_form) in set.rules.into_iter().zip(&form.rule) {
            kib += rule.check_regexes()?;
            if kib > SET_KIB_MAX {
                return Err(RuleError::SetTooLarge);
            }
            if form.imported.is_none() {
                rule.check_tests(rule_form, &mut work)?;
            }
        }
        // Parsed again, without compiled regexes.
        Self::unchecked(form, reading)
    }

    fn unchecked(form: &SetForm, reading: Reading) -> Result<Self, RuleError> {
        let count = form.rule.len();
        if count > RULES_MAX {
            return Err(RuleError::SetTooMany { what: "rules", count, max: RULES_MAX });
        }
        let count = form.rule.iter().filter(|rule| rule.keywords.is_empty() && rule.detector.is_none()).count();
        if count > UNFILTERED_MAX {
            return Err(RuleError::SetTooMany { what: "rules without keywords", count, max: UNFILTERED_MAX });
        }
        let excuses = Arc::new(Exemptions::new(form.allow.clone(), form.stopwords.clone(), reading));
        let mut ids = BTreeSet::new();
        let mut rules = Vec::with_capacity(form.rule.len());
        for rule in &form.rule {
            let rule = Rule::new(rule, reading, Arc::clone(&excuses))?;
            if !ids.insert(rule.id.clone()) {
                return Err(RuleError::Twice { id: rule.id });
            }
            rules.push(Arc::new(rule));
        }
        Ok(Self { rules })
    }
}

impl SetForm {
    /// Parses the format of a rule file.
    pub fn read(toml: &str) -> Result<Self, RuleError> {
        read_toml(toml)
    }
}

/// Parses TOML within the size limit.
pub(super) fn read_toml<T: serde::de::DeserializeOwned>(toml: &str) -> Result<T, RuleError> {
    if toml.len() > FILE_BYTES_MAX {
        return Err(RuleError::TooLong { bytes: toml.len() });
    }
    toml::from_str(toml).map_err(|error| {
        // The error's own text would show lines of the file; its cause and line are enough.
        let line = error.span().and_then(|span| toml.get(..span.start)).map(|before| 1 + before.matches('\n').count());
        let reason = plain_reason(error.message(), "a table");
        RuleError::Form { reason: line.map_or(reason.clone(), |line| format!("line {line}: {reason}")) }
    })
}
