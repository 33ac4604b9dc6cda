//! Suites that are pushed and imported: what can never work is refused before anything is paid, and results of another
//! tool count for the models that they are of.

use serde_json::json;

use super::Story;

#[test]
fn scorer_that_can_never_work_is_refused_by_every_way_to_push_a_suite() {
    let story = Story::begin();
    let cases = r#"cases: [{name: refund, scorers: [{type: is-json}, {type: regex, value: "(?=a)b"}]}]"#;
    let file = story.file("bad.yaml", cases);
    let expected = "case `refund`: scorers[1] (`regex`): unsupported in the regular expression `(?=a)b`";
    for line in [&["eval", "push", &file][..], &["eval", "push", &file, "--dry-run"]] {
        let _said = story.line(line).fails(2).says(expected);
    }
    for (scorer, part) in [
        (json!({"type": "regex", "value": "(?=a)b"}), expected),
        (json!({"type": "llm-rubric", "value": "is kind"}), "`llm-rubric` has no model to ask; set `model`"),
        (json!({"type": "latency"}), "needs a threshold, in milliseconds"),
        (json!({"type": "webhook", "value": "not a url"}), "invalid webhook URL"),
        (json!({"type": "assert-set"}), "the set has no scorers"),
    ] {
        let suite = json!({"cases": [{"name": "refund", "scorers": [{"type": "is-json"}, scorer]}]});
        let refused = story.node.change("PUT", "/v1/suites/bad", &json!({"suite": suite, "message": "Bad"}));
        assert!(refused.status == 422 && refused.text().contains(part), "{}: {}", refused.status, refused.text());
    }
    assert_eq!(story.node.get("/v1/suites/bad").status, 404);
    assert_eq!(story.models.paid().values().sum::<u64>(), 0);
}

#[test]
fn import_lists_what_would_never_work_and_names_judges_that_the_file_does_not() {
    let story = Story::begin();
    let config = "tests:\n- {description: look, vars: {a: 1}, assert: [{type: regex, value: '(?=a)'}]}\n\
                  - {description: kind, vars: {a: 1}, assert: [{type: llm-rubric, value: is kind}]}\n\
                  - {description: same, vars: {a: 1}, assert: [{type: equals, value: x}]}\n";
    let file = story.file("promptfooconfig.yaml", config);
    let out = story.node.home().join("imported.json").display().to_string();
    let line = ["eval", "import", &file, "--format", "promptfoo", "--out", &out];
    let said = story.line(&line).fails(1).says("2 cases cannot be judged as they are");
    let _said = said.says("look-around").says("`llm-rubric` names no model").says("--judge");
    let mut with_judge = line.to_vec();
    with_judge.extend(["--skip-unsupported", "--judge", "local:judge"]);
    let _said = story.line(&with_judge).ok().says("2 cases");
    let _said = story.line(&["eval", "push", &out]).ok().says("imported version 1 2 cases");
}

#[test]
fn money_in_a_suite_file_is_a_number_or_a_text() {
    let story = Story::begin();
    let rest = "gate: {cost_mean_usd: 0.01}\ncases: [{name: a, scorers: [{type: is-json}]}]";
    let file = story.file("money.yaml", &format!("budget: {{max_cost_usd: 5}}\n{rest}"));
    let _said = story.line(&["eval", "push", &file]).ok().says("money version 1");
    let suite = story.node.get("/v1/suites/money").ok()["suite"].clone();
    assert_eq!(suite["budget"]["max_cost_usd"], "5", "{suite}");
    assert_eq!(suite["gate"]["cost_mean_usd"], "0.01", "{suite}");
    let file = story.file("money.yaml", &format!("budget: {{max_cost_usd: 5 dollars}}\n{rest}"));
    let _said = story.line(&["eval", "push", &file]).fails(2).says("`budget.max_cost_usd`: invalid amount `5 dollars`");
}

#[test]
fn imported_results_count_for_the_model_that_their_provider_means() {
    let story = Story::begin();
    let suite = r#"{"models": ["local:sum"], "cases": [{"name": "a", "scorers": [{"type": "equals", "value": "2"}]}]}"#;
    let _said = story.line(&["eval", "push", &story.file("js.json", suite)]).ok();
    let results = |case: &str| {
        let row = json!({"provider": {"id": "http://localhost:8080"}, "success": true, "score": 1,
            "testCase": {"description": case, "vars": {}}, "response": {"output": "2"}});
        json!({"results": {"results": [row]}}).to_string()
    };
    let file = story.file("results.json", &results("a"));
    let line = ["eval", "import-results", &file, "--prompt", "support/sums@1", "--suite", "js"];
    let gates = || story.node.get("/v1/prompts/support%2Fsums/versions/1/gates").ok();
    let _said = story.line(&line).ok();
    assert_eq!(gates(), json!([]), "results of another model decide no gate");
    let mut meant = line.to_vec();
    meant.extend(["--provider", "http://localhost:8080=local:sum"]);
    let _said = story.line(&meant).ok().says("passed");
    assert_eq!(gates()[0]["state"], "passed", "{}", gates());
    meant.extend(["--provider", "http://localhost:8080=local:echo"]);
    let _said = story.line(&meant).fails(2).says("--provider http://localhost:8080 is there twice");
    let file = story.file("other.json", &results("b"));
    let line = ["eval", "import-results", &file, "--prompt", "support/sums@1", "--suite", "js"];
    let _said = story.line(&line).fails(1).says("the suite `js` has no case `b`; add a case of this name to the suite");
}
