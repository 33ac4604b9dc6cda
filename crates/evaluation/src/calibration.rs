//! Calibration of judges: their agreement with the labels of people.

use std::collections::BTreeMap;

use crate::model::calibration::{Calibration, HumanLabel, Judge, KAPPA_MIN, LABELS_MIN};
use crate::statistics::kappa;

/// How far each judge agrees with people, by judge. A judge with another model is another judge.
#[must_use]
pub fn calibrate(labels: &[HumanLabel]) -> Vec<Calibration> {
    let mut judges: BTreeMap<&Judge, Vec<(bool, bool)>> = BTreeMap::new();
    for label in labels {
        judges.entry(&label.judge).or_default().push((label.judged, label.passed));
    }
    judges.into_iter().map(|(judge, pairs)| calibration(judge, &pairs)).collect()
}

fn calibration(judge: &Judge, pairs: &[(bool, bool)]) -> Calibration {
    let labels = u64::try_from(pairs.len()).unwrap_or(u64::MAX);
    let measured = kappa(pairs);
    // Without a kappa all pairs are the same, so all agree.
    let (agreement, kappa) = measured.map_or((1.0, None), |(agreement, kappa)| (agreement, Some(kappa)));
    let warning = match kappa {
        _ if labels < LABELS_MIN => Some(few(labels)),
        None => Some("all labels are the same; label answers that fail and answers that pass".to_owned()),
        Some(kappa) if kappa < KAPPA_MIN => Some(format!(
            "kappa {kappa:.2} is below {KAPPA_MIN}: it does not judge as people do; change its rubric or its model"
        )),
        Some(_) => None,
    };
    Calibration { judge: judge.clone(), labels, agreement, kappa, warning }
}

fn few(labels: u64) -> String {
    let says = if labels == 1 { "label says" } else { "labels say" };
    format!("{labels} {says} little; label at least {LABELS_MIN}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn labels(model: &str, pairs: &[(bool, bool, u32)]) -> Vec<HumanLabel> {
        let label = |judged, passed| HumanLabel {
            run: 1,
            place: 0,
            scorer: 0,
            case: "a".to_owned(),
            judge: Judge { scorer: "llm-rubric".to_owned(), model: model.parse().ok(), metric: None },
            judged,
            passed,
            by: "ann".to_owned(),
            at: Timestamp::from_ms(0),
        };
        pairs.iter().flat_map(|(judged, passed, count)| (0..*count).map(|_| label(*judged, *passed))).collect()
    }

    #[test]
    fn each_judge_is_compared_with_people_by_itself() {
        let mut all = labels("local:good", &[(true, true, 20), (false, false, 18), (true, false, 2)]);
        all.extend(labels("local:kind", &[(true, true, 20), (true, false, 15), (false, false, 5)]));
        let found = calibrate(&all);
        // Of 40 pairs 38 agree, and (0.55 * 0.5 + 0.45 * 0.5) = 0.5 would by chance.
        let good = found.first().expect("a judge");
        assert!((good.agreement - 0.95).abs() < 1e-12 && (good.kappa.expect("kappa") - 0.9).abs() < 1e-12, "{good:?}");
        assert_eq!(good.warning, None);
        let kind = found.last().expect("a judge");
        // 25 of 40 agree, and (0.875 * 0.5 + 0.125 * 0.5) = 0.5 would by chance.
        assert!((kind.kappa.expect("kappa") - 0.25).abs() < 1e-12, "{kind:?}");
        assert!(kind.warning.as_ref().is_some_and(|why| why.contains("kappa 0.25 is below 0.6")), "{kind:?}");
    }

    #[test]
    fn few_labels_and_equal_labels_are_warned_about() {
        let few = calibrate(&labels("local:a", &[(true, true, 10), (false, false, 9)]));
        assert_eq!(few[0].warning.as_deref(), Some("19 labels say little; label at least 20"));
        let same = calibrate(&labels("local:a", &[(true, true, 30)]));
        assert!(same[0].kappa.is_none() && same[0].warning.as_deref().is_some_and(|why| why.contains("the same")));
        assert!(calibrate(&[]).is_empty());
    }
}
