//! Opens files beside the registry.

use std::time::Duration;

/// How long a file may still be open elsewhere: a node that stopped in this process closes its files soon after.
const CLOSING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Opens a file on a thread that can wait, or says why it cannot be used.
pub(super) async fn open<T: Send + 'static, E: std::error::Error + Send + 'static>(
    open: impl Fn() -> Result<T, E> + Send + 'static,
    is_in_use: fn(&E) -> bool,
) -> Result<T, String> {
    let wait = move || {
        for _ in 0..CLOSING.as_millis() / LOOK.as_millis() {
            match open() {
                Err(error) if is_in_use(&error) => std::thread::sleep(LOOK),
                opened => return opened,
            }
        }
        open()
    };
    let opened = tokio::task::spawn_blocking(wait).await.map_err(|error| error.to_string())?;
    opened.map_err(|error| error.to_string())
}
