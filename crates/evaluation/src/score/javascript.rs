//! Text and values as JavaScript has them, because the scorers of promptfoo mean what JavaScript does with them.

use std::borrow::Cow;

use serde_json::Value;

/// Whether a character is white space: `\s` of a regular expression.
pub(super) fn is_space(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

/// A text without white space at its ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The parts of a text between runs of white space; one empty part where it begins or ends with such a run.
pub(super) fn split_spaces(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_space) {
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.trim_start_matches(is_space);
    }
    parts.push(rest);
    parts
}

/// A number as a text: the shortest digits that read back as it.
pub(super) fn number_text(number: f64) -> String {
    if !number.is_finite() || number == 0.0 {
        let word = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return if number == 0.0 { "0".to_owned() } else { word.to_owned() };
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let point = exponent.saturating_add(1);
    let written = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, part) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{part}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    };
    format!("{}{written}", if number < 0.0 { "-" } else { "" })
}

/// A number of JSON as JavaScript holds it.
pub(super) fn number(number: &serde_json::Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// `String(value)`.
pub(super) fn string(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Number(value) => Cow::Owned(number_text(number(value))),
        Value::Array(items) => Cow::Owned(joined(items, ",")),
        Value::Object(_) => Cow::Borrowed("[object Object]"),
    }
}

/// The elements of a list as one text.
pub(super) fn joined(items: &[Value], separator: &str) -> String {
    let text = |item: &Value| if item.is_null() { String::new() } else { string(item).into_owned() };
    items.iter().map(text).collect::<Vec<_>>().join(separator)
}

/// `Number(text)`, for what a suite may hold.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let text = trim(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    let prefix = text.get(..2).map(str::to_ascii_lowercase);
    #[allow(clippy::cast_precision_loss, reason = "JavaScript rounds in the same way")]
    let whole = match (prefix.as_deref(), text.get(2..)) {
        (Some("0x"), Some(digits)) => return radix(digits, 16).map(|value| value as f64),
        (Some("0o"), Some(digits)) => return radix(digits, 8).map(|value| value as f64),
        (Some("0b"), Some(digits)) => return radix(digits, 2).map(|value| value as f64),
        _ => text,
    };
    let plain = |character: char| character.is_ascii_digit() || matches!(character, '.' | 'e' | 'E' | '+' | '-');
    if whole.chars().all(plain) {
        return whole.parse().ok();
    }
    match whole {
        "Infinity" | "+Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Whether two JSON values are equal: numbers by what they are worth, maps regardless of the order of their keys.
pub(super) fn deep_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (number(left), number(right));
            left.total_cmp(&right).is_eq()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| deep_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| deep_equal(value, other)))
        }
        _ => left == right,
    }
}

/// Whether a value counts as `true` in a condition.
pub(super) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(value) => number(value) != 0.0,
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_as_in_javascript() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (100.0, "100"),
            (123_456_789.125, "123456789.125"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (1e21, "1e+21"),
            (123e18, "123000000000000000000"),
            (1.25e30, "1.25e+30"),
        ] {
            assert_eq!(number_text(number), text);
        }
        assert_eq!(string(&json!([1, null, "a", [true]])), "1,,a,true");
        assert_eq!(string(&json!(12_345_678_901_234_567_890_u64)), "12345678901234567000");
    }

    #[test]
    fn texts_read_as_numbers_like_in_javascript() {
        for (text, number) in [(" 5 ", Some(5.0)), ("", Some(0.0)), ("0x1F", Some(31.0)), ("1e2", Some(100.0))] {
            assert_eq!(parse_number(text), number, "{text}");
        }
        for text in ["5 words", "1_000", "nan", "inf", "--1"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_equal_by_worth_and_regardless_of_the_order_of_keys() {
        assert!(deep_equal(&json!({"a": 1, "b": [2.0]}), &json!({"b": [2], "a": 1.0})));
        assert!(!deep_equal(&json!([1, 2]), &json!([2, 1])));
        assert!(!deep_equal(&json!("1"), &json!(1)));
        assert!(!deep_equal(&json!({"a": null}), &json!({})));
    }

    #[test]
    fn runs_of_white_space_separate_parts() {
        assert_eq!(split_spaces(" a\u{a0}\n b "), ["", "a", "b", ""]);
        assert_eq!(split_spaces(""), [""]);
        assert_eq!(split_spaces("a\u{85}b"), ["a\u{85}b"]);
    }
}
