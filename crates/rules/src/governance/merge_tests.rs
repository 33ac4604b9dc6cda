//! Tests of merges: tables of cases, and properties of all merges.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::content::{Role, Syntax, VariableType};

fn content(value: &Value) -> Content {
    serde_json::from_value(value.clone()).expect("a content")
}

/// Merges both ways, and returns the requested one.
fn both_ways(base: &Content, ours: &Content, theirs: &Content) -> Merge {
    let merged = merge(base, ours, theirs);
    let swapped = merge(base, theirs, ours);
    assert_eq!(merged.conflicts.is_empty(), swapped.conflicts.is_empty(), "{base:?}\n{ours:?}\n{theirs:?}");
    if merged.conflicts.is_empty() {
        assert_eq!(merged.content, swapped.content);
    }
    // Choosing their side everywhere gives their result.
    let everywhere = (0..merged.conflicts.len()).collect();
    let theirs_everywhere = merge_with(base, ours, theirs, &everywhere);
    assert_eq!(theirs_everywhere.conflicts, merged.conflicts);
    if merged.conflicts.len() < CONFLICTS_MAX {
        assert_eq!(theirs_everywhere.content, swapped.content, "{base:?}\n{ours:?}\n{theirs:?}");
    }
    merged
}

fn conflict(place: &str, base: Option<&str>, ours: Option<&str>, theirs: Option<&str>) -> Conflict {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Conflict { place: place.to_owned(), base: owned(base), ours: owned(ours), theirs: owned(theirs) }
}

#[test]
fn texts_are_merged_by_lines() {
    let merged = |base: &str, ours: &str, theirs: &str| {
        let text = |text: &str| Content::text(Syntax::Plain, text);
        both_ways(&text(base), &text(ours), &text(theirs))
    };
    let clean = |base: &str, ours: &str, theirs: &str, expected: &str| {
        let merge = merged(base, ours, theirs);
        assert_eq!(merge.content, Content::text(Syntax::Plain, expected), "{base:?} {ours:?} {theirs:?}");
        assert_eq!(merge.conflicts, [], "{base:?} {ours:?} {theirs:?}");
    };
    clean("a\nb\nc\n", "a\nb\nc\n", "a\nb\nC\n", "a\nb\nC\n");
    clean("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n");
    clean("a\nb\nc\n", "a\nX\nc\n", "a\nX\nc\n", "a\nX\nc\n");
    clean("a\nb\nc\n", "A\nb\nX\nc\n", "A\nb\nc\n", "A\nb\nX\nc\n");
    clean("a\nb\nc\nd\n", "b\nc\nd\n", "a\nb\nc\n", "b\nc\n");
    clean("a\nb", "0\na\nb", "a\nb\n", "0\na\nb\n");
    clean("a\nb", "a\nb\nc", "A\nb", "A\nb\nc");
    clean("a\r\nb\r\nc", "A\r\nb\r\nc", "a\r\nb\r\nC", "A\r\nb\r\nC");
    clean("{\n}\n{\n}\n", "{\nx\n}\n{\n}\n", "{\n}\n{\ny\n}\n", "{\nx\n}\n{\ny\n}\n");

    // A repeated line is matched by its context.
    clean("p\nr\nq\nr\ns", "r\np\nr\nq\nr\nS", "p\nn\nr\nq\nr\ns", "r\np\nn\nr\nq\nr\nS");

    let conflicts = |base: &str, ours: &str, theirs: &str, text: &str, expected: &[Conflict]| {
        let merge = merged(base, ours, theirs);
        assert_eq!(merge.conflicts, expected, "{base:?} {ours:?} {theirs:?}");
        assert_eq!(merge.content, Content::text(Syntax::Plain, text), "{base:?} {ours:?} {theirs:?}");
    };
    conflicts("a\nb\nc", "a\nX\nc", "a\nY\nc", "a\nX\nc", &[conflict("text line 2", Some("b"), Some("X"), Some("Y"))]);
    let adjacent = conflict("text line 1", Some("a\nb"), Some("A\nb"), Some("a\nB"));
    conflicts("a\nb\nc", "A\nb\nc", "a\nB\nc", "A\nb\nc", &[adjacent]);
    let inserted = conflict("text line 2", None, Some("x"), Some("y"));
    conflicts("a\nb", "a\nx\nb", "a\ny\nb", "a\nx\nb", &[inserted]);
    let deleted = conflict("text line 2", Some("b"), None, Some("B"));
    conflicts("a\nb\nc", "a\nc", "a\nB\nc", "a\nc", std::slice::from_ref(&deleted));
    let edited = conflict("text line 2", Some("b"), Some("B"), None);
    conflicts("a\nb\nc", "a\nB\nc", "a\nc", "a\nB\nc", &[edited]);
    let emptied = conflict("text line 2", Some("b"), Some(""), Some("B"));
    conflicts("a\nb\nc", "a\n\nc", "a\nB\nc", "a\n\nc", &[emptied]);
    // Changes without conflicts are merged around conflicts.
    let middle = conflict("text line 4", Some("c"), Some("X"), Some("Y"));
    conflicts("a\nb\nc\nd\ne", "0\na\nb\nX\nd\ne", "a\nb\nY\nd\nE", "0\na\nb\nX\nd\nE", &[middle]);
}

#[test]
fn messages_are_merged_as_units_and_then_by_lines() {
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let history = json!({"type": "placeholder", "name": "history"});
    let merged = |three: [&[Value]; 3]| {
        let [base, ours, theirs] = three.map(|messages| content(&json!({ "messages": messages })));
        both_ways(&base, &ours, &theirs)
    };
    let clean = |base: &[Value], ours: &[Value], theirs: &[Value], expected: &[Value]| {
        let merge = merged([base, ours, theirs]);
        assert_eq!(merge.conflicts, []);
        assert_eq!(serde_json::to_value(&merge.content).expect("JSON")["messages"], json!(expected));
    };
    let (system, user) = (said("system", "s1\ns2\ns3"), said("user", "u"));
    let base = [system.clone(), user.clone()];
    // An insertion on one side, an edit on the other.
    let edited = said("user", "u2");
    clean(
        &[system.clone(), history.clone(), user.clone()],
        &[system.clone(), said("user", "example"), history.clone(), user.clone()],
        &[system.clone(), history.clone(), edited.clone()],
        &[system.clone(), said("user", "example"), history.clone(), edited.clone()],
    );
    // Within one message.
    let (ours, theirs) = (said("system", "S1\ns2\ns3"), said("system", "s1\ns2\nS3"));
    clean(
        &base,
        &[ours.clone(), user.clone()],
        &[theirs.clone(), user.clone()],
        &[said("system", "S1\ns2\nS3"), user.clone()],
    );
    // Adjacent messages, each edited by one side.
    clean(&base, &[ours.clone(), user.clone()], &[system.clone(), edited.clone()], &[ours.clone(), edited.clone()]);
    // The same change on both sides.
    clean(&base, std::slice::from_ref(&user), std::slice::from_ref(&user), std::slice::from_ref(&user));
    // Parts of the same shape, and other fields.
    let parts = |text: &str, url: &str, name: &str| {
        json!({"role": "user", "name": name,
            "content": [{"type": "text", "text": text}, {"type": "image", "url": url}]})
    };
    clean(
        &[parts("a\nb\nc", "u", "n")],
        &[parts("A\nb\nc", "u", "m")],
        &[parts("a\nb\nC", "v", "n")],
        &[parts("A\nb\nC", "v", "m")],
    );

    let conflicts = |base: &[Value], ours: &[Value], theirs: &[Value], places: &[&str]| {
        let merge = merged([base, ours, theirs]);
        assert_eq!(merge.conflicts.iter().map(|c| c.place.as_str()).collect::<Vec<_>>(), places);
        assert_eq!(merge.content, content(&json!({ "messages": ours })), "ours where it conflicts");
    };
    conflicts(
        &base,
        &[said("system", "s1\nX\ns3"), user.clone()],
        &[said("system", "s1\nY\ns3"), user.clone()],
        &["messages[0] line 2"],
    );
    // Another role, another number of messages, a moved message: no guess.
    conflicts(&base, &[system.clone(), said("assistant", "u")], &[system.clone(), edited.clone()], &["messages[1]"]);
    conflicts(
        &base,
        &[system.clone(), said("user", "x"), said("user", "y")],
        &[system.clone(), edited.clone()],
        &["messages[1..3]"],
    );
    conflicts(
        &[said("user", "1"), said("user", "2")],
        &[said("user", "2"), said("user", "3")],
        &[said("user", "1"), said("user", "2b")],
        &["messages[0..2]"],
    );
    // Deleted on one side, edited on the other.
    conflicts(&base, std::slice::from_ref(&system), &[system.clone(), edited.clone()], &["messages[1]"]);
    let merge = merged([&base, std::slice::from_ref(&system), &[system.clone(), edited]]);
    let (was, is) = (r#"[{"role":"user","content":"u"}]"#, r#"[{"role":"user","content":"u2"}]"#);
    assert_eq!(merge.conflicts, [conflict("messages[1]", Some(was), None, Some(is))]);
    conflicts(
        &[parts("a", "u", "n")],
        &[parts("b", "v", "m")],
        &[parts("c", "w", "o")],
        &["messages[0].content[0] line 1", "messages[0].content[1]", "messages[0].name"],
    );
    conflicts(
        &[said("user", "a")],
        &[json!({"role": "user", "content": [{"type": "text", "text": "a"}]})],
        &[said("user", "b")],
        &["messages[0].content"],
    );
    let placeholder = |name: &str| json!({"type": "placeholder", "name": name});
    conflicts(&[placeholder("a")], &[placeholder("b")], &[placeholder("c")], &["messages[0]"]);
}

#[test]
fn everything_with_a_name_is_merged_by_name() {
    let base = json!({"text": "t", "syntax": "plain",
        "variables": [{"name": "a"}, {"name": "b"}],
        "model": {"name": "m", "parameters": {"temperature": 1, "top_p": 1}},
        "tools": [1], "response_schema": {"type": "object"},
        "config": {"k": 1, "l": 2, "n": {"x": 1, "y": {"z": 1}}}});
    let edit = |changes: &[(&str, Value)]| {
        let mut value = base.clone();
        for (pointer, change) in changes {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let fields = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
            if *change == json!("absent") {
                fields.shift_remove(key)
            } else {
                fields.insert(key.to_owned(), change.clone())
            };
        }
        value
    };
    let check =
        |ours: &[(&str, Value)], theirs: &[(&str, Value)], expected: &[(&str, Value)], conflicts: &[Conflict]| {
            let merge = both_ways(&content(&base), &content(&edit(ours)), &content(&edit(theirs)));
            assert_eq!(merge.conflicts, conflicts, "{ours:?} {theirs:?}");
            assert_eq!(merge.content, content(&edit(expected)), "{ours:?} {theirs:?}");
        };
    let (temperature, top_p) = ("/model/parameters/temperature", "/model/parameters/top_p");
    check(
        &[("/config/k", json!(5)), ("/config/new", json!([]))],
        &[("/config/l", json!("absent")), (temperature, json!(0))],
        &[("/config/k", json!(5)), ("/config/new", json!([])), ("/config/l", json!("absent")), (temperature, json!(0))],
        &[],
    );
    check(
        &[("/config/n/x", json!(2)), ("/model/name", json!("m2"))],
        &[("/config/n/y", json!(3)), (top_p, json!("absent"))],
        &[("/config/n/x", json!(2)), ("/config/n/y", json!(3)), ("/model/name", json!("m2")), (top_p, json!("absent"))],
        &[],
    );
    let variables = |list: Value| ("/variables", list);
    check(
        &[variables(json!([{"name": "a", "required": true}, {"name": "b"}, {"name": "c"}]))],
        &[variables(json!([{"name": "a"}, {"name": "aa"}]))],
        &[variables(json!([{"name": "a", "required": true}, {"name": "aa"}, {"name": "c"}]))],
        &[],
    );
    // A different form of a number is a change, and an absent value is not null.
    check(
        &[("/config/k", json!(1.0))],
        &[("/config/k", json!(7))],
        &[("/config/k", json!(1.0))],
        &[conflict("config.k", Some("1"), Some("1.0"), Some("7"))],
    );
    check(
        &[("/config/k", Value::Null)],
        &[("/config/k", json!("absent"))],
        &[("/config/k", Value::Null)],
        &[conflict("config.k", Some("1"), Some("null"), None)],
    );
    check(
        &[("/syntax", json!("jinja")), ("/tools", json!([2])), ("/response_schema", json!("absent"))],
        &[("/syntax", json!("mustache")), ("/tools", json!([3])), ("/response_schema", json!({}))],
        &[("/syntax", json!("jinja")), ("/tools", json!([2])), ("/response_schema", json!("absent"))],
        &[
            conflict("syntax", Some("\"plain\""), Some("\"jinja\""), Some("\"mustache\"")),
            conflict("tools", Some("[1]"), Some("[2]"), Some("[3]")),
            conflict("response_schema", Some(r#"{"type":"object"}"#), None, Some("{}")),
        ],
    );
    check(
        &[("/model/name", json!("x")), (temperature, json!(2))],
        &[("/model/name", json!("y")), (temperature, json!(3)), (top_p, json!(0))],
        &[("/model/name", json!("x")), (temperature, json!(2)), (top_p, json!(0))],
        &[
            conflict("model", Some("\"m\""), Some("\"x\""), Some("\"y\"")),
            conflict("model.parameters.temperature", Some("1"), Some("2"), Some("3")),
        ],
    );
    let model = r#"{"name":"m","parameters":{"temperature":1,"top_p":1}}"#;
    check(
        &[("/model", json!("absent"))],
        &[("/model", json!({"name": "y"}))],
        &[("/model", json!("absent"))],
        &[conflict("model", Some(model), None, Some(r#"{"name":"y"}"#))],
    );
    check(
        &[("/config/n/y/z", json!(2)), variables(json!([{"name": "b"}]))],
        &[("/config/n/y", json!({"z": 1, "w": 2})), variables(json!([{"name": "a", "type": "string"}, {"name": "b"}]))],
        &[("/config/n/y/z", json!(2)), variables(json!([{"name": "b"}]))],
        &[
            conflict(
                "variables.a",
                Some(r#"{"name":"a","required":false}"#),
                None,
                Some(r#"{"name":"a","required":false,"type":"string"}"#),
            ),
            conflict("config.n.y", Some(r#"{"z":1}"#), Some(r#"{"z":2}"#), Some(r#"{"z":1,"w":2}"#)),
        ],
    );
}

#[test]
fn changed_body_kind_conflicts_unless_one_side_is_unchanged() {
    let (base, edited) = (content(&json!({"text": "a"})), content(&json!({"text": "b"})));
    let chat = content(&json!({"messages": [{"role": "user", "content": "a"}], "config": {"k": 1}}));
    let merge = both_ways(&base, &edited, &chat);
    let messages = r#"[{"role":"user","content":"a"}]"#;
    assert_eq!(merge.conflicts, [conflict("body", Some("a"), Some("b"), Some(messages))]);
    assert_eq!(merge.content, content(&json!({"text": "b", "config": {"k": 1}})));
    let with_tools = content(&json!({"text": "a", "tools": [1]}));
    let merge = both_ways(&base, &with_tools, &chat);
    assert_eq!(merge.conflicts, []);
    assert_eq!(merge.content, Content { tools: vec![json!(1)], ..chat });
}

#[test]
fn merge_reads_back_from_its_json() {
    let text = |text: &str| Content::text(Syntax::Plain, text);
    let merge = merge(&text("a"), &text("b"), &text("c"));
    let json = json!({"content": {"syntax": "plain", "text": "b"},
        "conflicts": [{"place": "text line 1", "base": "a", "ours": "b", "theirs": "c"}]});
    assert_eq!(serde_json::to_value(&merge).expect("JSON"), json);
    assert_eq!(serde_json::from_value::<Merge>(json).expect("a merge"), merge);
}

#[test]
fn large_and_hostile_contents_are_merged_within_limits() {
    let text = |text: String| Content::text(Syntax::Plain, text);
    let lines = |word: &str| (0..40_000).map(|n| format!("{word}{n}\n")).collect::<String>();
    // Far apart in a long text of different lines.
    let base = lines("");
    let edit = |from: &str, to: &str| base.replacen(from, to, 1);
    let merge = both_ways(&text(base.clone()), &text(edit("\n17\n", "\nx\n")), &text(edit("\n39000\n", "\ny\n")));
    assert_eq!(merge.conflicts, []);
    assert_eq!(merge.content, text(base.replacen("\n17\n", "\nx\n", 1).replacen("\n39000\n", "\ny\n", 1)));
    // Nothing in common.
    let merge = both_ways(&text(base.clone()), &text(lines("a")), &text(lines("b")));
    assert_eq!(merge.conflicts.len(), 1);
    assert_eq!(merge.content, text(lines("a")));
    // Two alternating lines: no anchors, and too much to compare.
    let flip = "x\ny\n".repeat(1 << 17);
    let merge = both_ways(&text(flip.clone()), &text(format!("z\n{flip}z\n")), &text(format!("w\ny\n{flip}x\n")));
    assert_eq!(merge.content, text(format!("z\n{flip}z\n")));
    assert!(!merge.conflicts.is_empty());
    // One line against very many.
    let merge = both_ways(&text("q\nr".to_owned()), &text(format!("a\n{flip}b")), &text("q\nR".to_owned()));
    assert_eq!(merge.conflicts.len(), 1);
    // More conflicts than the limit.
    let three = ["a", "b", "c"].map(|word| text((0..2_000).map(|n| format!("{word}{n}\nsame{n}\n")).collect()));
    let [base, ours, theirs] = three.each_ref();
    let merge = both_ways(base, ours, theirs);
    assert_eq!(merge.conflicts.len(), CONFLICTS_MAX);
    assert_eq!(merge.conflicts.last(), Some(&conflict("text line 1999", Some("a999"), Some("b999"), Some("c999"))));
    assert_eq!(&merge.content, ours);
}

fn some_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "", "d"]), 0..7).prop_map(|lines| lines.join("\n"))
}

fn some_message() -> impl Strategy<Value = Message> {
    let role = prop::sample::select(vec![Role::System, Role::User]);
    let content = prop_oneof![
        3 => some_text().prop_map(MessageContent::Text),
        1 => some_text().prop_map(|text| MessageContent::Parts(vec![Part::text(text)])),
    ];
    prop_oneof![
        1 => Just(Message::Placeholder { name: "h".to_owned() }),
        6 => (role, content, prop::option::of(Just("n".to_owned()))).prop_map(|(role, content, name)| {
            let fields = name.into_iter().map(|name| ("name".to_owned(), Value::String(name))).collect();
            Message::Said(RoleMessage { role, content, fields })
        }),
    ]
}

fn some_value() -> impl Strategy<Value = Value> {
    let object = prop::collection::btree_map("[kl]", 0..3, 0..3);
    prop_oneof![(0..3).prop_map(Value::from), object.prop_map(|fields| json!(fields))]
}

fn some_content() -> impl Strategy<Value = Content> {
    let fields = || prop::collection::btree_map("[ab]", some_value(), 0..3).prop_map(|map| map.into_iter().collect());
    let body = prop_oneof![
        3 => some_text().prop_map(Body::Text),
        3 => prop::collection::vec(some_message(), 0..4).prop_map(Body::Messages),
    ];
    let syntax = prop::sample::select(vec![Syntax::Plain, Syntax::Plain, Syntax::Jinja]);
    let model = prop::option::of(("[mn]", fields()).prop_map(|(name, parameters)| Model { name, parameters }));
    let variables = prop::collection::btree_map("[vw]", any::<bool>(), 0..3).prop_map(|map| {
        let variable =
            |(name, required)| Variable { name, required, kind: VariableType::Any, default: None, description: None };
        map.into_iter().map(variable).collect()
    });
    (syntax, body, variables, model, prop::collection::vec((0..2).prop_map(Value::from), 0..2), fields()).prop_map(
        |(syntax, body, variables, model, tools, config)| Content {
            syntax,
            body,
            variables,
            model,
            response_schema: tools.first().cloned(),
            tools,
            config,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn swapping_merge_sides_gives_the_same_conflicts(base in some_content(), ours in some_content(), theirs in some_content()) {
        both_ways(&base, &ours, &theirs);
    }

    #[test]
    fn texts_may_be_swapped_and_no_line_is_invented(base in some_text(), ours in some_text(), theirs in some_text()) {
        let text = |text: &String| Content::text(Syntax::Plain, text.clone());
        let merge = both_ways(&text(&base), &text(&ours), &text(&theirs));
        let Body::Text(merged) = merge.content.body else { panic!("a text") };
        for line in merged.split('\n').filter(|line| !line.is_empty()) {
            prop_assert!(ours.split('\n').chain(theirs.split('\n')).any(|known| known == line));
        }
    }

    #[test]
    fn unchanged_side_takes_the_change_of_the_other(base in some_content(), other in some_content()) {
        let expected = Merge { content: other.clone(), conflicts: Vec::new() };
        prop_assert_eq!(&merge(&base, &base, &other), &expected);
        prop_assert_eq!(&merge(&base, &other, &base), &expected);
        prop_assert_eq!(&merge(&base, &other, &other), &expected);
    }
}
