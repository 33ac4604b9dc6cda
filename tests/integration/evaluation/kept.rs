//! Cases that are kept from the playground and from recorded responses: a run can ask them as they are.

use bookholder_evaluation::provider::ProviderKind;
use bookholder_evaluation::provider::testing::TestServer;
use serde_json::{Value, json};

use crate::support::command::bookholder;
use crate::support::node::{ADMIN, Launch, Node};
use crate::ui::{Browser, form_token};

/// A primary that records content, with a model that echoes.
fn primary() -> (Node, TestServer) {
    let models = TestServer::start();
    let settings = models.settings("local", ProviderKind::Openai);
    let launch = Launch::primary();
    let file = launch.data.with_file_name("bookholder.toml");
    let provider = format!("kind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"echo\"]\n", settings.base_url);
    std::fs::write(&file, format!("record_content = true\n[providers.local]\n{provider}")).expect("written");
    (launch.args(["--config".into(), file.into_os_string()]).start(), models)
}

fn signed_in(node: &Node) -> Browser<'_> {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(ADMIN).status, 303);
    browser
}

/// The case of a suite that has one.
fn only_case(node: &Node, suite: &str) -> Value {
    node.get(&format!("/v1/suites/{suite}")).ok()["suite"]["cases"][0].clone()
}

#[test]
fn case_of_the_playground_has_values_of_the_types_of_the_version() {
    let (node, _models) = primary();
    let content = json!({
        "syntax": "mustache", "text": "Say {{n}} {{mood}}", "model": {"name": "echo"},
        "variables": [{"name": "n", "required": true, "type": "number"}, {"name": "mood", "default": "kindly"}],
    });
    node.publish_content("support/number", &content, &[]);
    let mut browser = signed_in(&node);
    let form = form_token(&browser.page("/ui/playground?prompt=support/number@1"));
    let fields = [
        ("form", form.as_str()),
        ("prompt", "support/number@1"),
        ("var.n", "5"),
        ("var.mood", ""),
        ("message", ""),
        ("suite", "kept"),
        ("name", "five"),
        ("expected", ""),
        ("contains", "say 5 kindly"),
    ];
    let kept = browser.submit("/ui/playground/keep", &fields);
    assert_eq!(kept.status, 303, "{}", kept.text());
    assert_eq!(only_case(&node, "kept")["variables"], json!({"n": 5}));
    let run = ["eval", "run", "support/number", "--suite", "kept"];
    let _said = bookholder(run).server(&node).ok().says("passed");
}

#[test]
fn case_of_a_response_has_the_values_that_were_sent_and_needs_those_that_cannot_be_read() {
    let (node, _models) = primary();
    let content = json!({
        "syntax": "mustache", "model": {"name": "echo"},
        "messages": [{"role": "system", "content": "You sell for {{shop}}."}, {"role": "user", "content": "{{q}}"}],
        "variables": [{"name": "shop", "required": true}, {"name": "q", "required": true}],
    });
    node.publish_content("support/shop", &content, &[]);
    let said = json!([
        {"role": "system", "content": "You sell for Globe & Co."}, {"role": "user", "content": "Is it open?"},
        {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And today?"},
    ]);
    let response = json!({"id": "rr1", "prompt": "support/shop", "version": 1, "input": said, "output": "No."});
    let _answer = node.change("POST", "/v1/responses", &json!({"responses": [response]})).ok();
    let mut browser = signed_in(&node);
    let page = node.until("the response is there", || {
        Some(browser.get("/ui/responses/rr1").text()).filter(|page| page.contains("keep it as a case"))
    });
    for part in [">\nGlobe &amp; Co</textarea>", ">\nIs it open?</textarea>", "2 messages after the prompt"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let form = form_token(&page);
    let mut fields = vec![
        ("form", form.as_str()),
        ("suite", "kept"),
        ("name", "today"),
        ("contains", "today"),
        ("expected", ""),
        ("var.q", "Is it open?"),
        ("var.shop", ""),
    ];
    let refused = browser.submit("/ui/responses/rr1", &fields);
    let text = refused.text();
    assert!(refused.status >= 400 && text.contains("shop") && text.contains("fill in the fields"), "{text}");
    fields.retain(|(name, _)| *name != "var.shop");
    fields.push(("var.shop", "Globe & Co"));
    let kept = browser.submit("/ui/responses/rr1", &fields);
    assert_eq!(kept.status, 303, "{}", kept.text());
    let case = only_case(&node, "kept");
    assert_eq!(case["variables"], json!({"q": "Is it open?", "shop": "Globe & Co"}), "{case}");
    assert_eq!(case["messages"], json!([said[2], said[3]]), "{case}");
    let run = ["eval", "run", "support/shop", "--suite", "kept"];
    let _said = bookholder(run).server(&node).ok().says("passed");
}
