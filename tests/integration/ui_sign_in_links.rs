//! Sign-in links over real sockets: used once, expiring, not for services, disabled people or replicas, and in no log.

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{ADMIN, Launch, Node};
use crate::ui::{Browser, closed, form_token};

/// Where a link leads, on the node that it was created at.
fn path(url: &str) -> &str {
    let (_, path) = url.split_once("/ui/").expect("a page");
    assert!(path.starts_with("sign-in-link?key="), "{url}");
    &url[url.len() - path.len() - "/ui/".len()..]
}

fn key(url: &str) -> &str {
    url.split_once("key=").expect("a secret").1
}

fn person(node: &Node, name: &str) {
    let grants = json!([{"role": "author"}]);
    node.change("POST", "/v1/principals", &json!({"name": name, "kind": "person", "grants": grants})).ok();
}

fn link(node: &Node, name: &str, body: &serde_json::Value) -> String {
    let made = node.change("POST", &format!("/v1/principals/{name}/sign-in-link"), body).ok();
    made["url"].as_str().expect("an address").to_owned()
}

/// Opens a link and presses its button.
fn press(browser: &mut Browser<'_>, url: &str) -> crate::support::answer::Answer {
    let page = browser.get(path(url));
    let form = if page.status == 200 { form_token(&page.text()) } else { String::new() };
    browser.submit("/ui/sign-in-link", &[("form", &form), ("key", key(url))])
}

#[test]
fn sign_in_link_works_once_and_viewing_does_not_use_it() {
    let mut node = Launch::primary().env("BOOKHOLDER_OPEN_READS", "false").env("BOOKHOLDER_ACCESS_LOG", "true").start();
    person(&node, "ann");
    let url = link(&node, "ann", &json!({}));
    assert!(url.starts_with("http://"), "{url}");
    for _ in 0..3 {
        let seen = Browser::new(&node).get(path(&url));
        assert_eq!(seen.status, 200, "a preview: {}", seen.text());
        assert!(seen.text().contains("Sign in as ann"), "{}", seen.text());
        assert_eq!(seen.header("referrer-policy"), Some("strict-origin"), "{}", seen.head);
        assert_eq!(seen.header("cache-control"), Some("no-store"), "{}", seen.head);
    }
    let mut ann = Browser::new(&node);
    let done = press(&mut ann, &url);
    assert_eq!((done.status, done.header("location")), (303, Some("/ui/")), "{}", done.text());
    assert!(ann.page("/ui/").contains("Signed in with a sign-in link."), "{}", ann.page("/ui/"));
    let mut other = Browser::new(&node);
    assert_eq!(other.get(path(&url)).status, 404, "used");
    let cookies = ann.cookies.clone();
    node.until_logged("path=\"/ui/sign-in-link\"");
    node.until_logged("signed in to the pages with a sign-in link");
    assert!(!node.stderr().contains(key(&url)), "the secret is in no log");
    node.restart();
    let mut ann = Browser::new(&node);
    ann.cookies.clone_from(&cookies);
    assert_eq!(ann.get("/ui/").status, 200, "the session survives a restart");
    let entries = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok()["items"].as_array().expect("entries").clone();
    let of = |command: &str| entries.iter().filter(|entry| entry["command"] == command).collect::<Vec<_>>();
    let (made, used) = (of("create-sign-in-link"), of("use-sign-in-link"));
    assert_eq!((made.len(), used.len()), (1, 1), "{entries:?}");
    assert_eq!((&made[0]["actor"], &used[0]["actor"]), (&json!("admin"), &json!("ann")));
    assert_eq!((&used[0]["method"], &used[0]["reason"]), (&json!("sign-in link"), &json!("admin created the link")));
    node.send("POST", "/v1/principals/ann/suspension", &[], b"").ok();
    let mut ann = Browser::new(&node);
    ann.cookies = cookies;
    assert_eq!(ann.get("/ui/").status, 303, "disabled");
}

#[test]
fn replaced_link_or_link_of_disabled_person_is_rejected() {
    let node = closed();
    person(&node, "ann");
    let (first, second) = (link(&node, "ann", &json!({})), link(&node, "ann", &json!({"expires_s": 60})));
    assert_eq!(Browser::new(&node).get(path(&first)).status, 404, "replaced");
    assert_eq!(Browser::new(&node).get(path(&second)).status, 200);
    node.send("POST", "/v1/principals/ann/suspension", &[], b"").ok();
    assert_eq!(Browser::new(&node).get(path(&second)).status, 404, "disabled");
    node.send("DELETE", "/v1/principals/ann/suspension", &[], b"").ok();
    let page = Browser::new(&node).get(path(&second));
    assert_eq!(page.status, 404, "and enabled again");
    assert!(page.text().contains("Ask an admin for a new one"), "{}", page.text());
}

#[test]
fn link_needs_a_person_valid_lifetime_and_access_permission() {
    let node = closed();
    person(&node, "ann");
    node.change("POST", "/v1/principals", &json!({"name": "bot", "kind": "service"})).ok();
    let ask = |name: &str, body: &serde_json::Value| {
        node.change("POST", &format!("/v1/principals/{name}/sign-in-link"), body)
    };
    for (name, body, status, part) in [
        ("bot", json!({}), 422, "it is a service"),
        ("ann", json!({"expires_s": 0}), 422, "24 hours"),
        ("ann", json!({"expires_s": 86_401}), 422, "24 hours"),
        ("nobody", json!({}), 404, "nobody"),
    ] {
        let refused = ask(name, &body);
        assert_eq!(refused.status, status, "{}", refused.text());
        assert!(refused.text().contains(part), "{}", refused.text());
    }
    let token = node.change("POST", "/v1/tokens", &json!({"name": "ann-ci", "principal": "ann"})).ok();
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    assert_eq!(node.send("POST", "/v1/principals/ann/sign-in-link", &headers, b"{}").status, 403);
}

#[test]
fn guesses_at_links_are_slowed_like_wrong_sign_ins() {
    let node = closed();
    for number in 0..10 {
        let wrong = format!("/ui/sign-in-link?key=bh_{number:043}");
        assert_eq!(Browser::new(&node).get(&wrong).status, 404, "{wrong}");
    }
    assert_eq!(Browser::new(&node).get("/ui/sign-in-link?key=x").status, 429);
}

#[test]
fn replica_refuses_sign_in_links_and_names_its_primary() {
    let primary = Node::primary();
    let replica = Node::replica(&primary);
    let refused = Browser::new(&replica).get("/ui/sign-in-link?key=bh_0123456789abcdef");
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    assert!(refused.text().contains("signing in with a link"), "{}", refused.text());
}

#[test]
fn admin_creates_links_on_the_page_of_a_person_and_on_the_command_line() {
    let node = closed();
    person(&node, "ann");
    let mut admin = Browser::new(&node);
    assert_eq!(admin.sign_in(ADMIN).status, 303);
    let form = form_token(&admin.page("/ui/access/who/ann"));
    let done = admin.submit("/ui/access/who/ann", &[("form", &form), ("do", "link"), ("hours", "2")]);
    assert_eq!(done.header("location"), Some("/ui/access/who/ann"), "{}", done.text());
    let page = admin.page("/ui/access/who/ann");
    let (_, rest) = page.split_once("/ui/sign-in-link?key=").expect("a link");
    let url = format!("http://x/ui/sign-in-link?key={}", rest.split('<').next().expect("its end"));
    assert!(!admin.page("/ui/access/who/ann").contains("sign-in-link?key="), "shown once");
    assert_eq!(press(&mut Browser::new(&node), &url).status, 303);
    let said = bookholder(["principal", "sign-in-link", "ann", "--expires", "2h"]).server(&node).ok();
    assert_eq!(press(&mut Browser::new(&node), said.stdout.trim()).status, 303, "{said:?}");
    let _said =
        bookholder(["principal", "sign-in-link", "ann", "--expires", "25h"]).server(&node).fails(1).says("24 hours");
}
