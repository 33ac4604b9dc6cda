//! Templates with rendering: the first line is the syntax (`jinja`, `mustache`, `plain`), the last two sections are
//! variables and messages as JSON; sections are separated by `=====`. Each further section is a message.
//!
//! A rendering ends in time, gives the same twice, and is within its limit.
#![no_main]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bookholder::clock::Cancellation;
use bookholder::model::content::{Content, Syntax};
use bookholder::template::include::{Included, find, flatten};
use bookholder::template::lint::lint;
use bookholder::template::marks::{Mark, marks};
use bookholder::template::render::{OUTPUT_BYTES_MAX, RenderInput, render};
use bookholder::template::same_tokens;
use bookholder::template::variables::{complete, derive};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

/// Deadline of a rendering in this build, which is about ten times slower than a release.
const RENDERING_MAX: Duration = Duration::from_secs(5);

fn content(syntax: Syntax, texts: &[&str]) -> Option<Content> {
    let [text] = texts else {
        let mut messages: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
        messages.push(json!({"type": "placeholder", "name": "history"}));
        return Content::from_json(json!({"syntax": syntax, "messages": messages}).to_string().as_bytes()).ok();
    };
    Some(Content::text(syntax, *text))
}

fn check_text(syntax: Syntax, text: &str) {
    same_tokens::check(text);
    let pieces: String = marks(syntax, text)
        .into_iter()
        .map(|mark| match mark {
            Mark::Text(text) | Mark::Variable(text) | Mark::Include(text) | Mark::Logic(text) => text,
        })
        .collect();
    assert_eq!(pieces, text);
    let Ok(includes) = find(text, syntax) else { return };
    for include in &includes {
        assert!(text.get(include.span.clone()).is_some_and(|tag| tag.contains(include.reference.as_str())));
    }
    let fetch = |_: &str| Ok::<_, ()>(Included { text: " plain ".to_owned(), syntax: Syntax::Plain });
    if let Ok(flat) = flatten(text, syntax, &mut { fetch }) {
        assert_eq!(find(&flat, syntax).map(|left| left.len()), Ok(0));
    }
}

fuzz_target!(|input: &str| {
    let (first, rest) = input.split_once('\n').unwrap_or(("", input));
    let syntax = match first {
        "mustache" => Syntax::Mustache,
        "plain" => Syntax::Plain,
        _ => Syntax::Jinja,
    };
    let sections: Vec<&str> = rest.split("\n=====\n").collect();
    let (texts, given) = sections.split_at(sections.len().saturating_sub(2).max(1));
    let object = |at: usize| given.get(at).and_then(|json| serde_json::from_str::<Map<String, Value>>(json).ok());
    let variables = object(0).unwrap_or_default();
    let lists = object(1).unwrap_or_default().into_iter();
    let messages: BTreeMap<String, Vec<Value>> =
        lists.filter_map(|(name, list)| Some((name, list.as_array()?.clone()))).collect();

    texts.iter().for_each(|text| check_text(syntax, text));
    let Some(mut content) = content(syntax, texts) else { return };
    let _ = lint(&content);
    let found = derive(&content);
    if complete(&mut content).is_err() {
        return;
    }
    assert_eq!(found.expect("the same texts").len(), content.variables.len());
    let given = RenderInput { variables: &variables, messages: &messages, strict: false };
    let begin = Instant::now();
    let rendered = render(&content, given, &Cancellation::never());
    assert!(begin.elapsed() < RENDERING_MAX, "{:?}", begin.elapsed());
    if let Ok(filled) = &rendered {
        assert!(serde_json::to_string(&filled.rendered).expect("JSON").len() <= 8 * OUTPUT_BYTES_MAX);
    }
    assert_eq!(render(&content, given, &Cancellation::never()), rendered);
});
