//! Webhooks: the list with delivery status, and the detail page with deliveries.

use maud::{Markup, html};

use super::{PATTERN_MAX, Tab, behind_a_click, below, name_input, on_demand, side_by_side, webhook_path};
use crate::api::webhooks::WebhookView;
use crate::crypto::secret::AccessToken;
use crate::form::{FormValues, Outcome, begin, hidden};
use crate::format::{Escaped, plain, when};
use crate::governance::event::NAMED_EVENTS;
use crate::layout::{Frame, command, empty};
use crate::model::webhook::{Delivery, DeliveryState, WebhookFormat};

/// The default event of a new webhook.
const LIKELY: &str = "prompt.label.moved";
/// Events without a change of their own that the form suggests.
const COMMON: [(&str, &str); 2] = [("propose.granted", "a review was requested"), ("*", "everything")];

/// The contents of the list.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    /// All of them, by name.
    pub rows: Vec<WebhookView>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// The contents of the detail page.
pub struct WebhookPageData {
    /// The webhook, without its secret.
    pub webhook: WebhookView,
    /// Its secret, if it was just created.
    pub secret: Option<AccessToken>,
    /// Its newest deliveries, newest first.
    pub deliveries: Vec<Delivery>,
    /// The result of a form.
    pub outcome: Outcome,
}

/// Renders the list.
pub fn page(frame: &Frame, matter: &Webhooks) -> String {
    let list = html! {
        @if let Some(form) = frame.form() { (on_demand("New webhook", &matter.outcome, "save", &new(matter, form))) }
        @if matter.rows.is_empty() {
            (empty("No webhooks", "A webhook sends events to another program or a Slack channel."))
        } @else {
            table.list.cards {
                thead {
                    tr {
                        th scope="col" { "Webhook" } th scope="col" { "URL" } th scope="col" { "Events" }
                        th scope="col" { "Prompts" } th scope="col" { "State" }
                    }
                }
                tbody { @for one in &matter.rows { tr {
                    th scope="row" { a.name href=(webhook_path(&one.name)) { (Escaped(&one.name)) } }
                    td.words data-label="URL" { (Escaped(&one.url)) }
                    td data-label="Events" { @for event in &one.events { code { (Escaped(event)) } " " } }
                    td data-label="Prompts" {
                        @if one.prompts.is_everything() {
                            span.quiet { "all" }
                        } @else {
                            code { (Escaped(one.prompts.as_str())) }
                        }
                    }
                    td data-label="State" { (state(frame, one)) }
                } } }
            }
        }
    };
    side_by_side(frame, Tab::Webhooks, "Send events to other programs and to Slack", &matter.outcome, &list)
}

fn new(matter: &Webhooks, form: &str) -> Markup {
    let typed = matter.outcome.of("save");
    html! {
        form.stack method="post" action=(Tab::Webhooks.path()) {
            (begin(form, "save"))
            label for="hook-name" { "Name" }
            (name_input("hook-name", &typed))
            (fields(&typed))
            button.primary type="submit" { "Create" }
            p.quiet { "The signing secret is shown once, on the next page." }
        }
    }
}

/// Renders the detail page.
pub fn one(frame: &Frame, matter: &WebhookPageData) -> String {
    let webhook = &matter.webhook;
    let main = html! {
        div.head { h1 { (Escaped(&webhook.name)) } p.quiet { "A webhook to " (Escaped(&webhook.url)) } }
        (matter.outcome.note())
        @if let Some(secret) = &matter.secret {
            section.once aria-labelledby="once" {
                h2 #once { "Copy the signing secret now" }
                p {
                    "You won’t see it again. Receivers verify events with it (Standard Webhooks); Slack does not need "
                    "it."
                }
                (command(secret.reveal()))
            }
        }
        div.columns {
            section {
                dl.pairs {
                    dt { "State" } dd { (state(frame, webhook)) }
                    dt { "Events" } dd { @for event in &webhook.events { code { (Escaped(event)) } " " } }
                    dt { "Prompts" }
                    dd {
                        @if webhook.prompts.is_everything() {
                            "all"
                        } @else {
                            code { (Escaped(webhook.prompts.as_str())) }
                        }
                    }
                    dt { "Format" } dd { (webhook.format.as_str()) }
                    dt { "Created" } dd { (when(webhook.created, frame.now)) }
                    @if let Some(at) = webhook.previous_until {
                        dt { "Old secret" } dd { "also valid until " (when(at, frame.now)) }
                    }
                }
                h2 { "Deliveries" }
                (deliveries(frame, matter))
            }
            @if let Some(form) = frame.form() { aside aria-label="Change" { (desk(matter, form)) } }
        }
    };
    below(frame, Tab::Webhooks, &webhook.name, &matter.outcome, main)
}

fn state(frame: &Frame, webhook: &WebhookView) -> Markup {
    html! {
        @if let Some(disabled) = &webhook.disabled {
            span.tag.over { "disabled" } " " (when(disabled.at, frame.now)) ", " (Escaped(&disabled.why))
        }
        @else if let Some(since) = webhook.failing_since {
            span.tag.high { "failing" } " since " (when(since, frame.now))
        }
        @else { span.tag.live { "active" } }
        @if webhook.pending > 0 { " " span.quiet { (webhook.pending) " pending" } }
    }
}

const fn state_class(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Delivered => "live",
        DeliveryState::Pending => "wait",
        DeliveryState::Failed => "high",
    }
}

fn deliveries(frame: &Frame, matter: &WebhookPageData) -> Markup {
    html! {
        @if matter.deliveries.is_empty() { p.quiet { "No deliveries yet." } } @else {
            table.list.cards {
                thead {
                    tr {
                        th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "Attempts" }
                        th scope="col" { "Last attempt" }
                    }
                }
                tbody { @for one in &matter.deliveries { tr {
                    th scope="row" { (Escaped(&one.event_type)) " " span.quiet { (one.seq) } }
                    td data-label="State" {
                        span.tag.(state_class(one.state)) { (one.state.as_str()) }
                        @if let Some(form) = frame.form().filter(|_| one.state == DeliveryState::Failed) {
                            form.inline method="post" action=(webhook_path(&matter.webhook.name)) {
                                (begin(form, "redeliver"))
                                (hidden("seq", one.seq))
                                button type="submit" { "Redeliver" span.hidden { " " (one.seq) } }
                            }
                        }
                    }
                    td data-label="Attempts" { (one.tried) }
                    td data-label="Last attempt" {
                        @match one.attempts.last() {
                            Some(last) => {
                                (when(last.at, frame.now))
                                @if let Some(status) = last.status { ", answered " (status) } @else { ", not reached" }
                            },
                            None => span.quiet { "none yet" },
                        }
                    }
                } } }
            }
        }
    }
}

fn desk(matter: &WebhookPageData, form: &str) -> Markup {
    let (webhook, path) = (&matter.webhook, webhook_path(&matter.webhook.name));
    let button = |which: &str, words: &str| {
        html! { form.stack method="post" action=(path) { (begin(form, which)) button type="submit" { (words) } } }
    };
    let sent = matter.outcome.of("save");
    let typed = if sent == FormValues::default() { typed(webhook) } else { sent };
    html! {
        div.desk {
            @if webhook.disabled.is_some() {
                (button("enable", "Enable"))
            } @else {
                (button("test", "Send a test event")) (button("disable", "Disable"))
            }
            details.act {
                summary { "Change …" }
                form.stack method="post" action=(path) {
                    (begin(form, "save")) (fields(&typed)) button.primary type="submit" { "Save" }
                }
            }
            details.act {
                summary { "Replace the secret …" }
                form.stack method="post" action=(path) {
                    (begin(form, "rotate"))
                    label for="hours" { "Keep the old secret valid for (hours)" }
                    input #hours name="hours" type="number" min="0" max="720" value="24" required;
                    button.danger type="submit" { "Replace the secret" }
                }
            }
            (behind_a_click(
                &path,
                form,
                "remove",
                "Remove",
                "Events are no longer sent, and the delivery history is deleted.",
            ))
        }
    }
}

fn fields(typed: &FormValues) -> Markup {
    let events = if typed.get("events").is_empty() { LIKELY } else { typed.get("events") };
    html! {
        label for="hook-url" { "URL " span.quiet { "(https://…)" } }
        input #hook-url name="url" type="url" value=(plain(typed.get("url"))) required maxlength="2000"
            autocomplete="off" spellcheck="false";
        label for="hook-format" { "Format" }
        select #hook-format name="format" {
            option value="standard" { "Standard Webhooks (JSON)" }
            option value="slack" selected[typed.get("format") == "slack"] { "Slack message" }
        }
        label for="hook-events" { "Events " span.quiet { "(separated by spaces)" } }
        input #hook-events name="events" value=(plain(events)) required maxlength="1000" autocomplete="off"
            spellcheck="false" aria-describedby="hook-known";
        dl.pairs.quiet #hook-known {
            @for (event, means) in NAMED_EVENTS.into_iter().chain(COMMON) { dt { code { (event) } } dd { (means) } }
        }
        label for="hook-prompts" { "Prompts " span.quiet { "(leave empty for all; e.g. support/**)" } }
        input #hook-prompts name="prompts" value=(plain(typed.get("prompts"))) maxlength=(PATTERN_MAX)
            autocomplete="off" spellcheck="false";
    }
}

/// The fields of a webhook. The URL of a Slack channel is a secret and not shown again.
fn typed(webhook: &WebhookView) -> FormValues {
    let mut typed = FormValues::default();
    if webhook.format == WebhookFormat::Standard {
        typed.put("url", webhook.url.as_str());
    }
    typed.put("format", webhook.format.as_str());
    typed.put("events", webhook.events.join(" "));
    if !webhook.prompts.is_everything() {
        typed.put("prompts", webhook.prompts.as_str());
    }
    typed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};

    #[test]
    fn webhook_page_escapes_text_and_never_shows_a_slack_url() {
        let rows: Vec<WebhookView> = serde_json::from_str(
            r#"[{"name":"team","url":"https://hooks.slack.com/…","events":["<b>"],"prompts":"a/**","format":"slack",
                "created":"2026-01-02T03:04:05Z","failures":1,"pending":2,"cursor":1,"failing_since":"2026-03-20T14:00:00Z"}]"#,
        )
        .expect("a webhook");
        let signed = Who::Signed { name: "cy".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
        let shown = page(&sample(signed.clone()), &Webhooks { rows: rows.clone(), ..Webhooks::default() });
        for part in ["&lt;b&gt;", ">failing<", "2 pending", "/ui/access/webhooks/team", "value=\"prompt.label.moved\""]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let webhook = rows.into_iter().next().expect("one");
        let matter = WebhookPageData { webhook, secret: None, deliveries: Vec::new(), outcome: Outcome::default() };
        let shown = one(&sample(signed), &matter);
        assert!(!shown.contains("value=\"https://hooks") && shown.contains("No deliveries yet."), "{shown}");
        let read_only = one(&sample(Who::Local), &matter);
        assert!(!read_only.contains("<form method"), "{read_only}");
    }
}
