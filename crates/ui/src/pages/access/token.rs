//! One access token: shown once after creation; rotation and revocation.

use maud::{Markup, html};

use super::tokens::{bound, until};
use super::{Tab, behind_a_click, below, token_path};
use crate::api::govern::TokenView;
use crate::crypto::secret::AccessToken;
use crate::form::{Outcome, begin};
use crate::format::{Escaped, plain, when};
use crate::layout::{Frame, command, principal_path};

/// The contents of the page.
pub struct TokenPageData {
    /// The access token, without its secret.
    pub token: TokenView,
    /// The secret, if it was just created.
    pub shown: Option<AccessToken>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &TokenPageData) -> String {
    let token = &matter.token;
    let main = html! {
        div.head {
            h1 { (Escaped(&token.name)) }
            p.quiet { "An access token of " a href=(principal_path(&token.principal)) { (Escaped(&token.principal)) } }
        }
        (matter.outcome.note())
        @if let Some(shown) = &matter.shown {
            section.once aria-labelledby="once" {
                h2 #once { "Copy your token" }
                p { "You won’t see it again. Anyone with it can act as " b { (Escaped(&token.principal)) } "." }
                (command(shown.reveal()))
            }
        }
        div.columns.detail {
            section {
                h2 { "Details" }
                dl.pairs {
                    dt { "Created" } dd { (when(token.created, frame.now)) }
                    dt { "Expires" } dd { (until(frame, token)) }
                    @if let Some(at) = token.previous_until.filter(|at| *at > frame.now) {
                        dt { "Old token" } dd { "valid until " (when(at, frame.now)) }
                    }
                    dt { "Last used" }
                    dd { @match token.last_used { Some(at) => (when(at, frame.now)), None => span.quiet { "never" } } }
                    dt { "Limited to" } dd { (bound(token)) }
                }
            }
            @if let Some(form) = frame.form() { aside aria-label="Change" { (desk(matter, form)) } }
        }
    };
    below(frame, Tab::Tokens, &token.name, &matter.outcome, main)
}

fn desk(matter: &TokenPageData, form: &str) -> Markup {
    let (path, typed) = (token_path(&matter.token.name), matter.outcome.of("rotate"));
    let hours = if matter.outcome.typed.get("do") == "rotate" { typed.get("hours") } else { "24" };
    html! {
        div.desk {
            form.stack method="post" action=(path) {
                (begin(form, "rotate"))
                h2 { "Rotate" }
                p.quiet { "Replaces the token with a new one of the same name, shown once." }
                label for="hours" { "Keep old token valid for (hours)" }
                input #hours name="hours" type="number" min="0" max="87840" value=(plain(hours)) required;
                label for="days" { "Expires in (days) " span.quiet { "(leave empty to keep the current lifetime)" } }
                input #days name="days" type="number" min="1" max="3660" value=(plain(typed.get("days")));
                button.primary type="submit" { "Rotate" }
            }
            (behind_a_click(
                &path,
                form,
                "revoke",
                "Revoke",
                "Stops working immediately. Sessions using it are signed out.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn token_secret_is_shown_only_after_creation() {
        let token = serde_json::from_str::<TokenView>(
            r#"{"name":"ann-laptop","principal":"ann<b>","created":"2026-01-02T03:04:05Z","previous_until":"2026-03-21T15:00:00Z"}"#,
        )
        .expect("a token");
        let signed = Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let mut matter = TokenPageData { token, shown: None, outcome: Outcome::default() };
        let shown = page(&sample(signed.clone()), &matter);
        for part in ["ann&lt;b&gt;", "Old token", "value=\"rotate\"", "value=\"revoke\"", "<details class=\"act\">"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("Copy your token"), "{shown}");
        matter.shown = Some(AccessToken::parse("bh_0123456789abcdef").expect("a token"));
        let shown = page(&sample(signed), &matter);
        assert!(shown.contains("bh_0123456789abcdef</code>") && shown.contains("class=\"copy\""), "{shown}");
        assert_eq!(shown.matches("bh_0123456789abcdef").count(), 1, "{shown}");
    }
}
