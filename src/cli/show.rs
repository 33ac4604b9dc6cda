//! `show`: a prompt with its labels, or one of its versions with its content.

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::get::{as_value, print_rendered};
use super::log::labels;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, STRONG, Table, listed, moment, one_line, paint, zoned};
use crate::api::read::{PromptView, VersionView};
use crate::model::content::Body;
use crate::model::name::PromptName;
use crate::model::reference::Reference;
use crate::model::rendered::Rendered;

const EXAMPLES: &str = "\
Examples:
  bookholder show support/agent              labels and dependent prompts
  bookholder show support/agent@7            author, message and text
  bookholder show support/agent@staging --json";

/// `show`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// Prompt, or one of its versions
    #[arg(value_name = "NAME[@VERSION]", value_parser = subject)]
    subject: Subject,
}

#[derive(Clone, Debug)]
enum Subject {
    Prompt(PromptName),
    Version(Reference),
}

fn subject(text: &str) -> Result<Subject, String> {
    if text.contains('@') {
        text.parse().map(Subject::Version).map_err(|error: crate::model::reference::ReferenceError| error.to_string())
    } else {
        text.parse().map(Subject::Prompt).map_err(|error: crate::model::name::NameError| error.to_string())
    }
}

pub async fn run(args: ShowArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    match args.subject {
        Subject::Prompt(name) => {
            let view = context.client.prompt(&name).await?;
            if output.json { output.json(&view)? } else { prompt(output, &view)? }
        }
        Subject::Version(reference) => {
            let number = context.number(&reference).await?;
            let view = context.client.version(&reference.name, number).await?;
            if output.json {
                output.json(&view)?;
            } else {
                let prompt = context.client.prompt(&reference.name).await?;
                version(output, &prompt, &view)?;
            }
        }
    }
    Ok(Verdict::Done)
}

fn prompt(output: Output, view: &PromptView) -> Result<(), CliError> {
    let prompt = &view.prompt;
    let versions = crate::model::count::count(prompt.latest, "version");
    output.line(format!("{}  {}", paint(STRONG, &prompt.name), paint(DIM, versions)))?;
    output.line(paint(DIM, format!("created {} · changed {}", moment(prompt.created), moment(prompt.changed))))?;
    if let Some(at) = prompt.removed {
        output.line(paint(BAD, format!("removed {}; publish a new version to restore it", moment(at))))?;
    }
    if let Some(about) = &view.about {
        super::describe::show(output, about)?;
    }
    output.line("")?;
    let mut table = Table::new(&["LABEL", "SERVES", "SINCE (ZONE)", "DEPLOYMENT"]);
    for state in &view.labels {
        table.row([
            Cell::new(ACCENT, &state.label),
            Cell::new(GOOD, &state.serving),
            Cell::new(DIM, moment(state.since)),
            Cell::new(DIM, state.deployment),
        ]);
    }
    output.table(&table, "no labels")?;
    if !view.dependents.is_empty() {
        output.line(format!("\nincluded by {}", listed(&view.dependents)))?;
    }
    Ok(())
}

fn version(output: Output, prompt: &PromptView, view: &VersionView) -> Result<(), CliError> {
    let version = &view.version;
    let labels = labels(prompt, version.number);
    let labels = if labels.is_empty() { labels } else { format!("({})", paint(GOOD, labels)) };
    output.line(format!(
        "{} {} {labels}",
        paint(STRONG, format!("{}@{}", prompt.prompt.name, version.number)),
        version.semver
    ))?;
    let mut rows = vec![
        ("stamp", view.stamp.clone()),
        ("content", version.content_id.to_string()),
        ("author", version.author.clone()),
        ("when", zoned(version.created)),
        ("why", version.message.clone()),
    ];
    rows.extend(version.includes.iter().map(|include| ("includes", format!("{}@{}", include.name, include.version))));
    rows.extend(
        version
            .retired
            .iter()
            .map(|retired| ("retired", format!("{} by {}: {}", moment(retired.at), retired.actor, retired.message))),
    );
    rows.extend(view.content.model.iter().map(|model| ("model", model.name.clone())));
    if !view.content.variables.is_empty() {
        let names: Vec<_> = view.content.variables.iter().map(|variable| variable.name.as_str()).collect();
        rows.push(("variables", names.join(", ")));
    }
    for (what, value) in rows {
        output.line(format!("{} {}", paint(DIM, format!("{what:<10}")), one_line(&value)))?;
    }
    output.line("")?;
    let said = match &view.content.body {
        Body::Text(text) => Rendered::Text(text.clone()),
        Body::Messages(messages) => Rendered::Messages(messages.iter().map(as_value).collect()),
    };
    print_rendered(output, &said)
}
