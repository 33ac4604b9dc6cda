//! Words that YAML parsers disagree about.

/// Whether some YAML parser takes a word for a boolean, and others for a string.
pub(super) fn is_switch(text: &str) -> bool {
    ["yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether some YAML parser takes a word for a number.
pub(super) fn is_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), ".inf" | ".nan") {
        return true;
    }
    let radix = |prefix: &str, digits: fn(&u8) -> bool| {
        word.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.as_bytes().iter().all(|b| digits(b) || *b == b'_'))
    };
    if radix("0x", u8::is_ascii_hexdigit)
        || radix("0o", |b| (b'0'..b'8').contains(b))
        || radix("0b", |b| b"01".contains(b))
    {
        return true;
    }
    let (mantissa, exponent) =
        word.split_once('e').map_or((word.as_str(), None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let digits = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '_' || more.contains(c))
    };
    // `12:30` was a number in base 60.
    let sexagesimal = exponent.is_none()
        && mantissa.split(':').count() > 1
        && mantissa.split(':').all(|part| digits(part, "."))
        && mantissa.split(':').skip(1).all(|part| part.split('.').next().is_some_and(|part| part.len() <= 2));
    let decimal = mantissa.bytes().any(|byte| byte.is_ascii_digit())
        && mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && mantissa.matches('.').count() <= 1
        && digits(mantissa, ".")
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), ""));
    decimal || sexagesimal
}
