//! Requests that are sent again: the same key with the same body is recorded once, and with another body refused.
//!
//! An item that has no ID is known by the key, its place and its content, so that nothing is lost where this node no
//! longer knows what came with a key: after a restart, or because another node took the first request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::IngestError;

/// Keys that are remembered with what came with them: about 2 MB.
const KEYS_MAX: usize = 32_768;

type Hash = [u8; 16];

/// What tells a request from others, as its caller says.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// The access token of the caller; none for one on the machine of this node.
    pub caller: Option<String>,
    /// The key.
    pub key: String,
}

/// The keys of the newest requests that were recorded.
#[derive(Debug, Default)]
pub(super) struct RequestKeys(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    bodies: HashMap<Hash, Hash>,
    oldest_first: VecDeque<Hash>,
}

/// A request with a key.
pub(super) struct Request {
    key: Hash,
    body: Hash,
    /// What each item is known by, if it has no ID.
    pub(super) items: Vec<Hash>,
}

impl Request {
    /// A request for `what`; callers on the machine of one node are others than those of another.
    pub(super) fn new<T: Serialize>(what: &str, key: &RequestKey, node: &str, items: &[T]) -> Self {
        let caller = match &key.caller {
            Some(token) => ["token", token],
            None => ["node", node],
        };
        let key = hash(&[what.as_bytes(), caller[0].as_bytes(), caller[1].as_bytes(), key.key.as_bytes()]);
        let place = |(index, item): (usize, &T)| {
            let index = u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes();
            hash(&[&key, &index, &serde_json::to_vec(item).unwrap_or_default()])
        };
        let items: Vec<Hash> = items.iter().enumerate().map(place).collect();
        Self { key, body: hash(&[items.as_flattened()]), items }
    }
}

impl RequestKeys {
    /// Refuses a request whose key came with another body.
    pub(super) fn check(&self, request: &Request) -> Result<(), IngestError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.bodies.get(&request.key) {
            Some(body) if *body != request.body => Err(IngestError::KeyReused),
            _ => Ok(()),
        }
    }

    /// Remembers a request that was recorded.
    pub(super) fn remember(&self, request: &Request) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.bodies.insert(request.key, request.body).is_none() {
            known.oldest_first.push_back(request.key);
        }
        while known.oldest_first.len() > KEYS_MAX {
            if let Some(oldest) = known.oldest_first.pop_front() {
                known.bodies.remove(&oldest);
            }
        }
    }
}

/// A hash of parts, each with its length.
fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("bookholder telemetry 2026 request");
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()).update(part);
    }
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(caller: Option<&str>, key: &str, node: &str, items: &[&str]) -> Request {
        let key = RequestKey { caller: caller.map(str::to_owned), key: key.to_owned() };
        Request::new("responses", &key, node, items)
    }

    #[test]
    fn key_with_another_body_is_refused_and_those_of_other_callers_are_not() {
        let keys = RequestKeys::default();
        let first = request(None, "batch-1", "a", &["one", "two"]);
        keys.check(&first).expect("nothing is known");
        keys.remember(&first);
        keys.check(&request(None, "batch-1", "a", &["one", "two"])).expect("the same again");
        for other in [&["one"][..], &["two", "one"], &["one", "two", "three"], &[]] {
            assert!(
                matches!(keys.check(&request(None, "batch-1", "a", other)), Err(IngestError::KeyReused)),
                "{other:?}"
            );
        }
        for (caller, key, node) in [(Some("a"), "batch-1", "a"), (None, "batch-1", "b"), (None, "batch-2", "a")] {
            let other = request(caller, key, node, &["one"]);
            keys.check(&other).expect("another key");
            assert_ne!(other.items[0], first.items[0]);
        }
        // A caller with a token is the same on every node.
        assert_eq!(request(Some("t"), "k", "a", &["x"]).items, request(Some("t"), "k", "b", &["x"]).items);
    }

    #[test]
    fn oldest_keys_are_forgotten_first() {
        let keys = RequestKeys::default();
        for number in 0..=KEYS_MAX {
            keys.remember(&request(None, &number.to_string(), "", &["one"]));
        }
        keys.check(&request(None, "0", "", &["two"])).expect("it is forgotten");
        let newest = request(None, &KEYS_MAX.to_string(), "", &["two"]);
        assert!(matches!(keys.check(&newest), Err(IngestError::KeyReused)));
    }
}
