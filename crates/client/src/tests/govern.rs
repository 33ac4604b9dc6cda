//! Tests that each call of governance sends the right request.

use std::future::Future;

use axum::http::Method as Verb;

use super::*;
use crate::api::govern::{ApplyRequest, DraftRequest, GrantsRequest, RoleRequest, RotationRequest};
use crate::model::about::About;
use crate::model::change_request::RequestState;
use crate::model::content::Syntax;
use crate::model::policy::Policy;
use crate::model::principal::Permission;

/// A server that rejects every request and returns what it was asked.
async fn mirror() -> Client {
    let said = |verb: Verb, uri: Uri, body: Bytes| async move {
        let detail = format!("{verb} {uri} {}", String::from_utf8_lossy(&body));
        let problem = json!({"title": "t", "status": 400, "code": "bad_request", "detail": detail.trim_end()});
        (StatusCode::BAD_REQUEST, [("content-type", PROBLEM_JSON)], problem.to_string())
    };
    serve(Router::new().fallback(any(said))).await
}

async fn check<T: fmt::Debug>(call: impl Future<Output = Result<T, ClientError>>, expected: &str) {
    assert_eq!(call.await.expect_err(expected).to_string(), expected);
}

#[tokio::test]
async fn each_call_sends_the_request_of_its_route() {
    let client = mirror().await;
    let name: PromptName = "support/agent".parse().expect("a name");
    let prompt = "/v1/prompts/support%2Fagent";
    check(client.whoami(), "GET /v1/whoami").await;
    let production = Label::production();
    check(
        client.can(Some("a b"), Permission::Deploy, Some(&name), Some(&production), Some(7)),
        "GET /v1/can?permission=deploy&who=a+b&prompt=support%2Fagent&label=production&version=7",
    )
    .await;
    check(client.can(None, Permission::Read, None, None, None), "GET /v1/can?permission=read").await;
    let grants = GrantsRequest { grants: Vec::new() };
    check(client.set_grants("ann@x", &grants), "PUT /v1/principals/ann%40x/grants {\"grants\":[]}").await;
    check(client.disable_principal("ann"), "POST /v1/principals/ann/suspension").await;
    check(client.enable_principal("ann"), "DELETE /v1/principals/ann/suspension").await;
    let role = RoleRequest { permissions: [Permission::Read].into(), description: String::new() };
    check(client.put_role("nurse", &role), "PUT /v1/roles/nurse {\"permissions\":[\"read\"],\"description\":\"\"}")
        .await;
    check(client.remove_role("a/b"), "DELETE /v1/roles/a%2Fb").await;
    check(client.rotate_token("ci", &RotationRequest::default()), "POST /v1/tokens/ci/rotation {\"overlap_s\":0}")
        .await;
    let policy: Policy = serde_json::from_value(json!({"name": "prod", "labels": "production"})).expect("a policy");
    let body = serde_json::to_string(&policy).expect("JSON");
    check(client.put_policy(&policy), &format!("PUT /v1/policies/prod {body}")).await;
    check(client.about(&name), &format!("GET {prompt}/about")).await;
    let about = About { owner: Some("ann".to_owned()), ..About::default() };
    check(client.describe(&name, &about), &format!("PUT {prompt}/about {{\"owner\":\"ann\"}}")).await;
    check(client.remove_rule_set("house"), "DELETE /v1/rules/house").await;
    check(client.findings(&name, 3), &format!("GET {prompt}/versions/3/findings")).await;
    check(
        client.change_requests(Some(RequestState::Open), Some("7"), 5_000),
        "GET /v1/requests?limit=1000&state=open&cursor=7",
    )
    .await;
    check(client.change_request(12), "GET /v1/requests/12").await;
    let applying = "POST /v1/requests/12/application {\"message\":\"\",\"allow_major\":false}";
    check(client.apply_request(12, &ApplyRequest::default()), applying).await;
    check(client.drafts(&name), &format!("GET {prompt}/drafts")).await;
    let text = Content::text(Syntax::default(), "x");
    let body = serde_json::to_string(&text).expect("JSON");
    let saving = DraftRequest { content: text, parent: None, expected_revision: Some(0) };
    let expected = format!("PUT {prompt}/drafts/kind {{\"content\":{body},\"expected_revision\":0}}");
    check(client.save_draft(&name, "kind", &saving), &expected).await;
    check(client.draft_saves(&name, "kind"), &format!("GET {prompt}/drafts/kind/saves")).await;
    check(client.draft_save(&name, "kind", 3), &format!("GET {prompt}/drafts/kind/saves/3")).await;
    check(client.merge_draft(&name, "kind"), &format!("GET {prompt}/drafts/kind/merge")).await;
    check(client.discard_draft(&name, "kind"), &format!("DELETE {prompt}/drafts/kind")).await;
}
