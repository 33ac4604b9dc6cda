//! Who must sign changes hands, a checkpoint key is lost or stolen, and replicas follow by what is signed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bookholder::model::position::Position;
use bookholder::signing::key_files::read_key;
use bookholder::signing::trust_files::{TrustFiles, published};
use bookholder::trust::accept::{AcceptanceContext, Accepted, Refusal, TrustedTime, accept};
use bookholder::trust::checkpoint::{Checkpoint, NO_PREVIOUS, all_view_definition};
use bookholder::trust::checkpoint::{MIN_READER, VIEW_ALL};
use bookholder::trust::epoch::VerifiedEpoch;
use bookholder::trust::root_chain::RootChain;
use serde_json::{Value, json};

use crate::support::command::{Bookholder, Said, bookholder};
use crate::support::node::{Launch, Node};

/// The decision about a note by a replica with these roots and epochs and no state.
fn decide(note: &[u8], chain: &RootChain, epochs: &[VerifiedEpoch]) -> Result<Accepted, Refusal> {
    let expectation = AcceptanceContext {
        registry: &chain.current().registry,
        view: VIEW_ALL,
        definition: all_view_definition(),
        chain,
        epochs,
        held: None,
        watermark: None,
        reader_version: MIN_READER,
        now: TrustedTime { now_s: i64::MIN, wall_s: i64::MIN, clock_trusted: false },
    };
    accept(note, &expectation)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

/// A new root key: its file, and its public half.
fn new_key(folder: &Path, name: &str) -> (PathBuf, String) {
    let file = folder.join(name);
    let said = bookholder(["keys", "new"]).arg(&file).ok();
    (file, said.stdout.trim().to_owned())
}

fn draft(primary: &Node, out: &Path) -> Bookholder {
    bookholder(["keys", "draft", "--data"]).arg(primary.data()).arg("--out").arg(out)
}

fn sign(draft: &Path, key: &Path) -> Bookholder {
    bookholder(["keys", "sign"]).arg(draft).arg("--key").arg(key)
}

fn install(draft: &Path, primary: &Node) -> Bookholder {
    bookholder(["keys", "install"]).arg(draft).arg("--data").arg(primary.data())
}

fn shown(data: &Path) -> Value {
    bookholder(["keys", "show", "--json", "--data"]).arg(data).ok().json()
}

fn root_key_file(primary: &Node) -> PathBuf {
    primary.data().join("keys/root.key")
}

/// Starts a stopped primary again where its replicas look for it.
fn start_again(primary: &mut Node) {
    let address = primary.address().to_string();
    primary.restart_as(|launch| launch.args(["--listen", &address]));
}

/// Waits until a replica serves this content of the prompt `a`.
fn answers(replica: &Node, text: &str) {
    replica.until("it answers", || {
        let answer = replica.get("/v1/resolve/a");
        (answer.status == 200 && answer.json()["content"]["text"] == text).then_some(())
    });
}

#[test]
fn root_changes_from_one_key_to_two_of_three_offline() {
    let mut primary = Node::primary();
    primary.publish("a", "under the first root");
    let mut replica = Node::replica(&primary);
    let (home, pinned) = (primary.home().to_owned(), primary.root_key());
    let [(ada, ada_public), (bob, bob_public), (eve, eve_public)] =
        ["ada.key", "bob.key", "eve.key"].map(|name| new_key(&home, name));
    assert_eq!(mode(&ada), 0o600);
    let kept = std::fs::read(&ada).expect("a key");
    let _said = bookholder(["keys", "new"]).arg(&ada).fails(2).says("is not overwritten");
    assert_eq!(std::fs::read(&ada).expect("a key"), kept);

    // Drafted while the node runs.
    let file = home.join("root-2.draft");
    let drafted = |threshold: &str| {
        let keys = [&ada_public, &bob_public, &eve_public].into_iter();
        keys.fold(draft(&primary, &file), |line, key| line.arg("--public-key").arg(key))
            .arg("--threshold")
            .arg(threshold)
    };
    let _said = drafted("4").fails(1).says("at most the number of root keys");
    let _said = drafted("2").ok().says("1 of 1 → 2 of 3").says(&pinned).says("2 signatures missing");
    let _said = drafted("2").fails(2).says("is not overwritten");
    let _said = draft(&primary, &home.join("same.draft")).fails(1).says("no changes from root document 1");

    // Signed one after another, by the old key and two of the new ones.
    let few = |said: Said| said.says("does not have enough signatures").says("keys sign DRAFT");
    let _said = few(install(&file, &primary).fails(1)).says("0 of 1 for the root by keys of root 1");
    let old = home.join("old-root.key");
    std::fs::rename(root_key_file(&primary), &old).expect("a key to take offline");
    let _said = sign(&file, &old).ok().says("1 of 1 for the root by keys of root 1").says("2 signatures missing");
    let (stranger, _) = new_key(&home, "stranger.key");
    let _said = sign(&file, &stranger).fails(1).says("is in neither root document 1 nor 2");
    let _said = sign(&file, &ada).ok().says("1 signature missing");
    let once = std::fs::read(&file).expect("a draft");
    let _said = sign(&file, &ada).ok().says("has already signed the draft");
    assert_eq!(std::fs::read(&file).expect("a draft"), once);
    let _said = few(install(&file, &primary).fails(1)).says("1 of 2 for the root by keys of root 2");
    let said = sign(&file, &eve).arg("--json").ok().json();
    assert_eq!((&said["complete"], &said["key"]), (&json!(true), &json!(eve_public)));

    let _said = install(&file, &primary).fails(2).says("another process is using");
    primary.stop();
    let said = install(&file, &primary).arg("--json").ok().json();
    assert_eq!((&said["changed"], &said["root_version"], &said["epoch"]), (&json!(true), &json!(2), &Value::Null));
    let _said = install(&file, &primary).ok().says("is already installed");
    let keys = shown(primary.data());
    assert_eq!((&keys["root_version"], &keys["threshold"], &keys["root_key"]), (&json!(2), &json!(2), &json!(pinned)));

    // The replica that followed goes on, and a new one walks from the root that was pinned.
    start_again(&mut primary);
    let _said = bookholder(["audit", "log"]).server(&primary).ok().says("install-root");
    primary.publish("a", "under the second root");
    replica.follow(&primary);
    answers(&replica, "under the second root");
    answers(&Node::replica(&primary), "under the second root");
    replica.stop();
    assert_eq!(shown(replica.data())["root_version"], json!(2));
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");

    // The old root key counts for nothing now.
    let next = home.join("root-3.draft");
    let _said = draft(&primary, &next).arg("--max-lifetime-days=30").ok().says("90 → 30 days");
    let _said = sign(&next, &old).fails(1).says("is in neither");
    let _said = sign(&next, &bob).ok();
    let _said = sign(&next, &ada).ok();
    primary.stop();
    let _said = install(&next, &primary).ok().says("installed root document 3");
    let _said = install(&file, &primary).ok().says("is already installed");
    let _said = bookholder(["verify", "--data"]).arg(primary.data()).ok().says("verified:");
}

#[test]
fn stolen_checkpoint_key_is_replaced_and_rejected() {
    let mut primary = Node::primary();
    primary.publish("a", "before the theft");
    let mut replica = Node::replica(&primary);
    let home = primary.home().to_owned();
    let keys = primary.data().join("keys");
    let file = home.join("root-2.draft");
    let rotate = || draft(&primary, &file).arg("--rotate-checkpoint");
    let _said = rotate().fails(2).says("stop the node");
    assert!(!keys.join("checkpoint-2.key").exists());
    primary.stop();
    let rotate = draft(&primary, &file).arg("--rotate-checkpoint");
    let _said = rotate.ok().says("− checkpoint key checkpoint-1").says("epoch 2 begins after 1.").says("keep the node");
    assert_eq!(mode(&keys.join("checkpoint-2.key")), 0o600);
    let _said = sign(&file, &root_key_file(&primary)).ok().says("1 of 1 for the epoch by keys of root 2");
    let _said = install(&file, &primary).ok().says("installed root document 2").says("is still here");
    let stolen = read_key(&keys.join("checkpoint-1.key")).expect("the old key");

    start_again(&mut primary);
    replica.follow(&primary);
    assert!(replica.status()["position"].as_str().expect("a position").starts_with("2."), "{}", replica.status());
    answers(&replica, "before the theft");
    primary.publish("a", "after the rotation");
    replica.follow(&primary);
    answers(&replica, "after the rotation");
    replica.restart();
    replica.follow(&primary);
    replica.stop();
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");

    // Signatures of the old key are rejected.
    let TrustFiles { roots, epochs } = published(primary.data()).expect("the public records");
    let mut chain = RootChain::begin(&primary.root_key().parse().expect("an id"), &roots[0]).expect("the first root");
    let before = chain.clone();
    chain.extend(&roots[1]).expect("the second root");
    let epochs: Vec<_> = epochs.iter().map(|note| VerifiedEpoch::verify(note, &chain).expect("an epoch")).collect();
    let note = |position: Position, name: &str| {
        let registry = chain.current().registry.clone();
        forged(registry, position).sign(name, &stolen).expect("a note")
    };
    let at = |epoch| Position { epoch, seq: 1 << 63 };
    assert!(decide(&note(at(1), "checkpoint-1"), &before, &epochs[..1]).is_ok(), "it was good once");
    for (epoch, name) in [(1, "checkpoint-1"), (2, "checkpoint-1"), (2, "checkpoint-2")] {
        let refused = decide(&note(at(epoch), name), &chain, &epochs);
        assert!(matches!(refused, Err(Refusal::WrongKey { .. })), "{epoch} {name}: {refused:?}");
    }

    // A backup from after the rotation is restored with the key that is in use.
    let backup = home.join("backup");
    let _said = bookholder(["backup"]).arg(&backup).server(&primary).ok();
    let restored = home.join("restored");
    let restore = bookholder(["restore"]).arg(&backup).arg("--data").arg(&restored).arg("--keys").arg(&keys);
    let _said = restore.ok().says("epoch 3 starts at").says("verified:");
}

#[test]
fn lost_checkpoint_key_is_replaced_only_at_the_last_commit() {
    let mut primary = Node::primary();
    primary.publish("a", "one");
    primary.stop();
    let keys = primary.data().join("keys");
    let (first, second) = (primary.home().join("first.draft"), primary.home().join("second.draft"));
    let _said = draft(&primary, &first).arg("--rotate-checkpoint").ok();
    let _said = sign(&first, &root_key_file(&primary)).ok();
    primary.restart();
    primary.publish("a", "two");
    primary.stop();
    let _said = install(&first, &primary).fails(1).says("the registry is now at 1.").says("draft it again");

    std::fs::remove_file(keys.join("checkpoint.key")).expect("a key to lose");
    let _said = draft(&primary, &second).arg("--rotate-checkpoint").ok().says("checkpoint-3");
    let _said = sign(&second, &root_key_file(&primary)).ok();
    let _said = install(&second, &primary).ok();
    let _said = install(&first, &primary).fails(1).says("is already in force; draft it again");
    primary.restart();
    assert_eq!(primary.text("a"), "two");
    answers(&Node::replica(&primary), "two");
}

#[test]
fn invalid_root_drafts_are_refused_with_the_reason() {
    let mut primary = Node::primary();
    primary.stop();
    let (file, key) = (primary.home().join("draft"), root_key_file(&primary));
    let _said = sign(&file, &key).fails(2).says("cannot read");
    std::fs::write(&file, "format = 7").expect("a file");
    let _said = sign(&file, &key).fails(2).says("is not a draft of a root document").says("keys draft");
    std::fs::remove_file(&file).expect("a file");
    let _said = draft(&primary, &file).arg("--max-lifetime-days=7").ok();
    let _said = sign(&file, &primary.home().join("nowhere")).fails(2).says("cannot read the key file");
    let _said = sign(&file, &key).ok();
    let draft = std::fs::read_to_string(&file).expect("a draft");
    for (from, to, why) in [
        ("draft/v1", "draft/v9", "not `bookholder/draft/v1`"),
        ("version 2", "version 3", "does not follow root document 1"),
        ("max_lifetime 604800", "max_lifetime 604801", "does not match the text"),
        ("max_lifetime 7776000", "max_lifetime 7776001", "does not match the text"),
    ] {
        assert!(draft.contains(from), "{draft}");
        std::fs::write(&file, draft.replacen(from, to, 1)).expect("a file");
        let (code, said) = install(&file, &primary).run();
        assert!(matches!(code, Some(1 | 2)) && said.stderr.contains(why), "{from}: {said:#?}");
    }
    assert_eq!(shown(primary.data())["root_version"], json!(1));
}

/// What a thief would sign.
fn forged(registry: String, position: Position) -> Checkpoint {
    Checkpoint {
        registry,
        view: "all".to_owned(),
        root: 1,
        epoch: position.epoch,
        seq: position.seq,
        changed: position.seq,
        floor: 0,
        state: [7; 32],
        entries: 1,
        tombstones: 0,
        bytes: 1,
        view_definition: all_view_definition(),
        manifest: None,
        previous: NO_PREVIOUS,
        audit: [0; 32],
        issued: 1_800_000_000,
        expires: 1_800_000_060,
        min_reader: 1,
    }
}

/// A backup that is older than a change of keys, and what restores it.
struct OldBackup {
    primary: Node,
    replica: Node,
    file: PathBuf,
    restored: PathBuf,
}

impl OldBackup {
    /// Takes a backup, then changes the root to this many of three keys and rotates the checkpoint key; a replica follows.
    fn before_new_keys(threshold: &str, holders: &[(PathBuf, String)]) -> Self {
        let mut primary = Node::primary();
        primary.publish("a", "before the backup");
        let replica = Node::replica(&primary);
        let (file, draft_file) = (primary.home().join("old.backup"), primary.home().join("root-2.draft"));
        let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
        primary.publish("a", "after the backup");
        replica.follow(&primary);
        primary.stop();
        let line = draft(&primary, &draft_file).arg("--rotate-checkpoint").arg("--threshold").arg(threshold);
        let _said = holders.iter().fold(line, |line, (_, public)| line.arg("--public-key").arg(public)).ok();
        let _said = sign(&draft_file, &root_key_file(&primary)).ok();
        for (key, _) in holders {
            let _said = sign(&draft_file, key).ok();
        }
        let _said = install(&draft_file, &primary).ok();
        std::fs::remove_file(root_key_file(&primary)).expect("a root key to take offline");
        start_again(&mut primary);
        primary.publish("a", "under new keys");
        replica.follow(&primary);
        assert!(replica.status()["position"].as_str().expect("a position").starts_with("2."), "{}", replica.status());
        primary.stop();
        let restored = primary.home().join("restored");
        Self { primary, replica, file, restored }
    }

    fn restore(&self) -> Bookholder {
        let keys = self.primary.data().join("keys");
        bookholder(["restore"]).arg(&self.file).arg("--data").arg(&self.restored).arg("--keys").arg(keys)
    }

    /// Puts the files of the lost registry's trust where the restore looks for them.
    fn bring_trust(&self) {
        let to = self.restored.join("trust");
        std::fs::create_dir_all(&to).expect("a folder");
        for entry in std::fs::read_dir(self.primary.data().join("trust")).expect("a folder") {
            let from = entry.expect("an entry").path();
            std::fs::copy(&from, to.join(from.file_name().expect("a name"))).expect("copied");
        }
    }

    /// The replica that followed the registry under its new keys follows the restored one.
    fn is_followed(&self) {
        let address = self.primary.address().to_string();
        let restored = Launch::primary().data(&self.restored).args(["--listen", &address]).start();
        assert_eq!(restored.text("a"), "before the backup");
        answers(&self.replica, "before the backup");
        restored.publish("a", "life goes on");
        self.replica.follow(&restored);
        answers(&self.replica, "life goes on");
        assert!(self.replica.status()["position"].as_str().expect("a position").starts_with("3."));
    }
}

#[test]
fn backup_older_than_a_change_of_keys_is_restored_under_the_newest_root() {
    let (home, holder) = one_holder();
    let old = OldBackup::before_new_keys("1", std::slice::from_ref(&holder));
    let with_key = || old.restore().arg("--root-key-file").arg(&holder.0);
    // Without the newer root documents the copy could not know whose checkpoint key that is.
    let _said = with_key().fails(2).says("no root document lists the key").says("folder `trust`");
    old.bring_trust();
    let _said = old.restore().fails(2).says("root document 2 needs 1 of its root keys").says("--root-key-file");
    let _said = with_key().ok().says("epoch 3 starts at").says("verified:");
    assert_eq!(mode(&old.restored.join("keys")), 0o700);
    for path in ["registry.redb", "keys/checkpoint.key"] {
        assert_eq!(mode(&old.restored.join(path)), 0o600, "{path}");
    }
    old.is_followed();
    drop(home);
}

#[test]
fn two_of_three_root_keys_restore_by_files_or_signed_draft() {
    let home = tempfile::tempdir().expect("a directory");
    let holders = ["ada.key", "bob.key", "eve.key"].map(|name| new_key(home.path(), name));
    let [(ada, _), (bob, _), (eve, _)] = &holders;
    let old = OldBackup::before_new_keys("2", &holders);
    old.bring_trust();
    let one = old.restore().arg("--root-key-file").arg(ada);
    let _said = one.fails(2).says("root document 2 needs 2 of its root keys to sign the new epoch, but only 1");

    let file = home.path().join("epoch.draft");
    let _said = old.restore().arg("--draft").arg(&file).ok().says("epoch 3 begins after 1.").says("keys sign");
    assert!(!old.restored.join("registry.redb").exists() && !old.restored.join("keys").exists());
    let _said = old.restore().arg("--draft").arg(&file).fails(2).says("is not overwritten");
    let signed = || old.restore().arg("--signed").arg(&file);
    let _said = sign(&file, bob).ok();
    let _said = signed().fails(1).says("does not have enough signatures");
    let _said = sign(&file, eve).ok();
    let _said = signed().ok().says("epoch 3 starts at").says("verified:");
    old.is_followed();

    // With the files at hand it takes one step, in another directory.
    let again = OldBackup { restored: home.path().join("again"), ..old };
    again.bring_trust();
    let both = again.restore().arg("--root-key-file").arg(ada).arg("--root-key-file").arg(eve);
    let _said = both.ok().says("epoch 3 starts at").says("verified:");
}

#[test]
fn restore_refuses_changed_trust_records() {
    let (home, holder) = one_holder();
    let old = OldBackup::before_new_keys("1", std::slice::from_ref(&holder));
    old.bring_trust();
    let root = old.restored.join("trust/root-2");
    let mut bytes = std::fs::read(&root).expect("a root document");
    bytes[20] ^= 1;
    std::fs::write(&root, bytes).expect("written");
    let restore = old.restore().arg("--root-key-file").arg(&holder.0);
    let _said = restore.fails(2).says("the files in the folder `trust` are inconsistent");
    assert!(!old.restored.join("registry.redb").exists());
    drop(home);
}

/// A holder of a root key.
fn one_holder() -> (tempfile::TempDir, (PathBuf, String)) {
    let home = tempfile::tempdir().expect("a directory");
    let holder = new_key(home.path(), "ada.key");
    (home, holder)
}
