//! Guarantees of prompt files: every content reads back, and every mistake is reported with its line.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::prompt::{parse, write};
use crate::model::content::{
    Body, Content, Message, MessageContent, Model, Part, Role, RoleMessage, Syntax, Variable, VariableType,
};

fn said(role: Role, text: &str) -> Message {
    let content = MessageContent::Text(text.to_owned());
    Message::Said(RoleMessage::new(role, content))
}

fn chat(messages: Vec<Message>) -> Content {
    Content { body: Body::Messages(messages), ..Content::text(Syntax::Mustache, "") }
}

#[test]
fn simple_text_is_a_file_without_front_matter() {
    let check = |text: &str, file: &str| {
        let content = Content::text(Syntax::Mustache, text);
        assert_eq!(write(&content), file);
        assert_eq!(parse(file).expect(file).content, content);
    };
    check("Hi {{who}}", "Hi {{who}}\n");
    check("two\nlines\n", "two\nlines\n\n");
    check("", "\n");
    check("a\r\nb", "a\r\nb\n");
    check("a\r", "a\r\r\n");
    check("---\nx", "---\n---\n---\nx\n");
    check("\u{feff}x", "---\n---\n\u{feff}x\n");
    check("{{history}}\n{{placeholder \"x\"}}", "{{history}}\n\\{{placeholder \"x\"}}\n");
    check("a {{role \"x\"}} b{{section \"c\"}}", "a \\{{role \"x\"}} b\\{{section \"c\"}}\n");
    check(
        "{{ role | upper }} {{media if media else ''}} {{role}}",
        "{{ role | upper }} {{media if media else ''}} {{role}}\n",
    );
    check("{{role \"user\"}}\n", "\\{{role \"user\"}}\n\n");
    check("\\{{role \"user\"}}", "\\\\{{role \"user\"}}\n");
    check("\\x", "\\x\n");
}

#[test]
fn text_round_trips_with_and_without_a_final_line_break() {
    for file in ["Hi", "Hi\n", "Hi\r\n", "---\n---\nHi", "---\r\nsyntax: mustache\r\n---\r\nHi\r\n", "\u{feff}Hi\n"] {
        assert_eq!(parse(file).expect(file).content, Content::text(Syntax::Mustache, "Hi"), "{file:?}");
    }
}

#[test]
fn conversation_is_written_with_markers() {
    let image = Message::Said(RoleMessage::new(
        Role::User,
        MessageContent::Parts(vec![
            Part::text("What is on\n{{media url=\"x\"}}"),
            Part::image("https://example.com/{{id}}.png"),
        ]),
    ));
    let history = Message::Placeholder { name: "history".to_owned() };
    let examples = Message::Placeholder { name: "examples".to_owned() };
    let content = chat(vec![said(Role::System, "Be kind.\n{{history}}"), examples, history, image]);
    let file = concat!(
        "{{role \"system\"}}\nBe kind.\n\\{{history}}\n{{placeholder \"examples\"}}\n{{history}}\n",
        "{{role \"user\"}}\nWhat is on\n\\{{media url=\"x\"}}\n{{media url=\"https://example.com/{{id}}.png\"}}\n",
    );
    assert_eq!(write(&content), file);
    assert_eq!(parse(file).expect(file).content, content);
}

#[test]
fn dotprompt_spellings_are_understood() {
    let file = "{{ role 'model' }}  \r\nHi\r\n\n{{role \"user\"}}\n{{media url=photo}}\n\n";
    let Body::Messages(messages) = parse(file).expect(file).content.body else { panic!("a conversation") };
    assert_eq!(messages[0], said(Role::Model, "Hi\r\n"), "roles are kept as they are written");
    let Message::Said(RoleMessage { content: MessageContent::Parts(parts), .. }) = &messages[1] else {
        panic!("parts")
    };
    assert_eq!(parts, &[Part::image("{{photo}}")]);
}

#[test]
fn markers_inside_a_line_are_parsed_as_in_dotprompt() {
    for file in [
        "{{role \"system\"}}Be kind.{{role \"user\"}}Hi {{who}}",
        "{{role \"system\"}} Be kind. {{role \"user\"}} Hi {{who}}\n",
        "  {{role \"system\"}}\nBe kind.\n\t{{role \"user\"}}\nHi {{who}}\n",
        "{{role \"system\"}}\nBe kind.\n{{ role 'user' }}Hi {{who}}\n",
    ] {
        let read = parse(file).expect(file).content;
        assert_eq!(read, chat(vec![said(Role::System, "Be kind."), said(Role::User, "Hi {{who}}")]), "{file:?}");
        assert_eq!(parse(&write(&read)).expect("reads back").content, read);
    }
    let file =
        "{{role \"user\"}}Look at {{media url=photo}} and answer.\n{{history}}{{role \"model\"}}\nSure \\{{history}}\n";
    let Body::Messages(messages) = parse(file).expect(file).content.body else { panic!("a conversation") };
    let Message::Said(RoleMessage { content: MessageContent::Parts(parts), .. }) = &messages[0] else {
        panic!("parts")
    };
    let text = |text: &str| Part::text(text);
    assert_eq!(parts, &[text("Look at"), Part::image("{{photo}}"), text("and answer.")]);
    assert_eq!(messages[1], Message::Placeholder { name: "history".to_owned() });
    assert_eq!(messages[2], said(Role::Model, "Sure {{history}}"));
}

#[test]
fn messages_that_markers_cannot_express_go_into_the_front_matter() {
    let mut named = said(Role::Tool, "42");
    if let Message::Said(said) = &mut named {
        said.fields.insert("tool_call_id".to_owned(), Value::from("call-1"));
    }
    for content in [chat(vec![]), chat(vec![Message::Placeholder { name: "h".to_owned() }]), chat(vec![named])] {
        let file = write(&content);
        assert!(file.starts_with("---\nmessages:"), "{file}");
        assert_eq!(parse(&file).expect(&file).content, content);
    }
}

#[test]
fn front_matter_has_every_key() {
    let file = r#"---
# who owns this: support
syntax: jinja
model: gpt-5
parameters: {temperature: 0.2, stop: ["\n"]}
variables:
  who: {type: string, required: true, description: Whom to greet}
  lang: {default: en}
  a:
tools:
  - {type: function, function: {name: look_up}}
response_schema: {type: object}
config: {owner: support}
labels: [staging, eu-west]
---
Hi {{ who }}
"#;
    let read = parse(file).expect(file);
    assert_eq!(read.labels.iter().map(ToString::to_string).collect::<Vec<_>>(), ["staging", "eu-west"]);
    let json = serde_json::to_value(&read.content).expect("JSON");
    assert_eq!(
        json,
        json!({
            "syntax": "jinja", "text": "Hi {{ who }}",
            "model": {"name": "gpt-5", "parameters": {"temperature": 0.2, "stop": ["\n"]}},
            "variables": [
                {"name": "a", "required": false},
                {"name": "lang", "required": false, "default": "en"},
                {"name": "who", "required": true, "type": "string", "description": "Whom to greet"},
            ],
            "tools": [{"type": "function", "function": {"name": "look_up"}}],
            "response_schema": {"type": "object"}, "config": {"owner": "support"},
        })
    );
    let whole = parse("---\nmodel: {name: m, parameters: {n: 1}}\n---\nx\n").expect("a model as a map").content;
    assert_eq!(whole.model.map(|model| model.name).as_deref(), Some("m"));
}

#[test]
fn error_names_the_line() {
    for (file, part) in [
        ("---\nsyntax: plain\n", "no closing `---` line"),
        ("---\nsyntax: plain\ncolour: red\n---\n", "unknown field `colour`"),
        (
            "---\nmodel: m\ninput:\n  schema: {text: string}\noutput: {format: json}\n---\n",
            "line 3: `input`: unknown field",
        ),
        ("---\nname: Basic\nauthors: [ada]\nmodel: {api: chat}\n---\nsystem:\nHi\n", "line 2: `name`: unknown field"),
        ("---\nsyntax: plain\ncolour: red\n---\n", "line 3"),
        ("---\nsyntax: perl\n---\n", "unknown variant `perl`"),
        ("---\nsyntax: [\n---\n", "line "),
        ("---\nmodel: 3\n---\n", "`model` is a name"),
        ("---\nparameters: {a: 1}\n---\n", "need a model"),
        ("---\nmodel: {name: m}\nparameters: {a: 1}\n---\n", "move the parameters into the map"),
        ("---\nvariables: {a: , a: }\n---\n", "line 2: the key `variables.a` appears twice"),
        ("---\nvariables: {a: {tpye: string}}\n---\n", "unknown field `tpye`"),
        ("---\nlabels: [Production]\n---\n", "invalid label `Production`"),
        ("---\nmessages: [{role: user, content: Hi}]\n---\n\ntext\n", "line 5 has text"),
        ("---\nmessages: [{role: user}]\n---\n", "no `content`"),
        ("---\n- a\n---\n", "invalid front matter"),
        ("Hi\n{{role \"user\"}}\nx\n", "line 1: text before"),
        ("{{role \"user\"}}\nx\n{{history}}\nmore\n", "line 4: text after"),
        ("{{role \"wizard\"}}\nx\n", "line 1: unknown role `wizard`"),
        ("---\n---\n{{media url=\"u\"}}\n{{role \"user\"}}\n", "line 3: image before"),
        ("{{role \"user\"}}\n{{media url=a b}}\n", "line 2: invalid marker `{{media url=a b}}`: write {{media url="),
        ("a\nb {{role system}}\n", "line 2: invalid marker `{{role system}}`: write {{role \"system\"}}"),
        ("{{role \"user}}\n", "line 1: invalid marker `{{role \"user}}`"),
        ("{{role \"user\"}}\nx {{section \"y\"}}\n", "line 2: invalid marker `{{section \"y\"}}`"),
        ("Look\n{{media url=photo}}\n", "line 2: image before the first role marker"),
        ("Hi\n{{placeholder \"p\"}}\n", "line 2: placeholders are only possible in chat prompts"),
        ("{{role \"user\"}}\nSo far: {{history}}\n", "line 2: `{{history}}` has text next to it"),
        ("{{role \"user\"}}x\n{{history}} so far\n", "line 2: `{{history}}` has text next to it"),
        ("Hi {{role \"user\"}}x\n", "line 1: text before"),
    ] {
        let message = parse(file).expect_err(file).to_string();
        assert!(message.contains(part), "{file:?}: {message}");
    }
    let message = parse(&"x".repeat(super::prompt::PROMPT_FILE_BYTES_MAX + 1)).expect_err("too long").to_string();
    assert!(message.contains("the limit is 2097152 bytes"), "{message}");
}

/// Lines that look like something else.
const HOSTILE: [&str; 30] = [
    "a {{role \"user\"}} b",
    "a{{history}}b",
    "{{role \"user}}",
    "{{role user}}{{role \"user\"}}",
    "\\{{media url=a b}}",
    "{{section \"s\"}} {{placeholder x}}",
    "{{{role \"user\"}}}",
    "{{media url=\"{{role \"user\"}}\"}}",
    "---",
    "--- ",
    "...",
    "{{role \"user\"}}",
    "\\{{role \"user\"}}",
    "\\\\{{role 'tool'}}",
    "{{role \"x\"}}",
    "{{role}}",
    "{{history}}",
    "\\{{history}}",
    "{{placeholder \"p\"}}",
    "{{media url=u}}",
    "{{media url=\"u\"}} ",
    "\\",
    "\u{feff}",
    "a: b",
    "- x",
    "# c",
    "\u{85}",
    "\u{2028}",
    " ",
    "\t",
];

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => prop::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[ -~]{0,12}",
    ];
    let ends = prop::sample::select(vec!["\n", "\r\n", "\r", "", "\n\n"]);
    prop::collection::vec((line, ends), 0..6).prop_map(|lines| lines.into_iter().map(|(a, b)| a + b).collect())
}

fn value() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "~",
        "null",
        "yes",
        "No",
        "1e3",
        "0x1f",
        "1_0",
        ".inf",
        "0o7",
        "=",
        "<<",
        "!a",
        "&a",
        "*a",
        "2001-01-01",
        "12:30:00",
        "1.",
        "+1",
        "-",
        "?",
        "[",
        "'",
        "\"",
        "@",
        "`",
        "%",
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(|n| Value::from(n % (1 << 53))),
        any::<f64>().prop_filter("JSON has finite numbers", |n| n.is_finite()).prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(prop_oneof![4 => inner.clone(), 1 => Just(Value::Null)], 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{1,5}", 1 => text(), 1 => prop::sample::select(vec!["<<", "1", "null", "yes", "~", ""]).prop_map(str::to_owned)]
}

fn map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), value()), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn message() -> impl Strategy<Value = Message> {
    let role = prop::sample::select(Role::ALL.to_vec());
    let odd = (map(), text()).prop_filter_map("a part that may be", |(fields, kind)| {
        Part::try_from(std::iter::once(("type".to_owned(), Value::String(kind))).chain(fields).collect::<Map<_, _>>())
            .ok()
    });
    let part = prop_oneof![
        3 => text().prop_map(Part::text),
        3 => prop_oneof![text(), "[ -~]{0,12}"].prop_map(Part::image),
        1 => odd,
    ];
    let content = prop_oneof![
        6 => text().prop_map(MessageContent::Text),
        2 => prop::collection::vec(part, 0..4).prop_map(MessageContent::Parts),
        1 => Just(MessageContent::Null),
        1 => Just(MessageContent::Absent),
    ];
    let fields = prop_oneof![
        6 => Just(Map::new()),
        1 => (prop::option::of(text()), prop::collection::vec(value(), 0..2), prop::option::of(text()), map()).prop_map(
            |(name, calls, call, others)| {
                let named = [("name", name.map(Value::String)), ("tool_calls", Some(Value::Array(calls))), ("tool_call_id", call.map(Value::String))];
                others.into_iter().chain(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)))).collect()
            },
        ),
    ];
    prop_oneof![
        1 => prop_oneof!["[a-z]{1,4}", Just("history".to_owned()), text()].prop_map(|name| Message::Placeholder { name }),
        5 => (role, content, fields).prop_filter_map("a message that may be", |(role, content, fields)| {
            let message = Message::Said(RoleMessage { role, content, fields });
            let Ok(Value::Object(json)) = serde_json::to_value(&message) else { return None };
            Message::try_from(json).is_ok().then_some(message)
        }),
    ]
}

fn variable() -> impl Strategy<Value = Variable> {
    use VariableType::{Any, Array, Boolean, Number, Object, String};
    let kind = prop::sample::select(vec![Any, String, Number, Boolean, Array, Object]);
    (
        prop_oneof!["[a-z]{1,4}", "(y|n|null|true)"],
        any::<bool>(),
        kind,
        prop::option::of(value()),
        prop::option::of(text()),
    )
        .prop_map(|(name, required, kind, default, description)| Variable {
            name,
            required,
            kind,
            default,
            description,
        })
}

fn content() -> impl Strategy<Value = Content> {
    let body =
        prop_oneof![text().prop_map(Body::Text), prop::collection::vec(message(), 0..5).prop_map(Body::Messages),];
    let model = (text(), map()).prop_map(|(name, parameters)| Model { name, parameters });
    let rest = prop_oneof![
        1 => Just((Vec::new(), None, Vec::new(), None, Map::new())),
        1 => (
            prop::collection::vec(variable(), 0..4),
            prop::option::of(model),
            prop::collection::vec(value(), 0..3),
            prop::option::of(value()),
            map(),
        ),
    ];
    let syntax = prop::sample::select(vec![Syntax::Mustache, Syntax::Jinja, Syntax::Plain]);
    (syntax, body, rest).prop_map(|(syntax, body, (mut variables, model, tools, response_schema, config))| {
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        variables.dedup_by(|a, b| a.name == b.name);
        Content { syntax, body, variables, model, tools, response_schema, config }
    })
}

#[test]
fn hostile_bodies_parse_in_linear_time() {
    for unit in [
        "{{history}}",
        "{{role \"user\"}}",
        "{{role \"",
        "\\{{history}}",
        "{{media url=",
        "{{ ",
        "{{section \"",
        "{",
        "\\",
    ] {
        for first in ["", "{{role \"user\"}}\n"] {
            let _ended = parse(&format!("{first}{}", unit.repeat((1 << 20) / unit.len())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_content_reads_back(content in content()) {
        let file = write(&content);
        let read = parse(&file).map_err(|error| TestCaseError::fail(format!("{error}\n{file}")))?;
        prop_assert_eq!(read.content, content, "{}", file);
    }

    #[test]
    fn no_text_makes_the_reader_panic(file in text(), front in text()) {
        let _ = parse(&file);
        let _ = parse(&format!("---\n{front}\n---\n{file}"));
    }
}

#[test]
fn front_matter_with_too_many_brackets_is_refused_before_yaml_is_parsed() {
    for bracket in ["[", "{", "[{", "- [", "a: {"] {
        let front = bracket.repeat(100_000);
        let error = parse(&format!("---\nmodel: {front}\n---\nx\n")).expect_err(bracket).to_string();
        assert!(error.contains("one `key: JSON` per line, and line 2 does not"), "{error}");
    }
    let long = parse(&format!("---\nconfig:\n  a: {}\n---\nx\n", "x".repeat(70_000))).expect_err("long").to_string();
    assert!(long.contains("more than 65536 bytes"), "{long}");
    let twice = format!("---\nconfig: {{\"a\": \"{}\"}}\nconfig: {{}}\n---\nx\n", "x".repeat(70_000));
    assert!(parse(&twice).expect_err("twice").to_string().contains("line 3: the key `config` appears twice"));
}

#[test]
fn nested_yaml_of_the_largest_size_that_is_parsed_ends_soon() {
    for unit in ["- ", "? ", "[", "{a: ", "&a ", "!a ", "a: ", "*a ", "\"", "|\n", "- - [", "[a, "] {
        let front = unit.repeat(60_000 / unit.len());
        let _ = parse(&format!("---\n{front}\n---\nx\n"));
    }
}

#[test]
fn long_or_bracketed_front_matter_reads_back() {
    let tool = |n: usize| json!({"type": "function", "n": n, "é\u{2028}": "😀 \"[{", "nested": [[{"a": []}]]});
    for number in [3, 300, 3_000] {
        let content = Content {
            tools: (0..number).map(tool).collect(),
            config: Map::from_iter([("text".to_owned(), Value::from("---\nx: [".repeat(number)))]),
            variables: vec![Variable {
                name: "v".to_owned(),
                required: false,
                kind: VariableType::String,
                default: Some(json!("d")),
                description: None,
            }],
            model: Some(Model { name: "m".to_owned(), parameters: Map::from_iter([("t".to_owned(), json!(0.5))]) }),
            ..Content::text(Syntax::Mustache, "{{v}}")
        };
        let file = write(&content);
        assert_eq!(parse(&file).expect("it reads back").content, content, "{number} tools, {} bytes", file.len());
    }
}
