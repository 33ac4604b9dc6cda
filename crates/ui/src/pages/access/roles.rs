//! Roles: named sets of permissions, built-in and custom; the list, and the detail page.

use maud::{Markup, html};

use super::person::permissions;
use super::{Tab, behind_a_click, below, name_input, on_demand, role_path, side_by_side};
use crate::form::{FormValues, Outcome, begin, hidden};
use crate::format::{Escaped, plain};
use crate::layout::{Frame, principal_path};
use crate::model::principal::{Permission, Role};

/// Most listed holders of a role.
const NAMED_MAX: usize = 50;

/// The contents of the list.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    /// Every role by name, with its number of holders; absent if the visitor cannot see it.
    pub rows: Vec<(Role, Option<usize>)>,
    /// Whether the visitor can manage access.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// The contents of the detail page.
#[derive(Clone, Debug)]
pub struct RolePageData {
    /// The role.
    pub role: Role,
    /// A hash of it, to detect changes.
    pub seen: String,
    /// Its holders; absent if the visitor cannot see them.
    pub holders: Option<Vec<String>>,
    /// Whether the visitor can manage access.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the list.
pub fn page(frame: &Frame, roles: &Roles) -> String {
    let form = frame.form().filter(|_| roles.keeps);
    let counted = roles.rows.iter().any(|(_, held)| held.is_some());
    let matter = html! {
        @if let Some(form) = form { (on_demand("New role", &roles.outcome, "create", &new(roles, form))) }
        table.list.cards {
            thead {
                tr {
                    th scope="col" { "Role" } th scope="col" { "Allows" } th scope="col" { "Description" }
                    @if counted { th scope="col" { "Granted to" } }
                }
            }
            tbody {
                @for (role, held) in &roles.rows {
                    tr {
                        th scope="row" {
                            a.name href=(role_path(&role.name)) { (Escaped(&role.name)) }
                            @if role.built_in { " " span.tag { "built in" } }
                        }
                        td data-label="Allows" { (permissions(&role.permissions)) }
                        td.words data-label="Description" { (Escaped(&role.description)) }
                        @if let Some(held) = held { td data-label="Granted to" { (held) } }
                    }
                }
            }
        }
    };
    side_by_side(frame, Tab::Roles, "Named sets of permissions", &roles.outcome, &matter)
}

fn new(roles: &Roles, form: &str) -> Markup {
    let typed = roles.outcome.of("create");
    html! {
        form.stack method="post" action=(Tab::Roles.path()) {
            (begin(form, "create"))
            label for="role-name" { "Name " span.quiet { "(a-z 0-9 . _ - @)" } }
            (name_input("role-name", &typed))
            (fields(&typed))
            button.primary type="submit" { "Create" }
        }
    }
}

/// The permissions and description of a role.
fn fields(typed: &FormValues) -> Markup {
    html! {
        label for="role-for" { "Description" }
        input #role-for name="description" value=(plain(typed.get("description"))) maxlength="200" autocomplete="off";
        fieldset.boxes {
            legend { "Allows" }
            @for permission in Permission::ALL {
                @let name = format!("may.{permission}");
                label.check {
                    input type="checkbox" name=(name) value="yes" checked[typed.ticked(&name)];
                    span { b { (permission) } " " span.quiet { (permission.says()) } }
                }
            }
        }
    }
}

/// The fields of a role.
pub fn typed(role: &Role) -> FormValues {
    let mut typed = FormValues::default();
    typed.put("description", role.description.as_str());
    for permission in &role.permissions {
        typed.put(format!("may.{permission}"), "yes");
    }
    typed
}

/// Renders the detail page.
pub fn one(frame: &Frame, matter: &RolePageData) -> String {
    let role = &matter.role;
    let form = frame.form().filter(|_| matter.keeps && !role.built_in);
    let main = html! {
        div.head {
            h1 { (Escaped(&role.name)) }
            @if role.built_in { span.tag { "built in" } } p.quiet { (Escaped(&role.description)) }
        }
        (matter.outcome.note())
        div.columns.detail {
            div.stack {
                section {
                    h2 { "Allows" }
                    @if role.permissions.is_empty() { p.quiet { "Nothing." } }
                    dl.pairs {
                        @for permission in &role.permissions { dt { b { (permission) } } dd { (permission.says()) } }
                    }
                    @if role.built_in { p.quiet { "Built-in roles cannot be changed." } }
                }
                @if let Some(holders) = &matter.holders {
                    section {
                        h2 { "Granted to" }
                        @if holders.is_empty() { p.quiet { "No one." } }
                        p.inline {
                            @for name in holders.iter().take(NAMED_MAX) {
                                a.tag href=(principal_path(name)) { (Escaped(name)) }
                            }
                        }
                        @if holders.len() > NAMED_MAX { p.quiet { "and " (holders.len() - NAMED_MAX) " more" } }
                    }
                }
            }
            @if let Some(form) = form { aside aria-label="Change" { (desk(matter, form)) } }
        }
    };
    below(frame, Tab::Roles, &role.name, &matter.outcome, main)
}

fn desk(matter: &RolePageData, form: &str) -> Markup {
    let path = role_path(&matter.role.name);
    let sent = matter.outcome.of("change");
    let shown = if sent == FormValues::default() { typed(&matter.role) } else { sent };
    html! {
        div.desk {
            form.stack method="post" action=(path) {
                (begin(form, "change"))
                (hidden("seen", &matter.seen))
                h2 { "Change" }
                (fields(&shown))
                button.primary type="submit" { "Save" }
                p.quiet { "Takes effect immediately, for everyone with this role." }
            }
            (behind_a_click(
                &path,
                form,
                "remove",
                "Remove",
                "Only a role that is not granted to anyone can be removed.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    fn signed() -> Frame {
        sample(Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() })
    }

    #[test]
    fn roles_list_permissions_and_built_in_roles_are_read_only() {
        let rows = Role::built_in().into_iter().map(|role| (role, Some(2))).collect();
        let shown = page(&signed(), &Roles { rows, keeps: true, outcome: Outcome::default() });
        for part in
            ["read, publish", "everything", "built in", "Granted to", "name=\"may.deploy\"", "Deploy, roll back"]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let admin = Role::built_in().remove(0);
        let matter =
            RolePageData { role: admin, seen: String::new(), holders: None, keeps: true, outcome: Outcome::default() };
        let shown = one(&signed(), &matter);
        assert!(shown.contains("cannot be changed") && !shown.contains("action=\"/ui/access"), "{shown}");
        let own = Role {
            name: "on-call".to_owned(),
            permissions: [Permission::Deploy].into(),
            description: "<b>\u{202e}".to_owned(),
            built_in: false,
        };
        let shown = one(
            &signed(),
            &RolePageData { role: own, seen: "5ee".to_owned(), holders: Some(vec!["ann<i>".to_owned()]), ..matter },
        );
        for part in [
            "&lt;b&gt;<span class=\"odd\">",
            "name=\"may.deploy\" value=\"yes\" checked",
            "value=\"5ee\"",
            "value=\"remove\"",
            "ann&lt;i&gt;",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("name=\"may.read\" value=\"yes\" checked"), "{shown}");
    }
}
