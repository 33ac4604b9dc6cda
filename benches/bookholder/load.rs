//! The load generator: the same request again and again over keep-alive connections, every answer read whole.
//!
//! One thread, raw sockets, no HTTP library. What an answer must be is learned from the first one; each later one is
//! compared with its body, so an error or another version ends the measurement instead of making it faster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::report::percentile;
use crate::wire::head;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;
/// How late the runtime's timer is on average: it counts in milliseconds, rounded up.
const TIMER_LATE: Duration = Duration::from_micros(500);

/// What to ask, how hard and how long.
#[derive(Clone)]
pub struct Load {
    /// Whom to ask.
    pub address: SocketAddr,
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
    pub fn full(address: SocketAddr, request: &[u8], body: &[u8], time: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { address, request: request.into(), body: body.into(), connections: 16, time, rate: None, stop }
    }

    /// Runs it on this thread.
    pub fn run(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let barrier = Arc::new(Barrier::new(self.connections));
        let (mut latencies_ns, mut seconds) = (Vec::new(), 0.0_f64);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..self.connections)
                .map(|number| tokio::spawn(self.clone().connection(number, Arc::clone(&barrier))))
                .collect();
            for task in tasks {
                let (some, took) = task.await.expect("right answers");
                latencies_ns.extend(some);
                seconds = seconds.max(took);
            }
        });
        latencies_ns.sort_unstable();
        let answers = latencies_ns.len() as u64;
        Outcome { answers, per_second: answers as f64 / seconds, latencies_ns }
    }

    async fn connection(self, number: usize, barrier: Arc<Barrier>) -> (Vec<u32>, f64) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut reader = Reader { buffer: vec![0; ANSWER_BYTES_MAX], head_bytes: 0, body: Arc::clone(&self.body) };
        stream.write_all(&self.request).await.expect("a server that takes requests");
        reader.read(&mut stream).await;
        barrier.wait().await;
        let mut latencies = Vec::with_capacity(64 * 1_024);
        let began = Instant::now();
        let pause = self.rate.map(|rate| Duration::from_secs_f64(self.connections as f64 / rate));
        let mut due = began + pause.unwrap_or_default().mul_f64(number as f64 / self.connections as f64);
        let mut now = began;
        while now < began + self.time && !self.stop.load(Ordering::Relaxed) {
            let mut asked = now;
            if let Some(pause) = pause {
                if now < due {
                    tokio::time::sleep_until(due.checked_sub(TIMER_LATE).unwrap_or(now).into()).await;
                    // When the timer woke us is when we ask: its inaccuracy is not the server's.
                    asked = Instant::now();
                    due = asked;
                } else {
                    // The answer before came so late that this one is late too: that counts.
                    asked = due;
                }
                due += pause;
            }
            stream.write_all(&self.request).await.expect("a server that takes requests");
            reader.read(&mut stream).await;
            now = Instant::now();
            latencies.push(u32::try_from((now - asked).as_nanos()).unwrap_or(u32::MAX));
        }
        (latencies, began.elapsed().as_secs_f64())
    }
}

/// Reads answers whose body is known.
struct Reader {
    buffer: Vec<u8>,
    head_bytes: usize,
    body: Arc<[u8]>,
}

impl Reader {
    async fn read(&mut self, stream: &mut TcpStream) {
        let mut filled = 0;
        loop {
            let room =
                self.buffer.get_mut(filled..).filter(|room| !room.is_empty()).expect("an answer of a known size");
            match stream.read(room).await.expect("an answer") {
                0 => panic!("the server closed the connection"),
                read => filled += read,
            }
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            if self.fits(bytes) {
                return;
            }
            // Another head than last time, or not all of it yet.
            if let Some(head_bytes) = learn(bytes, self.body.len()) {
                self.head_bytes = head_bytes;
                if self.fits(bytes) {
                    return;
                }
                let complete = filled >= head_bytes + self.body.len();
                assert!(!complete, "another answer: {}", String::from_utf8_lossy(bytes));
            }
        }
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
