//! The events of an audit entry: one for each effect.

use crate::model::audit::{AuditChange, AuditEntry, Decision, LABEL_MOVED, PROMPT_REMOVED, VERSION_CREATED};

/// One thing that an audit entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Its type of event.
    pub event_type: String,
    /// The change behind it; none where the effect is the entry itself.
    pub change: Option<&'a AuditChange>,
}

/// Everything that an audit entry did, always in the same order and at least one: an event for each label that serves
/// something else now, for each new version and for a removed prompt, whichever command it was.
#[must_use]
pub fn effects(entry: &AuditEntry) -> Vec<Effect<'_>> {
    let changed = |change| Some(Effect { event_type: type_of(change)?.to_owned(), change: Some(change) });
    let changes = entry.changes.iter().filter(|_| entry.decision == Decision::Granted);
    let mut effects: Vec<Effect<'_>> = changes.filter_map(changed).collect();
    if effects.is_empty() || !entry.command.is_told_by_its_changes() {
        effects.insert(0, Effect { event_type: entry.event_type(), change: None });
    }
    effects
}

/// The event that a change is to others; none when it is nothing that callers of a prompt could see.
const fn type_of(change: &AuditChange) -> Option<&'static str> {
    match change {
        AuditChange::Version { .. } => Some(VERSION_CREATED),
        AuditChange::Label { .. } => Some(LABEL_MOVED),
        AuditChange::Removed { .. } => Some(PROMPT_REMOVED),
        AuditChange::Settings { .. } | AuditChange::Date { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::Command;
    use crate::model::audit::samples::{described, moved, published, removed};

    #[test]
    fn label_that_serves_something_else_is_one_event_whichever_command_moved_it() {
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
