//! What a change of a serving means for its versions: which of them reach more than they did.

use std::collections::BTreeSet;

use crate::model::serving::{SLOTS, Serving, Target};

/// Share of a label's default that counts as having been tried there, in slots of 10,000: a tenth.
const TRIED_SLOTS: u16 = SLOTS / 10;

/// The versions that reach somebody through `to` whom they did not reach through `from`, ascending.
///
/// A rule and the default are looked at each by itself: a version grows there when its share does. A rule that is new is
/// compared with the default that its subjects had, a default also with the rules whose subjects fall to it; where the
/// order of rules changed, everything counts as new.
#[must_use]
pub fn growing(from: Option<&Serving>, to: &Serving) -> Vec<u64> {
    let Some(from) = from else { return to.versions() };
    let kept = |of: &Serving, other: &Serving| -> Vec<_> {
        let is_there = |when: &_| other.rules.iter().any(|rule| rule.when == *when);
        of.rules.iter().map(|rule| rule.when.clone()).filter(is_there).collect()
    };
    if kept(from, to) != kept(to, from) {
        return to.versions();
    }
    let mut grown = BTreeSet::new();
    for rule in &to.rules {
        match from.rules.iter().find(|before| before.when == rule.when) {
            Some(before) => grow(&mut grown, &[&before.target], &rule.target),
            // Its subjects may have been anybody's, those of other rules among them.
            None => grow(&mut grown, &targets(from), &rule.target),
        }
    }
    let gone = from.rules.iter().filter(|before| to.rules.iter().all(|rule| rule.when != before.when));
    let fed: Vec<&Target> = gone.map(|rule| &rule.target).chain([&from.default]).collect();
    grow(&mut grown, &fed, &to.default);
    grown.into_iter().collect()
}

/// Whether a serving tries a version on enough of everybody to count as served.
#[must_use]
pub fn tries(serving: &Serving, version: u64) -> bool {
    share(&serving.default, version) >= TRIED_SLOTS
}

fn targets(serving: &Serving) -> Vec<&Target> {
    serving.rules.iter().map(|rule| &rule.target).chain([&serving.default]).collect()
}

fn grow(grown: &mut BTreeSet<u64>, before: &[&Target], now: &Target) {
    let versions = match now {
        Target::Version(number) => vec![*number],
        Target::Split(split) => split.weights().into_keys().collect(),
    };
    for version in versions {
        let least = before.iter().map(|target| share(target, version)).min().unwrap_or_default();
        if share(now, version) > least {
            grown.insert(version);
        }
    }
}

fn share(target: &Target, version: u64) -> u16 {
    match target {
        Target::Version(number) if *number == version => SLOTS,
        Target::Version(_) => 0,
        Target::Split(split) => split.weights().get(&version).copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(json: &str) -> Serving {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn a_version_grows_where_its_share_does() {
        const HALF: &str =
            r#"{"split":{"salt":"s","slots":[{"version":1,"from":0,"to":5000},{"version":2,"from":5000,"to":10000}]}}"#;
        const CANARY: &str =
            r#"{"split":{"salt":"s","slots":[{"version":1,"from":0,"to":9900},{"version":2,"from":9900,"to":10000}]}}"#;
        let check = |from: &str, to: &str, expected: &[u64]| {
            let from = (!from.is_empty()).then(|| serving(from));
            assert_eq!(growing(from.as_ref(), &serving(to)), expected, "{from:?} {to}");
        };
        check("", r#"{"version":1}"#, &[1]);
        check(r#"{"version":1}"#, r#"{"version":1}"#, &[]);
        check(r#"{"version":1}"#, r#"{"version":2}"#, &[2]);
        check(r#"{"version":1}"#, HALF, &[2]);
        check(HALF, CANARY, &[1]);
        check(CANARY, r#"{"version":2}"#, &[2]);
        check(CANARY, HALF, &[2]);
        let ruled = r#"{"rules":[{"when":{"tester":"no-such"},"version":2}],"version":1}"#;
        check(r#"{"version":1}"#, ruled, &[2]);
        check(ruled, r#"{"version":2}"#, &[2]);
        check(ruled, r#"{"version":1}"#, &[1]);
        check(ruled, r#"{"rules":[{"when":{"tester":"no-such"},"version":2}],"version":3}"#, &[3]);
        check(ruled, r#"{"rules":[{"when":{"locale":"de"},"version":2}],"version":1}"#, &[1, 2]);
        let two = r#"{"rules":[{"when":{"a":"1"},"version":2},{"when":{"b":"1"},"version":3}],"version":1}"#;
        let turned = r#"{"rules":[{"when":{"b":"1"},"version":3},{"when":{"a":"1"},"version":2}],"version":1}"#;
        check(two, turned, &[1, 2, 3]);
        check(two, two, &[]);
    }

    #[test]
    fn a_rule_that_may_match_nobody_tries_nothing() {
        let check = |json: &str, version, expected| assert_eq!(tries(&serving(json), version), expected, "{json}");
        check(r#"{"version":2}"#, 2, true);
        check(r#"{"rules":[{"when":{"x":"y"},"version":2}],"version":1}"#, 2, false);
        check(
            r#"{"split":{"salt":"s","slots":[{"version":1,"from":0,"to":9000},{"version":2,"from":9000,"to":10000}]}}"#,
            2,
            true,
        );
        check(
            r#"{"split":{"salt":"s","slots":[{"version":1,"from":0,"to":9001},{"version":2,"from":9001,"to":10000}]}}"#,
            2,
            false,
        );
    }
}
