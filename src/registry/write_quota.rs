//! Limits how much each principal writes per minute, so that filling the disk takes long enough to be noticed.
//!
//! Counted in memory, as content is about to be written. The operator at the machine is not counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Actor, RegistryError};
use crate::clock::Clock;
use crate::model::principal::PrincipalKind;

/// Most bytes of contents, drafts and imports that one principal writes in a minute: four full imports.
pub(super) const WRITTEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
const MINUTE_MS: u64 = 60_000;
/// Number of principals tracked before those whose minute is over are dropped.
const REMEMBERED: usize = 1_000;

/// What each principal wrote in the minute that began with its first write.
pub(super) struct WriteQuota {
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<String, Window>>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    begin_ms: u64,
    bytes: u64,
}

impl WriteQuota {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    /// Counts bytes that a principal is about to write, or refuses them.
    pub(super) fn charge(&self, actor: &Actor, bytes: usize) -> Result<(), RegistryError> {
        if actor.kind == PrincipalKind::System {
            return Ok(());
        }
        let (now_ms, bytes) = (self.clock.monotonic_ms(), u64::try_from(bytes).unwrap_or(u64::MAX));
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let left_ms = |window: &Window| MINUTE_MS.saturating_sub(now_ms.saturating_sub(window.begin_ms));
        if windows.len() >= REMEMBERED {
            windows.retain(|_, window| left_ms(window) > 0);
        }
        let window = windows.entry(actor.name.clone()).or_insert(Window { begin_ms: now_ms, bytes: 0 });
        if left_ms(window) == 0 {
            *window = Window { begin_ms: now_ms, bytes: 0 };
        }
        let sum = window.bytes.saturating_add(bytes);
        if sum > WRITTEN_BYTES_MAX {
            let retry_after_s = left_ms(window).div_ceil(1_000).max(1);
            let actor = actor.name.clone();
            return Err(RegistryError::TooFast { actor, max_bytes: WRITTEN_BYTES_MAX, retry_after_s });
        }
        window.bytes = sum;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn each_principal_writes_64_mib_a_minute_and_the_operator_as_much_as_there_is() {
        let clock = ManualClock::at(0);
        let written = WriteQuota::new(Arc::new(clock.clone()));
        let person =
            |name: &str| Actor { name: name.to_owned(), kind: PrincipalKind::Person, ..Actor::operator("a test") };
        let half = usize::try_from(WRITTEN_BYTES_MAX / 2).expect("small");
        written.charge(&person("ann"), half).expect("half");
        clock.advance(20_000);
        written.charge(&person("ann"), half).expect("the other half");
        let refused = written.charge(&person("ann"), 1).expect_err("no more").to_string();
        assert_eq!(refused, "`ann` wrote 64 MiB in the last minute, the limit; try again in 40 s");
        written.charge(&person("bob"), half).expect("somebody else");
        written.charge(&Actor::operator("a test"), half * 9).expect("the operator");
        clock.advance(40_000);
        written.charge(&person("ann"), 1).expect("a minute later");
    }
}
