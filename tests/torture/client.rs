//! A client that outlives its node: it asks, and learns nothing where the connection breaks.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde_json::Value;

use super::support::answer::Answer;
use super::support::node::ADMIN;

/// Longest wait for a connection or an answer; a node that takes longer counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The position of a node, from its status: epoch and commit.
pub fn position(status: &Value) -> (u64, u64) {
    let position = status["position"].as_str().expect("a position");
    let (epoch, seq) = position.split_once('.').expect("two numbers");
    (epoch.parse().expect("a number"), seq.parse().expect("a number"))
}

/// Where a node is now; it moves with each start.
#[derive(Clone)]
pub struct Place(Arc<RwLock<SocketAddr>>);

impl Place {
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(RwLock::new(address)))
    }

    pub fn get(&self) -> SocketAddr {
        *self.0.read().expect("no panic")
    }

    pub fn set(&self, address: SocketAddr) {
        *self.0.write().expect("no panic") = address;
    }
}

/// One connection after the other to one node.
pub struct Client {
    place: Place,
    open: Option<(SocketAddr, TcpStream)>,
    token: &'static str,
}

impl Client {
    /// One that asks a primary as its admin.
    pub const fn new(place: Place) -> Self {
        Self { place, open: None, token: ADMIN }
    }

    /// One that reads without an access token: a replica refuses those of its primary.
    pub const fn reader(place: Place) -> Self {
        Self { place, open: None, token: "" }
    }

    /// Sends a request; `None` if the node stopped before it answered.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let address = self.place.get();
        let stream = match self.open.take() {
            Some((there, stream)) if there == address => stream,
            _ => connect(address)?,
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        let token =
            if self.token.is_empty() { String::new() } else { format!("authorization: Bearer {}\r\n", self.token) };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{token}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = Answer::ask(&stream, request.as_bytes())?;
        if answer.header("connection") != Some("close") {
            self.open = Some((address, stream));
        }
        Some(answer)
    }

    pub fn get(&mut self, path: &str) -> Option<Answer> {
        self.send("GET", path, None)
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    Some(stream)
}
