//! Work on a database with possibly torn pages: redb panics on some of them, and the panic becomes an error.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs work that may panic on a torn page. Nothing is printed, and the panic does not propagate.
///
/// The owner of the database must live outside of `work`, so that no destructor runs during unwinding.
///
/// # Errors
/// It panicked; with the panic message.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if GUARDED.get() {
                SAID.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| SAID.take());
    GUARDED.set(outer);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_panic_returns_its_message_and_restores_the_thread() {
        let inner = guarded(|| guarded(|| panic!("torn"))).expect("the outer one did not panic");
        let said: Result<(), String> = inner;
        assert!(said.expect_err("it panicked").contains("torn"));
        assert_eq!(guarded(|| 1), Ok(1));
        assert!(!GUARDED.get());
    }
}
