//! Webhooks: created, rotated, disabled and tested, and the results of their deliveries.
//!
//! `outbox` decides what is sent when. Invariant: a secret is shown only by the command that creates it; the audit log
//! contains neither secrets nor the path of a URL, which for many receivers is one.

use std::ops::ControlFlow;

use ipnet::IpNet;

use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::outbox::fresh;
use super::webhook_settings::{origin, settings};
use super::{Actor, Registry, RegistryError, check_handle, check_message};
use crate::api::limits::{OVERLAP_S_MAX, PAGE_ROWS_MAX};
use crate::api::read::Page;
use crate::api::webhooks::{DeliveryPage, SuspensionRequest, WebhookRequest, WebhookRotation, WebhookView};
use crate::crypto::webhook::WebhookSecret;
use crate::governance::webhook::check_filters;
use crate::governance::webhook_url::check_url;
use crate::model::audit::{AuditChange, Command, Subject};
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::model::principal::Permission;
use crate::model::public_url::PublicUrl;
use crate::model::time::Timestamp;
use crate::model::webhook::{Delivery, DeliveryState, Disabled, WEBHOOKS_MAX, Webhook, WebhookFormat};
use crate::store::StoreError;
use crate::store::documents::{
    DeliveryKey, Documents, DueDelivery, DueDeliveryKey, Scan, WebhookSecrets, delivery_key, due_key,
};
use crate::store::write::WriteTxn;

const WEBHOOK: &str = "webhook";

/// Number of webhooks by state, and of pending deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct WebhookFigures {
    pub ok: u64,
    pub failing: u64,
    pub disabled: u64,
    pub pending: u64,
}

impl Registry {
    /// Allows webhooks to reach these networks; set once, before anything is served.
    pub fn allow_webhooks(&self, networks: Vec<IpNet>) {
        let _said_before = self.0.webhook_networks.set(networks);
    }

    /// Sets the URL of the pages, for links to them; set once, before anything is served.
    pub fn link_to(&self, public_url: Option<PublicUrl>) {
        let _said_before = public_url.map(|public_url| self.0.public_url.set(public_url));
    }

    /// Numbers of webhooks by state and of pending deliveries, for metrics.
    pub fn webhook_figures(&self) -> Result<WebhookFigures, RegistryError> {
        let mut figures = WebhookFigures::default();
        for webhook in self.0.store.read()?.list::<Webhook>()? {
            figures.pending += webhook.pending;
            match (&webhook.disabled, &webhook.failing_since) {
                (Some(_), _) => figures.disabled += 1,
                (None, Some(_)) => figures.failing += 1,
                (None, None) => figures.ok += 1,
            }
        }
        Ok(figures)
    }

    /// Every webhook, by name.
    ///
    /// # Errors
    /// The actor lacks permission, or the store fails.
    pub fn webhooks(&self, actor: &Actor) -> Result<Vec<WebhookView>, RegistryError> {
        self.may_look(actor, Permission::Webhooks)?;
        let (txn, now) = (self.0.store.read()?, self.now());
        let webhooks = txn.list::<Webhook>()?;
        let shown = webhooks
            .iter()
            .map(|webhook| Ok(view(webhook, previous_secret_valid_until(&txn, &webhook.name, now)?, None)));
        shown.collect()
    }

    /// The deliveries of a webhook, newest first; `cursor` is the `next` of the previous page.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist, the cursor is invalid, or the store fails.
    pub fn deliveries(
        &self,
        actor: &Actor,
        name: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<DeliveryPage, RegistryError> {
        self.may_look(actor, Permission::Webhooks)?;
        let wrong =
            |_| RegistryError::Unfit("the cursor is not from this list; pass `next` from the previous page".to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(wrong);
        let from = cursor.map_or(Ok((u64::MAX, u64::MAX)), |cursor| {
            let (seq, effect) = cursor.split_once('-').unwrap_or((cursor, "0"));
            Ok::<_, RegistryError>((number(seq)?, number(effect)?))
        })?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let txn = self.0.store.read()?;
        find(&txn, name)?;
        let mut items: Vec<Delivery> = Vec::new();
        let mut next = None;
        txn.visit_documents(&Scan::<Delivery>::under(name).backwards(), &mut |found| {
            let delivery = found.read()?;
            if (delivery.seq, delivery.effect) > from {
                return Ok(ControlFlow::Continue(()));
            }
            if items.len() == limit {
                next = Some(format!("{}-{}", delivery.seq, delivery.effect));
                return Ok(ControlFlow::Break(()));
            }
            items.push(delivery);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Page { items, next })
    }

    /// Stores a webhook. One with the same name is replaced, and keeps its secret and deliveries. A new one gets events
    /// from now on; only the answer contains its secret.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook is invalid, its address is in a network that is not allowed, there are
    /// too many, or the store fails.
    pub async fn put_webhook(
        &self,
        actor: &Actor,
        name: String,
        request: WebhookRequest,
    ) -> Result<WebhookView, RegistryError> {
        let secret = generate()?;
        let networks = self.0.webhook_networks.get().cloned().unwrap_or_default();
        self.command(actor, about(Command::PutWebhook, &name, ""), move |txn, ctx, granted| {
            check_handle("a webhook", &name)?;
            check_filters(&request.events).map_err(|error| RegistryError::Unfit(error.to_string()))?;
            let url = check_url(&request.url, &networks).map_err(|error| RegistryError::Unfit(error.to_string()))?;
            let before = txn.get::<Webhook>(&name)?;
            let (count, max) = (txn.list::<Webhook>()?.len() + 1, WEBHOOKS_MAX);
            if before.is_none() && count > max {
                return Err(RegistryError::TooMany { what: "webhooks", count, max });
            }
            let mut after = before.clone().unwrap_or_else(|| Webhook {
                name: name.clone(),
                url: String::new(),
                events: Vec::new(),
                prompts: request.prompts.clone(),
                format: request.format,
                created: ctx.now,
                disabled: None,
                // It gets no event about its own creation.
                cursor: txn.next_seq(),
                failing_since: None,
                failures: 0,
                quiet_until: None,
                pending: 0,
                over: 0,
            });
            let url = url.to_string();
            if after.url != url {
                (after.failing_since, after.failures, after.quiet_until) = (None, 0, None);
            }
            (after.url, after.events, after.prompts, after.format) =
                (url, request.events, request.prompts, request.format);
            let change = AuditChange::settings(
                Subject::Webhook { name: name.clone() },
                before.as_ref().map(settings).as_ref(),
                Some(&settings(&after)),
            );
            let made = if before.is_none() {
                txn.put::<WebhookSecrets>(&name, &WebhookSecrets { current: secret.reveal(), previous: None })?;
                Some(&secret)
            } else {
                None
            };
            let previous = previous_secret_valid_until(txn, &name, ctx.now)?;
            txn.put::<Webhook>(&name, &after)?;
            record(txn, ctx, granted, Command::PutWebhook, &name, String::new(), vec![change])?;
            Ok(view(&after, previous, made))
        })
        .await
    }

    /// Gives a webhook a new secret, which is in the answer; the old one signs too for the overlap.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist, the overlap is too long, or the store fails.
    pub async fn rotate_webhook_secret(
        &self,
        actor: &Actor,
        name: String,
        request: WebhookRotation,
    ) -> Result<WebhookView, RegistryError> {
        let overlap_s = request.overlap_s;
        let secret = generate()?;
        self.command(actor, about(Command::RotateWebhook, &name, ""), move |txn, ctx, granted| {
            let webhook = find(txn, &name)?;
            let overlap_ms = i64::try_from(overlap_s).ok().filter(|_| overlap_s <= OVERLAP_S_MAX);
            let too_long = || {
                RegistryError::Unfit(format!(
                    "{overlap_s} s is longer than the maximum overlap of 30 \
                days"
                ))
            };
            let until = Timestamp::from_ms(ctx.now.ms() + overlap_ms.ok_or_else(too_long)? * 1_000);
            let before = txn.get::<WebhookSecrets>(&name)?;
            let previous = before.map(|before| (before.current, until)).filter(|_| until > ctx.now);
            let previous_until = previous.as_ref().map(|(_, until)| *until);
            txn.put::<WebhookSecrets>(&name, &WebhookSecrets { current: secret.reveal(), previous })?;
            record(txn, ctx, granted, Command::RotateWebhook, &name, String::new(), Vec::new())?;
            Ok(view(&webhook, previous_until, Some(&secret)))
        })
        .await
    }

    /// Removes a webhook with its deliveries.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist, or the store fails.
    pub async fn remove_webhook(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        self.command(actor, about(Command::RemoveWebhook, &name, ""), move |txn, ctx, granted| {
            let webhook = find(txn, &name)?;
            remove_deliveries(txn, &name)?;
            txn.remove::<WebhookSecrets>(&name)?;
            txn.remove::<Webhook>(&name)?;
            let subject = Subject::Webhook { name: name.clone() };
            let change = AuditChange::settings(subject, Some(&settings(&webhook)), None);
            Ok(record(txn, ctx, granted, Command::RemoveWebhook, &name, String::new(), vec![change])?)
        })
        .await
    }

    /// Disables a webhook until it is enabled. Events in between are not sent; pending ones remain.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist, the message is too long, or the store fails.
    pub async fn disable_webhook(
        &self,
        actor: &Actor,
        name: String,
        request: SuspensionRequest,
    ) -> Result<WebhookView, RegistryError> {
        let message = if request.message.trim().is_empty() { String::new() } else { check_message(&request.message)? };
        self.change_webhook(actor, name, Command::DisableWebhook, message.clone(), move |_, ctx, webhook| {
            let by = &ctx.actor.name;
            let why = if message.is_empty() { format!("by {by}") } else { format!("by {by}: {message}") };
            webhook.disabled = Some(Disabled { at: ctx.now, why });
            Ok(())
        })
        .await
    }

    /// Enables a webhook, also after it was disabled automatically: pending and future events are sent.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist, or the store fails.
    pub async fn enable_webhook(&self, actor: &Actor, name: String) -> Result<WebhookView, RegistryError> {
        self.change_webhook(actor, name, Command::EnableWebhook, String::new(), |txn, _, webhook| {
            if webhook.disabled.take().is_some() {
                webhook.cursor = txn.next_seq();
                (webhook.failing_since, webhook.failures, webhook.quiet_until) = (None, 0, None);
            }
            Ok(())
        })
        .await
    }

    async fn change_webhook(
        &self,
        actor: &Actor,
        name: String,
        command: Command,
        message: String,
        change: impl FnOnce(&WriteTxn<'_>, &Ctx, &mut Webhook) -> Result<(), RegistryError> + Send + 'static,
    ) -> Result<WebhookView, RegistryError> {
        self.command(actor, about(command, &name, &message), move |txn, ctx, granted| {
            let mut webhook = find(txn, &name)?;
            let before = settings(&webhook);
            change(txn, ctx, &mut webhook)?;
            let subject = Subject::Webhook { name: name.clone() };
            let audited = AuditChange::settings(subject, Some(&before), Some(&settings(&webhook)));
            let previous = previous_secret_valid_until(txn, &name, ctx.now)?;
            txn.put::<Webhook>(&name, &webhook)?;
            record(txn, ctx, granted, command, &name, message, vec![audited])?;
            Ok(view(&webhook, previous, None))
        })
        .await
    }

    /// Sends a webhook an event of type `webhook.test`, regardless of its filters; returns the number of its audit
    /// entry.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook does not exist or is disabled, or the store fails.
    pub async fn test_webhook(&self, actor: &Actor, name: String) -> Result<u64, RegistryError> {
        self.command(actor, about(Command::TestWebhook, &name, ""), move |txn, ctx, granted| {
            let mut webhook = find(txn, &name)?;
            enabled(&webhook)?;
            let seq = txn.next_seq();
            // A test is sent at once, without waiting for the end of a pause.
            if webhook.quiet_until.take().is_some() {
                txn.put::<Webhook>(&name, &webhook)?;
            }
            record(txn, ctx, granted, Command::TestWebhook, &name, String::new(), Vec::new())?;
            Ok(seq)
        })
        .await
    }

    /// Sends a webhook the events of an audit entry again, or for the first time if it was disabled then: with the same
    /// `webhook-id`, a new schedule, and without waiting for the end of a pause.
    ///
    /// # Errors
    /// The actor lacks permission, the webhook or audit entry does not exist, nothing in it matches the webhook's
    /// filters and prompts, it is disabled, or the store fails.
    pub async fn redeliver(&self, actor: &Actor, name: String, seq: u64) -> Result<Vec<Delivery>, RegistryError> {
        let entry = self.0.store.read()?.audit_from(seq, 1)?.into_iter().next().filter(|entry| entry.seq == seq);
        self.command(actor, about(Command::RedeliverWebhook, &name, ""), move |txn, ctx, granted| {
            let mut webhook = find(txn, &name)?;
            enabled(&webhook)?;
            let entry = entry.ok_or_else(|| RegistryError::NotFound { what: "audit entry", name: seq.to_string() })?;
            let mut deliveries = fresh(&webhook, &entry);
            if deliveries.is_empty() {
                return Err(RegistryError::Unfit(format!(
                    "event {seq} does not match the filters and prompts of the webhook `{name}`; change those first"
                )));
            }
            for delivery in &mut deliveries {
                match txn.get::<Delivery>(delivery_key(delivery))? {
                    Some(before) if before.state == DeliveryState::Pending => {
                        txn.remove::<DueDelivery>(due_key(&before))?;
                        delivery.attempts = before.attempts;
                    }
                    Some(before) => {
                        (webhook.over, webhook.pending) = (webhook.over.saturating_sub(1), webhook.pending + 1);
                        delivery.attempts = before.attempts;
                    }
                    None => webhook.pending += 1,
                }
                txn.put(delivery_key(delivery), &*delivery)?;
                txn.put(due_key(delivery), &DueDelivery)?;
            }
            webhook.quiet_until = None;
            txn.put::<Webhook>(&name, &webhook)?;
            let subjects = vec![Subject::Webhook { name }, Subject::Entry { seq }];
            ctx.record(txn, granted, Command::RedeliverWebhook, subjects)?;
            Ok(deliveries)
        })
        .await
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.clock.now_ms())
    }
}

fn generate() -> Result<WebhookSecret, RegistryError> {
    WebhookSecret::generate().map_err(|error| RegistryError::Random(error.to_string()))
}

fn about(command: Command, name: &str, message: &str) -> Attempt {
    Attempt::new(command, [Subject::Webhook { name: name.to_owned() }], message)
}

fn record(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    command: Command,
    name: &str,
    message: String,
    changes: Vec<AuditChange>,
) -> Result<(), StoreError> {
    txn.commit(
        ctx.now,
        Vec::new(),
        ctx.audit(granted, command, vec![Subject::Webhook { name: name.to_owned() }], message, changes),
    )?;
    Ok(())
}

/// Removes every delivery of a webhook, pending or completed.
fn remove_deliveries(txn: &mut WriteTxn<'_>, name: &str) -> Result<(), StoreError> {
    let (mut deliveries, mut due) = (Vec::new(), Vec::new());
    txn.visit_documents(&Scan::<Delivery>::under(name), &mut |found| {
        let DeliveryKey { seq, effect, .. } = found.key()?;
        deliveries.push((seq, effect));
        Ok(ControlFlow::Continue(()))
    })?;
    txn.visit_documents(&Scan::<DueDelivery>::under(name), &mut |found| {
        let DueDeliveryKey { due_ms, seq, effect, .. } = found.key()?;
        due.push((due_ms, seq, effect));
        Ok(ControlFlow::Continue(()))
    })?;
    for (seq, effect) in deliveries {
        txn.remove::<Delivery>(DeliveryKey { webhook: name, seq, effect })?;
    }
    for (due_ms, seq, effect) in due {
        txn.remove::<DueDelivery>(DueDeliveryKey { webhook: name, due_ms, seq, effect })?;
    }
    Ok(())
}

fn find(txn: &impl Documents, name: &str) -> Result<Webhook, RegistryError> {
    let found = txn.get::<Webhook>(name)?;
    let shown = || name.chars().take(HANDLE_BYTES_MAX).collect();
    found.ok_or_else(|| RegistryError::NotFound { what: WEBHOOK, name: shown() })
}

fn enabled(webhook: &Webhook) -> Result<(), RegistryError> {
    match &webhook.disabled {
        Some(Disabled { at, why }) => {
            Err(RegistryError::Disabled { name: webhook.name.clone(), since: *at, why: why.clone() })
        }
        None => Ok(()),
    }
}

/// Until when the previous secret still signs.
fn previous_secret_valid_until(
    txn: &impl Documents,
    name: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let kept = txn.get::<WebhookSecrets>(name)?;
    Ok(kept.and_then(|kept| kept.previous).map(|(_, until)| until).filter(|until| *until > now))
}

fn view(webhook: &Webhook, previous_until: Option<Timestamp>, secret: Option<&WebhookSecret>) -> WebhookView {
    let hidden = webhook.format == WebhookFormat::Slack;
    WebhookView {
        name: webhook.name.clone(),
        // The path of a Slack URL is a credential.
        url: if hidden { origin(&webhook.url) } else { webhook.url.clone() },
        events: webhook.events.clone(),
        prompts: webhook.prompts.clone(),
        format: webhook.format,
        created: webhook.created,
        disabled: webhook.disabled.clone(),
        failing_since: webhook.failing_since,
        failures: webhook.failures,
        pending: webhook.pending,
        cursor: webhook.cursor,
        previous_until,
        secret: secret.map(WebhookSecret::reveal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_origin_hides_the_path() {
        for (url, expected) in [
            ("https://hooks.slack.com/services/T0/B0/secret?x=1", "https://hooks.slack.com/…"),
            ("http://127.0.0.1:9/", "http://127.0.0.1:9/…"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }
}
