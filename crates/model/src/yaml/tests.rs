use serde_json::{Value, json};

use super::*;

fn value(yaml: &str) -> Value {
    read(&format!("v: {yaml}"), 2, "front matter").expect(yaml).fields.remove("v").expect(yaml)
}

#[test]
fn yaml_with_one_meaning_is_accepted_as_that_value() {
    for (yaml, expected) in [
        ("null", Value::Null),
        ("", Value::Null),
        ("~", Value::Null),
        ("true", json!(true)),
        ("False", json!(false)),
        ("'yes'", json!("yes")),
        ("{on: 1, no: 2}", json!({"on": 1, "no": 2})),
        ("yesterday", json!("yesterday")),
        ("y", json!("y")),
        ("2001-01-01", json!("2001-01-01")),
        ("2001-12-14t21:59:43.10-05:00", json!("2001-12-14t21:59:43.10-05:00")),
        ("1.2.3", json!("1.2.3")),
        ("1e", json!("1e")),
        ("3 apples", json!("3 apples")),
        ("\n  -", json!([null])),
        ("'010'", json!("010")),
        ("\"1_000\"", json!("1_000")),
        ("-12", json!(-12)),
        ("1.0", json!(1.0)),
        ("1e3", json!(1000.0)),
        ("|\n  a\n  b\n", json!("a\nb\n")),
        (">\n  a\n  b\n", json!("a b\n")),
        ("{z: 1, a: [x, {y: 2}]}", json!({"z": 1, "a": ["x", {"y": 2}]})),
        ("192.168.0.1", json!("192.168.0.1")),
        ("https://example.com:80", json!("https://example.com:80")),
    ] {
        assert!(crate::json::same(&value(yaml), &expected), "{yaml}: {}", value(yaml));
    }
    assert!(read("", 2, "front matter").expect("nothing").fields.is_empty());
    assert!(read("# a remark\n", 2, "front matter").expect("nothing").fields.is_empty());
}

#[test]
fn written_yaml_reads_back_as_the_same_values() {
    let long = "k".repeat(2_000);
    let fields = json!({"z": 1, "a": {"yes": "no", "010": "1_000", "t": "12:30", "": "", "<<": "~", "x: y": " # "},
        "list": [[1, [2.0, []]], {"b": "x", "a": {}}, "one\ntwo\n", "- a", null, true, -0.0, 1e21],
        "text": "a\n\n  b: {{x}}\n---", "odd": "\u{85}\u{2028}\u{feff}\u{7f}\u{0}é", "tail": "a \nb\n\n",
        "version": "1.2.3", "path": "/a/b", "ref": "$ref", long: {"deep": [{"c": [{"d": "e"}]}]}});
    let fields = fields.as_object().expect("a map");
    let written = write(fields);
    let read = read(&written, 2, "front matter").expect(&written).fields;
    assert!(crate::json::same_fields(&read, fields), "{written}");
    for part in
        ["z: 1\n", "  t: \"12:30\"\n", "text: |-\n  a\n\n    b: {{x}}\n  ---\n", "ref: $ref\n", "- b: x\n  a: {}\n"]
    {
        assert!(written.contains(part), "{part} in {written}");
    }
}

#[test]
fn yaml_value_that_would_change_is_refused_with_line_and_path() {
    for (yaml, part) in [
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 5: the key `b.c` appears twice"),
        ("a: 1\n'a': 2", "line 3: the key `a` appears twice"),
        ("a: [{b: 1, b: 2}]", "line 2: the key `a[0].b` appears twice"),
        ("a: 12345678901234567890", "line 2: `a` is 12345678901234567890, beyond 2^53 - 1"),
        ("a: 9007199254740993", "beyond 2^53 - 1"),
        ("a: [1, 0.1000000000000000055]", "`a[1]` is 0.1000000000000000055, which would become 0.1"),
        ("a: 1e400", "beyond the range"),
        ("a: -0", "write 0 or -0.0"),
        ("a: .inf", "`a` is .inf, which is not a JSON number"),
        ("a: -.INF", "not a JSON number"),
        ("a: .NaN", "not a JSON number"),
        ("a: 0x1F", "not a JSON number"),
        ("a: 0o17", "not a JSON number"),
        ("a: 0b11", "not a JSON number"),
        ("a: 010", "not a JSON number"),
        ("a: 1_000", "not a JSON number"),
        ("a: +1", "not a JSON number"),
        ("a: .5", "not a JSON number"),
        ("a: 1.", "not a JSON number"),
        (
            "a: yes",
            "`a` is yes, which some YAML readers take for a boolean; write true or false, or a string in \
            quotes",
        ),
        ("a: [NO]", "`a[0]` is NO, which some YAML readers"),
        ("a: {b: Off, on: 1}", "`a.b` is Off, which some YAML readers"),
        ("a: 12:30", "not a JSON number"),
        ("a: 190:20:30.15", "not a JSON number"),
        ("a: &x 1\nb: *x", "line 2: `a` has an anchor"),
        ("a: *x", "line 2"),
        ("a:\n  <<: {b: 1}", "`a` has a merge key"),
        ("1: a", "has the key 1, which is not a string"),
        ("a: {true: 1}", "`a` has the key true, which is not a string"),
        ("~: a", "has the key null"),
        ("? [a]\n: b", "has a key that is not a string"),
        ("a: !!int '3'", "`a` has a tag"),
        ("a: !x {b: 1}", "`a` has a tag"),
        ("a: 1\n---\nb: 2", "a second YAML document"),
        ("- a", "a map of keys"),
        ("text", "a map of keys"),
        ("a: [", "line "),
        ("a: \"", "line "),
    ] {
        let error = read(yaml, 2, "front matter").expect_err(yaml);
        assert!(error.contains(part), "{yaml}: {error}");
    }
    let deep = format!("a: {}1{}", "[".repeat(500), "]".repeat(500));
    assert!(read(&deep, 2, "front matter").is_err());
}
