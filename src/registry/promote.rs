//! Promotes: deploys to one label what another serves, for every prompt that matches a pattern, all at once.
//!
//! What is deployed is computed in the transaction of the command. A caller that planned it first passes the
//! fingerprint of the plan, and is refused if the result differs. Prompts that the caller cannot read are left out of
//! both.

use std::ops::ControlFlow;

use serde::Serialize;

use super::command::Attempt;
use super::deploy::{AllowedMoves, authorize_moves};
use super::label_move::{DeployAttempt, LabelMove, MoveOptions, PlannedMove};
use super::move_policy::{breaks, evaluate_policies, findings_of};
use super::{Actor, Registry, RegistryError, check_message};
use crate::api::limits::{MATCHED_NAMES_MAX, MOVES_MAX};
use crate::api::promote::{PlannedPromotion, PromoteRequest, Promotion, PromotionPlan};
use crate::api::write::Deployed;
use crate::model::audit::{Command, Subject};
use crate::model::deployment::Action;
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::verdict::RequirementKind;
use crate::resolve::CatalogueView;
use crate::resolve::matching::visit_matching;
use crate::store::StoreError;
use crate::store::query::Queries;

impl Registry {
    /// What a promotion would do now, and what it would be refused for.
    ///
    /// # Errors
    /// The labels cannot be promoted between, too many prompts match, or the store fails.
    pub fn plan_promotion(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        wanted: &Promotion,
        message: &str,
    ) -> Result<PromotionPlan, RegistryError> {
        check_labels(wanted)?;
        let (txn, known) = (view.txn(), self.0.known.load());
        let found = find(txn, &txn.namespace_names()?, wanted, &|name| view.scope().reads(name))?;
        let fingerprint = fingerprint(wanted, &found);
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        let reads = |name: &str| view.scope().reads(name);
        let mut prompts = Vec::with_capacity(found.len());
        for one in found {
            let unchanged = !one.changes();
            let Promotable { name, from, to, .. } = one;
            let (mut unmet, mut risk, mut breaking) = (Vec::new(), None, Vec::new());
            if !unchanged {
                let ask = actor.ask(Permission::Deploy, Some(name.as_str()), Some(wanted.to.as_str()));
                let verdict = known.rules.book.decide(&ask);
                unmet.extend((!verdict.allowed).then_some(verdict.reason));
                let one = LabelMove::new((&name, &wanted.to), from.as_ref(), Some(&to));
                let attempt = DeployAttempt { now, message, roles: known.rules.book.roles_of(&ask), reads: &reads };
                let (requirements, _) = evaluate_policies(txn, &known.rules, &one, attempt)?;
                // Before there is a message, what is required of it is not missing.
                let awaited = |kind| kind == RequirementKind::Message && message.is_empty();
                let missing = requirements.into_iter().filter(|one| !one.met && !awaited(one.kind));
                unmet.extend(missing.map(|missing| format!("policy {} requires {}", missing.policy, missing.says)));
                for number in one.new_versions() {
                    let found = findings_of(txn, &name, number)?;
                    risk = risk.max(found.iter().map(|finding| finding.severity).max());
                }
                breaking = breaks(txn, &one)?.unwrap_or_default();
            }
            prompts.push(PlannedPromotion { name, from, to, unchanged, unmet, risk, breaks: breaking });
        }
        Ok(PromotionPlan { position: txn.head()?.position, fingerprint, prompts })
    }

    /// Deploys what one label serves to another, in one deployment; labels that already serve it are left unchanged.
    ///
    /// # Errors
    /// The actor lacks permission, or a policy is not met; what would be deployed is not what was planned; a version is
    /// retired or archived; too many prompts match; or the store fails.
    pub async fn promote(&self, actor: &Actor, request: PromoteRequest) -> Result<Deployed, RegistryError> {
        let message = check_message(&request.message)?;
        let PromoteRequest { pattern, from, to, expected, allow_major, break_glass, .. } = request;
        let wanted = Promotion { pattern, from, to };
        check_labels(&wanted)?;
        let terms = MoveOptions { allow_major, break_glass, ..MoveOptions::of(&message) };
        // What is asked for, as a refusal is recorded; what is done is looked up again in the transaction.
        let (store, known) = (self.0.store.clone(), self.0.known.load_full());
        let now = store.read()?;
        let found = find(&now, &now.namespace_names()?, &wanted, &|name| known.rules.reads(actor, name))?;
        if found.is_empty() {
            return Err(RegistryError::NothingToPromote { pattern: wanted.pattern, from: wanted.from });
        }
        let asked = found.into_iter().filter(Promotable::changes);
        let asked = asked.map(|one| Subject::of_label(&one.name, &wanted.to, Some(one.to)));
        let about = Attempt::new(Command::Deploy, asked, &message);
        drop(now);
        self.command(actor, about, move |txn, ctx, mut granted| {
            let namespaces = store.read()?.namespace_names()?;
            let found = find(txn, &namespaces, &wanted, &|name| ctx.rules.reads(&ctx.actor, name))?;
            if expected.is_some_and(|expected| expected != fingerprint(&wanted, &found)) {
                return Err(RegistryError::PlanOutdated { from: wanted.from, to: wanted.to });
            }
            let mut moves = Vec::new();
            for Promotable { name, to, .. } in found.into_iter().filter(Promotable::changes) {
                granted = granted.and(ctx.authorise(Permission::Deploy, Some(&name), Some(&wanted.to))?);
                moves.push(PlannedMove { name, label: wanted.to.clone(), serving: to });
            }
            let allowed: AllowedMoves = authorize_moves(txn, ctx, granted, &terms, Action::Deploy, moves)?;
            if allowed.deployments.is_empty() {
                return Ok(Deployed::default());
            }
            allowed.commit(txn, ctx, &terms, Action::Deploy)
        })
        .await
    }
}

fn check_labels(wanted: &Promotion) -> Result<(), RegistryError> {
    if wanted.to.is_latest() {
        return Err(RegistryError::LatestIsAutomatic);
    }
    if wanted.from == wanted.to {
        return Err(RegistryError::Unfit(format!("`{}` cannot be promoted to itself; name another label", wanted.to)));
    }
    Ok(())
}

/// A prompt that has the label to promote from.
#[derive(Serialize)]
struct Promotable {
    name: PromptName,
    /// What the label to promote to serves now.
    from: Option<Serving>,
    /// The deployment that made it so.
    deployment: Option<u64>,
    to: Serving,
}

impl Promotable {
    /// Whether it would change what the label serves.
    fn changes(&self) -> bool {
        self.from.as_ref() != Some(&self.to)
    }
}

/// The readable prompts that match and have the label to promote from.
fn find(
    txn: &impl Queries,
    namespaces: &[String],
    wanted: &Promotion,
    reads: &dyn Fn(&str) -> bool,
) -> Result<Vec<Promotable>, RegistryError> {
    let mut found = Vec::new();
    let (mut looked, mut moves) = (0, 0);
    visit_matching(txn, namespaces, &wanted.pattern, None, &mut |prompt| {
        if prompt.removed.is_some() || !reads(prompt.name.as_str()) {
            return Ok(ControlFlow::Continue(()));
        }
        looked += 1;
        let promoted = if wanted.from.is_latest() {
            Some(Serving::version(prompt.latest))
        } else {
            txn.label(&prompt.name, &wanted.from)?.map(|state| state.serving)
        };
        if let Some(to) = promoted {
            let state = txn.label(&prompt.name, &wanted.to)?;
            let deployment = state.as_ref().map(|state| state.deployment);
            let from = state.map(|state| state.serving);
            let one = Promotable { name: prompt.name, from, deployment, to };
            moves += usize::from(one.changes());
            found.push(one);
        }
        let is_over = looked > MATCHED_NAMES_MAX || moves > MOVES_MAX;
        Ok::<_, StoreError>(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if looked > MATCHED_NAMES_MAX {
        return Err(RegistryError::TooMany { what: "matching prompts", count: looked, max: MATCHED_NAMES_MAX });
    }
    if moves > MOVES_MAX {
        return Err(RegistryError::TooMany { what: "prompts to promote", count: moves, max: MOVES_MAX });
    }
    Ok(found)
}

/// Identifies what a promotion deploys, and in place of what.
fn fingerprint(wanted: &Promotion, found: &[Promotable]) -> String {
    let moves: Vec<&Promotable> = found.iter().filter(|one| one.changes()).collect();
    let bytes = serde_json::to_vec(&(&wanted.from, &wanted.to, moves)).unwrap_or_default();
    blake3::hash(&bytes).to_hex().to_string()
}
