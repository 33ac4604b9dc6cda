//! The output for requirements: met or not, and who can meet them.

use super::output::{BAD, DIM, GOOD, one_line, paint};
use crate::api::evaluations::DownstreamSuite;
use crate::api::govern::Reviewer;
use crate::model::verdict::{Requirement, RequirementKind};

/// One line per requirement, and one for who can meet it. Without a list of reviewers only roles are known.
pub fn lines(requirements: &[Requirement], reviewers: Option<&[Reviewer]>) -> String {
    let show = |demand: &Requirement| {
        let text = format!("policy {}: {}", demand.policy, demand.says);
        line(demand.met, &text, &who_could(demand, reviewers))
    };
    requirements.iter().map(show).collect()
}

/// One line for each suite of the prompts behind the one that is deployed, with how to run those that did not pass.
pub fn downstream(suites: &[DownstreamSuite]) -> String {
    let show = |DownstreamSuite { prompt, label, suite, passed, missing }: &DownstreamSuite| {
        let missing = if missing.is_empty() { String::new() } else { format!(" ({missing})") };
        let run = format!("bookholder eval run {prompt}@{label} --suite {suite}");
        let mut shown = line(*passed, &format!("feeds {prompt}@{label}: suite {suite}{missing}"), &[]);
        if !passed {
            shown.extend(["  ", &paint(DIM, format!("run it: {run}")), "\n"]);
        }
        shown
    };
    suites.iter().map(show).collect()
}

/// One line with a ✓ or ✗, and one more for who can change that, if known.
pub fn line(met: bool, says: &str, who: &[String]) -> String {
    let sign = if met { paint(GOOD, "✓") } else { paint(BAD, "✗") };
    let mut shown = format!("{sign} {}\n", one_line(says));
    if !met && !who.is_empty() {
        let who = one_line(&who.join(", "));
        shown.extend(["  ", &paint(DIM, format!("can be met by: {who}")), "\n"]);
    }
    shown
}

/// Who can meet a requirement: people if known, otherwise roles.
fn who_could(demand: &Requirement, reviewers: Option<&[Reviewer]>) -> Vec<String> {
    let by_review = matches!(demand.kind, RequirementKind::Approvals | RequirementKind::RiskApproval);
    let mut who = Vec::new();
    if let Some(reviewers) = reviewers.filter(|_| by_review) {
        let fits =
            |one: &&Reviewer| demand.roles.is_empty() || one.roles.iter().any(|role| demand.roles.contains(role));
        who.extend(reviewers.iter().filter(fits).map(|one| format!("{} ({})", one.name, one.roles.join(", "))));
    }
    if who.is_empty() {
        who.extend(demand.roles.iter().map(|role| format!("the role {role}")));
    }
    who
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmet_requirement_names_people_or_roles() {
        let demand = |kind, roles: &[&str]| Requirement {
            policy: "p".to_owned(),
            kind,
            met: false,
            says: "something".to_owned(),
            roles: roles.iter().map(ToString::to_string).collect(),
        };
        let reviewer = |name: &str, role: &str| Reviewer { name: name.to_owned(), roles: vec![role.to_owned()] };
        let known = [reviewer("cy", "compliance"), reviewer("bo", "releaser")];
        let check = |kind, roles: &[&str], reviewers: Option<&[Reviewer]>, expected: &[&str]| {
            assert_eq!(who_could(&demand(kind, roles), reviewers), expected, "{kind:?} {roles:?}");
        };
        check(RequirementKind::Approvals, &["compliance"], Some(&known), &["cy (compliance)"]);
        check(RequirementKind::Approvals, &[], Some(&known), &["cy (compliance)", "bo (releaser)"]);
        check(RequirementKind::RiskApproval, &["legal"], Some(&known), &["the role legal"]);
        check(RequirementKind::Approvals, &["compliance"], None, &["the role compliance"]);
        check(RequirementKind::Deployers, &["releaser"], Some(&known), &["the role releaser"]);
        check(RequirementKind::Freeze, &[], Some(&known), &[]);
        let met = Requirement { met: true, ..demand(RequirementKind::Gate, &["x"]) };
        assert!(!lines(&[met], None).contains("can be met by"));
    }
}
