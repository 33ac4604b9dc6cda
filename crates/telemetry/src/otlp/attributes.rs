//! The attributes of a span, resource or log record that are of interest, sorted out while they are read.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::names::{Field, FlattenedName, List, Part, carried_as, flattened, known};
use super::reason::{Reason, Reasons};
use super::value::Value;
use super::{ATTRIBUTES_MAX, FLATTENED_MAX};

/// Keys of an object in `metadata` that are looked at.
const METADATA_KEYS_MAX: usize = 64;

/// The values under known names.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    known: Vec<Known<'a>>,
    flattened: Vec<Flattened<'a>>,
}

/// A value of a field.
#[derive(Debug)]
struct Known<'a> {
    field: Field,
    /// Where several names of a field are there, the lowest rank counts.
    rank: u8,
    value: Value<'a>,
}

/// A value of an attribute of a flattened list.
#[derive(Debug)]
struct Flattened<'a> {
    name: FlattenedName,
    value: Value<'a>,
}

/// A part of an element of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListPart<'v, 'a> {
    /// The element.
    pub(super) index: u16,
    /// What the value is of it.
    pub(super) part: Part,
    pub(super) value: &'v Value<'a>,
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
            let there = self.known.iter().any(|one| (one.field, one.rank) == (known.field, known.rank));
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
                self.known.push(Known { field: known.field, rank: known.rank, value });
            }
        } else if let Some(name) = flattened(name) {
            if self.flattened.len() >= FLATTENED_MAX {
                reasons.add(Reason::TooManyAttributes, 1);
            } else if let Some(value) = value(reasons) {
                self.flattened.push(Flattened { name, value });
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
            self.known.push(Known { field: known.field, rank: known.rank, value });
        }
    }

    /// The values of a field, those under the names that count first, first.
    fn values(&self, field: Field) -> impl Iterator<Item = &Value<'a>> {
        let mut values: Vec<_> = self.known.iter().filter(|one| one.field == field).collect();
        values.sort_by_key(|one| one.rank);
        values.into_iter().map(|one| &one.value)
    }

    /// Whether a field has a value.
    pub(super) fn has(&self, field: Field) -> bool {
        self.known.iter().any(|one| one.field == field)
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
    pub(super) fn list(&self, list: List) -> Vec<ListPart<'_, 'a>> {
        let of_list = self.flattened.iter().filter(|one| one.name.list == list);
        let mut parts: Vec<_> =
            of_list.map(|one| ListPart { index: one.name.index, part: one.name.part, value: &one.value }).collect();
        parts.sort_by_key(|one| one.index);
        parts
    }
}
