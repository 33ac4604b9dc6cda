//! Webhooks: the list, the detail page with deliveries, and their forms.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments};
use super::super::super::state::{App, Shared};
use super::super::visitor::{SubmittedForm, Visitor};
use super::{HOUR_S, answer, asked, named, new_name, pattern, required, seconds, show, show_once, unknown_form, which};
use crate::api::webhooks::{SuspensionRequest, WebhookRequest, WebhookRotation, WebhookView};
use crate::model::webhook::WebhookFormat;
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::webhook_path;
use crate::web::pages::access::webhooks::{WebhookPageData, Webhooks, one as one_page, page};

/// Number of deliveries on a webhook's page, newest first.
const DELIVERIES: usize = 50;
/// The URL of the list.
const LIST: &str = "/ui/access/webhooks";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 7] = [
    ("save", "Saved."),
    ("test", "Test event sent. Reload the page to see the result."),
    ("disable", "Disabled. Nothing is sent until you enable it."),
    ("enable", "Enabled."),
    ("rotate", "Replaced."),
    ("redeliver", "Queued for redelivery."),
    ("remove", "Removed."),
];

/// Lists webhooks.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    params: Params,
) -> Result<Response, Failure> {
    show(params, &DONE, move |outcome| all(&app, &visitor, outcome)).await
}

fn all(app: &Shared, visitor: &Visitor, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    Ok(page(&visitor.frame_alone(app)?, &Webhooks { rows: registry.webhooks(actor)?, outcome }))
}

/// Creates a webhook.
pub(in crate::http::ui) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let is_taken = |name: &str| Ok(registry.webhooks(&actor)?.iter().any(|one| one.name == name));
        let name = new_name(&typed, "a webhook", is_taken)?;
        let made = registry.put_webhook(&actor, name, request(&typed)?).await?;
        keep(&app, &sent, &made)
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| all(&app, visitor, outcome)).await
}

/// The webhook of a form; the registry validates it.
fn request(typed: &FormValues) -> Result<WebhookRequest, Failure> {
    Ok(WebhookRequest {
        url: required(typed, "url", "URL")?,
        events: typed.get("events").split_whitespace().map(str::to_owned).collect(),
        prompts: pattern(typed, "prompts", "Prompts")?,
        format: if typed.get("format") == "slack" { WebhookFormat::Slack } else { WebhookFormat::Standard },
    })
}

/// Holds a new secret for the one page that shows it; returns its URL.
fn keep(app: &Shared, sent: &SubmittedForm, made: &WebhookView) -> Result<String, Failure> {
    let path = webhook_path(&made.name);
    show_once(app, sent, &path, made.secret.as_deref())?;
    Ok(path)
}

/// Shows one webhook, and once a secret that was just created in this session.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    show(params, &DONE, move |outcome| shown(&app, &visitor, &name, outcome)).await
}

fn shown(app: &Shared, visitor: &Visitor, name: &str, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let webhook = named(registry.webhooks(actor)?, "webhook", name, |one| &one.name)?;
    let deliveries = registry.deliveries(actor, name, None, DELIVERIES)?.items;
    let secret = visitor.session().and_then(|session| app.sessions.take_shown(session, &webhook_path(name)));
    Ok(one_page(&visitor.frame_alone(app)?, &WebhookPageData { webhook, secret, deliveries, outcome }))
}

/// Changes, tests, disables, enables or removes a webhook, replaces its secret, or sends an event again.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = change(&app, &sent, &name, &typed).await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, &name, outcome)).await
}

async fn change(app: &Shared, sent: &SubmittedForm, name: &str, typed: &FormValues) -> Result<String, Failure> {
    let (registry, actor) = sent.writer(app)?;
    let of = name.to_owned();
    match which(typed) {
        "save" => drop(registry.put_webhook(&actor, of, request(typed)?).await?),
        "test" => drop(registry.test_webhook(&actor, of).await?),
        "disable" => drop(registry.disable_webhook(&actor, of, SuspensionRequest::default()).await?),
        "enable" => drop(registry.enable_webhook(&actor, of).await?),
        "redeliver" => drop(registry.redeliver(&actor, of, required(typed, "seq", "Event")?).await?),
        "rotate" => {
            let overlap_s = seconds(typed, "hours", "Hours", HOUR_S)?.unwrap_or_default();
            let rotated = registry.rotate_webhook_secret(&actor, of, WebhookRotation { overlap_s }).await?;
            return keep(app, sent, &rotated);
        }
        "remove" => {
            registry.remove_webhook(&actor, of).await?;
            return Ok(format!("{LIST}?done=remove"));
        }
        _ => return Err(unknown_form()),
    }
    Ok(format!("{}?done={}", webhook_path(name), which(typed)))
}
