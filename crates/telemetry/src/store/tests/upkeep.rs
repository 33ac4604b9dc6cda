//! Expiry and erasing in steps, and what batches of others may contain.

use super::*;
use crate::store::codec::BATCH_EVENTS_MAX;
use crate::store::tables::{INDEX, day, indexed_days};

const DAY: i64 = 86_400_000;

fn with_body(id: &str, user: &str, ms: i64) -> Recorded {
    let body = Body { input: Some(blake3::hash(id.as_bytes()).to_hex().to_string()), output: None };
    let claim = crate::event::Claim { subject: Some(user.to_owned()), ..crate::event::Claim::default() };
    recorded(Response {
        user: Some(user.to_owned()),
        session: Some(format!("chat of {user}")),
        claim,
        body: Some(Box::new(body)),
        ..response(id, 1, ms)
    })
}

#[test]
fn expiry_of_more_than_one_step_holds_requires_several_and_frees_all() {
    let (_directory, store) = keep();
    for block in 0..450_i64 {
        let ms = NOON - 40 * DAY + block;
        record(&store, vec![with_body(&block.to_string(), "ada", ms)]);
    }
    record(&store, vec![with_body("new", "ada", NOON)]);
    let before = counts(&store);
    let expired = block_on(store.expire(Retention::default(), NOON)).expect("expired");
    assert_eq!((expired.blocks, expired.bodies), (450, 450));
    assert_eq!(store.session("chat of ada").expect("a read").len(), 1);
    let days = |counts: &BTreeMap<(String, usize, i64), Vec<u8>>| {
        counts
            .iter()
            .filter(|((_, level, _), _)| *level == 2)
            .map(|(key, bytes)| (key.clone(), bytes.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(days(&counts(&store)), days(&before), "days are kept for longer");
    let again = block_on(store.expire(Retention::default(), NOON)).expect("expired");
    assert_eq!(again, Expired::default());
}

#[test]
fn days_without_entries_are_not_looked_at() {
    let (_directory, store) = keep();
    let in_2001 = 365 * 31 * DAY;
    record(&store, vec![with_body("old", "ada", in_2001), with_body("new", "ada", NOON)]);
    record(&store, vec![recorded(score(ScoreTarget::Session("chat of ada".to_owned()), 1.0, NOON))]);
    let days = store.read(|txn| Ok(indexed_days(&txn.open_table(INDEX)?)?)).expect("days");
    assert_eq!(days, [day(in_2001), day(NOON)]);
    let session = store.session("chat of ada").expect("a read");
    assert_eq!(
        session.iter().map(|found| found.response.id.as_deref()).collect::<Vec<_>>(),
        [Some("old"), Some("new")]
    );
    assert!(session.iter().all(|found| found.scores.len() == 1), "{session:?}");
    assert_eq!(block_on(store.erase(Erase::User("ada".to_owned()), NOON)).expect("erased"), 2);
    assert!(store.read(|txn| Ok(indexed_days(&txn.open_table(INDEX)?)?)).is_ok());
}

#[test]
fn events_beyond_their_bytes_go_when_recording_notices_it_and_the_newest_stay() {
    let (_directory, store) = keep();
    let retention = Retention { events_bytes: 200_000, ..Retention::default() };
    store.keep_for(retention);
    let mut expired = Expired::default();
    for round in 0..60 {
        let events = (0..50).map(|number| with_body(&format!("{round} {number}"), "ada", NOON + round));
        record(&store, events.collect());
        let now = block_on(store.expire_if_over(NOON)).expect("expired");
        expired.blocks += now.blocks;
        let bytes = store.holdings().expect("holdings").bytes;
        assert!(bytes <= retention.events_bytes, "{bytes} in round {round}");
        assert!(
            now.blocks == 0 || bytes > retention.events_bytes / 2,
            "no more than an eighth: {bytes} in round {round}"
        );
    }
    assert!((10..60).contains(&expired.blocks), "{expired:?}");
    assert!(store.response("59 49").expect("a read").is_some() && store.response("0 0").expect("a read").is_none());
    assert_eq!(store.session("chat of ada").expect("a read").len().min(300), 300);
    // What is too old stays for the run that removes that.
    let (_directory, store) = keep();
    store.keep_for(Retention::default());
    record(&store, vec![with_body("old", "bob", NOON - 29 * DAY)]);
    assert_eq!(block_on(store.expire_if_over(NOON + 30 * DAY)).expect("expired").blocks, 0);
}

#[test]
fn event_from_before_events_are_kept_is_counted_as_too_old_and_not_recorded() {
    let (_directory, store) = keep();
    let retention = Retention::default();
    store.keep_for(retention);
    let kept = retention.oldest_event_ms(NOON);
    let late = score(ScoreTarget::Response("new".to_owned()), 0.5, kept - 1);
    let outcome =
        record(&store, vec![with_body("old", "ada", kept - 1), with_body("new", "ada", kept), recorded(late)]);
    assert_eq!(outcome, Outcome { recorded: 1, duplicates: 0, too_old: 2 });
    assert!(store.response("old").expect("a read").is_none() && store.response("new").expect("a read").is_some());
    assert_eq!((store.take_too_old(), store.take_too_old()), (2, 0));
    // A replica recorded one in time and was offline for weeks; it never should have had the other one.
    let directory = tempfile::tempdir().expect("a directory");
    let spool = reopen(directory.path(), SPOOL);
    let at_ms = NOON - 40 * DAY;
    let events = vec![with_body("in time", "bob", at_ms - DAY), with_body("too late", "bob", at_ms - 40 * DAY)];
    block_on(spool.record(events, at_ms)).expect("recorded");
    for sent in spool.spooled().expect("batches") {
        merge(&store, &sent, 1).expect("merged");
    }
    let found = |id: &str| store.response(id).expect("a read").is_some();
    assert_eq!((found("in time"), found("too late"), store.take_too_old()), (true, false, 1));
}

#[test]
fn bytes_of_expired_and_erased_content_are_free_again() {
    let (_directory, store) = keep();
    let bytes = || store.holdings().expect("holdings").bytes;
    record(&store, vec![with_body("old", "ada", NOON - 20 * DAY)]);
    record(&store, vec![with_body("new", "bob", NOON)]);
    let before = bytes();
    block_on(store.expire(Retention::default(), NOON)).expect("expired");
    let without_old = bytes();
    assert!(without_old < before, "{without_old} {before}");
    assert_eq!(store.response("old").expect("a read").expect("the response").response.body, None);
    block_on(store.erase(Erase::User("bob".to_owned()), NOON)).expect("erased");
    assert!(bytes() < without_old);
    block_on(store.expire(Retention { events_days: 1, ..Retention::default() }, NOON + 30 * DAY)).expect("expired");
    assert_eq!(bytes(), 0, "nothing is left, and nothing is counted twice");
}

#[test]
fn what_was_erased_is_erased_from_what_arrives_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_primary_directory, primary) = keep();
    let spool = reopen(directory.path(), SPOOL);
    record(&spool, vec![with_body("a", "ada", NOON), with_body("b", "bob", NOON), with_body("c", "ada", NOON + DAY)]);
    let about = score(ScoreTarget::Session("chat of ada".to_owned()), 1.0, NOON);
    record(&spool, vec![recorded(Score { explanation: Some("ada was rude".to_owned()), ..about })]);
    assert_eq!(block_on(primary.erase(Erase::User("ada".to_owned()), NOON + 1)).expect("erased"), 0);
    assert_eq!(block_on(primary.erase(Erase::Session("chat of ada".to_owned()), NOON + 1)).expect("erased"), 0);
    for sent in spool.spooled().expect("batches") {
        merge(&primary, &sent, 1).expect("merged");
    }
    let found = |id: &str| primary.response(id).expect("a read").expect("the response").response;
    let a = found("a");
    assert_eq!((a.user, a.session, a.claim.subject, a.body), (None, None, None, None));
    assert!(found("b").body.is_some() && found("c").body.is_some(), "of another, and of a later time");
    let series = primary.counts(Which::All, Level::Day, 0, NOON * 2).expect("counts");
    assert_eq!(series.iter().flat_map(|series| &series.buckets).map(|bucket| bucket.rollup.calls).sum::<u64>(), 3);
}

#[test]
fn erasing_many_responses_takes_several_steps_and_misses_none() {
    let (_directory, store) = keep();
    for from in (0..4_500).step_by(500) {
        let events = (from..from + 500).map(|number| with_body(&number.to_string(), "ada", NOON)).collect();
        record(&store, events);
    }
    let before = counts(&store);
    assert_eq!(block_on(store.erase(Erase::User("ada".to_owned()), NOON)).expect("erased"), 4_500);
    assert_eq!(store.session("chat of ada").expect("a read"), []);
    assert!(store.newest(i64::MAX, 5_000, |one| one.user.is_some() || one.body.is_some()).expect("a read").is_empty());
    assert_eq!(counts(&store), before);
    assert_eq!(block_on(store.erase(Erase::User("ada".to_owned()), NOON)).expect("erased"), 0);
}

#[test]
fn explanations_of_erased_responses_go_and_their_scores_stay() {
    let (_directory, store) = keep();
    let of = |target| Score { explanation: Some("ada was rude".to_owned()), ..score(target, 0.5, NOON) };
    record(
        &store,
        vec![
            with_body("a", "ada", NOON),
            recorded(of(ScoreTarget::Response("a".to_owned()))),
            recorded(of(ScoreTarget::Session("chat of ada".to_owned()))),
        ],
    );
    let before = counts(&store);
    block_on(store.erase(Erase::Session("chat of ada".to_owned()), NOON)).expect("erased");
    let scores = store.response("a").expect("a read").expect("the response").scores;
    assert_eq!(scores.iter().map(|score| score.explanation.clone()).collect::<Vec<_>>(), [None]);
    assert_eq!(counts(&store), before);
}

#[test]
fn batch_of_too_many_events_or_a_compressed_bomb_is_refused() {
    let one = || recorded(response("a", 1, NOON));
    let of =
        |events: usize| Batch { at_ms: NOON, events: (0..events).map(|_| one()).collect() }.encode().expect("bytes");
    assert_eq!(Batch::decode(&of(BATCH_EVENTS_MAX)).expect("a batch").events.len(), BATCH_EVENTS_MAX);
    assert!(matches!(Batch::decode(&of(BATCH_EVENTS_MAX + 1)), Err(TelemetryError::Encoding(_))));
    let bomb = zstd::bulk::compress(&vec![1; 512 * 1024 * 1024], 1).expect("compressed");
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert!(matches!(Batch::decode(&bomb), Err(TelemetryError::Encoding(_))));
}
