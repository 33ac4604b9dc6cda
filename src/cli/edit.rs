//! `edit`: opens a version in an editor and publishes what was written.
//!
//! Invariant: what someone wrote is not lost: unless it was published, the file stays and its path is printed.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;

use super::args::values::{OverrideArgs, WhyArgs};
use super::confirm::{deploying, is_interactive};
use super::context::Context;
use super::diff::changes;
use super::error::CliError;
use super::output::{ACCENT, DIM, Output, STRONG, WARN, one_line, paint};
use super::publish::bump;
use super::{Verdict, changed, disk, editor, findings, folder, why};
use crate::api::govern::ClassifyRequest;
use crate::api::problem::ErrorCode;
use crate::api::write::PublishRequest;
use crate::files::compare::ParsedFile;
use crate::files::prompt::write;
use crate::governance::{diff::diff, interface};
use crate::model::content::Content;
use crate::model::name::{Label, PromptName};
use crate::model::reference::{Reference, ReferenceError, Selector};
use crate::model::version::Bump;
use crate::template::lint::lint;

const EXAMPLES: &str = "\
Examples:
  bookholder edit support/agent                   the latest version
  bookholder edit support/agent@production        what production serves
  bookholder edit support/agent@6 -m 'Back to shorter answers'
  EDITOR='code --wait' bookholder edit support/agent --label staging

Opens a prompt file in $VISUAL or $EDITOR. When you close it, it is checked, and
the differences are shown before anything is published; y publishes, e opens it
again, n cancels and keeps the file. For the format of the file, run
`bookholder prompt-file`.";

/// `edit`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EditArgs {
    /// Prompt, or the version to start from: NAME, NAME@LABEL or NAME@7; a name alone means the latest version
    #[arg(value_name = "NAME[@VERSION]", value_parser = start)]
    start: Reference,
    #[command(flatten)]
    why: WhyArgs,
    /// Label to deploy the new version to; repeatable
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<Label>,
    /// Semver bump [default: detected]
    #[arg(long, value_name = "HOW", value_parser = bump())]
    bump: Option<Bump>,
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// Parses a reference in which a name alone means the latest version.
fn start(text: &str) -> Result<Reference, String> {
    let written = if text.contains('@') { text.to_owned() } else { format!("{text}@{}", Label::latest()) };
    written.parse().map_err(|error: ReferenceError| error.to_string())
}

/// What is edited.
struct Draft {
    name: PromptName,
    /// The version that was opened, as its author wrote it.
    number: u64,
    before: Content,
    /// The latest version when it was opened.
    latest: u64,
    path: PathBuf,
}

/// What to do with an edited file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Publish,
    EditAgain,
    Cancel,
}

pub async fn run(args: EditArgs, context: Context) -> Result<Verdict, CliError> {
    let name = args.start.name.clone();
    let latest = match &args.start.selector {
        Selector::Label(label) if label.is_latest() => context.number(&args.start).await?,
        _ => context.client.prompt(&name).await?.prompt.latest,
    };
    let number = context.number(&args.start).await?;
    let view = context.client.version(&name, number).await?;
    let before = view.source.unwrap_or(view.content);
    let folder = tempfile::Builder::new().prefix("bookholder-edit-").tempdir()?;
    let path = folder.path().join(format!("{}.prompt", name.as_str().replace('/', "-")));
    let draft = Draft { name, number, before, latest, path };
    let opened = write(&draft.before);
    disk::write_private(&draft.path, opened.as_bytes())?;
    if number != latest {
        let missing = if number + 1 == latest { latest.to_string() } else { format!("{} to {latest}", number + 1) };
        note(
            context.output,
            &format!("changes of version {missing} are not in version {number}, which you are editing"),
        );
    }
    match edited(&args, &context, &draft, &opened).await {
        Ok(verdict) => Ok(verdict),
        Err(error) => {
            if std::fs::read_to_string(&draft.path).is_ok_and(|text| text == opened) {
                return Err(error);
            }
            // The folder is not removed from here on.
            let _kept = folder.keep();
            let path = draft.path.display();
            let hint =
                format!("your text is in {path}; publish it with `bookholder publish {} --file {path}`", draft.name);
            let hint = error.hint.as_ref().map_or_else(|| hint.clone(), |before| format!("{before}; {hint}"));
            Err(error.hint(hint))
        }
    }
}

/// Opens the editor until the file can be published or the author gives up.
async fn edited(args: &EditArgs, context: &Context, draft: &Draft, opened: &str) -> Result<Verdict, CliError> {
    let output = context.output;
    let file = loop {
        editor::open(&draft.path)?;
        if disk::read_text(&draft.path, crate::files::prompt::PROMPT_FILE_BYTES_MAX).is_ok_and(|text| text == opened) {
            output.show(&serde_json::json!({ "published": false }), || output.line(paint(DIM, "no changes")))?;
            return Ok(Verdict::Done);
        }
        match read(context, draft).await {
            Ok(ParsedFile { file, .. }) => {
                show(output, draft, &file.content);
                match choose(args.overrides.yes, &format!("Publish version {} of {}?", draft.latest + 1, draft.name))? {
                    Choice::Publish => break file,
                    Choice::EditAgain => {}
                    Choice::Cancel => return Err(CliError::no("nothing was published")),
                }
            }
            Err(error) if is_interactive() => {
                output.error(&error);
                if choose(false, "Correct it?")? == Choice::Cancel {
                    return Err(CliError::no("nothing was published"));
                }
            }
            Err(error) => return Err(error),
        }
    };
    let message = why::message(args.why.clone(), &format!("Publish version {} of {}", draft.latest + 1, draft.name))?;
    let mut labels: Vec<Label> = file.labels.into_iter().chain(args.label.clone()).collect();
    labels.sort();
    labels.dedup();
    let request = PublishRequest {
        content: file.content,
        message,
        bump: args.bump,
        expected_parent: Some(draft.latest),
        labels,
        allow_major: false,
        break_glass: args.overrides.break_glass.clone(),
    };
    let client = &context.client;
    let publish = |allow_major| {
        let request = PublishRequest { allow_major, ..request.clone() };
        async move { client.publish(&draft.name, &request).await }
    };
    let published = deploying(output, &args.overrides, publish).await.map_err(|error| moved(error, draft))?;
    changed::published(output, &published)?;
    Ok(Verdict::Done)
}

/// The error of a publication, and what to do if someone else published since the file was opened.
fn moved(error: CliError, draft: &Draft) -> CliError {
    if error.code == Some(ErrorCode::ParentMoved) {
        return error.hint(format!("see what changed with `bookholder diff {} {} latest`", draft.name, draft.latest));
    }
    error
}

/// Reads the file, and checks it as far as the author may.
async fn read(context: &Context, draft: &Draft) -> Result<ParsedFile, CliError> {
    let read = folder::read_file(&draft.path)?;
    let request = ClassifyRequest { content: read.file.content.clone() };
    match context.client.classify(&request).await {
        Ok(classified) if !classified.findings.is_empty() => {
            context.output.note(findings::table(&classified.findings).render(false, None).trim_end());
        }
        Ok(_) => {}
        // Publishing checks the content in any case.
        Err(crate::client::ClientError::Problem(problem))
            if matches!(problem.code, ErrorCode::Forbidden | ErrorCode::InvalidContent) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(read)
}

/// Shows what would be published, on standard error: standard output has the result.
fn show(output: Output, draft: &Draft, content: &Content) {
    output.note(paint(STRONG, format!("{}@{} → version {}", draft.name, draft.number, draft.latest + 1)));
    output.note(changes(&diff(&draft.before, content)).trim_end());
    output.note("");
    if let Some(effect) = findings::interface(&interface::between(&draft.before, content)) {
        output.note(effect);
    }
    for warning in lint(content) {
        let place = format!("line {}: ", warning.line);
        output.note(format!("{}: {place}{}", paint(WARN.bold(), "warning"), one_line(&warning.message)));
    }
}

/// Asks on a terminal; a script publishes.
fn choose(yes: bool, question: &str) -> Result<Choice, CliError> {
    if yes || !is_interactive() {
        return Ok(Choice::Publish);
    }
    let mut stderr = anstream::stderr();
    loop {
        write!(stderr, "{} [y]es, [e]dit, [n]o: ", one_line(question))?;
        stderr.flush()?;
        let mut answer = String::new();
        if std::io::stdin().lock().read_line(&mut answer)? == 0 {
            return Ok(Choice::Cancel);
        }
        if let Some(choice) = chosen(&answer) {
            return Ok(choice);
        }
    }
}

/// Absent if the answer is none of those that were offered.
fn chosen(answer: &str) -> Option<Choice> {
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(Choice::Publish),
        "e" | "edit" => Some(Choice::EditAgain),
        "n" | "no" | "q" => Some(Choice::Cancel),
        _ => None,
    }
}

fn note(output: Output, text: &str) {
    output.note(format!("{}: {}", paint(ACCENT.bold(), "note"), one_line(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_alone_starts_from_the_latest_version() {
        let shown = |text: &str| start(text).map(|reference| reference.to_string());
        assert_eq!(shown("support/agent"), Ok("support/agent@latest".to_owned()));
        assert_eq!(shown("support/agent@6"), Ok("support/agent@6".to_owned()));
        assert_eq!(shown("support/agent@production"), Ok("support/agent@production".to_owned()));
        assert!(start("a@").is_err() && start("a//b").is_err());
    }

    #[test]
    fn answers_publish_edit_again_or_cancel() {
        for (answer, expected) in [
            ("y\n", Some(Choice::Publish)),
            (" Edit \n", Some(Choice::EditAgain)),
            ("n\n", Some(Choice::Cancel)),
            ("\n", None),
            ("maybe\n", None),
        ] {
            assert_eq!(chosen(answer), expected, "{answer:?}");
        }
    }
}
