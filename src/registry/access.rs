//! Authentication of access tokens, and the rules that decide what each is allowed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use super::Registry;
use super::RegistryError;
use super::auth_method::AuthMethod;
use crate::crypto::secret::{AccessToken, TokenHash};
use crate::governance::label_policy::LabelPolicy;
use crate::governance::risk::{Classifier, RuleSet};
use crate::governance::rulebook::{ADMIN, ARCHIVER, AccessQuery, ITSELF, OPERATOR, Rulebook};
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::principal::{Grant, Permission, Principal, PrincipalKind, Role, TokenRecord};
use crate::model::reference::VersionRef;
use crate::model::time::Timestamp;
use crate::resolve::ReadScope;
use crate::store::documents::{Documents, RuleSetToml, Scan, TokenUse};
use crate::store::meta;
use crate::store::write::WriteTxn;
use crate::store::{Store, StoreError};

/// The name of the principal and the access token that the first start creates.
pub const FIRST_TOKEN: &str = "admin";
/// Resolution of an access token's last use, in milliseconds.
const USE_GRAIN_MS: i64 = 60_000;

/// The actor of a command, and how they authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The principal.
    pub name: String,
    /// Person, service, automation or system.
    pub kind: PrincipalKind,
    /// How they authenticated.
    pub method: AuthMethod,
    /// The ID of the request, as in its answer and in the log.
    pub request_id: Option<String>,
    /// The address that the request came from; absent for files and sockets on this machine.
    pub client: Option<IpAddr>,
    /// The prompts that the access token is limited to.
    pub bound: Option<Pattern>,
}

impl Actor {
    /// The operator at the machine itself: the folder watch, and commands on a stopped registry.
    #[must_use]
    pub fn operator(method: &str) -> Self {
        Self {
            name: OPERATOR.to_owned(),
            kind: PrincipalKind::System,
            method: AuthMethod::Other(method.to_owned()),
            request_id: None,
            client: None,
            bound: None,
        }
    }

    /// An automation: what the node does by itself, with the grants of the principal of this name, which must be an
    /// automation. `why` is what made it act, for the audit log.
    #[must_use]
    pub fn automation(name: &str, why: &str) -> Self {
        Self { name: name.to_owned(), kind: PrincipalKind::Automation, ..Self::operator(why) }
    }

    pub(super) fn ask<'a>(
        &'a self,
        permission: Permission,
        prompt: Option<&'a str>,
        label: Option<&'a str>,
    ) -> AccessQuery<'a> {
        let (who, kind, bound) = (self.name.as_str(), Some(self.kind), self.bound.as_ref());
        AccessQuery { who, kind, bound, permission, prompt, label }
    }
}

/// An authenticated caller: what a request is allowed without a command.
#[derive(Debug)]
pub struct AuthContext {
    actor: Actor,
    /// The access token's name.
    token: String,
    scope: ReadScope,
    follows: bool,
    views: Vec<String>,
    expires_ms: i64,
    used_ms: Arc<AtomicI64>,
}

impl AuthContext {
    /// The principal, for commands.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The access token's name.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// When it expires, in milliseconds since 1970; `i64::MAX` for never.
    pub const fn expires_ms(&self) -> i64 {
        self.expires_ms
    }

    /// What can be read.
    pub const fn scope(&self) -> &ReadScope {
        &self.scope
    }

    /// Whether a trusted proxy signed them in, without an access token.
    #[must_use]
    pub fn is_single_sign_on(&self) -> bool {
        self.actor.method == AuthMethod::SingleSignOn
    }

    /// Whether a sign-in link signed them in, without an access token.
    #[must_use]
    pub fn is_sign_in_link(&self) -> bool {
        self.actor.method == AuthMethod::SignInLink
    }

    /// A replica's own access token for reading, which belongs to no principal.
    #[must_use]
    pub fn reader(name: &str) -> Self {
        Self {
            actor: Actor {
                name: name.to_owned(),
                kind: PrincipalKind::Service,
                ..Actor::operator("the replica's access token")
            },
            token: name.to_owned(),
            scope: ReadScope::of(name, vec![Pattern::everything()], None, false),
            follows: false,
            views: Vec::new(),
            expires_ms: i64::MAX,
            used_ms: Arc::default(),
        }
    }

    /// Whether any view can be followed.
    #[must_use]
    pub const fn follows_something(&self) -> bool {
        self.follows
    }

    /// Whether a view can be followed.
    #[must_use]
    pub fn follows(&self, view: &str) -> bool {
        self.follows && (self.views.is_empty() || self.views.iter().any(|known| known == view))
    }
}

/// A classifier that was compiled in advance, and its rule sets.
#[derive(Clone)]
pub(super) struct PreparedClassifier {
    sets: BTreeMap<String, String>,
    classifier: Arc<OnceLock<Classifier>>,
}

/// The rules at one moment.
pub(super) struct Rules {
    generation: u64,
    pub(super) book: Rulebook,
    /// Without custom rules, the classifier is compiled on the first use: a node that only serves needs none.
    classifier: Arc<OnceLock<Classifier>>,
    /// The rule sets of the classifier, so that it is reused while they are the same.
    sets: BTreeMap<String, String>,
    /// Identifies the rules that findings were made with: other rules, or another version of this program, may find
    /// more.
    pub(super) scan_id: String,
    /// The key of the hashes of matched text.
    key: [u8; 32],
}

impl Rules {
    fn read(
        documents: &impl Documents,
        (generation, key): (u64, [u8; 32]),
        before: Option<&Self>,
        prepared: Option<PreparedClassifier>,
    ) -> Result<Self, StoreError> {
        let fault = |reason: String| StoreError::Record { kind: "document", reason };
        let roles = Role::built_in().into_iter().map(|role| (role.name.clone(), role)).collect();
        let mut book = Rulebook { roles, ..Rulebook::default() };
        book.roles.extend(documents.list::<Role>()?.into_iter().map(|role| (role.name.clone(), role)));
        let principals = documents.list::<Principal>()?.into_iter();
        book.principals.extend(principals.map(|principal| (principal.name.clone(), principal)));
        for policy in documents.list::<Policy>()? {
            book.policies
                .insert(policy.name.clone(), LabelPolicy::new(policy).map_err(|error| fault(error.to_string()))?);
        }
        let sets = rule_sets(documents)?;
        let same = before.filter(|before| before.sets == sets).map(|before| Arc::clone(&before.classifier));
        let classifier = same.or(prepared.filter(|made| made.sets == sets).map(|made| made.classifier));
        let classifier = classifier.unwrap_or_default();
        if !sets.is_empty() && classifier.get().is_none() {
            let parse = |(name, toml): (&String, &String)| {
                RuleSet::read(toml).map_err(|error| fault(format!("rule set `{name}`: {error}")))
            };
            let parsed = sets.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            let made = Classifier::new(true, &parsed).map_err(|error| fault(error.to_string()))?;
            classifier.get_or_init(|| made);
        }
        Ok(Self { generation, book, classifier, scan_id: scan_id(&sets), sets, key })
    }
}

impl Rules {
    /// The risk rules.
    fn classifier(&self) -> &Classifier {
        self.classifier.get_or_init(|| {
            // Only the built-in rules are compiled here, and tests show that they compile.
            Classifier::new(true, &[]).unwrap_or_else(|error| {
                tracing::error!(%error, "prompts are not classified");
                Classifier::default()
            })
        })
    }

    /// The findings in a content, worst first.
    pub(super) fn classify(&self, content: &Content) -> Vec<Finding> {
        let mut findings = self.classifier().classify(content, &self.key);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

impl Rules {
    /// Whether the caller can read a prompt.
    pub(super) fn reads(&self, actor: &Actor, prompt: &str) -> bool {
        self.book.decide(&actor.ask(Permission::Read, Some(prompt), None)).allowed
    }

    /// Removes versions of unreadable prompts and returns their number.
    pub(super) fn hide_unreadable(&self, actor: &Actor, versions: &mut Vec<VersionRef>) -> usize {
        let count = versions.len();
        versions.retain(|one| self.reads(actor, one.name.as_str()));
        count.saturating_sub(versions.len())
    }
}

/// The cached rules and access tokens.
pub(super) struct AuthState {
    pub(super) rules: Arc<Rules>,
    /// By the hash of the access token.
    seats: HashMap<[u8; 32], Arc<AuthContext>>,
    pub(super) tokens: Vec<(TokenRecord, Arc<AtomicI64>)>,
}

impl AuthState {
    /// Reloads everything; last uses are copied from `before`.
    pub(super) fn read(
        store: &Store,
        before: Option<&Self>,
        prepared: Option<PreparedClassifier>,
    ) -> Result<Self, StoreError> {
        let txn = store.read()?;
        let generation = txn.meta(&meta::RULES_GENERATION)?.unwrap_or_default();
        let key = txn.meta(&meta::FINDING_KEY)?.unwrap_or_default();
        let rules = Arc::new(Rules::read(&txn, (generation, key), before.map(|before| &*before.rules), prepared)?);
        let mut known = Self { rules, seats: HashMap::new(), tokens: Vec::new() };
        for record in txn.list::<TokenRecord>()? {
            let remembered = before.and_then(|before| {
                before.tokens.iter().find(|(other, _)| other.name == record.name && other.created == record.created)
            });
            let used_ms = if let Some((_, used_ms)) = remembered {
                Arc::clone(used_ms)
            } else {
                let TokenUse(used_ms) = txn.get::<TokenUse>(&record.name)?.unwrap_or_default();
                Arc::new(AtomicI64::new(used_ms))
            };
            known.seat(&record, &used_ms);
            known.tokens.push((record, used_ms));
        }
        Ok(known)
    }

    /// A secret of this registry that other keys are derived from.
    pub(super) fn secret(&self) -> &[u8] {
        &self.rules.key
    }

    fn seat(&mut self, record: &TokenRecord, used_ms: &Arc<AtomicI64>) {
        let book = &self.rules.book;
        let Some(principal) = book.principals.get(&record.principal).filter(|one| one.disabled.is_none()) else {
            return;
        };
        let actor = Actor {
            name: principal.name.clone(),
            kind: principal.kind,
            method: AuthMethod::AccessToken(record.name.clone()),
            request_id: None,
            client: None,
            bound: record.prompts.clone(),
        };
        let scope = scope_of(book, &actor);
        let follows = book.decide(&actor.ask(Permission::Follow, None, None)).allowed;
        let seat = |actor: &Actor, expires: Option<Timestamp>| {
            Arc::new(AuthContext {
                actor: actor.clone(),
                token: record.name.clone(),
                scope: scope.clone(),
                follows,
                views: record.views.clone(),
                expires_ms: expires.map_or(i64::MAX, Timestamp::ms),
                used_ms: Arc::clone(used_ms),
            })
        };
        let hash = |hex: &str| blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes());
        if let Some(hash) = hash(&record.hash) {
            self.seats.insert(hash, seat(&actor, record.expires));
        }
        if let Some((hash, until)) = record.previous.as_ref().and_then(|(hex, until)| Some((hash(hex)?, *until))) {
            // Kept apart, so that the old token cannot rotate the new one.
            let actor = Actor { method: AuthMethod::RotatedOut(record.name.clone()), ..actor.clone() };
            let until = record.expires.map_or(until, |expires| expires.min(until));
            self.seats.insert(hash, seat(&actor, Some(until)));
        }
    }
}

impl Registry {
    /// Replaces credentials and personal data in a JSON value, as the risk rules find them.
    pub fn redact(&self, json: &mut serde_json::Value, is_prompt: bool) {
        self.0.known.load().rules.classifier().redact(json, is_prompt);
    }

    /// The caller with this access token; absent if it is unknown or expired.
    pub fn authenticate(&self, presented: &AccessToken) -> Option<Arc<AuthContext>> {
        // The lookup is by hash, so its duration reveals nothing about a token.
        self.seat_of(&presented.hash())
    }

    /// The caller with the access token of this hash, which was presented before; absent if it is unknown or expired.
    pub fn seat_of(&self, token: &TokenHash) -> Option<Arc<AuthContext>> {
        let known = self.0.known.load();
        let seat = known.seats.get(token.as_bytes())?;
        let now = self.0.clock.now_ms();
        if now >= seat.expires_ms {
            return None;
        }
        if now - seat.used_ms.load(Ordering::Relaxed) >= USE_GRAIN_MS {
            seat.used_ms.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(seat))
    }

    /// A person signed in by a trusted proxy; absent if that is not the name of a person, or they are disabled.
    pub fn seat_of_single_sign_on(&self, name: &str) -> Option<Arc<AuthContext>> {
        self.seat_of_person(name, AuthMethod::SingleSignOn)
    }

    /// A person signed in by a link, under the same conditions.
    pub fn seat_of_sign_in_link(&self, name: &str) -> Option<Arc<AuthContext>> {
        self.seat_of_person(name, AuthMethod::SignInLink)
    }

    fn seat_of_person(&self, name: &str, method: AuthMethod) -> Option<Arc<AuthContext>> {
        let known = self.0.known.load();
        let principal = known.rules.book.principals.get(name)?;
        if principal.disabled.is_some() || principal.kind != PrincipalKind::Person {
            return None;
        }
        // Pages do not follow a registry. The name separates the limits of different people.
        let token = format!("{method} of {name}");
        let actor = Actor { name: name.to_owned(), kind: principal.kind, method, ..Actor::operator("") };
        let scope = scope_of(&known.rules.book, &actor);
        Some(Arc::new(AuthContext { actor, token, scope, ..AuthContext::reader(name) }))
    }

    /// Whether a connected caller still has the same permissions.
    #[must_use]
    pub fn still_seated(&self, presented: &AccessToken, seat: &AuthContext) -> bool {
        self.authenticate(presented).is_some_and(|now| {
            now.actor == seat.actor && now.scope == seat.scope && now.follows == seat.follows && now.views == seat.views
        })
    }

    /// Changes whenever rules, principals or access tokens change.
    pub fn rules_changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Reloads rules and access tokens if they changed. The writer calls it after every group of commits and before it
    /// answers: a change is in effect once its command was answered, even if the client has disconnected.
    pub(super) fn reload_auth(&self) {
        let learned = || -> Result<(), StoreError> {
            let known = self.0.known.load_full();
            if self.0.store.read()?.meta(&meta::RULES_GENERATION)?.unwrap_or_default() == known.rules.generation {
                return Ok(());
            }
            let prepared = self.0.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
            let known = AuthState::read(&self.0.store, Some(&known), prepared)?;
            let generation = known.rules.generation;
            self.0.known.store(Arc::new(known));
            self.0.changed.send_replace(generation);
            Ok(())
        };
        if let Err(error) = learned() {
            // Commands then read the rules themselves, and the next commit tries again.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "could not reload rules and access tokens; \
                still using the previous ones"
            );
        }
    }

    /// Caches a classifier for the rule sets that a command is about to store, so that they are not compiled again.
    pub(super) fn prepare(&self, sets: BTreeMap<String, String>, classifier: Classifier) {
        let prepared = PreparedClassifier { sets, classifier: Arc::new(OnceLock::from(classifier)) };
        *self.0.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
    }

    /// The rules as a transaction sees them: cached, or read if they have just changed.
    pub(super) fn rules_in(&self, txn: &WriteTxn<'_>) -> Result<Arc<Rules>, StoreError> {
        let known = self.0.known.load();
        let generation = txn.meta(&meta::RULES_GENERATION)?.unwrap_or_default();
        if generation == known.rules.generation {
            return Ok(Arc::clone(&known.rules));
        }
        let prepared = self.0.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Arc::new(Rules::read(txn, (generation, known.rules.key), Some(&known.rules), prepared)?))
    }

    /// Records when access tokens were last used.
    pub async fn keep_token_uses(&self) -> Result<(), StoreError> {
        let known = self.0.known.load_full();
        let used: Vec<(String, i64)> =
            known.tokens.iter().map(|(record, used)| (record.name.clone(), used.load(Ordering::Relaxed))).collect();
        self.0
            .store
            .write(move |txn| {
                for (name, used_ms) in used {
                    if txn.get::<TokenUse>(&name)?.is_none_or(|TokenUse(kept_ms)| used_ms > kept_ms) {
                        txn.put::<TokenUse>(&name, &TokenUse(used_ms))?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// What an actor can read.
fn scope_of(book: &Rulebook, actor: &Actor) -> ReadScope {
    let audits = book.decide(&actor.ask(Permission::Audit, None, None)).allowed;
    ReadScope::of(&actor.name, book.readable(&actor.name), actor.bound.clone(), audits)
}

/// Signals to later decisions that rules have changed.
pub(super) fn rules_change(txn: &mut WriteTxn<'_>) -> Result<(), StoreError> {
    let next = txn.meta(&meta::RULES_GENERATION)?.unwrap_or_default().saturating_add(1);
    txn.put_meta(&meta::RULES_GENERATION, &next)
}

/// Stores the principal and the access token of the first start.
pub(super) fn keep_first(txn: &mut WriteTxn<'_>, hash: &TokenHash, now: Timestamp) -> Result<(), StoreError> {
    let principal = Principal {
        name: FIRST_TOKEN.to_owned(),
        kind: PrincipalKind::Person,
        created: now,
        grants: vec![Grant::everywhere(ADMIN)],
        disabled: None,
    };
    let token = TokenRecord {
        name: FIRST_TOKEN.to_owned(),
        principal: FIRST_TOKEN.to_owned(),
        hash: hex(hash),
        created: now,
        expires: None,
        previous: None,
        prompts: None,
        views: Vec::new(),
    };
    txn.put(FIRST_TOKEN, &principal)?;
    txn.put(FIRST_TOKEN, &token)?;
    rules_change(txn)
}

/// Creates the automation of the node, if there is none yet. It is a principal like others: its grants are shown, and
/// it can be disabled.
pub(super) fn ensure_automation(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    if store.read()?.has::<Principal>(ITSELF)? {
        return Ok(());
    }
    let (name, kind) = (ITSELF.to_owned(), PrincipalKind::Automation);
    let principal = Principal { name, kind, created: now, grants: vec![Grant::everywhere(ARCHIVER)], disabled: None };
    store.write_blocking(move |txn| {
        txn.put(ITSELF, &principal)?;
        rules_change(txn)
    })
}

/// Creates the key of the hashes of matched text, if there is none yet.
pub(super) fn ensure_finding_key(store: &Store) -> Result<(), StoreError> {
    if store.read()?.meta(&meta::FINDING_KEY)?.is_some() {
        return Ok(());
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
    store.write_blocking(move |txn| txn.put_meta(&meta::FINDING_KEY, &key))
}

/// Whether an access token with this hash exists, with any permissions.
pub(super) fn is_known(documents: &impl Documents, hash: &TokenHash) -> Result<bool, StoreError> {
    let hash = hex(hash);
    let tokens = documents.list::<TokenRecord>()?;
    let is = |record: &TokenRecord| {
        record.hash == hash || record.previous.as_ref().is_some_and(|(previous, _)| *previous == hash)
    };
    Ok(tokens.iter().any(is))
}

/// The rule sets of the registry, as TOML, by name.
pub(super) fn rule_sets(documents: &impl Documents) -> Result<BTreeMap<String, String>, StoreError> {
    let mut sets = BTreeMap::new();
    documents.visit_documents(&Scan::<RuleSetToml>::all(), &mut |found| {
        let RuleSetToml(toml) = found.read()?;
        sets.insert(found.key()?.to_owned(), toml);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sets)
}

fn scan_id(sets: &BTreeMap<String, String>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    for text in sets.iter().flat_map(|(name, toml)| [name, toml]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// A new access token.
pub(super) fn new_token() -> Result<AccessToken, RegistryError> {
    AccessToken::generate().map_err(|error| RegistryError::Random(error.to_string()))
}

/// A token's hash as it is stored.
pub(super) fn hex(hash: &TokenHash) -> String {
    blake3::Hash::from(*hash.as_bytes()).to_hex().to_string()
}
