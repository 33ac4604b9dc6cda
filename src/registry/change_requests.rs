//! Change requests: opened, reviewed, and deployed when all requirements are met.

mod applying;
mod proposal;
mod showing;

use std::collections::BTreeSet;

pub(super) use self::applying::stop_automatic;
pub(super) use self::showing::review_of;

use self::applying::{apply, apply_if_complete, waits_for};
use self::proposal::{Proposal, four_eyes, places, propose, reviewers};
use super::clearance::Clearance;
use super::command::Attempt;
use super::label_move::MoveOptions;
use super::stored_requests::{absent, authorise_all, event, keep, open, open_requests, record, room};
use super::{Actor, Registry, RegistryError, check_message};
use crate::api::govern::{AmendRequest, ApplyRequest, ProposeRequest, ReviewRequest};
use crate::api::limits::EXPIRES_DAYS_MAX;
use crate::api::write::Deployed;
use crate::governance::rulebook::ITSELF;
use crate::model::audit::{Command, Subject};
use crate::model::change_request::{ChangeRequest, EventKind, RequestState};
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::store::documents::Documents;
use crate::store::meta;

/// Default time until a change request expires, in days.
const EXPIRES_DAYS: u32 = 30;
const DAY_MS: i64 = 24 * 3_600_000;
/// Most open change requests of a registry; each deployment to a protected label checks all of them.
const OPEN_MAX: usize = 1_000;
/// Limit per author, so that one cannot use up the limit of all.
const OPEN_EACH_MAX: usize = 50;

impl Registry {
    /// Opens a change request: publishes its version, if it has one, and waits for reviews.
    ///
    /// # Errors
    /// The actor is not allowed to publish there, the proposal is invalid, too many are open, or the store fails.
    pub async fn propose(&self, actor: &Actor, request: ProposeRequest) -> Result<ChangeRequest, RegistryError> {
        let message = check_message(&request.message)?;
        let days = request.expires_days.unwrap_or(EXPIRES_DAYS);
        if !(1..=EXPIRES_DAYS_MAX).contains(&days) {
            return Err(RegistryError::Unfit(format!("a change request is open for 1 to {EXPIRES_DAYS_MAX} days")));
        }
        let about = Attempt::new(Command::Propose, places(request.publish.as_ref(), &request.moves), &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let open = open_requests(txn)?;
            let mine = open.iter().filter(|request| request.author == ctx.actor.name).count() + 1;
            for (what, count, max) in [
                ("open change requests", open.len() + 1, OPEN_MAX),
                ("open change requests of one author", mine, OPEN_EACH_MAX),
            ] {
                if count > max {
                    return Err(RegistryError::TooMany { what, count, max });
                }
            }
            let reviewers = reviewers(txn, ctx, request.reviewers)?;
            let Proposal { moves, clearance } = propose(txn, ctx, granted, request.publish, request.moves, &message)?;
            let id = txn.meta(&meta::CHANGE_REQUESTS)?.unwrap_or_default() + 1;
            txn.put_meta(&meta::CHANGE_REQUESTS, &id)?;
            let request = ChangeRequest {
                id,
                message: message.clone(),
                author: ctx.actor.name.clone(),
                created: ctx.now,
                commit: txn.next_seq(),
                expires: Timestamp::from_ms(ctx.now.ms() + i64::from(days) * DAY_MS),
                state: RequestState::Open,
                moves,
                automatic: request.automatic,
                reviewers,
                events: Vec::new(),
                deployment: None,
            };
            keep(txn, &request)?;
            // Receivers of webhooks, such as Slack, show the reviewers.
            let asks = if request.reviewers.is_empty() { "" } else { "\nasked to review: " };
            let said = format!("{message}{asks}{}", request.reviewers.join(", "));
            record(txn, ctx, clearance, Command::Propose, &request, said)?;
            Ok(request)
        })
        .await
    }

    /// The open change request that proposes one deployment alone: this version for this label.
    ///
    /// # Errors
    /// The store fails.
    pub fn open_request_for(
        &self,
        prompt: &PromptName,
        label: &Label,
        version: u64,
    ) -> Result<Option<ChangeRequest>, RegistryError> {
        let wanted = Serving::version(version);
        let is_it = |request: &ChangeRequest| match request.moves.as_slice() {
            [one] => one.name == *prompt && one.label == *label && one.serving == wanted,
            _ => false,
        };
        let now = self.commit_time()?;
        let open = open_requests(&self.0.store.read()?)?;
        Ok(open.into_iter().find(|request| request.expires > now && is_it(request)))
    }

    /// Replaces the proposal of a change request; approvals of other content do not count for it.
    ///
    /// # Errors
    /// The actor is not allowed to publish there, the request is closed, the proposal is invalid, or the store fails.
    pub async fn amend(&self, actor: &Actor, id: u64, request: AmendRequest) -> Result<ChangeRequest, RegistryError> {
        let message = check_message(&request.message)?;
        let about = Attempt::new(Command::Amend, places(request.publish.as_ref(), &request.moves), &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let mut found = open(txn, ctx, id)?;
            let granted = granted.and(authorise_all(ctx, &found, Permission::Publish)?);
            room(&found, EventKind::Amend)?;
            let Proposal { moves, clearance } = propose(txn, ctx, granted, request.publish, request.moves, &message)?;
            found.moves = moves;
            let fingerprints = found.moves.iter().map(|one| one.fingerprint.clone()).collect();
            found.events.push(event(txn, ctx, EventKind::Amend, &message, Vec::new(), fingerprints));
            keep(txn, &found)?;
            record(txn, ctx, clearance, Command::Amend, &found, message)?;
            Ok(found)
        })
        .await
    }

    /// Approves, rejects, comments on or withdraws a change request.
    ///
    /// # Errors
    /// The actor lacks permission or contributed to the change; the request is closed or was amended; or the store
    /// fails.
    pub async fn review(&self, actor: &Actor, id: u64, request: ReviewRequest) -> Result<ChangeRequest, RegistryError> {
        let message = request.message.trim().to_owned();
        let characters = message.chars().count();
        if characters > MESSAGE_CHARACTERS_MAX {
            return Err(RegistryError::MessageTooLong { characters });
        }
        let command = match request.kind {
            EventKind::Approve => Command::Approve,
            EventKind::Reject | EventKind::Comment | EventKind::Withdraw if message.is_empty() => {
                return Err(RegistryError::MessageMissing);
            }
            EventKind::Reject => Command::Reject,
            EventKind::Comment => Command::Comment,
            EventKind::Withdraw => Command::Withdraw,
            EventKind::Amend | EventKind::Apply | EventKind::Expire => {
                let said = "a change request is approved, rejected, commented on or withdrawn here";
                return Err(RegistryError::Unfit(said.to_owned()));
            }
        };
        let (about, held) = (self.about(command, id, Some(&message))?, self.automation_is_held());
        self.command(actor, about, move |txn, ctx, granted| {
            let mut found = open(txn, ctx, id)?;
            room(&found, request.kind)?;
            let (mut roles, mut fingerprints) = (BTreeSet::new(), Vec::new());
            let clearance = match request.kind {
                EventKind::Approve | EventKind::Reject => {
                    let reviews = authorise_all(ctx, &found, Permission::Review)?;
                    let now: BTreeSet<&String> = found.moves.iter().map(|one| &one.fingerprint).collect();
                    // An approval only counts for what the reviewer saw.
                    let looked = request.kind == EventKind::Approve || !request.fingerprints.is_empty();
                    if looked && now != request.fingerprints.iter().collect() {
                        return Err(RegistryError::RequestMoved { id });
                    }
                    for one in &found.moves {
                        let (name, label) = (Some(one.name.as_str()), Some(one.label.as_str()));
                        roles.extend(ctx.rules.book.roles_of(&ctx.actor.ask(Permission::Review, name, label)));
                        fingerprints.push(one.fingerprint.clone());
                        if request.kind == EventKind::Approve {
                            four_eyes(txn, &ctx.rules, &ctx.actor.name, &found, one)?;
                        }
                    }
                    reviews
                }
                EventKind::Withdraw if found.author == ctx.actor.name => {
                    let reads = authorise_all(ctx, &found, Permission::Read)?;
                    reads.and(Clearance::because("it is the caller's own".to_owned()))
                }
                EventKind::Withdraw => {
                    let reason = format!("only `{}` can withdraw change request {id}; reject it instead", found.author);
                    return Err(RegistryError::denied_to(&ctx.actor.name, reason));
                }
                _ => authorise_all(ctx, &found, Permission::Read)?,
            };
            found.events.push(event(txn, ctx, request.kind, &message, roles.into_iter().collect(), fingerprints));
            match request.kind {
                EventKind::Reject => found.state = RequestState::Rejected,
                EventKind::Withdraw => found.state = RequestState::Withdrawn,
                _ => {}
            }
            keep(txn, &found)?;
            record(txn, ctx, granted.and(clearance), command, &found, message)?;
            if request.kind == EventKind::Approve && found.automatic && !held {
                apply_if_complete(txn, ctx, &found)?;
            }
            txn.get::<ChangeRequest>(id)?.ok_or_else(|| absent(id))
        })
        .await
    }

    /// Deploys what a change request proposes.
    ///
    /// # Errors
    /// The actor is not allowed to deploy there, a requirement is not met, the request is closed, or the store fails.
    pub async fn apply(&self, actor: &Actor, id: u64, request: ApplyRequest) -> Result<Deployed, RegistryError> {
        let given = if request.message.trim().is_empty() { None } else { Some(check_message(&request.message)?) };
        let about = self.about(Command::Deploy, id, given.as_deref())?;
        self.command(actor, about, move |txn, ctx, granted| {
            let found = open(txn, ctx, id)?;
            let message = given.unwrap_or_else(|| found.message.clone());
            let ApplyRequest { allow_major, break_glass, .. } = request;
            let terms = MoveOptions { allow_major, break_glass, ..MoveOptions::of(&message) };
            apply(txn, ctx, granted, &found, terms)
        })
        .await
    }

    /// Deploys no change request by itself from now on, also not when its last approval comes; said once, before anything
    /// is served.
    pub fn hold_automation(&self) {
        let _said_before = self.0.automation_held.set(());
    }

    /// Whether change requests are not deployed by themselves.
    fn automation_is_held(&self) -> bool {
        self.0.automation_held.get().is_some()
    }

    /// Expires overdue change requests, and applies automatic ones whose requirements are met.
    pub async fn tend_change_requests(&self) -> Result<(), RegistryError> {
        if !self.change_request_is_due()? {
            return Ok(());
        }
        let itself = Actor::automation(ITSELF, "schedule");
        self.command(&itself, Attempt::new(Command::Expire, [], ""), |txn, ctx, granted| {
            for mut request in open_requests(txn)? {
                if request.expires <= ctx.now {
                    request.state = RequestState::Expired;
                    request.events.push(event(txn, ctx, EventKind::Expire, "", Vec::new(), Vec::new()));
                    keep(txn, &request)?;
                    record(txn, ctx, granted.clone(), Command::Expire, &request, String::new())?;
                } else if request.automatic {
                    apply_if_complete(txn, ctx, &request)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether a change request has expired, or an automatic one can be applied.
    fn change_request_is_due(&self) -> Result<bool, RegistryError> {
        let (txn, known) = (self.0.store.read()?, self.0.known.load());
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        for request in open_requests(&txn)? {
            if request.expires <= now {
                return Ok(true);
            }
            if request.automatic && waits_for(&txn, &known.rules, &request, now)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the log records of a refusal: the moves of the request, if it exists.
    fn about(&self, command: Command, id: u64, message: Option<&str>) -> Result<Attempt, RegistryError> {
        let found = self.0.store.read()?.get::<ChangeRequest>(id)?;
        let Some(found) = found else {
            return Ok(Attempt::new(command, [Subject::ChangeRequest { number: id }], message.unwrap_or_default()));
        };
        let places = found.moves.iter().map(|one| Subject::of_label(&one.name, &one.label, Some(one.serving.clone())));
        Ok(Attempt::new(command, places, message.unwrap_or(&found.message)).of_request(id))
    }
}
