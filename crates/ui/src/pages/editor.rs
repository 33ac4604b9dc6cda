//! The editor: a form for a draft, with preview, checks and changes beside it. All buttons belong to a form; the script
//! only saves more often and refreshes sooner.

use maud::{Markup, html};

use super::conversation::conversation;
pub use super::editor_data::{EditorPageData, Meaning};
use super::editor_fields as fields;
use super::impact::despite_findings;
use super::{diff, impact};
use crate::form::{FormError, hidden, session};
use crate::format::{Escaped, plain, sentence, when, with_code};
use crate::layout::{Frame, Page, empty, path_about, prompt_path};
use crate::model::name::PRODUCTION;
use crate::model::version::Bump;

/// The path of a draft's editor.
pub fn edit_path(name: &str, draft: &str) -> String {
    path_about("edit", name, &[("draft", draft)])
}

/// The path of the page that merges a draft with the latest version.
pub fn merge_path(name: &str, draft: &str) -> String {
    path_about("merge", name, &[("draft", draft)])
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &EditorPageData) -> String {
    let name = matter.name.as_str();
    let mut above = vec![("Prompts", "/ui/".to_owned())];
    if matter.latest > 0 {
        above.push((name, prompt_path(name)));
    }
    let heading = if matter.latest > 0 { "Edit" } else { "Write" };
    let main = html! {
        div.head.sticky {
            h1 { (heading) " " (Escaped(name)) }
            p.quiet #saved data-live { (saved(frame, matter)) }
            p.quiet #state role="status" {}
            @if frame.form().is_some() { a.button.primary.end href="#publish" { "Publish …" } }
        }
        div #problem data-live {
            @if let Some((lead, refused)) = &matter.refused { (refusal(lead, refused, matter.overtaken)) }
        }
        (moved(matter))
        (others(frame, matter))
        @match frame.form() {
            Some(form) => (editor(frame, matter, form)),
            None => (empty("Sign in to edit", "Sign in with an access token to create drafts.")),
        }
    };
    let title = format!("{heading} {name}");
    frame.page(&Page { title: &title, above: &above, done: matter.done, searches: false, main })
}

/// Why nothing was saved or published; and what to do if someone else saved since.
fn refusal(lead: &str, refused: &FormError, overtaken: bool) -> Markup {
    html! {
        (refused.note(lead))
        @if overtaken {
            p {
                button type="submit" form="editor" name="do" value="overwrite" formnovalidate { "Overwrite with mine" }
                " " span.quiet { "The other version stays in the draft history." }
            }
        }
    }
}

/// The name of the draft, and when it was saved.
fn saved(frame: &Frame, matter: &EditorPageData) -> Markup {
    html! {
        "Draft " b { (Escaped(&matter.draft)) }
        @if matter.parent > 0 { ", from v" (matter.parent) }
        @match &matter.saved {
            Some((at, by)) => { ", saved " (when(*at, frame.now)) @if *by != matter.draft { " by " (Escaped(by)) } },
            None => ", not changed yet",
        }
        input type="hidden" form="editor" name="revision" value=(matter.revision);
    }
}

/// A notice that someone published since.
fn moved(matter: &EditorPageData) -> Markup {
    html! {
        div #moved data-live {
            @if matter.latest > matter.parent && matter.revision > 0 {
                div.note.warn role="note" {
                    p {
                        "v" (matter.latest) " was published since this draft began from "
                        @if matter.parent > 0 { "v" (matter.parent) } @else { "nothing" } ". "
                        a href=(merge_path(&matter.name, &matter.draft)) { "Merge" }
                        " before you publish."
                    }
                }
            }
        }
    }
}

fn others(frame: &Frame, matter: &EditorPageData) -> Markup {
    html! {
        @if !matter.others.is_empty() {
            p.quiet {
                "Other drafts: "
                @for (index, other) in matter.others.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(edit_path(&matter.name, &other.name)) { (Escaped(&other.name)) } " (saved "
                    (when(other.saved, frame.now)) ")"
                }
            }
        }
    }
}

fn editor(frame: &Frame, matter: &EditorPageData, form: &str) -> Markup {
    html! {
        form.editor.columns #editor method="post" action=(edit_path(&matter.name, &matter.draft)) data-editor {
            (session(form))
            (hidden("draft", &matter.draft))
            (hidden("parent", matter.parent))
            // The default button for the Enter key.
            button.hidden type="submit" name="do" value="save" formnovalidate tabindex="-1" aria-hidden="true" {
                "Save"
            }
            div.stack { (fields::content(matter)) }
            aside aria-label="Preview and publish" {
                (preview(matter))
                (checks(matter))
                (change(matter))
                (publishing(matter))
            }
        }
        div #discarding data-live { @if matter.revision > 0 { (discarding(frame, matter, form)) } }
    }
}

/// The preview with the samples.
fn preview(matter: &EditorPageData) -> Markup {
    html! {
        section.preview #preview data-live aria-labelledby="preview-head" {
            h2 #preview-head { "Preview" }
            @match &matter.meaning.rendered {
                Some(Ok(content)) => {
                    (conversation(content))
                    @if !matter.meaning.missing.is_empty() {
                        p.quiet {
                            "Add test values for " (Escaped(&matter.meaning.missing.join(", ")))
                            " to complete the preview."
                        }
                    }
                },
                Some(Err(why)) => p.note.bad { (with_code(&sentence(why))) },
                None => p.quiet { "Fix the errors to see a preview." },
            }
        }
        button type="submit" name="do" value="save" formnovalidate { "Save and preview" }
    }
}

/// Errors and risks of the whole content; those of a line are shown beside it.
fn checks(matter: &EditorPageData) -> Markup {
    let meaning = &matter.meaning;
    html! {
        section #checks data-live aria-labelledby="checks-head" {
            h2 #checks-head { "Checks" }
            @if let Some(refused) = &meaning.refused { p.note.bad { (with_code(&sentence(refused))) } }
            @if let Some(change) = &meaning.interface { (impact::interface(change.bump, &change.reasons)) }
            @if !meaning.includes.is_empty() {
                p.quiet { "Includes " @for (index, one) in meaning.includes.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href={ (prompt_path(one.name.as_str())) "?version=" (one.version) } {
                        (Escaped(one.name.as_str()))
                    }
                    " v" (one.version)
                } "." }
            }
            @if !meaning.served_findings.is_empty() {
                p { "In what it includes:" }
                ul.findings { @for one in &meaning.served_findings { li { (impact::finding(one, true)) } } }
            }
            @let count = meaning.findings.len() + meaning.warnings.len();
            @if count > 0 {
                p.quiet { (count) (if count == 1 { " finding" } else { " findings" }) ", shown next to the text." }
            } @else if meaning.refused.is_none() && meaning.served_findings.is_empty() {
                p.quiet { "No findings." }
            }
        }
    }
}

/// The diff from its base version.
fn change(matter: &EditorPageData) -> Markup {
    html! {
        section #change data-live aria-labelledby="change-head" {
            h2 #change-head { "Change" }
            @match &matter.meaning.changes {
                Some(changes) if changes.is_empty() => p.quiet { "No changes from v" (matter.parent) "." },
                Some(changes) => details.act #change-lines open {
                    summary { "Against v" (matter.parent) }
                    (diff::changes(changes, |name| html! { h3 { (name) } }))
                },
                None if matter.parent == 0 => p.quiet { "The first version of this prompt." },
                None => p.quiet { "Fix the errors to see the changes." },
            }
        }
    }
}

/// Publishing, and the next step.
fn publishing(matter: &EditorPageData) -> Markup {
    let wrong = matter.refused.is_some();
    let likely = matter.labels.iter().find(|label| *label == PRODUCTION).or(matter.labels.first());
    let likely = if matter.label.is_empty() { likely.map_or(PRODUCTION, String::as_str) } else { &matter.label };
    html! {
        section.desk #publish aria-labelledby="publish-head" {
            h2 #publish-head { "Publish" }
            div.stack {
                label for="message" { "Why this change?" }
                textarea #message name="message" required maxlength="2000" aria-invalid=[wrong.then_some("true")] {
                    "\n" (matter.message)
                }
                label for="label" { "Label " span.quiet { "(to request review or deploy)" } }
                input #label name="label" list="labels" value=(plain(likely)) maxlength="36" autocomplete="off"
                    spellcheck="false";
                datalist #labels { @for label in &matter.labels { option value=(label) {} } }
                @if wrong || matter.meaning.interface.as_ref().is_some_and(|change| change.bump == Bump::Major) {
                    label.check {
                        input #allow-major type="checkbox" name="allow_major" value="yes";
                        span { "Deploy even though callers may break" }
                    }
                }
                button.primary type="submit" name="do" value="propose" { "Publish and request review" }
                button type="submit" name="do" value="publish" { "Publish" }
                @if !matter.direct.is_empty() {
                    (despite_findings(matter.meaning.findings.iter().chain(&matter.meaning.served_findings)))
                    button type="submit" name="do" value="deploy" { "Publish and deploy" }
                    @if !matter.direct.iter().any(|label| label.as_str() == likely) {
                        p.quiet {
                            (Escaped(likely)) " requires a review; you can deploy directly to "
                            (Escaped(&matter.direct.join(", "))) "."
                        }
                    }
                }
                p.quiet {
                    "Publishing alone does not affect callers. To go live, a version must be deployed to a label and "
                    "meet its policies."
                }
            }
        }
    }
}

fn discarding(frame: &Frame, matter: &EditorPageData, form: &str) -> Markup {
    let path = edit_path(&matter.name, &matter.draft);
    html! {
        details.act {
            summary { "Discard this draft" }
            form.stack method="post" action=(path) {
                (session(form))
                (hidden("draft", &matter.draft))
                p.quiet {
                    "This deletes the draft and its save history."
                    @if let Some((at, _)) = &matter.saved { " The last save was " (when(*at, frame.now)) "." }
                }
                button.danger type="submit" name="do" value="discard" { "Discard draft" }
            }
        }
    }
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
