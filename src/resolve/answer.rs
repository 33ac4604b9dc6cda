//! A composed answer: the shared bytes that are sent, and their meaning.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::error::ResolveError;
use crate::api::read::{Assignment, RenderAnswer, RenderRequest, Resolved};
use crate::clock::Cancellation;
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::response_tags::{BUCKET, RULE, ResponseTags};
use crate::model::stamp::stamp;
use crate::template::render::{RenderInput, RenderedContent, render};

/// About the size of [`Answer::head`].
const HEAD_BYTES: usize = 256;

/// The content of a version as a label or a reference serves it, independent of the caller.
#[derive(Clone, Debug)]
pub(super) struct ResolvedContent {
    name: PromptName,
    version: u64,
    content_id: ContentId,
    label: Option<Label>,
    stamp: String,
    /// Members of the JSON object of attributes.
    attributes: String,
    baggage: String,
    content: Bytes,
}

impl ResolvedContent {
    pub(super) fn new(
        name: &PromptName,
        version: u64,
        content_id: ContentId,
        label: Option<&Label>,
        content: Bytes,
    ) -> Self {
        let ResponseTags { attributes, baggage } = ResponseTags::new(name, version, &content_id, label);
        let attributes = serde_json::to_string(&attributes).unwrap_or_default();
        let attributes = attributes.trim_start_matches('{').trim_end_matches('}').to_owned();
        let stamp = stamp(name, version, &content_id);
        Self { name: name.clone(), version, content_id, label: label.cloned(), stamp, attributes, baggage, content }
    }

    pub(super) fn weight(&self) -> u64 {
        let bytes = [&self.stamp, &self.attributes, &self.baggage].map(String::len).iter().sum::<usize>();
        (bytes + self.content.len() + size_of::<Self>() + 512) as u64
    }

    /// Writes the JSON of [`ResponseTags`].
    fn write_tags(&self, assignment: Option<&Assignment>, mut write: impl FnMut(&str)) {
        let rule = assignment.and_then(|by| Some((RULE, by.rule?.to_string())));
        let bucket = assignment.and_then(|by| Some((BUCKET, by.bucket?.to_string())));
        write("{\"attributes\":{");
        write(&self.attributes);
        for (key, value) in rule.iter().chain(&bucket) {
            write(&format!(",\"{key}\":\"{value}\""));
        }
        write("},\"baggage\":\"");
        write(&self.baggage);
        for (key, value) in rule.iter().chain(&bucket) {
            write(&format!(",{key}={value}"));
        }
        write("\"}");
    }
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
    head: OnceLock<Box<[u8]>>,
}

impl Answer {
    pub(super) fn compose(said: &ResolvedContent, assignment: Option<Assignment>) -> Self {
        let json = |value: Value| value.to_string();
        let tags = said.attributes.len() + said.baggage.len();
        let mut body = Vec::with_capacity(said.content.len() + tags + 512);
        let mut write = |text: &str| body.extend_from_slice(text.as_bytes());
        write("{\"name\":");
        write(&json(said.name.as_str().into()));
        write(&format!(",\"version\":{},\"content_id\":\"{}\",\"label\":", said.version, said.content_id));
        write(&json(said.label.as_ref().map(Label::as_str).into()));
        write(",\"content\":");
        let start = body.len();
        body.extend_from_slice(&said.content);
        let content = start..body.len();
        let mut write = |text: &str| body.extend_from_slice(text.as_bytes());
        write(",\"stamp\":");
        write(&json(said.stamp.as_str().into()));
        write(",\"assignment\":");
        write(&json(serde_json::to_value(&assignment).unwrap_or_default()));
        write(",\"telemetry\":");
        said.write_tags(assignment.as_ref(), &mut write);
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
            label: said.label.clone(),
            assignment,
            stamp: said.stamp.clone(),
            etag: format!("\"{}-{}{chosen}\"", said.version, said.content_id.short()).into(),
            body: body.into_boxed_slice().into(),
            content,
            head: OnceLock::new(),
        }
    }

    /// What a server sends before the JSON, made once.
    pub fn head(&self, make: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.head.get_or_init(|| make().into_boxed_slice())
    }

    /// The JSON: an [`api::read::Resolved`](crate::api::read::Resolved).
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The entity tag: changes whenever the answer to the same request does.
    pub fn etag(&self) -> Bytes {
        self.etag.clone()
    }

    /// The encoding of the content, whose hash is the content ID.
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
            telemetry: self.tags(),
        })
    }

    /// What tells that a response is of this version.
    pub fn tags(&self) -> ResponseTags {
        let tags = ResponseTags::new(&self.name, self.version, &self.content_id, self.label.as_ref());
        match &self.assignment {
            Some(assignment) => tags.chosen_by(assignment.rule, assignment.bucket),
            None => tags,
        }
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
            telemetry: self.tags(),
            rendered,
            remarks,
            model: content.model,
            tools: content.tools,
            response_schema: content.response_schema,
            config: content.config,
        })
    }

    pub(super) fn weight(&self) -> u64 {
        (self.body.len() + self.etag.len() + self.stamp.len() + HEAD_BYTES + size_of::<Self>()) as u64
    }
}

/// An answer that several threads can share.
pub type SharedAnswer = Arc<Answer>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_tags_that_the_answer_has() {
        let name: PromptName = "support/\"ag{ent}, ü+".parse().expect("a name");
        let label = Label::production();
        let content = Content::from_json(br#"{"syntax":"plain","text":"{}"}"#).expect("a content");
        let id = content.id().expect("small");
        for (label, assignment) in [
            (None, None),
            (Some(&label), None),
            (Some(&label), Some(Assignment { rule: None, bucket: None, sticky: true })),
            (Some(&label), Some(Assignment { rule: Some(2), bucket: Some(9_999), sticky: false })),
        ] {
            let bytes = Bytes::from(content.to_canonical().expect("JSON"));
            let said = ResolvedContent::new(&name, 7, id, label, bytes);
            let answer = Answer::compose(&said, assignment);
            let body: Resolved = serde_json::from_slice(&answer.body()).expect("a resolve answer");
            assert_eq!(body, answer.to_resolved().expect("a content"));
            assert_eq!(
                body.telemetry.attributes.len(),
                3 + usize::from(label.is_some())
                    + body
                        .assignment
                        .map_or(0, |by| { usize::from(by.rule.is_some()) + usize::from(by.bucket.is_some()) })
            );
        }
    }
}
