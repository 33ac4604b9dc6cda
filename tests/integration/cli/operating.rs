//! Status, access tokens, the audit log, keys and completions.

use serde_json::{Value, json};

use super::{line, publish};
use crate::support::command::{bookholder, program};
use crate::support::node::{ADMIN, Launch, Node};

#[test]
fn status_shows_primary_and_replica() {
    let primary = Node::primary();
    publish(&primary, "a", "text", &[]);
    let _said = line(&primary, "status").ok().says("primary").says("position   1.2").says("fresh since");
    let status = line(&primary, "status --json").ok().json();
    for field in ["role", "registry", "version", "position", "state", "entries", "freshness", "stale", "since", "age_s"]
    {
        assert!(!status[field].is_null(), "{field}: {status}");
    }
    let mut replica = Node::replica(&primary);
    let _said = line(&replica, "status").ok().says("replica").says("contact").says("expires");
    let report =
        primary.until("the replica reports", || Some(primary.status()["replicas"][0].clone()).filter(Value::is_object));
    for field in ["replica", "position", "freshness", "version", "at"] {
        assert!(report[field].is_string(), "{field}: {report}");
    }
    let _said = line(&primary, "status").ok().says("REPLICA").says(report["replica"].as_str().expect("a name"));
    let said = line(&replica, "publish b --file - -m why").input("x").fails(1).says("this node is a read-only replica");
    let _said = said.says(&primary.url()).says("send the request to the primary");
    replica.stop();
}

#[test]
fn readiness_is_an_exit_code_that_needs_no_access_token() {
    let mut primary = Node::primary();
    let ready = |node: &Node, arguments: &str| {
        let command = line(node, format!("status --ready {arguments}").trim());
        command.env("BOOKHOLDER_TOKEN", "")
    };
    let _said = ready(&primary, "").ok().says("ready");
    assert_eq!(ready(&primary, "--json").ok().json(), json!({ "ready": true, "detail": "ready" }));
    let _said = line(&primary, "status --max-age 5").fails(2).says("--ready");

    let empty = Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", "http://127.0.0.1:1"]).start();
    let _said = ready(&empty, "").exits(1).says("has no verified state yet");
    assert_eq!(ready(&empty, "--json").exits(1).json()["ready"], false);

    let replica = Node::replica(&primary);
    replica.until("it follows", || (replica.get("/readyz").status == 200).then_some(()));
    primary.stop();
    let too_old = || Some(ready(&replica, "--max-age 0").run()).filter(|(code, _)| *code == Some(1));
    let (_, said) = replica.until("its contact is too old", too_old);
    let _said = said.says("0 s");
    let _said = ready(&replica, "").ok().says("ready");
    let _said = ready(&primary, "").fails(3).says("is a node running there?");
}

#[test]
fn tokens_are_created_shown_once_and_revoked() {
    let node = Node::primary();
    let said = line(&node, "token create edge-7 --role reader").ok();
    let token = said.stdout.trim().to_owned();
    assert!(token.starts_with("bh_") && said.stderr.contains("it is not shown again"), "{said:#?}");
    let with = |arguments: &str| line(&node, arguments).env("BOOKHOLDER_TOKEN", &token);
    let _said = with("list").ok();
    let _said = with("remove a -m why")
        .fails(1)
        .says("permission denied: `edge-7` is not granted")
        .says("roles that allow this: admin");
    let _said = with("audit log").fails(1).says("roles that allow this: admin, compliance");
    assert!(said.stderr.contains("edge-7 never expires") && said.stderr.contains("--expires"), "{said:#?}");
    let dated = line(&node, "token create dated --role reader --expires 90d").ok();
    assert!(dated.stderr.contains("dated expires 20") && !dated.stderr.contains("never"), "{dated:#?}");
    let rotated = line(&node, "token rotate dated").ok();
    assert!(rotated.stderr.contains("dated expires 20"), "rotating keeps the expiry: {rotated:#?}");
    let _said = line(&node, "token revoke dated").ok();
    let file = node.home().join("token");
    std::fs::write(&file, format!("{token}\n")).expect("a file");
    let with_file =
        |name: &str| bookholder(["whoami", "--token-file"]).arg(&file).server(&node).env("BOOKHOLDER_TOKEN", name);
    let _said = with_file(ADMIN).ok().says("edge-7");
    let _said = with_file("not a token").ok().says("edge-7");
    std::fs::write(&file, "not a token").expect("a file");
    let _said = with_file(ADMIN).fails(2).says("the access token in").says("is not valid");
    let _said = bookholder(["--help"]).ok().says("used instead of `$BOOKHOLDER_TOKEN`");
    let listed = line(&node, "token list").ok().says("edge-7").says("admin");
    assert!(!listed.stdout.contains("bh_"), "{listed:#?}");
    let listed = line(&node, "token list --json").ok().json();
    assert!(
        listed["items"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["token"].is_null())),
        "{listed}"
    );
    let _said =
        line(&node, "token create edge-7 --role admin").fails(1).says("an access token `edge-7` already exists");
    let _said = line(&node, "token create Edge! --role admin").fails(1).says("for an access token");
    let _said = line(&node, "token revoke edge-7").ok().says("revoked edge-7");
    let _said = with("list").fails(2).says("unknown access token");
    let _said = line(&node, "token revoke edge-7").fails(1).says("there is no access token `edge-7`");
    let name = listed["items"]
        .as_array()
        .expect("two")
        .iter()
        .find(|one| one["principal"] == "admin")
        .expect("an admin")["name"]
        .clone();
    let last = format!("token revoke {}", name.as_str().expect("a name"));
    let _said = line(&node, &last).fails(1).says("is the only one who can manage access");
    let made = line(&node, "token create ci --role replica --json").ok().json();
    assert_eq!((&made["name"], &made["principal"]), (&json!("ci"), &json!("ci")));
}

#[test]
fn audit_log_shows_actor_command_and_message() {
    let node = Node::primary();
    publish(&node, "a", "one", &["--label", "production"]);
    let _said = line(&node, "remove a -m no_longer_needed").ok();
    let _said = line(&node, "audit log").ok().says("publish").says("remove").says("no longer needed");
    let log = line(&node, "audit log --json").ok().json();
    let entries = log["items"].as_array().expect("entries");
    assert!(entries.windows(2).all(|pair| pair[1]["previous"] == pair[0]["hash"]), "{log}");
    assert_eq!(line(&node, "audit log --limit 1 --json").ok().json()["items"].as_array().map(Vec::len), Some(1));
    let _said = line(&node, "audit verify").ok().says(&format!("✓ {} entries verified", entries.len()));
    let verdict = line(&node, "audit verify --json").ok().json();
    assert_eq!((&verdict["whole"], &verdict["head"]), (&json!(true), &entries.last().expect("an entry")["hash"]));
}

#[test]
fn keys_are_shown_while_the_primary_runs_and_after() {
    let mut node = Node::primary();
    let running = bookholder(["keys", "show", "--json", "--data"]).arg(node.data()).ok().json();
    let _said =
        bookholder(["keys", "show", "--data"]).arg(node.data()).ok().says("for --root-key").says("signs epoch 1");
    node.stop();
    let stopped = bookholder(["keys", "show", "--json", "--data"]).arg(node.data()).ok().json();
    assert_eq!(running, stopped);
    assert!(running["root_key"].as_str().expect("a key").starts_with("bk1-"), "{running}");
    assert_eq!((&running["threshold"], &running["epoch"]), (&json!(1), &json!(1)));
    let nowhere = node.home().join("nowhere");
    let _said = bookholder(["keys", "show", "--data"]).arg(&nowhere).fails(2).says("does not contain a registry");
    let _said = bookholder(["verify", "--data"]).arg(&nowhere).fails(2).says("does not contain a registry");
    assert!(!nowhere.exists(), "looking makes nothing");
    let summary = bookholder(["verify", "--data"]).arg(node.data()).ok();
    let _said = summary.says("root key").says("position").says("holds").says("audit").says("verified:");
}

#[test]
fn completions_of_an_unknown_shell_are_refused() {
    let _said = bookholder(["completions", "cobol"]).fails(2).says("cobol");
}

#[test]
fn backups_bundles_and_reports_are_not_written_into_a_folder_that_is_not_there() {
    let node = Node::primary();
    let missing = node.home().join("usb");
    for verb in [&["backup"][..], &["bundle", "export"], &["report", "--from", "2026-01-01", "--out"]] {
        let said = bookholder(verb).arg(missing.join("file")).server(&node).fails(2);
        let _said = said.says("/usb does not exist").says("mount its disk");
        assert!(!missing.exists(), "{verb:?} made a folder where a disk should be");
    }
}

#[test]
fn backup_to_the_standard_output_is_a_whole_one() {
    let node = Node::primary();
    node.publish("a", "text");
    let file = node.home().join("piped.backup");
    let mut command = program(None);
    command.args(["backup", "-"]).env("BOOKHOLDER_SERVER", node.url()).env("BOOKHOLDER_TOKEN", ADMIN);
    let status = command.stdout(std::fs::File::create(&file).expect("a file")).status().expect("a process");
    assert!(status.success(), "{status}");
    let restored = node.home().join("restored");
    let _said = bookholder(["restore"])
        .arg(&file)
        .arg("--data")
        .arg(&restored)
        .arg("--keys")
        .arg(node.data().join("keys"))
        .ok();
    let _said = bookholder(["verify", "--data"]).arg(&restored).ok().says("verified:");
}
