//! Servers and access tokens that are saved, chosen and forgotten.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::command::{Bookholder, bookholder, has_terminal, program};
use crate::support::node::{ADMIN, Launch, Node, PATIENCE, eventually};

/// A command line of a user with this configuration directory.
fn of(config: &Path, line: &str) -> Bookholder {
    bookholder(line.split(' ')).env("XDG_CONFIG_HOME", config)
}

/// Signs in as the admin of a node.
fn login(config: &Path, node: &Node, name: &str) {
    let line = format!("login {} --context {name} --token-file -", node.url());
    let said = of(config, &line).input(format!("{ADMIN}\n")).ok().says("signed in to").says(name);
    assert!(!said.stdout.contains(ADMIN) && !said.stderr.contains(ADMIN), "{said:#?}");
}

#[test]
fn verbs_use_the_context_in_use_and_the_one_that_is_named() {
    let (one, two) = (Node::primary(), Node::primary());
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("c");
    let publish = |node: &Node, name: &str| drop(super::publish(node, name, "Hi", &["--label", "production"]));
    publish(&one, "of-one");
    publish(&two, "of-two");
    login(&config, &one, "one");
    login(&config, &two, "two");
    let file = config.join("bookholder/contexts.toml");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&config.join("bookholder"))), (0o600, 0o700));
    let _said = of(&config, "list").ok().says("of-two");
    let _said = of(&config, "list --context one").ok().says("of-one");
    let _said = of(&config, "list").env("BOOKHOLDER_CONTEXT", "one").ok().says("of-one");
    let _said = of(&config, "list").env("BOOKHOLDER_SERVER", one.url()).ok().says("of-one");
    let _said = of(&config, &format!("list --server {}", one.url())).ok().says("of-one");
    let _said = of(&config, "context use one").ok().says("using one");
    let _said = of(&config, "list").ok().says("of-one");
    let _said = of(&config, "token list").ok().says("admin");
    let listed = of(&config, "context list --json").ok();
    assert!(!listed.stdout.contains(ADMIN), "{listed:#?}");
    let items = &listed.json()["items"];
    assert_eq!(
        (&items[0]["name"], &items[0]["current"], &items[1]["current"]),
        (&"one".into(), &true.into(), &false.into())
    );
    let _said = of(&config, "context list").ok().says("*  one");
    let _said = of(&config, "list --context three").fails(2).says("there is no context `three`").says("one, two");
    // The token of a context goes to its own server only.
    let _said = of(&config, &format!("token list --server {}", two.url())).fails(2).says("bookholder login");
    let wrong = of(&config, "token list").env("BOOKHOLDER_TOKEN", "bh_none_of_this_registry");
    let _said = wrong.fails(2).says("BOOKHOLDER_TOKEN takes precedence over the token of the context one");
    let _said = of(&config, "token list --context one").env("BOOKHOLDER_TOKEN", "bh_none_of_this_registry").ok();
    let _said = of(&config, "logout").ok().says("forgot the access token of context one");
    let _said = of(&config, "token list").fails(2).says("bookholder login --context one");
    let _said = of(&config, "logout").ok().says("has no access token");
    let _said = of(&config, "context remove one").ok().says("removed context one");
    let _said = of(&config, "context use one").fails(2).says("there is no context `one`");
    let kept = std::fs::read_to_string(&file).expect("a file");
    assert!(kept.contains("[contexts.two]") && !kept.contains("contexts.one"), "{kept}");
}

#[test]
fn nothing_is_saved_before_the_server_accepted_the_token() {
    let node = Node::primary();
    let folder = tempfile::tempdir().expect("a folder");
    let login = |more: &str| of(folder.path(), &format!("login {}{more}", node.url()));
    let said = login("").input("bh_none_of_this_registry").fails(2).says("does not accept this access token");
    assert!(!said.stderr.contains("bh_none"), "{said:#?}");
    let said = login("").input("secret").fails(2).says("the access token on standard input is not valid");
    assert!(!said.stderr.contains("secret"), "{said:#?}");
    let _said = of(folder.path(), "login http://127.0.0.1:1").input(ADMIN).fails(3).says("cannot reach");
    let _said = of(folder.path(), "login").fails(2).says("name the server");
    assert!(!folder.path().join("bookholder").exists(), "nothing was saved");
    // A node that answers without a token; then another one under the same name.
    let _said = login(" --no-token --context here").ok().says("signed in to");
    let _said = of(folder.path(), "whoami").fails(2);
    let _said =
        of(folder.path(), "login http://other.invalid --context here").input(ADMIN).fails(2).says("is for http");
    let shared = folder.path().join("bookholder/contexts.toml");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let _said = of(folder.path(), "list").fails(2).says("other users can read it").says("chmod 600");
    // A broken file stops nothing that does not need it.
    let _said = of(folder.path(), "list").env("BOOKHOLDER_SERVER", node.url()).ok();
    let _said =
        bookholder(["login", "http://a"]).env("XDG_CONFIG_HOME", "").env("HOME", "").input(ADMIN).fails(2).says("HOME");
}

#[test]
fn token_is_typed_on_a_terminal_without_being_shown() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let folder = tempfile::tempdir().expect("a folder");
    let said = typed(folder.path(), &node, &format!("{ADMIN}\n"));
    assert!(said.contains("signed in to") && !said.contains(ADMIN), "{said}");
    let said = typed(folder.path(), &node, "bh_half\u{3}");
    assert!(said.contains("cancelled; nothing was saved") && !said.contains("bh_half"), "{said}");
}

/// Signs in on a terminal, and types once the question is there; what the terminal shows.
fn typed(config: &Path, node: &Node, answer: &str) -> String {
    let program = program(None);
    let line = format!("{} login {}", program.get_program().to_string_lossy(), node.url());
    let mut terminal = Command::new("script");
    terminal.args(["-qc", &line, "/dev/null"]).env("XDG_CONFIG_HOME", config).env_remove("BOOKHOLDER_TOKEN");
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut shown = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&shown).contains("Access token for") {
        assert_eq!(stdout.read(&mut byte).expect("readable"), 1, "{}", String::from_utf8_lossy(&shown));
        shown.extend(byte);
    }
    stdin.write_all(answer.as_bytes()).expect("typed");
    stdout.read_to_end(&mut shown).expect("readable");
    let _status = child.wait().expect("it ends");
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn replica_with_a_read_token_can_be_signed_in_to() {
    let node = Node::primary();
    let token = "bh_read_token_of_a_replica";
    let replica = Launch::replica_of(&node).env("BOOKHOLDER_READ_TOKEN", token).start();
    eventually(PATIENCE, || (replica.get("/readyz").status == 200).then_some(())).expect("a replica that is ready");
    let folder = tempfile::tempdir().expect("a folder");
    let login = |token: &str| of(folder.path(), &format!("login {}", replica.url())).input(token);
    let _said = login(token).ok().says("signed in to");
    let _said = login(ADMIN).fails(2).says("is not the read token of this replica");
}
