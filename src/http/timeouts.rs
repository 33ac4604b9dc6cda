//! Deadlines of a connection, without cost per request.
//!
//! Setting and clearing a runtime timer for every request would be expensive. Instead, the reader, the service and the
//! slow tick of a connection share one number: its state, and for how many ticks. A stalled write has a deadline that
//! is compared with the clock whenever the connection is polled.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client can take to accept any data.
const WRITE_STALLS: Duration = Duration::from_secs(30);

/// The state of a connection; each has a count of ticks since it began.
const IDLE: u32 = 0;
const HEAD: u32 = 1 << 16;
const BUSY: u32 = 2 << 16;

/// The start of answers that hyper itself gives to an invalid head.
const OF_HYPER: [(&[u8], StatusCode); 3] = [
    (b"HTTP/1.1 400 ", StatusCode::BAD_REQUEST),
    (b"HTTP/1.1 414 ", StatusCode::URI_TOO_LONG),
    (b"HTTP/1.1 431 ", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
];
/// What identifies them: they are short, end with their head, and have no body, unlike every error of this node.
const OF_HYPER_BYTES_MAX: usize = 200;
const NO_BODY: &[u8] = b"content-length: 0\r\n";

/// The progress of a connection: idle, in the head of a request, or answering.
#[derive(Debug, Default)]
pub(super) struct ConnectionPhase {
    doing: AtomicU32,
    /// Whether the client does not accept data.
    stalled: AtomicBool,
}

/// The result of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// Nothing is late.
    Fine,
    /// The connection was idle for too long.
    Idle,
    /// The head of a request began to arrive and was not complete in time.
    SlowHead,
}

impl ConnectionPhase {
    /// Some bytes arrived.
    fn received(&self) {
        if self.doing.load(Ordering::Relaxed) < HEAD {
            self.doing.store(HEAD, Ordering::Relaxed);
        }
    }

    /// The head of a request is complete.
    pub(super) fn begin(&self) {
        self.doing.store(BUSY, Ordering::Relaxed);
    }

    /// Its answer was passed on.
    pub(super) fn end(&self) {
        self.doing.store(IDLE, Ordering::Relaxed);
    }

    fn is_busy(&self) -> bool {
        self.doing.load(Ordering::Relaxed) >= BUSY
    }

    /// Counts a tick; returns what exceeded the limits.
    pub(super) fn tick(&self, idle_max: u32, head_max: u32) -> Tick {
        if self.stalled.load(Ordering::Relaxed) {
            return Tick::Fine;
        }
        let doing = self.doing.load(Ordering::Relaxed);
        let late = match doing {
            BUSY.. => return Tick::Fine,
            HEAD..BUSY if doing - HEAD >= head_max => Tick::SlowHead,
            ..HEAD if doing >= idle_max => Tick::Idle,
            _ => Tick::Fine,
        };
        self.doing.store((doing + 1).min(doing | (HEAD - 1)), Ordering::Relaxed);
        late
    }
}

/// The body of an answer, whose end is the end of a request.
pub struct TimedBody {
    body: Body,
    pace: Arc<ConnectionPhase>,
}

impl TimedBody {
    pub(super) const fn new(body: Body, pace: Arc<ConnectionPhase>) -> Self {
        Self { body, pace }
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        self.pace.end();
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails if its client accepts no data for too long.
pub(super) struct WriteTimeout<S> {
    stream: S,
    pace: Arc<ConnectionPhase>,
    stalled: Option<Instant>,
    /// hyper's answer to an invalid head is suppressed; it is answered elsewhere.
    unread: Option<StatusCode>,
    /// What was read, and is read again, part by part.
    returned: VecDeque<Vec<u8>>,
}

impl<S> WriteTimeout<S> {
    pub(super) const fn new(stream: S, pace: Arc<ConnectionPhase>) -> Self {
        Self { stream, pace, stalled: None, unread: None, returned: VecDeque::new() }
    }

    /// Changes the underlying stream.
    pub(super) async fn try_map<T, F: Future<Output = io::Result<T>>>(
        self,
        change: impl FnOnce(S) -> F,
    ) -> io::Result<WriteTimeout<T>> {
        let Self { stream, pace, stalled, unread, returned } = self;
        Ok(WriteTimeout { stream: change(stream).await?, pace, stalled, unread, returned })
    }

    /// Lets bytes be read again, before those that follow them.
    pub(super) fn give_back(&mut self, parts: (&[u8], &[u8])) {
        self.returned = [parts.0, parts.1].into_iter().filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect();
    }

    /// Requests were answered; the next one may have begun.
    pub(super) fn answered(&self, next_began: bool) {
        self.pace.end();
        if next_began {
            self.pace.received();
        }
    }

    /// The status of an invalid head that was not answered yet.
    pub(super) const fn unread(&self) -> Option<StatusCode> {
        self.unread
    }

    fn watch<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.pace.stalled.store(false, Ordering::Relaxed);
            }
            return written;
        }
        if self.stalled.is_none() {
            self.pace.stalled.store(true, Ordering::Relaxed);
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if since.elapsed() >= WRITE_STALLS {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    /// Whether this is hyper's own answer, which is suppressed. A fragment of another answer never matches: more data
    /// follows it, or its body has not ended.
    fn keeps_back(&mut self, bytes: &[u8]) -> bool {
        let Some((_, status)) = OF_HYPER.iter().find(|(begins, _)| bytes.starts_with(begins)) else { return false };
        let is_whole = bytes.len() <= OF_HYPER_BYTES_MAX
            && bytes.ends_with(b"\r\n\r\n")
            && bytes.windows(NO_BODY.len()).any(|part| part == NO_BODY);
        if is_whole && !self.pace.is_busy() {
            self.unread = Some(*status);
        }
        self.unread.is_some()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut part) = self.returned.pop_front() {
            let rest = part.split_off(part.len().min(buffer.remaining()));
            buffer.put_slice(&part);
            if !rest.is_empty() {
                self.returned.push_front(rest);
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pace.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.keeps_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.first().is_some_and(|first| self.keeps_back(first)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watch(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> WriteTimeout<S> {
    /// The underlying stream.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of several ticks.
    fn ticks(pace: &ConnectionPhase, number: usize) -> Vec<Tick> {
        (0..number).map(|_| pace.tick(4, 2)).collect()
    }

    #[test]
    fn idle_time_counts_between_requests_and_a_head_from_its_first_byte() {
        use Tick::{Fine, Idle, SlowHead};
        let pace = ConnectionPhase::default();
        assert_eq!(ticks(&pace, 5), [Fine, Fine, Fine, Fine, Idle], "nothing ever came");
        pace.received();
        assert_eq!(ticks(&pace, 2), [Fine, Fine], "a head begins");
        pace.received();
        assert_eq!(ticks(&pace, 1), [SlowHead], "more of it is no new beginning");
        pace.begin();
        pace.received();
        assert_eq!(ticks(&pace, 9), [Fine; 9], "an answer takes its time, and a body too");
        pace.end();
        assert_eq!(ticks(&pace, 5), [Fine, Fine, Fine, Fine, Idle]);
        pace.begin();
        pace.end();
        pace.received();
        pace.stalled.store(true, Ordering::Relaxed);
        assert_eq!(ticks(&pace, 9), [Fine; 9], "what is still sent to the client keeps its next request waiting");
        pace.stalled.store(false, Ordering::Relaxed);
        assert_eq!(ticks(&pace, 3), [Fine, Fine, SlowHead]);
        assert_eq!(pace.tick(u32::MAX, u32::MAX), Fine);
    }

    #[test]
    fn hyper_error_answers_are_suppressed_and_own_answers_are_sent() {
        for (answer, kept) in [
            (&b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..], true),
            (b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n", true),
            (b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\n\r\n", true),
            (b"HTTP/1.1 400 Bad Request\r\nx-content-type-options: nosniff\r\n\r\n{}", false),
            (b"HTTP/1.1 400 and some more of a prompt about HTTP, with content-length: 0\r\n in it\r\n", false),
            (b"HTTP/1.1 200 OK\r\n\r\n", false),
            (b"some of a body", false),
            (b"", false),
        ] {
            let pace = Arc::<ConnectionPhase>::default();
            assert_eq!(WriteTimeout::new((), Arc::clone(&pace)).keeps_back(answer), kept, "{answer:?}");
            pace.begin();
            assert!(!WriteTimeout::new((), pace).keeps_back(answer), "part of an answer under way: {answer:?}");
        }
    }
}
