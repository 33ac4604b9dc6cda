//! The parts of a text that may be XML: elements that are closed, and runs of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::javascript::is_space;

/// A closed element, and where the element around it begins.
struct Element {
    start: usize,
    end: usize,
    parent: Option<usize>,
}

/// The places of parts that may be XML, in the order in which they are tried: runs of siblings from the first to the
/// last, then the outermost elements.
pub(super) fn candidates(text: &str) -> Vec<(usize, usize)> {
    let elements = elements(text);
    let starts: BTreeSet<usize> = elements.iter().map(|element| element.start).collect();
    let is_outermost = |parent: Option<usize>| parent.is_none_or(|parent| !starts.contains(&parent));
    let mut families: BTreeMap<Option<usize>, (usize, usize, usize, usize)> = BTreeMap::new();
    for (order, element) in elements.iter().enumerate() {
        let family = families.entry(element.parent).or_insert((order, 0, usize::MAX, 0));
        family.1 += 1;
        family.2 = family.2.min(element.start);
        family.3 = family.3.max(element.end);
    }
    let runs = families.into_iter().filter(|(parent, (_, count, ..))| *count > 1 && is_outermost(*parent));
    let mut runs: Vec<_> = runs.map(|(_, (order, _, start, end))| (order, (start, end))).collect();
    runs.sort_unstable();
    let mut outermost: Vec<(usize, usize)> = elements
        .iter()
        .filter(|element| is_outermost(element.parent))
        .map(|element| (element.start, element.end))
        .collect();
    outermost.sort_unstable_by_key(|(start, end)| (*start, usize::MAX - end));
    let mut seen = BTreeSet::new();
    runs.into_iter().map(|(_, run)| run).chain(outermost).filter(|part| seen.insert(*part)).collect()
}

/// Every closed element, in the order in which they are closed.
fn elements(text: &str) -> Vec<Element> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find('<')).map(|at| from + at) {
        from = start + 1;
        let Some(after) = text.get(from..) else { break };
        if after.starts_with(['!', '?']) {
            from = declaration_end(text, start);
            continue;
        }
        let closing = after.strip_prefix('/');
        let Some((name, end)) = name(closing.unwrap_or(after)).zip(tag_end(text, start)) else { continue };
        let parent = |open: &[(&str, usize)]| open.last().map(|(_, start)| *start);
        from = end + 1;
        if closing.is_some() {
            match open.last().copied() {
                Some((opened, start)) if opened == name => {
                    open.pop();
                    found.push(Element { start, end: from, parent: parent(&open) });
                }
                _ => open.clear(),
            }
        } else if text.get(start..end).is_some_and(|tag| tag.trim_end_matches(is_space).ends_with('/')) {
            found.push(Element { start, end: from, parent: parent(&open) });
        } else {
            open.push((name, start));
        }
    }
    found
}

/// The name at the beginning of a text.
fn name(text: &str) -> Option<&str> {
    let end = text.find(|character| !is_name(character)).unwrap_or(text.len());
    text.get(..end).filter(|name| name.starts_with(begins_name))
}

/// Whether a name may begin with a character, by XML 1.0.
fn begins_name(character: char) -> bool {
    matches!(character,
        ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn is_name(character: char) -> bool {
    begins_name(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Where the `>` of a tag is; `None` if another tag begins before.
pub(super) fn tag_end(text: &str, start: usize) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(start + 1) {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'<') => return None,
            (None, b'>') => return Some(at),
            _ => {}
        }
    }
    None
}

/// What follows a comment, a CDATA section, an instruction or a declaration.
fn declaration_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or("");
    for (open, close) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if let Some(inside) = rest.strip_prefix(open) {
            return inside.find(close).map_or(text.len(), |at| start + open.len() + at + close.len());
        }
    }
    let (mut quote, mut brackets) = (None, 0_usize);
    for (at, byte) in rest.bytes().enumerate().skip(2) {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => brackets += 1,
            (None, b']') => brackets = brackets.saturating_sub(1),
            (None, b'>') if brackets == 0 => return start + at + 1,
            _ => {}
        }
    }
    text.len()
}
