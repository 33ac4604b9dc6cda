//! Alerts: their states and values, the firing ones first, and the page of one.

use maud::{Markup, html};

use super::access::{PATTERN_MAX, behind_a_click, name_input, on_demand};
use crate::api::alerts::AlertView;
use crate::form::{FormValues, Outcome, begin, hidden};
use crate::format::{Escaped, plain, when};
use crate::governance::alert::period;
use crate::layout::{Frame, Page, Part, alert_path, command, empty};
use crate::model::alert::{AlertMetric, AlertState, AlertUnit, MIN_CALLS_DEFAULT};
use crate::typed::alert::fields as typed_fields;

/// The URL of the list.
const LIST: &str = "/ui/alerts";
/// The period of a new alert.
const LIKELY_PERIOD: &str = "1d";

/// The contents of the list.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// Those that the visitor can see.
    pub rows: Vec<AlertView>,
    /// Whether the visitor can change them.
    pub manages: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// The contents of the page of one.
#[derive(Clone, Debug)]
pub struct AlertPageData {
    /// The alert.
    pub alert: AlertView,
    /// A hash of what it watches, to detect changes by others.
    pub seen: String,
    /// Whether the visitor can change it.
    pub manages: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the list.
pub fn page(frame: &Frame, matter: &Alerts) -> String {
    let mut sorted: Vec<&AlertView> = matter.rows.iter().collect();
    sorted.sort_by(|one, other| other.state.cmp(&one.state).then_with(|| one.name.cmp(&other.name)));
    let form = frame.form().filter(|_| matter.manages);
    let main = html! {
        div.head { h1 { "Alerts" } p.quiet { "Limits on spend, errors, latency and unattributed calls" } }
        (matter.outcome.note())
        @if let Some(form) = form { (on_demand("New alert", &matter.outcome, "save", &new(matter, form))) }
        @if matter.rows.is_empty() {
            (empty("No alerts", "An alert fires while a value is over its limit, and webhooks are told."))
            @if form.is_none() {
                (command("bookholder alert set support-spend --prompt 'support/**' --spend-over 20 --per 1d"))
            }
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
    let done = matter.outcome.done;
    frame.page_of(Part::Usage, &Page { title: "Alerts", above: &above, done, searches: false, main })
}

fn row(frame: &Frame, alert: &AlertView) -> Markup {
    html! {
        tr {
            th scope="row" { a.name href=(alert_path(&alert.name)) { (Escaped(&alert.name)) } }
            td data-label="State" { (state(alert.state)) }
            td data-label="Since" { (when(alert.since, frame.now)) }
            td data-label="Value" { (Escaped(&alert.summary)) }
        }
    }
}

fn state(state: AlertState) -> Markup {
    let class = match state {
        AlertState::Firing => "high",
        AlertState::Ok => "live",
        AlertState::Unknown => "wait",
    };
    html! { span.tag.(class) { (state.as_str()) } }
}

fn new(matter: &Alerts, form: &str) -> Markup {
    let typed = matter.outcome.of("save");
    html! {
        form.stack method="post" action=(LIST) {
            (begin(form, "save"))
            label for="alert-name" { "Name" }
            (name_input("alert-name", &typed))
            (fields(&typed))
            button.primary type="submit" { "Create" }
        }
    }
}

/// Renders the page of one.
pub fn one(frame: &Frame, matter: &AlertPageData) -> String {
    let alert = &matter.alert;
    let rule = &alert.rule;
    let main = html! {
        div.head { h1 { (Escaped(&alert.name)) } p.quiet { "Metric: " (rule.metric.words()) } }
        (matter.outcome.note())
        div.columns {
            section {
                dl.pairs {
                    dt { "State" } dd { (state(alert.state)) " since " (when(alert.since, frame.now)) }
                    dt { "Value" } dd { (Escaped(&alert.summary)) }
                    dt { "Limit" } dd { (alert.unit.text(rule.threshold)) " in " (period(rule.per_s)) }
                    dt { "Prompts" }
                    dd {
                        @if rule.prompts.is_everything() {
                            "all"
                        } @else {
                            code { (Escaped(rule.prompts.as_str())) }
                        }
                        @if rule.each_prompt { ", each separately" }
                    }
                    @if rule.metric != AlertMetric::Spend { dt { "Calls" } dd { "at least " (rule.min_calls) } }
                    dt { "Created" } dd { (when(alert.created, frame.now)) }
                }
            }
            @if let Some(form) = frame.form().filter(|_| matter.manages) {
                aside aria-label="Change" { (desk(matter, form)) }
            }
        }
    };
    let above = [("Usage", "/ui/usage".to_owned()), ("Alerts", LIST.to_owned())];
    let done = matter.outcome.done;
    frame.page_of(Part::Usage, &Page { title: &alert.name, above: &above, done, searches: false, main })
}

fn desk(matter: &AlertPageData, form: &str) -> Markup {
    let path = alert_path(&matter.alert.name);
    let sent = matter.outcome.of("save");
    let is_sent = sent != FormValues::default();
    let typed = if is_sent { sent } else { typed_fields(&matter.alert.rule) };
    html! {
        div.desk {
            details.act open[is_sent] {
                summary { "Change …" }
                form.stack method="post" action=(path) {
                    (begin(form, "save"))
                    (hidden("seen", &matter.seen))
                    (fields(&typed))
                    button.primary type="submit" { "Save" }
                }
            }
            (behind_a_click(
                &path,
                form,
                "remove",
                "Remove",
                "Its value is no longer read. Webhooks get no event, even if it is firing.",
            ))
        }
    }
}

fn fields(typed: &FormValues) -> Markup {
    let or = |name, likely: &str| {
        let text = typed.get(name);
        plain(if text.is_empty() { likely } else { text })
    };
    html! {
        label for="alert-metric" { "Value" }
        select #alert-metric name="metric" {
            @for metric in AlertMetric::ALL {
                option value=(metric.as_str()) selected[typed.get("metric") == metric.as_str()] {
                    (metric.words()) " (" (unit(metric)) ")"
                }
            }
        }
        label for="alert-limit" { "Limit " span.quiet { "(fires while the value is above it)" } }
        input #alert-limit name="limit" value=(plain(typed.get("limit"))) inputmode="decimal" required maxlength="32"
            autocomplete="off";
        label for="alert-per" { "Period " span.quiet { "(up to now, e.g. 1h or 7d)" } }
        input #alert-per name="per" value=(or("per", LIKELY_PERIOD)) required maxlength="16" autocomplete="off"
            spellcheck="false";
        label for="alert-prompts" { "Prompts " span.quiet { "(leave empty for all; e.g. support/**)" } }
        input #alert-prompts name="prompts" value=(plain(typed.get("prompts"))) maxlength=(PATTERN_MAX)
            autocomplete="off" spellcheck="false";
        label.check {
            input type="checkbox" name="each" value="yes" checked[typed.ticked("each")];
            span { "Apply the limit to each prompt separately" }
        }
        label for="alert-calls" { "Minimum calls " span.quiet { "(with fewer, the value is unknown; not for spend)" } }
        input #alert-calls name="min_calls" type="number" min="1"
            value=(or("min_calls", &MIN_CALLS_DEFAULT.to_string())) required;
    }
}

/// The unit in which a limit is typed.
const fn unit(metric: AlertMetric) -> &'static str {
    match metric.unit() {
        AlertUnit::Usd => "US dollars",
        AlertUnit::Share => "percent",
        AlertUnit::Ms => "milliseconds",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn alert(name: &str, state: &str) -> AlertView {
        serde_json::from_value(json!({
            "name": name, "unit": "share", "created": "2026-03-01T00:00:00Z", "since": "2026-03-02T00:00:00Z",
            "state": state, "summary": "error rate of a<b> in 1 day: 7% (limit 5%)",
            "rule": {"metric": "error_rate", "threshold": 0.05, "prompts": "a<b>", "per_s": 86400, "min_calls": 20},
        }))
        .expect("an alert")
    }

    fn signed() -> Who {
        Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() }
    }

    fn all(rows: Vec<AlertView>, manages: bool) -> Alerts {
        Alerts { rows, manages, outcome: Outcome::default() }
    }

    #[test]
    fn firing_alerts_come_first_and_texts_of_others_are_escaped() {
        let rows = vec![alert("calm", "ok"), alert("spend", "firing"), alert("few", "unknown")];
        let html = page(&sample(Who::Local), &all(rows, false));
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} in {html}"));
        assert!(at(">spend<") < at(">calm<") && at(">calm<") < at(">few<"), "{html}");
        assert!(html.contains("error rate of a&lt;b&gt; in 1 day: 7%") && !html.contains("a<b>"), "{html}");
    }

    #[test]
    fn page_without_alerts_says_how_to_create_one() {
        assert!(page(&sample(Who::Local), &all(Vec::new(), false)).contains("bookholder alert set"));
        let html = page(&sample(signed()), &all(Vec::new(), true));
        assert!(html.contains("New alert") && !html.contains("bookholder alert set"), "{html}");
    }

    #[test]
    fn forms_are_for_those_who_manage_alerts_and_show_what_is_set() {
        let matter = |manages| AlertPageData {
            alert: alert("errors", "ok"),
            seen: "5ee".to_owned(),
            manages,
            outcome: Outcome::default(),
        };
        let html = one(&sample(signed()), &matter(true));
        for part in [
            "name=\"seen\" value=\"5ee\"",
            "value=\"error_rate\" selected",
            "name=\"limit\" value=\"5\"",
            "name=\"per\" value=\"1d\"",
            "name=\"prompts\" value=\"a&lt;b&gt;\"",
            "value=\"remove\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        for (who, manages) in [(signed(), false), (Who::Local, true)] {
            let html = one(&sample(who.clone()), &matter(manages));
            assert!(!html.contains("<form class=\"stack\"") && html.contains("5% in 1 day"), "{html}");
            let html = page(&sample(who), &all(vec![alert("errors", "ok")], manages));
            assert!(!html.contains("New alert") && html.contains("/ui/alerts/errors"), "{html}");
        }
    }
}
