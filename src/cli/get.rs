//! `get`: the content of a reference, as it is or rendered; or of all prompts that match a pattern, at a label.

use std::path::Path;

use clap::Args;
use serde_json::Value;

use super::Verdict;
use super::args::times;
use super::args::values::{pair, variable};
use super::context::Context;
use super::disk;
use super::error::CliError;
use super::output::{ACCENT, DIM, Output, STRONG, harmless, one_line, paint};
use crate::api::limits::BODY_BYTES_MAX;
use crate::api::problem::ErrorCode;
use crate::api::read::{Assignment, MatchingRequest, RenderRequest, Resolved, Subject};
use crate::client::ClientError;
use crate::files::prompt::write;
use crate::model::as_of::AsOf;
use crate::model::content::Body;
use crate::model::count::count;
use crate::model::name::Label;
use crate::model::pattern::PatternError;
use crate::model::reference::{Reference, ReferenceError};
use crate::model::rendered::Rendered;

const EXAMPLES: &str = "\
Examples:
  bookholder get support/agent
  bookholder get support/agent@7 --var who=Ada --var n:=3
  bookholder get support/agent --at '2026-03-20 15:00'
  bookholder get support/agent@7 --file > agent.prompt    then edit and publish
  bookholder get support/agent --at 'tuesday 15:00'    or yesterday, 2h, 09:30
  bookholder get support/agent --subject user-42 --attr locale=de-AT --stamp
  bookholder get support/chat --messages history=chat.json
  bookholder get 'support/**' --label production --json

If the output is not a terminal, text is printed byte for byte, and messages as
JSON. --json prints the whole response: model, tools, response schema and config
in addition to the text or messages. With --label, all prompts are of one state
of the registry, and a program gets JSON.

Times are in the time zone of this machine unless they name one, as in
2026-03-20T15:00:00Z, '2026-03-20 15:00+02:00' or 'yesterday 15:00 UTC'.";

/// The note about a split without a subject.
const CHOSEN_AT_RANDOM: &str =
    "the label is split between versions and this one was chosen at random; use --subject ID for a stable choice";

/// `get`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct GetArgs {
    /// NAME, NAME@LABEL, NAME@7 or NAME@b3:3f9a1c2b; a name alone means production. With --label, a pattern of names
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// Fetch every prompt whose name matches, e.g. 'support/**', and that has this label
    #[arg(long, conflicts_with_all = ["variables", "messages", "render", "strict", "file"])]
    label: Option<Label>,
    /// Set a variable; := takes JSON; repeatable
    #[arg(long = "var", value_name = "NAME=TEXT", value_parser = variable)]
    variables: Vec<(String, Value)>,
    /// Fill a placeholder with the JSON list of messages in a file; repeatable
    #[arg(long, value_name = "NAME=FILE", value_parser = pair)]
    messages: Vec<(String, String)>,
    /// Render even without variables
    #[arg(long)]
    render: bool,
    /// Fail on unused variables or messages, and on placeholders without messages
    #[arg(long)]
    strict: bool,
    /// Fetch what was served then, e.g. 2026-03-20 (its start), '2026-03-20 15:00', 2h, 'tuesday 15:00'
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    at: Option<AsOf>,
    /// Stable ID for split assignment, e.g. a user ID
    #[arg(long, value_name = "WHO")]
    subject: Option<String>,
    /// Attribute for deployment rules; repeatable
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Print the version as a prompt file, as its author wrote it
    #[arg(long, conflicts_with_all = ["variables", "messages", "render", "strict", "stamp", "json"])]
    file: bool,
    /// Print only the stamp
    #[arg(long)]
    stamp: bool,
}

pub async fn run(args: GetArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    let at = args.at.map_or(Ok(None), |at| at.moment(times::now()));
    let at = at.map_err(|error| CliError::usage(format!("--at: {error}")))?;
    if let Some(label) = args.label {
        let pattern = args.reference.parse().map_err(|error: PatternError| CliError::usage(error.to_string()))?;
        let caller = Subject { subject: args.subject, attributes: args.attributes.into_iter().collect() };
        return matching(MatchingRequest { label, pattern, caller, at }, args.stamp, &context).await;
    }
    let reference: Reference =
        args.reference.parse().map_err(|error: ReferenceError| CliError::usage(error.to_string()))?;
    let explain = |error| not_a_pattern(error, &reference);
    let rendering = args.render || !args.variables.is_empty() || !args.messages.is_empty();
    let chance;
    let mut file = None;
    let (value, stamp, said) = if rendering {
        let mut request = RenderRequest {
            variables: args.variables.into_iter().collect(),
            subject: args.subject,
            attributes: args.attributes.into_iter().collect(),
            at,
            strict: args.strict,
            ..RenderRequest::default()
        };
        for (name, file) in &args.messages {
            request.messages.insert(name.clone(), read_messages(Path::new(file))?);
        }
        let answer = context.client.render(&reference, &request).await.map_err(explain)?;
        for remark in &answer.remarks {
            note(output, &remark.message);
        }
        chance = by_chance(answer.assignment.as_ref());
        (serde_json::to_value(&answer), answer.stamp, answer.rendered)
    } else {
        let who = Subject { subject: args.subject, attributes: args.attributes.into_iter().collect() };
        let answer = context.client.resolve(&reference, &who, at).await.map_err(explain)?;
        chance = by_chance(answer.assignment.as_ref());
        if args.file {
            let view = context.client.version(&answer.name, answer.version).await?;
            file = Some(write(&view.source.unwrap_or(view.content)));
        }
        let said = as_written(&answer);
        (serde_json::to_value(&answer), answer.stamp, said)
    };
    if chance {
        note(output, CHOSEN_AT_RANDOM);
    }
    let value = value.map_err(|error| CliError::no(error.to_string()))?;
    if args.file {
        output.text(&file.unwrap_or_default())?;
    } else if args.stamp {
        output.line(stamp)?;
    } else if output.json {
        output.json(&value)?;
    } else {
        let unsaid = other_parts(&value);
        if matches!(said, Rendered::Messages(_)) && !output.terminal && !unsaid.is_empty() {
            note(output, &format!("not printed: {}; use --json to print everything", unsaid.join(", ")));
        }
        print_rendered(output, &said)?;
    }
    Ok(Verdict::Done)
}

/// Says how to fetch all prompts that match, if a name that does not exist looks like a pattern.
fn not_a_pattern(error: ClientError, reference: &Reference) -> CliError {
    let error = CliError::from(error);
    if error.code != Some(ErrorCode::PromptNotFound) || !reference.name.as_str().contains('*') {
        return error;
    }
    error.hint("to fetch every prompt that matches a pattern, add --label, e.g. --label production")
}

/// Prints what a label serves in the prompts that match a pattern.
async fn matching(wanted: MatchingRequest, stamps: bool, context: &Context) -> Result<Verdict, CliError> {
    let output = context.output;
    let found = context.client.matching(&wanted).await?;
    if found.answers.is_empty() {
        note(output, &format!("no prompt that matches {} has the label {}", wanted.pattern, wanted.label));
    }
    let resolved: Vec<&Resolved> = found.answers.iter().filter_map(|item| item.resolved.as_ref()).collect();
    if stamps {
        resolved.iter().try_for_each(|resolved| output.line(&resolved.stamp))?;
    } else if output.json || !output.terminal {
        output.json(&found)?;
    } else {
        for (index, resolved) in resolved.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            let version = paint(DIM, format!("version {}", resolved.version));
            output.line(format!("{gap}{} {version}", paint(ACCENT.bold(), &resolved.name)))?;
            print_rendered(output, &as_written(resolved))?;
        }
    }
    if resolved.iter().any(|resolved| by_chance(resolved.assignment.as_ref())) {
        note(output, CHOSEN_AT_RANDOM);
    }
    let failed: Vec<String> = found
        .answers
        .iter()
        .filter_map(|item| item.problem.as_ref().map(|problem| format!("{}: {}", item.reference, problem.detail)))
        .collect();
    if failed.is_empty() {
        return Ok(Verdict::Done);
    }
    Err(CliError::no(format!("cannot read {}", count(failed.len(), "prompt"))).details(failed))
}

/// The content of a version as its author wrote it.
fn as_written(resolved: &Resolved) -> Rendered {
    match &resolved.content.body {
        Body::Text(text) => Rendered::Text(text.clone()),
        Body::Messages(messages) => Rendered::Messages(messages.iter().map(as_value).collect()),
    }
}

/// Prints a note on standard error.
fn note(output: Output, text: &str) {
    output.note(format!("{}: {}", paint(ACCENT.bold(), "note"), one_line(text)));
}

/// Whether a split was assigned without a subject.
fn by_chance(assignment: Option<&Assignment>) -> bool {
    assignment.is_some_and(|assignment| assignment.bucket.is_some() && !assignment.sticky)
}

/// The parts of an answer besides its messages.
fn other_parts(answer: &Value) -> Vec<&'static str> {
    let content = answer.get("content").unwrap_or(answer);
    [("model", "the model"), ("tools", "its tools"), ("response_schema", "the response schema"), ("config", "config")]
        .into_iter()
        .filter(|(key, _)| content.get(*key).is_some_and(|value| !value.is_null()))
        .map(|(_, what)| what)
        .collect()
}

/// Prints a text or messages.
pub fn print_rendered(output: Output, said: &Rendered) -> Result<(), CliError> {
    match said {
        Rendered::Text(text) => output.text(text),
        Rendered::Messages(messages) if !output.terminal => output.json(messages),
        Rendered::Messages(messages) => {
            for (index, message) in messages.iter().enumerate() {
                let gap = if index == 0 { "" } else { "\n" };
                output.line(format!("{gap}{}", conversation(message)))?;
            }
            Ok(())
        }
    }
}

/// A message for display: the role, then the text.
fn conversation(message: &Value) -> String {
    let text = |key: &str| message.get(key).and_then(Value::as_str).map(harmless);
    let Some(role) = text("role") else {
        return paint(DIM, format!("… {} …", text("name").unwrap_or_default()));
    };
    let name = text("name").map(|name| format!(" ({name})")).unwrap_or_default();
    let mut shown = paint(STRONG, format!("{role}{name}"));
    let parts = match message.get("content") {
        Some(Value::Array(parts)) => parts.clone(),
        Some(content) => vec![content.clone()],
        None => Vec::new(),
    };
    for part in parts {
        let said = part.as_str().or_else(|| part.get("text").and_then(Value::as_str)).map(harmless);
        let image = part.get("url").and_then(Value::as_str).map(|url| paint(DIM, format!("image {}", harmless(url))));
        shown.push('\n');
        shown.push_str(said.or(image).unwrap_or_default().trim_end_matches('\n'));
    }
    if let Some(Value::Array(calls)) = message.get("tool_calls") {
        for call in calls {
            let call = format!("calls {}", harmless(&call.to_string()));
            shown.extend(["\n", &paint(DIM, call)]);
        }
    }
    shown
}

/// A stored message as JSON.
pub fn as_value(message: &crate::model::content::Message) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}

fn read_messages(path: &Path) -> Result<Vec<Value>, CliError> {
    let bytes = disk::read(path, BODY_BYTES_MAX)?;
    crate::json::read(&bytes)
        .map_err(|error| CliError::usage(format!("{} is not a JSON list of messages: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn message_is_printed_with_its_role() {
        let plain = |message| anstream::adapter::strip_str(&conversation(&message)).to_string();
        assert_eq!(plain(json!({"role": "system", "content": "Be kind\n"})), "system\nBe kind");
        assert_eq!(plain(json!({"type": "placeholder", "name": "history"})), "… history …");
        let parts = json!({"role": "user", "name": "ada", "content": [{"type": "text", "text": "a"}, {"type": "image", "url": "u"}]});
        assert_eq!(plain(parts), "user (ada)\na\nimage u");
        assert!(!conversation(&json!({"role": "user", "content": "\u{1b}]0;x"})).contains("\u{1b}]"));
    }
}
