//! Accepts connections and gives each a task, within limits.
//!
//! Above the cap a connection is refused, never another evicted. Slow clients are given up: a request's head, a TLS
//! handshake and every stalled write have a deadline (bodies have theirs in `extract`). When told to stop, it lets
//! requests finish for a while, then ends. Which requests there are is `service`'s business.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Peer;
use super::patience::{CoarseTimer, Impatient};
use super::service::{Connection, Face};

/// Bytes of a request's head, and of the buffer it is read into.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long a request's head may take, and a connection between two requests may be silent.
const HEAD_ARRIVES: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a connection looks at its deadlines; they may be late by this much.
const TICK: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// How long requests may take to finish after the signal to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a failing `accept` rests, so that a process without file descriptors does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often that is said in the log at most.
const ACCEPT_SAID: Duration = Duration::from_secs(1);
/// What is still read after the last answer, so that the client gets to read it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
    x-content-type-options: nosniff\r\nretry-after: 5\r\ncontent-length: 122\r\n\r\n\
    {\"title\":\"Busy\",\"status\":503,\"code\":\"busy\",\"detail\":\"this node has as many connections as it takes; try again in a while\"}";
const SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
    x-content-type-options: nosniff\r\ncontent-length: 108\r\n\r\n\
    {\"title\":\"Too slow\",\"status\":408,\"code\":\"timeout\",\"detail\":\"the head of the request did not arrive in 10 s\"}";

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection before it is spoken on.
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
    /// Says that there are too many connections, if that can be said without waiting.
    fn refuse(&self, encrypted: bool) {
        let _said = match self {
            Self::Tcp(_) if encrypted => return,
            Self::Tcp(stream) => stream.try_write(FULL),
            Self::Unix(stream) => stream.try_write(FULL),
        };
    }
}

/// Serves a listener until `stop`, and then for as long as its requests take, at most 10 s.
///
/// TLS is spoken on TCP when there is a configuration; a new one counts from the next connection on.
pub async fn serve(listener: Listener, tls: Option<Arc<ArcSwap<ServerConfig>>>, face: Face, stop: CancellationToken) {
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
                    tracing::warn!(%error, "no connection can be accepted for a moment");
                    said = Some(tokio::time::Instant::now());
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(ACCEPT_REST) => continue,
                }
            }
        };
        let Some(permit) = face.admit() else {
            face.metrics().connections_refused.inc();
            stream.refuse(tls.is_some());
            continue;
        };
        let tls = tls.as_ref().map(|tls| tls.load_full());
        let peer = Peer { encrypted: tls.is_some() && !peer.socket, ..peer };
        tasks.spawn(connection(stream, tls, face.connection(peer), Open::new(&face, permit), stop.clone()));
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections were cut off after the time to drain");
    }
}

/// Whether only the connection failed that was about to be accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted | Kind::InvalidInput)
}

/// Counts a connection for as long as it is open.
struct Open(Face, #[allow(dead_code, reason = "it is given back when the connection ends")] OwnedSemaphorePermit);

impl Open {
    fn new(face: &Face, permit: OwnedSemaphorePermit) -> Self {
        face.metrics().connections.inc();
        Self(face.clone(), permit)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics().connections.dec();
    }
}

async fn connection(
    stream: Stream,
    tls: Option<Arc<ServerConfig>>,
    service: Connection,
    _open: Open,
    stop: CancellationToken,
) {
    // A connection that breaks is the client's affair: there is nobody to tell, and nothing to log. Each way is boxed:
    // ten thousand plain connections that wait need no room for a TLS handshake.
    let _broken = match (stream, tls) {
        (Stream::Tcp(stream), Some(tls)) => Box::pin(serve_tls(stream, tls, service, &stop)).await,
        (Stream::Tcp(stream), None) => Box::pin(serve_http1(stream, service, &stop)).await,
        (Stream::Unix(stream), _) => Box::pin(serve_http1(stream, service, &stop)).await,
    };
}

async fn serve_tls(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    service: Connection,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let handshake = Box::pin(TlsAcceptor::from(tls).accept(stream));
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            Box::pin(serve_http2(stream, service, stop)).await
        }
        Ok(Ok(stream)) => Box::pin(serve_http1(stream, service, stop)).await,
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Connection,
    stop: &CancellationToken,
) -> Result<(), hyper::Error> {
    let mut connection = http1::Builder::new()
        .timer(CoarseTimer)
        .header_read_timeout(HEAD_ARRIVES)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    // Bells are looked at when they ring, not whenever a request comes: requests are many.
    let mut bells = FuturesUnordered::new();
    bells.push(ring(stop, None));
    bells.push(ring(stop, Some(TICK)));
    let mut stopping = false;
    let end = loop {
        tokio::select! {
            biased;
            end = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break end,
            Some(tick) = bells.next() => {
                if tick.is_some() {
                    bells.push(ring(stop, tick));
                } else {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let broke_off_in_head = end.as_ref().is_err_and(hyper::Error::is_timeout) && !parts.read_buf.is_empty();
    let linger = async {
        if broke_off_in_head {
            stream.write_all(SLOW).await?;
        }
        stream.shutdown().await?;
        if !stopping {
            tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await?;
        }
        Ok::<_, io::Error>(())
    };
    let _gone = tokio::time::timeout(LINGER, linger).await;
    end
}

/// Waits for a tick and returns it, or for the signal to stop.
async fn ring(stop: &CancellationToken, tick: Option<Duration>) -> Option<Duration> {
    match tick {
        Some(tick) => tokio::time::sleep(tick).await,
        None => stop.cancelled().await,
    }
    tick
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
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = connection.as_mut() => return end,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_a_handler_say_their_length() {
        for answer in [FULL, SLOW] {
            let text = std::str::from_utf8(answer).expect("ascii");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{} in {head}", body.len());
            serde_json::from_str::<crate::api::problem::Problem>(body).expect("a problem");
        }
    }
}
