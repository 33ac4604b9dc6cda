//! Principals, roles, rotation of access tokens, label policies.

use axum::Json as Said;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::Writer;
use super::browser_paths::link_url;
use super::door::Address;
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, blocking};
use super::request::RequestError;
use super::state::App;
use crate::api::govern::{
    CanAnswer, GrantsRequest, PrincipalRequest, RoleRequest, RotationRequest, SignInLink, SignInLinkRequest, TokenView,
    WhoAmI,
};
use crate::model::handle::Handle;
use crate::model::name::{Label, PromptName};
use crate::model::policy::Policy;
use crate::model::principal::{Permission, Principal, Role};
use crate::registry::why::AccessQuestion;

/// Returns the principal of this access token and its permissions.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", tag = "access", responses((status = 200, body = WhoAmI)))]
pub(super) async fn whoami(writer: Writer, _: NoParams) -> Said<WhoAmI> {
    Said(writer.registry.whoami(&writer.seat))
}

/// Whether a principal is allowed to do something now, and why; asking about others needs the permission `access`.
#[utoipa::path(
    get, path = "/v1/can", operation_id = "check_permission", tag = "access",
    params(
        ("who" = Option<Handle>, Query, description = "A principal; by default the caller.", example = "ada"),
        ("permission" = Permission, Query, description = "The permission, for example `publish` or `deploy`.", example = "deploy"),
        ("prompt" = Option<PromptName>, Query, description = "The prompt; by default the whole registry.", example = "support/agent"),
        ("label" = Option<Label>, Query, description = "The label of the prompt.", example = "production"),
        ("version" = Option<u64>, Query, description = "The version of the prompt; with `deploy` and a label, checks \
            the policy requirements for this version.", minimum = 1, example = 7),
    ),
    responses((status = 200, body = CanAnswer)),
)]
pub(super) async fn can(
    State(app): State<App>,
    writer: Writer,
    mut params: Params,
) -> Result<Said<CanAnswer>, Failure> {
    let who = params.text("who").unwrap_or_else(|| writer.actor.name.clone());
    let permission: Permission = params.require("permission")?;
    let (prompt, label) = (params.get::<PromptName>("prompt")?, params.get::<Label>("label")?);
    let version = params.number("version")?;
    if version == Some(0) {
        let reason = "versions count from 1".to_owned();
        return Err(RequestError::Parameter { name: "version", reason }.into());
    }
    params.finish(&["who", "permission", "prompt", "label", "version"])?;
    for (name, given) in [("label", label.is_some()), ("version", version.is_some())] {
        if given && prompt.is_none() {
            let reason = format!("a {name} belongs to a prompt; give `prompt` too");
            return Err(RequestError::Unfit { reason }.into());
        }
    }
    let question = AccessQuestion { who, permission, prompt, label, version };
    let ask = move || writer.registry.can(&app.catalogue.as_reader(&writer.scope())?, &writer.actor, &question);
    let answer = blocking(ask).await??;
    Ok(Said(answer))
}

/// Lists principals by name.
#[utoipa::path(get, path = "/v1/principals", operation_id = "list_principals", tag = "access", responses((status = 200, body = Vec<Principal>)))]
pub(super) async fn principals(writer: Writer, _: NoParams) -> Result<Said<Vec<Principal>>, Failure> {
    Ok(Said(writer.registry.principals(&writer.actor)?))
}

/// Creates a principal, a person or a service, with its grants.
#[utoipa::path(
    post, path = "/v1/principals", operation_id = "create_principal", tag = "access",
    request_body(content = PrincipalRequest, example = json!({"name": "ada", "kind": "person", "grants": [{"role": "author", "prompts": "support/**"}]})),
    responses((status = 201, body = Principal)),
)]
pub(super) async fn create_principal(
    writer: Writer,
    _: NoParams,
    Json(request): Json<PrincipalRequest>,
) -> Result<(StatusCode, Said<Principal>), Failure> {
    let made = writer.registry.create_principal(&writer.actor, request).await?;
    Ok((StatusCode::CREATED, Said(made)))
}

/// Replaces the grants of a principal.
#[utoipa::path(
    put, path = "/v1/principals/{name}/grants", operation_id = "set_grants", tag = "access",
    params(("name" = Handle, Path, description = "The principal.", example = "ada")),
    request_body(content = GrantsRequest, example = json!({"grants": [{"role": "releaser", "prompts": "support/**", "labels": "staging"}]})),
    responses((status = 200, body = Principal)),
)]
pub(super) async fn set_grants(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<GrantsRequest>,
) -> Result<Said<Principal>, Failure> {
    Ok(Said(writer.registry.set_grants(&writer.actor, name(&segments), request).await?))
}

/// Disables a principal: its access tokens are rejected.
#[utoipa::path(
    post, path = "/v1/principals/{name}/suspension", operation_id = "suspend_principal", tag = "access",
    params(("name" = Handle, Path, description = "The principal.", example = "ada")),
    responses((status = 200, body = Principal)),
)]
pub(super) async fn disable(writer: Writer, segments: Segments, _: NoParams) -> Result<Said<Principal>, Failure> {
    Ok(Said(writer.registry.disable_principal(&writer.actor, name(&segments), true).await?))
}

/// Enables a disabled principal again.
#[utoipa::path(
    delete, path = "/v1/principals/{name}/suspension", operation_id = "resume_principal", tag = "access",
    params(("name" = Handle, Path, description = "The principal.", example = "ada")),
    responses((status = 200, body = Principal)),
)]
pub(super) async fn enable(writer: Writer, segments: Segments, _: NoParams) -> Result<Said<Principal>, Failure> {
    Ok(Said(writer.registry.disable_principal(&writer.actor, name(&segments), false).await?))
}

/// Creates a link that signs a person in to the pages once, in place of one that they have not used.
#[utoipa::path(
    post, path = "/v1/principals/{name}/sign-in-link", operation_id = "create_sign_in_link", tag = "access",
    params(("name" = Handle, Path, description = "The person.", example = "ada")),
    request_body(content = SignInLinkRequest, example = json!({"expires_s": 3600})),
    responses((status = 201, body = SignInLink)),
)]
pub(super) async fn create_sign_in_link(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    address: Address,
    Json(request): Json<SignInLinkRequest>,
) -> Result<Response, Failure> {
    let name = name(&segments);
    let (secret, expires) = writer.registry.create_sign_in_link(&writer.actor, name.clone(), request).await?;
    let url = link_url(&address.of(&app.door), &secret);
    let never_kept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, never_kept, Said(SignInLink { principal: name, expires, url })).into_response())
}

/// Lists roles by name, including built-in ones.
#[utoipa::path(get, path = "/v1/roles", operation_id = "list_roles", tag = "access", responses((status = 200, body = Vec<Role>)))]
pub(super) async fn roles(writer: Writer, _: NoParams) -> Said<Vec<Role>> {
    Said(writer.registry.roles())
}

/// Creates or replaces a custom role.
#[utoipa::path(
    put, path = "/v1/roles/{name}", operation_id = "put_role", tag = "access",
    params(("name" = Handle, Path, description = "The role.", example = "medical-reviewer")),
    request_body(content = RoleRequest, example = json!({"permissions": ["read", "review"], "description": "Reviews what patients read"})),
    responses((status = 200, body = Role)),
)]
pub(super) async fn put_role(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RoleRequest>,
) -> Result<Said<Role>, Failure> {
    Ok(Said(writer.registry.put_role(&writer.actor, name(&segments), request).await?))
}

/// Removes a custom role; rejected while it is granted.
#[utoipa::path(
    delete, path = "/v1/roles/{name}", operation_id = "delete_role", tag = "access",
    params(("name" = Handle, Path, description = "The role.", example = "medical-reviewer")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_role(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_role(&writer.actor, name(&segments)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces an access token by a new one with the same name; it is only shown in this response.
#[utoipa::path(
    post, path = "/v1/tokens/{name}/rotation", operation_id = "rotate_token", tag = "access",
    params(("name" = Handle, Path, description = "The name of the access token.", example = "replica-plant-7")),
    request_body(content = RotationRequest, example = json!({"overlap_s": 3600})),
    responses((status = 200, body = TokenView)),
)]
pub(super) async fn rotate_token(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RotationRequest>,
) -> Result<Response, Failure> {
    let token = writer.registry.rotate_token(&writer.actor, name(&segments), request).await?;
    let never_kept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((never_kept, Said(token)).into_response())
}

/// Lists label policies by name: those that can apply to a prompt which the caller can read.
#[utoipa::path(get, path = "/v1/policies", operation_id = "list_policies", tag = "governance", responses((status = 200, body = Vec<Policy>)))]
pub(super) async fn policies(writer: Writer, _: NoParams) -> Said<Vec<Policy>> {
    Said(writer.registry.policies_for(&writer.actor))
}

/// Creates or replaces a label policy.
#[utoipa::path(
    put, path = "/v1/policies/{name}", operation_id = "put_policy", tag = "governance",
    params(("name" = Handle, Path, description = "The policy; the body has the same name.", example = "production")),
    request_body(content = Policy, example = json!({"name": "production", "labels": "production", "approvals": 1, "after": {"label": "staging", "for_s": 3600}, "risk": {"from": "high"}})),
    responses((status = 200, body = Policy)),
)]
pub(super) async fn put_policy(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(policy): Json<Policy>,
) -> Result<Said<Policy>, Failure> {
    if policy.name != segments.text("name") {
        let reason = "the policy's `name` differs from the one in the path".to_owned();
        return Err(RequestError::Unfit { reason }.into());
    }
    Ok(Said(writer.registry.put_policy(&writer.actor, policy).await?))
}

/// Removes a label policy.
#[utoipa::path(
    delete, path = "/v1/policies/{name}", operation_id = "delete_policy", tag = "governance",
    params(("name" = Handle, Path, description = "The policy.", example = "production")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_policy(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_policy(&writer.actor, name(&segments)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name(segments: &Segments) -> String {
    segments.text("name").to_owned()
}
