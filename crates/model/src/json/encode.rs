//! Writes a value as the bytes whose hash is a content ID.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// Writes a value without white space, its keys in their order.
///
/// # Errors
/// The value is not JSON: a key that is not a string, or a number that is not finite.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Numbers))?;
    Ok(bytes)
}

/// Formats floating-point numbers by a fixed rule instead of a library's defaults.
struct Numbers;

impl Formatter for Numbers {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(super::number::written(value).as_bytes())
    }
}
