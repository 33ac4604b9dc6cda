//! Sample reports for tests, here and in the crates above: an incident, and any number of changes.

#![allow(clippy::assigning_clones, clippy::indexing_slicing, reason = "only tests call it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::governance::report::{
    Contents, Report, ReportHeader, ReportRow, ReportScope, ReportedVersion, Source, Span, Tally, Totals,
};
use crate::model::audit::samples::{label, moved, published, token, version as version_of};
use crate::model::audit::{AuditEntry, Command, Decision};
use crate::model::content_id::ContentId;
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::Severity;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::principal::PrincipalKind;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;

/// Parses a time.
pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn entry(seq: u64, at: Timestamp, actor: &str, command: Command, message: &str) -> AuditEntry {
    AuditEntry {
        seq,
        at,
        actor: actor.to_owned(),
        actor_kind: Some(PrincipalKind::Person),
        method: format!("access token {actor}"),
        message: message.to_owned(),
        ..AuditEntry::of(command)
    }
}

/// The same entries as a hash chain.
pub fn chained(mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let mut previous = AuditEntry::genesis();
    for entry in &mut entries {
        entry.previous = previous;
        entry.hash = entry.digest();
        previous = entry.hash.clone();
    }
    entries
}

fn version(number: u64, semver: &str, author: &str, created: Timestamp, commit: u64) -> Version {
    Version {
        number,
        content_id: ContentId::of(&[commit.to_le_bytes(), number.to_le_bytes()].concat()),
        source_id: None,
        semver: semver.parse().expect("a version"),
        author: author.to_owned(),
        message: "why".to_owned(),
        created,
        commit,
        includes: Vec::new(),
        retired: None,
        archived: None,
    }
}

fn deployment(id: u64, name: &PromptName, label: &str, at: Timestamp, (from, to): (u64, u64)) -> Deployment {
    Deployment {
        id,
        name: name.clone(),
        label: label.parse().expect("a label"),
        at,
        actor: "rel".to_owned(),
        message: "why".to_owned(),
        action: Action::Deploy,
        from: (from > 0).then(|| Serving::version(from)),
        to: (to > 0).then(|| Serving::version(to)),
        approved_by: Vec::new(),
        change_request: None,
    }
}

/// The heading of every sample.
pub fn heading() -> ReportHeader {
    let (registry, generated_by) = ("prompts.example.org".to_owned(), "eve".to_owned());
    ReportHeader { registry, generated_at: at("2026-03-21T09:00:00Z"), generated_by }
}

/// The audit log of an incident: loan advice is published, denied, approved, deployed and rolled back.
pub fn log() -> Vec<AuditEntry> {
    const AGENT: &str = "support/agent@production";
    let moving = |entry: AuditEntry, from: u64, to: u64| AuditEntry {
        subjects: [entry.subjects, vec![label(AGENT, Some(to))]].concat(),
        changes: [entry.changes, vec![moved(AGENT, Some(from).filter(|from| *from > 0), Some(to))]].concat(),
        ..entry
    };
    let publish = |seq, time, actor, prompt, message| AuditEntry {
        subjects: vec![version_of(prompt, if seq == 2 { 2 } else { 1 })],
        changes: vec![published(prompt, if seq == 2 { 2 } else { 1 })],
        ..entry(seq, at(time), actor, Command::Publish, message)
    };
    chained(vec![
        moving(publish(1, "2026-03-19T12:00:00Z", "ada", "support/agent", "Begin"), 0, 1),
        AuditEntry { risk: Some(Severity::High), ..publish(2, "2026-03-20T12:00:00Z", "bo", "support/agent", "Loans") },
        AuditEntry {
            decision: Decision::Denied,
            reason: "`bo` may not deploy".to_owned(),
            subjects: vec![label(AGENT, Some(2))],
            ..entry(3, at("2026-03-20T12:30:00Z"), "bo", Command::Deploy, "Please")
        },
        AuditEntry {
            subjects: vec![token("ci")],
            ..entry(4, at("2026-03-20T13:00:00Z"), "ada", Command::CreateToken, "")
        },
        AuditEntry {
            approved_by: vec!["eve".to_owned()],
            change_request: Some(3),
            ..moving(entry(5, at("2026-03-20T14:00:00Z"), "rel", Command::Deploy, "Ticket 12"), 1, 2)
        },
        moving(entry(6, at("2026-03-20T15:00:00Z"), "rel", Command::Rollback, "Ticket 12"), 2, 1),
        AuditEntry {
            command: Command::Import,
            on_behalf_of: Some("cy".to_owned()),
            occurred: Some(at("2026-03-19T06:00:00Z")),
            ..publish(7, "2026-03-20T16:00:00Z", "ada", "support/old", "Long ago")
        },
    ])
}

/// The versions and deployments of one prompt, and the highest risk of each version with findings.
#[derive(Clone, Default)]
pub struct History {
    pub versions: Vec<Version>,
    /// By label, then by commit.
    pub deployments: Vec<Deployment>,
    pub risks: BTreeMap<u64, Severity>,
}

/// A registry in memory.
#[derive(Clone, Default)]
pub struct Sample {
    pub log: Vec<AuditEntry>,
    pub prompts: BTreeMap<PromptName, History>,
    /// The change requests about matching prompts.
    pub requests: BTreeSet<u64>,
}

/// A whole report in memory.
pub struct Collected {
    pub rows: Vec<ReportRow>,
    pub spans: Vec<Span>,
    pub totals: Totals,
    pub contents: Contents,
}

impl Sample {
    /// The report of the whole incident.
    pub fn report(&self) -> Report<'_, Self> {
        self.report_of("2026-03-19T00:00:00Z", "2026-03-22T00:00:00Z", "support/**")
    }

    /// A report of all changes by [`many`].
    pub fn whole_report(&self) -> Report<'_, Self> {
        self.report_of("2025-12-01T00:00:00Z", "2026-04-01T00:00:00Z", "**")
    }

    pub fn report_of(&self, from: &str, to: &str, prompts: &str) -> Report<'_, Self> {
        let question = ReportScope { from: at(from), to: at(to), prompts: prompts.parse().expect("a pattern") };
        Report { heading: heading(), question, source: self }
    }

    pub fn collect(&self, question: ReportScope) -> Collected {
        collect(&Report { heading: heading(), question, source: self })
    }
}

/// All rows of a report.
pub fn collect(report: &Report<'_, Sample>) -> Collected {
    let (mut rows, mut spans, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    let contents = report.rows(&mut |row| {
        tally.add(row, &report.question);
        rows.push(row.clone());
        Ok(())
    });
    let count = report.spans(&mut |span| {
        spans.push(span.clone());
        Ok(())
    });
    let contents = Contents { deployments: count.expect("in memory"), ..contents.expect("in memory") };
    Collected { rows, spans, totals: tally.totals(), contents }
}

impl Source for Sample {
    type Error = io::Error;

    fn entries(&self, visitor: &mut dyn FnMut(AuditEntry) -> io::Result<()>) -> io::Result<()> {
        self.log.iter().cloned().try_for_each(visitor)
    }

    fn entry(&self, seq: u64) -> io::Result<Option<AuditEntry>> {
        Ok(self.log.iter().find(|entry| entry.seq == seq).cloned())
    }

    fn prompts(&self, prompts: &Pattern, visitor: &mut dyn FnMut(PromptName) -> io::Result<()>) -> io::Result<()> {
        self.prompts.keys().filter(|name| prompts.matches(name.as_str())).cloned().try_for_each(visitor)
    }

    fn deployments(&self, name: &PromptName, visitor: &mut dyn FnMut(Deployment) -> io::Result<()>) -> io::Result<()> {
        self.prompts[name].deployments.iter().cloned().try_for_each(visitor)
    }

    fn deployment(
        &self,
        name: &PromptName,
        label: &Label,
        commit: u64,
    ) -> io::Result<Option<(Deployment, Option<Deployment>)>> {
        let Some(history) = self.prompts.get(name) else { return Ok(None) };
        let of_label: Vec<_> = history.deployments.iter().filter(|one| one.label == *label).collect();
        let found = of_label.iter().position(|one| one.id == commit);
        let before = |at: usize| at.checked_sub(1).map(|at| of_label[at].clone());
        Ok(found.map(|at| (of_label[at].clone(), before(at))))
    }

    fn version(&self, name: &PromptName, number: u64) -> io::Result<Option<ReportedVersion>> {
        let Some(history) = self.prompts.get(name) else { return Ok(None) };
        let of = |number: u64| history.versions.iter().find(|version| version.number == number);
        let risk = history.risks.get(&number).copied();
        Ok(of(number).map(|version| {
            let parent = number.checked_sub(1).and_then(of);
            ReportedVersion::new(name.clone(), version.clone(), parent, risk)
        }))
    }

    fn request_concerns(&self, number: u64, _: &Pattern) -> io::Result<bool> {
        Ok(self.requests.contains(&number))
    }
}

/// The incident of [`log`], and the histories of its prompts.
pub fn incident() -> Sample {
    let name: PromptName = "support/agent".parse().expect("a name");
    let versions = vec![
        version(1, "1.0.0", "ada", at("2026-03-19T12:00:00Z"), 1),
        version(2, "2.0.0", "bo", at("2026-03-20T12:00:00Z"), 2),
    ];
    let approved = deployment(5, &name, "production", at("2026-03-20T14:00:00Z"), (1, 2));
    let back = deployment(6, &name, "production", at("2026-03-20T15:00:00Z"), (2, 1));
    let deployments = vec![
        deployment(1, &name, "production", at("2026-03-19T12:00:00Z"), (0, 1)),
        Deployment { approved_by: vec!["eve".to_owned()], change_request: Some(3), ..approved },
        Deployment { action: Action::Rollback, ..back },
    ];
    let agent = History { versions, deployments, risks: BTreeMap::from([(2, Severity::High)]) };
    let old: PromptName = "support/old".parse().expect("a name");
    let imported = vec![version(1, "1.0.0", "cy", at("2026-03-19T06:00:00Z"), 7)];
    let imported = History { versions: imported, ..History::default() };
    Sample { log: log(), prompts: BTreeMap::from([(name, agent), (old, imported)]), requests: BTreeSet::new() }
}

/// The rows of a report of [`incident`] for a period and a pattern.
pub fn report_of(from: &str, to: &str, prompts: &str) -> Collected {
    let incident = incident();
    collect(&incident.report_of(from, to, prompts))
}

/// A report of `changes` changes to a hundred prompts over three months, with occasional denials and rollbacks.
pub fn many(changes: u64) -> Sample {
    const PROMPTS: u64 = 100;
    let begin = at("2025-12-15T08:00:00Z").ms();
    let step_ms = 95 * 24 * 3_600 * 1_000 / changes.cast_signed().max(1);
    let mut entries = Vec::new();
    let mut kept: Vec<(Vec<Version>, Vec<Deployment>)> = vec![(Vec::new(), Vec::new()); 100];
    let names: Vec<PromptName> =
        (0..PROMPTS).map(|n| format!("team-{}/prompt-{n}", n % 7).parse().expect("a name")).collect();
    for seq in 1..=changes {
        // Some prompts change more often than others.
        let which = if seq % 3 == 0 { seq * 7 % PROMPTS } else { seq * 13 % 20 };
        let index = usize::try_from(which).expect("small");
        let (name, (versions, deployments)) = (&names[index], &mut kept[index]);
        let moment = Timestamp::from_ms(begin + seq.cast_signed() * step_ms);
        let served = deployments.last().and_then(|last| last.to.as_ref()?.fixed()).unwrap_or(0);
        let place = format!("{name}@production");
        let moving = |command, to| AuditEntry {
            subjects: vec![label(&place, Some(to))],
            changes: vec![moved(&place, Some(served).filter(|served| *served > 0), Some(to))],
            ..entry(seq, moment, "rel", command, "Refusals")
        };
        if seq % 41 == 0 {
            let (actor, reason) = ("bo".to_owned(), "`bo` may not deploy to production".to_owned());
            let denied = AuditEntry { actor, reason, changes: Vec::new(), ..moving(Command::Deploy, 1) };
            entries.push(AuditEntry { decision: Decision::Denied, message: "Please".to_owned(), ..denied });
        } else if seq % 29 == 0 && served > 1 {
            entries.push(moving(Command::Rollback, served - 1));
            let back = deployment(seq, name, "production", moment, (served, served - 1));
            deployments.push(Deployment { action: Action::Rollback, ..back });
        } else {
            let number = versions.len() as u64 + 1;
            let semver = format!("{}.{}.0", 1 + number / 10, number % 10);
            versions.push(version(number, &semver, "ada", moment, seq));
            deployments.push(deployment(seq, name, "production", moment, (served, number)));
            let why = "Answer in the language of the question, and say when the question is not about the product";
            let deploy = moving(Command::Publish, number);
            entries.push(AuditEntry {
                subjects: [vec![version_of(name.as_str(), number)], deploy.subjects].concat(),
                changes: [vec![published(name.as_str(), number)], deploy.changes].concat(),
                ..entry(seq, moment, "ada", Command::Publish, why)
            });
        }
    }
    let history = |(versions, deployments)| {
        let risks = BTreeMap::from([(3, Severity::Medium), (7, Severity::High)]);
        History { versions, deployments, risks }
    };
    let prompts = names.into_iter().zip(kept.into_iter().map(history)).collect();
    Sample { log: chained(entries), prompts, requests: BTreeSet::new() }
}
