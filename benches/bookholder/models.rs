//! A server that answers as a model does, always the same and after a set time, so that what is measured is the node.
//!
//! The tests' server remembers all that it is asked, which takes longer with each call; this one remembers nothing.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::sync::oneshot;

/// What every answer says; its size is that of a short answer of a model.
pub const SAYS: &str = "You can return the product within 30 days of its delivery and get all of your money back. Send it \
    to the address on the invoice, and add the number of your order. We answer within two working days. If the product \
    is damaged, a photograph helps us to replace it at once, and the way back costs you nothing.";

/// A running server, which stops when it is dropped.
pub struct Models {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    _stop: oneshot::Sender<()>,
}

impl Models {
    /// Starts a server whose answers take this long, on a thread of its own.
    pub fn start(takes: Duration) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<AtomicU64>::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    () = serve(listener, takes, counted) => {}
                    _dropped = stopped => {}
                }
            });
        });
        Self { address, asked, _stop: stop }
    }

    /// The settings of a node that asks this server, as the provider `local`.
    pub fn settings(&self) -> String {
        format!("[providers.local]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\n", self.address)
    }

    /// Calls so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn serve(listener: tokio::net::TcpListener, takes: Duration, asked: Arc<AtomicU64>) {
    let usage = json!({"prompt_tokens": 120, "completion_tokens": 70});
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": SAYS}, "finish_reason": "stop"});
    let body = Bytes::from(json!({"model": "made-up-2026-11-01", "choices": [choice], "usage": usage}).to_string());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let (body, asked) = (body.clone(), Arc::clone(&asked));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (body, asked) = (body.clone(), Arc::clone(&asked));
            async move {
                let _read_whole = request.into_body().collect().await;
                asked.fetch_add(1, Ordering::Relaxed);
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
                let mut response = Response::new(Full::new(body));
                let json = hyper::header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
                Ok::<_, Infallible>(response)
            }
        });
        let mut server = http1::Builder::new();
        tokio::spawn(server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer));
    }
}
