//! `JUnit` XML, which CI systems show: a test suite for each model, with a test case for each case and repeat, and one for
//! the gate, with a test case for each condition.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::text::{case_name, cut, evaluated, outcome, reasons, seconds};
use crate::model::evaluation::{CaseResult, CaseVerdict, GateCheck, GateState, Run, Side};

/// Longest message of a failure, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 300;
/// Longest text of a failure, in characters.
const TEXT_CHARACTERS_MAX: usize = 10_000;

/// The test cases of one model, or of the gate.
#[derive(Default)]
struct Tests {
    xml: String,
    count: u64,
    failures: u64,
    errors: u64,
    ms: u64,
}

/// Writes the results of the candidate as `JUnit` XML.
///
/// # Errors
/// They cannot be written.
pub fn junit(run: &Run, results: impl IntoIterator<Item = CaseResult>, out: &mut dyn Write) -> io::Result<()> {
    let mut suites: Vec<(String, Tests)> =
        run.models.iter().map(|model| (model.to_string(), Tests::default())).collect();
    for result in results.into_iter().filter(|result| result.side == Side::Candidate) {
        let of = result.model.to_string();
        if !suites.iter().any(|(model, _)| *model == of) {
            suites.push((of.clone(), Tests::default()));
        }
        if let Some((_, tests)) = suites.iter_mut().find(|(model, _)| *model == of) {
            tests.add(run, &result);
        }
    }
    let mut gate = Tests::default();
    run.verdict.iter().flat_map(|verdict| &verdict.checks).for_each(|check| gate.add_condition(run, check));
    suites.push(("gate".to_owned(), gate));
    let sum = |part: fn(&Tests) -> u64| suites.iter().map(|(_, tests)| part(tests)).sum::<u64>();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">",
        attribute(&format!("{}, suite {} version {}", evaluated(&run.candidate), run.suite.name, run.suite.number)),
        sum(|tests| tests.count),
        sum(|tests| tests.failures),
        sum(|tests| tests.errors),
        seconds(sum(|tests| tests.ms)),
    )?;
    for (suite, tests) in &suites {
        writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{}\" \
             timestamp=\"{}\">",
            attribute(suite),
            tests.count,
            tests.failures,
            tests.errors,
            seconds(tests.ms),
            // The schema has no time zone: it is UTC.
            attribute(run.at.to_string().get(..19).unwrap_or_default()),
        )?;
        writeln!(out, "    <properties>")?;
        let properties = [
            ("run", run.id.to_string()),
            ("prompt", run.candidate.prompt.to_string()),
            ("version", run.candidate.version.map(|version| version.to_string()).unwrap_or_default()),
            ("content_id", run.candidate.content_id.to_string()),
            ("suite", run.suite.name.clone()),
            ("suite_version", run.suite.number.to_string()),
            ("suite_id", run.suite.id.to_string()),
            ("outcome", outcome(run)),
        ];
        for (name, value) in properties {
            writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", attribute(&value))?;
        }
        writeln!(out, "    </properties>")?;
        out.write_all(tests.xml.as_bytes())?;
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

impl Tests {
    fn add(&mut self, run: &Run, result: &CaseResult) {
        let ms = result.answer.as_ref().map_or(0, |answer| answer.latency_ms);
        self.ms = self.ms.saturating_add(ms);
        let opening = self.opening(&case_name(run, result), run, ms);
        let element = match result.verdict {
            CaseVerdict::Passed => return self.passed(&opening),
            CaseVerdict::Failed => Element::Failure,
            CaseVerdict::Error => Element::Error,
        };
        let mut reasons = reasons(result);
        let message = reasons.first().cloned().unwrap_or_else(|| format!("score {:.3}", result.score));
        if let Some(answer) = &result.answer {
            reasons.push(format!("answer: {}", answer.text));
        }
        self.unmet(&opening, element, &result.verdict.to_string(), &message, &reasons.join("\n"));
    }

    fn add_condition(&mut self, run: &Run, check: &GateCheck) {
        let opening = self.opening(&check.says, run, 0);
        let element = match check.state {
            GateState::Passed => return self.passed(&opening),
            GateState::Failed => Element::Failure,
            GateState::Inconclusive => Element::Error,
        };
        self.unmet(&opening, element, &check.state.to_string(), &check.says, &check.says);
    }

    fn opening(&mut self, name: &str, run: &Run, ms: u64) -> String {
        self.count += 1;
        format!(
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
            attribute(&cut(name, MESSAGE_CHARACTERS_MAX)),
            attribute(&run.suite.name),
            seconds(ms),
        )
    }

    fn passed(&mut self, opening: &str) {
        self.xml.extend([opening, "/>\n"]);
    }

    fn unmet(&mut self, opening: &str, element: Element, kind: &str, message: &str, text: &str) {
        let element = match element {
            Element::Failure => {
                self.failures += 1;
                "failure"
            }
            Element::Error => {
                self.errors += 1;
                "error"
            }
        };
        let message = attribute(&cut(message, MESSAGE_CHARACTERS_MAX));
        let text = content(&cut(text, TEXT_CHARACTERS_MAX));
        let _ = writeln!(
            self.xml,
            "{opening}>\n      <{element} message=\"{message}\" type=\"{kind}\">{text}</{element}>\n    </testcase>",
        );
    }
}

/// What a test case that did not pass has.
#[derive(Clone, Copy)]
enum Element {
    Failure,
    Error,
}

/// Text within an element; what XML 1.0 cannot hold is replaced.
fn content(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(letter),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

/// Text of an attribute, in which line breaks are written by their numbers.
fn attribute(text: &str) -> String {
    content(text).replace('\n', "&#10;").replace('\t', "&#9;")
}
