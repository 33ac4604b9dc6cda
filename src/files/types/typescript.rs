//! TypeScript: an augmentation of `interface Prompts` of the package `bookholder`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::schema::{Field, Type};
use super::{TypedPrompt, TypedVariable, ValueType, quoted, unique};

/// Spaces of one level.
const INDENT: usize = 4;

/// The source text below the header.
pub(super) fn write(prompts: &[TypedPrompt]) -> String {
    let mut taken = BTreeSet::new();
    let (mut named, mut entries) = (String::new(), String::new());
    for prompt in prompts {
        let names = names_of(prompt, &mut taken);
        let out = prompt.out.as_ref().map(|out| {
            for (name, one) in names.iter().zip(&out.named) {
                let _ = write!(named, "\ntype {name} = {};\n", shown(&one.kind, &names, 0));
            }
            shown(&out.out(), &names, 3)
        });
        entries.push_str(&entry(prompt, out.as_deref()));
    }
    format!(
        "import \"bookholder\";\n{named}\ndeclare module \"bookholder\" {{\n    interface Prompts {{\n{entries}    }}\n}}\n"
    )
}

/// The names of the types that an output refers to.
fn names_of(prompt: &TypedPrompt, taken: &mut BTreeSet<String>) -> Vec<String> {
    let named = prompt.out.iter().flat_map(|out| &out.named);
    named.map(|one| unique(taken, &format!("{}{}", prompt.stem, one.hint))).collect()
}

fn entry(prompt: &TypedPrompt, out: Option<&str>) -> String {
    let mut text = format!("        {}: {{\n            vars: ", quoted(&prompt.name));
    if prompt.variables.is_empty() {
        text.push_str("{};\n");
    } else {
        text.push_str("{\n");
        for variable in &prompt.variables {
            text.push_str(&doc(&variable.description, 4));
            let mark = if variable.required { "" } else { "?" };
            let _ = writeln!(text, "                {}{mark}: {};", key(&variable.name), values(variable));
        }
        text.push_str("            };\n");
    }
    if !prompt.lists.is_empty() {
        let lists: Vec<String> = prompt.lists.iter().map(|list| quoted(list)).collect();
        let _ = writeln!(text, "            lists: {};", lists.join(" | "));
    }
    if let Some(out) = out {
        let _ = writeln!(text, "            out: {out};");
    }
    text.push_str("        };\n");
    text
}

fn values(variable: &TypedVariable) -> String {
    let shown = variable.values.iter().map(|value| match value {
        ValueType::String => "string",
        ValueType::Number => "number",
        ValueType::Boolean => "boolean",
        ValueType::Printable => "string | number | boolean",
        ValueType::Array => "unknown[]",
        ValueType::Object => "{ [key: string]: unknown }",
        ValueType::Any => "unknown",
    });
    shown.collect::<Vec<_>>().join(" | ")
}

/// A type, as text that begins at this level.
fn shown(kind: &Type, names: &[String], level: usize) -> String {
    match kind {
        Type::Any => "unknown".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Integer | Type::Number => "number".to_owned(),
        Type::String => "string".to_owned(),
        Type::Literal(value) => match value.as_str() {
            Some(text) => quoted(text),
            None => value.to_string(),
        },
        Type::Array(items) => {
            let items_shown = shown(items, names, level);
            if matches!(**items, Type::Union(_)) { format!("({items_shown})[]") } else { format!("{items_shown}[]") }
        }
        Type::Map(values) => format!("{{ [key: string]: {} }}", shown(values, names, level)),
        Type::Object(fields) if fields.is_empty() => "{ [key: string]: never }".to_owned(),
        Type::Object(fields) => object(fields, names, level),
        Type::Union(arms) => arms.iter().map(|arm| shown(arm, names, level)).collect::<Vec<_>>().join(" | "),
        Type::Named(place) => names.get(*place).cloned().unwrap_or_else(|| "unknown".to_owned()),
    }
}

fn object(fields: &[Field], names: &[String], level: usize) -> String {
    let mut text = "{\n".to_owned();
    for field in fields {
        text.push_str(&doc(&field.description, level + 1));
        let mark = if field.required { "" } else { "?" };
        let kind = shown(&field.kind, names, level + 1);
        let _ = writeln!(text, "{}{}{mark}: {kind};", indent(level + 1), key(&field.name));
    }
    let _ = write!(text, "{}}}", indent(level));
    text
}

/// A comment that editors show.
fn doc(description: &str, level: usize) -> String {
    if description.is_empty() { String::new() } else { format!("{}/** {description} */\n", indent(level)) }
}

fn indent(level: usize) -> String {
    " ".repeat(level * INDENT)
}

/// The name of a property.
fn key(name: &str) -> String {
    let is_identifier = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_identifier { name.to_owned() } else { quoted(name) }
}
