//! Archiving: deletes the contents of versions that are no longer needed; their ids and everything else remain.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::command::{Attempt, Ctx};
use super::rollback::way_back;
use super::stored_requests::open_requests;
use super::uses::{hour, last_use};
use super::{Actor, Registry, RegistryError, check_message};
use crate::api::govern::{ArchiveRequest, Archived};
use crate::api::limits::{ARCHIVE_KEEP_MAX, RETENTION_FLOOR_DAYS, UNUSED_DAYS_MAX};
use crate::api::read::AuditPage;
use crate::governance::rulebook::ITSELF;
use crate::model::audit::{AuditEntry, Command, Decision, Subject};
use crate::model::change_request::ProposedMove;
use crate::model::content_id::ContentId;
use crate::model::count::count;
use crate::model::draft::Draft;
use crate::model::name::PromptName;
use crate::model::pattern::Pattern;
use crate::model::principal::Permission;
use crate::model::reference::VersionRef;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::resolve::CatalogueView;
use crate::resolve::catalogue::audit_newest;
use crate::resolve::usage::Usage;
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::write::{Change, WriteTxn};

const DAY_MS: i64 = 24 * 3_600_000;
/// Number of versions that one commit archives; the next call continues.
const VERSIONS_MAX: usize = 10_000;

impl Registry {
    /// Archives versions that are not needed: no label or open change request, no deployment or use in the window, no
    /// include, draft or list of contents to keep; and never the latest. A dry run reports them.
    ///
    /// # Errors
    /// The actor lacks permission, the window is below the floor, or the store fails.
    pub async fn archive(&self, actor: &Actor, request: ArchiveRequest) -> Result<Archived, RegistryError> {
        if request.dry_run {
            return self.archivable_in(&self.0.store.read()?, actor, &request);
        }
        let (keep, message) = checked(&request)?;
        let about =
            Attempt::new(Command::Archive, [Subject::Prompts { pattern: request.prompts.to_string() }], &message);
        let (store, usage) = (self.0.store.clone(), self.0.usage.clone());
        self.command(actor, about, move |txn, ctx, granted| {
            // Computed in this transaction, so that it includes the latest publications and uses.
            let search = Search { request: &request, keep: &keep, in_use: in_use(&usage), now: ctx.now };
            let found = find(txn, &store.read()?.namespace_names()?, &search)?;
            if !found.versions.is_empty() {
                let (changes, subjects) = found.changes(txn, ctx)?;
                txn.commit(ctx.now, changes, ctx.audit(granted, Command::Archive, subjects, message, Vec::new()))?;
            }
            Ok(found.summary(false))
        })
        .await
    }
}

impl Registry {
    /// What [`Registry::archive`] would archive now.
    ///
    /// # Errors
    /// The actor lacks permission, the window is below the floor, or the store fails.
    pub fn archivable(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        request: &ArchiveRequest,
    ) -> Result<Archived, RegistryError> {
        self.archivable_in(view.txn(), actor, request)
    }

    /// The last granted run, and whether there were others before it.
    ///
    /// # Errors
    /// The actor lacks permission, or the store fails.
    pub fn last_archived(&self, view: &CatalogueView, actor: &Actor) -> Result<AuditPage, RegistryError> {
        self.may_look(actor, Permission::Policy)?;
        let fits = |entry: &AuditEntry| entry.command == Command::Archive && entry.decision == Decision::Granted;
        Ok(audit_newest(view.txn(), &fits, None, 1)?)
    }

    fn archivable_in(&self, txn: &ReadTxn, actor: &Actor, request: &ArchiveRequest) -> Result<Archived, RegistryError> {
        let (keep, _) = checked(request)?;
        self.may_look(actor, Permission::Policy)?;
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        let search = Search { request, keep: &keep, in_use: in_use(&self.0.usage), now };
        Ok(find(txn, &txn.namespace_names()?, &search)?.summary(true))
    }

    /// Archives unused versions according to the settings; writes nothing if there are none.
    ///
    /// # Errors
    /// The window is below the floor, or the store fails.
    pub async fn archive_by_settings(&self, unused_days: u32) -> Result<Archived, RegistryError> {
        let itself = Actor::automation(ITSELF, "schedule");
        let request = |dry_run| ArchiveRequest {
            prompts: Pattern::everything(),
            unused_days,
            keep: Vec::new(),
            dry_run,
            message: format!("unused for {}", count(unused_days, "day")),
        };
        let found = self.archive(&itself, request(true)).await?;
        if found.versions.is_empty() { Ok(found) } else { self.archive(&itself, request(false)).await }
    }
}

/// Validates the message and the contents to keep.
fn checked(request: &ArchiveRequest) -> Result<(BTreeSet<[u8; 32]>, String), RegistryError> {
    if request.unused_days < RETENTION_FLOOR_DAYS {
        let days = request.unused_days;
        return Err(RegistryError::Unfit(format!(
            "deployed content is kept for at least {RETENTION_FLOOR_DAYS} days; {days} is too few"
        )));
    }
    if request.unused_days > UNUSED_DAYS_MAX {
        let days = request.unused_days;
        return Err(RegistryError::Unfit(format!("{days} days is more than the limit of {UNUSED_DAYS_MAX}")));
    }
    let (count, max) = (request.keep.len(), ARCHIVE_KEEP_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "contents to keep", count, max });
    }
    let mut keep = BTreeSet::new();
    for id in &request.keep {
        let id: ContentId =
            id.parse().map_err(|_| RegistryError::Unfit("a content id is b3: and 64 hex digits".to_owned()))?;
        keep.insert(*id.as_hash());
    }
    let unsaid = request.dry_run && request.message.trim().is_empty();
    let message = if unsaid { String::new() } else { check_message(&request.message)? };
    Ok((keep, message))
}

/// The versions to archive, and the reasons why others stay.
#[derive(Default)]
struct ArchivePlan {
    versions: Vec<(PromptName, Version)>,
    /// Contents whose every version is archived, with their sizes.
    contents: BTreeMap<(String, [u8; 32]), u64>,
    kept: BTreeMap<String, u64>,
}

impl ArchivePlan {
    fn summary(&self, dry_run: bool) -> Archived {
        Archived {
            versions: self.versions.iter().map(|(name, version)| VersionRef::new(name, version.number)).collect(),
            bytes: self.contents.values().sum(),
            kept: self.kept.clone(),
            dry_run,
        }
    }

    fn changes(&self, txn: &WriteTxn<'_>, ctx: &Ctx) -> Result<(Vec<Change>, Vec<Subject>), StoreError> {
        let (mut changes, mut subjects) = (Vec::new(), Vec::new());
        for (name, version) in &self.versions {
            let Some(version) = txn.version(name, version.number)? else { continue };
            subjects.push(Subject::of_version(name, version.number));
            changes.push(Change::Version(name.clone(), Version { archived: Some(ctx.now), ..version }));
        }
        for (namespace, hash) in self.contents.keys() {
            changes.push(Change::Forget(namespace.clone(), ContentId::from_hash(*hash)));
        }
        Ok((changes, subjects))
    }
}

/// Versions with uses that are buffered in memory and not written yet.
fn in_use(usage: &Usage) -> BTreeSet<VersionRef> {
    usage.pending().into_iter().map(|one| VersionRef { name: one.name, version: one.version }).collect()
}

/// The criteria.
struct Search<'a> {
    request: &'a ArchiveRequest,
    /// Contents that stay.
    keep: &'a BTreeSet<[u8; 32]>,
    /// Recently used versions.
    in_use: BTreeSet<VersionRef>,
    now: Timestamp,
}

fn find<Q: Queries + Documents>(
    txn: &Q,
    namespaces: &[String],
    search: &Search<'_>,
) -> Result<ArchivePlan, RegistryError> {
    let Search { request, keep, in_use, now } = search;
    let since = Timestamp::from_ms(now.ms() - i64::from(request.unused_days) * DAY_MS);
    let since_hour = hour(since);
    let mut found = ArchivePlan::default();
    // Number of versions in a namespace with each content: it is deleted with the last of them.
    let mut homes: HashMap<(String, [u8; 32]), u64> = HashMap::new();
    let proposed = proposed(txn)?;
    for namespace in namespaces {
        let mut prompts = Vec::new();
        txn.visit_prompts(namespace, "", &mut |prompt| {
            prompts.push(prompt);
            Ok(ControlFlow::Continue(()))
        })?;
        for prompt in prompts {
            let name = &prompt.name;
            let concerned = request.prompts.matches(name.as_str());
            let needed = if concerned { needed(txn, name, since)? } else { BTreeMap::new() };
            let mut versions = Vec::new();
            txn.visit_versions(name, u64::MAX, &mut |version| {
                versions.push(version);
                Ok(ControlFlow::Continue(()))
            })?;
            for version in versions {
                if version.archived.is_some() {
                    continue;
                }
                for home in ids(name, &version) {
                    *homes.entry(home).or_default() += 1;
                }
                if !concerned {
                    continue;
                }
                let number = version.number;
                let reference = VersionRef::new(name, number);
                let listed = || {
                    std::iter::once(&version.content_id).chain(&version.source_id).any(|id| keep.contains(id.as_hash()))
                };
                let why = if number == prompt.latest {
                    Some("it is the latest version")
                } else if version.created > since {
                    Some("it is too recent")
                } else if let Some(why) = needed.get(&number) {
                    Some(*why)
                } else if proposed.contains(&reference) {
                    Some("an open change request needs it")
                } else if listed() {
                    Some("it is on the keep list")
                } else if in_use.contains(&reference)
                    || last_use(txn, name, number)?.is_some_and(|last| last >= since_hour)
                {
                    Some("it was used recently")
                } else if found.versions.len() == VERSIONS_MAX {
                    Some("the limit for one run was reached")
                } else {
                    None
                };
                match why {
                    Some(why) => *found.kept.entry(why.to_owned()).or_default() += 1,
                    None => found.versions.push((name.clone(), version)),
                }
            }
        }
    }
    for home in found.versions.iter().flat_map(|(name, version)| ids(name, version)) {
        let Some(left) = homes.get_mut(&home) else { continue };
        *left -= 1;
        if *left == 0
            && let Some(entry) = txn.content_in(&home.0, &ContentId::from_hash(home.1))?
        {
            found.contents.insert(home, entry.value.len() as u64);
        }
    }
    Ok(found)
}

/// The versions of a prompt that are needed, and by what.
fn needed<Q: Queries + Documents>(
    txn: &Q,
    name: &PromptName,
    since: Timestamp,
) -> Result<BTreeMap<u64, &'static str>, RegistryError> {
    let mut needed = BTreeMap::new();
    let mut need = |serving: Option<&Serving>, why: &'static str| {
        for number in serving.map(Serving::versions).unwrap_or_default() {
            needed.entry(number).or_insert(why);
        }
    };
    for state in txn.labels(name)? {
        need(Some(&state.serving), "a label serves it");
        // Regardless of its age: a rollback can return to it at any time.
        let back = way_back(txn, name, &state.label)?.filter(|back| back.free);
        need(back.map(|back| back.serving).as_ref(), "a rollback would deploy it");
    }
    for deployment in txn.deployments(name)? {
        if deployment.at > since {
            // The deployment before it was served until then.
            need(deployment.from.as_ref(), "it was deployed recently");
            need(deployment.to.as_ref(), "it was deployed recently");
        }
    }
    for dependent in txn.dependents(name.as_str())? {
        needed.entry(dependent.included).or_insert("another prompt includes it");
    }
    let drafts = txn.list_of(&Scan::<Draft>::under(name))?;
    for draft in drafts {
        needed.entry(draft.parent).or_insert("a draft is based on it");
    }
    Ok(needed)
}

fn proposed(txn: &impl Documents) -> Result<BTreeSet<VersionRef>, RegistryError> {
    let moves = open_requests(txn)?.into_iter().flat_map(|request| request.moves);
    let versions = |one: ProposedMove| one.contents.into_keys().map(move |number| VersionRef::new(&one.name, number));
    Ok(moves.flat_map(versions).collect())
}

fn ids(name: &PromptName, version: &Version) -> Vec<(String, [u8; 32])> {
    let ids = std::iter::once(&version.content_id).chain(&version.source_id);
    ids.map(|id| (name.namespace().to_owned(), *id.as_hash())).collect()
}
