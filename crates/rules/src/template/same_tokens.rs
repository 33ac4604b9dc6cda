//! Compares `scan` with the engine's own tokenizer, for tests and for `fuzz/`.
//!
//! The engine must read what `scan` accepts as the same tokens at the same places: otherwise a guard that `sandbox`
//! writes for one reading would not hold for the other. What `scan` rejects never reaches the engine, and the engine
//! may reject more.

use std::ops::Range;

use minijinja::machinery::{Token, tokenize};

use super::jinja::syntax;
use super::scan::{Edges, Kind, Piece, pieces};

/// A token of both: its kind and its bytes.
type Read = (&'static str, Range<usize>);

/// Asserts that the engine reads a text as `scan` does.
///
/// # Panics
/// It reads something else.
pub fn check(text: &str) {
    let Ok(pieces) = pieces(text).collect::<Result<Vec<_>, _>>() else { return };
    let ours = ours(text, &pieces);
    let mut theirs = tokenize(text, false, syntax());
    for (what, bytes) in ours {
        match theirs
            .next()
            .map(|read| read.map(|(token, span)| (kind(&token), place(span.start_offset, span.end_offset))))
        {
            Some(Ok(("text", inside))) if what == "raw" => {
                assert!(bytes.start < inside.start && inside.end < bytes.end, "{text:?}: a raw block at {inside:?}");
            }
            Some(Ok(read)) => assert_eq!(read, (what, bytes), "{text:?}"),
            Some(Err(_)) => return,
            None => panic!("{text:?}: the engine does not read the {what} at {bytes:?}"),
        }
    }
    if let Some(Ok((token, _))) = theirs.next() {
        panic!("{text:?}: only the engine reads {token}");
    }
}

fn ours(text: &str, pieces: &[Piece<'_>]) -> Vec<Read> {
    let mut all: Vec<Read> = Vec::new();
    let mut trimming = false;
    for (index, piece) in pieces.iter().enumerate() {
        let Some(edges) = edges_of(piece) else {
            let Piece::Text(bytes) = piece else { continue };
            let literal = text.get(bytes.clone()).unwrap_or_default();
            let kept = if trimming { literal.trim_start() } else { literal };
            let start = bytes.end - kept.len();
            let trims = pieces.get(index + 1).and_then(edges_of).is_some_and(|edges| edges.trims_before);
            let kept = if trims { kept.trim_end() } else { kept };
            if !kept.is_empty() {
                all.push(("text", start..start + kept.len()));
            }
            trimming = false;
            continue;
        };
        trimming = edges.trims_behind;
        match piece {
            Piece::Raw(edges) => all.push(("raw", edges.span.clone())),
            Piece::Tag(tag) => {
                let Range { start, end } = edges.span;
                let signed = |at: usize| matches!(text.as_bytes().get(at), Some(b'-' | b'+'));
                let inner = start + 2 + usize::from(signed(start + 2));
                // In `{%+%}` the only sign belongs to the start.
                let outer = end - 2 - usize::from(end - 2 > inner && signed(end - 3));
                all.push(("open", start..inner));
                all.extend(tag.tokens.iter().map(|token| (name(token.kind), token.at..token.end())));
                all.push(("close", outer..end));
            }
            Piece::Comment(_) | Piece::Text(_) => {}
        }
    }
    all
}

fn edges_of<'p>(piece: &'p Piece<'_>) -> Option<&'p Edges> {
    match piece {
        Piece::Text(_) => None,
        Piece::Comment(edges) | Piece::Raw(edges) => Some(edges),
        Piece::Tag(tag) => Some(&tag.edges),
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Name => "name",
        Kind::String => "string",
        Kind::Number => "number",
        Kind::Operator => "operator",
    }
}

const fn kind(token: &Token<'_>) -> &'static str {
    match token {
        Token::TemplateData(_) => "text",
        Token::VariableStart | Token::BlockStart => "open",
        Token::VariableEnd | Token::BlockEnd => "close",
        Token::Ident(_) => "name",
        Token::Str(_) | Token::String(_) => "string",
        Token::Int(_) | Token::Int128(_) | Token::Float(_) => "number",
        _ => "operator",
    }
}

fn place(start: u32, end: u32) -> Range<usize> {
    let byte = |offset: u32| usize::try_from(offset).expect("32 bits fit");
    byte(start)..byte(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

    use super::*;

    #[test]
    fn fixture_templates_have_the_same_tokens_as_in_the_engine() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../../fixtures/jinja/cases.json")).expect("the fixtures");
        let cases = cases["cases"].as_array().expect("cases");
        assert!(cases.len() > 100);
        for case in cases {
            check(case["template"].as_str().expect("a template"));
        }
    }

    #[test]
    fn earlier_tokenizer_differences_are_resolved() {
        for text in [
            "{#-#} a",
            "{%+%}",
            "{{-}}",
            "{{ a -}}",
            "a {#--#} b",
            "{{ 0b10b1 }}",
            "{{ 1.e5 }}",
            "{{ 0o17 }}{{ 0xfF_1 }}",
            "{{ a.0.1 }}",
        ] {
            check(text);
        }
    }

    /// Pieces of Jinja in any order, complete and broken.
    fn soup() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "-",
            "+",
            " ",
            "\n",
            "\u{a0}",
            "a",
            "é",
            "_",
            "if",
            "raw",
            "endraw",
            "{% raw %}",
            "{%- endraw -%}",
            "{{ a }}",
            "{%- if a -%}",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "'",
            "\"",
            "\\",
            ".",
            "1",
            "0x",
            "0b1",
            "e",
            "E5",
            "1.5",
            "_1",
            ",",
            ":",
            "|",
            "~",
            "*",
            "/",
            "%",
            "=",
            "!",
            "<",
            ">",
            "\u{85}",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    /// Pieces of numbers in any order.
    fn numbers() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec!["0", "1", "_", ".", "e", "E", "+", "-", "0x", "0b", "0o", "a", "b", " "]);
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 8_192, ..ProptestConfig::default() })]

        #[test]
        fn any_text_has_the_same_tokens_as_in_the_engine(text in soup(), inside in soup(), number in numbers()) {
            check(&text);
            check(&format!("x {{{{- {inside} }}}} y"));
            check(&format!("{{{{ {number} }}}}"));
        }
    }
}
