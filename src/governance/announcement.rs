//! What webhooks say of an audit entry: its id, whom it concerns, and the body.
//!
//! The body follows from the entry alone, so that every attempt and every redelivery says the same. Invariant: it is
//! smaller than 20 kB whatever the entry holds, and shows no text of a prompt.

use serde_json::{Map, Value, json};

use crate::model::audit::{AuditChange, AuditEntry};
use crate::model::pattern::Pattern;

/// What a webhook is sent when somebody tests it.
pub const TEST_EVENT: &str = "webhook.test";
/// The command whose entry is that event, for the webhook it names.
pub const TEST_COMMAND: &str = "test-webhook";
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
/// Most items of a list in a body.
const ITEMS_MAX: usize = 20;
/// Longest list in a body, in bytes of JSON: with both lists and every text at its longest, a body has 16 kB.
const LIST_BYTES_MAX: usize = 3_000;
/// Longest text in a body, in bytes of JSON: the why and the rule behind a decision.
const TEXT_BYTES_MAX: usize = 3_000;
/// Longest name or serving in a body, in bytes of JSON.
const NAME_BYTES_MAX: usize = 600;
/// How much of an entry's hash is in a message's id, in hex digits: enough that no two entries share one.
const ID_HASH_DIGITS: usize = 16;

/// The header `webhook-id` of an entry: the same for every attempt, another in every registry and epoch, without dots.
#[must_use]
pub fn message_id(entry: &AuditEntry) -> String {
    format!("msg_{}_{}", entry.hash.get(..ID_HASH_DIGITS).unwrap_or(&entry.hash), entry.seq)
}

/// Whether an entry concerns a prompt that fits; one that concerns no prompt passes only where every prompt fits.
#[must_use]
pub fn concerns(entry: &AuditEntry, prompts: &Pattern) -> bool {
    prompts.is_everything()
        || (is_about_prompts(entry) && entry.subjects.iter().any(|subject| prompts.matches(place(subject).0)))
}

/// The body: `{type, timestamp, data}`. The time is that of the decision; `data` has `seq`, `actor`, `command`,
/// `decision`, `subjects` and `hash`, and where they are known `message`, `reason`, `prompt`, `label`, `version`,
/// `from`, `to`, `approved_by`, `change_request` and `risk`. Where a list was cut, `more_…` counts what is missing.
#[must_use]
pub fn body(entry: &AuditEntry, event_type: &str) -> Value {
    let mut data = Map::new();
    data.insert("seq".to_owned(), entry.seq.into());
    data.insert("actor".to_owned(), cut(&entry.actor, NAME_BYTES_MAX).into());
    data.insert("command".to_owned(), cut(&entry.command, NAME_BYTES_MAX).into());
    data.insert("decision".to_owned(), entry.decision.to_string().into());
    if is_about_prompts(entry) {
        put_place(&mut data, entry);
    }
    put_list(&mut data, "subjects", &entry.subjects);
    put_text(&mut data, "message", &entry.message, TEXT_BYTES_MAX);
    put_text(&mut data, "reason", &entry.reason, TEXT_BYTES_MAX);
    if !entry.approved_by.is_empty() {
        put_list(&mut data, "approved_by", &entry.approved_by);
    }
    if let Some(id) = entry.change_request {
        data.insert("change_request".to_owned(), id.into());
    }
    if let Some(risk) = entry.risk {
        data.insert("risk".to_owned(), json!(risk));
    }
    data.insert("hash".to_owned(), cut(&entry.hash, NAME_BYTES_MAX).into());
    json!({ "type": event_type, "timestamp": entry.at, "data": data })
}

fn is_about_prompts(entry: &AuditEntry) -> bool {
    PROMPT_COMMANDS.contains(&entry.command.as_str())
}

/// The one prompt, label and version that everything in the entry is about, as far as there is one.
fn put_place(data: &mut Map<String, Value>, entry: &AuditEntry) {
    let moved: Vec<&AuditChange> = entry.changes.iter().filter(|change| label(&change.subject).is_some()).collect();
    let texts = || entry.subjects.iter().chain(entry.changes.iter().map(|change| &change.subject));
    let Some((prompt, _)) = texts().next().map(|text| place(text)) else { return };
    if texts().any(|text| place(text).0 != prompt) {
        return;
    }
    put_text(data, "prompt", prompt, NAME_BYTES_MAX);
    let mut version = texts().find_map(|text| place(text).1?.parse::<u64>().ok());
    if let [moved] = moved.as_slice() {
        put_text(data, "label", label(&moved.subject).unwrap_or_default(), NAME_BYTES_MAX);
        put_text(data, "from", moved.before.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
        put_text(data, "to", moved.after.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
        version = version.or_else(|| moved.after.as_ref()?.parse().ok());
    }
    if let Some(version) = version {
        data.insert("version".to_owned(), version.into());
    }
}

/// The label that a subject names.
fn label(subject: &str) -> Option<&str> {
    place(subject).1.filter(|selector| selector.parse::<u64>().is_err())
}

/// The name in a subject such as `support/agent@production → 7`, and what stands behind its `@`.
fn place(subject: &str) -> (&str, Option<&str>) {
    let what = subject.split_once(" → ").map_or(subject, |(what, _)| what);
    what.split_once('@').map_or((what, None), |(name, selector)| (name, Some(selector)))
}

fn put_text(data: &mut Map<String, Value>, key: &str, text: &str, bytes_max: usize) {
    if !text.is_empty() {
        data.insert(key.to_owned(), cut(text, bytes_max).into());
    }
}

fn put_list(data: &mut Map<String, Value>, key: &str, items: &[String]) {
    let mut bytes_left = LIST_BYTES_MAX;
    let mut kept = Vec::new();
    for item in items.iter().take(ITEMS_MAX) {
        let item = cut(item, NAME_BYTES_MAX);
        let Some(left) = bytes_left.checked_sub(json_bytes(&item)) else { break };
        bytes_left = left;
        kept.push(item);
    }
    if kept.len() < items.len() {
        data.insert(format!("more_{key}"), (items.len() - kept.len()).into());
    }
    data.insert(key.to_owned(), kept.into());
}

/// The start of a text that has at most this many bytes as JSON.
fn cut(text: &str, bytes_max: usize) -> String {
    if json_bytes(text) <= bytes_max {
        return text.to_owned();
    }
    let mut bytes_left = bytes_max.saturating_sub('…'.len_utf8());
    let fits = |c: &char| bytes_left.checked_sub(json_width(*c)).map(|left| bytes_left = left).is_some();
    let mut start: String = text.chars().take_while(fits).collect();
    start.push('…');
    start
}

fn json_bytes(text: &str) -> usize {
    text.chars().map(json_width).sum()
}

const fn json_width(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::Decision;

    fn entry(command: &str, subjects: &[&str], changes: &[(&str, Option<&str>, Option<&str>)]) -> AuditEntry {
        let owned = |text: &str| text.to_owned();
        AuditEntry {
            seq: 9,
            command: command.to_owned(),
            actor: "ann".to_owned(),
            subjects: subjects.iter().map(|text| owned(text)).collect(),
            changes: changes
                .iter()
                .map(|(subject, before, after)| AuditChange {
                    subject: owned(subject),
                    before: before.map(owned),
                    after: after.map(owned),
                })
                .collect(),
            hash: "0123456789abcdef0123".to_owned(),
            ..AuditEntry::default()
        }
    }

    #[test]
    fn ids_are_of_one_entry_and_hold_no_dot() {
        assert_eq!(message_id(&entry("deploy", &[], &[])), "msg_0123456789abcdef_9");
    }

    #[test]
    fn an_entry_concerns_the_prompts_it_names() {
        for (command, subject, pattern, expected) in [
            ("deploy", "support/agent@production → 7", "support/**", true),
            ("deploy", "support/agent@production → 7", "sales/**", false),
            ("remove", "support/agent", "support/agent", true),
            ("create-token", "support", "support", false),
            ("create-token", "support", "**", true),
        ] {
            let pattern = pattern.parse().expect("a pattern");
            assert_eq!(concerns(&entry(command, &[subject], &[]), &pattern), expected, "{command} {subject}");
        }
    }

    #[test]
    fn prompt_label_and_versions_stand_alone_where_there_is_one() {
        let check = |entry: &AuditEntry, expected: Value| {
            let body = body(entry, "t");
            let keys = ["prompt", "label", "version", "from", "to"];
            let found: Map<String, Value> =
                keys.iter().filter_map(|key| Some(((*key).to_owned(), body["data"].get(*key)?.clone()))).collect();
            assert_eq!(Value::Object(found), expected, "{}", entry.command);
        };
        let moved = ("a@production", Some("1"), Some("2"));
        check(
            &entry("deploy", &["a@production → 2"], &[moved]),
            json!({"prompt": "a", "label": "production", "version": 2, "from": "1", "to": "2"}),
        );
        check(
            &entry("publish", &["a@2", "a@staging → 2"], &[("a@2", None, Some("sha256:0"))]),
            json!({"prompt": "a", "version": 2}),
        );
        check(
            &entry("deploy", &["a@x → 2", "a@y → 2"], &[("a@x", None, Some("2")), ("a@y", None, Some("2"))]),
            json!({"prompt": "a"}),
        );
        check(&entry("deploy", &["a@x → 2", "b@x → 2"], &[]), json!({}));
        check(&entry("create-token", &["ci"], &[]), json!({}));
        check(&entry("remove", &["a"], &[]), json!({"prompt": "a"}));
        let unlabelled = entry("unlabel", &["a@x → nothing"], &[("a@x", Some("2"), None)]);
        check(&unlabelled, json!({"prompt": "a", "label": "x", "from": "2"}));
    }

    #[test]
    fn a_body_says_who_did_what_and_why() {
        let entry = AuditEntry {
            decision: Decision::Denied,
            reason: "no grant".to_owned(),
            approved_by: vec!["bob".to_owned()],
            change_request: Some(3),
            ..entry("deploy", &["a@x"], &[])
        };
        let expected = json!({"type": "prompt.label.blocked", "timestamp": "1970-01-01T00:00:00Z", "data": {
            "seq": 9, "actor": "ann", "command": "deploy", "decision": "denied", "prompt": "a", "subjects": ["a@x"],
            "reason": "no grant", "approved_by": ["bob"], "change_request": 3, "hash": "0123456789abcdef0123"}});
        assert_eq!(body(&entry, "prompt.label.blocked"), expected);
    }

    #[test]
    fn a_body_is_small_whatever_the_entry_holds() {
        for wild in ["\u{1}", "\"", "é", "🦀", "x"] {
            let long = wild.repeat(50_000);
            let entry = AuditEntry {
                actor: long.clone(),
                message: long.clone(),
                reason: long.clone(),
                hash: long.clone(),
                approved_by: vec![long.clone(); 100],
                ..entry("deploy", &vec![long.as_str(); 1_000], &[(&long, Some(&long), Some(&long))])
            };
            let body = body(&entry, "prompt.label.moved");
            let bytes = serde_json::to_vec(&body).expect("JSON").len();
            assert!(bytes < 20_000, "{wild:?}: {bytes}");
            let kept = body["data"]["subjects"].as_array().expect("a list").len();
            assert_eq!(body["data"]["more_subjects"], json!(1_000 - kept));
        }
    }
}
