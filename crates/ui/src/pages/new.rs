//! The form for the name of a new prompt.

use maud::html;

use crate::format::{plain, sentence, with_code};
use crate::layout::{Frame, Page};

/// Renders the page.
pub fn page(frame: &Frame, name: &str, wrong: Option<&str>) -> String {
    let main = html! {
        div.narrow {
            h1 { "New prompt" }
            p.lead {
                "Everything before the last " code { "/" }
                " is a folder. Applications request the prompt by its full name."
            }
            @if let Some(wrong) = wrong { p.note.bad #wrong role="alert" { (with_code(&sentence(wrong))) } }
            form.stack action="/ui/new" {
                label for="name" { "Name" }
                input #name name="name" value=(plain(name)) required maxlength="200" autocomplete="off"
                    spellcheck="false" placeholder="support/agent" aria-invalid=[wrong.map(|_| "true")]
                        aria-describedby=[wrong.map(|_| "wrong")];
                button.primary type="submit" { "Continue" }
            }
            p.quiet { "This creates a draft. Nothing is live until you publish and deploy it." }
        }
    };
    let above = [("Prompts", "/ui/".to_owned())];
    frame.page(&Page { title: "New prompt", above: &above, done: None, searches: false, main })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn invalid_name_is_shown_with_the_error() {
        let shown = page(&sample(Who::Local), "a\"><script>", Some("`<b>` is no name"));
        assert!(
            shown.contains("a&quot;&gt;&lt;script&gt;") && shown.contains("<code>&lt;b&gt;</code> is no name."),
            "{shown}"
        );
        assert!(shown.contains("aria-describedby=\"wrong\""), "{shown}");
    }
}
