//! HTTP/1.1 as bytes on a stream, so that a test controls exactly what is sent and sees exactly what is received.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::Value;

use super::contract;

/// What came back.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends a request and reads one answer, which must match the OpenAPI document; `None` if the other side closed
    /// without one.
    pub fn ask(mut stream: impl Read + Write, request: &[u8]) -> Option<Self> {
        // The other side may answer and close before it has read everything: its answer still counts.
        let _answered_early = stream.write_all(request);
        let answer = Self::read(stream)?;
        contract::check(request, &answer);
        Some(answer)
    }

    /// Reads one answer; `None` if the other side closed without one.
    pub fn read(stream: impl Read) -> Option<Self> {
        let mut stream = BufReader::new(stream);
        let head = head(&mut stream)?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Self { status, head, body: Vec::new() };
        match (answer.header("transfer-encoding"), answer.header("content-length")) {
            (Some("chunked"), _) => answer.body = chunks(&mut stream)?,
            (_, Some(length)) => {
                answer.body = vec![0; length.parse().ok()?];
                stream.read_exact(&mut answer.body).ok()?;
            }
            _ => {}
        }
        Some(answer)
    }

    /// One header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.text()))
    }

    /// The JSON of an answer that must be good.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}{}", self.head, self.text());
        self.json()
    }

    /// The problem of an answer, which must have this status and code: its detail, hint and errors.
    pub fn problem(&self, status: u16, code: &str) -> String {
        let shown = || format!("{}{}", self.head, self.text());
        assert_eq!(self.status, status, "{}", shown());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", shown());
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{}", shown());
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty() && problem["title"].is_string(), "{}", shown());
        let more = |value: &Value| if value.is_null() { String::new() } else { format!(" {value}") };
        format!("{detail}{}{}", more(&problem["hint"]), more(&problem["errors"]))
    }
}

/// Reads up to the empty line that ends a head.
pub fn head(stream: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn chunks(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(chunk.drain(..length));
    }
}
