//! The interface of a content: the effect of a change on callers, as a semantic version bump.
//!
//! Major is what makes a caller's request or its parsing of the answer fail; minor is what a caller can use; patch is
//! wording. Removing a variable is minor: rendering ignores unused variables with a remark. So is adding a placeholder:
//! without messages it is empty. Removing a placeholder is major: messages that a caller sends would be lost. Compares
//! declarations, so both contents' variables must be complete. Does not compare texts.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::content::{Body, Content, Variable, VariableType};
use crate::model::version::{Bump, InterfaceChange};

/// Most listed reasons.
const REASONS_MAX: usize = 20;

/// The declared bump is too small for the change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("declared as {declared}, but this is a {required} change: {}; declare {required}", reasons.join("; "))]
pub struct InterfaceError {
    /// The declared bump.
    pub declared: Bump,
    /// The required bump.
    pub required: Bump,
    /// Why.
    pub reasons: Vec<String>,
}

/// The effect of a change, with the reasons; none for a patch.
pub fn between(previous: &Content, next: &Content) -> InterfaceChange {
    let mut changes = Changes::default();
    changes.kind(previous, next);
    changes.variables(previous, next);
    changes.placeholders(previous, next);
    changes.response(previous, next);
    changes.model_and_tools(previous, next);
    let Changes { major, minor } = changes;
    let (bump, mut reasons) = match (major.is_empty(), minor.is_empty()) {
        (false, _) => (Bump::Major, major),
        (true, false) => (Bump::Minor, minor),
        (true, true) => (Bump::Patch, Vec::new()),
    };
    let more = reasons.len().saturating_sub(REASONS_MAX);
    reasons.truncate(REASONS_MAX);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    InterfaceChange { bump, reasons }
}

/// The bump of a new version: the declared one, or that of the change. The first version is a major one.
///
/// # Errors
/// The declared bump is too small.
pub fn decide(previous: Option<&Content>, next: &Content, declared: Option<Bump>) -> Result<Bump, InterfaceError> {
    let Some(previous) = previous else { return Ok(declared.unwrap_or(Bump::Major)) };
    let InterfaceChange { bump: required, reasons } = between(previous, next);
    match declared {
        Some(declared) if declared < required => Err(InterfaceError { declared, required, reasons }),
        Some(declared) => Ok(declared),
        None => Ok(required),
    }
}

#[derive(Default)]
struct Changes {
    major: Vec<String>,
    minor: Vec<String>,
}

impl Changes {
    fn kind(&mut self, previous: &Content, next: &Content) {
        match (&previous.body, &next.body) {
            (Body::Text(_), Body::Messages(_)) => self.major.push("changed from text to chat".to_owned()),
            (Body::Messages(_), Body::Text(_)) => self.major.push("changed from chat to text".to_owned()),
            _ => {}
        }
    }

    fn variables(&mut self, previous: &Content, next: &Content) {
        let (before, after) = (by_name(previous), by_name(next));
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            // Callers that still send it get a warning, not an error.
            self.minor.push(format!("the variable `{name}` was removed"));
        }
        for (name, variable) in after {
            match before.get(name) {
                None if variable.required => self.major.push(format!("the required variable `{name}` was added")),
                None => self.minor.push(format!("the optional variable `{name}` was added")),
                Some(was) => {
                    if variable.required && !was.required {
                        self.major.push(format!("the variable `{name}` is now required"));
                    }
                    if variable.kind != was.kind {
                        let (was, is) = (type_name(was.kind), type_name(variable.kind));
                        self.major.push(format!("the type of the variable `{name}` changed from {was} to {is}"));
                    }
                }
            }
        }
    }

    fn placeholders(&mut self, previous: &Content, next: &Content) {
        let before: BTreeSet<&str> = previous.placeholders().collect();
        let after: BTreeSet<&str> = next.placeholders().collect();
        for name in before.difference(&after) {
            self.major.push(format!("the placeholder `{name}` was removed"));
        }
        for name in after.difference(&before) {
            // Without messages it is empty, and the caller gets a remark.
            self.minor.push(format!("the placeholder `{name}` was added"));
        }
    }

    fn response(&mut self, previous: &Content, next: &Content) {
        match (&previous.response_schema, &next.response_schema) {
            (Some(_), None) => self.major.push("the response schema was removed".to_owned()),
            (Some(before), Some(after)) if before != after => {
                self.major.push("the response schema changed".to_owned());
            }
            (None, Some(_)) => self.minor.push("the response schema was added".to_owned()),
            _ => {}
        }
    }

    fn model_and_tools(&mut self, previous: &Content, next: &Content) {
        let model = |content: &Content| content.model.as_ref().map(|model| model.name.clone());
        if model(previous) != model(next) {
            self.minor.push("the model changed".to_owned());
        }
        if previous.tools != next.tools {
            self.minor.push("the tools changed".to_owned());
        }
    }
}

fn by_name(content: &Content) -> BTreeMap<&str, &Variable> {
    content.variables.iter().map(|variable| (variable.name.as_str(), variable)).collect()
}

const fn type_name(kind: VariableType) -> &'static str {
    match kind {
        VariableType::Any => "any",
        VariableType::String => "string",
        VariableType::Number => "number",
        VariableType::Boolean => "boolean",
        VariableType::Array => "array",
        VariableType::Object => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(json: &str) -> Content {
        Content::from_json(json.as_bytes()).expect(json)
    }

    #[test]
    fn bump_follows_from_the_effect_on_callers() {
        let base = r#"{"text":"a {{v}} {{w}}","variables":[{"name":"v","required":true},{"name":"w","type":"number"}],
            "model":{"name":"m","parameters":{"temperature":1}},"tools":[{"name":"t"}],"config":{"k":1}}"#;
        let check = |from: &str, to: &str, bump: Bump, reasons: &[&str]| {
            let found = between(&content(from), &content(to));
            assert_eq!(
                (found.bump, found.reasons),
                (bump, reasons.iter().map(|reason| (*reason).to_owned()).collect()),
                "{from}\n{to}"
            );
        };
        let edit = |old: &str, new: &str| {
            assert!(base.contains(old), "{old}");
            base.replace(old, new)
        };
        check(base, base, Bump::Patch, &[]);
        check(base, &edit("a {{v}}", "b {{v}}"), Bump::Patch, &[]);
        check(base, &edit(r#""temperature":1"#, r#""temperature":2"#), Bump::Patch, &[]);
        check(base, &edit(r#"{"k":1}"#, r#"{"k":2}"#), Bump::Patch, &[]);
        check(base, &edit(r#","required":true"#, ""), Bump::Patch, &[]);
        check(base, &edit(r#"{"name":"m""#, r#"{"name":"n""#), Bump::Minor, &["the model changed"]);
        check(base, &edit(r#"{"name":"t"}"#, r#"{"name":"u"}"#), Bump::Minor, &["the tools changed"]);
        check(
            base,
            &edit(r#","type":"number"}"#, r#","type":"number"},{"name":"x"}"#),
            Bump::Minor,
            &["the optional variable `x` was added"],
        );
        check(
            base,
            &edit(r#","type":"number"}"#, r#","type":"number"},{"name":"x","required":true}"#),
            Bump::Major,
            &["the required variable `x` was added"],
        );
        check(base, &edit(r#",{"name":"w","type":"number"}"#, ""), Bump::Minor, &["the variable `w` was removed"]);
        check(
            base,
            &edit(r#""w","type":"number""#, r#""w","required":true"#),
            Bump::Major,
            &["the variable `w` is now required", "the type of the variable `w` changed from number to any"],
        );
        let schema = edit(r#""config""#, r#""response_schema":{"type":"object"},"config""#);
        check(base, &schema, Bump::Minor, &["the response schema was added"]);
        check(&schema, base, Bump::Major, &["the response schema was removed"]);
        check(&schema, &schema.replace("object", "string"), Bump::Major, &["the response schema changed"]);
        let chat = r#"{"messages":[{"role":"user","content":"a"}]}"#;
        check(r#"{"text":"a"}"#, chat, Bump::Major, &["changed from text to chat"]);
        check(chat, r#"{"text":"a"}"#, Bump::Major, &["changed from chat to text"]);
        let history = r#"{"messages":[{"role":"user","content":"a"},{"type":"placeholder","name":"h"}]}"#;
        check(chat, history, Bump::Minor, &["the placeholder `h` was added"]);
        check(history, chat, Bump::Major, &["the placeholder `h` was removed"]);
    }

    #[test]
    fn declared_bump_can_be_larger_but_not_smaller() {
        let (from, to) = (content(r#"{"text":"a","tools":[1]}"#), content(r#"{"text":"a","tools":[2]}"#));
        assert_eq!(decide(None, &to, None), Ok(Bump::Major));
        assert_eq!(decide(Some(&from), &to, None), Ok(Bump::Minor));
        assert_eq!(decide(Some(&from), &to, Some(Bump::Minor)), Ok(Bump::Minor));
        assert_eq!(decide(Some(&from), &to, Some(Bump::Major)), Ok(Bump::Major));
        let error = decide(Some(&from), &to, Some(Bump::Patch)).expect_err("too little").to_string();
        assert_eq!(error, "declared as patch, but this is a minor change: the tools changed; declare minor");
    }
}
