//! Scores within what they declare, and of several types under one name.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::Node;

fn score(node: &Node, score: &Value) -> Answer {
    let mut whole = json!({"stamp": "support/agent@1", "name": "quality"});
    for (key, value) in score.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    node.change("POST", "/v1/scores", &json!({"scores": [whole]}))
}

#[test]
fn value_outside_what_a_score_declares_is_refused_by_its_field() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    for (sent, part) in [
        (json!({"value": 1.5, "min": 0, "max": 1}), "scores[0].value`: it is above `max`"),
        (json!({"value": -0.1, "min": 0}), "scores[0].value`: it is below `min`"),
        (json!({"value": 1, "min": 2, "max": 1}), "scores[0].min`: it is above `max`"),
        (json!({"value": "bad", "categories": ["good", "poor"]}), "scores[0].value`: it is not one of `categories`"),
        (json!({"value": 1, "categories": ["good", "poor"]}), "scores[0].value`: it is not one of `categories`"),
        (json!({"value": "good", "min": 0}), "scores[0].value`: use a number"),
        (json!({"value": true, "max": 1}), "scores[0].value`: `min`, `max`"),
        (json!({"value": "good", "min": 0, "categories": ["good"]}), "scores[0].categories`"),
        (json!({"value": "a", "categories": vec!["a"; 101]}), "scores[0].categories`: use at most 100"),
    ] {
        let said = score(&node, &sent).problem(422, "invalid_request");
        assert!(said.contains(part), "{sent}: {said}");
    }
    for sent in [
        json!({"value": 1, "min": 0, "max": 1}),
        json!({"value": 0, "min": 0, "max": 1}),
        json!({"value": "good", "categories": ["good", "poor"], "name": "verdict"}),
    ] {
        assert_eq!(score(&node, &sent).ok()["recorded"], 1, "{sent}");
    }
}

#[test]
fn numbers_and_flags_of_one_name_are_not_averaged_together() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    for (id, value) in
        [("1", json!(0.5)), ("2", json!(true)), ("3", json!("good")), ("4", json!(0.25)), ("5", json!(true))]
    {
        assert_eq!(score(&node, &json!({"id": id, "value": value})).ok()["recorded"], 1);
    }
    for (id, value) in [("6", json!(true)), ("7", json!(false))] {
        assert_eq!(score(&node, &json!({"id": id, "name": "solved", "value": value})).ok()["recorded"], 1);
    }
    let scores = node.get("/v1/prompts/support%2Fagent/stats").ok()["total"]["scores"].clone();
    let expected = json!([
        {"name": "quality", "n": 2, "mean": 0.375, "min": null, "max": null, "categories": {"good": 1, "true": 2}},
        {"name": "solved", "n": 2, "mean": 0.5, "min": 0.0, "max": 1.0, "categories": {"false": 1, "true": 1}},
    ]);
    assert_eq!(scores, expected);
}
