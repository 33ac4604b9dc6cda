//! One label policy: its requirements, and the form.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::policies::{NEW, in_words};
use super::{NAME, NAME_MAX, PATTERN_MAX, Tab, behind_a_click, below, policy_path};
use crate::form::{FormValues, Outcome, begin, hidden};
use crate::format::{Escaped, plain};
use crate::governance::policy_words::{UNITS, in_unit};
use crate::layout::Frame;
use crate::model::finding::{Category, Severity};
use crate::model::policy::{APPROVALS_MAX, Freeze, POLICY_LIST_MAX, Policy, RiskRule, Soak, Weekday};
use crate::model::time::Timestamp;

/// The default roles for approving risk.
const COMPLIANCE: &str = "compliance";

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct PolicyPageData {
    /// The policy; absent for a new one.
    pub policy: Option<Policy>,
    /// A hash of it, to detect changes.
    pub seen: String,
    /// Every role.
    pub roles: Vec<String>,
    /// Whether the visitor can manage policies.
    pub keeps: bool,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &PolicyPageData) -> String {
    let title = matter.policy.as_ref().map_or("New policy", |policy| policy.name.as_str());
    let form = frame.form().filter(|_| matter.keeps);
    let main = html! {
        div.head {
            h1 { (Escaped(title)) }
            @if let Some(policy) = &matter.policy {
                p.quiet {
                    "applies to labels " code { (Escaped(policy.labels.as_str())) } " of prompts "
                    code { (Escaped(policy.prompts.as_str())) }
                }
            }
        }
        (matter.outcome.note())
        @if let Some(policy) = &matter.policy { section { h2 { "Requirements" } (in_words(policy)) } }
        @if let Some(form) = form {
            @match &matter.policy {
                Some(_) => {
                    details.act open[matter.outcome.refused.is_some()] { summary { "Edit" } (editor(matter, form)) }
                },
                None => (editor(matter, form)),
            }
            @if let Some(policy) = &matter.policy {
                (behind_a_click(
                    &policy_path(&policy.name),
                    form,
                    "remove",
                    "Remove",
                    "Its requirements stop applying immediately.",
                ))
            }
        }
    };
    below(frame, Tab::Policies, title, &matter.outcome, main)
}

fn editor(matter: &PolicyPageData, form: &str) -> Markup {
    let sent = matter.outcome.of("save");
    let typed = match &matter.policy {
        Some(policy) if sent == FormValues::default() => typed(policy),
        None if sent == FormValues::default() => blank(),
        _ => sent,
    };
    let path = matter.policy.as_ref().map_or_else(|| NEW.to_owned(), |policy| policy_path(&policy.name));
    // A removed role keeps its checkbox, so that saving does not lose it.
    let mut roles: BTreeSet<&str> = matter.roles.iter().map(String::as_str).collect();
    for list in ["deployer.", "approver.", "risk_approver."] {
        roles.extend(typed.all(list).map(|(role, _)| role));
    }
    html! {
        form.desk.policy method="post" action=(path) {
            (begin(form, "save"))
            (hidden("seen", &matter.seen))
            (place(matter.policy.is_none(), &typed))
            (people(&roles, &typed))
            (conditions(&typed))
            (quiet_times(&typed))
            (risk(&roles, &typed))
            p { button.primary type="submit" { "Save" } " " span.quiet { "Takes effect immediately, for everyone." } }
        }
    }
}

/// A field with label and hint.
fn field(id: &str, name: &str, hint: &str, input: &Markup) -> Markup {
    html! { div.field { label for=(id) { (name) } @if !hint.is_empty() { p.quiet { (hint) } } (input) } }
}

/// A single-line text field.
fn text(typed: &FormValues, id: &str, max: &str, required: bool) -> Markup {
    html! {
        input id=(id) name=(id) value=(plain(typed.get(id))) maxlength=(max) required[required] autocomplete="off"
            spellcheck="false";
    }
}

fn place(new: bool, typed: &FormValues) -> Markup {
    html! {
        fieldset {
            legend { "Where" }
            @if new {
                (field(
                    "name",
                    "Name",
                    "a-z 0-9 . _ - @",
                    &html! {
                        input #name name="name" value=(plain(typed.get("name"))) required maxlength=(NAME_MAX)
                            pattern=(NAME) autocomplete="off" spellcheck="false";
                    },
                ))
            }
            (field("labels", "Labels", "e.g. production*", &text(typed, "labels", PATTERN_MAX, true)))
            (field(
                "prompts",
                "Prompts",
                "e.g. support/**. Leave empty for all.",
                &text(typed, "prompts", PATTERN_MAX, false),
            ))
        }
    }
}

fn boxes(legend: &str, hint: &str, prefix: &str, names: &BTreeSet<&str>, typed: &FormValues) -> Markup {
    html! {
        fieldset.boxes {
            legend { (legend) }
            p.quiet { (hint) }
            @for one in names {
                @let name = format!("{prefix}{one}");
                label.check {
                    input type="checkbox" name=(plain(&name)) value="yes" checked[typed.ticked(&name)];
                    span { (Escaped(one)) }
                }
            }
        }
    }
}

fn people(roles: &BTreeSet<&str>, typed: &FormValues) -> Markup {
    html! {
        fieldset {
            legend { "People" }
            (boxes(
                "Deployed by",
                "Any of these roles. None selected: anyone with deploy permission.",
                "deployer.",
                roles,
                typed,
            ))
            (field(
                "approvals",
                "Approvals",
                "Number of people who must approve",
                &html! {
                    input #approvals name="approvals" type="number" min="0" max=(APPROVALS_MAX)
                        value=(plain(typed.get("approvals")));
                },
            ))
            (boxes(
                "Approved by",
                "Any of these roles. None selected: anyone with review permission.",
                "approver.",
                roles,
                typed,
            ))
            label.check {
                input type="checkbox" name="self_approval" value="yes" checked[typed.ticked("self_approval")];
                span { "Allow authors to approve their own changes" }
            }
        }
    }
}

fn conditions(typed: &FormValues) -> Markup {
    html! {
        fieldset {
            legend { "Prerequisites" }
            (field(
                "after_label",
                "Deployed first to label",
                "E.g. staging. Leave empty for none.",
                &text(typed, "after_label", PATTERN_MAX, false),
            ))
            (field("after_for", "Soak time", "", &html! {
                span.pair {
                    input #after_for name="after_for" type="number" min="0" value=(plain(typed.get("after_for")));
                    select name="after_unit" aria-label="Unit" {
                        @for unit in UNITS {
                            option value=(unit.sign) selected[typed.get("after_unit") == unit.sign] { (unit.name) }
                        }
                    }
                }
            }))
            (field(
                "message",
                "Message pattern",
                "Regular expression, e.g. OPS-[0-9]+",
                &text(typed, "message", "1024", false),
            ))
            (field(
                "gates",
                "Gates",
                "Suites that must have passed, space-separated. Unknown gates count as failed.",
                &text(typed, "gates", "3400", false),
            ))
            p { label.check {
                input type="checkbox" name="fresh_gates" value="yes" checked[typed.ticked("fresh_gates")];
                " Stale gates must pass again"
            } }
            p { label.check {
                input type="checkbox" name="downstream_gates" value="yes" checked[typed.ticked("downstream_gates")];
                " Gates of the prompts that the prompt feeds must pass with the new version"
            } }
        }
    }
}

/// Number of rows of a kind of freeze, including an empty one.
fn rows(typed: &FormValues, prefix: &str) -> usize {
    let numbers = typed.all(prefix).filter_map(|(rest, _)| rest.split('.').next()?.parse::<usize>().ok());
    numbers.max().map_or(1, |last| last.saturating_add(2)).min(POLICY_LIST_MAX)
}

fn quiet_times(typed: &FormValues) -> Markup {
    html! {
        fieldset {
            legend { "Freeze windows (UTC)" }
            @for row in 0..rows(typed, "weekly.") {
                @let name = |part: &str| format!("weekly.{row}.{part}");
                fieldset.window {
                    legend { "Every week" }
                    @for day in Weekday::ALL {
                        @let box_name = name(day.as_str());
                        label.check {
                            input type="checkbox" name=(box_name) value="yes" checked[typed.ticked(&box_name)];
                            span { (day.as_str()) }
                        }
                    }
                    label {
                        span { "From" }
                        input name=(name("from")) value=(plain(typed.get(&name("from")))) placeholder="16:00"
                            pattern="[0-2][0-9]:[0-5][0-9]" maxlength="5" size="6";
                    }
                    label {
                        span { "To" }
                        input name=(name("to")) value=(plain(typed.get(&name("to")))) placeholder="24:00"
                            pattern="[0-2][0-9]:[0-5][0-9]" maxlength="5" size="6";
                    }
                    label {
                        span { "Reason" }
                        input name=(name("why")) value=(plain(typed.get(&name("why")))) maxlength="2000"
                            autocomplete="off";
                    }
                }
            }
            @for row in 0..rows(typed, "once.") {
                @let name = |part: &str| format!("once.{row}.{part}");
                fieldset.window {
                    legend { "Once" }
                    @for (part, says) in [("from", "From"), ("to", "To")] {
                        label {
                            span { (says) }
                            input type="datetime-local" step="any" name=(name(part))
                                value=(plain(typed.get(&name(part))));
                        }
                    }
                    label {
                        span { "Reason" }
                        input name=(name("why")) value=(plain(typed.get(&name("why")))) maxlength="2000"
                            autocomplete="off";
                    }
                }
            }
        }
    }
}

fn risk(roles: &BTreeSet<&str>, typed: &FormValues) -> Markup {
    let categories: BTreeSet<&str> = Category::ALL.iter().map(|category| category.as_str()).collect();
    html! {
        fieldset {
            legend { "Risk" }
            (field("risk_from", "Require approval at this risk or higher", "", &html! {
                select #risk_from name="risk_from" {
                    option value="" { "Never" }
                    @for severity in Severity::ALL {
                        option value=(severity) selected[typed.get("risk_from") == severity.as_str()] { (severity) }
                    }
                }
            }))
            (boxes(
                "Approved by",
                "Any of these roles. None selected: anyone with review permission.",
                "risk_approver.",
                roles,
                typed,
            ))
            (boxes(
                "Block",
                "Findings in these categories block the deployment if their risk is at or above the level selected \
                    above.",
                "block.",
                &categories,
                typed,
            ))
        }
    }
}

/// The fields of a policy.
pub fn typed(policy: &Policy) -> FormValues {
    // Every field, so that a new one does not compile until the form has it.
    let Policy {
        name,
        prompts,
        labels,
        deployers,
        approvals,
        approvers,
        self_approval,
        after,
        freeze,
        message,
        gates,
        fresh_gates,
        downstream_gates,
        risk,
    } = policy;
    let mut typed = FormValues::default();
    typed.put("name", name.as_str());
    typed.put("labels", labels.as_str());
    if !prompts.is_everything() {
        typed.put("prompts", prompts.as_str());
    }
    for (prefix, roles) in [("deployer.", deployers), ("approver.", approvers)] {
        tick(&mut typed, prefix, roles.iter().map(String::as_str));
    }
    if *approvals > 0 {
        typed.put("approvals", approvals.to_string());
    }
    if *self_approval {
        typed.put("self_approval", "yes");
    }
    if let Some(Soak { label, for_s }) = after {
        let (number, unit) = in_unit(*for_s);
        typed.put("after_label", label.as_str());
        typed.put("after_for", number.to_string());
        typed.put("after_unit", unit.sign);
    }
    typed.put("message", message.as_deref().unwrap_or_default());
    typed.put("gates", gates.join(" "));
    if *fresh_gates {
        typed.put("fresh_gates", "yes");
    }
    if *downstream_gates {
        typed.put("downstream_gates", "yes");
    }
    put_freezes(&mut typed, freeze);
    if let Some(RiskRule { from, approvers, block }) = risk {
        typed.put("risk_from", from.as_str());
        tick(&mut typed, "risk_approver.", approvers.iter().map(String::as_str));
        tick(&mut typed, "block.", block.iter().map(|category| category.as_str()));
    } else {
        tick(&mut typed, "risk_approver.", [COMPLIANCE].into_iter());
    }
    typed
}

/// The fields of an empty form.
pub fn blank() -> FormValues {
    let mut typed = FormValues::default();
    tick(&mut typed, "risk_approver.", [COMPLIANCE].into_iter());
    typed
}

fn tick<'a>(typed: &mut FormValues, prefix: &str, names: impl Iterator<Item = &'a str>) {
    for name in names {
        typed.put(format!("{prefix}{name}"), "yes");
    }
}

fn put_freezes(typed: &mut FormValues, freezes: &[Freeze]) {
    let (mut weekly, mut once) = (0_usize, 0_usize);
    for freeze in freezes {
        match freeze {
            Freeze::Weekly { days, from, to, why } => {
                let prefix = format!("weekly.{weekly}.");
                tick(typed, &prefix, days.iter().map(|day| day.as_str()));
                typed.put(format!("{prefix}from"), *from);
                typed.put(format!("{prefix}to"), *to);
                typed.put(format!("{prefix}why"), why.as_str());
                weekly += 1;
            }
            Freeze::Once { from, to, why } => {
                let prefix = format!("once.{once}.");
                typed.put(format!("{prefix}from"), local(*from));
                typed.put(format!("{prefix}to"), local(*to));
                typed.put(format!("{prefix}why"), why.as_str());
                once += 1;
            }
        }
    }
}

/// A time in the format of a browser's date field.
fn local(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    fn signed() -> Frame {
        sample(Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() })
    }

    #[test]
    fn policy_form_has_every_field() {
        let policy: Policy = serde_json::from_str(
            r#"{"name":"p","labels":"production","prompts":"support/**","deployers":["gone"],"approvals":2,"approvers":["compliance"],
                "self_approval":true,"after":{"label":"staging","for_s":5400},"message":"\"><b>","gates":["a","b"],
                "risk":{"from":"high","approvers":["compliance"],"block":["personal_data"]},"freeze":[
                {"days":["fri","sat"],"from":"16:00","to":"24:00","why":"weekend\u202e"},
                {"from":"2026-12-24T00:00:00Z","to":"2026-12-27T12:30:00Z","why":"<i>"}]}"#,
        )
        .expect("a policy");
        let matter = PolicyPageData {
            policy: Some(policy),
            seen: "5ee".to_owned(),
            roles: vec!["compliance".to_owned()],
            keeps: true,
            outcome: Outcome::default(),
        };
        let shown = page(&signed(), &matter);
        for part in [
            "name=\"labels\" value=\"production\"",
            "name=\"prompts\" value=\"support/**\"",
            "name=\"deployer.gone\" value=\"yes\" checked",
            "name=\"deployer.compliance\" value=\"yes\">",
            "name=\"approver.compliance\" value=\"yes\" checked",
            "name=\"self_approval\" value=\"yes\" checked",
            "min=\"0\" value=\"90\"",
            "<option value=\"min\" selected>",
            "value=\"&quot;&gt;&lt;b&gt;\"",
            "value=\"a b\"",
            "name=\"weekly.0.fri\" value=\"yes\" checked",
            "name=\"weekly.0.to\" value=\"24:00\"",
            "name=\"weekly.1.from\" value=\"\"",
            "value=\"weekend\u{fffd}\"",
            "name=\"once.0.to\" value=\"2026-12-27T12:30:00\"",
            "name=\"once.1.from\"",
            "<option value=\"high\" selected>",
            "name=\"block.personal_data\" value=\"yes\" checked",
            "value=\"5ee\"",
            "value=\"remove\"",
            "90 min on staging first",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("<b>&quot;") && !shown.contains("<i>"), "{shown}");
        let read = page(&signed(), &PolicyPageData { keeps: false, ..matter.clone() });
        assert!(read.contains("Requirements</h2>") && !read.contains("action=\"/ui/access"), "{read}");
        let new = page(&signed(), &PolicyPageData { policy: None, seen: String::new(), ..matter });
        assert!(
            new.contains("New policy</h1>") && new.contains("name=\"name\"") && !new.contains("value=\"remove\""),
            "{new}"
        );
    }
}
