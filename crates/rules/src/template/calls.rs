//! Finds calls that always fail, before a Jinja text is stored: calls with invalid arguments, values that do not fit
//! their pattern, and literals where an operator needs a number.
//!
//! Each call is tried by itself. Literals in the text are used as they are; everything else is replaced by a sample of
//! each type, in turn. A call with unknown parts is only rejected for the number and names of its arguments, and a
//! pattern if no sample fits. Everything else fails when it is rendered.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::{Tuple, Value};
use minijinja::{Environment, Error, ErrorKind};

use super::engine_error::error_text;
use super::error::{TemplateError, excerpt};
use super::sandbox::{PERCENT, is_test_name, operand_end, operand_start};
use super::scan::{Kind, Piece, Tag, Token, pieces};

/// Most calls of one text that are tried; equal ones are tried once. Others fail when they are rendered.
const TRIED_MAX: usize = 200;
/// Most unknown arguments of a pattern that are given samples of different types.
const MIXED_MAX: u32 = 3;
/// Most values of a sample for a pattern.
const VALUES_MAX: usize = 20;
/// The name of an unknown value, followed by a number.
const UNKNOWN: &str = "__unknown";
/// Functions of the engine.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];
/// Operators for numbers only.
const NUMERIC: [&str; 5] = ["*", "/", "//", "**", "-"];

/// Rejects what always fails.
///
/// # Errors
/// The first failure, with its place.
pub(super) fn check(text: &str, environment: &dyn Fn() -> Environment<'static>) -> Result<(), TemplateError> {
    let mut tags = Vec::new();
    for piece in pieces(text) {
        if let Piece::Tag(tag) = piece? {
            tags.push(tag);
        }
    }
    let macros = macros(&tags);
    let (engine, mut tried) = (environment(), BTreeSet::new());
    for tag in &tags {
        let calls = Calls { text, tokens: &tag.tokens, macros: &macros };
        for index in 0..tag.tokens.len() {
            calls.operator(index)?;
            calls.of_macro(index)?;
            let Some(call) = calls.at(index) else { continue };
            if tried.len() >= TRIED_MAX || !tried.insert(call.expression.clone()) {
                continue;
            }
            // An engine that was used for other calls may fail because of that.
            if call.error(&engine).is_some()
                && let Some(error) = call.error(&environment())
            {
                let message = format!("`{}` always fails here: {}", excerpt(call.name), error_text(&error));
                return Err(TemplateError::at(text, call.at, message));
            }
        }
    }
    Ok(())
}

/// The macros of a text with a single definition, and their parameters.
fn macros<'t>(tags: &[Tag<'t>]) -> BTreeMap<&'t str, Vec<&'t str>> {
    let mut macros = BTreeMap::new();
    let mut others = BTreeSet::new();
    for tag in tags {
        let tokens = tag.tokens.get(1..).unwrap_or_default();
        match (tag.keyword(), tokens.split_first()) {
            ("macro", Some((name, rest))) => {
                let parameters = rest.windows(2).filter_map(|pair| match pair {
                    [before, name] if before.depth == 0 && before.is("(") || before.depth == 1 && before.is(",") => {
                        (name.kind == Kind::Name).then_some(name.text)
                    }
                    _ => None,
                });
                if macros.insert(name.text, parameters.collect()).is_some() {
                    others.insert(name.text);
                }
                others.extend(rest.iter().filter(|token| token.kind == Kind::Name).map(|token| token.text));
            }
            ("set" | "with" | "for", _) => {
                others.extend(tokens.iter().filter(|token| token.kind == Kind::Name).map(|token| token.text));
            }
            _ => {}
        }
    }
    macros.retain(|name, _| !others.contains(name));
    macros
}

/// A call that can be tried by itself.
struct Call<'t> {
    name: &'t str,
    at: usize,
    /// The expression to evaluate.
    expression: String,
    /// The placeholder of the called value, if it is unknown.
    receiver: Option<Vec<Value>>,
    /// The placeholder of each unknown argument.
    samples: Vec<Value>,
    /// Number of unknown arguments.
    unknown: u32,
    /// Whether it must work for some samples, and not only accept the number of arguments.
    pattern: bool,
}

impl Call<'_> {
    /// Why it always fails; absent if it may work.
    fn error(&self, engine: &Environment<'_>) -> Option<Error> {
        let expression = engine.compile_expression(&self.expression).ok()?;
        let literal = self.receiver.is_none() && self.unknown == 0;
        let mixed = self.pattern && (1..=MIXED_MAX).contains(&self.unknown);
        let rounds = match self.unknown {
            0 => 1,
            unknown if mixed => self.samples.len().saturating_pow(unknown),
            _ => self.samples.len(),
        };
        let nothing = [Value::UNDEFINED];
        let mut found = None;
        for receiver in self.receiver.as_deref().unwrap_or(&nothing) {
            for round in 0..rounds {
                let mut context = BTreeMap::from([(UNKNOWN.to_owned(), receiver.clone())]);
                let mut rest = round;
                for number in 0..self.unknown {
                    let sample = self.samples.get(rest.checked_rem(self.samples.len()).unwrap_or(0));
                    context.insert(format!("{UNKNOWN}{number}"), sample.cloned().unwrap_or_default());
                    rest = if mixed { rest.checked_div(self.samples.len()).unwrap_or(0) } else { rest };
                }
                let Err(error) = expression.eval(context) else { return None };
                let counts = matches!(error.kind(), ErrorKind::TooManyArguments | ErrorKind::MissingArgument)
                    || matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest) && self.unknown == 0;
                if found.is_none() && (counts || literal || self.pattern) {
                    found = Some(error);
                }
            }
        }
        found
    }
}

/// The calls of one tag.
struct Calls<'a, 't> {
    text: &'t str,
    tokens: &'a [Token<'t>],
    macros: &'a BTreeMap<&'t str, Vec<&'t str>>,
}

impl<'a, 't> Calls<'a, 't> {
    fn token(&self, index: usize) -> Option<&'a Token<'t>> {
        self.tokens.get(index)
    }

    fn before(&self, index: usize, distance: usize) -> Option<&'a Token<'t>> {
        index.checked_sub(distance).and_then(|at| self.token(at))
    }

    fn is(&self, index: usize, operator: &str) -> bool {
        self.token(index).is_some_and(|token| token.is(operator))
    }

    fn refuse<T>(&self, token: &Token<'_>, message: String) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.text, token.at, message))
    }

    /// Whether a value ends with this token: no call, lookup or filter follows.
    fn stands_alone(&self, index: usize) -> bool {
        !["|", ".", "[", "("].iter().any(|operator| self.is(index.saturating_add(1), operator))
    }

    /// Rejects a string literal beside an operator for numbers.
    fn operator(&self, index: usize) -> Result<(), TemplateError> {
        let (Some(token), next) = (self.token(index), index.saturating_add(1)) else { return Ok(()) };
        let text = |token: Option<&Token<'_>>| token.is_some_and(|token| token.kind == Kind::String);
        let number = |token: Option<&Token<'_>>| token.is_some_and(|token| token.kind == Kind::Number);
        let (left, right, alone) = (self.before(index, 1), self.token(next), self.stands_alone(next));
        if token.kind == Kind::Operator && NUMERIC.contains(&token.text) && (text(left) || (text(right) && alone)) {
            let message = format!("`{}` needs numbers, and this is a string; strings cannot be repeated", token.text);
            return self.refuse(token, message);
        }
        let joins = |token: Option<&Token<'_>>| token.is_some_and(|token| token.is("~"));
        let mixed = text(left) && number(right) && !joins(self.token(next.saturating_add(1)))
            || number(left) && text(right) && !joins(self.before(index, 2));
        if token.is("+") && mixed && alone {
            return self.refuse(token, "`+` adds numbers or joins strings; use `~` to join both".to_owned());
        }
        Ok(())
    }

    /// Rejects arguments that a macro of the text does not take, and calls of a loop.
    fn of_macro(&self, index: usize) -> Result<(), TemplateError> {
        let (Some(token), open) = (self.token(index), index.saturating_add(1)) else { return Ok(()) };
        let is_part = self
            .before(index, 1)
            .is_some_and(|before| [".", "|"].iter().any(|operator| before.is(operator)) || before.named("macro"));
        if token.kind != Kind::Name || !self.is(open, "(") || is_part || is_test_name(self.tokens, index) {
            return Ok(());
        }
        if token.text == "loop" {
            return self.refuse(token, "recursive loops are not available".to_owned());
        }
        let Some(parameters) = self.macros.get(token.text) else { return Ok(()) };
        let name = excerpt(token.text);
        let mut given = BTreeSet::new();
        for (place, argument) in self.arguments(open).enumerate() {
            let parameter = match argument {
                [named, equals, ..] if equals.is("=") => parameters.iter().find(|one| **one == named.text),
                _ => parameters.get(place),
            };
            let Some(parameter) = parameter else {
                let takes = parameters.join(", ");
                return self
                    .refuse(token, format!("the macro `{name}` takes ({}), not this argument", excerpt(&takes)));
            };
            if !given.insert(*parameter) {
                return self
                    .refuse(token, format!("the macro `{name}` gets its argument `{}` twice", excerpt(parameter)));
            }
        }
        Ok(())
    }

    /// The call whose name, or `%`, is this token.
    fn at(&self, index: usize) -> Option<Call<'t>> {
        let (token, open) = (self.token(index)?, index.saturating_add(1));
        if token.is("%") {
            return self.percent(index);
        }
        if token.kind != Kind::Name {
            return None;
        }
        let before = self.before(index, 1);
        let mut call = Call {
            name: token.text,
            at: token.at,
            expression: String::new(),
            receiver: None,
            samples: samples(),
            unknown: 0,
            pattern: false,
        };
        let called = self.is(open, "(");
        let name = token.text;
        if before.is_some_and(|before| before.is("|"))
            || index == 1 && before.is_some_and(|before| before.named("filter"))
        {
            let receiver = self.receiver(&mut call, index);
            call.pattern = name == "format" && call.receiver.is_none();
            let arguments = if called { self.written(&mut call, open) } else { String::new() };
            call.expression = format!("{receiver}|{name}({arguments})");
        } else if before.is_some_and(|before| before.is(".")) && called {
            if self.before(index, 2).is_some_and(|owner| owner.named("loop")) {
                return None;
            }
            let receiver = self.receiver(&mut call, index);
            call.pattern = name == "format" && call.receiver.is_none() && !looks_inside(&receiver);
            let arguments = self.written(&mut call, open);
            call.expression = format!("{receiver}.{name}({arguments})");
        } else if is_test_name(self.tokens, index) {
            call.receiver = Some(samples());
            let arguments = if called { self.written(&mut call, open) } else { self.operand(&mut call, open) };
            let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
            call.expression = format!("{UNKNOWN} is {name}{arguments}");
        } else if called && FUNCTIONS.contains(&name) && !self.macros.contains_key(name) {
            let arguments = self.written(&mut call, open);
            call.expression = format!("{name}({arguments})");
        } else {
            return None;
        }
        Some(call)
    }

    /// The value that a filter or method is used on: a literal, or a sample.
    fn receiver(&self, call: &mut Call<'t>, index: usize) -> String {
        let last = index.checked_sub(2);
        let start = last.and_then(|last| operand_start(self.tokens, last));
        let owner = start.zip(last).map(|(start, last)| {
            let tokens = self.tokens.get(..=last).unwrap_or_default();
            tokens.iter().position(|token| token.at == start).and_then(|first| tokens.get(first..)).unwrap_or_default()
        });
        if let Some(literal) = owner.and_then(|owner| self.literal(owner)) {
            return format!("({literal})");
        }
        call.receiver = Some(samples());
        UNKNOWN.to_owned()
    }

    /// The arguments after a bracket.
    fn arguments(&self, open: usize) -> impl Iterator<Item = &'a [Token<'t>]> + use<'a, 't> {
        let bracket = self.token(open);
        let (mate, depth) = bracket.map_or((open, 0), |bracket| (bracket.mate, bracket.depth.saturating_add(1)));
        let inside = self.tokens.get(open.saturating_add(1)..mate).unwrap_or_default();
        inside.split(move |token| token.depth == depth && token.is(",")).filter(|argument| !argument.is_empty())
    }

    /// The same for a trial: literals as written, samples for all others.
    fn written(&self, call: &mut Call<'t>, open: usize) -> String {
        let mut written = String::new();
        for argument in self.arguments(open) {
            let value = match argument {
                [name, equals, value @ ..] if equals.is("=") => {
                    written.push_str(name.text);
                    written.push('=');
                    value
                }
                value => value,
            };
            match self.literal(value) {
                Some(literal) => written.push_str(literal),
                None => written.push_str(&next_unknown(call)),
            }
            written.push(',');
        }
        written
    }

    /// The argument of a test without brackets: `x is divisibleby 3`.
    fn operand(&self, call: &mut Call<'t>, index: usize) -> String {
        let ends = ["and", "or", "not", "is", "in", "if", "else", "recursive"];
        match self.token(index) {
            Some(token) if token.kind == Kind::Name && ends.contains(&token.text) => String::new(),
            Some(token) if matches!(token.kind, Kind::String | Kind::Number) && self.stands_alone(index) => {
                token.text.to_owned()
            }
            Some(token) if token.kind != Kind::Operator || token.is("[") || token.is("{") => next_unknown(call),
            _ => String::new(),
        }
    }

    /// `'…' % value`, as the filter that stands for it.
    fn percent(&self, index: usize) -> Option<Call<'t>> {
        let last =
            index.checked_sub(1).filter(|last| self.token(*last).is_some_and(|token| token.kind == Kind::String))?;
        let pattern = self.text.get(operand_start(self.tokens, last)?..self.token(last)?.end())?;
        let end = operand_end(self.tokens, index.saturating_add(1))?;
        let operand = self.tokens.get(index.saturating_add(1)..)?;
        let operand: Vec<Token<'t>> = operand.iter().take_while(|token| token.at < end).copied().collect();
        let token = self.token(index)?;
        let mut call = Call {
            name: token.text,
            at: token.at,
            expression: String::new(),
            receiver: None,
            samples: scalars(),
            unknown: 0,
            pattern: true,
        };
        let open = index.saturating_add(1);
        let is_whole = self.is(open, "(") && self.token(open)?.mate == index.saturating_add(operand.len());
        let depth = self.token(open).map_or(0, |open| open.depth.saturating_add(1));
        let is_tuple = is_whole && operand.iter().any(|token| token.depth == depth && token.is(","));
        let value = if let Some(literal) = self.literal(&operand) {
            literal.to_owned()
        } else if is_tuple {
            self.written(&mut call, open)
        } else {
            call.samples.extend(whole_arguments(pattern));
            next_unknown(&mut call)
        };
        call.expression = format!("({pattern})|{PERCENT}(({value}))");
        Some(call)
    }

    /// A literal as written; absent for an expression with unknown parts.
    fn literal(&self, tokens: &[Token<'_>]) -> Option<&'t str> {
        let known = |token: &Token<'_>| match token.kind {
            Kind::String | Kind::Number => true,
            Kind::Operator => ["[", "]", "(", ")", "{", "}", ",", ":", "-"].contains(&token.text),
            Kind::Name => ["true", "True", "false", "False", "none", "None"].contains(&token.text),
        };
        let (first, last) = (tokens.first()?, tokens.last()?);
        tokens.iter().all(known).then(|| self.text.get(first.at..last.end())).flatten()
    }
}

fn next_unknown(call: &mut Call<'_>) -> String {
    let name = format!("{UNKNOWN}{}", call.unknown);
    call.unknown = call.unknown.saturating_add(1);
    name
}

/// A value of each type, the most accepted ones first.
fn samples() -> Vec<Value> {
    let mut samples = scalars();
    samples.insert(1, Value::from(vec!["a"]));
    samples.insert(2, Value::from(BTreeMap::from([("a", "a")])));
    samples
}

/// A text and numbers.
fn scalars() -> Vec<Value> {
    vec![Value::from("a"), Value::from(1), Value::from(1.5)]
}

/// The value after the `%` of a pattern: a mapping of all its names, or the required number of values.
fn whole_arguments(pattern: &str) -> Vec<Value> {
    let names = pattern.split("%(").skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name.to_owned());
    let names: Vec<String> = names.take(VALUES_MAX).collect();
    let all = |value: &Value| names.iter().map(|name| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>();
    let count = pattern.matches('%').count().min(VALUES_MAX);
    let mut wholes: Vec<Value> = scalars().iter().map(|value| Value::from(all(value))).collect();
    wholes.extend((0..=count).map(|count| Value::from(Tuple::from(vec![Value::from(1); count]))));
    wholes
}

/// Whether a pattern of `format` looks something up in its arguments, as in `{0.name}`.
fn looks_inside(pattern: &str) -> bool {
    let mut fields = pattern.split('{').skip(1).map(|rest| rest.split(['}', ':', '!']).next().unwrap_or_default());
    fields.any(|field| field.contains(['.', '[']))
}
