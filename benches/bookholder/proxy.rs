//! A TCP proxy between a replica and its primary: counts bytes in both directions, and can separate them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::node::LOOK;

/// A proxy; its threads end with it.
pub struct Proxy {
    /// The upstream URL for the replica.
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: SocketAddr,
    sent: AtomicU64,
    received: AtomicU64,
    apart: AtomicBool,
    closed: AtomicBool,
    waiting: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.cut();
        let _wakes_the_listener = TcpStream::connect(self.address);
    }
}

impl Proxy {
    /// Passes everything on to this address.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            target,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            apart: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            streams: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.pass(&stream));
            }
        });
        Self { address, state }
    }

    /// Bytes that the replica sent, and received.
    pub fn bytes(&self) -> (u64, u64) {
        (self.state.sent.load(Ordering::SeqCst), self.state.received.load(Ordering::SeqCst))
    }

    /// Cuts every connection, lets nothing through, and waits until the replica knocks again.
    pub fn part(&self) {
        self.state.apart.store(true, Ordering::SeqCst);
        self.state.cut();
        while self.state.waiting.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(LOOK);
        }
    }

    /// Lets through what waits, and everything after it.
    pub fn join(&self) {
        self.state.apart.store(false, Ordering::SeqCst);
    }

    /// Waits until nothing has passed for a while; the bytes by then.
    pub fn quiet(&self) -> (u64, u64) {
        loop {
            let before = self.bytes();
            std::thread::sleep(Duration::from_millis(40));
            if self.bytes() == before {
                return before;
            }
        }
    }
}

impl State {
    fn cut(&self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            let _already_closed = stream.shutdown(Shutdown::Both);
        }
    }

    fn pass(&self, replica: &TcpStream) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.apart.load(Ordering::SeqCst) && !self.closed.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let Ok(primary) = TcpStream::connect(self.target) else { return };
        let ends = [replica, &primary];
        for end in ends {
            end.set_nodelay(true).expect("a socket");
        }
        let copies = ends.map(|end| end.try_clone().expect("a socket"));
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).extend(copies);
        std::thread::scope(|scope| {
            scope.spawn(|| copy(replica, &primary, &self.sent));
            copy(&primary, replica, &self.received);
        });
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(read) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        count.fetch_add(read as u64, Ordering::SeqCst);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _already_closed = to.shutdown(Shutdown::Write);
    let _already_closed = from.shutdown(Shutdown::Read);
}
