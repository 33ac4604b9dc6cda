//! The Slack message about an event: a sentence, and links to act on it.
//!
//! It sends nothing. Nothing in an event can mention a person or channel, add a link, or start a new line.

use serde::Deserialize;
use serde_json::{Value, json};

use super::announcement::TEST_EVENT;
use crate::model::audit::{ALERT_FIRING, ALERT_RESOLVED, LABEL_MOVED, PROMPT_REMOVED, Subject, VERSION_CREATED};

/// Longest text of a Slack message, in characters as sent.
const TEXT_CHARS_MAX: usize = 3_000;
/// Longest single value in a Slack message, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// The payload for Slack's incoming webhooks: `{text, blocks}`, from `{type, timestamp, data}`. `base` is the URL of
/// the pages, without a trailing `/`; without it there are no links.
pub fn slack_body(event: &Value, base: Option<&str>) -> Value {
    let kind = text_of(event, "type").unwrap_or("event");
    let event = Event { kind, data: event.get("data"), at: text_of(event, "timestamp") };
    let mut summary = Mrkdwn::default();
    event.summarise(&mut summary);
    let mut text = Mrkdwn::default();
    event.summarise(&mut text);
    if let Some(message) = event.text("message") {
        text.push_markup("\n> ");
        text.push(message);
    }
    if let Some(base) = base {
        event.link(&mut text, base);
    }
    let mut details = Mrkdwn::default();
    event.detail(&mut details);
    // Verbatim: text that looks like a link or mention stays text.
    let section = json!({"type": "section", "text": {"type": "mrkdwn", "text": text.text, "verbatim": true}});
    let mut blocks = vec![section];
    if !details.text.is_empty() {
        let element = json!({"type": "mrkdwn", "text": details.text, "verbatim": true});
        blocks.push(json!({"type": "context", "elements": [element]}));
    }
    json!({ "text": summary.text, "blocks": blocks })
}

/// A parsed event.
struct Event<'a> {
    kind: &'a str,
    data: Option<&'a Value>,
    at: Option<&'a str>,
}

impl Event<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        text_of(self.data?, key)
    }

    /// What the label served or serves.
    fn served(&self, key: &str) -> Option<Served<'_>> {
        let served = self.data?.get(key)?;
        Some(Served { text: text_of(served, "text")?, version: served.get("version").and_then(Value::as_u64) })
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.data?.get(key)?.as_u64()
    }

    /// One sentence about what happened.
    fn summarise(&self, to: &mut Mrkdwn) {
        let (prompt, label) = (self.text("prompt").unwrap_or_default(), self.text("label").unwrap_or_default());
        match self.kind {
            LABEL_MOVED if !label.is_empty() => {
                to.push_bold(&[prompt, "@", label]);
                match (self.served("from"), self.served("to")) {
                    (from, Some(now)) => {
                        to.push_markup(if self.text("command") == Some("rollback") {
                            " was rolled back to "
                        } else {
                            " now serves "
                        });
                        to.push_serving(now);
                        if let Some(from) = from {
                            to.push_markup(" (before: ");
                            to.push_serving(from);
                            to.push_markup(")");
                        }
                    }
                    (from, None) => {
                        to.push_markup(" serves nothing any more");
                        if let Some(from) = from {
                            to.push_markup(" (before: ");
                            to.push_serving(from);
                            to.push_markup(")");
                        }
                    }
                }
            }
            VERSION_CREATED if !prompt.is_empty() => {
                to.push_bold(&[prompt]);
                to.push_markup(" has a new version");
                if let Some(version) = self.number("version") {
                    to.push_markup(&format!(": {version}"));
                }
            }
            PROMPT_REMOVED if !prompt.is_empty() => {
                to.push_bold(&[prompt]);
                to.push_markup(" was removed");
            }
            TEST_EVENT => to.push_markup("This is a test from Bookholder."),
            ALERT_FIRING | ALERT_RESOLVED => {
                to.push_markup("The alert ");
                to.push_bold(&[&self.first_subject()]);
                to.push_markup(if self.kind == ALERT_FIRING { " is firing" } else { " is resolved" });
            }
            _ => self.summarise_other(to),
        }
    }

    /// The first subject, for display.
    fn first_subject(&self) -> String {
        let subjects = self.data.and_then(|data| data.get("subjects")).and_then(Value::as_array);
        let first = subjects.and_then(|subjects| Subject::deserialize(subjects.first()?).ok());
        first.map(|subject| subject.to_string()).unwrap_or_default()
    }

    /// The action, done or denied, and its subject, in the terms of the command line.
    fn summarise_other(&self, to: &mut Mrkdwn) {
        let (command, denied) = (self.text("command").unwrap_or(self.kind), self.text("decision") == Some("denied"));
        let reviewing = match command {
            "propose" => Some(" asks for a review"),
            "amend" => Some(" changed a change request"),
            "approve" => Some(" approved a change request"),
            "reject" => Some(" rejected a change request"),
            "comment" => Some(" commented on a change request"),
            _ => None,
        };
        match (reviewing, self.text("actor")) {
            (Some(what), Some(actor)) if !denied => {
                to.push_bold(&[actor]);
                to.push_markup(what);
            }
            _ => {
                to.push_bold(&[command]);
                to.push_markup(if denied { " was refused" } else { "" });
            }
        }
        let subjects = self.data.and_then(|data| data.get("subjects")).and_then(Value::as_array);
        let subjects = subjects.into_iter().flatten().filter_map(|subject| Subject::deserialize(subject).ok());
        for (index, subject) in subjects.enumerate() {
            to.push_markup(if index == 0 { ": " } else { ", " });
            to.push(&subject.to_string());
        }
        if let Some(reason) = self.text("reason") {
            to.push_markup("\n");
            to.push(reason);
        }
    }

    /// The actor, the approvers, the risk and the time.
    fn detail(&self, to: &mut Mrkdwn) {
        let approvers: Vec<&str> = self
            .data
            .and_then(|data| data.get("approved_by"))
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let facts = [
            ("by ", self.text("actor").map(str::to_owned)),
            ("approved by ", (!approvers.is_empty()).then(|| approvers.join(", "))),
            ("risk: ", self.text("risk").map(str::to_owned)),
            ("", self.at.map(str::to_owned)),
        ];
        for (index, (what, fact)) in facts.iter().filter_map(|(what, fact)| Some((what, fact.as_ref()?))).enumerate() {
            if index > 0 {
                to.push_markup(" · ");
            }
            to.push_markup(what);
            to.push(fact);
        }
    }

    /// Links to view, compare and undo it.
    fn link(&self, to: &mut Mrkdwn, base: &str) {
        let mut links = Vec::new();
        if let Some(prompt) = self.text("prompt").filter(|_| self.kind != PROMPT_REMOVED) {
            let prompt = path(prompt);
            links.push((format!("{base}/ui/prompts/{prompt}"), "Open"));
            let version = |key| self.served(key)?.version;
            if let (Some(from), Some(now)) = (version("from"), version("to")) {
                links.push((format!("{base}/ui/diff/{prompt}?from={from}&amp;to={now}"), "Compare"));
            }
            if let Some(label) = self.text("label").filter(|_| self.served("from").is_some()) {
                let label = encode(label);
                links.push((format!("{base}/ui/prompts/{prompt}?back={label}#back-{label}"), "Roll back"));
            }
        }
        if matches!(self.kind, ALERT_FIRING | ALERT_RESOLVED) {
            links.push((format!("{base}/ui/alerts"), "Alerts"));
        }
        if let Some(id) = self.number("change_request") {
            links.push((format!("{base}/ui/review/{id}"), "Change request"));
        }
        for (index, (url, text)) in links.iter().enumerate() {
            to.push_markup(if index == 0 { "\n" } else { " · " });
            to.push_markup(&format!("<{url}|{text}>"));
        }
    }
}

/// What a label serves: as text, and the version if it is always the same one.
#[derive(Clone, Copy)]
struct Served<'a> {
    text: &'a str,
    version: Option<u64>,
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The name of a prompt in the path of a page.
fn path(name: &str) -> String {
    name.split('/').map(encode).collect::<Vec<_>>().join("/")
}

fn encode(part: &str) -> String {
    percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Text in Slack's markup that never exceeds its limit or ends within an escape.
struct Mrkdwn {
    text: String,
    chars_left: usize,
}

impl Default for Mrkdwn {
    fn default() -> Self {
        Self { text: String::new(), chars_left: TEXT_CHARS_MAX }
    }
}

impl Mrkdwn {
    /// Appends our own markup, completely or not at all.
    fn push_markup(&mut self, markup: &str) {
        match self.chars_left.checked_sub(markup.chars().count()) {
            Some(left) => {
                self.chars_left = left;
                self.text.push_str(markup);
            }
            None => self.chars_left = 0,
        }
    }

    /// Appends text from others: escaped, on one line, and at most [`VALUE_CHARS_MAX`] characters.
    fn push(&mut self, words: &str) {
        let mut characters = words.chars();
        for character in characters.by_ref().take(VALUE_CHARS_MAX) {
            match character {
                '&' => self.push_markup("&amp;"),
                '<' => self.push_markup("&lt;"),
                '>' => self.push_markup("&gt;"),
                character if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                    self.push_markup(" ");
                }
                character => self.push_markup(character.encode_utf8(&mut [0; 4])),
            }
        }
        if characters.next().is_some() {
            self.push_markup("…");
        }
    }

    fn push_bold(&mut self, words: &[&str]) {
        self.push_markup("*");
        for word in words {
            self.push(word);
        }
        self.push_markup("*");
    }

    /// Appends what a label serves: a version, or a split or rules as written.
    fn push_serving(&mut self, serving: Served<'_>) {
        if serving.version.is_some() {
            self.push_markup("version ");
        }
        self.push(serving.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://prompts.example.com/books";

    fn served(version: u64) -> Value {
        json!({"version": version, "text": version.to_string()})
    }

    fn event(kind: &str, data: &Value) -> Value {
        json!({"type": kind, "timestamp": "2026-01-02T03:04:05Z", "data": data})
    }

    #[test]
    fn moved_label_reads_as_a_sentence_with_the_reason_and_links() {
        let data = json!({"actor": "rae", "command": "deploy", "decision": "granted", "prompt": "support/agent",
            "label": "production", "from": served(6), "to": served(7), "version": 7, "message": "OPS-17 loans",
            "approved_by": ["cleo"], "risk": "high", "change_request": 3, "hash": "b2f3", "subjects": [{"kind": "label", "prompt": "support/agent", "label": "production"}]});
        let summary = "*support/agent@production* now serves version 7 (before: version 6)";
        let links = "<https://prompts.example.com/books/ui/prompts/support/agent|Open> · \
                     <https://prompts.example.com/books/ui/diff/support/agent?from=6&amp;to=7|Compare> · \
                     <https://prompts.example.com/books/ui/prompts/support/agent?back=production#back-production|Roll back> · \
                     <https://prompts.example.com/books/ui/review/3|Change request>";
        let text = format!("{summary}\n> OPS-17 loans\n{links}");
        let expected = json!({"text": summary, "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}},
            {"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true,
                "text": "by rae · approved by cleo · risk: high · 2026-01-02T03:04:05Z"}]},
        ]});
        assert_eq!(slack_body(&event("prompt.label.moved", &data), Some(BASE)), expected);
    }

    #[test]
    fn each_kind_of_event_has_a_sentence_of_its_own() {
        let check = |kind: &str, data: Value, expected: &str| {
            assert_eq!(slack_body(&event(kind, &data), None)["text"], expected, "{kind}");
        };
        let place = |command: &str, from: Option<u64>, to: Option<Value>| json!({"prompt": "a", "label": "x", "command": command, "from": from.map(served), "to": to});
        let moved = "prompt.label.moved";
        check(
            moved,
            place("rollback", Some(2), Some(served(1))),
            "*a@x* was rolled back to version 1 (before: version 2)",
        );
        check(moved, place("deploy", None, Some(json!({"text": "90% 1, 10% 2"}))), "*a@x* now serves 90% 1, 10% 2");
        check(moved, place("unlabel", Some(2), None), "*a@x* serves nothing any more (before: version 2)");
        check("prompt.version.created", json!({"prompt": "a", "version": 2}), "*a* has a new version: 2");
        check("prompt.removed", json!({"prompt": "a"}), "*a* was removed");
        check("webhook.test", json!({}), "This is a test from Bookholder.");
        let label = |prompt: &str, to: Option<u64>| {
            let to = to.map(crate::model::serving::Serving::version);
            json!(Subject::Label { prompt: prompt.to_owned(), label: "x".to_owned(), to })
        };
        let denied = json!({"command": "deploy", "decision": "denied", "subjects": [label("a", None), label("b", None)], "reason": "no grant"});
        let asked =
            json!({"command": "propose", "decision": "granted", "actor": "pat", "subjects": [label("a", Some(2))]});
        check("propose.granted", asked, "*pat* asks for a review: a@x → 2");
        check("prompt.label.blocked", denied, "*deploy* was refused: a@x, b@x\nno grant");
        assert_eq!(slack_body(&json!(3), None)["text"], "*event*");
    }

    #[test]
    fn slack_message_escapes_markup_and_is_bounded() {
        let shown = |data: Value| {
            let body = slack_body(&event("prompt.label.moved", &data), Some(BASE));
            let text = body["blocks"][0]["text"]["text"].as_str().expect("a text").to_owned();
            assert!(text.chars().count() <= TEXT_CHARS_MAX, "{}", text.chars().count());
            text
        };
        let hostile = "<!channel> a&b\nlabel\u{2028}<https://x|y>";
        let text = shown(json!({"prompt": hostile, "label": hostile, "to": {"text": hostile}, "message": hostile}));
        assert_eq!(text.matches("<!").count() + text.matches("<https://x").count(), 0, "{text}");
        assert_eq!(text.matches("&lt;!channel&gt; a&amp;b label &lt;https://x|y&gt;").count(), 4, "{text}");
        let long = shown(json!({"message": "é".repeat(301)}));
        assert!(long.ends_with("é…"), "{long}");
        let many: Vec<Subject> = (0..50).map(|_| Subject::Token { name: "&".repeat(300) }).collect();
        let many = slack_body(&event("x", &json!({"subjects": many})), None);
        let many = many["text"].as_str().expect("a text");
        assert_eq!(many.matches('&').count(), many.matches("&amp;").count(), "whole escapes");
    }
}
