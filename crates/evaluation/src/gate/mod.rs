//! Decides a gate: what the results of a run say about what its suite requires.
//!
//! A gate has three states. Failed wins over inconclusive: what was not reached stays not reached however the missing
//! results would be. Only when everything is reached, and nothing is missing, a gate passes. The unit is the case: its
//! models and repeats are averaged first, so repeats cannot make a small suite look like a large one.

mod tally;

pub use self::tally::Tally;
use self::tally::{AnswerCosts, CaseTotal};
use crate::model::evaluation::{Comparison, GateCheck, GateState, GateVerdict, RunState, RunSummary};
use crate::model::suite::{GateRule, Suite};
use crate::model::usd::Usd;
use crate::statistics::wilson;

/// Share of results without a verdict above which a run is inconclusive.
pub const ERROR_SHARE_MAX: f64 = 0.02;
/// Fewest cases of a comparison with a baseline: of fewer, an interval says nothing.
pub const PAIRS_MIN: u64 = 5;
/// Confidence of the intervals of a gate.
pub const CONFIDENCE: f64 = 0.95;
/// Most names of cases in the words of one condition; the results list all.
const NAMES_SHOWN_MAX: usize = 10;

/// Decides the gate of a run that is over; a run that ended early has a reason.
#[must_use]
pub fn decide(
    suite: &Suite,
    tally: &Tally,
    (state, reason): (RunState, Option<&str>),
    summary: &RunSummary,
    comparison: Option<&Comparison>,
) -> GateVerdict {
    let rule = &suite.gate;
    let mut checks: Vec<GateCheck> = must_pass(suite, tally).into_iter().collect();
    checks.push(pass_rate(rule, suite, tally));
    checks.extend(rule.metrics.iter().map(|(metric, least)| {
        let reached = summary.metrics.get(metric).copied();
        let missing = "no scorer with this metric gave a verdict";
        at_least(&format!("metric {metric}"), reached, *least, missing)
    }));
    if let Some(least) = rule.consistency {
        let missing = "no case has two verdicts on a model; set `repeats` of the suite to 2 or more";
        checks.push(at_least("consistency of repeats", summary.consistency, least, missing));
    }
    if let Some(margin) = rule.margin {
        checks.push(not_worse(margin, tally, comparison));
    }
    if let Some(most) = rule.latency_p95_ms {
        let says = |reached: &str| format!("95th percentile of latency at most {most} ms ({reached})");
        checks.push(match summary.latency_p95_ms {
            Some(reached) => check(reached <= most, says(&format!("{reached} ms"))),
            None => inconclusive(says("no answer says how long it took")),
        });
    }
    if let Some(most) = rule.cost_mean_usd {
        checks.push(mean_cost(tally.answers, most));
    }
    checks.push(complete(state, reason, summary));
    let states: Vec<GateState> = checks.iter().map(|check| check.state).collect();
    let state = match () {
        () if states.contains(&GateState::Failed) => GateState::Failed,
        () if states.contains(&GateState::Inconclusive) => GateState::Inconclusive,
        () => GateState::Passed,
    };
    GateVerdict { state, checks }
}

/// Nothing is said if no case must pass.
fn must_pass(suite: &Suite, tally: &Tally) -> Option<GateCheck> {
    let required: Vec<&str> = suite.cases.iter().filter(|case| case.must_pass).map(|case| case.name.as_str()).collect();
    let failed: Vec<&str> =
        required.iter().copied().filter(|name| tally.case(name).is_some_and(|total| total.failed > 0)).collect();
    let is_unknown = |name: &&&str| tally.case(name).is_none_or(|total| total.judged() == 0 || total.errors > 0);
    let unknown = required.iter().filter(is_unknown).count();
    let says = |reached: &str| format!("every case that must pass ({reached})");
    (!required.is_empty()).then(|| match (failed.is_empty(), unknown) {
        (false, _) => check(false, says(&format!("{} failed: {}", failed.len(), named(&failed)))),
        (true, 0) => check(true, says(&format!("{} of {0}", required.len()))),
        (true, _) => inconclusive(says(&format!("{unknown} of {} have no verdict", required.len()))),
    })
}

fn pass_rate(rule: &GateRule, suite: &Suite, tally: &Tally) -> GateCheck {
    let judged: Vec<(&str, &CaseTotal)> = suite
        .cases
        .iter()
        .filter_map(|case| Some((case.name.as_str(), tally.case(&case.name)?)))
        .filter(|(_, total)| total.judged() > 0)
        .collect();
    let failed: Vec<&str> = judged.iter().filter(|(_, total)| !total.has_passed()).map(|(name, _)| *name).collect();
    let passed = judged.len() - failed.len();
    if judged.is_empty() {
        return inconclusive(format!("{} of cases pass (no case has a verdict)", percent(rule.pass_rate)));
    }
    let share = count(passed) / count(judged.len());
    let names = if failed.is_empty() { String::new() } else { format!("; failed: {}", named(&failed)) };
    if rule.confident {
        let (low, _) = wilson(whole(passed), whole(judged.len()), CONFIDENCE);
        let says = format!(
            "{} of cases pass, by the lower end of the 95% interval ({} of {}: {}{names})",
            percent(rule.pass_rate),
            passed,
            judged.len(),
            percent(low)
        );
        return check(low >= rule.pass_rate, says);
    }
    let says = format!("{} of cases pass ({passed} of {}{names})", percent(rule.pass_rate), judged.len());
    check(share >= rule.pass_rate, says)
}

fn not_worse(margin: f64, tally: &Tally, comparison: Option<&Comparison>) -> GateCheck {
    let says = |reached: &str| format!("score not worse than the baseline by more than {margin} ({reached})");
    match comparison {
        None if tally.has_baseline() => inconclusive(says("no case has a verdict for both versions")),
        None => inconclusive(says(
            "the run has no version to compare with; name one with --against, for example --against @production",
        )),
        Some(Comparison { pairs, .. }) if *pairs < PAIRS_MIN => inconclusive(says(&format!(
            "{pairs} cases have a verdict for both versions, and a comparison needs {PAIRS_MIN}; add cases, or remove \
             `margin` from the gate"
        ))),
        Some(Comparison { pairs, difference, lower_bound, .. }) => check(
            *lower_bound >= -margin,
            says(&format!("{difference:+.3} on {pairs} cases, at least {lower_bound:+.3} with 95% confidence")),
        ),
    }
}

fn mean_cost(AnswerCosts { sum, priced, unpriced }: AnswerCosts, most: Usd) -> GateCheck {
    let says = |reached: &str| format!("mean cost of an answer at most {} ({reached})", most.short());
    match sum.per(priced) {
        _ if unpriced > 0 => {
            inconclusive(says(&format!("{unpriced} answers have no known price; add one with `bookholder prices set`")))
        }
        Some(mean) => check(mean <= most, says(&mean.short())),
        None => inconclusive(says("no answers")),
    }
}

fn complete(state: RunState, reason: Option<&str>, summary: &RunSummary) -> GateCheck {
    let came = summary.passed + summary.failed + summary.errors;
    let share = as_float(summary.errors) / as_float(came.max(1));
    let says = |reached: &str| format!("complete run ({reached})");
    let errors = format!("{} of {} results are errors", summary.errors, summary.planned);
    match (state, reason) {
        (RunState::Finished, _) if came < summary.planned => {
            inconclusive(says(&format!("{came} of {} results", summary.planned)))
        }
        (RunState::Finished, _) if share <= ERROR_SHARE_MAX => check(true, says(&errors)),
        (RunState::Finished, _) => inconclusive(says(&format!("{errors}, more than {}", percent(ERROR_SHARE_MAX)))),
        (_, Some(reason)) => inconclusive(says(&format!("{state}: {reason}"))),
        (_, None) => inconclusive(says(&format!("it was {state}"))),
    }
}

fn at_least(what: &str, reached: Option<f64>, least: f64, missing: &str) -> GateCheck {
    match reached {
        Some(reached) => check(reached >= least, format!("{what} at least {least} ({reached:.3})")),
        None => inconclusive(format!("{what} at least {least} ({missing})")),
    }
}

fn check(met: bool, says: String) -> GateCheck {
    GateCheck { says, state: if met { GateState::Passed } else { GateState::Failed } }
}

const fn inconclusive(says: String) -> GateCheck {
    GateCheck { says, state: GateState::Inconclusive }
}

fn named(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMES_SHOWN_MAX) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}%", text.trim_end_matches(".0"))
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "counts of cases are far below 2^53")]
const fn count(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds and results are far below 2^53")]
const fn as_float(ms: u64) -> f64 {
    ms as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two numbers of milliseconds")]
fn as_whole(ms: f64) -> u64 {
    ms.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evaluation::{Answer, CaseResult, CaseVerdict, Evaluated, Side};

    fn suite(json: &str) -> Suite {
        Suite::from_json(json.as_bytes()).expect(json)
    }

    fn result(case: &str, side: Side, repeat: u32, verdict: CaseVerdict) -> CaseResult {
        CaseResult {
            case: case.to_owned(),
            model: "local:tiny".parse().expect("a model"),
            repeat,
            side,
            verdict,
            score: if verdict == CaseVerdict::Passed { 1.0 } else { 0.0 },
            error: None,
            answer: Some(Answer { latency_ms: 100, ..Answer::default() }),
            scorers: Vec::new(),
            judging: Usd::default(),
            judges: Vec::new(),
        }
    }

    fn numbered(count: usize, rule: &str) -> Suite {
        let cases: Vec<String> = (0..count).map(|n| format!(r#"{{"name":"{n}"}}"#)).collect();
        suite(&format!(r#"{{"gate":{rule},"cases":[{}]}}"#, cases.join(",")))
    }

    fn verdict(suite: &Suite, results: &[CaseResult], state: RunState) -> GateVerdict {
        let baseline = Evaluated {
            prompt: "support/agent".parse().expect("a name"),
            version: Some(1),
            content_id: crate::model::content_id::ContentId::of(b"x"),
        };
        let tally: Tally = results.iter().collect();
        let summary = tally.summarize(&suite.cases, 0);
        decide(suite, &tally, (state, None), &summary, tally.compare(&suite.cases, &baseline).as_ref())
    }

    #[test]
    fn pass_rate_is_of_cases_and_names_those_that_failed() {
        let suite = numbered(4, r#"{"pass_rate":0.75}"#);
        let mut results: Vec<CaseResult> =
            ["0", "1", "2"].map(|case| result(case, Side::Candidate, 0, CaseVerdict::Passed)).into();
        results.push(result("3", Side::Candidate, 0, CaseVerdict::Failed));
        assert_eq!(verdict(&suite, &results, RunState::Finished).state, GateState::Passed);
        results[0].verdict = CaseVerdict::Failed;
        let failed = verdict(&suite, &results, RunState::Finished);
        assert_eq!(failed.state, GateState::Failed);
        assert!(failed.checks.iter().any(|check| check.says == "75% of cases pass (2 of 4; failed: 0, 3)"));
    }

    #[test]
    fn confident_pass_rate_needs_more_cases_for_the_same_share() {
        let all = |count: usize| {
            let results: Vec<CaseResult> =
                (0..count).map(|n| result(&n.to_string(), Side::Candidate, 0, CaseVerdict::Passed)).collect();
            verdict(&numbered(count, r#"{"pass_rate":0.9,"confident":true}"#), &results, RunState::Finished).state
        };
        assert_eq!(all(10), GateState::Failed);
        assert_eq!(all(40), GateState::Passed);
    }

    #[test]
    fn case_that_must_pass_fails_the_gate_and_without_a_verdict_makes_it_inconclusive() {
        let suite = suite(r#"{"gate":{"pass_rate":0},"cases":[{"name":"a","must_pass":true},{"name":"b"}]}"#);
        let check = |verdict_of_a, expected| {
            let results =
                [result("a", Side::Candidate, 0, verdict_of_a), result("b", Side::Candidate, 0, CaseVerdict::Passed)];
            assert_eq!(verdict(&suite, &results, RunState::Finished).state, expected);
        };
        check(CaseVerdict::Passed, GateState::Passed);
        check(CaseVerdict::Failed, GateState::Failed);
        check(CaseVerdict::Error, GateState::Inconclusive);
    }

    #[test]
    fn run_that_was_stopped_or_has_errors_is_inconclusive_and_never_passes() {
        let suite = numbered(50, r#"{"pass_rate":0.5}"#);
        let mut results: Vec<CaseResult> =
            (0..50).map(|n| result(&n.to_string(), Side::Candidate, 0, CaseVerdict::Passed)).collect();
        assert_eq!(verdict(&suite, &results, RunState::Stopped).state, GateState::Inconclusive);
        results[0].verdict = CaseVerdict::Error;
        assert_eq!(verdict(&suite, &results, RunState::Finished).state, GateState::Passed, "2% are tolerated");
        results[1].verdict = CaseVerdict::Error;
        assert_eq!(verdict(&suite, &results, RunState::Finished).state, GateState::Inconclusive);
    }

    #[test]
    fn baseline_is_compared_case_by_case() {
        let suite = numbered(40, r#"{"pass_rate":0,"margin":0.05}"#);
        let both = |worse: usize| {
            let mut results = Vec::new();
            for n in 0..40 {
                let after = if n < worse { CaseVerdict::Failed } else { CaseVerdict::Passed };
                results.push(result(&n.to_string(), Side::Candidate, 0, after));
                results.push(result(&n.to_string(), Side::Baseline, 0, CaseVerdict::Passed));
            }
            verdict(&suite, &results, RunState::Finished).state
        };
        assert_eq!(both(0), GateState::Passed);
        assert_eq!(both(6), GateState::Failed);
    }

    #[test]
    fn what_is_missing_for_a_gate_is_said_with_what_to_do() {
        let says = |suite: &Suite, results: &[CaseResult]| {
            let verdict = verdict(suite, results, RunState::Finished);
            let unmet = verdict.checks.into_iter().filter(|check| check.state == GateState::Inconclusive);
            unmet.map(|check| check.says).collect::<Vec<_>>().join("\n")
        };
        let suite = numbered(2, r#"{"pass_rate":0,"margin":0.05,"consistency":1,"metrics":{"tone":1}}"#);
        let both = |side| ["0", "1"].map(|case| result(case, side, 0, CaseVerdict::Passed));
        let alone = says(&suite, &both(Side::Candidate));
        for part in [
            "(the run has no version to compare with; name one with --against",
            "(no case has two verdicts on a model; set `repeats` of the suite to 2 or more)",
            "metric tone at least 1 (no scorer with this metric gave a verdict)",
        ] {
            assert!(alone.contains(part), "{part} in {alone}");
        }
        let two = says(&suite, &[both(Side::Candidate), both(Side::Baseline)].concat());
        assert!(
            two.contains("(2 cases have a verdict for both versions, and a comparison needs 5; add cases"),
            "{two}"
        );
        let errors = both(Side::Baseline).map(|result| CaseResult { verdict: CaseVerdict::Error, ..result });
        let none = says(&suite, &[both(Side::Candidate), errors].concat());
        assert!(none.contains("(no case has a verdict for both versions)"), "{none}");
    }

    #[test]
    fn answer_of_an_earlier_run_counts_with_the_time_that_it_took_then() {
        let suite = numbered(1, r#"{"latency_p95_ms":99}"#);
        let cached = |latency_ms| {
            let mut one = result("0", Side::Candidate, 0, CaseVerdict::Passed);
            one.answer = Some(Answer { latency_ms, cached: true, ..Answer::default() });
            verdict(&suite, &[one], RunState::Finished)
        };
        assert_eq!((cached(100).state, cached(99).state), (GateState::Failed, GateState::Passed));
        let unknown = cached(0);
        assert_eq!(unknown.state, GateState::Inconclusive, "another tool kept it and does not say");
        assert!(unknown.checks.iter().any(|check| check.says.ends_with("(no answer says how long it took)")));
    }

    #[test]
    fn comparison_counts_cases_by_their_weight_as_the_score_does() {
        let weighted = |weight: u32| {
            let cases: Vec<String> =
                (0..40).map(|n| format!(r#"{{"name":"{n}","weight":{}}}"#, if n < 6 { weight } else { 1 })).collect();
            let suite = suite(&format!(r#"{{"gate":{{"pass_rate":0,"margin":0.05}},"cases":[{}]}}"#, cases.join(",")));
            let mut results = Vec::new();
            for n in 0..40 {
                let after = if n < 6 { CaseVerdict::Failed } else { CaseVerdict::Passed };
                results.push(result(&n.to_string(), Side::Candidate, 0, after));
                results.push(result(&n.to_string(), Side::Baseline, 0, CaseVerdict::Passed));
            }
            let tally: Tally = results.iter().collect();
            let baseline = Evaluated {
                prompt: "support/agent".parse().expect("a name"),
                version: Some(1),
                content_id: crate::model::content_id::ContentId::of(b"x"),
            };
            let compared = tally.compare(&suite.cases, &baseline).expect("pairs");
            (
                compared.pairs,
                compared.worse.len(),
                compared.difference,
                verdict(&suite, &results, RunState::Finished).state,
            )
        };
        let (pairs, worse, difference, state) = weighted(1);
        assert_eq!((pairs, worse, state), (40, 6, GateState::Failed));
        assert!((difference + 0.15).abs() < 1e-12);
        let (_, _, difference, _) = weighted(3);
        assert!((difference + 18.0 / 52.0).abs() < 1e-12);
        let (pairs, worse, difference, state) = weighted(0);
        assert_eq!((pairs, worse, state), (34, 6, GateState::Passed), "worse, but they do not count");
        assert!(difference.abs() < f64::EPSILON);
    }

    #[test]
    fn repeats_that_differ_are_flaky_and_count_as_one_case() {
        let suite = numbered(2, r#"{"pass_rate":0.5,"consistency":0.9}"#);
        let mut results = Vec::new();
        for repeat in 0..3 {
            results.push(result("0", Side::Candidate, repeat, CaseVerdict::Passed));
            let verdict = if repeat == 1 { CaseVerdict::Failed } else { CaseVerdict::Passed };
            results.push(result("1", Side::Candidate, repeat, verdict));
        }
        let summary = results.iter().collect::<Tally>().summarize(&suite.cases, 6);
        assert_eq!((summary.consistency, summary.flaky), (Some(0.5), vec!["1".to_owned()]));
        assert_eq!(verdict(&suite, &results, RunState::Finished).state, GateState::Failed);
    }
}
