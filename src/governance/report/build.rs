//! Gathering a report: audit entries come one after another, the histories of prompts are known before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Heading, Move, Question, Report, ReportedVersion, Row, Span, Totals, prompt_of};
use crate::model::audit::{AuditEntry, Decision};
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::Severity;
use crate::model::name::PromptName;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Version};

/// What an audit entry writes between a label and what it serves.
const SERVES: &str = " → ";
/// What an audit entry writes for a label that was taken away.
const NOTHING: &str = "nothing";

/// What an audit entry writes before the number of a change request.
const REQUEST: &str = "change request ";

/// One prompt's versions and deployments.
#[derive(Clone, Debug)]
pub struct PromptHistory {
    name: PromptName,
    /// By number.
    versions: Vec<Version>,
    /// By label, then by commit.
    deployments: Vec<Deployment>,
    /// The worst finding of each version that has one.
    risks: BTreeMap<u64, Severity>,
}

impl PromptHistory {
    /// Versions and deployments in any order, and the worst finding of each version that has one.
    #[must_use]
    pub fn new(
        name: PromptName,
        mut versions: Vec<Version>,
        mut deployments: Vec<Deployment>,
        risks: BTreeMap<u64, Severity>,
    ) -> Self {
        versions.sort_unstable_by_key(|version| version.number);
        deployments.sort_by(|a, b| (&a.label, a.id).cmp(&(&b.label, b.id)));
        Self { name, versions, deployments, risks }
    }

    fn version(&self, number: u64) -> Option<ReportedVersion> {
        let at = self.versions.binary_search_by_key(&number, |version| version.number).ok()?;
        let version = self.versions.get(at)?;
        let parent = at.checked_sub(1).and_then(|before| self.versions.get(before));
        Some(ReportedVersion {
            name: self.name.clone(),
            number,
            content_id: version.content_id,
            author: version.author.clone(),
            created: version.created,
            commit: version.commit,
            parent: parent.map(|parent| parent.number),
            semver: version.semver.clone(),
            bump: parent.map(|parent| bump(parent, version)),
            risk: self.risks.get(&number).copied(),
        })
    }

    /// What each label served, where that overlaps with the question.
    fn spans(&self, question: &Question) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, deployment) in self.deployments.iter().enumerate() {
            let Some(serving) = &deployment.to else { continue };
            let next = self.deployments.get(index + 1).filter(|next| next.label == deployment.label);
            let (from, until) = (deployment.at, next.map(|next| next.at));
            let ends_before = until.is_some_and(|until| until <= question.from && from < question.from);
            if from >= question.to || ends_before {
                continue;
            }
            let versions: Vec<_> = serving.versions().into_iter().filter_map(|number| self.version(number)).collect();
            spans.push(Span {
                name: self.name.clone(),
                label: deployment.label.clone(),
                from,
                until,
                serving: serving.clone(),
                risk: versions.iter().filter_map(|version| version.risk).max(),
                versions,
                deployment: deployment.id,
                action: deployment.action,
                ended_by: next.map(|next| next.action),
                by: deployment.actor.clone(),
                message: deployment.message.clone(),
                approved_by: deployment.approved_by.clone(),
                change_request: deployment.change_request,
            });
        }
        spans
    }
}

/// How much a version changed, read off the numbers that it and its parent got.
fn bump(parent: &Version, version: &Version) -> Bump {
    let (before, after) = (&parent.semver, &version.semver);
    match () {
        () if after.major > before.major => Bump::Major,
        () if after.major == before.major && after.minor > before.minor => Bump::Minor,
        () => Bump::Patch,
    }
}

/// What one commit made: positions of prompts, and of versions or deployments in them.
#[derive(Clone, Debug, Default)]
struct Commit {
    versions: Vec<(usize, usize)>,
    deployments: Vec<(usize, usize)>,
}

/// A report that is being gathered.
pub struct Gathering<'a> {
    question: Question,
    prompts: &'a [PromptHistory],
    /// The change requests that are about prompts that fit.
    requests: BTreeSet<u64>,
    by_name: HashMap<&'a str, &'a PromptHistory>,
    commits: HashMap<u64, Commit>,
    rows: Vec<Row>,
    head: Option<(u64, String)>,
}

impl<'a> Gathering<'a> {
    /// Begins with the histories of the prompts that fit, and the numbers of the change requests about them.
    #[must_use]
    pub fn new(question: Question, prompts: &'a [PromptHistory], requests: BTreeSet<u64>) -> Self {
        let mut commits: HashMap<u64, Commit> = HashMap::new();
        for (prompt, history) in prompts.iter().enumerate() {
            for (at, version) in history.versions.iter().enumerate() {
                commits.entry(version.commit).or_default().versions.push((prompt, at));
            }
            for (at, deployment) in history.deployments.iter().enumerate() {
                commits.entry(deployment.id).or_default().deployments.push((prompt, at));
            }
        }
        let by_name = prompts.iter().map(|history| (history.name.as_str(), history)).collect();
        Self { question, prompts, requests, by_name, commits, rows: Vec::new(), head: None }
    }

    /// Takes the next entry of the audit log; keeps it when the question is about it. Returns how many it keeps.
    pub fn offer(&mut self, entry: AuditEntry) -> usize {
        self.head = Some((entry.seq, entry.hash.clone()));
        if self.question.concerns(&entry) || self.is_requested(&entry) {
            let occurred_at = self.occurred(&entry);
            // Both times count: nothing that was done in this time hides behind a date of its own, and what was brought in
            // later still stands where it happened.
            if self.question.covers(occurred_at) || self.question.covers(entry.at) {
                let row = self.row(entry, occurred_at);
                self.rows.push(row);
            }
        }
        self.rows.len()
    }

    /// The report, once every entry was offered.
    #[must_use]
    pub fn finish(self, heading: Heading) -> Report {
        let mut spans: Vec<Span> = self.prompts.iter().flat_map(|history| history.spans(&self.question)).collect();
        spans.sort_by(|a, b| (&a.name, &a.label, a.deployment).cmp(&(&b.name, &b.label, b.deployment)));
        let totals = totals(&self.rows, &self.question);
        Report { heading, question: self.question, rows: self.rows, spans, totals, head: self.head }
    }

    /// Whether an entry is about a change request that is about a prompt that fits: a refused approval names no prompt.
    fn is_requested(&self, entry: &AuditEntry) -> bool {
        let named = entry.subjects.iter().filter_map(|subject| subject.strip_prefix(REQUEST)?.parse().ok());
        named.chain(entry.change_request).any(|number: u64| self.requests.contains(&number))
    }

    /// When an entry's command happened: an import brings times of its own.
    fn occurred(&self, entry: &AuditEntry) -> Timestamp {
        if let Some(at) = entry.occurred {
            return at;
        }
        let imported = (entry.command == "import").then(|| self.commits.get(&entry.seq)).flatten();
        let deployed = |commit: &Commit| commit.deployments.first().and_then(|at| self.deployment(*at)).map(|d| d.at);
        let created = |commit: &Commit| {
            let (prompt, at) = commit.versions.first()?;
            Some(self.prompts.get(*prompt)?.versions.get(*at)?.created)
        };
        imported.and_then(|commit| deployed(commit).or_else(|| created(commit))).unwrap_or(entry.at)
    }

    fn deployment(&self, (prompt, at): (usize, usize)) -> Option<&'a Deployment> {
        self.prompts.get(prompt)?.deployments.get(at)
    }

    fn row(&self, entry: AuditEntry, occurred_at: Timestamp) -> Row {
        let moves = self.moves(&entry);
        let mut numbers: BTreeSet<(&str, u64)> = BTreeSet::new();
        let granted = entry.decision == Decision::Granted;
        if let Some(commit) = self.commits.get(&entry.seq).filter(|_| granted) {
            for (prompt, at) in &commit.versions {
                if let Some(history) = self.prompts.get(*prompt) {
                    numbers.extend(history.versions.get(*at).map(|version| (history.name.as_str(), version.number)));
                }
            }
            for deployment in commit.deployments.iter().filter_map(|at| self.deployment(*at)) {
                let served = deployment.to.iter().flat_map(Serving::versions);
                numbers.extend(served.map(|number| (deployment.name.as_str(), number)));
            }
        }
        for subject in &entry.subjects {
            let target = subject.split_once('@').and_then(|(name, rest)| {
                let number = rest.split_once(SERVES).map_or(rest, |(_, serving)| serving);
                Some((name, number.parse().ok()?))
            });
            numbers.extend(target);
        }
        let version = |(name, number): &(&str, u64)| self.by_name.get(name)?.version(*number);
        let versions: Vec<_> = numbers.iter().filter_map(version).collect();
        let risk = versions.iter().filter_map(|version| version.risk).chain(entry.risk).max();
        Row { entry, occurred_at, versions, moves, risk }
    }

    /// What an entry did to labels: by its deployments; for one that has none, by what it says of itself.
    fn moves(&self, entry: &AuditEntry) -> Vec<Move> {
        let commit = self.commits.get(&entry.seq).filter(|_| entry.decision == Decision::Granted);
        let deployments = commit.iter().flat_map(|commit| &commit.deployments);
        let known: Vec<Move> = deployments.filter_map(|at| self.deployed(*at)).collect();
        if !known.is_empty() {
            return known;
        }
        let is_label = |text: &str| !text.is_empty() && !text.bytes().all(|b| b.is_ascii_digit());
        let said = entry.changes.iter().filter_map(|change| {
            let (prompt, label) = change.subject.split_once('@').filter(|(_, label)| is_label(label))?;
            let (from, to) = (change.before.clone(), change.after.clone());
            Some(Move { prompt: prompt.to_owned(), label: label.to_owned(), from, to, served_ms: None, done: false })
        });
        let said: Vec<Move> = said.collect();
        if !said.is_empty() {
            return said;
        }
        let asked = entry.subjects.iter().filter_map(|subject| {
            let (prompt, rest) = subject.split_once('@')?;
            let (label, to) = rest.split_once(SERVES).unwrap_or((rest, NOTHING));
            let to = (to != NOTHING).then(|| to.to_owned());
            let (prompt, label) = (prompt.to_owned(), Some(label).filter(|label| is_label(label))?.to_owned());
            Some(Move { prompt, label, from: None, to, served_ms: None, done: false })
        });
        asked.collect()
    }

    fn deployed(&self, (prompt, at): (usize, usize)) -> Option<Move> {
        let deployment = self.deployment((prompt, at))?;
        let before = at.checked_sub(1).and_then(|before| self.deployment((prompt, before)));
        let before = before.filter(|before| before.label == deployment.label && before.to.is_some());
        let text = |serving: &Option<Serving>| serving.as_ref().map(ToString::to_string);
        (!deployment.label.is_latest()).then(|| Move {
            prompt: deployment.name.to_string(),
            label: deployment.label.to_string(),
            from: text(&deployment.from),
            to: text(&deployment.to),
            served_ms: before.map(|before| deployment.at.ms().saturating_sub(before.at.ms())),
            done: true,
        })
    }
}

fn totals(rows: &[Row], question: &Question) -> Totals {
    let mut totals = Totals::default();
    let (mut prompts, mut actors) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let entry = &row.entry;
        actors.insert(entry.actor.as_str());
        totals.unrecorded += entry.unrecorded;
        totals.overrode += u64::from(!entry.overrode.is_empty());
        if entry.decision == Decision::Denied {
            totals.denied += 1;
            continue;
        }
        totals.granted += 1;
        totals.approved += u64::from(!entry.approved_by.is_empty());
        totals.rollbacks += u64::from(entry.command == Action::Rollback.to_string());
        totals.moves += row.moves.iter().filter(|moved| moved.done).count() as u64;
        if matches!(entry.command.as_str(), "publish" | "import") {
            // A version that was there before is only served again.
            let published = row.versions.iter().filter(|version| version.commit == entry.seq);
            let (all, major) =
                published.fold((0, 0), |(n, m), version| (n + 1, m + u64::from(version.is_substantial())));
            totals.versions += all;
            totals.substantial += major;
        }
        let changed = entry.subjects.iter().map(|subject| prompt_of(subject));
        let is_prompt = |name: &&str| row.concerns(name) && question.prompts.matches(name);
        prompts.extend(changed.filter(is_prompt));
    }
    (totals.prompts, totals.actors) = (prompts.len() as u64, actors.len() as u64);
    totals
}

impl Row {
    /// Whether a name is that of a prompt here, and not of an epoch or of an access token.
    fn concerns(&self, name: &str) -> bool {
        matches!(self.entry.command.as_str(), "remove")
            || self.versions.iter().any(|version| version.name.as_str() == name)
            || self.moves.iter().any(|moved| moved.prompt == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, report_of};
    use super::*;

    #[test]
    fn rows_are_what_happened_in_time_to_what_fits() {
        let check = |from: &str, to: &str, prompts: &str, expected: &[u64]| {
            let report = report_of(from, to, prompts);
            let found: Vec<u64> = report.rows.iter().map(|row| row.entry.seq).collect();
            assert_eq!(found, expected, "{from} {to} {prompts}");
            assert_eq!(report.head.map(|(seq, _)| seq), Some(7), "the head is the log's, not the report's");
        };
        let (begin, end) = ("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z");
        check(begin, end, "**", &[1, 2, 3, 4, 5, 6, 7]);
        check(begin, end, "support/*", &[1, 2, 3, 5, 6, 7]);
        check(begin, end, "sales/**", &[]);
        check("2026-03-20T12:00:00Z", "2026-03-20T14:00:00Z", "support/agent", &[2, 3]);
        // What was imported on the 20th happened on the 19th, and belongs to both.
        check("2026-03-20T15:30:00Z", end, "support/**", &[7]);
        check(begin, "2026-03-19T07:00:00Z", "support/**", &[7]);
        check("2026-03-19T07:00:00Z", "2026-03-20T15:30:00Z", "support/old", &[]);
    }

    #[test]
    fn an_import_belongs_to_the_time_it_tells_and_to_the_time_it_came() {
        let check = |told: Option<&str>, from: &str, to: &str, expected| {
            let question = Question { from: at(from), to: at(to), prompts: "**".parse().unwrap() };
            let entry = AuditEntry { at: at("2026-03-20T16:00:00Z"), occurred: told.map(at), ..AuditEntry::default() };
            assert_eq!(Gathering::new(question, &[], BTreeSet::new()).offer(entry), expected, "{told:?} {from} {to}");
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
    fn a_refused_approval_of_a_change_to_what_fits_is_a_row() {
        let entry = |subject: &str, change_request| AuditEntry {
            seq: 9,
            decision: Decision::Denied,
            command: "approve".to_owned(),
            subjects: vec![subject.to_owned()],
            change_request,
            ..AuditEntry::default()
        };
        let kept = |entry| {
            let question = Question {
                from: at("1970-01-01T00:00:00Z"),
                to: at("1971-01-01T00:00:00Z"),
                prompts: "support/**".parse().unwrap(),
            };
            Gathering::new(question, &[], BTreeSet::from([3])).offer(entry)
        };
        for (subject, change_request, expected) in [
            ("change request 3", None, 1),
            ("change request 4", None, 0),
            ("x", Some(3), 1),
            ("x", Some(4), 0),
            ("x", None, 0),
        ] {
            assert_eq!(kept(entry(subject, change_request)), expected, "{subject} {change_request:?}");
        }
    }

    #[test]
    fn spans_are_what_overlaps_and_have_no_holes() {
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
    fn a_row_says_what_is_known_of_its_versions() {
        let report = report_of("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z", "support/**");
        let row = |seq: u64| report.rows.iter().find(|row| row.entry.seq == seq).unwrap();
        let denied = row(3);
        assert_eq!(denied.entry.decision, Decision::Denied);
        assert_eq!((denied.risk, denied.versions[0].number), (Some(Severity::High), 2));
        assert!(denied.versions[0].is_substantial());
        assert_eq!((denied.moves[0].from.as_deref(), denied.moves[0].to.as_deref()), (None, Some("2")));
        let back = &row(6).moves[0];
        assert_eq!((back.from.as_deref(), back.to.as_deref(), back.served_ms), (Some("2"), Some("1"), Some(3_600_000)));
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
