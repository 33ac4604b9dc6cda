//! Converts a form to a policy.

use std::collections::BTreeSet;

use super::super::super::error::Failure;
use super::super::super::request::RequestError;
use super::{pattern, required, value};
use crate::governance::policy_words::UNITS;
use crate::model::finding::{Category, Severity};
use crate::model::name::Label;
use crate::model::policy::{ClockTime, Freeze, POLICY_LIST_MAX, Policy, RiskRule, Soak, Weekday};
use crate::model::time::Timestamp;
use crate::web::form::FormValues;

/// The policy of a form; the registry validates it.
pub(super) fn policy_of(name: String, typed: &FormValues) -> Result<Policy, Failure> {
    let gates = typed.get("gates").split([' ', ',', '\n', '\t', '\r']).filter(|gate| !gate.is_empty());
    let mut freeze = weekly(typed)?;
    freeze.extend(once(typed)?);
    Ok(Policy {
        name,
        prompts: pattern(typed, "prompts", "Prompts")?,
        labels: required(typed, "labels", "Labels")?,
        deployers: ticked(typed, "deployer."),
        approvals: value(typed, "approvals", "Approvals")?.unwrap_or_default(),
        approvers: ticked(typed, "approver."),
        self_approval: typed.ticked("self_approval"),
        after: after(typed)?,
        freeze,
        message: Some(typed.get("message").to_owned()).filter(|message| !message.is_empty()),
        gates: gates.map(str::to_owned).collect(),
        fresh_gates: typed.ticked("fresh_gates"),
        downstream_gates: typed.ticked("downstream_gates"),
        risk: risk(typed)?,
    })
}

fn ticked(typed: &FormValues, prefix: &str) -> Vec<String> {
    typed.all(prefix).map(|(name, _)| name.to_owned()).collect()
}

fn wrong(field: &'static str, reason: impl Into<String>) -> Failure {
    RequestError::FormValue { field, reason: reason.into() }.into()
}

fn after(typed: &FormValues) -> Result<Option<Soak>, Failure> {
    let number = value::<u64>(typed, "after_for", "Soak time")?.unwrap_or_default();
    let Some(label) = value::<Label>(typed, "after_label", "Deployed first to label")? else {
        return if number == 0 { Ok(None) } else { Err(wrong("Deployed first to label", "choose the label")) };
    };
    let unit = UNITS.iter().find(|unit| unit.sign == typed.get("after_unit"));
    let unit = unit.ok_or_else(|| wrong("Soak time", "choose a unit"))?;
    let for_s = number.checked_mul(unit.seconds).ok_or_else(|| wrong("Soak time", "that is too long"))?;
    Ok(Some(Soak { label, for_s }))
}

fn risk(typed: &FormValues) -> Result<Option<RiskRule>, Failure> {
    let from = value::<Severity>(typed, "risk_from", "Risk")?;
    let (approvers, blocked) = (ticked(typed, "risk_approver."), ticked(typed, "block."));
    let Some(from) = from else {
        return if blocked.is_empty() { Ok(None) } else { Err(wrong("Risk", "choose the minimum risk")) };
    };
    let block = blocked.iter().map(|category| category.parse::<Category>());
    let block = block.collect::<Result<_, _>>().map_err(|error| wrong("Block", error.to_string()))?;
    Ok(Some(RiskRule { from, approvers, block }))
}

/// The indexes of non-empty rows of a kind of freeze, in order.
fn rows(typed: &FormValues, prefix: &str) -> Result<Vec<usize>, Failure> {
    let number = |rest: &str| rest.split_once('.').and_then(|(number, _)| number.parse::<usize>().ok());
    let filled = typed.all(prefix).filter(|(_, value)| !value.trim().is_empty());
    let numbers: BTreeSet<usize> = filled.filter_map(|(rest, _)| number(rest)).collect();
    if numbers.len() > POLICY_LIST_MAX {
        return Err(wrong("Freeze windows", format!("at most {POLICY_LIST_MAX} windows are allowed")));
    }
    Ok(numbers.into_iter().collect())
}

fn why(typed: &FormValues, prefix: &str) -> String {
    typed.get(&format!("{prefix}why")).trim().to_owned()
}

fn weekly(typed: &FormValues) -> Result<Vec<Freeze>, Failure> {
    const FIELD: &str = "Weekly freeze";
    let row = |number: usize| {
        let prefix = format!("weekly.{number}.");
        let days = Weekday::ALL.into_iter().filter(|day| typed.ticked(&format!("{prefix}{}", day.as_str())));
        let time = |part: &str| {
            let text = typed.get(&format!("{prefix}{part}")).trim().to_owned();
            ClockTime::try_from(text).map_err(|reason| wrong(FIELD, reason))
        };
        Ok(Freeze::Weekly { days: days.collect(), from: time("from")?, to: time("to")?, why: why(typed, &prefix) })
    };
    rows(typed, "weekly.")?.into_iter().map(row).collect()
}

fn once(typed: &FormValues) -> Result<Vec<Freeze>, Failure> {
    const FIELD: &str = "One-time freeze";
    let row = |number: usize| {
        let prefix = format!("once.{number}.");
        let moment = |part: &str| -> Result<Timestamp, Failure> {
            // Browsers omit zero seconds and the time zone in date fields.
            let text = typed.get(&format!("{prefix}{part}")).trim().to_owned();
            let ways = [text.clone(), format!("{text}Z"), format!("{text}:00Z")];
            let found = ways.iter().find_map(|text| text.parse().ok());
            found.ok_or_else(|| wrong(FIELD, "give both moments, as 2026-12-24T00:00"))
        };
        Ok(Freeze::Once { from: moment("from")?, to: moment("to")?, why: why(typed, &prefix) })
    };
    rows(typed, "once.")?.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::access::policy::typed;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn policy_form_round_trips() {
        for json in [
            r#"{"name":"p","labels":"production"}"#,
            r#"{"name":"p","labels":"production*","prompts":"support/**","deployers":["gone","releaser"],"approvals":2,
                "approvers":["compliance"],"self_approval":true,"after":{"label":"staging","for_s":5400},
                "message":" OPS-[0-9]+ ","gates":["a","b"],"risk":{"from":"high","approvers":["compliance","legal"],
                "block":["personal_data","secrets"]},"freeze":[
                {"days":["mon","sun"],"from":"00:00","to":"24:00","why":"weekend"},
                {"days":["fri"],"from":"16:00","to":"24:00"},
                {"from":"2026-12-24T00:00:00Z","to":"2026-12-27T12:30:05.250Z","why":"holidays"}]}"#,
            r#"{"name":"p","labels":"x","after":{"label":"staging","for_s":0}}"#,
            r#"{"name":"p","labels":"x","after":{"label":"staging","for_s":61}}"#,
            r#"{"name":"p","labels":"x","risk":{"from":"low"}}"#,
            r#"{"name":"p","labels":"x","risk":{"from":"low","approvers":[]}}"#,
        ] {
            let kept = policy(json);
            let read = policy_of("p".to_owned(), &typed(&kept)).expect(json);
            assert_eq!(read, kept, "{json}");
        }
        let mut days: Vec<String> = Vec::new();
        for day in 0..POLICY_LIST_MAX {
            days.push(format!(r#"{{"days":["tue"],"from":"00:{day:02}","to":"24:00"}}"#));
        }
        let full = policy(&format!(r#"{{"name":"p","labels":"x","freeze":[{}]}}"#, days.join(",")));
        assert_eq!(policy_of("p".to_owned(), &typed(&full)).expect("all of them"), full, "rows keep their order");
    }

    #[test]
    fn invalid_field_is_named_in_the_error() {
        let check = |fields: &[(&str, &str)], part: &str| {
            let mut typed = FormValues::default();
            typed.put("labels", "production");
            for (name, value) in fields {
                typed.put(*name, *value);
            }
            let error = policy_of("p".to_owned(), &typed).expect_err(part).to_string();
            assert!(error.contains(part), "{fields:?}: {error}");
        };
        check(&[("approvals", "-1")], "Approvals: ");
        check(&[("after_for", "3")], "choose the label");
        check(&[("after_label", "staging"), ("after_for", "3"), ("after_unit", "y")], "choose a unit");
        check(&[("after_label", "staging"), ("after_for", "999999999999999999"), ("after_unit", "d")], "too long");
        check(&[("weekly.0.fri", "yes")], "Weekly freeze: ");
        check(&[("weekly.0.from", "25:00"), ("weekly.0.to", "24:00")], "invalid time of day");
        check(&[("once.3.from", "2026-12-24T00:00")], "give both moments");
        check(&[("block.secrets", "yes")], "choose the minimum risk");
        check(&[("risk_from", "high"), ("block.nonsense", "yes")], "unknown category");
    }
}
