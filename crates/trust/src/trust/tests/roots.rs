//! Attacks on the walk through root documents, and signing by several people.

use super::*;
use crate::crypto::note::{Note, NoteError};
use crate::trust::root::{ROOT_BYTES_MAX, RootError, RootKeyId, add_root_signature, root_signer_name};

/// Two of three people sign.
fn two_of_three() -> RootDocument {
    let root_keys = [11, 12, 13].map(|seed| key(seed).verifying_key()).to_vec();
    RootDocument { threshold: 2, root_keys, ..root_document() }.sorted()
}

fn chain_of_three() -> RootChain {
    let document = two_of_three();
    let note = sign_root(&document, &[&key(11), &key(12)]).unwrap();
    RootChain::begin(&document.key_id(), &note).unwrap()
}

fn too_few(result: Result<&RootDocument, RootError>) -> (u64, usize) {
    match result {
        Err(RootError::TooFewSignatures { by, found, .. }) => (by, found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn root_chain_begins_only_at_the_pinned_document() {
    let document = root_document();
    let pinned = document.key_id();
    let note = |document: &RootDocument| sign_root(document, &[&root_key()]).unwrap();
    let chain = RootChain::begin(&pinned, &note(&document)).unwrap();
    assert_eq!((chain.current(), chain.key_id()), (&document, pinned));

    let mut renamed = document.clone();
    renamed.registry = "evil.example.org".to_owned();
    let mut widened = document.clone();
    widened.checkpoint_keys.push(("evil".to_owned(), key(66).verifying_key()));
    for other in [renamed, widened] {
        let error = RootChain::begin(&pinned, &note(&other)).unwrap_err();
        assert_eq!(error, RootError::PinMismatch { pinned, found: other.key_id() });
        assert!(error.to_string().contains("check --root-key with the registry's operator"));
    }
    let second = RootDocument { version: 2, ..document.clone() };
    let error = RootChain::begin(&second.key_id(), &note(&second)).unwrap_err();
    assert_eq!(error, RootError::NotNext { expected: 1, found: 2 });
    let unsigned = sign_root(&document, &[&key(66)]).unwrap();
    let error = RootChain::begin(&pinned, &unsigned).unwrap_err();
    assert_eq!(
        error.to_string(),
        "root document 1 has 0 of the 1 signatures that root 1 requires; collect the \
        missing ones"
    );
}

#[test]
fn root_key_id_reads_back_and_is_pinned() {
    let id = root_document().key_id();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.to_string(), "bk1-438a3fe20df0a436cc1ddeb101f09c107f4ac3d22035ee8ca2a016dfaf0ebb98");
    let text = id.to_string();
    for bad in [&text[..67], &text[4..], &text.to_uppercase(), &format!("{text}0"), &format!(" {text}")] {
        assert!(bad.parse::<RootKeyId>().is_err(), "{bad}");
    }
}

#[test]
fn m_of_n_signers_sign_one_after_another() {
    let document = two_of_three();
    let draft = sign_root(&document, &[&key(11)]).unwrap();
    let error = RootChain::begin(&document.key_id(), &draft).unwrap_err();
    assert!(matches!(error, RootError::TooFewSignatures { found: 1, needed: 2, .. }));
    let done = add_root_signature(&draft, &key(13)).unwrap();
    assert!(RootChain::begin(&document.key_id(), &done).is_ok());
}

#[test]
fn repeated_signatures_of_one_key_count_once() {
    let mut chain = chain_of_three();
    let next = RootDocument { version: 2, ..two_of_three() };
    let draft = sign_root(&next, &[&key(11)]).unwrap();
    let twice = add_root_signature(&draft, &key(11));
    assert!(matches!(twice, Err(RootError::Note(NoteError::SignedTwice { .. }))));

    // The same key under a second name counts as an unknown signer.
    let mut note = Note::parse(&draft, ROOT_BYTES_MAX).unwrap();
    let borrowed = root_signer_name(REGISTRY, &key(12).verifying_key());
    note.add_signature(&borrowed, &key(11)).unwrap();
    assert_eq!(too_few(chain.extend(&note.to_bytes())), (1, 1));

    // A document that lists one key twice is invalid.
    let mut doubled = next;
    doubled.root_keys = vec![key(11).verifying_key(); 2];
    assert!(matches!(sign_root(&doubled, &[&key(11)]), Err(RootError::Unsound { .. })));
    assert!(matches!(RootDocument::parse(&doubled.to_text()), Err(RootError::Unsound { .. })));
}

#[test]
fn root_change_needs_a_threshold_of_old_and_new_keys() {
    let next_keys = [13, 14, 15].map(|seed| key(seed).verifying_key()).to_vec();
    let next = RootDocument { version: 2, root_keys: next_keys, ..two_of_three() }.sorted();
    let chain = chain_of_three();
    for (seeds, lacking) in [
        (vec![14, 15], Some((1, 0))),
        (vec![13, 14, 15], Some((1, 1))),
        (vec![11, 12], Some((2, 0))),
        (vec![11, 12, 13], Some((2, 1))),
        (vec![11, 13, 14], None),
        (vec![11, 12, 14, 15], None),
    ] {
        let keys: Vec<SigningKey> = seeds.iter().map(|seed| key(*seed)).collect();
        let note = sign_root(&next, &keys.iter().collect::<Vec<_>>()).unwrap();
        let mut chain = chain.clone();
        match lacking {
            Some(lacking) => {
                assert_eq!(too_few(chain.extend(&note)), lacking, "{seeds:?}");
                assert_eq!(chain.current().version, 1, "a refused step leaves the chain alone");
            }
            None => assert_eq!(chain.extend(&note), Ok(&next), "{seeds:?}"),
        }
    }
}

#[test]
fn bad_signature_of_a_known_key_refuses_a_root_document() {
    let mut chain = chain_of_three();
    let next = RootDocument { version: 2, ..two_of_three() };
    let good = sign_root(&next, &[&key(11), &key(12)]).unwrap();
    let other = RootDocument { issued: next.issued + 1, ..next };
    let bad = sign_root(&other, &[&key(13)]).unwrap();
    let last_line = |note: &[u8]| {
        let text = String::from_utf8(note.to_vec()).unwrap();
        format!("{}\n", text.lines().last().unwrap())
    };
    let spoilt = [good.clone(), last_line(&bad).into_bytes()].concat();
    assert!(matches!(chain.extend(&spoilt), Err(RootError::Note(NoteError::BadSignature { .. }))));
    assert!(chain.extend(&good).is_ok());
}

#[test]
fn skipping_a_root_version_is_refused_and_so_is_repeating_one() {
    let mut chain = chain_of(&root_document());
    let note = |version| {
        let next = RootDocument { version, ..root_document() };
        sign_root(&next, &[&root_key()]).unwrap()
    };
    for found in [1, 3, u64::MAX] {
        let error = chain.extend(&note(found)).unwrap_err();
        assert_eq!(error, RootError::NotNext { expected: 2, found });
    }
    chain.extend(&note(2)).unwrap();
    assert!(chain.extend(&note(2)).is_err());
    chain.extend(&note(3)).unwrap();
    let known = |version| chain.get(version).map(|root| root.document().version);
    let found = [0, 1, 2, 3, 4, u64::MAX].map(known);
    assert_eq!(found, [None, Some(1), Some(2), Some(3), None, None]);
    assert_eq!(chain.documents().count(), 3);
    assert_eq!(chain.get(2).unwrap().note(), note(2));
}

#[test]
fn root_document_of_another_registry_is_refused() {
    let mut chain = chain_of(&root_document());
    let registry = "other.example.org".to_owned();
    let next = RootDocument { version: 2, registry, ..root_document() };
    let note = sign_root(&next, &[&root_key()]).unwrap();
    assert!(matches!(chain.extend(&note), Err(RootError::WrongRegistry { .. })));
}

#[test]
fn endless_roots_stop_at_the_limit() {
    let mut chain = chain_of(&root_document());
    let note = |version| {
        let next = RootDocument { version, ..root_document() };
        sign_root(&next, &[&root_key()]).unwrap()
    };
    for version in 2..=1_024 {
        chain.extend(&note(version)).unwrap();
    }
    let error = chain.extend(&note(1_025)).unwrap_err();
    assert_eq!(error, RootError::ChainFull { documents_max: 1_024 });
}
