//! Python: subclasses of the client's classes that exist for type checkers alone.
//!
//! At run time the module has the client's own classes, and nothing else. The methods that fill in a prompt are written
//! once, and take the arguments of the signature that their prompt has: pyright counts what a file declares, and takes
//! about 30,000 assignments, classes, fields and methods. A prompt costs it six of them, beside its output. A type of an object is a class where its keys are
//! plain names; otherwise it is written as a call, whose values are quoted so that they can refer to later types. Such a
//! quotation has no escape sequences, which type checkers refuse: literals in it get names of their own.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::schema::{Field, Type};
use super::{TypedPrompt, TypedVariable, ValueType, stem, unique};
use crate::model::name::{Label, PRODUCTION};

/// Names that a file uses for other things.
const TAKEN: [&str; 25] = [
    "Any",
    "AsyncBookholder",
    "AsyncPrompt",
    "Bookholder",
    "Callable",
    "Generic",
    "Literal",
    "Mapping",
    "Message",
    "Never",
    "NoVariables",
    "None",
    "NotRequired",
    "Output",
    "ParamSpec",
    "Prompt",
    "PromptName",
    "Protocol",
    "Sequence",
    "Signature",
    "TypeAlias",
    "TypedAsyncPrompt",
    "TypedDict",
    "TypedPrompt",
    "Variables",
];
/// Words that are no names in Python.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
/// Names of types: a field of that name would hide them from the fields below it.
const HIDING: [&str; 8] = ["bool", "dict", "float", "int", "list", "object", "str", "tuple"];
/// The methods that fill in a prompt, with what they return; the last ones also work without values.
const FILLING: [(&str, &str, bool); 6] = [
    ("render", "Any", false),
    ("text", "str", false),
    ("messages", "list[Message]", false),
    ("openai", "dict[str, Any]", true),
    ("responses", "dict[str, Any]", true),
    ("anthropic", "dict[str, Any]", true),
];

/// What the client's `prompt` takes besides the reference.
const OPTIONS: &str = "subject: str | None = None, attributes: Mapping[str, str] | None = None, fallback: Any = None";

/// How many prompts of the same type share an overload: type checkers print overloads when none fits.
const SHARING_MAX: usize = 20;
/// The type of a prompt that takes no variables and has no output.
const PLAIN: &str = "NoVariables, Any";

/// The source text below the header.
pub(super) fn write(label: &Label, prompts: &[TypedPrompt]) -> String {
    let mut writer =
        Writer { taken: TAKEN.iter().map(|name| (*name).to_owned()).collect(), definitions: String::new() };
    let (mut typed, mut plain) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let references = references(label, &prompt.name);
        match writer.prompt(prompt) {
            Some(kind) => typed.push((references, kind)),
            None => plain.push(references),
        }
    }
    typed.extend(plain.chunks(SHARING_MAX).map(|shared| (shared.join(", "), PLAIN.to_owned())));
    // An overload alone is no overload.
    let mark = if typed.len() > 1 { "        @overload\n" } else { "" };
    let [sync, asynchronous] = [("def", "TypedPrompt"), ("async def", "TypedAsyncPrompt")].map(|(define, class)| {
        let mut overloads = String::new();
        for (references, kind) in &typed {
            let _ = write!(
                overloads,
                "{mark}        {define} prompt(\n            self, reference: Literal[{references}], /, *, {OPTIONS}\n        ) -> {class}[{kind}]: ...\n"
            );
        }
        if overloads.is_empty() { "        pass\n".to_owned() } else { overloads }
    });
    let names: Vec<String> = prompts.iter().map(|prompt| literal(&prompt.name)).collect();
    let names = if names.is_empty() {
        "Never".to_owned()
    } else {
        format!("Literal[\n        {},\n    ]", names.join(",\n        "))
    };
    format!(
        "\
# mypy: disable-error-code=\"override, no-overload-impl\"
# ruff: noqa
# pyright: reportIncompatibleMethodOverride=false, reportNoOverloadImplementation=false, reportUnusedImport=false
from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [\"AsyncBookholder\", \"Bookholder\"]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, overload

    import bookholder
    from typing_extensions import Never, NotRequired, ParamSpec

    Message: TypeAlias = dict[str, Any]
    PromptName: TypeAlias = {names}

    Variables = ParamSpec(\"Variables\")
    Signature = TypeVar(\"Signature\", covariant=True)
    Output = TypeVar(\"Output\", covariant=True)
{prompt}{async_prompt}
    class NoVariables(Protocol):
        def __call__(self, variables: Mapping[str, Never] | None = None, /) -> Any: ...
{definitions}
    class Bookholder(bookholder.Bookholder):
{sync}
    class AsyncBookholder(bookholder.AsyncBookholder):
{asynchronous}
else:
    from bookholder import AsyncBookholder, Bookholder
",
        prompt = class("TypedPrompt", "bookholder.Prompt", "def"),
        async_prompt = class("TypedAsyncPrompt", "bookholder.AsyncPrompt", "async def"),
        definitions = writer.definitions
    )
}

/// A class of prompts: it takes the arguments of a signature, and has an output.
fn class(name: &str, base: &str, define: &str) -> String {
    let mut text = format!("\n    class {name}({base}, Generic[Signature, Output]):\n");
    for (method, returns, works_alone) in FILLING {
        let mark = if works_alone { "        @overload\n" } else { "" };
        if works_alone {
            let _ = writeln!(text, "{mark}        {define} {method}(self) -> {returns}: ...");
        }
        let _ = write!(
            text,
            "{mark}        {define} {method}(\n            self: {name}[Callable[Variables, Any], Any], *args: Variables.args, **named: Variables.kwargs\n        ) -> {returns}: ...\n"
        );
    }
    text.push_str("        def parse(self, response: Any) -> Output: ...\n");
    text
}

/// The references of a prompt that are typed: alone, and with the label.
fn references(label: &Label, name: &str) -> String {
    let mut references = [literal(name), literal(&format!("{name}@{label}"))];
    if label.as_str() != PRODUCTION {
        references.rotate_left(1);
    }
    references.join(", ")
}

struct Writer {
    taken: BTreeSet<String>,
    definitions: String,
}

/// Whether an expression is an annotation of a class, which is never evaluated, or has to be quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Annotation,
    Quotation,
}

impl Writer {
    fn name(&mut self, wanted: &str) -> String {
        unique(&mut self.taken, wanted)
    }

    /// Defines the types of a prompt, and returns its signature and output; none if it has neither.
    fn prompt(&mut self, prompt: &TypedPrompt) -> Option<String> {
        let takes_none = prompt.variables.is_empty() && prompt.lists.is_empty();
        if takes_none && prompt.out.is_none() {
            return None;
        }
        let signature = if takes_none { "NoVariables".to_owned() } else { self.signature(prompt) };
        let out = match &prompt.out {
            None => "Any".to_owned(),
            Some(out) => {
                let name = self.name(&format!("{}Output", prompt.stem));
                let names: Vec<String> =
                    out.named.iter().map(|one| self.name(&format!("{}{}", prompt.stem, one.hint))).collect();
                for (name, one) in names.iter().zip(&out.named) {
                    self.define(name, &one.kind, &names);
                }
                self.define(&name, &out.out(), &names);
                name
            }
        };
        Some(format!("{signature}, {out}"))
    }

    /// What a prompt takes, as something that can be called: variables, and lists for placeholders.
    fn signature(&mut self, prompt: &TypedPrompt) -> String {
        let signature = self.name(&format!("{}Signature", prompt.stem));
        let variable = |one: &TypedVariable| (one.name.clone(), one.required, values(one), one.description.clone());
        let lists = prompt.lists.iter();
        let lists = lists.map(|list| (list.clone(), false, "Sequence[Mapping[str, Any]]".to_owned(), String::new()));
        let fields: Vec<_> = prompt.variables.iter().map(variable).chain(lists).collect();
        let mut whole = String::new();
        if fields.iter().all(|(name, ..)| is_argument(name)) {
            let mut taken: BTreeSet<String> = fields.iter().map(|(name, ..)| name.clone()).collect();
            // Type checkers want another name to begin with `_`.
            let itself = if taken.contains("self") { "_self" } else { "self" };
            let itself = unique(&mut taken, itself);
            let variables = unique(&mut taken, "variables");
            let _ = writeln!(whole, "\n            {itself}, {variables}: None = None, /, *,");
            for (name, required, kind, description) in &fields {
                if !description.is_empty() {
                    let _ = writeln!(whole, "            # - {description}");
                }
                let _ = writeln!(whole, "            {name}: {kind}{},", if *required { "" } else { " = ..." });
            }
            whole.push_str("        ");
        } else {
            let name = self.name(&format!("{}Variables", prompt.stem));
            self.typed_dict(&name, &fields);
            let optional = if fields.iter().any(|(_, required, ..)| *required) { "" } else { " | None = None" };
            let _ = write!(whole, "self, variables: {name}{optional}, /");
        }
        let _ =
            write!(self.definitions, "\n    class {signature}(Protocol):\n        def __call__({whole}) -> Any: ...\n");
        signature
    }

    /// Defines a type by this name.
    fn define(&mut self, name: &str, kind: &Type, names: &[String]) {
        if let Type::Object(fields) = kind {
            return self.object(name, fields, names);
        }
        let shown = self.shown(kind, name, names, Place::Quotation);
        let _ = write!(self.definitions, "\n    {name}: TypeAlias = \"{shown}\"\n");
    }

    fn object(&mut self, name: &str, fields: &[Field], names: &[String]) {
        let is_plain = fields.iter().all(|field| is_plain(&field.name));
        let place = if is_plain { Place::Annotation } else { Place::Quotation };
        let mut shown = Vec::with_capacity(fields.len());
        // Type checkers refuse a key without characters.
        for field in fields.iter().filter(|field| !field.name.is_empty()) {
            let kind = self.shown(&field.kind, &format!("{name}{}", stem(&field.name)), names, place);
            shown.push((field.name.clone(), field.required, kind, field.description.clone()));
        }
        self.typed_dict(name, &shown);
    }

    /// Writes a type of an object: the name, whether it is required, the type and the description of each field.
    fn typed_dict(&mut self, name: &str, fields: &[(String, bool, String, String)]) {
        let kind = |required: bool, kind: &str| if required { kind.to_owned() } else { format!("NotRequired[{kind}]") };
        let mut text = String::new();
        if fields.iter().all(|(name, ..)| is_plain(name)) {
            let _ = write!(text, "\n    class {name}(TypedDict):\n");
            if fields.is_empty() {
                text.push_str("        pass\n");
            }
            for (field, required, shown, description) in fields {
                if !description.is_empty() {
                    let _ = writeln!(text, "        # - {description}");
                }
                let _ = writeln!(text, "        {field}: {}", kind(*required, shown));
            }
        } else {
            let _ = write!(text, "\n    {name} = TypedDict(\n        \"{name}\",\n        {{\n");
            for (field, required, shown, _) in fields {
                let _ = writeln!(text, "            {}: \"{}\",", literal(field), kind(*required, shown));
            }
            text.push_str("        },\n    )\n");
        }
        self.definitions.push_str(&text);
    }

    /// A type as an expression; objects within it are defined by names that begin like this one.
    fn shown(&mut self, kind: &Type, name: &str, names: &[String], place: Place) -> String {
        match kind {
            Type::Any => "Any".to_owned(),
            Type::Null => "None".to_owned(),
            Type::Boolean => "bool".to_owned(),
            Type::Integer => "int".to_owned(),
            Type::Number => "float".to_owned(),
            Type::String => "str".to_owned(),
            Type::Literal(_) => self.literals(std::slice::from_ref(kind), name, place),
            Type::Array(items) => format!("list[{}]", self.shown(items, &format!("{name}Item"), names, place)),
            Type::Map(values) => format!("dict[str, {}]", self.shown(values, &format!("{name}Value"), names, place)),
            Type::Object(fields) => {
                let own = self.name(name);
                self.object(&own, fields, names);
                own
            }
            Type::Union(arms) => {
                let (literals, others): (Vec<_>, Vec<_>) =
                    arms.iter().cloned().partition(|arm| matches!(arm, Type::Literal(_)));
                let mut shown = Vec::new();
                if !literals.is_empty() {
                    shown.push(self.literals(&literals, name, place));
                }
                for arm in &others {
                    shown.push(self.shown(arm, name, names, place));
                }
                shown.join(" | ")
            }
            Type::Named(place) => names.get(*place).cloned().unwrap_or_else(|| "Any".to_owned()),
        }
    }

    /// Constants: as they are, or by a name.
    fn literals(&mut self, literals: &[Type], name: &str, place: Place) -> String {
        let shown = literals.iter().filter_map(|one| match one {
            Type::Literal(value) => Some(match (value.as_str(), value.as_bool()) {
                (Some(text), _) => literal(text),
                (None, Some(yes)) => if yes { "True" } else { "False" }.to_owned(),
                (None, None) => value.to_string(),
            }),
            _ => None,
        });
        let expression = format!("Literal[{}]", shown.collect::<Vec<_>>().join(", "));
        if place == Place::Annotation {
            return expression;
        }
        let own = self.name(&format!("{name}Literal"));
        let _ = write!(self.definitions, "\n    {own}: TypeAlias = {expression}\n");
        own
    }
}

/// A text as a string literal of printable ASCII.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            ' '..='~' => literal.push(character),
            _ => {
                let _ = write!(literal, "\\U{:08x}", u32::from(character));
            }
        }
    }
    literal.push('"');
    literal
}

fn values(variable: &TypedVariable) -> String {
    let shown = variable.values.iter().map(|value| match value {
        ValueType::String => "str",
        ValueType::Number => "float",
        ValueType::Boolean => "bool",
        ValueType::Printable => "str | float | bool",
        ValueType::Array => "list[Any] | tuple[Any, ...]",
        ValueType::Object => "Mapping[str, Any]",
        ValueType::Any => "object",
    });
    shown.collect::<Vec<_>>().join(" | ")
}

/// Whether a name can be that of an argument of a method; one that begins with `__` becomes another one there.
fn is_argument(name: &str) -> bool {
    is_identifier(name) && !name.starts_with("__")
}

/// Whether a name can be given as `name=value`.
fn is_identifier(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !KEYWORDS.contains(&name)
}

/// Whether a name can be that of a field of a class, without a meaning of its own.
fn is_plain(name: &str) -> bool {
    is_argument(name) && !HIDING.contains(&name) && !name.starts_with(|first: char| first.is_ascii_uppercase())
}
