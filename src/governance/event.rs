//! What an audit entry is called outside: one word for reports, exports and webhooks.
//!
//! Invariant: a name that was given once keeps its meaning, because others filter by it.

use crate::model::audit::{AuditChange, AuditEntry, Decision};

/// The type of event that an audit entry records, for example `prompt.label.moved` or `create_token.granted`.
#[must_use]
pub fn event_type(entry: &AuditEntry) -> String {
    let known = match (entry.command.as_str(), entry.decision) {
        ("publish", Decision::Granted) => "prompt.version.created",
        ("publish", Decision::Denied) => "prompt.version.blocked",
        ("deploy", Decision::Granted) => "prompt.label.moved",
        ("deploy", Decision::Denied) => "prompt.label.blocked",
        ("rollback", Decision::Granted) => "prompt.rollback.executed",
        ("rollback", Decision::Denied) => "prompt.rollback.blocked",
        ("unlabel", Decision::Granted) => "prompt.label.removed",
        ("remove", Decision::Granted) => "prompt.removed",
        ("retire", Decision::Granted) => "prompt.version.retired",
        ("reinstate", Decision::Granted) => "prompt.version.reinstated",
        ("import", Decision::Granted) => "prompt.change.imported",
        (command, decision) => return format!("{}.{decision}", command.replace('-', "_")),
    };
    known.to_owned()
}

/// Everything that an audit entry can be called: its type, and `prompt.label.moved` where publishing or importing moved
/// a label as well.
#[must_use]
pub fn event_types(entry: &AuditEntry) -> Vec<String> {
    let mut types = vec![event_type(entry)];
    let brings = matches!(entry.command.as_str(), "publish" | "import") && entry.decision == Decision::Granted;
    // A version has no `before`, and its `after` is a content id; what a label serves is neither.
    let moved = |change: &AuditChange| change.after.as_deref().is_some_and(|after| !after.starts_with("b3:"));
    if brings && entry.changes.iter().any(moved) {
        types.push("prompt.label.moved".to_owned());
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_the_names_that_others_filter_by() {
        let check = |command: &str, decision, expected: &str| {
            let entry = AuditEntry { command: command.to_owned(), decision, ..AuditEntry::default() };
            assert_eq!(event_type(&entry), expected, "{command} {decision}");
        };
        check("publish", Decision::Granted, "prompt.version.created");
        check("deploy", Decision::Granted, "prompt.label.moved");
        check("rollback", Decision::Granted, "prompt.rollback.executed");
        check("rollback", Decision::Denied, "prompt.rollback.blocked");
        check("begin-epoch", Decision::Granted, "begin_epoch.granted");
        check("remove", Decision::Denied, "remove.denied");
    }

    #[test]
    fn publishing_under_a_label_moves_it_too() {
        let change = |subject: &str, after: &str| AuditChange {
            subject: subject.to_owned(),
            before: None,
            after: Some(after.to_owned()),
        };
        let check = |changes: &[AuditChange], expected: &[&str]| {
            let command = "publish".to_owned();
            let entry = AuditEntry { command, changes: changes.to_vec(), ..AuditEntry::default() };
            assert_eq!(event_types(&entry), expected);
        };
        let version = change("a@7", "b3:00");
        check(std::slice::from_ref(&version), &["prompt.version.created"]);
        check(&[version, change("a@production", "7")], &["prompt.version.created", "prompt.label.moved"]);
    }
}
