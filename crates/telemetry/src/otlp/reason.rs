//! Why something in a body was not taken as it was sent.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why something in a body was not taken as it was sent. The names are labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A span whose ids have the wrong length or are zero.
    InvalidId,
    /// A log record on the path of traces, or a span on that of logs.
    WrongSignal,
    /// A span or log record that cannot be decoded.
    Malformed,
    /// More spans or log records than one request may have.
    TooManyItems,
    /// An evaluation that names nothing that it could be about.
    ScoreWithoutTarget,
    /// An evaluation without a name.
    ScoreWithoutName,
    /// An evaluation without a score or a label.
    ScoreWithoutValue,
    /// A score that is not a finite number, or too large.
    ScoreOutOfRange,
    /// More scores than one span may have.
    TooManyScores,
    /// A call or a score from before single events are kept: not recorded.
    TooOld,
    /// A time before 2000 or in the future: replaced by that of arrival.
    TimeClamped,
    /// A duration that is negative or longer than a day: left out.
    BadDuration,
    /// A number of tokens that is negative, not whole or too large: left out.
    BadTokens,
    /// A cost that is negative, not finite or too large: left out.
    BadCost,
    /// A cost in another currency than US dollars: left out.
    ForeignCurrency,
    /// A value of an attribute that is too long: left out.
    ValueTooLong,
    /// A value of an attribute that is nested too deep, or damaged: left out.
    BadValue,
    /// More attributes or events than a span may have: the last ones are left out.
    TooManyAttributes,
}

impl Reason {
    /// All of them, for metrics that begin at 0.
    pub const ALL: [Self; 18] = [
        Self::InvalidId,
        Self::WrongSignal,
        Self::Malformed,
        Self::TooManyItems,
        Self::ScoreWithoutTarget,
        Self::ScoreWithoutName,
        Self::ScoreWithoutValue,
        Self::ScoreOutOfRange,
        Self::TooManyScores,
        Self::TooOld,
        Self::TimeClamped,
        Self::BadDuration,
        Self::BadTokens,
        Self::BadCost,
        Self::ForeignCurrency,
        Self::ValueTooLong,
        Self::BadValue,
        Self::TooManyAttributes,
    ];

    /// Its name as a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidId => "invalid_id",
            Self::WrongSignal => "wrong_signal",
            Self::Malformed => "malformed",
            Self::TooManyItems => "too_many_items",
            Self::ScoreWithoutTarget => "score_without_target",
            Self::ScoreWithoutName => "score_without_name",
            Self::ScoreWithoutValue => "score_without_value",
            Self::ScoreOutOfRange => "score_out_of_range",
            Self::TooManyScores => "too_many_scores",
            Self::TooOld => "too_old",
            Self::TimeClamped => "time_clamped",
            Self::BadDuration => "bad_duration",
            Self::BadTokens => "bad_tokens",
            Self::BadCost => "bad_cost",
            Self::ForeignCurrency => "foreign_currency",
            Self::ValueTooLong => "value_too_long",
            Self::BadValue => "bad_value",
            Self::TooManyAttributes => "too_many_attributes",
        }
    }

    /// What it says to the one who sent it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::InvalidId => "spans without a valid trace and span id",
            Self::WrongSignal => "of another signal: send spans to /v1/traces and log records to /v1/logs",
            Self::Malformed => "cannot be decoded",
            Self::TooManyItems => "above the limit of one request: send smaller batches",
            Self::ScoreWithoutTarget => "scores without a span, a response id or a prompt",
            Self::ScoreWithoutName => "scores without gen_ai.evaluation.name",
            Self::ScoreWithoutValue => "scores without a value or a label",
            Self::ScoreOutOfRange => "scores that are not finite or too large",
            Self::TooManyScores => "scores above the limit of one span",
            Self::TooOld => "older than single events are kept here",
            Self::TimeClamped => "times before 2000 or in the future, replaced by the time of arrival",
            Self::BadDuration => "durations below zero or above a day, left out",
            Self::BadTokens => "invalid numbers of tokens, left out",
            Self::BadCost => "invalid costs, left out",
            Self::ForeignCurrency => "costs in another currency than USD, left out",
            Self::ValueTooLong => "values that are too long, left out",
            Self::BadValue => "values nested too deep or damaged, left out",
            Self::TooManyAttributes => "attributes or events above the limit, left out",
        }
    }
}

/// How often something was not taken as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

/// Counts by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reasons(BTreeMap<Reason, u64>);

impl Reasons {
    pub(super) fn add(&mut self, reason: Reason, count: u64) {
        let so_far = self.0.entry(reason).or_default();
        *so_far = so_far.saturating_add(count);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Rejected> {
        self.0.iter().map(|(reason, count)| Rejected { reason: *reason, count: *count })
    }
}
