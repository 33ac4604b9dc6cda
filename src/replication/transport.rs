//! Fetches from an upstream over HTTP: small documents as a whole, data as a bounded stream into a spool.
//!
//! What arrives here is not verified yet; this file only limits its size and duration.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::connected_replicas::REPLICA;
use super::engine::FetchFailure;
use crate::api::problem::ErrorCode;
use crate::api::telemetry::MergedTelemetry;
use crate::crypto::tls::{NoCertificates, tls_fault, trusting, use_ring};
use crate::model::position::Position;
use crate::trust::checkpoint::CHECKPOINT_BYTES_MAX;
use crate::trust::checkpoint::VIEW_ALL;
use crate::trust::root::ROOT_BYTES_MAX;

/// Connection timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Deadline of a small document.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a poll can be silent: the server's wait and a margin.
const POLL_TIMEOUT: Duration = Duration::from_secs(40);
/// Deadline of the head of an answer, its note and its first data, including the wait: data that trickles in byte by
/// byte is never silent for long.
const NOTE_DEADLINE: Duration = Duration::from_secs(60);
/// Fewest bytes that must arrive in each [`SLOW_WINDOW`].
const SLOW_BYTES_MIN: u64 = 30 * 1_024;
const SLOW_WINDOW: Duration = Duration::from_secs(30);
/// Deadline of a whole download.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(3_600);
/// Data up to this size stays in memory, in bytes; more goes to a temporary file.
const SPOOL_MEMORY_BYTES: usize = 4 * 1_024 * 1_024;

/// Longest error response that is read, in bytes.
const PROBLEM_BYTES_MAX: usize = 4_096;
/// How long sending a batch of telemetry may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// The media type of a proof.
const PROOF_TYPE: &str = "application/octet-stream";

/// A failed fetch, and the cause.
pub(super) type FetchError = (FetchFailure, String);

/// An HTTP upstream.
pub(super) struct Upstream {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// The ID of this replica in its polls, if it is valid in a header.
    replica: Option<HeaderValue>,
    note_deadline: Duration,
}

/// Why a batch of telemetry was not taken.
pub(super) enum SendFailure {
    /// The upstream does not answer, or not now.
    Unreachable,
    /// Another batch than this one is next, or had this number.
    OutOfTurn,
    /// The upstream refuses it, for this reason.
    Refused(String),
}

/// The answer to a poll: the note, and the pending data.
pub(super) struct PollResponse {
    pub(super) note: Vec<u8>,
    pub(super) reconnect_ms: Option<u64>,
    pub(super) data: Option<Data>,
}

/// Pending data.
pub(super) struct Data {
    response: Response,
    first: Bytes,
}

/// The upstream's settings are invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

impl Upstream {
    pub(super) fn new(
        base: &str,
        token: Option<String>,
        extra_ca: Option<&[u8]>,
        replica: &str,
    ) -> Result<Self, UpstreamError> {
        use_ring();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(POLL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("bookholder/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = extra_ca {
            builder = builder.use_preconfigured_tls(trusting(pem)?);
        }
        let replica = HeaderValue::from_bytes(replica.as_bytes()).ok();
        let (http, base) = (builder.build()?, base.trim_end_matches('/').to_owned());
        Ok(Self { http, base, token, replica, note_deadline: NOTE_DEADLINE })
    }

    async fn get(&self, path: &str) -> Result<Response, FetchError> {
        self.ask(path, None).await
    }

    /// With the access token for the upstream, if there is one.
    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn ask(&self, path: &str, replica: Option<&HeaderValue>) -> Result<Response, FetchError> {
        let request = self.http.get(format!("{}/replication/v1/{path}", self.base));
        let request = self.authorized(request);
        let request = match replica {
            Some(replica) => request.header(REPLICA, replica),
            None => request,
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let failure = match status {
            StatusCode::OK => return Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FetchFailure::Denied,
            StatusCode::NOT_FOUND => FetchFailure::UnknownView,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
                FetchFailure::Busy { retry_after_s: header.and_then(|text| text.parse().ok()).unwrap_or(1) }
            }
            _ => FetchFailure::Malformed,
        };
        let code = problem_code(response).await;
        let detail = if code == Some(ErrorCode::PrimaryOnly.as_str()) {
            "the upstream is itself a replica, which cannot be followed: use its primary".to_owned()
        } else {
            let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
            let in_plain = status == StatusCode::BAD_REQUEST && self.base.starts_with("http://");
            let way = if in_plain { "; if the port uses TLS, use https://" } else { "" };
            format!("the upstream answered {status}{code} to {path}{way}")
        };
        Err((failure, detail))
    }

    async fn document(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let fetch = async {
            let mut response = self.get(path).await?;
            let mut document = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                if document.len() + chunk.len() > bytes_max {
                    return Err((FetchFailure::Malformed, format!("{path} is over the limit of {bytes_max} bytes")));
                }
                document.extend_from_slice(&chunk);
            }
            Ok(document)
        };
        let slow = |_| (FetchFailure::Slow, format!("{path} took longer than {} s", DOCUMENT_TIMEOUT.as_secs()));
        tokio::time::timeout(DOCUMENT_TIMEOUT, fetch).await.map_err(slow)?
    }

    pub(super) async fn root(&self, number: u64) -> Result<Vec<u8>, FetchError> {
        self.document(&format!("root/{number}"), ROOT_BYTES_MAX).await
    }

    pub(super) async fn epoch(&self, number: u64) -> Result<Vec<u8>, FetchError> {
        self.document(&format!("epoch/{number}"), CHECKPOINT_BYTES_MAX).await
    }

    /// Reports the status of this replica to the upstream; failures are ignored.
    pub(super) async fn report(&self, report: &crate::api::status::ReplicaReport) -> bool {
        let request = self.http.post(format!("{}/replication/v1/report", self.base)).timeout(DOCUMENT_TIMEOUT);
        let request = self.authorized(request);
        match request.json(report).send().await {
            // A report rejected because of its content is not sent again.
            Ok(response) => !response.status().is_server_error(),
            Err(error) => {
                tracing::debug!(error = %error, "the upstream did not accept a status report");
                false
            }
        }
    }

    /// Sends a batch of telemetry; answers the last one that the primary has.
    pub(super) async fn send_telemetry(&self, query: &str, batch: Vec<u8>) -> Result<u64, SendFailure> {
        let request = self.http.post(format!("{}/replication/v1/telemetry?{query}", self.base));
        let request = request.timeout(BATCH_TIMEOUT).header(CONTENT_TYPE, PROOF_TYPE).body(batch);
        let request = match &self.replica {
            Some(replica) => request.header(REPLICA, replica),
            None => request,
        };
        let request = self.authorized(request);
        let response = request.send().await.map_err(|error| {
            tracing::debug!(error = %error, "the upstream did not accept telemetry");
            SendFailure::Unreachable
        })?;
        let status = response.status();
        if status.is_success() {
            let answer: Result<MergedTelemetry, _> = response.json().await;
            return answer.map(|answer| answer.merged).map_err(|_| SendFailure::Unreachable);
        }
        let code = problem_code(response).await.unwrap_or_default();
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SendFailure::Unreachable);
        }
        if code == ErrorCode::BatchOutOfTurn.as_str() {
            return Err(SendFailure::OutOfTurn);
        }
        Err(SendFailure::Refused(format!("{status} {code}")))
    }

    /// Shows the upstream the proof of a checkpoint; failures are ignored.
    pub(super) async fn show(&self, proof: Vec<u8>) {
        let request = self.http.post(format!("{}/replication/v1/view/{VIEW_ALL}/checkpoint", self.base));
        let request = request.timeout(DOCUMENT_TIMEOUT).header(CONTENT_TYPE, PROOF_TYPE).body(proof);
        let request = self.authorized(request);
        match request.send().await {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => tracing::debug!(status = %response.status(), "the upstream did not accept a checkpoint"),
            Err(error) => tracing::debug!(error = %error, "the upstream did not accept a checkpoint"),
        }
    }

    /// Polls for what follows a position, which also reports that position; the answer is a note after its length, then
    /// data.
    pub(super) async fn next(&self, after: Position, bust: Option<u64>) -> Result<PollResponse, FetchError> {
        let deadline = self.note_deadline;
        let slow =
            |_| (FetchFailure::Slow, format!("receiving the checkpoint took longer than {} s", deadline.as_secs()));
        tokio::time::timeout(deadline, self.note_of(after, bust)).await.map_err(slow)?
    }

    async fn note_of(&self, after: Position, bust: Option<u64>) -> Result<PollResponse, FetchError> {
        let query = bust.map(|bust| format!("?b={bust:016x}")).unwrap_or_default();
        let mut response = self.ask(&format!("view/{VIEW_ALL}/next/{after}{query}"), self.replica.as_ref()).await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let reconnect_ms = header("bookholder-reconnect-ms").and_then(|text| text.parse().ok());
        let short = || (FetchFailure::Malformed, "the response ends before its note does".to_owned());
        let mut buffer = Vec::new();
        loop {
            if let Some((length, rest)) = buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > CHECKPOINT_BYTES_MAX {
                    return Err((
                        FetchFailure::Malformed,
                        format!("the note is over the limit of {CHECKPOINT_BYTES_MAX} bytes"),
                    ));
                }
                if let Some((note, rest)) = rest.split_at_checked(length) {
                    let (note, mut first) = (note.to_vec(), Bytes::copy_from_slice(rest));
                    if first.is_empty() {
                        first = response.chunk().await.map_err(unreachable)?.unwrap_or_default();
                    }
                    let data = (!first.is_empty()).then_some(Data { response, first });
                    return Ok(PollResponse { note, reconnect_ms, data });
                }
            }
            buffer.extend_from_slice(&response.chunk().await.map_err(unreachable)?.ok_or_else(short)?);
        }
    }
}

impl Data {
    /// Reads all data, up to a limit.
    pub(super) async fn spool(mut self, bytes_max: u64, directory: &Path) -> Result<ReceivedData, FetchError> {
        let io = |error: std::io::Error| (FetchFailure::Malformed, format!("cannot write the data: {error}"));
        let mut spool = DataWriter::default();
        let (mut total, mut window_bytes) = (0_u64, 0_u64);
        let started = tokio::time::Instant::now();
        let mut window = started;
        let mut chunk = Some(std::mem::take(&mut self.first));
        while let Some(bytes) = chunk {
            total = total.saturating_add(bytes.len() as u64);
            window_bytes = window_bytes.saturating_add(bytes.len() as u64);
            if total > bytes_max {
                return Err((
                    FetchFailure::Malformed,
                    format!("received more than the {bytes_max} bytes that the checkpoint allows"),
                ));
            }
            spool.push(&bytes, directory).await.map_err(io)?;
            if window.elapsed() > SLOW_WINDOW {
                if window_bytes < SLOW_BYTES_MIN {
                    return Err((
                        FetchFailure::Slow,
                        format!("received only {window_bytes} bytes in {} s", SLOW_WINDOW.as_secs()),
                    ));
                }
                (window, window_bytes) = (tokio::time::Instant::now(), 0);
            }
            if started.elapsed() > DOWNLOAD_DEADLINE {
                return Err((
                    FetchFailure::Slow,
                    format!("receiving the data took longer than {} s", DOWNLOAD_DEADLINE.as_secs()),
                ));
            }
            chunk = self.response.chunk().await.map_err(unreachable)?;
        }
        spool.finish(total).await.map_err(io)
    }
}

/// Downloaded data.
pub(super) struct ReceivedData {
    bytes: u64,
    place: DataLocation,
}

/// Its storage: memory while it is small.
enum DataLocation {
    Memory(Vec<u8>),
    File(std::fs::File),
}

impl ReceivedData {
    /// Its size.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads it from the start.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        match self.place {
            DataLocation::Memory(memory) => Box::new(std::io::Cursor::new(memory)),
            DataLocation::File(file) => Box::new(std::io::BufReader::new(file)),
        }
    }
}

/// Writes data as it arrives; a slow disk blocks no other task.
#[derive(Default)]
struct DataWriter {
    memory: Vec<u8>,
    file: Option<tokio::fs::File>,
}

impl DataWriter {
    async fn push(&mut self, bytes: &[u8], directory: &Path) -> std::io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= SPOOL_MEMORY_BYTES {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let directory = directory.to_owned();
            let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(directory)).await;
            let file = self.file.insert(tokio::fs::File::from_std(made.map_err(std::io::Error::other)??));
            file.write_all(&std::mem::take(&mut self.memory)).await?;
            file
        };
        file.write_all(bytes).await
    }

    async fn finish(self, bytes: u64) -> std::io::Result<ReceivedData> {
        let Some(mut file) = self.file else {
            return Ok(ReceivedData { bytes, place: DataLocation::Memory(self.memory) });
        };
        file.flush().await?;
        file.rewind().await?;
        Ok(ReceivedData { bytes, place: DataLocation::File(file.into_std().await) })
    }
}

/// The code of an error response: unsigned, and only shown to the operator.
async fn problem_code(mut response: Response) -> Option<String> {
    let body = response.chunk().await.ok()??;
    let problem: serde_json::Value = serde_json::from_slice(body.get(..body.len().min(PROBLEM_BYTES_MAX))?).ok()?;
    let code = problem.get("code")?.as_str()?;
    let plain = (1..=40).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    plain.then(|| code.to_owned())
}

/// An error with its causes: `connection refused` says more than `error sending request`.
fn unreachable(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    if let Some(fault) = tls_fault(&error) {
        return (FetchFailure::Unreachable, format!("cannot trust the upstream: {fault}"));
    }
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    (FetchFailure::Unreachable, text)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// How long the test upstream is silent between two bytes.
    const DRIP: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn slow_answer_ends_at_the_deadline() {
        let _another_test_may_be_first = rustls::crypto::ring::default_provider().install_default();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".as_slice();
        let note = [&u32::to_be_bytes(16_000)[..], &[b'x'; 16_000]].concat();
        for (at_once, drips) in [(b"".as_slice(), [head, &note].concat()), (head, note)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let base = format!("http://{}", listener.local_addr().expect("its address"));
            let dripping = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                // An answer that begins before its request would be rejected.
                assert!(stream.read(&mut [0; 4_096]).await.expect("a request") > 0);
                stream.write_all(at_once).await.expect("sent");
                let mut bytes = 0;
                for byte in drips {
                    if stream.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    bytes += 1;
                    tokio::time::sleep(DRIP).await;
                }
                bytes
            });
            let upstream = Upstream::new(&base, None, None, "r").expect("an upstream");
            let upstream = Upstream { note_deadline: DRIP * 40, ..upstream };
            let Err((failure, detail)) = upstream.next(Position::default(), None).await else { panic!("no note came") };
            assert_eq!(failure, FetchFailure::Slow, "{detail}");
            assert!(detail.starts_with("receiving the checkpoint took longer than"), "{detail}");
            assert!(dripping.await.expect("no panic") > 1, "it was dripping");
        }
    }
}
