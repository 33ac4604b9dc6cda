//! The paths of the routes, with every name encoded unambiguously.
//!
//! Invariant: a name is one segment, except below `resolve` and `render`, where its `/` stay as they are.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::prices::KeptTable;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::reference::Reference;

/// Everything but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but with `/` and `@` unencoded.
const REFERENCE: &AsciiSet = &SEGMENT.remove(b'/').remove(b'@').remove(b':');

pub(super) fn resolve(reference: &Reference) -> String {
    format!("/v1/resolve/{}", utf8_percent_encode(&reference.to_string(), REFERENCE))
}

pub(super) fn render(reference: &Reference) -> String {
    format!("/v1/render/{}", utf8_percent_encode(&reference.to_string(), REFERENCE))
}

pub(super) fn content(id: &ContentId) -> String {
    format!("/v1/contents/{id}")
}

pub(super) fn prompt(name: &PromptName) -> String {
    format!("/v1/prompts/{}", segment(name.as_str()))
}

pub(super) fn versions(name: &PromptName) -> String {
    format!("{}/versions", prompt(name))
}

pub(super) fn version(name: &PromptName, number: u64) -> String {
    format!("{}/{number}", versions(name))
}

pub(super) fn retirement(name: &PromptName, number: u64) -> String {
    format!("{}/retirement", version(name, number))
}

pub(super) fn about(name: &PromptName) -> String {
    format!("{}/about", prompt(name))
}

pub(super) fn stats(name: &PromptName) -> String {
    format!("{}/stats", prompt(name))
}

pub(super) fn diff(name: &PromptName) -> String {
    format!("{}/diff", prompt(name))
}

pub(super) fn label(name: &PromptName, label: &Label) -> String {
    format!("{}/labels/{}", prompt(name), segment(label.as_str()))
}

pub(super) fn rollback(name: &PromptName, label: &Label) -> String {
    format!("{}/rollback", self::label(name, label))
}

pub(super) fn token(name: &str) -> String {
    below("/v1/tokens", name)
}

pub(super) fn rotation(name: &str) -> String {
    format!("{}/rotation", token(name))
}

pub(super) fn grants(principal: &str) -> String {
    format!("{}/grants", below("/v1/principals", principal))
}

pub(super) fn suspension(principal: &str) -> String {
    format!("{}/suspension", below("/v1/principals", principal))
}

pub(super) fn sign_in_link(principal: &str) -> String {
    format!("{}/sign-in-link", below("/v1/principals", principal))
}

pub(super) fn findings(name: &PromptName, number: u64) -> String {
    format!("{}/findings", version(name, number))
}

pub(super) fn drafts(name: &PromptName) -> String {
    format!("{}/drafts", prompt(name))
}

pub(super) fn draft(name: &PromptName, draft: &str) -> String {
    below(&drafts(name), draft)
}

/// A row with a name.
pub(super) fn below(list: &str, name: &str) -> String {
    format!("{list}/{}", segment(name))
}

pub(super) fn suite(name: &str) -> String {
    format!("/v1/suites/{}", segment(name))
}

pub(super) fn run(id: u64) -> String {
    format!("/v1/runs/{id}")
}

pub(super) fn alert(name: &str) -> String {
    format!("/v1/alerts/{}", segment(name))
}

pub(super) fn price_table(table: KeptTable) -> String {
    format!("/v1/prices/{table}")
}

pub(super) fn webhook(name: &str) -> String {
    format!("/v1/webhooks/{}", segment(name))
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_one_segment_and_references_keep_slashes() {
        let name: PromptName = "a b/100%?#é".parse().expect("a name");
        assert_eq!(diff(&name), "/v1/prompts/a%20b%2F100%25%3F%23%C3%A9/diff");
        let reference: Reference = "a b/100%?#é@staging".parse().expect("a reference");
        assert_eq!(resolve(&reference), "/v1/resolve/a%20b/100%25%3F%23%C3%A9@staging");
        assert_eq!(
            rollback(&name, &Label::production()),
            "/v1/prompts/a%20b%2F100%25%3F%23%C3%A9/labels/production/rollback"
        );
        assert_eq!(token("../x"), "/v1/tokens/..%2Fx");
        assert_eq!(grants("ada@acme.de"), "/v1/principals/ada%40acme.de/grants");
        assert_eq!(draft(&name, "a/b"), "/v1/prompts/a%20b%2F100%25%3F%23%C3%A9/drafts/a%2Fb");
    }
}
