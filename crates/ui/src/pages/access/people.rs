//! People and services: the list, with permissions and last use.

use maud::{Markup, html};

use super::{Tab, finder, further, grant_fields, grant_words, name_input, on_demand, side_by_side};
use crate::form::{Outcome, begin};
use crate::format::{Escaped, when};
use crate::layout::{Frame, empty, principal_path};
use crate::model::principal::{Principal, PrincipalKind};
use crate::model::time::Timestamp;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The filter: part of a name.
    pub sought: String,
    /// One page of the list, by name.
    pub rows: Vec<PersonRow>,
    /// The last name of the page, if there is a next one.
    pub next: Option<String>,
    /// The roles that can be granted.
    pub roles: Vec<String>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// One principal of the list.
#[derive(Clone, Debug)]
pub struct PersonRow {
    /// The principal.
    pub principal: Principal,
    /// Number of their access tokens.
    pub tokens: usize,
    /// When one of them was last used.
    pub last_used: Option<Timestamp>,
}

/// Renders the page.
pub fn page(frame: &Frame, people: &People) -> String {
    let matter = html! {
        @if let Some(form) = frame.form() {
            (on_demand("Add person or service", &people.outcome, "create", &new(people, form)))
        }
        (finder(Tab::People.path(), &people.sought))
        @if people.rows.is_empty() { (empty("No matches", "Try another name, or add a person or service.")) } @else {
            (table(frame, people))
            (further(Tab::People.path(), &people.sought, people.next.as_deref()))
        }
    };
    side_by_side(frame, Tab::People, "Who has access, and to what", &people.outcome, &matter)
}

fn table(frame: &Frame, people: &People) -> Markup {
    html! {
        table.list.cards {
            thead {
                tr {
                    th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { "Roles" }
                    th scope="col" { "Access tokens" } th scope="col" { "Last used" }
                }
            }
            tbody {
                @for row in &people.rows {
                    @let one = &row.principal;
                    tr {
                        th scope="row" { a.name href=(principal_path(&one.name)) { (Escaped(&one.name)) } }
                        td data-label="Kind" { (one.kind) }
                        td data-label="Roles" {
                            @if one.disabled.is_some() { span.tag.high { "disabled" } " " }
                            @if one.grants.is_empty() { span.quiet { "nothing" } }
                            ul.logged { @for grant in &one.grants { li { (grant_words(grant)) } } }
                        }
                        td data-label="Access tokens" { (row.tokens) }
                        td data-label="Last used" {
                            @match row.last_used { Some(at) => (when(at, frame.now)), None => span.quiet { "never" } }
                        }
                    }
                }
            }
        }
    }
}

fn new(people: &People, form: &str) -> Markup {
    let typed = people.outcome.of("create");
    html! {
        form.stack method="post" action=(Tab::People.path()) {
            (begin(form, "create"))
            label for="new-name" { "Name " span.quiet { "(a-z 0-9 . _ - @)" } }
            (name_input("new-name", &typed))
            label for="new-kind" { "Kind" }
            select #new-kind name="kind" {
                @for kind in PrincipalKind::CREATED {
                    option value=(kind) selected[typed.get("kind") == kind.to_string()] { (kind) }
                }
            }
            (grant_fields("new", &people.roles, &typed, false))
            button.primary type="submit" { "Create" }
            p.quiet {
                "Next, create an access token on their page so they can sign in. An automation is something that this "
                "node does by itself; it cannot sign in."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::{FormError, FormValues};
    use crate::layout::{Who, sample};

    #[test]
    fn people_list_shows_permissions_and_rejected_form_keeps_input() {
        let principal = serde_json::from_str(
            r#"{"name":"ann<b>","kind":"person","created":"2026-01-02T03:04:05Z","disabled":"2026-02-02T03:04:05Z",
                "grants":[{"role":"author"},{"role":"releaser","prompts":"support/**","labels":"staging"}]}"#,
        )
        .expect("a principal");
        let last_used = Some("2026-03-20T14:00:00Z".parse().expect("a time"));
        let rows = vec![PersonRow { principal, tokens: 2, last_used }];
        let mut typed = FormValues::default();
        for (name, value) in
            [("do", "create"), ("name", "bob\"><script>"), ("role", "author"), ("prompts", "x\u{202e}")]
        {
            typed.put(name, value);
        }
        let refused = Some(FormError { says: "no name".to_owned(), ..FormError::default() });
        let people = People {
            rows,
            next: Some("ann".to_owned()),
            roles: vec!["author".to_owned()],
            outcome: Outcome { done: None, refused, typed },
            ..People::default()
        };
        let signed = Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let mut frame = sample(signed);
        frame.access = Some("/ui/access");
        let shown = page(&frame, &people);
        for part in [
            "ann&lt;b&gt;",
            "href=\"/ui/access/who/ann%3Cb%3E\"",
            "on <code>support/**</code> for labels <code>staging</code>",
            ">disabled<",
            "1 h ago",
            "No name.",
            "value=\"bob&quot;&gt;&lt;script&gt;\"",
            "value=\"x\u{fffd}\"",
            "<option value=\"author\" selected>",
            "href=\"/ui/access?after=ann\"",
            "aria-current=\"page\">People and services",
            "href=\"/ui/access/tokens\"",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let local = page(&sample(Who::Local), &People::default());
        assert!(local.contains("No matches") && !local.contains("method=\"post\""), "{local}");
        assert!(!local.contains("href=\"/ui/access/tokens\""), "who keeps no access sees no such tab: {local}");
    }
}
