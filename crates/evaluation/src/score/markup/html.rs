//! `is-html` and `contains-html`: by the parser of the HTML standard, and by signs of markup.

use std::sync::LazyLock;

use regex::Regex;

use super::super::javascript::trim;
use super::super::{Input, Score, ScoreError};
use super::tree::{Tree, WRAPPERS};

/// Longest answer that is parsed, in bytes.
const HTML_BYTES_MAX: usize = 1024 * 1024;
/// Longest answer in which promptfoo searches for HTML, in bytes.
const SEARCHED_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What `\s` matches in JavaScript, within a class.
const SPACES: &str = r"\x09-\x0D\x20\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";

/// Names of elements that count as HTML, besides `html`, `head`, `body` and custom ones.
const NAMES: &str = " a abbr address area article aside audio b base bdi bdo blockquote br button canvas caption cite code \
    col colgroup data datalist dd del details dfn dialog div dl dt em embed fieldset figcaption figure footer form h1 h2 \
    h3 h4 h5 h6 header hr i iframe img input ins kbd label legend li link main map mark math menu meta meter nav noscript \
    object ol optgroup option output p param picture pre progress q rp rt ruby s samp script section select slot small \
    source span strong style sub summary sup svg table tbody td template textarea tfoot th thead time title tr track u ul \
    var video wbr ";

/// Names that are a sign of HTML by themselves.
const COMMON: &str = "html|head|body|div|span|p|a|img|h[1-6]|ul|ol|li|table|tr|td|th|form|input|button|script|style|link|\
                      meta|br|hr";

/// Signs of HTML, and how much each counts; two are enough.
static SIGNS: LazyLock<Vec<(Regex, u32)>> = LazyLock::new(|| {
    let signs = [
        (r"<[a-zA-Z][a-zA-Z0-9-]*(?:[S][^>]*)?>".to_owned(), 1),
        (r"</[a-zA-Z][a-zA-Z0-9-]*[S]*>".to_owned(), 1),
        (r"<[a-zA-Z][a-zA-Z0-9-]*(?:[S][^>]*)?/>".to_owned(), 1),
        (r"&(?:[a-zA-Z]+|#[0-9]+|#x[0-9a-fA-F]+);".to_owned(), 1),
        (r"(?i-u:<!DOCTYPE)[S]+(?i-u:html)".to_owned(), 2),
        (r"<!--[^-]*(?:-[^-]+)*-->".to_owned(), 1),
        (r#"[S][a-zA-Z-]+=[S]*["'][^"']*["']"#.to_owned(), 1),
        (format!(r"(?i-u:<(?:{COMMON})\b)"), 2),
    ];
    let compiled = signs
        .into_iter()
        .filter_map(|(sign, worth)| Some((Regex::new(&sign.replace("[S]", &format!("[{SPACES}]"))).ok()?, worth)));
    compiled.collect()
});

pub(in super::super) fn contains_html(input: &Input<'_>) -> Score {
    let text = &input.text;
    let signs = SIGNS.iter().filter(|(sign, _)| sign.is_match(text)).map(|(_, worth)| worth).sum::<u32>();
    let found = text.len() <= SEARCHED_BYTES_MAX && signs >= 2;
    input.decide(found, |not| format!("expected the answer {not}to contain HTML"))
}

pub(in super::super) fn is_html(input: &Input<'_>) -> Result<Score, ScoreError> {
    let text = trim(&input.text);
    if text.len() > HTML_BYTES_MAX {
        let bytes = text.len();
        return Err(ScoreError(format!("the answer is {bytes} bytes long; HTML is read up to {HTML_BYTES_MAX} bytes")));
    }
    let checked = check(text)?;
    Ok(input.decide(checked.is_ok(), |_| checked.err().unwrap_or("the answer is HTML").to_owned()))
}

/// Whether a text is HTML, or why not.
fn check(text: &str) -> Result<Result<(), &'static str>, ScoreError> {
    if text.is_empty() {
        return Ok(Err("the answer is empty"));
    }
    let lower = text.to_lowercase();
    if lower.starts_with("<?xml") {
        return Ok(Err("the answer is XML, not HTML"));
    }
    let tree = Tree::parse(text)
        .ok_or_else(|| ScoreError("the answer is HTML that is nested too deeply to be checked".to_owned()))?;
    // The parser adds these where they are not written.
    let is_written = |name: &str| {
        let tag = format!("<{name}");
        let ends = |(at, _): (usize, &str)| {
            lower
                .get(at + tag.len()..)
                .and_then(|rest| rest.chars().next())
                .is_some_and(|next| super::super::javascript::is_space(next) || matches!(next, '>' | '/'))
        };
        tree.is_given(name) && lower.match_indices(&tag).any(ends)
    };
    if !is_written("body") && tree.has_text_in_body() {
        return Ok(Err("the answer has text outside of HTML elements"));
    }
    let counts = |name: &str| {
        let is_known = || name.contains('-') || NAMES.contains(&format!(" {name} "));
        if WRAPPERS.contains(&name) { is_written(name) } else { is_known() }
    };
    let found = tree.names().any(counts);
    Ok(if found { Ok(()) } else { Err("the answer has no HTML elements") })
}
