use proptest::prelude::*;

use super::*;
use crate::experiment::assignment::{allocate, choose};
use crate::model::serving::Rule;

fn serving(json: &str) -> Serving {
    serde_json::from_str(json).expect(json)
}

fn numbers(grown: &[Growth]) -> Vec<u64> {
    grown.iter().map(|growth| growth.version).collect()
}

/// A target of weights: `2` or `1:99 2:1 salt`.
fn target(text: &str) -> String {
    if let Ok(version) = text.parse::<u64>() {
        return format!(r#""version":{version}"#);
    }
    let mut parts: Vec<&str> = text.split(' ').collect();
    let salt = parts.pop().expect("a salt");
    let weights = parts.iter().map(|part| part.split_once(':').expect("version:weight"));
    let weights = weights.map(|(v, w)| (v.parse().expect("a version"), w.parse().expect("a weight"))).collect();
    let split = Split { salt: salt.to_owned(), slots: allocate(None, &weights).expect("a split") };
    format!(r#""split":{}"#, serde_json::to_string(&split).expect("JSON"))
}

/// Rules, then the default: `country=DE -> 2; 1`.
fn of(text: &str) -> Serving {
    let mut parts: Vec<&str> = text.split("; ").collect();
    let default = target(parts.pop().expect("a default"));
    let rule = |part: &&str| {
        let (when, to) = part.split_once(" -> ").expect("a rule");
        let when: BTreeMap<&str, &str> = when.split(' ').map(|one| one.split_once('=').expect("a=b")).collect();
        format!(r#"{{"when":{},{}}}"#, serde_json::to_string(&when).expect("JSON"), target(to))
    };
    let rules: Vec<String> = parts.iter().map(rule).collect();
    serving(&format!(r#"{{"rules":[{}],{default}}}"#, rules.join(",")))
}

#[test]
fn version_grows_when_new_subjects_get_it() {
    let check = |from: &str, to: &str, expected: &[u64]| {
        let before = (!from.is_empty()).then(|| of(from));
        assert_eq!(numbers(&versions_gaining_traffic(before.as_ref(), &of(to))), expected, "{from} → {to}");
    };
    check("", "1", &[1]);
    check("1", "1", &[]);
    check("1", "2", &[2]);
    check("1", "1:1 2:1 s", &[2]);
    check("1:1 2:1 s", "1:99 2:1 s", &[1]);
    check("1:99 2:1 s", "2", &[2]);
    check("1:99 2:1 s", "1:1 2:1 s", &[2]);
    // The same weights with another salt have other subjects.
    check("1:99 2:1 s", "1:99 2:1 t", &[1, 2]);
    check("1", "1:99 2:1 t", &[2]);
    check("tester=no-such -> 2; 1", "2", &[2]);
    check("1", "tester=no-such -> 2; 1", &[2]);
    check("tester=no-such -> 2; 1", "1", &[1]);
    check("tester=no-such -> 2; 1", "tester=no-such -> 2; 3", &[3]);
    check("tester=no-such -> 2; 1", "locale=de -> 2; 1", &[1, 2]);
    // Only subjects that meet both conditions move from 2 to 3.
    check("a=1 -> 2; b=1 -> 3; 1", "b=1 -> 3; a=1 -> 2; 1", &[3]);
    check("a=1 -> 2; a=2 -> 3; 1", "a=2 -> 3; a=1 -> 2; 1", &[]);
}

#[test]
fn subjects_of_a_removed_rule_fall_through_to_later_rules() {
    let check = |from: &str, to: &str, expected: &[u64]| {
        assert_eq!(numbers(&versions_gaining_traffic(Some(&of(from)), &of(to))), expected, "{from} → {to}");
    };
    check("plan=* -> 1; country=DE -> 2; 1", "country=DE -> 2; 1", &[2]);
    check("plan=* -> 1; country=DE -> 2; 1", "plan=pro -> 1; country=DE -> 2; 1", &[2]);
    check("plan=* -> 1; country=DE -> 2; 1", "plan=* country=FR -> 1; country=DE -> 2; 1", &[2]);
    check("plan=* -> 1; country=DE -> 2; 1", "country=DE -> 2; plan=* -> 1; 1", &[2]);
    check("country=DE plan=* -> 1; country=DE -> 2; 1", "country=DE -> 2; 1", &[2]);
    check("country=DE -> 1; country=DE -> 2; 1", "country=DE -> 2; 1", &[2]);
}

#[test]
fn losing_subjects_does_not_grow_a_version() {
    let check = |from: &str, to: &str, expected: &[u64]| {
        assert_eq!(numbers(&versions_gaining_traffic(Some(&of(from)), &of(to))), expected, "{from} → {to}");
    };
    check("country=DE -> 2; locale=fr* -> 3; 1", "tester=yes -> 4; country=DE -> 2; locale=fr* -> 3; 1", &[4]);
    check("country=DE -> 2; locale=fr* -> 3; 1", "country=DE -> 2; tester=yes -> 4; locale=fr* -> 3; 1", &[4]);
    check("locale=fr* -> 3; 1", "locale=fr-CA -> 4; locale=fr* -> 3; 1", &[4]);
    // A rule after one that matches all its subjects reaches none.
    check("locale=fr* -> 3; 1", "locale=fr* -> 3; locale=fr-CA -> 4; 1", &[]);
    check("locale=de* -> 3; 1", "locale=de* -> 3; locale=fr* -> 4; 1", &[4]);
    // Rules without common subjects can be reordered without growth.
    check("locale=de* -> 2; locale=fr* -> 3; 1", "locale=fr* -> 3; locale=de* -> 2; 1", &[]);
    check("locale=*-CA -> 2; locale=*-US -> 3; 1", "locale=*-US -> 3; locale=*-CA -> 2; 1", &[]);
    check("1:50 2:30 3:20 s", "1:50 2:30 3:20 s", &[]);
}

#[test]
fn one_moved_slot_grows_only_its_receiver() {
    let split = |border: u16| {
        serving(&format!(
            r#"{{"split":{{"salt":"s","slots":[{{"version":1,"from":0,"to":{border}}},{{"version":2,"from":{border},"to":9000}},{{"version":3,"from":9000,"to":10000}}]}}}}"#
        ))
    };
    let grown = versions_gaining_traffic(Some(&split(5000)), &split(5001));
    assert_eq!(grown, [Growth { version: 1, instead_of: [2].into() }]);
    let grown = versions_gaining_traffic(Some(&split(5000)), &split(4999));
    assert_eq!(grown, [Growth { version: 2, instead_of: [1].into() }]);
    // The same weights in other slots have other subjects.
    let turned = serving(
        r#"{"split":{"salt":"s","slots":[{"version":2,"from":0,"to":4000},{"version":1,"from":4000,"to":9000},{"version":3,"from":9000,"to":10000}]}}"#,
    );
    assert_eq!(numbers(&versions_gaining_traffic(Some(&split(5000)), &turned)), [1, 2]);
}

#[test]
fn version_counts_as_deployed_at_a_tenth_of_every_rule() {
    let check = |text: &str, version, expected| assert_eq!(serves_share(&of(text), version), expected, "{text}");
    check("2", 2, true);
    check("x=y -> 2; 1", 2, false);
    check("1:90 2:10 s", 2, true);
    check("1:9001 2:999 s", 2, false);
    // A rule can match all subjects.
    check("tenant=* -> 1; 2", 2, false);
    check("tenant=* -> 1:90 2:10 s; 2", 2, true);
    check("tenant=* -> 2; 2", 2, true);
}

const PATTERNS: [&str; 9] = ["x", "y", "*", "x*", "*y", "x*y", "xy", "y*", "*x*"];
const VALUES: [&str; 8] = ["", "x", "y", "xy", "xxy", "yx", "z", "xz"];
const ATTRIBUTES: [&str; 3] = ["a", "b", "c"];

fn any_target() -> impl Strategy<Value = Target> {
    let split = (prop::collection::btree_map(1_u64..6, 1_u32..100, 1..4), 0..2_usize).prop_map(|(weights, salt)| {
        Target::Split(Split { salt: ["s", "t"][salt].to_owned(), slots: allocate(None, &weights).expect("a split") })
    });
    prop_oneof![2 => (1_u64..6).prop_map(Target::Version), 1 => split]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let when = prop::collection::btree_map(0..ATTRIBUTES.len(), 0..PATTERNS.len(), 1..3);
    (when, any_target()).prop_map(|(when, target)| {
        let when = when.into_iter().map(|(name, pattern)| (ATTRIBUTES[name].to_owned(), PATTERNS[pattern].to_owned()));
        Rule { when: when.collect(), target }
    })
}

fn any_serving() -> impl Strategy<Value = Serving> {
    (prop::collection::vec(any_rule(), 0..5), any_target()).prop_map(|(rules, default)| Serving { rules, default })
}

/// One typical edit of a serving.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Swap(usize, usize),
    Add(usize, Rule),
    Narrow(usize, usize, usize),
    Widen(usize),
    Retarget(usize, Target),
    Default(Target),
    Reweigh(BTreeMap<u64, u32>),
    Salt(usize),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..5_usize).prop_map(Edit::Remove),
        (0..5_usize, 0..5_usize).prop_map(|(a, b)| Edit::Swap(a, b)),
        (0..5_usize, any_rule()).prop_map(|(at, rule)| Edit::Add(at, rule)),
        (0..5_usize, 0..ATTRIBUTES.len(), 0..PATTERNS.len()).prop_map(|(at, a, p)| Edit::Narrow(at, a, p)),
        (0..5_usize).prop_map(Edit::Widen),
        (0..5_usize, any_target()).prop_map(|(at, target)| Edit::Retarget(at, target)),
        any_target().prop_map(Edit::Default),
        prop::collection::btree_map(1_u64..6, 1_u32..100, 1..4).prop_map(Edit::Reweigh),
        (0..3_usize).prop_map(Edit::Salt),
    ]
}

fn edited(mut serving: Serving, edit: Edit) -> Serving {
    let count = serving.rules.len();
    match edit {
        Edit::Remove(at) if at < count => drop(serving.rules.remove(at)),
        Edit::Swap(a, b) if a.max(b) < count => serving.rules.swap(a, b),
        Edit::Add(at, rule) => serving.rules.insert(at.min(count), rule),
        Edit::Narrow(at, name, pattern) if at < count => {
            serving.rules[at].when.insert(ATTRIBUTES[name].to_owned(), PATTERNS[pattern].to_owned());
        }
        Edit::Widen(at) if at < count && serving.rules[at].when.len() > 1 => {
            drop(serving.rules[at].when.pop_first());
        }
        Edit::Retarget(at, target) if at < count => serving.rules[at].target = target,
        Edit::Default(target) => serving.default = target,
        Edit::Reweigh(weights) => {
            if let Target::Split(split) = &mut serving.default {
                split.slots = allocate(Some(&split.slots), &weights).expect("a split");
            }
        }
        Edit::Salt(number) => {
            if let Target::Split(split) = &mut serving.default {
                split.salt = ["s", "t", "u"][number].to_owned();
            }
        }
        _ => {}
    }
    serving
}

fn any_pair() -> impl Strategy<Value = (Serving, Serving)> {
    let edits = prop::collection::vec(any_edit(), 0..4);
    let close = (any_serving(), edits).prop_map(|(from, edits)| (from.clone(), edits.into_iter().fold(from, edited)));
    prop_oneof![3 => close, 1 => (any_serving(), any_serving())]
}

/// All possible subjects, as far as rules over these patterns distinguish them.
fn everybody() -> Vec<BTreeMap<String, String>> {
    let mut all = vec![BTreeMap::new()];
    for name in ATTRIBUTES {
        let more = |subject: &BTreeMap<String, String>| {
            let subject = subject.clone();
            VALUES.map(move |value| {
                let mut subject = subject.clone();
                subject.insert(name.to_owned(), value.to_owned());
                subject
            })
        };
        let added: Vec<_> = all.iter().flat_map(more).collect();
        all.extend(added);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn new_subjects_of_a_version_count_as_growth((from, to) in any_pair(), subjects in prop::collection::vec(0_u32..10_000, 3)) {
        let grown = versions_gaining_traffic(Some(&from), &to);
        let mut asking: Vec<Option<String>> = subjects.iter().map(|number| Some(format!("user-{number}"))).collect();
        asking.push(None);
        for attributes in everybody() {
            for (subject, random) in asking.iter().zip(subjects.iter().chain([&7])) {
                let random = u64::from(*random);
                let had = choose(&from, subject.as_deref(), &attributes, random).version;
                let gets = choose(&to, subject.as_deref(), &attributes, random).version;
                let known = grown.iter().find(|growth| growth.version == gets);
                prop_assert!(
                    had == gets || known.is_some_and(|growth| growth.instead_of.contains(&had)),
                    "{:?} {:?}: {} → {}, but {:?} grow from {} to {}", subject, attributes, had, gets, grown, from, to
                );
            }
        }
    }

    #[test]
    fn equal_servings_have_no_growth(serving in any_serving()) {
        prop_assert_eq!(versions_gaining_traffic(Some(&serving), &serving), Vec::new());
    }

    #[test]
    fn contained_patterns_match_no_more(pattern in "[ab*]{0,6}", narrower in "[ab*]{0,6}", value in "[ab]{0,8}") {
        if contains(&pattern, &narrower) && matches(&narrower, &value) {
            prop_assert!(matches(&pattern, &value), "{} in {}: {}", narrower, pattern, value);
        }
        if disjoint(&pattern, &narrower) {
            prop_assert!(!(matches(&pattern, &value) && matches(&narrower, &value)), "{} {} {}", pattern, narrower, value);
        }
    }
}

/// How often a version is reported to grow without new subjects, for servings whose subjects can be enumerated: whole
/// versions, no splits.
#[test]
fn false_growth_is_rare() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let whole = |serving: Serving| {
        let plain = |target: Target| match target {
            Target::Split(split) => Target::Version(split.slots[0].version),
            version @ Target::Version(_) => version,
        };
        let rules = serving.rules.into_iter().map(|rule| Rule { target: plain(rule.target), ..rule }).collect();
        Serving { rules, default: plain(serving.default) }
    };
    let (mut said, mut for_nothing) = (0_u32, 0_u32);
    for _ in 0..400 {
        let (from, to) = any_pair().new_tree(&mut runner).expect("a value").current();
        let (from, to) = (whole(from), whole(to));
        let new: BTreeSet<u64> = everybody()
            .iter()
            .map(|who| (choose(&from, None, who, 0).version, choose(&to, None, who, 0).version))
            .filter(|(had, gets)| had != gets)
            .map(|(_, gets)| gets)
            .collect();
        for growth in versions_gaining_traffic(Some(&from), &to) {
            said += 1;
            for_nothing += u32::from(!new.contains(&growth.version));
        }
    }
    assert!(said > 200, "{said}");
    assert!(for_nothing * 20 <= said, "{for_nothing} of {said} grow for nobody");
    println!("{for_nothing} of {said} versions grow for nobody");
}
