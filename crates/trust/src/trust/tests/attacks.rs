//! Attacks with wrong scope, wrong keys and wrong times.

use super::*;
use crate::trust::accept::Verdict;

#[test]
fn valid_checkpoint_is_new_then_repeated_then_refreshed() {
    let mut replica = Replica::fresh();
    let page = checkpoint(1, 100);
    let accepted = replica.offer(&signed(&page)).unwrap();
    assert_eq!(accepted.verdict, Verdict::Newer);
    assert_eq!(accepted.note_hash, note_hash(&signed(&page)));
    assert_eq!(accepted.checkpoint, page);
    replica.apply(&accepted);
    for (issued, verdict) in [(0, Verdict::Known), (60, Verdict::Same), (-60, Verdict::Known)] {
        let again = Checkpoint { issued: page.issued + issued, ..page.clone() };
        assert_eq!(replica.offer(&signed(&again)).unwrap().verdict, verdict, "{issued}");
    }
}

/// One validly signed change, and the reason for which it is rejected.
#[test]
fn wrong_checkpoints_are_rejected_with_the_reason() {
    let replica = Replica::holding(100);
    let check = |reason: &str, change: &dyn Fn(&mut Checkpoint)| {
        let mut page = checkpoint(1, 101);
        change(&mut page);
        assert_eq!(replica.refuses(&signed(&page)), reason);
    };
    check("wrong_registry", &|page| page.registry = "other.example.org".to_owned());
    check("wrong_view", &|page| page.view = "support".to_owned());
    check("wrong_definition", &|page| page.view_definition.0 = 2);
    check("wrong_definition", &|page| page.view_definition.1 = [1; 32]);
    check("unknown_root", &|page| page.root = 2);
    check("unknown_epoch", &|page| page.epoch = 2);
    check("upgrade_required", &|page| page.min_reader = 2);
    check("lifetime", &|page| page.expires = page.issued + 7_776_001);
    check("future", &|page| (page.issued, page.expires) = (NOW_S + 601, NOW_S + 700));
    check("rollback", &|page| (page.seq, page.changed) = (99, 99));
    check("fork", &|page| (page.seq, page.changed, page.state) = (100, 100, [8; 32]));
}

#[test]
fn refusals_name_the_record_to_fetch() {
    let replica = Replica::fresh();
    let mut page = checkpoint(9, 1);
    assert_eq!(replica.offer(&signed(&page)), Err(Refusal::UnknownEpoch { needs: 9 }));
    page.root = 4;
    let refusal = replica.offer(&signed(&page)).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownRoot { needs: 4 });
    assert_eq!(refusal.to_string(), "the checkpoint needs root document 4; fetch the root documents up to it first");
}

#[test]
fn invalid_checkpoint_bytes_are_rejected_first() {
    let replica = Replica::fresh();
    let note = signed(&checkpoint(1, 100));
    let root = sign_root(&root_document(), &[&root_key()]).unwrap();
    for (bytes, reason) in [
        (vec![b'x'; 16 * 1_024 + 1], "size"),
        (Vec::new(), "syntax"),
        (note[..note.len() - 1].to_vec(), "syntax"),
        (root, "syntax"),
    ] {
        assert_eq!(replica.refuses(&bytes), reason);
    }
}

#[test]
fn arbitrary_update_any_changed_byte_is_refused() {
    let replica = Replica::holding(100);
    let note = signed(&checkpoint(1, 101));
    for at in 0..note.len() {
        let mut changed = note.clone();
        changed[at] ^= 1;
        assert!(replica.offer(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn signature_by_a_wrong_key_is_refused_under_any_name() {
    let replica = Replica::fresh();
    let page = checkpoint(1, 100);
    for (signer, name, reason) in [
        (key(66), "checkpoint-2026a", "wrong_key"),
        (checkpoint_key(), "checkpoint-2026b", "wrong_key"),
        (root_key(), "checkpoint-2026a", "wrong_key"),
        (failover_key(), "failover-a", "wrong_key"),
    ] {
        assert_eq!(replica.refuses(&page.sign(name, &signer).unwrap()), reason);
    }
    let forged = String::from_utf8(signed(&page)).unwrap();
    let forged = forged.replace("seq 100", "seq 101");
    assert_eq!(replica.refuses(forged.as_bytes()), "bad_signature");
}

#[test]
fn replay_across_registries_with_one_shared_key_is_refused() {
    let replica = Replica::fresh();
    let mut elsewhere = checkpoint(1, 100);
    elsewhere.registry = "staging.example.org".to_owned();
    assert_eq!(replica.refuses(&signed(&elsewhere)), "wrong_registry");
    let relabelled = String::from_utf8(signed(&elsewhere)).unwrap();
    let relabelled = relabelled.replace("staging.example.org", REGISTRY);
    assert_eq!(replica.refuses(relabelled.as_bytes()), "wrong_key");
}

#[test]
fn stolen_checkpoint_key_is_rejected_after_its_removal() {
    let mut replica = Replica::holding(100);
    let stolen = signed(&checkpoint(1, 200));
    assert!(replica.offer(&stolen).is_ok(), "before the rotation");
    replica.learn_failover(at(1, 100));
    assert!(replica.offer(&stolen).is_ok(), "both keys are listed");
    replica.walk(|root| root.checkpoint_keys.retain(|(name, _)| name == "checkpoint-2026b"));
    assert_eq!(replica.refuses(&stolen), "wrong_key");
    let claims_new_epoch = checkpoint(2, 201);
    assert_eq!(replica.refuses(&signed(&claims_new_epoch)), "wrong_key");
    let rightful = claims_new_epoch.sign("checkpoint-2026b", &second_key()).unwrap();
    assert!(replica.offer(&rightful).is_ok());
}

#[test]
fn reused_key_name_keeps_both_keys() {
    let mut replica = Replica::holding(100);
    replica.walk(|root| root.checkpoint_keys[0].1 = second_key().verifying_key());
    let page = checkpoint(1, 101);
    assert_eq!(replica.refuses(&signed(&page)), "wrong_key");
    let by_new = page.sign("checkpoint-2026a", &second_key()).unwrap();
    assert_eq!(replica.refuses(&by_new), "wrong_key");
}

#[test]
fn pre_signed_future_checkpoints_are_refused() {
    let mut replica = Replica::holding(100);
    let month_s = 30 * 24 * HOUR_S;
    let mut page = checkpoint(1, 101);
    page.issued += month_s;
    page.expires += month_s;
    let stockpiled = signed(&page);
    assert_eq!(replica.refuses(&stockpiled), "future");
    replica.now = TrustedTime::at(NOW_S + month_s, NOW_S);
    assert!(replica.offer(&stockpiled).is_ok(), "the thief still has the key");
    replica.learn_failover(at(1, 100));
    replica.walk(|root| root.checkpoint_keys.retain(|(name, _)| name == "checkpoint-2026b"));
    assert_eq!(replica.refuses(&stockpiled), "wrong_key");
}

#[test]
fn clock_far_behind_is_untrusted_and_ten_minutes_of_skew_allowed() {
    let mut replica = Replica::holding(100);
    let page = Checkpoint { issued: NOW_S + 600, ..checkpoint(1, 101) };
    assert!(replica.offer(&signed(&page)).is_ok(), "within the allowed skew");
    replica.now = TrustedTime::at(0, NOW_S - HOUR_S);
    assert!(!replica.now.clock_trusted);
    assert!(replica.offer(&signed(&page)).is_ok(), "the clock says 1970");
    replica.now = TrustedTime::at(0, page.expires + 1);
    replica.held = None;
    assert_eq!(replica.refuses(&signed(&page)), "expired", "as a first state");
}

#[test]
fn freeze_expired_checkpoint_is_rejected_only_as_a_first_state() {
    let mut replica = Replica::holding(100);
    replica.now = TrustedTime::at(NOW_S + HOUR_S + 1, NOW_S);
    let verdict = |replica: &Replica, seq| replica.offer(&signed(&checkpoint(1, seq))).map(|it| it.verdict);
    assert_eq!(verdict(&replica, 100), Ok(Verdict::Known));
    assert_eq!(verdict(&replica, 101), Ok(Verdict::Newer));
    assert_eq!(replica.refuses(&signed(&checkpoint(1, 99))), "rollback");
    (replica.held, replica.watermark) = (None, None);
    assert_eq!(replica.refuses(&signed(&checkpoint(1, 101))), "expired");
}
