//! Access pages in a browser without scripts: people, access tokens, roles, policies, and explanations.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{ADMIN, Launch, Node};
use crate::support::team::{AGENT, Team};
use crate::ui::{Browser, form_token};

fn signed<'n>(node: &'n Node, token: &str) -> Browser<'n> {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(token).status, 303);
    browser
}

/// Sends one form of a page, with what shows that it is of this session.
fn send(browser: &mut Browser<'_>, page: &str, to: &str, fields: &[(&str, &str)]) -> Answer {
    let form = form_token(&browser.page(page));
    let mut all = vec![("form", form.as_str())];
    all.extend_from_slice(fields);
    browser.submit(to, &all)
}

/// Submits a form of a page, which must be accepted; returns the redirect.
fn accepted(browser: &mut Browser<'_>, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = send(browser, path, path, fields);
    let to = answer.header("location").map(str::to_owned);
    assert_eq!(answer.status, 303, "{path} {fields:?}: {}", answer.text());
    to.expect("a place")
}

/// Submits a form of a page, which must be rejected there; returns the page.
fn refused(browser: &mut Browser<'_>, path: &str, status: u16, fields: &[(&str, &str)]) -> String {
    let answer = send(browser, path, path, fields);
    let page = answer.text();
    assert_eq!(answer.status, status, "{path} {fields:?}: {}{page}", answer.head);
    assert!(page.contains("Nothing was changed.") && page.contains("role=\"alert\""), "{page}");
    page
}

/// The same for a form that is sent elsewhere, whatever the status.
fn rejected(browser: &mut Browser<'_>, page: &str, to: &str, fields: &[(&str, &str)]) -> String {
    let answer = send(browser, page, to, fields);
    let page = answer.text();
    assert!(
        (400..500).contains(&answer.status) && page.contains("Nothing was changed."),
        "{fields:?}: {}{page}",
        answer.head
    );
    page
}

fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name} in {page}"));
    rest.split('"').next().expect("a value").to_owned()
}

/// The access token that a page shows.
fn shown(page: &str) -> String {
    let (_, rest) = page.split_once("<code>bh_").unwrap_or_else(|| panic!("an access token in {page}"));
    format!("bh_{}", rest.split('<').next().expect("its end"))
}

/// The newest audit entry.
fn last(node: &Node) -> Value {
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    audit["items"].as_array().and_then(|items| items.last()).expect("an entry").clone()
}

fn works(node: &Node, token: &str) -> bool {
    node.send("GET", "/v1/whoami", &[("authorization", &format!("Bearer {token}"))], b"").status == 200
}

#[test]
fn person_is_created_granted_given_a_token_and_disabled() {
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    let create = [("do", "create"), ("name", "ann"), ("kind", "person"), ("role", "author"), ("prompts", "support/**")];
    assert_eq!(accepted(&mut admin, "/ui/access", &create), "/ui/access/who/ann?done=create");
    let entry = last(&node);
    let grants = json!([{"role": "author", "prompts": "support/**", "labels": "**"}]);
    assert_eq!(
        (&entry["command"], &entry["method"], &entry["changes"][0]["after"]["grants"]),
        (&json!("create-principal"), &json!("web session of access token admin"), &grants)
    );
    let page = refused(&mut admin, "/ui/access", 409, &create);
    assert!(
        page.contains("A principal <code>ann</code> already exists") && page.contains("value=\"support/**\""),
        "{page}"
    );
    let bad = [("do", "create"), ("name", "No Name"), ("kind", "service"), ("role", "")];
    let page = refused(&mut admin, "/ui/access", 400, &bad);
    assert!(page.contains("value=\"No Name\"") && page.contains("<option value=\"service\" selected>"), "{page}");

    let ann = "/ui/access/who/ann";
    let grant = [("do", "grant"), ("role", "releaser"), ("prompts", "support/agent"), ("labels", "staging")];
    assert_eq!(accepted(&mut admin, ann, &grant), "/ui/access/who/ann?done=grant");
    assert!(refused(&mut admin, ann, 422, &grant).contains("already exists"));
    let page = refused(&mut admin, ann, 404, &[("do", "grant"), ("role", "nobody"), ("prompts", "a/*")]);
    assert!(page.contains("no role <code>nobody</code>") && page.contains("value=\"a/*\""), "{page}");
    assert!(refused(&mut admin, ann, 400, &[("do", "grant"), ("role", "")]).contains("Role: choose one"));
    let page = admin.page("/ui/access/who/ann?done=grant");
    assert!(
        page.contains("Granted. Takes effect immediately.") && page.contains("<code>support/agent</code>"),
        "{page}"
    );

    let token = [("do", "token"), ("name", "ann-laptop"), ("days", "90"), ("bound", "support/**")];
    let path = accepted(&mut admin, ann, &token);
    assert_eq!(path, "/ui/access/tokens/ann-laptop", "no secret is in an address");
    let once = admin.page(&path);
    let secret = shown(&once);
    assert!(once.contains("Copy your token") && once.contains("class=\"copy\""), "{once}");
    assert!(!admin.page(&path).contains("bh_"), "shown once");
    assert!(!admin.page("/ui/access/tokens").contains("bh_") && works(&node, &secret));
    assert!(!node.stderr().contains(&secret), "and in no log");
    let mut laptop = signed(&node, &secret);
    assert!(laptop.page("/ui/").contains("ann"));
    let page = admin.page("/ui/access");
    assert!(page.contains("href=\"/ui/access/who/ann\"") && page.contains("just now"), "{page}");

    let take = [("do", "take"), ("role", "author"), ("prompts", "support/**"), ("labels", "**")];
    assert_eq!(accepted(&mut admin, ann, &take), "/ui/access/who/ann?done=take");
    assert!(refused(&mut admin, ann, 404, &take).contains("There is no grant"));
    assert_eq!(accepted(&mut admin, ann, &[("do", "disable")]), "/ui/access/who/ann?done=disable");
    assert_eq!(last(&node)["command"], json!("disable-principal"));
    assert!(!works(&node, &secret));
    assert!(laptop.page("/ui/").contains("Read-only (local)"), "the session ended with it");
    assert!(admin.page(ann).contains("Their access tokens do not work."));
    assert_eq!(accepted(&mut admin, ann, &[("do", "enable")]), "/ui/access/who/ann?done=enable");
    assert!(works(&node, &secret));
    let page = refused(&mut admin, "/ui/access/who/admin", 409, &[("do", "disable")]);
    assert!(page.contains("is the only one who can manage access"), "{page}");
    assert!(
        page.contains("href=\"/ui/audit?who=admin\"") && page.contains("enable-principal"),
        "what they did: {page}"
    );
}

#[test]
fn token_is_created_rotated_with_overlap_and_revoked() {
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    let path = "/ui/access/tokens";
    let page = refused(&mut admin, path, 404, &[("do", "token"), ("principal", "nobody"), ("name", "x"), ("days", "")]);
    assert!(page.contains("no principal <code>nobody</code>") && page.contains("value=\"nobody\""), "{page}");
    let zero = [("do", "token"), ("principal", "admin"), ("name", "x"), ("days", "0")];
    assert!(refused(&mut admin, path, 400, &zero).contains("use 1 or more days, or leave it empty"));
    let make = [("do", "token"), ("principal", "admin"), ("name", "second"), ("days", "")];
    let one = accepted(&mut admin, path, &make);
    assert_eq!(one, "/ui/access/tokens/second");
    let mut other = signed(&node, ADMIN);
    assert!(!other.page(&one).contains("bh_"), "another session does not see it");
    let first = shown(&admin.page(&one));
    assert_eq!(accepted(&mut admin, &one, &[("do", "rotate"), ("hours", "24"), ("days", "30")]), one);
    let second = shown(&admin.page(&one));
    assert!(first != second && works(&node, &first) && works(&node, &second), "both are good for a day");
    assert!(admin.page(&one).contains("Old token"));
    accepted(&mut admin, &one, &[("do", "rotate"), ("hours", "0"), ("days", "")]);
    let third = shown(&admin.page(&one));
    assert!(!works(&node, &first) && !works(&node, &second) && works(&node, &third));
    assert!(refused(&mut admin, &one, 400, &[("do", "rotate"), ("hours", "x")]).contains("Hours: "));
    assert_eq!(accepted(&mut admin, &one, &[("do", "revoke")]), "/ui/access/tokens?done=revoke");
    assert!(!works(&node, &third));
    assert_eq!(last(&node)["command"], json!("revoke-token"));
    assert_eq!(admin.get(&one).status, 404);
    let page = refused(&mut admin, "/ui/access/tokens/admin", 409, &[("do", "revoke")]);
    assert!(page.contains("is the only one who can manage access"), "{page}");
    assert_eq!(admin.submit("/ui/access/tokens/admin", &[("form", ""), ("do", "revoke")]).status, 403);
    assert!(works(&node, ADMIN));
}

#[test]
fn custom_role_is_created_changed_and_removed() {
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    let list = "/ui/access/roles";
    let create = [
        ("do", "create"),
        ("name", "on-call"),
        ("description", "At night"),
        ("may.read", "yes"),
        ("may.deploy", "yes"),
    ];
    assert_eq!(accepted(&mut admin, list, &create), "/ui/access/roles/on-call?done=create");
    let page = refused(&mut admin, list, 409, &create);
    assert!(
        page.contains("role <code>on-call</code> already exists"),
        "one that is there is not replaced unseen: {page}"
    );
    assert!(page.contains("name=\"may.deploy\" value=\"yes\" checked"), "{page}");
    let one = "/ui/access/roles/on-call";
    let seen = hidden(&admin.page(one), "seen");
    let change = [
        ("do", "change"),
        ("seen", seen.as_str()),
        ("description", "At night"),
        ("may.read", "yes"),
        ("may.retire", "yes"),
    ];
    assert_eq!(accepted(&mut admin, one, &change), "/ui/access/roles/on-call?done=change");
    let change_of_role = &last(&node)["changes"][0];
    assert_eq!(change_of_role["subject"], json!({"kind": "role", "name": "on-call"}));
    assert_eq!(change_of_role["before"]["permissions"], json!(["read", "deploy"]));
    assert_eq!(change_of_role["after"]["permissions"], json!(["read", "retire"]));
    let page = refused(&mut admin, one, 400, &change);
    assert!(page.contains("omeone else changed this since you opened it"), "{page}");
    let grant = json!({"name": "ann", "kind": "person", "grants": [{"role": "on-call"}]});
    let _made = node.change("POST", "/v1/principals", &grant).ok();
    let page = refused(&mut admin, one, 409, &[("do", "remove")]);
    assert!(page.contains("still granted to ann") && page.contains("href=\"/ui/access/who/ann\""), "{page}");
    let take = [("do", "take"), ("role", "on-call"), ("prompts", "**"), ("labels", "**")];
    accepted(&mut admin, "/ui/access/who/ann", &take);
    assert_eq!(accepted(&mut admin, one, &[("do", "remove")]), "/ui/access/roles?done=remove");
    assert_eq!(admin.get(one).status, 404);
    assert!(admin.page("/ui/access/roles/admin").contains("cannot be changed"));
    let forced = send(&mut admin, list, "/ui/access/roles/admin", &[("do", "remove")]);
    assert_eq!(forced.status, 409, "{}", forced.text());
}

#[test]
fn policy_form_writes_every_field() {
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    assert!(admin.page("/ui/access/policies").contains("No policies"));
    let new = "/ui/access/new-policy";
    let all = [
        ("do", "save"),
        ("seen", ""),
        ("name", "production"),
        ("labels", "production*"),
        ("prompts", "support/**"),
        ("deployer.releaser", "yes"),
        ("approvals", "2"),
        ("approver.compliance", "yes"),
        ("approver.releaser", "yes"),
        ("self_approval", "yes"),
        ("after_label", "staging"),
        ("after_for", "90"),
        ("after_unit", "min"),
        ("message", "OPS-[0-9]+"),
        ("gates", "regression, safety"),
        ("weekly.0.fri", "yes"),
        ("weekly.0.from", "16:00"),
        ("weekly.0.to", "24:00"),
        ("weekly.0.why", "weekend"),
        ("weekly.1.from", ""),
        ("weekly.1.to", ""),
        ("once.0.from", "2026-12-24T00:00"),
        ("once.0.to", "2026-12-27T00:00"),
        ("once.0.why", "holidays"),
        ("risk_from", "high"),
        ("risk_approver.compliance", "yes"),
        ("block.secrets", "yes"),
    ];
    let changed =
        |name: &str, value: &'static str| all.map(|(found, old)| (found, if found == name { value } else { old }));
    let page = refused(&mut admin, new, 422, &changed("message", "("));
    assert!(page.contains("not a valid regular expression") && page.contains("value=\"regression, safety\""), "{page}");
    assert!(page.contains("name=\"weekly.0.fri\" value=\"yes\" checked"), "nothing typed is lost: {page}");
    assert!(refused(&mut admin, new, 400, &changed("approvals", "many")).contains("Approvals: "));
    assert!(refused(&mut admin, new, 400, &changed("weekly.0.to", "4pm")).contains("invalid time of day"));
    assert_eq!(accepted(&mut admin, new, &all), "/ui/access/policies/production?done=save");
    let kept = node.send("GET", "/v1/policies", &[], b"").ok();
    let expected = json!([{
        "name": "production", "prompts": "support/**", "labels": "production*", "deployers": ["releaser"], "approvals": 2,
        "approvers": ["compliance", "releaser"], "self_approval": true, "after": {"label": "staging", "for_s": 5400},
        "message": "OPS-[0-9]+", "gates": ["regression", "safety"],
        "freeze": [{"days": ["fri"], "from": "16:00", "to": "24:00", "why": "weekend"},
            {"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z", "why": "holidays"}],
        "risk": {"from": "high", "approvers": ["compliance"], "block": ["secrets"]},
    }]);
    assert_eq!(kept, expected);
    assert!(refused(&mut admin, new, 409, &all).contains("policy <code>production</code> already exists"));
    let one = "/ui/access/policies/production";
    let page = admin.page(one);
    assert!(page.contains("90 min on staging first") && page.contains("no deployments on fri"), "{page}");
    let seen = hidden(&page, "seen");
    let less =
        [("do", "save"), ("seen", seen.as_str()), ("labels", "production"), ("approvals", "1"), ("after_unit", "d")];
    assert_eq!(accepted(&mut admin, one, &less), "/ui/access/policies/production?done=save");
    let kept = node.send("GET", "/v1/policies", &[], b"").ok();
    assert_eq!(kept, json!([{"name": "production", "prompts": "**", "labels": "production", "approvals": 1}]));
    assert_eq!(last(&node)["command"], json!("put-policy"));
    assert!(refused(&mut admin, one, 400, &less).contains("someone else changed this"), "an old page replaces nothing");
    assert_eq!(accepted(&mut admin, one, &[("do", "remove")]), "/ui/access/policies?done=remove");
    assert!(admin.page("/ui/access/policies?done=remove").contains("No policies"));
}

#[test]
fn check_access_explains_grants_and_policies() {
    let policy = json!({"approvals": 1, "approvers": ["compliance"], "deployers": ["releaser"]});
    let team = Team::start(Launch::primary(), &policy);
    let version = team.publish("ann", "Hello");
    let mut admin = signed(&team.node, team.token("admin"));
    let bound = json!({"name": "rob-sales", "principal": "rob", "prompts": "sales/**"});
    let _made = team.node.change("POST", "/v1/tokens", &bound).ok();
    let ask = |who: &str, more: &str| format!("/ui/access/why?who={who}&permission=deploy{more}");
    let place = format!("&prompt={AGENT}&label=production");
    let page = admin.page(&ask("ann", &place));
    for part in [
        "No: ann cannot deploy",
        "its role does not allow deploy",
        "href=\"/ui/access/roles/releaser\"",
        "1 approval of this exact change by compliance (0 so far)",
        "All permissions of <a href=\"/ui/access/who/ann\">",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let page = admin.page(&ask("rob", &format!("{place}&version={version}")));
    for part in ["Not yet: rob cannot deploy", "Grant releaser on support/**.", "allows deploy here", "Not met: "] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(page.contains("rob-sales</b> is limited to <code>sales/**</code>"), "{page}");
    let page = admin.page(&ask("rob", &format!("&prompt={AGENT}&label=staging")));
    assert!(page.contains("Yes: rob can deploy") && page.contains("no policy applies"), "{page}");
    assert!(admin.page(&ask("rob", "&prompt=sales/one")).contains("allows deploy, for other prompts"));
    assert!(admin.page(&ask("rob", "")).contains("enter a prompt"));
    assert!(admin.page(&ask("nobody", "")).contains("There is no principal <code>nobody</code>."));
    let none = admin.get(&ask("rob", &format!("&prompt={AGENT}&label=production&version=99")));
    let page = none.text();
    assert!(none.status == 404 && page.contains("has no version 99") && page.contains("value=\"99\""), "{page}");
    let wrong = admin.get(&ask("rob", "&label=production"));
    assert!(wrong.status == 400 && wrong.text().contains("belong to a prompt"), "{}", wrong.text());
    assert!(admin.page("/ui/access/who/rob").contains("href=\"/ui/access/why?who=rob\""));
}

#[test]
fn pages_show_and_change_only_what_is_permitted() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let mut ann = signed(&team.node, team.token("ann"));
    assert!(!ann.page("/ui/").contains("href=\"/ui/access\""), "the part is for who keeps access");
    for path in
        ["/ui/access", "/ui/access/tokens", "/ui/access/tokens/rob", "/ui/access/who/rob", "/ui/access/new-policy"]
    {
        assert_eq!(ann.get(path).status, 403, "{path}");
    }
    for path in [
        "/ui/access/who/ann",
        "/ui/access/roles",
        "/ui/access/roles/author",
        "/ui/access/policies",
        "/ui/access/policies/production",
    ] {
        let page = ann.page(path);
        assert!(!page.contains("action=\"/ui/access"), "{path}: {page}");
    }
    let page = ann.page(&format!("/ui/access/why?permission=deploy&prompt={AGENT}&label=production"));
    assert!(page.contains("No: ann cannot deploy"), "{page}");
    let other = ann.get("/ui/access/why?who=rob&permission=deploy");
    assert!(other.status == 403 && !other.text().contains("releaser on"), "{}", other.text());
    for (path, fields) in [
        ("/ui/access", vec![("do", "create"), ("name", "eve"), ("kind", "person"), ("role", "admin")]),
        ("/ui/access/who/ann", vec![("do", "grant"), ("role", "admin")]),
        ("/ui/access/who/rob", vec![("do", "disable")]),
        ("/ui/access/who/ann", vec![("do", "token"), ("name", "more"), ("days", "1")]),
        ("/ui/access/tokens/rob", vec![("do", "revoke")]),
        ("/ui/access/roles", vec![("do", "create"), ("name", "all"), ("may.access", "yes")]),
        ("/ui/access/policies/production", vec![("do", "remove")]),
    ] {
        let answer = send(&mut ann, "/ui/", path, &fields);
        assert_eq!(answer.status, 403, "{path} {fields:?}: {}", answer.text());
        let entry = last(&team.node);
        assert_eq!((&entry["decision"], &entry["actor"]), (&json!("denied"), &json!("ann")), "{path}: {entry}");
    }
    assert!(Browser::new(&team.node).get("/ui/access").status >= 400, "local readers keep nothing");
    let keeper = json!({"permissions": ["read", "policy"]});
    let _kept = team.node.change("PUT", "/v1/roles/keeper", &keeper).ok();
    let eve = team.node.change("POST", "/v1/tokens", &json!({"name": "eve", "role": "keeper"})).ok();
    let mut eve = signed(&team.node, eve["token"].as_str().expect("a token"));
    let page = eve.page("/ui/");
    assert!(page.contains("href=\"/ui/access/policies\""), "who keeps policies finds them: {page}");
    assert!(eve.page("/ui/access/policies/production").contains("value=\"remove\""));
    let replica = Node::replica(&team.node);
    assert_eq!(Browser::new(&replica).get("/ui/access").status, 403, "a replica keeps no access");
}

#[test]
fn webhooks_are_created_tested_changed_and_removed_in_the_browser() {
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    let list = "/ui/access/webhooks";
    assert!(admin.page("/ui/access").contains(list) && admin.page(list).contains("No webhooks"));
    let hook = |url| {
        [
            ("do", "save"),
            ("name", "team"),
            ("url", url),
            ("format", "slack"),
            ("events", "prompt.label.moved *"),
            ("prompts", "support/**"),
        ]
    };
    let page = refused(&mut admin, list, 422, &hook("http://hooks.example.com/x"));
    assert!(page.contains("value=\"http://hooks.example.com/x\"") && page.contains("value=\"team\""), "{page}");
    let path = accepted(&mut admin, list, &hook("https://hooks.example.com/secret-path"));
    assert_eq!(path, "/ui/access/webhooks/team", "no secret is in an address");
    let once = admin.page(&path);
    assert!(once.contains("<code>whsec_") && once.contains("https://hooks.example.com/…"), "{once}");
    let again = admin.page(&path);
    assert!(!again.contains("whsec_") && !again.contains("secret-path"), "{again}");
    assert!(
        refused(&mut admin, list, 409, &hook("https://hooks.example.com/y"))
            .contains("A webhook <code>team</code> already exists")
    );
    let change = [
        ("do", "save"),
        ("url", "https://hooks.example.com/z"),
        ("format", "standard"),
        ("events", "*"),
        ("prompts", ""),
    ];
    assert_eq!(accepted(&mut admin, &path, &change), "/ui/access/webhooks/team?done=save");
    assert!(admin.page(&path).contains("value=\"https://hooks.example.com/z\""));
    accepted(&mut admin, &path, &[("do", "rotate"), ("hours", "24")]);
    assert!(admin.page(&path).contains("<code>whsec_"));
    accepted(&mut admin, &path, &[("do", "disable")]);
    assert!(admin.page(list).contains(">disabled<"));
    assert!(refused(&mut admin, &path, 409, &[("do", "test")]).contains("disabled"));
    accepted(&mut admin, &path, &[("do", "enable")]);
    assert_eq!(accepted(&mut admin, &path, &[("do", "remove")]), "/ui/access/webhooks?done=remove");
    assert_eq!(last(&node)["command"], json!("remove-webhook"));
    assert_eq!(admin.get(&path).status, 404);
}

#[test]
fn rule_sets_are_written_in_the_browser_and_their_mistakes_come_back() {
    const RULE: &str = "[[rule]]\nid = \"house.loan\"\nversion = 1\ndescription = \"Offers a loan.\"\ncategory = \"financial\"\n\
        severity = \"high\"\nkeywords = [\"loan\"]\nregex = '(?i)\\bloan\\b'\ntest_pos = [\"Take a loan today\"]\ntest_neg = [\"We are alone\"]\n";
    let node = Node::primary();
    let mut admin = signed(&node, ADMIN);
    let list = "/ui/access/rules";
    assert!(admin.page(list).contains("built-in"));
    let built_in = admin.page("/ui/access/rules/built-in");
    assert!(built_in.contains("# secrets.toml") && !built_in.contains("<textarea"), "{built_in}");
    let broken = RULE.replace("Take a loan today", "nothing");
    let page = refused(&mut admin, list, 422, &[("do", "create"), ("name", "house"), ("toml", &broken)]);
    assert!(page.contains("house.loan") && page.contains("value=\"house\""), "{page}");
    let typed = RULE.replace('\n', "\r\n");
    let made = accepted(&mut admin, list, &[("do", "create"), ("name", "house"), ("toml", &typed)]);
    assert_eq!(made, "/ui/access/rules/house?done=save");
    assert_eq!(
        node.send("GET", "/v1/rules/house", &[], b"").ok()["toml"],
        json!(RULE),
        "line ends are those of the file"
    );
    assert!(refused(&mut admin, list, 409, &[("do", "create"), ("name", "house"), ("toml", RULE)]).contains("already"));
    let path = "/ui/access/rules/house";
    let seen = hidden(&admin.page(path), "seen");
    let changed = RULE.replace("version = 1", "version = 2");
    accepted(&mut admin, path, &[("do", "save"), ("seen", &seen), ("toml", &changed)]);
    let stale = refused(&mut admin, path, 400, &[("do", "save"), ("seen", &seen), ("toml", RULE)]);
    assert!(stale.contains("someone else changed this"), "{stale}");
    assert_eq!(accepted(&mut admin, path, &[("do", "remove")]), "/ui/access/rules?done=remove");
    assert_eq!(admin.get(path).status, 404);
}

#[test]
fn webhook_and_rule_pages_need_permission() {
    let team = Team::start(Launch::primary(), &json!({}));
    let mut ann = signed(&team.node, team.token("ann"));
    assert_eq!(ann.get("/ui/access/webhooks").status, 403);
    let page = ann.page("/ui/access/rules");
    assert!(
        page.contains("built-in") && !page.contains("<textarea") && !page.contains("/ui/access/webhooks"),
        "{page}"
    );
}

#[test]
fn versions_are_retired_and_prompts_removed_in_the_browser() {
    let team = Team::start(Launch::primary(), &json!({}));
    for text in ["One", "Two"] {
        team.publish("ann", text);
    }
    team.deploy("rob", 2).ok();
    let prompt = "/ui/prompts/support/agent";
    let mut ann = signed(&team.node, team.token("ann"));
    let page = ann.page(prompt);
    assert!(
        !page.contains("/ui/remove") && page.contains("Protected by <a href=\"/ui/access/policies/production\""),
        "{page}"
    );
    let mut admin = signed(&team.node, team.token("admin"));
    let retire = |word| [("name", AGENT), ("version", "1"), ("do", word), ("message", "old")];
    let answer = send(&mut admin, prompt, "/ui/retire", &retire("retire"));
    assert_eq!(
        answer.header("location"),
        Some("/ui/prompts/support/agent?version=1&done=retired"),
        "{}",
        answer.text()
    );
    assert!(admin.page(&format!("{prompt}?version=1")).contains("Reinstate version 1"));
    let answer = send(&mut admin, prompt, "/ui/retire", &retire("reinstate"));
    assert_eq!(answer.header("location"), Some("/ui/prompts/support/agent?version=1&done=reinstated"));
    let remove = |typed| [("name", AGENT), ("confirm", typed), ("message", "moved")];
    assert_eq!(send(&mut admin, prompt, "/ui/remove", &remove("support")).status, 400, "the name is not typed");
    assert_eq!(send(&mut ann, "/ui/new", "/ui/remove", &remove(AGENT)).status, 403);
    let answer = send(&mut admin, prompt, "/ui/remove", &remove(AGENT));
    assert_eq!(answer.header("location"), Some("/ui/prompts/support/agent?done=removed"), "{}", answer.text());
    assert!(!admin.page(prompt).contains("/ui/remove"), "there is nothing left to remove");
}

#[test]
fn label_without_a_policy_links_to_the_form() {
    let node = Node::primary();
    let body = json!({"content": {"syntax": "plain", "text": "x"}, "message": "m", "labels": ["staging"]});
    node.change("POST", "/v1/prompts/a/versions", &body).ok();
    let mut admin = signed(&node, ADMIN);
    let page = admin.page("/ui/prompts/a");
    assert!(page.contains("href=\"/ui/access/new-policy?prompts=a&amp;labels=staging\""), "{page}");
    let form = admin.page("/ui/access/new-policy?prompts=a&labels=staging");
    assert!(
        form.contains("name=\"labels\" value=\"staging\"") && form.contains("name=\"prompts\" value=\"a\""),
        "{form}"
    );
}

#[test]
fn archive_page_archives_exactly_its_preview() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let change = |name: &str, number: u32| {
        let at = format!("2024-01-0{number}T00:00:00Z");
        json!({"id": format!("{name}-{number}"), "at": at, "author": "a", "message": "m", "name": name, "text": format!("text {number}")})
    };
    let changes: Vec<Value> = (1..=4).map(|number| change("old/one", number)).collect();
    let import = json!({"changes": changes, "label": "live"});
    assert_eq!(team.node.change("POST", "/v1/import", &import).ok()["published"], 4);
    let path = "/ui/access/archive";
    let (list, why) = (format!("{path}?unused_days=365"), ("message", "Old trials"));
    let mut author = signed(&team.node, team.token("ann"));
    assert_eq!(author.get(&list).status, 403);
    let mut admin = signed(&team.node, ADMIN);
    let page = admin.page(path);
    assert!(page.contains("Nothing archived yet") && !page.contains("would-go"), "{page}");
    let below = admin.get(&format!("{path}?unused_days=100"));
    assert!(below.status == 422 && below.text().contains("at least 184 days"), "{}", below.text());
    let page = admin.page(&list);
    for part in ["2 versions to archive", "old/one@1</a>", "old/one@2</a>", "a rollback would deploy it"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let seen = hidden(&page, "seen");
    let fields =
        |message| [("do", "archive"), ("unused_days", "365"), ("prompts", ""), ("seen", seen.as_str()), message];
    assert!(
        rejected(&mut admin, &list, path, &fields(("message", ""))).contains("old/one@1</a>"),
        "no reason was given"
    );
    let import =
        json!({"changes": (1..=3).map(|number| change("old/two", number)).collect::<Vec<_>>(), "label": "live"});
    team.node.change("POST", "/v1/import", &import).ok();
    assert!(rejected(&mut admin, &list, path, &fields(why)).contains("old/two@1</a>"), "what would go now is shown");
    let seen = hidden(&admin.page(&list), "seen");
    let fields = [("do", "archive"), ("unused_days", "365"), ("prompts", ""), ("seen", seen.as_str()), why];
    let answer = send(&mut admin, &list, path, &fields);
    assert_eq!(answer.header("location"), Some("/ui/access/archive?done=archive"), "{}", answer.text());
    let page = admin.page(&list);
    for part in ["by admin: 3 versions, “Old trials”", "Nothing to archive"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(last(&team.node)["command"], "archive");
    assert!(admin.page("/ui/?q=one+2&history=yes").contains("No prompts match"), "no archived text is read");
}
