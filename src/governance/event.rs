//! What audit entries are called outside: one word an entry for reports, and one event an effect for webhooks.
//!
//! Invariant: a name that was given once keeps its meaning, because others filter by it.

use crate::model::audit::{AuditChange, AuditEntry, Decision};

/// A label serves something else than before, whatever did that; the one event for whoever watches what callers get.
pub const LABEL_MOVED: &str = "prompt.label.moved";
/// A prompt has a new version.
pub const VERSION_CREATED: &str = "prompt.version.created";
/// A prompt was removed.
pub const PROMPT_REMOVED: &str = "prompt.removed";
/// What the newest version of a prompt is called; it moves with each version, which is an event of its own.
const LATEST: &str = "latest";
/// Commands that are over with their effects; the others are an event as well.
const ONLY_EFFECTS: [&str; 8] =
    ["publish", "publish-draft", "deploy", "apply", "rollback", "unlabel", "remove", "import"];

/// The one word for an audit entry, for example `prompt.label.moved` or `create_token.granted`.
#[must_use]
pub fn event_type(entry: &AuditEntry) -> String {
    let known = match (entry.command.as_str(), entry.decision) {
        ("publish", Decision::Granted) => VERSION_CREATED,
        ("publish", Decision::Denied) => "prompt.version.blocked",
        ("deploy", Decision::Granted) => LABEL_MOVED,
        ("deploy", Decision::Denied) => "prompt.label.blocked",
        ("rollback", Decision::Granted) => "prompt.rollback.executed",
        ("rollback", Decision::Denied) => "prompt.rollback.blocked",
        ("unlabel", Decision::Granted) => "prompt.label.removed",
        ("remove", Decision::Granted) => PROMPT_REMOVED,
        ("retire", Decision::Granted) => "prompt.version.retired",
        ("reinstate", Decision::Granted) => "prompt.version.reinstated",
        ("import", Decision::Granted) => "prompt.change.imported",
        (command, decision) => return format!("{}.{decision}", command.replace('-', "_")),
    };
    known.to_owned()
}

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
    let granted = entry.decision == Decision::Granted;
    let changed = |change| Some(Effect { event_type: type_of(change)?.to_owned(), change: Some(change) });
    let changes = entry.changes.iter().filter(|_| granted && is_about_prompts(entry));
    let mut effects: Vec<Effect<'_>> = changes.filter_map(changed).collect();
    if effects.is_empty() || !ONLY_EFFECTS.contains(&entry.command.as_str()) {
        effects.insert(0, Effect { event_type: event_type(entry), change: None });
    }
    effects
}

/// The event that a change is to others; none when it is nothing that callers of a prompt could see.
fn type_of(change: &AuditChange) -> Option<&'static str> {
    let (_, selector) = place(&change.subject);
    match selector? {
        LATEST if change.after.is_none() => Some(PROMPT_REMOVED),
        LATEST => None,
        // A version has no `before`, and its `after` is a content id.
        number if number.parse::<u64>().is_ok() => {
            change.after.as_ref().filter(|after| after.starts_with("b3:")).map(|_| VERSION_CREATED)
        }
        _ => Some(LABEL_MOVED),
    }
}

/// Commands whose subjects are prompts; subjects of the others are principals, policies and their like.
const PROMPT_COMMANDS: [&str; 21] = [
    "publish",
    "deploy",
    "rollback",
    "unlabel",
    "remove",
    "retire",
    "reinstate",
    "import",
    "archive",
    "propose",
    "amend",
    "approve",
    "reject",
    "comment",
    "withdraw",
    "apply",
    "expire",
    "save-draft",
    "discard-draft",
    "publish-draft",
    "describe",
];

/// Whether the subjects of an entry are prompts.
#[must_use]
pub fn is_about_prompts(entry: &AuditEntry) -> bool {
    PROMPT_COMMANDS.contains(&entry.command.as_str())
}

/// The name in a subject such as `support/agent@production → 7`, and what stands behind its `@`.
#[must_use]
pub fn place(subject: &str) -> (&str, Option<&str>) {
    let what = subject.split_once(" → ").map_or(subject, |(what, _)| what);
    what.split_once('@').map_or((what, None), |(name, selector)| (name, Some(selector)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &str, decision: Decision, changes: &[(&str, Option<&str>, Option<&str>)]) -> AuditEntry {
        let change = |(subject, before, after): &(&str, Option<&str>, Option<&str>)| AuditChange {
            subject: (*subject).to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let changes = changes.iter().map(change).collect();
        AuditEntry { command: command.to_owned(), decision, changes, ..AuditEntry::default() }
    }

    #[test]
    fn commands_have_the_names_that_others_filter_by() {
        let check = |command: &str, decision, expected: &str| {
            assert_eq!(event_type(&entry(command, decision, &[])), expected, "{command} {decision}");
        };
        check("publish", Decision::Granted, "prompt.version.created");
        check("deploy", Decision::Granted, "prompt.label.moved");
        check("rollback", Decision::Granted, "prompt.rollback.executed");
        check("rollback", Decision::Denied, "prompt.rollback.blocked");
        check("begin-epoch", Decision::Granted, "begin_epoch.granted");
        check("remove", Decision::Denied, "remove.denied");
    }

    #[test]
    fn label_that_serves_something_else_is_one_event_whichever_command_moved_it() {
        let version = ("a@7", None, Some("b3:00"));
        let moved = ("a@production", Some("6"), Some("7"));
        let gone = ("a@production", Some("7"), None);
        let check = |command: &str, changes: &[(&str, Option<&str>, Option<&str>)], expected: &[&str]| {
            let entry = entry(command, Decision::Granted, changes);
            let found = effects(&entry);
            let types: Vec<&str> = found.iter().map(|effect| effect.event_type.as_str()).collect();
            assert_eq!(types, expected, "{command}");
        };
        check("publish", &[version], &["prompt.version.created"]);
        check("publish", &[version, moved], &["prompt.version.created", "prompt.label.moved"]);
        check("publish-draft", &[version], &["prompt.version.created"]);
        check("import", &[version, moved], &["prompt.version.created", "prompt.label.moved"]);
        for command in ["deploy", "apply", "rollback"] {
            check(command, &[moved, ("b@x", None, Some("90 % 1, 10 % 2"))], &["prompt.label.moved"; 2]);
        }
        check("unlabel", &[gone], &["prompt.label.moved"]);
        check("remove", &[("a@latest", Some("7"), None), gone], &["prompt.removed", "prompt.label.moved"]);
        check("propose", &[version], &["propose.granted", "prompt.version.created"]);
        check("describe", &[("a", None, Some("{}"))], &["describe.granted"]);
        check("put-policy", &[("a@b", None, Some("{}"))], &["put_policy.granted"]);
        check("deploy", &[], &["prompt.label.moved"]);
        let denied = entry("deploy", Decision::Denied, &[moved]);
        assert_eq!(effects(&denied), [Effect { event_type: "prompt.label.blocked".to_owned(), change: None }]);
    }
}
