//! Access tokens: principal, expiry and last use, never the secret.

use maud::{Markup, html};

use super::{NAME_MAX, Tab, finder, further, on_demand, side_by_side, token_fields, token_path};
use crate::api::govern::TokenView;
use crate::form::{Outcome, begin};
use crate::format::{Escaped, plain, when};
use crate::layout::{Frame, empty, principal_path};

/// Access tokens that expire within this time are highlighted, in milliseconds: a week.
const SOON_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// The filter: part of a name.
    pub sought: String,
    /// One page of the list, by name.
    pub rows: Vec<TokenView>,
    /// The last name of the page, if there is a next one.
    pub next: Option<String>,
    /// Suggested principals.
    pub principals: Vec<String>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, tokens: &Tokens) -> String {
    let matter = html! {
        @if let Some(form) = frame.form() {
            (on_demand("New access token", &tokens.outcome, "token", &new(tokens, form)))
        }
        (finder(Tab::Tokens.path(), &tokens.sought))
        @if tokens.rows.is_empty() { (empty("No matches", "No access token matches. Try another name.")) } @else {
            (table(frame, &tokens.rows, true))
            (further(Tab::Tokens.path(), &tokens.sought, tokens.next.as_deref()))
        }
    };
    side_by_side(frame, Tab::Tokens, "Credentials for people and services", &tokens.outcome, &matter)
}

/// A table of access tokens, optionally with their principals.
pub(super) fn table(frame: &Frame, rows: &[TokenView], whose: bool) -> Markup {
    html! {
        table.list.cards {
            thead { tr {
                th scope="col" { "Access token" } @if whose { th scope="col" { "Owner" } }
                th scope="col" { "Created" } th scope="col" { "Expires" } th scope="col" { "Last used" }
                th scope="col" { "Limited to" }
            } }
            tbody {
                @for token in rows {
                    tr {
                        th scope="row" { a.name href=(token_path(&token.name)) { (Escaped(&token.name)) } }
                        @if whose {
                            td data-label="Owner" {
                                a href=(principal_path(&token.principal)) { (Escaped(&token.principal)) }
                            }
                        }
                        td data-label="Created" { (when(token.created, frame.now)) }
                        td data-label="Expires" { (until(frame, token)) }
                        td data-label="Last used" {
                            @match token.last_used { Some(at) => (when(at, frame.now)), None => span.quiet { "never" } }
                        }
                        td data-label="Limited to" { (bound(token)) }
                    }
                }
            }
        }
    }
}

/// When an access token expires.
pub(super) fn until(frame: &Frame, token: &TokenView) -> Markup {
    html! {
        @match token.expires {
            None => span.quiet { "never" },
            Some(at) if at <= frame.now => { span.tag.high { "expired" } " " (when(at, frame.now)) },
            Some(at) if at.ms() - frame.now.ms() < SOON_MS => { span.tag.wait { "soon" } " " (when(at, frame.now)) },
            Some(at) => (when(at, frame.now)),
        }
    }
}

/// The limits of an access token.
pub(super) fn bound(token: &TokenView) -> Markup {
    html! {
        @if token.prompts.is_none() && token.views.is_empty() { span.quiet { "all prompts" } }
        @if let Some(prompts) = &token.prompts { "prompts " code { (Escaped(prompts.as_str())) } " " }
        @for view in &token.views { "view " code { (Escaped(view)) } " " }
    }
}

fn new(tokens: &Tokens, form: &str) -> Markup {
    let typed = tokens.outcome.of("token");
    html! {
        form.stack method="post" action=(Tab::Tokens.path()) {
            (begin(form, "token"))
            label for="new-whose" { "Person or service" }
            input #new-whose name="principal" value=(plain(typed.get("principal"))) list="principals" required
                maxlength=(NAME_MAX) autocomplete="off" spellcheck="false";
            datalist #principals { @for name in &tokens.principals { option value=(plain(name)) {} } }
            (token_fields("new", &typed))
            button.primary type="submit" { "Create" }
            p.quiet { "The token is shown once, on the next page." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn token_row_shows_principal_and_expiry_but_not_the_token() {
        let rows: Vec<TokenView> = serde_json::from_str(
            r#"[{"name":"ci","principal":"ci","created":"2026-01-02T03:04:05Z"},
                {"name":"old","principal":"ann","created":"2026-01-02T03:04:05Z","expires":"2026-03-20T14:00:00Z"},
                {"name":"shop","principal":"<i>","created":"2026-01-02T03:04:05Z","expires":"2026-03-22T15:00:00Z",
                 "last_used":"2026-03-20T14:00:00Z","prompts":"shop/**","views":["eu"],"token":"bh_secret"}]"#,
        )
        .expect("three tokens");
        let shown = page(&sample(Who::Local), &Tokens { rows, ..Tokens::default() });
        for part in [
            "never",
            ">expired<",
            ">soon<",
            "never",
            "&lt;i&gt;",
            "<code>shop/**</code>",
            "view <code>eu</code>",
            "1 h ago",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("bh_secret"), "{shown}");
        let none = page(&sample(Who::Local), &Tokens::default());
        assert!(none.contains("No matches") && !none.contains("<table"), "{none}");
    }
}
