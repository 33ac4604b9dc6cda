use serde_json::{Value, json};

use super::*;
use crate::layout::{Who, sample};
use crate::model::verdict::Verdict;

fn preview(from: Value, to: Value) -> MovePreview {
    let review = json!({"name": "a<b>", "label": "production", "findings": [], "reviewers": [
        {"name": "cy<i>", "roles": ["compliance"]}], "dependents": [], "used_by": ["shop<u>"], "requirements": [
        {"policy": "prod", "kind": "approvals", "says": "1 approval", "met": false, "roles": ["compliance"]},
        {"policy": "prod", "kind": "message", "says": "a message with OPS-", "met": false}]});
    MovePreview {
        from: serde_json::from_value(from).expect("a serving"),
        deployment: Some(41),
        to: serde_json::from_value(to).expect("a serving"),
        deploys: Verdict { allowed: true, reason: "a grant".to_owned(), roles: Vec::new() },
        breaks: vec!["<x> is gone".to_owned()],
        review: serde_json::from_value(review).expect("a review"),
    }
}

fn matter(preview: MovePreview) -> DeployPageData {
    DeployPageData {
        gates: Vec::new(),
        runs: false,
        name: "a<b>".to_owned(),
        versions: Vec::new(),
        serving: Vec::new(),
        label: "production".to_owned(),
        typed: TypedServing::of(&preview.to),
        preview: Ok(Box::new(preview)),
        tried: TriedSubject::default(),
        may: AllowedActions { propose: true, overrides: false },
        refused: None,
        message: "\"why\"".to_owned(),
    }
}

fn shown(matter: &DeployPageData) -> String {
    let who = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
    page(&sample(who), matter)
}

fn split() -> Value {
    json!({"rules": [{"when": {"locale": "<b>*"}, "version": 9}], "split": {"salt": "d7", "slots":
        [{"version": 7, "from": 0, "to": 9000}, {"version": 8, "from": 9000, "to": 10000}]}})
}

#[test]
fn deploy_page_shows_changes_unmet_requirements_and_who_can_meet_them() {
    let page = shown(&matter(preview(json!({"version": 7}), split())));
    for part in [
        "1 approval",
        "Can be met by: cy&lt;i&gt; (compliance)",
        "(checked when you deploy)",
        "&lt;x&gt; is gone",
        "shop&lt;u&gt;",
        "v7 with v8",
        "value=\"locale=&lt;b&gt;*\"",
        "name=\"d.1.share\" min=\"0\" max=\"100\" step=\"0.01\" value=\"10\"",
        "<input type=\"hidden\" name=\"d.salt\" value=\"d7\">",
        "name=\"serves\" value=\"41\"",
        "Some requirements are not met.",
        "value=\"propose\"",
        "value=\"&quot;why&quot;\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("value=\"deploy\"") && !page.contains("value=\"override\""), "{page}");
    let glass = DeployPageData {
        may: AllowedActions { propose: true, overrides: true },
        ..matter(preview(json!(null), split()))
    };
    assert!(shown(&glass).contains("value=\"override\""));
}

#[test]
fn deploy_page_disables_no_op_and_invalid_moves() {
    let same = shown(&matter(preview(split(), split())));
    assert!(same.contains("No changes: this is already deployed.") && !same.contains("value=\"propose\""), "{same}");
    let wrong = shown(&DeployPageData {
        preview: Err("`seven` is no version <b>".to_owned()),
        ..matter(preview(json!(null), split()))
    });
    assert!(
        wrong.contains("<code>seven</code> is no version &lt;b&gt;.") && !wrong.contains("value=\"deploy\""),
        "{wrong}"
    );
    let mut barred = preview(json!({"version": 7}), json!({"version": 8}));
    barred.deploys = Verdict { allowed: false, reason: "no grant".to_owned(), roles: vec!["<admin>".to_owned()] };
    let barred = shown(&matter(barred));
    assert!(
        barred.contains("Not allowed: the role &lt;admin&gt; allows it.") && !barred.contains("allow_major"),
        "{barred}"
    );
}

#[test]
fn deploy_page_explains_the_version_of_a_subject() {
    let mut matter = matter(preview(json!({"version": 7}), split()));
    let now = Choice { version: 7, rule: None, bucket: None, sticky: true };
    let then = Choice { version: 8, rule: None, bucket: Some(9_412), sticky: true };
    matter.tried =
        TriedSubject { subject: "<42>".to_owned(), attributes: String::new(), gets: Some(Ok((Some(now), then))) };
    let page = shown(&matter);
    for part in ["&lt;42&gt;</b> would get", "slot 9412 of 10,000", "currently v7"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
