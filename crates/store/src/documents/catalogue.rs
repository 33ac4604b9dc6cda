//! The catalogue of document kinds: number, type and key of each.
//!
//! A kind's number precedes each key and is never reused. The value is the JSON of the type: a new field needs a
//! default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::{DeliveryKey, DocumentKey, DraftSaveKey, DueDeliveryKey, HumanLabelKey, UseKey};
use super::{Document, Excerpt};
use crate::model::about::About;
use crate::model::alert::Alert;
use crate::model::calibration::HumanLabel;
use crate::model::change_request::ChangeRequest;
use crate::model::draft::{Draft, DraftSummary};
use crate::model::evaluation::GateResult;
use crate::model::finding::Finding;
use crate::model::name::PromptName;
use crate::model::policy::Policy;
use crate::model::principal::{Principal, Role, TokenRecord};
use crate::model::source::{ImportedPrompt, PublishedFile};
use crate::model::suite::SuiteVersion;
use crate::model::time::Timestamp;
use crate::model::webhook::{Delivery, Webhook};

macro_rules! documents {
    ($($number:literal $document:ident by $key:ty;)+) => {
        /// The kind of a document.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum DocumentKind {
            $(
                #[allow(missing_docs, reason = "named after its document")]
                $document = $number,
            )+
        }

        $(
            impl Document for $document {
                const KIND: DocumentKind = DocumentKind::$document;
                type Key<'a> = $key;
            }
        )+

        #[cfg(test)]
        const NUMBERS: &[u8] = &[$($number),+];
    };
}

// Text parts are names; a version's number follows its prompt, and a change request has only a number.
documents! {
    1  Principal       by &'a str;
    2  TokenRecord     by &'a str;
    3  Role            by &'a str;
    4  Policy          by &'a str;
    5  ChangeRequest   by u64;
    6  OpenRequest     by u64;
    7  Draft           by (&'a PromptName, &'a str);
    8  DraftSave       by DraftSaveKey<'a>;
    9  RuleSetToml     by &'a str;
    10 Findings        by (&'a PromptName, u64);
    11 Webhook         by &'a str;
    12 Delivery        by DeliveryKey<'a>;
    13 LastUse         by UseKey<'a>;
    14 TokenUse        by &'a str;
    15 DueDelivery     by DueDeliveryKey<'a>;
    16 WebhookSecrets  by &'a str;
    17 Contributors          by (&'a PromptName, u64);
    18 ScannedUnder    by (&'a PromptName, u64);
    19 About           by &'a PromptName;
    20 Samples         by &'a PromptName;
    21 DraftUsage       by &'a str;
    22 PublishedFile   by (&'a str, &'a PromptName);
    23 WebSessionRecord by &'a str;
    24 ImportedPrompt  by &'a PromptName;
    25 OpenSignInLink  by &'a str;
    26 Alert           by &'a str;
    27 KeptPrices      by &'a str;
    28 SuiteVersion    by (&'a str, u64);
    29 SuiteJson       by (&'a str, u64);
    30 GateResult      by (&'a str, &'a str);
    31 HumanLabel      by HumanLabelKey<'a>;
}

/// An open change request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest;

/// A pending delivery, by due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueDelivery;

/// A saved revision of a draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DraftSave(pub Draft);

/// The TOML of a rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleSetToml(pub String);

/// A table of prices that a registry keeps, as JSON, by the name of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeptPrices(pub String);

/// The canonical JSON of a version of a suite, whose hash is its ID.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SuiteJson(pub Box<serde_json::value::RawValue>);

/// The findings of the risk rules in a version, worst first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Findings(pub Vec<Finding>);

/// The last hour, in hours since 1970, in which a version was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastUse(pub u64);

/// When an access token was last used, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenUse(pub i64);

/// The contributors to a version besides its author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contributors(pub Vec<String>);

/// The ID of the rules with which the findings of a version were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScannedUnder(pub String);

/// The sample values of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(pub BTreeMap<String, serde_json::Value>);

/// Number of a principal's drafts, and the bytes of them and their revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "said above")]
pub struct DraftUsage {
    pub drafts: u64,
    pub bytes: u64,
}

/// The secrets of a webhook. It has no `Debug`, so that they are never printed.
#[derive(Serialize, Deserialize)]
pub struct WebhookSecrets {
    /// The newest secret.
    pub current: String,
    /// The previous secret, and until when it still signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, Timestamp)>,
}

/// A session of the pages, by the hex hash of its ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSessionRecord {
    /// Hex hash of the access token that it was started with; absent if it was a sign-in link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Who is signed in.
    pub principal: String,
    /// When it started, in milliseconds since 1970.
    pub began_ms: i64,
    /// When it was last used, in milliseconds since 1970.
    pub used_ms: i64,
}

/// An unused sign-in link, by the hex hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSignInLink {
    /// The person it signs in.
    pub principal: String,
    /// Who created it.
    pub created_by: String,
    /// When it expires.
    pub expires: Timestamp,
}

impl Excerpt<Draft> for DraftSummary {}
impl Excerpt<DraftSave> for DraftSummary {}

/// The key of a delivery.
pub fn delivery_key(delivery: &Delivery) -> DeliveryKey<'_> {
    DeliveryKey { webhook: &delivery.webhook, seq: delivery.seq, effect: delivery.effect }
}

/// The key of a pending delivery; new ones come first, in order.
pub fn due_key(delivery: &Delivery) -> DueDeliveryKey<'_> {
    let due_ms = delivery.next_at.map_or(0, |at| u64::try_from(at.ms()).unwrap_or(0));
    DueDeliveryKey { webhook: &delivery.webhook, due_ms, seq: delivery.seq, effect: delivery.effect }
}

/// The key of a revision of a draft.
pub fn save_key(draft: &Draft) -> DraftSaveKey<'_> {
    DraftSaveKey { prompt: draft.prompt.as_str(), draft: &draft.name, revision: draft.revision }
}

/// Whether this key is valid for a document.
#[must_use]
pub fn is_key(key: impl DocumentKey) -> bool {
    key.text().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_kinds_are_contiguous_from_1() {
        assert!(NUMBERS.iter().copied().eq(1..=31));
    }
}
