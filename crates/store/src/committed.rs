//! A durable group of commits: who signs it, and who hears of it.

use std::time::Duration;

use super::error::StoreError;
use super::read::{Head, ViewState};
use super::touched::Touched;
use super::write::WriteTxn;

/// The result of a commit, for readers' caches, long polls and event streams.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The position of the registry.
    pub head: Head,
    /// Count, size and hash of all entries.
    pub state: ViewState,
    /// Which prompts changed in the last group.
    pub touched: Touched,
    /// Duration of the group, from its first job until it was durable.
    pub took: Duration,
}

/// Signs every group of commits, inside its transaction.
pub type Seal = Box<dyn FnMut(&mut WriteTxn<'_>) -> Result<(), StoreError> + Send>;
/// Is notified of every group once it is durable, before its jobs are answered.
pub type Observer = Box<dyn Fn(&Committed) + Send>;
