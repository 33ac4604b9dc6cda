//! A node as a process of its own, on a free port and in a directory that goes away with it.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::answer::Answer;
use super::command::{bookholder, end, program};

/// The admin access token of every node here.
pub const ADMIN: &str = "bh_test_0123456789abcdef0123456789";
/// Longest wait for anything that a node does on its own, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until there is something, or the time is up.
pub fn eventually<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// How a node is started.
#[derive(Clone)]
#[must_use]
pub struct Launch {
    verb: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    home: Arc<TempDir>,
    pub data: PathBuf,
    scheme: &'static str,
    /// What a shell does before it becomes the process.
    shell: Option<String>,
}

/// A node that runs, or did.
pub struct Node {
    launch: Launch,
    child: Option<Child>,
    address: SocketAddr,
}

impl Launch {
    /// A primary in a new directory.
    pub fn primary() -> Self {
        Self::of("serve").env("BOOKHOLDER_ADMIN_TOKEN", ADMIN)
    }

    /// A replica in a new directory, without a root key or an upstream.
    pub fn replica() -> Self {
        Self::of("replica")
    }

    /// A replica in a new directory that follows this node.
    pub fn replica_of(primary: &Node) -> Self {
        Self::replica().args(["--root-key", &primary.root_key(), "--upstream", &primary.url()])
    }

    fn of(verb: &'static str) -> Self {
        let home = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let data = home.path().join("data");
        Self { verb, arguments: Vec::new(), environment: Vec::new(), home, data, scheme: "http", shell: None }
    }

    /// With more arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// On another data directory.
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = data.into();
        self
    }

    /// On the data directory of a node that was stopped.
    pub fn on(mut self, node: &Node) -> Self {
        (self.home, self.data) = (Arc::clone(&node.launch.home), node.launch.data.clone());
        let _of_the_process_before = std::fs::remove_file(self.data.join("address"));
        self
    }

    /// With TLS, by these files.
    pub fn tls(mut self, certificate: &Path, key: &Path) -> Self {
        self.scheme = "https";
        self.args([OsString::from("--tls-cert"), certificate.into(), "--tls-key".into(), key.into()])
    }

    /// Started by a shell that does this first; it ends in `exec "$@"`.
    pub fn under(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// Started without a shell again.
    pub fn freely(mut self) -> Self {
        self.shell = None;
        self
    }

    /// The arguments of the process.
    fn line(&self) -> Vec<OsString> {
        let mut line = vec![self.verb.into(), "--data".into(), self.data.clone().into_os_string()];
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            line.extend(["--listen".into(), "127.0.0.1:0".into()]);
        }
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// Starts the process and waits until it listens.
    pub fn start(self) -> Node {
        let (child, address) = self.spawn();
        Node { launch: self, child: Some(child), address }
    }

    /// Starts it in vain: the message with which it exits, by code 2, before it listens.
    pub fn refused(self) -> String {
        let said = self.exits_with(2);
        assert!(said.contains("error: "), "{said}");
        said
    }

    /// Starts it in vain: what it writes before it exits with this code, without having listened.
    pub fn exits_with(self, code: i32) -> String {
        let mut command = bookholder(self.line());
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        let said = command.exits(code);
        assert!(!self.data.join("address").exists(), "it listened: {said:#?}");
        said.stderr
    }

    fn spawn(&self) -> (Child, SocketAddr) {
        let address = self.data.join("address");
        let _of_the_process_before = std::fs::remove_file(&address);
        let mut child = self.child();
        let listening = eventually(PATIENCE, || {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("it ended ({status}): {}", self.stderr());
            }
            std::fs::read_to_string(&address).ok()?.trim().parse().ok()
        });
        (child, listening.unwrap_or_else(|| panic!("it never listened: {}", self.stderr())))
    }

    fn child(&self) -> Child {
        let errors = File::options().create(true).append(true).open(self.errors()).expect("a file of errors");
        let mut command = program(self.shell.as_deref());
        command.args(self.line()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        command.spawn().expect("a process")
    }

    fn errors(&self) -> PathBuf {
        self.home.path().join(format!("{}.stderr", self.verb))
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.errors()).unwrap_or_default()
    }
}

impl Node {
    /// A new primary.
    pub fn primary() -> Self {
        Launch::primary().start()
    }

    /// A new replica of this primary, once it has the primary's state.
    pub fn replica(primary: &Self) -> Self {
        let replica = Launch::replica_of(primary).start();
        replica.follow(primary);
        replica
    }

    /// Waits until this node has the same state as another one, and reports that it is fresh.
    pub fn follow(&self, primary: &Self) {
        let there = primary.status();
        self.until("it follows", || {
            let here = self.status();
            let same = ["position", "state"].iter().all(|field| here[field] == there[field]);
            (same && here["freshness"] == "fresh").then_some(())
        });
    }

    /// Waits until there is something.
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        eventually(PATIENCE, look).unwrap_or_else(|| panic!("never: {what}\n{}\n{}", self.status(), self.stderr()))
    }

    /// Waits until standard error contains a text.
    pub fn until_logged(&self, part: &str) {
        eventually(PATIENCE, || self.stderr().contains(part).then_some(()))
            .unwrap_or_else(|| panic!("never logged: {part}\n{}", self.stderr()));
    }

    /// Kills the process, as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a kill");
            child.wait().expect("an end");
        }
    }

    /// Tells the process to end; it must drain, exit with 0, and have panicked nowhere.
    pub fn stop(&mut self) {
        self.terminate();
        let mut child = self.child.take().expect("a running node");
        let status = end(&mut child, PATIENCE, self.launch.verb);
        assert!(status.success(), "{status}: {}", self.stderr());
        assert!(!self.stderr().contains("panicked"), "{}", self.stderr());
    }

    /// Tells the process to end, and does not wait.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        // Every Unix has this; Rust alone has no way to send a signal.
        let script = format!("kill -{name} {}", self.pid());
        let sent = std::process::Command::new("sh").args(["-c", &script]).status().expect("a shell");
        assert!(sent.success(), "{sent}");
    }

    /// Whether the process ended by itself by now.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("a child").is_some())
    }

    /// Starts it again on the same directory, after it was stopped or killed.
    pub fn restart(&mut self) {
        self.kill9();
        (self.child, self.address) = {
            let (child, address) = self.launch.spawn();
            (Some(child), address)
        };
    }

    /// Starts it again on the same directory, listening here, also where it cannot write that down.
    pub fn restart_at(&mut self, address: SocketAddr) {
        self.kill9();
        self.launch.arguments.extend(["--listen".into(), address.to_string().into()]);
        self.address = address;
        self.child = Some(self.launch.child());
        self.until("it listens", || TcpStream::connect(address).ok());
    }

    /// Starts it again on the same directory, in another way.
    pub fn restart_as(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.launch = change(self.launch.clone());
        self.restart();
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running node").id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.launch.data
    }

    /// A place for files beside the data directory.
    pub fn home(&self) -> &Path {
        self.launch.home.path()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.launch.scheme, self.address)
    }

    /// What all its processes wrote to standard error.
    pub fn stderr(&self) -> String {
        self.launch.stderr()
    }

    /// The key that replicas are given.
    pub fn root_key(&self) -> String {
        let said = bookholder(["keys", "show", "--json", "--data"]).arg(self.data()).ok();
        said.json()["root_key"].as_str().expect("a root key").to_owned()
    }

    /// A new connection, with a timeout.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// Sends bytes unchanged; `None` if the connection closes without an answer.
    pub fn raw(&self, request: &[u8]) -> Option<Answer> {
        Answer::ask(self.connect(), request)
    }

    /// Whether the admin access token belongs to this node: a replica knows no token of its primary.
    pub fn has_admin(&self) -> bool {
        self.launch.verb == "serve"
    }

    /// Sends a request as the admin, or to a replica without an access token.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let anonymous = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let admin =
            if anonymous || !self.has_admin() { String::new() } else { format!("authorization: Bearer {ADMIN}\r\n") };
        let said = headers.iter().filter(|(_, value)| !value.is_empty());
        let said: String = said.map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{admin}{said}content-length: {}\r\n\r\n",
            body.len()
        );
        let request = [request.into_bytes(), body.to_vec()].concat();
        self.raw(&request).unwrap_or_else(|| panic!("no answer to {method} {path}: {}", self.stderr()))
    }

    /// Reads without an access token.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[("authorization", "")], b"")
    }

    /// Changes something as the admin.
    pub fn change(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// How the node is.
    pub fn status(&self) -> Value {
        self.get("/v1/status").ok()
    }

    /// Publishes a mustache text under production; its content id.
    pub fn publish(&self, name: &str, text: &str) -> String {
        self.publish_content(name, &json!({"syntax": "mustache", "text": text}), &["production"])
    }

    /// Publishes a content under these labels; its content id.
    pub fn publish_content(&self, name: &str, content: &Value, labels: &[&str]) -> String {
        let path = format!("/v1/prompts/{}/versions", segment(name));
        let request = json!({"content": content, "message": "because", "labels": labels});
        let published = self.change("POST", &path, &request).ok();
        published["version"]["content_id"].as_str().expect("an id").to_owned()
    }

    /// The text that a reference answers with.
    pub fn text(&self, reference: &str) -> String {
        let answer = self.get(&format!("/v1/resolve/{}", segment(reference))).ok();
        answer["content"]["text"].as_str().expect("a text").to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        assert!(std::thread::panicking() || !self.stderr().contains("panicked"), "{}", self.stderr());
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
