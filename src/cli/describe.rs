//! `describe`: sets the owner, tags and description of a prompt, and which prompts its output feeds.

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, one_line, paint};
use crate::model::about::About;
use crate::model::name::PromptName;

const EXAMPLES: &str = "\
Examples:
  bookholder describe support/agent --owner support-team --tag chat
  bookholder describe support/agent --description 'Answers shop customers'
  bookholder describe support/agent --owner '' --no-tags      clear both
  bookholder describe support/router --feeds support/agent

Fields you leave out stay unchanged.";

/// `describe`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DescribeArgs {
    /// Name of the prompt
    #[arg(value_name = "NAME")]
    name: PromptName,
    /// Owner: a person or team ('' to clear)
    #[arg(long, value_name = "OWNER", required_unless_present_any = ["tag", "no_tags", "description", "feeds", "no_feeds"])]
    owner: Option<String>,
    /// Tag; replaces existing tags; repeatable
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// Description ('' to clear)
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Prompt that gets its output; replaces existing ones; repeatable
    #[arg(long, value_name = "NAME")]
    feeds: Vec<PromptName>,
    /// Its output feeds no other prompt
    #[arg(long, conflicts_with = "feeds")]
    no_feeds: bool,
}

pub async fn run(args: DescribeArgs, context: Context) -> Result<Verdict, CliError> {
    let mut about = context.client.about(&args.name).await?;
    if let Some(owner) = args.owner {
        about.owner = Some(owner).filter(|owner| !owner.is_empty());
    }
    if args.no_tags || !args.tag.is_empty() {
        about.tags = args.tag.into_iter().collect();
    }
    if let Some(description) = args.description {
        about.description = description;
    }
    if args.no_feeds || !args.feeds.is_empty() {
        about.feeds = args.feeds.into_iter().collect();
    }
    let about = context.client.describe(&args.name, &about).await?;
    let output = context.output;
    output.show(&about, || {
        output.line(format!("{} {}", paint(GOOD, "✓"), paint(ACCENT, &args.name)))?;
        show(output, &about)
    })?;
    Ok(Verdict::Done)
}

/// Prints the details of a prompt, one per line.
pub(super) fn show(output: Output, about: &About) -> Result<(), CliError> {
    let tags = about.tags.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let owner = about.owner.as_deref().unwrap_or_default();
    let feeds = about.feeds.iter().map(PromptName::as_str).collect::<Vec<_>>().join(", ");
    for (what, value) in [("owner", owner), ("tags", &tags), ("for", &about.description), ("feeds", &feeds)] {
        if !value.is_empty() {
            output.line(format!("{} {}", paint(DIM, format!("{what:<5}")), one_line(value)))?;
        }
    }
    Ok(())
}
