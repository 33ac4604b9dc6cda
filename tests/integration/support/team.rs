//! A registry with five people, each with an access token of their own, over real sockets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::Answer;
use super::command::{Bookholder, bookholder};
use super::node::{ADMIN, Launch, Node, segment};

/// What the people are asked about.
pub const AGENT: &str = "support/agent";

/// A node with principals: ann writes, rob and ivy release, cy is compliance, and an admin.
pub struct Team {
    pub node: Node,
    tokens: BTreeMap<&'static str, String>,
}

impl Team {
    /// Starts a node, makes the people, and protects `production` of `support/**`.
    pub fn start(launch: Launch, policy: &Value) -> Self {
        let node = launch.start();
        let mut tokens = BTreeMap::from([("admin", ADMIN.to_owned())]);
        for (who, role) in [("ann", "author"), ("rob", "releaser"), ("ivy", "releaser"), ("cy", "compliance")] {
            let grants = json!([{"role": role, "prompts": if who == "cy" { "**" } else { "support/**" }}]);
            let person = json!({"name": who, "kind": "person", "grants": grants});
            let _made = node.change("POST", "/v1/principals", &person).ok();
            let token = node.change("POST", "/v1/tokens", &json!({"name": who, "principal": who})).ok();
            tokens.insert(who, token["token"].as_str().expect("shown once").to_owned());
        }
        let mut kept = json!({"name": "production", "prompts": "support/**", "labels": "production"});
        for (key, value) in policy.as_object().expect("a policy") {
            kept[key] = value.clone();
        }
        let _kept = node.change("PUT", "/v1/policies/production", &kept).ok();
        Self { node, tokens }
    }

    /// The access token of a principal.
    pub fn token(&self, who: &str) -> &str {
        &self.tokens[who]
    }

    /// Sends a request as a principal.
    pub fn send(&self, who: &str, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.tokens[who]);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.node.send(method, path, &[("authorization", &bearer), ("content-type", "application/json")], &body)
    }

    /// Runs the command line as a principal.
    pub fn run<'a>(&self, who: &str, arguments: impl IntoIterator<Item = &'a str>) -> Bookholder {
        bookholder(arguments).server(&self.node).env("BOOKHOLDER_TOKEN", &self.tokens[who])
    }

    /// Publishes a text; the number of its version.
    pub fn publish(&self, who: &str, text: &str) -> u64 {
        let body = json!({"content": {"syntax": "mustache", "text": text}, "message": "OPS-1 because"});
        let path = format!("/v1/prompts/{}/versions", segment(AGENT));
        self.send(who, "POST", &path, &body).ok()["version"]["number"].as_u64().expect("a number")
    }

    /// Lets production serve a version, or not.
    pub fn deploy(&self, who: &str, version: u64) -> Answer {
        let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": version}}]);
        self.send(who, "POST", "/v1/deployments", &json!({"moves": moves, "message": "OPS-1 now"}))
    }

    /// The newest audit entries, oldest first, from a commit on.
    pub fn audit_from(&self, seq: u64) -> Vec<Value> {
        let page = self.send("cy", "GET", &format!("/v1/audit?cursor={seq}&limit=1000"), &Value::Null).ok();
        page["items"].as_array().expect("entries").clone()
    }

    /// The commit that the next command will have.
    pub fn next(&self) -> u64 {
        let position = self.node.status()["position"].as_str().expect("a position").to_owned();
        position.split_once('.').and_then(|(_, seq)| seq.parse::<u64>().ok()).expect("a commit") + 1
    }
}
