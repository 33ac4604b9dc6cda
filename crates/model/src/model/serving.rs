//! What a label points at: one version, a weighted split, or rules on attributes that choose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::schema_of;

/// Slots of a split; a weight is counted in them.
pub const SLOTS: u16 = 10_000;
/// Most rules of one serving.
pub const RULES_MAX: usize = 64;
/// Most attributes that one rule may look at.
pub const RULE_ATTRIBUTES_MAX: usize = 16;
/// Most versions that one split may choose from.
pub const ARMS_MAX: usize = 32;
/// Longest salt of a split, attribute name, or pattern, in bytes.
pub const SERVING_TEXT_BYTES_MAX: usize = 200;

/// What a label serves: the target of the first matching rule, otherwise the default.
///
/// As JSON: `{"version":7}`, `{"split":{…}}`, or either with `"rules":[{"when":{…},"version":8}]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ServingForm", into = "ServingForm")]
pub struct Serving {
    /// The rules, tried in order.
    pub rules: Vec<Rule>,
    /// What is served when no rule matches.
    pub default: Target,
}

/// One rule: its target is served if every pattern matches the attribute of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleForm", into = "RuleForm")]
pub struct Rule {
    /// Patterns by attribute; `*` in a pattern stands for any text.
    pub when: BTreeMap<String, String>,
    /// What it serves.
    pub target: Target,
}

/// One version, or a weighted split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Always this version.
    Version(u64),
    /// The version whose slots hold the subject's bucket.
    Split(Split),
}

/// A weighted choice between versions, the same for the same subject on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Part of the hash of a subject's bucket; kept when only weights change.
    pub salt: String,
    /// The slots of each version: ascending, without gaps, 0 to 10,000.
    pub slots: Vec<Slots>,
}

/// A run of slots of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// The version.
    pub version: u64,
    /// First slot.
    pub from: u16,
    /// One past the last slot.
    pub to: u16,
}

/// A JSON value is not a valid serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a deployment must have either `version` or `split`; this one has {0}")]
pub struct ServingError(&'static str);

impl Serving {
    /// Always this version.
    #[must_use]
    pub const fn version(number: u64) -> Self {
        Self { rules: Vec::new(), default: Target::Version(number) }
    }

    /// The version that is always served, when there is only one.
    pub fn fixed(&self) -> Option<u64> {
        match (&self.default, self.rules.is_empty()) {
            (Target::Version(number), true) => Some(*number),
            _ => None,
        }
    }

    /// The versions that callers get whom no rule matches, the largest share first.
    pub fn main_versions(&self) -> Vec<u64> {
        match &self.default {
            Target::Version(number) => vec![*number],
            Target::Split(split) => {
                let mut shares: Vec<(u64, u16)> = split.weights().into_iter().collect();
                shares.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
                shares.into_iter().map(|(version, _)| version).collect()
            }
        }
    }

    /// Every version that may be served, ascending, each once.
    pub fn versions(&self) -> Vec<u64> {
        let targets = self.rules.iter().map(|rule| &rule.target).chain([&self.default]);
        let mut versions: Vec<u64> = targets.flat_map(Target::versions).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }
}

impl Target {
    fn versions(&self) -> Vec<u64> {
        match self {
            Self::Version(number) => vec![*number],
            Self::Split(split) => split.slots.iter().map(|slots| slots.version).collect(),
        }
    }
}

impl Split {
    /// Slots of each version, ascending by version.
    pub fn weights(&self) -> BTreeMap<u64, u16> {
        let mut weights = BTreeMap::new();
        for run in &self.slots {
            *weights.entry(run.version).or_insert(0) += run.to.saturating_sub(run.from);
        }
        weights
    }

    /// The version that holds a slot; none only for a slot of 10,000 or more.
    pub fn at(&self, slot: u16) -> Option<u64> {
        let next = self.slots.partition_point(|run| run.to <= slot);
        self.slots.get(next).map(|run| run.version)
    }
}

impl std::fmt::Display for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for rule in &self.rules {
            for (attribute, pattern) in &rule.when {
                write!(f, "{attribute}={pattern} ")?;
            }
            write!(f, "→ {}, ", rule.target)?;
        }
        if !self.rules.is_empty() {
            f.write_str("else ")?;
        }
        self.default.fmt(f)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(number) => write!(f, "{number}"),
            Self::Split(split) => {
                for (index, (version, slots)) in split.weights().into_iter().enumerate() {
                    let plus = if index == 0 { "" } else { " + " };
                    write!(f, "{plus}{version} ({}%)", f64::from(slots) / 100.0)?;
                }
                Ok(())
            }
        }
    }
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ServingForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<Split>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    when: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<Split>,
}

fn target(version: Option<u64>, split: Option<Split>) -> Result<Target, ServingError> {
    match (version, split) {
        (Some(number), None) => Ok(Target::Version(number)),
        (None, Some(split)) => Ok(Target::Split(split)),
        (Some(_), Some(_)) => Err(ServingError("both")),
        (None, None) => Err(ServingError("neither")),
    }
}

fn fields(target: Target) -> (Option<u64>, Option<Split>) {
    match target {
        Target::Version(number) => (Some(number), None),
        Target::Split(split) => (None, Some(split)),
    }
}

impl TryFrom<ServingForm> for Serving {
    type Error = ServingError;

    fn try_from(form: ServingForm) -> Result<Self, Self::Error> {
        Ok(Self { rules: form.rules, default: target(form.version, form.split)? })
    }
}

impl From<Serving> for ServingForm {
    fn from(serving: Serving) -> Self {
        let (version, split) = fields(serving.default);
        Self { rules: serving.rules, version, split }
    }
}

impl TryFrom<RuleForm> for Rule {
    type Error = ServingError;

    fn try_from(form: RuleForm) -> Result<Self, Self::Error> {
        Ok(Self { when: form.when, target: target(form.version, form.split)? })
    }
}

impl From<Rule> for RuleForm {
    fn from(rule: Rule) -> Self {
        let (version, split) = fields(rule.target);
        Self { when: rule.when, version, split }
    }
}

schema_of!(Serving = ServingForm);
schema_of!(Rule = RuleForm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servings_read_back_from_json() {
        for json in [
            r#"{"version":7}"#,
            r#"{"split":{"salt":"s1","slots":[{"version":7,"from":0,"to":9900},{"version":8,"from":9900,"to":10000}]}}"#,
            r#"{"rules":[{"when":{"locale":"de*"},"version":8}],"version":7}"#,
        ] {
            let serving: Serving = serde_json::from_str(json).expect(json);
            assert_eq!(serde_json::to_string(&serving).expect("no map keys but texts"), json);
        }
        for json in ["{}", r#"{"version":1,"split":{"salt":"s","slots":[]}}"#, r#"{"version":-1}"#, r#"{"versoin":1}"#]
        {
            assert!(serde_json::from_str::<Serving>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn main_versions_are_those_without_rules_by_their_shares() {
        for (json, expected) in [
            (r#"{"version":7}"#, vec![7]),
            (r#"{"rules":[{"when":{"locale":"de*"},"version":8}],"version":7}"#, vec![7]),
            (
                r#"{"split":{"salt":"s","slots":[{"version":7,"from":0,"to":100},{"version":8,"from":100,"to":10000}]}}"#,
                vec![8, 7],
            ),
            (
                r#"{"split":{"salt":"s","slots":[{"version":7,"from":0,"to":5000},{"version":8,"from":5000,"to":10000}]}}"#,
                vec![7, 8],
            ),
        ] {
            let serving: Serving = serde_json::from_str(json).expect(json);
            assert_eq!(serving.main_versions(), expected, "{json}");
        }
    }

    #[test]
    fn every_slot_belongs_to_one_version() {
        let split = Split {
            salt: "s".to_owned(),
            slots: vec![Slots { version: 7, from: 0, to: 9_900 }, Slots { version: 8, from: 9_900, to: SLOTS }],
        };
        assert_eq!(split.at(0), Some(7));
        assert_eq!(split.at(9_899), Some(7));
        assert_eq!(split.at(9_900), Some(8));
        assert_eq!(split.at(SLOTS), None);
        assert_eq!(split.weights(), BTreeMap::from([(7, 9_900), (8, 100)]));
    }
}
