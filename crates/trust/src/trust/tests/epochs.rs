//! Which keys can grant an epoch, before and after rotations.

use super::*;
use crate::trust::epoch::EpochError;

fn record() -> EpochRecord {
    let base = Some(EpochBase { position: at(1, 100), state: [5; 32] });
    EpochRecord { base, ..epoch_record(2, "checkpoint-2026a", 1) }
}

fn verdict(note: &[u8], chain: &RootChain) -> Result<EpochRecord, EpochError> {
    VerifiedEpoch::verify(note, chain).map(|epoch| epoch.record().clone())
}

#[test]
fn only_roots_or_a_failover_key_grant_an_epoch() {
    let chain = chain_of(&root_document());
    let not_granted = Err(EpochError::NotGranted { epoch: 2, found: 0, needed: 1 });
    for (note, expected) in [
        (record().sign_by_roots(&[&root_key()]), Ok(record())),
        (record().sign_by_failover("failover-a", &failover_key()), Ok(record())),
        (record().sign_by_roots(&[&key(66)]), not_granted.clone()),
        (record().sign_by_failover("failover-a", &key(66)), not_granted.clone()),
        (record().sign_by_failover("failover-b", &failover_key()), not_granted.clone()),
        (record().sign_by_failover("checkpoint-2026a", &checkpoint_key()), not_granted),
    ] {
        assert_eq!(verdict(&note.unwrap(), &chain), expected);
    }
}

#[test]
fn epoch_must_name_known_root_and_key() {
    let chain = chain_of(&root_document());
    let check = |record: EpochRecord, expected: &str| {
        let note = record.sign_by_roots(&[&root_key()]).unwrap();
        assert_eq!(verdict(&note, &chain).unwrap_err().to_string(), expected);
    };
    check(
        EpochRecord { registry: "other".to_owned(), ..record() },
        "this epoch record is for the registry `other`, not `prompts.example.org`; check the upstream's address",
    );
    check(
        EpochRecord { root: 2, ..record() },
        "the epoch record needs root document 2; fetch the root documents up \
        to it first",
    );
    check(
        EpochRecord { checkpoint_key: "nobody".to_owned(), ..record() },
        "root document 1 does not list the checkpoint key `nobody`; issue a root document that does, then the epoch",
    );
}

#[test]
fn old_epochs_survive_root_rotation_but_not_failover_key_removal() {
    let mut chain = chain_of(&root_document());
    let by_root = record().sign_by_roots(&[&root_key()]).unwrap();
    let by_failover = record().sign_by_failover("failover-a", &failover_key()).unwrap();
    let next = RootDocument {
        version: 2,
        root_keys: vec![key(21).verifying_key()],
        failover_keys: Vec::new(),
        ..root_document()
    };
    chain.extend(&sign_root(&next, &[&root_key(), &key(21)]).unwrap()).unwrap();
    assert_eq!(verdict(&by_root, &chain), Ok(record()));
    assert!(matches!(verdict(&by_failover, &chain), Err(EpochError::NotGranted { .. })));
    let again = record().sign_by_roots(&[&key(21)]).unwrap();
    assert_eq!(verdict(&again, &chain), Ok(record()), "the new roots vouch for it");
}

#[test]
fn epoch_record_round_trips_and_enforces_its_rules() {
    let text = record().to_text();
    assert_eq!(EpochRecord::parse(&text), Ok(record()));
    assert_eq!(
        text,
        "prompts.example.org/epoch\nbookholder/epoch/v1\nepoch 2\n\
         base 1.100 BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n\
         checkpoint_key checkpoint-2026a\nroot 1\nissued 1794169531\n"
    );
    for (from, to) in [
        ("epoch 2", "epoch 02"),
        ("epoch 2", "epoch 1"),
        ("epoch 2", "epoch 0"),
        ("root 1", "root 0"),
        ("base 1.100 ", "base 1.+100 "),
        ("base ", "base  "),
        ("issued ", "issued -"),
        ("checkpoint_key checkpoint-2026a", "checkpoint_key A"),
        ("/v1", "/v2"),
        ("root 1\n", ""),
        ("root 1\n", "root 1\nroot 1\n"),
    ] {
        assert!(EpochRecord::parse(&text.replacen(from, to, 1)).is_err(), "{from} to {to}");
    }
    let unsound = EpochRecord { epoch: 0, ..record() };
    assert!(unsound.sign_by_roots(&[&root_key()]).is_err());
}
