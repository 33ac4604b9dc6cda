//! The rulebook: roles, principals and policies, and the one decision of every command.

use std::collections::BTreeMap;

use super::label_policy::LabelPolicy;
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission, Principal, PrincipalKind, Role};
use crate::model::verdict::Verdict;

/// The operator at the machine: the folder watch, and commands on a stopped registry.
pub const OPERATOR: &str = "operator";
/// The automation that every node has: what it does on a schedule.
pub const ITSELF: &str = "bookholder";
/// The role of that automation.
pub const ARCHIVER: &str = "archiver";
/// The role with every permission.
pub const ADMIN: &str = "admin";

/// All inputs of decisions, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    /// Roles by name, including built-in ones.
    pub roles: BTreeMap<String, Role>,
    /// Principals by name.
    pub principals: BTreeMap<String, Principal>,
    /// Label policies, by name.
    pub policies: BTreeMap<String, LabelPolicy>,
}

/// A question: who wants to do what, and to what.
#[derive(Clone, Copy, Debug)]
pub struct AccessQuery<'a> {
    /// The name of the principal.
    pub who: &'a str,
    /// What the actor is; absent where the question is about a principal of any kind.
    pub kind: Option<PrincipalKind>,
    /// The prompts that the access token is limited to, if any.
    pub bound: Option<&'a Pattern>,
    /// What.
    pub permission: Permission,
    /// The prompt; absent if it concerns the whole registry.
    pub prompt: Option<&'a str>,
    /// The label, if it matters.
    pub label: Option<&'a str>,
}

impl<'a> AccessQuery<'a> {
    /// An action of a principal on one label, with any access token.
    #[must_use]
    pub const fn on_label(who: &'a str, permission: Permission, prompt: &'a str, label: &'a str) -> Self {
        Self { who, kind: None, bound: None, permission, prompt: Some(prompt), label: Some(label) }
    }
}

/// How far a grant covers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Completely.
    Gives,
    /// Its role no longer exists.
    NoRole,
    /// Its role allows something else.
    OtherPermission,
    /// It is for other prompts.
    OtherPrompts,
    /// It is for some prompts, but the question is about the whole registry.
    SomePrompts,
    /// It is for other labels.
    OtherLabels,
}

impl Rulebook {
    /// Decides whether a principal has a permission.
    pub fn decide(&self, ask: &AccessQuery<'_>) -> Verdict {
        let what = describe(ask);
        let deny = |reason: String| Verdict { allowed: false, reason, roles: self.roles_with(ask.permission) };
        if let Some(bound) = ask.bound
            && !ask.prompt.is_some_and(|prompt| bound.matches(prompt))
        {
            return deny(format!("this access token is limited to {bound} and does not cover {what}"));
        }
        if ask.kind == Some(PrincipalKind::System) {
            let reason = format!("`{}` is the operator of this machine", ask.who);
            return Verdict { allowed: true, reason, roles: Vec::new() };
        }
        let Some(principal) = self.principal(ask) else {
            let what = if ask.kind == Some(PrincipalKind::Automation) { "automation" } else { "principal" };
            return deny(format!("there is no {what} `{}`", ask.who));
        };
        if principal.disabled.is_some() {
            return deny(format!("`{}` is disabled", ask.who));
        }
        match self.grants(principal, ask).next() {
            Some(grant) => Verdict { allowed: true, reason: format!("grant {grant}"), roles: Vec::new() },
            None => deny(format!("`{}` is not granted {what}", ask.who)),
        }
    }

    /// The roles that give a principal a permission, sorted.
    pub fn roles_of(&self, ask: &AccessQuery<'_>) -> Vec<String> {
        if ask.kind == Some(PrincipalKind::System) {
            return vec![ADMIN.to_owned()];
        }
        let Some(principal) = self.principal(ask).filter(|principal| principal.disabled.is_none()) else {
            return Vec::new();
        };
        let mut roles: Vec<String> = self.grants(principal, ask).map(|grant| grant.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }

    /// All principals with a permission, sorted.
    pub fn principals_allowed(&self, permission: Permission, prompt: &str, label: &str) -> Vec<(String, Vec<String>)> {
        let of = |name: &String| {
            let ask = AccessQuery::on_label(name, permission, prompt, label);
            Some((name.clone(), self.roles_of(&ask))).filter(|(_, roles)| !roles.is_empty())
        };
        self.principals.keys().filter_map(of).collect()
    }

    /// The principal that a question is about. No one acts with the grants of an automation, and no automation with
    /// those of others.
    fn principal(&self, ask: &AccessQuery<'_>) -> Option<&Principal> {
        let automation = |kind| kind == PrincipalKind::Automation;
        let fits = |one: &&Principal| ask.kind.is_none_or(|kind| automation(kind) == automation(one.kind));
        self.principals.get(ask.who).filter(fits)
    }

    /// The patterns of prompts that a principal can read.
    pub fn readable(&self, who: &str) -> Vec<Pattern> {
        let Some(principal) = self.principals.get(who).filter(|principal| principal.disabled.is_none()) else {
            return Vec::new();
        };
        let reads = |grant: &&Grant| {
            self.roles.get(&grant.role).is_some_and(|role| role.permissions.contains(&Permission::Read))
        };
        principal.grants.iter().filter(reads).map(|grant| grant.prompts.clone()).collect()
    }

    /// The policies of one label of one prompt, by name.
    pub fn policies_of<'a>(&'a self, prompt: &'a str, label: &'a str) -> impl Iterator<Item = &'a LabelPolicy> {
        self.policies.values().filter(move |policy| policy.fits(prompt, label))
    }

    fn roles_with(&self, permission: Permission) -> Vec<String> {
        let holds = |role: &&Role| role.permissions.contains(&permission);
        self.roles.values().filter(holds).map(|role| role.name.clone()).collect()
    }

    fn grants<'a>(&'a self, principal: &'a Principal, ask: &'a AccessQuery<'_>) -> impl Iterator<Item = &'a Grant> {
        principal.grants.iter().filter(move |grant| self.evaluate_grant(grant, ask) == Weight::Gives)
    }

    /// How far a grant covers a question: the decision, in a form that can be explained.
    pub fn evaluate_grant(&self, grant: &Grant, ask: &AccessQuery<'_>) -> Weight {
        let Some(role) = self.roles.get(&grant.role) else { return Weight::NoRole };
        if !role.permissions.contains(&ask.permission) {
            return Weight::OtherPermission;
        }
        match ask.prompt {
            Some(prompt) if !grant.prompts.matches(prompt) => return Weight::OtherPrompts,
            None if !grant.prompts.is_everything() => return Weight::SomePrompts,
            Some(_) | None => {}
        }
        if ask.label.is_none_or(|label| grant.labels.matches(label)) { Weight::Gives } else { Weight::OtherLabels }
    }
}

fn describe(ask: &AccessQuery<'_>) -> String {
    match (ask.prompt, ask.label) {
        (Some(prompt), Some(label)) => format!("`{}` on {prompt}@{label}", ask.permission),
        (Some(prompt), None) => format!("`{}` on {prompt}", ask.permission),
        (None, _) => format!("`{}` for the whole registry", ask.permission),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn book(grants: &[(&str, &str, &str)]) -> Rulebook {
        let grant = |(role, prompts, labels): &(&str, &str, &str)| Grant {
            role: (*role).to_owned(),
            prompts: prompts.parse().expect("a pattern"),
            labels: labels.parse().expect("a pattern"),
        };
        let principal = Principal {
            name: "ann".to_owned(),
            kind: PrincipalKind::Person,
            created: Timestamp::from_ms(0),
            grants: grants.iter().map(grant).collect(),
            disabled: None,
        };
        Rulebook {
            roles: Role::built_in().into_iter().map(|role| (role.name.clone(), role)).collect(),
            principals: [("ann".to_owned(), principal)].into(),
            policies: BTreeMap::new(),
        }
    }

    #[test]
    fn grant_gives_a_role_for_matching_prompts_and_labels() {
        let book = book(&[("author", "support/**", "**"), ("releaser", "support/**", "staging")]);
        let check = |permission, prompt, label, expected| {
            let verdict = book.decide(&AccessQuery { who: "ann", kind: None, bound: None, permission, prompt, label });
            assert_eq!(verdict.allowed, expected, "{permission} {prompt:?} {label:?}: {}", verdict.reason);
        };
        check(Permission::Publish, Some("support/agent"), None, true);
        check(Permission::Publish, Some("sales/agent"), None, false);
        check(Permission::Deploy, Some("support/agent"), Some("staging"), true);
        check(Permission::Deploy, Some("support/agent"), Some("production"), false);
        check(Permission::Access, None, None, false);
        check(Permission::Publish, None, None, false);
    }

    #[test]
    fn evaluated_grant_agrees_with_the_decision() {
        let book = book(&[]);
        let check = |grant: (&str, &str, &str), prompt, label, expected| {
            let (role, prompts, labels) = grant;
            let [prompts, labels] = [prompts, labels].map(|text| text.parse().expect("a pattern"));
            let given = Grant { role: role.to_owned(), prompts, labels };
            let permission = Permission::Deploy;
            let ask = AccessQuery { who: "ann", kind: None, bound: None, permission, prompt, label };
            assert_eq!(book.evaluate_grant(&given, &ask), expected, "{grant:?} {prompt:?} {label:?}");
            let mut alone = book.clone();
            alone.principals.get_mut("ann").expect("she").grants = vec![given];
            assert_eq!(alone.decide(&ask).allowed, expected == Weight::Gives, "{grant:?}");
        };
        let (agent, staging) = (Some("support/agent"), Some("staging"));
        check(("releaser", "support/**", "staging"), agent, staging, Weight::Gives);
        check(("gone", "**", "**"), agent, staging, Weight::NoRole);
        check(("author", "**", "**"), agent, staging, Weight::OtherPermission);
        check(("releaser", "sales/**", "**"), agent, staging, Weight::OtherPrompts);
        check(("releaser", "support/**", "**"), None, None, Weight::SomePrompts);
        check(("releaser", "**", "production"), agent, staging, Weight::OtherLabels);
        check(("releaser", "**", "production"), agent, None, Weight::Gives);
    }

    #[test]
    fn verdict_names_the_grant_or_the_roles_that_would_allow_it() {
        let book = book(&[("author", "support/**", "**")]);
        let ask = |permission, bound| AccessQuery {
            who: "ann",
            kind: None,
            bound,
            permission,
            prompt: Some("support/agent"),
            label: Some("production"),
        };
        let verdict = book.decide(&ask(Permission::Publish, None));
        assert_eq!(verdict.reason, "grant author on support/**");
        let verdict = book.decide(&ask(Permission::Deploy, None));
        assert_eq!(verdict.reason, "`ann` is not granted `deploy` on support/agent@production");
        assert_eq!(verdict.roles, ["admin", "releaser"]);
        let bound = "sales/**".parse().expect("a pattern");
        assert!(!book.decide(&ask(Permission::Publish, Some(&bound))).allowed, "bound elsewhere");
        let nobody = book.decide(&AccessQuery { who: "bob", ..ask(Permission::Read, None) });
        assert_eq!(nobody.reason, "there is no principal `bob`");
    }

    #[test]
    fn automation_and_person_do_not_act_with_the_grants_of_each_other() {
        let mut book = book(&[("releaser", "**", "**")]);
        let ask = |kind| AccessQuery { kind: Some(kind), ..AccessQuery::on_label("ann", Permission::Deploy, "a", "b") };
        for kind in PrincipalKind::CREATED {
            book.principals.get_mut("ann").expect("she").kind = kind;
            for asked in PrincipalKind::CREATED {
                let allowed = (kind == PrincipalKind::Automation) == (asked == PrincipalKind::Automation);
                let verdict = book.decide(&ask(asked));
                assert_eq!(verdict.allowed, allowed, "{kind} {asked}: {}", verdict.reason);
                assert_eq!(book.roles_of(&ask(asked)).is_empty(), !allowed, "{kind} {asked}");
            }
        }
    }

    #[test]
    fn disabled_principal_has_no_permission() {
        let mut book = book(&[("admin", "**", "**")]);
        book.principals.get_mut("ann").expect("she").disabled = Some(Timestamp::from_ms(1));
        let ask = AccessQuery {
            who: "ann",
            kind: None,
            bound: None,
            permission: Permission::Access,
            prompt: None,
            label: None,
        };
        assert_eq!(book.decide(&ask).reason, "`ann` is disabled");
        assert!(book.readable("ann").is_empty());
    }
}
