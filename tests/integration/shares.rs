//! Quotas per principal, and that others are unaffected: each guarantee with ways around it.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::answer::{Answer, head};
use crate::support::node::{Launch, Node, segment};

/// Streams of one kind that one access token has at once.
const STREAMS: usize = 32;
/// Bytes that one principal writes in a minute.
const MINUTE_BYTES: usize = 64 * 1024 * 1024;

fn token(node: &Node, name: &str, role: &str) -> String {
    let made = node.change("POST", "/v1/tokens", &json!({"name": name, "role": role})).ok();
    format!("Bearer {}", made["token"].as_str().expect("a token"))
}

/// Opens a stream; its connection where it began, else the answer.
fn open(node: &Node, path: &str, bearer: &str) -> Result<TcpStream, Answer> {
    let mut stream = node.connect();
    let shown = if bearer.is_empty() { String::new() } else { format!("authorization: {bearer}\r\n") };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{shown}\r\n").as_bytes()).expect("written");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let head = head(&mut reader).expect("a head");
    if head.starts_with("HTTP/1.1 200") {
        return Ok(stream);
    }
    let rest = std::io::Read::chain(head.as_bytes(), reader);
    Err(Answer::read(rest).expect("an answer"))
}

#[test]
fn one_access_token_has_32_streams_of_each_kind_and_leaves_those_of_others() {
    let node = Node::primary();
    let (rita, app) = (token(&node, "rita", "reader"), token(&node, "app", "reader"));
    for path in ["/v1/events", "/ui/live"] {
        let mut taken: Vec<TcpStream> = (0..STREAMS).map(|_| open(&node, path, &rita).expect("a stream")).collect();
        let refused = open(&node, path, &rita).expect_err("one too many");
        assert!(refused.header("retry-after").is_some(), "{}", refused.head);
        if path == "/v1/events" {
            assert!(refused.problem(429, "rate_limited").contains("32 event streams"));
        }
        assert_eq!(refused.status, 429, "{path}");
        let others = [open(&node, path, &app), open(&node, path, "")];
        assert!(others.iter().all(Result::is_ok), "{path}: others find room");
        drop(taken.pop());
        let again = node.until("room again", || open(&node, path, &rita).ok());
        drop((taken, again));
    }
}

#[test]
fn anonymous_clients_share_half_of_the_streams() {
    let node = Node::primary();
    let rita = token(&node, "rita", "reader");
    let taken: Vec<TcpStream> = (0..300).map_while(|_| open(&node, "/v1/events", "").ok()).collect();
    assert_eq!(taken.len(), 128);
    assert_eq!(open(&node, "/v1/events", "").expect_err("one too many").status, 429);
    assert!(open(&node, "/v1/events", &rita).is_ok(), "an access token finds its share");
}

/// Sends a request as a principal.
fn send(node: &Node, bearer: &str, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("authorization", bearer), ("content-type", "application/json")];
    node.send(method, path, &headers, body.to_string().as_bytes())
}

#[test]
fn write_quota_is_per_principal_across_entry_points() {
    let node = Node::primary();
    let (mallory, ann) = (token(&node, "mallory", "admin"), token(&node, "ann", "admin"));
    let content = |text: &str| json!({"syntax": "plain", "text": text});
    // A content over the limit is rejected for that, and counts as read.
    let long = "x".repeat(1_500_000);
    let at = "2020-01-01T00:00:00Z";
    let change = |id: usize| json!({"id": id.to_string(), "at": at, "author": "m", "message": "m", "name": format!("i/{id}"), "text": long});
    let import = json!({"changes": (0..10).map(change).collect::<Vec<_>>()});
    let mut written = 0;
    while written + 10 * long.len() <= MINUTE_BYTES {
        let _answer = send(&node, &mallory, "POST", "/v1/import", &import).ok();
        written += 10 * long.len();
    }
    let rest = "y".repeat(900_000);
    let draft = |bearer: &str, number: usize| {
        let path = format!("/v1/prompts/{}/drafts/d{number}", segment("m/d"));
        send(&node, bearer, "PUT", &path, &json!({"content": content(&format!("{number}{rest}"))}))
    };
    let mut number = 0;
    while draft(&mallory, number).status == 200 {
        number += 1;
        assert!(number < 10, "drafts count as well");
    }
    let refused = |door: &str, answer: &Answer| {
        let said = answer.problem(429, "rate_limited");
        let wait: u64 = answer.header("retry-after").expect("how long").parse().expect("seconds");
        assert!(said.contains("`mallory` wrote 64 MiB") && (1..=60).contains(&wait), "{door}: {said}");
    };
    let publish = |bearer: &str| {
        let request = json!({"content": content(&rest), "message": "m"});
        send(&node, bearer, "POST", "/v1/prompts/m%2Fp/versions", &request)
    };
    let propose =
        json!({"message": "m", "publish": {"name": "m/q", "content": content(&rest), "labels": ["production"]}});
    refused("draft", &draft(&mallory, 99));
    refused("publish", &publish(&mallory));
    refused("propose", &send(&node, &mallory, "POST", "/v1/requests", &propose));
    refused("import", &send(&node, &mallory, "POST", "/v1/import", &import));
    assert_eq!((publish(&ann).status, draft(&ann, 0).status), (201, 200), "others go on");
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    let denied = |command: &str| {
        let items = audit["items"].as_array().expect("entries");
        items.iter().any(|one| one["command"] == command && one["decision"] == "denied" && one["actor"] == "mallory")
    };
    for command in ["save-draft", "publish", "propose", "import"] {
        assert!(denied(command), "the audit log has the refused {command}");
    }
}

#[test]
fn draft_limit_counts_all_prompts_of_one_principal() {
    let node = Launch::primary().start();
    let (mallory, ann) = (token(&node, "mallory", "author"), token(&node, "ann", "author"));
    let save = |bearer: &str, prompt: &str, draft: &str, text: &str| {
        let path = format!("/v1/prompts/{}/drafts/{draft}", segment(prompt));
        send(&node, bearer, "PUT", &path, &json!({"content": {"syntax": "plain", "text": text}}))
    };
    for number in 0..200 {
        let saved = save(&mallory, &format!("m/{number}"), "d", "text");
        assert_eq!(saved.status, 200, "{number}: {}", saved.text());
    }
    let refused = save(&mallory, "m/200", "d", "text").problem(413, "too_large");
    assert!(
        refused.contains("`mallory`'s drafts") && refused.contains("200") && refused.contains("discard"),
        "{refused}"
    );
    assert_eq!(save(&mallory, "m/0", "another", "text").status, 413, "of the same prompt");
    assert_eq!(save(&mallory, "m/0", "d", "more").status, 200, "what is there goes on");
    assert_eq!(save(&ann, "m/200", "d", "text").status, 200, "others begin theirs");
    assert_eq!(save(&mallory, "m/200", "d", "mine").status, 200, "who goes on with another's draft begins none");
    let away = send(&node, &mallory, "DELETE", "/v1/prompts/m%2F7/drafts/d", &Value::Null);
    assert!((200..300).contains(&away.status), "{}", away.text());
    assert_eq!(save(&mallory, "m/201", "d", "text").status, 200, "there is room again");
    assert_eq!(save(&mallory, "m/202", "d", "text").status, 413, "for one");
    let published = send(&node, &mallory, "POST", "/v1/prompts/m%2F8/drafts/d/publication", &json!({"message": "m"}));
    assert!((200..300).contains(&published.status), "{}", published.text());
    assert_eq!(save(&mallory, "m/202", "d", "text").status, 200, "what is published is no draft");
    let bound = json!({"name": "narrow", "role": "author", "prompts": "support/**"});
    let bound = node.change("POST", "/v1/tokens", &bound).ok();
    let bound = format!("Bearer {}", bound["token"].as_str().expect("a token"));
    assert_eq!(save(&bound, "m/1", "x", "text").status, 403, "drafts lie only where their authors may publish");
    assert_eq!(save(&bound, "support/new", "x", "text").status, 200);
    assert_eq!(save(&token(&node, "rita", "reader"), "m/1", "x", "text").status, 403);
}

#[test]
fn one_principal_has_64_mib_of_drafts_and_others_save_theirs() {
    let node = Node::primary();
    let (mallory, ann) = (token(&node, "mallory", "author"), token(&node, "ann", "author"));
    let text = "x".repeat(1_000_000);
    let write = |bearer: &str, draft: usize, words: &str| {
        let path = format!("/v1/prompts/m/drafts/d{draft}");
        send(&node, bearer, "PUT", &path, &json!({"content": {"syntax": "plain", "text": words}}))
    };
    let save = |bearer: &str, draft: usize| write(bearer, draft, &text);
    // Each is stored twice, as the draft and as its revision.
    let room = MINUTE_BYTES / (2 * text.len());
    let saved = (0..10_000).take_while(|draft| save(&mallory, *draft).status == 200).count();
    assert!((room - 1..=room).contains(&saved), "{saved} of {room}");
    let said = save(&mallory, saved).problem(413, "too_large");
    assert!(said.contains("`mallory`'s drafts") && said.contains("67108864"), "{said}");
    let other = "y".repeat(text.len());
    assert_eq!(write(&mallory, 0, &other).status, 413, "another save of a draft that is there");
    assert_eq!(save(&ann, saved).status, 200, "others save theirs");
    let away = send(&node, &mallory, "DELETE", "/v1/prompts/m/drafts/d0", &Value::Null);
    assert!((200..300).contains(&away.status), "{}", away.text());
    assert_eq!(save(&mallory, 0).status, 200, "there is room again");
}

#[test]
fn no_entry_point_accepts_a_new_non_portable_name() {
    let node = Node::primary();
    let content = json!({"syntax": "plain", "text": "x"});
    let admin = format!("Bearer {}", crate::support::node::ADMIN);
    for (name, part) in [
        ("support/ag\u{200b}ent", "U+200B"),
        ("support/agent\u{202e}", "U+202E"),
        ("support/cafe\u{301}", "for example `support/cafe`"),
        ("Support/Agent", "for example `support/agent`"),
        ("con", "`con` is a device name on Windows"),
        ("support/agent.", "ends in `.`"),
        ("support agent", "for example `support-agent`"),
    ] {
        let prompt = format!("/v1/prompts/{}", segment(name));
        let published = json!({"content": content, "message": "m", "labels": ["production"]});
        let proposed = json!({"message": "m", "publish": {"name": name, "content": content, "labels": ["production"]}});
        for (method, path, body) in [
            ("POST", format!("{prompt}/versions"), published),
            ("PUT", format!("{prompt}/drafts/d"), json!({"content": content})),
            ("POST", "/v1/requests".to_owned(), proposed),
        ] {
            let said = send(&node, &admin, method, &path, &body).problem(400, "invalid_name");
            assert!(said.contains(part), "{method} {path}: {said}");
        }
        let change =
            json!({"id": "1", "at": "2020-01-01T00:00:00Z", "author": "m", "message": "m", "name": name, "text": "x"});
        let imported = send(&node, &admin, "POST", "/v1/import", &json!({"changes": [change]})).ok();
        assert_eq!(imported["refused"][0]["problem"]["code"], "invalid_name", "{imported}");
    }
    assert_eq!(node.get("/v1/prompts").ok()["items"], json!([]));
}

/// Replicas that a primary tracks.
const REPLICAS: usize = 20_000;
/// Reports that are sent before their answers are read.
const PIPELINED: usize = 100;

fn report(name: &str, position: &str) -> String {
    json!({"replica": name, "position": position, "freshness": "fresh", "version": "0.1.0"}).to_string()
}

/// Sends a report under each name over one connection; every one must be noted.
fn flood(node: &Node, names: &[String], bearer: &str) {
    let mut stream = node.connect();
    let mut answers = BufReader::new(stream.try_clone().expect("a socket"));
    let shown = if bearer.is_empty() { String::new() } else { format!("authorization: {bearer}\r\n") };
    for some in names.chunks(PIPELINED) {
        let requests = some.iter().map(|name| {
            let body = report(name, "9.9");
            format!(
                "POST /replication/v1/report HTTP/1.1\r\nhost: localhost\r\n{shown}content-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )
        });
        stream.write_all(requests.collect::<String>().as_bytes()).expect("written");
        for name in some {
            let head = head(&mut answers).expect("an answer");
            assert!(head.starts_with("HTTP/1.1 204"), "{name}: {head}");
        }
    }
}

#[test]
fn forged_reports_do_not_hide_authenticated_replicas() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let (edge, flooder) = (token(&primary, "edge", "replica"), token(&primary, "flooder", "replica"));
    let send = |name: &str, bearer: &str| {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        let noted = primary.send("POST", "/replication/v1/report", &headers, report(name, "1.1").as_bytes());
        assert_eq!(noted.status, 204, "{}", noted.text());
    };
    let positions = |name: &str| -> Vec<String> {
        let status = primary.status();
        let replicas = status["replicas"].as_array().expect("replicas");
        let own = replicas.iter().filter(|one| one["replica"] == name);
        own.map(|one| one["position"].as_str().expect("a position").to_owned()).collect()
    };
    send("paris", &edge);
    let forged: Vec<String> = (0..REPLICAS + 10).map(|number| format!("forged-{number:05}")).collect();
    flood(&primary, &forged, "");
    assert_eq!(primary.status()["replicas"].as_array().map(Vec::len), Some(REPLICAS), "the table is full");
    assert_eq!(positions("paris"), ["1.1"], "who was known before");

    // One that comes when the table is full, as a real process that follows with its access token.
    let bare = edge.strip_prefix("Bearer ").expect("a token");
    let named = Launch::replica_of(&primary).env("BOOKHOLDER_REPLICA_NAME", "berlin");
    let mut berlin = named.env("BOOKHOLDER_UPSTREAM_TOKEN", bare).start();
    berlin.follow(&primary);
    primary.until("it has a place", || (!positions("berlin").is_empty()).then_some(()));

    // It cannot be used without an access token, nor with another one.
    let ours: Vec<String> = ["berlin", "paris"].map(str::to_owned).into();
    flood(&primary, &ours, "");
    flood(&primary, &[ours, forged[..200].to_vec()].concat(), &flooder);
    assert!(positions("paris").contains(&"1.1".to_owned()), "{:?}", positions("paris"));
    let here = berlin.status()["position"].as_str().expect("a position").to_owned();
    primary.until("it says itself what it holds", || positions("berlin").contains(&here).then_some(()));
    assert_eq!(primary.status()["replicas"].as_array().map(Vec::len), Some(REPLICAS));
    berlin.stop();
}
