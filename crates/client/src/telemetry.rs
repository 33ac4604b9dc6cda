//! Telemetry that is carried in files.

use std::io::Write;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::{Client, ClientError, paths};
use crate::api::erasure::{EraseTelemetryRequest, ErasedTelemetry};
use crate::api::telemetry::MergedTelemetry;
use crate::api::telemetry_files::{TelemetryKeyRequest, TelemetryProgress};

impl Client {
    /// Streams the telemetry that waits at a replica into `writer`. Returns the number of bytes; none at a primary.
    ///
    /// # Errors
    /// See [`ClientError`]; also when writing fails.
    pub async fn export_telemetry(
        &self,
        writer: &mut (dyn Write + Send),
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, ClientError> {
        let response = self.send(self.request(Method::GET, "/v1/telemetry/export")).await?;
        self.stream(response, u64::MAX, writer, progress).await
    }

    /// Trusts a key with the telemetry files of a replica.
    pub async fn trust_telemetry_key(&self, node: &str, key: &TelemetryKeyRequest) -> Result<(), ClientError> {
        self.done(self.request(Method::PUT, &paths::below("/v1/telemetry/keys", node)).json(key)).await
    }

    /// What the primary has of the telemetry of a replica.
    pub async fn telemetry_progress(&self, node: &str) -> Result<TelemetryProgress, ClientError> {
        self.call(self.request(Method::GET, &paths::below("/v1/telemetry/spools", node))).await
    }

    /// Erases inputs, outputs, sessions and users of recorded responses.
    pub async fn erase_telemetry(&self, what: &EraseTelemetryRequest) -> Result<ErasedTelemetry, ClientError> {
        self.post("/v1/telemetry/erasures", what).await
    }

    /// Stops waiting for the telemetry of a replica.
    pub async fn forget_telemetry_of(&self, replica: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::below("/v1/telemetry/replicas", replica))).await
    }

    /// Sends a batch of a telemetry file; `query` has the parameters of `POST /v1/telemetry/batches`.
    pub async fn import_telemetry(
        &self,
        query: &[(&str, String)],
        batch: Vec<u8>,
    ) -> Result<MergedTelemetry, ClientError> {
        let request = self.request(Method::POST, "/v1/telemetry/batches").query(query);
        self.call(request.header(CONTENT_TYPE, "application/octet-stream").body(batch)).await
    }
}
