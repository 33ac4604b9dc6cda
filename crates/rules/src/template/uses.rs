//! What a Jinja text uses: its variables, and which are optional; its filters and tests.
//!
//! The engine's own analysis misses slices and assignments that read what they replace, and takes names assigned in
//! branches of an `if` for variables, so names are tracked here, with the engine's scopes: loops, `with` and macros. A
//! variable is optional if every use handles its absence: `x | default(…)`, `x is defined`, and everything inside `{%
//! if x is defined %}`. The engine checks whether the text is valid.

use std::collections::{BTreeMap, BTreeSet};

use super::error::TemplateError;
use super::methods;
use super::scan::{Kind, Piece, Tag, Token, pieces};

/// Names that the engine provides as functions.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];
/// Names that are not variables.
const KEYWORDS: [&str; 14] =
    ["and", "or", "not", "is", "in", "if", "else", "true", "True", "false", "False", "none", "None", "recursive"];

/// What a text uses.
#[derive(Debug, Default)]
pub(super) struct Uses<'t> {
    /// Its variables, and whether each is optional.
    pub variables: BTreeMap<&'t str, bool>,
    /// Its filters, and the position of the first use of each.
    pub filters: BTreeMap<&'t str, usize>,
    /// Its tests, and the position of the first use of each.
    pub tests: BTreeMap<&'t str, usize>,
    /// The methods that it calls on a variable, or on a string literal.
    pub calls: Vec<Call<'t>>,
}

/// A method call whose object is known before the text runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'t> {
    /// The variable; absent for a string literal.
    pub variable: Option<&'t str>,
    /// Which method.
    pub method: &'t str,
    /// The position of its name.
    pub at: usize,
}

/// Tracks the names of a text.
///
/// # Errors
/// The text cannot be tokenized, or calls something that is not a function.
pub(super) fn uses(text: &str) -> Result<Uses<'_>, TemplateError> {
    let mut walk = Walk {
        text,
        uses: Uses::default(),
        scopes: vec![BTreeSet::new()],
        open: Vec::new(),
        patterns: BTreeSet::new(),
    };
    for piece in pieces(text) {
        if let Piece::Tag(tag) = piece? {
            walk.tag(&tag)?;
        }
    }
    Ok(walk.uses)
}

/// An open block.
enum Open<'t> {
    /// `if`, and the name that is known to be defined in the branch.
    If(Option<&'t str>),
    /// A loop, `with` or macro, with a scope.
    Scope,
    /// `set`, and the name that is assigned at its end.
    Set(Option<&'t str>),
    /// `filter`.
    Filter,
}

struct Walk<'t> {
    text: &'t str,
    uses: Uses<'t>,
    /// Assigned names, innermost scope last.
    scopes: Vec<BTreeSet<&'t str>>,
    open: Vec<Open<'t>>,
    /// Names whose last value was a string literal.
    patterns: BTreeSet<&'t str>,
}

impl<'t> Walk<'t> {
    fn tag(&mut self, tag: &Tag<'t>) -> Result<(), TemplateError> {
        if !tag.statement {
            return self.read(&tag.tokens, None);
        }
        let tokens = tag.tokens.get(1..).unwrap_or_default();
        let outer = |what: &str| tokens.iter().position(|token| token.depth == 0 && token.is(what));
        match tag.keyword() {
            "set" => {
                if let Some(assign) = outer("=") {
                    let (target, value) = tokens.split_at(assign);
                    self.read(value, None)?;
                    if target.iter().any(|token| token.is(".")) {
                        return self.read(target, None);
                    }
                    self.assign(target);
                    if let ([name], [_, value]) = (target, value)
                        && value.kind == Kind::String
                    {
                        self.patterns.insert(name.text);
                    }
                    Ok(())
                } else {
                    let target = tokens.first().filter(|token| token.kind == Kind::Name);
                    self.open.push(Open::Set(target.map(|token| token.text)));
                    self.read(tokens.get(1..).unwrap_or_default(), None)
                }
            }
            "with" => {
                self.push(Open::Scope);
                for assignment in tokens.split(|token| token.depth == 0 && token.is(",")) {
                    let assign = assignment.iter().position(|token| token.depth == 0 && token.is("="));
                    let (target, value) = assignment.split_at(assign.unwrap_or(0));
                    self.read(value, None)?;
                    self.assign(target);
                }
                Ok(())
            }
            "for" => {
                let split = tokens.iter().position(|token| token.depth == 0 && token.named("in"));
                let (target, source) = tokens.split_at(split.unwrap_or(0));
                let condition = source.iter().position(|token| token.depth == 0 && token.named("if"));
                let (source, condition) = source.split_at(condition.unwrap_or(source.len()));
                self.read(source, None)?;
                self.push(Open::Scope);
                self.bind("loop");
                self.assign(target);
                self.read(condition, None)
            }
            "macro" => {
                let Some((name, parameters)) = tokens.split_first() else { return Ok(()) };
                self.assign(std::slice::from_ref(name));
                self.push(Open::Scope);
                for pair in parameters.windows(2) {
                    if let [before, name] = pair
                        && (before.depth == 0 && before.is("(") || before.depth == 1 && before.is(","))
                    {
                        self.assign(std::slice::from_ref(name));
                    }
                }
                self.read(parameters, None)
            }
            "filter" => {
                self.open.push(Open::Filter);
                let Some((name, rest)) = tokens.split_first() else { return Ok(()) };
                self.uses.filters.entry(name.text).or_insert(name.at);
                self.read(rest, None)
            }
            "if" => {
                let tested = tested(tokens);
                self.read(tokens, tested)?;
                self.open.push(Open::If(tested));
                Ok(())
            }
            "elif" => {
                let tested = tested(tokens);
                self.read(tokens, tested)?;
                self.otherwise(tested);
                Ok(())
            }
            "else" => {
                self.otherwise(None);
                Ok(())
            }
            "endif" | "endfor" | "endwith" | "endmacro" | "endfilter" | "endset" => {
                match self.open.pop() {
                    Some(Open::Scope) => {
                        self.scopes.pop();
                    }
                    Some(Open::Set(Some(name))) => self.bind(name),
                    _ => {}
                }
                Ok(())
            }
            _ => self.read(tokens, None),
        }
    }

    fn push(&mut self, open: Open<'t>) {
        self.open.push(open);
        self.scopes.push(BTreeSet::new());
    }

    /// Starts the `else` of an `if` or of a loop.
    fn otherwise(&mut self, tested: Option<&'t str>) {
        match self.open.last_mut() {
            Some(Open::If(name)) => *name = tested,
            Some(Open::Scope) => {
                if let Some(scope) = self.scopes.last_mut() {
                    scope.clear();
                }
            }
            _ => {}
        }
    }

    /// Records a method call, or `%`, at this token, if its object is known: it is this many tokens before.
    fn call(&mut self, tokens: &[Token<'t>], index: usize, distance: usize) {
        let at = |distance: usize| index.checked_sub(distance).and_then(|at| tokens.get(at));
        let (Some(method), Some(owner)) = (at(0), at(distance)) else { return };
        let before = at(distance.saturating_add(1));
        let is_part = before.is_some_and(|before| before.is(".") || before.is("|") || before.named("is"));
        if method.is("%") && self.patterns.contains(owner.text) && owner.kind == Kind::Name && !is_part {
            self.uses.calls.push(Call { variable: None, method: method.text, at: method.at });
            return;
        }
        let is_bound = self.scopes.iter().any(|scope| scope.contains(owner.text));
        let variable = match owner.kind {
            Kind::String => None,
            Kind::Name if !is_part && !is_bound && !KEYWORDS.contains(&owner.text) => Some(owner.text),
            _ => return,
        };
        self.uses.calls.push(Call { variable, method: method.text, at: method.at });
    }

    fn bind(&mut self, name: &'t str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name);
        }
    }

    /// Assigns every name of a target.
    fn assign(&mut self, target: &[Token<'t>]) {
        for token in target.iter().filter(|token| token.kind == Kind::Name) {
            self.patterns.remove(token.text);
            self.bind(token.text);
        }
    }

    /// Records what an expression uses; `defined` is a name that it tests first.
    fn read(&mut self, tokens: &[Token<'t>], defined: Option<&'t str>) -> Result<(), TemplateError> {
        let at = |index: Option<usize>| index.and_then(|index| tokens.get(index));
        for (index, token) in tokens.iter().enumerate() {
            let before = at(index.checked_sub(1));
            let behind = tokens.get(index.saturating_add(1)..).unwrap_or_default();
            let is_test = before.is_some_and(|before| before.named("is")) && !token.named("not")
                || before.is_some_and(|before| before.named("not"))
                    && at(index.checked_sub(2)).is_some_and(|before| before.named("is"));
            if token.is("%") && before.is_some_and(|before| before.kind == Kind::Name) {
                self.call(tokens, index, 1);
            }
            if token.kind != Kind::Name {
                continue;
            }
            if before.is_some_and(|before| before.is(".")) {
                if behind.first().is_some_and(|next| next.is("("))
                    && let Some(message) = methods::unknown(token.text)
                {
                    return Err(TemplateError::at(self.text, token.at, message));
                }
                if behind.first().is_some_and(|next| next.is("(")) {
                    self.call(tokens, index, 2);
                }
                continue;
            }
            if before.is_some_and(|before| before.is("|")) {
                self.uses.filters.entry(token.text).or_insert(token.at);
            } else if is_test {
                self.uses.tests.entry(token.text).or_insert(token.at);
            } else if !KEYWORDS.contains(&token.text)
                && (token.depth == 0 || !behind.first().is_some_and(|next| next.is("=")))
                && !self.scopes.iter().any(|scope| scope.contains(token.text))
            {
                if behind.first().is_some_and(|next| next.is("(")) {
                    if FUNCTIONS.contains(&token.text) {
                        continue;
                    }
                    let message = format!(
                        "there is no function or macro `{}`; the functions are {}",
                        super::error::excerpt(token.text),
                        FUNCTIONS.join(", ")
                    );
                    return Err(TemplateError::at(self.text, token.at, message));
                }
                let provided = defined == Some(token.text)
                    || self.open.iter().any(|open| matches!(open, Open::If(Some(name)) if *name == token.text))
                    || defaulted(behind);
                let all = self.uses.variables.entry(token.text).or_insert(true);
                *all = *all && provided;
            }
        }
        Ok(())
    }
}

/// The name that a condition first tests for being defined.
fn tested<'t>(condition: &[Token<'t>]) -> Option<&'t str> {
    let [name, is, defined, rest @ ..] = condition else { return None };
    let fits = name.kind == Kind::Name
        && is.named("is")
        && defined.named("defined")
        && rest.first().is_none_or(|next| next.named("and"))
        && !rest.iter().any(|token| token.named("or") || token.named("if"));
    fits.then_some(name.text)
}

/// Whether the tokens after a name handle its absence.
fn defaulted(behind: &[Token<'_>]) -> bool {
    match behind {
        [pipe, filter, ..] if pipe.is("|") => filter.named("default") || filter.named("d"),
        [is, not, test, ..] if is.named("is") && not.named("not") => tests_absence(test),
        [is, test, ..] if is.named("is") => tests_absence(test),
        _ => false,
    }
}

fn tests_absence(test: &Token<'_>) -> bool {
    test.named("defined") || test.named("undefined")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_names_not_assigned_in_the_text() {
        for (text, expected) in [
            ("no", ""),
            ("{{ a.b['c'][d] }}{{ e[1:f] }}", "a d e f"),
            ("{{ a|f(b)|g }}{{ c is h(d) }}{{ e is not i }}", "a b c d e"),
            ("{{ {'a': b, c: 1} }}{{ dict(x=d) }}{{ not true and none or e }}", "b c d e"),
            ("{% for a in a %}{{ a }}{{ b }}{{ loop.index }}{% else %}{{ c }}{% endfor %}", "a b c"),
            ("{% for (a, b), c in d if a == e %}{{ b ~ c }}{% endfor %}{{ c }}", "c d e"),
            ("{% set a = a|default(1) %}{{ a }}{% set b, c = d %}{{ b }}{{ c }}", "a d"),
            ("{% if a %}{% set g = 1 %}{% else %}{% set g = 2 %}{% endif %}{{ g }}", "a"),
            ("{% for i in a %}{% set b = i %}{{ b }}{% endfor %}{{ b }}", "a b"),
            ("{% set n = namespace(x=a) %}{% set n.x = b %}{{ n.x }}{% set m.x = 1 %}", "a b m"),
            ("{% set a %}{{ a }}{{ b }}{% endset %}{{ a }}", "a b"),
            ("{% set a | f(b) %}{% endset %}{% filter g(c) | h(d) %}{% endfilter %}", "b c d"),
            ("{% with a = b, c = a %}{{ a ~ c }}{% endwith %}{{ c }}", "b c"),
            ("{% macro m(a, b=c, d=[e, f]) %}{{ a ~ b ~ d ~ g }}{% endmacro %}{{ m(h, b=i) }}", "c e f g h i"),
            ("{% if a %}{% elif b %}{% endif %}{{ c if d else e }}", "a b c d e"),
            ("{% do range(a) %}{# {{ x }} #}{% raw %}{{ y }}{% endraw %}", "a"),
        ] {
            let found: Vec<&str> = uses(text).expect(text).variables.into_keys().collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
        let found = uses("{{ a|f }}{{ b is not t }}{% filter g %}{% endfilter %}").expect("tags");
        assert_eq!(found.filters.into_keys().collect::<Vec<_>>(), ["f", "g"]);
        assert_eq!(found.tests.into_keys().collect::<Vec<_>>(), ["t"]);
        let message = uses("a {{ b() }}").expect_err("no function").to_string();
        assert_eq!(
            message,
            "line 1, column 6: there is no function or macro `b`; the functions are dict, namespace, range"
        );
    }

    #[test]
    fn variable_is_optional_if_every_use_allows_its_absence() {
        for (text, expected) in [
            ("{{ x }}", false),
            ("{{ x|default('a') }}", true),
            ("{{ x | d }}{{ x is defined }}{{ x is not defined }}{{ x is undefined }}", true),
            ("{{ x|default('a') }}{{ x }}", false),
            ("{{ x.y|default('a') }}", false),
            ("{% if x is defined %}{{ x }}{% endif %}", true),
            ("{% if x is defined and x > 1 %}{% for i in x %}{{ i }}{% endfor %}{% endif %}", true),
            ("{% if x is defined or y %}{{ x }}{% endif %}", false),
            ("{% if x is defined %}a{% else %}{{ x }}{% endif %}", false),
            ("{% if x is defined %}a{% endif %}{{ x }}", false),
            ("{% if a %}{{ x }}{% elif x is defined %}{% endif %}", false),
            ("{% set x = x|default(1) %}{{ x }}", true),
            ("{% set y = x %}", false),
            ("{{ a.x }}{{ x|default }}", true),
        ] {
            assert_eq!(uses(text).expect(text).variables.get("x"), Some(&expected), "{text}");
        }
    }
}
