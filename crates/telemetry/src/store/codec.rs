//! Bytes of what is stored and sent: one byte of form, then bincode, compressed where it is large.

use std::fmt;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::TelemetryError;
use crate::event::{Body, Event};
use crate::rollup::{Rollup, ScoreRollup, Series, Spend, TokenSums, Total, Volume};
use crate::sketch::Sketch;

/// The form of everything that this program writes.
const FORM: u8 = 1;
/// Most bytes that anything may have when it is decompressed.
const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Level of zstd: what is faster compresses hardly less.
const COMPRESSION: i32 = 1;

/// Encodes a value.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, TelemetryError> {
    let mut bytes = vec![FORM];
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .map_err(|error| TelemetryError::Encoding(error.to_string()))?;
    Ok(bytes)
}

/// Decodes a value; bytes behind it are an error.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TelemetryError> {
    let refuse = |reason: &str| TelemetryError::Encoding(reason.to_owned());
    let (&form, body) = bytes.split_first().ok_or_else(|| refuse("it is empty"))?;
    if form != FORM {
        return Err(refuse("it was written by a newer program"));
    }
    let config = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();
    let (value, read) = bincode::serde::decode_from_slice(body, config).map_err(|error| refuse(&error.to_string()))?;
    if read == body.len() { Ok(value) } else { Err(refuse("it has trailing bytes")) }
}

/// Encodes and compresses a value.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, TelemetryError> {
    zstd::bulk::compress(&encode(value)?, COMPRESSION).map_err(|error| TelemetryError::Encoding(error.to_string()))
}

/// Decompresses and decodes a value.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TelemetryError> {
    let plain = zstd::bulk::decompress(bytes, DECODED_BYTES_MAX)
        .map_err(|error| TelemetryError::Encoding(error.to_string()))?;
    decode(&plain)
}

/// Most events of one batch.
pub const BATCH_EVENTS_MAX: usize = 2_000;

/// Reads no more events than a batch may have: they take many times the memory of their bytes.
fn some_events<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Recorded>, D::Error> {
    struct EventList;
    impl<'de> Visitor<'de> for EventList {
        type Value = Vec<Recorded>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {BATCH_EVENTS_MAX} events")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Self::Value, A::Error> {
            let mut read = Vec::new();
            while let Some(event) = events.next_element()? {
                if read.len() >= BATCH_EVENTS_MAX {
                    return Err(A::Error::custom("a batch has too many events"));
                }
                read.push(event);
            }
            Ok(read)
        }
    }
    deserializer.deserialize_seq(EventList)
}

/// A batch of events as a replica sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// When the replica recorded them, in milliseconds since 1970.
    pub at_ms: i64,
    /// The events, with what makes each recognizable when it comes again; at most [`BATCH_EVENTS_MAX`].
    #[serde(deserialize_with = "some_events")]
    pub events: Vec<Recorded>,
}

/// An event, and what makes it recognizable when it comes again, where that is not an id of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// Of the request and the place in it, where a request can be repeated.
    pub repeat: Option<[u8; 16]>,
}

impl Batch {
    /// The bytes to send.
    ///
    /// # Errors
    /// It is too large.
    pub fn encode(&self) -> Result<Vec<u8>, TelemetryError> {
        pack(self)
    }

    /// Reads bytes from another node; its events are within the limits of this one afterwards.
    ///
    /// # Errors
    /// They are not a batch, or one of a newer program.
    pub fn decode(bytes: &[u8]) -> Result<Self, TelemetryError> {
        let mut batch: Self = unpack(bytes)?;
        batch.events.iter_mut().for_each(|recorded| recorded.event.limit());
        Ok(batch)
    }
}

/// A rollup as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredRollup {
    calls: u64,
    errors: u64,
    priced: u64,
    cost_pico_usd: u128,
    counted_input: u64,
    counted_output: u64,
    tokens: TokenSums,
    latency_us: Vec<u8>,
    first_token_us: Vec<u8>,
    scores: Vec<(String, ScoreRollup)>,
}

/// The bytes of a rollup: equal rollups have equal bytes.
pub(super) fn encode_rollup(rollup: &Rollup) -> Result<Vec<u8>, TelemetryError> {
    let sketch = |sketch: &Sketch| {
        let mut bytes = Vec::new();
        sketch.encode(&mut bytes);
        bytes
    };
    encode(&StoredRollup {
        calls: rollup.calls,
        errors: rollup.errors,
        priced: rollup.priced,
        cost_pico_usd: rollup.cost_pico_usd,
        counted_input: rollup.counted_input,
        counted_output: rollup.counted_output,
        tokens: rollup.tokens,
        latency_us: sketch(&rollup.latency_us),
        first_token_us: sketch(&rollup.first_token_us),
        scores: rollup.scores.iter().map(|(name, score)| (name.clone(), score.clone())).collect(),
    })
}

/// Reads the bytes of a rollup.
pub(super) fn decode_rollup(bytes: &[u8]) -> Result<Rollup, TelemetryError> {
    let stored: StoredRollup = decode(bytes)?;
    let sketch = |bytes: &[u8]| Sketch::decode(bytes).map_err(|error| TelemetryError::Encoding(error.to_string()));
    Ok(Rollup {
        calls: stored.calls,
        errors: stored.errors,
        priced: stored.priced,
        cost_pico_usd: stored.cost_pico_usd,
        counted_input: stored.counted_input,
        counted_output: stored.counted_output,
        tokens: stored.tokens,
        latency_us: sketch(&stored.latency_us)?,
        first_token_us: sketch(&stored.first_token_us)?,
        scores: stored.scores.into_iter().collect(),
    })
}

/// The bytes of calls and cost, with which those of a rollup begin.
pub(super) fn encode_spend(rollup: &Rollup) -> Result<Vec<u8>, TelemetryError> {
    encode(&(rollup.calls, rollup.errors, rollup.priced, rollup.cost_pico_usd))
}

/// Reads calls and cost alone, also from a rollup.
pub(super) fn decode_spend(bytes: &[u8]) -> Result<Spend, TelemetryError> {
    let (calls, errors, priced, cost_pico_usd) = decode_start(bytes)?;
    Ok(Spend { calls, errors, priced, cost_pico_usd })
}

/// Reads calls, cost and tokens alone from a rollup.
pub(super) fn decode_volume(bytes: &[u8]) -> Result<Volume, TelemetryError> {
    let (calls, errors, priced, cost_pico_usd, counted_input, counted_output, tokens) = decode_start(bytes)?;
    Ok(Volume { spend: Spend { calls, errors, priced, cost_pico_usd }, counted_input, counted_output, tokens })
}

/// Reads what a rollup begins with.
fn decode_start<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TelemetryError> {
    let refuse = |reason: &str| TelemetryError::Encoding(reason.to_owned());
    let body = bytes.strip_prefix(&[FORM]).ok_or_else(|| refuse("it is not a rollup of this program"))?;
    let start = bincode::serde::decode_from_slice(body, bincode::config::standard());
    start.map(|(start, _)| start).map_err(|error| refuse(&error.to_string()))
}

/// The number of a series and the series, as they are stored.
pub(super) fn encode_series(number: u32, series: &Series) -> Result<Vec<u8>, TelemetryError> {
    encode(&(number, series))
}

/// Reads a number and its series.
pub(super) fn decode_series(bytes: &[u8]) -> Result<(u32, Series), TelemetryError> {
    decode(bytes)
}

/// The number of a total and the total, as they are stored.
pub(super) fn encode_total(number: u32, total: &Total) -> Result<Vec<u8>, TelemetryError> {
    encode(&(number, total))
}

/// Reads a number and its total.
pub(super) fn decode_total(bytes: &[u8]) -> Result<(u32, Total), TelemetryError> {
    decode(bytes)
}

/// Takes the bodies out of events, for a table of their own.
pub(super) fn split_bodies(events: &mut [Event]) -> Vec<(u8, Box<Body>)> {
    let mut bodies = Vec::new();
    for (index, event) in events.iter_mut().enumerate() {
        if let Event::Response(response) = event
            && let Some(body) = response.body.take()
            && let Ok(index) = u8::try_from(index)
        {
            bodies.push((index, body));
        }
    }
    bodies
}
