//! Finds what two lists of tokens have in common, in order: patience comparison.
//!
//! Tokens that both have once are its anchors; around them it goes on as long as both are equal, then within what is
//! left. It takes time in proportion to the lists, up to a logarithm and a few levels.

use std::collections::HashMap;
use std::ops::Range;

/// Levels of comparison within what is left.
const LEVELS_MAX: usize = 8;

/// Pairs of indexes of tokens that are the same, rising in both. A token that is `None` is like no other.
pub(super) fn align(a: &[Option<u32>], b: &[Option<u32>]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut work = vec![(0..a.len(), 0..b.len(), 0)];
    while let Some((mut left, mut right, level)) = work.pop() {
        let same = |i: usize, j: usize| matches!((a.get(i), b.get(j)), (Some(Some(a)), Some(Some(b))) if a == b);
        while !left.is_empty() && !right.is_empty() && same(left.start, right.start) {
            pairs.push((left.start, right.start));
            left.start += 1;
            right.start += 1;
        }
        while !left.is_empty() && !right.is_empty() && same(left.end - 1, right.end - 1) {
            left.end -= 1;
            right.end -= 1;
            pairs.push((left.end, right.end));
        }
        if left.is_empty() || right.is_empty() || level == LEVELS_MAX {
            continue;
        }
        let anchors = rising(&anchors(a, &left, b, &right));
        if anchors.is_empty() {
            continue;
        }
        let (mut from, mut to) = (left.start, right.start);
        for (i, j) in anchors {
            pairs.push((i, j));
            work.push((from..i, to..j, level + 1));
            (from, to) = (i + 1, j + 1);
        }
        work.push((from..left.end, to..right.end, level + 1));
    }
    pairs.sort_unstable();
    pairs
}

/// Where the tokens are that both ranges have exactly once, in the order of the first.
fn anchors(a: &[Option<u32>], left: &Range<usize>, b: &[Option<u32>], right: &Range<usize>) -> Vec<(usize, usize)> {
    let once = |tokens: &[Option<u32>], range: &Range<usize>| {
        let mut places: HashMap<u32, Option<usize>> = HashMap::new();
        for (index, token) in tokens.iter().enumerate().take(range.end).skip(range.start) {
            if let Some(token) = token {
                places.entry(*token).and_modify(|place| *place = None).or_insert(Some(index));
            }
        }
        places
    };
    let (of_a, of_b) = (once(a, left), once(b, right));
    let mut found: Vec<(usize, usize)> =
        of_a.into_iter().filter_map(|(token, place)| Some((place?, (*of_b.get(&token)?)?))).collect();
    found.sort_unstable();
    found
}

/// A longest list of these pairs that rises in the second number too.
fn rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The ends of the best lists of each length, and what comes before each pair.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    let second = |index: usize| pairs.get(index).map_or(usize::MAX, |pair| pair.1);
    for (index, pair) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| second(*end) < pair.1);
        before.push(length.checked_sub(1).and_then(|last| ends.get(last)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut found = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        found.extend(pairs.get(index).copied());
        at = before.get(index).copied().flatten();
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Option<u32>> {
        text.chars().map(|character| (character != '_').then_some(u32::from(character))).collect()
    }

    fn common(a: &str, b: &str) -> String {
        let all: Vec<char> = a.chars().collect();
        align(&tokens(a), &tokens(b)).into_iter().map(|(index, _)| all[index]).collect()
    }

    #[test]
    fn what_both_have_in_order_is_found() {
        for (a, b, expected) in [
            ("abc", "abc", "abc"),
            ("abc", "axc", "ac"),
            ("abcdef", "xbcdy", "bcd"),
            ("abxcd", "abcd", "abcd"),
            ("a_c", "a_c", "ac"),
            ("xaxbx", "yaybyb", "a"),
            ("", "abc", ""),
            ("abc", "xyz", ""),
        ] {
            assert_eq!(common(a, b), expected, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn pairs_rise_in_both_and_are_equal(a in "[a-e_]{0,40}", b in "[a-e_]{0,40}") {
            let (a, b) = (tokens(&a), tokens(&b));
            let pairs = align(&a, &b);
            prop_assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1), "{:?}", pairs);
            prop_assert!(pairs.iter().all(|(i, j)| a[*i].is_some() && a[*i] == b[*j]));
        }
    }
}
