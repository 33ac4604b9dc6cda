//! Compares rendering with the real jinja2, whose results are in `fixtures/jinja/cases.json`.

use minijinja::value::{Serde, Value};
use serde::Deserialize;

use super::budget::WORK_BYTES_MAX;
use super::jinja::{names, run_within};
use super::methods::METHODS;
use crate::clock::Cancellation;

const RECORDED: &str = include_str!("../../../../fixtures/jinja/cases.json");

#[derive(Deserialize)]
struct Recorded {
    values: serde_json::Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    jinja2: Outcome,
    /// Part of the error message at publishing.
    refused: Option<String>,
    /// Part of the error message at rendering.
    fails: Option<String>,
    /// The different result.
    differs: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    output: Option<String>,
}

fn recorded() -> Recorded {
    serde_json::from_str(RECORDED).expect("recorded cases")
}

fn run(template: &str, values: &serde_json::Value) -> Result<String, String> {
    run_within(template, &Value::from(Serde(values)), WORK_BYTES_MAX, &Cancellation::never()).0
}

#[test]
fn templates_render_like_jinja2_or_are_refused() {
    let Recorded { values, cases } = recorded();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let (checked, run) =
            (names(&case.template).map(|_| ()).map_err(|error| error.to_string()), run(&case.template, &values));
        let has =
            |result: &Result<String, String>, part: &str| result.as_ref().is_err_and(|error| error.contains(part));
        let fits = match (&case.refused, &case.fails, &case.differs) {
            (Some(part), ..) => checked.as_ref().is_err_and(|error| error.contains(part)),
            (_, Some(part), _) => checked.is_ok() && has(&run, part),
            (_, _, Some(text)) => checked.is_ok() && run.as_ref() == Ok(text),
            _ => checked.is_ok() && run.as_ref().ok() == case.jinja2.output.as_ref(),
        };
        if !fits {
            wrong.push(format!("{:?}\n  jinja2 {:?}\n  here {run:?} ({checked:?})", case.template, case.jinja2.output));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_listed_method_exists_in_the_engine() {
    let values = serde_json::json!({"t": "a", "m": {}, "l": []});
    for method in METHODS.into_iter().filter(|method| *method != "cycle") {
        let unknown = |on: &str| {
            let text = format!("{{{{ {on}.{method}() }}}}");
            run(&text, &values).is_err_and(|error| error.contains("has no method") || error.contains("unknown method"))
        };
        assert!(!(unknown("t") && unknown("m") && unknown("l")), "{method}");
    }
}

#[test]
fn methods_spend_before_they_make() {
    let long = "x".repeat(100_000);
    let values = serde_json::json!({"s": long, "l": vec!["a"; 10_000], "m": {"a": long}});
    for call in [
        "s.replace('', s)",
        "s.replace('x', s)",
        "s.join(l)",
        "'{0}'.format(s).replace('x', s)",
        "s.strip(s).replace('x', s)",
        "s.split('x')|map('replace', '', s)|list",
        "'a'.center(99999).replace(' ', s)",
        "'%s' % s|replace('x', s)",
        "'{0:999999999}'.format(1)",
        "'{:{}}'.format(1, 999999999)",
        "'a'.center(999999999)",
        "'a'.zfill(10 ** 12)",
    ] {
        let error = run(&format!("{{{{ ({call})|length }}}}"), &values).expect_err(call);
        assert!(!error.contains("__"), "{call}: {error}");
    }
    for body in [
        "s.upper()",
        "s.split('x')",
        "m.items()",
        "m.values()",
        "s.replace('x', 'y')",
        "s.format()",
        "'%s' % s",
        "s.title()",
    ] {
        let text = format!("{{% for i in range(20000) %}}{{% set y = {body} %}}{{% endfor %}}");
        let error = run(&text, &values).expect_err(body);
        assert!(error.contains("bytes of work"), "{body}: {error}");
    }
}
