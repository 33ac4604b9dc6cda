//! Shares of limited resources: a limit in total, and one per client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::Failure;
use super::request::RequestError;

/// The owner of a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ShareHolder {
    /// An access token, by name.
    Token(String),
    /// All local clients without an access token.
    Local,
    /// All clients of one network without an access token, or with a shared one.
    Network(Option<IpAddr>),
}

/// Limits for one kind of resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareLimits {
    /// In all.
    pub(super) all: usize,
    /// Per access token.
    pub(super) token: usize,
    /// Per network, without an access token or with a shared one.
    pub(super) network: usize,
    /// For this machine without an access token: this may be many programs.
    pub(super) local: usize,
}

/// Counts one kind of thing; clones count together.
#[derive(Clone)]
pub(super) struct Shares {
    /// Its name in errors.
    what: &'static str,
    limits: ShareLimits,
    retry_after_s: u64,
    held: Arc<Mutex<ShareCounts>>,
}

#[derive(Default)]
struct ShareCounts {
    all: usize,
    by: HashMap<ShareHolder, usize>,
}

impl Shares {
    pub(super) fn new(what: &'static str, limits: ShareLimits) -> Self {
        Self { what, limits, retry_after_s: 10, held: Arc::default() }
    }

    /// Takes one, until the result is dropped.
    pub(super) fn take(&self, holder: ShareHolder) -> Result<Share, Failure> {
        self.take_many(holder, 1)
    }

    /// Takes several at once.
    pub(super) fn take_many(&self, holder: ShareHolder, number: usize) -> Result<Share, Failure> {
        let (what, retry_after_s) = (self.what, self.retry_after_s);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let max = match holder {
            ShareHolder::Token(_) => self.limits.token,
            ShareHolder::Network(_) => self.limits.network,
            ShareHolder::Local => self.limits.local,
        };
        if held.by.get(&holder).copied().unwrap_or(0).saturating_add(number) > max {
            return Err(RequestError::Share { what, max, retry_after_s }.into());
        }
        if held.all.saturating_add(number) > self.limits.all {
            return Err(RequestError::Full { what, retry_after_s }.into());
        }
        held.all += number;
        *held.by.entry(holder.clone()).or_default() += number;
        drop(held);
        Ok(Share { held: Arc::clone(&self.held), holder, number })
    }
}

/// A held share; released on drop.
pub(super) struct Share {
    held: Arc<Mutex<ShareCounts>>,
    holder: ShareHolder,
    number: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all = held.all.saturating_sub(self.number);
        if let Some(own) = held.by.get_mut(&self.holder) {
            *own = own.saturating_sub(self.number);
            if *own == 0 {
                held.by.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_limited_per_holder_and_in_total() {
        let shares = Shares::new("streams", ShareLimits { all: 5, token: 2, network: 1, local: 3 });
        let token = |name: &str| ShareHolder::Token(name.to_owned());
        let says = |taken: Result<Share, Failure>| taken.err().map(|failure| failure.to_string());
        let mut ann = vec![shares.take(token("ann")), shares.take(token("ann"))];
        let third = says(shares.take(token("ann"))).expect("refused");
        assert!(third.contains("2 streams"), "{third}");
        let _local: Vec<_> = (0..3).map(|_| shares.take(ShareHolder::Local).expect("of those here")).collect();
        let full = says(shares.take(token("bob"))).expect("refused");
        assert!(full.contains("too many streams"), "{full}");
        drop(ann.pop());
        let bob = shares.take(token("bob"));
        assert!(bob.is_ok(), "what was given back can be had");
        let network = ShareHolder::Network(None);
        let one = shares.take(network.clone());
        assert!(one.is_err(), "all together have what there is");
        drop(ann);
        let one = shares.take(network.clone()).expect("room");
        assert!(says(shares.take(network)).expect("refused").contains("1 streams"));
        drop((one, bob));
        assert_eq!(shares.held.lock().expect("counts").by.len(), 1, "who has none is forgotten");
    }
}
