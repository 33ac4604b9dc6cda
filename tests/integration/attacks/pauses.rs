//! How long the engine waits for unsigned headers and statuses.

use bookholder::model::position::Position;
use bookholder::replication::engine::{Action, Engine, Event, FetchFailure, Memory, Now, Settings};

use crate::support::primary::Primary;
use crate::support::replica::Replica;
use crate::support::upstream::Reply;
use crate::support::wire::{frame, unframe};

/// An engine with a primary's state, and its note.
async fn holding(primary: &Primary) -> (Engine, Vec<u8>) {
    holding_up_to(primary, None).await
}

/// The same, which goes no further than this position.
async fn holding_up_to(primary: &Primary, hold_at: Option<Position>) -> (Engine, Vec<u8>) {
    let settings = Settings { hold_at, ..Settings::of(primary.root_key) };
    let mut engine = Engine::new(settings, Memory::default());
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    engine.handle(now(primary, 0), Event::Root(1, primary.root(1)));
    engine.handle(now(primary, 0), Event::Answer { note: note.clone(), delta: true, reconnect_ms: None });
    let mut actions = engine.handle(now(primary, 0), Event::Epoch(1, primary.epoch(1)));
    let Some(Action::Apply(step)) = actions.pop() else { panic!("{actions:?}") };
    let polled = engine.handle(now(primary, 0), Event::Applied(step, Ok(())));
    assert!(matches!(polled[..], [Action::FetchNext { bust: None, .. }]), "{polled:?}");
    (engine, note)
}

fn now(primary: &Primary, monotonic_ms: u64) -> Now {
    Now { wall_s: primary.now().seconds(), monotonic_ms, random: monotonic_ms.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

/// How many polls an engine makes in this time against an upstream that answers each of them at once with this.
fn polls(primary: &Primary, engine: &mut Engine, time_ms: u64, answer: impl Fn() -> Event) -> (u64, Vec<String>) {
    let (mut clock_ms, mut polls, mut troubles) = (0, 0, Vec::new());
    let mut event = answer();
    while clock_ms < time_ms {
        let mut next = None;
        for action in engine.handle(now(primary, clock_ms), event) {
            match action {
                Action::Wait(ms) => {
                    clock_ms += ms;
                    next = Some(Event::Due);
                }
                Action::FetchNext { .. } => {
                    polls += 1;
                    clock_ms += 1;
                    next = Some(answer());
                }
                Action::Trouble { reason, .. } => troubles.push(reason.to_owned()),
                _ => {}
            }
        }
        event = next.expect("a poll or a pause follows");
    }
    (polls, troubles)
}

#[tokio::test]
async fn repeating_cache_is_polled_rarely_and_reported() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    for reconnect_ms in [None, Some(0), Some(1), Some(249)] {
        let (mut engine, note) = holding(&primary).await;
        let again = || Event::Answer { note: note.clone(), delta: false, reconnect_ms };
        let (polls, troubles) = polls(&primary, &mut engine, 60_000, again);
        assert!((3..=60).contains(&polls), "{reconnect_ms:?}: {polls} polls in a minute");
        assert!(troubles.iter().all(|reason| reason == "stale_answer") && !troubles.is_empty(), "{troubles:?}");
    }
}

#[tokio::test]
async fn temporary_refusals_delay_a_replica_less_than_a_minute() {
    let primary = Primary::found();
    for failure in [FetchFailure::Denied, FetchFailure::UnknownView, FetchFailure::Busy { retry_after_s: 86_400 }] {
        let (mut engine, _) = holding(&primary).await;
        let mut away_ms = 0;
        for time in 0..3 {
            let actions = engine.handle(now(&primary, time), Event::Failed(failure, "no".to_owned()));
            let [Action::Trouble { reason, .. }, Action::Wait(ms)] = &actions[..] else { panic!("{actions:?}") };
            assert_eq!(*reason, failure.reason());
            away_ms += ms;
        }
        assert!(away_ms < 60_000, "{failure:?}: {away_ms} ms");
        let (polls, _) = polls(&primary, &mut engine, 3_600_000, || Event::Failed(failure, "no".to_owned()));
        assert!((10..=400).contains(&polls), "{failure:?}: {polls} polls in an hour");
    }
}

/// Stored data may be damaged while the upstream has nothing newer.
#[tokio::test]
async fn damaged_state_is_downloaded_again_at_the_same_position() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let (mut engine, note) = holding(&primary).await;
    assert!(engine.handle(now(&primary, 1), Event::Damaged).is_empty(), "the poll that waits goes on");
    let answer = |delta| Event::Answer { note: note.clone(), delta, reconnect_ms: None };
    let actions = engine.handle(now(&primary, 25_000), answer(false));
    let [Action::FetchNext { after, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*after, Position::default());
    let mut actions = engine.handle(now(&primary, 25_010), answer(true));
    let (Some(Action::Apply(step)), true) = (actions.pop(), actions.is_empty()) else { panic!("{actions:?}") };
    let actions = engine.handle(now(&primary, 25_020), Event::Applied(step, Ok(())));
    let [Action::FetchNext { after, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_ne!(*after, Position::default(), "once");
}

#[tokio::test]
async fn damaged_replica_shows_its_old_note_after_healing() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let (mut engine, _) = holding(&primary).await;
    assert!(engine.handle(now(&primary, 1), Event::Damaged).is_empty());
    primary.publish("a", "two").await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let actions =
        engine.handle(now(&primary, 25_000), Event::Answer { note: note.clone(), delta: true, reconnect_ms: None });
    let [Action::Contact, Action::ShowHeld, Action::Apply(step)] = &actions[..] else { panic!("{actions:?}") };
    assert!(step.settled.is_some(), "its history goes on from the one that was held");
}

#[tokio::test]
async fn damaged_pinned_replica_reports_that_it_cannot_heal() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let held = primary.store.committed().borrow().head.position;
    let (mut engine, _) = holding_up_to(&primary, Some(held)).await;
    assert!(engine.handle(now(&primary, 1), Event::Damaged).is_empty());
    primary.publish("a", "two").await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let actions = engine.handle(now(&primary, 25_000), Event::Answer { note, delta: true, reconnect_ms: None });
    let [Action::Trouble { reason: "held_damaged", detail }, Action::Wait(_)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert!(detail.contains(&format!("held at {held}")) && detail.contains("without --hold"), "{detail}");
}

#[tokio::test]
async fn retry_after_of_a_century_is_capped_at_half_a_minute() {
    let primary = Primary::found();
    let (mut engine, note) = holding(&primary).await;
    let again = Event::Answer { note, delta: false, reconnect_ms: Some(u64::MAX) };
    let actions = engine.handle(now(&primary, 25_000), again);
    assert!(matches!(actions[..], [Action::Wait(30_000)]), "{actions:?}");
}

#[tokio::test]
async fn reconnect_header_of_0_does_not_cause_a_poll_storm() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    let (note, _) = unframe(&primary.answer(Position::default()).await);
    let began = std::time::Instant::now();
    for _ in 0..2 {
        let reply = Reply::With("Bookholder-Reconnect-Ms: 0", frame(&note, &[]));
        assert_eq!(replica.offer(reply).await, None);
    }
    assert!(began.elapsed().as_secs() >= 2, "one second each: {:?}", began.elapsed());
}

#[tokio::test]
async fn one_denied_poll_over_a_socket_is_followed_by_the_next_within_seconds() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let mut replica = Replica::synced(&primary).await;
    for status in [401, 403, 404] {
        let began = std::time::Instant::now();
        let trouble = replica.offer(Reply::Status(status)).await.expect("a trouble");
        assert!(trouble.detail.contains(&status.to_string()), "{}", trouble.detail);
        assert!(began.elapsed().as_secs() < 8, "{status}: {:?}", began.elapsed());
    }
    primary.publish("a", "two").await;
    replica.sync(&primary).await;
}
