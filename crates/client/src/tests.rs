//! Tests of the client against correct, faulty and silent servers.

mod govern;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::any;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;

use super::*;
use crate::model::content::Syntax;

const TOKEN: &str = "bh_0123456789abcdef";

async fn serve(router: Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let token = Some(AccessToken::parse(TOKEN).expect("a token"));
    Client::new(&ClientOptions { server, token, ca_pem: None }).expect("an address")
}

fn status_json() -> serde_json::Value {
    json!({
        "role": "primary", "registry": "main", "version": "0.1.0", "position": "1.5", "state": "", "entries": 0,
        "freshness": "fresh", "stale": false, "since": "2026-01-01T00:00:00Z", "age_s": 0, "issued": null,
        "expires": null, "clock_untrusted": false, "held": false
    })
}

#[tokio::test]
async fn call_sends_path_query_and_token() {
    let echo = |uri: Uri, headers: HeaderMap| async move {
        let problem = json!({
            "title": "t", "status": 404, "code": "a_code_of_the_future",
            "detail": format!("{uri} {}", headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("none")),
        });
        (StatusCode::NOT_FOUND, [("content-type", PROBLEM_JSON)], problem.to_string())
    };
    let client = serve(Router::new().fallback(any(echo))).await;
    let reference = "a b/c@staging".parse().expect("a reference");
    let who = Subject { subject: Some("u&1".to_owned()), attributes: [("locale".to_owned(), "de".to_owned())].into() };
    let at = Some("2026-03-20T15:00:00Z".parse().expect("a time"));
    let error = client.resolve(&reference, &who, at).await.expect_err("a problem");
    let path = "/v1/resolve/a%20b/c@staging?subject=u%261&attr=locale%3Dde&at=2026-03-20T15%3A00%3A00Z";
    assert_eq!(error.to_string(), format!("{path} Bearer {TOKEN}"));
    assert!(matches!(error, ClientError::Problem(_)));
    assert!(!format!("{client:?}").contains(TOKEN));
}

#[tokio::test]
async fn response_that_is_not_a_problem_is_reported_as_foreign() {
    let answers = |uri: Uri| async move {
        match uri.path() {
            "/v1/status" => "<html>It works!</html>".into_response(),
            "/v1/audit/verify" => (StatusCode::BAD_GATEWAY, "nginx").into_response(),
            _ => (StatusCode::FOUND, [("location", "http://127.0.0.1:9/")]).into_response(),
        }
    };
    let client = serve(Router::new().fallback(any(answers))).await;
    let check = |error: ClientError, part: &str| {
        assert!(matches!(error, ClientError::Answer { .. }) && error.to_string().contains(part), "{error}");
    };
    check(client.status().await.expect_err("html"), "does not answer like a bookholder node");
    check(client.verify_audit().await.expect_err("502"), "502 Bad Gateway");
    check(client.tokens().await.expect_err("a redirect"), "302 Found");
}

#[tokio::test]
async fn list_is_read_page_by_page_and_a_repeated_page_is_an_error() {
    let pages = |uri: Uri| async move {
        let query = uri.query().unwrap_or_default().to_owned();
        let next =
            if query.contains("cursor=b") { None } else { Some(if query.contains("cursor=a") { "b" } else { "a" }) };
        let entry = |seq: u64| {
            json!({"seq": seq, "at": "2026-01-01T00:00:00Z", "actor": "ada", "command": "publish",
                "decision": "granted", "format": 1, "subjects": [], "message": "", "previous": "", "hash": ""})
        };
        let next = if uri.path() == "/v1/audit" { next } else { Some("same") };
        let items = if uri.path() == "/v1/audit" { vec![entry(1), entry(2)] } else { vec![] };
        axum::Json(json!({"items": items, "next": next}))
    };
    let client = serve(Router::new().fallback(any(pages))).await;
    let entries: Vec<_> = client.audit(2).try_collect().await.expect("three pages");
    assert_eq!(entries.len(), 6);
    let some: Vec<_> = client.audit(2).take(3).try_collect().await.expect("two pages");
    assert_eq!(some.len(), 3);
    let filter = PromptFilter::default();
    let error = client.prompts(&filter, 10).try_collect::<Vec<_>>().await.expect_err("a loop");
    assert!(error.to_string().contains("again and again"), "{error}");
}

#[tokio::test]
async fn matching_prompts_are_read_to_the_end_and_from_one_state() {
    let pages = |uri: Uri| async move {
        let query = uri.query().unwrap_or_default().to_owned();
        let item = |name: &str| json!({"reference": format!("{name}@production")});
        let later = if query.contains("user-9") { "1.8" } else { "1.7" };
        axum::Json(if query.contains("cursor=1.7%3Aa") {
            json!({"position": later, "answers": [item("b")]})
        } else {
            json!({"position": "1.7", "answers": [item(&query)], "next": "1.7:a"})
        })
    };
    let client = serve(Router::new().fallback(any(pages))).await;
    let wanted = |subject: &str| MatchingRequest {
        label: Label::production(),
        pattern: "support/**".parse().expect("a pattern"),
        caller: Subject { subject: Some(subject.to_owned()), ..Subject::default() },
        at: None,
    };
    let found = client.matching(&wanted("user-1")).await.expect("two pages");
    let references: Vec<_> = found.answers.iter().map(|item| item.reference.as_str()).collect();
    let query = "subject=user-1&label=production&pattern=support%2F**&limit=1000";
    assert_eq!(references, [format!("{query}@production").as_str(), "b@production"]);
    let error = client.matching(&wanted("user-9")).await.expect_err("another state");
    assert!(error.to_string().contains("not of one state"), "{error}");
}

#[tokio::test]
async fn download_is_bounded() {
    let client = serve(Router::new().fallback(any(|| async { Bytes::from(vec![7; 100_000]) }))).await;
    let mut bytes = Vec::new();
    let mut seen = 0;
    let written = client.backup(&mut bytes, &mut |so_far, _| seen = so_far).await.expect("a backup");
    assert_eq!((written, bytes.len(), seen), (100_000, 100_000, 100_000));
    let error = client.bundle(90, 99_999, &mut Vec::new(), &mut |_, _| {}).await.expect_err("over the limit");
    assert!(error.to_string().contains("longer than 99999 bytes"), "{error}");
}

#[tokio::test]
async fn content_is_verified_against_its_id() {
    let text = r#"{"syntax":"plain","text":"Hi"}"#;
    let client = serve(Router::new().fallback(any(move || async move { text }))).await;
    let content = client.content(&ContentId::of(text.as_bytes())).await.expect("the right bytes");
    assert_eq!(content, Content::text(Syntax::Plain, "Hi"));
    let error = client.content(&ContentId::of(b"{}")).await.expect_err("other bytes");
    assert!(error.to_string().contains("does not match the requested hash"), "{error}");
}

#[tokio::test]
async fn closed_port_is_unreachable_and_plain_port_is_untrusted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let client =
        |server: String| Client::new(&ClientOptions { server, ..ClientOptions::default() }).expect("an address");
    let plain = Router::new().fallback(any(|| async { axum::Json(status_json()) }));
    let serving = tokio::spawn(async move { axum::serve(listener, plain).await });
    assert_eq!(client(format!("http://{address}")).status().await.expect("a status").registry, "main");
    let error = client(format!("https://{address}")).status().await.expect_err("no TLS there");
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    serving.abort();
    let _ = serving.await;
    let error = client(format!("http://{address}")).status().await.expect_err("nobody there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn self_signed_certificate_is_trusted_only_if_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
            let body = status_json().to_string();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let mut request = [0; 4096];
            let _ = tokio::io::AsyncReadExt::read(&mut tls, &mut request).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut tls, answer.as_bytes()).await;
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut tls).await;
        }
    });
    let options = ClientOptions { server, ..ClientOptions::default() };
    let error = Client::new(&options).expect("an address").status().await.expect_err("not trusted");
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot trust https://localhost"), "{error}");
    let trusting = ClientOptions { ca_pem: Some(made.cert.pem().into_bytes()), ..options.clone() };
    assert_eq!(Client::new(&trusting).expect("a certificate").status().await.expect("trusted").registry, "main");
    let broken = ClientOptions { ca_pem: Some(b"no pem".to_vec()), ..options };
    assert!(matches!(Client::new(&broken), Err(ClientError::Certificates(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_is_an_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let router = Router::new().fallback(any(|| async { axum::Json(status_json()) }));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    let server = format!("unix:{}", path.display());
    let client = Client::new(&ClientOptions { server, ..ClientOptions::default() }).expect("an address");
    assert_eq!(client.status().await.expect("a status").registry, "main");
}

#[test]
fn invalid_server_address_gives_the_reason() {
    for (server, part) in [
        ("", "not a URL"),
        ("localhost:7070", "must start with http://, https://"),
        ("ftp://x", "must start with http://, https://"),
        ("unix:", "no socket path"),
        ("http://ada:hunter2@x/", "contains a password"),
        ("http://x/?a", "has a query"),
    ] {
        let options = ClientOptions { server: server.to_owned(), ..ClientOptions::default() };
        let message = Client::new(&options).expect_err(server).to_string();
        assert!(message.contains(part) && !message.contains("hunter2"), "{server}: {message}");
    }
}
