//! Texts and figures that several reports have.

use crate::model::evaluation::{CaseResult, CaseVerdict, Evaluated, Run};
use crate::model::time::Timestamp;

/// What was evaluated, for example `support/agent version 8`.
pub(super) fn evaluated(evaluated: &Evaluated) -> String {
    match evaluated.version {
        Some(version) => format!("{} version {version}", evaluated.prompt),
        None => format!("{} (not published)", evaluated.prompt),
    }
}

/// The outcome of a run in words: what its gate says, or how far it is.
pub(super) fn outcome(run: &Run) -> String {
    match &run.verdict {
        Some(verdict) => format!("gate {}", verdict.state),
        None => format!("{} without a verdict", run.state),
    }
}

/// A time in UTC, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or_else(|| text.clone(), |short| format!("{} UTC", short.replace('T', " ")))
}

/// The start of a text, of at most this many characters.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name and the repeat, if there are several.
pub(super) fn case_name(run: &Run, result: &CaseResult) -> String {
    if run.repeats > 1 {
        format!("{} [repeat {}]", result.case, u64::from(result.repeat) + 1)
    } else {
        result.case.clone()
    }
}

/// Why a result is not passed: what each scorer says, or the error.
pub(super) fn reasons(result: &CaseResult) -> Vec<String> {
    let mut reasons: Vec<String> = result.error.iter().cloned().collect();
    let counting = result.scorers.iter().filter(|scorer| scorer.verdict != CaseVerdict::Passed);
    for scorer in counting {
        let reason = format!("{}: {}", scorer.scorer, scorer.reason);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// Seconds of milliseconds, with three decimal places.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
