//! A report of a real store: collected, written, signed, and verified with the root key alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version as Semver;

use super::*;
use crate::clock::{Cancellation, SystemClock};
use crate::crypto::key::SigningKey;
use crate::governance::audit_copy::verify_copy;
use crate::governance::report::{ReportHeader, ReportScope};
use crate::model::audit::{AuditChange, AuditEntry, Command, Decision, Subject, samples};
use crate::model::change_request::{ChangeRequest, ProposedMove, RequestState};
use crate::model::content_id::ContentId;
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::{Category, Finding, Severity};
use crate::model::name::PromptName;
use crate::model::prompt::Prompt;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::resolve::report::ReportSource;
use crate::resolve::{Catalogue, ReadScope};
use crate::signing::primary_clock::PrimaryClock;
use crate::store::documents::Findings;
use crate::store::write::Change;
use crate::store::{Options, Store};
use crate::trust::epoch::EpochRecord;
use crate::trust::manifest::verify;
use crate::trust::root::{RootDocument, RootKeyId, sign_root};

const REGISTRY: &str = "prompts.example.org";
const KEY_NAME: &str = "checkpoint-1";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A registry whose commits are signed.
struct World {
    store: Store,
    signer: Arc<Signer>,
    root_key: RootKeyId,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let (root, checkpoint) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
    let document = RootDocument {
        registry: REGISTRY.to_owned(),
        version: 1,
        threshold: 1,
        root_keys: vec![root.verifying_key()],
        checkpoint_keys: vec![(KEY_NAME.to_owned(), checkpoint.verifying_key())],
        failover_keys: Vec::new(),
        max_lifetime_s: 86_400,
        reset: None,
        issued: 1,
    };
    let epoch = EpochRecord {
        registry: REGISTRY.to_owned(),
        epoch: 1,
        base: None,
        checkpoint_key: KEY_NAME.to_owned(),
        root: 1,
        issued: 1,
    };
    let (root_note, epoch_note) = (sign_root(&document, &[&root]).unwrap(), epoch.sign_by_roots(&[&root]).unwrap());
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&Options { directory: folder.path().to_owned(), create: true }).expect("a store");
    let clock = Arc::new(PrimaryClock::new(Arc::new(SystemClock::new()), false));
    let signer = Arc::new(Signer {
        registry: REGISTRY.to_owned(),
        key_name: KEY_NAME.to_owned(),
        key: checkpoint,
        root: 1,
        max_lifetime_s: 86_400,
        clock,
    });
    store.set_seal(signer.seal());
    let found = AuditEntry { actor: "operator".to_owned(), ..AuditEntry::of(Command::Found) };
    let founding = store.write_blocking(move |txn| -> Result<(), StoreError> {
        txn.put_root(1, &root_note)?;
        txn.put_epoch(1, &epoch_note)?;
        txn.set_epoch(1);
        txn.commit(at("2026-03-01T00:00:00Z"), Vec::new(), found).map(|_| ())
    });
    founding.expect("founded");
    World { store, signer, root_key: document.key_id(), _folder: folder }
}

/// Publishes a version with a finding, deploys it to production, and denies an approval.
fn fill(world: &World) {
    let name: PromptName = "support/agent".parse().unwrap();
    let now = at("2026-03-20T12:00:00Z");
    let entry = |command: Command, subjects: Vec<Subject>, changes: Vec<AuditChange>| {
        let (actor, message) = ("ada".to_owned(), "why".to_owned());
        AuditEntry { actor, subjects, message, changes, ..AuditEntry::of(command) }
    };
    let place = "support/agent@production";
    let published = entry(
        Command::Publish,
        vec![samples::version("support/agent", 1), samples::label(place, Some(1))],
        vec![samples::published("support/agent", 1), samples::moved(place, None, Some(1))],
    );
    let refused = entry(Command::Approve, vec![Subject::ChangeRequest { number: 7 }], Vec::new());
    let refused = AuditEntry { decision: Decision::Denied, ..refused };
    let elsewhere = entry(Command::CreateToken, vec![samples::token("ci")], Vec::new());
    let request = ChangeRequest {
        id: 7,
        message: "why".to_owned(),
        author: "ada".to_owned(),
        created: now,
        commit: 1,
        expires: now,
        state: RequestState::Open,
        moves: vec![ProposedMove::new(
            name.clone(),
            "production".parse().unwrap(),
            Serving::version(1),
            BTreeMap::from([(1, ContentId::of(b"{}"))]),
        )],
        automatic: false,
        reviewers: Vec::new(),
        events: Vec::new(),
        deployment: None,
    };
    let finding = Finding {
        rule: "financial.loan".to_owned(),
        rule_version: 1,
        category: Category::Financial,
        severity: Severity::High,
        target: "text".to_owned(),
        start: 0,
        end: 4,
        line: 1,
        hash: "00".to_owned(),
        message: "loan advice".to_owned(),
    };
    let filled = world.store.write_blocking(move |txn| -> Result<(), StoreError> {
        let seq = txn.next_seq();
        let version = Version {
            number: 1,
            content_id: ContentId::of(b"{}"),
            source_id: None,
            semver: Semver::new(1, 0, 0),
            author: "ada".to_owned(),
            message: "why".to_owned(),
            created: now,
            commit: seq,
            includes: Vec::new(),
            retired: None,
            archived: None,
        };
        let deployment = Deployment {
            id: seq,
            name: name.clone(),
            label: "production".parse().unwrap(),
            at: now,
            actor: "ada".to_owned(),
            message: "why".to_owned(),
            action: Action::Deploy,
            from: None,
            to: Some(Serving::version(1)),
            approved_by: Vec::new(),
            change_request: None,
        };
        let prompt = Prompt { name: name.clone(), created: now, changed: now, latest: 1, removed: None };
        let changes = vec![
            Change::Content("support".to_owned(), ContentId::of(b"{}"), b"{}".to_vec()),
            Change::Version(name.clone(), version),
            Change::Deployment(deployment),
            Change::Prompt(prompt),
        ];
        txn.put((&name, 1), &Findings(vec![finding]))?;
        txn.put(7, &request)?;
        txn.commit(now, changes, published)?;
        txn.commit(now, Vec::new(), refused)?;
        txn.commit(now, Vec::new(), elsewhere).map(|_| ())
    });
    filled.expect("filled");
}

/// The current state, to read a report from.
fn source(world: &World, stop: Cancellation) -> ReportSource {
    let view = Catalogue::new(world.store.clone()).as_reader(&ReadScope::node()).expect("a state");
    view.into_report_source(stop).expect("the node itself")
}

#[test]
fn report_of_a_store_verifies_with_only_the_root_key() {
    let world = world();
    fill(&world);
    let question = ReportScope {
        from: at("2026-03-01T00:00:00Z"),
        to: at("2026-04-01T00:00:00Z"),
        prompts: "support/**".parse().unwrap(),
    };
    let heading = ReportHeader {
        registry: REGISTRY.to_owned(),
        generated_at: at("2026-03-21T00:00:00Z"),
        generated_by: "eve".to_owned(),
    };
    let source = source(&world, Cancellation::never());
    let report = Report { heading, question, source: &source };
    let (mut found, mut risks) = (Vec::new(), Vec::new());
    let rows = report.rows(&mut |row| {
        found.push((row.entry.command, row.risk));
        Ok(())
    });
    rows.expect("rows");
    assert_eq!(found, [(Command::Publish, Some(Severity::High)), (Command::Approve, None)]);
    let spans = report.spans(&mut |span| {
        risks.push(span.risk);
        Ok(())
    });
    assert_eq!((spans.expect("spans"), risks), (1, vec![Some(Severity::High)]));
    for format in [ReportFormat::Html, ReportFormat::Csv, ReportFormat::Jsonl] {
        let mut bytes = Vec::new();
        let written = write_report(&report, &system_info(&world.signer), format, &mut bytes).unwrap();
        assert_eq!((written.bytes, written.hash), (bytes.len() as u64, blake3::hash(&bytes).into()), "{format}");
        assert_eq!((written.contents.rows, written.contents.deployments), (2, 1), "{format}");
        let file = sign_report(&world.signer, &report, format, &written).expect("signed");
        let verified = verify(&file, bytes.as_slice(), &world.root_key).expect("believed");
        assert_eq!((verified.manifest.decisions, verified.manifest.deployments), (2, 1), "{format}");
        assert_eq!(verified.manifest.format, format.as_str());
        if format == ReportFormat::Jsonl {
            let copy = verify_copy(bytes.as_slice()).unwrap();
            assert_eq!((copy.entries, copy.served, copy.broken_at), (2, 1, None));
        }
    }
}

#[test]
fn commits_during_a_report_do_not_break_its_manifest() {
    let world = world();
    let question = ReportScope {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2027-01-01T00:00:00Z"),
        prompts: "**".parse().unwrap(),
    };
    let heading = ReportHeader {
        registry: REGISTRY.to_owned(),
        generated_at: at("2026-03-21T00:00:00Z"),
        generated_by: "eve".to_owned(),
    };
    let source = source(&world, Cancellation::never());
    let report = Report { heading, question, source: &source };
    fill(&world);
    let mut bytes = Vec::new();
    let written = write_report(&report, &system_info(&world.signer), ReportFormat::Jsonl, &mut bytes).unwrap();
    let file = sign_report(&world.signer, &report, ReportFormat::Jsonl, &written).expect("signed");
    let verified = verify(&file, bytes.as_slice(), &world.root_key).expect("believed");
    assert_eq!(verified.manifest.audit.seq, 1, "the entries behind it came later");
}

#[test]
fn report_is_aborted_when_cancelled_or_too_long() {
    let world = world();
    fill(&world);
    let question = ReportScope {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2027-01-01T00:00:00Z"),
        prompts: "**".parse().unwrap(),
    };
    let (registry, generated_by) = (REGISTRY.to_owned(), "eve".to_owned());
    let heading = ReportHeader { registry, generated_at: at("2026-03-21T00:00:00Z"), generated_by };
    let stop = Cancellation::never();
    let source = source(&world, stop.clone());
    let report = Report { heading, question, source: &source };
    let system = system_info(&world.signer);
    for format in [ReportFormat::Html, ReportFormat::Csv, ReportFormat::Jsonl] {
        let whole = write_report(&report, &system, format, &mut io::sink()).expect("a report").bytes;
        let cut = |bytes_max| write(&report, &system, format, &mut io::sink(), bytes_max);
        assert_eq!(cut(whole).expect("it fits").bytes, whole, "{format}");
        assert!(matches!(cut(whole - 1), Err(ReportError::TooLong)), "{format}");
    }
    stop.abandon();
    for format in [ReportFormat::Html, ReportFormat::Csv, ReportFormat::Jsonl] {
        let abandoned = write_report(&report, &system, format, &mut io::sink());
        assert!(matches!(abandoned, Err(ReportError::Read(ReadError::Abandoned))), "{format}: {abandoned:?}");
    }
}
