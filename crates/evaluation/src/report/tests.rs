//! Reports of a run with hostile words in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::model::evaluation::{GateCheck, GateState};

const HOSTILE: &str = "<script>alert(1)</script> & \"'` \u{0}\u{1b}[31m\u{202e}\u{ffff} ]]> @ada [x](http://evil) |";

fn run(models: &[&str]) -> Run {
    let id = format!("b3:{}", "a".repeat(64));
    let run = serde_json::json!({
        "id": 7, "candidate": {"prompt": "support/agent", "version": 8, "content_id": id},
        "baseline": {"prompt": "support/agent", "version": 7, "content_id": id},
        "suite": {"name": "regress", "number": 3, "id": id}, "models": models, "repeats": 1, "by": "ada",
        "at": "2026-11-01T10:00:00Z", "ended": "2026-11-01T10:01:00Z", "state": "finished",
        "summary": {"planned": 3, "passed": 1, "failed": 1, "errors": 1, "score": 0.5, "metrics": {"accuracy": 0.5},
            "calls": 6, "cost": "0.0123", "latency_p50_ms": 120, "latency_p95_ms": 900, "flaky": [HOSTILE]},
        "comparison": {"baseline": {"prompt": "support/agent", "version": 7, "content_id": id}, "pairs": 2,
            "worse": [HOSTILE], "better": ["gets better"], "mcnemar_p": 1.0, "difference": -0.25, "lower_bound": -0.5},
        "verdict": {"state": "failed", "checks": [
            {"says": format!("every case that must pass (1 failed: {HOSTILE})"), "state": "failed"},
            {"says": "95th percentile of latency at most 1000 ms (900 ms)", "state": "passed"}]},
    });
    serde_json::from_value(run).expect("a run")
}

fn result(case: &str, model: &str, verdict: &str, side: &str, score: f64) -> CaseResult {
    let result = serde_json::json!({
        "case": case, "model": model, "repeat": 0, "side": side, "verdict": verdict, "score": score,
        "answer": {"text": format!("answer {HOSTILE}"), "latency_ms": 1_234},
        "scorers": [{"scorer": "contains", "weight": 1.0, "verdict": if verdict == "passed" { "passed" } else { "failed" },
            "score": score, "reason": format!("expected {HOSTILE}")}],
    });
    serde_json::from_value(result).expect("a result")
}

fn results() -> Vec<CaseResult> {
    let mut broken = result("is broken", "openai:b", "error", "candidate", 0.0);
    broken.error = Some("429 too many requests".to_owned());
    broken.answer = None;
    vec![
        result("gets better", "openai:a", "passed", "candidate", 1.0),
        result("gets better", "openai:a", "failed", "baseline", 0.5),
        result(HOSTILE, "openai:a", "failed", "candidate", 0.0),
        result(HOSTILE, "openai:a", "passed", "baseline", 1.0),
        broken,
    ]
}

fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("written");
    String::from_utf8(out).expect("text")
}

/// An element of XML, as a strict reader of this subset sees it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
    text: String,
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, next) = after.split_once(';').expect("a whole entity");
        out.push_str(before);
        match entity {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "quot" => out.push('"'),
            other => {
                let number = other.strip_prefix('#').expect("a known entity").parse().expect("a number");
                out.push(char::from_u32(number).expect("a letter"));
            }
        }
        rest = next;
    }
    out + rest
}

fn parse(xml: &str) -> Element {
    let fits = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(xml.chars().all(fits), "only what XML 1.0 can hold");
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration");
    let mut open = vec![Element::default()];
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'));
        open.last_mut().expect("open").text.push_str(&unescape(text));
        let (tag, next) = after.split_once('>').expect("a whole tag");
        rest = next;
        if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop().expect("open");
            assert_eq!(element.name, name);
            open.last_mut().expect("open").children.push(element);
            continue;
        }
        let (body, empty) = tag.strip_suffix('/').map_or((tag, false), |body| (body, true));
        let (name, mut attributes) = body.split_once(' ').unwrap_or((body, ""));
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        while let Some((key, after)) = attributes.split_once("=\"") {
            let (value, next) = after.split_once('"').expect("a whole attribute");
            assert!(element.attributes.insert(key.trim().to_owned(), unescape(value)).is_none());
            attributes = next;
        }
        assert_eq!(attributes.trim(), "");
        if empty {
            open.last_mut().expect("open").children.push(element);
        } else {
            open.push(element);
        }
    }
    let mut root = open.pop().expect("the document");
    assert!(open.is_empty() && rest.trim().is_empty());
    assert_eq!(root.children.len(), 1);
    root.children.remove(0)
}

#[test]
fn junit_has_a_suite_for_each_model_and_a_test_for_each_case() {
    let xml = written(|out| junit(&run(&["openai:a", "openai:b"]), results(), out));
    let root = parse(&xml);
    assert_eq!((root.name.as_str(), root.attributes["tests"].as_str()), ("testsuites", "5"));
    assert_eq!((root.attributes["failures"].as_str(), root.attributes["errors"].as_str()), ("2", "1"));
    let names: Vec<&str> = root.children.iter().map(|suite| suite.attributes["name"].as_str()).collect();
    assert_eq!(names, ["openai:a", "openai:b", "gate"]);
    let suite = &root.children[0];
    assert_eq!(
        (suite.attributes["time"].as_str(), suite.attributes["timestamp"].as_str()),
        ("2.468", "2026-11-01T10:00:00")
    );
    let properties = &suite.children[0];
    assert_eq!(properties.children.last().expect("a property").attributes["value"], "gate failed");
    let tests: Vec<&Element> = suite.children.iter().filter(|child| child.name == "testcase").collect();
    assert_eq!((tests[0].attributes["name"].as_str(), tests[0].children.len()), ("gets better", 0));
    let failure = &tests[1].children[0];
    assert_eq!((failure.name.as_str(), failure.attributes["type"].as_str()), ("failure", "failed"));
    assert!(failure.attributes["message"].starts_with("contains: expected <script>alert(1)</script> & \"'` \u{fffd}"));
    assert!(failure.text.contains("answer <script>"));
    let error = &root.children[1].children[1].children[0];
    assert_eq!((error.name.as_str(), error.attributes["message"].as_str()), ("error", "429 too many requests"));
    let conditions: Vec<&Element> = root.children[2].children.iter().filter(|it| it.name == "testcase").collect();
    assert_eq!((conditions[0].children[0].name.as_str(), conditions[1].children.len()), ("failure", 0));
    assert_eq!(conditions[1].attributes["name"], "95th percentile of latency at most 1000 ms (900 ms)");
}

#[test]
fn junit_of_a_stopped_run_has_an_error() {
    let mut stopped = run(&["openai:a"]);
    let says = "complete run (stopped: all 12 calls of `max_calls` were made)".to_owned();
    stopped.verdict.as_mut().expect("a verdict").checks = vec![GateCheck { says, state: GateState::Inconclusive }];
    let root = parse(&written(|out| junit(&stopped, Vec::new(), out)));
    assert_eq!((root.attributes["failures"].as_str(), root.attributes["errors"].as_str()), ("0", "1"));
}

#[test]
fn page_escapes_names_and_answers_and_puts_failures_first() {
    let page = written(|out| html(&run(&["openai:a", "openai:b"]), results(), out));
    assert!(!page.contains("<script") && !page.contains('\u{0}') && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;'` <span class=\"odd\">U+0000</span>"));
    assert!(page.contains("<span class=\"odd\">U+202E</span>"));
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part} in {page}"));
    assert!(at("Gate failed") < at("95th percentile of latency at most 1000 ms"));
    assert!(at("Got worse (1)") < at("Got better (1)"));
    let table = at("id=\"cases\"");
    let verdicts: Vec<&str> = page[table..]
        .match_indices("<tr><td class=\"")
        .map(|(at, _)| &page[table + at + 15..table + at + 18])
        .collect();
    assert_eq!(verdicts, ["bad", "war", "goo"], "failed, error, passed");
    assert!(page.contains("Answer of the baseline"));
    assert!(page.ends_with("</main></body></html>"));
    for tag in ["table", "tbody", "tr", "td", "th", "details", "div", "ul", "li", "pre", "p"] {
        let count = |part: &str| page.matches(part).count();
        let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(opened, count(&format!("</{tag}>")), "{tag}");
    }
}

#[test]
fn page_of_a_long_run_leaves_out_what_passed() {
    let many = (0..3_000).map(|number| result(&format!("case {number}"), "openai:a", "passed", "candidate", 1.0));
    let page = written(|out| html(&run(&["openai:a"]), many.chain(results()), out));
    assert!(page.contains("1003 more results are not on this page"), "{}", &page[page.len() - 300..]);
    assert!(page.contains("429 too many requests"));
}

#[test]
fn comment_says_what_got_worse_and_by_how_much() {
    let comment = markdown(&run(&["openai:a"]), results(), Some("https://example.com/runs/7"));
    assert!(comment.starts_with("### Evaluation of `support/agent version 8`: gate failed\n"), "{comment}");
    for part in [
        "- **failed**: every case that must pass \\(1 failed: &lt;script&gt;alert",
        "- **passed**: 95th percentile of latency at most 1000 ms \\(900 ms\\)",
        "score -0.250, with 95% confidence not lower than -0.500; 1 worse, 1 better",
        "**Got worse** (1)\n\n- `<script>alert(1)</script> & \"'",
        "`: 1.00 → 0.00 `contains: expected",
        "- `gets better`: 0.50 → 1.00\n",
        "**Not passed, as before** (1)\n\n- `is broken` (error) `429 too many requests`\n",
        "[The whole report](https://example.com/runs/7)",
    ] {
        assert!(comment.contains(part), "{part} in {comment}");
    }
    let outside: String = comment.split('`').step_by(2).collect();
    for part in ["<", "@ada", "http://", "\u{0}"] {
        assert!(!outside.contains(part), "{part} in {outside}");
    }
    let bad = markdown(&run(&[]), results(), Some("javascript:x) <b>"));
    assert!(!bad.contains("javascript:"), "{bad}");
}

#[test]
fn comment_stays_within_its_limit() {
    let mut run = run(&["openai:a"]);
    let long = |number: usize| format!("{number} {}", "é".repeat(190));
    let comparison = run.comparison.as_mut().expect("a comparison");
    comparison.worse = (0..5_000).map(long).collect();
    comparison.better = (5_000..9_000).map(long).collect();
    let results = (0..9_000).map(|number| result(&long(number), "openai:a", "failed", "candidate", 0.0));
    let comment = markdown(&run, results, Some("https://example.com"));
    assert!(comment.chars().count() <= MARKDOWN_CHARACTERS_MAX);
    assert!(comment.contains("and 4900 more"));
    assert!(comment.ends_with("(https://example.com)\n"));
}

#[test]
fn json_reads_back_as_the_run_and_its_results() {
    let run = run(&["openai:a"]);
    let text = written(|out| json(&run, results(), out));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(serde_json::from_value::<Run>(value["run"].clone()).expect("a run"), run);
    assert_eq!(serde_json::from_value::<Vec<CaseResult>>(value["results"].clone()).expect("results"), results());
    let empty = written(|out| json(&run, Vec::new(), out));
    assert_eq!(serde_json::from_str::<Value>(&empty).expect("JSON")["results"], Value::Array(Vec::new()));
}
