//! One body of OTLP, read into what it says.

use super::batch::{Batch, DecodeError, Options};
use super::{json, proto};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// Reads a body of `/v1/traces`.
///
/// # Errors
/// Fails if the body cannot be decoded; a wrong span in a body is counted instead.
pub fn read_traces(body: &[u8], encoding: Encoding, options: &Options) -> Result<Batch, DecodeError> {
    let mut batch = Batch::default();
    match encoding {
        Encoding::Protobuf => proto::traces(body, options, &mut batch).map_err(|_| DecodeError::Protobuf)?,
        Encoding::Json => json::traces(body, options, &mut batch)?,
    }
    Ok(batch)
}

/// Reads a body of `/v1/logs`.
///
/// # Errors
/// Fails if the body cannot be decoded; a wrong record in a body is counted instead.
pub fn read_logs(body: &[u8], encoding: Encoding, options: &Options) -> Result<Batch, DecodeError> {
    let mut batch = Batch::default();
    match encoding {
        Encoding::Protobuf => proto::logs(body, options, &mut batch).map_err(|_| DecodeError::Protobuf)?,
        Encoding::Json => json::logs(body, options, &mut batch)?,
    }
    Ok(batch)
}

/// Reads a body of `/v1/metrics`, which is accepted and ignored.
///
/// # Errors
/// Fails if the body cannot be decoded.
pub fn read_metrics(body: &[u8], encoding: Encoding) -> Result<Batch, DecodeError> {
    match encoding {
        Encoding::Protobuf => proto::metrics(body).map_err(|_| DecodeError::Protobuf)?,
        Encoding::Json => json::metrics(body)?,
    }
    Ok(Batch::default())
}
