//! The attributes of a span, resource or log record that are of interest, sorted out while they are read.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::batch::{Reason, Reasons};
use super::names::{Field, List, Part, carried_as, flattened, known};
use super::value::Value;
use super::{ATTRIBUTES_MAX, FLATTENED_MAX};

/// Keys of an object in `metadata` that are looked at.
const METADATA_KEYS_MAX: usize = 64;

/// What was said under known names.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    known: Vec<(Field, u8, Value<'a>)>,
    flattened: Vec<(List, u16, Part, Value<'a>)>,
}

impl<'a> Attributes<'a> {
    /// Adds an attribute if its name is known; its value is read only then.
    pub(super) fn add(
        &mut self,
        name: &str,
        reasons: &mut Reasons,
        value: impl FnOnce(&mut Reasons) -> Option<Value<'a>>,
    ) {
        if let Some(known) = known(name) {
            let there = self.known.iter().any(|(field, rank, _)| (*field, *rank) == (known.field, known.rank));
            if there {
                return;
            }
            if self.known.len() >= ATTRIBUTES_MAX {
                reasons.add(Reason::TooManyAttributes, 1);
            } else if let Some(value) = value(reasons) {
                if known.field == Field::Metadata {
                    self.add_metadata(&value);
                }
                let value = if known.is_carried() { value.unquoted() } else { value };
                self.known.push((known.field, known.rank, value));
            }
        } else if let Some((list, index, part)) = flattened(name) {
            if self.flattened.len() >= FLATTENED_MAX {
                reasons.add(Reason::TooManyAttributes, 1);
            } else if let Some(value) = value(reasons) {
                self.flattened.push((list, index, part, value));
            }
        }
    }

    /// Adds what an object of metadata says about the prompt, whose keys the application chose.
    fn add_metadata(&mut self, value: &Value<'a>) {
        let Some(json) = value.json() else { return };
        let Some(object) = json.as_object() else { return };
        for (key, value) in object.iter().take(METADATA_KEYS_MAX) {
            let Some(known) = carried_as(key) else { continue };
            let value = match value {
                Json::String(text) => Value::Text(Cow::Owned(text.clone())),
                Json::Number(number) => Value::Text(Cow::Owned(number.to_string())),
                Json::Object(_) => Value::Tree(value.clone()),
                Json::Null | Json::Bool(_) | Json::Array(_) => continue,
            };
            self.known.push((known.field, known.rank, value));
        }
    }

    /// The values of a field, those under the names that count first, first.
    fn values(&self, field: Field) -> impl Iterator<Item = &Value<'a>> {
        let mut values: Vec<_> = self.known.iter().filter(|(of, ..)| *of == field).collect();
        values.sort_by_key(|(_, rank, _)| *rank);
        values.into_iter().map(|(.., value)| value)
    }

    /// Whether anything was said under a field.
    pub(super) fn has(&self, field: Field) -> bool {
        self.known.iter().any(|(of, ..)| *of == field)
    }

    /// The text of a field that counts.
    pub(super) fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        self.values(field).find_map(Value::text)
    }

    /// The number of a field that counts.
    pub(super) fn number(&self, field: Field) -> Option<f64> {
        self.values(field).find_map(Value::number)
    }

    /// The value of a field that counts, whatever it is.
    pub(super) fn value(&self, field: Field) -> Option<&Value<'a>> {
        self.values(field).next()
    }

    /// The object or list of a field that counts.
    pub(super) fn json(&self, field: Field) -> Option<Cow<'_, Json>> {
        self.values(field).find_map(Value::json)
    }

    /// The parts of a flattened list, by element.
    pub(super) fn list(&self, list: List) -> Vec<(u16, Part, &Value<'a>)> {
        let of_list = self.flattened.iter().filter(|(of, ..)| *of == list);
        let mut parts: Vec<_> = of_list.map(|(_, index, part, value)| (*index, *part, value)).collect();
        parts.sort_by_key(|(index, ..)| *index);
        parts
    }
}
