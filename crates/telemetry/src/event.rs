//! One response of a model, and one score of a response, as the rest of this crate sees them.
//!
//! These are stored and sent from replicas to the primary, so a change of a field is a new form. Times are in
//! milliseconds since 1970, durations in microseconds, costs in pico-dollars: whole numbers, so that sums are the same
//! in every order and on every machine.

use serde::{Deserialize, Serialize};

use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::moments::Millionths;
use crate::system_text::{SYSTEM_TEXT_BYTES_MAX, SentText};

/// Longest id of a response, session, user or evaluator, in bytes; longer ones are cut.
pub const ID_BYTES_MAX: usize = 256;
/// Longest name of a model, provider, environment, score or error type, in bytes; longer ones are cut.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest explanation of a score, in bytes; longer ones are cut.
pub const EXPLANATION_BYTES_MAX: usize = 4_096;

/// Longest reference to a prompt, and longest stamp, in bytes; longer ones are cut.
pub const REFERENCE_BYTES_MAX: usize = 512;
/// The largest number of tokens that is believed.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;
/// The last moment that is believed of another node, in milliseconds since 1970: the year 2100.
const LATEST_MS: i64 = 4_102_444_800_000;

/// Slots of a split.
const BUCKETS: u16 = 10_000;

/// What an application reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A model answered, or failed to.
    Response(Box<Response>),
    /// Somebody or something judged a response.
    Score(Score),
}

/// One call of a model: what was asked of it, what it took, and which prompt it was for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// What the application or the provider calls it.
    pub id: Option<String>,
    /// Its span, if it was reported by OpenTelemetry.
    pub span: Option<SpanContext>,
    /// The span that this one is part of.
    pub parent: Option<[u8; 8]>,
    /// When it ended.
    pub ended_ms: i64,
    /// What the model was asked to do.
    pub operation: Operation,
    /// Who runs the model, for example `openai`.
    pub provider: Option<String>,
    /// The model that was asked for.
    pub model_requested: Option<String>,
    /// The model that answered.
    pub model_used: Option<String>,
    /// The service level that answered, where it is not the standard one, for example `priority`, `flex` or `batch`.
    pub service_tier: Option<String>,
    /// What it read and wrote.
    pub tokens: Tokens,
    /// How long it took.
    pub latency_us: Option<u64>,
    /// How long the first token took.
    pub first_token_us: Option<u64>,
    /// What it cost; none if it is unknown.
    pub cost: Option<Cost>,
    /// The kind of error, if it failed, for example `rate_limited`.
    pub error: Option<String>,
    /// The conversation it is part of.
    pub session: Option<String>,
    /// Whom it was for.
    pub user: Option<String>,
    /// Where it ran, for example `production`.
    pub environment: Option<String>,
    /// What the application said about the prompt.
    pub claim: Claim,
    /// What that was resolved to.
    pub attribution: Attribution,
    /// What was sent to the model and what it answered, where that is recorded.
    pub body: Option<Box<Body>>,
    /// The system text, as long as no version is found that has it; what is stored has none.
    pub system_text: Option<SentText>,
    /// The number of the observed prompt that it was counted for, if it belongs to no version.
    pub observed: Option<u64>,
}

/// A span of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpanContext {
    /// The trace: 16 bytes, not all zero.
    pub trace: [u8; 16],
    /// The span in it: 8 bytes, not all zero.
    pub span: [u8; 8],
}

/// What a model was asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Answer a conversation.
    #[default]
    Chat,
    /// Complete a text.
    TextCompletion,
    /// Turn texts into vectors.
    Embeddings,
}

/// Numbers of tokens, as providers count them; absent ones are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// All that was read, with what came from or went into a cache.
    pub input: Option<u64>,
    /// Of the input, what was read from a cache.
    pub cache_read: Option<u64>,
    /// Of the input, what was written to a cache for five minutes, or for a time that is not known.
    pub cache_write: Option<u64>,
    /// Of the input, what was written to a cache for an hour.
    pub cache_write_1h: Option<u64>,
    /// All that was written, with reasoning.
    pub output: Option<u64>,
    /// Of the output, what was reasoning.
    pub reasoning: Option<u64>,
    /// Whether the reported input left out the cached part, which was added here.
    pub input_was_exclusive: bool,
}

impl Tokens {
    /// The same with an input that includes what was cached: one that is smaller than its own parts leaves them out, as
    /// Anthropic reports it.
    #[must_use]
    pub fn with_cached_input(self) -> Self {
        let parts = [self.cache_read, self.cache_write, self.cache_write_1h];
        let cached = parts.into_iter().flatten().fold(0, u64::saturating_add);
        match self.input {
            Some(input) if cached > input => {
                Self { input: Some(input.saturating_add(cached)), input_was_exclusive: true, ..self }
            }
            _ => self,
        }
    }
}

/// What a response cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Pico-dollars: 1e-12 USD.
    pub pico_usd: u64,
    /// Where the number comes from.
    pub source: CostSource,
}

/// Where a cost comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CostSource {
    /// The application or the provider said so.
    Reported,
    /// Computed from the price table whose id begins with these bytes.
    Table([u8; 8]),
}

/// What an application said about the prompt of a response, as it said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Name of the prompt, or a reference such as `support/agent@production`.
    pub prompt: Option<String>,
    /// A version number (`7`, `v7`), a label, or a content id.
    pub version: Option<String>,
    /// The stamp of a resolve answer, such as `support/agent@7+3f9a1c2b7d41`.
    pub stamp: Option<String>,
    /// The label that the prompt was resolved for.
    pub label: Option<String>,
    /// How a split or rules chose the version.
    pub arm: Option<Arm>,
    /// BLAKE3 of the system text that was sent, for applications that say nothing else.
    pub system: Option<[u8; 32]>,
    /// Which subject a split chose for, so that the choice can be repeated.
    pub subject: Option<String>,
}

impl Claim {
    /// Whether it names a prompt in any way but its text.
    #[must_use]
    pub const fn names_prompt(&self) -> bool {
        self.prompt.is_some() || self.stamp.is_some()
    }
}

/// Which version produced a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribution {
    /// Nobody has looked yet.
    #[default]
    Pending,
    /// This one.
    Version(Attributed),
    /// None that is known.
    Unattributed(Unattributed),
}

/// The version that produced a response, and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributed {
    /// The prompt.
    pub prompt: PromptName,
    /// Its version.
    pub version: u64,
    /// The content of the version.
    pub content_id: ContentId,
    /// The label that was asked for.
    pub label: Option<Label>,
    /// How a split or rules chose the version.
    pub arm: Option<Arm>,
    /// What it was found by.
    pub by: AttributedBy,
}

/// How a split or rules chose a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arm {
    /// Index of the rule that matched, from 0; none for the default.
    pub rule: Option<u16>,
    /// The slot of the subject in the split, of 10,000; none without a split.
    pub bucket: Option<u16>,
}

impl Arm {
    /// The arm that these name; none if they name none, or one that cannot be.
    #[must_use]
    pub fn new(rule: Option<u16>, bucket: Option<u16>) -> Option<Self> {
        let bucket = bucket.filter(|bucket| *bucket < BUCKETS);
        (rule.is_some() || bucket.is_some()).then_some(Self { rule, bucket })
    }
}

/// What a version was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributedBy {
    /// Its number.
    Version,
    /// A label, which served it when the call began.
    Label,
    /// A stamp.
    Stamp,
    /// A content id.
    ContentId,
    /// The recorded system text.
    Text,
}

/// Why a response belongs to no known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unattributed {
    /// The application named no prompt.
    NoPrompt,
    /// There is no prompt of that name here.
    UnknownPrompt,
    /// The prompt has no such version, label or content.
    UnknownVersion,
    /// The label serves several versions, and nothing says which one this was.
    AmbiguousSplit,
}

/// What was sent to a model and what it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// JSON of the messages that were sent.
    pub input: Option<String>,
    /// JSON of what was answered.
    pub output: Option<String>,
}

/// A judgment of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What is judged.
    pub target: ScoreTarget,
    /// What is judged about it, for example `helpfulness`.
    pub name: String,
    /// The judgment.
    pub value: ScoreValue,
    /// Who or what judged.
    pub evaluator: Option<String>,
    /// The reason.
    pub explanation: Option<String>,
    /// When.
    pub at_ms: i64,
    /// What the application calls this score; the same id again replaces nothing and counts once.
    pub id: Option<String>,
}

/// What a score is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScoreTarget {
    /// The response with this id.
    Response(String),
    /// The response of this span.
    Span(SpanContext),
    /// All responses of this trace.
    Trace([u8; 16]),
    /// All responses of this conversation.
    Session(String),
    /// A version as a whole.
    Version {
        /// The prompt.
        prompt: PromptName,
        /// The version.
        version: u64,
    },
}

/// The judgment of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ScoreValue {
    /// A number.
    Number(Millionths),
    /// Passed or failed.
    Boolean(bool),
    /// One of a few words.
    Category(String),
}

impl Event {
    /// Brings an event of another node within the limits of what applications report to this one.
    pub fn limit(&mut self) {
        match self {
            Self::Response(response) => response.limit(),
            Self::Score(score) => score.limit(),
        }
    }
}

impl Response {
    /// When the call began, as far as its duration says: the prompt was resolved before.
    #[must_use]
    pub fn began_ms(&self) -> i64 {
        let latency_ms = self.latency_us.map_or(0, |us| i64::try_from(us / 1_000).unwrap_or(i64::MAX));
        self.ended_ms.saturating_sub(latency_ms)
    }

    fn limit(&mut self) {
        self.ended_ms = self.ended_ms.clamp(0, LATEST_MS);
        // The node that counts it says that.
        self.observed = None;
        let Claim { prompt, version, stamp, label, subject, .. } = &mut self.claim;
        for text in [&mut self.id, &mut self.session, &mut self.user, version, subject] {
            shorten_known(text, ID_BYTES_MAX);
        }
        let names = [&mut self.provider, &mut self.model_requested, &mut self.model_used, &mut self.service_tier];
        for text in names.into_iter().chain([&mut self.error, &mut self.environment, label]) {
            shorten_known(text, NAME_BYTES_MAX);
        }
        for text in [prompt, stamp] {
            shorten_known(text, REFERENCE_BYTES_MAX);
        }
        let Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning, .. } = &mut self.tokens;
        for tokens in [input, cache_read, cache_write, cache_write_1h, output, reasoning].into_iter().flatten() {
            *tokens = (*tokens).min(TOKENS_MAX);
        }
        if self.system_text.as_ref().is_some_and(|text| text.bytes() > SYSTEM_TEXT_BYTES_MAX) {
            self.system_text = Some(SentText::TooLong);
        }
    }
}

impl Score {
    fn limit(&mut self) {
        self.at_ms = self.at_ms.clamp(0, LATEST_MS);
        shorten(&mut self.name, NAME_BYTES_MAX);
        if let ScoreValue::Category(category) = &mut self.value {
            shorten(category, NAME_BYTES_MAX);
        }
        if let ScoreTarget::Response(id) | ScoreTarget::Session(id) = &mut self.target {
            shorten(id, ID_BYTES_MAX);
        }
        shorten_known(&mut self.id, ID_BYTES_MAX);
        shorten_known(&mut self.evaluator, ID_BYTES_MAX);
        shorten_known(&mut self.explanation, EXPLANATION_BYTES_MAX);
    }
}

/// Cuts a text to a number of bytes, between characters.
#[must_use]
pub fn cut(mut text: String, bytes: usize) -> String {
    shorten(&mut text, bytes);
    text
}

fn shorten(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

fn shorten_known(text: &mut Option<String>, bytes: usize) {
    if let Some(text) = text {
        shorten(text, bytes);
    }
}

/// Bytes in hexadecimal digits of either case; none if they are not as many as asked for.
#[must_use]
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let digit = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(bytes)
}
