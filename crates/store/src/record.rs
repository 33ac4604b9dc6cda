//! The stored forms of the domain types: frozen structs, and conversions to and from `model`.
//!
//! A struct here never changes: a new layout is a new struct with the next version, and the old one
//! stays with a conversion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::codec::{self, Record};
use super::error::StoreError;
use crate::model::audit::{AuditEntry, Link};
use crate::model::content_id::ContentId;
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::serving::{Rule, Serving, Slots, Split, Target};
use crate::model::time::Timestamp;
use crate::model::version::{Include, Retired, Version};

macro_rules! record {
    ($type:ty, $kind:literal, $version:literal, $name:literal) => {
        impl Record for $type {
            const KIND: u8 = $kind;
            const VERSION: u8 = $version;
            const NAME: &'static str = $name;
        }
    };
}

record!(PromptV1, 1, 1, "prompt");
record!(VersionV1, 2, 1, "version");
record!(LabelV1, 4, 1, "label");
record!(DeploymentV1, 5, 1, "deployment");
record!(AuditV1, 16, 1, "audit entry");
record!(HeadV1, 17, 1, "head");
record!(DeltaHeaderV1, 32, 1, "delta header");
record!(OperationV1, 33, 1, "delta operation");

#[derive(Serialize, Deserialize)]
pub(super) struct PromptV1 {
    created: i64,
    changed: i64,
    latest: u64,
    removed: Option<i64>,
}

impl PromptV1 {
    pub(super) fn new(prompt: &Prompt) -> Self {
        Self {
            created: prompt.created.ms(),
            changed: prompt.changed.ms(),
            latest: prompt.latest,
            removed: prompt.removed.map(Timestamp::ms),
        }
    }

    pub(super) fn into_model(self, name: PromptName) -> Prompt {
        Prompt {
            name,
            created: Timestamp::from_ms(self.created),
            changed: Timestamp::from_ms(self.changed),
            latest: self.latest,
            removed: self.removed.map(Timestamp::from_ms),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct VersionV1 {
    content: [u8; 32],
    source: Option<[u8; 32]>,
    semver: (u64, u64, u64),
    author: String,
    message: String,
    created: i64,
    commit: u64,
    includes: Vec<(String, u64, [u8; 32])>,
    retired: Option<(i64, String, String)>,
    archived: Option<i64>,
}

impl VersionV1 {
    pub(super) fn new(version: &Version) -> Self {
        Self {
            content: *version.content_id.as_hash(),
            source: version.source_id.map(|id| *id.as_hash()),
            semver: (version.semver.major, version.semver.minor, version.semver.patch),
            author: version.author.clone(),
            message: version.message.clone(),
            created: version.created.ms(),
            commit: version.commit,
            includes: version
                .includes
                .iter()
                .map(|include| (include.name.to_string(), include.version, *include.content_id.as_hash()))
                .collect(),
            retired: version.retired.clone().map(|retired| (retired.at.ms(), retired.actor, retired.message)),
            archived: version.archived.map(Timestamp::ms),
        }
    }

    pub(super) fn into_model(self, number: u64) -> Result<Version, StoreError> {
        let (major, minor, patch) = self.semver;
        let include = |(name, version, hash): (String, u64, [u8; 32])| {
            Ok(Include { name: parse(&name)?, version, content_id: ContentId::from_hash(hash) })
        };
        Ok(Version {
            number,
            content_id: ContentId::from_hash(self.content),
            source_id: self.source.map(ContentId::from_hash),
            semver: semver::Version::new(major, minor, patch),
            author: self.author,
            message: self.message,
            created: Timestamp::from_ms(self.created),
            commit: self.commit,
            includes: self.includes.into_iter().map(include).collect::<Result<_, StoreError>>()?,
            retired: self.retired.map(|(at, actor, message)| Retired { at: Timestamp::from_ms(at), actor, message }),
            archived: self.archived.map(Timestamp::from_ms),
        })
    }
}

/// Decodes a version, in any stored form.
pub(super) fn decode_version(bytes: &[u8], number: u64) -> Result<Version, StoreError> {
    codec::decode::<VersionV1>(bytes)?.into_model(number)
}

#[derive(Serialize, Deserialize)]
pub(super) struct LabelV1 {
    serving: ServingV1,
    deployment: u64,
    since: i64,
}

impl LabelV1 {
    pub(super) fn new(state: &LabelState) -> Self {
        Self { serving: ServingV1::new(&state.serving), deployment: state.deployment, since: state.since.ms() }
    }

    pub(super) fn into_model(self, label: Label) -> LabelState {
        LabelState {
            label,
            serving: self.serving.into_model(),
            deployment: self.deployment,
            since: Timestamp::from_ms(self.since),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ServingV1 {
    rules: Vec<(BTreeMap<String, String>, TargetV1)>,
    default: TargetV1,
}

#[derive(Serialize, Deserialize)]
enum TargetV1 {
    Version(u64),
    Split(String, Vec<(u64, u16, u16)>),
}

impl ServingV1 {
    fn new(serving: &Serving) -> Self {
        let target = |target: &Target| match target {
            Target::Version(number) => TargetV1::Version(*number),
            Target::Split(split) => {
                let run = |slots: &Slots| (slots.version, slots.from, slots.to);
                TargetV1::Split(split.salt.clone(), split.slots.iter().map(run).collect())
            }
        };
        Self {
            rules: serving.rules.iter().map(|rule| (rule.when.clone(), target(&rule.target))).collect(),
            default: target(&serving.default),
        }
    }

    fn into_model(self) -> Serving {
        let target = |target| match target {
            TargetV1::Version(number) => Target::Version(number),
            TargetV1::Split(salt, slots) => {
                let run = |(version, from, to)| Slots { version, from, to };
                Target::Split(Split { salt, slots: slots.into_iter().map(run).collect() })
            }
        };
        Serving {
            rules: self.rules.into_iter().map(|(when, goal)| Rule { when, target: target(goal) }).collect(),
            default: target(self.default),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DeploymentV1 {
    at: i64,
    actor: String,
    message: String,
    action: u8,
    from: Option<ServingV1>,
    to: Option<ServingV1>,
    approved_by: Vec<String>,
    change_request: Option<u64>,
}

impl DeploymentV1 {
    pub(super) fn new(deployment: &Deployment) -> Self {
        Self {
            at: deployment.at.ms(),
            actor: deployment.actor.clone(),
            message: deployment.message.clone(),
            action: match deployment.action {
                Action::Deploy => 1,
                Action::Rollback => 2,
                Action::Unlabel => 3,
                Action::Remove => 4,
            },
            from: deployment.from.as_ref().map(ServingV1::new),
            to: deployment.to.as_ref().map(ServingV1::new),
            approved_by: deployment.approved_by.clone(),
            change_request: deployment.change_request,
        }
    }

    pub(super) fn into_model(self, name: PromptName, label: Label, id: u64) -> Result<Deployment, StoreError> {
        let action = match self.action {
            1 => Action::Deploy,
            2 => Action::Rollback,
            3 => Action::Unlabel,
            4 => Action::Remove,
            other => {
                let reason = format!("it has the action {other}");
                return Err(StoreError::Record { kind: Self::NAME, reason });
            }
        };
        Ok(Deployment {
            id,
            name,
            label,
            at: Timestamp::from_ms(self.at),
            actor: self.actor,
            message: self.message,
            action,
            from: self.from.map(ServingV1::into_model),
            to: self.to.map(ServingV1::into_model),
            approved_by: self.approved_by,
            change_request: self.change_request,
        })
    }
}

/// Decodes a deployment, in any stored form.
pub(super) fn decode_deployment(
    bytes: &[u8],
    name: PromptName,
    label: Label,
    id: u64,
) -> Result<Deployment, StoreError> {
    codec::decode::<DeploymentV1>(bytes)?.into_model(name, label, id)
}

/// An audit entry as the canonical JSON that its hash covers.
#[derive(Serialize, Deserialize)]
pub(super) struct AuditV1 {
    json: Vec<u8>,
}

pub(super) fn encode_audit(entry: &AuditEntry) -> Result<Vec<u8>, StoreError> {
    codec::encode(&AuditV1 { json: entry.to_canonical() })
}

pub(super) fn decode_audit(bytes: &[u8], seq: u64) -> Result<AuditEntry, StoreError> {
    let json = codec::decode::<AuditV1>(bytes)?.json;
    let entry: AuditEntry = serde_json::from_slice(&json).map_err(|error| {
        let reason = error.to_string();
        // An intact hash means that a newer program wrote it; it is not damage.
        if Link::read(&json).is_ok_and(|link| link.holds) {
            StoreError::AuditEntry { seq, reason }
        } else {
            StoreError::Record { kind: AuditV1::NAME, reason }
        }
    })?;
    // A number that differs from the key means that the entry does not belong here; the chain reports it.
    Ok(AuditEntry { seq, ..entry })
}

/// The chain fields of an audit entry, whatever its content.
pub(super) fn decode_link(bytes: &[u8]) -> Result<Link, StoreError> {
    let json = codec::decode::<AuditV1>(bytes)?.json;
    Link::read(&json).map_err(|error| StoreError::Record { kind: AuditV1::NAME, reason: error.to_string() })
}

/// The position of the registry.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct HeadV1 {
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) changed: u64,
    pub(super) floor: u64,
    pub(super) tombstones: u64,
}

/// First record of a delta.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DeltaHeaderV1 {
    pub(super) registry: String,
    pub(super) view: String,
    pub(super) view_generation: u64,
    pub(super) from: (u64, u64),
    pub(super) to: (u64, u64),
}

/// Every other record of a delta.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum OperationV1 {
    Put { namespace: String, kind: u8, key: Vec<u8>, mod_seq: u64, value: Vec<u8> },
    Delete { namespace: String, kind: u8, key: Vec<u8>, seq: u64 },
    DropNamespace { namespace: String },
}

/// Parses a name or label that this program once wrote.
pub(super) fn parse<T: std::str::FromStr<Err = crate::model::name::NameError>>(text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|error: crate::model::name::NameError| StoreError::Record { kind: "key", reason: error.to_string() })
}
