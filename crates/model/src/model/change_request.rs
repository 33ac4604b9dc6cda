//! Change requests: proposed deployments and their reviews.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::Command;
use super::content_id::ContentId;
use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// BLAKE3 key-derivation context of fingerprints.
const FINGERPRINT_CONTEXT: &str = "bookholder proposed move v1";
/// Most events (reviews, comments, amendments) of one change request.
pub const EVENTS_MAX: usize = 500;

/// A proposed change with its reviews.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeRequest {
    /// 1, 2, 3 … in this registry.
    pub id: u64,
    /// The reason, by the author.
    pub message: String,
    /// The principal that opened it.
    pub author: String,
    /// The time.
    pub created: Timestamp,
    /// The commit that opened it.
    #[serde(default)]
    pub commit: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// Its state.
    pub state: RequestState,
    /// The proposed deployments.
    pub moves: Vec<ProposedMove>,
    /// Whether it is deployed as soon as all requirements are met.
    pub automatic: bool,
    /// The principals asked to review it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    /// Its events, oldest first.
    pub events: Vec<RequestEvent>,
    /// The deployment that applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
}

/// The state of a change request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// It can be reviewed.
    Open,
    /// It was deployed.
    Applied,
    /// A reviewer rejected it.
    Rejected,
    /// Its author withdrew it.
    Withdrawn,
    /// It was not completed in time.
    Expired,
}

impl RequestState {
    /// Every state, the open one first.
    pub const ALL: [Self; 5] = [Self::Open, Self::Applied, Self::Rejected, Self::Withdrawn, Self::Expired];

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for RequestState {
    type Err = RequestStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.to_string() == text);
        found.ok_or_else(|| RequestStateError(text.chars().take(64).collect()))
    }
}

/// A text is not a state of a change request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown state `{0}`: use open, applied, rejected, withdrawn or expired")]
pub struct RequestStateError(String);

impl std::fmt::Display for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A proposed deployment to one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposedMove {
    /// The prompt.
    pub name: PromptName,
    /// The label.
    pub label: Label,
    /// What the label will serve.
    pub serving: Serving,
    /// The content of every version in it.
    pub contents: BTreeMap<u64, ContentId>,
    /// Hash of all of the above, as hex, which approvals are bound to.
    pub fingerprint: String,
}

impl ProposedMove {
    /// A move with its fingerprint.
    #[must_use]
    pub fn new(name: PromptName, label: Label, serving: Serving, contents: BTreeMap<u64, ContentId>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(FINGERPRINT_CONTEXT);
        // The serving's JSON is canonical: its maps are sorted and its numbers are whole.
        let texts = [name.to_string(), label.to_string(), serde_json::to_string(&serving).unwrap_or_default()];
        let contents_of = contents.iter().map(|(number, id)| format!("{number}={id}"));
        for text in texts.into_iter().chain(contents_of) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let fingerprint = hasher.finalize().to_hex().to_string();
        Self { name, label, serving, contents, fingerprint }
    }
}

/// An event of a change request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestEvent {
    /// The time.
    pub at: Timestamp,
    /// The commit that recorded it; an approval counts until the label is moved away from the approved change.
    #[serde(default)]
    pub commit: u64,
    /// The principal.
    pub by: String,
    /// The roles that allowed the review, if it is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The kind of event.
    pub kind: EventKind,
    /// The comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Fingerprints of the approved moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// The command that deployed exactly this without applying the request, for example `deploy` or `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directly: Option<Command>,
    /// The unmet requirements that were overridden, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<String>,
}

/// The kind of an event of a change request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each says what it is")]
pub enum EventKind {
    Approve,
    Reject,
    Comment,
    Amend,
    Withdraw,
    Apply,
    Expire,
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Comment => "comment",
            Self::Amend => "amend",
            Self::Withdraw => "withdraw",
            Self::Apply => "apply",
            Self::Expire => "expire",
        })
    }
}

impl ChangeRequest {
    /// Approvers of a move as it is now: principals whose last approval has this fingerprint.
    pub fn approvals_of<'a>(&'a self, fingerprint: &'a str) -> impl Iterator<Item = &'a RequestEvent> {
        self.events.iter().enumerate().filter_map(move |(index, event)| {
            let fits = event.kind == EventKind::Approve && event.fingerprints.iter().any(|found| found == fingerprint);
            let last = self
                .events
                .iter()
                .skip(index + 1)
                .all(|later| later.by != event.by || later.kind != EventKind::Approve);
            (fits && last).then_some(event)
        })
    }
}
