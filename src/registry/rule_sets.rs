//! Custom risk rules, besides the built-in ones.

use std::collections::BTreeMap;

use super::access::{rule_sets, rules_change};
use super::command::{Attempt, SettingsChange};
use super::move_policy::findings_of;
use super::{Actor, Registry, RegistryError, check_handle};
use crate::api::govern::{Classified, RuleSetRequest, RuleSetView};
use crate::governance::risk::{Classifier, RuleSet, import_gitleaks};
use crate::model::audit::{Command, Subject};
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::model::name::PromptName;
use crate::resolve::CatalogueView;
use crate::store::documents::{Documents, RuleSetToml};
use crate::store::query::Queries;

/// Most custom rule sets; each takes memory and time.
const SETS_MAX: usize = 20;
/// The name of the built-in rules.
const BUILT_IN: &str = "built-in";

impl Registry {
    /// Every rule set, by name; the built-in rules first.
    pub fn rule_sets(&self) -> Result<Vec<RuleSetView>, RegistryError> {
        let show = |name: &str, rules| RuleSetView { name: name.to_owned(), rules, toml: None, skipped: Vec::new() };
        let mut sets = vec![show(BUILT_IN, RuleSet::builtin().len())];
        for (name, toml) in rule_sets(&self.0.store.read()?)? {
            sets.push(show(&name, RuleSet::count(&toml)?));
        }
        Ok(sets)
    }

    /// One rule set; the built-in one, too.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    pub fn rule_set(&self, name: &str) -> Result<RuleSetView, RegistryError> {
        if name == BUILT_IN {
            let (rules, toml) = (RuleSet::builtin().len(), RuleSet::builtin_toml());
            return Ok(RuleSetView { name: name.to_owned(), rules, toml: Some(toml), skipped: Vec::new() });
        }
        let toml = self.0.store.read()?.get::<RuleSetToml>(name)?.map(|RuleSetToml(toml)| toml);
        let absent =
            || RegistryError::NotFound { what: "rule set", name: name.chars().take(HANDLE_BYTES_MAX).collect() };
        let toml = toml.ok_or_else(absent)?;
        let rules = RuleSet::count(&toml)?;
        Ok(RuleSetView { name: name.to_owned(), rules, toml: Some(toml), skipped: Vec::new() })
    }

    /// Stores a rule set, and replaces one with the same name; later versions are classified by it.
    ///
    /// # Errors
    /// The actor lacks permission, a rule is invalid or one of its tests fails, there are too many, or the store fails.
    pub async fn put_rule_set(
        &self,
        actor: &Actor,
        name: String,
        request: RuleSetRequest,
    ) -> Result<RuleSetView, RegistryError> {
        let about = Attempt::new(Command::PutRules, [Subject::RuleSet { name: name.clone() }], "");
        self.command(actor, about, |_, _, granted| {
            granted.unrecorded();
            Ok(())
        })
        .await?;
        check_handle("a rule set", &name)?;
        if name == BUILT_IN {
            return Err(RegistryError::BuiltIn { what: "the rule set", name });
        }
        // Regular expressions are compiled here, not on the writer thread.
        let (toml, skipped) = if request.gitleaks {
            let (toml, skipped) = import_gitleaks(&request.toml)?;
            (toml, skipped.into_iter().map(|one| format!("{}: {}", one.id, one.reason)).collect())
        } else {
            (request.toml, Vec::new())
        };
        let set = RuleSet::parse(&toml)?;
        let rules = set.len();
        let (mut sets, mut texts) = (vec![set], BTreeMap::from([(name.clone(), toml.clone())]));
        for (other, toml) in rule_sets(&self.0.store.read()?)? {
            if other != name {
                // It was compiled when it was stored; only its IDs and keywords matter here.
                sets.push(RuleSet::read(&toml)?);
                texts.insert(other, toml);
            }
        }
        let (count, max) = (sets.len(), SETS_MAX);
        if count > max {
            return Err(RegistryError::TooMany { what: "rule sets", count, max });
        }
        self.prepare(texts, Classifier::new(true, &sets)?);
        let shown = name.clone();
        let about = Attempt::new(Command::PutRules, [Subject::RuleSet { name: name.clone() }], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let before = txn.get::<RuleSetToml>(&name)?.map(|RuleSetToml(toml)| summary(&toml));
            txn.put::<RuleSetToml>(&name, &RuleSetToml(toml.clone()))?;
            rules_change(txn)?;
            let subject = Subject::RuleSet { name };
            let change = SettingsChange { before: before.as_ref(), after: Some(&summary(&toml)) };
            Ok(ctx.record_settings(txn, granted, Command::PutRules, subject, change)?)
        })
        .await?;
        Ok(RuleSetView { name: shown, rules, toml: None, skipped })
    }

    /// Removes a rule set; its findings stay recorded.
    ///
    /// # Errors
    /// The actor lacks permission, it does not exist, or the store fails.
    pub async fn remove_rule_set(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::RemoveRules, [Subject::RuleSet { name: name.clone() }], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let Some(RuleSetToml(before)) = txn.get::<RuleSetToml>(&name)? else {
                return Err(RegistryError::NotFound { what: "rule set", name });
            };
            txn.remove::<RuleSetToml>(&name)?;
            rules_change(txn)?;
            let subject = Subject::RuleSet { name };
            let change = SettingsChange { before: Some(&summary(&before)), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemoveRules, subject, change)?)
        })
        .await
    }

    /// The findings in a version when it was published.
    ///
    /// # Errors
    /// The prompt cannot be read, the version does not exist, or the store fails.
    pub fn findings(
        &self,
        view: &CatalogueView,
        name: &PromptName,
        number: u64,
    ) -> Result<Vec<Finding>, RegistryError> {
        view.scope().check(name.as_str())?;
        let txn = view.txn();
        let prompt = txn.prompt(name)?.ok_or_else(|| RegistryError::PromptNotFound { name: name.clone() })?;
        if txn.version(name, number)?.is_none() {
            return Err(RegistryError::VersionNotFound { name: name.clone(), number, latest: prompt.latest });
        }
        Ok(findings_of(txn, name, number)?)
    }

    /// Runs the rules on an unpublished content.
    pub fn classify(&self, content: &Content) -> Classified {
        let rules = &self.0.known.load().rules;
        Classified { findings: rules.classify(content) }
    }
}

/// The audit log's description of a rule set.
fn summary(toml: &str) -> serde_json::Value {
    let rules = RuleSet::read(toml).map_or(0, |set| set.len());
    serde_json::json!({ "rules": rules, "blake3": blake3::hash(toml.as_bytes()).to_hex().to_string() })
}
