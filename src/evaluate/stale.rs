//! Finds gates that do not hold any more because a provider answers with another snapshot of the model.
//!
//! A snapshot is what a provider names in its answers. It is seen in runs, and in what applications report about the
//! version that the gate let through.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{EvaluationError, Evaluations};
use crate::model::evaluation::{GateResult, GateState};
use crate::model::time::Timestamp;
use crate::telemetry::rollup::SeriesOf;
use crate::telemetry::store::{Level, Stretch, Which};

/// How far back reports of applications are looked at, in milliseconds: an hour.
const REPORTS_MS: i64 = 3_600_000;

/// The snapshots that answered, by the model that was asked.
pub(super) type Snapshots = BTreeMap<String, BTreeSet<String>>;

/// The snapshots that a gate saw, of its models and of those that judged.
pub(super) fn snapshots_of(gate: &GateResult) -> Snapshots {
    let mut seen = gate.models.clone();
    for (asked, answered) in &gate.judges {
        seen.entry(asked.clone()).or_default().extend(answered.iter().cloned());
    }
    seen
}

/// A model, or one that judged, that answers with a snapshot that a gate did not see.
fn changed(gate: &GateResult, now: &Snapshots) -> Option<String> {
    snapshots_of(gate).iter().find_map(|(asked, answered)| {
        let new = now.get(asked)?.difference(answered).next()?;
        (!answered.is_empty()).then(|| format!("{asked} is answered by {new} now"))
    })
}

/// Whether a name is that of a model and a date, as in `gpt-5-2026-05-01` and `claude-x-20260501`, which is also one of
/// `claude-x-latest`.
fn is_snapshot(name: &str, model: &str) -> bool {
    let model = model.strip_suffix("-latest").unwrap_or(model);
    let date = name.strip_prefix(model).and_then(|rest| rest.strip_prefix(['-', '@']));
    date.is_some_and(|date| {
        date.chars().all(|c| c.is_ascii_digit() || c == '-') && date.chars().filter(char::is_ascii_digit).count() >= 4
    })
}

impl Evaluations {
    /// Marks gates stale that were decided before these snapshots answered. That this fails is only logged: what asked has
    /// its answers.
    pub(super) async fn mark_stale_before(&self, answered: Timestamp, now: Snapshots) {
        let why = move |gate: &GateResult| if gate.at < answered { changed(gate, &now) } else { None };
        if let Err(error) = self.0.registry.mark_gates_stale(why).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "gates that do not hold any more were not marked"
            );
        }
    }

    /// Marks gates stale whose version was answered by another snapshot in the last hour, as applications report.
    ///
    /// # Errors
    /// Telemetry cannot be read, or the registry cannot be written.
    pub async fn mark_stale_by_reports(&self) -> Result<usize, EvaluationError> {
        let Some(recorder) = self.0.backend.recorder.clone() else { return Ok(0) };
        let registry = self.0.registry.clone();
        let to_ms = self.0.backend.clock.now_ms();
        let look = move || -> Result<Vec<(u64, String, String)>, EvaluationError> {
            let mut found = Vec::new();
            for gate in registry.gates_where(|gate| gate.state == GateState::Passed && gate.stale.is_none())? {
                let Some(version) = registry.version_of_gate(&gate)? else { continue };
                let prompt = &gate.candidate.prompt;
                // What answered before the gate was decided says nothing.
                let from_ms = to_ms.saturating_sub(REPORTS_MS).max(gate.at.ms());
                let stretch = Stretch { level: Level::Minute, from_ms, to_ms };
                let wanted = SeriesOf::Version { prompt: prompt.clone(), version };
                let mut models = BTreeSet::new();
                let _all = recorder.store().visit_counts(
                    Which::Prompt(prompt.as_str()),
                    &[stretch],
                    |series| series.of == wanted,
                    |series, _, _| {
                        models.insert(series.model.clone());
                        ControlFlow::Continue(())
                    },
                )?;
                // An application may ask another model on purpose: only other snapshots of the same one count.
                let seen = snapshots_of(&gate);
                let new = models.into_iter().find_map(|model| {
                    seen.iter().find_map(|(asked, answered)| {
                        let name = asked.split_once(':').map_or(asked.as_str(), |(_, name)| name);
                        let is_new = is_snapshot(&model, name) && !answered.contains(&model);
                        (is_new && !answered.is_empty()).then(|| format!("{asked} is answered by {model} now"))
                    })
                });
                if let Some(why) = new {
                    found.push((gate.run, gate.suite.name.clone(), why));
                }
            }
            Ok(found)
        };
        let found = tokio::task::spawn_blocking(look).await.map_err(|_| EvaluationError::NoThread)??;
        if found.is_empty() {
            return Ok(0);
        }
        let why = move |gate: &GateResult| {
            let is_it = |(run, suite, _): &&(u64, String, String)| *run == gate.run && *suite == gate.suite.name;
            found.iter().find(is_it).map(|(_, _, why)| why.clone())
        };
        Ok(self.0.registry.mark_gates_stale(why).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gate(models: &serde_json::Value) -> GateResult {
        serde_json::from_value(json!({
            "candidate": {"prompt": "a", "version": 1, "content_id": format!("b3:{}", "0".repeat(64))},
            "suite": {"name": "regress", "number": 1, "id": format!("b3:{}", "1".repeat(64))},
            "state": "passed", "checks": [], "run": 1, "models": models, "results": format!("b3:{}", "2".repeat(64)),
            "decided_by": "test", "at": "2026-03-01T00:00:00Z",
        }))
        .expect("a gate")
    }

    #[test]
    fn snapshot_is_the_name_of_a_model_and_a_date() {
        for (name, model, expected) in [
            ("gpt-5-2026-05-01", "gpt-5", true),
            ("gpt-5-mini", "gpt-5", false),
            ("gpt-5", "gpt-5", false),
            ("gpt-51", "gpt-5", false),
            ("claude-x-20260501", "claude-x-latest", true),
            ("claude-x-latest", "claude-x-latest", false),
        ] {
            assert_eq!(is_snapshot(name, model), expected, "{name}");
        }
    }

    #[test]
    fn gate_is_stale_when_a_model_that_it_saw_answers_with_another_snapshot() {
        let now = |asked: &str, answered: &str| Snapshots::from([(asked.to_owned(), [answered.to_owned()].into())]);
        let seen = gate(&json!({"openai:gpt": ["gpt-2026-01-01"]}));
        assert_eq!(changed(&seen, &now("openai:gpt", "gpt-2026-01-01")), None);
        let why = changed(&seen, &now("openai:gpt", "gpt-2026-05-01"));
        assert_eq!(why.as_deref(), Some("openai:gpt is answered by gpt-2026-05-01 now"));
        assert_eq!(changed(&seen, &now("openai:other", "x")), None, "not asked");
        let judged =
            GateResult { judges: Snapshots::from([("openai:judge".to_owned(), ["j-1".to_owned()].into())]), ..seen };
        let why = changed(&judged, &now("openai:judge", "j-2"));
        assert_eq!(why.as_deref(), Some("openai:judge is answered by j-2 now"));
        assert_eq!(changed(&judged, &now("openai:judge", "j-1")), None);
        assert_eq!(changed(&gate(&json!({"openai:gpt": []})), &now("openai:gpt", "x")), None, "nothing to compare");
    }
}
