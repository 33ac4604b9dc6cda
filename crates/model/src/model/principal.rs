//! Principals (people, services and automations), roles, grants and access tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::handle::HANDLE_BYTES_MAX;
use super::pattern::Pattern;
use super::time::Timestamp;

/// Reserved names: the operator at the machine, the program itself, and local callers.
pub const RESERVED: [&str; 3] = ["operator", "bookholder", "local"];
/// Most grants of one principal.
pub const GRANTS_MAX: usize = 100;

/// A permission. New ones may be added; existing ones keep their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Resolve and read prompts with their history.
    Read,
    /// Replicate the registry.
    Follow,
    /// Publish versions, edit drafts, open change requests.
    Publish,
    /// Deploy, roll back and remove labels.
    Deploy,
    /// Retire and un-retire versions.
    Retire,
    /// Remove prompts.
    Remove,
    /// Import history with its original authors and times.
    Import,
    /// Approve and reject change requests.
    Review,
    /// Read the audit log, create reports, erase telemetry.
    Audit,
    /// Manage principals, access tokens, roles and grants.
    Access,
    /// Manage label policies, risk rules and retention.
    Policy,
    /// Manage webhooks and alerts.
    Webhooks,
    /// Create backups and bundles, set prices of models, and operate the node.
    Operate,
    /// Override a policy with a reason.
    Override,
    /// Report telemetry and scores.
    Telemetry,
    /// Run evaluations and the playground, which cost money.
    Run,
    /// Manage suites.
    Suites,
}

impl Permission {
    /// Every permission, in the order in which they are shown.
    pub const ALL: [Self; 17] = [
        Self::Read,
        Self::Follow,
        Self::Publish,
        Self::Deploy,
        Self::Retire,
        Self::Remove,
        Self::Import,
        Self::Review,
        Self::Audit,
        Self::Access,
        Self::Policy,
        Self::Webhooks,
        Self::Operate,
        Self::Override,
        Self::Telemetry,
        Self::Run,
        Self::Suites,
    ];

    /// What it allows.
    #[must_use]
    pub const fn allows(self) -> &'static str {
        match self {
            Self::Read => "resolve and read prompts with their history",
            Self::Follow => "replicate the registry",
            Self::Publish => "publish versions, edit drafts, open change requests",
            Self::Deploy => "deploy, roll back and remove labels",
            Self::Retire => "retire and un-retire versions",
            Self::Remove => "remove prompts",
            Self::Import => "import history with its original authors and times",
            Self::Review => "approve and reject change requests",
            Self::Audit => "read the audit log, create reports, erase telemetry",
            Self::Access => "manage principals, access tokens, roles and grants",
            Self::Policy => "manage label policies, risk rules and retention",
            Self::Webhooks => "manage webhooks and alerts",
            Self::Operate => "create backups and bundles, and operate the node",
            Self::Override => "override a policy with a reason",
            Self::Telemetry => "report telemetry and scores",
            Self::Run => "run evaluations and the playground",
            Self::Suites => "manage suites of evaluations",
        }
    }

    /// Its name in JSON, for example `deploy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Follow => "follow",
            Self::Publish => "publish",
            Self::Deploy => "deploy",
            Self::Retire => "retire",
            Self::Remove => "remove",
            Self::Import => "import",
            Self::Review => "review",
            Self::Audit => "audit",
            Self::Access => "access",
            Self::Policy => "policy",
            Self::Webhooks => "webhooks",
            Self::Operate => "operate",
            Self::Override => "override",
            Self::Telemetry => "telemetry",
            Self::Run => "run",
            Self::Suites => "suites",
        }
    }
}

impl Permission {
    /// What it allows, in words.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Read => "Resolve and read prompts with their history",
            Self::Follow => "Replicate the registry",
            Self::Publish => "Publish versions, edit drafts, open change requests",
            Self::Deploy => "Deploy, roll back and remove labels",
            Self::Retire => "Retire and un-retire versions",
            Self::Remove => "Remove prompts",
            Self::Import => "Import history from elsewhere",
            Self::Review => "Approve and reject change requests",
            Self::Audit => "Read the audit log, create reports, erase telemetry",
            Self::Access => "Manage principals, access tokens, roles and grants",
            Self::Policy => "Manage label policies, risk rules and retention",
            Self::Webhooks => "Manage webhooks and alerts",
            Self::Operate => "Create backups and bundles, set prices of models",
            Self::Override => "Override a policy with a reason",
            Self::Telemetry => "Report telemetry and scores",
            Self::Run => "Run evaluations and the playground",
            Self::Suites => "Manage suites of evaluations",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|permission| permission.as_str() == text);
        found.ok_or_else(|| PermissionError(text.chars().take(HANDLE_BYTES_MAX).collect()))
    }
}

/// A text is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown permission `{0}`: use read, follow, publish, deploy, retire, remove, import, review, audit, access, policy, webhooks, operate, override, telemetry, run, suites"
)]
pub struct PermissionError(String);

/// A named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AccessRole)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its permissions.
    pub permissions: BTreeSet<Permission>,
    /// The description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it is built in and cannot be changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub built_in: bool,
}

impl Role {
    /// The roles that every registry has.
    pub fn built_in() -> Vec<Self> {
        use Permission as P;
        let role = |name: &str, description: &str, permissions: &[Permission]| Self {
            name: name.to_owned(),
            permissions: permissions.iter().copied().collect(),
            description: description.to_owned(),
            built_in: true,
        };
        vec![
            role("admin", "Everything, including overriding a policy with a reason", &P::ALL),
            role("archiver", "Archives unused versions", &[P::Policy]),
            role(
                "author",
                "Writes prompts, edits drafts, opens change requests, runs evaluations",
                &[P::Read, P::Publish, P::Run],
            ),
            role("compliance", "Reviews changes, reads the audit log", &[P::Read, P::Review, P::Audit]),
            role("evaluator", "Manages suites and runs evaluations", &[P::Read, P::Run, P::Suites]),
            role("reader", "Resolves and reads prompts", &[P::Read]),
            role(
                "releaser",
                "Deploys, rolls back, retires, reviews, runs evaluations",
                &[P::Read, P::Publish, P::Deploy, P::Retire, P::Review, P::Run],
            ),
            role("replica", "Replicates the registry", &[P::Read, P::Follow]),
            role("reporter", "Reports telemetry and scores", &[P::Telemetry]),
        ]
    }
}

/// A role for matching prompts and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role.
    pub role: String,
    /// The prompts.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// The labels of the prompts; only applies to `deploy` and `review`.
    #[serde(default = "Pattern::everything")]
    pub labels: Pattern,
}

impl Grant {
    /// A role for all prompts and labels.
    #[must_use]
    pub fn everywhere(role: &str) -> Self {
        Self { role: role.to_owned(), prompts: Pattern::everything(), labels: Pattern::everything() }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.role, self.prompts)?;
        if self.labels.is_everything() { Ok(()) } else { write!(f, " for labels {}", self.labels) }
    }
}

/// The kind of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person.
    Person,
    /// A program that calls the registry with an access token.
    Service,
    /// What the node does by itself, such as archiving on a schedule, within its own grants; nothing can sign in as it.
    Automation,
    /// The operator at the machine, who is not limited by grants.
    System,
}

impl PrincipalKind {
    /// The kinds of principals that can be created.
    pub const CREATED: [Self; 3] = [Self::Person, Self::Service, Self::Automation];
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Automation => "automation",
            Self::System => "system",
        })
    }
}

/// A person, service or automation that has grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Its unique name, as in the audit log.
    pub name: String,
    /// Person, service or automation.
    pub kind: PrincipalKind,
    /// Since when.
    pub created: Timestamp,
    /// Its grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Since when it is disabled and its access tokens are rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Timestamp>,
}

/// A stored access token: its hash, never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Unique; what it is for.
    pub name: String,
    /// The principal that owns it.
    pub principal: String,
    /// Hash of the token, as hex.
    pub hash: String,
    /// Since when.
    pub created: Timestamp,
    /// When it expires; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The token before a rotation, and until when it remains valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, Timestamp)>,
    /// The prompts it is limited to, whatever its principal is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// The views it can replicate; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}
