//! The events of an audit entry: one for each effect.

use crate::model::audit::{
    ALERT_FIRING, ALERT_RESOLVED, AuditChange, AuditEntry, Command, Decision, GATE_DECIDED, GATE_STALE, LABEL_MOVED,
    PROMPT_REMOVED, VERSION_CREATED,
};

/// One effect of an audit entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Its type of event.
    pub event_type: String,
    /// The change that caused it; absent if the effect is the entry itself.
    pub change: Option<&'a AuditChange>,
}

/// All effects of an audit entry, at least one, in a fixed order: an event for each label whose serving changed, for
/// each new version and for a removed prompt, regardless of the command.
pub fn effects(entry: &AuditEntry) -> Vec<Effect<'_>> {
    let changed = |change| Some(Effect { event_type: type_of(change)?.to_owned(), change: Some(change) });
    let changes = entry.changes.iter().filter(|_| entry.decision == Decision::Granted);
    let mut effects: Vec<Effect<'_>> = changes.filter_map(changed).collect();
    if effects.is_empty() || !entry.command.is_told_by_its_changes() {
        effects.insert(0, Effect { event_type: entry.event_type(), change: None });
    }
    effects
}

/// The event of a change; absent if callers of a prompt cannot notice it.
const fn type_of(change: &AuditChange) -> Option<&'static str> {
    match change {
        AuditChange::Version { .. } => Some(VERSION_CREATED),
        AuditChange::Label { .. } => Some(LABEL_MOVED),
        AuditChange::Removed { .. } => Some(PROMPT_REMOVED),
        AuditChange::Settings { .. } | AuditChange::Date { .. } => None,
    }
}

/// The events that have a name of their own, and what happened; a command without one is `COMMAND.granted` or
/// `COMMAND.denied`.
pub const NAMED_EVENTS: [(&str, &str); 12] = [
    (LABEL_MOVED, "a label serves something else, or nothing"),
    ("prompt.label.blocked", "a deployment was denied or did not meet a policy"),
    ("prompt.rollback.blocked", "a rollback was denied or did not meet a policy"),
    (VERSION_CREATED, "a version was published"),
    ("prompt.version.blocked", "publishing a version was denied"),
    ("prompt.version.retired", "a version was retired"),
    ("prompt.version.reinstated", "a retired version was reinstated"),
    (PROMPT_REMOVED, "a prompt was removed"),
    (ALERT_FIRING, "an alert exceeds its threshold"),
    (ALERT_RESOLVED, "an alert no longer exceeds its threshold"),
    (GATE_DECIDED, "a run of a suite passed, failed or is inconclusive"),
    (GATE_STALE, "what a gate depends on changed since it passed"),
];

/// The events without a name of their own, as filters name them: `approve.granted` and `approve.denied`.
pub fn plain_events() -> impl Iterator<Item = String> {
    let of = |command: &Command| [Decision::Granted, Decision::Denied].map(|decision| command.event_type(decision));
    Command::ALL.iter().flat_map(of).filter(|event| !is_named(event))
}

/// Whether an event has a name of its own.
fn is_named(event: &str) -> bool {
    ["prompt.", "alert.", "gate."].iter().any(|beginning| event.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::model::audit::samples::{described, moved, published, removed};

    #[test]
    fn every_event_that_can_be_sent_is_listed() {
        let change = [published("a", 7), moved("a@production", Some(6), Some(7)), removed("a")];
        let mut sent: BTreeSet<String> = BTreeSet::new();
        for command in Command::ALL {
            for decision in [Decision::Granted, Decision::Denied] {
                let entry = AuditEntry { decision, changes: change.to_vec(), ..AuditEntry::of(*command) };
                sent.extend(effects(&entry).into_iter().map(|effect| effect.event_type));
            }
        }
        let (named, plain): (BTreeSet<String>, BTreeSet<String>) = sent.into_iter().partition(|event| is_named(event));
        assert_eq!(NAMED_EVENTS.map(|(event, _)| event.to_owned()).into_iter().collect::<BTreeSet<_>>(), named);
        let listed: BTreeSet<String> = plain_events().collect();
        let unlisted: Vec<&String> = plain.iter().filter(|event| !listed.contains(*event)).collect();
        assert!(unlisted.is_empty(), "{unlisted:?}");
    }

    #[test]
    fn changed_label_is_one_event_for_any_command() {
        let version = published("a", 7);
        let (move_a, move_b) = (moved("a@production", Some(6), Some(7)), moved("b@x", None, Some(2)));
        let gone = moved("a@production", Some(7), None);
        let check = |command: Command, changes: &[&AuditChange], expected: &[&str]| {
            let changes = changes.iter().copied().cloned().collect();
            let entry = AuditEntry { changes, ..AuditEntry::of(command) };
            let found = effects(&entry);
            let types: Vec<&str> = found.iter().map(|effect| effect.event_type.as_str()).collect();
            assert_eq!(types, expected, "{command}");
        };
        check(Command::Publish, &[&version], &["prompt.version.created"]);
        check(Command::Publish, &[&version, &move_a], &["prompt.version.created", "prompt.label.moved"]);
        check(Command::Import, &[&version, &move_a], &["prompt.version.created", "prompt.label.moved"]);
        for command in [Command::Deploy, Command::Apply, Command::Rollback] {
            check(command, &[&move_a, &move_b], &["prompt.label.moved"; 2]);
        }
        check(Command::Unlabel, &[&gone], &["prompt.label.moved"]);
        check(Command::Remove, &[&removed("a"), &gone], &["prompt.removed", "prompt.label.moved"]);
        check(Command::Propose, &[&version], &["propose.granted", "prompt.version.created"]);
        check(Command::Describe, &[&described("a")], &["describe.granted"]);
        check(Command::Deploy, &[], &["prompt.label.moved"]);
        let denied =
            AuditEntry { decision: Decision::Denied, changes: vec![move_a], ..AuditEntry::of(Command::Deploy) };
        assert_eq!(effects(&denied), [Effect { event_type: "prompt.label.blocked".to_owned(), change: None }]);
    }
}
