//! Answers plain requests to resolve straight from the read buffer of a connection, below the HTTP library.
//!
//! Why it exists: an application asks before every call of a model, so the slowest of a hundred answers is what it
//! feels. A library serves every kind of request, and pays for that with a state machine, a map of headers and a
//! scheduler turn; `cargo bench -- http` shows what that costs beside this loop. So each HTTP/1.1 connection begins
//! here. A request is answered here if everything about it is plain: `GET` of a reference that somebody may read, no
//! body, no query, known headers once each. **Anything else ends the loop: the connection goes to hyper for good**, with
//! the bytes that were not answered yet. hyper stays the one full implementation, and whoever is in doubt here leaves.
//!
//! The answers are those of [`read::respond`], as bytes. Deadlines, limits and the stop signal are those of `listen`.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;

use super::auth::{seat_of, token_in};
use super::etag::matches;
use super::read;
use super::service::{Connection, RESOLVE};
use super::timeouts::WriteTimeout;
use crate::crypto::secret::TokenHash;
use crate::resolve::{Answer, SharedAnswer};

/// Size of the read buffer, and so the longest head that is answered here, in bytes.
const INPUT_BYTES: usize = 8 * 1_024;
/// Answers are gathered up to this size before they are sent; a larger body is sent by itself.
const OUTPUT_BYTES: usize = 16 * 1_024;
/// Reads in a row before other connections get their turn; each answers at most a buffer of requests.
const READS_A_TURN: usize = 16;
/// Headers of a request; more are left to hyper.
const HEADERS_MAX: usize = 20;

/// One of the threads that do nothing but answer plain requests; none if they could not be started.
///
/// Half as many as processors: more would wait for each other and for the clients of the same machine, which
/// is what makes the slowest answers slow; and whatever else a node does is never in front of them.
pub(super) fn thread() -> Option<&'static Handle> {
    static THREADS: LazyLock<Vec<Handle>> = LazyLock::new(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (0..processors.div_ceil(2)).map_while(|_| start().ok()).collect()
    });
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    THREADS.get(next.checked_rem(THREADS.len())?)
}

fn start() -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("answers".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// hyper serves it from here on.
    ToHyper,
    /// hyper ends it.
    Finishing,
    /// It is closed, or broken.
    Closed,
    /// The head of a request does not arrive.
    Slow,
}

/// The loop of one connection.
pub(super) struct FastPath {
    input: Box<[u8]>,
    /// How much of the input was read and not answered; it begins at the start.
    filled: usize,
    /// How much of that was there when it was the beginning of a head.
    partial: usize,
    output: Vec<u8>,
    /// How much of the output is sent.
    sent: usize,
    /// What follows the output: a body that is too large to be copied into it.
    body: Bytes,
    node: NodeHeaders,
    token: Option<SeenToken>,
    /// Whether hyper gets the connection as soon as all answers are sent, to end it.
    is_finishing: bool,
}

/// The last access token of the connection: clients repeat the same one, and need not have it hashed again.
struct SeenToken {
    value: Vec<u8>,
    hash: TokenHash,
}

/// The end of a head: what the node says of itself, and the date. Current for a second at most.
#[derive(Default)]
struct NodeHeaders {
    second: u64,
    text: Vec<u8>,
}

/// A plain request, as it lies in the input.
struct Plain<'a> {
    reference: &'a str,
    host: &'a [u8],
    authorization: Option<&'a [u8]>,
    if_none_match: Option<&'a [u8]>,
}

/// How far the input was read.
enum Parsed<'a> {
    /// A request of so many bytes.
    Plain(Plain<'a>, usize),
    /// The beginning of a head.
    Partial,
    /// Something for hyper.
    Other,
}

impl FastPath {
    pub(super) fn new() -> Self {
        Self {
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            filled: 0,
            partial: 0,
            output: Vec::new(),
            sent: 0,
            body: Bytes::new(),
            node: NodeHeaders::default(),
            token: None,
            is_finishing: false,
        }
    }

    /// Leaves after the answers that are not sent yet.
    pub(super) fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// What was read and not answered, in two parts if it came so: hyper reads a head that came in parts only once it is
    /// complete.
    pub(super) fn unanswered(&self) -> (&[u8], &[u8]) {
        let input = self.input.get(..self.filled).unwrap_or_default();
        input.split_at_checked(self.partial).unwrap_or((input, &[]))
    }

    /// Answers until the connection must be left.
    ///
    /// # Errors
    /// The connection is broken, or its client takes no answers.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut WriteTimeout<S>,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Left>> {
        let mut reads = 0;
        loop {
            ready!(self.poll_send(stream, cx))?;
            if self.is_finishing {
                return Poll::Ready(Ok(Left::Finishing));
            }
            let (used, is_other) = self.take(connection);
            if used > 0 {
                stream.answered(self.filled > 0);
                continue;
            }
            if is_other {
                return Poll::Ready(Ok(Left::ToHyper));
            }
            if reads == READS_A_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            if ready!(self.poll_read(stream, cx))? == 0 {
                let left = if self.filled == 0 { Left::Closed } else { Left::ToHyper };
                return Poll::Ready(Ok(left));
            }
        }
    }

    fn poll_read<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.input.get_mut(self.filled..).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        self.filled += read;
        Poll::Ready(Ok(read))
    }

    /// Sends the answers that are ready.
    fn poll_send<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let output = self.output.get(self.sent..).unwrap_or_default();
            let rest = if output.is_empty() { &*self.body } else { output };
            if rest.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if output.is_empty() {
                self.body = self.body.slice(written..);
            } else {
                self.sent += written;
            }
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.output.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Answers what is complete in the input, as far as the output has room: how many bytes it took, and whether the
    /// next request is not plain.
    fn take(&mut self, connection: &mut Connection) -> (usize, bool) {
        let (mut used, mut is_other) = (0, false);
        while self.body.is_empty() && self.output.len() < OUTPUT_BYTES {
            let rest = self.input.get(used..self.filled).unwrap_or_default();
            let (request, bytes) = match parse(rest) {
                Parsed::Plain(request, bytes) => (request, bytes),
                Parsed::Partial => {
                    is_other = rest.len() == INPUT_BYTES;
                    self.partial = rest.len();
                    break;
                }
                Parsed::Other => {
                    is_other = true;
                    break;
                }
            };
            let Some(answer) = answer(&mut self.token, connection, &request) else {
                is_other = true;
                break;
            };
            self.node.refresh(connection);
            let is_known = request.if_none_match.is_some_and(|tags| matches(tags, &answer.etag()));
            if is_known {
                write_head(&answer, true, &mut self.output);
                self.output.extend_from_slice(&self.node.text);
            } else {
                self.output.extend_from_slice(answer.head(|| {
                    let mut head = Vec::new();
                    write_head(&answer, false, &mut head);
                    head
                }));
                self.output.extend_from_slice(&self.node.text);
                let body = answer.body();
                if body.len() > OUTPUT_BYTES { self.body = body } else { self.output.extend_from_slice(&body) }
            }
            used += bytes;
            self.partial = 0;
        }
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
        (used, is_other)
    }
}

impl NodeHeaders {
    fn refresh(&mut self, connection: &mut Connection) {
        let second = u64::try_from(connection.app().clock.now_ms()).unwrap_or_default() / 1_000;
        let (fresh, is_new) = connection.fresh();
        if is_new || second != self.second || self.text.is_empty() {
            let mut headers = HeaderMap::new();
            fresh.add(&mut headers);
            self.second = second;
            self.text.clear();
            write_headers(&headers, &mut self.text);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            self.text.extend_from_slice(format!("date: {date}\r\n\r\n").as_bytes());
        }
    }
}

/// The answer to a request, if its caller may have it.
fn answer(seen: &mut Option<SeenToken>, connection: &mut Connection, request: &Plain<'_>) -> Option<SharedAnswer> {
    let Some(value) = request.authorization else {
        return connection.plain(request.reference, request.host, None);
    };
    let token = match seen.take().filter(|seen| seen.value == value) {
        Some(known) => known,
        None => SeenToken { value: value.to_vec(), hash: token_in(value)?.hash() },
    };
    // Whether the token still counts is asked for each request.
    let seat = seat_of(connection.app(), &token.hash)?;
    *seen = Some(token);
    connection.plain(request.reference, request.host, Some(&seat))
}

/// Writes the head of an answer, but for what the node says of itself.
fn write_head(answer: &Answer, is_known: bool, out: &mut Vec<u8>) {
    let response = read::without_freshness(answer, is_known);
    out.extend_from_slice(if is_known { b"HTTP/1.1 304 Not Modified\r\n" } else { b"HTTP/1.1 200 OK\r\n" });
    write_headers(response.headers(), out);
    if !is_known {
        out.extend_from_slice(format!("content-length: {}\r\n", answer.body().len()).as_bytes());
    }
}

fn write_headers(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads the first request of the input.
fn parse(input: &[u8]) -> Parsed<'_> {
    // hyper skips empty lines before a request.
    if !b"GET ".starts_with(input.get(..4).unwrap_or(input)) {
        return Parsed::Other;
    }
    let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let bytes = match request.parse_with_uninit_headers(input, &mut room) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Other,
    };
    match plain(&request) {
        Some(plain) => Parsed::Plain(plain, bytes),
        None => Parsed::Other,
    }
}

/// The request, if it is plain.
fn plain<'a>(request: &httparse::Request<'_, 'a>) -> Option<Plain<'a>> {
    let reference = request.path?.strip_prefix(RESOLVE)?;
    let has_plain_bytes = reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/@._-:".contains(&byte));
    if request.method != Some("GET") || request.version != Some(1) || !has_plain_bytes {
        return None;
    }
    let [mut host, mut authorization, mut if_none_match] = [None; 3];
    // Whatever comes twice is not plain. The headers of the second list change nothing about the answer.
    let mut seen = 0_u32;
    for one in &*request.headers {
        let number = KNOWN.iter().position(|known| one.name.eq_ignore_ascii_case(known))?;
        let bit = 1 << number;
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        match number {
            0 => host = Some(one.value),
            1 => authorization = Some(one.value),
            2 => if_none_match = Some(one.value),
            3 if !one.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            _ => {}
        }
    }
    Some(Plain { reference, host: host?, authorization, if_none_match })
}

/// The headers of plain requests: the first four are looked at, the others do not change the answer.
const KNOWN: [&str; 14] = [
    "host",
    "authorization",
    "if-none-match",
    "connection",
    "user-agent",
    "accept",
    "accept-encoding",
    "accept-language",
    "traceparent",
    "tracestate",
    "baggage",
    "sec-fetch-mode",
    "cache-control",
    "pragma",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_are_told_from_all_others() {
        let request = |line: &str, headers: &str| format!("{line}\r\nhost: a\r\n{headers}\r\n");
        let line = "GET /v1/resolve/a/b@production HTTP/1.1";
        for headers in
            ["", "User-Agent: x\r\nConnection: Keep-Alive\r\n", "authorization: Bearer x\r\nif-none-match: *\r\n"]
        {
            let text = request(line, headers);
            let Parsed::Plain(plain, bytes) = parse(text.as_bytes()) else { panic!("{headers}") };
            assert_eq!((plain.reference, plain.host, bytes), ("a/b@production", &b"a"[..], text.len()));
            for cut in 0..text.len() {
                assert!(matches!(parse(&text.as_bytes()[..cut]), Parsed::Partial), "{headers} {cut}");
            }
        }
        for headers in [
            "host: a\r\n",
            "connection: close\r\n",
            "content-length: 0\r\n",
            "transfer-encoding: chunked\r\n",
            "expect: 100-continue\r\n",
            "x: y\r\n",
            " x\r\n",
        ] {
            assert!(matches!(parse(request(line, headers).as_bytes()), Parsed::Other), "{headers}");
        }
        for line in [
            "HEAD /v1/resolve/a HTTP/1.1",
            "GET /v1/resolve/a HTTP/1.0",
            "GET /v1/resolve/a?at=1 HTTP/1.1",
            "GET /v1/resolve/%61 HTTP/1.1",
            "GET http://a/v1/resolve/a HTTP/1.1",
            "GET /v1/prompts HTTP/1.1",
            "\r\nGET /v1/resolve/a HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            assert!(matches!(parse(request(line, "").as_bytes()), Parsed::Other), "{line}");
        }
        assert!(matches!(parse(b"GET /v1/resolve/a HTTP/1.1\r\n\r\n"), Parsed::Other), "no host");
    }
}
