//! Reads a report: audit entries in order, and the facts about their subjects.

use std::collections::BTreeSet;

use super::{Contents, Report, ReportRow, ReportedVersion, ServingChange, Source, Span};
use crate::model::audit::{AuditChange, AuditEntry, Decision, Subject};
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::reference::VersionRef;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Version};

/// The effect of a version, from its number and that of its parent.
pub(super) fn bump(parent: &Version, version: &Version) -> Bump {
    let (before, after) = (&parent.semver, &version.semver);
    match () {
        () if after.major > before.major => Bump::Major,
        () if after.major == before.major && after.minor > before.minor => Bump::Minor,
        () => Bump::Patch,
    }
}

/// The deployment of a commit, and the previous one of the label.
type Deployed = (Deployment, Option<Deployment>);

#[allow(clippy::missing_errors_doc, reason = "every method fails when the source or its visitor does")]
impl<S: Source> Report<'_, S> {
    /// Visits every decision in the order of the audit log; returns the totals without periods.
    pub fn rows(&self, visitor: &mut dyn FnMut(&ReportRow) -> Result<(), S::Error>) -> Result<Contents, S::Error> {
        let mut contents = Contents::default();
        self.source.entries(&mut |entry| {
            let mark = (entry.seq, entry.hash.clone());
            if let Some(row) = self.row_of(entry)? {
                visitor(&row)?;
                contents.rows = contents.rows.saturating_add(1);
                match &mut contents.ends {
                    Some((_, last)) => last.clone_from(&mark),
                    none => *none = Some((mark.clone(), mark.clone())),
                }
            }
            contents.head = Some(mark);
            Ok(())
        })?;
        Ok(contents)
    }

    /// Visits what labels served, by prompt, label and time; returns the number of periods.
    pub fn spans(&self, visitor: &mut dyn FnMut(&Span) -> Result<(), S::Error>) -> Result<u64, S::Error> {
        let mut count: u64 = 0;
        self.source.prompts(&self.question.prompts, &mut |name| {
            self.spans_of(&name, &mut |span| {
                count = count.saturating_add(1);
                visitor(span)
            })
        })?;
        Ok(count)
    }

    /// Visits what the labels of one prompt served, by label and time.
    pub fn spans_of(
        &self,
        name: &PromptName,
        visitor: &mut dyn FnMut(&Span) -> Result<(), S::Error>,
    ) -> Result<(), S::Error> {
        let mut before: Option<Deployment> = None;
        self.source.deployments(name, &mut |next| {
            if let Some(span) = before.take().map(|before| self.span(before, Some(&next))).transpose()?.flatten() {
                visitor(&span)?;
            }
            before = Some(next);
            Ok(())
        })?;
        match before.map(|last| self.span(last, None)).transpose()?.flatten() {
            Some(span) => visitor(&span),
            None => Ok(()),
        }
    }

    /// Whether the decision of a commit is in the report.
    pub fn has(&self, seq: u64) -> Result<bool, S::Error> {
        let entry = self.source.entry(seq)?;
        Ok(entry.map(|entry| self.occurred(&entry)).transpose()?.flatten().is_some())
    }

    /// The period after a deployment, if it overlaps with the scope; `next` may be of another label.
    fn span(&self, began: Deployment, next: Option<&Deployment>) -> Result<Option<Span>, S::Error> {
        let next = next.filter(|next| next.label == began.label);
        let (from, until) = (began.at, next.map(|next| next.at));
        let Deployment { id, name, label, actor, message, action, to, approved_by, change_request, .. } = began;
        let ends_before = until.is_some_and(|until| until <= self.question.from && from < self.question.from);
        let Some(serving) = to.filter(|_| from < self.question.to && !ends_before) else { return Ok(None) };
        let mut versions = Vec::new();
        for number in serving.versions() {
            versions.extend(self.source.version(&name, number)?);
        }
        Ok(Some(Span {
            name,
            label,
            from,
            until,
            serving,
            risk: versions.iter().filter_map(|version| version.risk).max(),
            versions,
            deployment: id,
            action,
            ended_by: next.map(|next| next.action),
            by: actor,
            message,
            approved_by,
            change_request,
        }))
    }

    /// An entry as a row, if it is in scope.
    fn row_of(&self, entry: AuditEntry) -> Result<Option<ReportRow>, S::Error> {
        match self.occurred(&entry)? {
            Some(occurred_at) => self.row(entry, occurred_at).map(Some),
            None => Ok(None),
        }
    }

    /// When an entry's command happened, if it is in scope; imports have times of their own.
    fn occurred(&self, entry: &AuditEntry) -> Result<Option<Timestamp>, S::Error> {
        if !self.question.concerns(entry) && !self.is_requested(entry)? {
            return Ok(None);
        }
        let occurred_at = entry.occurred.unwrap_or(entry.at);
        // Both times count: nothing done in the period is hidden by an earlier date of its own, and later imports
        // appear at their original time.
        let within = self.question.covers(occurred_at) || self.question.covers(entry.at);
        Ok(within.then_some(occurred_at))
    }

    /// Whether an entry is about a change request for a matching prompt: a denied approval names no prompt.
    fn is_requested(&self, entry: &AuditEntry) -> Result<bool, S::Error> {
        let named = entry.subjects.iter().filter_map(|subject| match subject {
            Subject::ChangeRequest { number } => Some(*number),
            _ => None,
        });
        for number in named.chain(entry.change_request) {
            if self.source.request_concerns(number, &self.question.prompts)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn row(&self, entry: AuditEntry, occurred_at: Timestamp) -> Result<ReportRow, S::Error> {
        let deployed = self.deployed(&entry)?;
        let mut numbers: BTreeSet<VersionRef> =
            targets(&entry).filter(|one| self.question.prompts.matches(one.name.as_str())).collect();
        for (deployment, _) in &deployed {
            let served = deployment.to.iter().flat_map(Serving::versions);
            numbers.extend(served.map(|number| VersionRef::new(&deployment.name, number)));
        }
        let mut versions: Vec<ReportedVersion> = Vec::new();
        for VersionRef { name, version } in &numbers {
            versions.extend(self.source.version(name, *version)?);
        }
        let risk = versions.iter().filter_map(|version| version.risk).chain(entry.risk).max();
        let moves = self.moves(&entry, &deployed);
        Ok(ReportRow { entry, occurred_at, versions, moves, risk })
    }

    /// The deployments of an entry's commit to labels of matching prompts.
    fn deployed(&self, entry: &AuditEntry) -> Result<Vec<Deployed>, S::Error> {
        let mut deployed = Vec::new();
        if entry.decision == Decision::Denied {
            return Ok(deployed);
        }
        for change in &entry.changes {
            if let AuditChange::Label { prompt, label, .. } = change
                && self.question.prompts.matches(prompt.as_str())
            {
                deployed.extend(self.source.deployment(prompt, label, entry.seq)?);
            }
        }
        Ok(deployed)
    }

    /// The changes of an entry to labels of matching prompts, done or requested.
    fn moves(&self, entry: &AuditEntry, deployed: &[Deployed]) -> Vec<ServingChange> {
        if !deployed.is_empty() {
            return deployed.iter().map(moved).collect();
        }
        let asked = entry.subjects.iter().filter_map(|subject| match subject {
            Subject::Label { prompt, label, to } if self.question.prompts.matches(prompt) => Some(ServingChange {
                prompt: prompt.clone(),
                label: label.clone(),
                from: None,
                to: to.clone(),
                served_ms: None,
                done: false,
            }),
            _ => None,
        });
        asked.collect()
    }
}

/// The versions that an entry names: those that it created, and those that it deployed or should deploy.
fn targets(entry: &AuditEntry) -> impl Iterator<Item = VersionRef> {
    let named = |subject: &Subject| {
        let name: Option<PromptName> = subject.prompt().and_then(|prompt| prompt.parse().ok());
        let versions = subject.versions();
        name.into_iter()
            .flat_map(move |name| versions.clone().into_iter().map(move |number| VersionRef::new(&name, number)))
    };
    entry.subjects.iter().flat_map(named)
}

fn moved((deployment, before): &Deployed) -> ServingChange {
    let before = before.as_ref().filter(|before| before.to.is_some());
    ServingChange {
        prompt: deployment.name.to_string(),
        label: deployment.label.to_string(),
        from: deployment.from.clone(),
        to: deployment.to.clone(),
        served_ms: before.map(|before| deployment.at.ms().saturating_sub(before.at.ms())),
        done: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Sample, at, report_of};
    use super::super::{ReportScope, Totals};
    use super::*;
    use crate::model::audit::Command;
    use crate::model::audit::samples::token;
    use crate::model::finding::Severity;

    #[test]
    fn report_rows_match_period_and_prompts() {
        let check = |from: &str, to: &str, prompts: &str, expected: &[u64]| {
            let report = report_of(from, to, prompts);
            let found: Vec<u64> = report.rows.iter().map(|row| row.entry.seq).collect();
            assert_eq!(found, expected, "{from} {to} {prompts}");
            assert_eq!(report.contents.head.map(|(seq, _)| seq), Some(7), "the head is the log's, not the report's");
        };
        let (begin, end) = ("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z");
        check(begin, end, "**", &[1, 2, 3, 4, 5, 6, 7]);
        check(begin, end, "support/*", &[1, 2, 3, 5, 6, 7]);
        check(begin, end, "sales/**", &[]);
        check("2026-03-20T12:00:00Z", "2026-03-20T14:00:00Z", "support/agent", &[2, 3]);
        // What was imported on the 20th happened on the 19th, and is in both reports.
        check("2026-03-20T15:30:00Z", end, "support/**", &[7]);
        check(begin, "2026-03-19T07:00:00Z", "support/**", &[7]);
        check("2026-03-19T07:00:00Z", "2026-03-20T15:30:00Z", "support/old", &[]);
    }

    #[test]
    fn import_is_in_reports_of_its_original_and_its_import_time() {
        let check = |told: Option<&str>, from: &str, to: &str, expected| {
            let question = ReportScope { from: at(from), to: at(to), prompts: "**".parse().unwrap() };
            let entry = AuditEntry {
                at: at("2026-03-20T16:00:00Z"),
                occurred: told.map(at),
                ..AuditEntry::of(Command::Import)
            };
            let sample = Sample { log: vec![entry], ..Sample::default() };
            assert_eq!(sample.collect(question).contents.rows, expected, "{told:?} {from} {to}");
        };
        let (past, future) = (Some("2020-01-01T00:00:00Z"), Some("2090-01-01T00:00:00Z"));
        for told in [past, future, None] {
            check(told, "2026-03-20T16:00:00Z", "2026-03-20T16:00:01Z", 1);
            check(told, "2026-03-20T16:00:01Z", "2026-03-21T00:00:00Z", 0);
        }
        check(past, "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", 1);
        check(future, "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", 0);
    }

    #[test]
    fn denied_approval_of_a_matching_change_is_in_the_report() {
        let entry = |subject: Subject, change_request| AuditEntry {
            seq: 9,
            decision: Decision::Denied,
            subjects: vec![subject],
            change_request,
            ..AuditEntry::of(Command::Approve)
        };
        let kept = |entry| {
            let question = ReportScope {
                from: at("1970-01-01T00:00:00Z"),
                to: at("1971-01-01T00:00:00Z"),
                prompts: "support/**".parse().unwrap(),
            };
            let sample = Sample { log: vec![entry], requests: BTreeSet::from([3]), ..Sample::default() };
            sample.collect(question).contents.rows
        };
        for (subject, change_request, expected) in [
            (Subject::ChangeRequest { number: 3 }, None, 1),
            (Subject::ChangeRequest { number: 4 }, None, 0),
            (token("x"), Some(3), 1),
            (token("x"), Some(4), 0),
            (token("x"), None, 0),
        ] {
            let said = format!("{subject} {change_request:?}");
            assert_eq!(kept(entry(subject, change_request)), expected, "{said}");
        }
    }

    #[test]
    fn report_periods_overlap_the_range_without_gaps() {
        let check = |from: &str, to: &str, expected: &[(u64, &str, Option<&str>)]| {
            let report = report_of(from, to, "support/**");
            let found: Vec<_> = report.spans.iter().map(|s| (s.versions[0].number, s.from, s.until)).collect();
            let expected: Vec<_> = expected.iter().map(|(n, from, until)| (*n, at(from), until.map(at))).collect();
            assert_eq!(found, expected, "{from} {to}");
        };
        let first = (1, "2026-03-19T12:00:00Z", Some("2026-03-20T14:00:00Z"));
        let second = (2, "2026-03-20T14:00:00Z", Some("2026-03-20T15:00:00Z"));
        let third = (1, "2026-03-20T15:00:00Z", None);
        check("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z", &[first, second, third]);
        check("2026-03-20T14:00:00Z", "2026-03-20T15:00:00Z", &[second]);
        check("2026-03-20T13:59:59Z", "2026-03-20T14:00:01Z", &[first, second]);
        check("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", &[third]);
        check("2025-01-01T00:00:00Z", "2026-03-19T12:00:00Z", &[]);
    }

    #[test]
    fn report_row_has_facts_about_its_versions() {
        let report = report_of("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z", "support/**");
        let row = |seq: u64| report.rows.iter().find(|row| row.entry.seq == seq).unwrap();
        let denied = row(3);
        assert_eq!(denied.entry.decision, Decision::Denied);
        assert_eq!((denied.risk, denied.versions[0].number), (Some(Severity::High), 2));
        assert!(denied.versions[0].is_substantial());
        assert_eq!((&denied.moves[0].from, &denied.moves[0].to), (&None, &Some(Serving::version(2))));
        let (one, two) = (Some(Serving::version(1)), Some(Serving::version(2)));
        let back = &row(6).moves[0];
        assert_eq!((&back.from, &back.to, back.served_ms), (&two, &one, Some(3_600_000)));
        assert_eq!(row(7).versions[0].author, "cy");
        assert_eq!(
            report.totals,
            Totals {
                granted: 5,
                denied: 1,
                versions: 3,
                substantial: 1,
                moves: 3,
                rollbacks: 1,
                approved: 1,
                prompts: 2,
                actors: 3,
                ..Totals::default()
            }
        );
    }
}
