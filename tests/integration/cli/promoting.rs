//! Promoting on the command line: the plan, the question, and one deployment.

use super::{line, publish};
use crate::support::command::{bookholder, has_terminal};
use crate::support::node::Node;

const PROMOTE: &str = "promote support/** --from staging --to production";

fn staged() -> Node {
    let node = Node::primary();
    for name in ["support/agent", "support/tone", "sales/agent"] {
        publish(&node, name, "one", &["--label", "production"]);
        publish(&node, name, "two", &["--label", "staging"]);
    }
    publish(&node, "support/same", "one", &["--label", "production", "--label", "staging"]);
    node
}

#[test]
fn plan_is_shown_and_then_deployed_at_once() {
    let node = staged();
    let dry = line(&node, &format!("{PROMOTE} --dry-run")).ok();
    let expected = "\
NAME           PRODUCTION NOW  PRODUCTION THEN
support/agent  1               2
support/same   1               1                unchanged
support/tone   1               2
";
    assert!(dry.stdout.starts_with(expected), "{dry:#?}");
    let _said = dry.says("2 prompts to promote at").says("1 unchanged");
    assert_eq!(node.text("support/agent"), "one", "a dry run changes nothing");
    let plan = line(&node, &format!("{PROMOTE} --dry-run --json")).ok().json();
    assert_eq!(plan["prompts"].as_array().map(Vec::len), Some(3), "{plan}");
    let _said = line(&node, PROMOTE).fails(2).says("--message");
    let done = line(&node, &format!("{PROMOTE} --yes -m together --json")).ok().json();
    let deployments = done["deployments"].as_array().expect("deployments");
    assert_eq!((deployments.len(), &deployments[0]["id"]), (2, &deployments[1]["id"]), "{done}");
    assert_eq!((node.text("support/agent"), node.text("sales/agent")), ("two".to_owned(), "one".to_owned()));
    let _said = line(&node, &format!("{PROMOTE} -m again")).ok().says("no change");
    let _said =
        line(&node, "promote none/* --from staging --to production -m x").fails(1).says("no prompt that matches");
    let _said = line(&node, "promote ** --from staging --to staging -m x").fails(1).says("name another label");
}

#[test]
fn promotion_that_breaks_callers_is_refused_as_a_whole() {
    let node = staged();
    publish(&node, "support/tone", "Hi {{who}}", &["--label", "staging", "--allow-major"]);
    let said = line(&node, &format!("{PROMOTE} -m together")).fails(1);
    let _said = said.says("breaks callers").says("the required variable `who` was added").says("--allow-major");
    assert_eq!(node.text("support/agent"), "one");
    let _said = line(&node, &format!("{PROMOTE} -m together --allow-major")).ok();
    assert_eq!(node.text("support/agent"), "two");
}

#[test]
fn person_at_a_terminal_confirms_the_plan() {
    if !has_terminal() {
        return;
    }
    let node = staged();
    let typed = |line: &str, answer: &str| bookholder(line.split(' ')).server(&node).on_terminal(answer);
    let promote = format!("{PROMOTE} -m together");
    let _said = typed(&promote, "n\n").says("Promote 2 prompts from staging to production?").says("exit 1");
    assert_eq!(node.text("support/agent"), "one");
    let _said = typed(&promote, "y\n").says("exit 0");
    assert_eq!(node.text("support/agent"), "two");
}
