//! A primary in this process: a store in a temporary directory, a clock controlled by the test, and short methods for
//! common steps.

use std::collections::BTreeMap;
use std::io::Seek;
use std::path::Path;
use std::sync::Arc;

use bookholder::api::write::{
    DeployRequest, Deployed, MessageRequest, Move, PublishRequest, Published, RollbackRequest, ServingRequest,
    SplitRequest,
};
use bookholder::clock::{Clock, ManualClock};
use bookholder::crypto::key::SigningKey;
use bookholder::crypto::secret::AccessToken;
use bookholder::model::audit::AuditEntry;
use bookholder::model::content::{Body, Content, Syntax};
use bookholder::model::name::{Label, PromptName};
use bookholder::model::position::Position;
use bookholder::model::principal::PrincipalKind;
use bookholder::model::reference::VersionRef;
use bookholder::model::time::Timestamp;
use bookholder::registry::bootstrap::{self, BootstrapOptions, Bootstrapped};
use bookholder::registry::new_epoch::NewEpoch;
use bookholder::registry::{Actor, AuthMethod, Registry, RegistryError};
use bookholder::replication::publisher::Publisher;
use bookholder::resolve::resolver::{Query, Resolver};
use bookholder::resolve::{Catalogue, CatalogueView, ReadScope, ResolveError};
use bookholder::signing::key_files::{KEYS_FOLDER, ROOT_KEY_FILE, read_key};
use bookholder::signing::signer::Signer;
use bookholder::signing::trust_files::TrustFiles;
use bookholder::store::read::{ViewState, view_state};
use bookholder::store::verify::{Report, verify};
use bookholder::store::{Options, Store};
use bookholder::trust::root::RootKeyId;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// When every story begins: 2026-03-20T15:00:00Z.
pub const BEGIN_MS: i64 = 1_774_018_800_000;
/// Memory for composed answers, in bytes.
pub const CACHE_BYTES: u64 = 1024 * 1024;

/// A primary without a network.
pub struct Primary {
    pub clock: ManualClock,
    pub store: Store,
    pub registry: Registry,
    pub resolver: Resolver,
    pub catalogue: Catalogue,
    pub publisher: Publisher,
    pub signer: Arc<Signer>,
    pub root_key: RootKeyId,
    pub admin: Actor,
    directory: Arc<TempDir>,
}

impl Primary {
    /// Founds a registry called `example`.
    pub fn found() -> Self {
        Self::found_as("example")
    }

    /// Founds a registry of this name.
    pub fn found_as(registry: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::open(directory, ManualClock::at(BEGIN_MS), registry)
    }

    /// Opens what is in a directory, which must not be in use.
    pub fn open(directory: Arc<TempDir>, clock: ManualClock, registry: &str) -> Self {
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let (store, Bootstrapped { signer, root_key, .. }) = outside({
            let (directory, shared, registry) = (Arc::clone(&directory), Arc::clone(&shared), registry.to_owned());
            move || {
                let admin_token = Some(AccessToken::parse("bh_test_0123456789abcdef0123456789").expect("a token"));
                let founding = BootstrapOptions { registry: Some(registry), admin_token, trust_clock: false };
                bootstrap::open(directory.path(), &founding, &shared, |_| {}).expect("a founded registry")
            }
        });
        Self {
            registry: Registry::open(store.clone(), Arc::clone(&signer.clock)).expect("an open registry"),
            resolver: Resolver::new(store.clone(), CACHE_BYTES),
            catalogue: Catalogue::new(store.clone()),
            publisher: Publisher::new(
                store.clone(),
                Arc::clone(&signer),
                shared,
                bookholder::metrics::Metrics::new(bookholder::metrics::Role::Primary),
            ),
            signer,
            root_key,
            admin: person("admin"),
            clock,
            store,
            directory,
        }
    }

    /// Stops this primary, and opens its directory again.
    pub async fn restart(self) -> Self {
        let (directory, clock) = (self.directory(), self.clock.clone());
        self.store.close().await;
        drop(self);
        Self::open(directory, clock, "example")
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory, to outlive this primary.
    pub fn directory(&self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// Lets time pass.
    pub fn wait(&self, ms: u64) -> &Self {
        self.clock.advance(ms);
        self
    }

    /// The state of now, as the node itself sees it.
    pub fn view(&self) -> CatalogueView {
        self.catalogue.as_reader(&ReadScope::node()).expect("a state")
    }

    /// The newest entry of the audit log, which must be whole.
    pub fn last_entry(&self) -> AuditEntry {
        assert!(self.view().verify_audit().expect("a log").whole);
        let seq = self.state().0.seq;
        self.view().audit(Some(&seq.to_string()), 1).expect("a page").items.pop().expect("the newest")
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// Publishes a mustache text.
    pub async fn publish(&self, prompt: &str, text: &str) -> Published {
        self.try_publish(prompt, text).await.expect(prompt)
    }

    /// Publishes a mustache text, or is refused.
    pub async fn try_publish(&self, prompt: &str, text: &str) -> Result<Published, RegistryError> {
        self.registry.publish(&self.admin, name(prompt), request(text)).await
    }

    /// Lets a label serve one version.
    pub async fn deploy(&self, prompt: &str, version: u64, to: &str) -> Deployed {
        self.try_deploy(vec![moving(prompt, to, fixed(version))]).await.expect(prompt)
    }

    /// Lets a label serve a split.
    pub async fn split(&self, prompt: &str, to: &str, weights: &[(u64, u32)]) -> Deployed {
        self.try_deploy(vec![moving(prompt, to, weighted(weights))]).await.expect(prompt)
    }

    /// Moves labels, or is refused.
    pub async fn try_deploy(&self, moves: Vec<Move>) -> Result<Deployed, RegistryError> {
        self.registry
            .deploy(&self.admin, DeployRequest { moves, message: "because".to_owned(), ..DeployRequest::default() })
            .await
    }

    /// Goes back to what a label served before, or to a version.
    pub async fn rollback(&self, prompt: &str, of: &str, to: Option<u64>) -> Result<Deployed, RegistryError> {
        let request = RollbackRequest { message: "it was better".to_owned(), to, ..RollbackRequest::default() };
        self.registry.rollback(&self.admin, name(prompt), label(of), request).await
    }

    /// Takes a label away.
    pub async fn unlabel(&self, prompt: &str, of: &str) -> Result<Deployed, RegistryError> {
        self.registry.unlabel(&self.admin, name(prompt), label(of), why()).await
    }

    /// Removes a prompt.
    pub async fn remove(&self, prompt: &str) -> Result<Deployed, RegistryError> {
        self.registry.remove(&self.admin, name(prompt), why().into()).await
    }

    /// The text that a reference answers with, now.
    pub fn text(&self, reference: &str) -> Result<String, ResolveError> {
        text_of(&self.resolver, reference, &Query::default())
    }

    /// The text that a reference answered with at a moment.
    pub fn text_at(&self, reference: &str, at: Timestamp) -> Result<String, ResolveError> {
        text_of(&self.resolver, reference, &Query { at: Some(at), ..Query::default() })
    }

    /// Position and state: the same before and after a command that changed nothing.
    pub fn state(&self) -> (Position, ViewState) {
        state_of(&self.store)
    }

    /// Verifies everything on disk; it must be as it is signed.
    pub fn verify(&self) -> Report {
        let report = verify_store(&self.store);
        assert_eq!(report.differences, Vec::<String>::new());
        assert_eq!(report.state, self.state().1);
        report
    }

    /// What a live upstream would answer to a poll: the framed note, and data.
    pub async fn answer(&self, after: Position) -> Vec<u8> {
        let never = CancellationToken::new();
        let answer =
            self.publisher.next("all", after, "a test", &never).await.expect("an answer").expect("the view `all`");
        let mut bytes = answer.head.to_vec();
        if let Some(mut rest) = answer.rest {
            while let Some(chunk) = rest.recv().await {
                bytes.extend_from_slice(&chunk.expect("a whole delta"));
            }
        }
        bytes
    }

    /// The signed root document of this number.
    pub fn root(&self, number: u64) -> Vec<u8> {
        self.publisher.root(number).expect("a store").expect("a root document")
    }

    /// The signed record of this epoch.
    pub fn epoch(&self, number: u64) -> Vec<u8> {
        self.publisher.epoch(number).expect("a store").expect("an epoch record")
    }

    /// The key that signs root documents and epochs.
    pub fn root_signing_key(&self) -> SigningKey {
        read_key(&self.path().join(KEYS_FOLDER).join(ROOT_KEY_FILE)).expect("the root key")
    }

    /// Begins another epoch, as a restored copy must.
    pub fn begin_epoch(&self) -> u64 {
        let (store, keys, clock) = (self.store.clone(), self.path().join(KEYS_FOLDER), self.clock.clone());
        outside(move || {
            let clock: Arc<dyn Clock> = Arc::new(clock);
            let next = NewEpoch::of(&store, &TrustFiles::default(), &keys).expect("a registry");
            let root_key = read_key(&keys.join(ROOT_KEY_FILE)).expect("a root key");
            let epoch = next.sign(&[root_key], clock.now_ms() / 1_000).expect("a signed epoch");
            next.begin(&store, &keys, (None, &epoch), &clock).expect("an epoch")
        })
    }

    /// Copies the database file as a crash would leave it, with the keys, and opens the copy as another primary.
    pub fn crashed_copy(&self) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        std::fs::copy(self.path().join("registry.redb"), directory.path().join("registry.redb")).expect("a copy");
        let keys = directory.path().join(KEYS_FOLDER);
        std::fs::create_dir(&keys).expect("a folder");
        for file in std::fs::read_dir(self.path().join(KEYS_FOLDER)).expect("the keys") {
            let file = file.expect("a key").path();
            std::fs::copy(&file, keys.join(file.file_name().expect("a name"))).expect("a copy");
        }
        Self::open(directory, self.clock.clone(), "example")
    }

    /// Unpacks a bundle of the present state into a new directory.
    pub async fn bundle(&self) -> TempDir {
        let mut file = self.publisher.bundle(7, Vec::new()).await.expect("a bundle");
        file.rewind().expect("the bundle");
        let directory = tempfile::tempdir().expect("a temporary directory");
        tar::Archive::new(file).unpack(directory.path()).expect("a tree");
        directory
    }
}

/// Position and state of a store.
pub fn state_of(store: &Store) -> (Position, ViewState) {
    let txn = store.read().expect("a state");
    let namespaces = txn.namespaces().expect("sums");
    let state = view_state(namespaces.iter().map(|(name, state)| (name.as_str(), state)));
    (txn.head().expect("a head").position, state)
}

/// Opens or makes a store.
pub fn open_store(directory: &Path) -> Store {
    Store::open(&Options { directory: directory.to_owned(), create: true }).expect("a store")
}

/// Verifies everything in a store.
pub fn verify_store(store: &Store) -> Report {
    verify(&store.read().expect("a state"), &mut |_| {}).expect("a readable database")
}

/// The text that a resolver answers a reference with.
pub fn text_of(resolver: &Resolver, reference: &str, query: &Query) -> Result<String, ResolveError> {
    match resolver.resolve(reference, query)?.content()?.body {
        Body::Text(text) => Ok(text),
        Body::Messages(messages) => panic!("{reference} is a conversation: {messages:?}"),
    }
}

/// Runs what blocks on the writer thread outside of the async runtime.
pub fn outside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(work).join().expect("no panic")
}

/// An authenticated principal; `admin` exists from the start.
pub fn person(name: &str) -> Actor {
    Actor {
        name: name.to_owned(),
        kind: PrincipalKind::Person,
        method: AuthMethod::Other("a test".to_owned()),
        request_id: None,
        client: None,
        bound: None,
    }
}

pub fn name(text: &str) -> PromptName {
    text.parse().expect(text)
}

pub fn version_refs<const N: usize>(texts: [&str; N]) -> [VersionRef; N] {
    texts.map(|text| text.parse().expect(text))
}

pub fn label(text: &str) -> Label {
    text.parse().expect(text)
}

pub fn why() -> MessageRequest {
    MessageRequest { message: "because".to_owned() }
}

/// A mustache text to publish.
pub fn request(text: &str) -> PublishRequest {
    content(Content::text(Syntax::Mustache, text))
}

/// A content to publish.
pub fn content(content: Content) -> PublishRequest {
    PublishRequest {
        content,
        message: "because".to_owned(),
        bump: None,
        expected_parent: None,
        labels: Vec::new(),
        allow_major: false,
        break_glass: None,
    }
}

/// One label to move.
pub fn moving(prompt: &str, to: &str, serving: ServingRequest) -> Move {
    Move { name: name(prompt), label: label(to), serving, expected_deployment: None }
}

/// One version to serve.
pub fn fixed(version: u64) -> ServingRequest {
    ServingRequest { version: Some(version), ..ServingRequest::default() }
}

/// A split to serve.
pub fn weighted(weights: &[(u64, u32)]) -> ServingRequest {
    let split = SplitRequest { weights: weights.iter().copied().collect::<BTreeMap<_, _>>(), salt: None };
    ServingRequest { split: Some(split), ..ServingRequest::default() }
}
