//! Where the search words were found.

use maud::{Markup, html};

use crate::format::Escaped;
use crate::layout::request_path;
use crate::model::hit::{Hit, Place};

/// Most places shown per prompt.
const HITS_MAX: usize = 4;

/// The places of words that are not in the name.
pub(super) fn hits(hits: &[Hit]) -> Markup {
    let mut shown: Vec<(&Hit, Vec<&str>)> = Vec::new();
    for hit in hits.iter().filter(|hit| hit.place != Place::Name) {
        match shown.iter_mut().find(|(one, _)| one.place == hit.place && one.excerpt.contains(&hit.word)) {
            Some((_, words)) => words.push(&hit.word),
            None => shown.push((hit, vec![&hit.word])),
        }
    }
    html! {
        @for (hit, words) in shown.iter().take(HITS_MAX) {
            div.hit {
                @if let Place::Request(id) = hit.place { a href=(request_path(id)) { (place(hit.place)) } }
                @else { span.quiet { (place(hit.place)) } }
                " " (marked(&hit.excerpt, words))
            }
        }
    }
}

fn place(place: Place) -> String {
    match place {
        Place::Name => "name".to_owned(),
        Place::Owner => "owner".to_owned(),
        Place::Tag => "tag".to_owned(),
        Place::Description => "description".to_owned(),
        Place::Text(version) => format!("text of v{version}"),
        Place::Message(version) => format!("message of v{version}"),
        Place::Author(version) => format!("author of v{version}"),
        Place::Request(id) => format!("request {id}"),
    }
}

/// A text with these words highlighted.
pub(super) fn marked(text: &str, words: &[&str]) -> Markup {
    let (mut rest, mut parts) = (text, Vec::new());
    let next = |rest: &str| {
        let places =
            words.iter().filter(|word| !word.is_empty()).filter_map(|word| Some((rest.find(word)?, word.len())));
        places.min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
    };
    while let Some((at, length)) = next(rest) {
        let (before, found) = rest.split_at(at);
        let (word, after) = found.split_at(length);
        parts.push((before, word));
        rest = after;
    }
    html! { @for (before, word) in parts { (Escaped(before)) mark { (Escaped(word)) } } (Escaped(rest)) }
}
