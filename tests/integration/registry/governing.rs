//! Label policies and change requests: what moves a label, and what does not.

use bookholder::api::govern::{
    AmendRequest, ApplyRequest, PrincipalRequest, ProposeRequest, ProposedVersion, ReviewRequest, TokenRequest,
};
use bookholder::api::write::{DeployRequest, PublishRequest, RemoveRequest, RollbackRequest};
use bookholder::model::audit::{Command, Decision};
use bookholder::model::change_request::{ChangeRequest, EventKind, RequestState};
use bookholder::model::finding::Severity;
use bookholder::model::principal::{Grant, PrincipalKind};
use bookholder::model::verdict::RequirementKind;
use bookholder::registry::RegistryError;

use crate::support::primary::{Primary, fixed, label, moving, name, person, request, why};

const HOUR_MS: u64 = 3_600_000;
const AGENT: &str = "support/agent";

/// A registry with a team: ann writes, rob and ivy release, cy is compliance.
pub async fn team() -> Primary {
    let primary = Primary::found();
    for (who, role) in [("ann", "author"), ("rob", "releaser"), ("ivy", "releaser"), ("cy", "compliance")] {
        let prompts = if role == "compliance" { "**" } else { "support/**" };
        let grant = Grant { prompts: prompts.parse().expect("a pattern"), ..Grant::everywhere(role) };
        let request = PrincipalRequest { name: who.to_owned(), kind: PrincipalKind::Person, grants: vec![grant] };
        primary.registry.create_principal(&primary.admin, request).await.expect("a free name");
    }
    primary
}

/// Keeps a policy on `production`.
pub async fn policy(primary: &Primary, rest: &str) {
    let json = format!(r#"{{"name":"production","prompts":"support/**","labels":"production"{rest}}}"#);
    let policy = serde_json::from_str(&json).expect(&json);
    primary.registry.put_policy(&primary.admin, policy).await.expect("a policy");
}

pub async fn publish_as(primary: &Primary, who: &str, text: &str) -> u64 {
    let published = primary.registry.publish(&person(who), name(AGENT), request(text)).await.expect("hers");
    published.version.number
}

pub async fn deploy_as(primary: &Primary, who: &str, version: u64) -> Result<(), RegistryError> {
    deploy(primary, who, version, DeployRequest { message: "OPS-1 now".to_owned(), ..DeployRequest::default() }).await
}

async fn deploy(primary: &Primary, who: &str, version: u64, request: DeployRequest) -> Result<(), RegistryError> {
    let request = DeployRequest { moves: vec![moving(AGENT, "production", fixed(version))], ..request };
    primary.registry.deploy(&person(who), request).await.map(|_| ())
}

pub async fn propose(primary: &Primary, who: &str, version: u64, automatic: bool) -> ChangeRequest {
    let request = ProposeRequest {
        message: "OPS-1 be kinder".to_owned(),
        moves: vec![moving(AGENT, "production", fixed(version))],
        automatic,
        expires_days: Some(7),
        ..ProposeRequest::default()
    };
    primary.registry.propose(&person(who), request).await.expect("a proposal")
}

pub async fn review(primary: &Primary, who: &str, id: u64, kind: EventKind) -> Result<ChangeRequest, RegistryError> {
    let seen = primary.registry.change_request(&primary.view(), id).expect("it").request;
    let fingerprints = seen.moves.into_iter().map(|one| one.fingerprint).collect();
    let request = ReviewRequest { kind, message: "I looked".to_owned(), fingerprints };
    primary.registry.review(&person(who), id, request).await
}

/// The kinds of what is missing, of a refused move.
fn missing(refused: Result<(), RegistryError>) -> Vec<RequirementKind> {
    match refused {
        Err(RegistryError::PolicyNotMet { missing, .. }) => missing.into_iter().map(|demand| demand.kind).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn approvals_bind_to_content_and_exclude_contributors() {
    use RequirementKind as K;
    let primary = team().await;
    policy(&primary, r#","approvals":1,"approvers":["compliance","releaser"]"#).await;
    let one = publish_as(&primary, "ann", "one").await;
    assert!(matches!(deploy_as(&primary, "ann", one).await, Err(RegistryError::Forbidden { .. })), "an author");
    assert_eq!(missing(deploy_as(&primary, "rob", one).await), [K::Approvals]);
    let asked = propose(&primary, "ann", one, false).await;
    let refused = review(&primary, "ann", asked.id, EventKind::Approve).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
    let view = primary.registry.change_request(&primary.view(), asked.id).expect("it");
    assert!(!view.complete && view.moves[0].requirements.iter().any(|demand| !demand.met), "{view:?}");
    review(&primary, "cy", asked.id, EventKind::Approve).await.expect("compliance approves");
    assert!(primary.registry.change_request(&primary.view(), asked.id).expect("it").complete);

    // One more edit: the approval is of something else.
    let two = publish_as(&primary, "ann", "two").await;
    assert_eq!(missing(deploy_as(&primary, "rob", two).await), [K::Approvals]);
    let amend = AmendRequest {
        message: "a typo".to_owned(),
        publish: None,
        moves: vec![moving(AGENT, "production", fixed(two))],
    };
    let amended = primary.registry.amend(&person("ann"), asked.id, amend).await.expect("amended");
    assert_ne!(amended.moves[0].fingerprint, asked.moves[0].fingerprint);
    assert_eq!(missing(deploy_as(&primary, "rob", two).await), [K::Approvals], "a stale approval");
    let looked = ReviewRequest {
        kind: EventKind::Approve,
        message: String::new(),
        fingerprints: vec![asked.moves[0].fingerprint.clone()],
    };
    let moved = primary.registry.review(&person("cy"), asked.id, looked).await;
    assert!(matches!(moved, Err(RegistryError::RequestMoved { .. })), "she looked at the first: {moved:?}");
    review(&primary, "cy", asked.id, EventKind::Approve).await.expect("compliance approves");
    deploy_as(&primary, "rob", two).await.expect("nothing is missing");
    let entry = primary.last_entry();
    assert_eq!((entry.approved_by.as_slice(), entry.change_request), (&["cy".to_owned()][..], Some(asked.id)));
    assert!(entry.reason.contains("grant releaser on support/**") && entry.reason.contains("policy production is met"));
    let deployment = &primary.view().deployments(&name(AGENT), None, None, 1).expect("a page").items[0];
    assert_eq!((deployment.approved_by.as_slice(), deployment.change_request), (&["cy".to_owned()][..], Some(1)));
    let closed = primary.registry.change_request(&primary.view(), asked.id).expect("it").request;
    assert_eq!((closed.state, closed.deployment), (RequestState::Applied, Some(deployment.id)));
    let late = review(&primary, "ivy", asked.id, EventKind::Comment).await;
    assert!(matches!(late, Err(RegistryError::RequestClosed { .. })), "{late:?}");
    assert_eq!(primary.text(AGENT).expect("live"), "two");
}

#[tokio::test]
async fn disabled_reviewer_no_longer_counts() {
    let primary = team().await;
    policy(&primary, r#","approvals":2"#).await;
    let one = publish_as(&primary, "ann", "one").await;
    let asked = propose(&primary, "ann", one, false).await;
    review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("ivy");
    review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("ivy again");
    assert_eq!(missing(deploy_as(&primary, "rob", one).await), [RequirementKind::Approvals], "ivy is one");
    review(&primary, "cy", asked.id, EventKind::Approve).await.expect("cy");
    primary.registry.disable_principal(&primary.admin, "ivy".to_owned(), true).await.expect("she left");
    assert_eq!(missing(deploy_as(&primary, "rob", one).await), [RequirementKind::Approvals], "ivy left");
    review(&primary, "rob", asked.id, EventKind::Approve).await.expect("rob");
    deploy_as(&primary, "rob", one).await.expect("two are there");
}

#[tokio::test]
async fn rollback_needs_no_approval_and_other_deployments_do() {
    let primary = team().await;
    for text in ["one", "two", "three"] {
        let version = publish_as(&primary, "ann", text).await;
        deploy_as(&primary, "rob", version).await.expect("no policy yet");
    }
    policy(&primary, r#","approvals":1,"deployers":["releaser"]"#).await;
    let back = async |to| {
        let request = RollbackRequest { message: "harm".to_owned(), to, ..RollbackRequest::default() };
        primary.registry.rollback(&person("rob"), name(AGENT), label("production"), request).await.map(|_| ())
    };
    assert_eq!(missing(back(Some(1)).await), [RequirementKind::Approvals]);
    back(None).await.expect("two in the morning");
    assert_eq!(primary.text(AGENT).expect("live"), "two");
    assert_eq!(missing(back(None).await), [RequirementKind::Approvals], "further back");
    primary.registry.unlabel(&person("rob"), name(AGENT), label("production"), why()).await.expect("the stop button");
    assert_eq!(missing(back(None).await), [RequirementKind::Approvals], "what somebody stopped");
    let admin = primary.registry.unlabel(&primary.admin, name(AGENT), label("staging"), why()).await;
    assert!(matches!(admin, Err(RegistryError::LabelNotFound { .. })), "{admin:?}");
}

#[tokio::test]
async fn break_glass_needs_an_admin_and_is_recorded() {
    let primary = team().await;
    policy(&primary, r#","approvals":2,"gates":["safety"]"#).await;
    let one = publish_as(&primary, "ann", "one").await;
    let glass = |why: &str| DeployRequest {
        message: "fire".to_owned(),
        break_glass: Some(why.to_owned()),
        ..DeployRequest::default()
    };
    let refused = deploy(&primary, "rob", one, glass("I want to")).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
    let entry = primary.last_entry();
    assert_eq!((entry.decision, entry.actor.as_str()), (Decision::Denied, "rob"));
    assert_eq!(missing(deploy_as(&primary, "admin", one).await), [RequirementKind::Approvals, RequirementKind::Gate]);
    deploy(&primary, "admin", one, glass("the old one insults people")).await.expect("an admin");
    let entry = primary.last_entry();
    assert_eq!(entry.overrode.len(), 2, "{entry:?}");
    assert!(entry.overrode.iter().all(|what| what.ends_with("overridden because the old one insults people")));
}

#[tokio::test]
async fn request_shows_a_direct_deployment_of_the_same_change() {
    let primary = team().await;
    policy(&primary, r#","approvals":2"#).await;
    let end =
        |id| primary.registry.change_request(&primary.view(), id).expect("it").request.events.pop().expect("its end");
    let one = publish_as(&primary, "ann", "one").await;
    let asked = propose(&primary, "ann", one, false).await;
    let request = DeployRequest {
        message: "OPS-2 outage".to_owned(),
        break_glass: Some("checkout is down".to_owned()),
        ..DeployRequest::default()
    };
    deploy(&primary, "admin", one, request.clone()).await.expect("an admin");
    let event = end(asked.id);
    assert_eq!((event.kind, event.by.as_str(), event.directly), (EventKind::Apply, "admin", Some(Command::Deploy)));
    assert_eq!(event.message, "OPS-2 outage");
    assert!(
        matches!(&event.overrode[..], [what] if what.ends_with("overridden because checkout is down")),
        "{event:?}"
    );

    // A deployment through the request itself is not a direct one; an override is recorded anyway.
    let two = publish_as(&primary, "ann", "two").await;
    let asked = propose(&primary, "ann", two, false).await;
    let apply = ApplyRequest { break_glass: request.break_glass, ..ApplyRequest::default() };
    primary.registry.apply(&primary.admin, asked.id, apply).await.expect("an admin");
    let event = end(asked.id);
    assert_eq!((event.kind, event.directly, event.message.as_str()), (EventKind::Apply, None, ""));
    assert_eq!(event.overrode.len(), 1, "{event:?}");

    // Approved, and then deployed by hand.
    let three = publish_as(&primary, "ann", "three").await;
    let asked = propose(&primary, "ann", three, false).await;
    for who in ["ivy", "cy"] {
        review(&primary, who, asked.id, EventKind::Approve).await.expect(who);
    }
    deploy_as(&primary, "rob", three).await.expect("it is approved");
    let event = end(asked.id);
    assert_eq!((event.by.as_str(), event.directly, event.overrode.len()), ("rob", Some(Command::Deploy), 0));
}

#[tokio::test]
async fn automatic_request_is_applied_when_its_time_comes() {
    let primary = team().await;
    policy(&primary, r#","approvals":1,"after":{"label":"staging","for_s":3600}"#).await;
    let one = publish_as(&primary, "ann", "one").await;
    let asked = propose(&primary, "ann", one, true).await;
    primary.registry.deploy(&person("rob"), staging(one)).await.expect("staging is free");
    primary.wait(HOUR_MS - 1);
    review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("ivy");
    primary.registry.tend_change_requests().await.expect("tended");
    let state = || primary.registry.change_request(&primary.view(), asked.id).expect("it").request.state;
    assert_eq!(state(), RequestState::Open, "a moment early");
    primary.wait(1).registry.tend_change_requests().await.expect("tended");
    assert_eq!(state(), RequestState::Applied);
    let entry = primary.last_entry();
    assert_eq!((entry.actor.as_str(), entry.command.as_str()), ("ivy", "deploy"));
    assert_eq!(entry.method, "change request 1, deployed automatically");
    assert_eq!(primary.text(AGENT).expect("live"), "one");
}

#[tokio::test]
async fn hold_automation_stops_automatic_deployment() {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    primary.registry.hold_automation();
    let one = publish_as(&primary, "ann", "one").await;
    let asked = propose(&primary, "ann", one, true).await;
    let approved = review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("a releaser approves");
    assert_eq!(approved.state, RequestState::Open);
    let view = primary.registry.change_request(&primary.view(), asked.id).expect("it");
    let waits = view.waits_for.expect("a reason");
    assert!(view.complete && waits.contains("this node holds automation"), "{waits}");
    primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await.expect("by hand");
    assert_eq!(primary.text(AGENT).expect("live"), "one");
}

#[tokio::test]
async fn revoked_token_turns_off_automatic_deployment_of_its_requests() {
    for (revoked, applied) in [("rob", true), ("ann", false), ("ivy", false)] {
        let primary = team().await;
        policy(&primary, r#","approvals":1,"after":{"label":"staging","for_s":3600}"#).await;
        for who in ["ann", "ivy", "rob"] {
            let token = TokenRequest {
                name: format!("{who}-laptop"),
                principal: Some(who.to_owned()),
                ..TokenRequest::default()
            };
            primary.registry.create_token(&primary.admin, token).await.expect("a token");
        }
        let one = publish_as(&primary, "ann", "one").await;
        let asked = propose(&primary, "ann", one, true).await;
        primary.registry.deploy(&person("rob"), staging(one)).await.expect("staging is free");
        review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("ivy");
        primary.registry.revoke_token(&primary.admin, format!("{revoked}-laptop")).await.expect("revoked");
        let entry = primary.last_entry();
        let subjects = entry.subject_texts();
        let (token, request) = (format!("{revoked}-laptop"), format!("change request {}", asked.id));
        assert_eq!(subjects, if applied { vec![token] } else { vec![token, request] });
        primary.wait(HOUR_MS).registry.tend_change_requests().await.expect("tended");
        let request = primary.registry.change_request(&primary.view(), asked.id).expect("it").request;
        let state = if applied { RequestState::Applied } else { RequestState::Open };
        assert_eq!((request.state, request.automatic), (state, applied), "{revoked}");
        if !applied {
            let said = &request.events.last().expect("why").message;
            assert!(said.contains(&format!("the access token {revoked}-laptop of {revoked} was revoked")), "{said}");
            deploy_as(&primary, "rob", one).await.expect("what was approved can be deployed by a person");
        }
    }
}

fn staging(version: u64) -> DeployRequest {
    let moves = vec![moving(AGENT, "staging", fixed(version))];
    DeployRequest { moves, message: "try it".to_owned(), ..DeployRequest::default() }
}

#[tokio::test]
async fn unfinished_request_expires_and_rejected_one_is_closed() {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    let one = publish_as(&primary, "ann", "one").await;
    let (first, second, third) = (
        propose(&primary, "ann", one, false).await,
        propose(&primary, "ann", one, false).await,
        propose(&primary, "rob", one, false).await,
    );
    assert!(matches!(
        review(&primary, "rob", first.id, EventKind::Withdraw).await,
        Err(RegistryError::Forbidden { .. })
    ));
    review(&primary, "ann", first.id, EventKind::Withdraw).await.expect("her own");
    review(&primary, "cy", second.id, EventKind::Reject).await.expect("no");
    assert!(review(&primary, "ann", third.id, EventKind::Reject).await.is_err(), "an author reviews nothing");
    review(&primary, "cy", third.id, EventKind::Approve).await.expect("cy");
    primary.wait(7 * 24 * HOUR_MS);
    assert_eq!(missing(deploy_as(&primary, "ivy", one).await), [RequirementKind::Approvals], "too late");
    primary.registry.tend_change_requests().await.expect("tended");
    let states: Vec<_> = primary
        .registry
        .change_requests(&primary.view(), None, None, 10)
        .expect("a page")
        .items
        .into_iter()
        .map(|one| (one.id, one.state))
        .collect();
    assert_eq!(states, [(3, RequestState::Expired), (2, RequestState::Rejected), (1, RequestState::Withdrawn)]);
    assert!(
        primary
            .registry
            .change_requests(&primary.view(), Some(RequestState::Open), None, 10)
            .expect("a page")
            .items
            .is_empty()
    );
    let applied = primary.registry.apply(&person("rob"), third.id, ApplyRequest::default()).await;
    assert!(matches!(applied, Err(RegistryError::RequestClosed { .. })), "{applied:?}");
}

#[tokio::test]
async fn publishing_and_deploying_are_proposed_in_one_and_applied_in_one() {
    let primary = team().await;
    policy(&primary, r#","approvals":1,"message":"OPS-[0-9]+""#).await;
    primary.publish(AGENT, "zero").await;
    let version = ProposedVersion {
        name: name(AGENT),
        content: request("Give loan advice: tell the customer which loan to take.").content,
        bump: None,
        expected_parent: Some(1),
        labels: vec![label("production"), label("staging")],
    };
    let asked =
        ProposeRequest { message: "OPS-7 sell".to_owned(), publish: Some(version), ..ProposeRequest::default() };
    let before = primary.state().1;
    let stranger = primary.registry.propose(&person("nobody"), asked.clone()).await;
    assert!(matches!(stranger, Err(RegistryError::Forbidden { .. })), "{stranger:?}");
    assert_eq!(primary.state().1, before, "nothing is published for whoever may not");
    let asked = primary.registry.propose(&person("ann"), asked).await.expect("a proposal");
    assert_eq!(asked.moves.len(), 2);
    let view = primary.registry.change_request(&primary.view(), asked.id).expect("it");
    assert!(view.moves[0].findings.iter().any(|finding| finding.severity >= Severity::High), "{view:?}");
    assert!(view.moves[0].reviewers.iter().any(|reviewer| reviewer.name == "cy"), "{view:?}");
    review(&primary, "cy", asked.id, EventKind::Approve).await.expect("cy");
    let applied = primary.registry.apply(&person("rob"), asked.id, ApplyRequest::default()).await.expect("complete");
    assert_eq!(applied.deployments.len(), 2, "both at once");
    assert_eq!(applied.deployments[0].message, "OPS-7 sell");
}

#[tokio::test]
async fn high_risk_needs_compliance_and_secrets_need_an_admin() {
    let primary = team().await;
    policy(&primary, r#","risk":{"from":"high"}"#).await;
    let harmless = publish_as(&primary, "ann", "Be kind.").await;
    deploy_as(&primary, "rob", harmless).await.expect("no risk, no approval");
    let risky = publish_as(&primary, "ann", "Advise the customer which loan to take.").await;
    assert_eq!(missing(deploy_as(&primary, "rob", risky).await), [RequirementKind::RiskApproval]);
    assert!(primary.last_entry().risk >= Some(Severity::High));
    let asked = propose(&primary, "ann", risky, false).await;
    review(&primary, "ivy", asked.id, EventKind::Approve).await.expect("a releaser");
    assert_eq!(missing(deploy_as(&primary, "rob", risky).await), [RequirementKind::RiskApproval], "not compliance");
    review(&primary, "cy", asked.id, EventKind::Approve).await.expect("compliance");
    deploy_as(&primary, "rob", risky).await.expect("approved");

    let secret = format!("Use the key {}{} for the search tool.", "ghp_", "a8Fk2LmQ9xZr4TvB7nWc1YdE6sHg3JpU5oKi");
    let refused = primary.registry.publish(&person("ann"), name(AGENT), request(&secret)).await.expect_err("a secret");
    assert!(matches!(refused, RegistryError::HoldsSecrets { .. }), "{refused:?}");
    let entry = primary.last_entry();
    let recorded = serde_json::to_string(&entry).expect("JSON");
    assert!(!recorded.contains("ghp_") && !refused.to_string().contains("ghp_"), "{recorded}");
    assert_eq!((entry.decision, entry.risk), (Decision::Denied, Some(Severity::Critical)));
    let glass = |text: &str| PublishRequest { break_glass: Some("a dummy of the docs".to_owned()), ..request(text) };
    let refused = primary.registry.publish(&person("ann"), name(AGENT), glass(&secret)).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
    primary.registry.publish(&primary.admin, name(AGENT), glass(&secret)).await.expect("an admin");
    assert!(primary.last_entry().overrode[0].contains("overridden because a dummy of the docs"));
}

#[tokio::test]
async fn error_names_callers_that_would_break() {
    let primary = team().await;
    policy(&primary, "").await;
    primary.publish(AGENT, "Hello {{customer}}").await;
    deploy_as(&primary, "rob", 1).await.expect("nothing served before");
    let answer = primary.resolver.resolve(AGENT, &bookholder::resolve::Query::default()).expect("live");
    primary.registry.usage().note(&answer, "checkout-service");
    primary.registry.keep_noted_uses().await.expect("kept");
    let two = publish_as(&primary, "ann", "Hello {{customer}}, order {{order}}").await;
    let refused = deploy_as(&primary, "rob", two).await.expect_err("callers break");
    match &refused {
        RegistryError::BreaksCallers { by, reasons, .. } => {
            assert_eq!(by, &["checkout-service"]);
            assert!(reasons.iter().any(|reason| reason.contains("order")), "{reasons:?}");
        }
        other => panic!("{other:?}"),
    }
    primary.wait(26 * HOUR_MS);
    match deploy_as(&primary, "rob", two).await.expect_err("callers break") {
        RegistryError::BreaksCallers { by, .. } => assert!(by.is_empty(), "{by:?}"),
        other => panic!("{other:?}"),
    }
    let meant = DeployRequest { message: "they know".to_owned(), allow_major: true, ..DeployRequest::default() };
    deploy(&primary, "rob", two, meant).await.expect("said so");
}

#[tokio::test]
async fn break_glass_overrides_policies_but_not_breaking_changes() {
    let primary = team().await;
    primary.publish(AGENT, "Hello").await;
    deploy_as(&primary, "rob", 1).await.expect("no policy yet");
    policy(&primary, r#","approvals":1"#).await;
    let two = publish_as(&primary, "ann", "Hello {{order}}").await;
    let asked = |allow_major: bool, break_glass: Option<&str>| {
        let break_glass = break_glass.map(str::to_owned);
        DeployRequest { message: "m".to_owned(), allow_major, break_glass, ..DeployRequest::default() }
    };
    assert_eq!(missing(deploy(&primary, "admin", two, asked(true, None)).await), [RequirementKind::Approvals]);
    let refused = deploy(&primary, "admin", two, asked(false, Some("a fire"))).await;
    assert!(matches!(refused, Err(RegistryError::BreaksCallers { .. })), "{refused:?}");
    assert!(primary.last_entry().overrode.is_empty(), "nothing was overridden");
    let refused = deploy(&primary, "rob", two, asked(true, Some("a fire"))).await;
    assert!(matches!(refused, Err(RegistryError::Forbidden { .. })), "{refused:?}");
    deploy(&primary, "admin", two, asked(true, Some("a fire"))).await.expect("both were given");
    let entry = primary.last_entry();
    assert!(matches!(entry.overrode.as_slice(), [one] if one.ends_with("overridden because a fire")), "{entry:?}");
}

#[tokio::test]
async fn breaking_change_needs_allow_major_without_a_policy() {
    let primary = Primary::found();
    let (admin, registry) = (&primary.admin, &primary.registry);
    let publish = |text: &str, label_too: bool, allow_major: bool| {
        let labels = if label_too { vec![label("production")] } else { Vec::new() };
        registry.publish(admin, name("a"), PublishRequest { labels, allow_major, ..request(text) })
    };
    let breaks =
        |error: Option<RegistryError>| assert!(matches!(error, Some(RegistryError::BreaksCallers { .. })), "{error:?}");
    let deploy = |to, allow_major| {
        let moves = vec![moving("a", "production", fixed(to))];
        registry.deploy(admin, DeployRequest { moves, message: "why".to_owned(), allow_major, break_glass: None })
    };
    publish("Hello {{who}}", true, false).await.expect("nothing was served before");
    publish("Hello", true, false).await.expect("a variable that is gone breaks nobody");
    breaks(publish("Hello {{who}} {{where}}", true, false).await.err());
    publish("Hello {{who}} {{where}}", false, false).await.expect("no label moves");
    breaks(deploy(3, false).await.err());
    deploy(3, true).await.expect("said so");
    deploy(2, false).await.expect("fewer variables");
    breaks(deploy(1, false).await.err());
    let back = RollbackRequest { message: "why".to_owned(), to: Some(1), ..RollbackRequest::default() };
    breaks(registry.rollback(admin, name("a"), label("production"), back).await.err());
    let direct = RollbackRequest { message: "harm".to_owned(), ..RollbackRequest::default() };
    registry.rollback(admin, name("a"), label("production"), direct).await.expect("directly back is always free");
}

#[tokio::test]
async fn removing_a_prompt_needs_the_policies_of_its_labels() {
    let primary = team().await;
    policy(&primary, r#","deployers":["releaser"]"#).await;
    primary.publish(AGENT, "Hello").await;
    deploy_as(&primary, "rob", 1).await.expect("a releaser");
    let remove = |break_glass: Option<&str>| {
        let request = RemoveRequest { message: "gone".to_owned(), break_glass: break_glass.map(str::to_owned) };
        primary.registry.remove(&primary.admin, name(AGENT), request)
    };
    let refused = remove(None).await.expect_err("an admin is no releaser");
    assert!(matches!(refused, RegistryError::PolicyNotMet { .. }), "{refused:?}");
    assert_eq!(primary.text(AGENT).expect("still served"), "Hello");
    let removed = remove(Some("it leaks")).await.expect("overridden");
    assert_eq!(removed.deployments.len(), 2);
    let newest = primary.last_entry();
    assert!(newest.overrode.iter().any(|one| one.contains("it leaks")), "{newest:?}");
}

#[tokio::test]
async fn policies_decide_for_the_operator_too() {
    let primary = team().await;
    policy(&primary, r#","approvals":1"#).await;
    let operator = bookholder::registry::Actor::operator("folder watch");
    let with_label = PublishRequest { labels: vec![label("production")], ..request("one") };
    let refused = primary.registry.publish(&operator, name(AGENT), with_label).await;
    assert!(matches!(refused, Err(RegistryError::PolicyNotMet { .. })), "{refused:?}");
    assert!(primary.text(AGENT).is_err(), "nothing was published either");
}
