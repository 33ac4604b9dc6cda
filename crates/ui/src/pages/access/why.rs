//! Why a principal is allowed to do something or not: the verdict, each grant, and the label's requirements.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::impact::mark;
use super::{NAME_MAX, Tab, grant_words, role_path, side_by_side};
use crate::api::govern::CanAnswer;
use crate::form::{FormValues, Outcome, hidden};
use crate::format::{Escaped, plain, sentence, with_code};
use crate::governance::rulebook::Weight;
use crate::layout::{Frame, empty, principal_path};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission, Principal, Role};
use crate::model::verdict::RequirementKind;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct WhyPageData {
    /// The question, field by field.
    pub asked: FormValues,
    /// The answer, if a permission was asked about.
    pub because: Option<Reason>,
    /// The principal, if it exists.
    pub principal: Option<Principal>,
    /// Every role, by name.
    pub roles: BTreeMap<String, Role>,
    /// Suggested principals; absent if visitors can only ask about themselves.
    pub principals: Option<Vec<String>>,
    /// An error in the question.
    pub outcome: Outcome,
}

/// The explanation.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The verdict.
    pub answer: CanAnswer,
    /// Each grant, and what it contributes.
    pub grants: Vec<(Grant, Weight)>,
    /// Their access tokens that are limited to other prompts.
    pub bound: Vec<(String, Pattern)>,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &WhyPageData) -> String {
    let shown = html! {
        (question(matter))
        @if let Some(because) = &matter.because { (answer(matter, because)) }
        @match &matter.principal {
            Some(principal) => (overview(matter, principal)),
            None if matter.because.is_none() && matter.outcome.refused.is_none() => {
                (empty(
                    "Check access",
                    "Choose a person, a permission and a prompt to see whether it is allowed, and why.",
                ))
            },
            None => {}
        }
    };
    side_by_side(frame, Tab::Why, "What a person or service can do now, and why", &matter.outcome, &shown)
}

fn question(matter: &WhyPageData) -> Markup {
    let asked = &matter.asked;
    html! {
        form.filters action=(Tab::Why.path()) {
            @match &matter.principals {
                Some(names) => {
                    label {
                        span { "Person or service" }
                        input name="who" value=(plain(asked.get("who"))) list="principals" required maxlength=(NAME_MAX)
                            autocomplete="off" spellcheck="false";
                    }
                    datalist #principals { @for name in names { option value=(plain(name)) {} } }
                },
                None => { (hidden("who", plain(asked.get("who")))) },
            }
            label { span { "Permission" } select name="permission" {
                @for permission in Permission::ALL {
                    option value=(permission) selected[chosen(asked) == permission.as_str()] title=(permission.says()) {
                        (permission)
                    }
                }
            } }
            label {
                span { "Prompt (leave empty for all)" }
                input name="prompt" value=(plain(asked.get("prompt"))) maxlength="200" autocomplete="off"
                    spellcheck="false";
            }
            label {
                span { "Label" }
                input name="label" value=(plain(asked.get("label"))) maxlength="64" autocomplete="off"
                    spellcheck="false";
            }
            label { span { "Version" } input name="version" type="number" min="1" value=(plain(asked.get("version"))); }
            button.primary type="submit" { "Check" }
        }
    }
}

/// The default permission.
fn chosen(asked: &FormValues) -> &str {
    if asked.get("permission").is_empty() { Permission::Deploy.as_str() } else { asked.get("permission") }
}

fn answer(matter: &WhyPageData, because: &Reason) -> Markup {
    let CanAnswer { allowed, permission, requirements, downstream: _ } = &because.answer;
    let who = matter.asked.get("who");
    html! {
        section aria-labelledby="verdict" {
            div.note.bad[!permission.allowed].warn[permission.allowed && !allowed] role="status" {
                h2 #verdict {
                    (if *allowed { "Yes: " } else if permission.allowed { "Not yet: " } else { "No: " })
                    (Escaped(who)) (if *allowed { " can " } else { " cannot " }) (Escaped(chosen(&matter.asked)))
                    (place(&matter.asked))
                    @if !allowed && permission.allowed { " now" }
                }
                p { (with_code(&sentence(&permission.reason))) }
                @if !allowed && permission.allowed {
                    p { "The permission is granted, but some requirements of the label are not met." }
                }
            }
            @if !permission.roles.is_empty() {
                p {
                    "Roles that would allow this: "
                    @for role in &permission.roles { a.tag href=(role_path(role)) { (Escaped(role)) } " " }
                }
            }
        }
        div.columns {
            section { h2 { "Grants" } (weighed(matter, because)) }
            aside aria-label="More" {
                @if !requirements.is_empty() {
                    h2 { "Requirements of the label" }
                    ul.demands {
                        @for demand in requirements {
                            li {
                                (mark(
                                    (demand.kind != RequirementKind::Message).then_some(demand.met),
                                    ["Met: ", "Not met: "],
                                ))
                                div { (with_code(&demand.says)) " " span.quiet { "policy " (Escaped(&demand.policy)) } }
                            }
                        }
                    }
                    @if matter.asked.get("version").is_empty() {
                        p.quiet { "Approvals and risk depend on the version. Enter one to see them." }
                    }
                } @else if permission.allowed && chosen(&matter.asked) == Permission::Deploy.as_str() {
                    h2 { "Requirements of the label" }
                    @if matter.asked.get("label").is_empty() {
                        p.quiet { "Enter a prompt and a label to see its requirements." }
                    } @else { p.quiet { "None: no policy applies." } }
                }
                @if !because.bound.is_empty() {
                    h2 { "Excluded by token scope" }
                    ul.logged {
                        @for (name, bound) in &because.bound {
                            li { b { (Escaped(name)) } " is limited to " code { (Escaped(bound.as_str())) } }
                        }
                    }
                }
            }
        }
    }
}

fn place(asked: &FormValues) -> Markup {
    html! {
        @match (asked.get("prompt"), asked.get("label")) {
            ("", _) => " on every prompt",
            (prompt, "") => { " " (Escaped(prompt)) },
            (prompt, label) => { " " (Escaped(prompt)) " on " (Escaped(label)) },
        }
    }
}

fn weighed(matter: &WhyPageData, because: &Reason) -> Markup {
    let permission = chosen(&matter.asked);
    html! {
        @if because.grants.is_empty() { p.quiet { "No grants." } } @else {
            ul.demands {
                @for (grant, weight) in &because.grants {
                    li {
                        (mark(Some(*weight == Weight::Gives), ["Yes: ", "No: "]))
                        div { (grant_words(grant)) " " span.quiet { (says(*weight, permission)) } }
                    }
                }
            }
        }
    }
}

fn says(weight: Weight, permission: &str) -> String {
    match weight {
        Weight::Gives => format!("allows {permission} here"),
        Weight::NoRole => "its role no longer exists".to_owned(),
        Weight::OtherPermission => format!("its role does not allow {permission}"),
        Weight::OtherPrompts => format!("allows {permission}, for other prompts"),
        Weight::SomePrompts => {
            format!("allows {permission} for some prompts only; enter a prompt")
        }
        Weight::OtherLabels => format!("allows {permission}, for other labels"),
    }
}

/// All permissions of a principal.
fn overview(matter: &WhyPageData, principal: &Principal) -> Markup {
    let gives = |grant: &&Grant, permission: Permission| {
        matter.roles.get(&grant.role).is_some_and(|role| role.permissions.contains(&permission))
    };
    let held =
        |permission| -> Vec<&Grant> { principal.grants.iter().filter(|grant| gives(grant, permission)).collect() };
    let rows: Vec<(Permission, Vec<&Grant>)> = Permission::ALL
        .into_iter()
        .map(|permission| (permission, held(permission)))
        .filter(|(_, held)| !held.is_empty())
        .collect();
    html! {
        section {
            h2 { "All permissions of " a href=(principal_path(&principal.name)) { (Escaped(&principal.name)) } }
            @if principal.disabled.is_some() {
                p.note.bad { "Disabled: no access. Permissions they would have when enabled:" }
            }
            @if rows.is_empty() { p.quiet { "None." } } @else {
                table.list.cards {
                    thead {
                        tr {
                            th scope="col" { "Permission" } th scope="col" { "Description" }
                            th scope="col" { "Granted by" }
                        }
                    }
                    tbody {
                        @for (permission, grants) in &rows {
                            tr {
                                th scope="row" { (permission) }
                                td data-label="Description" { (permission.says()) }
                                td data-label="Granted by" {
                                    ul.logged { @for grant in grants { li { (grant_words(grant)) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn matter(answer: serde_json::Value) -> WhyPageData {
        let mut asked = FormValues::default();
        for (name, value) in
            [("who", "ann<b>"), ("permission", "deploy"), ("prompt", "support/agent"), ("label", "production")]
        {
            asked.put(name, value);
        }
        let principal: Principal =
            serde_json::from_value(json!({"name": "ann<b>", "kind": "person", "created": "2026-01-02T03:04:05Z",
            "grants": [{"role": "releaser", "prompts": "support/**", "labels": "staging"}, {"role": "author"}]}))
            .expect("a principal");
        let grants = principal.grants.iter().cloned().zip([Weight::OtherLabels, Weight::OtherPermission]).collect();
        let answer = serde_json::from_value(answer).expect("an answer");
        let bound = vec![("laptop".to_owned(), "sales/**".parse().expect("a pattern"))];
        WhyPageData {
            asked,
            because: Some(Reason { answer, grants, bound }),
            principal: Some(principal),
            roles: Role::built_in().into_iter().map(|role| (role.name.clone(), role)).collect(),
            principals: Some(vec!["bob\"".to_owned()]),
            outcome: Outcome::default(),
        }
    }

    #[test]
    fn denial_explains_each_grant_and_names_sufficient_roles() {
        let no = json!({"allowed": false, "permission": {"allowed": false, "reason": "`ann<b>` is not granted it", "roles": ["releaser"]}});
        let shown = page(&sample(Who::Local), &matter(no));
        for part in [
            "No: ann&lt;b&gt; cannot deploy support/agent on production",
            "<code>ann&lt;b&gt;</code> is not granted it.",
            "allows deploy, for other labels",
            "its role does not allow deploy",
            "href=\"/ui/access/roles/releaser\"",
            "is limited to <code>sales/**</code>",
            "<option value=\"deploy\" selected",
            "value=\"bob&quot;\"",
            "All permissions of <a href=\"/ui/access/who/ann%3Cb%3E\">",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("<b>ann") && !shown.contains("ann<b>"), "{shown}");
    }

    #[test]
    fn grant_without_met_policy_is_not_enough() {
        let demand = |met: bool| json!({"policy": "p<i>", "kind": "approvals", "met": met, "says": "1 approval of this exact change (0 so far)"});
        let granted = json!({"allowed": true, "reason": "grant releaser on **"});
        let not_yet = json!({"allowed": false, "permission": granted, "requirements": [demand(false)]});
        let shown = page(&sample(Who::Local), &matter(not_yet));
        assert!(shown.contains("Not yet: ann&lt;b&gt; cannot deploy support/agent on production now"), "{shown}");
        assert!(shown.contains("Not met: ") && shown.contains("policy p&lt;i&gt;"), "{shown}");
        let yes = page(
            &sample(Who::Local),
            &matter(json!({"allowed": true, "permission": granted, "requirements": [demand(true)]})),
        );
        assert!(yes.contains("Yes: ann&lt;b&gt; can deploy") && yes.contains("Met: "), "{yes}");
        let message = json!({"policy": "p", "kind": "message", "met": false, "says": "a message that matches `OPS`"});
        let yes = page(
            &sample(Who::Local),
            &matter(json!({"allowed": true, "permission": granted, "requirements": [message]})),
        );
        assert!(yes.contains("Later: ") && !yes.contains("Not met: "), "it says it when it deploys: {yes}");
        let unasked = page(&sample(Who::Local), &WhyPageData::default());
        assert!(unasked.contains("<h2>Check access</h2>") && !unasked.contains("<table"), "{unasked}");
    }
}
