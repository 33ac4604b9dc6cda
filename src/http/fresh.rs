//! Headers that say which version an answer has, and how fresh the node is that gave it.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::status::Freshness;
use crate::resolve::freshness::{Freshly, FreshnessCell};

/// The version's number, in decimal.
pub(super) static VERSION: HeaderName = HeaderName::from_static("bookholder-version");
/// What the node holds, as `epoch.seq`.
pub(super) static POSITION: HeaderName = HeaderName::from_static("bookholder-position");
/// Seconds since the node's last verified contact with its upstream.
pub(super) static AGE: HeaderName = HeaderName::from_static("bookholder-age");
/// Whether the node is less fresh than it should be.
pub(super) static STALE: HeaderName = HeaderName::from_static("bookholder-stale");

/// What a node says of itself, written as headers once and for as long as it stays true.
pub(super) struct FreshHeaders {
    of: Arc<Freshly>,
    position: HeaderValue,
    age: HeaderValue,
    stale: HeaderValue,
}

impl FreshHeaders {
    pub(super) fn new(of: Arc<Freshly>) -> Self {
        let stale = matches!(of.freshness, Freshness::Stale | Freshness::Expired);
        Self {
            position: text(of.position.to_string()),
            age: of.age_s.into(),
            stale: HeaderValue::from_static(if stale { "true" } else { "false" }),
            of,
        }
    }

    /// Writes them anew when the node says something else by now.
    pub(super) fn refresh(&mut self, cell: &FreshnessCell) {
        if let Some(now) = cell.newer_than(&self.of) {
            *self = Self::new(now);
        }
    }

    /// Adds them to the headers of an answer.
    pub(super) fn add(&self, headers: &mut HeaderMap) {
        headers.insert(POSITION.clone(), self.position.clone());
        headers.insert(AGE.clone(), self.age.clone());
        headers.insert(STALE.clone(), self.stale.clone());
    }
}

/// A header of a text that this program made.
pub(super) fn text(text: impl Into<axum::body::Bytes>) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.into()).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::Position;

    #[test]
    fn headers_follow_what_the_node_says() {
        let freshly = |seq, age_s, freshness| Freshly { position: Position { epoch: 1, seq }, age_s, freshness };
        let cell = FreshnessCell::new(freshly(7, 0, Freshness::Fresh));
        let mut fresh = FreshHeaders::new(cell.load());
        let shown = |fresh: &FreshHeaders| {
            let mut headers = HeaderMap::new();
            fresh.add(&mut headers);
            [&POSITION, &AGE, &STALE].map(|name| headers[name].to_str().expect("ascii").to_owned())
        };
        assert_eq!(shown(&fresh), ["1.7", "0", "false"]);
        cell.store(freshly(8, 31, Freshness::Stale));
        fresh.refresh(&cell);
        assert_eq!(shown(&fresh), ["1.8", "31", "true"]);
    }
}
