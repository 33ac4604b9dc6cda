//! `unlabel`: removes a label from a prompt.

use clap::Args;

use super::args::values::{WhyArgs, YesArgs};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed, why};
use crate::api::write::MessageRequest;
use crate::model::name::{Label, PromptName};

const EXAMPLES: &str = "\
Examples:
  bookholder unlabel support/agent --label staging -m 'The trial is over'";

/// `unlabel`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UnlabelArgs {
    /// Name of the prompt
    name: PromptName,
    /// Label of the prompt
    #[arg(short, long, value_name = "LABEL")]
    label: Label,
    #[command(flatten)]
    why: WhyArgs,
    #[command(flatten)]
    yes: YesArgs,
}

pub async fn run(args: UnlabelArgs, context: Context) -> Result<Verdict, CliError> {
    let question = format!("Remove the label {} from {}? It then serves nothing.", args.label, args.name);
    confirm(context.output, args.yes.yes, &question, Vec::new())?;
    let message = why::message(args.why, &format!("Remove the label {} from {}", args.label, args.name))?;
    let why = MessageRequest { message };
    changed::deployed(context.output, &context.client.unlabel(&args.name, &args.label, &why).await?)?;
    Ok(Verdict::Done)
}
