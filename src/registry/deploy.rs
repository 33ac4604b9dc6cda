//! Deploying to labels, all at once or not at all.

use std::collections::BTreeMap;

use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::commit::commit;
use super::downstream::downstream_suites;
use super::label_move::{LabelMove, MoveOptions, PendingVersion, PlannedMove};
use super::move_policy::authorize_move;
use super::{Actor, Registry, RegistryError, check_message, live_prompt, time_of_change};
use crate::api::limits::MOVES_MAX;
use crate::api::write::{DeployRequest, Deployed, MessageRequest, Move, ServingRequest, SplitRequest};
use crate::experiment::assignment::allocate;
use crate::model::audit::{AuditChange, Command, Subject};
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::prompt::{LabelState, Prompt};
use crate::model::serving::{RULE_ATTRIBUTES_MAX, RULES_MAX, Rule, SERVING_TEXT_BYTES_MAX, Serving, Split, Target};
use crate::model::time::Timestamp;
use crate::store::query::Queries;
use crate::store::write::{Change, WriteTxn};

impl Registry {
    /// Deploys to labels; those that already serve it are left unchanged.
    ///
    /// # Errors
    /// The actor lacks permission, or a policy is not met; a prompt, version or serving is invalid; or the store fails.
    pub async fn deploy(&self, actor: &Actor, request: DeployRequest) -> Result<Deployed, RegistryError> {
        let message = check_message(&request.message)?;
        check_moves(&request.moves)?;
        let terms = MoveOptions {
            allow_major: request.allow_major,
            break_glass: request.break_glass,
            ..MoveOptions::of(&message)
        };
        let places = request.moves.iter().map(asked);
        let about = Attempt::new(Command::Deploy, places, &message);
        self.command(actor, about, move |txn, ctx, mut granted| {
            let mut moves = Vec::with_capacity(request.moves.len());
            for Move { name, label, serving, expected_deployment } in request.moves {
                granted = granted.and(ctx.authorise(Permission::Deploy, Some(&name), Some(&label))?);
                live_prompt(txn, &name)?;
                check_unmoved(txn, &name, &label, expected_deployment)?;
                let serving = build(txn, txn.next_seq(), &name, &label, serving)?;
                moves.push(PlannedMove { name, label, serving });
            }
            move_labels(txn, ctx, granted, &terms, Action::Deploy, moves)
        })
        .await
    }

    /// Removes a label; callers that use it then get an error.
    ///
    /// # Errors
    /// The actor lacks permission, the label does not exist, or the store fails.
    pub async fn unlabel(
        &self,
        actor: &Actor,
        name: PromptName,
        label: Label,
        request: MessageRequest,
    ) -> Result<Deployed, RegistryError> {
        let message = check_message(&request.message)?;
        let about = Attempt::new(Command::Unlabel, [Subject::of_label(&name, &label, None)], &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Deploy, Some(&name), Some(&label))?);
            let prompt = live_prompt(txn, &name)?;
            let at = time_of_change(ctx.now, prompt.changed);
            let absent = || RegistryError::LabelNotFound { name: name.clone(), label: label.clone() };
            let state = txn.label(&name, &label)?.ok_or_else(absent)?;
            let wanted = LabelMove::new((&name, &label), Some(&state.serving), None);
            let terms = MoveOptions { stops: true, ..MoveOptions::of(&message) };
            let clearance = granted.and(authorize_move(txn, ctx, &wanted, &terms)?);
            let deployment = Deployment {
                id: txn.next_seq(),
                name: name.clone(),
                label: label.clone(),
                at,
                actor: ctx.actor.name.clone(),
                message: message.clone(),
                action: Action::Unlabel,
                from: Some(state.serving),
                to: None,
                approved_by: Vec::new(),
                change_request: None,
            };
            let audited = vec![AuditChange::of_deployment(&deployment)];
            let changes = vec![
                Change::Unlabel(name.clone(), label.clone()),
                Change::Deployment(deployment.clone()),
                Change::Prompt(Prompt { changed: at, ..prompt }),
            ];
            let subjects = vec![Subject::of_label(&name, &label, None)];
            let audit = ctx.audit(clearance, Command::Unlabel, subjects, message, audited);
            txn.commit(ctx.now, changes, audit)?;
            Ok(Deployed { deployments: vec![deployment], ..Deployed::default() })
        })
        .await
    }
}

/// Refuses to deploy to a label that changed since the caller read it.
pub(super) fn check_unmoved(
    txn: &impl Queries,
    name: &PromptName,
    label: &Label,
    expected: Option<u64>,
) -> Result<(), RegistryError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = txn.label(name, label)?.map_or(0, |state| state.deployment);
    if found == expected {
        return Ok(());
    }
    Err(RegistryError::LabelMoved { place: format!("{name}@{label}"), expected, found })
}

/// Checks how many moves a request has.
pub(super) fn check_moves(moves: &[Move]) -> Result<(), RegistryError> {
    match moves.len() {
        0 => Err(RegistryError::NothingToDeploy),
        count if count > MOVES_MAX => Err(RegistryError::TooMany { what: "moves", count, max: MOVES_MAX }),
        _ => Ok(()),
    }
}

/// Checks that no label moves twice and that each move is allowed, and commits those that change something.
pub(super) fn move_labels(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    terms: &MoveOptions,
    action: Action,
    moves: Vec<PlannedMove>,
) -> Result<Deployed, RegistryError> {
    let allowed = authorize_moves(txn, ctx, granted, terms, action, moves)?;
    if allowed.deployments.is_empty() { Ok(Deployed::default()) } else { allowed.commit(txn, ctx, terms, action) }
}

/// Moves that are allowed, and why.
pub(super) struct AllowedMoves {
    pub(super) clearance: Clearance,
    /// Those that change something.
    pub(super) deployments: Vec<Deployment>,
    prompts: BTreeMap<PromptName, Prompt>,
}

/// Checks that no label moves twice and that each move is allowed.
pub(super) fn authorize_moves(
    txn: &WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    terms: &MoveOptions,
    action: Action,
    mut moves: Vec<PlannedMove>,
) -> Result<AllowedMoves, RegistryError> {
    PlannedMove::sort(&mut moves)?;
    let mut allowed = AllowedMoves { clearance: granted, deployments: Vec::new(), prompts: BTreeMap::new() };
    for one in moves {
        let prompt = live_prompt(txn, &one.name)?;
        let at = time_of_change(ctx.now, prompt.changed);
        let mover = Mover { actor: &ctx.actor.name, at, id: txn.next_seq(), fresh: None };
        let AllowedMove { deployment, clearance } = mover.authorize(txn, ctx, terms, one, action)?;
        allowed.clearance = allowed.clearance.and(clearance);
        if let Some(deployment) = deployment {
            allowed.prompts.insert(deployment.name.clone(), Prompt { changed: at, ..prompt });
            allowed.deployments.push(deployment);
        }
    }
    Ok(allowed)
}

impl AllowedMoves {
    /// Commits them under one audit entry.
    pub(super) fn commit(
        self,
        txn: &mut WriteTxn<'_>,
        ctx: &Ctx,
        terms: &MoveOptions,
        action: Action,
    ) -> Result<Deployed, RegistryError> {
        let Self { clearance, deployments, prompts } = self;
        let changes = changes_of(&deployments).chain(prompts.into_values().map(Change::Prompt)).collect();
        let command = if action == Action::Rollback { Command::Rollback } else { Command::Deploy };
        let subjects = deployments.iter().map(moved).collect();
        let audited = deployments.iter().map(AuditChange::of_deployment).collect();
        let audit = ctx.audit(clearance, command, subjects, terms.message.clone(), audited);
        let reads = |name: &str| ctx.rules.reads(&ctx.actor, name);
        let mut downstream = Vec::new();
        for Deployment { name, label, from, to, .. } in &deployments {
            let moved = LabelMove::new((name, label), from.as_ref(), to.as_ref());
            downstream.extend(downstream_suites(txn, &ctx.rules, &moved, &reads)?);
        }
        downstream.retain(|one| !one.passed);
        commit(txn, ctx, changes, audit, &deployments, terms.applies)?;
        Ok(Deployed { deployments, downstream })
    }
}

/// The changes of deployments to what labels serve.
pub(super) fn changes_of(deployments: &[Deployment]) -> impl Iterator<Item = Change> {
    deployments.iter().flat_map(|deployment| {
        let state = deployment.to.clone().map(|serving| LabelState {
            label: deployment.label.clone(),
            serving,
            deployment: deployment.id,
            since: deployment.at,
        });
        let moved = state.map(|state| Change::Label(deployment.name.clone(), state));
        moved.into_iter().chain([Change::Deployment(deployment.clone())])
    })
}

/// Moves labels under one deployment.
pub(super) struct Mover<'a> {
    pub(super) actor: &'a str,
    pub(super) at: Timestamp,
    pub(super) id: u64,
    /// The version that the same commit publishes.
    pub(super) fresh: Option<PendingVersion<'a>>,
}

/// A move that is allowed, and why.
pub(super) struct AllowedMove {
    /// Absent if the label already serves that.
    pub(super) deployment: Option<Deployment>,
    pub(super) clearance: Clearance,
}

impl Mover<'_> {
    /// Decides whether one move is allowed.
    pub(super) fn authorize(
        &self,
        txn: &WriteTxn<'_>,
        ctx: &Ctx,
        terms: &MoveOptions,
        PlannedMove { name, label, serving }: PlannedMove,
        action: Action,
    ) -> Result<AllowedMove, RegistryError> {
        if label.is_latest() {
            return Err(RegistryError::LatestIsAutomatic);
        }
        let fresh = self.fresh;
        let latest = txn.prompt(&name)?.map_or(0, |prompt| prompt.latest);
        for number in serving.versions() {
            match txn.version(&name, number)? {
                Some(version) => {
                    if let Some(retired) = version.retired {
                        let (by, why) = (retired.actor, retired.message);
                        return Err(RegistryError::VersionRetired { name, number, by, why });
                    }
                    if let Some(at) = version.archived {
                        return Err(RegistryError::VersionArchived { name, number, at });
                    }
                }
                None if fresh.is_some_and(|fresh| fresh.version.number == number) => {}
                None => return Err(RegistryError::VersionNotFound { name, number, latest }),
            }
        }
        let from = txn.label(&name, &label)?.map(|state| state.serving);
        if from.as_ref() == Some(&serving) {
            let clearance = ctx.authorise(Permission::Deploy, Some(&name), Some(&label))?;
            return Ok(AllowedMove { deployment: None, clearance });
        }
        let wanted = LabelMove { fresh, ..LabelMove::new((&name, &label), from.as_ref(), Some(&serving)) };
        let clearance = authorize_move(txn, ctx, &wanted, terms)?;
        let deployment = Deployment {
            id: self.id,
            name,
            label,
            at: self.at,
            actor: self.actor.to_owned(),
            message: terms.message.clone(),
            action,
            from,
            to: Some(serving),
            approved_by: clearance.approved_by.iter().cloned().collect(),
            change_request: clearance.change_request.or(terms.applies),
        };
        Ok(AllowedMove { deployment: Some(deployment), clearance })
    }
}

/// The label of a move and what it asks for, if that does not depend on what is served.
pub(super) fn asked(one: &Move) -> Subject {
    let ServingRequest { rules, version, split } = &one.serving;
    let fixed = version.filter(|_| rules.is_empty() && split.is_none());
    Subject::of_label(&one.name, &one.label, fixed.map(Serving::version))
}

/// The label of a deployment, for the audit log.
pub(super) fn moved(deployment: &Deployment) -> Subject {
    Subject::of_label(&deployment.name, &deployment.label, deployment.to.clone())
}

/// Converts the serving of a request: checks its limits, and assigns slots to splits.
///
/// A new split without a salt gets one from `next_seq`.
pub(super) fn build<Q: Queries>(
    txn: &Q,
    next_seq: u64,
    name: &PromptName,
    label: &Label,
    request: ServingRequest,
) -> Result<Serving, RegistryError> {
    let refuse =
        |reason: &str| RegistryError::Serving { name: name.clone(), label: label.clone(), reason: reason.to_owned() };
    let current = txn.label(name, label)?.map(|state| state.serving);
    let current_rules = current.as_ref().map_or(&[][..], |serving| &serving.rules);
    let (count, max) = (request.rules.len(), RULES_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "rules", count, max });
    }
    let mut rules = Vec::with_capacity(count);
    for rule in request.rules {
        if rule.when.is_empty() {
            return Err(refuse("a rule without attributes always matches; make it the default"));
        }
        let (count, max) = (rule.when.len(), RULE_ATTRIBUTES_MAX);
        if count > max {
            return Err(RegistryError::TooMany { what: "attributes in a rule", count, max });
        }
        if rule
            .when
            .iter()
            .any(|(name, pattern)| name.is_empty() || name.len().max(pattern.len()) > SERVING_TEXT_BYTES_MAX)
        {
            return Err(refuse("an attribute's name is empty, or it or its pattern is longer than 200 bytes"));
        }
        let before = current_rules.iter().find(|before| before.when == rule.when).map(|before| &before.target);
        rules.push(Rule { target: target(next_seq, before, rule.version, rule.split, &refuse)?, when: rule.when });
    }
    let before = current.as_ref().map(|serving| &serving.default);
    Ok(Serving { rules, default: target(next_seq, before, request.version, request.split, &refuse)? })
}

fn target(
    next_seq: u64,
    before: Option<&Target>,
    version: Option<u64>,
    split: Option<SplitRequest>,
    refuse: &dyn Fn(&str) -> RegistryError,
) -> Result<Target, RegistryError> {
    match (version, split) {
        (Some(0), None) => Err(refuse("versions count from 1")),
        (Some(version), None) => Ok(Target::Version(version)),
        (None, Some(request)) => {
            let before = before.and_then(|target| match target {
                Target::Split(split) => Some(split),
                Target::Version(_) => None,
            });
            let salt = request.salt.or_else(|| before.map(|split| split.salt.clone()));
            let salt = salt.unwrap_or_else(|| format!("d{next_seq}"));
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if salt.is_empty() || salt.len() > SERVING_TEXT_BYTES_MAX || !salt.bytes().all(allowed) {
                return Err(refuse("a salt is 1 to 200 of A-Z a-z 0-9 _ -"));
            }
            let same_salt = before.filter(|split| split.salt == salt).map(|split| split.slots.as_slice());
            let slots = allocate(same_salt, &request.weights)?;
            Ok(Target::Split(Split { salt, slots }))
        }
        (Some(_), Some(_)) => Err(refuse("it has both `version` and `split`")),
        (None, None) => Err(refuse("it has neither `version` nor `split`")),
    }
}
