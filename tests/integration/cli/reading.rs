//! Getting, listing, comparing, and looking into the past.

use serde_json::{Value, json};

use super::{line, publish};
use crate::support::command::bookholder;
use crate::support::node::Node;

#[test]
fn get_prints_exact_bytes_and_renders_variables() {
    let node = Node::primary();
    publish(&node, "a/b-c.d", "Hello {{who}}, {{n}} times.\n\n", &["--label", "production"]);
    let name = "a/b-c.d";
    assert_eq!(line(&node, &format!("get {name}")).ok().stdout, "Hello {{who}}, {{n}} times.\n");
    assert_eq!(line(&node, &format!("get {name}@1 --var who=Ada --var n:=3")).ok().stdout, "Hello Ada, 3 times.\n");
    let stamp = line(&node, &format!("get {name} --stamp")).ok().stdout;
    assert!(stamp.starts_with("a/b-c.d@1+"), "{stamp}");
    let resolved = line(&node, &format!("get {name} --json")).ok().json();
    let keys: Vec<_> = resolved.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = ["name", "version", "content_id", "label", "content", "stamp", "assignment", "telemetry"];
    expected.sort_unstable();
    let mut found = keys;
    found.sort_unstable();
    assert_eq!(found, expected);
    let rendered = line(&node, &format!("get {name} --var who=Ada --var n:=3 --var whom=Bo")).ok();
    assert_eq!(rendered.stdout, "Hello Ada, 3 times.\n");
    let _said = rendered.says("note: ignored, as this version has no such variable: `whom`");
    let refused = line(&node, &format!("get {name} --var whom=Ada --strict")).fails(1);
    let _said = refused.says("`who`").says("`n`").says("`whom`");
    let _said = line(&node, &format!("get {name} --var n:=three")).fails(2).says("invalid JSON after :=");
    let id = resolved["content_id"].as_str().expect("an id");
    let by_content = format!("{}@{}", "a/b-c.d", &id[..15]);
    let _said = bookholder(["get", &by_content, "--stamp"]).server(&node).ok().says("@1+");
}

#[test]
fn list_takes_a_prefix_or_a_pattern() {
    let node = Node::primary();
    for name in ["support/agent", "support/de/agent", "tone"] {
        publish(&node, name, "Hi", &[]);
    }
    let names = |arguments: &str| {
        let found = line(&node, &format!("{arguments} --json")).ok().json();
        let rows = found["items"].as_array().expect("rows").clone();
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("ls support/"), ["support/agent", "support/de/agent"]);
    assert_eq!(names("list support/*"), ["support/agent"]);
    assert_eq!(names("list **/agent"), ["support/agent", "support/de/agent"]);
    assert_eq!(names("list **/agent --limit 1"), ["support/agent"]);
    assert_eq!(names("list agent"), [""; 0]);
}

#[test]
fn same_subject_always_gets_the_same_version() {
    let node = Node::primary();
    publish(&node, "a", "one", &[]);
    publish(&node, "a", "two", &[]);
    let _said = line(&node, "deploy a@1=50 a@2=50 --to production -m halves").ok();
    let version = |subject: &str| {
        let answer = line(&node, &format!("get a --json --subject {subject}")).ok().json();
        assert_eq!(answer["assignment"]["sticky"], true, "{answer}");
        answer["version"].as_u64().expect("a version")
    };
    let versions: Vec<u64> = (0..12).map(|number| version(&format!("user-{number}"))).collect();
    assert!(versions.contains(&1) && versions.contains(&2), "{versions:?}");
    assert_eq!((0..12).map(|number| version(&format!("user-{number}"))).collect::<Vec<_>>(), versions);
    let _said = line(&node, "get a").ok().says("chosen at random; use --subject");
    let sticky = line(&node, "get a --subject user-1").ok();
    assert!(!sticky.stderr.contains("chance"), "{}", sticky.stderr);
}

#[test]
fn get_with_a_label_fetches_every_prompt_that_matches() {
    let node = Node::primary();
    for name in ["support/agent", "support/tone", "sales/agent"] {
        publish(&node, name, &format!("text of {name}"), &["--label", "production"]);
    }
    let found = bookholder(["get", "support/**", "--label", "production"]).server(&node).ok().json();
    let references: Vec<&Value> =
        found["answers"].as_array().expect("answers").iter().map(|item| &item["reference"]).collect();
    assert_eq!(references, ["support/agent@production", "support/tone@production"]);
    let stamps = bookholder(["get", "*/agent", "--label", "production", "--stamp"]).server(&node).ok().stdout;
    assert_eq!(
        stamps.lines().map(|line| line.split('+').next().unwrap_or_default()).collect::<Vec<_>>(),
        ["sales/agent@1", "support/agent@1"]
    );
    let nothing = bookholder(["get", "none/*", "--label", "staging"]).server(&node).ok();
    assert_eq!(nothing.json()["answers"], json!([]));
    let _said = nothing.says("note: no prompt that matches none/* has the label staging");
    let _said =
        bookholder(["get", "support/*"]).server(&node).fails(1).says("hint: to fetch every prompt").says("--label");
    let _said = bookholder(["get", "a\nb", "--label", "production"]).server(&node).fails(2).says("invalid pattern");
    let _said = bookholder(["get", "a*", "--label", "production", "--var", "a=b"]).server(&node).fails(2);
}

#[test]
fn parts_not_printed_to_a_pipe_are_named_on_stderr() {
    let node = Node::primary();
    let file = "---\nmodel: m\nresponse_schema: {type: object}\n---\n{{role \"user\"}}Hi\n";
    publish(&node, "chat", file, &["--label", "production"]);
    let printed = line(&node, "get chat").ok().says("note: not printed: the model, the response schema; use --json");
    assert!(printed.stdout.starts_with('['), "{}", printed.stdout);
    publish(&node, "bare", "{{role \"user\"}}Hi\n", &["--label", "production"]);
    assert_eq!(line(&node, "get bare").ok().stderr, "");
}

#[test]
fn weights_not_adding_to_100_are_printed_as_shares() {
    let node = Node::primary();
    publish(&node, "a", "one", &[]);
    publish(&node, "a", "two", &[]);
    let _said =
        line(&node, "deploy a@1=60 a@2=60 --to staging -m even").ok().says("a: version 1 gets 50%, version 2 gets 50%");
    let _said = line(&node, "deploy a@1=2 a@2=1 --to staging -m third")
        .ok()
        .says("version 1 gets 66.67%, version 2 gets 33.33%");
}

#[test]
fn at_returns_what_was_served_at_that_time() {
    let node = Node::primary();
    publish(&node, "a", "one", &["--label", "production"]);
    publish(&node, "a", "two", &["--label", "production"]);
    let _said = line(&node, "remove a -m gone").ok();
    let history = line(&node, "history a --label production --json").ok().json();
    let at = |index: usize| history["items"][index]["at"].as_str().expect("a time").to_owned();
    assert_eq!(history["items"].as_array().map(Vec::len), Some(3), "{history}");
    assert_eq!(line(&node, &format!("get a --at {}", at(2))).ok().stdout, "one");
    assert_eq!(line(&node, &format!("get a --at {}", at(1))).ok().stdout, "two");
    let _said = line(&node, &format!("get a --at {}", at(0))).fails(1).says("was removed");
    let _said = line(&node, "get a --at 2001-01-01T00:00:00Z").fails(1);
    let _said = line(&node, "get a --at someday").fails(2).says("write 2026-03-20");
    let said = line(&node, "history a --label production").ok();
    assert!(said.stdout.starts_with("WHEN (UTC)"), "{said:#?}");
    let _said = said.says("remove").says("2 → —").says("1 → 2").says("— → 1").says("gone");
    let everywhere = line(&node, "history --limit 1").ok().says("a@");
    assert_eq!(everywhere.stdout.lines().count(), 2, "{everywhere:#?}");
}

#[test]
fn prompts_versions_and_differences_are_listed() {
    let node = Node::primary();
    publish(&node, "shared/tone", "Be kind.", &["--label", "production"]);
    let chat = "---\nmodel: gpt-4o\nvariables:\n  shop: {required: true, description: whom we speak for}\n---\n\
        {{role \"system\"}}\nYou help {{shop}}.\n{{history}}\n";
    publish(&node, "support/agent", chat, &["--label", "production"]);
    let chat = chat.replace("gpt-4o", "gpt-5").replace("You help", "You politely help");
    publish(&node, "support/agent", &chat, &["--label", "staging"]);
    publish(&node, "gone", "x", &[]);
    let _said = line(&node, "remove gone -m gone").ok();

    let list = line(&node, "list").ok();
    assert!(list.stdout.starts_with("NAME") && !list.stdout.contains("gone"), "{list:#?}");
    let _said = list.says("support/agent  2").says("production 1 · staging 2");
    let rows = line(&node, "list --no-headers").ok().stdout;
    assert!(rows.starts_with("shared/tone") && rows.lines().count() == 2, "{rows}");
    let _said = line(&node, "list --removed").ok().says("removed 20");
    let names = |said: Value| {
        said["items"].as_array().expect("items").iter().map(|item| item["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(line(&node, "list support/ --json").ok().json()), ["support/agent"]);
    assert_eq!(line(&node, "list --limit 1 --json").ok().json()["items"].as_array().map(Vec::len), Some(1));

    let _said = line(&node, "log support/agent").ok().says("VERSION").says("production").says("staging, latest");
    let log = line(&node, "log support/agent --json").ok().json();
    assert_eq!((&log["items"][0]["number"], &log["items"][1]["number"]), (&json!(2), &json!(1)));
    let _said = line(&node, "log nobody").fails(1).says("there is no prompt `nobody`");

    let diff = line(&node, "diff support/agent").ok().says("support/agent@1 → support/agent@2");
    let _said =
        diff.says("message 1 → 1").says("-You help {{shop}}.").says("+You politely help {{shop}}.").says("gpt-5");
    let diff = line(&node, "diff support/agent production 2 --json").ok().json();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let diff = line(&node, "diff support/agent@production support/agent@2 --json").ok().json();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let said = line(&node, "diff support/agent@1 shared/tone@1").fails(2);
    let _said = said.says("cannot compare support/agent with shared/tone@1").says("two versions of one prompt");
    let _said =
        line(&node, "get support/agent@canary").fails(1).says("a label exists once something is deployed to it");
    let _said = line(&node, "diff support/agent 1 1").ok().says("the versions are identical");
    let _said = line(&node, "diff support/agent 1 9").fails(1).says("has no version 9");

    let _said = line(&node, "show support/agent").ok().says("2 versions").says("staging").says("production");
    let shown = line(&node, "show support/agent@1").ok();
    let _said = shown.says("gpt-4o").says("variables  shop").says("why").says("b3:");
    let shown = line(&node, "show support/agent@staging --json").ok().json();
    assert_eq!((&shown["number"], &shown["content"]["model"]["name"]), (&json!(2), &json!("gpt-5")));
    let messages = line(&node, "get support/agent").ok().json();
    assert_eq!(messages[0]["role"], "system");
    assert_eq!(messages[1], json!({"type": "placeholder", "name": "history"}));

    let file = node.home().join("chat.json");
    std::fs::write(&file, r#"[{"role": "user", "content": "Where is it?"}]"#).expect("a file");
    let history = format!("history={}", file.display());
    let rendered =
        bookholder(["get", "support/agent", "--var", "shop=Globe", "--messages", &history]).server(&node).ok().json();
    assert_eq!(
        rendered,
        json!([{"role": "system", "content": "You help Globe."}, {"role": "user", "content": "Where is it?"}])
    );
    let missing = bookholder(["get", "support/agent", "--var", "shop=Globe"]).server(&node).ok();
    let _said = missing.says("`history`");
}

#[test]
fn differences_are_counted_by_part_or_left_to_another_program() {
    let node = Node::primary();
    for text in ["Hello.\nHow are you?\n", "Hello.\nHow can I help?\nBe brief.\n"] {
        publish(&node, "support/agent", text, &["--label", "production"]);
    }
    let stat = line(&node, "diff support/agent 1 2 --stat --no-headers").ok().stdout;
    assert_eq!(stat, "support/agent@1 → support/agent@2\ntext  +2  -1\n");
    let _said = line(&node, "diff support/agent 1 1 --stat").ok().says("the versions are identical");

    let tool = |tool: &str| bookholder(["diff", "support/agent", "1", "2", "--tool", tool]).server(&node);
    let _said = tool("diff -u").ok().says("support-agent@1.prompt").says("-How are you?").says("+Be brief.");
    let _said = tool("no-such-program").fails(1).says("`no-such-program` failed: exit status: 127");
}

#[test]
fn time_pasted_from_history_works_with_at() {
    let node = Node::primary();
    publish(&node, "a", "one", &["--label", "production"]);
    publish(&node, "a", "two", &["--label", "production"]);
    let history = line(&node, "history a").ok().stdout;
    let newest = history.lines().nth(1).and_then(|row| row.get(..19)).expect("a row with a time").to_owned();
    let at = |time: &str| bookholder(["get", "a", "--at", time]).server(&node);
    assert_eq!(at(&newest).ok().stdout, "two", "{history}");
    let _said = at("2020-01-01").fails(1);
    let _said = at("2999-01-01 10:00").fails(2).says("2999-01-01T10:00:00Z is in the future");
    let _said = at("tomorrow").fails(2).says("`tomorrow` is not a time; write 2026-03-20");
    for (method, path, body) in [
        ("GET", "/v1/resolve/a?at=2999-01-01T10:00:00Z", ""),
        ("POST", "/v1/resolve", r#"{"references": ["a"], "at": "2999-01-01T10:00:00Z"}"#),
        ("POST", "/v1/render/a", r#"{"at": "2999-01-01T10:00:00Z"}"#),
    ] {
        let refused = node.send(method, path, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(refused.status, 400, "{path}: {}", refused.text());
        assert!(refused.text().contains("is in the future"), "{path}: {}", refused.text());
    }
}
