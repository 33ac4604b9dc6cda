//! Rows of evals of OpenAI: `item` with testing criteria, or `input` and `ideal` of the older format.

use serde_json::{Map, Value};

use super::langfuse::{case_of, equals};
use super::promptfoo::{Builder, Files};
use super::types::short;
use super::{Effect, Findings, ImportError, ImportOptions, Imported, within_limit};
use crate::check::check_scorer;
use crate::json;
use crate::model::suite::{CASES_MAX, Case, CheckKind, Scorer, Suite};

/// Reads rows on lines of JSON, and the criteria of the eval as JSON: its `testing_criteria`, or an eval that has them.
///
/// # Errors
/// A line is not a row, the criteria are not JSON, or a limit is exceeded; with the line.
pub fn openai_evals(
    rows: &str,
    criteria: Option<&str>,
    file: &str,
    options: ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    within_limit(rows, file)?;
    let nothing = |_: &str| Err(std::io::Error::other("rows name no other files"));
    let files = Files::new(&nothing);
    let mut findings = Findings::default();
    let mut suite = Suite { repeats: 1, ..Suite::default() };
    let mut has_criteria = true;
    let mut name = None;
    if let Some(criteria) = criteria {
        within_limit(criteria, "testing_criteria")?;
        let value: Value = json::read(criteria.as_bytes())
            .map_err(|error| ImportError::invalid("testing_criteria", error.to_string()))?;
        name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        let list = value.get("testing_criteria").unwrap_or(&value);
        let Value::Array(list) = list else {
            return Err(ImportError::invalid("testing_criteria", "is not a list; use the criteria of an eval"));
        };
        let read: Vec<_> = list.iter().map(|one| criterion(one, options)).collect();
        has_criteria = read.is_empty() || read.iter().any(Result::is_ok);
        for (number, criterion) in read.into_iter().enumerate() {
            match criterion {
                Ok(scorer) => suite.scorers.push(scorer),
                Err(why) => findings.push(format!("testing_criteria[{number}]"), why, Effect::ScorerLeftOut),
            }
        }
    }
    let mut builder = Builder::new(&files, findings, options);
    for (line, text) in (1..).zip(rows.lines()).filter(|(_, text): &(usize, &str)| !text.trim().is_empty()) {
        let place = format!("{file} line {line}");
        if builder.count() >= CASES_MAX {
            return Err(ImportError::TooMany { place });
        }
        let row: Map<String, Value> =
            json::read(text.as_bytes()).map_err(|error| ImportError::invalid(&place, error.to_string()))?;
        let case = row_of(row, &place, builder.findings())?;
        if has_criteria {
            builder.add_case(case);
        } else {
            builder.leave_out(&place, "none of its criteria is supported");
        }
    }
    Ok(builder.finish(suite, name))
}

/// The case of a row.
fn row_of(mut row: Map<String, Value>, place: &str, findings: &mut Findings) -> Result<Case, ImportError> {
    if let Some(item) = row.shift_remove("item") {
        let Value::Object(item) = item else {
            return Err(ImportError::invalid(place, "`item` is not an object; use one with the values of the row"));
        };
        return Ok(Case { variables: item, weight: 1.0, ..Case::default() });
    }
    let Some(input) = row.shift_remove("input") else {
        return Err(ImportError::invalid(place, "has neither `item` nor `input`; use rows of an eval"));
    };
    let mut case = case_of(input);
    let ideal = ["ideal", "expected"].iter().find_map(|key| row.shift_remove(*key));
    match ideal {
        None | Some(Value::Null) => {}
        Some(Value::Array(any)) if !any.is_empty() => {
            // One of several is enough: the set passes from the score that one gives.
            let mut set = Scorer::new(CheckKind::AssertSet, None);
            set.threshold = Some(0.5 / f64::from(u32::try_from(any.len()).unwrap_or(u32::MAX)));
            set.scorers = any.iter().map(|ideal| starts_with(ideal.clone())).collect();
            case.expected = Some(Value::Array(any));
            case.scorers = vec![set];
        }
        Some(ideal) => {
            case.scorers = vec![starts_with(ideal.clone())];
            case.expected = Some(ideal);
        }
    }
    findings.remark_once(
        place,
        "rows do not say how they are graded: an answer must start with the ideal one, as in the class Match; change \
         the scorers if the eval has another class",
    );
    case.metadata = row;
    Ok(case)
}

/// An answer is compared as text, so only texts have a start.
fn starts_with(ideal: Value) -> Scorer {
    match ideal {
        // The value is a template, and an ideal answer is not one.
        Value::String(text) if !text.contains("{{") && !text.contains("{%") => {
            Scorer::new(CheckKind::StartsWith, Some(Value::String(text)))
        }
        other => equals(Some(other)),
    }
}

/// A criterion as a scorer, or why it is not supported.
fn criterion(criterion: &Value, options: ImportOptions<'_>) -> Result<Scorer, String> {
    let text = |key: &str| criterion.get(key).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    if !["string_check", "text_similarity"].contains(&kind) {
        return Err(format!("the criterion `{}` is not supported", short(kind)));
    }
    let (input, reference) = (text("input").unwrap_or_default(), text("reference").unwrap_or_default());
    if !is_output(input) {
        return Err("a criterion of another input than {{sample.output_text}} is not supported".to_owned());
    }
    let value = reference_of(reference)?;
    let mut scorer = if kind == "string_check" {
        let (check, not) = match text("operation").unwrap_or_default() {
            "eq" => (CheckKind::Equals, false),
            "ne" => (CheckKind::Equals, true),
            "like" => (CheckKind::Contains, false),
            "ilike" => (CheckKind::Icontains, false),
            other => return Err(format!("the operation `{}` is not supported", short(other))),
        };
        let mut scorer = Scorer::new(check, Some(value));
        scorer.check.not = not;
        scorer
    } else {
        let check = match text("evaluation_metric").unwrap_or_default() {
            "bleu" => CheckKind::Bleu,
            "gleu" => CheckKind::Gleu,
            "meteor" => CheckKind::Meteor,
            "cosine" => CheckKind::Similar,
            other => return Err(format!("the metric `{}` is not supported", short(other))),
        };
        let mut scorer = Scorer::new(check, Some(value));
        scorer.threshold = criterion.get("pass_threshold").and_then(Value::as_f64);
        if check == CheckKind::Similar {
            let missing = || "the metric `cosine` names no model; import with --embeddings PROVIDER:MODEL".to_owned();
            scorer.model = Some(options.embeddings.cloned().ok_or_else(missing)?);
        }
        if scorer.threshold.is_none() {
            return Err("a criterion without `pass_threshold` is not supported".to_owned());
        }
        scorer
    };
    scorer.metric = text("name").map(str::to_owned);
    check_scorer(&scorer).map_err(|error| error.to_string())?;
    Ok(scorer)
}

fn is_output(template: &str) -> bool {
    template.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim)
        == Some("sample.output_text")
}

/// A template of an eval as one of a scorer: the values of an item are the variables of its case.
fn reference_of(template: &str) -> Result<Value, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inner, next) = after.split_once("}}").unwrap_or((after, ""));
        let name = inner.trim().strip_prefix("item.").unwrap_or_default();
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        if !plain {
            return Err(format!("the template `{{{{{}}}}}` is not supported", short(inner)));
        }
        out.extend([before, "{{", name, "}}"]);
        rest = next;
    }
    out.push_str(rest);
    Ok(Value::String(out))
}
