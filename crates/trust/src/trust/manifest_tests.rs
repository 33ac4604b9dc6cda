//! Tests that a report verifies with the root key alone, and that tampering is detected.

use super::super::checkpoint::{NO_PREVIOUS, all_view_definition};
use super::super::epoch::EpochRecord;
use super::super::root::{RootDocument, sign_root};
use super::*;

const REGISTRY: &str = "prompts.example.org";
const NOW_S: i64 = 1_795_169_531;
const DOCUMENT: &[u8] = b"<!doctype html><title>a report</title>";
const KEY_NAME: &str = "checkpoint-2026a";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn root_document(version: u64, checkpoint: &[(&str, u8)]) -> RootDocument {
    RootDocument {
        registry: REGISTRY.to_owned(),
        version,
        threshold: 1,
        root_keys: vec![key(1).verifying_key()],
        checkpoint_keys: checkpoint
            .iter()
            .map(|(name, seed)| ((*name).to_owned(), key(*seed).verifying_key()))
            .collect(),
        failover_keys: Vec::new(),
        max_lifetime_s: 3_600,
        reset: None,
        issued: NOW_S,
    }
}

fn root_key_id() -> RootKeyId {
    root_document(1, &[(KEY_NAME, 2)]).key_id()
}

fn epoch(number: u64) -> EpochRecord {
    EpochRecord {
        registry: REGISTRY.to_owned(),
        epoch: number,
        base: None,
        checkpoint_key: KEY_NAME.to_owned(),
        root: 1,
        issued: NOW_S,
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        registry: REGISTRY.to_owned(),
        view: "all".to_owned(),
        root: 1,
        epoch: 1,
        seq: 40,
        changed: 38,
        floor: 0,
        state: [5; 32],
        entries: 3,
        tombstones: 0,
        bytes: 100,
        view_definition: all_view_definition(),
        manifest: None,
        previous: NO_PREVIOUS,
        audit: [9; 32],
        issued: NOW_S,
        expires: NOW_S + 60,
        min_reader: 1,
    }
}

fn manifest() -> Manifest {
    Manifest {
        registry: REGISTRY.to_owned(),
        root: 1,
        epoch: 1,
        from: "2026-03-01T00:00:00Z".parse().unwrap(),
        to: "2026-04-01T00:00:00.5Z".parse().unwrap(),
        prompts: "support/ünser agent*/**".parse().unwrap(),
        format: "html".to_owned(),
        decisions: 2,
        deployments: 1,
        ends: Some((AuditMark { seq: 7, hash: [7; 32] }, AuditMark { seq: 39, hash: [8; 32] })),
        audit: AuditMark { seq: 40, hash: [9; 32] },
        bytes: DOCUMENT.len() as u64,
        file: blake3::hash(DOCUMENT).into(),
        issued: NOW_S,
        by: "eve %@\n".to_owned(),
        tool: "bookholder 0.1.0".to_owned(),
    }
}

fn file_of(manifest: &Manifest, checkpoint: &Checkpoint) -> ManifestFile {
    ManifestFile {
        how_to_read: "words".to_owned(),
        manifest: text(manifest.sign(KEY_NAME, &key(2)).unwrap()),
        roots: vec![text(sign_root(&root_document(1, &[(KEY_NAME, 2)]), &[&key(1)]).unwrap())],
        epochs: vec![text(epoch(1).sign_by_roots(&[&key(1)]).unwrap())],
        checkpoint: text(checkpoint.sign(KEY_NAME, &key(2)).unwrap()),
    }
}

fn file() -> ManifestFile {
    file_of(&manifest(), &checkpoint())
}

#[test]
fn report_verifies_with_only_the_root_key() {
    let json = serde_json::to_vec(&file()).unwrap();
    let file: ManifestFile = serde_json::from_slice(&json).unwrap();
    let verified = verify(&file, DOCUMENT, &root_key_id()).unwrap();
    assert_eq!((verified.manifest, verified.checkpoint), (manifest(), checkpoint()));
    assert_eq!(verified.signer, format!("{REGISTRY}+{KEY_NAME}"));
}

#[test]
fn manifest_text_is_pinned() {
    let expected = "prompts.example.org/report\nbookholder/report/v1\nroot 1\nepoch 1\nfrom 2026-03-01T00:00:00Z\n\
        to 2026-04-01T00:00:00.5Z\nprompts support/%C3%BCnser%20agent*/**\nformat html\ndecisions 2\ndeployments 1\n\
        first 7 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nlast 39 CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\n\
        audit 40 CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\nbytes 38\n\
        file HO99OYmVLOmyuxkm+lqXRRGSazZ5ImabEEdrrnp+0Qk=\nissued 1795169531\nby eve%20%25@%0A\n\
        tool bookholder%200.1.0\n";
    assert_eq!(manifest().to_text(), expected);
    assert_eq!(Manifest::parse(expected), Ok(manifest()));
    let empty = Manifest { decisions: 0, ends: None, ..manifest() };
    assert_eq!(Manifest::parse(&empty.to_text()), Ok(empty));
}

#[test]
fn non_canonical_or_contradictory_manifest_is_refused() {
    let good = manifest().to_text();
    for (from, to) in [
        ("decisions 2", "decisions 02"),
        ("decisions 2", "decisions 0"),
        ("first 7", "first 40"),
        ("audit 40", "audit 38"),
        ("root 1", "root 0"),
        ("from 2026-03-01T00:00:00Z", "from 2026-03-01T00:00:00+00:00"),
        ("from 2026-03-01T00:00:00Z", "from 2027-03-01T00:00:00Z"),
        ("%C3%BC", "%c3%bc"),
        ("support/", "%73upport/"),
        ("format html", "format HTML"),
        ("first 7 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "first -"),
        ("tool bookholder%200.1.0\n", "tool bookholder%200.1.0\nmore\n"),
        ("bookholder/report/v1", "bookholder/report/v2"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Manifest::parse(&bad).is_err(), "{to}");
    }
    assert!(Manifest { epoch: 0, ..manifest() }.sign(KEY_NAME, &key(2)).is_err(), "nothing unreadable is signed");
    assert!(manifest().sign("a+b", &key(2)).is_err(), "nor by nobody");
}

#[test]
fn every_kind_of_tampering_is_refused() {
    let check = |what: &str, file: &ManifestFile, document: &[u8], part: &str| {
        let message = verify(file, document, &root_key_id()).expect_err(what).to_string();
        assert!(message.contains(part), "{what}: {message}");
    };
    let good = file();
    let with = |change: &dyn Fn(&mut ManifestFile)| {
        let mut file = good.clone();
        change(&mut file);
        file
    };
    let mut other = DOCUMENT.to_vec();
    other[3] ^= 1;
    check("another document of the same length", &good, &other, "its hash differs");
    check("a shorter document", &good, &DOCUMENT[1..], "has 37 bytes");
    check("a longer document", &good, &[DOCUMENT, b"x"].concat(), "has 39 bytes");

    check(
        "a changed number",
        &with(&|f| f.manifest = f.manifest.replace("decisions 2", "decisions 3")),
        DOCUMENT,
        "does not match",
    );
    check("no signature", &with(&|f| f.manifest = manifest().to_text()), DOCUMENT, "no signature");
    let stranger = text(manifest().sign(KEY_NAME, &key(66)).unwrap());
    check(
        "a stranger's signature",
        &with(&|f| f.manifest.clone_from(&stranger)),
        DOCUMENT,
        "manifest is not signed by",
    );
    let swapped = with(&|f| f.manifest.clone_from(&f.checkpoint));
    check("a checkpoint as a manifest", &swapped, DOCUMENT, "line 1 of the signed text");

    let later = Manifest { epoch: 2, ..manifest() };
    check("an epoch that is not there", &file_of(&later, &checkpoint()), DOCUMENT, "refers to epoch 2");
    let later = Manifest { root: 2, ..manifest() };
    check("a root that is not there", &file_of(&later, &checkpoint()), DOCUMENT, "refers to root document 2");

    let unanchored = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = checkpoint();
        change(&mut checkpoint);
        file_of(&manifest(), &checkpoint)
    };
    check(
        "another audit head",
        &unanchored(&|c| c.audit = [1; 32]),
        DOCUMENT,
        "not the hash of the latest audit entry",
    );
    check("an older checkpoint", &unanchored(&|c| (c.seq, c.changed) = (39, 39)), DOCUMENT, "older than");
    check("another epoch's checkpoint", &unanchored(&|c| c.epoch = 2), DOCUMENT, "a different epoch");
    let forged = text(checkpoint().sign(KEY_NAME, &key(66)).unwrap());
    check("a forged checkpoint", &with(&|f| f.checkpoint.clone_from(&forged)), DOCUMENT, "checkpoint is not signed by");
    check("no checkpoint", &with(&|f| f.checkpoint.clear()), DOCUMENT, "checkpoint in the manifest");

    check("no roots", &with(&|f| f.roots.clear()), DOCUMENT, "no root document");
    let foreign = text(sign_root(&root_document(1, &[(KEY_NAME, 66)]), &[&key(1)]).unwrap());
    check("another first root", &with(&|f| f.roots[0].clone_from(&foreign)), DOCUMENT, "was configured");
    let stolen = text(sign_root(&root_document(2, &[(KEY_NAME, 66)]), &[&key(67)]).unwrap());
    check("a root by a stranger", &with(&|f| f.roots.push(stolen.clone())), DOCUMENT, "root document 2");
    let forged = text(epoch(1).sign_by_roots(&[&key(67)]).unwrap());
    check("an epoch by a stranger", &with(&|f| f.epochs[0].clone_from(&forged)), DOCUMENT, "epoch record 1");
    check("no epochs", &with(&|f| f.epochs.clear()), DOCUMENT, "refers to epoch 1");
    let many = with(&|f| f.epochs = vec![String::new(); MANIFEST_EPOCHS_MAX + 1]);
    check("more epochs than there can be", &many, DOCUMENT, "more than 4096");
}

#[test]
fn removed_key_cannot_sign_reports() {
    let mut file = file();
    let dropped = sign_root(&root_document(2, &[("checkpoint-2027a", 3)]), &[&key(1)]).unwrap();
    file.roots.push(text(dropped));
    let message = verify(&file, DOCUMENT, &root_key_id()).unwrap_err().to_string();
    assert!(message.contains("manifest is not signed by"), "{message}");
    let mut file = file_of(&manifest(), &checkpoint());
    file.roots.push(text(sign_root(&root_document(2, &[(KEY_NAME, 2), ("z", 4)]), &[&key(1)]).unwrap()));
    verify(&file, DOCUMENT, &root_key_id()).expect("a later root that still lists the key");
}

#[test]
fn other_files_are_not_manifest_files() {
    for json in ["{}", "[]", "{\"manifest\":\"\"}"] {
        assert!(serde_json::from_str::<ManifestFile>(json).is_err(), "{json}");
    }
}
