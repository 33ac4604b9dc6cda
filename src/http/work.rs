//! Runs the work of requests on limited threads, with deadlines.
//!
//! Short reads and heavy work (rendering, comparing, merging, searching, batches, and pages that do these) have
//! separate threads, so that neither short reads nor the polls of replicas wait for heavy work. Heavy work has a short
//! queue beyond which requests are rejected, ends at a deadline where it checks for one, and is cancelled when its
//! client disconnects. Large answers share one memory budget until they are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::Failure;
use super::request::RequestError;
use super::shares::{Share, ShareHolder, ShareLimits, Shares};
use crate::clock::{Cancellation, Clock};

/// Concurrent heavy work per CPU core: enough to use all of them while some wait for the disk.
const HEAVY_PER_CORE: usize = 4;
/// Queue length for heavy work, per CPU core.
const WAITING_PER_CORE: usize = 16;
/// Longest time in the queue.
const WAITS: Duration = Duration::from_secs(2);
/// Deadline of heavy work, in milliseconds, for work that checks it.
const HEAVY_MS_MAX: u64 = 5_000;
/// Concurrent short reads; further ones wait.
const READS_MAX: usize = 64;
/// Answers of at least this size, in bytes, count against the budget of answers being sent.
const LARGE_BYTES: u64 = 64 * 1024;
/// Memory for large answers until they are sent, in bytes. One access token can have two of the largest answers (a
/// batch of 16 MiB), and several may share an address.
const UNSENT_BYTES_MAX: ShareLimits =
    ShareLimits { all: 256 * MIB, token: 36 * MIB, network: 64 * MIB, local: 192 * MIB };
const MIB: usize = 1024 * 1024;
/// Chunk size of a large answer, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// `Retry-After` beyond these limits, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Held while doing heavy work.
type HeavyPermit = OwnedSemaphorePermit;

/// Permits for the work of a process.
pub(super) struct WorkPermits {
    clock: Arc<dyn Clock>,
    heavy: Arc<Semaphore>,
    waiting: Semaphore,
    unsent: Shares,
}

impl WorkPermits {
    /// As many as the CPU cores of this machine allow.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (heavy, waiting) = (cores.saturating_mul(HEAVY_PER_CORE), cores.saturating_mul(WAITING_PER_CORE));
        Self::with(clock, heavy, waiting, UNSENT_BYTES_MAX)
    }

    fn with(clock: Arc<dyn Clock>, heavy: usize, waiting: usize, unsent_bytes: ShareLimits) -> Self {
        Self {
            clock,
            heavy: Arc::new(Semaphore::new(heavy)),
            waiting: Semaphore::new(waiting),
            unsent: Shares::new("bytes of large answers", unsent_bytes),
        }
    }

    /// A permit for heavy work, after waiting if necessary.
    async fn turn(&self) -> Result<HeavyPermit, Failure> {
        if let Ok(permit) = Arc::clone(&self.heavy).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        match tokio::time::timeout(WAITS, Arc::clone(&self.heavy).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy().into()),
        }
    }

    /// Runs heavy work when it is its turn; the work checks the given `Cancellation` in its loops.
    pub(super) async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cancellation) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.turn().await?;
        let waits = WaitPermit(Cancellation::after(Arc::clone(&self.clock), HEAVY_MS_MAX));
        let stop = waits.0.clone();
        let done = off_async(Box::new(move || {
            let _permit = permit;
            (!stop.is_due()).then(|| work(&stop))
        }));
        done.await?.ok_or_else(|| busy().into())
    }

    /// Runs heavy work when it is its turn, and serializes its answer on the same thread: a diff of two long texts has
    /// megabytes, which must not block the async threads.
    pub(super) async fn heavy_json<T, E>(
        &self,
        work: impl FnOnce(&Cancellation) -> Result<T, E> + Send + 'static,
    ) -> Result<SerializedAnswer, Failure>
    where
        T: serde::Serialize,
        Failure: From<E>,
    {
        let work = move |stop: &Cancellation| {
            let written = serde_json::to_vec(&work(stop)?).map_err(|error| RequestError::Task(error.to_string()))?;
            Ok(SerializedAnswer(written.into()))
        };
        self.heavy(work).await?
    }

    /// Counts a large answer until it is sent, or rejects it if there are too many.
    pub(super) fn counted(&self, holder: ShareHolder, response: Response) -> Response {
        let Some(bytes) = large_bytes(response.body()) else { return response };
        match self.unsent.take_many(holder, usize::try_from(bytes).unwrap_or(usize::MAX)) {
            Ok(share) => {
                let share = Arc::new(share);
                let mut response = count(response, Arc::clone(&share));
                response.extensions_mut().insert(share);
                response
            }
            Err(failure) => failure.into_response(),
        }
    }

    /// Transforms the body of a large answer, off the async threads; it stays counted until the new body is sent.
    pub(super) async fn rewritten(
        turn: HeavyPermit,
        rewrite: impl Future<Output = Result<Response<Bytes>, Failure>> + Send + 'static,
    ) -> Result<Response, Failure> {
        let runtime = tokio::runtime::Handle::current();
        let work = move || {
            let _turn = turn;
            runtime.block_on(rewrite)
        };
        let response = off_async(Box::new(work)).await??.map(Body::from);
        let share = response.extensions().get::<Arc<Share>>().cloned();
        Ok(match share {
            Some(share) => count(response, share),
            None => response,
        })
    }

    /// A permit for heavy work, if one is free now.
    pub(super) fn turn_now(&self) -> Option<HeavyPermit> {
        Arc::clone(&self.heavy).try_acquire_owned().ok()
    }
}

/// The length of a large body.
pub(super) fn large_bytes(body: &Body) -> Option<u64> {
    body.size_hint().exact().filter(|bytes| *bytes >= LARGE_BYTES)
}

fn count(response: Response, share: Arc<Share>) -> Response {
    response.map(|body| Body::new(AccountedBody { body, rest: Bytes::new(), _share: share }))
}

#[cfg(test)]
impl WorkPermits {
    /// Takes all permits and the whole queue, until dropped.
    pub(super) fn fill(&self) -> (Vec<HeavyPermit>, tokio::sync::SemaphorePermit<'_>) {
        let places = self.waiting.available_permits();
        let queue = self.waiting.try_acquire_many(places.try_into().expect("few")).expect("no request is waiting");
        (std::iter::from_fn(|| self.turn_now()).collect(), queue)
    }
}

const fn busy() -> RequestError {
    RequestError::Busy { what: "too many expensive requests", retry_after_s: RETRY_AFTER_S }
}

/// Held while waiting for heavy work.
struct WaitPermit(Cancellation);

impl Drop for WaitPermit {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// An answer that was serialized where it was computed.
pub(super) struct SerializedAnswer(Bytes);

impl IntoResponse for SerializedAnswer {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.0).into_response()
    }
}

/// Runs long work that is limited elsewhere; it is notified when the client disconnects.
pub(super) async fn abandonable<T: Send + 'static>(
    work: impl FnOnce(Cancellation) -> T + Send + 'static,
) -> Result<T, Failure> {
    let waits = WaitPermit(Cancellation::never());
    let stop = waits.0.clone();
    off_async(Box::new(move || work(stop))).await
}

/// Runs a short read, such as a database query, on a thread that can block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    short_read(Box::new(work)).await
}

async fn short_read<T: Send + 'static>(work: BoxedWork<T>) -> Result<T, Failure> {
    static READS: Semaphore = Semaphore::const_new(READS_MAX);
    let turn = READS.acquire().await.map_err(|error| RequestError::Task(error.to_string()))?;
    off_async(Box::new(move || {
        let _turn = turn;
        work()
    }))
    .await
}

/// Work whose type is only its result, so that the runtime's code for a task is compiled once and not for each closure.
type BoxedWork<T> = Box<dyn FnOnce() -> T + Send>;

/// Runs work on a thread that can block.
async fn off_async<T: Send + 'static>(work: BoxedWork<T>) -> Result<T, Failure> {
    let (answer, done) = oneshot::channel();
    let task: BoxedWork<()> = Box::new(move || {
        // Whoever asked may have gone.
        let _unheard = answer.send(work());
    });
    let task = tokio::task::spawn_blocking(task);
    if let Ok(done) = done.await {
        return Ok(done);
    }
    let why = task.await.map_or_else(|error| error.to_string(), |()| "it was cancelled".to_owned());
    Err(RequestError::Task(why).into())
}

/// A body that is sent in chunks, so that its memory counts until nearly all of it is sent.
struct AccountedBody {
    body: Body,
    rest: Bytes,
    _share: Arc<Share>,
}

impl http_body::Body for AccountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let piece = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        self.body.size_hint().exact().map_or_else(SizeHint::new, |left| SizeHint::with_exact(left.saturating_add(rest)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;
    use crate::clock::ManualClock;

    const NOTHING: ShareLimits = ShareLimits { all: 0, token: 0, network: 0, local: 0 };

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ManualClock::default())
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    }

    #[test]
    fn heavy_work_beyond_the_queue_is_turned_away_with_a_time_to_come_again() {
        runtime().block_on(async {
            let work = Arc::new(WorkPermits::with(clock(), 1, 1, NOTHING));
            let (release, held) = mpsc::channel::<()>();
            let (started, running) = oneshot::channel();
            let first = {
                let work = Arc::clone(&work);
                tokio::spawn(async move {
                    work.heavy(move |_| {
                        let _ = started.send(());
                        held.recv().is_ok()
                    })
                    .await
                })
            };
            running.await.expect("the first is at work");
            let second = {
                let work = Arc::clone(&work);
                tokio::spawn(async move { work.heavy(|_| 2).await })
            };
            while work.waiting.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = work.heavy(|_| 3).await.expect_err("there is no room").into_response();
            let refused = super::super::error::finish(refused, super::super::request_id::RequestId::new(7, 1));
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(refused.headers().contains_key("retry-after"));
            release.send(()).expect("the first still waits");
            assert!(first.await.expect("no panic").expect("done"));
            assert_eq!(second.await.expect("no panic").expect("its turn came"), 2);
        });
    }

    #[test]
    fn disconnect_cancels_running_work_and_drops_queued_work() {
        runtime().block_on(async {
            let work = Arc::new(WorkPermits::with(clock(), 1, 8, NOTHING));
            let (started, running) = oneshot::channel();
            let (ended, end) = oneshot::channel();
            let first = {
                let work = Arc::clone(&work);
                tokio::spawn(async move {
                    work.heavy(move |stop| {
                        let _ = started.send(());
                        while !stop.is_due() {
                            std::thread::yield_now();
                        }
                        let _ = ended.send(());
                    })
                    .await
                })
            };
            running.await.expect("the first is at work");
            let (touched, never) = mpsc::channel::<()>();
            let second = {
                let work = Arc::clone(&work);
                tokio::spawn(async move { work.heavy(move |_| touched.send(())).await })
            };
            while work.waiting.available_permits() == 8 {
                tokio::task::yield_now().await;
            }
            second.abort();
            let _gone = second.await;
            first.abort();
            end.await.expect("the work ended");
            work.heavy(|_| ()).await.expect("the turn was given back");
            assert_eq!(never.try_recv(), Err(mpsc::TryRecvError::Disconnected), "it never started");
        });
    }

    #[test]
    fn large_answers_count_until_they_are_sent_in_all_and_for_each_network() {
        runtime().block_on(async {
            let size = usize::try_from(LARGE_BYTES).expect("small");
            let work = WorkPermits::with(
                clock(),
                1,
                1,
                ShareLimits { all: 4 * size, token: 2 * size, network: 3 * size, local: size },
            );
            let here = || ShareHolder::Network(Some([192, 0, 2, 1].into()));
            let there = || ShareHolder::Network(Some([198, 51, 100, 1].into()));
            let answer = |bytes: usize| Response::new(Body::from(vec![b'x'; bytes]));
            let status = |holder, bytes| work.counted(holder, answer(bytes)).status();
            let first = work.counted(here(), answer(2 * size + 1));
            assert_eq!(first.body().size_hint().exact(), Some(LARGE_BYTES * 2 + 1));
            assert!(!status(here(), size).is_success(), "of one network");
            assert!(!status(there(), 2 * size).is_success(), "of all");
            assert!(!status(ShareHolder::Local, 2 * size).is_success(), "of this machine");
            assert_eq!(status(there(), size), StatusCode::OK);
            assert_eq!(status(here(), size - 1), StatusCode::OK, "small ones do not count");
            let sent = first.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(sent.len(), 2 * size + 1);
            assert_eq!(status(here(), 3 * size), StatusCode::OK);
        });
    }
}
