//! Attributes responses whose application names no prompt: by the system text that was sent.

use crate::resolve::texts::{TextVersion, VersionTexts};
use crate::telemetry::event::{Attributed, AttributedBy, Attribution, Response};
use crate::telemetry::system_text::SentText;

/// What a response is recognized by.
struct Sent {
    hash: [u8; 32],
    text: Option<SentText>,
}

/// Attributes those of these responses that name no prompt and belong to no version yet.
pub(super) async fn attribute(texts: &VersionTexts, responses: &mut [&mut Response]) {
    let mut wanting: Vec<&mut Response> = Vec::new();
    let mut sent = Vec::new();
    for response in responses {
        let is_known = matches!(response.attribution, Attribution::Version(_)) || response.claim.names_prompt();
        let Some(hash) = response.claim.system.filter(|_| !is_known) else { continue };
        sent.push(Sent { hash, text: response.system_text.take() });
        wanting.push(response);
    }
    if wanting.is_empty() {
        return;
    }
    // The first one reads the texts of all prompts.
    let texts = texts.clone();
    let found = tokio::task::spawn_blocking(move || find(&texts, sent)).await;
    let found = found.unwrap_or_else(|error| {
        tracing::error!(reason = error.to_string(), "responses are not attributed by their text");
        Vec::new()
    });
    for (response, (text, version)) in wanting.into_iter().zip(found) {
        response.system_text = text;
        if let Some(TextVersion { name, version, content_id }) = version {
            let by = AttributedBy::Text;
            let attributed = Attributed { prompt: name, version, content_id, label: None, arm: None, by };
            response.attribution = Attribution::Version(attributed);
        }
    }
}

fn find(texts: &VersionTexts, sent: Vec<Sent>) -> Vec<(Option<SentText>, Option<TextVersion>)> {
    if let Err(error) = texts.refresh() {
        tracing::warn!(reason = error.to_string(), "responses are attributed by texts as they were before");
    }
    let find = |Sent { hash, text }| {
        let filled_in = || texts.filled_in(text.as_ref()?.text()?);
        let version = texts.with_hash(&hash).or_else(filled_in);
        (text, version)
    };
    sent.into_iter().map(find).collect()
}
