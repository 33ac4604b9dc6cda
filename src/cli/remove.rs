//! `remove`: removes a prompt; its history is kept, and publishing restores it.

use clap::Args;

use super::args::values::{WhyArgs, YesArgs};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::{Verdict, changed, why};
use crate::api::write::RemoveRequest;
use crate::model::name::PromptName;

const EXAMPLES: &str = "\
Examples:
  bookholder remove support/agent -m 'Replaced by support/concierge'

On a terminal you are asked first, unless --yes is given. If a policy covers a
label of the prompt, you must be one of its deployers.";

/// `remove`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RemoveArgs {
    /// Name of the prompt
    name: PromptName,
    #[command(flatten)]
    why: WhyArgs,
    /// Override unmet policies of its labels, giving a reason; audited
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    break_glass: Option<String>,
    #[command(flatten)]
    yes: YesArgs,
}

pub async fn run(args: RemoveArgs, context: Context) -> Result<Verdict, CliError> {
    let question = format!("Remove {}? Its labels then serve nothing. Its history is kept.", args.name);
    confirm(context.output, args.yes.yes, &question, Vec::new())?;
    let message = why::message(args.why, &format!("Remove {}", args.name))?;
    let why = RemoveRequest { message, break_glass: args.break_glass };
    changed::deployed(context.output, &context.client.remove(&args.name, &why).await?)?;
    Ok(Verdict::Done)
}
