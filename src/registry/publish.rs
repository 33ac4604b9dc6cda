//! Publishing: a new version of a prompt, with its includes pinned and inlined.

use std::collections::BTreeMap;

use super::access::Rules;
use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::commit::commit;
use super::deploy::{Mover, changes_of, moved};
use super::label_move::{MoveOptions, PendingVersion, PlannedMove};
use super::move_policy::{content, keep_findings, refuse_secrets};
use super::{Actor, Registry, RegistryError, check_message, time_of_change};
use crate::api::limits::LABELS_MAX;
use crate::api::write::{PublishRequest, Published};
use crate::governance::interface;
use crate::governance::interface::decide;
use crate::model::audit::{AuditChange, AuditEntry, Command, Subject};
use crate::model::content::{Body, Content};
use crate::model::content_id::ContentId;
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::prompt::Prompt;
use crate::model::reference::{Reference, ReferenceError, Selector, VersionRef};
use crate::model::serving::Serving;
use crate::model::stamp::stamp;
use crate::model::time::Timestamp;
use crate::model::version::InterfaceChange;
use crate::model::version::{Bump, Include, Version};
use crate::resolve::catalogue::live_dependents;
use crate::store::documents::Contributors;
use crate::store::query::Queries;
use crate::store::write::{Change, WriteTxn};
use crate::template::include::{INCLUDE_DEPTH_MAX, Included, flatten};
use crate::template::lint::lint;
use crate::template::variables::complete;

impl Registry {
    /// Publishes a version; nothing is created if the latest version has the same content.
    ///
    /// # Errors
    /// The actor lacks permission; the message, the content or an include is invalid; there is a newer version; the
    /// declared bump is too small; or the store fails.
    pub async fn publish(
        &self,
        actor: &Actor,
        name: PromptName,
        request: PublishRequest,
    ) -> Result<Published, RegistryError> {
        let message = check_message(&request.message)?;
        let places = request.labels.iter().map(|label| Subject::of_label(&name, label, None));
        let about = Attempt::new(Command::Publish, std::iter::once(Subject::of_prompt(&name)).chain(places), &message);
        self.command(actor, about, move |txn, ctx, granted| {
            publish(txn, ctx, granted, name, request, (message, Vec::new()))
        })
        .await
    }
}

/// Publishes a version and deploys it to labels, in one commit.
pub(super) fn publish(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    name: PromptName,
    request: PublishRequest,
    (message, makers): (String, Vec<String>),
) -> Result<Published, RegistryError> {
    let granted = granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?);
    let (count, max) = (request.labels.len(), LABELS_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "labels to deploy to when publishing", count, max });
    }
    let prepared = prepare(txn, &ctx.rules, &ctx.actor, &name, &request.content)?;
    let granted = granted.and(refuse_secrets(ctx, &name, &prepared.findings, request.break_glass.as_ref())?);
    let warnings = lint(&prepared.content);
    let prompt = txn.prompt(&name)?;
    let latest = prompt.as_ref().map_or(0, |prompt| prompt.latest);
    if let Some(expected) = request.expected_parent.filter(|expected| *expected != latest) {
        return Err(RegistryError::ParentMoved { name, expected, found: latest });
    }
    let at = prompt.as_ref().map_or(ctx.now, |prompt| time_of_change(ctx.now, prompt.changed));
    let terms =
        MoveOptions { allow_major: request.allow_major, break_glass: request.break_glass, ..MoveOptions::of(&message) };
    let why = ChangeStamp { at, author: ctx.actor.name.clone(), message };
    let mut plan = Plan::new(txn, &name, prompt, prepared, request.bump, &why)?;
    plan.makers = makers;
    let granted = granted.and(plan.deploy(txn, ctx, &terms, &why, &request.labels)?);
    let deployment = (!plan.deployments.is_empty()).then_some(txn.next_seq());
    let (version, created, findings, interface) =
        (plan.version.clone(), plan.created, plan.findings.clone(), plan.interface.take());
    if created {
        ctx.written(plan.bytes())?;
    }
    if created || deployment.is_some() {
        plan.commit(txn, ctx, granted, if created { Command::Publish } else { Command::Deploy }, &why)?;
    }
    let mut dependents = if created { live_dependents(txn, &name, version.number)? } else { Vec::new() };
    ctx.rules.hide_unreadable(&ctx.actor, &mut dependents);
    let stamp = stamp(&name, version.number, &version.content_id);
    Ok(Published { name, version, created, stamp, deployment, warnings, dependents, findings, interface })
}

/// The time, the author and the message.
pub(super) struct ChangeStamp {
    pub(super) at: Timestamp,
    pub(super) author: String,
    pub(super) message: String,
}

impl ChangeStamp {
    /// The audit entry of an imported change, with its own author and time.
    pub(super) fn imported(&self, entry: AuditEntry) -> AuditEntry {
        AuditEntry { on_behalf_of: Some(self.author.clone()), occurred: Some(self.at), ..entry }
    }
}

/// A content, ready to be stored.
pub(super) struct PreparedContent {
    /// The content as served.
    pub(super) content: Content,
    id: ContentId,
    bytes: Vec<u8>,
    /// The content as written, if it differs.
    source: Option<(ContentId, Vec<u8>)>,
    pub(super) includes: Vec<Include>,
    /// The findings of the risk rules.
    pub(super) findings: Vec<Finding>,
}

/// Validates a content, pins and inlines its includes, derives its variables, and classifies its risks.
pub(super) fn prepare<Q: Queries>(
    txn: &Q,
    rules: &Rules,
    actor: &Actor,
    name: &PromptName,
    written: &Content,
) -> Result<PreparedContent, RegistryError> {
    let written_bytes = written.to_canonical()?;
    let mut content = written.clone();
    let mut includes: Vec<Include> = Vec::new();
    let mut measured = IncludeDepths::new();
    content.try_map_texts(|text| {
        flatten(text, written.syntax, &mut |reference: &str| {
            let (include, included) = pin(txn, (rules, actor), name, reference, &mut measured)?;
            if !includes.contains(&include) {
                includes.push(include);
            }
            Ok::<_, RegistryError>(included)
        })
    })?;
    complete(&mut content)?;
    let bytes = content.to_canonical()?;
    let id = ContentId::of(&bytes);
    let source = (!includes.is_empty()).then(|| (ContentId::of(&written_bytes), written_bytes));
    let findings = rules.classify(&content);
    Ok(PreparedContent { content, id, bytes, source, includes, findings })
}

/// Finds the one version that an include means now, and its text, which is already inlined.
fn pin<Q: Queries>(
    txn: &Q,
    (rules, actor): (&Rules, &Actor),
    includer: &PromptName,
    text: &str,
    measured: &mut IncludeDepths,
) -> Result<(Include, Included), RegistryError> {
    let refuse = |reason: String| RegistryError::Include { reference: text.to_owned(), reason };
    let reference: Reference = text.parse().map_err(|error: ReferenceError| refuse(error.to_string()))?;
    let name = &reference.name;
    // An include reveals nothing that its author cannot read, not even that it exists.
    let readable = rules.reads(actor, name.as_str());
    let prompt = txn.prompt(name)?.filter(|prompt| readable && prompt.removed.is_none());
    let prompt = prompt.ok_or_else(|| refuse(format!("there is no prompt `{name}` that you can read")))?;
    let version = match &reference.selector {
        Selector::Version(number) => txn.version(name, *number)?,
        Selector::Content(hex) => txn.version_with_content(name, hex)?,
        Selector::Label(label) if label.is_latest() => txn.version(name, prompt.latest)?,
        Selector::Label(label) => {
            let state = txn.label(name, label)?;
            let state = state.ok_or_else(|| {
                refuse(format!("`{name}` has no label `{label}`; write a version, such as `{name}@{}`", prompt.latest))
            })?;
            let number = state
                .serving
                .fixed()
                .ok_or_else(|| refuse(format!("`{name}@{label}` serves several versions; write one of them")))?;
            txn.version(name, number)?
        }
    };
    let version = version.ok_or_else(|| {
        refuse(format!("`{name}` has no version {}; its latest is {}", reference.selector, prompt.latest))
    })?;
    let mut path = vec![VersionRef::new(name, version.number)];
    let depth = depth(txn, &version, includer, &mut path, measured).map_err(|error| match error {
        DepthError::Cycle(mut path) => {
            rules.hide_unreadable(actor, &mut path);
            let path: Vec<String> = path.iter().map(VersionRef::to_string).collect();
            refuse(format!("it includes `{includer}` again: {}", path.join(" → ")))
        }
        DepthError::Store(error) => error.into(),
    })?;
    if name == includer {
        return Err(refuse("a prompt cannot include itself".to_owned()));
    }
    if depth >= INCLUDE_DEPTH_MAX {
        return Err(refuse(format!(
            "includes are limited to {INCLUDE_DEPTH_MAX} levels, and this one already has \
            {depth}"
        )));
    }
    let content = content(txn, name, version.number)?;
    let content = content.ok_or_else(|| refuse(format!("the content of `{name}@{}` was archived", version.number)))?;
    let Body::Text(body) = content.body else {
        return Err(refuse("it is a chat prompt; only text prompts can be included".to_owned()));
    };
    let include = Include { name: name.clone(), version: version.number, content_id: version.content_id };
    Ok((include, Included { text: body, syntax: content.syntax }))
}

/// The depth of includes below each visited version.
type IncludeDepths = BTreeMap<VersionRef, usize>;

enum DepthError {
    /// The versions on the current path.
    Cycle(Vec<VersionRef>),
    Store(crate::store::StoreError),
}

/// The depth of includes below a version; a cycle is one that reaches the including prompt. A version that several
/// paths reach is measured once.
fn depth<Q: Queries>(
    txn: &Q,
    version: &Version,
    includer: &PromptName,
    path: &mut Vec<VersionRef>,
    measured: &mut IncludeDepths,
) -> Result<usize, DepthError> {
    let mut deepest = 0;
    for include in &version.includes {
        let key = VersionRef::new(&include.name, include.version);
        path.push(key.clone());
        if include.name == *includer {
            return Err(DepthError::Cycle(std::mem::take(path)));
        }
        let below = if let Some(below) = measured.get(&key) {
            *below
        } else {
            let next = txn.version(&include.name, include.version).map_err(DepthError::Store)?;
            let below = next.map_or(Ok(0), |next| depth(txn, &next, includer, path, measured))?;
            measured.insert(key, below);
            below
        };
        deepest = deepest.max(below + 1);
        path.pop();
    }
    Ok(deepest)
}

/// The changes of a publication; none if the latest version has the same content.
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) version: Version,
    pub(super) created: bool,
    pub(super) findings: Vec<Finding>,
    pub(super) interface: Option<InterfaceChange>,
    pub(super) deployments: Vec<Deployment>,
    /// Contributors to the version besides its author.
    pub(super) makers: Vec<String>,
    content: Content,
    prompt: Prompt,
}

impl Plan {
    pub(super) fn new(
        txn: &WriteTxn<'_>,
        name: &PromptName,
        prompt: Option<Prompt>,
        prepared: PreparedContent,
        bump: Option<Bump>,
        why: &ChangeStamp,
    ) -> Result<Self, RegistryError> {
        let latest = prompt.as_ref().map(|prompt| txn.version(name, prompt.latest)).transpose()?.flatten();
        let source_id = prepared.source.as_ref().map(|(id, _)| *id);
        let live = prompt.as_ref().is_some_and(|prompt| prompt.removed.is_none());
        if let Some(version) = latest.as_ref().filter(|version| {
            live && version.retired.is_none() && version.content_id == prepared.id && version.source_id == source_id
        }) {
            let prompt = Prompt { changed: why.at, ..prompt.unwrap_or_else(|| first(name, why.at)) };
            return Ok(Self {
                changes: Vec::new(),
                version: version.clone(),
                created: false,
                findings: prepared.findings,
                interface: None,
                deployments: Vec::new(),
                makers: Vec::new(),
                content: prepared.content,
                prompt,
            });
        }
        let previous = latest.as_ref().map_or(Ok(None), |version| content(txn, name, version.number))?;
        let interface = previous.as_ref().map(|previous| interface::between(previous, &prepared.content));
        if prompt.is_none() {
            name.check_new()?;
        }
        let bump = decide(previous.as_ref(), &prepared.content, bump)?;
        let number = prompt.as_ref().map_or(0, |prompt| prompt.latest).saturating_add(1);
        let version = Version {
            number,
            content_id: prepared.id,
            source_id,
            semver: bump.after(latest.as_ref().map(|version| &version.semver)),
            author: why.author.clone(),
            message: why.message.clone(),
            created: why.at,
            commit: txn.next_seq(),
            includes: prepared.includes,
            retired: None,
            archived: None,
        };
        let prompt = prompt.unwrap_or_else(|| first(name, why.at));
        let prompt = Prompt { changed: why.at, latest: number, removed: None, ..prompt };
        let namespace = || name.namespace().to_owned();
        let mut changes = vec![Change::Content(namespace(), prepared.id, prepared.bytes)];
        changes.extend(prepared.source.map(|(id, bytes)| Change::Content(namespace(), id, bytes)));
        changes.push(Change::Version(name.clone(), version.clone()));
        Ok(Self {
            changes,
            version,
            created: true,
            findings: prepared.findings,
            interface,
            deployments: Vec::new(),
            makers: Vec::new(),
            content: prepared.content,
            prompt,
        })
    }

    /// Bytes of the contents to write.
    fn bytes(&self) -> usize {
        let of = |change: &Change| if let Change::Content(_, _, bytes) = change { bytes.len() } else { 0 };
        self.changes.iter().map(of).sum()
    }

    /// Adds deployments of the version to labels, if they are allowed; returns why they are.
    pub(super) fn deploy(
        &mut self,
        txn: &WriteTxn<'_>,
        ctx: &Ctx,
        terms: &MoveOptions,
        why: &ChangeStamp,
        labels: &[Label],
    ) -> Result<Clearance, RegistryError> {
        let number = self.version.number;
        let makers: Vec<String> = self.makers.iter().cloned().chain([ctx.actor.name.clone()]).collect();
        let fresh = PendingVersion {
            version: &self.version,
            makers: &makers,
            content: &self.content,
            findings: &self.findings,
        };
        let mover = Mover { actor: &why.author, at: why.at, id: txn.next_seq(), fresh: Some(fresh) };
        let (mut clearance, mut deployments) = (Clearance::default(), Vec::new());
        for label in labels {
            let (name, label) = (self.prompt.name.clone(), label.clone());
            let planned = PlannedMove { name, label, serving: Serving::version(number) };
            let allowed = mover.authorize(txn, ctx, terms, planned, Action::Deploy)?;
            clearance = clearance.and(allowed.clearance);
            deployments.extend(allowed.deployment);
        }
        self.changes.extend(changes_of(&deployments));
        self.deployments = deployments;
        Ok(clearance)
    }

    /// Commits the plan under one audit entry.
    pub(super) fn commit(
        mut self,
        txn: &mut WriteTxn<'_>,
        ctx: &Ctx,
        mut clearance: Clearance,
        command: Command,
        why: &ChangeStamp,
    ) -> Result<u64, RegistryError> {
        let mut subjects = vec![Subject::of_version(&self.prompt.name, self.version.number)];
        subjects.extend(self.deployments.iter().map(moved));
        let mut audited: Vec<AuditChange> = self.deployments.iter().map(AuditChange::of_deployment).collect();
        if self.created {
            let (name, number) = (&self.prompt.name, self.version.number);
            let (prompt, content_id) = (name.clone(), self.version.content_id);
            audited.insert(0, AuditChange::Version { prompt, version: number, content_id });
            keep_findings(txn, &ctx.rules, name, number, &self.findings)?;
            if !self.makers.is_empty() {
                txn.put((name, number), &Contributors(self.makers.clone()))?;
            }
            clearance = clearance.and(Clearance::of_findings(&self.findings));
        }
        self.changes.push(Change::Prompt(self.prompt));
        let mut audit = ctx.audit(clearance, command, subjects, why.message.clone(), audited);
        if command == Command::Import {
            audit = why.imported(audit);
        }
        commit(txn, ctx, self.changes, audit, &self.deployments, None)
    }
}

/// A prompt before its first version.
fn first(name: &PromptName, at: Timestamp) -> Prompt {
    Prompt { name: name.clone(), created: at, changed: at, latest: 0, removed: None }
}
