//! Tests of governance over HTTP: access, responses and errors.

use super::super::route::Route;
use super::super::router::ROUTES;
use super::*;

impl Node {
    /// A request with a token, or a local one without.
    async fn ask(&self, token: Option<&str>, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let (status, _, answer) = self.send(LOCAL, request).await;
        (status.as_u16(), serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// An access token of a new principal.
    async fn principal(&self, name: &str, grants: Value) -> String {
        let principal = json!({"name": name, "kind": "person", "grants": grants});
        let (status, answer) = self.change("POST", "/v1/principals", &principal).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let (status, token) =
            self.change("POST", "/v1/tokens", &json!({"name": format!("{name}-laptop"), "principal": name})).await;
        assert_eq!(status, StatusCode::CREATED, "{token}");
        token["token"].as_str().expect("a token").to_owned()
    }

    /// Requests in order, each with its status and a part of its answer.
    async fn expect(&self, token: Option<&str>, steps: &[(&str, &str, Value, u16, &str)]) {
        for (method, path, body, status, part) in steps {
            let (found, answer) = self.ask(token, method, path, body).await;
            assert_eq!(found, *status, "{method} {path}: {answer}");
            assert!(answer.to_string().contains(part), "{method} {path}: {part} is not in {answer}");
        }
    }
}

#[tokio::test]
async fn no_api_route_is_open_without_permission() {
    let node = Node::start(true);
    for Route { method, path, .. } in ROUTES.iter().filter(|route| route.path.starts_with("/v1/")) {
        let path = path.replace("{*reference}", "a").replace("{id}", "1").replace("{version}", "1");
        let path =
            path.split('/').map(|part| if part.starts_with('{') { "a" } else { part }).collect::<Vec<_>>().join("/");
        let request = Request::builder().method(*method).uri(&path).header(header::CONTENT_TYPE, "application/json");
        let (status, _, _) = node.send(REMOTE, request.body(Body::from("{}")).expect("a request")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn principals_roles_and_policies_are_created_changed_and_removed() {
    let node = Node::start(true);
    let ann = node.principal("ann", json!([{"role": "author", "prompts": "support/**"}])).await;
    let none = Value::Null;
    let policy = json!({"name": "production", "labels": "production", "approvals": 1});
    node.expect(
        Some(ADMIN),
        &[
            ("POST", "/v1/principals", json!({"name": "ann", "kind": "person"}), 409, "exists"),
            ("POST", "/v1/principals", json!({"name": "A n n", "kind": "person"}), 400, "invalid_name"),
            ("POST", "/v1/principals", json!({"name": "bob", "kind": "robot"}), 400, "unknown variant `robot`"),
            ("PUT", "/v1/roles/nurse", json!({"permissions": ["read", "review"]}), 200, "\"review\""),
            ("PUT", "/v1/roles/admin", json!({"permissions": []}), 409, "is built in"),
            ("PUT", "/v1/principals/ann/grants", json!({"grants": [{"role": "nurse"}]}), 200, "nurse"),
            ("PUT", "/v1/principals/ann/grants", json!({"grants": [{"role": "doctor"}]}), 404, "role `doctor`"),
            ("PUT", "/v1/principals/nobody%2F/grants", json!({"grants": []}), 404, "principal `nobody/`"),
            ("GET", "/v1/principals?x=1", none.clone(), 400, "`x`"),
            ("GET", "/v1/principals", none.clone(), 200, "\"ann\""),
            ("GET", "/v1/roles", none.clone(), 200, "releaser"),
            ("DELETE", "/v1/roles/nurse", none.clone(), 409, "still granted to ann"),
            ("PUT", "/v1/policies/production", policy.clone(), 200, "\"approvals\":1"),
            ("PUT", "/v1/policies/staging", policy, 422, "differs from the one in the path"),
            ("GET", "/v1/policies", none.clone(), 200, "production"),
            ("DELETE", "/v1/policies/production", none.clone(), 204, "null"),
            ("DELETE", "/v1/policies/production", none.clone(), 404, "no policy `production`"),
            ("DELETE", "/v1/principals/admin/suspension", none.clone(), 200, "admin"),
            ("POST", "/v1/principals/admin/suspension", none.clone(), 409, "last_admin"),
        ],
    )
    .await;
    let (status, me) = node.ask(Some(&ann), "GET", "/v1/whoami", &none).await;
    assert_eq!((status, &me["name"], &me["method"]), (200, &json!("ann"), &json!("access token ann-laptop")), "{me}");
    assert_eq!(me["permissions"], json!(["read", "review"]));
    assert_eq!(node.ask(Some(&ann), "GET", "/v1/principals", &none).await.0, 403);
    let (status, rotated) =
        node.ask(Some(&ann), "POST", "/v1/tokens/ann-laptop/rotation", &json!({"overlap_s": 60})).await;
    let new = rotated["token"].as_str().expect("a token").to_owned();
    assert_eq!((status, rotated["previous_until"].is_string()), (200, true), "{rotated}");
    for token in [&ann, &new] {
        assert_eq!(node.ask(Some(token), "GET", "/v1/whoami", &none).await.0, 200);
    }
    assert_eq!(node.ask(Some(ADMIN), "POST", "/v1/principals/ann/suspension", &none).await.0, 200);
    assert_eq!(node.ask(Some(&new), "GET", "/v1/whoami", &none).await.0, 401);
    assert_eq!(node.ask(Some(ADMIN), "DELETE", "/v1/principals/ann/suspension", &none).await.0, 200);
    assert_eq!(node.ask(Some(&new), "GET", "/v1/whoami", &none).await.0, 200);
}

#[tokio::test]
async fn decision_is_explained_only_to_permitted_callers() {
    let node = Node::start(true);
    node.publish("support%2Fagent", "one").await;
    node.publish("sales%2Fagent", "one").await;
    let ann = node.principal("ann", json!([{"role": "author", "prompts": "support/**"}])).await;
    let none = || Value::Null;
    node.expect(
        Some(&ann),
        &[
            ("GET", "/v1/can?permission=publish&prompt=support/agent", none(), 200, "\"allowed\":true"),
            (
                "GET",
                "/v1/can?permission=deploy&prompt=support/agent&label=production&version=1",
                none(),
                200,
                "releaser",
            ),
            (
                "GET",
                "/v1/can?permission=deploy&prompt=support/agent&label=production&version=9",
                none(),
                404,
                "latest is 1",
            ),
            (
                "GET",
                "/v1/can?permission=deploy&prompt=sales/agent&label=production&version=9",
                none(),
                403,
                "cannot read",
            ),
            ("GET", "/v1/can?permission=publish&who=ann", none(), 200, "\"allowed\":false"),
            ("GET", "/v1/can?permission=publish&who=admin", none(), 403, "forbidden"),
            ("GET", "/v1/can", none(), 400, "`permission`: it is missing"),
            ("GET", "/v1/can?permission=fly", none(), 400, "unknown permission `fly`"),
            ("GET", "/v1/can?permission=deploy&label=production", none(), 422, "give `prompt` too"),
            ("GET", "/v1/can?permission=deploy&version=1", none(), 422, "give `prompt` too"),
        ],
    )
    .await;
    node.expect(Some(ADMIN), &[("GET", "/v1/can?permission=publish&who=nobody", none(), 200, "no principal `nobody`")])
        .await;
}

#[tokio::test]
async fn drafts_are_hidden_from_applications_and_published_by_authors() {
    let node = Node::start(true);
    let ann = node.principal("ann", json!([{"role": "author", "prompts": "support/**"}])).await;
    let other = node.principal("other", json!([{"role": "author", "prompts": "sales/**"}])).await;
    let path = "/v1/prompts/support%2Fagent/drafts/kind";
    let all = "/v1/prompts/support%2Fagent/drafts";
    let saved = |text: &str, revision: u64| json!({"content": {"syntax": "plain", "text": text}, "expected_revision": revision});
    let none = || Value::Null;
    let (saves, merge, publication) = (format!("{path}/saves"), format!("{path}/merge"), format!("{path}/publication"));
    let save = format!("{saves}/1");
    let reader = node.principal("reader", json!([{"role": "reader", "prompts": "support/**"}])).await;
    let reviewer = node.principal("reviewer", json!([{"role": "compliance", "prompts": "support/**"}])).await;
    node.expect(
        Some(&ann),
        &[
            ("PUT", path, saved("one", 0), 200, "\"revision\":1"),
            ("PUT", path, saved("two", 0), 409, "draft_moved"),
            ("PUT", path, saved("two", 1), 200, "\"revision\":2"),
            ("PUT", "/v1/prompts/support%2Fagent/drafts/a%2Fb", saved("x", 0), 400, "invalid name `a/b`"),
            ("GET", path, none(), 200, "two"),
            ("GET", all, none(), 200, "\"saved_by\":\"ann\""),
            ("GET", &saves, none(), 200, "\"revision\":2"),
            ("GET", &save, none(), 200, "\"text\":\"one\""),
            ("GET", &format!("{path}/saves/3"), none(), 404, "no remembered save `kind 3`"),
            ("GET", &format!("{path}/saves/x"), none(), 400, "`x` is not a whole number"),
            ("GET", &merge, none(), 200, "\"parent\":0"),
        ],
    )
    .await;
    for (path, revisions) in [(all, json!([2])), (&saves, json!([2, 1]))] {
        let (_, list) = node.ask(Some(&ann), "GET", path, &none()).await;
        let list = list.as_array().expect("a list");
        assert_eq!(list.iter().map(|one| one["revision"].clone()).collect::<Value>(), revisions);
        let fits = |one: &Value| one.get("content").is_none() && one["bytes"].as_u64().is_some_and(|bytes| bytes > 50);
        assert!(list.iter().all(fits), "{path}: {list:?}");
    }
    for path in [path, all, &saves, &save, &merge] {
        assert_eq!(node.ask(None, "GET", path, &none()).await.0, 401, "{path}: an application beside the registry");
        assert_eq!(node.ask(Some(&other), "GET", path, &none()).await.0, 403, "{path}: an author of other prompts");
        assert_eq!(node.ask(Some(&reader), "GET", path, &none()).await.0, 403, "{path}: who only reads");
        assert_eq!(node.ask(Some(&reviewer), "GET", path, &none()).await.0, 200, "{path}: who reviews");
    }
    let why = json!({"message": "kinder"});
    node.expect(
        Some(&other),
        &[("POST", &publication, why.clone(), 403, "forbidden"), ("DELETE", path, none(), 403, "")],
    )
    .await;
    node.expect(
        Some(&ann),
        &[
            ("POST", &publication, why.clone(), 201, "\"number\":1"),
            ("POST", &publication, why, 404, "no draft `kind`"),
            ("GET", path, none(), 404, "record_not_found"),
            // A draft named `..` must not lead a client to the prompt.
            ("DELETE", "/v1/prompts/support%2Fagent/", json!({"message": "x"}), 404, "\"not_found\""),
            ("PUT", path, saved("three", 0), 200, "\"revision\":1"),
            ("DELETE", path, none(), 204, "null"),
            ("DELETE", path, none(), 404, "no draft `kind`"),
        ],
    )
    .await;
}

#[tokio::test]
async fn saves_of_a_draft_are_forgotten_beyond_eight_mebibytes_and_the_newest_stays() {
    let node = Node::start(true);
    let path = "/v1/prompts/a/drafts/long";
    let ann = node.principal("ann", json!([{"role": "author"}])).await;
    for number in 0..10 {
        let text = format!("{number}{}", "x".repeat(1_000_000));
        let who = if number == 0 { ann.as_str() } else { ADMIN };
        let (status, answer) =
            node.ask(Some(who), "PUT", path, &json!({"content": {"syntax": "plain", "text": text}})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (_, saves) = node.ask(Some(ADMIN), "GET", &format!("{path}/saves"), &Value::Null).await;
    let revisions: Vec<u64> =
        saves.as_array().expect("a list").iter().filter_map(|one| one["revision"].as_u64()).collect();
    assert_eq!(revisions, [10, 9, 8, 7, 6, 5, 4, 3]);
    let (_, draft) = node.ask(Some(ADMIN), "GET", path, &Value::Null).await;
    assert_eq!(draft["makers"], json!(["admin", "ann"]), "who began it, although that save is forgotten");
    node.expect(
        Some(ADMIN),
        &[
            ("GET", &format!("{path}/saves/2"), Value::Null, 404, "no remembered save"),
            ("GET", &format!("{path}/saves/10"), Value::Null, 200, "\"revision\":10"),
        ],
    )
    .await;
}

#[tokio::test]
async fn change_request_is_opened_reviewed_and_deployed() {
    let node = Node::start(true);
    node.publish("support%2Fagent", "one").await;
    let ann = node.principal("ann", json!([{"role": "author"}])).await;
    let eve = node.principal("eve", json!([{"role": "compliance", "prompts": "support/**"}])).await;
    let rob = node.principal("rob", json!([{"role": "releaser"}])).await;
    let sal = node.principal("sal", json!([{"role": "author", "prompts": "sales/**"}])).await;
    let policy = json!({"name": "production", "labels": "production", "approvals": 1, "approvers": ["compliance"]});
    node.expect(Some(ADMIN), &[("PUT", "/v1/policies/production", policy, 200, "")]).await;
    let none = || Value::Null;
    let proposal = |text: &str| {
        let content = json!({"syntax": "plain", "text": text});
        json!({"message": "why", "publish": {"name": "support/agent", "content": content, "labels": ["production"]}})
    };
    let moved = json!({"moves": [{"name": "support/agent", "label": "production", "serving": {"version": 2}}], "message": "go"});
    node.expect(Some(&ann), &[("POST", "/v1/requests", proposal("two"), 201, "\"id\":1")]).await;
    node.expect(Some(&sal), &[("POST", "/v1/requests", proposal("sold"), 403, "forbidden")]).await;
    node.expect(
        Some(&sal),
        &[("GET", "/v1/requests", none(), 200, "{\"items\":[]"), ("GET", "/v1/requests/1", none(), 404, "")],
    )
    .await;
    node.expect(
        None,
        &[
            ("GET", "/v1/requests?state=open&limit=1", none(), 200, "\"id\":1"),
            ("GET", "/v1/requests?state=applied", none(), 200, "{\"items\":[]"),
            ("GET", "/v1/requests?state=opened", none(), 400, "unknown state `opened`"),
            ("GET", "/v1/requests?cursor=x", none(), 422, "cursor"),
            ("GET", "/v1/requests/1", none(), 200, "\"complete\":false"),
            ("GET", "/v1/requests/x", none(), 400, "`x` is not a whole number"),
            ("GET", "/v1/requests/2", none(), 404, "change request `2`"),
        ],
    )
    .await;
    node.expect(Some(&rob), &[("POST", "/v1/deployments", moved, 403, "policy_not_met")]).await;
    node.expect(Some(&rob), &[("POST", "/v1/requests/1/application", json!({}), 403, "policy_not_met")]).await;
    let seen = async || node.ask(None, "GET", "/v1/requests/1", &Value::Null).await.1["request"]["moves"].clone();
    let review = |kind: &str, moves: &Value| {
        let fingerprint = &moves[0]["fingerprint"];
        json!({"kind": kind, "message": "read", "fingerprints": [fingerprint]})
    };
    let first = seen().await;
    node.expect(Some(&ann), &[("POST", "/v1/requests/1/reviews", review("approve", &first), 403, "forbidden")]).await;
    node.expect(Some(&ann), &[("POST", "/v1/requests/1/amendments", proposal("three"), 200, "\"amend\"")]).await;
    node.expect(Some(&eve), &[("POST", "/v1/requests/1/reviews", review("approve", &first), 409, "request_moved")])
        .await;
    let now = seen().await;
    node.expect(Some(&eve), &[("POST", "/v1/requests/1/reviews", review("apply", &now), 422, "approved, rejected")])
        .await;
    let comment = json!({"kind": "comment", "message": "reading"});
    let (_, before) = node.ask(Some(&eve), "POST", "/v1/requests/1/reviews", &comment).await;
    assert_eq!((&before["complete"], before["unmet"].as_array().map(Vec::len)), (&json!(false), Some(1)), "{before}");
    assert_eq!(before["unmet"][0]["requirement"]["kind"], "approvals");
    assert_eq!(before["unmet"][0]["reviewers"][0]["name"], "admin", "{before}");
    let (_, after) = node.ask(Some(&eve), "POST", "/v1/requests/1/reviews", &review("approve", &now)).await;
    let kinds: Vec<&Value> =
        after["request"]["events"].as_array().expect("events").iter().map(|e| &e["kind"]).collect();
    assert_eq!(kinds, ["amend", "comment", "approve"]);
    assert_eq!((&after["complete"], &after["unmet"]), (&json!(true), &json!([])), "what is missing after the approval");
    node.expect(Some(&eve), &[("POST", "/v1/requests/1/application", json!({}), 403, "forbidden")]).await;
    node.expect(Some(&rob), &[("POST", "/v1/requests/1/application", json!({}), 200, "\"deploy\"")]).await;
    node.expect(Some(&rob), &[("POST", "/v1/requests/1/application", json!({}), 409, "request_closed")]).await;
    assert_eq!(node.get("/v1/resolve/support/agent").await.1["content"]["text"], "three");
}

#[tokio::test]
async fn rule_sets_are_stored_and_classify_contents() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let none = || Value::Null;
    let own = concat!(
        "[[rule]]\nid = \"house.loan\"\nversion = 1\ndescription = \"Speaks of loans.\"\ncategory = \"financial\"\n",
        "severity = \"high\"\nkeywords = [\"loan\"]\nregex = '(?i)loans?'\ntest_pos = [\"a loan\"]\ntest_neg = [\"alone\"]\n",
    );
    let text = |text: &str| json!({"content": {"syntax": "plain", "text": text}});
    node.expect(
        Some(ADMIN),
        &[
            ("GET", "/v1/rules", none(), 200, "built-in"),
            ("PUT", "/v1/rules/house", json!({"toml": "[[rule]]\nid = 7"}), 422, "invalid_rules"),
            ("PUT", "/v1/rules/built-in", json!({"toml": ""}), 409, "is built in"),
            ("PUT", "/v1/rules/house", json!({"toml": "#".repeat(2 * 1024 * 1024)}), 413, "2097152 bytes"),
            ("PUT", "/v1/rules/house", json!({"toml": own}), 200, "\"rules\":1"),
            ("GET", "/v1/rules/house", none(), 200, "house.loan"),
            ("GET", "/v1/rules/none", none(), 404, "no rule set `none`"),
        ],
    )
    .await;
    node.expect(
        None,
        &[
            ("POST", "/v1/classify", text("We give LOANS to everybody."), 200, "house.loan"),
            ("POST", "/v1/classify", text(&"x".repeat(1_100_000)), 413, "too_large"),
            ("GET", "/v1/prompts/a/versions/1/findings", none(), 200, "[]"),
            ("GET", "/v1/prompts/a/versions/2/findings", none(), 404, "version_not_found"),
            ("GET", "/v1/prompts/b/versions/1/findings", none(), 404, "prompt_not_found"),
            ("GET", "/v1/prompts/a/versions/production/findings", none(), 400, "is not a whole number"),
        ],
    )
    .await;
    node.publish("a", "A loan for you.").await;
    node.expect(
        Some(ADMIN),
        &[
            ("GET", "/v1/prompts/a/versions/2/findings", none(), 200, "house.loan"),
            ("DELETE", "/v1/rules/house", none(), 204, "null"),
            ("DELETE", "/v1/rules/house", none(), 404, "no rule set `house`"),
            ("GET", "/v1/prompts/a/versions/2/findings", none(), 200, "house.loan"),
            ("POST", "/v1/archive", json!({"unused_days": 100}), 422, "184 days"),
            ("POST", "/v1/archive", json!({"unused_days": 365}), 200, "\"dry_run\":true"),
            ("POST", "/v1/archive", json!({"unused_days": 365, "dry_run": false}), 400, "invalid_message"),
            ("POST", "/v1/archive", json!({"unused_days": 365, "dry_run": false, "message": "tidy"}), 200, "false"),
        ],
    )
    .await;
    let eve = node.principal("eve", json!([{"role": "author", "prompts": "b"}])).await;
    node.expect(
        Some(&eve),
        &[
            ("GET", "/v1/prompts/a/versions/2/findings", none(), 403, "cannot read a"),
            ("PUT", "/v1/rules/house", json!({"toml": own}), 403, "forbidden"),
            ("POST", "/v1/archive", json!({"unused_days": 365}), 403, "forbidden"),
        ],
    )
    .await;
}

#[tokio::test]
async fn callers_of_a_moment_ago_are_named_before_they_break() {
    let node = Node::start(true);
    let publish =
        |text: &str, message: &str| json!({"content": {"syntax": "mustache", "text": text}, "message": message});
    let path = "/v1/prompts/a/versions";
    node.expect(Some(ADMIN), &[("POST", path, publish("Hello", "one"), 201, "")]).await;
    let moved = |version: u64| json!({"moves": [{"name": "a", "label": "production", "serving": {"version": version}}], "message": "go"});
    let policy = json!({"name": "production", "labels": "production"});
    node.expect(
        Some(ADMIN),
        &[("POST", "/v1/deployments", moved(1), 200, ""), ("PUT", "/v1/policies/production", policy, 200, "")],
    )
    .await;
    let app = node.principal("shop", json!([{"role": "reader"}])).await;
    assert_eq!(node.ask(Some(&app), "GET", "/v1/resolve/a", &Value::Null).await.0, 200);
    node.expect(
        Some(ADMIN),
        &[
            ("POST", path, publish("Hello {{customer}}", "two"), 201, ""),
            ("POST", "/v1/deployments", moved(2), 409, "shop-laptop"),
        ],
    )
    .await;
}

#[tokio::test]
async fn replica_refuses_governance_requests() {
    let node = Node::start(false);
    let none = || Value::Null;
    let refused = "primary_only";
    node.expect(
        None,
        &[
            ("GET", "/v1/whoami", none(), 403, refused),
            ("GET", "/v1/requests", none(), 403, refused),
            ("GET", "/v1/requests/1", none(), 403, "working with change requests is only possible on the primary"),
            ("POST", "/v1/classify", json!({"content": {"syntax": "plain", "text": "x"}}), 403, refused),
            ("GET", "/v1/prompts/a/drafts", none(), 403, refused),
            ("GET", "/v1/prompts/a/versions/1/findings", none(), 403, "http://primary:1"),
        ],
    )
    .await;
}
