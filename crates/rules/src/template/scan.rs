//! Splits a Jinja text into literal pieces, comments, raw blocks and tags with their tokens.
//!
//! Reads exactly the tokens that the template engine reads, so that `sandbox` can reject or guard what the engine alone
//! would not limit, and `include` finds includes where the engine would. Knows no grammar beyond brackets. Takes time
//! and memory linear in the text; a tag, its brackets and the number of tags have limits.

use std::ops::Range;

use super::error::TemplateError;

/// Most tags of one text.
pub(super) const TAGS_MAX: usize = 10_000;
/// Most tokens of one tag.
pub(super) const TAG_TOKENS_MAX: usize = 4_000;
/// Most brackets open at once in one tag.
const BRACKETS_DEPTH_MAX: usize = 32;

/// A piece of a Jinja text.
#[derive(Debug)]
pub(super) enum Piece<'t> {
    /// Literal text.
    Text(Range<usize>),
    /// A comment.
    Comment(Edges),
    /// A raw block, including its tags.
    Raw(Edges),
    /// `{{ … }}` or `{% … %}`.
    Tag(Tag<'t>),
}

/// The bytes of a piece, and whether it trims the whitespace around it.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    /// Which bytes.
    pub span: Range<usize>,
    /// It starts with `-`: whitespace before it is removed.
    pub trims_before: bool,
    /// It ends with `-`: whitespace after it is removed.
    pub trims_behind: bool,
}

/// One tag.
#[derive(Debug)]
pub(super) struct Tag<'t> {
    /// Its position.
    pub edges: Edges,
    /// `{% … %}` rather than `{{ … }}`.
    pub statement: bool,
    /// Its tokens.
    pub tokens: Vec<Token<'t>>,
}

/// One token of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    /// Its kind.
    pub kind: Kind,
    /// Its text, including quotes.
    pub text: &'t str,
    /// Its first byte in the text.
    pub at: usize,
    /// For a bracket, the index of its counterpart.
    pub mate: usize,
    /// Number of open brackets around it.
    pub depth: usize,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Name,
    /// A string.
    String,
    /// A number.
    Number,
    /// An operator, bracket or separator.
    Operator,
}

impl Token<'_> {
    /// One past its last byte in the text.
    pub fn end(&self) -> usize {
        self.at.saturating_add(self.text.len())
    }

    /// Whether it is this operator, bracket or separator.
    pub fn is(&self, operator: &str) -> bool {
        self.kind == Kind::Operator && self.text == operator
    }

    /// Whether it is this name or keyword.
    pub fn named(&self, name: &str) -> bool {
        self.kind == Kind::Name && self.text == name
    }
}

impl Tag<'_> {
    /// The keyword of a statement; empty for an expression.
    pub fn keyword(&self) -> &str {
        match self.tokens.first() {
            Some(token) if self.statement && token.kind == Kind::Name => token.text,
            _ => "",
        }
    }
}

/// Splits a text into pieces, lazily.
pub(super) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { text, at: 0, opened: None, tags: 0, failed: false }
}

/// The iterator of [`pieces`]; ends after its first error.
pub(super) struct Pieces<'t> {
    text: &'t str,
    at: usize,
    /// The start of the delimiter after the last literal text.
    opened: Option<usize>,
    tags: usize,
    failed: bool,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Result<Piece<'t>, TemplateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let start = self.at;
        let open = match self.opened.take() {
            Some(open) => open,
            None => match find_open(self.text, start) {
                Some(open) if open > start => {
                    self.opened = Some(open);
                    self.at = open;
                    return Some(Ok(Piece::Text(start..open)));
                }
                Some(open) => open,
                None => {
                    self.at = self.text.len();
                    self.failed = true;
                    return (start < self.text.len()).then_some(Ok(Piece::Text(start..self.text.len())));
                }
            },
        };
        self.tags = self.tags.saturating_add(1);
        let piece = if self.tags > TAGS_MAX {
            Err(self.error(open, format!("the text has more than {TAGS_MAX} tags, the limit")))
        } else {
            self.delimited(open)
        };
        self.failed = piece.is_err();
        Some(piece)
    }
}

/// The first `{{`, `{%` or `{#` from a byte on.
fn find_open(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes().get(from..)?;
    let found = bytes.windows(2).position(|pair| matches!(pair, [b'{', b'{' | b'%' | b'#']))?;
    from.checked_add(found)
}

impl<'t> Pieces<'t> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn rest(&self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    fn error(&self, at: usize, message: impl Into<String>) -> TemplateError {
        TemplateError::at(self.text, at, message)
    }

    /// Reads the piece whose delimiter is at `open`.
    fn delimited(&mut self, open: usize) -> Result<Piece<'t>, TemplateError> {
        let marked = open.saturating_add(2);
        let trims_before = self.byte(marked) == Some(b'-');
        let inner = if matches!(self.byte(marked), Some(b'-' | b'+')) { marked.saturating_add(1) } else { marked };
        match self.byte(open.saturating_add(1)) {
            Some(b'#') => {
                let end = self.rest(inner).find("#}").ok_or_else(|| self.error(open, "this comment has no `#}`"))?;
                let end = inner.saturating_add(end);
                // In `{#-#}` the only sign belongs to the start.
                let trims_behind = end > inner && self.byte(end.saturating_sub(1)) == Some(b'-');
                self.at = end.saturating_add(2);
                Ok(Piece::Comment(Edges { span: open..self.at, trims_before, trims_behind }))
            }
            Some(b'%') => match bare_tag(self.rest(inner), "raw") {
                Some((length, _)) => {
                    let edges = self.raw(open, inner.saturating_add(length), trims_before)?;
                    Ok(Piece::Raw(edges))
                }
                None => self.tag(open, inner, trims_before, true).map(Piece::Tag),
            },
            _ => self.tag(open, inner, trims_before, false).map(Piece::Tag),
        }
    }

    /// Finds the end of the raw block whose body starts at `body`.
    fn raw(&mut self, open: usize, body: usize, trims_before: bool) -> Result<Edges, TemplateError> {
        let mut at = body;
        while let Some(found) = self.rest(at).find("{%") {
            at = at.saturating_add(found).saturating_add(2);
            let rest = self.rest(at);
            let unmarked = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if let Some((length, trims_behind)) = bare_tag(unmarked, "endraw") {
                self.at = at.saturating_add(rest.len().saturating_sub(unmarked.len())).saturating_add(length);
                return Ok(Edges { span: open..self.at, trims_before, trims_behind });
            }
        }
        Err(self.error(open, "this raw block has no `{% endraw %}`"))
    }

    /// Reads the tokens of a tag up to its end.
    fn tag(&mut self, open: usize, inner: usize, before: bool, statement: bool) -> Result<Tag<'t>, TemplateError> {
        let close = if statement { "%}" } else { "}}" };
        let mut tokens: Vec<Token<'t>> = Vec::new();
        let mut brackets: Vec<(usize, &'static str)> = Vec::new();
        let mut at = inner;
        loop {
            at = at.saturating_add(self.rest(at).bytes().take_while(u8::is_ascii_whitespace).count());
            let rest = self.rest(at);
            if rest.is_empty() {
                return Err(self.error(open, format!("this tag has no `{close}`")));
            }
            if brackets.is_empty() {
                let unmarked = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                if unmarked.starts_with(close) || rest.starts_with(close) {
                    let marker =
                        if unmarked.starts_with(close) { rest.len().saturating_sub(unmarked.len()) } else { 0 };
                    self.at = at.saturating_add(marker).saturating_add(close.len());
                    let trims_behind = marker > 0 && rest.starts_with('-');
                    let edges = Edges { span: open..self.at, trims_before: before, trims_behind };
                    return Ok(Tag { edges, statement, tokens });
                }
            }
            if tokens.len() >= TAG_TOKENS_MAX {
                return Err(self.error(open, format!("this tag has more than {TAG_TOKENS_MAX} tokens, the limit")));
            }
            let after_dot = tokens.last().is_some_and(|token| token.is(".") && token.end() == at);
            let (kind, length) = lex(rest, after_dot).map_err(|message| self.error(at, message))?;
            let text = rest.get(..length).ok_or_else(|| self.error(at, "unexpected character"))?;
            let index = tokens.len();
            let mut mate = index;
            let mut depth = brackets.len();
            if kind == Kind::Operator {
                match text {
                    "(" | "[" | "{" => {
                        if brackets.len() >= BRACKETS_DEPTH_MAX {
                            let message = format!("brackets are nested more than {BRACKETS_DEPTH_MAX} levels deep");
                            return Err(self.error(at, message));
                        }
                        brackets.push((index, closing(text)));
                    }
                    ")" | "]" | "}" => {
                        let Some((opener, _)) = brackets.pop().filter(|(_, expected)| *expected == text) else {
                            return Err(self.error(at, format!("`{text}` does not match an open bracket")));
                        };
                        mate = opener;
                        depth = brackets.len();
                        if let Some(token) = tokens.get_mut(opener) {
                            token.mate = index;
                        }
                    }
                    _ => {}
                }
            }
            tokens.push(Token { kind, text, at, mate, depth });
            at = at.saturating_add(length);
        }
    }
}

/// The bracket that closes this one.
fn closing(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// Reads a tag that is only a name (`raw`, `endraw`) after its `{%`: its length, and whether it ends with `-`.
fn bare_tag(rest: &str, name: &str) -> Option<(usize, bool)> {
    let space = |c: char| c.is_ascii_whitespace();
    let behind = rest.trim_start_matches(space).strip_prefix(name)?.trim_start_matches(space);
    let unmarked = behind.strip_prefix(['-', '+']).unwrap_or(behind);
    let end = unmarked.strip_prefix("%}")?;
    Some((rest.len().saturating_sub(end.len()), behind.starts_with('-')))
}

/// Reads one token: its kind and length.
fn lex(rest: &str, after_dot: bool) -> Result<(Kind, usize), &'static str> {
    let bytes = rest.as_bytes();
    let name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match bytes {
        [b'*' | b'/', ..] if bytes.first() == bytes.get(1) => Ok((Kind::Operator, 2)),
        [b'=' | b'!' | b'<' | b'>', b'=', ..] => Ok((Kind::Operator, 2)),
        [quote @ (b'"' | b'\''), string @ ..] => {
            let mut escaped = false;
            for (index, byte) in string.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    byte if byte == quote => return Ok((Kind::String, index.saturating_add(2))),
                    _ => {}
                }
            }
            Err("this string is not closed")
        }
        [first, ..] if first.is_ascii_digit() => number(bytes, after_dot).map(|length| (Kind::Number, length)),
        [first, ..] if name(first) => {
            let length = bytes.iter().take_while(|b| name(b)).count();
            if rest.starts_with("__") {
                Err("names that start with `__` are reserved")
            } else {
                Ok((Kind::Name, length))
            }
        }
        [first, ..] if b"+-*/%.,:~|=<>()[]{}".contains(first) => Ok((Kind::Operator, 1)),
        _ => Err("unexpected character"),
    }
}

/// Reads a number, and rejects an ambiguous one.
fn number(bytes: &[u8], after_dot: bool) -> Result<usize, &'static str> {
    const GLUED: &str = "put a space after the number";
    let word = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    // The exponent of `1.e5` for the engine.
    let is_exponent = |from: usize| {
        let sign_or_digit = bytes.get(from.saturating_add(1));
        matches!(bytes.get(from), Some(b'e' | b'E'))
            && sign_or_digit.is_some_and(|b| matches!(b, b'+' | b'-' | b'0'..=b'9'))
    };
    if let [b'0', radix @ (b'x' | b'X' | b'b' | b'B' | b'o' | b'O'), ..] = bytes
        && !after_dot
    {
        let length = word(0);
        let is_digit = |b: u8| b.is_ascii_digit() || matches!(radix, b'x' | b'X') && b.is_ascii_hexdigit();
        let fits = bytes.iter().take(length).skip(2).all(|b| is_digit(*b) || *b == b'_');
        return if fits { Ok(length) } else { Err(GLUED) };
    }
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && !after_dot {
        let behind = length.saturating_add(1);
        if bytes.get(behind).is_some_and(u8::is_ascii_digit) {
            length = behind.saturating_add(digits(behind));
        } else if !bytes.get(behind).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') || is_exponent(behind) {
            return Err("write digits after the decimal point");
        }
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) && !after_dot {
        let sign = usize::from(matches!(bytes.get(length.saturating_add(1)), Some(b'+' | b'-')));
        let exponent = length.saturating_add(1).saturating_add(sign);
        if !bytes.get(exponent).is_some_and(u8::is_ascii_digit) {
            return Err("write digits after the exponent");
        }
        length = exponent.saturating_add(digits(exponent));
    }
    if word(length) > 0 { Err(GLUED) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let mut whole = String::new();
        let mut parts = Vec::new();
        for piece in pieces(text) {
            let (span, part) = match piece.map_err(|error| error.to_string())? {
                Piece::Text(span) => (span.clone(), format!("{:?}", &text[span])),
                Piece::Comment(edges) => (edges.span, "#".to_owned()),
                Piece::Raw(edges) => (edges.span, "raw".to_owned()),
                Piece::Tag(tag) => {
                    let tokens: Vec<&str> = tag.tokens.iter().map(|token| token.text).collect();
                    let dash = |yes| if yes { "-" } else { "" };
                    let (before, behind) = (dash(tag.edges.trims_before), dash(tag.edges.trims_behind));
                    (tag.edges.span, format!("<{before}{}{behind}>", tokens.join(" ")))
                }
            };
            whole.push_str(&text[span]);
            parts.push(part);
        }
        assert_eq!(whole, text, "nothing is lost");
        Ok(parts.join(" "))
    }

    #[test]
    fn text_is_cut_where_the_engine_cuts_it() {
        for (text, expected) in [
            ("", ""),
            ("a { b", r#""a { b""#),
            ("{{ a }}", "<a>"),
            ("x{{-a-}}y", r#""x" <-a-> "y""#),
            ("{%+ if a.b +%}", "<if a . b>"),
            ("{{ {'a': {}} }}", "<{ 'a' : { } }>"),
            ("{{ '}}' ~ \"a\\\"}}\" }}", "<'}}' ~ \"a\\\"}}\">"),
            ("{# {{ x }} #}b", "# \"b\""),
            ("{#-#}", "#"),
            ("{% raw %}{{ x }}{% if %}{%- endraw -%}c", "raw \"c\""),
            ("{{ 1.5e-3 + 0x1f - x.1.0 ** 2 // 3 >= 1 }}", "<1.5e-3 + 0x1f - x . 1 . 0 ** 2 // 3 >= 1>"),
            ("{{ 1-}}", "<1->"),
            ("{{{a}}}", "<{ a }>"),
        ] {
            assert_eq!(shown(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn untokenizable_text_gives_place_and_reason() {
        let check = |text: &str, part: &str| {
            let message = shown(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        };
        check("a\n {{ b", "line 2, column 2: this tag has no `}}`");
        check("{% if", "no `%}`");
        check("{# a", "no `#}`");
        check("{% raw %}{% endra %}", "no `{% endraw %}`");
        check("{{ ) }}", "does not match an open bracket");
        check("{{ (] }}", "does not match an open bracket");
        check("{{ 'a }}", "not closed");
        check("{{ a ? b }}", "unexpected character");
        check("{{ größe }}", "unexpected character");
        check("{{ __x }}", "reserved");
        check("{{ 1. }}", "digits after the decimal point");
        check("{{ 1.e5 }}", "digits after the decimal point");
        check("{{ 1e- }}", "digits after the exponent");
        check("{{ 1if x }}", "a space after the number");
        check("{{ a.1b }}", "a space after the number");
        check("{{ 0b10b1 }}", "a space after the number");
        check(&format!("{{{{ {}", "[".repeat(100)), "32 levels");
        check(&format!("{{{{ {} }}}}", "a ".repeat(5_000)), "4000 tokens");
        check(&"{{a}}".repeat(20_000), "10000 tags");
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        for unit in
            ["{", "{%", "{{", "{#", "{% raw %}", "{%- ", "{{ '", "{{\"\\", "{% raw %}{% ", "{{(", "{{1", "{{ - "]
        {
            let text = unit.repeat((1 << 20) / unit.len());
            assert!(pieces(&text).count() <= 2 * TAGS_MAX + 2, "{unit}");
        }
    }
}
