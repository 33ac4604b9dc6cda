//! The requirements of a label policy for one move, and which of them are met.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::policy_words::{self, by, rounded_duration};
use super::risk::worst;
use crate::model::count::count;
use crate::model::finding::{Category, Finding};
use crate::model::handle::is_handle;
use crate::model::name::{LATEST, Label};
use crate::model::policy::{APPROVALS_MAX, Freeze, POLICY_LIST_MAX, Policy, Weekday};
use crate::model::time::Timestamp;
use crate::model::verdict::{Requirement, RequirementKind};

/// Longest regular expression for messages, in bytes.
pub const MESSAGE_PATTERN_BYTES_MAX: usize = 1_024;
/// Largest compiled size of it, in bytes: enough for one `\w`; every policy keeps one in memory.
const MESSAGE_PROGRAM_BYTES_MAX: usize = 64 * 1024;
/// Largest cache of its automaton, in bytes; a search that needs more runs without a cache.
const MESSAGE_AUTOMATON_BYTES_MAX: usize = 32 * 1024;
const DAY_MS: i64 = 24 * 3_600_000;

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct LabelPolicy {
    policy: Policy,
    message: Option<Regex>,
}

/// Why a policy is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid policy `{name}`: {reason}")]
pub struct PolicyError {
    name: String,
    reason: String,
}

/// An approval of exactly one move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The approver.
    pub by: String,
    /// Their roles that allow reviewing it.
    pub roles: Vec<String>,
}

/// The facts about a move that requirements are checked against.
#[derive(Clone, Debug, Default)]
pub struct PolicyFacts {
    /// The current time.
    pub now: Timestamp,
    /// The message of the deployment.
    pub message: String,
    /// The roles that allow the caller to deploy here.
    pub deployer_roles: Vec<String>,
    /// Valid approvals of exactly this move.
    pub approvals: Vec<Approval>,
    /// The contributors to the new versions, and the proposers.
    pub makers: BTreeSet<String>,
    /// The findings in the new versions.
    pub findings: Vec<Finding>,
    /// How long all new versions have been deployed elsewhere, in milliseconds, by label.
    pub served_ms: BTreeMap<Label, i64>,
    /// What is known of gates for exactly what this move would serve, by suite.
    pub gates: BTreeMap<String, GateFacts>,
    /// What is known of the gates of the prompts that this one feeds, by what they are called; only if a policy asks.
    pub downstream: BTreeMap<String, GateFacts>,
}

/// What is known of a gate for all new versions of a move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateFacts {
    /// Whether it passed for each.
    pub passed: bool,
    /// Why it should be decided again for one of them.
    pub stale: Option<String>,
    /// What is missing, for people; empty if it passed.
    pub missing: String,
    /// Who sent results that another tool produced.
    pub senders: BTreeSet<String>,
}

impl LabelPolicy {
    /// Validates and compiles a policy.
    ///
    /// # Errors
    /// A name, a list, a number or the message pattern is invalid.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        let refuse = |reason: String| PolicyError { name: policy.name.chars().take(64).collect(), reason };
        if !is_handle(&policy.name) {
            return Err(refuse("use 1 to 64 characters from a-z 0-9 . _ - @ for its name".to_owned()));
        }
        if policy.labels.as_str() == LATEST {
            return Err(refuse(
                "the label `latest` always serves the latest version; restrict who can `publish` instead".to_owned(),
            ));
        }
        let lists = [
            ("deployers", policy.deployers.len()),
            ("approvers", policy.approvers.len()),
            ("freeze windows", policy.freeze.len()),
            ("gates", policy.gates.len()),
            ("risk approvers", policy.risk.as_ref().map_or(0, |risk| risk.approvers.len())),
        ];
        if let Some((what, count)) = lists.into_iter().find(|(_, count)| *count > POLICY_LIST_MAX) {
            return Err(refuse(format!("it has {count} {what}; the limit is {POLICY_LIST_MAX}")));
        }
        let roles = policy.deployers.iter().chain(&policy.approvers).chain(&policy.gates);
        if let Some(name) =
            roles.chain(policy.risk.iter().flat_map(|risk| &risk.approvers)).find(|name| !is_handle(name))
        {
            return Err(refuse(format!(
                "`{}` is not a valid name of a role or gate: use 1 to 64 characters from a-z 0-9 . _ - @",
                name.chars().take(64).collect::<String>()
            )));
        }
        if policy.approvals > APPROVALS_MAX {
            return Err(refuse(format!("{} approvals is more than the limit of {APPROVALS_MAX}", policy.approvals)));
        }
        for freeze in &policy.freeze {
            let empty = match freeze {
                Freeze::Once { from, to, .. } => from >= to,
                Freeze::Weekly { days, from, to, .. } => days.is_empty() || from >= to,
            };
            if empty {
                return Err(refuse(
                    "a freeze must have at least one day and end after it begins; for one past midnight, write two: to \
                     24:00, and from 00:00 on the next day"
                        .to_owned(),
                ));
            }
        }
        let message = policy.message.as_deref().map(|pattern| {
            if pattern.len() > MESSAGE_PATTERN_BYTES_MAX {
                return Err(refuse(format!("its message pattern is longer than {MESSAGE_PATTERN_BYTES_MAX} bytes")));
            }
            let built = regex::RegexBuilder::new(pattern)
                .size_limit(MESSAGE_PROGRAM_BYTES_MAX)
                .dfa_size_limit(MESSAGE_AUTOMATON_BYTES_MAX)
                .build();
            built.map_err(|error| refuse(format!("its message pattern is not a valid regular expression: {error}")))
        });
        let message = message.transpose()?;
        Ok(Self { policy, message })
    }

    /// The policy as written.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether it applies to this label of this prompt.
    #[must_use]
    pub fn fits(&self, prompt: &str, label: &str) -> bool {
        self.policy.prompts.matches(prompt) && self.policy.labels.matches(label)
    }

    /// Its requirements for a move, met or not, in the order of the policy's fields.
    pub fn demands(&self, facts: &PolicyFacts) -> Vec<Requirement> {
        // Every field, so that a new one does not compile until it is decided on.
        let Policy {
            // Where it applies.
            name: _,
            prompts: _,
            labels: _,
            // Decided by `demands_of_people`, and counted by `counting_approvers`.
            deployers: _,
            approvals: _,
            approvers: _,
            self_approval,
            risk: _,
            after,
            freeze,
            // Compiled, as `self.message`.
            message: _,
            gates,
            fresh_gates,
            downstream_gates,
        } = &self.policy;
        let mut demands = self.demands_of_people(facts);
        if let Some(after) = after {
            let served = facts.served_ms.get(&after.label).copied();
            let needed_s = i64::try_from(after.for_s).unwrap_or(i64::MAX);
            let met = served.is_some_and(|served| served / 1_000 >= needed_s);
            let so_far = match served {
                None => "not deployed there yet".to_owned(),
                Some(i64::MAX) => "already deployed here".to_owned(),
                Some(served) => {
                    format!("{} so far", rounded_duration(u64::try_from(served / 1_000).unwrap_or_default()))
                }
            };
            let says = format!("{} ({so_far})", policy_words::after(after));
            demands.push(self.requirement(RequirementKind::After, met, says, &[]));
        }
        for freeze in freeze {
            if let Some((why, end)) = in_freeze(freeze, facts.now) {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                let says = format!("no deployments before {end}{why}");
                demands.push(self.requirement(RequirementKind::Freeze, false, says, &[]));
            }
        }
        if let Some(pattern) = &self.message {
            let says = format!("a message that matches `{}`", pattern.as_str());
            demands.push(self.requirement(RequirementKind::Message, pattern.is_match(&facts.message), says, &[]));
        }
        let unknown = GateFacts::default();
        let own = gates
            .iter()
            .map(|gate| (RequirementKind::Gate, format!("`{gate}`"), facts.gates.get(gate).unwrap_or(&unknown)));
        let downstream = facts.downstream.iter().filter(|_| *downstream_gates);
        let downstream = downstream.map(|(gate, known)| (RequirementKind::DownstreamGate, gate.clone(), known));
        for (kind, gate, known) in own.chain(downstream) {
            let stale = known.stale.as_ref().filter(|_| known.passed && *fresh_gates);
            // Nobody can check results from elsewhere, so makers may send them only where they may approve their own work.
            let own = known.senders.iter().find(|by| !self_approval && known.passed && facts.makers.contains(*by));
            let says = match (known.passed, stale) {
                _ if own.is_some() => {
                    let by = own.map_or("", String::as_str);
                    format!("gate {gate} to pass with results that someone other than {by} sent, who made the change")
                }
                (true, None) => format!("gate {gate} passed"),
                (true, Some(why)) => format!("gate {gate} to pass again (stale: {why})"),
                (false, _) if known.missing.is_empty() => format!("gate {gate} to pass"),
                (false, _) => format!("gate {gate} to pass ({})", known.missing),
            };
            demands.push(self.requirement(kind, known.passed && stale.is_none() && own.is_none(), says, &[]));
        }
        demands
    }

    fn demands_of_people(&self, facts: &PolicyFacts) -> Vec<Requirement> {
        let policy = &self.policy;
        let mut demands = Vec::new();
        if !policy.deployers.is_empty() {
            let met = facts.deployer_roles.iter().any(|role| policy.deployers.contains(role));
            let says = format!("deployment{}", by(&policy.deployers));
            demands.push(self.requirement(RequirementKind::Deployers, met, says, &policy.deployers));
        }
        if policy.approvals > 0 {
            let given = self.counting_approvers(facts, &policy.approvers);
            let needed = usize::try_from(policy.approvals).unwrap_or(usize::MAX);
            let says = format!(
                "{} of this exact change{} ({} so far)",
                count(needed, "approval"),
                by(&policy.approvers),
                given.len()
            );
            demands.push(self.requirement(RequirementKind::Approvals, given.len() >= needed, says, &policy.approvers));
        }
        if let Some(risk) = &policy.risk {
            let worst = worst(&facts.findings).filter(|worst| *worst >= risk.from);
            if let Some(worst) = worst {
                let given = self.counting_approvers(facts, &risk.approvers);
                let says =
                    format!("an approval{} because the risk is {worst} ({} so far)", by(&risk.approvers), given.len());
                demands.push(self.requirement(RequirementKind::RiskApproval, !given.is_empty(), says, &risk.approvers));
            }
            let blocked = |finding: &&Finding| finding.severity >= risk.from && risk.block.contains(&finding.category);
            let categories: BTreeSet<&Category> =
                facts.findings.iter().filter(blocked).map(|finding| &finding.category).collect();
            for category in categories {
                let says = format!("no {category} findings of risk {} or higher", risk.from);
                demands.push(self.requirement(RequirementKind::RiskBlock, false, says, &[]));
            }
        }
        demands
    }

    /// The approvers who count: they have one of the roles, and did not contribute.
    fn counting_approvers(&self, facts: &PolicyFacts, roles: &[String]) -> BTreeSet<String> {
        let counts = |approval: &&Approval| {
            let role = roles.is_empty() || approval.roles.iter().any(|role| roles.contains(role));
            role && (self.policy.self_approval || !facts.makers.contains(&approval.by))
        };
        facts.approvals.iter().filter(counts).map(|approval| approval.by.clone()).collect()
    }

    fn requirement(&self, kind: RequirementKind, met: bool, says: String, roles: &[String]) -> Requirement {
        let roles = if met { Vec::new() } else { roles.to_vec() };
        Requirement { policy: self.policy.name.clone(), kind, met, says, roles }
    }
}

/// Whether a time is in a freeze: the reason, and when it ends.
fn in_freeze(freeze: &Freeze, now: Timestamp) -> Option<(&str, Timestamp)> {
    match freeze {
        Freeze::Once { from, to, why } => (*from <= now && now < *to).then_some((why.as_str(), *to)),
        Freeze::Weekly { days, from, to, why } => {
            // The first day of 1970 was a Thursday.
            const WEEK: [Weekday; 7] =
                [Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed];
            let midnight = now.ms().div_euclid(DAY_MS) * DAY_MS;
            let day = usize::try_from(now.ms().div_euclid(DAY_MS).rem_euclid(7)).ok().and_then(|day| WEEK.get(day))?;
            let at = |minutes: u16| midnight + i64::from(minutes) * 60_000;
            let inside = days.contains(day) && at(from.minutes()) <= now.ms() && now.ms() < at(to.minutes());
            inside.then(|| (why.as_str(), Timestamp::from_ms(at(to.minutes()))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RequirementKind as K;
    use super::*;
    use crate::model::finding::Severity;

    fn policy(json: &str) -> LabelPolicy {
        LabelPolicy::new(serde_json::from_str(json).expect(json)).expect(json)
    }

    fn approval(by: &str, role: &str) -> Approval {
        Approval { by: by.to_owned(), roles: vec![role.to_owned()] }
    }

    fn unmet(policy: &LabelPolicy, facts: &PolicyFacts) -> Vec<K> {
        policy.demands(facts).into_iter().filter(|demand| !demand.met).map(|demand| demand.kind).collect()
    }

    fn finding(severity: Severity, category: Category) -> Finding {
        Finding {
            rule: "r".to_owned(),
            rule_version: 1,
            category,
            severity,
            target: "text".to_owned(),
            start: 0,
            end: 1,
            line: 1,
            hash: String::new(),
            message: String::new(),
        }
    }

    #[test]
    fn approvals_count_only_with_the_role_and_not_from_authors() {
        let two = policy(r#"{"name":"p","labels":"production","approvals":2,"approvers":["compliance","releaser"]}"#);
        let facts = |approvals: &[Approval]| PolicyFacts {
            approvals: approvals.to_vec(),
            makers: ["ann".to_owned()].into(),
            ..PolicyFacts::default()
        };
        let check = |approvals: &[Approval], met| {
            assert_eq!(unmet(&two, &facts(approvals)).is_empty(), met, "{approvals:?}");
        };
        check(&[], false);
        check(&[approval("bob", "compliance")], false);
        check(&[approval("bob", "compliance"), approval("bob", "releaser")], false);
        check(&[approval("bob", "compliance"), approval("ann", "releaser")], false);
        check(&[approval("bob", "compliance"), approval("cy", "author")], false);
        check(&[approval("bob", "compliance"), approval("cy", "releaser")], true);
        let own = policy(r#"{"name":"p","labels":"production","approvals":1,"self_approval":true}"#);
        assert!(unmet(&own, &facts(&[approval("ann", "author")])).is_empty(), "said so");
    }

    #[test]
    fn unknown_gate_is_not_passed() {
        let gated = policy(r#"{"name":"p","labels":"*","gates":["safety"]}"#);
        assert_eq!(unmet(&gated, &PolicyFacts::default()), [K::Gate]);
        let known = |stale: Option<&str>| PolicyFacts {
            gates: [(
                "safety".to_owned(),
                GateFacts { passed: true, stale: stale.map(str::to_owned), ..GateFacts::default() },
            )]
            .into(),
            ..PolicyFacts::default()
        };
        assert!(unmet(&gated, &known(None)).is_empty());
        assert!(unmet(&gated, &known(Some("the suite has changed"))).is_empty());
        let strict = policy(r#"{"name":"p","labels":"*","gates":["safety"],"fresh_gates":true}"#);
        assert!(unmet(&strict, &known(None)).is_empty());
        let demands = strict.demands(&known(Some("the suite has changed")));
        assert_eq!(demands[0].says, "gate `safety` to pass again (stale: the suite has changed)");
    }

    #[test]
    fn results_sent_by_a_maker_open_a_gate_only_with_self_approval() {
        let known = |sender: &str| PolicyFacts {
            makers: ["ann".to_owned()].into(),
            gates: [(
                "safety".to_owned(),
                GateFacts { passed: true, senders: [sender.to_owned()].into(), ..GateFacts::default() },
            )]
            .into(),
            ..PolicyFacts::default()
        };
        let gated = policy(r#"{"name":"p","labels":"*","gates":["safety"]}"#);
        assert!(unmet(&gated, &known("ci")).is_empty());
        assert_eq!(unmet(&gated, &known("ann")), [K::Gate]);
        let says = &gated.demands(&known("ann"))[0].says;
        assert_eq!(says, "gate `safety` to pass with results that someone other than ann sent, who made the change");
        let own = policy(r#"{"name":"p","labels":"*","gates":["safety"],"self_approval":true}"#);
        assert!(unmet(&own, &known("ann")).is_empty());
    }

    #[test]
    fn gates_of_downstream_prompts_count_only_where_a_policy_demands_them() {
        let missing = "run 3 began before version 5 was there".to_owned();
        let known = GateFacts { missing, ..GateFacts::default() };
        let facts = PolicyFacts { downstream: [("`sums` of a/b".to_owned(), known)].into(), ..PolicyFacts::default() };
        let free = policy(r#"{"name":"p","labels":"*"}"#);
        assert!(free.demands(&facts).is_empty());
        let strict = policy(r#"{"name":"p","labels":"*","downstream_gates":true}"#);
        assert_eq!(unmet(&strict, &facts), [K::DownstreamGate]);
        let says = &strict.demands(&facts)[0].says;
        assert_eq!(says, "gate `sums` of a/b to pass (run 3 began before version 5 was there)");
        assert!(strict.demands(&PolicyFacts::default()).is_empty(), "it feeds nothing");
    }

    #[test]
    fn order_freezes_messages_and_deployers_are_checked() {
        let strict = policy(
            r#"{"name":"p","labels":"production","deployers":["releaser"],"after":{"label":"staging","for_s":3600},
                "message":"OPS-[0-9]+","freeze":[{"from":"2026-12-24T00:00:00Z","to":"2026-12-27T00:00:00Z","why":"holidays"}]}"#,
        );
        let check = |now: &str, message: &str, roles: &[&str], served: Option<i64>, expected: &[K]| {
            let facts = PolicyFacts {
                now: now.parse().expect("a time"),
                message: message.to_owned(),
                deployer_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                served_ms: served.map(|ms| ("staging".parse().expect("a label"), ms)).into_iter().collect(),
                ..PolicyFacts::default()
            };
            assert_eq!(unmet(&strict, &facts), expected, "{now} {message} {roles:?} {served:?}");
        };
        check("2026-12-01T00:00:00Z", "OPS-7", &["releaser"], Some(3_600_000), &[]);
        check("2026-12-01T00:00:00Z", "ops", &["author"], None, &[K::Deployers, K::After, K::Message]);
        check("2026-12-24T00:00:00Z", "OPS-7", &["releaser"], Some(3_599_999), &[K::After, K::Freeze]);
        check("2026-12-27T00:00:00Z", "OPS-7", &["releaser"], Some(i64::MAX), &[]);
    }

    #[test]
    fn weekly_freeze_applies_on_its_days_and_hours() {
        let weekend = policy(
            r#"{"name":"p","labels":"*","freeze":[{"days":["fri"],"from":"16:00","to":"24:00","why":"weekend"}]}"#,
        );
        let check = |now: &str, frozen| {
            let facts = PolicyFacts { now: now.parse().expect("a time"), ..PolicyFacts::default() };
            assert_eq!(!unmet(&weekend, &facts).is_empty(), frozen, "{now}");
        };
        check("2026-11-20T15:59:59Z", false);
        check("2026-11-20T16:00:00Z", true);
        check("2026-11-20T23:59:59Z", true);
        check("2026-11-21T00:00:00Z", false);
        check("2026-11-19T17:00:00Z", false);
    }

    #[test]
    fn high_risk_requires_approval_by_someone_else_or_is_blocked() {
        let risky = policy(r#"{"name":"p","labels":"*","risk":{"from":"high","block":["secrets"]}}"#);
        let facts = |severity, category, approvals: &[Approval]| PolicyFacts {
            findings: vec![finding(severity, category)],
            approvals: approvals.to_vec(),
            makers: ["ann".to_owned()].into(),
            ..PolicyFacts::default()
        };
        assert!(unmet(&risky, &facts(Severity::Medium, Category::Financial, &[])).is_empty());
        assert_eq!(unmet(&risky, &facts(Severity::High, Category::Financial, &[])), [K::RiskApproval]);
        let by = |who, role| [approval(who, role)];
        assert_eq!(
            unmet(&risky, &facts(Severity::High, Category::Financial, &by("ann", "compliance"))),
            [K::RiskApproval]
        );
        assert!(unmet(&risky, &facts(Severity::High, Category::Financial, &by("bob", "compliance"))).is_empty());
        assert_eq!(
            unmet(&risky, &facts(Severity::Critical, Category::Secrets, &by("bob", "compliance"))),
            [K::RiskBlock]
        );
    }

    #[test]
    fn common_message_patterns_are_valid_policies() {
        for (pattern, message) in [
            (r"OPS-[0-9]+", "OPS-7"),
            (r"\b[A-Z]{2,10}-\d+\b", "see OPS-12"),
            (r"^\w+: .{10,}", "fix: ask before a refund"),
            (r"(?i)\b(fix(es)?|close[sd]?) #\d{1,7}\b", "Closes #12"),
            (r"^(feat|fix|docs)(\([\w-]+\))?!?: .+", "feat(agent): ask twice"),
        ] {
            let wanted = serde_json::json!({ "name": "p", "labels": "*", "message": pattern });
            let policy = policy(&wanted.to_string());
            let facts = |message: &str| PolicyFacts { message: message.to_owned(), ..PolicyFacts::default() };
            assert_eq!(unmet(&policy, &facts(message)), [], "{pattern}");
            assert_eq!(unmet(&policy, &facts("x")), [K::Message], "{pattern}");
        }
    }

    #[test]
    fn invalid_policies_are_refused() {
        for json in [
            r#"{"name":"","labels":"*"}"#,
            r#"{"name":"p","labels":"latest"}"#,
            r#"{"name":"p","labels":"*","approvals":21}"#,
            r#"{"name":"p","labels":"*","message":"("}"#,
            r#"{"name":"p","labels":"*","message":"((a{0,900}){0,900}){0,900}"}"#,
            r#"{"name":"p","labels":"*","message":"^(?:[a-z]?){30}(?:[A-Z]{1,100}-\\d{1,100} ?)+.*"}"#,
            r#"{"name":"p","labels":"*","deployers":["No Role"]}"#,
            r#"{"name":"p","labels":"*","freeze":[{"days":[],"from":"10:00","to":"11:00"}]}"#,
        ] {
            assert!(LabelPolicy::new(serde_json::from_str(json).expect(json)).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<Policy>(r#"{"name":"p","labels":"*","aprovals":2}"#).is_err(), "a typo");
    }
}
