//! What was erased, for what arrives later: remembered by a hash of its ID, for a while.

use redb::{ReadableTable, Table, WriteTransaction};

use super::TelemetryError;
use super::tables::{ERASED, Kind, hash};
use crate::event::{Response, Score, ScoreTarget};

/// Removes what could identify a person; the session and the user are removed by the caller, which needs them.
pub(super) fn scrub_response(response: &mut Response) {
    response.session = None;
    response.user = None;
    response.claim.subject = None;
    response.body = None;
    response.system_text = None;
}

/// Removes what was written about a score.
pub(super) fn scrub_score(score: &mut Score) {
    score.explanation = None;
    if let ScoreTarget::Session(session) = &mut score.target {
        session.clear();
    }
}

/// What was erased, inside a transaction that records.
pub(super) struct Marks<'t>(Option<Table<'t, (u8, &'static [u8; 16]), i64>>);

impl<'t> Marks<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, TelemetryError> {
        let marks = txn.open_table(ERASED)?;
        // Nothing was ever erased, as nearly everywhere.
        let is_empty = marks.first()?.is_none();
        Ok(Self((!is_empty).then_some(marks)))
    }

    fn covers(&self, kind: Kind, id: &str, at_ms: i64) -> Result<bool, TelemetryError> {
        let Some(marks) = &self.0 else { return Ok(false) };
        Ok(marks.get((kind as u8, &hash(&[id.as_bytes()])))?.is_some_and(|erased| erased.value() >= at_ms))
    }

    /// Erases a response that belongs to what was erased.
    pub(super) fn response(&self, response: &mut Response) -> Result<(), TelemetryError> {
        let Response { id, session, user, ended_ms, .. } = &*response;
        let mut is_erased = false;
        for (kind, id) in [(Kind::Response, id), (Kind::Session, session), (Kind::User, user)] {
            if let Some(id) = id {
                is_erased |= self.covers(kind, id, *ended_ms)?;
            }
        }
        if is_erased {
            scrub_response(response);
        }
        Ok(())
    }

    /// Erases a score of something that was erased.
    pub(super) fn score(&self, score: &mut Score) -> Result<(), TelemetryError> {
        let covered = match &score.target {
            ScoreTarget::Response(id) => self.covers(Kind::Response, id, score.at_ms)?,
            ScoreTarget::Session(id) => self.covers(Kind::Session, id, score.at_ms)?,
            ScoreTarget::Span(_) | ScoreTarget::Trace(_) | ScoreTarget::Version { .. } => false,
        };
        if covered {
            scrub_score(score);
        }
        Ok(())
    }
}
