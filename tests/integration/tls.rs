//! TLS by certificate files: between a client and a node, and between a replica and its primary.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::support::command::bookholder;
use crate::support::node::{ADMIN, Launch, Node};

/// An authority and a certificate of it, as files.
pub struct Certificates {
    _folder: tempfile::TempDir,
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().expect("a key"))
            .expect("an authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut certificate = rcgen::CertificateParams::new(names).expect("parameters");
        certificate.not_after = rcgen::date_time_ymd(2041, 5, 6);
        let certificate = certificate.signed_by(&key, &authority).expect("a certificate");
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        Self {
            authority: write("authority.pem", authority.pem()),
            certificate: write("certificate.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
            _folder: folder,
        }
    }

    pub fn launch(&self, launch: Launch) -> Launch {
        launch.tls(&self.certificate, &self.key)
    }
}

#[test]
fn replica_and_client_use_tls_with_a_private_authority() {
    let files = Certificates::make();
    let primary = files.launch(Launch::primary()).start();
    let trusting = |arguments: &[&str]| bookholder(arguments).arg("--ca-file").arg(&files.authority).server(&primary);
    let _said = trusting(&["publish", "a", "--file", "-", "-m", "why", "--label", "production"]).input("over tls").ok();
    assert_eq!(trusting(&["get", "a"]).ok().stdout, "over tls");
    let untrusting = bookholder(["get", "a"]).server(&primary).fails(3);
    let _said = untrusting.says("cannot trust https://127.0.0.1").says("--ca-file");
    let empty = bookholder(["get", "a", "--ca-file"]).arg(&files.key).server(&primary);
    let _said = empty.fails(2).says("contains no PEM certificate");
    let plain = bookholder(["get", "a"]).env("BOOKHOLDER_SERVER", primary.url().replace("https", "http"));
    let _said = plain.fails(1).says("use https://");

    let follow = || Launch::replica_of(&primary).env("BOOKHOLDER_UPSTREAM_TOKEN", ADMIN);
    let mut replica =
        follow().args([std::ffi::OsString::from("--upstream-ca"), files.authority.clone().into()]).start();
    replica.until("the replica follows over TLS", || (replica.get("/v1/resolve/a").status == 200).then_some(()));
    assert_eq!(replica.text("a"), "over tls");
    replica.stop();

    let blind = follow().start();
    let trouble = blind.until("it says why it does not follow", || {
        Some(blind.status()["trouble"].clone()).filter(|trouble| !trouble.is_null())
    });
    assert!(trouble["detail"].as_str().expect("a detail").contains("certificate"), "{trouble}");
    let _detail = blind.get("/v1/resolve/a").problem(503, "not_ready");
}

#[test]
fn http_2_and_http_1_are_spoken_over_tls() {
    let files = Certificates::make();
    let primary = files.launch(Launch::primary()).start();
    let authority =
        reqwest::Certificate::from_pem(&std::fs::read(&files.authority).expect("a file")).expect("a certificate");
    let _another_test_was_first = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = format!("{}/healthz", primary.url());
    for (http1_only, version) in [(false, reqwest::Version::HTTP_2), (true, reqwest::Version::HTTP_11)] {
        let builder = reqwest::Client::builder().add_root_certificate(authority.clone());
        let client = if http1_only { builder.http1_only() } else { builder }.build().expect("a client");
        let answer = runtime.block_on(client.get(&url).send()).expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
}

#[test]
fn public_listener_needs_tls_and_tokens_or_an_explicit_setting() {
    let check = |launch: Launch, part: &str| {
        let message = launch.refused();
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    };
    let everywhere = |launch: Launch| launch.args(["--listen", "0.0.0.0:0"]);
    let replica = || Launch::replica().args(["--root-key", &format!("bk1-{}", "0".repeat(64))]);
    let files = Certificates::make();
    check(everywhere(Launch::primary()), "without TLS: set --tls-cert and --tls-key");
    check(everywhere(replica()), "without TLS");
    check(files.launch(everywhere(replica())), "BOOKHOLDER_READ_TOKEN");
    let text = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
    check(Launch::primary().args(["--tls-cert", &text(&files.certificate)]), "--tls-key is missing");
    check(Launch::primary().args(["--tls-key", &text(&files.key)]), "--tls-cert is missing");
    check(Launch::primary().tls(&files.key, &files.certificate), "cannot use the TLS files");
    check(Launch::primary().tls("/nowhere/cert.pem".as_ref(), &files.key), "/nowhere/cert.pem");
    let other = Certificates::make();
    check(Launch::primary().tls(&files.certificate, &other.key), "cannot use the TLS files");

    let mut insecure = everywhere(Launch::primary()).args(["--insecure"]).start();
    assert_eq!(insecure.address().ip().to_string(), "0.0.0.0");
    let pages = format!("http://localhost:{}/ui", insecure.address().port());
    assert!(insecure.stderr().contains(&pages), "an address that can be opened: {}", insecure.stderr());
    assert!(!insecure.stderr().contains("://0.0.0.0"), "{}", insecure.stderr());
    insecure.publish("a", "said to be fine");
    insecure.stop();
}

#[test]
fn read_token_is_required_locally_without_open_reads() {
    let token = "bh_readers_0123456789abcdef";
    let primary = Node::primary();
    primary.publish("a", "for readers");
    let replica =
        Launch::replica_of(&primary).env("BOOKHOLDER_READ_TOKEN", token).env("BOOKHOLDER_OPEN_READS", "false").start();
    replica.until("it follows", || (replica.get("/readyz").status == 200).then_some(()));
    let detail = replica.get("/v1/resolve/a").problem(401, "unauthorized");
    assert!(detail.contains("access token required"), "{detail}");
    let with =
        |token: &str| replica.send("GET", "/v1/resolve/a", &[("authorization", &format!("Bearer {token}"))], b"");
    assert_eq!(with(token).ok()["content"]["text"], "for readers");
    let _detail = with("bh_of_somebody_else_entirely").problem(401, "unauthorized");
}

/// A certificate that `openssl req -x509` makes: it signs itself, and calls itself an authority.
fn self_signed(
    names: &[&str],
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = rcgen::CertificateParams::new(names).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    change(&mut parameters);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let (path, key_path) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&path, certificate.pem()).expect("a file");
    std::fs::write(&key_path, key.serialize_pem()).expect("a file");
    (folder, path, key_path)
}

#[test]
fn self_signed_authority_is_trusted_where_it_is_named() {
    let (_folder, certificate, key) = self_signed(&["localhost", "127.0.0.1"], |_| {});
    let primary = Launch::primary().tls(&certificate, &key).start();
    let get = |authority: &PathBuf| bookholder(["status", "--ca-file"]).arg(authority).server(&primary);
    let _said = get(&certificate).ok();
    let mut replica = Launch::replica_of(&primary).env("BOOKHOLDER_UPSTREAM_TOKEN", ADMIN);
    replica = replica.args([std::ffi::OsString::from("--upstream-ca"), certificate.clone().into()]);
    let replica = replica.start();
    replica.until("the replica follows", || (replica.get("/readyz").status == 200).then_some(()));

    let (_other_folder, other, _) = self_signed(&["localhost", "127.0.0.1"], |_| {});
    let _said = get(&other).fails(3).says("cannot trust https://127.0.0.1").says("subjectAltName");
}

#[test]
fn named_certificate_is_valid_for_its_names_and_period() {
    let refused = |names: &[&str], change: fn(&mut rcgen::CertificateParams), part: &str| {
        let (_folder, certificate, key) = self_signed(names, change);
        let primary = Launch::primary().tls(&certificate, &key).start();
        let asked = bookholder(["status", "--ca-file"]).arg(&certificate).server(&primary);
        let _said = asked.fails(3).says("cannot trust https://127.0.0.1").says(part);
    };
    refused(&["prompts.example.com"], |_| {}, "prompts.example.com");
    refused(&[], |_| {}, "has no host name");
    refused(&["127.0.0.1"], |made| made.not_after = rcgen::date_time_ymd(2020, 1, 1), "expired");
}

#[test]
fn http_and_tls_mismatch_has_a_hint() {
    let files = Certificates::make();
    let encrypted = files.launch(Launch::primary()).start();
    let answer = encrypted.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("an answer");
    assert!(answer.problem(400, "bad_request").contains("use https://"), "{}", answer.text());
    let status = |url: String| bookholder(["status"]).env("BOOKHOLDER_SERVER", url);
    let _said = status(encrypted.url().replace("https", "http")).fails(1).says("this port uses TLS: use https://");
    let plain = Node::primary();
    let _said = status(plain.url().replace("http", "https")).fails(3).says("use http://");
}

#[test]
fn certificate_expiry_is_measured_with_tls_and_only_then() {
    let files = Certificates::make();
    let socket = files.certificate.with_file_name("socket");
    let launch = files.launch(Launch::primary()).args(["--socket".into(), socket.clone().into_os_string()]);
    let primary = launch.start();
    let scrape = || {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        said.lines()
            .find_map(|line| line.strip_prefix("bookholder_certificate_expiry_timestamp_seconds ")?.parse().ok())
    };
    let expiry_s: i64 = crate::support::node::eventually(crate::support::node::PATIENCE, scrape).expect("a sample");
    assert_eq!(expiry_s, 2_251_411_200, "2041-05-06T00:00:00Z");
    drop(primary);
    assert!(!Node::primary().get("/metrics").text().contains("certificate_expiry"));
}
