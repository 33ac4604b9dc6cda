//! Label policies: the list, with requirements as sentences.

use maud::{Markup, html};

use super::{Tab, policy_path, side_by_side};
use crate::form::Outcome;
use crate::format::{Escaped, with_code};
use crate::governance::policy_words::{demands, freezes};
use crate::layout::{Frame, empty};
use crate::model::policy::Policy;

/// The path of a new policy.
pub const NEW: &str = "/ui/access/new-policy";

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// All of them, by name.
    pub policies: Vec<Policy>,
    /// Whether the visitor can manage policies.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &Policies) -> String {
    let list = html! {
        @if matter.keeps && frame.form().is_some() { p { a.button href=(NEW) { "New policy" } } }
        @if matter.policies.is_empty() {
            (empty(
                "No policies",
                "Anyone with deploy permission can deploy. Policies add requirements: approvals, soak time, a message \
                 format, freeze windows.",
            ))
        } @else {
            table.list.cards {
                thead {
                    tr {
                        th scope="col" { "Policy" } th scope="col" { "Labels" } th scope="col" { "Prompts" }
                        th scope="col" { "Requirements" }
                    }
                }
                tbody {
                    @for policy in &matter.policies {
                        tr {
                            th scope="row" { a.name href=(policy_path(&policy.name)) { (Escaped(&policy.name)) } }
                            td data-label="Labels" { code { (Escaped(policy.labels.as_str())) } }
                            td data-label="Prompts" { code { (Escaped(policy.prompts.as_str())) } }
                            td data-label="Requirements" { (in_words(policy)) }
                        }
                    }
                }
            }
            p.quiet {
                "All matching policies must be met. Users with the override permission can break glass; it is audited."
            }
        }
    };
    side_by_side(frame, Tab::Policies, "Requirements for deploying to a label", &matter.outcome, &list)
}

/// The requirements of a policy, one per line.
pub(super) fn in_words(policy: &Policy) -> Markup {
    let words: Vec<String> = demands(policy).into_iter().chain(freezes(policy)).collect();
    html! {
        @if words.is_empty() { span.quiet { "No requirements beyond deploy permission." } }
        ul.moves.sentences { @for one in &words { li { (with_code(one)) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn policy_is_described_in_sentences() {
        let policies = serde_json::from_str(
            r#"[{"name":"production","labels":"production","prompts":"support/**","approvals":2,"message":"<b>",
                "freeze":[{"days":["fri"],"from":"16:00","to":"24:00","why":"\u202eweekend"}]},{"name":"free","labels":"x"}]"#,
        )
        .expect("two policies");
        let shown = page(&sample(Who::Local), &Policies { policies, keeps: true, outcome: Outcome::default() });
        for part in [
            "2 approvals",
            "a message that matches <code>&lt;b&gt;</code>",
            "no deployments on fri from 16:00 to 24:00 UTC (<span class=\"odd\">U+202E</span>weekend)",
            "No requirements beyond deploy permission",
            "href=\"/ui/access/policies/production\"",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains(NEW), "who is not signed in sends no forms");
        let none = page(&sample(Who::Local), &Policies::default());
        assert!(none.contains("No policies") && !none.contains("<table"), "{none}");
    }
}
