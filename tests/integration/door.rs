//! Who is answered without an access token: each promise against the ways around it.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{ADMIN, Launch, Node};
use crate::tls::Certificates;

/// Everything that is answered without an access token: how it is asked for, and what a good answer's status is.
const OPEN: [(&str, &str, u16); 19] = [
    ("GET", "/v1/resolve/a", 200),
    ("HEAD", "/v1/resolve/a", 200),
    ("GET", "/v1/resolve/a?subject=u", 200),
    ("POST", "/v1/resolve", 200),
    ("POST", "/v1/render/a", 200),
    ("GET", "/v1/prompts", 200),
    ("GET", "/v1/prompts/a", 200),
    ("GET", "/v1/status", 200),
    ("GET", "/v1/deployments", 200),
    ("GET", "/ui/", 200),
    ("GET", "/ui/prompts/a", 200),
    ("GET", "/ui/sign-in", 200),
    ("GET", "/ui/app.css", 200),
    ("GET", "/docs", 200),
    ("GET", "/docs/style.css", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/metrics", 200),
    ("GET", "/", 302),
    ("GET", "/nowhere", 404),
];

/// What only a primary answers.
const REPLICATION: [(&str, &str, u16); 5] = [
    ("GET", "/replication/v1/view/all/next/0.0", 200),
    ("GET", "/replication/v1/view/all/checkpoint", 200),
    ("GET", "/replication/v1/root/1", 200),
    ("GET", "/replication/v1/epoch/1", 200),
    ("POST", "/replication/v1/report", 204),
];

fn body(path: &str) -> String {
    match path {
        "/v1/resolve" => json!({"references": ["a"]}).to_string(),
        "/v1/render/a" => json!({"variables": {}}).to_string(),
        "/replication/v1/report" => {
            json!({"replica": "r", "position": "1.1", "freshness": "fresh", "version": "1"}).to_string()
        }
        _ => String::new(),
    }
}

/// A request, from its target on, with these lines in the place of `Host`.
fn request(method: &str, target: &str, path: &str, lines: &str, version: &str) -> Vec<u8> {
    let body = body(path);
    let length = if method == "POST" { format!("content-length: {}\r\n", body.len()) } else { String::new() };
    format!(
        "{method} {target} HTTP/{version}\r\n{lines}content-type: application/json\r\n{length}connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn ask(node: &Node, method: &str, path: &str, lines: &str) -> Answer {
    let sent = request(method, path, path, lines, "1.1");
    node.raw(&sent).unwrap_or_else(|| panic!("no answer to {method} {path} {lines:?}"))
}

fn primary(launch: Launch) -> Node {
    let node = launch.start();
    node.publish("a", "secret text");
    // In memory, so that the hot path is what answers.
    assert_eq!(node.send("GET", "/v1/resolve/a", &[], b"").ok()["content"]["text"], "secret text");
    node
}

/// A rejection before routing, which reveals nothing else.
fn refused(answer: &Answer, about: &str) {
    assert_eq!(answer.status, 421, "{about}: {}{}", answer.head, answer.text());
    assert!(!answer.text().contains("secret text"), "{about}");
    // A `HEAD` has no body to read.
    if !answer.body.is_empty() {
        let said = answer.problem(421, "wrong_host");
        assert!(said.contains("--allowed-hosts") && said.contains("allowed_hosts"), "{about}: {said}");
    }
}

fn every_way_in(node: &Node, paths: &[(&str, &str, u16)]) {
    let address = node.address();
    for (method, path, status) in paths {
        if *method == "HEAD" {
            continue;
        }
        for own in ["localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:7070", "localhost."] {
            let answer = ask(node, method, path, &format!("host: {own}\r\n"));
            assert_eq!(answer.status, *status, "{method} {path} under {own}: {}", answer.text());
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        }
        for foreign in [
            "evil.example",
            "EVIL.example:7070",
            "localhost.evil.example",
            "evil.localhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "0.0.0.0",
            "127.1",
            "10.0.0.1",
            "[::1%25lo]",
            "",
        ] {
            let answer = ask(node, method, path, &format!("host: {foreign}\r\n"));
            refused(&answer, &format!("{method} {path} under {foreign:?}"));
        }
        // The target of a request names a host as well: RFC 9112 has it win, and here both must fit.
        for (target, host) in
            [("evil.example", "localhost"), ("localhost", "evil.example"), ("evil.example", "evil.example")]
        {
            let sent = request(method, &format!("http://{target}{path}"), path, &format!("host: {host}\r\n"), "1.1");
            refused(&node.raw(&sent).expect("an answer"), &format!("{method} {path} of {target} under {host}"));
        }
        let sent = request(method, &format!("http://{address}{path}"), path, &format!("host: {address}\r\n"), "1.1");
        assert_eq!(node.raw(&sent).expect("an answer").status, *status, "{method} {path} in absolute form");
        let nameless = node.raw(&request(method, path, path, "", "1.0")).expect("an answer");
        refused(&nameless, &format!("{method} {path} of HTTP/1.0 without a host"));
        for (lines, count) in
            [("", 0), ("host: localhost\r\nhost: localhost\r\n", 2), ("host: localhost\r\nHost: evil.example\r\n", 2)]
        {
            let said = ask(node, method, path, lines);
            assert_eq!(said.status, 400, "{method} {path} {lines:?}: {}", said.text());
            assert!(said.text().contains(&format!("{count} Host headers")), "{}", said.text());
        }
        // A caller with an access token is not a page under a borrowed name.
        let token = format!("authorization: Bearer {ADMIN}\r\n");
        let known = ask(node, method, path, &format!("host: evil.example\r\n{token}"));
        if node.status()["role"] == "primary" {
            assert_eq!(known.status, *status, "{method} {path} with a token: {}", known.text());
        } else {
            assert_eq!(known.status, 401, "{method} {path} of a replica, which knows no token: {}", known.text());
        }
        for site in [
            "sec-fetch-site: cross-site\r\n",
            "sec-fetch-site: same-site\r\nsec-fetch-mode: cors\r\n",
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: iframe\r\n",
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: script\r\n",
            "origin: http://evil.example\r\n",
            "origin: null\r\n",
            "origin: https://localhost\r\n",
            "origin: http://localhost:3000\r\n",
        ] {
            let answer = ask(node, method, path, &format!("host: localhost\r\n{site}"));
            assert_eq!(answer.status, 403, "{method} {path} {site:?}: {}", answer.text());
            assert!(!answer.text().contains("secret text"), "{method} {path} {site:?}");
        }
        for site in ["sec-fetch-site: same-origin\r\n", "sec-fetch-site: none\r\n", "origin: http://localhost\r\n"] {
            let answer = ask(node, method, path, &format!("host: localhost\r\n{site}"));
            assert_eq!(answer.status, *status, "{method} {path} {site:?}: {}", answer.text());
        }
        for proxy in [
            "x-forwarded-for: 192.0.2.1",
            "forwarded: for=192.0.2.1",
            "via: 1.1 proxy",
            "x-real-ip: 127.0.0.1",
            "x-forwarded-host: localhost",
        ] {
            let answer = ask(node, method, path, &format!("host: localhost\r\n{proxy}\r\n"));
            let readers = ["/v1/", "/replication/", "/ui/", "/metrics"];
            let open = !readers.iter().any(|start| path.starts_with(start));
            let public = open || matches!(*path, "/ui/sign-in" | "/ui/app.css");
            match (public, path.starts_with("/ui/")) {
                (true, _) => assert_eq!(answer.status, *status, "{method} {path} {proxy}"),
                (false, true) => {
                    assert!(matches!(answer.status, 303 | 403), "{method} {path} {proxy}: {}", answer.status);
                }
                (false, false) => {
                    let said = answer.problem(401, "unauthorized");
                    assert!(said.contains("through a proxy") && said.contains("trusted_proxies"), "{said}");
                }
            }
        }
    }
}

#[test]
fn primary_answers_open_reads_only_under_its_own_hosts_and_to_its_own_pages() {
    let node = primary(Launch::primary());
    every_way_in(&node, &OPEN);
    every_way_in(&node, &REPLICATION);
}

#[test]
fn replica_answers_open_reads_only_under_its_own_hosts_and_to_its_own_pages() {
    let primary = primary(Launch::primary());
    let replica = Node::replica(&primary);
    assert_eq!(replica.text("a"), "secret text");
    every_way_in(&replica, &OPEN);
}

#[test]
fn streams_are_refused_under_a_foreign_host_before_they_begin() {
    let node = primary(Launch::primary());
    for path in ["/v1/events", "/ui/live"] {
        refused(&ask(&node, "GET", path, "host: evil.example\r\n"), path);
        let foreign = ask(&node, "GET", path, "host: localhost\r\norigin: http://evil.example\r\n");
        assert_eq!(foreign.status, 403, "{path}");
        let mut stream = node.connect();
        stream.write_all(&request("GET", path, path, "host: localhost\r\n", "1.1")).expect("written");
        let head = crate::support::answer::head(&mut BufReader::new(stream)).expect("a head");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("x-content-type-options: nosniff"), "{head}");
    }
}

#[test]
fn foreign_host_on_a_reused_connection_is_rejected() {
    let node = primary(Launch::primary());
    let mut stream = BufReader::new(node.connect());
    for (host, status) in [
        ("localhost", 200),
        ("evil.example", 421),
        ("localhost", 200),
        ("127.0.0.1:7070", 200),
        ("localhost.evil", 421),
    ] {
        let sent = format!("GET /v1/resolve/a HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.get_mut().write_all(sent.as_bytes()).expect("written");
        let head = crate::support::answer::head(&mut stream).expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        std::io::Read::read_exact(&mut stream, &mut body).expect("a body");
        assert_eq!(String::from_utf8_lossy(&body).contains("secret text"), status == 200, "{host}");
    }
}

#[test]
fn links_of_other_sites_lead_to_pages_and_not_to_the_interface() {
    let node = primary(Launch::primary());
    let link =
        "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    for (path, status) in
        [("/ui/prompts/a", 200), ("/docs", 200), ("/", 302), ("/v1/resolve/a", 403), ("/replication/v1/root/1", 403)]
    {
        assert_eq!(ask(&node, "GET", path, link).status, status, "{path}");
    }
}

#[test]
fn probes_are_answered_under_every_host() {
    let node = primary(Launch::primary());
    for path in ["/healthz", "/readyz"] {
        for lines in ["host: 10.42.0.7:7070\r\n", "host: evil.example\r\nsec-fetch-site: cross-site\r\n"] {
            assert_eq!(ask(&node, "GET", path, lines).status, 200, "{path} {lines:?}");
        }
        assert_eq!(node.raw(&request("GET", path, path, "", "1.0")).expect("an answer").status, 200);
    }
}

#[test]
fn hosts_setting_adds_hosts() {
    let node = primary(Launch::primary().args(["--allowed-hosts", "prompts.example.com,edge.internal"]));
    for (host, status) in [
        ("prompts.example.com", 200),
        ("PROMPTS.EXAMPLE.COM.:443", 200),
        ("edge.internal:9", 200),
        ("localhost", 200),
        ("evil.example", 421),
        ("sub.prompts.example.com", 421),
    ] {
        assert_eq!(ask(&node, "GET", "/v1/resolve/a", &format!("host: {host}\r\n")).status, status, "{host}");
        assert_eq!(ask(&node, "GET", "/ui/", &format!("host: {host}\r\n")).status, status, "{host}");
    }
    let any = primary(Launch::primary().env("BOOKHOLDER_ALLOWED_HOSTS", "*"));
    assert_eq!(ask(&any, "GET", "/v1/resolve/a", "host: evil.example\r\n").status, 200);
    assert!(
        Launch::primary()
            .args(["--allowed-hosts", "http://x"])
            .refused()
            .contains("invalid host `http://x` in allowed_hosts")
    );
}

#[test]
fn session_is_rejected_under_a_foreign_host() {
    let node = primary(Launch::primary().env("BOOKHOLDER_OPEN_READS", "false"));
    let mut browser = crate::ui::Browser::new(&node);
    assert_eq!(browser.sign_in(ADMIN).status, 303);
    let cookies: Vec<String> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookie = format!("cookie: {}\r\n", cookies.join("; "));
    for (method, path) in
        [("GET", "/ui/prompts/a"), ("POST", "/ui/rollback"), ("GET", "/ui/sign-in"), ("POST", "/ui/sign-in")]
    {
        refused(&ask(&node, method, path, &format!("host: evil.example\r\n{cookie}")), path);
    }
    assert_eq!(ask(&node, "GET", "/ui/prompts/a", &format!("host: localhost\r\n{cookie}")).status, 200);
}

#[test]
fn forwarded_request_over_the_unix_socket_is_not_local() {
    let home = tempfile::tempdir().expect("a folder");
    let socket = home.path().join("s");
    let node = primary(Launch::primary().args(["--socket".into(), socket.clone().into_os_string()]));
    let ask = |lines: &str, path: &str| {
        let stream = UnixStream::connect(&socket).expect("a connection");
        Answer::ask(stream, &request("GET", path, path, lines, "1.1")).expect("an answer")
    };
    for lines in ["host: evil.example\r\n", "host: localhost\r\n", "", "host: x\r\nsec-fetch-site: cross-site\r\n"] {
        for (method, path, status) in OPEN.iter().filter(|(method, ..)| *method == "GET") {
            assert_eq!(ask(lines, path).status, *status, "{method} {path} {lines:?}");
        }
    }
    assert_eq!(ask("host: x\r\nhost: y\r\n", "/v1/resolve/a").status, 400);
    let forwarded = ask("host: localhost\r\nx-forwarded-for: 192.0.2.1\r\n", "/v1/resolve/a");
    assert!(forwarded.problem(401, "unauthorized").contains("x-forwarded-for"));
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_names_its_host_in_the_authority_and_is_judged_by_it() {
    let files = Certificates::make();
    let node = tokio::task::spawn_blocking(move || {
        let node = files.launch(Launch::primary()).start();
        (node, files)
    });
    let (node, _files) = node.await.expect("a node");
    let _there_may_be_one = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .resolve("evil.example", node.address())
        .resolve("localhost", node.address())
        .build()
        .expect("a client");
    let published =
        json!({"content": {"syntax": "plain", "text": "secret text"}, "message": "m", "labels": ["production"]});
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", node.address().port());
    let publishing = client.post(url("localhost", "/v1/prompts/a/versions")).bearer_auth(ADMIN).json(&published);
    assert_eq!(publishing.send().await.expect("an answer").status(), 201);
    let ask = async |host: &str, path: &str, token: bool| {
        let request = client.get(url(host, path));
        let request = if token { request.bearer_auth(ADMIN) } else { request };
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    for path in ["/v1/resolve/a", "/v1/resolve/a", "/v1/prompts", "/ui/", "/metrics", "/replication/v1/root/1"] {
        assert_eq!(ask("localhost", path, false).await.0, 200, "{path}");
        let (status, said) = ask("evil.example", path, false).await;
        assert_eq!(status, 421, "{path}: {said}");
        assert!(!said.contains("secret text"), "{path}");
        assert_eq!(ask("evil.example", path, true).await.0, 200, "{path} with a token");
    }
    assert_eq!(ask("evil.example", "/healthz", false).await.0, 200);
    tokio::task::spawn_blocking(move || drop(node)).await.expect("ended");
}

/// A denied command, and the client address in the audit log.
fn client_of_refusal(node: &Node, token: &str, lines: &str) -> Value {
    let sent = format!(
        "DELETE /v1/tokens/rita HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n{lines}content-length: 0\r\n\r\n"
    );
    assert_eq!(node.raw(sent.as_bytes()).expect("an answer").status, 403, "{lines:?}");
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    let last = audit["items"].as_array().and_then(|items| items.last()).expect("an entry").clone();
    assert_eq!((&last["command"], &last["decision"]), (&json!("revoke-token"), &json!("denied")), "{last}");
    last["client"].clone()
}

fn reader(node: &Node, name: &str) -> String {
    let made = node.change("POST", "/v1/tokens", &json!({"name": name, "role": "reader"})).ok();
    made["token"].as_str().expect("a token").to_owned()
}

#[test]
fn client_address_is_taken_only_from_a_trusted_proxy() {
    let node = primary(
        Launch::primary().args(["--trusted-proxies", "127.0.0.1,10.0.0.0/8"]).env("BOOKHOLDER_ACCESS_LOG", "true"),
    );
    let token = reader(&node, "rita");
    for (lines, client) in [
        ("", "127.0.0.1"),
        ("x-forwarded-for: 198.51.100.7\r\n", "198.51.100.7"),
        ("x-forwarded-for: 1.2.3.4, 198.51.100.7, 10.0.0.3\r\n", "198.51.100.7"),
        ("x-forwarded-for: unknown\r\n", "127.0.0.1"),
        ("forwarded: for=1.2.3.4, for=\"[2001:db8::7]:80\";proto=https, for=10.0.0.3\r\n", "2001:db8::7"),
        ("forwarded: for=1.2.3.4\r\nx-forwarded-for: 198.51.100.7\r\n", "127.0.0.1"),
        ("forwarded: for=\"1.2.3.4, for=198.51.100.7\r\n", "127.0.0.1"),
    ] {
        assert_eq!(client_of_refusal(&node, &token, lines), json!(client), "{lines:?}");
    }
    node.until_logged("client=\"198.51.100.7\"");
    assert!(!node.stderr().contains(&token), "no access token is logged");
    // What comes from a proxy is not local, with the headers or without.
    for lines in ["", "x-forwarded-for: 127.0.0.1\r\n", "x-forwarded-for: 10.0.0.1\r\n", "forwarded: for=127.0.0.1\r\n"]
    {
        for path in ["/v1/resolve/a", "/v1/prompts", "/v1/events", "/replication/v1/root/1"] {
            let answer = ask(&node, "GET", path, &format!("host: localhost\r\n{lines}"));
            assert_eq!(answer.status, 401, "{path} {lines:?}: {}", answer.text());
        }
        assert_eq!(ask(&node, "GET", "/ui/", &format!("host: localhost\r\n{lines}")).status, 303, "{lines:?}");
    }
    let other = primary(Launch::primary().args(["--trusted-proxies", "10.0.0.0/8"]));
    let token = reader(&other, "rita");
    assert_eq!(client_of_refusal(&other, &token, "x-forwarded-for: 198.51.100.7\r\n"), json!("127.0.0.1"));
    assert!(Launch::replica().args(["--trusted-proxies", "nginx"]).refused().contains("`nginx` in trusted_proxies"));
}

#[test]
fn behind_a_proxy_scheme_and_sign_in_limits_use_the_client() {
    let node = primary(Launch::primary().args(["--trusted-proxies", "127.0.0.1"]));
    let tls = [("x-forwarded-proto", "https"), ("x-forwarded-for", "198.51.100.7")];
    let form = |headers: &[(&str, &str)]| {
        let all = [&[("authorization", "")], headers].concat();
        let page = node.send("GET", "/ui/sign-in", &all, b"");
        let cookie = page.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned();
        (crate::ui::form_token(&page.text()), cookie, page)
    };
    let (_, cookie, page) = form(&tls);
    assert!(cookie.starts_with("__Host-bookholder-visit="), "{cookie}");
    assert!(page.header("set-cookie").expect("a cookie").contains("; Secure"), "{}", page.head);
    let (_, cookie, page) = form(&[("x-forwarded-proto", "http")]);
    assert!(cookie.starts_with("bookholder_visit=") && !page.head.contains("Secure"), "{}", page.head);
    let sign_in = |headers: &[(&str, &str)], token: &str| {
        let (form, cookie, _) = form(headers);
        let sent = format!("form={form}&next=&token={token}");
        let more =
            [("authorization", ""), ("cookie", cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        node.send("POST", "/ui/sign-in", &[&more, headers].concat(), sent.as_bytes()).status
    };
    let origin = |origin| [tls[0], tls[1], ("origin", origin)];
    assert_eq!(sign_in(&origin("https://localhost"), ADMIN), 303);
    assert_eq!(sign_in(&origin("http://localhost"), ADMIN), 403, "another scheme is another site");
    for number in 0..10 {
        let neighbour = format!("2001:db8:1:2::{number}");
        assert_eq!(sign_in(&[("x-forwarded-for", &neighbour)], "bh_nobody_knows_this_one_here"), 200);
    }
    let status = |client| sign_in(&[("x-forwarded-for", client)], "bh_nobody_knows_this_one_here");
    assert_eq!((status("2001:db8:1:2:3::4"), status("2001:db8:1:3::4"), status("198.51.100.8")), (429, 200, 200));
    assert_eq!(sign_in(&[("x-forwarded-for", "2001:db8:1:2::1")], ADMIN), 303, "a right access token always signs in");
}

#[test]
fn ambiguous_http_is_rejected() {
    let node = primary(Launch::primary());
    for (sent, about) in [
        ("GET /v1/resolve/a HTTP/1.1\r\nhost : localhost\r\n\r\n", "a space before the colon"),
        ("GET /v1/resolve/a HTTP/1.1\r\nhost: localhost\r\n x: y\r\n\r\n", "a folded line"),
        (
            "POST /v1/resolve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n12\n{\"references\":[]}\n0\n\n",
            "chunks with bare line feeds",
        ),
    ] {
        let status = node.raw(sent.as_bytes()).map(|answer| answer.status);
        assert!(matches!(status, None | Some(400)), "{about}: {status:?}");
    }
}

#[test]
fn refused_forwarded_host_names_the_proxy_setting() {
    let node = primary(Launch::primary());
    for (lines, names_proxies) in [
        ("host: evil.example\r\n", false),
        ("host: evil.example\r\nx-forwarded-for: 198.51.100.1\r\n", true),
        ("host: evil.example\r\nforwarded: for=198.51.100.1\r\n", true),
        ("host: evil.example\r\nvia: 1.1 cache\r\n", true),
    ] {
        let said = ask(&node, "GET", "/ui/", lines);
        assert_eq!(said.status, 421, "{lines:?}: {}", said.text());
        assert_eq!(said.text().contains("trusted_proxies"), names_proxies, "{lines:?}: {}", said.text());
        assert!(said.text().contains("allowed_hosts"), "{lines:?}: {}", said.text());
    }
    let trusted = primary(Launch::primary().args(["--trusted-proxies", "127.0.0.1"]));
    let said = ask(&trusted, "GET", "/ui/", "host: evil.example\r\nx-forwarded-for: 198.51.100.1\r\n");
    assert!(said.status == 421 && !said.text().contains("trusted_proxies"), "{}", said.text());
}
