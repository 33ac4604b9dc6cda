//! Which prompts are called one after the other in the same traces, among the newest calls.

use std::collections::{BTreeMap, HashMap};

use redb::ReadableTable;

use super::codec::unpack;
use super::tables::BLOCKS;
use super::{TelemetryError, TelemetryStore};
use crate::event::{Attribution, Event};
use crate::model::name::PromptName;

/// Most events that are looked at, and most blocks: those of a quiet node have few events.
const EVENTS_MAX: usize = 4_096;
const BLOCKS_MAX: usize = 1_024;
/// Fewest traces that say something.
const TRACES_MIN: u64 = 3;

/// When the first call of a prompt in a trace began and ended, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    from_ms: i64,
    to_ms: i64,
}

impl TelemetryStore {
    /// The prompts whose first call in a trace began after that of another had ended, and in how many of the newest
    /// traces; those in few are left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn followed_by(&self, prompt: &PromptName) -> Result<BTreeMap<PromptName, u64>, TelemetryError> {
        self.read(|txn| {
            let blocks = txn.open_table(BLOCKS)?;
            let mut traces: HashMap<[u8; 16], BTreeMap<PromptName, Span>> = HashMap::new();
            let mut looked = 0;
            for entry in blocks.iter()?.rev().take(BLOCKS_MAX) {
                let events: Vec<Event> = unpack(entry?.1.value())?;
                looked += events.len();
                for event in events {
                    let Event::Response(response) = event else { continue };
                    let (Some(span), Attribution::Version(found)) = (response.span, response.attribution) else {
                        continue;
                    };
                    let took_ms = i64::try_from(response.latency_us.unwrap_or(0) / 1_000).unwrap_or(i64::MAX);
                    let to_ms = response.ended_ms;
                    let one = Span { from_ms: to_ms.saturating_sub(took_ms), to_ms };
                    let first = traces.entry(span.trace).or_default().entry(found.prompt).or_insert(one);
                    if one.from_ms < first.from_ms {
                        *first = one;
                    }
                }
                if looked >= EVENTS_MAX {
                    break;
                }
            }
            let mut followed: BTreeMap<PromptName, u64> = BTreeMap::new();
            for calls in traces.values() {
                let Some(first) = calls.get(prompt) else { continue };
                // Of calls without a length at the same time, none is the first.
                let is_after = |call: &Span| call.from_ms >= first.to_ms && call.from_ms > first.from_ms;
                for (other, _) in calls.iter().filter(|(other, call)| *other != prompt && is_after(call)) {
                    *followed.entry(other.clone()).or_default() += 1;
                }
            }
            followed.retain(|_, traces| *traces >= TRACES_MIN);
            Ok(followed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOON, recorded, response};
    use super::super::{Role, TelemetryStore};
    use super::*;
    use crate::event::{Response, SpanContext};

    /// A call of a prompt in a trace, for a second from a time on.
    fn call(prompt: &str, trace: u8, second: i64) -> Response {
        let mut call = response(&format!("{prompt} {trace} {second}"), 1, NOON + (second + 1) * 1_000);
        let span = u8::try_from(second + 1).expect("a small number") + if prompt == "a/first" { 0 } else { 100 };
        call.span = Some(SpanContext { trace: [trace; 16], span: [span; 8] });
        if let Attribution::Version(found) = &mut call.attribution {
            found.prompt = prompt.parse().expect("a name");
        }
        call
    }

    #[tokio::test]
    async fn prompt_that_is_called_after_another_in_three_traces_follows_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = TelemetryStore::open(folder.path(), Role::Keep).expect("a store");
        for trace in 1..=3 {
            // The second one is called again and again; what counts is which one was first.
            let calls = [("a/first", 0), ("a/second", 1), ("a/first", 2), ("a/second", 3), ("a/beside", 0)];
            let calls = calls.map(|(prompt, second)| recorded(call(prompt, trace, second)));
            store.record(calls.to_vec(), NOON).await.expect("recorded");
        }
        let rare = [call("a/first", 9, 0), call("a/rare", 9, 5)].map(recorded);
        store.record(rare.to_vec(), NOON).await.expect("recorded");
        let follow = |name: &str| store.followed_by(&name.parse().expect("a name")).expect("readable");
        assert_eq!(follow("a/first"), BTreeMap::from([("a/second".parse().expect("a name"), 3)]));
        assert_eq!(follow("a/second"), BTreeMap::new());
        assert_eq!(follow("a/unknown"), BTreeMap::new());
    }
}
