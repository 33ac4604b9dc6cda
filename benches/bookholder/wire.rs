//! The smallest HTTP client that measures: one blocking keep-alive connection, nothing between it and the socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The access token of every node here.
pub const TOKEN: &str = "bench-0123456789abcdef0123456789";
/// Nodes close connections that are idle for 10 s; ours is reopened before.
const SILENT: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
    used: Instant,
    buffer: Vec<u8>,
}

/// One answer.
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The head, without the empty line that ends it.
    pub head: String,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(": "))
    }

    /// The answer, which must have this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The version that a resolve answered with.
    pub fn version(&self) -> u64 {
        self.json().get("version").and_then(Value::as_u64).expect("an answer to a resolve")
    }
}

impl Wire {
    /// A connection that is opened when it is needed.
    pub fn to(address: SocketAddr) -> Self {
        Self { address, stream: None, used: Instant::now(), buffer: Vec::new() }
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str) -> std::io::Result<Reply> {
        self.send(&get(path))
    }

    /// Sends JSON to a path, as the admin.
    pub fn post(&mut self, path: &str, body: &Value) -> std::io::Result<Reply> {
        self.json("POST", path, body)
    }

    /// Puts JSON at a path, as the admin.
    pub fn put(&mut self, path: &str, body: &Value) -> std::io::Result<Reply> {
        self.json("PUT", path, body)
    }

    fn json(&mut self, method: &str, path: &str, body: &Value) -> std::io::Result<Reply> {
        let body = body.to_string();
        let length = body.len();
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes())
    }

    /// Sends these bytes and reads one answer.
    pub fn send(&mut self, request: &[u8]) -> std::io::Result<Reply> {
        let reply = self.write(request).and_then(|()| self.read());
        if reply.is_err() {
            self.stream = None;
        }
        reply
    }

    /// Sends bytes with this many requests, and reads the answers.
    pub fn send_all(&mut self, requests: &[u8], count: usize) -> std::io::Result<Vec<Reply>> {
        self.write(requests)?;
        (0..count).map(|_| self.read()).collect()
    }

    fn write(&mut self, request: &[u8]) -> std::io::Result<()> {
        if self.stream.is_none() || self.used.elapsed() > SILENT {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
            self.buffer.clear();
        }
        self.used = Instant::now();
        self.stream.as_mut().map_or(Ok(()), |stream| stream.write_all(request))
    }

    fn read(&mut self) -> std::io::Result<Reply> {
        let closed = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let stream = self.stream.as_mut().ok_or_else(closed)?;
        let mut chunk = [0; 16 * 1_024];
        loop {
            if let Some((status, head, length)) = head(&self.buffer)
                && self.buffer.len() >= head.len() + 4 + length
            {
                let whole = head.len() + 4 + length;
                let body = self.buffer.get(head.len() + 4..whole).unwrap_or_default().to_vec();
                self.buffer.drain(..whole);
                return Ok(Reply { status, head, body });
            }
            match stream.read(&mut chunk)? {
                0 => return Err(closed()),
                read => self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
        }
    }
}

/// A request for a path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// The head of an answer, once it is whole: its status, its text, the length of the body.
pub fn head(bytes: &[u8]) -> Option<(u16, String, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some((status, text.clone(), length.map_or(0, |(_, length)| length.trim().parse().expect("a length"))))
}
