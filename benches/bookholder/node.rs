//! Real nodes: processes of the built program, stopped and cleaned up when they go out of scope.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::library::{Library, scratch};
use crate::wire::{Reply, TOKEN, Wire};

/// Longest wait for anything a node does.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a node is looked at while something is awaited.
pub const LOOK: Duration = Duration::from_micros(200);
/// The default listening address.
const ANY_PORT: &str = "127.0.0.1:0";

/// A node that runs.
pub struct Node {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// When its process was started.
    pub started: Instant,
    data: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.crash();
    }
}

impl Node {
    /// Starts a primary on a data directory.
    pub fn primary(data: &Path, listen: Option<SocketAddr>) -> Self {
        Self::start("serve", data, listen, &[])
    }

    /// Starts a primary on a data directory, with a file of settings.
    pub fn configured(data: &Path, settings: &Path) -> Self {
        Self::start("serve", data, None, &["--config", &settings.display().to_string()])
    }

    /// Starts a primary that also listens on this socket.
    pub fn with_socket(data: &Path, socket: &Path) -> Self {
        Self::start("serve", data, None, &["--socket", &socket.display().to_string()])
    }

    /// Starts a primary that speaks TLS.
    pub fn with_tls(data: &Path, certificate: &Path, key: &Path) -> Self {
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        Self::start("serve", data, None, &["--tls-cert", &certificate, "--tls-key", &key])
    }

    /// Starts a replica on a data directory.
    pub fn replica(data: &Path, upstream: SocketAddr, root_key: &str, listen: Option<SocketAddr>) -> Self {
        Self::start("replica", data, listen, &["--upstream", &format!("http://{upstream}"), "--root-key", root_key])
    }

    fn start(verb: &str, data: &Path, listen: Option<SocketAddr>, more: &[&str]) -> Self {
        let address = data.join("address");
        let _first_start = std::fs::remove_file(&address);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("log")).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookholder"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKHOLDER_")) {
            command.env_remove(name);
        }
        let listen = listen.map_or_else(|| ANY_PORT.to_owned(), |address| address.to_string());
        command
            .arg(verb)
            .arg("--data")
            .arg(data)
            .args(["--listen", &listen])
            .args(more)
            .env("BOOKHOLDER_ADMIN_TOKEN", TOKEN);
        command.current_dir(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let mut child = command.spawn().expect("the program");
        let found = loop {
            let text = std::fs::read_to_string(&address).unwrap_or_default();
            if let Ok(address) = text.trim().parse() {
                break address;
            }
            let ended = child.try_wait().expect("a child");
            if ended.is_some() || started.elapsed() > PATIENCE {
                let _already_gone = child.kill();
                let log = std::fs::read_to_string(data.join("log")).unwrap_or_default();
                panic!("`bookholder {verb}` did not come up ({ended:?}):\n{log}");
            }
            std::thread::sleep(LOOK);
        };
        Self { child, address: found, started, data: data.to_owned() }
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection to it.
    pub fn wire(&self) -> Wire {
        Wire::to(self.address)
    }

    /// Its status.
    pub fn status(&self) -> Value {
        self.wire().get("/v1/status").expect("a running node").expect(200).json()
    }

    /// Its position, and the hash of its state.
    pub fn state(&self) -> (Value, Value) {
        let status = self.status();
        let field = |name: &str| status.get(name).cloned().expect("a status");
        (field("position"), field("state"))
    }

    /// Asks again and again until the answer fits; when that was.
    pub fn until(&self, path: &str, fits: impl Fn(&Reply) -> bool) -> Instant {
        let (began, mut wire) = (Instant::now(), self.wire());
        loop {
            if wire.get(path).is_ok_and(|reply| fits(&reply)) {
                return Instant::now();
            }
            if began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.data.join("log")).unwrap_or_default();
                panic!("{path} did not answer as it should:\n{log}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a reference is served with this version; when that was.
    pub fn until_served(&self, reference: &str, version: u64) -> Instant {
        self.until(&resolve_path(reference), |reply| reply.status == 200 && reply.version() == version)
    }

    /// Waits until it has the same state as another node, and answers.
    pub fn until_like(&self, other: &Self) {
        let wanted = other.state();
        self.until("/v1/status", |reply| {
            let status = reply.json();
            (status.get("position"), status.get("state")) == (Some(&wanted.0), Some(&wanted.1))
        });
        // The state is visible slightly before the first answer from it.
        self.until("/readyz", |reply| reply.status == 200);
    }

    /// Ends it with `kill -9`, and waits until it is gone.
    pub fn crash(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A primary and its replica, on directories of their own.
pub struct Pair {
    /// The one that takes changes.
    pub primary: Node,
    /// The one that follows.
    pub replica: Node,
    /// Their directories.
    pub directories: (TempDir, TempDir),
    /// What the replica trusts.
    pub root_key: String,
}

impl Pair {
    /// Starts both on a copy of a library, and waits until the replica has all of it.
    pub fn of(library: &Library) -> Self {
        let directories = (library.copy(), scratch());
        let primary = Node::primary(directories.0.path(), None);
        let root_key = library.root_key.clone();
        let replica = Node::replica(directories.1.path(), primary.address, &root_key, None);
        replica.until_like(&primary);
        Self { primary, replica, directories, root_key }
    }
}

/// Where a reference is resolved.
pub fn resolve_path(reference: &str) -> String {
    format!("/v1/resolve/{reference}")
}

/// Where versions of a prompt are published.
pub fn versions_path(name: &str) -> String {
    format!("/v1/prompts/{}/versions", name.replace('/', "%2F"))
}
