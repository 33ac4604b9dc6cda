//! What a shell completes, and what is suggested for a name that does not exist.

use std::process::Command;

use super::{line, publish};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

/// What is completed at the end of a line; `_` is an empty word.
fn complete(node: &Node, line: &str) -> Vec<String> {
    let said = asked(line).server(node).ok();
    assert_eq!(said.stderr, "");
    said.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

fn asked(line: &str) -> Bookholder {
    let words = line.split(' ').map(|word| if word == "_" { "" } else { word });
    bookholder(["--"]).args(words).env("_BOOKHOLDER_COMPLETE", "fish")
}

#[test]
fn names_labels_versions_and_contexts_are_completed() {
    let node = Node::primary();
    publish(&node, "support/agent", "one", &["--label", "production"]);
    publish(&node, "support/agent", "two", &["--label", "staging"]);
    publish(&node, "sales/agent", "one", &["--label", "canary"]);
    assert_eq!(complete(&node, "bookholder log su"), ["support/agent"]);
    assert_eq!(complete(&node, "bookholder get s"), ["sales/agent", "support/agent"]);
    let mut selectors = complete(&node, "bookholder get support/agent@");
    selectors.sort();
    let expected = ["1", "2", "latest", "production", "staging"].map(|selector| format!("support/agent@{selector}"));
    assert_eq!(selectors, expected);
    assert_eq!(complete(&node, "bookholder deploy support/agent@st"), ["support/agent@staging"]);
    assert_eq!(complete(&node, "bookholder rollback support/agent --label _"), ["canary", "production", "staging"]);
    assert_eq!(complete(&node, "bookholder publish x --label st"), ["staging"]);
    assert!(complete(&node, "bookholder rollb").contains(&"rollback".to_owned()));
    assert!(complete(&node, "bookholder rollback --la").contains(&"--label".to_owned()));
    let folder = tempfile::tempdir().expect("a folder");
    let login =
        bookholder(["login", &node.url(), "--no-token", "--context", "prod"]).env("XDG_CONFIG_HOME", folder.path());
    let _said = login.ok();
    let with = |line: &str| asked(line).env("XDG_CONFIG_HOME", folder.path()).ok().stdout;
    assert_eq!(with("bookholder list --context _").trim(), "prod");
    assert_eq!(with("bookholder context use p").trim(), "prod");
    assert_eq!(with("bookholder --context prod log sup").trim(), "support/agent");
}

#[test]
fn server_that_does_not_answer_completes_nothing_quickly_and_silently() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let begun = std::time::Instant::now();
    let said = asked("bookholder log su").env("BOOKHOLDER_SERVER", url).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(20),
        "it waits for 300 ms, not for a timeout of the client"
    );
    let said = asked("bookholder log su").env("BOOKHOLDER_SERVER", "ftp://x").ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
}

#[test]
fn scripts_of_shells_are_printed_and_valid() {
    for (shell, part) in [("bash", "COMP_WORDBREAKS"), ("zsh", "#compdef bookholder"), ("fish", "--command bookholder")]
    {
        let script = bookholder(["completions", shell]).ok().says(part).stdout;
        assert!(script.contains("_BOOKHOLDER_COMPLETE"), "{shell}: {script}");
        if let Ok(checked) = Command::new(shell).args(["-n", "-c", &script]).output() {
            assert!(checked.status.success(), "{shell}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}

#[test]
fn names_that_do_not_exist_are_answered_with_similar_ones() {
    let node = Node::primary();
    publish(&node, "support/agent", "one", &["--label", "production"]);
    let _said = line(&node, "get support/agnet").fails(1).says("did you mean `support/agent`?");
    let _said = line(&node, "log agent").fails(1).says("did you mean `support/agent`?");
    let _said = line(&node, "get support/agent@prodcution").fails(1).says("did you mean `production`?");
    let _said = line(&node, "show support/agent@lates").fails(1).says("did you mean `latest`?");
    let said = line(&node, "get marketing/campaign").fails(1);
    assert!(!said.stderr.contains("did you mean"), "{said:#?}");
}
