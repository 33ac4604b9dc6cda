//! A value of an attribute, borrowed from the body where it can be.

use std::borrow::Cow;

use serde_json::Value as Json;

/// What an attribute says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// A list or a map.
    Tree(Json),
}

impl<'a> Value<'a> {
    /// The text in a JSON string, which some SDKs make of what they carry for an application.
    pub(super) fn unquoted(self) -> Value<'a> {
        match &self {
            Self::Text(text) if text.len() > 1 && text.starts_with('"') && text.ends_with('"') => {
                serde_json::from_str(text).map_or(self, |inner: String| Value::Text(Cow::Owned(inner)))
            }
            _ => self,
        }
    }

    /// As a text: numbers too, as versions are often numbers; none if there is nothing in it.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::Text(text) => Cow::Borrowed(text.trim()),
            Self::Bool(value) => Cow::Owned(value.to_string()),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) if value.is_finite() => Cow::Owned(value.to_string()),
            Self::Double(_) | Self::Tree(_) => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// As a number; not finite ones too.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Int(value) => Some(float(*value)),
            Self::Double(value) => Some(*value),
            Self::Bool(_) | Self::Tree(_) => None,
        }
    }

    /// As JSON: that which a text holds, or which was sent as lists and maps.
    pub(super) fn json(&self) -> Option<Cow<'_, Json>> {
        match self {
            Self::Text(text) => serde_json::from_str(text).ok().map(Cow::Owned),
            Self::Tree(tree) => Some(Cow::Borrowed(tree)),
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => None,
        }
    }

    /// As JSON that is kept.
    pub(super) fn into_json(self) -> Json {
        match self {
            Self::Text(text) => Json::String(text.into_owned()),
            Self::Bool(value) => Json::Bool(value),
            Self::Int(value) => Json::from(value),
            Self::Double(value) => Json::from(value),
            Self::Tree(tree) => tree,
        }
    }
}

/// A whole number as a float, as exporters send it that have one type of numbers.
#[expect(clippy::cast_precision_loss, reason = "numbers above 2^53 are outside all bounds that follow")]
pub(super) const fn float(number: i64) -> f64 {
    number as f64
}

/// A float as a whole number between 0 and a bound that fits into 53 bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub(super) fn whole(number: f64, max: u64) -> Option<u64> {
    let rounded = number.round();
    #[expect(clippy::cast_precision_loss, reason = "bounds are round numbers")]
    let fits = rounded >= 0.0 && rounded <= max as f64;
    fits.then_some(rounded as u64)
}
