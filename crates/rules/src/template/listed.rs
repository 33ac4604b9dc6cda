//! Lists in memory, which replace the engine's lazy lists.
//!
//! The engine concatenates and slices lists lazily. A loop that does so repeatedly piles up iterators, and a single
//! access then goes through all of them: for an empty list, at no weight.

use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};

/// A materialized list; templates see no difference.
#[derive(Debug)]
struct Listed(Vec<Value>);

impl Object for Listed {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

/// Whether a list is already in memory.
pub(super) fn is_listed(value: &Value) -> bool {
    value.is_tuple()
        || value.downcast_object_ref::<Vec<Value>>().is_some()
        || value.downcast_object_ref::<Listed>().is_some()
}

/// The same value with nothing lazy at its top level.
pub(super) fn laid_out(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Seq if !is_listed(&value) => Ok(value.try_iter()?.collect::<Vec<Value>>().into()),
        ValueKind::Iterable if !is_listed(&value) => Ok(Value::from_object(Listed(value.try_iter()?.collect()))),
        _ => Ok(value),
    }
}
