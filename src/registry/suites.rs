//! Suites: pushed as numbered versions, read and removed.
//!
//! They are not replicated: evaluations run on a primary.

use serde_json::value::RawValue;

use super::command::{Attempt, SettingsChange};
use super::human_labels::remove_labels;
use super::{Actor, Registry, RegistryError, check_handle, check_message};
use crate::evaluation::check::check_scorers;
use crate::model::audit::{Command, Subject};
use crate::model::suite::{Suite, SuiteVersion};
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan, SuiteJson};

/// Most suites of a registry.
const SUITES_MAX: usize = 1_000;
/// Most versions of a suite.
const VERSIONS_MAX: u64 = 10_000;

impl Registry {
    /// Pushes a suite as a new version. Returns the latest one, and whether it is new: pushing what is the latest version
    /// already changes nothing. It must replace the version `expected`, if one is given; 0 is none.
    ///
    /// # Errors
    /// The actor lacks permission, the suite is invalid, has a scorer that cannot work or was changed since, there are too
    /// many, or the store fails.
    pub async fn push_suite(
        &self,
        actor: &Actor,
        name: String,
        suite: Suite,
        message: &str,
        expected: Option<u64>,
    ) -> Result<(SuiteVersion, bool), RegistryError> {
        let about = Attempt::new(Command::PutSuite, [subject(&name)], message);
        // Who may not is told so first, and recorded; the suite is checked here, not on the writer thread.
        self.command(actor, Attempt::new(Command::PutSuite, [subject(&name)], message), |_, _, _| Ok(())).await?;
        let message = check_message(message)?;
        check_handle("a suite", &name)?;
        let canonical = suite.to_canonical().map_err(|error| RegistryError::Unfit(error.to_string()))?;
        // Each regular expression is compiled: not on a thread that answers requests.
        let (suite, checked) = tokio::task::spawn_blocking(move || {
            let checked = check_scorers(&suite).map_err(|error| RegistryError::Unfit(error.to_string()));
            (suite, checked)
        })
        .await
        .map_err(|error| RegistryError::Unfit(format!("the suite cannot be checked: {error}")))?;
        checked?;
        let id = Suite::id_of(&canonical);
        let text = String::from_utf8(canonical).map_err(|error| RegistryError::Unfit(error.to_string()))?;
        let json = RawValue::from_string(text).map_err(|error| RegistryError::Unfit(error.to_string()))?;
        let cases = u64::try_from(suite.cases.len()).unwrap_or(u64::MAX);
        let description = suite.description;
        self.command(actor, about, move |txn, ctx, granted| {
            let before = latest(txn, &name)?;
            if let Some(before) = before.as_ref().filter(|before| before.id == id) {
                return Ok((before.clone(), false));
            }
            let current = before.as_ref().map_or(0, |before| before.number);
            if expected.is_some_and(|expected| expected != current) {
                return Err(RegistryError::Unfit(format!(
                    "someone else changed the suite `{name}` meanwhile: it is at version {current}; look at it and save \
                     again"
                )));
            }
            if before.is_none() {
                let (count, max) = (names(txn)?.len() + 1, SUITES_MAX);
                if count > max {
                    return Err(RegistryError::TooMany { what: "suites", count, max });
                }
            }
            ctx.written(json.get().len())?;
            let number = current.saturating_add(1);
            if number > VERSIONS_MAX {
                let (count, max) = (usize::try_from(number).unwrap_or(usize::MAX), 10_000);
                return Err(RegistryError::TooMany { what: "versions of a suite", count, max });
            }
            let author = ctx.actor.name.clone();
            let version =
                SuiteVersion { name: name.clone(), number, id, cases, description, author, at: ctx.now, message };
            txn.put::<SuiteVersion>((&name, number), &version)?;
            txn.put::<SuiteJson>((&name, number), &SuiteJson(json))?;
            let change = SettingsChange { before: before.as_ref(), after: Some(&version) };
            ctx.record_settings(txn, granted, Command::PutSuite, subject(&name), change)?;
            Ok((version, true))
        })
        .await
    }

    /// Removes a suite with all its versions, unless a policy demands its gate.
    ///
    /// # Errors
    /// The actor lacks permission, it does not exist, a policy names it, or the store fails.
    pub async fn remove_suite(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::RemoveSuite, [subject(&name)], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let before = latest(txn, &name)?.ok_or_else(|| absent(&name))?;
            let demands = ctx.rules.book.policies.values().find(|policy| policy.policy().gates.contains(&name));
            if let Some(policy) = demands {
                let policy = &policy.policy().name;
                return Err(RegistryError::Unfit(format!(
                    "the policy {policy} requires the gate `{name}`; change the policy first"
                )));
            }
            for version in txn.list_of::<SuiteVersion>(&Scan::under(name.as_str()))? {
                txn.remove::<SuiteVersion>((&name, version.number))?;
                txn.remove::<SuiteJson>((&name, version.number))?;
            }
            remove_labels(txn, &name)?;
            let change = SettingsChange { before: Some(&before), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemoveSuite, subject(&name), change)?)
        })
        .await
    }

    /// The latest version of each suite, by name.
    ///
    /// # Errors
    /// The store fails.
    pub fn suites(&self) -> Result<Vec<SuiteVersion>, RegistryError> {
        let txn = self.0.store.read()?;
        let mut latest: Vec<SuiteVersion> = Vec::new();
        // By name and then by number: the last one of a name is its latest.
        for version in txn.list::<SuiteVersion>()? {
            match latest.last_mut() {
                Some(last) if last.name == version.name => *last = version,
                _ => latest.push(version),
            }
        }
        Ok(latest)
    }

    /// All versions of a suite, newest first.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    pub fn suite_versions(&self, name: &str) -> Result<Vec<SuiteVersion>, RegistryError> {
        let versions = self.0.store.read()?.list_of::<SuiteVersion>(&Scan::under(name).backwards())?;
        if versions.is_empty() { Err(absent(name)) } else { Ok(versions) }
    }

    /// A version of a suite with its cases; the latest one without a number.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    pub fn suite(&self, name: &str, number: Option<u64>) -> Result<(SuiteVersion, Suite), RegistryError> {
        let txn = self.0.store.read()?;
        let version = match number {
            Some(number) => txn.get::<SuiteVersion>((name, number))?,
            None => latest(&txn, name)?,
        };
        let missing = || match number {
            Some(number) => RegistryError::NotFound { what: "suite", name: format!("{name} version {number}") },
            None => absent(name),
        };
        let version = version.ok_or_else(missing)?;
        let SuiteJson(json) = txn.get::<SuiteJson>((name, version.number))?.ok_or_else(missing)?;
        let fault = |reason: String| StoreError::Record { kind: "document", reason };
        let suite = Suite::from_json(json.get().as_bytes()).map_err(|error| fault(error.to_string()))?;
        if Suite::id_of(json.get().as_bytes()) != version.id {
            return Err(fault(format!("the suite {name} is not what its ID says")).into());
        }
        Ok((version, suite))
    }
}

/// The latest version of a suite.
pub(super) fn latest<D: Documents>(txn: &D, name: &str) -> Result<Option<SuiteVersion>, StoreError> {
    let mut found = None;
    txn.visit_documents::<SuiteVersion>(&Scan::under(name).backwards(), &mut |version| {
        found = Some(version.read()?);
        Ok(std::ops::ControlFlow::Break(()))
    })?;
    Ok(found)
}

fn names<D: Documents>(txn: &D) -> Result<std::collections::BTreeSet<String>, StoreError> {
    let mut names = std::collections::BTreeSet::new();
    txn.visit_documents::<SuiteVersion>(&Scan::all(), &mut |version| {
        names.insert(version.key()?.0.to_owned());
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(names)
}

fn subject(name: &str) -> Subject {
    Subject::Suite { name: name.to_owned() }
}

fn absent(name: &str) -> RegistryError {
    RegistryError::NotFound { what: "suite", name: name.chars().take(100).collect() }
}
