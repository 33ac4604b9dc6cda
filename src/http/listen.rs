//! Accepts connections and gives each a task, within limits.
//!
//! Above the limit, new connections are refused, and none is evicted. Slow clients are dropped: a request's head, a TLS
//! handshake and every stalled write have a deadline (bodies have theirs in `extract`). On a stop signal, requests get
//! some time to finish. `service` handles the requests.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::code::title;
use super::fast_path::{self, FastPath, Left};
use super::peer::Peer;
use super::service::{Connection, HttpService};
use super::timeouts::{ConnectionPhase, Tick, WriteTimeout};
use crate::api::problem::{ErrorCode, PROBLEM_JSON, Problem};

/// Limit of a request's head, and size of its read buffer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Deadline of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a connection checks its deadlines; they can be late by this much.
const TICK: Duration = Duration::from_secs(5);
/// Concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Interval of HTTP/2 keep-alive pings, and their timeout.
const PING: Duration = Duration::from_secs(20);
/// How long requests can take to finish after the stop signal.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed `accept`, so that a process without file descriptors does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Minimum interval of log lines about that.
const ACCEPT_SAID: Duration = Duration::from_secs(1);
/// Limit of what is still read after the last answer, so that the client can read it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Ticks for the head of a request, rounded down: the deadline is at most one tick late.
const HEAD_TICKS: u32 = 2;

/// A source of connections.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection before any data is exchanged.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let address = address.ip().to_canonical();
                let reached = Some(stream.local_addr()?.ip().to_canonical());
                let local = address.is_loopback();
                Ok((Stream::Tcp(stream), Peer { local, address: Some(address), reached, ..Peer::default() }))
            }
            Self::Unix(listener) => {
                Ok((Stream::Unix(listener.accept().await?.0), Peer { local: true, socket: true, ..Peer::default() }))
            }
        }
    }
}

impl Stream {
    /// Answers that there are too many connections, if that is possible without blocking.
    fn refuse(&self, encrypted: bool) {
        let _said = match self {
            Self::Tcp(_) if encrypted => return,
            Self::Tcp(stream) => stream.try_write(&full()),
            Self::Unix(stream) => stream.try_write(&full()),
        };
    }
}

/// Serves a listener until `stop`, then lets requests finish for at most 10 s.
///
/// Serves TLS on TCP if it is configured; a new configuration applies to later connections.
pub async fn serve(
    listener: Listener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    face: HttpService,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let mut said: Option<tokio::time::Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_peers(&error) => continue,
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= ACCEPT_SAID) {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    said = Some(tokio::time::Instant::now());
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_REST) => continue,
                }
            }
        };
        let Some(permit) = face.try_admit() else {
            face.metrics().connections_refused.inc();
            stream.refuse(tls.is_some());
            continue;
        };
        let tls = tls.as_ref().map(|tls| tls.load_full());
        let peer = Peer { encrypted: tls.is_some() && !peer.socket, ..peer };
        tasks.spawn(connection(stream, tls, face.connection(peer), ConnectionGuard::new(&face, permit), stop.clone()));
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "closed the connections that were still open after the drain time");
    }
}

/// Whether only the connection that was about to be accepted failed.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted | Kind::InvalidInput)
}

/// Counts a connection for as long as it is open.
struct ConnectionGuard(
    HttpService,
    #[allow(dead_code, reason = "it is released when the connection ends")] OwnedSemaphorePermit,
);

impl ConnectionGuard {
    fn new(face: &HttpService, permit: OwnedSemaphorePermit) -> Self {
        face.metrics().connections.inc();
        Self(face.clone(), permit)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.metrics().connections.dec();
    }
}

async fn connection(
    stream: Stream,
    tls: Option<Arc<ServerConfig>>,
    service: Connection,
    _open: ConnectionGuard,
    stop: CancellationToken,
) {
    // An error of a connection is not reported or logged. Each variant is boxed, so that ten thousand idle plain
    // connections need no space for a TLS handshake.
    let _broken = match (stream, tls) {
        (Stream::Tcp(stream), Some(tls)) => Box::pin(serve_tls(stream, tls, service, &stop)).await,
        (Stream::Tcp(stream), None) => Box::pin(serve_http1(stream, service, &stop, fast_path::thread())).await,
        (Stream::Unix(stream), _) => Box::pin(serve_http1(stream, service, &stop, fast_path::thread())).await,
    };
}

async fn serve_tls(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
    service: Connection,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let mut first = [0; 1];
    let began = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await;
    // A handshake begins with the byte 22, a plain HTTP request with a letter.
    if matches!(began, Ok(Ok(1))) && first.iter().all(u8::is_ascii_uppercase) {
        let _said = tokio::time::timeout(LINGER, send_last(&mut stream, &needs_tls(), true)).await;
        return Ok(());
    }
    let handshake = Box::pin(TlsAcceptor::from(tls).accept(stream));
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            Box::pin(serve_http2(stream, service, stop)).await
        }
        Ok(Ok(stream)) => Box::pin(serve_http1(stream, service, stop, None)).await,
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Serves a connection of HTTP/1.1: plain requests on the fast path, by a thread that does nothing else if there is
/// one, and from the first other request on by hyper.
pub(super) async fn serve_http1<S: Rehome>(
    stream: S,
    service: Connection,
    stop: &CancellationToken,
    thread: Option<&Handle>,
) -> Result<(), hyper::Error> {
    let stream = WriteTimeout::new(stream, service.pace());
    let mut http1 = Http1 { stream, service, left: Left::ToHyper };
    if http1.service.is_fast() {
        http1 = match thread {
            None => http1.answer_plain(stop.clone()).await,
            Some(thread) => {
                let stop = stop.clone();
                let answering = async move { Ok::<_, io::Error>(http1.rehome().await?.answer_plain(stop).await) };
                let Ok(Ok(http1)) = AbortOnDropHandle::new(thread.spawn(answering)).await else { return Ok(()) };
                let Ok(http1) = http1.rehome().await else { return Ok(()) };
                http1
            }
        };
    }
    let ended = match http1.left {
        Left::ToHyper | Left::Finishing => http1.serve_by_hyper(stop).await,
        Left::Closed => Ended { end: Ok(()), stream: http1.stream, slow: false, stopping: false },
        Left::Slow => Ended { end: Ok(()), stream: http1.stream, slow: true, stopping: false },
    };
    let Ended { end, stream, slow, stopping } = ended;
    let last = if slow { Some(slow_head()) } else { stream.unread().map(unreadable_head) };
    let last = last.unwrap_or_default();
    let _gone = tokio::time::timeout(LINGER, send_last(&mut stream.into_inner(), &last, !stopping)).await;
    end
}

/// A stream that can be watched by the runtime that it is used on.
pub(super) trait Rehome: AsyncRead + AsyncWrite + Unpin + Send + Sized + 'static {
    /// The same stream, watched by this runtime.
    fn rehome(self) -> impl Future<Output = io::Result<Self>> + Send {
        std::future::ready(Ok(self))
    }
}

/// A runtime knows what a stream is ready for from its first event on. Until then hyper would not find the rest of a
/// request that nobody reads, and close the connection.
async fn first_event(event: impl Future<Output = io::Result<()>>) {
    let _late = tokio::time::timeout(LINGER, event).await;
}

impl Rehome for TcpStream {
    async fn rehome(self) -> io::Result<Self> {
        let stream = Self::from_std(self.into_std()?)?;
        first_event(stream.writable()).await;
        Ok(stream)
    }
}

impl Rehome for UnixStream {
    async fn rehome(self) -> io::Result<Self> {
        let stream = Self::from_std(self.into_std()?)?;
        first_event(stream.writable()).await;
        Ok(stream)
    }
}

/// Encrypting takes time from others, so it stays where it is.
impl Rehome for TlsStream<TcpStream> {}

/// A connection between two ways to serve it.
struct Http1<S> {
    stream: WriteTimeout<S>,
    service: Connection,
    left: Left,
}

/// A connection that nobody serves any more.
struct Ended<S> {
    end: Result<(), hyper::Error>,
    stream: WriteTimeout<S>,
    /// Whether the head of its next request did not arrive in time.
    slow: bool,
    stopping: bool,
}

impl<S: Rehome> Http1<S> {
    async fn rehome(self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_map(S::rehome).await?, ..self })
    }

    /// Answers plain requests.
    async fn answer_plain(self, stop: CancellationToken) -> Self {
        let Self { mut stream, mut service, .. } = self;
        let mut fast = FastPath::new();
        let mut signals = Signals::new(&service, &stop);
        let left = loop {
            tokio::select! {
                biased;
                left = poll_fn(|cx| fast.poll(&mut stream, &mut service, cx)) => break left.unwrap_or(Left::Closed),
                signal = signals.next() => match signal {
                    Signal::Idle | Signal::Stop => fast.finish(),
                    Signal::SlowHead => break Left::Slow,
                }
            }
        };
        stream.give_back(fast.unanswered());
        Self { stream, service, left }
    }

    /// Serves all requests.
    async fn serve_by_hyper(self, stop: &CancellationToken) -> Ended<S> {
        let mut signals = Signals::new(&self.service, stop);
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(self.stream), self.service);
        if self.left == Left::Finishing {
            Pin::new(&mut connection).graceful_shutdown();
        }
        let (mut slow, mut stopping) = (false, false);
        let end = loop {
            tokio::select! {
                biased;
                end = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break end,
                signal = signals.next() => match signal {
                    Signal::Idle => Pin::new(&mut connection).graceful_shutdown(),
                    Signal::Stop => {
                        stopping = true;
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                    Signal::SlowHead => {
                        slow = true;
                        break Ok(());
                    }
                }
            }
        };
        Ended { end, stream: connection.into_parts().io.into_inner(), slow, stopping }
    }
}

/// What ends a connection from outside.
enum Signal {
    Idle,
    SlowHead,
    Stop,
}

/// The signals of one connection; they are looked at when they arrive, not on every request.
struct Signals<'a> {
    bells: FuturesUnordered<BoxFuture<'a, Option<Duration>>>,
    pace: Arc<ConnectionPhase>,
    idle_ticks: u32,
}

impl<'a> Signals<'a> {
    fn new(service: &Connection, stop: &'a CancellationToken) -> Self {
        let idle_ticks = u32::try_from(service.keep_alive_s().div_ceil(TICK.as_secs())).unwrap_or(u32::MAX);
        let bells = FuturesUnordered::new();
        bells.push(Box::pin(stop.cancelled().map(|()| None)) as BoxFuture<'a, _>);
        let signals = Self { bells, pace: service.pace(), idle_ticks };
        signals.push_tick();
        signals
    }

    fn push_tick(&self) {
        self.bells.push(Box::pin(tokio::time::sleep(TICK).map(|()| Some(TICK))));
    }

    async fn next(&mut self) -> Signal {
        while let Some(Some(_)) = self.bells.next().await {
            self.push_tick();
            match self.pace.tick(self.idle_ticks, HEAD_TICKS) {
                Tick::Fine => {}
                Tick::Idle => return Signal::Idle,
                Tick::SlowHead => return Signal::SlowHead,
            }
        }
        Signal::Stop
    }
}

/// Sends the last answer of a connection, then reads for a while, so that the client can read it.
async fn send_last(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), last: &[u8], reads_on: bool) -> io::Result<()> {
    stream.write_all(last).await?;
    stream.shutdown().await?;
    if reads_on {
        tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await?;
    }
    Ok(())
}

async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Connection,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, Arc::default())), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = connection.as_mut() => return end,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// The answer if there are too many connections.
fn full() -> Vec<u8> {
    let detail = "this node has reached its limit of connections; try again later";
    bare_response(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, detail, "retry-after: 5\r\n")
}

fn slow_head() -> Vec<u8> {
    let detail = format!("the head of the request did not arrive in {} s", u64::from(HEAD_TICKS) * TICK.as_secs());
    bare_response(StatusCode::REQUEST_TIMEOUT, ErrorCode::Timeout, &detail, "")
}

fn needs_tls() -> Vec<u8> {
    bare_response(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, "this port uses TLS: use https://", "")
}

fn unreadable_head(status: StatusCode) -> Vec<u8> {
    let (code, detail) = match status {
        StatusCode::URI_TOO_LONG => (ErrorCode::TooLarge, "the path and query are longer than 65,534 bytes"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            (ErrorCode::TooLarge, "the head of the request is longer than 64 KiB, or has more than 100 headers")
        }
        _ => (ErrorCode::BadRequest, "the head of the request is not valid HTTP/1.1"),
    };
    bare_response(status, code, detail, "")
}

/// An answer to a connection without a valid request.
fn bare_response(status: StatusCode, code: ErrorCode, detail: &str, more: &str) -> Vec<u8> {
    let title = title(code).to_owned();
    let problem =
        Problem { title, status: status.as_u16(), code, detail: detail.to_owned(), hint: None, errors: Vec::new() };
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM_JSON}\r\nconnection: close\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrouted_requests_get_a_problem_with_content_length() {
        let unread = [StatusCode::BAD_REQUEST, StatusCode::URI_TOO_LONG, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE];
        let answers = [full(), slow_head(), needs_tls()].into_iter().chain(unread.map(unreadable_head));
        for answer in answers {
            let text = String::from_utf8(answer).expect("ascii");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{} in {head}", body.len());
            let problem: Problem = serde_json::from_str(body).expect("a problem");
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", problem.status)), "{head}");
        }
    }
}
