//! Alerts: their states and values, the firing ones first.

use maud::{Markup, html};

use crate::api::alerts::AlertView;
use crate::format::{Escaped, when};
use crate::layout::{Frame, Page, Part, command, empty};
use crate::model::alert::AlertState;

/// Renders the page.
pub fn page(frame: &Frame, alerts: &[AlertView]) -> String {
    let mut sorted: Vec<&AlertView> = alerts.iter().collect();
    sorted.sort_by(|one, other| other.state.cmp(&one.state).then_with(|| one.name.cmp(&other.name)));
    let main = html! {
        div.head { h1 { "Alerts" } p.quiet { "Limits on spend, errors, latency and unattributed calls" } }
        @if alerts.is_empty() {
            (empty("No alerts", "An alert fires while a value is over its limit, and webhooks are told."))
            (command("bookholder alert set support-spend --prompt 'support/**' --spend-over 20 --per 1d"))
        } @else {
            table.list.cards {
                thead { tr {
                    th scope="col" { "Alert" } th scope="col" { "State" } th scope="col" { "Since" }
                    th scope="col" { "Value" }
                } }
                tbody { @for alert in &sorted { (row(frame, alert)) } }
            }
            p.quiet {
                "Values are read twice a minute. A value is unknown while there are too few calls. "
                a href="/ui/usage" { "Usage" }
            }
        }
    };
    let above = [("Usage", "/ui/usage".to_owned())];
    frame.page_of(Part::Usage, &Page { title: "Alerts", above: &above, done: None, searches: false, main })
}

fn row(frame: &Frame, alert: &AlertView) -> Markup {
    let (class, word) = match alert.state {
        AlertState::Firing => ("high", "firing"),
        AlertState::Ok => ("live", "ok"),
        AlertState::Unknown => ("wait", "unknown"),
    };
    html! {
        tr {
            th scope="row" { (Escaped(&alert.name)) }
            td data-label="State" { span.tag.(class) { (word) } }
            td data-label="Since" { (when(alert.since, frame.now)) }
            td data-label="Value" { (Escaped(&alert.summary)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn alert(name: &str, state: &str) -> AlertView {
        serde_json::from_value(json!({
            "name": name, "unit": "usd", "created": "2026-03-01T00:00:00Z", "since": "2026-03-02T00:00:00Z",
            "state": state, "summary": "spend of a<b> in 1 day: $23.40 (limit $20.00)",
            "rule": {"metric": "spend", "threshold": 20.0, "prompts": "a<b>", "per_s": 86400, "min_calls": 20},
        }))
        .expect("an alert")
    }

    #[test]
    fn firing_alerts_come_first_and_texts_of_others_are_escaped() {
        let html = page(&sample(Who::Local), &[alert("calm", "ok"), alert("spend", "firing"), alert("few", "unknown")]);
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} in {html}"));
        assert!(at(">spend<") < at(">calm<") && at(">calm<") < at(">few<"), "{html}");
        assert!(html.contains("spend of a&lt;b&gt; in 1 day: $23.40") && !html.contains("a<b>"), "{html}");
    }

    #[test]
    fn page_without_alerts_says_how_to_create_one() {
        assert!(page(&sample(Who::Local), &[]).contains("bookholder alert set"));
    }
}
