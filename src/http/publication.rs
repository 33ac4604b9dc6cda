//! A new version as it arrives: JSON, or a prompt file with the rest of the request in the query.

use axum::extract::{FromRequest, Request};

use super::error::Failure;
use super::extract::{Json, Params, blocking, body_in_time, media_type, unsupported_media};
use super::request::RequestError;
use super::state::App;
use crate::api::write::PublishRequest;
use crate::files::prompt::{PROMPT_FILE_BYTES_MAX, PROMPT_FILE_MEDIA, parse};
use crate::model::name::Label;
use crate::model::version::Bump;

const ACCEPTED: &str = "application/json and text/vnd.bookholder.prompt";
/// What the query says of a prompt file.
const PARAMETERS: &[&str] = &["allow_major", "break_glass", "bump", "expected_parent", "label", "message"];

/// A new version of a prompt.
pub(super) struct PublishBody(pub(super) PublishRequest);

impl FromRequest<App> for PublishBody {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let mut params = Params::of_uri(request.uri())?;
        match media_type(request.headers()).as_deref() {
            Some(PROMPT_FILE_MEDIA) => {}
            Some("application/json") => {
                if PARAMETERS.iter().any(|name| params.text(name).is_some()) {
                    let reason = "query parameters are for prompt files; in JSON, write them as fields of the body";
                    return Err(RequestError::Unfit { reason: reason.to_owned() }.into());
                }
                params.finish(PARAMETERS)?;
                return Ok(Self(<Json<PublishRequest>>::from_request(request, app).await?.0));
            }
            _ => return Err(unsupported_media(request.headers(), ACCEPTED)),
        }
        let no_message =
            || RequestError::Unfit { reason: "the query parameter `message` is missing: give a message".to_owned() };
        let message = params.text("message").ok_or_else(no_message)?;
        let label: Option<Label> = params.get("label")?;
        let bump: Option<Bump> = params.get("bump")?;
        let expected_parent = params.number("expected_parent")?;
        let allow_major = params.get("allow_major")?.unwrap_or(false);
        let break_glass = params.text("break_glass");
        params.finish(PARAMETERS)?;

        let (parts, body) = request.into_parts();
        let (bytes, share) = body_in_time(app, &parts.headers, body, PROMPT_FILE_BYTES_MAX).await?;
        let read = move || {
            let invalid = |reason: String| RequestError::PromptFile { reason };
            let text = str::from_utf8(&bytes).map_err(|error| invalid(format!("it is not UTF-8: {error}")))?;
            let file = parse(text).map_err(|error| invalid(error.to_string()));
            drop(share);
            file
        };
        let file = blocking(read).await??;
        let mut labels = file.labels;
        labels.extend(label);
        labels.sort();
        labels.dedup();
        let content = file.content;
        Ok(Self(PublishRequest { content, message, bump, expected_parent, labels, allow_major, break_glass }))
    }
}
