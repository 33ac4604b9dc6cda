//! Tests of promptfoo as cases.

use serde_json::{Map, Value};

use super::super::names::Names;
use super::super::types::short;
use super::super::{Effect, Findings, ImportError, ImportOptions, Imported};
use super::assertion::{Assertions, Scorers, odd_template};
use super::files::{Files, extension, is_plain};
use super::test_list::PlacedTest;
use crate::model::suite::{CASES_MAX, Case, Scorer, Suite};

/// Options that change what is tested, and that have no counterpart.
const OPTIONS_UNSUPPORTED: [&str; 8] =
    ["prefix", "suffix", "rubricPrompt", "factuality", "transform", "postprocess", "transformVars", "storeOutputAs"];
/// Options that are used, or of no effect.
const OPTIONS_KNOWN: [&str; 5] =
    ["provider", "disableVarExpansion", "disableConversationVar", "disableDefaultAsserts", "runSerially"];

/// What applies to every test.
#[derive(Default)]
struct Defaults {
    variables: Map<String, Value>,
    options: Map<String, Value>,
    metadata: Map<String, Value>,
    assertions: Value,
    threshold: Option<f64>,
    /// The scorers, if they are those of the suite.
    shared: Option<Scorers>,
    /// Whether the suite holds the variables.
    variables_shared: bool,
    /// Something that no case can be imported with.
    blocked: bool,
}

/// Builds cases from tests.
pub(in super::super) struct Builder<'a> {
    files: &'a Files<'a>,
    findings: Findings,
    options: ImportOptions<'a>,
    names: Names,
    cases: Vec<Case>,
    left_out: usize,
    defaults: Defaults,
}

impl<'a> Builder<'a> {
    pub(in super::super) fn new(files: &'a Files<'a>, findings: Findings, options: ImportOptions<'a>) -> Self {
        let names = Names::default();
        Self { files, findings, options, names, cases: Vec::new(), left_out: 0, defaults: Defaults::default() }
    }

    /// Takes what applies to every test; what it can, the suite holds.
    pub(super) fn defaults(
        &mut self,
        mut test: Map<String, Value>,
        tests: &[PlacedTest],
        suite: &mut Suite,
    ) -> Result<(), ImportError> {
        const PLACE: &str = "defaultTest";
        let map = |value: Option<Value>| match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let mut blocked = self.blocked(&test, PLACE);
        let threshold = self.threshold(&test, PLACE)?;
        blocked |= threshold.is_err();
        let options = map(test.shift_remove("options"));
        blocked |= self.blocked_options(&options, PLACE);
        let assertions = test.shift_remove("assert").unwrap_or_default();
        let own = |(_, test): &PlacedTest| {
            let options = test.get("options");
            options
                .is_some_and(|options| is_true(options, "disableDefaultAsserts") || options.get("provider").is_some())
        };
        let judge = options.get("provider");
        let shared = if tests.iter().any(own) || options.get("disableDefaultAsserts") == Some(&Value::Bool(true)) {
            None
        } else {
            let reader = Assertions { files: self.files, judge, options: self.options };
            Some(reader.list(&assertions, "defaultTest.assert", &mut self.findings)?)
        };
        if let Some(scorers) = &shared {
            suite.scorers.clone_from(&scorers.list);
        }
        let variables = map(test.shift_remove("vars"));
        let whole = |value: &Value| match value {
            Value::String(text) => !text.starts_with("file://") && odd_value(text).is_none(),
            Value::Array(items) => !items.first().is_some_and(Value::is_string),
            _ => true,
        };
        let variables_shared = variables.values().all(whole);
        if variables_shared {
            suite.variables = variables.clone().into_iter().map(|(name, value)| (name, without_break(value))).collect();
        }
        let threshold = threshold.unwrap_or(None);
        suite.threshold = threshold;
        self.defaults = Defaults {
            variables,
            options,
            metadata: map(test.shift_remove("metadata")),
            assertions,
            threshold,
            shared,
            variables_shared,
            blocked,
        };
        if let Some(shared) = self.defaults.shared.as_mut() {
            // The list of findings has them once, not for each case.
            let allow = self.options.allow_unsupported;
            let effect = if allow { Effect::ScorerLeftOut } else { Effect::CaseLeftOut };
            for (place, why) in &shared.unsupported {
                self.findings.push(place, why, effect);
            }
        }
        Ok(())
    }

    /// Adds the cases of a test: one, or one for each combination of values.
    pub(in super::super) fn add(&mut self, place: &str, test: &Map<String, Value>) -> Result<(), ImportError> {
        let mut blocked = self.defaults.blocked | self.blocked(test, place);
        let mut options = self.defaults.options.clone();
        if let Some(Value::Object(own)) = test.get("options") {
            blocked |= self.blocked_options(own, place);
            options.extend(own.clone());
        }
        let threshold = self.threshold(test, place)?;
        blocked |= threshold.is_err();
        let scorers = self.scorers(test, &options, place)?;
        blocked |= scorers.is_none();
        let mut metadata = self.defaults.metadata.clone();
        if let Some(Value::Object(own)) = test.get("metadata") {
            metadata.extend(own.clone());
        }
        let expand = options.get("disableVarExpansion") != Some(&Value::Bool(true));
        let description = test.get("description").and_then(Value::as_str).unwrap_or_default();
        for variables in self.combinations(test.get("vars"), expand, place)? {
            if self.cases.len() + self.left_out >= CASES_MAX {
                return Err(ImportError::TooMany { place: place.to_owned() });
            }
            let name = self.names.take(description);
            let variables = if blocked { None } else { self.variables(variables, place)? };
            let (Some(variables), Some(scorers)) = (variables, &scorers) else {
                self.left_out += 1;
                continue;
            };
            self.cases.push(Case {
                name,
                variables,
                weight: 1.0,
                scorers: scorers.clone(),
                threshold: threshold.unwrap_or(None).filter(|own| Some(*own) != self.defaults.threshold),
                metadata: metadata.clone(),
                ..Case::default()
            });
        }
        Ok(())
    }

    /// Adds a case that is one already.
    pub(in super::super) fn add_case(&mut self, case: Case) {
        let name = self.names.take(&case.name);
        self.cases.push(Case { name, ..case });
    }

    /// Leaves out a case.
    pub(in super::super) fn leave_out(&mut self, place: &str, what: impl Into<String>) {
        self.findings.push(place, what, Effect::CaseLeftOut);
        self.left_out += 1;
    }

    /// How many cases there are, those that were left out included.
    pub(in super::super) fn count(&self) -> usize {
        self.cases.len() + self.left_out
    }

    /// What is not imported as it is, so far.
    pub(in super::super) fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }

    /// The suite, with the cases.
    pub(in super::super) fn finish(mut self, suite: Suite, name: Option<String>) -> Imported {
        let unchecked = self.cases.iter().filter(|case| case.scorers.is_empty()).count();
        if suite.scorers.is_empty() && unchecked > 0 {
            let what = format!("{unchecked} cases have no scorer: they pass whatever the answer is; add scorers");
            self.findings.remark("suite", what);
        }
        let suite = Suite { cases: self.cases, ..suite };
        Imported { suite, name, left_out: self.left_out, unsupported: self.findings.into_list() }
    }

    /// The scorers of a case besides those of the suite; `None` if the case cannot stay.
    fn scorers(
        &mut self,
        test: &Map<String, Value>,
        options: &Map<String, Value>,
        place: &str,
    ) -> Result<Option<Vec<Scorer>>, ImportError> {
        let assertions = Assertions { files: self.files, judge: options.get("provider"), options: self.options };
        let own = test.get("assert").unwrap_or(&Value::Null);
        let own = assertions.list(own, &format!("{place}.assert"), &mut self.findings)?;
        let allow = self.options.allow_unsupported;
        let default = match &self.defaults.shared {
            Some(shared) => shared,
            None if options.get("disableDefaultAsserts") == Some(&Value::Bool(true)) => &Scorers::default(),
            None => &assertions.list(&self.defaults.assertions, "defaultTest.assert", &mut self.findings)?,
        };
        let lost = !own.unsupported.is_empty() || !default.unsupported.is_empty();
        // A case that loses its own scorers must have one of its own left: the defaults say nothing about it.
        let checked = if own.unsupported.is_empty() { own.list.len() + default.list.len() } else { own.list.len() };
        let stays = !lost || allow && checked > 0;
        let effect = if stays { Effect::ScorerLeftOut } else { Effect::CaseLeftOut };
        // Those of the suite are in the findings already.
        let listed = if self.defaults.shared.is_some() { [].iter() } else { default.unsupported.iter() };
        for (place, why) in listed.chain(&own.unsupported) {
            self.findings.push(place, why, effect);
        }
        let mut all = if self.defaults.shared.is_some() { Vec::new() } else { default.list.clone() };
        all.extend(own.list);
        Ok(stays.then_some(all))
    }

    /// Whether a test has something that it cannot be imported with.
    fn blocked(&mut self, test: &Map<String, Value>, place: &str) -> bool {
        let mut blocked = false;
        for (key, _) in test.iter().filter(|(_, value)| !value.is_null()) {
            match key.as_str() {
                "description" | "vars" | "assert" | "options" | "threshold" | "metadata" => {}
                "providerOutput" | "assertScoringFunction" => {
                    self.findings.push(place, format!("`{key}` is not supported"), Effect::CaseLeftOut);
                    blocked = true;
                }
                "provider" | "providers" => {
                    self.findings
                        .remark(place, format!("`{key}` is ignored: the case runs on the models of the suite"));
                }
                "prompts" => self.findings.remark(place, "`prompts` is ignored: the case runs on every version"),
                _ => self.findings.remark(place, format!("unknown key `{}` is ignored", short(key))),
            }
        }
        blocked
    }

    fn blocked_options(&mut self, options: &Map<String, Value>, place: &str) -> bool {
        let mut blocked = false;
        for (key, value) in options {
            if value.is_null() || value.as_str().is_some_and(str::is_empty) || OPTIONS_KNOWN.contains(&key.as_str()) {
                continue;
            }
            if OPTIONS_UNSUPPORTED.contains(&key.as_str()) {
                let what = format!("the option `{key}` is not supported");
                self.findings.push(place, what, Effect::CaseLeftOut);
                blocked = true;
            } else if key == "repeat" {
                self.findings.remark(place, "the option `repeat` is ignored: repeats are set for the suite");
            } else {
                let what = format!("the option `{}` is ignored: the version of the prompt has parameters", short(key));
                self.findings.remark(place, what);
            }
        }
        blocked
    }

    /// The threshold of a test; an error is in the findings.
    fn threshold(&mut self, test: &Map<String, Value>, place: &str) -> Result<Result<Option<f64>, ()>, ImportError> {
        match test.get("threshold") {
            None | Some(Value::Null) => Ok(Ok(None)),
            Some(value) => match value.as_f64() {
                Some(number) if (0.0..=1.0).contains(&number) => Ok(Ok(Some(number))),
                Some(number) => {
                    let what = format!("the threshold {number} is not supported; use a number from 0 to 1");
                    self.findings.push(place, what, Effect::CaseLeftOut);
                    Ok(Err(()))
                }
                None => Err(ImportError::invalid(place, "`threshold` is not a number; write one")),
            },
        }
    }

    /// Every combination of the values of variables that have several.
    fn combinations(
        &self,
        own: Option<&Value>,
        expand: bool,
        place: &str,
    ) -> Result<Vec<Map<String, Value>>, ImportError> {
        let mut variables = if self.defaults.variables_shared { Map::new() } else { self.defaults.variables.clone() };
        match own {
            None | Some(Value::Null) => {}
            Some(Value::Object(own)) => variables.extend(own.clone()),
            Some(_) => return Err(ImportError::invalid(place, "`vars` is not a map; write `name: value`")),
        }
        let mut combinations = vec![Map::new()];
        for (name, value) in variables {
            let values = match value {
                Value::Array(values) if expand && values.first().is_some_and(Value::is_string) => values,
                one => vec![one],
            };
            if combinations.len().saturating_mul(values.len()) > CASES_MAX {
                return Err(ImportError::TooMany { place: place.to_owned() });
            }
            let mut next = Vec::with_capacity(combinations.len() * values.len());
            for combination in &combinations {
                for value in &values {
                    let mut combination = combination.clone();
                    combination.insert(name.clone(), value.clone());
                    next.push(combination);
                }
            }
            combinations = next;
        }
        Ok(combinations)
    }

    /// The variables of a case, with the texts of files; `None` if one is not supported.
    fn variables(
        &mut self,
        variables: Map<String, Value>,
        place: &str,
    ) -> Result<Option<Map<String, Value>>, ImportError> {
        let mut read = Map::new();
        for (name, value) in variables {
            let value = match value {
                Value::String(text) if text.starts_with("file://") => {
                    match self.variable_file(&text, &format!("{place}.vars.{}", short(&name)))? {
                        Ok(text) => Value::String(text),
                        Err(what) => {
                            self.findings.push(format!("{place}.vars.{}", short(&name)), what, Effect::CaseLeftOut);
                            return Ok(None);
                        }
                    }
                }
                other => other,
            };
            if let Value::String(text) = &value
                && let Some(part) = odd_value(text)
            {
                let what = format!("the template `{part}` in a value is not supported; write the value");
                self.findings.push(format!("{place}.vars.{}", short(&name)), what, Effect::CaseLeftOut);
                return Ok(None);
            }
            read.insert(name, without_break(value));
        }
        Ok(Some(read))
    }

    /// The text of a file as a value, or why it is not supported.
    fn variable_file(&self, path: &str, place: &str) -> Result<Result<String, String>, ImportError> {
        let binary = [
            "pdf", "png", "jpg", "jpeg", "gif", "webp", "bmp", "svg", "mp3", "wav", "ogg", "m4a", "mp4", "webm", "mov",
        ];
        if !is_plain(path) || binary.contains(&extension(path).as_str()) {
            let what = format!("`{}` is code, several files or not a text, which is not supported", short(path));
            return Ok(Err(what));
        }
        if ["yaml", "yml"].contains(&extension(path).as_str()) {
            return Ok(Ok(self.files.value(path, place)?.to_string()));
        }
        Ok(Ok(self.files.text(path, place)?.trim().to_owned()))
    }
}

fn is_true(options: &Value, key: &str) -> bool {
    options.get(key) == Some(&Value::Bool(true))
}

/// A template in a value, which promptfoo would fill in.
fn odd_value(text: &str) -> Option<String> {
    match text.find("{{") {
        Some(at) => Some(short(text.get(at..).unwrap_or_default())),
        None => odd_template(text),
    }
}

/// A text without the line break at its end, as promptfoo uses it.
fn without_break(value: Value) -> Value {
    match value {
        Value::String(text) if text.ends_with('\n') => {
            Value::String(text.strip_suffix('\n').unwrap_or_default().to_owned())
        }
        other => other,
    }
}
