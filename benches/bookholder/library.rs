//! Data directories full of prompts, made fast and as a primary makes them.
//!
//! Each prompt has one version that `production` serves: five entries. A commit brings 1,000 prompts, under one audit
//! entry, through the store's own door, so `bookholder verify` passes on every directory made here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bookholder::clock::{Clock, SystemClock};
use bookholder::crypto::secret::AccessToken;
use bookholder::model::audit::{AuditEntry, Command};
use bookholder::model::content::{Content, Syntax};
use bookholder::model::content_id::ContentId;
use bookholder::model::deployment::{Action, Deployment};
use bookholder::model::name::{Label, PromptName};
use bookholder::model::prompt::{LabelState, Prompt};
use bookholder::model::serving::Serving;
use bookholder::model::time::Timestamp;
use bookholder::model::version::{Bump, Version};
use bookholder::registry::bootstrap::{BootstrapOptions, bootstrap};
use bookholder::store::write::Change;
use bookholder::store::{Options, Store, StoreError};
use tempfile::TempDir;

use crate::report::{Progress, count};
use crate::wire::TOKEN;

/// Entries that one prompt here makes.
pub const ENTRIES_A_PROMPT: usize = 5;
/// Prompts per commit.
const PROMPTS_A_COMMIT: usize = 1_000;
/// Folders that the prompts are spread over; each is a namespace with its own sums.
const FOLDERS: usize = 50;
const AUTHOR: &str = "bench";
/// Words of generated texts.
#[rustfmt::skip]
const WORDS: [&str; 96] = [
    "a", "about", "accurate", "after", "always", "and", "answer", "any", "ask", "assistant", "avoid", "be", "before",
    "brief", "but", "by", "can", "cite", "clear", "code", "concise", "context", "correct", "customer", "data",
    "decline", "detail", "do", "each", "error", "every", "example", "explain", "fact", "first", "follow", "for",
    "form", "from", "give", "guess", "help", "helpful", "if", "in", "instead", "into", "is", "it", "kind", "language",
    "line", "list", "make", "market", "may", "message", "must", "name", "never", "no", "not", "number", "of", "one",
    "only", "or", "order", "output", "plain", "polite", "product", "provide", "question", "reader", "reason",
    "refund", "rule", "say", "should", "source", "step", "style", "summary", "table", "task", "tell", "text", "that",
    "the", "their", "then", "to", "tone", "use", "word",
];

/// A data directory of a primary.
pub struct Library {
    directory: TempDir,
    /// What replicas are given to trust.
    pub root_key: String,
    /// Number of prompts.
    pub prompts: usize,
}

/// Libraries that were made already, by prompts and bytes a prompt.
#[derive(Default)]
pub struct Shelf(BTreeMap<(usize, usize), Library>);

impl Shelf {
    /// A shared read-only library; built on the first call.
    pub fn library(&mut self, prompts: usize, bytes: usize) -> &Library {
        self.0.entry((prompts, bytes)).or_insert_with(|| Library::make(prompts, bytes))
    }
}

/// The name of a prompt.
pub fn name(number: usize) -> String {
    format!("folder-{:02}/prompt-{number:06}", number % FOLDERS)
}

/// The reference that is resolved.
pub fn reference(number: usize) -> String {
    format!("{}@production", name(number))
}

/// A text of so many bytes, like no other: words in random order, which compress about as prompts do.
pub fn text(number: usize, bytes: usize) -> String {
    let mut text = format!("You are assistant number {number}.");
    let mut random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    while text.len() < bytes {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        text.push(' ');
        text.push_str(WORDS.get(random as usize % WORDS.len()).copied().unwrap_or_default());
    }
    text.truncate(bytes);
    text
}

/// Opens the store of a directory that no process uses.
pub fn open(directory: &Path) -> Store {
    Store::open(&Options { directory: directory.to_owned(), create: true }).expect("a store")
}

/// Finishes what a store has to do, so that a process can open its directory.
pub fn close(store: &Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(store.close());
}

impl Library {
    fn make(prompts: usize, bytes: usize) -> Self {
        let progress = Progress::begin(format!("filling a library: {} prompts of {bytes} bytes", count(prompts)));
        let directory = scratch();
        let store = open(directory.path());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let admin_token = Some(AccessToken::parse(TOKEN).expect("a token"));
        let founding = BootstrapOptions { registry: Some("bench".to_owned()), admin_token, trust_clock: false };
        let founded = bootstrap(&store, &founding, &clock).expect("a registry");
        let now = Timestamp::from_ms(clock.now_ms());
        for first in (0..prompts).step_by(PROMPTS_A_COMMIT) {
            let numbers = first..prompts.min(first + PROMPTS_A_COMMIT);
            let commit = move |txn: &mut bookholder::store::write::WriteTxn<'_>| -> Result<u64, StoreError> {
                let seq = txn.next_seq();
                let changes = numbers.clone().flat_map(|number| changes(number, bytes, seq, now)).collect();
                let message = "fill a library".to_owned();
                txn.commit(
                    now,
                    changes,
                    AuditEntry { actor: AUTHOR.to_owned(), message, ..AuditEntry::of(Command::Import) },
                )
            };
            store.write_blocking(commit).expect("a commit");
            progress.show(&format!("{first}"));
        }
        close(&store);
        Self { directory, root_key: founded.root_key.to_string(), prompts }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A writable copy.
    pub fn copy(&self) -> TempDir {
        let copy = scratch();
        copy_folder(self.path(), copy.path());
        copy
    }
}

/// A temporary directory, gone when it is dropped.
pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("bookholder-bench-").tempdir().expect("a temporary directory")
}

/// Bytes of the database file of a data directory.
pub fn database_bytes(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("registry.redb")).expect("a database file").len()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// What publishing and deploying one prompt changes.
fn changes(number: usize, bytes: usize, seq: u64, at: Timestamp) -> [Change; ENTRIES_A_PROMPT] {
    let name: PromptName = name(number).parse().expect("a name");
    let content = Content::text(Syntax::Plain, text(number, bytes)).to_canonical().expect("a content");
    let content_id = ContentId::of(&content);
    let (label, serving, message) = (Label::production(), Serving::version(1), "the first words".to_owned());
    let version = Version {
        number: 1,
        content_id,
        source_id: None,
        semver: Bump::Major.after(None),
        author: AUTHOR.to_owned(),
        message: message.clone(),
        created: at,
        commit: seq,
        includes: Vec::new(),
        retired: None,
        archived: None,
    };
    let deployment = Deployment {
        id: seq,
        name: name.clone(),
        label: label.clone(),
        at,
        actor: AUTHOR.to_owned(),
        message,
        action: Action::Deploy,
        from: None,
        to: Some(serving.clone()),
        approved_by: Vec::new(),
        change_request: None,
    };
    [
        Change::Content(name.namespace().to_owned(), content_id, content),
        Change::Version(name.clone(), version),
        Change::Label(name.clone(), LabelState { label, serving, deployment: seq, since: at }),
        Change::Deployment(deployment),
        Change::Prompt(Prompt { name, created: at, changed: at, latest: 1, removed: None }),
    ]
}
