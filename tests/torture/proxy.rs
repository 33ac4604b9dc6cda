//! A bad network between a replica and its primary: it forwards bytes, with faults on request.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::client::Place;

/// Bytes carried at once.
const PIECE: usize = 16 * 1024;
/// Between the bytes of a dripped answer.
const DRIP: Duration = Duration::from_millis(20);
/// The same, where it goes on although the network is fair again.
const SLOW_DRIP: Duration = Duration::from_secs(1);
/// Longest wait for a stalled network to move again before it is looked at whether it still exists.
const LOOK: Duration = Duration::from_millis(200);

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It works.
    Fair,
    /// Connections are taken and closed.
    Refuse,
    /// Requests go out, answers wait.
    Stall,
    /// The same, and what waits now never comes.
    Hang,
    /// An answer breaks off after so many bytes.
    Truncate(usize),
    /// An answer is other bytes.
    Garbage,
    /// A bit of an answer is another.
    Flip,
    /// A cache repeats the answer that it had last, at once.
    Repeat,
    /// The same, and the answer asks for the next poll at once.
    RepeatEagerly,
    /// An answer comes byte by byte.
    Drip,
    /// The body after the head arrives, slowly and completely.
    DripOn,
    /// An intermediary answers with this status.
    Status(u16),
}

/// Every kind of bad weather.
pub const BAD: [Weather; 15] = [
    Weather::Refuse,
    Weather::Stall,
    Weather::Hang,
    Weather::Truncate(1),
    Weather::Truncate(300),
    Weather::Truncate(1_500),
    Weather::Garbage,
    Weather::Flip,
    Weather::Repeat,
    Weather::RepeatEagerly,
    Weather::Drip,
    Weather::DripOn,
    Weather::Status(503),
    Weather::Status(404),
    Weather::Status(401),
];

/// A proxy in front of a node.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

struct Network {
    target: Place,
    weather: Mutex<Weather>,
    changed: Condvar,
    /// The last whole answer to a poll.
    last: Mutex<Vec<u8>>,
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
    connections: AtomicU64,
    carried: AtomicU64,
    polls: AtomicU64,
    over: AtomicBool,
}

impl Proxy {
    /// In front of whatever node is at this place.
    pub fn start(target: Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let network = Arc::new(Network {
            target,
            weather: Mutex::new(Weather::Fair),
            changed: Condvar::new(),
            last: Mutex::new(Vec::new()),
            open: Mutex::new(HashMap::new()),
            connections: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&network);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.carry(&stream));
            }
        });
        Self { address, network }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that were carried towards the replicas and back.
    pub fn carried(&self) -> u64 {
        self.network.carried.load(Ordering::SeqCst)
    }

    /// How often the replicas polled.
    pub fn polls(&self) -> u64 {
        self.network.polls.load(Ordering::SeqCst)
    }

    /// Changes the weather; connections stay as they are.
    pub fn turn(&self, weather: Weather) {
        *self.network.weather() = weather;
        self.network.changed.notify_all();
    }

    /// Breaks every connection.
    pub fn reset(&self) {
        for (_, streams) in self.network.open.lock().expect("no panic").drain() {
            for stream in streams {
                let _already_closed = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.over.store(true, Ordering::SeqCst);
        self.turn(Weather::Fair);
        self.reset();
        // The listener waits for one more connection.
        let _gone = TcpStream::connect(self.address);
    }
}

impl Network {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().expect("no panic")
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Carries one connection until it ends on either side.
    fn carry(self: &Arc<Self>, replica: &TcpStream) {
        let _carried_all = self.carry_all(replica);
        let _already_closed = replica.shutdown(Shutdown::Both);
    }

    fn carry_all(self: &Arc<Self>, replica: &TcpStream) -> std::io::Result<()> {
        if *self.weather() == Weather::Refuse {
            return Ok(());
        }
        let primary = TcpStream::connect(self.target.get())?;
        replica.set_nodelay(true)?;
        primary.set_nodelay(true)?;
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let both = [replica.try_clone()?, primary.try_clone()?];
        self.open.lock().expect("no panic").insert(number, both);
        // The answer to a poll as far as it came, to be repeated; nothing while something else is asked.
        let polled = Arc::new(Mutex::new(None));
        let answers = {
            let (network, from, to) = (Arc::clone(self), primary.try_clone()?, replica.try_clone()?);
            let polled = Arc::clone(&polled);
            std::thread::spawn(move || {
                let _carried_all = network.answers(&from, &to, &polled);
                let _already_closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            })
        };
        let _carried_all = self.requests(replica, &primary, &polled);
        let _already_closed = primary.shutdown(Shutdown::Both);
        answers.join().expect("no panic");
        self.open.lock().expect("no panic").remove(&number);
        Ok(())
    }

    /// Carries requests, or answers them instead of the primary.
    fn requests(
        &self,
        replica: &TcpStream,
        primary: &TcpStream,
        polled: &Mutex<Option<Vec<u8>>>,
    ) -> std::io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = (&*replica).read(&mut piece)?;
            let request = &piece[..length];
            if length == 0 {
                return Ok(());
            }
            if let Some(answer) = polled.lock().expect("no panic").take() {
                *self.last.lock().expect("no panic") = answer;
            }
            let is_poll = request.starts_with(b"GET ") && request.windows(6).take(200).any(|part| part == b"/next/");
            let weather = *self.weather();
            self.polls.fetch_add(u64::from(is_poll), Ordering::SeqCst);
            let repeated = self.last.lock().expect("no panic").clone();
            match weather {
                Weather::Refuse => return Ok(()),
                Weather::Repeat if is_poll && !repeated.is_empty() => (&*replica).write_all(&repeated)?,
                Weather::RepeatEagerly if is_poll && !repeated.is_empty() => {
                    let head = b"HTTP/1.1 200 OK\r\nbookholder-reconnect-ms: 0\r\n";
                    let behind = repeated.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                    (&*replica).write_all(&[head, &repeated[behind..]].concat())?;
                }
                Weather::Status(status) => {
                    let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n");
                    (&*replica).write_all(answer.as_bytes())?;
                }
                _ => {
                    if is_poll {
                        *polled.lock().expect("no panic") = Some(Vec::new());
                    }
                    self.carried.fetch_add(length as u64, Ordering::SeqCst);
                    (&*primary).write_all(request)?;
                }
            }
        }
    }

    /// Carries answers, or what the weather makes of them.
    fn answers(
        &self,
        primary: &TcpStream,
        replica: &TcpStream,
        polled: &Mutex<Option<Vec<u8>>>,
    ) -> std::io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut sent = 0;
        loop {
            let length = (&*primary).read(&mut piece)?;
            let answer = &mut piece[..length];
            if length == 0 {
                return Ok(());
            }
            if let Some(whole) = polled.lock().expect("no panic").as_mut() {
                whole.extend_from_slice(answer);
            }
            self.carried.fetch_add(length as u64, Ordering::SeqCst);
            let weather = self.wait_while_stalled();
            match weather {
                Weather::Refuse => return Ok(()),
                Weather::Hang => {
                    self.wait_while_alive(replica)?;
                    return Ok(());
                }
                Weather::Truncate(after) if sent + length > after => {
                    return (&*replica).write_all(&answer[..after.saturating_sub(sent).min(length)]);
                }
                Weather::Garbage => answer.iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7)),
                Weather::Flip => answer[length * 2 / 3] ^= 4,
                Weather::Drip => {
                    for byte in &*answer {
                        (&*replica).write_all(&[*byte])?;
                        self.wait_while(DRIP, |weather| weather == Weather::Drip);
                    }
                    continue;
                }
                Weather::DripOn => {
                    let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
                    let (head, body) = answer.split_at(end.map_or(0, |end| end + 4));
                    (&*replica).write_all(head)?;
                    for byte in body {
                        (&*replica).write_all(&[*byte])?;
                        self.wait_while(SLOW_DRIP, |_| true);
                    }
                    continue;
                }
                _ => {}
            }
            (&*replica).write_all(answer)?;
            sent += length;
        }
    }

    /// Waits for so long, or for other weather.
    fn wait_while(&self, time: Duration, same: impl Fn(Weather) -> bool) {
        let wait = |weather: &mut Weather| same(*weather) && !self.is_over();
        drop(self.changed.wait_timeout_while(self.weather(), time, wait).expect("no panic"));
    }

    fn wait_while_stalled(&self) -> Weather {
        let mut weather = self.weather();
        while *weather == Weather::Stall && !self.is_over() {
            weather = self.changed.wait_timeout(weather, LOOK).expect("no panic").0;
        }
        *weather
    }

    /// Holds a connection open that nothing comes through any more.
    fn wait_while_alive(&self, replica: &TcpStream) -> std::io::Result<()> {
        let replica = replica.try_clone()?;
        replica.set_nonblocking(true)?;
        let mut weather = self.weather();
        loop {
            match replica.peek(&mut [0]) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Ok(()),
                _ if self.is_over() => return Ok(()),
                _ => weather = self.changed.wait_timeout(weather, LOOK).expect("no panic").0,
            }
        }
    }
}
