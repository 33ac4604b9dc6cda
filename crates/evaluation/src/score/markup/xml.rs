//! `is-xml` and `contains-xml`: well-formed XML, with elements if some are named.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use roxmltree::{Document, Error, ParsingOptions};
use serde_json::Value;

use super::super::javascript::{string, trim};
use super::super::{Input, Score, ScoreError, excerpt, needs};
use super::candidates::candidates;
use super::elements::has_path;

/// Longest answer that is read as XML, in bytes.
const XML_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most parts of an answer that are tried.
const CANDIDATES_MAX: usize = 10_000;
/// Most elements and texts of a document.
const NODES_MAX: u32 = 1_000_000;

static ENTITY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("&[^&;#<\"'\\s]+;").ok());

/// The paths of elements that are required, such as `book.title`.
pub(in super::super) fn required(input: &Input<'_>) -> Result<Vec<String>, ScoreError> {
    let texts = |items: &[Value]| items.iter().map(|item| string(item).into_owned()).collect();
    match &input.value {
        Some(Value::String(text)) => Ok(text.split(',').map(|path| trim(path).to_owned()).collect()),
        Some(Value::Array(items)) => Ok(texts(items)),
        Some(Value::Object(fields)) if !fields.is_empty() => match fields.get("requiredElements") {
            Some(Value::Array(items)) => Ok(texts(items)),
            _ => Err(needs("a text, a list or `requiredElements` as its value, or none")),
        },
        _ => Ok(Vec::new()),
    }
}

/// The required paths that a text does not have.
fn missing<'p>(text: &str, required: &'p [String]) -> Vec<&'p str> {
    required.iter().map(String::as_str).filter(|path| !has_path(text, path)).collect()
}

fn check_length(input: &Input<'_>) -> Result<(), ScoreError> {
    if input.text.len() > XML_BYTES_MAX {
        let bytes = input.text.len();
        return Err(ScoreError(format!("the answer is {bytes} bytes long; XML is read up to {XML_BYTES_MAX} bytes")));
    }
    Ok(())
}

pub(in super::super) fn is_xml(input: &Input<'_>) -> Result<Score, ScoreError> {
    let required = required(input)?;
    check_length(input)?;
    let checked = well_formed(&input.text).and_then(|()| match missing(&input.text, &required) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(format!("the XML has no {}", excerpt(&missing.join(", ")))),
    });
    Ok(input.decide(checked.is_ok(), |_| match checked {
        Ok(()) => "the answer is XML".to_owned(),
        Err(why) => why,
    }))
}

pub(in super::super) fn contains_xml(input: &Input<'_>) -> Result<Score, ScoreError> {
    let required = required(input)?;
    check_length(input)?;
    let candidates = candidates(&input.text);
    if candidates.len() > CANDIDATES_MAX {
        return Err(ScoreError(format!("the answer has more than {CANDIDATES_MAX} parts that may be XML")));
    }
    let mut tried: Vec<(usize, usize)> = Vec::new();
    let mut found = false;
    for (start, end) in candidates {
        if tried.iter().any(|(from, to)| start >= *from && end <= *to) {
            continue;
        }
        if missing(input.text.get(start..end).unwrap_or(""), &required).is_empty() {
            found = true;
            break;
        }
        tried.push((start, end));
    }
    Ok(input.decide(found, |not| format!("expected the answer {not}to contain such XML")))
}

/// Checks that a text is one document with namespaces.
fn well_formed(text: &str) -> Result<(), String> {
    let doctype = doctype(text);
    if doctype.is_some_and(has_internal_subset) {
        return Err("a document type definition within the document is not supported".to_owned());
    }
    if text.contains("]]>") && has_stray_end_of_cdata(text) {
        return Err("the answer is not XML: `]]>` in text".to_owned());
    }
    let parse = |text: &str| {
        let options = ParsingOptions { allow_dtd: true, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
        Document::parse_with_options(text, options).map(drop)
    };
    let mut parsed = parse(text);
    if let (Err(Error::UnknownEntityReference(..)), Some(doctype)) = (&parsed, doctype)
        && ["SYSTEM", "PUBLIC"].iter().any(|external| doctype.contains(external))
        && !text.contains("standalone=\"yes\"")
    {
        // Another file may declare the entities.
        let text = ENTITY.as_ref().map_or(Cow::Borrowed(text), |entity| entity.replace_all(text, "x"));
        parsed = parse(&text);
    }
    parsed.map_err(|error| format!("the answer is not XML: {error}"))
}

/// The document type declaration before the first element.
fn doctype(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        let skipped = ["<?", "?>", "<!--", "-->"].chunks(2).find_map(|pair| match pair {
            [open, close] => rest.strip_prefix(open)?.split_once(close).map(|(_, after)| after),
            _ => None,
        });
        match skipped {
            Some(after) => rest = after,
            None => break,
        }
    }
    let declaration = rest.strip_prefix("<!DOCTYPE")?;
    let mut quote = None;
    for (at, character) in declaration.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '>') => return declaration.get(..=at),
            _ => {}
        }
    }
    None
}

fn has_internal_subset(doctype: &str) -> bool {
    doctype.ends_with('[')
}

/// Whether `]]>` is outside of CDATA sections, comments, instructions and tags.
fn has_stray_end_of_cdata(text: &str) -> bool {
    let mut rest = text;
    loop {
        let (content, markup) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        if content.contains("]]>") {
            return true;
        }
        let end = match () {
            () if markup.is_empty() => return false,
            () if markup.starts_with("<![CDATA[") => markup.find("]]>").map(|at| at + 3),
            () if markup.starts_with("<!--") => markup.find("-->").map(|at| at + 3),
            () if markup.starts_with("<?") => markup.find("?>").map(|at| at + 2),
            () => super::candidates::tag_end(markup, 0).map(|at| at + 1),
        };
        match end.and_then(|end| markup.get(end..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}
