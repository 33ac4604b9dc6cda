//! Splits a text for display: literal text, and what a caller or another prompt fills in.
//!
//! The concatenated pieces are the text. An invalid template is one literal piece.

use super::{mustache, scan};
use crate::model::content::Syntax;

/// A piece of a text, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'t> {
    /// Literal text.
    Text(&'t str),
    /// A variable.
    Variable(&'t str),
    /// Another prompt's text.
    Include(&'t str),
    /// A statement or a comment, which prints nothing.
    Logic(&'t str),
}

/// Splits a text.
pub fn marks(syntax: Syntax, text: &str) -> Vec<Mark<'_>> {
    match syntax {
        Syntax::Plain => vec![Mark::Text(text)],
        Syntax::Mustache => mustache::segments(text)
            .map(|segment| {
                let written = text.get(segment.span).unwrap_or_default();
                match segment.kind {
                    mustache::Kind::Text(_) => Mark::Text(written),
                    mustache::Kind::Variable(_) => Mark::Variable(written),
                    mustache::Kind::Include(_) => Mark::Include(written),
                }
            })
            .collect(),
        Syntax::Jinja => jinja(text),
    }
}

fn jinja(text: &str) -> Vec<Mark<'_>> {
    let mut marks = Vec::new();
    let mut end = 0;
    for piece in scan::pieces(text) {
        let Ok(piece) = piece else { break };
        let span = match &piece {
            scan::Piece::Text(span) => span.clone(),
            scan::Piece::Comment(edges) | scan::Piece::Raw(edges) => edges.span.clone(),
            scan::Piece::Tag(tag) => tag.edges.span.clone(),
        };
        end = span.end;
        let written = text.get(span).unwrap_or_default();
        marks.push(match piece {
            scan::Piece::Text(_) | scan::Piece::Raw(_) => Mark::Text(written),
            scan::Piece::Tag(tag) if !tag.statement => Mark::Variable(written),
            scan::Piece::Tag(_) | scan::Piece::Comment(_) => Mark::Logic(written),
        });
    }
    if let Some(rest) = text.get(end..).filter(|rest| !rest.is_empty()) {
        marks.push(Mark::Text(rest));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_named_and_put_together_again_are_the_text() {
        use Mark::{Include, Logic, Text, Variable};
        for (syntax, text, expected) in [
            (Syntax::Plain, "a {{b}}", vec![Text("a {{b}}")]),
            (
                Syntax::Mustache,
                "a {{ b }}{{> c@3}}.",
                vec![Text("a "), Variable("{{ b }}"), Include("{{> c@3}}"), Text(".")],
            ),
            (
                Syntax::Jinja,
                "{% if a %}{{ b }}{% endif %}{# c #} d",
                vec![Logic("{% if a %}"), Variable("{{ b }}"), Logic("{% endif %}"), Logic("{# c #}"), Text(" d")],
            ),
            (Syntax::Jinja, "a {{ b", vec![Text("a "), Text("{{ b")]),
            (Syntax::Mustache, "", vec![]),
        ] {
            let found = marks(syntax, text);
            assert_eq!(found, expected, "{text}");
            let written = |mark: &Mark<'_>| match *mark {
                Text(part) | Variable(part) | Include(part) | Logic(part) => part.to_owned(),
            };
            assert_eq!(found.iter().map(written).collect::<String>(), text);
        }
    }
}
