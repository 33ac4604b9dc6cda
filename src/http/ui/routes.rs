//! Every page there is. Pages are for people and may change; what programs call is in the other table.

use axum::routing::{get, post};

use super::super::router::Route;
use super::{about, assets, audit, bring, diff, prompt, prompts, review, rollback, sign_in};

/// Every page, what pages need, and what their forms are sent to.
#[rustfmt::skip]
pub(in crate::http) const ROUTES: &[Route] = &[
    ("GET",  "/ui",                 || get(assets::home)),
    ("GET",  "/ui/",                || get(prompts::prompts)),
    ("GET",  "/ui/prompts/{*name}", || get(prompt::prompt)),
    ("GET",  "/ui/diff/{*name}",    || get(diff::diff)),
    ("POST", "/ui/describe",        || post(about::describe)),
    ("POST", "/ui/rollback",        || post(rollback::rollback)),
    ("GET",  "/ui/bring",           || get(bring::form).post(bring::bring)),
    ("POST", "/ui/propose",         || post(review::propose)),
    ("GET",  "/ui/review",          || get(review::queue)),
    ("GET",  "/ui/review/{id}",     || get(review::request).post(review::act)),
    ("GET",  "/ui/audit",           || get(audit::audit)),
    ("POST", "/ui/report",          || post(audit::report)),
    ("GET",  "/ui/sign-in",         || get(sign_in::form).post(sign_in::sign_in)),
    ("POST", "/ui/sign-out",        || post(sign_in::sign_out)),
    ("GET",  "/ui/app.css",         || get(assets::style)),
    ("GET",  "/ui/app.js",          || get(assets::script)),
    ("GET",  "/ui/icon.svg",        || get(assets::icon)),
];
