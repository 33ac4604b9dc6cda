//! Governance in process: what a decision, a classification, a guarded deployment and a report cost.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bookholder::api::govern::{PrincipalRequest, ProposeRequest};
use bookholder::api::write::{DeployRequest, ImportChange, ImportRequest, Move, PublishRequest, ServingRequest};
use bookholder::clock::{Cancellation, Clock, SystemClock};
use bookholder::crypto::secret::AccessToken;
use bookholder::governance::report::{Report, ReportHeader, ReportScope};
use bookholder::governance::risk::Classifier;
use bookholder::model::content::{Content, Syntax};
use bookholder::model::name::{Label, PromptName};
use bookholder::model::pattern::Pattern;
use bookholder::model::principal::{Grant, Permission, PrincipalKind};
use bookholder::model::time::Timestamp;
use bookholder::registry::bootstrap::{BootstrapOptions, bootstrap};
use bookholder::registry::why::AccessQuestion as WhyQuestion;
use bookholder::registry::{Actor, Registry};
use bookholder::resolve::{Catalogue, ReadScope};
use tokio::runtime::Runtime;

use crate::Bench;
use crate::library::{name, open, scratch, text};
use crate::report::{Figure, Progress, Target, count};
use crate::wire::TOKEN;

const BYTES: usize = 2_048;
const MIB: usize = 1_024 * 1_024;
const ROUNDS: usize = 7;
const DECISIONS: u32 = 20_000;
const TEXTS: usize = 500;
const DEPLOYMENTS: usize = 30;
/// Most open change requests.
const OPEN: usize = 999;
const OPEN_EACH: usize = 50;
/// Changes of the history that is reported: as many as the real one has that tests use.
const CHANGES: usize = 4_529;
const CHANGES_A_BATCH: usize = 1_000;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    bench.report.section("govern", "governance, in process");
    classify(bench);
    let directory = scratch();
    let store = open(directory.path());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let admin_token = Some(AccessToken::parse(TOKEN).expect("a token"));
    let founding = BootstrapOptions { registry: Some("bench".to_owned()), admin_token, trust_clock: false };
    let founded = bootstrap(&store, &founding, &clock).expect("a registry");
    let registry = Registry::open(store.clone(), Arc::clone(&founded.signer.clock)).expect("a registry");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let admin = person("admin");
    decide(bench, &runtime, &registry, &Catalogue::new(store.clone()), &admin);
    report(bench, &runtime, &registry, &Catalogue::new(store.clone()), &admin);
    deploy(bench, &runtime, &registry, &admin);
    runtime.block_on(store.close());
}

fn person(name: &str) -> Actor {
    Actor { kind: PrincipalKind::Person, name: name.to_owned(), ..Actor::operator("a benchmark") }
}

fn classify(bench: &mut Bench) {
    let classifier = Classifier::new(true, &[]).expect("the built-in rules");
    let plain = |text: String| Content::text(Syntax::Plain, text);
    let contents: Vec<Content> = (0..TEXTS).map(|number| plain(text(number, BYTES))).collect();
    let key = [7; 32];
    let round = |_| {
        let began = Instant::now();
        for content in &contents {
            black_box(classifier.classify(content, &key));
        }
        began.elapsed().as_secs_f64() * 1e6 / TEXTS as f64
    };
    let small = Figure::of(&(0..ROUNDS).map(round).collect::<Vec<_>>(), "µs");
    bench.report.row(&format!("classify {BYTES} B by {} rules", classifier.rule_count()), &small, "", None);
    // Every keyword of a secret, again and again, and never a secret.
    let near = plain("api_key = \"sk-ant-AKIA ghp_ xoxb- password: ".repeat(MIB / 46));
    let began = Instant::now();
    black_box(classifier.classify(&near, &key));
    let hostile = Figure::one(began.elapsed().as_secs_f64() * 1e3, "ms");
    let beside =
        format!("{:.0} × the small one a byte", hostile.median * 1e3 / small.median * BYTES as f64 / MIB as f64);
    bench.report.row("classify 1 MiB of near misses", &hostile, &beside, None);
}

fn decide(bench: &mut Bench, runtime: &Runtime, registry: &Registry, catalogue: &Catalogue, admin: &Actor) {
    let grants: Vec<Grant> = (0..100)
        .map(|number| Grant {
            prompts: format!("team-{number}/**").parse().expect("a pattern"),
            ..Grant::everywhere("author")
        })
        .collect();
    let request = PrincipalRequest { name: "ann".to_owned(), kind: PrincipalKind::Person, grants };
    runtime.block_on(registry.create_principal(admin, request)).expect("a principal");
    let ann = person("ann");
    let view = catalogue.as_reader(&ReadScope::node()).expect("a state");
    let question = WhyQuestion {
        who: "ann".to_owned(),
        permission: Permission::Publish,
        prompt: Some("team-99/agent".parse().expect("a name")),
        label: None,
        version: None,
    };
    let round = |_| {
        let began = Instant::now();
        for _ in 0..DECISIONS {
            let answer = registry.can(&view, &ann, &question).expect("an answer");
            assert!(black_box(answer).allowed);
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
    };
    let figure = Figure::of(&(0..ROUNDS).map(round).collect::<Vec<_>>(), "µs");
    bench.report.row("one decision, the last of 100 grants, with its reason", &figure, "", None);
}

fn report(bench: &mut Bench, runtime: &Runtime, registry: &Registry, catalogue: &Catalogue, admin: &Actor) {
    let progress = Progress::begin(format!("importing {} changes", count(CHANGES)));
    for first in (0..CHANGES).step_by(CHANGES_A_BATCH) {
        let change = |number: usize| ImportChange {
            id: number.to_string(),
            at: Timestamp::from_ms(1_700_000_000_000 + number as i64 * 60_000),
            author: format!("author-{}", number % 800),
            message: format!("change {number}"),
            name: name(number % 1_724).parse().expect("a name"),
            text: Some(text(number, BYTES / 2)),
            original: None,
        };
        let changes = (first..CHANGES.min(first + CHANGES_A_BATCH)).map(change).collect();
        let request = ImportRequest { changes, syntax: Syntax::Plain, label: Label::production() };
        let outcome = runtime.block_on(registry.import(admin, request)).expect("an import");
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused.first());
    }
    drop(progress);
    let round = |_| {
        let began = Instant::now();
        let (from, to) = (Timestamp::from_ms(0), Timestamp::from_ms(4_000_000_000_000));
        let question = ReportScope { from, to, prompts: Pattern::everything() };
        let heading = ReportHeader { registry: "bench".to_owned(), generated_at: to, generated_by: "bench".to_owned() };
        let source = catalogue.as_reader(&ReadScope::node()).expect("a state");
        let source = source.into_report_source(Cancellation::never()).expect("a node");
        let report = Report { heading, question, source: &source };
        let mut page = Vec::new();
        let system = bookholder::governance::report::SystemInfo::default();
        let contents = bookholder::web::report::write_page(&report, &system, &mut page).expect("a report");
        assert!(contents.rows >= CHANGES as u64 && page.len() > CHANGES);
        began.elapsed().as_secs_f64() * 1e3
    };
    let figure = Figure::of(&(0..ROUNDS).map(round).collect::<Vec<_>>(), "ms");
    let what = format!("a report of {} changes, as HTML", count(CHANGES));
    bench.report.row(&what, &figure, "", Some(Target::AtMost(1_000.0)));
}

fn deploy(bench: &mut Bench, runtime: &Runtime, registry: &Registry, admin: &Actor) {
    let policy = r#"{"name":"p","labels":"guarded","after":{"label":"production"},"risk":{"from":"critical"}}"#;
    runtime.block_on(registry.put_policy(admin, serde_json::from_str(policy).expect("a policy"))).expect("kept");
    let agent: PromptName = name(0).parse().expect("a name");
    let latest = publish(runtime, registry, admin, &agent);
    let free = times(runtime, registry, admin, &agent, "free", latest);
    let guarded = times(runtime, registry, admin, &agent, "guarded", latest);
    let progress = Progress::begin(format!("proposing {OPEN} changes"));
    // One author can have fifty open requests.
    let authors: Vec<Actor> = (0..OPEN.div_ceil(OPEN_EACH)).map(|number| person(&format!("author-{number}"))).collect();
    for author in &authors {
        let (name, grants) = (author.name.clone(), vec![Grant::everywhere("author")]);
        let request = PrincipalRequest { name, kind: PrincipalKind::Person, grants };
        runtime.block_on(registry.create_principal(admin, request)).expect("a principal");
    }
    for number in 1..=OPEN {
        let author = authors.get(number % authors.len()).expect("one of them");
        let moves = vec![moving(&name(number).parse().expect("a name"), "guarded", 1)];
        let request = ProposeRequest { message: "m".to_owned(), moves, ..ProposeRequest::default() };
        runtime.block_on(registry.propose(author, request)).expect("a proposal");
    }
    drop(progress);
    let crowded = times(runtime, registry, admin, &agent, "guarded", latest);
    let flush = format!("a flush of this disk takes {:.1} ms", bench.flush_ms());
    bench.report.row("deploy to a label without a policy", &free, &flush, None);
    let beside = |figure: &Figure| format!("{:.2} × without a policy", figure.median / free.median);
    bench.report.row("deploy to a label with a policy", &guarded, &beside(&guarded), None);
    bench.report.row(&format!("the same, {OPEN} change requests open"), &crowded, &beside(&crowded), None);
}

fn publish(runtime: &Runtime, registry: &Registry, admin: &Actor, agent: &PromptName) -> u64 {
    let request = |number| PublishRequest {
        content: Content::text(Syntax::Plain, text(number, BYTES)),
        message: "m".to_owned(),
        bump: None,
        expected_parent: None,
        labels: vec![Label::production()],
        allow_major: false,
        break_glass: None,
    };
    let published =
        |number| runtime.block_on(registry.publish(admin, agent.clone(), request(number))).expect("published");
    published(1_000_001);
    published(1_000_002).version.number
}

fn moving(agent: &PromptName, label: &str, version: u64) -> Move {
    let serving = ServingRequest { version: Some(version), ..ServingRequest::default() };
    Move { name: agent.clone(), label: label.parse().expect("a label"), serving, expected_deployment: None }
}

/// Milliseconds of deployments that go back and forth between two versions.
fn times(
    runtime: &Runtime,
    registry: &Registry,
    admin: &Actor,
    agent: &PromptName,
    label: &str,
    latest: u64,
) -> Figure {
    let one = |number: usize| {
        let version = if number.is_multiple_of(2) { latest } else { latest - 1 };
        let request = DeployRequest {
            moves: vec![moving(agent, label, version)],
            message: "m".to_owned(),
            ..DeployRequest::default()
        };
        let began = Instant::now();
        let deployed = runtime.block_on(registry.deploy(admin, request)).expect("deployed");
        assert_eq!(deployed.deployments.len(), 1);
        began.elapsed().as_secs_f64() * 1e3
    };
    Figure::of(&(0..DEPLOYMENTS).map(one).collect::<Vec<_>>(), "ms")
}
