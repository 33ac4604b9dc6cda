//! The pages about access: principals, permissions, and explanations.

pub mod archive;
pub mod people;
pub mod person;
pub mod policies;
pub mod policy;
pub mod roles;
pub mod rules;
pub mod token;
pub mod tokens;
pub mod webhooks;
pub mod why;

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::form::{FormValues, Outcome, WHICH, begin};
use crate::format::{Escaped, plain};
use crate::layout::{Frame, Page, Part, query};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission};

/// Characters that are not encoded in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Rows per page of a list.
pub const ROWS: usize = 100;
/// Longest name, in bytes.
const NAME_MAX: &str = "64";
/// The validation pattern of names, for browsers.
const NAME: &str = "[a-z0-9._@\\-]{1,64}";
/// Longest pattern, in bytes.
pub(super) const PATTERN_MAX: &str = "200";

/// The tabs of the access pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    People,
    Tokens,
    Roles,
    Policies,
    Rules,
    Webhooks,
    Archive,
    Why,
}

impl Tab {
    const ALL: [Self; 8] = [
        Self::People,
        Self::Tokens,
        Self::Roles,
        Self::Policies,
        Self::Rules,
        Self::Webhooks,
        Self::Archive,
        Self::Why,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::People => "People and services",
            Self::Tokens => "Access tokens",
            Self::Roles => "Roles",
            Self::Policies => "Label policies",
            Self::Rules => "Risk rules",
            Self::Webhooks => "Webhooks",
            Self::Archive => "Archive",
            Self::Why => "Check access",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::People => "/ui/access",
            Self::Tokens => "/ui/access/tokens",
            Self::Roles => "/ui/access/roles",
            Self::Policies => "/ui/access/policies",
            Self::Rules => "/ui/access/rules",
            Self::Webhooks => "/ui/access/webhooks",
            Self::Archive => "/ui/access/archive",
            Self::Why => "/ui/access/why",
        }
    }

    /// The path of a tab.
    fn path_of(self, name: &str) -> String {
        format!("{}/{}", self.path(), utf8_percent_encode(name, SEGMENT))
    }

    /// Whether it is only for those who can manage access.
    const fn is_for_keepers(self) -> bool {
        matches!(self, Self::People | Self::Tokens | Self::Webhooks)
    }
}

/// Renders a tab.
fn side_by_side(frame: &Frame, tab: Tab, about: &str, outcome: &Outcome, matter: &Markup) -> String {
    let keeper = frame.access == Some(Tab::People.path());
    let main = html! {
        div.head { h1 { (tab.title()) } p.quiet { (about) } }
        nav.tabs aria-label="Settings" {
            @for one in Tab::ALL.into_iter().filter(|one| keeper || *one == tab || !one.is_for_keepers()) {
                a href=(one.path()) aria-current=[(one == tab).then_some("page")] { (one.title()) }
            }
        }
        (outcome.note())
        (matter)
    };
    frame.page_of(Part::Access, &Page { title: tab.title(), above: &[], done: outcome.done, searches: false, main })
}

/// Renders a page below a tab.
fn below(frame: &Frame, tab: Tab, title: &str, outcome: &Outcome, main: Markup) -> String {
    let above =
        [("Settings", frame.access.unwrap_or("/ui/access/why").to_owned()), (tab.title(), tab.path().to_owned())];
    let from = if tab == Tab::People { above.len() - 1 } else { 0 };
    let above = above.get(from..).unwrap_or_default();
    frame.page_of(Part::Access, &Page { title, above, done: outcome.done, searches: false, main })
}

/// The path of an access token's page.
pub fn token_path(name: &str) -> String {
    Tab::Tokens.path_of(name)
}

/// The path of a role's page.
pub fn role_path(name: &str) -> String {
    Tab::Roles.path_of(name)
}

/// The path of a policy's page.
pub fn policy_path(name: &str) -> String {
    Tab::Policies.path_of(name)
}

/// The path of a rule set's page.
pub fn rules_path(name: &str) -> String {
    Tab::Rules.path_of(name)
}

/// The path of a webhook's page.
pub fn webhook_path(name: &str) -> String {
    Tab::Webhooks.path_of(name)
}

/// The path of the page that explains a permission.
pub fn why_path(who: &str, permission: &str, prompt: &str, label: &str) -> String {
    let asked = [("who", who), ("permission", permission), ("prompt", prompt), ("label", label)];
    format!("{}{}", Tab::Why.path(), query(&asked))
}

/// The path of the explanation of a grant; for its exact place if it names one.
fn why_of(who: &str, grant: &Grant, gives: &std::collections::BTreeSet<Permission>) -> String {
    let one = |pattern: &Pattern| Some(pattern.as_str().to_owned()).filter(|text| !text.contains('*'));
    let telling = [Permission::Deploy, Permission::Review, Permission::Publish];
    let permission = telling.into_iter().find(|one| gives.contains(one)).or_else(|| gives.first().copied());
    let (prompt, label) = (one(&grant.prompts), one(&grant.labels).unwrap_or_default());
    match permission.filter(|_| prompt.is_some() || grant.prompts.is_everything()) {
        Some(permission) => why_path(who, permission.as_str(), &prompt.unwrap_or_default(), &label),
        None => why_path(who, "", "", ""),
    }
}

/// A grant for display.
fn grant_words(grant: &Grant) -> Markup {
    html! {
        a href=(role_path(&grant.role)) { (Escaped(&grant.role)) }
        @if grant.prompts.is_everything() { " everywhere" } @else { " on " code { (Escaped(grant.prompts.as_str())) } }
        @if !grant.labels.is_everything() { " for labels " code { (Escaped(grant.labels.as_str())) } }
    }
}

/// The fields of a grant; `id` distinguishes several forms.
fn grant_fields(id: &str, roles: &[String], typed: &FormValues, required: bool) -> Markup {
    html! {
        label for={ (id) "-role" } { "Role" }
        select id={ (id) "-role" } name="role" required[required] {
            option value="" { (if required { "Choose one" } else { "None" }) }
            @for role in roles { option value=(plain(role)) selected[role == typed.get("role")] { (Escaped(role)) } }
        }
        label for={ (id) "-prompts" } { "Prompts " span.quiet { "(leave empty for all; e.g. support/**)" } }
        input id={ (id) "-prompts" } name="prompts" value=(plain(typed.get("prompts"))) maxlength=(PATTERN_MAX)
            autocomplete="off" spellcheck="false";
        label for={ (id) "-labels" } { "Labels " span.quiet { "(leave empty for all; for deploying and reviewing)" } }
        input id={ (id) "-labels" } name="labels" value=(plain(typed.get("labels"))) maxlength=(PATTERN_MAX)
            autocomplete="off" spellcheck="false";
    }
}

/// The fields of a new access token, except its principal.
fn token_fields(id: &str, typed: &FormValues) -> Markup {
    let days = if typed.get("name").is_empty() { "90" } else { typed.get("days") };
    html! {
        label for={ (id) "-name" } { "Token name " span.quiet { "(e.g. ann-laptop)" } }
        (name_input(&format!("{id}-name"), typed))
        label for={ (id) "-days" } { "Expires in (days) " span.quiet { "(leave empty for no expiry)" } }
        input id={ (id) "-days" } name="days" type="number" min="1" max="3660" value=(plain(days));
        label for={ (id) "-bound" } { "Limit to prompts " span.quiet { "(optional)" } }
        input id={ (id) "-bound" } name="bound" value=(plain(typed.get("bound"))) maxlength=(PATTERN_MAX)
            autocomplete="off" spellcheck="false";
    }
}

/// The filter field of a list, and its pagination.
fn finder(path: &str, sought: &str) -> Markup {
    html! {
        form.filters action=(path) {
            label {
                span { "Name contains" }
                input type="search" name="q" value=(plain(sought)) maxlength=(NAME_MAX) spellcheck="false";
            }
            button type="submit" { "Filter" }
            @if !sought.is_empty() { a.clear href=(path) { "Clear" } }
        }
    }
}

fn further(path: &str, sought: &str, next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            nav.pages aria-label="Pages" {
                a.button rel="next" href={ (path) (query(&[("q", sought), ("after", next)])) } { "Next" }
            }
        }
    }
}

/// The name field of a form that creates something.
pub(super) fn name_input(id: &str, typed: &FormValues) -> Markup {
    html! {
        input id=(id) name="name" value=(plain(typed.get("name"))) required maxlength=(NAME_MAX) pattern=(NAME)
            autocomplete="off" spellcheck="false";
    }
}

/// A form that opens on demand; open after an error.
pub(super) fn on_demand(heading: &str, outcome: &Outcome, which: &str, form: &Markup) -> Markup {
    html! {
        details.act.new open[outcome.refused.is_some() && outcome.typed.get(WHICH) == which] {
            summary { (heading) }
            div.desk { (form) }
        }
    }
}

/// A button with a second confirming click, and an explanation.
pub(super) fn behind_a_click(action: &str, form: &str, which: &str, button: &str, means: &str) -> Markup {
    html! {
        details.act {
            summary { (button) " …" }
            form.stack method="post" action=(action) {
                (begin(form, which))
                p.quiet { (Escaped(means)) }
                button.danger type="submit" { (button) }
            }
        }
    }
}
