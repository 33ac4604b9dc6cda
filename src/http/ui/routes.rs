//! All pages. They are for people and can change; the API has its own table.

use axum::routing::{get, post};

use super::super::route::Route;
use super::access::{archive, people, policies, roles, rules, tokens, webhooks, why};
use super::{
    about, alerts, assets, audit, deploy, diff, edit, evaluations, import, lifecycle, live, merge, observed,
    playground, promote, prompt, prompts, replicas, responses, review, rollback, sign_in, sign_in_link, usage,
};

/// All pages, their assets, and the targets of their forms.
#[rustfmt::skip]
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::new("GET",  "/ui",                 || get(assets::home)),
    Route::new("GET",  "/ui/",                || get(prompts::prompts)),
    Route::new("GET",  "/ui/prompts/{*name}", || get(prompt::prompt)),
    Route::new("GET",  "/ui/diff/{*name}",    || get(diff::diff)),
    Route::new("GET",  "/ui/new",             || get(edit::new)),
    Route::new("GET",  "/ui/bring",           || get(import::form).post(import::bring)),
    Route::new("GET",  "/ui/edit/{*name}",    || get(edit::edit).post(edit::act)),
    Route::new("GET",  "/ui/merge/{*name}",   || get(merge::look).post(merge::settle)),
    Route::new("GET",  "/ui/deploy/{*name}",  || get(deploy::look).post(deploy::act)),
    Route::new("GET",  "/ui/promote",         || get(promote::look).post(promote::act)),
    Route::new("POST", "/ui/rollback",        || post(rollback::rollback)),
    Route::new("POST", "/ui/retire",          || post(lifecycle::retire)),
    Route::new("POST", "/ui/remove",          || post(lifecycle::remove)),
    Route::new("POST", "/ui/describe",        || post(about::describe)),
    Route::new("GET",  "/ui/review",          || get(review::queue)),
    Route::new("GET",  "/ui/review/{id}",     || get(review::request).post(review::act)),
    Route::new("GET",  "/ui/evaluations",     || get(evaluations::list)),
    Route::new("GET",  "/ui/evaluations/{id}", || get(evaluations::run).post(evaluations::act)),
    Route::new("GET",  "/ui/suites/{name}",   || get(evaluations::suite).post(evaluations::start)),
    Route::new("GET",  "/ui/playground",      || get(playground::form).post(playground::ask)),
    Route::new("POST", "/ui/playground/keep", || post(playground::keep)),
    Route::new("GET",  "/ui/usage",           || get(usage::usage)),
    Route::new("GET",  "/ui/alerts",          || get(alerts::list).post(alerts::create)),
    Route::new("GET",  "/ui/alerts/{name}",   || get(alerts::one).post(alerts::act)),
    Route::new("GET",  "/ui/responses",       || get(responses::find)),
    Route::new("GET",  "/ui/responses/{id}",  || get(responses::response).post(responses::keep)),
    Route::new("GET",  "/ui/sessions/{id}",   || get(responses::session)),
    Route::new("GET",  "/ui/observed",        || get(observed::list)),
    Route::new("GET",  "/ui/observed/{id}",   || get(observed::one).post(observed::adopt)),
    Route::new("GET",  "/ui/audit",           || get(audit::audit)),
    Route::new("GET",  "/ui/access",                  || get(people::list).post(people::create)),
    Route::new("GET",  "/ui/access/who/{name}",       || get(people::one).post(people::act)),
    Route::new("GET",  "/ui/access/tokens",           || get(tokens::list).post(tokens::create)),
    Route::new("GET",  "/ui/access/tokens/{name}",    || get(tokens::one).post(tokens::act)),
    Route::new("GET",  "/ui/access/roles",            || get(roles::list).post(roles::create)),
    Route::new("GET",  "/ui/access/roles/{name}",     || get(roles::one).post(roles::act)),
    Route::new("GET",  "/ui/access/policies",         || get(policies::list)),
    Route::new("GET",  "/ui/access/new-policy",       || get(policies::blank).post(policies::create)),
    Route::new("GET",  "/ui/access/policies/{name}",  || get(policies::one).post(policies::act)),
    Route::new("GET",  "/ui/access/rules",            || get(rules::list).post(rules::create)),
    Route::new("GET",  "/ui/access/rules/{name}",     || get(rules::one).post(rules::act)),
    Route::new("GET",  "/ui/access/webhooks",         || get(webhooks::list).post(webhooks::create)),
    Route::new("GET",  "/ui/access/webhooks/{name}",  || get(webhooks::one).post(webhooks::act)),
    Route::new("GET",  "/ui/access/archive",          || get(archive::look).post(archive::act)),
    Route::new("GET",  "/ui/access/why",              || get(why::why)),
    Route::new("GET",  "/ui/replicas",        || get(replicas::replicas)),
    Route::new("POST", "/ui/report",          || post(audit::report)),
    Route::new("GET",  "/ui/sign-in",         || get(sign_in::form).post(sign_in::sign_in)),
    Route::new("GET",  "/ui/sign-in-link",    || get(sign_in_link::form).post(sign_in_link::sign_in)),
    Route::new("POST", "/ui/sign-out",        || post(sign_in::sign_out)),
    Route::new("GET",  "/ui/live",            || get(live::live)),
    Route::new("GET",  "/ui/app.css",         || get(assets::style)),
    Route::new("GET",  "/ui/app.js",          || get(assets::script)),
    Route::new("GET",  "/ui/icon.svg",        || get(assets::icon)),
];
