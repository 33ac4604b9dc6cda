//! Alerts are told once: when they begin to fire, and when they no longer do.

use bookholder::api::webhooks::WebhookRequest;
use bookholder::model::alert::{AlertMetric, AlertRule, AlertState};
use bookholder::model::webhook::WebhookFormat;
use serde_json::{Value, json};

use super::{LOOK, Receiver, Sender, to};
use crate::support::node::{ADMIN, PATIENCE};

fn error_rate() -> AlertRule {
    AlertRule {
        metric: AlertMetric::ErrorRate,
        threshold: 0.5,
        prompts: "support/**".parse().expect("a pattern"),
        each_prompt: false,
        per_s: 3_600,
        min_calls: 10,
    }
}

impl Sender {
    /// Reports calls of the first version of a prompt.
    async fn call(&self, prompt: &str, calls: usize, error: Option<&str>) {
        let call = json!({"prompt": prompt, "version": "1", "model": "made-up", "cost_usd": 0.5, "error": error});
        let url = format!("{}/v1/responses", self.node.as_ref().expect("a running node").url());
        let request = reqwest::Client::new().post(url).bearer_auth(ADMIN);
        let answer = request.json(&json!({"responses": vec![call; calls]})).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Waits until the node has read the values of its alerts since it started.
    async fn until_read(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.client.alerts().await.expect("alerts").iter().any(|alert| alert.reading.is_none()) {
            assert!(tokio::time::Instant::now() < deadline, "never read");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn commands(&self) -> Vec<Value> {
        let url = format!("{}/v1/audit?limit=100", self.node.as_ref().expect("a running node").url());
        let request = reqwest::Client::new().get(url).bearer_auth(ADMIN);
        let page: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        page["items"].as_array().expect("entries").iter().map(|entry| entry["command"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_is_told_once_when_it_fires_and_once_when_it_is_resolved_across_restarts() {
    let (mut sender, mut receiver) = (Sender::start("127.0.0.0/8").await, Receiver::start(&[]).await);
    sender.publish("support/agent", "text").await;
    sender.add("bot", &WebhookRequest { events: vec!["alert.*".to_owned()], ..to(&receiver.url) }).await;
    let set = sender.client.put_alert("errors", &error_rate()).await.expect("an alert");
    assert_eq!(set.state, AlertState::Unknown, "without calls: {set:?}");
    assert!(set.summary.contains("0 calls, of the 10 that it needs"), "{}", set.summary);

    sender.call("support/agent", 15, Some("timeout")).await;
    sender.call("support/agent", 5, None).await;
    let fires = sender.client.put_alert("errors", &error_rate()).await.expect("an alert");
    assert_eq!(fires.state, AlertState::Firing, "{fires:?}");
    let event = receiver.next().await.json();
    assert_eq!((&event["type"], &event["data"]["actor"]), (&json!("alert.firing"), &json!("bookholder")), "{event}");
    let alert = &event["data"]["alert"];
    assert_eq!((&alert["rule"]["threshold"], &alert["reading"]["value"]), (&json!(0.5), &json!(0.75)), "{event}");
    assert_eq!(event["data"]["subjects"][0], json!({"kind": "alert", "name": "errors"}));
    assert_eq!(event["data"]["message"], "error rate of support/** in 1 hour: 75% (limit 50%)");

    sender.restart().await;
    sender.until_read().await;
    let status = sender.client.status().await.expect("a status");
    assert_eq!(status.alerts.iter().map(|alert| alert.name.as_str()).collect::<Vec<_>>(), ["errors"]);
    sender.client.put_alert("errors", &error_rate()).await.expect("an alert");
    receiver.nothing();

    sender.call("support/agent", 80, None).await;
    sender.clock.advance(6 * 60_000);
    let resolved = sender.client.put_alert("errors", &error_rate()).await.expect("an alert");
    assert_eq!((resolved.state, resolved.firing_since), (AlertState::Ok, None), "{resolved:?}");
    let event = receiver.next().await.json();
    assert_eq!((&event["type"], &event["data"]["alert"]["reading"]["value"]), (&json!("alert.resolved"), &json!(0.15)));
    let commands = sender.commands().await;
    let count = |command: &str| commands.iter().filter(|one| *one == command).count();
    assert_eq!((count("fire-alert"), count("resolve-alert"), count("put-alert")), (1, 1, 4), "{commands:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_on_one_prompt_reaches_webhooks_for_it_and_held_automation_tells_nobody() {
    let (mut sender, mut receiver) = (Sender::start("127.0.0.0/8").await, Receiver::start(&[]).await);
    sender.publish("support/agent", "text").await;
    let mut request = WebhookRequest { events: vec!["alert.firing".to_owned()], ..to(&receiver.url) };
    request.prompts = "support/**".parse().expect("a pattern");
    request.format = WebhookFormat::Slack;
    sender.add("team", &request).await;
    sender.call("support/agent", 20, None).await;
    let spend = |prompts: &str| AlertRule {
        metric: AlertMetric::Spend,
        threshold: 5.0,
        prompts: prompts.parse().expect("a pattern"),
        ..error_rate()
    };
    sender.hold_automation = true;
    sender.restart().await;
    let held = sender.client.put_alert("spend", &spend("support/agent")).await.expect("an alert");
    assert_eq!(held.state, AlertState::Unknown, "{held:?}");
    sender.hold_automation = false;
    sender.restart().await;
    let message = receiver.next().await.json();
    assert_eq!(message["text"], "The alert *spend* is firing", "{message}");
    let text = message["blocks"][0]["text"]["text"].as_str().expect("a text");
    assert!(text.contains("spend of support/agent in 1 hour: $10.00 (limit $5.00)"), "{text}");
    assert!(text.contains("<https://prompts.example.com/books/ui/alerts|Alerts>"), "{text}");
    // One about all prompts is not for a webhook of some.
    sender.client.put_alert("all", &spend("**")).await.expect("an alert");
    let first = sender.client.put_alert("other", &spend("support/agent")).await.expect("an alert");
    assert_eq!(first.state, AlertState::Firing);
    assert_eq!(receiver.next().await.json()["text"], "The alert *other* is firing");
    receiver.nothing();
}
