//! `draft`: named working copies of a prompt, saved, merged and published.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::values::{OverrideArgs, WhyArgs, YesArgs, handle};
use super::confirm::{confirm, deploying};
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, moment, one_line, paint, zoned};
use super::progress::size;
use super::publish::bump;
use super::{Verdict, changed, folder, why};
use crate::api::govern::{DraftMerge, DraftRequest, PublishDraftRequest};
use crate::api::problem::ErrorCode;
use crate::files::prompt::write;
use crate::model::comparison::Conflict;
use crate::model::count::count;
use crate::model::draft::{Draft, DraftSummary};
use crate::model::name::{Label, PromptName};
use crate::model::version::Bump;

const EXAMPLES: &str = "\
Examples:
  bookholder draft save support/agent warmer --file agent.prompt
  bookholder draft list support/agent
  bookholder draft show support/agent warmer > agent.prompt
  bookholder draft show support/agent warmer --revision 3
  bookholder draft merge support/agent warmer --save
  bookholder draft publish support/agent warmer -m 'Warmer greetings'
  bookholder draft discard support/agent warmer

On conflict, fix the file and save it with --parent set to the latest version.";

/// `draft`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DraftArgs {
    #[command(subcommand)]
    command: DraftCommand,
}

/// Which draft.
#[derive(Clone, Debug, Args)]
struct DraftArg {
    /// Name of the prompt
    #[arg(value_name = "NAME")]
    prompt: PromptName,
    /// Name of the draft
    #[arg(value_name = "DRAFT", value_parser = handle)]
    draft: String,
}

#[derive(Clone, Debug, Subcommand)]
enum DraftCommand {
    /// Save a prompt file as a draft
    Save {
        #[command(flatten)]
        which: DraftArg,
        /// Prompt file; - for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Version the draft is based on [default: unchanged; for a new draft, the latest]
        #[arg(long, value_name = "N")]
        parent: Option<u64>,
        /// Fail unless this is the latest revision (0: no draft may exist yet)
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
    },
    /// List the drafts of a prompt
    List {
        /// Name of the prompt
        name: PromptName,
    },
    /// Print a draft as a prompt file
    Show {
        #[command(flatten)]
        which: DraftArg,
        /// List its saved revisions instead
        #[arg(long)]
        history: bool,
        /// Revision to print [default: the latest]
        #[arg(long, value_name = "N", conflicts_with = "history")]
        revision: Option<u64>,
    },
    /// Merge newer published versions into a draft
    Merge {
        #[command(flatten)]
        which: DraftArg,
        /// Save the result, based on the latest version, if there are no conflicts
        #[arg(long)]
        save: bool,
    },
    /// Publish a draft and delete it
    Publish {
        #[command(flatten)]
        which: DraftArg,
        #[command(flatten)]
        why: WhyArgs,
        /// Label to deploy the new version to; repeatable
        #[arg(short, long, value_name = "LABEL")]
        label: Vec<Label>,
        /// Semver bump [default: detected]
        #[arg(long, value_name = "HOW", value_parser = bump())]
        bump: Option<Bump>,
        /// Deploy even if it breaks current callers; without it, you are asked on a terminal
        #[arg(long)]
        allow_major: bool,
    },
    /// Delete a draft and its history
    Discard {
        #[command(flatten)]
        which: DraftArg,
        #[command(flatten)]
        yes: YesArgs,
    },
}

pub async fn run(args: DraftArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        DraftCommand::Save { which: DraftArg { prompt, draft }, file, parent, expect } => {
            let file = folder::read_file(&file)?.file;
            if !file.labels.is_empty() {
                output.note(paint(DIM, "labels in the file are ignored; use --label when you publish the draft"));
            }
            let request = DraftRequest { content: file.content, parent, expected_revision: expect };
            saved(output, &client.save_draft(&prompt, &draft, &request).await?)?;
        }
        DraftCommand::List { name } => {
            let drafts = client.drafts(&name).await?;
            output.list(&drafts, || output.table(&table(&drafts), "no drafts"))?;
        }
        DraftCommand::Show { which: DraftArg { prompt, draft }, history: true, .. } => {
            let saves = client.draft_saves(&prompt, &draft).await?;
            output.list(&saves, || output.table(&table(&saves), "no revisions"))?;
        }
        DraftCommand::Show { which: DraftArg { prompt, draft }, history: false, revision } => {
            let draft = match revision {
                Some(revision) => client.draft_save(&prompt, &draft, revision).await?,
                None => client.draft(&prompt, &draft).await?,
            };
            output.show(&draft, || {
                output.note(paint(DIM, one_line(&described(&draft))));
                output.text(&write(&draft.content))
            })?;
        }
        DraftCommand::Merge { which, save } => return merge(&context, &which, save).await,
        DraftCommand::Publish { which: DraftArg { prompt, draft }, why, label, bump, allow_major } => {
            let message = why::message(why, &format!("Publish the draft {draft} of {prompt}"))?;
            let (expected_revision, allowed) = (None, OverrideArgs { allow_major, ..OverrideArgs::default() });
            let request = PublishDraftRequest { message, bump, labels: label, expected_revision, allow_major };
            let publish = |allow_major| {
                let request = PublishDraftRequest { allow_major, ..request.clone() };
                let (prompt, draft) = (&prompt, &draft);
                async move { client.publish_draft(prompt, draft, &request).await }
            };
            let published = deploying(output, &allowed, publish).await;
            changed::published(output, &published.map_err(|error| moved(error, &prompt, &draft))?)?;
        }
        DraftCommand::Discard { which: DraftArg { prompt, draft }, yes } => {
            confirm(output, yes.yes, &format!("Delete the draft {draft} of {prompt} and its history?"), Vec::new())?;
            client.discard_draft(&prompt, &draft).await?;
            output.show(&serde_json::json!({ "discarded": draft }), || {
                output.line(format!("{} deleted draft {}", paint(GOOD, "✓"), paint(ACCENT, draft)))
            })?;
        }
    }
    Ok(Verdict::Done)
}

async fn merge(context: &Context, DraftArg { prompt, draft }: &DraftArg, save: bool) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    // Read before the merge, so that a save in between is noticed.
    let before = client.draft(prompt, draft).await?;
    let DraftMerge { base, parent, merge } = client.merge_draft(prompt, draft).await?;
    let whole = merge.conflicts.is_empty();
    if whole && save && base != parent {
        let request =
            DraftRequest { content: merge.content, parent: Some(parent), expected_revision: Some(before.revision) };
        saved(output, &client.save_draft(prompt, draft, &request).await?)?;
        return Ok(Verdict::Done);
    }
    if output.json {
        output.json(&DraftMerge { base, parent, merge })?;
    } else if base == parent {
        output.line(paint(DIM, format!("no versions were published since version {base}; nothing to merge")))?;
    } else if whole {
        let onto = format!("merges with version {parent} without conflicts");
        output.line(format!("{} {} {onto}; use --save to save the result", paint(GOOD, "✓"), paint(ACCENT, draft)))?;
    } else {
        let many = count(merge.conflicts.len(), "conflict");
        output.line(format!("{} {many} with version {parent}; nothing was saved", paint(BAD, "✗")))?;
        output.table(&conflicts(&merge.conflicts), "")?;
        let how = format!("bookholder draft save {prompt} {draft} --file FILE --parent {parent}");
        output.note(format!("{}: resolve the conflicts in the file, then run `{how}`", paint(ACCENT.bold(), "hint")));
    }
    Ok(if whole { Verdict::Done } else { Verdict::No })
}

/// The server's error, and what to do if the prompt has a newer version.
fn moved(error: CliError, prompt: &PromptName, draft: &str) -> CliError {
    if error.code == Some(ErrorCode::ParentMoved) {
        return error.hint(format!("merge the latest version with `bookholder draft merge {prompt} {draft} --save`"));
    }
    error
}

fn described(draft: &Draft) -> String {
    let (prompt, name, revision, parent) = (&draft.prompt, &draft.name, draft.revision, draft.parent);
    let when = zoned(draft.saved);
    format!("{name} of {prompt}: revision {revision} on version {parent}, saved by {} {when}", draft.saved_by)
}

fn saved(output: Output, draft: &Draft) -> Result<(), CliError> {
    if output.json {
        return output.json(draft);
    }
    let at = format!("revision {} on version {}", draft.revision, draft.parent);
    output.line(format!("{} {} {}", paint(GOOD, "✓"), paint(ACCENT, one_line(&draft.name)), paint(DIM, at)))
}

fn table(drafts: &[DraftSummary]) -> Table {
    let mut table = Table::new(&["DRAFT", "REVISION", "FROM VERSION", "SIZE", "SAVED (ZONE)", "BY", "STARTED BY"]);
    for draft in drafts {
        table.row([
            Cell::new(ACCENT, &draft.name),
            draft.revision.into(),
            draft.parent.into(),
            size(draft.bytes).into(),
            Cell::new(DIM, moment(draft.saved)),
            Cell::from(&draft.saved_by),
            Cell::from(&draft.author),
        ]);
    }
    table
}

/// Conflicts side by side.
fn conflicts(conflicts: &[Conflict]) -> Table {
    let mut table = Table::new(&["WHERE", "BASE", "OURS", "THEIRS"]);
    let nothing = "—".to_owned();
    for conflict in conflicts {
        let side = |text: &Option<String>| text.as_ref().unwrap_or(&nothing).trim_end_matches('\n').to_owned();
        table.row([
            Cell::new(ACCENT, &conflict.place),
            Cell::lines(DIM, &side(&conflict.base)),
            Cell::lines(GOOD, &side(&conflict.ours)),
            Cell::lines(BAD, &side(&conflict.theirs)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_printed_side_by_side() {
        let json = r#"[{"place":"text line 2","base":"one\ntwo\n","ours":"one\n2\n","theirs":"uno\u001b[2J\n"},
            {"place":"variables.who","ours":"{}"}]"#;
        let found: Vec<Conflict> = serde_json::from_str(json).expect("two conflicts");
        let expected = "\
WHERE          BASE  OURS  THEIRS
text line 2    one   one   uno\u{fffd}[2J
               two   2
variables.who  —     {}    —
";
        assert_eq!(conflicts(&found).render(false, None), expected);
    }

    #[test]
    fn moved_parent_hints_at_merge() {
        let problem = |code: &str| {
            let json = format!(r#"{{"title":"t","status":409,"code":"{code}","detail":"d","hint":"h"}}"#);
            CliError::from(serde_json::from_str::<crate::api::problem::Problem>(&json).expect("a problem"))
        };
        let name: PromptName = "support/agent".parse().expect("a name");
        let hint = |code| moved(problem(code), &name, "warmer").hint.expect("a hint");
        assert!(hint("parent_moved").contains("`bookholder draft merge support/agent warmer --save`"));
        assert_eq!(hint("holds_secrets"), "h");
    }
}
