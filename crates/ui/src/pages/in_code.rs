//! How an application uses a prompt: its reference, and a call in each language, ready to copy.
//!
//! Invariant: text from others is quoted for the language that it is in, besides being escaped for HTML.

use maud::{Markup, html};

use crate::layout::{command, reference_path};
use crate::model::content::{Body, Content};

/// Most variables and placeholders in an example.
const NAMES_MAX: usize = 12;

/// The panel of a reference and the content that it has now.
pub(super) fn in_code(reference: &str, content: &Content) -> Markup {
    html! {
        details.act #in-code {
            summary { "Use in code" }
            h3 { "Reference" }
            (command(reference))
            h3 { "Python" }
            (command(&python(reference, content)))
            h3 { "TypeScript" }
            (command(&typescript(reference, content)))
            h3 { "curl" }
            (command(&curl(reference, content)))
            p.quiet { "Ask the replica beside your application. " a href="/docs" { "API reference" } }
        }
    }
}

/// What a caller passes: required variables and those without a default, then placeholders.
fn names(content: &Content) -> Vec<(&str, bool)> {
    let needed = content.variables.iter().filter(|one| one.required || one.default.is_none());
    let variables = needed.map(|one| (one.name.as_str(), false));
    variables.chain(content.placeholders().map(|name| (name, true))).take(NAMES_MAX).collect()
}

/// The name of the method that renders it.
const fn method(content: &Content) -> &'static str {
    if matches!(content.body, Body::Text(_)) { "text" } else { "messages" }
}

fn python(reference: &str, content: &Content) -> String {
    let names = names(content);
    let value = |list: bool| if list { "[]" } else { "\"…\"" };
    let arguments: Vec<String> = if names.iter().all(|(name, _)| is_identifier(name)) {
        names.iter().map(|(name, list)| format!("{name}={}", value(*list))).collect()
    } else {
        let items: Vec<_> = names.iter().map(|(name, list)| format!("{}: {}", quoted(name), value(*list))).collect();
        vec![format!("**{{{}}}", items.join(", "))]
    };
    format!(
        "from bookholder import Bookholder\n\nbookholder = Bookholder()\nprompt = bookholder.prompt({})\n\
        {} = prompt.{}({})",
        quoted(reference),
        method(content),
        method(content),
        arguments.join(", ")
    )
}

fn typescript(reference: &str, content: &Content) -> String {
    let value = |list: bool| if list { "[]" } else { "\"…\"" };
    let key = |name: &str| if is_identifier(name) { name.to_owned() } else { quoted(name) };
    let fields: Vec<String> =
        names(content).iter().map(|(name, list)| format!("{}: {}", key(name), value(*list))).collect();
    let fields = if fields.is_empty() { String::new() } else { format!("{{ {} }}", fields.join(", ")) };
    format!(
        "import {{ Bookholder }} from \"bookholder\";\n\nconst bookholder = new Bookholder();\nconst prompt = await \
         bookholder.prompt({});\nconst {} = prompt.{}({fields});",
        quoted(reference),
        method(content),
        method(content)
    )
}

fn curl(reference: &str, content: &Content) -> String {
    let of = |list: bool| -> serde_json::Map<String, serde_json::Value> {
        let value = if list { serde_json::json!([]) } else { serde_json::json!("…") };
        names(content).iter().filter(|one| one.1 == list).map(|one| (one.0.to_owned(), value.clone())).collect()
    };
    let body = serde_json::json!({ "variables": of(false), "messages": of(true) });
    // Inside single quotes, a shell ends at the next one only.
    let body = body.to_string().replace('\'', "'\\''");
    format!(
        "curl -s \"$BOOKHOLDER_SERVER/v1/render/{}\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'",
        reference_path(reference)
    )
}

/// A string literal, which reads the same in Python, TypeScript and JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_identifier(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn content(value: serde_json::Value) -> Content {
        serde_json::from_value(value).expect("a content")
    }

    #[test]
    fn examples_pass_what_the_prompt_needs() {
        let chat = content(json!({
            "syntax": "mustache",
            "messages": [{"role": "system", "content": "{{shop}} {{tone}}"}, {"type": "placeholder", "name": "history"}],
            "variables": [{"name": "shop", "required": true}, {"name": "tone", "default": "warm"}],
        }));
        let python = python("support/agent@production", &chat);
        assert!(
            python
                .ends_with("prompt(\"support/agent@production\")\nmessages = prompt.messages(shop=\"…\", history=[])"),
            "{python}"
        );
        let typescript = typescript("support/agent@production", &chat);
        assert!(
            typescript.ends_with("const messages = prompt.messages({ shop: \"…\", history: [] });"),
            "{typescript}"
        );
        let curl = curl("support/agent@production", &chat);
        assert!(curl.contains("/v1/render/support/agent@production\""), "{curl}");
        assert!(curl.ends_with("-d '{\"variables\":{\"shop\":\"…\"},\"messages\":{\"history\":[]}}'"), "{curl}");
        let text = content(json!({"syntax": "plain", "text": "Hi"}));
        assert!(super::python("a@7", &text).ends_with("text = prompt.text()"));
        assert!(super::typescript("a@7", &text).ends_with("const text = prompt.text();"));
    }

    #[test]
    fn hostile_names_are_quoted_for_each_language() {
        let name = "it's \"$(x)\"";
        let hostile = content(json!({
            "syntax": "jinja", "text": "x", "variables": [{"name": name, "required": true}],
        }));
        let reference = "a\"; import os #@1";
        assert!(python(reference, &hostile).contains(r#"prompt("a\"; import os #@1")"#));
        assert!(python(reference, &hostile).contains(r#"**{"it's \"$(x)\"": "…"}"#));
        assert!(typescript(reference, &hostile).contains(r#"{ "it's \"$(x)\"": "…" }"#));
        let curl = curl(reference, &hostile);
        assert!(curl.contains("/v1/render/a%22%3B%20import%20os%20%23@1\""), "{curl}");
        assert!(curl.contains(r#"it'\''s \"$(x)\""#), "{curl}");
        let page = in_code(reference, &hostile).into_string();
        assert!(!page.contains("\"; import"), "{page}");
    }
}
