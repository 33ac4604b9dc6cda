//! Makes a Jinja text safe to run: rejects what cannot be bounded, and guards what the engine alone would let grow.
//!
//! The engine limits steps and recursion, but one step can double a text (`s ~ s`), repeat it a hundred million times
//! (`"x" * 10 ** 8`), read a million values (`x == y`) or capture output in memory (`macro`, `set`, `filter` blocks).
//! So calls of guards (see `guards`) are written into the text: around what is concatenated, multiplied, compared,
//! searched or looked up, around every value that is assigned, and before text that is captured. The guards do not
//! change results; they weigh values, and stop a template that exceeds its budget. No line break is added and no text
//! outside of tags is changed. Filters, tests and functions need no guards: `guards` replaces those of the engine.

use std::collections::BTreeSet;

use super::error::TemplateError;
use super::scan::{Kind, Piece, Tag, Token, pieces};

/// Most operators, calls and operator-like keywords in one tag: limits the depth of its syntax tree.
const TAG_OPERATORS_MAX: usize = 200;
/// Digits of a number that is a cheap index into a text.
const PLACE_DIGITS_MAX: usize = 3;
/// Maximum nesting of blocks, each `elif` counted as one.
const NESTING_MAX: usize = 50;

/// Weighs a value that is assigned.
pub(super) const KEEP: &str = "__keep";
/// Weighs a value that is put into a namespace, and rejects another namespace there.
pub(super) const PUT: &str = "__put";
/// Weighs text about to be captured, and the arguments of a macro.
pub(super) const ENTER: &str = "__enter";
/// Weighs what is concatenated or sliced.
pub(super) const TEXT: &str = "__text";
/// Weighs what is compared.
pub(super) const WEIGH: &str = "__weigh";
/// Weighs what `in` searches: a whole list or text, nothing of a map.
pub(super) const SEARCHED: &str = "__searched";
/// Weighs what an index has to walk through: a text or a lazy list, nothing of a list or map.
pub(super) const WALKED: &str = "__walked";
/// Formats with `%`.
pub(super) const PERCENT: &str = "__percent";
/// Rejects multiplying anything but numbers.
pub(super) const NUMBER: &str = "__num";

/// A text with its guards.
pub(super) struct Guarded {
    /// The text that the engine runs.
    pub source: String,
    /// Positions of guards in the original text, and the length of each; ascending.
    guards: Vec<(usize, usize)>,
}

impl Guarded {
    /// Maps a byte of the guarded text to the original.
    pub fn written(&self, guarded: usize) -> usize {
        let mut added: usize = 0;
        for (at, length) in &self.guards {
            if at.saturating_add(added) >= guarded {
                break;
            }
            added = added.saturating_add(*length).min(guarded.saturating_sub(*at));
        }
        guarded.saturating_sub(added)
    }
}

/// Writes the guards into a text.
///
/// # Errors
/// What the sandbox rejects, with its place.
pub(super) fn guard(text: &str) -> Result<Guarded, TemplateError> {
    let mut walk = Walk { text, inserts: Vec::new(), percents: BTreeSet::new(), open: Vec::new(), pending: None };
    for piece in pieces(text) {
        if let Piece::Tag(tag) = piece? {
            walk.settle(tag.edges.span.start);
            walk.check(&tag)?;
            walk.operators(&tag)?;
            walk.statement(&tag)?;
        }
    }
    walk.settle(text.len());
    Ok(walk.finish())
}

/// An open block.
struct Open {
    /// Whether it captures output: macro, filter and set blocks.
    caught: bool,
    /// Itself and its `elif`s.
    levels: usize,
}

/// A guard whose text depends on the start of the next tag.
struct Pending {
    at: usize,
    arguments: String,
    trims_behind: bool,
}

/// An open bracket.
struct Bracket {
    /// Its token.
    open: usize,
    /// The first token of the current item.
    item: usize,
    /// Whether it has had the colon of a slice.
    sliced: bool,
}

/// The order of guards at the same position: first those that end there, then those that start, outer before inner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Filter,
    Close,
    Tag,
    Open,
    OpenInner,
}

struct Walk<'t> {
    text: &'t str,
    /// The position, the order at the same position, and the text.
    inserts: Vec<(usize, Rank, String)>,
    /// The `%` operators after strings, which a filter replaces.
    percents: BTreeSet<usize>,
    open: Vec<Open>,
    pending: Option<Pending>,
}

impl Walk<'_> {
    fn refuse<T>(&self, token: &Token<'_>, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::at(self.text, token.at, message))
    }

    fn insert(&mut self, at: usize, rank: Rank, text: impl Into<String>) {
        self.inserts.push((at, rank, text.into()));
    }

    /// Adds a filter after a value, once.
    fn filter(&mut self, at: usize, filter: &str) {
        let text = format!("|{filter}");
        if self.inserts.last().is_none_or(|(last, _, before)| *last != at || *before != text) {
            self.insert(at, Rank::Filter, text);
        }
    }

    /// Rejects tags that are too large, and statements that are not allowed.
    fn check(&self, tag: &Tag<'_>) -> Result<(), TemplateError> {
        let Some(first) = tag.tokens.first() else { return Ok(()) };
        match tag.keyword() {
            "include" => return self.refuse(first, "an include is left where it cannot be replaced"),
            "extends" | "import" | "from" | "block" => {
                return self.refuse(first, format!("`{}` is not available; use include", first.text));
            }
            "call" | "autoescape" => return self.refuse(first, format!("`{}` is not available", first.text)),
            "for" if tag.tokens.last().is_some_and(|token| token.named("recursive")) => {
                return self.refuse(first, "recursive loops are not available");
            }
            _ => {}
        }
        let mut operators = 0_usize;
        // Each open bracket, and its number of colons.
        let mut brackets: Vec<(&str, usize)> = Vec::new();
        let mut previous: Option<&Token<'_>> = None;
        for (index, token) in tag.tokens.iter().enumerate() {
            let behind_value = previous.is_some_and(ends_value);
            let counts = match (token.kind, token.text) {
                (Kind::Operator, "(" | "[" | "{") => {
                    brackets.push((token.text, 0));
                    behind_value
                }
                (Kind::Operator, ")" | "]" | "}") => {
                    brackets.pop();
                    false
                }
                (Kind::Operator, ":") => {
                    if let Some(("[", colons)) = brackets.last_mut() {
                        *colons = colons.saturating_add(1);
                        // The engine panics on some slices with a negative step.
                        let step = tag.tokens.get(index.saturating_add(1));
                        if *colons > 1 && !step.is_some_and(|step| step.kind == Kind::Number || step.is("]")) {
                            return self.refuse(token, "the step of a slice must be positive; use `reverse`");
                        }
                    }
                    false
                }
                (Kind::Operator, "*" | "**") if previous.is_none_or(|before| before.is("(") || before.is(",")) => {
                    return self.refuse(token, "spread arguments (`*` and `**` before one) are not available");
                }
                (Kind::Operator, operator) => !matches!(operator, "," | "="),
                _ => is_word(token),
            };
            operators = operators.saturating_add(usize::from(counts));
            if operators > TAG_OPERATORS_MAX {
                return self.refuse(token, format!("more than {TAG_OPERATORS_MAX} operators in one tag, the limit"));
            }
            previous = Some(token);
        }
        Ok(())
    }

    /// Guards both sides of `+`, `~`, `*`, comparisons and `in`, what is sliced or looked up, and the keys of maps.
    fn operators(&mut self, tag: &Tag<'_>) -> Result<(), TemplateError> {
        let mut brackets: Vec<Bracket> = Vec::new();
        let mut previous: Option<&Token<'_>> = None;
        let loop_in = loop_in(tag);
        for (index, token) in tag.tokens.iter().enumerate() {
            let guards = match (token.kind, token.text) {
                (Kind::Operator, "+" | "~") => Some((TEXT, TEXT)),
                (Kind::Operator, "*") => Some((NUMBER, NUMBER)),
                (Kind::Operator, "%") if previous.is_some_and(|before| before.kind == Kind::String) => {
                    self.percent(&tag.tokens, index)?;
                    None
                }
                (Kind::Operator, "==" | "!=" | "<" | "<=" | ">" | ">=") => Some((WEIGH, WEIGH)),
                (Kind::Name, "in") if Some(index) != loop_in && is_operator(&tag.tokens, index) => {
                    Some((WEIGH, SEARCHED))
                }
                (Kind::Operator, "(" | "[" | "{") => {
                    brackets.push(Bracket { open: index, item: index.saturating_add(1), sliced: false });
                    if token.is("(") && is_changed(&tag.tokens, index) {
                        self.arguments(tag, index);
                    } else if token.is("[") && is_subscript(tag, index) {
                        self.subscript(tag, index);
                    }
                    None
                }
                (Kind::Operator, ")" | "]" | "}") => {
                    brackets.pop();
                    None
                }
                (Kind::Operator, ",") => {
                    if let Some(bracket) = brackets.last_mut() {
                        bracket.item = index.saturating_add(1);
                    }
                    None
                }
                (Kind::Operator, ":") => {
                    if let Some(bracket) = brackets.last_mut() {
                        let open = tag.tokens.get(bracket.open);
                        if open.is_some_and(|open| open.is("{")) {
                            let key = tag.tokens.get(bracket.item..index).unwrap_or_default();
                            self.key(key);
                        } else if open.is_some_and(|open| open.is("[")) && !bracket.sliced {
                            bracket.sliced = true;
                            self.sliced(tag, bracket.open)?;
                        }
                    }
                    None
                }
                _ => None,
            };
            if let Some((guard, other)) = guards {
                let right = operand_end(&tag.tokens, index.saturating_add(1));
                let negated = previous.filter(|before| token.named("in") && before.named("not"));
                let left = if negated.is_some() { nth_before(&tag.tokens, index, 2) } else { previous };
                let (Some(left), Some(right)) = (left.filter(|before| ends_value(before)), right) else {
                    return self.refuse(token, format!("`{}` needs a value on both sides", token.text));
                };
                self.filter(left.end(), guard);
                self.filter(right, other);
            }
            previous = Some(token);
        }
        Ok(())
    }

    /// Replaces `%` after a string by a filter.
    fn percent(&mut self, tokens: &[Token<'_>], index: usize) -> Result<(), TemplateError> {
        let Some(percent) = tokens.get(index) else { return Ok(()) };
        let Some(end) = operand_end(tokens, index.saturating_add(1)) else {
            return self.refuse(percent, "`%` needs a value on both sides");
        };
        let before = tokens.get(..index).unwrap_or_default().iter().rev().find(|token| token.kind != Kind::String);
        if before.is_some_and(|before| ["*", "**", "/", "//", "%", "."].iter().any(|operator| before.is(operator))) {
            return self.refuse(percent, "put the string and the values of `%` into brackets");
        }
        self.percents.insert(percent.at);
        self.insert(percent.at, Rank::Filter, format!("|{PERCENT}(("));
        self.insert(end, Rank::Close, "))");
        Ok(())
    }

    /// Guards each value passed to a call.
    fn arguments(&mut self, tag: &Tag<'_>, open: usize) {
        let Some(first) = tag.tokens.get(open) else { return };
        let inside = tag.tokens.get(open.saturating_add(1)..first.mate).unwrap_or_default();
        let depth = first.depth.saturating_add(1);
        for argument in inside.split(|token| token.depth == depth && token.is(",")) {
            match argument {
                [_, equals, value @ ..] if equals.is("=") => self.wrap(value, KEEP),
                value => self.wrap(value, KEEP),
            }
        }
    }

    /// Guards a key of a map, or an index, unless it is a literal number or string.
    fn key(&mut self, key: &[Token<'_>]) {
        if !is_literal(key) {
            self.wrap(key, KEEP);
        }
    }

    /// Guards the object of an index and the index itself; for a literal neither costs anything.
    fn subscript(&mut self, tag: &Tag<'_>, bracket: usize) {
        let Some(open) = tag.tokens.get(bracket) else { return };
        let key = tag.tokens.get(bracket.saturating_add(1)..open.mate).unwrap_or_default();
        let depth = open.depth.saturating_add(1);
        if is_literal(key) || key.iter().any(|token| token.depth == depth && token.is(":")) {
            return;
        }
        let last = bracket.checked_sub(1).and_then(|last| Some((last, tag.tokens.get(last)?)));
        if let Some((at, last)) = last
            && let Some(first) = operand_start(&tag.tokens, at)
        {
            self.insert(first, Rank::OpenInner, "(");
            self.insert(last.end(), Rank::Filter, format!("|{WALKED})"));
        }
        self.key(key);
    }

    /// Guards the value before a slice's bracket.
    fn sliced(&mut self, tag: &Tag<'_>, bracket: usize) -> Result<(), TemplateError> {
        let last = bracket.checked_sub(1).and_then(|last| tag.tokens.get(last)).filter(|last| ends_value(last));
        let first = bracket.checked_sub(1).and_then(|last| operand_start(&tag.tokens, last));
        if let (Some(last), Some(first)) = (last, first) {
            self.insert(first, Rank::OpenInner, "(");
            self.insert(last.end(), Rank::Filter, format!("|{TEXT})"));
            return Ok(());
        }
        match tag.tokens.get(bracket) {
            Some(token) => self.refuse(token, "a slice needs a value before it"),
            None => Ok(()),
        }
    }

    /// Guards the values that a statement assigns, and tracks blocks.
    fn statement(&mut self, tag: &Tag<'_>) -> Result<(), TemplateError> {
        let tokens = tag.tokens.get(1..).unwrap_or_default();
        let outer = |token: &Token<'_>, what: &str| token.depth == 0 && token.is(what);
        let mut arguments = String::new();
        match tag.keyword() {
            "set" => match tokens.iter().position(|token| outer(token, "=")) {
                Some(assign) => {
                    let (target, value) = tokens.split_at(assign);
                    let guard = if target.iter().any(|token| token.is(".")) { PUT } else { KEEP };
                    self.wrap(value.get(1..).unwrap_or_default(), guard);
                }
                None => self.enter(tag, true)?,
            },
            "with" => {
                for assignment in tokens.split(|token| outer(token, ",")) {
                    if let Some(assign) = assignment.iter().position(|token| outer(token, "=")) {
                        self.wrap(assignment.get(assign.saturating_add(1)..).unwrap_or_default(), KEEP);
                    }
                }
                self.enter(tag, false)?;
            }
            "for" => {
                let source = tokens.iter().position(|token| token.depth == 0 && token.named("in"));
                let source = source.and_then(|at| tokens.get(at.saturating_add(1)..)).unwrap_or_default();
                let end = source.iter().position(|token| token.depth == 0 && token.named("if"));
                self.wrap(source.get(..end.unwrap_or(source.len())).unwrap_or_default(), KEEP);
                self.enter(tag, false)?;
            }
            "if" => self.enter(tag, false)?,
            "filter" => self.enter(tag, true)?,
            "macro" => {
                for pair in tokens.windows(2) {
                    if let [before, name] = pair
                        && name.kind == Kind::Name
                        && (before.depth == 0 && before.is("(") || before.depth == 1 && before.is(","))
                    {
                        arguments.push_str(", ");
                        arguments.push_str(name.text);
                    }
                }
                self.enter(tag, true)?;
            }
            "elif" => {
                if let Some(block) = self.open.last_mut() {
                    block.levels = block.levels.saturating_add(1);
                }
                self.limit_nesting(tag)?;
            }
            "endset" | "endwith" | "endfor" | "endif" | "endfilter" | "endmacro" => {
                self.open.pop();
            }
            _ => {}
        }
        if self.open.iter().any(|block| block.caught) {
            let edges = &tag.edges;
            self.pending = Some(Pending { at: edges.span.end, arguments, trims_behind: edges.trims_behind });
        }
        Ok(())
    }

    fn enter(&mut self, tag: &Tag<'_>, caught: bool) -> Result<(), TemplateError> {
        self.open.push(Open { caught, levels: 1 });
        self.limit_nesting(tag)
    }

    fn limit_nesting(&self, tag: &Tag<'_>) -> Result<(), TemplateError> {
        match tag.tokens.first() {
            Some(first) if self.open.iter().map(|block| block.levels).sum::<usize>() > NESTING_MAX => {
                self.refuse(first, format!("blocks are nested more than {NESTING_MAX} levels deep"))
            }
            _ => Ok(()),
        }
    }

    /// Puts a guard's call around an expression; an empty one is left for the engine to report.
    fn wrap(&mut self, expression: &[Token<'_>], guard: &str) {
        if let (Some(first), Some(last)) = (expression.first(), expression.last()) {
            self.insert(first.at, Rank::Open, format!(" {guard}(("));
            self.insert(last.end(), Rank::Close, "))");
        }
    }

    /// Writes the guard that waited for the start of the next tag.
    fn settle(&mut self, next: usize) {
        if let Some(Pending { at, arguments, trims_behind }) = self.pending.take() {
            let bytes = next.saturating_sub(at);
            if bytes > 0 || !arguments.is_empty() {
                let trim = if trims_behind { "-" } else { "" };
                self.insert(at, Rank::Tag, format!("{{{{ {ENTER}({bytes}{arguments}) {trim}}}}}"));
            }
        }
    }

    fn finish(mut self) -> Guarded {
        self.inserts.sort_by_key(|(at, rank, _)| (*at, *rank));
        let mut source = String::with_capacity(self.text.len());
        let mut guards = Vec::with_capacity(self.inserts.len());
        let mut from = 0;
        for (at, _, text) in &self.inserts {
            source.push_str(self.text.get(from..*at).unwrap_or_default());
            source.push_str(text);
            // The filter replaces the operator.
            let replaced = usize::from(self.percents.contains(at) && text.contains(PERCENT));
            guards.push((*at, text.len().saturating_sub(replaced)));
            from = at.saturating_add(replaced);
        }
        source.push_str(self.text.get(from..).unwrap_or_default());
        Guarded { source, guards }
    }
}

/// Whether a value can end with this token.
fn ends_value(token: &Token<'_>) -> bool {
    token.kind != Kind::Operator || token.is(")") || token.is("]") || token.is("}")
}

/// Whether a name works like an operator.
fn is_word(token: &Token<'_>) -> bool {
    token.kind == Kind::Name && matches!(token.text, "not" | "and" | "or" | "is" | "in" | "if" | "else" | "elif")
}

fn nth_before<'a, 't>(tokens: &'a [Token<'t>], index: usize, distance: usize) -> Option<&'a Token<'t>> {
    index.checked_sub(distance).and_then(|at| tokens.get(at))
}

/// The `in` of a loop, which is not an operator.
fn loop_in(tag: &Tag<'_>) -> Option<usize> {
    let is_loop = tag.keyword() == "for";
    is_loop.then(|| tag.tokens.iter().position(|token| token.depth == 0 && token.named("in"))).flatten()
}

/// Whether a name is an operator here, and not an attribute, a filter, a test or an argument.
fn is_operator(tokens: &[Token<'_>], index: usize) -> bool {
    let before = nth_before(tokens, index, 1);
    let is_argument = tokens.get(index.saturating_add(1)).is_some_and(|next| next.is("="));
    !(is_test_name(tokens, index) || is_argument || before.is_some_and(|before| before.is(".") || before.is("|")))
}

/// Whether a token is the name of a test: `x is name`, `x is not name`.
pub(super) fn is_test_name(tokens: &[Token<'_>], index: usize) -> bool {
    let named = |distance, name| nth_before(tokens, index, distance).is_some_and(|token| token.named(name));
    named(1, "is") || named(1, "not") && named(2, "is")
}

/// Whether a bracket opens the arguments of `loop.changed`, which compares its arguments with the previous ones.
fn is_changed(tokens: &[Token<'_>], open: usize) -> bool {
    nth_before(tokens, open, 1).is_some_and(|name| name.named("changed"))
        && nth_before(tokens, open, 2).is_some_and(|dot| dot.is("."))
}

/// Whether a square bracket is an index, rather than a list.
fn is_subscript(tag: &Tag<'_>, open: usize) -> bool {
    let Some(last) = open.checked_sub(1) else { return false };
    let is_keyword = last == 0 && !tag.keyword().is_empty();
    tag.tokens.get(last).is_some_and(|before| ends_value(before) && !is_word(before))
        && !is_keyword
        && !is_test_name(&tag.tokens, last)
}

/// Whether an expression is one string literal, or one number that is a small index.
fn is_literal(expression: &[Token<'_>]) -> bool {
    match expression {
        [token] => token.kind == Kind::String || token.kind == Kind::Number && token.text.len() <= PLACE_DIGITS_MAX,
        _ => false,
    }
}

/// The start of the value whose last token this is: the value itself, with calls and lookups.
pub(super) fn operand_start(tokens: &[Token<'_>], last: usize) -> Option<usize> {
    let before = |at: usize| at.checked_sub(1).and_then(|before| Some((before, tokens.get(before)?)));
    let mut first = last;
    loop {
        let token = tokens.get(first)?;
        if token.kind == Kind::Operator {
            first = token.mate;
            match before(first) {
                Some((index, token)) if ends_value(token) && !is_word(token) => first = index,
                _ => break,
            }
        } else if token.kind == Kind::String
            && let Some((index, _)) = before(first).filter(|(_, token)| token.kind == Kind::String)
        {
            first = index;
        } else if let Some((dot, _)) = before(first).filter(|(_, token)| token.is(".")) {
            first = dot.checked_sub(1)?;
        } else {
            break;
        }
    }
    tokens.get(first).map(|token| token.at)
}

/// The end of the value that starts at a token: signs, the value, calls, lookups, and filters.
pub(super) fn operand_end(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    let operator = |at: usize, what: &str| tokens.get(at).is_some_and(|token| token.is(what));
    let kind = |at: usize, kind: Kind| tokens.get(at).is_some_and(|token| token.kind == kind);
    let step = |at: usize, by: usize| at.saturating_add(by);
    let mate = |at: usize| tokens.get(at).map(|token| token.mate);
    let mut last = start;
    while operator(last, "-") {
        last = step(last, 1);
    }
    if operator(last, "(") || operator(last, "[") || operator(last, "{") {
        last = mate(last)?;
    } else if kind(last, Kind::String) {
        while kind(step(last, 1), Kind::String) {
            last = step(last, 1);
        }
    } else if !kind(last, Kind::Name) && !kind(last, Kind::Number) {
        return None;
    }
    loop {
        let next = step(last, 1);
        if operator(next, "(") || operator(next, "[") {
            last = mate(next)?;
        } else if (operator(next, ".") || operator(next, "|")) && tokens.get(step(last, 2)).is_some() {
            last = step(last, 2);
        } else {
            return tokens.get(last).map(Token::end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_inserted_where_values_grow() {
        for (text, expected) in [
            ("a {{ b }} c", "a {{ b }} c"),
            ("{{ a ~ b.c(1)[2]|f(3) }}", "{{ a|__text ~ b.c(1)[2]|f(3)|__text }}"),
            ("{{ a+-b*c ~'x' 'y' }}", "{{ a|__text+-b|__text|__num*c|__num|__text ~'x' 'y'|__text }}"),
            (
                "{{ a[1:b] ~ [c.d(e)[0][:2:3]][1] }}",
                "{{ (a|__text)[1:b]|__text ~ [(c.d(e)[0]|__text)[:2:3]][1]|__text }}",
            ),
            ("{% for x in [1][0:][1:] %}", "{% for x in  __keep(((([1]|__text)[0:]|__text)[1:])) %}"),
            ("{{ 'a' 'b'[1:] }}", "{{ ('a' 'b'|__text)[1:] }}"),
            ("{{ 2*x**2 }}", "{{ 2|__num*x|__num**2 }}"),
            ("{{ a==b.c != -d }}", "{{ a|__weigh==b.c|__weigh != -d|__weigh }}"),
            (
                "{{ a not in b and not c in(d) }}",
                "{{ a|__weigh not in b|__searched and not c|__weigh in(d)|__searched }}",
            ),
            ("{{ a is in b }}{{ a is not in(b) }}{{ a.in }}", "{{ a is in b }}{{ a is not in(b) }}{{ a.in }}"),
            ("{% for x in y if x in z %}", "{% for x in  __keep((y)) if x|__weigh in z|__searched %}"),
            ("{{ a['k'][0][b.c][1000] }}", "{{ ((a['k'][0]|__walked)[ __keep((b.c))]|__walked)[ __keep((1000))] }}"),
            ("{{ [a][b] }}{{ a is eq [b] }}", "{{ ([a]|__walked)[ __keep((b))] }}{{ a is eq [b] }}"),
            ("{{ {a: 1, 'b': {c.d: 2}} }}", "{{ { __keep((a)): 1, 'b': { __keep((c.d)): 2}} }}"),
            ("{{ loop.changed(a, b=f(c, 1)) }}", "{{ loop.changed( __keep((a)), b= __keep((f(c, 1)))) }}"),
            ("{% set a = b, c %}", "{% set a =  __keep((b, c)) %}"),
            ("{% set n.a=b~c%}", "{% set n.a= __put((b|__text~c|__text))%}"),
            ("{% with a = b, (c, d) = e(f, 1) %}", "{% with a =  __keep((b)), (c, d) =  __keep((e(f, 1))) %}"),
            ("{% for a, b in(c)if d if e else f %}", "{% for a, b in __keep(((c)))if d if e else f %}"),
            ("{% set x %}ab{% endset %}cd", "{% set x %}{{ __enter(2) }}ab{% endset %}cd"),
            (
                "{% macro m(a, b=[1, 2]) -%} x{{ a }}{# #}y{% endmacro %}",
                "{% macro m(a, b=[1, 2]) -%}{{ __enter(2, a, b) -}} x{{ a }}{{ __enter(6) }}{# #}y{% endmacro %}",
            ),
        ] {
            let guarded = guard(text).expect(text);
            assert_eq!(guarded.source, expected);
            for (at, _) in text.char_indices().filter(|(_, c)| "bcx".contains(*c)) {
                let there = (0..expected.len())
                    .find(|there| guarded.written(*there) == at && expected[*there..].starts_with(&text[at..=at]));
                assert!(there.is_some(), "{text}: byte {at} is found again");
            }
        }
    }

    #[test]
    fn unbounded_constructs_are_refused() {
        let check = |text: &str, part: &str| {
            let message = guard(text).err().expect(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        };
        check("{% extends 'x' %}", "`extends` is not available");
        check("{% import 'x' as y %}", "`import` is not available");
        check("a\n{%- from 'x' import y %}", "line 2, column 5: `from` is not available");
        check("{% include x %}", "include");
        check("{% for a in b recursive %}", "recursive loops");
        check("{{ f(*a) }}", "spread arguments");
        check("{{ f(a, **b) }}", "spread arguments");
        check("{{ a ~ }}", "a value on both sides");
        check("{{ + a }}", "a value on both sides");
        check(&format!("{{{{ a{} }}}}", " ~ a".repeat(300)), "200 operators");
        check(&format!("{{{{ a{} }}}}", "[1]".repeat(300)), "200 operators");
        check(&format!("{{{{ {}a }}}}", "not ".repeat(300)), "200 operators");
        check("{{ a[::-1] }}", "the step of a slice must be positive");
        check("{{ a[1:b[2:3]:c] }}", "the step of a slice must be positive");
        check(&"{% if a %}".repeat(60), "50 levels");
        check(&format!("{{% if a %}}{}", "{% elif b %}".repeat(60)), "50 levels");
    }
}
