//! Reads server-sent events from chunks that are cut anywhere.
//!
//! Of an event only its data counts: the APIs of providers repeat its name in there.

/// Longest line and longest data of one event, in bytes.
pub(super) const EVENT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// An event or a line is longer than [`EVENT_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What is read so far.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Option<String>,
    /// Whether the last byte was a carriage return, so that a line feed after it ends no second line.
    after_cr: bool,
    begun: bool,
}

impl Events {
    /// Reads a chunk and returns the data of the events that it completes.
    pub(super) fn read(&mut self, chunk: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            let second = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if second => {}
                b'\n' | b'\r' => events.extend(self.end_line()?),
                _ if self.line.len() >= EVENT_BYTES_MAX => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The data of an event whose last line was complete, but without the empty line that ends an event.
    pub(super) fn end(mut self) -> Option<String> {
        self.data.take()
    }

    fn end_line(&mut self) -> Result<Option<String>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = if self.begun { &*text } else { text.strip_prefix('\u{feff}').unwrap_or(&text) };
        self.begun = true;
        if text.is_empty() {
            return Ok(self.data.take());
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() >= EVENT_BYTES_MAX => return Err(TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                data @ None => *data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        let mut read: Vec<String> = chunks.iter().flat_map(|chunk| events.read(chunk).expect("short events")).collect();
        read.extend(events.end());
        read
    }

    const STREAM: &str = "\u{feff}: hello\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: x\rdata:two\r\rid: 7\nretry: 5\n\n\
                          data\n\ndata: größe\n\ndata: [DONE]\n";

    #[test]
    fn comments_names_line_ends_and_many_lines_of_data_are_read() {
        assert_eq!(read(&[STREAM.as_bytes()]), ["{\"a\":\n1}", "two", "", "größe", "[DONE]"]);
    }

    #[test]
    fn event_that_is_cut_within_a_line_is_dropped() {
        assert_eq!(read(&[b"data: one\n\ndata: tw"]), ["one"]);
    }

    #[test]
    fn line_or_event_beyond_the_limit_is_refused() {
        let mut events = Events::default();
        let half = vec![b'x'; EVENT_BYTES_MAX / 2 + 1];
        assert!(events.read(b"data: ").and_then(|_| events.read(&half)).is_ok());
        assert_eq!(events.read(&half), Err(TooLong));
        let mut events = Events::default();
        let line = [b"data: ".as_slice(), &half, b"\n"].concat();
        assert!(events.read(&line).is_ok());
        assert_eq!(events.read(&line), Err(TooLong));
    }

    proptest! {
        #[test]
        fn chunks_cut_anywhere_mean_the_same(cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &STREAM.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks), read(&[STREAM.as_bytes()]));
        }
    }
}
