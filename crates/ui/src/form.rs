//! What forms have in common: what was typed into one, and what came of it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::format::{sentence, with_code};

/// The field that says which form of a page was sent.
pub const WHICH: &str = "do";

/// The box that is ticked to deploy what the risk rules find something high or worse in.
pub const DESPITE_FINDINGS: &str = "despite_findings";

/// Why a form was refused, for its page to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormError {
    /// What is wrong.
    pub says: String,
    /// The single reasons, where there are several.
    pub errors: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The fields of a form, by their names; one that is not there reads as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormValues(BTreeMap<String, String>);

/// What came of a form that was sent before this page was made.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub done: Option<&'static str>,
    /// Why it was not.
    pub refused: Option<FormError>,
    /// What was typed into the form that was refused.
    pub typed: FormValues,
}

impl FormValues {
    /// What somebody sent.
    #[must_use]
    pub const fn new(fields: BTreeMap<String, String>) -> Self {
        Self(fields)
    }

    /// What stands in a field.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether a box is ticked.
    #[must_use]
    pub fn ticked(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Puts something into a field, where it is something.
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(name.into(), value);
        }
    }

    /// What stands in fields of a prefix, by the rest of their names.
    pub fn all<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

impl Outcome {
    /// What was typed into this form of the page; nothing where another one was sent.
    #[must_use]
    pub fn of(&self, which: &str) -> FormValues {
        if self.typed.get(WHICH) == which { self.typed.clone() } else { FormValues::default() }
    }

    /// Why it was refused, above everything else on the page.
    #[must_use]
    pub(super) fn note(&self) -> Markup {
        html! {
            @if let Some(refusal) = &self.refused { (refusal.note("Nothing was changed.")) }
        }
    }
}

impl FormError {
    /// Says it, after what became of the form all the same.
    #[must_use]
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

/// A field that people do not see.
#[must_use]
pub(super) fn hidden(name: &str, value: impl std::fmt::Display) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// What every form begins with: what shows that it is of this session.
#[must_use]
pub(super) fn session(form: &str) -> Markup {
    hidden("form", form)
}

/// The same, and which of the page's forms it is.
#[must_use]
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
