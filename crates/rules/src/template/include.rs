//! Includes: finds where a text includes another prompt's text, and inserts that.
//!
//! Mustache: `{{> shared/tone@3}}`. Jinja: `{% include "shared/tone@3" %}` with a constant reference. The caller
//! resolves references and limits their depth, and returns texts without includes. An included text keeps its meaning:
//! it is in the same syntax, or plain without its delimiters.

use std::ops::Range;

use crate::model::content::{CONTENT_BYTES_MAX, Syntax};

pub use super::error::IncludeError;
use super::error::{TemplateError, excerpt};
use super::mustache::{self, REFERENCE_BYTES_MAX};
use super::scan::{Edges, Kind, Piece, Tag, pieces};

/// Most includes of one content, each counted where it is written; also of one text.
pub const INCLUDES_MAX: usize = 64;
/// Maximum depth of includes.
pub const INCLUDE_DEPTH_MAX: usize = 5;

/// One include of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The prompt, as written.
    pub reference: String,
    /// The bytes to replace: the tag, and the whitespace that it trims.
    pub span: Range<usize>,
    /// The tag before trims whitespace, which must not affect the included text.
    sealed_before: bool,
    /// The tag after trims whitespace, which must not affect the included text.
    sealed_behind: bool,
}

/// The result of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// The text, without includes.
    pub text: String,
    /// Its syntax.
    pub syntax: Syntax,
}

/// Finds the includes of a text, in order.
///
/// # Errors
/// An include without a constant prompt (a variable, a list, `ignore missing`), `import`, `from` or `extends`, a Jinja
/// text that cannot be tokenized, or more than [`INCLUDES_MAX`] includes.
pub fn find(text: &str, syntax: Syntax) -> Result<Vec<Include>, TemplateError> {
    let includes = match syntax {
        Syntax::Plain => Vec::new(),
        Syntax::Mustache => find_mustache(text),
        Syntax::Jinja => find_jinja(text)?,
    };
    match includes.get(INCLUDES_MAX) {
        Some(first) => {
            let message = format!("the text has more than {INCLUDES_MAX} includes, the limit");
            Err(TemplateError::at(text, first.span.start, message))
        }
        None => Ok(includes),
    }
}

/// Replaces every include of a text by the result of `fetch` for its reference.
///
/// # Errors
/// As [`find`], an error of `fetch`, an included text whose meaning would change, or a result that exceeds the limit of
/// a content.
pub fn flatten<E>(
    text: &str,
    syntax: Syntax,
    fetch: &mut impl FnMut(&str) -> Result<Included, E>,
) -> Result<String, IncludeError<E>> {
    let mut flat = String::with_capacity(text.len());
    let mut from = 0;
    for include in find(text, syntax)? {
        flat.push_str(text.get(from..include.span.start).unwrap_or_default());
        from = include.span.end;
        let included = fetch(&include.reference).map_err(IncludeError::Source)?;
        check(&include.reference, &included, syntax)?;
        let behind = text.get(from..).unwrap_or_default();
        let seals = if syntax == Syntax::Jinja && included.syntax == Syntax::Jinja {
            let (first, last) = trims(&included.text)?;
            (include.sealed_before || first, include.sealed_behind || last)
        } else {
            (include.sealed_before, include.sealed_behind)
        };
        let before_text = if seals.0 { "{##}" } else { "" };
        let behind_text = if seals.1 { "{##}" } else { "" };
        if joins(&flat, before_text, &included.text) || joins(&included.text, behind_text, behind) {
            return Err(IncludeError::Joined { reference: include.reference });
        }
        flat.push_str(before_text);
        flat.push_str(&included.text);
        flat.push_str(behind_text);
        if flat.len() > CONTENT_BYTES_MAX {
            return Err(IncludeError::TooLong { max: CONTENT_BYTES_MAX });
        }
    }
    flat.push_str(text.get(from..).unwrap_or_default());
    if flat.len() > CONTENT_BYTES_MAX {
        return Err(IncludeError::TooLong { max: CONTENT_BYTES_MAX });
    }
    Ok(flat)
}

/// The name of a syntax.
const fn syntax_name(syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::Mustache => "mustache",
        Syntax::Jinja => "jinja",
        Syntax::Plain => "plain",
    }
}

/// Rejects an included text that would have another meaning in this syntax.
fn check<E>(reference: &str, included: &Included, syntax: Syntax) -> Result<(), IncludeError<E>> {
    if included.syntax == syntax {
        return Ok(());
    }
    let (reference, expected) = (excerpt(reference), syntax_name(syntax));
    if included.syntax != Syntax::Plain {
        return Err(IncludeError::Syntax { reference, expected });
    }
    let delimiters: &[&str] = if syntax == Syntax::Jinja { &["{{", "{%", "{#"] } else { &["{{"] };
    match delimiters.iter().find(|delimiter| included.text.contains(**delimiter)) {
        Some(delimiter) => Err(IncludeError::Delimiter { reference, delimiter, expected }),
        None => Ok(()),
    }
}

/// Whether the boundary between two texts would form a delimiter.
fn joins(before: &str, seal: &str, behind: &str) -> bool {
    let behind = if seal.is_empty() { behind } else { seal };
    before.ends_with('{') && behind.starts_with(['{', '%', '#'])
}

/// Whether a Jinja text starts or ends with a tag that trims adjacent whitespace.
fn trims(text: &str) -> Result<(bool, bool), TemplateError> {
    let (mut first, mut last) = (None, false);
    for piece in pieces(text) {
        let (before, behind) = edges(&piece?).map_or((false, false), |edges| (edges.trims_before, edges.trims_behind));
        first.get_or_insert(before);
        last = behind;
    }
    Ok((first.unwrap_or(false), last))
}

fn edges<'p>(piece: &'p Piece<'_>) -> Option<&'p Edges> {
    match piece {
        Piece::Text(_) => None,
        Piece::Comment(edges) | Piece::Raw(edges) => Some(edges),
        Piece::Tag(tag) => Some(&tag.edges),
    }
}

fn find_mustache(text: &str) -> Vec<Include> {
    let include = |segment: mustache::Segment<'_>| match segment.kind {
        mustache::Kind::Include(reference) => Some(Include {
            reference: reference.to_owned(),
            span: segment.span,
            sealed_before: false,
            sealed_behind: false,
        }),
        _ => None,
    };
    // One more than allowed is enough to detect too many.
    mustache::segments(text).filter_map(include).take(INCLUDES_MAX.saturating_add(1)).collect()
}

fn find_jinja(text: &str) -> Result<Vec<Include>, TemplateError> {
    let mut includes: Vec<Include> = Vec::new();
    // How the piece just read trims the whitespace after it.
    let (mut trimming, mut open) = (false, false);
    // How much literal whitespace precedes the next piece.
    let mut space_from = 0;
    for piece in pieces(text) {
        let piece = piece?;
        let edges = match &piece {
            Piece::Text(span) => {
                let literal = text.get(span.clone()).unwrap_or_default();
                if let Some(include) = includes.last_mut().filter(|_| open)
                    && trimming
                {
                    let kept = literal.trim_start();
                    include.span.end = span.end.saturating_sub(kept.len());
                }
                let floor = includes.last().map_or(0, |include| include.span.end);
                space_from = span.start.saturating_add(literal.trim_end().len()).max(floor);
                (trimming, open) = (false, false);
                continue;
            }
            Piece::Comment(edges) | Piece::Raw(edges) => edges.clone(),
            Piece::Tag(tag) => tag.edges.clone(),
        };
        let reference = match &piece {
            Piece::Tag(tag) => reference(text, tag)?,
            _ => None,
        };
        if let Some(include) = includes.last_mut().filter(|_| open) {
            include.sealed_behind = edges.trims_before && reference.is_none();
        }
        let is_include = reference.is_some();
        if let Some(reference) = reference {
            let start = if edges.trims_before { space_from.min(edges.span.start) } else { edges.span.start };
            let span = start..edges.span.end;
            includes.push(Include { reference, span, sealed_before: trimming && !open, sealed_behind: false });
            if includes.len() > INCLUDES_MAX {
                return Ok(includes);
            }
        }
        (trimming, open) = (edges.trims_behind, is_include);
        space_from = edges.span.end;
    }
    Ok(includes)
}

/// The reference of an include; absent for another tag.
fn reference(text: &str, tag: &Tag<'_>) -> Result<Option<String>, TemplateError> {
    let Some(first) = tag.tokens.first() else { return Ok(None) };
    let refuse = |message: String| Err(TemplateError::at(text, first.at, message));
    match tag.keyword() {
        "include" => {}
        "extends" | "import" | "from" => return refuse(format!("`{}` is not available; use include", first.text)),
        _ => return Ok(None),
    }
    let constant = match tag.tokens.as_slice() {
        [_, token] if token.kind == Kind::String && !token.text.contains('\\') => {
            token.text.get(1..token.text.len().saturating_sub(1)).map(str::trim)
        }
        _ => None,
    };
    match constant {
        Some(reference) if !reference.is_empty() && reference.len() <= REFERENCE_BYTES_MAX => {
            Ok(Some(reference.to_owned()))
        }
        _ => refuse("write an include as {% include \"name@version\" %}, with nothing else in it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, syntax: Syntax, included: &str, other: Syntax) -> Result<String, String> {
        let mut fetch = |reference: &str| match reference {
            "a" | "shared/tone@3" => Ok(Included { text: included.to_owned(), syntax: other }),
            _ => Err(format!("no prompt {reference}")),
        };
        flatten(text, syntax, &mut fetch).map_err(|error| error.to_string())
    }

    #[test]
    fn include_is_replaced_by_its_text() {
        use Syntax::{Jinja, Mustache, Plain};
        for (text, syntax, included, expected) in [
            ("x {{> a}} y {{>shared/tone@3 }}", Mustache, "{{n}}", "x {{n}} y {{n}}"),
            ("x {{> a}}", Plain, "i", "x {{> a}}"),
            ("x {% include 'a' %} y", Jinja, "{{ n }}\n", "x {{ n }}\n y"),
            ("x {% include \"shared/tone@3\" %}", Jinja, "i", "x i"),
            ("x \n{%- include 'a' -%}\n y", Jinja, " i ", "x i y"),
            ("{%- include 'a' -%}", Jinja, "i", "i"),
            ("x {%- include 'a' -%}  {%- include 'a' -%} y", Jinja, "i", "xiiy"),
            ("{{ x -}} {% include 'a' %} z", Jinja, " i", "{{ x -}} {% include 'a' %} z"),
            ("{# {% include 'b' %} #}{% raw %}{% include 'b' %}{% endraw %}", Jinja, "i", ""),
            ("{{ x -}}{% include 'a' %}{{- y }}", Jinja, " i ", "{{ x -}}{##} i {##}{{- y }}"),
            ("x {% include 'a' %} y", Jinja, "{{- n -}}", "x {##}{{- n -}}{##} y"),
            ("{{ '{% include \"b\" %}' }}", Jinja, "i", ""),
        ] {
            let expected = match expected {
                "" => text.to_owned(),
                same if same == text => text.replace("{% include 'a' %}", included),
                other => other.to_owned(),
            };
            assert_eq!(run(text, syntax, included, syntax), Ok(expected), "{text}");
        }
        assert_eq!(run("{{> a}}{{x}}", Mustache, "{% p %}", Plain), Ok("{% p %}{{x}}".to_owned()));
    }

    #[test]
    fn invalid_include_gives_the_reason() {
        use Syntax::{Jinja, Mustache, Plain};
        let check = |text: &str, syntax, included: &str, other, part: &str| {
            let message = run(text, syntax, included, other).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        };
        check("{{> b}}", Mustache, "", Mustache, "no prompt b");
        check("{{> a}}", Mustache, "x", Jinja, "`a` has a different syntax; include a prompt in mustache");
        check("{{> a}}", Mustache, "{{x}}", Plain, "`a` is plain but contains `{{`");
        check("{% include 'a' %}", Jinja, "{# x", Plain, "contains `{#`, which jinja would interpret");
        check("{% include 'a' %}", Jinja, "{{x}}", Mustache, "include a prompt in jinja or plain syntax");
        check("{ {{> a}}{x}}", Mustache, "x{", Plain, "would become a delimiter");
        check("\n{% include a %}", Jinja, "", Jinja, "line 2, column 4: write an include as");
        check("{% include 'a' ignore missing %}", Jinja, "", Jinja, "write an include as");
        check("{% include ['a', 'b'] %}", Jinja, "", Jinja, "write an include as");
        check("{% include '' %}", Jinja, "", Jinja, "write an include as");
        check("{% import 'a' as b %}", Jinja, "", Jinja, "`import` is not available");
        check("{% extends 'a' %}", Jinja, "", Jinja, "`extends` is not available");
        check("{% from 'a' import b %}", Jinja, "", Jinja, "`from` is not available");
        check(&"{{> a}}".repeat(65), Mustache, "", Mustache, "more than 64 includes");
        check(&"{% include 'a' %}".repeat(65), Jinja, "", Jinja, "more than 64 includes");
        check(&"{{> a}}".repeat(60), Mustache, &"x".repeat(100_000), Mustache, "the limit of 1048576 bytes");
    }

    #[test]
    fn hostile_texts_end_soon() {
        for unit in ["{{>", "{{>a", "{% include", "{% include 'a", "{%- include 'a' -%}   "] {
            let text = unit.repeat((1 << 20) / unit.len());
            let _ = run(&text, Syntax::Mustache, "x", Syntax::Mustache);
            let _ = run(&text, Syntax::Jinja, "x", Syntax::Jinja);
        }
    }
}
