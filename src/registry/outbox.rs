//! The outbox of webhooks: which audit entries go to which webhook, what is due, and the results.
//!
//! Every effect of an audit entry is an event, so no decision is lost: each webhook has a cursor in the log, which
//! moves in the transaction that enqueues the entries it passes. Nothing is sent from here. This bookkeeping is not
//! audited, except when a webhook is disabled.
//!
//! A webhook whose receiver is down has a bounded number of pending deliveries; its cursor in the log waits for the
//! rest.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::Registry;
use super::epochs::by_itself;
use super::webhook_settings::{secrets, settings};
use crate::crypto::webhook::WebhookSecret;
use crate::governance::announcement::{TEST_EVENT, body, concerns, message_id};
use crate::governance::event::{Effect, effects};
use crate::governance::slack::slack_body;
use crate::governance::webhook::{Outcome, next_attempt, outcome, rest, should_disable, wants};
use crate::model::audit::{AuditChange, AuditEntry, Command, Decision, Subject};
use crate::model::count::count;
use crate::model::public_url::PublicUrl;
use crate::model::time::Timestamp;
use crate::model::webhook::{Attempt, Delivery, DeliveryState, Disabled, Webhook, WebhookFormat};
use crate::store::StoreError;
use crate::store::documents::{DeliveryKey, Documents, DueDelivery, Scan, delivery_key, due_key};
use crate::store::read::ReadTxn;
use crate::store::write::WriteTxn;

/// Number of audit entries that one transaction processes.
const BATCH_ENTRIES: usize = 500;
/// Number of pending deliveries at which a webhook's cursor waits; the effects of one entry can exceed it.
const PENDING_ENOUGH: u64 = 500;
/// Completed deliveries that are stored per webhook …
const REMEMBERED_MAX: u64 = 1_000;
/// … and for how long, in milliseconds: 30 days.
const REMEMBERED_MS: i64 = 30 * 24 * 3_600 * 1_000;
/// Longest pause that a receiver can ask for, in seconds: a day.
const QUIET_S_MAX: u64 = 86_400;
/// Longest stored error of a failure, in characters.
const ERROR_CHARACTERS_MAX: usize = 300;
/// An audit entry, and the index of the effect in it.
pub type EventNumber = (u64, u64);

/// One due delivery, with everything that is sent. It has no `Debug`, because its URL may be a credential.
pub struct OutgoingDelivery {
    /// The webhook.
    pub webhook: String,
    /// The audit entry of the event, and the index of the effect.
    pub event: EventNumber,
    /// The header `webhook-id`.
    pub id: String,
    /// Where to.
    pub url: String,
    /// The JSON to post.
    pub body: Vec<u8>,
    /// The secrets to sign with; two during a rotation.
    pub secrets: Vec<WebhookSecret>,
}

/// The work of a sender of webhooks.
#[derive(Default)]
pub struct OutboxWork {
    /// At most one per webhook.
    pub due: Vec<OutgoingDelivery>,
    /// When more will be due, if nothing changes.
    pub next_at: Option<Timestamp>,
    /// Whether there are more audit entries to process now.
    pub more: bool,
}

/// The result of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverAnswer {
    /// The status of the receiver; absent if it could not be reached or was not contacted.
    pub status: Option<u16>,
    /// The error, for people; absent for a 2xx answer.
    pub error: Option<String>,
    /// The pause that the receiver asks for, in seconds. A date is relative to the answer's own `date`.
    pub retry_after_s: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The result of one attempt.
#[derive(Clone, Debug)]
pub struct DeliveryResult {
    /// The webhook.
    pub webhook: String,
    /// The audit entry of the event, and the index of the effect.
    pub event: EventNumber,
    /// The answer of the receiver.
    pub answer: ReceiverAnswer,
    /// A random number to spread the next attempt.
    pub jitter: u64,
}

impl Registry {
    /// Enqueues new decisions, and returns due deliveries: at most `room`, none to the webhooks that are `busy`, and
    /// starting with the names after `after`, so that each webhook gets its turn. Webhooks whose last attempt failed
    /// get at most half of the slots, so they only delay each other.
    pub async fn webhook_work(
        &self,
        busy: BTreeSet<String>,
        after: Option<String>,
        room: usize,
    ) -> Result<OutboxWork, StoreError> {
        let now = self.now();
        let (store, stop) = (self.0.store.clone(), |error: tokio::task::JoinError| std::io::Error::other(error));
        let found = tokio::task::spawn_blocking(move || new_entries(&store.read()?)).await.map_err(stop)?;
        let more = match found? {
            None => false,
            Some((from, entries)) => {
                let full = entries.len() == BATCH_ENTRIES;
                self.0.store.write(move |txn| enqueue(txn, from, &entries)).await? && full
            }
        };
        let (store, base) = (self.0.store.clone(), self.0.public_url.get().cloned());
        let due = move || {
            let base = base.as_ref().map(PublicUrl::as_str);
            due(&store.read()?, &busy, after.as_deref(), room, (base, now))
        };
        let work = tokio::task::spawn_blocking(due).await.map_err(stop)??;
        Ok(OutboxWork { more, ..work })
    }

    /// Records the results of attempts. A webhook whose receiver is gone, or has failed for days, is disabled.
    ///
    /// # Errors
    /// The store fails; nothing is recorded then.
    pub async fn webhook_done(&self, attempts: Vec<DeliveryResult>) -> Result<Vec<DeliveryState>, StoreError> {
        let now = self.now();
        let job = move |txn: &mut WriteTxn<'_>| {
            attempts.into_iter().filter_map(|one| settle(txn, now, one).transpose()).collect()
        };
        self.0.store.write(job).await
    }

    /// Drops old completed deliveries.
    pub async fn forget_old_deliveries(&self) -> Result<(), StoreError> {
        let now = self.now();
        let job = move |txn: &mut WriteTxn<'_>| {
            for mut webhook in txn.list::<Webhook>()? {
                if forget(txn, &mut webhook, now)? {
                    txn.put::<Webhook>(&webhook.name, &webhook)?;
                }
            }
            Ok(())
        };
        self.0.store.write(job).await
    }
}

/// The new deliveries of an audit entry to a webhook: the effects that match its filters and prompts, or its own test.
pub(super) fn fresh(webhook: &Webhook, entry: &AuditEntry) -> Vec<Delivery> {
    let effects = numbered(webhook, entry);
    let passes = |effect: &Effect<'_>| {
        effect.event_type == TEST_EVENT
            || (wants(&webhook.events, &effect.event_type) && concerns(entry, effect, &webhook.prompts))
    };
    let delivery = |(number, effect): (u64, Effect<'_>)| {
        let id = message_id(entry, number);
        Delivery::new(&webhook.name, (entry.seq, number), id, effect.event_type)
    };
    effects.filter(|(_, effect)| passes(effect)).map(delivery).collect()
}

/// The effects of an entry, by index. A webhook's own test has a name of its own.
fn numbered<'a>(webhook: &Webhook, entry: &'a AuditEntry) -> impl Iterator<Item = (u64, Effect<'a>)> {
    let is_test = entry.command == Command::TestWebhook
        && entry.decision == Decision::Granted
        && matches!(entry.subjects.first(), Some(Subject::Webhook { name }) if *name == webhook.name);
    let test = || vec![Effect { event_type: TEST_EVENT.to_owned(), change: None }];
    (0..).zip(if is_test { test() } else { effects(entry) })
}

/// Whether a webhook accepts more audit entries now.
fn takes(webhook: &Webhook) -> bool {
    webhook.disabled.is_none() && webhook.pending < PENDING_ENOUGH
}

/// The first entries that some webhook has not processed, and the position before them.
fn new_entries(txn: &ReadTxn) -> Result<Option<(u64, Vec<AuditEntry>)>, StoreError> {
    let webhooks = txn.list::<Webhook>()?;
    let from = webhooks.iter().filter(|webhook| takes(webhook)).map(|webhook| webhook.cursor).min();
    let Some(from) = from else { return Ok(None) };
    let entries = txn.audit_from(from.saturating_add(1), BATCH_ENTRIES)?;
    Ok((!entries.is_empty()).then_some((from, entries)))
}

/// Moves every cursor at or after `from` past the entries; returns whether one moved.
fn enqueue(txn: &mut WriteTxn<'_>, from: u64, entries: &[AuditEntry]) -> Result<bool, StoreError> {
    let mut moved = false;
    for mut webhook in txn.list::<Webhook>()? {
        let begins = webhook.cursor;
        // A webhook that was just enabled may be before all of them: its turn comes with the next batch.
        if !takes(&webhook) || begins < from {
            continue;
        }
        for entry in entries.iter().filter(|entry| entry.seq > begins) {
            if !takes(&webhook) {
                break;
            }
            for delivery in fresh(&webhook, entry) {
                txn.put(delivery_key(&delivery), &delivery)?;
                txn.put(due_key(&delivery), &DueDelivery)?;
                webhook.pending += 1;
            }
            webhook.cursor = entry.seq;
        }
        if webhook.cursor != begins {
            txn.put::<Webhook>(&webhook.name, &webhook)?;
            moved = true;
        }
    }
    Ok(moved)
}

fn due(
    txn: &ReadTxn,
    busy: &BTreeSet<String>,
    after: Option<&str>,
    room: usize,
    (base, now): (Option<&str>, Timestamp),
) -> Result<OutboxWork, StoreError> {
    let mut webhooks = txn.list::<Webhook>()?;
    let turn = webhooks.partition_point(|webhook| after.is_some_and(|after| webhook.name.as_str() <= after));
    webhooks.rotate_left(turn);
    // A hanging receiver blocks a slot for the whole timeout: these must not take every slot.
    let failing = |webhook: &Webhook| webhook.failures > 0;
    let failing_busy = webhooks.iter().filter(|webhook| failing(webhook) && busy.contains(&webhook.name)).count();
    let places = room + busy.len();
    let mut failing_room = (places / 2).max(1).saturating_sub(failing_busy);
    let mut work = OutboxWork::default();
    for webhook in webhooks {
        let full = work.due.len() >= room;
        if webhook.disabled.is_some() || webhook.pending == 0 || busy.contains(&webhook.name) || full {
            continue;
        }
        let Some((due_ms, event)) = first_due(txn, &webhook.name)? else { continue };
        let quiet = webhook.quiet_until.unwrap_or_default();
        let due_at = Timestamp::from_ms(due_ms).max(quiet);
        if due_at > now {
            work.next_at = Some(work.next_at.map_or(due_at, |next| next.min(due_at)));
            continue;
        }
        if failing(&webhook) {
            let Some(left) = failing_room.checked_sub(1) else { continue };
            failing_room = left;
        }
        work.due.push(sending(txn, &webhook, event, base, now)?);
    }
    Ok(work)
}

/// When the first delivery of a webhook is due, in milliseconds since 1970, and which one.
fn first_due(txn: &ReadTxn, name: &str) -> Result<Option<(i64, EventNumber)>, StoreError> {
    let mut first = None;
    txn.visit_documents(&Scan::<DueDelivery>::under(name), &mut |found| {
        let key = found.key()?;
        first = i64::try_from(key.due_ms).ok().map(|due_ms| (due_ms, (key.seq, key.effect)));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

fn sending(
    txn: &ReadTxn,
    webhook: &Webhook,
    (seq, number): EventNumber,
    base: Option<&str>,
    now: Timestamp,
) -> Result<OutgoingDelivery, StoreError> {
    let gone =
        || StoreError::Record { kind: "document", reason: format!("audit entry {seq} of a delivery is missing") };
    let entry = txn.audit_from(seq, 1)?.into_iter().next().filter(|entry| entry.seq == seq).ok_or_else(gone)?;
    let (_, effect) = numbered(webhook, &entry).find(|(one, _)| *one == number).ok_or_else(gone)?;
    let event = body(&entry, &effect);
    let event = match webhook.format {
        WebhookFormat::Standard => event,
        WebhookFormat::Slack => slack_body(&event, base),
    };
    Ok(OutgoingDelivery {
        webhook: webhook.name.clone(),
        event: (seq, number),
        id: message_id(&entry, number),
        url: webhook.url.clone(),
        body: event.to_string().into_bytes(),
        secrets: secrets(txn, &webhook.name, now)?,
    })
}

/// Records an attempt, and returns the new state of its delivery.
fn settle(
    txn: &mut WriteTxn<'_>,
    now: Timestamp,
    attempted: DeliveryResult,
) -> Result<Option<DeliveryState>, StoreError> {
    let DeliveryResult { webhook: name, event, answer, jitter } = attempted;
    let (seq, effect) = event;
    let webhook = txn.get::<Webhook>(&name)?;
    let delivery = txn.get::<Delivery>(DeliveryKey { webhook: &name, seq, effect })?;
    // The webhook may have been removed since.
    let Some((mut webhook, mut delivery)) = webhook.zip(delivery) else { return Ok(None) };
    if delivery.state != DeliveryState::Pending {
        return Ok(None);
    }
    txn.remove::<DueDelivery>(due_key(&delivery))?;
    let error = answer.error.map(|error| error.chars().take(ERROR_CHARACTERS_MAX).collect());
    delivery.remember(Attempt { at: now, status: answer.status, error, took_ms: answer.took_ms });
    let later = |seconds: u64| Timestamp::from_ms(now.ms() + i64::try_from(seconds).unwrap_or(0) * 1_000);
    let outcome = outcome(answer.status);
    delivery.next_at = None;
    if outcome == Outcome::Delivered {
        delivery.state = DeliveryState::Delivered;
        (webhook.failing_since, webhook.failures, webhook.quiet_until) = (None, 0, None);
    } else {
        webhook.failures = webhook.failures.saturating_add(1);
        webhook.failing_since.get_or_insert(now);
        let asked_s = answer.retry_after_s.map_or(0, |seconds| seconds.min(QUIET_S_MAX));
        webhook.quiet_until = Some(later(asked_s.max(rest(webhook.failures))));
        let wait_s = next_attempt(delivery.tried, answer.retry_after_s, jitter);
        match wait_s.filter(|_| outcome == Outcome::Retry) {
            Some(seconds) => delivery.next_at = Some(later(seconds)),
            None => delivery.state = DeliveryState::Failed,
        }
    }
    if delivery.state == DeliveryState::Pending {
        txn.put(due_key(&delivery), &DueDelivery)?;
    } else {
        delivery.ended = Some(now);
        (webhook.pending, webhook.over) = (webhook.pending.saturating_sub(1), webhook.over + 1);
    }
    txn.put(delivery_key(&delivery), &delivery)?;
    if webhook.over > REMEMBERED_MAX {
        forget(txn, &mut webhook, now)?;
    }
    let failed = |since: Timestamp| should_disable(since.ms(), now.ms(), webhook.failures);
    let why = if outcome == Outcome::Disable {
        Some("its receiver answered 410 Gone".to_owned())
    } else {
        let since = webhook.failing_since.filter(|since| failed(*since));
        since.map(|since| format!("nothing has arrived since {since}, in {}", count(webhook.failures, "attempt")))
    };
    match why {
        Some(why) if webhook.disabled.is_none() => disable(txn, now, webhook, why)?,
        _ => txn.put::<Webhook>(&name, &webhook)?,
    }
    Ok(Some(delivery.state))
}

/// Disables a webhook automatically, with an audit entry.
fn disable(txn: &mut WriteTxn<'_>, now: Timestamp, mut webhook: Webhook, why: String) -> Result<(), StoreError> {
    let before = settings(&webhook);
    webhook.disabled = Some(Disabled { at: now, why: why.clone() });
    txn.put::<Webhook>(&webhook.name, &webhook)?;
    let subject = Subject::Webhook { name: webhook.name.clone() };
    let change = AuditChange::settings(subject.clone(), Some(&before), Some(&settings(&webhook)));
    let entry = AuditEntry {
        reason: why,
        subjects: vec![subject],
        changes: vec![change],
        ..by_itself(Command::DisableWebhook, "delivering webhooks")
    };
    txn.commit(now, Vec::new(), entry)?;
    Ok(())
}

/// Drops old or excess completed deliveries of a webhook; returns whether there were any.
fn forget(txn: &mut WriteTxn<'_>, webhook: &mut Webhook, now: Timestamp) -> Result<bool, StoreError> {
    let mut forgotten = Vec::new();
    let mut over = webhook.over;
    txn.visit_documents(&Scan::<Delivery>::under(&webhook.name), &mut |found| {
        let delivery = found.read()?;
        if delivery.state == DeliveryState::Pending {
            return Ok(ControlFlow::Continue(()));
        }
        let old = delivery.ended.is_none_or(|ended| now.ms().saturating_sub(ended.ms()) > REMEMBERED_MS);
        if !old && over <= REMEMBERED_MAX {
            return Ok(ControlFlow::Break(()));
        }
        forgotten.push(delivery);
        over = over.saturating_sub(1);
        Ok(ControlFlow::Continue(()))
    })?;
    for delivery in &forgotten {
        txn.remove::<Delivery>(delivery_key(delivery))?;
    }
    webhook.over = over;
    Ok(!forgotten.is_empty())
}
