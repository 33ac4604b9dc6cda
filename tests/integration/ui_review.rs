//! Asking, reviewing, deploying and looking back in a browser without scripts, over real sockets.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::form::Form;
use crate::support::node::Launch;
use crate::support::team::{AGENT, Team};
use crate::ui::{Browser, form_token};

/// A team whose production needs one approval of compliance.
fn team() -> Team {
    Team::start(Launch::primary(), &json!({"approvals": 1, "approvers": ["compliance"]}))
}

fn signed<'n>(team: &'n Team, who: &str) -> Browser<'n> {
    let mut browser = Browser::new(&team.node);
    assert_eq!(browser.sign_in(team.token(who)).status, 303, "{who}");
    browser
}

/// Asks for a version on production, by the form of the page for deploying; the path of the request.
fn ask(browser: &mut Browser<'_>, version: u64, message: &str) -> String {
    let page = browser.page(&format!("/ui/deploy/{AGENT}?label=production&version={version}"));
    let form = Form::of(&page, "id=\"decide\"").set("message", message).set("do", "propose");
    let answer = browser.submit(&form.action, &form.pairs());
    let to = answer.header("location").unwrap_or_else(|| panic!("{}{}", answer.head, answer.text())).to_owned();
    to.strip_suffix("?done=propose").expect("the request").to_owned()
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name} in {page}"));
    rest.split('"').next().expect("a value").to_owned()
}

fn act(browser: &mut Browser<'_>, path: &str, page: &str, fields: &[(&str, &str)]) -> Answer {
    let (form, looked) = (form_token(page), hidden(page, "fingerprints"));
    let mut all = vec![("form", form.as_str()), ("fingerprints", looked.as_str())];
    all.extend_from_slice(fields);
    browser.submit(path, &all)
}

fn kind(name: &str) -> String {
    format!("name=\"kind\" value=\"{name}\"")
}

#[test]
fn releaser_requests_compliance_approves_releaser_deploys() {
    let team = team();
    let first = team.publish("ann", "Hello");
    let (mut rob, mut cy) = (signed(&team, "rob"), signed(&team, "cy"));
    let path = ask(&mut rob, first, "please");
    let page = rob.page(&path);
    assert!(page.contains("<code>rob</code> opened change request 1"), "she sees why: {page}");
    assert!(page.contains("authors cannot approve their own changes"), "{page}");
    assert!(!page.contains(&kind("approve")) && !page.contains(&kind("apply")), "{page}");
    assert!(page.contains(&kind("withdraw")) && page.contains("cy (compliance)"), "{page}");
    let queue = rob.page("/ui/review");
    assert!(queue.contains("yours") && !queue.contains("needs your review"), "{queue}");
    let forced = act(&mut rob, &path, &page, &[("kind", "approve"), ("message", "")]);
    assert_eq!(forced.status, 403, "{}", forced.text());
    let early = act(&mut rob, &path, &page, &[("kind", "apply"), ("message", "")]);
    assert_eq!(early.header("location"), Some(format!("{path}?done=missing").as_str()));
    assert!(cy.page("/ui/review").contains("needs your review"));
    let page = cy.page(&path);
    assert!(page.contains("Not allowed: ") && page.contains(&kind("approve")), "compliance deploys nothing: {page}");
    let approved = act(&mut cy, &path, &page, &[("kind", "approve"), ("message", "fine")]);
    assert_eq!(approved.header("location"), Some(format!("{path}?done=approve").as_str()), "{}", approved.text());
    assert!(cy.page(&format!("{path}?done=approve")).contains("Ready to deploy"));
    let page = rob.page(&path);
    let deployed = act(&mut rob, &path, &page, &[("kind", "apply"), ("message", "now")]);
    assert_eq!(deployed.header("location"), Some(format!("{path}?done=apply").as_str()), "{}", deployed.text());
    assert_eq!(team.node.text(&format!("{AGENT}@production")), "Hello");
    let page = rob.page(&path);
    assert!(page.contains("Deployed") && !page.contains("class=\"stack\" method"), "{page}");
    assert!(rob.page("/ui/review").contains("No open requests"));
    assert!(rob.page("/ui/review?state=applied").contains("please"));
}

#[test]
fn unseen_change_is_not_approved_and_foreign_forms_are_refused() {
    let team = team();
    let (first, second) = (team.publish("ann", "Hello"), team.publish("ann", "Hello you"));
    let (mut ann, mut cy) = (signed(&team, "ann"), signed(&team, "cy"));
    let path = ask(&mut ann, first, "please");
    let page = cy.page(&path);
    for form in ["", &"0".repeat(64), &form_token(&ann.page(&path))] {
        let looked = hidden(&page, "fingerprints");
        let answer = cy.submit(&path, &[("form", form), ("kind", "approve"), ("fingerprints", &looked)]);
        assert_eq!(answer.status, 403, "{form}: {}", answer.text());
    }
    let moves = json!([{"name": AGENT, "label": "production", "serving": {"version": second}}]);
    let amended = json!({"moves": moves, "message": "rather this"});
    let id = path.rsplit('/').next().expect("a number");
    team.send("ann", "POST", &format!("/v1/requests/{id}/amendments"), &amended).ok();
    for kind in ["approve", "reject", "apply"] {
        let answer = act(&mut cy, &path, &page, &[("kind", kind), ("message", "why")]);
        assert_eq!(answer.header("location"), Some(format!("{path}?done=moved").as_str()), "{kind}: {}", answer.text());
    }
    let shown = cy.page(&format!("{path}?done=moved"));
    assert!(shown.contains("Not done: the request was amended") && shown.contains("amended the proposal"), "{shown}");
    assert!(shown.contains("1 requirement not met"), "{shown}");
    let page = ann.page(&path);
    let withdrawn = act(&mut ann, &path, &page, &[("kind", "withdraw"), ("message", "later")]);
    assert_eq!(withdrawn.header("location"), Some(format!("{path}?done=withdraw").as_str()));
    let late = act(&mut cy, &path, &shown, &[("kind", "comment"), ("message", "hm")]);
    assert_eq!(late.header("location"), Some(format!("{path}?done=closed").as_str()));
}

#[test]
fn readers_see_requests_and_comments_are_escaped() {
    let team = team();
    let version = team.publish("ann", "Hello");
    let mut ann = signed(&team, "ann");
    let path = ask(&mut ann, version, "<script>alert(1)</script>");
    let page = ann.page(&path);
    let hostile = "</div><img src=x onerror=alert(1)>\u{202e}javascript:alert(1)";
    let said = act(&mut ann, &path, &page, &[("kind", "comment"), ("message", hostile)]);
    assert_eq!(said.header("location"), Some(format!("{path}?done=comment").as_str()), "{}", said.text());
    let reader = team.node.change("POST", "/v1/tokens", &json!({"name": "eye", "role": "reader"})).ok();
    let mut eye = Browser::new(&team.node);
    assert_eq!(eye.sign_in(reader["token"].as_str().expect("a token")).status, 303);
    for path in [path.as_str(), "/ui/review", &format!("/ui/prompts/{AGENT}")] {
        let page = eye.page(path);
        for bad in ["<img", "\u{202e}", "href=\"javascript"] {
            assert!(!page.contains(bad), "{bad} in {path}: {page}");
        }
        for word in [kind("approve"), kind("apply"), kind("reject"), kind("withdraw"), "/ui/deploy/".to_owned()] {
            assert!(!page.contains(&word), "{word} in {path}: {page}");
        }
    }
    let bound = json!({"name": "narrow", "role": "reader", "prompts": "sales/**"});
    let narrow = team.node.change("POST", "/v1/tokens", &bound).ok();
    let mut stranger = Browser::new(&team.node);
    assert_eq!(stranger.sign_in(narrow["token"].as_str().expect("a token")).status, 303);
    assert_eq!(stranger.get(&path).status, 404);
    assert!(stranger.page("/ui/review").contains("No open requests"));
    let local = Browser::new(&team.node).page(&path);
    assert!(!local.contains("method=\"post\""), "who is not signed in sends no forms: {local}");
}

#[test]
fn audit_log_and_report_need_permission() {
    let team = team();
    let version = team.publish("ann", "Hello");
    assert_eq!(team.deploy("ann", version).status, 403);
    let (mut ann, mut cy) = (signed(&team, "ann"), signed(&team, "cy"));
    assert_eq!(ann.get("/ui/audit").status, 403);
    assert!(!ann.page("/ui/").contains("href=\"/ui/audit\""));
    assert_ne!(Browser::new(&team.node).get("/ui/audit").status, 200, "not for local readers");
    let page = cy.page("/ui/audit");
    assert!(page.contains("publish") && page.contains(&format!("href=\"/ui/prompts/{AGENT}\"")), "{page}");
    let refused = cy.page(&format!("/ui/audit?who=ann&result=denied&prompt={AGENT}"));
    assert_eq!(refused.matches("<tbody><tr>").count(), 1, "{refused}");
    assert!(refused.contains("<b>deploy</b>") && !refused.contains("<b>publish</b>"), "{refused}");
    assert!(cy.page("/ui/audit?who=nobody").contains("No entries match"));
    assert!(page.contains("href=\"/ui/audit?verify=yes\""), "{page}");
    let verified = cy.page("/ui/audit?verify=yes");
    assert!(verified.contains("Log verified.") && verified.contains("match the signed checkpoint"), "{verified}");
    for number in 0..60 {
        team.node.publish("many/one", &format!("text {number}"));
    }
    let newest = cy.page("/ui/audit?prompt=many/one");
    let (_, rest) = newest.split_once("rel=\"next\" href=\"").expect("older entries");
    let older = cy.page(&rest.split('"').next().expect("a path").replace("&amp;", "&"));
    let rows = |page: &str| page.matches("<b>publish</b>").count();
    assert_eq!((rows(&newest), rows(&older), older.contains("rel=\"next\"")), (50, 10, false), "{older}");
    assert!(newest.contains("many/one</a>@60") && older.contains("many/one</a>@1<"), "newest first: {older}");
    let fields = [("from", "2020-01-01T00:00"), ("to", ""), ("prompt", "support/**"), ("format", "csv")];
    let with = |form: String| {
        let mut all = vec![("form".to_owned(), form)];
        all.extend(fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        all
    };
    let send = |browser: &mut Browser<'_>, form: String| {
        let all = with(form);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        browser.submit("/ui/report", &all)
    };
    assert_eq!(send(&mut cy, String::new()).status, 403, "a form of somebody else");
    let form = form_token(&ann.page("/ui/"));
    assert_eq!(send(&mut ann, form).status, 403, "an author makes no report");
    let report = send(&mut cy, form_token(&page));
    assert_eq!((report.status, report.header("content-type")), (200, Some("application/x-tar")), "{}", report.head);
    let kept = team.audit_from(0);
    let commands: Vec<&Value> = kept.iter().rev().take(2).map(|entry| &entry["command"]).collect();
    assert_eq!(commands, ["report", "report"], "the refused one and the made one");
}
