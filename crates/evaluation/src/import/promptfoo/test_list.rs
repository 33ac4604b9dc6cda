//! The tests of a configuration: in it, in files that it names, and from scenarios.

use serde_json::{Map, Value};

use super::super::table::rows;
use super::super::types::short;
use super::super::{Effect, Findings, ImportError};
use super::files::{Files, extension, is_plain, without_scheme};
use crate::json;
use crate::model::suite::CASES_MAX;
use crate::yaml;

/// A test and its place.
pub(super) type PlacedTest = (String, Map<String, Value>);

/// Collects tests.
pub(super) struct TestList<'a> {
    pub files: &'a Files<'a>,
    pub tests: Vec<PlacedTest>,
    pub findings: &'a mut Findings,
}

impl TestList<'_> {
    /// Adds a test.
    pub(super) fn add(&mut self, place: impl Into<String>, test: Map<String, Value>) -> Result<(), ImportError> {
        let place = place.into();
        if self.tests.len() >= CASES_MAX {
            return Err(ImportError::TooMany { place });
        }
        self.tests.push((place, test));
        Ok(())
    }

    /// Adds the tests of `tests`: a list, or files.
    pub(super) fn tests_of(&mut self, tests: &Value) -> Result<(), ImportError> {
        match tests {
            Value::Null => Ok(()),
            Value::String(path) => self.file(path, "tests"),
            Value::Array(list) => {
                for (number, test) in list.iter().enumerate() {
                    self.one(test, format!("tests[{number}]"))?;
                }
                Ok(())
            }
            Value::Object(generator) if generator.contains_key("path") => self.generator(generator, "tests"),
            _ => Err(ImportError::invalid("tests", "is neither a list nor a file; write a list of tests")),
        }
    }

    fn one(&mut self, test: &Value, place: String) -> Result<(), ImportError> {
        match test {
            Value::String(path) => self.file(path, &place),
            Value::Object(fields) if fields.contains_key("path") && !fields.contains_key("assert") => {
                self.generator(fields, &place)
            }
            Value::Object(fields) => {
                let fields = self.with_variables(fields, &place)?;
                self.add(place, fields)
            }
            _ => Err(ImportError::invalid(place, "is not a test; write a map, for example with `vars` and `assert`")),
        }
    }

    fn generator(&mut self, fields: &Map<String, Value>, place: &str) -> Result<(), ImportError> {
        let path = fields.get("path").and_then(Value::as_str).unwrap_or_default();
        if !fields.contains_key("config") && is_plain(path) {
            return self.file(path, place);
        }
        let what = format!("tests that `{}` generates are not supported", short(path));
        self.findings.push(place, what, Effect::CaseLeftOut);
        Ok(())
    }

    /// The variables of a test that are in files of their own.
    pub(super) fn with_variables(
        &self,
        test: &Map<String, Value>,
        place: &str,
    ) -> Result<Map<String, Value>, ImportError> {
        let paths: Vec<&str> = match test.get("vars") {
            Some(Value::String(path)) => vec![path],
            Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(test.clone()),
        };
        let mut variables = Map::new();
        for path in paths {
            if !is_plain(path) {
                let reason = format!("`vars` names `{}`, which is code or several files; name each", short(path));
                return Err(ImportError::invalid(place, reason));
            }
            match self.files.value(path, place)? {
                Value::Object(fields) => variables.extend(fields),
                _ => return Err(ImportError::invalid(path, "is not a map of variables; write `name: value`")),
            }
        }
        let mut test = test.clone();
        test.insert("vars".to_owned(), Value::Object(variables));
        Ok(test)
    }

    /// Adds the tests of a file.
    fn file(&mut self, path: &str, place: &str) -> Result<(), ImportError> {
        let name = without_scheme(path).to_owned();
        let kind = extension(path);
        if !is_plain(path) || !["csv", "json", "jsonl", "yaml", "yml"].contains(&kind.as_str()) {
            let what =
                format!("tests of `{}` are not supported; name each .csv, .json, .jsonl or .yaml file", short(&name));
            self.findings.push(place, what, Effect::CaseLeftOut);
            return Ok(());
        }
        let text = self.files.text(path, place)?;
        let list = match kind.as_str() {
            "csv" => {
                for row in rows(&text, &name)? {
                    self.add(row.place, row.test)?;
                }
                return Ok(());
            }
            "jsonl" => {
                let mut list = Vec::new();
                for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
                    let test: Value = json::read(text.as_bytes())
                        .map_err(|error| ImportError::invalid(format!("{name} line {line}"), error.to_string()))?;
                    list.push((format!("{name} line {line}"), test));
                }
                list
            }
            _ => {
                let value = yaml::read_any(&text).map_err(|reason| ImportError::invalid(&name, reason))?;
                let list = match value {
                    Value::Array(list) => list,
                    Value::Null => Vec::new(),
                    one => vec![one],
                };
                (0..).zip(list).map(|(number, test): (usize, Value)| (format!("{name}[{number}]"), test)).collect()
            }
        };
        for (place, test) in list {
            match test {
                Value::Object(fields) => {
                    let fields = self.with_variables(&fields, &place)?;
                    self.add(place, fields)?;
                }
                _ => return Err(ImportError::invalid(place, "is not a test; write a map")),
            }
        }
        Ok(())
    }

    /// Adds the tests of scenarios: each test with each configuration.
    pub(super) fn scenarios_of(
        &mut self,
        scenarios: &Value,
        default_test: &Map<String, Value>,
    ) -> Result<(), ImportError> {
        let list = match scenarios {
            Value::Null => return Ok(()),
            Value::Array(list) => list,
            _ => return Err(ImportError::invalid("scenarios", "is not a list; write a list of scenarios")),
        };
        for (number, scenario) in list.iter().enumerate() {
            let place = format!("scenarios[{number}]");
            let read = match scenario {
                Value::String(path) if is_plain(path) => self.files.value(path, &place)?,
                Value::String(path) => {
                    let what = format!("`{}` is code or several files, which is not supported", short(path));
                    self.findings.push(place, what, Effect::CaseLeftOut);
                    continue;
                }
                other => other.clone(),
            };
            let many = match read {
                Value::Array(many) => many,
                one => vec![one],
            };
            for scenario in many {
                self.scenario(&scenario, &place, default_test)?;
            }
        }
        Ok(())
    }

    fn scenario(
        &mut self,
        scenario: &Value,
        place: &str,
        default_test: &Map<String, Value>,
    ) -> Result<(), ImportError> {
        let list = |key: &str| match scenario.get(key) {
            Some(Value::Array(list)) => Ok(list.clone()),
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(_) => Err(ImportError::invalid(format!("{place}.{key}"), "is not a list; write a list")),
        };
        let (configs, mut tests) = (list("config")?, list("tests")?);
        if tests.is_empty() {
            tests.push(Value::Object(Map::new()));
        }
        for (first, config) in configs.iter().enumerate() {
            for (second, test) in tests.iter().enumerate() {
                let place = format!("{place}.config[{first}] with tests[{second}]");
                let (Value::Object(config), Value::Object(test)) = (config, test) else {
                    return Err(ImportError::invalid(place, "is not a test; write a map"));
                };
                let test = self.with_variables(test, &place)?;
                let merged = merged(default_test, config, &test);
                self.add(place, merged)?;
            }
        }
        Ok(())
    }
}

/// A test of a scenario: the defaults, then the configuration, then the test. The assertions of the defaults are added
/// later, as for every test.
fn merged(
    default_test: &Map<String, Value>,
    config: &Map<String, Value>,
    test: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = default_test.clone();
    merged.extend(config.clone());
    merged.extend(test.clone());
    for key in ["vars", "options", "metadata"] {
        let mut all = Map::new();
        for part in [default_test, config, test] {
            if let Some(Value::Object(fields)) = part.get(key) {
                all.extend(fields.clone());
            }
        }
        merged.insert(key.to_owned(), Value::Object(all));
    }
    let assertions: Vec<Value> = [config, test]
        .into_iter()
        .filter_map(|part| part.get("assert").and_then(Value::as_array))
        .flatten()
        .cloned()
        .collect();
    merged.insert("assert".to_owned(), Value::Array(assertions));
    merged
}
