//! `trace`: from a response back to the version, the deployment, the cost and the scores.

use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::Verdict;
use super::args::times;
use super::changed::movement;
use super::context::Context;
use super::diff::changes as changed_parts;
use super::error::CliError;
use super::get::{as_value, print_rendered};
use super::output::{
    ACCENT, BAD, Cell, DIM, GOOD, Output, STRONG, Table, WARN, harmless, moment, one_line, paint, zoned,
};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::ErrorCode;
use crate::api::read::{DiffAnswer, VersionView};
use crate::api::telemetry::{ProducedBy, RecordedResponse, RecordedResponses, RecordedScore};
use crate::client::{ClientError, DeploymentFilter};
use crate::model::as_of::AsOf;
use crate::model::comparison::Diff;
use crate::model::content::{Body, Content};
use crate::model::count::count;
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::reference::{Reference, Selector};
use crate::model::rendered::Rendered;
use crate::model::usd::Usd;
use crate::web::figures::{UNKNOWN, duration};
use crate::web::traced::{self, cost_source, failure, other_model, score_value, scored_part, tokens};

/// Lines of a text that are shown unless `--text` asks for all.
const TEXT_LINES: usize = 6;

const EXAMPLES: &str = "\
Examples:
  bookholder trace chatcmpl-9x                a response, by its ID
  bookholder trace chatcmpl-9x --text --diff  whole text, whole difference
  bookholder trace 5b8efff798038103d269b633813fc60c
  bookholder trace --session chat-4711
  bookholder trace --prompt support/agent@production --at '2026-03-20 15:00'

A trace ID has 32 hex digits. Applications report responses with the stamp of
the resolved prompt: POST /v1/responses, or OpenTelemetry to /v1/traces.";

/// `trace`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// ID of a response, of a trace, or of a span: trace ID, `-` and span ID
    #[arg(value_name = "ID", required_unless_present_any = ["session", "prompt"], conflicts_with_all = ["session", "prompt"])]
    id: Option<String>,
    /// List all responses of a session in order
    #[arg(long, value_name = "ID", conflicts_with = "prompt")]
    session: Option<String>,
    /// Show what a label of this prompt served; a name alone means production
    #[arg(long, value_name = "NAME[@LABEL]")]
    prompt: Option<Reference>,
    /// Time for --prompt, e.g. 2026-03-20 (its start), '2026-03-20 15:00', 2h, 'tuesday 15:00' [default: now]
    #[arg(long, value_name = "TIME", requires = "prompt", value_parser = times::time)]
    at: Option<AsOf>,
    /// Print the whole text of the version
    #[arg(long)]
    text: bool,
    /// Print the whole difference to the version before
    #[arg(long)]
    diff: bool,
}

/// A version, and what changed since the one before.
#[derive(Debug, Serialize)]
struct Looked {
    version: VersionView,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<DiffAnswer>,
}

/// Responses, and the version of a single one.
#[derive(Debug, Serialize)]
struct Traced {
    #[serde(flatten)]
    recorded: RecordedResponses,
    #[serde(flatten)]
    looked: Option<Looked>,
}

/// What a label served at a time.
#[derive(Debug, Serialize)]
struct Served {
    deployment: Deployment,
    versions: Vec<Looked>,
}

pub async fn run(args: TraceArgs, context: Context) -> Result<Verdict, CliError> {
    match (&args.id, &args.session, &args.prompt) {
        (Some(id), _, _) => responses(&args, &context, context.client.response(id).await?).await?,
        (None, Some(session), _) => responses(&args, &context, context.client.session(session).await?).await?,
        (None, None, Some(reference)) => served(&args, &context, reference).await?,
        (None, None, None) => return Err(CliError::usage("name a response, a trace, a session or a prompt")),
    }
    Ok(Verdict::Done)
}

async fn responses(args: &TraceArgs, context: &Context, recorded: RecordedResponses) -> Result<(), CliError> {
    let single = match recorded.responses.as_slice() {
        [one] if args.session.is_none() => one.version.as_ref(),
        _ => None,
    };
    let looked = match single {
        Some(by) => look(context, &by.prompt, by.version).await?,
        None => None,
    };
    let output = context.output;
    if output.json {
        return output.json(&Traced { recorded, looked });
    }
    match recorded.responses.as_slice() {
        [one] if args.session.is_none() => {
            response(output, one)?;
            if let (Some(by), Some(looked)) = (&one.version, &looked) {
                output.line("")?;
                version(output, args, &by.prompt, looked)?;
            }
            if !recorded.others.is_empty() {
                output.line(format!("\n{}", paint(STRONG, "in the same trace")))?;
                output.table(&table(&recorded.others), "")?;
            }
        }
        all => output.table(&table(all), "no responses")?,
    }
    if recorded.truncated {
        output.line(paint(WARN, "older responses are not listed: these are the newest 1,000"))?;
    }
    Ok(())
}

/// A version with its changes; none if it cannot be shown any more.
async fn look(context: &Context, name: &PromptName, number: u64) -> Result<Option<Looked>, CliError> {
    let gone = |error: &ClientError| {
        let codes = [ErrorCode::VersionArchived, ErrorCode::PromptNotFound, ErrorCode::VersionNotFound];
        matches!(error, ClientError::Problem(problem) if codes.contains(&problem.code))
    };
    let version = match context.client.version(name, number).await {
        Ok(version) => version,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(before) = number.checked_sub(1).filter(|before| *before > 0) else {
        return Ok(Some(Looked { version, changes: None }));
    };
    let (before, after) = (Selector::Version(before), Selector::Version(number));
    let changes = match context.client.diff(name, &before, &after).await {
        Ok(changes) => Some(changes),
        Err(error) if gone(&error) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Looked { version, changes }))
}

async fn served(args: &TraceArgs, context: &Context, reference: &Reference) -> Result<(), CliError> {
    let Selector::Label(label) = &reference.selector else {
        return Err(CliError::usage(format!("{reference} names a version, which is served by no time"))
            .hint(format!("name a label: {}@production", reference.name)));
    };
    let now = times::now();
    let at = args.at.map_or(Ok(None), |at| at.moment(now));
    let at = at.map_err(|error| CliError::usage(format!("--at: {error}")))?.unwrap_or(now);
    let filter = DeploymentFilter { name: Some(reference.name.clone()), label: Some(label.clone()) };
    let mut deployments = context.client.deployments(&filter, PAGE_ROWS_MAX);
    let mut deployment = None;
    while let Some(next) = deployments.try_next().await? {
        if next.at <= at {
            deployment = Some(next);
            break;
        }
    }
    let nothing = || CliError::no(format!("{reference} served nothing at {}", zoned(at)));
    let deployment = deployment.ok_or_else(nothing)?;
    let serving = deployment.to.as_ref().ok_or_else(nothing)?;
    let mut versions = Vec::new();
    for number in serving.versions() {
        versions.extend(look(context, &reference.name, number).await?);
    }
    let output = context.output;
    if output.json {
        return output.json(&Served { deployment, versions });
    }
    output.line(format!("{}  {}", paint(STRONG, reference), paint(DIM, format!("at {}", zoned(at)))))?;
    rows(output, vec![("serves", paint(GOOD, serving)), ("deployment", deployed(&deployment))])?;
    for looked in &versions {
        output.line("")?;
        version(output, args, &reference.name, looked)?;
    }
    Ok(())
}

fn rows(output: Output, rows: Vec<(&str, String)>) -> Result<(), CliError> {
    for (what, value) in rows {
        output.line(format!("{} {value}", paint(DIM, format!("{what:<11}"))))?;
    }
    Ok(())
}

fn response(output: Output, one: &RecordedResponse) -> Result<(), CliError> {
    let id = one.address().unwrap_or_else(|| "response without an ID".to_owned());
    output.line(format!("{}  {}", paint(STRONG, one_line(&id)), paint(DIM, zoned(one.ended))))?;
    let mut lines = vec![("prompt", prompt(one)), ("model", model(one)), ("tokens", tokens(one)), ("cost", cost(one))];
    let first = one.first_token_ms.map(|ms| format!(" · first token {}", duration(Some(ms))));
    lines.push(("latency", format!("{}{}", duration(one.latency_ms), first.unwrap_or_default())));
    let texts =
        [("session", &one.session), ("user", &one.user), ("environment", &one.environment), ("trace", &one.trace_id)];
    lines.extend(one.error.iter().map(|error| ("error", paint(BAD, one_line(error)))));
    lines.extend(texts.into_iter().filter_map(|(what, text)| Some((what, one_line(text.as_deref()?)))));
    lines.extend(one.deployments.iter().map(|deployment| ("deployment", deployed(deployment))));
    if one.deployments.is_empty() && one.version.is_some() {
        lines.push(("deployment", paint(DIM, "no label served this version at that time")));
    }
    lines.extend(one.scores.iter().map(|score| ("score", scored(score))));
    rows(output, lines)
}

fn prompt(one: &RecordedResponse) -> String {
    let Some(ProducedBy { prompt, version, label, rule, bucket, found_by, stamp, .. }) = &one.version else {
        let reason = one.unattributed.map_or("unknown", failure);
        let said = [&one.reported.stamp, &one.reported.prompt].into_iter().flatten().next();
        let said = said.map(|said| format!(" (reported: {})", one_line(said))).unwrap_or_default();
        return format!("{}{said}", paint(WARN, reason));
    };
    let parts = [
        label.as_ref().map(|label| format!("label {label}")),
        rule.map(|rule| format!("rule {}", rule.saturating_add(1))),
        bucket.map(|bucket| format!("slot {bucket} of the split")),
        Some(format!("found {}", traced::found_by(*found_by))),
        Some(stamp.clone()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{}  {}", paint(ACCENT, format!("{prompt}@{version}")), paint(DIM, parts.join(" · ")))
}

/// The models, with a mark where they are not the one that the version names.
fn model(one: &RecordedResponse) -> String {
    let used = one.model.as_deref().or(one.model_requested.as_deref());
    let Some(used) = used else { return UNKNOWN.to_owned() };
    let mut shown = one_line(used);
    if let Some(requested) = one.model_requested.as_deref().filter(|requested| *requested != used) {
        shown.push_str(" · requested ");
        shown.push_str(&one_line(requested));
    }
    if let Some(named) = other_model(one) {
        shown.push_str("  ");
        shown.push_str(&paint(WARN, format!("≠ {} of the version", one_line(named))));
    }
    shown
}

fn cost(one: &RecordedResponse) -> String {
    let Some(cost) = one.cost_usd else { return paint(DIM, "unknown") };
    let source = cost_source(one).map(|source| format!("  {}", paint(DIM, source)));
    format!("${cost}{}", source.unwrap_or_default())
}

fn deployed(deployment: &Deployment) -> String {
    let approved =
        (!deployment.approved_by.is_empty()).then(|| format!("approved by {}", deployment.approved_by.join(", ")));
    let request = deployment.change_request.map(|id| format!("change request {id}"));
    let more: String = [approved, request].into_iter().flatten().map(|part| format!(" · {part}")).collect();
    let Deployment { id, label, actor, message, at, action, .. } = deployment;
    let what = format!("{action} {id} to {label}: {}", movement(deployment));
    let who = format!("{} by {}", zoned(*at), one_line(actor));
    format!("{what}  {}  {}{}", paint(DIM, who), one_line(message), paint(DIM, one_line(&more)))
}

fn scored(score: &RecordedScore) -> String {
    let about = scored_part(score.about).map(|part| format!(" of {part}")).unwrap_or_default();
    let by = score.evaluator.as_deref().map(|by| paint(DIM, format!("  by {}", one_line(by))));
    let why = score.explanation.as_deref().map(|why| format!("  {}", one_line(why)));
    let (name, value) = (paint(ACCENT, one_line(&score.name)), one_line(&score_value(score)));
    format!("{name}{about} {value}{}{}", by.unwrap_or_default(), why.unwrap_or_default())
}

fn table(responses: &[RecordedResponse]) -> Table {
    let mut table = Table::new(&["WHEN (ZONE)", "RESPONSE", "VERSION", "MODEL", "TOKENS", "COST", "LATENCY", "SCORES"]);
    for one in responses {
        let version = one.version.as_ref().map_or_else(
            || Cell::new(WARN, "unknown"),
            |by| Cell::new(ACCENT, format!("{}@{}", by.prompt, by.version)),
        );
        let number = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
        let model = one.model.as_deref().or(one.model_requested.as_deref()).unwrap_or(UNKNOWN);
        let latency = one
            .error
            .as_ref()
            .map_or_else(|| Cell::from(&duration(one.latency_ms)), |error| Cell::new(BAD, one_line(error)));
        let scores: Vec<String> =
            one.scores.iter().map(|score| format!("{} {}", score.name, score_value(score))).collect();
        table.row([
            Cell::new(DIM, moment(one.ended)),
            Cell::from(&one_line(one.id.as_deref().or(one.span_id.as_deref()).unwrap_or(UNKNOWN))),
            version,
            Cell::from(&one_line(model)),
            Cell::from(&format!("{} → {}", number(one.input_tokens), number(one.output_tokens))),
            Cell::from(&one.cost_usd.map_or_else(|| UNKNOWN.to_owned(), Usd::short)),
            latency,
            Cell::from(&one_line(&scores.join(", "))),
        ]);
    }
    table
}

fn version(output: Output, args: &TraceArgs, name: &PromptName, looked: &Looked) -> Result<(), CliError> {
    let VersionView { version, content, .. } = &looked.version;
    let number = version.number;
    output.line(format!(
        "{}  {}",
        paint(STRONG, format!("{name}@{number}")),
        paint(
            DIM,
            format!("{} by {}: {}", zoned(version.created), one_line(&version.author), one_line(&version.message))
        )
    ))?;
    if let Some(changes) = &looked.changes {
        output.line(paint(DIM, since_before(number, &changes.diff)))?;
        if args.diff {
            output.line(changed_parts(&changes.diff).trim_end())?;
        }
    }
    output.line("")?;
    text(output, content, args.text)
}

/// How much changed since the version before.
fn since_before(number: u64, diff: &Diff) -> String {
    let texts = diff.text.iter().chain(diff.messages.iter().map(|message| &message.unified));
    let (mut added, mut removed) = (0_usize, 0_usize);
    for line in texts.flat_map(|text| text.lines()) {
        match line.chars().next() {
            Some('+') => added = added.saturating_add(1),
            Some('-') => removed = removed.saturating_add(1),
            _ => {}
        }
    }
    let before = number.saturating_sub(1);
    if diff.is_empty() {
        return format!("identical to version {before}");
    }
    let others = [
        ("variables", !diff.variables.is_empty()),
        ("model", diff.model.is_some()),
        ("tools", diff.tools.is_some()),
        ("response schema", diff.response_schema.is_some()),
        ("config", diff.config.is_some()),
    ];
    let others: String = others.iter().filter(|(_, changed)| *changed).map(|(what, _)| format!(", {what}")).collect();
    format!("since version {before}: {} added, {removed} removed{others}", count(added, "line"))
}

fn text(output: Output, content: &Content, whole: bool) -> Result<(), CliError> {
    if whole {
        let rendered = match &content.body {
            Body::Text(text) => Rendered::Text(text.clone()),
            Body::Messages(messages) => Rendered::Messages(messages.iter().map(as_value).collect()),
        };
        return print_rendered(output, &rendered);
    }
    let all = content.texts().collect::<Vec<_>>().join("\n");
    let lines: Vec<&str> = all.lines().collect();
    for line in lines.iter().take(TEXT_LINES) {
        output.line(harmless(line))?;
    }
    let more = lines.len().saturating_sub(TEXT_LINES);
    if more > 0 {
        output.line(paint(DIM, format!("… {more} more; print all with --text")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "callers write what they hand over")]
    fn recorded(json: serde_json::Value) -> RecordedResponse {
        let mut whole =
            serde_json::json!({"ended": "2026-03-20T15:00:00Z", "reported": {}, "deployments": [], "scores": []});
        let fields = whole.as_object_mut().expect("an object");
        fields.extend(json.as_object().expect("an object").clone());
        serde_json::from_value(whole).expect("a response")
    }

    #[test]
    fn control_characters_of_reports_do_not_reach_the_terminal() {
        let hostile = "a\u{1b}]0;x\nb";
        let response = recorded(serde_json::json!({"model": hostile, "unattributed": "no_prompt",
            "reported": {"prompt": hostile}, "scores": [{"name": hostile, "value": hostile, "about": "response",
            "evaluator": hostile, "explanation": hostile, "at": "2026-03-20T15:00:00Z"}]}));
        let shown = [model(&response), prompt(&response), scored(&response.scores[0])].concat();
        assert!(!shown.contains("\u{1b}]") && !shown.contains('\n'), "{shown:?}");
        assert!(!table(&[response]).render(false, None).contains("\u{1b}]"));
    }
}
