//! Scorers of calls of tools: whether they are valid, and which tools were called.

mod names;

use std::collections::BTreeSet;

use serde_json::Value;

use super::javascript::{string, trim};
use super::json::Schema;
use super::{Input, Score, ScoreError, excerpt, needs};

/// What is in the place of an answer after a call that was made for the model.
const MADE: &str = "MCP Tool Result";
/// The same for a call that failed.
const BROKEN: &str = "MCP Tool Error";

/// Passes if the answer calls tools, each with arguments that the version's definition of it accepts.
pub(super) fn is_valid_tools_call(input: &Input<'_>) -> Score {
    if input.text.contains(BROKEN) || input.text.contains(MADE) {
        let made = !input.text.contains(BROKEN);
        return input.decide(made, |not| format!("expected a call of a tool {not}to succeed"));
    }
    is_valid_function_call(input)
}

/// The same, for calls that are not answered by another program.
pub(super) fn is_valid_function_call(input: &Input<'_>) -> Score {
    let checked = check_calls(input);
    input.decide(checked.is_ok(), |_| checked.err().unwrap_or_else(|| "the calls are valid".to_owned()))
}

fn check_calls(input: &Input<'_>) -> Result<(), String> {
    let calls = &input.scoring.answer.tool_calls;
    if calls.is_empty() {
        return Err("the answer calls no tool".to_owned());
    }
    for call in calls {
        let field = |name: &str| call.get("function").and_then(|function| function.get(name)).and_then(Value::as_str);
        let (Some(name), Some(arguments)) = (field("name"), field("arguments")) else {
            return Err("a call has no name, or its arguments are not a text".to_owned());
        };
        let arguments: Value = serde_json::from_str(arguments)
            .map_err(|error| format!("the arguments of `{}` are not JSON: {error}", excerpt(name)))?;
        let tools = input.scoring.content.tools.iter().map(|tool| tool.get("function").unwrap_or(tool));
        let tool = tools.into_iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(name));
        let parameters = tool.and_then(|tool| tool.get("parameters").or_else(|| tool.get("input_schema")));
        let Some(parameters) = parameters else {
            return Err(format!("the version has no tool `{}` with parameters", excerpt(name)));
        };
        let schema = Schema::compile(parameters).map_err(|error| error.to_string())?;
        schema.check(&arguments).map_err(|why| {
            format!("the arguments of `{}` do not match its parameters: {}", excerpt(name), excerpt(&why))
        })?;
    }
    Ok(())
}

/// The names of the tools that `tool-call-f1` expects.
pub(super) fn expected_tools(input: &Input<'_>) -> Result<BTreeSet<String>, ScoreError> {
    let trimmed = |name: &str| trim(name).to_owned();
    let expected: BTreeSet<String> = match &input.value {
        Some(Value::Array(items)) => items.iter().map(|item| trimmed(&string(item))).collect(),
        Some(Value::String(text)) => text.split(',').map(trimmed).collect(),
        _ => return Err(needs("a list of names of tools, or a text with commas, as its value")),
    };
    let expected: BTreeSet<String> = expected.into_iter().filter(|name| !name.is_empty()).collect();
    if expected.is_empty() {
        return Err(needs("at least one name of a tool as its value"));
    }
    Ok(expected)
}

/// The harmonic mean of precision and recall of the tools that were called. A `not-` scorer has the same score.
pub(super) fn tool_call_f1(input: &Input<'_>) -> Result<Score, ScoreError> {
    let expected = expected_tools(input)?;
    let called = if input.output.is_null() { names::in_text(&input.text) } else { Ok(names::in_value(&input.output)) };
    let called = match called {
        Ok(called) => called,
        Err(why) => return Ok(Score { pass: false, score: 0.0, reason: why }),
    };
    let both = expected.intersection(&called).count();
    #[allow(clippy::cast_precision_loss, reason = "counts of names")]
    let score = (2 * both) as f64 / (expected.len() + called.len()) as f64;
    let threshold = input.scorer.threshold.unwrap_or(1.0);
    let list = |names: &BTreeSet<String>| excerpt(&names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let called = if called.is_empty() { "no tool".to_owned() } else { list(&called) };
    let reason = format!("F1 {score:.3}, threshold {threshold}: called {called}; expected {}", list(&expected));
    Ok(Score { pass: (score >= threshold) != input.scorer.check.not, score, reason })
}
