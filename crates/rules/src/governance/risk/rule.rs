//! One rule: its file format, validation, and search.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::detectors::Detector;
use super::negation::negated;
use super::places::{Place, Scope};
use super::validators::{Validator, shannon};
use super::work::Work;
use crate::model::finding::{Category, Severity};

/// Largest rule file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most rules of one set; the largest public set has some hundreds.
pub(super) const RULES_MAX: usize = 2_000;
/// Most rules of one set without keywords: each of them searches every text.
pub(super) const UNFILTERED_MAX: usize = 64;
/// Longest regex, in bytes.
pub(super) const REGEX_BYTES_MAX: usize = 4 * 1024;
/// Largest compiled regex of the built-in rules, in bytes: the crate's own limit.
const BUILT_IN_KIB_MAX: usize = 10 * 1024;
/// Largest compiled regex of other rules, in KiB: twice that of the largest public secret rule.
const COMPILED_KIB_MAX: usize = 512;
/// Total size of the compiled regexes of one set, in KiB: twice that of public sets.
pub(super) const SET_KIB_MAX: usize = 10 * 1024;
/// Number of stopwords that cost one unit of work.
const STOPWORDS_A_UNIT: usize = 8;
/// Largest cache of one regex's lazy automaton, in bytes, to limit the memory of many rules.
const AUTOMATON_BYTES_MAX: usize = 128 * 1024;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Longest description, in bytes: it is in every finding.
const DESCRIPTION_BYTES_MAX: usize = 500;
/// Most keywords, and most tests of each kind, of one rule.
const ITEMS_MAX: usize = 64;
/// Longest keyword, in bytes.
const KEYWORD_BYTES_MAX: usize = 100;
/// Longest test, in bytes.
const TEST_BYTES_MAX: usize = 8 * 1024;
/// Most regexes for exceptions, per rule and per set.
pub(super) const ALLOW_MAX: usize = 64;
/// Most words for exceptions, per rule and per set.
pub(super) const STOPWORDS_MAX: usize = 2_000;
/// Most matches of one rule in one text that are examined, which bounds the cost of near misses.
const CANDIDATES_MAX: usize = 2_000;
/// Highest possible entropy, in bits per character.
const ENTROPY_BITS_MAX: f64 = 8.0;
/// A character that is removed from tests before they run, so that secret scanners ignore the tests.
const TEST_JOINER: char = '⟂';

/// Why a rule file is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RuleError {
    #[error("the rule file is {bytes} bytes long; the limit is {FILE_BYTES_MAX} bytes; split it")]
    TooLong { bytes: usize },
    #[error("invalid rule file: {reason}")]
    Form { reason: String },
    #[error("the rule file has {count} {what}; the limit is {max}; split it")]
    SetTooMany { what: &'static str, count: usize, max: usize },
    #[error("invalid rule id `{id}`: use 1 to {ID_BYTES_MAX} characters from a-z 0-9 . _ -")]
    Id { id: String },
    #[error("the rule id `{id}` is used twice; give one of the rules another id")]
    Twice { id: String },
    #[error("the rule `{rule}` {reason}")]
    Rule { rule: String, reason: String },
    #[error("invalid regex in rule `{rule}`: {reason}")]
    Regex { rule: String, reason: String },
    #[error("the regex of the rule `{rule}` is too large when compiled; use smaller repeats or fewer alternatives")]
    RegexTooLarge { rule: String },
    #[error("the rule `{rule}` does not find {list} number {number}; change the rule or the test")]
    TestMissed { rule: String, list: &'static str, number: usize },
    #[error("the rule `{rule}` finds {list} number {number}, which it should not; change the rule or the test")]
    TestFound { rule: String, list: &'static str, number: usize },
    #[error(
        "the regexes of the rule file take more than {SET_KIB_MAX} KiB when compiled; split it or use smaller repeats"
    )]
    SetTooLarge,
    #[error(
        "the tests of the rule file take too long, because of the rule `{rule}`; use shorter tests or smaller regexes"
    )]
    TestsTooSlow { rule: String },
    #[error("the rules have too many keywords; use fewer or shorter ones")]
    Keywords,
}

/// A rule in a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleForm {
    pub id: String,
    pub version: u32,
    pub description: String,
    pub category: Option<Category>,
    pub severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<Detector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<Validator>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_group: Option<usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unless_negated: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_in_prompts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopwords: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_pos: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_neg: Vec<String>,
}

/// Exceptions: regexes and words, of one rule or of a whole set.
#[derive(Debug, Default)]
pub(super) struct Exemptions {
    allow: Vec<String>,
    stopwords: Vec<String>,
    reading: Reading,
    compiled: OnceLock<Vec<Compiled>>,
}

/// A regex, and its size.
#[derive(Debug)]
struct Compiled {
    regex: Regex,
    /// Its size in KiB, rounded up to a power of two: the cost of searching one byte.
    kib: usize,
}

/// A validated rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: String,
    pub version: u32,
    pub description: String,
    pub category: Category,
    pub severity: Severity,
    pub targets: Vec<Scope>,
    /// Lower-case; empty means that every text is searched.
    pub keywords: Vec<String>,
    /// Whether it is built in, so that a more severe built-in rule at the same place replaces it.
    pub built_in: bool,
    finder: Matcher,
    validator: Option<Validator>,
    entropy: Option<f64>,
    secret_group: usize,
    unless_negated: bool,
    /// Whether to report only the first place of a text: the rule is about its topic.
    once: bool,
    excuses: Exemptions,
    /// What authors of prompts write as an example, and what in the record of a call belongs to a person.
    prompt_excuses: Exemptions,
    set_excuses: Arc<Exemptions>,
    reading: Reading,
    compiled: OnceLock<Option<Compiled>>,
}

#[derive(Debug)]
enum Matcher {
    Regex(String),
    Detector(Detector),
}

/// The matches of one rule in one text.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// Byte ranges, in order, on character boundaries.
    pub spans: Vec<Range<usize>>,
    /// Number of known matches beyond `spans`.
    pub more: u64,
    /// Whether the search ended early because of the work limit.
    pub unfinished: bool,
}

/// Options of parsing a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Classes such as `\w` and `\b` mean ASCII.
    pub ascii: bool,
    /// Built in.
    pub built_in: bool,
}

impl Exemptions {
    pub fn new(allow: Vec<String>, stopwords: Vec<String>, reading: Reading) -> Self {
        let stopwords = stopwords.into_iter().map(|word| word.to_ascii_lowercase()).collect();
        Self { allow, stopwords, reading, compiled: OnceLock::new() }
    }

    /// Checks the limits and compiles every regex once; errors name `rule`. Returns the total size in KiB.
    pub fn check(&self, rule: &str) -> Result<usize, RuleError> {
        let limits = [("allow", self.allow.len(), ALLOW_MAX), ("stopwords", self.stopwords.len(), STOPWORDS_MAX)];
        for (what, count, max) in limits {
            if count > max {
                return Err(fault(rule, format!("has {count} {what}; the limit is {max}")));
            }
        }
        if self.stopwords.iter().any(|word| word.is_empty() || word.len() > KEYWORD_BYTES_MAX) {
            return Err(fault(rule, format!("has a stopword that is empty or longer than {KEYWORD_BYTES_MAX} bytes")));
        }
        let sizes = self.allow.iter().map(|pattern| Ok(Compiled::new(rule, pattern, self.reading)?.kib));
        sizes.sum()
    }

    /// The cost of examining one byte of a match.
    fn units(&self) -> u64 {
        let words = self.stopwords.len() / STOPWORDS_A_UNIT;
        self.compiled().iter().map(Compiled::units).sum::<u64>() + u64::try_from(words).unwrap_or(u64::MAX)
    }

    fn compiled(&self) -> &[Compiled] {
        // Validated when the set was parsed, so none is lost here.
        let build = || self.allow.iter().filter_map(|pattern| Compiled::new("", pattern, self.reading).ok()).collect();
        self.compiled.get_or_init(build)
    }

    fn cover(&self, matched: &str) -> bool {
        if !self.stopwords.is_empty() {
            let lower = matched.to_ascii_lowercase();
            if self.stopwords.iter().any(|word| lower.contains(word.as_str())) {
                return true;
            }
        }
        self.compiled().iter().any(|compiled| compiled.regex.is_match(matched.as_bytes()))
    }
}

impl Compiled {
    fn new(rule: &str, pattern: &str, reading: Reading) -> Result<Self, RuleError> {
        if reading.built_in {
            let regex = compile(rule, pattern, reading.ascii, BUILT_IN_KIB_MAX)?;
            return Ok(Self { regex, kib: 0 });
        }
        // A program that grows too large is given up at once, so all attempts together cost about as much as the last
        // one.
        let mut kib = 1;
        loop {
            match compile(rule, pattern, reading.ascii, kib) {
                Ok(regex) => return Ok(Self { regex, kib }),
                Err(RuleError::RegexTooLarge { .. }) if kib < COMPILED_KIB_MAX => kib *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn units(&self) -> u64 {
        u64::try_from(self.kib).unwrap_or(u64::MAX)
    }
}

impl Rule {
    /// Validates everything except regexes and tests.
    pub fn new(form: &RuleForm, reading: Reading, set_excuses: Arc<Exemptions>) -> Result<Self, RuleError> {
        check_id(&form.id)?;
        let fail = |reason: String| Err(fault(&form.id, reason));
        if form.version == 0 {
            return fail("has version 0; start with 1".to_owned());
        }
        let (Some(category), Some(severity)) = (form.category, form.severity) else {
            return fail("needs a category and a severity".to_owned());
        };
        if form.description.is_empty() || form.description.len() > DESCRIPTION_BYTES_MAX {
            return fail(format!("needs a description of at most {DESCRIPTION_BYTES_MAX} bytes"));
        }
        let lists = [("keywords", &form.keywords), ("test_pos", &form.test_pos), ("test_neg", &form.test_neg)];
        for (what, list) in lists {
            let max = if what == "keywords" { KEYWORD_BYTES_MAX } else { TEST_BYTES_MAX };
            if list.len() > ITEMS_MAX || list.iter().any(|item| item.is_empty() || item.len() > max) {
                return fail(format!(
                    "has too many {what}, or too long ones: use at most {ITEMS_MAX} of 1 to {max} bytes"
                ));
            }
        }
        let finder = match (&form.regex, form.detector) {
            (Some(pattern), None) if pattern.is_empty() || pattern.len() > REGEX_BYTES_MAX => {
                return fail(format!("needs a regex of 1 to {REGEX_BYTES_MAX} bytes; this one has {}", pattern.len()));
            }
            (Some(pattern), None) => Matcher::Regex(pattern.clone()),
            (None, Some(detector)) => Matcher::Detector(detector),
            _ => return fail("needs either a regex or a detector".to_owned()),
        };
        // Also false for NaN, for which every comparison is.
        if let Some(entropy) = form.entropy.filter(|entropy| !(0.0..=ENTROPY_BITS_MAX).contains(entropy)) {
            return fail(format!("has the entropy {entropy}; use 0 to {ENTROPY_BITS_MAX} bits per character"));
        }
        Ok(Self {
            id: form.id.clone(),
            version: form.version,
            description: form.description.clone(),
            category,
            severity,
            targets: if form.target.is_empty() { vec![Scope::Whole] } else { form.target.clone() },
            keywords: form.keywords.iter().map(|keyword| keyword.to_ascii_lowercase()).collect(),
            built_in: reading.built_in,
            finder,
            validator: form.validator,
            entropy: form.entropy,
            secret_group: form.secret_group.unwrap_or(0),
            unless_negated: form.unless_negated,
            once: form.once,
            excuses: Exemptions::new(form.allow.clone(), form.stopwords.clone(), reading),
            prompt_excuses: Exemptions::new(form.allow_in_prompts.clone(), Vec::new(), reading),
            set_excuses,
            reading,
            compiled: OnceLock::new(),
        })
    }

    /// Compiles the regexes to validate them. Returns their size in KiB.
    pub fn check_regexes(&self) -> Result<usize, RuleError> {
        let kib = self.excuses.check(&self.id)? + self.prompt_excuses.check(&self.id)?;
        let Matcher::Regex(pattern) = &self.finder else { return Ok(kib) };
        let compiled = Compiled::new(&self.id, pattern, self.reading)?;
        let (groups, kib) = (compiled.regex.captures_len() - 1, kib + compiled.kib);
        if self.secret_group > groups {
            return Err(fault(
                &self.id,
                format!("has secret_group {}, but its regex has {groups} groups", self.secret_group),
            ));
        }
        // The tests use it; it is dropped with the rule.
        self.compiled.get_or_init(|| Some(compiled));
        Ok(kib)
    }

    /// Runs the tests of `form`, from which this rule was made.
    pub fn check_tests(&self, form: &RuleForm, work: &mut Work) -> Result<(), RuleError> {
        if form.test_pos.is_empty() || form.test_neg.is_empty() {
            return Err(fault(&self.id, "needs at least one test in test_pos and one in test_neg".to_owned()));
        }
        for (list, tests, wanted) in [("test_pos", &form.test_pos, true), ("test_neg", &form.test_neg, false)] {
            for (index, test) in tests.iter().enumerate() {
                let text = test.replace(TEST_JOINER, "");
                let hits = if self.is_tried(&text) { self.find(&Place::test(&text), work) } else { Hits::default() };
                let (rule, number, found) = (self.id.clone(), index + 1, !hits.spans.is_empty());
                if hits.unfinished {
                    return Err(RuleError::TestsTooSlow { rule });
                }
                match (wanted, found) {
                    (true, false) => return Err(RuleError::TestMissed { rule, list, number }),
                    (false, true) => return Err(RuleError::TestFound { rule, list, number }),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether its regex is currently compiled.
    #[cfg(test)]
    pub fn is_compiled(&self) -> bool {
        self.compiled.get().is_some()
    }

    /// Whether the prefilter passes the text to this rule.
    fn is_tried(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.keywords.is_empty() || self.keywords.iter().any(|keyword| lower.contains(keyword.as_str()))
    }

    /// All matches of this rule in a text, within the limits and the remaining `work`.
    pub fn find(&self, place: &Place<'_>, work: &mut Work) -> Hits {
        let text: &str = &place.text;
        let (mut hits, mut endless) = (Hits::default(), Work::endless());
        let work = if self.built_in { &mut endless } else { work };
        match &self.finder {
            Matcher::Detector(detector) => {
                if work.pay(text.len(), 1) {
                    detector.find(place, &mut |span| self.take(place, span, work, &mut hits));
                } else {
                    hits.unfinished = true;
                }
            }
            Matcher::Regex(pattern) => {
                // A custom rule's regex compiled when its set was parsed, a built-in one's in the unit tests.
                match self.compiled.get_or_init(|| Compiled::new(&self.id, pattern, self.reading).ok()) {
                    Some(compiled) => self.search(compiled, place, work, &mut hits),
                    None => hits.unfinished = true,
                }
            }
        }
        hits
    }

    fn search(&self, compiled: &Compiled, place: &Place<'_>, work: &mut Work, hits: &mut Hits) {
        let text: &str = &place.text;
        let mut candidates: Box<dyn Iterator<Item = (usize, Option<Range<usize>>)>> = if self.secret_group == 0 {
            Box::new(compiled.regex.find_iter(text.as_bytes()).map(|found| (found.end(), Some(found.range()))))
        } else {
            Box::new(compiled.regex.captures_iter(text.as_bytes()).map(|captures| {
                let end = captures.get(0).map_or(text.len(), |whole| whole.end());
                (end, captures.get(self.secret_group).map(|found| found.range()))
            }))
        };
        let mut from = 0;
        for _ in 0..CANDIDATES_MAX {
            // Each search may read to the end, whatever it finds.
            if !work.pay(text.len().saturating_sub(from), compiled.units()) {
                hits.unfinished = true;
                return;
            }
            let Some((end, span)) = candidates.next() else { return };
            from = end;
            if let Some(span) = span {
                self.take(place, span, work, hits);
            }
            if self.once && !hits.spans.is_empty() {
                return;
            }
        }
        // Matches that were not examined count, so that nothing hides behind many near misses.
        hits.more += 1;
    }

    fn exemptions(&self) -> impl Iterator<Item = &Exemptions> {
        [&self.excuses, &self.prompt_excuses, &*self.set_excuses].into_iter()
    }

    /// Adds a match if it is valid.
    fn take(&self, place: &Place<'_>, span: Range<usize>, work: &mut Work, hits: &mut Hits) {
        if self.once && !hits.spans.is_empty() {
            return;
        }
        let units = if self.built_in { 0 } else { 1 + self.exemptions().map(Exemptions::units).sum::<u64>() };
        if !work.pay(span.len(), units) {
            hits.unfinished = true;
            return;
        }
        let Some(span) = self.accept(place, span) else { return };
        if hits.spans.len() < super::RULE_FINDINGS_MAX {
            hits.spans.push(span);
        } else {
            hits.more += 1;
        }
    }

    /// The match on character boundaries, if checksum, entropy, negation and exceptions allow it.
    fn accept(&self, place: &Place<'_>, span: Range<usize>) -> Option<Range<usize>> {
        let text: &str = &place.text;
        let (mut start, mut end) = (span.start, span.end);
        while start > 0 && !text.is_char_boundary(start) {
            start -= 1;
        }
        while end < text.len() && !text.is_char_boundary(end) {
            end += 1;
        }
        let matched = text.get(start..end).filter(|matched| !matched.is_empty())?;
        let stands = self.validator.is_none_or(|validator| validator.accepts(matched))
            && self.entropy.is_none_or(|least| shannon(matched) >= least)
            && !(self.unless_negated && negated(text, start))
            && !self.excuses.cover(matched)
            && !self.set_excuses.cover(matched)
            && (place.is_record || !self.prompt_excuses.cover(matched));
        stands.then_some(start..end)
    }
}

fn fault(rule: &str, reason: String) -> RuleError {
    RuleError::Rule { rule: rule.to_owned(), reason }
}

fn check_id(id: &str) -> Result<(), RuleError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(fits) {
        return Ok(());
    }
    Err(RuleError::Id { id: id.chars().filter(|c| !c.is_control()).take(ID_BYTES_MAX).collect() })
}

/// Compiles a custom regex within its size limit; errors name `rule`.
pub(super) fn compile_foreign(rule: &str, pattern: &str) -> Result<Regex, RuleError> {
    compile(rule, pattern, true, COMPILED_KIB_MAX)
}

/// Compiles a regex within the limits.
fn compile(rule: &str, pattern: &str, ascii: bool, kib: usize) -> Result<Regex, RuleError> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(fault(rule, format!("has a regex of {} bytes; the limit is {REGEX_BYTES_MAX}", pattern.len())));
    }
    let built =
        RegexBuilder::new(pattern).unicode(!ascii).size_limit(kib * 1024).dfa_size_limit(AUTOMATON_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => RuleError::RegexTooLarge { rule: rule.to_owned() },
        other => {
            // The last line is the cause; the lines before it show the pattern.
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            RuleError::Regex { rule: rule.to_owned(), reason }
        }
    })
}
