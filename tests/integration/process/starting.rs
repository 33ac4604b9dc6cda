//! What prevents a node from starting is reported before a port is bound, with exit code 2.

use std::path::Path;
use std::process::Stdio;

use crate::support::command::{bookholder, program};
use crate::support::node::{ADMIN, Launch, Node};

/// Kills of a first start, at moments that are spread over all of it.
const KILLS: u32 = 12;

fn check(message: &str, part: &str) {
    assert!(message.contains(part), "`{part}` is missing in: {message}");
}

#[test]
fn directory_in_use_is_not_opened_twice() {
    let primary = Node::primary();
    primary.publish("a", "still here");
    let address = std::fs::read(primary.data().join("address")).expect("an address");
    let socket = primary.home().join("socket");
    let second = bookholder(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(primary.data());
    let said = second.arg("--socket").arg(&socket).fails(2);
    assert!(!socket.exists(), "its socket went away with it");
    check(&said.says("another process is using").stderr, "--data");
    assert_eq!(std::fs::read(primary.data().join("address")).expect("an address"), address);
    let _said = bookholder(["verify", "--data"]).arg(primary.data()).fails(2).says("another process is using");
    assert_eq!(primary.text("a"), "still here");
}

#[test]
fn directory_of_the_other_role_is_refused() {
    let mut primary = Node::primary();
    primary.publish("a", "text");
    let mut replica = Node::replica(&primary);
    replica.stop();
    check(&Launch::primary().on(&replica).refused(), "belongs to a replica");
    let root_key = primary.root_key();
    primary.stop();
    let other_way = Launch::replica().on(&primary).args(["--root-key", &root_key]);
    check(&other_way.refused(), "primary");
}

#[test]
fn replica_root_key_cannot_change_after_the_first_state() {
    let (primary, other) = (Node::primary(), Node::primary());
    primary.publish("a", "text");
    check(&Launch::replica().args(["--upstream", &primary.url()]).refused(), "--root-key");
    check(&Launch::replica().args(["--root-key", "bk1-nonsense"]).refused(), "invalid root key");
    check(&Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", "ftp://x"]).refused(), "http://");
    let mut replica = Node::replica(&primary);
    replica.stop();
    check(&Launch::replica().on(&replica).args(["--root-key", &other.root_key()]).refused(), "root");
    replica = Launch::replica().on(&replica).start();
    assert_eq!(replica.text("a"), "text");
}

#[test]
fn replica_refuses_a_primary_of_another_root() {
    let (primary, other) = (Node::primary(), Node::primary());
    primary.publish("a", "not for you");
    let mut replica = Launch::replica().args(["--root-key", &other.root_key(), "--upstream", &primary.url()]).start();
    let trouble = replica.until("it says what is wrong", || {
        Some(replica.status()["trouble"].clone()).filter(|trouble| !trouble.is_null())
    });
    assert!(trouble["reason"].is_string() && trouble["detail"].is_string(), "{trouble}");
    let _detail = replica.get("/v1/resolve/a").problem(503, "not_ready");
    let _detail = replica.get("/readyz").problem(503, "not_ready");
    assert_eq!((replica.get("/healthz").status, replica.status()["freshness"].as_str()), (200, Some("empty")));
    assert!(!replica.has_ended());
}

#[test]
fn directory_of_a_newer_program_is_refused_unchanged() {
    let mut primary = Node::primary();
    primary.stop();
    let file = primary.data().join("registry.redb");
    {
        let database = redb::Database::open(&file).expect("a database");
        let txn = database.begin_write().expect("a transaction");
        let table = redb::TableDefinition::<&str, &[u8]>::new("meta/v1");
        txn.open_table(table).expect("a table").insert("schema", 9_999_u64.to_le_bytes().as_slice()).expect("inserted");
        txn.commit().expect("committed");
    }
    check(&Launch::primary().on(&primary).refused(), "newer bookholder (schema 9999");
    let _said = bookholder(["verify", "--data"]).arg(primary.data()).fails(2).says("upgrade this program");
}

#[test]
fn error_names_a_directory_that_cannot_be_written() {
    // Paths that not even root can write.
    check(&Launch::primary().data("/proc/bookholder").refused(), "/proc/bookholder");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a-file");
    std::fs::write(&file, "text").expect("a file");
    check(&Launch::primary().data(&file).refused(), "a-file");
    check(&Launch::primary().data(file.join("below")).refused(), "cannot be written to");
    read_only(folder.path());
}

/// A directory without write permission: root can write anyway, so only a read-only file system fails.
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
fn read_only(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;

    let data = folder.join("read-only");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).expect("permissions");
    if std::fs::write(data.join("probe"), "").is_ok() {
        println!("skipped: this user may write into read-only directories");
        return;
    }
    check(&Launch::primary().data(&data).refused(), "cannot be written to");
}

#[test]
fn invalid_settings_are_reported_before_anything_is_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("bookholder.toml");
    let with = |text: &str| {
        std::fs::write(&settings, text).expect("settings");
        Launch::primary().args(["--config", settings.to_str().expect("UTF-8")])
    };
    check(&with("colour = 1").refused(), "colour");
    check(&with("cache_mib = 0").refused(), "cache_mib");
    check(&with("listen = 70000").refused(), "bookholder.toml");
    check(&with("registry = 'Not A Name'").refused(), "invalid registry name");
    check(&Launch::primary().env("BOOKHOLDER_LISTN", "x").refused(), "BOOKHOLDER_LISTN is not a setting");
    check(&Launch::primary().env("BOOKHOLDER_CACHE_MIB", "much").refused(), "BOOKHOLDER_CACHE_MIB");
    check(&Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "short").refused(), "BOOKHOLDER_ADMIN_TOKEN");
    check(&Launch::primary().args(["--config", "/nowhere/b.toml"]).refused(), "/nowhere/b.toml");
    let misplaced = folder.path().join("data");
    std::fs::create_dir(&misplaced).expect("a folder");
    std::fs::write(misplaced.join("bookholder.toml"), "cache_mib = 1").expect("settings");
    check(&Launch::primary().data(&misplaced).refused(), "data/bookholder.toml is not read");
    check(&Launch::primary().args(["--watch", "/nowhere"]).refused(), "/nowhere is not a directory");
    check(&Launch::primary().args(["--listen", "everywhere"]).refused(), "--listen");
    let taken = Node::primary();
    check(
        &Launch::primary().args(["--listen", &taken.address().to_string()]).refused(),
        "check whether another node is running there",
    );
    let data = folder.path().join("taken");
    for launch in [Launch::primary(), Launch::replica().args(["--root-key", &taken.root_key()])] {
        let refused = launch.data(&data).args(["--listen", &taken.address().to_string()]).refused();
        check(&refused, "check whether another node is running there");
        assert_eq!(refused.matches("Address already in use").count(), 1, "said once: {refused}");
        assert!(!data.exists(), "an address that is taken leaves no directory");
    }
    check(&Launch::replica().data(&data).refused(), "--root-key");
    assert!(!data.exists(), "a replica without a root key makes none either");
    let data = folder.path().join("never");
    let refused = Launch::primary().data(&data).args(["--listen", "0.0.0.0:0"]).refused();
    check(&refused, "--insecure");
    assert!(!data.exists(), "nothing is made before the settings fit");
}

#[test]
fn first_start_writes_its_admin_token_to_a_file_with_mode_0600_and_not_to_the_log() {
    use std::os::unix::fs::PermissionsExt;

    let mut node = Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "").start();
    let file = node.data().join("admin-token");
    let token = std::fs::read_to_string(&file).expect("a file with the token").trim().to_owned();
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let said = node.stderr();
    assert!(token.starts_with("bh_") && token.len() > 40 && !said.contains("bh_"), "{said}");
    assert!(said.contains("admin-token") && said.contains(&node.root_key()), "{said}");
    let bearer = format!("Bearer {token}");
    assert_eq!(node.send("GET", "/v1/tokens", &[("authorization", &bearer)], b"").status, 200);
    let _detail = node.send("GET", "/v1/tokens", &[], b"").problem(401, "unauthorized");
    for key in ["root.key", "checkpoint.key"] {
        let mode = std::fs::metadata(node.data().join("keys").join(key)).expect(key).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let database = std::fs::read(node.data().join("registry.redb")).expect("a database");
    assert!(!database.windows(token.len()).any(|window| window == token.as_bytes()), "a token is stored hashed");
    node.stop();
    std::fs::remove_file(&file).expect("it may be deleted");
    node.restart();
    assert!(!file.exists() && !node.stderr().contains(&token), "a later start knows no token");
    assert_eq!(node.send("GET", "/v1/tokens", &[("authorization", &bearer)], b"").status, 200);
}

#[test]
fn killed_first_start_can_be_repeated() {
    let whole = std::time::Instant::now();
    drop(Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "").start());
    let whole = whole.elapsed();
    for round in 0..KILLS {
        let home = tempfile::tempdir().expect("a folder");
        let (data, errors) = (home.path().join("data"), home.path().join("errors"));
        let mut command = program(None);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&errors).expect("a file"));
        let mut child = command.spawn().expect("a process");
        std::thread::sleep(whole * round / KILLS);
        child.kill().expect("a kill");
        child.wait().expect("an end");
        let shown = std::fs::read_to_string(data.join("admin-token")).ok().map(|token| token.trim().to_owned());
        let committed = data.join("registry.redb").exists();
        assert!(shown.is_some() || !committed, "round {round}: a token counts that nobody can read");
        let node = Launch::primary().data(&data).start();
        let said = |token: &str| node.send("GET", "/v1/tokens", &[("authorization", &format!("Bearer {token}"))], b"");
        let counts = if committed { shown.as_deref().expect("it was shown") } else { ADMIN };
        assert_eq!(said(counts).status, 200, "round {round}");
        assert_eq!(data.join("admin-token").exists(), committed, "round {round}: a token that counts nowhere is gone");
    }
}

#[test]
fn lost_admin_token_is_replaced_on_a_stopped_node() {
    let mut node = Node::primary();
    let data = node.data().to_owned();
    let create = |name: &str| bookholder(["token", "create", name, "--role", "admin", "--data"]).arg(&data);
    let _said = create("rescue").fails(2).says("another process is using");
    node.stop();
    let token = create("rescue").ok().stdout.trim().to_owned();
    let _said = create("rescue").fails(2).says("rescue");
    node.restart();
    let bearer = format!("Bearer {token}");
    let tokens = node.send("GET", "/v1/tokens", &[("authorization", &bearer)], b"").ok();
    assert_eq!(tokens.as_array().expect("tokens").len(), 2, "{tokens}");
    let log = node.send("GET", "/v1/audit", &[("authorization", &bearer)], b"").ok();
    let made = log["items"].as_array().expect("entries").iter().find(|entry| entry["command"] == "create-token");
    assert_eq!(made.expect("an entry")["actor"], "operator");
    let _said = bookholder(["token", "create", "x", "--role", "admin", "--data", "/nowhere"]).fails(2).says("/nowhere");
}

#[test]
fn changed_admin_token_setting_at_a_later_start_is_warned_about() {
    let mut node = Node::primary();
    node.restart();
    assert!(!node.stderr().contains("BOOKHOLDER_ADMIN_TOKEN"), "{}", node.stderr());
    node.restart_as(|launch| launch.env("BOOKHOLDER_ADMIN_TOKEN", "bh_test_another_0123456789abcdef"));
    node.until_logged("BOOKHOLDER_ADMIN_TOKEN is not a token of this registry");
}

#[test]
fn failed_first_start_leaves_nothing_and_the_next_prints_a_token() {
    let home = tempfile::tempdir().expect("a folder");
    let taken = Node::primary();
    let (address, file) = (taken.address().to_string(), home.path().join("a-file"));
    std::fs::write(&file, "no certificate").expect("a file");
    let file = file.to_str().expect("UTF-8");
    let below = format!("{file}/bookholder.sock");
    for wrong in [
        &["--listen", &address][..],
        &["--listen", "192.0.2.1:7070", "--insecure"],
        &["--socket", &below],
        &["--socket", "/proc/bookholder.sock"],
        &["--tls-cert", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"],
        &["--tls-cert", file, "--tls-key", file],
    ] {
        let data = home.path().join("primary");
        let _message = Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "").data(&data).args(wrong).refused();
        assert!(!data.exists(), "{wrong:?} left a directory");
        let node = Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "").data(&data).start();
        let token = std::fs::read_to_string(data.join("admin-token")).expect("a token");
        let bearer = format!("Bearer {}", token.trim());
        assert_eq!(node.send("GET", "/v1/tokens", &[("authorization", &bearer)], b"").status, 200, "{wrong:?}");
        drop(node);
        std::fs::remove_dir_all(&data).expect("a directory");
        let replica = home.path().join("replica");
        let root_key = taken.root_key();
        let _message = Launch::replica().args(["--root-key", &root_key]).data(&replica).args(wrong).refused();
        assert!(!replica.exists(), "{wrong:?} left a directory of a replica");
    }
    let replica = Launch::replica().data(home.path().join("replica"));
    let said = replica.args(["--root-key", &taken.root_key(), "--upstream-ca", "/nowhere/ca.pem"]).refused();
    check(&said, "cannot read /nowhere/ca.pem");
    assert!(!home.path().join("replica").exists(), "a replica whose authority is missing leaves no directory");
}

#[test]
fn replica_without_state_accepts_a_corrected_root_key() {
    let (primary, other) = (Node::primary(), Node::primary());
    primary.publish("a", "text");
    let mut replica = Launch::replica().args(["--root-key", &other.root_key(), "--upstream", &primary.url()]).start();
    replica.until("it refuses the primary", || (!replica.status()["trouble"].is_null()).then_some(()));
    replica.stop();
    let right = Launch::replica_of(&primary).on(&replica).start();
    right.follow(&primary);
    assert_eq!(right.text("a"), "text");
}

#[test]
fn json_log_has_only_json_lines() {
    let lines = |text: &str| -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        text.lines().map(parse).collect()
    };
    let mut node = Launch::primary().env("BOOKHOLDER_ADMIN_TOKEN", "").args(["--log-format", "json"]).start();
    let address = node.address().to_string();
    node.stop();
    let said = lines(&node.stderr());
    let listening = said.iter().find(|line| line["message"] == "listening").expect("a line");
    assert_eq!(listening["pages"], format!("http://{address}/ui"), "{listening}");
    assert!(listening.get("socket").is_none(), "{listening}");
    let created = &said[0];
    assert!(created["admin_token_file"].as_str().is_some_and(|file| file.ends_with("admin-token")), "{created}");
    assert!(!node.stderr().contains("bh_"), "{}", node.stderr());
    let taken = Node::primary();
    let second = Launch::primary().args(["--log-format", "json", "--listen", &taken.address().to_string()]);
    let refused = second.exits_with(2);
    let [error] = lines(&refused).try_into().expect("one line");
    check(error["message"].as_str().expect("a message"), "cannot listen on");
    let misspelt = Launch::primary().args(["--log-format", "json"]).env("BOOKHOLDER_LISTN", "x");
    let [error] = lines(&misspelt.exits_with(2)).try_into().expect("one line");
    check(error["message"].as_str().expect("a message"), "BOOKHOLDER_LISTN");
}

#[test]
fn node_starts_with_kubernetes_service_variables() {
    let pod = [
        ("BOOKHOLDER_SERVICE_HOST", "10.0.0.1"),
        ("BOOKHOLDER_SERVICE_PORT", "7070"),
        ("BOOKHOLDER_PORT", "tcp://10.0.0.1:7070"),
        ("BOOKHOLDER_PORT_7070_TCP_ADDR", "10.0.0.1"),
        ("BOOKHOLDER_PRIMARY_SERVICE_HOST", "10.0.0.2"),
    ];
    let in_pod = |launch: Launch| pod.iter().fold(launch, |launch, (name, value)| launch.env(name, *value));
    let primary = in_pod(Launch::primary()).start();
    in_pod(Launch::replica_of(&primary)).start().follow(&primary);
    check(&in_pod(Launch::primary()).env("BOOKHOLDER_PRT", "7070").refused(), "BOOKHOLDER_PRT is not a setting");
}

#[test]
fn unused_signals_do_not_stop_a_node() {
    let mut primary = Node::primary();
    for name in ["HUP", "USR1", "USR2", "XFSZ"] {
        primary.signal(name);
    }
    for said in ["certificates are reloaded automatically", "SIGUSR1", "SIGUSR2", "ulimit -f"] {
        primary.until_logged(said);
    }
    primary.publish("a", "still here");
    primary.stop();
}

#[test]
fn replica_of_a_replica_is_refused_and_named_the_primary() {
    let primary = Node::primary();
    let replica = Node::replica(&primary);
    let launch = Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", &replica.url()]);
    let second = launch.start();
    let trouble = second.until("the trouble says what is wrong", || {
        let status = second.status();
        status["trouble"]["detail"].as_str().map(str::to_owned)
    });
    assert!(trouble.contains("is itself a replica") && trouble.contains("use its primary"), "{trouble}");
    let said = replica.get("/replication/v1/root/1").problem(403, "primary_only");
    assert!(said.contains(&primary.url()), "{said}");
}
