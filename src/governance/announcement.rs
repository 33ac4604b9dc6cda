//! What webhooks say of an effect of an audit entry: its id, whom it concerns, and the body.
//!
//! The body follows from the entry alone, so that every attempt and every redelivery says the same. Invariant: it is
//! smaller than 20 kB whatever the entry holds, and shows no text of a prompt.

use serde_json::{Map, Value, json};

use super::event::{Effect, is_about_prompts, place};
use crate::model::audit::{AuditChange, AuditEntry};
use crate::model::pattern::Pattern;

/// What a webhook is sent when somebody tests it.
pub const TEST_EVENT: &str = "webhook.test";
/// The command whose entry is that event, for the webhook it names.
pub const TEST_COMMAND: &str = "test-webhook";
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

/// The header `webhook-id` of an effect of an entry: the same for every attempt, another in every registry and epoch,
/// without dots.
#[must_use]
pub fn message_id(entry: &AuditEntry, effect: u64) -> String {
    let id = format!("msg_{}_{}", entry.hash.get(..ID_HASH_DIGITS).unwrap_or(&entry.hash), entry.seq);
    if effect == 0 { id } else { format!("{id}_{effect}") }
}

/// Whether an effect concerns a prompt that fits; one that concerns no prompt passes only where every prompt fits.
#[must_use]
pub fn concerns(entry: &AuditEntry, effect: &Effect<'_>, prompts: &Pattern) -> bool {
    let fits = |subject: &String| prompts.matches(place(subject).0);
    prompts.is_everything()
        || match effect.change {
            Some(change) => fits(&change.subject),
            None => is_about_prompts(entry) && entry.subjects.iter().any(fits),
        }
}

/// The body: `{type, timestamp, data}`. The time is that of the decision; `data` has `seq`, `actor`, `command`,
/// `decision`, `subjects` and `hash`, and where they are known `message`, `reason`, `prompt`, `label`, `version`,
/// `from`, `to`, `approved_by`, `change_request` and `risk`. Where a list was cut, `more_…` counts what is missing. A
/// label without `to` serves nothing any more.
#[must_use]
pub fn body(entry: &AuditEntry, effect: &Effect<'_>) -> Value {
    let mut data = Map::new();
    data.insert("seq".to_owned(), entry.seq.into());
    data.insert("actor".to_owned(), cut(&entry.actor, NAME_BYTES_MAX).into());
    data.insert("command".to_owned(), cut(&entry.command, NAME_BYTES_MAX).into());
    data.insert("decision".to_owned(), entry.decision.to_string().into());
    match effect.change {
        Some(change) => put_change(&mut data, change),
        None if is_about_prompts(entry) => put_place(&mut data, entry),
        None => {}
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
    json!({ "type": effect.event_type, "timestamp": entry.at, "data": data })
}

/// What a change says: a new version, what a label serves now, or that a prompt is gone.
fn put_change(data: &mut Map<String, Value>, change: &AuditChange) {
    let (prompt, selector) = place(&change.subject);
    put_text(data, "prompt", prompt, NAME_BYTES_MAX);
    let after = change.after.as_deref().unwrap_or_default();
    let version = match selector.unwrap_or_default() {
        "latest" => None,
        selector if selector.parse::<u64>().is_ok() => selector.parse().ok(),
        label => {
            put_text(data, "label", label, NAME_BYTES_MAX);
            put_text(data, "from", change.before.as_deref().unwrap_or_default(), NAME_BYTES_MAX);
            put_text(data, "to", after, NAME_BYTES_MAX);
            after.parse::<u64>().ok()
        }
    };
    if let Some(version) = version {
        data.insert("version".to_owned(), version.into());
    }
}

/// The one prompt, label and version that an entry is about which changed nothing, as far as there is one.
fn put_place(data: &mut Map<String, Value>, entry: &AuditEntry) {
    let Some((prompt, _)) = entry.subjects.first().map(|text| place(text)) else { return };
    if entry.subjects.iter().any(|text| place(text).0 != prompt) {
        return;
    }
    put_text(data, "prompt", prompt, NAME_BYTES_MAX);
    let selectors: Vec<&str> = entry.subjects.iter().filter_map(|text| place(text).1).collect();
    let is_version = |selector: &&str| selector.parse::<u64>().is_ok();
    if let Some(version) = selectors.iter().find_map(|selector| selector.parse::<u64>().ok()) {
        data.insert("version".to_owned(), version.into());
    }
    let mut labels = selectors.iter().filter(|selector| !is_version(selector));
    if let (Some(label), None) = (labels.next(), labels.next()) {
        put_text(data, "label", label, NAME_BYTES_MAX);
    }
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
    use crate::governance::event::effects;
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
        assert_eq!(message_id(&entry("deploy", &[], &[]), 0), "msg_0123456789abcdef_9");
        assert_eq!(message_id(&entry("deploy", &[], &[]), 2), "msg_0123456789abcdef_9_2");
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
            let entry = entry(command, &[subject], &[]);
            let effects = effects(&entry);
            assert_eq!(concerns(&entry, &effects[0], &pattern), expected, "{command} {subject}");
        }
        let entry = entry("deploy", &["a@x", "b@x"], &[("a@x", None, Some("1")), ("b@x", None, Some("1"))]);
        let pattern = "b".parse().expect("a pattern");
        let passed: Vec<bool> = effects(&entry).iter().map(|effect| concerns(&entry, effect, &pattern)).collect();
        assert_eq!(passed, [false, true], "each effect by its own prompt");
    }

    #[test]
    fn each_effect_names_its_prompt_label_and_version() {
        let check = |entry: &AuditEntry, expected: &[Value]| {
            let place = |effect: &Effect<'_>| {
                let body = body(entry, effect);
                let keys = ["prompt", "label", "version", "from", "to"];
                keys.iter().filter_map(|key| Some(((*key).to_owned(), body["data"].get(*key)?.clone()))).collect()
            };
            let found: Vec<Value> = effects(entry).iter().map(|effect| Value::Object(place(effect))).collect();
            assert_eq!(found, expected, "{}", entry.command);
        };
        let moved = ("a@production", Some("1"), Some("2"));
        let to_2 = json!({"prompt": "a", "label": "production", "version": 2, "from": "1", "to": "2"});
        check(&entry("deploy", &["a@production → 2"], &[moved]), std::slice::from_ref(&to_2));
        let published = json!({"prompt": "a", "version": 2});
        check(
            &entry("publish", &["a@2", "a@production → 2"], &[("a@2", None, Some("b3:0")), moved]),
            &[published, to_2],
        );
        check(
            &entry(
                "deploy",
                &["a@x → 2", "b@y → 2"],
                &[("a@x", None, Some("2")), ("b@y", None, Some("50 % 1, 50 % 2"))],
            ),
            &[
                json!({"prompt": "a", "label": "x", "version": 2, "to": "2"}),
                json!({"prompt": "b", "label": "y", "to": "50 % 1, 50 % 2"}),
            ],
        );
        check(
            &entry("remove", &["a"], &[("a@latest", Some("2"), None), ("a@x", Some("2"), None)]),
            &[json!({"prompt": "a"}), json!({"prompt": "a", "label": "x", "from": "2"})],
        );
        let denied = AuditEntry { decision: Decision::Denied, ..entry("deploy", &["a@production → 2"], &[]) };
        check(&denied, &[json!({"prompt": "a", "label": "production"})]);
        check(&entry("retire", &["a@7"], &[]), &[json!({"prompt": "a", "version": 7})]);
        check(&entry("create-token", &["ci"], &[]), &[json!({})]);
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
            "seq": 9, "actor": "ann", "command": "deploy", "decision": "denied", "prompt": "a", "label": "x", "subjects": ["a@x"],
            "reason": "no grant", "approved_by": ["bob"], "change_request": 3, "hash": "0123456789abcdef0123"}});
        assert_eq!(body(&entry, &effects(&entry)[0]), expected);
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
            let effect = Effect { event_type: "prompt.label.moved".to_owned(), change: entry.changes.first() };
            let body = body(&entry, &effect);
            let bytes = serde_json::to_vec(&body).expect("JSON").len();
            assert!(bytes < 20_000, "{wild:?}: {bytes}");
            let kept = body["data"]["subjects"].as_array().expect("a list").len();
            assert_eq!(body["data"]["more_subjects"], json!(1_000 - kept));
        }
    }
}
