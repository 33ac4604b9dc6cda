//! The file: written, read again after it was closed, and cleaned up.

use super::*;
use crate::model::content_id::ContentId;
use crate::model::evaluation::{CaseVerdict, Evaluated, RunState, RunSummary, Side, SuiteRef};
use crate::model::suite::{Budget, GateRule};
use crate::model::time::Timestamp;

fn run(id: u64, prompt: &str) -> Run {
    Run {
        id,
        candidate: Evaluated {
            prompt: prompt.parse().expect("a name"),
            version: Some(1),
            content_id: ContentId::of(b"{}"),
        },
        baseline: None,
        suite: SuiteRef { name: "regress".to_owned(), number: 1, id: ContentId::of(b"[]") },
        models: Vec::new(),
        repeats: 1,
        budget: Budget::default(),
        gate: GateRule::default(),
        by: "ann".to_owned(),
        at: Timestamp::from_ms(1_000),
        ended: None,
        state: RunState::Queued,
        decides_gate: true,
        change_request: None,
        reason: None,
        summary: RunSummary::default(),
        comparison: None,
        verdict: None,
        imported_from: None,
        results_removed: None,
        stale: None,
    }
}

fn result(case: &str) -> CaseResult {
    CaseResult {
        case: case.to_owned(),
        model: "local:tiny".parse().expect("a model"),
        repeat: 0,
        side: Side::Candidate,
        verdict: CaseVerdict::Passed,
        score: 1.0,
        error: None,
        answer: Some(Answer { text: "a long answer ".repeat(100), ..Answer::default() }),
        scorers: Vec::new(),
        judging: Usd::default(),
        judges: Vec::new(),
    }
}

/// Opens a file whose writer thread is about to end.
fn reopened(directory: &Path) -> EvaluationStore {
    loop {
        match EvaluationStore::open(directory) {
            Err(error) if error.is_in_use() => std::thread::yield_now(),
            opened => return opened.expect("a file"),
        }
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_the_file_is_opened_again() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let store = EvaluationStore::open(directory.path()).expect("a file");
        let id = store.next_run();
        let failed = CaseResult { side: Side::Baseline, verdict: CaseVerdict::Failed, ..result("b") };
        let changes = vec![
            Change::Run(Box::new(run(id, "support/agent"))),
            Change::Plan { run: id, plan: b"{}".to_vec() },
            Change::Result { run: id, place: 0, result: Box::new(result("a")) },
            Change::Result { run: id, place: 2, result: Box::new(result("b")) },
            Change::Result { run: id, place: 3, result: Box::new(failed) },
            Change::Answer { key: [7; 32], at_ms: 5_000, answer: Box::default() },
        ];
        store.apply(changes).await.expect("written");
    }
    let store = reopened(directory.path());
    assert_eq!(store.run(1).expect("read"), Some(run(1, "support/agent")));
    assert_eq!(store.unfinished().expect("read"), [(1, b"{}".to_vec())]);
    assert_eq!(store.result(1, 2).expect("read"), Some(result("b")));
    let places = |from, filter| {
        let mut places = Vec::new();
        let visit = |place, _| {
            places.push(place);
            true
        };
        store.visit_results(1, from, filter, visit).expect("read");
        places
    };
    let of = |verdict, side| ResultFilter { verdict, side };
    assert_eq!(places(1, ResultFilter::default()), [2, 3]);
    assert_eq!(places(0, of(Some(CaseVerdict::Passed), None)), [0, 2]);
    assert_eq!(places(0, of(Some(CaseVerdict::Failed), Some(Side::Baseline))), [3]);
    assert!(places(0, of(Some(CaseVerdict::Failed), Some(Side::Candidate))).is_empty());
    assert_eq!(store.places(1).expect("read"), [0, 2, 3].into());
    assert_eq!(store.next_run(), 2, "numbers go on");
    let young = store.answer(&[7; 32], 5_000 + ANSWER_LIFE_MS).expect("read");
    assert_eq!(young, Some((5_000, Answer::default())));
    assert_eq!(store.answer(&[7; 32], 5_001 + ANSWER_LIFE_MS).expect("read"), None, "too old");
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_by_prompt() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EvaluationStore::open(directory.path()).expect("a file");
    for (id, prompt) in [(1, "a"), (2, "b"), (3, "a"), (4, "a")] {
        store.apply(vec![Change::Run(Box::new(run(id, prompt)))]).await.expect("written");
    }
    let ids = |prompt: Option<&str>, before, limit| {
        let prompt = prompt.map(|name| name.parse().expect("a name"));
        let found = store.runs(prompt.as_ref(), before, limit, |_| true).expect("read");
        found.iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, u64::MAX, 10), [4, 3, 2, 1]);
    assert_eq!(ids(None, 4, 2), [3, 2]);
    assert_eq!(ids(Some("a"), u64::MAX, 2), [4, 3]);
    store.apply(vec![Change::Remove(3)]).await.expect("written");
    assert_eq!(ids(Some("a"), u64::MAX, 10), [4, 1]);
}

#[tokio::test]
async fn old_results_are_removed_and_their_run_stays_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EvaluationStore::open(directory.path()).expect("a file");
    let over = |id, ended_ms| {
        let ended = Some(Timestamp::from_ms(ended_ms));
        let mut over = Run { state: RunState::Finished, ended, ..run(id, "a") };
        over.summary.flaky = (0..80).map(|n| format!("case {n}")).collect();
        Change::Run(Box::new(over))
    };
    let unfinished = Run { state: RunState::Running, ..run(3, "a") };
    let mut changes = vec![over(1, 1_000), over(2, 5_000), Change::Run(Box::new(unfinished)), over(4, 1_000)];
    // The gate of the fourth could not be recorded yet.
    changes.push(Change::Plan { run: 4, plan: vec![1] });
    for id in 1..=4 {
        changes.extend((0..3).map(|place| Change::Result { run: id, place, result: Box::new(result("a")) }));
    }
    store.apply(changes).await.expect("written");
    assert_eq!(store.runs_to_clear(2_000, 0, 10).expect("read"), [1]);
    assert_eq!(store.runs_to_clear(9_000, 0, 10).expect("read"), [1, 2]);
    assert_eq!(store.runs_to_clear(9_000, 0, 1).expect("read"), [1]);
    assert_eq!(store.runs_to_clear(0, 1, 10).expect("read"), [1], "the oldest are enough");
    assert_eq!(store.runs_to_clear(0, u64::MAX, 10).expect("read"), [1, 2], "the others did not end");
    store.apply(vec![Change::RemoveResults { run: 1, now_ms: 9_000 }]).await.expect("written");
    store.apply(vec![Change::RemoveResults { run: 3, now_ms: 9_000 }]).await.expect("written");
    let places = |run| store.places(run).expect("read").len();
    assert_eq!((places(1), places(2), places(3)), (0, 3, 3), "a run that goes on keeps its results");
    let left = store.run(1).expect("read").expect("a run");
    assert_eq!((left.results_removed, left.summary.flaky.len()), (Some(Timestamp::from_ms(9_000)), 50));
    assert_eq!(store.runs_to_clear(9_000, 0, 10).expect("read"), [2]);
}

#[tokio::test]
async fn answers_and_runs_beyond_a_limit_are_found_oldest_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EvaluationStore::open(directory.path()).expect("a file");
    let answer = |key: u8, at_ms| Change::Answer { key: [key; 32], at_ms, answer: Box::default() };
    let finished = |id| Change::Run(Box::new(Run { state: RunState::Finished, ..run(id, "a") }));
    let mut changes = vec![answer(1, 1_000), answer(2, 2_000), answer(3, 3_000)];
    changes.extend((1..=4).map(finished));
    changes.push(Change::Plan { run: 1, plan: vec![1] });
    store.apply(changes).await.expect("written");
    let (results, answers) = store.bytes().expect("read");
    assert_eq!(results, 0);
    assert_eq!(store.answers_since(answers).expect("read"), i64::MIN);
    let since = store.answers_since(answers / 2).expect("read");
    store.apply(vec![Change::Expire { now_ms: 4_000, answers_since_ms: since }]).await.expect("written");
    let left = |key: u8| store.answer(&[key; 32], 4_000).expect("read").is_some();
    assert_eq!([left(1), left(2), left(3)], [false, false, true]);
    assert_eq!(store.runs_beyond(4, 10).expect("read"), [0; 0]);
    assert_eq!(store.runs_beyond(1, 10).expect("read"), [2, 3], "the first goes on");
    assert_eq!(store.runs_beyond(1, 1).expect("read"), [2]);
}

#[tokio::test]
async fn money_is_summed_by_person_and_day_and_forgotten_when_the_day_is_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EvaluationStore::open(directory.path()).expect("a file");
    let spend = |day, pico| Change::Spend { principal: "ann".to_owned(), day, cost: Usd::from_pico(pico) };
    store.apply(vec![spend(10, 5), spend(10, 6), spend(11, 1)]).await.expect("written");
    assert_eq!(store.spent("ann", 10).expect("read"), Usd::from_pico(11));
    assert_eq!(store.spent("bob", 10).expect("read"), Usd::default());
    store.apply(vec![Change::Expire { now_ms: 11 * 86_400_000, answers_since_ms: 0 }]).await.expect("written");
    assert_eq!(store.spent("ann", 10).expect("read"), Usd::default());
    assert_eq!(store.spent("ann", 11).expect("read"), Usd::from_pico(1));
}
