//! The first page of an empty registry: three ways in, and the same for who prefers a terminal.

use maud::{Markup, html};

use super::bring::{folder_form, history_form};
use crate::web::layout::{Frame, Page, Who, command};

/// A prompt to begin with.
const FIRST_PROMPT: &str = "printf 'You help the customers of {{shop}}.\\n' > agent.prompt
bookholder publish support/agent --file agent.prompt -m 'First words' --label production";
/// A folder of prompts.
const FOLDER: &str = "bookholder push prompts/ -m 'From our repository' --label production";
/// A history of another library.
const HISTORY: &str = "bookholder import prompts.jsonl.zst --label production";

/// Writes the page.
#[must_use]
pub fn page(frame: &Frame) -> String {
    let main = html! {
        div.welcome {
            h1 { "An empty book" }
            @if frame.replica.is_some() {
                p.lead { "This replica has not received any prompt yet. What the primary signs appears here." }
            } @else {
                p.lead {
                    "Every version of every prompt will stand here, with who wrote it, why, and what was live when. "
                    "There are three ways in."
                }
                @if let Some(form) = frame.form() { (forms(form)) } @else { (commands(frame)) }
            }
        }
    };
    frame.page(&Page { title: "Welcome", above: &[], done: None, search: "", main })
}

/// The ways in for who is signed in.
fn forms(form: &str) -> Markup {
    html! {
        ol.ways {
            li {
                h2 { "Write one" }
                p { "With roles, examples and variables; nothing is served until you say so." }
                p { a.button.primary href="/ui/new" { "Write a prompt" } }
            }
            li { (folder_form(form)) }
            li { (history_form(form)) }
        }
        details.act {
            summary { "The same in a terminal" }
            div.stack { (command(FIRST_PROMPT)) (command(FOLDER)) (command(HISTORY)) }
        }
    }
}

/// The ways in for who is not: signing in, or a terminal.
fn commands(frame: &Frame) -> Markup {
    html! {
        @if frame.who == Who::Local {
            p { a.button.primary href="/ui/sign-in?next=/ui/" { "Sign in" } " and do it here, or in a terminal:" }
            p.quiet { "The access token that the first start printed signs you in, and goes into " code { "BOOKHOLDER_TOKEN" } "." }
        }
        ol.ways {
            (way("Write one", "A prompt is a file that one can read and compare.", FIRST_PROMPT))
            (way("Bring a folder", "Files of a repository, pushed by hand or by CI.", FOLDER))
            (way("Import a history", "Of another library, with its times, authors and removals.", HISTORY))
        }
    }
}

fn way(heading: &str, what: &str, line: &str) -> Markup {
    html! { li { h2 { (heading) } p { (what) } (command(line)) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::layout::{Following, sample};

    #[test]
    fn an_empty_registry_shows_three_ways_in_and_no_table() {
        let mut frame = sample(Who::Local);
        let shown = page(&frame);
        assert_eq!(shown.matches("class=\"command\"").count(), 3, "{shown}");
        assert!(!shown.contains("<table") && shown.contains("/ui/sign-in?next=/ui/"), "{shown}");
        let signed = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let forms = page(&sample(signed));
        for part in ["href=\"/ui/new\"", "webkitdirectory", "name=\"history\"", "class=\"command\""] {
            assert!(forms.contains(part), "{part} in {forms}");
        }
        frame.replica = Some(Following { upstream: None, age_s: 0, stale: false });
        assert!(!page(&frame).contains("class=\"command\""));
    }
}
