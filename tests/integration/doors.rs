//! The same forbidden command through every entry point: the same error, and the same audit entry.

use std::fs;

use serde_json::{Value, json};

use crate::support::node::{Launch, segment};
use crate::support::team::{AGENT, Team};

/// The error of a move without an approval.
const UNMET: &str =
    "cannot deploy to support/agent@production: policy production requires 1 approval of this exact change (0 so far)";
/// The error of a move without permission to deploy.
const FORBIDDEN: &str = "permission denied: `ann` is not granted `deploy` on support/agent@production";

fn team() -> (Team, std::path::PathBuf) {
    let launch = Launch::primary();
    let folder = launch.data.with_file_name("prompts");
    fs::create_dir(&folder).expect("a folder");
    let launch = launch.args(["--watch".into(), folder.clone().into_os_string()]);
    let team = Team::start(launch, &json!({"approvals": 1}));
    for text in ["one", "two", "three"] {
        team.publish("ann", text);
    }
    // Version 2 and then 1 were live once; back to anything but the last takes what a deployment takes.
    for version in [2, 1] {
        let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": version}}]);
        let glass = json!({"moves": moves, "message": "m", "break_glass": "a test"});
        let _done = team.send("admin", "POST", "/v1/deployments", &glass).ok();
    }
    (team, folder)
}

/// What was recorded from a commit on: who was refused what, and why.
fn refusals(team: &Team, from: u64) -> Vec<Value> {
    team.audit_from(from).into_iter().filter(|entry| entry["decision"] == "denied").collect()
}

/// An entry point for moving `production`; returns its error.
type Door = (&'static str, &'static str, fn(&Team, &str) -> String);

fn detail(answer: &crate::support::answer::Answer) -> String {
    assert_eq!(answer.status, 403, "{}", answer.text());
    answer.json()["detail"].as_str().expect("a detail").to_owned()
}

fn moves() -> Value {
    json!([{"name": AGENT, "label": "production", "serving": {"version": 3}}])
}

fn text_of(name: &str, team: &Team) -> String {
    let path = team.node.home().join(name);
    fs::write(&path, "four").expect("a file");
    path.to_str().expect("a path").to_owned()
}

const DOORS: &[Door] = &[
    ("deploy", "HTTP", |team, who| {
        detail(&team.send(who, "POST", "/v1/deployments", &json!({"moves": moves(), "message": "m"})))
    }),
    ("deploy", "command line", |team, who| {
        team.run(who, ["deploy", "support/agent@3", "--to", "production", "-m", "m"]).fails(1).stderr
    }),
    ("deploy", "promotion", |team, who| {
        // Staging has the version that may not go live.
        let staged = json!([{"name": AGENT, "label": "staging", "serving": {"version": 3}}]);
        let _staged = team.send("admin", "POST", "/v1/deployments", &json!({"moves": staged, "message": "m"}));
        let body = json!({"pattern": "support/*", "from": "staging", "to": "production", "message": "m"});
        detail(&team.send(who, "POST", "/v1/promotions", &body))
    }),
    ("deploy", "promotion on the command line", |team, who| {
        let line = ["promote", "support/*", "--from", "staging", "--to", "production", "-m", "m"];
        team.run(who, line).fails(1).stderr
    }),
    ("publish", "HTTP", |team, who| {
        let path = format!("/v1/prompts/{}/versions", segment(AGENT));
        let content = json!({"syntax": "plain", "text": "four"});
        detail(&team.send(who, "POST", &path, &json!({"content": content, "message": "m", "labels": ["production"]})))
    }),
    ("publish", "command line", |team, who| {
        let file = text_of("four.txt", team);
        team.run(who, ["publish", AGENT, "--file", &file, "--label", "production", "-m", "m"]).fails(1).stderr
    }),
    ("publish", "push of a folder", |team, who| {
        let folder = team.node.home().join("pushed/support");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("agent.prompt"), "four").expect("a file");
        let folder = team.node.home().join("pushed");
        let said =
            team.run(who, ["push", folder.to_str().expect("a path"), "--label", "production", "-m", "m"]).run().1;
        format!("{}{}", said.stdout, said.stderr)
    }),
    ("publish", "draft", |team, who| {
        let draft = format!("/v1/prompts/{}/drafts/mine", segment(AGENT));
        let content = json!({"syntax": "plain", "text": "four"});
        let _saved = team.send(who, "PUT", &draft, &json!({"content": content})).ok();
        let body = json!({"message": "m", "labels": ["production"]});
        detail(&team.send(who, "POST", &format!("{draft}/publication"), &body))
    }),
    ("deploy", "change request", |team, who| {
        let asked = team.send("ann", "POST", "/v1/requests", &json!({"message": "m", "moves": moves()})).ok();
        let path = format!("/v1/requests/{}", asked["id"]);
        let said = detail(&team.send(who, "POST", &format!("{path}/application"), &json!({})));
        let _gone =
            team.send("ann", "POST", &format!("{path}/reviews"), &json!({"kind": "withdraw", "message": "m"})).ok();
        said
    }),
    ("rollback", "HTTP", |team, who| {
        let path = format!("/v1/prompts/{}/labels/production/rollback", segment(AGENT));
        detail(&team.send(who, "POST", &path, &json!({"message": "m", "to": 3})))
    }),
    ("rollback", "command line", |team, who| {
        let line = ["rollback", AGENT, "--label", "production", "--to", "3", "-m", "m"];
        team.run(who, line).fails(1).stderr
    }),
];

fn check(who: &str, said: &str) {
    let (team, _folder) = team();
    let live = || team.node.get("/v1/resolve/support/agent").ok()["version"].clone();
    for (command, door, try_it) in DOORS {
        let from = team.next();
        let heard = try_it(&team, who);
        assert!(heard.contains(said), "{door}: {heard}");
        let recorded = refusals(&team, from);
        let [entry] = recorded.as_slice() else { panic!("{door}: {recorded:?}") };
        let method = format!("access token {who}");
        let fields =
            ["actor", "actor_kind", "method", "command", "reason", "message"].map(|field| entry[field].clone());
        assert_eq!(fields, [who, "person", &method, command, said, "m"].map(|text| json!(text)), "{door}");
        let is_place = |one: &Value| {
            (&one["kind"], &one["prompt"], &one["label"])
                == (&json!("label"), &json!("support/agent"), &json!("production"))
        };
        let about = entry["subjects"].as_array().is_some_and(|all| all.iter().any(is_place));
        assert!(about, "{door}: {entry}");
        assert!(entry["request_id"].is_string(), "{door}: {entry}");
        assert_eq!(live(), 1, "{door}");
    }
}

#[test]
fn missing_approval_is_denied_at_every_entry_point() {
    check("rob", UNMET);
}

#[test]
fn missing_grant_is_denied_at_every_entry_point() {
    check("ann", FORBIDDEN);
}

#[test]
fn watched_folder_and_import_check_policies() {
    let (team, folder) = team();
    let from = team.next();
    fs::create_dir_all(folder.join("support")).expect("a folder");
    fs::write(folder.join("support/agent.prompt"), "---\nlabels: [production]\n---\nfour").expect("a file");
    let refused = team.node.until("the folder's refusal", || refusals(&team, from).into_iter().next());
    assert_eq!(
        (&refused["actor"], &refused["actor_kind"], &refused["method"]),
        (&json!("operator"), &json!("system"), &json!("folder watch"))
    );
    assert_eq!((&refused["command"], &refused["reason"]), (&json!("publish"), &json!(UNMET)));
    team.node.until_logged(UNMET);

    let from = team.next();
    let now = bookholder::model::time::Timestamp::from_ms(bookholder::clock::Clock::now_ms(
        &bookholder::clock::SystemClock::new(),
    ));
    let change = json!({"id": "x1", "at": now, "author": "somebody", "message": "m", "name": AGENT, "text": "four"});
    let imported = team.send("admin", "POST", "/v1/import", &json!({"changes": [change]})).ok();
    assert_eq!(imported["refused"][0]["problem"]["detail"], json!(UNMET), "{imported}");
    let recorded = refusals(&team, from);
    assert_eq!((&recorded[0]["command"], &recorded[0]["reason"]), (&json!("import"), &json!(UNMET)));
    assert_eq!(team.node.get("/v1/resolve/support/agent").ok()["version"], 1);
    assert_eq!(team.node.get("/v1/prompts/support%2Fagent").ok()["latest"], 3, "nothing was published");
}
