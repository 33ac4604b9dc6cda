//! One try of one call: sends it and reads the answer within limits of time and memory.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Response, Url};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::draft::{Draft, DraftError};
use super::fault::{Fault, Texts};
use super::sse::Events;
use super::{anthropic, openai, retry};
use crate::model::evaluation::Answer;

/// What this program calls itself.
pub(super) const USER_AGENT: &str = concat!("bookholder/", env!("CARGO_PKG_VERSION"));

/// Longest answer, in bytes, a stream included.
pub(super) const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How much of a refusal is read, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Time limits of one try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// From sending it to the end of the answer.
    pub(super) total: Duration,
    /// Between two parts of an answer, once its text has begun. Before that, a model may think for longer.
    pub(super) idle: Duration,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// How to read the parts of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) whole: fn(&Value, &mut Draft<'_>) -> Result<(), DraftError>,
    pub(super) event: fn(&Value, &mut Draft<'_>) -> Result<(), DraftError>,
}

pub(super) const OPENAI: Reader = Reader { whole: openai::read_whole, event: openai::read_event };
pub(super) const ANTHROPIC: Reader = Reader { whole: anthropic::read_whole, event: anthropic::read_event };

/// A try: who asks whom, until when.
pub(super) struct Try<'t> {
    texts: &'t Texts,
    timeouts: Timeouts,
    began: Instant,
}

impl<'t> Try<'t> {
    pub(super) fn new(texts: &'t Texts, timeouts: Timeouts) -> Self {
        Self { texts, timeouts, began: Instant::now() }
    }

    /// Asks and reads an answer in parts, or in one if the server sends it so.
    pub(super) async fn chat(
        &self,
        client: &Client,
        post: Post,
        reader: Reader,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Answer, Fault> {
        let response = self.send(client, post).await?;
        let is_stream = content_type(response.headers()).starts_with("text/event-stream");
        let mut draft = Draft::new(is_stream, self.began, on_text);
        if is_stream {
            self.read_stream(response, reader, &mut draft).await?;
        } else {
            let value = self.read_json(response).await?;
            self.check_error(&value, &draft)?;
            (reader.whole)(&value, &mut draft).map_err(|error| self.unusable(error))?;
        }
        draft.end().map_err(|error| self.unusable(error))
    }

    /// Asks and reads one JSON value.
    pub(super) async fn json(&self, client: &Client, post: Post) -> Result<Value, Fault> {
        let response = self.send(client, post).await?;
        self.read_json(response).await
    }

    async fn send(&self, client: &Client, post: Post) -> Result<Response, Fault> {
        let sending = client.post(post.url).headers(post.headers).body(post.body).send();
        let response = timeout_at(self.deadline(), sending).await.map_err(|_| self.late())?;
        let response = response.map_err(|error| self.texts.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let pause = retry::asked_pause(response.headers());
        let body = self.read_refusal(response).await;
        Err(self.texts.refused(status.as_u16(), pause, &body))
    }

    async fn read_stream(&self, mut response: Response, reader: Reader, draft: &mut Draft<'_>) -> Result<(), Fault> {
        let mut events = Events::default();
        let mut bytes = 0_usize;
        loop {
            let next = timeout_at(self.deadline(), response.chunk());
            let next = if draft.is_empty() { Ok(next.await) } else { timeout(self.timeouts.idle, next).await };
            let next = next.map_err(|_| self.silent())?.map_err(|_| self.late())?;
            // What was read up to here was paid for, so a broken connection is not tried again.
            let Some(chunk) = next.map_err(|_| self.unusable(DraftError::Cut))? else { break };
            bytes = bytes.saturating_add(chunk.len());
            if bytes > ANSWER_BYTES_MAX {
                return Err(self.too_long());
            }
            for data in events.read(&chunk).map_err(|_| self.too_long())? {
                if data.trim() == "[DONE]" {
                    draft.done();
                    return Ok(());
                }
                self.read_event(&data, reader, draft)?;
            }
        }
        match events.end() {
            Some(data) if data.trim() == "[DONE]" => draft.done(),
            Some(data) => self.read_event(&data, reader, draft)?,
            None => {}
        }
        Ok(())
    }

    fn read_event(&self, data: &str, reader: Reader, draft: &mut Draft<'_>) -> Result<(), Fault> {
        if data.is_empty() {
            return Ok(());
        }
        let value: Value = serde_json::from_str(data).map_err(|_| self.no_json(data))?;
        self.check_error(&value, draft)?;
        (reader.event)(&value, draft).map_err(|error| self.unusable(error))
    }

    /// Providers and proxies also report errors after the head of a good answer.
    fn check_error(&self, value: &Value, draft: &Draft<'_>) -> Result<(), Fault> {
        match value.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(self.texts.error_object(error, draft.is_empty())),
            None => Ok(()),
        }
    }

    async fn read_json(&self, mut response: Response) -> Result<Value, Fault> {
        let mut body = Vec::new();
        loop {
            let next = timeout_at(self.deadline(), response.chunk()).await.map_err(|_| self.late())?;
            let Some(chunk) = next.map_err(|_| self.unusable(DraftError::Cut))? else { break };
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.too_long());
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| self.no_json(&String::from_utf8_lossy(&body)))
    }

    /// The beginning of a refusal; what cannot be read is left out.
    async fn read_refusal(&self, mut response: Response) -> String {
        let mut body = Vec::new();
        while body.len() < REFUSAL_BYTES_MAX
            && let Ok(Ok(Some(chunk))) = timeout_at(self.deadline(), response.chunk()).await
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(REFUSAL_BYTES_MAX);
        String::from_utf8_lossy(&body).into_owned()
    }

    fn deadline(&self) -> Instant {
        self.began + self.timeouts.total
    }

    fn late(&self) -> Fault {
        Fault::lasting(self.texts.fails(&format!("no complete answer within {}", seconds(self.timeouts.total))))
    }

    fn silent(&self) -> Fault {
        Fault::lasting(self.texts.fails(&format!("the answer stopped for {}", seconds(self.timeouts.idle))))
    }

    fn too_long(&self) -> Fault {
        Fault::lasting(self.texts.fails("the answer is longer than 8 MiB"))
    }

    fn unusable(&self, error: DraftError) -> Fault {
        Fault::lasting(self.texts.fails(&error.to_string()))
    }

    fn no_json(&self, text: &str) -> Fault {
        let text = text.trim();
        let reason = match text {
            "" => "the answer is empty".to_owned(),
            text => format!("the answer is not JSON; it begins with: {}", self.texts.excerpt(text)),
        };
        Fault::lasting(self.texts.fails(&reason))
    }
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
