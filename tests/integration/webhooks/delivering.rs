//! Events arrive: signed, in order, again after a failure, and never where they must not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use bookholder::api::webhooks::{SuspensionRequest, WebhookRequest, WebhookRotation};
use bookholder::api::write::{DeployRequest, MessageRequest, Move, PublishRequest, RollbackRequest, ServingRequest};
use bookholder::clock::Clock;
use bookholder::model::name::Label;
use bookholder::model::webhook::{DeliveryState, WebhookFormat};
use standardwebhooks::Webhook;
use tokio::sync::watch;

use super::{Arrived, LOOK, Receiver, Sender, to};
use crate::support::node::PATIENCE;
use crate::support::primary::{name, request};

const LOOPBACK: &str = "127.0.0.0/8";

fn verify(secret: &str, arrived: &Arrived) {
    let reference = Webhook::new(secret).expect("a secret");
    reference.verify(&arrived.body, &arrived.headers).expect("believed");
    assert!(reference.verify(b"{}", &arrived.headers).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_signed_in_order_and_once() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    sender.publish("before/it", "nobody hears of this").await;
    let secret = sender.add("bot", &to(&receiver.url)).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(sender.publish("support/agent", &format!("text {number}")).await);
    }
    for seq in expected {
        let arrived = receiver.next().await;
        verify(&secret, &arrived);
        assert_eq!(arrived.header("content-type"), "application/json");
        assert!(!arrived.id().contains('.') && arrived.id().ends_with(&format!("_{seq}")), "{}", arrived.id());
        let event = arrived.json();
        assert_eq!(event["type"], "prompt.version.created");
        assert_eq!((&event["data"]["seq"], &event["data"]["prompt"]), (&seq.into(), &"support/agent".into()));
        assert_eq!((&event["data"]["actor"], &event["data"]["message"]), (&"admin".into(), &"because".into()));
        assert!(event["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{event}");
        assert!(!event.to_string().contains("text "), "no text of a prompt: {event}");
    }
    let last = sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    assert_eq!((last.attempts.len(), last.attempts[0].status, last.next_at), (1, Some(204), None));
    assert_eq!(sender.deliveries("bot").await.len(), 5);
    receiver.nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_automation_sends_nothing_until_the_node_starts_without_it() {
    let (mut sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    sender.add("bot", &to(&receiver.url)).await;
    sender.hold_automation = true;
    sender.restart().await;
    let seq = sender.publish("a", "during the drill").await;
    sender.clock.advance(3_600_000);
    let before_ms = sender.clock.now_ms();
    sender.hold_automation = false;
    sender.restart().await;
    assert_eq!(receiver.next().await.seq(), seq);
    let sent = sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    assert!(sent.attempts.len() == 1 && sent.attempts[0].at.ms() >= before_ms, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_patterns_choose_and_a_test_passes_them() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    let prompts = "support/**".parse().expect("a pattern");
    let request = WebhookRequest { events: vec!["prompt.version.*".to_owned()], prompts, ..to(&receiver.url) };
    let secret = sender.add("bot", &request).await;
    let sold = sender.publish("sales/agent", "not for it").await;
    sender.client.put_webhook("bot", &request).await.expect("no prompt's event");
    let seq = sender.publish("support/agent", "for it").await;
    assert_eq!(receiver.next().await.seq(), seq);
    let test = sender.client.test_webhook("bot").await.expect("a test");
    let arrived = receiver.next().await;
    verify(&secret, &arrived);
    assert_eq!((arrived.json()["type"].as_str(), arrived.seq()), (Some("webhook.test"), test.seq));
    let (status, detail) = super::refused(sender.client.redeliver("bot", sold).await);
    assert!(
        status == 422 && detail.contains("does not match the filters and prompts of the webhook `bot`"),
        "{detail}"
    );
    let prompts = "other/**".parse().expect("a pattern");
    sender.client.put_webhook("bot", &WebhookRequest { prompts, ..request }).await.expect("of other prompts");
    let (status, detail) = super::refused(sender.client.redeliver("bot", seq).await);
    assert!(status == 422 && detail.contains("change those first"), "{detail}");
    sender.client.redeliver("bot", test.seq).await.expect("its own test");
    assert_eq!(receiver.next().await.seq(), test.seq);
    receiver.nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_delivery_is_retried_with_the_same_id() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[(500, None), (302, None)]).await);
    let secret = sender.add("bot", &to(&receiver.url)).await;
    sender.publish("a", "one").await;
    let first = receiver.next().await;
    let waits = sender.until("bot", "tried", |delivery| delivery.tried == 1).await;
    assert_eq!((waits.state, waits.attempts[0].status), (DeliveryState::Pending, Some(500)));
    assert_eq!(sender.webhook("bot").await.failures, 1);
    receiver.nothing();
    sender.clock.advance(6_000);
    let second = receiver.next().await;
    verify(&secret, &second);
    assert_eq!((second.id(), &second.body), (first.id(), &first.body));
    assert_eq!(second.time_s(), first.time_s() + 6, "the time is that of the attempt");
    let waits = sender.until("bot", "tried again", |delivery| delivery.tried == 2).await;
    let error = waits.attempts[1].error.clone().expect("a redirect is a failure");
    assert!(error.contains("redirects are not followed"), "{error}");
    sender.clock.advance(330_000);
    assert_eq!(receiver.next().await.id(), first.id());
    sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    let webhook = sender.webhook("bot").await;
    assert_eq!((webhook.failures, webhook.failing_since, webhook.pending), (0, None, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_of_a_receiver_is_respected() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[(429, Some("120"))]).await);
    sender.add("bot", &to(&receiver.url)).await;
    let seq = sender.publish("a", "one").await;
    let first = receiver.next().await;
    assert_eq!(first.seq(), seq);
    let waits = sender.until("bot", "tried", |delivery| delivery.tried == 1).await;
    let wait_ms = waits.next_at.expect("a next attempt").ms() - waits.attempts[0].at.ms();
    assert_eq!(wait_ms, 120_000);
    sender.clock.advance(119_000);
    let other = sender.publish("a", "two").await;
    sender.until("bot", "enqueued", |delivery| delivery.seq == other).await;
    receiver.nothing();
    sender.clock.advance(1_000);
    let both = [receiver.next().await, receiver.next().await];
    assert_eq!(both.each_ref().map(Arrived::seq), [other, seq], "first attempts go first");
    assert_eq!(both.each_ref().map(Arrived::time_s), [first.time_s() + 120; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_receiver_disables_its_webhook() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[(410, None)]).await);
    let mut witness = Receiver::start(&[]).await;
    sender.add("bot", &WebhookRequest { events: vec!["prompt.*".to_owned()], ..to(&receiver.url) }).await;
    sender.add("witness", &WebhookRequest { events: vec!["disable_webhook.*".to_owned()], ..to(&witness.url) }).await;
    sender.publish("a", "one").await;
    let gone = receiver.next().await;
    let told = witness.next().await.json();
    assert_eq!((&told["data"]["actor"], &told["data"]["subjects"][0]["name"]), (&"bookholder".into(), &"bot".into()));
    let failed = sender.until("bot", "given up", |delivery| delivery.state == DeliveryState::Failed).await;
    let disabled = sender.webhook("bot").await.disabled.expect("disabled");
    assert_eq!(disabled.why, "its receiver answered 410 Gone");
    let missed = sender.publish("a", "two").await;
    let refused = super::refused(sender.client.test_webhook("bot").await);
    assert!(refused.1.contains("has been disabled since") && refused.1.contains("enable it first"), "{refused:?}");
    sender.client.enable_webhook("bot").await.expect("enabled");
    let heard = sender.publish("a", "three").await;
    assert_eq!(receiver.next().await.seq(), heard, "what happened meanwhile passed it by");
    for seq in [missed, failed.seq] {
        sender.client.redeliver("bot", seq).await.expect("again");
        assert_eq!(receiver.next().await.seq(), seq);
    }
    let again = sender.deliveries("bot").await.into_iter().find(|one| one.seq == failed.seq).expect("remembered");
    assert_eq!(again.id, gone.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_is_disabled_after_days_of_failures() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[(503, None); 20]).await);
    sender.add("bot", &WebhookRequest { events: vec!["prompt.*".to_owned()], ..to(&receiver.url) }).await;
    for number in 1..=10 {
        sender.publish("a", &format!("text {number}")).await;
        receiver.next().await;
        sender.until("bot", "tried", |delivery| delivery.tried == 1).await;
        // It rests after each failure; what was never tried goes first then.
        sender.clock.advance(if number == 10 { 0 } else { 300_000 });
    }
    assert_eq!(sender.webhook("bot").await.disabled, None, "ten failures are no days");
    sender.clock.advance(5 * 24 * 3_600 * 1_000);
    receiver.next().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while sender.webhook("bot").await.disabled.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "never disabled");
        tokio::time::sleep(LOOK).await;
    }
    let why = sender.webhook("bot").await.disabled.expect("disabled").why;
    assert!(why.starts_with("nothing has arrived since ") && why.ends_with("in 11 attempts"), "{why}");
    assert_eq!(sender.webhook("bot").await.pending, 10, "what is pending stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_secrets_sign_while_one_replaces_the_other() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    let old = sender.add("bot", &WebhookRequest { events: vec!["prompt.*".to_owned()], ..to(&receiver.url) }).await;
    let rotated = sender.client.rotate_webhook("bot", &WebhookRotation { overlap_s: 60 }).await.expect("rotated");
    let new = rotated.secret.expect("the new secret");
    assert!(rotated.previous_until.is_some() && new != old);
    sender.publish("a", "one").await;
    let arrived = receiver.next().await;
    assert_eq!(arrived.header("webhook-signature").split(' ').count(), 2);
    verify(&old, &arrived);
    verify(&new, &arrived);
    sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    sender.clock.advance(60_000);
    sender.publish("a", "two").await;
    let arrived = receiver.next().await;
    verify(&new, &arrived);
    assert!(Webhook::new(&old).expect("a secret").verify(&arrived.body, &arrived.headers).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_delivery_is_sent_after_a_restart_with_the_same_id() {
    let (mut sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[(500, None)]).await);
    let secret = sender.add("bot", &to(&receiver.url)).await;
    let seq = sender.publish("a", "one").await;
    let first = receiver.next().await;
    sender.stop().await;
    receiver.nothing();
    sender.clock.advance(6_000);
    let (node, client) = Sender::run(&sender.directory, &sender.clock, sender.allow, false).await;
    (sender.node, sender.client) = (Some(node), client);
    let second = receiver.next().await;
    verify(&secret, &second);
    assert_eq!((second.id(), second.seq()), (first.id(), seq));
    sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    let next = sender.publish("a", "two").await;
    assert_eq!(receiver.next().await.seq(), next);
    sender.restart().await;
    let last = sender.publish("a", "three").await;
    assert_eq!(receiver.next().await.seq(), last, "nothing that had arrived comes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_webhook_gets_slack_format() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    sender.add("team", &WebhookRequest { format: WebhookFormat::Slack, ..to(&receiver.url) }).await;
    sender.publish("support/agent", "hello").await;
    let body = receiver.next().await.json();
    assert_eq!(body["text"], "*support/agent* has a new version: 1");
    let shown = body["blocks"].to_string();
    assert!(
        shown.contains("|Open>") && shown.contains("https://prompts.example.com/books/ui/prompts/support/agent"),
        "{shown}"
    );
    assert!(body.get("data").is_none(), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn label_moved_event_is_sent_once_per_label_for_every_command() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    let events = vec!["prompt.label.moved".to_owned(), "prompt.removed".to_owned()];
    sender.add("bot", &WebhookRequest { events, ..to(&receiver.url) }).await;
    let (client, agent) = (&sender.client, name("support/agent"));
    let [production, staging] = ["production", "staging"].map(|label| label.parse::<Label>().expect("a label"));
    for text in ["one", "two"] {
        let labels = vec![production.clone(), staging.clone()];
        client.publish(&agent, &PublishRequest { labels, ..request(text) }).await.expect("published");
    }
    let to_one = Move {
        name: agent.clone(),
        label: staging.clone(),
        serving: ServingRequest { version: Some(1), ..ServingRequest::default() },
        expected_deployment: None,
    };
    let message = || "because".to_owned();
    let deploy = DeployRequest { moves: vec![to_one], message: message(), ..DeployRequest::default() };
    client.deploy(&deploy).await.expect("deployed");
    let back = RollbackRequest { message: message(), ..RollbackRequest::default() };
    client.rollback(&agent, &production, &back).await.expect("rolled back");
    client.unlabel(&agent, &staging, &MessageRequest { message: message() }).await.expect("unlabelled");
    client.remove(&agent, &MessageRequest { message: message() }.into()).await.expect("removed");
    let mut ids = std::collections::BTreeSet::new();
    let mut expect = async |kind: &str, command: &str, label: Option<&str>, from: Option<&str>, to: Option<&str>| {
        let arrived = receiver.next().await;
        let event = arrived.json();
        let data = |key: &str| event["data"][key].as_str();
        let served = |key: &str| event["data"][key]["text"].as_str();
        let found = (data("command"), data("label"), served("from"), served("to"));
        assert_eq!(event["type"], kind, "{event}");
        assert_eq!(found, (Some(command), label, from, to), "{event}");
        assert_eq!(event["data"]["prompt"], "support/agent");
        assert!(ids.insert(arrived.id().to_owned()), "an id of its own: {}", arrived.id());
    };
    let moved = "prompt.label.moved";
    for (from, to) in [(None, Some("1")), (Some("1"), Some("2"))] {
        expect(moved, "publish", Some("production"), from, to).await;
        expect(moved, "publish", Some("staging"), from, to).await;
    }
    expect(moved, "deploy", Some("staging"), Some("2"), Some("1")).await;
    expect(moved, "rollback", Some("production"), Some("2"), Some("1")).await;
    expect(moved, "unlabel", Some("staging"), Some("1"), None).await;
    expect("prompt.removed", "remove", None, None, None).await;
    expect(moved, "remove", Some("production"), Some("1"), None).await;
    sender.until("bot", "delivered", |delivery| delivery.state == DeliveryState::Delivered).await;
    receiver.nothing();
    let newest = sender.deliveries("bot").await;
    assert_eq!(newest.len(), 9);
    let again = sender.client.redeliver("bot", newest[0].seq).await.expect("both effects again");
    assert_eq!(again.iter().map(|delivery| delivery.effect).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_webhook_gets_nothing_and_a_hanging_one_delays_no_others() {
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    // It takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}/", silent.local_addr().expect("an address"));
    sender.add("a-silent", &to(&silent_url)).await;
    sender.add("bot", &WebhookRequest { events: vec!["prompt.*".to_owned()], ..to(&receiver.url) }).await;
    let seq = sender.publish("a", "one").await;
    assert_eq!(receiver.next().await.seq(), seq);
    let why = SuspensionRequest { message: "it moves".to_owned() };
    let disabled = sender.client.disable_webhook("bot", &why).await.expect("disabled").disabled.expect("disabled");
    assert_eq!(disabled.why, "by admin: it moves");
    sender.publish("a", "two").await;
    sender.client.enable_webhook("bot").await.expect("enabled");
    let heard = sender.publish("a", "three").await;
    assert_eq!(receiver.next().await.seq(), heard);
}

/// A server on loopback that answers 500, until it is told to stop answering.
struct Failing {
    url: String,
    silent: watch::Sender<bool>,
    /// The most whom it let wait at once.
    most: Arc<AtomicUsize>,
}

/// A waiting client.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Failing {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let ((silent, is_silent), most) = (watch::channel(false), Arc::new(AtomicUsize::new(0)));
        let (now, highest) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
        let answer = move || {
            let (is_silent, highest, now) = (*is_silent.borrow(), Arc::clone(&highest), Arc::clone(&now));
            async move {
                if is_silent {
                    highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _waiting = Waiting(now);
                    std::future::pending::<()>().await;
                }
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let router = axum::Router::new().route("/{hook}", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, silent, most }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_webhooks_use_half_of_the_slots_and_healthy_ones_get_all_events() {
    const FAILING: usize = 20;
    let (sender, mut receiver) = (Sender::start(LOOPBACK).await, Receiver::start(&[]).await);
    let failing = Failing::start().await;
    let wanted = |url: &str| WebhookRequest { events: vec!["prompt.*".to_owned()], ..to(url) };
    for number in 0..FAILING {
        sender.add(&format!("bot-{number}"), &wanted(&format!("{}/{number}", failing.url))).await;
    }
    sender.add("well", &wanted(&receiver.url)).await;
    let first = sender.publish("a", "one").await;
    assert_eq!(receiver.next().await.seq(), first);
    let until = async |what: &str, fits: &dyn Fn(usize, usize) -> bool| {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let failed = sender.client.webhooks().await.expect("a list").iter().filter(|one| one.failures > 0).count();
            if fits(failed, failing.most.load(Ordering::SeqCst)) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "never: {what}");
            tokio::time::sleep(LOOK).await;
        }
    };
    until("all failed", &|failed, _| failed == FAILING).await;
    failing.silent.send(true).expect("a server");
    sender.clock.advance(6_000);
    until("some hang", &|_, hang| hang >= 8).await;
    for text in ["two", "three", "four"] {
        let seq = sender.publish("a", text).await;
        assert_eq!(receiver.next().await.seq(), seq);
    }
    assert_eq!(failing.most.load(Ordering::SeqCst), 8, "half of sixteen");
}
