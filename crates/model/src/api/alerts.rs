//! Requests and answers for alerts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::alert::{AlertReading, AlertRule, AlertState, AlertUnit};
use crate::model::time::Timestamp;

/// An alert with its state and its newest value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// Its name.
    pub name: String,
    /// What it watches.
    pub rule: AlertRule,
    /// The unit of the threshold and of values.
    pub unit: AlertUnit,
    /// When it was created.
    pub created: Timestamp,
    /// Its state.
    pub state: AlertState,
    /// Since when it has that state.
    pub since: Timestamp,
    /// Since when it fires, until `alert.resolved` is sent to webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing_since: Option<Timestamp>,
    /// The newest value; absent until the first one is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<AlertReading>,
    /// The alert and its newest value in a sentence.
    pub summary: String,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FiringAlert {
    /// Its name.
    pub name: String,
    /// Since when it fires.
    pub since: Timestamp,
    /// The alert and its newest value in a sentence.
    pub summary: String,
}
