//! Every verb of a client against a real node, as a person and as a script sees it.

mod changing;
mod compared;
mod completing;
mod contexts;
mod editing;
mod folders;
mod operating;
mod promoting;
mod reading;
mod round_trip;
mod terminal;
mod times;
mod typing;

use serde_json::Value;

use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

/// Runs a command line against a node, split at spaces; `_` is a space.
fn line(node: &Node, line: &str) -> Bookholder {
    bookholder(line.split(' ').map(|argument| argument.replace('_', " "))).server(node)
}

/// Publishes a text through the command line; the answer.
fn publish(node: &Node, name: &str, text: &str, more: &[&str]) -> Value {
    let publish = bookholder(["publish", name, "--file", "-", "-m", "why", "--json"]).args(more);
    publish.input(text).server(node).ok().json()
}
