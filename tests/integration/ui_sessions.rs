//! Sessions of the pages across restarts and restores, over real sockets.

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{ADMIN, Launch, Node};
use crate::ui::{Browser, closed, form_token};

/// A browser that signed in, as its cookies, which survive the node's restart.
type Cookies = Vec<(String, String)>;

fn signed_in(node: &Node, token: &str) -> Cookies {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(token).status, 303);
    assert_eq!(browser.get("/ui/").status, 200);
    browser.cookies
}

fn back<'n>(node: &'n Node, cookies: &Cookies) -> Browser<'n> {
    let mut browser = Browser::new(node);
    browser.cookies.clone_from(cookies);
    browser
}

fn made(node: &Node, name: &str) -> String {
    let made = node.change("POST", "/v1/tokens", &json!({"name": name, "role": "reader"})).ok();
    made["token"].as_str().expect("a token").to_owned()
}

#[test]
fn session_form_and_sign_out_survive_a_kill() {
    let mut node = closed();
    let position = |node: &Node| node.send("GET", "/v1/status", &[], b"").ok()["position"].clone();
    let before = position(&node);
    let (here, there) = (signed_in(&node, ADMIN), signed_in(&node, ADMIN));
    assert_eq!(position(&node), before, "signing in makes no commit");
    let form = form_token(&back(&node, &here).page("/ui/"));
    node.restart();
    assert!(back(&node, &here).page("/ui/").contains("Signed in with the access token <b>admin</b>"));
    assert_eq!(back(&node, &here).submit("/ui/sign-out", &[("form", &form)]).status, 303);
    node.restart();
    assert_eq!(back(&node, &here).get("/ui/").status, 303, "who signed out stays signed out");
    let page = back(&node, &there).page("/ui/");
    let everywhere = [("form", form_token(&page)), ("everywhere", "yes".to_owned())];
    let everywhere = everywhere.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(back(&node, &there).submit("/ui/sign-out", &everywhere).status, 303);
    node.restart();
    assert_eq!(back(&node, &there).get("/ui/").status, 303, "everywhere means after a restart as well");
}

#[test]
fn restart_drops_sessions_of_removed_tokens_and_principals() {
    let mut node = closed();
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| signed_in(&node, &made(&node, name)));
    assert_eq!(node.send("DELETE", "/v1/tokens/ann", &[], b"").status, 204);
    node.send("POST", "/v1/principals/bob/suspension", &[], b"").ok();
    for when in ["at once", "after a restart"] {
        assert_eq!(back(&node, &ann).get("/ui/").status, 303, "revoked, {when}");
        assert_eq!(back(&node, &bob).get("/ui/").status, 303, "suspended, {when}");
        assert_eq!(back(&node, &eve).get("/ui/").status, 200, "{when}");
        node.restart();
    }
}

#[test]
fn backup_contains_no_cookie_and_restore_starts_without_sessions() {
    let mut node = closed();
    let cookies = signed_in(&node, ADMIN);
    let file = node.home().join("with-a-session.backup");
    let _said = bookholder(["backup"]).arg(&file).server(&node).ok();
    node.stop();
    let (_, cookie) = cookies.iter().find(|(name, _)| name == "bookholder_session").expect("a session");
    for path in [&file, &node.data().join("registry.redb")] {
        let bytes = std::fs::read(path).expect("a file");
        assert!(!bytes.windows(cookie.len()).any(|part| part == cookie.as_bytes()), "{}", path.display());
    }
    let restored = node.home().join("restored");
    let keys = node.data().join("keys");
    let _said = bookholder(["restore"]).arg(&file).arg("--data").arg(&restored).arg("--keys").arg(keys).ok();
    let restored = Launch::primary().env("BOOKHOLDER_OPEN_READS", "false").data(&restored).start();
    assert_eq!(back(&restored, &cookies).get("/ui/").status, 303);
    node.restart();
    assert_eq!(back(&node, &cookies).get("/ui/").status, 200);
}
