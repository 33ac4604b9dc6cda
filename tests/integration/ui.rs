//! The pages as browsers without scripts meet them: signing in, reading, taking back, over real sockets.

use std::time::{Duration, Instant};

use bookholder::api::write::ImportRequest;
use bookholder::files::mapping::NameMapper;
use bookholder::model::content::Syntax;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{ADMIN, Launch, Node, segment};
use crate::support::primary::label;
use crate::support::team::{AGENT, Team};

/// The cookie of a session without TLS.
const SESSION: &str = "bookholder_session";
/// The security headers of every page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A browser without scripts: it stores cookies and sends forms.
#[derive(Clone)]
pub struct Browser<'n> {
    node: &'n Node,
    pub cookies: Vec<(String, String)>,
}

impl<'n> Browser<'n> {
    pub fn new(node: &'n Node) -> Self {
        Self { node, cookies: Vec::new() }
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_bytes(method, path, headers, body.as_bytes())
    }

    pub fn send_bytes(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = vec![("authorization", ""), ("cookie", cookies.as_str())];
        all.extend_from_slice(headers);
        let answer = self.node.send(method, path, &all, body);
        for line in answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, rest) = line.split_once('=').expect("a cookie");
            let value = rest.split(';').next().expect("a value");
            self.cookies.retain(|(found, _)| found != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        if path.starts_with("/ui/") {
            assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{method} {path}: {}", answer.head);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        }
        answer
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// A page that must be there.
    pub fn page(&mut self, path: &str) -> String {
        let answer = self.get(path);
        let page = answer.text();
        assert_eq!(answer.status, 200, "{path}: {}{page}", answer.head);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let scripts = page.matches("<script").count();
        assert_eq!((scripts, page.contains(" style=")), (1, false), "{path}: {page}");
        page
    }

    pub fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
        self.send("POST", path, &form, &pairs.join("&"))
    }

    pub fn sign_in(&mut self, token: &str) -> Answer {
        let form = form_token(&self.page("/ui/sign-in?next=/ui/?label=production"));
        self.submit("/ui/sign-in", &[("form", &form), ("next", "/ui/?label=production"), ("token", token)])
    }

    fn session(&self) -> Option<&str> {
        self.cookies.iter().find(|(name, _)| name == SESSION).map(|(_, value)| value.as_str())
    }
}

pub fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What the first form of a page that changes something carries.
pub fn form_token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"form\" value=\"").unwrap_or_else(|| panic!("a form in {page}"));
    rest.split('"').next().expect("a value").to_owned()
}

/// A node that requires signing in for reads.
pub fn closed() -> Node {
    Launch::primary().env("BOOKHOLDER_OPEN_READS", "false").start()
}

#[test]
fn token_starts_a_session_and_signing_out_ends_it() {
    let node = closed();
    let mut browser = Browser::new(&node);
    let sent_away = browser.get("/ui/prompts/a?version=1");
    let to = "/ui/sign-in?next=/ui/prompts/a%3Fversion%3D1";
    assert_eq!((sent_away.status, sent_away.header("location")), (303, Some(to)));
    let refused = browser.sign_in("bh_nobody_knows_this_one_here");
    assert_eq!((refused.status, browser.session()), (200, None));
    assert!(refused.text().contains("That token is not valid"), "{}", refused.text());
    assert!(!refused.text().contains("bh_nobody"), "no credential comes back");
    let signed = browser.sign_in(ADMIN);
    assert_eq!((signed.status, signed.header("location")), (303, Some("/ui/?label=production")));
    let cookie = signed.head.lines().find(|line| line.contains(SESSION)).expect("a cookie");
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(flag), "{flag} in {cookie}");
    }
    let first = browser.session().expect("a session").to_owned();
    let page = browser.page("/ui/");
    assert!(page.contains("Signed in with the access token <b>admin</b>"), "{page}");
    let mut other = Browser::new(&node);
    assert_eq!(other.sign_in(ADMIN).status, 303);
    assert_ne!(other.session(), Some(first.as_str()), "each sign-in makes a session of its own");
    let out = browser.submit("/ui/sign-out", &[("form", &form_token(&page))]);
    assert_eq!((out.status, browser.session()), (303, None));
    browser.cookies.push((SESSION.to_owned(), first));
    assert_eq!(browser.get("/ui/").status, 303, "the old cookie is worth nothing");
    assert!(other.page("/ui/").contains("Signed in"), "another browser stays signed in");
    let mut third = Browser::new(&node);
    assert_eq!(third.sign_in(ADMIN).status, 303);
    let form = form_token(&third.page("/ui/"));
    assert_eq!(third.submit("/ui/sign-out", &[("form", &form), ("everywhere", "yes")]).status, 303);
    assert_eq!(other.get("/ui/").status, 303, "everywhere means everywhere");
}

#[test]
fn error_pages_show_navigation_and_visitor() {
    let node = Node::primary();
    node.publish("a", "text");
    let mut browser = Browser::new(&node);
    let local = browser.get("/ui/nothing");
    assert!(local.status == 404 && local.text().contains("Read-only (local)"), "{}", local.text());
    assert_eq!(browser.sign_in(ADMIN).status, 303);
    for (method, path, status) in [
        ("GET", "/ui/nothing", 404),
        ("GET", "/ui/prompts/nothing", 404),
        ("GET", "/ui/review/99", 404),
        ("GET", "/ui/prompts/a?version=x", 400),
        ("POST", "/ui/prompts/a", 405),
        ("POST", "/ui/rollback", 400),
    ] {
        let answer = browser.send(method, path, &[], "");
        let page = answer.text();
        assert_eq!(answer.status, status, "{method} {path}: {page}");
        for part in
            ["href=\"/ui/review\"", "href=\"/ui/audit\"", "href=\"/ui/access\"", "Signed in with the access token"]
        {
            assert!(page.contains(part), "{part} in {method} {path}: {page}");
        }
    }
}

#[test]
fn revoking_a_token_ends_its_session() {
    let node = closed();
    node.publish("a", "text");
    let made = node.change("POST", "/v1/tokens", &json!({"name": "laptop", "role": "reader"})).ok();
    let mut browser = Browser::new(&node);
    assert_eq!(browser.sign_in(made["token"].as_str().expect("a token")).status, 303);
    assert!(browser.page("/ui/prompts/a").contains("text"));
    assert!((200..300).contains(&node.change("DELETE", "/v1/tokens/laptop", &Value::Null).status));
    assert_eq!(browser.get("/ui/prompts/a").status, 303);
}

#[test]
fn forms_of_other_sites_or_sessions_are_refused() {
    let node = Node::primary();
    node.publish("a", "one");
    node.publish("a", "two");
    let mut browser = Browser::new(&node);
    let cookieless = browser.submit("/ui/sign-in", &[("token", ADMIN), ("form", "")]);
    assert_eq!((cookieless.status, browser.session()), (403, None), "{}", cookieless.text());
    assert_eq!(browser.sign_in(ADMIN).status, 303);
    let page = browser.page("/ui/prompts/a");
    let (_, rest) = page.split_once("name=\"serves\" value=\"").expect("a form");
    let (form, serves) = (form_token(&page), rest.split('"').next().expect("a number").to_owned());
    let fields = |form: &str| {
        let all = [("form", form), ("name", "a"), ("label", "production"), ("serves", &serves), ("message", "why")];
        all.map(|(name, value)| format!("{name}={}", encode(value))).join("&")
    };
    let forms: [(&str, &[(&str, &str)]); 5] = [
        ("", &[]),
        (&"0".repeat(64), &[]),
        (&form, &[("sec-fetch-site", "cross-site")]),
        (&form, &[("origin", "http://evil.example")]),
        (&form, &[("origin", "null")]),
    ];
    for (form, headers) in forms {
        let answer = browser.send("POST", "/ui/rollback", headers, &fields(form));
        assert_eq!(answer.status, 403, "{form} {headers:?}: {}", answer.text());
        assert!(answer.text().contains("<h1>Permission denied</h1>"), "{}", answer.text());
    }
    assert_eq!(node.text("a"), "two", "nothing was done");
    let mut stranger = Browser::new(&node);
    assert_eq!(stranger.send("POST", "/ui/rollback", &[], &fields(&form)).status, 303, "to sign in");
    let tls = browser.send("POST", "/ui/rollback", &[("origin", "https://localhost")], &fields(&form));
    assert_eq!(tls.status, 403, "a page over TLS is another site");
    let done = browser.send("POST", "/ui/rollback", &[("origin", "http://localhost")], &fields(&form));
    assert_eq!(done.header("location"), Some("/ui/prompts/a?done=rollback"), "{}{}", done.head, done.text());
    assert_eq!(node.text("a"), "one");
    assert!(browser.page("/ui/prompts/a?done=rollback").contains("Rolled back."));
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    let last = audit["items"].as_array().and_then(|items| items.last()).expect("an entry").clone();
    assert_eq!((&last["command"], &last["method"]), (&json!("rollback"), &json!("web session of access token admin")));
    assert!(last["request_id"].is_string(), "{last}");
    let again = browser.send("POST", "/ui/rollback", &[], &fields(&form));
    assert_eq!(again.header("location"), Some("/ui/prompts/a?done=moved"), "an old page takes nothing back");
    assert_eq!(node.text("a"), "one");
}

#[test]
fn form_without_its_hidden_field_is_refused_by_the_name_of_the_field() {
    let node = Node::primary();
    let mut browser = Browser::new(&node);
    let answer = browser.submit("/ui/sign-in", &[("token", ADMIN)]);
    assert_eq!((answer.status, browser.session()), (400, None), "{}", answer.text());
    assert!(answer.text().contains("form field <code>form</code> is missing"), "{}", answer.text());
}

#[test]
fn wrong_sign_ins_are_slowed_and_a_right_access_token_always_signs_in() {
    let node = Node::primary();
    let mut browser = Browser::new(&node);
    for _ in 0..10 {
        assert_eq!(browser.sign_in("bh_nobody_knows_this_one_here").status, 200);
    }
    let refused = browser.sign_in("bh_nobody_knows_this_one_either");
    assert_eq!(refused.status, 429, "{}", refused.text());
    let wait: u64 = refused.header("retry-after").expect("how long").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(
        refused.text().contains("too many sign-in attempts") || refused.text().contains("Too many sign-in attempts")
    );
    assert_eq!(browser.sign_in(ADMIN).status, 303, "who has one is not kept out by others' guesses");
}

#[test]
fn text_of_others_is_escaped_on_pages() {
    let node = Node::primary();
    let name = "support/script-alert";
    let hostile =
        "</div></script><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{200b}javascript:alert(1)";
    for text in [hostile.to_owned(), format!("{hostile} and more\n{{{{ x }}}}")] {
        let content = json!({"syntax": "plain", "messages": [{"role": "user", "content": text, "name": "</title>"}],
            "config": {"</pre><script>": hostile}, "tools": [{"name": "<svg onload=alert(1)>"}]});
        let request = json!({"content": content, "message": hostile, "labels": ["production"]});
        let path = format!("/v1/prompts/{name}/versions");
        let _published = node.change("POST", &path, &request).ok();
    }
    let mut browser = Browser::new(&node);
    let prompt = format!("/ui/prompts/{name}");
    let diff = format!("/ui/diff/{name}?from=1&to=2");
    let search = format!("/ui/?q={}", encode("\"><script>"));
    for path in ["/ui/", &search, &prompt, &format!("{prompt}?version=1"), &diff] {
        let page = browser.page(path);
        for bad in ["<img", "<svg onload", "</script><script", "\u{202e}", "\u{200b}", "href=\"javascript"] {
            assert!(!page.contains(bad), "{bad} in {path}: {page}");
        }
    }
    assert!(browser.page(&prompt).contains("U+202E"), "what turns the writing is shown");
    let wrong = browser.get("/ui/prompts/%3Cscript%3E%22");
    assert!(wrong.status == 404 && wrong.text().contains("&lt;script&gt;"), "{}", wrong.text());
    for path in ["/ui/nowhere", "/ui/?risk=x", "/ui/diff/a", "/ui/prompts/a%40b"] {
        let answer = browser.get(path);
        assert!((400..500).contains(&answer.status) && answer.text().contains("<h1>"), "{path}: {}", answer.text());
    }
}

#[test]
fn empty_registry_page_shows_options_and_browsers_are_redirected() {
    let node = Node::primary();
    let home = node.send("GET", "/", &[("authorization", ""), ("accept", "text/html,*/*")], b"");
    assert_eq!((home.status, home.header("location")), (302, Some("/ui/")));
    assert_eq!(node.get("/").header("location"), Some("/docs"));
    let mut browser = Browser::new(&node);
    let page = browser.page("/ui/");
    assert!(page.contains("No prompts yet") && !page.contains("<table"), "{page}");
    assert!(page.contains("Read-only (local)"), "{page}");
    for asset in page.split('"').filter(|part| part.starts_with("/ui/app") || *part == "/ui/icon.svg") {
        let answer = browser.get(asset);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("max-age=31536000, immutable")));
    }
}

#[test]
fn lists_show_readable_prompts_and_open_requests() {
    let policy = json!({"name": "production", "prompts": "support/**", "labels": "production", "approvals": 1});
    let team = Team::start(Launch::primary(), &policy);
    let version = team.publish("ann", "Hello");
    let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": version}}]);
    team.send("ann", "POST", "/v1/requests", &json!({"moves": moves, "message": "please"})).ok();
    team.node.publish("secret/one", "text");
    let bound = json!({"name": "narrow", "role": "reader", "prompts": "support/**"});
    let made = team.node.change("POST", "/v1/tokens", &bound).ok();
    let mut browser = Browser::new(&team.node);
    assert_eq!(browser.sign_in(made["token"].as_str().expect("a token")).status, 303);
    let list = browser.page("/ui/");
    assert!(list.contains("request 1 open") && !list.contains("secret"), "{list}");
    assert!(browser.page(&format!("/ui/prompts/{AGENT}")).contains("request 1 open"));
    assert_eq!(browser.get("/ui/prompts/secret/one").status, 403);
    assert_eq!(browser.get("/ui/diff/secret/one?from=1&to=1").status, 403);
}

#[test]
fn search_covers_all_fields_and_shows_the_places() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let publish = |who: &str, name: &str, text: &str, message: &str| {
        let body = json!({"content": {"syntax": "mustache", "text": text}, "message": message});
        team.send(who, "POST", &format!("/v1/prompts/{}/versions", segment(name)), &body).ok();
    };
    publish("ann", AGENT, "An old Elephant <walks>", "OPS-1 first draft of the zookeeper");
    publish("admin", AGENT, "A served Giraffe", "OPS-2 second");
    let moves = json!([{"name": AGENT, "label": "staging", "serving": {"version": 2}}]);
    team.send("rob", "POST", "/v1/deployments", &json!({"moves": moves, "message": "OPS-2 now"})).ok();
    publish("ann", AGENT, "The newest ÄFFCHEN", "OPS-3 third");
    let about = json!({"owner": "crew-9", "tags": ["wildlife"], "description": "Answers about penguins."});
    team.send("admin", "PUT", &format!("/v1/prompts/{}/about", segment(AGENT)), &about).ok();
    let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": 3}}]);
    team.send("ann", "POST", "/v1/requests", &json!({"moves": moves, "message": "OPS-4 hippos wait"})).ok();
    team.send("rob", "POST", "/v1/requests/1/reviews", &json!({"kind": "comment", "message": "Ask the llamas"})).ok();
    publish("admin", "secret/one", "giraffe affchen", "zookeeper");
    let mut browser = Browser::new(&team.node);
    assert_eq!(browser.sign_in(team.token("ann")).status, 303);
    for (words, shown) in [
        ("agent", "<mark>agent</mark></a>"),
        ("affchen", ""),
        ("äffchen", "text of v3</span> The newest <mark>ÄFFCHEN</mark>"),
        ("giraffe", "text of v2</span> A served <mark>Giraffe</mark>"),
        ("zookeeper", "message of v1</span> OPS-1 first draft of the <mark>zookeeper</mark>"),
        ("admin", "author of v2</span> <mark>admin</mark>"),
        ("penguin", "description</span> Answers about <mark>penguin</mark>s."),
        ("WILD", "tag</span> <mark>wild</mark>life"),
        ("crew", "owner</span> <mark>crew</mark>-9"),
        ("hippo", "request 1</a> OPS-4 <mark>hippo</mark>s wait"),
        ("llama", "request 1</a> Ask the <mark>llama</mark>s"),
        ("giraffe llama support", "<mark>Giraffe</mark>"),
        ("giraffe nowhere", ""),
        ("elephant", ""),
    ] {
        let page = browser.page(&format!("/ui/?q={}", encode(words)));
        let expected = if shown.is_empty() { "No prompts match" } else { shown };
        assert!(page.contains(expected) && !page.contains("secret/"), "{words}: {page}");
    }
    let older = browser.page("/ui/?q=elephant+walks&history=yes");
    assert!(older.contains("text of v1</span> An old <mark>Elephant</mark> &lt;<mark>walks</mark>&gt;"), "{older}");
    let mut browser = Browser::new(&team.node);
    assert_eq!(browser.sign_in(team.token("cy")).status, 303);
    let all = browser.page("/ui/?q=zookeeper");
    assert!(all.contains("2 prompts"), "who reads everything finds both: {all}");
}

#[test]
fn replica_pages_are_read_only() {
    let primary = Node::primary();
    primary.publish("a/b", "one {{x}}");
    primary.publish("a/b", "two {{x}}");
    let replica = Node::replica(&primary);
    let mut browser = Browser::new(&replica);
    for path in ["/ui/", "/ui/?folder=a/", "/ui/prompts/a/b", "/ui/diff/a/b?from=1&to=2"] {
        assert!(browser.page(path).contains("Read-only replica"), "{path}");
    }
    assert!(browser.page("/ui/sign-in").contains("Sign-in is off"));
    assert!(browser.page("/ui/prompts/a/b").contains("<var>{{x}}</var>"));
}

#[test]
fn every_page_of_a_real_library_answers() {
    let changes = crate::history::read();
    let node = Node::primary();
    for batch in changes.chunks(200) {
        let request = ImportRequest { changes: batch.to_vec(), syntax: Syntax::Plain, label: label("production") };
        node.change("POST", "/v1/import", &serde_json::to_value(request).expect("JSON")).ok();
    }
    let mut browser = Browser::new(&node);
    let (mut path, mut prompts, mut slowest) = ("/ui/".to_owned(), Vec::new(), Duration::ZERO);
    loop {
        let begun = Instant::now();
        let page = browser.page(&path);
        slowest = slowest.max(begun.elapsed());
        assert!(page.contains("513 prompts"), "{page}");
        prompts.extend(
            page.split("class=\"name\" href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
        );
        match page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            Some(next) => path = next.replace("&amp;", "&"),
            None => break,
        }
    }
    println!("slowest page of the list, unoptimised: {slowest:?}");
    assert_eq!(prompts.len(), 1_513, "1,724 prompts, 211 of them removed");
    for path in prompts.iter().step_by(25) {
        browser.page(path);
    }
    let name = NameMapper::new().map("Code Review Assistant").name;
    let war = browser.page(&format!("/ui/prompts/{name}"));
    assert!(war.contains("class=\"timeline\""), "the edit war is drawn");
    let then = browser.page(&format!("/ui/prompts/{name}?at=2026-01-01T00:00"));
    assert!(then.contains("At <b>2026-01-01 00:00:00 UTC</b>"), "{then}");
    let found = browser.page("/ui/?q=linux");
    assert!(found.to_lowercase().contains("linux"), "{found}");
}
