//! The first page of an empty registry: writing a prompt, importing, and the same in a terminal.

use maud::{Markup, html};

use crate::layout::{Frame, Page, Who, command};

/// An example prompt.
const FIRST_PROMPT: &str = "printf 'You help the customers of {{shop}}.\\n' > agent.prompt
bookholder publish support/agent --file agent.prompt -m 'First words' --label production";
/// A folder of prompts.
const FOLDER: &str = "bookholder push prompts/ -m 'From our repository' --label production";
/// A history of another library.
const HISTORY: &str = "bookholder import prompts.jsonl.zst --label production";

/// Renders the page.
pub fn page(frame: &Frame) -> String {
    let main = html! {
        div.welcome {
            h1 { "No prompts yet" }
            @if frame.replica.is_some() {
                p.lead {
                    "This replica has not received any prompt yet. Prompts appear here once the primary publishes them."
                }
            } @else {
                p.lead { "Create your first prompt, or import the ones you have." }
                @if frame.form().is_some() { (ways()) } @else { (commands(frame)) }
            }
        }
    };
    frame.page(&Page { title: "Welcome", above: &[], done: None, searches: false, main })
}

/// The options for signed-in visitors: writing a prompt, and links to the others.
fn ways() -> Markup {
    html! {
        ol.ways {
            li {
                h2 { "New prompt" }
                p { "With roles, examples and variables. You start with a draft: nothing is live until you deploy it." }
                p { a.button.primary href="/ui/new" { "New prompt" } }
                p {
                    "Or " a href="/ui/bring" { "import a folder of prompt files, or version history from another tool" }
                    "."
                }
            }
        }
        details.act {
            summary { "Use the command line" }
            div.stack { (command(FIRST_PROMPT)) (command(FOLDER)) (command(HISTORY)) }
        }
    }
}

/// The options for others: signing in, or a terminal.
fn commands(frame: &Frame) -> Markup {
    html! {
        @if frame.who == Who::Local {
            p { a.button.primary href="/ui/sign-in?next=/ui/" { "Sign in" } " to start here, or use a terminal:" }
            p.quiet {
                "On first start, the server wrote an access token to the file " code { "admin-token" }
                " in the data directory. Use it here and in " code { "BOOKHOLDER_TOKEN" } "."
            }
        }
        ol.ways {
            (way("New prompt", "Prompts are plain files you can read and diff.", FIRST_PROMPT))
            (way("Import a folder", "Push the prompt files of a repository, by hand or from CI.", FOLDER))
            (way(
                "Import a history",
                "Import another tool’s version history, with its dates, authors and removals.",
                HISTORY,
            ))
        }
    }
}

fn way(heading: &str, what: &str, line: &str) -> Markup {
    html! { li { h2 { (heading) } p { (what) } (command(line)) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{ReplicaStatus, sample};

    #[test]
    fn empty_registry_offers_a_new_prompt_first_and_links_to_the_imports() {
        let mut frame = sample(Who::Local);
        let shown = page(&frame);
        assert_eq!(shown.matches("class=\"command\"").count(), 3, "{shown}");
        assert!(!shown.contains("<table") && shown.contains("/ui/sign-in?next=/ui/"), "{shown}");
        let signed = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let forms = page(&sample(signed));
        for part in ["href=\"/ui/new\"", "href=\"/ui/bring\"", "class=\"command\""] {
            assert!(forms.contains(part), "{part} in {forms}");
        }
        frame.replica = Some(ReplicaStatus { upstream: None, age_s: 0, stale: false });
        assert!(!page(&frame).contains("class=\"command\""));
    }
}
