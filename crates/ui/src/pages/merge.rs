//! The merge page: a draft and what was published since it began, with conflicts side by side.

use maud::{Markup, html};

use super::diff;
use super::editor::{edit_path, merge_path};
use crate::form::{hidden, session};
use crate::format::Escaped;
use crate::governance::merge::CONFLICTS_MAX;
use crate::layout::{Frame, Page, diff_path, empty, prompt_path};
use crate::model::comparison::Conflict;
use crate::model::comparison::Diff;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct MergePageData {
    /// The prompt.
    pub name: String,
    /// The draft's name.
    pub draft: String,
    /// Its revision.
    pub revision: u64,
    /// The version that it is based on; 0 for none.
    pub base: u64,
    /// The newest version.
    pub parent: u64,
    /// Its author.
    pub author: String,
    /// The conflicts.
    pub conflicts: Vec<Conflict>,
    /// The diff from the latest version, if there are no conflicts.
    pub changes: Diff,
    /// A notice.
    pub done: Option<&'static str>,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &MergePageData) -> String {
    let name = matter.name.as_str();
    let above = [("Prompts", "/ui/".to_owned()), (name, prompt_path(name)), ("Edit", edit_path(name, &matter.draft))];
    let count = matter.conflicts.len();
    let main = html! {
        div.head {
            h1 { "Merge changes" }
            p.quiet {
                "Draft " b { (Escaped(&matter.draft)) } ", from v" (matter.base) ", and v" (matter.parent) " by "
                (Escaped(&matter.author))
            }
        }
        @if matter.parent == matter.base {
            (empty("Nothing to merge", "No version was published since this draft began."))
        } @else {
            p.lead {
                @if count == 0 {
                    "You and " (Escaped(&matter.author)) " changed different parts. Both sets of changes are kept."
                }
                @else if count == 1 { "1 conflict. Choose a side; you can edit the result afterwards." }
                @else if count >= CONFLICTS_MAX {
                    "Too many conflicts to show. Resolve these " (count)
                    "; your draft wins in the rest. Check the result."
                }
                @else { (count) " conflicts. Choose a side for each; you can edit the result afterwards." }
            }
            @if matter.base > 0 {
                p { a href=(diff_path(name, matter.base, matter.parent)) { "What v" (matter.parent) " changed" } }
            }
            @if let Some(form) = frame.form() { (settling(matter, form)) }
        }
    };
    let title = format!("Merge changes: {name}");
    frame.page(&Page { title: &title, above: &above, done: matter.done, searches: false, main })
}

fn settling(matter: &MergePageData, form: &str) -> Markup {
    html! {
        form.stack method="post" action=(merge_path(&matter.name, &matter.draft)) {
            (session(form))
            (hidden("draft", &matter.draft))
            (hidden("revision", matter.revision))
            (hidden("parent", matter.parent))
            @for (number, conflict) in matter.conflicts.iter().enumerate() { (choice(matter, number, conflict)) }
            @if matter.conflicts.is_empty() {
                section {
                    h2 { "What your draft changes in v" (matter.parent) }
                    (diff::changes(&matter.changes, |name| html! { h3 { (name) } }))
                }
            }
            div.inline {
                button.primary type="submit" { "Merge and continue editing" }
                a.button href=(edit_path(&matter.name, &matter.draft)) { "Cancel" }
            }
        }
    }
}

fn choice(matter: &MergePageData, number: usize, conflict: &Conflict) -> Markup {
    let field = format!("c{number}");
    let side = |value: &str, heading: &Markup, said: Option<&String>, checked: bool| {
        html! {
            label.side {
                span.check { input type="radio" name=(field) value=(value) checked[checked] required; b { (heading) } }
                @match said { Some(said) => div.text { (Escaped(said)) }, None => p.quiet { "(deleted)" } }
            }
        }
    };
    html! {
        fieldset.proposal {
            legend { (Escaped(&place_told(&conflict.place))) }
            @if let Some(base) = &conflict.base {
                details.act { summary { "Original in v" (matter.base) } div.text { (Escaped(base)) } }
            }
            div.sides {
                (side("ours", &html! { "Your draft" }, conflict.ours.as_ref(), true))
                (side(
                    "theirs",
                    &html! { "v" (matter.parent) " by " (Escaped(&matter.author)) },
                    conflict.theirs.as_ref(),
                    false,
                ))
            }
        }
    }
}

/// A place for display: messages from 1.
fn place_told(place: &str) -> String {
    let Some((number, rest)) = place.strip_prefix("messages[").and_then(|rest| rest.split_once(']')) else {
        return place.to_owned();
    };
    let told = match number.split_once("..") {
        Some((from, to)) => {
            from.parse::<usize>().ok().map(|from| format!("Messages {} to {to}", from.saturating_add(1)))
        }
        None => number.parse::<usize>().ok().map(|number| format!("Message {}", number.saturating_add(1))),
    };
    told.map_or_else(|| place.to_owned(), |told| format!("{told}{}", rest.replacen('.', ", ", 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::merge::merge;
    use crate::layout::{Who, sample};
    use crate::model::content::{Content, Syntax};

    #[test]
    fn conflicts_are_shown_side_by_side() {
        let text = |text: &str| Content::text(Syntax::Plain, text);
        let merged = merge(&text("a\n<b>\nc"), &text("a\n<i>ours\nc"), &text("a\ntheirs\u{202e}\nc"));
        let matter = MergePageData {
            name: "x<y>".to_owned(),
            draft: "ann".to_owned(),
            revision: 3,
            base: 7,
            parent: 8,
            author: "bob<b>".to_owned(),
            conflicts: merged.conflicts,
            changes: Diff::default(),
            done: None,
        };
        let who = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f".to_owned() };
        let shown = page(&sample(who), &matter);
        for part in [
            "1 conflict.",
            "text line 2",
            "&lt;i&gt;ours",
            "theirs<span class=\"odd\">U+202E</span>",
            "v8 by bob&lt;b&gt;",
            "name=\"c0\" value=\"theirs\"",
            "name=\"revision\" value=\"3\"",
            "/ui/merge/x%3Cy%3E?draft=ann",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn places_count_from_one() {
        for (place, told) in [
            ("text line 12", "text line 12"),
            ("messages[0] line 3", "Message 1 line 3"),
            ("messages[2..4]", "Messages 3 to 4"),
            ("messages[2].content[0] line 1", "Message 3, content[0] line 1"),
            ("model.parameters.temperature", "model.parameters.temperature"),
        ] {
            assert_eq!(place_told(place), told);
        }
    }
}
