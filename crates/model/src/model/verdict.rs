//! A decision: whether a principal has a permission, and which requirements of a label are met.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether something is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The grant that allows it, or what is missing.
    pub reason: String,
    /// Roles that would allow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

impl Verdict {
    /// The roles that would allow it, for display.
    pub fn lacks(&self) -> String {
        match self.roles.as_slice() {
            [] => "no role allows this here".to_owned(),
            [role] => format!("the role {role} allows it"),
            roles => format!("these roles allow it: {}", roles.join(", ")),
        }
    }
}

/// One requirement of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requirement {
    /// The policy.
    pub policy: String,
    /// The kind of requirement.
    pub kind: RequirementKind,
    /// Whether it is met.
    pub met: bool,
    /// The requirement in words, with its progress.
    pub says: String,
    /// Roles that can meet it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// The kinds of requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields of a policy")]
pub enum RequirementKind {
    Deployers,
    Approvals,
    After,
    Freeze,
    Message,
    Gate,
    DownstreamGate,
    RiskApproval,
    RiskBlock,
}
