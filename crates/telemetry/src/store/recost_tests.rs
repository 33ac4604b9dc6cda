use super::*;
use crate::api::prices::PriceSource;
use crate::event::{Attributed, AttributedBy, CostSource, Tokens, Unattributed};
use crate::model::content_id::ContentId;
use crate::price::PriceTable;
use crate::store::tests::counts;
use crate::store::{Recorded, Role, TelemetryStore};
use crate::system_text::SystemText;

/// Noon of a day.
const NOON: i64 = 1_790_078_400_000;

/// Prices of a model: the first pico-dollars per input token until noon, the second from then on.
fn book(until_noon: u64, from_noon: u64) -> Arc<PriceBook> {
    let noon = "2026-09-22T12:00:00Z";
    let model = |rate: u64, key: &str| serde_json::json!({"id": "made-up", key: noon, "tiers": [{"when": {}, "rate": {"input": rate, "output": rate}}]});
    let models = [model(until_noon, "valid_to"), model(from_noon, "valid_from")];
    let table = serde_json::json!({"schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token",
        "models": models});
    let table = PriceTable::read(table.to_string().as_bytes()).expect("a table");
    Arc::new(PriceBook::new([(PriceSource::Overrides, table)]))
}

/// A call of 100 tokens by a model that only the book of a test knows.
fn call(number: i64, prompt: &str, model: &str, cost: Option<Cost>) -> Response {
    Response {
        id: Some(format!("{prompt}-{number}")),
        ended_ms: NOON + number * 60_000,
        model_used: Some(model.to_owned()),
        tokens: Tokens { input: Some(90), output: Some(10), ..Tokens::default() },
        cost,
        attribution: Attribution::Version(Attributed {
            prompt: prompt.parse().expect("a name"),
            version: 1,
            content_id: ContentId::of(b"x"),
            label: None,
            arm: None,
            by: AttributedBy::Version,
        }),
        ..Response::default()
    }
}

fn reported(pico_usd: u64) -> Cost {
    Cost { pico_usd, source: CostSource::Reported }
}

/// Calls around noon of two prompts, of a model that is not known, and with a cost of their own.
fn calls() -> Vec<Response> {
    let mut calls: Vec<Response> = (-300..300).map(|number| call(number, "a", "made-up", None)).collect();
    calls.extend((0..40).map(|number| call(number, "b", "made-up", None)));
    calls.extend((40..50).map(|number| call(number, "b", "made-up", Some(reported(7)))));
    calls.push(call(60, "b", "another", None));
    calls
}

fn store_of(calls: impl IntoIterator<Item = Response>, book: &PriceBook) -> (tempfile::TempDir, TelemetryStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
    let priced = |mut response: Response| {
        response.cost = book.cost(&response);
        Recorded { event: Event::Response(Box::new(response)), repeat: None }
    };
    block_on(store.record(calls.into_iter().map(priced).collect(), NOON)).expect("recorded");
    (directory, store)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn task(book: &Arc<PriceBook>) -> Recost {
    Recost { book: Arc::clone(book), from_block: 0, since_ms: None, prompt: None, dry_run: false }
}

/// Runs to the end; the sums of all steps.
fn run(store: &TelemetryStore, task: &Recost) -> Recosted {
    let mut sum = Recosted::default();
    let mut task = task.clone();
    loop {
        let step = block_on(store.recost(task.clone())).expect("a step");
        sum.changed += step.changed;
        for (sum, step) in [(&mut sum.before, step.before), (&mut sum.after, step.after)] {
            sum.calls += step.calls;
            sum.priced += step.priced;
            sum.pico_usd += step.pico_usd;
        }
        match step.next {
            Some(next) => task.from_block = next,
            None => return sum,
        }
    }
}

#[test]
fn calls_cost_afterwards_what_they_would_have_cost_with_the_new_prices() {
    let (old, new) = (book(10, 20), book(30, 20));
    let (_one, recosted) = store_of(calls(), &old);
    let (_other, expected) = store_of(calls(), &new);
    assert_ne!(counts(&recosted), counts(&expected));
    let done = run(&recosted, &task(&new));
    // 300 calls before noon of 100 tokens each, at 10 and then at 30; 340 from noon on at 20, and 10 with their own cost.
    assert_eq!(done.changed, 300);
    assert_eq!(done.before, Spent { calls: 651, priced: 650, pico_usd: 300 * 1_000 + 340 * 2_000 + 70 });
    assert_eq!(done.after, Spent { calls: 651, priced: 650, pico_usd: 300 * 3_000 + 340 * 2_000 + 70 });
    assert_eq!(counts(&recosted), counts(&expected), "all levels, byte by byte");
    let cost = |store: &TelemetryStore, id: &str| store.response(id).expect("read").expect("there").response.cost;
    assert_eq!(cost(&recosted, "a--1"), cost(&expected, "a--1"), "with the id of the new table");
    assert_eq!(cost(&recosted, "a-1").map(|cost| cost.source), Some(old.source()), "what costs the same stays");
    assert_eq!(cost(&recosted, "b-45"), Some(reported(7)));
    let again = run(&recosted, &task(&new));
    assert_eq!((again.changed, again.before), (0, done.after), "and again changes nothing");
}

#[test]
fn unknown_costs_become_known_and_back() {
    let (nothing, known) = (Arc::new(PriceBook::new([])), book(10, 10));
    let (_directory, store) = store_of(calls(), &nothing);
    let before = counts(&store);
    let dry = run(&store, &Recost { dry_run: true, ..task(&known) });
    assert_eq!((dry.changed, dry.before.priced, dry.after.priced), (640, 10, 650));
    assert_eq!(counts(&store), before, "a dry run changes nothing");
    assert_eq!(run(&store, &task(&known)), dry);
    assert_ne!(counts(&store), before);
    run(&store, &task(&nothing));
    assert_eq!(counts(&store), before);
}

#[test]
fn only_calls_that_are_meant_are_priced_again() {
    let (old, new) = (book(10, 10), book(30, 30));
    let (_directory, store) = store_of(calls(), &old);
    let of_b = Recost { prompt: Some("b".parse().expect("a name")), ..task(&new) };
    let done = run(&store, &of_b);
    assert_eq!((done.changed, done.before.calls), (40, 51));
    let late = Recost { since_ms: Some(NOON + 290 * 60_000), ..task(&new) };
    assert_eq!(run(&store, &late).changed, 10);
}

#[test]
fn recosting_that_was_interrupted_is_completed_by_the_next_run() {
    let (old, new) = (book(10, 20), book(30, 40));
    // More blocks than one step does.
    let many = || (0..40 * 256).map(|number| call(number % 600 - 300, &format!("p{}", number % 7), "made-up", None));
    let many = || many().enumerate().map(|(number, call)| Response { id: Some(format!("r{number}")), ..call });
    let (directory, store) = store_of_batches(many(), &old);
    let step = block_on(store.recost(task(&new))).expect("a step");
    assert!(step.next.is_some() && step.changed > 0 && step.done < step.all, "{step:?}");
    // The process ends here; the next one begins from the start.
    drop(store);
    let store = reopened(&directory);
    let done = run(&store, &task(&new));
    assert!(done.changed > 0 && done.changed < 40 * 256, "{done:?}");
    let (_other, expected) = store_of_batches(many(), &new);
    assert_eq!(counts(&store), counts(&expected));
}

fn store_of_batches(
    calls: impl IntoIterator<Item = Response>,
    book: &PriceBook,
) -> (tempfile::TempDir, TelemetryStore) {
    let (directory, store) = store_of([], book);
    let mut calls = calls.into_iter().peekable();
    while calls.peek().is_some() {
        let batch = calls.by_ref().take(2_048).map(|mut response| {
            response.cost = book.cost(&response);
            Recorded { event: Event::Response(Box::new(response)), repeat: None }
        });
        block_on(store.record(batch.collect(), NOON)).expect("recorded");
    }
    (directory, store)
}

/// Opens a file that another handle has just let go of.
fn reopened(directory: &tempfile::TempDir) -> TelemetryStore {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match TelemetryStore::open(directory.path(), Role::Keep) {
            Ok(store) => return store,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    }
}

#[test]
fn costs_of_observed_prompts_are_corrected_with_those_of_their_calls() {
    let (old, new) = (book(10, 10), book(30, 30));
    let observed = (0..3).map(|number| Response {
        attribution: Attribution::Unattributed(Unattributed::NoPrompt),
        system_text: SystemText::of(["Translate the text into French."]).map(|system| system.text),
        ..call(number, "a", "made-up", None)
    });
    let (_directory, store) = store_of(observed, &old);
    let cost = || store.observed().expect("read").0.first().map(|one| one.counts.cost_pico_usd);
    assert_eq!(cost(), Some(3 * 1_000));
    assert_eq!(run(&store, &task(&new)).changed, 3);
    assert_eq!(cost(), Some(3 * 3_000));
    assert_eq!(run(&store, &task(&new)).changed, 0);
    assert_eq!(cost(), Some(3 * 3_000));
}

#[test]
fn call_that_was_counted_among_others_is_corrected_there() {
    let (old, new) = (book(10, 20), book(30, 20));
    // More environments than are counted apart; the last ones are counted together.
    let of =
        |number: i64| Response { environment: Some(format!("e{number}")), ..call(-1 - number, "a", "made-up", None) };
    let again = |store: &TelemetryStore| {
        let later = NOON + 10 * 86_400_000;
        let mut response = Response { id: Some("again".to_owned()), ended_ms: later, ..of(39) };
        response.cost = new.cost(&response);
        let event = Event::Response(Box::new(response));
        block_on(store.record(vec![Recorded { event, repeat: None }], later)).expect("recorded");
    };
    let (_one, recosted) = store_of((0..40).map(of), &old);
    let (_other, expected) = store_of((0..40).map(of), &new);
    again(&recosted);
    again(&expected);
    assert_eq!(run(&recosted, &task(&new)).changed, 40);
    assert_eq!(counts(&recosted), counts(&expected), "not where the same values are counted now");
}
