//! The verdict and score of several scorers together: of a case, and of an `assert-set`.

use crate::model::evaluation::{CaseVerdict, ScorerResult};

/// The verdict and the score of a case: the weighted mean of its scorers. Without a threshold each scorer must pass, but
/// for those of weight 0; with one, the score must reach it. If a scorer that counts has no verdict, neither has the
/// case. Without any scorer it passes.
#[must_use]
pub fn case_verdict(scorers: &[ScorerResult], threshold: Option<f64>) -> (CaseVerdict, f64) {
    if scorers.is_empty() {
        return (CaseVerdict::Passed, 1.0);
    }
    let counting: Vec<&ScorerResult> = scorers.iter().filter(|scorer| scorer.weight > 0.0).collect();
    let weight: f64 = counting.iter().map(|scorer| scorer.weight).sum();
    let score = if weight > 0.0 {
        counting.iter().map(|scorer| scorer.weight * scorer.score).sum::<f64>() / weight
    } else {
        0.0
    };
    let has = |verdict| counting.iter().any(|scorer| scorer.verdict == verdict);
    let failed = match threshold {
        Some(threshold) => score < threshold,
        None => has(CaseVerdict::Failed),
    };
    match () {
        // What failed stays failed whatever the others would say.
        () if threshold.is_none() && failed => (CaseVerdict::Failed, score),
        () if has(CaseVerdict::Error) => (CaseVerdict::Error, score),
        () if failed => (CaseVerdict::Failed, score),
        () => (CaseVerdict::Passed, score),
    }
}

/// The verdict, the score and the reason of an `assert-set`, by the rule of a case.
#[must_use]
pub fn aggregate(scorers: &[ScorerResult], threshold: Option<f64>) -> (CaseVerdict, f64, String) {
    let (verdict, score) = case_verdict(scorers, threshold);
    let first = |verdict| scorers.iter().find(|scorer| scorer.weight > 0.0 && scorer.verdict == verdict);
    let reason = match (verdict, threshold) {
        (CaseVerdict::Error, _) => first(CaseVerdict::Error),
        (CaseVerdict::Failed, None) => first(CaseVerdict::Failed),
        _ => None,
    };
    let reason = match (reason, threshold) {
        (Some(scorer), _) => format!("{}: {}", scorer.scorer, scorer.reason),
        (None, Some(threshold)) => {
            let compared = if verdict == CaseVerdict::Passed { "reaches" } else { "is below" };
            format!("the score {score:.2} {compared} the threshold {threshold}")
        }
        (None, None) => "all scorers passed".to_owned(),
    };
    (verdict, score, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(verdict: CaseVerdict, score: f64, weight: f64) -> ScorerResult {
        let scorer = "equals".to_owned();
        ScorerResult { scorer, metric: None, weight, verdict, score, reason: "why".to_owned() }
    }

    #[test]
    fn a_set_passes_by_its_threshold_or_when_each_scorer_does() {
        let pass = result(CaseVerdict::Passed, 1.0, 3.0);
        let fail = result(CaseVerdict::Failed, 0.0, 1.0);
        let error = result(CaseVerdict::Error, 0.0, 1.0);
        let shown = result(CaseVerdict::Passed, 0.0, 0.0);
        let of = |scorers: &[&ScorerResult], threshold| {
            let scorers: Vec<ScorerResult> = scorers.iter().copied().cloned().collect();
            aggregate(&scorers, threshold)
        };
        assert_eq!(of(&[&pass, &fail], None), (CaseVerdict::Failed, 0.75, "equals: why".to_owned()));
        let text = "the score 0.75 reaches the threshold 0.75".to_owned();
        assert_eq!(of(&[&pass, &fail], Some(0.75)), (CaseVerdict::Passed, 0.75, text));
        let text = "the score 0.75 is below the threshold 0.8".to_owned();
        assert_eq!(of(&[&pass, &fail], Some(0.8)), (CaseVerdict::Failed, 0.75, text));
        assert_eq!(of(&[&pass, &shown], None), (CaseVerdict::Passed, 1.0, "all scorers passed".to_owned()));
        assert_eq!(of(&[&pass, &error], Some(0.5)).0, CaseVerdict::Error);
        assert_eq!(of(&[&fail, &error], None).0, CaseVerdict::Failed);
        assert_eq!(case_verdict(&[shown], None), (CaseVerdict::Passed, 0.0), "nothing counts");
        assert_eq!(case_verdict(&[], Some(0.5)), (CaseVerdict::Passed, 1.0), "no scorers");
    }
}
