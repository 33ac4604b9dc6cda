//! A composed answer: the shared bytes that are sent, and their meaning.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::error::ResolveError;
use crate::api::read::{Assignment, RenderAnswer, RenderRequest, Resolved};
use crate::clock::Cancellation;
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::stamp::stamp;
use crate::template::render::{RenderInput, RenderedContent, render};

/// The content of a version, independent of the caller.
#[derive(Clone, Debug)]
pub(super) struct ResolvedContent {
    pub(super) name: PromptName,
    pub(super) version: u64,
    pub(super) content_id: ContentId,
    pub(super) content: Bytes,
}

/// The answer to a reference: the ready JSON, and its parts.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which prompt.
    pub name: PromptName,
    /// Which of its versions.
    pub version: u64,
    /// Which bytes.
    pub content_id: ContentId,
    /// The requested label; absent if a version was requested.
    pub label: Option<Label>,
    /// How the version was chosen, if the label serves a split or rules.
    pub assignment: Option<Assignment>,
    /// The stamp to log with a model's response.
    pub stamp: String,
    etag: Bytes,
    body: Bytes,
    content: Range<usize>,
}

impl Answer {
    pub(super) fn compose(said: &ResolvedContent, label: Option<&Label>, assignment: Option<Assignment>) -> Self {
        let json = |value: Value| value.to_string();
        let stamp = stamp(&said.name, said.version, &said.content_id);
        let mut body = Vec::with_capacity(said.content.len() + 512);
        let mut write = |text: &str| body.extend_from_slice(text.as_bytes());
        write("{\"name\":");
        write(&json(said.name.as_str().into()));
        write(&format!(",\"version\":{},\"content_id\":\"{}\",\"label\":", said.version, said.content_id));
        write(&json(label.map(Label::as_str).into()));
        write(",\"content\":");
        let start = body.len();
        body.extend_from_slice(&said.content);
        let content = start..body.len();
        let mut write = |text: &str| body.extend_from_slice(text.as_bytes());
        write(",\"stamp\":");
        write(&json(stamp.as_str().into()));
        write(",\"assignment\":");
        write(&json(serde_json::to_value(&assignment).unwrap_or_default()));
        write("}");
        let chosen = assignment.as_ref().map_or_else(String::new, |assignment| {
            let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
            let rule = number(assignment.rule.map(|rule| rule.to_string()));
            format!("-{rule}-{}", number(assignment.bucket.map(|bucket| bucket.to_string())))
        });
        Self {
            name: said.name.clone(),
            version: said.version,
            content_id: said.content_id,
            label: label.cloned(),
            assignment,
            stamp,
            etag: format!("\"{}-{}{chosen}\"", said.version, said.content_id.short()).into(),
            body: body.into_boxed_slice().into(),
            content,
        }
    }

    /// The JSON: an [`api::read::Resolved`](crate::api::read::Resolved).
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The entity tag: changes whenever the answer to the same request does.
    #[must_use]
    pub fn etag(&self) -> Bytes {
        self.etag.clone()
    }

    /// The encoding of the content, whose hash is the content ID.
    #[must_use]
    pub fn content_bytes(&self) -> Bytes {
        self.body.slice(self.content.clone())
    }

    /// The content of the version.
    ///
    /// # Errors
    /// The stored bytes are not a content; `bookholder verify` would report this.
    pub fn content(&self) -> Result<Content, ResolveError> {
        Ok(Content::from_json(&self.content_bytes())?)
    }

    /// The answer as the typed wire form.
    ///
    /// # Errors
    /// As [`Answer::content`].
    pub fn to_resolved(&self) -> Result<Resolved, ResolveError> {
        Ok(Resolved {
            name: self.name.clone(),
            version: self.version,
            content_id: self.content_id,
            label: self.label.clone(),
            content: self.content()?,
            stamp: self.stamp.clone(),
            assignment: self.assignment.clone(),
        })
    }

    /// Fills in the variables and messages; stops when `stop` is due.
    ///
    /// # Errors
    /// All missing and mistyped values at once (with `strict`, unknown ones too); or the template fails.
    pub fn render(&self, request: &RenderRequest, stop: &Cancellation) -> Result<RenderAnswer, ResolveError> {
        let content = self.content()?;
        let given = RenderInput { variables: &request.variables, messages: &request.messages, strict: request.strict };
        let RenderedContent { rendered, remarks } = render(&content, given, stop)?;
        Ok(RenderAnswer {
            name: self.name.clone(),
            version: self.version,
            content_id: self.content_id,
            label: self.label.clone(),
            stamp: self.stamp.clone(),
            assignment: self.assignment.clone(),
            rendered,
            remarks,
            model: content.model,
            tools: content.tools,
            response_schema: content.response_schema,
            config: content.config,
        })
    }

    pub(super) fn weight(&self) -> u64 {
        (self.body.len() + self.etag.len() + self.stamp.len() + size_of::<Self>()) as u64
    }
}

/// An answer that several threads can share.
pub type SharedAnswer = Arc<Answer>;
