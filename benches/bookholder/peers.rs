//! Peers for comparison: a bare hyper server with the same bytes, and Redis and nginx if they are installed.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

use crate::machine::{free_port, program};
use crate::node::LOOK;
use crate::wire::{Reply, get};

/// The argument that makes this program the bare server.
pub const BARE: &str = "--bare-server";
/// What the server itself adds to every answer.
const AUTOMATIC: [&str; 2] = ["content-length", "date"];
/// Longest wait for a server to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server to compare with; it ends when it is dropped.
pub struct Peer {
    child: Child,
    /// What it is called.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What to send.
    pub request: Vec<u8>,
    /// What comes back, behind the head.
    pub body: Vec<u8>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Gently at first: nginx takes its workers with it.
        let told = Command::new("kill").arg(self.pid().to_string()).status();
        if !told.is_ok_and(|told| told.success()) {
            let _already_gone = self.child.kill();
        }
        let _status = self.child.wait();
    }
}

impl Peer {
    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// This program again, as a hyper server and nothing else: the body and headers of this answer, over TCP and over a
    /// socket, or over TLS.
    pub fn bare(path: &str, answer: &Reply, socket: &Path, identity: Option<&Identity>) -> Self {
        let headers: Vec<_> = answer.headers().filter(|(name, _)| !AUTOMATIC.contains(name)).collect();
        let identity = identity.map(|identity| [&identity.certificate, &identity.key]);
        let told = json!({"headers": headers, "body": answer.text(), "socket": socket, "identity": identity});
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg(BARE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let stdin = child.stdin.as_mut().expect("its input");
        writeln!(stdin, "{told}").expect("a child that listens");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { child, name: "bare hyper", address, request: get(path), body: answer.body.clone() }
    }

    /// Redis, with the body under a key; absent if it is not installed or does not start.
    pub fn redis(scratch: &Path, body: &[u8]) -> Option<Self> {
        let port = free_port();
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"];
        let mut command = Command::new(program("redis-server")?);
        command.args(arguments).arg(port.to_string()).current_dir(scratch);
        let (child, address) = listening(&mut command, port)?;
        let request = b"*2\r\n$3\r\nGET\r\n$6\r\nprompt\r\n".to_vec();
        let framed = [body, b"\r\n"].concat();
        let peer = Self { child, name: "Redis GET", address, request, body: framed.clone() };
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let head = format!("*3\r\n$3\r\nSET\r\n$6\r\nprompt\r\n${}\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &framed].concat()).expect("a server that takes requests");
        let mut ok = [0; 5];
        stream.read_exact(&mut ok).expect("an answer");
        assert_eq!(&ok, b"+OK\r\n");
        Some(peer)
    }

    /// nginx, serving the body as a file; absent if it is not installed or does not start.
    pub fn nginx(scratch: &Path, body: &[u8]) -> Option<Self> {
        let nginx = program("nginx")?;
        let (port, folder) = (free_port(), scratch.display());
        std::fs::write(scratch.join("prompt"), body).expect("a file");
        let settings = format!(
            "user root; daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; keepalive_requests 1000000000; default_type application/json;\n\
             server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        );
        std::fs::write(scratch.join("nginx.conf"), settings).expect("a file");
        let mut command = Command::new(nginx);
        command.arg("-p").arg(scratch).arg("-c").arg(scratch.join("nginx.conf"));
        let (child, address) = listening(&mut command, port)?;
        Some(Self { child, name: "nginx file", address, request: get("/prompt"), body: body.to_vec() })
    }
}

/// Starts a server, and waits until it listens; absent if it does not.
fn listening(command: &mut Command, port: u16) -> Option<(Child, SocketAddr)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let (address, began) = (SocketAddr::from(([127, 0, 0, 1], port)), Instant::now());
    while std::net::TcpStream::connect(address).is_err() {
        if child.try_wait().ok()?.is_some() || began.elapsed() > PATIENCE {
            let _already_gone = child.kill();
            let _status = child.wait();
            return None;
        }
        std::thread::sleep(LOOK);
    }
    Some((child, address))
}

/// The bare server: the runtime of a node, hyper, and one answer. Ends with its parent.
pub fn serve_bare() {
    let mut line = String::new();
    let mut input = BufReader::new(std::io::stdin());
    input.read_line(&mut line).expect("what to answer");
    let told: Value = serde_json::from_str(&line).expect("what to answer");
    let body = told.get("body").and_then(Value::as_str).map(|body| Bytes::from(body.to_owned())).expect("a body");
    let headers: Vec<(String, String)> =
        told.get("headers").cloned().and_then(|headers| serde_json::from_value(headers).ok()).expect("headers");
    let socket = told.get("socket").and_then(Value::as_str).expect("a path").to_owned();
    let tls = told.get("identity").cloned().and_then(|files| serde_json::from_value(files).ok());
    let tls = tls.map(|[certificate, key]: [PathBuf; 2]| Identity { certificate, key }.acceptor());
    let parse = |(name, value): (String, String)| {
        (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
    };
    let headers: HeaderMap = headers.into_iter().map(parse).collect();
    std::thread::spawn(move || {
        let _parent_ended = input.read_line(&mut String::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("bookholder").build();
    runtime.expect("a runtime").block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        writeln!(std::io::stdout(), "{}", listener.local_addr().expect("its address")).expect("a parent");
        let sockets = UnixListener::bind(socket).expect("a socket");
        let (same_headers, same_body) = (headers.clone(), body.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = sockets.accept().await {
                tokio::spawn(answer(stream, same_headers.clone(), same_body.clone()));
            }
        });
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let (headers, body) = (headers.clone(), body.clone());
            match tls.clone() {
                Some(tls) => {
                    tokio::spawn(
                        async move { answer(tls.accept(stream).await.expect("a handshake"), headers, body).await },
                    )
                }
                None => tokio::spawn(answer(stream, headers, body)),
            };
        }
    });
}

/// Answers every request of a connection.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, headers: HeaderMap, body: Bytes) {
    let answer = service_fn(move |_| {
        let mut response = Response::new(Full::new(body.clone()));
        response.headers_mut().clone_from(&headers);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let _closed = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// A certificate for `localhost` that signed itself, and its key, as files.
pub struct Identity {
    /// The certificate, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
}

impl Identity {
    /// A new one, in this folder.
    pub fn new(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).expect("a file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        Self { certificate, key }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).expect("a certificate")
    }

    /// The configuration of a client that trusts it.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![self.certificate()], key);
        Arc::new(config.expect("a key of the certificate")).into()
    }
}
