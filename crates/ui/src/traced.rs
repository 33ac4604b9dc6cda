//! How pages and the command line write what is known of one response.

use crate::api::telemetry::{
    AttributionFailure, CostOrigin, FoundBy, RecordedResponse, RecordedScore, ReportedValue, ScoredPart,
};
use crate::figures::UNKNOWN;

/// How the version of a response was found.
#[must_use]
pub const fn found_by(how: FoundBy) -> &'static str {
    match how {
        FoundBy::Version => "by its number",
        FoundBy::Label => "by what the label served when the call began",
        FoundBy::Stamp => "by its stamp",
        FoundBy::ContentId => "by its content ID",
        FoundBy::Text => "by the system message",
    }
}

/// Why the version of a response is not known.
#[must_use]
pub const fn failure(reason: AttributionFailure) -> &'static str {
    match reason {
        AttributionFailure::NoPrompt => "unknown: the application reported no prompt",
        AttributionFailure::UnknownPrompt => "unknown: there is no prompt of the reported name",
        AttributionFailure::UnknownVersion => "unknown: the prompt has no version like the reported one",
        AttributionFailure::AmbiguousSplit => "unknown: the label serves several versions; report the stamp",
    }
}

/// The tokens that were read and written, with the parts of each.
#[must_use]
pub fn tokens(one: &RecordedResponse) -> String {
    let part = |number: Option<u64>, what: &str| number.filter(|number| *number > 0).map(|n| format!("{n} {what}"));
    let with = |number: Option<u64>, what: &str, parts: Vec<String>| {
        let number = number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
        let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
        format!("{number} {what}{parts}")
    };
    let read = [part(one.cache_read_tokens, "cached"), part(one.cache_write_tokens, "written to the cache")];
    let wrote = [part(one.reasoning_tokens, "reasoning")];
    let read = with(one.input_tokens, "in", read.into_iter().flatten().collect());
    format!("{read} · {}", with(one.output_tokens, "out", wrote.into_iter().flatten().collect()))
}

/// Where a known cost comes from.
#[must_use]
pub fn cost_source(one: &RecordedResponse) -> Option<String> {
    Some(match (one.cost_source?, &one.price_table) {
        (CostOrigin::PriceTable, Some(table)) => format!("price table {table}"),
        (CostOrigin::PriceTable, None) => "price table".to_owned(),
        (CostOrigin::Reported, _) => "reported".to_owned(),
    })
}

/// The value of a score.
#[must_use]
pub fn score_value(score: &RecordedScore) -> String {
    match &score.value {
        ReportedValue::Boolean(passed) => if *passed { "passed" } else { "failed" }.to_owned(),
        ReportedValue::Number(number) => number.to_string(),
        ReportedValue::Category(text) => text.clone(),
    }
}

/// What a score is about, where that is more than the response.
#[must_use]
pub const fn scored_part(part: ScoredPart) -> Option<&'static str> {
    match part {
        ScoredPart::Response => None,
        ScoredPart::Trace => Some("the trace"),
        ScoredPart::Session => Some("the session"),
        ScoredPart::Version => Some("the version"),
    }
}

/// The model that the version names, if a response is neither of it nor of a dated release of it.
#[must_use]
pub fn other_model(one: &RecordedResponse) -> Option<&str> {
    let plain = |model: &str| model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let of_version = one.model_of_version.as_deref()?;
    let named = plain(of_version);
    let is_release = |model: &str| {
        let rest = plain(model).strip_prefix(&named).map(str::to_owned);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '@' | '.')))
    };
    let mut models = [&one.model, &one.model_requested].into_iter().flatten();
    (!models.all(|model| is_release(model))).then_some(of_version)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "callers write what they hand over")]
    fn recorded(json: Value) -> RecordedResponse {
        let mut whole = json!({"ended": "2026-03-20T15:00:00Z", "reported": {}, "deployments": [], "scores": []});
        let fields = whole.as_object_mut().expect("an object");
        fields.extend(json.as_object().expect("an object").clone());
        serde_json::from_value(whole).expect("a response")
    }

    #[test]
    fn dated_release_of_the_requested_model_is_the_same_model() {
        for (named, requested, used, other) in [
            ("gpt-5", "gpt-5", "gpt-5-2026-05-01", None),
            ("openai/gpt-5", "gpt-5", "gpt-5", None),
            ("gpt-5", "gpt-5-mini", "gpt-5-mini", Some("gpt-5")),
            ("gpt-4o", "gpt-5", "gpt-5", Some("gpt-4o")),
        ] {
            let response = json!({"model_of_version": named, "model_requested": requested, "model": used});
            assert_eq!(other_model(&recorded(response)), other, "{named} {requested} {used}");
        }
        assert_eq!(other_model(&recorded(json!({"model": "gpt-5"}))), None);
    }

    #[test]
    fn tokens_and_cost_say_what_is_unknown() {
        let known = recorded(json!({"input_tokens": 2000, "cache_read_tokens": 1536, "output_tokens": 400,
            "reasoning_tokens": 256, "cost_usd": "0.0123", "cost_source": "reported"}));
        assert_eq!(tokens(&known), "2000 in (1536 cached) · 400 out (256 reasoning)");
        assert_eq!(cost_source(&known).as_deref(), Some("reported"));
        let unknown = recorded(json!({}));
        assert_eq!((tokens(&unknown), cost_source(&unknown)), ("— in · — out".to_owned(), None));
    }
}
