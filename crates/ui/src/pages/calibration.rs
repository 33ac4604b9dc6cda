//! The judges of a suite on its page: how far they agree with people, and which of them people have not checked.

use maud::{Markup, html};

use crate::format::{Escaped, grouped};
use crate::model::calibration::{Calibration, Judge};
use crate::model::suite::Suite;

/// Judges without labels that the page shows.
const JUDGES_SHOWN_MAX: usize = 50;

/// The judges of a suite, and how far they agree with people; nothing if there are none.
pub(super) fn judges(suite: &Suite, checked: &[Calibration]) -> Markup {
    let unchecked = unchecked(suite, checked);
    if checked.is_empty() && unchecked.is_empty() {
        return html! {};
    }
    let named = |judge: &Judge| {
        html! {
            th scope="row" {
                code { (Escaped(&judge.scorer)) }
                @if let Some(model) = &judge.model { " by " (Escaped(&model.to_string())) }
                @if let Some(metric) = &judge.metric { " " span.quiet { (Escaped(metric)) } }
            }
        }
    };
    html! {
        section aria-labelledby="calibration" {
            h2 #calibration { "Judges and people" }
            p.quiet {
                "People say on the page of a run whether a judged answer passes. Cohen’s kappa is the agreement beyond "
                "chance: 1 is perfect, 0 is chance."
            }
            table.list.cards {
                thead { tr {
                    th scope="col" { "Judge" } th scope="col" { "Labels" } th scope="col" { "Agreement" }
                    th scope="col" { "Kappa" } th scope="col" { span.hidden { "Remark" } }
                } }
                tbody {
                    @for judge in &unchecked {
                        tr {
                            (named(judge))
                            td data-label="Labels" { "0" }
                            td data-label="Agreement" { "–" }
                            td data-label="Kappa" { "–" }
                            td.words { span.tag.wait { "not checked by people yet" } }
                        }
                    }
                    @for Calibration { judge, labels, agreement, kappa, warning } in checked {
                    tr {
                        (named(judge))
                        td data-label="Labels" { (grouped(*labels)) }
                        td data-label="Agreement" { (format!("{:.0}%", agreement * 100.0)) }
                        td data-label="Kappa" {
                            @match kappa { Some(kappa) => b { (format!("{kappa:.2}")) }, None => "–" }
                        }
                        td.words { @if let Some(warning) = warning { span.tag.wait { (warning) } } }
                    }
                } }
            }
        }
    }
}

/// The judges of a suite whose answers have no labels of people.
fn unchecked(suite: &Suite, checked: &[Calibration]) -> Vec<Judge> {
    let scorers = suite.scorers.iter().chain(suite.cases.iter().flat_map(|case| &case.scorers));
    let mut judges = Vec::new();
    for scorer in scorers.filter(|scorer| scorer.check.kind.is_judge()) {
        let judge =
            Judge { scorer: scorer.check.to_string(), model: scorer.model.clone(), metric: scorer.metric.clone() };
        let is_known = judges.contains(&judge) || checked.iter().any(|checked| checked.judge == judge);
        if !is_known && judges.len() < JUDGES_SHOWN_MAX {
            judges.push(judge);
        }
    }
    judges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_without_labels_are_listed_as_not_checked() {
        let suite = |scorer: &str| -> Suite {
            let text = format!(r#"{{"scorers": [{scorer}], "cases": [{{"name": "a"}}]}}"#);
            serde_json::from_str(&text).expect("a suite")
        };
        let judged = suite(r#"{"type": "llm-rubric", "value": "is kind", "model": "local:judge", "metric": "tone"}"#);
        let html = judges(&judged, &[]).into_string();
        assert!(html.contains("not checked by people yet") && html.contains("local:judge"), "{html}");
        assert_eq!(judges(&suite(r#"{"type": "equals", "value": "1"}"#), &[]).into_string(), "");
    }
}
