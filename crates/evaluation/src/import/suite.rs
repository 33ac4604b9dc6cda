//! Suites of our own: the JSON form of a suite, as YAML or JSON, with its name beside it.

use serde_json::{Map, Value};

use super::ImportError;
use crate::json;
use crate::model::suite::{Case, SUITE_BYTES_MAX, Suite};
use crate::yaml;

/// Reads a suite from a file: YAML, or JSON if the name of the file ends with `.json`. The name of the suite is the
/// value of `name`, if the file has one.
///
/// # Errors
/// The text is neither, has an unknown key, or exceeds a limit of suites; with the line or the place.
pub fn suite_file(text: &str, path: &str) -> Result<(Option<String>, Suite), ImportError> {
    if text.len() > SUITE_BYTES_MAX {
        return Err(ImportError::TooLong { file: path.to_owned(), max: SUITE_BYTES_MAX });
    }
    let invalid = |reason: String| ImportError::invalid(path, reason);
    let is_json = std::path::Path::new(path).extension().is_some_and(|extension| extension == "json");
    let mut fields = if is_json {
        json::read::<Map<String, Value>>(text.as_bytes()).map_err(|error| invalid(error.to_string()))?
    } else {
        yaml::read(text, 1, "a suite").map_err(invalid)?.fields
    };
    let name = match fields.shift_remove("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(other) => return Err(invalid(format!("`name` is {other}; write a string"))),
    };
    let cases = match fields.insert("cases".to_owned(), Value::Array(Vec::new())) {
        Some(Value::Array(cases)) => cases,
        Some(_) => return Err(invalid("`cases` is not a list; write `cases:` and a `-` before each case".to_owned())),
        None => return Err(invalid("the suite has no `cases`; add a list of cases".to_owned())),
    };
    let plain = |error: serde_json::Error| json::plain_reason(&error.to_string(), "a map");
    let mut suite: Suite = serde_json::from_value(Value::Object(fields)).map_err(|error| invalid(plain(error)))?;
    for (number, case) in cases.into_iter().enumerate() {
        let named = case.get("name").and_then(Value::as_str).map(|name| format!(" (`{name}`)")).unwrap_or_default();
        let case: Case = serde_json::from_value(case)
            .map_err(|error| invalid(format!("cases[{number}]{named}: {}", plain(error))))?;
        suite.cases.push(case);
    }
    suite.to_canonical().map_err(|source| ImportError::Suite { place: path.to_owned(), source })?;
    Ok((name, suite))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "name: regress\nmodels: [local:tiny]\nrepeats: 2\ngate:\n  pass_rate: 0.9\nscorers:\n  - \
                        type: not-contains\n    value: sorry\ncases:\n  - name: refund\n    variables: {item: a \
                        chair}\n    must_pass: true\n";

    #[test]
    fn suite_in_yaml_is_the_same_as_in_json() {
        let (name, suite) = suite_file(YAML, "regress.yaml").expect("a suite");
        assert_eq!(name.as_deref(), Some("regress"));
        let json = String::from_utf8(suite.to_canonical().expect("valid")).expect("text");
        assert_eq!(suite_file(&json, "regress.json").expect("a suite"), (None, suite));
    }

    #[test]
    fn invalid_suite_file_is_refused_with_its_place() {
        for (text, part) in [
            ("cases: []\n", "s.yaml: a suite must have at least one case"),
            ("repeats: 1\n", "s.yaml: the suite has no `cases`"),
            ("cases: 1\n", "`cases` is not a list"),
            ("name: 1\ncases: []", "`name` is 1; write a string"),
            ("cases:\n  - name: a\n    scorer: x\n", "cases[0] (`a`): unknown field `scorer`"),
            ("cases:\n  - name: a\n    scorers: [{type: dances}]\n", "unknown scorer `dances`"),
            ("cases:\n  - name: a\n    must_pass: yes\n", "line 3: `cases[0].must_pass` is yes"),
            ("case:\n  - name: a\ncases: []", "unknown field `case`"),
            ("- a", "a suite is a map of keys"),
        ] {
            let error = suite_file(text, "s.yaml").expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let long = "x".repeat(SUITE_BYTES_MAX + 1);
        assert!(suite_file(&long, "s.yaml").expect_err("too long").to_string().contains("split it"));
    }
}
