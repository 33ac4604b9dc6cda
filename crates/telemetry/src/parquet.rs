//! Recorded events as columns of Parquet: a row for each response, or for each score.
//!
//! Columns may be added; one that is there keeps its name and type. All but the time are optional.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
pub use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::event::{
    Attributed, AttributedBy, Attribution, CostSource, Operation, Response, Score, ScoreTarget, ScoreValue,
    Unattributed,
};
use crate::model::name::Label;
use crate::model::stamp::stamp;

/// Rows of a group, which readers take at once.
const GROUP_ROWS: usize = 16_384;

/// A column: its name, and its value in a row.
enum Column<R> {
    /// Milliseconds since 1970, in UTC.
    Time(&'static str, fn(&R) -> i64),
    Text(&'static str, fn(&R) -> Option<String>),
    Whole(&'static str, fn(&R) -> Option<i64>),
    Float(&'static str, fn(&R) -> Option<f64>),
    Flag(&'static str, fn(&R) -> Option<bool>),
}

/// Writes responses as a file; the same responses give the same bytes.
///
/// # Errors
/// The output fails.
pub fn write_responses(responses: &[Response], out: impl Write + Send) -> Result<(), ParquetError> {
    write("response", RESPONSE, responses, out)
}

/// Writes scores as a file.
///
/// # Errors
/// The output fails.
pub fn write_scores(scores: &[Score], out: impl Write + Send) -> Result<(), ParquetError> {
    write("score", SCORE, scores, out)
}

fn write<R>(name: &str, columns: &[Column<R>], rows: &[R], out: impl Write + Send) -> Result<(), ParquetError> {
    let fields: String = columns.iter().map(Column::field).collect();
    let schema = Arc::new(parse_message_type(&format!("message {name} {{ {fields}}}"))?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("bookholder".to_owned())
        .build();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = writer.next_row_group()?;
        for column in columns {
            column.write(rows, &mut group)?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

impl<R> Column<R> {
    /// Its field in the schema.
    fn field(&self) -> String {
        match self {
            Self::Time(name, _) => format!("required int64 {name} (TIMESTAMP(MILLIS,true)); "),
            Self::Text(name, _) => format!("optional binary {name} (STRING); "),
            Self::Whole(name, _) => format!("optional int64 {name}; "),
            Self::Float(name, _) => format!("optional double {name}; "),
            Self::Flag(name, _) => format!("optional boolean {name}; "),
        }
    }

    fn write(
        &self,
        rows: &[R],
        group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    ) -> Result<(), ParquetError> {
        match self {
            Self::Time(_, of) => {
                let values: Vec<i64> = rows.iter().map(of).collect();
                batch::<Int64Type>(group, &values, None)
            }
            Self::Text(_, of) => optional::<ByteArrayType>(
                group,
                rows.iter().map(|row| of(row).map(|text| ByteArray::from(text.into_bytes()))),
            ),
            Self::Whole(_, of) => optional::<Int64Type>(group, rows.iter().map(of)),
            Self::Float(_, of) => optional::<DoubleType>(group, rows.iter().map(of)),
            Self::Flag(_, of) => optional::<BoolType>(group, rows.iter().map(of)),
        }
    }
}

fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    batch::<T>(group, &values, Some(&levels))
}

fn batch<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

const RESPONSE: &[Column<Response>] = &[
    Column::Time("ended", |one| one.ended_ms),
    Column::Text("id", |one| one.id.clone()),
    Column::Text("trace_id", |one| Some(hex(&one.span?.trace))),
    Column::Text("span_id", |one| Some(hex(&one.span?.span))),
    Column::Text("parent_span_id", |one| Some(hex(&one.parent?))),
    Column::Text("prompt", |one| Some(version(one)?.prompt.to_string())),
    Column::Whole("version", |one| whole(version(one)?.version)),
    Column::Text("content_id", |one| Some(version(one)?.content_id.to_string())),
    Column::Text("stamp", |one| version(one).map(|by| stamp(&by.prompt, by.version, &by.content_id))),
    Column::Text("label", |one| version(one)?.label.as_ref().map(Label::to_string)),
    Column::Whole("rule", |one| Some(version(one)?.arm?.rule?.into())),
    Column::Whole("bucket", |one| Some(version(one)?.arm?.bucket?.into())),
    Column::Text("found_by", |one| Some(found_by(version(one)?.by).to_owned())),
    Column::Text("unattributed", |one| Some(unattributed(&one.attribution)?.to_owned())),
    Column::Text("reported_prompt", |one| one.claim.prompt.clone()),
    Column::Text("reported_version", |one| one.claim.version.clone()),
    Column::Text("reported_stamp", |one| one.claim.stamp.clone()),
    Column::Text("operation", |one| Some(operation(one.operation).to_owned())),
    Column::Text("provider", |one| one.provider.clone()),
    Column::Text("model_requested", |one| one.model_requested.clone()),
    Column::Text("model", |one| one.model_used.clone()),
    Column::Text("service_tier", |one| one.service_tier.clone()),
    Column::Whole("input_tokens", |one| whole(one.tokens.input?)),
    Column::Whole("cache_read_tokens", |one| whole(one.tokens.cache_read?)),
    Column::Whole("cache_write_tokens", |one| {
        let parts = [one.tokens.cache_write, one.tokens.cache_write_1h];
        whole(parts.into_iter().flatten().reduce(u64::saturating_add)?)
    }),
    Column::Whole("output_tokens", |one| whole(one.tokens.output?)),
    Column::Whole("reasoning_tokens", |one| whole(one.tokens.reasoning?)),
    Column::Whole("latency_us", |one| whole(one.latency_us?)),
    Column::Whole("first_token_us", |one| whole(one.first_token_us?)),
    Column::Whole("cost_pico_usd", |one| whole(one.cost?.pico_usd)),
    Column::Float("cost_usd", |one| Some(dollars(one.cost?.pico_usd))),
    Column::Text("cost_source", |one| Some(cost_source(one.cost?.source))),
    Column::Text("error", |one| one.error.clone()),
    Column::Text("session", |one| one.session.clone()),
    Column::Text("user", |one| one.user.clone()),
    Column::Text("environment", |one| one.environment.clone()),
    Column::Text("input", |one| one.body.as_ref()?.input.clone()),
    Column::Text("output", |one| one.body.as_ref()?.output.clone()),
];

const SCORE: &[Column<Score>] = &[
    Column::Time("at", |one| one.at_ms),
    Column::Text("id", |one| one.id.clone()),
    Column::Text("name", |one| Some(one.name.clone())),
    Column::Float("value", |one| match &one.value {
        ScoreValue::Number(number) => Some(number.number()),
        ScoreValue::Boolean(_) | ScoreValue::Category(_) => None,
    }),
    Column::Flag("passed", |one| match &one.value {
        ScoreValue::Boolean(passed) => Some(*passed),
        ScoreValue::Number(_) | ScoreValue::Category(_) => None,
    }),
    Column::Text("category", |one| match &one.value {
        ScoreValue::Category(category) => Some(category.clone()),
        ScoreValue::Number(_) | ScoreValue::Boolean(_) => None,
    }),
    Column::Text("evaluator", |one| one.evaluator.clone()),
    Column::Text("explanation", |one| one.explanation.clone()),
    Column::Text("response", |one| match &one.target {
        ScoreTarget::Response(id) => Some(id.clone()),
        _ => None,
    }),
    Column::Text("trace_id", |one| match &one.target {
        ScoreTarget::Span(span) => Some(hex(&span.trace)),
        ScoreTarget::Trace(trace) => Some(hex(trace)),
        _ => None,
    }),
    Column::Text("span_id", |one| match &one.target {
        ScoreTarget::Span(span) => Some(hex(&span.span)),
        _ => None,
    }),
    Column::Text("session", |one| match &one.target {
        ScoreTarget::Session(id) => Some(id.clone()),
        _ => None,
    }),
    Column::Text("prompt", |one| match &one.target {
        ScoreTarget::Version { prompt, .. } => Some(prompt.to_string()),
        _ => None,
    }),
    Column::Whole("version", |one| match &one.target {
        ScoreTarget::Version { version, .. } => whole(*version),
        _ => None,
    }),
];

fn version(response: &Response) -> Option<&Attributed> {
    match &response.attribution {
        Attribution::Version(found) => Some(found),
        Attribution::Pending | Attribution::Unattributed(_) => None,
    }
}

const fn found_by(by: AttributedBy) -> &'static str {
    match by {
        AttributedBy::Version => "version",
        AttributedBy::Label => "label",
        AttributedBy::Stamp => "stamp",
        AttributedBy::ContentId => "content_id",
        AttributedBy::Text => "text",
    }
}

const fn unattributed(attribution: &Attribution) -> Option<&'static str> {
    Some(match attribution {
        Attribution::Version(_) => return None,
        Attribution::Unattributed(Unattributed::NoPrompt) => "no_prompt",
        Attribution::Pending | Attribution::Unattributed(Unattributed::UnknownPrompt) => "unknown_prompt",
        Attribution::Unattributed(Unattributed::UnknownVersion) => "unknown_version",
        Attribution::Unattributed(Unattributed::AmbiguousSplit) => "ambiguous_split",
    })
}

const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
    }
}

fn cost_source(source: CostSource) -> String {
    match source {
        CostSource::Reported => "reported".to_owned(),
        CostSource::Table(id) => format!("price_table {}", hex(&id)),
    }
}

fn whole(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

#[allow(clippy::cast_precision_loss, reason = "the exact cost is in a column of its own")]
fn dollars(pico_usd: u64) -> f64 {
    pico_usd as f64 / 1e12
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
