//! The classifier: one search for all keywords, then the rules whose keywords matched.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::places::{Only, Place, visit_places};
use super::rule::{Hits, Rule, RuleError};
use super::set::RuleSet;
use super::work::Work;
use crate::model::content::Content;
use crate::model::finding::{Category, Finding, Severity};

/// Most listed findings of one content; the most severe are kept.
pub const FINDINGS_MAX: usize = 200;
/// Most findings of one rule in one text that are listed.
pub const RULE_FINDINGS_MAX: usize = 20;
/// The ID of the last finding, which reports unlisted ones.
pub const MORE_RULE: &str = "more";
/// Most findings that are collected before the most severe are selected, which bounds the cost of a thousand small
/// texts.
const KEPT_MAX: usize = 4_000;

/// A compiled set of rules. Shared by threads; a regex is compiled on first use.
#[derive(Debug, Default)]
pub struct Classifier {
    rules: Vec<Arc<Rule>>,
    keywords: Option<AhoCorasick>,
    /// For each keyword, its rules.
    called: Vec<Vec<usize>>,
    /// The rules without keywords.
    always: Vec<usize>,
}

/// The findings so far.
#[derive(Default)]
struct FindingCollector {
    findings: Vec<Finding>,
    unlisted: u64,
    /// Number of searches that ended early.
    unfinished: u64,
    /// Of both.
    worst_unlisted: Option<(Severity, Category)>,
}

impl Classifier {
    /// Combines the built-in rules (if `builtin`) and custom sets.
    ///
    /// # Errors
    /// A duplicate ID, or more keywords than one search supports.
    pub fn new(builtin: bool, custom: &[RuleSet]) -> Result<Self, RuleError> {
        let sets = builtin.then(RuleSet::builtin).into_iter().chain(custom);
        let rules: Vec<Arc<Rule>> = sets.flat_map(|set| set.rules.iter().map(Arc::clone)).collect();
        let mut ids = BTreeSet::new();
        if let Some(rule) = rules.iter().find(|rule| !ids.insert(rule.id.as_str())) {
            return Err(RuleError::Twice { id: rule.id.clone() });
        }
        let mut by_keyword: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut always = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if rule.keywords.is_empty() {
                always.push(index);
            }
            for keyword in &rule.keywords {
                by_keyword.entry(keyword).or_default().push(index);
            }
        }
        let keywords = if by_keyword.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(by_keyword.keys());
            Some(built.map_err(|_| RuleError::Keywords)?)
        };
        let called = by_keyword.into_values().collect();
        Ok(Self { rules, keywords, called, always })
    }

    /// Number of rules.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// All findings in a content, by place and position: at most [`FINDINGS_MAX`], and a last one about the rest.
    ///
    /// `key` belongs to the registry: hashes of equal matches are equal with one key, and reveal nothing without it.
    pub fn classify(&self, content: &Content, key: &[u8; 32]) -> Vec<Finding> {
        let (mut collected, mut work) = (FindingCollector::default(), Work::whole());
        visit_places(content, &mut |place| self.scan(place, key, &mut work, &mut collected));
        collected.finish()
    }

    /// All findings in one text, with the place name `target`.
    pub fn classify_text(&self, target: &str, text: &str, key: &[u8; 32]) -> Vec<Finding> {
        let mut collected = FindingCollector::default();
        self.scan(&Place::text(target, text), key, &mut Work::whole(), &mut collected);
        collected.finish()
    }

    fn scan(&self, place: &Place<'_>, key: &[u8; 32], work: &mut Work, collected: &mut FindingCollector) {
        let mut hits: Vec<(&Rule, Hits)> = Vec::new();
        for rule in self.rules_of(place) {
            let found = rule.find(place, work);
            if !found.spans.is_empty() || found.more > 0 || found.unfinished {
                hits.push((rule, found));
            }
        }
        let lines = LineIndex::new(&place.text, place.offset);
        for (index, (rule, found)) in hits.iter().enumerate() {
            if found.more > 0 {
                collected.leave_out(found.more, rule.severity, rule.category);
            }
            if found.unfinished {
                collected.unfinished += 1;
                collected.leave_out(0, rule.severity, rule.category);
            }
            for span in &found.spans {
                if span.end > place.offset && !is_covered(&hits, index, span) {
                    collected.keep(finding(rule, place, span, &lines, key));
                }
            }
        }
    }

    /// The rules that search a place, and whose keywords match it, in order.
    pub(super) fn rules_of(&self, place: &Place<'_>) -> Vec<&Rule> {
        let looks = |rule: &&Rule| {
            let is_asked = match place.only {
                Only::All => true,
                Only::Secrets => rule.category == Category::Secrets,
                Only::Others => rule.category != Category::Secrets,
            };
            is_asked && place.is_in(&rule.targets)
        };
        let rules = self.rules_for(&place.text).into_iter().filter_map(|index| self.rules.get(index));
        rules.map(AsRef::as_ref).filter(looks).collect()
    }

    /// The rules whose keywords match a text, in order.
    fn rules_for(&self, text: &str) -> BTreeSet<usize> {
        let mut rules: BTreeSet<usize> = self.always.iter().copied().collect();
        let Some(keywords) = &self.keywords else { return rules };
        let mut waiting = vec![true; self.called.len()];
        let mut left = self.called.len();
        for found in keywords.find_overlapping_iter(text) {
            let index = found.pattern().as_usize();
            if let Some(first) = waiting.get_mut(index).filter(|first| **first) {
                *first = false;
                left -= 1;
                rules.extend(self.called.get(index).into_iter().flatten());
                if left == 0 {
                    break;
                }
            }
        }
        rules
    }
}

/// Whether a built-in rule's match overlaps with that of another built-in rule in the same category that is more
/// severe, or as severe and earlier: one leak is one finding.
fn is_covered(hits: &[(&Rule, Hits)], index: usize, span: &Range<usize>) -> bool {
    let Some((rule, _)) = hits.get(index).filter(|(rule, _)| rule.built_in) else { return false };
    hits.iter().enumerate().any(|(other_index, (other, found))| {
        let stronger = other.severity > rule.severity || (other.severity == rule.severity && other_index < index);
        other.built_in
            && other.category == rule.category
            && stronger
            && found.spans.iter().any(|other| other.start < span.end && span.start < other.end)
    })
}

fn finding(rule: &Rule, place: &Place<'_>, span: &Range<usize>, lines: &LineIndex, key: &[u8; 32]) -> Finding {
    let matched = place.text.as_bytes().get(span.clone()).unwrap_or_default();
    Finding {
        rule: rule.id.clone(),
        rule_version: rule.version,
        category: rule.category,
        severity: rule.severity,
        target: place.target.clone(),
        start: wide(span.start.saturating_sub(place.offset)),
        end: wide(span.end.saturating_sub(place.offset)),
        line: lines.of(span.start),
        hash: blake3::keyed_hash(key, matched).to_hex().to_string(),
        message: rule.description.clone(),
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The start of each line of the text.
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str, offset: usize) -> Self {
        let ends = text.bytes().enumerate().skip(offset).filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    fn of(&self, at: usize) -> u64 {
        1 + wide(self.0.partition_point(|end| *end < at))
    }
}

impl FindingCollector {
    fn keep(&mut self, finding: Finding) {
        if self.findings.len() < KEPT_MAX {
            self.findings.push(finding);
            return;
        }
        // A full list keeps the most severe findings: nothing critical hides behind many minor ones.
        self.shrink(KEPT_MAX / 2);
        self.findings.push(finding);
    }

    fn leave_out(&mut self, count: u64, severity: Severity, category: Category) {
        self.unlisted = self.unlisted.saturating_add(count);
        if self.worst_unlisted.is_none_or(|(worst, _)| severity > worst) {
            self.worst_unlisted = Some((severity, category));
        }
    }

    /// Keeps the `count` most severe findings in their order.
    fn shrink(&mut self, count: usize) {
        if self.findings.len() <= count {
            return;
        }
        let mut order: Vec<usize> = (0..self.findings.len()).collect();
        order.sort_by_key(|index| self.findings.get(*index).map(|finding| std::cmp::Reverse(finding.severity)));
        let kept: BTreeSet<usize> = order.into_iter().take(count).collect();
        let all = std::mem::take(&mut self.findings);
        for (index, finding) in all.into_iter().enumerate() {
            if kept.contains(&index) {
                self.findings.push(finding);
            } else {
                self.leave_out(1, finding.severity, finding.category);
            }
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        self.shrink(FINDINGS_MAX);
        // Places are in order; within one, findings are ordered by position.
        let mut findings = self.findings;
        let mut start = 0;
        while let Some(first) = findings.get(start) {
            let same = findings.iter().skip(start).take_while(|finding| finding.target == first.target).count();
            if let Some(place) = findings.get_mut(start..start + same) {
                place.sort_by_key(|finding| (finding.start, finding.end));
            }
            start += same;
        }
        if let Some((severity, category)) = self.worst_unlisted {
            findings.push(Finding {
                rule: MORE_RULE.to_owned(),
                rule_version: 1,
                category,
                severity,
                target: "whole".to_owned(),
                start: 0,
                end: 0,
                line: 1,
                hash: String::new(),
                message: rest(self.unlisted, self.unfinished, severity),
            });
        }
        findings
    }
}

/// The text of the last finding, about the rest.
fn rest(unlisted: u64, unfinished: u64, severity: Severity) -> String {
    let unlisted = (unlisted > 0).then(|| {
        format!("at least {unlisted} more findings are not listed, {severity} at worst; fix the listed ones first")
    });
    let unfinished = (unfinished > 0).then(|| {
        format!(
            "{unfinished} rules did not finish, {severity} at worst: together they take too much work; shorten the \
                prompt, or use rules with smaller repeats"
        )
    });
    unlisted.into_iter().chain(unfinished).collect::<Vec<_>>().join("; ")
}
