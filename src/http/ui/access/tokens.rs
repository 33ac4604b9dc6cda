//! Access tokens: the list, the detail page, and their forms.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments, blocking};
use super::super::super::request::RequestError;
use super::super::super::state::{App, Shared};
use super::super::html;
use super::super::visitor::{SubmittedForm, Visitor};
use super::{
    DAY_S, HOUR_S, ListQuery, OFFERED_MAX, answer, asked, done, page_of, required, seconds, show_once, unknown_form,
    value, which,
};
use crate::api::govern::{RotationRequest, TokenRequest, TokenView};
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::token::{TokenPageData, page as token_page};
use crate::web::pages::access::token_path;
use crate::web::pages::access::tokens::{Tokens, page};

/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 1] = [("revoke", "Token revoked.")];

/// Lists access tokens.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    mut params: Params,
) -> Result<Response, Failure> {
    let (sought, outcome) = (ListQuery::read(&mut params), done(params.text("done"), &DONE));
    params.finish(&["q", "after", "done"])?;
    Ok(html(blocking(move || shown(&app, &visitor, sought, outcome)).await??))
}

fn shown(app: &Shared, visitor: &Visitor, sought: ListQuery, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let (rows, next) = page_of(registry.tokens(actor)?, |one| one.name.as_str(), &sought.text, &sought.after);
    let principals = registry.principals(actor)?.into_iter().take(OFFERED_MAX).map(|one| one.name).collect();
    Ok(page(&visitor.frame_alone(app)?, &Tokens { sought: sought.text, rows, next, principals, outcome }))
}

/// Creates an access token.
pub(in crate::http::ui) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let typed = sent.typed();
    let made = match required::<String>(&typed, "principal", "Person or service") {
        Ok(principal) => create_for(&app, &sent, &principal, &typed).await,
        Err(failure) => Err(failure),
    };
    answer(&sent, typed, made.map(|name| token_path(&name)), move |visitor, outcome| {
        shown(&app, visitor, ListQuery::nothing(), outcome)
    })
    .await
}

/// Creates an access token of a principal, which its page shows once; returns its name.
pub(super) async fn create_for(
    app: &Shared,
    sent: &SubmittedForm,
    principal: &str,
    typed: &FormValues,
) -> Result<String, Failure> {
    let (registry, actor) = sent.writer(app)?;
    let request = TokenRequest {
        name: required(typed, "name", "Token name")?,
        principal: Some(principal.to_owned()),
        expires_s: lifetime(typed)?,
        prompts: value(typed, "bound", "Bound to prompts")?,
        ..TokenRequest::default()
    };
    keep(app, sent, registry.create_token(&actor, request).await?)
}

/// Its lifetime, which must not be zero.
fn lifetime(typed: &FormValues) -> Result<Option<u64>, Failure> {
    let nothing =
        || RequestError::FormValue { field: "Days", reason: "use 1 or more days, or leave it empty".to_owned() };
    match seconds(typed, "days", "Days", DAY_S)? {
        Some(0) => Err(nothing().into()),
        lifetime => Ok(lifetime),
    }
}

/// Holds a new token for the one page that shows it.
fn keep(app: &Shared, sent: &SubmittedForm, made: TokenView) -> Result<String, Failure> {
    show_once(app, sent, &made.name, made.token.as_deref())?;
    Ok(made.name)
}

/// Shows one access token, and once a token that was just created in this session.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    params.finish(&[])?;
    let name = segments.text("name").to_owned();
    let work = move || {
        let token = find(&app, &visitor, &name)?;
        let shown = visitor.session().and_then(|session| app.sessions.take_shown(session, &name));
        Ok::<_, Failure>(token_page(
            &visitor.frame_alone(&app)?,
            &TokenPageData { token, shown, outcome: Outcome::default() },
        ))
    };
    Ok(html(blocking(work).await??))
}

fn find(app: &Shared, visitor: &Visitor, name: &str) -> Result<TokenView, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let found = registry.tokens(actor)?.into_iter().find(|token| token.name == name);
    let shown = || name.chars().take(64).filter(|c| !c.is_control()).collect::<String>();
    Ok(found.ok_or_else(|| RequestError::NoRecord { what: format!("access token `{}`", shown()) })?)
}

/// Rotates or revokes an access token.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = change(&app, &sent, &name, &typed).await;
    let page = move |visitor: &Visitor, outcome| {
        let token = find(&app, visitor, &name)?;
        Ok(token_page(&visitor.frame_alone(&app)?, &TokenPageData { token, shown: None, outcome }))
    };
    answer(&sent, typed, did, page).await
}

async fn change(app: &Shared, sent: &SubmittedForm, name: &str, typed: &FormValues) -> Result<String, Failure> {
    let (registry, actor) = sent.writer(app)?;
    match which(typed) {
        "rotate" => {
            let overlap_s = seconds(typed, "hours", "Hours", HOUR_S)?.unwrap_or_default();
            let request = RotationRequest { overlap_s, expires_s: lifetime(typed)? };
            let name = keep(app, sent, registry.rotate_token(&actor, name.to_owned(), request).await?)?;
            Ok(token_path(&name))
        }
        "revoke" => {
            registry.revoke_token(&actor, name.to_owned()).await?;
            Ok("/ui/access/tokens?done=revoke".to_owned())
        }
        _ => Err(unknown_form()),
    }
}
