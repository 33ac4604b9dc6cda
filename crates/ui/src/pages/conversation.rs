//! A content for reading: roles and texts, with variables highlighted.

use maud::{Markup, html};
use serde_json::Value;

use crate::format::Escaped;
use crate::model::content::{Body, Content, Message, MessageContent, RoleMessage, Syntax};
use crate::template::marks::{Mark, marks};

/// Renders a content's text or messages.
pub(super) fn conversation(content: &Content) -> Markup {
    html! {
        div.talk {
            @match &content.body {
                Body::Text(said) => div.said { (text(content.syntax, said)) },
                Body::Messages(messages) => {
                    ol { @for one in messages { li { (message(content.syntax, one)) } } }
                }
            }
        }
    }
}

fn message(syntax: Syntax, message: &Message) -> Markup {
    match message {
        Message::Placeholder { name } => html! {
            div.gap { "The caller’s messages " code { (Escaped(name)) } }
        },
        Message::Said(said) => html! {
            div.said.(said.role.as_str()) {
                p.role { (said.role.as_str()) @if let Some(name) = said.name() { " " span.quiet { (Escaped(name)) } } }
                (said_by(syntax, said))
            }
        },
    }
}

fn said_by(syntax: Syntax, said: &RoleMessage) -> Markup {
    html! {
        @match &said.content {
            MessageContent::Text(one) => (text(syntax, one)),
            MessageContent::Parts(parts) => {
                @for part in parts {
                    @match part.template() {
                        // A URL is shown and never loaded.
                        Some(url) if part.is_image() => p.image { "Image at " code { (marked(syntax, url)) } },
                        Some(one) => (text(syntax, one)),
                        None => {}
                    }
                    @if part.only_text().is_none() && part.only_image().is_none() {
                        (json(&format!("Part of type {}", part.kind()), &Value::Object(part.fields().clone())))
                    }
                }
            }
            MessageContent::Null | MessageContent::Absent => {}
        }
        @if let Some(call) = said.tool_call_id() { p.quiet { "Answers the call " code { (Escaped(call)) } } }
        @for call in said.tool_calls() { (json("Calls a tool", call)) }
        @for (key, value) in said.other_fields() { (json(key, value)) }
    }
}

fn text(syntax: Syntax, text: &str) -> Markup {
    html! { div.text { (marked(syntax, text)) } }
}

fn marked(syntax: Syntax, text: &str) -> Markup {
    html! {
        @for mark in marks(syntax, text) {
            @match mark {
                Mark::Text(one) => (Escaped(one)),
                Mark::Variable(one) => var { (Escaped(one)) },
                Mark::Include(one) => span.include { (Escaped(one)) },
                Mark::Logic(one) => span.logic { (Escaped(one)) },
            }
        }
    }
}

/// A collapsible JSON value.
pub(super) fn json(heading: &str, value: &Value) -> Markup {
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    html! { details.json { summary { (Escaped(heading)) } pre tabindex="0" { code { (Escaped(&pretty)) } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        conversation(&serde_json::from_str(json).expect("a content")).0
    }

    #[test]
    fn variables_gaps_and_roles_are_marked() {
        let page = shown(
            r#"{"syntax":"mustache","messages":[{"role":"system","content":"Help {{shop}}, {{> tone@3}}."},
            {"type":"placeholder","name":"history"},
            {"role":"user","content":[{"type":"image","url":"javascript:alert(1)"},{"type":"text","text":"x"}]}]}"#,
        );
        for part in [
            "<var>{{shop}}</var>",
            "<span class=\"include\">{{&gt; tone@3}}</span>",
            "messages <code>history</code>",
            "<p class=\"role\">system</p>",
            "<code>javascript:alert(1)</code>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("href") && !page.contains("<img"), "{page}");
    }

    #[test]
    fn hostile_texts_are_shown_escaped() {
        let page =
            shown(r#"{"syntax":"plain","text":"</div><script>alert(1)</script><svg onload=x>\u202eabc\u200b {{x}}"}"#);
        assert!(!page.contains("<script") && !page.contains("<svg"), "{page}");
        for part in ["&lt;script&gt;", "U+202E", "U+200B", "{{x}}"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<var>"), "plain texts have no variables: {page}");
    }
}
