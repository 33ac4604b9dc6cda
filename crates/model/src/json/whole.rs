//! Whole numbers in requests, which JSON can write with a zero fraction: `441.0` is an integer in JSON Schema.
//!
//! Not used for the fields of a content: there `1.0` stays `1.0`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IntoDeserializer, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::INTEGER_MAX;

/// Reads a whole number.
///
/// # Errors
/// It is not whole, is negative, or does not fit.
pub fn whole<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// Reads a whole number or `null`.
///
/// # Errors
/// As [`whole`].
pub fn whole_option<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// Reads a list of whole numbers.
///
/// # Errors
/// As [`whole`].
pub fn whole_list<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Whole<T>>::deserialize(deserializer)?.into_iter().map(|Whole(number)| number).collect())
}

/// Reads a map from whole numbers to whole numbers.
///
/// # Errors
/// As [`whole`].
pub fn whole_values<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u64, T>, D::Error> {
    let read = BTreeMap::<u64, Whole<T>>::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(key, Whole(number))| (key, number)).collect())
}

/// Reads a text, or a whole number as the text of its digits.
///
/// # Errors
/// It is neither.
pub fn text_or_whole_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<TextOrWhole>::deserialize(deserializer)?.map(|TextOrWhole(text)| text))
}

struct TextOrWhole(String);

impl<'de> Deserialize<'de> for TextOrWhole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl Visitor<'_> for Reading {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
                Ok(number.to_string())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
                whole::<u64, _>(number.into_deserializer()).map(|number| number.to_string())
            }
        }

        deserializer.deserialize_any(Reading).map(Self)
    }
}

struct Whole<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl Visitor<'_> for Reading {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
                Ok(number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
                u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
                // In decimal digits, a number without a fraction has no point.
                let digits = number.to_string();
                let whole = digits.strip_prefix('-').filter(|digits| *digits == "0").unwrap_or(&digits).parse().ok();
                let fits = whole.filter(|whole| *whole <= INTEGER_MAX);
                fits.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
            }
        }

        let number = deserializer.deserialize_u64(Reading)?;
        let too_large = |_| D::Error::invalid_value(Unexpected::Unsigned(number), &"a smaller whole number");
        T::try_from(number).map(Self).map_err(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Read {
        #[serde(deserialize_with = "whole")]
        one: u32,
        #[serde(default, deserialize_with = "whole_option")]
        perhaps: Option<u64>,
        #[serde(default, deserialize_with = "whole_values")]
        many: BTreeMap<u64, u32>,
        #[serde(default, deserialize_with = "text_or_whole_option")]
        text: Option<String>,
    }

    #[test]
    fn numbers_with_a_fraction_of_zero_are_whole_and_others_are_refused() {
        let read = |text: &str| serde_json::from_str::<Read>(text).map_err(|error| error.to_string());
        let many = BTreeMap::from([(7, 2)]);
        let expected = Read { one: 441, perhaps: Some(9_007_199_254_740_991), many, text: None };
        assert_eq!(read(r#"{"one": 441.0, "perhaps": 9007199254740991.0, "many": {"7": 2.0}}"#), Ok(expected));
        let none = Read { one: 0, perhaps: None, many: BTreeMap::new(), text: None };
        assert_eq!(read(r#"{"one": -0.0, "perhaps": null}"#), Ok(none));
        assert_eq!(read(r#"{"one": 4.41e2}"#).map(|read| read.one), Ok(441));
        for text in [r#""7""#, "7", "7.0"] {
            assert_eq!(
                read(&format!(r#"{{"one": 1, "text": {text}}}"#)).map(|read| read.text),
                Ok(Some("7".to_owned()))
            );
        }
        for (text, part) in [
            (r#"{"one": 1, "text": 7.5}"#, "floating point `7.5`, expected a whole number"),
            (r#"{"one": 1, "text": -7}"#, "integer `-7`, expected a text or a whole number"),
            (r#"{"one": 1, "text": true}"#, "expected a text or a whole number"),
            (r#"{"one": 441.5}"#, "floating point `441.5`, expected a whole number"),
            (r#"{"one": -1}"#, "integer `-1`, expected a whole number"),
            (r#"{"one": -1.0}"#, "expected a whole number"),
            (r#"{"one": 4294967296}"#, "expected a smaller whole number"),
            (r#"{"one": 1, "perhaps": 9007199254740992.0}"#, "expected a whole number"),
            (r#"{"one": "7"}"#, "expected a whole number"),
            (r#"{"one": null}"#, "expected a whole number"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
