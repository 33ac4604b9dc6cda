//! Markdown for a comment on a pull request: the verdict, its conditions, and what got worse by how much.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{cut, evaluated, outcome, reasons};
use crate::model::evaluation::{CaseResult, CaseVerdict, Run, Side};
use crate::model::finding::is_hidden;

/// Longest report in Markdown, in characters: comments on GitHub end at 65,536.
pub const MARKDOWN_CHARACTERS_MAX: usize = 60_000;
/// Most cases in one list.
const CASES_LISTED_MAX: usize = 100;
/// Longest name of a case and longest reason, in characters.
const TEXT_CHARACTERS_MAX: usize = 200;
/// Room for the end of a report that is cut.
const END_CHARACTERS: usize = 200;

/// The results of a case on one side.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// A case on both sides.
#[derive(Default)]
struct Both {
    candidate: Mean,
    baseline: Mean,
    /// The worst verdict of the candidate, and why.
    failed: Option<(CaseVerdict, String)>,
}

/// The report in Markdown, of at most [`MARKDOWN_CHARACTERS_MAX`] characters. `link` is where the whole report is.
#[must_use]
pub fn markdown(run: &Run, results: impl IntoIterator<Item = CaseResult>, link: Option<&str>) -> String {
    let cases = cases(results);
    let mut out = Out::default();
    out.line(&format!("### Evaluation of {}: {}", code(&evaluated(&run.candidate)), outcome(run)));
    out.line("");
    let summary = &run.summary;
    let mut facts = vec![format!("{} passed, {} failed, {} errors", summary.passed, summary.failed, summary.errors)];
    facts.extend(summary.score.map(|score| format!("score {score:.3}")));
    facts.push(format!("{} calls, {}", summary.calls, summary.cost.short()));
    facts.extend(summary.latency_p95_ms.map(|ms| format!("95th percentile of latency {ms} ms")));
    out.line(&format!("Suite {} version {}: {}.", code(&run.suite.name), run.suite.number, facts.join(", ")));
    let models: Vec<String> = run.models.iter().map(|model| code(&model.to_string())).collect();
    if !models.is_empty() {
        out.line(&format!("Models: {}. Repeats: {}.", models.join(", "), run.repeats));
    }
    if let Some(reason) = &run.reason {
        out.line(&format!("The run ended early: {}", prose(reason)));
    }
    if let Some(verdict) = &run.verdict {
        out.line("");
        for check in &verdict.checks {
            out.line(&format!("- **{}**: {}", check.state, prose(&check.says)));
        }
    }
    compared(run, &cases, &mut out);
    let failed: Vec<(&String, &Both)> = cases.iter().filter(|(_, case)| case.failed.is_some()).collect();
    let worse: BTreeSet<&String> = run.comparison.iter().flat_map(|comparison| &comparison.worse).collect();
    let others: Vec<_> = failed.into_iter().filter(|(name, _)| !worse.contains(name)).collect();
    let heading = if worse.is_empty() { "Not passed" } else { "Not passed, as before" };
    out.list(heading, others.len(), others.iter().map(|(name, case)| format!("{}{}", code(name), case.why())));
    out.list("Repeats differ", summary.flaky.len(), summary.flaky.iter().map(|name| code(name)));
    out.finish(link)
}

/// What the comparison with the baseline says, and the cases that changed.
fn compared(run: &Run, cases: &BTreeMap<String, Both>, out: &mut Out) {
    let Some(comparison) = &run.comparison else { return };
    out.line("");
    out.line(&format!(
        "Compared with {} on {} cases: score {:+.3}, with 95% confidence not lower than {:+.3}; {} worse, {} better \
         (McNemar p = {:.3}).",
        code(&evaluated(&comparison.baseline)),
        comparison.pairs,
        comparison.difference,
        comparison.lower_bound,
        comparison.worse.len(),
        comparison.better.len(),
        comparison.mcnemar_p,
    ));
    let change = |name: &String| match cases.get(name).and_then(Both::change) {
        Some((before, after)) => format!("{}: {before:.2} → {after:.2}", code(name)),
        None => code(name),
    };
    let why = |name: &String| cases.get(name).map(Both::why).unwrap_or_default();
    let worse = comparison.worse.iter().map(|name| format!("{}{}", change(name), why(name)));
    out.list("Got worse", comparison.worse.len(), worse);
    let lower = comparison.lower.iter().map(|lower| change(&lower.case));
    out.list("Lower score, same verdict", comparison.lower.len(), lower);
    out.list("Got better", comparison.better.len(), comparison.better.iter().map(change));
}

impl Both {
    /// The scores before and after.
    fn change(&self) -> Option<(f64, f64)> {
        Some((self.baseline.value()?, self.candidate.value()?))
    }

    fn why(&self) -> String {
        match &self.failed {
            Some((CaseVerdict::Error, why)) => format!(" (error) {}", code(why)),
            Some((_, why)) if !why.is_empty() => format!(" {}", code(why)),
            _ => String::new(),
        }
    }
}

fn cases(results: impl IntoIterator<Item = CaseResult>) -> BTreeMap<String, Both> {
    let mut cases: BTreeMap<String, Both> = BTreeMap::new();
    for result in results {
        let why = || cut(&reasons(&result).into_iter().next().unwrap_or_default(), TEXT_CHARACTERS_MAX);
        let case = cases.entry(result.case.clone()).or_default();
        let mean = if result.side == Side::Candidate { &mut case.candidate } else { &mut case.baseline };
        if result.verdict != CaseVerdict::Error {
            mean.sum += result.score;
            mean.count += 1;
        }
        let known = case.failed.as_ref().is_some_and(|(verdict, _)| *verdict == CaseVerdict::Failed);
        if result.side == Side::Candidate && result.verdict != CaseVerdict::Passed && !known {
            case.failed = Some((result.verdict, why()));
        }
    }
    cases
}

/// The report so far, within its limit.
#[derive(Default)]
struct Out {
    text: String,
    characters: usize,
    cut: bool,
}

impl Out {
    fn line(&mut self, line: &str) {
        let characters = line.chars().count() + 1;
        if self.cut || self.characters + characters + END_CHARACTERS > MARKDOWN_CHARACTERS_MAX {
            self.cut = true;
            return;
        }
        self.characters += characters;
        self.text.extend([line, "\n"]);
    }

    fn list(&mut self, heading: &str, count: usize, items: impl Iterator<Item = String>) {
        if count == 0 {
            return;
        }
        self.line("");
        self.line(&format!("**{heading}** ({count})"));
        self.line("");
        for item in items.take(CASES_LISTED_MAX) {
            self.line(&format!("- {item}"));
        }
        if count > CASES_LISTED_MAX {
            self.line(&format!("- and {} more", count - CASES_LISTED_MAX));
        }
    }

    fn finish(mut self, link: Option<&str>) -> String {
        if self.cut {
            self.text.push_str("\nThe report is longer than a comment may be.\n");
        }
        let fits = |link: &&str| link.len() <= 150 && !link.contains(|c: char| c.is_whitespace() || "<>()".contains(c));
        if let Some(link) = link.filter(fits) {
            self.text.extend(["\n[The whole report](", link, ")\n"]);
        }
        self.text
    }
}

/// The words of others as code: nothing in them is a link, a mention or markup.
fn code(text: &str) -> String {
    let clean: String = cut(text, TEXT_CHARACTERS_MAX)
        .chars()
        .map(|c| if c.is_control() || is_hidden(c) || c == '`' { ' ' } else { c })
        .collect();
    let clean = clean.trim();
    format!("`{}`", if clean.is_empty() { " " } else { clean })
}

/// A sentence with words of others, in which markup is escaped.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for letter in cut(text, 2_000).chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '`' => out.push_str("&#96;"),
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '!' | '~' => out.extend(['\\', letter]),
            _ if letter.is_control() || is_hidden(letter) => out.push(' '),
            _ => out.push(letter),
        }
    }
    // An address would become a link.
    out.replace("://", ":\u{200b}//")
}
