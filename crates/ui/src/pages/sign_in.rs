//! The sign-in pages.

use maud::html;

use crate::form::{hidden, session};
use crate::format::{Escaped, plain, with_code};
use crate::layout::{Frame, Page};

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct SignIn<'a> {
    /// Where to continue.
    pub next: &'a str,
    /// A token that ties the form to the browser.
    pub form: &'a str,
    /// Why an attempt failed.
    pub refused: Option<&'a str>,
    /// The name from single sign-on, if no person with access to the pages has it.
    pub unknown: Option<&'a str>,
    /// Whether this node accepts access tokens.
    pub takes_tokens: bool,
}

/// Renders the page.
pub fn page(frame: &Frame, sign_in: &SignIn<'_>) -> String {
    let main = html! {
        div.narrow {
            h1 { "Sign in" }
            @if let Some(name) = sign_in.unknown {
                p.note.bad role="alert" {
                    "Single sign-on identifies you as " b { (Escaped(name)) }
                    ", but no active person has this name here. Ask an admin to add or enable a person with exactly "
                    "this name, under Settings."
                }
            }
            @if sign_in.takes_tokens {
                p.lead { "Paste the access token your admin gave you. It starts a session in this browser." }
                @if let Some(refused) = sign_in.refused { p.note.bad #refused role="alert" { (with_code(refused)) } }
                form.stack method="post" action="/ui/sign-in" {
                    (session(sign_in.form))
                    (hidden("next", sign_in.next))
                    label for="token" { "Access token" }
                    input #token type="password" name="token" required autocomplete="current-password"
                        spellcheck="false" maxlength="200" placeholder="bh_…"
                        aria-invalid=[sign_in.refused.map(|_| "true")]
                        aria-describedby=[sign_in.refused.map(|_| "refused")];
                    button.primary type="submit" { "Sign in" }
                }
                ul.quiet.facts {
                    li { "Sessions expire after 8 idle hours or 7 days, and end immediately if the token is revoked." }
                    @if frame.replica.is_some() { li { "Restarting this replica signs everyone out." } }
                    li {
                        "No token? Ask an admin for a sign-in link: from your page under Access, or with "
                        code { "bookholder principal sign-in-link" } "."
                    }
                }
            } @else {
                p.lead {
                    "Sign-in is off on this replica. Read it from the machine itself, or ask its operator to open "
                    "reads."
                }
            }
        }
    };
    frame.page(&Page { title: "Sign in", above: &[], done: None, searches: false, main })
}

/// The contents of the page of a sign-in link.
#[derive(Clone, Debug, Default)]
pub struct SignInLinkPageData<'a> {
    /// The secret of the link.
    pub key: &'a str,
    /// A token that ties the form to the browser.
    pub form: &'a str,
    /// The person of the link; absent if it is not valid.
    pub name: Option<&'a str>,
}

/// Renders the page of a sign-in link.
pub fn link_page(frame: &Frame, link: &SignInLinkPageData<'_>) -> String {
    let main = html! {
        div.narrow {
            h1 { "Sign in" }
            @if let Some(name) = link.name {
                p.lead { "This link signs you in as " b { (Escaped(name)) } ". It works once." }
                form.stack method="post" action="/ui/sign-in-link" {
                    input type="hidden" name="form" value=(link.form);
                    input type="hidden" name="key" value=(plain(link.key));
                    button.primary type="submit" { "Sign in as " (Escaped(name)) }
                }
            } @else {
                p.note.bad role="alert" {
                    "This sign-in link does not work: it was used, replaced by a newer one, or has expired. Ask an "
                    "admin for a new one."
                }
                p { a href="/ui/sign-in" { "Sign in with an access token" } }
            }
        }
    };
    frame.page(&Page { title: "Sign in", above: &[], done: None, searches: false, main })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn sign_in_error_is_tied_to_its_field_and_return_path_is_escaped() {
        let sign_in = SignIn {
            next: "/ui/\"><script>",
            form: "f",
            refused: Some("no"),
            unknown: Some("<b>"),
            takes_tokens: true,
        };
        let shown = page(&sample(Who::Stranger), &sign_in);
        assert!(shown.contains("aria-describedby=\"refused\"") && shown.contains("id=\"refused\""), "{shown}");
        assert!(shown.contains("/ui/&quot;&gt;&lt;script&gt;"), "{shown}");
        assert!(shown.contains("<b>&lt;b&gt;</b>, but no active person"), "{shown}");
        let closed = page(&sample(Who::Stranger), &SignIn::default());
        assert!(!closed.contains("<form class=\"stack\"") && closed.contains("Sign-in is off"), "{closed}");
    }
}
