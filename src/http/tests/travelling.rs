//! Tests of paths, caching headers and compression.

use super::*;
use crate::http::route::Route;
use crate::http::router::ROUTES;
use crate::http::ui::routes::ROUTES as PAGES;

const IMMUTABLE: &str = "max-age=31536000, immutable";

fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {ADMIN}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).expect("a request")
}

/// The head of an answer; streams do not end.
async fn head(node: &Node, request: Request<Body>) -> (StatusCode, HeaderMap) {
    let mut request = request;
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    let response = node.face.connection(REMOTE).call(request).await.expect("infallible");
    (response.status(), response.headers().clone())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().expect("ascii"))
}

#[tokio::test]
async fn raw_and_encoded_slashes_give_the_same_path() {
    let node = Node::start(true);
    let content = json!({"content": {"syntax": "plain", "text": "one"}, "message": "why", "labels": ["production"]});
    let two = json!({"content": {"syntax": "plain", "text": "two"}, "message": "why", "labels": ["production"]});
    let draft = json!({"content": {"syntax": "plain", "text": "three"}});
    let why = json!({"message": "why"});
    let about = json!({"owner": "team", "tags": []});
    let nothing = Value::Null;
    for (name, encoded) in [("team/a", false), ("team%2Fb", true)] {
        let steps: &[(&str, &str, &Value, u16)] = &[
            ("POST", "/versions", &content, 201),
            ("POST", "/versions", &two, 201),
            ("GET", "", &nothing, 200),
            ("GET", "/versions", &nothing, 200),
            ("GET", "/versions/1", &nothing, 200),
            ("GET", "/versions/1/findings", &nothing, 200),
            ("GET", "/versions/1/gates", &nothing, 200),
            ("PUT", "/about", &about, 200),
            ("GET", "/about", &nothing, 200),
            ("GET", "/diff?from=1&to=2", &nothing, 200),
            ("GET", "/stats", &nothing, 200),
            ("GET", "/labels", &nothing, 200),
            ("GET", "/labels/production", &nothing, 200),
            ("POST", "/labels/production/rollback", &why, 200),
            ("POST", "/versions/2/retirement", &why, 200),
            ("DELETE", "/versions/2/retirement", &why, 200),
            ("PUT", "/drafts/d", &draft, 200),
            ("GET", "/drafts", &nothing, 200),
            ("GET", "/drafts/d", &nothing, 200),
            ("GET", "/drafts/d/saves", &nothing, 200),
            ("GET", "/drafts/d/saves/1", &nothing, 200),
            ("GET", "/drafts/d/merge", &nothing, 200),
            ("POST", "/drafts/d/publication", &why, 201),
            ("PUT", "/drafts/d", &draft, 200),
            ("DELETE", "/drafts/d", &nothing, 204),
            ("DELETE", "/labels/production", &why, 200),
            ("DELETE", "", &why, 200),
        ];
        for (method, rest, body, expected) in steps {
            let path = format!("/v1/prompts/{name}{rest}");
            let (status, said) = node.change(method, &path, body).await;
            assert_eq!(status.is_success(), *expected < 300, "{method} {path}: {status} {said}");
        }
        let routed = ROUTES.iter().filter(|route| route.path.starts_with("/v1/prompts/{name}")).count();
        let named: std::collections::BTreeSet<_> = steps.iter().map(|(method, rest, ..)| (method, rest)).collect();
        assert_eq!(routed, named.len(), "every path with a name was asked ({encoded})");
    }
}

#[tokio::test]
async fn every_response_has_cache_headers() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let content = node.get("/v1/resolve/a").await.1["content_id"].as_str().expect("an id").to_owned();
    let revalidated = [
        "/v1/resolve",
        "/v1/resolve/{*reference}",
        "/v1/prompts",
        "/v1/prompts/{name}",
        "/v1/prompts/{name}/versions",
        "/v1/prompts/{name}/versions/{version}",
        "/v1/prompts/{name}/versions/{version}/findings",
        "/v1/prompts/{name}/about",
        "/v1/prompts/{name}/diff",
        "/v1/prompts/{name}/labels",
        "/v1/prompts/{name}/labels/{label}",
        "/v1/deployments",
        "/openapi.json",
        "/docs",
        "/docs/style.css",
    ];
    let kept = [
        ("/v1/contents/{content_id}", IMMUTABLE),
        ("/ui/app.css", IMMUTABLE),
        ("/ui/app.js", IMMUTABLE),
        ("/ui/icon.svg", IMMUTABLE),
        ("/replication/v1/root/{n}", "private, max-age=31536000, immutable"),
        ("/replication/v1/epoch/{e}", "private, max-age=31536000, immutable"),
        ("/replication/v1/view/{view}/checkpoint", "private, max-age=2, stale-if-error=86400"),
        ("/replication/v1/view/{view}/next/{position}", "private, max-age=1"),
    ];
    for Route { method, path: route, .. } in ROUTES.iter().chain(PAGES) {
        let path = route.replace("{content_id}", &content).replace("{view}", "all").replace("{position}", "0.0");
        let path = path.replace("{*reference}", "a").replace("{*name}", "a").replace("{name}", "a").replace("{n}", "1");
        let path = path.replace("{version}", "1").replace("{label}", "production").replace("{e}", "1");
        let path = if route.ends_with("/diff") { format!("{path}?from=1&to=1") } else { path };
        let (status, headers) = head(&node, ask(method, &path, &[])).await;
        let said = text(&headers, "cache-control");
        let expected = match kept.iter().find(|(found, _)| *method == "GET" && found == route) {
            Some((_, kept)) => kept,
            None if *method == "GET" && revalidated.contains(route) => "no-cache",
            None => "no-store",
        };
        assert_eq!(said, expected, "{method} {path} ({status})");
        let unbuffered = text(&headers, "x-accel-buffering") == "no";
        assert_eq!(unbuffered, ["/v1/events", "/ui/live"].contains(route), "{path}");
        if expected == "no-cache" {
            assert_eq!(status, StatusCode::OK, "{path}");
            let etag = text(&headers, "etag").to_owned();
            assert!(etag.trim_start_matches("W/").starts_with('"'), "{path} has an entity tag: {etag}");
            let (status, again) = head(&node, ask(method, &path, &[("if-none-match", &etag)])).await;
            assert_eq!((status, text(&again, "etag")), (StatusCode::NOT_MODIFIED, etag.as_str()), "{path}");
            assert_eq!(text(&again, "cache-control"), "no-cache", "{path}");
            let (status, _) = head(&node, ask(method, &path, &[("if-none-match", "\"another\"")])).await;
            assert_eq!(status, StatusCode::OK, "{path}");
        }
    }
    for path in ["/v1/nothing", "/v1/resolve/nothing", "/v1/prompts/nothing", "/v1/prompts?limit=0", "/ui/nothing"] {
        let (status, headers) = head(&node, ask("GET", path, &[])).await;
        assert!(status.is_client_error(), "{path}");
        assert_eq!(text(&headers, "cache-control"), "no-store", "{path}");
    }
    node.publish("a", "another text").await;
    let (_, before) = head(&node, ask("GET", "/v1/prompts/a/labels", &[])).await;
    node.publish("a", "a third text").await;
    let etag = text(&before, "etag").to_owned();
    let (status, after) = head(&node, ask("GET", "/v1/prompts/a/labels", &[("if-none-match", &etag)])).await;
    assert_eq!(status, StatusCode::OK, "what changed is sent again");
    assert_ne!(text(&after, "etag"), etag);
}

#[tokio::test]
async fn long_answers_are_compressed_on_request_except_pages_and_resolved_prompts() {
    let node = Node::start(true);
    node.publish("a", &"words and words ".repeat(1_000)).await;
    for (path, encoding, compressed) in [
        ("/openapi.json", "gzip", true),
        ("/openapi.json", "gzip, deflate, br", true),
        ("/openapi.json", "*", false),
        ("/openapi.json", "br", false),
        ("/openapi.json", "gzip;q=0", false),
        ("/openapi.json", "identity", false),
        ("/docs", "gzip", true),
        ("/docs/style.css", "gzip", true),
        ("/metrics", "gzip", true),
        ("/ui/app.css", "gzip", true),
        ("/ui/app.js", "gzip", true),
        ("/v1/prompts/a/versions/1", "gzip", true),
        ("/healthz", "gzip", false),
        ("/ui/", "gzip", false),
        ("/ui/prompts/a", "gzip", false),
        ("/v1/resolve/a", "gzip", false),
        ("/v1/resolve/a?subject=x", "gzip", false),
        ("/v1/events", "gzip", false),
        ("/ui/live", "gzip", false),
        ("/replication/v1/view/all/next/0.0", "gzip", false),
        ("/v1/backup", "gzip", false),
    ] {
        let (status, headers) = head(&node, ask("GET", path, &[("accept-encoding", encoding)])).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let said = (text(&headers, "content-encoding"), headers.contains_key("content-length"));
        let expected = if compressed { ("gzip", false) } else { ("", said.1) };
        assert_eq!(said, expected, "{path} {encoding}");
        if compressed {
            assert!(text(&headers, "vary").contains("accept-encoding"), "{path}");
        }
    }
    let (_, plain, whole) = node.send(REMOTE, ask("GET", "/openapi.json", &[])).await;
    let (_, short, bytes) = node.send(REMOTE, ask("GET", "/openapi.json", &[("accept-encoding", "gzip")])).await;
    assert!(bytes.len() * 4 < whole.len(), "{} of {}", bytes.len(), whole.len());
    assert_eq!(bytes.first_chunk(), Some(&[0x1f, 0x8b]), "gzip");
    assert_eq!(format!("W/{}", text(&plain, "etag")), text(&short, "etag"), "other bytes of the same");
    let known = [("accept-encoding", "gzip"), ("if-none-match", text(&short, "etag"))];
    let (status, headers, _) = node.send(REMOTE, ask("GET", "/openapi.json", &known)).await;
    assert_eq!((status, headers.contains_key("content-encoding")), (StatusCode::NOT_MODIFIED, false));
    assert_eq!(text(&headers, "vary"), text(&short, "vary"), "a cache files both under the same key");
    assert!(text(&headers, "vary").contains("accept-encoding"), "{headers:?}");
}

#[tokio::test]
async fn large_answers_are_compressed_unless_heavy_work_is_saturated() {
    let node = Node::start(true);
    let encoding = async |path: &str| {
        let (status, headers, bytes) = node.send(REMOTE, ask("GET", path, &[("accept-encoding", "gzip")])).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(text(&headers, "vary").contains("accept-encoding"), "{path}");
        (text(&headers, "content-encoding").to_owned(), bytes.len())
    };
    let (_, short) = encoding("/openapi.json").await;
    let mut turns: Vec<_> = std::iter::from_fn(|| node.face.app.work.turn_now()).collect();
    let (plain, long) = encoding("/openapi.json").await;
    assert_eq!(plain, "");
    assert!(short * 4 < long, "{short} of {long}");
    assert_eq!(encoding("/ui/app.css").await.0, "gzip", "small ones take no turn");
    turns.pop();
    assert_eq!(encoding("/openapi.json").await, ("gzip".to_owned(), short));
}

#[tokio::test]
async fn head_of_a_list_has_the_tag_and_length_of_its_answer() {
    let node = Node::start(true);
    node.publish("a", "text").await;
    let plain = ("accept-encoding", "identity");
    for path in ["/v1/prompts", "/v1/prompts/a/versions", "/v1/deployments"] {
        let (status, whole) = head(&node, ask("GET", path, &[plain])).await;
        assert_eq!(status, 200, "{path}");
        let (status, only) = head(&node, ask("HEAD", path, &[plain])).await;
        for name in ["etag", "cache-control", "content-length", "content-type"] {
            assert_eq!((status.as_u16(), text(&only, name)), (200, text(&whole, name)), "{name} of {path}");
        }
        for method in ["GET", "HEAD"] {
            let known = ("if-none-match", text(&whole, "etag"));
            let (status, same) = head(&node, ask(method, path, &[plain, known])).await;
            assert_eq!((status.as_u16(), text(&same, "etag")), (304, text(&whole, "etag")), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn compressed_body_is_rejected_with_a_hint() {
    let node = Node::start(true);
    for (path, encoding, expected) in
        [("/v1/prompts/a/versions", "gzip", 415), ("/v1/resolve", "br", 415), ("/v1/render/a", "Identity", 404)]
    {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, encoding);
        let (status, _, body) = node.send(LOCAL, request.body(Body::from("{}")).expect("a request")).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status.as_u16(), expected, "{path}: {body}");
        let is_told = body.contains(&format!("`{encoding}`")) && body.contains("without the header Content-Encoding");
        assert_eq!(is_told, expected == 415, "{path}: {body}");
    }
}
