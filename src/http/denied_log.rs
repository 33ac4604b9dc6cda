//! Logs rejected access tokens, with their address and without the token, for programs that ban addresses.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::peer::Peer;
use super::request_id::RequestId;

/// Log lines per second: enough to identify an attacker, too few to fill a disk.
const LINES_PER_SECOND: u64 = 20;

static LINES: LineLimiter = LineLimiter::new();
/// When this program started to count.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Number of lines in the current second, and of lines suppressed since the last one.
struct LineLimiter {
    second: AtomicU64,
    count: AtomicU64,
    unlogged: AtomicU64,
}

impl LineLimiter {
    const fn new() -> Self {
        Self { second: AtomicU64::new(0), count: AtomicU64::new(0), unlogged: AtomicU64::new(0) }
    }

    /// Number of suppressed lines, if another line can be logged now.
    fn next(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.count.store(0, Ordering::Relaxed);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= LINES_PER_SECOND {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }
}

/// Logs that an access token of a request or a sign-in was rejected.
pub(super) fn log(peer: Peer, id: Option<RequestId>, signing_in: bool) {
    let Some(unlogged) = LINES.next(STARTED.elapsed().as_secs()) else { return };
    let client = peer.address.map_or_else(|| "unix-socket".to_owned(), |address| address.to_string());
    let request = id.map(tracing::field::display);
    let unlogged = (unlogged > 0).then_some(unlogged);
    tracing::warn!(%client, request, signing_in, unlogged, "rejected an access token");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_lines_a_second_are_logged_and_the_rest_is_counted() {
        let lines = LineLimiter::new();
        let logged = (0..25).filter(|_| lines.next(7).is_some()).count();
        assert_eq!((logged, lines.next(8), lines.next(8)), (20, Some(5), Some(0)));
    }
}
