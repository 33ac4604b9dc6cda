//! The catalogue: every kind of document, its number, what is stored and by which key.
//!
//! A kind's number is stored before each key and never used twice. What is stored is the JSON of the noun: a new field
//! has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::{DeliveryKey, DocumentKey, DraftSaveKey, DueDeliveryKey, UseKey};
use super::{Document, Excerpt};
use crate::model::about::About;
use crate::model::change_request::ChangeRequest;
use crate::model::draft::{Draft, DraftSummary};
use crate::model::finding::Finding;
use crate::model::name::PromptName;
use crate::model::policy::Policy;
use crate::model::principal::{Principal, Role, TokenRecord};
use crate::model::source::{ImportedPrompt, PublishedFile};
use crate::model::time::Timestamp;
use crate::model::webhook::{Delivery, Webhook};

macro_rules! documents {
    ($($number:literal $document:ident by $key:ty;)+) => {
        /// What kind of document it is.
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

// The texts are names; the number of a version follows its prompt, that of a change request stands alone.
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
}

/// A change request of this number is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest;

/// A delivery waits until the time in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueDelivery;

/// A draft as it was at one of its saves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DraftSave(pub Draft);

/// The TOML of a rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleSetToml(pub String);

/// What the risk rules found in a version, worst first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Findings(pub Vec<Finding>);

/// The last hour, in hours since 1970, in which a version was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastUse(pub u64);

/// When an access token was used last, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenUse(pub i64);

/// Who else than its author made a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contributors(pub Vec<String>);

/// The id of the rules that the findings of a version were found under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScannedUnder(pub String);

/// The values of variables that a prompt is tried with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(pub BTreeMap<String, serde_json::Value>);

/// How many drafts a principal has, and how many bytes those and their saves take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "said above")]
pub struct DraftUsage {
    pub drafts: u64,
    pub bytes: u64,
}

/// What a webhook signs with. It has no `Debug`, so that nothing prints it.
#[derive(Serialize, Deserialize)]
pub struct WebhookSecrets {
    /// The newest one.
    pub current: String,
    /// The one before the last rotation, and until when it signs as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, Timestamp)>,
}

/// A session of the pages, by the hex hash of its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSessionRecord {
    /// Hex of the hash of the access token that it was begun with; none where a sign-in link began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Who is signed in.
    pub principal: String,
    /// When it began, in milliseconds since 1970.
    pub began_ms: i64,
    /// When it was last used, in milliseconds since 1970.
    pub used_ms: i64,
}

/// A sign-in link that was not used yet, by the hex hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSignInLink {
    /// The person it signs in.
    pub principal: String,
    /// Who created it.
    pub created_by: String,
    /// When it stops working.
    pub expires: Timestamp,
}

impl Excerpt<Draft> for DraftSummary {}
impl Excerpt<DraftSave> for DraftSummary {}

/// The key of a delivery.
#[must_use]
pub fn delivery_key(delivery: &Delivery) -> DeliveryKey<'_> {
    DeliveryKey { webhook: &delivery.webhook, seq: delivery.seq, effect: delivery.effect }
}

/// The key of a delivery among those that wait; what was never tried comes first, in order.
#[must_use]
pub fn due_key(delivery: &Delivery) -> DueDeliveryKey<'_> {
    let due_ms = delivery.next_at.map_or(0, |at| u64::try_from(at.ms()).unwrap_or(0));
    DueDeliveryKey { webhook: &delivery.webhook, due_ms, seq: delivery.seq, effect: delivery.effect }
}

/// The key of a save of a draft.
#[must_use]
pub fn save_key(draft: &Draft) -> DraftSaveKey<'_> {
    DraftSaveKey { prompt: draft.prompt.as_str(), draft: &draft.name, revision: draft.revision }
}

/// Whether a document can have this key.
#[must_use]
pub fn is_key(key: impl DocumentKey) -> bool {
    key.text().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_kinds_are_contiguous_from_1() {
        assert!(NUMBERS.iter().copied().eq(1..=25));
    }
}
