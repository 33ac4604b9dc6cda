//! Describes the requirements of a policy for people who do not know its fields.

use crate::model::count::count;
use crate::model::policy::{Freeze, Policy, RiskRule, Soak};

/// Alternatives, of which one is enough.
pub(super) fn either(names: &[String]) -> String {
    names.join(" or ")
}

/// Who has to act, after what is to be done; empty if anyone can.
pub(super) fn by(roles: &[String]) -> String {
    if roles.is_empty() { String::new() } else { format!(" by {}", either(roles)) }
}

/// The requirements of a policy except its freezes: one phrase each, in the order of its fields.
pub fn demands(policy: &Policy) -> Vec<String> {
    // Every field, so that a new one does not compile until it is described.
    let Policy {
        name: _,
        prompts: _,
        labels: _,
        deployers,
        approvals,
        approvers,
        self_approval,
        after: soak,
        freeze: _,
        message,
        gates,
        fresh_gates,
        downstream_gates,
        risk,
    } = policy;
    let mut demands = Vec::new();
    if !deployers.is_empty() {
        demands.push(format!("deployment{}", by(deployers)));
    }
    if *approvals > 0 {
        let own = if *self_approval { ", self-approval allowed" } else { "" };
        demands.push(format!("{}{}{own}", count(*approvals, "approval"), by(approvers)));
    }
    demands.extend(soak.iter().map(after));
    demands.extend(message.iter().map(|pattern| format!("a message that matches `{pattern}`")));
    let fresh = if *fresh_gates { ", and not stale" } else { "" };
    demands.extend(gates.iter().map(|gate| format!("gate `{gate}` passed{fresh}")));
    if *downstream_gates {
        demands.push(format!("the gates of the prompts that it feeds passed{fresh}"));
    }
    if let Some(RiskRule { from, approvers, block }) = risk {
        demands.push(format!("approval{} if risk is {from} or above", by(approvers)));
        if !block.is_empty() {
            let block: Vec<String> = block.iter().map(|category| category.as_str().replace('_', " ")).collect();
            demands.push(format!("blocked if it has {} findings at {from} or above", either(&block)));
        }
    }
    demands
}

/// Where a version has to be deployed first, and for how long.
pub(super) fn after(after: &Soak) -> String {
    match after.for_s {
        0 => format!("deployment to {} first", after.label),
        seconds => format!("{} on {} first", exact_duration(seconds), after.label),
    }
}

/// When a policy allows no deployments, as text.
pub fn freezes(policy: &Policy) -> Vec<String> {
    policy.freeze.iter().map(freeze).collect()
}

fn freeze(freeze: &Freeze) -> String {
    let because = |why: &str| if why.is_empty() { String::new() } else { format!(" ({why})") };
    match freeze {
        Freeze::Weekly { days, from, to, why } => {
            let days: Vec<&str> = days.iter().map(|day| day.as_str()).collect();
            let (from, to) = (String::from(*from), String::from(*to));
            format!("no deployments on {} from {from} to {to} UTC{}", days.join(", "), because(why))
        }
        Freeze::Once { from, to, why } => format!("no deployments from {from} to {to}{}", because(why)),
    }
}

/// A number of seconds in the largest unit that is exact.
pub fn exact_duration(seconds: u64) -> String {
    let (number, unit) = in_unit(seconds);
    format!("{number} {}", unit.sign)
}

/// A number of seconds in the largest unit of which there is at least one, rounded down.
pub fn rounded_duration(seconds: u64) -> String {
    let unit = UNITS.iter().find(|unit| seconds >= unit.seconds).unwrap_or(&SECONDS);
    format!("{} {}", seconds / unit.seconds, unit.sign)
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its abbreviation.
    pub sign: &'static str,
    /// Its plural.
    pub name: &'static str,
    /// Its length.
    pub seconds: u64,
}

/// The units, longest first.
pub const UNITS: [Unit; 4] = [
    Unit { sign: "d", name: "days", seconds: 86_400 },
    Unit { sign: "h", name: "hours", seconds: 3_600 },
    Unit { sign: "min", name: "minutes", seconds: 60 },
    SECONDS,
];
const SECONDS: Unit = Unit { sign: "s", name: "seconds", seconds: 1 };

/// A number of seconds as a number of the largest exact unit.
pub fn in_unit(seconds: u64) -> (u64, Unit) {
    let exact = |unit: &&Unit| seconds > 0 && seconds.is_multiple_of(unit.seconds);
    let unit = UNITS.iter().find(exact).copied().unwrap_or(SECONDS);
    (seconds / unit.seconds, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_has_a_phrase() {
        let policy: Policy = serde_json::from_str(
            r#"{"name":"p","labels":"production","deployers":["releaser","admin"],"approvals":2,"approvers":["compliance"],
                "self_approval":true,"after":{"label":"staging","for_s":5400},"message":"OPS-[0-9]+","gates":["regression"],
                "downstream_gates":true,"risk":{"from":"high","block":["personal_data"]},"freeze":[
                {"days":["fri","sat"],"from":"16:00","to":"24:00","why":"weekend"},
                {"from":"2026-12-24T00:00:00Z","to":"2026-12-27T00:00:00Z"}]}"#,
        )
        .expect("a policy");
        let expected = [
            "deployment by releaser or admin",
            "2 approvals by compliance, self-approval allowed",
            "90 min on staging first",
            "a message that matches `OPS-[0-9]+`",
            "gate `regression` passed",
            "the gates of the prompts that it feeds passed",
            "approval by compliance if risk is high or above",
            "blocked if it has personal data findings at high or above",
        ];
        assert_eq!(demands(&policy), expected);
        let expected = [
            "no deployments on fri, sat from 16:00 to 24:00 UTC (weekend)",
            "no deployments from 2026-12-24T00:00:00Z to 2026-12-27T00:00:00Z",
        ];
        assert_eq!(freezes(&policy), expected);
        let free: Policy = serde_json::from_str(r#"{"name":"p","labels":"*"}"#).expect("a policy");
        assert!(demands(&free).is_empty() && freezes(&free).is_empty());
    }

    #[test]
    fn durations_are_written_exactly_or_rounded() {
        for (seconds, expected) in
            [(0, "0 s"), (1, "1 s"), (90, "90 s"), (120, "2 min"), (3_600, "1 h"), (172_800, "2 d"), (90_000, "25 h")]
        {
            assert_eq!(exact_duration(seconds), expected, "{seconds}");
            let (number, unit) = in_unit(seconds);
            assert_eq!(number * unit.seconds, seconds);
        }
        for (seconds, expected) in [(0, "0 s"), (59, "59 s"), (627, "10 min"), (7_199, "1 h"), (90_000, "1 d")] {
            assert_eq!(rounded_duration(seconds), expected, "{seconds}");
        }
    }
}
