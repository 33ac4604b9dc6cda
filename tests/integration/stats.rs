//! What applications reported, as statistics: over HTTP and on the command line, for people who can read everything and
//! for those who cannot.

use serde_json::{Value, json};

use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

/// A primary with two prompts, calls of two versions of one of them, and calls of nothing that is known.
fn node_with_calls() -> Node {
    let node = Node::primary();
    let content = |text: &str| json!({"syntax": "plain", "text": text});
    let _one = node.publish_content("support/agent", &content("one"), &["production"]);
    let _two = node.publish_content("support/agent", &content("two"), &["production"]);
    let _other = node.publish_content("secret/plan", &content("other"), &["production"]);
    let call = |id: &str, prompt: &str, version: &str, model: &str, cost: Value, latency_ms: u64| {
        json!({"id": id, "prompt": prompt, "version": version, "model": model, "cost_usd": cost, "latency_ms": latency_ms,
            "input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 10, "environment": "eu"})
    };
    let mut failed = call("c5", "support/agent", "production", "made-up-large", json!(0.25), 4_000);
    failed["error"] = json!("rate_limited");
    let responses = json!({"responses": [
        call("c1", "support/agent", "1", "made-up-small", json!(0.01), 1_000),
        call("c2", "support/agent", "1", "made-up-small", json!(0.02), 1_000),
        call("c3", "support/agent", "1", "made-up-small", Value::Null, 1_000),
        call("c4", "support/agent", "production", "made-up-large", json!(0.25), 4_000),
        failed,
        call("c6", "secret/plan", "1", "made-up-large", json!(9), 1_000),
        call("c7", "none/such", "1", "made-up-large", json!(1), 1_000),
    ]});
    let recorded = node.change("POST", "/v1/responses", &responses).ok();
    assert_eq!(recorded["recorded"], 7, "{recorded}");
    let scores = json!({"scores": [
        {"response": "c1", "name": "helpful", "value": 0.5}, {"response": "c2", "name": "helpful", "value": 1},
        {"response": "c4", "name": "verdict", "value": "refused"},
    ]});
    let recorded = node.change("POST", "/v1/scores", &scores).ok();
    assert_eq!(recorded["recorded"], 3, "{recorded}");
    node
}

/// An access token that reads one folder.
fn narrow_token(node: &Node) -> String {
    let token = json!({"name": "narrow", "role": "reader", "prompts": "support/**"});
    node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("shown once").to_owned()
}

fn line(node: &Node, line: &str) -> Bookholder {
    bookholder(line.split(' ')).server(node)
}

#[test]
fn calls_of_a_prompt_are_counted_by_version_with_cost_latency_and_scores() {
    let node = node_with_calls();
    let stats = node.get("/v1/prompts/support/agent/stats").ok();
    let groups = stats["groups"].as_array().expect("groups");
    let keys: Vec<_> = groups.iter().map(|group| group["key"].as_str().expect("a version")).collect();
    assert_eq!(keys, ["2", "1"], "the newest version is first: {stats}");
    let (two, one) = (&groups[0]["counts"], &groups[1]["counts"]);
    assert_eq!((&one["calls"], &one["priced_calls"], &one["cost_usd"]), (&json!(3), &json!(2), &json!("0.03")));
    assert_eq!((&two["calls"], &two["errors"], &two["cost_usd"]), (&json!(2), &json!(1), &json!("0.5")));
    assert_eq!(one["tokens"]["cache_read"], 1_200);
    let p50 = two["latency_ms"]["p50"].as_f64().expect("a median");
    assert!((3_960.0..=4_040.0).contains(&p50), "{p50}");
    assert_eq!((&one["scores"][0]["mean"], &one["scores"][0]["n"]), (&json!(0.75), &json!(2)));
    assert_eq!(two["scores"][0]["categories"], json!({"refused": 1}));
    let over_time = groups[1]["series"].as_array().expect("points");
    assert_eq!(over_time.iter().filter_map(|point| point["calls"].as_u64()).sum::<u64>(), 3);
    assert_eq!((&stats["total"]["calls"], &stats["bucket_s"]), (&json!(5), &json!(3_600)));
    assert!(stats["newest"].is_string(), "{stats}");
    let deployments = stats["deployments"].as_array().expect("deployments");
    assert_eq!(deployments.iter().map(|one| &one["to"]["version"]).collect::<Vec<_>>(), [&json!(1), &json!(2)]);

    for (by, expected) in [
        ("model", vec![json!("made-up-small"), json!("made-up-large")]),
        ("label", vec![Value::Null, json!("production")]),
        ("environment", vec![json!("eu")]),
        ("arm", vec![json!("default: v1"), json!("default: v2")]),
    ] {
        let stats = node.get(&format!("/v1/prompts/support/agent/stats?by={by}&since=1h")).ok();
        let keys: Vec<_> = stats["groups"].as_array().expect("groups").iter().map(|group| &group["key"]).collect();
        assert_eq!(keys, expected.iter().collect::<Vec<_>>(), "{by}");
        assert_eq!((&stats["bucket_s"], &stats["total"]["calls"]), (&json!(60), &json!(5)), "{by}");
    }
}

#[test]
fn usage_lists_the_most_expensive_prompt_first_and_names_what_is_unattributed() {
    let node = node_with_calls();
    let usage = node.get("/v1/stats?since=30d").ok();
    let names: Vec<_> = usage["prompts"].as_array().expect("prompts").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["secret/plan", "support/agent"], "{usage}");
    assert_eq!((&usage["total"]["calls"], &usage["total"]["cost_usd"]), (&json!(7), &json!("10.53")));
    let coverage = usage["cost_coverage"].as_f64().expect("a share");
    assert!((coverage - 6.0 / 7.0).abs() < 1e-9, "{coverage}");
    assert_eq!(usage["unattributed"]["reasons"][0]["reason"], "unknown_prompt");
    assert_eq!(usage["unattributed"]["counts"]["cost_usd"], "1");
    let one = node.get("/v1/stats?limit=1").ok();
    assert_eq!((one["prompts"].as_array().map(Vec::len), &one["more_prompts"]), (Some(1), &json!(1)));
}

#[test]
fn statistics_of_hidden_prompts_are_in_no_answer_and_in_no_total() {
    let node = node_with_calls();
    let bearer = format!("Bearer {}", narrow_token(&node));
    let get = |path: &str| node.send("GET", path, &[("authorization", &bearer)], b"");
    let usage = get("/v1/stats").ok();
    assert_eq!((&usage["total"]["calls"], &usage["total"]["cost_usd"]), (&json!(5), &json!("0.53")), "{usage}");
    assert!(usage["unattributed"].is_null() && !usage.to_string().contains("secret"), "{usage}");
    let hidden = get("/v1/prompts/secret/plan/stats");
    let absent = get("/v1/prompts/secret/none/stats");
    assert_eq!((hidden.status, absent.status), (403, 403), "{}", hidden.text());
    assert_eq!(hidden.text().replace("secret/plan", "X").len(), absent.text().replace("secret/none", "X").len());
    assert_eq!(get("/v1/prompts/support/agent/stats").ok()["total"]["calls"], 5);
}

#[test]
fn invalid_periods_and_groups_are_refused_with_what_to_write() {
    let node = Node::primary();
    node.publish("a", "text");
    for (path, part) in [
        ("/v1/prompts/a/stats?since=yesterday", "7d"),
        ("/v1/prompts/a/stats?by=colour", "version, model, label, arm or environment"),
        ("/v1/prompts/a/stats?since=1d&until=2d", "before it begins"),
        ("/v1/stats?since=2999-01-01", "before it begins"),
        ("/v1/stats?limit=0", "1 to 1000"),
        ("/v1/stats?colour=red", "colour"),
    ] {
        let refused = node.get(path);
        assert!([400, 422].contains(&refused.status), "{path}: {}", refused.text());
        assert!(refused.text().contains(part), "{path}: {}", refused.text());
    }
    assert_eq!(node.get("/v1/prompts/none/stats").status, 404);
    let empty = node.get("/v1/prompts/a/stats").ok();
    assert_eq!((&empty["groups"], &empty["newest"]), (&json!([]), &Value::Null));
}

#[test]
fn replica_refers_questions_about_usage_to_its_primary() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let mut replica = Node::replica(&primary);
    for path in ["/v1/stats", "/v1/prompts/a/stats"] {
        let refused = replica.get(path);
        assert_eq!(refused.status, 403, "{path}");
        let text = refused.text();
        assert!(text.contains("primary_only") && text.contains(&primary.url()), "{text}");
    }
    replica.stop();
}

#[test]
fn stats_on_the_command_line_are_a_table_a_comparison_csv_and_json() {
    let node = node_with_calls();
    let said = line(&node, "stats support/agent").ok();
    let rows: Vec<Vec<&str>> = said.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["VERSION", "CALLS", "COST", "COST/CALL", "P50", "P90", "P99", "ERRORS", "IN", "OUT"]);
    assert_eq!(rows[2][..4], ["v2", "2", "$0.50", "$0.25"], "{said:#?}");
    assert_eq!(rows[3][..4], ["v1", "3", "$0.03", "$0.015"], "{said:#?}");
    let said = said.says("cost is known for 80% of calls").says("helpful").says("refused 1");
    assert!(!said.stdout.contains('█'), "a program reads no sparklines: {said:#?}");
    let said = line(&node, "stats support/agent --compare @1 @2").ok().says("cost per call").says("+1566.7%");
    let _said = said.says("+$0.235").says("DIFFERENCE").says("+50 points");
    let _said =
        line(&node, "stats support/agent --compare @1 @9").fails(1).says("support/agent@9 has no calls").says("2, 1");
    let csv = line(&node, "stats support/agent --csv --by model").ok().stdout;
    assert!(csv.starts_with("model,since,until,calls,errors,priced_calls,cost_usd,"), "{csv}");
    assert!(csv.lines().nth(1).expect("a row").starts_with("made-up-small,"), "{csv}");
    let json = line(&node, "stats support/agent --json").ok().json();
    assert_eq!(json["total"]["cost_usd"], "0.53");
    let _said = line(&node, "stats support/agent --csv --json").fails(2).says("cannot be used with");
    let _said = line(&node, "stats support/agent --since soon").fails(2).says("yesterday");
    let _said = line(&node, "stats none").fails(1).says("there is no prompt `none`");
}

#[test]
fn time_to_the_first_token_is_beside_latency_where_calls_stream() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let plain = line(&node, "stats support/agent").ok().stdout;
    assert!(!plain.contains("FIRST TOKEN"), "{plain}");
    let call =
        json!({"id": "c1", "prompt": "support/agent", "model": "gpt-5", "latency_ms": 900, "first_token_ms": 250});
    let _recorded = node.change("POST", "/v1/responses", &json!({"responses": [call]})).ok();
    let point = node.get("/v1/prompts/support/agent/stats").ok()["groups"][0]["series"][0].clone();
    let first = point["first_token_p50_ms"].as_f64().expect("a median");
    assert!((247.0..=253.0).contains(&first), "{point}");
    let _said = line(&node, "stats support/agent").ok().says("FIRST TOKEN P50").says("250 ms");
    let csv = line(&node, "stats support/agent --csv").ok().stdout;
    assert!(csv.lines().next().is_some_and(|line| line.ends_with(",first_token_p50_ms,first_token_p95_ms")), "{csv}");
    let page = node.get("/ui/prompts/support/agent").text();
    assert!(page.contains("chart-first-token") && page.contains("First token p50"), "{page}");
}

#[test]
fn costs_on_the_command_line_list_prompts_by_spend() {
    let node = node_with_calls();
    let said = line(&node, "costs").ok().says("unattributed").says("there is no prompt of the reported name");
    let rows: Vec<Vec<&str>> = said.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let headings = ["PROMPT", "COST", "SHARE", "CALLS", "COST/CALL", "CACHED", "GROWTH", "VERSION", "TEXT", "SAVES"];
    assert_eq!(rows[1], headings);
    assert_eq!(rows[2], ["secret/plan", "$9.00", "85%", "1", "$9.00", "40%", "new", "—", "—", "—"]);
    assert_eq!(rows[3][..4], ["support/agent", "$0.53", "5.0%", "5"]);
    assert_eq!(rows[3][7..], ["v2", "+1566.7%", "—", "—"], "no price is known for these models");
    let csv = line(&node, "costs --csv --since 7d").ok().stdout;
    assert!(csv.lines().nth(1).expect("a row").starts_with("secret/plan,"), "{csv}");
    let narrow = line(&node, "costs").env("BOOKHOLDER_TOKEN", narrow_token(&node)).ok();
    assert!(!narrow.stdout.contains("secret") && !narrow.stdout.contains("unattributed"), "{narrow:#?}");
    let _said = line(&Node::primary(), "costs").ok().says("no calls were reported in this period");
}

#[test]
fn costs_show_what_the_prompts_own_text_costs_and_what_the_newest_version_changed() {
    let node = Node::primary();
    // 1,000 and 1,500 tokens at four bytes each; the variable is not text.
    for bytes in [4_000, 6_000] {
        let content = json!({"text": format!("{}{{{{question}}}}", "Be kind. ".repeat(1_000).split_at(bytes).0)});
        let _published = node.publish_content("support/agent", &content, &["production"]);
    }
    let call = |id: &str, version: u64, input: u64| {
        json!({"id": id, "prompt": "support/agent", "version": version, "model": "gpt-5",
            "input_tokens": input, "output_tokens": 100})
    };
    let calls = json!({"responses": [call("c1", 1, 2_000), call("c2", 2, 2_500), call("c3", 2, 2_500)]});
    assert_eq!(node.change("POST", "/v1/responses", &calls).ok()["recorded"], 3);
    // $1.25 for a million input tokens and $10 for output: $0.0035 for a call of v1, and $0.004125 of v2.
    let prompt = node.get("/v1/stats").ok()["prompts"][0].clone();
    let text = &prompt["text"];
    assert_eq!((&text["cost_usd"], &text["of_cost_usd"]), (&json!("0.005"), &json!("0.01175")), "{prompt}");
    assert_eq!((&text["tokens_per_call"], &text["tenth_shorter_saves_usd"]), (&json!(1_333), &json!("0.0005")));
    let share = text["share"].as_f64().expect("a share");
    assert!((share - 0.005 / 0.01175).abs() < 1e-9, "{share}");
    let change = &prompt["version_change"];
    assert_eq!((&change["version"], &change["before"]), (&json!(2), &json!(1)), "{change}");
    assert_eq!(change["cost_per_call_usd"], "0.004125");

    let said = line(&node, "costs").ok();
    let row: Vec<&str> = said.stdout.lines().nth(2).expect("a row").split_whitespace().collect();
    assert_eq!(row[7..], ["v2", "+17.9%", "43%", "$0.0005"], "{said:#?}");
    let csv = line(&node, "costs --csv").ok().stdout;
    assert!(csv.lines().nth(1).expect("a row").ends_with(",1333,0.005,0.01175,2,0.004125,1,0.0035"), "{csv}");
    let page = node.get("/ui/usage").text();
    assert!(page.contains("one tenth shorter saves $0.0005") && page.contains("v2 +17.9%"), "{page}");
}

#[test]
fn page_of_usage_counts_all_prompts_without_calls() {
    const PROMPTS: usize = 6_000;
    let node = node_with_calls();
    let change = |number: usize| {
        json!({"id": format!("i-{number}"), "at": "2026-01-01T00:00:00Z", "author": "ada", "message": "m",
            "name": format!("many/p{number:04}"), "text": "text"})
    };
    let changes: Vec<Value> = (0..PROMPTS).map(change).collect();
    for part in changes.chunks(1_000) {
        assert_eq!(node.change("POST", "/v1/import", &json!({"changes": part})).ok()["refused"], json!([]));
    }
    let page = node.get("/ui/usage").text();
    assert!(page.contains("many/p0049") && !page.contains("many/p0050"), "50 are named");
    assert!(page.contains(&format!("and 5\u{202f}{} more", PROMPTS - 5_050)), "{page}");
}
