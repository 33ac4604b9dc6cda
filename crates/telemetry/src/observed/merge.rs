//! Makes one template of a template and a text: what both have stays, with a variable where they differ.

use std::collections::HashMap;

use super::align::align;
use super::tokens::tokens;
use crate::text_pattern::{TextPattern, WEIGHT_MIN, weight};

/// Most variables of a template.
const VARIABLES_MAX: usize = 16;
/// Fewest bytes of letters and digits between two variables, if there is no end of a line.
const BETWEEN_MIN: usize = 3;
/// What must be left of the larger text, as one in so many.
const SHARE_MIN: usize = 2;

/// One template of both, if they differ in a few places only: at least half of either is common, and enough to
/// recognize texts. `first_weight` is that of the text that the template began with.
pub(super) fn merge(pattern: &TextPattern, first_weight: usize, text: &str) -> Option<TextPattern> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut number = |token| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(token).or_insert(next)
    };
    let mut left: Vec<Option<u32>> = Vec::new();
    for (index, literal) in pattern.literals().iter().enumerate() {
        if index > 0 {
            // A variable, which is like nothing.
            left.push(None);
        }
        left.extend(tokens(literal).into_iter().map(|token| Some(number(token))));
    }
    let words = tokens(text);
    let right: Vec<Option<u32>> = words.iter().map(|token| Some(number(token))).collect();
    let pairs = align(&left, &right);
    let mut literals = vec![String::new()];
    let mut behind = (0, 0);
    for (i, j) in pairs {
        if (i, j) != behind {
            literals.push(String::new());
        }
        if let (Some(literal), Some(token)) = (literals.last_mut(), words.get(j)) {
            literal.push_str(token);
        }
        behind = (i + 1, j + 1);
    }
    if behind != (left.len(), right.len()) {
        literals.push(String::new());
    }
    let last = literals.len().saturating_sub(1);
    let mut index = 0;
    literals.retain(|literal| {
        let is_edge = index == 0 || index == last;
        index += 1;
        is_edge || literal.contains('\n') || weight(literal) >= BETWEEN_MIN
    });
    let merged = TextPattern::new(literals);
    let common = merged.weight();
    let larger = first_weight.max(weight(text));
    let fits = common >= WEIGHT_MIN && common.saturating_mul(SHARE_MIN) >= larger;
    (fits && merged.variables() <= VARIABLES_MAX).then_some(merged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(texts: &[&str]) -> Option<String> {
        let mut pattern = TextPattern::exact(texts[0].to_owned());
        for text in &texts[1..] {
            pattern = merge(&pattern, weight(texts[0]), text)?;
        }
        let names: Vec<String> = (1..=pattern.variables()).map(|number| format!("var{number}")).collect();
        Some(pattern.template(&names))
    }

    #[test]
    fn texts_that_differ_in_a_few_places_become_a_template() {
        for (texts, expected) in [
            (
                &["You are the support agent of Globe. Be kind.", "You are the support agent of Atlas. Be kind."][..],
                "You are the support agent of {{var1}}. Be kind.",
            ),
            (
                &[
                    "Today is 2026-11-28 and it is Friday. Help Ann Smith in a kind way.",
                    "Today is 2026-11-29 and it is Sunday. Help Bob in a kind way.",
                ],
                "Today is {{var1}} and it is {{var2}}. Help {{var3}} in a kind way.",
            ),
            (
                &["Be kind to whoever asks you.", "Be kind to whoever asks you. Be brief."],
                "Be kind to whoever asks you.{{var1}}",
            ),
            (
                &[
                    "Name: Ann\nCity: Rome\nSay hello in a friendly way.",
                    "Name: Bob\nCity: Oslo\nSay hello in a friendly way.",
                    "Name: Eve\nCity: Nice\nSay hello in a friendly way.",
                ],
                "Name: {{var1}}\nCity: {{var2}}\nSay hello in a friendly way.",
            ),
            (
                &["Answer user 17 (12:30:59) in one short sentence.", "Answer user 8 (9:01:05) in one short sentence."],
                "Answer user {{var1}}) in one short sentence.",
            ),
        ] {
            assert_eq!(merged(texts).as_deref(), Some(expected), "{texts:?}");
        }
    }

    #[test]
    fn texts_that_have_little_in_common_stay_apart() {
        for texts in [
            &["You are the support agent of Globe.", "Translate what follows into French."][..],
            &["Be kind.", "Be brief."],
            &["", "You are the support agent of Globe."],
            &[
                "You are an agent of Globe. Answer questions about orders, invoices and refunds in one sentence.",
                "You are an agent of Globe. Write release notes for engineers, with a list of changes at the end.",
            ],
        ] {
            assert_eq!(merged(texts), None, "{texts:?}");
        }
    }

    #[test]
    fn template_does_not_wear_away_by_small_steps() {
        let words = |from: usize| (from..from + 20).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ");
        let texts: Vec<String> = (0..20).step_by(2).map(words).collect();
        let mut pattern = TextPattern::exact(texts[0].clone());
        for text in &texts[1..] {
            if let Some(merged) = merge(&pattern, weight(&texts[0]), text) {
                pattern = merged;
            }
        }
        assert!(pattern.weight() * 2 >= weight(&texts[0]), "{pattern:?}");
    }

    proptest! {
        #[test]
        fn template_recognizes_every_text_that_it_was_made_of(texts in prop::collection::vec("[ab .\n]{0,20}you are the support agent of[a-c ,]{0,8}\\. be kind[a-c .]{0,20}", 2..6)) {
            let mut pattern = TextPattern::exact(texts[0].clone());
            let mut of = vec![texts[0].clone()];
            for text in &texts[1..] {
                let Some(merged) = merge(&pattern, weight(&texts[0]), text) else { continue };
                of.push(text.clone());
                pattern = merged;
                for text in &of {
                    prop_assert!(pattern.matches(text), "{:?} {:?}", pattern, text);
                }
            }
        }
    }
}
