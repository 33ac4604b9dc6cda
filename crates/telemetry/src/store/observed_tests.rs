use super::tests::{NOON, SPOOL, block_on, counts, keep, record, recorded, reopen, response};
use super::*;
use crate::event::{Attribution, Event, Response, Unattributed};
use crate::observed::{OTHER, ObservedCounts};
use crate::system_text::SystemText;

const DAY_MS: i64 = 86_400_000;

fn unknown(id: &str, user: &str, text: &str, ms: i64) -> Response {
    Response {
        user: Some(user.to_owned()),
        attribution: Attribution::Unattributed(Unattributed::NoPrompt),
        system_text: SystemText::of([text]).map(|system| system.text),
        ..response(id, 1, ms)
    }
}

fn hello(name: &str) -> String {
    format!("You are the support agent of Globe. Say hello to {name} in a friendly way.")
}

/// The texts of the observed prompts and their calls.
fn observed(store: &TelemetryStore) -> Vec<(String, u64)> {
    let (prompts, _) = store.observed().expect("a read");
    let names: Vec<String> = (1..=16).map(|number| format!("var{number}")).collect();
    prompts.into_iter().map(|one| (one.pattern.template(&names), one.counts.calls)).collect()
}

fn other(store: &TelemetryStore) -> ObservedCounts {
    store.observed().expect("a read").1
}

#[test]
fn calls_without_a_version_are_observed_once_and_after_a_restart() {
    let (directory, store) = keep();
    let events = || {
        vec![
            recorded(unknown("a", "ann", &hello("Ann"), NOON)),
            recorded(unknown("b", "bob", &hello("Bob"), NOON + 1)),
            recorded(unknown("c", "bob", "Translate into French.", NOON + 2)),
            recorded(response("d", 1, NOON)),
        ]
    };
    record(&store, events());
    record(&store, events());
    let expected = [(hello("{{var1}}"), 2), ("Translate into French.".to_owned(), 1)];
    assert_eq!(observed(&store), expected);
    drop(store);
    let store = reopen(directory.path(), Role::Keep);
    record(&store, events());
    record(&store, vec![recorded(unknown("e", "eve", &hello("Eve"), NOON + 9))]);
    assert_eq!(observed(&store), [(hello("{{var1}}"), 3), ("Translate into French.".to_owned(), 1)]);
    let (prompts, _) = store.observed().expect("a read");
    let first = store.observed_prompt(prompts[0].id).expect("a read").expect("a prompt");
    assert_eq!((first.counts.first_ms, first.counts.last_ms, first.counts.cost_pico_usd), (NOON, NOON + 9, 15));
    assert_eq!(store.observed_prompt(OTHER).expect("a read"), None);
    let stored = store.response("a").expect("a read").expect("a response").response;
    assert_eq!((stored.system_text, stored.observed), (None, Some(first.id)));
}

#[test]
fn observed_prompt_that_was_adopted_says_which_version_it_became() {
    let (_directory, store) = keep();
    record(&store, vec![recorded(unknown("a", "ann", &hello("Ann"), NOON))]);
    let id = store.observed().expect("a read").0[0].id;
    let adopted = Adopted { prompt: "support/agent".parse().expect("a name"), version: 3 };
    assert!(block_on(store.adopt(id, adopted.clone())).expect("written"));
    assert!(!block_on(store.adopt(id + 1, adopted.clone())).expect("written"));
    assert!(!block_on(store.adopt(OTHER, adopted.clone())).expect("written"));
    record(&store, vec![recorded(unknown("b", "ann", &hello("Ann"), NOON))]);
    let found = store.observed_prompt(id).expect("a read").expect("a prompt").counts;
    assert_eq!((found.adopted, found.calls), (Some(adopted), 2));
}

#[test]
fn observed_prompts_expire_with_the_bodies_of_their_last_calls() {
    let (_directory, store) = keep();
    let old = NOON - 20 * DAY_MS;
    record(&store, vec![recorded(unknown("a", "ann", &hello("Ann"), old))]);
    record(&store, vec![recorded(unknown("b", "ann", "Translate into French.", old))]);
    record(&store, vec![recorded(unknown("c", "ann", "Translate into French.", NOON))]);
    let _expired = block_on(store.expire(Retention::default(), NOON)).expect("written");
    assert_eq!(observed(&store), [("Translate into French.".to_owned(), 2)]);
    record(&store, vec![recorded(unknown("d", "ann", &hello("Ann"), NOON))]);
    assert_eq!(observed(&store).len(), 2);
}

#[test]
fn text_goes_when_the_content_of_all_its_calls_is_erased_and_counts_stay() {
    let (_directory, store) = keep();
    record(
        &store,
        vec![
            recorded(unknown("a", "ann", "Say hello to Ann of 12 Long Street.", NOON)),
            recorded(unknown("b", "ann", "Translate into French.", NOON)),
            recorded(unknown("c", "bob", "Translate into French.", NOON)),
        ],
    );
    let before = counts(&store);
    for expected in [2, 0] {
        assert_eq!(block_on(store.erase(Erase::User("ann".to_owned()), NOON)).expect("written"), expected);
        assert_eq!(observed(&store), [("Translate into French.".to_owned(), 2)], "others sent it too");
    }
    block_on(store.erase(Erase::User("bob".to_owned()), NOON)).expect("written");
    assert_eq!((observed(&store), counts(&store) == before), (vec![], true));
}

#[test]
fn text_that_is_too_long_is_counted_with_others() {
    let (_directory, store) = keep();
    record(&store, vec![recorded(unknown("a", "ann", &"long ".repeat(10_000), NOON))]);
    assert_eq!((observed(&store), other(&store).calls), (vec![], 1));
    block_on(store.erase(Erase::User("ann".to_owned()), NOON)).expect("written");
    assert_eq!(other(&store).calls, 1);
}

#[test]
fn calls_at_two_replicas_are_observed_at_the_primary_as_if_they_had_come_there() {
    let calls = |from: u64| {
        let text = |number: u64| {
            if number.is_multiple_of(3) { "Translate into French.".to_owned() } else { hello(&format!("N{number}")) }
        };
        (from..from + 6).map(move |number| recorded(unknown(&number.to_string(), "ann", &text(number), NOON))).collect()
    };
    let (_direct_directory, direct) = keep();
    let (_primary_directory, primary) = keep();
    let mut batches = Vec::new();
    for from in [0, 3, 6] {
        record(&direct, calls(from));
        let directory = tempfile::tempdir().expect("a directory");
        let spool = reopen(directory.path(), SPOOL);
        record(&spool, calls(from));
        batches.push(spool.spooled().expect("batches").remove(0));
    }
    for sent in batches.iter().rev().chain(&batches) {
        let batch = SentBatch::decode(1, sent.number, &sent.batch).expect("a batch");
        block_on(primary.merge(sent.id, batch, NOON)).expect("merged");
    }
    let counted = |store: &TelemetryStore| {
        let mut all = store.observed().expect("a read").0;
        all.sort_by_key(|one| one.counts.calls);
        all.into_iter().map(|one| (one.pattern, one.counts)).collect::<Vec<_>>()
    };
    assert_eq!(counted(&primary), counted(&direct));
    assert_eq!(observed(&primary).iter().map(|(_, calls)| calls).sum::<u64>(), 12, "sent twice, counted once");
}

#[test]
fn spool_that_is_half_full_leaves_texts_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = reopen(directory.path(), Role::Spool { bytes_max: 400 });
    for number in 0..3 {
        let _full =
            block_on(spool.record(vec![recorded(unknown(&number.to_string(), "ann", &hello("Ann"), NOON))], NOON));
    }
    assert!(spool.spool().expect("a read").expect("a spool").bodies_dropped > 0);
    let batches = spool.spooled().expect("batches");
    let last = Batch::decode(&batches.last().expect("a batch").batch).expect("a batch");
    let Event::Response(response) = &last.events[0].event else { panic!("a response") };
    assert_eq!(response.system_text, None);
}
