//! Every page there is. Pages are for people and may change; what programs call is in the other table.

use axum::routing::{get, post};

use super::super::router::Route;
use super::access::{archive, people, policies, roles, rules, tokens, webhooks, why};
use super::{
    about, assets, audit, deploy, diff, edit, import, lifecycle, live, merge, prompt, prompts, replicas, review,
    rollback, sign_in, sign_in_link,
};

/// Every page, what pages need, and what their forms are sent to.
#[rustfmt::skip]
pub(in crate::http) const ROUTES: &[Route] = &[
    ("GET",  "/ui",                 || get(assets::home)),
    ("GET",  "/ui/",                || get(prompts::prompts)),
    ("GET",  "/ui/prompts/{*name}", || get(prompt::prompt)),
    ("GET",  "/ui/diff/{*name}",    || get(diff::diff)),
    ("GET",  "/ui/new",             || get(edit::new)),
    ("GET",  "/ui/bring",           || get(import::form).post(import::bring)),
    ("GET",  "/ui/edit/{*name}",    || get(edit::edit).post(edit::act)),
    ("GET",  "/ui/merge/{*name}",   || get(merge::look).post(merge::settle)),
    ("GET",  "/ui/deploy/{*name}",  || get(deploy::look).post(deploy::act)),
    ("POST", "/ui/rollback",        || post(rollback::rollback)),
    ("POST", "/ui/retire",          || post(lifecycle::retire)),
    ("POST", "/ui/remove",          || post(lifecycle::remove)),
    ("POST", "/ui/describe",        || post(about::describe)),
    ("GET",  "/ui/review",          || get(review::queue)),
    ("GET",  "/ui/review/{id}",     || get(review::request).post(review::act)),
    ("GET",  "/ui/audit",           || get(audit::audit)),
    ("GET",  "/ui/access",                  || get(people::list).post(people::create)),
    ("GET",  "/ui/access/who/{name}",       || get(people::one).post(people::act)),
    ("GET",  "/ui/access/tokens",           || get(tokens::list).post(tokens::create)),
    ("GET",  "/ui/access/tokens/{name}",    || get(tokens::one).post(tokens::act)),
    ("GET",  "/ui/access/roles",            || get(roles::list).post(roles::create)),
    ("GET",  "/ui/access/roles/{name}",     || get(roles::one).post(roles::act)),
    ("GET",  "/ui/access/policies",         || get(policies::list)),
    ("GET",  "/ui/access/new-policy",       || get(policies::blank).post(policies::create)),
    ("GET",  "/ui/access/policies/{name}",  || get(policies::one).post(policies::act)),
    ("GET",  "/ui/access/rules",            || get(rules::list).post(rules::create)),
    ("GET",  "/ui/access/rules/{name}",     || get(rules::one).post(rules::act)),
    ("GET",  "/ui/access/webhooks",         || get(webhooks::list).post(webhooks::create)),
    ("GET",  "/ui/access/webhooks/{name}",  || get(webhooks::one).post(webhooks::act)),
    ("GET",  "/ui/access/archive",          || get(archive::look).post(archive::act)),
    ("GET",  "/ui/access/why",              || get(why::why)),
    ("GET",  "/ui/replicas",        || get(replicas::replicas)),
    ("POST", "/ui/report",          || post(audit::report)),
    ("GET",  "/ui/sign-in",         || get(sign_in::form).post(sign_in::sign_in)),
    ("GET",  "/ui/sign-in-link",    || get(sign_in_link::form).post(sign_in_link::sign_in)),
    ("POST", "/ui/sign-out",        || post(sign_in::sign_out)),
    ("GET",  "/ui/live",            || get(live::live)),
    ("GET",  "/ui/app.css",         || get(assets::style)),
    ("GET",  "/ui/app.js",          || get(assets::script)),
    ("GET",  "/ui/icon.svg",        || get(assets::icon)),
];
