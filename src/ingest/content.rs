//! Of which calls inputs and outputs are recorded.

use crate::telemetry::event::Response;

/// The whole, in the unit of samples.
const WHOLE: u16 = 1_000;

/// The part of calls whose inputs and outputs are recorded. All calls of a trace or a session are in it, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentSample(u16);

impl ContentSample {
    /// Of no call.
    pub const NONE: Self = Self(0);
    /// Of every call.
    pub const ALL: Self = Self(WHOLE);

    /// Of a part of calls, in thousandths.
    #[must_use]
    pub const fn of_per_mille(per_mille: u16) -> Self {
        Self(if per_mille > WHOLE { WHOLE } else { per_mille })
    }

    /// The part, in thousandths.
    #[must_use]
    pub const fn per_mille(self) -> u16 {
        self.0
    }

    /// Whether there is any such call.
    #[must_use]
    pub const fn takes_any(self) -> bool {
        self.0 > 0
    }

    /// Whether a call is one of them.
    #[must_use]
    pub fn takes(self, response: &Response) -> bool {
        let mut hasher = blake3::Hasher::new();
        match (&response.session, &response.span, &response.id) {
            (Some(session), ..) => hasher.update(session.as_bytes()),
            (None, Some(span), _) => hasher.update(&span.trace),
            (None, None, Some(id)) => hasher.update(id.as_bytes()),
            (None, None, None) => hasher.update(&response.ended_ms.to_le_bytes()),
        };
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes) % u64::from(WHOLE) < u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::SpanContext;

    #[test]
    fn sample_takes_its_part_of_traces_and_all_calls_of_each() {
        let call = |trace: u64, span: u8| {
            let mut bytes = [1; 16];
            bytes[..8].copy_from_slice(&trace.to_le_bytes());
            Response { span: Some(SpanContext { trace: bytes, span: [span; 8] }), ..Response::default() }
        };
        let tenth = ContentSample::of_per_mille(100);
        let taken = (0..10_000).filter(|trace| tenth.takes(&call(*trace, 1))).count();
        assert!((800..1_200).contains(&taken), "{taken}");
        assert!((0..1_000).all(|trace| tenth.takes(&call(trace, 1)) == tenth.takes(&call(trace, 2))));
        assert!((0..1_000).all(|trace| ContentSample::ALL.takes(&call(trace, 1))));
        assert!((0..1_000).all(|trace| !ContentSample::NONE.takes(&call(trace, 1))));
    }
}
