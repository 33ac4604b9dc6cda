//! A set of rules: read from TOML, checked and tested before it is used.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::builtin;
use super::rule::{
    Exemptions, FILE_BYTES_MAX, RULES_MAX, Reading, Rule, RuleError, RuleForm, SET_KIB_MAX, UNFILTERED_MAX,
};
use super::work::Work;
use crate::json::plain_reason;
use crate::model::finding::{Category, Severity};

/// Rules that are used together. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Arc<Rule>>,
}

/// What a list shows of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSummary<'s> {
    /// Its id.
    pub id: &'s str,
    /// Its version.
    pub version: u32,
    /// What its matches mean.
    pub description: &'s str,
    /// What kind of risk it finds.
    pub category: Category,
    /// How grave that is.
    pub severity: Severity,
}

/// A rule file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetForm {
    /// Where the rules were imported from; such rules need no tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Source>,
    /// Classes such as `\w` and `\b` mean ASCII.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ascii: bool,
    /// What excuses the matches of every rule of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Words that excuse them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopwords: Vec<String>,
    #[serde(default)]
    pub rule: Vec<RuleForm>,
}

/// A rule file of which only the number of rules is asked.
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
    /// Reads a rule file: checks its form and limits, compiles every regex once, and runs every test.
    ///
    /// In tests the character `⟂` is left out before they run: write it inside the test of a credential, so that no
    /// scanner takes the rule file for a leak. A rule has at least one test that it must find and one that it must not,
    /// unless the head of the file says `imported = "gitleaks"`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its rule and test.
    pub fn parse(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        let reading = Reading { ascii: form.ascii, built_in: false };
        Self::checked(&form, reading)
    }

    /// Reads a rule file that [`RuleSet::parse`] has read before: checks its form, but compiles and tests nothing.
    ///
    /// # Errors
    /// It is no rule file.
    pub fn read(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        Self::unchecked(&form, Reading { ascii: form.ascii, built_in: false })
    }

    /// How many rules such a file has, and nothing else of it.
    ///
    /// # Errors
    /// It is no rule file.
    pub fn count(toml: &str) -> Result<usize, RuleError> {
        Ok(read_toml::<CountForm>(toml)?.rule.len())
    }

    /// The rules that come with the program.
    #[must_use]
    pub fn builtin() -> &'static Self {
        builtin::builtin()
    }

    /// What the rules are, in order.
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().map(|rule| RuleSummary {
            id: &rule.id,
            version: rule.version,
            description: &rule.description,
            category: rule.category,
            severity: rule.severity,
        })
    }

    /// How many rules it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads a file of the program without compiling or testing anything.
    pub(super) fn read_builtin(toml: &str) -> Result<Self, RuleError> {
        let form = SetForm::read(toml)?;
        Self::unchecked(&form, Reading { ascii: form.ascii, built_in: true })
    }

    /// Makes the rules of a form after all checks and tests.
    pub(super) fn checked(form: &SetForm, reading: Reading) -> Result<Self, RuleError> {
        let set = Self::unchecked(form, reading)?;
        let head = Exemptions::new(form.allow.clone(), form.stopwords.clone(), reading);
        let (mut kib, mut work) = (head.check("(head of the file)")?, Work::whole());
        // What a rule compiled goes with it, before the next one.
        for (rule, rule_form) in set.rules.into_iter().zip(&form.rule) {
            kib += rule.check_regexes()?;
            if kib > SET_KIB_MAX {
                return Err(RuleError::SetTooLarge);
            }
            if form.imported.is_none() {
                rule.check_tests(rule_form, &mut work)?;
            }
        }
        // A second reading, which has compiled nothing.
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
    /// Reads a rule file's form.
    pub fn read(toml: &str) -> Result<Self, RuleError> {
        read_toml(toml)
    }
}

/// Reads any TOML form within the size limit.
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
