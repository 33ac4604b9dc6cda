//! Suites of our own: the JSON form of a suite, as YAML or JSON, with its name beside it.

use serde_json::{Map, Value};

use super::ImportError;
use crate::check::check_scorers;
use crate::json;
use crate::model::suite::{Case, SUITE_BYTES_MAX, Suite};
use crate::model::usd::Usd;
use crate::yaml;

/// Reads a suite from a file: YAML, or JSON if the name of the file ends with `.json`. The name of the suite is the
/// value of `name`, if the file has one.
///
/// # Errors
/// The text is neither, has an unknown key, exceeds a limit of suites, or has a scorer that cannot work; with the line or
/// the place.
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
    for (part, key) in [("budget", "max_cost_usd"), ("gate", "cost_mean_usd")] {
        if let Some(amount) = fields.get_mut(part).and_then(|fields| fields.get_mut(key)) {
            *amount = dollars(amount).map_err(|why| invalid(format!("`{part}.{key}`: {why}")))?;
        }
    }
    let plain = |error: serde_json::Error| json::plain_reason(&error.to_string(), "a map");
    let mut suite: Suite = serde_json::from_value(Value::Object(fields)).map_err(|error| invalid(plain(error)))?;
    for (number, case) in cases.into_iter().enumerate() {
        let named = case.get("name").and_then(Value::as_str).map(|name| format!(" (`{name}`)")).unwrap_or_default();
        let case: Case = serde_json::from_value(case)
            .map_err(|error| invalid(format!("cases[{number}]{named}: {}", plain(error))))?;
        suite.cases.push(case);
    }
    suite.to_canonical().map_err(|source| ImportError::Suite { place: path.to_owned(), source })?;
    check_scorers(&suite).map_err(|source| ImportError::Scorer { place: path.to_owned(), source })?;
    Ok((name, suite))
}

/// An amount of dollars as a suite has it, which is a text; people write numbers. A number that a float does not hold
/// exactly was refused when the file was read, so these are the digits that were written.
fn dollars(amount: &Value) -> Result<Value, String> {
    let text = match amount {
        Value::Null => return Ok(Value::Null),
        Value::String(text) => text.clone(),
        // Without an exponent, however small it is.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    };
    text.parse::<Usd>().map(|amount| Value::String(amount.to_string())).map_err(|error| error.to_string())
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
    fn amounts_of_money_are_numbers_or_texts_and_exact() {
        let read = |text: &str, path: &str| {
            let (_, suite) = suite_file(text, path).expect(text);
            let amount = |amount: Option<Usd>| amount.map(|amount| amount.to_string()).unwrap_or_default();
            (amount(suite.budget.max_cost_usd), amount(suite.gate.cost_mean_usd))
        };
        let rest = "cases:\n  - {name: a, scorers: [{type: is-json}]}\n";
        for (written, exact) in [
            ("5", "5"),
            ("5.0", "5"),
            ("0.1", "0.1"),
            ("1234.56789", "1234.56789"),
            ("0.000000000001", "0.000000000001"),
            ("1e-3", "0.001"),
            ("'0.01'", "0.01"),
        ] {
            let yaml = format!("budget: {{max_cost_usd: {written}}}\ngate: {{cost_mean_usd: {written}}}\n{rest}");
            assert_eq!(read(&yaml, "s.yaml"), (exact.to_owned(), exact.to_owned()), "{written}");
            let json = format!(
                r#"{{"budget":{{"max_cost_usd":{}}},"cases":[{{"name":"a","scorers":[{{"type":"is-json"}}]}}]}}"#,
                written.replace('\'', "\"")
            );
            assert_eq!(read(&json, "s.json").0, exact, "{written}");
        }
        for (part, written, why) in [
            ("budget: {max_cost_usd: ", "-5", "`budget.max_cost_usd`: invalid amount `-5`: use US dollars"),
            ("budget: {max_cost_usd: ", "five", "`budget.max_cost_usd`: invalid amount `five`"),
            ("budget: {max_cost_usd: ", "[5]", "`budget.max_cost_usd`: invalid amount `[5]`"),
            ("gate: {cost_mean_usd: ", "0.0000000000001", "`gate.cost_mean_usd`: invalid amount `0.0000000000001`"),
            ("gate: {cost_mean_usd: ", "0.12345678901234567", "`gate.cost_mean_usd` is 0.12345678901234567, which"),
        ] {
            let error = suite_file(&format!("{part}{written}}}\n{rest}"), "s.yaml").expect_err(written).to_string();
            assert!(error.contains(why), "{written}: {error}");
        }
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
            (
                "cases:\n  - name: a\n    scorers: [{type: latency}]\n",
                "s.yaml: case `a`: scorers[0] (`latency`): the scorer needs a threshold, in milliseconds",
            ),
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
