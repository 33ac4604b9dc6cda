//! What an audit entry is called outside: one word for reports, exports and webhooks.
//!
//! Invariant: a name that was given once keeps its meaning, because others filter by it.

use crate::model::audit::{AuditEntry, Decision};

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
}
