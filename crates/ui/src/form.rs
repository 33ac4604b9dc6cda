//! Common parts of forms: the input, and the result.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::format::{plain, sentence, with_code};

/// The field that identifies the form of a page.
pub const WHICH: &str = "do";

/// The checkbox that confirms deploying findings with a high risk or above.
pub const DESPITE_FINDINGS: &str = "despite_findings";

/// How times are written into fields.
pub const TIME_HINT: &str = "2026-11-28, 2026-11-28 07:00, 2h, yesterday or tuesday 15:00, in UTC";

/// A field for a time, which can be empty.
pub fn time_field(name: &str, value: &str) -> Markup {
    html! {
        input name=(name) value=(plain(value)) maxlength="64" autocomplete="off" spellcheck="false" title=(TIME_HINT);
    }
}

/// Why a form was rejected, for display.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormError {
    /// The error.
    pub says: String,
    /// The individual errors, if there are several.
    pub errors: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// The fields of a form, by name; a missing one reads as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormValues(BTreeMap<String, String>);

/// The result of a form that was sent before this page.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// A confirmation.
    pub done: Option<&'static str>,
    /// Why it was rejected.
    pub refused: Option<FormError>,
    /// The input of the rejected form.
    pub typed: FormValues,
}

impl FormValues {
    /// Submitted fields.
    #[must_use]
    pub const fn new(fields: BTreeMap<String, String>) -> Self {
        Self(fields)
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether a checkbox is ticked.
    #[must_use]
    pub fn ticked(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets a field, if there is a value.
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(name.into(), value);
        }
    }

    /// Sets a field, which may be empty.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Fields with a prefix, by the rest of their names.
    pub fn all<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl Outcome {
    /// The input of this form of the page; empty if another one was sent.
    pub fn of(&self, which: &str) -> FormValues {
        if self.typed.get(WHICH) == which { self.typed.clone() } else { FormValues::default() }
    }

    /// The error, above everything else on the page.
    pub(super) fn note(&self) -> Markup {
        html! {
            @if let Some(refusal) = &self.refused { (refusal.note("Nothing was changed.")) }
        }
    }
}

impl FormError {
    /// The error, after a part that succeeded.
    pub(super) fn note(&self, lead: &str) -> Markup {
        html! {
            div.note.bad role="alert" {
                p { b { (lead) " " } (with_code(&sentence(&self.says))) }
                @if !self.errors.is_empty() { ul { @for error in &self.errors { li { (with_code(error)) } } } }
                @if let Some(hint) = &self.hint { p { (with_code(&sentence(hint))) } }
            }
        }
    }
}

/// A hidden field.
pub(super) fn hidden(name: &str, value: impl std::fmt::Display) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// The start of every form: a token that ties it to the session.
pub(super) fn session(form: &str) -> Markup {
    hidden("form", form)
}

/// The same, with the name of the form.
pub(super) fn begin(form: &str, which: &str) -> Markup {
    html! { (session(form)) (hidden(WHICH, which)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_that_was_sent_gets_its_values_back() {
        let mut typed = FormValues::default();
        typed.put("do", "grant");
        typed.put("role", "author<b>");
        typed.put("nothing", "");
        typed.put("may.read", "yes");
        let refused = FormError { says: "`<b>` may not".to_owned(), errors: vec!["<i>".to_owned()], hint: None };
        let outcome = Outcome { done: None, refused: Some(refused), typed };
        assert_eq!((outcome.of("grant").get("role"), outcome.of("other").get("role")), ("author<b>", ""));
        assert!(!outcome.of("grant").ticked("nothing") && outcome.of("grant").ticked("may.read"));
        assert_eq!(outcome.of("grant").all("may.").collect::<Vec<_>>(), [("read", "yes")]);
        let note = outcome.note().0;
        assert!(
            note.contains("Nothing was changed. </b><code>&lt;b&gt;</code> may not.") && note.contains("<li>&lt;i&gt;"),
            "{note}"
        );
        assert_eq!(Outcome::default().note().0, "");
    }
}
