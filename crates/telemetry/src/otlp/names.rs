//! What attributes are called, in every generation of every convention.
//!
//! One table: for each field the names that are accepted, and of several that are present the first in the table counts.
//! A new instrumentation is a new name here and a recording in `fixtures/telemetry`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::response_tags::{BUCKET, LABEL, PROMPT_NAME, PROMPT_VERSION, RULE, STAMP};

/// What an attribute says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    // The prompt.
    Prompt,
    Version,
    Stamp,
    /// The label that was asked for.
    Label,
    /// The rule that chose the version, and the slot of a split.
    Rule,
    Bucket,
    Subject,
    /// An object with `name` and `version`.
    PromptObject,
    /// An object with any of the other names of this table as keys.
    Metadata,
    PromptVendor,
    PromptId,
    // The model.
    ModelRequested,
    ModelUsed,
    Provider,
    ResponseId,
    ServiceTier,
    // What it read and wrote.
    Input,
    Output,
    CacheRead,
    CacheWrite,
    CacheWrite1h,
    Reasoning,
    /// An object with numbers of tokens by kind.
    UsageObject,
    Cost,
    CostCurrency,
    /// An object with costs by kind, and their `total`.
    CostObject,
    // How it went.
    FirstTokenSeconds,
    FirstTokenMillis,
    /// The time at which the first token came.
    FirstTokenAt,
    Error,
    Level,
    ExceptionType,
    FinishReasons,
    // Whose it was.
    Session,
    User,
    Environment,
    // What kind of span it is.
    Operation,
    OpenInferenceKind,
    LangfuseType,
    AiOperation,
    RequestType,
    TraceloopKind,
    // Input and output.
    SystemInstructions,
    InputMessages,
    OutputMessages,
    Content,
    // A judgment.
    EventName,
    ScoreName,
    ScoreValue,
    ScoreLabel,
    ScoreExplanation,
    ScoreEvaluator,
    ScoreId,
}

impl Field {
    /// Whether applications send it along in other things: in the metadata of an SDK, in an association of properties.
    const fn is_carried(self) -> bool {
        matches!(
            self,
            Self::Prompt
                | Self::Version
                | Self::Stamp
                | Self::Label
                | Self::Rule
                | Self::Bucket
                | Self::Subject
                | Self::PromptObject
                | Self::Session
                | Self::User
                | Self::Environment
        )
    }
}

/// The table.
const NAMES: &[(Field, &[&str])] = &[
    (
        Field::Prompt,
        &[
            PROMPT_NAME,
            "langfuse.observation.prompt.name",
            "langfuse.prompt.name",
            "traceloop.prompt.key",
            "mlflow.prompt.name",
        ],
    ),
    (
        Field::Version,
        &[
            PROMPT_VERSION,
            "langfuse.observation.prompt.version",
            "langfuse.prompt.version",
            "traceloop.prompt.version",
            "traceloop.prompt.version_name",
            "traceloop.prompt.version_hash",
            "llm.prompt_template.version",
            "mlflow.prompt.version",
        ],
    ),
    (Field::Stamp, &[STAMP]),
    (Field::Label, &[LABEL]),
    (Field::Rule, &[RULE]),
    (Field::Bucket, &[BUCKET]),
    (Field::Subject, &["bookholder.subject"]),
    (Field::PromptVendor, &["prompt.vendor"]),
    (Field::PromptId, &["prompt.id"]),
    (Field::Metadata, &["metadata"]),
    (Field::ModelRequested, &["gen_ai.request.model", "llm.request.model_name", "llm.request.model", "ai.model.id"]),
    (
        Field::ModelUsed,
        &[
            "gen_ai.response.model",
            "llm.response.model_name",
            "llm.response.model",
            "ai.response.model",
            "llm.model_name",
            "embedding.model_name",
            "langfuse.observation.model.name",
            "langfuse.observation.model",
        ],
    ),
    (
        Field::Provider,
        &["gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider", "llm.vendor"],
    ),
    (
        Field::ServiceTier,
        &[
            "openai.response.service_tier",
            "gen_ai.openai.response.service_tier",
            "openai.request.service_tier",
            "gen_ai.openai.request.service_tier",
            "gen_ai.request.service_tier",
        ],
    ),
    (Field::ResponseId, &["gen_ai.response.id", "ai.response.id", "llm.response.id"]),
    (
        Field::Input,
        &[
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
            "ai.usage.tokens",
            "llm.usage.prompt_tokens",
        ],
    ),
    (
        Field::Output,
        &[
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "ai.usage.outputTokens",
            "ai.usage.completionTokens",
            "llm.usage.completion_tokens",
        ],
    ),
    (
        Field::CacheRead,
        &[
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.cachedInputTokens",
            "ai.usage.inputTokenDetails.cacheReadTokens",
        ],
    ),
    (
        Field::CacheWrite,
        &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "llm.token_count.prompt_details.cache_write",
            "ai.usage.inputTokenDetails.cacheWriteTokens",
        ],
    ),
    (
        Field::CacheWrite1h,
        &["gen_ai.usage.cache_creation.ephemeral_1h_input_tokens", "gen_ai.usage.cache_write.1h.input_tokens"],
    ),
    (
        Field::Reasoning,
        &[
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
            "ai.usage.reasoningTokens",
            "ai.usage.outputTokenDetails.reasoningTokens",
            "llm.usage.reasoning_tokens",
        ],
    ),
    (Field::UsageObject, &["langfuse.observation.usage_details"]),
    (Field::Cost, &["gen_ai.usage.cost.amount", "gen_ai.usage.cost", "llm.cost.total"]),
    (Field::CostCurrency, &["gen_ai.usage.cost.currency"]),
    (Field::CostObject, &["langfuse.observation.cost_details"]),
    (
        Field::FirstTokenSeconds,
        &[
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.response.time_to_first_token",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.server.time_to_first_token",
        ],
    ),
    (Field::FirstTokenMillis, &["ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"]),
    (Field::FirstTokenAt, &["langfuse.observation.completion_start_time"]),
    (Field::Error, &["error.type"]),
    (Field::ExceptionType, &["exception.type"]),
    (Field::Level, &["langfuse.observation.level"]),
    (Field::FinishReasons, &["gen_ai.response.finish_reasons", "ai.response.finishReason", "llm.finish_reason"]),
    (
        Field::Session,
        &[
            "gen_ai.conversation.id",
            "session.id",
            "langfuse.session.id",
            "langfuse.trace.session_id",
            "session_id",
            "sessionId",
        ],
    ),
    (
        Field::User,
        &["user.id", "gen_ai.user", "langfuse.user.id", "langfuse.trace.user_id", "enduser.id", "user_id", "userId"],
    ),
    (
        Field::Environment,
        &[
            "deployment.environment.name",
            "deployment.environment",
            "langfuse.environment",
            "langfuse.trace.environment",
        ],
    ),
    (Field::Operation, &["gen_ai.operation.name"]),
    (Field::OpenInferenceKind, &["openinference.span.kind"]),
    (Field::LangfuseType, &["langfuse.observation.type"]),
    (Field::AiOperation, &["ai.operationId"]),
    (Field::RequestType, &["llm.request.type"]),
    (Field::TraceloopKind, &["traceloop.span.kind"]),
    (Field::SystemInstructions, &["gen_ai.system_instructions", "llm.system_instructions"]),
    (
        Field::InputMessages,
        &[
            "gen_ai.input.messages",
            "gen_ai.prompt",
            "ai.prompt.messages",
            "langfuse.observation.input",
            "input.value",
            "traceloop.entity.input",
        ],
    ),
    (
        Field::OutputMessages,
        &[
            "gen_ai.output.messages",
            "gen_ai.completion",
            "ai.response.text",
            "ai.response.object",
            "langfuse.observation.output",
            "output.value",
            "traceloop.entity.output",
        ],
    ),
    (Field::Content, &["content"]),
    (Field::EventName, &["event.name"]),
    (Field::ScoreName, &["gen_ai.evaluation.name"]),
    (Field::ScoreValue, &["gen_ai.evaluation.score.value"]),
    (Field::ScoreLabel, &["gen_ai.evaluation.score.label"]),
    (Field::ScoreExplanation, &["gen_ai.evaluation.explanation"]),
    (Field::ScoreEvaluator, &["gen_ai.evaluation.evaluator.name", "gen_ai.evaluation.evaluator"]),
    (Field::ScoreId, &["gen_ai.evaluation.id"]),
];

/// Spellings of what applications choose the keys of: our documentation names these.
const CHOSEN: &[(Field, &[&str])] = &[
    (Field::Prompt, &["promptName", "prompt_name"]),
    (Field::Version, &["promptVersion", "prompt_version"]),
    (Field::Stamp, &["bookholderStamp", "bookholder_stamp"]),
    (Field::Subject, &["bookholderSubject", "bookholder_subject"]),
    (Field::PromptObject, &["langfusePrompt"]),
];

/// Where SDKs put what an application sends along under keys of its own.
const CARRIERS: &[&str] = &[
    "ai.settings.context.",
    "ai.telemetry.metadata.",
    "traceloop.association.properties.",
    "langfuse.observation.metadata.",
    "langfuse.trace.metadata.",
    "metadata.",
    // What some copy from the baggage of a request to the spans in it.
    "baggage.",
];

/// Added to the rank of a name that was carried: a value under its own name counts first.
const CARRIED: u8 = 64;

/// A field, and the place of the name among those that say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) field: Field,
    pub(super) rank: u8,
}

impl Known {
    /// Whether it was found among what an SDK carries for the application.
    pub(super) const fn is_carried(self) -> bool {
        self.rank >= CARRIED
    }
}

static BY_NAME: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| index(NAMES));
static BY_CHOSEN_NAME: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| index(CHOSEN));

fn index(table: &[(Field, &[&'static str])]) -> HashMap<&'static str, Known> {
    let ranked = |(field, names): &(Field, &[&'static str])| {
        let field = *field;
        names.iter().copied().zip(0u8..).map(move |(name, rank)| (name, Known { field, rank })).collect::<Vec<_>>()
    };
    table.iter().flat_map(ranked).collect()
}

/// What an attribute of this name says, if that is of interest.
pub(super) fn known(name: &str) -> Option<Known> {
    if let Some(known) = BY_NAME.get(name) {
        return Some(*known);
    }
    let carried = CARRIERS.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    carried_as(carried)
}

/// What a key says that an application chose, in the metadata of an SDK.
pub(super) fn carried_as(key: &str) -> Option<Known> {
    let known = BY_NAME.get(key).filter(|known| known.field.is_carried()).or_else(|| BY_CHOSEN_NAME.get(key))?;
    Some(Known { field: known.field, rank: known.rank.saturating_add(CARRIED) })
}

/// A list that is flattened into attributes: one for each part of each of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Input,
    Output,
    /// Judgments of the span.
    SpanScores,
    /// Judgments of the trace.
    TraceScores,
}

/// A part of an element of a flattened list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Role,
    Text,
    Name,
    Number,
    Label,
    Explanation,
    Evaluator,
    Id,
}

/// How the names of flattened lists begin, and how they go on behind the index.
const LISTS: &[(&str, List, &str)] = &[
    ("gen_ai.prompt.", List::Input, ""),
    ("gen_ai.completion.", List::Output, ""),
    ("llm.prompts.", List::Input, ""),
    ("llm.completions.", List::Output, ""),
    ("llm.input_messages.", List::Input, "message."),
    ("llm.output_messages.", List::Output, "message."),
    ("evaluations.", List::SpanScores, "evaluation."),
    ("annotations.", List::SpanScores, "annotation."),
    ("trace.evaluations.", List::TraceScores, "evaluation."),
    ("trace.annotations.", List::TraceScores, "annotation."),
];

/// How the names of a single judgment begin; it counts as the first of its list, unless that is flattened too.
const SINGLE_SCORES: &[(&str, List)] = &[
    ("evaluation.", List::SpanScores),
    ("annotation.", List::SpanScores),
    ("trace.evaluation.", List::TraceScores),
    ("trace.annotation.", List::TraceScores),
];

/// Index of a judgment that is not in a list.
const SINGLE: u16 = u16::MAX;

/// An attribute of a flattened list, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlattenedName {
    pub(super) list: List,
    /// The element.
    pub(super) index: u16,
    /// What the value is of it.
    pub(super) part: Part,
}

/// Reads the name of an attribute of a flattened list.
///
/// `gen_ai.prompt.0.content` is one, `gen_ai.prompt.name` is not: an index has to follow.
pub(super) fn flattened(name: &str) -> Option<FlattenedName> {
    for (prefix, list, inner) in LISTS {
        if let Some(rest) = name.strip_prefix(prefix) {
            let (index, rest) = rest.split_once('.')?;
            let index = index.parse().ok().filter(|index| *index != SINGLE)?;
            return Some(FlattenedName { list: *list, index, part: part(*list, rest.strip_prefix(inner)?)? });
        }
    }
    let (list, rest) = SINGLE_SCORES.iter().find_map(|(prefix, list)| Some((*list, name.strip_prefix(prefix)?)))?;
    Some(FlattenedName { list, index: SINGLE, part: part(list, rest)? })
}

fn part(list: List, name: &str) -> Option<Part> {
    match list {
        List::Input | List::Output => match name {
            "role" => Some(Part::Role),
            "content" => Some(Part::Text),
            // One of several contents of a message.
            _ => (name.starts_with("contents.") && name.ends_with(".message_content.text")).then_some(Part::Text),
        },
        List::SpanScores | List::TraceScores => match name {
            "name" => Some(Part::Name),
            "score" => Some(Part::Number),
            "label" => Some(Part::Label),
            "explanation" => Some(Part::Explanation),
            "annotator_kind" => Some(Part::Evaluator),
            "identifier" => Some(Part::Id),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_have_one_meaning() {
        let names: Vec<_> = NAMES.iter().chain(CHOSEN).flat_map(|(_, names)| names.iter()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn prompt_names_are_not_taken_for_flattened_content() {
        assert_eq!(known("gen_ai.prompt.name").unwrap().field, Field::Prompt);
        assert_eq!(flattened("gen_ai.prompt.name"), None);
        assert_eq!(flattened("gen_ai.prompt.variable.shop"), None);
        let first = FlattenedName { list: List::Input, index: 0, part: Part::Text };
        assert_eq!(flattened("gen_ai.prompt.0.content"), Some(first));
        assert_eq!(flattened("gen_ai.prompt.99999.content"), None);
    }

    #[test]
    fn names_in_the_metadata_of_sdks_count_behind_those_in_their_place() {
        let carried = known("ai.telemetry.metadata.promptName").unwrap();
        assert_eq!(carried.field, Field::Prompt);
        assert!(carried.rank > known("traceloop.prompt.key").unwrap().rank);
        assert_eq!(known("traceloop.association.properties.gen_ai.prompt.version").unwrap().field, Field::Version);
        assert_eq!(known("traceloop.association.properties.gen_ai.usage.input_tokens"), None);
        assert_eq!(known("promptName"), None);
    }
}
