//! Reading: resolving, rendering, looking at prompts and their history.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::governance::diff::Diff;
use crate::model::about::About;
use crate::model::audit::AuditEntry;
use crate::model::content::{Content, Model};
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::position::Position;
use crate::model::prompt::{LabelState, Prompt};
use crate::model::schema;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::template::render::{Remark, Rendered};

/// The answer to a reference: exactly which bytes, and how they were chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// Which prompt.
    pub name: PromptName,
    /// Which of its versions.
    pub version: u64,
    /// Which bytes.
    pub content_id: ContentId,
    /// The label that was asked for; none when a version was.
    pub label: Option<Label>,
    /// What the version says; the content id is the hash of its encoding.
    pub content: Content,
    /// What to log beside a model's response, for example `support/agent@7+3f9a1c2b7d41`.
    pub stamp: String,
    /// How the version was chosen, where the label serves a split or rules.
    pub assignment: Option<Assignment>,
}

/// How a split or rules chose a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// Which rule matched, counted from 0; none for the default.
    pub rule: Option<usize>,
    /// The subject's slot of 10,000 in the split; none where there was no split.
    pub bucket: Option<u16>,
    /// Whether the same subject gets the same version again.
    pub sticky: bool,
}

/// Who asks, and what is known about them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A user, a conversation: whoever should always get the same arm of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What rules look at, for example `locale`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Many references in one consistent read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most 1,000.
    pub references: Vec<String>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What rules look at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// As of when; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The answers to a batch, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    /// The one state that all answers are from.
    pub position: Position,
    /// One for each reference.
    pub answers: Vec<BatchItem>,
}

/// The answer to one reference of a batch: `resolved`, or a `problem`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// As it was asked.
    pub reference: String,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What to fill in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// Values of variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// Lists of messages for placeholders; a placeholder without one is left empty, with a remark.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub messages: BTreeMap<String, Vec<Value>>,
    /// Whether it is an error to give what the version does not use, or no messages for a placeholder, rather than a
    /// remark in the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What rules look at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// As of when; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A version with its variables filled in, ready for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RenderAnswer {
    /// Which prompt.
    pub name: PromptName,
    /// Which of its versions.
    pub version: u64,
    /// Which bytes the template has.
    pub content_id: ContentId,
    /// The label that was asked for.
    pub label: Option<Label>,
    /// What to log beside the response.
    pub stamp: String,
    /// How the version was chosen.
    pub assignment: Option<Assignment>,
    /// The text, or the messages.
    #[serde(flatten)]
    pub rendered: Rendered,
    /// What was given and ignored, or not given and left empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// The model it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Its tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Its response schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
    /// Its free settings.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// A prompt and what its labels serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptView {
    /// The prompt.
    #[serde(flatten)]
    pub prompt: Prompt,
    /// Its labels, sorted; none when it is removed. `latest` is not among them.
    pub labels: Vec<LabelState>,
    /// Prompts whose newest or served versions include this one, as `name@version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// What people say about it; only a primary knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// A version with what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// What to log beside a response.
    pub stamp: String,
    /// What it serves.
    pub content: Content,
    /// What its author wrote, where includes were flattened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Content>,
}

/// One page of a list; `next` asks for the following one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to pass as `cursor` for more; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Each kind of row has a page of its own in the document: `VersionPage` for rows `Version`.
impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let rows = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("The rows."));
        let next = schema::text("What to pass as `cursor` for the next page; none at the end.", "support/agent");
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("One page of a list."))
            .property("items", rows)
            .required("items")
            .property("next", next)
            .into()
    }
}

/// Pages as the OpenAPI document names them.
pub type PromptPage = Page<PromptView>;
/// Newest first.
pub type VersionPage = Page<Version>;
/// Newest first.
pub type DeploymentPage = Page<Deployment>;
/// Oldest first.
pub type AuditPage = Page<AuditEntry>;

/// What differs between two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiffAnswer {
    /// Which prompt.
    pub name: PromptName,
    /// The number of the one side.
    pub from: u64,
    /// The number of the other side.
    pub to: u64,
    /// What differs.
    #[serde(flatten)]
    pub diff: Diff,
}

/// Some prompts changed; sent to whoever listens at `/v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeEvent {
    /// The state that has the change.
    pub position: Position,
    /// Names of the prompts that changed, sorted; empty when they are too many to list.
    pub names: Vec<PromptName>,
}
