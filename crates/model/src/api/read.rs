//! Requests and answers for reading: resolving, rendering, prompts and their history.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::model::about::About;
use crate::model::audit::AuditEntry;
use crate::model::comparison::Diff;
use crate::model::content::{Content, Model};
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::position::Position;
use crate::model::prompt::{LabelState, Prompt};
use crate::model::reference::VersionRef;
use crate::model::rendered::{Remark, Rendered};
use crate::model::response_tags::ResponseTags;
use crate::model::schema;
use crate::model::time::Timestamp;
use crate::model::version::Version;

/// The answer to a reference: the content and how it was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// The prompt.
    pub name: PromptName,
    /// Its version.
    pub version: u64,
    /// The id of the content.
    pub content_id: ContentId,
    /// The requested label; absent if a version was requested.
    pub label: Option<Label>,
    /// The content of the version; the content id is the hash of its encoding.
    pub content: Content,
    /// A stamp to log with the model's response, for example `support/agent@7+3f9a1c2b7d41`.
    pub stamp: String,
    /// How the version was chosen, if the label serves a split or rules.
    pub assignment: Option<Assignment>,
    /// What tells that a response is of this version.
    pub telemetry: ResponseTags,
}

/// How a split or rules chose a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// Index of the matching rule, from 0; absent for the default.
    pub rule: Option<usize>,
    /// The subject's slot in the split, of 10,000; absent without a split.
    pub bucket: Option<u16>,
    /// Whether the same subject always gets the same version.
    pub sticky: bool,
}

/// The subject that the answer is for, and its attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A user or conversation that should always get the same arm of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Attributes for rules, for example `locale`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Many references in one consistent read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most 1,000.
    pub references: Vec<String>,
    /// The subject, such as a user or conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Attributes for rules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The moment to read; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The answers to a batch, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    /// The position of the state that all answers are from.
    pub position: Position,
    /// One answer per reference.
    pub answers: Vec<BatchItem>,
}

/// The answer to one reference of a batch: `resolved`, or a `problem`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// The reference as requested.
    pub reference: String,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Which prompts, at which label, for which caller: the parameters of `GET /v1/resolve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchingRequest {
    /// The label; prompts without it are left out.
    pub label: Label,
    /// The names.
    pub pattern: Pattern,
    /// The subject and its attributes.
    pub caller: Subject,
    /// The moment to read; now when absent.
    pub at: Option<Timestamp>,
}

/// What a label serves in prompts that match a pattern, by namespace and then by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchingAnswer {
    /// The position of the state that all pages are from.
    pub position: Position,
    /// One answer for each prompt that has the label.
    pub answers: Vec<BatchItem>,
    /// What to pass as `cursor` for the next page; absent at the end. A page can have fewer rows than `limit`, or none,
    /// and still have a next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Variables and messages for rendering.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// Values of variables.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub variables: Map<String, Value>,
    /// Lists of messages for placeholders; a placeholder without one is left empty, with a warning.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub messages: BTreeMap<String, Vec<Value>>,
    /// Whether unused variables and placeholders without messages are an error rather than a warning in the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// The subject, such as a user or conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Attributes for rules.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The moment to read; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A rendered version, ready for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RenderAnswer {
    /// The prompt.
    pub name: PromptName,
    /// Its version.
    pub version: u64,
    /// The content id of the template.
    pub content_id: ContentId,
    /// The requested label.
    pub label: Option<Label>,
    /// A stamp to log with the model's response.
    pub stamp: String,
    /// How the version was chosen.
    pub assignment: Option<Assignment>,
    /// What tells that a response is of this version.
    pub telemetry: ResponseTags,
    /// The text, or the messages.
    #[serde(flatten)]
    pub rendered: Rendered,
    /// Warnings: values that were ignored, and placeholders that were left empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// The model it is written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Its tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Its response schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
    /// Its configuration.
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
    /// Its labels, sorted, without `latest`; none if it is removed.
    pub labels: Vec<LabelState>,
    /// Prompts whose latest or served versions include this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<VersionRef>,
    /// Owner, tags and description; only on a primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// A version with its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// A stamp to log with a model's response.
    pub stamp: String,
    /// The content as served.
    pub content: Content,
    /// The content as written, if it has includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Content>,
}

/// One page of a list; use `next` for the following one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent at the end.
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

/// The differences between two versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiffAnswer {
    /// The prompt.
    pub name: PromptName,
    /// The older version.
    pub from: u64,
    /// The newer version.
    pub to: u64,
    /// The differences.
    #[serde(flatten)]
    pub diff: Diff,
}

/// Prompts that changed; an event of `/v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeEvent {
    /// The position of the state with the change.
    pub position: Position,
    /// Names of the changed prompts, sorted; empty if there are too many to list.
    pub names: Vec<PromptName>,
}
