//! Headers for the version of a response and the freshness of this node.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::status::Freshness;
use crate::resolve::freshness::{FreshnessCell, FreshnessReport};

/// The version's number, in decimal.
pub(super) static VERSION: HeaderName = HeaderName::from_static("bookholder-version");
/// The position of the node, as `epoch.seq`.
pub(super) static POSITION: HeaderName = HeaderName::from_static("bookholder-position");
/// Seconds since the node's last verified contact with its upstream.
pub(super) static AGE: HeaderName = HeaderName::from_static("bookholder-age");
/// Whether the node is stale or expired.
pub(super) static STALE: HeaderName = HeaderName::from_static("bookholder-stale");

/// Headers about the node, cached for as long as they are current.
pub(super) struct FreshHeaders {
    of: FreshnessReport,
    position: HeaderValue,
    age: HeaderValue,
    stale: HeaderValue,
}

impl FreshHeaders {
    pub(super) fn new(of: FreshnessReport) -> Self {
        let stale = of.freshness != Freshness::Fresh;
        Self {
            position: text(of.position.to_string()),
            age: of.age_s.into(),
            stale: HeaderValue::from_static(if stale { "true" } else { "false" }),
            of,
        }
    }

    /// Updates them if they are no longer current; returns whether they were not.
    pub(super) fn refresh(&mut self, cell: &FreshnessCell) -> bool {
        let now = cell.now();
        let is_new = now != self.of;
        if is_new {
            *self = Self::new(now);
        }
        is_new
    }

    /// Adds them to the headers of an answer.
    pub(super) fn add(&self, headers: &mut HeaderMap) {
        headers.insert(POSITION.clone(), self.position.clone());
        headers.insert(AGE.clone(), self.age.clone());
        headers.insert(STALE.clone(), self.stale.clone());
    }
}

/// A header from text made by this program.
pub(super) fn text(text: impl Into<axum::body::Bytes>) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.into()).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::position::Position;
    use crate::resolve::freshness::{FreshnessInputs, UpstreamContact};

    #[test]
    fn cached_headers_of_a_connection_follow_time_and_position() {
        let clock = ManualClock::at(0);
        let at = |seq| Position { epoch: 1, seq };
        let mut following = UpstreamContact {
            started_monotonic_ms: 0,
            expires_ms: Some(i64::MAX),
            lifetime_ms: u64::MAX,
            contact: None,
            signed: None,
            well_since_ms: None,
        };
        following.contacted(&clock);
        let facts = FreshnessInputs { position: at(7), started_ms: 0, outdated: false, following: Some(following) };
        let cell = FreshnessCell::new(facts, Arc::new(clock.clone()));
        let mut fresh = FreshHeaders::new(cell.now());
        let shown = |fresh: &FreshHeaders| {
            let mut headers = HeaderMap::new();
            fresh.add(&mut headers);
            [&POSITION, &AGE, &STALE].map(|name| headers[name].to_str().expect("ascii").to_owned())
        };
        assert_eq!(shown(&fresh), ["1.7", "0", "false"]);
        cell.update(|facts| facts.position = at(8));
        clock.advance(41_000);
        fresh.refresh(&cell);
        assert_eq!(shown(&fresh), ["1.8", "41", "true"]);
    }
}
