//! The time of a commit becomes history: effects of a wrong clock, limits, and repairing dates.

use std::sync::Arc;

use bookholder::clock::{Clock, ManualClock};
use bookholder::model::time::Timestamp;
use bookholder::registry::RegistryError;
use bookholder::registry::bootstrap::{BootstrapOptions, open};
use bookholder::registry::epochs::BootstrapError;
use bookholder::registry::repair_dates::DateChange;
use bookholder::server::offline::OfflineError;
use bookholder::server::repair::repair_dates;
use bookholder::signing::primary_clock::ClockState;

use crate::support::filler;
use crate::support::primary::{BEGIN_MS, Primary, name, outside};
use crate::support::wire::read_note;

const DAY_MS: i64 = 24 * 3_600_000;
/// 2038-01-19T03:14:07Z, a typical time of a faulty clock.
const YEAR_2038_MS: i64 = 2_147_483_647_000;

/// Mends the dates of a stopped primary.
fn repair(primary: &Primary, dry_run: bool) -> Result<Vec<DateChange>, OfflineError> {
    let (directory, clock) = (primary.directory(), primary.clock.clone());
    outside(move || {
        repair_dates(directory.path(), "the battery was empty", dry_run, &(Arc::new(clock) as Arc<dyn Clock>))
    })
}

/// Stops a primary, repairs its dates, and opens it again.
async fn repaired(primary: Primary) -> (Primary, Vec<DateChange>) {
    primary.store.close().await;
    let redated = repair(&primary, false).expect("mended");
    (primary.restart().await, redated)
}

/// The dates of the deployments of a prompt, oldest first.
fn dates(primary: &Primary, prompt: &str) -> Vec<Timestamp> {
    let page = primary.view().deployments(&name(prompt), None, None, 100).expect("a page");
    page.items.iter().rev().map(|deployment| deployment.at).collect()
}

fn issued_s(primary: &Primary) -> i64 {
    read_note(&primary.publisher.checkpoint("all").expect("signed").expect("a view")).issued
}

#[tokio::test]
async fn at_now_finds_current_serving_after_a_clock_step_back() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.deploy("a", 1, "production").await;
    primary.clock.set(BEGIN_MS + 10 * DAY_MS);
    primary.publish("a", "two").await;
    primary.deploy("a", 2, "production").await;
    primary.clock.set(BEGIN_MS + 60_000);
    let third = primary.publish("a", "three").await;
    let deployed = primary.deploy("a", 3, "production").await;
    assert_eq!((third.version.created, deployed.deployments[0].at), (primary.now(), primary.now()));
    for reference in ["a@production", "a@latest"] {
        assert_eq!(primary.text_at(reference, primary.now()).expect("served"), "three", "{reference}");
        let in_five_days = Timestamp::from_ms(BEGIN_MS + 5 * DAY_MS);
        assert_eq!(primary.text_at(reference, in_five_days).expect("served"), "three", "{reference}");
    }
    primary.remove("a").await.expect("removed");
    assert!(primary.text_at("a@production", primary.now()).is_err());
}

#[tokio::test]
async fn concurrent_changes_keep_their_order() {
    let primary = Primary::found();
    let first = primary.publish("a", "one").await;
    primary.clock.set(BEGIN_MS - 500);
    let second = primary.publish("a", "two").await;
    assert_eq!(second.version.created, first.version.created);
    assert_eq!(
        primary.text_at("a@latest", first.version.created).expect("served then"),
        "two",
        "the later of one moment"
    );
}

#[tokio::test]
async fn implausible_clock_blocks_commits_but_not_signatures() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.wait(5_000);
    let (state, signed_s) = (primary.state(), issued_s(&primary));
    for (clock_ms, part) in
        [(YEAR_2038_MS, "4322 days after the last commit"), (3_600_000, "before this program existed")]
    {
        primary.clock.set(clock_ms);
        let refused = primary.try_publish("a", "two").await.expect_err(part);
        assert!(matches!(refused, RegistryError::Clock(_)) && refused.to_string().contains(part), "{refused}");
        assert!(primary.rollback("a", "production", None).await.is_err());
        assert_eq!((primary.state(), issued_s(&primary)), (state, signed_s), "{part}");
        assert_eq!(primary.signer.clock.standing(), ClockState::Impossible);
    }
    primary.clock.set(BEGIN_MS + 60_000);
    primary.publish("a", "two").await;
    assert_eq!(primary.signer.clock.standing(), ClockState::Trusted);
}

#[tokio::test]
async fn registry_off_for_more_than_90_days_needs_trust_clock() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let primary = {
        primary.clock.set(BEGIN_MS + 89 * DAY_MS);
        primary.restart().await
    };
    primary.publish("a", "two").await;
    primary.clock.set(BEGIN_MS + 189 * DAY_MS);
    let primary = primary.restart().await;
    assert!(primary.try_publish("a", "three").await.is_err());
    primary.store.close().await;
    let (directory, clock) = (primary.directory(), Arc::new(primary.clock.clone()) as Arc<dyn Clock>);
    outside(move || {
        let founding = BootstrapOptions { trust_clock: true, ..BootstrapOptions::default() };
        let (store, founded) = open(directory.path(), &founding, &clock, |_| {}).expect("opens");
        assert_eq!(founded.signer.clock.standing(), ClockState::Trusted);
        let kept = |txn: &mut bookholder::store::write::WriteTxn<'_>| filler::put(txn, "any", "thing");
        store.write_blocking(kept).expect("written");
        store.close_blocking();
    });
    let primary = primary.restart().await;
    primary.publish("a", "three").await;
}

#[test]
fn first_start_in_1970_fails_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(ManualClock::at(3_600_000)) as Arc<dyn Clock>;
    let refused = open(directory.path(), &BootstrapOptions::default(), &clock, |_| panic!("nothing to show"));
    let refused = refused.err().expect("a refusal");
    assert!(matches!(refused, BootstrapError::Clock(_)) && refused.to_string().contains("--trust-clock"), "{refused}");
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn dates_of_a_registry_started_in_2038_are_repaired_with_an_audit_entry() {
    // One boot with a wrong clock, and its commits.
    let directory = Arc::new(tempfile::tempdir().expect("a directory"));
    let primary = Primary::open(directory, ManualClock::at(YEAR_2038_MS), "example");
    for prompt in ["a", "b"] {
        primary.publish(prompt, "one").await;
        primary.deploy(prompt, 1, "production").await;
    }
    // The clock is set; life goes on.
    primary.clock.set(BEGIN_MS);
    let primary = primary.restart().await;
    assert_eq!(primary.signer.clock.standing(), ClockState::Behind);
    primary.publish("a", "two").await;
    primary.deploy("a", 2, "production").await;
    primary.wait(3_600_000);
    assert_eq!(primary.text_at("a@production", primary.now()).expect("served"), "two");
    assert!(primary.text_at("b@production", primary.now()).is_err(), "it is dated in 2038");

    primary.store.close().await;
    let before = std::fs::read(primary.path().join("registry.redb")).expect("a file").len();
    let planned = repair(&primary, true).expect("a plan");
    assert_eq!(std::fs::read(primary.path().join("registry.redb")).expect("a file").len(), before);
    let primary = primary.restart().await;
    assert!(primary.text_at("b@production", primary.now()).is_err(), "a dry run changes nothing");

    let (primary, redated) = repaired(primary).await;
    assert_eq!(redated, planned);
    let subjects: Vec<String> = redated.iter().map(|one| one.subject().to_string()).collect();
    assert_eq!(subjects, ["a@1", "a@production deployment 3", "b@1", "b@production deployment 5"]);
    assert_eq!(primary.text_at("a@production", primary.now()).expect("served"), "two");
    assert_eq!(primary.text_at("b@production", primary.now()).expect("served"), "one");
    assert_eq!(dates(&primary, "b"), [Timestamp::from_ms(BEGIN_MS)], "no later than the next commit");
    assert_eq!(dates(&primary, "a"), [Timestamp::from_ms(BEGIN_MS); 2]);
    let view = primary.view().prompt(&name("b")).expect("it");
    assert_eq!(
        (view.prompt.created, view.prompt.changed),
        (Timestamp::from_ms(BEGIN_MS), Timestamp::from_ms(BEGIN_MS))
    );
    assert_eq!(view.labels[0].since, Timestamp::from_ms(BEGIN_MS));
    assert_eq!(primary.signer.clock.standing(), ClockState::Trusted);
    let entry = primary.view().audit_newest(&|_| true, None, 1).expect("a page").items.pop().expect("an entry");
    assert_eq!(
        (entry.command.as_str(), entry.actor.as_str(), entry.changes.clone()),
        ("repair-dates", "operator", redated)
    );
    assert!(
        entry.message.starts_with("the battery was empty (4 dates of 2 prompts, by the clock at 2026-"),
        "{entry:?}"
    );
    primary.verify();
    assert!(primary.view().verify_audit().expect("a log").whole);

    let state = primary.state();
    let (primary, redated) = repaired(primary).await;
    assert_eq!((redated, primary.state()), (Vec::new(), state), "once is enough");
    primary.publish("b", "two").await;
}

#[tokio::test]
async fn commit_with_a_clock_far_behind_is_repaired_to_follow_its_predecessor() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.deploy("a", 1, "production").await;
    primary.wait(40 * 24 * 3_600_000);
    primary.publish("a", "two").await;
    primary.deploy("a", 2, "production").await;
    primary.clock.set(BEGIN_MS + DAY_MS);
    assert_eq!(primary.signer.clock.standing(), ClockState::Behind);
    primary.publish("a", "three").await;
    primary.deploy("a", 3, "production").await;
    primary.clock.set(BEGIN_MS + 50 * DAY_MS);
    let day_20 = Timestamp::from_ms(BEGIN_MS + 20 * DAY_MS);
    assert_eq!(primary.text_at("a", day_20).expect("served"), "three", "what the wrong date makes of the past");
    let (primary, redated) = repaired(primary).await;
    assert_eq!(redated.len(), 2);
    assert_eq!(primary.text_at("a", day_20).expect("served"), "one");
    assert_eq!(primary.text_at("a", primary.now()).expect("served"), "three");
    primary.verify();
}

#[tokio::test]
async fn small_clock_step_back_is_signed_with_the_latest_time() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let signed_s = issued_s(&primary);
    primary.clock.set(BEGIN_MS - 9 * 60_000);
    primary.publish("a", "two").await;
    assert_eq!((issued_s(&primary), primary.signer.clock.standing()), (signed_s, ClockState::Trusted));
    primary.clock.set(BEGIN_MS - 11 * 60_000);
    primary.publish("a", "three").await;
    assert_eq!((issued_s(&primary), primary.signer.clock.standing()), (signed_s - 660, ClockState::Behind));
}
