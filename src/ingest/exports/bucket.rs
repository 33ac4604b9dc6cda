//! A bucket with the interface of Amazon S3: whole objects are put into it.
//!
//! It is found as other tools find it, by the variables of the AWS command line. Requests name the bucket in their path,
//! which all stores accept. Invariant: nothing that is logged or shown has a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use super::{ExportError, blocking};
use crate::client::{CONNECT_TIMEOUT, USER_AGENT};
use crate::clock::Clock;
use crate::crypto::sigv4::{AccessKey, Scope, UnsignedRequest, authorization, hex_hash, path_of};
use crate::crypto::tls::{trusting, use_ring};
use crate::model::time::Timestamp;

/// What the URL of a bucket begins with.
pub const SCHEME: &str = "s3://";
/// Deadline of a request: some 40 MB over a slow line.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The region, where none is set; other stores accept it.
const REGION_DEFAULT: &str = "us-east-1";
/// Most bytes of a file of access keys.
const KEYS_BYTES_MAX: u64 = 64 * 1_024;
/// Most bytes of an answer in which the code of an error is looked for.
const ANSWER_BYTES_MAX: usize = 4_096;
/// Headers that nothing may log.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];
/// Longest code of an error.
const CODE_BYTES_MAX: usize = 64;

/// Why a bucket cannot be used with these settings.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum BucketError {
    #[error("invalid bucket `{0}`: use s3://BUCKET/PREFIX, where BUCKET has 3 to 63 characters from a-z, 0-9, . and -")]
    Name(String),
    #[error("invalid {variable} `{given}`: use the URL of an S3 interface, such as http://127.0.0.1:9000")]
    Endpoint { variable: &'static str, given: String },
    #[error(
        "no access key for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE"
    )]
    NoKey,
    #[error("invalid AWS_REGION `{0}`: use a name such as eu-central-1")]
    Region(String),
    #[error("cannot read the access keys {}: {source}", path.display())]
    ReadKeys { path: PathBuf, source: std::io::Error },
    #[error("{} has no profile `{profile}` with aws_access_key_id and aws_secret_access_key", path.display())]
    NoProfile { path: PathBuf, profile: String },
    #[error("the access key for the bucket has characters that cannot be sent")]
    KeyCharacters,
    #[error("cannot read the certificates {}: {source}", path.display())]
    ReadCertificates { path: PathBuf, source: std::io::Error },
    #[error("{} contains no PEM certificate", .0.display())]
    Certificates(PathBuf),
    #[error("cannot prepare requests to the bucket: {0}")]
    Client(reqwest::Error),
}

/// Where a bucket is, and who puts objects into it.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// The bucket as a URL, without a slash at the end.
    url: Url,
    prefix: String,
    region: String,
    keys: KeySource,
    http: reqwest::Client,
}

/// Where the access key comes from.
#[derive(Clone, Debug)]
enum KeySource {
    Variables(AccessKey),
    /// A profile of a file, which is read again each time: such keys are replaced while programs run.
    File {
        path: PathBuf,
        profile: String,
    },
}

impl BucketOptions {
    /// The bucket that a URL such as `s3://bucket/prefix` means in an environment.
    ///
    /// # Errors
    /// The URL or a variable is not valid, there is no access key, or a file cannot be read.
    pub fn new(given: &str, environment: &BTreeMap<String, String>) -> Result<Self, BucketError> {
        let variable = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let rest = given.strip_prefix(SCHEME).unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        let prefix = prefix.trim_matches('/');
        let odd = |part: &str| [".", "..", ""].contains(&part);
        let is_odd = prefix.chars().any(char::is_control) || (!prefix.is_empty() && prefix.split('/').any(odd));
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) || bucket.contains("..") || is_odd {
            return Err(BucketError::Name(given.to_owned()));
        }
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or(REGION_DEFAULT);
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(BucketError::Region(region.to_owned()));
        }
        let set =
            ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name, variable(name)?)));
        let amazon = format!("https://s3.{region}.amazonaws.com");
        let (name, endpoint) = set.unwrap_or(("AWS_REGION", amazon.as_str()));
        // What is before an `@` can be a password.
        let shown = endpoint.rsplit('@').next().unwrap_or_default();
        let refused = || BucketError::Endpoint { variable: name, given: shown.to_owned() };
        let mut url: Url = endpoint.parse().map_err(|_| refused())?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !["http", "https"].contains(&url.scheme()) || !is_plain || url.fragment().is_some() {
            return Err(refused());
        }
        url.set_path(&format!("{}/{bucket}", url.path().trim_end_matches('/')));
        let keys = if let Some((id, secret)) = variable("AWS_ACCESS_KEY_ID").zip(variable("AWS_SECRET_ACCESS_KEY")) {
            KeySource::Variables(AccessKey {
                id: id.to_owned(),
                secret: secret.to_owned(),
                session: variable("AWS_SESSION_TOKEN").map(str::to_owned),
            })
        } else {
            let in_home =
                || Some(PathBuf::from(variable("HOME")?).join(".aws/credentials")).filter(|path| path.exists());
            let path = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(in_home);
            let profile = variable("AWS_PROFILE").unwrap_or("default").to_owned();
            KeySource::File { path: path.ok_or(BucketError::NoKey)?, profile }
        };
        let _usable = keys.read()?;
        let http = client(variable("AWS_CA_BUNDLE").map(PathBuf::from))?;
        Ok(Self { url, prefix: prefix.to_owned(), region: region.to_owned(), keys, http })
    }
}

fn client(certificates: Option<PathBuf>) -> Result<reqwest::Client, BucketError> {
    use_ring();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = certificates {
        let read = std::fs::read(&path);
        let pem = read.map_err(|source| BucketError::ReadCertificates { path: path.clone(), source })?;
        builder = builder.use_preconfigured_tls(trusting(&pem).map_err(|_| BucketError::Certificates(path))?);
    }
    builder.build().map_err(BucketError::Client)
}

impl KeySource {
    /// The key as it is now. Blocks.
    fn read(&self) -> Result<AccessKey, BucketError> {
        let key = match self {
            Self::Variables(key) => key.clone(),
            Self::File { path, profile } => {
                let mut text = String::new();
                let read = File::open(path).and_then(|file| file.take(KEYS_BYTES_MAX).read_to_string(&mut text));
                let _bytes = read.map_err(|source| BucketError::ReadKeys { path: path.clone(), source })?;
                let found = key_of_profile(&text, profile);
                found.ok_or_else(|| BucketError::NoProfile { path: path.clone(), profile: profile.clone() })?
            }
        };
        let parts = [Some(&key.id), Some(&key.secret), key.session.as_ref()];
        let is_plain = parts.into_iter().flatten().all(|part| part.bytes().all(|byte| byte.is_ascii_graphic()));
        if is_plain { Ok(key) } else { Err(BucketError::KeyCharacters) }
    }
}

/// The access key of a profile in a file of the AWS command line.
fn key_of_profile(text: &str, profile: &str) -> Option<AccessKey> {
    let mut is_inside = false;
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = name.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_inside && !line.starts_with(['#', ';']))
        {
            values.insert(name.trim(), value.trim().to_owned());
        }
    }
    let mut take = |name: &str| values.remove(name).filter(|value| !value.is_empty());
    Some(AccessKey {
        id: take("aws_access_key_id")?,
        secret: take("aws_secret_access_key")?,
        session: take("aws_session_token"),
    })
}

/// A bucket that objects are put into.
pub struct Bucket {
    options: BucketOptions,
    clock: Arc<dyn Clock>,
}

impl Bucket {
    /// Prepares to put objects into a bucket.
    #[must_use]
    pub fn new(options: BucketOptions, clock: Arc<dyn Clock>) -> Self {
        Self { options, clock }
    }

    /// Puts an object under a path below the prefix; one that is there is replaced.
    pub(super) async fn put(&self, path: &str, body: Vec<u8>) -> Result<(), ExportError> {
        let BucketOptions { url, prefix, region, keys, http } = &self.options;
        let failed = |reason: String| ExportError::Destination(format!("the bucket did not take {path}: {reason}"));
        let keys = keys.clone();
        let key = blocking(move || keys.read().map_err(|error| ExportError::Destination(error.to_string()))).await?;
        let mut url = url.clone();
        let object = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        url.set_path(&format!("{}{}", url.path(), path_of(&object)));
        let (host, body_hash, time) = (host_of(&url), hex_hash(&body), time_of(self.clock.now_ms()));
        let mut headers =
            vec![("host", host.as_str()), ("x-amz-content-sha256", body_hash.as_str()), ("x-amz-date", time.as_str())];
        headers.extend(key.session.as_deref().map(|session| ("x-amz-security-token", session)));
        let unsigned = UnsignedRequest { method: "PUT", path: url.path(), headers: &headers, body_hash: &body_hash };
        let signed = authorization(&unsigned, &Scope { time: &time, region, service: "s3" }, &key);
        let mut request = http.put(url.clone());
        // The client itself sends the host.
        for (name, value) in headers.into_iter().skip(1).chain([("authorization", signed.as_str())]) {
            let mut value = HeaderValue::from_str(value).map_err(|error| failed(error.to_string()))?;
            value.set_sensitive(SECRET_HEADERS.contains(&name));
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/vnd.apache.parquet").body(body);
        let answer = request.send().await.map_err(|error| failed(reasons(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let code = code_of(answer).await.unwrap_or_default();
        let hint = match code.as_str() {
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => "; set AWS_REGION to the region of the bucket",
            "RequestTimeTooSkewed" => "; set the clock of this machine",
            _ => "",
        };
        Err(failed(format!("it answered {status} {code}{hint}")))
    }
}

/// An error and its causes, which say what it was.
fn reasons(error: &reqwest::Error) -> String {
    let error: &(dyn std::error::Error + 'static) = error;
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The header `host` that the client sends.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A time such as `20260320T150000Z`.
fn time_of(now_ms: i64) -> String {
    const CHARACTERS: usize = "20260320T150000".len();
    let text = Timestamp::from_ms(now_ms).to_string();
    let plain = text.chars().filter(|character| !"-:".contains(*character));
    plain.take(CHARACTERS).chain(['Z']).collect()
}

/// The code in an answer such as `<Error><Code>AccessDenied</Code>…`, and nothing else of it: the rest repeats the
/// request.
async fn code_of(mut answer: reqwest::Response) -> Option<String> {
    let mut read = Vec::new();
    while read.len() < ANSWER_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => read.extend(chunk.iter().take(ANSWER_BYTES_MAX)),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&read);
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code = code.len() <= CODE_BYTES_MAX && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush")];

    fn bucket(url: &str, set: &[(&str, &str)]) -> Result<BucketOptions, BucketError> {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        BucketOptions::new(url, &set.collect())
    }

    #[test]
    fn bucket_is_found_by_the_variables_of_other_tools() {
        for (url, set, expected, prefix, region) in [
            ("s3://lake", &[][..], "https://s3.us-east-1.amazonaws.com/lake", "", "us-east-1"),
            (
                "s3://lake/a/b/",
                &[("AWS_REGION", "eu-central-1")][..],
                "https://s3.eu-central-1.amazonaws.com/lake",
                "a/b",
                "eu-central-1",
            ),
            ("s3://my.lake/é", &[("AWS_DEFAULT_REGION", "x")][..], "https://s3.x.amazonaws.com/my.lake", "é", "x"),
            (
                "s3://lake/a",
                &[("AWS_ENDPOINT_URL", "http://[::1]:9000/s3/")][..],
                "http://[::1]:9000/s3/lake",
                "a",
                "us-east-1",
            ),
            (
                "s3://lake/a",
                &[("AWS_ENDPOINT_URL", "nothing"), ("AWS_ENDPOINT_URL_S3", "https://minio.example")][..],
                "https://minio.example/lake",
                "a",
                "us-east-1",
            ),
        ] {
            let options = bucket(url, &[KEYS.as_slice(), set].concat()).expect(url);
            let found = (options.url.as_str(), options.prefix.as_str(), options.region.as_str());
            assert_eq!(found, (expected, prefix, region), "{url}");
            assert!(!format!("{options:?}").contains("hush"), "{options:?}");
        }
        let host = |url: &str| host_of(&url.parse().expect("a URL"));
        assert_eq!(host("http://[::1]:9000/lake"), "[::1]:9000");
        assert_eq!(host("https://minio.example:443/lake"), "minio.example");
        assert_eq!(time_of(1_790_000_000_123), "20260921T141320Z");
    }

    #[test]
    fn unusable_buckets_are_refused_with_what_to_do() {
        let check = |url: &str, set: &[(&str, &str)], part: &str| {
            let message = bucket(url, set).expect_err(part).to_string();
            assert!(message.contains(part) && !message.contains("hush"), "{message}");
        };
        for url in [
            "s3://",
            "s3://ab",
            "s3://Lake",
            "s3://la_ke/x",
            "s3://lake/../x",
            "s3://lake/a//b",
            "s3:/lake",
            "s3://a..b",
        ] {
            check(url, &KEYS, "use s3://BUCKET/PREFIX");
        }
        check("s3://lake", &[], "set AWS_ACCESS_KEY_ID");
        check("s3://lake", &[("AWS_ACCESS_KEY_ID", "id")], "set AWS_ACCESS_KEY_ID");
        check("s3://lake", &[("AWS_SHARED_CREDENTIALS_FILE", "/no/such")], "/no/such");
        check("s3://lake", &[("AWS_ACCESS_KEY_ID", "i d"), ("AWS_SECRET_ACCESS_KEY", "hush")], "cannot be sent");
        for endpoint in ["127.0.0.1:9000", "ftp://x", "http://", "https://me:hush@x", "http://x?a=b"] {
            let set = [KEYS.as_slice(), &[("AWS_ENDPOINT_URL", endpoint)]].concat();
            let message = bucket("s3://lake", &set).expect_err(endpoint).to_string();
            assert!(message.contains("invalid AWS_ENDPOINT_URL") && !message.contains("hush"), "{message}");
        }
        let set = [KEYS.as_slice(), &[("AWS_REGION", "eu/central")]].concat();
        check("s3://lake", &set, "invalid AWS_REGION `eu/central`");
        let set = [KEYS.as_slice(), &[("AWS_CA_BUNDLE", "/no/such.pem")]].concat();
        check("s3://lake", &set, "/no/such.pem");
    }

    #[test]
    fn access_key_is_that_of_its_profile_and_is_read_again() {
        let text = "# keys\n[default]\naws_access_key_id = one\naws_secret_access_key=1\n\n[ other ]\n\
                    ;aws_access_key_id = no\naws_access_key_id = two\naws_secret_access_key = a=b\naws_session_token = t\n\
                    [empty]\naws_access_key_id =\n";
        let key = |profile| key_of_profile(text, profile).map(|key| (key.id, key.secret, key.session));
        assert_eq!(key("default"), Some(("one".to_owned(), "1".to_owned(), None)));
        assert_eq!(key("other"), Some(("two".to_owned(), "a=b".to_owned(), Some("t".to_owned()))));
        assert_eq!((key("empty"), key("none")), (None, None));

        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("keys");
        std::fs::write(&path, text).expect("written");
        let named = path.to_str().expect("a path");
        let set = [("AWS_SHARED_CREDENTIALS_FILE", named), ("AWS_PROFILE", "other")];
        let options = bucket("s3://lake", &set).expect("a bucket");
        assert_eq!(options.keys.read().expect("a key").id, "two");
        std::fs::write(&path, text.replace("two", "three")).expect("written");
        assert_eq!(options.keys.read().expect("a key").id, "three");
        let missing = bucket("s3://lake", &[("AWS_SHARED_CREDENTIALS_FILE", named), ("AWS_PROFILE", "gone")]);
        assert!(missing.expect_err("refused").to_string().contains("no profile `gone`"));
    }
}
