//! The fields of a protobuf message, read where they lie.
//!
//! The messages of OTLP are read by hand because a decoder that builds all of them first can be made to take a hundred
//! times the memory of what was sent: an empty span is two bytes on the wire and 250 in memory.

/// A message that ends before a field of it does, or that has a field of no known form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Raw<'a> {
    /// The bytes of a text, of bytes or of a message; none of a number.
    pub(super) const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32 => None,
        }
    }

    pub(super) const fn varint(self) -> Option<u64> {
        match self {
            Self::Varint(number) => Some(number),
            Self::Fixed64(_) | Self::Bytes(_) | Self::Fixed32 => None,
        }
    }
}

/// The fields of a message in the order in which they lie; ends after an error.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Raw<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Raw::Varint(self.number()?),
            1 => Raw::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Raw::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Raw::Fixed32
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Raw<'a>), Truncated>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Truncated);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a number as a varint.
pub(super) fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while let [low, ..] = number.to_le_bytes()
        && number >= 0x80
    {
        into.push(low | 0x80);
        number >>= 7;
    }
    into.extend(u8::try_from(number));
}

/// Appends a number as a field, unless it is 0.
pub(super) fn put_number(into: &mut Vec<u8>, field: u8, number: u64) {
    if number > 0 {
        into.push(field << 3);
        put_varint(into, number);
    }
}

/// Appends a text or a message as a field.
pub(super) fn put_bytes(into: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    into.push(field << 3 | 2);
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}
