//! Observed prompts: those that are in applications and not in the registry yet, and adopting one.

use maud::{Markup, html};

use crate::api::observed::{AdoptedVersion, ObservedPrompt, ObservedPrompts, ObservedUse};
use crate::figures::UNKNOWN;
use crate::form::session;
use crate::format::{Escaped, grouped, start_of, when};
use crate::layout::{Frame, Page, Part, command, empty, prompt_path, query};
use crate::model::content::{Body, Content, Syntax};
use crate::pages::conversation::conversation;

/// Characters of a text in the list.
const TEXT_CHARACTERS: usize = 160;
/// Models of a prompt in the list.
const MODELS: usize = 2;

/// Renders the list.
#[must_use]
pub fn list(frame: &Frame, observed: &ObservedPrompts) -> String {
    let main = html! {
        div.head {
            h1 { "Observed prompts" }
            p.quiet { "System messages that applications send and that belong to no version" }
        }
        @if !observed.recording {
            p.note { "This node does not record content, so no prompts are observed. Start it with "
                code { "--record-content" } "." }
        }
        @if observed.prompts.is_empty() {
            (empty("No observed prompts", "Calls that name no prompt appear here if their system message is recorded."))
            (command("bookholder serve --record-content"))
        } @else {
            table.list.cards {
                thead { tr {
                    th scope="col" { "Text" } th scope="col" { "Calls" } th scope="col" { "Cost" }
                    th scope="col" { "Models" } th scope="col" { "First seen" } th scope="col" { "Last seen" }
                } }
                tbody { @for prompt in &observed.prompts { (row(frame, prompt)) } }
            }
            @if observed.more > 0 {
                p.quiet { "and " (grouped(observed.more)) " more: " code { "bookholder observed --limit 1000" } }
            }
        }
        @if let Some(other) = &observed.other {
            p.quiet {
                "Calls left out, as their text was too long or there was no more room: " (grouped(other.calls)) "."
            }
        }
    };
    let above = [("Usage", "/ui/usage".to_owned())];
    frame.page_of(Part::Usage, &Page { title: "Observed prompts", above: &above, done: None, searches: false, main })
}

fn row(frame: &Frame, prompt: &ObservedPrompt) -> Markup {
    let counts = &prompt.counts;
    html! {
        tr {
            th scope="row" {
                a.name href=(path(&prompt.id)) { (Escaped(&start_of(&prompt.text, TEXT_CHARACTERS))) }
                @if let Some(adopted) = &prompt.adopted { " " (adopted_as(adopted)) }
            }
            td data-label="Calls" { (grouped(counts.calls)) }
            td data-label="Cost" { (cost(counts)) }
            td data-label="Models" { (models(counts)) }
            td data-label="First seen" { (when(counts.first_seen, frame.now)) }
            td data-label="Last seen" { (when(counts.last_seen, frame.now)) }
        }
    }
}

/// Renders one observed prompt, with the form that adopts it.
#[must_use]
pub fn one(frame: &Frame, prompt: &ObservedPrompt) -> String {
    let counts = &prompt.counts;
    let tile = |name: &str, figure: String, note: Markup| {
        html! { div { dt { (name) } dd { b { (figure) } p.quiet { (note) } } } }
    };
    let syntax = if prompt.variables > 0 { Syntax::Mustache } else { Syntax::Plain };
    let content = Content { body: Body::Text(prompt.text.clone()), ..Content::text(syntax, "") };
    let main = html! {
        div.head { h1 { "Observed prompt" } p.quiet { code { (Escaped(&prompt.id)) } } }
        @if let Some(adopted) = &prompt.adopted {
            p.note { "Adopted as " (link(adopted)) ". Calls with this text belong to that version since then." }
        }
        dl.tiles {
            (tile("Calls", grouped(counts.calls), html! { (grouped(counts.errors)) " failed" }))
            (tile("Cost", cost(counts), html! {
                "known for " (grouped(counts.priced_calls)) " of " (grouped(counts.calls))
            }))
            (tile("Tokens", grouped(counts.input_tokens), html! {
                "read, " (grouped(counts.output_tokens)) " written"
            }))
            div { dt { "Seen" } dd {
                p { "first " (when(counts.first_seen, frame.now)) }
                p { "last " (when(counts.last_seen, frame.now)) }
            } }
        }
        section aria-labelledby="text" {
            h2 #text { "Text" }
            (conversation(&content))
            @if prompt.variables > 0 {
                p.quiet {
                    "Variables are where the texts of calls differ. You can rename them in the editor after adopting."
                }
            }
        }
        section aria-labelledby="models" {
            h2 #models { "Models" }
            table.list.cards {
                thead { tr { th scope="col" { "Model" } th scope="col" { "Calls" } } }
                tbody {
                    @for one in &counts.models {
                        tr {
                            th scope="row" { (Escaped(&one.model)) }
                            td data-label="Calls" { (grouped(one.calls)) }
                        }
                    }
                }
            }
        }
        (adopting(frame, prompt))
    };
    let above = [("Usage", "/ui/usage".to_owned()), ("Observed prompts", "/ui/observed".to_owned())];
    frame.page_of(Part::Usage, &Page { title: "Observed prompt", above: &above, done: None, searches: false, main })
}

fn adopting(frame: &Frame, prompt: &ObservedPrompt) -> Markup {
    html! {
        section aria-labelledby="adopt" {
            h2 #adopt { "Adopt" }
            @if let Some(form) = frame.form() {
                form.stack method="post" action=(path(&prompt.id)) {
                    (session(form))
                    p.quiet {
                        "Publishes this text as a version. Calls with it belong to that version from then on. "
                        "Applications need no change."
                    }
                    label for="adopt-name" { "Name of the prompt" }
                    input #adopt-name name="name" required maxlength="200" autocomplete="off" spellcheck="false"
                        placeholder="support/agent";
                    button.primary type="submit" { "Adopt" }
                }
            } @else {
                (command(&format!("bookholder observed adopt {} support/agent", prompt.id)))
            }
        }
    }
}

/// The path of an observed prompt.
fn path(id: &str) -> String {
    format!("/ui/observed/{id}")
}

fn adopted_as(adopted: &AdoptedVersion) -> Markup {
    html! { span.tag.live { "adopted as " (link(adopted)) } }
}

fn link(adopted: &AdoptedVersion) -> Markup {
    let version = adopted.version.to_string();
    let path = format!("{}{}", prompt_path(adopted.prompt.as_str()), query(&[("version", &version)]));
    html! { a href=(path) { (Escaped(&format!("{}@{version}", adopted.prompt))) } }
}

fn cost(counts: &ObservedUse) -> String {
    if counts.priced_calls == 0 { UNKNOWN.to_owned() } else { counts.cost_usd.short() }
}

fn models(counts: &ObservedUse) -> Markup {
    let more = counts.models.len().saturating_sub(MODELS);
    html! {
        @for (index, one) in counts.models.iter().take(MODELS).enumerate() {
            @if index > 0 { ", " }
            (Escaped(&one.model))
        }
        @if more > 0 { " and " (more) " more" }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn prompt(adopted: bool) -> ObservedPrompt {
        let version = json!({"prompt": "support/<i>", "version": 3});
        serde_json::from_value(json!({
            "id": "00000000000000aa", "text": "Help {{var1}} <b>\u{202e}", "text_bytes": 20, "variables": 1, "calls": 1200,
            "errors": 3, "priced_calls": 1000, "cost_usd": "1.5", "input_tokens": 10, "output_tokens": 5,
            "models": [{"model": "<u>gpt", "calls": 1000}, {"model": "b", "calls": 2}, {"model": "_other", "calls": 1}],
            "first_seen": "2026-03-01T10:00:00Z", "last_seen": "2026-03-20T10:00:00Z",
            "adopted": adopted.then_some(version),
        }))
        .expect("an observed prompt")
    }

    fn signed() -> Frame {
        sample(Who::Signed { name: "ann".to_owned(), token: "ann".to_owned(), form: "token-of-form".to_owned() })
    }

    #[test]
    fn pages_show_texts_of_others_escaped_and_link_what_was_adopted() {
        let other = Some(prompt(false).counts);
        let observed = ObservedPrompts { recording: true, prompts: vec![prompt(true)], more: 2, other };
        for html in [list(&signed(), &observed), one(&signed(), &prompt(true))] {
            for tag in ["<b>\u{202e}", "<i>", "<u>"] {
                assert!(!html.contains(tag), "{tag} in {html}");
            }
            for part in ["Help ", "&lt;u&gt;gpt", "/ui/prompts/support/%3Ci%3E?version=3", "$1.50", "1\u{202f}200"] {
                assert!(html.contains(part), "{part} in {html}");
            }
        }
        let html = list(&signed(), &observed);
        assert!(html.contains("and 2 more") && html.contains("and 1 more") && html.contains("too long"), "{html}");
    }

    #[test]
    fn adopting_is_a_form_for_those_who_are_signed_in_and_a_command_for_others() {
        let html = one(&signed(), &prompt(false));
        assert!(html.contains("action=\"/ui/observed/00000000000000aa\"") && html.contains("token-of-form"), "{html}");
        let html = one(&sample(Who::Bearer { name: "ann".to_owned() }), &prompt(false));
        assert!(!html.contains("<form method=\"post\" action=\"/ui/observed"), "{html}");
        assert!(html.contains("bookholder observed adopt 00000000000000aa"), "{html}");
    }

    #[test]
    fn empty_list_says_what_turns_it_on() {
        let observed = ObservedPrompts { recording: false, prompts: Vec::new(), more: 0, other: None };
        assert!(list(&signed(), &observed).contains("--record-content"));
    }
}
