use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::groups::{GroupLimits, Groups};
use super::*;
use crate::event::{Cost, CostSource, Tokens};
use crate::system_text::{SYSTEM_TEXT_BYTES_MAX, SentText, SystemText};

fn call(number: u64) -> Response {
    Response {
        ended_ms: i64::try_from(number).expect("small"),
        model_used: Some(format!("model-{}", number % 3)),
        tokens: Tokens { input: Some(number), output: Some(1), ..Tokens::default() },
        cost: number.is_multiple_of(2).then_some(Cost { pico_usd: number, source: CostSource::Reported }),
        error: number.is_multiple_of(5).then(|| "timeout".to_owned()),
        ..Response::default()
    }
}

fn sent(text: &str) -> SentText {
    SystemText::of([text]).expect("a text").text
}

fn shown(groups: &Groups) -> BTreeMap<String, ObservedCounts> {
    let shown = |(id, counts): (u64, &ObservedCounts)| {
        let text = groups.pattern(id).map_or_else(String::new, |(pattern, _)| {
            let names: Vec<String> = (1..=pattern.variables()).map(|number| format!("var{number}")).collect();
            pattern.template(&names)
        });
        (text, counts.clone())
    };
    groups.iter().filter(|(_, counts)| counts.calls > 0).map(shown).collect()
}

fn grouped<'t>(calls: impl IntoIterator<Item = (u64, &'t str)>) -> Groups {
    let mut groups = Groups::default();
    for (number, text) in calls {
        groups.add(&sent(text), &call(number));
    }
    groups
}

#[test]
fn calls_are_grouped_by_their_text_with_variables_where_texts_differ() {
    let groups = grouped([
        (1, "You are the support agent of Globe. Help Ann in a kind way."),
        (2, "Translate what follows into French, word by word."),
        (3, "You are the support agent of Globe. Help Bob in a kind way."),
        (4, "You are the support agent of Globe. Help Eve in a kind way."),
        (5, "Translate what follows into French, word by word."),
        (6, "x"),
    ]);
    let found = shown(&groups);
    let texts: Vec<&str> = found.keys().map(String::as_str).collect();
    let agent = "You are the support agent of Globe. Help {{var1}} in a kind way.";
    assert_eq!(texts, ["Translate what follows into French, word by word.", agent, "x"]);
    let counts = &found[agent];
    assert_eq!((counts.calls, counts.errors, counts.priced, counts.cost_pico_usd), (3, 0, 1, 4));
    assert_eq!((counts.input_tokens, counts.output_tokens, counts.first_ms, counts.last_ms), (8, 3, 1, 4));
    assert_eq!(counts.models, BTreeMap::from([("model-0".to_owned(), 1), ("model-1".to_owned(), 2)]));
}

#[test]
fn what_exceeds_a_limit_is_counted_together() {
    let mut groups = Groups::new(GroupLimits { groups: 2, bytes: 60 });
    let long = "y".repeat(SYSTEM_TEXT_BYTES_MAX + 1);
    for (number, text) in [
        (1, "Translate what follows into French."),
        (2, "Answer in one sentence, and never promise a refund."),
        (3, "Greet Ann."),
        (4, "Say nothing."),
        (5, long.as_str()),
        (6, "Greet Ann."),
    ] {
        groups.add(&sent(text), &call(number));
    }
    let found = shown(&groups);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["", "Greet Ann.", "Translate what follows into French."]);
    assert_eq!((found[""].calls, found["Greet Ann."].calls), (3, 2));
}

#[test]
fn many_models_and_calls_without_one_are_counted_together() {
    let mut counts = ObservedCounts::default();
    for number in 0..40 {
        counts.add(&Response { model_used: Some(format!("model-{number}")), ..call(number) });
    }
    counts.add(&Response { model_used: None, ..call(1) });
    assert_eq!((counts.models.len(), counts.models[OTHER_MODEL]), (MODELS_MAX + 1, 25));
}

#[test]
fn hostile_texts_are_grouped_within_the_limits() {
    let mut groups = Groups::default();
    let units = ["a ", "\u{202e}", "{{", "<script>", "\0", "é", "你", ".", "\n", "{{var1}} "];
    for (number, unit) in units.iter().enumerate() {
        for length in [1, 100, SYSTEM_TEXT_BYTES_MAX / unit.len() - 1] {
            let text = format!("{unit}x{}", unit.repeat(length));
            groups.add(&sent(&text), &call(u64::try_from(number).expect("small")));
        }
    }
    assert_eq!(groups.iter().map(|(_, counts)| counts.calls).sum::<u64>(), 30);
    // As many words as there can be, all of them different, and then almost the same ones in another order.
    let words: Vec<String> = (0..5_000).map(|number| format!("w{number}")).collect();
    let reversed: Vec<&str> = words.iter().rev().map(String::as_str).collect();
    groups.add(&sent(&words.join(" ")), &call(1));
    groups.add(&sent(&reversed.join(" ")), &call(1));
    groups.add(&sent(&format!("{} and more", words.join(" "))), &call(1));
    assert_eq!(groups.iter().filter(|(id, counts)| *id != OTHER && counts.calls == 2).count(), 1);
}

/// Texts that are not alike: each of words of its own.
fn texts() -> Vec<String> {
    (0..12).map(|text| (0..=text).map(|word| format!("word{text}x{word}")).collect::<Vec<_>>().join(" ")).collect()
}

proptest! {
    #[test]
    fn exact_texts_are_grouped_the_same_in_every_order_and_after_reading_back(
        calls in prop::collection::vec((any::<Index>(), 1..50_u64), 1..60),
        order in any::<u64>(),
        cut in any::<Index>(),
    ) {
        let texts = texts();
        let calls: Vec<(u64, &str)> = calls.iter().map(|(text, number)| (*number, text.get(&texts).as_str())).collect();
        let expected = grouped(calls.iter().copied());
        let mut shuffled = calls.clone();
        shuffled.sort_by_key(|(number, text)| blake3::hash(format!("{order}{number}{text}").as_bytes()).to_hex());
        let mut groups = Groups::default();
        let cut = cut.index(shuffled.len());
        for (at, (number, text)) in shuffled.iter().enumerate() {
            if at == cut {
                let mut restored = Groups::default();
                for (id, counts) in groups.iter() {
                    let (pattern, first) = groups.pattern(id).map_or((TextPattern::exact(String::new()), 0), |(pattern, first)| (pattern.clone(), first));
                    restored.restore(ObservedPrompt { id, pattern, counts: counts.clone() }, first);
                }
                groups = restored;
            }
            groups.add(&sent(text), &call(*number));
        }
        prop_assert_eq!(shown(&groups), shown(&expected));
        let ids = |groups: &Groups| groups.iter().map(|(id, _)| id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&groups), ids(&expected));
    }

    #[test]
    fn values_in_one_place_become_one_template_in_every_order(
        names in prop::collection::btree_set("[A-Z][a-z]{2,8}", 2..20),
        order in any::<u64>(),
    ) {
        let mut texts: Vec<String> =
            names.iter().map(|name| format!("You are the support agent of {name}. Answer in one sentence.")).collect();
        texts.sort_by_key(|text| blake3::hash(format!("{order}{text}").as_bytes()).to_hex());
        let groups = grouped(texts.iter().map(|text| (1, text.as_str())));
        let found = shown(&groups);
        prop_assert_eq!(
            found.iter().map(|(text, counts)| (text.as_str(), counts.calls)).collect::<Vec<_>>(),
            [("You are the support agent of {{var1}}. Answer in one sentence.", u64::try_from(names.len()).expect("small"))]
        );
    }
}
