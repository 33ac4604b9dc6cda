//! The pages about access: principals, permissions, and explanations.
//!
//! Every change is a command of the registry, as from every other entry point. A rejected form is shown again with the
//! error and the input.

pub(super) mod archive;
pub(super) mod people;
pub(super) mod policies;
mod policy_form;
pub(super) mod roles;
pub(super) mod rules;
pub(super) mod tokens;
pub(super) mod webhooks;
pub(super) mod why;

use std::fmt::Display;

use axum::response::Response;
use serde::Serialize;

use super::super::error::Failure;
use super::super::extract::{Params, blocking};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::Shared;
use super::html;
use super::visitor::{SubmittedForm, Visitor, redirect};
use crate::crypto::secret::AccessToken;
use crate::model::pattern::Pattern;
use crate::model::principal::Grant;
use crate::registry::{Actor, Registry, RegistryError};
use crate::web::form::{FormValues, Outcome, WHICH};
use crate::web::pages::access::ROWS;

/// The hint on a replica, which cannot do this.
const KEEPING: &str = "keeping access";
/// Number of principals that a field suggests.
const OFFERED_MAX: usize = 500;
/// Longest name to search for, in bytes.
const SOUGHT_BYTES_MAX: usize = 64;
const DAY_S: u64 = 24 * 3_600;
const HOUR_S: u64 = 3_600;

/// The registry, and the actor of the request.
fn asked<'v>(app: &Shared, visitor: &'v Visitor) -> Result<(Registry, &'v Actor), Failure> {
    let registry = primary(app, KEEPING)?;
    Ok((registry, visitor.actor().ok_or(RequestError::TokenMissing)?))
}

/// The confirmation, by the word in the URL.
fn done(word: Option<String>, said: &[(&'static str, &'static str)]) -> Outcome {
    Outcome { done: super::said(word, said), ..Outcome::default() }
}

/// Shows a page, with a confirmation if its URL has one.
pub(super) async fn show(
    mut params: Params,
    said: &[(&'static str, &'static str)],
    page: impl FnOnce(Outcome) -> Result<String, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    let outcome = done(params.text("done"), said);
    params.finish(&["done"])?;
    Ok(html(blocking(move || page(outcome)).await??))
}

/// Answers a form: redirects after success, or shows the page again with the error.
pub(super) async fn answer<const MAX: usize>(
    sent: &SubmittedForm<MAX>,
    typed: FormValues,
    did: Result<String, Failure>,
    page: impl FnOnce(&Visitor, Outcome) -> Result<String, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    match did {
        Ok(path) => Ok(redirect(&path)),
        Err(failure) => {
            let visitor = sent.visitor();
            blocking(move || again(failure, typed, |outcome| page(&visitor, outcome))).await?
        }
    }
}

/// Shows a page again with the error of its form; internal failures stay failures.
fn again(
    failure: Failure,
    typed: FormValues,
    page: impl FnOnce(Outcome) -> Result<String, Failure>,
) -> Result<Response, Failure> {
    let Some((status, refusal)) = failure.refusal() else { return Err(failure) };
    let page = page(Outcome { done: None, refused: Some(refusal), typed })?;
    let mut response = html(page);
    *response.status_mut() = status;
    Ok(response)
}

/// Which form of the page was sent.
pub(super) fn which(typed: &FormValues) -> &str {
    typed.get(WHICH)
}

/// A parsed field; absent if empty.
fn value<T: std::str::FromStr>(typed: &FormValues, name: &str, field: &'static str) -> Result<Option<T>, Failure>
where
    T::Err: Display,
{
    let text = typed.get(name).trim();
    let wrong = |error: T::Err| RequestError::FormValue { field, reason: error.to_string() };
    Ok((!text.is_empty()).then(|| text.parse().map_err(wrong)).transpose()?)
}

/// A required field.
fn required<T: std::str::FromStr>(typed: &FormValues, name: &str, field: &'static str) -> Result<T, Failure>
where
    T::Err: Display,
{
    let empty = || RequestError::FormValue { field, reason: "it is empty".to_owned() };
    Ok(value(typed, name, field)?.ok_or_else(empty)?)
}

/// The name of a new object, which must not exist yet.
pub(super) fn new_name(
    typed: &FormValues,
    what: &'static str,
    is_taken: impl FnOnce(&str) -> Result<bool, Failure>,
) -> Result<String, Failure> {
    let name = required::<String>(typed, "name", "Name")?;
    if is_taken(&name)? { Err(RegistryError::Exists { what, name }.into()) } else { Ok(name) }
}

/// The object with this name.
pub(super) fn named<T>(
    all: Vec<T>,
    what: &'static str,
    name: &str,
    name_of: impl Fn(&T) -> &str,
) -> Result<T, Failure> {
    let absent = || RegistryError::NotFound { what, name: name.chars().take(64).collect() };
    Ok(all.into_iter().find(|one| name_of(one) == name).ok_or_else(absent)?)
}

/// Holds a new secret for the one page of this session that shows it.
fn show_once(app: &Shared, sent: &SubmittedForm, page: &str, secret: Option<&str>) -> Result<(), Failure> {
    let lost = || RequestError::Task("the answer holds no secret".to_owned());
    let secret = secret.and_then(|secret| AccessToken::parse(secret).ok()).ok_or_else(lost)?;
    app.sessions.show_once(&sent.session, page, secret);
    Ok(())
}

/// A pattern field; empty means everything.
fn pattern(typed: &FormValues, name: &str, field: &'static str) -> Result<Pattern, Failure> {
    Ok(value(typed, name, field)?.unwrap_or_else(Pattern::everything))
}

/// A number of days or hours, in seconds; absent if empty.
fn seconds(typed: &FormValues, name: &str, field: &'static str, unit_s: u64) -> Result<Option<u64>, Failure> {
    Ok(value::<u64>(typed, name, field)?.map(|number| number.saturating_mul(unit_s)))
}

/// The grant in a form; absent if no role is selected.
fn grant(typed: &FormValues) -> Result<Option<Grant>, Failure> {
    let (prompts, labels) = (pattern(typed, "prompts", "Prompts")?, pattern(typed, "labels", "Labels")?);
    Ok(value::<String>(typed, "role", "Role")?.map(|role| Grant { role, prompts, labels }))
}

/// A hash of a value, to detect changes.
pub(super) fn fingerprint(one: &impl Serialize) -> String {
    blake3::hash(&serde_json::to_vec(one).unwrap_or_default()).to_hex().chars().take(32).collect()
}

/// Rejects a change if someone else changed the object since the page was made.
pub(super) fn unchanged(typed: &FormValues, now: &impl Serialize) -> Result<(), Failure> {
    if typed.get("seen") == fingerprint(now) {
        return Ok(());
    }
    let reason = "someone else changed this since you opened it; review the current values and save again";
    Err(RequestError::FormValue { field: "Not saved", reason: reason.to_owned() }.into())
}

pub(super) fn unknown_form() -> Failure {
    RequestError::FormField { field: WHICH }.into()
}

/// One page of a list by name: those that contain the search text, after a name.
fn page_of<T>(all: Vec<T>, name: impl Fn(&T) -> &str, sought: &str, after: &str) -> (Vec<T>, Option<String>) {
    let fits = |one: &T| name(one) > after && name(one).contains(sought);
    let mut rows: Vec<T> = all.into_iter().filter(fits).take(ROWS + 1).collect();
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next = rows.last().filter(|_| more).map(|last| name(last).to_owned());
    (rows, next)
}

/// The parameters of a list.
struct ListQuery {
    text: String,
    after: String,
}

impl ListQuery {
    fn read(params: &mut Params) -> Self {
        let mut take = |name| {
            let text = params.text(name).unwrap_or_default();
            text.trim().chars().take(SOUGHT_BYTES_MAX).collect::<String>()
        };
        Self { text: take("q"), after: take("after") }
    }

    const fn nothing() -> Self {
        Self { text: String::new(), after: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_continue_after_the_cursor() {
        let names: Vec<String> = (0..250).map(|number| format!("n{number:03}")).collect();
        let name = String::as_str;
        let (first, next) = page_of(names.clone(), name, "n", "");
        assert_eq!((first.len(), next.as_deref()), (100, Some("n099")));
        let (last, next) = page_of(names.clone(), name, "n", "n199");
        assert_eq!((last.len(), next), (50, None));
        assert_eq!(page_of(names, name, "24", "").0.len(), 13, "024, 124, 224, and 240 to 249");
    }

    #[test]
    fn fields_are_read_or_explained_by_their_names() {
        let mut typed = FormValues::default();
        typed.put("prompts", " support/** ");
        typed.put("days", "x");
        typed.put("role", "author");
        let given = grant(&typed).expect("a grant").expect("a role");
        assert_eq!(given.to_string(), "author on support/**");
        let wrong = seconds(&typed, "days", "Days", DAY_S).expect_err("no number").to_string();
        assert!(wrong.starts_with("Days: "), "{wrong}");
        assert_eq!(seconds(&typed, "hours", "Hours", HOUR_S).expect("nothing"), None);
        assert!(
            required::<String>(&typed, "name", "Name").expect_err("empty").to_string().contains("Name: it is empty")
        );
    }
}
