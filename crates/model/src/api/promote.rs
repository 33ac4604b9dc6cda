//! Promoting: deploying to one label what another serves, for every prompt that matches a pattern.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::finding::Severity;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::position::Position;
use crate::model::serving::Serving;

/// Longest fingerprint of a plan, in characters.
pub const FINGERPRINT_CHARACTERS_MAX: usize = 64;

/// What to promote: the parameters of `GET /v1/promotions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The prompts; those without the label `from` are left out.
    pub pattern: Pattern,
    /// The label whose versions are deployed.
    pub from: Label,
    /// The label to deploy to.
    pub to: Label,
}

/// A promotion, all at once or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The prompts; those without the label `from` are left out.
    pub pattern: Pattern,
    /// The label whose versions are deployed.
    pub from: Label,
    /// The label to deploy to.
    pub to: Label,
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// The `fingerprint` of the plan; rejected if what would be deployed has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Whether to deploy even if it breaks current callers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for overriding unmet requirements of policies (admins only); it is recorded in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// What a promotion would do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromotionPlan {
    /// The position of the state that it was made from.
    pub position: Position,
    /// Identifies what would be deployed, and in place of what.
    pub fingerprint: String,
    /// Every matching prompt that has the label `from`, by namespace and then by name.
    pub prompts: Vec<PlannedPromotion>,
}

/// What a promotion would do to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedPromotion {
    /// The prompt.
    pub name: PromptName,
    /// What the label serves now; absent if it does not exist.
    pub from: Option<Serving>,
    /// What it would serve: what the label `from` serves now.
    pub to: Serving,
    /// Whether both already serve the same.
    pub unchanged: bool,
    /// Why it is not allowed: a permission, or requirements of policies that are not met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
    /// The highest risk of findings in what would be served anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Severity>,
    /// How it would break current callers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<String>,
}
