//! Telemetry: what applications report about the responses of models, and what is counted per version.
//!
//! Applications report [`event::Event`]s, as OpenTelemetry or in our own JSON. Each is attributed to the version that
//! produced it where it arrives, priced, kept for a while, and counted in rollups that are kept for long.

#![forbid(unsafe_code)]

pub mod alerts;
pub mod event;
pub mod moments;
pub mod observed;
pub mod otlp;
pub mod parquet;
pub mod price;
pub mod rollup;
pub mod sketch;
pub mod stats;
pub mod store;
pub mod system_text;
pub mod tally;
pub mod text_pattern;

use bookholder_model::{api, json, model};
