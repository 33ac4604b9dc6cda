//! Suites: the cases that a version is evaluated on, the scorers that judge its answers, and what a gate requires.
//!
//! A version of a suite is immutable and identified by the hash of its encoding, as the content of a prompt is, so a
//! result names exactly what was run. The names of the scorers and what they mean are those of promptfoo.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::schema::{built_schema, text};
use super::time::Timestamp;
use super::usd::Usd;
use crate::json;

/// Largest encoding of a suite, in bytes.
pub const SUITE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most cases of a suite.
pub const CASES_MAX: usize = 10_000;
/// Longest name of a case, in characters.
pub const CASE_NAME_CHARACTERS_MAX: usize = 200;
/// Most scorers of a suite, or of one of its cases, those inside of others included.
pub const SCORERS_MAX: usize = 100;
/// Most models of a suite.
pub const SUITE_MODELS_MAX: usize = 20;
/// Most repeats of each case.
pub const REPEATS_MAX: u32 = 100;
/// Most tags of a case.
pub const CASE_TAGS_MAX: usize = 50;
/// Highest weight of a case or a scorer.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// BLAKE3 derive-key context of a suite's ID.
pub const SUITE_CONTEXT: &str = "bookholder suite v1";

/// One version of a suite, without its name and number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The models to run on, each as `PROVIDER:MODEL`; the model that the evaluated version names if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelName>,
    /// How often each case is run on each model, 1 by default.
    #[serde(default = "one", skip_serializing_if = "is_one", deserialize_with = "json::whole")]
    pub repeats: u32,
    /// Limits on what one run may use.
    #[serde(default, skip_serializing_if = "Budget::is_default", deserialize_with = "json::object")]
    pub budget: Budget,
    /// What a run must reach to pass.
    #[serde(default, skip_serializing_if = "GateRule::is_default", deserialize_with = "json::object")]
    pub gate: GateRule,
    /// Values of variables that a case does not set.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// The scorers of every case, besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "json::objects")]
    pub scorers: Vec<Scorer>,
    /// The score from which a case passes; without it, every scorer must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The cases.
    #[serde(deserialize_with = "json::objects")]
    pub cases: Vec<Case>,
}

/// One case: an input, and what is expected of the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, unique in the suite.
    pub name: String,
    /// Values of the prompt's variables.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// Messages after those of the prompt; a text prompt is the system message before them.
    #[serde(default, deserialize_with = "message_objects", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub messages: Vec<Value>,
    /// Messages for placeholders of the prompt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub placeholders: BTreeMap<String, Vec<Value>>,
    /// The expected answer, for scorers that compare with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// Tags to group and to select cases by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Its weight in the score of a run, 1 by default.
    #[serde(default = "unit", skip_serializing_if = "is_unit")]
    pub weight: f64,
    /// Whether a run fails when this case fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_pass: bool,
    /// Its scorers, besides those of the suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "json::objects")]
    pub scorers: Vec<Scorer>,
    /// The score from which it passes, in place of the suite's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Where it came from and what else is known about it; not used by a run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// One scorer: how an answer is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scorer {
    /// What it checks, for example `contains`, or `not-contains` for the opposite.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "contains")]
    pub check: Check,
    /// What it compares with; texts may have `{{variables}}` of the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The score, distance, time or cost at which it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Its weight in the score of a case, 1 by default; with 0 it is shown and always passes.
    #[serde(default = "unit", skip_serializing_if = "is_unit")]
    pub weight: f64,
    /// The metric that it counts towards, for example `accuracy`, `format`, `safety`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The model that judges, as `PROVIDER:MODEL`, or that computes embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// The scorers of an `assert-set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "json::objects")]
    #[schema(no_recursion)]
    pub scorers: Vec<Scorer>,
    /// Options of single scorers: `config` of promptfoo.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

impl Scorer {
    /// A scorer that compares with a value, with the defaults of everything else.
    #[must_use]
    pub fn new(kind: CheckKind, value: Option<Value>) -> Self {
        Self {
            check: Check { kind, not: false },
            value,
            threshold: None,
            weight: 1.0,
            metric: None,
            model: None,
            scorers: Vec::new(),
            config: Map::new(),
        }
    }
}

impl CheckKind {
    /// Whether a model or an endpoint judges, so that people should check it.
    #[must_use]
    pub const fn is_judge(self) -> bool {
        matches!(
            self,
            Self::LlmRubric | Self::GEval | Self::Factuality | Self::ClosedQa | Self::SelectBest | Self::Webhook
        )
    }
}

/// A check, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Check {
    /// What is checked.
    pub kind: CheckKind,
    /// Whether it passes when the check does not.
    pub not: bool,
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        /// What a scorer checks. New ones may be added; existing ones keep their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CheckKind { $($(#[$doc])* $name,)* }

        impl CheckKind {
            /// Every kind of check.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, for example `contains-any`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

checks! {
    /// The answer is the value; with a JSON value, the parsed answer is.
    Equals "equals";
    /// The answer contains the value.
    Contains "contains";
    /// The same, regardless of case.
    Icontains "icontains";
    /// It contains all values of a list.
    ContainsAll "contains-all";
    /// It contains one of the values of a list.
    ContainsAny "contains-any";
    /// It contains all values of a list, regardless of case.
    IcontainsAll "icontains-all";
    /// It contains one of the values of a list, regardless of case.
    IcontainsAny "icontains-any";
    /// It starts with the value.
    StartsWith "starts-with";
    /// A regular expression matches somewhere in it.
    Regex "regex";
    /// It is JSON, and matches the JSON Schema if there is one.
    IsJson "is-json";
    /// It contains such JSON.
    ContainsJson "contains-json";
    /// It is XML, with these elements if some are named.
    IsXml "is-xml";
    /// It contains such XML.
    ContainsXml "contains-xml";
    /// It is HTML.
    IsHtml "is-html";
    /// It contains HTML.
    ContainsHtml "contains-html";
    /// It refuses to answer.
    IsRefusal "is-refusal";
    /// Its number of words.
    WordCount "word-count";
    /// Its edit distance from the value is at most the threshold.
    Levenshtein "levenshtein";
    /// ROUGE-N overlap with the value.
    RougeN "rouge-n";
    /// BLEU overlap with the value.
    Bleu "bleu";
    /// GLEU overlap with the value.
    Gleu "gleu";
    /// METEOR overlap with the value.
    Meteor "meteor";
    /// The answer took at most the threshold, in milliseconds.
    Latency "latency";
    /// The answer cost at most the threshold, in dollars.
    Cost "cost";
    /// Why the model stopped.
    FinishReason "finish-reason";
    /// The perplexity of the answer is at most the threshold.
    Perplexity "perplexity";
    /// A call of a function is valid for the tools of the version.
    IsValidFunctionCall "is-valid-function-call";
    /// The same, for the `function_call` of OpenAI.
    IsValidOpenaiFunctionCall "is-valid-openai-function-call";
    /// The same, for the `tool_calls` of OpenAI.
    IsValidOpenaiToolsCall "is-valid-openai-tools-call";
    /// Which tools were called: the F1 of names.
    ToolCallF1 "tool-call-f1";
    /// The risk rules of the registry find nothing of this severity or higher in the answer.
    Risk "risk";
    /// Scorers as one: all pass, or their score reaches the threshold.
    AssertSet "assert-set";
    /// Cosine similarity of embeddings.
    Similar "similar";
    /// A model judges by a rubric.
    LlmRubric "llm-rubric";
    /// A model judges by steps that it derived from criteria.
    GEval "g-eval";
    /// A model judges whether the facts agree with the value.
    Factuality "factuality";
    /// A model judges whether the answer meets the value.
    ClosedQa "model-graded-closedqa";
    /// A model chooses the better one of this answer and that of the baseline.
    SelectBest "select-best";
    /// An endpoint judges.
    Webhook "webhook";
}

/// A text is not the name of a check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown scorer `{0}`: use for example equals, contains, regex, is-json, llm-rubric, or `not-` and one of them"
)]
pub struct CheckError(String);

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.not { "not-" } else { "" }, self.kind.as_str())
    }
}

impl FromStr for Check {
    type Err = CheckError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str| CheckKind::ALL.iter().copied().find(|kind| kind.as_str() == name);
        let (kind, not) = match text.strip_prefix("not-") {
            Some(name) => (named(name), true),
            None => (named(text), false),
        };
        kind.map(|kind| Self { kind, not }).ok_or_else(|| CheckError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Check {
    type Error = CheckError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Check> for String {
    fn from(check: Check) -> Self {
        check.to_string()
    }
}

/// A model of a provider, written `PROVIDER:MODEL`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName {
    /// The provider, as the settings of the primary name it.
    pub provider: String,
    /// The model, as the provider names it.
    pub model: String,
}

built_schema!(
    ModelName = text("A model of a provider: `PROVIDER:MODEL`.", "openai:gpt-5-mini")
        .pattern(Some(r"^[a-z0-9._@-]{1,64}:[^\u0000-\u001f\u007f-\u009f]{1,200}$"))
);

/// A text does not name a provider and a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid model `{0}`: use PROVIDER:MODEL, for example openai:gpt-5-mini")]
pub struct ModelNameError(String);

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.model)
    }
}

impl FromStr for ModelName {
    type Err = ModelNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |part: &str| (1..=200).contains(&part.chars().count()) && !part.contains(char::is_control);
        match text.split_once(':').filter(|(provider, model)| super::handle::is_handle(provider) && fits(model)) {
            Some((provider, model)) => Ok(Self { provider: provider.to_owned(), model: model.to_owned() }),
            None => Err(ModelNameError(text.chars().take(100).collect())),
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = ModelNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.to_string()
    }
}

/// Limits on what one run may use. A run that reaches one is inconclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Most US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<Usd>,
    /// Most calls of models.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub max_calls: Option<u64>,
}

impl Budget {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run must reach to pass. Cases that must pass are required besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRule {
    /// The share of cases that must pass, 1 by default.
    #[serde(default = "unit", skip_serializing_if = "is_unit")]
    pub pass_rate: f64,
    /// Whether the lower end of the 95% Wilson interval must reach the share, not just the share of this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confident: bool,
    /// The lowest mean of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// By how much the mean score of the cases may be lower than that of the baseline, for example 0.02; not compared if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The lowest share of cases with the same verdict in every repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<f64>,
    /// The highest 95th percentile of how long answers took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub latency_p95_ms: Option<u64>,
    /// The highest mean cost of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_mean_usd: Option<Usd>,
}

impl Default for GateRule {
    fn default() -> Self {
        Self {
            pass_rate: 1.0,
            confident: false,
            metrics: BTreeMap::new(),
            margin: None,
            consistency: None,
            latency_p95_ms: None,
            cost_mean_usd: None,
        }
    }
}

impl GateRule {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One version of a suite, without its cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuiteVersion {
    /// The name of the suite.
    pub name: String,
    /// The number of the version, from 1.
    #[serde(deserialize_with = "json::whole")]
    pub number: u64,
    /// The hash of its encoding.
    pub id: ContentId,
    /// Number of cases.
    #[serde(deserialize_with = "json::whole")]
    pub cases: u64,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who pushed it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub message: String,
}

/// Why a suite is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum SuiteError {
    #[error("a suite must have at least one case")]
    NoCases,
    #[error("the suite has {count} {what}; the limit is {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("the encoded suite is {bytes} bytes long; the limit is {SUITE_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error(
        "invalid name `{name}` of a case: use 1 to {CASE_NAME_CHARACTERS_MAX} characters without control characters"
    )]
    CaseName { name: String },
    #[error("the case `{name}` has no scorer with a weight, so it would always pass; add one to it or to the suite")]
    NoScorer { name: String },
    #[error("the case `{name}` is there twice; names of cases are unique")]
    Twice { name: String },
    #[error("{place}: {what} is {value}; use a number from {min} to {max}")]
    Number { place: String, what: &'static str, value: String, min: u32, max: u32 },
    #[error("{place}: the scorer `{check}` needs {what}")]
    Scorer { place: String, check: String, what: &'static str },
    #[error("invalid suite: {0}")]
    Decode(String),
}

impl Suite {
    /// Checks the limits and returns the encoding, whose hash is the ID.
    ///
    /// # Errors
    /// A limit is exceeded, a name is there twice, or a number is out of range.
    pub fn to_canonical(&self) -> Result<Vec<u8>, SuiteError> {
        self.check()?;
        let bytes = json::encode(self).map_err(|error| SuiteError::Decode(error.to_string()))?;
        if bytes.len() > SUITE_BYTES_MAX {
            return Err(SuiteError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// The ID of an encoding.
    #[must_use]
    pub fn id_of(canonical: &[u8]) -> ContentId {
        ContentId::from_hash(*blake3::Hasher::new_derive_key(SUITE_CONTEXT).update(canonical).finalize().as_bytes())
    }

    /// Reads a suite from its JSON bytes.
    ///
    /// # Errors
    /// They are not a suite in JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SuiteError> {
        json::read(bytes).map_err(|error| SuiteError::Decode(error.to_string()))
    }

    fn check(&self) -> Result<(), SuiteError> {
        let count = |what, count: usize, max: usize| {
            if count > max { Err(SuiteError::TooMany { what, count, max }) } else { Ok(()) }
        };
        if self.cases.is_empty() {
            return Err(SuiteError::NoCases);
        }
        count("cases", self.cases.len(), CASES_MAX)?;
        count("models", self.models.len(), SUITE_MODELS_MAX)?;
        let suite = || "suite".to_owned();
        if !(1..=REPEATS_MAX).contains(&self.repeats) {
            let value = self.repeats.to_string();
            return Err(SuiteError::Number { place: suite(), what: "repeats", value, min: 1, max: REPEATS_MAX });
        }
        share(suite, "threshold", self.threshold)?;
        let gate = || "gate".to_owned();
        share(gate, "pass_rate", Some(self.gate.pass_rate))?;
        share(gate, "margin", self.gate.margin)?;
        share(gate, "consistency", self.gate.consistency)?;
        for value in self.gate.metrics.values() {
            share(gate, "the lowest mean of a metric", Some(*value))?;
        }
        check_scorers(&suite, &self.scorers)?;
        let mut names = BTreeSet::new();
        for case in &self.cases {
            let characters = case.name.chars().count();
            if !(1..=CASE_NAME_CHARACTERS_MAX).contains(&characters) || case.name.contains(char::is_control) {
                let name = case.name.chars().take(CASE_NAME_CHARACTERS_MAX).collect();
                return Err(SuiteError::CaseName { name });
            }
            if !names.insert(case.name.as_str()) {
                return Err(SuiteError::Twice { name: case.name.clone() });
            }
            if !self.scorers.iter().chain(&case.scorers).any(|scorer| scorer.weight > 0.0) {
                return Err(SuiteError::NoScorer { name: case.name.clone() });
            }
            count("tags in one case", case.tags.len(), CASE_TAGS_MAX)?;
            let place = || format!("case `{}`", case.name);
            share(place, "threshold", case.threshold)?;
            weight(place, case.weight)?;
            check_scorers(&place, &case.scorers)?;
        }
        Ok(())
    }
}

fn check_scorers(place: &dyn Fn() -> String, scorers: &[Scorer]) -> Result<(), SuiteError> {
    let mut left = scorers.iter().collect::<Vec<_>>();
    let mut count = 0_usize;
    while let Some(scorer) = left.pop() {
        count += 1;
        if count > SCORERS_MAX {
            return Err(SuiteError::TooMany { what: "scorers in one place", count, max: SCORERS_MAX });
        }
        weight(place, scorer.weight)?;
        if scorer.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            return Err(SuiteError::Scorer {
                place: place(),
                check: scorer.check.to_string(),
                what: "a finite threshold",
            });
        }
        left.extend(&scorer.scorers);
    }
    Ok(())
}

fn share(place: impl Fn() -> String, what: &'static str, value: Option<f64>) -> Result<(), SuiteError> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(SuiteError::Number { place: place(), what, value: value.to_string(), min: 0, max: 1 })
        }
        _ => Ok(()),
    }
}

fn weight(place: impl Fn() -> String, value: f64) -> Result<(), SuiteError> {
    if (0.0..=f64::from(WEIGHT_MAX)).contains(&value) {
        return Ok(());
    }
    Err(SuiteError::Number { place: place(), what: "weight", value: value.to_string(), min: 0, max: WEIGHT_MAX })
}

/// A list of messages, which are objects.
fn message_objects<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    let messages: Vec<Map<String, Value>> = Deserialize::deserialize(deserializer)?;
    Ok(messages.into_iter().map(Value::Object).collect())
}

const fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(value: &u32) -> bool {
    *value == 1
}

const fn unit() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unit(value: &f64) -> bool {
    (*value - 1.0).abs() < f64::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(json: &str) -> Suite {
        Suite::from_json(json.as_bytes()).expect(json)
    }

    #[test]
    fn suite_reads_back_as_it_was_encoded_and_has_one_id() {
        let json = r#"{"models":["local:tiny"],"scorers":[{"type":"not-contains","value":"sorry"}],"cases":[{"name":"refund","variables":{"b":1,"a":2},"must_pass":true}]}"#;
        let bytes = suite(json).to_canonical().expect("a suite");
        assert_eq!(String::from_utf8(bytes.clone()).expect("text"), json, "defaults are not written");
        assert_eq!(Suite::id_of(&bytes), Suite::id_of(&suite(json).to_canonical().expect("a suite")));
        assert_ne!(Suite::id_of(&bytes), ContentId::of(&bytes), "a context of its own");
    }

    #[test]
    fn invalid_suites_are_refused_with_what_to_do() {
        let check = |json: &str, expected: &str| {
            let error = suite(json).to_canonical().expect_err(json).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"cases":[]}"#, "at least one case");
        check(r#"{"cases":[{"name":"a"}]}"#, "`a` has no scorer");
        let all = r#""scorers":[{"type":"is-json"}]"#;
        check(&format!(r#"{{{all},"cases":[{{"name":"a"}},{{"name":"a"}}]}}"#), "`a` is there twice");
        check(r#"{"cases":[{"name":""}]}"#, "1 to 200 characters");
        check(r#"{"cases":[{"name":"a"}],"repeats":0}"#, "repeats is 0; use a number from 1 to 100");
        check(&format!(r#"{{{all},"cases":[{{"name":"a","weight":-1}}]}}"#), "case `a`: weight is -1");
        check(r#"{"cases":[{"name":"a"}],"gate":{"pass_rate":1.5}}"#, "gate: pass_rate is 1.5");
        let unknown = Suite::from_json(br#"{"cases":[{"name":"a","scorers":[{"type":"dances"}]}]}"#);
        assert!(unknown.expect_err("unknown").to_string().contains("unknown scorer `dances`"));
        let model = Suite::from_json(br#"{"models":["gpt"],"cases":[{"name":"a"}]}"#);
        assert!(model.expect_err("a model").to_string().contains("use PROVIDER:MODEL"));
    }
}
