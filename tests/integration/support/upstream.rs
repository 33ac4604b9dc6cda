//! A scripted upstream: each poll waits until the test answers it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Deadline for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a dripped answer that come one by one.
const DRIPPED_BYTES: usize = 40;

/// How a poll is answered.
pub enum Reply {
    /// 200 with these bytes.
    Bytes(Vec<u8>),
    /// 200 with this header line, and these bytes.
    With(&'static str, Vec<u8>),
    /// Only a status.
    Status(u16),
    /// 200 with these bytes, repeating the last one forever.
    Endless(Vec<u8>),
    /// 200 that promises more than it sends.
    Cut(Vec<u8>),
    /// 200 with all of these bytes except the last few, which arrive one by one on request.
    Drip(Vec<u8>, mpsc::Receiver<()>),
}

/// A poll that waits for its answer.
pub struct Poll {
    /// The part after `next/`.
    pub after: String,
    answer: oneshot::Sender<Reply>,
}

/// Bytes that come one by one.
pub struct Drip(mpsc::Sender<()>);

impl Drip {
    /// Lets one more byte through.
    pub async fn byte(&self) {
        let _replica_gone = self.0.send(()).await;
    }
}

impl Poll {
    /// Answers so slowly that the end does not come.
    pub fn drip(self, bytes: Vec<u8>) -> Drip {
        let (sender, receiver) = mpsc::channel(1);
        self.answer(Reply::Drip(bytes, receiver));
        Drip(sender)
    }

    pub fn answer(self, reply: Reply) {
        let _replica_gone = self.answer.send(reply);
    }
}

/// A scripted upstream.
pub struct Upstream {
    pub address: SocketAddr,
    /// Bytes of all bodies that were sent.
    pub sent_bytes: Arc<AtomicUsize>,
    documents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    shown: mpsc::Receiver<Vec<u8>>,
    reports: Arc<Mutex<Vec<Value>>>,
    polls: mpsc::Receiver<Poll>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let documents = Arc::new(Mutex::new(BTreeMap::new()));
        let (sender, polls) = mpsc::channel(4);
        let (show, shown) = mpsc::channel(64);
        let sent_bytes = Arc::new(AtomicUsize::new(0));
        let reports = Arc::new(Mutex::new(Vec::new()));
        let answers = Answers { documents: Arc::clone(&documents), reports: Arc::clone(&reports), polls: sender, show };
        let sent = Arc::clone(&sent_bytes);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), Arc::clone(&sent)));
            }
        });
        Self { address, sent_bytes, documents, shown, reports, polls, task }
    }

    /// The next checkpoint that a replica shows.
    pub async fn shown(&mut self) -> Vec<u8> {
        tokio::time::timeout(PATIENCE, self.shown.recv()).await.expect("a checkpoint in time").expect("an upstream")
    }

    /// Whether no further checkpoint was shown besides those that [`Self::shown`] returned.
    pub fn was_shown_nothing(&mut self) -> bool {
        self.shown.try_recv().is_err()
    }

    /// Serves a document, for example `root/1`, from now on.
    pub fn document(&self, path: &str, bytes: Vec<u8>) {
        self.documents.lock().expect("no panic").insert(path.to_owned(), bytes);
    }

    /// What replicas reported.
    pub fn reports(&self) -> Vec<Value> {
        self.reports.lock().expect("no panic").clone()
    }

    /// The next poll.
    pub async fn poll(&mut self) -> Poll {
        tokio::time::timeout(PATIENCE, self.polls.recv()).await.expect("a poll in time").expect("a running upstream")
    }
}

/// The source of a scripted upstream's answers, and the sink of what it receives.
#[derive(Clone)]
struct Answers {
    documents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    reports: Arc<Mutex<Vec<Value>>>,
    polls: mpsc::Sender<Poll>,
    show: mpsc::Sender<Vec<u8>>,
}

async fn serve(mut stream: TcpStream, answers: Answers, sent_bytes: Arc<AtomicUsize>) {
    let Answers { documents, reports, polls, show } = answers;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("ascii");
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.trim_start_matches("/replication/v1/").to_owned();
    if head.starts_with("POST ") {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        if stream.read_exact(&mut body).await.is_ok() {
            match path.as_str() {
                "view/all/checkpoint" => show.send(body).await.expect("a running test"),
                "report" => reports.lock().expect("no panic").push(serde_json::from_slice(&body).expect("JSON")),
                _ => {}
            }
        }
        let _replica_gone = write(&mut stream, Reply::Status(204)).await;
        return;
    }
    let reply = match path.strip_prefix("view/all/next/") {
        Some(after) => {
            let (answer, wait) = oneshot::channel();
            if polls.send(Poll { after: after.to_owned(), answer }).await.is_err() {
                return;
            }
            wait.await.unwrap_or(Reply::Status(503))
        }
        None => documents.lock().expect("no panic").get(&path).cloned().map_or(Reply::Status(404), Reply::Bytes),
    };
    if let Reply::Bytes(bytes) | Reply::With(_, bytes) = &reply {
        sent_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
    }
    let _replica_gone = write(&mut stream, reply).await;
}

async fn write(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    match reply {
        Reply::Bytes(bytes) => {
            stream.write_all(head(bytes.len()).as_bytes()).await?;
            stream.write_all(&bytes).await?;
        }
        Reply::With(header, bytes) => {
            let length = bytes.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{header}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&bytes).await?;
        }
        Reply::Cut(bytes) => {
            stream.write_all(head(bytes.len() + 1_000).as_bytes()).await?;
            stream.write_all(&bytes).await?;
        }
        Reply::Drip(mut bytes, mut let_through) => {
            stream.write_all(head(bytes.len()).as_bytes()).await?;
            let last = bytes.split_off(bytes.len() - DRIPPED_BYTES);
            stream.write_all(&bytes).await?;
            for byte in last {
                if let_through.recv().await.is_none() {
                    break;
                }
                stream.write_u8(byte).await?;
            }
        }
        Reply::Status(status) => {
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Reply::Endless(bytes) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            stream.write_all(&bytes).await?;
            let more = vec![bytes.last().copied().unwrap_or_default(); 64 * 1024];
            loop {
                stream.write_all(&more).await?;
            }
        }
    }
    stream.shutdown().await
}
