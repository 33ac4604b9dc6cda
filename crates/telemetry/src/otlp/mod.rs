//! OpenTelemetry as it arrives: the bodies of OTLP/HTTP in, [`Event`]s and what was wrong out.
//!
//! [`read_traces`] and [`read_logs`] read one body each and know nothing of others; [`TraceMemory`] puts together what
//! belongs to one trace and arrives in several bodies. Nothing here does I/O or knows the time: it is passed in.
//!
//! No body makes these functions panic, or take much more memory than its own size: what exceeds a limit is left out
//! and counted. One wrong span takes no other with it.
//!
//! [`Event`]: crate::event::Event

mod answer;
mod attributes;
mod batch;
mod content;
mod export;
mod json;
mod memory;
mod names;
mod node;
mod proto;
mod read;
mod reason;
mod record;
mod score;
mod span;
mod usage;
mod value;
mod wire;
mod write;

pub use answer::{RpcCode, accepted, answer, refused};
pub use batch::{Batch, DecodeError, Options, Signal};
pub use content::{recorded_content, system_text_of_input};
pub use export::{Export, export};
pub use memory::{MemoryLimits, Settled, TraceMemory};
pub use read::{Encoding, read_logs, read_metrics, read_traces};
pub use reason::{Reason, Rejected};

/// Spans, or log records, of one request; exporters send 512, collectors up to 8,192. Those above it are rejected.
pub const ITEMS_MAX: u64 = 20_000;
/// Attributes of one span that are kept while it is read, of those whose names are known; the rest is left out.
pub const ATTRIBUTES_MAX: usize = 256;
/// Parts of flattened lists, such as `gen_ai.prompt.0.content`, that are kept while a span is read.
pub const FLATTENED_MAX: usize = 2_048;
/// Events of one span that are looked at.
pub const SPAN_EVENTS_MAX: usize = 256;
/// Longest value of an attribute, in bytes; longer ones are left out. Conversations with images in them are long.
pub const VALUE_BYTES_MAX: usize = 1_048_576;
/// How deep lists and maps may lie in each other in a value; deeper ones are left out.
pub const NESTING_MAX: usize = 32;
/// Scores of one span.
pub const SPAN_SCORES_MAX: usize = 64;
/// Longest recorded input or output, in bytes; longer ones lose their middle.
pub const BODY_BYTES_MAX: usize = 65_536;
/// How far in the future a time may lie, in milliseconds; clocks differ.
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1_000;
/// The earliest time that is believed, in milliseconds since 1970: the year 2000.
pub const EARLIEST_MS: i64 = 946_684_800_000;
/// The longest duration that is believed, in microseconds: a day.
pub const LATENCY_US_MAX: u64 = 86_400_000_000;
/// The largest cost of one response that is believed, in dollars; pico-dollars of it fit into 64 bits.
pub const COST_USD_MAX: f64 = 1e6;
