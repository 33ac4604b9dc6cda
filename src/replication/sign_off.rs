//! What a replica does when it is stopped: it sends the rest of its telemetry, and tells the primary that it has sent
//! everything, so that numbers do not wait for a replica that was removed.

use std::time::Duration;

use super::forwarding::Forwarding;
use super::reporting::Reports;

/// How long that may take; the stop goes on without it.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The last words of a replica that records telemetry.
pub struct SignOff {
    pub(super) forwarding: Forwarding,
    pub(super) reports: Reports,
}

impl SignOff {
    /// Sends and reports, once nothing more is recorded.
    pub async fn run(self) {
        let signed_off =
            tokio::time::timeout(TIMEOUT, async { self.forwarding.send_all().await && self.reports.sign_off().await });
        if !signed_off.await.unwrap_or(false) {
            tracing::info!("the primary does not have all telemetry of this replica; it is sent after the next start");
        }
    }
}
