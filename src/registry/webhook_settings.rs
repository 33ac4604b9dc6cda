//! The stored secrets of a webhook, and what may be shown of its settings.

use crate::crypto::webhook::WebhookSecret;
use crate::model::time::Timestamp;
use crate::model::webhook::Webhook;
use crate::store::StoreError;
use crate::store::documents::{Documents, WebhookSecrets};

/// The secrets that sign for a webhook at a time, newest first.
pub(super) fn secrets(txn: &impl Documents, name: &str, now: Timestamp) -> Result<Vec<WebhookSecret>, StoreError> {
    let Some(kept) = txn.get::<WebhookSecrets>(name)? else { return Ok(Vec::new()) };
    let previous = kept.previous.filter(|(_, until)| *until > now).map(|(secret, _)| secret);
    let parse = |secret: String| {
        let fault = |error: crate::crypto::webhook::WebhookError| error.to_string();
        WebhookSecret::parse(&secret).map_err(|error| StoreError::Record { kind: "document", reason: fault(error) })
    };
    std::iter::once(kept.current).chain(previous).map(parse).collect()
}

/// The part of a URL that can be shown: its origin, without the path.
pub(super) fn origin(url: &str) -> String {
    let mut parts = url.splitn(4, '/');
    let (scheme, host) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    format!("{scheme}//{host}/…")
}

/// The audit log's description of a webhook.
pub(super) fn settings(webhook: &Webhook) -> serde_json::Value {
    let Webhook { url, events, prompts, format, disabled, .. } = webhook;
    let enabled = disabled.is_none();
    serde_json::json!({"url": origin(url), "events": events, "prompts": prompts, "format": format, "enabled": enabled})
}
