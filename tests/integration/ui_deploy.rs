//! Deploying as browsers without scripts meet it: choosing, seeing what changes, doing it, and taking it back.

use serde_json::{Value, json};

use crate::support::form::Form;
use crate::support::node::{Launch, segment};
use crate::support::team::{AGENT, Team};
use crate::ui::Browser;

const DEPLOY: &str = "/ui/deploy/support/agent";

fn team(policy: &Value) -> Team {
    let team = Team::start(Launch::primary(), policy);
    for text in ["One {{shop}}", "Two {{shop}}", "Three {{shop}}"] {
        let _published = team.publish("ann", text);
    }
    team
}

fn signed<'n>(team: &'n Team, who: &str) -> Browser<'n> {
    let mut browser = Browser::new(&team.node);
    assert_eq!(browser.sign_in(team.token(who)).status, 303, "{who}");
    browser
}

fn resolved(team: &Team, subject: &str, locale: &str) -> u64 {
    let path = format!("/v1/resolve/{AGENT}@staging?subject={subject}&attr=locale={locale}");
    team.send("admin", "GET", &path, &Value::Null).ok()["version"].as_u64().expect("a version")
}

/// Presses a button of the form that only chooses; what the page then shows.
fn choose(browser: &mut Browser<'_>, form: &Form, button: &str) -> String {
    let form = if button.is_empty() { form.clone() } else { form.clone().set("do", button) };
    let pairs: Vec<String> =
        form.pairs().iter().map(|(name, value)| format!("{}={}", segment(name), segment(value))).collect();
    let path = format!("{}?{}", form.action, pairs.join("&"));
    if button.is_empty() {
        return browser.page(&path);
    }
    let answer = browser.get(&path);
    assert_eq!(answer.status, 303, "{}", answer.text());
    let to = answer.header("location").expect("a path").to_owned();
    browser.page(&to)
}

fn chooser(page: &str) -> Form {
    Form::of(page, "data-follow")
}

fn decide(browser: &mut Browser<'_>, page: &str, button: &str, message: &str) -> Result<String, String> {
    let form = Form::of(page, "id=\"decide\"").set("message", message).set("do", button);
    let answer = browser.submit(&form.action, &form.pairs());
    answer.header("location").map(str::to_owned).ok_or_else(|| answer.text())
}

#[test]
fn split_with_rules_is_served_as_previewed() {
    let team = team(&json!({}));
    let mut rob = signed(&team, "rob");
    let page = rob.page(&format!("{DEPLOY}?label=staging&version=1"));
    assert!(page.contains("Nothing yet: this is a new label.") && page.contains("Deploy to staging"), "{page}");
    assert_eq!(decide(&mut rob, &page, "deploy", "First"), Ok("/ui/prompts/support/agent?done=deployed".to_owned()));

    let page = rob.page(&format!("{DEPLOY}?label=staging"));
    let page = choose(&mut rob, &chooser(&page), "add-d");
    let form = chooser(&page).set("d.1.version", "2").set("d.1.share", "30").set("d.0.share", "70");
    let page = choose(&mut rob, &form, "rule");
    let form = chooser(&page).set("r0.when", "locale=de*").set("r0.0.version", "3").set("r0.1.version", "");
    let form = form.set("subject", "user-42").set("attributes", "locale=en");
    let page = choose(&mut rob, &form, "");
    assert!(page.contains("70%") && page.contains("30%") && page.contains("<code>de*</code>"), "{page}");
    let gets = |page: &str| {
        let (_, rest) = page.split_once("would get <b class=\"version\">v").unwrap_or_else(|| panic!("gets in {page}"));
        rest.split('<').next().and_then(|number| number.parse::<u64>().ok()).expect("a version")
    };
    let mut expected = Vec::new();
    for subject in ["user-42", "user-43", "a b&c", "还"] {
        let page = choose(&mut rob, &chooser(&page).set("subject", subject), "");
        expected.push((subject, gets(&page)));
    }
    let german = choose(&mut rob, &chooser(&page).set("attributes", "locale=de-AT"), "");
    assert!(gets(&german) == 3 && german.contains("by rule 1"), "{german}");
    // Someone else deploys to another label meanwhile: what was shown is deployed anyway.
    let _other = team.deploy("rob", 1);
    decide(&mut rob, &page, "deploy", "Canary").expect("deployed");
    for (subject, version) in expected {
        assert_eq!(resolved(&team, &segment(subject), "en"), version, "{subject}");
    }
    assert_eq!(resolved(&team, "x", "de-CH"), 3);

    let stale = decide(&mut rob, &page, "deploy", "Again").expect_err("the page is old");
    assert!(stale.contains("staging changed"), "{stale}");
    let again = rob.page(&format!("{DEPLOY}?label=staging"));
    assert!(again.contains("No changes: this is already deployed."), "{again}");
    for (query, expected) in [
        ("label=staging&version=99", "no version 99"),
        ("label=latest&version=1", "latest"),
        ("label=staging&d.0.version=seven&d.0.share=1", "<code>seven</code> is not a version"),
        ("label=%3Cscript%3E&version=1", "&lt;script&gt;"),
        (
            "label=staging&d.0.version=1&d.0.share=100&r0.when=german&r0.0.version=1",
            "<code>german</code> is not a condition",
        ),
    ] {
        let page = rob.page(&format!("{DEPLOY}?{query}"));
        assert!(page.contains(expected) && !page.contains("value=\"deploy\""), "{query}: {page}");
    }
}

#[test]
fn unmet_requirements_can_be_requested_or_overridden_by_an_admin() {
    let team = team(&json!({"approvals": 1, "approvers": ["compliance"], "message": "OPS-[0-9]+"}));
    let path = format!("{DEPLOY}?label=production&version=2");
    let (mut ann, mut rob) = (signed(&team, "ann"), signed(&team, "rob"));
    let page = ann.page(&path);
    assert!(page.contains("Not allowed:") && page.contains("Can be met by: cy (compliance)"), "{page}");
    assert!(page.contains("checked when you deploy"), "{page}");
    let page_of_rob = rob.page(&path);
    let refused = decide(&mut rob, &page_of_rob, "deploy", "OPS-1").expect_err("no approval");
    assert!(refused.contains("annot deploy to") && refused.contains("value=\"OPS-1\""), "{refused}");
    let glass = decide(&mut rob, &page_of_rob, "override", "OPS-1").expect_err("no override");
    assert!(glass.contains("role=\"alert\""), "{glass}");
    let request = decide(&mut ann, &page, "propose", "OPS-2 please").expect("asked");
    assert_eq!(request, "/ui/review/1?done=propose");
    let looked = team.send("cy", "GET", "/v1/requests/1", &Value::Null).ok();
    let approval = json!({"kind": "approve", "fingerprints": [looked["request"]["moves"][0]["fingerprint"]]});
    team.send("cy", "POST", "/v1/requests/1/reviews", &approval).ok();
    let page = rob.page(&path);
    let wordless = decide(&mut rob, &page, "deploy", "now").expect_err("the message lacks its number");
    assert!(wordless.contains("OPS-[0-9]+"), "{wordless}");
    decide(&mut rob, &page, "deploy", "OPS-3").expect("approved, and with its number");

    let mut admin = signed(&team, "admin");
    let page = admin.page(&format!("{DEPLOY}?label=production&version=3"));
    let form = Form::of(&page, "id=\"decide\"").set("message", "OPS-4").set("do", "override");
    let unsaid = admin.submit(&form.action, &form.pairs());
    assert_eq!(unsaid.status, 200, "a reason is needed: {}", unsaid.text());
    let form = form.set("break_glass", "The shop is on fire");
    assert_eq!(admin.submit(&form.action, &form.pairs()).status, 303);
    let mut eye = Browser::new(&team.node);
    assert_eq!(eye.get(DEPLOY).status, 303, "to sign in");

    // Rollback in two clicks: the link, and the button.
    let list = rob.page("/ui/");
    let link = "/ui/prompts/support/agent?back=production#back-production";
    assert!(list.contains(link), "{list}");
    let page = rob.page("/ui/prompts/support/agent?back=production");
    assert!(page.contains("id=\"back-production\" open"), "{page}");
    let form = Form::of(&page, "action=\"/ui/rollback\"").set("message", "Wrong");
    let done = rob.submit(&form.action, &form.pairs());
    assert_eq!(done.status, 303, "{}", done.text());
    let label = team.send("admin", "GET", &format!("/v1/prompts/{}/labels/production", segment(AGENT)), &Value::Null);
    assert_eq!(label.ok()["serving"], json!({"version": 2}));
}

#[test]
fn second_of_two_concurrent_deployments_gets_label_moved() {
    let team = team(&json!({}));
    for version in [1, 2, 3] {
        team.deploy("rob", version).ok();
    }
    let path = format!("/v1/prompts/{}/labels/production", segment(AGENT));
    let serves = team.send("rob", "GET", &path, &Value::Null).ok()["deployment"].clone();
    let back = json!({"message": "bad", "expected_deployment": serves});
    team.send("rob", "POST", &format!("{path}/rollback"), &back).ok();
    let second = team.send("ivy", "POST", &format!("{path}/rollback"), &back);
    assert!(second.status == 409 && second.text().contains("label_moved"), "{}", second.text());
    let moves = |expected: u64| {
        json!({"message": "on", "moves": [{"name": AGENT, "label": "production",
        "serving": {"version": 1}, "expected_deployment": expected}]})
    };
    let blind = team.send("ivy", "POST", "/v1/deployments", &moves(0));
    assert_eq!(blind.status, 409, "{}", blind.text());
    assert_eq!(team.send("rob", "GET", &path, &Value::Null).ok()["serving"], json!({"version": 2}));
}

#[test]
fn deploying_high_findings_needs_one_confirmation() {
    const RISKY: &str = "Advise the customer which loan to take.";
    let team = team(&json!({}));
    let risky = team.publish("ann", RISKY);
    let mut rob = signed(&team, "rob");
    let page = rob.page(&format!("{DEPLOY}?label=staging&version={risky}"));
    assert!(page.contains("name=\"despite_findings\""), "{page}");
    let asked = decide(&mut rob, &page, "deploy", "now").expect_err("nothing was ticked");
    assert!(asked.contains("Nothing was changed.") && asked.contains("(high)"), "{asked}");
    let form = Form::of(&asked, "id=\"decide\"").set("message", "now").set("do", "deploy");
    let ticked = [form.pairs(), vec![("despite_findings", "yes")]].concat();
    assert_eq!(rob.submit(DEPLOY, &ticked).status, 303);

    let mut admin = signed(&team, "admin");
    let page = admin.page("/ui/edit/support/other");
    let form = Form::of(&page, "id=\"editor\"").set("text", RISKY).set("message", "First").set("label", "staging");
    let form = form.set("do", "deploy");
    let answer = admin.submit("/ui/edit/support/other", &form.pairs());
    let asked = answer.text();
    assert!(answer.status == 200 && asked.contains("Saved, but not published."), "{asked}");
    let form = Form::of(&asked, "id=\"editor\"").set("do", "deploy");
    assert!(asked.contains("name=\"despite_findings\""), "{asked}");
    let ticked = [form.pairs(), vec![("despite_findings", "yes")]].concat();
    let done = admin.submit("/ui/edit/support/other", &ticked);
    assert_eq!(done.header("location"), Some("/ui/prompts/support/other?version=1&done=deployed"), "{}", done.text());
}

#[test]
fn reviewers_are_picked_shown_first_in_their_queue_and_named_to_listeners() {
    let team = team(&json!({"approvals": 1}));
    let (mut ann, mut rob) = (signed(&team, "ann"), signed(&team, "rob"));
    let page = ann.page(&format!("{DEPLOY}?label=production&version=2"));
    assert!(page.contains("name=\"reviewer.rob\"") && !page.contains("name=\"reviewer.ann\""), "{page}");
    let form = Form::of(&page, "id=\"decide\"").set("message", "OPS-1 please").set("do", "propose");
    let picked = [form.pairs(), vec![("reviewer.rob", "yes")]].concat();
    assert_eq!(ann.submit(DEPLOY, &picked).status, 303);
    let page = ann.page(&format!("{DEPLOY}?label=production&version=3"));
    decide(&mut ann, &page, "propose", "OPS-2 without reviewers").expect("asked");
    let queue = rob.page("/ui/review");
    let (asked, other) = (queue.find("OPS-1 please"), queue.find("OPS-2 without reviewers"));
    assert!(asked.is_some() && asked < other && queue.matches("your review requested").count() == 1, "{queue}");
    assert!(rob.page("/ui/review/1").contains("review requested from <b>rob</b>"));
    let entry = team.audit_from(0).into_iter().find(|entry| entry["command"] == "propose").expect("an entry");
    assert_eq!(entry["message"], json!("OPS-1 please\nasked to review: rob"), "webhooks tell it");
    let shown = team.run("rob", ["request", "show", "1"]).ok().stdout;
    assert!(shown.contains("reviewers: rob"), "{shown}");
    for (who, code) in [("ann", 422), ("nobody", 404)] {
        let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": 2}}]);
        let body = json!({"message": "OPS-3", "moves": moves, "reviewers": [who]});
        assert_eq!(team.send("ann", "POST", "/v1/requests", &body).status, code, "{who}");
    }
}
