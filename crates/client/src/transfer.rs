//! Downloads that are too large to hold in memory: the backup, the bundle and the report.
//!
//! Invariant: the data in the caller's writer is only complete if the call returns `Ok`.

use std::io::Write;

use reqwest::{Method, Response};

use super::{Client, ClientError, REQUEST_TIMEOUT};

impl Client {
    /// Streams a backup into `writer`, telling `progress` how many bytes have come and, if known, of how many.
    /// Returns their number.
    ///
    /// # Errors
    /// See [`ClientError`]; also when writing fails.
    pub async fn backup(
        &self,
        writer: &mut (dyn Write + Send),
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, ClientError> {
        let response = self.send(self.request(Method::GET, "/v1/backup")).await?;
        self.stream(response, u64::MAX, writer, progress).await
    }

    /// Streams a bundle that stays valid for `lifetime_days`, as a tar of at most `bytes_max` bytes. Returns their
    /// number.
    ///
    /// # Errors
    /// See [`ClientError`]; also when writing fails or the bundle is larger.
    pub async fn bundle(
        &self,
        lifetime_days: u32,
        bytes_max: u64,
        writer: &mut (dyn Write + Send),
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, ClientError> {
        let request = self.request(Method::POST, "/v1/bundle").query(&[("lifetime_days", lifetime_days)]);
        let response = self.send(request).await?;
        self.stream(response, bytes_max, writer, progress).await
    }

    /// Streams a report with its manifest into `writer`, as a tar of at most `bytes_max` bytes; `query` has the
    /// parameters of `GET /v1/report`. Returns their number.
    ///
    /// # Errors
    /// See [`ClientError`]; also when writing fails or the report is larger.
    pub async fn report(
        &self,
        query: &[(&str, String)],
        bytes_max: u64,
        writer: &mut (dyn Write + Send),
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, ClientError> {
        let response = self.send(self.request(Method::GET, "/v1/report").query(query)).await?;
        self.stream(response, bytes_max, writer, progress).await
    }

    pub(super) async fn stream(
        &self,
        mut response: Response,
        bytes_max: u64,
        writer: &mut (dyn Write + Send),
        progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, ClientError> {
        let total = response.content_length();
        let mut written: u64 = 0;
        loop {
            let chunk = tokio::time::timeout(REQUEST_TIMEOUT, response.chunk()).await;
            let chunk = chunk.map_err(|_| self.answer("the response ended early"))?;
            let Some(chunk) = chunk.map_err(|error| ClientError::sending(&self.server, error))? else { break };
            written = written.saturating_add(chunk.len() as u64);
            if written > bytes_max {
                return Err(self.answer(&format!("the response is longer than {bytes_max} bytes")));
            }
            writer.write_all(&chunk)?;
            progress(written, total);
        }
        writer.flush()?;
        Ok(written)
    }
}
