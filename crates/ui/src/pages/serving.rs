//! What a label serves, as a chart: one version, a split as a bar, rules in order.

use maud::{Markup, html};

use crate::format::{Escaped, plain};
use crate::layout::colour;
use crate::model::count::count;
use crate::model::serving::{SLOTS, Serving, Split, Target};

/// Units of the bar's width, a hundredth of a percent each.
const WIDTH: u16 = SLOTS;

/// A short description: `v7`, `v7 99% + v8 1%`, and the number of rules.
pub(super) fn brief(serving: &Serving) -> Markup {
    html! {
        (target(&serving.default))
        @if !serving.rules.is_empty() {
            span.quiet title=(plain(&serving.to_string())) {
                " +" (count(serving.rules.len(), "rule"))
            }
        }
    }
}

/// The chart; each version is a link if `version` returns a path for it.
pub(super) fn drawn(serving: &Serving, version: &dyn Fn(u64) -> String) -> Markup {
    html! {
        @if !serving.rules.is_empty() {
            ol.rules {
                @for rule in &serving.rules {
                    li {
                        span.when {
                            "if "
                            @for (index, (attribute, pattern)) in rule.when.iter().enumerate() {
                                @if index > 0 { " and " }
                                code { (Escaped(attribute)) } " is " code { (Escaped(pattern)) }
                            }
                        }
                        (target_drawn(&rule.target, version))
                    }
                }
                li { span.when { "else" } (target_drawn(&serving.default, version)) }
            }
        } @else { (target_drawn(&serving.default, version)) }
    }
}

fn target(target: &Target) -> Markup {
    match target {
        Target::Version(number) => html! { b.version { "v" (number) } },
        Target::Split(split) => html! {
            @for (index, (number, slots)) in split.weights().into_iter().enumerate() {
                @if index > 0 { " + " }
                b.version { "v" (number) } " " (share(slots))
            }
        },
    }
}

fn target_drawn(target: &Target, version: &dyn Fn(u64) -> String) -> Markup {
    match target {
        Target::Version(number) => html! { a.version href=(version(*number)) { "v" (number) } },
        Target::Split(split) => bar(split, version),
    }
}

fn bar(split: &Split, version: &dyn Fn(u64) -> String) -> Markup {
    html! {
        div.split {
            svg viewBox={ "0 0 " (WIDTH) " 100" } preserveAspectRatio="none" aria-hidden="true" {
                @for run in &split.slots {
                    rect class=(colour(run.version)) x=(run.from) width=(run.to.saturating_sub(run.from)) height="100" {
                    }
                }
            }
            ul {
                @for (number, slots) in split.weights() {
                    li {
                        svg.key viewBox="0 0 10 10" aria-hidden="true" {
                            rect class=(colour(number)) width="10" height="10" rx="2" {}
                        }
                        a.version href=(version(number)) { "v" (number) } " " (share(slots))
                    }
                }
            }
        }
    }
}

/// A share of slots, for example `0.5%`.
fn share(slots: u16) -> String {
    format!("{}%", f64::from(slots) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_renders_as_a_bar_and_rules_as_an_ordered_list() {
        let json = r#"{"rules":[{"when":{"locale":"<b>*"},"version":8}],"split":{"salt":"s","slots":
            [{"version":7,"from":0,"to":9950},{"version":8,"from":9950,"to":10000}]}}"#;
        let serving: Serving = serde_json::from_str(json).expect("a serving");
        let shown = drawn(&serving, &|number| format!("?version={number}")).0;
        for part in ["&lt;b&gt;*", "x=\"9950\" width=\"50\"", "99.5%", "0.5%", "href=\"?version=8\"", "else"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let short = brief(&serving).0;
        assert!(short.contains("+1 rule") && short.contains("99.5%"), "{short}");
    }
}
