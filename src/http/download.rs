//! Sends temporary files, such as backups, bundles and reports.

use std::fs::File;
use std::io::Seek;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::sync::SemaphorePermit;
use tokio_util::io::ReaderStream;

use super::error::Failure;
use super::extract::blocking;
use super::request::RequestError;

/// Chunk size of file downloads, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Sends an unnamed temporary file, and holds a slot until it is sent.
pub(super) async fn send(
    mut file: File,
    name: &'static str,
    media: &'static str,
    claim: SemaphorePermit<'static>,
) -> Result<Response, Failure> {
    let unreadable = |source| RequestError::File { what: "a temporary file", source };
    let (file, bytes) = blocking(move || {
        file.rewind()?;
        let bytes = file.metadata()?.len();
        Ok::<_, std::io::Error>((file, bytes))
    })
    .await?
    .map_err(unreadable)?;
    let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE_BYTES);
    let pieces = pieces.inspect(move |_| {
        let _until_sent = &claim;
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (headers, Body::from_stream(pieces)).into_response();
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
