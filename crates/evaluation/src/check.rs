//! Checks that every scorer of a suite can work, before anybody pays for an answer that nothing can score.
//!
//! Each scorer is asked itself: what it reads from its value, its threshold and its options is read here in the same
//! way, with the variables and the expected answer of each case, and without an answer.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::model::content::{Content, Syntax};
use crate::model::evaluation::Answer;
use crate::model::suite::{Case, CheckKind, Scorer, Suite};
use crate::score::{ScoreError, Scoring, is_template};
use crate::{judge, score};

/// How long the scorers of one suite are checked; what is left then is found by a run. Usual suites take milliseconds,
/// but each of a million expressions may be large.
const CHECKING_MAX: Duration = Duration::from_secs(10);

/// A scorer that can score no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} (`{check}`): {error}")]
pub struct UnusableScorer {
    /// Where it is, for example ``case `refund`: scorers[1]``.
    place: String,
    /// Its type.
    check: String,
    /// What is wrong with it.
    error: ScoreError,
}

/// Checks the scorers of a suite and of its cases.
///
/// # Errors
/// The first that cannot score any answer of a case.
pub fn check_scorers(suite: &Suite) -> Result<(), UnusableScorer> {
    let checking = Checking { content: Content::text(Syntax::Plain, ""), answer: Answer::default() };
    let until = Instant::now() + CHECKING_MAX;
    // What is wrong in every case is said once, of the suite.
    let every = Case { expected: Some(Value::from("an answer")), ..Case::default() };
    for (number, scorer) in suite.scorers.iter().enumerate().filter(|(_, scorer)| !has_template(scorer)) {
        checking.scorer(scorer, &every, &Map::new(), &|| format!("suite: scorers[{number}]"))?;
    }
    let of_cases: Vec<_> = suite.scorers.iter().enumerate().filter(|(_, scorer)| depends_on_case(scorer)).collect();
    for case in &suite.cases {
        if Instant::now() > until {
            break;
        }
        let needs_variables = of_cases.iter().map(|(_, scorer)| *scorer).chain(&case.scorers).any(has_template);
        let mut variables = Map::new();
        if needs_variables {
            variables.clone_from(&suite.variables);
            variables.extend(case.variables.clone());
        }
        for (number, scorer) in &of_cases {
            let place = || format!("case `{}`: scorers[{number}] of the suite", case.name);
            checking.scorer(scorer, case, &variables, &place)?;
        }
        for (number, scorer) in case.scorers.iter().enumerate() {
            checking.scorer(scorer, case, &variables, &|| format!("case `{}`: scorers[{number}]", case.name))?;
        }
    }
    Ok(())
}

/// Checks a scorer that belongs to no case yet, as far as it does not depend on one.
///
/// # Errors
/// It cannot score any answer.
pub fn check_scorer(scorer: &Scorer) -> Result<(), ScoreError> {
    if has_template(scorer) {
        return judge::check_model(scorer);
    }
    let checking = Checking { content: Content::text(Syntax::Plain, ""), answer: Answer::default() };
    let checked = checking.scorer(scorer, &Case::default(), &Map::new(), &String::new);
    checked.map_err(|unusable| unusable.error)
}

/// An answer to nothing, which stands for every answer.
struct Checking {
    content: Content,
    answer: Answer,
}

impl Checking {
    fn scorer(
        &self,
        scorer: &Scorer,
        case: &Case,
        variables: &Map<String, Value>,
        place: &dyn Fn() -> String,
    ) -> Result<(), UnusableScorer> {
        let scoring = Scoring { content: &self.content, case, variables, answer: &self.answer };
        let checked = score::check(scorer, scoring).and_then(|()| judge::check(scorer, scoring));
        checked.map_err(|error| UnusableScorer { place: place(), check: scorer.check.to_string(), error })?;
        for (number, within) in scorer.scorers.iter().enumerate() {
            self.scorer(within, case, variables, &|| format!("{}.scorers[{number}]", place()))?;
        }
        Ok(())
    }
}

/// Whether a scorer reads what is different in each case.
fn depends_on_case(scorer: &Scorer) -> bool {
    let is_set = scorer.check.kind == CheckKind::AssertSet;
    scorer.value.is_none() && !is_set || has_template(scorer) || scorer.scorers.iter().any(depends_on_case)
}

fn has_template(scorer: &Scorer) -> bool {
    let own = match &scorer.value {
        Some(Value::String(text)) => is_template(text),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(is_template),
        _ => false,
    };
    own || scorer.scorers.iter().any(has_template)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(suite: Value) -> Result<(), String> {
        let suite: Suite = serde_json::from_value(suite).expect("a suite");
        check_scorers(&suite).map_err(|unusable| unusable.to_string())
    }

    /// What is wrong with a scorer of a case with the variables `empty` and `pattern`.
    fn scorer(scorer: &Value) -> Result<(), String> {
        checked(json!({ "cases": [{ "name": "one", "variables": { "empty": "", "pattern": "(?=a)" }, "scorers":
            [{ "type": "is-json" }, scorer] }] }))
    }

    #[test]
    fn scorers_that_can_score_no_answer_are_found_with_their_place() {
        for (wrong, part) in [
            (json!({ "type": "regex", "value": "(unclosed" }), "(`regex`): invalid regular expression `(unclosed`: "),
            (json!({ "type": "not-regex", "value": "(?=a)b" }), "(`not-regex`): unsupported in the regular expression"),
            (json!({ "type": "regex", "value": "{{pattern}}b" }), "unsupported in the regular expression `(?=a)b`"),
            (json!({ "type": "regex" }), "needs a text as its value"),
            (json!({ "type": "contains" }), "needs a text or a number as its value"),
            (json!({ "type": "contains", "value": "{{empty}}" }), "needs a text or a number as its value"),
            (json!({ "type": "icontains", "value": "{{absent" }), "not a valid template"),
            (json!({ "type": "contains-any", "value": "" }), "needs a list as its value"),
            (json!({ "type": "contains-all", "value": "\"a" }), "a quoted field that does not end"),
            (json!({ "type": "starts-with", "value": "" }), "needs a text as its value"),
            (json!({ "type": "equals" }), "needs a value, or the case an expected answer"),
            (json!({ "type": "levenshtein" }), "needs a text as its value"),
            (json!({ "type": "bleu", "value": 5 }), "a text, or a list of texts"),
            (json!({ "type": "is-json", "value": { "type": "objet" } }), "invalid JSON Schema"),
            (json!({ "type": "is-xml", "value": { "elements": ["a"] } }), "`requiredElements`"),
            (json!({ "type": "word-count", "value": "many" }), "a number, or `min` and `max`, as its value"),
            (json!({ "type": "word-count", "value": { "min": 3, "max": 1 } }), "min (3) is greater than max (1)"),
            (json!({ "type": "latency" }), "needs a threshold, in milliseconds"),
            (json!({ "type": "cost" }), "needs a threshold, in US dollars"),
            (json!({ "type": "finish-reason" }), "needs a text as its value"),
            (json!({ "type": "tool-call-f1", "value": "," }), "at least one name of a tool"),
            (json!({ "type": "risk", "value": "bogus" }), "a severity as its value: low, medium, high or critical"),
            (json!({ "type": "llm-rubric", "value": "is kind" }), "`llm-rubric` has no model to ask; set `model`"),
            (json!({ "type": "similar", "value": "a" }), "`similar` has no model to ask; set `model`"),
            (json!({ "type": "select-best", "value": "a" }), "`select-best` has no model to ask; set `model`"),
            (json!({ "type": "factuality", "model": "a:b" }), "needs a value, or the case an expected answer"),
            (json!({ "type": "g-eval", "value": "a", "model": "a:b", "config": { "steps": [] } }), "config.steps: "),
            (json!({ "type": "webhook", "value": "not a url" }), "invalid webhook URL: use https://host/path"),
            (json!({ "type": "webhook" }), "needs the URL of an endpoint"),
            (json!({ "type": "assert-set" }), "the set has no scorers; add some"),
        ] {
            let error = scorer(&wrong).expect_err(&wrong.to_string());
            assert!(error.starts_with("case `one`: scorers[1] (`") && error.contains(part), "{wrong}: {error}");
        }
        let within = json!({ "type": "assert-set", "scorers": [{ "type": "latency" }] });
        let error = scorer(&within).expect_err("a set");
        assert!(error.starts_with("case `one`: scorers[1].scorers[0] (`latency`): "), "{error}");
    }

    #[test]
    fn scorers_that_can_score_an_answer_pass() {
        for right in [
            json!({ "type": "regex", "value": "^a+$" }),
            json!({ "type": "contains", "value": 5 }),
            json!({ "type": "is-json" }),
            json!({ "type": "is-json", "value": "required: [a]\ntype: object" }),
            json!({ "type": "is-xml", "value": "a.b" }),
            json!({ "type": "word-count", "value": { "max": "3" } }),
            json!({ "type": "levenshtein", "value": "a" }),
            json!({ "type": "latency", "threshold": 1 }),
            json!({ "type": "risk" }),
            json!({ "type": "perplexity" }),
            json!({ "type": "is-refusal" }),
            json!({ "type": "llm-rubric", "value": "Has {{pattern}}", "model": "a:b" }),
            json!({ "type": "webhook", "value": "http://127.0.0.1:1/score" }),
            json!({ "type": "assert-set", "scorers": [{ "type": "is-json" }] }),
        ] {
            assert_eq!(scorer(&right), Ok(()), "{right}");
        }
    }

    #[test]
    fn scorers_of_the_suite_are_checked_with_each_case_as_far_as_they_read_it() {
        let cases = json!([{ "name": "a", "expected": "b" }, { "name": "b" }]);
        let suite = |scorer: Value| checked(json!({ "scorers": [scorer], "cases": cases, "variables": { "x": "y" } }));
        assert_eq!(suite(json!({ "type": "contains", "value": "{{x}}" })), Ok(()));
        let error = suite(json!({ "type": "equals" })).expect_err("one case expects nothing");
        let expected = "case `b`: scorers[0] of the suite (`equals`): the scorer needs a value, or the case an expected \
                        answer";
        assert_eq!(error, expected);
        let error = suite(json!({ "type": "latency" })).expect_err("no threshold");
        assert_eq!(error, "suite: scorers[0] (`latency`): the scorer needs a threshold, in milliseconds");
    }

    #[test]
    fn scorer_alone_is_checked_without_the_values_of_a_case() {
        let alone = |scorer: Value| {
            let scorer: Scorer = serde_json::from_value(scorer).expect("a scorer");
            check_scorer(&scorer).map_err(|error| error.to_string())
        };
        assert_eq!(alone(json!({ "type": "regex", "value": "{{x}}" })), Ok(()));
        assert!(alone(json!({ "type": "regex", "value": "(?=a)" })).is_err());
        assert!(alone(json!({ "type": "llm-rubric", "value": "{{x}}" })).is_err());
    }
}
