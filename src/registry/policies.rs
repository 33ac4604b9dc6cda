//! Label policies: created, replaced and removed.

use super::access::rules_change;
use super::command::{Attempt, SettingsChange};
use super::{Actor, Registry, RegistryError};
use crate::governance::label_policy::LabelPolicy;
use crate::model::audit::{Command, Subject};
use crate::model::policy::{POLICIES_MAX, Policy};
use crate::model::principal::Permission;

impl Registry {
    /// Every label policy, by name.
    pub fn policies(&self) -> Vec<Policy> {
        self.0.known.load().rules.book.policies.values().map(|policy| policy.policy().clone()).collect()
    }

    /// The label policies that can apply to a prompt which the caller can read, by name: a pattern can be a prompt's
    /// name. Those who manage policies see all.
    pub fn policies_for(&self, actor: &Actor) -> Vec<Policy> {
        let book = &self.0.known.load().rules.book;
        let keeps = book.decide(&actor.ask(Permission::Policy, None, None)).allowed;
        let readable = book.readable(&actor.name);
        let concerns = |policy: &Policy| {
            actor.bound.as_ref().is_none_or(|bound| bound.may_overlap(&policy.prompts))
                && readable.iter().any(|pattern| pattern.may_overlap(&policy.prompts))
        };
        let policies = book.policies.values().map(LabelPolicy::policy);
        policies.filter(|policy| keeps || concerns(policy)).cloned().collect()
    }

    /// Stores a policy, and replaces one with the same name.
    ///
    /// # Errors
    /// The actor lacks permission, the policy is invalid, there are too many, or the store fails.
    pub async fn put_policy(&self, actor: &Actor, policy: Policy) -> Result<Policy, RegistryError> {
        let about = Attempt::new(Command::PutPolicy, [Subject::Policy { name: policy.name.clone() }], "");
        let kept = self
            .command(actor, about, move |txn, ctx, granted| {
                let policy = LabelPolicy::new(policy)?.policy().clone();
                let policies = &ctx.rules.book.policies;
                let before = policies.get(&policy.name).map(LabelPolicy::policy);
                let (count, max) = (policies.len() + 1, POLICIES_MAX);
                if before.is_none() && count > max {
                    return Err(RegistryError::TooMany { what: "policies", count, max });
                }
                let subject = Subject::Policy { name: policy.name.clone() };
                txn.put::<Policy>(&policy.name, &policy)?;
                rules_change(txn)?;
                let change = SettingsChange { before, after: Some(&policy) };
                ctx.record_settings(txn, granted, Command::PutPolicy, subject, change)?;
                Ok(policy)
            })
            .await?;
        Ok(kept)
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// The actor lacks permission, the policy does not exist, or the store fails.
    pub async fn remove_policy(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::RemovePolicy, [Subject::Policy { name: name.clone() }], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let Some(before) = ctx.rules.book.policies.get(&name) else {
                return Err(RegistryError::NotFound { what: "policy", name });
            };
            let subject = Subject::Policy { name: name.clone() };
            txn.remove::<Policy>(&name)?;
            rules_change(txn)?;
            let change = SettingsChange { before: Some(before.policy()), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemovePolicy, subject, change)?)
        })
        .await
    }
}
