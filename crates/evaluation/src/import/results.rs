//! Results of promptfoo: `promptfoo eval -o results.json`, and its lines in `results.jsonl`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::names::Names;
use super::promptfoo::model;
use super::types::short;
use super::{Findings, ImportError, Unsupported};
use crate::model::evaluation::{Answer, AnswerUsage, CaseResult, CaseVerdict, ScorerResult, Side};
use crate::model::suite::{CASES_MAX, ModelName, SUITE_MODELS_MAX};
use crate::model::usd::Usd;

/// Largest file of results, in bytes.
pub const RESULTS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most results of a file.
const RESULTS_MAX: usize = 1_000_000;
/// Most assertions of one result.
const SCORERS_SHOWN_MAX: usize = 1_000;
/// Longest text of an answer and of a reason, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// The provider of what is not a model of one.
const OTHER_PROVIDER: &str = "promptfoo";

/// Results that were imported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportedResults {
    /// One result for each answer.
    pub results: Vec<CaseResult>,
    /// The names of the cases, in their order: those that the configuration's cases get when it is imported.
    pub cases: Vec<String>,
    /// The models.
    pub models: Vec<ModelName>,
    /// How often a case was run on a model, at most.
    pub repeats: u32,
    /// What the results do not say.
    pub remarks: Vec<Unsupported>,
}

/// Reads results of promptfoo. `prompt` is the label or the ID of one of several prompts; `providers` says which models
/// some providers of the file mean, by their IDs.
///
/// # Errors
/// It is not such a file, it has results of several prompts and `prompt` names none, no result is of one of
/// `providers`, or a limit is exceeded.
pub fn promptfoo_results(
    text: &str,
    prompt: Option<&str>,
    providers: &[(String, ModelName)],
) -> Result<ImportedResults, ImportError> {
    const FILE: &str = "results";
    if text.len() > RESULTS_BYTES_MAX {
        return Err(ImportError::TooLong { file: FILE.to_owned(), max: RESULTS_BYTES_MAX });
    }
    let rows = rows(text)?;
    if rows.len() > RESULTS_MAX {
        return Err(ImportError::invalid(FILE, format!("has more than {RESULTS_MAX} results; split it")));
    }
    let chosen = chosen_prompt(&rows, prompt)?;
    let mut reader = Reader { meant: providers, ..Reader::default() };
    for (number, row) in rows.iter().enumerate() {
        let place = format!("results[{number}]");
        let Value::Object(row) = row else {
            return Err(ImportError::invalid(place, "is not a result of promptfoo"));
        };
        if prompt_of(row).0 == chosen {
            reader.add(row, &place)?;
        }
    }
    if reader.imported.results.is_empty() {
        return Err(ImportError::invalid(FILE, "has no results; run promptfoo eval -o results.json"));
    }
    if let Some((other, _)) = providers.iter().find(|(id, _)| !reader.providers.contains(id)) {
        let there: Vec<String> = reader.providers.iter().take(10).map(|id| format!("`{}`", short(id))).collect();
        let reason = format!("no result is of the provider `{}`; the file has {}", short(other), there.join(", "));
        return Err(ImportError::invalid(FILE, reason));
    }
    reader.imported.remarks = reader.findings.into_list();
    Ok(reader.imported)
}

/// The results in the file: within `results`, or one on each line.
fn rows(text: &str) -> Result<Vec<Value>, ImportError> {
    const EXPECTED: &str = "has no `results`; run promptfoo eval -o results.json";
    let reason = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut file)) => {
            if file.contains_key("success") {
                return Ok(vec![Value::Object(file)]);
            }
            let within = match file.shift_remove("results") {
                Some(Value::Object(mut results)) => results.shift_remove("results"),
                other => other,
            };
            return match within {
                Some(Value::Array(rows)) => Ok(rows),
                _ => Err(ImportError::invalid("results", EXPECTED)),
            };
        }
        Ok(_) => EXPECTED.to_owned(),
        Err(error) => error.to_string(),
    };
    let lines: Result<Vec<Value>, _> =
        text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect();
    match lines {
        Ok(rows) if rows.len() > 1 && rows.iter().all(|row| row.get("success").is_some()) => Ok(rows),
        _ => Err(ImportError::invalid("results", reason)),
    }
}

/// The ID and the label of the prompt of a result.
fn prompt_of(row: &Map<String, Value>) -> (&str, &str) {
    let id = row.get("promptId").and_then(Value::as_str).unwrap_or_default();
    let label = row.get("prompt").and_then(|prompt| prompt.get("label")).and_then(Value::as_str).unwrap_or_default();
    (id, label)
}

/// The ID of the prompt whose results are read.
fn chosen_prompt<'a>(rows: &'a [Value], wanted: Option<&str>) -> Result<&'a str, ImportError> {
    let prompts: BTreeMap<&str, &str> = rows.iter().filter_map(Value::as_object).map(prompt_of).collect();
    let mut fitting =
        prompts.iter().filter(|(id, label)| wanted.is_none_or(|wanted| wanted == **id || wanted == **label));
    match (fitting.next(), fitting.next()) {
        (Some((id, _)), None) => Ok(id),
        (None, _) if prompts.is_empty() => Ok(""),
        _ => {
            let labels: Vec<String> = prompts
                .iter()
                .take(10)
                .map(|(id, label)| format!("`{}`", short(if label.is_empty() { id } else { label })))
                .collect();
            let reason = format!("has {} prompts; name one of {}", prompts.len(), labels.join(", "));
            Err(ImportError::invalid("results", reason))
        }
    }
}

#[derive(Default)]
struct Reader<'a> {
    /// Which models the user says that providers mean.
    meant: &'a [(String, ModelName)],
    /// The IDs of the providers that have results.
    providers: BTreeSet<String>,
    imported: ImportedResults,
    findings: Findings,
    names: Names,
    /// The name of each test, by what it is.
    tests: HashMap<String, String>,
    /// How often a case was run on a model so far.
    repeats: HashMap<(String, ModelName), u32>,
}

impl Reader<'_> {
    fn add(&mut self, row: &Map<String, Value>, place: &str) -> Result<(), ImportError> {
        let nothing = Value::Null;
        let test = row.get("testCase").unwrap_or(&nothing);
        let part = |key: &str| test.get(key).unwrap_or(&nothing);
        let variables = match part("vars") {
            Value::Null => row.get("vars").unwrap_or(&nothing),
            own => own,
        };
        let key = format!("{}\n{variables}\n{}", part("description"), part("assert"));
        let case = if let Some(name) = self.tests.get(&key) {
            name.clone()
        } else {
            if self.imported.cases.len() >= CASES_MAX {
                return Err(ImportError::TooMany { place: place.to_owned() });
            }
            let name = self.names.take(part("description").as_str().unwrap_or_default());
            self.imported.cases.push(name.clone());
            self.tests.insert(key, name.clone());
            name
        };
        let model = self.model(row, place)?;
        let repeat = self.repeats.entry((case.clone(), model.clone())).or_insert(0);
        let number = *repeat;
        *repeat += 1;
        self.imported.repeats = self.imported.repeats.max(*repeat);
        let grading = row.get("gradingResult").unwrap_or(&nothing);
        let failed_call = row.get("failureReason").and_then(Value::as_u64) == Some(2);
        let verdict = match row.get("success").and_then(Value::as_bool) {
            _ if failed_call => CaseVerdict::Error,
            Some(true) => CaseVerdict::Passed,
            Some(false) => CaseVerdict::Failed,
            None => {
                return Err(ImportError::invalid(place, "has no `success`; use results of promptfoo 0.100 or later"));
            }
        };
        let scorers = self.scorers(grading, place);
        let said = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(cut);
        let error = match verdict {
            CaseVerdict::Error => {
                Some(said(row.get("error")).unwrap_or_else(|| "promptfoo reports an error without a reason".to_owned()))
            }
            CaseVerdict::Failed if scorers.is_empty() => said(row.get("error")).or_else(|| said(grading.get("reason"))),
            _ => None,
        };
        let result = CaseResult {
            case,
            model,
            repeat: number,
            side: Side::Candidate,
            verdict,
            score: score(row.get("score")),
            error,
            answer: answer(row),
            scorers,
            judging: Usd::default(),
            judges: Vec::new(),
        };
        self.imported.results.push(result);
        Ok(())
    }

    /// The model that answered: the one that the user says, else the one that the provider names. A provider that names
    /// none is `promptfoo:NAME`.
    fn model(&mut self, row: &Map<String, Value>, place: &str) -> Result<ModelName, ImportError> {
        let provider = row.get("provider").unwrap_or(&Value::Null);
        let id = provider.as_str().or_else(|| provider.get("id").and_then(Value::as_str)).unwrap_or("unknown");
        let other = || {
            let clean: String = id.chars().map(|c| if c.is_control() { ' ' } else { c }).take(50).collect();
            let model = if clean.is_empty() { "unknown".to_owned() } else { clean };
            ModelName { provider: OTHER_PROVIDER.to_owned(), model }
        };
        if !self.providers.contains(id) {
            self.providers.insert(id.to_owned());
        }
        let meant = self.meant.iter().find(|(from, _)| from == id).map(|(_, model)| model.clone());
        let model = meant.or_else(|| model(id)).unwrap_or_else(other);
        if !self.imported.models.contains(&model) {
            if self.imported.models.len() >= SUITE_MODELS_MAX {
                let reason = format!("the results have more than {SUITE_MODELS_MAX} models; import fewer at a time");
                return Err(ImportError::invalid(place, reason));
            }
            self.imported.models.push(model.clone());
        }
        Ok(model)
    }

    /// What each assertion says. The assertions of an `assert-set` follow it, and are part of it.
    fn scorers(&mut self, grading: &Value, place: &str) -> Vec<ScorerResult> {
        let mut scorers = Vec::new();
        let mut within = 0;
        for component in grading.get("componentResults").and_then(Value::as_array).into_iter().flatten() {
            if within > 0 {
                within -= 1;
                continue;
            }
            let set = component.get("metadata").and_then(|metadata| metadata.get("assertionSet"));
            let assertion = component.get("assertion").unwrap_or(&Value::Null);
            let kind = match set {
                Some(set) => {
                    within = set.get("assertionCount").and_then(Value::as_u64).unwrap_or(0);
                    "assert-set"
                }
                None => assertion.get("type").and_then(Value::as_str).unwrap_or("assertion"),
            };
            if kind.trim_start_matches("not-") == "llm-rubric" {
                self.findings.remark_once(place, "promptfoo counts an answer as passed if its judge leaves out `pass`");
            }
            if scorers.len() >= SCORERS_SHOWN_MAX {
                self.findings.remark_once(place, "of results with more than 1000 assertions, 1000 are imported");
                break;
            }
            let text = |key: &str| set.unwrap_or(assertion).get(key).and_then(Value::as_str).map(cut);
            let passed = component.get("pass").and_then(Value::as_bool).unwrap_or(false);
            let weight = assertion.get("weight").and_then(Value::as_f64).filter(|weight| weight.is_finite());
            scorers.push(ScorerResult {
                scorer: short(kind),
                metric: text("metric"),
                weight: weight.unwrap_or(1.0).max(0.0),
                verdict: if passed { CaseVerdict::Passed } else { CaseVerdict::Failed },
                score: score(component.get("score")),
                reason: component.get("reason").and_then(Value::as_str).map(cut).unwrap_or_default(),
            });
        }
        scorers
    }
}

/// A score, from 0 to 1.
fn score(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 1.0)
}

/// The start of a text, as long as a text may be.
fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

fn answer(row: &Map<String, Value>) -> Option<Answer> {
    let response = row.get("response")?;
    let text = match response.get("output")? {
        Value::Null => return None,
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    };
    let usage = response.get("tokenUsage").or_else(|| row.get("tokenUsage")).unwrap_or(&Value::Null);
    let tokens = |key: &str| usage.get(key).and_then(Value::as_u64).filter(|count| *count > 0);
    let cached = response.get("cached").and_then(Value::as_bool).unwrap_or(false);
    let latency = row.get("latencyMs").and_then(Value::as_f64);
    let cost = row.get("cost").or_else(|| response.get("cost")).and_then(Value::as_f64);
    Some(Answer {
        text,
        finish_reason: response.get("finishReason").and_then(Value::as_str).map(short),
        refused: response.get("isRefusal").and_then(Value::as_bool).unwrap_or(false),
        usage: AnswerUsage {
            input_tokens: tokens("prompt"),
            output_tokens: tokens("completion"),
            reasoning_tokens: usage
                .get("completionDetails")
                .and_then(|details| details.get("reasoning"))
                .and_then(Value::as_u64)
                .filter(|count| *count > 0),
            cost: cost.and_then(dollars),
            ..AnswerUsage::default()
        },
        // What promptfoo kept took as long as reading its cache.
        latency_ms: latency.filter(|_| !cached).map(milliseconds).unwrap_or_default(),
        cached,
        ..Answer::default()
    })
}

/// An amount of dollars; absent if it is not one.
fn dollars(amount: f64) -> Option<Usd> {
    const MOST: f64 = 1e9;
    let fits = (0.0..=MOST).contains(&amount);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1e21")]
    fits.then(|| Usd::from_pico((amount * 1e12).round() as u128))
}

fn milliseconds(number: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1e12")]
    let whole = number.clamp(0.0, 1e12).round() as u64;
    whole
}
