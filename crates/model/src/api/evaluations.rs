//! Requests and answers for suites, runs and gates.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json;
use crate::model::calibration::HumanLabel;
use crate::model::content::Content;
use crate::model::evaluation::{CaseResult, Run};
use crate::model::name::{Label, PromptName};
use crate::model::suite::{Budget, ModelName, Suite, SuiteVersion};

/// Most results that one page can have.
pub const RESULTS_PAGE_MAX: usize = 1_000;

/// A suite to push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushSuiteRequest {
    /// The suite.
    #[serde(deserialize_with = "json::object")]
    pub suite: Suite,
    /// Why it changes.
    pub message: String,
}

/// A version of a suite with its cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuiteView {
    /// The version.
    pub version: SuiteVersion,
    /// Its content.
    pub suite: Suite,
}

/// What to do when a run passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenPassed {
    /// The label to deploy the version to. If a policy requires more, a change request is opened, which deploys it as
    /// soon as everything is met.
    pub deploy: Label,
    /// The message of the deployment.
    pub message: String,
}

/// A run to start.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRunRequest {
    /// The prompt.
    pub prompt: PromptName,
    /// What of it: `@LABEL`, `@7` or `@b3:…`; the latest version if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// A content that is not published, in place of a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The suite.
    pub suite: String,
    /// The number of its version; the latest one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub suite_version: Option<u64>,
    /// What to compare with: `@LABEL`, `@7` or `@b3:…` of the same prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// The models, in place of those of the suite; then the run decides no gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelName>,
    /// Only cases with one of these tags; then the run decides no gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How often each case is run, in place of what the suite says; not fewer times, if the run is to decide a gate.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub repeats: Option<u32>,
    /// Limits; of these and those of the suite, the smaller ones hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Whether answers of earlier runs are not used again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
    /// What to do when it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_passed: Option<WhenPassed>,
    /// Why it is run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Results that another tool produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRunRequest {
    /// The prompt.
    pub prompt: PromptName,
    /// Which version of it was run: `@LABEL`, `@7` or `@b3:…`; the latest version if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The suite, whose latest version has these cases.
    pub suite: String,
    /// The tool, for example `promptfoo 0.123.1`.
    pub tool: String,
    /// The results.
    #[serde(deserialize_with = "json::objects")]
    pub results: Vec<CaseResult>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A result and its place in the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlacedResult {
    /// Its place.
    #[serde(deserialize_with = "json::whole")]
    pub place: u32,
    /// The result.
    #[serde(flatten)]
    pub result: CaseResult,
    /// What people say about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<HumanLabel>,
}

/// What a person says about an answer that a judge scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelRequest {
    /// Whether the answer passes.
    pub passed: bool,
    /// Which of the scorers of the result is the judge, from 0; not needed if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub scorer: Option<u32>,
}

/// One page of runs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunsPage {
    /// The runs.
    pub items: Vec<Run>,
    /// `before` of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub next: Option<u64>,
}

/// One page of results, in the order of the suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResultsPage {
    /// The results.
    pub items: Vec<PlacedResult>,
    /// `from` of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub next: Option<u32>,
}

/// A suite of a prompt behind the one that is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownstreamSuite {
    /// The prompt that gets the output.
    pub prompt: PromptName,
    /// The label that serves it.
    pub label: Label,
    /// The suite.
    pub suite: String,
    /// Whether its gate passed for everything that the label serves, knowing what is deployed.
    pub passed: bool,
    /// What is missing; empty if it passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

/// A provider of models that runs can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderView {
    /// Its name, before the colon of a model.
    pub name: String,
    /// The API that it speaks, and where.
    pub endpoint: String,
    /// The models that its settings name; patterns are possible.
    pub models: Vec<String>,
    /// The environment variable that should have its key, if it is not set: then it is asked nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_key: Option<String>,
}
