//! Parses requests: path segments, query parameters, JSON bodies.
//!
//! Everything is decoded strictly and once; unknown parts are errors that name them. Every body has a size limit, a
//! deadline, and a share of one memory budget.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::browser_paths::is_for_people;
use super::error::Failure;
use super::request::RequestError;
use super::state::App;
pub(super) use super::work::{SerializedAnswer, blocking};
use crate::api::limits::{BODY_BYTES_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, WHOLE_MAX};
use crate::json::JsonError;

/// Most parameters of one query.
const QUERY_PARAMETERS_MAX: usize = 128;
/// Most fields of a form: those of a chat with a thousand messages, and its variables.
const FORM_FIELDS_MAX: usize = 8_192;
/// Deadline for receiving a body, in seconds.
pub(super) const BODY_ARRIVES_S: u64 = 30;
/// Number of bytes of an oversized body that are read and discarded, so that the client reads the answer.
const DISCARD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Deadline for that.
pub(super) const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Size above which a JSON body is parsed on a blocking thread, in bytes.
const INLINE_JSON_BYTES_MAX: usize = 64 * 1024;
/// Largest body of an import, in bytes.
pub(super) const IMPORT_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rejects a path with an invalid percent-encoding.
pub(super) fn check_path(path: &str) -> Result<(), Failure> {
    let hex = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match path.split('%').skip(1).find(|rest| !rest.get(..2).is_some_and(hex)) {
        None => Ok(()),
        Some(_) => {
            Err(RequestError::Path { reason: "a `%` is not followed by two hex digits; write `%25`".to_owned() }.into())
        }
    }
}

/// The variable segments of a path, decoded.
pub(super) struct Segments(Vec<(String, String)>);

impl Segments {
    /// One segment, parsed.
    pub(super) fn get<T: FromStr>(&self, key: &str) -> Result<T, Failure>
    where
        Failure: From<T::Err>,
    {
        Ok(self.text(key).parse::<T>()?)
    }

    /// One segment, as text.
    pub(super) fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(found, _)| found == key).map_or("", |(_, value)| value)
    }

    /// One segment, as a number.
    pub(super) fn number(&self, key: &'static str) -> Result<u64, Failure> {
        let text = self.text(key);
        let number = text.parse().ok().filter(|number| *number <= WHOLE_MAX);
        let reason = || format!("`{}` is not a whole number of at most {WHOLE_MAX}", excerpt(text));
        number.ok_or_else(|| RequestError::Path { reason: reason() }.into())
    }
}

impl FromRequestParts<App> for Segments {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let raw = RawPathParams::from_request_parts(parts, app).await.map_err(|rejection| match rejection {
            RawPathParamsRejection::InvalidUtf8InPathParam(_) => {
                RequestError::Path { reason: "a segment is not UTF-8 when decoded".to_owned() }
            }
            other => RequestError::Path { reason: other.body_text() },
        })?;
        Ok(Self(raw.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}

/// The parameter that can occur several times.
const ATTRIBUTE: &str = "attr";

/// The parameters of a query; each is taken once, and [`Params::finish`] rejects the rest.
///
/// Parameters of pages are parsed leniently: shared links get extra parameters from other programs.
#[derive(Debug, Default)]
pub(super) struct Params {
    pairs: BTreeMap<String, String>,
    attributes: Vec<String>,
    is_lenient: bool,
}

impl Params {
    /// From the fields of a form that was parsed elsewhere.
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        Self { pairs: fields.into_iter().collect(), attributes: Vec::new(), is_lenient: false }
    }

    /// From a request.
    pub(super) fn of_uri(uri: &Uri) -> Result<Self, Failure> {
        Self::read(uri.query().unwrap_or_default(), QUERY_PARAMETERS_MAX, Some(ATTRIBUTE), is_for_people(uri.path()))
    }

    /// Parses a form, which has the syntax of a query and can have more fields.
    pub(super) fn form(body: &str) -> Result<Self, Failure> {
        Self::read(body, FORM_FIELDS_MAX, None, false)
    }

    /// Parses pairs separated by `&`, with `+` for a space and percent-encoded UTF-8. Errors are rejected, or skipped
    /// if lenient.
    fn read(query: &str, max: usize, repeats: Option<&str>, is_lenient: bool) -> Result<Self, Failure> {
        let refuse = |reason: &str| Failure::from(RequestError::Query { reason: reason.to_owned() });
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            check_path(&spaced).map_err(|_| refuse("a `%` is not followed by two hex digits; write `%25`"))?;
            let decoded = percent_decode_str(&spaced).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| refuse("it is not UTF-8 when decoded"))
        };
        let (mut pairs, mut attributes) = (BTreeMap::<String, String>::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => (name, value),
                (Err(_), _) | (_, Err(_)) if is_lenient => continue,
                (Err(wrong), _) | (_, Err(wrong)) => return Err(wrong),
            };
            if repeats == Some(name.as_str()) {
                attributes.push(value);
            } else {
                match pairs.entry(name) {
                    Entry::Vacant(place) => drop(place.insert(value)),
                    Entry::Occupied(_) if is_lenient => {}
                    Entry::Occupied(twice) => {
                        return Err(refuse(&format!("`{}` is given twice", excerpt(twice.key()))));
                    }
                }
            }
            if pairs.len() + attributes.len() > max {
                return Err(refuse(&format!("it has more than {max} parameters")));
            }
        }
        Ok(Self { pairs, attributes, is_lenient })
    }

    /// Takes one parameter.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.pairs.remove(name)
    }

    /// Takes and parses one parameter.
    pub(super) fn get<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, Failure>
    where
        T::Err: Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse::<T>().map(Some).map_err(|error| {
            let (error, value) = (error.to_string(), excerpt(&text));
            let reason = if error.contains(&value) { error } else { format!("`{value}`: {error}") };
            RequestError::QueryValue { name, reason }.into()
        })
    }

    /// Takes one parameter that is a whole number.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, Failure> {
        let number = self.get::<u64>(name)?;
        let reason = || format!("it is greater than {WHOLE_MAX}");
        match number {
            Some(number) if number > WHOLE_MAX => Err(RequestError::Parameter { name, reason: reason() }.into()),
            number => Ok(number),
        }
    }

    /// Takes one required parameter.
    pub(super) fn require<T: FromStr>(&mut self, name: &'static str) -> Result<T, Failure>
    where
        T::Err: Display,
    {
        let missing = || RequestError::Parameter { name, reason: "it is missing".to_owned() }.into();
        self.get(name)?.ok_or_else(missing)
    }

    /// Takes the attributes of the subject: each `attr` parameter is `name=value`.
    pub(super) fn attributes(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let wrong = |reason: String| Failure::from(RequestError::Parameter { name: ATTRIBUTE, reason });
        let mut found = BTreeMap::new();
        for text in std::mem::take(&mut self.attributes) {
            let (name, value) = text
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| wrong(format!("`{}` has no name; use attr=locale=de-DE", excerpt(&text))))?;
            if found.insert(name.to_owned(), value.to_owned()).is_some() {
                let reason = format!("the attribute `{}` is given twice in the query; keep one of them", excerpt(name));
                return Err(RequestError::Unfit { reason }.into());
            }
        }
        Ok(found)
    }

    /// Takes every parameter with a prefix, without the prefix.
    pub(super) fn all(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        self.pairs.retain(|name, value| match name.strip_prefix(prefix) {
            Some(rest) => {
                found.insert(rest.to_owned(), value.clone());
                false
            }
            None => true,
        });
        found
    }

    /// Takes all remaining parameters.
    pub(super) fn into_fields(self) -> BTreeMap<String, String> {
        self.pairs
    }

    /// Takes `cursor` and `limit`.
    pub(super) fn page(&mut self) -> Result<(Option<String>, usize), Failure> {
        let limit = self.get::<usize>("limit")?.unwrap_or(PAGE_ROWS_DEFAULT);
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            return Err(RequestError::PageSize { limit }.into());
        }
        Ok((self.text("cursor"), limit))
    }

    /// Refuses unknown parameters.
    pub(super) fn finish(self, taken: &'static [&'static str]) -> Result<(), Failure> {
        if self.is_lenient {
            return Ok(());
        }
        let attribute = (!self.attributes.is_empty()).then_some(ATTRIBUTE);
        let unknown: Vec<String> =
            self.pairs.keys().map(String::as_str).chain(attribute).map(|name| format!("`{}`", excerpt(name))).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(RequestError::UnknownParameters { unknown, taken }.into())
    }
}

impl FromRequestParts<App> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Self::of_uri(&parts.uri)
    }
}

/// Refuses every query parameter.
pub(super) struct NoParams;

impl FromRequestParts<App> for NoParams {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Params::of_uri(&parts.uri)?.finish(&[]).map(|()| Self)
    }
}

/// A JSON body of at most `MAX` bytes.
pub(super) struct Json<T, const MAX: usize = BODY_BYTES_MAX>(pub(super) T);

impl<T: DeserializeOwned + Send + 'static, const MAX: usize> FromRequest<App> for Json<T, MAX> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        let (bytes, share) = body_in_time(app, &parts.headers, body, MAX).await?;
        let inline = bytes.len() <= INLINE_JSON_BYTES_MAX;
        let parse = move || {
            let value = read_json::<T>(&bytes);
            drop(share);
            value
        };
        if inline { parse().map(Self) } else { blocking(parse).await?.map(Self) }
    }
}

/// Parses a body, or reports which of its fields is invalid.
fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    // Every body is an object; serde would take a list for its fields in order.
    if crate::json::without_mark(bytes).trim_ascii_start().starts_with(b"[") {
        return Err(RequestError::Json { reason: "the body is a list; send an object".to_owned() }.into());
    }
    crate::json::read(bytes).map_err(|error| body_error::<T>(bytes, &error).into())
}

/// What is wrong with a body: the field, its value and the rule, if it is JSON at all.
fn body_error<T: DeserializeOwned>(bytes: &[u8], error: &JsonError) -> RequestError {
    let reason = error.to_string();
    let JsonError::Form { .. } = error else { return RequestError::Json { reason } };
    // Parsed again, because tracking the path is slow and only needed for errors.
    let mut reader = serde_json::Deserializer::from_slice(crate::json::without_mark(bytes));
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return RequestError::Json { reason };
    };
    let path = error.path().to_string();
    if !error.inner().is_data() || path.is_empty() || path == "." {
        return RequestError::Json { reason };
    }
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
    RequestError::Field { path: excerpt(&path), reason }
}

/// A received but unparsed JSON body, for work that waits for its turn: parsed, it takes several times the memory. It
/// keeps its share of the body budget until it is parsed.
pub(super) struct DeferredBody<T> {
    bytes: Vec<u8>,
    _share: OwnedSemaphorePermit,
    read_as: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> DeferredBody<T> {
    /// Reads it.
    pub(super) fn read(self) -> Result<T, Failure> {
        read_json(&self.bytes)
    }
}

impl<T: Send + 'static> FromRequest<App> for DeferredBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        let (bytes, share) = body_in_time(app, &parts.headers, body, BODY_BYTES_MAX).await?;
        Ok(Self { bytes, _share: share, read_as: std::marker::PhantomData })
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    match media_type(headers).as_deref() {
        Some("application/json") => Ok(()),
        _ => Err(unsupported_media(headers, "application/json")),
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("unreadable"))
}

/// The media type of a body, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    content_type(headers).map(|found| found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The refusal of a body for its media type.
pub(super) fn unsupported_media(headers: &HeaderMap, accepted: &'static str) -> Failure {
    let found = content_type(headers).map_or_else(|| "missing".to_owned(), |found| format!("`{}`", excerpt(found)));
    RequestError::ContentType { found, accepted }.into()
}

/// Reads a body of at most `max` bytes, within the deadline.
pub(super) async fn body_in_time(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Failure> {
    let encoded = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("unreadable"));
    if let Some(found) = encoded.into_iter().find(|found| !found.eq_ignore_ascii_case("identity")) {
        let found = format!("`{}`", excerpt(found));
        return Err(RequestError::ContentEncoding { found, accepted: "uncompressed bodies" }.into());
    }
    raw_body_in_time(&app.bodies, headers, body, max).await
}

/// Reads a body of at most `max` bytes as it arrives, compressed or not, within the deadline and a budget.
pub(super) async fn raw_body_in_time(
    budget: &Arc<Semaphore>,
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Failure> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let read = read_body(budget, body, announced.unwrap_or(0_usize), max);
    let slow = |_| RequestError::BodySlow { seconds: BODY_ARRIVES_S };
    tokio::time::timeout(Duration::from_secs(BODY_ARRIVES_S), read).await.map_err(slow)?
}

/// Reads a whole body, within a budget that all such bodies share.
async fn read_body(
    budget: &Arc<Semaphore>,
    mut body: Body,
    announced: usize,
    max: usize,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Failure> {
    let busy = |_| RequestError::Busy { what: "too many bodies", retry_after_s: 1 };
    let mut share = Arc::clone(budget).try_acquire_many_owned(0).map_err(busy)?;
    let mut bytes = Vec::new();
    if announced > max {
        discard(body).await;
        return Err(RequestError::BodyTooLarge { max }.into());
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame.map_err(|_| RequestError::BodyBroken)?.into_data() else { continue };
        if bytes.len().saturating_add(frame.len()) > max {
            drop((bytes, share));
            discard(body).await;
            return Err(RequestError::BodyTooLarge { max }.into());
        }
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        share.merge(Arc::clone(budget).try_acquire_many_owned(length).map_err(busy)?);
        bytes.extend_from_slice(&frame);
    }
    Ok((bytes, share))
}

/// Reads and discards data for a while.
pub(super) async fn discard(mut body: Body) {
    let read = async {
        let mut left = DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
            left = less;
        }
    };
    let _enough = tokio::time::timeout(DISCARD_TIME, read).await;
}

/// The start of a client's text, short enough for an error message.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_parsed_strictly() {
        let parse = |query: &str| Params::of_uri(&format!("/v1/x?{query}").parse().expect("a URI"));
        let mut params = parse("subject=a+b&attr=locale%3Dde%2DDE&attr=tier=&limit=7").expect("a query");
        assert_eq!(params.text("subject").as_deref(), Some("a b"));
        let attributes = [("locale", "de-DE"), ("tier", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(params.attributes().expect("attributes"), attributes);
        for (query, part) in
            [("attr=locale", "has no name"), ("attr==x", "has no name"), ("attr=a=1&attr=a=2", "`a` is given twice")]
        {
            let message = parse(query).expect("a query").attributes().expect_err(query).to_string();
            assert!(message.contains(part), "{query}: {message}");
        }
        assert_eq!(params.page().expect("a page"), (None, 7));
        params.finish(&[]).expect("nothing is left");
        for (query, part) in [
            ("a=%zz", "two hex digits"),
            ("a=%", "two hex digits"),
            ("a=%ff", "not UTF-8"),
            ("a=1&a=2", "`a` is given twice"),
        ] {
            let message = parse(query).expect_err(query).to_string();
            assert!(message.contains(part), "{query}: {message}");
        }
        let left = parse("lable=x&y&attr=a=1").expect("a query").finish(&["label"]).expect_err("left over").to_string();
        assert_eq!(left, "unknown query parameters: `lable`, `y`, `attr`; this path accepts label");
        for limit in ["limit=0", "limit=1001"] {
            assert!(parse(limit).expect("a query").page().is_err(), "{limit}");
        }
    }

    #[test]
    fn unknown_page_parameters_are_ignored_and_known_ones_checked() {
        for path in ["/ui/", "/ui/prompts/a", "/docs", "/"] {
            let uri = format!("{path}?q=a&utm_source=slack&q=b&fbclid=%zz&limit=x").parse().expect("a URI");
            let mut params = Params::of_uri(&uri).expect("a query");
            assert_eq!(params.text("q").as_deref(), Some("a"), "{path}");
            assert!(params.page().is_err(), "{path}");
            params.finish(&["q"]).expect(path);
        }
        for path in ["/v1/prompts", "/uix", "/metrics", "/v1/resolve/ui/a"] {
            let uri = format!("{path}?utm_source=slack").parse().expect("a URI");
            let refused = Params::of_uri(&uri).expect("a query").finish(&["q"]).expect_err(path).to_string();
            assert!(refused.contains("`utm_source`"), "{path}: {refused}");
        }
        assert!(Params::form("a=1&a=2").is_err(), "forms stay strict");
    }

    #[test]
    fn percent_sign_encodes_two_hex_digits() {
        for good in ["/v1/a%2fb", "/", "/%00", "/%252e"] {
            check_path(good).expect(good);
        }
        for bad in ["/%", "/%2", "/%zz", "/a%é", "/%%41"] {
            check_path(bad).expect_err(bad);
        }
    }
}
