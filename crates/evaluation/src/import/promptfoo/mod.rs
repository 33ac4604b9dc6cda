//! Configurations of promptfoo as suites: `promptfooconfig.yaml`, unchanged.
//!
//! Tests are expanded as promptfoo expands them: defaults, scenarios, lists of values. What promptfoo takes from its
//! own configuration and a registry has already (prompts, parameters of models) is ignored with a remark.

mod assertion;
mod case;
mod files;
mod provider;
mod test_list;

use std::io;

use serde_json::{Map, Value};

pub(super) use self::case::Builder;
pub(super) use self::files::Files;
use self::files::References;
pub(super) use self::provider::model;
use self::test_list::TestList;
use super::types::short;
use super::{Effect, Findings, ImportError, ImportOptions, Imported, within_limit};
use crate::model::suite::{ModelName, REPEATS_MAX, Suite};
use crate::yaml;

/// Keys that say nothing about what is tested.
const OF_NO_EFFECT: [&str; 9] = [
    "$schema",
    "assertionTemplates",
    "outputPath",
    "sharing",
    "writeLatestResults",
    "metadata",
    "tags",
    "redteam",
    "cache",
];

/// Reads a configuration of promptfoo. `read` returns the text of a file that it names, by its path from the folder of
/// the configuration.
///
/// # Errors
/// The configuration is not YAML or JSON, contradicts its form, names a file that cannot be read, or exceeds a limit.
pub fn promptfoo(
    config: &str,
    read: &dyn Fn(&str) -> io::Result<String>,
    options: ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    within_limit(config, "the configuration")?;
    let root = yaml::read_any(config).map_err(|reason| ImportError::invalid("configuration", reason))?;
    let Value::Object(fields) = &root else {
        return Err(ImportError::invalid("configuration", "is not a map of keys; write `key: value`"));
    };
    let files = Files::new(read);
    let references = References::new(&files);
    let mut findings = Findings::default();
    let part = |key: &str| match fields.get(key) {
        Some(value) => references.replace(value, &root, key),
        None => Ok(Value::Null),
    };
    remarks(fields, &mut findings);
    let mut suite = Suite { repeats: 1, ..Suite::default() };
    if let Some(Value::String(description)) = fields.get("description") {
        suite.description.clone_from(description);
    }
    let providers = fields.get("providers").or_else(|| fields.get("targets")).unwrap_or(&Value::Null);
    suite.models = models(providers, &files, &mut findings)?;
    for key in ["evaluateOptions", "commandLineOptions"] {
        run_options(key, fields.get(key), &mut suite, &mut findings)?;
    }
    let default_test = match part("defaultTest")? {
        Value::Null => Map::new(),
        Value::Object(fields) => fields,
        Value::String(path) => match files.value(&path, "defaultTest")? {
            Value::Object(fields) => fields,
            _ => return Err(ImportError::invalid(path, "is not a test; write a map")),
        },
        _ => return Err(ImportError::invalid("defaultTest", "is not a test; write a map")),
    };
    let mut tests = TestList { files: &files, tests: Vec::new(), findings: &mut findings };
    let default_test = tests.with_variables(&default_test, "defaultTest")?;
    let named = part("tests")?;
    tests.tests_of(&named)?;
    let scenarios = part("scenarios")?;
    let none = named.is_null() || named.as_array().is_some_and(Vec::is_empty);
    if none && scenarios.is_null() {
        tests.add("tests", Map::new())?;
    }
    tests.scenarios_of(&scenarios, &default_test)?;
    let tests = tests.tests;
    let mut builder = Builder::new(&files, findings, options);
    builder.defaults(default_test, &tests, &mut suite)?;
    for (place, test) in &tests {
        builder.add(place, test)?;
    }
    Ok(builder.finish(suite, None))
}

/// Remarks on keys that are not used.
fn remarks(fields: &Map<String, Value>, findings: &mut Findings) {
    let used = [
        "description",
        "providers",
        "targets",
        "evaluateOptions",
        "commandLineOptions",
        "defaultTest",
        "tests",
        "scenarios",
    ];
    for key in fields.keys().map(String::as_str).filter(|key| !used.contains(key) && !OF_NO_EFFECT.contains(key)) {
        match key {
            "prompts" => findings.remark(key, "not imported: the prompt comes from the registry"),
            "env" => findings.remark(
                key,
                "not imported: the settings of the primary name the providers and the variables with their keys",
            ),
            "derivedMetrics" => {
                findings.remark(key, "not imported: there are no metrics that are computed from others");
            }
            "nunjucksFilters" => findings.remark(key, "not imported: assertions that use such filters are left out"),
            "extensions" => findings.remark(key, "not imported: no code runs before or after cases"),
            "tracing" => findings.remark(key, "not imported: applications report traces to the registry"),
            _ => findings.remark(key, format!("unknown key `{}` is ignored", short(key))),
        }
    }
    if fields.get("redteam").is_some_and(|value| !value.is_null()) {
        findings.remark("redteam", "not imported: no attacks are generated");
    }
}

/// The models of a list of providers.
fn models(providers: &Value, files: &Files<'_>, findings: &mut Findings) -> Result<Vec<ModelName>, ImportError> {
    let mut models = Vec::new();
    let one = std::slice::from_ref(providers);
    let list = match providers {
        Value::Null => return Ok(models),
        Value::Array(list) => list.as_slice(),
        _ => one,
    };
    for (number, named) in list.iter().enumerate() {
        let place = format!("providers[{number}]");
        if let Value::String(path) = named
            && path.starts_with("file://")
            && ["yaml", "yml", "json"].contains(&files::extension(path).as_str())
        {
            let within = files.value(path, &place)?;
            let many = matches!(&within, Value::Array(list) if list.iter().any(is_file));
            if many || is_file(&within) {
                return Err(ImportError::invalid(place, "names a file that names another; name the providers"));
            }
            models.extend(self::models(&within, files, findings)?);
            continue;
        }
        let Some((id, settings)) = provider::id(named) else {
            findings.remark(place, "names no provider; set `models` of the suite");
            continue;
        };
        match model(id) {
            Some(model) if settings => {
                findings.remark(place, "its settings are not imported: the version of the prompt has the parameters");
                models.push(model);
            }
            Some(model) => models.push(model),
            None => findings.remark(
                place,
                format!(
                    "the provider `{}` is not supported; set `models` of the suite, or leave it to the model that a version names",
                    short(id)
                ),
            ),
        }
    }
    let mut seen = std::collections::HashSet::new();
    models.retain(|model| seen.insert(model.clone()));
    Ok(models)
}

fn is_file(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("file://"))
}

/// How often each case is run; other options are of no effect.
fn run_options(
    place: &str,
    options: Option<&Value>,
    suite: &mut Suite,
    findings: &mut Findings,
) -> Result<(), ImportError> {
    let Some(Value::Object(options)) = options else { return Ok(()) };
    let mut ignored = Vec::new();
    for (key, value) in options {
        if key != "repeat" {
            ignored.push(short(key));
            continue;
        }
        let repeats = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let Some(repeats) = repeats.filter(|number| (1..=REPEATS_MAX).contains(number)) else {
            let reason = format!("`repeat` is {}; use a number from 1 to {REPEATS_MAX}", short(&value.to_string()));
            return Err(ImportError::invalid(place, reason));
        };
        suite.repeats = repeats;
    }
    if !ignored.is_empty() {
        ignored.truncate(20);
        findings.push(place, format!("not imported: {}", ignored.join(", ")), Effect::Remark);
    }
    Ok(())
}
