//! Everything in one answer or page comes from one snapshot.

use super::*;

/// Signs the admin in, and returns the session cookie.
async fn sign_in(node: &Node) -> String {
    let cookie = |headers: &HeaderMap, name: &str| {
        let mut all = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        all.find(|one| one.starts_with(name)).and_then(|one| one.split(';').next()).expect(name).to_owned()
    };
    let visit = Request::get("/ui/sign-in").body(Body::empty()).expect("a request");
    let (_, headers, page) = node.send(LOCAL, visit).await;
    let page = String::from_utf8(page.to_vec()).expect("UTF-8");
    let form = page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
    let sent = Request::post("/ui/sign-in")
        .header(header::COOKIE, cookie(&headers, "bookholder_visit"))
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("form={form}&token={ADMIN}&next=/ui/")))
        .expect("a request");
    let (status, headers, _) = node.send(LOCAL, sent).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    cookie(&headers, "bookholder_session")
}

#[tokio::test]
async fn every_page_and_answer_is_read_from_one_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = state(&store(directory.path()), true);
    let catalogue = state.catalogue.clone();
    let node = Node { stop: state.stop.clone(), face: HttpService::new(state), _directory: directory };
    node.publish("support%2Fagent", "one").await;
    node.publish("support%2Fagent", "two").await;
    let moves = json!([{"name": "support/agent", "label": "production", "serving": {"version": 1}}]);
    let (_, asked) = node.change("POST", "/v1/requests", &json!({"message": "why", "moves": moves})).await;
    assert_eq!(asked["id"], 1, "{asked}");
    let draft = json!({"content": {"syntax": "plain", "text": "three"}});
    node.change("PUT", "/v1/prompts/support%2Fagent/drafts/admin", &draft).await;
    let session = sign_in(&node).await;
    let bearer = format!("Bearer {ADMIN}");
    for (path, (name, value)) in [
        "/ui/",
        "/ui/?q=one",
        "/ui/prompts/support/agent",
        "/ui/deploy/support/agent?version=1",
        "/ui/edit/support/agent",
        "/ui/merge/support/agent?draft=admin",
        "/ui/diff/support/agent?from=1&to=2",
        "/ui/review",
        "/ui/review/1",
        "/ui/audit?verify=yes",
        "/ui/access",
        "/ui/access/archive?unused_days=365",
        "/ui/access/why?who=admin&permission=deploy&prompt=support/agent&label=production&version=2",
        "/ui/replicas",
    ]
    .map(|path| (path, (header::COOKIE, session.as_str())))
    .into_iter()
    .chain(
        [
            "/v1/prompts",
            "/v1/prompts/support%2Fagent",
            "/v1/prompts/support%2Fagent/versions/2",
            "/v1/prompts/support%2Fagent/diff?from=1&to=2",
            "/v1/prompts/support%2Fagent/drafts/admin/merge",
            "/v1/prompts/support%2Fagent/about",
            "/v1/deployments",
            "/v1/requests",
            "/v1/requests/1",
            "/v1/audit",
            "/v1/can?permission=deploy&prompt=support/agent&label=production&version=2",
        ]
        .map(|path| (path, (header::AUTHORIZATION, bearer.as_str()))),
    ) {
        let before = catalogue.snapshots();
        let request = Request::get(path).header(name, value).body(Body::empty()).expect("a request");
        let (status, _, body) = node.send(LOCAL, request).await;
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        assert_eq!(catalogue.snapshots() - before, 1, "{path}");
    }
}
