//! The details of a prompt: owner, tags, description, the prompts that it feeds, and the form to edit them.

use maud::{Markup, html};

use crate::form::{hidden, session};
use crate::format::{Escaped, plain};
use crate::layout::{prompt_path, query};
use crate::model::about::{About, DESCRIPTION_CHARACTERS_MAX, FEEDS_MAX, TAG_BYTES_MAX, TAGS_MAX};
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::model::name::PromptName;

/// Browser validation patterns for owner and tags.
const PATTERNS: (&str, &str) = (r"[a-z0-9._@\-]+", r"[\s,]*([a-z0-9._\-]+[\s,]*)*");

/// Shows the details, with the form if the visitor can edit them.
pub(super) fn about(name: &str, about: Option<&About>, form: Option<&str>) -> Markup {
    html! {
        @if about.is_some() || form.is_some() {
            div.stack {
                (shown(about))
                @if let Some(form) = form { (describe(name, about, form)) }
            }
        }
    }
}

/// The details; empty if there are none.
fn shown(about: Option<&About>) -> Markup {
    let Some(about) = about else { return html! {} };
    html! {
        @if !about.description.is_empty() { p.text { (Escaped(&about.description)) } }
        @if about.owner.is_some() || !about.tags.is_empty() {
            p.inline {
                @if let Some(owner) = &about.owner {
                    span { span.quiet { "Owner " } a href={ "/ui/" (query(&[("owner", owner)])) } { (Escaped(owner)) } }
                }
                @for tag in &about.tags { a.tag href={ "/ui/" (query(&[("tag", tag)])) } { (Escaped(tag)) } }
            }
        }
        @if !about.feeds.is_empty() {
            p.inline {
                span.quiet { "Feeds " }
                @for one in &about.feeds { a href=(prompt_path(one.as_str())) { (Escaped(one.as_str())) } }
            }
        }
    }
}

/// The form.
fn describe(name: &str, about: Option<&About>, form: &str) -> Markup {
    let nothing = About::default();
    let about = about.unwrap_or(&nothing);
    let tags = about.tags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let feeds = about.feeds.iter().map(PromptName::as_str).collect::<Vec<_>>().join(" ");
    html! {
        details.act {
            summary { "Edit details" }
            form.stack method="post" action="/ui/describe" {
                (session(form))
                (hidden("name", name))
                label for="about-owner" { "Owner" }
                input #about-owner name="owner" value=(plain(about.owner.as_deref().unwrap_or_default()))
                    maxlength=(HANDLE_BYTES_MAX) pattern=(PATTERNS.0) title="a-z 0-9 . _ - @" autocomplete="off"
                        spellcheck="false" aria-describedby="about-owner-help";
                p.quiet #about-owner-help { "The person or team responsible. Does not affect permissions." }
                label for="about-tags" { "Tags" }
                input #about-tags name="tags" value=(plain(&tags)) maxlength=((TAG_BYTES_MAX + 1) * TAGS_MAX)
                    pattern=(PATTERNS.1) title="a-z 0-9 . _ - with spaces between" autocomplete="off" spellcheck="false"
                        aria-describedby="about-tags-help";
                p.quiet #about-tags-help { "Lowercase, separated by spaces, up to " (TAGS_MAX) "." }
                label for="about-text" { "Description" }
                textarea #about-text name="description" maxlength=(DESCRIPTION_CHARACTERS_MAX) {
                    (plain(&about.description))
                }
                label for="about-feeds" { "Feeds" }
                input #about-feeds name="feeds" value=(plain(&feeds)) autocomplete="off" spellcheck="false"
                    aria-describedby="about-feeds-help";
                p.quiet #about-feeds-help {
                    "Prompts that get its output, separated by spaces, up to " (FEEDS_MAX) "."
                }
                button.primary type="submit" { "Save" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_tags_and_description_are_shown_and_inert() {
        let about = About {
            owner: Some("team-a".to_owned()),
            tags: ["chat".to_owned(), "x.y".to_owned()].into(),
            description: "</textarea><script>\u{202e}".to_owned(),
            feeds: ["support/agent".parse().expect("a name")].into(),
        };
        let shown = shown(Some(&about)).0;
        for part in [
            "&lt;/textarea&gt;&lt;script&gt;<span class=\"odd\">U+202E",
            "href=\"/ui/?owner=team-a\"",
            "href=\"/ui/?tag=x.y\"",
            "Feeds </span><a href=\"/ui/prompts/support/agent\">support/agent</a>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let form = describe("a<b>", Some(&about), "f").0;
        for part in [
            "value=\"a&lt;b&gt;\"",
            "value=\"chat x.y\"",
            "name=\"feeds\" value=\"support/agent\"",
            "&lt;/textarea&gt;&lt;script&gt;\u{fffd}</textarea>",
            "name=\"form\" value=\"f\"",
        ] {
            assert!(form.contains(part), "{part} in {form}");
        }
        assert_eq!(super::about("a", None, None).0, "");
    }
}
