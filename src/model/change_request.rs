//! Change requests: what somebody wants a label to serve, and what others say of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// BLAKE3 derive-key context of what an approval binds to.
const FINGERPRINT_CONTEXT: &str = "bookholder proposed move v1";
/// Most events (reviews, comments, amendments) of one change request.
pub const EVENTS_MAX: usize = 500;

/// A change that waits for others to look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeRequest {
    /// 1, 2, 3 … in this registry.
    pub id: u64,
    /// Why, in the author's words.
    pub message: String,
    /// Who proposed it.
    pub author: String,
    /// When.
    pub created: Timestamp,
    /// The commit that proposed it.
    #[serde(default)]
    pub commit: u64,
    /// When it closes by itself.
    pub expires: Timestamp,
    /// What has become of it.
    pub state: RequestState,
    /// What shall be served where.
    pub moves: Vec<ProposedMove>,
    /// Whether it is applied as soon as nothing is missing.
    pub automatic: bool,
    /// Who was asked to review it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    /// What has been said and done, oldest first.
    pub events: Vec<RequestEvent>,
    /// The deployment that applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
}

/// What has become of a change request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// It can be reviewed.
    Open,
    /// It is served.
    Applied,
    /// A reviewer refused it.
    Rejected,
    /// Its author took it back.
    Withdrawn,
    /// Nobody finished it in time.
    Expired,
}

impl RequestState {
    /// Every state, the open one first.
    pub const ALL: [Self; 5] = [Self::Open, Self::Applied, Self::Rejected, Self::Withdrawn, Self::Expired];
}

impl std::str::FromStr for RequestState {
    type Err = RequestStateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.to_string() == text);
        found.ok_or_else(|| RequestStateError(text.chars().take(64).collect()))
    }
}

/// A text names no state of a change request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no change request is `{0}`; it is open, applied, rejected, withdrawn or expired")]
pub struct RequestStateError(String);

impl std::fmt::Display for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        })
    }
}

/// One label, and exactly what it shall serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposedMove {
    /// Which prompt.
    pub name: PromptName,
    /// Which label.
    pub label: Label,
    /// What it shall serve.
    pub serving: Serving,
    /// The content of every version in it.
    pub contents: BTreeMap<u64, ContentId>,
    /// Hash over all of the above, as hex: what an approval binds to.
    pub fingerprint: String,
}

impl ProposedMove {
    /// A move with its fingerprint.
    #[must_use]
    pub fn new(name: PromptName, label: Label, serving: Serving, contents: BTreeMap<u64, ContentId>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(FINGERPRINT_CONTEXT);
        // The serving's JSON is canonical enough: its maps are sorted and its numbers whole.
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

/// Something said or done about a change request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestEvent {
    /// When.
    pub at: Timestamp,
    /// The commit that recorded it; an approval counts until the label moves away from what it is of.
    #[serde(default)]
    pub commit: u64,
    /// By whom.
    pub by: String,
    /// The roles under which they may review, when it was a review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What.
    pub kind: EventKind,
    /// In their words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The moves that an approval binds to, by fingerprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

/// What was said or done about a change request.
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
    /// Who approves what a move says now: everybody whose last approval binds to exactly it.
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
