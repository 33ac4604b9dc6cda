//! `describe`: says who answers for a prompt, under which tags it is found, and what it is for.

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, one_line, paint};
use crate::model::about::About;
use crate::model::name::PromptName;

const EXAMPLES: &str = "\
Examples:
  bookholder describe support/agent --owner support-team --tag customers --tag chat
  bookholder describe support/agent --description 'Answers customers of the shop'
  bookholder describe support/agent --owner '' --no-tags                 take both away

What is not named stays as it is.";

/// `describe`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DescribeArgs {
    /// Which prompt
    #[arg(value_name = "NAME")]
    name: PromptName,
    /// Who answers for it: a principal or a team; '' for nobody
    #[arg(long, value_name = "OWNER", required_unless_present_any = ["tag", "no_tags", "description"])]
    owner: Option<String>,
    /// A word to find it by; those that are named replace those it had
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Take all tags away
    #[arg(long, conflicts_with = "tag")]
    no_tags: bool,
    /// What it is for; '' for nothing
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
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
    let about = context.client.describe(&args.name, &about).await?;
    let output = context.output;
    if output.json {
        output.json(&about)?;
    } else {
        output.line(format!("{} {}", paint(GOOD, "✓"), paint(ACCENT, &args.name)))?;
        show(output, &about)?;
    }
    Ok(Verdict::Done)
}

/// Prints what is said about a prompt, a line for each.
pub(super) fn show(output: Output, about: &About) -> Result<(), CliError> {
    let tags = about.tags.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let owner = about.owner.as_deref().unwrap_or_default();
    for (what, value) in [("owner", owner), ("tags", &tags), ("for", &about.description)] {
        if !value.is_empty() {
            output.line(format!("{} {}", paint(DIM, format!("{what:<5}")), one_line(value)))?;
        }
    }
    Ok(())
}
