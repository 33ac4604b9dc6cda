//! Cases on lines of JSON: tests of promptfoo, or cases of our own.

use serde_json::{Map, Value};

use super::promptfoo::{Builder, Files};
use super::{Findings, ImportError, ImportOptions, Imported, within_limit};
use crate::json;
use crate::model::suite::{CASES_MAX, Case, Suite};

/// Reads one case from each line: a test of promptfoo if it has `vars`, `assert` or `options`, else a case of ours.
///
/// # Errors
/// A line is neither, or a limit is exceeded; with the line.
pub fn jsonl(text: &str, file: &str, options: ImportOptions<'_>) -> Result<Imported, ImportError> {
    within_limit(text, file)?;
    let nothing = |_: &str| Err(std::io::Error::other("tests on lines name no other files"));
    let files = Files::new(&nothing);
    let mut builder = Builder::new(&files, Findings::default(), options);
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text): &(usize, &str)| !text.trim().is_empty()) {
        let place = format!("{file} line {line}");
        if builder.count() >= CASES_MAX {
            return Err(ImportError::TooMany { place });
        }
        let mut fields: Map<String, Value> =
            json::read(text.as_bytes()).map_err(|error| ImportError::invalid(&place, error.to_string()))?;
        if ["vars", "assert", "options", "description"].iter().any(|key| fields.contains_key(*key)) {
            builder.add(&place, &fields)?;
            continue;
        }
        fields.entry("name").or_insert_with(|| Value::String(String::new()));
        let case: Case = serde_json::from_value(Value::Object(fields))
            .map_err(|error| ImportError::invalid(&place, json::plain_reason(&error.to_string(), "a case")))?;
        builder.add_case(case);
    }
    Ok(builder.finish(Suite { repeats: 1, ..Suite::default() }, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tests_of_promptfoo_or_cases() {
        let text = "{\"vars\":{\"a\":1},\"assert\":[{\"type\":\"equals\",\"value\":\"x\"}]}\n\n{\"variables\":{\"a\":2},\
                    \"scorers\":[{\"type\":\"regex\",\"value\":\"y\"}]}\n";
        let imported = jsonl(text, "t.jsonl", ImportOptions::default()).expect("cases");
        let names: Vec<&str> = imported.suite.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["case 1", "case 2"]);
        assert!(imported.unsupported.is_empty());
        imported.suite.to_canonical().expect("a valid suite");
    }

    #[test]
    fn line_that_is_no_case_is_refused() {
        for (text, part) in [
            ("{}\n{", "t.jsonl line 2: "),
            ("{\"colour\":1}", "t.jsonl line 1: unknown field `colour`"),
            ("[1]", "t.jsonl line 1: "),
            ("{\"vars\":1}", "`vars` is not a map"),
        ] {
            let error = jsonl(text, "t.jsonl", ImportOptions::default()).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
