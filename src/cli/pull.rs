//! `pull`: writes what a label serves to a folder of prompt files and a lock file.
//!
//! Every file is replaced atomically, the lock file last: if the lock file matches the files, the folder is complete.
//! Local changes are never overwritten without `--force`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::batches::BatchedAnswers;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, DIM, GOOD, WARN, paint};
use super::{Verdict, batches, disk, folder};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::{ErrorCode, Problem};
use crate::api::read::Resolved;
use crate::client::PromptFilter;
use crate::files::compare::FileIds;
use crate::files::lockfile::{LOCKFILE_NAME, LockedPrompt, Lockfile};
use crate::files::path::path_of;
use crate::files::prompt;
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::count::count;
use crate::model::name::{Label, PromptName};
use crate::model::position::Position;
use crate::model::serving::Target;

/// How often a pull with several requests starts again because the registry changed in between.
const ATTEMPTS_MAX: usize = 5;
/// Most requests for contents at a time.
const SOURCES_AT_ONCE: usize = 8;

const EXAMPLES: &str = "\
Examples:
  bookholder pull --label production --out prompts/
  bookholder pull --label production --out prompts/ --check    for CI
  bookholder pull --label production --out shipped/ --inline   for your app

support/agent is written to support/agent.prompt; bookholder.lock lists each
version and its content ID. --check exits with 1 if anything differs.";

/// `pull`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PullArgs {
    /// Label to download
    #[arg(short, long, value_name = "LABEL")]
    label: Label,
    /// Folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing; list differences, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
    /// Fill in includes: complete texts, for an application to ship; without it, files are as their authors wrote
    /// them, ready for `push`
    #[arg(long)]
    inline: bool,
    /// Overwrite local changes
    #[arg(long, conflicts_with = "check")]
    force: bool,
}

/// What the label serves, from one snapshot of the registry.
struct LabelSnapshot {
    position: Position,
    prompts: BTreeMap<PromptName, Resolved>,
    /// Prompts with a split, and the version that was taken.
    split: BTreeMap<PromptName, u64>,
    /// Contents as their authors wrote them, of versions with includes.
    sources: BTreeMap<PromptName, (ContentId, Content)>,
}

pub async fn run(args: PullArgs, context: Context) -> Result<Verdict, CliError> {
    let old = folder::read_lockfile(&args.out)?;
    let registry = context.client.status().await?.registry;
    let mut served = served(&context, &args.label).await?;
    if !args.inline {
        let old = old.as_ref().filter(|old| !old.inline);
        served.sources = sources(&context, &args.out, old, &served).await?;
    }
    for (name, version) in &served.split {
        let version = paint(ACCENT, format!("{name}@{version}"));
        let warning = paint(WARN.bold(), "warning");
        context
            .output
            .note(format!("{warning}: {name} serves several versions; took {version}, which has the most weight"));
    }
    let locked = |(name, resolved): (&PromptName, &Resolved)| {
        let locked = LockedPrompt::new(name.clone(), resolved.version, resolved.content_id);
        if let Some((id, _)) = served.sources.get(name) {
            return locked.written_as(*id);
        }
        // A local file may have the same content in another form: with includes, or without completed variables.
        let old = old.as_ref().filter(|old| old.inline == args.inline).and_then(|old| old.get(name));
        match old.filter(|before| before.content_id == locked.content_id) {
            Some(before) => before.written_id.map_or(locked.clone(), |id| locked.written_as(id)),
            None => locked,
        }
    };
    let prompts = served.prompts.iter().map(locked).collect();
    let mut new = Lockfile::new(Some(args.label.clone()), registry, served.position, prompts);
    new.inline = args.inline;
    let changes = changes(&args.out, old.as_ref(), &new, &served);
    if args.check {
        return check(&context, &changes, &new, &args.label);
    }
    let touched: Vec<String> =
        changes.iter().filter(|change| change.local).map(|change| path_of(&change.name)).collect();
    if !touched.is_empty() && !args.force {
        let message = format!("{} changed in {} since the last pull", count(touched.len(), "file"), args.out.display());
        return Err(CliError::no(message)
            .details(touched)
            .hint("publish them with `bookholder push`, or overwrite them with --force"));
    }
    write(&args.out, old.as_ref(), &new, &served)?;
    context.output.show(&new, || {
        print(&context, &changes)?;
        let what = format!("{} of {} at {}", count(new.prompts().len(), "prompt"), args.label, new.position);
        context.output.line(format!("{} {what} in {}", paint(GOOD, "✓"), paint(ACCENT, args.out.display())))
    })?;
    Ok(Verdict::Done)
}

/// Reads what a label serves; starts again if the registry changes between two requests.
async fn served(context: &Context, label: &Label) -> Result<LabelSnapshot, CliError> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(served) = served_once(context, label).await? {
            return Ok(served);
        }
    }
    Err(CliError::no("the registry kept changing during the download").hint("try again"))
}

async fn served_once(context: &Context, label: &Label) -> Result<Option<LabelSnapshot>, CliError> {
    let views: Vec<_> = context.client.prompts(&PromptFilter::default(), PAGE_ROWS_MAX).try_collect().await?;
    let has = |labels: &[crate::model::prompt::LabelState]| labels.iter().any(|state| state.label == *label);
    let mut split = BTreeMap::new();
    let mut references = Vec::new();
    for view in views.into_iter().filter(|view| label.is_latest() || has(&view.labels)) {
        let state = view.labels.iter().find(|state| state.label == *label);
        let name = view.prompt.name;
        // The version of a split depends on the caller; a folder gets the one with the most weight.
        match state.and_then(|state| main_version(&state.serving.default)) {
            Some(version) => {
                references.push(format!("{name}@{version}"));
                split.insert(name, version);
            }
            None => references.push(format!("{name}@{label}")),
        }
    }
    if references.is_empty() {
        return Err(CliError::no(format!("no prompt has the label {label}")));
    }
    // It was removed, or lost the label, since it was listed.
    let is_gone = |problem: &Problem| matches!(problem.code, ErrorCode::LabelNotFound | ErrorCode::PromptRemoved);
    let Some(BatchedAnswers { position, resolved }) = batches::resolve(context, &references, is_gone).await? else {
        return Ok(None);
    };
    let prompts = resolved.into_iter().map(|resolved| (resolved.name.clone(), resolved)).collect();
    Ok(Some(LabelSnapshot { position, prompts, split, sources: BTreeMap::new() }))
}

/// The contents with includes as their authors wrote them, of all versions that the folder does not have already.
async fn sources(
    context: &Context,
    out: &Path,
    old: Option<&Lockfile>,
    served: &LabelSnapshot,
) -> Result<BTreeMap<PromptName, (ContentId, Content)>, CliError> {
    let there = |name: &PromptName, resolved: &Resolved| {
        let before = old.and_then(|old| old.get(name)).filter(|before| before.content_id == resolved.content_id);
        let ids = folder::read_file(&out.join(path_of(name))).ok().map(|file| file.ids);
        before.is_some_and(|before| has(ids.as_ref(), before))
    };
    let absent = served.prompts.iter().filter(|(name, resolved)| !there(name, resolved));
    let written = absent.map(|(name, resolved)| async move {
        let view = context.client.version(name, resolved.version).await?;
        let id = view.source.as_ref().map(Content::id).transpose();
        if view.version.content_id != resolved.content_id || id.as_ref() != Ok(&view.version.source_id) {
            return Err(CliError::server(format!("the server sent the wrong content for {name}@{}", resolved.version)));
        }
        Ok(view.version.source_id.zip(view.source).map(|source| (name.clone(), source)))
    });
    let written: Vec<_> = stream::iter(written).buffered(SOURCES_AT_ONCE).try_collect().await?;
    Ok(written.into_iter().flatten().collect())
}

/// The version of a split with the most weight, the newest of several; absent without a split.
fn main_version(target: &Target) -> Option<u64> {
    let Target::Split(split) = target else { return None };
    let mut weights: BTreeMap<u64, u32> = BTreeMap::new();
    for slots in &split.slots {
        *weights.entry(slots.version).or_default() += u32::from(slots.to.saturating_sub(slots.from));
    }
    weights.into_iter().max_by_key(|(version, weight)| (*weight, *version)).map(|(version, _)| version)
}

/// A prompt of the folder that differs from the label.
#[derive(Debug, PartialEq, serde::Serialize)]
struct Change {
    name: PromptName,
    /// The version in the folder.
    from: Option<u64>,
    /// The version that the label serves.
    to: Option<u64>,
    /// Whether the file itself was changed locally.
    local: bool,
}

fn changes(out: &Path, old: Option<&Lockfile>, new: &Lockfile, served: &LabelSnapshot) -> Vec<Change> {
    let mut names: Vec<&PromptName> = new.prompts().iter().map(|prompt| &prompt.name).collect();
    names.extend(old.iter().flat_map(|old| old.prompts().iter().map(|prompt| &prompt.name)));
    names.sort();
    names.dedup();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (old.and_then(|old| old.get(name)), new.get(name));
        let path = out.join(path_of(name));
        let present = folder::read_file(&path).ok().map(|written| written.ids);
        let pulled = |locked: &LockedPrompt| has(present.as_ref(), locked);
        let local = path.symlink_metadata().is_ok() && !before.is_some_and(pulled) && !after.is_some_and(pulled);
        // In a folder that was never pulled, files are compared by content.
        let moved = old.is_some() && before != after;
        if moved || !after.is_some_and(|after| served.is_written(present.as_ref(), after)) {
            let version = |locked: Option<&LockedPrompt>| locked.map(|locked| locked.version);
            changes.push(Change { name: name.clone(), from: version(before), to: version(after), local });
        }
    }
    changes
}

/// Whether a file has the content of a version, as served or as written.
fn has(present: Option<&FileIds>, locked: &LockedPrompt) -> bool {
    let ids = || std::iter::once(&locked.content_id).chain(&locked.written_id);
    present.is_some_and(|present| ids().any(|id| present.contain(id)))
}

impl LabelSnapshot {
    /// Whether a file needs no change: it has the content of the version, with its includes unless they are filled in.
    /// It is left as its author formatted it, with labels and comments.
    fn is_written(&self, present: Option<&FileIds>, locked: &LockedPrompt) -> bool {
        match self.sources.get(&locked.name) {
            Some((id, _)) => present.is_some_and(|present| present.contain(id)),
            None => has(present, locked),
        }
    }
}

fn check(context: &Context, changes: &[Change], new: &Lockfile, label: &Label) -> Result<Verdict, CliError> {
    if context.output.json {
        context.output.json(&serde_json::json!({ "position": new.position, "changes": changes }))?;
    } else {
        print(context, changes)?;
        let what = format!("{} of {label} at {}", count(new.prompts().len(), "prompt"), new.position);
        if changes.is_empty() {
            context.output.line(format!("{} {what}, all up to date", paint(GOOD, "✓")))?;
        } else {
            context.output.line(paint(DIM, format!("{what}: {} differ", changes.len())))?;
        }
    }
    Ok(if changes.is_empty() { Verdict::Done } else { Verdict::No })
}

fn print(context: &Context, changes: &[Change]) -> Result<(), CliError> {
    for change in changes {
        let name = paint(ACCENT, &change.name);
        let line = match (change.from, change.to) {
            (None, Some(to)) => format!("{} {name} {to}", paint(GOOD, "+")),
            (Some(from), None) => format!("{} {name} {from}", paint(BAD, "-")),
            (Some(from), Some(to)) if from != to => format!("{} {name} {from} → {to}", paint(WARN, "~")),
            _ => format!("{} {name} its file differs from the version pulled", paint(WARN, "~")),
        };
        let local = if change.local { paint(BAD, " (changed in the folder)") } else { String::new() };
        context.output.line(line + &local)?;
    }
    Ok(())
}

fn write(out: &Path, old: Option<&Lockfile>, new: &Lockfile, served: &LabelSnapshot) -> Result<(), CliError> {
    for (name, resolved) in &served.prompts {
        let path = out.join(path_of(name));
        let present = folder::read_file(&path).ok().map(|written| written.ids);
        if !new.get(name).is_some_and(|new| served.is_written(present.as_ref(), new)) {
            let content = served.sources.get(name).map_or(&resolved.content, |(_, source)| source);
            disk::write(&path, prompt::write(content).as_bytes())?;
        }
    }
    let lockfile = new.write().map_err(|error| CliError::no(error.to_string()))?;
    disk::write(&out.join(LOCKFILE_NAME), lockfile.as_bytes())?;
    let gone = old.iter().flat_map(|old| old.prompts()).filter(|prompt| new.get(&prompt.name).is_none());
    for prompt in gone {
        let path = out.join(path_of(&prompt.name));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::file("remove", &path, &error));
            }
            _ => remove_empty_folders(out, disk::parent(&path)),
        }
    }
    Ok(())
}

/// Removes empty folders, up to the one that was pulled into.
fn remove_empty_folders(out: &Path, folder: &Path) {
    let mut folder = folder;
    // A folder that is not empty stays: removing it fails, which ends the loop.
    while folder != out && folder.starts_with(out) && fs::remove_dir(folder).is_ok() {
        folder = disk::parent(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::content::Syntax;
    use crate::model::response_tags::ResponseTags;

    fn served(prompts: &[(&str, u64, &str)]) -> (Lockfile, LabelSnapshot) {
        let position = Position { epoch: 1, seq: 7 };
        let resolved = |(name, version, text): &(&str, u64, &str)| {
            let name: PromptName = name.parse().expect(name);
            let content = Content::text(Syntax::Mustache, *text);
            let content_id = content.id().expect("small");
            let stamp = crate::model::stamp::stamp(&name, *version, &content_id);
            let (label, assignment) = (Some(Label::production()), None);
            let telemetry = ResponseTags::new(&name, *version, &content_id, label.as_ref());
            let version = *version;
            (name.clone(), Resolved { name, version, content_id, label, content, stamp, assignment, telemetry })
        };
        let prompts: BTreeMap<_, _> = prompts.iter().map(resolved).collect();
        let locked = prompts.values().map(|r| LockedPrompt::new(r.name.clone(), r.version, r.content_id)).collect();
        let lockfile = Lockfile::new(Some(Label::production()), "main".to_owned(), position, locked);
        (lockfile, LabelSnapshot { position, prompts, split: BTreeMap::new(), sources: BTreeMap::new() })
    }

    #[test]
    fn pull_follows_the_label_and_leaves_other_files_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("prompts");
        let (first, state) = served(&[("a", 1, "one"), ("b/c", 2, "two")]);
        assert_eq!(changes(&out, None, &first, &state).len(), 2);
        write(&out, None, &first, &state).expect("written");
        assert_eq!(folder::read_lockfile(&out).expect("a lock file"), Some(first.clone()));
        assert!(changes(&out, Some(&first), &first, &state).is_empty());
        fs::write(out.join("b/README.md"), "mine").expect("a file");
        let (second, state) = served(&[("a", 3, "three")]);
        let found = changes(&out, Some(&first), &second, &state);
        let expected = |name: &str, from, to| Change { name: name.parse().expect(name), from, to, local: false };
        assert_eq!(found, [expected("a", Some(1), Some(3)), expected("b/c", Some(2), None)]);
        write(&out, Some(&first), &second, &state).expect("written");
        assert_eq!(fs::read_to_string(out.join("a.prompt")).expect("a file"), "three\n");
        assert!(!out.join("b/c.prompt").exists() && out.join("b/README.md").exists());
    }

    #[test]
    fn locally_changed_file_is_distinguished_from_an_outdated_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (lockfile, state) = served(&[("a", 1, "one")]);
        write(folder.path(), None, &lockfile, &state).expect("written");
        fs::write(folder.path().join("a.prompt"), "mine\n").expect("a file");
        let found = changes(folder.path(), Some(&lockfile), &lockfile, &state);
        assert!(matches!(found.as_slice(), [Change { local: true, .. }]), "{found:?}");
        fs::remove_file(folder.path().join("a.prompt")).expect("removed");
        let found = changes(folder.path(), Some(&lockfile), &lockfile, &state);
        assert!(matches!(found.as_slice(), [Change { local: false, .. }]), "a lost file is only missing: {found:?}");
    }
}
