//! Several recorded responses in order: those of a trace, or of a session.

use maud::{Markup, html};

use crate::api::telemetry::{ProducedBy, RecordedResponse, RecordedResponses, RecordedScore};
use crate::figures::{UNKNOWN, duration};
use crate::format::{Escaped, moment, start_of, when};
use crate::layout::{Frame, Page, Part, path_about, response_path};
use crate::model::count::count;
use crate::model::usd::Usd;
use crate::traced::{score_value, scored_part};

/// Longest id of a response in a table, in characters.
const ID_WIDTH: usize = 40;

/// What the responses have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// A trace.
    Trace(&'a str),
    /// A session.
    Session(&'a str),
}

/// Renders the page.
#[must_use]
pub fn page(frame: &Frame, of: Of<'_>, recorded: &RecordedResponses) -> String {
    let responses = &recorded.responses;
    let (heading, id) = match of {
        Of::Trace(id) => ("Trace", id),
        Of::Session(id) => ("Session", id),
    };
    let main = html! {
        div.head {
            h1 { (heading) }
            p.quiet { code.id { (Escaped(id)) } " " (count(responses.len(), "response")) ", oldest first" }
        }
        (older(recorded.truncated))
        (in_order(&responses.iter().collect::<Vec<_>>(), None))
    };
    let above = [("Usage", "/ui/usage".to_owned())];
    let title = format!("{heading} {id}");
    frame.page_of(Part::Usage, &Page { title: &title, above: &above, done: None, searches: false, main })
}

/// The field that leads to these pages.
pub(super) fn search() -> Markup {
    html! {
        form.filters action="/ui/responses" {
            label {
                span { "Find a response" }
                input.choice type="search" name="id" required maxlength="256" autocomplete="off" spellcheck="false"
                    placeholder="ID of a response, trace or session";
            }
            button type="submit" { "Open" }
        }
    }
}

/// That there are older responses, which are not listed.
pub(super) fn older(truncated: bool) -> Markup {
    html! { @if truncated { p { "Older responses are not listed: these are the newest 1,000." } } }
}

/// Responses in a table; the one with this id is marked.
pub(super) fn in_order(responses: &[&RecordedResponse], here: Option<&str>) -> Markup {
    html! {
        table.list.cards.figures {
            thead { tr {
                th scope="col" { "Completed (UTC)" } th scope="col" { "Response" } th scope="col" { "Version" }
                th scope="col" { "Model" } th scope="col" { "Tokens" } th scope="col" { "Cost" }
                th scope="col" { "Latency" } th scope="col" { "Scores" }
            } }
            tbody { @for one in responses { (row(one, here)) } }
        }
    }
}

fn row(one: &RecordedResponse, here: Option<&str>) -> Markup {
    let address = one.address();
    let shown = one.id.as_deref().or(one.span_id.as_deref()).unwrap_or(UNKNOWN);
    let is_here = here.is_some() && address.as_deref() == here;
    let tokens = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string());
    let model = one.model.as_deref().or(one.model_requested.as_deref());
    let scores = one.scores.iter().map(|score| format!("{} {}", score.name, score_value(score)));
    html! {
        tr {
            td data-label="Completed" { (moment(one.ended)) }
            th scope="row" {
                @match &address {
                    Some(address) => {
                        a href=(response_path(address)) aria-current=[is_here.then_some("true")] {
                            (start_of(shown, ID_WIDTH))
                        }
                    }
                    None => (UNKNOWN),
                }
            }
            td data-label="Version" {
                @if let Some(by) = &one.version { (named(by)) } @else { span.quiet { "unknown" } }
            }
            td data-label="Model" { (Escaped(model.unwrap_or(UNKNOWN))) }
            td data-label="Tokens" { (tokens(one.input_tokens)) " → " (tokens(one.output_tokens)) }
            td data-label="Cost" { (one.cost_usd.map_or_else(|| UNKNOWN.to_owned(), Usd::short)) }
            td data-label="Latency" {
                @if let Some(error) = &one.error { span.tag.high { (Escaped(error)) } }
                @else { (duration(one.latency_ms)) }
            }
            td data-label="Scores" { (Escaped(&scores.collect::<Vec<_>>().join(", "))) }
        }
    }
}

/// A version with its prompt, as a link.
pub(super) fn named(by: &ProducedBy) -> Markup {
    html! { a.name href=(version_path(by)) { (Escaped(by.prompt.as_str())) " v" (by.version) } }
}

/// The path of the page of a version.
pub(super) fn version_path(by: &ProducedBy) -> String {
    path_about("prompts", by.prompt.as_str(), &[("version", &by.version.to_string())])
}

/// Scores in a table.
pub(super) fn scores(frame: &Frame, scores: &[RecordedScore]) -> Markup {
    html! {
        table.list.cards {
            thead { tr {
                th scope="col" { "Score" } th scope="col" { "Value" } th scope="col" { "Of" } th scope="col" { "By" }
                th scope="col" { "Explanation" } th scope="col" { "When" }
            } }
            tbody {
                @for score in scores {
                    tr {
                        th scope="row" { (Escaped(&score.name)) }
                        td data-label="Value" { (Escaped(&score_value(score))) }
                        td data-label="Of" { (scored_part(score.about).unwrap_or("the response")) }
                        td data-label="By" { (Escaped(score.evaluator.as_deref().unwrap_or(UNKNOWN))) }
                        td.words data-label="Explanation" {
                            (Escaped(score.explanation.as_deref().unwrap_or_default()))
                        }
                        td data-label="When" { (when(score.at, frame.now)) }
                    }
                }
            }
        }
    }
}
