//! Converts rules of the secret scanner gitleaks to a rule file.
//!
//! Go regexes are rewritten for Rust's engine; rules that cannot be converted, such as those about file paths, are left
//! out and reported.

use serde::Deserialize;

use super::rule::{ALLOW_MAX, Reading, Rule, RuleForm, STOPWORDS_MAX, UNFILTERED_MAX, compile_foreign};
use super::set::{RuleSet, SetForm, Source, read_toml};
use super::{RuleError, rule::FILE_BYTES_MAX};
use crate::model::finding::{Category, Severity};

/// Severity of an imported rule's findings: high, because its author could not assess our prompts.
const IMPORTED_SEVERITY: Severity = Severity::High;

/// A rule, or a part of one, that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The rule's ID in the source.
    pub id: String,
    /// Why, and whether only a part is missing.
    pub reason: String,
}

/// The used part of a gitleaks configuration; the rest is about files and commits.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    rules: Vec<LeakRule>,
    allowlist: Option<Allowlist>,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeakRule {
    #[serde(default)]
    id: String,
    #[serde(default)]
    description: String,
    regex: Option<String>,
    path: Option<String>,
    secret_group: Option<usize>,
    entropy: Option<f64>,
    #[serde(default)]
    keywords: Vec<String>,
    allowlist: Option<Allowlist>,
    #[serde(default)]
    allowlists: Vec<Allowlist>,
    #[serde(default)]
    required: Vec<toml::Value>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allowlist {
    condition: Option<String>,
    regex_target: Option<String>,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
    #[serde(default)]
    target_rules: Vec<String>,
}

/// Converts a gitleaks configuration to a rule file, and reports what was left out.
///
/// [`RuleSet::parse`] reads the result; its header names the source, so its rules need no tests.
///
/// # Errors
/// The text is not a gitleaks configuration, is too large, or has no usable rule.
pub fn import_gitleaks(toml: &str) -> Result<(String, Vec<Skipped>), RuleError> {
    let config: Config = read_toml(toml)?;
    let mut skipped = Vec::new();
    let mut set = SetForm { imported: Some(Source::Gitleaks), ascii: true, ..SetForm::default() };
    let (aimed, general): (Vec<Allowlist>, Vec<Allowlist>) =
        config.allowlist.into_iter().chain(config.allowlists).partition(|list| !list.target_rules.is_empty());
    for list in general {
        add_allowlist("(all rules)", list, &mut set.allow, &mut set.stopwords, &mut skipped);
    }
    let mut unfiltered = 0;
    for leak in config.rules {
        let id = leak.id.clone();
        let skip = |skipped: &mut Vec<Skipped>, reason: String| skipped.push(Skipped { id: id.clone(), reason });
        match convert(leak, &aimed, &mut skipped) {
            Err(reason) => skip(&mut skipped, reason),
            Ok(form) if set.rule.iter().any(|rule| rule.id == form.id) => {
                skip(&mut skipped, "another rule has the same id".to_owned());
            }
            Ok(form) if form.keywords.is_empty() && unfiltered == UNFILTERED_MAX => {
                skip(&mut skipped, format!("more than {UNFILTERED_MAX} rules without keywords"));
            }
            Ok(form) => {
                unfiltered += usize::from(form.keywords.is_empty());
                set.rule.push(form);
            }
        }
    }
    if set.rule.is_empty() {
        return Err(RuleError::Form { reason: "it has no gitleaks rule that can be used".to_owned() });
    }
    let text = toml::to_string(&set).map_err(|error| RuleError::Form { reason: error.to_string() })?;
    if text.len() > FILE_BYTES_MAX {
        return Err(RuleError::TooLong { bytes: text.len() });
    }
    RuleSet::parse(&text)?;
    Ok((text, skipped))
}

/// One rule in our format, or why not. Left-out parts are added to `skipped`.
fn convert(leak: LeakRule, aimed: &[Allowlist], skipped: &mut Vec<Skipped>) -> Result<RuleForm, String> {
    let regex = match (leak.regex, leak.path) {
        (None, Some(_)) => return Err("it only matches file paths".to_owned()),
        (None, None) => return Err("it has no regex".to_owned()),
        (Some(_), Some(_)) => return Err("it only applies to certain files".to_owned()),
        (Some(regex), None) => regex,
    };
    if !leak.required.is_empty() {
        return Err("it depends on other rules".to_owned());
    }
    let pattern = translate(&regex);
    let compiled = compile_foreign(&leak.id, &pattern).map_err(|error| error.to_string())?;
    // gitleaks takes the first group as the secret if none is named.
    let secret_group = leak.secret_group.filter(|group| *group > 0).or((compiled.captures_len() > 1).then_some(1));
    let mut form = RuleForm {
        id: leak.id.to_ascii_lowercase(),
        version: 1,
        description: if leak.description.is_empty() { leak.id.clone() } else { leak.description },
        category: Some(Category::Secrets),
        severity: Some(IMPORTED_SEVERITY),
        keywords: leak.keywords.into_iter().filter(|keyword| !keyword.is_empty()).collect(),
        regex: Some(pattern),
        // gitleaks writes 0 for none; an invalid entropy is rejected as in our own format.
        entropy: leak.entropy.filter(|entropy| *entropy != 0.0),
        secret_group,
        ..RuleForm::default()
    };
    let aimed = aimed.iter().filter(|list| list.target_rules.contains(&leak.id)).cloned();
    for list in leak.allowlist.into_iter().chain(leak.allowlists).chain(aimed) {
        add_allowlist(&leak.id, list, &mut form.allow, &mut form.stopwords, skipped);
    }
    let rule = Rule::new(&form, Reading { ascii: true, built_in: false }, std::sync::Arc::default());
    rule.and_then(|rule| rule.check_regexes()).map_err(|error| error.to_string())?;
    Ok(form)
}

/// Adds the exceptions of an allowlist, as far as they are about the secret itself.
fn add_allowlist(
    id: &str,
    list: Allowlist,
    allow: &mut Vec<String>,
    stopwords: &mut Vec<String>,
    skipped: &mut Vec<Skipped>,
) {
    let mut leave_out = |what: &str| {
        let reason = format!("its allowlist {what} is ignored; the rule may find more than it does in gitleaks");
        skipped.push(Skipped { id: id.to_owned(), reason });
    };
    if list.condition.is_some_and(|condition| condition.eq_ignore_ascii_case("and") || condition == "&&") {
        return leave_out("with several conditions");
    }
    if !list.regexes.is_empty() {
        if list.regex_target.is_some_and(|target| target != "secret") {
            leave_out("on lines or whole matches");
        } else {
            for pattern in list.regexes.iter().map(|regex| translate(regex)) {
                if allow.len() < ALLOW_MAX && compile_foreign(id, &pattern).is_ok() {
                    allow.push(pattern);
                } else {
                    leave_out("with an invalid regex");
                }
            }
        }
    }
    let room = STOPWORDS_MAX.saturating_sub(stopwords.len());
    stopwords.extend(list.stopwords.into_iter().filter(|word| !word.is_empty()).take(room));
}

/// Rewrites Go regex syntax that Rust interprets differently: literal braces and brackets, `\<`, `\Q…\E`.
fn translate(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut rest = regex;
    let mut in_class = false;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or("");
        let mut next = after;
        match character {
            '\\' => {
                let escaped = after.chars().next();
                next = after.get(escaped.map_or(0, char::len_utf8)..).unwrap_or("");
                match escaped {
                    Some('Q') => {
                        let end = next.find("\\E").unwrap_or(next.len());
                        out.push_str(&regex::escape(next.get(..end).unwrap_or("")));
                        next = next.get(end + 2..).unwrap_or("");
                    }
                    Some(angle @ ('<' | '>')) => out.push(angle),
                    Some(escaped) => out.extend(['\\', escaped]),
                    None => out.push('\\'),
                }
            }
            '[' if in_class && !after.starts_with(':') => out.push_str("\\["),
            '[' => {
                in_class_begin(&mut out, &mut next, after, &mut in_class);
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            // Rust interprets these doubled as set operations on classes.
            '&' | '~' if in_class => out.extend(['\\', character]),
            '-' if in_class && after.starts_with('-') => out.push_str("\\-"),
            '{' if !in_class && !is_repeat(after) => out.push_str("\\{"),
            other => out.push(other),
        }
        rest = next;
    }
    out
}

/// Writes the start of a class, in which a first `]` is a character, or a `[:name:]` inside one.
fn in_class_begin<'r>(out: &mut String, next: &mut &'r str, after: &'r str, in_class: &mut bool) {
    out.push('[');
    if *in_class {
        // `[:alpha:]`, including its end.
        if let Some(end) = after.find(":]") {
            out.push_str(after.get(..end + 2).unwrap_or(""));
            *next = after.get(end + 2..).unwrap_or("");
        }
        return;
    }
    *in_class = true;
    let mut inner = after;
    if let Some(negated) = inner.strip_prefix('^') {
        out.push('^');
        inner = negated;
    }
    if let Some(behind) = inner.strip_prefix(']') {
        out.push_str("\\]");
        inner = behind;
    }
    *next = inner;
}

/// Whether the text after `{` makes it a repetition: `2}`, `2,}` or `2,3}`.
fn is_repeat(after: &str) -> bool {
    let Some((inner, _)) = after.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    !least.is_empty() && least.bytes().chain(most.bytes()).all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::risk::Classifier;

    const SAMPLE: &str = r#"
title = "sample"
[extend]
useDefault = false
[[allowlists]]
description = "everywhere"
regexes = ['^example']
stopwords = ["dummy"]
[[rules]]
id = "acme-key"
description = "An Acme key."
regex = '''(?i)\bacme[_-]([a-z0-9]{20})(?:[\x60'"\s;]|\\[nr]|$)'''
entropy = 3
keywords = ["acme"]
[[rules.allowlists]]
regexTarget = "line"
regexes = ["nothing"]
[[rules.allowlists]]
stopwords = ["abcabc"]
[[rules]]
id = "brace-key"
regex = '''\<key{x[[&&]\Qa.b\E\>'''
keywords = ["key"]
[[rules]]
id = "key-file"
path = '''(?i)\.p12$'''
[[rules]]
id = "octal"
regex = '''\012'''
[[rules]]
id = "look"
regex = '''a(?=b)'''
"#;

    #[test]
    fn gitleaks_rules_are_imported_and_skipped_ones_reported() {
        let (text, skipped) = import_gitleaks(SAMPLE).expect("an import");
        let ids: Vec<_> = skipped.iter().map(|skip| skip.id.as_str()).collect();
        assert_eq!(ids, ["acme-key", "key-file", "octal", "look"], "{skipped:?}");
        assert!(skipped[0].reason.contains("allowlist on lines"));
        assert!(skipped[1].reason.contains("file paths"));
        assert!(text.starts_with("imported = \"gitleaks\""), "{text}");
        let set = RuleSet::parse(&text).expect("our own form");
        assert_eq!(set.rules().map(|rule| rule.id).collect::<Vec<_>>(), ["acme-key", "brace-key"]);
        let classifier = Classifier::new(false, &[set]).expect("a classifier");
        let count = |text: &str| classifier.classify_text("text", text, &[0; 32]).len();
        let key = ["a1b2c3d4e5", "f6g7h8i9j0"].concat();
        assert_eq!(count(&format!("acme_{key} is the key")), 1);
        assert_eq!(count(&format!("ACME-{} is", "aaaaaaaaaaaaaaaaaaaa")), 0, "entropy");
        assert_eq!(count(&format!("acme_dummy{} is", &key[..15])), 0, "stopword of the set");
        assert_eq!(count(&format!("acme_example{} is", &key[..13])), 0, "allowed in the set");
        assert_eq!(count(&format!("acme_abcabc{} is", &key[..14])), 0, "stopword of the rule");
        assert_eq!(count("<key{x&a.b>"), 1);
        let findings = classifier.classify_text("text", &format!("acme_{key}"), &[0; 32]);
        assert_eq!((findings[0].start, findings[0].end), (5, 25), "the group is the secret");
        assert_eq!(findings[0].severity, Severity::High);
    }

    #[test]
    fn invalid_entropy_is_reported_and_its_rule_skipped() {
        for (entropy, named) in [("nan", "NaN"), ("inf", "inf"), ("-1.0", "-1"), ("8.5", "8.5")] {
            let good = "[[rules]]\nid = 'good'\nregex = 'good'\nkeywords = ['good']\nentropy = 0.0\n";
            let (text, skipped) =
                import_gitleaks(&format!("{good}[[rules]]\nid = 'odd'\nregex = 'odd'\nentropy = {entropy}\n"))
                    .expect("an import");
            let reasons: Vec<_> = skipped.iter().map(|skip| (skip.id.as_str(), skip.reason.as_str())).collect();
            let expected = format!("the rule `odd` has the entropy {named}; use 0 to 8 bits per character");
            assert_eq!(reasons, [("odd", expected.as_str())]);
            assert!(!text.contains("entropy"), "{text}");
        }
    }

    #[test]
    fn text_without_rules_is_refused() {
        let error = |text: &str| import_gitleaks(text).expect_err(text).to_string();
        assert!(error("title = 'x'").contains("no gitleaks rule"));
        assert!(error("rules = 3").contains("line 1"));
    }

    #[test]
    fn go_syntax_is_rewritten() {
        let table = [
            ("a{2,3}b{4}c{5,}", "a{2,3}b{4}c{5,}"),
            ("{{x}}", "\\{\\{x}}"),
            ("a{,3}", "a\\{,3}"),
            ("[[a&&b--c]", "[\\[a\\&\\&b\\--c]"),
            ("[^]a]", "[^\\]a]"),
            ("[[:alpha:]_]x{y", "[[:alpha:]_]x\\{y"),
            ("\\<b\\>", "<b>"),
            ("\\Qa+b", "a\\+b"),
            ("[{]", "[{]"),
            ("\\[{", "\\[\\{"),
        ];
        for (go, rust) in table {
            assert_eq!(translate(go), rust, "{go}");
        }
    }
}
