//! Writes messages of protobuf, and attributes of OTLP.

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// A message, or fields of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Adds the fields of another.
    pub(super) fn append(&mut self, fields: &Self) {
        self.0.extend_from_slice(&fields.0);
    }

    pub(super) fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn number(&mut self, field: u64, number: u64) {
        self.tag(field, VARINT);
        self.varint(number);
    }

    pub(super) fn fixed(&mut self, field: u64, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn varint(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.0.push(low & 0x7f);
            }
            self.0.push(low | 0x80);
        }
    }
}

/// Attributes as a repeated field of a message.
#[derive(Debug)]
pub(super) struct Attributes {
    field: u64,
    written: Message,
}

impl Attributes {
    pub(super) fn new(field: u64) -> Self {
        Self { field, written: Message::default() }
    }

    pub(super) fn message(&self) -> &Message {
        &self.written
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.add(key, |value| value.text(1, text));
    }

    pub(super) fn optional(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub(super) fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.add(key, |value| value.number(3, number));
        }
    }

    pub(super) fn double(&mut self, key: &str, number: f64) {
        self.add(key, |value| value.fixed(4, number.to_bits()));
    }

    fn add(&mut self, key: &str, write: impl FnOnce(&mut Message)) {
        let (mut value, mut pair) = (Message::default(), Message::default());
        write(&mut value);
        pair.text(1, key);
        pair.message(2, &value);
        self.written.message(self.field, &pair);
    }
}
