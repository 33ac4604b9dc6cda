mod cardinality;
mod merging;
mod upkeep;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::codec::{encode_rollup, encode_spend};
use super::tables::{DAY_MS, META};
use super::*;
use crate::event::{
    Attributed, AttributedBy, Attribution, Body, Cost, CostSource, Event, Response, Score, ScoreTarget, ScoreValue,
    SpanContext, TOKENS_MAX, Tokens, Unattributed,
};
use crate::model::content_id::ContentId;
use crate::moments::Millionths;
use crate::rollup::{Rollup, SeriesOf, Spend, Total, Volume};

pub(super) const NOON: i64 = 1_790_000_000_000;
pub(super) const SPOOL: Role = Role::Spool { bytes_max: 1 << 30 };

pub(super) fn response(id: &str, version: u64, ms: i64) -> Response {
    Response {
        id: Some(id.to_owned()),
        ended_ms: ms,
        model_used: Some("gpt-5".to_owned()),
        tokens: Tokens { input: Some(100), output: Some(10), ..Tokens::default() },
        latency_us: Some(1_000_000),
        cost: Some(Cost { pico_usd: 5, source: CostSource::Reported }),
        attribution: Attribution::Version(Attributed {
            prompt: "support/agent".parse().expect("a name"),
            version,
            content_id: ContentId::of(b"x"),
            label: None,
            arm: None,
            by: AttributedBy::Version,
        }),
        ..Response::default()
    }
}

fn score(target: ScoreTarget, value: f64, ms: i64) -> Score {
    Score {
        target,
        name: "quality".to_owned(),
        value: ScoreValue::Number(Millionths::try_from(value).expect("a score")),
        evaluator: None,
        explanation: None,
        at_ms: ms,
        id: None,
    }
}

pub(super) fn recorded(event: impl Into<Event>) -> Recorded {
    Recorded { event: event.into(), repeat: None }
}

impl From<Response> for Event {
    fn from(response: Response) -> Self {
        Self::Response(Box::new(response))
    }
}

impl From<Score> for Event {
    fn from(score: Score) -> Self {
        Self::Score(score)
    }
}

/// Everything that is counted, in a form that two files can be compared by.
pub(super) fn counts(store: &TelemetryStore) -> BTreeMap<(String, usize, i64), Vec<u8>> {
    let mut all = BTreeMap::new();
    for (index, level) in [Level::Minute, Level::Hour, Level::Day].into_iter().enumerate() {
        for series in store.counts(Which::All, level, 0, i64::from(u32::MAX) * 60_000).expect("counts") {
            for bucket in series.buckets {
                let key = (format!("{:?}", series.series), index, bucket.from_ms);
                all.insert(key, encode_rollup(&bucket.rollup).expect("bytes"));
            }
        }
    }
    let totals = totals(store);
    assert_eq!(totals, sums(store), "each total is the sum of its series");
    let spend = spend_of_totals(store);
    assert!(totals.iter().all(|(key, rollup)| rollup.starts_with(spend.get(key).map_or(b"none", Vec::as_slice))));
    assert_eq!(spend.len(), totals.len(), "nothing is left of buckets that are gone");
    all.extend(totals.into_iter().map(|((total, level, at_ms), bytes)| ((format!("{total:?}"), level, at_ms), bytes)));
    all
}

/// Totals by level and start of the bucket, as bytes.
type Totals = BTreeMap<(Total, usize, i64), Vec<u8>>;

/// Everything, on each level.
const EVER: [Stretch; 3] = [ever(Level::Minute), ever(Level::Hour), ever(Level::Day)];

const fn ever(level: Level) -> Stretch {
    Stretch { level, from_ms: 0, to_ms: u32::MAX as i64 * 60_000 }
}

/// What is stored of totals.
fn totals(store: &TelemetryStore) -> Totals {
    let mut found = Totals::new();
    for (level, stretch) in EVER.into_iter().enumerate() {
        let visited = store.visit_totals(
            &[stretch],
            |_| true,
            |total, at_ms, rollup| {
                found.insert((total.clone(), level, at_ms), encode_rollup(&rollup).expect("bytes"));
                ControlFlow::Continue(())
            },
        );
        assert!(visited.expect("totals").is_continue());
    }
    found
}

/// Their calls and cost, read past all others.
fn spend_of_totals(store: &TelemetryStore) -> Totals {
    let mut found = Totals::new();
    for (level, stretch) in EVER.into_iter().enumerate() {
        let visited = store.visit_spend(
            &[stretch],
            |_| true,
            |total, at_ms, spend| {
                let Spend { calls, errors, priced, cost_pico_usd } = spend;
                let rollup = Rollup { calls, errors, priced, cost_pico_usd, ..Rollup::default() };
                found.insert((total.clone(), level, at_ms), encode_spend(&rollup).expect("bytes"));
                ControlFlow::Continue(())
            },
        );
        assert!(visited.expect("totals").is_continue());
    }
    found
}

/// The same, added up from the series.
fn sums(store: &TelemetryStore) -> Totals {
    let mut sums: BTreeMap<(Total, usize, i64), Rollup> = BTreeMap::new();
    for (level, stretch) in EVER.into_iter().enumerate() {
        for series in store.counts(Which::All, stretch.level, stretch.from_ms, stretch.to_ms).expect("counts") {
            for bucket in series.buckets {
                for total in [Total::All, Total::of(&series.series.of)] {
                    sums.entry((total, level, bucket.from_ms)).or_default().merge(&bucket.rollup);
                }
            }
        }
    }
    sums.into_iter().map(|(key, rollup)| (key, encode_rollup(&rollup).expect("bytes"))).collect()
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(super) fn keep() -> (tempfile::TempDir, TelemetryStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
    (directory, store)
}

pub(super) fn record(store: &TelemetryStore, events: Vec<Recorded>) -> Outcome {
    block_on(store.record(events, NOON)).expect("recorded")
}

fn outcome(recorded: u64, duplicates: u64) -> Outcome {
    Outcome { recorded, duplicates, too_old: 0 }
}

/// Merges a batch as it is sent.
fn merge(primary: &TelemetryStore, sent: &Spooled, first: u64) -> Result<u64, TelemetryError> {
    let batch = SentBatch::decode(first, sent.number, &sent.batch).expect("a batch");
    block_on(primary.merge(sent.id, batch, NOON))
}

#[test]
fn response_is_found_by_its_id_span_trace_and_session_with_its_scores() {
    let (_directory, store) = keep();
    let span = SpanContext { trace: [7; 16], span: [8; 8] };
    let one = Response {
        span: Some(span),
        session: Some("chat-1".to_owned()),
        body: Some(Box::new(Body { input: Some("hi".to_owned()), output: None })),
        ..response("resp-1", 1, NOON)
    };
    let two = Response {
        span: Some(SpanContext { span: [9; 8], ..span }),
        session: Some("chat-1".to_owned()),
        ..response("resp-2", 1, NOON + 5)
    };
    let judged = score(ScoreTarget::Response("resp-1".to_owned()), 0.5, NOON);
    record(&store, vec![recorded(two.clone()), recorded(one.clone()), recorded(judged.clone())]);
    let found = store.response("resp-1").expect("a read").expect("the response");
    assert_eq!((found.response, found.scores), (one.clone(), vec![judged]));
    assert_eq!(store.span(&span).expect("a read").expect("the response").response, one);
    let ids = |found: Vec<Found>| -> Vec<Option<String>> { found.into_iter().map(|found| found.response.id).collect() };
    let both = vec![Some("resp-1".to_owned()), Some("resp-2".to_owned())];
    assert_eq!(ids(store.trace(&[7; 16]).expect("a read")), both);
    assert_eq!(ids(store.session("chat-1").expect("a read")), both);
    assert_eq!(store.response("resp-3").expect("a read"), None);
    assert_eq!(store.newest(i64::MAX, 1, |_| true).expect("a read"), [two]);
}

/// Nice values of the threads with this name.
#[cfg(target_os = "linux")]
fn nice_values(name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir("/proc/self/task").expect("threads");
    let nice = |thread: PathBuf| {
        let of_thread = std::fs::read_to_string(thread.join("comm")).ok()?;
        let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
        // The name in parentheses is the second field, and can have spaces.
        let nice = stat.rsplit_once(") ")?.1.split(' ').nth(16)?;
        (of_thread.trim() == name).then(|| nice.parse().expect("a number"))
    };
    threads.filter_map(|thread| nice(thread.ok()?.path())).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn writer_thread_lets_others_go_first() {
    let (_directory, store) = keep();
    record(&store, vec![recorded(response("a", 1, NOON))]);
    let values = nice_values("telemetry");
    assert!(values.contains(&5), "{values:?}");
}

#[test]
fn duplicate_event_counts_once() {
    let (_directory, store) = keep();
    let judged = score(ScoreTarget::Response("a".to_owned()), 1.0, NOON);
    let events = || vec![recorded(response("a", 1, NOON)), recorded(judged.clone())];
    assert_eq!(record(&store, events()), outcome(2, 0));
    let before = counts(&store);
    assert_eq!(record(&store, events()), outcome(0, 2));
    let nameless = Recorded { event: Response { id: None, ..response("", 1, NOON) }.into(), repeat: Some([3; 16]) };
    assert_eq!(record(&store, vec![nameless.clone(), nameless]), outcome(1, 1));
    assert_ne!(counts(&store), before);
}

#[test]
fn score_that_comes_before_its_response_is_counted_with_it() {
    let (_early_directory, early) = keep();
    let (_late_directory, late) = keep();
    let judged = || recorded(score(ScoreTarget::Response("a".to_owned()), 0.25, NOON));
    record(&early, vec![judged()]);
    assert_eq!(early.holdings().expect("holdings").waiting_scores, 1);
    record(&early, vec![recorded(response("a", 2, NOON))]);
    record(&late, vec![recorded(response("a", 2, NOON)), judged()]);
    assert_eq!(early.holdings().expect("holdings").waiting_scores, 0);
    assert_eq!(counts(&early), counts(&late));
    assert_eq!(early.response("a").expect("a read").expect("the response").scores.len(), 1);
}

#[test]
fn spend_of_totals_is_that_of_their_rollups() {
    let (_directory, store) = keep();
    let failed = Response { error: Some("timeout".to_owned()), cost: None, ..response("b", 2, NOON) };
    record(&store, vec![recorded(response("a", 1, NOON)), recorded(failed)]);
    let of_all = || {
        let mut found = Vec::new();
        let visited = store.visit_spend(
            &EVER,
            |total| *total == Total::All,
            |_, at_ms, spend| {
                found.push((at_ms, spend));
                ControlFlow::Continue(())
            },
        );
        assert!(visited.expect("totals").is_continue());
        found
    };
    let among_few = of_all();
    let spends = among_few.iter().map(|(_, spend)| *spend).collect::<Vec<_>>();
    assert_eq!(spends, [Spend { calls: 2, errors: 1, priced: 1, cost_pico_usd: 5 }; 3]);
    // Among many, it is looked up by itself.
    let other = |number: i32| {
        let mut other = response(&format!("other-{number}"), 1, NOON + 7 * 86_400_000);
        if let Attribution::Version(version) = &mut other.attribution {
            version.prompt = format!("other-{number}").parse().expect("a name");
        }
        recorded(other)
    };
    record(&store, (0..20).map(other).collect());
    let later = among_few.iter().map(|(at_ms, _)| *at_ms).max();
    let among_many: Vec<_> = of_all().into_iter().filter(|(at_ms, _)| Some(*at_ms) <= later).collect();
    assert_eq!(among_many, among_few);
    counts(&store);
    let stopped = store.visit_spend(&EVER, |_| true, |_, _, _| ControlFlow::Break(()));
    assert!(stopped.expect("totals").is_break());
}

#[test]
fn newest_versions_with_calls_are_read_like_their_series_and_older_ones_are_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = reopen(directory.path(), Role::Keep);
    let call = |number: usize, version: u64, ended_ms: i64| {
        let model_used = Some(if number.is_multiple_of(3) { "gpt-5" } else { "gpt-5-mini" }.to_owned());
        recorded(Response { model_used, ..response(&format!("r-{number}"), version, ended_ms) })
    };
    // Version 300 needs two bytes, and has no calls on the day that is asked for.
    let mut events: Vec<Recorded> = (0..60).map(|number| call(number, [1, 7, 8, 9, 256][number % 5], NOON)).collect();
    events.push(call(60, 300, NOON - 3 * DAY_MS));
    let mut other = response("r-61", 400, NOON);
    let Attribution::Version(found) = &mut other.attribution else { panic!("it is of a version") };
    found.prompt = "support/agent-2".parse().expect("a name");
    events.push(recorded(other));
    block_on(store.record(events, NOON)).expect("recorded");
    let day = Stretch { level: Level::Day, from_ms: NOON - DAY_MS, to_ms: NOON + DAY_MS };
    let prompt = "support/agent".parse().expect("a name");
    let mut read: Vec<(u64, String, Volume)> = Vec::new();
    let visited = store.visit_newest_versions(&prompt, 3, &[day], |version, model, volume| {
        read.push((version, model.to_owned(), volume));
        ControlFlow::Continue(())
    });
    assert!(visited.expect("a read").is_continue());
    let mut expected: Vec<(u64, String, Volume)> = Vec::new();
    let counted = store.visit_counts(
        Which::Prompt("support/agent"),
        &[day],
        |series| matches!(series.of, SeriesOf::Version { version: 8.., .. }),
        |series, _, rollup| {
            let SeriesOf::Version { version, .. } = series.of else { panic!("it is of a version") };
            let Rollup { calls, errors, priced, cost_pico_usd, counted_input, counted_output, tokens, .. } = rollup;
            let spend = Spend { calls, errors, priced, cost_pico_usd };
            expected.push((version, series.model.clone(), Volume { spend, counted_input, counted_output, tokens }));
            ControlFlow::Continue(())
        },
    );
    assert!(counted.expect("a read").is_continue());
    expected.reverse();
    assert_eq!(read, expected);
    assert_eq!(read.iter().map(|(_, _, volume)| volume.spend.calls).sum::<u64>(), 36, "{read:?}");
    let stopped = store.visit_newest_versions(&prompt, 3, &[day], |_, _, _| ControlFlow::Break(()));
    assert!(stopped.expect("a read").is_break());
}

#[test]
fn responses_without_a_version_are_counted_by_the_reason() {
    let (_directory, store) = keep();
    let lost =
        Response { attribution: Attribution::Unattributed(Unattributed::UnknownPrompt), ..response("a", 1, NOON) };
    record(&store, vec![recorded(lost)]);
    let series = store.counts(Which::All, Level::Hour, 0, NOON * 2).expect("counts");
    counts(&store);
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].series.of, SeriesOf::Unattributed(Unattributed::UnknownPrompt));
    assert_eq!(store.counts(Which::Prompt("support/agent"), Level::Hour, 0, NOON * 2).expect("counts"), []);
}

#[test]
fn spool_survives_a_restart_and_is_merged_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_primary_directory, primary) = keep();
    let before = {
        let spool = TelemetryStore::open(directory.path(), SPOOL).expect("a spool");
        record(&spool, vec![recorded(response("a", 1, NOON)), recorded(response("b", 1, NOON))]);
        let sent = spool.spooled().expect("batches").remove(0);
        // The primary has it, and the answer is lost.
        assert_eq!(merge(&primary, &sent, 1).expect("merged"), 1);
        sent
    };
    let spool = reopen(directory.path(), SPOOL);
    record(&spool, vec![recorded(response("c", 1, NOON))]);
    let state = spool.spool().expect("a read").expect("a spool");
    assert_eq!((state.id.node, state.batches, state.oldest_ms), (before.id.node, 2, Some(NOON)));
    let waiting = spool.spooled().expect("batches");
    assert_eq!(waiting[0], before, "what waited keeps its epoch and number");
    assert_eq!((waiting[1].id, waiting[1].number), (state.id, 1), "what is new is of the new epoch");
    assert_ne!(state.id.epoch, before.id.epoch);
    for sent in &waiting {
        assert_eq!(merge(&primary, sent, 1).expect("merged"), 1);
        assert_eq!(merge(&primary, sent, 1).expect("merged"), 1);
    }
    block_on(spool.forget_spooled(vec![(before.id.epoch, 9)])).expect("forgotten");
    assert_eq!(spool.spooled().expect("batches"), waiting[1..], "nothing of another epoch is forgotten");
    block_on(spool.forget_spooled(vec![(state.id.epoch, 1)])).expect("forgotten");
    let state = spool.spool().expect("a read").expect("a spool");
    assert_eq!((state.batches, state.bytes, state.oldest_ms), (0, 0, None));
    let series = primary.counts(Which::All, Level::Day, 0, NOON * 2).expect("counts");
    assert_eq!(series[0].buckets[0].rollup.calls, 3);
}

#[test]
fn batch_out_of_turn_or_with_another_content_is_refused() {
    let (_directory, primary) = keep();
    let from = SpoolId { node: [1; 16], epoch: 5 };
    let batch =
        |id: &str| Batch { at_ms: NOON, events: vec![recorded(response(id, 1, NOON))] }.encode().expect("bytes");
    let merge = |first, number, batch: Vec<u8>| {
        let sent = SentBatch::decode(first, number, &batch)?;
        block_on(primary.merge(from, sent, NOON))
    };
    assert!(matches!(merge(1, 2, batch("b")), Err(TelemetryError::Gap { expected: 1, got: 2 })));
    assert_eq!(merge(1, 1, batch("a")).expect("merged"), 1);
    assert!(matches!(merge(1, 1, batch("other")), Err(TelemetryError::Conflict(1))));
    assert!(matches!(merge(1, 2, b"no batch".to_vec()), Err(TelemetryError::Encoding(_))));
    assert_eq!(merge(1, 2, batch("b")).expect("merged"), 2);
    // A primary that lost its file goes on with what the spool still has.
    assert_eq!(merge(9, 9, batch("c")).expect("merged"), 9);
}

#[test]
fn events_of_another_node_are_brought_within_the_limits_of_this_one() {
    let long = "x".repeat(1 << 20);
    let text = || Some(long.clone());
    let mut hostile = Response { model_used: text(), user: text(), ..response("a", 1, i64::MAX) };
    hostile.tokens.input = Some(u64::MAX);
    hostile.claim.prompt = text();
    let mut judged = score(ScoreTarget::Session(long.clone()), 1.0, i64::MIN);
    judged.name.clone_from(&long);
    judged.explanation = text();
    let batch = Batch { at_ms: NOON, events: vec![recorded(hostile), recorded(judged)] };
    let read = Batch::decode(&batch.encode().expect("bytes")).expect("a batch").events;
    let Event::Response(read_response) = &read[0].event else { panic!("{read:?}") };
    let length = |text: &Option<String>| text.as_ref().map(String::len);
    let Response { model_used, user, claim, .. } = &**read_response;
    assert_eq!([length(model_used), length(user), length(&claim.prompt)], [Some(128), Some(256), Some(512)]);
    assert_eq!((read_response.tokens.input, read_response.ended_ms), (Some(TOKENS_MAX), 4_102_444_800_000));
    let Event::Score(read_score) = &read[1].event else { panic!("{read:?}") };
    let ScoreTarget::Session(session) = &read_score.target else { panic!("{read_score:?}") };
    assert_eq!((read_score.name.len(), session.len(), length(&read_score.explanation)), (128, 256, Some(4_096)));
    assert_eq!(read_score.at_ms, 0);
}

#[test]
fn copied_spool_gets_a_new_number_and_loses_nothing() {
    let (_directory, primary) = keep();
    let directories = [tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two")];
    let spool = reopen(directories[0].path(), SPOOL);
    record(&spool, vec![recorded(response("a", 1, NOON))]);
    let first = spool.spooled().expect("batches").remove(0);
    assert_eq!(merge(&primary, &first, 1).expect("merged"), 1);
    // The copy is another file with the same ids, as after a snapshot of a machine that ran.
    let copy = reopen(directories[1].path(), SPOOL);
    record(&copy, vec![recorded(response("b", 1, NOON))]);
    let same = |sent: Spooled| Spooled { id: first.id, ..sent };
    let sent = copy.spooled().expect("batches").remove(0);
    assert!(matches!(merge(&primary, &same(sent), 1), Err(TelemetryError::Conflict(1))));
    block_on(copy.renew_spool()).expect("renewed");
    let sent = copy.spooled().expect("batches").remove(0);
    assert_eq!(merge(&primary, &sent, 1).expect("merged"), 1);
    assert!(primary.response("b").expect("a read").is_some());
}

#[test]
fn progress_of_replicas_survives_a_restart_and_only_moves_forward() {
    let directory = tempfile::tempdir().expect("a directory");
    let day = 86_400_000;
    {
        let store = TelemetryStore::open(directory.path(), Role::Keep).expect("a store");
        store.note_replica("edge-1", NOON - 5, NOON);
        store.note_replica("edge-1", NOON - 9, NOON + 1);
        store.note_replica("ahead", NOON + day, NOON);
        store.note_replica("gone", NOON - 40 * day, NOON - 40 * day);
        store.note_replica("removed", NOON, NOON);
        block_on(store.write_replicas(NOON - 40 * day)).expect("written");
        assert!(store.forget_replica("removed") && !store.forget_replica("removed"));
        block_on(store.write_replicas(NOON)).expect("written");
    }
    let store = reopen(directory.path(), Role::Keep);
    let of = |complete_until_ms, heard_ms| ReplicaProgress { complete_until_ms, heard_ms };
    let expected = [("ahead".to_owned(), of(NOON, NOON)), ("edge-1".to_owned(), of(NOON - 5, NOON + 1))];
    assert_eq!(store.replicas(), expected);
}

#[cfg(unix)]
#[test]
fn file_can_be_read_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, _store) = keep();
    let mode = std::fs::metadata(directory.path().join(TELEMETRY_FILE)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn full_spool_leaves_bodies_out_and_then_refuses() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = TelemetryStore::open(directory.path(), Role::Spool { bytes_max: 3_000 }).expect("a spool");
    let mut refused = 0;
    for n in 0..60_u32 {
        let body = Body { input: Some(blake3::hash(&n.to_le_bytes()).to_hex().repeat(3)), output: None };
        let event = Response { body: Some(Box::new(body)), ..response(&n.to_string(), 1, NOON) };
        match block_on(spool.record(vec![recorded(event)], NOON)) {
            Ok(_) => assert_eq!(refused, 0),
            Err(TelemetryError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let state = spool.spool().expect("a read").expect("a spool");
    assert!(refused > 0 && state.bodies_dropped > 0 && state.bytes >= 3_000, "{refused} {state:?}");
}

#[test]
fn spool_of_long_texts_that_do_not_compress_has_batches_that_the_primary_takes() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = TelemetryStore::open(directory.path(), Role::Spool { bytes_max: 1 << 30 }).expect("a spool");
    let long = |seed: u32| {
        let mut bytes = vec![0; 40_000];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        // Base64, as pictures are sent.
        bytes
            .iter()
            .map(|byte| {
                char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(byte % 64)])
            })
            .collect::<String>()
    };
    let events = (0..400_u32).map(|n| {
        let body = Body { input: Some(long(n)), output: Some(long(n + 1_000_000)) };
        recorded(Response { body: Some(Box::new(body)), ..response(&n.to_string(), 1, NOON) })
    });
    record(&spool, events.collect());
    let (_primary_directory, primary) = keep();
    let mut merged = 0;
    loop {
        let waiting = spool.spooled().expect("batches");
        let Some(last) = waiting.last() else { break };
        for sent in &waiting {
            assert!(sent.batch.len() <= 8 * 1024 * 1024, "{}", sent.batch.len());
            merge(&primary, sent, 1).expect("merged");
            merged += 1;
        }
        block_on(spool.forget_spooled(vec![(last.id.epoch, last.number)])).expect("forgotten");
    }
    assert!(merged > 4, "{merged}");
    assert!(primary.response("399").expect("a read").expect("the response").response.body.is_some());
}

#[test]
fn what_is_older_than_it_is_kept_goes_and_counts_stay() {
    let (_directory, store) = keep();
    let day = 86_400_000;
    record(&store, vec![recorded(response("old", 1, NOON - 40 * day))]);
    record(&store, vec![recorded(response("new", 1, NOON))]);
    record(&store, vec![recorded(score(ScoreTarget::Response("none".to_owned()), 1.0, NOON - 3 * day))]);
    let expired = block_on(store.expire(Retention::default(), NOON)).expect("expired");
    assert_eq!((expired.blocks, expired.rollups), (1, 3), "of the series, its prompt and everything");
    assert_eq!(store.response("old").expect("a read"), None);
    assert!(store.response("new").expect("a read").is_some());
    counts(&store);
    let holdings = store.holdings().expect("holdings");
    assert_eq!((holdings.waiting_scores, holdings.orphan_scores), (0, 1));
    let days = store.counts(Which::All, Level::Day, 0, NOON * 2).expect("counts");
    assert_eq!(days[0].buckets.len(), 2);
    let retention = Retention { events_bytes: 0, ..Retention::default() };
    block_on(store.expire(retention, NOON)).expect("expired");
    assert_eq!(store.response("new").expect("a read"), None);
    assert_eq!(store.holdings().expect("holdings").bytes, 0);
}

#[test]
fn events_beyond_the_bytes_they_may_take_go_from_the_oldest_with_their_index() {
    let (_directory, store) = keep();
    for n in 0..40 {
        let events = (0..50).map(|m| recorded(response(&format!("{n} {m}"), 1, NOON + n)));
        record(&store, events.collect());
    }
    let all = store.holdings().expect("holdings").bytes;
    let retention = Retention { events_bytes: all / 2, ..Retention::default() };
    let expired = block_on(store.expire(retention, NOON)).expect("expired");
    assert!((22..=24).contains(&expired.blocks), "an eighth is free: {expired:?}");
    assert!(store.holdings().expect("holdings").bytes <= all / 2);
    assert_eq!(store.response("21 0").expect("a read"), None);
    assert!(store.response("39 49").expect("a read").is_some());
}

#[test]
fn erasing_a_user_removes_texts_and_ids_and_no_count() {
    let (_directory, store) = keep();
    let of = |id: &str, user: &str| {
        recorded(Response {
            user: Some(user.to_owned()),
            session: Some(format!("chat of {user}")),
            body: Some(Box::new(Body { input: Some("my secret".to_owned()), output: None })),
            ..response(id, 1, NOON)
        })
    };
    record(&store, vec![of("a", "ada"), of("b", "bob")]);
    let before = counts(&store);
    assert_eq!(block_on(store.erase(Erase::User("ada".to_owned()), NOON)).expect("erased"), 1);
    let found = store.response("a").expect("a read").expect("the response").response;
    assert_eq!((found.user, found.session, found.body), (None, None, None));
    assert!(store.response("b").expect("a read").expect("the response").response.body.is_some());
    assert_eq!(store.session("chat of ada").expect("a read"), []);
    assert_eq!(counts(&store), before);
    assert_eq!(block_on(store.erase(Erase::User("ada".to_owned()), NOON)).expect("erased"), 0);
}

#[test]
fn newer_or_damaged_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(reopen(directory.path(), Role::Keep));
    let path = directory.path().join(TELEMETRY_FILE);
    {
        let database = retry(|| Database::open(&path));
        let txn = database.begin_write().expect("a transaction");
        txn.open_table(META).expect("a table").insert("schema", 2).expect("a write");
        txn.commit().expect("a commit");
    }
    let refused = TelemetryStore::open(directory.path(), Role::Keep).err().expect("a refusal");
    assert!(matches!(refused, TelemetryError::File(FileError::Newer { found: 2, .. })), "{refused}");
    std::fs::write(&path, b"this is not a database, but some text that is long enough").expect("a write");
    let refused = TelemetryStore::open(directory.path(), Role::Keep).err().expect("a refusal");
    assert!(matches!(refused, TelemetryError::File(FileError::Damaged { .. })), "{refused}");
    assert!(std::fs::read(&path).expect("a file").starts_with(b"this is"));
}

#[test]
fn damaged_pages_are_errors_and_never_end_the_writer() {
    const PAGE: usize = 4_096;
    let directory = tempfile::tempdir().expect("a directory");
    let store = reopen(directory.path(), Role::Keep);
    for number in 0..20 {
        let event = recorded(response(&format!("r-{number}"), 1, NOON));
        block_on(store.record(vec![event], NOON)).expect("recorded");
    }
    let path = directory.path().join(TELEMETRY_FILE);
    drop(store);
    drop(retry(|| Database::open(&path)));
    let whole = std::fs::read(&path).expect("a file");
    let (mut refused, mut met) = (0, 0);
    for page in (1..whole.len() / PAGE).filter(|page| whole[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0)) {
        let place = u64::try_from(page * PAGE).expect("small");
        let damage =
            |path: &Path| File::options().write(true).open(path).and_then(|it| it.write_all_at(&[0xa5; PAGE], place));
        let closed = tempfile::tempdir().expect("a directory");
        std::fs::write(closed.path().join(TELEMETRY_FILE), &whole).expect("written");
        damage(&closed.path().join(TELEMETRY_FILE)).expect("written");
        match TelemetryStore::open(closed.path(), Role::Keep) {
            Err(TelemetryError::File(FileError::Damaged { .. })) => refused += 1,
            Err(error) => panic!("page {page}: {error}"),
            Ok(_) => {}
        }
        // A cache of no pages, so that the damage is met while the file is open.
        let opened = tempfile::tempdir().expect("a directory");
        let file = opened.path().join(TELEMETRY_FILE);
        std::fs::write(&file, &whole).expect("written");
        let disk = disk::Disk::open(&file).expect("a file");
        let store = TelemetryStore::open_on(file.clone(), 0, move || Ok(disk.connect()), Role::Keep).expect("a store");
        damage(&file).expect("written");
        let write = |id: &str| block_on(store.record(vec![recorded(response(id, 2, NOON))], NOON)).map(drop);
        let all = [
            write("new"),
            store.response("r-7").map(drop),
            store.counts(Which::All, Level::Day, 0, i64::MAX).map(drop),
            store.observed().map(drop),
            write("newer"),
        ];
        for done in all {
            assert!(matches!(done, Ok(()) | Err(TelemetryError::Damaged)), "page {page}: {done:?}");
        }
        met += u64::from(store.damages() > 0);
    }
    assert!(refused > 0 && met > 0, "{refused} files were refused, and a damaged page was met in {met}");
}

/// Opens a file that a thread of before may still hold for a moment.
fn retry<T, E: std::fmt::Debug>(mut open: impl FnMut() -> Result<T, E>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match open() {
            Ok(opened) => return opened,
            Err(error) => assert!(Instant::now() < until, "{error:?}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn reopen(directory: &Path, role: Role) -> TelemetryStore {
    retry(|| TelemetryStore::open(directory, role))
}
