//! Values of flags: `key=value` pairs, weighted versions, rules, and messages.
//!
//! Each has a parser that clap calls, so a mistake is a usage error with the flag's name.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::Value;

use crate::api::write::RuleRequest;
use crate::model::handle::is_handle;
use crate::model::principal::Grant;
use crate::model::reference::Reference;

/// The message of a change.
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// Message for the history (like a commit message); on a terminal, $EDITOR opens if you leave it out
    #[arg(short, long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub message: Option<String>,
}

/// Whether to skip confirmation.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct YesArgs {
    /// Do not ask for confirmation (never asked without a terminal)
    #[arg(short, long)]
    pub yes: bool,
}

/// What a deployment overrides.
#[derive(Clone, Debug, Default, Args)]
pub struct OverrideArgs {
    /// Deploy even if it breaks current callers; without it, you are asked on a terminal
    #[arg(long)]
    pub allow_major: bool,
    /// On a terminal, deploy without asking even if it breaks callers
    #[arg(short, long)]
    pub yes: bool,
    /// Override unmet policies, giving a reason; audited
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub break_glass: Option<String>,
}

/// A parser of one of a closed set of words, which the help and completions list.
pub fn one_of<T, E>(
    words: impl IntoIterator<Item = impl Into<PossibleValue>>,
    parse: fn(&str) -> Result<T, E>,
) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    PossibleValuesParser::new(words).try_map(move |word| parse(&word))
}

/// Reads `key=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as name=value".to_owned()),
    }
}

/// Parses `name=text`, or `name:=JSON` for a number, a list, an object, true or false.
pub fn variable(text: &str) -> Result<(String, Value), String> {
    let (key, value) = pair(text)?;
    match key.strip_suffix(':') {
        None => Ok((key, Value::String(value))),
        Some(key) => match crate::json::read(value.as_bytes()) {
            Ok(value) => Ok((key.to_owned(), value)),
            Err(error) => Err(format!("invalid JSON after :=: {error}")),
        },
    }
}

/// A version to deploy, with its weight if several share a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedVersion {
    /// The prompt and version.
    pub reference: Reference,
    /// Whether a version was given; a name alone is answered with its latest versions.
    pub versioned: bool,
    /// Its weight; only proportions count.
    pub weight: Option<u32>,
}

/// Parses `name@7`, or `name@7=90`.
pub fn choice(text: &str) -> Result<WeightedVersion, String> {
    let Some((_, selector)) = text.split_once('@') else {
        let reference = text.parse().map_err(|error| format!("{error}"))?;
        return Ok(WeightedVersion { reference, weight: None, versioned: false });
    };
    let (reference, weight) = match selector.split_once('=') {
        None => (text, None),
        Some((_, weight)) => {
            let number = weight.parse::<u32>().map_err(|_| format!("invalid weight `{weight}`: use a whole number"))?;
            (text.get(..text.len() - weight.len() - 1).unwrap_or_default(), Some(number))
        }
    };
    Ok(WeightedVersion { reference: reference.parse().map_err(|error| format!("{error}"))?, weight, versioned: true })
}

/// Parses a reference with a version, such as `support/agent@7`.
pub fn versioned(text: &str) -> Result<Reference, String> {
    choice(text).and_then(|choice| match choice {
        WeightedVersion { versioned: false, .. } => {
            Err("name a version, e.g. support/agent@7 or support/agent@staging".to_owned())
        }
        WeightedVersion { weight: Some(_), .. } => Err("a weight is not allowed here".to_owned()),
        choice => Ok(choice.reference),
    })
}

/// Parses a rule such as `locale=de*,tier=power:8`, which serves version 8 to matching callers.
pub fn rule(text: &str) -> Result<RuleRequest, String> {
    let wrong = || "write it as attribute=pattern:version, e.g. locale=de*:8".to_owned();
    let (patterns, version) = text.rsplit_once(':').ok_or_else(wrong)?;
    let version = version.parse().map_err(|_| wrong())?;
    let when: BTreeMap<_, _> = patterns.split(',').map(pair).collect::<Result<_, _>>().map_err(|_| wrong())?;
    Ok(RuleRequest { when, version: Some(version), split: None })
}

/// Parses `90d`, `24h`, `30m` or `45s` as seconds.
pub fn duration(text: &str) -> Result<u64, String> {
    const UNITS_S: [(char, u64); 4] = [('d', 24 * 3_600), ('h', 3_600), ('m', 60), ('s', 1)];
    let wrong = || "use a whole number followed by d, h, m or s, e.g. 90d or 24h".to_owned();
    let (number, unit_s) =
        UNITS_S.into_iter().find_map(|(unit, unit_s)| Some((text.strip_suffix(unit)?, unit_s))).ok_or_else(wrong)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_s));
    seconds.ok_or_else(|| "the duration is too long".to_owned())
}

/// The same, but not zero.
pub fn lifetime(text: &str) -> Result<u64, String> {
    match duration(text)? {
        0 => Err("the duration must be greater than zero, e.g. 90d".to_owned()),
        seconds => Ok(seconds),
    }
}

/// Parses the name of a principal, role, access token, rule set or draft.
pub fn handle(text: &str) -> Result<String, String> {
    if is_handle(text) { Ok(text.to_owned()) } else { Err("use 1 to 64 characters from a-z 0-9 . _ - @".to_owned()) }
}

/// Parses `role`, `role:prompts` or `role:prompts:labels`; for a pattern with a `:` use `principal grant`.
pub fn grant(text: &str) -> Result<Grant, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let pattern = |text: &str| text.parse().map_err(|error| format!("{error}"));
    let (role, prompts, labels) = match *parts.as_slice() {
        [role] => (role, None, None),
        [role, prompts] => (role, Some(prompts), None),
        [role, prompts, labels] => (role, Some(prompts), Some(labels)),
        _ => return Err("write it as role:prompts:labels, e.g. releaser:support/**:production".to_owned()),
    };
    let mut grant = Grant::everywhere(&handle(role).map_err(|how| format!("invalid role `{role}`: {how}"))?);
    if let Some(prompts) = prompts {
        grant.prompts = pattern(prompts)?;
    }
    if let Some(labels) = labels {
        grant.labels = pattern(labels)?;
    }
    Ok(grant)
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
        assert!(variable("n:=x").expect_err("no JSON").contains("invalid JSON after :="));
        assert!(pair("=b").is_err() && pair("b").is_err());
        let canary = choice("a b=c/d@7=90").expect("a choice");
        assert_eq!((canary.reference.to_string().as_str(), canary.weight), ("a b=c/d@7", Some(90)));
        assert!(!choice("support/agent").expect("a name alone").versioned);
        assert!(versioned("support/agent").expect_err("no version").contains("name a version"));
        assert!(choice("a@7=x").expect_err("no weight").contains("whole number"));
        assert!(versioned("a@7=1").is_err() && versioned("a@7").is_ok());
        let found = rule("locale=de*,tier=power:8").expect("a rule");
        assert_eq!((found.when.len(), found.version), (2, Some(8)));
        assert!(rule("locale:8").is_err() && rule("locale=de*").is_err());
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in
            [("90d", 7_776_000), ("24h", 86_400), ("30m", 1_800), ("45s", 45), ("0s", 0), ("007h", 25_200)]
        {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "d",
            "90",
            "90 d",
            "-1d",
            "+1d",
            "1.5h",
            "1w",
            "1dd",
            "h1",
            "１d",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("999999999999999999d").expect_err("too long").contains("too long"));
        assert!(lifetime("0d").expect_err("no time").contains("greater than zero"));
        assert_eq!(lifetime("1d"), Ok(86_400));
    }

    #[test]
    fn grants_are_a_role_and_patterns() {
        for (text, shown) in [
            ("author", "author on **"),
            ("releaser:support/**", "releaser on support/**"),
            ("releaser:support/**:prod*", "releaser on support/** for labels prod*"),
            ("on-call:**:staging", "on-call on ** for labels staging"),
        ] {
            assert_eq!(grant(text).map(|grant| grant.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for (text, part) in [
            ("", "invalid role"),
            ("Author", "invalid role"),
            ("author:", "invalid pattern"),
            ("author::x", "invalid pattern"),
            ("author:a:b:c", "role:prompts:labels"),
        ] {
            let error = grant(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(handle("ann@example.org").is_ok() && handle("Ann").is_err() && handle("").is_err());
    }
}
