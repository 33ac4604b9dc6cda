//! The request of a case: the version rendered with its values, as messages.

use serde_json::{Map, Value, json};

use crate::clock::Cancellation;
use crate::model::content::Content;
use crate::model::rendered::Rendered;
use crate::model::suite::{Case, Suite};
use crate::provider::ChatRequest;
use crate::template::render::{RenderInput, render};

/// Why a case cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the version cannot be rendered with the values of the case: {0}")]
pub struct RequestError(String);

/// The values of a case: its own, and the suite's where it sets none.
#[must_use]
pub fn variables(suite: &Suite, case: &Case) -> Map<String, Value> {
    let mut variables = suite.variables.clone();
    variables.extend(case.variables.clone());
    variables
}

/// The request of a case. A text prompt is the message of the user; if the case has messages, it is the system message
/// before them.
///
/// # Errors
/// A required variable is missing, or a text of the version fails with these values.
pub fn request(content: &Content, suite: &Suite, case: &Case) -> Result<ChatRequest, RequestError> {
    let variables = variables(suite, case);
    let input = RenderInput { variables: &variables, messages: &case.placeholders, strict: false };
    let rendered = render(content, input, &Cancellation::never()).map_err(|error| RequestError(error.to_string()))?;
    let mut messages = match rendered.rendered {
        Rendered::Text(text) if case.messages.is_empty() => vec![json!({ "role": "user", "content": text })],
        Rendered::Text(text) => vec![json!({ "role": "system", "content": text })],
        Rendered::Messages(messages) => messages,
    };
    messages.extend(case.messages.iter().cloned());
    Ok(ChatRequest {
        messages,
        parameters: content.model.as_ref().map(|model| model.parameters.clone()).unwrap_or_default(),
        tools: content.tools.clone(),
        response_schema: content.response_schema.clone(),
    })
}
