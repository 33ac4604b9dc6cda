//! The answer while it arrives.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::model::evaluation::{Answer, AnswerUsage};

/// Longest text of an answer with its calls of tools, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Most calls of tools in one answer.
const CALLS_MAX: usize = 256;
/// Most log probabilities that are kept.
const LOGPROBS_MAX: usize = 100_000;

/// Longest name of a model that is kept, in characters.
pub(super) const MODEL_CHARACTERS_MAX: usize = 200;

/// Why an answer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DraftError {
    #[error("the text of the answer is longer than 1 MiB")]
    TooLong,
    #[error("the answer calls more than {CALLS_MAX} tools")]
    TooManyCalls,
    #[error("the connection was closed in the middle of the answer")]
    Cut,
    #[error("the answer has no message")]
    NoMessage,
}

/// What has arrived of an answer.
pub(super) struct Draft<'a> {
    answer: Answer,
    refusal: String,
    calls: Vec<Call>,
    bytes: usize,
    began: Instant,
    streams: bool,
    on_text: &'a mut (dyn FnMut(&str) + Send),
}

#[derive(Debug, Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl<'a> Draft<'a> {
    pub(super) fn new(streams: bool, began: Instant, on_text: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        let answer = Answer::default();
        Self { answer, refusal: String::new(), calls: Vec::new(), bytes: 0, began, streams, on_text }
    }

    /// Whether nothing has arrived yet that counts as output.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.calls.is_empty()
    }

    pub(super) fn text(&mut self, piece: &str) -> Result<(), DraftError> {
        self.count(piece)?;
        self.answer.text.push_str(piece);
        if !piece.is_empty() {
            (self.on_text)(piece);
        }
        Ok(())
    }

    /// The text with which the model refuses.
    pub(super) fn refusal(&mut self, piece: &str) -> Result<(), DraftError> {
        self.count(piece)?;
        self.refusal.push_str(piece);
        Ok(())
    }

    /// A part of the call of a tool with this index.
    pub(super) fn call(&mut self, index: u64, id: &str, name: &str, arguments: &str) -> Result<(), DraftError> {
        for piece in [id, name, arguments] {
            self.count(piece)?;
        }
        let place = self.calls.iter().position(|call| call.index == index);
        if place.is_none() && self.calls.len() >= CALLS_MAX {
            return Err(DraftError::TooManyCalls);
        }
        let place = place.unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        if let Some(call) = self.calls.get_mut(place) {
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            if call.name.is_empty() {
                name.clone_into(&mut call.name);
            }
            call.arguments.push_str(arguments);
        }
        Ok(())
    }

    /// More arguments of a call that has begun; what belongs to no call is ignored.
    pub(super) fn arguments(&mut self, index: u64, piece: &str) -> Result<(), DraftError> {
        if self.calls.iter().any(|call| call.index == index) { self.call(index, "", "", piece) } else { Ok(()) }
    }

    pub(super) fn logprobs(&mut self, values: impl Iterator<Item = f64>) {
        let left = LOGPROBS_MAX.saturating_sub(self.answer.logprobs.len());
        self.answer.logprobs.extend(values.take(left));
    }

    pub(super) fn model(&mut self, name: &str) {
        if self.answer.model.is_none() && !name.is_empty() {
            self.answer.model = Some(name.chars().take(MODEL_CHARACTERS_MAX).collect());
        }
    }

    pub(super) fn finish_reason(&mut self, reason: &str) {
        self.answer.finish_reason = Some(reason.chars().take(100).collect());
    }

    /// Marks the answer as whole, for servers that say so without a reason.
    pub(super) fn done(&mut self) {
        if !self.is_empty() && self.answer.finish_reason.is_none() {
            self.finish_reason("stop");
        }
    }

    pub(super) fn refused(&mut self) {
        self.answer.refused = true;
    }

    pub(super) fn usage(&mut self) -> &mut AnswerUsage {
        &mut self.answer.usage
    }

    /// The answer, if it is whole: it says why it ended.
    pub(super) fn end(self) -> Result<Answer, DraftError> {
        let Self { mut answer, refusal, calls, began, streams, .. } = self;
        if answer.finish_reason.is_none() {
            return Err(if streams { DraftError::Cut } else { DraftError::NoMessage });
        }
        if !refusal.is_empty() {
            answer.refused = true;
            if answer.text.is_empty() {
                answer.text = refusal;
            }
        }
        let call = |call: Call| {
            let arguments = if call.arguments.is_empty() { "{}".to_owned() } else { call.arguments };
            json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
        };
        answer.tool_calls = calls.into_iter().map(call).collect();
        answer.latency_ms = millis(began);
        Ok(answer)
    }

    fn count(&mut self, piece: &str) -> Result<(), DraftError> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > TEXT_BYTES_MAX {
            return Err(DraftError::TooLong);
        }
        if self.streams && self.answer.first_token_ms.is_none() && !piece.is_empty() {
            self.answer.first_token_ms = Some(millis(self.began));
        }
        Ok(())
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A text of a JSON value, empty if there is none.
pub(super) fn text_of<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
