//! A serving as typed: versions with their shares, and rules that take precedence.

use std::collections::BTreeMap;

use super::Fields;
use crate::api::write::{RuleRequest, ServingRequest, SplitRequest};
use crate::model::serving::{ARMS_MAX, RULES_MAX, Serving, Target};

/// A serving as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedServing {
    /// Rules in their order.
    pub rules: Vec<TypedRule>,
    /// What is served if no rule matches.
    pub default: TypedTarget,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedRule {
    /// As `locale=de* tier=power`.
    pub when: String,
    /// What it serves.
    pub target: TypedTarget,
}

/// One version, or several with shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedTarget {
    /// Versions and their shares in percent, as typed.
    pub rows: Vec<(String, String)>,
    /// The salt of the split; empty if there is none yet.
    pub salt: String,
}

impl TypedServing {
    /// One version for everyone.
    #[must_use]
    pub fn version(number: u64) -> Self {
        Self { rules: Vec::new(), default: TypedTarget { rows: vec![row(number, 10_000)], salt: String::new() } }
    }

    /// Converts the current serving to form fields.
    #[must_use]
    pub fn of(serving: &Serving) -> Self {
        let rule = |rule: &crate::model::serving::Rule| {
            let when: Vec<String> =
                rule.when.iter().map(|(name, pattern)| format!("{name}={}", quoted(pattern))).collect();
            TypedRule { when: when.join(" "), target: TypedTarget::of(&rule.target) }
        };
        Self { rules: serving.rules.iter().map(rule).collect(), default: TypedTarget::of(&serving.default) }
    }

    /// Reads a form; absent if it has no versions.
    pub fn sent(fields: &Fields) -> Option<Self> {
        let default = TypedTarget::sent(fields, "d")?;
        let rule = |number: usize| {
            let when = fields.get(&format!("r{number}.when"))?.clone();
            Some(TypedRule { when, target: TypedTarget::sent(fields, &format!("r{number}")).unwrap_or_default() })
        };
        Some(Self { rules: (0..RULES_MAX).map_while(rule).collect(), default })
    }

    /// The same as fields, to be sent again.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let rules = self.rules.iter().enumerate();
        for (number, rule) in rules {
            fields.push((format!("r{number}.when"), rule.when.clone()));
            rule.target.add_fields(&format!("r{number}"), &mut fields);
        }
        self.default.add_fields("d", &mut fields);
        fields
    }

    /// Executes a button; returns whether it exists.
    pub fn act(&mut self, action: &str) -> bool {
        let (verb, of) = action.split_once('-').unwrap_or((action, ""));
        let rule = of.strip_prefix('r').and_then(|number| number.parse::<usize>().ok());
        let count = self.rules.len();
        match (verb, rule) {
            ("rule", _) if count < RULES_MAX => {
                let target = TypedTarget { rows: self.default.rows.clone(), salt: String::new() };
                self.rules.push(TypedRule { when: String::new(), target });
            }
            ("add", None) if of == "d" => self.default.add(),
            ("add", Some(number)) => match self.rules.get_mut(number) {
                Some(rule) => rule.target.add(),
                None => return false,
            },
            ("drop", Some(number)) if number < count => drop(self.rules.remove(number)),
            ("up", Some(number)) if number > 0 && number < count => self.rules.swap(number, number - 1),
            _ => return false,
        }
        true
    }

    /// Converts the fields to a serving.
    ///
    /// # Errors
    /// The first invalid version, share or condition, as text.
    pub fn request(&self) -> Result<ServingRequest, String> {
        let (version, split) = self.default.request("what is served")?;
        let mut rules = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            let place = format!("rule {}", number.saturating_add(1));
            let when = attributes(&rule.when).map_err(|word| {
                format!("{place}: `{word}` is not a condition; write attribute=pattern, e.g. locale=de*")
            })?;
            let (version, split) = rule.target.request(&place)?;
            rules.push(RuleRequest { when, version, split });
        }
        Ok(ServingRequest { version, split, rules })
    }
}

impl TypedTarget {
    fn of(target: &Target) -> Self {
        match target {
            Target::Version(number) => Self { rows: vec![row(*number, 10_000)], salt: String::new() },
            Target::Split(split) => Self {
                rows: split.weights().into_iter().map(|(number, slots)| row(number, slots)).collect(),
                salt: split.salt.clone(),
            },
        }
    }

    fn sent(fields: &Fields, prefix: &str) -> Option<Self> {
        let row = |number: usize| {
            let version = fields.get(&format!("{prefix}.{number}.version"))?.trim().to_owned();
            let share = fields.get(&format!("{prefix}.{number}.share")).map_or("", |share| share.trim()).to_owned();
            Some((version, share))
        };
        let rows: Vec<(String, String)> = (0..ARMS_MAX).map_while(row).collect();
        let salt = fields.get(&format!("{prefix}.salt")).cloned().unwrap_or_default();
        (!rows.is_empty()).then_some(Self { rows, salt })
    }

    fn add_fields(&self, prefix: &str, fields: &mut Vec<(String, String)>) {
        for (number, (version, share)) in self.rows.iter().enumerate() {
            fields.push((format!("{prefix}.{number}.version"), version.clone()));
            fields.push((format!("{prefix}.{number}.share"), share.clone()));
        }
        if !self.salt.is_empty() {
            fields.push((format!("{prefix}.salt"), self.salt.clone()));
        }
    }

    fn add(&mut self) {
        if self.rows.len() < ARMS_MAX {
            self.rows.push((String::new(), "0".to_owned()));
        }
    }

    fn request(&self, place: &str) -> Result<(Option<u64>, Option<SplitRequest>), String> {
        let mut weights: BTreeMap<u64, u32> = BTreeMap::new();
        let said: Vec<&(String, String)> = self.rows.iter().filter(|(version, _)| !version.is_empty()).collect();
        for (version, share) in &said {
            let digits = version.strip_prefix('v').unwrap_or(version);
            let number: u64 =
                digits.parse().map_err(|_| format!("{place}: `{version}` is not a version; write its number"))?;
            let weight = if said.len() == 1 {
                10_000
            } else {
                weight(share).ok_or_else(|| {
                    format!("{place}: `{share}` is not a share; write percent from 0 to 100, with at most two decimals")
                })?
            };
            let sum = weights.entry(number).or_default();
            *sum = sum.saturating_add(weight);
        }
        weights.retain(|_, weight| *weight > 0);
        match (weights.first_key_value(), weights.len()) {
            (None, _) => Err(format!("{place}: choose a version")),
            (Some((number, _)), 1) => Ok((Some(*number), None)),
            _ => {
                let salt = (!self.salt.is_empty()).then(|| self.salt.clone());
                Ok((None, Some(SplitRequest { weights, salt })))
            }
        }
    }
}

fn row(number: u64, slots: u16) -> (String, String) {
    (number.to_string(), percent(slots))
}

/// Slots of 10,000 as percent, without trailing zeros.
fn percent(slots: u16) -> String {
    (f64::from(slots) / 100.0).to_string()
}

/// Per cent as a weight in hundredths.
fn weight(share: &str) -> Option<u32> {
    let share = share.strip_suffix('%').unwrap_or(share).trim();
    let (whole, decimals) = share.split_once(['.', ',']).unwrap_or((share, ""));
    if decimals.len() > 2 || !share.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')) {
        return None;
    }
    let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let hundredths: u32 = format!("{decimals:0<2}").parse().ok()?;
    let weight = whole.checked_mul(100)?.checked_add(hundredths)?;
    (weight <= 10_000).then_some(weight)
}

/// Parses `locale=de* city="New York"` as attributes.
///
/// # Errors
/// The first invalid word.
pub fn attributes(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = || rest.get(..end).unwrap_or_default().to_owned();
        let (name, said) = rest.split_once('=').ok_or_else(word)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(word());
        }
        let (pattern, behind) = if let Some(quoted) = said.strip_prefix('"') {
            unquote(quoted).ok_or_else(word)?
        } else {
            let (pattern, behind) = said.split_at(said.find(char::is_whitespace).unwrap_or(said.len()));
            (pattern.to_owned(), behind)
        };
        if attributes.insert(name.to_owned(), pattern).is_some() {
            return Err(word());
        }
        rest = behind.trim_start();
    }
    Ok(attributes)
}

/// A text up to its closing quote, in which doubled quotes are escaped, and the rest.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut said = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        said.push_str(before);
        match behind.strip_prefix('"') {
            Some(behind) => {
                said.push('"');
                rest = behind;
            }
            None => return Some((said, behind)),
        }
    }
}

/// A pattern as typed: quoted if necessary.
fn quoted(pattern: &str) -> String {
    if pattern.starts_with('"') || pattern.contains(char::is_whitespace) {
        return format!("\"{}\"", pattern.replace('"', "\"\""));
    }
    pattern.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn serving_round_trips_through_the_form() {
        for value in [
            json!({"version": 7}),
            json!({"split": {"salt": "d9", "slots": [{"version": 7, "from": 0, "to": 9950}, {"version": 8, "from": 9950, "to": 10000}]}}),
            json!({"version": 7, "rules": [{"when": {"locale": "de*", "tier": "power"}, "version": 8}]}),
        ] {
            let serving: Serving = serde_json::from_value(value.clone()).expect("a serving");
            let typed = TypedServing::of(&serving);
            let again = TypedServing::sent(&typed.fields().into_iter().collect());
            assert_eq!(again.as_ref(), Some(&typed), "{value}");
            let request = typed.request().expect("a serving");
            assert_eq!(
                request.version,
                match &serving.default {
                    Target::Version(number) => Some(*number),
                    Target::Split(_) => None,
                },
                "{value}"
            );
            let weights = request.split.map(|split| (split.salt, split.weights));
            let expected = value.get("split").map(|_| (Some("d9".to_owned()), BTreeMap::from([(7, 9_950), (8, 50)])));
            assert_eq!(weights, expected);
            assert_eq!(request.rules.len(), serving.rules.len());
        }
    }

    #[test]
    fn invalid_words_are_reported() {
        let typed = |rows: &[(&str, &str)], when: &str| {
            let rows = rows.iter().map(|(version, share)| ((*version).to_owned(), (*share).to_owned())).collect();
            let default = TypedTarget { rows, salt: String::new() };
            let rules = (!when.is_empty())
                .then(|| TypedRule { when: when.to_owned(), target: default.clone() })
                .into_iter()
                .collect();
            TypedServing { rules, default }
        };
        for (rows, when, expected) in [
            (vec![("", "100")], "", "choose a version"),
            (vec![("seven", "100")], "", "`seven` is not a version"),
            (vec![("7", "99.999"), ("8", "1")], "", "`99.999` is not a share"),
            (vec![("7", "-1"), ("8", "1")], "", "`-1` is not a share"),
            (vec![("7", "101"), ("8", "1")], "", "`101` is not a share"),
            (vec![("7", "100")], "german", "`german` is not a condition"),
            (vec![("7", "0"), ("8", "0")], "", "choose a version"),
        ] {
            let error = typed(&rows, when).request().expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let one = typed(&[("v7", "12"), ("", "88")], "").request().expect("a serving");
        assert_eq!((one.version, one.split), (Some(7), None), "alone it serves everybody");
        let shares = typed(&[("7", "99,5 %"), ("8", ".5")], "locale=de*").request().expect("a serving");
        assert_eq!(shares.split.expect("a split").weights, BTreeMap::from([(7, 9_950), (8, 50)]));
    }

    #[test]
    fn attributes_are_read_as_they_are_written() {
        for (text, expected) in [
            ("", Ok(vec![])),
            (" locale=de*  tier=power ", Ok(vec![("locale", "de*"), ("tier", "power")])),
            ("city=\"New York\" a=", Ok(vec![("a", ""), ("city", "New York")])),
            ("say=\"a \"\"b\"\"\"", Ok(vec![("say", "a \"b\"")])),
            ("x = y", Err("x")),
            ("a=1 b=2 a=3", Err("a=3")),
            ("=y", Err("=y")),
            ("a=\"open", Err("a=\"open")),
        ] {
            let found = attributes(text);
            let expected = expected.map_err(str::to_owned).map(|pairs: Vec<(&str, &str)>| {
                pairs.into_iter().map(|(name, pattern)| (name.to_owned(), pattern.to_owned())).collect()
            });
            assert_eq!(found, expected, "{text}");
        }
        for pattern in ["de*", "New York", "\"", "a \"b\" c", "a\"b"] {
            let written = format!("x={}", quoted(pattern));
            assert_eq!(attributes(&written).expect("attributes")["x"], pattern, "{written}");
        }
    }

    #[test]
    fn buttons_add_and_remove_rules_and_versions() {
        let mut typed = TypedServing::version(7);
        for action in ["rule", "rule", "add-r1", "up-r1", "add-d", "drop-r1"] {
            assert!(typed.act(action), "{action}");
        }
        for action in ["up-r0", "drop-r7", "add-x", "add-r7", "deploy", ""] {
            assert!(!typed.act(action), "{action}");
        }
        assert_eq!((typed.rules.len(), typed.default.rows.len()), (1, 2));
        assert_eq!(typed.rules.first().map(|rule| rule.target.rows.len()), Some(2));
    }
}
