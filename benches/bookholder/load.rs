//! The load generator: the same request again and again over keep-alive connections, every answer read whole.
//!
//! One thread, raw sockets, no HTTP library. What an answer must be is learned from the first one; each later one is
//! compared with its body, so an error or another version ends the measurement instead of making it faster.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::report::percentile;
use crate::wire::head;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// How a server is reached.
#[derive(Clone)]
pub enum Door {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket.
    Unix(PathBuf),
    /// Over TLS.
    Tls(SocketAddr, Arc<ClientConfig>),
}

impl From<SocketAddr> for Door {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// What to ask, how hard and how long.
#[derive(Clone)]
pub struct Load {
    /// Whom to ask.
    pub door: Door,
    /// What to send.
    pub request: Arc<[u8]>,
    /// What must come back, behind whatever head.
    pub body: Arc<[u8]>,
    /// How many connections.
    pub connections: usize,
    /// How long.
    pub time: Duration,
    /// Requests per second over all connections; unlimited if absent.
    pub rate: Option<f64>,
    /// Ends it sooner.
    pub stop: Arc<AtomicBool>,
}

/// What came of it.
pub struct Outcome {
    /// Answers, all of them right.
    pub answers: u64,
    /// Answers a second.
    pub per_second: f64,
    latencies_ns: Vec<u32>,
}

impl Outcome {
    /// The time within which this part of the answers came, in microseconds.
    pub fn us(&self, part: f64) -> f64 {
        f64::from(percentile(&self.latencies_ns, part)) / 1_000.0
    }
}

impl Load {
    /// As many requests as possible over 16 connections.
    pub fn full(door: impl Into<Door>, request: &[u8], body: &[u8], time: Duration) -> Self {
        let (door, stop) = (door.into(), Arc::new(AtomicBool::new(false)));
        Self { door, request: request.into(), body: body.into(), connections: 16, time, rate: None, stop }
    }

    /// Runs it on this thread.
    pub fn run(&self) -> Outcome {
        let tcp = |address| {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            stream
        };
        let (mut latencies_ns, seconds) = match &self.door {
            Door::Tcp(address) => self.ask(|| tcp(address)),
            Door::Unix(path) => self.ask(|| UnixStream::connect(path).expect("a connection")),
            Door::Tls(address, config) => self.ask(|| {
                let name = ServerName::try_from("localhost").expect("a name");
                let session = ClientConnection::new(Arc::clone(config), name).expect("a session");
                Encrypted(StreamOwned::new(session, tcp(address)))
            }),
        };
        latencies_ns.sort_unstable();
        let answers = latencies_ns.len() as u64;
        Outcome { answers, per_second: answers as f64 / seconds, latencies_ns }
    }

    /// Sends each request when it is due, and sleeps until the next one is or an answer is there.
    fn ask<S: Read + Write + AsFd>(&self, connect: impl Fn() -> S) -> (Vec<u32>, f64) {
        let pause = self.rate.map(|rate| Duration::from_secs_f64(self.connections as f64 / rate)).unwrap_or_default();
        let mut connections: Vec<_> =
            (0..self.connections).map(|_| Connection::new(connect(), &self.request, &self.body)).collect();
        let (began, mut latencies_ns) = (Instant::now(), Vec::with_capacity(1_024 * 1_024));
        for (number, one) in connections.iter_mut().enumerate() {
            one.due = began + pause.mul_f64(number as f64 / self.connections as f64);
        }
        while began.elapsed() < self.time && !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            for one in connections.iter_mut().filter(|one| one.asked.is_none() && one.due <= now) {
                // If the answer before came late, this request is late too, and that counts.
                let is_late = self.rate.is_some() && one.due + pause < now;
                one.asked = Some(if is_late { one.due } else { Instant::now() });
                one.due += pause;
                one.stream.write_all(&self.request).expect("a server that takes requests");
            }
            let next = connections.iter().filter(|one| one.asked.is_none()).map(|one| one.due).min();
            let wait = next.map(|due| due.saturating_duration_since(Instant::now()));
            let wait = wait.map(|wait| Timespec::try_from(wait).expect("a short time"));
            let (mut waiting, mut places) = (Vec::new(), Vec::new());
            for (place, one) in connections.iter().enumerate().filter(|(_, one)| one.asked.is_some()) {
                waiting.push(PollFd::new(&one.stream, PollFlags::IN));
                places.push(place);
            }
            rustix::event::poll(&mut waiting, wait.as_ref()).expect("sockets");
            let ready = waiting.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
            for place in places.into_iter().zip(ready).filter_map(|(place, ready)| ready.then_some(place)) {
                let Some(one) = connections.get_mut(place) else { continue };
                if let (true, Some(asked)) = (one.reader.read(&mut one.stream), one.asked) {
                    latencies_ns.push(u32::try_from(asked.elapsed().as_nanos()).unwrap_or(u32::MAX));
                    one.asked = None;
                }
            }
        }
        (latencies_ns, began.elapsed().as_secs_f64())
    }
}

/// A connection, and the request on it.
struct Connection<S> {
    stream: S,
    reader: Reader,
    due: Instant,
    /// When the request was sent that is not answered.
    asked: Option<Instant>,
}

impl<S: Read + Write> Connection<S> {
    /// One that has had its first answer.
    fn new(mut stream: S, request: &[u8], body: &Arc<[u8]>) -> Self {
        let mut reader = Reader::new(body);
        stream.write_all(request).expect("a server that takes requests");
        while !reader.read(&mut stream) {}
        Self { stream, reader, due: Instant::now(), asked: None }
    }
}

/// A connection over TLS: its answers come in whole records.
struct Encrypted(StreamOwned<ClientConnection, TcpStream>);

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Encrypted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}

/// Reads answers whose body is known.
struct Reader {
    buffer: Vec<u8>,
    filled: usize,
    head_bytes: usize,
    body: Arc<[u8]>,
}

impl Reader {
    fn new(body: &Arc<[u8]>) -> Self {
        Self { buffer: vec![0; ANSWER_BYTES_MAX], filled: 0, head_bytes: 0, body: Arc::clone(body) }
    }

    /// Where the next bytes go.
    fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty()).expect("an answer of a known size")
    }

    /// Takes bytes that were read; whether the answer is complete.
    fn take(&mut self, read: usize) -> bool {
        self.filled += read;
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        if !self.fits(bytes) {
            // Another head than last time, or not all of it yet.
            let Some(head_bytes) = learn(bytes, self.body.len()) else { return false };
            let complete = self.filled >= head_bytes + self.body.len();
            self.head_bytes = head_bytes;
            let bytes = self.buffer.get(..self.filled).unwrap_or_default();
            if !self.fits(bytes) {
                assert!(!complete, "another answer: {}", String::from_utf8_lossy(bytes));
                return false;
            }
        }
        self.filled = 0;
        true
    }

    /// Reads what is there, or waits for it; whether the answer is complete.
    fn read(&mut self, stream: &mut impl Read) -> bool {
        let read = stream.read(self.room()).expect("an answer");
        assert_ne!(read, 0, "the server closed the connection");
        self.take(read)
    }

    /// Whether this is one whole answer, and the right one.
    fn fits(&self, bytes: &[u8]) -> bool {
        let Some((head, body)) = bytes.split_at_checked(self.head_bytes) else { return false };
        let known = head.starts_with(b"HTTP/1.1 200") && head.ends_with(b"\r\n\r\n") || head.starts_with(b"$");
        known && *body == *self.body
    }
}

/// The length of an answer's head; a body of another length than expected is an error.
fn learn(bytes: &[u8], body_bytes: usize) -> Option<usize> {
    if bytes.starts_with(b"$") {
        return bytes.windows(2).position(|two| two == b"\r\n").map(|end| end + 2);
    }
    let (status, text, length) = head(bytes)?;
    assert_eq!((status, length), (200, body_bytes), "another answer: {text}");
    Some(text.len() + 4)
}
