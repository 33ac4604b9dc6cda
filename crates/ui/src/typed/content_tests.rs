use proptest::prelude::*;
use serde_json::json;

use super::*;

fn content(value: &Value) -> Content {
    serde_json::from_value(value.clone()).expect("a content")
}

/// What a browser would send for the form of a content.
fn fields(typed: &TypedContent) -> Fields {
    let mut fields = Fields::new();
    let mut put =
        |name: String, value: &str| fields.insert(name, value.replace('\n', "\r\n").replace('\0', "\u{fffd}"));
    put("syntax".to_owned(), named(&SYNTAXES, &typed.syntax));
    match &typed.body {
        TypedBody::Text(text) => drop(put("text".to_owned(), &held(text))),
        TypedBody::Messages(messages) => {
            for (number, one) in messages.iter().enumerate() {
                put(format!("m{number}.role"), named(&ROLES, &one.role));
                put(format!("m{number}.name"), &one.name);
                put(format!("m{number}.calls"), &one.calls);
                put(format!("m{number}.answers"), &one.answers);
                put(format!("m{number}.rest"), &one.rest);
                put(format!("m{number}.order"), &one.order);
                if let Some(unsaid) = one.unsaid {
                    put(format!("m{number}.unsaid"), if unsaid == EmptyMessageForm::Null { "null" } else { "absent" });
                }
                if one.listed {
                    put(format!("m{number}.listed"), "yes");
                }
                for (index, part) in one.parts.iter().enumerate() {
                    let end = match part.kind {
                        TypedPartKind::Text => "text",
                        TypedPartKind::Image => "url",
                        TypedPartKind::Other => "json",
                    };
                    put(format!("m{number}.p{index}.{end}"), &held(&part.text));
                }
            }
        }
    }
    for (number, (name, one)) in typed.variables.iter().enumerate() {
        put(format!("v{number}.name"), name);
        put(format!("v{number}.type"), named(&TYPES, &one.kind));
        put(format!("v{number}.default"), &one.default);
        put(format!("v{number}.description"), &one.description);
        for (flag, set) in [("required", one.required), ("declared", one.declared)] {
            if set {
                put(format!("v{number}.{flag}"), "yes");
            }
        }
    }
    for (name, value) in [
        ("model", &typed.model),
        ("parameters", &typed.parameters),
        ("tools", &typed.tools),
        ("response_schema", &typed.response_schema),
        ("config", &typed.config),
    ] {
        put(name.to_owned(), value);
    }
    fields
}

#[test]
fn unedited_content_round_trips_exactly() {
    for value in [
        json!({"syntax": "mustache", "text": ""}),
        json!({"syntax": "plain", "messages": [
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "b": 1, "a": 1.0}]},
            {"role": "assistant", "tool_calls": [{"id": "c"}], "name": "n", "refusal": null},
            {"role": "assistant", "content": "x", "tool_calls": [], "name": ""},
            {"role": "developer", "content": "x", "z": {"b": 1, "a": 2}, "name": "n", "cache_control": {"type": "ephemeral"}},
            {"role": "function", "content": "1", "name": "f\r"},
            {"role": "model", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, {"text": "order", "type": "text"},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, {"type": "text", "text": "a\rb"}]},
            {"role": "user", "content": []},
        ]}),
        json!({"syntax": "mustache", "text": "one\r\ntwo\rthree\n\u{0}{{shop}} \u{200b}"}),
        json!({"syntax": "plain", "text": "\n\nleading {{x}}"}),
        json!({"syntax": "mustache", "text": "{{> shared/part@1}} {{a}}", "response_schema": {}, "model": {"name": " m "},
            "variables": [{"name": "a", "required": false, "default": "one\ntwo", "description": "three\nfour "},
                {"name": "temp", "required": true, "type": "number"}]}),
        json!({"syntax": "plain", "messages": [{"role": "user", "name": " a ", "content": []},
            {"role": "user", "content": [{"type": "image", "url": "https://x/\na"}]}]}),
        json!({"syntax": "jinja", "text": "{% if a is defined %}{{ a }}{% endif %}{{ b }}",
            "variables": [{"name": "a", "required": false}, {"name": "b", "required": true, "type": "string", "description": "why"}]}),
        json!({"syntax": "mustache", "messages": [
            {"role": "system", "content": "{{shop}} a\r\nb"},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "name": "ann", "content": [{"type": "image", "url": "https://x/{{id}}"}, {"type": "text", "text": "see"}]},
            {"role": "user", "content": [{"type": "text", "text": "alone"}]},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
            {"role": "tool", "content": "4", "tool_call_id": "1"}],
            "variables": [{"name": "shop", "required": false, "default": "12"}, {"name": "id", "required": true, "type": "number"}],
            "model": {"name": "m", "parameters": {"temperature": 0.2}}, "tools": [{"name": "f"}],
            "response_schema": {"type": "object"}, "config": {"a": {"b": 1}}}),
    ] {
        let mut content = content(&value);
        content.variables.sort_by(|a, b| a.name.cmp(&b.name));
        let typed = TypedContent::of(&content);
        assert_eq!(typed.content().as_ref(), Ok(&content), "{value}");
        let back = TypedContent::sent(&fields(&typed), &[&content]);
        assert_eq!(back.content(), Ok(content), "{value}");
    }
}

#[test]
fn variables_follow_the_texts_and_keep_their_declarations() {
    let mut typed = TypedContent::of(&content(&json!({"syntax": "mustache", "text": "{{a}} {{b}}",
        "variables": [{"name": "a", "required": true}, {"name": "b", "required": true, "description": "the city"}]})));
    typed.body = TypedBody::Text("{{c}}".to_owned());
    let mut typed = TypedContent::sent(&fields(&typed), &[]);
    let names: Vec<(&str, bool)> = typed.variables.iter().map(|(name, one)| (name.as_str(), one.used)).collect();
    assert_eq!(names, [("b", false), ("c", true)], "a said nothing; b is described, though nothing uses it");
    assert_eq!(typed.content().expect("a content").variables.len(), 1, "c says what the text says anyway");
    assert!(typed.act("forget-b"));
    assert!(typed.content().expect("a content").variables.is_empty());
    typed.body = TypedBody::Text("{{c".to_owned());
    typed.syntax = Syntax::Jinja;
    assert!(TypedContent::sent(&fields(&typed), &[]).variables.contains_key("c"), "half a template forgets nothing");
}

#[test]
fn values_are_typed_as_people_type_them() {
    for (kind, typed, expected) in [
        (VariableType::Any, "Acme Ltd", json!("Acme Ltd")),
        (VariableType::Any, "12", json!(12)),
        (VariableType::Any, "\"12\"", json!("12")),
        (VariableType::String, "12", json!("12")),
        (VariableType::String, "\"\"", json!("")),
        (VariableType::Array, "[1]", json!([1])),
        (VariableType::Number, "a dozen", json!("a dozen")),
    ] {
        let value = value(kind, typed);
        assert_eq!(value, Some(expected.clone()), "{typed}");
        assert_eq!(super::value(kind, &shown(kind, &expected)), Some(expected), "{typed}");
    }
    assert_eq!(value(VariableType::Any, ""), None);
}

#[test]
fn buttons_add_move_and_remove_messages() {
    let mut typed = TypedContent::default();
    assert!(!typed.act("add-user"), "a text has no messages");
    typed.body = TypedBody::Text("Help.".to_owned());
    for action in ["chat", "example", "add-placeholder", "up-3", "down-0", "remove-1", "up-0", "down-2"] {
        assert!(typed.act(action), "{action}");
    }
    for action in ["up-9", "remove-", "add-robot", "publish", "", "remove--1"] {
        assert!(!typed.act(action), "{action}");
    }
    let TypedBody::Messages(messages) = &typed.body else { panic!("a conversation") };
    let roles: Vec<&str> = messages.iter().map(|one| named(&ROLES, &one.role)).collect();
    assert_eq!(roles, ["user", "placeholder", "assistant"]);
    assert_eq!(typed.placeholders(), BTreeSet::from(["history"]));
    assert!(!typed.act("text"), "a conversation is more than its texts");
    typed.body = TypedBody::Text("Help.".to_owned());
    assert!(typed.act("chat") && typed.act("text"));
    assert_eq!(typed.body, TypedBody::Text("Help.".to_owned()));
}

#[test]
fn invalid_json_is_reported_and_kept_as_typed() {
    let typed = TypedContent {
        parameters: "{".to_owned(),
        tools: "{}".to_owned(),
        config: "[1]".to_owned(),
        response_schema: "nope".to_owned(),
        ..TypedContent::default()
    };
    let wrong = typed.content().expect_err("wrong");
    assert_eq!(wrong.keys().collect::<Vec<_>>(), ["config", "model", "parameters", "response_schema", "tools"]);
    assert_eq!(TypedContent::sent(&fields(&typed), &[]), typed);
}

proptest! {
    #[test]
    fn any_text_round_trips(text in "(?s).{0,60}", said in proptest::collection::vec("(?s).{0,40}", 0..4)) {
        let plain = Content::text(Syntax::Plain, text);
        let back = TypedContent::sent(&fields(&TypedContent::of(&plain)), &[&plain]);
        prop_assert_eq!(back.content(), Ok(plain));
        let messages: Vec<Value> = said.iter().map(|text| json!({"role": "user", "content": text})).collect();
        let chat = content(&json!({"syntax": "plain", "messages": messages}));
        let back = TypedContent::sent(&fields(&TypedContent::of(&chat)), &[&chat]);
        prop_assert_eq!(back.content(), Ok(chat));
    }

    #[test]
    fn any_form_is_read(names in proptest::collection::btree_map("[mv][0-2]\\.(role|name|p0\\.text|type)|text|tools", "(?s).{0,20}", 0..8)) {
        let typed = TypedContent::sent(&names, &[]);
        let _read_without_panic = typed.content();
    }
}
