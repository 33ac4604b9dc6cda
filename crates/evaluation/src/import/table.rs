//! The rows of tables as tests of promptfoo: variables, and columns such as `__expected` and `__description`.

use serde_json::{Map, Value, json};

use super::ImportError;
use super::types::{check, short};
use crate::model::suite::CASES_MAX;

/// Most columns of a table.
const COLUMNS_MAX: usize = 1_000;
/// The threshold of assertions in tables that have one and do not name it.
const THRESHOLD: f64 = 0.75;
/// The same for similarity.
const THRESHOLD_SIMILAR: f64 = 0.8;
/// Assertions in tables that have a threshold.
const WITH_THRESHOLD: [&str; 13] = [
    "answer-relevance",
    "classifier",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "cost",
    "latency",
    "levenshtein",
    "perplexity-score",
    "perplexity",
    "rouge-n",
    "similar",
    "starts-with",
];

/// A row as a test.
pub(super) struct Row {
    pub place: String,
    pub test: Map<String, Value>,
}

/// The rows of a table.
pub(super) fn rows(text: &str, file: &str) -> Result<Vec<Row>, ImportError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let broken = |error: &::csv::Error| ImportError::invalid(file, plain(error));
    let columns: Vec<String> =
        reader.headers().map_err(|error| broken(&error))?.iter().map(|name| name.trim().to_owned()).collect();
    if columns.len() > COLUMNS_MAX {
        return Err(ImportError::invalid(file, format!("has more than {COLUMNS_MAX} columns")));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| broken(&error))?;
        let place = format!("{file} line {}", record.position().map_or(0, ::csv::Position::line));
        if rows.len() >= CASES_MAX {
            return Err(ImportError::TooMany { place });
        }
        let mut test = row(columns.iter().map(String::as_str).zip(record.iter()), &place)?;
        if !test.contains_key("description") {
            test.insert("description".to_owned(), format!("Row #{}", rows.len() + 1).into());
        }
        rows.push(Row { place, test });
    }
    Ok(rows)
}

/// What is wrong with a table.
fn plain(error: &::csv::Error) -> String {
    match error.kind() {
        ::csv::ErrorKind::UnequalLengths { pos, expected_len, len } => format!(
            "line {} has {len} fields and the first line {expected_len}; add what is missing, or quote commas",
            pos.as_ref().map_or(0, ::csv::Position::line)
        ),
        _ => error.to_string(),
    }
}

fn row<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, place: &str) -> Result<Map<String, Value>, ImportError> {
    let (mut variables, mut options, mut metadata, mut test) = (Map::new(), Map::new(), Map::new(), Map::new());
    let (mut assertions, mut thresholds, mut metric) = (Vec::new(), Vec::new(), None);
    for (column, field) in fields {
        match column {
            _ if column.starts_with("__expected") => {
                if !field.trim().is_empty() {
                    assertions.push(assertion(field.trim()).map_err(|why| ImportError::invalid(place, why))?);
                }
            }
            "__prefix" | "__suffix" => {
                options.insert(column.trim_start_matches('_').to_owned(), field.into());
            }
            "__description" if !field.is_empty() => {
                test.insert("description".to_owned(), field.into());
            }
            "__providerOutput" if !field.is_empty() => {
                test.insert("providerOutput".to_owned(), field.into());
            }
            "__metric" if !field.is_empty() => metric = Some(field),
            "__threshold" => {
                if let Some(number) = number(field) {
                    test.insert("threshold".to_owned(), number.into());
                }
            }
            "__description" | "__providerOutput" | "__metric" | "__metadata" => {}
            _ => {
                if let Some(key) = column.strip_prefix("__metadata:") {
                    if let Some(value) = metadata_value(key, field) {
                        metadata.insert(key.trim_end_matches("[]").to_owned(), value);
                    }
                } else if let Some(key) = column.strip_prefix("__config:") {
                    thresholds.push(config(key, field).map_err(|why| ImportError::invalid(place, why))?);
                } else {
                    variables.insert(column.to_owned(), field.into());
                }
            }
        }
    }
    for assertion in &mut assertions {
        if let Some(metric) = metric {
            assertion.insert("metric".to_owned(), metric.into());
        }
    }
    for (index, threshold) in thresholds {
        if let Some(assertion) = assertions.get_mut(index) {
            assertion.insert("threshold".to_owned(), threshold.into());
            metadata.insert("threshold".to_owned(), threshold.into());
        }
    }
    test.insert("vars".to_owned(), Value::Object(variables));
    test.insert("assert".to_owned(), assertions.into_iter().map(Value::Object).collect::<Vec<_>>().into());
    test.insert("options".to_owned(), Value::Object(options));
    if !metadata.is_empty() {
        test.insert("metadata".to_owned(), Value::Object(metadata));
    }
    Ok(test)
}

/// A number in the notation of JSON, or with a sign or without digits on one side of the point.
fn number(field: &str) -> Option<f64> {
    let field = field.trim();
    let plain = field.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    field.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// Which assertion a `__config` column is for, from 0, and its threshold.
fn config(column: &str, field: &str) -> Result<(usize, f64), String> {
    let wrong = || {
        let column = short(column);
        format!("invalid column `__config:{column}`: use __config:__expected:threshold, or __expected1 and so on")
    };
    let (expected, key) = column.split_once(':').ok_or_else(wrong)?;
    let index = match expected.strip_prefix("__expected").ok_or_else(wrong)? {
        "" => 0,
        digits => digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1)).ok_or_else(wrong)?,
    };
    if key != "threshold" {
        return Err(wrong());
    }
    let value = number(field).ok_or_else(|| format!("`{}` in `__config` is not a number", short(field)))?;
    Ok((index, value))
}

fn metadata_value(key: &str, field: &str) -> Option<Value> {
    if field.trim().is_empty() {
        return None;
    }
    if !key.ends_with("[]") {
        return Some(field.into());
    }
    // A comma that is not between values has a backslash before it.
    let mut values = vec![String::new()];
    let mut letters = field.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&',') => {
                letters.next();
                values.last_mut()?.push(',');
            }
            ',' => values.push(String::new()),
            _ => values.last_mut()?.push(letter),
        }
    }
    Some(values.iter().map(|value| value.trim()).collect::<Vec<_>>().into())
}

/// The assertion that a field means: `type(threshold):value`, or a text that the answer must equal.
fn assertion(field: &str) -> Result<Map<String, Value>, String> {
    let map = |value: Value| match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| field.strip_prefix(prefix));
    if let Some(code) = after(&["javascript:", "fn:", "eval:"]) {
        return Ok(map(json!({"type": "javascript", "value": code.trim()})));
    }
    if let Some(rubric) = after(&["grade:", "llm-rubric:"]) {
        return Ok(map(json!({"type": "llm-rubric", "value": rubric})));
    }
    if let Some(code) = after(&["python:"]) {
        return Ok(map(json!({"type": "python", "value": code.trim()})));
    }
    if let Some(path) = field.strip_prefix("file://") {
        let ends = |endings: &[&str]| endings.iter().any(|end| path.ends_with(end));
        let code = ends(&[".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"]);
        if code || ends(&[".py"]) || path.contains(".py:") {
            return Ok(map(json!({"type": if code { "javascript" } else { "python" }, "value": path})));
        }
    }
    let Some((name, threshold, value)) = typed(field) else {
        return Ok(map(json!({"type": "equals", "value": field})));
    };
    let base = name.strip_prefix("not-").unwrap_or(name);
    let mut assertion = map(json!({ "type": name }));
    match base {
        "contains-all" | "contains-any" | "icontains-all" | "icontains-any" => {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                assertion.insert("value".to_owned(), comma_separated(value)?.into());
            }
        }
        "contains-json" | "is-json" => {
            assertion.extend(value.map(|value| ("value".to_owned(), value.into())));
        }
        _ => assertion.extend(value.map(|value| ("value".to_owned(), value.trim().into()))),
    }
    if WITH_THRESHOLD.contains(&base) {
        let usual = if base == "similar" { THRESHOLD_SIMILAR } else { THRESHOLD };
        assertion.insert("threshold".to_owned(), threshold.unwrap_or(usual).into());
    }
    Ok(assertion)
}

/// The parts of `type(threshold):value`, if the field begins with a type of assertion.
fn typed(field: &str) -> Option<(&str, Option<f64>, Option<&str>)> {
    let end =
        field.char_indices().find(|(_, c)| !(c.is_ascii_lowercase() || *c == '-')).map_or(field.len(), |(at, _)| at);
    // Names such as `similar:cosine` have a colon, too.
    let longer = ["similar:cosine", "similar:dot", "similar:euclidean", "trajectory:goal-success"];
    let long = longer.iter().chain(&TRAJECTORY).find(|name| {
        field
            .strip_prefix("not-")
            .unwrap_or(field)
            .strip_prefix(**name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', ':']))
    });
    let end = match long {
        Some(name) => name.len() + if field.starts_with("not-") { "not-".len() } else { 0 },
        None => end,
    };
    let (name, rest) = field.split_at_checked(end)?;
    let base = name.strip_prefix("not-").unwrap_or(name);
    if check(base).is_none() && !OTHERS.contains(&base) && long.is_none() {
        return None;
    }
    // Those exist here alone.
    if matches!(base, "risk" | "assert-set" | "select-best") {
        return None;
    }
    let (threshold, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (digits, rest) = rest.split_once(')')?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let fits = plain && !digits.starts_with('.') && !digits.ends_with('.');
            (Some(digits.parse().ok().filter(|_| fits)?), rest)
        }
        None => (None, rest),
    };
    match rest.strip_prefix(':') {
        Some(value) => Some((name, threshold, Some(value))),
        None => rest.is_empty().then_some((name, threshold, None)),
    }
}

/// Types of promptfoo with a colon.
const TRAJECTORY: [&str; 4] =
    ["trajectory:tool-args-match", "trajectory:step-count", "trajectory:tool-sequence", "trajectory:tool-used"];
/// Types of promptfoo that have no counterpart: they are not texts to compare with.
const OTHERS: [&str; 25] = [
    "agent-rubric",
    "answer-relevance",
    "classifier",
    "contains-sql",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "conversation-relevance",
    "guardrails",
    "is-sql",
    "javascript",
    "pi",
    "moderation",
    "perplexity-score",
    "python",
    "ruby",
    "skill-used",
    "trace-error-spans",
    "trace-span-count",
    "trace-span-duration",
    "search-rubric",
    "model-graded-factuality",
    "meteor",
    "perplexity",
    "webhook",
];

/// Values between commas, in quotes if they have commas themselves.
fn comma_separated(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if letters.peek().is_none() {
            return Ok(values);
        }
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_none() {
            while let Some(letter) = letters.next_if(|c| *c != ',') {
                value.push(letter);
            }
            values.push(value.trim().to_owned());
            continue;
        }
        loop {
            match letters.next() {
                None => return Err(format!("`{}` has a quote that is not closed", short(text))),
                Some('\\') => match letters.next_if(|c| matches!(c, '"' | '\\')) {
                    Some(escaped) => value.push(escaped),
                    None => value.push('\\'),
                },
                Some('"') => match letters.next_if_eq(&'"') {
                    Some(quote) => value.push(quote),
                    None => break,
                },
                Some(letter) => value.push(letter),
            }
        }
        values.push(value);
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        if letters.peek().is_some_and(|c| *c != ',') {
            return Err(format!("`{}` has text after a quote; write a comma between values", short(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_promptfoo_reads_them() {
        for (field, expected) in [
            ("Paris", json!({"type": "equals", "value": "Paris"})),
            ("contains:  a b ", json!({"type": "contains", "value": "a b"})),
            ("not-contains:x", json!({"type": "not-contains", "value": "x"})),
            ("similar(0.9):a", json!({"type": "similar", "value": "a", "threshold": 0.9})),
            ("similar:a", json!({"type": "similar", "value": "a", "threshold": 0.8})),
            ("similar:cosine(1):a", json!({"type": "similar:cosine", "value": "a"})),
            ("levenshtein:a", json!({"type": "levenshtein", "value": "a", "threshold": 0.75})),
            ("is-json", json!({"type": "is-json"})),
            ("grade: is polite", json!({"type": "llm-rubric", "value": " is polite"})),
            ("fn: output.length > 3", json!({"type": "javascript", "value": "output.length > 3"})),
            ("file://check.py", json!({"type": "python", "value": "check.py"})),
            ("note: this", json!({"type": "equals", "value": "note: this"})),
            ("contains this", json!({"type": "equals", "value": "contains this"})),
            ("contains(x):y", json!({"type": "equals", "value": "contains(x):y"})),
            ("risk:high", json!({"type": "equals", "value": "risk:high"})),
            ("moderation", json!({"type": "moderation"})),
            ("trajectory:tool-used:search", json!({"type": "trajectory:tool-used", "value": "search"})),
            (
                r#"contains-any:a, "b, ""c""", "d\"e",,f g"#,
                json!({"type": "contains-any", "value": ["a", "b, \"c\"", "d\"e", "f g"]}),
            ),
        ] {
            assert_eq!(Value::Object(assertion(field).expect(field)), expected, "{field}");
        }
        assert!(assertion("contains-any:\"a").expect_err("open").contains("not closed"));
        assert!(assertion("contains-any:\"a\"b").expect_err("text").contains("after a quote"));
    }
}
