//! Of which calls inputs and outputs are recorded, and what is replaced in them before anything is written.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::governance::risk::Classifier;
use crate::telemetry::event::{Body, Event, Response};
use crate::telemetry::system_text::SentText;

/// The risk rules that come with the program; `None` if they do not compile, and then no text is recorded.
static BUILT_IN: LazyLock<Option<Classifier>> = LazyLock::new(|| {
    Classifier::new(true, &[])
        .inspect_err(|error| tracing::error!(%error, "inputs and outputs are not recorded: they cannot be redacted"))
        .ok()
});

/// The whole, in the unit of samples.
const WHOLE: u16 = 1_000;

/// The part of calls whose inputs and outputs are recorded. All calls of a trace or a session are in it, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentSample(u16);

impl ContentSample {
    /// Of no call.
    pub const NONE: Self = Self(0);
    /// Of every call.
    pub const ALL: Self = Self(WHOLE);

    /// Of a part of calls, in thousandths.
    #[must_use]
    pub const fn of_per_mille(per_mille: u16) -> Self {
        Self(if per_mille > WHOLE { WHOLE } else { per_mille })
    }

    /// The part, in thousandths.
    #[must_use]
    pub const fn per_mille(self) -> u16 {
        self.0
    }

    /// Whether there is any such call.
    #[must_use]
    pub const fn takes_any(self) -> bool {
        self.0 > 0
    }

    /// Whether a call is one of them.
    #[must_use]
    pub fn takes(self, response: &Response) -> bool {
        let mut hasher = blake3::Hasher::new();
        match (&response.session, &response.span, &response.id) {
            (Some(session), ..) => hasher.update(session.as_bytes()),
            (None, Some(span), _) => hasher.update(&span.trace),
            (None, None, Some(id)) => hasher.update(id.as_bytes()),
            (None, None, None) => hasher.update(&response.ended_ms.to_le_bytes()),
        };
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes) % u64::from(WHOLE) < u64::from(self.0)
    }
}

/// Changes a JSON value; the second argument says whether it is the text of a prompt.
type Redact = dyn Fn(&mut Value, bool) + Send + Sync;

/// What replaces credentials and personal data in texts that are recorded.
#[derive(Clone)]
pub struct Redactor(Arc<Redact>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// By the rules of a registry; the second argument says whether it is the text of a prompt.
    pub fn new(redact: impl Fn(&mut Value, bool) + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// By the rules that come with the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(|json, is_prompt| match &*BUILT_IN {
            Some(rules) => drop(rules.redact(json, is_prompt)),
            None => *json = Value::Null,
        })
    }

    /// Redacts the texts of events. Blocks, longer for large texts.
    pub(super) fn redact(&self, texts: &mut Texts) {
        match texts {
            Texts::Response(body, system) => {
                for text in body.iter_mut().flat_map(|body| [&mut body.input, &mut body.output]).flatten() {
                    *text = self.json(text);
                }
                if let Some(SentText::Text(text)) = system {
                    *text = self.plain(std::mem::take(text), true);
                }
            }
            Texts::Explanation(text) => *text = self.plain(std::mem::take(text), false),
        }
    }

    fn json(&self, text: &str) -> String {
        // What is no JSON is one text.
        let mut json = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        (self.0)(&mut json, false);
        json.to_string()
    }

    fn plain(&self, text: String, is_prompt: bool) -> String {
        let mut json = Value::String(text);
        (self.0)(&mut json, is_prompt);
        json.as_str().map(str::to_owned).unwrap_or_default()
    }
}

/// The texts of an event that can have credentials and personal data in them.
#[derive(Debug)]
pub(super) enum Texts {
    Response(Option<Box<Body>>, Option<SentText>),
    Explanation(String),
}

impl Texts {
    /// Takes the texts out of an event, if it has any.
    pub(super) fn take(event: &mut Event) -> Option<Self> {
        match event {
            Event::Response(response) => {
                let has_any = response.body.is_some() || response.system_text.is_some();
                has_any.then(|| Self::Response(response.body.take(), response.system_text.take()))
            }
            Event::Score(score) => score.explanation.take().map(Self::Explanation),
        }
    }

    /// Puts them back.
    pub(super) fn put(self, event: &mut Event) {
        match (self, event) {
            (Self::Response(body, system_text), Event::Response(response)) => {
                response.body = body;
                response.system_text = system_text;
            }
            (Self::Explanation(text), Event::Score(score)) => score.explanation = Some(text),
            (Self::Response(..), Event::Score(_)) | (Self::Explanation(_), Event::Response(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::SpanContext;

    #[test]
    fn sample_takes_its_part_of_traces_and_all_calls_of_each() {
        let call = |trace: u64, span: u8| {
            let mut bytes = [1; 16];
            bytes[..8].copy_from_slice(&trace.to_le_bytes());
            Response { span: Some(SpanContext { trace: bytes, span: [span; 8] }), ..Response::default() }
        };
        let tenth = ContentSample::of_per_mille(100);
        let taken = (0..10_000).filter(|trace| tenth.takes(&call(*trace, 1))).count();
        assert!((800..1_200).contains(&taken), "{taken}");
        assert!((0..1_000).all(|trace| tenth.takes(&call(trace, 1)) == tenth.takes(&call(trace, 2))));
        assert!((0..1_000).all(|trace| ContentSample::ALL.takes(&call(trace, 1))));
        assert!((0..1_000).all(|trace| !ContentSample::NONE.takes(&call(trace, 1))));
    }
}
