//! The webhook message about an effect of an audit entry: its ID, the prompt, and the body.
//!
//! The body depends on the entry alone, so that every attempt and redelivery sends the same. Invariant: it is smaller
//! than 20 kB for any entry, and contains no prompt text.

use serde_json::{Map, Value, json};

use super::event::Effect;
use crate::model::audit::{AuditChange, AuditEntry, Command, Subject};
use crate::model::pattern::Pattern;
use crate::model::serving::Serving;

/// The type of a test event.
pub const TEST_EVENT: &str = "webhook.test";
/// Most items of a list in a body.
const ITEMS_MAX: usize = 20;
/// Longest list in a body, in bytes of JSON: with both lists and every text at its longest, a body has 16 kB.
const LIST_BYTES_MAX: usize = 3_000;
/// Longest text in a body, in bytes of JSON: the message, and the reason of a decision.
const TEXT_BYTES_MAX: usize = 3_000;
/// Longest name or serving in a body, in bytes of JSON.
const NAME_BYTES_MAX: usize = 600;
/// Number of hex digits of an entry's hash in a message ID: enough that no two entries share one.
const ID_HASH_DIGITS: usize = 16;

/// The header `webhook-id` of an effect of an entry: the same for every attempt, different in every registry and epoch,
/// without dots.
pub fn message_id(entry: &AuditEntry, effect: u64) -> String {
    let id = format!("msg_{}_{}", entry.hash.get(..ID_HASH_DIGITS).unwrap_or(&entry.hash), entry.seq);
    if effect == 0 { id } else { format!("{id}_{effect}") }
}

/// Whether an effect concerns a matching prompt; one without a prompt passes only if the pattern matches all prompts.
#[must_use]
pub fn concerns(entry: &AuditEntry, effect: &Effect<'_>, prompts: &Pattern) -> bool {
    prompts.is_everything()
        || match effect.change {
            Some(change) => change.prompt().is_some_and(|prompt| prompts.matches(prompt.as_str())),
            None => entry.names_prompt(|prompt| prompts.matches(prompt)),
        }
}

/// The body: `{type, timestamp, data}`. The time is that of the decision; `data` has `seq`, `actor`, `command`,
/// `decision`, `subjects` and `hash`, and, if known, `message`, `reason`, `prompt`, `label`, `version`, `from`, `to`,
/// `approved_by`, `change_request`, `risk`, `alert` (what an alert watches, and its value) and `gate` (a suite, its run and the verdict). `from` and `to` are what the label served and serves: a `text`, and the
/// `version` if it is always the same one. If a list was cut, `more_…` has the number of missing items. A label without
/// `to` was removed.
pub fn body(entry: &AuditEntry, effect: &Effect<'_>) -> Value {
    let mut data = Map::new();
    data.insert("seq".to_owned(), entry.seq.into());
    data.insert("actor".to_owned(), cut(&entry.actor, NAME_BYTES_MAX).into());
    data.insert("command".to_owned(), entry.command.as_str().into());
    data.insert("decision".to_owned(), entry.decision.to_string().into());
    match effect.change {
        Some(change) => put_change(&mut data, change),
        None => put_place(&mut data, entry),
    }
    put_list(&mut data, "subjects", entry.subjects.iter().map(|subject| json!(subject)));
    put_text(&mut data, "message", &entry.message, TEXT_BYTES_MAX);
    put_text(&mut data, "reason", &entry.reason, TEXT_BYTES_MAX);
    if !entry.approved_by.is_empty() {
        put_list(&mut data, "approved_by", entry.approved_by.iter().map(|name| cut(name, NAME_BYTES_MAX).into()));
    }
    if let Some(id) = entry.change_request {
        data.insert("change_request".to_owned(), id.into());
    }
    if let Some(risk) = entry.risk {
        data.insert("risk".to_owned(), json!(risk));
    }
    if let Some(alert) = alert(entry) {
        data.insert("alert".to_owned(), alert.clone());
    }
    if let Some(gate) = gate(entry) {
        data.insert("gate".to_owned(), gate);
    }
    data.insert("hash".to_owned(), cut(&entry.hash, NAME_BYTES_MAX).into());
    json!({ "type": effect.event_type, "timestamp": entry.at, "data": data })
}

/// The alert of an entry that says that it fires, or no longer does: its rule and its value.
fn alert(entry: &AuditEntry) -> Option<&Value> {
    if !matches!(entry.command, Command::FireAlert | Command::ResolveAlert) {
        return None;
    }
    entry.changes.iter().find_map(|change| match change {
        AuditChange::Settings { subject: Subject::Alert { .. }, after, .. } => after.as_ref(),
        _ => None,
    })
}

/// The gate of an entry that records what a run decided, or that it does not hold any more: suite, run and verdict.
fn gate(entry: &AuditEntry) -> Option<Value> {
    let after = entry.changes.iter().find_map(|change| match change {
        AuditChange::Settings { subject: Subject::Suite { .. }, after, .. } => after.as_ref(),
        _ => None,
    });
    let gate = after.filter(|_| matches!(entry.command, Command::RecordGate | Command::MarkGateStale))?;
    let field = |name: &str| gate.get(name).cloned().unwrap_or_default();
    Some(json!({ "suite": field("suite"), "run": field("run"), "state": field("state"), "stale": field("stale") }))
}

/// The fields of a change: a new version, what a label serves now, or a removed prompt.
fn put_change(data: &mut Map<String, Value>, change: &AuditChange) {
    if let Some(prompt) = change.prompt() {
        data.insert("prompt".to_owned(), prompt.as_str().into());
    }
    match change {
        AuditChange::Version { version, .. } => {
            data.insert("version".to_owned(), (*version).into());
        }
        AuditChange::Label { label, from, to, .. } => {
            data.insert("label".to_owned(), label.as_str().into());
            for (key, serving) in [("from", from), ("to", to)] {
                if let Some(serving) = serving {
                    data.insert(key.to_owned(), served(serving));
                }
            }
            if let Some(version) = to.as_ref().and_then(Serving::fixed) {
                data.insert("version".to_owned(), version.into());
            }
        }
        AuditChange::Removed { .. } | AuditChange::Settings { .. } | AuditChange::Date { .. } => {}
    }
}

/// A short description of what a label serves.
fn served(serving: &Serving) -> Value {
    let text = cut(&serving.to_string(), NAME_BYTES_MAX);
    match serving.fixed() {
        Some(version) => json!({ "version": version, "text": text }),
        None => json!({ "text": text }),
    }
}

/// The prompt, label and version of an entry without changes, if it has one of each.
fn put_place(data: &mut Map<String, Value>, entry: &AuditEntry) {
    let Some(prompt) = entry.subjects.first().and_then(Subject::prompt) else { return };
    if entry.subjects.iter().any(|subject| subject.prompt() != Some(prompt)) {
        return;
    }
    put_text(data, "prompt", prompt, NAME_BYTES_MAX);
    let version =
        |subject: &Subject| if let Subject::Version { version, .. } = subject { Some(*version) } else { None };
    if let Some(version) = entry.subjects.iter().find_map(version) {
        data.insert("version".to_owned(), version.into());
    }
    let mut labels = entry.subjects.iter().filter_map(|subject| match subject {
        Subject::Label { label, .. } => Some(label),
        _ => None,
    });
    if let (Some(label), None) = (labels.next(), labels.next()) {
        put_text(data, "label", label, NAME_BYTES_MAX);
    }
}

fn put_text(data: &mut Map<String, Value>, key: &str, text: &str, bytes_max: usize) {
    if !text.is_empty() {
        data.insert(key.to_owned(), cut(text, bytes_max).into());
    }
}

/// The first items of a list, up to a size limit.
fn put_list(data: &mut Map<String, Value>, key: &str, items: impl ExactSizeIterator<Item = Value>) {
    let (count, mut bytes_left) = (items.len(), LIST_BYTES_MAX);
    let fits = |item: &Value| bytes_left.checked_sub(item.to_string().len()).map(|left| bytes_left = left).is_some();
    let kept: Vec<Value> = items.take(ITEMS_MAX).take_while(fits).collect();
    if kept.len() < count {
        data.insert(format!("more_{key}"), (count - kept.len()).into());
    }
    data.insert(key.to_owned(), kept.into());
}

/// The start of a text, up to a number of bytes as JSON.
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
    use crate::model::audit::samples::{label, moved, published, removed, token, version};
    use crate::model::audit::{Command, Decision};

    fn entry(command: Command, subjects: Vec<Subject>, changes: Vec<AuditChange>) -> AuditEntry {
        let (actor, hash) = ("ann".to_owned(), "0123456789abcdef0123".to_owned());
        AuditEntry { seq: 9, actor, hash, subjects, changes, ..AuditEntry::of(command) }
    }

    #[test]
    fn webhook_ids_are_unique_and_without_dots() {
        let entry = entry(Command::Deploy, Vec::new(), Vec::new());
        assert_eq!(message_id(&entry, 0), "msg_0123456789abcdef_9");
        assert_eq!(message_id(&entry, 2), "msg_0123456789abcdef_9_2");
    }

    #[test]
    fn entry_concerns_the_prompts_it_names() {
        let agent = || label("support/agent@production", Some(7));
        for (command, subject, pattern, expected) in [
            (Command::Deploy, agent(), "support/**", true),
            (Command::Deploy, agent(), "sales/**", false),
            (Command::Retire, version("support/agent", 7), "support/agent", true),
            (Command::CreateToken, token("support"), "support", false),
            (Command::CreateToken, token("support"), "**", true),
        ] {
            let pattern = pattern.parse().expect("a pattern");
            let entry = entry(command, vec![subject], Vec::new());
            let effects = effects(&entry);
            assert_eq!(concerns(&entry, &effects[0], &pattern), expected, "{command} {pattern}");
        }
        let entry = entry(
            Command::Deploy,
            vec![label("a@x", Some(1)), label("b@x", Some(1))],
            vec![moved("a@x", None, Some(1)), moved("b@x", None, Some(1))],
        );
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
        let served = |version: u64| json!({"version": version, "text": version.to_string()});
        let place = || label("a@production", Some(2));
        let change = || moved("a@production", Some(1), Some(2));
        let to_2 = json!({"prompt": "a", "label": "production", "version": 2, "from": served(1), "to": served(2)});
        check(&entry(Command::Deploy, vec![place()], vec![change()]), std::slice::from_ref(&to_2));
        let made = json!({"prompt": "a", "version": 2});
        check(
            &entry(Command::Publish, vec![version("a", 2), place()], vec![published("a", 2), change()]),
            &[made, to_2],
        );
        let AuditChange::Label { prompt, label: other, .. } = moved("b@y", None, None) else { unreachable!() };
        let split = serde_json::from_value(json!({"split": {"salt": "s", "slots": [
            {"version": 1, "from": 0, "to": 5_000}, {"version": 2, "from": 5_000, "to": 10_000}]}}));
        let split = AuditChange::Label { prompt, label: other, from: None, to: split.expect("a serving") };
        check(
            &entry(Command::Deploy, Vec::new(), vec![moved("a@x", None, Some(2)), split]),
            &[
                json!({"prompt": "a", "label": "x", "version": 2, "to": served(2)}),
                json!({"prompt": "b", "label": "y", "to": {"text": "1 (50%) + 2 (50%)"}}),
            ],
        );
        check(
            &entry(Command::Remove, Vec::new(), vec![removed("a"), moved("a@x", Some(2), None)]),
            &[json!({"prompt": "a"}), json!({"prompt": "a", "label": "x", "from": served(2)})],
        );
        let asked = entry(Command::Deploy, vec![place()], Vec::new());
        let denied = AuditEntry { decision: Decision::Denied, ..asked };
        check(&denied, &[json!({"prompt": "a", "label": "production"})]);
        check(&entry(Command::Retire, vec![version("a", 7)], Vec::new()), &[json!({"prompt": "a", "version": 7})]);
        check(&entry(Command::CreateToken, vec![token("ci")], Vec::new()), &[json!({})]);
    }

    #[test]
    fn webhook_body_has_actor_subject_and_message() {
        let entry = AuditEntry {
            decision: Decision::Denied,
            reason: "no grant".to_owned(),
            approved_by: vec!["bob".to_owned()],
            change_request: Some(3),
            ..entry(Command::Deploy, vec![label("a@x", None)], Vec::new())
        };
        let expected = json!({"type": "prompt.label.blocked", "timestamp": "1970-01-01T00:00:00Z", "data": {
            "seq": 9, "actor": "ann", "command": "deploy", "decision": "denied", "prompt": "a", "label": "x",
            "subjects": [{"kind": "label", "prompt": "a", "label": "x"}],
            "reason": "no grant", "approved_by": ["bob"], "change_request": 3, "hash": "0123456789abcdef0123"}});
        assert_eq!(body(&entry, &effects(&entry)[0]), expected);
    }

    #[test]
    fn webhook_body_is_bounded_for_any_entry() {
        for wild in ["\u{1}", "\"", "é", "🦀", "x"] {
            let (long, name) = (wild.repeat(50_000), wild.repeat(300 / wild.len()));
            let subject = Subject::Label { prompt: name.clone(), label: name, to: None };
            let entry = AuditEntry {
                actor: long.clone(),
                message: long.clone(),
                reason: long.clone(),
                hash: long.clone(),
                approved_by: vec![long.clone(); 100],
                ..entry(Command::Approve, vec![subject; 1_000], Vec::new())
            };
            let body = body(&entry, &effects(&entry)[0]);
            let bytes = serde_json::to_vec(&body).expect("JSON").len();
            assert!(bytes < 20_000, "{wild:?}: {bytes}");
            let kept = body["data"]["subjects"].as_array().expect("a list").len();
            assert_eq!(body["data"]["more_subjects"], json!(1_000 - kept));
        }
    }
}
