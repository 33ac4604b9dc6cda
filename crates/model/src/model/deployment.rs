//! A deployment: the record of a change to what a label serves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// A deployment to one label of one prompt. Deployments with the same `id` were made at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The commit that made it; the same for all its labels.
    pub id: u64,
    /// The prompt.
    pub name: PromptName,
    /// The label; `latest` only if the prompt was removed.
    pub label: Label,
    /// The time.
    pub at: Timestamp,
    /// The principal that deployed.
    pub actor: String,
    /// The reason.
    pub message: String,
    /// The kind of deployment.
    pub action: Action,
    /// What the label served before; absent if it did not exist.
    pub from: Option<Serving>,
    /// What the label serves from then on; absent if it was removed.
    pub to: Option<Serving>,
    /// The approvers, if a policy required approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The change request that it applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_request: Option<u64>,
}

/// The kind of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A deployment.
    Deploy,
    /// A rollback to an earlier deployment.
    Rollback,
    /// Removal of the label.
    Unlabel,
    /// Removal of the prompt with all its labels.
    Remove,
}

/// What a rollback of a label returns to, from its deployments, oldest first: what it served before what it serves now.
///
/// A deployment that was rolled back is not returned to, so that a second rollback goes further back.
pub fn rollback_target<'a>(deployments: impl IntoIterator<Item = &'a Deployment>) -> Option<&'a Deployment> {
    let mut live: Vec<&Deployment> = Vec::new();
    for deployment in deployments {
        if deployment.action == Action::Rollback {
            // To a version that the label had never served, it undoes the newest deployment.
            let returned = live.iter().rposition(|one| one.to == deployment.to);
            live.truncate(returned.unwrap_or(live.len().saturating_sub(1)));
        }
        live.push(deployment);
    }
    let now = live.last()?;
    live.iter().rev().find(|one| one.to.is_some() && one.to != now.to).copied()
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Unlabel => "unlabel",
            Self::Remove => "remove",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(action: &str, to: Option<u64>) -> Deployment {
        let to = to.map(|number| json!({ "version": number }));
        let one = json!({"id": 1, "name": "a", "label": "production", "at": "2026-03-20T15:00:00Z", "actor": "x",
            "message": "y", "action": action, "from": null, "to": to});
        serde_json::from_value(one).expect("a deployment")
    }

    /// `2` deploys version 2, `<2` rolls back to it, `-` removes the label.
    fn check(history: &str, expected: Option<u64>) {
        let read = |word: &str| match (word, word.strip_prefix('<')) {
            ("-", _) => deployment("unlabel", None),
            (_, Some(number)) => deployment("rollback", number.parse().ok()),
            (number, None) => deployment("deploy", number.parse().ok()),
        };
        let deployments: Vec<Deployment> = history.split_whitespace().map(read).collect();
        let found = rollback_target(&deployments).map(|one| one.to.clone());
        assert_eq!(found, expected.map(|number| Some(Serving::version(number))), "{history}");
    }

    #[test]
    fn rollback_goes_on_to_what_was_live_before_and_never_to_what_was_rolled_back() {
        check("", None);
        check("1", None);
        check("1 2", Some(1));
        check("1 2 3 <2", Some(1));
        check("1 2 3 <2 <1", None);
        check("1 2 <1", None);
        check("1 2 <1 3", Some(1));
        check("1 2 <1 3 <1", None);
        check("1 2 3 4 <2", Some(1));
        check("1 2 3 4 <2 5", Some(2));
        // Deployed again, it is live again.
        check("1 2 <1 2", Some(1));
        check("1 2 <1 2 3", Some(2));
        check("1 2 1 <2", Some(1));
        check("1 2 1 <2 <1", None);
        // A label that was removed.
        check("1 2 -", Some(2));
        check("1 2 - <2", Some(1));
        check("1 2 - 3", Some(2));
        check("1 2 - 2", Some(1));
        // To a version that it had never served.
        check("1 2 <7", Some(1));
        check("1 2 <7 <1", None);
        check("<7", None);
    }
}
