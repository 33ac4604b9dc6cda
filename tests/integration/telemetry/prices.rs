//! Prices of a running primary: overridden, imported, in force at once and after a restart, and applied to recorded calls.

use serde_json::{Value, json};

use super::{JSON, export, recorded, span_with, traces};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

/// A table with one model at pico-dollars per token of input and output.
fn table(rate: i64) -> Value {
    let tiers = json!([{"when": {}, "rate": {"input": rate, "output": rate}}]);
    json!({"schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token",
        "models": [{"id": "made-up", "tiers": tiers}]})
}

/// Reports calls of 1,000 tokens without a cost.
fn call(node: &Node, prefix: &str, calls: usize) {
    let one = |number: usize| {
        json!({"id": format!("{prefix}-{number}"), "prompt": "support/agent", "version": "1", "model": "made-up",
            "input_tokens": 900, "output_tokens": 100})
    };
    let all: Vec<Value> = (0..calls).map(one).collect();
    for part in all.chunks(1_000) {
        assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": part})).ok()["recorded"], part.len());
    }
}

/// Calls with a known cost, and their cost.
fn spend(node: &Node) -> (u64, String) {
    let total = node.get("/v1/prompts/support/agent/stats?since=1h").ok()["total"].clone();
    (total["priced_calls"].as_u64().expect("a number"), total["cost_usd"].as_str().expect("an amount").to_owned())
}

fn line(node: &Node, line: &[&str]) -> Bookholder {
    bookholder(line).server(node)
}

#[test]
fn overrides_count_at_once_and_after_a_restart_and_recorded_calls_after_recost() {
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    call(&node, "before", 3);
    assert_eq!(spend(&node), (0, "0".to_owned()), "unknown, not free");
    let file = node.home().join("ours.json");
    std::fs::write(&file, table(2_000_000).to_string()).expect("a file");
    let path = file.to_str().expect("UTF-8");
    let _set = line(&node, &["prices", "set", path]).ok().says("overrides 1 model in force");
    call(&node, "after", 1);
    assert_eq!(spend(&node), (1, "0.002".to_owned()));
    let _listed =
        line(&node, &["prices", "--model", "MADE"]).ok().says("overrides  1 model").says("made-up").says("$2 ");
    let shown = line(&node, &["prices", "show", "overrides"]).ok().json();
    assert_eq!(shown["models"][0]["tiers"], table(2_000_000)["models"][0]["tiers"]);

    let _dry = line(&node, &["recost", "--dry-run"])
        .ok()
        .says("before  $0.002")
        .says("after   $0.008")
        .says("3 of 4 calls cost something else; nothing was changed");
    assert_eq!(spend(&node), (1, "0.002".to_owned()));
    let _done = line(&node, &["recost", "--prompt", "support/agent"]).ok().says("3 of 4 calls cost something else");
    assert_eq!(spend(&node), (4, "0.008".to_owned()));
    let in_force = node.get("/v1/prices?model=made-up").ok();
    let recosted = recorded(&node, "before-0");
    assert_eq!(recosted["responses"][0]["cost_usd"], "0.002");
    assert_eq!(recosted["responses"][0]["price_table"], in_force["price_table"]);
    let _again = line(&node, &["recost"]).ok().says("0 of 4 calls cost something else");

    node.restart();
    call(&node, "later", 1);
    assert_eq!(spend(&node), (5, "0.01".to_owned()), "in force after a restart");
    let _removed = line(&node, &["prices", "remove", "overrides", "--yes"]).ok();
    assert_eq!(node.get("/v1/prices?model=made-up").ok()["prices"], json!([]));
    let audit = node.send("GET", "/v1/audit?limit=20", &[], b"").ok();
    let commands: Vec<_> = audit["items"].as_array().expect("entries").iter().map(|entry| &entry["command"]).collect();
    for command in ["put-prices", "remove-prices", "recost"] {
        assert!(commands.contains(&&json!(command)), "{command}: {commands:?}");
    }
}

#[test]
fn primary_prices_what_replicas_send_with_its_own_tables() {
    let primary = Node::primary();
    primary.publish("support/agent", "text");
    assert_eq!(primary.change("PUT", "/v1/prices/overrides", &table(3_000_000)).status, 204);
    let mut replica = Node::replica(&primary);
    call(&replica, "edge", 1);
    let response = recorded(&primary, "edge-0")["responses"][0].clone();
    assert_eq!(
        (&response["cost_usd"], &response["cost_source"]),
        (&json!("0.003"), &json!("price_table")),
        "{response}"
    );
    for (method, path) in [("GET", "/v1/prices"), ("PUT", "/v1/prices/overrides"), ("POST", "/v1/prices/recost")] {
        let refused = replica.change(method, path, &table(1));
        assert!(
            refused.status == 403 && refused.text().contains("primary_only"),
            "{method} {path}: {}",
            refused.text()
        );
    }
    replica.stop();
}

#[test]
fn invalid_tables_are_refused_with_what_to_write_and_change_nothing() {
    let node = Node::primary();
    assert_eq!(node.change("PUT", "/v1/prices/overrides", &table(2_000_000)).status, 204);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut table = table(1);
        change(&mut table);
        table
    };
    for (table, part) in [
        (table(-5), "the rate of input is negative, -5"),
        (
            changed(&|table| table["models"][0]["tiers"][0]["rate"]["input"] = json!(0.5)),
            "a whole number of pico-dollars",
        ),
        (changed(&|table| table["currency"] = json!("EUR")), "use USD"),
        (changed(&|table| table["models"][0]["tiers"] = json!([])), "1 to 32"),
        (changed(&|table| table["models"][0]["colour"] = json!("red")), "colour"),
        (changed(&|table| table["models"] = json!([table["models"][0], table["models"][0]])), "valid at the same time"),
    ] {
        let refused = node.change("PUT", "/v1/prices/overrides", &table);
        assert!([400, 422].contains(&refused.status), "{table}: {}", refused.text());
        assert!(refused.text().contains(part), "{part}: {}", refused.text());
    }
    assert_eq!(node.change("PUT", "/v1/prices/embedded", &table(1)).status, 400);
    assert_eq!(node.send("GET", "/v1/prices/imported", &[], b"").status, 404);
    let kept = node.send("GET", "/v1/prices/overrides", &[], b"").ok();
    assert_eq!(kept["models"][0]["tiers"][0]["rate"]["input"], 2_000_000);
    let token = json!({"name": "reader", "role": "reader"});
    let token = node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("shown once").to_owned();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for (method, path, body) in [
        ("PUT", "/v1/prices/overrides", table(1)),
        ("DELETE", "/v1/prices/overrides", Value::Null),
        ("GET", "/v1/prices/overrides", Value::Null),
        ("POST", "/v1/prices/recost", json!({})),
        ("POST", "/v1/prices/recost", json!({"dry_run": true})),
    ] {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        assert_eq!(node.send(method, path, &headers, body.as_bytes()).status, 403, "{method} {path}");
    }
}

#[test]
fn import_of_litellm_says_what_is_left_out_and_why() {
    let node = Node::primary();
    let chat = |input: f64| json!({"litellm_provider": "ours", "mode": "chat", "input_cost_per_token": input, "output_cost_per_token": 2e-6});
    let file = json!({
        "sample_spec": {"mode": "chat"},
        "made-up": chat(1e-6),
        "negative": chat(-1e-6),
        "picture": {"litellm_provider": "ours", "mode": "image_generation"},
    });
    let path = node.home().join("litellm.json");
    std::fs::write(&path, file.to_string()).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let _dry = line(&node, &["prices", "import", "--litellm", path, "--dry-run"])
        .ok()
        .says("1 model taken, 2 left out")
        .says("calls of mode image_generation are not priced by token (picture)")
        .says("input_cost_per_token is -1e-6, which is not a price (negative)")
        .says("nothing was changed (--dry-run)");
    assert_eq!(node.get("/v1/prices?model=made-up").ok()["prices"], json!([]));
    let _done = line(&node, &["prices", "import", "--litellm", path]).ok().says("imported 1 model in force");
    let found = node.get("/v1/prices?model=made-up").ok();
    assert_eq!((&found["prices"][0]["from"], found["prices"].as_array().map(Vec::len)), (&json!("imported"), Some(1)));
    assert_eq!(found["prices"][0]["price"]["tiers"][0]["rate"]["input"], 1_000_000);
}

#[test]
fn recosting_that_a_kill_ended_is_completed_by_the_next_run() {
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    call(&node, "many", 12_000);
    assert_eq!(node.change("PUT", "/v1/prices/overrides", &table(1_000_000)).status, 204);
    let first = node.change("POST", "/v1/prices/recost", &json!({})).ok();
    assert!(first["next"].is_u64() && first["changed_calls"].as_u64() < Some(12_000), "{first}");
    node.kill9();
    node.restart();
    let (priced, _) = spend(&node);
    assert_eq!(json!(priced), first["changed_calls"], "what was answered is durable");
    let _rest = line(&node, &["recost"]).ok().says(&format!("{} of 12000 calls cost something else", 12_000 - priced));
    assert_eq!(spend(&node), (12_000, "12".to_owned()));
}

#[test]
fn input_without_its_cached_part_costs_and_counts_the_same_as_over_otlp() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let usage = json!({"id": "plain", "prompt": "support/agent", "provider": "anthropic", "model": "claude-sonnet-4-5",
        "input_tokens": 7, "cache_read_tokens": 16_399, "cache_write_tokens": 2_089, "output_tokens": 445});
    let _answer = node.change("POST", "/v1/responses", &json!({"responses": [usage]})).ok();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number = |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let span = span_with(
        31,
        1,
        0,
        "chat",
        &[
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "anthropic"),
            text("gen_ai.response.model", "claude-sonnet-4-5"),
            text("gen_ai.response.id", "span"),
            text("gen_ai.prompt.name", "support/agent"),
            number("gen_ai.usage.input_tokens", 7),
            number("gen_ai.usage.cache_read.input_tokens", 16_399),
            number("gen_ai.usage.cache_creation.input_tokens", 2_089),
            number("gen_ai.usage.output_tokens", 445),
        ],
    );
    let _sent = export(&node, "/v1/traces", JSON, &traces(&[span])).ok();
    let [plain, span] = ["plain", "span"].map(|id| recorded(&node, id)["responses"][0].clone());
    assert_eq!((&plain["cost_usd"], &plain["input_tokens"]), (&json!("0.01944945"), &json!(18_495)), "{plain}");
    for field in ["cost_usd", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"] {
        assert_eq!(plain[field], span[field], "{field}");
    }
    // What is cached alone is no share above the whole.
    let cached = json!({"prompt": "support/agent", "model": "claude-sonnet-4-5", "cache_read_tokens": 90_000});
    let _answer = node.change("POST", "/v1/responses", &json!({"responses": [cached]})).ok();
    let said = line(&node, &["costs"]).ok();
    assert!(
        said.stdout.contains("100.0 %") || said.stdout.contains("100 %") || said.stdout.contains("100%"),
        "{said:#?}"
    );
}
