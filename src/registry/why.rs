//! Explains whether a principal is allowed to do something, and why.

use super::downstream::downstream_suites;
use super::label_move::{DeployAttempt, LabelMove};
use super::move_policy::evaluate_policies;
use super::{Actor, Registry, RegistryError};
use crate::api::govern::CanAnswer;
use crate::governance::rulebook::{AccessQuery, Weight};
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::verdict::{Requirement, RequirementKind};
use crate::resolve::CatalogueView;
use crate::store::query::Queries;

/// A question to explain: an action and its target.
#[derive(Clone, Debug)]
pub struct AccessQuestion {
    /// The name of the principal.
    pub who: String,
    /// What.
    pub permission: Permission,
    /// The prompt; absent if it concerns the whole registry.
    pub prompt: Option<PromptName>,
    /// The label.
    pub label: Option<Label>,
    /// The version to deploy there.
    pub version: Option<u64>,
}

/// Why something is allowed or denied.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict, and the rules behind it.
    pub answer: CanAnswer,
    /// Each of their grants, and what it contributes.
    pub grants: Vec<(Grant, Weight)>,
    /// Their access tokens that are limited to other prompts.
    pub bound: Vec<(String, Pattern)>,
}

impl Registry {
    /// Whether a principal is allowed to do something now, and why; asking about others needs the permission `access`.
    ///
    /// # Errors
    /// The actor lacks permission to ask, the version does not exist or cannot be read, or the store fails.
    pub fn can(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        question: &AccessQuestion,
    ) -> Result<CanAnswer, RegistryError> {
        let AccessQuestion { who, permission, prompt, label, version } = question;
        if *who != actor.name {
            self.may_look(actor, Permission::Access)?;
        }
        if let Some(name) = prompt.as_ref().filter(|_| version.is_some()) {
            // The requirements of a policy for a version reveal something about its content.
            view.scope().check(name.as_str())?;
        }
        let known = self.0.known.load();
        let book = &known.rules.book;
        let bound = if *who == actor.name { actor.bound.as_ref() } else { None };
        let (name, place) = (prompt.as_ref().map(PromptName::as_str), label.as_ref().map(Label::as_str));
        let kind = (*who == actor.name).then_some(actor.kind);
        let ask = AccessQuery { who, kind, bound, permission: *permission, prompt: name, label: place };
        let verdict = book.decide(&ask);
        let mut answer = CanAnswer {
            allowed: verdict.allowed,
            permission: verdict,
            requirements: Vec::new(),
            downstream: Vec::new(),
        };
        if let (Permission::Deploy, Some(name), Some(label)) = (permission, prompt, label) {
            let txn = view.txn();
            let to = version.map(Serving::version);
            if let Some(number) = version.filter(|number| !matches!(txn.version(name, *number), Ok(Some(_)))) {
                let latest = txn.prompt(name)?.map_or(0, |prompt| prompt.latest);
                return Err(RegistryError::VersionNotFound { name: name.clone(), number, latest });
            }
            let from = txn.label(name, label)?.map(|state| state.serving);
            let wanted = LabelMove::new((name, label), from.as_ref(), to.as_ref());
            let now = Timestamp::from_ms(self.0.clock.now_ms());
            let reads = |name: &str| view.scope().reads(name);
            let attempt = DeployAttempt { now, message: "", roles: book.roles_of(&ask), reads: &reads };
            (answer.requirements, _) = evaluate_policies(txn, &known.rules, &wanted, attempt)?;
            answer.downstream = downstream_suites(txn, &known.rules, &wanted, &reads)?;
            // The message is not known yet.
            let met = |demand: &Requirement| demand.met || demand.kind == RequirementKind::Message;
            answer.allowed &= answer.requirements.iter().all(met);
        }
        Ok(answer)
    }

    /// The same, with everything that was considered.
    ///
    /// # Errors
    /// As [`Registry::can`].
    pub fn why(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        question: &AccessQuestion,
    ) -> Result<Explanation, RegistryError> {
        let AccessQuestion { who, permission, prompt, label, .. } = question;
        let answer = self.can(view, actor, question)?;
        let known = self.0.known.load();
        let book = &known.rules.book;
        let (name, place) = (prompt.as_ref().map(PromptName::as_str), label.as_ref().map(Label::as_str));
        let ask = AccessQuery { who, kind: None, bound: None, permission: *permission, prompt: name, label: place };
        let grants = book.principals.get(who).into_iter().flat_map(|one| &one.grants);
        let grants = grants.map(|grant| (grant.clone(), book.evaluate_grant(grant, &ask))).collect();
        let leaves_out = |bound: &Pattern| !name.is_some_and(|name| bound.matches(name));
        let tokens = known.tokens.iter().filter(|(record, _)| record.principal == *who);
        let bound = tokens.filter_map(|(record, _)| Some((record.name.clone(), record.prompts.clone()?)));
        let bound = bound.filter(|(_, bound)| leaves_out(bound)).collect();
        Ok(Explanation { answer, grants, bound })
    }
}
