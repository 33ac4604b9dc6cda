//! What belongs to one trace and arrives in several bodies.
//!
//! Spans arrive when they end, so a call arrives before the span around it, and often in another request. Three things
//! need both: a prompt that is named on the outer span alone, an outer span that repeats the usage of the calls in it,
//! and a system text in a log record. So every span is remembered for some minutes, and a call that names no prompt
//! waits some seconds for the spans around it. All of it is bounded, and what does not fit goes on without waiting.

use std::collections::{HashMap, HashSet, VecDeque};

use super::batch::Batch;
use super::node::{Call, Inherited, Node};
use crate::event::{Event, Response, SpanContext};
use crate::system_text::{SentText, SystemText};

/// Spans around a span that are followed.
const DEPTH_MAX: usize = 64;
/// Rough size of a response without its texts, in bytes.
const RESPONSE_BYTES: usize = 1_024;
/// Turns that are kept for each call that may wait.
const TURNS_PER_PARKED: usize = 4;

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Spans that are remembered.
    pub spans: usize,
    /// Bytes of what they pass on.
    pub inherited_bytes: usize,
    /// How long a span is remembered, in milliseconds.
    pub span_ms: i64,
    /// Calls that wait.
    pub parked: usize,
    /// Calls of one trace that wait.
    pub parked_per_trace: usize,
    /// Bytes of calls that wait.
    pub parked_bytes: usize,
    /// How long a call waits, in milliseconds.
    pub park_ms: i64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            spans: 32_768,
            inherited_bytes: 4 * 1_048_576,
            span_ms: 10 * 60 * 1_000,
            parked: 4_096,
            parked_per_trace: 256,
            parked_bytes: 8 * 1_048_576,
            // Exporters send every five seconds.
            park_ms: 6_000,
        }
    }
}

/// What is known of a span.
#[derive(Debug, Default)]
struct Known {
    /// Whether the span itself has come, not just those in it.
    arrived: bool,
    parent: Option<[u8; 8]>,
    inherited: Option<Box<Inherited>>,
    system: Option<Box<SystemText>>,
    /// Whether a call of a model is in it.
    call_inside: bool,
    /// Whether a call with usage is in it.
    usage_inside: bool,
}

/// A call that waits.
#[derive(Debug)]
struct Parked {
    call: Box<Call>,
    until_ms: i64,
    bytes: usize,
}

/// The spans of the last minutes, and the calls that wait for others.
#[derive(Debug, Default)]
pub struct TraceMemory {
    limits: MemoryLimits,
    spans: HashMap<SpanContext, Known>,
    /// Spans in the order in which they were first heard of.
    order: VecDeque<(i64, SpanContext)>,
    inherited_bytes: usize,
    parked: HashMap<[u8; 16], Vec<Parked>>,
    /// Traces in the order in which calls of them began to wait; a trace stands here once a call.
    waiting: VecDeque<(i64, [u8; 16])>,
    parked_count: usize,
    parked_bytes: usize,
    /// Until when system texts in log records are expected, as there were some.
    logs_until_ms: i64,
}

/// What became of a body, or of the calls that waited.
#[derive(Debug, Default)]
pub struct Settled {
    /// What is in the body, as far as it is ready.
    pub ready: Vec<Event>,
    /// Calls of earlier bodies that wait no longer.
    pub released: Vec<Event>,
    /// Copies of the calls that wait from now on; they go to the disk, so that none is lost with this process.
    pub parked: Vec<Event>,
    /// Calls that waited, and repeat others.
    pub repeated: Vec<SpanContext>,
}

impl Settled {
    /// All events that are ready now.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        let Self { mut ready, released, .. } = self;
        ready.extend(released);
        ready
    }
}

/// Where a search among the spans around a call ended.
enum Found {
    /// The span is no call: it repeats the usage of the calls in it.
    Repeated,
    /// There is nothing to wait for: a prompt was found, or the outermost span says none.
    All,
    /// A span around it has not come.
    NotYet,
}

impl TraceMemory {
    /// An empty memory.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many calls wait.
    #[must_use]
    pub const fn parked(&self) -> usize {
        self.parked_count
    }

    /// Takes in a body: the events that are ready now, of it and of what waited for it.
    pub fn settle(&mut self, mut batch: Batch, now_ms: i64) -> Settled {
        let mut settled = Settled { ready: batch.take_scores().collect(), ..Settled::default() };
        let mut calls = Vec::new();
        let mut awaited = HashSet::new();
        for node in batch.nodes {
            if node.system.is_some() {
                self.logs_until_ms = now_ms.saturating_add(self.limits.span_ms);
            }
            self.remember(&node, now_ms);
            if self.parked.contains_key(&node.context.trace) {
                awaited.insert(node.context.trace);
            }
            calls.extend(node.call);
        }
        for call in &calls {
            if let Some(context) = call.response.span {
                self.mark(context, call.has_usage, now_ms);
            }
        }
        for mut call in calls {
            match self.look_around(&mut call, now_ms) {
                Found::Repeated => {}
                Found::All => settled.ready.push(Event::Response(call.response)),
                Found::NotYet => self.park(call, now_ms, &mut settled),
            }
        }
        for trace in awaited {
            self.retry(trace, now_ms, &mut settled);
        }
        self.forget(now_ms);
        settled
    }

    /// The calls that have waited long enough; call it about once a second.
    pub fn due(&mut self, now_ms: i64) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((until_ms, trace)) = self.waiting.front().copied() {
            // A clock that was set back must not hold calls back for long.
            if until_ms > now_ms && until_ms.saturating_sub(now_ms) <= self.limits.park_ms {
                break;
            }
            self.waiting.pop_front();
            self.release(trace, until_ms, &mut events);
        }
        self.forget(now_ms);
        events
    }

    /// All calls that wait, before the process ends.
    pub fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((_, trace)) = self.waiting.pop_front() {
            self.release(trace, i64::MAX, &mut events);
        }
        events
    }

    fn known(&mut self, context: SpanContext, now_ms: i64) -> &mut Known {
        let order = &mut self.order;
        self.spans.entry(context).or_insert_with(|| {
            order.push_back((now_ms, context));
            Known::default()
        })
    }

    fn remember(&mut self, node: &Node, now_ms: i64) {
        let mut more_bytes = 0;
        let known = self.known(node.context, now_ms);
        if node.is_span {
            known.arrived = true;
            known.parent = node.parent;
        }
        if let (None, Some(system)) = (&known.system, &node.system) {
            more_bytes += text_bytes(system);
            known.system = Some(system.clone());
        }
        if let (None, Some(inherited)) = (&known.inherited, &node.inherited) {
            more_bytes += inherited.bytes();
            known.inherited = Some(inherited.clone());
        }
        let (call, usage) = (known.call_inside, known.usage_inside);
        self.inherited_bytes += more_bytes;
        // Those in it came earlier, and could not be followed further than here.
        if node.is_span && call {
            self.mark(node.context, usage, now_ms);
        }
    }

    /// Says to the spans around a call that it is in them.
    fn mark(&mut self, from: SpanContext, usage: bool, now_ms: i64) {
        let mut inner = from;
        for _ in 0..DEPTH_MAX {
            let Some(parent) = self.spans.get(&inner).and_then(|known| known.parent) else { return };
            inner.span = parent;
            let known = self.known(inner, now_ms);
            if known.call_inside && (known.usage_inside || !usage) {
                return;
            }
            known.call_inside = true;
            known.usage_inside |= usage;
        }
    }

    /// Says of a call what is known of it and of the spans around it; finds out whether it repeats the calls in it.
    fn look_around(&self, call: &mut Call, now_ms: i64) -> Found {
        let known = call.response.span.and_then(|context| self.spans.get(&context));
        if known.is_some_and(|known| if call.has_usage { known.usage_inside } else { known.call_inside }) {
            return Found::Repeated;
        }
        let found = self.fill(&mut call.response);
        let claim = &call.response.claim;
        // Nothing but its text can say which prompt it was for, and that comes in a request of its own.
        if now_ms < self.logs_until_ms && !claim.names_prompt() && claim.system.is_none() {
            return Found::NotYet;
        }
        found
    }

    fn fill(&self, response: &mut Response) -> Found {
        let Some(mut at) = response.span else { return Found::All };
        let mut found =
            if response.claim.names_prompt() || response.parent.is_none() { Found::All } else { Found::NotYet };
        for depth in 0..DEPTH_MAX {
            let Some(known) = self
                .spans
                .get(&at)
                .filter(|known| known.arrived || known.inherited.is_some() || known.system.is_some())
            else {
                break;
            };
            if let (0, None, Some(system)) = (depth, response.claim.system, &known.system) {
                response.claim.system = Some(system.hash);
                response.system_text = Some(system.text.clone());
            }
            if let Some(inherited) = &known.inherited {
                inherited.fill(response);
            }
            match known.parent {
                Some(parent) if known.arrived => at.span = parent,
                _ => {
                    if known.arrived {
                        found = Found::All;
                    }
                    break;
                }
            }
        }
        if response.claim.names_prompt() { Found::All } else { found }
    }

    fn park(&mut self, call: Box<Call>, now_ms: i64, settled: &mut Settled) {
        let Some(trace) = call.response.span.map(|context| context.trace) else {
            settled.ready.push(Event::Response(call.response));
            return;
        };
        let of_body = call
            .response
            .body
            .as_deref()
            .map_or(0, |body| [&body.input, &body.output].into_iter().flatten().map(String::len).sum());
        let of_system = call.response.system_text.as_ref().map_or(0, SentText::bytes);
        let bytes = RESPONSE_BYTES + of_body + of_system;
        let of_trace = self.parked.get(&trace).map_or(0, Vec::len);
        let fits = self.parked_count < self.limits.parked
            && of_trace < self.limits.parked_per_trace
            && self.parked_bytes + bytes <= self.limits.parked_bytes
            // Turns of calls that wait no longer are here until their time.
            && self.waiting.len() < self.limits.parked.saturating_mul(TURNS_PER_PARKED);
        if !fits {
            settled.ready.push(Event::Response(call.response));
            return;
        }
        let until_ms = now_ms.saturating_add(self.limits.park_ms);
        self.parked_count += 1;
        self.parked_bytes += bytes;
        self.waiting.push_back((until_ms, trace));
        settled.parked.push(Event::Response(call.response.clone()));
        self.parked.entry(trace).or_default().push(Parked { call, until_ms, bytes });
    }

    /// Looks again whether calls of a trace still have to wait.
    fn retry(&mut self, trace: [u8; 16], now_ms: i64, settled: &mut Settled) {
        let Some(parked) = self.parked.remove(&trace) else { return };
        let mut waiting = Vec::new();
        for mut parked in parked {
            match self.look_around(&mut parked.call, now_ms) {
                Found::NotYet => waiting.push(parked),
                Found::All => self.unpark(parked, &mut settled.released),
                Found::Repeated => {
                    settled.repeated.extend(parked.call.response.span);
                    self.unpark(parked, &mut Vec::new());
                }
            }
        }
        if !waiting.is_empty() {
            self.parked.insert(trace, waiting);
        }
    }

    /// Lets the calls of a trace go whose time has come.
    fn release(&mut self, trace: [u8; 16], until_ms: i64, events: &mut Vec<Event>) {
        let Some(parked) = self.parked.remove(&trace) else { return };
        let (due, waiting): (Vec<_>, Vec<_>) = parked.into_iter().partition(|parked| parked.until_ms <= until_ms);
        for parked in due {
            self.unpark(parked, events);
        }
        if !waiting.is_empty() {
            self.parked.insert(trace, waiting);
        }
    }

    fn unpark(&mut self, parked: Parked, events: &mut Vec<Event>) {
        self.parked_count = self.parked_count.saturating_sub(1);
        self.parked_bytes = self.parked_bytes.saturating_sub(parked.bytes);
        events.push(Event::Response(parked.call.response));
    }

    /// Forgets the oldest spans, those that are too old and those that are too many.
    fn forget(&mut self, now_ms: i64) {
        while let Some((since_ms, context)) = self.order.front().copied() {
            let too_many = self.order.len() > self.limits.spans || self.inherited_bytes > self.limits.inherited_bytes;
            if !too_many && since_ms.abs_diff(now_ms) <= self.limits.span_ms.unsigned_abs() {
                break;
            }
            self.order.pop_front();
            let Some(known) = self.spans.remove(&context) else { continue };
            let inherited = known.inherited.map_or(0, |inherited| inherited.bytes());
            let system = known.system.map_or(0, |system| text_bytes(&system));
            self.inherited_bytes = self.inherited_bytes.saturating_sub(inherited + system);
        }
    }
}

fn text_bytes(system: &SystemText) -> usize {
    size_of::<SystemText>() + system.text.bytes()
}
