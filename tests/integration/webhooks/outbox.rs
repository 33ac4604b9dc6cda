//! The outbox by itself, without a network: what is due when, for whom, and what is forgotten.

use std::collections::BTreeSet;

use bookholder::api::webhooks::WebhookRequest;
use bookholder::model::time::Timestamp;
use bookholder::model::webhook::DeliveryState;
use bookholder::registry::outbox::ReceiverAnswer;
use bookholder::registry::outbox::{DeliveryResult, OutboxWork};

use super::to;
use crate::support::primary::Primary;

const EVERYTHING: usize = 1_000;

async fn add(primary: &Primary, name: &str, events: &str) {
    let request = WebhookRequest { events: vec![events.to_owned()], ..to("https://hooks.example.com/x") };
    primary.registry.put_webhook(&primary.admin, name.to_owned(), request).await.expect(name);
}

async fn look(primary: &Primary, after: Option<&str>, room: usize) -> OutboxWork {
    primary.registry.webhook_work(BTreeSet::new(), after.map(str::to_owned), room).await.expect("work")
}

/// Sends what is due until nothing is, with this answer; which events, in order.
async fn send_all(primary: &Primary, status: u16) -> Vec<u64> {
    let mut sent = Vec::new();
    loop {
        let work = look(primary, None, EVERYTHING).await;
        if work.due.is_empty() && !work.more {
            return sent;
        }
        sent.extend(work.due.iter().map(|one| one.event.0));
        let done = work.due.iter().map(|one| attempted(&one.webhook, one.event.0, status));
        primary.registry.webhook_done(done.collect()).await.expect("recorded");
    }
}

fn attempted(webhook: &str, seq: u64, status: u16) -> DeliveryResult {
    let error = (status >= 300).then(|| format!("answered {status}"));
    let answer = ReceiverAnswer { status: Some(status), error, retry_after_s: None, took_ms: 1 };
    DeliveryResult { webhook: webhook.to_owned(), event: (seq, 0), answer, jitter: u64::MAX / 2 }
}

fn names(work: &OutboxWork) -> Vec<&str> {
    work.due.iter().map(|one| one.webhook.as_str()).collect()
}

#[tokio::test]
async fn each_webhook_has_one_due_and_each_has_its_turn() {
    let primary = Primary::found();
    for name in ["a", "b", "c"] {
        add(&primary, name, "prompt.*").await;
    }
    primary.publish("p", "one").await;
    primary.publish("p", "two").await;
    assert_eq!(names(&look(&primary, None, EVERYTHING).await), ["a", "b", "c"]);
    assert_eq!(names(&look(&primary, None, 2).await), ["a", "b"]);
    assert_eq!(names(&look(&primary, Some("b"), 2).await), ["c", "a"]);
    let busy = BTreeSet::from(["a".to_owned(), "c".to_owned()]);
    let work = primary.registry.webhook_work(busy, None, EVERYTHING).await.expect("work");
    assert_eq!(names(&work), ["b"]);
}

#[tokio::test]
async fn unrecorded_delivery_is_due_again_after_a_restart() {
    let primary = Primary::found();
    add(&primary, "bot", "prompt.*").await;
    primary.publish("p", "one").await;
    let first = look(&primary, None, EVERYTHING).await;
    let first = first.due.first().expect("due");
    let (id, body) = (first.id.clone(), first.body.clone());
    let copy = primary.crashed_copy();
    let again = look(&copy, None, EVERYTHING).await;
    let again = again.due.first().expect("due again");
    assert_eq!((&again.id, &again.body), (&id, &body));
    assert_eq!(send_all(&copy, 200).await.len(), 1);
    assert!(look(&copy, None, EVERYTHING).await.due.is_empty());
}

#[tokio::test]
async fn delivery_bookkeeping_makes_no_commit() {
    let primary = Primary::found();
    add(&primary, "bot", "*").await;
    primary.publish("p", "one").await;
    let before = primary.state();
    assert_eq!(send_all(&primary, 500).await.len(), 1);
    let next_at = look(&primary, None, EVERYTHING).await.next_at.expect("a next attempt");
    assert_eq!(next_at, Timestamp::from_ms(primary.now().ms() + 5_000));
    assert_eq!(primary.state(), before);
    primary.verify();
}

#[tokio::test]
async fn webhook_cursor_waits_at_the_pending_limit_without_loss() {
    let primary = Primary::found();
    add(&primary, "bot", "*").await;
    let mut expected = Vec::new();
    for number in 0..1_300 {
        primary.publish("p", &format!("text {number}")).await;
        expected.push(primary.state().0.seq);
    }
    while look(&primary, None, 0).await.more {}
    let webhooks = primary.registry.webhooks(&primary.admin).expect("a list");
    let (pending, cursor) = (webhooks[0].pending, webhooks[0].cursor);
    assert!((500..=1_000).contains(&pending) && cursor < primary.state().0.seq, "{pending} {cursor}");
    assert_eq!(send_all(&primary, 204).await, expected);
    let page = primary.registry.deliveries(&primary.admin, "bot", None, 1_000).expect("a page");
    assert_eq!((page.items.len(), page.next), (1_000, None), "the last 1,000 are remembered");
    assert_eq!(page.items.last().map(|one| one.seq), expected.get(300).copied());
    let page = primary.registry.deliveries(&primary.admin, "bot", None, 10).expect("a page");
    let next = page.next.expect("more");
    let page = primary.registry.deliveries(&primary.admin, "bot", Some(&next), 1).expect("a page");
    assert_eq!(format!("{}-{}", page.items[0].seq, page.items[0].effect), next);
    assert!(page.items.iter().all(|one| one.state == DeliveryState::Delivered));
}

#[tokio::test]
async fn delivery_fails_after_ten_attempts_and_is_removed_after_a_month() {
    let primary = Primary::found();
    add(&primary, "bot", "prompt.*").await;
    primary.publish("p", "one").await;
    let mut attempts = 0;
    loop {
        attempts += send_all(&primary, 500).await.len();
        let Some(next_at) = look(&primary, None, EVERYTHING).await.next_at else { break };
        primary.clock.set(next_at.ms());
    }
    assert_eq!(attempts, 10);
    let delivery = |primary: &Primary| {
        primary.registry.deliveries(&primary.admin, "bot", None, 10).expect("a page").items.into_iter().next()
    };
    let failed = delivery(&primary).expect("remembered");
    assert_eq!((failed.state, failed.tried, failed.attempts.len()), (DeliveryState::Failed, 10, 10));
    let days = |days: u64| days * 24 * 3_600 * 1_000;
    primary.clock.advance(days(30));
    primary.registry.forget_old_deliveries().await.expect("done");
    assert!(delivery(&primary).is_some());
    primary.clock.advance(1);
    primary.registry.forget_old_deliveries().await.expect("done");
    assert_eq!(delivery(&primary), None);
}

#[tokio::test]
async fn webhook_pause_grows_with_failures_and_ends_with_a_success() {
    let primary = Primary::found();
    add(&primary, "bot", "prompt.*").await;
    for number in 0..9 {
        primary.publish("p", &format!("text {number}")).await;
    }
    let mut rests_s = Vec::new();
    for _ in 0..8 {
        assert_eq!(send_all(&primary, 503).await.len(), 1, "one failure, and it rests");
        let next_at = look(&primary, None, EVERYTHING).await.next_at.expect("the end of its rest");
        rests_s.push((next_at.ms() - primary.now().ms()) / 1_000);
        primary.clock.set(next_at.ms());
    }
    assert_eq!(rests_s, [5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(send_all(&primary, 204).await.len(), 9, "everything at once");
}

#[tokio::test]
async fn test_and_redelivery_ignore_a_pause() {
    let primary = Primary::found();
    add(&primary, "bot", "prompt.*").await;
    primary.publish("p", "one").await;
    let sent = send_all(&primary, 503).await;
    assert!(look(&primary, None, EVERYTHING).await.due.is_empty());
    let test = primary.registry.test_webhook(&primary.admin, "bot".to_owned()).await.expect("a test");
    assert_eq!(send_all(&primary, 503).await, [test]);
    primary.registry.redeliver(&primary.admin, "bot".to_owned(), sent[0]).await.expect("again");
    assert_eq!(send_all(&primary, 503).await, sent);
}

#[tokio::test]
async fn webhooks_that_failed_last_have_half_of_the_places() {
    let primary = Primary::found();
    for name in ["a", "b", "c", "well"] {
        add(&primary, name, "prompt.*").await;
    }
    primary.publish("p", "one").await;
    let done = look(&primary, None, EVERYTHING).await.due;
    let done =
        done.iter().map(|one| attempted(&one.webhook, one.event.0, if one.webhook == "well" { 204 } else { 503 }));
    primary.registry.webhook_done(done.collect()).await.expect("recorded");
    primary.clock.advance(10_000);
    primary.publish("p", "two").await;
    assert_eq!(names(&look(&primary, None, 4).await), ["a", "b", "well"]);
    assert_eq!(names(&look(&primary, None, 1).await), ["a"], "one place is for everybody");
    let busy = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let work = primary.registry.webhook_work(busy, None, 2).await.expect("work");
    assert_eq!(names(&work), ["well"], "their half is taken");
}

#[tokio::test]
async fn webhook_removed_during_delivery_is_gone() {
    let primary = Primary::found();
    add(&primary, "bot", "prompt.*").await;
    primary.publish("p", "one").await;
    let seq = look(&primary, None, EVERYTHING).await.due.first().expect("due").event.0;
    primary.registry.remove_webhook(&primary.admin, "bot".to_owned()).await.expect("removed");
    primary.registry.webhook_done(vec![attempted("bot", seq, 500)]).await.expect("nothing to record");
    add(&primary, "bot", "prompt.*").await;
    assert!(look(&primary, None, EVERYTHING).await.due.is_empty());
    let page = primary.registry.deliveries(&primary.admin, "bot", None, 10).expect("a page");
    assert!(page.items.is_empty());
}
