//! Alerts: created, replaced and removed, and what their values lead to.
//!
//! `ingest` reads the values. Invariant: an event is sent once for each time that an alert begins to fire, because the
//! state is stored in the transaction that records the event. Changes of state without an event are not audited.

use std::sync::PoisonError;

use super::command::{Attempt, SettingsChange};
use super::epochs::by_itself;
use super::{Actor, Registry, RegistryError, check_handle};
use crate::api::alerts::{AlertView, FiringAlert};
use crate::governance::alert::{AlertEvent, after_reading, check_rule, summary};
use crate::model::alert::{ALERTS_MAX, Alert, AlertReading, AlertRule, AlertState};
use crate::model::audit::{AuditChange, AuditEntry, Command, Subject};
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::resolve::ReadScope;
use crate::store::StoreError;
use crate::store::documents::Documents;
use crate::store::write::WriteTxn;

impl Registry {
    /// The alerts that a reader can see, by name: all, for one who can read every prompt; else those on single prompts
    /// that they can read.
    pub fn alerts(&self, scope: &ReadScope) -> Result<Vec<AlertView>, RegistryError> {
        let alerts = self.stored_alerts()?;
        Ok(alerts.into_iter().filter(|alert| can_see(scope, &alert.rule)).map(|alert| self.alert_view(alert)).collect())
    }

    /// The firing ones of these.
    pub fn firing_alerts(&self, scope: &ReadScope) -> Result<Vec<FiringAlert>, RegistryError> {
        let firing = self.alerts(scope)?.into_iter().filter(|alert| alert.state == AlertState::Firing);
        Ok(firing.map(|AlertView { name, since, summary, .. }| FiringAlert { name, since, summary }).collect())
    }

    /// How many alerts fire, for metrics.
    pub fn firing_alert_count(&self) -> Result<usize, StoreError> {
        Ok(self.stored_alerts()?.iter().filter(|alert| alert.state == AlertState::Firing).count())
    }

    /// All alerts, to read their values.
    pub fn stored_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.0.store.read()?.list::<Alert>()
    }

    /// Stores an alert, and replaces one with the same name. Its state is unknown until its value is read, unless the
    /// same alert was there before. Returns whether it is new.
    ///
    /// # Errors
    /// The actor lacks permission, the alert is invalid, there are too many, or the store fails.
    pub async fn put_alert(&self, actor: &Actor, name: String, rule: AlertRule) -> Result<bool, RegistryError> {
        let registry = self.clone();
        self.command(actor, about(Command::PutAlert, &name), move |txn, ctx, granted| {
            check_handle("an alert", &name)?;
            check_rule(&rule).map_err(|error| RegistryError::Unfit(error.to_string()))?;
            let before = txn.get::<Alert>(&name)?;
            let (count, max) = (txn.list::<Alert>()?.len() + 1, ALERTS_MAX);
            if before.is_none() && count > max {
                return Err(RegistryError::TooMany { what: "alerts", count, max });
            }
            let same = before.as_ref().is_some_and(|before| before.rule == rule);
            if let Some(before) = before.as_ref().filter(|_| same) {
                txn.put::<Alert>(&name, before)?;
            } else {
                let fresh = Alert {
                    name: name.clone(),
                    rule: rule.clone(),
                    created: before.as_ref().map_or(ctx.now, |before| before.created),
                    state: AlertState::Unknown,
                    since: ctx.now,
                    // What webhooks were told to fire is still to be resolved.
                    firing_since: before.as_ref().and_then(|before| before.firing_since),
                    told: None,
                };
                txn.put::<Alert>(&name, &fresh)?;
                registry.forget_reading(&name);
            }
            let change = SettingsChange { before: before.as_ref().map(|before| &before.rule), after: Some(&rule) };
            ctx.record_settings(txn, granted, Command::PutAlert, Subject::Alert { name }, change)?;
            Ok(before.is_none())
        })
        .await
    }

    /// Removes an alert; nothing is sent about one that fires.
    ///
    /// # Errors
    /// The actor lacks permission, the alert does not exist, or the store fails.
    pub async fn remove_alert(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let registry = self.clone();
        self.command(actor, about(Command::RemoveAlert, &name), move |txn, ctx, granted| {
            let Some(alert) = txn.get::<Alert>(&name)? else { return Err(absent(&name)) };
            txn.remove::<Alert>(&name)?;
            registry.forget_reading(&name);
            let change = SettingsChange { before: Some(&alert.rule), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemoveAlert, Subject::Alert { name }, change)?)
        })
        .await
    }

    /// One alert, for whoever manages them.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    pub fn alert(&self, name: &str) -> Result<AlertView, RegistryError> {
        let alert = self.0.store.read()?.get::<Alert>(name)?.ok_or_else(|| absent(name))?;
        Ok(self.alert_view(alert))
    }

    /// Notes the values of alerts as they were stored then, and records those that begin to fire or no longer do. Does
    /// nothing while automation is held.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails; the states are as before then.
    pub async fn note_readings(&self, readings: Vec<(Alert, AlertReading)>) -> Result<(), RegistryError> {
        if self.0.automation_held.get().is_some() {
            return Ok(());
        }
        let now = self.commit_time()?;
        let changes = readings.iter().any(|(alert, reading)| after_reading(alert, reading, now).is_some());
        self.keep_readings(&readings);
        if !changes {
            return Ok(());
        }
        let job = move |txn: &mut WriteTxn<'_>| {
            for (read, reading) in readings {
                // It may have been replaced or removed since it was read.
                let stored = txn.get::<Alert>(&read.name)?.filter(|stored| stored.rule == read.rule);
                let Some((after, event)) = stored.and_then(|stored| after_reading(&stored, &reading, now)) else {
                    continue;
                };
                txn.put::<Alert>(&after.name, &after)?;
                if let Some(event) = event {
                    txn.commit(now, Vec::new(), entry(&after, &reading, event))?;
                }
            }
            Ok::<_, StoreError>(())
        };
        Ok(self.0.store.write(job).await?)
    }

    fn alert_view(&self, alert: Alert) -> AlertView {
        let readings = self.0.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = readings.get(&alert.name).cloned();
        let Alert { name, rule, created, state, since, firing_since, .. } = alert;
        let summary = summary(&rule, reading.as_ref());
        AlertView { name, unit: rule.metric.unit(), rule, created, state, since, firing_since, reading, summary }
    }

    fn keep_readings(&self, readings: &[(Alert, AlertReading)]) {
        let mut known = self.0.readings.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(readings.iter().map(|(alert, reading)| (alert.name.clone(), reading.clone())));
    }

    fn forget_reading(&self, name: &str) {
        self.0.readings.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Whether a reader can see an alert, and with it what its prompts cost.
fn can_see(scope: &ReadScope, rule: &AlertRule) -> bool {
    let single = !rule.prompts.as_str().contains('*');
    scope.reads_everything() || (single && scope.reads(rule.prompts.as_str()))
}

/// The audit entry of an event, from which the messages to webhooks are made.
fn entry(alert: &Alert, reading: &AlertReading, event: AlertEvent) -> AuditEntry {
    let subject = Subject::Alert { name: alert.name.clone() };
    let mut subjects = vec![subject.clone()];
    // Webhooks for some prompts are told about alerts on one of them.
    let prompt = reading.prompt.as_ref().map(|prompt| prompt.as_str().to_owned());
    let single = || Some(alert.rule.prompts.as_str().to_owned()).filter(|pattern| !pattern.contains('*'));
    subjects.extend(prompt.or_else(single).map(|prompt| Subject::Prompt { prompt }));
    let told = serde_json::json!({
        "state": alert.state, "since": alert.since, "rule": alert.rule, "unit": alert.rule.metric.unit(),
        "reading": reading,
    });
    let command = match event {
        AlertEvent::Firing => Command::FireAlert,
        AlertEvent::Resolved => Command::ResolveAlert,
    };
    AuditEntry {
        subjects,
        message: summary(&alert.rule, Some(reading)),
        changes: vec![AuditChange::Settings { subject, before: None, after: Some(told) }],
        ..by_itself(command, "reading alerts")
    }
}

fn about(command: Command, name: &str) -> Attempt {
    Attempt::new(command, [Subject::Alert { name: name.to_owned() }], "")
}

fn absent(name: &str) -> RegistryError {
    RegistryError::NotFound { what: "alert", name: name.chars().take(HANDLE_BYTES_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pattern::Pattern;

    #[test]
    fn reader_of_some_prompts_sees_alerts_on_single_ones_of_them() {
        let rule = |prompts: &str| AlertRule {
            metric: crate::model::alert::AlertMetric::Spend,
            threshold: 1.0,
            prompts: prompts.parse().expect("a pattern"),
            each_prompt: false,
            per_s: 3_600,
            min_calls: 1,
        };
        let some = ReadScope::of("ann", vec!["support/**".parse().expect("a pattern")], None, false);
        let all = ReadScope::of("bob", vec![Pattern::everything()], None, false);
        for (prompts, seen) in [("support/agent", true), ("support/**", false), ("sales/offer", false), ("**", false)] {
            assert_eq!(can_see(&some, &rule(prompts)), seen, "{prompts}");
            assert!(can_see(&all, &rule(prompts)), "{prompts}");
        }
    }
}
