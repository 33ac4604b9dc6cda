//! Every scorer against what promptfoo says, and against arbitrary bytes.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Scoring, score};
use crate::model::content::Content;
use crate::model::evaluation::Answer;
use crate::model::suite::{Case, Check, CheckKind, Scorer};

/// What promptfoo says of each assertion: written by `tests/promptfoo`.
const TABLE: &str = include_str!("../../../../fixtures/evaluation/promptfoo.json");
/// The largest difference of scores.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Table {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    scorer: Scorer,
    answer: Value,
    #[serde(default)]
    variables: Map<String, Value>,
    #[serde(default)]
    tools: Vec<Value>,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Score { pass: bool, score: f64 },
    Error { error: String },
}

/// Where ours differs on purpose: the kind, a part of the row, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("regex", "(?=a)a", "look-around takes exponential time in some texts; it is an error instead"),
    ("regex", "(?<!b)a", "the same"),
    ("regex", r"(a)\\1", "back-references take exponential time; they are an error instead"),
    ("is-json", "draft/2020-12", "a schema of a newer draft is understood; promptfoo refuses it"),
    ("is-valid-function-call", "not-is", "promptfoo ignores `not-` before these three"),
    ("is-valid-openai-function-call", "not-is", "the same"),
    ("is-valid-openai-tools-call", "not-is", "the same"),
    ("meteor", r#"{"text":""}"#, "an empty answer has the score 0; promptfoo has an error, so a gate could not fail"),
    ("meteor", "Die Katze", "synonyms of WordNet are not there: its dictionary is larger than the program"),
];

fn content(tools: &[Value]) -> Content {
    let form = json!({ "syntax": "plain", "text": "Hello", "tools": tools });
    serde_json::from_value(form).expect("a content")
}

fn answer(fields: &Value) -> Answer {
    let mut whole = serde_json::to_value(Answer::default()).expect("an answer");
    for (name, value) in fields.as_object().expect("a map") {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).expect("an answer")
}

/// Ours and promptfoo's verdict of a row, as texts.
fn compared(row: &Row) -> (String, String) {
    let (content, answer) = (content(&row.tools), answer(&row.answer));
    let case = Case::default();
    let scoring = Scoring { content: &content, case: &case, variables: &row.variables, answer: &answer };
    let write = |pass: bool, score: f64| format!("{} {score:.9}", if pass { "passed" } else { "failed" });
    let ours = match score(&row.scorer, scoring).expect("a deterministic scorer") {
        Ok(score) => write(score.pass, score.score),
        Err(error) => format!("error: {error}"),
    };
    let theirs = match &row.expected {
        Expected::Score { pass, score } => write(*pass, *score),
        Expected::Error { error } => format!("error: {error}"),
    };
    (ours, theirs)
}

fn agree(ours: &str, theirs: &str) -> bool {
    let parts =
        |text: &str| text.split_once(' ').map(|(verdict, score)| (verdict.to_owned(), score.parse::<f64>().ok()));
    match (parts(ours), parts(theirs)) {
        (Some((ours, Some(our_score))), Some((theirs, Some(their_score)))) => {
            ours == theirs && (our_score - their_score).abs() <= TOLERANCE
        }
        (Some((ours, None)), Some((theirs, None))) => ours == theirs,
        _ => false,
    }
}

#[test]
fn every_assertion_has_the_verdict_and_the_score_of_promptfoo() {
    let table: Table = serde_json::from_str(TABLE).expect("the table");
    let mut wrong = Vec::new();
    for row in &table.rows {
        let (ours, theirs) = compared(row);
        let mut scorer = serde_json::to_value(&row.scorer).expect("a scorer");
        scorer.as_object_mut().expect("a map").remove("weight");
        let text = format!("{scorer} on {} {}", row.answer, Value::Object(row.variables.clone()));
        let differs =
            |(kind, part, _): &&(&str, &str, &str)| row.scorer.check.kind.as_str() == *kind && text.contains(part);
        let on_purpose = DIFFERENCES.iter().any(|difference| differs(&difference));
        if agree(&ours, &theirs) == on_purpose {
            wrong.push(format!("{text}: {ours}; promptfoo: {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), table.rows.len(), wrong.join("\n"));
}

/// JSON values of every kind.
fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().prop_map(Value::from),
        "[a-z<>{}\\[\\]()\"'`.,:?*+\\\\^$|&;!/ =0-9-]{0,40}".prop_map(Value::from),
        prop::sample::select(vec![
            "type: string",
            "{{x}}",
            "{% for i in range(9) %}{{i}}{% endfor %}",
            "a.b.@_c",
            "low"
        ])
        .prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        text,
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop::sample::select(vec!["min", "max", "type", "properties", "required", "items", "$ref", "format"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Texts that scorers read as something: markup, JSON, templates.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<a>",
        "</a>",
        "<a b='",
        "\"",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?x ",
        "?>",
        "<!DOCTYPE a [",
        "&x;",
        "{",
        "}",
        "[",
        "]",
        "\"a\":",
        "1",
        ",",
        "//",
        "'",
        "\\",
        "\n",
        " ",
        "\t",
        "```",
        "- ",
        "😀",
        "é",
        "\u{85}",
        "\u{feff}",
        "n't ",
        "<table>",
        "<tr>",
        "<b>",
        "<p>",
        "<template>",
        "<svg>",
        "<body>",
        "</br>",
        "{{",
        "}}",
        "``",
        "''",
        ".",
        "...",
        "*x",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())]
}

proptest! {
    #[test]
    fn no_scorer_panics_and_each_score_is_between_0_and_1(
        (kind, not) in (prop::sample::select(CheckKind::ALL.to_vec()), any::<bool>()),
        value in prop_oneof![texts().prop_map(|text| Some(Value::from(text))), prop::option::of(values())],
        threshold in prop::option::of(-2.0_f64..10.0),
        text in texts(),
        calls in prop::collection::vec(values(), 0..2),
        expected in prop::option::of(values()),
    ) {
        let mut scorer: Scorer = serde_json::from_value(json!({ "type": "equals" })).expect("a scorer");
        (scorer.check, scorer.value, scorer.threshold) = (Check { kind, not }, value, threshold);
        let content = content(&calls);
        let answer = Answer { text, tool_calls: calls, logprobs: vec![-0.5], ..Answer::default() };
        let (case, variables) = (Case { expected, ..Case::default() }, Map::new());
        let scoring = Scoring { content: &content, case: &case, variables: &variables, answer: &answer };
        if let Some(Ok(scored)) = score(&scorer, scoring) {
            prop_assert!((0.0..=1.0).contains(&scored.score), "{scored:?}");
        }
    }
}

#[test]
fn long_html_with_many_empty_elements_is_html_and_deep_html_is_an_error() {
    let checked = |text: String| {
        let scorer: Scorer = serde_json::from_value(json!({ "type": "is-html" })).expect("a scorer");
        let answer = Answer { text, ..Answer::default() };
        let (content, case, variables) = (content(&[]), Case::default(), Map::new());
        let scoring = Scoring { content: &content, case: &case, variables: &variables, answer: &answer };
        score(&scorer, scoring).expect("a deterministic scorer")
    };
    assert!(checked(format!("<p>{}</p>", "one<br>".repeat(10_000))).expect("a score").pass);
    let error = checked("<div>".repeat(10_000)).expect_err("too deep").to_string();
    assert!(error.contains("nested too deeply"), "{error}");
}

#[test]
fn long_answers_have_a_score_or_an_error_within_seconds() {
    let answers = [
        "{".repeat(1 << 20),
        format!("{{{}", "[".repeat(1 << 18)),
        format!("<frameset>{}{}", "<frame>".repeat(1 << 14), "<body>".repeat(1 << 14)),
        "<a>".repeat(1 << 16),
        "<a \"".repeat(1 << 16),
        "<x><a/>".repeat(1 << 15),
        "<p><b class=1>".repeat(1 << 14),
        "[\n".repeat(1 << 17),
        "{\"a\":".repeat(1 << 15),
        "a ".repeat(1 << 17),
        "a".repeat(1 << 18),
        "don't \"quote\" ".repeat(1 << 14),
        "&lt;!--".repeat(1 << 15),
    ];
    let variables = Map::new();
    let (content, case) = (content(&[]), Case::default());
    for text in answers {
        let answer = Answer { text, ..Answer::default() };
        let scoring = Scoring { content: &content, case: &case, variables: &variables, answer: &answer };
        for kind in CheckKind::ALL {
            let value = if *kind == CheckKind::Regex { "(a|aa)+$" } else { "a b" };
            let scorer: Scorer =
                serde_json::from_value(json!({ "type": kind.as_str(), "value": value })).expect("a scorer");
            let _ = score(&scorer, scoring);
        }
    }
}
