//! Files that the tools themselves accept and wrote, and arbitrary ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::evaluation::CaseVerdict;
use crate::model::suite::{Case, CheckKind};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evaluation")
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect(name)
}

fn beside(path: &str) -> io::Result<String> {
    std::fs::read_to_string(folder().join("promptfoo").join(path))
}

fn nothing(_: &str) -> io::Result<String> {
    Err(io::Error::from(io::ErrorKind::NotFound))
}

fn strict() -> ImportOptions<'static> {
    ImportOptions::default()
}

fn config(yaml: &str) -> Imported {
    promptfoo(yaml, &nothing, strict()).expect(yaml)
}

fn says(imported: &Imported) -> String {
    imported.unsupported.iter().map(|finding| format!("{finding}\n")).collect()
}

fn case<'a>(suite: &'a Suite, name: &str) -> &'a Case {
    suite.cases.iter().find(|case| case.name == name).expect(name)
}

#[test]
fn configuration_has_the_cases_that_promptfoo_runs() {
    let imported = promptfoo(&fixture("promptfoo/promptfooconfig.yaml"), &beside, strict()).expect("a configuration");
    let suite = &imported.suite;
    suite.to_canonical().expect("a valid suite");
    assert_eq!((suite.repeats, suite.description.as_str()), (2, "Answers of the support desk"));
    let results = fixture("promptfoo/results.json");
    let run = promptfoo_results(&results, None, &[]).expect("results");
    let names: Vec<&str> = suite.cases.iter().map(|case| case.name.as_str()).collect();
    let ran: Vec<&str> = run.cases.iter().map(String::as_str).filter(|name| *name != "needs code").collect();
    assert_eq!(names, ran);
    assert_eq!(imported.left_out, 1);

    let rows: Value = serde_json::from_str(&results).expect("JSON");
    let rows = rows["results"]["results"].as_array().expect("rows");
    for (row, result) in rows.iter().zip(&run.results).filter(|(_, result)| result.case != "needs code") {
        let case = case(suite, &result.case);
        let mut variables = suite.variables.clone();
        variables.extend(case.variables.clone());
        for (name, value) in row["vars"].as_object().expect("variables") {
            let read = if value == "file://question.txt" { &json!("How do I return it?") } else { value };
            assert_eq!(variables.get(name), Some(read), "{name} of {}", case.name);
        }
        let checks = suite.scorers.iter().filter(|_| case.name != "is the whole text").chain(&case.scorers);
        let checks: Vec<String> = checks.map(|scorer| scorer.check.to_string()).collect();
        let ran: Vec<&str> = result.scorers.iter().map(|scorer| scorer.scorer.as_str()).collect();
        assert_eq!(checks, ran, "of {}", case.name);
    }
}

#[test]
fn what_is_not_supported_is_listed_and_its_case_is_left_out() {
    let text = fixture("promptfoo/promptfooconfig.yaml");
    let imported = promptfoo(&text, &beside, strict()).expect("a configuration");
    let says = says(&imported);
    for part in [
        "prompts: not imported: the prompt comes from the registry\n",
        "providers[0]: the provider `echo` is not supported",
        "tests[2].assert[0]: the assertion type `javascript` is not supported (the case is left out)\n",
        "x-shared: unknown key `x-shared` is ignored\n",
        "evaluateOptions: not imported: maxConcurrency\n",
    ] {
        assert!(says.contains(part), "{part} in {says}");
    }
    let options = ImportOptions { allow_unsupported: true, ..strict() };
    let allowed = promptfoo(&text, &beside, options).expect("a configuration");
    let last = allowed.unsupported.iter().find(|finding| finding.place == "tests[2].assert[0]").expect("a finding");
    assert_eq!(last.effect, Effect::CaseLeftOut, "no scorer would be left");
}

#[test]
fn assertions_keep_their_meaning_or_are_refused() {
    let one = |assertion: &str| {
        let yaml = format!(
            "prompts: [x]\nproviders: [openai:chat:gpt-4o]\ntests:\n- vars: {{a: 1}}\n  assert:\n  - {assertion}\n"
        );
        let imported = config(&yaml);
        let says = says(&imported);
        (imported.suite.cases.first().and_then(|case| case.scorers.first()).cloned(), says)
    };
    let (scorer, _) = one("{type: not-similar:cosine, value: x, provider: 'openai:embedding:text-embedding-3-small'}");
    let scorer = scorer.expect("a scorer");
    assert!(scorer.check.not && scorer.check.kind == CheckKind::Similar);
    assert_eq!(scorer.model.expect("a model").to_string(), "openai:text-embedding-3-small");
    let (scorer, _) = one("{type: is-json, value: \"required: [a]\\ntype: object\"}");
    assert_eq!(scorer.expect("a scorer").value, Some(json!({"required": ["a"], "type": "object"})));
    let (_, remarks) = one("{type: llm-rubric, value: is polite, provider: 'openai:gpt-5'}");
    assert!(remarks.contains("a judge that answers without `pass` gives no verdict here"), "{remarks}");
    for (assertion, part) in [
        ("{type: similar:dot, value: x}", "the assertion type `similar:dot`"),
        ("{type: not-python, value: x}", "the assertion type `not-python`"),
        ("{type: not-not-equals, value: x}", "the assertion type `not-not-equals`"),
        ("{type: equals, value: x, transform: output.a}", "`transform` is not supported"),
        ("{type: equals, value: 'file://x.js'}", "is code or several files"),
        ("{type: equals, value: 'package:x:y'}", "code of a package"),
        ("{type: not-contains, value: '{% if a %}x{% endif %}'}", "the template `{% if a %}"),
        ("{type: contains, value: '{{ a | upper }}'}", "the template `{{ a | upper }}`"),
        ("{type: contains, value: '{{env.KEY}}'}", "the template `{{env.KEY}}`"),
        ("{type: llm-rubric, value: x, provider: 'file://grader.js'}", "the provider `file://grader.js`"),
        ("{type: llm-rubric, value: x, rubricPrompt: y}", "`rubricPrompt` is not supported"),
        ("{type: is-json, value: '[1]'}", "is not a JSON Schema"),
        ("{type: regex, value: '(?=a)b'}", "`regex`: unsupported in the regular expression `(?=a)b`"),
        ("{type: not-regex, value: '(a'}", "`not-regex`: invalid regular expression `(a`"),
        ("{type: contains}", "`contains`: the scorer needs a text or a number as its value"),
        ("{type: latency}", "`latency`: the scorer needs a threshold"),
        ("{type: llm-rubric, value: x}", "`llm-rubric` names no model: add `provider`"),
        ("{type: similar, value: x}", "or import with --embeddings PROVIDER:MODEL"),
        ("{type: webhook, value: not a url}", "`webhook`: invalid webhook URL"),
        (
            "{type: assert-set, assert: [{type: equals, value: x}, {type: ruby, value: y}]}",
            "`ruby` is not supported, in",
        ),
    ] {
        let (scorer, says) = one(assertion);
        assert!(
            scorer.is_none() && says.contains(part) && says.contains("(the case is left out)"),
            "{assertion}: {says}"
        );
    }
}

#[test]
fn judges_without_a_model_ask_the_one_that_the_user_names() {
    let yaml = "tests: [{assert: [{type: llm-rubric, value: x}, {type: similar, value: y}]}]";
    let (judge, embeddings) = ("local:judge".parse().expect("a model"), "local:embed".parse().expect("a model"));
    let options = ImportOptions { judge: Some(&judge), embeddings: Some(&embeddings), ..strict() };
    let imported = promptfoo(yaml, &nothing, options).expect(yaml);
    let models = imported.suite.cases.iter().flat_map(|case| &case.scorers).map(|scorer| scorer.model.clone());
    assert_eq!(models.collect::<Vec<_>>(), [Some(judge), Some(embeddings)], "{}", says(&imported));
}

#[test]
fn defaults_that_are_not_supported_leave_out_every_case_that_has_them() {
    let yaml = "providers: [openai:x]\ndefaultTest: {assert: [{type: python, value: x}, {type: equals, value: y}]}\n\
                tests:\n- vars: {a: 1}\n- vars: {a: 2}\n  options: {disableDefaultAsserts: true}\n  assert: [{type: \
                equals, value: z}]\n";
    let imported = config(yaml);
    let names: Vec<&str> = imported.suite.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!((names.as_slice(), imported.left_out), (["case 2"].as_slice(), 1));
    let shared = config("defaultTest: {assert: [{type: python}]}\ntests: [{vars: {a: 1}}, {vars: {a: 2}}]");
    assert_eq!((shared.suite.cases.len(), shared.left_out), (0, 2));
    assert!(says(&shared).contains("defaultTest.assert[0]: the assertion type `python`"), "{}", says(&shared));
    let options = ImportOptions { allow_unsupported: true, ..strict() };
    let allowed = promptfoo(yaml, &nothing, options).expect("a configuration");
    assert_eq!(allowed.suite.cases.len(), 2);
    for (key, value) in [("options", "{transform: x}"), ("options", "{prefix: x}"), ("threshold", "3")] {
        let imported = config(&format!("defaultTest: {{{key}: {value}}}\ntests: [{{vars: {{a: 1}}}}]"));
        assert!(imported.suite.cases.is_empty() && imported.left_out == 1, "{key}: {}", says(&imported));
    }
}

#[test]
fn cases_that_would_run_differently_are_left_out() {
    for (test, part) in [
        ("{vars: {a: '{{b}}'}}", "tests[0].vars.a: the template `{{b}}` in a value"),
        ("{vars: {a: 'file://x.py'}}", "tests[0].vars.a: `file://x.py` is code"),
        ("{vars: {a: 1}, providerOutput: x}", "tests[0]: `providerOutput` is not supported"),
        ("{vars: {a: 1}, options: {transformVars: x}}", "tests[0]: the option `transformVars` is not supported"),
        ("{vars: {a: 1}, assertScoringFunction: 'file://x.js'}", "`assertScoringFunction` is not supported"),
        ("{path: 'file://x.py:make'}", "tests[0]: tests that `file://x.py:make` generates"),
        ("file://x*.yaml", "tests[0]: tests of `x*.yaml` are not supported"),
        ("huggingface://datasets/x", "tests of `huggingface://datasets/x` are not supported"),
    ] {
        let imported = config(&format!("tests:\n- {test}"));
        assert!(imported.suite.cases.is_empty(), "{test}");
        assert!(says(&imported).contains(part), "{test}: {}", says(&imported));
    }
    assert!(says(&config("tests: [{vars: {a: 1}}]")).contains("1 cases have no scorer"));
}

#[test]
fn invalid_configuration_is_refused_with_its_place() {
    for (yaml, part) in [
        ("- a", "configuration: is not a map"),
        ("a: [", "configuration: line "),
        ("tests: 1", "tests: is neither a list nor a file"),
        ("tests: [1]", "tests[0]: is not a test"),
        ("tests: [{vars: {a: 1}, assert: x}]", "tests[0].assert: is not a list"),
        ("tests: [{vars: {a: 1}, assert: [{value: x}]}]", "tests[0].assert[0]: has no `type`"),
        ("tests: [{vars: {a: 1}, assert: [{type: equals, weight: x}]}]", "`weight` is not a number"),
        ("tests: [{vars: {a: 1}, assert: [{type: assert-set}]}]", "has no assertions"),
        ("tests: x.yaml", "cannot read x.yaml, which tests names: "),
        ("tests: [{$ref: '#/none'}]", "tests: `$ref: #/none` names nothing"),
        ("x: {$ref: '#/x'}\ntests: [{$ref: '#/x'}]", "leads to itself"),
        ("evaluateOptions: {repeat: 1000}", "`repeat` is 1000; use a number from 1 to 100"),
        ("tests: [{vars: [a.py]}]", "tests[0]: `vars` names `a.py`, which is code"),
        ("providers: ['file://p.yaml']\ntests: []", "cannot read p.yaml"),
    ] {
        let refused = promptfoo(yaml, &nothing, strict());
        let error = refused.expect_err(yaml).to_string();
        assert!(error.contains(part), "{yaml}: {error}");
    }
    let list = format!("[{}]", (0..200).map(|number| format!("v{number}")).collect::<Vec<_>>().join(", "));
    let wide = format!("tests: [{{vars: {{a: &l {list}, b: *l, c: *l, d: *l}}}}]");
    assert!(promptfoo(&wide, &nothing, strict()).expect_err("too many").to_string().contains("more than 10000 cases"));
    let endless = |_: &str| Ok("- file://again.yaml".to_owned());
    assert!(promptfoo("providers: ['file://again.yaml']", &endless, strict()).is_err());
}

#[test]
fn providers_are_models_and_their_settings_are_remarked() {
    let imported = config(
        "targets:\n- openai:chat:gpt-4o\n- {id: 'anthropic:messages:claude-x', config: {temperature: 0}}\n- \
         {'openai:gpt-5': {config: {}}}\n- python:x.py\ntests: [{vars: {a: 1}}]",
    );
    let models: Vec<String> = imported.suite.models.iter().map(ToString::to_string).collect();
    assert_eq!(models, ["openai:gpt-4o", "anthropic:claude-x", "openai:gpt-5"]);
    assert!(says(&imported).contains("providers[1]: its settings are not imported"));
    assert!(says(&imported).contains("providers[3]: the provider `python:x.py` is not supported"));
}

#[test]
fn results_of_promptfoo_are_results_of_cases() {
    let run = promptfoo_results(&fixture("promptfoo/results.json"), None, &[]).expect("results");
    let mut counts: BTreeMap<CaseVerdict, usize> = BTreeMap::new();
    for result in &run.results {
        *counts.entry(result.verdict).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([(CaseVerdict::Passed, 20), (CaseVerdict::Failed, 4)]));
    assert_eq!((run.repeats, run.models.first().expect("a model").to_string().as_str()), (2, "promptfoo:echo"));
    let first = run.results.first().expect("a result");
    assert_eq!((first.case.as_str(), first.repeat, first.score), ("names the product", 0, 0.875));
    let scorers: Vec<&str> = first.scorers.iter().map(|scorer| scorer.scorer.as_str()).collect();
    assert_eq!(scorers, ["not-icontains", "contains", "assert-set"]);
    assert!((first.scorers.get(1).expect("a scorer").weight - 2.0).abs() < 1e-9);
    assert_eq!(first.answer.as_ref().expect("an answer").text, "Where is a chair? please");
    let failed = run.results.iter().find(|result| result.verdict == CaseVerdict::Failed).expect("a failure");
    assert!(failed.scorers.iter().any(|scorer| scorer.reason.contains("Expected output to match regex")));
}

#[test]
fn errors_and_several_prompts_in_results_are_told_apart() {
    let row = |prompt: &str, more: Value| {
        let mut row = json!({"promptId": prompt, "prompt": {"label": format!("{prompt} label")}, "success": false,
            "provider": {"id": "openai:chat:gpt-4o"}, "testCase": {"vars": {"a": 1}}, "score": 0});
        row.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        row
    };
    let rows =
        json!([row("p", json!({"failureReason": 2, "error": "429"})), row("q", json!({"success": true, "score": 1}))]);
    let file = json!({"results": {"version": 3, "results": rows}}).to_string();
    let error = promptfoo_results(&file, None, &[]).expect_err("two prompts").to_string();
    assert!(error.contains("has 2 prompts; name one of `p label`, `q label`"), "{error}");
    let run = promptfoo_results(&file, Some("p label"), &[]).expect("results");
    let result = run.results.first().expect("a result");
    assert_eq!((result.verdict, result.error.as_deref()), (CaseVerdict::Error, Some("429")));
    assert_eq!(result.model.to_string(), "openai:gpt-4o");
    assert_eq!(promptfoo_results(&file, Some("q"), &[]).expect("results").results.len(), 1);
    for (text, part) in [
        ("{}", "has no `results`"),
        ("[]", "has no `results`"),
        ("{", "results: "),
        (r#"{"results":[]}"#, "has no results"),
        (r#"{"results":[1]}"#, "is not a result of promptfoo"),
        (r#"{"results":[{}]}"#, "results[0]: has no `success`"),
    ] {
        let error = promptfoo_results(text, None, &[]).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn provider_of_results_is_the_model_that_the_user_says() {
    let row =
        |provider: &str| json!({"provider": {"id": provider}, "success": true, "score": 1, "testCase": {"vars": {}}});
    let rows = json!({"results": [row("local:tiny"), row("http://host/v1?a=b")]}).to_string();
    let models = |providers: &[(&str, &str)]| {
        let model = |(from, to): &(&str, &str)| ((*from).to_owned(), to.parse().expect("a model"));
        let run = promptfoo_results(&rows, None, &providers.iter().map(model).collect::<Vec<_>>())?;
        Ok::<_, ImportError>(run.models.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(models(&[]).expect("results"), ["promptfoo:local:tiny", "promptfoo:http://host/v1?a=b"]);
    let meant = [("http://host/v1?a=b", "keyed:large"), ("local:tiny", "local:tiny")];
    assert_eq!(models(&meant).expect("results"), ["local:tiny", "keyed:large"]);
    let error = models(&[("locl:tiny", "local:tiny")]).expect_err("no such provider").to_string();
    let expected = "no result is of the provider `locl:tiny`; the file has `http://host/v1?a=b`, `local:tiny`";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn langfuse_items_are_cases_that_compare_with_what_is_expected() {
    let imported = langfuse(&fixture("langfuse-items.json"), "items.json").expect("items");
    let suite = &imported.suite;
    // An item that expects nothing has no scorer until one is added.
    assert_eq!(suite.to_canonical(), Err(SuiteError::NoScorer { name: "case 3".to_owned() }));
    let first = case(suite, "case 1");
    assert_eq!(first.variables.get("country"), Some(&json!("France")));
    assert_eq!(first.expected, Some(json!("It is on its way.")));
    assert_eq!(first.metadata.get("langfuse_id"), Some(&json!("cm4x1")));
    assert_eq!(first.scorers.first().expect("a scorer").check.kind, CheckKind::Equals);
    assert_eq!(case(suite, "case 2").messages.len(), 2);
    assert_eq!(case(suite, "case 3").messages, [json!({"role": "user", "content": "Only a text"})]);
    assert_eq!(imported.left_out, 0, "an archived item does not stop the import");
    let says = says(&imported);
    assert!(says.contains("items[3]: the item is archived, so it is left out\n"), "{says}");
    assert!(says.contains("1 cases have no scorer") && says.contains("compared with `equals`"), "{says}");
}

#[test]
fn rows_of_openai_are_cases_with_the_criteria_as_scorers() {
    let (rows, eval) = (fixture("openai-rows.jsonl"), fixture("openai-eval.json"));
    let imported = openai_evals(&rows, Some(&eval), "rows.jsonl", strict()).expect("rows");
    assert_eq!((imported.name.as_deref(), imported.suite.cases.len()), (Some("ticket labels"), 2));
    assert_eq!(imported.left_out, 0, "the other criteria judge its cases");
    let left_out = "testing_criteria[2]: the criterion `label_model` is not supported (the scorer is left out)";
    assert!(says(&imported).contains(left_out), "{}", says(&imported));
    let unsupported = r#"[{"type": "label_model"}, {"type": "python"}]"#;
    let refused = openai_evals(&rows, Some(unsupported), "rows.jsonl", strict()).expect("rows");
    assert_eq!((refused.suite.cases.len(), refused.left_out), (0, 2), "no case passes without being judged");
    let case_left_out = "rows.jsonl line 1: none of its criteria is supported (the case is left out)";
    assert!(says(&refused).contains(case_left_out), "{}", says(&refused));
    let scorers = serde_json::to_value(&imported.suite.scorers).expect("JSON");
    assert_eq!(
        scorers,
        json!([{"type": "equals", "value": "{{correct_label}}", "metric": "label"},
            {"type": "bleu", "value": "{{correct_label}}", "threshold": 0.4, "metric": "close"}])
    );
    let samples = openai_evals(&fixture("openai-samples.jsonl"), None, "samples.jsonl", strict()).expect("samples");
    samples.suite.to_canonical().expect("a valid suite");
    let second = case(&samples.suite, "case 2");
    let set = second.scorers.first().expect("a scorer");
    assert_eq!((set.threshold, set.scorers.len()), (Some(0.25), 2));
    assert_eq!(second.metadata, Map::from_iter([("origin".to_owned(), json!("arithmetic"))]));
    assert!(says(&samples).contains("rows do not say how they are graded"));
}

/// Text that looks like what importers read.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "tests",
        "vars",
        "assert",
        "type",
        "contains",
        "equals",
        "not-",
        "value",
        "defaultTest",
        "scenarios",
        "config",
        "$ref",
        "#/tests",
        "&a",
        "*a",
        "<<",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        ",",
        "file://x.yaml",
        "file://y.csv",
        "results",
        "success",
        "testCase",
        "items",
        "data",
        "input",
        "item",
        "ideal",
        "__expected",
        "1",
        "true",
        "null",
        "{{a}}",
        "|\n",
        "threshold",
        "options",
        "provider",
        "openai:gpt",
        "é",
        "\u{0}",
        "\u{feff}",
        "(0.5):",
        "#",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(words, 0..60).prop_map(|words| words.concat()),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_text_makes_an_importer_panic_or_yield_an_invalid_suite(text in text(), other in text()) {
        let read = |_: &str| Ok(other.clone());
        let options = ImportOptions { allow_unsupported: other.len().is_multiple_of(2), ..strict() };
        let imports = [
            promptfoo(&text, &read, options),
            csv(&text, "x", options),
            jsonl(&text, "x", options),
            langfuse(&text, "x"),
            openai_evals(&text, Some(&other), "x", options),
            openai_evals(&text, None, "x", options),
        ];
        for imported in imports.into_iter().flatten().filter(|imported| !imported.suite.cases.is_empty()) {
            let bytes = match imported.suite.to_canonical() {
                Err(SuiteError::NoScorer { .. }) => continue,
                bytes => bytes.expect("valid"),
            };
            prop_assert_eq!(Suite::from_json(&bytes).expect("readable"), imported.suite);
        }
        let _ = promptfoo_results(&text, None, &[]);
        let _ = suite_file(&text, "x.yaml");
        let _ = suite_file(&text, "x.json");
    }
}
