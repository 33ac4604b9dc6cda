//! The name of a prompt that somebody is about to write.

use maud::html;

use crate::web::layout::{Frame, Page};
use crate::web::words::{Visible, plain, sentence};

/// Writes the page.
#[must_use]
pub fn page(frame: &Frame, name: &str, wrong: Option<&str>) -> String {
    let main = html! {
        div.narrow {
            h1 { "Write a prompt" }
            p.lead { "First its name. What stands before a " code { "/" } " is a folder; applications ask for it by all of it." }
            @if let Some(wrong) = wrong { p.note.bad #wrong role="alert" { (Visible(&sentence(wrong))) } }
            form.stack action="/ui/new" {
                label for="name" { "Name" }
                input #name name="name" value=(plain(name)) required maxlength="200" autocomplete="off" spellcheck="false"
                    placeholder="support/agent" aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
                button.primary type="submit" { "Go on" }
            }
            p.quiet { "Nothing is published by this: you write a draft, look at it, and publish it when it is right." }
        }
    };
    let above = [("Prompts", "/ui/".to_owned())];
    frame.page(&Page { title: "Write a prompt", above: &above, done: None, search: "", main })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::layout::{Who, sample};

    #[test]
    fn a_wrong_name_comes_back_with_why() {
        let shown = page(&sample(Who::Local), "a\"><script>", Some("`<b>` is no name"));
        assert!(shown.contains("a&quot;&gt;&lt;script&gt;") && shown.contains("`&lt;b&gt;` is no name."), "{shown}");
        assert!(shown.contains("aria-describedby=\"wrong\""), "{shown}");
    }
}
