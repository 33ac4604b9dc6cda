//! The limits of a rendering: one amount of work for all its texts, and a deadline.
//!
//! Work is counted in bytes that are created, read, captured and named; every value costs some bytes besides its text.
//! Every guard and every filter, test and function pays before it runs, so no step reads or creates more than is left,
//! and the deadline is checked about once in 16 KiB.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::listed::is_listed;
use crate::clock::Cancellation;

/// Most work of one rendering, all its texts together, in bytes.
pub(super) const WORK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Cost of a value besides its text, in bytes.
pub(super) const VALUE_BYTES: u64 = 32;
/// Maximum nesting of lists and objects.
const VALUE_DEPTH_MAX: usize = 130;
/// Work between two checks of the clock, in bytes: a fraction of a millisecond.
const LOOK_BYTES: u64 = 16 * 1024;
/// Marks a namespace, so that none is put into another: they could form a cycle that is never freed.
pub(super) const NAMESPACE_MARK: &str = "__namespace";

/// The remaining work of a rendering.
pub(super) struct Budget {
    left: AtomicU64,
    stop: Cancellation,
    stopped: AtomicBool,
}

impl Budget {
    pub fn new(work_bytes: u64, stop: Cancellation) -> Self {
        Self { left: AtomicU64::new(work_bytes), stop, stopped: AtomicBool::new(false) }
    }

    /// Whether the rendering ended because of its deadline.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The remaining work.
    #[cfg(test)]
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Spends some work, or ends the rendering.
    pub fn spend(&self, bytes: u64) -> Result<(), Error> {
        let before = self.left.load(Ordering::Relaxed);
        let Some(left) = before.checked_sub(bytes) else {
            return Err(refusal(format!("the template exceeds the limit of {WORK_BYTES_MAX} bytes of work")));
        };
        self.left.store(left, Ordering::Relaxed);
        if before.checked_div(LOOK_BYTES) != left.checked_div(LOOK_BYTES) && self.stop.is_due() {
            self.stopped.store(true, Ordering::Relaxed);
            return Err(refusal("rendering took too long".to_owned()));
        }
        Ok(())
    }

    /// Spends the weight of a value; a namespace counts only as itself.
    pub fn charge_value(&self, value: &Value) -> Result<(), Error> {
        if is_namespace(value) { self.spend(VALUE_BYTES) } else { self.descend(value, 0) }
    }

    /// Spends the cost of reading a whole value, including the contents of a namespace.
    pub fn read(&self, value: &Value) -> Result<(), Error> {
        if !is_namespace(value) {
            return self.descend(value, 0);
        }
        value.try_iter()?.try_for_each(|key| {
            self.descend(&key, 1)?;
            self.descend(&value.get_item(&key)?, 1)
        })
    }

    /// Spends the weight of a value without namespaces, and returns it.
    pub fn weigh_inside(&self, value: &Value) -> Result<u64, Error> {
        let before = self.left.load(Ordering::Relaxed);
        self.descend(value, 0)?;
        Ok(before.saturating_sub(self.left.load(Ordering::Relaxed)))
    }

    /// Spends the cost of looking at a value from outside: its text, or what a lazy list computes for each look; for a
    /// list or map no more than one value, whatever its size.
    pub fn charge_outer(&self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::String | ValueKind::Bytes => self.descend(value, 0),
            ValueKind::Seq | ValueKind::Iterable if !is_listed(value) => self.descend(value, 0),
            _ => self.spend(VALUE_BYTES),
        }
    }

    fn descend(&self, value: &Value, depth: usize) -> Result<(), Error> {
        self.spend(VALUE_BYTES)?;
        if let Some(text) = value.as_str() {
            return self.spend(length(text));
        }
        if depth > VALUE_DEPTH_MAX {
            return Err(refusal(format!("values are nested more than {VALUE_DEPTH_MAX} levels deep")));
        }
        let below = depth.saturating_add(1);
        match value.kind() {
            ValueKind::Bytes => self.spend(value.as_bytes().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(0))),
            ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|item| self.descend(&item, below)),
            ValueKind::Map if is_namespace(value) => {
                Err(refusal("a namespace cannot be stored in another value".to_owned()))
            }
            ValueKind::Map => value.try_iter()?.try_for_each(|key| {
                self.descend(&key, below)?;
                self.descend(&value.get_item(&key)?, below)
            }),
            _ => Ok(()),
        }
    }
}

fn is_namespace(value: &Value) -> bool {
    value.kind() == ValueKind::Map && value.get_attr(NAMESPACE_MARK).is_ok_and(|mark| !mark.is_undefined())
}

/// Why a template is stopped.
pub(super) fn refusal(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The bytes of a text.
pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
