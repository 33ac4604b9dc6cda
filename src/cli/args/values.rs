//! Values of flags: `key=value` pairs, weighted versions, rules, and the why.
//!
//! Each is read by a function that clap calls, so a mistake is a usage error with the flag's name.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use crate::api::write::RuleRequest;
use crate::model::reference::Reference;

/// Why a change is made.
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// Why; people will read it in the history
    #[arg(short, long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub message: String,
}

/// Reads `key=value`.
///
/// # Errors
/// How to write it instead.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as name=value".to_owned()),
    }
}

/// Reads `name=text`, or `name:=JSON` for a number, a list, an object, true or false.
///
/// # Errors
/// How to write it instead.
pub fn variable(text: &str) -> Result<(String, Value), String> {
    let (key, value) = pair(text)?;
    match key.strip_suffix(':') {
        None => Ok((key, Value::String(value))),
        Some(key) => match serde_json::from_str(&value) {
            Ok(value) => Ok((key.to_owned(), value)),
            Err(error) => Err(format!("what follows := is no JSON: {error}")),
        },
    }
}

/// A version to deploy, and its weight where several share a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which version of which prompt; never a name alone.
    pub reference: Reference,
    /// Its share; only proportions count.
    pub weight: Option<u32>,
}

/// Reads `name@7`, or `name@7=90`.
///
/// # Errors
/// How to write it instead.
pub fn choice(text: &str) -> Result<Choice, String> {
    let Some((_, selector)) = text.split_once('@') else {
        return Err("say which version, such as support/agent@7 or support/agent@staging".to_owned());
    };
    let (reference, weight) = match selector.split_once('=') {
        None => (text, None),
        Some((_, weight)) => {
            let number = weight.parse::<u32>().map_err(|_| format!("the weight `{weight}` is no whole number"))?;
            (text.get(..text.len() - weight.len() - 1).unwrap_or_default(), Some(number))
        }
    };
    Ok(Choice { reference: reference.parse().map_err(|error| format!("{error}"))?, weight })
}

/// Reads a reference that must name a version, such as `support/agent@7`.
///
/// # Errors
/// How to write it instead.
pub fn versioned(text: &str) -> Result<Reference, String> {
    choice(text).and_then(|choice| match choice.weight {
        None => Ok(choice.reference),
        Some(_) => Err("a weight has no meaning here".to_owned()),
    })
}

/// Reads `locale=de*,tier=power:8`: who gets version 8.
///
/// # Errors
/// How to write it instead.
pub fn rule(text: &str) -> Result<RuleRequest, String> {
    let wrong = || "write it as attribute=pattern:version, such as locale=de*:8".to_owned();
    let (patterns, version) = text.rsplit_once(':').ok_or_else(wrong)?;
    let version = version.parse().map_err(|_| wrong())?;
    let when: BTreeMap<_, _> = patterns.split(',').map(pair).collect::<Result<_, _>>().map_err(|_| wrong())?;
    Ok(RuleRequest { when, version: Some(version), split: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_or_explained() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("n=3"), Ok(("n".to_owned(), json!("3"))));
        assert_eq!(variable("n:=3"), Ok(("n".to_owned(), json!(3))));
        assert!(variable("n:=x").expect_err("no JSON").contains("no JSON"));
        assert!(pair("=b").is_err() && pair("b").is_err());
        let canary = choice("a b=c/d@7=90").expect("a choice");
        assert_eq!((canary.reference.to_string().as_str(), canary.weight), ("a b=c/d@7", Some(90)));
        assert!(choice("support/agent").expect_err("no version").contains("which version"));
        assert!(choice("a@7=x").expect_err("no weight").contains("whole number"));
        assert!(versioned("a@7=1").is_err() && versioned("a@7").is_ok());
        let found = rule("locale=de*,tier=power:8").expect("a rule");
        assert_eq!((found.when.len(), found.version), (2, Some(8)));
        assert!(rule("locale:8").is_err() && rule("locale=de*").is_err());
    }
}
