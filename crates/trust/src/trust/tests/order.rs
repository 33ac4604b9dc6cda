//! Attacks with positions: rollback, fast-forward, forks, and replaced primaries.

use super::*;
use crate::trust::accept::Verdict;

#[test]
fn rollback_below_current_or_highest_rank_is_rejected() {
    let mut replica = Replica::holding(100);
    let older = signed(&checkpoint(1, 99));
    let rank = |seq| StateRank { root: 1, position: at(1, seq) };
    let refusal = Refusal::Rollback { lowest: rank(100), offered: rank(99) };
    assert_eq!(replica.offer(&older), Err(refusal.clone()));
    assert_eq!(
        refusal.to_string(),
        "the checkpoint is at 1/1.99, behind 1/1.100, which was already reached; try a source that is up to date"
    );
    let watermark = replica.watermark.take();
    assert_eq!(replica.refuses(&older), "rollback", "the watermark was wiped, the data was not");
    (replica.held, replica.watermark) = (None, watermark);
    assert_eq!(replica.refuses(&older), "rollback", "the data was wiped, the watermark was not");
    replica.watermark = None;
    assert!(replica.offer(&older).is_ok(), "nothing is remembered");
}

#[test]
fn newer_root_alone_does_not_lower_the_position() {
    let mut replica = Replica::holding(100);
    replica.walk(|_| ());
    let under_root_2 = |seq| Checkpoint { root: 2, ..checkpoint(1, seq) };
    assert_eq!(replica.refuses(&signed(&under_root_2(99))), "rollback");
    let accepted = replica.offer(&signed(&under_root_2(100))).unwrap();
    assert_eq!(accepted.verdict, Verdict::Same);
    replica.apply(&accepted);
    assert_eq!(replica.refuses(&signed(&checkpoint(1, 101))), "rollback", "an older root");
}

#[test]
fn fork_keeps_both_notes_as_evidence() {
    let replica = Replica::holding(100);
    let other = Checkpoint { state: [8; 32], ..checkpoint(1, 100) };
    let Err(Refusal::Fork(evidence)) = replica.offer(&signed(&other)) else {
        panic!("no fork");
    };
    assert_eq!((evidence.held_state, evidence.offered_state), ([7; 32], [8; 32]));
    assert_eq!(evidence.held_note, note_hash(&signed(&checkpoint(1, 100))));
    assert_eq!(evidence.offered_note, note_hash(&signed(&other)));
    assert_eq!(
        Refusal::Fork(evidence).to_string(),
        "two different states are signed for position 1.100; keep both notes and find out who else has the \
            checkpoint key"
    );
}

#[test]
fn fork_is_seen_though_the_note_has_expired_or_names_another_root() {
    let mut replica = Replica::holding(100);
    replica.walk(|_| ());
    let other = Checkpoint { state: [8; 32], ..checkpoint(1, 100) };
    let expired = Checkpoint { issued: NOW_S - 9, expires: NOW_S - 1, ..other.clone() };
    assert_eq!(replica.refuses(&signed(&expired)), "fork");
    assert_eq!(replica.refuses(&signed(&Checkpoint { root: 2, ..other.clone() })), "fork");
    let rotated = Checkpoint { root: 2, ..checkpoint(1, 100) };
    replica.apply(&replica.offer(&signed(&rotated)).unwrap());
    assert_eq!(replica.refuses(&signed(&other)), "fork");
}

#[test]
fn old_epoch_primary_is_fenced_by_name() {
    let mut replica = Replica::holding(100);
    replica.learn_failover(at(1, 100));
    let by_second = |seq| {
        let page = Checkpoint { root: 2, ..checkpoint(2, seq) };
        page.sign("checkpoint-2026b", &second_key()).unwrap()
    };
    let accepted = replica.offer(&by_second(101)).unwrap();
    assert_eq!((accepted.verdict, accepted.lost_commits), (Verdict::Newer, 0));
    replica.apply(&accepted);
    let old_primary = |seq| signed(&Checkpoint { root: 2, ..checkpoint(1, seq) });
    assert_eq!(replica.refuses(&old_primary(500)), "fenced");
    assert_eq!(replica.refuses(&old_primary(101)), "rollback");
    assert_eq!(replica.refuses(&signed(&checkpoint(1, 500))), "fenced", "under the old root");
}

#[test]
fn replica_beyond_the_new_base_rewinds_and_reports_lost_commits() {
    let mut replica = Replica::holding(120);
    replica.learn_failover(at(1, 100));
    let page = Checkpoint { root: 2, ..checkpoint(2, 105) };
    let accepted = replica.offer(&page.sign("checkpoint-2026b", &second_key()).unwrap()).unwrap();
    assert_eq!((accepted.verdict, accepted.lost_commits), (Verdict::Newer, 20));
}

#[test]
fn epoch_does_not_start_below_its_base() {
    let mut replica = Replica::fresh();
    replica.learn_failover(at(1, 100));
    for (seq, expected) in [(99, Some("rollback")), (100, None)] {
        let page = Checkpoint { root: 2, ..checkpoint(2, seq) };
        let offered = replica.offer(&page.sign("checkpoint-2026b", &second_key()).unwrap());
        assert_eq!(offered.err().map(|refusal| refusal.reason()), expected);
    }
}

#[test]
fn replica_recovers_from_fast_forward_after_a_root_document_reset() {
    let mut replica = Replica::holding(100);
    let stolen = signed(&checkpoint(1, 1 << 63));
    replica.apply(&replica.offer(&stolen).unwrap());
    assert_eq!(replica.refuses(&signed(&checkpoint(1, 101))), "rollback");

    replica.walk(|root| {
        root.checkpoint_keys = vec![("checkpoint-2026b".to_owned(), second_key().verifying_key())];
        root.reset = Some(at(2, 100));
    });
    replica.learn_epoch(&epoch_record(2, "checkpoint-2026b", 2));
    let under_root_2 = |seq| {
        let page = Checkpoint { root: 2, state: [9; 32], ..checkpoint(2, seq) };
        page.sign("checkpoint-2026b", &second_key()).unwrap()
    };
    assert_eq!(replica.refuses(&under_root_2(99)), "rollback", "below the reset");
    let accepted = replica.offer(&under_root_2(100)).unwrap();
    assert_eq!(accepted.verdict, Verdict::Newer);
    assert_eq!(accepted.lost_commits, 1 << 63, "no base and a reset: the lower of both counts");
    replica.apply(&accepted);
    assert_eq!(replica.refuses(&stolen), "wrong_key");
    assert_eq!(replica.refuses(&under_root_2(99)), "rollback");
    assert!(replica.offer(&under_root_2(101)).is_ok());
}

#[test]
fn reset_within_an_epoch_lowers_only_to_its_position() {
    let mut replica = Replica::holding(100);
    replica.walk(|root| root.reset = Some(at(1, 50)));
    let page = |root, seq| Checkpoint { root, state: [9; 32], ..checkpoint(1, seq) };
    assert_eq!(replica.refuses(&signed(&page(2, 49))), "rollback");
    assert_eq!(replica.refuses(&signed(&page(1, 50))), "rollback", "not under root 2");
    let accepted = replica.offer(&signed(&page(2, 50))).unwrap();
    assert_eq!((accepted.verdict, accepted.lost_commits), (Verdict::Newer, 50));
    let regrown = replica.offer(&signed(&page(2, 100))).unwrap();
    assert_eq!(regrown.verdict, Verdict::Newer, "the same position with another state is no fork after a reset");
    replica.apply(&accepted);
    assert_eq!(replica.refuses(&signed(&page(2, 49))), "rollback");
    replica.apply(&regrown);
    replica.walk(|_| ());
    assert_eq!(replica.refuses(&signed(&page(3, 60))), "rollback", "a reset counts once");
}

#[test]
fn mix_and_match_of_views_is_refused_both_ways() {
    let replica = Replica::fresh();
    let support = Checkpoint { view: "support".to_owned(), ..checkpoint(1, 100) };
    assert_eq!(replica.refuses(&signed(&support)), "wrong_view");
    let follower = AcceptanceContext { view: "support", definition: (3, [3; 32]), ..replica.expectation() };
    let all = accept(&signed(&checkpoint(1, 100)), &follower);
    assert_eq!(all.unwrap_err().reason(), "wrong_view");
    let stale_definition = accept(&signed(&support), &follower);
    assert_eq!(stale_definition.unwrap_err(), Refusal::WrongDefinition { expected: 3, found: 1 });
}

#[test]
fn commits_without_changes_move_the_position_without_a_download() {
    let replica = Replica::holding(100);
    let later = Checkpoint { seq: 140, changed: 100, issued: NOW_S - 5, ..checkpoint(1, 100) };
    let accepted = replica.offer(&signed(&later)).unwrap();
    assert_eq!((accepted.verdict, accepted.held().rank.position), (Verdict::Unchanged, at(1, 140)));
    let altered = Checkpoint { changed: 120, ..later };
    assert_eq!(replica.offer(&signed(&altered)).unwrap().verdict, Verdict::Newer, "there and back again");
}

#[test]
fn checkpoints_of_one_history_agree_if_nothing_changed_between_them() {
    let mut replica = Replica::holding(100);
    replica.held = replica.held.map(|held| HeldCheckpoint { changed: 90, audit: [5; 32], ..held });
    let page = |seq, changed, state: u8, audit: u8| {
        signed(&Checkpoint { changed, state: [state; 32], audit: [audit; 32], ..checkpoint(1, seq) })
    };
    for (note, reason) in [
        (page(100, 90, 7, 5), None),
        (page(100, 90, 8, 5), Some("fork")),
        (page(100, 90, 7, 6), Some("fork")),
        (page(101, 90, 7, 6), None),
        (page(101, 101, 8, 6), None),
        (page(101, 90, 8, 6), Some("fork")),
        (page(101, 95, 7, 6), Some("fork")),
        (page(101, 80, 7, 6), Some("fork")),
        (page(95, 90, 7, 4), Some("rollback")),
        (page(95, 90, 8, 4), Some("fork")),
        (page(89, 89, 8, 4), Some("rollback")),
    ] {
        let refused = replica.offer(&note).err();
        let said = refused.as_ref().map(ToString::to_string);
        assert_eq!(refused.map(|refusal| refusal.reason()), reason, "{said:?}: {}", String::from_utf8_lossy(&note));
    }
    let Err(other) = replica.offer(&page(101, 90, 8, 6)) else { panic!("no fork") };
    assert_eq!(
        other.to_string(),
        "the checkpoint at 1.101 belongs to a different history than the one held at 1.100; keep both notes and find \
            out who else has the checkpoint key"
    );
}
