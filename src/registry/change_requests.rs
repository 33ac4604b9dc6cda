//! Change requests: proposed, reviewed, and applied when nothing is missing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::access::Rules;
use super::command::{Ctx, Subject};
use super::deploy::{build, check_moves, check_unmoved, move_labels};
use super::guard::{self, Terms, Wanted, look, open_requests, proposed, used_by};
use super::makers::{makers_of_move, proposers};
use super::publish::publish;
use super::rollback::spent_at;
use super::{Actor, Registry, RegistryError, check_message, live_prompt};
use crate::api::govern::{
    AmendRequest, ApplyRequest, InterfaceChange, MoveReview, ProposeRequest, ProposedVersion, RequestPage, RequestView,
    ReviewRequest, Reviewer,
};
use crate::api::limits::{EXPIRES_DAYS_MAX, MOVES_MAX};
use crate::api::write::{Deployed, Move, PublishRequest};
use crate::governance::diff::diff;
use crate::governance::rulebook::{Ask, ITSELF};
use crate::model::change_request::{ChangeRequest, EVENTS_MAX, EventKind, ProposedMove, RequestEvent, RequestState};
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::principal::{HANDLE_BYTES_MAX, Permission, Principal, is_handle};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::MESSAGE_CHARACTERS_MAX;
use crate::resolve::catalogue::live_dependents;
use crate::store::StoreError;
use crate::store::document::{Documents, Shelf, number_key, read};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::write::WriteTxn;

/// How long a change request stays open when nobody says, in days.
const EXPIRES_DAYS: u32 = 30;
const DAY_MS: i64 = 24 * 3_600_000;
/// Open change requests of a registry; each deployment to a protected label looks at all of them.
const OPEN_MAX: usize = 1_000;
/// Of one author, so that nobody keeps the others from proposing.
const OPEN_EACH_MAX: usize = 50;
/// Events of a change request that may be comments, and that may be anything but its end: nobody talks it to death.
const COMMENTS_MAX: usize = 300;
const TALK_MAX: usize = EVENTS_MAX - 20;
/// Who may be asked to review one change request.
const REVIEWERS_MAX: usize = 10;
/// Counts change requests.
const COUNTER: &str = "change_requests";

impl Registry {
    /// Proposes a change: publishes a version, where the request has one, and waits for reviews.
    ///
    /// # Errors
    /// The actor may not publish there, something proposed cannot be, too many are open, or the store fails.
    pub async fn propose(&self, actor: &Actor, request: ProposeRequest) -> Result<ChangeRequest, RegistryError> {
        let message = check_message(&request.message)?;
        let days = request.expires_days.unwrap_or(EXPIRES_DAYS);
        if !(1..=EXPIRES_DAYS_MAX).contains(&days) {
            return Err(RegistryError::Unfit(format!("a change request is open for 1 to {EXPIRES_DAYS_MAX} days")));
        }
        let about = Subject::new("propose", places(request.publish.as_ref(), &request.moves), &message);
        self.command(actor, about, move |txn, ctx| {
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
            let moves = propose(txn, ctx, request.publish, request.moves, &message)?;
            let id = txn.meta(COUNTER)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes) + 1;
            txn.put_meta(COUNTER, &id.to_le_bytes())?;
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
            // Whoever hears of it in Slack or elsewhere reads who is meant.
            let asks = if request.reviewers.is_empty() { "" } else { "\nasked to review: " };
            let said = format!("{message}{asks}{}", request.reviewers.join(", "));
            record(txn, ctx, "propose", &request, said)?;
            Ok(request)
        })
        .await
    }

    /// Proposes something else under the same number; approvals of other content do not count for it.
    ///
    /// # Errors
    /// The actor may not publish there, it is closed, something proposed cannot be, or the store fails.
    pub async fn amend(&self, actor: &Actor, id: u64, request: AmendRequest) -> Result<ChangeRequest, RegistryError> {
        let message = check_message(&request.message)?;
        let about = Subject::new("amend", places(request.publish.as_ref(), &request.moves), &message);
        self.command(actor, about, move |txn, ctx| {
            let mut found = open(txn, ctx, id)?;
            authorise_all(ctx, &found, Permission::Publish)?;
            room(&found, EventKind::Amend)?;
            found.moves = propose(txn, ctx, request.publish, request.moves, &message)?;
            let fingerprints = found.moves.iter().map(|one| one.fingerprint.clone()).collect();
            found.events.push(event(txn, ctx, EventKind::Amend, &message, Vec::new(), fingerprints));
            keep(txn, &found)?;
            record(txn, ctx, "amend", &found, message)?;
            Ok(found)
        })
        .await
    }

    /// Approves, rejects, comments on or withdraws a change request.
    ///
    /// # Errors
    /// The actor may not, or made what they approve; it is closed, or proposes something else by now; or the store fails.
    pub async fn review(&self, actor: &Actor, id: u64, request: ReviewRequest) -> Result<ChangeRequest, RegistryError> {
        let message = request.message.trim().to_owned();
        let characters = message.chars().count();
        if characters > MESSAGE_CHARACTERS_MAX {
            return Err(RegistryError::MessageTooLong { characters });
        }
        let command = match request.kind {
            EventKind::Approve => "approve",
            EventKind::Reject | EventKind::Comment | EventKind::Withdraw if message.is_empty() => {
                return Err(RegistryError::MessageMissing);
            }
            EventKind::Reject => "reject",
            EventKind::Comment => "comment",
            EventKind::Withdraw => "withdraw",
            EventKind::Amend | EventKind::Apply | EventKind::Expire => {
                let said = "a change request is approved, rejected, commented on or withdrawn here";
                return Err(RegistryError::Unfit(said.to_owned()));
            }
        };
        let about = self.about(command, id, Some(&message))?;
        self.command(actor, about, move |txn, ctx| {
            let mut found = open(txn, ctx, id)?;
            room(&found, request.kind)?;
            let (mut roles, mut fingerprints) = (BTreeSet::new(), Vec::new());
            match request.kind {
                EventKind::Approve | EventKind::Reject => {
                    authorise_all(ctx, &found, Permission::Review)?;
                    let now: BTreeSet<&String> = found.moves.iter().map(|one| &one.fingerprint).collect();
                    // Approved is what somebody looked at, and nothing that took its place since.
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
                }
                EventKind::Withdraw if found.author == ctx.actor.name => {
                    authorise_all(ctx, &found, Permission::Read)?;
                    ctx.because("it is their own".to_owned());
                }
                EventKind::Withdraw => {
                    let reason =
                        format!("only `{}` may withdraw the change request {id}; reject it instead", found.author);
                    return Err(RegistryError::Forbidden { actor: ctx.actor.name.clone(), reason, roles: Vec::new() });
                }
                _ => authorise_all(ctx, &found, Permission::Read)?,
            }
            found.events.push(event(txn, ctx, request.kind, &message, roles.into_iter().collect(), fingerprints));
            match request.kind {
                EventKind::Reject => found.state = RequestState::Rejected,
                EventKind::Withdraw => found.state = RequestState::Withdrawn,
                _ => {}
            }
            keep(txn, &found)?;
            record(txn, ctx, command, &found, message)?;
            if request.kind == EventKind::Approve && found.automatic {
                apply_if_complete(txn, ctx, &found)?;
            }
            txn.document(Shelf::ChangeRequest, &number_key(id))?.ok_or_else(|| absent(id))
        })
        .await
    }

    /// Serves what a change request proposes.
    ///
    /// # Errors
    /// The actor may not deploy there, something is missing, it is closed, or the store fails.
    pub async fn apply(&self, actor: &Actor, id: u64, request: ApplyRequest) -> Result<Deployed, RegistryError> {
        let given = if request.message.trim().is_empty() { None } else { Some(check_message(&request.message)?) };
        let about = self.about("deploy", id, given.as_deref())?;
        self.command(actor, about, move |txn, ctx| {
            let found = open(txn, ctx, id)?;
            let message = given.unwrap_or_else(|| found.message.clone());
            let ApplyRequest { allow_major, break_glass, .. } = request;
            let terms = Terms { allow_major, break_glass, ..Terms::of(&message) };
            apply(txn, ctx, &found, &terms)
        })
        .await
    }

    /// Closes change requests whose time is over, and applies those that nothing is missing of any more.
    ///
    /// # Errors
    /// The store fails.
    pub async fn tend_change_requests(&self) -> Result<(), RegistryError> {
        if !self.change_request_is_due()? {
            return Ok(());
        }
        let itself = Actor { name: ITSELF.to_owned(), ..Actor::operator("its own clock") };
        self.command(&itself, Subject::new("expire", [], ""), |txn, ctx| {
            for mut request in open_requests(txn)? {
                if request.expires <= ctx.now {
                    let ctx = ctx.afresh();
                    request.state = RequestState::Expired;
                    request.events.push(event(txn, &ctx, EventKind::Expire, "", Vec::new(), Vec::new()));
                    keep(txn, &request)?;
                    record(txn, &ctx, "expire", &request, String::new())?;
                } else if request.automatic {
                    apply_if_complete(txn, ctx, &request)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether the time of a change request is over, or an automatic one lacks nothing any more and would be applied.
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

    /// Change requests whose prompts somebody may read, newest first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn change_requests(
        &self,
        reads: &dyn Fn(&str) -> bool,
        state: Option<RequestState>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<RequestPage, RegistryError> {
        let txn = self.0.store.read()?;
        let before = match cursor {
            Some(cursor) => {
                cursor.parse::<u64>().map_err(|_| RegistryError::Unfit("the cursor is none of this list".to_owned()))?
            }
            None => u64::MAX,
        };
        let (mut requests, mut next) = (Vec::new(), None);
        txn.visit_documents(Shelf::ChangeRequest, "", "", true, &mut |_, bytes| {
            let request: ChangeRequest = read(bytes)?;
            let shown = request.id < before
                && state.is_none_or(|state| state == request.state)
                && request.moves.iter().all(|one| reads(one.name.as_str()));
            if shown && requests.len() == limit {
                next = requests.last().map(|last: &ChangeRequest| last.id.to_string());
                return Ok(ControlFlow::Break(()));
            }
            if shown {
                requests.push(request);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(RequestPage { items: requests, next })
    }

    /// The open change requests whose prompts somebody may read, newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn open_change_requests(&self, reads: &dyn Fn(&str) -> bool) -> Result<Vec<ChangeRequest>, RegistryError> {
        let mut open = open_requests(&self.0.store.read()?)?;
        open.retain(|request| request.moves.iter().all(|one| reads(one.name.as_str())));
        open.reverse();
        Ok(open)
    }

    /// Why somebody may not approve a change request as it is now; none where they may.
    ///
    /// # Errors
    /// The store fails.
    pub fn approval_barred(&self, actor: &Actor, request: &ChangeRequest) -> Result<Option<String>, RegistryError> {
        let (txn, known) = (self.0.store.read()?, self.0.known.load());
        for one in &request.moves {
            let ask = actor.ask(Permission::Review, Some(one.name.as_str()), Some(one.label.as_str()));
            let verdict = known.rules.book.decide(&ask);
            if !verdict.allowed {
                return Ok(Some(verdict.lacks()));
            }
            match four_eyes(&txn, &known.rules, &actor.name, request, one) {
                Err(RegistryError::Forbidden { reason, .. }) => return Ok(Some(reason)),
                other => other?,
            }
        }
        Ok(None)
    }

    /// One change request, with everything that a reviewer needs.
    ///
    /// # Errors
    /// There is none, its prompts cannot be read, or the store fails.
    pub fn change_request(&self, reads: &dyn Fn(&str) -> bool, id: u64) -> Result<RequestView, RegistryError> {
        let txn = self.0.store.read()?;
        let request: Option<ChangeRequest> = txn.document(Shelf::ChangeRequest, &number_key(id))?;
        let readable = request.filter(|request| request.moves.iter().all(|one| reads(one.name.as_str())));
        let request = readable.ok_or_else(|| absent(id))?;
        let rules = &self.0.known.load().rules;
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        let review = |one: &ProposedMove| {
            let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
            // Whoever is asked to deploy it will hold the right role; the review says what is missing besides.
            let roles = || rules.book.roles.keys().cloned().collect();
            let asked = (request.state == RequestState::Open).then(|| (request.message.as_str(), roles()));
            review_of(&txn, rules, &wanted(one, from.as_ref()), now, asked)
        };
        let mut moves = request.moves.iter().map(review).collect::<Result<Vec<_>, _>>()?;
        for one in &mut moves {
            one.dependents.retain(|one| reads(one.rsplit_once('@').map_or(one, |(name, _)| name)));
        }
        let open = request.state == RequestState::Open && request.expires > now;
        let complete = open && moves.iter().all(|one| one.requirements.iter().all(|demand| demand.met));
        let waits_for = if complete { waits_for(&txn, rules, &request, now)? } else { None };
        Ok(RequestView { request, moves, complete, waits_for })
    }
}

impl Registry {
    /// What the log says of a refusal: the places that a request is about, where there is one.
    fn about(&self, command: &'static str, id: u64, message: Option<&str>) -> Result<Subject, RegistryError> {
        let found: Option<ChangeRequest> = self.0.store.read()?.document(Shelf::ChangeRequest, &number_key(id))?;
        let Some(found) = found else {
            return Ok(Subject::new(command, [format!("change request {id}")], message.unwrap_or_default()));
        };
        let places = found.moves.iter().map(|one| format!("{}@{}", one.name, one.label));
        Ok(Subject::new(command, places, message.unwrap_or(&found.message)))
    }
}

/// Those who are asked to review something, each once: principals, and not its author.
fn reviewers(txn: &WriteTxn<'_>, ctx: &Ctx, asked: Vec<String>) -> Result<Vec<String>, RegistryError> {
    let asked: Vec<String> = asked.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let (count, max) = (asked.len(), REVIEWERS_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "reviewers", count, max });
    }
    for name in &asked {
        if *name == ctx.actor.name {
            return Err(RegistryError::Unfit(format!("`{name}` proposes it, and cannot be asked to review it")));
        }
        let known = is_handle(name) && txn.document::<Principal>(Shelf::Principal, name)?.is_some();
        if !known {
            return Err(RegistryError::NotFound {
                what: "principal",
                name: name.chars().take(HANDLE_BYTES_MAX).collect(),
            });
        }
    }
    Ok(asked)
}

/// Checks what is proposed, publishes its version, and binds the moves to their contents.
fn propose(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    version: Option<ProposedVersion>,
    moves: Vec<Move>,
    message: &str,
) -> Result<Vec<ProposedMove>, RegistryError> {
    let mut places: Vec<(PromptName, Label)> = moves.iter().map(|one| (one.name.clone(), one.label.clone())).collect();
    if let Some(version) = &version {
        places.extend(version.labels.iter().map(|label| (version.name.clone(), label.clone())));
    }
    // Everything that can be refused is, before the version is published.
    for (name, label) in &places {
        ctx.authorise(Permission::Publish, Some(name), None)?;
        if label.is_latest() {
            return Err(RegistryError::LatestIsAutomatic);
        }
    }
    if places.is_empty() {
        return Err(RegistryError::NothingToDeploy);
    }
    let (count, max) = (places.len(), MOVES_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "moves", count, max });
    }
    let mut seen = BTreeSet::new();
    if let Some((name, label)) = places.iter().find(|place| !seen.insert(*place)) {
        return Err(RegistryError::MovedTwice { name: name.clone(), label: label.clone() });
    }
    if !moves.is_empty() {
        check_moves(&moves)?;
    }
    let mut proposals = Vec::new();
    for Move { name, label, serving, expected_deployment } in moves {
        live_prompt(txn, &name)?;
        check_unmoved(txn, &name, &label, expected_deployment)?;
        let serving = build(txn, txn.next_seq(), &name, &label, serving)?;
        proposals.push(proposed(txn, &name, &label, &serving, None)?);
    }
    if let Some(ProposedVersion { name, content, bump, expected_parent, labels }) = version {
        let request = PublishRequest {
            content,
            message: message.to_owned(),
            bump,
            expected_parent,
            labels: Vec::new(),
            allow_major: false,
            break_glass: None,
        };
        let published = publish(txn, ctx, "publish", name.clone(), request, (message.to_owned(), Vec::new()))?;
        let serving = Serving::version(published.version.number);
        for label in labels {
            proposals.push(proposed(txn, &name, &label, &serving, None)?);
        }
    }
    Ok(proposals)
}

/// Nobody approves what they made, unless every policy of the label says that they may.
fn four_eyes<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    who: &str,
    request: &ChangeRequest,
    one: &ProposedMove,
) -> Result<(), RegistryError> {
    let mut policies = rules.book.policies_of(one.name.as_str(), one.label.as_str()).peekable();
    if policies.peek().is_some() && policies.all(|policy| policy.policy().self_approval) {
        return Ok(());
    }
    let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
    let wanted = wanted(one, from.as_ref());
    let did = match makers_of_move(txn, &wanted)?.get(who) {
        Some(version) => format!("made part of {version}"),
        None if proposers(request).contains(who) => format!("proposed change request {}", request.id),
        None => return Ok(()),
    };
    let (name, label) = (&one.name, &one.label);
    let reason =
        format!("they {did}, and who wrote or proposed a change to {name}@{label} may not approve it (four eyes)");
    Err(RegistryError::Forbidden { actor: who.to_owned(), reason, roles: Vec::new() })
}

/// In whose name a change request is applied by itself, once nothing is missing; none where nobody wanted exactly that and
/// may deploy it.
fn applier<'a, Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    request: &'a ChangeRequest,
) -> Result<Option<&'a String>, RegistryError> {
    let may = |who: &str| {
        request.moves.iter().all(|one| {
            let ask = Ask::on_label(who, Permission::Deploy, one.name.as_str(), one.label.as_str());
            rules.book.decide(&ask).allowed
        })
    };
    // What somebody took back since it was wanted is not brought back by a clock.
    let mut spent = Vec::with_capacity(request.moves.len());
    for one in &request.moves {
        let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
        let wanted = wanted(one, from.as_ref());
        let served = from.as_ref() == Some(&one.serving);
        let place = (&one.name, &one.label);
        spent.push(if served { None } else { spent_at(txn, place, &one.serving, &wanted.new_versions())? });
    }
    // Only whoever wanted exactly this: who approves all of it as it is now, or its author where nobody else amended it.
    let stands = |who: &String| {
        request.moves.iter().zip(&spent).all(|(one, spent)| {
            request.approvals_of(&one.fingerprint).any(|event| event.by == *who && Some(event.commit) > *spent)
        })
    };
    let approvers = request.events.iter().rev().filter(|event| event.kind == EventKind::Approve).map(|event| &event.by);
    let amended = request.events.iter().filter(|event| event.kind == EventKind::Amend).map(|event| event.commit);
    let asked = amended.fold(request.commit, u64::max);
    let author =
        (proposers(request).len() == 1 && spent.iter().all(|spent| Some(asked) > *spent)).then_some(&request.author);
    Ok(approvers.filter(|who| stands(who)).chain(author).find(|who| may(who)))
}

/// What an open change request still waits for, as a sentence; none when nothing is missing.
fn waits_for<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    request: &ChangeRequest,
    now: Timestamp,
) -> Result<Option<String>, RegistryError> {
    let by = applier(txn, rules, request)?;
    let mut broken = Vec::new();
    for one in &request.moves {
        let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
        let wanted = wanted(one, from.as_ref());
        let roles = match by.filter(|_| request.automatic) {
            Some(by) => {
                let ask = Ask::on_label(by, Permission::Deploy, one.name.as_str(), one.label.as_str());
                rules.book.roles_of(&ask)
            }
            None => rules.book.roles.keys().cloned().collect(),
        };
        let (requirements, _) = look(txn, rules, &wanted, (now, &request.message, roles))?;
        if let Some(missing) = requirements.into_iter().find(|demand| !demand.met) {
            return Ok(Some(format!("policy {} asks for {}", missing.policy, missing.says)));
        }
        broken.extend(guard::breaks(txn, &wanted)?.unwrap_or_default());
    }
    if !broken.is_empty() {
        return Ok(Some(format!("callers would break ({}); apply it with --allow-major", broken.join("; "))));
    }
    if request.automatic && by.is_none() {
        let waits = "neither its author nor anyone who approved it may deploy there; somebody who may has to apply it";
        return Ok(Some(waits.to_owned()));
    }
    Ok(None)
}

/// Applies a request for whoever of approver and author may deploy, when nothing is missing; else leaves it open.
fn apply_if_complete(txn: &mut WriteTxn<'_>, ctx: &Ctx, request: &ChangeRequest) -> Result<(), RegistryError> {
    let Some(who) = applier(txn, &ctx.rules, request)? else { return Ok(()) };
    let deployer = Actor {
        name: who.clone(),
        kind: ctx.rules.book.principals.get(who).map_or(ctx.actor.kind, |principal| principal.kind),
        method: format!("change request {}, applied automatically", request.id),
        request_id: ctx.actor.request_id.clone(),
        client: ctx.actor.client,
        bound: None,
    };
    let ctx = ctx.as_actor(deployer);
    match apply(txn, &ctx, request, &Terms::of(&request.message)) {
        Err(RegistryError::Store(error)) => Err(error.into()),
        // Something is still missing, or has gone; nothing was changed, and the page of the request says what.
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Has every open change request that somebody proposed, amended or approved wait for a person, as an access token of
/// theirs is revoked; returns their numbers.
pub(super) fn stop_automatic(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    principal: &str,
    token: &str,
) -> Result<Vec<u64>, RegistryError> {
    let mut stopped = Vec::new();
    for mut request in open_requests(txn)? {
        let approved = |event: &RequestEvent| event.kind == EventKind::Approve && event.by == principal;
        let concerned = proposers(&request).contains(principal) || request.events.iter().any(approved);
        if request.automatic && concerned {
            let message =
                format!("no longer applied automatically: the access token {token} of {principal} was revoked");
            request.automatic = false;
            request.events.push(event(txn, ctx, EventKind::Comment, &message, Vec::new(), Vec::new()));
            keep(txn, &request)?;
            stopped.push(request.id);
        }
    }
    Ok(stopped)
}

fn apply(txn: &mut WriteTxn<'_>, ctx: &Ctx, request: &ChangeRequest, terms: &Terms) -> Result<Deployed, RegistryError> {
    ctx.approved([], Some(request.id));
    for one in &request.moves {
        // The content ids are what was approved; a version's never change, but nothing here takes that on trust.
        if proposed(txn, &one.name, &one.label, &one.serving, None)?.fingerprint != one.fingerprint {
            return Err(RegistryError::RequestMoved { id: request.id });
        }
    }
    let moves = request.moves.iter().map(|one| (one.name.clone(), one.label.clone(), one.serving.clone())).collect();
    let deployed = move_labels(txn, ctx, terms, Action::Deploy, moves)?;
    if deployed.deployments.is_empty() {
        // Everything is served already; that is what was asked for.
        close(txn, ctx, request.clone(), None)?;
        record(txn, ctx, "apply", request, terms.message.clone())?;
    }
    Ok(deployed)
}

/// Closes every open request whose moves are all served, after a deployment moved one of its labels.
pub(super) fn settle(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    deployments: &[Deployment],
    seq: u64,
) -> Result<(), RegistryError> {
    if deployments.is_empty() {
        return Ok(());
    }
    for request in open_requests(txn)? {
        let concerned = |one: &ProposedMove| deployments.iter().any(|d| d.name == one.name && d.label == one.label);
        if !request.moves.iter().any(concerned) {
            continue;
        }
        let mut served = true;
        for one in &request.moves {
            served &= txn.label(&one.name, &one.label)?.is_some_and(|state| state.serving == one.serving);
        }
        if served {
            close(txn, ctx, request, Some(seq))?;
        }
    }
    Ok(())
}

fn close(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    mut request: ChangeRequest,
    deployment: Option<u64>,
) -> Result<(), RegistryError> {
    request.state = RequestState::Applied;
    request.deployment = deployment;
    request.events.push(event(txn, ctx, EventKind::Apply, "", Vec::new(), Vec::new()));
    Ok(keep(txn, &request)?)
}

/// A move, looked at from all sides; what its label demands where it is `asked` with a message and by the holder of roles.
pub(super) fn review_of(
    txn: &ReadTxn,
    rules: &Rules,
    wanted: &Wanted<'_>,
    now: Timestamp,
    asked: Option<(&str, Vec<String>)>,
) -> Result<MoveReview, RegistryError> {
    let &Wanted { name, label, from, to, .. } = wanted;
    let mut findings = Vec::new();
    for number in wanted.new_versions() {
        findings.extend(guard::findings_of(txn, name, number)?);
    }
    let served = from.and_then(Serving::fixed);
    let pair = served.zip(to.and_then(Serving::fixed)).filter(|(old, new)| old != new);
    let mut review = MoveReview {
        name: name.clone(),
        label: label.clone(),
        from: served,
        diff: None,
        interface: None,
        findings,
        requirements: Vec::new(),
        approved_by: Vec::new(),
        reviewers: Vec::new(),
        dependents: live_dependents(txn, name, u64::MAX)?,
        used_by: from.map_or(Ok(Vec::new()), |from| used_by(txn, name, from, now))?,
    };
    if let Some((old, new)) = pair
        && let (Some(old), Some(new)) = (guard::content(txn, name, old)?, guard::content(txn, name, new)?)
    {
        review.diff = Some(diff(&old, &new));
        review.interface = Some(InterfaceChange::between(&old, &new));
    }
    let Some((message, roles)) = asked else { return Ok(review) };
    (review.requirements, review.approved_by) = look(txn, rules, wanted, (now, message, roles))?;
    let holders = rules.book.holders(Permission::Review, name.as_str(), label.as_str());
    review.reviewers = holders.into_iter().map(|(name, roles)| Reviewer { name, roles }).collect();
    Ok(review)
}

fn wanted<'a>(one: &'a ProposedMove, from: Option<&'a Serving>) -> Wanted<'a> {
    Wanted::new((&one.name, &one.label), from, Some(&one.serving))
}

fn authorise_all(ctx: &Ctx, request: &ChangeRequest, permission: Permission) -> Result<(), RegistryError> {
    let labelled = permission == Permission::Review;
    request.moves.iter().try_for_each(|one| ctx.authorise(permission, Some(&one.name), labelled.then_some(&one.label)))
}

/// An open request. Whoever may not read all of it learns no more than of one that is not there; both are recorded.
fn open(txn: &WriteTxn<'_>, ctx: &Ctx, id: u64) -> Result<ChangeRequest, RegistryError> {
    let found: Option<ChangeRequest> = txn.document(Shelf::ChangeRequest, &number_key(id))?;
    let reads =
        |request: &ChangeRequest| request.moves.iter().all(|one| ctx.rules.reads(&ctx.actor, one.name.as_str()));
    let Some(found) = found.filter(reads) else {
        let everything = ctx.actor.ask(Permission::Read, None, None);
        let actor = ctx.actor.name.clone();
        return Err(if ctx.rules.book.decide(&everything).allowed {
            absent(id)
        } else {
            RegistryError::RequestUnreadable { id, actor }
        });
    };
    match found.state {
        RequestState::Open if found.expires <= ctx.now => {
            Err(RegistryError::RequestClosed { id, state: RequestState::Expired })
        }
        RequestState::Open => Ok(found),
        state => Err(RegistryError::RequestClosed { id, state }),
    }
}

fn room(request: &ChangeRequest, kind: EventKind) -> Result<(), RegistryError> {
    let max = match kind {
        EventKind::Comment => COMMENTS_MAX,
        EventKind::Approve | EventKind::Amend => TALK_MAX,
        EventKind::Reject | EventKind::Withdraw | EventKind::Apply | EventKind::Expire => return Ok(()),
    };
    let count = request.events.len() + 1;
    if count > max { Err(RegistryError::TooMany { what: "events of one change request", count, max }) } else { Ok(()) }
}

fn keep(txn: &mut WriteTxn<'_>, request: &ChangeRequest) -> Result<(), StoreError> {
    let key = number_key(request.id);
    if request.state == RequestState::Open {
        txn.put_document(Shelf::OpenRequest, &key, &())?;
    } else {
        txn.remove_document(Shelf::OpenRequest, &key)?;
    }
    txn.put_document(Shelf::ChangeRequest, &key, request)
}

fn record(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    command: &'static str,
    request: &ChangeRequest,
    message: String,
) -> Result<(), StoreError> {
    let moves = request.moves.iter().map(|one| format!("{}@{} → {}", one.name, one.label, one.serving));
    ctx.approved([], Some(request.id));
    txn.commit(ctx.now, Vec::new(), ctx.audit(command, moves.collect(), message, Vec::new()))?;
    Ok(())
}

/// What somebody says or does about a request, in the commit that is about to be made.
fn event(
    txn: &WriteTxn<'_>,
    ctx: &Ctx,
    kind: EventKind,
    message: &str,
    roles: Vec<String>,
    fingerprints: Vec<String>,
) -> RequestEvent {
    let (at, commit, by) = (ctx.now, txn.next_seq(), ctx.actor.name.clone());
    RequestEvent { at, commit, by, roles, kind, message: message.to_owned(), fingerprints }
}

fn absent(id: u64) -> RegistryError {
    RegistryError::NotFound { what: "change request", name: id.to_string() }
}

fn places(version: Option<&ProposedVersion>, moves: &[Move]) -> Vec<String> {
    let of_version =
        version.iter().flat_map(|version| version.labels.iter().map(|label| format!("{}@{label}", version.name)));
    moves.iter().map(|one| format!("{}@{}", one.name, one.label)).chain(of_version).collect()
}
