//! One principal: permissions, access tokens, recent actions.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Tab, behind_a_click, below, grant_fields, on_demand, role_path, token_fields, tokens, why_of, why_path};
use crate::api::govern::TokenView;
use crate::form::{Outcome, begin, hidden};
use crate::format::{Escaped, plain, when};
use crate::layout::{Frame, command, empty, principal_path, query};
use crate::model::audit::{AuditEntry, Decision};
use crate::model::principal::{Grant, Permission, Principal, PrincipalKind, Role};

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct PersonPageData {
    /// The principal.
    pub principal: Principal,
    /// Every role, by name.
    pub roles: BTreeMap<String, Role>,
    /// Their access tokens; absent if the visitor cannot see them.
    pub tokens: Option<Vec<TokenView>>,
    /// Their recent actions, newest first; absent if the visitor cannot see them.
    pub did: Option<Vec<AuditEntry>>,
    /// Whether the visitor can manage access.
    pub keeps: bool,
    /// The URL of a new sign-in link.
    pub link: Option<String>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &PersonPageData) -> String {
    let one = &matter.principal;
    let form = frame.form().filter(|_| matter.keeps);
    let main = html! {
        div.head {
            h1 { (Escaped(&one.name)) }
            span.tag { (one.kind) }
            @if one.disabled.is_some() { span.tag.high { "disabled" } }
            p.quiet { "since " (when(one.created, frame.now)) }
        }
        (matter.outcome.note())
        @if let Some(link) = &matter.link {
            section.once aria-labelledby="once" {
                h2 #once { "Send this link to " (Escaped(&one.name)) }
                p { "It is shown only now, and signs them in once. Anyone who opens it first is signed in as them." }
                (command(link))
            }
        }
        @if let Some(at) = one.disabled {
            p.note.bad {
                "Disabled " (when(at, frame.now)) ". "
                (effect(one.kind, "It does nothing.", "Their access tokens do not work."))
            }
        }
        div.columns {
            div.stack {
                section { h2 { "Roles" } (grants(matter, form)) }
                @if let Some(held) = matter.tokens.as_ref().filter(|_| one.kind != PrincipalKind::Automation) {
                    section {
                        h2 { "Access tokens" }
                        @if held.is_empty() {
                            (empty(
                                "No access tokens",
                                "They need one to call the API; to sign in, a sign-in link will do.",
                            ))
                        }
                        @else { (tokens::table(frame, held, false)) }
                    }
                }
                @if let Some(did) = &matter.did {
                    section { h2 { "Recent activity" } (recent_activity(frame, &one.name, did)) }
                }
            }
            aside aria-label="Change" {
                p { a href=(why_path(&one.name, "", "", "")) { "Check access" } }
                @if let Some(form) = form { (desk(matter, form)) }
            }
        }
    };
    below(frame, Tab::People, &one.name, &matter.outcome, main)
}

fn grants(matter: &PersonPageData, form: Option<&str>) -> Markup {
    let one = &matter.principal;
    let nothing = std::collections::BTreeSet::new();
    html! {
        @if one.grants.is_empty() { (empty("No roles", "Grant a role to give them access.")) } @else {
            table.list.cards {
                thead { tr {
                    th scope="col" { "Role" } th scope="col" { "Prompts" } th scope="col" { "Labels" }
                    th scope="col" { "Permissions" }
                    th scope="col" { "Check" } @if form.is_some() { th scope="col" { "Change" } }
                } }
                tbody {
                    @for grant in &one.grants {
                        @let gives = matter.roles.get(&grant.role).map_or(&nothing, |role| &role.permissions);
                        tr {
                            th scope="row" { a href=(role_path(&grant.role)) { (Escaped(&grant.role)) } }
                            td data-label="Prompts" { code { (Escaped(grant.prompts.as_str())) } }
                            td data-label="Labels" { code { (Escaped(grant.labels.as_str())) } }
                            td data-label="Permissions" { (permissions(gives)) }
                            td data-label="Check" {
                                a href=(why_of(&one.name, grant, gives)) {
                                    "Explain" span.hidden { " " (Escaped(&grant.to_string())) }
                                }
                            }
                            @if let Some(form) = form { td { (take(&one.name, grant, form)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The permissions of a role, as text.
pub(super) fn permissions(gives: &std::collections::BTreeSet<Permission>) -> Markup {
    let words: Vec<&str> = gives.iter().map(|permission| permission.as_str()).collect();
    html! {
        @if gives.len() == Permission::ALL.len() { "everything" }
        @else if gives.is_empty() { span.quiet { "nothing" } }
        @else { (words.join(", ")) }
    }
}

fn take(who: &str, grant: &Grant, form: &str) -> Markup {
    html! {
        details.act {
            summary { "Remove" span.hidden { " " (Escaped(&grant.to_string())) } }
            form.stack method="post" action=(principal_path(who)) {
                (begin(form, "take"))
                (hidden("role", plain(&grant.role)))
                (hidden("prompts", plain(grant.prompts.as_str())))
                (hidden("labels", plain(grant.labels.as_str())))
                button.danger type="submit" { "Remove grant" }
            }
        }
    }
}

fn recent_activity(frame: &Frame, who: &str, did: &[AuditEntry]) -> Markup {
    html! {
        @if did.is_empty() { p.quiet { "No recent activity." } } @else {
            ul.thread {
                @for entry in did {
                    li {
                        b { (entry.command) } " "
                        @if entry.decision == Decision::Denied { span.tag.high { "denied" } " " }
                        @let subjects: Vec<String> = entry.subjects.iter().take(3).map(ToString::to_string).collect();
                        (Escaped(&subjects.join(", "))) " "
                        span.quiet { (when(entry.at, frame.now)) }
                    }
                }
            }
        }
        p { a href={ "/ui/audit" (query(&[("who", who)])) } { "View all in audit log" } }
    }
}

fn desk(matter: &PersonPageData, form: &str) -> Markup {
    let (one, path) = (&matter.principal, principal_path(&matter.principal.name));
    let roles: Vec<String> = matter.roles.keys().cloned().collect();
    html! {
        (on_demand("Grant role", &matter.outcome, "grant", &html! {
            form.stack method="post" action=(path) {
                (begin(form, "grant"))
                (grant_fields("grant", &roles, &matter.outcome.of("grant"), true))
                button.primary type="submit" { "Grant role" }
            }
        }))
        @if one.kind != PrincipalKind::Automation {
            (on_demand("New access token", &matter.outcome, "token", &html! {
                form.stack method="post" action=(path) {
                    (begin(form, "token"))
                    (token_fields("token", &matter.outcome.of("token")))
                    button.primary type="submit" { "Create token" }
                    p.quiet { "The token is shown once, on the next page." }
                }
            }))
        }
        @if one.disabled.is_none() && one.kind == PrincipalKind::Person {
            (on_demand("New sign-in link", &matter.outcome, "link", &html! {
                form.stack method="post" action=(path) {
                    (begin(form, "link"))
                    label for="link-hours" { "Valid for (hours)" }
                    input #link-hours name="hours" type="number" min="1" max="24" value="1" required;
                    button.primary type="submit" { "Create sign-in link" }
                    p.quiet { "It signs them in once, without an access token. A new link replaces an unused one." }
                }
            }))
        }
        div {
            @if one.disabled.is_some() {
                form.stack method="post" action=(path) {
                    (begin(form, "enable")) button type="submit" { "Enable" }
                    p.quiet { (effect(one.kind, "It acts again.", "Their access tokens work again.")) }
                }
            } @else {
                (behind_a_click(
                    &path,
                    form,
                    "disable",
                    "Disable",
                    effect(
                        one.kind,
                        "It stops acting immediately.",
                        "Their access tokens stop working immediately, and they are signed out everywhere.",
                    ),
                ))
            }
        }
    }
}

/// What a change does to an automation, or to others, who have access tokens.
const fn effect(kind: PrincipalKind, automation: &'static str, others: &'static str) -> &'static str {
    if matches!(kind, PrincipalKind::Automation) { automation } else { others }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn matter() -> PersonPageData {
        let principal = serde_json::from_value(json!({"name": "ann", "kind": "person", "created": "2026-01-02T03:04:05Z", "grants": [
            {"role": "releaser", "prompts": "support/agent", "labels": "staging"}, {"role": "author", "prompts": "sales/**"}, {"role": "gone<b>"}]}))
        .expect("a principal");
        let did = json!({"format": 1, "seq": 7, "at": "2026-03-20T14:00:00Z", "actor": "ann", "command": "deploy", "decision": "denied",
            "subjects": [{"kind": "token", "name": "<s>\u{202e}"}], "message": "why", "previous": ""});
        PersonPageData {
            principal,
            roles: Role::built_in().into_iter().map(|role| (role.name.clone(), role)).collect(),
            tokens: Some(Vec::new()),
            did: Some(vec![serde_json::from_value(did).expect("an entry")]),
            keeps: true,
            link: None,
            outcome: Outcome::default(),
        }
    }

    fn signed() -> Frame {
        sample(Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() })
    }

    #[test]
    fn person_page_shows_permissions_with_links_to_explanations() {
        let shown = page(&signed(), &matter());
        for part in [
            "href=\"/ui/access/why?who=ann&amp;permission=deploy&amp;prompt=support/agent&amp;label=staging\"",
            "href=\"/ui/access/why?who=ann\"",
            "read, publish, deploy, retire, review",
            "gone&lt;b&gt;",
            "&lt;s&gt;<span class=\"odd\">U+202E</span>",
            "href=\"/ui/audit?who=ann\"",
            "value=\"grant\"",
            "value=\"take\"",
            "value=\"disable\"",
            "They need one to call the API",
            "value=\"link\"",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let disabled = Some("2026-03-20T14:00:00Z".parse().expect("a time"));
        let mut out = matter();
        out.principal = Principal { disabled, grants: Vec::new(), ..out.principal };
        let shown = page(&signed(), &out);
        assert!(
            shown.contains("tokens do not work.")
                && shown.contains("value=\"enable\"")
                && !shown.contains("value=\"disable\"")
        );
        assert!(!shown.contains("value=\"link\""), "no link for who is disabled");
        let linked = PersonPageData { link: Some("http://here/ui/sign-in-link?key=bh_<".to_owned()), ..matter() };
        assert!(page(&signed(), &linked).contains("http://here/ui/sign-in-link?key=bh_&lt;</code>"));
    }

    #[test]
    fn visitor_without_access_permission_gets_no_forms() {
        let shown = page(&signed(), &PersonPageData { keeps: false, tokens: None, did: None, ..matter() });
        assert!(!shown.contains("action=\"/ui/access") && !shown.contains("Access tokens</h2>"), "{shown}");
    }
}
