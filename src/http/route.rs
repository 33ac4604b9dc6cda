//! One operation of the interface.

use axum::routing::MethodRouter;

use super::state::App;

/// One operation: its method, path and handler.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) answer: fn() -> MethodRouter<App>,
}

impl Route {
    pub(super) const fn new(method: &'static str, path: &'static str, answer: fn() -> MethodRouter<App>) -> Self {
        Self { method, path, answer }
    }
}
