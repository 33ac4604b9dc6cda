//! Tests of allowed webhook addresses and misbehaving receivers.

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;

fn networks(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|network| network.parse().expect("a network")).collect()
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    for (value, date, expected) in [
        ("120", None, Some(120)),
        (" 0 ", None, Some(0)),
        ("99999999999999999999999", None, Some(u64::MAX)),
        ("Wed, 21 Oct 2026 07:30:30 GMT", Some(date), Some(150)),
        ("Wed, 21 Oct 2026 07:20:00 GMT", Some(date), Some(0)),
        ("Wed, 21 Oct 2026 07:30:30 GMT", None, None),
        ("Wed, 21 Oct 2026 07:30:30 GMT", Some("today"), None),
        ("-5", Some(date), None),
        ("soon", Some(date), None),
        ("", Some(date), None),
    ] {
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        headers.extend(date.map(|date| (DATE, HeaderValue::from_static(date))));
        assert_eq!(retry_after_s(&headers), expected, "{value:?} {date:?}");
    }
}

/// A receiver that answers every request with these bytes, then with `more` until the client disconnects; and the
/// requests it got.
async fn receiver(answer: &str, more: &'static [u8]) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (got, requests) = mpsc::unbounded_channel();
    let answer = answer.replace("{port}", &port.to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _gone = got.send(request(&mut stream).await);
            let mut open = stream.write_all(answer.as_bytes()).await.is_ok();
            while open && !more.is_empty() {
                open = stream.write_all(more).await.is_ok();
            }
            if answer.is_empty() {
                // Sends nothing until the client disconnects.
                let _end = stream.read(&mut [0; 1]).await;
            }
        }
    });
    (port, requests)
}

async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"the body") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn post(allow: &[&str], url: String) -> ReceiverAnswer {
    let deliverer = Deliverer::within(networks(allow), Duration::from_millis(500));
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    deliverer.post(&url, headers, Bytes::from_static(b"the body")).await
}

const LOOPBACK: &[&str] = &["127.0.0.0/8"];
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn private_address_is_refused_unless_its_network_is_allowed() {
    let (port, mut requests) = receiver(NO_CONTENT, b"").await;
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        for scheme in ["http", "https"] {
            let refused = post(&["10.0.0.0/8"], format!("{scheme}://{host}:{port}/secret")).await;
            assert_eq!((refused.status, refused.retry_after_s), (None, None));
            let error = refused.error.expect("an error");
            assert!(error.contains("is at 127.0.0.1, which is loopback"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
    assert!(requests.try_recv().is_err(), "nobody connected");
    for host in ["127.0.0.1", "localhost", "0x7f.1"] {
        let delivery = post(LOOPBACK, format!("http://{host}:{port}/a?b=c")).await;
        assert_eq!((delivery.status, delivery.error), (Some(204), None));
        let request = requests.recv().await.expect("a request").to_lowercase();
        assert!(request.starts_with("post /a?b=c http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
        assert!(
            request.contains(concat!("\r\nuser-agent: bookholder/", env!("CARGO_PKG_VERSION"), "\r\n")),
            "{request}"
        );
        assert!(request.ends_with("\r\n\r\nthe body"), "{request}");
    }
}

#[tokio::test]
async fn host_that_resolves_to_a_private_address_is_refused() {
    // The guard's text is shown to people.
    let deliverer = Deliverer::within(networks(&["10.0.0.0/8"]), Duration::from_secs(5));
    let url = "http://localhost:9/secret".parse().expect("a url");
    let error = deliverer.send(url, HeaderMap::new(), Bytes::new()).await.error.expect("an error");
    assert!(error.starts_with("cannot reach localhost: `localhost` is at "), "{error}");
    assert!(
        error.ends_with("which is loopback; use a public address, or allow its network (setting webhook_allow)"),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let moved =
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{port}/other\r\ncontent-length: 0\r\n\r\n";
    let (port, mut requests) = receiver(moved, b"").await;
    let delivery = post(LOOPBACK, format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(delivery.status, Some(307));
    let error = delivery.error.expect("an error");
    assert!(error.contains("307 Temporary Redirect; redirects are not followed"), "{error}");
    assert!(requests.recv().await.is_some_and(|request| request.starts_with("POST / ")));
    assert!(requests.try_recv().is_err(), "one request");
}

#[tokio::test]
async fn retry_after_of_a_busy_receiver_is_returned() {
    for (headers, expected) in [
        ("retry-after: 30\r\n", Some(30)),
        ("date: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 07:29:00 GMT\r\n", Some(60)),
        ("", None),
    ] {
        let answer = format!("HTTP/1.1 503 Service Unavailable\r\n{headers}content-length: 0\r\n\r\n");
        let (port, _requests) = receiver(&answer, b"").await;
        let delivery = post(LOOPBACK, format!("http://127.0.0.1:{port}/")).await;
        assert_eq!((delivery.status, delivery.retry_after_s), (Some(503), expected));
        assert_eq!(delivery.error.as_deref(), Some("127.0.0.1 answered 503 Service Unavailable"));
    }
}

#[tokio::test]
async fn endless_response_is_cut_off_at_the_deadline() {
    let (silent, _requests) = receiver("", b"").await;
    let delivery = post(LOOPBACK, format!("http://127.0.0.1:{silent}/")).await;
    assert_eq!(delivery.status, None);
    assert_eq!(delivery.error.as_deref(), Some("cannot reach 127.0.0.1: timed out"));
    assert!(delivery.took_ms >= 500, "{}", delivery.took_ms);

    let (endless, _requests) = receiver("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 1024]).await;
    let deliverer = Deliverer::new(networks(LOOPBACK));
    let delivery = deliverer.post(&format!("http://127.0.0.1:{endless}/"), HeaderMap::new(), "the body".into()).await;
    assert_eq!((delivery.status, delivery.error), (Some(200), None));
    assert!(u128::from(delivery.took_ms) < DELIVERY_TIMEOUT.as_millis(), "only the beginning was read");

    let headers: &'static [u8] = b"x-more: and more\r\n";
    let (talkative, _requests) = receiver("HTTP/1.1 200 OK\r\n", headers).await;
    let delivery = post(LOOPBACK, format!("http://127.0.0.1:{talkative}/")).await;
    assert_eq!(delivery.status, None);
    assert!(delivery.error.is_some_and(|error| error.starts_with("cannot reach 127.0.0.1")));

    // The status counts, even if the body never arrives.
    let (slow, _requests) = receiver("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx", b"").await;
    let delivery = post(LOOPBACK, format!("http://127.0.0.1:{slow}/")).await;
    assert_eq!((delivery.status, delivery.error), (Some(200), None));
}

#[tokio::test]
async fn receiver_without_tls_or_without_a_response_is_an_error() {
    let (port, _requests) = receiver("hello\r\n\r\n", b"").await;
    for scheme in ["http", "https"] {
        let delivery = post(LOOPBACK, format!("{scheme}://127.0.0.1:{port}/secret")).await;
        assert_eq!(delivery.status, None);
        let error = delivery.error.expect("an error");
        assert!(error.starts_with("cannot ") && !error.contains("secret"), "{error}");
    }
}
