//! Evaluations of a running primary, against a server that speaks the APIs of models: a change that lowers accuracy is
//! stopped by its gate, the fix is deployed by itself, and what was decided becomes stale. What feeds others in a chain
//! waits for their suites.

mod baselines;
mod kept;
mod pushed;

use std::path::PathBuf;

use bookholder_evaluation::provider::ProviderKind;
use bookholder_evaluation::provider::testing::TestServer;
use serde_json::{Value, json};

use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{Launch, Node};

/// Six sums; the first three tell the prompt to guess, if it has a place for hints.
const SUITE: &str = r#"{
    "scorers": [{"type": "equals", "metric": "accuracy"}],
    "cases": [
        {"name": "one and one", "variables": {"question": "1 + 1", "hint": "guess"}, "expected": "2", "tags": ["hinted"]},
        {"name": "two and two", "variables": {"question": "2 + 2", "hint": "guess"}, "expected": "4", "tags": ["hinted"]},
        {"name": "three and four", "variables": {"question": "3 + 4", "hint": "guess"}, "expected": "7", "tags": ["hinted"]},
        {"name": "ten and one", "variables": {"question": "10 + 1", "hint": "think"}, "expected": "11"},
        {"name": "five and six", "variables": {"question": "5 + 6", "hint": "think"}, "expected": "11"},
        {"name": "nine and nine", "variables": {"question": "9 + 9", "hint": "think"}, "expected": "18", "must_pass": true}
    ]
}"#;

/// A primary whose provider `local` is a test server, with a suite and a policy that demands its gate.
struct Story {
    node: Node,
    models: TestServer,
}

impl Story {
    fn begin() -> Self {
        let models = TestServer::start();
        let settings = models.settings("local", ProviderKind::Openai);
        let launch = Launch::primary();
        let file = launch.data.with_file_name("bookholder.toml");
        // The environment of tests does not have the key of the second provider.
        let text = format!(
            "[providers.local]\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"sum\"]\n\
             [providers.keyed]\nkind = \"openai\"\nbase_url = \"https://127.0.0.1:1/v1\"\nkey_env = \"ABSENT_TEST_KEY\"\n",
            settings.base_url
        );
        std::fs::write(&file, text).expect("written");
        let node = launch.args(["--config".into(), file.into_os_string()]).start();
        let story = Self { node, models };
        story.publish("You add numbers.");
        let suite = story.file("sums.json", SUITE);
        let _said = story.line(&["eval", "push", &suite, "-m", "Six sums"]).ok().says("sums version 1 6 cases");
        let policy = json!({"name": "live", "prompts": "support/**", "labels": "production", "gates": ["sums"]});
        assert_eq!(story.node.change("PUT", "/v1/policies/live", &policy).status, 200);
        story
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.node.home().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn line(&self, line: &[&str]) -> Bookholder {
        bookholder(line).server(&self.node)
    }

    /// Publishes a version with this system text, for the model that adds numbers.
    fn publish(&self, system: &str) {
        let content = json!({
            "syntax": "mustache", "model": {"name": "sum"},
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": "{{question}}"}],
        });
        self.node.publish_content("support/sums", &content, &[]);
    }

    fn deploy(&self, version: u64) -> (u16, String) {
        let moves = json!([{"name": "support/sums", "label": "production", "serving": {"version": version}}]);
        let answer = self.node.change("POST", "/v1/deployments", &json!({"message": "Go live", "moves": moves}));
        (answer.status, answer.text())
    }

    fn serves(&self) -> Option<u64> {
        let label = self.node.get("/v1/prompts/support%2Fsums/labels/production");
        label.ok()["serving"]["version"].as_u64()
    }
}

#[test]
fn gate_stops_a_worse_version_and_deploys_the_fix_by_itself() {
    let story = Story::begin();
    let (status, text) = story.deploy(1);
    assert!(status == 403 && text.contains("gate `sums` to pass (version 1 has no run of it"), "{text}");
    let first = story.line(&["eval", "run", "support/sums", "--suite", "sums"]).ok();
    let _said = first.says("run 1 of sums version 1 on support/sums@1: passed").says("100% of cases pass (6 of 6)");
    assert_eq!(story.deploy(1).0, 200);
    assert_eq!(story.serves(), Some(1));

    story.publish("You add numbers. {{hint}}");
    let run = ["eval", "run", "support/sums", "--suite", "sums", "--against", "@production"];
    let worse = story.line(&run).exits(1);
    let worse = worse.says("100% of cases pass (3 of 6; failed: one and one, two and two, three and four)");
    let _said = worse.says("3 worse, 0 better").says("- two and two");
    let (status, text) = story.deploy(2);
    assert!(status == 403 && text.contains("gate `sums` to pass (failed in run 2"), "{text}");
    assert!(text.contains("one and one, two and two, three and four"), "{text}");
    let _said = story
        .line(&["deploy", "support/sums@2", "--to", "production", "-m", "Try it anyway"])
        .fails(1)
        .says("failed in run 2");
    assert_eq!(story.serves(), Some(1));

    story.publish("You add numbers, whatever they say about {{hint}}ing.");
    let mut when = run.to_vec();
    when.extend(["--when-passed", "deploy", "--label", "production"]);
    // `guessing` is a guess, too.
    let _said = story.line(&when).exits(1).says("failed");
    story.publish("You add numbers. The hint is hidden.");
    let _said = story.line(&when).ok().says("support/sums@4: passed");
    story.node.until("the fix is deployed", || (story.serves() == Some(4)).then_some(()));

    let gates = story.node.get("/v1/prompts/support%2Fsums/versions/4/gates").ok();
    assert_eq!((&gates[0]["state"], &gates[0]["stale"]), (&json!("passed"), &Value::Null), "{gates}");
    assert_eq!(gates[0]["models"]["local:sum"], json!(["sum-2026-11-01"]), "the snapshot that answered: {gates}");
    let entry = story.node.change("GET", "/v1/audit?limit=1000", &Value::Null).ok();
    let recorded = entry["items"].as_array().expect("entries").iter().find(|entry| entry["command"] == "record-gate");
    let after = &recorded.expect("a gate in the audit log")["changes"][0]["after"];
    assert!(after["suite"]["id"].is_string() && after["results"].is_string(), "{after}");

    let changed = story.file("sums.json", &SUITE.replace("\"18\"", "\"18\", \"weight\": 2"));
    let _said = story.line(&["eval", "push", &changed]).ok().says("sums version 2");
    let gates = story.node.get("/v1/prompts/support%2Fsums/versions/4/gates").ok();
    assert_eq!(gates[0]["stale"], "the suite has changed");
    let page = story.node.get("/ui/evaluations/2").text();
    assert!(page.contains("3 worse") && page.contains("three and four"), "{page}");
    assert!(story.node.get("/ui/evaluations").text().contains("/ui/suites/sums"));
    assert!(story.node.get("/ui/suites/sums").text().contains("nine and nine"));
}

#[test]
fn answers_are_used_again_and_a_budget_makes_a_run_inconclusive() {
    let story = Story::begin();
    let run = ["eval", "run", "support/sums", "--suite", "sums"];
    let _said = story.line(&run).ok().says("6 calls");
    let _said = story.line(&run).ok().says("0 calls");
    assert_eq!(story.models.paid().values().sum::<u64>(), 6);
    let mut limited = run.to_vec();
    limited.extend(["--no-cache", "--max-calls", "4"]);
    let _said =
        story.line(&limited).exits(1).says("inconclusive").says("stopped: all 4 calls of `max_calls` were made");
    assert_eq!(story.deploy(1).0, 200, "what says nothing does not replace what passed");
}

#[test]
fn provider_without_its_key_stops_only_the_runs_that_ask_it() {
    let story = Story::begin();
    story.node.until_logged("a provider has no key");
    assert!(story.node.stderr().contains("ABSENT_TEST_KEY"), "{}", story.node.stderr());
    let listed = story.line(&["eval", "providers"]).ok().says("keyed").says("ABSENT_TEST_KEY is not set");
    assert!(listed.stdout.contains("local"), "{listed:?}");
    let run = ["eval", "run", "support/sums", "--suite", "sums"];
    let refused = story.line(&run).args(["--model", "keyed:x"]).fails(1);
    let refused =
        refused.says("the provider `keyed` has no key: the environment of the primary does not have ABSENT_TEST_KEY");
    let _said = refused.says("set the variable and restart the primary");
    let judged = r#"{"scorers": [{"type": "llm-rubric", "value": "is kind", "model": "keyed:judge"}], "cases": [{"name": "a"}]}"#;
    let _said = story.line(&["eval", "push", &story.file("judged.json", judged)]).ok();
    let _said = story.line(&["eval", "run", "support/sums", "--suite", "judged"]).fails(1).says("`keyed` has no key");
    let _said = story.line(&run).ok().says("passed");
}

#[test]
fn when_passed_uses_the_change_request_that_is_open_and_says_which() {
    let story = Story::begin();
    let reviewed =
        json!({"name": "live", "prompts": "support/**", "labels": "production", "gates": ["sums"], "approvals": 1});
    assert_eq!(story.node.change("PUT", "/v1/policies/live", &reviewed).status, 200);
    let mut run = vec!["eval", "run", "support/sums@1", "--suite", "sums"];
    run.extend(["--when-passed", "deploy", "--label", "production"]);
    for _ in 0..2 {
        let _said =
            story.line(&run).ok().says("change request 1 deploys it when everything that policies require is met");
    }
    let open = story.node.get("/v1/requests").ok();
    assert_eq!(open["items"].as_array().expect("requests").len(), 1, "{open}");
    assert_eq!(story.node.get("/v1/runs/2").ok()["change_request"], 1);
    assert!(story.node.get("/ui/evaluations/2").text().contains("Change request 1"));

    story.publish("You add numbers well.");
    let moves = json!([{"name": "support/sums", "label": "production", "serving": {"version": 2}}]);
    let by_hand = story.node.change("POST", "/v1/requests", &json!({"message": "By hand", "moves": moves}));
    assert_eq!(by_hand.ok()["id"], 2);
    run[2] = "support/sums@2";
    let _said =
        story.line(&run).fails(1).says("change request 2 for support/sums@2 on production is open and does not");
}

#[test]
fn split_has_a_run_for_each_of_its_versions() {
    let story = Story::begin();
    story.publish("You add numbers. {{hint}}");
    let serving = json!({"split": {"weights": {"1": 9, "2": 1}}});
    let moves = json!([{"name": "support/sums", "label": "staging", "serving": serving}]);
    let split = story.node.change("POST", "/v1/deployments", &json!({"message": "Try it", "moves": moves}));
    assert_eq!(split.status, 200, "{}", split.text());
    let run = ["eval", "run", "support/sums@staging", "--suite", "sums"];
    let both = story.line(&run).exits(1).says("on support/sums@1: passed").says("on support/sums@2: failed");
    assert!(both.stdout.contains("run 1 ") && both.stdout.contains("run 2 "), "{both:?}");
    let listed = story.line(&run).arg("--json").exits(1).json();
    assert_eq!(listed["items"][1]["candidate"]["version"], 2, "{listed}");
    let _said = story.line(&run).args(["--junit", "report.xml"]).fails(2).says("this label serves a split");
    let refused =
        story.node.change("POST", "/v1/runs", &json!({"prompt": "support/sums", "at": "@staging", "suite": "sums"}));
    let says = "`support/sums@staging` serves the versions 1, 2; name one of them";
    assert!(refused.status == 422 && refused.text().contains(says), "{}", refused.text());
    let against = ["eval", "run", "support/sums@2", "--suite", "sums", "--against", "@staging"];
    let _said = story.line(&against).exits(1).says("against support/sums@1").says("accuracy: ").says(", before 1.000");
}

#[test]
fn answers_are_printed_with_what_each_scorer_says() {
    let story = Story::begin();
    story.publish("You add numbers. {{hint}}");
    let _said = story.line(&["eval", "run", "support/sums", "--suite", "sums"]).exits(1);
    let said = story.line(&["eval", "results", "1", "--failed", "--answers"]).ok();
    let said = said.says("one and one on local:sum, repeat 1: failed 0.00").says("equals failed: ");
    assert_eq!(said.stdout.matches("\n    ").count(), 3, "{said:?}");
    assert!(said.stdout.contains("\n    3\n") && !said.stdout.contains("nine and nine"), "{said:?}");
    let none = story.line(&["eval", "calibration", "sums"]).ok();
    assert!(none.stderr.contains("bookholder eval label RUN CASE --passed"), "{none:?}");
}

#[test]
fn keyless_provider_needs_no_price_for_a_limit_in_dollars() {
    let story = Story::begin();
    let run = ["eval", "run", "support/sums", "--suite", "sums", "--max-cost", "0.01"];
    let _said = story.line(&run).ok().says("passed").says("6 calls");
}

#[test]
fn deploying_what_feeds_a_prompt_offers_and_can_demand_its_suites() {
    let story = Story::begin();
    let publish = |text: &str| {
        let content = json!({"syntax": "plain", "text": text});
        story.node.publish_content("intake/router", &content, &[]);
    };
    let deploy = |version: u64| {
        let moves = json!([{"name": "intake/router", "label": "production", "serving": {"version": version}}]);
        story.node.change("POST", "/v1/deployments", &json!({"message": "Go live", "moves": moves}))
    };
    let stale = || story.node.get("/v1/prompts/support%2Fsums/versions/1/gates").ok()[0]["stale"].clone();
    publish("Write a sum.");
    let describe = ["describe", "intake/router", "--owner", "intake", "--feeds", "support/sums"];
    let _said = story.line(&describe).ok().says("feeds support/sums");
    let run = ["eval", "run", "support/sums", "--suite", "sums"];
    let _said = story.line(&run).ok();
    assert_eq!(story.deploy(1).0, 200);
    let policy = json!({"name": "chain", "prompts": "intake/**", "labels": "production", "downstream_gates": true});
    assert_eq!(story.node.change("PUT", "/v1/policies/chain", &policy).status, 200);
    assert_eq!(deploy(1).status, 200, "the run began when version 1 was there");

    publish("Write a longer sum.");
    let refused = deploy(2);
    let missing = "gate `sums` of support/sums to pass (run 1 began before version 2 was there)";
    assert!(refused.status == 403 && refused.text().contains(missing), "{}", refused.text());
    let can = ["can", "deploy", "intake/router@2", "--to", "production"];
    let can = story.line(&can).exits(1).says("feeds support/sums@production: suite sums (run 1 began before version 2");
    let _said = can.says("bookholder eval run support/sums@production --suite sums");
    assert_eq!(stale(), Value::Null, "nothing serves the new version yet");
    let _said = story.line(&["eval", "run", "support/sums@production", "--suite", "sums"]).ok();
    assert_eq!(deploy(2).status, 200);
    assert_eq!(stale(), Value::Null, "the run knew it");

    let free = json!({"name": "chain", "prompts": "intake/**", "labels": "production"});
    assert_eq!(story.node.change("PUT", "/v1/policies/chain", &free).status, 200);
    publish("Write the longest sum.");
    // In a circle, each is behind the other.
    let circle = json!({"feeds": ["intake/router"]});
    assert_eq!(story.node.change("PUT", "/v1/prompts/support%2Fsums/about", &circle).status, 200);
    let deployed = story.line(&["deploy", "intake/router@3", "--to", "production", "-m", "Longest"]).ok();
    let _said = deployed.says("it feeds support/sums@production, whose suite sums has not passed with it");
    assert_eq!(stale(), "a prompt that feeds it serves a later version on production");

    let bearer = |name: &str, prompts: &str| {
        let token = json!({"name": name, "role": "author", "prompts": prompts});
        let token = story.node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("once").to_owned();
        format!("Bearer {token}")
    };
    let send = |bearer: &str, method: &str, path: &str, body: &Value| {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        story.node.send(method, path, &headers, body.to_string().as_bytes())
    };
    let (intake, support) = (bearer("intake", "intake/**"), bearer("support", "support/**"));
    let about = "/v1/prompts/intake%2Frouter/about";
    let seen = send(&intake, "GET", about, &Value::Null).ok();
    assert_eq!(seen, json!({"owner": "intake"}), "what it feeds cannot be read");
    let guessed = send(&intake, "PUT", about, &json!({"feeds": ["support/other"]}));
    assert!(guessed.status == 422 && guessed.text().contains("no prompt `support/other` that you can read"));
    assert_eq!(send(&intake, "PUT", about, &json!({"owner": "team"})).status, 200);
    let about = story.node.get(about).ok();
    assert_eq!(about, json!({"owner": "team", "feeds": ["support/sums"]}), "what they cannot see stays");
    let gates = "/v1/prompts/support%2Fsums/versions/1/gates";
    assert_eq!(story.node.get(gates).ok()[0]["upstream"], json!({"intake/router": 2}));
    let seen = send(&support, "GET", gates, &Value::Null).text();
    assert!(seen.contains("serves a later version") && !seen.contains("intake"), "{seen}");
}

#[test]
fn gate_becomes_stale_when_an_include_means_another_version_and_a_new_run_renews_it() {
    let story = Story::begin();
    let tone = |text: &str| {
        let content = json!({"syntax": "plain", "text": text});
        story.node.publish_content("shared/tone", &content, &["production"]);
    };
    tone("Be kind.");
    let content = json!({
        "syntax": "mustache", "model": {"name": "sum"},
        "messages": [{"role": "system", "content": "{{> shared/tone}} {{> shared/tone@1}}"}, {"role": "user", "content": "{{question}}"}],
    });
    story.node.publish_content("support/sums", &content, &[]);
    let gate = || story.node.get("/v1/prompts/support%2Fsums/versions/2/gates").ok()[0].clone();
    let run = ["eval", "run", "support/sums", "--suite", "sums"];
    let _said = story.line(&run).ok();
    assert_eq!((&gate()["includes"], &gate()["stale"]), (&json!({"shared/tone": 1}), &Value::Null), "{}", gate());
    let fresh = json!({"name": "live", "prompts": "support/**", "labels": "production", "gates": ["sums"], "fresh_gates": true});
    assert_eq!(story.node.change("PUT", "/v1/policies/live", &fresh).status, 200);
    tone("Be short.");
    assert_eq!(gate()["stale"], "the include `shared/tone` means another version now");
    let (status, text) = story.deploy(2);
    assert!(
        status == 403 && text.contains("to pass again (stale: the include `shared/tone` means another version now)"),
        "{text}"
    );
    let _said = story.line(&run).ok();
    assert_eq!((&gate()["includes"], &gate()["stale"]), (&json!({"shared/tone": 2}), &Value::Null), "{}", gate());
    assert_eq!(story.deploy(2).0, 200);
}

#[test]
fn run_of_a_file_counts_for_the_version_that_is_published_with_its_content() {
    let story = Story::begin();
    let file = story.file(
        "sums.prompt",
        "---\nmodel: sum\nmessages:\n  - role: system\n    content: You add.\n  - role: user\n    content: \"{{question}}\"\n---\n",
    );
    let run = ["eval", "run", "support/sums", "--file", &file, "--suite", "sums"];
    let (code, said) = story.line(&run).run();
    assert_eq!(code, Some(0), "{said:?}");
}

#[test]
fn who_may_not_run_evaluations_is_refused_and_suites_are_for_those_who_read_every_prompt() {
    let story = Story::begin();
    let token = |name: &str, role: &str, prompts: &str| {
        let token = json!({"name": name, "role": role, "prompts": prompts});
        let token = story.node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("once").to_owned();
        format!("Bearer {token}")
    };
    let (reader, narrow) = (token("reader", "reader", "**"), token("narrow", "author", "other/**"));
    let send = |bearer: &str, method: &str, path: &str, body: &Value| {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        story.node.send(method, path, &headers, body.to_string().as_bytes())
    };
    let run = json!({"prompt": "support/sums", "suite": "sums"});
    for bearer in [&reader, &narrow] {
        let refused = send(bearer, "POST", "/v1/runs", &run);
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert_eq!(send(&reader, "GET", "/v1/suites", &Value::Null).status, 200);
    assert_eq!(send(&narrow, "GET", "/v1/suites", &Value::Null).status, 403);
    let pushed = json!({"suite": {"scorers": [{"type": "is-json"}], "cases": [{"name": "a"}]}, "message": "Weaker"});
    assert_eq!(send(&narrow, "PUT", "/v1/suites/sums", &pushed).status, 403);
    let _said = story.line(&["eval", "run", "support/sums", "--suite", "sums"]).ok();
    assert_eq!(send(&narrow, "GET", "/v1/runs/1", &Value::Null).status, 404);
    assert_eq!(send(&narrow, "GET", "/v1/runs", &Value::Null).ok()["items"], json!([]));
    let refused = story.node.change("DELETE", "/v1/suites/sums", &Value::Null);
    assert!(
        refused.status == 422 && refused.text().contains("the policy live requires the gate"),
        "{}",
        refused.text()
    );
}

#[test]
fn labels_of_people_say_how_far_a_judge_agrees_with_them() {
    let story = Story::begin();
    let words = ["Thanks", "Sorry", "Hello", "Bye"];
    let cases: Vec<Value> = words.iter().map(|word| json!({"name": word, "variables": {"question": word}})).collect();
    let rubric = r#"The answer contains "o"."#;
    let suite = json!({"suite": {"models": ["local:echo"], "cases": cases, "scorers": [
        {"type": "llm-rubric", "value": rubric, "model": "local:judge", "metric": "tone"}, {"type": "word-count", "value": 1},
    ]}, "message": "Words"});
    assert_eq!(story.node.change("PUT", "/v1/suites/words", &suite).status, 201);
    let _said = story.line(&["eval", "run", "support/sums", "--suite", "words"]).exits(1).says("failed");
    assert_eq!(story.line(&["eval", "calibration", "words"]).ok().stdout, "", "nobody has labeled anything");
    // The judge passes Sorry and Hello; people disagree about one of the four.
    for (word, says) in [("Thanks", "--failed"), ("Sorry", "--passed"), ("Hello", "--passed"), ("Bye", "--failed")] {
        let _said = story.line(&["eval", "label", "1", word, says]).ok().says(word);
    }
    let _said = story.line(&["eval", "label", "1", "Hello", "--failed"]).ok().says("fails, against llm-rubric");
    let shown = story.line(&["eval", "calibration", "words"]).ok().says("llm-rubric").says("local:judge");
    let _said = shown.says("75%").says("0.50").says("4 labels say little");
    let found = story.node.get("/v1/suites/words/calibration").ok();
    assert_eq!((&found[0]["labels"], &found[0]["kappa"]), (&json!(4), &json!(0.5)), "{found}");

    let results = story.node.get("/v1/runs/1/results").ok();
    let labeled = &results["items"][2]["labels"][0];
    assert_eq!(
        (&labeled["case"], &labeled["judged"], &labeled["passed"]),
        (&json!("Hello"), &json!(true), &json!(false))
    );
    assert!(labeled["by"].is_string() && labeled["at"].is_string(), "{labeled}");
    let entries = story.node.change("GET", "/v1/audit?limit=1000", &Value::Null).ok();
    let entries = entries["items"].as_array().expect("entries").iter().filter(|it| it["command"] == "label-result");
    assert_eq!(entries.count(), 5, "each is in the audit log");

    for (path, body, part) in [
        (
            "/v1/runs/1/results/0/label",
            json!({"passed": true, "scorer": 1}),
            "the scorer 1 of the result is not a judge",
        ),
        ("/v1/runs/1/results/1/label", json!({"passed": true}), "run 1 has no result at the place 1"),
        ("/v1/runs/9/results/0/label", json!({"passed": true}), "run `9` does not exist"),
    ] {
        let refused = story.node.change("PUT", path, &body);
        assert!(refused.status >= 400 && refused.text().contains(part), "{path}: {}", refused.text());
    }
    let _said = story.line(&["eval", "label", "1", "Nobody", "--passed"]).fails(1).says("no such result");
    // A label has what the judge said, and goes with its suite.
    assert_eq!(story.node.change("DELETE", "/v1/suites/words", &Value::Null).status, 204);
    assert_eq!(story.node.change("PUT", "/v1/suites/words", &suite).status, 201);
    assert_eq!(story.node.get("/v1/suites/words/calibration").ok(), json!([]));
}

#[test]
fn report_of_a_run_is_downloaded_in_each_format() {
    let story = Story::begin();
    let _said = story.line(&["eval", "run", "support/sums", "--suite", "sums"]).ok();
    for (format, part) in
        [("html", "one and one"), ("junit", "<testsuite"), ("json", "\"results\":["), ("markdown", "sums")]
    {
        let report = story.node.get(&format!("/ui/evaluations/1/report?format={format}"));
        assert_eq!(report.status, 200, "{format}");
        assert!(report.text().contains(part), "{format}: {}", report.text());
    }
    assert_eq!(story.node.get("/ui/evaluations/1/report?format=pdf").status, 400);
    assert_eq!(story.node.get("/ui/evaluations/9/report").status, 404);
}

#[test]
fn run_continues_after_kill_9_and_no_call_is_paid_for_twice() {
    let mut story = Story::begin();
    let cases: Vec<Value> = (0..200)
        .map(|n| json!({"name": format!("case {n}"), "variables": {"question": format!("{n} + {n}")}, "expected": (2 * n).to_string()}))
        .collect();
    let suite = json!({"suite": {"scorers": [{"type": "equals"}], "cases": cases}, "message": "Many"});
    assert_eq!(story.node.change("PUT", "/v1/suites/many", &suite).status, 201);
    let run = json!({"prompt": "support/sums", "suite": "many"});
    let id = story.node.change("POST", "/v1/runs", &run).ok()["id"].as_u64().expect("a number");
    let path = format!("/v1/runs/{id}");
    for kill in 1..=4_u64 {
        story.node.until("some results", || {
            (story.models.paid().len() >= usize::try_from(kill * 30).expect("a count")).then_some(())
        });
        story.node.kill9();
        story.node.restart();
    }
    let done = story.node.until("the end of the run", || {
        let run = story.node.get(&path).ok();
        (run["state"] == "finished").then_some(run)
    });
    assert_eq!((&done["summary"]["passed"], &done["summary"]["planned"]), (&json!(200), &json!(200)), "{done}");
    assert_eq!(done["verdict"]["state"], "passed");
    assert_eq!(story.models.paid().len(), 200, "one key for each call, whatever was sent again");
}
