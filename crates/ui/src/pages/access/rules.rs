//! Risk rules: the list of rule sets, and the detail page.

use maud::{Markup, html};

use super::{Tab, behind_a_click, below, name_input, on_demand, rules_path, side_by_side};
use crate::api::govern::RuleSetView;
use crate::form::{FormValues, Outcome, begin, hidden};
use crate::format::Escaped;
use crate::layout::Frame;
use crate::model::count::count;

/// The name of the rules that this program comes with, which nobody can change.
const BUILT_IN: &str = "built-in";

/// An example rule.
const EXAMPLE: &str = "[[rule]]\nid = \"house.loan\"\nversion = 1\ndescription = \"Offers a loan.\"\ncategory = \"financial\"\nseverity = \"high\"\nkeywords = [\"loan\"]\nregex = '(?i)\\bloan\\b'\ntest_pos = [\"Take a loan today\"]\ntest_neg = [\"We are alone\"]\n";

/// The contents of the list.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Every rule set, built-in ones first.
    pub rows: Vec<RuleSetView>,
    /// Whether the visitor can change them.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// The contents of the detail page.
#[derive(Clone, Debug)]
pub struct RulesPageData {
    /// The set, with its rules.
    pub set: RuleSetView,
    /// A hash of it, to detect changes.
    pub seen: String,
    /// Whether the visitor can change it.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the list.
pub fn page(frame: &Frame, matter: &Rules) -> String {
    let form = frame.form().filter(|_| matter.keeps);
    let list = html! {
        @if let Some(form) = form { (on_demand("New rule set", &matter.outcome, "create", &new(matter, form))) }
        table.list.cards {
            thead { tr { th scope="col" { "Rule set" } th scope="col" { "Rules" } } }
            tbody { @for set in &matter.rows { tr {
                th scope="row" {
                    a.name href=(rules_path(&set.name)) { (Escaped(&set.name)) }
                    @if set.name == BUILT_IN { " " span.tag { "read-only" } }
                }
                td data-label="Rules" { (set.rules) }
            } } }
        }
    };
    side_by_side(frame, Tab::Rules, "Patterns checked in every published version", &matter.outcome, &list)
}

fn new(matter: &Rules, form: &str) -> Markup {
    let typed = matter.outcome.of("create");
    html! {
        form.stack method="post" action=(Tab::Rules.path()) {
            (begin(form, "create"))
            label for="rules-name" { "Name" }
            (name_input("rules-name", &typed))
            (text(&typed, EXAMPLE))
            label.check {
                input type="checkbox" name="gitleaks" value="yes" checked[typed.ticked("gitleaks")];
                span { "This is a gitleaks configuration" }
            }
            button.primary type="submit" { "Create" }
        }
    }
}

/// Renders the detail page.
pub fn one(frame: &Frame, matter: &RulesPageData) -> String {
    let set = &matter.set;
    let toml = set.toml.as_deref().unwrap_or_default();
    let main = html! {
        div.head {
            h1 { (Escaped(&set.name)) } p.quiet { (count(set.rules, "rule")) }
        }
        (matter.outcome.note())
        @match frame.form().filter(|_| matter.keeps && set.name != BUILT_IN) {
            Some(form) => {
                form.desk.stack method="post" action=(rules_path(&set.name)) {
                    (begin(form, "save"))
                    (hidden("seen", &matter.seen))
                    (text(&matter.outcome.of("save"), toml))
                    button.primary type="submit" { "Save" }
                    p.quiet { "Applies to versions published from now on." }
                }
                (behind_a_click(
                    &rules_path(&set.name),
                    form,
                    "remove",
                    "Remove",
                    "Existing findings are kept; new versions are no longer checked by this set.",
                ))
            },
            None => pre tabindex="0" { code { (Escaped(toml)) } },
        }
    };
    below(frame, Tab::Rules, &set.name, &matter.outcome, main)
}

fn text(typed: &FormValues, otherwise: &str) -> Markup {
    let shown = if typed.get("toml").is_empty() { otherwise } else { typed.get("toml") };
    html! {
        label for="rules-toml" {
            "Rules " span.quiet { "(TOML; each rule with a text it must match and one it must not)" }
        }
        textarea #rules-toml name="toml" rows="16" required spellcheck="false" { "\n" (shown) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn rule_sets_are_visible_to_all_and_editable_with_permission() {
        let set = RuleSetView {
            name: "house".to_owned(),
            rules: 1,
            toml: Some("</textarea><b>".to_owned()),
            skipped: Vec::new(),
        };
        let signed = || sample(Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() });
        let list = |keeps| page(&signed(), &Rules { rows: vec![set.clone()], keeps, outcome: Outcome::default() });
        assert!(list(true).contains("house.loan") && list(true).contains("/ui/access/rules/house"), "{}", list(true));
        assert!(!list(false).contains("<textarea"));
        let shown = |keeps| {
            one(
                &signed(),
                &RulesPageData { set: set.clone(), seen: "s".to_owned(), keeps, outcome: Outcome::default() },
            )
        };
        assert!(shown(true).contains("\n&lt;/textarea&gt;&lt;b&gt;</textarea>"), "{}", shown(true));
        assert!(!shown(false).contains("<textarea") && shown(false).contains("&lt;b&gt;"), "{}", shown(false));
    }
}
