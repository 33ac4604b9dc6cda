//! Tests of a node behind a proxy with a path prefix.

use super::*;
use crate::http::route::Route;
use crate::http::router::ROUTES;
use crate::http::ui::routes::ROUTES as PAGES;

/// Links in a page.
const LEADING: [&str; 4] = ["href", "action", "src", "formaction"];

fn node(public_url: &str) -> Node {
    let directory = tempfile::tempdir().expect("a directory");
    let public_url = Some(public_url.parse().expect("a URL"));
    let state = AppState { door: Door { public_url, ..Door::default() }, ..state(&store(directory.path()), true) };
    Node { stop: state.stop.clone(), face: HttpService::new(state), _directory: directory }
}

fn ask(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_owned())).expect("a request")
}

/// The value and attributes of a cookie in an answer.
fn cookie(headers: &HeaderMap, name: &str) -> (String, String) {
    let mut all = headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().expect("ascii"));
    let found = all.find_map(|one| one.strip_prefix(&format!("{name}="))).expect("the cookie");
    let (value, says) = found.split_once(';').expect("attributes");
    (value.to_owned(), says.to_owned())
}

#[tokio::test]
async fn below_a_prefix_pages_links_forms_and_redirects_stay_there() {
    let node = node("http://localhost/books");
    node.publish("a/b", "text").await;
    let signed = [("authorization", format!("Bearer {ADMIN}"))];
    let signed = [(signed[0].0, signed[0].1.as_str())];
    let mut links = 0;
    for Route { method, path: route, .. } in ROUTES.iter().chain(PAGES) {
        let page = route.starts_with("/ui") || route.starts_with("/docs") || *route == "/";
        if !page || *method != "GET" || *route == "/ui/live" {
            continue;
        }
        let path = route.replace("{*name}", "a/b").replace("{name}", "admin").replace("{id}", "1");
        for path in [path.clone(), format!("/books{path}")] {
            let (status, headers, body) = node.send(REMOTE, ask("GET", &path, &signed, "")).await;
            assert!(!status.is_server_error(), "{path}: {status}");
            if let Some(location) = headers.get(header::LOCATION) {
                assert!(location.to_str().expect("ascii").starts_with("/books/"), "{path}: {location:?}");
            }
            if !headers.get(header::CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"text/html")) {
                continue;
            }
            let page = String::from_utf8(body.to_vec()).expect("UTF-8");
            for attribute in LEADING {
                for led in page.split(&format!(" {attribute}=\"/")).skip(1) {
                    assert!(led.starts_with("books/"), "{attribute} in {path}: {}", &led[..60.min(led.len())]);
                    links += 1;
                }
            }
        }
    }
    assert!(links > 100, "{links} links were looked at");
    let (_, document) = node.get("/openapi.json").await;
    assert_eq!(document["servers"][0]["url"], "http://localhost/books");
    assert_eq!(node.get("/books/v1/resolve/a/b").await.1["name"], "a/b");
}

#[tokio::test]
async fn signing_in_works_below_a_prefix_and_under_a_host_that_the_proxy_changed() {
    let node = node("https://prompts.example.com/books");
    // What nginx sends by default: the host of its upstream.
    let proxied = Peer { local: true, address: Some([127, 0, 0, 1].into()), socket: false, ..LOCAL };
    let host = ("host", "127.0.0.1:7070");
    let (status, headers, body) = node.send(proxied, ask("GET", "/ui/sign-in", &[host], "")).await;
    assert_eq!(status, StatusCode::OK);
    let (visit, says) = cookie(&headers, "bookholder_visit");
    assert!(says.contains("Path=/books/;"), "{says}");
    let page = String::from_utf8(body.to_vec()).expect("UTF-8");
    let form = page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
    let fields = format!("form={form}&token={ADMIN}&next=/ui/prompts/a");
    let send = async |origin: &str| {
        let visit = format!("bookholder_visit={visit}");
        let headers =
            [host, ("origin", origin), ("cookie", &visit), ("content-type", "application/x-www-form-urlencoded")];
        node.send(proxied, ask("POST", "/ui/sign-in", &headers, &fields)).await
    };
    let (status, headers, _) = send("https://prompts.example.com").await;
    assert_eq!((status, &headers[header::LOCATION]), (StatusCode::SEE_OTHER, &"/books/ui/prompts/a".parse().unwrap()));
    let (_, says) = cookie(&headers, "bookholder_session");
    assert!(says.contains("Path=/books/;"), "{says}");
    for origin in ["https://evil.example", "http://prompts.example.com", "null"] {
        assert_eq!(send(origin).await.0, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn form_for_an_unknown_host_is_rejected_with_the_setting_in_the_hint() {
    let node = Node::start(true);
    let headers = [("host", "localhost"), ("origin", "https://prompts.example.com")];
    let (status, _, body) = node.send(LOCAL, ask("POST", "/ui/sign-in", &headers, "form=x")).await;
    let page = String::from_utf8(body.to_vec()).expect("UTF-8");
    assert_eq!(status, StatusCode::FORBIDDEN);
    for part in [
        "https://prompts.example.com",
        "localhost",
        "--public-url https://prompts.example.com",
        "proxy_set_header Host $http_host",
        "trusted_proxies",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let headers = [("host", "localhost"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let (status, _, body) = node.send(LOCAL, ask("POST", "/ui/sign-in", &headers, "form=x")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(!String::from_utf8_lossy(&body).contains("--public-url"), "what a browser calls foreign is foreign");
}

#[tokio::test]
async fn forwarded_host_counts_only_from_a_trusted_proxy() {
    let directory = tempfile::tempdir().expect("a directory");
    let proxies = crate::http::Proxies::parse(["10.0.0.1".to_owned()]).expect("an address");
    let hosts = crate::http::Hosts::parse(["prompts.example.com".to_owned()]).expect("a host");
    let state = AppState { door: Door { hosts, proxies, ..Door::default() }, ..state(&store(directory.path()), true) };
    let node = Node { stop: state.stop.clone(), face: HttpService::new(state), _directory: directory };
    for (from, forwarded, expected) in [
        ([10, 0, 0, 1], Some("prompts.example.com"), StatusCode::OK),
        ([10, 0, 0, 1], Some("evil.example"), StatusCode::MISDIRECTED_REQUEST),
        ([10, 0, 0, 1], None, StatusCode::MISDIRECTED_REQUEST),
        ([10, 0, 0, 2], Some("prompts.example.com"), StatusCode::MISDIRECTED_REQUEST),
    ] {
        let peer = Peer { address: Some(from.into()), ..REMOTE };
        let mut headers = vec![("host", "node"), ("x-forwarded-for", "198.51.100.7")];
        headers.extend(forwarded.map(|host| ("x-forwarded-host", host)));
        let (status, ..) = node.send(peer, ask("GET", "/ui/sign-in", &headers, "")).await;
        assert_eq!(status, expected, "{from:?} {forwarded:?}");
    }
}
