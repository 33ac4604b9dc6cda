//! Assertions of promptfoo as scorers.

use serde_json::{Map, Value};

use super::super::types::{check, short};
use super::super::{Findings, ImportError, ImportOptions};
use super::files::{Files, extension, is_plain};
use super::provider;
use crate::check::check_scorer;
use crate::model::suite::{CheckKind, ModelName, Scorer};
use crate::yaml;

/// Assertions within `assert-set`, and in one list.
const ASSERTIONS_MAX: usize = 1_000;

/// The scorers of a list of assertions.
#[derive(Clone, Debug, Default)]
pub(super) struct Scorers {
    /// Those that are supported.
    pub list: Vec<Scorer>,
    /// The places of those that are not, and why.
    pub unsupported: Vec<(String, String)>,
}

/// Reads assertions.
pub(super) struct Assertions<'a> {
    pub files: &'a Files<'a>,
    /// The model that judges, where an assertion names none.
    pub judge: Option<&'a Value>,
    /// Names models where the file names none.
    pub options: ImportOptions<'a>,
}

impl Assertions<'_> {
    /// The scorers of a list.
    pub(super) fn list(&self, list: &Value, place: &str, findings: &mut Findings) -> Result<Scorers, ImportError> {
        let items = match list {
            Value::Null => return Ok(Scorers::default()),
            Value::Array(items) => items,
            _ => return Err(ImportError::invalid(place, "is not a list of assertions; write a list")),
        };
        if items.len() > ASSERTIONS_MAX {
            return Err(ImportError::invalid(place, format!("has more than {ASSERTIONS_MAX} assertions; split it")));
        }
        let mut scorers = Scorers::default();
        for (number, item) in items.iter().enumerate() {
            let place = format!("{place}[{number}]");
            match self.one(item, &place, findings)? {
                Ok(scorer) => scorers.list.push(scorer),
                Err(why) => scorers.unsupported.push((place, why)),
            }
        }
        Ok(scorers)
    }

    /// One scorer, or why it is not supported.
    fn one(&self, item: &Value, place: &str, findings: &mut Findings) -> Result<Result<Scorer, String>, ImportError> {
        let Value::Object(fields) = item else {
            return Err(ImportError::invalid(place, "is not an assertion; write a map with `type`"));
        };
        let Some(Value::String(name)) = fields.get("type") else {
            return Err(ImportError::invalid(place, "has no `type`; add one, for example `type: contains`"));
        };
        let Some(check) = check(name) else {
            return Ok(Err(format!("the assertion type `{}` is not supported", short(name))));
        };
        for key in ["transform", "contextTransform", "rubricPrompt"] {
            if fields.get(key).is_some_and(|value| !value.is_null()) {
                return Ok(Err(format!("`{key}` is not supported")));
            }
        }
        let known = ["type", "value", "threshold", "weight", "metric", "provider", "config", "assert"];
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            findings.remark(place, format!("unknown key `{}` is ignored", short(key)));
        }
        let number = |key: &str| match fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(ImportError::invalid(place, format!("`{key}` is not a number; write one"))),
            },
        };
        let value = match self.value(check.kind, fields.get("value"), place)? {
            Ok(value) => value,
            Err(why) => return Ok(Err(why)),
        };
        let model = match self.model(check.kind, fields.get("provider")) {
            Ok(model) => model,
            Err(why) => return Ok(Err(why)),
        };
        let metric = fields.get("metric").and_then(Value::as_str).map(str::to_owned);
        if metric.as_ref().is_some_and(|metric| metric.contains("{{")) {
            findings.remark(place, "variables in the name of a metric are not filled in");
        }
        let mut scorer = Scorer {
            check,
            value,
            threshold: number("threshold")?,
            weight: number("weight")?.unwrap_or(1.0),
            metric,
            model,
            scorers: Vec::new(),
            config: fields.get("config").and_then(Value::as_object).cloned().unwrap_or_default(),
        };
        match check.kind {
            CheckKind::AssertSet => {
                let within = self.set(fields, place, findings)?;
                if let Some((place, why)) = within.unsupported.into_iter().next() {
                    return Ok(Err(format!("{why}, in {place}")));
                }
                scorer.scorers = within.list;
            }
            CheckKind::LlmRubric => findings.remark_once(
                place,
                "a judge that answers without `pass` gives no verdict here; promptfoo counts the answer as passed",
            ),
            CheckKind::SelectBest => findings.remark_once(
                place,
                "select-best compares with the answer of the baseline here; promptfoo compares its providers",
            ),
            _ => {}
        }
        if let Err(why) = check_scorer(&scorer) {
            return Ok(Err(format!("`{}`: {why}", short(name))));
        }
        Ok(Ok(scorer))
    }

    /// The assertions of an `assert-set`, which has no other set in it.
    fn set(&self, fields: &Map<String, Value>, place: &str, findings: &mut Findings) -> Result<Scorers, ImportError> {
        let list = fields.get("assert").unwrap_or(&Value::Null);
        let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return Err(ImportError::invalid(place, "has no assertions; add `assert` with a list"));
        }
        let is_set = |item: &Value| item.get("type").and_then(Value::as_str).is_some_and(|name| name == "assert-set");
        if items.iter().any(is_set) {
            return Err(ImportError::invalid(place, "has an assert-set within it; write its assertions themselves"));
        }
        self.list(list, &format!("{place}.assert"), findings)
    }

    /// The value that is compared with, or why it is not supported.
    fn value(
        &self,
        kind: CheckKind,
        value: Option<&Value>,
        place: &str,
    ) -> Result<Result<Option<Value>, String>, ImportError> {
        let read = match value {
            None | Some(Value::Null) => return Ok(Ok(None)),
            Some(Value::String(text)) => self.text(text, place)?,
            Some(Value::Array(items)) => {
                let mut read = Vec::new();
                for item in items {
                    match item {
                        Value::String(text) => match self.text(text, place)? {
                            Ok(value) => read.push(value),
                            Err(why) => return Ok(Err(why)),
                        },
                        other => read.push(other.clone()),
                    }
                }
                Ok(Value::Array(read))
            }
            Some(other) => Ok(other.clone()),
        };
        Ok(match (kind, read) {
            (CheckKind::IsJson | CheckKind::ContainsJson, Ok(Value::String(text))) => match yaml::read_any(&text) {
                Ok(Value::Null) => Ok(None),
                Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Some(schema)),
                Ok(_) | Err(_) => Err("its value is not a JSON Schema".to_owned()),
            },
            (_, read) => read.map(Some),
        })
    }

    /// A text, or the file that it names.
    fn text(&self, text: &str, place: &str) -> Result<Result<Value, String>, ImportError> {
        if text.starts_with("package:") {
            return Ok(Err("code of a package is not supported".to_owned()));
        }
        if text.starts_with("file://") {
            if !is_plain(text) {
                return Ok(Err(format!("`{}` is code or several files, which is not supported", short(text))));
            }
            return Ok(match extension(text).as_str() {
                "json" | "yaml" | "yml" => Ok(self.files.value(text, place)?),
                "txt" => Ok(Value::String(self.files.text(text, place)?.trim().to_owned())),
                _ => Err(format!("files like `{}` are not supported; use .json, .yaml or .txt", short(text))),
            });
        }
        Ok(match odd_template(text) {
            Some(part) => Err(format!("the template `{part}` is not supported; use variables such as {{{{name}}}}")),
            None => Ok(Value::String(text.to_owned())),
        })
    }

    /// The model that judges or embeds, or why it is not supported.
    fn model(&self, kind: CheckKind, own: Option<&Value>) -> Result<Option<ModelName>, String> {
        let asks = match kind {
            CheckKind::Similar => "embedding",
            CheckKind::LlmRubric
            | CheckKind::GEval
            | CheckKind::Factuality
            | CheckKind::ClosedQa
            | CheckKind::SelectBest => "text",
            _ => return Ok(None),
        };
        let own = own.filter(|own| !own.is_null());
        // What is set for all assertions may be for the other kind.
        let shared = self.judge.and_then(|judge| match judge.get(asks) {
            Some(named) => Some(named),
            None if judge.get("text").or_else(|| judge.get("embedding")).is_some() => None,
            None => (asks == "text").then_some(judge),
        });
        let own = own.map(|own| own.get(asks).unwrap_or(own));
        let Some(named) = own.or(shared) else {
            let (given, option) = match asks {
                "text" => (self.options.judge, "--judge"),
                _ => (self.options.embeddings, "--embeddings"),
            };
            let missing = || {
                format!(
                    "`{}` names no model: add `provider` to it or to the `options` of `defaultTest`, or import with {option} \
                     PROVIDER:MODEL",
                    kind.as_str()
                )
            };
            return given.cloned().map(Some).ok_or_else(missing);
        };
        let id = provider::id(named).map(|(id, _)| id);
        match id.and_then(provider::model) {
            Some(model) => Ok(Some(model)),
            None => Err(format!("the provider `{}` is not supported", short(id.unwrap_or("(not a name)")))),
        }
    }
}

/// The first part of a template that is more than a variable.
pub(super) fn odd_template(text: &str) -> Option<String> {
    if let Some(at) = ["{%", "{#"].into_iter().filter_map(|open| text.find(open)).min() {
        return Some(short(text.get(at..).unwrap_or_default()));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (inner, next) = after.split_once("}}").unwrap_or((after, ""));
        let name = inner.trim();
        let is_variable = !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
            && !name.starts_with("env.");
        if !is_variable {
            return Some(short(&format!("{{{{{inner}}}}}")));
        }
        rest = next;
    }
    None
}
