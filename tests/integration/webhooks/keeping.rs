//! Webhooks are stored, shown without their secrets, and rejected for disallowed addresses.

use bookholder::api::govern::TokenRequest;
use bookholder::api::webhooks::{WebhookRequest, WebhookRotation};
use bookholder::client::{Client, ClientOptions};
use bookholder::crypto::secret::AccessToken;
use bookholder::model::audit::Command;
use bookholder::model::webhook::WebhookFormat;
use futures_util::TryStreamExt;

use super::{Receiver, Sender, refused, to};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::ADMIN;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_to_a_private_network_is_refused_unless_allowed() {
    let sender = Sender::start("").await;
    for (url, part) in [
        ("http://127.0.0.1:9/hook", "which is loopback; use a public address, or allow its network"),
        ("https://localhost/hook", "which is loopback"),
        ("https://169.254.169.254/latest/meta-data", "cloud metadata services"),
        ("https://[::ffff:10.0.0.1]/", "which is private"),
        ("http://example.com/hook", "without TLS"),
        ("https://user:password@example.com/", "cannot contain a user or password"),
        ("ftp://example.com/", "must start with https://"),
        ("https://hooks.slack.com/services/…", "stands for the rest of an example"),
    ] {
        let (status, detail) = refused(sender.client.put_webhook("bot", &to(url)).await);
        assert_eq!(status, 422, "{url}: {detail}");
        assert!(detail.contains(part) && !detail.contains("password@"), "{url}: {detail}");
    }
    let (_, detail) = refused(sender.client.put_webhook("bot", &to("http://127.0.0.1:9/hook")).await);
    assert!(detail.contains("webhook_allow"), "{detail}");
    assert!(sender.client.webhooks().await.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn network_no_longer_allowed_gets_no_webhooks() {
    let (mut sender, mut receiver) = (Sender::start("127.0.0.0/8").await, Receiver::start(&[]).await);
    sender.add("bot", &to(&receiver.url)).await;
    sender.allow = "";
    sender.restart().await;
    sender.publish("a", "one").await;
    let tried = sender.until("bot", "tried", |delivery| delivery.tried == 1).await;
    let error = tried.attempts[0].error.clone().expect("a refusal");
    assert!(error.contains("which is loopback"), "{error}");
    receiver.nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_secrets_are_shown_once_and_in_no_list_or_audit_entry() {
    let sender = Sender::start("127.0.0.0/8").await;
    let slack = WebhookRequest { format: WebhookFormat::Slack, ..to("https://hooks.example.com/services/T0/hidden") };
    let first = sender.add("team", &slack).await;
    let kept = sender.client.put_webhook("team", &slack).await.expect("kept again");
    assert_eq!((kept.secret, kept.url.as_str()), (None, "https://hooks.example.com/…"));
    let rotated = sender.client.rotate_webhook("team", &WebhookRotation::default()).await.expect("rotated");
    let second = rotated.secret.expect("another secret");
    assert_eq!(rotated.previous_until, None);
    let listed = serde_json::to_string(&sender.client.webhooks().await.expect("a list")).expect("JSON");
    let audit: Vec<_> = sender.client.audit(100).try_collect().await.expect("a log");
    let audit = serde_json::to_string(&audit).expect("JSON");
    for text in [&listed, &audit] {
        assert!(![&first, &second].into_iter().any(|secret| text.contains(secret.as_str())), "{text}");
        assert!(!text.contains("whsec_") && !text.contains("hidden"), "{text}");
    }
    for command in ["put-webhook", "rotate-webhook"] {
        assert!(audit.contains(command), "{audit}");
    }
    assert!(audit.contains("https://hooks.example.com/…"), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_need_permission_and_errors_are_explained() {
    let sender = Sender::start("127.0.0.0/8").await;
    let here = to("http://127.0.0.1:9/");
    let reader = TokenRequest { name: "ron".to_owned(), role: Some("reader".to_owned()), ..TokenRequest::default() };
    let token = sender.client.create_token(&reader).await.expect("a token").token.expect("shown once");
    let token = Some(AccessToken::parse(&token).expect("a token"));
    let server = sender.client.server().to_owned();
    let ron = Client::new(&ClientOptions { server, token, ca_pem: None }).expect("a client");
    assert_eq!(refused(ron.webhooks().await).0, 403);
    assert_eq!(refused(ron.put_webhook("bot", &here).await).0, 403);
    let denied: Vec<_> = sender.client.audit(100).try_collect().await.expect("a log");
    assert!(denied.iter().any(|entry| entry.command == Command::PutWebhook && entry.actor == "ron"));
    let events = |events: &[&str]| WebhookRequest {
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        ..here.clone()
    };
    for (name, request, expected, part) in [
        ("Bot!", here.clone(), 400, "for a webhook"),
        ("bot", events(&[]), 422, "needs at least one event filter"),
        ("bot", events(&["prom*"]), 422, "invalid event filter `prom*`"),
        ("bot", events(&["*"; 33]), 422, "at most 32 filters"),
        ("bot", events(&["prompt.version.bloked"]), 422, "no event matches the filter `prompt.version.bloked`"),
    ] {
        let (status, detail) = refused(sender.client.put_webhook(name, &request).await);
        assert!(status == expected && detail.contains(part), "{status} {detail}");
    }
    assert_eq!(refused(sender.client.remove_webhook("bot").await), (404, "there is no webhook `bot`".to_owned()));
    for number in 0..100 {
        sender
            .add(&format!("bot-{number}"), &WebhookRequest { events: vec!["webhook.test".to_owned()], ..here.clone() })
            .await;
    }
    let (status, detail) = refused(sender.client.put_webhook("bot", &here).await);
    assert_eq!((status, detail.as_str()), (413, "there are 101 webhooks; the limit is 100"));
    let (_, detail) = refused(sender.client.redeliver("bot-1", 9_999).await);
    assert_eq!(detail, "there is no audit entry `9999`");
    let long = WebhookRotation { overlap_s: 40 * 24 * 3_600 };
    assert!(
        refused(sender.client.rotate_webhook("bot-1", &long).await)
            .1
            .contains("longer than the maximum overlap of 30 days")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_line_creates_tests_and_lists_webhooks() {
    let (sender, mut receiver) = (Sender::start("127.0.0.0/8").await, Receiver::start(&[]).await);
    let server = sender.client.server().to_owned();
    let line = |line: &str| -> Bookholder {
        bookholder(line.split(' ')).env("BOOKHOLDER_SERVER", &server).env("BOOKHOLDER_TOKEN", ADMIN)
    };
    let said = line(&format!("webhook add bot {} --event prompt.* --prompts support/**", receiver.url)).ok();
    let secret = said.stdout.trim().to_owned();
    assert!(secret.starts_with("whsec_") && said.stderr.contains("copy its secret now"), "{said:#?}");
    let listed = line("webhook list").ok().says("bot").says("prompt.*").says("support/**").says("good");
    assert!(!listed.stdout.contains("whsec_"), "{listed:#?}");
    let _said = line("webhook test bot").ok().says("is on its way to bot");
    let arrived = receiver.next().await;
    standardwebhooks::Webhook::new(&secret)
        .expect("a secret")
        .verify(&arrived.body, &arrived.headers)
        .expect("believed");
    sender.until("bot", "delivered", |delivery| delivery.ended.is_some()).await;
    let _said = line("webhook deliveries bot").ok().says("webhook.test").says("delivered").says("204");
    let failed = line("webhook deliveries bot --failed --json").ok().json();
    assert_eq!(failed, serde_json::json!({"items": []}));
    let _said = line(&format!("webhook redeliver bot {}", arrived.seq())).ok().says("on its way");
    assert_eq!(receiver.next().await.id(), arrived.id());
    let said = line("webhook rotate bot --overlap-hours 1").ok();
    assert!(said.stdout.starts_with("whsec_") && said.stdout.trim() != secret, "{said:#?}");
    let _said = line("webhook disable bot -m moves").ok().says("bot is disabled");
    let _said = line("webhook list").ok().says("by admin: moves");
    let _said = line("webhook test bot").fails(1).says("enable it first");
    let _said = line("webhook enable bot").ok().says("bot is enabled");
    let _said = line("webhook remove bot").ok().says("removed bot");
    let _said = line("webhook remove bot").fails(1).says("there is no webhook `bot`");
}
