//! Paths of elements, as promptfoo names them: `book.title`, `book.author.1` for the second of several, `book.@_id` for an
//! attribute, and `book.#text` for text beside others.

use super::super::javascript::{is_space, trim};
use super::candidates::tag_end;

/// Most parts of a path.
const PARTS_MAX: usize = 100;

/// Whether an XML text has an element, attribute or text at a path. A name that several siblings have is a list, so the
/// next part of the path must be the place of one of them.
pub(super) fn has_path(text: &str, path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    parts.len() <= PARTS_MAX && Element { name: "", attributes: "", content: text }.has(&parts)
}

/// An element of a text.
struct Element<'t> {
    name: &'t str,
    attributes: &'t str,
    content: &'t str,
}

impl<'t> Element<'t> {
    /// An element or instruction by what is between its `<` and `>`.
    fn of(tag: &'t str, content: &'t str) -> Self {
        let tag = tag.strip_suffix(['/', '?']).unwrap_or(tag);
        let (name, attributes) = tag.split_at(tag.find(is_space).unwrap_or(tag.len()));
        Self { name, attributes: trim(attributes), content }
    }

    fn has(&self, path: &[&str]) -> bool {
        let Some((name, rest)) = path.split_first() else { return true };
        if let Some(attribute) = name.strip_prefix("@_") {
            return rest.is_empty() && self.has_attribute(attribute);
        }
        let (children, has_text) = self.children();
        if *name == "#text" {
            // A text alone is the value of its element, which has no parts.
            return rest.is_empty() && has_text && !(children.is_empty() && self.attributes.is_empty());
        }
        let named: Vec<&Self> = children.iter().filter(|child| child.name == *name).collect();
        match (named.as_slice(), rest.split_first()) {
            ([], _) => false,
            ([child], _) => child.has(rest),
            (_, None) => true,
            (several, Some((index, rest))) => {
                let at = index.parse::<usize>().ok().filter(|at| at.to_string() == *index);
                at.and_then(|at| several.get(at)).is_some_and(|child| child.has(rest))
            }
        }
    }

    fn has_attribute(&self, name: &str) -> bool {
        let mut rest = self.attributes;
        while !rest.is_empty() {
            let end = rest.find(|character| character == '=' || is_space(character)).unwrap_or(rest.len());
            let (found, after) = rest.split_at(end);
            if found == name {
                return true;
            }
            let after = after.trim_start_matches(is_space);
            rest = match after.strip_prefix('=').map(|value| value.trim_start_matches(is_space)) {
                None => after,
                Some(value) => {
                    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.split_once(*quote));
                    quoted.map_or("", |(_, after)| after.trim_start_matches(is_space))
                }
            };
        }
        false
    }

    /// The children, and whether there is text beside them.
    fn children(&self) -> (Vec<Self>, bool) {
        let mut children = Vec::new();
        let mut has_text = false;
        let mut depth = 0_usize;
        // The tag of the child that is open, and where its content begins.
        let mut open = ("", 0);
        let mut from = 0;
        while let Some(rest) = self.content.get(from..).filter(|rest| !rest.is_empty()) {
            let at = rest.find('<').unwrap_or(rest.len());
            let (text, markup) = rest.split_at(at);
            has_text |= depth == 0 && !trim(text).is_empty();
            let start = from + at;
            let end = |length: Option<usize>| length.map_or(self.content.len(), |length| start + length);
            from = if markup.starts_with("<![CDATA[") {
                has_text |= depth == 0;
                end(markup.find("]]>").map(|at| at + 3))
            } else if markup.starts_with("<!--") {
                end(markup.find("-->").map(|at| at + 3))
            } else {
                end(tag_end(markup, 0).map(|at| at + 1))
            };
            let tag = self.content.get(start + 1..from.saturating_sub(1)).unwrap_or("");
            if tag.is_empty() || tag.starts_with('!') {
                continue;
            }
            if tag.starts_with('/') {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    children.push(Element::of(open.0, self.content.get(open.1..start).unwrap_or("")));
                }
            } else if tag.ends_with('/') || tag.starts_with('?') {
                if depth == 0 {
                    children.push(Element::of(tag, ""));
                }
            } else {
                if depth == 0 {
                    open = (tag, from);
                }
                depth += 1;
            }
        }
        (children, has_text)
    }
}
