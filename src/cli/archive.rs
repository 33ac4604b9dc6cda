//! `archive`: deletes the contents of unused versions. A dry run unless `--apply` is given.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, one_line, paint};
use super::{Verdict, disk};
use crate::api::govern::{ArchiveRequest, Archived};
use crate::files::lockfile::{LOCKFILE_BYTES_MAX, LOCKFILE_NAME, Lockfile};
use crate::model::count::count;
use crate::model::pattern::Pattern;

const EXAMPLES: &str = "\
Examples:
  bookholder archive --unused-days 365              dry run
  bookholder archive --unused-days 365 --keep-lockfile app/
  bookholder archive --unused-days 200 --prompts 'trial/**' \\
      --apply -m 'Old trials'

IDs, authors, times and the audit log are kept; only content is deleted.";

/// `archive`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ArchiveArgs {
    /// Prompts to archive versions of
    #[arg(long, value_name = "PATTERN", default_value = "**")]
    prompts: Pattern,
    /// Archive versions unused for at least this many days (min. 184)
    #[arg(long, value_name = "N")]
    unused_days: u32,
    /// Keep versions named in this lock file, or in the lock file of this folder; repeatable
    #[arg(long, value_name = "FILE")]
    keep_lockfile: Vec<PathBuf>,
    /// Archive the versions (default: dry run); requires --message
    #[arg(long, requires = "message")]
    apply: bool,
    /// Message for the audit log
    #[arg(short, long, value_name = "WHY", requires = "apply", value_parser = NonEmptyStringValueParser::new())]
    message: Option<String>,
}

pub async fn run(args: ArchiveArgs, context: Context) -> Result<Verdict, CliError> {
    let mut keep = Vec::new();
    for path in &args.keep_lockfile {
        keep.extend(content_ids(path)?);
    }
    keep.sort();
    keep.dedup();
    let request = ArchiveRequest {
        prompts: args.prompts,
        unused_days: args.unused_days,
        keep,
        dry_run: !args.apply,
        message: args.message.unwrap_or_default(),
    };
    let archived = context.client.archive(&request).await?;
    context.output.show(&archived, || print(context.output, &archived))?;
    Ok(Verdict::Done)
}

/// The content IDs in a lock file.
fn content_ids(path: &Path) -> Result<Vec<String>, CliError> {
    let path = if path.is_dir() { path.join(LOCKFILE_NAME) } else { path.to_owned() };
    let lockfile = Lockfile::parse(&disk::read_text(&path, LOCKFILE_BYTES_MAX)?)
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    Ok(lockfile.prompts().iter().map(|prompt| prompt.content_id.to_string()).collect())
}

fn print(output: Output, archived: &Archived) -> Result<(), CliError> {
    for version in &archived.versions {
        output.line(format!("{} {}", paint(DIM, "-"), paint(ACCENT, one_line(&version.to_string()))))?;
    }
    output.line(summary(archived))?;
    output.table(&kept(archived), "no other versions to archive")?;
    if archived.dry_run && !archived.versions.is_empty() {
        output.note(format!("{}: dry run; use --apply -m MESSAGE to archive them", paint(ACCENT.bold(), "hint")));
    }
    Ok(())
}

/// The number of old versions that stay, by reason.
fn kept(archived: &Archived) -> Table {
    let mut table = Table::new(&["KEPT", "BECAUSE"]);
    for (why, number) in &archived.kept {
        table.row([count(*number, "version").into(), Cell::new(DIM, why)]);
    }
    table
}

fn summary(archived: &Archived) -> String {
    let versions = count(archived.versions.len(), "version");
    let (sign, what) = if archived.dry_run { (String::new(), "would be") } else { (paint(GOOD, "✓ "), "are") };
    let bytes = usize::try_from(archived.bytes).unwrap_or(usize::MAX);
    format!("{sign}{versions} {what} archived, {} freed", count(bytes, "byte"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::lockfile::LockedPrompt;
    use crate::model::content_id::ContentId;
    use crate::model::name::Label;
    use crate::model::position::Position;

    #[test]
    fn lock_file_round_trips() {
        let folder = tempfile::tempdir().expect("a folder");
        let prompt = LockedPrompt::new("support/agent".parse().expect("a name"), 7, ContentId::of(b"x"));
        let lockfile =
            Lockfile::new(Some(Label::production()), "main".to_owned(), Position { epoch: 1, seq: 2 }, vec![prompt]);
        let path = folder.path().join(LOCKFILE_NAME);
        std::fs::write(&path, lockfile.write().expect("a lock file")).expect("a file");
        let expected = vec![ContentId::of(b"x").to_string()];
        assert_eq!(content_ids(&path).expect("the file"), expected);
        assert_eq!(content_ids(folder.path()).expect("its folder"), expected);
        std::fs::write(&path, "nonsense").expect("a file");
        assert_eq!(content_ids(&path).expect_err("no lock file").kind.code(), 2);
    }

    #[test]
    fn kept_versions_are_summarized_as_text() {
        let json = r#"{"versions":[],"bytes":0,"kept":{"a lock file names it":1,"used lately":12},"dry_run":true}"#;
        let archived: Archived = serde_json::from_str(json).expect("an answer");
        let expected = "KEPT         BECAUSE\n1 version    a lock file names it\n12 versions  used lately\n";
        assert_eq!(kept(&archived).render(false, None), expected);
    }

    #[test]
    fn dry_run_is_reported_as_one() {
        let json = r#"{"versions":["a@1","a@2"],"bytes":1,"kept":{},"dry_run":true}"#;
        let archived: Archived = serde_json::from_str(json).expect("an answer");
        assert_eq!(summary(&archived), "2 versions would be archived, 1 byte freed");
        let done = summary(&Archived { dry_run: false, ..archived });
        assert_eq!(anstream::adapter::strip_str(&done).to_string(), "✓ 2 versions are archived, 1 byte freed");
    }
}
