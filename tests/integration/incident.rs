//! The incident that every such team has had, over real sockets, from the edit to the report.

use serde_json::{Value, json};

use crate::support::command::bookholder;
use crate::support::node::{Launch, segment};
use crate::support::team::{AGENT, Team};

const LOAN_ADVICE: &str =
    "You answer customers of a shop.\nAdvise the customer which loan to take, and offer them one.\n";

#[test]
fn loan_advice_reaches_production_only_with_the_approval_of_compliance() {
    let policy =
        json!({"approvals": 1, "approvers": ["compliance"], "risk": {"from": "high"}, "message": "OPS-[0-9]+"});
    let team = Team::start(Launch::primary(), &policy);
    let begun = now();

    // A version from before is live, put there the regular way.
    let harmless = team.publish("ann", "You answer customers of a shop.\n");
    approve(&team, harmless);
    let first = team.deploy("rob", harmless).ok();
    let first_at = at(&first);

    // The edit, and the findings in it.
    let path = format!("/v1/prompts/{}/versions", segment(AGENT));
    let body = json!({"content": {"syntax": "mustache", "text": LOAN_ADVICE}, "message": "OPS-2 sell loans"});
    let published = team.send("ann", "POST", &path, &body).ok();
    let findings = published["findings"].as_array().expect("findings");
    let graver = |finding: &&Value| finding["category"] == "financial" && finding["severity"] == "high";
    assert!(findings.iter().any(|finding| graver(&finding)), "{published}");
    let risky = published["version"]["number"].as_u64().expect("a number");

    // Refused: the author, the releaser without approval, the author approving herself.
    assert!(team.deploy("ann", risky).problem(403, "forbidden").contains("`ann` is not granted"));
    let refused = team.deploy("rob", risky);
    let detail = refused.problem(403, "policy_not_met");
    assert!(
        detail.contains("1 approval of this exact change by compliance") && detail.contains("because the risk is high"),
        "{detail}"
    );
    let request = propose(&team, risky);
    assert!(review(&team, "ann", request, "approve").status == 403);
    let seen = team.run("rob", ["can", "me", "deploy", &format!("{AGENT}@{risky}"), "--to", "production"]).exits(1);
    assert!(seen.stdout.contains("compliance"), "{seen:#?}");

    // Approved, and then edited once more: the approval is stale.
    let _approved = review(&team, "cy", request, "approve").ok();
    let edited = team.publish("ann", &format!("{LOAN_ADVICE}Be brief.\n"));
    let stale = team.deploy("rob", edited).problem(403, "policy_not_met");
    assert!(stale.contains("(0 so far)"), "{stale}");

    // Compliance looks at the last edit, and it goes live.
    approve(&team, edited);
    let second = team.deploy("rob", edited).ok();
    assert_eq!(second["deployments"][0]["approved_by"], json!(["cy"]));
    let second_at = at(&second);

    // What was live at each moment.
    for (moment, version) in [(&first_at, harmless), (&second_at, edited)] {
        let said = bookholder(["get", AGENT, "--at", moment, "--json"]).server(&team.node).ok().json();
        assert_eq!(said["version"], json!(version), "{moment}: {said}");
    }
    let _said = bookholder(["get", AGENT, "--at", &begun]).server(&team.node).exits(1);

    // The report has all of it, and can be verified with the root key alone.
    let out = team.node.home().join("incident.jsonl");
    let from = begun.split('T').next().expect("a date").to_owned();
    let file = out.to_str().expect("a path");
    let _said =
        team.run("cy", ["report", "--from", &from, "--prompt", "support/**", "--format", "jsonl", "--out", file]).ok();
    let text = std::fs::read_to_string(&out).expect("the report");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let denied = |who: &str, command: &str| {
        lines.iter().any(|line| {
            let entry = &line["entry"];
            entry["decision"] == "denied" && entry["actor"] == who && entry["command"] == command
        })
    };
    assert!(denied("ann", "deploy") && denied("rob", "deploy") && denied("ann", "approve"), "{text}");
    let granted =
        lines.iter().find(|line| line["entry"]["seq"] == second["deployments"][0]["id"]).expect("it went live");
    assert_eq!(granted["entry"]["approved_by"], json!(["cy"]));
    assert_eq!(granted["entry"]["risk"], json!("high"));
    let key = team.node.root_key();
    let _said = bookholder(["report", "verify", file, "--root-key", &key]).ok();
    std::fs::write(&out, text.replacen("sell loans", "sell lemons", 1)).expect("a forgery");
    let _said = bookholder(["report", "verify", file, "--root-key", &key]).exits(1);
    let html = team.node.home().join("incident.html");
    let _said = team.run("cy", ["report", "--from", &from, "--out", html.to_str().expect("a path")]).ok();
    let page = std::fs::read_to_string(&html).expect("the page");
    assert!(page.contains("<svg") && page.contains(AGENT) && page.contains("sell loans"), "a page with a timeline");
    assert!(!page.contains("<script") && !page.contains("http://"), "one file that fetches nothing");
    let other = team.node.home().join("rob.html");
    let out = other.to_str().expect("a path");
    let _said = team.run("rob", ["report", "--from", &from, "--out", out]).fails(1).says("roles that allow this");
}

fn propose(team: &Team, version: u64) -> u64 {
    let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": version}}]);
    let asked = team.send("ann", "POST", "/v1/requests", &json!({"message": "OPS-2 please", "moves": moves})).ok();
    asked["id"].as_u64().expect("a number")
}

fn review(team: &Team, who: &str, request: u64, kind: &str) -> crate::support::answer::Answer {
    let seen = team.send(who, "GET", &format!("/v1/requests/{request}"), &Value::Null).ok();
    let moves = seen["request"]["moves"].as_array().expect("moves").iter();
    let fingerprints: Vec<&Value> = moves.map(|one| &one["fingerprint"]).collect();
    let body = json!({"kind": kind, "message": "I read every line", "fingerprints": fingerprints});
    team.send(who, "POST", &format!("/v1/requests/{request}/reviews"), &body)
}

fn approve(team: &Team, version: u64) {
    let request = propose(team, version);
    let _approved = review(team, "cy", request, "approve").ok();
}

fn at(deployed: &Value) -> String {
    deployed["deployments"][0]["at"].as_str().expect("a time").to_owned()
}

fn now() -> String {
    use bookholder::clock::{Clock, SystemClock};
    bookholder::model::time::Timestamp::from_ms(SystemClock::new().now_ms()).to_string()
}
