//! Patterns of names and of attributes: two lines are patterns, the third is a name.
#![no_main]

use bookholder::experiment::assignment;
use bookholder::model::pattern::Pattern;
use libfuzzer_sys::fuzz_target;

/// Longest name that the slow way of matching is tried with, in bytes.
const SLOW_BYTES_MAX: usize = 200;

/// The same, row by row: `*` is anything within a segment, `**` anything.
fn slow(pattern: &[u8], name: &[u8]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    let mut rest = pattern;
    while let Some(&first) = rest.first() {
        let wide = rest.starts_with(b"**");
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            let before = at.checked_sub(1);
            next[at] = if first == b'*' {
                row[at] || before.is_some_and(|before| next[before] && (wide || name[before] != b'/'))
            } else {
                before.is_some_and(|before| row[before] && name[before] == first)
            };
        }
        row = next;
        rest = &rest[if wide { 2 } else { 1 }..];
    }
    row[name.len()]
}

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let (one, other, name) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let _ = assignment::matches(one, name);
    let (Ok(one), Ok(other)) = (one.parse::<Pattern>(), other.parse::<Pattern>()) else { return };
    assert_eq!(one.to_string().parse::<Pattern>().expect("its own form"), one);
    for pattern in [&one, &other] {
        if name.len() <= SLOW_BYTES_MAX {
            assert_eq!(pattern.matches(name), slow(pattern.as_str().as_bytes(), name.as_bytes()));
        }
    }
    assert_eq!(one.may_overlap(&other), other.may_overlap(&one));
    if one.matches(name) && other.matches(name) {
        assert!(one.may_overlap(&other), "{one} {other}");
    }
});
