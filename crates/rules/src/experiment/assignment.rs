//! Assignment: the version that a subject with its attributes gets from a serving.
//!
//! A split has 10,000 slots; a subject's bucket is one of them, by SHA-256, so every language can compute it. A change
//! of weights moves as few slots as possible. It draws no random numbers: the caller provides one for a request without
//! a subject.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::serving::{ARMS_MAX, SLOTS, Serving, Slots, Target};

/// The result of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which version.
    pub version: u64,
    /// The matching rule; absent for the default.
    pub rule: Option<usize>,
    /// The slot of the split; absent for a fixed version.
    pub bucket: Option<u16>,
    /// Whether the same subject will get the same version again.
    pub sticky: bool,
}

/// Why weights are not a valid split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum AssignmentError {
    #[error("a split needs at least one version with a weight")]
    Empty,
    #[error("a split must have at most {ARMS_MAX} versions; this one has {count}")]
    TooMany { count: usize },
    #[error("the weight of version {version} is 0; leave the version out, or use a weight of at least 1")]
    Zero { version: u64 },
    #[error("the weight of version {version} is less than 1/{SLOTS} of the total; increase it")]
    TooLittle { version: u64 },
}

/// The slot of a subject: the first 8 bytes of SHA-256 of salt, `.` and subject as a big-endian number, modulo 10,000.
pub fn bucket(salt: &str, subject: &str) -> u16 {
    let digest = Sha256::new().chain_update(salt).chain_update(".").chain_update(subject).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    slot_of(number)
}

/// Divides the slots by relative weights, moving as few as possible from a previous table.
///
/// Slots are rounded to the largest remainder, then to the lower version. A version that shrinks gives up the
/// tails of its runs, the last run first; versions that grow take what is free, ascending.
///
/// # Errors
/// No version, too many, or one whose weight is less than a slot.
pub fn allocate(previous: Option<&[Slots]>, weights: &BTreeMap<u64, u32>) -> Result<Vec<Slots>, AssignmentError> {
    let mut wanted = quotas(weights)?;
    let mut owners: Vec<Option<u64>> = vec![None; usize::from(SLOTS)];
    for run in previous.unwrap_or_default() {
        let slots = usize::from(run.from)..usize::from(run.to.min(SLOTS));
        for owner in owners.get_mut(slots).unwrap_or_default() {
            *owner = Some(run.version);
        }
    }
    let mut held: BTreeMap<u64, u16> = BTreeMap::new();
    for version in owners.iter().flatten() {
        let held = held.entry(*version).or_insert(0);
        *held = held.saturating_add(1);
    }
    for owner in owners.iter_mut().rev() {
        let Some(version) = *owner else { continue };
        let Some(held) = held.get_mut(&version) else { continue };
        if *held > wanted.get(&version).copied().unwrap_or(0) {
            *held = held.saturating_sub(1);
            *owner = None;
        }
    }
    for (version, wanted) in &mut wanted {
        *wanted = wanted.saturating_sub(held.get(version).copied().unwrap_or(0));
    }
    let mut growing = wanted.into_iter().flat_map(|(version, slots)| std::iter::repeat_n(version, usize::from(slots)));
    for owner in &mut owners {
        *owner = owner.or_else(|| growing.next());
    }
    Ok(runs(&owners))
}

/// Number of slots of each version.
fn quotas(weights: &BTreeMap<u64, u32>) -> Result<BTreeMap<u64, u16>, AssignmentError> {
    if weights.len() > ARMS_MAX {
        return Err(AssignmentError::TooMany { count: weights.len() });
    }
    if let Some((version, _)) = weights.iter().find(|(_, weight)| **weight == 0) {
        return Err(AssignmentError::Zero { version: *version });
    }
    let total: u64 = weights.values().map(|weight| u64::from(*weight)).sum();
    let mut shares: Vec<(u64, u64, u16)> = Vec::with_capacity(weights.len());
    for (version, weight) in weights {
        // At most 2^32 times 10^4, and a quotient of at most 10^4.
        let scaled = u64::from(*weight).saturating_mul(u64::from(SLOTS));
        let whole = scaled.checked_div(total).and_then(|slots| u16::try_from(slots).ok()).unwrap_or(0);
        shares.push((*version, scaled.checked_rem(total).unwrap_or(0), whole));
    }
    if shares.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let given = shares.iter().fold(0_u16, |sum, (_, _, slots)| sum.saturating_add(*slots));
    let rest = usize::from(SLOTS.saturating_sub(given));
    shares.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (_, _, slots) in shares.iter_mut().take(rest) {
        *slots = slots.saturating_add(1);
    }
    match shares.iter().filter(|(_, _, slots)| *slots == 0).map(|(version, _, _)| *version).min() {
        Some(version) => Err(AssignmentError::TooLittle { version }),
        None => Ok(shares.into_iter().map(|(version, _, slots)| (version, slots)).collect()),
    }
}

/// Merges adjacent slots of one version.
fn runs(owners: &[Option<u64>]) -> Vec<Slots> {
    let mut runs: Vec<Slots> = Vec::new();
    for (slot, owner) in (0_u16..).zip(owners) {
        let Some(version) = *owner else { continue };
        let to = slot.saturating_add(1);
        match runs.last_mut() {
            Some(run) if run.version == version => run.to = to,
            _ => runs.push(Slots { version, from: slot, to }),
        }
    }
    runs
}

/// Whether a value matches a pattern, in which `*` stands for any text; everything else is literal.
///
/// Takes time linear in the value for each `*`-free part of the pattern at most once.
#[must_use]
pub fn matches(pattern: &str, value: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == value };
    let Some(mut value) = value.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match value.split_once(part) {
            Some((_, behind)) => value = behind,
            None => return false,
        }
    }
    value.ends_with(last)
}

/// Chooses the version that a serving gives a subject with these attributes.
///
/// Without a subject, or with an empty one, a split uses `random`, and the choice is not sticky. A rule with a missing
/// attribute does not match.
pub fn choose(serving: &Serving, subject: Option<&str>, attributes: &BTreeMap<String, String>, random: u64) -> Choice {
    let fits = |when: &BTreeMap<String, String>| {
        when.iter().all(|(name, pattern)| attributes.get(name).is_some_and(|value| matches(pattern, value)))
    };
    let matched = serving.rules.iter().enumerate().find(|(_, rule)| fits(&rule.when));
    let (rule, target) = match matched {
        Some((index, rule)) => (Some(index), &rule.target),
        None => (None, &serving.default),
    };
    match target {
        Target::Version(version) => Choice { version: *version, rule, bucket: None, sticky: true },
        Target::Split(split) => {
            let subject = subject.filter(|subject| !subject.is_empty());
            let slot = subject.map_or_else(|| slot_of(random), |subject| bucket(&split.salt, subject));
            // A valid split has every slot; otherwise the last run is used.
            let last = split.slots.last().map_or(0, |run| run.version);
            let version = split.at(slot).unwrap_or(last);
            Choice { version, rule, bucket: Some(slot), sticky: subject.is_some() }
        }
    }
}

fn slot_of(number: u64) -> u16 {
    u16::try_from(number % u64::from(SLOTS)).expect("a remainder of 10,000 fits 16 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::serving::{Rule, Split};

    #[test]
    fn buckets_and_versions_are_those_of_the_published_vectors() {
        #[derive(serde::Deserialize)]
        struct Vectors {
            slots: Vec<Slots>,
            vectors: Vec<Vector>,
        }
        #[derive(serde::Deserialize)]
        struct Vector {
            salt: String,
            subject: String,
            bucket: u16,
            version: u64,
        }
        let Vectors { slots, vectors } =
            serde_json::from_str(include_str!("../../../../fixtures/buckets.json")).expect("vectors");
        assert!(vectors.len() >= 20);
        for Vector { salt, subject, bucket: expected, version } in vectors {
            assert_eq!(bucket(&salt, &subject), expected, "{salt}.{subject}");
            let run = slots.iter().find(|run| (run.from..run.to).contains(&expected)).expect("a run");
            assert_eq!(run.version, version, "{salt}.{subject}");
        }
    }

    fn table(runs: &[(u64, u16, u16)]) -> Vec<Slots> {
        runs.iter().map(|(version, from, to)| Slots { version: *version, from: *from, to: *to }).collect()
    }

    fn weights(of: &[(u64, u32)]) -> BTreeMap<u64, u32> {
        of.iter().copied().collect()
    }

    #[test]
    fn slots_follow_weights_and_move_little() {
        let half = table(&[(7, 0, 5000), (8, 5000, 10_000)]);
        for (previous, of, expected) in [
            (None, weights(&[(7, 1)]), table(&[(7, 0, 10_000)])),
            (None, weights(&[(7, 99), (8, 1)]), table(&[(7, 0, 9900), (8, 9900, 10_000)])),
            (None, weights(&[(1, 1), (2, 1), (3, 1)]), table(&[(1, 0, 3334), (2, 3334, 6667), (3, 6667, 10_000)])),
            (Some(&half), weights(&[(7, 50), (8, 50)]), half.clone()),
            (Some(&half), weights(&[(7, 60), (8, 40)]), table(&[(7, 0, 5000), (8, 5000, 9000), (7, 9000, 10_000)])),
            (Some(&half), weights(&[(7, 40), (8, 60)]), table(&[(7, 0, 4000), (8, 4000, 10_000)])),
            (Some(&half), weights(&[(7, 50), (9, 50)]), table(&[(7, 0, 5000), (9, 5000, 10_000)])),
            (
                Some(&half),
                weights(&[(7, 40), (8, 40), (9, 20)]),
                table(&[(7, 0, 4000), (9, 4000, 5000), (8, 5000, 9000), (9, 9000, 10_000)]),
            ),
            (None, weights(&[(1, u32::MAX), (2, u32::MAX)]), table(&[(1, 0, 5000), (2, 5000, 10_000)])),
        ] {
            assert_eq!(allocate(previous.map(Vec::as_slice), &of), Ok(expected), "{of:?}");
        }
    }

    #[test]
    fn invalid_weights_give_the_reason() {
        let check = |of: BTreeMap<u64, u32>, part: &str| {
            let message = allocate(None, &of).expect_err(part).to_string();
            assert!(message.contains(part), "{message}");
        };
        check(weights(&[]), "at least one version");
        check((0..33).map(|version| (version, 1)).collect(), "at most 32 versions; this one has 33");
        check(weights(&[(7, 0), (8, 1)]), "the weight of version 7 is 0");
        check(weights(&[(7, 1_000_000), (8, 1)]), "the weight of version 8 is less than 1/10000");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn changing_weights_moves_as_few_slots_as_possible(
            steps in prop::collection::vec(prop::collection::btree_map(0_u64..40, 1_u32..1000, 1..ARMS_MAX), 1..6)
        ) {
            let mut table: Option<Vec<Slots>> = None;
            for of in steps {
                let next = allocate(table.as_deref(), &of).expect("weights that fit");
                let mut end = 0;
                for (index, run) in next.iter().enumerate() {
                    prop_assert!(run.from == end && run.to > run.from, "gapless and ascending");
                    prop_assert!(index == 0 || next[index - 1].version != run.version, "merged");
                    end = run.to;
                }
                prop_assert_eq!(end, SLOTS);
                let split = |slots: &[Slots]| Split { salt: String::new(), slots: slots.to_vec() };
                let now = split(&next);
                let counts = now.weights();
                let total: u64 = of.values().map(|weight| u64::from(*weight)).sum();
                for (version, weight) in &of {
                    let exact = f64::from(*weight) * 10_000.0 / f64::from(u32::try_from(total).expect("small weights"));
                    prop_assert!((f64::from(counts[version]) - exact).abs() < 1.0, "rounded by less than a slot");
                }
                if let Some(before) = table.as_deref().map(split) {
                    let moved = (0..SLOTS).filter(|slot| before.at(*slot) != now.at(*slot)).count();
                    let had = before.weights();
                    let growth: usize = counts
                        .iter()
                        .map(|(version, slots)| usize::from(slots.saturating_sub(had.get(version).copied().unwrap_or(0))))
                        .sum();
                    prop_assert_eq!(moved, growth);
                }
                prop_assert_eq!(&allocate(Some(&next), &of).expect("the same weights"), &next);
                table = Some(next);
            }
        }

        #[test]
        fn patterns_match_like_a_naive_implementation(pattern in "[ab*]{0,8}", value in "[ab]{0,10}") {
            fn slow(pattern: &[u8], value: &[u8]) -> bool {
                match (pattern, value) {
                    ([], _) => value.is_empty(),
                    ([b'*', rest @ ..], _) => (0..=value.len()).any(|from| slow(rest, &value[from..])),
                    ([p, rest @ ..], [v, behind @ ..]) => p == v && slow(rest, behind),
                    _ => false,
                }
            }
            prop_assert_eq!(matches(&pattern, &value), slow(pattern.as_bytes(), value.as_bytes()), "{} {}", pattern, value);
        }
    }

    #[test]
    fn patterns_are_literal_but_for_the_star() {
        for (pattern, value, expected) in [
            ("de", "de", true),
            ("de", "de-AT", false),
            ("de*", "de-AT", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("claude-*-4", "claude-opus-4", true),
            ("claude-*-4", "claude-4", false),
            ("a*a", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab*ab", "xabab", true),
            ("*ab*ab", "xab", false),
            ("d?", "de", false),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} {value}");
        }
        let pattern = format!("{}b", "a*".repeat(100));
        assert!(!matches(&pattern, &"a".repeat(1 << 20)));
    }

    #[test]
    fn serving_assigns_each_subject_one_version() {
        let split = |from: u64| {
            Target::Split(Split { salt: "s1".to_owned(), slots: table(&[(from, 0, 2000), (from + 1, 2000, SLOTS)]) })
        };
        let when = |of: &[(&str, &str)]| of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let serving = Serving {
            rules: vec![
                Rule { when: when(&[("locale", "de*"), ("tier", "power")]), target: Target::Version(9) },
                Rule { when: when(&[("locale", "de*")]), target: split(3) },
            ],
            default: split(1),
        };
        let choice = |version, rule, bucket, sticky| Choice { version, rule, bucket, sticky };
        for (subject, attributes, random, expected) in [
            (Some("user-42"), when(&[]), 0, choice(1, None, Some(1062), true)),
            (Some("user-43"), when(&[("locale", "en")]), 0, choice(2, None, Some(3157), true)),
            (Some("user-43"), when(&[("locale", "de-AT")]), 0, choice(4, Some(1), Some(3157), true)),
            (Some("user-43"), when(&[("locale", "de"), ("tier", "power")]), 0, choice(9, Some(0), None, true)),
            (None, when(&[]), 21_999, choice(1, None, Some(1999), false)),
            (Some(""), when(&[]), 22_000, choice(2, None, Some(2000), false)),
        ] {
            assert_eq!(choose(&serving, subject, &attributes, random), expected, "{subject:?} {attributes:?}");
        }
        assert_eq!(choose(&Serving::version(7), None, &when(&[]), 5), choice(7, None, None, true));
    }
}
