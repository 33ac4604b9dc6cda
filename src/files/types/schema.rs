//! JSON Schema as types: objects, arrays, enumerations, constants, unions and references within the schema. Whatever
//! else a schema says is of any type: a type never promises more than the schema does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Most named types of one schema; references beyond that are of any type.
const NAMED_MAX: usize = 256;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Any,
    Null,
    Boolean,
    Integer,
    Number,
    String,
    /// A string, a number, a boolean or null.
    Literal(Value),
    Array(Box<Type>),
    /// An object with any keys, whose values have this type.
    Map(Box<Type>),
    Object(Vec<Field>),
    Union(Vec<Type>),
    /// One of the named types.
    Named(usize),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) kind: Type,
    pub(super) description: String,
}

/// The types of the outputs of a prompt: their union, and the types that it refers to.
#[derive(Clone, Debug, Default)]
pub(super) struct TypeSet {
    outs: Vec<Type>,
    pub(super) named: Vec<NamedType>,
}

/// A type that others refer to, also itself.
#[derive(Clone, Debug)]
pub(super) struct NamedType {
    /// The last part of its address in the schema.
    pub(super) hint: String,
    pub(super) kind: Type,
}

impl TypeSet {
    /// Adds an output.
    pub(super) fn add(&mut self, schema: &Value) {
        let mut reader = SchemaReader { root: schema, known: BTreeMap::new(), named: &mut self.named };
        let out = reader.read(schema, &BTreeSet::new());
        self.outs.push(out);
    }

    /// The union of the outputs.
    pub(super) fn out(&self) -> Type {
        union(self.outs.clone())
    }
}

/// Reads one schema.
struct SchemaReader<'a> {
    root: &'a Value,
    /// The named types of this schema, by their address.
    known: BTreeMap<String, usize>,
    named: &'a mut Vec<NamedType>,
}

/// Words that say something about values; beside a union or a reference they would narrow it.
const NARROWING: [&str; 11] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "items",
    "prefixItems",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
];

impl SchemaReader<'_> {
    /// The type of a schema. `within` has the references that lead here without an object or an array between them: such
    /// a circle means nothing.
    fn read(&mut self, schema: &Value, within: &BTreeSet<String>) -> Type {
        let Value::Object(schema) = schema else { return Type::Any };
        let kind = self.read_object(schema, within);
        if schema.get("nullable") == Some(&Value::Bool(true)) { union(vec![kind, Type::Null]) } else { kind }
    }

    fn read_object(&mut self, schema: &Map<String, Value>, within: &BTreeSet<String>) -> Type {
        let narrowing = NARROWING.iter().filter(|word| schema.contains_key(**word)).count();
        for word in ["$ref", "anyOf", "oneOf", "allOf", "enum", "const"] {
            let Some(said) = schema.get(word) else { continue };
            if narrowing > 1 {
                return Type::Any;
            }
            return match (word, said) {
                ("$ref", Value::String(address)) => self.refer(address, within),
                ("anyOf" | "oneOf", Value::Array(arms)) if !arms.is_empty() => {
                    union(arms.iter().map(|arm| self.read(arm, within)).collect())
                }
                ("allOf", Value::Array(parts)) => match parts.as_slice() {
                    [one] => self.read(one, within),
                    _ => Type::Any,
                },
                ("enum", Value::Array(values)) if !values.is_empty() => union(values.iter().map(literal).collect()),
                ("const", value) => literal(value),
                _ => Type::Any,
            };
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.read_kind(kind, schema),
            Some(Value::Array(kinds)) if !kinds.is_empty() => {
                let kinds =
                    kinds.iter().map(|kind| kind.as_str().map_or(Type::Any, |kind| self.read_kind(kind, schema)));
                union(kinds.collect())
            }
            None if schema.contains_key("properties") => self.read_kind("object", schema),
            None if schema.contains_key("items") => self.read_kind("array", schema),
            _ => Type::Any,
        }
    }

    fn read_kind(&mut self, kind: &str, schema: &Map<String, Value>) -> Type {
        let nothing = BTreeSet::new();
        match kind {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::String,
            "array" => {
                let is_tuple = schema.contains_key("prefixItems");
                let items = schema.get("items").filter(|_| !is_tuple);
                Type::Array(Box::new(items.map_or(Type::Any, |items| self.read(items, &nothing))))
            }
            "object" => self.read_fields(schema),
            _ => Type::Any,
        }
    }

    fn read_fields(&mut self, schema: &Map<String, Value>) -> Type {
        let nothing = BTreeSet::new();
        let required: BTreeSet<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields = Vec::new();
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let description = field.get("description").and_then(Value::as_str).map(super::comment).unwrap_or_default();
            let (required, kind) = (required.contains(name.as_str()), self.read(field, &nothing));
            fields.push(Field { name: name.clone(), required, kind, description });
        }
        let known: BTreeSet<String> = fields.iter().map(|field| field.name.clone()).collect();
        for name in required.iter().filter(|name| !known.contains(**name)) {
            let description = String::new();
            fields.push(Field { name: (*name).to_owned(), required: true, kind: Type::Any, description });
        }
        if !fields.is_empty() {
            return Type::Object(fields);
        }
        match (schema.get("additionalProperties"), schema.contains_key("patternProperties")) {
            (Some(Value::Bool(false)), false) => Type::Object(fields),
            (Some(values @ Value::Object(_)), false) => Type::Map(Box::new(self.read(values, &nothing))),
            _ => Type::Map(Box::new(Type::Any)),
        }
    }

    /// The type at an address within the schema.
    fn refer(&mut self, address: &str, within: &BTreeSet<String>) -> Type {
        if within.contains(address) {
            return Type::Any;
        }
        if let Some(known) = self.known.get(address) {
            return Type::Named(*known);
        }
        let root = self.root;
        let Some(target) = address.strip_prefix('#').and_then(|pointer| root.pointer(&decoded(pointer))) else {
            return Type::Any;
        };
        if self.named.len() >= NAMED_MAX {
            return Type::Any;
        }
        let place = self.named.len();
        let hint = match address.rsplit_once('/') {
            Some((_, last)) => super::stem(last),
            None => "Root".to_owned(),
        };
        self.named.push(NamedType { hint, kind: Type::Any });
        self.known.insert(address.to_owned(), place);
        let mut within = within.clone();
        within.insert(address.to_owned());
        let kind = self.read(target, &within);
        // A name for another name alone would be a circle for type checkers.
        let kind = if kind == Type::Named(place) { Type::Any } else { kind };
        if let Some(named) = self.named.get_mut(place) {
            named.kind = kind;
        }
        Type::Named(place)
    }
}

/// A JSON pointer from a fragment, which is percent-encoded.
fn decoded(pointer: &str) -> String {
    percent_encoding::percent_decode_str(pointer).decode_utf8_lossy().into_owned()
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::String(_) | Value::Bool(_) => Type::Literal(value.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Type::Literal(value.clone()),
        Value::Number(_) => Type::Number,
        Value::Array(_) | Value::Object(_) => Type::Any,
    }
}

/// The union of types, without those that others include.
fn union(types: Vec<Type>) -> Type {
    let mut arms: Vec<Type> = Vec::new();
    for one in types {
        match one {
            Type::Any => return Type::Any,
            Type::Union(inner) => inner.into_iter().for_each(|one| add(&mut arms, one)),
            one => add(&mut arms, one),
        }
    }
    match arms.len() {
        0 => Type::Any,
        1 => arms.remove(0),
        _ => Type::Union(arms),
    }
}

fn add(arms: &mut Vec<Type>, one: Type) {
    if !arms.contains(&one) {
        arms.push(one);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(schema: &Value) -> (Type, Vec<Type>) {
        let mut set = TypeSet::default();
        set.add(schema);
        (set.out(), set.named.into_iter().map(|named| named.kind).collect())
    }

    fn field(name: &str, required: bool, kind: Type) -> Field {
        Field { name: name.to_owned(), required, kind, description: String::new() }
    }

    #[test]
    fn schema_becomes_the_type_of_its_values() {
        let literals = |values: &[Value]| Type::Union(values.iter().cloned().map(Type::Literal).collect());
        for (schema, expected) in [
            (json!(true), Type::Any),
            (json!({}), Type::Any),
            (json!({"type": "string", "format": "date"}), Type::String),
            (json!({"type": "integer"}), Type::Integer),
            (json!({"type": "future"}), Type::Any),
            (json!({"type": ["string", "null"]}), Type::Union(vec![Type::String, Type::Null])),
            (json!({"type": "number", "nullable": true}), Type::Union(vec![Type::Number, Type::Null])),
            (json!({"enum": ["a", "b", 3, true]}), literals(&[json!("a"), json!("b"), json!(3), json!(true)])),
            (json!({"type": "string", "enum": ["a"]}), Type::Literal(json!("a"))),
            (json!({"enum": [{"a": 1}]}), Type::Any),
            (json!({"const": null}), Type::Null),
            (json!({"const": 1.5}), Type::Number),
            (json!({"type": "array"}), Type::Array(Box::new(Type::Any))),
            (json!({"items": {"type": "string"}}), Type::Array(Box::new(Type::String))),
            (json!({"type": "array", "prefixItems": [{"type": "string"}]}), Type::Array(Box::new(Type::Any))),
            (json!({"type": "object"}), Type::Map(Box::new(Type::Any))),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                Type::Map(Box::new(Type::Integer)),
            ),
            (json!({"type": "object", "additionalProperties": false}), Type::Object(vec![])),
            (
                json!({"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "c"]}),
                Type::Object(vec![
                    field("a", true, Type::String),
                    field("b", false, Type::Any),
                    field("c", true, Type::Any),
                ]),
            ),
            (
                json!({"oneOf": [{"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}]}),
                Type::Union(vec![Type::String, Type::Null]),
            ),
            (json!({"anyOf": [{"type": "string"}], "properties": {}}), Type::Any),
            (json!({"allOf": [{"type": "string"}]}), Type::String),
            (json!({"allOf": [{"type": "string"}, {"minLength": 1}]}), Type::Any),
            (json!({"anyOf": [{"type": "string"}, true]}), Type::Any),
        ] {
            assert_eq!(read(&schema).0, expected, "{schema}");
        }
    }

    #[test]
    fn references_are_named_and_circles_end() {
        let tree = json!({"$defs": {"node": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}, "$ref": "#/$defs/node"});
        let (out, named) = read(&tree);
        assert_eq!(out, Type::Named(0));
        assert_eq!(named, [Type::Object(vec![field("children", false, Type::Array(Box::new(Type::Named(0))))])]);
        for (schema, expected) in [
            (json!({"$ref": "#"}), Type::Any),
            (
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
                Type::Any,
            ),
            (
                json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]}}, "$ref": "#/$defs/a"}),
                Type::Any,
            ),
        ] {
            let (out, named) = read(&schema);
            assert_eq!(out, Type::Named(0), "{schema}");
            assert!(
                named.iter().all(|kind| *kind == expected || matches!(kind, Type::Named(other) if *other > 0)),
                "{named:?}"
            );
        }
        for nowhere in ["https://example.org/a.json", "#/$defs/none", "other.json#/a", "#a", ""] {
            assert_eq!(read(&json!({"$ref": nowhere})).0, Type::Any, "{nowhere}");
        }
        let encoded = json!({"$defs": {"a/b c": {"type": "string"}}, "$ref": "#/$defs/a~1b%20c"});
        assert_eq!(read(&encoded).1, [Type::String]);
    }
}
