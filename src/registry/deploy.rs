//! Deploying: what labels serve, moved all at once or not at all.

use std::collections::BTreeMap;

use super::{Actor, Registry, RegistryError, check_message, live_prompt};
use crate::api::limits::MOVES_MAX;
use crate::api::write::{DeployRequest, Deployed, Move, RollbackRequest, ServingRequest, SplitRequest, Why};
use crate::experiment::assignment::allocate;
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::serving::{RULE_ATTRIBUTES_MAX, RULES_MAX, Rule, SERVING_TEXT_BYTES_MAX, Serving, Split, Target};
use crate::model::time::Timestamp;
use crate::store::query::Queries;
use crate::store::write::{AuditDraft, Change, WriteTxn};

impl Registry {
    /// Moves labels; those that already serve what they shall are left alone.
    ///
    /// # Errors
    /// The actor may not; a prompt, version or serving is refused; or the store fails.
    pub async fn deploy(&self, actor: &Actor, request: DeployRequest) -> Result<Deployed, RegistryError> {
        actor.authorise("deploy")?;
        let message = check_message(&request.message)?;
        let (count, max) = (request.moves.len(), MOVES_MAX);
        if count == 0 {
            return Err(RegistryError::NothingToDeploy);
        }
        if count > max {
            return Err(RegistryError::TooMany { what: "moves", count, max });
        }
        let by = actor.name.clone();
        self.command(move |txn, now| {
            let moves = |txn: &WriteTxn<'_>| {
                let mut plans = Vec::with_capacity(request.moves.len());
                for Move { name, label, serving } in request.moves {
                    live_prompt(txn, &name)?;
                    let serving = build(txn, &name, &label, serving)?;
                    plans.push((name, label, serving));
                }
                Ok(plans)
            };
            move_labels(txn, now, by, message, Action::Deploy, moves)
        })
        .await
    }

    /// Serves again what a label served before: the last different serving, or one version.
    ///
    /// # Errors
    /// The actor may not, there is nothing to go back to, it was retired, or the store fails.
    pub async fn rollback(
        &self,
        actor: &Actor,
        name: PromptName,
        label: Label,
        request: RollbackRequest,
    ) -> Result<Deployed, RegistryError> {
        actor.authorise("roll back")?;
        let message = check_message(&request.message)?;
        let by = actor.name.clone();
        self.command(move |txn, now| {
            let moves = |txn: &WriteTxn<'_>| {
                live_prompt(txn, &name)?;
                let serving = match request.to {
                    Some(version) => Serving::version(version),
                    None => previous_serving(txn, &name, &label)?,
                };
                Ok(vec![(name, label, serving)])
            };
            move_labels(txn, now, by, message, Action::Rollback, moves)
        })
        .await
    }

    /// Takes a label away; what asks for it gets an error from then on.
    ///
    /// # Errors
    /// The actor may not, there is no such label, or the store fails.
    pub async fn unlabel(
        &self,
        actor: &Actor,
        name: PromptName,
        label: Label,
        request: Why,
    ) -> Result<Deployed, RegistryError> {
        actor.authorise("remove labels")?;
        let message = check_message(&request.message)?;
        let by = actor.name.clone();
        self.command(move |txn, now| {
            let prompt = live_prompt(txn, &name)?;
            let at = now.max(prompt.changed);
            let absent = || RegistryError::LabelNotFound { name: name.clone(), label: label.clone() };
            let state = txn.label(&name, &label)?.ok_or_else(absent)?;
            let deployment = Deployment {
                id: txn.next_seq(),
                name: name.clone(),
                label: label.clone(),
                at,
                actor: by.clone(),
                message: message.clone(),
                action: Action::Unlabel,
                from: Some(state.serving),
                to: None,
            };
            let changes = vec![
                Change::Unlabel(name.clone(), label.clone()),
                Change::Deployment(deployment.clone()),
                Change::Prompt(Prompt { changed: at, ..prompt }),
            ];
            let subjects = vec![format!("{name}@{label}")];
            txn.commit(now, changes, AuditDraft { actor: by, command: "unlabel", subjects, message })?;
            Ok(Deployed { deployments: vec![deployment] })
        })
        .await
    }
}

/// Plans moves, checks that no label moves twice, and commits what changes something.
fn move_labels(
    txn: &mut WriteTxn<'_>,
    now: Timestamp,
    by: String,
    message: String,
    action: Action,
    moves: impl FnOnce(&WriteTxn<'_>) -> Result<Vec<(PromptName, Label, Serving)>, RegistryError>,
) -> Result<Deployed, RegistryError> {
    let mut moves = moves(txn)?;
    moves.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    if let Some([first, _]) =
        moves.windows(2).find_map(|pair| <&[_; 2]>::try_from(pair).ok().filter(|[a, b]| (&a.0, &a.1) == (&b.0, &b.1)))
    {
        return Err(RegistryError::MovedTwice { name: first.0.clone(), label: first.1.clone() });
    }
    let mut changes = Vec::new();
    let mut deployments = Vec::new();
    let mut prompts: BTreeMap<PromptName, Prompt> = BTreeMap::new();
    for (name, label, serving) in moves {
        let prompt = live_prompt(txn, &name)?;
        let at = now.max(prompt.changed);
        let mut mover = Mover::new(&by, &message, at, txn.next_seq());
        let moved = mover.go(txn, &name, &label, serving, action)?;
        if !moved.is_empty() {
            prompts.insert(name, Prompt { changed: at, ..prompt });
        }
        changes.extend(moved);
        deployments.extend(mover.deployments);
    }
    changes.extend(prompts.into_values().map(Change::Prompt));
    if !deployments.is_empty() {
        let command = if action == Action::Rollback { "rollback" } else { "deploy" };
        let subjects = served_versions(&changes).collect();
        txn.commit(now, changes, AuditDraft { actor: by, command, subjects, message })?;
    }
    Ok(Deployed { deployments })
}

/// Moves labels under one deployment.
pub(super) struct Mover<'a> {
    actor: &'a str,
    message: &'a str,
    at: Timestamp,
    id: u64,
    /// The version that the same commit publishes: served before it can be read.
    publishes: Option<u64>,
    /// What has been moved so far.
    pub(super) deployments: Vec<Deployment>,
}

impl<'a> Mover<'a> {
    pub(super) const fn new(actor: &'a str, message: &'a str, at: Timestamp, id: u64) -> Self {
        Self { actor, message, at, id, publishes: None, deployments: Vec::new() }
    }

    /// The same, in a commit that publishes this version.
    pub(super) fn publishing(self, number: u64) -> Self {
        Self { publishes: Some(number), ..self }
    }

    /// Moves one label; no change when it serves that already.
    pub(super) fn go(
        &mut self,
        txn: &WriteTxn<'_>,
        name: &PromptName,
        label: &Label,
        serving: Serving,
        action: Action,
    ) -> Result<Vec<Change>, RegistryError> {
        if label.is_latest() {
            return Err(RegistryError::LatestIsAutomatic);
        }
        let latest = txn.prompt(name)?.map_or(0, |prompt| prompt.latest);
        for number in serving.versions() {
            match txn.version(name, number)? {
                Some(version) => {
                    if let Some(retired) = version.retired {
                        let (by, why) = (retired.actor, retired.message);
                        return Err(RegistryError::VersionRetired { name: name.clone(), number, by, why });
                    }
                }
                None if self.publishes == Some(number) => {}
                None => return Err(RegistryError::VersionNotFound { name: name.clone(), number, latest }),
            }
        }
        let from = txn.label(name, label)?.map(|state| state.serving);
        if from.as_ref() == Some(&serving) {
            return Ok(Vec::new());
        }
        let state = LabelState { label: label.clone(), serving: serving.clone(), deployment: self.id, since: self.at };
        let deployment = Deployment {
            id: self.id,
            name: name.clone(),
            label: label.clone(),
            at: self.at,
            actor: self.actor.to_owned(),
            message: self.message.to_owned(),
            action,
            from,
            to: Some(serving),
        };
        self.deployments.push(deployment.clone());
        Ok(vec![Change::Label(name.clone(), state), Change::Deployment(deployment)])
    }
}

/// What the deployments among some changes put where, for the audit log.
pub(super) fn served_versions(changes: &[Change]) -> impl Iterator<Item = String> {
    changes.iter().filter_map(|change| match change {
        Change::Deployment(deployment) => {
            let to = deployment.to.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            Some(format!("{}@{} → {to}", deployment.name, deployment.label))
        }
        _ => None,
    })
}

/// The last serving of a label that differs from what it serves now.
fn previous_serving(txn: &WriteTxn<'_>, name: &PromptName, label: &Label) -> Result<Serving, RegistryError> {
    let now = txn.label(name, label)?.map(|state| state.serving);
    let mut previous = None;
    txn.visit_deployments(name, label, u64::MAX, &mut |deployment| {
        previous = deployment.to.filter(|serving| Some(serving) != now.as_ref());
        Ok(if previous.is_some() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) })
    })?;
    previous.ok_or_else(|| RegistryError::NothingToRollBack { name: name.clone(), label: label.clone() })
}

/// Makes a serving of a request: checks its limits, and lays splits out over their slots.
fn build(
    txn: &WriteTxn<'_>,
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
            return Err(refuse("a rule without attributes would always match; make it the default"));
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
        rules.push(Rule { target: target(txn, before, rule.version, rule.split, &refuse)?, when: rule.when });
    }
    let before = current.as_ref().map(|serving| &serving.default);
    Ok(Serving { rules, default: target(txn, before, request.version, request.split, &refuse)? })
}

fn target(
    txn: &WriteTxn<'_>,
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
            let salt = salt.unwrap_or_else(|| format!("d{}", txn.next_seq()));
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
