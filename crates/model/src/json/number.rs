//! Which numbers are accepted: those that every JSON parser reads as the number that was written.

use serde_json::Number;

/// Largest integer that every JSON reader keeps exactly: 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a number is rejected; each reason continues `… is 1e400,`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum NumberError {
    #[error("which is not a JSON number; write it in decimal digits, or as a string in quotes")]
    Form,
    #[error("beyond 2^53 - 1, where JSON readers disagree; write it as a string in quotes")]
    Integer,
    #[error("which JSON readers take for 0; write 0 or -0.0")]
    NegativeZero,
    #[error("beyond the range of JSON readers; write it as a string in quotes")]
    Infinite,
    #[error("which would become {becomes}; write that, or the digits as a string in quotes")]
    Changed { becomes: String },
}

/// Parses a number in JSON syntax.
///
/// # Errors
/// It is not in JSON syntax, or it would change when parsed.
pub fn number(text: &str) -> Result<Number, NumberError> {
    if !is_json(text) {
        return Err(NumberError::Form);
    }
    if !text.contains(['.', 'e', 'E']) {
        if text == "-0" {
            return Err(NumberError::NegativeZero);
        }
        let integer = text.parse::<i64>().map_err(|_| NumberError::Integer)?;
        return if integer.unsigned_abs() > INTEGER_MAX { Err(NumberError::Integer) } else { Ok(integer.into()) };
    }
    let float: f64 = text.parse().map_err(|_| NumberError::Form)?;
    let number = Number::from_f64(float).ok_or(NumberError::Infinite)?;
    if Decimal::of(text) == Decimal::shortest(float) {
        Ok(number)
    } else {
        Err(NumberError::Changed { becomes: written(float) })
    }
}

/// The shortest digits that parse back to a number, with a point after the first of several, and the power of ten.
pub fn scientific(float: f64) -> (String, i64) {
    let Decimal { digits, point, .. } = Decimal::shortest(float);
    let (first, rest) = digits.split_at_checked(1).unwrap_or(("0", ""));
    let sign = if float.is_sign_negative() { "-" } else { "" };
    (format!("{sign}{first}{}{rest}", if rest.is_empty() { "" } else { "." }), point.saturating_sub(1))
}

/// Writes a floating point number: the shortest digits that parse back to it, laid out as ECMAScript and RFC 8785 do,
/// and always with a `.` or an `e`, so that it differs from an integer.
pub fn written(float: f64) -> String {
    let decimal = Decimal::shortest(float);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let Decimal { digits, point, .. } = decimal;
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
    let at = usize::try_from(point).unwrap_or_default();
    if digits.is_empty() {
        format!("{sign}0.0")
    } else if count <= point && point <= 21 {
        format!("{sign}{digits}{}.0", zeros(point.saturating_sub(count)))
    } else if 0 < point && point <= 21 {
        let (whole, rest) = digits.split_at_checked(at).unwrap_or((&digits, ""));
        format!("{sign}{whole}.{rest}")
    } else if -6 < point && point <= 0 {
        format!("{sign}0.{}{digits}", zeros(point.saturating_neg()))
    } else {
        let (digits, exponent) = scientific(float);
        format!("{digits}e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
    }
}

/// A decimal number: 0.DIGITS times ten to the power of `point`; no digits for zero.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// The shortest digits that parse back to a number: of two equally near candidates, the one that ends in an even
    /// digit, as in ECMAScript and Python but not in Rust's own formatting.
    fn shortest(float: f64) -> Self {
        Self::of(&Number::from_f64(float).map_or_else(|| float.to_string(), |number| number.to_string()))
    }

    /// Of a number in JSON syntax.
    fn of(text: &str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent that overflows belongs to zero or to a number far out of range.
        let far = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent = exponent.parse::<i64>().map_or(far, |exponent| exponent.clamp(i64::MIN / 4, i64::MAX / 4));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = all.len().saturating_sub(significant.len());
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self { negative, digits, point: 0 };
        }
        let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        let point = exponent.saturating_add(length(whole.len())).saturating_sub(length(leading));
        Self { negative, digits, point }
    }
}

/// Whether a text is a number by the grammar of JSON.
fn is_json(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
